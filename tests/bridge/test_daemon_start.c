/* SPDX-License-Identifier: ISC */
#include <glob.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "daemons.h"
#include "sq.h"

/* A daemon's beginning: what it checks before it starts, and what it says when it cannot. */

#define HUB_WORDS "hub", "--listen", "127.0.0.1:0", "--keys", "hub.keys", "--share", "pq:pull"

/* From here on io_uring_setup() fails so, for this process and all that it starts. */
static int deny_io_uring(int error)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = 4, .filter = filter};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
			       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0
		       ? 0
		       : -1;
}

static int deny_and_want_it(int error)
{
	return setenv("SQ_LOOP", "uring", 1) == 0 ? deny_io_uring(error) : -1;
}

static int deny_and_want_nothing(int error)
{
	return unsetenv("SQ_LOOP") == 0 ? deny_io_uring(error) : -1;
}

static int want_what_there_is_not(int arg)
{
	(void)arg;
	return setenv("SQ_LOOP", "select", 1);
}

static void refused(int (*before)(int), int error, int code, const char *says)
{
	struct daemon_run run = {.before = before, .before_arg = error};

	daemon_start(&run, hub_prefix, "denied.log", WORDS(HUB_WORDS));
	assert_int_equal(daemon_code(&run), code);
	assert_int_equal(count_lines(&run, "\n"), 1);
	assert_int_equal(count_lines(&run, says), 1);
	assert_int_equal(remove("denied.log"), 0);
}

static void an_event_loop_that_is_wanted_and_not_there_is_told_with_the_remedy(void **state)
{
	refused(deny_and_want_it, EPERM, 69,
		"sqbridge: loop: a seccomp filter denies io_uring. Docker's default");
	refused(deny_and_want_it, ENOSYS, 69, "sqbridge: loop: there is no io_uring here");
	refused(want_what_there_is_not, 0, 64, "sqbridge: loop: SQ_LOOP is poll or uring");
}

/* Both of them denied, and the work is done; each says so once. */
static void works_without_io_uring(int error, const char *reason)
{
	struct daemon_run hub = {.before = deny_and_want_nothing, .before_arg = error};
	struct daemon_run leaf = hub;
	pid_t producer, worker;
	char *line;

	assert_int_equal(sq_create(hub_queue("pq"), NULL), 0);
	assert_int_equal(sq_create(hub_queue("cq"), NULL), 0);
	hub_start_with(&hub, WORDS(NULL));
	leaf_start_with(&leaf, WORDS(NULL));
	worker = worker_start();
	producer = producer_start(0, 999, 64);
	collect(1000, 64);
	assert_int_equal(waitpid(producer, NULL, 0), producer);
	worker_stop(worker);
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
	for (int i = 0; i < 2; i++) {
		struct daemon_run *run = i ? &hub : &leaf;

		assert_int_equal(count_lines(run, "event=loop_poll"), 1);
		run->seen = 0;
		line = expect_line(run, "event=loop_poll");
		assert_non_null(strstr(line, "level=notice"));
		assert_non_null(strstr(line, reason));
		free(line);
		assert_int_equal(remove(run->log), 0);
	}
	assert_int_equal(sq_unlink(hub_queue("pq")), 0);
	assert_int_equal(sq_unlink(hub_queue("cq")), 0);
	assert_int_equal(sq_unlink(leaf_queue("pq")), 0);
	assert_int_equal(sq_unlink(leaf_queue("cq")), 0);
}

static void without_io_uring_it_works_and_says_why(void **state)
{
	works_without_io_uring(
		EPERM, "reason=\"a seccomp filter denies io_uring. Docker's default");
	works_without_io_uring(ENOSYS, "reason=\"there is no io_uring here");
}

static void checked(const char *const *words, int code, const char *says)
{
	struct daemon_run run = {.log = "check.log"};

	assert_int_equal(run_code("check.log", words), code);
	assert_int_equal(count_lines(&run, "\n"), says ? 1 : 0);
	assert_int_equal(count_lines(&run, says ? says : "sqbridge"), says ? 1 : 0);
	assert_int_equal(remove("check.log"), 0);
}

