/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crew.h"
#include "step.h"
#include "trace.h"

#include "now.h"
#include "options.h"

/*
 * One operation of the library, as it is built for use, in a child under ptrace. For every k:
 *
 *	kill       the child runs k instructions of it and is killed there; then the others go on at
 *	           once, then they recover, and nothing is lost, doubled, torn, or left behind
 *	recover    it is killed there, the others recover first, and then go on
 *	stop       it is stopped there, the others go round the ring, and then it goes on to its end
 *	stop+kill  it is stopped there, the others go round, and then it is killed
 *	late       for each instruction c that changes the segment: it is stopped before that, the
 *	           others go round, it goes on, and is killed k instructions later
 *
 * How far it had got is seen from outside, and must never go back as k goes up. Workers share the
 * work: each takes every so many-th k.
 *
 *	--quick       a few operations
 *	--all         each instruction of long operations, too
 *	--every-step  no breakpoints: each instruction before k is stepped
 *	--op NAME --mode kill|recover|stop|stop+kill|late [--c C] --k N   one case, as a failure prints it
 *	--like TEXT   the operations that have this in their name
 *	--list        the operations
 */

#define WORKERS_MAX  16
#define OPS_MAX      160
#define CHANGES_MAX  512
#define LATE_LAPS    (CAPACITY + 1)
#define ALARM_S      36000
#define OP_ALARM_S   7200
#define LONG         3000
#define AFTER_SLEEP  80
#define NEAR         8
#define SPARSE       16
#define MISSED_SHARE 20  /* one in so many instructions may not be reached again */
#define LATE_ONE_OF  20  /* sleepers may have had to wait for a processor, */
#define LATE_ANYWAY  5   /* and these */
#define AGAIN_MAX    10  /* it seemed to go back: looked at again so many times */
#define LOOKS_MAX    200 /* at all such places of an operation */
#define STRAYS_MAX   20  /* another path: tried again so many times */

static const char *const modes[MODES] = {"kill", "recover", "stop", "stop+kill", "late"};

/* Of an operation; written by all workers. */
struct tally {
	_Atomic uint64_t runs[MODES];
	_Atomic uint64_t retried, strayed, missed;
	_Atomic uint64_t tries;
	_Atomic uint64_t awaited, late; /* sleepers */
	_Atomic unsigned done;          /* workers */
	_Atomic unsigned explored;      /* 1: by somebody, now; 2: done */
	uint8_t near[TRACE_MAX];        /* of an instruction that others can notice */
	uint32_t change[CHANGES_MAX];   /* after how many instructions the segment was another */
	unsigned changes;
	_Atomic uint8_t stage[2][TRACE_MAX]; /* plus one; early, late */
	struct trace_path path;
};

/* Where a worker is, for the one who reports its failure. */
struct where {
	const struct op *op;
	enum mode mode;
	size_t k, c;
	uint64_t at;
};

static const struct op *ops[OPS_MAX];
static size_t n_ops;
static struct tally *tallies;
static struct where *wheres;
static struct report *reports;
static _Atomic uint8_t *covered; /* bytes of the program's text: an instruction begins here */
static bool pure, deep, all_of_them;
static int64_t only_k = -1;
static int only_mode = -1;
static int64_t only_c = -1;
static unsigned workers;

static pid_t start(struct scene *s)
{
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		crew_die("fork: %s", strerror(errno));
	if (pid == 0)
		child_live(s->op, s->report, s->name, parent);
	s->child_pid = pid;
	trace_await_begin(pid);
	if (s->op->start)
		s->op->start(s);
	if (s->op->flags & RESCUE) {
		sqi_store_relaxed(&s->o->ring.head->upkeep_ms, 0);
		sqi_store_relaxed(&s->o->ring.head->find_dead_ms, 0);
	}
	return pid;
}

/* The shared memory as it was an instruction ago. */
static bool changed(struct scene *s, unsigned char *before)
{
	if (!s->o || memcmp(before, s->o->ring.base, s->o->ring.g.total) == 0)
		return false;
	memcpy(before, s->o->ring.base, s->o->ring.g.total);
	return true;
}

static bool is_syscall(uint64_t at)
{
	static const unsigned char code[] = {0x0f, 0x05};

	return memcmp((const void *)(uintptr_t)at, code, sizeof(code)) == 0;
}

