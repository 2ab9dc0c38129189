/* SPDX-License-Identifier: ISC */
#include "sq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"
#include "member/grace.h"
#include "ring/attempts.h"
#include "segment/file.h"

/*
 * What is in a queue: for a participant (sq_stat()), and for a process that takes no part
 * (sq_look()). Both only read, beside any number of participants. So each number is of a moment
 * ago, and they may be of different moments.
 *
 * The loads of counters and totals are relaxed: they are numbers for people, and no decision
 * depends on them.
 */

/* Counts a cell. `left`: the message has attempts left, if the word says BACK. */
static void count_cell(struct sq_stat *st, uint64_t w, bool left)
{
	switch (sqi_word_state(w)) {
	case SQI_FULL:
		st->depth++;
		break;
	case SQI_BACK:
		if (!left) {
			st->undelivered++;
			break;
		}
		st->depth++;
		st->back++;
		break;
	case SQI_TAKEN:
		st->leased++;
		break;
	default:
		break;
	}
}

/*
 * Adds a slot's counters. Relaxed, but for `puts`: see above. `puts` is read after the cells, for
 * `took`.
 */
static void count_slot(struct sq_stat *st, const struct sqi_slot *slot)
{
	st->put += sqi_load_seq(&slot->puts);
	st->got += sqi_load_relaxed(&slot->gots);
	st->acked += sqi_load_relaxed(&slot->acks);
	st->nacked += sqi_load_relaxed(&slot->nacks);
	st->returned += sqi_load_relaxed(&slot->returned);
	st->redelivered += sqi_load_relaxed(&slot->redelivered);
}

/* Counts the slot's tenant, of this id: it lives, or is a durable participant that is away. */
static void count_tenant(struct sq_stat *st, const struct sqi_slot *slot, uint64_t id, bool lives)
{
	uint64_t left;

	st->participants += lives;
	if (id == 0 || lives || sqi_is_condemned(id) || sqi_load_seq(&slot->durable) == 0)
		return;
	st->away++;
	left = sqi_is_kept(slot, id) ? sqi_grace_left(slot) : SQI_GRACE_FOREVER;
	if (left < (uint64_t)st->grace_left) /* as a uint64_t SQ_FOREVER is the greatest */
		st->grace_left = (int64_t)left;
}

/* Counts a block of this class, by its word. */
static void count_block(struct sq_stat *st, unsigned class, uint64_t w)
{
	st->blocks_free += sqi_block_is_free(w);
	st->class[class].free += sqi_block_is_free(w);
}

/* Fills in what was decided when the queue was created, and 0 elsewhere. */
static void fill_from_geometry(struct sq_stat *st, const struct sqi_geometry *g)
{
	memset(st, 0, sizeof(*st));
	st->capacity = g->capacity;
	st->max_message = g->in.max_message;
	st->small_message = g->in.small;
	st->participants_max = g->in.participants;
	st->bytes = g->total;
	st->lease_time = (int64_t)g->in.lease_ns;
	st->max_attempts = g->in.max_attempts;
	st->flags = g->in.flags;
	st->grace_left = SQ_FOREVER;
	memcpy(st->dead_letter, g->in.dead_letter, sizeof(st->dead_letter) - 1);
	st->blocks = g->blocks;
	st->classes = g->classes;
	for (unsigned i = 0; i < g->classes; i++) {
		st->class[i].size = g->class[i].size;
		st->class[i].count = g->class[i].count;
	}
}

/* Fills in what the head says, last. Relaxed: see above. */
static void fill_from_head(struct sq_stat *st, const struct sqi_head *head)
{
	uint64_t closed = sqi_load_seq(&head->closed);

	st->closed = (uint32_t)(closed & SQI_CLOSED_HOW);
	st->removed = (closed & SQI_CLOSED_GONE) != 0;
	st->overdue = sqi_load_relaxed(&head->overdue);
	st->reclaimed = sqi_load_relaxed(&head->reclaimed);
	st->revoked = sqi_load_relaxed(&head->revoked);
	st->dead_letters = sqi_load_relaxed(&head->dead_letters);
	st->damaged = sqi_load_relaxed(&head->damaged);
	/* The cells were counted before the puts, so a message put in between counts as taken. */
	st->took = st->put - st->depth - st->leased - st->undelivered;
	if (st->took > st->put)
		st->took = 0;
}

int sq_stat(struct sq *h, struct sq_stat *ret)
{
	int r = sqi_handle_check(h, SQ_NOWAIT);
	struct sq_stat st;

	if (!ret)
		return -EINVAL;
	if (r < 0)
		return r;
	fill_from_geometry(&st, &h->ring.g);
	for (struct sqi_scan s = sqi_scan_all(&h->ring); sqi_scan_next(&h->ring, &s);)
		count_cell(&st, s.word,
			sqi_word_state(s.word) != SQI_BACK ||
				sqi_attempts_left(&h->ring, s.pos, s.word));
	for (struct sqi_slots s = {0}; sqi_slots_next(&h->ring, &s);) {
		count_slot(&st, s.slot);
		count_tenant(&st, s.slot, s.id, s.id != 0 && !sqi_is_dead(&h->member, s.id));
	}
	for (unsigned k = 0; k < h->ring.g.classes; k++)
		for (uint64_t i = 0; i < h->ring.g.class[k].count; i++)
			count_block(&st, k,
				sqi_load_seq(
					&sqi_block(&h->ring, h->ring.g.class[k].first + i)->word));
	fill_from_head(&st, h->ring.head);
	*ret = st;
	return 0;
}

