/* SPDX-License-Identifier: ISC */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Participants: which are alive, which are dead, and that neither fork nor exec confuses the two.
 */

static const struct sq_config four = {
	.capacity = 4, .participants = 4, .max_message = 4096, .block_memory = 32768};

static void test_ids_are_never_reused(void **state)
{
	struct sq *h = fx_make("a", &four);
	uint64_t last = h->member.id;

	for (int i = 0; i < 50; i++) {
		struct sq *other = fx_open("a");

		assert_true(other->member.id > last);
		assert_int_equal(other->ring.owner, 2);
		assert_ptr_equal(other->ring.slot, sqi_slot(&h->ring, 1));
		last = other->member.id;
		fx_close(other);
	}
}

static void test_full_house(void **state)
{
	struct sq *h = fx_make("a", &four), *others[3], *more = h;

	for (int i = 0; i < 3; i++)
		others[i] = fx_open("a");
	assert_int_equal(fx_stat(h).participants, 4);
	for (int i = 0; i < 3; i++)
		for (int k = 0; k < i; k++)
			assert_int_not_equal(others[i]->ring.owner, others[k]->ring.owner);
	assert_int_equal(sq_open(&more, "a"), -EUSERS);
	assert_ptr_equal(more, h);
	/* One that left, and one that died, make room. */
	fx_close(others[0]);
	others[0] = fx_open("a");
	assert_int_equal(sq_open(&more, "a"), -EUSERS);
	fx_die(others[1]);
	others[1] = fx_open("a");
	assert_int_equal(sq_open(&more, "a"), -EUSERS);
	assert_int_equal(fx_stat(h).participants, 4);
}

static void lease_two(struct sq *h, void *arg)
{
	struct sq_lease lease;

	CHILD_CHECK(sq_lease(h, &lease, SQ_NOWAIT) == 0);
	CHILD_CHECK(sq_lease(h, &lease, SQ_NOWAIT) == 0);
}

static void test_killed_child(void **state)
{
	struct sq *h = fx_make("a", &four);
	pid_t pid;

	fx_put(h, 1);
	fx_put_large(h, 300, 2);
	pid = fx_child("a", lease_two, NULL);
	/* It lives: nothing is taken from it, stopped or not. */
	assert_int_equal(kill(pid, SIGSTOP), 0);
	assert_int_equal(sq_recover(h), 0);
	assert_int_equal(fx_stat(h).leased, 2);
	assert_int_equal(fx_stat(h).participants, 2);
	fx_empty(h);
	fx_end_child(pid);
	assert_int_equal(fx_stat(h).participants, 1);
	assert_int_equal(sq_recover(h), 1);
	assert_int_equal(sq_recover(h), 0);
	assert_int_equal(fx_stat(h).reclaimed, 2);
	fx_get(h, 1);
	fx_get_large(h, 300, 2);
}

static void test_child_that_exits(void **state)
{
	struct sq *h = fx_make("a", &four);
	pid_t pid;
	int status;

	fx_put(h, 1);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct sq_lease lease;
		struct sq *own;

		CHILD_CHECK(sq_open(&own, "a") == 0);
		CHILD_CHECK(sq_lease(own, &lease, SQ_NOWAIT) == 0);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(sq_recover(h), 1);
	fx_get(h, 1);
}

