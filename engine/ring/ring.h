/* SPDX-License-Identifier: ISC */
#ifndef SQI_RING_H
#define SQI_RING_H

/*
 * A segment as one participant sees it: where its parts lie, and what the participant remembers
 * about them. The structures here are private to one thread. What their pointers lead to is shared,
 * and is reached only through the accessors, which stay inside the mapping whatever number they are
 * given.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ring/word.h"
#include "segment/layout.h"

/*
 * How often a step is tried again when another participant's step comes in between. Each such
 * failure is progress of that participant, so in undamaged memory the limit is never reached.
 */
#define SQI_ROUNDS_MAX (1u << 20)

#define SQI_SEARCHES_MAX 4096 /* each may go over all cells, so fewer than SQI_ROUNDS_MAX */

#ifndef SQI_WAITING_MAX /* the explorer has fewer */
#define SQI_WAITING_MAX 32
#endif

/* The messages that have waited longest for redelivery, in order, as a search found them. */
struct sqi_waiting {
	unsigned count, next; /* next: entries before it are not to be delivered any more */
	bool again;           /* an entry's message came back again, so its place is later */
	struct {
		uint64_t index, number; /* of the cell; of its return */
	} list[SQI_WAITING_MAX];
};

struct sqi_ring {
	/* Set when the handle is opened, then constant. */
	unsigned char *cells, *data;
	uint64_t mask;
	uint64_t cell_size, data_size;
	unsigned shift;
	uint32_t small;
	uint32_t lines; /* cache lines of a message to ask for ahead; see sqi_ask_ahead() */
	uint32_t ahead; /* and how many cells ahead */
	struct sqi_head *head;
	unsigned char *base;

	/* State of this participant. */
	struct sqi_slot *slot;    /* of this participant; NULL: none yet */
	unsigned owner;           /* its number plus one */
	unsigned cursor_left;     /* allocations of blocks until the cursors are set back */
	uint64_t tail;            /* a lower bound of the ring's tail */
	uint64_t front;           /* a lower bound of the ring's front */
	uint64_t redelivery_seen; /* back_seq before the last search that had room for all */
	struct sqi_waiting waiting;
	uint64_t cursor[SQI_CLASSES_MAX]; /* where to look for a free block first */

	struct sqi_geometry g; /* constant, too */
};

static inline struct sqi_cell *sqi_cell(const struct sqi_ring *ring, uint64_t position)
{
	return (struct sqi_cell *)(ring->cells + (position & ring->mask) * ring->cell_size);
}

/* Where the message of this cell lies, or the reference to its block. */
static inline sqi_u64 *sqi_data(const struct sqi_ring *ring, uint64_t position)
{
	return (sqi_u64 *)(ring->data + (position & ring->mask) * ring->data_size);
}

/*
 * A cell, and where its message lies: computed before the first step of a call. After each
 * compare-and-swap the compiler has to take for changed whatever it has loaded, and a processor
 * executes no load of it until the swap is done.
 */
struct sqi_place {
	uint64_t pos, turn;
	struct sqi_cell *cell;
	sqi_u64 *data;
};

static inline struct sqi_place sqi_place(const struct sqi_ring *ring, uint64_t position)
{
	return (struct sqi_place){.pos = position,
		.turn = position >> ring->shift,
		.cell = sqi_cell(ring, position),
		.data = sqi_data(ring, position)};
}

/* How many cells there are from this position on to the end of the array. */
static inline uint64_t sqi_cells_to_end(const struct sqi_ring *ring, uint64_t position)
{
	return ring->mask + 1 - (position & ring->mask);
}

/* How far cells, and messages, are from each other. */
struct sqi_stride {
	uint64_t cell, data;
};

static inline struct sqi_stride sqi_stride(const struct sqi_ring *ring)
{
	return (struct sqi_stride){ring->cell_size, ring->data_size};
}

/* The next place; not over the end of the array. */
static inline void sqi_place_next(struct sqi_place *place, struct sqi_stride stride)
{
	place->pos++;
	place->cell = (struct sqi_cell *)((unsigned char *)place->cell + stride.cell);
	place->data = (sqi_u64 *)((unsigned char *)place->data + stride.data);
}

