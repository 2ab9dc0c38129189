/* SPDX-License-Identifier: ISC */
#include "options.h"

#include <stdlib.h>
#include <string.h>

const char *option_text(int argc, char **argv, const char *option, const char *fallback)
{
	size_t n = strlen(option);
	const char *found = fallback;

	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], option, n) != 0)
			continue;
		if (argv[i][n] == '=')
			found = argv[i] + n + 1;
		else if (!argv[i][n] && i + 1 < argc)
			found = argv[i + 1];
	}
	return found;
}

uint64_t option_number(int argc, char **argv, const char *option, uint64_t fallback)
{
	const char *text = option_text(argc, argv, option, NULL);

	return text ? strtoull(text, NULL, 0) : fallback;
}

bool option_flag(int argc, char **argv, const char *option)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], option) == 0)
			return true;
	return false;
}
