/* SPDX-License-Identifier: ISC */
#include "carry.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "crew.h"
#include "gate.h"
#include "now.h"
#include "payload.h"
#include "say.h"

#define WARM_BYTES  (8u << 20)
#define WARM_MAX    20000
#define WARM_TRIPS  100
#define BATCH_MAX   32
#define BATCH_BYTES (128u << 10)
#define AGAIN_NS    100000000 /* looks whether all is done */

struct job {
	const struct hosts *hosts;
	const struct carry_load *load;
	struct gate *gate;
	struct times {
		int64_t hub_ns, leaf_ns;
		uint32_t trip_ns[];
	} * times; /* shared */
	unsigned number, trips;
	int64_t task_ns;
};

static int wrong(const char *what, int r)
{
	return say(EXIT_BROKEN, "bridge: %s: %s", what, sq_strerror(r));
}

static int enter(struct sq **ret, const char *name)
{
	int r = sq_open(ret, name);

	return r < 0 ? wrong(name, r) : EXIT_DONE;
}

/* Values from 1 to n. */
static int put_all(struct sq *q, char *buf, size_t size, uint64_t n)
{
	unsigned batch = size * BATCH_MAX > BATCH_BYTES ? (unsigned)(BATCH_BYTES / size)
							: BATCH_MAX;
	struct iovec iov[BATCH_MAX];

	batch = batch ? batch : 1;
	for (uint64_t i = 0; i < n;) {
		int now = n - i < batch ? (int)(n - i) : (int)batch, r;

		for (int k = 0; k < now; k++) {
			iov[k] = (struct iovec){buf + (size_t)k * size, size};
			payload_write(iov[k].iov_base, size, 1 + i + (uint64_t)k);
		}
		r = sq_put_many(q, iov, now, SQ_FOREVER);
		if (r < now)
			return wrong("put", r < 0 ? r : -EIO);
		i += (uint64_t)now;
	}
	return EXIT_DONE;
}

static int produce(const struct job *job, struct sq *q, char *buf, struct gate_end *end)
{
	int code, r;

	gate_pass(job->gate);
	end->began_ns = now_ns();
	code = put_all(q, buf, job->load->size, job->gate->messages);
	if (code != EXIT_DONE)
		return code;
	r = sq_join(q, SQ_FOREVER);
	end->ended_ns = now_ns();
	gate_pass(job->gate);
	return r < 0 ? wrong("join", r) : EXIT_DONE;
}

/* How many take the time, by what the warm-up took. */
static uint64_t plan(const struct job *job, const struct gate_end *end)
{
	int64_t took = end->ended_ns - end->began_ns;
	double n = (double)job->gate->messages * (double)job->load->span_ns / (double)took;

	return job->load->messages ? job->load->messages : n < 100 ? 100 : (uint64_t)n;
}

static int producer(void *arg)
{
	const struct job *job = arg;
	struct gate_end *end = &job->gate->end[0];
	char *buf = aligned_alloc(GATE_LINE, job->load->size * BATCH_MAX);
	struct sq *q;
	int code = enter(&q, job->hosts->hub_pq);

	if (!buf)
		return say(EXIT_UNAVAILABLE, "no memory");
	if (code == EXIT_DONE)
		code = produce(job, q, buf, end);
	if (code != EXIT_DONE)
		return code;
	job->gate->messages = plan(job, end);
	job->times->hub_ns = -hosts_cpu_ns(job->hosts->hub);
	job->times->leaf_ns = -hosts_cpu_ns(job->hosts->leaf);
	gate_pass(job->gate);
	code = produce(job, q, buf, end);
	job->times->hub_ns += hosts_cpu_ns(job->hosts->hub);
	job->times->leaf_ns += hosts_cpu_ns(job->hosts->leaf);
	sq_close(q);
	return code;
}

static int work(const struct job *job, struct sq *q, struct gate_end *end)
{
	struct sq_lease task;
	uint64_t value;

	end->count = end->sum = 0;
	gate_pass(job->gate);
	for (uint64_t n = job->gate->messages; end->count < n; end->count++) {
		int r = sq_lease(q, &task, SQ_FOREVER);

		if (r < 0)
			return wrong("lease", r);
		if (task.len != job->load->size || task.attempts > 1)
			return say(EXIT_BROKEN, "bridge: a task of %zu bytes, attempt %u", task.len,
				task.attempts);
		end->sum += payload_read(task.data, task.len, &value);
		r = sq_ack(q, &task);
		if (r < 0)
			return wrong("ack", r);
	}
	gate_pass(job->gate);
	return EXIT_DONE;
}

