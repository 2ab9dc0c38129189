/* SPDX-License-Identifier: ISC */
#include "options.h"

#include <bsd/libutil.h>
#include <bsd/stdlib.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crew.h"
#include "out.h"
#include "pin.h"
#include "say.h"
#include "stats.h"

#define S          1000000000ull
#define AT(member) offsetof(struct options, member)
#define RINGS      (FOR_RING | FOR_PEERS)

enum kind { COUNT, SIZES, BATCHES, ENDS, SPAN, SPIN, CPUS, FLAG, WORD, PICTURE, PUT, TAKE, PARTS };

struct option {
	const char *name, *value;
	enum kind kind;
	unsigned commands;
	size_t offset;
	uint64_t min, max;
	const char *standard; /* NULL: none */
	const char *help;
};

/* clang-format off */
static const struct option rows[] = {
	{"runs", "N", COUNT, FOR_ALL & ~FOR_TOUR, AT(runs), 1, STATS_RUNS_MAX, "7",
		"measure each so often, all sides turn about"},
	{"runs", "N", COUNT, FOR_TOUR, AT(runs), 1, STATS_RUNS_MAX, "5",
		"measure each so often, all sides turn about"},
	{"messages", "N", COUNT, FOR_ALL & ~FOR_LATENCY & ~FOR_TOUR, AT(messages), 0, 1000000000, "0",
		"a run; 0: as many as take the time"},
	{"time", "SPAN", SPAN, FOR_ALL & ~FOR_LATENCY, AT(span_ns), 1000000, 60 * S, "100ms",
		"how long a run should be"},
	{"near", "SPAN", SPAN, FOR_ALL, AT(near_ns), 0, 7200 * S, "0",
		"count only runs while the CPUs are near: wait so long for that, in all"},
	{"cpus", "A,B", CPUS, FOR_ALL, AT(cpus), 0, 0, NULL,
		"where it runs; the first two that are allowed"},
	{"size", "LIST", SIZES, RINGS, AT(size), 8, 1 << 20, "8,48,64,256,1k,16k",
		"bytes of a message, multiples of 8"},
	{"ends", "LIST", ENDS, FOR_RING, 0, 1, 64, "1x1",
		"producers and consumers: 1x1,2x2"},
	{"ends", "LIST", ENDS, FOR_PEERS, 0, 1, 64, "1x1,2x2,4x4",
		"producers and consumers"},
	{"batch", "LIST", BATCHES, RINGS, AT(batch), 1, 64, "1,32",
		"messages put or got by one call"},
	{"put", "LIST", PUT, FOR_RING, 0, 0, 0, "copy",
		"copy: sq_put(). place: sq_reserve(), written there, sq_commit()"},
	{"take", "LIST", TAKE, FOR_RING, 0, 0, 0, "get",
		"get: sq_get(). lease: sq_lease(), read there, sq_ack()"},
	{"capacity", "N", COUNT, RINGS, AT(capacity), 2, 1 << 20, "1024",
		"messages a queue has room for"},
	{"spin", "N", SPIN, RINGS, AT(spin), 0, 10000, "best",
		"pauses after a try that failed; own: the queue's way to wait; best: try which is"},
	{"peer", "LIST", WORD, FOR_PEERS | FOR_JOB, AT(peer), 0, 0, NULL,
		"of the others only those whose names begin so, such as zmq: see the column `side`"},
	{"trips", "N", COUNT, FOR_LATENCY, AT(trips), 20, 10000000, "20000",
		"round trips a run, when nobody sleeps; a twentieth of them when they do"},
	{"trips", "N", COUNT, FOR_TOUR, AT(trips), 20, 10000000, "5000",
		"round trips a run"},
	{"only", "LIST", PARTS, FOR_BRIDGE, 0, 0, 0, "tasks,bulk,idle",
		"of these and delay; --delay adds that"},
	{"delay", "SPAN", SPAN, FOR_BRIDGE, AT(delay_ns), 0, 10 * S, "0",
		"leaf and hub so far apart, there and back: are the workers busy?"},
	{"task", "SPAN", SPAN, FOR_BRIDGE, AT(task_ns), 1000, 10 * S, "1ms",
		"how long a task takes a worker, with --delay"},
	{"workers", "N", COUNT, FOR_BRIDGE, AT(workers), 1, 32, "4",
		"workers, with --delay"},
	{"window", "N", COUNT, FOR_BRIDGE, AT(window), 1, 1 << 20, "65536",
		"messages under way: sqbridge --window"},
	{"trips", "N", COUNT, FOR_BRIDGE, AT(idle), 10, 1000000, "2000",
		"tasks there and back a run, one at a time"},
	{"free", NULL, FLAG, FOR_BRIDGE | FOR_JOB, AT(free_cpus), 0, 0, NULL,
		"pin nothing: the kernel chooses the CPUs"},
	{"bars", NULL, FLAG, FOR_ALL & ~FOR_RING & ~FOR_BARS & ~FOR_TOUR, AT(bars), 0, 0, NULL,
		"what is asked of sq here, and whether it was reached; 1 if not"},
	{"json", NULL, FLAG, FOR_ALL, AT(json), 0, 0, NULL, "an object a line instead of the table"},
	{"plot", "FILE.svg", PICTURE, FOR_ALL, AT(plot), 0, 0, NULL, "draw the rows, by gnuplot"},
	{"quiet", NULL, FLAG, FOR_ALL, AT(quiet), 0, 0, NULL, "no line of progress on a terminal"},
};
/* clang-format on */

