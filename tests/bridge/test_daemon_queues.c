/* SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "daemons.h"
#include "sq.h"

/* Queues that are removed, remade, or not carried any more; and what is left of them in /dev/shm. */

static void make(const char *name)
{
	struct sq_config config = {.capacity = 64};

	assert_int_equal(sq_create(name, &config), 0);
}

static char metrics_port[8];

static void start_both(struct daemon_run *hub, struct daemon_run *leaf)
{
	char *line;

	make(hub_queue("pq"));
	make(hub_queue("cq"));
	hub_start_with(hub, WORDS("--metrics", "127.0.0.1:0"));
	hub->seen = 0;
	line = expect_line(hub, "event=metrics");
	value_of(line, "port", metrics_port, sizeof(metrics_port));
	free(line);
	free(expect_line(hub, "event=listening"));
	leaf_start_with(leaf, WORDS(NULL));
	free(expect_line(leaf, "event=link_up"));
}

static void stop_both(struct daemon_run *hub, struct daemon_run *leaf)
{
	assert_int_equal(daemon_stop(leaf, SIGTERM), 0);
	assert_int_equal(daemon_stop(hub, SIGTERM), 0);
}

static void put(const char *name, const char *text)
{
	struct sq *q;

	assert_int_equal(sq_open(&q, name), 0);
	assert_int_equal(sq_put(q, text, strlen(text), (int64_t)WAIT_S * 1000000000), 0);
	sq_close(q);
}

static void stat_of(const char *name, struct sq_stat *ret)
{
	struct sq *q;

	assert_int_equal(sq_open(&q, name), 0);
	assert_int_equal(sq_stat(q, ret), 0);
	sq_close(q);
}

/* Until so many wait in the queue, and so many are leased there. */
static void wait_for(const char *name, uint64_t depth, uint64_t leased)
{
	struct sq_stat st;

	for (int64_t end = clock_ms() + WAIT_S * 1000;; nap_ms(5)) {
		stat_of(name, &st);
		if (st.depth == depth && st.leased == leased)
			return;
		if (clock_ms() > end)
			fail_msg("%s: %lu wait, %lu are leased", name, st.depth, st.leased);
	}
}

/* The hub's own numbers: until they have this sample. */
static void wait_sample(const char *sample)
{
	char *text;

	for (int64_t end = clock_ms() + WAIT_S * 1000;; nap_ms(20)) {
		bool found;

		text = ask(metrics_port, "GET /metrics HTTP/1.0\r\n\r\n");
		found = strstr(text, sample);
		free(text);
		if (found)
			return;
		if (clock_ms() > end)
			fail_msg("no sample \"%s\"", sample);
	}
}

/* A worker's look at the leaf's queue, so that a task comes; it is left there. */
static void ask_for_one(const char *name)
{
	struct sq_lease task;
	struct sq *q;

	while (sq_open(&q, name) < 0)
		nap_ms(5);
	assert_int_equal(sq_lease(q, &task, (int64_t)WAIT_S * 1000000000), 0);
	assert_int_equal(sq_nack(q, &task), 0);
	sq_close(q);
}

/* What the daemon's books say of the old queue says nothing about this one. */
static void what_others_put_into_a_remade_queue_stays(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	struct sq_stat st;
	char got[8];
	struct sq *pq;

	start_both(&hub, &leaf);
	put(hub_queue("pq"), "task");
	ask_for_one(leaf_queue("pq"));
	assert_int_equal(daemon_stop(&leaf, SIGKILL), -SIGKILL);
	assert_int_equal(sq_unlink(leaf_queue("pq")), 0);
	make(leaf_queue("pq"));
	put(leaf_queue("pq"), "mine");
	leaf_start_with(&leaf, WORDS(NULL));
	free(expect_line(&leaf, "event=link_up"));
	assert_int_equal(sq_open(&pq, leaf_queue("pq")), 0);
	assert_int_equal(sq_get(pq, got, sizeof(got), SQ_NOWAIT), 4);
	assert_memory_equal(got, "mine", 4);
	assert_int_equal(sq_get(pq, got, sizeof(got), (int64_t)WAIT_S * 1000000000), 4);
	assert_memory_equal(got, "task", 4);
	sq_close(pq);
	wait_for(hub_queue("pq"), 0, 0);
	stat_of(leaf_queue("pq"), &st);
	assert_int_equal(st.depth, 0);
	stop_both(&hub, &leaf);
}