static void a_check_reads_the_keys_too(void **state)
{
	const char *const hub[] = {HUB_WORDS, "--check-config", NULL};
	const char *const leaf[] = {"leaf", "127.0.0.1:1", "--key", "farm1.key", "--pull", "pq",
		"--check-config", NULL};

	checked(hub, 0, NULL);
	checked(leaf, 0, NULL);
	assert_int_equal(chmod("hub.keys", 0644), 0);
	checked(hub, 77, "hub.keys: has mode 0644");
	assert_int_equal(remove("hub.keys"), 0);
	checked(hub, 77, "hub.keys: No such file or directory; `sqbridge keygen");
	scratch_write("hub.keys", 0600, "farm1:00\n");
	checked(hub, 77, "hub.keys: line 1: a key is 16 to 64 bytes");
	scratch_write("farm1.key", 0600, "# nothing\n");
	checked(leaf, 77, "farm1.key: there is no key in it");
}

/*
 * Any fault of a key: one line that says what to do, and exit code 77; with --check-config, and at
 * the start.
 */
static void key_refused(const char *const *words, const char *says)
{
	const char *check[16];
	unsigned n = 0;

	checked(words, 77, says);
	for (; words[n]; n++)
		check[n] = words[n];
	check[n] = "--check-config";
	check[n + 1] = NULL;
	checked(check, 77, says);
}

static void without_a_key_it_says_which_is_wanted(void **state)
{
	const char *const none[] = {"leaf", "127.0.0.1:1", "--pull", "pq", NULL};
	const char *const leaf[] = {
		"leaf", "127.0.0.1:1", "--key", "farm1.key", "--pull", "pq", NULL};
	const char *const hub[] = {"hub", "--listen", "127.0.0.1:0", "--share", "pq:pull", NULL};

	(void)unsetenv("CREDENTIALS_DIRECTORY");
	key_refused(none, "sqbridge: which key? --key FILE, made by `sqbridge keygen --peer NAME");
	key_refused(hub, "sqbridge: whose keys? --keys FILE, made by `sqbridge keygen --peer NAME");
	assert_int_equal(remove("farm1.key"), 0);
	key_refused(leaf, "sqbridge: farm1.key: No such file or directory; `sqbridge keygen");
	scratch_write("farm1.key", 0600, "");
	key_refused(leaf,
		"sqbridge: farm1.key: there is no key in it; a leaf's has one line, NAME:KEY, which");
	scratch_write("farm1.key", 0600, "farm1\n");
	key_refused(leaf, "sqbridge: farm1.key: line 1: ");
	scratch_write("farm1.key", 0644, "farm1:00112233445566778899aabbccddeeff\n");
	key_refused(leaf, "sqbridge: farm1.key: has mode 0644");
	/* Other errors have their own codes, as before. */
	checked(WORDS("leaf", "--key", "farm1.key", "--pull", "pq"), 64, "which hub?");
}

static mode_t mode_of(const char *queue)
{
	char path[200];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/dev/shm/sq.%s", queue);
	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 0777;
}

static void made(const char *mode, mode_t expected)
{
	struct daemon_run leaf = {0};

	leaf_start_with(&leaf, mode ? WORDS("--mode", mode) : WORDS(NULL));
	free(expect_line(&leaf, "event=queue_made"));
	free(expect_line(&leaf, "event=queue_made"));
	assert_int_equal(mode_of(leaf_queue("pq")), expected);
	assert_int_equal(mode_of(leaf_queue("cq")), expected);
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
	assert_int_equal(sq_unlink(leaf_queue("pq")), 0);
	assert_int_equal(sq_unlink(leaf_queue("cq")), 0);
	assert_int_equal(remove("leaf.log"), 0);
}

