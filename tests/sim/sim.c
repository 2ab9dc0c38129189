/* SPDX-License-Identifier: ISC */
#include "sim.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * The simulator's main program: seeds, one after the other, some in a child process, whose memory
 * goes with what the killed have left. A seed that fails is printed, and replays. What happened in
 * them is counted; a whole run must have seen everything.
 */

#define BATCH        16  /* seeds a child process */
#define FAILURES_MAX 5   /* then it ends */
#define BATCH_S      300 /* seconds for a batch: none hangs */

static const struct {
	const char *text;
	bool must;
} about[TALLIES] = {
#define X(name, must, text) [T_##name] = {text, must},
	TALLY(X)
#undef X
};

/* A child runs these seeds, and tells what happened: in memory that it shares with its parent. */
struct account {
	unsigned long count[TALLIES], worst_turns;
	int64_t worst_ns;
	uint64_t worst_turns_seed, seed; /* seed: under way */
	uint64_t digest[BATCH];
	bool failed;
	char failure[sizeof(((struct sim *)NULL)->failure)];
};

static void add(struct account *to, const struct account *from)
{
	for (unsigned i = 0; i < TALLIES; i++)
		to->count[i] += from->count[i];
	if (from->worst_turns > to->worst_turns) {
		to->worst_turns = from->worst_turns;
		to->worst_turns_seed = from->worst_turns_seed;
	}
	if (from->worst_ns > to->worst_ns)
		to->worst_ns = from->worst_ns;
}

static void run_in_child(struct account *a, uint64_t seed, unsigned n)
{
	struct rlimit limit;

	/* The killed leave their descriptors. */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	(void)alarm(BATCH_S);
	for (unsigned i = 0; i < n && !a->failed; i++) {
		struct account one = {0};

		a->seed = seed + i;
		run(seed + i, false);
		memcpy(one.count, sim.count, sizeof(one.count));
		one.worst_turns = sim.worst_turns;
		one.worst_turns_seed = seed + i;
		one.worst_ns = sim.worst_ns;
		add(a, &one);
		a->digest[i] = sim.digest;
		a->failed = sim.failure[0] != '\0';
		memcpy(a->failure, sim.failure, sizeof(a->failure));
	}
}

/* False: something failed, and was printed. */
static bool run_some(struct account *a, uint64_t seed, unsigned n)
{
	int status = 0;
	pid_t pid;

	memset(a, 0, sizeof(*a));
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		run_in_child(a, seed, n);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
		char prefix[40];

		(void)snprintf(prefix, sizeof(prefix), "sim%d-", (int)pid);
		hosts_sweep(prefix);
		printf("FAILED seed %llu: its process ended with status 0x%x\n",
			(unsigned long long)a->seed, (unsigned)status);
		return false;
	}
	if (a->failed)
		printf("FAILED seed %llu: %s\n", (unsigned long long)a->seed, a->failure);
	return !a->failed;
}

/* The same seeds again, in another process, each in a process of its own: all must go the same way. */
static bool replay(struct account *again, const struct account *a, uint64_t seed, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!run_some(again, seed + i, 1))
			return false;
		if (again->digest[0] == a->digest[i])
			continue;
		printf("FAILED seed %llu: it goes another way when it is run again\n",
			(unsigned long long)(seed + i));
		return false;
	}
	return true;
}

/* How many things of those that must have happened did not. */
static unsigned print(const struct account *a, bool must_all)
{
	unsigned missing = 0;

	for (unsigned i = 0; i < TALLIES; i++) {
		printf("sim: %12lu %s\n", a->count[i], about[i].text);
		if (!must_all || !about[i].must || a->count[i] > 0)
			continue;
		printf("FAILED: this never happened: %s\n", about[i].text);
		missing++;
	}
	printf("sim: %12lu turns at most from healing to the end of a stage (seed %llu), %lld ms of its time\n",
		a->worst_turns, (unsigned long long)a->worst_turns_seed,
		(long long)(a->worst_ns / MS));
	return missing;
}

static int usage(void)
{
	fprintf(stderr, "usage: sim [-s first seed] [-n seeds] [-e] [-f] [-r] [-v]\n"
			"  -e  everything must have happened: for a whole run\n"
			"  -f  the first failure ends it\n"
			"  -r  each seed is run again, and must go the same way\n"
			"  -v  one seed, told step by step\n");
	return 64;
}

int main(int argc, char **argv)
{
	bool verbose = false, must_all = false, twice = false;
	unsigned long failures_max = FAILURES_MAX, seeds = 1000, done = 0, failed = 0;
	uint64_t seed = 1;
	struct account all = {0}, *one;
	int option;

	while ((option = getopt(argc, argv, "s:n:efrv")) != -1) {
		switch (option) {
		case 's':
			seed = strtoull(optarg, NULL, 10);
			break;
		case 'n':
			seeds = strtoul(optarg, NULL, 10);
			break;
		case 'e':
			must_all = true;
			break;
		case 'f':
			failures_max = 1;
			break;
		case 'r':
			twice = true;
			break;
		case 'v':
			verbose = true;
			break;
		default:
			return usage();
		}
	}
	if (verbose) {
		run(seed, true);
		printf("%s\n", sim.failure[0] ? sim.failure : "passed");
		return sim.failure[0] != 0;
	}
	one = mmap(
		NULL, 2 * sizeof(*one), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (one == MAP_FAILED)
		return 71;
	while (done < seeds && failed < failures_max) {
		unsigned n = seeds - done < BATCH ? (unsigned)(seeds - done) : BATCH;

		if (!run_some(one, seed, n) || (twice && !replay(one + 1, one, seed, n)))
			failed++;
		add(&all, one);
		done += n;
		seed += n;
	}
	failed += print(&all, must_all);
	printf("sim: %lu passed, %lu failed\n", done - (failed < done ? failed : done), failed);
	return failed != 0;
}
