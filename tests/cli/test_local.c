/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "local_run.h"

/* sqctl local: every line is right, and every task is accounted for. */

static void test_lines(void **state)
{
	static const struct {
		const char *producers, *workers, *tasks, *max, *capacity;
		uint64_t at_least, at_most; /* the largest n that comes */
	} runs[] = {
		{"2", "2", "20000", "1000000", "8192", 999000, 1000000},
		{"1", "1", "20000", "18446744073709551615", "8192", UINT64_C(1) << 63, UINT64_MAX},
		{"3", "4", "10007", "18446744073709551615", "2", UINT64_C(1) << 63, UINT64_MAX},
		{"5", "3", "1", "4294967296", "8192", 0, 4294967296},
		{"1", "2", "3001", "4294967297", "64", 4280000000, 4294967297},
		{"2", "1", "9999", "9", "8192", 9, 9},
		{"1", "1", "7", "0", "8192", 0, 0},
		{"2", "3", "0", "1000000", "8192", 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		struct results r = expect_clean(local("--producers", runs[i].producers, "--workers",
			runs[i].workers, "--tasks", runs[i].tasks, "--max", runs[i].max,
			"--capacity", runs[i].capacity, "--seed", "1"));
		uint64_t largest = r.count ? r.n[r.count - 1] : 0;

		assert_int_equal(r.count, strtoul(runs[i].tasks, NULL, 10));
		assert_in_range(largest, runs[i].at_least, runs[i].at_most);
		drop(&r);
	}
}

static void test_seed(void **state)
{
	struct results a, b;
	struct outcome o;
	char seed[32];

	(void)state;
	a = expect_clean(
		local("--tasks", "5001", "--seed", "18446744073709551615", "--max", "999"));
	b = expect_clean(local("--tasks", "5001", "--seed", "18446744073709551615", "--max", "999",
		"--workers", "5", "--capacity", "16"));
	same(&a, &b);
	drop(&b);
	b = expect_clean(local("--tasks", "5001", "--seed", "1", "--max", "999"));
	assert_int_equal(a.count, b.count);
	assert_true(a.sum != b.sum);
	drop(&a);
	drop(&b);
	/* One that was not chosen is another each time, and it is told. */
	o = local("--tasks", "5001");
	assert_int_equal(
		sscanf(strstr(o.err, "seed") ? strstr(o.err, "seed") : "", "seed %31[0-9]", seed),
		1);
	a = expect_clean(o);
	b = expect_clean(local("--tasks", "5001", "--seed", seed));
	same(&a, &b);
	drop(&b);
	b = expect_clean(local("--tasks", "5001"));
	assert_true(a.sum != b.sum);
	drop(&a);
	drop(&b);
}

static void test_crew(void **state)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct results r;

	(void)state;
	begin("--producers", "3", "--workers", "4", "--forever", "--rate", "1000");
	expect_crew(3, 4);
	r = expect_clean(interrupted());
	drop(&r);
	begin("--rate", "1000", "--duration", LONG);
	if (cpus > 0 && cpus < WATCH_CHILDREN_MAX - 3)
		expect_crew(2, (int)cpus);
	wait_started();
	r = expect_clean(interrupted());
	drop(&r);
}

/* The recipe's pace, and never faster: the fourth is due 0.9 seconds after the first. */
static void test_rate(void **state)
{
	int64_t from = watch_now_ns();
	struct results r = expect_clean(local("--rate", "10/3s", "--tasks", "4"));

	(void)state;
	assert_int_equal(r.count, 4);
	assert_true(watch_now_ns() - from >= SECOND * 9 / 10);
	drop(&r);
}

/* The time of the third task does not fit a clock: it must not come at once for that. */
static void test_rate_slowest(void **state)
{
	struct results r;
	char c;
	int fd[2];

	(void)state;
	/* When the first is done, all that were due with it have been put. */
	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	begin_with(&(struct start){.out = fd[1]}, "--rate", "1/100000d", "--duration", LONG);
	assert_int_equal(close(fd[1]), 0);
	assert_int_equal(read(fd[0], &c, 1), 1);
	/* With that it ends, however many there are. */
	assert_int_equal(close(fd[0]), 0);
	expect(end(), 0, NULL, "proof: nothing lost, nothing duplicated\n");
	assert_int_equal(number("made"), 1);
	assert_int_equal(number("collected"), 1);
	/* The same, for as long as it is told. */
	r = expect_clean(local("--rate", "1/100000d", "--duration", "300ms"));
	assert_in_range(r.count, 0, 1);
	drop(&r);
}

