/* SPDX-License-Identifier: ISC */
#ifndef BENCH_CREW_H
#define BENCH_CREW_H

#include <stdint.h>
#include <sys/types.h>

/*
 * The processes of one run. They end when their work is done, or with their parent. When one fails,
 * the others are killed, for they would wait for it for ever.
 */

#define CREW_MAX      128
#define CREW_LIMIT_NS ((int64_t)600 * 1000000000) /* of a run: it hangs */

struct crew {
	int n;
	struct crew_member {
		pid_t pid;
		int fd; /* a pidfd */
		const char *role;
	} member[CREW_MAX];
};

/* Fork a process that runs f on this CPU, or any, and exits with what it returns. An exit code. */
int crew_add(struct crew *crew, const char *role, int cpu, int (*f)(void *arg), void *arg);

/*
 * Wait until all have ended. The exit code of the first that failed, which has reported why.
 * Empties the crew.
 */
int crew_wait(struct crew *crew);

/* End them now. */
void crew_kill(struct crew *crew);

/* Zeroed memory that this process and its children share, or NULL. */
void *crew_memory(size_t size);

/* fork(), and the child dies with its parent. */
pid_t crew_fork(void);

#endif
