/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "args.h"
#include "command.h"
#include "names.h"
#include "report.h"
#include "sq.h"
#include "words.h"

/*
 * sqctl gc. Participants that wait on a queue do the upkeep; this does it for queues on which none
 * waits, from cron or by hand.
 */

const char help_gc[] =
	"  -a, --all  the queues of all prefixes, not only of ours\n"
	"\n"
	"Without names: all queues, and the remains of creations that were killed. What dead processes had\n"
	"leased can be taken again. An ephemeral queue that nobody uses any more is removed, but one that nobody\n"
	"has used yet only when it is a minute old. Those of a killed `sqctl local` have prefixes of their own:\n"
	"`sqctl gc -a`. What was removed is printed. A queue that cannot be used is named and left alone;\n"
	"`sqctl rm` removes it.\n"
	"\n"
	"Exit: 0 done, 64 usage, 66 no such queue, 69 no descriptor or memory, or /dev/shm is read-only; 70 not\n"
	"a queue of this version, 77 not allowed.\n";

static int collect(const char *queue)
{
	int r = sq_gc(queue);

	if (r > 0)
		printf("removed %s: ephemeral, and nobody uses it\n", queue);
	return r < 0 ? r : 0;
}

static int collect_named(int n, char *const *queues)
{
	int code = names_check(n, queues), first = code;

	for (int i = 0; first == EXIT_DONE && i < n; i++) {
		int r = collect(queues[i]);

		if (r < 0)
			r = report_queue(queues[i], r);
		if (code == EXIT_DONE)
			code = r;
	}
	return code;
}

static int collect_all(const char *prefix)
{
	struct names names;
	int swept, code = names_list(&names, prefix);

	if (code != EXIT_DONE)
		return code;
	for (size_t i = 0; i < names.n; i++) {
		int r = collect(names.name[i]);

		/*
		 * The queue may have gone since it was listed; and a queue of another user is that
		 * user's to collect.
		 */
		if (r == 0 || r == -ENOENT || (r == -EACCES && prefix))
			continue;
		r = report_queue(names.name[i], r);
		if (code == EXIT_DONE)
			code = r;
	}
	names_free(&names);
	swept = sq_sweep();
	if (swept > 0)
		printf("removed the remains of %d creation%s\n", swept,
			words_plural((uint64_t)swept));
	return code;
}

int cmd_gc(int argc, char **argv)
{
	bool all = false;
	const struct args_option options[] = {
		{"all", 'a', no_argument, args_flag, .to = &all},
		{0},
	};
	struct args args;
	int code = args_read(&args, options, argc, argv);

	if (code != EXIT_DONE)
		return code;
	if (args.n > 0 && all)
		return report_usage("gc", "--all and names of queues exclude each other");
	return args.n > 0 ? collect_named(args.n, args.words) : collect_all(all ? "*" : NULL);
}
