/* SPDX-License-Identifier: ISC */
#include <getopt.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "now.h"
#include "share.h"
#include "world.h"

/*
 * The explorer's command line: all scenarios, or one; all schedules within the bounds, or random
 * ones; or one schedule again, told step by step.
 */

#define MEMORY_MB      1024
#define QUICK          1 /* preemption, where all interleavings are more than ... */
#define QUICK_STATES   30000
#define CALL_STEPS_MAX 250 /* in scenarios that do not say */

struct options {
	const char *only, *replay;
	unsigned long schedules;
	uint64_t seed;
	size_t memory_mb;
	int preemptions, jobs;
	bool quick, longer, trace, set;
};

/* Of all scenarios, in whichever process they were gone through. */
struct sums {
	_Atomic unsigned long states, steps, ends;
	_Atomic unsigned longest;
	_Atomic int next, passed; /* next: the first scenario not yet begun */
};
static struct sums *all;

static double seconds(void)
{
	return (double)clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1e9;
}

static void prepare(const struct scenario *s)
{
	explorer.count = 0;
	while (explorer.count < CO_MAX && s->ops[explorer.count][0].kind != OP_END)
		explorer.count++;
	explorer.bounds = s->bounds;
	explorer.call_steps = s->steps ? s->steps : CALL_STEPS_MAX;
	explorer.body = world_body;
	explorer.killed = world_killed;
	explorer.starved = spec_starve;
	explorer.matters = world_matters;
	explorer.idle = world_idle;
	explorer.flow = check_flow;
	explorer.check = check_end;
	explorer.single = false;
	explorer.states_max = 0;
	share_reset();
	world_reset(s);
}

static void print_bounds(const struct bounds *b)
{
	if (b->preemptions == ALL)
		printf("all interleavings");
	else
		printf("up to %d preemptions", b->preemptions);
	if (b->kills)
		printf(", %d killed", b->kills);
	if (b->stops)
		printf(", %d stopped", b->stops);
	if (b->ticks)
		printf(", %d early ticks", b->ticks);
}

/* What went wrong, by a schedule with as few preemptions as show it. */
static void report(const struct scenario *s)
{
	struct scenario fewer = *s;

	explorer.states_max = 0;
	printf("FAILED %s: %s\n", s->name, explorer.failure);
	(void)explore_print();
	spec_print();
	for (int n = 0; n < 6 && !s->large && s->bounds.preemptions == ALL; n++) {
		fewer.bounds.preemptions = n;
		prepare(&fewer);
		if (explore_all())
			continue;
		printf("with %d preemptions: %s\n", n, explorer.failure);
		printf("%zu steps\n", explore_print());
		break;
	}
}

/* False: something is wrong, and was printed. */
static bool search(const struct scenario *s, const struct options *o)
{
	struct scenario quicker = *s;
	double began = seconds();
	bool good;

	prepare(s);
	explorer.single = o->seed != 0;
	explorer.states_max = o->quick ? QUICK_STATES : 0;
	good = o->seed ? explore_random(o->seed, o->schedules) : explore_all();
	if (good && o->quick && !explorer.complete) {
		quicker.bounds.preemptions = QUICK;
		s = &quicker;
		prepare(s);
		good = explore_all();
	}
	all->states += explorer.states;
	all->steps += explorer.steps;
	all->ends += explorer.ends;
	for (unsigned n = all->longest; n < explorer.longest;)
		(void)atomic_compare_exchange_weak(&all->longest, &n, explorer.longest);
	if (!good) {
		report(s);
		return false;
	}
	printf("%-38s ", s->name);
	if (o->seed)
		printf("%lu schedules at random, seed %lu", explorer.ends, (unsigned long)o->seed);
	else
		print_bounds(&s->bounds);
	printf(": %lu states, %lu steps, %lu ends, at most %u in a call, %.1f s of CPU\n",
		explorer.states, explorer.steps, explorer.ends, explorer.longest,
		seconds() - began);
	if (!explorer.complete)
		printf("NOT FINISHED %s: memory for the states visited ran out\n", s->name);
	return explorer.complete;
}

static int replay(const struct scenario *s, const struct options *o)
{
	bool good;

	explorer.trace = o->trace;
	prepare(s);
	explorer.bounds.preemptions = ALL; /* whatever bound it was found with */
	explorer.single = true;
	good = explore_replay(o->replay);
	if (!good) {
		printf("%s\n", explorer.failure);
		spec_print();
	}
	printf("%s\n", good ? "passed" : "failed");
	return !good;
}

