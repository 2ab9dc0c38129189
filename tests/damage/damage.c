/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "guard.h"
#include "leftovers.h"
#include "moment.h"
#include "options.h"
#include "reaper.h"
#include "run.h"
#include "watch.h"

/*
 * Damaged memory is an error, not a crash: thousands of cases, each from a seed of its own. They
 * run in a child, some hundred of them in a row; a supervisor finds it crashed or hung, says with
 * which seed, and goes on behind it.
 *
 *	damage [--seed N] [--cases N] [--bound SECONDS] [-v]
 *
 * damage_steps is the same with the engine compiled so that damage also comes within a call.
 *
 * Case i of a run has the seed N + i, so a case is replayed by its seed and --cases 1.
 */

#define BATCH        250
#define FAILURES_MAX 5
#define BOUND_S      60 /* for one call: far more than any takes on a busy machine */
#define SECOND       ((int64_t)1000000000)

struct run *run;
unsigned run_who;
bool verbose;

static char prefix[32];

void watch_begin(const char *call)
{
	atomic_store(&run->who[run_who].since_ns, moment_truly());
	atomic_store(&run->who[run_who].call, call);
}

void watch_end(const char *call, long result)
{
	int64_t took = moment_truly() - atomic_load(&run->who[run_who].since_ns);

	atomic_store(&run->who[run_who].call, NULL);
	atomic_fetch_add(&run->calls, 1);
	if (-result < ERRORS_MAX)
		atomic_fetch_add(&run->errors[result < 0 ? -result : 0], 1);
	if (result == -EBADMSG || result == -EPROTO)
		atomic_store(&run->noticed, true);
	if (took > atomic_load(&run->longest_ns)) {
		atomic_store(&run->longest_ns, took);
		atomic_store(&run->longest, call);
		atomic_store(&run->longest_seed, atomic_load(&run->seed));
	}
	watch_note("%u %s: %ld", run_who, call, result);
}

void watch_note(const char *format, ...)
{
	va_list args;

	if (!verbose)
		return;
	va_start(args, format);
	(void)vprintf(format, args);
	va_end(args);
	(void)putchar('\n');
	(void)fflush(stdout);
}

noreturn void watch_broken(const char *format, ...)
{
	va_list args;

	(void)fprintf(stderr, "seed %llu: ", (unsigned long long)atomic_load(&run->seed));
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fputc('\n', stderr);
	_exit(CASE_FAILED);
}

void run_change(const struct victim *v, struct chance *c)
{
	atomic_fetch_add(&run->changes[aim(v, c)], 1);
}

void run_change_cell(const struct victim *v, uint64_t position, struct chance *c)
{
	atomic_fetch_add(&run->changes[aim_cell(v, position, c)], 1);
}

/* The child: cases from `first` to below `end`. */
static noreturn void work(uint64_t seed, uint64_t first, uint64_t end)
{
	for (uint64_t i = first; i < end; i++) {
		bool concurrent = rng_mix(~(seed + i)) % CASES_FORK == 0;

		atomic_store(&run->index, i);
		atomic_store(&run->seed, seed + i);
		atomic_store(&run->noticed, false);
		watch_note("seed %llu: %s", (unsigned long long)(seed + i),
			concurrent ? "concurrent" : "in turns");
		if (concurrent)
			concurrent_case(seed + i);
		else
			single_case(seed + i);
		atomic_fetch_add(&run->cases, 1);
		atomic_fetch_add(&run->concurrent, concurrent);
		atomic_fetch_add(&run->cases_noticed, atomic_load(&run->noticed));
	}
	exit(0); /* and not _exit(): a sanitizer looks for leaks here */
}

/* Is anybody in one call for longer than that? */
static const char *hung(int64_t bound_ns)
{
	int64_t now = moment_truly();

	for (unsigned i = 0; i < 1 + CREW; i++) {
		const char *call = atomic_load(&run->who[i].call);

		if (call && now - atomic_load(&run->who[i].since_ns) > bound_ns)
			return call;
	}
	return NULL;
}

static noreturn void give_up(const char *why)
{
	(void)leftovers_remove(prefix);
	(void)fprintf(stderr, "damage: %s\n", why);
	exit(1);
}