static inline struct sqi_slot *sqi_slot(const struct sqi_ring *ring, unsigned number)
{
	return (struct sqi_slot *)(ring->base + ring->g.slots) + number;
}

static inline sqi_u64 *sqi_bitmap(const struct sqi_ring *ring)
{
	return (sqi_u64 *)(ring->base + ring->g.bitmap);
}

#define SQI_LINES_AHEAD 4 /* these many lines ahead, or the next message, if it has more */
#define SQI_LINES_MAX   16

/* Sets what is constant of a ring, from its geometry and the address of its mapping. */
static inline void sqi_ring_init(struct sqi_ring *ring)
{
	uint64_t lines = (ring->g.data_size + SQI_LINE - 1) / SQI_LINE;

	ring->head = (struct sqi_head *)ring->base;
	ring->cells = ring->base + ring->g.cells;
	ring->cell_size = ring->g.cell_size;
	ring->data = ring->base + ring->g.data;
	ring->data_size = ring->g.data_size;
	ring->mask = ring->g.capacity - 1;
	ring->shift = ring->g.in.capacity_log2;
	ring->small = ring->g.in.small;
	ring->lines = (uint32_t)(lines < SQI_LINES_MAX ? lines : SQI_LINES_MAX);
	ring->ahead = (uint32_t)(lines < SQI_LINES_AHEAD ? SQI_LINES_AHEAD / lines : 1);
}

/* Do messages lie apart from their cells, in lines of their own? Else in the same lines. */
static inline bool sqi_is_apart(const struct sqi_ring *ring)
{
	return ring->cell_size < ring->data_size;
}

/*
 * For a producer that puts at this position, and probably goes on: asks for the lines of a cell
 * some way ahead. Otherwise the commit of that put would wait for them, because it waits for all
 * stores before it; and each line has to come from the processor of a consumer.
 */
static inline void sqi_ask_ahead(const struct sqi_ring *ring, uint64_t position)
{
	const unsigned char *data = (const unsigned char *)sqi_data(ring, position + ring->ahead);

	for (uint32_t i = 0; i < ring->lines; i++)
		sqi_prefetch_write(data + (size_t)i * SQI_LINE);
	if (sqi_is_apart(ring))
		sqi_prefetch_write(sqi_cell(ring, position + 2 * SQI_LINES_AHEAD));
}

#define SQI_GROUP_AHEAD 8 /* cells; found by trying: with 4, and with 16, half is gained */

/*
 * The same for a producer that fills a group: what follows it has no step that waits for each cell,
 * so it goes faster and has to ask further ahead. (Beyond the end of the array in vain.)
 */
static inline void sqi_ask_group_ahead(const struct sqi_place *place, struct sqi_stride stride)
{
	sqi_prefetch_write((unsigned char *)place->data + SQI_GROUP_AHEAD * stride.data);
	if (stride.cell < stride.data)
		sqi_prefetch_write((unsigned char *)place->cell + SQI_GROUP_AHEAD * stride.cell);
}

/*
 * For a consumer that reads the messages of a run: asks for the line of one that follows. Not for
 * one that takes them one by one: that goes on so near behind a producer that it would take lines
 * from it that are being written.
 */
static inline void sqi_ask_run_ahead(const struct sqi_place *place, struct sqi_stride stride)
{
	if (stride.cell < stride.data)
		sqi_prefetch_read((unsigned char *)place->data + SQI_GROUP_AHEAD * stride.data);
}

/* What the lease of this cell counts as, in a queue with max_attempts: see attempts.c. */
static inline sqi_u64 *sqi_attempts_word(const struct sqi_ring *ring, uint64_t position)
{
	return (sqi_u64 *)(ring->base + ring->g.attempts) + (position & ring->mask);
}

/* When the lease of this cell ends, in a queue with a lease time: see lease_time.c. */
static inline sqi_u64 *sqi_deadline(const struct sqi_ring *ring, uint64_t position)
{
	return (sqi_u64 *)(ring->base + ring->g.deadlines) + (position & ring->mask);
}

