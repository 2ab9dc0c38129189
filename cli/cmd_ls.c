/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "command.h"
#include "names.h"
#include "report.h"
#include "sq.h"
#include "state.h"
#include "words.h"

/* sqctl ls. A queue that cannot be opened is listed with the reason. */

const char help_ls[] =
	"  -a, --all  the queues of all prefixes, with their prefix\n"
	"  --json     a JSON object a line: name, depth, leased, participants, bytes, state; or name, error\n"
	"\n"
	"DEPTH is what can be taken, LEASED what is in somebody's hands, PARTICIPANTS who has it open.\n"
	"\n"
	"Exit: 0 done, even if there is none; 64 usage, 69 no descriptor or memory, or no /dev/shm; 74 cannot\n"
	"write, 77 not allowed.\n";

/* What there is to know besides the state. */
static const char *besides(const struct sq_stat *st)
{
	if (st->undelivered > 0)
		return ", dead letters";
	return st->closed == SQ_OPEN && st->flags & SQ_EPHEMERAL ? ", ephemeral" : "";
}

/* NULL, or why there is nothing to tell but the name. */
static const char *look(struct sq_stat *ret, const char *full)
{
	const char *why;
	int r = sq_look(full, ret);

	if (r == 0)
		return NULL;
	why = r == -EPROTO ? sq_check(full) : NULL;
	return why ? why : sq_strerror(r);
}

static void print_json(const char *full)
{
	struct sq_stat st;
	const char *wrong = look(&st, full);

	/* Names and reasons have no character that JSON would want escaped. */
	if (wrong)
		printf("{\"name\":\"%s\",\"error\":\"%s\"}\n", full, wrong);
	else
		printf("{\"name\":\"%s\",\"depth\":%" PRIu64 ",\"leased\":%" PRIu64
		       ",\"participants\":%u,\"bytes\":%" PRIu64 ",\"state\":\"%s%s\"}\n",
			full, st.depth, st.leased, st.participants, st.bytes, state_of(&st),
			besides(&st));
}

static void print_line(const char *full, const char *shown, int width)
{
	struct sq_stat st;
	const char *wrong = look(&st, full);
	char size[WORDS_SIZE_MAX];

	if (wrong) {
		printf("%-*s %10s %10s %12s %6s  %s\n", width, shown, "-", "-", "-", "-", wrong);
		return;
	}
	printf("%-*s %10" PRIu64 " %10" PRIu64 " %12u %6s  %s%s\n", width, shown, st.depth,
		st.leased, st.participants, words_size(size, st.bytes), state_of(&st),
		besides(&st));
}

static const char *shown(const char *full, bool all)
{
	return all ? full : strchr(full, '.') + 1;
}

static void print_table(const struct names *names, bool all)
{
	int width = (int)strlen("NAME");

	for (size_t i = 0; i < names->n; i++) {
		int len = (int)strlen(shown(names->name[i], all));

		if (len > width)
			width = len;
	}
	printf("%-*s %10s %10s %12s %6s  %s\n", width, "NAME", "DEPTH", "LEASED", "PARTICIPANTS",
		"SIZE", "STATE");
	for (size_t i = 0; i < names->n; i++)
		print_line(names->name[i], shown(names->name[i], all), width);
}

int cmd_ls(int argc, char **argv)
{
	bool all = false, json = false;
	const struct args_option options[] = {
		{"all", 'a', no_argument, args_flag, .to = &all},
		{"json", 0, no_argument, args_flag, .to = &json},
		{0},
	};
	struct names names;
	struct args args;
	int code = args_read(&args, options, argc, argv);

	if (code != EXIT_DONE)
		return code;
	if (args.n > 0)
		return report_usage("ls", "it takes no names (%s); see one queue with `sqctl stat`",
			args.words[0]);
	code = names_list(&names, all ? "*" : NULL);
	if (code != EXIT_DONE)
		return code;
	if (json)
		for (size_t i = 0; i < names.n; i++)
			print_json(names.name[i]);
	else if (names.n > 0)
		print_table(&names, all);
	else
		(void)report(EXIT_DONE, "there is no queue%s; make one with `sqctl create`",
			all ? "" : " of yours (`sqctl ls -a` lists everybody's)");
	names_free(&names);
	return EXIT_DONE;
}
