/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <string.h>

#include "calls_in.h"
#include "watch.h"

/* The calls for forwarders, which keep books of their own about messages. */

/* An id of some message: perhaps one that a call told. */
static uint64_t some_id(const struct player *p, struct chance *c)
{
	if (chance_in(c, 4))
		return chance_u64(c);
	if (p->leases > 0 && chance_in(c, 2))
		return p->lease[chance_below(c, p->leases)].id;
	return p->mark - chance_below(c, 4);
}

/* What tells a position, an id, or another number. */
long call_tell(struct player *p, enum call which)
{
	uint64_t untouched = 0x1234567812345678, ret = untouched;
	const char *name = which == CALL_MARK       ? "mark"
			   : which == CALL_LAST_PUT ? "last_put"
						    : "durable_run";
	struct start s = call_begin(name, SQ_NOWAIT);
	long r = which == CALL_MARK       ? call_end(p, &s, sq_mark(p->h, &ret), NONE)
		 : which == CALL_LAST_PUT ? call_end(p, &s, sq_last_put(p->h, &ret), OR(ENOENT))
					  : call_end(p, &s, sq_durable_run(p->h, &ret), OR(ENOENT));

	if (r < 0 && ret != untouched)
		watch_broken("%s: failed, and wrote its result", name);
	if (r == 0 && which != CALL_DURABLE_RUN)
		p->mark = ret;
	return r;
}

long call_held(struct player *p, struct chance *c)
{
	struct sq_lease lease[LEASES_MAX];
	int n = (int)chance_below(c, LEASES_MAX + 1);
	struct start s = call_begin("held", SQ_NOWAIT);
	long r = call_end(p, &s, sq_held(p->h, n ? lease : NULL, n), NONE);

	if (r > (long)p->h->ring.g.capacity)
		watch_broken(
			"held: %ld leases of %llu", r, (unsigned long long)p->h->ring.g.capacity);
	for (long i = 0; i < r && i < n; i++) {
		call_place_lease(p, &lease[i], "held");
		call_read(lease[i].data, lease[i].len);
	}
	if (r > 0 && r <= n) {
		memcpy(p->lease, lease, sizeof(lease[0]) * (size_t)r);
		p->leases = (unsigned)r;
	}
	return r;
}

long call_find(struct player *p, struct chance *c)
{
	struct start s = call_begin("find", SQ_NOWAIT);
	long r = call_end(p, &s, sq_find(p->h, some_id(p, c)), NONE);

	if (r > SQ_LEASED)
		watch_broken("find: %ld", r);
	return r;
}

long call_lease_id(struct player *p, struct chance *c)
{
	struct sq_lease ret, untouched;
	uint64_t id = some_id(p, c);
	struct start s;
	long r;

	if (p->leases == LEASES_MAX)
		return 0;
	memset(&ret, 0x77, sizeof(ret));
	untouched = ret;
	s = call_begin("lease_id", SQ_NOWAIT);
	r = call_end(p, &s, sq_lease_id(p->h, id, &ret), OR(ENOENT, EBUSY));
	if (r < 0 && memcmp(&ret, &untouched, sizeof(ret)) != 0)
		watch_broken("lease_id: failed, and wrote its result");
	if (r < 0)
		return r;
	call_place_lease(p, &ret, "lease_id");
	call_read(ret.data, ret.len);
	p->lease[p->leases++] = ret;
	return r;
}

long call_arm(struct player *p, struct chance *c)
{
	const unsigned char *from = p->h->ring.base;
	struct start s = call_begin("arm", SQ_NOWAIT);
	enum sq_news news = (enum sq_news)chance_below(c, SQ_NEWS_BLOCK + 2);
	struct sq_watch ret;
	long r = call_end(p, &s, sq_arm(p->h, news, &ret), OR(EINVAL));

	if ((news < SQ_NEWS_MESSAGE || news > SQ_NEWS_BLOCK) != (r == -EINVAL))
		watch_broken("arm: news %d: %ld", (int)news, r);
	if (r == 0 && ((const unsigned char *)ret.word < from ||
			      (const unsigned char *)ret.word >= from + sizeof(struct sqi_head)))
		watch_broken("arm: its word is not where it should be");
	return r;
}

/* What takes nothing and tells little. */
long call_ask(struct player *p, enum call which, struct chance *c)
{
	struct start s = call_begin("ask", SQ_NOWAIT);
	long r = which == CALL_WANTED   ? sq_wanted(p->h)
		 : which == CALL_PASSED ? sq_passed(p->h, some_id(p, c))
					: sq_retire(p->h);

	if (call_end(p, &s, r, NONE) > 1)
		watch_broken("call %d: %ld", (int)which, r);
	return r;
}
