/* SPDX-License-Identifier: ISC */
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "calls_in.h"
#include "guard.h"
#include "moment.h"
#include "watch.h"

#define MANY          5
#define SLACK_NS      ((int64_t)60000000) /* a tick, and the looks at the clock */
#define FOREVER_TICKS 20
#define KEYS          9

struct start call_begin(const char *name, int64_t timeout)
{
	struct start s = {
		.name = name, .timeout = timeout, .at_ns = moment_now(), .sleeps = moment_sleeps()};

	watch_begin(name);
	return s;
}

long call_end(const struct player *p, const struct start *s, long r, const int *errors)
{
	int64_t took = moment_now() - s->at_ns;

	watch_end(s->name, r);
	if (r < 0 && r != -EBADMSG) {
		while (*errors && *errors != -r)
			errors++;
		if (!*errors)
			watch_broken("%s: %ld is no documented result", s->name, r);
	}
	if (r == -EAGAIN && s->timeout != SQ_NOWAIT)
		watch_broken("%s: was to wait, and returned -EAGAIN", s->name);
	if (r == -ETIMEDOUT && s->timeout <= 0)
		watch_broken("%s: no time was set, and it ran out", s->name);
	if (!p->alone)
		return r;
	if (s->timeout == SQ_NOWAIT && moment_sleeps() != s->sleeps)
		watch_broken("%s: was not to wait, and slept", s->name);
	if (s->timeout > 0 && took > s->timeout + SLACK_NS)
		watch_broken("%s: was to wait %lld ns, and took %lld", s->name,
			(long long)s->timeout, (long long)took);
	if (r == -ETIMEDOUT && took < s->timeout)
		watch_broken("%s: gave up before its time", s->name);
	return r;
}

static int64_t span(const struct player *p, struct chance *c)
{
	if (!chance_in(c, 4))
		return SQ_NOWAIT;
	return 1 + (int64_t)chance_below(c, (uint64_t)p->span_max_ns);
}

/* Sizes about which the engine has to decide something. */
static size_t some_size(const struct player *p, struct chance *c)
{
	const struct sqi_geometry *g = &p->h->ring.g;
	size_t most = g->in.max_message;

	switch (chance_below(c, 8)) {
	case 0:
		return 0;
	case 1:
		return g->in.small;
	case 2:
		return g->in.small + 1;
	case 3:
		return most;
	case 4:
		return most + 1;
	case 5:
		return chance_below(c, most + 1);
	default:
		return chance_below(c, g->in.small + 1);
	}
}

/* The most that there is room for in any one place, whatever a length is damaged to. */
static size_t longest(const struct player *p)
{
	const struct sqi_geometry *g = &p->h->ring.g;

	return g->classes ? g->class[g->classes - 1].size : g->in.small;
}

/* So large a buffer as a call may need, but no larger than we have. */
static size_t room(size_t len)
{
	return len < GUARD_BUFFER_MAX ? len : GUARD_BUFFER_MAX;
}

static long put(struct player *p, struct chance *c)
{
	size_t len = room(some_size(p, c));
	void *data = guard_buffer(len);
	struct start s = call_begin("put", span(p, c));
	bool large = len > p->h->ring.g.in.max_message;
	long r = call_end(p, &s, sq_put(p->h, data, len, s.timeout),
		OR(EAGAIN, ETIMEDOUT, EMSGSIZE, EPIPE, EIDRM));

	if (large != (r == -EMSGSIZE))
		watch_broken("put: %zu bytes: %ld", len, r);
	return r;
}

static long put_many(struct player *p, struct chance *c)
{
	struct iovec iov[MANY];
	int n = (int)chance_below(c, MANY + 1);
	struct start s;
	long r;

	for (int i = 0; i < n; i++) {
		iov[i].iov_len = room(some_size(p, c));
		iov[i].iov_base = guard_buffer(iov[i].iov_len);
	}
	s = call_begin("put_many", span(p, c));
	r = call_end(p, &s, sq_put_many(p->h, iov, n, s.timeout),
		OR(EAGAIN, ETIMEDOUT, EMSGSIZE, EPIPE, EIDRM));
	if (r > n || (r == 0 && n > 0))
		watch_broken("put_many: %ld of %d", r, n);
	return r;
}

