/* SPDX-License-Identifier: ISC */
#ifndef SQI_HANDLE_H
#define SQI_HANDLE_H

/*
 * A handle, as the engine's files see it, and what they offer each other. Everything here is
 * private to one thread, but for what its pointers lead to. The shared parts are reached only
 * through the accessors, which cannot leave the mapping whatever number they are given.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copies.h"
#include "layout.h"
#include "sq.h"
#include "word.h"

/*
 * How often a step that others spoilt is tried again: each time, some of them had got on. In memory
 * that is whole nobody comes near it.
 */
#define SQI_ROUNDS_MAX (1u << 20)

#define SQI_SEARCHES_MAX 4096 /* each may be a walk over all cells, so fewer than SQI_ROUNDS_MAX */

#define SQI_COPY_NS_PER_KIB 16000 /* 64 MB/s: far slower than any copy */

/* Positions between two publications of a hint. */
#define SQI_HINT_EVERY 16

/* One mapping of a segment, shared by all handles of this process on it. */
struct sqi_map;

/* A block in the hands of this handle. */
struct sqi_ref {
	uint64_t index; /* among all classes */
	uint64_t gen;
	uint64_t len; /* of the message in it */
};

/* A side of the queue to wait on. */
struct sqi_side {
	uint64_t ops;     /* done since the last wait */
	int64_t began_ns; /* the last wait */
	unsigned hurried; /* waits in a row that came soon after another */
};

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

#ifndef SQI_LAP_MAX /* the explorer has fewer */
#define SQI_LAP_MAX 8
#endif

/*
 * Once round all cells and over all blocks, in slices, for some participants that were found dead
 * before it began.
 */
struct sqi_lap {
	uint64_t count;   /* of them; 0: there is no lap */
	uint64_t left;    /* whose slots have no other tenant */
	uint64_t from;    /* the cell it began at */
	uint64_t done;    /* cells, and then blocks */
	uint64_t next_ms; /* the next slice, not before */
	uint64_t claim;   /* what we wrote to the head's lap_ms */
	struct sqi_dead {
		uint64_t id; /* 0: its slot has another tenant */
		uint64_t number;
		uint64_t durable; /* as it is in its slot */
		uint64_t seen_ns; /* dead */
	} dead[SQI_LAP_MAX];
};

/* Cells in our hand, perhaps: those that our forerunner in the slot may have left are in it. */
#define SQI_HELD_UNKNOWN ((uint64_t)1 << 62)

struct sq {
	/* What every call needs. */
	unsigned char *cells;
	uint64_t mask;
	uint64_t cell_size;
	unsigned shift;
	unsigned owner; /* slot number plus one */
	uint32_t small;
	bool counted;  /* among those that took part */
	bool forked;   /* in the child: refuse everything */
	uint64_t tail; /* lower bounds of the positions, private */
	uint64_t front;
	uint64_t puts; /* as in the slot, which nobody else raises while we live */
	uint64_t last; /* id of the last put, plus one; 0: not known */
	uint64_t back_seen;
	struct sqi_waiting waiting;
	bool ring_turn; /* the last message was a redelivery: the next is one of the ring, if it has any */
	struct sqi_head *head;
	struct sqi_slot *slot;

	struct sqi_side producing, consuming;
	bool short_of_blocks; /* the last attempt to put failed for want of one */
	int owed;             /* an error that sq_get_many() could not report yet */
	unsigned fuel;        /* operations until the next look at the clock */
	uint64_t looked_ms;   /* the last look for the dead in passing */
	uint64_t held;        /* cells we have TAKEN, or more; 0: none */
	struct sqi_lap lap;   /* of the dead that we found */

	struct sqi_ref reserved; /* of a large reservation */
	void *buffer;            /* of a small one */
	size_t reserved_cap;
	enum { SQI_RESERVED_NONE, SQI_RESERVED_SMALL, SQI_RESERVED_BLOCK } reservation;

	/* Where to look for a free block first, and allocations until that is set back. */
	uint64_t cursor[SQI_CLASSES_MAX];
	unsigned cursor_left;

