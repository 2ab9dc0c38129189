/* SPDX-License-Identifier: ISC */
#include "terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "watch.h"

struct terminal terminal;

void open_terminal(void)
{
	assert_int_equal(openpty(&terminal.master, &terminal.slave, NULL, NULL, NULL), 0);
	assert_int_equal(fcntl(terminal.master, F_SETFD, FD_CLOEXEC), 0);
	assert_int_equal(fcntl(terminal.slave, F_SETFD, FD_CLOEXEC), 0);
	terminal.len = 0;
	terminal.text[0] = '\0';
}

void leave_terminal(void)
{
	assert_int_equal(close(terminal.slave), 0);
}

/* False: it has ended. */
static bool read_terminal(void)
{
	struct pollfd look = {.fd = terminal.master, .events = POLLIN};
	ssize_t n;

	assert_true(terminal.len + 1 < sizeof(terminal.text));
	if (poll(&look, 1, 100) == 0)
		return true;
	n = read(terminal.master, terminal.text + terminal.len,
		sizeof(terminal.text) - terminal.len - 1);
	if (n <= 0)
		return false;
	terminal.len += (size_t)n;
	terminal.text[terminal.len] = '\0';
	return true;
}

void read_terminal_until(bool (*seen)(const char *text))
{
	int64_t until = watch_now_ns() + WATCH_PATIENCE;

	while (!seen(terminal.text))
		if (!read_terminal() || watch_now_ns() > until)
			fail_msg("not seen: %s", terminal.text);
}

void close_terminal(void)
{
	int64_t until = watch_now_ns() + WATCH_PATIENCE;

	while (read_terminal())
		assert_true(watch_now_ns() < until);
	assert_int_equal(close(terminal.master), 0);
}

void errors_to_terminal(void)
{
	(void)setenv("TERM", "xterm", 1);
	(void)dup2(terminal.slave, STDERR_FILENO);
}

void errors_to_dumb_terminal(void)
{
	errors_to_terminal();
	(void)setenv("TERM", "dumb", 1);
}
