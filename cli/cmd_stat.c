/* SPDX-License-Identifier: ISC */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "args.h"
#include "command.h"
#include "letters.h"
#include "names.h"
#include "pages.h"
#include "report.h"
#include "sq.h"
#include "state.h"
#include "words.h"

/* sqctl stat. One table says which numbers there are, for people and for programs. */

const char help_stat[] =
	"  --json  a JSON object a line, with all that is shown without it. A grace_left_ns of -1 is for ever;\n"
	"          room is, for each size of longer messages, up to how many bytes, and how many are free\n"
	"\n"
	"Totals are since the queue was made. At rest: put = depth + leased + undelivered + took.\n"
	"Bridges that carry it, and may be seen, follow, a line for each peer; see `sqctl help bridge`.\n"
	"\n"
	"Exit: 0 done, 64 usage, 66 no such queue, 69 no descriptor or memory, 70 not a queue of this version,\n"
	"74 cannot write, 77 not allowed.\n";

static const struct {
	const char *name;
	const char *meaning;
	size_t offset;
} numbers[] = {
	{"capacity", "messages it has room for", offsetof(struct sq_stat, capacity)},
	{"max_message", "bytes of the longest", offsetof(struct sq_stat, max_message)},
	{"small_message", "bytes of one that lies in the ring itself",
		offsetof(struct sq_stat, small_message)},
	{"participants_max", "who may have it open at one time",
		offsetof(struct sq_stat, participants_max)},
	{"bytes", "of shared memory", offsetof(struct sq_stat, bytes)},
	{"depth", "messages that can be taken", offsetof(struct sq_stat, depth)},
	{"back", "of these, waiting to be delivered again", offsetof(struct sq_stat, back)},
	{"leased", "messages in somebody's hands", offsetof(struct sq_stat, leased)},
	{"put", "messages put", offsetof(struct sq_stat, put)},
	{"took", "messages that left for good", offsetof(struct sq_stat, took)},
	{"got", "of these, without a lease", offsetof(struct sq_stat, got)},
	{"acked", "leases ended by an ack", offsetof(struct sq_stat, acked)},
	{"nacked", "leases ended by a nack", offsetof(struct sq_stat, nacked)},
	{"returned", "leases given back that do not count", offsetof(struct sq_stat, returned)},
	{"redelivered", "deliveries of what had been leased before",
		offsetof(struct sq_stat, redelivered)},
	{"overdue", "leases ended because their time was up", offsetof(struct sq_stat, overdue)},
	{"reclaimed", "leases ended because their holder died",
		offsetof(struct sq_stat, reclaimed)},
	{"revoked", "late writers that lost their place", offsetof(struct sq_stat, revoked)},
	{"dead_letters", "messages moved to the dead-letter queue",
		offsetof(struct sq_stat, dead_letters)},
	{"undelivered", "dead letters that their queue does not take",
		offsetof(struct sq_stat, undelivered)},
	{"damaged", "messages dropped because of damage", offsetof(struct sq_stat, damaged)},
	{"blocks", "for longer messages", offsetof(struct sq_stat, blocks)},
	{"blocks_free", "of these, free", offsetof(struct sq_stat, blocks_free)},
};

#define NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

static uint64_t number_of(const struct sq_stat *st, size_t i)
{
	return *(const uint64_t *)(const void *)((const char *)st + numbers[i].offset);
}

/*
 * Dead-letter names come from the segment, but only a name that the engine takes for one gets here.
 */
static void print_json(const char *full, const struct sq_stat *st)
{
	printf("{\"name\":\"%s\",\"state\":\"%s\",\"ephemeral\":%s,\"participants\":%u,\"lease_time_ns\":%" PRId64
	       ",\"max_attempts\":%u,\"dead_letter\":\"%s\"",
		full, state_of(st), st->flags & SQ_EPHEMERAL ? "true" : "false", st->participants,
		st->lease_time, st->max_attempts, st->dead_letter);
	printf(",\"away\":%" PRIu64 ",\"grace_left_ns\":%" PRId64, st->away, st->grace_left);
	for (size_t i = 0; i < NUMBERS; i++)
		printf(",\"%s\":%" PRIu64, numbers[i].name, number_of(st, i));
	if (st->undelivered > 0)
		printf(",\"undelivered_why\":\"%s\"", letters_why(st));
	fputs(",\"room\":[", stdout);
	for (unsigned i = 0; i < st->classes; i++)
		printf("%s{\"up_to\":%" PRIu64 ",\"free\":%" PRIu64 ",\"of\":%" PRIu64 "}",
			i > 0 ? "," : "", st->class[i].size, st->class[i].free, st->class[i].count);
	putchar(']');
	pages_print_carriers(full, true);
	puts("}");
}

static void print_text(const char *full, const struct sq_stat *st)
{
	char size[WORDS_SIZE_MAX];

	printf("%-17s %s\n", "name", full);
	printf("%-17s %s%s\n", "state", state_of(st),
		st->flags & SQ_EPHEMERAL ? ", ephemeral" : "");
	printf("%-17s %s\n", "size", words_size(size, st->bytes));
	printf("%-17s %-12u who has it open\n", "participants", st->participants);
	if (st->away > 0 && st->grace_left == SQ_FOREVER)
		printf("%-17s %-12" PRIu64 " who may come again for their leases\n", "away",
			st->away);
	if (st->away > 0 && st->grace_left != SQ_FOREVER)
		printf("%-17s %-12" PRIu64
		       " who may come again for their leases; the next is given "
		       "up in %.1fs\n",
			"away", st->away, (double)st->grace_left / 1e9);
	if (st->lease_time)
		printf("%-17s %gs\n", "lease_time", (double)st->lease_time / 1e9);
	if (st->max_attempts)
		printf("%-17s %-12u and then to %s\n", "max_attempts", st->max_attempts,
			st->dead_letter);
	for (size_t i = 0; i < NUMBERS; i++)
		printf("%-17s %-12" PRIu64 " %s\n", numbers[i].name, number_of(st, i),
			numbers[i].meaning);
	if (st->undelivered > 0)
		printf("%-17s %s is %s\n", "dead_letter", st->dead_letter, letters_why(st));
	for (unsigned i = 0; i < st->classes; i++)
		printf("%-17s %-12" PRIu64 " of %" PRIu64 " for messages of up to %s bytes\n",
			i == 0 ? "room_free" : "", st->class[i].free, st->class[i].count,
			words_size(size, st->class[i].size));
	pages_print_carriers(full, false);
}

static int show(const char *queue, bool json, bool first)
{
	char full[NAMES_MAX];
	struct sq_stat st;
	int r = names_full(full, queue);

	if (r == 0)
		r = sq_look(queue, &st);
	if (r < 0)
		return report_queue(queue, r);
	if (json) {
		print_json(full, &st);
	} else {
		if (!first)
			putchar('\n');
		print_text(full, &st);
	}
	return EXIT_DONE;
}

int cmd_stat(int argc, char **argv)
{
	bool json = false;
	const struct args_option options[] = {
		{"json", 0, no_argument, args_flag, .to = &json},
		{0},
	};
	struct args args;
	int code = args_read(&args, options, argc, argv);

	if (code == EXIT_DONE)
		code = args_queues(&args);
	if (code != EXIT_DONE)
		return code;
	for (int i = 0; i < args.n; i++) {
		int r = show(args.words[i], json, i == 0);

		if (code == EXIT_DONE)
			code = r;
	}
	return code;
}