/* Both run, and the hub shares xq, in which is a message, as a file says; there is another queue. */
static void share_xq(struct daemon_run *hub, struct daemon_run *leaf)
{
	make(hub_queue("pq"));
	make(hub_queue("cq"));
	make(hub_queue("xq"));
	make(hub_queue("other"));
	scratch_write("hub.conf", 0600, "share = xq:pull\n");
	hub_start_with(hub, WORDS("--config", "hub.conf"));
	leaf_start_with(leaf, WORDS("--pull", "xq"));
	put(hub_queue("xq"), "one");
}

/* What is in flight is of the queue that a share has here: so another one has to wait. */
static void a_reload_leaves_a_share_its_queue(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	struct sq *xq;
	char got[8];

	share_xq(&hub, &leaf);
	ask_for_one(leaf_queue("xq"));
	scratch_write("hub.conf", 0600, "share = xq=other:pull\n");
	assert_int_equal(kill(hub.pid, SIGHUP), 0);
	free(expect_line(&hub, "event=reload_ignored option=share queue=xq"));
	put(hub_queue("xq"), "two");
	assert_int_equal(sq_open(&xq, leaf_queue("xq")), 0);
	assert_int_equal(sq_get(xq, got, sizeof(got), (int64_t)WAIT_S * 1000000000), 3);
	assert_int_equal(sq_get(xq, got, sizeof(got), (int64_t)WAIT_S * 1000000000), 3);
	assert_memory_equal(got, "two", 3);
	sq_close(xq);
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
	wait_for(hub_queue("xq"), 0, 0);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
	assert_int_equal(count_lines(&hub, "event=queue_gone"), 0);
}

/* Taken out, and put in again with another queue: what was in flight of the old one is its again. */
static void a_share_that_comes_back_elsewhere_gives_back(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	struct sq_lease task;
	struct sq *xq;

	share_xq(&hub, &leaf);
	while (sq_open(&xq, leaf_queue("xq")) < 0)
		nap_ms(5);
	assert_int_equal(sq_lease(xq, &task, (int64_t)WAIT_S * 1000000000), 0);
	assert_int_equal(daemon_stop(&leaf, SIGKILL), -SIGKILL);
	wait_for(hub_queue("xq"), 0, 1);

	scratch_write("hub.conf", 0600, "");
	assert_int_equal(kill(hub.pid, SIGHUP), 0);
	free(expect_line(&hub, "event=reloaded"));
	scratch_write("hub.conf", 0600, "share = xq=other:pull\n");
	assert_int_equal(kill(hub.pid, SIGHUP), 0);
	free(expect_line(&hub, "event=ledger_moved"));
	wait_for(hub_queue("xq"), 1, 0);

	/* The leaf comes again, and has what the new one has. */
	assert_int_equal(sq_ack(xq, &task), 0);
	put(hub_queue("other"), "two");
	leaf_start_with(&leaf, WORDS("--pull", "xq"));
	assert_int_equal(sq_lease(xq, &task, (int64_t)WAIT_S * 1000000000), 0);
	assert_int_equal(task.len, 3);
	assert_memory_equal(task.data, "two", 3);
	assert_int_equal(sq_ack(xq, &task), 0);
	sq_close(xq);
	wait_for(hub_queue("other"), 0, 0);
	wait_for(hub_queue("xq"), 1, 0);
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

/* One task there, and its result back. */
static void one_goes_round(void)
{
	pid_t worker = worker_start(), producer = producer_start(0, 0, 64);

	collect(1, 64);
	assert_int_equal(waitpid(producer, NULL, 0), producer);
	worker_stop(worker);
	wait_for(hub_queue("pq"), 0, 0);
}

/*
 * A queue for results that the hub does not share, and that does not exist here, keeps no task
 * waiting.
 */
static void a_push_of_nothing_keeps_nothing_waiting(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};

	make(hub_queue("pq"));
	make(hub_queue("cq"));
	hub_start_with(&hub, WORDS(NULL));
	leaf_start_with(&leaf, WORDS("--push", "logs"));
	free(expect_line(&leaf, "event=stream_closed"));
	one_goes_round();
	stop_both(&hub, &leaf);
}

