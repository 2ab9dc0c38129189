/* SPDX-License-Identifier: ISC */
#include <stdio.h>

#include "args.h"
#include "command.h"
#include "report.h"

/* sqctl help. */

const char help_help[] = "";

static const char heading[] = "sqctl: message queues in shared memory that survive their users\n"
			      "\n"
			      "usage: sqctl COMMAND [ARGUMENT...]\n"
			      "       sqctl COMMAND --help\n"
			      "       sqctl --version\n"
			      "\n";

static const char rest[] =
	"\n"
	"  sqctl create pq                      make a queue\n"
	"  seq 1000 | sqctl put pq              fill it, a line an item\n"
	"  sqctl get -n 1 --timeout 10s pq      take one, waiting for it\n"
	"  while n=$(sqctl get -q -n 1 --follow pq); do echo $((n * n)); done\n"
	"\n"
	"Data goes to standard output, everything else to standard error. A queue `pq` is the file\n"
	"/dev/shm/sq.PREFIX.pq; `other.pq` names the queue of another prefix.\n"
	"\n"
	"environment\n"
	"  SQ_PREFIX  the prefix of queues' names; else the user's name\n"
	"\n"
	"spans of time\n"
	"  a number and ns, us, ms, s, m, h or d: 250ms, 1.5s, 2m. Without one of them it is seconds.\n"
	"\n"
	"exit codes, the same everywhere\n"
	"    0  done\n"
	"    1  empty, or a proof that failed\n"
	"    3  shut down and drained\n"
	"   64  usage: wrong command, option, value or item\n"
	"   66  no such queue\n"
	"   69  what is needed cannot be had: descriptors, memory, a participant's place in the queue\n"
	"   70  not a queue of this version, or damaged\n"
	"   73  cannot create: there is one, or no room\n"
	"   74  input or output failed\n"
	"   75  full of messages\n"
	"   77  not allowed\n"
	"  124  timed out\n"
	"  128 and more: ended by a signal, of that number less 128: 130 Ctrl-C, 137 kill -9, 143 SIGTERM\n";

int cmd_help(int argc, char **argv)
{
	static const struct args_option none = {0};
	const struct command *c;
	struct args args;
	int code = args_read(&args, &none, argc, argv);

	if (code != EXIT_DONE)
		return code;
	if (args.n > 1)
		return report_usage("help", "one command at a time");
	if (args.n > 0) {
		c = command_find(args.words[0]);
		if (!c)
			return command_report_unknown(args.words[0]);
		command_help(c);
		return EXIT_DONE;
	}
	fputs(heading, stdout);
	for (c = commands; c->name; c++)
		printf("  %-7s %s\n", c->name, c->summary);
	fputs(rest, stdout);
	return EXIT_DONE;
}
