/* SPDX-License-Identifier: ISC */
#include <bsd/string.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "end.h"
#include "ledger.h"
#include "link_impl.h"
#include "send.h"

/*
 * A stream's frames, received: opening and resuming, messages, and what is said about them. Called
 * by link.c.
 */

#define TICK_NS ((int64_t)10000000) /* a wake-up may be lost, if its waker was killed */

_Static_assert(RECEIVER_PUSHES_MAX >= WIRE_STREAMS_MAX, "each stream may be a push");

struct stream *stream_new(enum wire_direction direction, const char *queue)
{
	struct stream *st = calloc(1, sizeof(*st));

	if (!st)
		return NULL;
	st->direction = direction;
	st->run = 1;
	(void)strlcpy(st->queue, queue, sizeof(st->queue));
	return st;
}

/* The connection has ended. */
void stream_down(struct stream *st)
{
	if (st->end.sender)
		sender_pause(st->end.sender);
	if (st->end.receiver)
		receiver_reset(st->end.receiver);
	free(st->owed);
	st->owed = NULL;
	st->owed_count = st->owed_at = st->returned_count = 0;
	st->say_open = st->say_opened = st->say_owed = st->say_credit = st->say_error = false;
	st->part_offset = 0;
	st->named = st->not_done = 0;
	st->number = 0;
	st->state = STREAM_CLOSED;
}

void stream_free(struct stream *st)
{
	if (!st)
		return;
	stream_down(st);
	sender_close(st->end.sender);
	receiver_close(st->end.receiver);
	free(st->returned);
	free(st);
}

/* Tell the peer that this stream does not go on, and why. */
void stream_refuse(struct stream *st, uint16_t code, const char *text)
{
	uint16_t number = st->number;

	stream_down(st);
	st->number = number; /* until the error is sent */
	st->say_error = true;
	st->error = code;
	st->error_text = text;
}

void stream_forget(struct link *l, struct stream *st, int64_t now_ns)
{
	/* A leaf that has still to send its open sends it for the new queue. */
	if (l->up && st->number != 0)
		stream_refuse(st, WIRE_E_NO_QUEUE, "the queue was removed");
	else if (st->state != STREAM_OPENING && st->state != STREAM_REFUSED)
		stream_down(st);
	st->retry_ns = now_ns + STREAM_RETRY_NS;
	sender_close(st->end.sender);
	receiver_close(st->end.receiver);
	st->end = (struct link_end){0};
	st->run++;
	st->touched_ns = st->lease_time = 0;
	st->drained = false;
}

/* End this run of the stream. The word that says so is written first. */
void stream_end_epoch(struct stream *st)
{
	ledger_set_epoch(sender_ledger(st->end.sender), 0);
	sender_return_all(st->end.sender);
}

/*
 * Give all leases back to the queue, and give up the participant. If the daemon dies in between,
 * leftover.c does the rest at the next start.
 */
uint64_t stream_give_back(struct stream *st)
{
	struct sender *s = st->end.sender;
	uint64_t before;

	if (!s)
		return 0;
	before = sender_counts(s)->given_back;
	stream_end_epoch(st);
	(void)sq_retire(sender_queue(s)); /* it is closed next, and leaves nothing then */
	return sender_counts(s)->given_back - before;
}

/* The hub's side of a pull: the leaf has this many, of that epoch. */
static int open_pull(struct link *l, struct stream *st, const struct wire_open *open)
{
	struct sender *s = st->end.sender;
	struct ledger *ledger = sender_ledger(s);
	uint8_t instance[LEDGER_INSTANCE];
	uint64_t epoch = ledger_epoch(ledger);
	int r;

	ledger_instance(ledger, instance);
	if (epoch && open->epoch == epoch &&
		memcmp(instance, l->peer_instance, sizeof(instance)) == 0 &&
		sender_resume(s, open->sequence) == 0) {
		st->opened.result = WIRE_RESUMED;
		st->opened.epoch = epoch;
		st->state = STREAM_RECONCILING;
		return 0;
	}
	stream_end_epoch(st);
	r = sender_renumber(s, open->sequence);
	if (r < 0)
		return r;
	epoch = l->setup.random(l->setup.context);
	ledger_set_instance(ledger, l->peer_instance);
	ledger_set_epoch(ledger, epoch);
	st->opened.result = open->epoch ? WIRE_STALE : WIRE_FRESH;
	st->opened.epoch = epoch;
	st->state = STREAM_FLOWING;
	if (open->epoch)
		link_event(l, "epoch_stale", st->queue, NULL);
	return 0;
}

