/* SPDX-License-Identifier: ISC */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "run.h"
#include "watch.h"

/*
 * sqctl local: every line is right, every task is accounted for, whoever is killed and however it
 * ends, nothing stays behind; and the proof fails when it should. The products are checked here
 * with other arithmetic than the program's own.
 */

#define PACE_TRIES 10
#define LABEL_MAX  32
#define LONG       "300s" /* of runs that are ended from outside */

__extension__ typedef unsigned __int128 wide;

/* The run under way, to be ended when a test fails in the middle. */
static struct run current = {.pid = -1};

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

static int left(void)
{
	return walk_left(false);
}

static int clean(void **state)
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

/* A prefix that nobody else has. */
static const char *prefix(void)
{
	static char name[64];

	(void)snprintf(name, sizeof(name), "%s-t", getenv("SQ_PREFIX"));
	return name;
}

static const char *queue(const char *which)
{
	static char name[2][80];
	static int turn;

	turn = !turn;
	(void)snprintf(name[turn], sizeof(name[turn]), "%s.%s", prefix(), which);
	return name[turn];
}

#define begin_with(how, ...) (current = sqctl_start(how, "local", __VA_ARGS__))
#define begin(...)           begin_with(&(struct start){0}, __VA_ARGS__)

static struct outcome end(void)
{
	struct outcome o = run_end(&current);

	current.pid = -1;
	return o;
}

/* What the run under way says and does. */
#define said()                 watch_said(&current)
#define ended()                watch_ended(&current)
#define wait_said(part, times) watch_wait_said(&current, part, times)
#define children(all, kind)    watch_children(&current, all, kind)
#define child_named(name)      watch_child_named(&current, name)

/* All of them run. */
static void wait_started(void)
{
	wait_said("\ncollector ", 1);
}

static pid_t stop_child(const char *name)
{
	pid_t pid = child_named(name);

	watch_stop(pid);
	return pid;
}

/* The tasks of which there are results, in order. */
struct results {
	uint64_t *n;
	size_t count;
	wide sum;
};

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void add(struct results *r, uint64_t n)
{
	if ((r->count & (r->count - 1)) == 0) {
		r->n = reallocarray(r->n, r->count ? 2 * r->count : 1, sizeof(*r->n));
		assert_non_null(r->n);
	}
	r->n[r->count++] = n;
	r->sum += n;
}

static void drop(struct results *r)
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

/* The only right line for n. */
static size_t right_line(char *ret, uint64_t n)
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

static uint64_t check_line(const char *line, size_t len)
{
	char want[128];
	uint64_t n = 0;

	for (size_t i = 0; i < len && line[i] >= '0' && line[i] <= '9'; i++)
		n = n * 10 + (uint64_t)(line[i] - '0');
	if (right_line(want, n) != len || memcmp(line, want, len) != 0)
		fail_msg("a wrong line: '%.*s'", (int)(len < 200 ? len : 200), line);
	return n;
}

/* Check each line. Nothing may stand behind the last. */
static struct results results_of(const char *text, size_t len)
{
	struct results r = {0};
	const char *at = text, *newline;

	while ((newline = memchr(at, '\n', len - (size_t)(at - text))) != NULL) {
		add(&r, check_line(at, (size_t)(newline - at)));
		at = newline + 1;
	}
	assert_int_equal(at - text, len);
	if (r.count)
		qsort(r.n, r.count, sizeof(*r.n), by_size);
	return r;
}

static void same(const struct results *a, const struct results *b)
{
	assert_int_equal(a->count, b->count);
	for (size_t i = 0; i < a->count; i++)
		assert_int_equal(a->n[i], b->n[i]);
}

/* The last line with this label: that of the proof. NULL: none. */
static const char *find_line(const char *err, const char *label)
{
	const char *found = NULL;
	char start[LABEL_MAX];

	(void)snprintf(start, sizeof(start), "\n%s ", label);
	if (strncmp(err, start + 1, strlen(start) - 1) == 0)
		found = err;
	for (const char *at = err; (at = strstr(at, start)) != NULL; at++)
		found = at + 1;
	return found;
}

static uint64_t number(const char *err, const char *label)
{
	const char *line = find_line(err, label);
	unsigned long long v = 0;

	if (!line || sscanf(line + strlen(label), "%llu", &v) != 1)
		fail_msg("no '%s' in: %s", label, err);
	return v;
}

static void expect_sums(const char *err, wide want_made, wide want_collected)
{
	char a[48] = "", b[48] = "", made[48] = "", collected[48] = "";
	const char *line = find_line(err, "sum of n");

	a[digits(a, want_made)] = '\0';
	b[digits(b, want_collected)] = '\0';
	if (!line || sscanf(line, "sum of n %47s made, %47s collected", made, collected) != 2)
		fail_msg("no sums in: %s", err);
	assert_string_equal(made, a);
	assert_string_equal(collected, b);
}

/* A run in which nobody was killed and nobody took part, with its proof and all its lines. */
static struct results expect_clean(struct outcome o)
{
	struct results r;

	expect(o, 0, "", "proof: nothing lost, nothing duplicated\n");
	r = results_of(o.out, o.out_len);
	assert_int_equal(number(o.err, "made"), r.count);
	assert_int_equal(number(o.err, "done"), r.count);
	assert_int_equal(number(o.err, "collected"), r.count);
	assert_int_equal(number(o.err, "lost"), 0);
	assert_int_equal(number(o.err, "duplicated"), 0);
	expect_sums(o.err, r.sum, r.sum);
	assert_null(strstr(o.err, "NOT TRUE"));
	assert_null(strstr(o.err, "was killed"));
	assert_non_null(strstr(o.err, "of them wrong: 0\n"));
	assert_int_equal(left(), 0);
	return r;
}

static void expect_no_proof(struct outcome o, int code, const char *err)
{
	expect(o, code, "", err);
	assert_null(strstr(o.err, "proof: "));
	assert_null(find_line(o.err, "made"));
	assert_int_equal(left(), 0);
}

static struct outcome interrupted(void)
{
	assert_int_equal(kill(current.pid, SIGINT), 0);
	return end();
}

