/* SPDX-License-Identifier: ISC */
#include <errno.h>

#include "member/recovery.h"
#include "world.h"

/*
 * The end of a run: all leave, the dead are reclaimed, what is left is taken, and each of these is
 * a call that the specification must explain. Then the memory: all of it free again, the counts
 * right, and the ring turns.
 */

#define FLOW_VALUE 13 /* to 15: the auditor's, while some are stopped */

static bool closed(void)
{
	return sqi_load_seq(&world.handle[0][AUDITOR].ring.head->closed) != 0;
}

/* Are there durable participants, whose leases may outlive them? */
static bool uses_keys(void)
{
	bool uses = false;

	for (unsigned i = 0; i < explorer.count; i++) {
		uses |= world.scenario->durable[i] != 0;
		for (unsigned k = 0; k < CALLS_MAX; k++)
			uses |= world.scenario->ops[i][k].kind == OP_OPEN;
	}
	return uses;
}

static struct sq *auditor(void)
{
	return &world.handle[0][AUDITOR];
}

static void call(enum op_kind kind, unsigned value)
{
	world_call(AUDITOR, &(struct op){.kind = kind, .value = value});
}

/* All have left or are dead and recovered: nothing is half done. */
static void check_hands(void)
{
	for (uint64_t i = 0; i <= auditor()->ring.mask; i++)
		switch (sqi_word_state(sqi_load_seq(&sqi_cell(&auditor()->ring, i)->word))) {
		case SQI_WRITING:
		case SQI_VOID:
		case SQI_RELEASING:
		case SQI_REMOVING:
			explore_fail("the dead still have a cell in their hands");
			break;
		default:
			break;
		}
}

/* All have been dead for longer than their graces, and somebody has looked: nothing is kept. */
static void outlast(void)
{
	call(OP_ELAPSE, 0);
	call(OP_RECOVER, 0);
	for (unsigned i = 0; i < auditor()->ring.g.in.participants; i++)
		if (sqi_load_seq(&sqi_slot(&auditor()->ring, i)->durable) != 0)
			explore_fail("a durable participant outlives its grace");
}

/* What durable participants left: their leases are told, and given up. */
static void succeed(void)
{
	for (unsigned key = 1; key < 3 && !explorer.failure; key++) {
		call(OP_CLOSE, 0);
		call(OP_OPEN, key);
		call(OP_HELD, 0);
		call(OP_RETIRE, 0);
	}
	call(OP_CLOSE, 0);
	call(OP_JOIN, 0);
}

/* All that can be taken. */
static void drain(void)
{
	uint64_t gots = sqi_load_relaxed(&auditor()->ring.slot->gots), now;

	for (;;) {
		call(OP_GET, 0);
		now = sqi_load_relaxed(&auditor()->ring.slot->gots);
		if (explorer.failure || now == gots)
			return;
		gots = now;
	}
}

/* Does it hold a lease of one who was killed, and whom nobody has recovered? Or of a key, perhaps. */
static bool outlives(uint64_t word)
{
	if (sqi_word_state(word) != SQI_TAKEN)
		return false;
	for (unsigned i = 0; i < explorer.count && !uses_keys(); i++)
		if (run.person[i].state != PERSON_KILLED &&
			world.handle[0][i].ring.owner == sqi_word_owner(word))
			return false;
	return true;
}

/*
 * Some are stopped, and the others have come to their ends. The ring turns round what those hold:
 * a stopped participant costs a cell, and so does each lease.
 */
void check_flow(void)
{
	unsigned costs = run.kills;

	if (closed() || explorer.failure)
		return;
	for (unsigned i = 0; i < explorer.count; i++) {
		costs += run.person[i].stopped;
		for (unsigned k = 0; k < LEASES_MAX; k++)
			costs += world.hand[i].lease[k].data != NULL;
	}
	for (uint64_t i = 0; i <= auditor()->ring.mask; i++)
		costs += outlives(sqi_load_seq(&sqi_cell(&auditor()->ring, i)->word));
	for (unsigned lap = 0; lap < 3 && !explorer.failure; lap++) {
		uint64_t puts = sqi_load_relaxed(&auditor()->ring.slot->puts);

		drain();
		if (world.scenario->capacity <= costs)
			return;
		call(OP_PUT, FLOW_VALUE + lap);
		if (sqi_load_relaxed(&auditor()->ring.slot->puts) == puts)
			explore_fail("a stopped participant keeps the others from putting");
	}
}

