/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "now.h"
#include "ops/handle.h"
#include "ring/group.h"
#include "ring/message.h"
#include "rng.h"
#include "soak.h"

/*
 * The watcher: maps the segments read-only, is no participant, and looks at every word again and
 * again while others work and die. What must hold at any instant is asked of one look; what must
 * hold over time, of two looks at the same word. It knows the rules from word.h, layout.h and
 * docs/MEMORY_MODEL.md, and shares no code with the engine but for the accessors.
 */

#define STUCK_NS      (3 * (int64_t)CREW_SECOND) /* what the dead held is free by then */
#define HELD_NS       (CREW_SECOND / 10)         /* longer than most hold a cell */
#define STUCK_OPENS   12                         /* and that often somebody has opened */
#define LATE_NS       (CREW_SECOND / 2)          /* between two looks: then we know nothing */
#define PAUSE_NS_MAX  (2 * CREW_MS)
#define BURST         64 /* looks without a pause, now and then */
#define UNIQUE_EVERY  64 /* passes: it takes a square of time */
#define BLOCK_HELD    1
#define SLOT_COUNTERS 5

struct seen {
	uint64_t word;
	int64_t since;   /* when it was first seen */
	int64_t dead_ns; /* when its owner was first seen to be dead; 0: not yet */
	uint64_t opens;  /* how often somebody had opened by then */
};

struct look {
	const char *name;
	struct sq h; /* no participant: for the accessors */
	struct seen *cell;
	uint64_t *block, *slot, *counts;
	uint64_t totals[7], tail, head;
	uint32_t events[3];
	uint64_t words, changes;
	const _Atomic uint64_t *opens;
};

static uint64_t eye_dice;

static void *array(uint64_t n, size_t size)
{
	void *p = calloc(n + 1, size);

	if (!p)
		crew_die("out of memory");
	return p;
}

