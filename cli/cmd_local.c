/* SPDX-License-Identifier: ISC */
#include <bsd/stdlib.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "command.h"
#include "crew.h"
#include "local.h"
#include "names.h"
#include "now.h"
#include "parse.h"
#include "report.h"
#include "room.h"
#include "tasks.h"

#define DURATION_NS      5000000000
#define CAPACITY         8192
#define TASK_SMALL       48
#define RESULT_SMALL     48 /* a line of the ring with its word; longer results take two */
#define RESULT_SMALL_TWO 112
#define BLOCK_MEMORY     65536    /* for the few results that are longer still */
#define LOOK_NS          50000000 /* between two looks at everything, if no signal comes first */

const char help_local[] =
	"  --producers N   processes that make tasks (2)\n"
	"  --workers N     processes that do them (one for each CPU)\n"
	"  --tasks N       end when so many were made and done\n"
	"  --duration SPAN end after so long (5s, if nothing else is said)\n"
	"  --forever       end at Ctrl-C\n"
	"  --rate R        make so many, not as many as possible: 100/s, 10/3s\n"
	"  --max N         make integers from 0 to N, at most 18446744073709551615 (1000000)\n"
	"  --seed N        the same integers again, for as many producers (at random)\n"
	"  --capacity N    of each queue (8192)\n"
	"  --prefix P      of the queues' names, so that others can join in (one of its own)\n"
	"  -q, --quiet     nothing on standard error but the proof and errors\n"
	"\n"
	"Producers put random integers n >= 0 into the queue pq. Workers lease n, put the text\n"
	"`n * n = n²` into cq, and ack n. The collector writes what comes out of cq to standard\n"
	"output, one line each; a terminal shows a sample. Kill any producer or worker: another\n"
	"takes its place. It ends with a proof that nothing was lost, and exit code 1 if that fails.\n"
	"\n"
	"  sqctl local                            five seconds at full speed\n"
	"  sqctl local --tasks 1000000 > squares  every line to a file\n"
	"  sqctl local --forever --rate 10/3s     at the recipe's pace\n"
	"  sqctl local --prefix mine --forever &  then: SQ_PREFIX=mine sqctl put pq 7\n";

enum {
	OPT_PRODUCERS = 256,
	OPT_WORKERS,
	OPT_TASKS,
	OPT_DURATION,
	OPT_FOREVER,
	OPT_RATE,
	OPT_MAX,
	OPT_SEED,
	OPT_CAPACITY,
	OPT_PREFIX
};

static const struct option long_options[] = {
	{"producers", required_argument, NULL, OPT_PRODUCERS},
	{"workers", required_argument, NULL, OPT_WORKERS},
	{"tasks", required_argument, NULL, OPT_TASKS},
	{"duration", required_argument, NULL, OPT_DURATION},
	{"forever", no_argument, NULL, OPT_FOREVER},
	{"rate", required_argument, NULL, OPT_RATE},
	{"max", required_argument, NULL, OPT_MAX},
	{"seed", required_argument, NULL, OPT_SEED},
	{"capacity", required_argument, NULL, OPT_CAPACITY},
	{"prefix", required_argument, NULL, OPT_PREFIX},
	{"quiet", no_argument, NULL, 'q'},
	{0},
};

static const char *parse_prefix(char ret[static SQ_NAME_MAX + 1], const char *text)
{
	char name[NAMES_MAX], full[NAMES_MAX];
	int len = snprintf(name, sizeof(name), "%s.pq", text);

	/* A prefix is what stands before the dot in a name, and has none itself. */
	if (len >= (int)sizeof(name) || strchr(text, '.') || names_full(full, name) < 0)
		return "must be 1 to 64 letters, digits, - and _";
	strcpy(ret, text);
	return NULL;
}

/* Any value that a task can have. */
static const char *parse_any(uint64_t *ret, const char *text)
{
	return parse_natural(ret, text, strlen(text));
}