#define PQ "{peer=\"farm1\",queue=\"pq\",direction=\"pull\"} "
#define CQ "{peer=\"farm1\",queue=\"cq\",direction=\"push\"} "

static void a_queue_of_the_hub_may_be_remade_under_it(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};

	start_both(&hub, &leaf);
	one_goes_round();
	wait_sample("\nsqbridge_queue_missing" PQ "0\n");
	assert_int_equal(sq_unlink(hub_queue("pq")), 0);
	free(expect_line(&hub, "event=queue_gone peer=farm1 queue=pq direction=pull "
			       "detail=\"it was removed\""));
	free(expect_line(&leaf, "detail=\"no_queue: the queue was removed\""));
	free(expect_line(&leaf, "detail=\"no_queue: there is no such queue\""));
	wait_sample("\nsqbridge_queue_missing" PQ "1\n");
	wait_sample("\nsqbridge_queue_gone_total" PQ "1\n");
	make(hub_queue("pq"));
	free(expect_line(&hub, "event=stream_open peer=farm1 queue=pq"));
	wait_sample("\nsqbridge_queue_missing" PQ "0\n");
	one_goes_round();

	/* Made at once, so that there is always a queue. */
	assert_int_equal(sq_unlink(hub_queue("cq")), 0);
	make(hub_queue("cq"));
	free(expect_line(&hub, "event=queue_gone peer=farm1 queue=cq direction=push "
			       "detail=\"another one has its name\""));
	free(expect_line(&hub, "event=stream_open peer=farm1 queue=cq"));
	wait_sample("\nsqbridge_queue_gone_total" CQ "1\n");
	one_goes_round();
	assert_int_equal(count_lines(&hub, "event=link_down"), 0);
	stop_both(&hub, &leaf);
}

/* What was there is done anew: nobody else has it. */
static void a_queue_of_a_leaf_is_made_again(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};

	start_both(&hub, &leaf);
	one_goes_round();
	put(hub_queue("pq"), "a task of its own length, which is more than a small one's: 64..");
	ask_for_one(leaf_queue("pq"));
	wait_for(hub_queue("pq"), 0, 1);
	free(expect_line(&leaf, "event=queue_made"));
	free(expect_line(&leaf, "event=queue_made"));
	assert_int_equal(sq_unlink(leaf_queue("pq")), 0);
	assert_int_equal(sq_unlink(leaf_queue("cq")), 0);
	free(expect_line(&leaf, "event=queue_gone"));
	free(expect_line(&leaf, "event=queue_gone"));
	free(expect_line(&leaf, "event=queue_made"));
	free(expect_line(&leaf, "event=queue_made"));
	wait_for(hub_queue("pq"), 1, 0);
	ask_for_one(leaf_queue("pq"));
	wait_for(hub_queue("pq"), 0, 1);
	assert_int_equal(count_lines(&leaf, "event=link_down"), 0);
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
	wait_for(hub_queue("pq"), 1, 0);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

static bool there(const char *file)
{
	char path[300];

	(void)snprintf(path, sizeof(path), "/dev/shm/%s", file);
	return access(path, F_OK) == 0;
}

/* The hub's ledger of farm1's pull of pq. */
static const char *hub_ledger(void)
{
	static char name[200];

	(void)snprintf(name, sizeof(name), "sqb.%s.hub.farm1.pq.pull", hub_prefix);
	return name;
}