static void test_lines(void **state)
{
	static const struct {
		const char *producers, *workers, *tasks, *max, *capacity;
		uint64_t at_least, at_most; /* the largest n that comes */
	} runs[] = {
		{"2", "2", "20000", "1000000", "8192", 999000, 1000000},
		{"1", "1", "20000", "18446744073709551615", "8192", UINT64_C(1) << 63, UINT64_MAX},
		{"3", "4", "10007", "18446744073709551615", "2", UINT64_C(1) << 63, UINT64_MAX},
		{"5", "3", "1", "4294967296", "8192", 0, 4294967296},
		{"1", "2", "3001", "4294967297", "64", 4280000000, 4294967297},
		{"2", "1", "9999", "9", "8192", 9, 9},
		{"1", "1", "7", "0", "8192", 0, 0},
		{"2", "3", "0", "1000000", "8192", 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		struct results r = expect_clean(sqctl(NULL, "local", "--producers",
			runs[i].producers, "--workers", runs[i].workers, "--tasks", runs[i].tasks,
			"--max", runs[i].max, "--capacity", runs[i].capacity, "--seed", "1"));
		uint64_t largest = r.count ? r.n[r.count - 1] : 0;

		assert_int_equal(r.count, strtoul(runs[i].tasks, NULL, 10));
		assert_in_range(largest, runs[i].at_least, runs[i].at_most);
		drop(&r);
	}
}

static void test_seed(void **state)
{
	struct results a, b;
	struct outcome o;
	char seed[32];

	(void)state;
	a = expect_clean(sqctl(NULL, "local", "--tasks", "5001", "--seed", "18446744073709551615",
		"--max", "999"));
	b = expect_clean(sqctl(NULL, "local", "--tasks", "5001", "--seed", "18446744073709551615",
		"--max", "999", "--workers", "5", "--capacity", "16"));
	same(&a, &b);
	drop(&b);
	b = expect_clean(sqctl(NULL, "local", "--tasks", "5001", "--seed", "1", "--max", "999"));
	assert_int_equal(a.count, b.count);
	assert_true(a.sum != b.sum);
	drop(&a);
	drop(&b);
	/* One that was not chosen is another each time, and it is told. */
	o = sqctl(NULL, "local", "--tasks", "5001");
	assert_int_equal(
		sscanf(strstr(o.err, "seed") ? strstr(o.err, "seed") : "", "seed %31[0-9]", seed),
		1);
	a = expect_clean(o);
	b = expect_clean(sqctl(NULL, "local", "--tasks", "5001", "--seed", seed));
	same(&a, &b);
	drop(&b);
	b = expect_clean(sqctl(NULL, "local", "--tasks", "5001"));
	assert_true(a.sum != b.sum);
	drop(&a);
	drop(&b);
}

/* So many processes of each kind, each its own, and their pids are told. */
static void expect_crew(int producers, int workers)
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

static void test_crew(void **state)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct results r;

	(void)state;
	begin("--producers", "3", "--workers", "4", "--forever", "--rate", "1000");
	expect_crew(3, 4);
	r = expect_clean(interrupted());
	drop(&r);
	begin("--rate", "1000", "--duration", LONG);
	if (cpus > 0 && cpus < WATCH_CHILDREN_MAX - 3)
		expect_crew(2, (int)cpus);
	wait_started();
	r = expect_clean(interrupted());
	drop(&r);
}

/* Never faster than asked for; as slow as the machine is, which it is not each time. */
static void test_rate(void **state)
{
	bool paced = false;

	(void)state;
	for (int tries = 0; tries < PACE_TRIES && !paced; tries++) {
		struct results r = expect_clean(
			sqctl(NULL, "local", "--rate", "10/1s", "--duration", "2s"));

		assert_in_range(r.count, 1, 22);
		paced = r.count >= 19;
		drop(&r);
	}
	assert_true(paced);
	paced = false;
	for (int tries = 0; tries < PACE_TRIES && !paced; tries++) {
		/* The recipe's pace: the fourth is due 0.9 seconds after the first. */
		int64_t from = watch_now_ns(), took;
		struct results r = expect_clean(
			sqctl(NULL, "local", "--rate", "10/3s", "--tasks", "4"));

		took = watch_now_ns() - from;
		assert_int_equal(r.count, 4);
		assert_true(took >= SECOND * 9 / 10);
		paced = took <= SECOND * 3 / 2;
		drop(&r);
	}
	assert_true(paced);
}

/* The time of the third task does not fit a clock: it must not come at once for that. */
static void test_rate_slowest(void **state)
{
	struct results r;

	(void)state;
	r = expect_clean(sqctl(NULL, "local", "--rate", "1/100000d", "--duration", "300ms"));
	assert_int_equal(r.count, 1);
	drop(&r);
}

/*
 * Lines that wait for more to come, and go out when none does: the same as at full speed. The
 * collector's buffer is emptied in all states this way.
 */
static void test_slow(void **state)
{
	struct results fast, slow;

	(void)state;
	fast = expect_clean(sqctl(NULL, "local", "--seed", "1", "--tasks", "601"));
	slow = expect_clean(
		sqctl(NULL, "local", "--seed", "1", "--tasks", "601", "--rate", "1000"));
	same(&fast, &slow);
	drop(&slow);
	slow = expect_clean(sqctl(NULL, "local", "--tasks", "51", "--rate", "100"));
	assert_int_equal(slow.count, 51);
	drop(&slow);
	drop(&fast);
}

static void soon(void)
{
	(void)alarm(5);
}

/* None at all is no wish to go on for ever. */
static void test_duration(void **state)
{
	struct results r;
	int64_t from = watch_now_ns();

	(void)state;
	r = expect_clean(sqctl(NULL, "local", "--duration", "200ms"));
	assert_true(r.count > 1000);
	assert_in_range(watch_now_ns() - from, SECOND / 5, 60 * SECOND);
	drop(&r);
	expect(sqctl_with(&(struct start){.child = soon}, "local", "--duration", "0"), 64, NULL,
		"--duration");
}

/* What killing led to, over several runs. */
struct killings {
	uint64_t kills, restarts, again, redelivered;
};

