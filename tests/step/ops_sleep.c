/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "crew.h"
#include "now.h"
#include "step.h"

/*
 * A participant sleeps, and the one that is to wake it is interrupted: at any instruction, also
 * between the news and the call to wake. And a sleeper that is interrupted itself.
 */

#define SOON_NS   CREW_SECOND                 /* the tick of who keeps watch is 50 ms at most */
#define HANG_NS   (60 * (int64_t)CREW_SECOND) /* on whatever machine */
#define ASLEEP_NS HANG_NS

static struct report *bed; /* the sleeper's word comes through this */

static void sleep_in(struct scene *s, bool putting, pid_t parent)
{
	unsigned char buf[256];
	struct sq *h;
	ssize_t r;

	child_of(parent);
	h = crew_open(s->name);
	if (putting)
		r = sq_put(h, buf, crew_write(buf, s->next, SMALL), SQ_FOREVER);
	else
		r = sq_get(h, buf, sizeof(buf), SQ_FOREVER);
	bed->slept_value = putting || r < 0 ? s->next : crew_read(buf, (size_t)r);
	bed->slept_at_ns = now_ns();
	bed->slept = (uint64_t)(r < 0 ? -r : 0) + 1;
	sq_close(h);
	_exit(0);
}

/* Does it sleep in the kernel? */
static bool asleep(pid_t pid)
{
	char path[64], text[256], *at;
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	if (n < 0)
		return false;
	text[n] = '\0';
	at = strrchr(text, ')');
	return at && at[1] && at[2] == 'S';
}

static void put_to_bed(struct scene *s, bool putting)
{
	struct sqi_head *head = s->o->ring.head;
	sqi_u32 *event = putting ? &head->room_event.word : &head->message_event.word;
	int64_t until = now_ns() + ASLEEP_NS;
	pid_t parent = getpid();

	bed = s->report;
	/* The dead are looked for as ever. */
	sqi_store_relaxed(&s->o->ring.head->upkeep_ms, 0);
	sqi_store_relaxed(&s->o->ring.head->find_dead_ms, 0);
	s->sleeper = fork();
	if (s->sleeper < 0)
		crew_die("fork: %s", strerror(errno));
	if (s->sleeper == 0)
		sleep_in(s, putting, parent);
	while (!(sqi_load_seq32(event) & 1) || !asleep(s->sleeper)) {
		if (now_ns() > until)
			crew_die("nobody fell asleep");
		sleep_ns(CREW_MS / 50);
	}
}

static void bed_getter(struct scene *s)
{
	put_to_bed(s, false);
}

static void bed_putter(struct scene *s)
{
	put_to_bed(s, true);
}

/*
 * It must return, and say `result`. The moment it did is in *bed. That it is soon is asked of nearly
 * all of them together, at the end: one may have had to wait for a processor.
 */
static void await_sleeper(struct scene *s, int result, const char *why)
{
	int64_t from = now_ns();
	int status;

	while (!bed->slept) {
		if (now_ns() - from > HANG_NS)
			crew_die("the sleeper was not woken %s", why);
		sleep_ns(CREW_MS / 20);
	}
	s->awaited++;
	s->late += bed->slept_at_ns - from > SOON_NS;
	if (bed->slept != (uint64_t)-result + 1)
		crew_die("the sleeper says %s", sq_strerror(-(int)(bed->slept - 1)));
	if (waitpid(s->sleeper, &status, 0) != s->sleeper || status != 0)
		crew_die("the sleeper failed");
	s->sleeper = 0;
}

/*
 * A getter sleeps. If there is a message, committed or given back, the sleeper gets it soon, though
 * nobody else moves; else it sleeps on, until the others put one.
 */
static void verify_getter(struct scene *s, int pid)
{
	bool news = scene_state(s, SQI_FULL) || scene_state(s, SQI_BACK) || bed->slept,
	     leased = s->op->takes > 0; /* death gives it back, and that is news, too */
	uint64_t in = 0, value;
	struct sq_stat st;

	if (s->mode != KILL && leased && !news && !bed->slept) {
		/* A stopped holder keeps its lease. */
		scene_put(s, s->o, s->next++, SMALL);
		news = true;
	}
	if (!news && !leased)
		scene_put(s, s->o, s->next++, SMALL);
	/* Given back, but the participant that is to announce it is stopped: the sweep finds it. */
	if (scene_state(s, SQI_BACK))
		sqi_store_relaxed(&s->o->ring.head->announce_ms, 0);
	await_sleeper(s, 0,
		news     ? "for what was there"
		: leased ? "when the holder had died"
			 : "by a put");
	value = bed->slept_value;
	scene_note(s, value, 0);
	step_end_child(s, pid);
	(void)sq_recover(s->o);
	s->recovered = true;
	scene_drain(s, s->o);
	for (uint64_t i = 0; i < s->report->takes; i++)
		if (++s->times[s->report->taken[i]] > 1)
			crew_die("message %" PRIu64 " came twice", s->report->taken[i]);
	for (uint64_t v = OTHER; v < s->next; v++)
		if (s->times[v] != 1)
			crew_die("the others' message %" PRIu64 " was lost", v);
	for (unsigned i = 0; i < s->op->first; i++)
		if (s->times[FIRST + i] != 1)
			crew_die("message %u was lost", FIRST + i);
	for (unsigned i = 0; i < s->op->puts; i++)
		in += s->times[CHILD + i];
	(void)sq_stat(s->o, &st);
	if (st.put != s->put + in)
		crew_die("sq_stat() says that %" PRIu64 " were put; it was %" PRIu64, st.put,
			s->put + in);
	check_idle(s);
	crew_check_rest(s->o, s->put + in);
}