/* The number of the message's last return, among all messages of the queue that came back. */
static inline sqi_u64 *sqi_redelivery_number(const struct sqi_ring *ring, uint64_t position)
{
	return (sqi_u64 *)(ring->base + ring->g.redeliveries) + (position & ring->mask);
}

static inline struct sqi_block *sqi_block(const struct sqi_ring *ring, uint64_t index)
{
	return (struct sqi_block *)(ring->base + ring->g.block_words) + index;
}

static inline struct sqi_count_entry *sqi_count_entry(const struct sqi_ring *ring, uint64_t index)
{
	return (struct sqi_count_entry *)(ring->base + ring->g.counts) + index;
}

/*
 * Where a put notes its position, if `puts` puts were made before it. Two words are used by turns.
 */
static inline sqi_u64 *sqi_intent(struct sqi_slot *slot, uint64_t puts)
{
	return &slot->intent_pos[puts & 1];
}

/*
 * How many cells this word speaks for: those of a group, if it is the head's (ring/group.h), or its
 * own.
 */
static inline unsigned sqi_span(const struct sqi_ring *ring, uint64_t w)
{
	unsigned span = sqi_word_span(w);

	return span <= ring->mask ? span : 1; /* else it is damaged: no group is the whole ring */
}

/*
 * A scan over cells, one after another: `pos` is the position of the present one, `word` its word,
 * and `ahead` how far the word's turn is above the position's. For all cells of a group it is the
 * word of the group's head (ring/group.h). No group goes on over the end of the array of cells, so
 * a scan has to begin there, or at an end of the ring: not within a group.
 */
struct sqi_scan {
	uint64_t pos, word;
	int64_t ahead;
	uint64_t next, left;
	bool messages; /* what it is for: a leased message counts, though in a cell of a group */
	unsigned same; /* cells that follow and belong to the group ... */
	uint64_t of_group; /* ... whose head's word this is */
};

/* For what the cells are to the ring's ends. */
static inline struct sqi_scan sqi_scan_from(uint64_t pos, uint64_t count)
{
	return (struct sqi_scan){.next = pos, .left = count};
}

/* For the messages in them. It may begin within a group: of leased ones the cell itself tells. */
static inline struct sqi_scan sqi_scan_messages(uint64_t pos, uint64_t count)
{
	return (struct sqi_scan){.next = pos, .left = count, .messages = true};
}

/* The same of all cells of the ring, by their indexes. */
static inline struct sqi_scan sqi_scan_all(const struct sqi_ring *ring)
{
	return sqi_scan_messages(0, ring->mask + 1);
}

/* Moves to the next cell. Returns false if there are no more. */
static inline bool sqi_scan_next(const struct sqi_ring *ring, struct sqi_scan *scan)
{
	if (scan->left == 0)
		return false;
	scan->left--;
	scan->pos = scan->next++;
	scan->word = sqi_load_seq(&sqi_cell(ring, scan->pos)->word);
	if (scan->same == 0) {
		scan->of_group = scan->word;
		scan->same = sqi_span(ring, scan->word);
	} else if (!scan->messages || !sqi_word_is_leased(scan->word)) {
		scan->word = scan->of_group;
	}
	scan->same--;
	scan->ahead = sqi_word_ahead(scan->word, scan->pos >> ring->shift);
	return true;
}

/* Slots one after another: the `number` of the one looked at, and the `id` that it bore (0: nobody). */
struct sqi_slots {
	struct sqi_slot *slot;
	uint64_t id;
	unsigned number, next;
};

/* To the next slot. Returns false if there are no more. */
static inline bool sqi_slots_next(const struct sqi_ring *ring, struct sqi_slots *slots)
{
	if (slots->next == ring->g.in.participants)
		return false;
	slots->number = slots->next++;
	slots->slot = sqi_slot(ring, slots->number);
	slots->id = sqi_load_seq(&slots->slot->id);
	return true;
}

#endif