/* The tasks named as done more than once, as often as they were done too often. */
static uint64_t add_named(struct results *r, const char *err)
{
	static const char mark[] = "\ndone ";
	uint64_t more = 0;

	for (const char *at = err; (at = strstr(at, mark)) != NULL; at++) {
		unsigned long long times, n, id;

		if (sscanf(at + strlen(mark), "%llu times: %llu (task %llu)", &times, &n, &id) != 3)
			continue;
		assert_true(times > 1);
		for (; times > 1; times--, more++)
			add(r, n);
	}
	return more;
}

/* Kill producers and workers at random until they have all done their part. */
static uint64_t kill_around(unsigned seed)
{
	struct watch_child all[WATCH_CHILDREN_MAX];
	uint64_t kills = 0;
	int n;

	wait_started();
	while (kills < 150 && !ended()) {
		/* No state is waited for: any instruction should be hit. */
		(void)usleep((useconds_t)(rand_r(&seed) % 4000));
		n = children(all, "sq-producer");
		n += n < WATCH_CHILDREN_MAX / 2 ? children(all + n, "sq-worker") : 0;
		/* They have not begun, or it is all done. */
		if (n == 0)
			continue;
		n = rand_r(&seed) % n;
		kills += kill(all[n].pid, SIGKILL) == 0;
		/* So that not all kills hit somebody who has just begun. */
		for (int64_t until = watch_now_ns() + SECOND / 20;
			watch_count(said(), "goes on in its place") < (int)kills && !ended() &&
			watch_now_ns() < until;)
			(void)usleep(200);
	}
	return kills;
}

static void kill_in_run(
	struct killings *sum, const struct results *want_once, const char *workers, unsigned seed)
{
	struct results want = {0}, got;
	uint64_t kills, more, restarts = 0;
	unsigned long long restarts_of, redelivered;
	struct outcome o;

	begin("--tasks", "300001", "--producers", "2", "--workers", workers, "--capacity", "512",
		"--seed", "7");
	kills = kill_around(seed);
	o = end();
	expect(o, 0, "", "proof: nothing lost");
	for (size_t i = 0; i < want_once->count; i++)
		add(&want, want_once->n[i]);
	more = add_named(&want, o.err);
	got = results_of(o.out, o.out_len);
	qsort(want.n, want.count, sizeof(*want.n), by_size);
	same(&want, &got);
	assert_int_equal(number(o.err, "made"), want_once->count);
	assert_int_equal(number(o.err, "done"), got.count);
	assert_int_equal(number(o.err, "collected"), got.count);
	assert_int_equal(number(o.err, "lost"), 0);
	assert_int_equal(number(o.err, "duplicated"), more);
	expect_sums(o.err, want_once->sum, got.sum);
	assert_null(strstr(o.err, "NOT TRUE"));
	assert_true((strstr(o.err, "nothing duplicated\n") != NULL) == (more == 0));
	assert_int_equal(left(), 0);
	assert_int_equal(
		sscanf(find_line(o.err, "made"), "made %*u by %*u %*s %llu restart", &restarts_of),
		1);
	restarts += restarts_of;
	sum->again += more;
	assert_int_equal(sscanf(find_line(o.err, "done"), "done %*u by %*u %*s %llu %*s %llu task",
				 &restarts_of, &redelivered),
		2);
	restarts += restarts_of;
	assert_int_equal(watch_count(o.err, "was killed by signal 9; pid"), restarts);
	assert_true(restarts <= kills);
	sum->kills += kills;
	sum->restarts += restarts;
	sum->redelivered += redelivered;
	drop(&want);
	drop(&got);
}

/*
 * kill -9 of producers and workers: the results are those of a run in peace, and besides them
 * exactly the ones that are named.
 */
static void test_killed(void **state)
{
	struct killings sum = {0};
	struct results once;

	(void)state;
	once = expect_clean(
		sqctl(NULL, "local", "--tasks", "300001", "--producers", "2", "--seed", "7"));
	/* The moment between put and ack is short: go on until one was hit. */
	for (unsigned seed = 1; seed <= 3 || (sum.again == 0 && seed <= 20); seed++) {
		kill_in_run(&sum, &once, "1", seed);
		kill_in_run(&sum, &once, "3", seed + 100);
	}
	print_message("%llu kills, %llu restarts, %llu tasks redelivered, %llu done again\n",
		(unsigned long long)sum.kills, (unsigned long long)sum.restarts,
		(unsigned long long)sum.redelivered, (unsigned long long)sum.again);
	/* Or else the kills hit nobody at work, and it all says nothing. */
	assert_true(sum.redelivered > 0);
	assert_true(sum.again > 0);
	assert_true(sum.redelivered >= sum.again);
	drop(&once);
}

/* Kills of one who has nothing to do are as good as any others, however many they are. */
static void test_killed_idle(void **state)
{
	(void)state;
	begin("--producers", "1", "--workers", "1", "--rate", "1/1h", "--duration", LONG);
	wait_started();
	for (int i = 1; i <= 30; i++) {
		assert_int_equal(kill(child_named("sq-worker1"), SIGKILL), 0);
		wait_said("goes on in its place", i);
	}
	assert_int_equal(kill(child_named("sq-producer1"), SIGKILL), 0);
	wait_said("goes on in its place", 31);
	expect(interrupted(), 0, "", ", 30 restarts");
	assert_int_equal(left(), 0);
}

static void test_killed_collector(void **state)
{
	char named[128];
	pid_t pid;

	(void)state;
	begin("--rate", "1000", "--duration", LONG);
	wait_started();
	pid = child_named("sq-collector1");
	assert_int_equal(kill(pid, SIGKILL), 0);
	(void)snprintf(named, sizeof(named),
		"the collector (pid %d) was killed by signal 9, and what it had in hand is lost",
		(int)pid);
	expect_no_proof(end(), 1, named);
}

/* The next run removes what a killed one left, and nothing that is in use. */
static void kill_supervisor(const char *const *words)
{
	current = run_start(&(struct start){0}, words);
	expect_crew(2, 3);
	assert_int_equal(left(), 2);
	watch_kill_supervisor(&current, "sq-");
	assert_int_equal(left(), 2);
}