static const unsigned rows_n = sizeof(rows) / sizeof(rows[0]);

static const char *between(uint64_t min, uint64_t max)
{
	static char text[80];

	(void)snprintf(text, sizeof(text), "must be a whole number from %llu to %llu",
		(unsigned long long)min, (unsigned long long)max);
	return text;
}

static const char *read_count(uint64_t *ret, const char *text, uint64_t min, uint64_t max)
{
	const char *wrong = NULL;
	long long v = strtonum(text, (long long)min, (long long)max, &wrong);

	if (wrong || *text == ' ' || *text == '+')
		return between(min, max);
	*ret = (uint64_t)v;
	return NULL;
}

static const char *read_size(uint64_t *ret, const char *text, uint64_t min, uint64_t max)
{
	size_t digits = strspn(text, "0123456789");
	uint64_t v;

	if (digits == 0 || digits > 9 || *text == '0' ||
		(text[digits] && (!strchr("kKmM", text[digits]) || text[digits + 1])) ||
		expand_number(text, &v) < 0 || v < min || v > max || v % 8 != 0)
		return "must be sizes from 8 to 1M, multiples of 8, such as 64 or 16k";
	*ret = v;
	return NULL;
}

static const char *limits(uint64_t min_ns, uint64_t max_ns)
{
	static char text[80];
	char least[24], most[24];

	(void)snprintf(text, sizeof(text), "is too short or too long: from %s to %s",
		out_number(least, sizeof(least), (double)min_ns, "ns"),
		out_number(most, sizeof(most), (double)max_ns, "ns"));
	return text;
}

static const char *read_span(int64_t *ret, const char *text, uint64_t min, uint64_t max)
{
	static const char allowed[] =
		"must be a span of time such as 500us, 50ms or 1.5s: a number and ns, us, ms, s or m";
	static const struct {
		const char *name;
		double ns;
	} units[] = {{"m", 60e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1}};
	size_t digits = strspn(text, "0123456789.");
	char *end;
	double v = strtod(text, &end);

	if (digits == 0 || end != text + digits)
		return allowed;
	if (v == 0 && min == 0 && !*end) {
		*ret = 0;
		return NULL;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(end, units[i].name) == 0) {
			v *= units[i].ns;
			if (v < (double)min || v > (double)max)
				return limits(min, max);
			*ret = (int64_t)v;
			return NULL;
		}
	return allowed;
}

