/* SPDX-License-Identifier: ISC */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ends.h"
#include "now.h"
#include "loop_in.h"

/* What a sandbox denies: what is said then, and what does the work instead. */

static void deny(int nr, int error)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = 4, .filter = filter};

	CHILD_CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHILD_CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void wish(const char *loop)
{
	CHILD_CHECK((loop ? setenv("SQ_LOOP", loop, 1) : unsetenv("SQ_LOOP")) == 0);
}

/* loop_new() in a child: what it returns, what it says, which driver it has and what it leaves open. */
static void made(int nr, int error, const char *loop, int expected, const char *says)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct loop *l = NULL;
		struct loop_stats stats;
		char why[LOOP_WHY_MAX] = "?";
		int before, r;

		wish(loop);
		if (error)
			deny(nr, error);
		before = ends_descriptors();
		r = loop_new(&l, NULL, why);
		if (r != expected || !strstr(why, says) || strchr(why, '\n'))
			(void)fprintf(stderr, "%d: %s\n", r, why);
		CHILD_CHECK(r == expected);
		CHILD_CHECK(*says ? strstr(why, says) != NULL : !*why);
		CHILD_CHECK(!strchr(why, '\n'));
		CHILD_CHECK((l != NULL) == (r == 0));
		if (l) {
			loop_stats(l, &stats);
			CHILD_CHECK(stats.uring == !*why);
			CHILD_CHECK(loop_turn(l, 0) == 0);
		}
		loop_free(l);
		CHILD_CHECK(ends_descriptors() == before);
		_exit(0);
	}
	assert_int_equal(0, ends_child_status(pid));
}

/* Denied for good: epoll, and the reason is told; io_uring alone was wanted: the error and the reason. */
static void denied(int nr, int error, int expected, const char *says)
{
	made(nr, error, NULL, 0, says);
	made(nr, error, "", 0, says);
	made(nr, error, "uring", expected, says);
	made(nr, error, "poll", 0, "SQ_LOOP=poll");
}

static void test_denied(void **state)
{
	denied(SYS_io_uring_setup, EPERM, -EPERM, "Docker's default seccomp profile");
	denied(SYS_io_uring_setup, EPERM, -EPERM, "--security-opt");
	denied(SYS_io_uring_setup, EPERM, -EPERM, "SystemCallFilter=@system-service");
	denied(SYS_io_uring_setup, EACCES, -EACCES, "seccomp");
	denied(SYS_io_uring_setup, ENOSYS, -ENOSYS, "Linux 6.1 or later");
	denied(SYS_io_uring_setup, ENOSYS, -ENOSYS, "podman's default profile");
	denied(SYS_io_uring_setup, EINVAL, -ENOTSUP, "Linux 6.1 or later");
	denied(SYS_io_uring_register, EPERM, -EPERM, "seccomp");
	denied(SYS_io_uring_register, EINVAL, -ENOTSUP, "Linux 6.1 or later");
}

/* What may be otherwise in a moment, or can be mended by a limit, is no reason to go on without. */
static void test_not_denied(void **state)
{
	made(0, 0, NULL, 0, "");
	made(0, 0, "uring", 0, "");
	made(SYS_io_uring_setup, ENOMEM, NULL, -ENOMEM, "locked memory");
	made(SYS_io_uring_setup, EMFILE, NULL, -EMFILE, "Too many open files");
	made(SYS_epoll_create1, EMFILE, "poll", -EMFILE,
		"epoll cannot be had: Too many open files");
	made(0, 0, "select", -EINVAL, "SQ_LOOP is poll or uring");
}

static void test_denied_by_sysctl(void **state)
{
	char why[LOOP_WHY_MAX];

	loop_explain_denied(2, why);
	assert_non_null(strstr(why, "sysctl kernel.io_uring_disabled=0"));
	assert_non_null(strstr(why, "=2"));
	loop_explain_denied(1, why);
	assert_non_null(strstr(why, "kernel.io_uring_group"));
	loop_explain_denied(0, why);
	assert_non_null(strstr(why, "Docker"));
	loop_explain_denied(-1, why);
	assert_non_null(strstr(why, "Docker"));
}

static int called_n;

static void called(void *ctx)
{
	called_n++;
}

