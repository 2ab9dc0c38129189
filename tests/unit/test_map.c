/* SPDX-License-Identifier: ISC */
#include "fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* One mapping for all handles of a process on a segment, for as long as there is one. */

#define ROUNDS 200

static const struct sq_config tiny = {.capacity = 4, .participants = 64, .max_message = 48};

/* How many mappings of our queues this process has. */
static int mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512], prefix[SQ_NAME_MAX + 1];
	int n = 0;

	assert_non_null(f);
	assert_int_equal(sq_prefix(prefix, sizeof(prefix)), 0);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, "/dev/shm/sq.") && strstr(line, prefix);
	(void)fclose(f);
	return n;
}

static int descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_shared(void **state)
{
	struct sq *a = fx_make("a", &tiny), *b = fx_open("a"), *c = fx_make("c", &tiny);

	assert_ptr_equal(a->ring.base, b->ring.base);
	assert_ptr_not_equal(a->ring.base, c->ring.base);
	assert_int_equal(mappings(), 2);
	/* The first may go first. */
	fx_close(a);
	fx_put(b, 1);
	fx_get(b, 1);
	assert_int_equal(mappings(), 2);
	fx_close(b);
	assert_int_equal(mappings(), 1);
	fx_close(c);
	assert_int_equal(mappings(), 0);
}

/* Another queue of the same name is another segment. */
static void test_made_again(void **state)
{
	struct sq *a = fx_make("a", &tiny), *b;

	fx_put(a, 1);
	assert_int_equal(sq_unlink("a"), 0);
	b = fx_make("a", &tiny);
	assert_ptr_not_equal(a->ring.base, b->ring.base);
	fx_empty(b);
	fx_put(b, 2);
	fx_get(a, 1);
	fx_get(b, 2);
}

static void test_no_descriptor_is_left(void **state)
{
	int before = descriptors();

	for (int i = 0; i < 20; i++) {
		struct sq *a = fx_make("a", &tiny), *b = fx_open("a");

		assert_int_equal(descriptors(), before + 2);
		fx_close(a);
		fx_close(b);
		assert_int_equal(descriptors(), before);
		assert_int_equal(sq_unlink("a"), 0);
		fx_end(NULL);
	}
	assert_int_equal(mappings(), 0);
}

static void test_not_in_the_child(void **state)
{
	struct sq *a = fx_make("a", &tiny);
	int status;
	pid_t pid;

	assert_int_equal(mappings(), 1);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		CHILD_CHECK(a->file.fd == -1);
		CHILD_CHECK(mappings() == 0);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(mappings(), 1);
}

static void *open_and_close(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct sq *h = NULL;

		if (sq_open(&h, "a") < 0)
			return arg;
		sq_close(h);
	}
	return NULL;
}

/*
 * Threads come and go while others fork: no lock is left held in a child, and no lock of a
 * participant either.
 */
static void test_threads_and_forks(void **state)
{
	struct sq *h = fx_make("a", &tiny);
	pthread_t threads[3];
	void *failed;

	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, h), 0);
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();
		int status;

		assert_true(pid >= 0);
		if (pid == 0) {
			struct sq *own;
			uint64_t v = 5;

			(void)alarm(FX_HANG_S);
			CHILD_CHECK(sq_open(&own, "a") == 0);
			CHILD_CHECK(sq_put(own, &v, 8, SQ_NOWAIT) == 0);
			sq_close(own);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		fx_get(h, 5);
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(fx_stat(h).participants, 1);
}

static const struct CMUnitTest tests[] = {
	TEST(test_shared),
	TEST(test_made_again),
	TEST(test_no_descriptor_is_left),
	TEST(test_not_in_the_child),
	TEST(test_threads_and_forks),
};

FX_MAIN(tests)
