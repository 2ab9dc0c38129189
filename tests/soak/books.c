/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "now.h"
#include "ops/handle.h"
#include "ring/message.h"
#include "soak.h"

/*
 * The books of the long stress: what each death may explain, and at the end of a period, when
 * nobody moves, every value against its explanation. Called by the conductor only.
 *
 * First the rest with what is left in it: nobody holds a cell, and each block in use is the block of
 * exactly one message. Then it is drained, and the sums must be right to the last message.
 */

#define DRAIN_NS (120 * (int64_t)CREW_SECOND)

static struct {
	struct sq_stat before[SOAK_ALL_QUEUES];
	/* Deaths in a call that may have had a message in a hand that was not yet shown. */
	uint64_t unseen[SOAK_ALL_QUEUES];
} books;

struct soak_value *soak_value(struct soak *s, uint64_t value)
{
	uint64_t q = value >> SOAK_QUEUE_SHIFT, identity = value >> SOAK_NUMBER_BITS & 0xffff;
	uint64_t number = value & (((uint64_t)1 << SOAK_NUMBER_BITS) - 1);
	struct soak_line *line;

	if (q >= SOAK_QUEUES || identity >= SOAK_IDENTITIES)
		crew_die("value %" PRIx64 " was never put", value);
	line = &s->line[q][identity];
	if (number - line->base >= SOAK_VALUES_MAX)
		crew_die("value %" PRIx64 " is not of this period: it begins with %" PRIu64, value,
			line->base);
	return &s->value[q][identity][number - line->base];
}

/* All messages that lie in the buffer of a dead getter, one behind the other. */
static void account_buffer(struct soak *s, const struct soak_seat *seat)
{
	size_t at = 0, len;
	uint64_t value;

	while (at < sizeof(seat->buffer)) {
		if (crew_whole(seat->buffer + at, sizeof(seat->buffer) - at, &value, &len)) {
			soak_value(s, value)->taken_along++;
			at += len;
			continue;
		}
		/* Done with: its head was wiped, and its length with it. Look for the next one. */
		at++;
	}
}

void soak_account(struct soak *s, unsigned i)
{
	struct soak_seat *seat = &s->seat[i];
	struct soak_line *line;

	if (seat->calling)
		books.unseen[seat->queue]++;
	for (int n = 0; n < SOAK_HANDS; n++) {
		if (seat->hand[n])
			soak_value(s, seat->hand[n] - 1)->died_in_hand++;
		seat->hand[n] = 0;
	}
	if (seat->role == SOAK_GETTER || seat->role == SOAK_UNDERTAKER)
		account_buffer(s, seat);
	if (seat->role == SOAK_UNBOUND) {
		line = &s->line[seat->queue][2 * i + 1];
		for (; line->in_flight > 0; line->in_flight--)
			soak_value(s, soak_value_of(seat->queue, 2 * i + 1, line->put++))
				->perhaps++;
	}
}

void soak_open_books(struct soak *s, struct sq *const h[SOAK_ALL_QUEUES])
{
	for (unsigned q = 0; q < SOAK_ALL_QUEUES; q++) {
		books.unseen[q] = 0;
		if (sq_stat(h[q], &books.before[q]) < 0)
			crew_die("sq_stat failed");
	}
	for (unsigned q = 0; q < SOAK_QUEUES; q++) {
		for (unsigned i = 0; i < SOAK_IDENTITIES; i++) {
			struct soak_line *line = &s->line[q][i];

			memset(s->value[q][i], 0,
				(line->put - line->base + 1) * sizeof(struct soak_value));
			if (q == SOAK_BRIEF)
				line->put = 0; /* a new queue, with new counts */
			line->base = line->put;
		}
	}
}

/*
 * At rest, though not empty: every cell is free or a message's, every block in use is of exactly one
 * message. And nobody has a handle but we.
 */