static void hub_restart(struct daemon_run *hub, const char *const *words)
{
	char *line;

	daemon_start(hub, hub_prefix, "hub.log", words);
	line = expect_line(hub, "event=listening");
	value_of(line, "port", hub_port, sizeof(hub_port));
	free(line);
}

/* The leaf has a task, and both are killed. */
static void leave_a_task_there(struct daemon_run *hub, struct daemon_run *leaf)
{
	start_both(hub, leaf);
	put(hub_queue("pq"), "task");
	ask_for_one(leaf_queue("pq"));
	wait_for(hub_queue("pq"), 0, 1);
	assert_int_equal(daemon_stop(leaf, SIGKILL), -SIGKILL);
	assert_int_equal(daemon_stop(hub, SIGKILL), -SIGKILL);
	assert_true(there(hub_ledger()));
}

/* Until the hub has taken its name, which is just before its address. */
static void wait_locked(void)
{
	char path[300];
	struct flock all;
	int fd;

	(void)snprintf(path, sizeof(path), "/dev/shm/sqb.%s.hub", hub_prefix);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	for (int64_t end = clock_ms() + WAIT_S * 1000;; nap_ms(5)) {
		all = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
		assert_int_equal(fcntl(fd, F_OFD_GETLK, &all), 0);
		if (all.l_type != F_UNLCK)
			break;
		assert_true(clock_ms() < end);
	}
	(void)close(fd);
}

/*
 * While a restarted hub waits for its address no leaf can come: that does not count as staying
 * away.
 */
static void being_away_begins_when_they_can_come(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
	struct daemon_run hub = {0}, leaf = {0};
	char address[32], *line;
	long listened;

	leave_a_task_there(&hub, &leaf);
	at.sin_port = htons((uint16_t)atoi(hub_port));
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)), 0);
	for (int64_t end = clock_ms() + WAIT_S * 1000;
		bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 1) < 0; nap_ms(5))
		assert_true(clock_ms() < end);
	(void)snprintf(address, sizeof(address), "127.0.0.1:%s", hub_port);
	daemon_start(&hub, hub_prefix, "hub.log",
		WORDS("hub", "--listen", address, "--keys", "hub.keys", "--share", "pq:pull",
			"--redeliver-after", "500ms"));
	wait_locked();
	nap_ms(700);
	(void)close(fd);
	line = expect_line(&hub, "event=listening");
	listened = moment_of(line);
	free(line);
	line = expect_line(&hub, "event=given_up peer=farm1");
	assert_true(ms_between(listened, moment_of(line)) >= 490);
	free(line);
	wait_for(hub_queue("pq"), 1, 0);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

