/* SPDX-License-Identifier: ISC */
#include <string.h>
#include <time.h>

#include "handle.h"

/*
 * What death leaves behind. Anyone may run this at any time, several at once, and die in it: every
 * step is a CAS that only one of them makes, and the slot is released last, so that what a dead
 * recoverer left undone is done by the next. Nobody waits for it: it reclaims, and progress never
 * depends on it.
 *
 * It takes a lap over all cells and blocks. Who does it in passing does it in slices; but a slot is
 * released only by one who has himself done all of a lap that began after he had seen its id dead.
 * See docs/MEMORY_MODEL.md, "Recovery in slices".
 *
 * A slow recoverer must not rob the slot's next tenant. So: read the word, then read that the slot
 * still bears the dead id, then CAS that very word. If the id was still there after the word was
 * read, the word was of the dead.
 */

#ifndef SLICE_CELLS        /* the explorer has slices of one cell */
#define SLICE_CELLS 256    /* or blocks, between two looks at the clock */
#define SLICE_NS    250000 /* of each of the four things that are done in slices */
#define SMALL       16384  /* cells and blocks, that are gone over at one go */
#endif
#define SLICE_QUESTIONS 8
#define LAP_LEFT_MS     1000 /* a lap that nobody has gone on with for so long is another's to begin */
#define RESCUE_EVERY_MS 25
#define RESCUE_SHARE    20  /* a pass may take 1/20 of the time ... */
#define ASK_SHARE       200 /* ... and asking the kernel who is dead, which costs most, 1/200 */
#define ASK_SHARE_IDLE  1000
#define IDLE_CELLS_MAX  4096 /* of a larger ring nobody looks whether it is idle */
#define RESCUE_MS_MAX   60000
#define SWEEP_EVERY_MS  1000
#define RESCUE_LATE_MS  500
#define DECIDED         2
#define COMMITTED       1

/*
 * Did the put in hand happen? It is in doubt if the intent was set and the count not yet raised.
 * Then the cell knows: if it is not being written by the dead, the commit had come first. The cell
 * is evidence, so the verdict is recorded before any recoverer lets it go; the record bears the
 * dead one's id, so that a slow one cannot write it for another.
 */
static void decide(struct sq *h, struct sqi_slot *slot, unsigned owner, uint64_t dead)
{
	uint64_t decision = sqi_look(&slot->decision), puts, base, w;

	if (decision >> 2 != dead)
		return; /* it died before it could put anything, or we are late */
	base = sqi_look(&slot->intent_base);
	puts = sqi_look(&slot->puts);
	if (!(decision & DECIDED)) {
		uint64_t verdict = DECIDED;

		if (puts != base)
			return;
		w = sqi_look(&sqi_cell(h, sqi_look(sqi_intent(slot, base)))->word);
		if (sqi_word_owner(w) != owner ||
			(sqi_word_state(w) != SQI_WRITING && sqi_word_state(w) != SQI_VOID))
			verdict |= COMMITTED;
		if (sqi_look(&slot->id) != dead)
			return;
		if (sqi_cas(&slot->decision, decision, decision | verdict))
			decision |= verdict;
		else
			decision = sqi_look(&slot->decision);
	}
	if (sqi_look(&slot->id) == dead && decision >> 2 == dead && (decision & COMMITTED))
		(void)sqi_cas(&slot->puts, base, base + 1);
}

