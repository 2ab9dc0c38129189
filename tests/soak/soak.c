/* SPDX-License-Identifier: ISC */
#include "soak.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "now.h"
#include "ops/handle.h"
#include "options.h"
#include "rng.h"

/*
 * The long stress. For an hour, or as long as it is told to, producers and consumers of all kinds
 * come and go on four queues, are killed, stopped and set going again at random moments, while
 * watchers read the live segments. Every few seconds the work is ended, half of the workers politely
 * and half by a kill, and every message must be accounted for.
 *
 *	--seconds 3600 --period 8 --seats 60 --seed N
 *
 * This process conducts and keeps the books. One line a period tells what it was.
 */

#define KILL_NS_MAX   (6 * CREW_MS)
#define STOP_NS_MAX   (40 * CREW_MS)
#define LONG_NS_MAX   (CREW_SECOND)
#define LOAD_NS_MAX   (2 * (int64_t)CREW_SECOND) /* until the load is another */
#define SILENT_NS_MAX (200 * CREW_MS)
#define OPEN_NS       (200 * CREW_MS) /* somebody opens each queue that often */
#define LEAVE_NS      (300 * CREW_MS) /* the polite have time to leave */
#define SEATS_MIN     2
#define STEP_NS       3000 /* longer than a step lasts, if it is not interrupted */
#define AIM_TRIES     10
#define ALARM_S       900

const char *const soak_names[SOAK_ALL_QUEUES] = {"plain", "timed", "brief", "dead"};

static struct soak *soak;
static uint64_t dice;
static struct sq *handle[SOAK_ALL_QUEUES];
static pid_t pids[SOAK_SEATS];       /* 0: nobody */
static int64_t wakes_ns[SOAK_SEATS]; /* stopped until then; 0: not stopped */
static unsigned seats = SOAK_SEATS;
static struct {
	uint64_t kills, kills_stopped, stops, starts, aimed, left, most, put;
} total, period;

static uint64_t chance(uint64_t n)
{
	return (rng_next(&dice) >> 24) % n;
}

/* Half of them very short. */
static int64_t any_time(int64_t max_ns)
{
	return (int64_t)chance((uint64_t)(chance(2) ? max_ns / 50 : max_ns));
}

static unsigned population(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < seats; i++)
		n += pids[i] != 0;
	return n;
}

static enum soak_role any_role(void)
{
	static const enum soak_role roles[] = {SOAK_BOUND, SOAK_BOUND, SOAK_BOUND, SOAK_UNBOUND,
		SOAK_UNBOUND, SOAK_GETTER, SOAK_GETTER, SOAK_GETTER, SOAK_LEASER, SOAK_LEASER,
		SOAK_LEASER, SOAK_LEASER, SOAK_LEASER, SOAK_LOOKER, SOAK_UNDERTAKER};

	return roles[chance(sizeof(roles) / sizeof(roles[0]))];
}

static void start(unsigned i)
{
	struct soak_seat *seat = &soak->seat[i];

	/* Its former holder has been waited for, and is accounted for. */
	seat->calling = false;
	seat->leave = false;
	for (int n = 0; n < SOAK_HANDS; n++)
		seat->hand[n] = 0;
	memset(seat->buffer, 0, sizeof(seat->buffer));
	seat->role = any_role();
	seat->queue = seat->role == SOAK_UNDERTAKER ? SOAK_DEAD
		      : seat->role == SOAK_LOOKER   ? (enum soak_queue)chance(SOAK_ALL_QUEUES)
						    : (enum soak_queue)chance(SOAK_QUEUES);
	wakes_ns[i] = 0;
	pids[i] = crew_fork();
	if (pids[i] == 0) {
		soak_work(soak, i);
		_exit(0);
	}
	period.starts++;
}

static void end(unsigned i)
{
	int status;

	(void)kill(pids[i], SIGKILL);
	status = crew_wait(pids[i]);
	/* It may have left just before. */
	if (status != 0 && (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL))
		crew_die("worker %u ended by itself: status %x", i, (unsigned)status);
	if (status != 0)
		soak_account(soak, i);
	pids[i] = 0;
	period.kills += status != 0;
	period.kills_stopped += status != 0 && wakes_ns[i] != 0;
	period.left += status == 0;
}

