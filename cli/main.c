/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "inherited.h"
#include "output.h"
#include "report.h"
#include "sq.h"

/* sqctl: from the command line to the command, and what is the same for all of them. */

/*
 * --help counts also where an option's value, or an item, could stand: an item that looks like it
 * must come behind --.
 */
static bool wants_help(int argc, char **argv)
{
	for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0)
			return true;
	return false;
}

static int run(int argc, char **argv)
{
	const struct command *c;

	if (argc < 2) {
		/* This is an error, so the help goes to standard error. */
		(void)dup2(STDERR_FILENO, STDOUT_FILENO);
		(void)cmd_help(1, (char *[]){(char *)"help", NULL});
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0 ||
		strcmp(argv[1], "version") == 0) {
		printf("sqctl %s\n", sq_version());
		return EXIT_DONE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return cmd_help(1, argv + 1);
	c = command_find(argv[1]);
	if (!c)
		return command_report_unknown(argv[1]);
	if (wants_help(argc, argv)) {
		command_help(c);
		return EXIT_DONE;
	}
	return c->run(argc - 1, argv + 1);
}

/* Flush what commands have printed. Commands that write items have written them themselves. */
static int end_output(int code)
{
	int error = fflush(stdout) == EOF ? errno : 0;

	if (code != EXIT_DONE || (!error && !ferror(stdout)) || error == EPIPE || output_gone())
		return code;
	/* If an earlier write failed, the reason is not known any more. */
	return report(EXIT_IO, "cannot write%s%s; see what standard output is",
		error ? ": " : " all of it", error ? strerror(error) : "");
}

int main(int argc, char **argv)
{
	int code;

	/* Processes of a run share it: each line goes out in one piece. */
	(void)setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
	code = inherited_init();
	return code == EXIT_DONE ? end_output(run(argc, argv)) : code;
}
