/* SPDX-License-Identifier: ISC */
#ifndef BENCH_STOP_H
#define BENCH_STOP_H

/* SIGINT and the like end what is under way, and then everything is cleaned up. */

void stop_catch(void);

/* In a child: it has nothing to clean up, and ends. */
void stop_release(void);

/* Nobody reads our output any more: the same as a signal that says so. */
void stop_reader_gone(void);

/* The signal that came, or 0. */
int stop_came(void);

/* Says on standard error which signal came, if one did: EXIT_BROKEN. EXIT_DONE if none did. */
int stop_report(void);

/* After the clean-up: end by that signal, as its sender expects. Returns if none came. */
void stop_die(void);

#endif