#define kill_supervisor(...)                                                                       \
	kill_supervisor((const char *const[]){"local", "--workers", "3", __VA_ARGS__, NULL})

static void test_killed_supervisor(void **state)
{
	struct results r;

	(void)state;
	kill_supervisor("--rate", "1000", "--duration", LONG);
	r = expect_clean(sqctl(NULL, "local", "--tasks", "10"));
	drop(&r);
	kill_supervisor("--duration", LONG); /* at full speed */
	r = expect_clean(sqctl(NULL, "local", "--tasks", "10"));
	drop(&r);
	kill_supervisor("--rate", "1000", "--duration", LONG, "--prefix", prefix());
	r = expect_clean(sqctl(NULL, "local", "--tasks", "10", "--prefix", prefix()));
	drop(&r);
	/* A run beside it has queues in use. */
	begin("--rate", "1000", "--duration", LONG);
	wait_started();
	expect(sqctl(NULL, "local", "--tasks", "10"), 0, "", "proof: nothing lost");
	assert_int_equal(left(), 2);
	r = expect_clean(interrupted());
	drop(&r);
}

/* Somebody takes a task away: then it is not done, and that must not pass. */
static void test_stolen_task(void **state)
{
	struct outcome o;
	pid_t worker;

	(void)state;
	begin("--prefix", prefix(), "--rate", "100", "--workers", "1", "--duration", LONG);
	wait_started();
	worker = stop_child("sq-worker1");
	expect(sqctl(NULL, "get", "-n", "1", "--timeout", "20s", queue("pq")), 0, "\n", NULL);
	assert_int_equal(kill(worker, SIGCONT), 0);
	o = interrupted();
	expect(o, 1, "", "  NOT TRUE: every task was done once, or is named above\n");
	expect(o, 1, "", "proof FAILED");
	assert_null(strstr(o.err, "proof: "));
	assert_int_equal(number(o.err, "lost"), 1);
	assert_int_equal(number(o.err, "duplicated"), 0);
	assert_int_equal(number(o.err, "collected"), number(o.err, "made") - 1);
	assert_int_equal(left(), 0);
}

static void test_stolen_result(void **state)
{
	pid_t collector;
	struct outcome o;

	(void)state;
	begin("--prefix", prefix(), "--rate", "100", "--duration", LONG);
	wait_started();
	collector = stop_child("sq-collector1");
	expect(sqctl(NULL, "get", "-n", "1", "--timeout", "20s", queue("cq")), 0, " = ", NULL);
	assert_int_equal(kill(collector, SIGCONT), 0);
	o = interrupted();
	expect(o, 1, "", "  NOT TRUE: every result put was collected\n");
	assert_int_equal(number(o.err, "lost"), 1);
	assert_int_equal(left(), 0);
}

/* A result that was put by somebody else: counted if it is right, refused if it is not. */
static void test_foreign_result(void **state)
{
	struct outcome o;

	(void)state;
	begin("--prefix", prefix(), "--rate", "100", "--duration", LONG);
	wait_started();
	expect(sqctl(NULL, "put", queue("cq"), "3000000 * 3000000 = 9000000000000"), 0, NULL, NULL);
	o = interrupted();
	expect(o, 0, "3000000 * 3000000 = 9000000000000\n", "1  of them were put by others\n");
	assert_int_equal(number(o.err, "collected"), number(o.err, "made") + 1);
	begin("--prefix", prefix(), "--rate", "100", "--duration", LONG);
	wait_started();
	expect(sqctl(NULL, "put", queue("cq"), "3 * 3 = 10", "07 * 07 = 49"), 0, NULL, NULL);
	o = interrupted();
	expect(o, 1, "", "  NOT TRUE: every result is right\n");
	expect(o, 1, "", "a wrong result: '3 * 3 = 10'");
	expect(o, 1, "", "a wrong result: '07 * 07 = 49'");
	expect(o, 1, "", "of them wrong: 2\n");
	assert_int_equal(left(), 0);
}

static void test_foreign_task(void **state)
{
	struct outcome o;
	struct results r;

	(void)state;
	begin("--prefix", prefix(), "--rate", "100", "--duration", LONG);
	wait_started();
	expect(sqctl(NULL, "put", queue("pq"), "7", "1000001"), 0, NULL, NULL);
	o = interrupted();
	expect(o, 0, "7 * 7 = 49\n", "\n                      2  more were put by others\n");
	expect(o, 0, "1000001 * 1000001 = 1000002000001\n", "proof: nothing lost");
	r = results_of(o.out, o.out_len);
	assert_int_equal(r.count, number(o.err, "made") + 2);
	assert_int_equal(r.count, number(o.err, "done"));
	assert_int_equal(number(o.err, "lost"), 0);
	assert_int_equal(number(o.err, "duplicated"), 0);
	assert_int_equal(left(), 0);
	drop(&r);
}

/* Its result is longer than any of our own tasks'. */
static void test_foreign_large(void **state)
{
	(void)state;
	begin("--prefix", prefix(), "--rate", "100", "--duration", LONG);
	wait_started();
	expect(sqctl(NULL, "put", queue("pq"), "18446744073709551615"), 0, NULL, NULL);
	expect(interrupted(), 0,
		"18446744073709551615 * 18446744073709551615 = 340282366920938463426481119284349108225\n",
		"proof: nothing lost");
	assert_int_equal(left(), 0);
}

static void test_foreign_wrong(void **state)
{
	struct outcome o;
	struct results r;

	(void)state;
	begin("--prefix", prefix(), "--rate", "100", "--duration", LONG);
	wait_started();
	expect(sqctl(NULL, "put", queue("pq"), "--", "abc", "-1", "18446744073709551616", "", " 7",
		       "1.5", "7\n"),
		0, NULL, NULL);
	o = interrupted();
	expect(o, 0, "", "the task 'abc' is no integer from 0 to 18446744073709551615; dropped");
	expect(o, 0, "", "the task '-1' is no integer");
	expect(o, 0, "", "the task '18446744073709551616' is no integer");
	expect(o, 0, "", "the task '' is no integer");
	expect(o, 0, "", "the task ' 7' is no integer");
	expect(o, 0, "", "the task '1.5' is no integer");
	expect(o, 0, "", "the task '7?' is no integer"); /* nothing that a terminal obeys */
	assert_int_equal(number(o.err, "refused"), 7);
	assert_int_equal(number(o.err, "lost"), 0);
	assert_int_equal(number(o.err, "duplicated"), 0);
	r = results_of(o.out, o.out_len);
	assert_int_equal(r.count, number(o.err, "made"));
	assert_int_equal(left(), 0);
	drop(&r);
}

