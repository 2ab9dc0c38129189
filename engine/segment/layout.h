/* SPDX-License-Identifier: ISC */
#ifndef SQI_LAYOUT_H
#define SQI_LAYOUT_H

/*
 * The bytes of a segment, all in host order, and where each part begins. Included by every part of
 * the engine that reads or writes a segment.
 *
 *	head | slots | counts | bitmap | redeliveries | attempts | deadlines |
 *	block words | cells | small messages | block data
 *
 * The description in the head is written once, before the segment has a name. Opening a queue
 * computes the whole geometry again from the inputs in it, compares the fingerprint and the length,
 * and then uses this private copy only: no offset, count or length in shared memory is followed.
 *
 * Every sqi_u64 and sqi_u32 may be written by any participant at any time, and is accessed through
 * base/atomic.h. Words that different participants write often are kept out of each other's cache
 * lines.
 *
 * A change of the layout raises SQI_LAYOUT_VERSION; tests/unit/test_layout.c has the numbers, too.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/event.h"
#include "sq.h"

#define SQI_MAGIC          "sq-ring\n"
#define SQI_LAYOUT_VERSION 9
#define SQI_LINE           64
#define SQI_PAGE           4096
#define SQI_BITS           32 /* cells to a word of the bitmap; the other half is a count */
#define SQI_CLASSES_MAX    12 /* 256 bytes, and four times that, and so on, to 1 GiB */
#define SQI_CLASS_MIN      256
#define SQI_DLQ_MAX        (SQ_NAME_MAX * 2 + 2)
#define SQI_LOCK_BASE      ((uint64_t)1 << 61) /* offset of the locks: beyond any segment's end */

/* The inputs that the whole geometry is computed from. */
struct sqi_inputs {
	uint64_t max_message;
	uint64_t block_memory;
	uint64_t lease_ns; /* the lease time; 0: none, a lease ends only when settled or by death */
	uint32_t capacity_log2;
	uint32_t small; /* the longest message that a cell holds */
	uint32_t participants;
	uint32_t max_attempts;
	uint32_t flags;
	uint32_t blocks_min; /* of each class, even if block_memory does not suffice */
	char dead_letter[SQI_DLQ_MAX + 6];
};

struct sqi_class {
	uint64_t size;  /* bytes of a block */
	uint64_t first; /* index of its first block among all */
	uint64_t count;
	uint64_t data; /* offset of its first block's bytes */
};

struct sqi_geometry {
	struct sqi_inputs in;
	uint64_t capacity;
	uint64_t cell_size; /* from one cell to the next */
	uint64_t data_size; /* from one cell's message to the next cell's */
	/* Offsets. */
	uint64_t slots, counts, bitmap, redeliveries, attempts, deadlines, block_words, cells;
	uint64_t data;   /* of the first cell's message */
	uint64_t blocks; /* count, all classes */
	uint64_t total;  /* bytes of the segment */
	uint32_t classes;
	struct sqi_class class[SQI_CLASSES_MAX];
};

#define SQI_CLOSED_DRAINING 1 /* shut down: puts fail */
#define SQI_CLOSED_NOW      2 /* shut down at once: puts and takes fail */
#define SQI_CLOSED_HOW      3 /* mask of these two */
#define SQI_CLOSED_GONE     4 /* removed: the file has no name any more */

#define SQI_REMOVAL_DONE (~(uint64_t)0) /* the queue is removed, though perhaps not yet unlinked */

struct sqi_head {
	/* The description, never written after creation. */
	char magic[8];
	uint32_t version;
	uint32_t head_size;
	uint64_t fingerprint; /* of the geometry and the sizes of structures: sqi_fingerprint() */
	uint64_t total;
	struct sqi_inputs in;

	/* Read often, written seldom. */
	_Alignas(SQI_LINE) sqi_u64 closed; /* SQI_CLOSED_... */
	sqi_u64 back_seq;                  /* raised after a cell became BACK */
	sqi_u64 redeliveries;              /* the number for the next message that comes back */
	sqi_u64 by_id; /* 1 since a message was first leased by its id: ring/group.c */

	/* Hints: lower bounds of the ring's tail and front, raised now and then. */
	_Alignas(SQI_LINE) sqi_u64 tail;
	_Alignas(SQI_LINE) sqi_u64 front;