static void mark(struct tally *t, size_t k)
{
	for (size_t i = k < NEAR ? 0 : k - NEAR; i <= k + NEAR && i < TRACE_MAX; i++)
		t->near[i] = 1;
}

/*
 * Between two instructions that change the segment or call the kernel, others cannot tell where the
 * child was killed. A long operation is mostly such stretches (names printed, fingerprints): there
 * only every so many-th is taken, unless all are asked for.
 */
static bool chosen(const struct tally *t, const struct trace_path *path, size_t k)
{
	if (only_k >= 0)
		return k == (size_t)only_k;
	return all_of_them || path->n < LONG || k == path->n || t->near[k] || k % SPARSE == 0;
}

static void meanwhile(struct scene *s)
{
	if (s->op->meanwhile) {
		s->op->meanwhile(s);
		return;
	}
	if (s->op->flags & DEAD) {
		/* And the others have recovered, and a newcomer has the dead one's slot. */
		(void)sq_recover(s->o);
		if (s->op->besides)
			s->op->besides(s);
	}
	check_laps(s, LATE_LAPS);
}

/*
 * Step through it once, to know the path; after `from` instructions the others come in between. False: it
 * came to no end.
 */
static bool explore(struct tally *t, struct trace_path *path, size_t from, const struct op *op,
	struct report *report, const char *name)
{
	static unsigned char before[1 << 20];
	size_t end = TRACE_MAX;
	unsigned slept = 0;
	struct scene s;
	bool now, ends = true;
	pid_t pid;

	scene_init(&s, op, STOP, report, name);
	pid = start(&s);
	path->n = 0;
	path->from = from;
	t->changes = 0;
	(void)changed(&s, before);
	for (;;) {
		path->at[path->n] = trace_at(pid);
		if (trace_at_end(path->at[path->n]) || path->n == end)
			break;
		if (op->sleeps && is_syscall(path->at[path->n]) && trace_is_futex(pid) &&
			++slept == op->sleeps)
			end = path->n + AFTER_SLEEP;
		if (from && path->n == from) {
			ends = !path->from_at || path->at[path->n] == path->from_at;
			if (!ends)
				break; /* a clock has made it another path */
			meanwhile(&s);
		}
		ends = path->n + 2 <= TRACE_MAX && trace_step(pid);
		if (!ends)
			break;
		path->n++;
		now = changed(&s, before);
		if (!from && now && t->changes < CHANGES_MAX)
			t->change[t->changes++] = (uint32_t)path->n;
		if (now || is_syscall(path->at[path->n - 1]))
			mark(t, path->n);
	}
	trace_kill(pid);
	scene_end(&s);
	(void)sq_unlink(s.other);
	return ends;
}

/* An operation that does not end, does not end each time. */
static void explore_to_its_end(struct tally *t, struct trace_path *path, size_t from,
	const struct op *op, struct report *report, const char *name)
{
	for (unsigned tries = 0; !explore(t, path, from, op, report, name); tries++)
		if (tries == AGAIN_MAX)
			crew_die("the operation does not end, but is at %s after %zu instructions",
				trace_name(path->at[path->n]), path->n);
}

/*
 * A path that it took twice. Clocks may make it another now and then; on a busy machine so often that it
 * is hardly ever the same twice running.
 */
static void explore_twice(struct tally *t, struct trace_path *path, size_t from,
	const struct op *op, struct report *report, const char *name)
{
	static uint8_t times[TRACE_MAX + 1];

	memset(times, 0, sizeof(times));
	do
		explore_to_its_end(t, path, from, op, report, name);
	while (++times[path->n] < 2);
	if (from)
		trace_plan(path, 0);
	trace_plan(path, from);
}

/* The first worker that comes does it for all. */
static void find_path(struct tally *t, const struct op *op, struct report *report, const char *name)
{
	unsigned none = 0;

	if (!atomic_compare_exchange_strong(&t->explored, &none, 1)) {
		while (t->explored != 2 && !crew_failed())
			sleep_ns(CREW_MS / 10);
		return;
	}
	explore_twice(t, &t->path, 0, op, report, name);
	if (op->before > t->changes)
		crew_die("%s: it has only %u changes", op->name, t->changes);
	if (op->before) {
		static struct tally late;

		t->path.from_at = t->path.at[t->change[op->before - 1] - 1];
		explore_twice(&late, &t->path, t->change[op->before - 1] - 1, op, report, name);
	}
	t->explored = 2;
}