/* As a terminal does it: all of them get the signal. */
static void lead(void)
{
	(void)setsid();
}

static void end_by(int sig, bool all)
{
	struct outcome o;
	struct results r;

	begin_with(&(struct start){.child = lead}, "--rate", "1000", "--duration", LONG);
	wait_started();
	(void)child_named("sq-collector1");
	assert_int_equal(kill(current.pid, sig), 0);
	/* As timeout(1) does it: that is one wish, not two. */
	if (all)
		assert_int_equal(kill(-current.pid, sig), 0);
	o = end();
	expect(o, 0, "", "ending: what was made is still done; once more to end at once");
	r = expect_clean(o);
	drop(&r);
}

static void test_interrupted(void **state)
{
	(void)state;
	end_by(SIGINT, false);
	end_by(SIGINT, true);
	end_by(SIGTERM, false);
	end_by(SIGHUP, true);
}

static void test_terminated(void **state)
{
	(void)state;
	end_by(SIGTERM, true);
}

/* A pipe that holds nothing more: whoever writes to it waits. */
static void full_pipe(int fd[2])
{
	char page[4096] = {0};
	int size;

	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	size = fcntl(fd[1], F_SETPIPE_SZ, (int)sizeof(page));
	assert_true(size > 0);
	for (int n = 0; n < size; n += (int)sizeof(page))
		assert_int_equal(write(fd[1], page, sizeof(page)), sizeof(page));
}

/* Until there is a result, which the collector then has to write. */
static void wait_result(void)
{
	struct sq_stat st = {0};
	struct sq *q;

	assert_int_equal(sq_open(&q, queue("cq")), 0);
	for (int64_t until = watch_now_ns() + WATCH_PATIENCE; st.put == 0;) {
		assert_true(watch_now_ns() < until);
		assert_int_equal(sq_stat(q, &st), 0);
	}
	sq_close(q);
}

/* Nobody reads the results, so it cannot be done before the second signal comes. */
static void end_twice(int sig)
{
	int64_t until = watch_now_ns() + WATCH_PATIENCE;
	int fd[2];

	full_pipe(fd);
	begin_with(&(struct start){.out = fd[1]}, "--prefix", prefix(), "--duration", LONG);
	assert_int_equal(close(fd[1]), 0);
	wait_started();
	wait_result();
	assert_int_equal(kill(current.pid, sig), 0);
	wait_said("once more to end at once", 1);
	/* Right behind the first it passes for the same wish, of which all processes are told. */
	while (!ended()) {
		assert_int_equal(kill(current.pid, sig), 0);
		assert_true(watch_now_ns() < until);
		(void)usleep(20000);
	}
	expect_no_proof(end(), 128 + sig, "ended at once; there is no proof");
	assert_int_equal(close(fd[0]), 0);
}

static void test_interrupted_twice(void **state)
{
	(void)state;
	end_twice(SIGINT);
	end_twice(SIGTERM);
}

/* `| head -1` */
static void test_reader_leaves(void **state)
{
	char line[128], c = 0;
	struct outcome o;
	size_t len = 0;
	int fd[2];

	(void)state;
	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	begin_with(&(struct start){.out = fd[1]}, "--duration", LONG);
	assert_int_equal(close(fd[1]), 0);
	while (len < sizeof(line) && read(fd[0], &c, 1) == 1 && c != '\n')
		line[len++] = c;
	(void)check_line(line, len);
	assert_int_equal(close(fd[0]), 0);
	o = end();
	expect(o, 0, NULL, "proof: nothing lost, nothing duplicated\n");
	assert_true(number(o.err, "made") > 0);
	assert_int_equal(number(o.err, "collected"), number(o.err, "made"));
	assert_int_equal(left(), 0);
}