/* What the dead held of this cell goes free, or back. False: the slot has another tenant. */
static bool reap_cell(struct sq *h, uint64_t pos, unsigned owner, const struct sqi_slot *slot,
	uint64_t dead, bool durable)
{
	struct sqi_cell *c = sqi_cell(h, pos);

	for (;;) {
		uint64_t w = sqi_look(&c->word), to;
		struct sqi_ref ref;
		bool block;

		if (sqi_word_owner(w) != owner) {
			/* Another recoverer was faster, and may not have told of it yet. */
			if (sqi_word_state(w) == SQI_BACK)
				sqi_back_announce(h, pos);
			return true;
		}
		block = sqi_word_state(w) == SQI_RELEASING && sqi_cell_block(h, c, &ref);
		/*
		 * Another recoverer may have let the cell go meanwhile: then this would be the next
		 * message's block.
		 */
		if (block && sqi_look(&c->word) != w)
			continue;
		switch (sqi_word_state(w)) {
		case SQI_WRITING:
			to = sqi_word_free(w, 1);
			break;
		case SQI_VOID:
		case SQI_RELEASING:
			to = sqi_word_free(w, 0);
			break;
		case SQI_TAKEN:
			if (durable)
				return true;
			to = 0; /* sqi_back() knows */
			break;
		default:
			return true;
		}
		if (sqi_word_state(w) == SQI_TAKEN)
			sqi_ending(h, w);
		if (sqi_look(&slot->id) != dead)
			return false;
		if (block)
			sqi_block_free(h, &ref); /* by generation: twice is once */
		if (sqi_word_state(w) == SQI_TAKEN ? !sqi_back(h, pos, w)
						   : !sqi_cas(&c->word, w, to))
			continue; /* skipped, or another recoverer was faster */
		if (sqi_word_state(w) == SQI_TAKEN) {
			(void)sqi_add(&h->head->reclaimed, 1);
			sqi_back_announce(h, pos);
		}
		return true;
	}
}

/* One that is dead. Whether its last put happened is found out before anything of it is let go. */
static void add(struct sq *h, struct sqi_lap *lap, unsigned number, uint64_t dead)
{
	struct sqi_slot *slot = sqi_slot(h, number);
	struct sqi_dead *d = &lap->dead[lap->count++];

	lap->left++;
	d->id = dead;
	d->number = number;
	d->seen_ns = (uint64_t)sqi_now_ns();
	/* Of the dead, if the slot still bears its id later. */
	d->durable = sqi_look(&slot->durable);
	decide(h, slot, number + 1, dead);
}

/* Its slot has another tenant: somebody else has done it all. */
static void drop(struct sqi_lap *lap, struct sqi_dead *d)
{
	d->id = 0;
	lap->left--;
}

static void lap_cell(struct sq *h, struct sqi_lap *lap, uint64_t at)
{
	uint64_t w = sqi_look(&sqi_cell(h, at)->word);
	unsigned owner = sqi_word_owner(w);

	/* It may have come back from the hands of one of them without the news of it. */
	if (sqi_word_state(w) == SQI_BACK)
		sqi_back_announce(h, at);
	for (struct sqi_dead *d = lap->dead; owner != 0 && d < lap->dead + lap->count; d++)
		if (d->id != 0 && d->number + 1 == owner &&
			!reap_cell(h, at, owner, sqi_slot(h, (unsigned)d->number), d->id,
				d->durable != 0 && !sqi_is_condemned(d->id)))
			drop(lap, d);
}

static void lap_block(struct sq *h, struct sqi_lap *lap, uint64_t index)
{
	for (struct sqi_dead *d = lap->dead; d < lap->dead + lap->count; d++)
		if (d->id != 0 && !sqi_block_reclaim(h, index, (unsigned)d->number + 1,
					  sqi_slot(h, (unsigned)d->number), d->id))
			drop(lap, d);
}

/*
 * Till that moment, or to the end. True: this is the end. A small ring is done in less time than it
 * takes to be preempted, and those who wait for it should not wait for us to come again.
 */
static bool go_on(struct sq *h, struct sqi_lap *lap, int64_t until_ns)
{
	uint64_t cells = h->mask + 1, all = cells + h->g.blocks;
	bool whole = until_ns == INT64_MAX || all <= SMALL;

	while (lap->left > 0 && lap->done < all) {
		if (lap->done < cells)
			lap_cell(h, lap, (lap->from + lap->done) & h->mask);
		else
			lap_block(h, lap, lap->done - cells);
		if (++lap->done % SLICE_CELLS == 0 && lap->done < all && !whole &&
			sqi_now_ns() >= until_ns)
			break;
	}
	sqi_ending(h, 0);
	return lap->left == 0 || lap->done == all;
}

