/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdbool.h>

#include "args.h"
#include "command.h"
#include "names.h"
#include "report.h"
#include "sq.h"
#include "words.h"

/* sqctl rm. */

const char help_rm[] =
	"  -f  a queue that is not there is no error\n"
	"\n"
	"What is in a removed queue is gone, but for those who have it open: they may take what is in it,\n"
	"can put nothing more, and are told so; its memory is freed when the last of them ends. If a name\n"
	"is none, nothing is removed; a queue that is not there does not keep the others from being removed.\n"
	"\n"
	"Exit: 0 done, 64 usage, 66 no such queue, 69 /dev/shm is read-only, 77 not allowed.\n";

int cmd_rm(int argc, char **argv)
{
	bool force = false;
	const struct args_option options[] = {
		{"force", 'f', no_argument, args_flag, .to = &force},
		{0},
	};
	struct sq_stat st;
	struct args args;
	int code = args_read(&args, options, argc, argv);

	if (code == EXIT_DONE && args.n == 0)
		return report_usage("rm", "the name of a queue is missing");
	if (code == EXIT_DONE)
		code = names_check(args.n, args.words);
	if (code != EXIT_DONE)
		return code;
	for (int i = 0; i < args.n; i++) {
		const char *queue = args.words[i];
		unsigned users = sq_look(queue, &st) == 0 ? st.participants : 0;
		int r = sq_unlink(queue);

		if (r == 0 && users > 0)
			(void)report(EXIT_DONE,
				"%s was removed; %u participant%s still had it open", queue, users,
				words_plural(users));
		if (r == 0 || (r == -ENOENT && force))
			continue;
		r = r == -EACCES ? report(EXIT_DENIED,
					   "not allowed to remove %s: only its owner is", queue)
				 : report_queue(queue, r);
		if (code == EXIT_DONE)
			code = r;
	}
	return code;
}