static void to_full_disk(void)
{
	(void)dup2(open("/dev/full", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
}

static void close_output(void)
{
	(void)close(STDOUT_FILENO);
}

static void test_unwritable(void **state)
{
	struct outcome o;

	(void)state;
	o = sqctl_with(&(struct start){.child = to_full_disk}, "local", "--duration", LONG);
	expect(o, 74, NULL, "cannot write the results: No space left on device; 0 ");
	expect(o, 74, NULL, "proof: nothing lost");
	o = sqctl_with(&(struct start){.child = close_output}, "local", "--tasks", "10");
	expect(o, 74, NULL, "cannot write the results: ");
	assert_int_equal(left(), 0);
}

/* A terminal, what it was sent so far, and whether that was all. */
static struct {
	int master, slave;
	size_t len;
	char text[1 << 18];
} terminal;

static void open_terminal(void)
{
	assert_int_equal(openpty(&terminal.master, &terminal.slave, NULL, NULL, NULL), 0);
	assert_int_equal(fcntl(terminal.master, F_SETFD, FD_CLOEXEC), 0);
	assert_int_equal(fcntl(terminal.slave, F_SETFD, FD_CLOEXEC), 0);
	terminal.len = 0;
	terminal.text[0] = '\0';
}

/* Only who runs on it has it: when they end, it ends. */
static void leave_terminal(void)
{
	assert_int_equal(close(terminal.slave), 0);
}

static bool read_terminal(void)
{
	struct pollfd look = {.fd = terminal.master, .events = POLLIN};
	ssize_t n;

	assert_true(terminal.len + 1 < sizeof(terminal.text));
	if (poll(&look, 1, 100) == 0)
		return true;
	n = read(terminal.master, terminal.text + terminal.len,
		sizeof(terminal.text) - terminal.len - 1);
	if (n <= 0)
		return false;
	terminal.len += (size_t)n;
	terminal.text[terminal.len] = '\0';
	return true;
}

static void read_terminal_until(bool (*seen)(const char *text))
{
	int64_t until = watch_now_ns() + WATCH_PATIENCE;

	while (!seen(terminal.text))
		if (!read_terminal() || watch_now_ns() > until)
			fail_msg("not seen: %s", terminal.text);
}

static void close_terminal(void)
{
	int64_t until = watch_now_ns() + WATCH_PATIENCE;

	while (read_terminal())
		assert_true(watch_now_ns() < until);
	assert_int_equal(close(terminal.master), 0);
}

static void errors_to_terminal(void)
{
	(void)setenv("TERM", "xterm", 1);
	(void)dup2(terminal.slave, STDERR_FILENO);
}

static void errors_to_dumb_terminal(void)
{
	errors_to_terminal();
	(void)setenv("TERM", "dumb", 1);
}

/* A number above 0 behind this, anywhere. */
static bool positive(const char *text, const char *label)
{
	for (; (text = strstr(text, label)) != NULL; text++)
		if (text[strlen(label)] >= '1' && text[strlen(label)] <= '9')
			return true;
	return false;
}

static bool has_sample_and_progress(const char *text)
{
	return strstr(text, " = ") && positive(text, "\r\033[Kdone ");
}

static bool has_tasks_waiting(const char *text)
{
	return positive(text, "waiting: tasks ");
}

static bool has_results_waiting(const char *text)
{
	return positive(text, ", results ");
}

/*
 * The lines of results in what the terminal got: each of them right. Several processes write there:
 * what another of them said may stand before or behind one, and those it stands before are left out.
 */
static uint64_t count_samples(char *text)
{
	char want[128], *rest;
	uint64_t n = 0;
	size_t len;

	for (char *at = strtok_r(text, "\r\n", &rest); at; at = strtok_r(NULL, "\r\n", &rest)) {
		if (strncmp(at, "\033[K", 3) == 0)
			at += 3;
		if (!strstr(at, " = ") || *at < '0' || *at > '9')
			continue;
		len = right_line(want, strtoull(at, NULL, 10));
		if (strncmp(at, want, len) != 0 || (at[len] >= '0' && at[len] <= '9'))
			fail_msg("a wrong line: '%s'", at);
		n++;
	}
	return n;
}

static void test_terminal(void **state)
{
	struct start how = {.child = errors_to_terminal};
	uint64_t samples, collected;
	int64_t from = watch_now_ns();
	struct outcome o;

	(void)state;
	open_terminal();
	how.out = terminal.slave;
	begin_with(&how, "--rate", "1000", "--duration", LONG);
	leave_terminal();
	read_terminal_until(has_sample_and_progress);
	assert_int_equal(kill(current.pid, SIGINT), 0);
	close_terminal();
	o = end();
	assert_int_equal(o.code, 0);
	assert_non_null(strstr(terminal.text,
		"a sample of the results follows; `sqctl local > FILE` gets every line\r\n"));
	assert_non_null(strstr(terminal.text, "proof: nothing lost, nothing duplicated\r\n"));
	assert_non_null(strstr(terminal.text, "/s  waiting: tasks "));
	collected = number(terminal.text, "collected");
	assert_true(collected > 100);
	samples = count_samples(terminal.text);
	/* At most ten a second. */
	assert_in_range(samples, 1, (watch_now_ns() - from) / (SECOND / 10) + 1);
	assert_int_equal(left(), 0);
}

/* Only the results go to a terminal: progress is for a log. */
static void test_terminal_for_results(void **state)
{
	struct outcome o;

	(void)state;
	open_terminal();
	begin_with(&(struct start){.out = terminal.slave}, "--rate", "1000", "--duration", LONG);
	leave_terminal();
	wait_said("\ndone ", 1);
	assert_int_equal(kill(current.pid, SIGINT), 0);
	close_terminal();
	o = end();
	expect(o, 0, NULL, "a sample of the results follows");
	expect(o, 0, NULL, "/s  waiting: tasks ");
	assert_null(strchr(o.err, '\r'));
	assert_null(strchr(o.err, '\033'));
	assert_null(strchr(terminal.text, '\033'));
	assert_in_range(count_samples(terminal.text), 1, number(o.err, "collected") / 2);
}

/* Only progress goes to a terminal: the file gets every line. The depths are those of the queues. */
static void test_terminal_for_progress(void **state)
{
	struct results r;
	struct outcome o;
	pid_t pid;

	(void)state;
	open_terminal();
	begin_with(&(struct start){.child = errors_to_terminal}, "--rate", "1000", "--workers", "1",
		"--duration", LONG);
	leave_terminal();
	pid = stop_child("sq-worker1");
	read_terminal_until(has_tasks_waiting);
	assert_int_equal(kill(pid, SIGCONT), 0);
	pid = stop_child("sq-collector1");
	read_terminal_until(has_results_waiting);
	assert_int_equal(kill(pid, SIGCONT), 0);
	assert_int_equal(kill(current.pid, SIGINT), 0);
	close_terminal();
	o = end();
	expect(o, 0, "", NULL);
	r = results_of(o.out, o.out_len);
	assert_int_equal(r.count, number(terminal.text, "collected"));
	assert_true(watch_count(terminal.text, "\r\033[Kdone ") > 1);
	assert_null(strstr(terminal.text, "a sample"));
	drop(&r);
}

static bool has_more_progress(const char *text)
{
	return watch_count(text, "\ndone ") > 1 || watch_count(text, "\r\033[Kdone ") > 3;
}

/* No line of progress is as long as that terminal is wide: else it wraps, and is not drawn over. */
static void test_terminal_narrow(void **state)
{
	static const unsigned short widths[] = {20, 40, 50};

	(void)state;
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
		const struct winsize size = {.ws_row = 24, .ws_col = widths[i]};
		size_t longest = 0;

		open_terminal();
		assert_int_equal(ioctl(terminal.slave, TIOCSWINSZ, &size), 0);
		begin_with(&(struct start){.child = errors_to_terminal}, "--rate", "1000",
			"--duration", LONG);
		leave_terminal();
		read_terminal_until(has_more_progress);
		assert_int_equal(kill(current.pid, SIGINT), 0);
		close_terminal();
		assert_int_equal(end().code, 0);
		for (const char *at = terminal.text; (at = strstr(at, "\033[Kdone ")) != NULL;) {
			size_t len = strcspn(at += strlen("\033[K"), "\r\n");

			longest = len > longest ? len : longest;
		}
		assert_int_equal(longest, widths[i] - 1);
	}
}

/* One that knows no escapes gets lines, as a log does. */
static void test_terminal_dumb(void **state)
{
	struct start how = {.child = errors_to_dumb_terminal};

	(void)state;
	open_terminal();
	how.out = terminal.slave;
	begin_with(&how, "--rate", "1000", "--duration", LONG);
	leave_terminal();
	read_terminal_until(has_more_progress);
	assert_int_equal(kill(current.pid, SIGINT), 0);
	close_terminal();
	assert_int_equal(end().code, 0);
	assert_null(strchr(terminal.text, '\033'));
	assert_non_null(strstr(terminal.text, "proof: nothing lost, nothing duplicated\r\n"));
}

static bool has_long_progress(const char *text)
{
	return watch_count(text, "\r\033[Kdone ") > 15;
}

/* At the recipe's pace most moments have nothing done in them: the rate is that of some seconds. */
static void test_terminal_slow(void **state)
{
	int zeros = 0, lines = 0;

	(void)state;
	open_terminal();
	begin_with(&(struct start){.child = errors_to_terminal}, "--rate", "10/3s", "--duration",
		LONG);
	leave_terminal();
	read_terminal_until(has_long_progress);
	assert_int_equal(kill(current.pid, SIGINT), 0);
	close_terminal();
	assert_int_equal(end().code, 0);
	for (const char *at = terminal.text; (at = strstr(at, "\033[Kdone ")) != NULL; lines++) {
		double rate = -1;

		assert_int_equal(sscanf(at += strlen("\033[K"), "done %*u  %lf/s", &rate), 1);
		zeros += rate < 0.5;
	}
	/* Nothing was done before the first, perhaps. */
	assert_true(lines > 15 && zeros <= 2);
}

static void test_quiet(void **state)
{
	struct outcome o;

	(void)state;
	o = sqctl(NULL, "local", "--tasks", "10", "-q");
	expect(o, 0, "", "proof: nothing lost");
	assert_int_equal(strncmp(o.err, "made ", 5), 0);
	o = sqctl(NULL, "local", "--tasks", "10", "--quiet");
	assert_int_equal(strncmp(o.err, "made ", 5), 0);
}

static void test_usage(void **state)
{
	static const struct {
		const char *option, *value, *allowed;
	} wrong[] = {
		{"--producers", "0", "must be a whole number from 1 to 256"},
		{"--producers", "257", "must be a whole number from 1 to 256"},
		{"--workers", "0", "must be a whole number from 1 to 1024"},
		{"--workers", "two", "must be a whole number from 1 to 1024"},
		{"--tasks", "-1", "must be a whole number from 0 to 9223372036854775807"},
		{"--tasks", "", "must be a whole number from 0 to 9223372036854775807"},
		{"--duration", "1y", "must be a span of time such as 250ms, 1.5s, 2m or 1h"},
		{"--duration", "-1s", "must be a span of time such as"},
		{"--rate", "0", "must be a rate such as 100 (a second), 100/s or 10/3s"},
		{"--rate", "10/", "must be a rate such as"},
		{"--rate", "10/0s", "must be a rate such as"},
		{"--max", "-1", "is no integer from 0 to 18446744073709551615"},
		{"--max", "18446744073709551616", "is no integer from 0 to 18446744073709551615"},
		{"--max", "1e6", "is no integer from 0 to 18446744073709551615"},
		{"--seed", "x", "is no integer from 0 to 18446744073709551615"},
		{"--capacity", "1", "must be a whole number from 2 to 1073741824"},
		{"--capacity", "2G", "must be a whole number from 2 to 1073741824"},
		{"--prefix", "a.b", "must be 1 to 64 letters, digits, - and _"},
		{"--prefix", "", "must be 1 to 64 letters, digits, - and _"},
		{"--prefix", "../x", "must be 1 to 64 letters, digits, - and _"},
	};
	const struct start how = {.child = soon};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct outcome o = sqctl_with(&how, "local", wrong[i].option, wrong[i].value);

		expect(o, 64, NULL, wrong[i].option);
		expect(o, 64, NULL, wrong[i].value);
		expect(o, 64, NULL, wrong[i].allowed);
		expect(o, 64, NULL, "; see `sqctl help local`\n");
		expect(sqctl_with(&how, "local", wrong[i].option), 64, NULL, wrong[i].option);
	}
	expect(sqctl_with(&how, "local", "--tasks", "1", "--forever"), 64, NULL,
		"--tasks, --duration and --forever exclude each other");
	expect(sqctl_with(&how, "local", "--tasks", "1", "--duration", "1s"), 64, NULL,
		"--tasks, --duration and --forever exclude each other");
	expect(sqctl_with(&how, "local", "--forever", "--duration", "1s"), 64, NULL,
		"--tasks, --duration and --forever exclude each other");
	expect(sqctl_with(&how, "local", "--nonsense"), 64, NULL, "--nonsense");
	expect(sqctl_with(&how, "local", "-x"), 64, NULL, "-x");
	expect(sqctl_with(&how, "local", "pq"), 64, NULL, "'pq'");
	assert_int_equal(left(), 0);
}

