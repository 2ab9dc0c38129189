/* SPDX-License-Identifier: ISC */
#include <errno.h>

#include "handle.h"

/*
 * Lease times. Only in queues that have one: two words beside each cell.
 *
 * deadline: when the lease of this {message, attempt} ends. Written by the lessee after it took the
 * message; whoever comes across a taken cell whose deadline is of another lease writes it for him.
 * To end a lease, one CAS sets its time to 0: that decides against a touch that comes at the same
 * moment. Then the word goes from TAKEN to BACK.
 *
 * pins: the overdue holders of this message, which may still be reading. While there are any, its
 * memory is not used again: in the end the cell goes to PINNED, and who takes the last pin off
 * frees it. A pin is set before the lease's end can be seen in the word. It comes off when its
 * holder learns of the end, closes, or dies. A message with four of them is not taken from its
 * fifth holder.
 *
 *	deadline: ms << 20 | low 12 bits of the message's turn << 8 | attempts
 *	pins:     four owners of 12 bits << 16 | low 16 bits of the message's turn
 */

#define TAG_BITS 20
#define PINS     4

static uint64_t tag_of(uint64_t turn, unsigned attempts)
{
	return (turn & 0xfff) << 8 | attempts;
}

static uint64_t tag_in(uint64_t deadline)
{
	return deadline & (((uint64_t)1 << TAG_BITS) - 1);
}

static uint64_t deadline_from_now(const struct sq *h, uint64_t tag)
{
	return (sqi_now_ms() + h->g.in.lease_ms) << TAG_BITS | tag;
}

void sqi_due_begin(struct sq *h, uint64_t pos, uint64_t turn, unsigned attempts)
{
	struct sqi_due *due = sqi_due(h, pos);

	if (due) {
		/*
		 * Whatever is there, also if it bears our tag: that may be of a lease 4096 turns
		 * ago. A CAS, and not tried again: if it fails, somebody has just done it for us,
		 * or will.
		 */
		uint64_t old = sqi_look(&due->deadline);

		(void)sqi_cas(&due->deadline, old, deadline_from_now(h, tag_of(turn, attempts)));
	}
}

/* More time than the queue gives, for one attempt, that we have just begun. */
void sqi_due_extend(struct sq *h, uint64_t pos, uint64_t turn, unsigned attempts, uint64_t more_ms)
{
	struct sqi_due *due = sqi_due(h, pos);
	uint64_t old;

	if (!due)
		return;
	old = sqi_look(&due->deadline);
	if (tag_in(old) == tag_of(turn, attempts) && old >> TAG_BITS != 0)
		(void)sqi_cas(&due->deadline, old, old + (more_ms << TAG_BITS));
}

/* False: the lease's end is decided. */
bool sqi_due_touch(struct sq *h, uint64_t pos, uint64_t turn, unsigned attempts)
{
	struct sqi_due *due = sqi_due(h, pos);

	if (!due)
		return true;
	for (;;) {
		uint64_t old = sqi_look(&due->deadline);

		if (tag_in(old) == tag_of(turn, attempts) && old >> TAG_BITS == 0)
			return false;
		if (sqi_cas(&due->deadline, old, deadline_from_now(h, tag_of(turn, attempts))))
			return true;
	}
}

static unsigned pin_at(uint64_t pins, int i)
{
	return pins >> (16 + 12 * i) & 0xfff;
}

/* False: there is no room, or the message of this turn has gone. */
static bool pin(struct sq *h, uint64_t pos, uint64_t turn, unsigned owner)
{
	struct sqi_due *due = sqi_due(h, pos);

	for (;;) {
		uint64_t old = sqi_look(&due->pins), pins = old;
		int room = -1;

		/*
		 * After the look at the pins: if the message goes now and another is pinned, our
		 * CAS fails.
		 */
		if (sqi_watch(&sqi_cell(h, pos)->meta) >> SQI_TURN_SHIFT != turn)
			return false;
		if ((uint16_t)old != (uint16_t)turn)
			pins = turn & 0xffff; /* of an earlier message: nobody's any more */
		for (int i = 0; i < PINS; i++) {
			if (pin_at(pins, i) == owner)
				return true;
			if (pin_at(pins, i) == 0)
				room = i;
		}
		if (room < 0)
			return false;
		if (sqi_cas(&due->pins, old, pins | (uint64_t)owner << (16 + 12 * room)))
			return true;
	}
}

static uint64_t without(uint64_t pins, unsigned owner)
{
	for (int i = 0; i < PINS; i++)
		if (pin_at(pins, i) == owner)
			pins &= ~((uint64_t)0xfff << (16 + 12 * i));
	return pins;
}

bool sqi_due_pinned_slow(const struct sq *h, uint64_t pos)
{
	uint64_t pins = sqi_look(&sqi_due(h, pos)->pins);
	uint64_t turn = sqi_watch(&sqi_cell(h, pos)->meta) >> SQI_TURN_SHIFT;

	return pins >> 16 && (uint16_t)pins == (uint16_t)turn;
}

/* Have we had this message too long, and may still be reading it? Of one that is BACK: for sure, or not at all. */
bool sqi_due_is_pinned_by_us(const struct sq *h, uint64_t pos)
{
	uint64_t pins;

	if (!sqi_due(h, pos) || !sqi_due_pinned_slow(h, pos))
		return false;
	pins = sqi_look(&sqi_due(h, pos)->pins);
	return without(pins, h->owner) != pins;
}

