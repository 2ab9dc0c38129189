/* SPDX-License-Identifier: ISC */
#include "explore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arrows.h"
#include "kernel.h"
#include "rng.h"
#include "share.h"
#include "state.h"
#include "switch.h"
#include "trace.h"

/*
 * The search. At a state there are some acts to choose from; doing one leads to the next state.
 * Where there is a choice, the state is kept, and gone back to for the next act.
 *
 * The sequence of acts is the schedule that a failure prints, and that replays it.
 */

#define PATH_MAX_ACTS 200000
#define TICK_SLACK    1000
#define TICKS_MAX     30 /* in vain, with nobody left who could make news */
/*
 * The last of those are this late. A lap of recovery that its recoverer left by dying keeps others
 * from beginning one for a second: all of them together take longer than that.
 */
#define TICKS_LATE 10
#define LATE_NS    200000000
#define ACTS_MAX   (6 * CO_MAX)

enum act_kind {
	ACT_RUN,  /* one step of this participant */
	ACT_WAKE, /* the futex call under way wakes this one of its sleepers */
	ACT_TICK, /* this sleeper's time is up, though others could go on */
	ACT_KILL,
	ACT_STOP,
	ACT_TIME, /* nobody can go on: time passes, until the first sleeper's */
	ACT_FLOW, /* nobody can, but some are stopped: see that others could; then they go on */
};

static const char *const act_name[] = {NULL, NULL, "its time is up", "killed", "stopped",
	"time passes", "the auditor puts and gets; then the stopped go on"};

struct act {
	uint8_t kind, who;
	uint16_t steps; /* of a run: single ones */
};

struct run run;
struct explorer explorer;

static struct act path[PATH_MAX_ACTS];
static size_t length;
static unsigned quiet; /* accesses in this step beside the first */

/* Where there was a choice: the acts left, and how long the path was. */
struct fork {
	struct act act[ACTS_MAX];
	unsigned acts, next;
	size_t length;
};

static struct fork *forks;
static size_t depth, forks_room;

void explore_fail(const char *what)
{
	if (!explorer.failure)
		explorer.failure = what;
}

static bool can_run(unsigned who)
{
	return run.person[who].state == PERSON_READY && !run.person[who].stopped;
}

static bool can_wait(unsigned who)
{
	return run.person[who].state == PERSON_ASLEEP && !run.person[who].stopped;
}

static bool is_done(unsigned who)
{
	return run.person[who].state == PERSON_DONE || run.person[who].state == PERSON_KILLED;
}

static void add(struct act *list, unsigned *n, enum act_kind kind, unsigned who)
{
	list[(*n)++] = (struct act){.kind = (uint8_t)kind, .who = (uint8_t)who};
}

/* All that can happen now; going straight on comes first. None: this is the end. */
static unsigned acts_now(struct act list[ACTS_MAX])
{
	const struct bounds *b = &explorer.bounds;
	bool straight = run.last >= 0 && can_run((unsigned)run.last);
	unsigned n = 0, runnable = 0, waiting = 0, stopped = 0;

	if (run.asking) {
		for (unsigned i = 0; i < run.asking; i++)
			add(list, &n, ACT_WAKE, i);
		return n;
	}
	for (unsigned i = 0; i < explorer.count; i++) {
		runnable += can_run(i);
		waiting += can_wait(i);
		stopped += run.person[i].stopped && !is_done(i);
	}
	if (straight)
		add(list, &n, ACT_RUN, (unsigned)run.last);
	if (!straight || b->preemptions == ALL || run.preemptions < b->preemptions)
		for (unsigned i = 0; i < explorer.count; i++)
			if (can_run(i) && !(straight && (int)i == run.last))
				add(list, &n, ACT_RUN, i);
	if (runnable == 0) {
		if (waiting > 0)
			add(list, &n, ACT_TIME, 0);
		else if (stopped > 0)
			add(list, &n, ACT_FLOW, 0);
		else
			return 0;
	}
	for (unsigned i = 0; i < explorer.count; i++) {
		if (runnable > 0 && can_wait(i) && run.ticks < b->ticks)
			add(list, &n, ACT_TICK, i);
		if (run.kills < b->kills && run.person[i].state != PERSON_KILLED &&
			(run.person[i].state != PERSON_DONE || explorer.matters(i)))
			add(list, &n, ACT_KILL, i);
		if (run.stops < b->stops && !run.flowed && (can_run(i) || can_wait(i)))
			add(list, &n, ACT_STOP, i);
	}
	return n;
}