/* Queues that are there already are not touched, and none of ours stays beside them. */
static void test_existing(void **state)
{
	char told[128];

	(void)state;
	expect(sqctl(NULL, "create", queue("pq")), 0, NULL, "is the queue pq of the prefix");
	expect(sqctl(NULL, "put", queue("pq"), "7"), 0, NULL, NULL);
	(void)snprintf(told, sizeof(told), "there is a queue %s already", queue("pq"));
	expect(sqctl(NULL, "local", "--prefix", prefix(), "--tasks", "1"), 73, NULL, told);
	expect(sqctl(NULL, "get", queue("pq")), 0, "7\n", NULL);
	assert_int_equal(left(), 1);
	expect(sqctl(NULL, "rm", queue("pq")), 0, NULL, NULL);
	expect(sqctl(NULL, "create", queue("cq")), 0, NULL, "is the queue cq of the prefix");
	(void)snprintf(told, sizeof(told), "there is a queue %s already", queue("cq"));
	expect(sqctl(NULL, "local", "--prefix", prefix(), "--tasks", "1"), 73, NULL, told);
	assert_int_equal(left(), 1);
	expect(sqctl(NULL, "stat", queue("cq")), 0, "", NULL);
}

static void test_no_room(void **state)
{
	struct statvfs fs;

	(void)state;
	assert_int_equal(statvfs("/dev/shm", &fs), 0);
	/* The largest takes 64 GiB. */
	if (fs.f_blocks * fs.f_frsize > UINT64_C(32) << 30) {
		print_message("this /dev/shm has room for the largest queue\n");
		return;
	}
	expect(sqctl(NULL, "local", "--tasks", "1", "--capacity", "1G"), 73, NULL, "--capacity");
	assert_int_equal(left(), 0);
}