static struct stream *find_queue(
	const struct link *l, enum wire_direction direction, const char *queue)
{
	for (unsigned i = 0; i < l->count; i++)
		if (l->streams[i]->direction == direction &&
			strcmp(l->streams[i]->queue, queue) == 0)
			return l->streams[i];
	return NULL;
}

/* A place for one more stream: that of one that was refused and has nothing left, or a new one. */
static unsigned place_for(struct link *l)
{
	unsigned i = 0;

	while (i < l->count && (l->streams[i]->state != STREAM_CLOSED || l->streams[i]->say_error ||
				       l->streams[i]->end.sender || l->streams[i]->end.receiver))
		i++;
	return i;
}

/* The hub is asked for a stream. */
int stream_open(struct link *l, const struct wire_frame *f)
{
	const struct wire_open *open = &f->open;
	struct stream *st = find_queue(l, open->direction, open->name);
	const char *why = "";
	bool had_sender;
	int r;

	if (!l->setup.hub)
		return link_broken(l, "open from a hub");
	for (unsigned i = 0; i < l->count; i++)
		if (l->streams[i]->number == f->stream && l->streams[i] != st)
			return link_broken(l, "a stream's number is in use");
	if (!st) {
		unsigned place = place_for(l);

		if (place == WIRE_STREAMS_MAX)
			return link_broken(l, "too many streams");
		st = stream_new(open->direction, open->name);
		if (!st)
			return -ENOMEM;
		if (place == l->count)
			l->count++;
		else
			stream_free(l->streams[place]);
		l->streams[place] = st;
	} else if (st->state != STREAM_CLOSED) {
		return link_broken(l, "a stream was opened twice");
	}
	stream_down(st);
	st->number = f->stream;
	had_sender = st->end.sender;
	r = l->setup.open(l->setup.context, l, open->direction, open->name, &st->end, &why);
	if (!had_sender)
		st->flowed_ns = l->heard_ns;
	if (r == 0 && open->direction == WIRE_PULL && open->max_message &&
		open->max_message < st->end.max_message) {
		r = WIRE_E_TOO_LARGE;
		why = "the leaf's queue takes smaller messages than the hub's";
	}
	if (r == 0 && open->direction == WIRE_PUSH && open->max_message > st->end.max_message) {
		r = WIRE_E_TOO_LARGE;
		why = "the hub's queue takes smaller messages than the leaf's";
	}
	if (r != 0) {
		stream_refuse(st, r > 0 ? (uint16_t)r : WIRE_E_INTERNAL, why);
		link_event(l, "stream_refused", st->queue, why);
		return 0;
	}
	st->opened = (struct wire_opened){
		.result = WIRE_RESUMED,
		.max_message = st->end.max_message,
		.capacity = st->end.capacity,
		.small = st->end.small,
	};
	st->acked = UINT64_MAX;
	if (open->direction == WIRE_PULL) {
		r = open_pull(l, st, open);
		st->base = sender_lowest(st->end.sender);
		if (r == 0 && (l->draining || l->peer_drains))
			stream_withdraw(st); /* now it is known what was not received */
	} else {
		st->opened.sequence = receiver_received(st->end.receiver);
		st->opened.epoch = st->end.identity;
		st->state = STREAM_FLOWING;
	}
	st->say_opened = r == 0;
	return r;
}

/* The leaf's side of a pull: the hub has told what of the epoch it knows. */
static int opened_pull(struct link *l, struct stream *st, const struct wire_opened *opened)
{
	struct receiver *r = st->end.receiver;
	struct ledger *ledger = receiver_ledger(r);
	uint8_t instance[LEDGER_INSTANCE];

	if (opened->result == WIRE_RESUMED) {
		if (opened->epoch != receiver_epoch(r))
			return link_broken(l, "another epoch was resumed");
		st->say_owed = true;
		st->owed_at = 0;
		return receiver_owed(r, &st->owed, &st->owed_count);
	}
	ledger_instance(ledger, instance);
	if (receiver_owed_count(r) > 0) {
		/*
		 * If the hub has lost its memory (another instance), it has not given these tasks
		 * to others: they are done here.
		 */
		if (memcmp(instance, l->peer_instance, sizeof(instance)) == 0)
			receiver_abandon(r);
		else
			receiver_disown(r);
		link_event(l, "epoch_stale", st->queue, NULL);
	}
	ledger_set_instance(ledger, l->peer_instance);
	receiver_begin(r, opened->epoch);
	return 0;
}

