/* SPDX-License-Identifier: ISC */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crew.h"
#include "now.h"
#include "ops/handle.h"
#include "options.h"
#include "rng.h"

/*
 * Each call, a hundred times: a child does nothing but that call (and what must come before it) and
 * is killed at a random moment in it. Then this process looks at what it left: the durable count,
 * the messages and sq_stat() must agree to the last message, no block and no file may be lost, and
 * the queue must work.
 *
 *	--times 100 --seed N
 */

#define CAPACITY   8
#define SMALL      CREW_HEAD
#define BLOCK      900
#define KEY        7
#define CALL_NS    8000
#define TAKE_NS    1500
#define OPEN_NS    (CREW_MS / 5)
#define CREATE_NS  (4 * CREW_MS)
#define ALARM_S    1000
#define TEMPORARY  "/dev/shm"
#define DEBRIS_MAX 64
#define CLEAN_NS   (60 * (int64_t)CREW_SECOND)

enum phase { READY, FILLING, TAKING, OTHER };
enum in { IN_PUT, IN_MANY, IN_COMMIT };
enum out { OUT_GET, OUT_ACK, OUT_NACK, OUT_CLOSE };

/* What the child is at. Written by it, read after its death. */
static struct shared {
	_Atomic uint64_t phase;
	_Atomic uint64_t calling; /* in a call that takes a message away */
	_Atomic uint64_t taken;
} * shared;

struct kind {
	const char *name;
	size_t size;
	enum phase phase; /* in which it is to be killed */
	enum in in;
	enum out out;
	bool by_parent; /* who lives on puts, once, and owns the blocks */
};

static const struct kind kinds[] = {
	{"put small", SMALL, FILLING, IN_PUT, OUT_GET, false},
	{"put block", BLOCK, FILLING, IN_PUT, OUT_GET, false},
	{"put_many", BLOCK, FILLING, IN_MANY, OUT_GET, false},
	{"reserve+commit small", SMALL, FILLING, IN_COMMIT, OUT_GET, false},
	{"reserve+commit block", BLOCK, FILLING, IN_COMMIT, OUT_GET, false},
	{"get small", SMALL, TAKING, IN_PUT, OUT_GET, false},
	{"get block", BLOCK, TAKING, IN_PUT, OUT_GET, false},
	{"lease+ack small", SMALL, TAKING, IN_PUT, OUT_ACK, false},
	{"lease+ack block", BLOCK, TAKING, IN_PUT, OUT_ACK, false},
	{"lease+nack small", SMALL, TAKING, IN_PUT, OUT_NACK, false},
	{"lease+nack block", BLOCK, TAKING, IN_PUT, OUT_NACK, false},
	{"lease+close", BLOCK, TAKING, IN_PUT, OUT_CLOSE, false},
	{"get block of the living", BLOCK, TAKING, IN_PUT, OUT_GET, true},
	{"lease+ack block of the living", BLOCK, TAKING, IN_PUT, OUT_ACK, true},
};

/* Puts until the queue is full. The next number. */
static uint64_t fill(struct sq *h, const struct kind *k, uint64_t n)
{
	unsigned char buf[4][BLOCK];
	struct iovec iov[4];
	void *at;
	int r;

	for (;;) {
		switch (k->in) {
		case IN_PUT:
			r = sq_put(h, buf, crew_write(buf, n, k->size), SQ_NOWAIT);
			break;
		case IN_MANY:
			for (uint64_t i = 0; i < 4; i++) {
				iov[i].iov_base = buf[i];
				iov[i].iov_len = crew_write(buf[i], n + i, k->size);
			}
			r = sq_put_many(h, iov, 4, SQ_NOWAIT);
			n += r > 0 ? (uint64_t)r - 1 : 0;
			break;
		case IN_COMMIT:
			r = sq_reserve(h, k->size, &at);
			if (r == 0)
				r = sq_commit(h, crew_write(at, n, k->size), SQ_NOWAIT);
			if (r < 0)
				sq_abort(h);
			break;
		default:
			r = -EINVAL;
		}
		if (r == -EAGAIN)
			return n;
		if (r < 0)
			crew_die("%s: %s", k->name, sq_strerror(r));
		n++;
	}
}

/* Takes until the queue is empty; what is given back is then taken by sq_get(). */
static void take(struct sq **h, const struct kind *k)
{
	unsigned char buf[BLOCK];
	struct sq_lease lease;
	ssize_t r;

	for (int i = 0; i < CAPACITY && k->out != OUT_GET; i++) {
		if (sq_lease(*h, &lease, SQ_NOWAIT) < 0)
			break;
		(void)crew_read(lease.data, lease.len);
		if (k->out == OUT_CLOSE)
			continue;
		shared->calling = k->out == OUT_ACK;
		r = k->out == OUT_ACK ? sq_ack(*h, &lease) : sq_nack(*h, &lease);
		if (r < 0)
			crew_die("%s: %s", k->name, sq_strerror((int)r));
		shared->taken += k->out == OUT_ACK;
		shared->calling = 0;
	}
	if (k->out == OUT_CLOSE) {
		uint64_t n;

		sq_close(*h);
		*h = crew_open("call");
		r = sq_count_bind(*h, KEY, &n);
		if (r < 0)
			crew_die("sq_count_bind: %s", sq_strerror((int)r));
	}
	for (;;) {
		shared->calling = 1;
		r = sq_get(*h, buf, sizeof(buf), SQ_NOWAIT);
		if (r < 0)
			break;
		shared->taken++;
		shared->calling = 0;
		(void)crew_read(buf, (size_t)r);
	}
	shared->calling = 0;
	if (r != -EAGAIN)
		crew_die("sq_get: %s", sq_strerror((int)r));
}

