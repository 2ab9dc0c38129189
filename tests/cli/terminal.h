/* SPDX-License-Identifier: ISC */
#ifndef TESTS_CLI_TERMINAL_H
#define TESTS_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* A terminal of ours, and what it was sent so far. */

struct terminal {
	int master, slave;
	size_t len;
	char text[1 << 18];
};

extern struct terminal terminal;

void open_terminal(void);

/* Only who runs on it has it from now on: when they end, it ends. */
void leave_terminal(void);

void read_terminal_until(bool (*seen)(const char *text));

/* When all that run on it have ended. */
void close_terminal(void);

/* For struct start's child: standard error is the terminal; and one that knows no escapes. */
void errors_to_terminal(void);
void errors_to_dumb_terminal(void);

#endif
