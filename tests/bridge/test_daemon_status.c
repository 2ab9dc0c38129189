/* SPDX-License-Identifier: ISC */
#include <signal.h>
#include <sys/wait.h>

#include "daemons.h"
#include "sq.h"

/* What `sqctl bridge` and `sqctl stat` show of real daemons. */

#define NS_PER_S ((int64_t)1000000000)

static void make(const char *name)
{
	struct sq_config config = {.capacity = 64};

	assert_int_equal(sq_create(name, &config), 0);
}

static void start_hub(struct daemon_run *hub, const char *const *more)
{
	make(hub_queue("pq"));
	make(hub_queue("cq"));
	hub_start_with(hub, more);
}

/* What sqctl says, to both, and `code=N` behind it; to be freed. */
static char *said(const char *prefix, const char *words)
{
	char command[1000];

	(void)snprintf(command, sizeof(command), "SQ_PREFIX=%s %s %s 2>&1; echo code=$?", prefix,
		getenv("SQCTL"), words);
	return shell(command);
}

/* Until it says this, and with `also`, that as well. */
static void wait_said(const char *prefix, const char *words, const char *text, const char *also)
{
	for (int64_t end = clock_ms() + WAIT_S * 1000;; nap_ms(20)) {
		char *all = said(prefix, words);
		bool found = strstr(all, text) && (!also || strstr(all, also));

		if (!found && clock_ms() > end)
			fail_msg("sqctl %s: no \"%s\", \"%s\" in: %.600s", words, text,
				also ? also : "", all);
		free(all);
		if (found)
			return;
	}
}

static void expect_said(const char *prefix, const char *words, const char *text)
{
	char *all = said(prefix, words);

	if (!strstr(all, text))
		fail_msg("sqctl %s: no \"%s\" in: %.700s", words, text, all);
	free(all);
}

/* Of the hub's page, and of the leaf's: until it has this. */
static void wait_hub(const char *text)
{
	wait_said(hub_prefix, "bridge --json hub", text, NULL);
}

static void wait_leaf(const char *text)
{
	wait_said(leaf_prefix, "bridge --json leaf", text, NULL);
}

static void put(const char *name, const char *text)
{
	struct sq *q;

	assert_int_equal(sq_open(&q, name), 0);
	assert_int_equal(sq_put(q, text, strlen(text), WAIT_S * NS_PER_S), 0);
	sq_close(q);
}

/* A worker of the leaf's takes one task, and has it in hand. */
static struct sq *take(struct sq_lease *ret)
{
	struct sq *q;

	while (sq_open(&q, leaf_queue("pq")) < 0)
		nap_ms(5);
	assert_int_equal(sq_lease(q, ret, WAIT_S * NS_PER_S), 0);
	return q;
}

#define UP   "\"links\":[{\"peer\":\"farm1\",\"up\":true,"
#define DOWN "\"links\":[{\"peer\":\"farm1\",\"up\":false,"

/* Both run, the link is up, and a task is in hand at the leaf. */
static struct sq *start_both(struct daemon_run *hub, struct daemon_run *leaf, struct sq_lease *task,
	const char *const *more)
{
	struct sq *q;

	start_hub(hub, more);
	leaf_start_with(leaf, WORDS(NULL));
	put(hub_queue("pq"), "task");
	q = take(task);
	wait_hub(UP);
	wait_leaf(UP);
	return q;
}

/* A stream's fields, as far as they do not change by themselves. */
static const char *stream(const char *queue, const char *prefix, const char *direction, bool sends,
	unsigned in_flight, unsigned owed)
{
	static char text[400];

	(void)snprintf(text, sizeof(text),
		"{\"peer\":\"farm1\",\"queue\":\"%s\",\"local\":\"%s.%s\",\"direction\":\"%s\",\"sends\":%s,"
		"\"missing\":false,\"in_flight\":%u,\"owed\":%u,\"oldest_unsettled_ns\":",
		queue, prefix, queue, direction, sends ? "true" : "false", in_flight, owed);
	return text;
}