static int usage(void)
{
	(void)fputs("usage: model [-s scenario] [-q | -l | -p preemptions] [-m MiB] [-j jobs]\n"
		    "             [-S seed] [-n schedules] [-r schedule [-v]]\n"
		    "  -q  quick: all of small scenarios, of others with one preemption\n"
		    "  -l  long: all interleavings of more scenarios, more preemptions of others\n"
		    "  -p  at most so many preemptions; -1: all interleavings\n"
		    "  -m  memory for the states visited (1024)\n"
		    "  -j  so many scenarios at a time, each with that memory (1)\n"
		    "  -S  at random, without a bound on preemptions\n"
		    "  -r  one schedule, as a failure printed it; -v: told step by step\n",
		stderr);
	return 64;
}

static int parse(struct options *o, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "s:r:n:p:S:m:j:qlv")) != -1) {
		switch (option) {
		case 's':
			o->only = optarg;
			break;
		case 'r':
			o->replay = optarg;
			break;
		case 'n':
			o->schedules = strtoul(optarg, NULL, 10);
			break;
		case 'p':
			o->preemptions = atoi(optarg);
			o->set = true;
			break;
		case 'S':
			o->seed = strtoul(optarg, NULL, 10);
			break;
		case 'm':
			o->memory_mb = strtoul(optarg, NULL, 10);
			break;
		case 'j':
			o->jobs = atoi(optarg);
			break;
		case 'q':
			o->quick = true;
			break;
		case 'l':
			o->longer = true;
			break;
		case 'v':
			o->trace = true;
			break;
		default:
			return usage();
		}
	}
	return 0;
}

/* By its name, or, if none has just that, by a part of it. */
static bool wanted(const struct scenario *s, const char *name)
{
	if (!name || strcmp(s->name, name) == 0)
		return true;
	for (const struct scenario *other = scenarios; other->name; other++)
		if (strcmp(other->name, name) == 0)
			return false;
	return strstr(s->name, name) != NULL;
}

static bool chosen(const struct scenario *s, const struct options *o)
{
	return wanted(s, o->only) && (o->only || s->large == (o->seed != 0));
}

/* The scenarios that nobody else has begun. True: one was to be replayed, and is wrong. */
static bool work(const struct options *o)
{
	int number = 0, mine = all->next++;

	for (const struct scenario *s = scenarios; s->name; s++) {
		struct scenario copy = *s;

		if (!chosen(s, o))
			continue;
		if (number++ != mine)
			continue;
		mine = all->next++;
		if (o->longer && s->longer)
			copy.bounds.preemptions = s->longer;
		if (o->set)
			copy.bounds.preemptions = o->preemptions;
		if (o->replay)
			return replay(&copy, o);
		all->passed += search(&copy, o);
		(void)fflush(stdout);
	}
	return false;
}

/* False: one of them did not end as it should. */
static bool work_together(const struct options *o)
{
	bool good = true;
	int status;

	for (int n = 0; n < o->jobs; n++) {
		pid_t pid = fork();

		if (pid < 0) {
			perror("model: fork");
			good = false;
			break;
		}
		if (pid == 0)
			_exit(work(o)); /* how the scenarios went is in the sums */
	}
	while (wait(&status) > 0)
		good = good && WIFEXITED(status);
	return good;
}

int main(int argc, char **argv)
{
	struct options o = {.schedules = 100000, .memory_mb = MEMORY_MB, .jobs = 1};
	bool good = true;
	int n = 0;

	if (parse(&o, argc, argv))
		return 64;
	for (const struct scenario *s = scenarios; s->name; s++)
		n += chosen(s, &o);
	if (n == 0) {
		fprintf(stderr, "model: there is no scenario `%s'\n", o.only ? o.only : "");
		return 64;
	}
	explorer.memory = o.memory_mb << 20;
	all = mmap(NULL, sizeof(*all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED) {
		perror("model: mmap");
		return 1;
	}
	/* A line at a time, whoever writes it. */
	(void)setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	if (o.replay)
		return work(&o);
	if (o.jobs > 1)
		good = work_together(&o);
	else
		(void)work(&o);
	printf("model: %lu states, %lu steps, %lu ends of runs; at most %u steps in a call\n",
		all->states, all->steps, all->ends, all->longest);
	/* One that a child died in has not passed either. */
	printf("model: %d passed, %d failed\n", all->passed, n - all->passed);
	return !good || all->passed != n;
}