/* The leaf's side of a push: the hub has all to that sequence. */
static int opened_push(struct link *l, struct stream *st, const struct wire_opened *opened)
{
	struct sender *s = st->end.sender;
	struct ledger *ledger = sender_ledger(s);
	uint64_t before = ledger_epoch(ledger);
	int r = -ERANGE;

	/* With another count, of another queue, its sequence says nothing about what was sent. */
	if (before == 0 || opened->epoch == 0 || before == opened->epoch)
		r = sender_resume(s, opened->sequence);
	if (r == -ERANGE) {
		link_event(l, "renumbered", st->queue, NULL);
		r = sender_renumber(s, opened->sequence);
	}
	/* Written last: after a kill before this, the numbers are made anew once more. */
	if (r == 0 && opened->epoch)
		ledger_set_epoch(ledger, opened->epoch);
	if (r == 0)
		sender_received(s, opened->sequence);
	return r;
}

static int opened(struct link *l, struct stream *st, const struct wire_opened *f, int64_t now_ns)
{
	const char *why = "";
	int r;

	if (l->setup.hub || st->state != STREAM_OPENING)
		return link_broken(l, "opened, though it was not asked for");
	r = l->setup.opened(l->setup.context, l, st->direction, st->queue, f, &st->end, &why);
	if (r != 0) {
		stream_refuse(st, r > 0 ? (uint16_t)r : WIRE_E_INTERNAL, why);
		st->retry_ns = now_ns + STREAM_RETRY_NS;
		link_event(l, "stream_refused", st->queue, why);
		return 0;
	}
	st->acked = UINT64_MAX;
	r = st->direction == WIRE_PULL ? opened_pull(l, st, f) : opened_push(l, st, f);
	st->state = STREAM_FLOWING;
	stream_flowed(st, now_ns);
	return r;
}

/*
 * The queue does not take the message, and the message must not be skipped: the stream ends, the
 * peer is told why, and the other streams go on. What was held is sent again when the stream is
 * opened again.
 */
static void not_taken(struct link *l, struct stream *st, int r)
{
	if (r == -EPIPE)
		stream_refuse(st, WIRE_E_CLOSED, "the queue was shut down");
	else if (r == -EIDRM)
		stream_refuse(st, WIRE_E_CLOSED, "the queue was removed");
	else if (r == -EMSGSIZE)
		stream_refuse(st, WIRE_E_TOO_LARGE, "too large for the queue");
	else
		stream_refuse(st, WIRE_E_INTERNAL, sq_strerror(r));
	link_event(l, "stream_refused", st->queue, st->error_text);
}

static int receive(struct link *l, struct stream *st, const struct wire_frame *f)
{
	struct receiver *rc = st->end.receiver;
	struct wire_batch_walk walk;
	struct wire_message m;
	int r = 0;

	if (!rc || st->state != STREAM_FLOWING)
		return link_broken(l, "messages on a stream that does not receive");
	if (f->type == WIRE_PART) {
		r = receiver_part(rc, f->part.sequence, f->part.total, f->part.offset, f->part.data,
			f->part.len);
	} else {
		wire_batch_start(&walk, &f->batch);
		while (r == 0 && wire_batch_next(&walk, &m))
			r = receiver_put(rc, m.sequence, m.data, m.len);
	}
	if (r == -EPROTO)
		return link_broken(l, "a message out of turn, or more than was granted");
	if (r < 0)
		not_taken(l, st, r);
	return 0;
}

/* Remember to report these as returned. */
static int note_returned(struct stream *st, struct wire_range range)
{
	if (st->returned_count == st->returned_room) {
		size_t room = st->returned_room ? st->returned_room * 2 : 64;
		struct range *more;

		more = reallocarray(st->returned, room, sizeof(*more));
		if (!more)
			return -ENOMEM;
		st->returned = more;
		st->returned_room = room;
	}
	st->returned[st->returned_count++] = (struct range){
		.first = range.first, .count = range.count};
	return 0;
}

/*
 * Has this peer named too many messages? Each number costs a search, however short the range that
 * has it. A peer names each message that it was sent once as owed, and once as settled or not done;
 * each that it has not done is named once as returned. (A few more are allowed, of which nothing is
 * known here any more.)
 */