	/*
	 * Eventcounts (base/event.c): for messages, for a free cell, for a free block. And for each
	 * the id of the participant that keeps watch, or 0.
	 */
	_Alignas(SQI_LINE) struct sqi_event message_event;
	sqi_u64 message_watch;
	_Alignas(SQI_LINE) struct sqi_event room_event;
	struct sqi_event block_event;
	sqi_u64 room_watch;
	sqi_u64 block_watch;

	_Alignas(SQI_LINE) sqi_u64 next_id; /* the last participant's id; ids are not used again */
	sqi_u64 upkeep_ms;    /* when upkeep is due next; as sqi_upkeep_at() makes it */
	sqi_u64 joins;        /* participants that have used the queue */
	uint64_t created_s;   /* CLOCK_REALTIME; never written after creation */
	sqi_u64 announce_ms;  /* when the last sweep for unannounced redeliveries began */
	sqi_u64 wanted;       /* 1: a consumer has found no message */
	sqi_u64 removal;      /* 0, the id of a collector, or SQI_REMOVAL_DONE: member/removal.c */
	sqi_u64 find_dead_ms; /* when to look for the dead next; as upkeep_ms */

	/*
	 * Where upkeep goes on with each of the things that it does in slices. All are hints: a
	 * wrong one costs time only.
	 */
	_Alignas(SQI_LINE) sqi_u64 recovery_at; /* a cell: the lap of recovery */
	sqi_u64 recovery_ms;  /* another lap of recovery need not begin before this; as upkeep_ms */
	sqi_u64 find_dead_at; /* a slot: the look for the dead */
	sqi_u64 expire_at;    /* a cell: ending the leases whose time is up */
	sqi_u64 announce_at;  /* a cell: the sweep for unannounced redeliveries; 0: none now */

	/* Totals of the queue, for statistics. */
	_Alignas(SQI_LINE) sqi_u64 overdue;
	sqi_u64 reclaimed;
	sqi_u64 revoked;
	sqi_u64 dead_letters;
	sqi_u64 damaged;
};

/*
 * A participant's slot. While the tenant lives only the tenant writes it, but for `id` and
 * `durable` (join.c, grace.c). Counters go on from one tenant to the next.
 *
 * The put in hand: intent_pos[puts & 1] is its position, and intent_base the value of `puts` before
 * it. It is in doubt whether the put happened exactly while puts == intent_base. The other element
 * of intent_pos is the position of the put before.
 *
 * If intent_span is not 0, the puts in hand are so many, an even number, of a group of which
 * intent_pos[puts & 1] is the head's position. All happen, or none does. The next put after an even
 * number of them uses the same element, and the other has the position of the last of them.
 */
struct sqi_slot {
	/* Written by puts. Recovery reads these after a death. */
	_Alignas(SQI_LINE) sqi_u64 id; /* the tenant's; 0: the slot is free */
	sqi_u64 puts;
	sqi_u64 intent_pos[2];
	sqi_u64 intent_base;
	sqi_u64 decision;     /* about the put in hand: id << 2 | SQI_DECIDED | SQI_COMMITTED */
	sqi_u64 count_entry;  /* the index of the bound entry of the counts, plus one; 0: none */
	sqi_u64 count_before; /* the entry's count when it was bound */

	/* Written by gets and leases. */
	_Alignas(SQI_LINE) sqi_u64 gots;
	sqi_u64 acks;
	sqi_u64 nacks;
	sqi_u64 redelivered;
	sqi_u64 pid;         /* for a person with a debugger; the engine does not read it */
	sqi_u64 puts_before; /* `puts` when the entry was bound */
	sqi_u64 ending;      /* the word of a cell whose lease the tenant is about to end, or 0 */
	/*
	 * 0 unless the participant is durable. Else the index of its key's entry plus one, and an
	 * id << 16: with SQI_DURABLE_NEW that of the first tenant; without it, that of the last
	 * tenant that died and of which only the leases are left. docs/MEMORY_MODEL.md calls these
	 * new and kept.
	 */
	sqi_u64 durable;

