/* SPDX-License-Identifier: ISC */
#include <time.h>

#include "handle.h"

/*
 * What death leaves behind. Anyone may run this at any time, several at once, and die in it: every
 * step is a CAS that only one of them makes, and the slot is released last, so that what a dead
 * recoverer left undone is done by the next. Nobody waits for it: it reclaims, and progress never
 * depends on it.
 *
 * A slow recoverer must not rob the slot's next tenant. So: read the word, then read that the slot
 * still bears the dead id, then CAS that very word. If the id was still there after the word was
 * read, the word was of the dead.
 */

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

		if (sqi_word_owner(w) != owner)
			return true;
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

/*
 * Give back all that this participant held: one found dead, or ourselves on leaving. The leases of
 * a durable one stay, and with them its slot, for whoever comes with its key.
 */
void sqi_reap(struct sq *h, unsigned number, uint64_t dead)
{
	struct sqi_slot *slot = sqi_slot(h, number);
	unsigned owner = number + 1;
	/* Of the dead, if the slot still bears its id later. */
	uint64_t durable = sqi_look(&slot->durable);
	bool ours = true; /* the slot is still the dead one's */

	decide(h, slot, owner, dead);
	for (uint64_t i = 0; i <= h->mask && ours; i++)
		ours = reap_cell(h, i, owner, slot, dead, durable != 0);
	sqi_ending(h, 0);
	if (!ours)
		return;
	sqi_block_reclaim(h, owner, slot, dead);
	/* Some message may have come back from the dead's hands without the news of it. */
	sqi_back_sweep(h);
	sqi_journal_fold(h, slot, dead);
	if (durable) {
		if (sqi_look(&slot->id) == dead)
			(void)sqi_cas(&slot->durable, durable, sqi_durable_kept(durable, dead));
	} else if (sqi_cas(&slot->id, dead, 0)) {
		sqi_wake_all(&h->head->came);
		sqi_wake_all(&h->head->went);
	}
}

/* Reap all the dead. How many there were. */
int sqi_rescue(struct sq *h)
{
	int found = 0;

	for (unsigned n = 0; n < h->g.in.participants; n++) {
		struct sqi_slot *slot = sqi_slot(h, n);
		uint64_t id = sqi_look(&slot->id);

		if (id != 0 && !sqi_is_kept(slot, id) && sqi_is_dead(h, id)) {
			sqi_reap(h, n, id);
			found++;
		}
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

/*
 * Look who is dead. What is asked of the kernel costs the more the more participants there are, for
 * each question goes along all locks: so where hundreds wait and have nothing in hand it is asked
 * seldom.
 */
static void look_for_dead(struct sq *h, uint64_t now)
{
	uint64_t next, began, took;

	if (!is_time(&h->head->asked_ms, now, &next))
		return;
	began = worked_us();
	(void)sqi_rescue(h);
	took = worked_us() - began;
	if (took * ASK_SHARE > (uint64_t)RESCUE_EVERY_MS * 1000)
		put_off(&h->head->asked_ms, next, now, took,
			is_idle(h) ? ASK_SHARE_IDLE : ASK_SHARE);
}

/*
 * The same at a bearable rate, whoever and however many call, and the other things that are looked
 * after in passing.
 */
void sqi_rescue_now_and_then(struct sq *h)
{
	uint64_t now = sqi_now_ms(), next, swept, began;

	if (!is_time(&h->head->rescue_ms, now, &next))
		return;
	look_for_dead(h, now);
	began = worked_us();
	sqi_look_for_name(h);
	sqi_due_sweep(h);
	swept = sqi_look(&h->head->swept_ms);
	if (now - swept >= SWEEP_EVERY_MS && sqi_cas(&h->head->swept_ms, swept, now))
		sqi_back_sweep(h);
	put_off(&h->head->rescue_ms, next, now, worked_us() - began, RESCUE_SHARE);
}

/* The same for those who leave it to others, unless nobody has done it for a good while. */
void sqi_rescue_if_late(struct sq *h)
{
	uint64_t moment = sqi_look(&h->head->rescue_ms) >> 16, now = sqi_now_ms();

	if (moment > now || now - moment >= RESCUE_LATE_MS)
		sqi_rescue_now_and_then(h);
}
