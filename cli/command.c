/* SPDX-License-Identifier: ISC */
#include "command.h"

#include <stdio.h>
#include <string.h>

#include "guess.h"
#include "report.h"

/* The table of commands, and finding the one that was meant. */

const struct command commands[] = {
	{"local", "[OPTION...]",
		"the whole job on this machine: producers, workers, collector, proof", help_local,
		cmd_local},
	{"produce", "[OPTION...] QUEUE", "put random integers: the recipe's producer", help_produce,
		cmd_produce},
	{"work", "[OPTION...] TASKS RESULTS", "square them: the recipe's consumers", help_work,
		cmd_work},
	{"collect", "[OPTION...] QUEUE", "write the results as they come: the recipe's God",
		help_collect, cmd_collect},
	{"create", "[OPTION...] QUEUE...", "make queues", help_create, cmd_create},
	{"ls", "[-a] [--json]", "list queues", help_ls, cmd_ls},
	{"stat", "[--json] QUEUE...", "what is in a queue and what went through it", help_stat,
		cmd_stat},
	{"bridge", "[-a] [--json] [NAME]",
		"the daemons that carry queues between hosts, and how it is with them", help_bridge,
		cmd_bridge},
	{"put", "[OPTION...] QUEUE [ITEM...]", "put items, or the lines of standard input",
		help_put, cmd_put},
	{"get", "[OPTION...] QUEUE", "take items and write them as lines", help_get, cmd_get},
	{"rm", "[-f] QUEUE...", "remove queues", help_rm, cmd_rm},
	{"gc", "[-a] [QUEUE...]", "give back what dead processes held; remove what they left",
		help_gc, cmd_gc},
	{"help", "[COMMAND]", "this, or more about a command", help_help, cmd_help},
	{0},
};

const struct command *command_find(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

/* The one that may have been meant. NULL: none. */
static const struct command *guess(const char *name)
{
	const struct command *best = NULL;
	unsigned least = GUESS_NONE;

	for (const struct command *c = commands; c->name; c++)
		if (guess_distance(name, c->name) < least) {
			least = guess_distance(name, c->name);
			best = c;
		}
	return best;
}

int command_report_unknown(const char *name)
{
	const struct command *meant = guess(name);

	if (meant)
		return report(EXIT_USAGE,
			"no such command: %s; did you mean `sqctl %s`? `sqctl help` lists them all",
			name, meant->name);
	return report(EXIT_USAGE, "no such command: %s; `sqctl help` lists them", name);
}

void command_help(const struct command *c)
{
	printf("usage: sqctl %s %s\n\n%s\n%s%s", c->name, c->arguments, c->summary,
		*c->help ? "\n" : "", c->help);
}