/* The next word of a list with commas, cut out of *at; NULL at its end. */
static char *next_word(char **at)
{
	return *at ? strsep(at, ",") : NULL;
}

static const char *read_list(struct list *ret, char *text, const struct option *row)
{
	const char *wrong = NULL;
	char *word;

	ret->n = 0;
	while (!wrong && (word = next_word(&text))) {
		if (ret->n == OPTIONS_LIST_MAX)
			return "has too many items";
		wrong = row->kind == SIZES ? read_size(&ret->v[ret->n], word, row->min, row->max)
					   : read_count(&ret->v[ret->n], word, row->min, row->max);
		ret->n++;
	}
	return wrong;
}

static const char *read_ends(struct options *o, char *text)
{
	static const char allowed[] = "must be such as 1x1 or 2x2, to 64 each";
	char *word;

	o->ends_n = 0;
	while ((word = next_word(&text))) {
		char *second = word, *first = strsep(&second, "x");
		uint64_t p, c;

		if (!second || read_count(&p, first, 1, 64) || read_count(&c, second, 1, 64))
			return allowed;
		if (o->ends_n == OPTIONS_LIST_MAX || p + c > CREW_MAX)
			return allowed;
		o->ends[o->ends_n++] = (struct ends){(unsigned)p, (unsigned)c};
	}
	return NULL;
}

static const char *read_cpus(struct options *o, char *text)
{
	char *second = text, *first = strsep(&second, ",");
	uint64_t a, b;

	if (!second || read_count(&a, first, 0, 1023) || read_count(&b, second, 0, 1023) ||
		!pin_allowed((int)a) || !pin_allowed((int)b) ||
		(a == b && o->cpus[0] != o->cpus[1]))
		return "must be two CPUs that this process may run on, such as 0,1";
	o->cpus[0] = (int)a;
	o->cpus[1] = (int)b;
	return NULL;
}

struct word {
	const char *name;
	unsigned bit;
};

static const char *read_words(unsigned *ret, char *text, const struct word *words)
{
	static char allowed[80];
	unsigned bits = 0;
	char *word;

	while ((word = next_word(&text))) {
		unsigned i = 0;

		while (words[i].name && strcmp(words[i].name, word) != 0)
			i++;
		bits |= words[i].bit;
		if (words[i].name)
			continue;
		(void)strcpy(allowed, "must be of");
		for (i = 0; words[i].name; i++) {
			(void)strcat(allowed, i ? ", " : " ");
			(void)strcat(allowed, words[i].name);
		}
		return allowed;
	}
	*ret |= bits;
	return NULL;
}

/* The text is ours to cut into pieces. */
static const char *set(struct options *o, const struct option *row, char *text)
{
	static const struct word puts[] = {{"copy", MODE_COPY}, {"place", MODE_PLACE}, {0}};
	static const struct word takes[] = {{"get", MODE_GET}, {"lease", MODE_LEASE}, {0}};
	static const struct word parts[] = {{"tasks", PART_TASKS}, {"bulk", PART_BULK},
		{"idle", PART_IDLE}, {"delay", PART_DELAY}, {0}};
	void *at = (char *)o + row->offset;
	uint64_t count;

	switch (row->kind) {
	case COUNT:
		return read_count(at, text, row->min, row->max);
	case SIZES:
	case BATCHES:
		return read_list(at, text, row);
	case ENDS:
		return read_ends(o, text);
	case SPAN:
		return read_span(at, text, row->min, row->max);
	case SPIN:
		if (strcmp(text, "own") == 0 || strcmp(text, "best") == 0) {
			o->spin = *text == 'o' ? SPIN_OWN : SPIN_BEST;
			return NULL;
		}
		if (read_count(&count, text, row->min, row->max))
			return "must be own, best, or pauses from 0 to 10000";
		o->spin = (int64_t)count;
		return NULL;
	case CPUS:
		return read_cpus(o, text);
	case FLAG:
		*(bool *)at = true;
		return NULL;
	case PICTURE:
		if (strlen(text) < 5 || strcmp(text + strlen(text) - 4, ".svg") != 0)
			return "must be a file's name that ends in .svg";
		*(const char **)at = text;
		return NULL;
	case WORD:
		if (!*text)
			return "must not be empty";
		*(const char **)at = text;
		return NULL;
	case PUT:
		o->modes &= ~(unsigned)(MODE_COPY | MODE_PLACE);
		return read_words(&o->modes, text, puts);
	case TAKE:
		o->modes &= ~(unsigned)(MODE_GET | MODE_LEASE);
		return read_words(&o->modes, text, takes);
	case PARTS:
		o->parts = 0;
		return read_words(&o->parts, text, parts);
	}
	return "is unknown";
}