static void queues_are_made_for_whom_they_are_meant(void **state)
{
	struct daemon_run hub = {0};

	assert_int_equal(sq_create(hub_queue("pq"), NULL), 0);
	assert_int_equal(sq_create(hub_queue("cq"), NULL), 0);
	hub_start_with(&hub, WORDS(NULL));
	made(NULL, 0600);
	made("0660", 0660);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

static void what_is_no_queue_is_named_with_the_remedy(void **state)
{
	const char *const words[] = {
		"leaf", "127.0.0.1:1", "--key", "farm1.key", "--pull", "pq", NULL};
	struct daemon_run run = {.log = "leaf.log"}, holder = {0};
	char path[200];

	(void)snprintf(path, sizeof(path), "/dev/shm/sq.%s", hub_queue("pq"));
	scratch_write(path, 0600, "this is no queue");
	assert_int_equal(run_code("leaf.log", words), 69);
	assert_int_equal(count_lines(&run, "event=queue_unusable"), 1);
	assert_int_equal(count_lines(&run, "is of another version: remove it"), 1);
	assert_int_equal(remove(path), 0);

	/* Its ledger is locked by another process, as by a daemon that has not quite ended. */
	assert_int_equal(sq_create(hub_queue("pq"), NULL), 0);
	daemon_start(&holder, hub_prefix, "holder.log", words);
	free(expect_line(&holder, "event=not_connected"));
	(void)snprintf(path, sizeof(path), "/dev/shm/sqb.%s.leaf", hub_prefix);
	assert_int_equal(remove(path), 0); /* by which it would be known to run */
	assert_int_equal(remove("leaf.log"), 0);
	assert_int_equal(run_code("leaf.log", words), 75);
	assert_int_equal(count_lines(&run, "another bridge carries this queue for this peer"), 1);
	assert_int_equal(daemon_stop(&holder, SIGTERM), 0);
}

/* In /dev/shm any user may make a file of any name, and write to it later. */
static void what_is_anothers_is_not_ours(void **state)
{
	const char *const words[] = {
		"leaf", "127.0.0.1:1", "--key", "farm1.key", "--pull", "pq", NULL};
	struct daemon_run run = {.log = "leaf.log", .prefix = hub_prefix};
	char instance[200], ledger[200];

	if (geteuid() != 0)
		skip(); /* only root can give files away */
	(void)snprintf(instance, sizeof(instance), "/dev/shm/sqb.%s.leaf", hub_prefix);
	(void)snprintf(ledger, sizeof(ledger), "/dev/shm/sqb.%s.leaf.leaf.pq.pull", hub_prefix);
	scratch_write(instance, 0666, "0123456789abcdef");
	assert_int_equal(chown(instance, 65534, 65534), 0);
	assert_int_equal(run_code("leaf.log", words), 77);
	assert_int_equal(count_lines(&run, "belongs to another user"), 1);
	assert_int_equal(remove(instance), 0);

	assert_int_equal(sq_create(hub_queue("pq"), NULL), 0);
	daemon_start(&run, hub_prefix, "leaf.log", words);
	free(expect_line(&run, "event=not_connected"));
	assert_int_equal(daemon_stop(&run, SIGTERM), 0);
	assert_int_equal(chown(ledger, 65534, 65534), 0);
	assert_int_equal(run_code("leaf.log", words), 69);
	assert_int_equal(count_lines(&run, "belongs to another user"), 2);
	assert_int_equal(remove(ledger), 0);
}

/* A dead letter would count as done at the hub. */
static void queues_by_which_something_is_lost_or_doubled_are_refused(void **state)
{
	const char *const pull[] = {
		"leaf", "127.0.0.1:1", "--key", "farm1.key", "--pull", "pq", NULL};
	const char *const push[] = {
		"leaf", "127.0.0.1:1", "--key", "farm1.key", "--push", "pq", NULL};
	struct sq_config config = {.max_attempts = 3, .dead_letter = "dead"};
	struct daemon_run run = {.log = "leaf.log", .prefix = hub_prefix};

	assert_int_equal(sq_create(hub_queue("pq"), &config), 0);
	assert_int_equal(run_code("leaf.log", pull), 69);
	assert_int_equal(count_lines(&run, "event=queue_unusable"), 1);
	assert_int_equal(count_lines(&run, "the queue has --max-attempts"), 1);
	assert_int_equal(sq_unlink(hub_queue("pq")), 0);

	/* A lease that ends while its message is on the way: it would arrive twice. */
	config = (struct sq_config){.lease_time = 1000000000};
	assert_int_equal(sq_create(hub_queue("pq"), &config), 0);
	assert_int_equal(run_code("leaf.log", push), 69);
	assert_int_equal(count_lines(&run, "the queue has --lease-time"), 1);
	assert_int_equal(sq_unlink(hub_queue("pq")), 0);

	/* A result that is given up on here stays in its dead letters. */
	config = (struct sq_config){.max_attempts = 3, .dead_letter = "dead"};
	assert_int_equal(sq_create(hub_queue("pq"), &config), 0);
	daemon_start(&run, hub_prefix, "leaf.log",
		WORDS("leaf", "127.0.0.1:1", "--key", "farm1.key", "--push", "pq"));
	free(expect_line(&run, "event=not_connected"));
	assert_int_equal(daemon_stop(&run, SIGTERM), 0);
}

/* A daemon's files in /dev/shm: how many. */
static size_t files_of(const char *prefix, const char *name)
{
	char pattern[128];
	glob_t found = {0};
	size_t n;

	(void)snprintf(pattern, sizeof(pattern), "/dev/shm/sqb.%s.%s*", prefix, name);
	(void)glob(pattern, 0, NULL, &found);
	n = found.gl_pathc;
	globfree(&found);
	return n;
}

/* A leaf of the hub's own prefix would carry each message from a queue into that same queue. */
static void a_hub_whose_queues_are_ours_is_left(void **state)
{
	struct daemon_run hub = {0}, run = {.log = "own.log", .prefix = hub_prefix};
	struct sq_stat st;
	char address[32];

	assert_int_equal(sq_create(hub_queue("pq"), NULL), 0);
	assert_int_equal(sq_create(hub_queue("cq"), NULL), 0);
	hub_start_with(&hub, WORDS(NULL));
	(void)snprintf(address, sizeof(address), "127.0.0.1:%s", hub_port);
	assert_int_equal(run_code("own.log", WORDS("leaf", address, "--key", "farm1.key", "--push",
						     "cq", "--pull", "pq")),
		64);
	assert_int_equal(count_lines(&run, "event=own_queues"), 1);
	/* It leaves nothing: neither files, nor itself in the queues' books. */
	assert_int_equal(files_of(hub_prefix, "leaf"), 0);
	assert_int_equal(sq_look(hub_queue("cq"), &st), 0);
	assert_int_equal(st.away, 0);
	/* Of other names here, they are others. */
	daemon_start(&run, hub_prefix, "own.log",
		WORDS("leaf", address, "--key", "farm1.key", "--push", "cq=results"));
	free(expect_line(&run, "event=queue_made"));
	assert_int_equal(daemon_stop(&run, SIGTERM), 0);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
	/* What has worked stays, to go on from; and a start that is refused takes none of that away. */
	assert_int_equal(files_of(hub_prefix, "leaf"), 2);
	hub_start_with(&hub, WORDS(NULL));
	assert_int_equal(
		run_code("own.log", WORDS("leaf", address, "--key", "farm1.key", "--push", "cq")),
		64);
	assert_true(files_of(hub_prefix, "leaf") >= 1);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

/* An address that this host has not. */
static void a_hub_that_cannot_listen_leaves_nothing(void **state)
{
	assert_int_equal(run_code("hub.log", WORDS("hub", "--listen", "192.0.2.1:5678", "--keys",
						     "hub.keys", "--share", "pq:pull")),
		69);
	assert_int_equal(files_of(hub_prefix, "hub"), 0);
}

static void what_is_not_there_to_be_set_is_named(void **state)
{
	static const struct {
		const char *name, *value, *line;
	} wrong[] = {
		{"SQBRIDGE_HEARTBEATS", "1s", "$SQBRIDGE_HEARTBEATS: there is no such option"},
		{"SQBRIDGE_SHARE", "pq:pull", "$SQBRIDGE_SHARE: lists are for"},
		{"SQ_LOOP", "nonsense", "loop: SQ_LOOP is poll or uring"},
	};
	struct daemon_run run = {.log = "env.log"};
	const char *loop = getenv("SQ_LOOP");
	char *kept = loop ? strdup(loop) : NULL;

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		assert_int_equal(setenv(wrong[i].name, wrong[i].value, 1), 0);
		assert_int_equal(run_code("env.log", WORDS(HUB_WORDS, "--check-config")), 64);
		assert_int_equal(unsetenv(wrong[i].name), 0);
		assert_int_equal(count_lines(&run, wrong[i].line), 1);
	}
	if (kept)
		assert_int_equal(setenv("SQ_LOOP", kept, 1), 0);
	free(kept);
	assert_int_equal(run_code("env.log", WORDS(HUB_WORDS, "--check-config")), 0);
}

/* A long pause is no reason for a hub to give up on its leaf. */
static void pauses_are_short_for_a_hub_that_does_not_wait_long(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	char address[32];

	assert_int_equal(sq_create(hub_queue("pq"), NULL), 0);
	hub_start_with(&hub, WORDS("--redeliver-after", "400ms"));
	(void)snprintf(address, sizeof(address), "127.0.0.1:%s", hub_port);
	daemon_start(&leaf, leaf_prefix, "leaf.log",
		WORDS("leaf", address, "--key", "farm1.key", "--pull", "pq", "--retry-max", "1h"));
	free(expect_line(&leaf, "event=queue_made queue="));
	assert_int_equal(daemon_stop(&hub, SIGKILL), -SIGKILL);
	/* Pauses that become twice as long each time take 2^30 times the first for these. */
	for (unsigned i = 0; i < 30; i++)
		free(expect_line(&leaf, "event=not_connected"));
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
}

/* As much memory as a queue of `sqctl create` takes. */
static void a_leafs_queue_takes_what_the_hubs_takes(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	struct sq_config large = {.max_message = 2 << 20};
	struct stat of_hub, of_leaf;
	char path[200];

	assert_int_equal(sq_create(hub_queue("pq"), NULL), 0);
	assert_int_equal(sq_create(hub_queue("cq"), &large), 0);
	hub_start_with(&hub, WORDS(NULL));
	leaf_start_with(&leaf, WORDS(NULL));
	for (unsigned i = 0; i < 2; i++)
		free(expect_line(&leaf, "event=queue_made queue="));
	for (unsigned i = 0; i < 2; i++) {
		const char *queue = i ? "cq" : "pq";

		(void)snprintf(path, sizeof(path), "/dev/shm/sq.%s", hub_queue(queue));
		assert_int_equal(stat(path, &of_hub), 0);
		(void)snprintf(path, sizeof(path), "/dev/shm/sq.%s", leaf_queue(queue));
		assert_int_equal(stat(path, &of_leaf), 0);
		assert_true(of_hub.st_size == of_leaf.st_size);
	}
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

/* Each leaf takes some: what the system allows is used. */
static int few_descriptors(int arg)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -1;
	limit.rlim_cur = (rlim_t)arg;
	return setrlimit(RLIMIT_NOFILE, &limit);
}

static void it_takes_the_descriptors_it_may_have(void **state)
{
	struct daemon_run hub = {.before = few_descriptors, .before_arg = 64};
	struct rlimit limit;

	daemon_start(&hub, hub_prefix, "hub.log", WORDS(HUB_WORDS));
	free(expect_line(&hub, "event=listening"));
	assert_int_equal(prlimit(hub.pid, RLIMIT_NOFILE, NULL, &limit), 0);
	assert_int_equal(limit.rlim_cur, limit.rlim_max);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

static void a_wrong_prefix_is_told_with_what_is_allowed(void **state)
{
	struct daemon_run hub = {0};

	daemon_start(&hub, "a/b", "hub.log", WORDS(HUB_WORDS));
	assert_int_equal(daemon_code(&hub), 64);
	assert_int_equal(count_lines(&hub, "\n"), 1 + count_lines(&hub, "event=loop_poll"));
	assert_int_equal(count_lines(&hub, "SQ_PREFIX must be letters, digits, '-' and '_'"), 1);
}

/* Nothing that it opens itself may become its standard error: lines would be written into it. */
static int close_standard_descriptors(int arg)
{
	(void)arg;
	return close(STDIN_FILENO) == 0 && close(STDOUT_FILENO) == 0 && close(STDERR_FILENO) == 0
		       ? 0
		       : -1;
}

static void lines_go_nowhere_but_to_standard_error(void **state)
{
	struct daemon_run hub = {.before = close_standard_descriptors};
	char path[300];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/dev/shm/sqb.%s.hub", hub_prefix);
	daemon_start(&hub, hub_prefix, "hub.log", WORDS(HUB_WORDS));
	for (int64_t end = clock_ms() + WAIT_S * 1000; stat(path, &st) < 0 || st.st_size == 0;
		nap_ms(5))
		assert_true(clock_ms() < end);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0); /* by then it has said something */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 16); /* the instance */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DAEMON_TEST(without_io_uring_it_works_and_says_why),
		DAEMON_TEST(an_event_loop_that_is_wanted_and_not_there_is_told_with_the_remedy),
		DAEMON_TEST(a_check_reads_the_keys_too),
		DAEMON_TEST(without_a_key_it_says_which_is_wanted),
		DAEMON_TEST(what_is_no_queue_is_named_with_the_remedy),
		DAEMON_TEST(what_is_anothers_is_not_ours),
		DAEMON_TEST(queues_by_which_something_is_lost_or_doubled_are_refused),
		DAEMON_TEST(a_hub_whose_queues_are_ours_is_left),
		DAEMON_TEST(a_hub_that_cannot_listen_leaves_nothing),
		DAEMON_TEST(what_is_not_there_to_be_set_is_named),
		DAEMON_TEST(pauses_are_short_for_a_hub_that_does_not_wait_long),
		DAEMON_TEST(a_leafs_queue_takes_what_the_hubs_takes),
		DAEMON_TEST(queues_are_made_for_whom_they_are_meant),
		DAEMON_TEST(it_takes_the_descriptors_it_may_have),
		DAEMON_TEST(a_wrong_prefix_is_told_with_what_is_allowed),
		DAEMON_TEST(lines_go_nowhere_but_to_standard_error),
	};

	return cmocka_run_group_tests_name("start", tests, NULL, NULL);
}