/* Those that have left by themselves. */
static void see_off(void)
{
	for (unsigned i = 0; i < seats; i++) {
		siginfo_t info = {0};

		if (pids[i] == 0 ||
			waitid(P_PID, (id_t)pids[i], &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
			info.si_pid == 0)
			continue;
		if (crew_wait(pids[i]) != 0)
			crew_die("worker %u ended by itself", i);
		pids[i] = 0;
		period.left++;
	}
}

static void set_going(int64_t now)
{
	for (unsigned i = 0; i < seats; i++) {
		if (pids[i] == 0 || wakes_ns[i] == 0 || wakes_ns[i] > now)
			continue;
		(void)kill(pids[i], SIGCONT);
		wakes_ns[i] = 0;
	}
}

static void stop(unsigned i, int64_t now)
{
	if (wakes_ns[i])
		return;
	(void)kill(pids[i], SIGSTOP);
	wakes_ns[i] = now + 1 + any_time(chance(20) ? STOP_NS_MAX : LONG_NS_MAX);
	period.stops++;
}

/* Whose seat is this slot of the queue's? SOAK_SEATS: nobody's. */
static unsigned seat_of(const struct sqi_slot *slot)
{
	uint64_t pid = sqi_load_relaxed(&slot->pid);

	for (unsigned i = 0; i < seats; i++)
		if (pids[i] && (uint64_t)pids[i] == pid)
			return i;
	return SOAK_SEATS;
}

/* If it goes on at once, it will be somewhere else when a signal comes. */
static bool stays(const sqi_u64 *word, uint64_t v)
{
	int64_t until = now_ns() + STEP_NS;

	while (now_ns() < until)
		if (sqi_load_seq(word) != v)
			return false;
	return true;
}

/* Whose is this cell, if a process is just filling it, or letting it go? */
static unsigned in_a_step(const struct sq *h, uint64_t cell)
{
	const sqi_u64 *word = &sqi_cell(&h->ring, cell)->word;
	uint64_t w = sqi_load_seq(word);
	enum sqi_state state = sqi_word_state(w);

	if (state != SQI_WRITING && state != SQI_VOID && state != SQI_RELEASING)
		return SOAK_SEATS;
	return stays(word, w) ? seat_of(sqi_slot(&h->ring, sqi_word_owner(w) - 1)) : SOAK_SEATS;
}

/* The same of a slot, if its put is in doubt: perhaps committed, and not yet counted. */
static unsigned in_doubt(const struct sq *h, unsigned n)
{
	const struct sqi_slot *slot = sqi_slot(&h->ring, n);
	uint64_t puts = sqi_load_seq(&slot->puts);

	if (sqi_load_seq(&slot->id) == 0 || sqi_load_seq(&slot->intent_base) != puts)
		return SOAK_SEATS;
	return stays(&slot->puts, puts) ? seat_of(slot) : SOAK_SEATS;
}

/*
 * A process in the middle of a put, or of freeing a block. Such a moment is short, and by chance
 * alone seldom met; but many processes wait for a processor at any time, and some of them there.
 */
static bool aim(unsigned *ret)
{
	unsigned i = SOAK_SEATS;

	for (unsigned n = 0; n < AIM_TRIES * SOAK_ALL_QUEUES && i == SOAK_SEATS; n++) {
		const struct sq *h = handle[n % SOAK_ALL_QUEUES];

		for (unsigned k = 0; k < h->ring.g.in.participants && i == SOAK_SEATS; k++)
			i = in_doubt(h, k);
		for (uint64_t k = 0; k <= h->ring.mask && i == SOAK_SEATS; k++)
			i = in_a_step(h, k);
	}
	if (i == SOAK_SEATS)
		return false;
	*ret = i;
	return true;
}

/* One thing done to somebody, or to the load. */
static void act(unsigned target, int64_t now)
{
	unsigned i = (unsigned)chance(seats), n = population();

	if (pids[i] == 0) {
		if (n < target)
			start(i);
		return;
	}
	if (n > target) {
		if (chance(2))
			soak->seat[i].leave = true;
		else
			end(i);
		return;
	}
	switch (chance(6)) {
	case 0:
	case 1:
		if (chance(2) && aim(&i))
			period.aimed++;
		end(i);
		if (chance(4))
			start(i);
		break;
	case 2:
		soak->seat[i].leave = true;
		break;
	case 3:
		if (aim(&i)) {
			period.aimed++;
			stop(i, now);
		}
		break;
	default:
		stop(i, now);
		break;
	}
}

static void harass(int64_t until)
{
	int64_t load_ns = 0, silent_ns = 0, open_ns = 0, act_ns = 0, now;
	unsigned target = seats;

	while ((now = now_ns()) < until) {
		unsigned n;

		if (crew_failed())
			crew_die("somebody failed");
		if (now >= load_ns) {
			/* As often few as many. */
			target = SEATS_MIN +
				 (unsigned)chance(chance(2) ? seats - SEATS_MIN + 1 : 6);
			if (target > seats)
				target = seats;
			load_ns = now + any_time(LOAD_NS_MAX);
		}
		if (now >= silent_ns) {
			soak->silence = !soak->silence && chance(3) == 0;
			soak->strike = chance(3) ? 0 : (unsigned)chance(1 << SOAK_ALL_QUEUES);
			silent_ns = now + any_time(SILENT_NS_MAX);
		}
		if (now >= open_ns) {
			for (unsigned q = 0; q < SOAK_ALL_QUEUES; q++)
				sq_close(crew_open(soak_names[q]));
			soak->opens++;
			open_ns = now + OPEN_NS;
		}
		see_off();
		set_going(now);
		n = population();
		if (n > period.most)
			period.most = n;
		if (now >= act_ns) {
			act(target, now);
			act_ns = now +
				 (n < target ? any_time(KILL_NS_MAX) / 8 : any_time(KILL_NS_MAX));
		}
		sleep_ns(CREW_MS / 10);
	}
}

/*
 * All processes end: most by themselves; some are killed at once, and those that sleep for ever,
 * later.
 */
static void end_all(void)
{
	int64_t until = now_ns() + LEAVE_NS;

	soak->enough = true;
	set_going(INT64_MAX);
	for (unsigned i = 0; i < seats; i++)
		if (pids[i] && chance(3) == 0)
			end(i);
	while (population() > 0 && now_ns() < until) {
		see_off();
		sleep_ns(CREW_MS / 4);
	}
	for (unsigned i = 0; i < seats; i++)
		if (pids[i])
			end(i);
	soak->enough = false;
	soak->silence = false;
	soak->strike = 0;
}

static void make_brief(void)
{
	/* The more is copied into a cell, the longer a put lasts. */
	static const uint32_t small[] = {48, 256, SOAK_SIZE_MAX};
	struct sq_config config = {
		.capacity = (uint64_t)1 << (1 + chance(10)),
		.small_message = small[chance(3)],
		.max_message = SOAK_SIZE_MAX,
		.participants = SOAK_PARTY,
		.lease_time = chance(4) ? 0 : SOAK_LEASE_NS,
		.block_memory = (uint64_t)1 << (14 + chance(6)),
		.flags = SQ_EPHEMERAL,
	};

	sq_close(handle[SOAK_BRIEF]);
	crew_queue(soak_names[SOAK_BRIEF], &config);
	handle[SOAK_BRIEF] = crew_open(soak_names[SOAK_BRIEF]);
}

static void make_queues(void)
{
	struct sq_config config = {.capacity = 256,
		.max_message = SOAK_SIZE_MAX,
		.participants = SOAK_PARTY,
		.block_memory = 1 << 17};

	crew_queue(soak_names[SOAK_PLAIN], &config);
	config.capacity = 1024;
	crew_queue(soak_names[SOAK_DEAD], &config);
	config.capacity = 64;
	config.lease_time = SOAK_LEASE_NS;
	config.max_attempts = SOAK_ATTEMPTS;
	config.dead_letter = soak_names[SOAK_DEAD];
	crew_queue(soak_names[SOAK_TIMED], &config);
	for (unsigned q = 0; q < SOAK_ALL_QUEUES; q++)
		if (q != SOAK_BRIEF)
			handle[q] = crew_open(soak_names[q]);
}

static pid_t watch(const enum soak_queue *queues, unsigned n, const _Atomic bool *on)
{
	pid_t pid = crew_fork();

	if (pid == 0) {
		soak_look(soak, queues, n, on);
		_exit(0);
	}
	return pid;
}

/* It was told to look no longer. */
static void end_watch(pid_t watcher)
{
	int status = crew_wait(watcher);

	if (status != 0)
		crew_die("the watcher failed: it ended with %d", status);
}

static void one_period(unsigned number, int64_t span_ns, int64_t began_ns)
{
	static const enum soak_queue brief[] = {SOAK_BRIEF};
	bool shut = chance(2);
	struct soak_result result;
	uint64_t passes = soak->passes, odd = soak->oddities;
	pid_t watcher;
	struct sq_stat st;

	memset(&period, 0, sizeof(period));
	/* In half of the periods only those that sleep and open look for the dead. */
	soak->shy = chance(2);
	make_brief();
	soak_open_books(soak, handle);
	soak->look_here = true;
	watcher = watch(brief, 1, &soak->look_here);
	harass(now_ns() + span_ns * 3 / 4);
	if (shut && sq_shutdown(handle[SOAK_BRIEF], false) < 0)
		crew_die("sq_shutdown failed");
	harass(now_ns() + span_ns / 4);
	end_all();
	soak_close_books(soak, handle, shut, &result);
	soak->look_here = false;
	end_watch(watcher);
	if (sq_stat(handle[SOAK_BRIEF], &st) < 0)
		crew_die("sq_stat failed");
	(void)printf("  %6.0f s, period %u: %" PRIu64 " put, %" PRIu64 " left over, %" PRIu64
		     " lost in killed gets, %" PRIu64 " done again, %" PRIu64 " buried, %" PRIu64
		     " redelivered, %" PRIu64 " overdue, %" PRIu64 " reclaimed, %" PRIu64
		     " revoked; to %" PRIu64 " at once, %" PRIu64 " starts, %" PRIu64
		     " kills (%" PRIu64 " of the stopped), %" PRIu64 " stops (%" PRIu64
		     " of both in the middle of a step), %" PRIu64 " odd calls, %" PRIu64
		     " looks; brief of %" PRIu64 "%s\n",
		(double)(now_ns() - began_ns) / CREW_SECOND, number, result.put, result.left,
		result.lost, result.twice, result.buried, result.redelivered, result.overdue,
		result.reclaimed, result.revoked, period.most, period.starts, period.kills,
		period.kills_stopped, period.stops, period.aimed, soak->oddities - odd,
		soak->passes - passes, st.capacity, shut ? ", shut down" : "");
	total.kills += period.kills;
	total.kills_stopped += period.kills_stopped;
	total.stops += period.stops;
	total.aimed += period.aimed;
	total.starts += period.starts;
	total.put += result.put;
}

int main(int argc, char **argv)
{
	static const enum soak_queue lasting[] = {SOAK_PLAIN, SOAK_TIMED, SOAK_DEAD};
	uint64_t seconds = option_number(argc, argv, "--seconds", 3600);
	int64_t span = (int64_t)option_number(argc, argv, "--period", 8) * CREW_SECOND;
	uint64_t seed = option_number(argc, argv, "--seed", (uint64_t)now_ns());
	int64_t began = now_ns(), until = began + (int64_t)seconds * CREW_SECOND;
	unsigned periods = 0;
	pid_t watcher;

	crew_init("soak", seed, (unsigned)seconds + ALARM_S);
	seats = (unsigned)option_number(argc, argv, "--seats", SOAK_SEATS);
	options_end(argc, argv);
	if (seats < SEATS_MIN || seats > SOAK_SEATS || span <= 0)
		crew_die("--seats %d to %d, --period 1 or more", SEATS_MIN, SOAK_SEATS);
	dice = rng_mix(seed);
	soak = crew_share(sizeof(*soak));
	soak->seed = seed;
	(void)printf("soak: seed %" PRIu64 ", %" PRIu64 " s in periods of %.0f s\n", seed, seconds,
		(double)span / CREW_SECOND);
	make_queues();
	soak->look_on = true;
	watcher = watch(lasting, sizeof(lasting) / sizeof(lasting[0]), &soak->look_on);
	while (now_ns() < until)
		one_period(++periods, span, began);
	soak->look_on = false;
	end_watch(watcher);
	for (unsigned q = 0; q < SOAK_ALL_QUEUES; q++)
		sq_close(handle[q]);
	return crew_finish("%u periods passed, 0 failed: %" PRIu64 " messages, %" PRIu64
			   " processes, %" PRIu64 " kills (%" PRIu64 " of the stopped), %" PRIu64
			   " stops (%" PRIu64 " of both in the middle of a step); %" PRIu64
			   " looks at the live segments, %" PRIu64 " words, %" PRIu64
			   " of them changed",
		periods, total.put, total.starts, total.kills, total.kills_stopped, total.stops,
		total.aimed, soak->passes, soak->words, soak->changes);
}