static bool too_many(struct stream *st, const struct wire_frame *f)
{
	const struct sender *s = st->end.sender;
	uint64_t may, sum = 0;

	for (uint32_t i = 0; i < f->ranges.count; i++)
		sum += wire_range_at(&f->ranges, i).count;
	may = f->type == WIRE_RETURNED ? st->not_done
				       : 2 * (sender_next_sequence(s) - st->base + WIRE_WINDOW_MAX);
	st->named += sum;
	return sum > WIRE_WINDOW_MAX || st->named > may;
}

static int ranges(struct link *l, struct stream *st, const struct wire_frame *f)
{
	struct sender *s = st->end.sender;
	int r = 0;

	if (f->type == WIRE_RETURNED) {
		if (!st->end.receiver || st->direction != WIRE_PULL)
			return link_broken(l, "returned, of a stream that gives nothing back");
	} else if (!s || st->direction != WIRE_PULL ||
		   (f->type == WIRE_OWED) != (st->state == STREAM_RECONCILING)) {
		return link_broken(
			l, "owed, settled or not done, of a stream that is not a pull's");
	}
	if (too_many(st, f))
		return link_broken(l, "more is said of messages than there are");
	for (uint32_t i = 0; r == 0 && i < f->ranges.count; i++) {
		struct wire_range range = wire_range_at(&f->ranges, i);

		switch (f->type) {
		case WIRE_OWED:
			sender_owed(s, range.first, range.count);
			break;
		case WIRE_SETTLE:
			sender_settle(s, range.first, range.count);
			break;
		case WIRE_NACK:
			sender_return(s, range.first, range.count);
			r = note_returned(st, range);
			break;
		default:
			receiver_returned(st->end.receiver, range.first, range.count);
			break;
		}
	}
	if (f->type == WIRE_OWED && f->ranges.last) {
		sender_reconcile(s);
		st->state = STREAM_FLOWING;
	}
	return r;
}

int stream_input(struct link *l, struct stream *st, const struct wire_frame *f, int64_t now_ns)
{
	/* We have refused this stream, and the peer may not know yet. */
	if (st->say_error || (l->setup.hub && st->state == STREAM_CLOSED))
		return 0;
	/* The frame is of the stream that had this number before, and was refused. */
	if (st->state == STREAM_OPENING && f->type != WIRE_OPENED && f->type != WIRE_ERROR)
		return 0;
	switch (f->type) {
	case WIRE_OPENED:
		return opened(l, st, &f->opened, now_ns);
	case WIRE_BATCH:
	case WIRE_PART:
		return receive(l, st, f);
	case WIRE_OWED:
	case WIRE_SETTLE:
	case WIRE_NACK:
	case WIRE_RETURNED:
		return ranges(l, st, f);
	case WIRE_CREDIT:
		if (!st->end.sender)
			return link_broken(l, "credit for a stream that sends nothing");
		sender_credit(st->end.sender, f->credit.sequence, f->credit.bytes);
		return 0;
	case WIRE_ACK:
		if (!st->end.sender || st->direction != WIRE_PUSH)
			return link_broken(l, "ack, of a stream that is not a push's");
		sender_received(st->end.sender, f->received);
		return 0;
	case WIRE_ERROR:
		link_event_error(l, "stream_closed", st->queue, &f->error);
		st->denied = f->error.code == WIRE_E_DENIED;
		stream_down(st);
		st->state = l->setup.hub ? STREAM_CLOSED : STREAM_REFUSED;
		st->retry_ns = now_ns + (f->error.retry_after_ms
							? (int64_t)f->error.retry_after_ms * 1000000
							: STREAM_RETRY_NS);
		return 0;
	default:
		return link_broken(l, "a frame that belongs to no stream");
	}
}

/*
 * In a queue with a lease time the leases are touched, whether or not the peer is connected. If
 * this daemon stood still for so long that some have ended, what was to be sent after them is
 * numbered anew.
 */
static void touch(struct link *l, struct stream *st, int64_t now_ns)
{
	struct sq_stat stat;

	if (st->touched_ns == 0) {
		if (sq_stat(sender_queue(st->end.sender), &stat) == 0)
			st->lease_time = stat.lease_time;
	} else if (!st->lease_time || now_ns - st->touched_ns < st->lease_time / 3) {
		return;
	}
	st->touched_ns = now_ns;
	if (sender_touch(st->end.sender, st->part_offset > 0))
		return;
	stream_refuse(st, WIRE_E_INTERNAL, "a message's lease ended while it was sent");
	link_event(l, "stream_refused", st->queue, st->error_text);
}

