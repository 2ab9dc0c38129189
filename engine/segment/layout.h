/* SPDX-License-Identifier: ISC */
#ifndef SQI_LAYOUT_H
#define SQI_LAYOUT_H

/*
 * The bytes of a segment, all in host order, and where each part begins.
 *
 *	head | slots | journal | back bitmap | returns | tries | deadlines | block words | cells |
 *	block data
 *
 * The head's description is written once, before the segment has a name. Whoever opens it computes
 * the whole geometry again from the few inputs and compares, and from then on uses only that
 * private copy: no offset, count or length that others could change is ever followed.
 *
 * A word has one kind of writer; words with different writers lie in different cache lines.
 *
 * Changing anything here: raise SQI_LAYOUT_VERSION. tests/unit/test_layout.c knows the numbers too.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "sq.h"

#define SQI_MAGIC          "sq-ring\n"
#define SQI_LAYOUT_VERSION 6
#define SQI_LINE           64
#define SQI_PAGE           4096
#define SQI_BITS           32 /* cells to a word of the bitmap; its other half is a count */
#define SQI_CLASSES_MAX    12 /* 256 bytes, and four times that, and so on, to 1 GiB */
#define SQI_CLASS_MIN      256
#define SQI_DLQ_MAX        (SQ_NAME_MAX * 2 + 2)
#define SQI_LOCK_BASE      ((uint64_t)1 << 61) /* locked bytes lie beyond any segment's end */

/* What a segment is made from; the rest follows. */
struct sqi_inputs {
	uint64_t max_message;
	uint64_t block_memory;
	uint64_t lease_ns; /* 0: until death */
	uint32_t capacity_log2;
	uint32_t small; /* as asked, rounded up to what the cell holds */
	uint32_t participants;
	uint32_t max_attempts;
	uint32_t flags;
	uint32_t blocks_min; /* of a class, whatever that takes */
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
	uint64_t cell_size;
	/* Offsets. */
	uint64_t slots, journal, bitmap, returns, tries, deadlines, block_words, cells;
	uint64_t blocks; /* count, all classes */
	uint64_t total;  /* bytes */
	uint32_t classes;
	struct sqi_class class[SQI_CLASSES_MAX];
};

#define SQI_CLOSED_DRAINING 1 /* nothing more is put */
#define SQI_CLOSED_NOW      2 /* and nothing more is taken */
#define SQI_CLOSED_HOW      3 /* these two */
#define SQI_CLOSED_GONE     4 /* it has no name any more, so nobody can come to it */

#define SQI_REMOVAL_DONE (~(uint64_t)0) /* decided: it is removed, whoever unlinks it */

struct sqi_head {
	/* Never written after creation. */
	char magic[8];
	uint32_t version;
	uint32_t head_size;
	uint64_t fingerprint; /* of all that must agree, sizes of structures included */
	uint64_t total;
	struct sqi_inputs in;

	/* Read by all, written seldom. */
	_Alignas(SQI_LINE) sqi_u64 closed; /* SQI_CLOSED_... */
	sqi_u64 back_seq;                  /* raised when a cell became BACK */
	sqi_u64 returns;                   /* the next number of those that come back */

	/* Hints: lower bounds of the positions, published now and then. */
	_Alignas(SQI_LINE) sqi_u64 tail;
	_Alignas(SQI_LINE) sqi_u64 head;

	/*
	 * Eventcounts: bit 0 says that somebody may sleep. And the participants that keep watch for
	 * all who sleep on them, or 0.
	 */
	_Alignas(SQI_LINE) sqi_u32 message_event;
	sqi_u64 message_watch;
	_Alignas(SQI_LINE) sqi_u32 room_event;
	sqi_u32 block_event; /* blocks */
	sqi_u64 room_watch;
	sqi_u64 block_watch;

	_Alignas(SQI_LINE) sqi_u64 next_id; /* of participants, never reused */
	sqi_u64 upkeep_ms; /* no look for the dead before this moment << 16 | how far ahead it was */
	sqi_u64 joins;     /* participants that ever used it */
	uint64_t created_s;  /* CLOCK_REALTIME */
	sqi_u64 announce_ms; /* the last look for redeliveries nobody heard of */
	sqi_u64 wanted;      /* 1: somebody looked for a message in vain */
	sqi_u64 removal; /* the participant that is about to remove it as abandoned; or SQI_REMOVAL_DONE */
	sqi_u64 find_dead_ms; /* nobody asks who is dead before this moment; as rescue_ms */