/* A child is not its parent, and does not keep it alive. */
static void test_fork(void **state)
{
	struct sq *h = fx_make("a", &four), *other = fx_open("a");
	int go[2], status;
	pid_t parent, child;

	fx_put(h, 1);
	assert_int_equal(pipe(go), 0);
	parent = fork();
	assert_true(parent >= 0);
	if (parent == 0) {
		struct sq_lease lease;
		struct sq *own;

		CHILD_CHECK(sq_open(&own, "a") == 0);
		CHILD_CHECK(sq_lease(own, &lease, SQ_NOWAIT) == 0);
		child = fork();
		CHILD_CHECK(child >= 0);
		if (child == 0) {
			uint64_t v = 0;

			/*
			 * Refused, every one of them; and closing touches nothing of the parent's.
			 */
			CHILD_CHECK(sq_put(own, &v, 8, SQ_NOWAIT) == -EBADF);
			CHILD_CHECK(sq_ack(own, &lease) == -EBADF);
			sq_close(own);
			CHILD_CHECK(write(go[1], &child, sizeof(child)) == sizeof(child));
			/* Outlive the parent, but not a test that failed. */
			(void)alarm(FX_HANG_S);
			(void)pause();
			_exit(0);
		}
		CHILD_CHECK(write(go[1], &child, sizeof(child)) == sizeof(child));
		(void)alarm(FX_HANG_S);
		(void)pause();
		_exit(0);
	}
	/* Both have spoken: the parent's word is the child's pid, the child's is 0. */
	{
		pid_t said[2];

		assert_int_equal(read(go[0], &said[0], sizeof(pid_t)), sizeof(pid_t));
		assert_int_equal(read(go[0], &said[1], sizeof(pid_t)), sizeof(pid_t));
		child = said[0] ? said[0] : said[1];
	}
	assert_int_equal(sq_recover(other), 0);
	fx_empty(other);
	assert_int_equal(kill(parent, SIGKILL), 0);
	assert_int_equal(waitpid(parent, &status, 0), parent);
	/* The child still runs. */
	assert_int_equal(kill(child, 0), 0);
	assert_int_equal(sq_recover(other), 1);
	fx_get(other, 1);
	assert_int_equal(kill(child, SIGKILL), 0);
	(void)close(go[0]);
	(void)close(go[1]);
}

