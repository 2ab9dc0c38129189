/* SPDX-License-Identifier: ISC */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "command.h"
#include "names.h"
#include "report.h"
#include "room.h"
#include "sq.h"

/*
 * sqctl create. Everything that can be known beforehand is looked at before the first queue is
 * made: the names, the options, whether a name is taken, and the room for all of them together.
 */

#define BLOCK_MEMORY_MAX ((uint64_t)1 << 40)
#define LEASE_TIME_MAX   ((uint64_t)1 << 60)

const char help_create[] =
	"  --capacity N         messages it has room for, rounded up to a power of two (1024)\n"
	"  --max-message SIZE   the longest message (1M)\n"
	"  --small SIZE         messages to this size lie in the ring itself: faster (48)\n"
	"  --block-memory SIZE  memory for each size class of longer messages (256K; 2M with --max-message)\n"
	"  --participants N     processes and threads that may use it at one time (1024)\n"
	"  --mode OCTAL         who may: 0600, or 0660 its group too, or 0666 all (0600)\n"
	"  --lease-time SPAN    a message leased for longer is given to another (0: no limit)\n"
	"  --max-attempts N     a message leased so often goes to the dead-letter queue (no limit)\n"
	"  --dead-letter QUEUE  which that is\n"
	"  --ephemeral          `sqctl gc` removes it once nobody uses it any more: after the first use, or a minute\n"
	"\n"
	"N and SIZE may end in k, M, G or T (powers of 1024): --capacity and --max-message go to 1G, --small to\n"
	"4k, --block-memory to 1T. --small is rounded up to what a cell of the ring holds, and no size class\n"
	"has more room than for --capacity messages, however much --block-memory says: `sqctl stat` shows what\n"
	"was made.\n" SPAN_HELP "\n"
	"All its memory is taken from /dev/shm at once; it is told how much, if that is 1G or more, or most of\n"
	"what there was. Either all the queues can be made, or none is. A name with a dot is PREFIX.QUEUE.\n"
	"\n"
	"  sqctl create pq cq\n"
	"  sqctl create --capacity 1M --small 16 numbers\n"
	"  sqctl create dead && sqctl create --max-attempts 5 --dead-letter dead pq\n"
	"\n"
	"Exit: 0 done, 64 usage, 69 no login name to make the queue's name of; 73 there is one of that name or\n"
	"no room, 77 not allowed.\n";

static const char *set_mode(const struct args_option *o, const char *text)
{
	size_t len = strlen(text);
	unsigned long v = len > 0 && len <= 4 && strspn(text, "01234567") == len
				  ? strtoul(text, NULL, 8)
				  : 0;

	/*
	 * To use a queue is to read and write it, and its owner must be able to remove what is in
	 * it.
	 */
	for (unsigned shift = 0; shift < 9; shift += 3)
		if ((v >> shift & 7) != 6 && ((v >> shift & 7) != 0 || shift == 6))
			v = 0;
	if (v == 0 || v > 0777)
		return "must be 0600, 0660, 0666 or 0606: to use a queue is to read and write it";
	*(uint32_t *)o->to = (uint32_t)v;
	return NULL;
}

static int read_options(struct sq_config *c, struct args *ret, int argc, char **argv)
{
	bool ephemeral = false;
	const struct args_option options[] = {
		{"capacity", 0, required_argument, args_size, .to = &c->capacity, .min = 1,
			.max = SQ_CAPACITY_MAX},
		{"max-message", 0, required_argument, args_size, .to = &c->max_message, .min = 1,
			.max = SQ_MESSAGE_MAX},
		{"small", 0, required_argument, args_size32, .to = &c->small_message, .min = 1,
			.max = SQ_SMALL_MAX},
		{"block-memory", 0, required_argument, args_size, .to = &c->block_memory, .min = 1,
			.max = BLOCK_MEMORY_MAX},
		{"participants", 0, required_argument, args_size32, .to = &c->participants,
			.min = 1, .max = SQ_PARTICIPANTS_MAX},
		{"mode", 0, required_argument, set_mode, .to = &c->mode},
		{"lease-time", 0, required_argument, args_span, .to = &c->lease_time,
			.max = LEASE_TIME_MAX},
		{"max-attempts", 0, required_argument, args_size32, .to = &c->max_attempts,
			.min = 1, .max = SQ_ATTEMPTS_MAX},
		{"dead-letter", 0, required_argument, args_text, .to = &c->dead_letter},
		{"ephemeral", 0, no_argument, args_flag, .to = &ephemeral},
		{0},
	};
	int code = args_read(ret, options, argc, argv);

	if (code != EXIT_DONE)
		return code;
	if (ret->n == 0)
		return report_usage("create", "the name of a queue is missing");
	if (!c->max_attempts != !c->dead_letter)
		return report_usage("create", "--max-attempts and --dead-letter need each other");
	c->flags = ephemeral ? SQ_EPHEMERAL : 0;
	return EXIT_DONE;
}