static void loop(const struct kind *k)
{
	struct sq *h = crew_open("call");
	uint64_t n = 0;
	int r = k->by_parent ? 0 : sq_count_bind(h, KEY, &n);

	if (r < 0)
		crew_die("sq_count_bind: %s", sq_strerror(r));
	while (k->by_parent) {
		shared->phase = TAKING;
		take(&h, k);
	}
	for (;;) {
		shared->phase = FILLING;
		n = fill(h, k, n);
		shared->phase = TAKING;
		take(&h, k);
	}
}

/* Wait for the child to be in that phase, and a random moment more; then kill it. */
static void kill_in(pid_t pid, enum phase phase, int64_t max_ns, uint64_t *random)
{
	int64_t until;

	while (shared->phase != phase)
		if (crew_failed())
			crew_die("the child failed");
	until = now_ns() + (int64_t)(rng_next(random) >> 1) % max_ns;
	while (now_ns() < until)
		;
	crew_kill(pid);
	if (crew_failed())
		crew_die("the child failed");
}

/* What is in the queue is exactly what was put by the durable count, without what was taken. */
static void verify(struct sq *h, const struct kind *k)
{
	unsigned char buf[BLOCK];
	bool seen[CAPACITY] = {false};
	struct sq_stat st;
	uint64_t put, left, window;
	ssize_t r;

	/* Who closes may be killed when it is not a participant. */
	if (sq_recover(h) != 1 && k->out != OUT_CLOSE)
		crew_die("%s: nobody was found dead", k->name);
	(void)sq_stat(h, &st);
	if (sq_count_read(h, KEY, &put) < 0 || put != st.put)
		crew_die("%s: the durable count is %" PRIu64 ", sq_stat() %" PRIu64, k->name, put,
			st.put);
	left = put - shared->taken;
	if (st.leased || st.participants != 1)
		crew_die("%s: the dead still hold %" PRIu64 " leases", k->name, st.leased);
	if (left != st.depth && !(shared->calling && left == st.depth + 1))
		crew_die("%s: %" PRIu64 " put, %" PRIu64 " taken, and %" PRIu64 " left%s", k->name,
			put, shared->taken, st.depth,
			shared->calling ? " (one perhaps in hand)" : "");
	left = st.depth;
	/* What was given back takes turns with the rest, so it is not the last that are left then. */
	window = k->out == OUT_NACK || k->out == OUT_CLOSE ? CAPACITY : left + 1;
	for (uint64_t i = 0; i < left; i++) {
		uint64_t back;

		r = sq_get(h, buf, sizeof(buf), SQ_NOWAIT);
		if (r < 0)
			crew_die("%s: message %" PRIu64 " of %" PRIu64 " left: %s", k->name, i,
				left, sq_strerror((int)r));
		back = put - 1 - crew_read(buf, (size_t)r);
		if (back >= window || back >= CAPACITY || seen[back])
			crew_die("%s: of the last %" PRIu64 " messages of %" PRIu64
				 ", this is -%" PRIu64,
				k->name, left, put, back);
		seen[back] = true;
	}
	crew_check_rest(h, put);
}

static void each(const struct kind *k, uint64_t times, uint64_t *random)
{
	struct sq_config config = {.capacity = CAPACITY,
		.max_message = BLOCK,
		.participants = 8,
		.block_memory = 1 << 15};

	for (uint64_t i = 0; i < times; i++) {
		struct sq *h;
		uint64_t n;
		pid_t pid;

		memset(shared, 0, sizeof(*shared));
		crew_queue("call", &config);
		h = crew_open("call");
		if (k->by_parent && (sq_count_bind(h, KEY, &n) < 0 || fill(h, k, 0) != CAPACITY))
			crew_die("the parent's puts failed");
		pid = crew_fork();
		if (pid == 0)
			loop(k);
		kill_in(pid, k->phase, k->by_parent ? TAKE_NS : CALL_NS, random);
		verify(h, k);
		sq_close(h);
	}
}

static void open_loop(void)
{
	for (;;) {
		struct sq_lease lease;
		struct sq *h = crew_open("call");
		void *at;
		int r;

		r = sq_lease(h, &lease, SQ_NOWAIT);
		if (r == 0)
			r = sq_reserve(h, BLOCK, &at);
		if (r < 0)
			crew_die("open, lease and reserve: %s", sq_strerror(r));
		sq_close(h);
		shared->phase = OTHER;
	}
}

