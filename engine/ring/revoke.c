/* SPDX-License-Identifier: ISC */
#include "ring/revoke.h"

#include "base/event.h"
#include "ring/transition.h"

/*
 * Writers that are late: they have claimed a cell and not committed yet. Called by front.c and
 * claim.c, by any number of participants at once.
 */

#ifndef PATIENCE_PAUSES    /* the explorer has less: each look costs it a step */
#define PATIENCE_PAUSES 64 /* with a writer, before looking behind it: about 1 us */
#endif

/*
 * Is there a message, or the end, behind the writer at pos? Stops at the first cell that nobody has
 * claimed.
 */
static bool message_follows(const struct sqi_ring *ring, uint64_t pos)
{
	for (struct sqi_scan s = sqi_scan_from(pos + 1, ring->mask); sqi_scan_next(ring, &s);) {
		if (s.ahead > 0)
			continue;
		if (s.ahead < 0)
			return false;
		switch (sqi_word_state(s.word)) {
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

/* Has the writer gone within the time that a write takes? */
static bool is_done_soon(const struct sqi_cell *c, uint64_t w)
{
	for (int i = 0; i < PATIENCE_PAUSES; i++) {
		sqi_pause();
		if (sqi_load_seq(&c->word) != w)
			return true;
	}
	return false;
}

static void revoke_late(struct sqi_ring *ring, struct sqi_cell *c, uint64_t w)
{
	if (sqi_cell_revoke(c, w))
		(void)sqi_add(&ring->head->revoked, 1);
}

/*
 * A writer stands at pos, by the word w. True: look at pos again. False: the queue is empty, but for
 * messages not yet committed.
 *
 * Revoke only if a committed message follows: each revocation then implies a delivery. Otherwise a
 * writer and a consumer could chase each other round an empty ring for ever. When the queue is closed
 * the writer cannot come again, so no message need follow.
 */
bool sqi_revoke_for_message(struct sqi_ring *ring, uint64_t pos, uint64_t w)
{
	struct sqi_cell *c = sqi_cell(ring, pos);

	if (is_done_soon(c, w))
		return true;
	if (!message_follows(ring, pos) && !sqi_load_seq(&ring->head->closed))
		return sqi_load_seq(&c->word) != w;
	revoke_late(ring, c, w);
	return true;
}

/*
 * The writer at pos, by the word w, keeps producers from going on, and is given the same time. After
 * this the cell's word is not w any more, whoever has changed it.
 */
void sqi_revoke_for_room(struct sqi_ring *ring, uint64_t pos, uint64_t w)
{
	struct sqi_cell *c = sqi_cell(ring, pos);

	if (is_done_soon(c, w))
		return;
	revoke_late(ring, c, w);
	sqi_event_wake(&ring->head->room_event);
}