/* No futex_waitv() either: the thread looks, now and then. */
static void test_denied_futex(void **state)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct loop_config config = {.mask = LOOP_NO_FUTEX};
		struct loop *l = NULL;
		struct loop_watch *w = NULL;
		char why[LOOP_WHY_MAX];
		uint32_t word = 0;
		int64_t until;

		deny(SYS_futex_waitv, ENOSYS);
		CHILD_CHECK(loop_new(&l, &config, why) == 0);
		CHILD_CHECK(loop_watch_new(l, &word, called, NULL, &w) == 0);
		loop_watch_arm(w, 0);
		CHILD_CHECK(loop_turn(l, 30 * MS) == 0);
		CHILD_CHECK(called_n == 0);
		__atomic_store_n(&word, 1, __ATOMIC_RELEASE);
		for (until = now_ns() + 30000 * MS; called_n == 0;) {
			CHILD_CHECK(loop_turn(l, 20 * MS) == 0);
			CHILD_CHECK(now_ns() < until);
		}
		loop_free(l);
		_exit(0);
	}
	assert_int_equal(0, ends_child_status(pid));
}

/* A turn waits as long as it is told, and no less; a timer is not early. */
static void waits(int denied_error)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		static const int64_t spans[] = {0, 1, MS / 2, 3 * MS / 2, 40 * MS};
		struct loop *l = NULL;
		struct loop_timer timer = {0};
		struct loop_stats stats;
		char why[LOOP_WHY_MAX];

		wish("poll");
		if (denied_error)
			deny(SYS_epoll_pwait2, denied_error);
		CHILD_CHECK(loop_new(&l, NULL, why) == 0);
		for (int i = 0; i < 5; i++) {
			int64_t begun = now_ns();
			uint64_t turns;

			CHILD_CHECK(loop_turn(l, spans[i]) == 0);
			CHILD_CHECK(now_ns() >= begun + spans[i]);
			begun = now_ns();
			called_n = 0;
			loop_stats(l, &stats);
			turns = stats.turns;
			loop_timer_set(l, &timer, spans[i], called, NULL);
			while (called_n == 0)
				CHILD_CHECK(loop_turn(l, -1) == 0);
			CHILD_CHECK(now_ns() >= begun + spans[i]);
			CHILD_CHECK(now_ns() < begun + spans[i] + 30000 * MS);
			loop_stats(l, &stats);
			CHILD_CHECK(
				stats.turns <= turns + 3); /* it slept, and did not ask the time */
		}
		loop_free(l);
		_exit(0);
	}
	assert_int_equal(0, ends_child_status(pid));
}

static void test_no_fine_waits(void **state)
{
	waits(0);
	waits(ENOSYS);
	waits(EPERM);
}

/* epoll takes no descriptor more (fs.epoll.max_user_watches): each is told of it, nothing spins. */
static void test_no_watches(void **state)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct loop_stats stats;
		struct sockaddr_in to;
		struct loop_listener *li;
		struct loop_poll *p = NULL;
		struct end *e;
		int fds[2];

		wish("poll");
		ends_loop(NULL);
		li = ends_listen(8, NULL);
		to = ends_address(li);
		CHILD_CHECK(pipe(fds) == 0);
		deny(SYS_epoll_ctl, ENOSPC);
		CHILD_CHECK(loop_poll_new(ends_the_loop, fds[0], called, NULL, &p) == 0);
		e = ends_connect(&to);
		for (int i = 0; i < 20; i++)
			CHILD_CHECK(loop_turn(ends_the_loop, 2 * MS) == 0);
		CHILD_CHECK(called_n == 1);
		CHILD_CHECK(ends_accept_error == -ENOMEM);
		CHILD_CHECK(e->connected == 1 && e->connected_error == -ENOSPC);
		loop_stats(ends_the_loop, &stats);
		CHILD_CHECK(stats.completions < 5);
		loop_conn_close(e->conn);
		loop_poll_close(p);
		ends_loop_free();
		CHILD_CHECK(e->closed == 1);
		_exit(0);
	}
	assert_int_equal(0, ends_child_status(pid));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_denied),
		TEST(test_not_denied),
		TEST(test_denied_by_sysctl),
		TEST(test_denied_futex),
		TEST(test_no_fine_waits),
		TEST(test_no_watches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