static void check_still(struct sq *h, const char *name, unsigned handles)
{
	uint8_t *seen = calloc(h->ring.g.blocks + 1, 1);
	struct sq_stat st;

	if (!seen)
		crew_die("out of memory");
	for (uint64_t i = 0; i <= h->ring.mask; i++) {
		const struct sqi_cell *c = sqi_cell(&h->ring, i);
		uint64_t w = sqi_load_seq(&c->word);
		enum sqi_state state = sqi_word_state(w);
		struct sqi_ref ref;

		if (state == SQI_FREE || state == SQI_SEALED)
			continue;
		if (state != SQI_FULL && state != SQI_BACK)
			crew_die("%s: nobody moves, and cell %" PRIu64 " is in state %d, owner %u",
				name, i, (int)state, sqi_word_owner(w));
		if (!(sqi_load_relaxed(&c->meta) & SQI_META_BLOCK))
			continue;
		if (!sqi_message_block(&h->ring, i, &ref))
			crew_die("%s: the message in cell %" PRIu64 " has no block", name, i);
		if (seen[ref.index]++)
			crew_die("%s: two messages have block %" PRIu64, name, ref.index);
	}
	for (uint64_t i = 0; i < h->ring.g.blocks; i++)
		if ((sqi_load_seq(&sqi_block(&h->ring, i)->word) & 1) != seen[i])
			crew_die("%s: block %" PRIu64 " is %s", name, i,
				seen[i] ? "a message's and free" : "lost: in use by nobody");
	free(seen);
	if (sq_stat(h, &st) < 0 || st.participants != handles || st.leased || st.damaged)
		crew_die("%s: %u participants, %" PRIu64 " leased, %" PRIu64 " damaged", name,
			st.participants, st.leased, st.damaged);
}

/* To have buried a letter, we have opened its grave. */
static void check_all_still(struct sq *const h[SOAK_ALL_QUEUES])
{
	for (unsigned q = 0; q < SOAK_ALL_QUEUES; q++) {
		bool grave = q == SOAK_DEAD && h[SOAK_TIMED]->dead_letters;

		check_still(h[q], soak_names[q], grave ? 2 : 1);
	}
}

/* One message off; 0: there is none. */
static int take_one(struct soak *s, struct sq *h, bool dead)
{
	static unsigned char buf[SOAK_SIZE_MAX];
	ssize_t len = sq_get(h, buf, sizeof(buf), SQ_NOWAIT);
	struct soak_value *v;

	if (len == -EAGAIN || len == -EPIPE)
		return 0;
	if (len < 0)
		crew_die("a get at the end: %s", sq_strerror((int)len));
	v = soak_value(s, crew_read(buf, (size_t)len));
	if (dead) {
		v->buried++;
	} else {
		v->done++;
		v->settled++;
	}
	return 1;
}

/*
 * Until nothing is left. Letters that die on the way come to the dead, and wait where they are if
 * there is no room: so all queues by turns. How many messages.
 */
static uint64_t drain(struct soak *s, struct sq *const h[SOAK_ALL_QUEUES])
{
	int64_t until = now_ns() + DRAIN_NS;
	uint64_t n = 0;

	for (;;) {
		uint64_t left = 0;

		for (unsigned q = 0; q < SOAK_ALL_QUEUES; q++) {
			struct sq_stat st;

			while (take_one(s, h[q], q == SOAK_DEAD))
				n++;
			if (sq_recover(h[q]) < 0 || sq_stat(h[q], &st) < 0)
				crew_die("sq_recover or sq_stat failed");
			left += st.depth + st.leased;
		}
		if (left == 0)
			return n;
		if (now_ns() > until)
			crew_die("%" PRIu64 " messages cannot be got, and nobody holds them", left);
		sleep_ns(CREW_MS);
	}
}

static void check_value(const struct soak_value *v, enum soak_queue q, unsigned i, uint64_t n,
	struct soak_result *ret)
{
	const char *name = soak_names[q];

	if (v->settled > 1)
		crew_die("%s %u:%" PRIu64 " was settled %u times", name, i, n, v->settled);
	if (v->settled && v->buried)
		crew_die("%s %u:%" PRIu64 " was settled, and buried", name, i, n);
	if (v->buried && q != SOAK_TIMED)
		crew_die("%s %u:%" PRIu64 " was buried", name, i, n);
	if (v->first > 1)
		crew_die("%s %u:%" PRIu64 " was delivered %u times with attempts 1", name, i, n,
			v->first);
	if (v->done > 1u + v->died_in_hand + v->redo)
		crew_die("%s %u:%" PRIu64 " was done %u times; it was in the hand of %u who died, "
			 "and %u leases had ended",
			name, i, n, v->done, v->died_in_hand, v->redo);
	if (v->done == 0 && v->buried == 0 && !v->perhaps && !v->taken_along)
		crew_die("%s %u:%" PRIu64 " is lost, and nobody died with it", name, i, n);
	ret->lost += v->done == 0 && v->buried == 0 && v->taken_along;
	ret->twice += v->done > 1;
	ret->buried += v->buried;
	ret->taken_along += q == SOAK_TIMED ? v->taken_along : 0;
}

