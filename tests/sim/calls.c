/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "sim.h"

/*
 * Between the bridges and their queues: what they do there is written in the books, before it is
 * done, for they may be killed in it, and after. Their memory is counted as well.
 */

#define HANDLES_MAX 64

/* A bridge's, on a queue: for which leaf's link, and is it the stream's sender? */
static struct handle {
	struct sq *q;
	const struct bridge *bridge;
	unsigned leaf;
	bool sending;
	const void *reserved;
	enum queue queue;
	unsigned removed; /* it was opened after so many removals */
} handles[HANDLES_MAX];
static unsigned opening_leaf;
static bool opening_sender;

void calls_opening(unsigned leaf, bool sending)
{
	opening_leaf = leaf;
	opening_sender = sending;
}

void calls_forget(const struct bridge *b)
{
	for (unsigned i = 0; i < HANDLES_MAX; i++)
		if (handles[i].bridge == b)
			handles[i] = (struct handle){0};
}

static struct handle *handle_of(const struct sq *q)
{
	for (unsigned i = 0; i < HANDLES_MAX; i++)
		if (handles[i].q == q)
			return &handles[i];
	abort();
}

static int opened(struct sq *q, const char *name, int r)
{
	enum queue queue = queue_of(strrchr(name, '.') + 1);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < HANDLES_MAX; i++)
		if (!handles[i].q) {
			handles[i] = (struct handle){.q = q,
				.bridge = life_bridge(),
				.leaf = opening_leaf,
				.sending = opening_sender,
				.queue = queue,
				.removed = sim.host[life_bridge()->host].removed[queue]};
			return r;
		}
	abort();
}

static bool hubs(const struct handle *h)
{
	return h->bridge == &sim.host[HUB].bridge;
}

/* f(), while the bridge is known to do this. */
#define DURING(what, type, call)                                                                   \
	enum op was = life_op(what);                                                               \
	type r = call;                                                                             \
                                                                                                   \
	(void)life_op(was)

int sim_open(struct sq **ret, const char *name)
{
	struct sq *q = NULL;
	DURING(OP_OPEN, int, sq_open(&q, name));
	if (r == 0)
		*ret = q;
	return opened(q, name, r);
}

int sim_open_durable(struct sq **ret, const char *name, uint64_t key, int64_t grace)
{
	struct sq *q = NULL;
	DURING(OP_OPEN, int, sq_open_durable(&q, name, key, grace));
	if (r == 0)
		*ret = q;
	return opened(q, name, r);
}

void sim_sq_close(struct sq *q)
{
	enum op was = life_op(OP_OPEN);

	if (q)
		*handle_of(q) = (struct handle){0};
	sq_close(q);
	(void)life_op(was);
}

int sim_bind(struct sq *q, uint64_t key, uint64_t *ret)
{
	DURING(OP_OPEN, int, sq_count_bind(q, key, ret));
	return r;
}

int sim_last_put(struct sq *q, uint64_t *ret)
{
	DURING(OP_OPEN, int, sq_last_put(q, ret));
	return r;
}

int sim_lease(struct sq *q, struct sq_lease *ret, int64_t timeout)
{
	DURING(OP_LEASE, int, sq_lease(q, ret, timeout));
	return r;
}

int sim_find(struct sq *q, uint64_t id)
{
	DURING(OP_LOOK, int, sq_find(q, id));
	return r;
}

int sim_mark(struct sq *q, uint64_t *ret)
{
	DURING(OP_LOOK, int, sq_mark(q, ret));
	return r;
}

int sim_passed(struct sq *q, uint64_t mark)
{
	DURING(OP_LOOK, int, sq_passed(q, mark));
	return r;
}

static void tell(const struct handle *h, const char *what, uint64_t m)
{
	sim_say("  bridge of host %u, leaf %u's %s: %s %u", h->bridge->host, h->leaf,
		queue_name(h->queue), what, (unsigned)m);
}

/* The number of a message that must be one. */
static uint64_t known(const void *data, size_t len)
{
	uint64_t m = message_in(data, len);

	if (m == NO_MESSAGE)
		sim_fail("a message of %zu bytes that nobody made", len);
	return m == NO_MESSAGE ? 0 : m;
}

int sim_held(struct sq *q, struct sq_lease *ret, int n)
{
	const struct handle *h = handle_of(q);

	DURING(OP_OPEN, int, sq_held(q, ret, n));
	if (r > 0)
		sim.host[h->bridge->host].bridge.taking_up = true;
	/* A bridge that died while it took them back held them, and the books had not heard of it. */
	for (int i = 0; i < r && i < n && !hubs(h) && !h->sending; i++)
		books_held(h->leaf, known(ret[i].data, ret[i].len));
	return r;
}

