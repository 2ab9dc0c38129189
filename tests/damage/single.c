/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <unistd.h>

#include "guard.h"
#include "moment.h"
#include "run.h"
#include "scene.h"
#include "watch.h"

/*
 * One case in which all takes turns: a scene, damage, calls by those who run and by newcomers, more
 * damage between the calls and while somebody sleeps; at the end every call at least once. Time is
 * virtual, so the same seed is the same case.
 */

#define SECOND      ((int64_t)1000000000)
#define SPAN_NS_MAX 40000000
#define CALLS_MAX   24
#define CHANGES     4
#define SLEEPS_MAX  64 /* with damage during them, in a case */

#define STEPS_MAX  ((uint64_t)1 << 27) /* accesses in one call: some seconds with a sanitizer */
#define WITHIN_MAX 8                   /* changes within a call */

void damage_step(void);

struct single {
	struct scene s;
	struct chance c;
	unsigned sleeps;
	bool forged; /* for good */
};

static void damage(struct single *t, unsigned most)
{
	for (uint64_t n = 1 + chance_below(&t->c, most); n > 0; n--) {
		bool other = t->s.dead_letters.raw && chance_in(&t->c, 8);

		run_change(other ? &t->s.dead_letters : &t->s.queue, &t->c);
	}
}

/*
 * A call sleeps. Meanwhile, now and then, there is more damage, or another participant does
 * something.
 */
static void meanwhile(void *arg)
{
	struct single *t = arg;

	if (t->sleeps++ >= SLEEPS_MAX)
		return;
	if (chance_in(&t->c, 4))
		damage(t, 1);
}

/* The call that is going on, if the engine was compiled to tell of its steps. */
static struct {
	struct single *t; /* NULL: none */
	const struct player *p;
	uint64_t steps;
	uint64_t next; /* the step before which there is damage */
	unsigned left; /* so many times */
} within;

/* Where this participant is at work: on what it looks at, the next accesses depend. */
static uint64_t busy_at(const struct player *p, struct chance *c)
{
	uint64_t at;

	if (p->leases > 0 && chance_in(c, 3))
		return p->lease[chance_below(c, p->leases)].id;
	at = chance_in(c, 3) ? p->h->ring.tail : p->h->ring.front;
	return at - (chance_in(c, 4) ? 1 : 0);
}

static void plan(struct chance *c)
{
	within.next = within.steps + 1 + chance_below(c, (uint64_t)1 << chance_below(c, 9));
}

void damage_step(void)
{
	struct single *t = within.t;

	if (!t)
		return;
	if (++within.steps > STEPS_MAX)
		watch_broken("more than %llu accesses in one call", (unsigned long long)STEPS_MAX);
	if (within.left == 0 || within.steps < within.next)
		return;
	within.left--;
	within.t = NULL;
	if (within.p->h && !chance_in(&t->c, 3))
		run_change_cell(&t->s.queue, busy_at(within.p, &t->c), &t->c);
	else
		damage(t, 1);
	atomic_fetch_add(&run->changes_within, 1);
	plan(&t->c);
	within.t = t;
}

static void within_begin(struct single *t, struct player *p)
{
	within.p = p;
	within.steps = 0;
	within.left = chance_in(&t->c, 2) ? (unsigned)chance_below(&t->c, WITHIN_MAX + 1) : 0;
	p->unsteady = within.left > 0;
	plan(&t->c);
	within.t = t;
}

static void within_end(void)
{
	within.t = NULL;
	if (within.steps > atomic_load(&run->most_steps))
		atomic_store(&run->most_steps, within.steps);
}

/* After a long time leases have ended, and the dead are looked for again. */
static void pass_time(struct chance *c)
{
	static const int64_t spans[] = {0, 0, 1000000, 40000000, 2 * SECOND, 4000 * SECOND};

	moment_pass(spans[chance_below(c, 6)]);
}

static void act(struct single *t, enum call which)
{
	struct player *p = &t->s.player[chance_below(&t->c, PLAYERS)];

	pass_time(&t->c);
	if (!t->forged && chance_in(&t->c, 8))
		aim_mend(&t->s.queue);
	moment_during(meanwhile, t);
	within_begin(t, p);
	(void)player_call(p, which, &t->c);
	within_end();
	moment_during(NULL, NULL);
	/* Damage may keep it out now; another may find room. */
	if (chance_in(&t->c, 24)) {
		if (p->h && chance_in(&t->c, 2))
			player_die(p);
		else if (p->h)
			player_close(p);
		atomic_fetch_add(&run->deaths, 1);
	}
}

static enum call some_call(struct chance *c)
{
	enum call which = (enum call)chance_below(c, CALLS);

	/* What ends everything, and what is slow, comes less often. */
	if ((which == CALL_SHUTDOWN || which == CALL_FOREVER || which == CALL_SWEEP ||
		    which == CALL_LIST) &&
		!chance_in(c, 6))
		which = (enum call)chance_below(c, CALL_STAT);
	return which;
}

/* Every call at least once, in some order, from those who run and from those who come. */
static void each_call(struct single *t)
{
	enum call calls[CALLS];

	for (unsigned i = 0; i < CALLS; i++)
		calls[i] = (enum call)i;
	for (unsigned i = CALLS - 1; i > 0; i--) {
		unsigned j = (unsigned)chance_below(&t->c, i + 1);
		enum call other = calls[i];

		calls[i] = calls[j];
		calls[j] = other;
	}
	for (unsigned i = 0; i < CALLS; i++) {
		if (calls[i] == CALL_SWEEP && !chance_in(&t->c, 16))
			continue; /* it looks at no queue: enough if it is there */
		if (chance_in(&t->c, 6))
			damage(t, 1);
		act(t, calls[i]);
	}
}

/* A descriptor that is left open would be the lowest free one. */
static int lowest_free(void)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

	(void)close(fd);
	return fd;
}

void single_case(uint64_t seed)
{
	struct single t = {.c = chance_of_seed(seed)};
	struct sq_config config = scene_config(&t.c);
	unsigned most = chance_in(&t.c, 2) ? 1 : CHANGES;
	int fd = lowest_free();

	moment_virtual(1000 * SECOND + (int64_t)chance_below(&t.c, 1u << 30));
	scene_queues(&t.s, &t.c, &config);
	scene_play(&t.s, &t.c, true, SPAN_NS_MAX);
	t.forged = chance_in(&t.c, 16) && aim_forge(&t.s.queue, &t.c);
	if (t.forged)
		atomic_fetch_add(&run->forged, 1);
	for (unsigned i = 0; t.forged && i < PLAYERS; i++)
		t.s.player[i].shown = NULL;
	damage(&t, most);
	for (uint64_t n = chance_below(&t.c, CALLS_MAX); n > 0; n--) {
		if (chance_in(&t.c, 3))
			damage(&t, most);
		act(&t, some_call(&t.c));
	}
	each_call(&t);
	scene_end(&t.s);
	moment_real();
	if (guard_mappings() != 0)
		watch_broken("%u mappings are left", guard_mappings());
	if (lowest_free() != fd)
		watch_broken("a descriptor is left open: %d", fd);
}