/*
 * Lines that wait for more to come, and go out when none does: the same as at full speed. The
 * collector's buffer is emptied in all states this way.
 */
static void test_slow(void **state)
{
	struct results fast, slow;

	(void)state;
	fast = expect_clean(local("--seed", "1", "--tasks", "601"));
	slow = expect_clean(local("--seed", "1", "--tasks", "601", "--rate", "1000"));
	same(&fast, &slow);
	drop(&slow);
	slow = expect_clean(local("--tasks", "51", "--rate", "100"));
	assert_int_equal(slow.count, 51);
	drop(&slow);
	drop(&fast);
}

static void test_duration(void **state)
{
	struct results r;
	int64_t from = watch_now_ns();

	(void)state;
	r = expect_clean(local("--duration", "200ms"));
	assert_in_range(watch_now_ns() - from, SECOND / 5, 60 * SECOND);
	drop(&r);
	from = watch_now_ns();
	r = expect_clean(local("--duration", "1s", "--rate", "1000"));
	assert_in_range(watch_now_ns() - from, SECOND, 60 * SECOND);
	drop(&r);
}

/* The program to be run is strace, and ours is its argument. */
static void trace(void)
{
	(void)setenv("SQCTL", "/usr/bin/strace", 1);
	(void)setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* it cannot where others trace */
}

/*
 * A line of strace's table. How often anybody sleeps is the scheduler's business, on a machine that is
 * busy with other things above all: a sleep is at most a nap, a wait, who is dead, and a wake-up by
 * another.
 */
static void count_calls(const char *line, unsigned long long *all, unsigned long long *awake)
{
	static const char *const asleep[] = {"futex", "clock_nanosleep", "fcntl", "wait4",
		"clock_gettime", "rt_sigtimedwait", "restart_syscall", "sched_yield"};
	unsigned long long calls;
	char name[32], errors[32];
	int n = sscanf(line, "%*f %*f %*u %llu %31s %31s", &calls, errors, name);

	if (n < 2)
		return;
	if (n < 3 || strchr("0123456789", errors[0]) == NULL)
		(void)strcpy(name, errors);
	if (strcmp(name, "total") == 0) {
		*all = calls;
		return;
	}
	for (size_t i = 0; i < sizeof(asleep) / sizeof(asleep[0]); i++)
		if (strcmp(name, asleep[i]) == 0)
			return;
	*awake += calls;
}

/*
 * At full speed there is no system call for each message. That a call which need not sleep makes none is shown exactly in
 * tests/kill/no_calls.c.
 */
static void test_system_calls(void **state)
{
	char file[64];
	unsigned long long all = 0, awake = 0;
	char line[256];
	struct outcome o;
	FILE *f;
	int fd;

	(void)state;
	if (access("/usr/bin/strace", X_OK) != 0)
		fail_msg("strace is missing; tests/all.sh installs it");
	if (sqctl_with(&(struct start){.child = trace}, "-o", "/dev/null", getenv("SQCTL"),
		    "--version")
			.code != 0) {
		print_message("nobody may trace here\n");
		return;
	}
	(void)snprintf(file, sizeof(file), "/tmp/sq-strace-%ld", (long)getpid());
	fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	o = sqctl_with(&(struct start){.child = trace}, "-f", "-c", "-o", file, getenv("SQCTL"),
		"local", json_option(), "--tasks", "1000000", "--workers", "2");
	f = fdopen(fd, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		count_calls(line, &all, &awake);
	(void)fclose(f);
	(void)unlink(file);
	expect(o, 0, "", "proof: nothing lost, nothing duplicated");
	assert_int_equal(number("collected"), 1000000);
	print_message(
		"%llu system calls for 1000000 tasks, %llu of them by who did not sleep or wake\n",
		all, awake);
	assert_in_range(awake, 100, 19999);
	assert_in_range(all, awake + 1, 999999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_lines, local_clean),
		cmocka_unit_test_teardown(test_seed, local_clean),
		cmocka_unit_test_teardown(test_crew, local_clean),
		cmocka_unit_test_teardown(test_rate, local_clean),
		cmocka_unit_test_teardown(test_rate_slowest, local_clean),
		cmocka_unit_test_teardown(test_slow, local_clean),
		cmocka_unit_test_teardown(test_duration, local_clean),
		cmocka_unit_test_teardown(test_system_calls, local_clean),
	};

	local_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