/* Until the number behind this is not 0. */
static void wait_older(const char *prefix, const char *text)
{
	for (int64_t end = clock_ms() + WAIT_S * 1000;; nap_ms(20)) {
		char *all = said(prefix, "bridge --json"), *at = strstr(all, text);
		bool older = at && at[strlen(text)] != '0';

		if (!older && clock_ms() > end)
			fail_msg("it is as old as nothing: %.600s", all);
		free(all);
		if (older)
			return;
	}
}

static void nobody_is_there(void **state)
{
	expect_said(hub_prefix, "bridge", "there is no bridge of this prefix");
	expect_said(hub_prefix, "bridge", "\ncode=1\n");
	expect_said(hub_prefix, "bridge hub", "no bridge ");
	expect_said(hub_prefix, "bridge hub", "\ncode=1\n");
	expect_said(hub_prefix, "bridge a b", "one name at a time");
	expect_said(hub_prefix, "bridge -a hub", "code=64\n");
	expect_said(hub_prefix, "bridge h/b", "code=64\n");
	expect_said(hub_prefix, "bridge --no", "code=64\n");
}

static void a_task_in_hand(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	struct sq_lease task;
	struct sq *pq;
	char text[500], *all;

	start_hub(&hub, WORDS(NULL));
	wait_hub("\"links\":[],\"streams\":[]}\ncode=0\n");
	expect_said(hub_prefix, "bridge", "hub: a hub, running for ");
	expect_said(hub_prefix, "bridge", "\n  no leaf has been there yet\n");
	leaf_start_with(&leaf, WORDS(NULL));
	put(hub_queue("pq"), "task");
	pq = take(&task);
	wait_hub(UP);
	wait_leaf(UP);

	/* It is in flight here, and owed there, and grows older. */
	wait_hub(stream("pq", hub_prefix, "pull", true, 1, 0));
	wait_leaf(stream("pq", leaf_prefix, "pull", false, 0, 1));
	wait_said(hub_prefix, "bridge", "\n  farm1  pq     pull          1 ", NULL);
	wait_older(hub_prefix, "\"in_flight\":1,\"owed\":0,\"oldest_unsettled_ns\":");
	wait_older(leaf_prefix, "\"in_flight\":0,\"owed\":1,\"oldest_unsettled_ns\":");
	/* The hub takes results: a window of them. */
	(void)snprintf(text, sizeof(text), "%s0,\"credit\":65536,\"credit_bytes\":16777216,",
		stream("cq", hub_prefix, "push", false, 0, 0));
	wait_hub(text);
	(void)snprintf(text, sizeof(text), "%s0,\"credit\":65536,\"credit_bytes\":16777216,",
		stream("cq", leaf_prefix, "push", true, 0, 0));
	wait_leaf(text);

	/* The queue's own page of numbers says who carries it. */
	(void)snprintf(text, sizeof(text),
		"\ncarried           bridge %s.hub, pull of farm1: up, 1 in flight (the oldest for ",
		hub_prefix);
	expect_said(hub_prefix, "stat pq", text);
	(void)snprintf(text, sizeof(text),
		"\ncarried           bridge %s.leaf, pull of farm1: up, 1 owed (the oldest for ",
		leaf_prefix);
	expect_said(leaf_prefix, "stat pq", text);
	(void)snprintf(text, sizeof(text),
		",\"bridges\":[{\"bridge\":\"%s.hub\",\"state\":\"running\",\"up\":true,\"reconnects\":0,\"peer\":\"farm1\","
		"\"queue\":\"pq\",",
		hub_prefix);
	expect_said(hub_prefix, "stat --json pq", text);
	expect_said(hub_prefix, "stat --json cq", "\"direction\":\"push\",\"sends\":false,");
	make(hub_queue("other"));
	expect_said(hub_prefix, "stat --json other", ",\"bridges\":[]}\n");
	all = said(hub_prefix, "stat other");
	assert_null(strstr(all, "carried"));
	free(all);

	/* Done: it is settled on both sides. */
	assert_int_equal(sq_ack(pq, &task), 0);
	sq_close(pq);
	put(leaf_queue("cq"), "result");
	wait_hub(stream("pq", hub_prefix, "pull", true, 0, 0));
	wait_hub("\"sent\":1,\"received\":0,\"settled\":1,\"redelivered\":0,\"returned\":0}");
	wait_hub("\"sent\":0,\"received\":1,\"settled\":0,\"redelivered\":0,\"returned\":0}");
	wait_leaf("\"sent\":0,\"received\":1,\"settled\":1,\"redelivered\":0,\"returned\":0}");
	wait_leaf("\"sent\":1,\"received\":0,\"settled\":1,\"redelivered\":0,\"returned\":0}");
	expect_said(leaf_prefix, "bridge", "leaf: a leaf of 127.0.0.1:");

	/* Nothing is under way: nothing is left to be shown. */
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
	expect_said(leaf_prefix, "bridge", "there is no bridge of this prefix");
	wait_hub(DOWN);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
	expect_said(hub_prefix, "bridge", "there is no bridge of this prefix");
}

