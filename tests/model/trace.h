/* SPDX-License-Identifier: ISC */
#ifndef TESTS_MODEL_TRACE_H
#define TESTS_MODEL_TRACE_H

#include <stdint.h>

/* A run told to people, step by step, if they asked for it (explorer.trace). */

struct event;

void trace_before(unsigned who);            /* a step of this participant comes ... */
void trace_first(unsigned who);             /* ... and is known only now */
void trace_after(unsigned who);             /* it is done */
void trace_act(const char *what, int who);  /* something else happened */
void trace_call(const struct event *event); /* a call begins or ends */

#endif
