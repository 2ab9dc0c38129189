/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "end.h"
#include "link_impl.h"
#include "send.h"
#include "sim.h"

/*
 * Connections: two pipes of bytes that take their time, may stand still, and may end at any byte;
 * and what the daemon does with a connection: its turns, and when it closes it.
 */

#define OUT_MAX    (16 << 10)
#define PIECES_MAX 8 /* under way at one time, as a slow network has it */

static struct bridge *bridge_of(unsigned i, unsigned side)
{
	return &sim.host[side ? HUB : i].bridge;
}

struct link *link_of(unsigned i, unsigned side)
{
	return bridge_of(i, side)->link[side ? i : 0];
}

static void empty(struct connection *c)
{
	for (unsigned side = 0; side < 2; side++) {
		c->pipe[side].len = c->pipe[side].pieces = 0;
		c->in_len[side] = 0;
		c->news[side] = c->fin[side] = false;
		c->stall_ns[side] = 0;
	}
}

/* What has come, and is a part of a frame, goes with the connection. */
static void drop_input(struct connection *c, unsigned side)
{
	const uint8_t *in = c->in[side];
	size_t n = c->in_len[side];

	c->in_len[side] = 0;
	if (n == 0 || c->news[side])
		return;
	sim_count(T_CUT_IN_FRAME);
	if (n > 4 && (in[4] == WIRE_BATCH || in[4] == WIRE_PART))
		sim_count(in[4] == WIRE_PART ? T_CUT_IN_PART : T_CUT_IN_MESSAGES);
}

static void down(void *arg)
{
	link_down(arg, sim.now_ns);
}

void net_close(unsigned i, unsigned side)
{
	struct connection *c = &sim.net[i];

	if (!c->there[side])
		return;
	c->there[side] = false;
	c->fin[side] = !c->cut;
	drop_input(c, side);
	c->retry_ns = sim.now_ns + (int64_t)(sim_below(20) + 1) * MS;
	if (!bridge_of(i, side)->alive)
		return;
	life_closing(true);
	(void)bridge_run(bridge_of(i, side), down, link_of(i, side));
	life_closing(false);
}

/*
 * The kernel closes the ends of a dead process: the other side may get all bytes, or a reset, or
 * nothing.
 */
void net_died(unsigned i, unsigned side)
{
	struct connection *c = &sim.net[i];

	if (!c->there[side])
		return;
	drop_input(c, side);
	c->there[side] = false;
	c->fin[side] = !c->cut;
	if (c->cut || sim_chance(2))
		return;
	net_cut(i);
}

static void up(void *arg)
{
	link_up(arg, sim.now_ns);
}

/* A new one, if both are able; what is left of an old one is closed first. */
void net_connect(unsigned i)
{
	struct connection *c = &sim.net[i];
	struct bridge *leaf = bridge_of(i, 0), *hub = bridge_of(i, 1);

	if (!leaf->alive || !hub->alive || c->there[0] || c->revoked || leaf->draining ||
		hub->draining || leaf->stopped_ns > sim.now_ns || hub->stopped_ns > sim.now_ns ||
		sim.now_ns < c->retry_ns)
		return;
	if (c->there[1]) {
		sim_count(T_REPLACED);
		net_close(i, 1);
		if (!hub->alive)
			return;
	}
	empty(c);
	c->cut = false;
	c->there[0] = c->there[1] = true;
	sim_count(T_CONNECTIONS);
	sim_say("leaf %u connects", i);
	if (bridge_run(leaf, up, link_of(i, 0)))
		(void)bridge_run(hub, up, link_of(i, 1));
}

/* Bytes under way are lost, but for some. Each side may learn of it now, or by the silence. */
void net_cut(unsigned i)
{
	struct connection *c = &sim.net[i];

	if (c->cut || (!c->there[0] && !c->there[1]))
		return;
	c->cut = true;
	sim_count(T_CUT);
	sim_say("leaf %u is cut off", i);
	for (unsigned side = 0; side < 2; side++) {
		struct pipe *p = &c->pipe[side];

		c->fin[side] = false;
		/* At any byte of them. */
		p->len = p->len > 0 && sim_chance(2) ? sim_below(p->len + 1) : 0;
		while (p->pieces > 0 && (p->pieces > 1 ? p->piece[p->pieces - 2].end : 0) >= p->len)
			p->pieces--;
		if (p->pieces > 0)
			p->piece[p->pieces - 1].end = p->len;
	}
	for (unsigned side = 0; side < 2; side++)
		if (bridge_of(i, side)->stopped_ns <= sim.now_ns && sim_chance(2))
			net_close(i, side);
}

