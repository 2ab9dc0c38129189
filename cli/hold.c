/* SPDX-License-Identifier: ISC */
#include "hold.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "now.h"
#include "report.h"
#include "stop.h"

static bool look(const struct hold *hold, struct stat *ret)
{
	char path[NAMES_MAX + 16];

	(void)snprintf(path, sizeof(path), "/dev/shm/sq.%s", hold->name);
	return lstat(path, ret) == 0;
}

static bool is(const struct hold *hold, const struct stat *st)
{
	return st->st_dev == hold->device && st->st_ino == hold->inode;
}

/* 0 or an error of the engine. */
static int try_open(struct hold *hold)
{
	struct stat st;
	int r = names_full(hold->name, hold->queue);

	while (r == 0) {
		/*
		 * Look at the name before and after: if both are the same file, that file was
		 * opened in between.
		 */
		hold->device = 0;
		hold->inode = 0;
		if (look(hold, &st)) {
			hold->device = st.st_dev;
			hold->inode = st.st_ino;
		}
		r = sq_open(&hold->q, hold->queue);
		if (r < 0 || (look(hold, &st) && is(hold, &st)))
			break;
		/* Made, removed or made anew meanwhile. */
		hold_close(hold);
	}
	return r;
}

int hold_open(struct hold *ret, const char *queue, int64_t wait_ns, bool quiet, bool (*nap)(void *),
	void *data)
{
	struct hold hold = {.queue = queue};
	int64_t from = now_ns();
	bool said = false;
	int r;

	while ((r = try_open(&hold)) == -ENOENT && wait_ns != 0) {
		if (wait_ns > 0 && now_ns() - from >= wait_ns)
			return report(EXIT_TIMED_OUT,
				"timed out waiting for somebody to make %s; make it with `sqctl create %s`, or "
				"wait longer with --wait",
				queue, queue);
		if (!said && !quiet)
			(void)report(0,
				"waiting for %s, which is not there yet: a bridge may make it, or "
				"`sqctl create %s`",
				queue, queue);
		said = true;
		if (nap(data))
			return -EINTR;
	}
	if (r < 0)
		return report_queue(queue, r);
	*ret = hold;
	return EXIT_DONE;
}

bool hold_gone(struct hold *hold)
{
	int64_t now = now_ns();
	struct stat st;

	if (now < hold->next_look_ns)
		return false;
	hold->next_look_ns = now + HOLD_LOOK_NS;
	if (look(hold, &st))
		return !is(hold, &st);
	return errno == ENOENT;
}

void hold_report_gone(const char *queue, int64_t wait_ns)
{
	const char *then = wait_ns ? "" : "; --wait waits for another";
	char full[NAMES_MAX];

	if (names_full(full, queue) == 0 && names_taken(full))
		then = ", and there is another of that name: going on with that";
	(void)report(EXIT_DONE, "%s was removed%s", queue, then);
}

void hold_close(struct hold *hold)
{
	sq_close(hold->q);
	hold->q = NULL;
}

bool hold_nap(void *unused)
{
	(void)unused;
	(void)nanosleep(&(struct timespec){.tv_nsec = HOLD_LOOK_NS}, NULL);
	return stop_wanted();
}

const char *hold_set_wait(const struct args_option *o, const char *text)
{
	if (text)
		return args_span(o, text);
	*(int64_t *)o->to = SQ_FOREVER;
	return NULL;
}
