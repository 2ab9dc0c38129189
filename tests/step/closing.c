/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>

#include "crew.h"
#include "step.h"

/* The contract for a queue that is shut down, or is being so: what is in it is drained, or stays. */

/* Puts are refused at once, gets drain at once. */
static void others(struct scene *s, uint64_t closed)
{
	unsigned char buf[256];
	struct sq_lease lease;
	int r = sq_put(s->o, buf, crew_write(buf, s->next, SMALL), SQ_NOWAIT);

	if (r != -EPIPE)
		crew_die("a put after the shutdown says %d", r);
	if (closed == 1)
		scene_drain(s, s->o);
	r = sq_lease(s->o, &lease, SQ_NOWAIT);
	/* -EAGAIN: a lease of somebody may come back. */
	if (r != -EPIPE && (closed == 2 || r != -EAGAIN))
		crew_die("a lease after the drain says %d", r);
}

/* All cells free, or sealed; all blocks free. */
static void rest(struct scene *s, uint64_t closed)
{
	struct sq_stat st;
	struct sq_lease lease;
	unsigned left = 0;
	int r;

	(void)sq_stat(s->o, &st);
	for (unsigned i = 0; i < s->op->first; i++)
		left += !s->times[FIRST + i];
	for (uint64_t v = OTHER; v < s->next; v++)
		left += !s->times[v];
	if (st.put != s->put)
		crew_die("sq_stat() says that %" PRIu64 " were put; it was %" PRIu64, st.put,
			s->put);
	if (closed == 2) {
		if (st.depth != left || st.leased)
			crew_die("%u messages were left, and there are %" PRIu64, left, st.depth);
		return;
	}
	for (uint64_t i = 0; i < CAPACITY; i++) {
		enum sqi_state state = sqi_word_state(
			sqi_load_seq(&sqi_cell(&s->o->ring, i)->word));

		if (state != SQI_FREE && state != SQI_SEALED)
			crew_die("cell %" PRIu64 " is neither free nor sealed", i);
	}
	if (st.blocks_free != st.blocks)
		crew_die("%" PRIu64 " blocks are lost", st.blocks - st.blocks_free);
	r = sq_lease(s->o, &lease, SQ_NOWAIT);
	if (r != -EPIPE)
		crew_die("drained, and a lease says %d", r);
	for (unsigned i = 0; i < s->op->first; i++)
		if (s->times[FIRST + i] != 1 && (i >= s->op->takes || s->mode == STOP))
			crew_die("message %u was lost", FIRST + i);
}

void check_closing(struct scene *s, int pid)
{
	uint64_t closed = sqi_load_seq(&s->o->ring.head->closed);

	if (!closed) {
		/* Not yet: the others go on as ever, and then it is shut down by the child or them. */
		check_others(s);
	} else {
		scene_put_off(s->o);
		others(s, closed);
	}
	step_end_child(s, pid);
	if (s->mode != STOP)
		check_recovery(s);
	else if (s->op->shuts && !sqi_load_seq(&s->o->ring.head->closed))
		crew_die("it returned, and the queue is open");
	if (!closed) {
		int r = sq_shutdown(s->o, s->op->timeout == 2);

		if (r < 0)
			crew_die("sq_shutdown: %s", sq_strerror(r));
	}
	closed = sqi_load_seq(&s->o->ring.head->closed);
	for (uint64_t i = 0; i < s->report->takes; i++)
		if (++s->times[s->report->taken[i]] > 1)
			crew_die("message %" PRIu64 " was delivered twice", s->report->taken[i]);
	if (s->op->settle)
		s->op->settle(s);
	others(s, closed);
	rest(s, closed);
	check_idle(s);
}