/* A putter sleeps, for the ring is full. If there is room, it puts soon. */
static void verify_putter(struct scene *s, int pid)
{
	bool news = scene_state(s, SQI_FREE) || bed->slept;
	uint64_t value = s->next++;
	unsigned gone = 0;

	if (!news)
		(void)scene_take(s, s->o, true);
	await_sleeper(s, 0, news ? "though there was room" : "by a get");
	if (bed->slept_value != value)
		crew_die("the sleeper put something else");
	s->put++;
	step_end_child(s, pid);
	(void)sq_recover(s->o);
	s->recovered = true;
	scene_drain(s, s->o);
	for (uint64_t i = 0; i < s->report->takes; i++)
		if (++s->times[s->report->taken[i]] > 1)
			crew_die("message %" PRIu64 " came twice", s->report->taken[i]);
	if (s->times[value] != 1)
		crew_die("the sleeper's message was lost");
	for (unsigned i = 0; i < s->op->first; i++)
		gone += !s->times[FIRST + i];
	if (gone > s->op->takes || (gone && s->mode == STOP))
		crew_die("%u messages were lost", gone);
	check_idle(s);
	crew_check_rest(s->o, s->put);
}

/*
 * Shut down, or not yet. A sleeper hears of it soon, though the process that did it has not come to
 * the call to wake; else it sleeps on, until a message comes.
 */
static void verify_shut(struct scene *s, int pid)
{
	bool shut = sqi_load_seq(&s->o->ring.head->closed) != 0, putting = s->op->first > 0;
	uint64_t value = s->next;
	struct sq_stat st;

	if (shut) {
		await_sleeper(s, -EPIPE, "by the shutdown");
	} else if (putting) {
		s->next++;
		(void)scene_take(s, s->o, true);
		await_sleeper(s, 0, "by a get");
		s->put++;
	} else {
		scene_put(s, s->o, s->next++, SMALL);
		await_sleeper(s, 0, "by a put");
		scene_note(s, value, 0);
	}
	step_end_child(s, pid);
	if (s->mode == STOP && !sqi_load_seq(&s->o->ring.head->closed))
		crew_die("it returned, and the queue is open");
	(void)sq_recover(s->o);
	scene_drain(s, s->o);
	if (s->times[value] != !shut)
		crew_die("message %" PRIu64 " came %u times", value, s->times[value]);
	for (unsigned i = 0; i < s->op->first; i++)
		if (s->times[FIRST + i] != 1)
			crew_die("message %u was lost", FIRST + i);
	(void)sq_stat(s->o, &st);
	if (st.put != s->put || st.depth || st.leased)
		crew_die("%" PRIu64 " were put, it was %" PRIu64 "; %" PRIu64 " are left", st.put,
			s->put, st.depth + st.leased);
	if (st.blocks_free != st.blocks)
		crew_die("%" PRIu64 " blocks are lost", st.blocks - st.blocks_free);
	check_idle(s);
	if (!sqi_load_seq(&s->o->ring.head->closed))
		crew_check_rest(s->o, s->put);
}

/* Was somebody woken, or was to be? */
static unsigned stage_getters_woken(struct scene *s)
{
	return sqi_load_seq32(&s->o->ring.head->message_event.word) > 1;
}

static unsigned stage_putters_woken(struct scene *s)
{
	return sqi_load_seq32(&s->o->ring.head->room_event.word) > 1;
}

static int64_t run_shutdown(struct me *m)
{
	return sq_shutdown(m->h, false);
}

static int64_t run_put(struct me *m)
{
	return sq_put(m->h, m->buf[0], m->len, SQ_NOWAIT);
}

static int64_t run_get(struct me *m)
{
	return sq_get(m->h, m->buf[0], sizeof(m->buf[0]), m->op->timeout);
}

static void finish_get(struct me *m)
{
	if (m->report->result >= 0)
		me_take(m, m->buf[0], (size_t)m->report->result);
}

static void lease(struct me *m)
{
	if (sq_lease(m->h, &m->lease[0], SQ_NOWAIT) < 0)
		crew_die("nothing to lease");
}

static int64_t run_nack(struct me *m)
{
	return sq_nack(m->h, &m->lease[0]);
}

static int64_t run_ack(struct me *m)
{
	return sq_ack(m->h, &m->lease[0]);
}

static int64_t run_close(struct me *m)
{
	struct sq *h = m->h;

	m->h = NULL;
	sq_close(h);
	return 0;
}

static void copy_lease(struct me *m)
{
	lease(m);
	m->len = m->lease[0].len;
	memcpy(m->buf[0], m->lease[0].data, m->len);
}

