/* SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "run.h"
#include "sq.h"
#include "watch.h"

/*
 * Outputs of every kind: that the reader has left is noticed, and an item of which only a part
 * could be written does not stay in the output as if it were whole.
 */

#define ITEMS      300
#define LINE_BYTES 7 /* of the items of fill(), newline included */
#define LIMIT      1024
#define PIPE_BYTES 4096
#define LONG       "300s"

/* The run under way, to be ended when a test fails in the middle. */
static struct run current = {.pid = -1};
static struct sq *q;

static void end_current(void)
{
	if (current.pid <= 0)
		return;
	(void)kill(current.pid, SIGKILL);
	(void)run_end(&current);
	current.pid = -1;
}

static int clean(void **state)
{
	end_current();
	sq_close(q);
	q = NULL;
	return run_clean(state);
}

static struct outcome end(void)
{
	struct outcome o = run_end(&current);

	current.pid = -1;
	return o;
}

static void make(void)
{
	q = watch_make("q", &(struct sq_config){.capacity = 1024, .participants = 8});
}

/* 100000, 100001 and so on. */
static void fill(int n)
{
	char item[16];

	for (int i = 0; i < n; i++) {
		(void)snprintf(item, sizeof(item), "%d", 100000 + i);
		watch_put(q, item);
	}
}

/* Each kind of output: its two ends, ours to be closed. False: there is none of that kind here. */
struct kind {
	const char *name;
	bool (*open)(int ret[static 2]);
	void (*leave)(int fd);
};

static void leave(int fd)
{
	assert_int_equal(close(fd), 0);
}

static bool open_pipe(int ret[static 2])
{
	return pipe2(ret, O_CLOEXEC) == 0;
}

static bool open_local(int ret[static 2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret) == 0;
}

static void stop_reading(int fd)
{
	assert_int_equal(shutdown(fd, SHUT_RD), 0);
}

static bool open_packets(int ret[static 2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) == 0;
}

static bool open_tcp(int ret[static 2])
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(at);
	bool ok;

	ret[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ok = bind(listener, (struct sockaddr *)&at, len) == 0 && listen(listener, 1) == 0 &&
	     getsockname(listener, (struct sockaddr *)&at, &len) == 0 &&
	     connect(ret[0], (struct sockaddr *)&at, len) == 0;
	if (ok)
		ret[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	else
		(void)close(ret[0]);
	(void)close(listener);
	return ok && ret[1] >= 0;
}

static bool open_terminal(int ret[static 2])
{
	if (openpty(&ret[0], &ret[1], NULL, NULL, NULL) < 0)
		return false;
	return fcntl(ret[0], F_SETFD, FD_CLOEXEC) == 0 && fcntl(ret[1], F_SETFD, FD_CLOEXEC) == 0;
}

static const struct kind kinds[] = {
	{"pipe", open_pipe, leave},
	{"local socket", open_local, leave},
	{"local socket that is read no more", open_local, stop_reading},
	{"packets", open_packets, leave},
	{"TCP", open_tcp, leave},
	{"terminal", open_terminal, leave},
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static bool start_to(const struct kind *kind, int *ret_fd, const char *const *words)
{
	int fd[2];

	if (!kind->open(fd)) {
		print_message("no %s here\n", kind->name);
		return false;
	}
	current = run_start(&(struct start){.out = fd[1]}, words);
	assert_int_equal(close(fd[1]), 0);
	*ret_fd = fd[0];
	return true;
}

#define begin(kind, ret_fd, ...) start_to(kind, ret_fd, (const char *const[]){__VA_ARGS__, NULL})

/* A line, however many reads it takes. */
static void read_line(int fd)
{
	char c = 0;

	while (c != '\n')
		assert_int_equal(read(fd, &c, 1), 1);
}

/* The reader leaves while there is nothing to write. The next item is not leased. */
static void leave_idle(const struct kind *kind, const char *const *words)
{
	struct sq_lease lease;
	struct outcome o;
	char byte[16];
	int fd;

	make();
	watch_put(q, "one");
	if (start_to(kind, &fd, words)) {
		assert_true(read(fd, byte, sizeof(byte)) > 0);
		assert_int_equal(sq_join(q, WATCH_PATIENCE), 0);
		kind->leave(fd);
		o = end();
		if (o.code != 0)
			fail_msg("%s: exit %d: %s", kind->name, o.code, o.err);
		if (kind->leave != leave)
			leave(fd);
		watch_put(q, "two");
		assert_int_equal(sq_lease(q, &lease, SQ_NOWAIT), 0);
		assert_int_equal(lease.attempts, 1);
	}
	sq_close(q);
	q = NULL;
	(void)run_clean(NULL);
}

#define leave_idle(kind, ...) leave_idle(kind, (const char *const[]){__VA_ARGS__, NULL})

static void test_left_idle(void **state)
{
	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		leave_idle(&kinds[i], "get", "--follow", "q");
		leave_idle(&kinds[i], "get", "-n", "2", "--timeout", LONG, "q");
		leave_idle(&kinds[i], "collect", "-n", "2", "q");
	}
}

/* There is not even a queue yet. */
static void test_left_without_queue(void **state)
{
	int fd;

	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		if (!begin(&kinds[i], &fd, "collect", "--wait", "-n", "1", "q"))
			continue;
		watch_wait_said(&current, "waiting for q", 1);
		kinds[i].leave(fd);
		assert_int_equal(end().code, 0);
		if (kinds[i].leave != leave)
			leave(fd);
	}
}

