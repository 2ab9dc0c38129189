/* SPDX-License-Identifier: ISC */
#include "ledger.h"
#include "link_impl.h"
#include "recv.h"
#include "recv_impl.h"
#include "send.h"
#include "sim.h"

/* Memory is bounded at every moment; and when all is done nothing is held. */

#define FIXED      (128 << 10) /* a stream's, whatever its window: stages, ranges to be said */
#define PER_WINDOW 512         /* bytes of books for a message */

static void check_end(const struct link_end *end, unsigned i)
{
	if (end->sender && sender_in_flight(end->sender) > sim.window)
		sim_fail("leaf %u: more in flight than the window", i);
	if (!end->receiver)
		return;
	if (receiver_owed_count(end->receiver) > sim.window)
		sim_fail("leaf %u: more owed than the window", i);
	/* What was granted, and the message that went over it. */
	if (receiver_counts(end->receiver)->held_bytes > sim.window_bytes + sim.max_message)
		sim_fail("leaf %u: more held than the window", i);
	if (end->receiver->held_count > sim.window)
		sim_fail("leaf %u: more messages held than the window", i);
	if (receiver_counts(end->receiver)->held_bytes > 0)
		sim_count(T_HELD);
}

/*
 * Tasks are not hoarded: while all workers of a leaf are at long tasks, nothing more is asked for
 * than was when that had been so for a while, and one.
 */
static void check_hoard(struct host *host, const struct receiver *r)
{
	bool busy = host->hung && sim.now_ns - host->hung_ns > 500 * MS;

	for (unsigned k = 0; k < host->workers; k++)
		busy = busy && host->worker[k].has && host->worker[k].busy_ns > sim.now_ns;
	if (!busy || host->bridge.stopped_ns > sim.now_ns)
		host->hung_granted = 0;
	else if (host->hung_granted == 0)
		host->hung_granted = r->granted > r->received ? r->granted : r->received;
	else if (r->granted > host->hung_granted + 1)
		sim_fail("a leaf without a free worker asks for more: %llu, and then %llu",
			(unsigned long long)host->hung_granted, (unsigned long long)r->granted);
}

static void check_link(const struct link *l, unsigned i, bool hub, size_t *bound)
{
	for (unsigned k = 0; k < link_streams(l); k++) {
		enum wire_direction direction;
		struct link_end end;
		const char *queue;

		link_stream(l, k, &direction, &queue, &end);
		check_end(&end, i);
		if (!hub && direction == WIRE_PULL && end.receiver && queue_of(queue) == PQ)
			check_hoard(&sim.host[i], end.receiver);
		*bound += FIXED + sim.window * PER_WINDOW + sim.window_bytes + sim.max_message;
	}
	*bound += FIXED;
}

void check_bounds(void)
{
	for (unsigned h = 0; h < HOSTS; h++) {
		struct bridge *b = &sim.host[h].bridge;
		size_t bound = 0;

		for (unsigned i = 0; b->alive && i < LEAVES_MAX; i++)
			if (b->link[i])
				check_link(b->link[i], h == HUB ? i : h, h == HUB, &bound);
		if (b->alive && b->heap > bound)
			sim_fail("the bridge of host %u holds %zu bytes, more than %zu", h, b->heap,
				bound);
	}
}

static void tell_stream(const struct stream *st)
{
	const struct sender *s = st->end.sender;
	const struct receiver *r = st->end.receiver;

	sim_say("    %s of %s: state %d, number %u%s%s%s%s", wire_direction_name(st->direction),
		st->queue, (int)st->state, st->number, st->say_open ? ", to say open" : "",
		st->say_opened ? ", opened" : "", st->say_owed ? ", owed" : "",
		st->say_credit ? ", credit" : "");
	if (s)
		sim_say("      sends: %u in flight, the lowest %llu, the next %llu",
			sender_in_flight(s), (unsigned long long)sender_lowest(s),
			(unsigned long long)sender_next_sequence(s));
	if (r)
		sim_say("      receives: has %llu, granted %llu, owes %u, waiting %u, stages %u, held %u",
			(unsigned long long)r->received, (unsigned long long)r->granted,
			r->owed_count, r->waiting, r->stage_count, r->held_count);
}

void tell_links(void)
{
	for (unsigned i = 0; i < sim.leaves; i++)
		for (unsigned side = 0; side < 2; side++) {
			const struct link *l = link_of(i, side);

			sim_say("  leaf %u, %s: %s%s%s%s", i, side ? "the hub's" : "its own",
				sim.net[i].there[side] ? "there" : "not there",
				sim.net[i].cut ? ", cut" : "", l && l->greeted ? ", greeted" : "",
				l && l->draining ? ", draining" : "");
			for (unsigned k = 0; l && k < l->count; k++)
				tell_stream(l->streams[k]);
		}
}

static bool empty(struct host *host, enum queue queue)
{
	struct sq_stat st;

	if (!host->q[queue])
		host->q[queue] = must_open(host, queue);
	if (!host->q[queue])
		return true; /* never made */
	if (sq_stat(host->q[queue], &st) < 0 || st.depth + st.leased > 0)
		return false;
	if (st.blocks_free == st.blocks)
		return true;
	/* What the dead had in hand is free once recovery has run. */
	if (sq_recover(host->q[queue]) < 0)
		sim_fail("a queue cannot be recovered");
	return false;
}

static bool books_empty(const struct link *l)
{
	for (unsigned k = 0; k < link_streams(l); k++) {
		enum wire_direction direction;
		struct link_end end;
		const char *queue;

		link_stream(l, k, &direction, &queue, &end);
		if (end.sender && ledger_count(sender_ledger(end.sender)) > 0)
			return false;
		if (end.receiver && receiver_ledger(end.receiver) &&
			ledger_count(receiver_ledger(end.receiver)) > 0)
			return false;
	}
	return true;
}

/* Nothing is under way, all queues and ledgers are empty. */
bool at_rest(void)
{
	for (unsigned h = 0; h < HOSTS; h++) {
		struct host *host = &sim.host[h];
		const struct bridge *b = &host->bridge;

		if ((h >= sim.leaves && h != HUB) || host->gone || (h != HUB && host->out))
			continue;
		if (!b->alive)
			return false;
		for (unsigned i = 0; i < LEAVES_MAX; i++)
			if (b->link[i] && (!link_idle(b->link[i]) || !books_empty(b->link[i])))
				return false;
		for (unsigned q = PQ; q < sim.queues; q++)
			if ((h == HUB || host_carries(h, (enum queue)q, WIRE_PULL) ||
				    host_carries(h, (enum queue)q, WIRE_PUSH)) &&
				!empty(host, (enum queue)q))
				return false;
	}
	return true;
}