/*
 * G1, G2. The leases of a durable one stay, and with them its slot, for whoever comes with its key;
 * and it is noted when it died, unless another has done that since our lap began.
 */
static void keep(struct sqi_slot *slot, const struct sqi_dead *d)
{
	uint64_t kept = sqi_durable_kept(d->durable, d->id), died;

	if (d->durable == kept || sqi_look(&slot->id) != d->id ||
		sqi_look(&slot->durable) != d->durable)
		return;
	do
		died = sqi_look(&slot->died);
	while (died < d->seen_ns && !sqi_cas(&slot->died, died, d->seen_ns));
	(void)sqi_cas(&slot->durable, d->durable, kept);
}

/* What is left of the grace of the tenant of this slot, which is kept. */
uint64_t sqi_grace_left(const struct sqi_slot *slot)
{
	uint64_t grace = sqi_look(&slot->grace), died = sqi_look(&slot->died), now, gone;

	if (grace == SQI_GRACE_FOREVER)
		return SQI_GRACE_FOREVER;
	now = (uint64_t)sqi_now_ns();
	gone = now > died ? now - died : 0; /* else of a clock that is ahead of ours, or damaged */
	return grace > gone ? grace - gone : 0;
}

/*
 * G4. The tenant of this slot is kept: if its grace is over, it is now a dead one like any other,
 * and nobody can move in. False: it is not, or another was faster.
 */
bool sqi_condemn(struct sqi_slot *slot, uint64_t *id)
{
	if (sqi_grace_left(slot) > 0 || !sqi_cas(&slot->id, *id, *id | SQI_CONDEMNED))
		return false;
	*id |= SQI_CONDEMNED;
	return true;
}

/* All that these held was given back, but for the leases of those who may come again. */
static void release(struct sq *h, struct sqi_lap *lap)
{
	for (struct sqi_dead *d = lap->dead; d < lap->dead + lap->count; d++) {
		struct sqi_slot *slot = sqi_slot(h, (unsigned)d->number);

		if (d->id == 0)
			continue;
		sqi_journal_fold(h, slot, d->id);
		if (d->durable && !sqi_is_condemned(d->id)) {
			keep(slot, d);
			continue;
		}
		/* The next tenant is an ordinary one. */
		if (d->durable && sqi_look(&slot->id) == d->id)
			(void)sqi_cas(&slot->durable, d->durable, 0);
		if (sqi_cas(&slot->id, d->id, 0)) {
			sqi_wake_all(&h->head->came);
			sqi_wake_all(&h->head->went);
		}
	}
	memset(lap, 0, sizeof(*lap));
}

/* Give back all that this participant held: one found dead, or ourselves on leaving. */
void sqi_reap(struct sq *h, unsigned number, uint64_t dead)
{
	struct sqi_lap lap = {0};

	add(h, &lap, number, dead);
	(void)go_on(h, &lap, INT64_MAX);
	release(h, &lap);
}

/*
 * Our own, on leaving. Who has nothing in hand need not go over a large ring to find it out. (In a
 * small one it is done all the same: there may be a block that damage has cut off from its message.)
 */
void sqi_give_up_slot(struct sq *h)
{
	struct sqi_lap lap = {0};

	if (h->lap.claim)
		(void)sqi_cas(&h->head->lap_ms, h->lap.claim, 0);
	if (h->held > 0 || h->mask + 1 + h->g.blocks <= SMALL) {
		sqi_reap(h, h->owner - 1, h->id);
		return;
	}
	sq_abort(h);
	add(h, &lap, h->owner - 1, h->id);
	release(h, &lap);
}

/* Which of them are dead, from the slot `at` on? As many as a lap can be for. Returns where to go on. */
static uint64_t ask(
	struct sq *h, struct sqi_lap *lap, uint64_t at, uint64_t count, int64_t until_ns)
{
	for (uint64_t asked = 0; count > 0 && lap->count < SQI_LAP_MAX; count--) {
		unsigned n = (unsigned)(at % h->g.in.participants);
		struct sqi_slot *slot = sqi_slot(h, n);
		uint64_t id = sqi_look(&slot->id);

		at = n + 1;
		if (id == 0 || (sqi_is_kept(slot, id) && !sqi_condemn(slot, &id)))
			continue;
		if (sqi_is_dead(h, id))
			add(h, lap, n, id);
		if (++asked % SLICE_QUESTIONS == 0 && until_ns != INT64_MAX &&
			sqi_now_ns() >= until_ns)
			break;
	}
	return at;
}

