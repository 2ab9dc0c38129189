/* SPDX-License-Identifier: ISC */
#include <bsd/stdlib.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "args.h"
#include "command.h"
#include "crew.h"
#include "local.h"
#include "local_crew.h"
#include "local_proof.h"
#include "local_show.h"
#include "local_tell.h"
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
#define RESULT_SMALL_TWO 128
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
	"  --json[=FILE]   the numbers of the proof to FILE as well, as a JSON object; without FILE to\n"
	"                  standard output, and the results are checked and counted, but not written\n"
	"  -q, --quiet     nothing on standard error but the proof and errors\n" SPAN_HELP "\n"
	"Producers put random integers n >= 0 into the queue pq. Workers lease n, put the text\n"
	"`n * n = n²` into cq, and ack n. The collector writes what comes out of cq to standard\n"
	"output, one line each; a terminal shows a sample. Kill any producer or worker: another\n"
	"takes its place. It ends with a proof that nothing was lost, and exit code 1 if that fails.\n"
	"\n"
	"  sqctl local                            five seconds at full speed\n"
	"  sqctl local --tasks 1000000 > squares  every line to a file\n"
	"  sqctl local --forever --rate 10/3s     at the recipe's pace\n"
	"  sqctl local --prefix mine --forever &  then: SQ_PREFIX=mine sqctl put pq 7\n"
	"  sqctl local --json | jq .tasks_per_second\n"
	"\n"
	"In the object of --json, proof is \"holds\" or \"failed\"; not_true says what is wrong then; done_again\n"
	"names the tasks done more than once, all of them if all_named; the sums are texts, for they may have\n"
	"39 digits. Without a proof (the collector was killed, or two signals ended it at once) there is none.\n"
	"\n"
	"Exit: 0 done (or a signal ended it, without --tasks, or whoever read us left), 1 the proof failed, or\n"
	"the collector was killed; 64 usage, 69 no processes, memory or descriptors, 70 damaged, 73 no room for\n"
	"the queues, or there is one of that name; 74 cannot write, 77 not allowed, 128 and the signal if a\n"
	"second one ended it at once. A signal before the last of --tasks ends it, after the proof, as if by\n"
	"that signal.\n";

static const char *set_prefix(const struct args_option *o, const char *text)
{
	char name[NAMES_MAX], full[NAMES_MAX];
	int len = snprintf(name, sizeof(name), "%s.pq", text);

	/* A prefix is what stands before the dot in a name, and has none itself. */
	if (len >= (int)sizeof(name) || strchr(text, '.') || names_full(full, name) < 0)
		return "must be 1 to 64 letters, digits, - and _";
	strcpy(o->to, text);
	return NULL;
}

/* Any value that a task can have. */
static const char *set_any(const struct args_option *o, const char *text)
{
	return parse_natural(o->to, text, strlen(text));
}

static const char *set_rate(const struct args_option *o, const char *text)
{
	struct local_options *local = o->to;

	return parse_rate(&local->rate, &local->rate_span, text);
}

static const char *set_forever(const struct args_option *o, const char *text)
{
	(void)text;
	*(int64_t *)o->to = INT64_MAX;
	return NULL;
}

static const char *set_json(const struct args_option *o, const char *text)
{
	struct local_options *local = o->to;

	local->json = true;
	local->json_file = text;
	return NULL;
}