/*
 * sq_look() takes no part: it has no slot, writes nothing, and does not map the file, because
 * another process could cut it short. It reads copies of pieces of the file into `piece`, so the
 * functions below read memory that no other thread writes.
 */

#define PIECE (64 << 10)

struct look {
	int fd;
	struct sqi_geometry g;
	struct sq_stat st;
	uint64_t cell; /* index of the next one */
	unsigned same; /* cells that follow and belong to the group of the last: ring/group.h */
	/* aligned as the structures that it holds */
	_Alignas(SQI_LINE) unsigned char piece[PIECE];
};

/*
 * Calls each(l, k, element) for `count` elements of `size` bytes that begin at offset `at` of the
 * file. Returns 0, -EPROTO if the file ends before that, or an error of pread(2).
 */
static int for_each(struct look *l, uint64_t at, uint64_t count, uint64_t size, unsigned k,
	void (*each)(struct look *l, unsigned k, const void *element))
{
	uint64_t step = PIECE / size; /* no element is larger than a piece */

	for (uint64_t i = 0; i < count; i += step) {
		uint64_t n = count - i < step ? count - i : step;
		ssize_t r = pread(l->fd, l->piece, n * size, (off_t)(at + i * size));

		if (r != (ssize_t)(n * size))
			return r < 0 ? -errno : -EPROTO; /* the file was cut short meanwhile */
		for (uint64_t e = 0; e < n; e++)
			each(l, k, l->piece + e * size);
	}
	return 0;
}

static void each_cell(struct look *l, unsigned k, const void *element)
{
	const struct sqi_cell *c = element;
	uint64_t w = sqi_load_seq(&c->word), record,
		 at = l->g.attempts + l->cell++ * sizeof(record);
	bool left = true;

	(void)k;
	if (l->same > 0) {
		l->same--;
		if (!sqi_word_is_leased(w))
			return; /* its message is not put yet, or gone */
	} else {
		l->same = sqi_word_span(w) - 1;
	}
	if (l->g.in.max_attempts && sqi_word_state(w) == SQI_BACK &&
		sqi_word_number(w) >= l->g.in.max_attempts &&
		pread(l->fd, &record, sizeof(record), (off_t)at) == (ssize_t)sizeof(record))
		/* Relaxed: `piece` is private. */
		left = sqi_attempts_left_by(
			l->g.in.max_attempts, w, sqi_load_relaxed(&c->meta), record);
	count_cell(&l->st, w, left);
}

static void each_slot(struct look *l, unsigned k, const void *element)
{
	const struct sqi_slot *slot = element;
	uint64_t id = sqi_load_seq(&slot->id);

	(void)k;
	count_slot(&l->st, slot);
	count_tenant(&l->st, slot, id, id != 0 && sqi_is_locked(l->fd, id));
}

static void each_block(struct look *l, unsigned k, const void *element)
{
	count_block(&l->st, k, sqi_load_seq(&((const struct sqi_block *)element)->word));
}

/* Reads cells before slots and the head last, in the order of sq_stat(). */
static int look(struct look *l)
{
	const struct sqi_geometry *g = &l->g;
	_Alignas(SQI_LINE) unsigned char head[sizeof(struct sqi_head)];
	int r;

	fill_from_geometry(&l->st, g);
	l->cell = 0;
	l->same = 0;
	r = for_each(l, g->cells, g->capacity, g->cell_size, 0, each_cell);
	if (r == 0)
		r = for_each(
			l, g->slots, g->in.participants, sizeof(struct sqi_slot), 0, each_slot);
	for (unsigned k = 0; r == 0 && k < g->classes; k++)
		r = for_each(l, g->block_words + g->class[k].first * sizeof(struct sqi_block),
			g->class[k].count, sizeof(struct sqi_block), k, each_block);
	if (r < 0)
		return r;
	if (pread(l->fd, head, sizeof(head), 0) != (ssize_t)sizeof(head))
		return -EPROTO;
	fill_from_head(&l->st, (const struct sqi_head *)head);
	return 0;
}

int sq_look(const char *name, struct sq_stat *ret)
{
	struct stat st;
	struct look *l;
	int r;

	if (!ret)
		return -EINVAL;
	l = aligned_alloc(SQI_LINE, sizeof(*l));
	if (!l)
		return -ENOMEM;
	r = sqi_file_open_readonly(&l->fd, &l->g, &st, name);
	if (r == 0) {
		r = look(l);
		if (r == 0)
			*ret = l->st;
		(void)close(l->fd);
	}
	free(l);
	return r;
}
