/* SPDX-License-Identifier: ISC */
#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 16
#define EXIT_USAGE  64

static struct {
	const char *name;
	bool takes; /* a value */
} asked[OPTIONS_MAX];
static unsigned n_asked;

bool option_is_taken(const char *option)
{
	for (unsigned i = 0; i < n_asked; i++)
		if (strcmp(asked[i].name, option) == 0)
			return true;
	return false;
}

static void note(const char *option, bool takes)
{
	if (option_is_taken(option))
		return;
	if (n_asked == OPTIONS_MAX)
		abort();
	asked[n_asked].name = option;
	asked[n_asked++].takes = takes;
}

static __attribute__((noreturn, format(printf, 1, 2))) void refuse(const char *format, ...);

static void refuse(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fprintf(stderr, "; the options are:");
	for (unsigned i = 0; i < n_asked; i++)
		(void)fprintf(stderr, " %s%s", asked[i].name, asked[i].takes ? "=..." : "");
	(void)fprintf(stderr, "\n");
	exit(EXIT_USAGE);
}

/* What follows the option's name in this argument: "", or "=" and the value; NULL: it is another. */
static const char *behind(const char *arg, const char *option)
{
	size_t n = strlen(option);

	if (strncmp(arg, option, n) != 0 || (arg[n] && arg[n] != '='))
		return NULL;
	return arg + n;
}

const char *option_text(int argc, char **argv, const char *option, const char *fallback)
{
	const char *found = fallback;

	note(option, true);
	for (int i = 1; i < argc; i++) {
		const char *rest = behind(argv[i], option);

		if (rest && *rest)
			found = rest + 1;
		else if (rest && i + 1 < argc)
			found = argv[i + 1];
	}
	return found;
}

uint64_t option_number(int argc, char **argv, const char *option, uint64_t fallback)
{
	const char *text = option_text(argc, argv, option, NULL);
	unsigned long long number;
	char *end;

	if (!text)
		return fallback;
	errno = 0;
	number = strtoull(text, &end, 0);
	if (end == text || *end || errno)
		refuse("%s %s: no number from 0 to %" PRIu64, option, text, UINT64_MAX);
	return number;
}

bool option_flag(int argc, char **argv, const char *option)
{
	note(option, false);
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], option) == 0)
			return true;
	return false;
}

void options_end(int argc, char **argv)
{
	for (int at = 1; at < argc; at++) {
		const char *rest = NULL;
		unsigned i;

		for (i = 0; i < n_asked; i++) {
			rest = behind(argv[at], asked[i].name);
			if (rest && (asked[i].takes || !*rest))
				break;
		}
		if (i == n_asked)
			refuse("%s: unknown", argv[at]);
		if (asked[i].takes && !*rest && ++at == argc)
			refuse("%s: no value", asked[i].name);
	}
}