/* Reap all the dead, at one go. How many there were. */
int sqi_rescue(struct sq *h)
{
	uint64_t all = h->g.in.participants, at = 0, seen = 0;
	int found = 0;

	while (at < all) {
		struct sqi_lap lap = {0};
		uint64_t end = ask(h, &lap, at, all - at, INT64_MAX);

		if (lap.count == 0)
			break;
		at = end;
		/* The grace of some may be over as soon as it begins: they are asked for again. */
		for (uint64_t i = lap.count; i-- > 0;) {
			const struct sqi_dead *d = &lap.dead[i];

			found += d->number >= seen;
			if (d->durable && !sqi_is_condemned(d->id))
				at = d->number;
		}
		seen = end > seen ? end : seen;
		(void)go_on(h, &lap, INT64_MAX);
		release(h, &lap);
	}
	return found;
}

/* What this thread has worked: a pass that was preempted was not expensive. */
static uint64_t worked_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts); /* cannot fail with this clock */
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/*
 * Has the moment come that this word says? Then the next is a little ahead, for whoever is first. A
 * moment further ahead than it was meant to be is of another clock, or damage: it counts as now.
 */
static bool is_time(sqi_u64 *word, uint64_t now, uint64_t *ret_next)
{
	uint64_t due = sqi_look(word), moment = due >> 16;

	if (moment > now && moment - now <= (due & UINT16_MAX))
		return false;
	*ret_next = sqi_rescue_at(now, RESCUE_EVERY_MS);
	return sqi_cas(word, due, *ret_next);
}

/* What took so long is to take one part in `share` of the time: the next is as far ahead. */
static void put_off(sqi_u64 *word, uint64_t next, uint64_t now, uint64_t took_us, unsigned share)
{
	uint64_t ms = took_us * share / 1000;

	if (ms > RESCUE_EVERY_MS)
		(void)sqi_cas(
			word, next, sqi_rescue_at(now, ms < RESCUE_MS_MAX ? ms : RESCUE_MS_MAX));
}

/*
 * Has nobody a cell in hand, and does nobody wait for a block? Then the dead have nothing that
 * anybody waits for.
 */
static bool is_idle(const struct sq *h)
{
	if (sqi_look32(&h->head->freed) & 1)
		return false;
	for (uint64_t i = 0; i <= h->mask; i++)
		if (i == IDLE_CELLS_MAX || sqi_word_owner(sqi_look(&sqi_cell(h, i)->word)) != 0)
			return false;
	return true;
}

static int64_t slice(void)
{
	return sqi_now_ns() + SLICE_NS;
}

/* Is another in the middle of a lap, and was a moment ago? */
static bool another_laps(const struct sq *h, uint64_t now)
{
	uint64_t moment = sqi_look(&h->head->lap_ms) >> 16;

	return moment > now && moment - now <= LAP_LEFT_MS;
}

/*
 * A slice of our lap. If others have begun theirs, because we were slow, we go on all the same: else
 * those who are all slow would never end one.
 */
static void lap_slice(struct sq *h, uint64_t now)
{
	struct sqi_lap *lap = &h->lap;
	uint64_t began = worked_us(), seen = sqi_look(&h->head->lap_ms), claim;

	if (go_on(h, lap, slice())) {
		claim = lap->claim;
		release(h, lap);
		if (claim)
			(void)sqi_cas(&h->head->lap_ms, claim, 0);
		return;
	}
	if (lap->done <= h->mask)
		sqi_poke(&h->head->lap_at, lap->from + lap->done); /* relaxed: a hint */
	lap->next_ms = now + (worked_us() - began) * RESCUE_SHARE / 1000;
	claim = sqi_rescue_at(now, LAP_LEFT_MS);
	if ((seen == lap->claim || !another_laps(h, now)) && sqi_cas(&h->head->lap_ms, seen, claim))
		lap->claim = claim;
}