static void test_left_local(void **state)
{
	struct outcome o;
	int fd;

	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		if (!begin(&kinds[i], &fd, "local", "--rate", "1/1h", "--duration", LONG))
			continue;
		if (kinds[i].open == open_packets)
			assert_true(read(fd, &(char){0}, 1) == 1);
		else
			read_line(fd);
		kinds[i].leave(fd);
		o = end();
		expect(o, 0, NULL, "proof: nothing lost, nothing duplicated\n");
		if (kinds[i].leave != leave)
			leave(fd);
	}
}

/* A peer that has only ended its own stream still reads. */
static void test_half_closed(void **state)
{
	int fd = -1;

	(void)state;
	make();
	assert_true(begin(&kinds[1], &fd, "get", "--follow", "q"));
	watch_put(q, "one");
	read_line(fd);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	for (int i = 0; i < 3; i++) {
		(void)usleep(150000); /* longer than between two looks */
		watch_put(q, "two");
		read_line(fd);
	}
	assert_false(watch_ended(&current));
	leave(fd);
	assert_int_equal(end().code, 0);
}

static void limit_files(void)
{
	(void)setrlimit(RLIMIT_FSIZE, &(struct rlimit){LIMIT, LIMIT});
}

/* A file for output. */
static int make_file(int flags)
{
	int fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC | flags, 0600);

	assert_true(fd >= 0);
	return fd;
}

static size_t read_file(int fd, char *to, size_t cap)
{
	ssize_t n = pread(fd, to, cap, 0);

	assert_true(n >= 0);
	return (size_t)n;
}

/* All of them lines of fill(), each of them once. How many. */
static size_t count_lines(const char *text, size_t len)
{
	bool seen[ITEMS] = {false};
	char *end;

	assert_int_equal(len % LINE_BYTES, 0);
	for (size_t at = 0; at < len; at += LINE_BYTES) {
		unsigned long i = strtoul(text + at, &end, 10) - 100000;

		assert_true(end == text + at + LINE_BYTES - 1 && *end == '\n' && i < ITEMS);
		assert_false(seen[i]);
		seen[i] = true;
	}
	return len / LINE_BYTES;
}

#define FIT (LIMIT / LINE_BYTES)

