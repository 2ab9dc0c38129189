/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "crew.h"
#include "job.h"
#include "out.h"
#include "peer.h"
#include "pin.h"
#include "sample.h"
#include "say.h"

/*
 * sqbench job: the recipe from end to end. Ours with leases, one by one and in batches; ZeroMQ; the
 * recipe as it is written in Python, and multiprocessing's own queue. Each of C is pinned or left
 * to the kernel, whichever is faster for it; Python is left to it. And ours with more and more
 * workers, left to the kernel.
 */

#define SIDES_MAX      10
#define TRIALS         3
#define MANAGER_TASKS  5000
#define MPQUEUE_TASKS  20000
#define SCRIPT_TIMEOUT "120"

struct side {
	struct row row;
	const struct job_kind *kind; /* or: */
	const char *script;
	uint64_t tasks; /* of a run of the script */
	int free_cpus;
	unsigned workers;
};

static const int anywhere[2] = {PIN_FREE, PIN_FREE};
static const unsigned crowds[] = {2, 8, 64};

static int run_job(struct side *s, const struct options *o, double *ret)
{
	uint64_t n = 0;
	int code = job_run(s->kind, s->workers, s->free_cpus ? anywhere : o->cpus, o->messages,
		o->span_ns, ret, &n);

	s->row.messages += n;
	return code;
}

/* The script checks its results itself and prints its tasks a second. */
static int run_script(struct side *s, double *ret)
{
	char command[400], line[64] = "";
	FILE *f;
	int r;

	(void)snprintf(command, sizeof(command),
		"exec timeout " SCRIPT_TIMEOUT " python3 '%s/%s' %llu", SCRIPTS, s->script,
		(unsigned long long)s->tasks);
	(void)fflush(NULL);
	f = popen(command, "re");
	if (!f)
		return say(EXIT_UNAVAILABLE, "%s: %s", s->script, strerror(errno));
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	r = pclose(f);
	*ret = strtod(line, NULL);
	if (r != 0 || *ret <= 0)
		return say(EXIT_BROKEN, "%s failed", s->script);
	s->row.messages += s->tasks;
	return EXIT_DONE;
}

struct order {
	struct side *side;
	const struct options *options;
};

static int once(void *arg, double *ret)
{
	const struct order *order = arg;

	return order->side->kind ? run_job(order->side, order->options, ret)
				 : run_script(order->side, ret);
}

static int sample(struct side *s, const struct options *o)
{
	struct order order = {s, o};

	return sample_add(&s->row, o, once, &order);
}

static void describe(struct side *s, const struct options *o, const char *name)
{
	s->row.bench = "job";
	s->row.unit = "tasks/s";
	if (s->workers > 1)
		(void)snprintf(s->row.work, sizeof(s->row.work), "n -> n * n = n^2, %u workers",
			s->workers);
	else
		(void)snprintf(
			s->row.work, sizeof(s->row.work), "n -> n * n = n^2, one process each");
	(void)snprintf(s->row.side, sizeof(s->row.side), "%s", name);
	(void)snprintf(s->row.spin, sizeof(s->row.spin), "its own way");
	if (s->free_cpus)
		(void)snprintf(s->row.where, sizeof(s->row.where), "not pinned");
	else
		(void)snprintf(s->row.where, sizeof(s->row.where),
			"producer and collector CPU %d, worker %d", o->cpus[0], o->cpus[1]);
}

/* Pinned or not: the better by some short runs of either. */
static int choose(struct side *s, const struct options *o)
{
	double tried[2][TRIALS] = {0};
	int code = EXIT_DONE;

	if (!s->kind || o->free_cpus) {
		s->free_cpus = 1;
		return EXIT_DONE;
	}
	for (int i = 0; i < 2 * TRIALS && code == EXIT_DONE; i++) {
		uint64_t n;

		out_progress("where to run: %s", s->kind->name);
		code = job_run(s->kind, 1, i % 2 ? anywhere : o->cpus, o->messages, o->span_ns / 2,
			&tried[i % 2][i / 2], &n);
	}
	s->free_cpus = stats_median(tried[1], TRIALS) > stats_median(tried[0], TRIALS);
	return code;
}