	unsigned char *base;
	struct sqi_geometry g;
	struct sqi_map *map;
	uint64_t id;       /* the participant's */
	uint64_t dev, ino; /* of the object's file, which fd should be of */
	int fd;            /* holds the lock that says it lives */
	uint64_t tag;      /* of this process's handles ever */
	struct sqi_copies copies;
	struct sq *dead_letters;
	struct sq *next, **prev; /* all handles of the process */
};

/* A message on its way in: bytes to copy to a cell, or a block already filled. */
struct sqi_message {
	const void *data; /* NULL: in the block */
	size_t len;
	struct sqi_ref block;
};

static inline struct sqi_cell *sqi_cell(const struct sq *h, uint64_t position)
{
	return (struct sqi_cell *)(h->cells + (position & h->mask) * h->cell_size);
}

static inline struct sqi_slot *sqi_slot(const struct sq *h, unsigned number)
{
	return (struct sqi_slot *)(h->base + h->g.slots) + number;
}

static inline sqi_u64 *sqi_bitmap(const struct sq *h)
{
	return (sqi_u64 *)(h->base + h->g.bitmap);
}

/* What a lease of this cell counts as, in a queue with max_attempts: see tries.c. */
static inline sqi_u64 *sqi_tries(const struct sq *h, uint64_t position)
{
	return (sqi_u64 *)(h->base + h->g.tries) + (position & h->mask);
}

/* When the lease of this cell ends, in a queue with a lease time: see due.c. */
static inline sqi_u64 *sqi_deadline(const struct sq *h, uint64_t position)
{
	return (sqi_u64 *)(h->base + h->g.deadlines) + (position & h->mask);
}

/* When the message of this cell last came back, as a number among all that did. */
static inline sqi_u64 *sqi_returned(const struct sq *h, uint64_t position)
{
	return (sqi_u64 *)(h->base + h->g.returns) + (position & h->mask);
}

static inline struct sqi_block *sqi_block(const struct sq *h, uint64_t index)
{
	return (struct sqi_block *)(h->base + h->g.block_words) + index;
}

static inline struct sqi_entry *sqi_entry(const struct sq *h, uint64_t index)
{
	return (struct sqi_entry *)(h->base + h->g.journal) + index;
}

/* A durable participant's slot as it is when this one was reaped, but for its leases. */
static inline uint64_t sqi_durable_kept(uint64_t durable, uint64_t id)
{
	return id << 16 | (durable & SQI_DURABLE_INDEX);
}

/* Is this a dead one that nobody came for in time? */
static inline bool sqi_is_condemned(uint64_t id)
{
	return (id & SQI_CONDEMNED) != 0;
}

/* Is this tenant of a durable participant's slot dead, and reaped but for its leases? */
static inline bool sqi_is_kept(const struct sqi_slot *slot, uint64_t id)
{
	uint64_t durable = sqi_look(&slot->durable);

	return durable != 0 && !sqi_is_condemned(id) && durable == sqi_durable_kept(durable, id);
}

/* In a lease, `handle` says whose it is and which of the message's leases. */
static inline uint64_t sqi_lease_handle(const struct sq *h, uint64_t taken)
{
	return h->tag << 8 | sqi_word_attempts(taken);
}

static inline unsigned sqi_lease_number(const struct sq_lease *lease)
{
	return lease->handle & 0xff;
}

/* When the dead are to be looked for again, and how far ahead that was when it was written. */
static inline uint64_t sqi_rescue_at(uint64_t now_ms, uint64_t span_ms)
{
	return (now_ms + span_ms) << 16 | span_ms;
}

/* Where the put that follows `puts` others notes its position. */
static inline sqi_u64 *sqi_intent(struct sqi_slot *slot, uint64_t puts)
{
	return &slot->intent_pos[puts & 1];
}

/* queue.c */
int sqi_handle_init(struct sq *h, uint64_t key, int64_t grace);