/* Bring a child to k. False: it went another way. */
static bool bring(struct scene *s, pid_t pid, const struct trace_path *path, size_t k, bool each)
{
	if (path->from) {
		if (!trace_advance(pid, path, 0, path->from - 1, each) || !trace_step(pid))
			return false;
		if (path->from_at && trace_at(pid) != path->from_at)
			return false;
		meanwhile(s);
	}
	return trace_advance(pid, path, path->from, k, each);
}

/* A stopped process goes on to its end; one that was to be stopped and killed is killed here. */
void step_end_child(struct scene *s, pid_t pid)
{
	if (s->mode == STOP_KILL)
		trace_kill(pid);
	if (s->mode != STOP)
		return;
	if (!trace_go_on(pid))
		crew_die("it did not come to the operation's end");
	check_result(s);
	if (trace_let_go(pid) != 0 || s->report->finish < 0)
		crew_die("what it did afterwards: %s", sq_strerror((int)s->report->finish));
}

/* Interrupted: what the others see from then on. Which of its stages it was in. */
static unsigned judge(struct scene *s, pid_t pid, size_t k)
{
	unsigned late;

	if (s->mode != STOP && s->mode != STOP_KILL)
		trace_kill(pid);
	if (s->mode == RECOVER) {
		/* With and without a message behind what the dead one holds. */
		scene_put_off(s->o);
		if (k % 2)
			scene_try_put(s);
		check_recovery(s);
	}
	if (s->op->verify) {
		s->op->verify(s, pid);
		return 0;
	}
	check_others(s);
	step_end_child(s, pid);
	if (s->mode == STOP) {
		if (scene_dead(s))
			crew_die("it left, and is found dead");
		s->recovered = true;
	} else if (s->mode != RECOVER) {
		check_recovery(s);
	}
	late = check_end(s);
	return late;
}

/* Does it read a clock, now and then or on this path? Then it may go another way each time. */
static bool clocked(const struct op *op, const struct trace_path *path)
{
	if (op->flags & CLOCKED)
		return true;
	for (size_t k = path->from; k <= path->n; k++)
		if (trace_in_vdso(path->at[k]))
			return true;
	return false;
}

/* One case. */
static void once(const struct op *op, enum mode mode, const struct trace_path *path, size_t k,
	struct where *where, struct report *report, const char *name, struct tally *tally)
{
	struct scene s;
	unsigned early, late;
	pid_t pid;

	*where = (struct where){op, mode, k, path->from, 0};
	for (unsigned tries = 0;; tries++) {
		bool there;

		scene_init(&s, op, mode, report, name);
		pid = start(&s);
		/* What measures its own time goes another way when it is stepped. */
		there = bring(&s, pid, path, k, pure || tries % 2);
		where->at = there ? trace_at(pid) : 0;
		if (there && where->at == path->at[k])
			break;
		/* Another path, because a clock was read: there too it may be killed. */
		if (tries == STRAYS_MAX && there && clocked(op, path)) {
			tally->strayed++;
			break;
		}
		if (tries == STRAYS_MAX && clocked(op, path)) {
			tally->missed++;
			trace_kill(pid);
			scene_end(&s);
			(void)sq_unlink(s.other);
			return;
		}
		if (tries == STRAYS_MAX)
			crew_die("after %zu instructions it is not where it was before, but at %s",
				k, where->at ? trace_name(where->at) : "its end");
		trace_kill(pid);
		scene_end(&s);
		(void)sq_unlink(s.other);
		tally->retried++;
	}
	{
		size_t offset;

		if (trace_text(where->at, &offset))
			covered[offset] = 1;
	}
	s.interrupted = s.next;
	s.listed_before = s.listed;
	early = op->stage ? op->stage(&s) : 0;
	if (op->wakes && k == path->n && !early)
		crew_die("it was done, and nobody was woken");
	late = judge(&s, pid, k);
	if (mode == KILL && k == path->n && op->final && late != op->final)
		crew_die("it was done, and the outcome is %u", late);
	scene_end(&s);
	tally->runs[mode]++;
	tally->awaited += s.awaited;
	tally->late += s.late;
	if (s.tries_max > tally->tries)
		tally->tries = s.tries_max;
	if (mode == LATE)
		return;
	/* What looks for the dead takes paths by the time it took itself: k alone says little. */
	if (mode == KILL && where->at == path->at[k] && !(op->flags & RESCUE)) {
		tally->stage[0][k] = (uint8_t)(early + 1);
		tally->stage[1][k] = (uint8_t)(late + 1);
	}
}