static void step_of(unsigned who)
{
	quiet = 0;
	trace_before(who);
	arrows_before(who);
	switch_to(who);
	arrows_after();
	trace_after(who);
	explorer.steps++;
	state_moved((int)who);
	path[length - 1].steps = (uint16_t)(1 + quiet);
}

/* This sleeper's time has come. */
static void tick(unsigned who)
{
	struct person *p = &run.person[who];

	if (run.now_ns < p->until_ns)
		run.now_ns = p->until_ns;
	run.now_ns += TICK_SLACK;
	p->woken = false;
	p->state = PERSON_READY;
}

/* Nobody can go on by himself. */
static void pass_time(void)
{
	int first = -1;

	for (unsigned i = 0; i < explorer.count; i++)
		if (can_wait(i) &&
			(first < 0 || run.person[i].until_ns < run.person[first].until_ns))
			first = (int)i;
	if (++run.person[first].ticks > TICKS_MAX) {
		explorer.starved((unsigned)first);
		run.person[first].state = PERSON_STARVED;
		return;
	}
	if (run.person[first].ticks > TICKS_MAX - TICKS_LATE)
		run.now_ns += LATE_NS;
	tick((unsigned)first);
	run.person[first].timed_out = true;
}

/* The stopped go on. A participant that slept in vain till now may have something to wait for. */
static void go_on(void)
{
	share_set_mode(SHARE_ALL);
	explorer.flow();
	share_set_mode(SHARE_OFF);
	run.flowed = true;
	for (unsigned i = 0; i < explorer.count; i++) {
		struct person *p = &run.person[i];

		p->stopped = false;
		p->ticks = 0;
		if (p->state == PERSON_STARVED)
			p->state = PERSON_ASLEEP;
	}
	state_moved(-1);
}

static void perform(struct act a)
{
	if (length == PATH_MAX_ACTS)
		abort();
	path[length++] = a;
	if (act_name[a.kind])
		trace_act(act_name[a.kind], a.kind < ACT_TIME ? (int)a.who : -1);
	switch ((enum act_kind)a.kind) {
	case ACT_RUN:
		if (run.last >= 0 && run.last != (int)a.who && can_run((unsigned)run.last) &&
			explorer.bounds.preemptions != ALL)
			run.preemptions++;
		run.last = (int8_t)a.who;
		step_of(a.who);
		break;
	case ACT_WAKE:
		run.asking = 0;
		run.answer = a.who;
		switch_to(run.asker);
		state_moved(run.asker);
		break;
	case ACT_TICK:
		run.ticks++;
		tick(a.who);
		break;
	case ACT_KILL:
		run.kills++;
		run.person[a.who] = (struct person){.state = PERSON_KILLED};
		for (unsigned i = 0; i < explorer.count; i++)
			run.person[i].ticks = 0; /* that is news to sleepers */
		explorer.killed(a.who);
		state_moved((int)a.who);
		break;
	case ACT_STOP:
		run.stops++;
		run.person[a.who].stopped = true;
		break;
	case ACT_TIME:
		pass_time();
		break;
	case ACT_FLOW:
		go_on();
		break;
	}
}

static void body(unsigned who)
{
	explorer.body(who);
	run.person[who].state = PERSON_DONE;
	run.person[who].steps = 0;
	run.person[who].fresh = false;
}