/* In a queue with a lease time it is a copy, and the segment has no say in it. */
void call_place_lease(const struct player *p, const struct sq_lease *lease, const char *call)
{
	if (!p->h->ring.g.in.lease_ns)
		call_place(p, lease->data, lease->len, call);
	else if (lease->len > p->h->ring.g.total)
		watch_broken("%s: %zu bytes", call, lease->len);
}

void call_place(const struct player *p, const void *data, size_t len, const char *call)
{
	const struct sqi_geometry *g = &p->h->ring.g;
	size_t at = (uintptr_t)data - (uintptr_t)p->h->ring.base;

	if (at >= g->data && at < g->data + g->capacity * g->data_size &&
		(at - g->data) % g->data_size == 0 && len <= g->in.small)
		return;
	for (uint32_t i = 0; i < g->classes; i++) {
		const struct sqi_class *k = &g->class[i];

		if (at >= k->data && at < k->data + k->count * k->size &&
			(at - k->data) % k->size == 0 && len <= k->size)
			return;
	}
	watch_broken("%s: %zu bytes at byte %td of %llu", call, len, (ptrdiff_t)at,
		(unsigned long long)g->total);
}

void call_read(const void *data, size_t len)
{
	const volatile unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		(void)p[i];
}

static long reserve(struct player *p, struct chance *c)
{
	size_t len = some_size(p, c);
	void *untouched = p, *ret = untouched;
	struct start s = call_begin("reserve", SQ_NOWAIT);
	bool had = p->reserved, large = len > p->h->ring.g.in.max_message;
	long r = call_end(
		p, &s, sq_reserve(p->h, len, &ret), OR(EAGAIN, EBUSY, EMSGSIZE, EPIPE, EIDRM));

	if (had != (r == -EBUSY) || (!had && large != (r == -EMSGSIZE)))
		watch_broken("reserve: %zu bytes: %ld", len, r);
	if (r < 0 && ret != untouched)
		watch_broken("reserve: failed, and wrote its result");
	if (r < 0)
		return r;
	if (len > p->h->ring.g.in.small)
		call_place(p, ret, len, "reserve");
	memset(ret, 0x5a, len);
	p->reserved = len + 1;
	return r;
}

static long commit(struct player *p, struct chance *c)
{
	size_t len = chance_in(c, 4) ? some_size(p, c) : chance_below(c, p->reserved + 1);
	struct start s = call_begin("commit", span(p, c));
	long r = call_end(p, &s, sq_commit(p->h, len, s.timeout),
		OR(EAGAIN, ETIMEDOUT, EMSGSIZE, EPIPE, EIDRM, EINVAL));

	if (!p->reserved != (r == -EINVAL) ||
		(p->reserved && (len >= p->reserved) != (r == -EMSGSIZE)))
		watch_broken("commit: %zu bytes: %ld", len, r);
	if (r == 0)
		p->reserved = 0;
	return r;
}

static long drop(struct player *p)
{
	struct start s = call_begin("abort", SQ_NOWAIT);

	sq_abort(p->h);
	p->reserved = 0;
	return call_end(p, &s, 0, NONE);
}

static size_t some_cap(const struct player *p, struct chance *c)
{
	switch (chance_below(c, 5)) {
	case 0:
		return room(some_size(p, c));
	case 1:
		return room(longest(p) + chance_below(c, 70000));
	case 2: /* enough for most */
		return room(p->h->ring.g.in.small + chance_below(c, longest(p)));
	default:
		return room(longest(p));
	}
}

static long get(struct player *p, struct chance *c)
{
	size_t cap = some_cap(p, c);
	void *buf = guard_buffer(cap);
	struct start s = call_begin("get", span(p, c));
	long r = call_end(p, &s, sq_get(p->h, buf, cap, s.timeout),
		OR(EAGAIN, ETIMEDOUT, EMSGSIZE, EPIPE, EIDRM));

	if (r > (long)cap || r > (long)longest(p))
		watch_broken("get: %ld bytes, of %zu", r, cap);
	return r;
}

static long get_many(struct player *p, struct chance *c)
{
	size_t cap = room(chance_below(c, 3) * some_cap(p, c));
	unsigned char *buf = guard_buffer(cap), *at = buf;
	struct iovec iov[MANY] = {0};
	int n = (int)chance_below(c, MANY + 1);
	struct start s = call_begin("get_many", span(p, c));
	long r = call_end(p, &s, sq_get_many(p->h, buf, cap, iov, n, s.timeout),
		OR(EAGAIN, ETIMEDOUT, EMSGSIZE, EPIPE, EIDRM));

	if (r > n || (r == 0 && n > 0))
		watch_broken("get_many: %ld of %d", r, n);
	for (long i = 0; i < r; i++) {
		if (iov[i].iov_base != at || iov[i].iov_len > cap - (size_t)(at - buf) ||
			iov[i].iov_len > longest(p))
			watch_broken("get_many: message %ld is not where it should be", i);
		at += iov[i].iov_len;
	}
	return r;
}