/* The program to be run is strace, and ours is its argument. */
static void trace(void)
{
	(void)setenv("SQCTL", "/usr/bin/strace", 1);
	(void)setenv("ASAN_OPTIONS", "detect_leaks=0", 1); /* it cannot where others trace */
}

/* At full speed there is no system call for each message. */
/*
 * A line of strace's table. How often anybody sleeps is the scheduler's business, on a machine that is
 * busy with other things above all: a sleep is at most a nap, a wait, who is dead, and a wake-up by
 * another.
 */
static void count_calls(const char *line, unsigned long long *all, unsigned long long *awake)
{
	static const char *const asleep[] = {"futex", "clock_nanosleep", "fcntl", "wait4",
		"clock_gettime", "rt_sigtimedwait", "restart_syscall", "sched_yield"};
	unsigned long long calls;
	char name[32], errors[32];
	int n = sscanf(line, "%*f %*f %*u %llu %31s %31s", &calls, errors, name);

	if (n < 2)
		return;
	if (n < 3 || strchr("0123456789", errors[0]) == NULL)
		(void)strcpy(name, errors);
	if (strcmp(name, "total") == 0) {
		*all = calls;
		return;
	}
	for (size_t i = 0; i < sizeof(asleep) / sizeof(asleep[0]); i++)
		if (strcmp(name, asleep[i]) == 0)
			return;
	*awake += calls;
}

/* That a call which need not sleep makes none is shown exactly in tests/kill/no_calls.c. */
static void test_system_calls(void **state)
{
	char file[64];
	unsigned long long all = 0, awake = 0;
	char line[256];
	struct outcome o;
	FILE *f;
	int fd;

	(void)state;
	if (access("/usr/bin/strace", X_OK) != 0)
		fail_msg("strace is missing; tests/all.sh installs it");
	if (sqctl_with(&(struct start){.child = trace}, "-o", "/dev/null", getenv("SQCTL"),
		    "--version")
			.code != 0) {
		print_message("nobody may trace here\n");
		return;
	}
	(void)snprintf(file, sizeof(file), "/tmp/sq-strace-%ld", (long)getpid());
	fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	o = sqctl_with(&(struct start){.child = trace}, "-f", "-c", "-o", file, getenv("SQCTL"),
		"local", "--tasks", "1000000", "--workers", "2");
	f = fdopen(fd, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		count_calls(line, &all, &awake);
	(void)fclose(f);
	(void)unlink(file);
	expect(o, 0, "", "proof: nothing lost, nothing duplicated");
	assert_int_equal(number(o.err, "collected"), 1000000);
	print_message(
		"%llu system calls for 1000000 tasks, %llu of them by who did not sleep or wake\n",
		all, awake);
	assert_in_range(awake, 100, 19999);
	assert_in_range(all, awake + 1, 999999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_lines, clean),
		cmocka_unit_test_teardown(test_seed, clean),
		cmocka_unit_test_teardown(test_crew, clean),
		cmocka_unit_test_teardown(test_rate, clean),
		cmocka_unit_test_teardown(test_rate_slowest, clean),
		cmocka_unit_test_teardown(test_slow, clean),
		cmocka_unit_test_teardown(test_duration, clean),
		cmocka_unit_test_teardown(test_killed, clean),
		cmocka_unit_test_teardown(test_killed_idle, clean),
		cmocka_unit_test_teardown(test_killed_collector, clean),
		cmocka_unit_test_teardown(test_killed_supervisor, clean),
		cmocka_unit_test_teardown(test_stolen_task, clean),
		cmocka_unit_test_teardown(test_stolen_result, clean),
		cmocka_unit_test_teardown(test_foreign_result, clean),
		cmocka_unit_test_teardown(test_foreign_task, clean),
		cmocka_unit_test_teardown(test_foreign_large, clean),
		cmocka_unit_test_teardown(test_foreign_wrong, clean),
		cmocka_unit_test_teardown(test_interrupted, clean),
		cmocka_unit_test_teardown(test_terminated, clean),
		cmocka_unit_test_teardown(test_interrupted_twice, clean),
		cmocka_unit_test_teardown(test_reader_leaves, clean),
		cmocka_unit_test_teardown(test_unwritable, clean),
		cmocka_unit_test_teardown(test_terminal, clean),
		cmocka_unit_test_teardown(test_terminal_for_results, clean),
		cmocka_unit_test_teardown(test_terminal_for_progress, clean),
		cmocka_unit_test_teardown(test_terminal_narrow, clean),
		cmocka_unit_test_teardown(test_terminal_dumb, clean),
		cmocka_unit_test_teardown(test_terminal_slow, clean),
		cmocka_unit_test_teardown(test_quiet, clean),
		cmocka_unit_test_teardown(test_usage, clean),
		cmocka_unit_test_teardown(test_existing, clean),
		cmocka_unit_test_teardown(test_no_room, clean),
		cmocka_unit_test_teardown(test_system_calls, clean),
	};

	run_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