static int worker(void *arg)
{
	const struct job *job = arg;
	struct gate_end *end = &job->gate->end[1];
	struct sq *q;
	int code = enter(&q, job->hosts->leaf_pq);

	if (code == EXIT_DONE)
		code = work(job, q, end);
	if (code != EXIT_DONE)
		return code;
	gate_pass(job->gate);
	code = work(job, q, end);
	sq_close(q);
	return code;
}

int carry_tasks(const struct hosts *hosts, const struct carry_load *load, struct carry_result *ret)
{
	struct job job = {.hosts = hosts, .load = load, .gate = gate_new(2)};
	const struct gate_end *end = job.gate ? job.gate->end : NULL;
	struct crew crew = {0};
	uint64_t warm = WARM_BYTES / load->size;
	int code;

	job.times = crew_memory(sizeof(*job.times));
	if (!job.gate || !job.times)
		return say(EXIT_UNAVAILABLE, "no memory");
	warm = warm > WARM_MAX ? WARM_MAX : warm;
	job.gate->messages = load->messages && load->messages < warm ? load->messages : warm;
	code = crew_add(&crew, "producer", load->hub_cpu, producer, &job);
	if (code == EXIT_DONE)
		code = crew_add(&crew, "worker", load->leaf_cpu, worker, &job);
	if (code == EXIT_DONE)
		code = crew_wait(&crew);
	crew_kill(&crew);
	if (code == EXIT_DONE && (end[1].count != job.gate->messages ||
					 end[1].sum != payload_total(load->size, 1, end[1].count)))
		code = say(EXIT_BROKEN, "bridge: other tasks came than were put");
	if (code == EXIT_DONE) {
		double n = (double)job.gate->messages;

		ret->messages = job.gate->messages;
		ret->per_second = n * 1e9 / (double)(end[0].ended_ns - end[0].began_ns);
		ret->hub_ns = (double)job.times->hub_ns / n;
		ret->leaf_ns = (double)job.times->leaf_ns / n;
	}
	(void)munmap(job.times, sizeof(*job.times));
	(void)gate_free(job.gate);
	return code;
}

static int asker(void *arg)
{
	const struct job *job = arg;
	char *buf = aligned_alloc(GATE_LINE, job->load->size + GATE_LINE);
	struct sq *pq, *cq;
	int code = enter(&pq, job->hosts->hub_pq);

	if (code == EXIT_DONE)
		code = enter(&cq, job->hosts->hub_cq);
	if (!buf)
		return say(EXIT_UNAVAILABLE, "no memory");
	for (unsigned i = 0; i < WARM_TRIPS + job->trips && code == EXIT_DONE; i++) {
		int64_t began = now_ns();
		uint64_t value = 0;
		int r;

		payload_write(buf, job->load->size, i + 1);
		r = sq_put(pq, buf, job->load->size, SQ_FOREVER);
		if (r == 0)
			r = (int)sq_get(cq, buf, job->load->size, SQ_FOREVER);
		if (r < 0)
			return wrong("a task", r);
		(void)payload_read(buf, job->load->size, &value);
		if (value != i + 1)
			return say(EXIT_BROKEN, "bridge: another result came");
		if (i >= WARM_TRIPS)
			job->times->trip_ns[i - WARM_TRIPS] = (uint32_t)(now_ns() - began);
	}
	return code;
}

static int answerer(void *arg)
{
	const struct job *job = arg;
	struct sq_lease task;
	struct sq *pq, *cq;
	int code = enter(&pq, job->hosts->leaf_pq);

	if (code == EXIT_DONE)
		code = enter(&cq, job->hosts->leaf_cq);
	for (unsigned i = 0; i < WARM_TRIPS + job->trips && code == EXIT_DONE; i++) {
		int r = sq_lease(pq, &task, SQ_FOREVER);

		if (r == 0)
			r = sq_put(cq, task.data, task.len, SQ_FOREVER);
		if (r == 0)
			r = sq_ack(pq, &task);
		if (r < 0)
			return wrong("a task", r);
	}
	return code;
}