static const char *parse_option(struct local_options *o, int option, int *ends)
{
	switch (option) {
	case OPT_PRODUCERS:
		return parse_count(&o->producers, optarg, 1, LOCAL_PRODUCERS_MAX);
	case OPT_WORKERS:
		return parse_count(&o->workers, optarg, 1, LOCAL_WORKERS_MAX);
	case OPT_TASKS:
		++*ends;
		return parse_count(&o->tasks, optarg, 0, INT64_MAX);
	case OPT_DURATION:
		++*ends;
		return parse_span(&o->duration, optarg);
	case OPT_FOREVER:
		++*ends;
		o->duration = INT64_MAX;
		return NULL;
	case OPT_RATE:
		return parse_rate(&o->rate, &o->rate_span, optarg);
	case OPT_MAX:
		return parse_any(&o->max, optarg);
	case OPT_SEED:
		return parse_any(&o->seed, optarg);
	case OPT_CAPACITY:
		return parse_size(&o->capacity, optarg, 2, SQ_CAPACITY_MAX);
	case OPT_PREFIX:
		return parse_prefix(o->prefix, optarg);
	default:
		o->quiet = true;
		return NULL;
	}
}

static int parse_options(struct local_options *o, int argc, char **argv)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int ends = 0, c, at = 0;

	*o = (struct local_options){
		.producers = 2,
		.workers = cpus < 1                   ? 1
			   : cpus > LOCAL_WORKERS_MAX ? LOCAL_WORKERS_MAX
						      : (uint64_t)cpus,
		.tasks = UINT64_MAX,
		.max = TASKS_MAX,
		.capacity = CAPACITY,
		.seed = (uint64_t)arc4random() << 32 | arc4random(),
	};
	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":q", long_options, &at)) != -1) {
		const char *wrong;

		if (c == '?' || c == ':')
			return report_option("local", argv, c);
		wrong = parse_option(o, c, &ends);
		if (wrong)
			return report_usage(
				"local", "--%s '%s' %s", long_options[at].name, optarg, wrong);
	}
	if (optind < argc)
		return report_usage("local", "what is '%s'? it takes options only", argv[optind]);
	if (ends > 0 && o->duration == 0 && o->tasks == UINT64_MAX)
		return report_usage("local", "--duration '0' must be above 0");
	if (ends > 1)
		return report_usage(
			"local", "--tasks, --duration and --forever exclude each other");
	if (!ends)
		o->duration = DURATION_NS;
	return 0;
}

/* What an earlier run of ours left when it was killed. */
static int clear_away(const char *name, void *data)
{
	const char *own = data;

	if (strncmp(name, own, strlen(own)) == 0)
		(void)sq_gc(name); /* in use: stays. Not ours to open: stays */
	return 0;
}

static int name_queues(struct local_options *o)
{
	char own[SQ_NAME_MAX + 1], mine[SQ_NAME_MAX + 8];

	if (sq_prefix(own, sizeof(own)) < 0)
		return report(EXIT_USAGE, "SQ_PREFIX must be 1 to %d letters, digits, - and _",
			SQ_NAME_MAX);
	own[SQ_NAME_MAX - 24] = '\0'; /* leave room for what follows */
	(void)snprintf(mine, sizeof(mine), "%s-local-", own);
	(void)sq_sweep();
	(void)sq_list("*", clear_away, mine);
	if (!*o->prefix)
		(void)snprintf(o->prefix, sizeof(o->prefix), "%.48s%d", mine, (int)getpid());
	(void)snprintf(o->pq, sizeof(o->pq), "%s.pq", o->prefix);
	(void)snprintf(o->cq, sizeof(o->cq), "%s.cq", o->prefix);
	(void)sq_gc(o->pq); /* of a killed run under the same name */
	(void)sq_gc(o->cq);
	return 0;
}

static int make_queue(struct sq **ret, const char *name, const struct sq_config *config)
{
	uint64_t size = 0;
	int r = sq_create(name, config);

	if (r == -EEXIST)
		return report(EXIT_CANNOT_CREATE,
			"there is a queue %s already: choose another --prefix, or, if nobody uses it (see `sqctl "
			"stat %s`), remove it with `sqctl rm %s`",
			name, name, name);
	if (r < 0) {
		(void)sq_size(config, &size); /* it was computed once already */
		return room_report(name, r, size);
	}
	r = sq_open(ret, name);
	return r < 0 ? report_queue(name, r) : 0;
}

static int make_queues(struct local *l)
{
	const struct local_options *o = &l->options;
	struct sq_config pq = {
		.capacity = o->capacity,
		.small_message = TASK_SMALL,
		.max_message = TASK_SMALL,
		.participants = SQ_PARTICIPANTS_MAX,
		.block_memory = BLOCK_MEMORY,
		.flags = SQ_EPHEMERAL,
	};
	struct sq_config cq = pq;
	int r;

	cq.small_message = square_length_max(o->max) <= RESULT_SMALL ? RESULT_SMALL
								     : RESULT_SMALL_TWO;
	cq.max_message = SQUARE_MAX; /* others may put larger tasks than ours */
	r = make_queue(&l->pq, o->pq, &pq);
	return r != 0 ? r : make_queue(&l->cq, o->cq, &cq);
}

