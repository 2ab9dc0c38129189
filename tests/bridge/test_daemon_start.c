/* SPDX-License-Identifier: ISC */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

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

static void denied(int error, const char *says)
{
	struct daemon_run run = {0};

	run.before = deny_io_uring;
	run.before_arg = error;
	daemon_start(&run, hub_prefix, "denied.log", WORDS(HUB_WORDS));
	assert_int_equal(daemon_code(&run), 69);
	assert_int_equal(count_lines(&run, "\n"), 1);
	assert_int_equal(count_lines(&run, says), 1);
	assert_int_equal(remove("denied.log"), 0);
}

static void without_io_uring_it_says_why_and_what_to_do(void **state)
{
	denied(EPERM, "sqbridge: io_uring: a seccomp filter denies io_uring. Docker's default");
	denied(ENOSYS, "sqbridge: io_uring: there is no io_uring here");
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
	checked(hub, 64, "hub.keys: No such file or directory");
	scratch_write("hub.keys", 0600, "farm1:00\n");
	checked(hub, 64, "hub.keys: line 1: a key is 16 to 64 bytes");
	scratch_write("farm1.key", 0600, "# nothing\n");
	checked(leaf, 64, "farm1.key: there is no key in it");
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

	/* Its ledger is in another's hands, as that of a daemon that is not quite dead. */
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
	assert_int_equal(count_lines(&hub, "\n"), 1);
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
		DAEMON_TEST(without_io_uring_it_says_why_and_what_to_do),
		DAEMON_TEST(a_check_reads_the_keys_too),
		DAEMON_TEST(what_is_no_queue_is_named_with_the_remedy),
		DAEMON_TEST(queues_are_made_for_whom_they_are_meant),
		DAEMON_TEST(it_takes_the_descriptors_it_may_have),
		DAEMON_TEST(a_wrong_prefix_is_told_with_what_is_allowed),
		DAEMON_TEST(lines_go_nowhere_but_to_standard_error),
	};

	return cmocka_run_group_tests_name("start", tests, NULL, NULL);
}