/* Killed in open or close, with a lease and a reservation to give back. */
static void each_open(uint64_t times, uint64_t *random)
{
	struct sq_config config = {.capacity = CAPACITY, .max_message = BLOCK, .participants = 8};
	unsigned char buf[BLOCK];

	for (uint64_t i = 0; i < times; i++) {
		struct sq *h;
		pid_t pid;

		memset(shared, 0, sizeof(*shared));
		crew_queue("call", &config);
		h = crew_open("call");
		if (sq_put(h, buf, crew_write(buf, i, i % 2 ? SMALL : BLOCK), SQ_NOWAIT) < 0)
			crew_die("a put to an empty queue failed");
		pid = crew_fork();
		if (pid == 0)
			open_loop();
		kill_in(pid, OTHER, OPEN_NS, random);
		if (sq_recover(h) < 0)
			crew_die("sq_recover failed");
		if (sq_get(h, buf, BLOCK, SQ_NOWAIT) < 0 || (buf[0] | buf[1] << 8) != (int)i)
			crew_die("open/close: the message was lost");
		crew_check_rest(h, 1);
		sq_close(h);
	}
}

static void create_loop(void)
{
	struct sq_config config = {.capacity = 1024};

	for (;;) {
		int r = sq_create("made", &config);

		if (r < 0 && r != -EEXIST)
			crew_die("create: %s", sq_strerror(r));
		shared->phase = OTHER;
		/* It takes longer to make than to remove; let deaths find it made, too. */
		sleep_ns(CREATE_NS / 4);
		r = sq_unlink("made");
		if (r < 0)
			crew_die("unlink: %s", sq_strerror(r));
	}
}

static unsigned debris(char names[DEBRIS_MAX][NAME_MAX + 1])
{
	DIR *dir = opendir(TEMPORARY);
	const struct dirent *e;
	unsigned n = 0;

	while (dir && n < DEBRIS_MAX && (e = readdir(dir))) {
		if (strncmp(e->d_name, "sq.tmp-", 7) != 0 || strchr(e->d_name + 7, '.'))
			continue;
		(void)snprintf(names[n++], NAME_MAX + 1, "%s", e->d_name);
	}
	if (dir)
		(void)closedir(dir);
	return n;
}

/* It is there, and nobody who lives has its lock: not another's sq_create() at work. */
static bool stays(const char *name)
{
	struct flock lock = {.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)SQI_LOCK_BASE,
		.l_len = 1};
	char path[sizeof(TEMPORARY) + 1 + NAME_MAX + 1];
	bool locked;
	int fd;

	(void)snprintf(path, sizeof(path), TEMPORARY "/%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno != ENOENT;
	locked = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
	(void)close(fd);
	return !locked;
}

/*
 * Killed in create or unlink: the queue is there whole, or not at all, and a sweep leaves nothing
 * of it.
 */
static void each_create(uint64_t times, uint64_t *random)
{
	static char names[DEBRIS_MAX][NAME_MAX + 1];
	uint64_t found = 0, swept = 0;

	for (uint64_t i = 0; i < times; i++) {
		struct sq *h;
		pid_t pid;
		int64_t until;
		unsigned n;
		int r;

		shared->phase = READY;
		pid = crew_fork();
		if (pid == 0)
			create_loop();
		kill_in(pid, OTHER, CREATE_NS, random);
		r = sq_open(&h, "made");
		if (r == 0) {
			crew_check_rest(h, 0);
			sq_close(h);
			found++;
		} else if (r != -ENOENT) {
			crew_die("create left something half-made: %s", sq_strerror(r));
		}
		(void)sq_unlink("made");
		/*
		 * Somebody else's sq_create() may be at work, or held up: that is not debris. What
		 * comes later is not ours.
		 */
		until = now_ns() + CLEAN_NS;
		for (n = debris(names);;) {
			r = sq_sweep();
			swept += r > 0;
			while (n > 0 && !stays(names[n - 1]))
				n--;
			if (n == 0 && r >= 0)
				break;
			if (r < 0 || now_ns() > until)
				crew_die("%s stays in /dev/shm", n ? names[n - 1] : "something");
			sleep_ns(CREW_MS);
		}
	}
	(void)printf("  create/unlink: %" PRIu64 " deaths, %" PRIu64 " left a queue, %" PRIu64
		     " debris to sweep\n",
		times, found, swept);
}

int main(int argc, char **argv)
{
	uint64_t seed = option_number(argc, argv, "--seed", (uint64_t)now_ns()),
		 random = rng_mix(seed);
	uint64_t times = option_number(argc, argv, "--times", 100);
	size_t n = sizeof(kinds) / sizeof(kinds[0]);

	options_end(argc, argv);
	crew_init("kill_each_call", seed, ALARM_S);
	shared = crew_share(sizeof(*shared));
	for (size_t i = 0; i < n; i++)
		each(&kinds[i], times, &random);
	each_open(times, &random);
	each_create(times, &random);
	return crew_finish(
		"%zu calls passed, 0 failed: killed %" PRIu64 " times each", n + 2, times);
}