int sim_lease_id(struct sq *q, uint64_t id, struct sq_lease *ret)
{
	DURING(OP_TAKE, int, sq_lease_id(q, id, ret));
	if (r == 0) {
		books_held(handle_of(q)->leaf, known(ret->data, ret->len));
		tell(handle_of(q), "takes back", known(ret->data, ret->len));
	}
	return r;
}

int sim_ack(struct sq *q, const struct sq_lease *lease)
{
	const struct handle *h = handle_of(q);
	uint64_t m = known(lease->data, lease->len);

	if (hubs(h))
		books_settling(h->leaf, m);
	tell(h, "acks", m);
	DURING(OP_ACK, int, sq_ack(q, lease));
	if (r < 0)
		sim_fail("a bridge's lease had ended: %d", r);
	else if (!hubs(h) && h->sending)
		books_left(m);
	else if (!hubs(h))
		books_removed(h->leaf, m);
	return r;
}

static int give_back(
	struct sq *q, const struct sq_lease *lease, int (*f)(struct sq *, const struct sq_lease *))
{
	const struct handle *h = handle_of(q);
	uint64_t m = known(lease->data, lease->len);

	if (hubs(h))
		/* Bytes may be under way, or read and not looked at, as long as the leaf thinks that it is up. */
		books_returning(h->leaf, m, sim.net[h->leaf].there[0]);
	else if (h->sending)
		sim_fail("a leaf gives up what it is to push");
	tell(h, "gives back", m);
	DURING(OP_NACK, int, f(q, lease));
	if (r < 0)
		sim_fail("a bridge's lease had ended: %d", r);
	else if (!hubs(h))
		books_released(h->leaf, m);
	return r;
}

int sim_nack(struct sq *q, const struct sq_lease *lease)
{
	return give_back(q, lease, sq_nack);
}

int sim_return(struct sq *q, const struct sq_lease *lease)
{
	return give_back(q, lease, sq_return);
}

static int put(struct sq *q, uint64_t m, const void *data, size_t len, int64_t timeout)
{
	const struct handle *h = handle_of(q);
	uint64_t id = 0;

	/*
	 * A put into a queue that was removed, which has not been noticed. A death in it leaves
	 * nothing in either case.
	 */
	bool away = h->removed != sim.host[h->bridge->host].removed[h->queue];

	if (hubs(h))
		books_arriving(h->leaf, m);
	else
		books_coming(h->leaf, m);
	if (away && !hubs(h))
		books_put_away(h->leaf, m);
	DURING(OP_PUT, int, data ? sq_put(q, data, len, timeout) : sq_commit(q, len, timeout));
	if (hubs(h))
		books_arrived(h->leaf, m, r == 0);
	else
		books_came(h->leaf, m, r == 0, r == 0 && sq_last_put(q, &id) == 0 ? id : 0);
	if (r == 0)
		tell(h, "has put", m);
	if (r == 0 && away && hubs(h))
		books_put_away(HUB, m);
	return r;
}

int sim_put(struct sq *q, const void *data, size_t len, int64_t timeout)
{
	return put(q, known(data, len), data, len, timeout);
}

int sim_reserve(struct sq *q, size_t len, void **ret)
{
	DURING(OP_PUT, int, sq_reserve(q, len, ret));
	if (r == 0)
		handle_of(q)->reserved = *ret;
	return r;
}

int sim_commit(struct sq *q, size_t len, int64_t timeout)
{
	return put(q, known(handle_of(q)->reserved, len), NULL, len, timeout);
}

/* Names have our pid in them, and must not make another run of it. */
int sim_digest(const void *data, size_t len, unsigned char *ret, unsigned *ret_len,
	const EVP_MD *type, ENGINE *engine)
{
	const char *from = memchr(data, '-', len);

	if (!from)
		abort();
	return EVP_Digest(
		from, len - (size_t)(from - (const char *)data), ret, ret_len, type, engine);
}

/* Before each piece of memory. */
union note {
	struct {
		struct bridge *bridge;
		size_t n;
	};
	max_align_t align;
};

void *sim_malloc(size_t n)
{
	union note *p = malloc(sizeof(*p) + n);

	if (!p)
		abort();
	p->bridge = life_bridge();
	p->n = n;
	p->bridge->heap += n;
	return p + 1;
}

void *sim_calloc(size_t n, size_t size)
{
	return memset(sim_malloc(n * size), 0, n * size);
}

void sim_free(void *p)
{
	union note *n;

	if (!p)
		return;
	n = (union note *)p - 1;
	n->bridge->heap -= n->n;
	free(n);
}

void *sim_reallocarray(void *p, size_t n, size_t size)
{
	void *to = sim_malloc(n * size);

	if (p)
		memcpy(to, p,
			((union note *)p - 1)->n < n * size ? ((union note *)p - 1)->n : n * size);
	sim_free(p);
	return to;
}