/* A file gets as many whole lines as fit, and the rest goes behind them another time. */
static void fill_file(int flags, const char *verb)
{
	static char text[ITEMS * LINE_BYTES + 1];
	struct start how = {.out = make_file(flags), .child = limit_files};
	struct outcome o;
	char said[128];

	make();
	fill(ITEMS);
	(void)snprintf(said, sizeof(said),
		"File too large; %d items had been written, the rest is still in q", FIT);
	o = sqctl_with(&how, verb, "-n", "300", "q");
	expect(o, 74, NULL, said);
	assert_null(strstr(o.err, "half"));
	assert_int_equal(count_lines(text, read_file(how.out, text, sizeof(text))), FIT);
	assert_int_equal(watch_stat(q).depth, ITEMS - FIT);
	/* There is no room for even one: nothing changes. */
	expect(sqctl_with(&how, verb, "-n", "300", "q"), 74, NULL, "0 items had been written");
	assert_int_equal(count_lines(text, read_file(how.out, text, sizeof(text))), FIT);
	how.child = NULL;
	(void)snprintf(said, sizeof(said), "%d", ITEMS - FIT);
	assert_int_equal(sqctl_with(&how, verb, "-n", said, "q").code, 0);
	assert_int_equal(count_lines(text, read_file(how.out, text, sizeof(text))), ITEMS);
	assert_int_equal(close(how.out), 0);
	sq_close(q);
	q = NULL;
	(void)run_clean(NULL);
}

static void test_file(void **state)
{
	(void)state;
	fill_file(0, "get");
	fill_file(O_APPEND, "get");
	fill_file(0, "collect");
	fill_file(O_APPEND, "collect");
}

/* An item that is written from where it lies, as it is too long for the buffer. */
static void test_file_large(void **state)
{
	static char item[1 << 17];
	struct start how = {.out = make_file(O_APPEND), .child = limit_files};
	struct outcome o;
	struct stat st;

	(void)state;
	memset(item, 'x', sizeof(item));
	make();
	watch_put(q, "one");
	assert_int_equal(sq_put(q, item, sizeof(item), SQ_NOWAIT), 0);
	o = sqctl_with(&how, "get", "q");
	expect(o, 74, NULL, "1 item had been written");
	assert_null(strstr(o.err, "half"));
	assert_int_equal(fstat(how.out, &st), 0);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(close(how.out), 0);
}

/* What is not ours, or may not be, stays, and so does the half before it; but that is said. */
static void expect_half(const struct start *how, const char *text, size_t len)
{
	static char there[4 * LIMIT];

	make();
	fill(ITEMS);
	expect(sqctl_with(how, "get", "q"), 74, NULL,
		"the output ends with half an item, which is still in q: drop what is behind the last "
		"newline there");
	assert_int_equal(read_file(how->out, there, sizeof(there)), len);
	assert_int_equal(count_lines(there, (size_t)FIT * LINE_BYTES), FIT);
	assert_memory_equal(there + LIMIT, text, len - LIMIT);
	assert_int_equal(watch_stat(q).depth, ITEMS - FIT);
	assert_int_equal(close(how->out), 0);
	sq_close(q);
	q = NULL;
	(void)run_clean(NULL);
}

static void test_file_of_others(void **state)
{
	static char text[LIMIT];
	struct start how = {.out = make_file(O_APPEND), .child = limit_files};
	char path[64];
	int other;

	(void)state;
	/* Another process has it open, and may append. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", how.out);
	other = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_true(other >= 0);
	expect_half(&how, text, LIMIT);
	assert_int_equal(close(other), 0);
	/* There is something behind. */
	how.out = make_file(0);
	memset(text, 'x', sizeof(text));
	assert_int_equal(pwrite(how.out, text, sizeof(text), LIMIT), sizeof(text));
	expect_half(&how, text, 2 * LIMIT);
}

/* From now on the file that the collector writes to has room for so much more. */
static void limit_collector(int fd)
{
	pid_t pid = watch_child_named(&current, "sq-collector1");
	struct rlimit limit;
	struct stat st;

	/* The queues are larger than that: so only now, and only for this process. */
	watch_stop(pid);
	assert_int_equal(fstat(fd, &st), 0);
	limit.rlim_cur = limit.rlim_max = (rlim_t)st.st_size + LIMIT;
	assert_int_equal(prlimit(pid, RLIMIT_FSIZE, &limit, NULL), 0);
	assert_int_equal(kill(pid, SIGCONT), 0);
}

