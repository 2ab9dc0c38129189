/* SPDX-License-Identifier: ISC */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "world.h"

/*
 * The explorer's command line: all scenarios, or one; all schedules within the bounds, or random
 * ones; or one schedule again.
 */

static unsigned long runs, total_steps;

static unsigned participants(const struct scenario *s)
{
	unsigned n = 0;

	while (n < CO_MAX && s->ops[n][0].kind != OP_END)
		n++;
	return n;
}

static void run_once(const struct scenario *s)
{
	explorer.count = participants(s);
	explorer.bounds = s->bounds;
	explorer.killed = world_killed;
	for (unsigned i = 0; i < explorer.count; i++)
		explorer.body[i] = world_body;
	world_reset(s);
	explore_run();
	check_run();
	runs++;
	for (unsigned i = 0; i < explorer.count; i++)
		total_steps += explorer.steps[i];
}

/* False: something was wrong, and is printed. */
static bool run_checked(const struct scenario *s)
{
	run_once(s);
	if (!explorer.failure)
		return true;
	printf("FAILED %s: %s\n", s->name, explorer.failure);
	explore_print();
	return false;
}

static double seconds(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static bool explore(const struct scenario *s, uint64_t seed, unsigned long most)
{
	unsigned long before = runs;
	double began = seconds();

	explore_reset(seed);
	do
		if (!run_checked(s))
			return false;
	while (explore_next() && (most == 0 || runs - before < most));
	printf("%-40s %9lu schedules %s, %.1f s\n", s->name, runs - before,
		seed                            ? "at random"
		: most && runs - before == most ? "of more"
						: "all there are",
		seconds() - began);
	return true;
}

int main(int argc, char **argv)
{
	const char *only = NULL, *replay = NULL;
	unsigned long most = 0;
	uint64_t seed = 0;
	int preemptions = -1, option, passed = 0, failed = 0;

	while ((option = getopt(argc, argv, "s:r:n:p:S:")) != -1) {
		switch (option) {
		case 's':
			only = optarg;
			break;
		case 'r':
			replay = optarg;
			break;
		case 'n':
			most = strtoul(optarg, NULL, 10);
			break;
		case 'p':
			preemptions = atoi(optarg);
			break;
		case 'S':
			seed = strtoul(optarg, NULL, 10);
			break;
		default:
			fprintf(stderr,
				"usage: model [-s scenario] [-p preemptions] [-n schedules] [-S seed] [-r schedule]\n");
			return 64;
		}
	}
	for (const struct scenario *s = scenarios; s->name; s++) {
		struct scenario copy = *s;

		if (only && !strstr(s->name, only))
			continue;
		if (preemptions >= 0)
			copy.bounds.preemptions = preemptions;
		if (seed)
			copy.bounds.preemptions = 1 << 20;
		if (replay) {
			explore_replay(replay);
			printf("%s\n", run_checked(&copy) ? "passed" : "failed");
			return explorer.failure != NULL;
		}
		if (explore(&copy, seed, most))
			passed++;
		else
			failed++;
		(void)fflush(stdout);
	}
	printf("model: %lu schedules, %lu steps\n%d passed, %d failed\n", runs, total_steps, passed,
		failed);
	return failed != 0;
}