static int make_crew(struct local *l)
{
	const struct local_options *o = &l->options;
	struct crew_member *members;

	l->ledger = mmap(NULL, sizeof(*l->ledger), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (l->ledger == MAP_FAILED)
		l->ledger = NULL;
	members = calloc(o->producers + o->workers + 1, sizeof(*members));
	l->crew.members = members;
	if (!l->ledger || !members)
		return report(EXIT_UNAVAILABLE, "out of memory");
	l->crew.count = (unsigned)(o->producers + o->workers + 1);
	for (unsigned i = 0; i < o->producers; i++)
		members[i] = (struct crew_member){.kind = LOCAL_PRODUCER, .index = i};
	for (unsigned i = 0; i < o->workers; i++)
		members[o->producers + i] = (struct crew_member){.kind = LOCAL_WORKER, .index = i};
	members[l->crew.count - 1] = (struct crew_member){.kind = LOCAL_COLLECTOR};
	return 0;
}

/* Each stage ends when the one before it has: producers, then the tasks, then the results. */
static int advance(struct local *l, int *stage)
{
	int r = 0;

	if (*stage == 0 && crew_done(&l->crew, LOCAL_PRODUCER)) {
		r = sq_shutdown(l->pq, false);
		++*stage;
	}
	if (*stage == 1 && crew_done(&l->crew, LOCAL_WORKER)) {
		r = sq_shutdown(l->cq, false);
		++*stage;
	}
	if (*stage == 2 && crew_done(&l->crew, LOCAL_COLLECTOR))
		++*stage;
	return r;
}

/* Run until all is done. 0: then there is something to prove. */
static int supervise(struct local *l)
{
	const struct local_options *o = &l->options;
	int stage = 0, r;

	while (stage < 3) {
		switch (crew_wait(&l->crew, LOOK_NS)) {
		case CREW_LOOK:
			break;
		case CREW_ASKED:
			local_show_clear(l);
			(void)report(
				0, "ending: what was made is still done; once more to end at once");
			break;
		case CREW_ASKED_AGAIN:
			return report(128 + l->crew.asked, "ended at once; there is no proof");
		}
		if (l->crew.asked || atomic_load(&l->ledger->reader_gone) ||
			(o->duration > 0 && o->duration != INT64_MAX &&
				now_ns() - l->ledger->began_ns >= o->duration))
			atomic_store(&l->ledger->stop, true);
		r = crew_reap(&l->crew);
		if (r != 0)
			return r;
		r = advance(l, &stage);
		if (r < 0)
			return report_queue(o->pq, r);
		local_show(l);
	}
	return 0;
}

static int report_write(const struct local_ledger *ledger)
{
	return report(EXIT_IO, "cannot write the results: %s; %" PRIu64 " lines had been written%s",
		strerrordesc_np(atomic_load(&ledger->write_error)), ledger->written,
		atomic_load(&ledger->torn)
			? ", and half a line: drop what is behind the last newline"
			: "");
}

static int run(struct local *l)
{
	int r = make_queues(l);

	if (r == 0)
		r = make_crew(l);
	if (r != 0)
		return r;
	l->ledger->began_ns = now_ns();
	r = local_crew_start(l);
	if (r == 0) {
		local_show_start(l);
		r = supervise(l);
	}
	l->ended_ns = now_ns();
	local_show_clear(l);
	if (r == 0)
		r = local_proof(l);
	if (r == 0 && atomic_load(&l->ledger->write_error))
		r = report_write(l->ledger);
	return r;
}

int cmd_local(int argc, char **argv)
{
	struct local l = {0};
	int r = parse_options(&l.options, argc, argv);

	if (r == 0)
		r = name_queues(&l.options);
	if (r != 0)
		return r;
	crew_listen(&l.crew);
	r = run(&l);
	crew_kill(&l.crew);
	if (l.pq)
		(void)sq_unlink(l.options.pq);
	if (l.cq)
		(void)sq_unlink(l.options.cq);
	sq_close(l.pq);
	sq_close(l.cq);
	if (l.ledger)
		(void)munmap(l.ledger, sizeof(*l.ledger));
	free(l.crew.members);
	free(l.suspects);
	/* The signals stay blocked: one that comes now wants what is done already. */
	return r;
}