static void work_late(unsigned w, size_t i, const char *name)
{
	static struct trace_path path;
	static struct tally unused;

	for (unsigned c = w; c < tallies[i].changes; c += workers) {
		size_t from = tallies[i].change[c] - 1;

		if ((only_c >= 0 && from != (size_t)only_c) || from == 0)
			continue;
		wheres[w] = (struct where){ops[i], MODES, 0, from, 0};
		/* By a clock it may be another path: then any instruction will do. */
		path.from_at = clocked(ops[i], &tallies[i].path) ? 0 : tallies[i].path.at[from];
		explore_twice(&unused, &path, from, ops[i], &reports[w], name);
		for (size_t k = from; k <= path.n; k++)
			if (chosen(&unused, &path, k))
				once(ops[i], LATE, &path, k, &wheres[w], &reports[w], name,
					&tallies[i]);
	}
}

/* Whose path is the same each time, though others come in between. */
static bool goes_deep(const struct op *op)
{
	return (op->flags & DEEP) ||
	       (!(op->flags & (CLOCKED | EITHER)) && !op->verify && !op->meanwhile);
}

static void work(unsigned w)
{
	char name[16];
	struct sq *none;

	(void)snprintf(name, sizeof(name), "w%02u", w);
	/* What the library does once in a process is done. */
	if (sq_open(&none, "none") == 0)
		crew_die("there is a queue that nobody made");
	for (size_t i = 0; i < n_ops; i++) {
		const struct trace_path *path = &tallies[i].path;
		size_t nth = 0;

		(void)alarm(OP_ALARM_S);
		wheres[w] = (struct where){ops[i], MODES, 0, 0, 0};
		find_path(&tallies[i], ops[i], &reports[w], name);
		for (enum mode m = KILL; m < LATE; m++) {
			if (only_mode >= 0 ? m != (enum mode)only_mode
					   : m == RECOVER && ops[i]->verify)
				continue;
			for (size_t k = path->from; k <= path->n; k++)
				if (chosen(&tallies[i], path, k) && nth++ % workers == w)
					once(ops[i], m, path, k, &wheres[w], &reports[w], name,
						&tallies[i]);
		}
		if (goes_deep(ops[i]) && deep && (only_mode < 0 || only_mode == LATE))
			work_late(w, i, name);
		tallies[i].done++;
	}
}

/* The first k at which less is seen than at one before it, which is *ret_high; past the end: none. */
static size_t back_at(const struct tally *t, unsigned which, size_t *ret_high)
{
	const _Atomic uint8_t *stage = t->stage[which];
	size_t k, high = 0;

	for (k = t->path.from; k <= t->path.n; k++) {
		if (stage[k] == 0)
			continue;
		if (stage[k] < stage[high])
			break;
		high = k;
	}
	*ret_high = high;
	return k;
}

/*
 * Where a clock is read the path may be another by a turn of a loop, and be at the same address after k
 * instructions all the same: then what is seen at k was seen at some k nearby. With breakpoints it may be
 * far away: at full speed an operation that looks at how long it takes makes other turns, and a place
 * comes up for the n-th time sooner or later than it did when it was stepped. So where it seems to go
 * back, both are looked at again, and stepped all the way: if it does go back, it does so each time.
 */
static void look_again(size_t i, unsigned which)
{
	struct tally *t = &tallies[i];
	size_t high, k, high_before = 0, k_before = 0;
	unsigned tries = 0;
	char name[16];
	bool was = pure;

	(void)snprintf(name, sizeof(name), "w%02u", WORKERS_MAX);
	pure = true;
	for (unsigned looks = 0; looks < LOOKS_MAX && tries < AGAIN_MAX; looks++) {
		k = back_at(t, which, &high);
		if (k > t->path.n)
			break;
		tries = k == k_before && high == high_before ? tries + 1 : 0;
		k_before = k;
		high_before = high;
		(void)printf("      %s %u at instruction %zu and %u at %zu: again\n",
			which ? "outcome" : "visible", t->stage[which][high] - 1, high,
			t->stage[which][k] - 1, k);
		once(ops[i], KILL, &t->path, high, &wheres[WORKERS_MAX], &reports[WORKERS_MAX],
			name, t);
		once(ops[i], KILL, &t->path, k, &wheres[WORKERS_MAX], &reports[WORKERS_MAX], name,
			t);
	}
	pure = was;
}

