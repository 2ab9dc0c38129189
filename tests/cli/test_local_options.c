/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "local_run.h"

/* sqctl local: what it is told to do, and what it does not take. */

static void soon(void)
{
	(void)alarm(5);
}

static void test_quiet(void **state)
{
	struct outcome o;

	(void)state;
	o = local("--tasks", "10", "-q");
	expect(o, 0, "", "proof: nothing lost");
	assert_int_equal(strncmp(o.err, "made ", 5), 0);
	o = local("--tasks", "10", "--quiet");
	assert_int_equal(strncmp(o.err, "made ", 5), 0);
}

static void test_usage(void **state)
{
	static const struct {
		const char *option, *value, *allowed;
	} wrong[] = {
		{"--producers", "0", "must be a whole number from 1 to 256"},
		{"--producers", "257", "must be a whole number from 1 to 256"},
		{"--workers", "0", "must be a whole number from 1 to 1024"},
		{"--workers", "two", "must be a whole number from 1 to 1024"},
		{"--tasks", "-1", "must be a whole number from 0 to 9223372036854775807"},
		{"--tasks", "", "must be a whole number from 0 to 9223372036854775807"},
		{"--duration", "1y", "must be a span of time such as 250ms, 1.5s, 2m or 1h"},
		{"--duration", "1y",
			"a number and ns, us, ms, s, m, h or d (without one: seconds), to "},
		{"--duration", "200000d", ", to 104166d; see"},
		{"--duration", "-1s", "must be a span of time such as"},
		{"--rate", "0", "must be a rate such as 100 (a second), 100/s or 10/3s"},
		{"--rate", "10/", "must be a rate such as"},
		{"--rate", "10/0s", "must be a rate such as"},
		{"--max", "-1", "is no integer from 0 to 18446744073709551615"},
		{"--max", "18446744073709551616", "is no integer from 0 to 18446744073709551615"},
		{"--max", "1e6", "is no integer from 0 to 18446744073709551615"},
		{"--seed", "x", "is no integer from 0 to 18446744073709551615"},
		{"--capacity", "1", "must be a whole number from 2 to 1073741824"},
		{"--capacity", "2G", "must be a whole number from 2 to 1073741824"},
		{"--prefix", "a.b", "must be 1 to 64 letters, digits, - and _"},
		{"--prefix", "", "must be 1 to 64 letters, digits, - and _"},
		{"--prefix", "../x", "must be 1 to 64 letters, digits, - and _"},
	};
	const struct start how = {.child = soon};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct outcome o = sqctl_with(&how, "local", wrong[i].option, wrong[i].value);

		expect(o, 64, NULL, wrong[i].option);
		expect(o, 64, NULL, wrong[i].value);
		expect(o, 64, NULL, wrong[i].allowed);
		expect(o, 64, NULL, "; see `sqctl help local`\n");
		expect(sqctl_with(&how, "local", wrong[i].option), 64, NULL, wrong[i].option);
	}
	expect(sqctl_with(&how, "local", "--tasks", "1", "--json", "x.json"), 64, NULL,
		"it takes options only; if 'x.json' is the value of --json, write --json=x.json; see");
	expect(sqctl_with(&how, "local", "--tasks", "1", "--forever"), 64, NULL,
		"--tasks, --duration and --forever exclude each other");
	expect(sqctl_with(&how, "local", "--tasks", "1", "--duration", "1s"), 64, NULL,
		"--tasks, --duration and --forever exclude each other");
	expect(sqctl_with(&how, "local", "--forever", "--duration", "1s"), 64, NULL,
		"--tasks, --duration and --forever exclude each other");
	/* None at all is no wish to go on for ever. */
	expect(sqctl_with(&how, "local", "--duration", "0"), 64, NULL, "--duration");
	expect(sqctl_with(&how, "local", "--nonsense"), 64, NULL, "--nonsense");
	expect(sqctl_with(&how, "local", "-x"), 64, NULL, "-x");
	expect(sqctl_with(&how, "local", "pq"), 64, NULL, "'pq'");
	assert_int_equal(left(), 0);
}

/* Queues that are there already are not touched, and none of ours stays beside them. */
static void test_existing(void **state)
{
	char told[128];

	(void)state;
	expect(sqctl(NULL, "create", queue("pq")), 0, NULL, "is the queue pq of the prefix");
	expect(sqctl(NULL, "put", queue("pq"), "7"), 0, NULL, NULL);
	(void)snprintf(told, sizeof(told), "there is a queue %s already", queue("pq"));
	expect(local("--prefix", prefix(), "--tasks", "1"), 73, NULL, told);
	expect(sqctl(NULL, "get", queue("pq")), 0, "7\n", NULL);
	assert_int_equal(left(), 1);
	expect(sqctl(NULL, "rm", queue("pq")), 0, NULL, NULL);
	expect(sqctl(NULL, "create", queue("cq")), 0, NULL, "is the queue cq of the prefix");
	(void)snprintf(told, sizeof(told), "there is a queue %s already", queue("cq"));
	expect(local("--prefix", prefix(), "--tasks", "1"), 73, NULL, told);
	assert_int_equal(left(), 1);
	expect(sqctl(NULL, "stat", queue("cq")), 0, "", NULL);
}

static void test_no_room(void **state)
{
	struct statvfs fs;

	(void)state;
	assert_int_equal(statvfs("/dev/shm", &fs), 0);
	/* The largest takes 64 GiB. */
	if (fs.f_blocks * fs.f_frsize > UINT64_C(32) << 30) {
		print_message("this /dev/shm has room for the largest queue\n");
		return;
	}
	expect(local("--tasks", "1", "--capacity", "1G"), 73, NULL, "--capacity");
	assert_int_equal(left(), 0);
}

/* The object alone, and none of the results; or in a file, and all else as without it. */
static void test_json(void **state)
{
	struct outcome o;
	size_t len;

	(void)state;
	o = sqctl(NULL, "local", "--tasks", "1000", "--json");
	expect(o, 0, "{\"proof\":\"holds\",\"not_true\":[],\"queues\":[\"", "proof: nothing lost");
	expect(o, 0, ",\"made\":1000,\"made_by_others\":0,\"done\":1000,",
		"made               1000  by");
	expect(o, 0, ",\"collected\":1000,\"wrong\":0,\"written\":0,",
		"collected          1000  of them wrong: 0\n");
	assert_int_equal(*o.out, '{');
	len = strlen(o.out);
	assert_int_equal(len, o.out_len);
	assert_string_equal(o.out + len - 2, "}\n");
	assert_int_equal(watch_count(o.out, "\n"), 1);
	o = local("--tasks", "1000", "-q");
	expect(o, 0, " * ", "made               1000  by");
	assert_int_equal(watch_count(o.out, "\n"), 1000);
	expect_json(",\"collected\":1000,\"wrong\":0,\"written\":1000,");
	assert_int_equal(watch_count(json(), "\n"), 1);
	expect(sqctl(NULL, "local", "--json=/nonexistent/file"), 74, NULL,
		"cannot write /nonexistent/file: No such file or directory");
	expect(sqctl(NULL, "local", "--tasks", "9", "--json=/dev/full"), 74, "",
		"cannot write /dev/full: No space left on device");
	assert_int_equal(left(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_quiet, local_clean),
		cmocka_unit_test_teardown(test_usage, local_clean),
		cmocka_unit_test_teardown(test_existing, local_clean),
		cmocka_unit_test_teardown(test_no_room, local_clean),
		cmocka_unit_test_teardown(test_json, local_clean),
	};

	local_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
