/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "watch.h"

/* For a fuzz target: who keeps the input is told by an abort. */

static const char *in;

void watch_begin(const char *call)
{
	in = call;
}

void watch_end(const char *call, long result)
{
	(void)call;
	(void)result;
	in = NULL;
}

void watch_note(const char *format, ...)
{
	(void)format;
}

noreturn void watch_broken(const char *format, ...)
{
	va_list args;

	if (in)
		(void)fprintf(stderr, "in %s: ", in);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fputc('\n', stderr);
	abort();
}
