/* SPDX-License-Identifier: ISC */
#include "local_run.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

struct run current = {.pid = -1};

static int object = -1; /* the file of --json */

void local_init(void)
{
	run_init();
	/* It is inherited, and opened anew by its number. */
	object = memfd_create("json", 0);
	assert_true(object >= 0);
}

const char *json_option(void)
{
	static char option[64];

	assert_int_equal(ftruncate(object, 0), 0);
	(void)snprintf(option, sizeof(option), "--json=/proc/self/fd/%d", object);
	return option;
}

const char *json(void)
{
	static char text[1 << 20];
	ssize_t n = pread(object, text, sizeof(text) - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

void expect_json(const char *part)
{
	if (!strstr(json(), part))
		fail_msg("no '%s' in: %s", part, json());
}

uint64_t number(const char *name)
{
	unsigned long long v = 0;
	char label[64];
	const char *at;

	(void)snprintf(label, sizeof(label), ",\"%s\":", name);
	at = strstr(json(), label);
	if (!at || sscanf(at + strlen(label), "%llu", &v) != 1)
		fail_msg("no '%s' in: %s", label, json());
	return v;
}

/* The names of all our queues begin with the prefix, as run_init() made it. */
static int walk_left(bool remove_them)
{
	char start[64], path[512];
	DIR *dir = opendir("/dev/shm");
	struct dirent *entry;
	int n = 0;

	assert_non_null(dir);
	(void)snprintf(start, sizeof(start), "sq.%s", getenv("SQ_PREFIX"));
	while ((entry = readdir(dir)) != NULL) {
		if (strncmp(entry->d_name, start, strlen(start)) != 0)
			continue;
		n++;
		(void)snprintf(path, sizeof(path), "/dev/shm/%s", entry->d_name);
		if (remove_them)
			(void)unlink(path);
	}
	(void)closedir(dir);
	return n;
}

int left(void)
{
	return walk_left(false);
}

int local_clean(void **state)
{
	(void)state;
	if (current.pid > 0) {
		(void)kill(current.pid, SIGKILL);
		(void)run_end(&current);
		current.pid = -1;
	}
	(void)walk_left(true);
	return 0;
}

const char *prefix(void)
{
	static char name[64];

	(void)snprintf(name, sizeof(name), "%s-t", getenv("SQ_PREFIX"));
	return name;
}

const char *queue(const char *which)
{
	static char name[2][80];
	static int turn;

	turn = !turn;
	(void)snprintf(name[turn], sizeof(name[turn]), "%s.%s", prefix(), which);
	return name[turn];
}

struct outcome end(void)
{
	struct outcome o = run_end(&current);

	current.pid = -1;
	return o;
}

struct outcome interrupted(void)
{
	assert_int_equal(kill(current.pid, SIGINT), 0);
	return end();
}

void wait_started(void)
{
	wait_said("\ncollector ", 1);
}

void expect_crew(int producers, int workers)
{
	struct watch_child all[WATCH_CHILDREN_MAX];
	char pid[16];
	int n;

	wait_started();
	for (int64_t until = watch_now_ns() + WATCH_PATIENCE;
		children(all, "sq-") != producers + workers + 1;)
		assert_true(watch_now_ns() < until);
	n = children(all, "sq-");
	for (int i = 0; i < n; i++) {
		(void)snprintf(pid, sizeof(pid), " %d", (int)all[i].pid);
		assert_non_null(strstr(said(), pid));
	}
	assert_int_equal(children(all, "sq-producer"), producers);
	assert_int_equal(children(all, "sq-worker"), workers);
	assert_int_equal(children(all, "sq-collector"), 1);
}

pid_t stop_child(const char *name)
{
	pid_t pid = child_named(name);

	watch_stop(pid);
	return pid;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

void sort(struct results *r)
{
	if (r->count)
		qsort(r->n, r->count, sizeof(*r->n), by_size);
}

void add(struct results *r, uint64_t n)
{
	if ((r->count & (r->count - 1)) == 0) {
		r->n = reallocarray(r->n, r->count ? 2 * r->count : 1, sizeof(*r->n));
		assert_non_null(r->n);
	}
	r->n[r->count++] = n;
	r->sum += n;
}

void drop(struct results *r)
{
	free(r->n);
	*r = (struct results){0};
}

/* Decimal digits, one by one from the end. Returns how many. */
static size_t digits(char *ret, wide v)
{
	char reversed[40];
	size_t n = 0;

	do
		reversed[n++] = (char)('0' + (int)(v % 10));
	while ((v /= 10) != 0);
	for (size_t i = 0; i < n; i++)
		ret[i] = reversed[n - 1 - i];
	return n;
}

size_t right_line(char ret[static 128], uint64_t n)
{
	size_t len = digits(ret, n);

	ret[len++] = ' ';
	ret[len++] = '*';
	ret[len++] = ' ';
	len += digits(ret + len, n);
	ret[len++] = ' ';
	ret[len++] = '=';
	ret[len++] = ' ';
	return len + digits(ret + len, (wide)n * n);
}

uint64_t check_line(const char *line, size_t len)
{
	char want[128];
	uint64_t n = 0;

	for (size_t i = 0; i < len && line[i] >= '0' && line[i] <= '9'; i++)
		n = n * 10 + (uint64_t)(line[i] - '0');
	if (right_line(want, n) != len || memcmp(line, want, len) != 0)
		fail_msg("a wrong line: '%.*s'", (int)(len < 200 ? len : 200), line);
	return n;
}

struct results results_of(const char *text, size_t len)
{
	struct results r = {0};
	const char *at = text, *newline;

	while ((newline = memchr(at, '\n', len - (size_t)(at - text))) != NULL) {
		add(&r, check_line(at, (size_t)(newline - at)));
		at = newline + 1;
	}
	assert_int_equal(at - text, len);
	sort(&r);
	return r;
}

void same(const struct results *a, const struct results *b)
{
	assert_int_equal(a->count, b->count);
	for (size_t i = 0; i < a->count; i++)
		assert_int_equal(a->n[i], b->n[i]);
}

void expect_sums(wide made, wide collected)
{
	char a[40], b[40], part[128];

	(void)snprintf(part, sizeof(part), ",\"sum_made\":\"%.*s\",\"sum_collected\":\"%.*s\",",
		(int)digits(a, made), a, (int)digits(b, collected), b);
	expect_json(part);
}

struct results expect_clean(struct outcome o)
{
	struct results r;

	expect(o, 0, "", "proof: nothing lost, nothing duplicated\n");
	assert_null(strstr(o.err, "NOT TRUE"));
	assert_null(strstr(o.err, "was killed"));
	r = results_of(o.out, o.out_len);
	expect_json("{\"proof\":\"holds\",\"not_true\":[],");
	assert_int_equal(number("made"), r.count);
	assert_int_equal(number("done"), r.count);
	assert_int_equal(number("collected"), r.count);
	assert_int_equal(number("written"), r.count);
	assert_int_equal(number("wrong"), 0);
	assert_int_equal(number("lost"), 0);
	assert_int_equal(number("duplicated"), 0);
	expect_json(",\"done_again\":[],");
	expect_sums(r.sum, r.sum);
	assert_int_equal(left(), 0);
	return r;
}

void expect_no_proof(struct outcome o, int code, const char *err)
{
	expect(o, code, "", err);
	assert_null(strstr(o.err, "proof: "));
	assert_null(strstr(o.err, "\nmade "));
	assert_string_equal(json(), "");
	assert_int_equal(left(), 0);
}