/*
 * Look who is dead. What is asked of the kernel costs the more the more participants there are, for
 * each question goes along all locks: so where hundreds wait and have nothing in hand it is asked
 * seldom.
 */
static void look_for_dead(struct sq *h, uint64_t now)
{
	uint64_t next, began, took;

	if (h->lap.count > 0 || another_laps(h, now) || !is_time(&h->head->asked_ms, now, &next))
		return;
	began = worked_us();
	/* Relaxed, these two: hints. */
	sqi_poke(&h->head->ask_at,
		ask(h, &h->lap, sqi_peek(&h->head->ask_at), h->g.in.participants, slice()));
	took = worked_us() - began;
	if (took * ASK_SHARE > (uint64_t)RESCUE_EVERY_MS * 1000)
		put_off(&h->head->asked_ms, next, now, took,
			is_idle(h) ? ASK_SHARE_IDLE : ASK_SHARE);
	if (h->lap.count > 0) {
		h->lap.from = sqi_peek(&h->head->lap_at);
		lap_slice(h, now);
	}
}

/* Something is done with these cells; with some more, from there to there, and where to go on. */
static uint64_t some_cells(struct sq *h, uint64_t from, uint64_t count,
	void (*f)(struct sq *h, uint64_t from, uint64_t count))
{
	int64_t until = slice();

	while (count > 0) {
		uint64_t n = count < SLICE_CELLS ? count : SLICE_CELLS;

		from &= h->mask;
		if (n > h->mask + 1 - from)
			n = h->mask + 1 - from;
		f(h, from, n);
		from += n;
		count -= n;
		if (sqi_now_ns() >= until)
			break;
	}
	return from;
}

/* Leases whose time is up: as many cells as there is time for, and no cell twice. */
static void look_for_due(struct sq *h)
{
	if (!h->g.in.lease_ns)
		return;
	/* Relaxed, both: a hint. */
	sqi_poke(&h->head->due_at,
		some_cells(h, sqi_peek(&h->head->due_at), h->mask + 1, sqi_due_sweep));
}

/* Redeliveries whose bit was never set: once over all cells, then not before the next second. */
static void look_for_back(struct sq *h, uint64_t now)
{
	uint64_t at = sqi_peek(&h->head->sweep_at) & h->mask, swept; /* relaxed: a hint */

	if (at == 0) {
		swept = sqi_look(&h->head->swept_ms);
		if (now - swept < SWEEP_EVERY_MS || !sqi_cas(&h->head->swept_ms, swept, now))
			return;
	}
	at = some_cells(h, at, h->mask + 1 - at, sqi_back_sweep);
	sqi_poke(&h->head->sweep_at, at & h->mask); /* relaxed: a hint */
}

/*
 * The same in slices and at a bearable rate, whoever and however many call, and the other things
 * that are looked after in passing. No call takes more than about a millisecond of it.
 */
void sqi_rescue_now_and_then(struct sq *h)
{
	uint64_t now = sqi_now_ms(), next, began;

	if (h->lap.count > 0 && now >= h->lap.next_ms)
		lap_slice(h, now);
	if (!is_time(&h->head->rescue_ms, now, &next))
		return;
	look_for_dead(h, now);
	began = worked_us();
	sqi_look_for_name(h);
	look_for_due(h);
	look_for_back(h, now);
	put_off(&h->head->rescue_ms, next, now, worked_us() - began, RESCUE_SHARE);
}

/* The same for those who leave it to others, unless nobody has done it for a good while. */
void sqi_rescue_if_late(struct sq *h)
{
	uint64_t moment = sqi_look(&h->head->rescue_ms) >> 16, now = sqi_now_ms();

	if (h->lap.count > 0 || moment > now || now - moment >= RESCUE_LATE_MS)
		sqi_rescue_now_and_then(h);
}