/* The instructions at which what is seen from outside changes; never back. */
static unsigned stages(const struct op *op, struct tally *t, unsigned which)
{
	unsigned last = 0, changes = 0;

	for (size_t k = t->path.from; k <= t->path.n; k++) {
		unsigned stage = t->stage[which][k];

		if (stage == 0 || stage == last)
			continue;
		if (stage < last)
			crew_die(
				"%s: seen from outside, it goes back from %u to %u at instruction %zu",
				op->name, last - 1, stage - 1, k);
		if (last) {
			(void)printf("      %s %u -> %u by instruction %zu, %s\n",
				which ? "outcome" : "visible", last - 1, stage - 1, k,
				trace_name(t->path.at[k - 1]));
			changes++;
		}
		last = stage;
	}
	return changes;
}

static void tell(size_t i)
{
	struct tally *t = &tallies[i];

	(void)printf("  %-36s %5" PRIu64 " instructions, %3" PRIu64 " change the segment; %" PRIu64
		     " + %" PRIu64 " kills, %" PRIu64 " stops, %" PRIu64 " stops+kills, %" PRIu64
		     " late",
		ops[i]->name, t->path.n - t->path.from, (uint64_t)t->changes, t->runs[KILL],
		t->runs[RECOVER], t->runs[STOP], t->runs[STOP_KILL], t->runs[LATE]);
	if (t->strayed)
		(void)printf("; %" PRIu64 " on another path", (uint64_t)t->strayed);
	if (t->missed)
		(void)printf("; %" PRIu64 " not reached again", (uint64_t)t->missed);
	if (t->retried)
		(void)printf("; %" PRIu64 " tried again", (uint64_t)t->retried);
	(void)printf("\n");
	if (only_k < 0) {
		for (unsigned which = 0; which < 2 && clocked(ops[i], &t->path); which++)
			look_again(i, which);
		(void)stages(ops[i], t, 0);
		(void)stages(ops[i], t, 1);
	}
}

static void report_failure(unsigned w)
{
	const struct where *at = &wheres[w];

	if (!at->op)
		return;
	(void)fprintf(stderr, "step: in `%s', %s after %zu instructions, before %s\n", at->op->name,
		at->mode == MODES ? "first run" : modes[at->mode], at->k,
		at->at ? trace_name(at->at) : "?");
	if (at->mode != MODES)
		(void)fprintf(stderr, "step: replay with --op '%s' --mode %s --c %zu --k %zu\n",
			at->op->name, modes[at->mode], at->c, at->k);
}

static void add(const struct op *op, const char *only, const char *like, bool all)
{
	for (; op->name; op++) {
		if (like       ? !strstr(op->name, like)
			: only ? strcmp(only, op->name) != 0
			       : !all && !(op->flags & QUICK))
			continue;
		if (n_ops == OPS_MAX)
			crew_die("too many operations");
		ops[n_ops++] = op;
	}
}