static void note(struct me *m)
{
	if (m->report->result == 0)
		me_take(m, m->buf[0], m->len);
}

static int64_t run_put_for_ever(struct me *m)
{
	return sq_put(m->h, m->buf[0], m->len, SQ_FOREVER);
}

static int64_t run_lease(struct me *m)
{
	return sq_lease(m->h, &m->lease[0], m->op->timeout);
}

static void finish_lease(struct me *m)
{
	me_take(m, m->lease[0].data, m->lease[0].len);
	m->report->finish = sq_ack(m->h, &m->lease[0]);
}

const struct op ops_sleep[] = {
	{.name = "put, a getter sleeps",
		.flags = CLOCKED,
		.size = SMALL,
		.puts = 1,
		.start = bed_getter,
		.run = run_put,
		.stage = stage_getters_woken,
		.wakes = true,
		.verify = verify_getter,
		.nresults = 1,
		.config = &plain},
	{.name = "put block, a getter sleeps",
		.flags = CLOCKED,
		.size = BLOCK,
		.puts = 1,
		.start = bed_getter,
		.run = run_put,
		.stage = stage_getters_woken,
		.wakes = true,
		.verify = verify_getter,
		.nresults = 1,
		.config = &plain},
	{.name = "nack, a getter sleeps",
		.flags = CLOCKED,
		.size = BLOCK,
		.first = 1,
		.takes = 1,
		.prepare = lease,
		.start = bed_getter,
		.run = run_nack,
		.stage = stage_getters_woken,
		.wakes = true,
		.verify = verify_getter,
		.nresults = 1,
		.config = &plain},
	{.name = "close with lease, a getter sleeps",
		.flags = LEAVES | CLOCKED,
		.size = SMALL,
		.first = 1,
		.takes = 1,
		.prepare = lease,
		.start = bed_getter,
		.run = run_close,
		.stage = stage_getters_woken,
		.wakes = true,
		.verify = verify_getter,
		.nresults = 1,
		.config = &plain},
	{.name = "get, a putter sleeps",
		.flags = CLOCKED,
		.size = SMALL,
		.first = CAPACITY,
		.takes = 1,
		.start = bed_putter,
		.run = run_get,
		.finish = finish_get,
		.stage = stage_putters_woken,
		.wakes = true,
		.verify = verify_putter,
		.nresults = 1,
		.results = {SMALL},
		.config = &plain},
	{.name = "get block, a putter sleeps",
		.flags = CLOCKED,
		.size = BLOCK,
		.first = CAPACITY,
		.takes = 1,
		.start = bed_putter,
		.run = run_get,
		.finish = finish_get,
		.stage = stage_putters_woken,
		.wakes = true,
		.verify = verify_putter,
		.nresults = 1,
		.results = {BLOCK},
		.config = &plain},
	{.name = "ack block, a putter sleeps",
		.flags = CLOCKED,
		.size = BLOCK,
		.first = CAPACITY,
		.takes = 1,
		.prepare = copy_lease,
		.start = bed_putter,
		.run = run_ack,
		.finish = note,
		.stage = stage_putters_woken,
		.wakes = true,
		.verify = verify_putter,
		.nresults = 1,
		.config = &plain},
	{.name = "shutdown, a getter sleeps",
		.flags = CLOSING | CLOCKED,
		.size = SMALL,
		.start = bed_getter,
		.run = run_shutdown,
		.stage = stage_getters_woken,
		.wakes = true,
		.verify = verify_shut,
		.nresults = 1,
		.config = &plain},
	{.name = "shutdown, a putter sleeps",
		.flags = CLOSING | CLOCKED,
		.size = SMALL,
		.first = CAPACITY,
		.start = bed_putter,
		.run = run_shutdown,
		.stage = stage_putters_woken,
		.wakes = true,
		.verify = verify_shut,
		.nresults = 1,
		.config = &plain},
	{.name = "get, falls asleep",
		.flags = CLOCKED,
		.size = SMALL,
		.sleeps = 1,
		.timeout = SQ_FOREVER,
		.run = run_get,
		.finish = finish_get,
		.nresults = 1,
		.results = {SMALL},
		.config = &plain},
	{.name = "lease block, falls asleep",
		.flags = CLOCKED,
		.size = BLOCK,
		.sleeps = 1,
		.timeout = SQ_FOREVER,
		.run = run_lease,
		.finish = finish_lease,
		.nresults = 1,
		.config = &timed},
	{.name = "put, falls asleep",
		.flags = CLOCKED,
		.size = SMALL,
		.first = CAPACITY,
		.puts = 1,
		.sleeps = 1,
		.timeout = SQ_FOREVER,
		.run = run_put_for_ever,
		.nresults = 1,
		.config = &plain},
	{.name = "put block, falls asleep",
		.flags = CLOCKED,
		.size = BLOCK,
		.first = CAPACITY,
		.puts = 1,
		.sleeps = 1,
		.timeout = SQ_FOREVER,
		.run = run_put_for_ever,
		.nresults = 1,
		.config = &plain},
	{0},
};