static void forget_lease(struct player *p, unsigned i)
{
	p->lease[i] = p->lease[--p->leases];
}

static long lease(struct player *p, struct chance *c)
{
	struct sq_lease ret, untouched;
	struct start s;
	long r;

	if (p->leases == LEASES_MAX) {
		watch_begin("nack");
		watch_end("nack", sq_nack(p->h, &p->lease[0]));
		forget_lease(p, 0);
	}
	memset(&ret, 0x77, sizeof(ret));
	untouched = ret;
	s = call_begin("lease", span(p, c));
	r = call_end(p, &s, sq_lease(p->h, &ret, s.timeout), OR(EAGAIN, ETIMEDOUT, EPIPE, EIDRM));
	if (r < 0 && memcmp(&ret, &untouched, sizeof(ret)) != 0)
		watch_broken("lease: failed, and wrote its result");
	if (r < 0)
		return r;
	if (r > 0 || ret.attempts < 1 || ret.attempts > 255)
		watch_broken("lease: %ld, attempts %u", r, ret.attempts);
	call_place_lease(p, &ret, "lease");
	call_read(ret.data, ret.len);
	p->lease[p->leases++] = ret;
	return r;
}

/* Ack, nack or touch a lease of ours; now and then one that is none. */
static long settle(struct player *p, enum call which, struct chance *c)
{
	const char *name = which == CALL_ACK      ? "ack"
			   : which == CALL_NACK   ? "nack"
			   : which == CALL_RETURN ? "return"
						  : "touch";
	int (*const f)(struct sq *, const struct sq_lease *) = which == CALL_ACK      ? sq_ack
							       : which == CALL_NACK   ? sq_nack
							       : which == CALL_RETURN ? sq_return
										      : sq_touch;
	struct sq_lease wild = {0};
	const struct sq_lease *which_lease = &wild;
	unsigned i = 0;
	struct start s;
	long r;

	if (p->leases == 0 || chance_in(c, 16)) {
		wild.id = chance_in(c, 2) ? chance_u64(c) : chance_below(c, 256);
		wild.attempts = (uint32_t)chance_below(c, 300); /* nothing looks there */
		wild.copy = (uint32_t)chance_below(c, 8);
		wild.handle = chance_in(c, 2) ? p->h->file.tag << 8 | chance_below(c, 256)
					      : chance_u64(c);
	} else {
		i = (unsigned)chance_below(c, p->leases);
		which_lease = &p->lease[i];
		/* Read in place until the last moment. */
		call_read(which_lease->data, which_lease->len);
	}
	s = call_begin(name, SQ_NOWAIT);
	r = call_end(p, &s, f(p->h, which_lease), OR(ESTALE, EINVAL));
	if (r == -EINVAL && which_lease != &wild)
		watch_broken("%s: does not know its own lease", name);
	if (which_lease != &wild && (r < 0 || which != CALL_TOUCH))
		forget_lease(p, i);
	return r;
}

static long stat_(struct player *p)
{
	const struct sqi_geometry *g = &p->h->ring.g;
	struct start s = call_begin("stat", SQ_NOWAIT);
	struct sq_stat st;
	long r = call_end(p, &s, sq_stat(p->h, &st), NONE);

	if (r < 0)
		return r;
	if (st.capacity != g->capacity || st.bytes != g->total || st.blocks != g->blocks ||
		st.depth + st.leased > st.capacity || st.back > st.depth ||
		st.blocks_free > st.blocks || st.participants > g->in.participants ||
		memchr(st.dead_letter, 0, sizeof(st.dead_letter)) == NULL)
		watch_broken("stat: says what cannot be");
	return r;
}

static long recover(struct player *p)
{
	struct start s = call_begin("recover", SQ_NOWAIT);
	long r = call_end(p, &s, sq_recover(p->h), NONE);

	if (r > (long)p->h->ring.g.in.participants)
		watch_broken("recover: %ld dead of %u", r, p->h->ring.g.in.participants);
	return r;
}

