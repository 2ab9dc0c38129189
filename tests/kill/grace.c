/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "crew.h"
#include "now.h"
#include "ops/handle.h"
#include "options.h"
#include "rng.h"

/*
 * A durable participant is killed at random moments, also while it comes, and somebody comes with its
 * key: in time, too late, or at about the moment when its grace is over. Meanwhile another looks after
 * the dead all the time, and is killed, too. Who comes in time has all its leases, and each as it was;
 * who comes too late has none, and all of them are delivered again, once more than before.
 *
 *	--rounds 1000 --seed N
 */

#define KEY      5
#define MESSAGES 48
#define HELD_MAX 12
#define LENGTH   600 /* of every second: in a block */
#define LONG     (3600 * (int64_t)CREW_SECOND)
#define LIFE_NS  (3 * CREW_MS)
#define ALARM_S  600

enum doing { NOTHING, LEASING, NACKING, ACKING };

/* What the holder says of itself. Of what it was doing when it was killed it is not known. */
static struct said {
	_Atomic uint64_t run;
	atomic_int doing;
	_Atomic uint64_t with; /* this message, if it is not leasing */
	atomic_bool held[MESSAGES], gone[MESSAGES];
	_Atomic uint32_t attempts[MESSAGES]; /* of the last lease */
} * said;

static struct sq *h;
static uint64_t chance, put;
static unsigned adopted, given_up;
static uint64_t chain; /* the run that is away now, or 0 */
static int64_t grace;

static uint64_t below(uint64_t n)
{
	return rng_next(&chance) % n;
}

static void put_message(uint64_t v)
{
	unsigned char buf[LENGTH];

	if (sq_put(h, buf, crew_write(buf, v, v % 2 ? LENGTH : CREW_HEAD), SQ_NOWAIT) < 0)
		crew_die("message %" PRIu64 " does not go in", v);
	said->held[v] = said->gone[v] = false;
	said->attempts[v] = 0;
	put++;
}

static uint64_t value_of(const struct sq_lease *lease)
{
	uint64_t v = crew_read(lease->data, lease->len);

	if (v >= MESSAGES)
		crew_die("a message that nobody put");
	return v;
}

/* One call of the holder. */
static unsigned act(struct sq *d, struct sq_lease *lease, unsigned n)
{
	uint64_t dice = below(8), v;
	unsigned which;

	if (n == 0 || (dice < 4 && n < HELD_MAX)) {
		said->doing = LEASING;
		if (sq_lease(d, &lease[n], SQ_NOWAIT) == 0) {
			v = value_of(&lease[n++]);
			said->attempts[v] = lease[n - 1].attempts;
			said->held[v] = true;
		}
		said->doing = NOTHING;
		return n;
	}
	which = (unsigned)below(n);
	v = value_of(&lease[which]);
	said->with = v;
	said->doing = dice == 7 ? ACKING : NACKING;
	if ((dice == 7 ? sq_ack : sq_nack)(d, &lease[which]) < 0)
		crew_die("a lease ended by itself");
	said->gone[v] = dice == 7;
	said->held[v] = false;
	said->doing = NOTHING;
	lease[which] = lease[n - 1];
	return n - 1;
}

static void hold(void)
{
	struct sq_lease lease[MESSAGES];
	struct sq *d;
	uint64_t number;
	int n;

	if (sq_open_durable(&d, "grace", KEY, grace) < 0 || sq_durable_run(d, &number) < 0)
		crew_die("the holder cannot come");
	said->run = number;
	n = sq_held(d, lease, MESSAGES);
	if (n < 0)
		crew_die("sq_held: %d", n);
	for (;;) {
		n = (int)act(d, lease, (unsigned)n);
		sleep_ns((int64_t)below(60000));
	}
}

static pid_t start(void (*f)(void))
{
	uint64_t seed = rng_next(&chance);
	pid_t pid = crew_fork();

	if (pid == 0) {
		chance = seed;
		f();
		_exit(0);
	}
	return pid;
}

/* Another, that looks after the dead all the time. */
static void look_after(void)
{
	struct sq *other = crew_open("grace");

	for (;;) {
		if (sq_recover(other) < 0)
			crew_die("sq_recover failed");
		sleep_ns((int64_t)below(300000));
	}
}

/* The holder lives for a while. It was doing this when it was killed. */
static enum doing live_and_die(void)
{
	pid_t pid;

	said->run = 0;
	said->doing = NOTHING;
	pid = start(hold);
	sleep_ns((int64_t)below(LIFE_NS));
	crew_kill(pid);
	return (enum doing)atomic_load(&said->doing);
}

/* This one was held when its holder was killed: surely, surely not (0), or that is not known (-1). */
static int was_held(uint64_t v, enum doing doing)
{
	if ((doing == NACKING || doing == ACKING) && said->with == v)
		return -1;
	return said->held[v];
}

/* All leases are d's, and each is the one that it was. */
static void check_adopted(struct sq *d, enum doing doing)
{
	struct sq_lease lease[MESSAGES];
	int n = sq_held(d, lease, MESSAGES), more = 0;
	bool seen[MESSAGES] = {false};
	struct sq_stat st;

	if (sq_stat(d, &st) < 0 || (uint64_t)n != st.leased)
		crew_die("%d leases held, %" PRIu64 " leased", n, st.leased);
	for (int i = 0; i < n; i++) {
		uint64_t v = value_of(&lease[i]);

		if (seen[v])
			crew_die("message %" PRIu64 " is held twice", v);
		seen[v] = true;
		if (was_held(v, doing) == 0)
			more++; /* its lease was the last thing that happened */
		else if (lease[i].attempts != said->attempts[v])
			crew_die("message %" PRIu64 ": attempt %u, not %u", v, lease[i].attempts,
				said->attempts[v]);
		said->attempts[v] = lease[i].attempts;
		said->held[v] = true;
	}
	if (more > (doing == LEASING))
		crew_die("%d leases that nobody had", more);
	for (uint64_t v = 0; v < MESSAGES; v++) {
		if (!seen[v] && was_held(v, doing) > 0)
			crew_die("the lease of message %" PRIu64 " is lost", v);
		/* It was given back, or acked. */
		if (!seen[v] && was_held(v, doing) < 0) {
			said->held[v] = false;
			said->gone[v] = doing == ACKING;
		}
	}
	adopted++;
}