/* No name twice, none taken, none its own dead-letter queue. */
static int check_names(const struct sq_config *c, int n, char *const *queues)
{
	char full[NAMES_MAX], other[NAMES_MAX];
	int code = names_check(n, queues);

	if (code == EXIT_DONE && c->dead_letter)
		code = names_check(1, (char *[]){(char *)c->dead_letter});
	for (int i = 0; code == EXIT_DONE && i < n; i++) {
		(void)names_full(full, queues[i]);
		if (c->dead_letter && names_full(other, c->dead_letter) == 0 &&
			strcmp(full, other) == 0)
			return report_usage(
				"create", "%s cannot be its own dead-letter queue", queues[i]);
		for (int k = 0; k < i; k++)
			if (names_full(other, queues[k]) == 0 && strcmp(full, other) == 0)
				return report_usage("create", "%s is named twice", queues[i]);
		if (names_taken(full))
			return report(EXIT_CANNOT_CREATE,
				"there is a queue %s already: use it, see it with `sqctl stat %s`, or remove it "
				"with `sqctl rm %s`",
				queues[i], report_operand(queues[i]), report_operand(queues[i]));
	}
	return code;
}

/*
 * The queue for dead letters may be made later, but a name that was mistyped never is. A name without
 * a prefix is of the queue's own prefix.
 */
static void report_dead_letter(const char *dead_letter, const char *queue)
{
	const char *dot = strchr(queue, '.');
	char name[2 * NAMES_MAX], full[NAMES_MAX];

	(void)snprintf(name, sizeof(name), "%.*s%s",
		dot && !strchr(dead_letter, '.') ? (int)(dot - queue) + 1 : 0, queue, dead_letter);
	if (names_full(full, name) < 0 || names_taken(full))
		return;
	(void)report(EXIT_DONE,
		"there is no queue %s yet: dead letters of %s stay in %s, undelivered, until there is; make it "
		"with `sqctl create %s`",
		name, queue, queue, report_operand(name));
}

/* A dot in a name separates prefix and queue: say so, for a user may not know that. */
static void report_prefix(const char *queue)
{
	const char *dot = strchr(queue, '.');
	char own[SQ_NAME_MAX + 1];

	if (!dot || sq_prefix(own, sizeof(own)) < 0 ||
		(strlen(own) == (size_t)(dot - queue) && strncmp(own, queue, strlen(own)) == 0))
		return;
	(void)report(EXIT_DONE,
		"%s is the queue %s of the prefix %.*s, not of %s: say its whole name, and list it with "
		"`sqctl ls -a`",
		queue, dot + 1, (int)(dot - queue), queue, own);
}

int cmd_create(int argc, char **argv)
{
	struct sq_config config = {0};
	const char *all;
	uint64_t size;
	char *const *queues;
	struct args args;
	int n, code = read_options(&config, &args, argc, argv);

	if (code != EXIT_DONE)
		return code;
	queues = args.words;
	n = args.n;
	all = n == 1 ? queues[0] : "all of them";
	code = check_names(&config, n, queues);
	if (code != EXIT_DONE)
		return code;
	if (sq_size(&config, &size) < 0)
		return report_usage("create",
			"--capacity and --block-memory together are beyond what a queue can have");
	code = room_check(all, (uint64_t)n, size);
	for (int i = 0; code == EXIT_DONE && i < n; i++) {
		int r = sq_create(queues[i], &config);

		if (r < 0)
			code = room_report(queues[i], r, size);
		else
			report_prefix(queues[i]);
		if (r < 0 && i > 0)
			(void)report(code,
				"those before it were made: %s is the first that was not",
				queues[i]);
	}
	for (int i = 0; code == EXIT_DONE && config.dead_letter && i < n; i++)
		report_dead_letter(config.dead_letter, queues[i]);
	if (code == EXIT_DONE)
		room_report_large(all, (uint64_t)n, size);
	return code;
}
