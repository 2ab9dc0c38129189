/* SPDX-License-Identifier: ISC */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "now.h"

#define HANDLES_MAX  64
#define NAMES_MAX    8
#define CHILD_FAILED 99

static struct sq *handles[HANDLES_MAX];
static const char *names[NAMES_MAX];
static char prefix[32];

void fx_begin(void)
{
	(void)snprintf(prefix, sizeof(prefix), "unit%ld", (long)getpid());
	(void)setenv("SQ_PREFIX", prefix, 1);
	(void)alarm(FX_HANG_S);
}

static int left(const char *name, void *data)
{
	(void)fprintf(stderr, "left behind: %s\n", name);
	(*(int *)data)++;
	return 0;
}

void fx_close_all(void)
{
	for (int i = 0; i < HANDLES_MAX; i++) {
		sq_close(handles[i]);
		handles[i] = NULL;
	}
}

int fx_end(void **state)
{
	int n = 0;

	fx_close_all();
	for (int i = 0; i < NAMES_MAX; i++) {
		if (names[i])
			(void)sq_unlink(names[i]); /* the test may have done it */
		names[i] = NULL;
	}
	(void)setenv("SQ_PREFIX", prefix, 1);
	if (sq_list(prefix, left, &n) < 0)
		return -1;
	return n ? -1 : 0;
}

_Noreturn void fx_child_failed(const char *what, const char *file, int line)
{
	(void)fprintf(stderr, "%s:%d: in a child: %s\n", file, line, what);
	_exit(CHILD_FAILED);
}

bool fx_was_killed(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		assert_int_equal(WTERMSIG(status), SIGKILL);
	else
		assert_int_equal(WEXITSTATUS(status), 0);
	return WIFSIGNALED(status);
}

struct sq *fx_make(const char *name, const struct sq_config *config)
{
	int i = 0;

	assert_int_equal(sq_create(name, config), 0);
	while (names[i])
		assert_in_range(++i, 0, NAMES_MAX - 1);
	names[i] = name;
	return fx_open(name);
}

struct sq *fx_open(const char *name)
{
	struct sq *h = NULL;
	int i = 0;

	assert_int_equal(sq_open(&h, name), 0);
	while (handles[i])
		assert_in_range(++i, 0, HANDLES_MAX - 1);
	handles[i] = h;
	return h;
}

static void forget(const struct sq *h)
{
	for (int i = 0; i < HANDLES_MAX; i++)
		if (handles[i] == h)
			handles[i] = NULL;
}

void fx_close(struct sq *h)
{
	forget(h);
	sq_close(h);
}

void fx_die(struct sq *h)
{
	struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

	forget(h);
	sq_close(h->dead_letters);
	/* By hand: the mapping that this process's other handles share may keep the description. */
	assert_int_equal(fcntl(h->file.fd, F_OFD_SETLK, &all), 0);
	sqi_detach(&h->file);
	sqi_copies_deinit(&h->copies);
	free(h->buffer);
	free(h);
}

pid_t fx_child(const char *name, void (*f)(struct sq *h, void *arg), void *arg)
{
	int ready[2];
	char c = 0;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct sq *h;

		(void)alarm(FX_HANG_S);
		(void)close(ready[0]);
		CHILD_CHECK(sq_open(&h, name) == 0);
		f(h, arg);
		CHILD_CHECK(write(ready[1], "r", 1) == 1);
		for (;;)
			(void)pause();
	}
	(void)close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		c = 0;
	(void)close(ready[0]);
	if (c != 'r')
		fail_msg("the child failed");
	return pid;
}

