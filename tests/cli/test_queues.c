/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "segment/layout.h"
#include "run.h"
#include "sq.h"

/*
 * The commands on queues as wholes: create, ls, stat, rm, gc, and help; and what all commands
 * refuse alike.
 */

#define NOBODY 65534

static void make(const char *queue)
{
	const struct sq_config config = {.capacity = 16, .participants = 8, .max_message = 1000};

	assert_int_equal(sq_create(queue, &config), 0);
}

static int there_is(const char *queue)
{
	return access(run_path(queue), F_OK) == 0;
}

static void test_help(void **state)
{
	static const char *const codes[] = {"    0  done", "    1  empty",
		"    3  shut down and drained", "   64  usage", "   66  no such queue",
		"   73  cannot create", "   75  full of messages", "   77  not allowed",
		"  124  timed out", "  128 and more", "SQ_PREFIX"};
	static const char *const names[] = {
		"local", "create", "ls", "stat", "put", "get", "rm", "gc", "help"};
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		expect(sqctl(NULL, "help"), 0, codes[i], NULL);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(text, sizeof(text), "\n  %-7s ", names[i]);
		expect(sqctl(NULL, "--help"), 0, text, NULL);
		(void)snprintf(text, sizeof(text), "usage: sqctl %s", names[i]);
		expect(sqctl(NULL, "help", names[i]), 0, text, NULL);
		expect(sqctl(NULL, names[i], "--help"), 0, text, NULL);
		expect(sqctl(NULL, names[i], "-h"), 0, text, NULL);
	}
	expect(sqctl(NULL, "--version"), 0, "sqctl " SQ_VERSION "\n", NULL);
	expect(sqctl(NULL, "version"), 0, "sqctl " SQ_VERSION "\n", NULL);
	expect(sqctl(NULL, "help", "bogus"), 64, NULL,
		"no such command: bogus; `sqctl help` lists them");
	expect(sqctl(NULL, "help", "put", "get"), 64, NULL, "one command at a time");
	expect(sqctl(NULL, "help", "-x"), 64, NULL, "no such option: -x");
	expect(sqctl(NULL, "bogus"), 64, NULL, "no such command: bogus; `sqctl help` lists them");
	expect(run_whole(&(struct start){0}, (const char *const[]){NULL}), 64, NULL,
		"usage: sqctl COMMAND");
}

/* Wherever it stands, and whatever is wrong with the rest; but behind -- it is a word like others. */
static void test_help_anywhere(void **state)
{
	(void)state;
	make("q");
	for (int i = 0; i < 2; i++) {
		const char *word = i ? "-h" : "--help";

		expect(sqctl(NULL, "put", "q", word), 0, "usage: sqctl put", NULL);
		expect(sqctl(NULL, "put", "q", "1", word, "2"), 0, "usage: sqctl put", NULL);
		expect(sqctl(NULL, "get", "q", word), 0, "usage: sqctl get", NULL);
		expect(sqctl(NULL, "get", "-n", "1", word), 0, "usage: sqctl get", NULL);
		expect(sqctl(NULL, "get", "-n", word), 0, "usage: sqctl get", NULL);
		expect(sqctl(NULL, "get", "--bogus", word, "q"), 0, "usage: sqctl get", NULL);
		expect(sqctl(NULL, "local", "--tasks", "3", word), 0, "usage: sqctl local", NULL);
		expect(sqctl(NULL, "work", "pq", "cq", word), 0, "usage: sqctl work", NULL);
		expect(sqctl(NULL, "create", "p", word), 0, "usage: sqctl create", NULL);
		assert_false(there_is("p"));
		expect(sqctl(NULL, "put", "q", "--", word), 0, NULL, NULL);
		expect(sqctl(NULL, "get", "q"), 0, word, NULL);
	}
}

static void test_guess(void **state)
{
	static const char *const words[][2] = {{"stats", "stat"}, {"sta", "stat"}, {"gte", "get"},
		{"pu", "put"}, {"lcoal", "local"}, {"crate", "create"}, {"colect", "collect"},
		{"Get", "get"}, {"producer", "produce"}};
	char text[64];

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		(void)snprintf(text, sizeof(text), "no such command: %s; did you mean `sqctl %s`?",
			words[i][0], words[i][1]);
		expect(sqctl(NULL, words[i][0]), 64, NULL, text);
		expect(sqctl(NULL, "help", words[i][0]), 64, NULL, text);
	}
	expect(sqctl(NULL, "frobnicate-all-of-them"), 64, NULL,
		"no such command: frobnicate-all-of-them; `sqctl help`");
	expect(sqctl(NULL, "xyz"), 64, NULL, "no such command: xyz; `sqctl help`");
	expect(sqctl(NULL, ""), 64, NULL, "no such command: ; `sqctl help`");
}