static const struct option *find(const char *name, size_t len, enum options_command self)
{
	for (unsigned i = 0; i < rows_n; i++)
		if ((rows[i].commands & self) && strlen(rows[i].name) == len &&
			strncmp(rows[i].name, name, len) == 0)
			return &rows[i];
	return NULL;
}

/* Kept as long as the process: options point into it. */
static char *copy(const char *text)
{
	char *ret = strdup(text);

	if (!ret)
		exit(say(EXIT_UNAVAILABLE, "no memory"));
	return ret;
}

static void standards(struct options *o, enum options_command self)
{
	memset(o, 0, sizeof(*o));
	/* Of all commands: `bars` runs them all. */
	for (unsigned i = 0; i < rows_n; i++)
		if (rows[i].standard && ((rows[i].commands & self) ||
						!find(rows[i].name, strlen(rows[i].name), self)))
			(void)set(o, &rows[i], copy(rows[i].standard));
}

int options_read(
	struct options *ret, const char *command, enum options_command self, int argc, char **argv)
{
	struct options o;
	int r;

	standards(&o, self);
	r = pin_choose(o.cpus);
	if (r < 0)
		return say(EXIT_UNAVAILABLE, "which CPUs there are: %s", strerror(-r));
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i], *value, *wrong;
		const struct option *row;
		size_t len;

		if (strncmp(word, "--", 2) != 0 || !word[2])
			return say_usage(command, "'%s' is no option", word);
		len = strcspn(word + 2, "=");
		row = find(word + 2, len, self);
		if (!row)
			return say_usage(command, "no such option: %.*s", (int)len + 2, word);
		value = word[2 + len] ? word + 3 + len : NULL;
		if (row->kind == FLAG && value)
			return say_usage(command, "--%s takes no value", row->name);
		if (row->kind != FLAG && !value)
			value = argv[++i];
		if (row->kind != FLAG && !value)
			return say_usage(command, "--%s needs a value", row->name);
		wrong = set(&o, row, copy(value ? value : ""));
		if (wrong)
			return say_usage(command, "--%s '%s' %s", row->name, value, wrong);
		o.sizes_given |= row->kind == SIZES;
	}
	if (o.delay_ns > 0)
		o.parts |= PART_DELAY;
	*ret = o;
	return EXIT_DONE;
}

bool options_peer(const struct options *o, const char *name)
{
	const char *list = o->peer;

	while (list && *list) {
		size_t len = strcspn(list, ",");

		if (len > 0 && strncmp(name, list, len) == 0)
			return true;
		list += len + (list[len] == ',');
	}
	return !list;
}

void options_help(enum options_command self)
{
	for (unsigned i = 0; i < rows_n; i++) {
		char left[40];

		if (!(rows[i].commands & self))
			continue;
		(void)snprintf(left, sizeof(left), "--%s%s%s", rows[i].name,
			rows[i].value ? " " : "", rows[i].value ? rows[i].value : "");
		printf("  %-18s %s", left, rows[i].help);
		if (rows[i].standard)
			printf(" (%s)", rows[i].standard);
		printf("\n");
	}
}