static long join(struct player *p, struct chance *c)
{
	struct start s = call_begin("join", span(p, c));

	return call_end(p, &s, sq_join(p->h, s.timeout), OR(EAGAIN, ETIMEDOUT, EPIPE, EIDRM));
}

static long bind(struct player *p, struct chance *c)
{
	uint64_t untouched = 0x1234567812345678, ret = untouched;
	struct start s = call_begin("bind", SQ_NOWAIT);
	long r = call_end(
		p, &s, sq_count_bind(p->h, 1 + chance_below(c, KEYS), &ret), OR(EBUSY, ENOSPC));

	if (r < 0 && ret != untouched)
		watch_broken("bind: failed, and wrote its result");
	return r;
}

static long bound(struct player *p, struct chance *c)
{
	uint64_t untouched = 0x1234567812345678, ret = untouched;
	struct start s = call_begin("bound", SQ_NOWAIT);
	long r = call_end(p, &s, sq_count_read(p->h, 1 + chance_below(c, KEYS), &ret), OR(ENOENT));

	if (r < 0 && ret != untouched)
		watch_broken("bound: failed, and wrote its result");
	return r;
}

static long shut(struct player *p, struct chance *c)
{
	struct start s = call_begin("shutdown", SQ_NOWAIT);

	return call_end(p, &s, sq_shutdown(p->h, chance_in(c, 2)), NONE);
}

/*
 * After some ticks the queue is closed by force; the call that waits must notice within a few
 * ticks.
 */
struct patience {
	struct sq *h;
	uint64_t ticks;
};

static void close_at_last(void *arg)
{
	struct patience *patience = arg;

	patience->ticks++;
	if (patience->ticks >= FOREVER_TICKS)
		sqi_store_seq(&patience->h->ring.head->closed, 2);
	if (patience->ticks > FOREVER_TICKS + 3)
		watch_broken("a call sleeps on, though the queue was closed");
}

static long forever(struct player *p, struct chance *c)
{
	struct patience patience = {.h = p->h};
	size_t cap = room(longest(p));
	struct sq_lease ret;
	struct start s;
	long r;

	if (!p->alone)
		return put(p, c);
	moment_during(close_at_last, &patience);
	switch (chance_below(c, 3)) {
	case 0:
		s = call_begin("put for ever", SQ_FOREVER);
		r = call_end(p, &s, sq_put(p->h, "x", 1, SQ_FOREVER), OR(EPIPE, EIDRM));
		break;
	case 1:
		s = call_begin("get for ever", SQ_FOREVER);
		r = call_end(
			p, &s, sq_get(p->h, guard_buffer(cap), cap, SQ_FOREVER), OR(EPIPE, EIDRM));
		break;
	default:
		s = call_begin("lease for ever", SQ_FOREVER);
		r = call_end(p, &s, sq_lease(p->h, &ret, SQ_FOREVER), OR(EPIPE, EIDRM));
		if (r == 0) {
			call_place_lease(p, &ret, "lease");
			call_read(ret.data, ret.len);
			(void)sq_ack(p->h, &ret); /* whatever it says */
		}
		break;
	}
	moment_during(NULL, NULL);
	return r;
}

static long check(const struct player *p)
{
	struct start s = call_begin("check", SQ_NOWAIT);

	return call_end(p, &s, sq_check(p->name) != NULL, NONE);
}

static long gc(const struct player *p)
{
	struct start s = call_begin("gc", SQ_NOWAIT);
	long r = call_end(p, &s, sq_gc(p->name), OR(ENOENT, EACCES, EPROTO, EUSERS));

	if (r > 1)
		watch_broken("gc: %ld", r);
	return r;
}

static int count_one(const char *name, void *data)
{
	(void)sq_check(name);
	++*(long *)data;
	return 0;
}

static long list(const struct player *p)
{
	struct start s = call_begin("list", SQ_NOWAIT);
	long n = 0;

	return call_end(p, &s, sq_list(NULL, count_one, &n), NONE);
}

static long sweep(const struct player *p)
{
	struct start s = call_begin("sweep", SQ_NOWAIT);

	return call_end(p, &s, sq_sweep(), NONE);
}

