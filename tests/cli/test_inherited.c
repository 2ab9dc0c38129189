/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "run.h"
#include "sq.h"
#include "watch.h"

/*
 * What sqctl inherits from its parent, in states that a shell never leaves behind: signals ignored
 * or blocked, timers, closed descriptors, any umask. It behaves as ever, and does not hang.
 */

#define TICK_US 100000
#define LIMIT_S 1
#define LONG    "300s"

/* The run under way, to be ended when a test fails in the middle. */
static struct run current = {.pid = -1};
static struct sq *pq, *cq;

static int clean(void **state)
{
	if (current.pid > 0) {
		(void)kill(current.pid, SIGKILL);
		(void)run_end(&current);
		current.pid = -1;
	}
	sq_close(pq);
	sq_close(cq);
	pq = cq = NULL;
	return run_clean(state);
}

#define begin(how, ...) (current = sqctl_start(&(struct start){.child = (how)}, __VA_ARGS__))
#define whole(how, ...) sqctl_with(&(struct start){.child = (how)}, __VA_ARGS__)

static struct outcome end(void)
{
	struct outcome o = run_end(&current);

	current.pid = -1;
	return o;
}

static struct outcome end_by(int signal_number)
{
	assert_int_equal(kill(current.pid, signal_number), 0);
	return end();
}

static void ignore_children(void)
{
	(void)signal(SIGCHLD, SIG_IGN);
}

static void test_children_ignored(void **state)
{
	(void)state;
	expect(whole(ignore_children, "local", "--tasks", "1000", "-q"), 0, "",
		"proof: nothing lost, nothing duplicated\n");
	pq = watch_make("pq", NULL);
	cq = watch_make("cq", NULL);
	begin(ignore_children, "work", "pq", "cq");
	assert_int_equal(kill(watch_child_named(&current, "sq-worker1"), SIGKILL), 0);
	watch_wait_said(&current, "was killed by signal 9; another takes its place", 1);
	watch_put(pq, "7");
	assert_int_equal(watch_get_number(cq), 7);
	expect(end_by(SIGTERM), 0, NULL, "did 1 item of pq");
}

/* The program to be run is strace, and ours is its argument. Only the supervisor is traced. */
static void steal_children(void)
{
	(void)setenv("SQCTL", "/usr/bin/strace", 1);
	(void)setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* it cannot where others trace */
}

/* The child's status was taken by another: it has ended all the same. */
static void test_children_stolen(void **state)
{
	static const char steal[] = "inject=wait4:error=ECHILD";

	(void)state;
	if (whole(steal_children, "-o", "/dev/null", getenv("SQCTL"), "--version").code != 0) {
		print_message("nobody may trace here\n");
		return;
	}
	expect(whole(steal_children, "-o", "/dev/null", "-e", steal, getenv("SQCTL"), "local",
		       "--duration", LONG, "-q"),
		70, "", " has ended, and how it did was told to somebody else");
}

static void block_all(void)
{
	sigset_t all;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, NULL);
}

static void test_blocked(void **state)
{
	(void)state;
	pq = watch_make("pq", &(struct sq_config){.capacity = 4});
	begin(block_all, "get", "--follow", "-q", "pq");
	watch_put(pq, "1");
	watch_wait_depth(pq, 0);
	expect(end_by(SIGTERM), 0, "1\n", NULL);
	expect(whole(block_all, "collect", "--duration", "10ms", "pq"), 0, NULL,
		"collected 0 items");
	begin(block_all, "put", "pq", "1", "2", "3", "4", "5");
	watch_wait_depth(pq, 4);
	expect(end_by(SIGINT), -SIGINT, NULL, "4 items went in");
	begin(block_all, "local", "--rate", "100", "--forever");
	watch_wait_said(&current, "\ncollector ", 1);
	expect(end_by(SIGHUP), 0, "", "proof: nothing lost, nothing duplicated\n");
}

static void limit(void)
{
	(void)setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {.tv_sec = LIMIT_S}}, NULL);
}

static void limit_blocked(void)
{
	block_all();
	limit();
}

static void limit_ignored(void)
{
	(void)signal(SIGALRM, SIG_IGN);
	(void)setitimer(ITIMER_REAL, &(struct itimerval){.it_value = {.tv_usec = 1}}, NULL);
}

/* An alarm that was set before is a limit to our time: it ends us as a signal would. */
static void test_limit(void **state)
{
	(void)state;
	pq = watch_make("pq", &(struct sq_config){.capacity = 4});
	expect(whole(limit, "get", "--follow", "-q", "pq"), 0, NULL, NULL);
	expect(whole(limit_blocked, "get", "--timeout", LONG, "pq"), -SIGALRM, NULL,
		"ended by signal 14");
	expect(whole(limit, "collect", "--duration", LONG, "-n", "1", "pq"), -SIGALRM, NULL,
		"ended by signal 14, after 0 of 1");
	expect(whole(limit, "put", "pq", "1", "2", "3", "4", "5"), -SIGALRM, NULL,
		"4 items went in");
	expect(whole(limit, "local", "--rate", "100", "--forever"), 0, "",
		"proof: nothing lost, nothing duplicated\n");
	/* Our own is the earlier one. */
	expect(whole(limit, "collect", "--duration", "10ms", "-n", "9", "pq"), 124, "",
		"the time is up: ");
	/* Ignored by the parent, the alarm is no limit. */
	expect(whole(limit_ignored, "collect", "--duration", "50ms", "-n", "9", "pq"), 124, "",
		"the time is up: ");
}