static void append(uint8_t **to, size_t *len, size_t *room, const uint8_t *bytes, size_t n)
{
	if (*len + n > *room) {
		*room = (*len + n) * 2;
		*to = realloc(*to, *room);
		if (!*to)
			abort();
	}
	/* Not to or from a null pointer, even of 0 bytes. */
	if (n > 0)
		memcpy(*to + *len, bytes, n);
	*len += n;
}

static void send_bytes(struct connection *c, unsigned side, const uint8_t *bytes, size_t n)
{
	struct pipe *p = &c->pipe[side];

	if (c->cut)
		return;
	append(&p->bytes, &p->len, &p->room, bytes, n);
	p->piece[p->pieces++] = (struct piece){
		.end = p->len, .at_ns = sim.now_ns + (int64_t)sim_below(sim.slow * 3 * MS)};
	sim.count[T_BYTES] += n;
}

/* The first piece, or a part of it, has come to the other side. */
void net_deliver(unsigned i, unsigned side)
{
	struct connection *c = &sim.net[i];
	struct pipe *p = &c->pipe[side];
	unsigned to = !side;
	size_t n;

	if (c->stall_ns[side] > sim.now_ns)
		return;
	if (p->pieces == 0 && c->fin[side] && bridge_of(i, to)->stopped_ns <= sim.now_ns)
		net_close(i, to);
	if (p->pieces == 0 || p->piece[0].at_ns > sim.now_ns)
		return;
	n = p->piece[0].end;
	if (n > 1 && sim_chance(4))
		n = 1 + sim_below(n - 1);
	c->news[to] = true;
	if (c->there[to])
		append(&c->in[to], &c->in_len[to], &c->in_room[to], p->bytes, n);
	memmove(p->bytes, p->bytes + n, p->len - n);
	p->len -= n;
	for (unsigned k = 0; k < p->pieces; k++)
		p->piece[k].end -= n;
	if (p->piece[0].end == 0)
		memmove(p->piece, p->piece + 1, --p->pieces * sizeof(p->piece[0]));
}

struct turn {
	unsigned i, side;
	bool close;
};

/* The hub goes on with an epoch: then nothing of it was given to others. */
static void check_resumed(unsigned i, unsigned number)
{
	const struct link *l = link_of(i, 1);

	for (unsigned k = 0; k < l->count; k++)
		if (l->streams[k]->number == number && l->streams[k]->direction == WIRE_PULL)
			books_withdrawn(i, queue_of(l->streams[k]->queue));
}

/* What a side is about to send: for the account, and to see what it has decided. */
static void look_at_frames(const struct turn *t, const uint8_t *out, size_t n)
{
	struct wire_frame f;
	size_t used;

	for (size_t at = 0; at < n; at += used) {
		if (wire_next(out + at, n - at, &f, &used, NULL) < 0) {
			sim_fail("a frame was made that is none");
			return;
		}
		if (f.type == WIRE_BATCH || f.type == WIRE_PART)
			sim_count(f.type == WIRE_BATCH ? T_IN_BATCH : T_IN_PARTS);
		else if (f.type == WIRE_NACK)
			sim_count(T_RECALLED);
		else if (f.type == WIRE_OWED && f.ranges.count > 0)
			sim_count(T_RESUMED_OWED);
		else if (f.type == WIRE_OPENED && f.opened.result == WIRE_RESUMED)
			check_resumed(t->i, f.stream);
	}
}

static void say(void *arg)
{
	const struct turn *t = arg;
	struct connection *c = &sim.net[t->i];
	static uint8_t out[OUT_MAX];

	while (c->there[t->side] && c->pipe[t->side].pieces < PIECES_MAX) {
		size_t n = link_output(link_of(t->i, t->side), out,
			LINK_OUTPUT_MIN + sim_below(OUT_MAX - LINK_OUTPUT_MIN), sim.now_ns);

		if (n == 0)
			break;
		look_at_frames(t, out, n);
		send_bytes(c, t->side, out, n);
	}
}

static void listen_to(struct turn *t, struct link *l)
{
	struct connection *c = &sim.net[t->i];
	size_t used = 0;
	int r;

	if (!c->there[t->side] || !c->news[t->side] || c->in_len[t->side] == 0)
		return;
	r = link_input(l, c->in[t->side], c->in_len[t->side], sim.now_ns, &used);
	c->news[t->side] = false;
	memmove(c->in[t->side], c->in[t->side] + used, c->in_len[t->side] - used);
	c->in_len[t->side] -= used;
	if (r == -EPROTO)
		sim_fail("the protocol was broken");
	else if (r < 0 && r != -ESHUTDOWN)
		sim_fail("link_input: %d", r);
	else if (r == 0 && c->in_len[t->side] >= WIRE_HEADER + WIRE_FRAME_MAX)
		sim_fail("%zu bytes of input are left", c->in_len[t->side]);
	t->close = r < 0;
}

