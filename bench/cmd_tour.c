/* SPDX-License-Identifier: ISC */
#include "command.h"
#include "out.h"
#include "say.h"

/* sqbench without a command: a minute, and a bit of everything. */

static struct list only(uint64_t v)
{
	return (struct list){.n = 1, .v = {v}};
}

int cmd_tour(const struct options *given)
{
	struct options o = *given;
	int code;

	o.size = only(64);
	o.batch = (struct list){.n = 2, .v = {1, 32}};
	o.ends[0] = (struct ends){1, 1};
	o.ends_n = 1;
	out_note(
		"A minute's look: few and short runs; `sqbench help` has the commands that take longer.");
	out_note(
		"Messages of 64 B a second, one by one and 32 at a time; a message there and back; the");
	out_note(
		"recipe's job, a task's way through two queues. Beside each, what else people use.");
	out_note(
		"CPUs are near while a line goes there and back in up to 200 ns, else far; 1x1: one producer and");
	out_note(
		"one consumer. Each waits in the way that is best for it: its own, or pauses and another look.");
	code = cmd_peers(&o);
	if (code == EXIT_DONE)
		code = cmd_latency(&o);
	if (code == EXIT_DONE)
		code = cmd_job(&o);
	return code;
}
