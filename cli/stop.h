/* SPDX-License-Identifier: ISC */
#ifndef CLI_STOP_H
#define CLI_STOP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * SIGINT, SIGTERM and SIGHUP are requests to end in good order, and so is the end of the time that
 * was given: what is in hand is put away first. So is the alarm that our parent may have set as a
 * time limit (`perl -e 'alarm 10; exec @ARGV' sqctl ...`).
 *
 * System calls return EINTR; calls of the engine do not, so a command waits there in spans of
 * STOP_LOOK_NS and looks in between.
 */

#define STOP_LOOK_NS ((int64_t)100000000)

/* From now on signals are noted only. One that was ignored when we began stays ignored. */
void stop_catch(void);

/* Ask for the end when so much time from now has gone by. After stop_catch(). No signal came then. */
void stop_after(int64_t span_ns);

/* Is it to end? */
bool stop_wanted(void);

/* The signal that came, or 0. */
int stop_signal(void);

/* End by that signal, so that the parent can tell. Returns only if none came. */
void stop_die(void);

#endif
