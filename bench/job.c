/* SPDX-License-Identifier: ISC */
#include "job.h"

#include "crew.h"
#include "gate.h"
#include "now.h"
#include "recipe.h"
#include "say.h"

#define WARM_N 5000

struct member {
	struct job job;
	struct gate *gate;
	int role;
	unsigned number; /* of its end of the gate */
	uint64_t n;      /* 0: by the time */
	int64_t span_ns;
};

static int phase(struct member *m, struct gate_end *end)
{
	const struct job_kind *kind = m->job.kind;
	uint64_t n = m->gate->messages;
	int code;

	gate_pass(m->gate);
	end->began_ns = now_ns();
	end->sum = 0;
	if (m->role == JOB_PRODUCER)
		code = kind->produce(&m->job, n);
	else if (m->role == JOB_WORKER)
		code = kind->work(&m->job, n);
	else
		code = kind->collect(&m->job, n, &end->sum);
	end->ended_ns = now_ns();
	end->count = n;
	if (code == EXIT_DONE)
		gate_pass(m->gate);
	return code;
}

static int member_main(void *arg)
{
	struct member *m = arg;
	struct gate_end *end = &m->gate->end[m->number];
	int code = m->job.kind->join(&m->job, m->role);

	if (code == EXIT_DONE)
		code = phase(m, end);
	if (code != EXIT_DONE)
		return code;
	if (m->role == JOB_COLLECTOR) {
		double took = (double)(end->ended_ns - end->began_ns);

		m->gate->messages = m->n ? m->n
					 : 1 + (uint64_t)(WARM_N * (double)m->span_ns / took);
	}
	gate_pass(m->gate);
	return phase(m, end);
}

static uint64_t expected(uint64_t n)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < n; i++)
		sum += recipe_task(i);
	return sum;
}

int job_run(const struct job_kind *kind, unsigned workers, const int cpus[2], uint64_t n,
	int64_t span_ns, double *ret, uint64_t *ret_n)
{
	static const char *const names[] = {"producer", "worker", "collector"};
	struct member members[JOB_WORKERS_MAX + 2];
	struct job job = {.kind = kind, .workers = workers};
	struct gate *gate = gate_new(workers + 2);
	struct gate_end *end;
	struct crew crew = {0};
	int code;

	if (!gate)
		return say(EXIT_UNAVAILABLE, "no memory");
	gate->messages = n && n < WARM_N ? n : WARM_N;
	end = &gate->end[workers + 1];
	code = kind->open(&job);
	if (code == EXIT_DONE) {
		for (unsigned i = 0; i < workers + 2 && code == EXIT_DONE; i++) {
			int role = i == 0         ? JOB_PRODUCER
				   : i <= workers ? JOB_WORKER
						  : JOB_COLLECTOR;

			members[i] = (struct member){job, gate, role, i, n, span_ns};
			code = crew_add(&crew, names[role], cpus[role == JOB_WORKER], member_main,
				&members[i]);
		}
		if (code == EXIT_DONE)
			code = crew_wait(&crew);
		crew_kill(&crew);
		kind->close(&job);
	}
	if (code == EXIT_DONE && end->sum != expected(gate->messages))
		code = say(
			EXIT_BROKEN, "job, %s: the results are not those of the tasks", kind->name);
	if (code == EXIT_DONE) {
		*ret_n = gate->messages;
		*ret = (double)*ret_n * 1e9 / (double)(end->ended_ns - end->began_ns);
	}
	(void)gate_free(gate);
	return code;
}