int carry_trips(
	const struct hosts *hosts, const struct carry_load *load, uint32_t *ret_ns, unsigned trips)
{
	size_t size = sizeof(struct times) + trips * sizeof(uint32_t);
	struct job job = {.hosts = hosts, .load = load, .trips = trips};
	struct crew crew = {0};
	int code;

	job.times = crew_memory(size);
	if (!job.times)
		return say(EXIT_UNAVAILABLE, "no memory");
	code = crew_add(&crew, "producer", load->hub_cpu, asker, &job);
	if (code == EXIT_DONE)
		code = crew_add(&crew, "worker", load->leaf_cpu, answerer, &job);
	if (code == EXIT_DONE)
		code = crew_wait(&crew);
	crew_kill(&crew);
	memcpy(ret_ns, job.times->trip_ns, trips * sizeof(uint32_t));
	(void)munmap(job.times, size);
	return code;
}

/* gate->producing counts the tasks that are still to be done. */
static int busy_worker(void *arg)
{
	const struct job *job = arg;
	struct gate_end *end = &job->gate->end[job->number];
	struct sq_lease task;
	uint64_t value;
	struct sq *q;
	int code = enter(&q, job->hosts->leaf_pq);

	if (code != EXIT_DONE)
		return code;
	gate_pass(job->gate);
	while (atomic_load(&job->gate->producing) > 0) {
		int r = sq_lease(q, &task, AGAIN_NS);
		int64_t began = now_ns();

		if (r == -ETIMEDOUT)
			continue;
		if (r < 0)
			return wrong("lease", r);
		if (task.len != job->load->size || task.attempts > 1)
			return say(EXIT_BROKEN, "bridge: a task of %zu bytes, attempt %u", task.len,
				task.attempts);
		if (end->count++ == 0)
			end->began_ns = began;
		end->sum += payload_read(task.data, job->load->size, &value);
		sleep_ns(job->task_ns);
		end->ended_ns = now_ns();
		end->busy_ns += end->ended_ns - began;
		r = sq_ack(q, &task);
		if (r < 0)
			return wrong("ack", r);
		atomic_fetch_sub(&job->gate->producing, 1);
	}
	sq_close(q);
	return EXIT_DONE;
}

static int busy_producer(void *arg)
{
	const struct job *job = arg;
	char *buf = aligned_alloc(GATE_LINE, job->load->size * BATCH_MAX);
	struct sq *q;
	int code = enter(&q, job->hosts->hub_pq);

	if (!buf)
		return say(EXIT_UNAVAILABLE, "no memory");
	gate_pass(job->gate);
	return code != EXIT_DONE ? code : put_all(q, buf, job->load->size, job->gate->messages);
}

int carry_busy(const struct hosts *hosts, const struct carry_load *load, unsigned workers,
	int64_t task_ns, double *ret_share, uint64_t *ret_n)
{
	struct gate *gate = gate_new(workers + 1);
	struct job jobs[CREW_MAX];
	int64_t began = INT64_MAX, ended = 0;
	struct crew crew = {0};
	uint64_t count = 0, sum = 0;
	double busy = 0;
	int code;

	if (!gate)
		return say(EXIT_UNAVAILABLE, "no memory");
	gate->messages = load->messages ? load->messages
					: (uint64_t)(load->span_ns / task_ns + 1) * workers;
	atomic_store(&gate->producing, (unsigned)gate->messages);
	jobs[0] = (struct job){.hosts = hosts, .load = load, .gate = gate, .task_ns = task_ns};
	code = crew_add(&crew, "producer", load->hub_cpu, busy_producer, &jobs[0]);
	for (unsigned i = 0; i < workers && code == EXIT_DONE; i++) {
		jobs[i + 1] = jobs[0];
		jobs[i + 1].number = i;
		code = crew_add(&crew, "worker", load->leaf_cpu, busy_worker, &jobs[i + 1]);
	}
	if (code == EXIT_DONE)
		code = crew_wait(&crew);
	crew_kill(&crew);
	for (unsigned i = 0; i < workers; i++) {
		busy += (double)gate->end[i].busy_ns;
		count += gate->end[i].count;
		sum += gate->end[i].sum;
		if (gate->end[i].count > 0 && gate->end[i].began_ns < began)
			began = gate->end[i].began_ns;
		if (gate->end[i].ended_ns > ended)
			ended = gate->end[i].ended_ns;
	}
	if (code == EXIT_DONE &&
		(count != gate->messages || sum != payload_total(load->size, 1, count)))
		code = say(EXIT_BROKEN, "bridge: other tasks were done than were put");
	*ret_n = count;
	if (code == EXIT_DONE)
		*ret_share = busy / ((double)workers * (double)(ended - began));
	(void)gate_free(gate);
	return code;
}