/* Each on a processor of its own: a child then runs where its tracer did. */
static void pin(unsigned w)
{
	cpu_set_t all, one;
	int cpu = -1;

	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		return;
	for (size_t c = 0; c < CPU_SETSIZE; c++)
		if (CPU_ISSET(c, &all) && w-- == 0)
			cpu = (int)c;
	if (cpu < 0)
		return;
	CPU_ZERO(&one);
	CPU_SET((size_t)cpu, &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
}

static void run(void)
{
	pid_t pids[WORKERS_MAX];
	unsigned left = workers;
	size_t told = 0;

	for (unsigned w = 0; w < workers; w++) {
		pids[w] = crew_fork();
		if (pids[w] == 0) {
			pin(w);
			work(w);
			exit(0);
		}
	}
	while (left > 0) {
		for (unsigned w = 0; w < workers; w++) {
			int status;

			if (!pids[w] || waitpid(pids[w], &status, WNOHANG) == 0)
				continue;
			if (status != 0) {
				report_failure(w);
				exit(1);
			}
			pids[w] = 0;
			left--;
		}
		for (; told < n_ops && tallies[told].done == workers; told++)
			tell(told);
		sleep_ns(5 * CREW_MS);
	}
	for (; told < n_ops; told++)
		tell(told);
}

int main(int argc, char **argv)
{
	const char *only = option_text(argc, argv, "--op", NULL),
		   *like = option_text(argc, argv, "--like", NULL),
		   *mode = option_text(argc, argv, "--mode", NULL);
	bool all = !option_flag(argc, argv, "--quick"), list;
	uint64_t instructions = 0, runs[MODES] = {0}, strayed = 0, missed = 0, tries = 0,
		 places = 0, awaited = 0, late = 0;
	struct sq *none;
	cpu_set_t cpus;

	deep = all;
	all_of_them = option_flag(argc, argv, "--all");
	crew_init("step", 0, ALARM_S);
	pure = option_flag(argc, argv, "--every-step");
	only_c = (int64_t)option_number(argc, argv, "--c", (uint64_t)-1);
	only_k = (int64_t)option_number(argc, argv, "--k", (uint64_t)-1);
	list = option_flag(argc, argv, "--list");
	options_end(argc, argv);
	for (int m = 0; mode && m < MODES; m++)
		if (strcmp(mode, modes[m]) == 0)
			only_mode = m;
	if (mode && only_mode < 0)
		crew_die("there is no mode `%s'", mode);
	add(ops_put, only, like, all);
	add(ops_take, only, like, all);
	add(ops_settle, only, like, all);
	add(ops_party, only, like, all);
	add(ops_sleep, only, like, all);
	add(ops_grave, only, like, all);
	add(ops_durable, only, like, all);
	add(ops_file, only, like, all);
	if (n_ops == 0)
		crew_die("there is no operation `%s'", only ? only : "");
	if (list) {
		for (size_t i = 0; i < n_ops; i++)
			(void)printf("%s\n", ops[i]->name);
		return 0;
	}
	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
		crew_die("sched_getaffinity: %s", strerror(errno));
	workers = (unsigned)CPU_COUNT(&cpus);
	if (workers > WORKERS_MAX)
		workers = WORKERS_MAX;
	tallies = crew_share(n_ops * sizeof(*tallies));
	wheres = crew_share((WORKERS_MAX + 1) * sizeof(*wheres));
	reports = crew_share((WORKERS_MAX + 1) * sizeof(*reports));
	covered = crew_share(trace_text_size());
	(void)trace_name(
		(uint64_t)(uintptr_t)main); /* reads the symbols, before there are children */
	(void)sq_open(&none, "none");       /* as work() does */
	run();
	for (size_t i = 0; i < n_ops; i++) {
		struct tally *t = &tallies[i];

		instructions += t->path.n - t->path.from;
		strayed += t->strayed;
		missed += t->missed;
		if (!(ops[i]->flags & CROWDED) &&
			t->missed * MISSED_SHARE >
				t->runs[KILL] + t->runs[STOP] + t->runs[STOP_KILL])
			crew_die("%s: %" PRIu64 " instructions were not reached", ops[i]->name,
				(uint64_t)t->missed);
		for (int m = 0; m < MODES; m++)
			runs[m] += t->runs[m];
		if (t->tries > tries)
			tries = t->tries;
		awaited += t->awaited;
		late += t->late;
	}
	if (only_k >= 0 &&
		!(runs[KILL] + runs[RECOVER] + runs[STOP] + runs[STOP_KILL] + runs[LATE]))
		crew_die("there is no such case");
	if (time_is_judged() && late > awaited / LATE_ONE_OF + LATE_ANYWAY)
		crew_die("%" PRIu64 " of %" PRIu64 " sleepers woke a second later", late, awaited);
	for (size_t i = 0; i < trace_text_size(); i++)
		places += covered[i];
	return crew_finish("%zu operations, %" PRIu64 " instructions (%" PRIu64
			   " different ones in the program), %" PRIu64 " kills, %" PRIu64
			   " stops, %" PRIu64 " stops then kills, %" PRIu64
			   " late kills passed, 0 failed; others' tries at most %" PRIu64
			   "; %" PRIu64 " on a path that a clock made another, %" PRIu64
			   " not reached",
		n_ops, instructions, places, runs[KILL] + runs[RECOVER], runs[STOP],
		runs[STOP_KILL], runs[LATE], tries, strayed, missed);
}