	/* Of a durable participant. See docs/MEMORY_MODEL.md, "Graces". */
	_Alignas(SQI_LINE) sqi_u64 grace; /* in nanoseconds, or SQI_GRACE_FOREVER */
	sqi_u64 died; /* when a tenant was seen dead, CLOCK_MONOTONIC; the value only ever rises */
	sqi_u64 run;  /* the id of the first tenant */

	sqi_u64 returned;    /* written by leases, as nacks */
	sqi_u64 intent_span; /* how many puts are in hand, if more than one; else 0 */
};

#define SQI_DECIDED   2 /* recovery has decided whether the put in hand happened ... */
#define SQI_COMMITTED 1 /* ... and it did */

#define SQI_DURABLE_INDEX ((uint64_t)0x7fff)
#define SQI_DURABLE_NEW   ((uint64_t)0x8000)
#define SQI_GRACE_FOREVER (~(uint64_t)0)

/* Ids of participants are below SQI_ID_MAX. With SQI_CONDEMNED the tenant's grace is over. */
#define SQI_ID_MAX    ((uint64_t)1 << 60)
#define SQI_CONDEMNED ((uint64_t)1 << 62)

/* An entry of the counts: a durable count of puts under a key. See member/count.c. */
struct sqi_count_entry {
	sqi_u64 key;    /* 0: the entry is free; once set it stays */
	sqi_u64 holder; /* the id of the key's holder; 0: none */
	sqi_u64 count;  /* the count, without what the holder has put since it was bound */
	sqi_u64 last;   /* the message id of the last put, plus one; 0: not known */
};

/*
 * A block's word is generation << 16 | owner << 4 | held (ring/block.c). `home` is the position of
 * the cell that refers to the block, or is about to.
 */
struct sqi_block {
	sqi_u64 word;
	sqi_u64 home;
};

/*
 * A cell is its word (ring/word.h), `meta`, and the message's bytes or the reference to its block.
 * meta is the turn of the message << 24 | its length; or, with SQI_META_BLOCK instead of the
 * length, the message is in a block.
 *
 * If all of that fits in a cache line, it lies together: half a line or a line for each cell. If
 * not, word and meta lie in an array of their own, four cells to a line, and each message has whole
 * lines. Then 64 bytes are one line to move, not two. sqi_data() says where the message is.
 */
struct sqi_cell {
	sqi_u64 word;
	sqi_u64 meta;
	sqi_u64 data[]; /* of a reference: [0] generation, [1] index << 32 | length */
};

#define SQI_META_BLOCK ((uint64_t)1 << 16)

_Static_assert(sizeof(struct sqi_inputs) == 184, "layout");
_Static_assert(offsetof(struct sqi_head, in) == 32, "layout");
_Static_assert(offsetof(struct sqi_head, closed) == 256, "layout");
_Static_assert(offsetof(struct sqi_head, message_event) == 448, "layout");
_Static_assert(sizeof(struct sqi_head) == 768, "layout");
_Static_assert(sizeof(struct sqi_head) <= SQI_PAGE, "layout");
_Static_assert(sizeof(struct sqi_slot) == 192, "layout");
_Static_assert(sizeof(struct sqi_count_entry) == 32, "layout");
_Static_assert(sizeof(struct sqi_block) == 16, "layout");
_Static_assert(offsetof(struct sqi_cell, data) == 16, "layout");

/*
 * sqi_inputs_init(): the inputs from a configuration; NULL and zeros mean the defaults. 0, or
 * -EINVAL: beyond a limit, or not consistent.
 */
int sqi_inputs_init(struct sqi_inputs *ret, const struct sq_config *config);

/*
 * sqi_geometry_init(): the geometry from the inputs, which may have been read from a segment. 0, or
 * -EINVAL if sqi_inputs_init() does not make such inputs.
 */
int sqi_geometry_init(struct sqi_geometry *ret, const struct sqi_inputs *in);

/* sqi_fingerprint(): a hash of a geometry and of the sizes of this build's structures. */
uint64_t sqi_fingerprint(const struct sqi_geometry *g);

/*
 * sqi_head_check(): checks a copy of the head of a segment of `size` bytes. Returns NULL, and the
 * geometry in *ret; or what is wrong, in words.
 */
const char *sqi_head_check(struct sqi_geometry *ret, const void *head, uint64_t size);

#endif