static void check_counts(void)
{
	struct sq_stat st;
	uint64_t count, puts = 0;

	for (unsigned i = 0; i < auditor()->ring.g.in.participants; i++)
		puts += sqi_load_relaxed(&sqi_slot(&auditor()->ring, i)->puts);
	spec_count(0, (unsigned)puts);
	for (unsigned key = 1; key < 4; key++)
		if (sq_count_read(auditor(), key, &count) == 0)
			spec_count(key, (unsigned)count);
	if (sq_stat(auditor(), &st) < 0 || st.put != puts)
		explore_fail("the state told of the queue is wrong");
	if (st.closed == SQ_SHUT)
		return; /* what was there stays there */
	if (st.depth != 0 || st.leased != 0 || st.back != 0 || st.took != puts || st.damaged != 0)
		explore_fail("the state told of the queue is wrong");
	/* A participant that was not killed has counted. */
	if (run.kills == 0 && st.got + st.acked + st.dead_letters != puts)
		explore_fail("the counts of gets and acks are wrong");
}

static void check_memory(void)
{
	const struct sq *h = auditor();
	uint64_t blocks = 0, now;

	for (uint64_t i = 0; i <= h->ring.mask; i++) {
		enum sqi_state state = sqi_word_state(sqi_load_seq(&sqi_cell(&h->ring, i)->word));

		if (state != SQI_FREE && state != SQI_SEALED &&
			sqi_load_seq(&h->ring.head->closed) < 2)
			explore_fail("a cell is not free at the end");
	}
	for (uint64_t i = 0; i < h->ring.g.blocks; i++)
		blocks += sqi_block_is_free(sqi_load_seq(&sqi_block(&h->ring, i)->word));
	now = sqi_load_seq(&h->ring.head->closed) == 2 ? blocks : h->ring.g.blocks;
	if (blocks != now)
		explore_fail("a block is not free at the end");
	for (unsigned i = 0; i < h->ring.g.in.participants; i++) {
		uint64_t id = sqi_load_seq(&sqi_slot(&h->ring, i)->id);

		if (id != 0 && id != h->member.id)
			explore_fail("a slot is not free at the end");
	}
}

/* The ring is as good as new: it takes all it should, in order. */
static void check_ring(void)
{
	unsigned char buf[BLOCK_LEN] = {0};
	uint64_t n = 0;

	for (unsigned lap = 0; lap < 4 && !closed(); lap++) {
		for (n = 0; n < world.scenario->capacity; n++) {
			buf[0] = (unsigned char)n;
			if (sq_put(auditor(), buf, 8, SQ_NOWAIT) < 0)
				break;
		}
		/* Redeliveries may have cost cells a lap, but never all of them. */
		if (n == 0)
			explore_fail("the ring does not turn");
		for (uint64_t k = 0; k < n; k++)
			if (sq_get(auditor(), buf, sizeof(buf), SQ_NOWAIT) != 8 || buf[0] != k)
				explore_fail("the ring lost its order");
	}
	if (n != world.scenario->capacity && !closed())
		explore_fail("the ring lost a cell");
}

/*
 * A message that was tried too often is among the dead letters; it may be there twice after a
 * death.
 */
static void check_dead_letters(void)
{
	struct sq *h = auditor()->dead_letters;
	unsigned char buf[BLOCK_LEN];

	if (!h)
		return;
	(void)sqi_recover_dead(&h->member);
	while (sq_get(h, buf, sizeof(buf), SQ_NOWAIT) > 0)
		spec_dead_letter(buf[0]);
	spec_dead_letter(0);
}

/* A participant that came to a queue whose removal was decided has put nothing into it. */
static void check_collected(void)
{
	uint64_t puts = 0;

	for (unsigned i = 0; i < explorer.count; i++)
		puts += world.hand[i].puts;
	if (sqi_load_seq(&auditor()->ring.head->removal) == SQI_REMOVAL_DONE && puts > 0)
		explore_fail("a message was put into a queue that nobody can open any more");
}

void check_end(void)
{
	check_collected();
	/*
	 * A participant that starved is still in a call, and leaves as the dead do; first, for when
	 * the others leave that may wake it.
	 */
	for (unsigned i = 0; i < explorer.count; i++)
		if (run.person[i].state == PERSON_STARVED)
			world_killed(i);
	for (unsigned i = 0; i < explorer.count; i++)
		if (world.hand[i].present)
			world_call(i, &(struct op){.kind = OP_CLOSE});
	call(OP_RECOVER, 0);
	call(OP_SWEEP, 0);
	check_hands();
	if (world.scenario->grace)
		outlast();
	if (uses_keys())
		succeed();
	drain();
	call(OP_SWEEP, 0); /* finds what the dead had kept */
	check_dead_letters();
	if (!explorer.failure) {
		check_counts();
		check_memory();
	}
	if (!explorer.failure)
		check_ring();
}