/* If a queue was removed, the daemon finds that once a second. */
static void look_at_queues(const struct turn *t, struct link *l)
{
	const struct host *host = &sim.host[t->side ? HUB : t->i];
	int64_t *looked = &bridge_of(t->i, t->side)->looked_ns[t->i];

	if (sim.now_ns - *looked < 1000 * MS)
		return;
	*looked = sim.now_ns;
	for (unsigned k = 0; k < link_streams(l); k++) {
		enum wire_direction direction;
		struct link_end end;
		const char *queue;
		char local[80];

		link_stream(l, k, &direction, &queue, &end);
		if (!end.sender && !end.receiver)
			continue;
		hosts_name(local, sizeof(local), host, queue_of(queue));
		if (end_look(&end, local) == END_STANDS)
			continue;
		sim_count(T_NOTICED);
		link_forget(l, k, sim.now_ns);
	}
}

static bool messages_in_flight(const struct link *l)
{
	for (unsigned k = 0; k < link_streams(l); k++) {
		enum wire_direction direction;
		struct link_end end;
		const char *queue;

		link_stream(l, k, &direction, &queue, &end);
		if (end.sender && direction == WIRE_PULL && !link_idle(l))
			return true;
	}
	return false;
}

static void take_turn(void *arg)
{
	struct turn *t = arg;
	struct link *l = link_of(t->i, t->side);
	bool dead = false;

	listen_to(t, l);
	(void)link_tick(l, sim.now_ns, &dead);
	t->close |= dead && sim.net[t->i].there[t->side];
	look_at_queues(t, l);
	if (t->side == 1) {
		bool revoked = sim.net[t->i].revoked;
		bool some = messages_in_flight(l);

		if (link_give_up(l, revoked ? INT64_MAX : sim.now_ns) && some) {
			sim_count(T_GIVEN_UP);
			if (sim.host[t->i].gone)
				sim_count(T_VANISHED_WITH);
			bridge_of(t->i, 0)->late = bridge_of(t->i, 0)->alive &&
						   bridge_of(t->i, 0)->stopped_ns > sim.now_ns;
		}
	}
	say(t);
}

/* The leaf's queue was removed under it: then its stream has ended, and the hub waits for another. */
static bool was_removed(unsigned i, const char *queue)
{
	for (unsigned q = 0; q < QUEUES; q++)
		if (sim.host[i].removed[q] > 0 && strcmp(queue_name((enum queue)q), queue) == 0)
			return true;
	return false;
}

/*
 * A leaf that has drained, and leaves in time: the hub holds nothing for it, whatever it was sending
 * when it heard so. What it did hold would wait for redeliver-after, though nobody has it.
 */
static void check_left(unsigned i)
{
	const struct link *leaf = link_of(i, 0), *hub = link_of(i, 1);

	if (!sim.net[i].there[0] || !link_is_up(leaf) || !bridge_of(i, 1)->alive)
		return;
	sim_count(T_LEFT_CLEAN);
	for (unsigned k = 0; k < link_streams(hub); k++) {
		enum wire_direction direction;
		struct link_end end;
		const char *queue;
		int n;

		link_stream(hub, k, &direction, &queue, &end);
		if (direction != WIRE_PULL || !end.sender || was_removed(i, queue))
			continue;
		n = sq_held(sender_queue(end.sender), NULL, 0);
		if (n > 0)
			sim_fail(
				"leaf %u has drained and leaves, and the hub holds %d of %s for it",
				i, n, queue);
	}
}

/* All that is connected has finished what was under way; or the time for that is over. */
static void leave_if_drained(struct bridge *b)
{
	bool idle = true;

	for (unsigned i = 0; i < sim.leaves; i++) {
		unsigned side = b->host == HUB;

		if ((side || b->host == i) && sim.net[i].there[side])
			idle = idle && link_idle(link_of(i, side));
	}
	if (!idle && sim.now_ns < b->drain_ns)
		return;
	if (idle)
		sim_count(b->host == HUB ? T_DRAINED_HUB : T_DRAINED_LEAF);
	else
		sim_count(T_DRAIN_TIMEOUT);
	if (idle && b->host != HUB)
		check_left(b->host);
	bridge_leave(b);
}

void net_pump(unsigned i, unsigned side)
{
	struct bridge *b = bridge_of(i, side);
	struct turn t = {.i = i, .side = side};

	if (!b->alive || b->stopped_ns > sim.now_ns || !link_of(i, side))
		return;
	(void)bridge_run(b, take_turn, &t);
	if (b->alive && t.close)
		net_close(i, side);
	if (b->alive && b->draining)
		leave_if_drained(b);
}

void net_flush(unsigned i, unsigned side)
{
	struct turn t = {.i = i, .side = side};

	(void)bridge_run(bridge_of(i, side), say, &t);
}