/* Run some cases in a child. True if all is well; what is not has been said. */
static bool batch(uint64_t seed, uint64_t first, uint64_t end, int64_t bound_ns)
{
	const struct timespec tick = {.tv_nsec = 100000000};
	const char *stuck = NULL, *in;
	unsigned long long at;
	sigset_t signals;
	pid_t pid;
	int status;

	memset(run->who, 0, sizeof(run->who));
	pid = child_fork();
	if (pid < 0)
		give_up("no process");
	if (pid == 0) {
		(void)sigemptyset(&signals);
		(void)sigprocmask(SIG_SETMASK, &signals, NULL);
		guard_install();
		work(seed, first, end);
	}
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGCHLD);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		int sig = sigtimedwait(&signals, NULL, &tick);

		stuck = hung(bound_ns);
		if (stuck || sig == SIGTERM || sig == SIGINT) {
			(void)kill(pid, SIGKILL);
			(void)waitpid(pid, &status, 0);
			if (!stuck)
				give_up("ended by a signal");
			break;
		}
	}
	if (!stuck && status == 0)
		return true;
	at = atomic_load(&run->seed);
	in = atomic_load(&run->who[0].call);
	if (stuck)
		(void)fprintf(stderr, "seed %llu: in %s for more than %lld s\n", at, stuck,
			(long long)(bound_ns / SECOND));
	else if (WIFSIGNALED(status))
		(void)fprintf(stderr, "seed %llu: in %s: %s\n", at, in ? in : "no call",
			strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) != CASE_FAILED)
		(void)fprintf(stderr, "seed %llu (or since %llu): in %s: exit code %d\n", at,
			(unsigned long long)(seed + first), in ? in : "no call",
			WEXITSTATUS(status));
	(void)fprintf(stderr, "replay: --seed %llu --cases 1 -v\n", at);
	(void)leftovers_remove(prefix);
	return false;
}

static void report(void)
{
	static const struct {
		int error;
		const char *name;
	} errors[] = {{0, "done"}, {EAGAIN, "AGAIN"}, {ETIMEDOUT, "TIMEDOUT"}, {EPIPE, "PIPE"},
		{EIDRM, "IDRM"}, {EMSGSIZE, "MSGSIZE"}, {ESTALE, "STALE"}, {EBADMSG, "BADMSG"},
		{EPROTO, "PROTO"}, {EUSERS, "USERS"}, {EBUSY, "BUSY"}, {ENOSPC, "NOSPC"},
		{ENOENT, "NOENT"}, {EINVAL, "INVAL"}};

	(void)printf("%llu cases, %llu of them concurrent, %llu with a forged description; "
		     "damage was reported in %llu\n",
		(unsigned long long)run->cases, (unsigned long long)run->concurrent,
		(unsigned long long)run->forged, (unsigned long long)run->cases_noticed);
	(void)printf("changes:");
	for (unsigned i = 0; i < AIM_REGIONS; i++)
		(void)printf(" %s %llu", aim_names[i], (unsigned long long)run->changes[i]);
	if (run->most_steps)
		(void)printf(
			"\n%llu changes within a call, between two accesses; at most %llu accesses "
			"in a call",
			(unsigned long long)run->changes_within,
			(unsigned long long)run->most_steps);
	(void)printf("\n%llu calls:", (unsigned long long)run->calls);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		(void)printf(" %s %llu", errors[i].name,
			(unsigned long long)run->errors[errors[i].error]);
	(void)printf("; the longest took %lld us (%s, seed %llu)\n",
		(long long)(run->longest_ns / 1000), run->longest ? run->longest : "none",
		(unsigned long long)run->longest_seed);
}

int main(int argc, char **argv)
{
	uint64_t seed = option_number(argc, argv, "--seed", 1),
		 cases = option_number(argc, argv, "--cases", 2000);
	int64_t bound_ns = (int64_t)option_number(argc, argv, "--bound", BOUND_S) * SECOND;
	const struct rlimit no_core = {0, 0};
	const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	unsigned failures = 0;
	sigset_t signals;
	int64_t began = moment_truly();
	uint64_t at = 0;
	int left;

	verbose = option_flag(argc, argv, "-v");
	options_end(argc, argv);
	run = mmap(NULL, sizeof(*run), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (run == MAP_FAILED)
		give_up("no memory");
	(void)snprintf(prefix, sizeof(prefix), "damage%ld", (long)getpid());
	(void)setenv("SQ_PREFIX", prefix, 1);
	reaper_start(prefix);
	(void)setrlimit(RLIMIT_CORE, &no_core);
	(void)signal(SIGPIPE, SIG_IGN); /* nobody reads on: clean up all the same */
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGCHLD);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	while (at < cases && failures < FAILURES_MAX) {
		uint64_t end = at + BATCH < cases ? at + BATCH : cases;

		if (batch(seed, at, end, bound_ns)) {
			at = end;
		} else {
			failures++;
			at = atomic_load(&run->index) + 1;
		}
	}
	left = leftovers_remove(prefix);
	if (left > 0 && failures == 0) {
		(void)fprintf(stderr, "%d queues were left\n", left);
		failures++;
	}
	report();
	if (failures)
		(void)printf("%s: %u failures, first seed %llu\n", name, failures,
			(unsigned long long)seed);
	else
		(void)printf("%s: %llu cases passed from seed %llu, %.1f s\n", name,
			(unsigned long long)run->cases, (unsigned long long)seed,
			(double)(moment_truly() - began) / (double)SECOND);
	return failures ? 1 : 0;
}
