/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crew.h"
#include "now.h"
#include "step.h"
#include "trace.h"

/* Calls that make and remove queues: there is the whole, or nothing, and no debris that stays. */

#define TEMPORARY "/dev/shm/sq.tmp-"
#define FDS_MAX   64
#define MODE      0640 /* of the queue that the child makes; not the one that goes without saying */

static const struct sq_config ephemeral = {.capacity = CAPACITY,
	.max_message = 256,
	.participants = 6,
	.block_memory = 4096,
	.flags = SQ_EPHEMERAL};

static char debris[300]; /* the temporary file that the child is at, if it has one */

static int64_t run_create(struct me *m)
{
	struct sq_config config = m->op->timeout == 2 ? buried : plain;

	config.mode = MODE;
	return sq_create(m->other, &config);
}

static int64_t run_unlink(struct me *m)
{
	return sq_unlink(m->op->config ? m->name : m->other);
}

static int64_t run_gc(struct me *m)
{
	return sq_gc(m->other);
}

static int64_t run_sweep(struct me *m)
{
	return sq_sweep() >= 0 ? 0 : -EIO;
}

static bool there(const char *name)
{
	struct sq *h;
	int r = sq_open(&h, name);

	if (r == 0)
		sq_close(h);
	else if (r != -ENOENT)
		crew_die("half a queue is there: %s", sq_strerror(r));
	return r == 0;
}

static unsigned stage_made(struct scene *s)
{
	return there(s->other);
}

static unsigned stage_unlinked(struct scene *s)
{
	return !there(s->op->config ? s->name : s->other);
}

static void make(struct scene *s, const struct sq_config *config)
{
	int r = sq_create(s->other, config);

	if (r < 0)
		crew_die("sq_create: %s", sq_strerror(r));
}

static void set_made(struct scene *s)
{
	make(s, &plain);
}

/* Which temporary file has the child open? Nothing depends on the answer but what is looked at. */
static void find_debris(int pid)
{
	char path[64];

	debris[0] = '\0';
	for (int fd = 0; fd < FDS_MAX; fd++) {
		char text[sizeof(debris)];
		ssize_t n;

		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
		n = readlink(path, text, sizeof(text) - 1);
		if (n < 0)
			continue;
		text[n] = '\0';
		if (strncmp(text, TEMPORARY, strlen(TEMPORARY)) == 0 && !strchr(text, ' '))
			memcpy(debris, text, (size_t)n + 1);
	}
}

static unsigned stage_create(struct scene *s)
{
	find_debris((int)s->child_pid);
	return stage_made(s);
}

static void no_debris(void)
{
	int64_t until = now_ns() + 60 * (int64_t)CREW_SECOND;

	/* Another worker's child may be stopped in a sweep, with a lock on just this one. */
	do {
		if (sq_sweep() < 0)
			crew_die("sq_sweep failed");
		if (!debris[0] || access(debris, F_OK) < 0)
			return;
	} while (now_ns() < until);
	crew_die("%s stays", debris);
}

/* The queue is as good as any. */
static void use(struct scene *s)
{
	struct sq *h = crew_open(s->other);

	crew_check_rest(h, ~(uint64_t)0);
	sq_close(h);
}

/* A process that may open the queue can open it as soon as it has its name. */
static void check_mode(struct scene *s)
{
	struct sq *h = crew_open(s->other);
	struct stat st;

	if (fstat(h->file.fd, &st) < 0)
		crew_die("fstat: %s", strerror(errno));
	if ((st.st_mode & 07777) != MODE)
		crew_die("it is there, and its mode is %04o", (unsigned)st.st_mode & 07777);
	sq_close(h);
}

/* Is the maker's lock on it? */
static bool debris_locked(void)
{
	struct flock lock = {.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)SQI_LOCK_BASE,
		.l_len = 1};
	int fd = debris[0] ? open(debris, O_RDWR | O_CLOEXEC) : -1;
	bool locked;

	if (fd < 0)
		return false;
	locked = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
	(void)close(fd);
	return locked;
}

/* A sweep leaves alone what a living one is at. */
static void sweep_beside(void)
{
	bool locked = debris_locked();

	if (sq_sweep() < 0)
		crew_die("sq_sweep failed");
	if (locked && access(debris, F_OK) < 0)
		crew_die("the file of a living sq_create() was swept");
}

/* Killed in sq_create(): anybody can make it anew at once, if it is not there. */
static void verify_create(struct scene *s, int pid)
{
	bool made = there(s->other);
	int r;

	if (made && !s->op->set)
		check_mode(s);
	r = sq_create(s->other, &plain);
	if (r != (made ? -EEXIST : 0))
		crew_die("it was %sthere, and sq_create() says %d", made ? "" : "not ", r);
	use(s);
	if (s->mode != KILL)
		sweep_beside();
	step_end_child(s, pid);
	if (s->mode == STOP && !s->op->set && (s->report->result == 0) != made)
		crew_die("it was %sthere, and the child's sq_create() says %" PRId64,
			made ? "" : "not ", s->report->result);
	use(s);
	no_debris();
	if (sq_unlink(s->other) < 0 || there(s->other))
		crew_die("it cannot be removed");
}

/* Killed in sq_unlink(): it is gone, or can be removed by anybody. */
static void verify_unlink(struct scene *s, int pid)
{
	bool gone = !there(s->other);
	int r = sq_unlink(s->other);

	if (r != (gone ? -ENOENT : 0))
		crew_die("it was %sthere, and sq_unlink() says %d", gone ? "not " : "", r);
	step_end_child(s, pid);
	if (s->mode == STOP && (s->report->result == 0) != gone)
		crew_die("the child's sq_unlink() says %" PRId64, s->report->result);
	if (there(s->other))
		crew_die("it is still there");
}

