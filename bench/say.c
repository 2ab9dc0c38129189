/* SPDX-License-Identifier: ISC */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 2, 0))) static int speak(
	int code, const char *format, va_list args, const char *command)
{
	char text[600];

	(void)vsnprintf(text, sizeof(text), format, args);
	if (command)
		fprintf(stderr, "sqbench %s: %s; see `sqbench help %s`\n", command, text, command);
	else
		fprintf(stderr, "sqbench: %s\n", text);
	return code;
}

int say(int code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	code = speak(code, format, args, NULL);
	va_end(args);
	return code;
}

int say_usage(const char *command, const char *format, ...)
{
	va_list args;
	int code;

	va_start(args, format);
	code = speak(EXIT_USAGE, format, args, command);
	va_end(args);
	return code;
}
