/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <cmocka.h>

#include "local_run.h"
#include "terminal.h"

/* sqctl local on a terminal: a sample of the results, and progress in one line that fits. */

/* A number above 0 behind this, anywhere. */
static bool positive(const char *text, const char *label)
{
	for (; (text = strstr(text, label)) != NULL; text++)
		if (text[strlen(label)] >= '1' && text[strlen(label)] <= '9')
			return true;
	return false;
}

static bool has_sample_and_progress(const char *text)
{
	return strstr(text, " = ") && positive(text, "\r\033[Kdone ");
}

static bool has_tasks_waiting(const char *text)
{
	return positive(text, "waiting: tasks ");
}

static bool has_results_waiting(const char *text)
{
	return positive(text, ", results ");
}

/*
 * The lines of results in what the terminal got: each of them right. Several processes write there:
 * what another of them said may stand before or behind one, and those it stands before are left out.
 */
static uint64_t count_samples(char *text)
{
	char want[128], *rest;
	uint64_t n = 0;
	size_t len;

	for (char *at = strtok_r(text, "\r\n", &rest); at; at = strtok_r(NULL, "\r\n", &rest)) {
		if (strncmp(at, "\033[K", 3) == 0)
			at += 3;
		if (!strstr(at, " = ") || *at < '0' || *at > '9')
			continue;
		len = right_line(want, strtoull(at, NULL, 10));
		if (strncmp(at, want, len) != 0 || (at[len] >= '0' && at[len] <= '9'))
			fail_msg("a wrong line: '%s'", at);
		n++;
	}
	return n;
}

static void test_terminal(void **state)
{
	struct start how = {.child = errors_to_terminal};
	uint64_t samples, collected;
	int64_t from = watch_now_ns();
	struct outcome o;

	(void)state;
	open_terminal();
	how.out = terminal.slave;
	begin_with(&how, "--rate", "1000", "--duration", LONG);
	leave_terminal();
	read_terminal_until(has_sample_and_progress);
	assert_int_equal(kill(current.pid, SIGINT), 0);
	close_terminal();
	o = end();
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(terminal.text,
		"a sample of the results follows; `sqctl local > FILE` gets every line\r\n"));
	assert_non_null(strstr(terminal.text, "proof: nothing lost, nothing duplicated\r\n"));
	assert_non_null(strstr(terminal.text, "/s  waiting: tasks "));
	collected = number("collected");
	assert_true(collected > 100);
	samples = count_samples(terminal.text);
	/* At most ten a second. */
	assert_in_range(samples, 1, (watch_now_ns() - from) / (SECOND / 10) + 1);
	assert_int_equal(left(), 0);
}

/* Only the results go to a terminal: progress is for a log. */
static void test_terminal_for_results(void **state)
{
	struct outcome o;

	(void)state;
	open_terminal();
	begin_with(&(struct start){.out = terminal.slave}, "--rate", "1000", "--duration", LONG);
	leave_terminal();
	wait_said("\ndone ", 1);
	assert_int_equal(kill(current.pid, SIGINT), 0);
	close_terminal();
	o = end();
	expect(o, 0, NULL, "a sample of the results follows");
	expect(o, 0, NULL, "/s  waiting: tasks ");
	assert_null(strchr(o.err, '\r'));
	assert_null(strchr(o.err, '\033'));
	assert_null(strchr(terminal.text, '\033'));
	assert_in_range(count_samples(terminal.text), 1, number("collected") / 2);
}

/* Only progress goes to a terminal: the file gets every line. The depths are those of the queues. */
static void test_terminal_for_progress(void **state)
{
	struct results r;
	struct outcome o;
	pid_t pid;

	(void)state;
	open_terminal();
	begin_with(&(struct start){.child = errors_to_terminal}, "--rate", "1000", "--workers", "1",
		"--duration", LONG);
	leave_terminal();
	pid = stop_child("sq-worker1");
	read_terminal_until(has_tasks_waiting);
	assert_int_equal(kill(pid, SIGCONT), 0);
	pid = stop_child("sq-collector1");
	read_terminal_until(has_results_waiting);
	assert_int_equal(kill(pid, SIGCONT), 0);
	assert_int_equal(kill(current.pid, SIGINT), 0);
	close_terminal();
	o = end();
	expect(o, 0, "", NULL);
	r = results_of(o.out, o.out_len);
	assert_int_equal(r.count, number("collected"));
	assert_true(watch_count(terminal.text, "\r\033[Kdone ") > 1);
	assert_null(strstr(terminal.text, "a sample"));
	drop(&r);
}