/* Each line is JSON, and -a has those of other prefixes too. */
static void json_is_json(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	struct sq_lease task;
	struct sq *pq = start_both(&hub, &leaf, &task, WORDS(NULL));
	char command[700], *all;

	(void)snprintf(command, sizeof(command),
		"(SQ_PREFIX=%s %s bridge -a --json; SQ_PREFIX=%s %s stat --json pq cq) | python3 -c '\n"
		"import json, sys\n"
		"for line in sys.stdin:\n"
		"    print(json.loads(line)[\"name\"])'",
		hub_prefix, getenv("SQCTL"), hub_prefix, getenv("SQCTL"));
	all = shell(command);
	for (int i = 0; i < 4; i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "%s.%s\n", i == 1 ? leaf_prefix : hub_prefix,
			i == 0   ? "hub"
			: i == 1 ? "leaf"
			: i == 2 ? "pq"
				 : "cq");
		if (!strstr(all, name))
			fail_msg("no %s in %s", name, all);
	}
	free(all);
	/* By its whole name, from another prefix. */
	(void)snprintf(command, sizeof(command), "bridge --json %s.leaf", leaf_prefix);
	expect_said(hub_prefix, command,
		"\"role\":\"leaf\",\"state\":\"running\",\"hub\":\"127.0.0.1:");
	sq_close(pq);
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