/* Nobody holds anything, and each message that is not gone is there, once. Then all begins anew. */
static void check_given_up(enum doing doing)
{
	unsigned times[MESSAGES] = {0}, more = 0;
	struct sq_lease lease;
	struct sq_stat st;

	if (sq_stat(h, &st) < 0 || st.leased != 0 || st.away != 0)
		crew_die("%" PRIu64 " leased, %" PRIu64 " away, after the grace", st.leased,
			st.away);
	while (sq_lease(h, &lease, SQ_NOWAIT) == 0) {
		uint64_t v = value_of(&lease);

		times[v]++;
		/* Above that they are not exact. */
		if (lease.attempts <= SQI_NUMBER_ONCE && lease.attempts != said->attempts[v] + 1)
			more += lease.attempts == said->attempts[v] + 2 ? 1 : 9;
		if (sq_ack(h, &lease) < 0)
			crew_die("a lease ended by itself");
	}
	if (more > (doing == LEASING))
		crew_die("some were leased more often, or less, than somebody knows");
	for (uint64_t v = 0; v < MESSAGES; v++) {
		bool perhaps = doing == ACKING && said->with == v;

		if (times[v] > 1 || (times[v] != !said->gone[v] && !perhaps))
			crew_die("message %" PRIu64 ": %u times", v, times[v]);
		put_message(v);
	}
	chain = 0;
	given_up++;
}

/* Open with the key. Returns whether the leases were adopted; dies if that was not allowed. */
static bool come(enum doing doing, bool may, bool may_not)
{
	uint64_t before = chain ? chain : said->run, number;
	struct sq *d;
	bool has;

	if (sq_open_durable(&d, "grace", KEY, LONG) < 0 || sq_durable_run(d, &number) < 0)
		crew_die("nobody can come");
	has = sqi_load_seq(&d->ring.slot->run) != d->member.id;
	if (before && has != (number == before))
		crew_die("%s, and the run says otherwise", has ? "adopted" : "not adopted");
	if (has ? !may : (before && !may_not))
		crew_die("%s", has ? "adopted after the grace" : "not adopted, before the grace");
	if (has) {
		check_adopted(d, doing);
		chain = number;
	} else {
		if (sq_held(d, NULL, 0) != 0)
			crew_die("not adopted, and holds something");
		if (sq_retire(d) < 0)
			crew_die("sq_retire failed");
	}
	sq_close(d);
	return has;
}

static void round_of(unsigned kind)
{
	enum doing doing;
	struct sq_stat st;

	grace = kind == 0 ? LONG : (int64_t)(1 + below(12)) * CREW_MS;
	doing = live_and_die();
	if (sq_recover(h) < 0)
		crew_die("sq_recover failed");
	if (kind == 2)
		sleep_ns((int64_t)below(2 * (uint64_t)grace));
	if (kind == 1) {
		sleep_ns(grace);
		if (sq_recover(h) < 0 || sq_stat(h, &st) < 0)
			crew_die("sq_recover failed");
		/* Killed while it came, it had promised nothing; the one before had. */
		if (st.away > 0 && (!chain || st.grace_left < LONG / 2))
			crew_die("a grace is over, and nobody noticed");
		if (st.away == 0) {
			if (below(2)) /* nobody need come for it */
				(void)come(doing, false, true);
			check_given_up(doing);
			return;
		}
	}
	if (!come(doing, true, kind == 2))
		check_given_up(doing);
}

int main(int argc, char **argv)
{
	uint64_t rounds = option_number(argc, argv, "--rounds", 1000);
	uint64_t seed = option_number(argc, argv, "--seed", (uint64_t)now_ns());
	const struct sq_config config = {.capacity = 64, .participants = 6, .max_message = LENGTH};
	pid_t other;

	options_end(argc, argv);
	crew_init("grace", seed, ALARM_S);
	chance = rng_mix(seed) | 1;
	said = crew_share(sizeof(*said));
	crew_queue("grace", &config);
	h = crew_open("grace");
	for (uint64_t v = 0; v < MESSAGES; v++)
		put_message(v);
	other = start(look_after);
	for (uint64_t i = 0; i < rounds; i++) {
		round_of((unsigned)below(3));
		if (below(4) == 0) {
			crew_kill(other);
			other = start(look_after);
		}
	}
	crew_kill(other);
	/* The last is given up by one who comes and retires. */
	if (chain) {
		struct sq *d;

		if (sq_open_durable(&d, "grace", KEY, 0) < 0 || sq_retire(d) < 0)
			crew_die("the last cannot be given up");
		sq_close(d);
	}
	if (sq_recover(h) < 0)
		crew_die("sq_recover failed");
	check_given_up(NOTHING);
	for (uint64_t v = 0; v < MESSAGES; v++) {
		unsigned char buf[LENGTH];

		if (sq_get(h, buf, sizeof(buf), SQ_NOWAIT) < 0)
			crew_die("a message is lost");
	}
	crew_check_rest(h, put);
	sq_close(h);
	return crew_finish("%" PRIu64
			   " holders killed; %u times adopted, with all leases; %u times too "
			   "late, with none",
		rounds, adopted, given_up);
}