static void what_is_not_shared_any_more_is_given_back(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	char debris[300], others[300];

	leave_a_task_there(&hub, &leaf);
	(void)snprintf(debris, sizeof(debris), "/dev/shm/%s.0123456789abcdef", hub_ledger());
	scratch_write(debris, 0600, "half a ledger");
	(void)snprintf(others, sizeof(others), "/dev/shm/sqb.%s.hub2.farm1.pq.pull", hub_prefix);
	scratch_write(others, 0600, "another daemon's");
	hub_restart(&hub, WORDS("hub", "--listen", "127.0.0.1:0", "--keys", "hub.keys", "--share",
				  "cq:push"));
	assert_int_equal(count_lines(&hub, "event=ledger_removed"), 1);
	assert_int_equal(count_lines(&hub, "farm1.pq.pull given_back=1"), 1);
	wait_for(hub_queue("pq"), 1, 0);
	assert_false(there(hub_ledger()));
	assert_int_not_equal(access(debris, F_OK), 0);
	assert_int_equal(access(others, F_OK), 0);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

static void what_a_leaf_without_a_key_had_is_given_back(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};

	leave_a_task_there(&hub, &leaf);
	scratch_write("hub.keys", 0600, "farm2:00112233445566778899aabbccddeeff\n");
	hub_start_with(&hub, WORDS(NULL));
	assert_int_equal(count_lines(&hub, "farm1.pq.pull given_back=1"), 1);
	wait_for(hub_queue("pq"), 1, 0);
	assert_false(there(hub_ledger()));
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

/* It is connected, and so it is not away. */
static void what_a_leaf_does_not_carry_any_more_goes_to_others(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	char address[32];

	leave_a_task_there(&hub, &leaf);
	/* For so long the leaf may take until it is there. */
	hub_start_with(&hub, WORDS("--redeliver-after", "10s"));
	(void)snprintf(address, sizeof(address), "127.0.0.1:%s", hub_port);
	daemon_start(&leaf, leaf_prefix, "leaf.log",
		WORDS("leaf", address, "--key", "farm1.key", "--push", "cq"));
	free(expect_line(&leaf, "leaf.pq.pull given_back="));
	free(expect_line(&leaf, "event=link_up"));
	free(expect_line(&hub, "event=given_up peer=farm1 queue=pq"));
	wait_for(hub_queue("pq"), 1, 0);
	/* Here it stays, for whoever works here. */
	wait_for(leaf_queue("pq"), 1, 0);
	assert_int_equal(count_lines(&leaf, "event=link_down"), 0);
	stop_both(&hub, &leaf);
}

/* A leaf's results, more of them than the hub has room for, and it is killed. */
static void leave_results_there(struct daemon_run *hub, struct daemon_run *leaf)
{
	start_both(hub, leaf);
	while (count_lines(leaf, "event=queue_made") < 2)
		nap_ms(5);
	for (int i = 0; i < 70; i++)
		put(leaf_queue("cq"), "result");
	wait_for(leaf_queue("cq"), 0, 6);
	assert_int_equal(daemon_stop(leaf, SIGKILL), -SIGKILL);
	assert_int_equal(daemon_stop(hub, SIGKILL), -SIGKILL);
}

static void what_is_not_pushed_any_more_stays(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};

	leave_results_there(&hub, &leaf);
	daemon_start(&leaf, leaf_prefix, "leaf.log",
		WORDS("leaf", "127.0.0.1:1", "--key", "farm1.key", "--pull", "pq"));
	free(expect_line(&leaf, "leaf.cq.push given_back=6"));
	wait_for(leaf_queue("cq"), 6, 0);
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
}

static void a_queue_that_has_another_name_here_now_is_let_go(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	char push[100];

	leave_results_there(&hub, &leaf);
	(void)snprintf(push, sizeof(push), "cq=%s.other", leaf_prefix);
	daemon_start(&leaf, leaf_prefix, "leaf.log",
		WORDS("leaf", "127.0.0.1:1", "--key", "farm1.key", "--pull", "pq", "--push", push));
	free(expect_line(&leaf, "event=ledger_moved"));
	wait_for(leaf_queue("cq"), 6, 0);
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DAEMON_TEST(a_queue_of_the_hub_may_be_remade_under_it),
		DAEMON_TEST(a_queue_of_a_leaf_is_made_again),
		DAEMON_TEST(being_away_begins_when_they_can_come),
		DAEMON_TEST(what_is_not_shared_any_more_is_given_back),
		DAEMON_TEST(what_a_leaf_without_a_key_had_is_given_back),
		DAEMON_TEST(what_a_leaf_does_not_carry_any_more_goes_to_others),
		DAEMON_TEST(what_is_not_pushed_any_more_stays),
		DAEMON_TEST(a_queue_that_has_another_name_here_now_is_let_go),
		DAEMON_TEST(what_others_put_into_a_remade_queue_stays),
		DAEMON_TEST(a_reload_leaves_a_share_its_queue),
		DAEMON_TEST(a_share_that_comes_back_elsewhere_gives_back),
		DAEMON_TEST(a_push_of_nothing_keeps_nothing_waiting),
	};

	return cmocka_run_group_tests_name("queues", tests, NULL, NULL);
}
