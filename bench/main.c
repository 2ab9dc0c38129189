/* SPDX-License-Identifier: ISC */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "guess.h"
#include "out.h"
#include "say.h"
#include "sq.h"
#include "stop.h"

/* sqbench: from the command line to the command. */

static const struct command commands[] = {
	{"ring", FOR_RING, "messages a second through a queue, by size, ends, batch and way",
		cmd_ring},
	{"peers", FOR_PEERS, "the same work over what people would use instead", cmd_peers},
	{"latency", FOR_LATENCY, "a message there and back, spinning and sleeping", cmd_latency},
	{"job", FOR_JOB, "the recipe from end to end, beside ZeroMQ and Python", cmd_job},
	{"bridge", FOR_BRIDGE, "hub and leaf on this machine, beside ZeroMQ, iperf3 and bare TCP",
		cmd_bridge},
	{"tour", FOR_TOUR,
		"a bit of all but the bridge, in a minute: what sqbench without a command does",
		cmd_tour},
	{"bars", FOR_BARS,
		"all that is asked of sq, the bridge included, and whether it is reached: some minutes",
		cmd_bars},
	{0},
};

static const char rest[] =
	"\n"
	"Every figure is the median of runs that alternate with those of what stands beside it. How far\n"
	"the two CPUs are from each other is probed before and after each run: a line there and back in\n"
	"up to 200 ns is near, and near runs are told apart from far ones; --near waits for near ones. In every\n"
	"run all messages are written and read in full, counted, and compared by a checksum. 1x1 is one\n"
	"producer and one consumer. Who waits does so in its own way, or pauses so often and looks again.\n"
	"\n"
	"`sqbench help COMMAND` has the options. All take --runs; all but latency take --time, how long a run\n"
	"should be (100ms); latency takes --trips.\n"
	"\n"
	"exit codes\n"
	"   0  done\n"
	"   1  done, and a bar was missed, by near runs or, where there were none, far ones (--bars)\n"
	"  64  usage: wrong command, option or value\n"
	"  69  not there: a peer, sqbridge, a CPU, memory\n"
	"  70  a message was lost, doubled or changed\n"
	"  74  output failed\n";

static const struct command *find(const char *name)
{
	for (const struct command *c = commands; c->name; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static int unknown(const char *name)
{
	const struct command *meant = NULL;
	unsigned least = GUESS_NONE;

	for (const struct command *c = commands; c->name; c++)
		if (guess_distance(name, c->name) < least) {
			least = guess_distance(name, c->name);
			meant = c;
		}
	if (meant)
		return say(EXIT_USAGE,
			"no such command: %s; did you mean `sqbench %s`? `sqbench help` lists them",
			name, meant->name);
	return say(EXIT_USAGE, "no such command: %s; `sqbench help` lists them", name);
}

static int help_command(const struct command *c)
{
	printf("usage: sqbench %s [OPTION...]\n\n%s\n\n", c->name, c->summary);
	options_help(c->self);
	return out_flush();
}

static int help(const char *name)
{
	const struct command *c = name ? find(name) : NULL;

	if (name && !c)
		return unknown(name);
	if (c)
		return help_command(c);
	printf("sqbench: what the queues reach, and what stands beside them\n\n"
	       "usage: sqbench COMMAND [OPTION...]\n"
	       "       sqbench help COMMAND\n\n");
	for (c = commands; c->name; c++)
		printf("  %-8s %s\n", c->name, c->summary);
	fputs(rest, stdout);
	return out_flush();
}

static int run(const struct command *c, int argc, char **argv)
{
	struct options options;
	int code, end;

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return help_command(c);
	code = options_read(&options, c->name, c->self, argc, argv);
	if (code != EXIT_DONE)
		return code;
	stop_catch();
	code = out_begin(&options);
	if (code != EXIT_DONE)
		return code;
	code = c->run(&options);
	end = out_end();
	stop_die();
	return code != EXIT_DONE ? code : end;
}

int main(int argc, char **argv)
{
	const struct command *c;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
	if (argc < 2)
		return run(find("tour"), argc, argv);
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		printf("sqbench %s\n", sq_version());
		return out_flush();
	}
	if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 ||
		strcmp(argv[1], "-h") == 0)
		return argc > 3 ? say(EXIT_USAGE, "one command at a time") : help(argv[2]);
	if (argv[1][0] == '-')
		return run(find("tour"), argc, argv);
	c = find(argv[1]);
	if (!c)
		return unknown(argv[1]);
	return run(c, argc - 1, argv + 1);
}
