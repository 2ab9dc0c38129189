/* SPDX-License-Identifier: ISC */
#include "watch.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define LOOK_US 500

int64_t watch_now_ns(void)
{
	struct timespec ts;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &ts), 0);
	return (int64_t)ts.tv_sec * SECOND + ts.tv_nsec;
}

/* Its own position in the file is not ours to move. */
const char *watch_said(const struct run *run)
{
	static char text[WATCH_ERRORS_MAX + 1];
	ssize_t n = pread(run->err, text, WATCH_ERRORS_MAX, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

int watch_count(const char *text, const char *part)
{
	int n = 0;

	for (; (text = strstr(text, part)) != NULL; text += strlen(part))
		n++;
	return n;
}

bool watch_ended(const struct run *run)
{
	siginfo_t info = {0};

	assert_int_equal(waitid(P_PID, (id_t)run->pid, &info, WEXITED | WNOHANG | WNOWAIT), 0);
	return info.si_pid != 0;
}

void watch_wait_said(const struct run *run, const char *part, int times)
{
	int64_t until = watch_now_ns() + WATCH_PATIENCE;

	while (watch_count(watch_said(run), part) < times) {
		if (watch_ended(run) || watch_now_ns() > until) {
			/* It may have said so and ended between the two looks. */
			if (watch_count(watch_said(run), part) >= times)
				return;
			fail_msg("'%s' was not said: %s", part, watch_said(run));
		}
		(void)usleep(LOOK_US);
	}
}

struct outcome watch_signal(const struct run *run, int signal_number)
{
	assert_int_equal(kill(run->pid, signal_number), 0);
	return run_end(run);
}

static bool read_name(struct watch_child *child)
{
	char path[64];
	size_t len = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)child->pid);
	f = fopen(path, "re");
	if (f) {
		len = fread(child->name, 1, sizeof(child->name) - 1, f);
		(void)fclose(f);
	}
	child->name[len] = '\0';
	child->name[strcspn(child->name, "\n")] = '\0';
	return len > 0;
}

int watch_children(
	const struct run *run, struct watch_child ret[static WATCH_CHILDREN_MAX], const char *kind)
{
	char path[64];
	int n = 0, pid;
	FILE *f;

	(void)snprintf(
		path, sizeof(path), "/proc/%d/task/%d/children", (int)run->pid, (int)run->pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (n < WATCH_CHILDREN_MAX && fscanf(f, "%d", &pid) == 1) {
		ret[n].pid = pid;
		if (read_name(&ret[n]) && strncmp(ret[n].name, kind, strlen(kind)) == 0)
			n++;
	}
	(void)fclose(f);
	return n;
}

void watch_wait_children(const struct run *run, const char *kind, int n)
{
	int64_t until = watch_now_ns() + WATCH_PATIENCE;
	struct watch_child all[WATCH_CHILDREN_MAX];

	while (watch_children(run, all, kind) != n) {
		if (watch_ended(run) || watch_now_ns() > until)
			fail_msg("not %d of %s: %s", n, kind, watch_said(run));
		(void)usleep(LOOK_US);
	}
}

pid_t watch_child_named(const struct run *run, const char *name)
{
	struct watch_child all[WATCH_CHILDREN_MAX];

	watch_wait_children(run, name, 1);
	assert_int_equal(watch_children(run, all, name), 1);
	return all[0].pid;
}

static bool is_stopped(pid_t pid)
{
	char path[64], text[256];
	const char *state;
	size_t len;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	len = fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f);
	text[len] = '\0';
	state = strrchr(text, ')');
	return state && state[1] == ' ' && state[2] == 'T';
}

void watch_stop(pid_t pid)
{
	assert_int_equal(kill(pid, SIGSTOP), 0);
	while (!is_stopped(pid))
		(void)usleep(LOOK_US);
}

void watch_kill_supervisor(struct run *run, const char *kind)
{
	struct watch_child all[WATCH_CHILDREN_MAX];
	int n, status;

	/*
	 * Orphans become our children: their end can be seen, and no other process is taken for
	 * one.
	 */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	n = watch_children(run, all, kind);
	assert_true(n > 0);
	assert_int_equal(kill(run->pid, SIGKILL), 0);
	expect(run_end(run), -SIGKILL, "", "");
	run->pid = -1;
	for (int i = 0; i < n; i++) {
		int64_t until = watch_now_ns() + WATCH_PATIENCE;

		while (waitpid(all[i].pid, &status, WNOHANG) == 0) {
			if (watch_now_ns() > until) {
				for (; i < n; i++)
					(void)kill(all[i].pid, SIGKILL);
				fail_msg("outlived their supervisor");
			}
			(void)usleep(LOOK_US);
		}
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGKILL);
	}
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0), 0);
}

struct sq *watch_make(const char *name, const struct sq_config *config)
{
	struct sq *q;

	assert_int_equal(sq_create(name, config), 0);
	assert_int_equal(sq_open(&q, name), 0);
	return q;
}

struct sq_stat watch_stat(struct sq *q)
{
	struct sq_stat st;

	assert_int_equal(sq_stat(q, &st), 0);
	return st;
}

void watch_put(struct sq *q, const char *item)
{
	assert_int_equal(sq_put(q, item, strlen(item), SQ_NOWAIT), 0);
}

void watch_wait_put(struct sq *q, uint64_t n)
{
	int64_t until = watch_now_ns() + WATCH_PATIENCE;

	while (watch_stat(q).put < n) {
		assert_true(watch_now_ns() < until);
		(void)usleep(LOOK_US);
	}
}

void watch_wait_depth(struct sq *q, uint64_t n)
{
	int64_t until = watch_now_ns() + WATCH_PATIENCE;

	while (watch_stat(q).depth != n) {
		assert_true(watch_now_ns() < until);
		(void)usleep(LOOK_US);
	}
}

void watch_wait_participants(struct sq *q, uint64_t n)
{
	int64_t until = watch_now_ns() + WATCH_PATIENCE;

	while (watch_stat(q).participants != n) {
		assert_true(watch_now_ns() < until);
		(void)usleep(LOOK_US);
	}
}

uint64_t watch_get_number(struct sq *q)
{
	char text[256], *end;
	ssize_t len = sq_get(q, text, sizeof(text) - 1, WATCH_PATIENCE);
	uint64_t n;

	assert_true(len > 0);
	text[len] = '\0';
	n = strtoull(text, &end, 10);
	assert_true(end > text && (*end == '\0' || *end == ' '));
	return n;
}