static void look_open(struct look *l, const char *name)
{
	_Alignas(struct sqi_head) char head[sizeof(struct sqi_head)];
	char path[256];
	struct stat st;
	void *base;

	(void)snprintf(path, sizeof(path), "/dev/shm/sq.%s.%s", getenv("SQ_PREFIX"), name);
	memset(l, 0, sizeof(*l));
	l->name = name;
	l->h.file.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (l->h.file.fd < 0 || fstat(l->h.file.fd, &st) < 0 ||
		pread(l->h.file.fd, head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
		sqi_head_check(&l->h.ring.g, head, (uint64_t)st.st_size))
		crew_die("%s cannot be looked at", path);
	base = mmap(NULL, l->h.ring.g.total, PROT_READ, MAP_SHARED, l->h.file.fd, 0);
	if (base == MAP_FAILED)
		crew_die("mmap: %s", strerror(errno));
	l->h.ring.base = base;
	sqi_ring_init(&l->h.ring);
	l->h.file.dev = st.st_dev;
	l->h.file.ino = st.st_ino;
	l->h.member.ring = &l->h.ring;
	l->h.member.file = &l->h.file;
	l->h.member.id = ~(uint64_t)0;
	l->cell = array(l->h.ring.g.capacity, sizeof(*l->cell));
	l->block = array(l->h.ring.g.blocks, sizeof(*l->block));
	l->slot = array(l->h.ring.g.in.participants * SLOT_COUNTERS, sizeof(*l->slot));
	l->counts = array(l->h.ring.g.in.participants * 2, sizeof(*l->counts));
}

static void look_close(struct look *l)
{
	(void)munmap(l->h.ring.base, l->h.ring.g.total);
	(void)close(l->h.file.fd);
	free(l->cell);
	free(l->block);
	free(l->slot);
	free(l->counts);
}

static void cell_is_wrong(
	const struct look *l, uint64_t i, uint64_t before, uint64_t w, const char *why)
{
	crew_die("%s: cell %" PRIu64 " %s: turn %" PRIu64
		 ", attempts %u, owner %u, state %d, and before turn %" PRIu64
		 ", attempts %u, owner %u, state %d",
		l->name, i, why, sqi_word_turn(w), sqi_word_number(w), sqi_word_owner(w),
		(int)sqi_word_state(w), sqi_word_turn(before), sqi_word_number(before),
		sqi_word_owner(before), (int)sqi_word_state(before));
}

static bool has_owner(enum sqi_state state)
{
	return state == SQI_WRITING || state == SQI_VOID || state == SQI_TAKEN ||
	       state == SQI_RELEASING || state == SQI_REMOVING;
}

/* The number of these is the span of a group: none of a cell alone. */
static bool is_span(unsigned number)
{
	return number == 0 || (number <= SQI_GROUP_MAX && number % 2 == 0);
}

/* A word that could never be written. */
static const char *wrong_alone(const struct look *l, uint64_t w)
{
	enum sqi_state state = sqi_word_state(w);
	unsigned owner = sqi_word_owner(w), attempts = sqi_word_number(w);

	if (state > SQI_REMOVING)
		return "has no state";
	if (has_owner(state) ? owner == 0 || owner > l->h.ring.g.in.participants : owner != 0)
		return "has an owner it should not have, or none";
	if ((state == SQI_TAKEN || state == SQI_BACK) && attempts == 0)
		return "is leased, and was never";
	if ((state == SQI_FREE || state == SQI_FULL || state == SQI_SEALED) && attempts != 0)
		return "counts attempts without a lease";
	if ((state == SQI_WRITING || state == SQI_VOID || state == SQI_REMOVING) &&
		!is_span(attempts))
		return "is the head of a group that cannot be";
	return NULL;
}

/* Within one turn this only goes up, and where it is the same the whole word is. */
static unsigned rank(uint64_t w)
{
	switch (sqi_word_state(w)) {
	case SQI_VOID:
		return 0;
	case SQI_TAKEN:
		return 2 * sqi_word_number(w);
	case SQI_BACK:
		return 2 * sqi_word_number(w) + 1;
	case SQI_RELEASING:
	case SQI_REMOVING:
		return 601;
	case SQI_FREE:
		return 602;
	case SQI_WRITING:
		return 603;
	default:
		return 604; /* FULL, SEALED */
	}
}

/* Could this word have come after that one? */
static const char *wrong_after(uint64_t before, uint64_t w)
{
	if (sqi_word_ahead(w, sqi_word_turn(before)) < 0)
		return "has gone back a turn";
	if (sqi_word_ahead(w, sqi_word_turn(before)) > 0)
		return NULL;
	if (rank(w) < rank(before))
		return "has gone back within its turn";
	if (rank(w) == rank(before) && w != before)
		return "has changed hands without a step";
	if (sqi_word_state(before) == SQI_VOID && sqi_word_state(w) != SQI_VOID && rank(w) < 602)
		return "has a message, and was void";
	return NULL;
}

/* A message that lies in the queue has its block. */
static const char *wrong_block(const struct look *l, uint64_t pos, uint64_t w)
{
	enum sqi_state state = sqi_word_state(w);
	const struct sqi_cell *c = sqi_cell(&l->h.ring, pos);
	struct sqi_ref ref;
	bool valid;

	if (state != SQI_FULL && state != SQI_TAKEN && state != SQI_BACK)
		return NULL;
	if (!(sqi_load_acquire(&c->meta) & SQI_META_BLOCK))
		return NULL;
	valid = sqi_message_block(&l->h.ring, pos, &ref);
	return !valid && sqi_load_seq(&c->word) == w ? "has a message whose block is not in use"
						     : NULL;
}

/*
 * Slots are given back last: an owner that a word names has a slot. And what the dead held is given
 * back soon, for there is always a participant that sleeps or opens; how soon depends on the
 * machine.
 */
static const char *wrong_owner(
	const struct look *l, const struct sqi_cell *c, struct seen *seen, int64_t now)
{
	uint64_t w = seen->word, id;

	if (!has_owner(sqi_word_state(w)))
		return NULL;
	id = sqi_load_seq(&sqi_slot(&l->h.ring, sqi_word_owner(w) - 1)->id);
	if (id == 0)
		return sqi_load_seq(&c->word) == w ? "is somebody's who has no slot" : NULL;
	/* It costs a system call: not of what is soon over. */
	if (now - seen->since < HELD_NS || (!seen->dead_ns && !sqi_is_dead(&l->h.member, id)))
		return NULL;
	if (!seen->dead_ns) {
		seen->dead_ns = now;
		seen->opens = *l->opens;
		return NULL;
	}
	if (now - seen->dead_ns > STUCK_NS && *l->opens - seen->opens >= STUCK_OPENS &&
		sqi_is_dead(&l->h.member, id) && sqi_load_seq(&c->word) == w)
		return "is the dead's for more than 3 s, in which others opened";
	return NULL;
}

static void look_at_cells(struct look *l, int64_t now)
{
	for (uint64_t i = 0; i <= l->h.ring.mask; i++) {
		const struct sqi_cell *c = sqi_cell(&l->h.ring, i);
		struct seen *seen = &l->cell[i];
		uint64_t w = sqi_load_seq(&c->word);
		const char *why = wrong_alone(l, w);

		if (!why)
			why = wrong_after(seen->word, w);
		if (why)
			cell_is_wrong(l, i, seen->word, w, why);
		if (w != seen->word) {
			l->changes++;
			*seen = (struct seen){.word = w, .since = now};
		}
		why = wrong_block(l, i, w);
		if (!why)
			why = wrong_owner(l, c, seen, now);
		if (why)
			cell_is_wrong(l, i, seen->word, w, why);
	}
	l->words += l->h.ring.mask + 1;
}

/* Is this what the cell at this position still says, and for itself? */
static bool holds(const struct look *l, uint64_t pos, uint64_t w)
{
	return sqi_group_head(&l->h.ring, pos) == 0 &&
	       sqi_load_seq(&sqi_cell(&l->h.ring, pos)->word) == w;
}

/* Everything below a hint has been passed. */
static void look_at_hints(struct look *l)
{
	uint64_t tail = sqi_load_seq(&l->h.ring.head->tail),
		 head = sqi_load_seq(&l->h.ring.head->front);

	if ((int64_t)(tail - l->tail) < 0 || (int64_t)(head - l->head) < 0)
		crew_die("%s: a hint went down: tail %" PRIu64 " after %" PRIu64 ", head %" PRIu64
			 " after %" PRIu64,
			l->name, tail, l->tail, head, l->head);
	l->tail = tail;
	l->head = head;
	for (uint64_t i = 1; i <= l->h.ring.mask + 1; i++) {
		uint64_t w = sqi_load_seq(&sqi_cell(&l->h.ring, tail - i)->word);
		int64_t ahead = sqi_word_ahead(w, (tail - i) >> l->h.ring.shift);
		enum sqi_state state = sqi_word_state(w);

		if ((ahead < 0 || (ahead == 0 && state != SQI_FULL && state != SQI_WRITING)) &&
			holds(l, tail - i, w))
			crew_die("%s: the tail is said to be at %" PRIu64 ", and %" PRIu64
				 " was not claimed: turn %" PRIu64 ", state %d",
				l->name, tail, tail - i, sqi_word_turn(w), (int)state);
		w = sqi_load_seq(&sqi_cell(&l->h.ring, head - i)->word);
		if (sqi_word_ahead(w, (head - i) >> l->h.ring.shift) <= 0 && holds(l, head - i, w))
			crew_die("%s: the head is said to be at %" PRIu64 ", and %" PRIu64
				 " was not consumed: turn %" PRIu64 ", state %d",
				l->name, head, head - i, sqi_word_turn(w), (int)sqi_word_state(w));
	}
}

/* generation << 16 | owner << 4 | held: FREE and then HELD by one, and the next generation. */
static void look_at_blocks(struct look *l)
{
	for (uint64_t i = 0; i < l->h.ring.g.blocks; i++) {
		uint64_t w = sqi_load_seq(&sqi_block(&l->h.ring, i)->word), before = l->block[i];
		bool held = w & BLOCK_HELD;

		if (w >> 16 < before >> 16 ||
			(w >> 16 == before >> 16 && w != before && (before & BLOCK_HELD)))
			crew_die("%s: block %" PRIu64 " is %" PRIx64 ", and was %" PRIx64, l->name,
				i, w, before);
		if ((w & 0xe) || (held ? (w >> 4 & 0xfff) - 1 >= l->h.ring.g.in.participants
				       : (w & 0xffff) != 0))
			crew_die("%s: block %" PRIu64 " is %" PRIx64, l->name, i, w);
		l->changes += w != before;
		l->block[i] = w;
	}
	l->words += l->h.ring.g.blocks;
}

static void rises(
	const struct look *l, const char *what, uint64_t i, uint64_t *before, uint64_t now)
{
	if (now < *before)
		crew_die("%s: %s %" PRIu64 " went down from %" PRIu64 " to %" PRIu64, l->name, what,
			i, *before, now);
	*before = now;
}

static void look_at_totals(struct look *l)
{
	const struct sqi_head *head = l->h.ring.head;
	const sqi_u64 *const totals[] = {&head->next_id, &head->joins, &head->back_seq,
		&head->overdue, &head->reclaimed, &head->revoked, &head->dead_letters};
	const sqi_u32 *const events[] = {
		&head->message_event.word, &head->room_event.word, &head->block_event.word};

	for (unsigned i = 0; i < sizeof(totals) / sizeof(totals[0]); i++)
		rises(l, "total", i, &l->totals[i], sqi_load_seq(totals[i]));
	for (unsigned i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		uint32_t now = sqi_load_seq32(events[i]) >> 1;

		/* 31 bits that go round. */
		if (((now - l->events[i]) & 0x7fffffff) > 0x40000000)
			crew_die("%s: event %u went down from %u to %u", l->name, i, l->events[i],
				now);
		l->events[i] = now;
	}
	if (sqi_load_seq(&head->damaged))
		crew_die("%s: somebody found damage", l->name);
}

static void look_at_slots(struct look *l)
{
	for (unsigned i = 0; i < l->h.ring.g.in.participants; i++) {
		const struct sqi_slot *slot = sqi_slot(&l->h.ring, i);
		const sqi_u64 *const counters[SLOT_COUNTERS] = {
			&slot->puts, &slot->gots, &slot->acks, &slot->nacks, &slot->redelivered};
		uint64_t id = sqi_load_seq(&slot->id), base;

		if (id > sqi_load_seq(&l->h.ring.head->next_id))
			crew_die("%s: slot %u has id %" PRIu64 ", which was never given", l->name,
				i, id);
		base = sqi_load_seq(&slot->intent_base);
		if (base != ~(uint64_t)0 && base > sqi_load_seq(&slot->puts))
			crew_die("%s: slot %u intends put %" PRIu64 " after %" PRIu64, l->name, i,
				base, (uint64_t)sqi_load_seq(&slot->puts));
		for (unsigned n = 0; n < SLOT_COUNTERS; n++)
			rises(l, "counter", i * 10 + n, &l->slot[i * SLOT_COUNTERS + n],
				sqi_load_seq(counters[n]));
	}
	for (unsigned i = 0; i < l->h.ring.g.in.participants; i++) {
		const struct sqi_count_entry *e = sqi_count_entry(&l->h.ring, i);
		uint64_t key = sqi_load_seq(&e->key);

		if (l->counts[2 * i] && key != l->counts[2 * i])
			crew_die("%s: count %u has another key", l->name, i);
		l->counts[2 * i] = key;
		rises(l, "count", i, &l->counts[2 * i + 1], sqi_load_seq(&e->count));
	}
	l->words += l->h.ring.g.in.participants * (SLOT_COUNTERS + 4);
}

/* An id takes one slot, and none again. */
static void look_for_twins(const struct look *l)
{
	for (unsigned i = 0; i < l->h.ring.g.in.participants; i++) {
		uint64_t id = sqi_load_seq(&sqi_slot(&l->h.ring, i)->id);

		for (unsigned k = i + 1; id && k < l->h.ring.g.in.participants; k++)
			if (sqi_load_seq(&sqi_slot(&l->h.ring, k)->id) == id)
				crew_die("%s: id %" PRIu64 " has slots %u and %u", l->name, id, i,
					k);
	}
}

static void look_once(struct look *l, uint64_t pass, int64_t now)
{
	look_at_cells(l, now);
	look_at_hints(l);
	look_at_blocks(l);
	look_at_totals(l);
	look_at_slots(l);
	if (pass % UNIQUE_EVERY == 0)
		look_for_twins(l);
}

void soak_look(struct soak *s, const enum soak_queue *queues, unsigned n, const _Atomic bool *on)
{
	struct look look[SOAK_ALL_QUEUES];
	int64_t now = now_ns();
	uint64_t pass = 0, left = 0;

	eye_dice = rng_mix(s->seed);
	for (unsigned i = 0; i < n; i++) {
		look_open(&look[i], soak_names[queues[i]]);
		look[i].opens = &s->opens;
	}
	for (; *on; pass++) {
		int64_t last = now;

		now = now_ns();
		for (unsigned i = 0; i < n; i++) {
			/* We were away: how long a word has been as it is we cannot tell. */
			for (uint64_t k = 0; now - last > LATE_NS && k <= look[i].h.ring.mask; k++)
				look[i].cell[k] = (struct seen){
					.word = look[i].cell[k].word, .since = now};
			look_once(&look[i], pass, now);
		}
		s->passes++;
		if (left > 0) {
			left--;
			continue;
		}
		left = rng_next(&eye_dice) >> 60 ? 0 : BURST;
		sleep_ns((int64_t)(rng_next(&eye_dice) >> 1) % PAUSE_NS_MAX);
	}
	for (unsigned i = 0; i < n; i++) {
		s->words += look[i].words;
		s->changes += look[i].changes;
		look_close(&look[i]);
	}
}