int player_open(struct player *p)
{
	struct sq *untouched = (struct sq *)(void *)p, *h = untouched;
	const char *why = p->alone ? sq_check(p->name) : NULL;
	struct start s = call_begin("open", SQ_NOWAIT);
	long r = p->key ? call_end(p, &s, sq_open_durable(&h, p->name, p->key, p->grace),
				  OR(ENOENT, EACCES, EPROTO, EUSERS, EBUSY, ENOSPC))
			: call_end(p, &s, sq_open(&h, p->name), OR(ENOENT, EACCES, EPROTO, EUSERS));

	if (r < 0 && h != untouched)
		watch_broken("open: failed, and wrote its result");
	if (p->alone && !p->unsteady && (why != NULL) != (r == -EPROTO))
		watch_broken("open: %ld, but check says: %s", r, why ? why : "nothing");
	if (p->alone && p->shown && r == 0 && !p->unsteady &&
		memcmp(p->shown, p->made,
			offsetof(struct sqi_head, in) + sizeof(struct sqi_inputs)) != 0)
		watch_broken("open: a queue of another description");
	p->leases = 0;
	p->reserved = 0;
	p->h = r == 0 ? h : NULL;
	return (int)r;
}

void player_close(struct player *p)
{
	struct start s = call_begin("close", SQ_NOWAIT);

	sq_close(p->h);
	p->h = NULL;
	(void)call_end(p, &s, 0, NONE);
}

void player_die(struct player *p)
{
	struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
	struct sq *h = p->h;

	p->h = NULL;
	if (!h)
		return;
	sq_close(h->dead_letters);
	/* By hand: the mapping that this process's other handles share may keep the description. */
	if (fcntl(h->file.fd, F_OFD_SETLK, &all) < 0)
		abort();
	sqi_copies_deinit(&h->copies);
	sqi_detach(&h->file);
	free(h->buffer);
	free(h);
}

/* A second handle comes, does something, and goes. */
static long visit(const struct player *p, struct chance *c)
{
	struct player visitor = {
		.name = p->name,
		.alone = p->alone,
		.unsteady = p->unsteady,
		.span_max_ns = p->span_max_ns,
		.shown = p->shown,
		.made = p->made,
		.key = chance_in(c, 3) ? 1 + chance_below(c, KEYS) : 0,
		.grace = (int64_t)chance_below(c, 4) - 1,
	};
	long r = player_open(&visitor);

	if (r < 0)
		return r;
	(void)player_call(&visitor, (enum call)chance_below(c, CALLS_ON_A_HANDLE), c);
	player_close(&visitor);
	return 0;
}

long player_call(struct player *p, enum call which, struct chance *c)
{
	if (!p->h && which < CALLS_ON_A_HANDLE)
		return player_open(p);
	switch (which) {
	case CALL_PUT:
		return put(p, c);
	case CALL_PUT_MANY:
		return put_many(p, c);
	case CALL_RESERVE:
		return reserve(p, c);
	case CALL_COMMIT:
		return commit(p, c);
	case CALL_ABORT:
		return drop(p);
	case CALL_GET:
		return get(p, c);
	case CALL_GET_MANY:
		return get_many(p, c);
	case CALL_LEASE:
		return lease(p, c);
	case CALL_ACK:
	case CALL_NACK:
	case CALL_RETURN:
	case CALL_TOUCH:
		return settle(p, which, c);
	case CALL_STAT:
		return stat_(p);
	case CALL_RECOVER:
		return recover(p);
	case CALL_JOIN:
		return join(p, c);
	case CALL_BIND:
		return bind(p, c);
	case CALL_BOUND:
		return bound(p, c);
	case CALL_LAST_PUT:
	case CALL_MARK:
	case CALL_DURABLE_RUN:
		return call_tell(p, which);
	case CALL_HELD:
		return call_held(p, c);
	case CALL_FIND:
		return call_find(p, c);
	case CALL_LEASE_ID:
		return call_lease_id(p, c);
	case CALL_ARM:
		return call_arm(p, c);
	case CALL_WANTED:
	case CALL_PASSED:
	case CALL_RETIRE:
		return call_ask(p, which, c);
	case CALL_SHUTDOWN:
		return shut(p, c);
	case CALL_FOREVER:
		return forever(p, c);
	case CALL_OPEN:
		return visit(p, c);
	case CALL_CHECK:
		return check(p);
	case CALL_GC:
		return gc(p);
	case CALL_LIST:
		return list(p);
	case CALL_SWEEP:
		return sweep(p);
	case CALLS:
		break;
	}
	abort();
}
