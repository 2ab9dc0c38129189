/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>

#include "command.h"
#include "names.h"
#include "report.h"
#include "sq.h"

/* sqctl rm. */

const char help_rm[] =
	"  -f  a queue that is not there is no error\n"
	"\n"
	"What is in a removed queue is gone, but for those who have it open: they may take what is in it,\n"
	"can put nothing more, and are told so; its memory is freed when the last of them ends. If a name\n"
	"is none, nothing is removed; a queue that is not there does not keep the others from being removed.\n"
	"\n"
	"Exit: 0 done, 64 usage, 66 no such queue, 77 not allowed.\n";

int cmd_rm(int argc, char **argv)
{
	static const struct option options[] = {{"force", no_argument, NULL, 'f'}, {0}};
	bool force = false;
	struct sq_stat st;
	int option, code;

	opterr = 0;
	optind = 0;
	while ((option = getopt_long(argc, argv, ":f", options, NULL)) != -1) {
		if (option != 'f')
			return report_option("rm", argv, option);
		force = true;
	}
	if (optind == argc)
		return report_usage("rm", "the name of a queue is missing");
	code = names_check(argc - optind, argv + optind);
	if (code != EXIT_DONE)
		return code;
	for (int i = optind; i < argc; i++) {
		unsigned users = sq_look(argv[i], &st) == 0 ? st.participants : 0;
		int r = sq_unlink(argv[i]);

		if (r == 0 && users > 0)
			(void)report(EXIT_DONE,
				"%s was removed; %u participant%s still had it open", argv[i],
				users, users == 1 ? "" : "s");
		if (r == 0 || (r == -ENOENT && force))
			continue;
		r = r == -EACCES ? report(EXIT_DENIED,
					   "not allowed to remove %s: only its owner is", argv[i])
				 : report_queue(argv[i], r);
		if (code == EXIT_DONE)
			code = r;
	}
	return code;
}