static void tick(void)
{
	const struct itimerval ticks = {
		.it_interval = {.tv_usec = TICK_US}, .it_value = {.tv_usec = TICK_US}};

	block_all();
	(void)setitimer(ITIMER_REAL, &ticks, NULL);
	(void)setitimer(ITIMER_VIRTUAL, &ticks, NULL);
	(void)setitimer(ITIMER_PROF, &ticks, NULL);
}

/* The kernel does not start ITIMER_REAL again before the tick that is pending has been taken. */
static void tick_pending(void)
{
	tick();
	(void)raise(SIGALRM);
	(void)raise(SIGVTALRM);
	(void)raise(SIGPROF);
}

/* Another program's ticks, a profiler's or a run-time system's, are not for us. */
static void test_ticks(void **state)
{
	static void (*const ticking[])(void) = {tick, tick_pending};

	(void)state;
	pq = watch_make("pq", NULL);
	for (size_t i = 0; i < sizeof(ticking) / sizeof(ticking[0]); i++) {
		expect(whole(ticking[i], "local", "--tasks", "100000", "-q"), 0, "",
			"made             100000 ");
		expect(whole(ticking[i], "put", "pq", "1", "2"), 0, NULL, NULL);
		expect(whole(ticking[i], "get", "--timeout", "300ms", "pq"), 0, "1\n2\n", NULL);
	}
}

static void ignore_hangup(void)
{
	(void)signal(SIGHUP, SIG_IGN);
}

/* As nohup does: that stays. */
static void test_hangup_ignored(void **state)
{
	(void)state;
	pq = watch_make("pq", NULL);
	begin(ignore_hangup, "get", "--follow", "-q", "pq");
	watch_put(pq, "1");
	watch_wait_depth(pq, 0);
	assert_int_equal(kill(current.pid, SIGHUP), 0);
	watch_put(pq, "2");
	assert_int_equal(sq_join(pq, WATCH_PATIENCE), 0);
	expect(end_by(SIGTERM), 0, "1\n2\n", NULL);
	begin(ignore_hangup, "local", "--rate", "100", "--forever");
	watch_wait_said(&current, "\ncollector ", 1);
	assert_int_equal(kill(current.pid, SIGHUP), 0);
	watch_wait_said(&current, "\ndone ", 1);
	assert_null(strstr(watch_said(&current), "ending"));
	expect(end_by(SIGINT), 0, "", "proof: nothing lost, nothing duplicated\n");
}

static void close_input(void)
{
	(void)close(STDIN_FILENO);
}

static void close_output(void)
{
	(void)close(STDOUT_FILENO);
}

static void close_error(void)
{
	(void)close(STDERR_FILENO);
}

static void close_all(void)
{
	close_input();
	close_output();
	close_error();
}

/* And there is nothing that could take their place. */
static void close_all_for_good(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("/dev/shm", "/mnt", NULL, MS_BIND, NULL) < 0 ||
		mount("tmpfs", "/dev", "tmpfs", 0, "mode=0755") < 0 ||
		mkdir("/dev/shm", 0755) < 0 || mount("/mnt", "/dev/shm", NULL, MS_BIND, NULL) < 0)
		_exit(125);
	close_all();
}

/* Nothing is read or written but the queue, and not where a descriptor should have been. */
static void test_closed(void **state)
{
	static void (*const close_some[])(void) = {
		close_input, close_output, close_error, close_all};
	struct outcome o;

	(void)state;
	pq = watch_make("pq", NULL);
	for (size_t i = 0; i < sizeof(close_some) / sizeof(close_some[0]); i++) {
		bool out = close_some[i] == close_output || close_some[i] == close_all;

		assert_int_equal(whole(close_some[i], "put", "pq", "7").code, 0);
		o = whole(close_some[i], "get", "pq");
		assert_int_equal(o.code, out ? 74 : 0);
		assert_int_equal(watch_stat(pq).depth, out ? 1 : 0);
		if (out)
			assert_int_equal(watch_get_number(pq), 7);
		assert_int_equal(whole(close_some[i], "local", "--tasks", "10").code, out ? 74 : 0);
	}
	assert_null(sq_check("pq"));
	o = whole(close_all_for_good, "put", "pq", "7");
	if (o.code == 125)
		print_message("no mounts here\n");
	else
		assert_int_equal(o.code, 69);
	assert_int_equal(watch_stat(pq).depth, 0);
	assert_null(sq_check("pq"));
}

static void umask_all(void)
{
	(void)umask(0777);
}

static void umask_none(void)
{
	(void)umask(0);
}

static void test_umask(void **state)
{
	struct stat st;

	(void)state;
	expect(whole(umask_all, "create", "a"), 0, NULL, NULL);
	assert_int_equal(stat(run_path("a"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	expect(whole(umask_all, "create", "--mode", "0666", "b"), 0, NULL, NULL);
	assert_int_equal(stat(run_path("b"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0666);
	expect(whole(umask_none, "create", "c"), 0, NULL, NULL);
	assert_int_equal(stat(run_path("c"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_children_ignored, clean),
		cmocka_unit_test_teardown(test_children_stolen, clean),
		cmocka_unit_test_teardown(test_blocked, clean),
		cmocka_unit_test_teardown(test_limit, clean),
		cmocka_unit_test_teardown(test_ticks, clean),
		cmocka_unit_test_teardown(test_hangup_ignored, clean),
		cmocka_unit_test_teardown(test_closed, clean),
		cmocka_unit_test_teardown(test_umask, clean),
	};

	run_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