/* Lines of `local`: a result each, or no line. */
static void test_local(void **state)
{
	static char text[1 << 20], said[128];
	static const int flags[] = {0, O_APPEND};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct start how = {.out = make_file(flags[i])};
		struct outcome o;
		size_t len;
		int lines;

		current = sqctl_start(&how, "local", "--rate", "1000", "--duration", LONG);
		limit_collector(how.out);
		o = end();
		len = read_file(how.out, text, sizeof(text) - 1);
		assert_true(len > 0);
		text[len] = '\0';
		assert_int_equal(text[len - 1], '\n');
		lines = watch_count(text, "\n");
		assert_int_equal(watch_count(text, " = "), lines);
		(void)snprintf(
			said, sizeof(said), "written    %12d  then: File too large\n", lines);
		expect(o, 74, NULL, said);
		(void)snprintf(said, sizeof(said),
			"cannot write the results: File too large; %d lines had been written\n",
			lines);
		expect(o, 74, NULL, said);
		expect(o, 74, NULL, "proof: nothing lost, nothing duplicated\n");
		assert_int_equal(close(how.out), 0);
	}
}

static void to_full_disk(void)
{
	(void)dup2(open("/dev/full", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
}

static void test_local_full(void **state)
{
	const struct start how = {.child = to_full_disk};
	struct outcome o = sqctl_with(&how, "local", "--tasks", "1000", "-q");

	(void)state;
	expect(o, 74, NULL, "written               0  then: No space left on device\n");
	assert_null(strstr(o.err, "had left"));
	expect(sqctl_with(&how, "help"), 74, NULL, "cannot write: No space left on device");
}

static int unread(int fd)
{
	int n;

	assert_int_equal(ioctl(fd, FIONREAD, &n), 0);
	return n;
}

/* A pipe that is not emptied, and an end in the middle of an item. */
static void test_half_in_pipe(void **state)
{
	static char item[3001], text[PIPE_BYTES + 1];
	struct outcome o;
	int fd[2];

	(void)state;
	make();
	for (int i = 0; i < 2; i++) {
		memset(item, 'a' + i, sizeof(item) - 1);
		watch_put(q, item);
	}
	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	assert_int_equal(fcntl(fd[1], F_SETPIPE_SZ, PIPE_BYTES), PIPE_BYTES);
	current = sqctl_start(&(struct start){.out = fd[1]}, "collect", "q");
	assert_int_equal(close(fd[1]), 0);
	/* The pipe has all it can take. */
	while (unread(fd[0]) < PIPE_BYTES)
		assert_false(watch_ended(&current));
	assert_int_equal(kill(current.pid, SIGTERM), 0);
	o = end();
	expect(o, 0, NULL, "the output ends with half an item, which is still in q");
	expect(o, 0, NULL, "collected 1 item from q");
	assert_int_equal(read(fd[0], text, sizeof(text)), PIPE_BYTES);
	assert_int_equal(watch_stat(q).depth, 1);
	assert_int_equal(sq_get(q, item, sizeof(item), SQ_NOWAIT), 3000);
	assert_int_equal(item[0], 'b');
	assert_int_equal(close(fd[0]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_left_idle, clean),
		cmocka_unit_test_teardown(test_left_without_queue, clean),
		cmocka_unit_test_teardown(test_left_local, clean),
		cmocka_unit_test_teardown(test_half_closed, clean),
		cmocka_unit_test_teardown(test_file, clean),
		cmocka_unit_test_teardown(test_file_large, clean),
		cmocka_unit_test_teardown(test_file_of_others, clean),
		cmocka_unit_test_teardown(test_local, clean),
		cmocka_unit_test_teardown(test_local_full, clean),
		cmocka_unit_test_teardown(test_half_in_pipe, clean),
	};

	run_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