static void a_hub_that_was_killed_and_comes_back(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	struct sq_lease task;
	struct sq *pq = start_both(&hub, &leaf, &task, WORDS(NULL));

	wait_hub(stream("pq", hub_prefix, "pull", true, 1, 0));
	wait_leaf("\"reconnects\":0,");
	assert_int_equal(daemon_stop(&hub, SIGKILL), -SIGKILL);
	/* What it had under way can be read still. */
	expect_said(hub_prefix, "bridge --json", "\"state\":\"killed\"");
	expect_said(hub_prefix, "bridge --json", stream("pq", hub_prefix, "pull", true, 1, 0));
	expect_said(hub_prefix, "bridge", "\ncode=1\n");
	expect_said(hub_prefix, "bridge", "hub: a hub, killed; ");
	expect_said(hub_prefix, "stat pq", "pull of farm1: killed ");
	expect_said(hub_prefix, "stat --json pq", "\"state\":\"killed\",");
	wait_leaf(DOWN);
	hub_start_with(&hub, WORDS(NULL));
	wait_leaf("\"reconnects\":1,");
	wait_leaf(UP);
	expect_said(leaf_prefix, "stat pq", " 0 redelivered, 1 reconnects\n");
	wait_hub(UP);
	expect_said(hub_prefix, "bridge --json", "\"state\":\"running\"");
	wait_hub(stream("pq", hub_prefix, "pull", true, 1, 0));
	assert_int_equal(sq_ack(pq, &task), 0);
	sq_close(pq);
	wait_hub(stream("pq", hub_prefix, "pull", true, 0, 0));
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

static void a_leaf_that_stays_away_is_given_up(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	struct sq_lease task;
	struct sq *pq = start_both(&hub, &leaf, &task, WORDS("--redeliver-after", "1s"));

	wait_hub(stream("pq", hub_prefix, "pull", true, 1, 0));
	assert_int_equal(daemon_stop(&leaf, SIGKILL), -SIGKILL);
	expect_said(leaf_prefix, "bridge --json", "\"state\":\"killed\"");
	wait_hub("\"settled\":0,\"redelivered\":1,\"returned\":0}");
	expect_said(hub_prefix, "bridge --json", DOWN);
	expect_said(hub_prefix, "bridge --json", stream("pq", hub_prefix, "pull", true, 0, 0));
	expect_said(hub_prefix, "stat pq", " 1 redelivered, 0 reconnects\n");
	sq_close(pq);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

/* It ends, and a leaf has a task: what was so stays to be seen, until it starts again. */
static void a_hub_that_stops_with_a_task_under_way(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	struct sq_lease task;
	struct sq *pq = start_both(&hub, &leaf, &task, WORDS(NULL));

	wait_hub(stream("pq", hub_prefix, "pull", true, 1, 0));
	assert_int_equal(daemon_stop(&leaf, SIGKILL), -SIGKILL);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
	expect_said(hub_prefix, "bridge --json", "\"state\":\"stopped\"");
	expect_said(hub_prefix, "bridge --json", stream("pq", hub_prefix, "pull", true, 1, 0));
	expect_said(hub_prefix, "bridge", "\ncode=1\n");
	hub_start_with(&hub, WORDS(NULL));
	wait_hub("\"state\":\"running\"");
	wait_hub(stream("pq", hub_prefix, "pull", true, 1, 0));
	expect_said(hub_prefix, "bridge --json", DOWN);
	sq_close(pq);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

static void a_daemon_that_is_stuck_is_silent(void **state)
{
	struct daemon_run hub = {0};

	start_hub(&hub, WORDS(NULL));
	wait_hub("\"state\":\"running\"");
	assert_int_equal(kill(hub.pid, SIGSTOP), 0);
	wait_said(hub_prefix, "bridge", "hub: a hub, silent; ", "\ncode=1\n");
	assert_int_equal(kill(hub.pid, SIGCONT), 0);
	wait_said(hub_prefix, "bridge", "hub: a hub, running for ", "\ncode=0\n");
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

static mode_t mode_of_page(void)
{
	char path[100];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/dev/shm/sqb.%s.hub.status", hub_prefix);
	return stat(path, &st) == 0 ? st.st_mode & 07777 : 0;
}

static void wait_mode(mode_t mode)
{
	for (int64_t end = clock_ms() + WAIT_S * 1000; mode_of_page() != mode; nap_ms(10))
		if (clock_ms() > end)
			fail_msg("the page's mode is %04o", mode_of_page());
}

static void open_queue(const char *queue, mode_t mode)
{
	char path[100];

	(void)snprintf(path, sizeof(path), "/dev/shm/sq.%s", hub_queue(queue));
	assert_int_equal(chmod(path, mode), 0);
}

/* A user that may read a queue may read which bridges carry it. */
static void those_who_share_a_queue_may_look(void **state)
{
	struct daemon_run hub = {0};

	start_hub(&hub, WORDS(NULL));
	wait_mode(0600);
	open_queue("cq", 0660);
	wait_mode(0640);
	open_queue("pq", 0666);
	wait_mode(0644);
	open_queue("pq", 0600);
	open_queue("cq", 0600);
	wait_mode(0600);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

static void a_queue_that_is_missing_is_told(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	struct sq_lease task;
	struct sq *pq = start_both(&hub, &leaf, &task, WORDS(NULL));

	assert_int_equal(sq_ack(pq, &task), 0);
	sq_close(pq);
	wait_hub(stream("pq", hub_prefix, "pull", true, 0, 0));
	assert_int_equal(sq_unlink(hub_queue("pq")), 0);
	wait_hub("\"direction\":\"pull\",\"sends\":true,\"missing\":true,");
	wait_said(hub_prefix, "bridge", "  no queue ", NULL);
	make(hub_queue("pq"));
	wait_hub(stream("pq", hub_prefix, "pull", true, 0, 0));
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

/* A page is not taken for a ledger, nor is a ledger of such a name taken for a page. */
static void a_leaf_may_be_called_status(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	struct sq_lease task;
	struct sq *pq;
	char address[32], path[200], *all;

	assert_int_equal(
		run_code("keygen.log", WORDS("keygen", "--peer", "status", "--keys", "hub.keys")),
		0);
	start_hub(&hub, WORDS(NULL));
	(void)snprintf(address, sizeof(address), "127.0.0.1:%s", hub_port);
	daemon_start(&leaf, leaf_prefix, "leaf.log",
		WORDS("leaf", address, "--key", "status.key", "--name", "status", "--pull", "pq",
			"--retry-max", "300ms"));
	put(hub_queue("pq"), "task");
	pq = take(&task);
	wait_hub("\"links\":[{\"peer\":\"status\",\"up\":true,");
	wait_said(leaf_prefix, "bridge --json status", "\"in_flight\":0,\"owed\":1,", NULL);
	wait_hub("\"in_flight\":1,\"owed\":0,");
	assert_int_equal(daemon_stop(&hub, SIGKILL), -SIGKILL);
	(void)snprintf(path, sizeof(path), "/dev/shm/sqb.%s.hub.status.pq.pull", hub_prefix);
	assert_int_equal(access(path, F_OK), 0);
	(void)snprintf(path, sizeof(path), "/dev/shm/sqb.%s.hub.status.new", hub_prefix);
	scratch_write(path, 0600, "half a page");
	hub_start_with(&hub, WORDS(NULL));
	/* Until then the page is the killed one's, and says the same. */
	for (int64_t end = clock_ms() + WAIT_S * 1000; access(path, F_OK) == 0; nap_ms(5))
		assert_true(clock_ms() < end);
	wait_hub("\"links\":[{\"peer\":\"status\",\"up\":true,");
	wait_hub("\"in_flight\":1,\"owed\":0,");
	assert_int_equal(count_lines(&hub, "event=ledger_"), 0);
	all = said(hub_prefix, "bridge --json");
	assert_null(strstr(strstr(all, "\n") + 1, "{")); /* one line only */
	free(all);
	assert_int_equal(sq_ack(pq, &task), 0);
	sq_close(pq);
	wait_hub("\"in_flight\":0,\"owed\":0,");
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

static void a_page_that_is_damaged(void **state)
{
	struct daemon_run hub = {0};
	char path[200];

	start_hub(&hub, WORDS(NULL));
	wait_hub("\"state\":\"running\"");
	assert_int_equal(daemon_stop(&hub, SIGKILL), -SIGKILL);
	(void)snprintf(path, sizeof(path), "/dev/shm/sqb.%s.hub.status", hub_prefix);
	assert_int_equal(truncate(path, 330), 0);
	expect_said(hub_prefix, "bridge", "hub: its status page is damaged\n");
	expect_said(hub_prefix, "bridge --json hub",
		"\"error\":\"its status page is damaged\"}\ncode=70\n");
	scratch_write(path, 0600, "something else of whoever it was");
	expect_said(hub_prefix, "bridge", "hub: its status page is of another version\ncode=70\n");
	expect_said(hub_prefix, "stat --json pq", ",\"bridges\":[]}\ncode=0\n");
	hub_start_with(&hub, WORDS(NULL));
	wait_hub("\"state\":\"running\"");

	/* And if it cannot be made, the work goes on without. */
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	hub_start_with(&hub, WORDS(NULL));
	free(expect_line(&hub, "event=status_failed error="));
	expect_said(hub_prefix, "bridge", "hub: its status page is of another version\ncode=70\n");
	assert_int_equal(rmdir(path), 0);
	wait_hub("\"state\":\"running\"");
	assert_int_equal(count_lines(&hub, "event=status_failed"), 1);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DAEMON_TEST(nobody_is_there),
		DAEMON_TEST(a_task_in_hand),
		DAEMON_TEST(json_is_json),
		DAEMON_TEST(a_hub_that_was_killed_and_comes_back),
		DAEMON_TEST(a_leaf_that_stays_away_is_given_up),
		DAEMON_TEST(a_hub_that_stops_with_a_task_under_way),
		DAEMON_TEST(a_daemon_that_is_stuck_is_silent),
		DAEMON_TEST(those_who_share_a_queue_may_look),
		DAEMON_TEST(a_queue_that_is_missing_is_told),
		DAEMON_TEST(a_leaf_may_be_called_status),
		DAEMON_TEST(a_page_that_is_damaged),
	};

	return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
