/* SPDX-License-Identifier: ISC */
/*
 * A worker: takes tasks from one queue and puts their results into another.
 *
 *	cc -o worker worker.c $(pkg-config --cflags --libs libsq)
 *	./worker pq cq
 *
 * A task is the text of a number n below 2^32, its result the text `n * n = n²`. Any number of
 * workers may run, and any may be stopped, killed and started again at any moment: a task is removed
 * only when its result is in the other queue. What a killed worker had in hand goes to another. If
 * it was killed between putting the result and removing the task, that one result is there twice,
 * and says so by its n. SIGTERM and SIGINT end a worker after the task in hand. A queue that is not
 * there yet is waited for, which is said: it may be that its name was mistyped.
 *
 * Exit code: 0 asked to end, or the tasks' queue is shut down and drained; 1 anything else.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include <sq.h>

#define SPAN_NS     100000000 /* how late a signal may be noticed, for a waiting call goes on */
#define DAMAGED_MAX 100       /* errors in a row that say "damaged" */

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

/* What went wrong, and with which queue. -1. */
static int fail(const char *queue, int error)
{
	(void)fprintf(stderr, "worker: %s: %s\n", queue, sq_strerror(error));
	return -1;
}

/* Open the queue, or wait for somebody to make it. 0, or -1: stop. */
static int open_queue(struct sq **ret, const char *name)
{
	int said = 0;

	while (!stop) {
		int r = sq_open(ret, name);

		if (r == 0)
			return 0;
		/* Not made yet; or all places are taken, and one may become free. */
		if (r != -ENOENT && r != -EUSERS)
			return fail(name, r);
		if (said != r)
			(void)fprintf(stderr, "worker: %s: waiting: %s\n", name, sq_strerror(r));
		said = r;
		(void)nanosleep(&(struct timespec){.tv_nsec = SPAN_NS}, NULL);
	}
	return -1;
}

/* The result of a task, to text. Its length, or 0: it is no task. */
static size_t square(char *text, size_t cap, const char *task, size_t len)
{
	uint64_t n = 0;

	if (len == 0 || len > 10)
		return 0;
	for (size_t i = 0; i < len; i++) {
		if (task[i] < '0' || task[i] > '9')
			return 0;
		n = n * 10 + (uint64_t)(task[i] - '0');
	}
	if (n > UINT32_MAX)
		return 0;
	return (size_t)snprintf(text, cap, "%" PRIu64 " * %" PRIu64 " = %" PRIu64, n, n, n * n);
}

/* The queues, their names, and how long a waiting call may take. */
struct worker {
	struct sq *tasks, *results;
	const char *tasks_name, *results_name;
	struct sq_stat st; /* of the tasks' queue */
	int64_t span;
};

/*
 * Put the result. While there is no room the lease is kept from running out. 0; -ESTALE: the lease
 * ended all the same; -ETIMEDOUT: there was no room, and we are to stop; or another error.
 */
static int put_result(struct worker *w, const struct sq_lease *task, const char *text, size_t len)
{
	for (;;) {
		int r = sq_put(w->results, text, len, w->span);

		if (r != -ETIMEDOUT)
			return r;
		r = sq_touch(w->tasks, task);
		if (r < 0 || stop)
			return r < 0 ? r : -ETIMEDOUT;
	}
}

/* 0: go on. -1: end. */
static int do_task(struct worker *w, const struct sq_lease *task)
{
	char text[64];
	size_t len = square(text, sizeof(text), task->data, task->len);
	int r;

	if (len == 0) {
		/* For the dead letters, if there are any: each nack is one attempt less. */
		r = w->st.max_attempts ? sq_nack(w->tasks, task) : sq_ack(w->tasks, task);
		(void)fprintf(stderr, "worker: %s: a message that is no task\n", w->tasks_name);
		return r < 0 && r != -ESTALE ? fail(w->tasks_name, r) : 0;
	}
	r = put_result(w, task, text, len);
	if (r == -ESTALE)
		return 0; /* it took too long: another has the task, and puts its result */
	if (r < 0) {
		/* Done in vain, which is not the task's fault: it counts as not tried. */
		(void)sq_return(w->tasks, task); /* stale: then it was given back already */
		if (r == -ETIMEDOUT)
			return -1;
		/* -EPIPE, -EIDRM: nobody wants results. -EMSGSIZE: that queue is of shorter ones. */
		return fail(w->results_name, r);
	}
	r = sq_ack(w->tasks, task);
	/* Stale: another does it once more, and its result is there twice. It is there. */
	return r < 0 && r != -ESTALE ? fail(w->tasks_name, r) : 0;
}

/* Until there is nothing more to do. 0, or -1: because of an error. */
static int work(struct worker *w)
{
	int damaged = 0;

	while (!stop) {
		struct sq_lease task;
		int r = sq_lease(w->tasks, &task, w->span);

		damaged = r == -EBADMSG ? damaged + 1 : 0;
		switch (r) {
		case 0:
			if (do_task(w, &task) < 0)
				return stop ? 0 : -1;
			break;
		case -ETIMEDOUT: /* no task: look whether we are to stop */
			break;
		case -ENOMEM: /* for the copy of one: others may have more */
			(void)nanosleep(&(struct timespec){.tv_nsec = SPAN_NS}, NULL);
			break;
		case -EBADMSG: /* one message was damaged, and is lost; or all of them are */
			(void)fail(w->tasks_name, r);
			if (damaged == DAMAGED_MAX)
				return -1;
			break;
		case -EPIPE: /* shut down, and all is done */
			return 0;
		default: /* -EIDRM: removed; there may be another of that name by now */
			return fail(w->tasks_name, r);
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction act = {.sa_handler = on_signal};
	struct worker w = {.span = SPAN_NS};
	int r = -1;

	if (argc != 3) {
		(void)fprintf(stderr, "usage: worker TASKS RESULTS\n");
		return 1;
	}
	(void)sigaction(SIGTERM, &act, NULL);
	(void)sigaction(SIGINT, &act, NULL);
	w.tasks_name = argv[1];
	w.results_name = argv[2];
	if (open_queue(&w.tasks, argv[1]) == 0 && open_queue(&w.results, argv[2]) == 0) {
		(void)sq_stat(w.tasks, &w.st); /* of a handle that is open it cannot fail */
		/* To touch a lease in time one has to wait for less than its time. */
		if (w.st.lease_time > 0 && w.st.lease_time / 4 < w.span)
			w.span = w.st.lease_time / 4 + 1;
		r = work(&w);
	}
	sq_close(w.results);
	sq_close(w.tasks);
	return r < 0 && !stop ? 1 : 0;
}