/* The values of one queue against what it counted itself. */
static void check_queue(struct soak *s, struct sq *h, enum soak_queue q, struct soak_result *ret)
{
	const struct sq_stat *before = &books.before[q];
	uint64_t put = 0, late = 0, again = 0, may;
	struct sq_stat st;

	if (sq_stat(h, &st) < 0)
		crew_die("sq_stat failed");
	for (unsigned i = 0; i < SOAK_IDENTITIES; i++) {
		struct soak_line *line = &s->line[q][i];
		uint64_t n = line->put - line->base;

		for (uint64_t k = 0; k < n; k++) {
			const struct soak_value *v = &s->value[q][i][k];

			check_value(v, q, i, line->base + k, ret);
			put += v->done || v->buried || v->taken_along || !v->perhaps;
			late += v->late && !v->died_in_hand && !v->given_back && !v->stale;
			again += v->buried > 1 ? v->buried - 1u : 0;
		}
		if (s->value[q][i][n].done || s->value[q][i][n].buried)
			crew_die("%s %u:%" PRIu64 " arrived and was never put", soak_names[q], i,
				line->put);
	}
	if (st.put - before->put != put)
		crew_die("%s: sq_stat() says that %" PRIu64 " were put; it was %" PRIu64,
			soak_names[q], st.put - before->put, put);
	may = books.unseen[q] + st.overdue - before->overdue;
	if (late > may)
		crew_die("%s: %" PRIu64 " messages came again or late without a reason; %" PRIu64
			 " may",
			soak_names[q], late, may);
	if (again > may)
		crew_die("%s: %" PRIu64 " letters died twice; %" PRIu64 " may", soak_names[q],
			again, may);
	ret->put += put;
	ret->redelivered += st.redelivered - before->redelivered;
	ret->overdue += st.overdue - before->overdue;
	ret->reclaimed += st.reclaimed - before->reclaimed;
	ret->revoked += st.revoked - before->revoked;
}

/*
 * The durable count says which puts under a key went in, whichever process died at whichever point.
 */
static void read_journal(struct soak *s, struct sq *h, enum soak_queue q)
{
	for (unsigned i = 0; i < SOAK_IDENTITIES; i += 2) {
		struct soak_line *line = &s->line[q][i];
		uint64_t n;
		int r = sq_count_read(h, i + 1, &n);

		if (r == -ENOENT)
			n = 0;
		else if (r < 0)
			crew_die("sq_count_read: %s", sq_strerror(r));
		if (n < line->put || n > line->put + line->in_flight)
			crew_die("%s: the durable count of %u says %" PRIu64 ", but %" PRIu64
				 " puts had returned and %" PRIu64 " were under way",
				soak_names[q], i, n, line->put, line->in_flight);
		line->put = n;
		line->in_flight = 0;
	}
}

/* Those that died, and what came of them in the other queue. */
static void check_dead(struct sq *const h[SOAK_ALL_QUEUES], const struct soak_result *ret)
{
	struct sq_stat dead, timed;
	uint64_t put, said, may;

	if (sq_stat(h[SOAK_DEAD], &dead) < 0 || sq_stat(h[SOAK_TIMED], &timed) < 0)
		crew_die("sq_stat failed");
	put = dead.put - books.before[SOAK_DEAD].put;
	said = timed.dead_letters - books.before[SOAK_TIMED].dead_letters;
	may = books.unseen[SOAK_TIMED] + timed.overdue - books.before[SOAK_TIMED].overdue;
	if (put < ret->buried || put > ret->buried + ret->taken_along)
		crew_die("%" PRIu64 " dead letters were put, %" PRIu64 " came, %" PRIu64
			 " were in the hands of killed ones",
			put, ret->buried, ret->taken_along);
	if (put < said || put > said + may)
		crew_die("%" PRIu64 " dead letters were put, and %" PRIu64 " counted; %" PRIu64
			 " more may be",
			put, said, may);
}

void soak_close_books(struct soak *s, struct sq *const h[SOAK_ALL_QUEUES], bool brief_is_shut,
	struct soak_result *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned q = 0; q < SOAK_ALL_QUEUES; q++)
		if (sq_recover(h[q]) < 0)
			crew_die("sq_recover failed");
	check_all_still(h);
	for (unsigned q = 0; q < SOAK_QUEUES; q++)
		read_journal(s, h[q], q);
	ret->left = drain(s, h);
	check_all_still(h);
	for (unsigned q = 0; q < SOAK_QUEUES; q++)
		check_queue(s, h[q], q, ret);
	check_dead(h, ret);
	for (unsigned q = 0; q < SOAK_ALL_QUEUES; q++)
		if (q != SOAK_BRIEF || !brief_is_shut)
			crew_check_rest(h[q], ~(uint64_t)0);
}