/* What exec starts has none of the descriptors, though it lives on in the same process. */
static void test_exec(void **state)
{
	struct sq *h = fx_make("a", &four);
	int ready[2], status;
	pid_t pid;
	char c;

	assert_int_equal(fcntl(h->file.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	fx_put(h, 1);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct sq_lease lease;
		struct sq *own;

		CHILD_CHECK(sq_open(&own, "a") == 0);
		CHILD_CHECK(sq_lease(own, &lease, SQ_NOWAIT) == 0);
		CHILD_CHECK(dup2(ready[1], 1) == 1);
		(void)execl("/bin/sh", "sh", "-c", "echo r; exec sleep 10", (char *)NULL);
		fx_child_failed("exec", __FILE__, __LINE__);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(sq_recover(h), 1);
	fx_get(h, 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)close(ready[0]);
	(void)close(ready[1]);
}

static void test_forked_handle_says_so(void **state)
{
	struct sq *h = fx_make("a", &four);
	struct sq_lease lease = {0};
	int status;
	pid_t pid;

	fx_put(h, 1);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct iovec iov = {.iov_base = &lease, .iov_len = 8};
		struct sq_stat st;
		uint64_t v;
		void *at;

		CHILD_CHECK(h->file.forked);
		CHILD_CHECK(sq_put(h, &v, 8, SQ_NOWAIT) == -EBADF);
		CHILD_CHECK(sq_get(h, &v, 8, SQ_NOWAIT) == -EBADF);
		CHILD_CHECK(sq_put_many(h, &iov, 1, SQ_NOWAIT) == -EBADF);
		CHILD_CHECK(sq_get_many(h, &v, 8, &iov, 1, SQ_NOWAIT) == -EBADF);
		CHILD_CHECK(sq_reserve(h, 8, &at) == -EBADF);
		CHILD_CHECK(sq_commit(h, 8, SQ_NOWAIT) == -EBADF);
		CHILD_CHECK(sq_lease(h, &lease, SQ_NOWAIT) == -EBADF);
		CHILD_CHECK(sq_ack(h, &lease) == -EBADF);
		CHILD_CHECK(sq_nack(h, &lease) == -EBADF);
		CHILD_CHECK(sq_touch(h, &lease) == -EBADF);
		CHILD_CHECK(sq_shutdown(h, false) == -EBADF);
		CHILD_CHECK(sq_join(h, SQ_NOWAIT) == -EBADF);
		CHILD_CHECK(sq_stat(h, &st) == -EBADF);
		CHILD_CHECK(sq_recover(h) == -EBADF);
		CHILD_CHECK(sq_count_bind(h, 1, &v) == -EBADF);
		CHILD_CHECK(sq_count_read(h, 1, &v) == -EBADF);
		sq_abort(h);
		sq_close(h);
		/* But a handle of its own works, and shares nothing with the parent's. */
		CHILD_CHECK(sq_open(&h, "a") == 0);
		CHILD_CHECK(sq_get(h, &v, 8, SQ_NOWAIT) == 8 && v == 1);
		sq_close(h);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	fx_put(h, 2);
	fx_get(h, 2);
	assert_int_equal(fx_stat(h).participants, 1);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void child_leases(struct sq *h, void *arg)
{
	struct sq_lease lease;

	CHILD_CHECK(sq_lease(h, &lease, SQ_NOWAIT) == 0);
}

/*
 * Cause: a program closed all descriptors and opened others. By the lock on some other file all the
 * living were found dead, and sq_close() and fork closed that other file.
 */
static void test_descriptor_of_another_file(void **state)
{
	struct sq *h = fx_make("a", &four);
	int found[2], status, fd = h->file.fd;
	pid_t pid, child;
	struct sq_stat st;

	fx_put(h, 7);
	pid = fx_child("a", child_leases, NULL);
	(void)close(fd);
	assert_int_equal(open("/dev/null", O_RDWR | O_CLOEXEC), fd);
	found[0] = sq_recover(h);
	(void)close(fd);
	assert_int_equal(memfd_create("log", MFD_CLOEXEC), fd);
	found[1] = sq_recover(h);
	st = fx_stat(h);
	fx_end_child(pid);
	assert_int_equal(found[0], 0);
	assert_int_equal(found[1], 0);
	assert_int_equal(st.leased, 1);
	assert_int_equal(st.participants, 2);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		CHILD_CHECK(is_open(fd));
		sq_close(h);
		CHILD_CHECK(is_open(fd));
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	fx_close(h);
	assert_true(is_open(fd));
	(void)close(fd);
	/* Those with a descriptor of their own see it as it is. */
	h = fx_open("a");
	(void)sq_recover(h); /* opening may have found the dead one already */
	fx_get(h, 7);
	assert_int_equal(fx_stat(h).participants, 1);
}

static void test_damaged_counter_of_ids(void **state)
{
	struct sq *h = fx_make("a", &four), *other = NULL;

	sqi_store_seq(&h->ring.head->next_id, UINT64_MAX - 5);
	assert_int_equal(sq_open(&other, "a"), -EBADMSG);
	assert_null(other);
	/* The id before 0, which is no participant's. */
	sqi_store_seq(&h->ring.head->next_id, UINT64_MAX);
	assert_int_equal(sq_open(&other, "a"), -EBADMSG);
	sqi_store_seq(&h->ring.head->next_id, (uint64_t)1 << 60);
	assert_int_equal(sq_open(&other, "a"), -EBADMSG);
	/* Set back: the ids of those who live are not given twice. */
	sqi_store_seq(&h->ring.head->next_id, 0);
	other = fx_open("a");
	assert_int_not_equal(other->member.id, h->member.id);
	fx_put(h, 1);
	fx_get(other, 1);
}

static void test_damaged_slots(void **state)
{
	struct sq *h = fx_make("a", &four), *other;

	/* No participant can have these ids; one that seems to is dead. */
	sqi_store_seq(&sqi_slot(&h->ring, 1)->id, UINT64_MAX);
	sqi_store_seq(&sqi_slot(&h->ring, 2)->id, (uint64_t)1 << 61);
	sqi_store_seq(&sqi_slot(&h->ring, 3)->id, 0x7777777);
	assert_int_equal(fx_stat(h).participants, 1);
	assert_int_equal(sq_recover(h), 3);
	other = fx_open("a");
	fx_put(other, 1);
	fx_get(h, 1);
}

static const struct CMUnitTest tests[] = {
	TEST(test_ids_are_never_reused),
	TEST(test_full_house),
	TEST(test_killed_child),
	TEST(test_child_that_exits),
	TEST(test_fork),
	TEST(test_exec),
	TEST(test_forked_handle_says_so),
	TEST(test_descriptor_of_another_file),
	TEST(test_damaged_counter_of_ids),
	TEST(test_damaged_slots),
};

FX_MAIN(tests)