static void script(struct side *sides, unsigned *n, const struct options *o, const char *name,
	const char *file, uint64_t tasks)
{
	char path[300];

	if (!options_peer(o, name))
		return;
	(void)snprintf(path, sizeof(path), "%s/%s", SCRIPTS, file);
	if (access(path, R_OK) < 0 || system("command -v python3 >/dev/null") != 0) {
		out_note("%s: no python3, or no %s", name, path);
		return;
	}
	sides[*n].script = file;
	sides[*n].tasks = o->messages && o->messages < tasks ? o->messages : tasks;
	sides[*n].tasks += sides[*n].tasks % 2;
	sides[*n].free_cpus = 1;
	describe(&sides[(*n)++], o, name);
}

static int line_up(struct side *sides, unsigned *ret_n, const struct options *o)
{
	static const struct job_kind *const kinds[] = {
		&job_sq_single,
		&job_sq_batch,
#ifdef HAVE_ZMQ
		&job_zmq_tcp,
		&job_zmq_ipc,
#endif
	};
	unsigned n = 0;
	int code = EXIT_DONE;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && code == EXIT_DONE; i++) {
		if (i > 1 && !options_peer(o, kinds[i]->name))
			continue;
		sides[n].kind = kinds[i];
		sides[n].workers = 1;
		code = choose(&sides[n], o);
		describe(&sides[n++], o, kinds[i]->name);
	}
	script(sides, &n, o, "BaseManager", "manager.py", MANAGER_TASKS);
	script(sides, &n, o, "mp.Queue", "mpqueue.py", MPQUEUE_TASKS);
	/* Many workers, anywhere. */
	for (size_t i = 0; i < sizeof(crowds) / sizeof(crowds[0]); i++) {
		sides[n].kind = &job_sq_single;
		sides[n].workers = crowds[i];
		sides[n].free_cpus = 1;
		describe(&sides[n++], o, job_sq_single.name);
	}
	*ret_n = n;
	return code;
}

static void bar_crowd(const struct bar *bar, const struct side *sides, unsigned n, unsigned workers)
{
	const struct side *few = NULL, *many = NULL;

	for (unsigned i = 0; i < n; i++) {
		if (sides[i].workers == crowds[0])
			few = &sides[i];
		if (sides[i].workers == workers)
			many = &sides[i];
	}
	if (few && many)
		out_bar(bar, &many->row, &few->row);
}

/* Not if it was not asked for. */
static void bar_over(const struct bar *bar, const struct side *sides, unsigned n, const char *begin,
	const struct options *o)
{
	const struct row *ours = &sides[0].row;

	/* The faster one of ours is what is asked about. */
	if (stats_ratio(&sides[1].row.series, &sides[0].row.series).median > 1)
		ours = &sides[1].row;
	if (!options_peer(o, begin))
		return;
	for (unsigned i = 2; i < n; i++)
		if (strncmp(sides[i].row.side, begin, strlen(begin)) == 0) {
			out_bar(bar, ours, &sides[i].row);
			return;
		}
	out_bar_unknown(bar, "it is not there");
}

int cmd_job(const struct options *o)
{
	static const struct bar manager = {"job, leases on / BaseManager", 1000, 0, false};
	static const struct bar zmq = {"job, leases on / ZeroMQ tcp, no acks", 4, 8, false};
	static const struct bar eight = {"job, 8 workers / 2 workers", 0.8, 0.95, false};
	static const struct bar many = {"job, 64 workers / 2 workers", 0.5, 0.8, false};
	static const char *const names[] = {
#ifdef HAVE_ZMQ
		"zmq tcp, no acks", "zmq ipc, no acks",
#endif
		"BaseManager", "mp.Queue", NULL};
	struct side *sides;
	unsigned n = 0;
	int code = peers_check_named(o, "job", names);

	if (code != EXIT_DONE)
		return code;
	sides = calloc(SIDES_MAX, sizeof(*sides));

	if (!sides)
		return say(EXIT_UNAVAILABLE, "no memory");
	code = line_up(sides, &n, o);
	for (unsigned run = 0; run < o->runs; run++)
		for (unsigned i = 0; i < n && code == EXIT_DONE; i++)
			code = sample(&sides[i], o);
	for (unsigned i = 0; i < n && code == EXIT_DONE; i++)
		out_row(&sides[i].row);
	for (unsigned i = 2; i < n && code == EXIT_DONE && !o->bars; i++)
		if (sides[i].workers <= 1)
			out_ratio(&sides[0].row, &sides[i].row);
	if (code == EXIT_DONE && o->bars) {
		bar_over(&manager, sides, n, "BaseManager", o);
		bar_over(&zmq, sides, n, "zmq tcp", o);
		bar_crowd(&eight, sides, n, 8);
		bar_crowd(&many, sides, n, 64);
	}
	free(sides);
	return code;
}
