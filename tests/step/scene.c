/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "child.h"
#include "crew.h"
#include "member/grace.h"
#include "member/upkeep.h"
#include "ring/claim.h"
#include "step.h"

/* A queue for one run of an operation, and what the others do with it. */

#define PUT_OFF_MS 50000 /* less than the engine believes at most */

char scene_grave[32];

const struct sq_config plain = {
	.capacity = CAPACITY, .max_message = 256, .participants = 6, .block_memory = 4096};
const struct sq_config narrow = {
	.capacity = CAPACITY, .max_message = 256, .participants = 2, .block_memory = 4096};
/* The ends of its leases are decided by the tests, not by the clock. */
const struct sq_config timed = {.capacity = CAPACITY,
	.max_message = 256,
	.participants = 6,
	.block_memory = 4096,
	.lease_time = (int64_t)600 * CREW_SECOND};
const struct sq_config buried = {.capacity = CAPACITY,
	.max_message = 256,
	.participants = 6,
	.block_memory = 4096,
	.max_attempts = 2,
	.dead_letter = scene_grave};

/* No call looks for the dead in passing: what is shown first is shown without recovery. */
void scene_put_off(struct sq *h)
{
	sqi_store_relaxed(&h->ring.head->upkeep_ms, sqi_upkeep_at(sqi_now_ms(), PUT_OFF_MS));
}

void scene_put(struct scene *s, struct sq *h, uint64_t value, size_t size)
{
	unsigned char buf[256];
	int r = sq_put(h, buf, crew_write(buf, value, size), SQ_NOWAIT);

	if (r < 0)
		crew_die("the others' put: %s", sq_strerror(r));
	s->put++;
}

/* If there is room. */
void scene_try_put(struct scene *s)
{
	unsigned char buf[256];
	int r = sq_put(s->o, buf, crew_write(buf, s->next, SMALL), SQ_NOWAIT);

	if (r < 0 && r != -EAGAIN)
		crew_die("the others' put: %s", sq_strerror(r));
	s->put += r == 0;
	s->next += r == 0;
}

void scene_note(struct scene *s, uint64_t value, unsigned attempts)
{
	if (value >= VALUES || s->listed == VALUES)
		crew_die("a message of value %" PRIu64 ", which nobody put", value);
	s->list[s->listed++] = (struct delivery){value, attempts, s->recovered};
	if (++s->times[value] > 1)
		crew_die("message %" PRIu64 " was delivered twice", value);
}

/* Take the next message for good. False: there is none. */
bool scene_take(struct scene *s, struct sq *h, bool lease)
{
	unsigned char buf[256];
	struct sq_lease l;
	ssize_t r;

	if (!lease) {
		r = sq_get(h, buf, sizeof(buf), SQ_NOWAIT);
		if (r >= 0)
			scene_note(s, crew_read(buf, (size_t)r), 0);
	} else {
		r = sq_lease(h, &l, SQ_NOWAIT);
		if (r == 0) {
			scene_note(s, crew_read(l.data, l.len), l.attempts);
			r = sq_ack(h, &l);
			if (r < 0)
				crew_die("the others' ack: %s", sq_strerror((int)r));
		}
	}
	if (r < 0 && r != -EAGAIN && !(r == -EPIPE && (s->op->flags & CLOSING)))
		crew_die("the others' %s: %s", lease ? "lease" : "get", sq_strerror((int)r));
	return r >= 0;
}

void scene_drain(struct scene *s, struct sq *h)
{
	while (scene_take(s, h, true))
		;
}

/* A cell in the state in which a put leaves it between claim and commit. Its position. */
uint64_t scene_claim(struct sq *h)
{
	uint64_t pos, w;

	if (sqi_claim(&h->ring, &pos, &w) < 0)
		crew_die("no free cell to claim");
	sqi_store_relaxed(sqi_intent(h->ring.slot, h->member.puts), pos);
	sqi_store_relaxed(&h->ring.slot->intent_base, h->member.puts);
	return pos;
}

/*
 * Slots that bear a dead id, but for durable participants of which all else was given back, and
 * which may come again.
 */
unsigned scene_dead(const struct scene *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->o->ring.g.in.participants; i++) {
		const struct sqi_slot *slot = sqi_slot(&s->o->ring, i);
		uint64_t id = sqi_load_seq(&slot->id);
		bool kept = sqi_is_kept(slot, id) && sqi_grace_left(slot) > 0;

		n += id != 0 && !kept && sqi_is_dead(&s->o->member, id);
	}
	return n;
}

/* Any cell in this state? */
bool scene_state(const struct scene *s, enum sqi_state state)
{
	for (uint64_t i = 0; i < CAPACITY; i++)
		if (sqi_word_state(sqi_load_seq(&sqi_cell(&s->o->ring, i)->word)) == state)
			return true;
	return false;
}

/* A process with a handle of its own, which runs life() and then is killed. */
void scene_corpse(struct scene *s, void (*life)(struct scene *, struct sq *))
{
	int status;
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		crew_die("fork: %s", strerror(errno));
	if (pid == 0) {
		child_of(parent);
		life(s, crew_open(s->name));
		(void)raise(SIGKILL);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
		crew_die("one who was to die did not");
}

void scene_init(struct scene *s, const struct op *op, enum mode mode, struct report *report,
	const char *name)
{
	memset(s, 0, sizeof(*s));
	memset(report, 0, sizeof(*report));
	s->heap = heap_mark();
	s->op = op;
	s->mode = mode;
	s->report = report;
	s->next = OTHER;
	(void)snprintf(s->name, sizeof(s->name), "%s", name);
	(void)snprintf(s->other, sizeof(s->other), "%s-made", name);
	(void)snprintf(scene_grave, sizeof(scene_grave), "%s-grave", name);
	if (op->config) {
		crew_queue(s->name, op->config);
		s->o = crew_open(s->name);
		for (unsigned i = 0; i < op->first && !(op->flags & SETS); i++)
			scene_put(s, s->o, FIRST + i, op->size);
		scene_put_off(s->o);
	}
	if (op->set)
		op->set(s);
}

void scene_end(struct scene *s)
{
	if (s->sleeper) {
		(void)kill(s->sleeper, SIGKILL);
		(void)waitpid(s->sleeper, NULL, 0);
	}
	if (s->g && sq_unlink(scene_grave) < 0)
		crew_die("the grave cannot be removed");
	sq_close(s->g);
	sq_close(s->n);
	sq_close(s->x);
	sq_close(s->o);
	s->g = s->n = s->x = s->o = NULL;
	if (s->op->config) {
		int r = sq_unlink(s->name);

		if (r < 0 && !(s->op->flags & UNLINKS))
			crew_die("the queue cannot be removed: %s", sq_strerror(r));
	}
	heap_release(s->heap);
}