static void test_create(void **state)
{
	struct sq_stat got;
	char full[128];
	struct stat st;
	struct sq *q;

	(void)state;
	expect(sqctl(NULL, "create", "--capacity", "2k", "--max-message", "100k", "--small", "100",
		       "--participants", "7", "--mode", "0660", "--lease-time", "1.5s",
		       "--max-attempts", "3", "--dead-letter", "dead", "--block-memory", "1M",
		       "--ephemeral", "q"),
		0, NULL, "there is no queue dead yet: dead letters of q stay in q, undelivered");
	assert_int_equal(stat(run_path("q"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(sq_open(&q, "q"), 0);
	assert_int_equal(sq_stat(q, &got), 0);
	sq_close(q);
	assert_int_equal(got.capacity, 2048);
	assert_int_equal(got.max_message, 102400);
	assert_in_range(got.small_message, 100, 128);
	assert_int_equal(got.participants_max, 7);
	assert_int_equal(got.lease_time, 1500000000);
	assert_int_equal(got.max_attempts, 3);
	(void)snprintf(full, sizeof(full), "%s.dead", getenv("SQ_PREFIX"));
	assert_string_equal(got.dead_letter, full);
	assert_int_equal(got.flags, SQ_EPHEMERAL);
	/* The defaults, and several at once. */
	expect(sqctl(NULL, "create", "a", "b"), 0, NULL, NULL);
	expect(sqctl(NULL, "create", "--max-attempts", "3", "--dead-letter", "a", "c", "d"), 0,
		NULL, NULL);
	(void)snprintf(full, sizeof(full), "%s.e", getenv("SQ_PREFIX"));
	expect(sqctl(NULL, "create", "--max-attempts", "3", "--dead-letter", "a", full), 0, NULL,
		NULL);
	assert_true(there_is("b"));
	assert_int_equal(stat(run_path("a"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(sq_open(&q, "a"), 0);
	assert_int_equal(sq_stat(q, &got), 0);
	sq_close(q);
	assert_int_equal(got.capacity, 1024);
	assert_int_equal(got.max_message, 1 << 20);
	assert_int_equal(got.lease_time, 0);
}

/* The state is the same word to both, whatever else `ls` has to say beside it. */
static void test_state(void **state)
{
	const struct sq_config config = {
		.capacity = 16, .participants = 8, .max_attempts = 1, .dead_letter = "missing"};
	struct sq_lease lease;
	char text[128];
	struct sq *q;

	(void)state;
	assert_int_equal(sq_create("q", &config), 0);
	assert_int_equal(sq_open(&q, "q"), 0);
	assert_int_equal(sq_put(q, "dead", 4, 0), 0);
	assert_int_equal(sq_lease(q, &lease, 0), 0);
	assert_int_equal(sq_nack(q, &lease), 0);
	expect(sqctl(NULL, "ls"), 0, "  open, dead letters\n", NULL);
	expect(sqctl(NULL, "stat", "q"), 0, "\nstate             open\n", NULL);
	(void)snprintf(text, sizeof(text), "\ndead_letter       %s.missing is missing\n",
		getenv("SQ_PREFIX"));
	expect(sqctl(NULL, "stat", "q"), 0, text, NULL);
	expect(sqctl(NULL, "stat", "--json", "q"), 0, ",\"undelivered_why\":\"missing\",", NULL);
	assert_int_equal(sq_put(q, "x", 1, 0), 0);
	assert_int_equal(sq_shutdown(q, false), 0);
	expect(sqctl(NULL, "ls"), 0, "  draining, dead letters\n", NULL);
	expect(sqctl(NULL, "ls", "--json"), 0, "\"state\":\"draining, dead letters\"}", NULL);
	expect(sqctl(NULL, "stat", "q"), 0, "\nstate             draining\n", NULL);
	expect(sqctl(NULL, "stat", "--json", "q"), 0, "\"state\":\"draining\",", NULL);
	assert_int_equal(sq_lease(q, &lease, 0), 0);
	assert_int_equal(sq_ack(q, &lease), 0);
	expect(sqctl(NULL, "ls"), 0, "  shut down, dead letters\n", NULL);
	expect(sqctl(NULL, "stat", "q"), 0, "\nstate             shut down\n", NULL);
	sq_close(q);
}

/* A dot in the name: it is said what that means, if it is not what the name would mean without. */
static void test_create_prefix(void **state)
{
	char full[128], text[256];

	(void)state;
	(void)snprintf(full, sizeof(full), "%s-other.q", getenv("SQ_PREFIX"));
	(void)snprintf(text, sizeof(text),
		"sqctl: %s is the queue q of the prefix %s-other, not of %s: say its whole name, and list it "
		"with `sqctl ls -a`\n",
		full, getenv("SQ_PREFIX"), getenv("SQ_PREFIX"));
	expect(sqctl(NULL, "create", full), 0, NULL, text);
	expect(sqctl(NULL, "rm", full), 0, NULL, NULL);
	(void)snprintf(full, sizeof(full), "%s.q", getenv("SQ_PREFIX"));
	expect(sqctl(NULL, "create", full), 0, NULL, NULL);
}

static void test_create_usage(void **state)
{
	static const struct {
		const char *words[6];
		const char *err;
	} bad[] = {
		{{"create"}, "the name of a queue is missing"},
		{{"create", "q", "--capacity", "0"},
			"--capacity '0' must be a whole number from 1 to 1073741824"},
		{{"create", "q", "--capacity", "1073741825"}, "--capacity '1073741825' must be"},
		{{"create", "q", "--capacity", "many"}, "--capacity 'many' must be"},
		{{"create", "q", "--capacity", "010x"}, "--capacity '010x' must be"},
		{{"create", "q", "--capacity"}, "--capacity needs a value"},
		{{"create", "q", "--max-message", "1025M"}, "--max-message '1025M' must be"},
		{{"create", "q", "--small", "4097"},
			"--small '4097' must be a whole number from 1 to 4096, perhaps with k behind it; "},
		{{"create", "q", "--capacity", "2T"},
			"1073741824, perhaps with k, M or G behind it; "},
		{{"create", "q", "--block-memory", "2T"}, "perhaps with k, M, G or T behind it; "},
		{{"create", "q", "--participants", "4095"}, "--participants '4095' must be"},
		{{"create", "q", "--participants", "4294967297"},
			"--participants '4294967297' must be"},
		{{"create", "q", "--mode", "0888"}, "--mode '0888' must be 0600, 0660"},
		{{"create", "q", "--mode", "01600"}, "--mode '01600' must be 0600, 0660"},
		{{"create", "q", "--mode", "0"}, "--mode '0' must be 0600, 0660"},
		{{"create", "q", "--mode", "0640"}, "to use a queue is to read and write it"},
		{{"create", "q", "--mode", "0400"}, "to use a queue is to read and write it"},
		{{"create", "q", "--mode", "0060"}, "to use a queue is to read and write it"},
		{{"create", "q", "--lease-time", "x"}, "--lease-time 'x' must be a span of time"},
		{{"create", "q", "--lease-time", "99999d"}, ", to 13343d; see"},
		{{"create", "q", "--max-attempts", "128"}, "--max-attempts '128' must be"},
		{{"create", "q", "--max-attempts", "3"},
			"--max-attempts and --dead-letter need each other"},
		{{"create", "q", "--dead-letter", "d"},
			"--max-attempts and --dead-letter need each other"},
		{{"create", "q", "--max-attempts=3", "--dead-letter", "d/d"},
			"'d/d' is no queue name"},
		{{"create", "q", "--max-attempts=3", "--dead-letter", "q"},
			"q cannot be its own dead-letter queue"},
		{{"create", "q", "--block-memory", "2048G"}, "--block-memory '2048G' must be"},
		{{"create", "q", "--ephemeral=1"}, "this option takes no value"},
		{{"create", "q", "--color"}, "no such option: --color; see `sqctl help create`"},
		{{"create", "q", "-c"}, "no such option: -c"},
		{{"create", "q", "p", "q"}, "q is named twice"},
		{{"create", "q", "a b"}, "'a b' is no queue name"},
		{{"create", "q", ""}, "'' is no queue name"},
		{{"create", "q", "../q"}, "'../q' is no queue name"},
		{{"create", "q", "a.b.c"}, "'a.b.c' is no queue name"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		expect(run_whole(&(struct start){0}, bad[i].words), 64, NULL, bad[i].err);
		assert_false(there_is("q"));
	}
}

static void bad_prefix(void)
{
	(void)setenv("SQ_PREFIX", "a/b", 1);
}

static void test_bad_prefix(void **state)
{
	const struct start how = {.child = bad_prefix};

	(void)state;
	expect(sqctl_with(&how, "create", "q"), 64, NULL, "SQ_PREFIX is 'a/b', which is no prefix");
	expect(sqctl_with(&how, "ls"), 64, NULL, "SQ_PREFIX is 'a/b', which is no prefix");
	expect(sqctl_with(&how, "rm", "q"), 64, NULL, "SQ_PREFIX is 'a/b', which is no prefix");
}

static void test_create_taken(void **state)
{
	char full[128];
	struct sq *q;

	(void)state;
	make("q");
	assert_int_equal(sq_open(&q, "q"), 0);
	assert_int_equal(sq_put(q, "x", 1, 0), 0);
	expect(sqctl(NULL, "create", "q"), 73, NULL,
		"see it with `sqctl stat q`, or remove it with `sqctl rm q`");
	(void)snprintf(full, sizeof(full), "%s.q", getenv("SQ_PREFIX"));
	expect(sqctl(NULL, "create", full), 73, NULL, "already");
	/* All or none. */
	expect(sqctl(NULL, "create", "p", "q"), 73, NULL, "there is a queue q already");
	assert_false(there_is("p"));
	/* And nothing was done to the one that was there. */
	assert_int_equal(sq_get(q, full, sizeof(full), 0), 1);
	sq_close(q);
}

static void small_shm(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=16m,mode=1777") < 0)
		_exit(125);
}

/* Root in a container or a chroot may not. */
static bool may_mount(void)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		small_shm();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0)
		print_message(
			"no mounts here: what needs a small /dev/shm is tried in the real one\n");
	return status == 0;
}

static void test_no_room(void **state)
{
	const struct sq_config config = {.capacity = 100000000};
	const struct start small = {.child = small_shm};
	uint64_t wanted;
	char text[128];

	(void)state;
	/* More than any machine of today has, for those who may not mount. */
	expect(sqctl(NULL, "create", "--capacity", "1G", "--small", "4k", "big"), 73, NULL,
		"no room for big");
	assert_false(there_is("big"));
	if (!may_mount())
		return;
	assert_int_equal(sq_size(&config, &wanted), 0);
	(void)snprintf(text, sizeof(text),
		" wanted (%llu bytes), 16M there in /dev/shm (16777216 bytes)",
		(unsigned long long)wanted);
	expect(sqctl_with(&small, "create", "--capacity", "100000000", "big"), 73, NULL, text);
	(void)snprintf(text, sizeof(text), "mount -o remount,size=%lluM /dev/shm",
		(unsigned long long)((wanted + (1 << 20) - 1) >> 20));
	expect(sqctl_with(&small, "create", "--capacity", "100000000", "big"), 73, NULL, text);
	/* Each would fit, all do not: none is made. */
	expect(sqctl_with(&small, "create", "--max-message", "256", "--capacity", "64k", "a"), 0,
		NULL, NULL);
	expect(sqctl_with(&small, "create", "--max-message", "256", "--capacity", "64k", "a", "b",
		       "c", "d"),
		73, NULL, "no room for all of them");
}

static void few_inodes(void)
{
	small_shm();
	if (mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=64m,nr_inodes=3,mode=1777") < 0)
		_exit(125);
}

/* The number behind this. */
static unsigned long long advised(const char *err, const char *label)
{
	const char *at = strstr(err, label);

	assert_non_null(at);
	return strtoull(at + strlen(label), NULL, 10);
}

/* Memory there is, but not another file: to make it larger, or smaller, would be no remedy. */
static void test_no_inodes(void **state)
{
	const struct start few = {.child = few_inodes};
	static const char *const tiny[] = {"create", "--capacity", "2", "--participants", "2",
		"--max-message", "48", "a", "b", "c", NULL};
	struct outcome o;

	(void)state;
	if (!may_mount())
		return;
	o = run_whole(&few, tiny);
	expect(o, 73, NULL, "no inode for all of them: 2 of 3 are left in /dev/shm");
	assert_null(strstr(o.err, "size="));
	assert_true(advised(o.err, "remount,nr_inodes=") > 4);
	/* Two would fit, but for the moment in which the second has two names. */
	o = sqctl_with(&few, "create", "--capacity", "2", "--participants", "2", "--max-message",
		"48", "a", "b");
	if (o.code == 0)
		return;
	expect(o, 73, NULL, "no inode for b: 1 of 3 are left in /dev/shm");
	assert_null(strstr(o.err, "size="));
	assert_true(advised(o.err, "remount,nr_inodes=") > 3);
}

/* How much it takes is said if it is most of what there was. */
static void test_large(void **state)
{
	const struct start small = {.child = small_shm};

	(void)state;
	if (!may_mount())
		return;
	expect(sqctl_with(&small, "create", "--max-message", "48", "--capacity", "64k", "a"), 0,
		NULL, NULL);
	expect(sqctl_with(&small, "create", "--max-message", "48", "--capacity", "128k", "a"), 0,
		NULL, "a takes 9.");
	expect(sqctl_with(
		       &small, "create", "--max-message", "48", "--capacity", "64k", "a", "b", "c"),
		0, NULL, "all of them take 1");
}

/* What sq_create() says itself, when the look beforehand was passed: the size is not to be had. */
static void small_files(void)
{
	const struct rlimit limit = {1 << 20, 1 << 20};

	(void)setrlimit(RLIMIT_FSIZE, &limit);
}

static void test_file_limit(void **state)
{
	(void)state;
	expect(sqctl_with(&(struct start){.child = small_files}, "create", "q"), 73, NULL,
		"`ulimit -f`");
	assert_false(there_is("q"));
}

/* Somebody else; where we are nobody ourselves, nobody may, for the same answer. */
static void be_nobody(void)
{
	if (geteuid() == 0 && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
		_exit(125);
}

static void test_not_allowed(void **state)
{
	const struct start nobody = {.child = be_nobody};
	struct sq *q;

	(void)state;
	make("q");
	assert_int_equal(sq_open(&q, "q"), 0);
	assert_int_equal(sq_put(q, "x", 1, 0), 0);
	sq_close(q);
	assert_int_equal(chmod(run_path("q"), geteuid() == 0 ? 0600 : 0), 0);
	expect(sqctl_with(&nobody, "put", "q", "1"), 77, NULL,
		"not allowed to use q: ask its owner");
	expect(sqctl_with(&nobody, "get", "q"), 77, NULL, "`sqctl create --mode 0660`");
	expect(sqctl_with(&nobody, "stat", "q"), 77, NULL, "not allowed to use q");
	expect(sqctl_with(&nobody, "gc", "q"), 77, NULL, "not allowed to use q");
	expect(sqctl_with(&nobody, "ls"), 0, "not allowed", NULL);
	expect(sqctl_with(&nobody, "gc", "-a"), 0, NULL, NULL);
	if (geteuid() == 0)
		expect(sqctl_with(&nobody, "rm", "q"), 77, NULL, "only its owner");
	assert_int_equal(chmod(run_path("q"), 0600), 0);
	expect(sqctl(NULL, "get", "q"), 0, "x\n", NULL);
	assert_int_equal(chmod(run_path("q"), 0666), 0);
	expect(sqctl_with(&nobody, "put", "q", "1"), 0, NULL, NULL);
}

static void test_no_queue(void **state)
{
	static const char *const verbs[] = {"put", "get", "stat", "rm", "gc"};

	(void)state;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		expect(sqctl(NULL, verbs[i], "nope"), 66, NULL,
			"no such queue: nope; make it with `sqctl create nope`, list with `sqctl ls`");
		expect(sqctl(NULL, verbs[i], "no/pe"), 64, NULL, "'no/pe' is no queue name");
		expect(sqctl(NULL, verbs[i], "--bogus", "nope"), 64, NULL,
			"no such option: --bogus");
	}
}

static void damage(const char *queue, off_t at, const void *bytes, size_t len)
{
	int fd = open(run_path(queue), O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, at), len);
	assert_int_equal(close(fd), 0);
}

/*
 * Whatever cannot be a queue of ours is refused by all, with the reason, and left alone by all but
 * rm.
 */
static void refused(const char *queue, const char *why)
{
	static const char *const verbs[] = {"put", "get", "stat", "gc"};
	char text[256];

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		(void)snprintf(text, sizeof(text),
			"%s cannot be used: %s; remove it with `sqctl rm %s`", queue, why, queue);
		expect(sqctl("x\n", verbs[i], queue), 70, NULL, text);
	}
	expect(sqctl(NULL, "ls"), 0, why, NULL);
	(void)snprintf(text, sizeof(text), "{\"name\":\"%s.%s\",\"error\":\"%s\"}\n",
		getenv("SQ_PREFIX"), queue, why);
	expect(sqctl(NULL, "ls", "--json"), 0, text, NULL);
	expect(sqctl(NULL, "gc"), 70, NULL, why);
	expect(sqctl(NULL, "create", queue), 73, NULL, "already");
	assert_true(there_is(queue));
	expect(sqctl(NULL, "rm", queue), 0, NULL, NULL);
	assert_false(there_is(queue));
}

static void test_broken(void **state)
{
	static const uint32_t older = SQI_LAYOUT_VERSION - 1, newer = SQI_LAYOUT_VERSION + 1;
	static const char zeros[8192];
	struct stat st;
	int fd;

	(void)state;
	make("q");
	assert_int_equal(stat(run_path("q"), &st), 0);
	assert_int_equal(truncate(run_path("q"), st.st_size - 4096), 0);
	refused("q", "truncated");
	make("q");
	assert_int_equal(truncate(run_path("q"), 0), 0);
	refused("q", "too short to be a queue");
	make("q");
	assert_int_equal(truncate(run_path("q"), st.st_size + 1), 0);
	refused("q", "longer than it should be");
	make("q");
	damage("q", offsetof(struct sqi_head, magic), "x", 1);
	refused("q", "not a queue (wrong magic)");
	make("q");
	damage("q", offsetof(struct sqi_head, version), &older, sizeof(older));
	refused("q", "made by an older version of sq");
	make("q");
	damage("q", offsetof(struct sqi_head, version), &newer, sizeof(newer));
	refused("q", "made by a newer version of sq");
	/* Foreign: a file, a link to one. */
	fd = open(run_path("q"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, zeros, sizeof(zeros)), sizeof(zeros));
	assert_int_equal(close(fd), 0);
	refused("q", "not a queue (wrong magic)");
	assert_int_equal(symlink("/etc/passwd", run_path("q")), 0);
	refused("q", "not a file of shared memory");
}

static void test_rm(void **state)
{
	(void)state;
	make("a");
	make("b");
	make("c");
	/* A word that is no name: nothing is done. */
	expect(sqctl(NULL, "rm", "a", "b/"), 64, NULL, "'b/' is no queue name");
	assert_true(there_is("a"));
	/* One that is not there does not keep the others. */
	expect(sqctl(NULL, "rm", "nope", "a", "b"), 66, NULL, "no such queue: nope");
	assert_false(there_is("a"));
	assert_false(there_is("b"));
	expect(sqctl(NULL, "rm", "-f", "nope", "c"), 0, NULL, NULL);
	assert_false(there_is("c"));
	expect(sqctl(NULL, "rm"), 64, NULL, "the name of a queue is missing");
	expect(sqctl(NULL, "rm", "-r", "q"), 64, NULL, "no such option: -r");
}

static void test_ls(void **state)
{
	char text[1024], prefix[64];
	struct sq_lease lease;
	struct sq_stat st;
	struct sq *q;

	(void)state;
	expect(sqctl(NULL, "ls"), 0, NULL,
		"there is no queue of yours (`sqctl ls -a` lists everybody's)");
	expect(sqctl(NULL, "ls", "--json"), 0, NULL, NULL);
	make("b");
	make("long-name");
	make("a");
	assert_int_equal(sq_open(&q, "b"), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(sq_put(q, "x", 1, 0), 0);
	assert_int_equal(sq_lease(q, &lease, 0), 0);
	assert_int_equal(sq_stat(q, &st), 0);
	assert_int_equal(sq_shutdown(q, false), 0);
	assert_true(st.bytes < 1000000);
	expect(sqctl(NULL, "ls"), 0,
		"NAME           DEPTH     LEASED PARTICIPANTS   SIZE  STATE\n"
		"a                  0          0            0",
		NULL);
	expect(sqctl(NULL, "ls"), 0, "\nb                  4          1            1", NULL);
	expect(sqctl(NULL, "ls"), 0, "  open\nb ", NULL);
	expect(sqctl(NULL, "ls"), 0, "  draining\nlong-name ", NULL);
	(void)snprintf(prefix, sizeof(prefix), "%s", getenv("SQ_PREFIX"));
	(void)snprintf(text, sizeof(text),
		"{\"name\":\"%s.b\",\"depth\":4,\"leased\":1,\"participants\":1,\"bytes\":%llu,\"state\":"
		"\"draining\"}\n{\"name\":\"%s.long-name\",\"depth\":0,\"leased\":0,\"participants\":0,\"bytes\":%llu,"
		"\"state\":\"open\"}\n",
		prefix, (unsigned long long)st.bytes, prefix, (unsigned long long)st.bytes);
	expect(sqctl(NULL, "ls", "--json"), 0, text, NULL);
	sq_close(q);
	/* Those of others are listed when asked for. */
	assert_int_equal(setenv("SQ_PREFIX", "another-one", 1), 0);
	expect(sqctl(NULL, "ls"), 0, NULL, "there is no queue of yours");
	(void)snprintf(text, sizeof(text), "\n%s.long-name ", prefix);
	expect(sqctl(NULL, "ls", "-a"), 0, text, NULL);
	assert_int_equal(setenv("SQ_PREFIX", prefix, 1), 0);
	expect(sqctl(NULL, "ls", "a"), 64, NULL, "see one queue with `sqctl stat`");
}

static void test_stat(void **state)
{
	char text[256];
	struct sq *q;

	(void)state;
	make("q");
	make("p");
	expect(sqctl(NULL, "put", "q", "1", "2", "3", "4"), 0, NULL, NULL);
	expect(sqctl(NULL, "get", "-n", "1", "q"), 0, "1\n", NULL);
	assert_int_equal(sq_open(&q, "q"), 0);
	(void)snprintf(text, sizeof(text), "name              %s.q\nstate             open\n",
		getenv("SQ_PREFIX"));
	expect(sqctl(NULL, "stat", "q"), 0, text, NULL);
	expect(sqctl(NULL, "stat", "q"), 0, "\nparticipants      1            who has it open\n",
		NULL);
	expect(sqctl(NULL, "stat", "q"), 0,
		"\ndepth             3            messages that can be taken\n", NULL);
	expect(sqctl(NULL, "stat", "q"), 0, "\ntook              1 ", NULL);
	(void)snprintf(text, sizeof(text),
		"{\"name\":\"%s.q\",\"state\":\"open\",\"ephemeral\":false,\"participants\":1,",
		getenv("SQ_PREFIX"));
	expect(sqctl(NULL, "stat", "--json", "q"), 0, text, NULL);
	expect(sqctl(NULL, "stat", "--json", "q"), 0,
		",\"capacity\":16,\"max_message\":1000,\"small_message\":48,\"participants_max\":8,",
		NULL);
	expect(sqctl(NULL, "stat", "--json", "q"), 0,
		",\"depth\":3,\"back\":0,\"leased\":0,\"put\":4,\"took\":1,", NULL);
	/* A longer one takes one of the places of its size. */
	expect(sqctl(NULL, "stat", "--json", "q"), 0, "},{\"up_to\":1024,\"free\":80,\"of\":80}],",
		NULL);
	assert_int_equal(sq_put(q, text, sizeof(text), 0), 0);
	expect(sqctl(NULL, "stat", "--json", "q"), 0,
		",\"room\":[{\"up_to\":256,\"free\":79,\"of\":80},", NULL);
	expect(sqctl(NULL, "stat", "q"), 0,
		"\nroom_free         79           of 80 for messages of up to 256 bytes\n", NULL);
	/* A line each, whatever is wrong with one. */
	expect(sqctl(NULL, "stat", "--json", "q", "nope", "p"), 66, ".p\",", "no such queue: nope");
	expect(sqctl(NULL, "stat"), 64, NULL, "the name of a queue is missing");
	sq_close(q);
}

/* Who is away, and for how long its leases are kept for it. */
static void test_stat_away(void **state)
{
	struct sq *d;

	(void)state;
	make("q");
	expect(sqctl(NULL, "stat", "--json", "q"), 0, ",\"away\":0,\"grace_left_ns\":-1,", NULL);
	assert_int_equal(sq_open_durable(&d, "q", 7, SQ_FOREVER), 0);
	expect(sqctl(NULL, "stat", "--json", "q"), 0, ",\"away\":0,\"grace_left_ns\":-1,", NULL);
	sq_close(d);
	expect(sqctl(NULL, "stat", "q"), 0,
		"\naway              1            who may come again for their leases\n", NULL);
	assert_int_equal(sq_open_durable(&d, "q", 7, 7200 * (int64_t)1000000000), 0);
	sq_close(d);
	expect(sqctl(NULL, "stat", "q"), 0,
		"\naway              1            who may come again for their leases; the next is given "
		"up in 7",
		NULL);
	expect(sqctl(NULL, "stat", "--json", "q"), 0, ",\"away\":1,\"grace_left_ns\":7", NULL);
}

/* What a process that was killed had in its hands can be taken again at once. */
static void test_gc_recovers(void **state)
{
	struct sq_stat st;
	struct sq *q;
	int end[2];
	pid_t pid;
	char c;

	(void)state;
	make("q");
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct sq_lease lease;

		if (sq_open(&q, "q") < 0 || sq_put(q, "x", 1, 0) < 0 || sq_lease(q, &lease, 0) < 0)
			_exit(1);
		(void)!write(end[1], "!", 1);
		(void)pause();
		_exit(1);
	}
	assert_int_equal(close(end[1]), 0);
	assert_int_equal(read(end[0], &c, 1), 1);
	assert_int_equal(close(end[0]), 0);
	assert_int_equal(sq_open(&q, "q"), 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(sq_stat(q, &st), 0);
	assert_int_equal(st.leased, 1);
	expect(sqctl(NULL, "gc", "q"), 0, NULL, NULL);
	/* Looking does not recover. */
	assert_int_equal(sq_stat(q, &st), 0);
	assert_int_equal(st.leased, 0);
	assert_int_equal(st.depth, 1);
	assert_int_equal(st.reclaimed, 1);
	sq_close(q);
}

static void test_gc_removes(void **state)
{
	const struct sq_config config = {.capacity = 16, .participants = 8, .flags = SQ_EPHEMERAL};
	char text[128];
	struct sq *q;

	(void)state;
	make("stays");
	assert_int_equal(sq_create("q", &config), 0);
	assert_int_equal(sq_open(&q, "q"), 0);
	expect(sqctl(NULL, "gc", "q"), 0, NULL, NULL); /* somebody has it */
	assert_true(there_is("q"));
	sq_close(q);
	/* A look at a queue does not count as use of it. */
	assert_int_equal(sqctl(NULL, "ls").code, 0);
	expect(sqctl(NULL, "gc"), 0, NULL, NULL);
	assert_true(there_is("q"));
	expect(sqctl(NULL, "put", "q", "1"), 0, NULL, NULL);
	(void)snprintf(text, sizeof(text), "removed %s.q: ephemeral, and nobody uses it\n",
		getenv("SQ_PREFIX"));
	expect(sqctl(NULL, "gc"), 0, text, NULL);
	assert_false(there_is("q"));
	assert_true(there_is("stays"));
	expect(sqctl(NULL, "gc"), 0, NULL, NULL);
	expect(sqctl(NULL, "gc", "-a", "q"), 64, NULL, "exclude each other");
}

/* In a /dev/shm of its own: it is swept for all prefixes. */
static bool own_shm;

static void with_debris(void)
{
	int fd;

	if (own_shm)
		small_shm();
	fd = open("/dev/shm/sq.tmp-0123456789abcdef", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || close(fd) < 0)
		_exit(125);
}

static void test_gc_sweeps(void **state)
{
	(void)state;
	own_shm = may_mount();
	expect(sqctl_with(&(struct start){.child = with_debris}, "gc"), 0,
		"removed the remains of 1 creation\n", NULL);
}

/* The files of a daemon that has ended: a byte of one of them is locked while it runs. */
static void test_bridge_left(void **state)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char path[128], remedy[300];
	int fd;

	(void)state;
	(void)snprintf(path, sizeof(path), "/dev/shm/sqb.%s.hub", getenv("SQ_PREFIX"));
	(void)snprintf(remedy, sizeof(remedy), "if there is to be none: rm %s %s.*\n", path, path);
	expect(sqctl(NULL, "bridge"), 1, NULL, "there is no bridge of this prefix");
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	expect(sqctl(NULL, "bridge"), 1, NULL, remedy);
	expect(sqctl(NULL, "bridge", "hub"), 1, NULL, remedy);
	assert_null(strstr(sqctl(NULL, "bridge", "leaf").err, "rm /dev"));
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &all), 0);
	assert_null(strstr(sqctl(NULL, "bridge").err, "rm /dev"));
	assert_int_equal(close(fd), 0);
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_help, run_clean),
		cmocka_unit_test_teardown(test_help_anywhere, run_clean),
		cmocka_unit_test_teardown(test_guess, run_clean),
		cmocka_unit_test_teardown(test_bridge_left, run_clean),
		cmocka_unit_test_teardown(test_create, run_clean),
		cmocka_unit_test_teardown(test_create_prefix, run_clean),
		cmocka_unit_test_teardown(test_state, run_clean),
		cmocka_unit_test_teardown(test_create_usage, run_clean),
		cmocka_unit_test_teardown(test_bad_prefix, run_clean),
		cmocka_unit_test_teardown(test_create_taken, run_clean),
		cmocka_unit_test_teardown(test_no_room, run_clean),
		cmocka_unit_test_teardown(test_no_inodes, run_clean),
		cmocka_unit_test_teardown(test_large, run_clean),
		cmocka_unit_test_teardown(test_file_limit, run_clean),
		cmocka_unit_test_teardown(test_not_allowed, run_clean),
		cmocka_unit_test_teardown(test_no_queue, run_clean),
		cmocka_unit_test_teardown(test_broken, run_clean),
		cmocka_unit_test_teardown(test_rm, run_clean),
		cmocka_unit_test_teardown(test_ls, run_clean),
		cmocka_unit_test_teardown(test_stat, run_clean),
		cmocka_unit_test_teardown(test_stat_away, run_clean),
		cmocka_unit_test_teardown(test_gc_recovers, run_clean),
		cmocka_unit_test_teardown(test_gc_removes, run_clean),
		cmocka_unit_test_teardown(test_gc_sweeps, run_clean),
	};

	run_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
