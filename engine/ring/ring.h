/* SPDX-License-Identifier: ISC */
#ifndef SQI_RING_H
#define SQI_RING_H

/*
 * A segment as one participant sees it: where its parts lie, and what it remembers about them.
 * Everything here is private to one thread, but for what the pointers lead to. The shared parts are
 * reached only through the accessors, which cannot leave the mapping whatever number they are given.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ring/word.h"
#include "segment/layout.h"

/*
 * How often a step that others spoilt is tried again: each time, some of them had got on. In memory
 * that is whole nobody comes near it.
 */
#define SQI_ROUNDS_MAX (1u << 20)

#define SQI_SEARCHES_MAX 4096 /* each may be a walk over all cells, so fewer than SQI_ROUNDS_MAX */

#ifndef SQI_WAITING_MAX /* the explorer has fewer */
#define SQI_WAITING_MAX 32
#endif

/* The first of the messages that wait for redelivery, in order, as a search found them. */
struct sqi_waiting {
	unsigned count, next; /* next: those before it are taken */
	bool again;           /* one of them was taken and is back: it is not where it was */
	struct {
		uint64_t index, number;
	} list[SQI_WAITING_MAX];
};

struct sqi_ring {
	/* As it was opened. */
	unsigned char *cells;
	uint64_t mask;
	uint64_t cell_size;
	unsigned shift;
	uint32_t small;
	struct sqi_head *head;
	unsigned char *base;

	/* What changes. */
	struct sqi_slot *slot; /* ours; NULL: none yet */
	unsigned owner;        /* its number plus one */
	unsigned cursor_left;  /* allocations of blocks until the cursors are set back */
	uint64_t tail;         /* a lower bound of the ring's */
	uint64_t front;        /* the same */
	uint64_t returned_seen;
	struct sqi_waiting waiting;
	uint64_t cursor[SQI_CLASSES_MAX]; /* where to look for a free block first */

	struct sqi_geometry g; /* again as it was opened */
};

static inline struct sqi_cell *sqi_cell(const struct sqi_ring *ring, uint64_t position)
{
	return (struct sqi_cell *)(ring->cells + (position & ring->mask) * ring->cell_size);
}

static inline struct sqi_slot *sqi_slot(const struct sqi_ring *ring, unsigned number)
{
	return (struct sqi_slot *)(ring->base + ring->g.slots) + number;
}

static inline sqi_u64 *sqi_bitmap(const struct sqi_ring *ring)
{
	return (sqi_u64 *)(ring->base + ring->g.bitmap);
}

/* What a lease of this cell counts as, in a queue with max_attempts: see tries.c. */
static inline sqi_u64 *sqi_attempts_word(const struct sqi_ring *ring, uint64_t position)
{
	return (sqi_u64 *)(ring->base + ring->g.tries) + (position & ring->mask);
}

/* When the lease of this cell ends, in a queue with a lease time: see due.c. */
static inline sqi_u64 *sqi_deadline(const struct sqi_ring *ring, uint64_t position)
{
	return (sqi_u64 *)(ring->base + ring->g.deadlines) + (position & ring->mask);
}

/* When the message of this cell last came back, as a number among all that did. */
static inline sqi_u64 *sqi_return_number(const struct sqi_ring *ring, uint64_t position)
{
	return (sqi_u64 *)(ring->base + ring->g.returns) + (position & ring->mask);
}

static inline struct sqi_block *sqi_block(const struct sqi_ring *ring, uint64_t index)
{
	return (struct sqi_block *)(ring->base + ring->g.block_words) + index;
}

static inline struct sqi_count_entry *sqi_count_entry(const struct sqi_ring *ring, uint64_t index)
{
	return (struct sqi_count_entry *)(ring->base + ring->g.journal) + index;
}

/* Where the put that follows `puts` others notes its position. */
static inline sqi_u64 *sqi_intent(struct sqi_slot *slot, uint64_t puts)
{
	return &slot->intent_pos[puts & 1];
}

/*
 * Cells one after another: `pos` is the position of the one looked at, `word` what it said, and
 * `ahead` how far the word's turn is above the position's.
 */
struct sqi_scan {
	uint64_t pos, word;
	int64_t ahead;
	uint64_t next, left;
};

static inline struct sqi_scan sqi_scan_from(uint64_t pos, uint64_t count)
{
	return (struct sqi_scan){.next = pos, .left = count};
}

/* To the next cell. False: there are no more. */
static inline bool sqi_scan_next(const struct sqi_ring *ring, struct sqi_scan *scan)
{
	if (scan->left == 0)
		return false;
	scan->left--;
	scan->pos = scan->next++;
	scan->word = sqi_load_seq(&sqi_cell(ring, scan->pos)->word);
	scan->ahead = sqi_word_ahead(scan->word, scan->pos >> ring->shift);
	return true;
}

/*
 * We are about to end a lease of somebody else by changing this word; 0: not any more. To be said
 * before the last look at whether that lease is still to be ended. Without a slot nothing is said:
 * see docs/MEMORY_MODEL.md, "Lease times".
 */
static inline void sqi_announce_end(struct sqi_ring *ring, uint64_t w)
{
	if (ring->slot)
		sqi_store_seq(&ring->slot->ending, w);
}

#endif