	/*
	 * Where those who look after all cells, slots and deadlines go on, a slice at a time. Nothing
	 * depends on them but time.
	 */
	_Alignas(SQI_LINE) sqi_u64 lap_at; /* cells: of the dead */
	sqi_u64 lap_ms; /* somebody is in the middle of it, and others need not begin, before this */
	sqi_u64 find_dead_at; /* slots */
	sqi_u64 expire_at;    /* cells: deadlines */
	sqi_u64 announce_at;  /* cells: redeliveries nobody heard of; 0: not under way */

	/* Totals that belong to no participant. */
	_Alignas(SQI_LINE) sqi_u64 overdue;
	sqi_u64 reclaimed;
	sqi_u64 revoked;
	sqi_u64 dead_letters;
	sqi_u64 damaged;
};

/* A participant. Counters go on from one tenant to the next. */
struct sqi_slot {
	/* The producing half; the intent is what recovery reads after a death. */
	_Alignas(SQI_LINE) sqi_u64 id; /* 0: nobody */
	sqi_u64 puts;
	sqi_u64 intent_pos[2]; /* the claimed position, by turns: of the put before stays ... */
	sqi_u64 intent_base;   /* ... and `puts` before it; in doubt while these are equal */
	sqi_u64 decision;      /* id << 2, then | 2 | committed */
	sqi_u64 journal;       /* index of the bound journal entry plus one */
	sqi_u64 journal_seq;   /* its count when bound, and `puts` then: journal_puts */

	/* The consuming half. */
	_Alignas(SQI_LINE) sqi_u64 gots;
	sqi_u64 acks;
	sqi_u64 nacks;
	sqi_u64 redelivered;
	sqi_u64 pid; /* for people to see; nothing depends on it */
	sqi_u64 journal_puts;
	sqi_u64 ending; /* a cell's word that it is about to end a lease by, or 0 */
	/*
	 * Of a durable participant, whose leases outlive it: index of its key's journal entry plus
	 * one, and << 16 the last of its tenants that was reaped but for the leases; or the first of
	 * them, marked as new. Else 0.
	 */
	sqi_u64 durable;

	/* Of a durable participant. See docs/MEMORY_MODEL.md, "Graces". */
	_Alignas(SQI_LINE) sqi_u64 grace; /* nanoseconds */
	sqi_u64 died; /* when its tenant was seen dead, by CLOCK_MONOTONIC; it only ever rises */
	sqi_u64 run;  /* its first tenant */

	sqi_u64 returned; /* of the consuming half */
};

#define SQI_DECIDED   2
#define SQI_COMMITTED 1

#define SQI_DURABLE_INDEX ((uint64_t)0x7fff)
#define SQI_DURABLE_NEW   ((uint64_t)0x8000)
#define SQI_GRACE_FOREVER (~(uint64_t)0)

/* Ids of participants are below this. A bit above says that the grace of that one is over. */
#define SQI_ID_MAX    ((uint64_t)1 << 60)
#define SQI_CONDEMNED ((uint64_t)1 << 62)

/* A durable count of puts under a key. */
struct sqi_count_entry {
	sqi_u64 key;
	sqi_u64 who; /* the participant's id, 0 for none */
	sqi_u64 seq;
	sqi_u64 last; /* id of the last put, plus one; 0: not known */
};

/*
 * Of a block: generation << 16 | owner << 4 | held; home is the position of the cell that will
 * refer to it.
 */
struct sqi_block {
	sqi_u64 word;
	sqi_u64 home;
};

/*
 * A cell is cell_size bytes: its word, its meta word and the message's bytes, or three words about
 * its block. meta: turn of the message << 24 | block << 16 | length, if inline
 */
struct sqi_cell {
	sqi_u64 word;
	sqi_u64 meta;
	sqi_u64 data[]; /* a block's: [0] generation, [1] index << 32 | length */
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

/* sqi_inputs_init(): defaults filled in and limits checked. 0 or -EINVAL. */
int sqi_inputs_init(struct sqi_inputs *ret, const struct sq_config *config);

/*
 * sqi_geometry_init(): the whole from the inputs. 0, or -EINVAL if they are none that
 * sqi_inputs_init() makes.
 */
int sqi_geometry_init(struct sqi_geometry *ret, const struct sqi_inputs *in);

/* sqi_fingerprint(): of a geometry and of this build's structures. */
uint64_t sqi_fingerprint(const struct sqi_geometry *g);

/*
 * sqi_head_check(): NULL, or what is wrong with this head of a segment of `size` bytes. *ret is
 * written if NULL.
 */
const char *sqi_head_check(struct sqi_geometry *ret, const void *head, uint64_t size);

#endif