void fx_end_child(pid_t pid)
{
	int status;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

void fx_kill(const char *name, void (*f)(struct sq *h, void *arg), void *arg)
{
	fx_end_child(fx_child(name, f, arg));
}

void fx_put(struct sq *h, uint64_t v)
{
	assert_int_equal(sq_put(h, &v, sizeof(v), SQ_NOWAIT), 0);
}

void fx_get(struct sq *h, uint64_t v)
{
	uint64_t got = ~v;

	assert_int_equal(sq_get(h, &got, sizeof(got), SQ_NOWAIT), sizeof(got));
	assert_int_equal(got, v);
}

void fx_empty(struct sq *h)
{
	uint64_t got;

	assert_int_equal(sq_get(h, &got, sizeof(got), SQ_NOWAIT), -EAGAIN);
}

struct sq_lease fx_lease(struct sq *h, uint64_t v)
{
	struct sq_lease lease;
	uint64_t got;

	assert_int_equal(sq_lease(h, &lease, SQ_NOWAIT), 0);
	assert_int_equal(lease.len, sizeof(got));
	assert_int_equal((uintptr_t)lease.data % 8, 0);
	memcpy(&got, lease.data, sizeof(got));
	assert_int_equal(got, v);
	return lease;
}

static unsigned char byte_at(size_t i, unsigned seed)
{
	return (unsigned char)(i * 31 + (i >> 8) * 7 + seed * 101 + 1);
}

void fx_fill(void *buf, size_t len, unsigned seed)
{
	unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = byte_at(i, seed);
}

void fx_check(const void *buf, size_t len, unsigned seed)
{
	const unsigned char *p = buf;

	for (size_t i = 0; i < len; i++)
		if (p[i] != byte_at(i, seed))
			fail_msg("byte %zu of %zu differs", i, len);
}

void fx_put_large(struct sq *h, size_t len, unsigned seed)
{
	void *buf = malloc(len + 1);

	assert_non_null(buf);
	fx_fill(buf, len, seed);
	assert_int_equal(sq_put(h, buf, len, SQ_NOWAIT), 0);
	free(buf);
}

void fx_get_large(struct sq *h, size_t len, unsigned seed)
{
	unsigned char *buf = malloc(len + 1);

	assert_non_null(buf);
	memset(buf, 0xaa, len + 1);
	assert_int_equal(sq_get(h, buf, len, SQ_NOWAIT), (ssize_t)len);
	fx_check(buf, len, seed);
	assert_int_equal(buf[len], 0xaa);
	free(buf);
}

uint64_t fx_word(const struct sq *h, uint64_t pos)
{
	return sqi_load_seq(&sqi_cell(&h->ring, pos)->word);
}

void fx_set(const struct sq *h, uint64_t pos, uint64_t w)
{
	sqi_store_seq(&sqi_cell(&h->ring, pos)->word, w);
}

enum sqi_state fx_state(const struct sq *h, uint64_t pos)
{
	return sqi_word_state(fx_word(h, pos));
}

void fx_start_at(struct sq *h, uint64_t position)
{
	for (uint64_t i = 0; i <= h->ring.mask; i++)
		fx_set(h, position + i, sqi_word(SQI_FREE, 0, 0, (position + i) >> h->ring.shift));
	sqi_store_seq(&h->ring.head->tail, position);
	sqi_store_seq(&h->ring.head->front, position);
	h->ring.tail = position;
	h->ring.front = position;
}

void fx_overdue(const struct sq *h, uint64_t pos)
{
	sqi_store_seq(sqi_deadline(&h->ring, pos), 1 << 1);
}

struct sq_stat fx_stat(struct sq *h)
{
	struct sq_stat st;

	assert_int_equal(sq_stat(h, &st), 0);
	return st;
}

void fx_nap(int64_t ns)
{
	sleep_ns(ns);
}

bool fx_soon(bool (*f)(void *arg), void *arg, int64_t ns)
{
	int64_t end = sqi_now_ns() + ns;

	while (!f(arg)) {
		if (sqi_now_ns() > end)
			return false;
		fx_nap(MS);
	}
	return true;
}

uint64_t fx_claim(struct sq *h)
{
	uint64_t pos, w;

	assert_int_equal(sqi_claim(&h->ring, &pos, &w), 0);
	assert_true(fx_word(h, pos) == w);
	return pos;
}

void fx_begin_release(struct sq *h, uint64_t pos)
{
	assert_true(
		sqi_cell_begin_release(sqi_cell(&h->ring, pos), fx_word(h, pos), h->ring.owner));
}