static void begin(void)
{
	explorer.states = explorer.steps = explorer.ends = 0;
	explorer.longest = 0;
	explorer.complete = true;
	explorer.failure = NULL;
	length = depth = 0;
	run.last = -1;
	for (unsigned i = 0; i < explorer.count; i++) {
		run.person[i] = (struct person){.state = PERSON_READY};
		switch_begin(i, body);
		switch_to(i); /* to before its first call */
	}
	state_moved(-1);
	state_push(); /* the first state stays below all others */
}

static void end_of_run(void)
{
	explorer.ends++;
	share_set_mode(SHARE_READS);
	explorer.check();
	share_set_mode(SHARE_OFF);
}

static void push_fork(const struct act *list, unsigned n)
{
	struct fork *f;

	if (depth == forks_room) {
		forks_room = forks_room ? forks_room * 2 : 1024;
		forks = realloc(forks, forks_room * sizeof(*forks));
		if (!forks)
			abort();
	}
	f = &forks[depth++];
	memcpy(f->act, list, n * sizeof(*list));
	f->acts = n;
	f->next = 1;
	f->length = length;
	state_push();
}

/* To the last state at which there is something left to do. False: there is none. */
static bool go_back(struct act *ret)
{
	struct fork *f;

	if (depth == 0)
		return false;
	f = &forks[depth - 1];
	state_back();
	length = f->length;
	*ret = f->act[f->next++];
	if (f->next == f->acts) {
		state_pop();
		depth--;
	}
	return true;
}

/* One search, till all is visited, something is wrong, or one more word is found to be shared. */
static bool search(void)
{
	struct act list[ACTS_MAX], a;

	visited_reset(explorer.memory);
	while (!share_changed()) {
		enum visit visit = visited(state_hash());
		unsigned n;

		if (visit == VISIT_NO_ROOM ||
			(explorer.states_max && explorer.states > explorer.states_max)) {
			explorer.complete = false;
			return true;
		}
		if (visit == VISIT_NEW) {
			explorer.states++;
			n = acts_now(list);
			if (n == 0)
				end_of_run();
			if (explorer.failure)
				return false;
		} else {
			n = 0;
		}
		if (n == 0) {
			if (!go_back(&a))
				return true;
		} else {
			if (n > 1)
				push_fork(list, n);
			a = list[0];
		}
		perform(a);
		if (explorer.failure)
			return false;
	}
	return true;
}

bool explore_all(void)
{
	bool good;

	explorer.searches = 0;
	do {
		share_freeze();
		begin();
		explorer.searches++;
		good = search();
		/* Back to the first state, the only one that is kept below all forks. */
		if (share_changed() && good) {
			while (depth > 0) {
				state_pop();
				depth--;
			}
			state_back();
			state_pop();
		}
	} while (good && share_changed());
	return good;
}

static uint64_t random_state;

static unsigned random_below(unsigned n)
{
	return (unsigned)((rng_shift(&random_state) >> 32) * n >> 32);
}

/*
 * For each random schedule it is drawn anew how often each participant goes straight on, and how
 * seldom something befalls it.
 */
static bool run_at_random(void)
{
	unsigned straight = 1u << random_below(6), seldom = 8u << random_below(6), n;
	struct act list[ACTS_MAX];

	while ((n = acts_now(list)) > 0) {
		struct act a = list[0];

		if (a.kind != ACT_RUN || random_below(straight) == 0) {
			a = list[random_below(n)];
			if ((a.kind == ACT_KILL || a.kind == ACT_STOP) && random_below(seldom) != 0)
				a = list[0];
		}
		perform(a);
		if (explorer.failure)
			return false;
	}
	end_of_run();
	return explorer.failure == NULL;
}

bool explore_random(uint64_t seed, unsigned long schedules)
{
	random_state = seed * 0x9e3779b97f4a7c15 + 1;
	begin();
	while (schedules-- > 0) {
		state_back();
		length = 0;
		if (!run_at_random())
			return false;
	}
	return true;
}