/* This holder has learnt that its lease of the message of this turn has ended. */
void sqi_due_unpin(struct sq *h, uint64_t pos, uint64_t turn, unsigned owner)
{
	struct sqi_due *due = sqi_due(h, pos);
	uint64_t pins;

	if (!due)
		return;
	do {
		pins = sqi_look(&due->pins);
		if ((uint16_t)pins != (uint16_t)turn || without(pins, owner) == pins)
			return;
	} while (!sqi_cas(&due->pins, pins, without(pins, owner)));
	sqi_cell_unpinned(h, pos);
}

static bool is_leased_by(const struct sq *h, uint64_t pos, unsigned owner)
{
	uint64_t w = sqi_look(&sqi_cell(h, pos)->word);

	return sqi_word_state(w) == SQI_TAKEN && sqi_word_owner(w) == owner;
}

/*
 * This participant is gone. But not for what is leased in a durable one's name: somebody may be
 * about to end that lease, having set the pin, and a successor may read by it.
 */
void sqi_due_unpin_all(struct sq *h, unsigned owner, const struct sqi_slot *slot, uint64_t dead)
{
	if (!h->g.in.lease_ms)
		return;
	for (uint64_t i = 0; i <= h->mask; i++) {
		struct sqi_due *due = sqi_due(h, i);
		uint64_t pins;

		do {
			pins = sqi_look(&due->pins);
			if (without(pins, owner) == pins || is_leased_by(h, i, owner))
				break;
			/*
			 * After the look at the pins: they are not yet of the slot's next tenant.
			 */
			if (sqi_look(&slot->id) != dead)
				return;
		} while (!sqi_cas(&due->pins, pins, without(pins, owner)));
		sqi_cell_unpinned(h, i);
	}
}

/*
 * The lease that this word speaks of is overdue: end it. Others may be doing the same; whoever's
 * CAS of the word succeeds, the pin is needed, so only its holder takes it off: when it settles,
 * learns of the end, closes or dies.
 */
static void end(struct sq *h, uint64_t pos, uint64_t w, uint64_t turn, uint64_t deadline)
{
	struct sqi_cell *c = sqi_cell(h, pos);
	unsigned owner = sqi_word_owner(w), attempts = sqi_word_attempts(w);

	if (!pin(h, pos, turn, owner))
		return;
	if (deadline >> TAG_BITS &&
		!sqi_cas(&sqi_due(h, pos)->deadline, deadline, tag_in(deadline)))
		return; /* touched, or ended by another */
	while (!sqi_cas(&c->word, w, sqi_word_back(w))) {
		w = sqi_look(&c->word);
		if (sqi_word_state(w) != SQI_TAKEN || sqi_word_owner(w) != owner ||
			sqi_word_attempts(w) != attempts ||
			sqi_watch(&c->meta) >> SQI_TURN_SHIFT != turn)
			return; /* settled, or ended by another */
	}
	(void)sqi_add(&h->head->overdue, 1);
	sqi_back_announce(h, pos);
}

/* Does nobody live in this slot, and is nobody to read by what was leased there? */
static bool is_nobody(const struct sq *h, unsigned owner)
{
	const struct sqi_slot *slot;
	uint64_t id;

	if (owner > h->g.in.participants)
		return true;
	slot = sqi_slot(h, owner - 1);
	id = sqi_look(&slot->id);
	return id == 0 || sqi_is_kept(slot, id);
}

/*
 * A pin whose slot has no tenant: set for one found overdue who was reaped meanwhile. The message
 * is done, so a durable one's successor will not find it leased.
 */
static void unpin_nobody(struct sq *h, uint64_t pos)
{
	struct sqi_due *due = sqi_due(h, pos);
	uint64_t pins = sqi_look(&due->pins);

	for (int i = 0; i < PINS; i++) {
		unsigned owner = pin_at(pins, i);

		if (owner > 0 && is_nobody(h, owner))
			(void)sqi_cas(&due->pins, pins, without(pins, owner));
	}
	sqi_cell_unpinned(h, pos);
}

/* End the leases whose time is up. */
void sqi_due_sweep(struct sq *h)
{
	uint64_t now = sqi_now_ms();

	if (!h->g.in.lease_ms)
		return;
	for (uint64_t i = 0; i <= h->mask; i++) {
		struct sqi_cell *c = sqi_cell(h, i);
		struct sqi_due *due = sqi_due(h, i);
		uint64_t w = sqi_look(&c->word), turn, tag, deadline;

		if (sqi_word_state(w) == SQI_BACK) {
			sqi_back_announce(h, i);
			continue;
		}
		if (sqi_word_state(w) == SQI_PINNED)
			unpin_nobody(h, i);
		if (sqi_word_state(w) != SQI_TAKEN)
			continue;
		turn = sqi_watch(&c->meta) >> SQI_TURN_SHIFT;
		tag = tag_of(turn, sqi_word_attempts(w));
		deadline = sqi_look(&due->deadline);
		if (sqi_look(&c->word) != w)
			continue; /* what we read may be of two leases; next time */
		if (tag_in(deadline) != tag)
			(void)sqi_cas(&due->deadline, deadline, deadline_from_now(h, tag));
		else if (deadline >> TAG_BITS <= now)
			end(h, i, w, turn, deadline);
	}
}
