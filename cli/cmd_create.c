/* SPDX-License-Identifier: ISC */
#include <bsd/libutil.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "command.h"
#include "names.h"
#include "parse.h"
#include "report.h"
#include "room.h"
#include "sq.h"

/*
 * sqctl create. Everything that can be known beforehand is looked at before the first queue is
 * made: the names, the options, whether a name is taken, and the room for all of them together.
 */

#define SHM              "/dev/shm"
#define BLOCK_MEMORY_MAX ((uint64_t)1 << 40)
#define MIB              ((uint64_t)1 << 20)

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
	"  --ephemeral          `sqctl gc` removes it once nobody uses it any more\n"
	"\n"
	"N and SIZE may end in k, M or G (powers of 1024); SPAN is like 250ms, 1.5s, 2m or 1h.\n"
	"All its memory is taken from /dev/shm at once; it is told how much, if that is 1G or more, or most of\n"
	"what there was. Either all the queues can be made, or none is. A name with a dot is PREFIX.QUEUE.\n"
	"\n"
	"  sqctl create pq cq\n"
	"  sqctl create --capacity 1M --small 16 numbers\n"
	"  sqctl create dead && sqctl create --max-attempts 5 --dead-letter dead pq\n"
	"\n"
	"Exit: 0 done, 64 usage, 73 there is one of that name or no room, 77 not allowed.\n";

enum {
	OPT_CAPACITY = 256,
	OPT_MAX_MESSAGE,
	OPT_SMALL,
	OPT_BLOCK_MEMORY,
	OPT_PARTICIPANTS,
	OPT_MODE,
	OPT_LEASE_TIME,
	OPT_MAX_ATTEMPTS,
	OPT_DEAD_LETTER,
	OPT_EPHEMERAL,
};

static const struct option options[] = {
	{"capacity", required_argument, NULL, OPT_CAPACITY},
	{"max-message", required_argument, NULL, OPT_MAX_MESSAGE},
	{"small", required_argument, NULL, OPT_SMALL},
	{"block-memory", required_argument, NULL, OPT_BLOCK_MEMORY},
	{"participants", required_argument, NULL, OPT_PARTICIPANTS},
	{"mode", required_argument, NULL, OPT_MODE},
	{"lease-time", required_argument, NULL, OPT_LEASE_TIME},
	{"max-attempts", required_argument, NULL, OPT_MAX_ATTEMPTS},
	{"dead-letter", required_argument, NULL, OPT_DEAD_LETTER},
	{"ephemeral", no_argument, NULL, OPT_EPHEMERAL},
	{0},
};

static const char *parse_mode(uint32_t *ret, const char *text)
{
	size_t len = strlen(text);
	unsigned long v = len > 0 && len <= 4 && strspn(text, "01234567") == len
				  ? strtoul(text, NULL, 8)
				  : 0;

	/*
	 * Whoever uses a queue reads and writes it, and its owner must be able to remove what is in
	 * it.
	 */
	for (unsigned shift = 0; shift < 9; shift += 3)
		if ((v >> shift & 7) != 6 && ((v >> shift & 7) != 0 || shift == 6))
			v = 0;
	if (v == 0 || v > 0777)
		return "must be 0600, 0660, 0666 or 0606: to use a queue is to read and write it";
	*ret = (uint32_t)v;
	return NULL;
}

static const char *parse_size32(uint32_t *ret, const char *text, uint64_t max)
{
	const char *wrong;
	uint64_t v;

	wrong = parse_size(&v, text, 1, max);
	if (!wrong)
		*ret = (uint32_t)v;
	return wrong;
}

static const char *set(struct sq_config *c, int option, const char *text)
{
	switch (option) {
	case OPT_CAPACITY:
		return parse_size(&c->capacity, text, 1, SQ_CAPACITY_MAX);
	case OPT_MAX_MESSAGE:
		return parse_size(&c->max_message, text, 1, SQ_MESSAGE_MAX);
	case OPT_SMALL:
		return parse_size32(&c->small_message, text, SQ_SMALL_MAX);
	case OPT_BLOCK_MEMORY:
		return parse_size(&c->block_memory, text, 1, BLOCK_MEMORY_MAX);
	case OPT_PARTICIPANTS:
		return parse_size32(&c->participants, text, SQ_PARTICIPANTS_MAX);
	case OPT_MODE:
		return parse_mode(&c->mode, text);
	case OPT_LEASE_TIME:
		return parse_span(&c->lease_time, text);
	case OPT_MAX_ATTEMPTS:
		return parse_size32(&c->max_attempts, text, SQ_ATTEMPTS_MAX);
	case OPT_DEAD_LETTER:
		c->dead_letter = text;
		return NULL;
	case OPT_EPHEMERAL:
		c->flags |= SQ_EPHEMERAL;
		return NULL;
	default:
		return "is unknown";
	}
}

static int read_options(struct sq_config *c, int argc, char **argv)
{
	int option, at;

	opterr = 0;
	optind = 0; /* glibc: start over, in another argv */
	while ((option = getopt_long(argc, argv, ":", options, &at)) != -1) {
		const char *wrong;

		if (option == '?' || option == ':')
			return report_option("create", argv, option);
		wrong = set(c, option, optarg);
		if (wrong)
			return report_usage(
				"create", "--%s '%s' %s", options[at].name, optarg, wrong);
	}
	if (optind == argc)
		return report_usage("create", "the name of a queue is missing");
	if (!c->max_attempts != !c->dead_letter)
		return report_usage("create", "--max-attempts and --dead-letter need each other");
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
				queues[i], queues[i], queues[i]);
	}
	return code;
}

/* A dot in a name is more than a letter of it, which not everybody who writes one knows. */
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
	char **queues;
	int n, code;

	code = read_options(&config, argc, argv);
	if (code != EXIT_DONE)
		return code;
	queues = argv + optind;
	n = argc - optind;
	all = n == 1 ? queues[0] : "all of them";
	code = check_names(&config, n, queues);
	if (code != EXIT_DONE)
		return code;
	if (sq_size(&config, &size) < 0)
		return report_usage("create",
			"--lease-time, or --capacity and --block-memory together, are beyond "
			"what a queue can have");
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
	if (code == EXIT_DONE)
		room_report_large(all, (uint64_t)n, size);
	return code;
}