static int read_options(struct local_options *o, int argc, char **argv)
{
	unsigned ends = 0;
	const struct args_option options[] = {
		{"producers", 0, required_argument, args_count, .to = &o->producers, .min = 1,
			.max = LOCAL_PRODUCERS_MAX},
		{"workers", 0, required_argument, args_count, .to = &o->workers, .min = 1,
			.max = LOCAL_WORKERS_MAX},
		{"tasks", 0, required_argument, args_count, .to = &o->tasks, .min = 0,
			.max = INT64_MAX, .given = &ends},
		{"duration", 0, required_argument, args_span, .to = &o->duration, .given = &ends},
		{"forever", 0, no_argument, set_forever, .to = &o->duration, .given = &ends},
		{"rate", 0, required_argument, set_rate, .to = o},
		{"max", 0, required_argument, set_any, .to = &o->max},
		{"seed", 0, required_argument, set_any, .to = &o->seed},
		{"capacity", 0, required_argument, args_size, .to = &o->capacity, .min = 2,
			.max = SQ_CAPACITY_MAX},
		{"prefix", 0, required_argument, set_prefix, .to = o->prefix},
		{"json", 0, optional_argument, set_json, .to = o},
		{"quiet", 'q', no_argument, args_flag, .to = &o->quiet},
		{0},
	};
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct args args;
	int code;

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
	code = args_read(&args, options, argc, argv);
	if (code != EXIT_DONE)
		return code;
	if (args.n > 0)
		return report_usage("local", "what is '%s'? it takes options only%s", args.words[0],
			args_hint(&args));
	if (ends > 0 && o->duration == 0 && o->tasks == UINT64_MAX)
		return report_usage("local", "--duration '0' must be above 0");
	if (ends > 1)
		return report_usage(
			"local", "--tasks, --duration and --forever exclude each other");
	if (!ends)
		o->duration = DURATION_NS;
	return EXIT_DONE;
}

/* What an earlier run of ours left when it was killed. */
static int clear_away(const char *name, void *data)
{
	const char *own = data;

	if (strncmp(name, own, strlen(own)) == 0)
		(void)sq_gc(name); /* in use, or of another user: it stays */
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
			name, report_operand(name), report_operand(name));
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

/* Open the file before the run, so that no run is made whose numbers cannot be written. */
static int open_json(struct local *l)
{
	const struct local_options *o = &l->options;

	if (!o->json)
		return 0;
	l->json = o->json_file ? fopen(o->json_file, "we") : stdout;
	if (!l->json)
		return report(EXIT_IO, "cannot write %s: %s; name another file with --json=FILE",
			o->json_file, strerror(errno));
	return 0;
}

/* main() reports errors of standard output. */
static int close_json(struct local *l)
{
	if (!l->json || l->json == stdout || fclose(l->json) == 0)
		return 0;
	return report(EXIT_IO, "cannot write %s: %s; see whether there is room for it",
		l->options.json_file, strerror(errno));
}

/* A signal came before the last of --tasks was made: 0, if none did. */
static int report_short(const struct local *l, uint64_t made)
{
	const struct local_options *o = &l->options;

	if (!l->crew.asked || o->tasks == UINT64_MAX || made >= o->tasks)
		return EXIT_DONE;
	return report_stopped(l->crew.asked, made, o->tasks);
}

/* What the run has come to. */
static int prove(struct local *l)
{
	struct local_proof proof;
	int r = local_proof(l, &proof);

	if (r != 0)
		return r;
	local_tell(l, &proof);
	if (l->json)
		local_tell_json(l->json, l, &proof);
	if (proof.untrue_count > 0)
		return EXIT_EMPTY;
	if (atomic_load(&l->ledger->write_error))
		return report_write(l->ledger);
	l->cut_short = report_short(l, proof.made);
	return l->cut_short;
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
	return r == 0 ? prove(l) : r;
}

int cmd_local(int argc, char **argv)
{
	struct local l = {0};
	int w, r = read_options(&l.options, argc, argv);

	if (r == 0)
		r = name_queues(&l.options);
	if (r == 0)
		r = open_json(&l);
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
	w = close_json(&l);
	if (l.cut_short) {
		/* The object of --json. An error is not told: that a signal ended us says enough. */
		(void)fflush(stdout);
		crew_die(&l.crew);
	}
	/* The signals stay blocked: what one would ask for is done already. */
	return r != 0 ? r : w;
}
