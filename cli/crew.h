/* SPDX-License-Identifier: ISC */
#ifndef CLI_CREW_H
#define CLI_CREW_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Processes that a supervisor starts, watches, starts again and ends. What they do, and which of
 * them are worth starting again, the caller decides. Only pids of our own unreaped children are
 * ever signalled; and no member outlives the supervisor.
 */

struct crew_member {
	unsigned kind, index;
	pid_t pid;             /* 0: none */
	int64_t start_ns;      /* when it is to be started again; 0: not */
	unsigned early_deaths; /* in a row, without having done anything */
	uint64_t progress;     /* what it had done by then, for the caller to compare with */
};

struct crew {
	const char *const *kinds; /* their names, "worker" and so on */
	/* The child, and its exit code. It has been named, and hears no signal but SIGKILL. */
	int (*run)(void *data, const struct crew_member *m);
	/*
	 * A child has ended, but by exit code 0. An exit code for all of us after it was reported,
	 * or 0.
	 */
	int (*ended)(void *data, struct crew_member *m, pid_t pid, int status);
	void *data;
	struct crew_member *members;
	unsigned count;
	sigset_t signals;
	int64_t asked_ns;
	int asked; /* the signal */
};

enum crew_news {
	CREW_LOOK,        /* time, or a child: look at everything */
	CREW_ASKED,       /* a signal asks to end */
	CREW_ASKED_AGAIN, /* and another, to end at once */
};

/* From now on signals come by crew_wait(). They stay blocked. */
void crew_listen(struct crew *crew);

/* Sleep until there is news, at most so long, or until a member is to be started again. */
enum crew_news crew_wait(struct crew *crew, int64_t longest_ns);

/* Start all. 0, or an exit code after it was reported. */
int crew_start(struct crew *crew);

/*
 * Take notice of children that ended, and start again those whose time has come. 0, or an exit
 * code: of ended(), or after it was reported.
 */
int crew_reap(struct crew *crew);

/* Start another in the place of one that was killed: at once. 0, or an exit code. */
int crew_replace(struct crew *crew, struct crew_member *m);

/*
 * The same, but later and later if it dies again and again before it has got anything done. Returns
 * after how long, in nanoseconds.
 */
int64_t crew_replace_later(struct crew *crew, struct crew_member *m, bool did_something);

/* Cancel all pending restarts. */
void crew_no_more(struct crew *crew);

/* Have all of a kind ended, with none to be started again? */
bool crew_done(const struct crew *crew, unsigned kind);

/* End them all, now. */
void crew_kill(struct crew *crew);

/*
 * End this process by the signal that asked to end, so that the parent can tell. Returns only if none
 * did.
 */
void crew_die(const struct crew *crew);

#endif
