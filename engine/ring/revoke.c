/* SPDX-License-Identifier: ISC */
#include "ring/revoke.h"

#include "base/event.h"

/*
 * Writers that are late: they have claimed a cell and not committed yet. Called by front.c and
 * claim.c.
 */

#ifndef PATIENCE_PAUSES    /* the explorer has less: each look costs it a step */
#define PATIENCE_PAUSES 64 /* with a writer, before looking behind it: about 1 us */
#endif

/*
 * Is there a message, or the end, behind the writer at p? Stops at the first cell that nobody
 * claimed.
 */
static bool waited_for(const struct sqi_ring *ring, uint64_t p)
{
	for (uint64_t q = p + 1; q != p + ring->mask + 1; q++) {
		uint64_t w = sqi_look(&sqi_cell(ring, q)->word);
		int64_t ahead = sqi_word_ahead(w, q >> ring->shift);

		if (ahead > 0)
			continue;
		if (ahead < 0)
			return false;
		switch (sqi_word_state(w)) {
		case SQI_WRITING:
			break;
		case SQI_FULL:
		case SQI_SEALED:
			return true;
		default:
			return false;
		}
	}
	return false;
}

/* Is the writer gone within the time that a write takes? */
static bool is_done_soon(struct sqi_cell *c, uint64_t w)
{
	for (int i = 0; i < PATIENCE_PAUSES; i++) {
		sqi_pause();
		if (sqi_look(&c->word) != w)
			return true;
	}
	return false;
}

/* He finds it out when he commits. */
static void take_claim(struct sqi_ring *ring, struct sqi_cell *c, uint64_t w)
{
	if (sqi_cas(&c->word, w, sqi_word_to(w, SQI_VOID, sqi_word_owner(w)) + SQI_TURN_ONE))
		(void)sqi_add(&ring->head->revoked, 1);
}

/*
 * A writer stands at p. True: look at p again. False: the queue is empty, but for messages not yet
 * committed.
 *
 * A revocation is paid for by the message behind it, which somebody then takes: without that, a
 * writer and a consumer could chase each other round the ring for ever. When the queue is closed
 * the writer cannot come again, and no payment is needed.
 */
bool sqi_late(struct sqi_ring *ring, uint64_t p, uint64_t w)
{
	struct sqi_cell *c = sqi_cell(ring, p);

	if (is_done_soon(c, w))
		return true;
	if (!waited_for(ring, p) && !sqi_look(&ring->head->closed))
		return sqi_look(&c->word) != w;
	take_claim(ring, c, w);
	return true;
}

/*
 * A writer keeps producers from going on. He has the same time; then his claim is revoked. The cell
 * is not w any more, by him or by us.
 */
void sqi_put_off(struct sqi_ring *ring, struct sqi_cell *c, uint64_t w)
{
	if (is_done_soon(c, w))
		return;
	take_claim(ring, c, w);
	sqi_wake(&ring->head->went);
}