/* It flows now: the time until it is given up begins anew. */
void stream_flowed(struct stream *st, int64_t now_ns)
{
	if (st->state != STREAM_FLOWING)
		return;
	st->flowed_ns = now_ns;
	st->given_up = false;
}

bool stream_give_up(struct link *l, struct stream *st, int64_t now_ns)
{
	bool any;

	if (st->direction != WIRE_PULL || !st->end.sender || st->given_up ||
		st->state == STREAM_FLOWING ||
		now_ns - st->flowed_ns < l->setup.redeliver_after_ms * (int64_t)1000000)
		return false;
	any = sender_in_flight(st->end.sender) > 0;
	st->given_up = true;
	stream_end_epoch(st);
	/* The leaf has not told in time what it owes: the stream is opened anew. */
	if (st->state != STREAM_CLOSED)
		stream_refuse(st, WIRE_E_LIMIT, "what is owed was not told in time");
	if (any)
		link_event(l, "given_up", st->queue, NULL);
	return any;
}

/* A push, as the scan of a pull sees it, whose results go there. */
struct push_of {
	const struct link *link;
	const struct stream *stream;
};

static bool stands(const void *of)
{
	const struct link_end *end = &((const struct push_of *)of)->stream->end;

	return end_look(end, end->local) == END_STANDS;
}

static bool absent(const void *of)
{
	const struct push_of *push = of;
	const struct link_setup *setup = &push->link->setup;

	return setup->absent && setup->absent(setup->context, push->stream->queue);
}

int64_t stream_tick(struct link *l, struct stream *st, int64_t now_ns)
{
	struct receiver_push push[RECEIVER_PUSHES_MAX];
	struct push_of of[RECEIVER_PUSHES_MAX];
	struct receiver *r = st->end.receiver;
	int64_t again = now_ns + TICK_NS, rested_ns;
	unsigned n = 0;
	int flushed;

	if (st->end.sender)
		touch(l, st, now_ns);
	stream_flowed(st, now_ns);
	if (st->state == STREAM_REFUSED && now_ns >= st->retry_ns && !l->draining) {
		st->say_open = true;
		st->state = STREAM_OPENING;
	}
	if (!r)
		return again;
	flushed = receiver_flush(r);
	if (flushed < 0 && st->state == STREAM_FLOWING)
		not_taken(l, st, flushed);
	if (st->direction == WIRE_PULL) {
		for (unsigned i = 0; i < l->count; i++)
			if (l->streams[i]->direction == WIRE_PUSH) {
				of[n] = (struct push_of){l, l->streams[i]};
				push[n] = (struct receiver_push){
					.sender = l->streams[i]->end.sender,
					.run = l->streams[i]->run,
					.capacity = l->streams[i]->end.capacity,
					.stands = stands,
					.absent = absent,
					.of = &of[n]};
				n++;
			}
		(void)receiver_scan(r, push, n, now_ns);
		/* Also tasks that came, or came back from a worker, since the drain began. */
		if (l->draining)
			receiver_recall(r);
		rested_ns = receiver_scan_again(r);
		if (rested_ns > now_ns && rested_ns < again)
			again = rested_ns;
	}
	if (st->state == STREAM_FLOWING && !st->say_owed &&
		receiver_credit(r, now_ns, l->counts.rtt_ns, l->draining, &st->credit.sequence,
			&st->credit.bytes))
		st->say_credit = true;
	return again;
}

/* The hub's, of a pull: send nothing more, and give back what was not sent. */
void stream_withdraw(struct stream *st)
{
	if (!st->end.sender)
		return;
	sender_stop(st->end.sender, true);
	sender_withdraw(st->end.sender, st->part_offset > 0);
}

/* Nothing is under way, and nothing about it is to be sent or received. */
bool stream_idle(const struct stream *st)
{
	if (st->state == STREAM_OPENING || st->state == STREAM_RECONCILING || st->say_owed ||
		st->returned_count > 0)
		return false;
	if (st->end.sender && sender_in_flight(st->end.sender) > 0)
		return false;
	return !st->end.receiver || receiver_idle(st->end.receiver);
}