/* put.c */
int sqi_put_try(struct sq *h, const struct sqi_message *m);
int sqi_tail(const struct sq *h, uint64_t *ret_pos);
uint64_t sqi_tail_anew(const struct sq *h);
bool sqi_leads_on(const struct sq *h, uint64_t p, uint64_t *ret_end);

/* front.c: finding the first message, and the end */
int sqi_front(struct sq *h, uint64_t *ret_pos, uint64_t *ret_word);
uint64_t sqi_front_anew(const struct sq *h);
uint64_t sqi_survey(const struct sq *h, uint64_t p, bool past_claimed);
void sqi_passed(struct sq *h, uint64_t position);
int sqi_drained(struct sq *h);
void sqi_put_off(struct sq *h, struct sqi_cell *c, uint64_t w);

/* next.c: which message comes next */
int sqi_next(struct sq *h, uint64_t *ret_pos, uint64_t *ret_word);

/* get.c */
ssize_t sqi_get_try(struct sq *h, void *buf, size_t cap);

/* lease.c */
int sqi_lease_try(struct sq *h, struct sq_lease *ret);
int sqi_lease(struct sq *h, uint64_t pos, uint64_t w, struct sq_lease *ret);
int sqi_lease_again(struct sq *h, uint64_t pos, uint64_t w, struct sq_lease *ret);
void sqi_lease_drop(struct sq *h, const struct sq_lease *lease);
int sqi_take(struct sq *h, uint64_t pos, uint64_t w, struct sq_lease *ret, uint64_t *ret_taken);
int sqi_finish(struct sq *h, const struct sq_lease *lease);
int sqi_give_back(struct sq *h, const struct sq_lease *lease, bool quietly);

/* cell.c: what a cell holds, and letting go of it */
int sqi_cell_view(
	const struct sq *h, const struct sqi_cell *c, const void **ret_data, size_t *ret_len);
bool sqi_cell_block(const struct sq *h, const struct sqi_cell *c, struct sqi_ref *ret);
bool sqi_cell_release(struct sq *h, uint64_t pos, uint64_t w);
int sqi_cell_damaged(struct sq *h, uint64_t pos, uint64_t w);

/* back.c: messages waiting for redelivery */
bool sqi_back(struct sq *h, uint64_t pos, uint64_t w);
void sqi_back_announce(struct sq *h, uint64_t pos);
void sqi_back_defer(struct sq *h, uint64_t pos);
bool sqi_back_maybe(const struct sq *h);
bool sqi_back_find(struct sq *h, bool any, uint64_t *ret_pos, uint64_t *ret_word);
void sqi_back_taken(struct sq *h, uint64_t pos);
void sqi_back_sweep(struct sq *h, uint64_t from, uint64_t count);

/* due.c: lease times */
bool sqi_due_prepare(struct sq *h, uint64_t pos, uint64_t w);
bool sqi_due_extend(struct sq *h, uint64_t pos, uint64_t w, uint64_t more_ns);
void sqi_due_finish(struct sq *h, uint64_t pos);
void sqi_due_sweep(struct sq *h, uint64_t from, uint64_t count);

/* tries.c: what counts as an attempt */
unsigned sqi_tries_begin(struct sq *h, uint64_t pos, uint64_t taken);
bool sqi_tries_return(struct sq *h, uint64_t pos, uint64_t taken);
unsigned sqi_tries_of(const struct sq *h, uint64_t pos, uint64_t taken);
bool sqi_tries_left_by(unsigned limit, uint64_t w, uint64_t meta, uint64_t u);
bool sqi_tries_left(const struct sq *h, uint64_t pos, uint64_t w);

/* arena.c */
int sqi_block_get(struct sq *h, size_t len, struct sqi_ref *ret);
void sqi_block_free(struct sq *h, const struct sqi_ref *ref);
bool sqi_block_valid(const struct sq *h, const struct sqi_ref *ref);
void *sqi_block_data(const struct sq *h, uint64_t index, uint64_t *ret_cap);
bool sqi_block_reclaim(
	struct sq *h, uint64_t index, unsigned owner, const struct sqi_slot *slot, uint64_t dead);
bool sqi_block_is_free(uint64_t w);