static const char letter[] = {'r', 'w', 't', 'k', 's', 'T', 'F'};

size_t explore_print(void)
{
	size_t all = 0;

	printf("schedule ");
	for (size_t i = 0, k; i < length; i = k) {
		size_t steps = path[i].steps;

		for (k = i + 1; k < length && path[i].kind == ACT_RUN && path[k].kind == ACT_RUN &&
				path[k].who == path[i].who;
			k++)
			steps += path[k].steps;
		all += steps;
		if (path[i].kind == ACT_RUN)
			printf("%u:%zu,", path[i].who, steps);
		else
			printf("%c%u,", letter[path[i].kind], path[i].who);
	}
	printf("end\n");
	return all;
}

/* The next act of a written schedule. False: it ends here. */
static bool read_act(const char **text, struct act *ret, unsigned *times)
{
	unsigned who;
	int used;
	char c;

	if (sscanf(*text, "%u:%u,%n", &who, times, &used) == 2) {
		*ret = (struct act){.kind = ACT_RUN, .who = (uint8_t)who};
		*text += used;
		return true;
	}
	if (sscanf(*text, "%c%u,%n", &c, &who, &used) == 2) {
		for (unsigned k = 0; k < sizeof(letter); k++)
			if (letter[k] == c) {
				*ret = (struct act){.kind = (uint8_t)k, .who = (uint8_t)who};
				*times = 1;
				*text += used;
				return true;
			}
	}
	return false;
}

static bool possible(struct act a, const struct act *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (list[i].kind == a.kind && list[i].who == a.who)
			return true;
	return false;
}

/* Behind the schedule's end all go straight on, and nothing more happens to anybody. */
bool explore_replay(const char *schedule)
{
	struct act list[ACTS_MAX], a = {0};
	unsigned n, times = 0;
	bool reading = true;

	begin();
	while ((n = acts_now(list)) > 0) {
		if (reading && times == 0)
			reading = read_act(&schedule, &a, &times);
		if (reading) {
			times--;
			if (!possible(a, list, n)) {
				explore_fail("this schedule is of another scenario, or engine");
				return false;
			}
		}
		perform(reading ? a : list[0]);
		if (explorer.failure)
			return false;
	}
	end_of_run();
	return explorer.failure == NULL;
}

/* What coroutines call. Outside, by the auditor, steps are nobody's. */

void model_step(const void *address, const char *how)
{
	int self = switch_self();
	struct person *p;

	if (address && explorer.idle(address))
		return;
	share_note(self < 0 ? AUDITOR : (unsigned)self, address, how);
	if (self < 0)
		return;
	p = &run.person[self];
	if (++p->steps > explorer.longest)
		explorer.longest = p->steps;
	if (p->steps > explorer.call_steps) {
		explore_fail("a call takes more steps of its own than it should");
		switch_back();
	}
	p->next = address;
	p->how = how;
	if (p->fresh) {
		/* The call's first: it began with this step. */
		p->fresh = false;
		trace_first((unsigned)self);
	} else if (!explorer.single && address && share_quiet(address)) {
		quiet++;
	} else {
		switch_back();
	}
}

void explore_pause(void)
{
	struct person *p = &run.person[switch_self()];

	p->next = NULL;
	p->how = NULL;
	p->steps = 0;
	switch_back();
	p->fresh = true;
	p->ticks = 0;
}

unsigned explore_choose(unsigned n)
{
	if (n < 2 || switch_self() < 0)
		return 0;
	run.asking = (uint8_t)n;
	run.asker = (uint8_t)switch_self();
	switch_back();
	return run.answer;
}

bool explore_sleep(const void *bed, int64_t until_ns)
{
	struct person *p = &run.person[switch_self()];

	p->bed = bed;
	p->until_ns = until_ns;
	p->timed_out = p->woken = false;
	p->state = PERSON_ASLEEP;
	p->steps = 0;
	switch_back();
	p->bed = NULL;
	p->until_ns = 0;
	return p->woken;
}