static bool has_more_progress(const char *text)
{
	return watch_count(text, "\ndone ") > 1 || watch_count(text, "\r\033[Kdone ") > 3;
}

/* No line of progress is as long as that terminal is wide: else it wraps, and is not drawn over. */
static void test_terminal_narrow(void **state)
{
	static const unsigned short widths[] = {20, 40, 50};

	(void)state;
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
		const struct winsize size = {.ws_row = 24, .ws_col = widths[i]};
		size_t longest = 0;

		open_terminal();
		assert_int_equal(ioctl(terminal.slave, TIOCSWINSZ, &size), 0);
		begin_with(&(struct start){.child = errors_to_terminal}, "--rate", "1000",
			"--duration", LONG);
		leave_terminal();
		read_terminal_until(has_more_progress);
		assert_int_equal(kill(current.pid, SIGINT), 0);
		close_terminal();
		assert_int_equal(end().code, 0);
		for (const char *at = terminal.text; (at = strstr(at, "\033[Kdone ")) != NULL;) {
			size_t len = strcspn(at += strlen("\033[K"), "\r\n");

			longest = len > longest ? len : longest;
		}
		assert_int_equal(longest, widths[i] - 1);
	}
}

/* One that knows no escapes gets lines, as a log does. */
static void test_terminal_dumb(void **state)
{
	struct start how = {.child = errors_to_dumb_terminal};

	(void)state;
	open_terminal();
	how.out = terminal.slave;
	begin_with(&how, "--rate", "1000", "--duration", LONG);
	leave_terminal();
	read_terminal_until(has_more_progress);
	assert_int_equal(kill(current.pid, SIGINT), 0);
	close_terminal();
	assert_int_equal(end().code, 0);
	assert_null(strchr(terminal.text, '\033'));
	assert_non_null(strstr(terminal.text, "proof: nothing lost, nothing duplicated\r\n"));
}

/* With --json nothing but the object is on the terminal, when it ends. */
static bool has_object(const char *text)
{
	return strstr(text, "}\r\n") != NULL;
}

static void test_terminal_json(void **state)
{
	struct outcome o;

	(void)state;
	open_terminal();
	current = sqctl_start(
		&(struct start){.out = terminal.slave}, "local", "--json", "--tasks", "1000");
	leave_terminal();
	read_terminal_until(has_object);
	close_terminal();
	o = end();
	expect(o, 0, NULL, "proof: nothing lost, nothing duplicated\n");
	assert_null(strstr(o.err, "a sample"));
	assert_int_equal(*terminal.text, '{');
	assert_int_equal(watch_count(terminal.text, "\n"), 1);
}

static bool has_rates(const char *text)
{
	return watch_count(text, "\r\033[Kdone ") > 3;
}

/* At the recipe's pace, too, each line has a rate. */
static void test_terminal_slow(void **state)
{
	int lines = 0;

	(void)state;
	open_terminal();
	begin_with(&(struct start){.child = errors_to_terminal}, "--rate", "10/3s", "--duration",
		LONG);
	leave_terminal();
	read_terminal_until(has_rates);
	assert_int_equal(kill(current.pid, SIGINT), 0);
	close_terminal();
	assert_int_equal(end().code, 0);
	for (const char *at = terminal.text; (at = strstr(at, "\033[Kdone ")) != NULL; lines++) {
		double rate = -1;

		assert_int_equal(sscanf(at += strlen("\033[K"), "done %*u  %lf/s", &rate), 1);
		assert_true(rate >= 0);
	}
	assert_true(lines > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_terminal, local_clean),
		cmocka_unit_test_teardown(test_terminal_for_results, local_clean),
		cmocka_unit_test_teardown(test_terminal_for_progress, local_clean),
		cmocka_unit_test_teardown(test_terminal_narrow, local_clean),
		cmocka_unit_test_teardown(test_terminal_dumb, local_clean),
		cmocka_unit_test_teardown(test_terminal_json, local_clean),
		cmocka_unit_test_teardown(test_terminal_slow, local_clean),
	};

	local_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