/* party.c */
int sqi_join_party(struct sq *h, uint64_t key, int64_t grace);
void sqi_leave_party(struct sq *h);
bool sqi_is_dead(const struct sq *h, uint64_t id);
bool sqi_is_locked(int fd, uint64_t id);
bool sqi_has_file(const struct sq *h);

/* recover.c */
int sqi_rescue(struct sq *h);
void sqi_rescue_now_and_then(struct sq *h);
void sqi_rescue_if_late(struct sq *h);
void sqi_reap(struct sq *h, unsigned number, uint64_t dead);
bool sqi_condemn(struct sqi_slot *slot, uint64_t *id);
uint64_t sqi_grace_left(const struct sqi_slot *slot);
void sqi_give_up_slot(struct sq *h);

/* journal.c */
void sqi_journal_fold(struct sq *h, struct sqi_slot *slot, uint64_t dead);
int sqi_journal_claim(struct sq *h, uint64_t key, uint64_t *ret_index);

/* wait.c */
uint32_t sqi_arm(sqi_u32 *event);
void sqi_wake_slow(sqi_u32 *event, bool all);
int sqi_wait(struct sq *h, struct sqi_side *side, int64_t timeout,
	int (*attempt)(struct sq *h, void *arg), void *arg);
int64_t sqi_now_ns(void);
uint64_t sqi_now_ms(void);
uint64_t sqi_coarse_ms(void);

/* gone.c: the end of a queue */
void sqi_wake_everybody(struct sqi_head *head);
void sqi_gone(struct sqi_head *head);     /* it has no name any more: tell all */
int sqi_closed_error(const struct sq *h); /* -EPIPE: shut down; -EIDRM: removed */
void sqi_look_for_name(struct sq *h);     /* has somebody removed its file? */
int sqi_stays(struct sq *h);              /* for who has just joined: 0, or -ENOENT */
bool sqi_remove_if(struct sq *h, bool (*is_abandoned)(const struct sq *h));
int sqi_finish_removal(struct sq *h, const char *name);

/* stat.c */
bool sqi_older(const struct sq *h, uint64_t index, uint64_t tail);

/* map.c */
int sqi_map_lock(void);
void sqi_map_unlock(void);
int sqi_map_handle(struct sq *h, uint64_t dev, uint64_t ino);
void sqi_unmap_handle(struct sq *h);

/*
 * No walk along the ring is longer than this while its memory is whole: a lap to see that the hints
 * are of no use, another behind a survey, and steps lost to others, each of which is somebody's
 * progress.
 */
static inline uint64_t sqi_steps_max(const struct sq *h)
{
	return 4 * h->mask + (1 << 22);
}

/* A message leased that often is not delivered again, but a dead letter. */
static inline unsigned sqi_attempts_limit(const struct sq *h)
{
	return h->g.in.max_attempts ? h->g.in.max_attempts : ~0u;
}

/*
 * We are about to end a lease of somebody else by changing this word; 0: not any more. To be said
 * before the last look at whether that lease is still to be ended. Without a slot nothing is said:
 * see docs/MEMORY_MODEL.md, "Lease times".
 */
static inline void sqi_ending(struct sq *h, uint64_t w)
{
	if (h->slot)
		sqi_swap(&h->slot->ending, w);
}

/* Something came, or went: wake one who sleeps for it. */
static inline void sqi_wake(sqi_u32 *event)
{
	/*
	 * After the seq_cst CAS that made the news: either we see the sleeper's bit, or it sees the
	 * news.
	 */
	if (sqi_look32(event) & 1)
		sqi_wake_slow(event, false);
}

/* Wake all of them. */
static inline void sqi_wake_all(sqi_u32 *event)
{
	if (sqi_look32(event) & 1)
		sqi_wake_slow(event, true);
}

/* A message is gone: there is room, and a drained queue's end is news to those who wait for more. */
static inline void sqi_removed(struct sq *h)
{
	sqi_wake(&h->head->went);
	if (sqi_look(&h->head->closed))
		sqi_wake_all(&h->head->came);
}

#endif