/*
 * Those who have the queue open go on: they get what is in it, and put until they are told that it was
 * removed, by whoever removed it or, if that one was killed before, by looking at its name.
 */
static void verify_unlinked(struct scene *s, int pid)
{
	bool told = (sqi_load_seq(&s->o->ring.head->closed) & SQI_CLOSED_GONE) != 0;
	unsigned char buf[256];
	size_t len = crew_write(buf, OTHER, SMALL);
	int r = sq_put(s->o, buf, len, SQ_NOWAIT);
	ssize_t n;

	if (told && there(s->name))
		crew_die("they are told that it is removed, and its name is there");
	if (r != (told ? -EIDRM : 0))
		crew_die("they are %stold, and a put says %d", told ? "" : "not ", r);
	step_end_child(s, pid);
	if (s->mode == STOP && s->report->result != 0)
		crew_die("the child's sq_unlink() says %" PRId64, s->report->result);
	for (unsigned i = 0; i < s->op->first; i++)
		if (!scene_take(s, s->o, true))
			crew_die("what was in it is not all there");
	if (!told && !scene_take(s, s->o, true))
		crew_die("what was put into it is not there");
	sqi_store_relaxed(&s->o->ring.head->upkeep_ms, 0);
	n = sq_get(s->o, buf, sizeof(buf), SQ_NOWAIT);
	if (n == -EAGAIN) /* that call has looked at the name */
		n = sq_get(s->o, buf, sizeof(buf), SQ_NOWAIT);
	if (n != (there(s->name) ? -EAGAIN : -EIDRM))
		crew_die("it is drained and %sthere, and a get says %zd",
			there(s->name) ? "" : "not ", n);
}

static void life_puts(struct scene *s, struct sq *h)
{
	unsigned char buf[64];

	(void)s;
	if (sq_put(h, buf, crew_write(buf, FIRST, SMALL), SQ_NOWAIT) < 0)
		crew_die("sq_put failed");
}

/* A queue that is to go with its users, and they are dead. */
static void set_abandoned(struct scene *s)
{
	char name[sizeof(s->name)];

	make(s, &ephemeral);
	memcpy(name, s->name, sizeof(name));
	memcpy(s->name, s->other, sizeof(name));
	scene_corpse(s, life_puts);
	memcpy(s->name, name, sizeof(name));
}

static void verify_gc(struct scene *s, int pid)
{
	int r;

	if (s->mode == KILL) {
		r = sq_gc(s->other);
		if (r != 1 && r != -ENOENT)
			crew_die("sq_gc() says %d", r);
	}
	step_end_child(s, pid);
	/* It leaves the queue alone if it was opened meanwhile, which stage_unlinked() does. */
	if (s->mode != STOP || s->report->result == 0) {
		r = sq_gc(s->other);
		if (r != 1 && (r != -ENOENT || s->mode == STOP))
			crew_die("sq_gc() says %d", r);
	}
	if (there(s->other))
		crew_die("it is still there");
}

static void set_debris(struct scene *s)
{
	int fd;

	(void)snprintf(debris, sizeof(debris), TEMPORARY "%08lx%08lx", (long)getpid(),
		(long)(uintptr_t)s & 0xffffffff);
	fd = open(debris, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		crew_die("%s: %s", debris, strerror(errno));
	(void)close(fd);
}

static void verify_sweep(struct scene *s, int pid)
{
	/* The stopped process may hold it. */
	if (sq_sweep() < 0)
		crew_die("sq_sweep failed");
	step_end_child(s, pid);
	no_debris();
}

const struct op ops_file[] = {
	{.name = "create",
		.flags = BARE | CLOCKED,
		.size = SMALL,
		.run = run_create,
		.stage = stage_create,
		.verify = verify_create,
		.nresults = 2,
		.results = {0, -EEXIST}},
	{.name = "create, it is there",
		.flags = BARE,
		.size = SMALL,
		.set = set_made,
		.run = run_create,
		.stage = stage_create,
		.verify = verify_create,
		.nresults = 1,
		.results = {-EEXIST}},
	{.name = "create, with dead letters",
		.flags = BARE | CLOCKED,
		.size = SMALL,
		.timeout = 2,
		.run = run_create,
		.stage = stage_create,
		.verify = verify_create,
		.nresults = 2,
		.results = {0, -EEXIST}},
	{.name = "unlink",
		.flags = BARE,
		.size = SMALL,
		.set = set_made,
		.run = run_unlink,
		.stage = stage_unlinked,
		.verify = verify_unlink,
		.nresults = 2,
		.results = {0, -ENOENT}},
	{.name = "unlink, others have it open",
		.flags = BARE | LEAVES | UNLINKS,
		.size = BLOCK,
		.first = 2,
		.run = run_unlink,
		.stage = stage_unlinked,
		.verify = verify_unlinked,
		.nresults = 1,
		.config = &plain},
	{.name = "gc of an abandoned queue",
		.flags = BARE | CLOCKED,
		.size = SMALL,
		.set = set_abandoned,
		.run = run_gc,
		.stage = stage_unlinked,
		.verify = verify_gc,
		.nresults = 3,
		.results = {0, 1, -ENOENT}},
	{.name = "sweep of debris",
		.flags = BARE | CLOCKED | CROWDED,
		.size = SMALL,
		.set = set_debris,
		.run = run_sweep,
		.verify = verify_sweep,
		.nresults = 1},
	{0},
};
