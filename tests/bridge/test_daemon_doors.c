/* SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "daemons.h"
#include "sq.h"

/*
 * Which peers are let in, which are not, and what is logged and counted of it; while the work goes
 * on.
 */

static void make_queues(void)
{
	assert_int_equal(sq_create(hub_queue("pq"), NULL), 0);
	assert_int_equal(sq_create(hub_queue("cq"), NULL), 0);
}

/* The work goes on: a hundred tasks. */
static void work_goes_on(void)
{
	pid_t worker = worker_start(), producer = producer_start(0, 99, 64);

	collect(100, 64);
	assert_int_equal(waitpid(producer, NULL, 0), producer);
	worker_stop(worker);
}

static void leave(struct daemon_run *hub, struct daemon_run *leaf)
{
	if (leaf)
		assert_int_equal(daemon_stop(leaf, SIGTERM), 0);
	assert_int_equal(daemon_stop(hub, SIGTERM), 0);
}

/* The hexadecimal key of farm1. */
static char *key(void)
{
	char *text = scratch_read("farm1.key"), *at = strstr(text, "farm1:");

	assert_non_null(at);
	at += strlen("farm1:");
	at[strspn(at, "0123456789abcdef")] = '\0';
	memmove(text, at, strlen(at) + 1);
	return text;
}

static char *s_client(const char *options)
{
	char command[1024];

	(void)snprintf(command, sizeof(command),
		"timeout 20 openssl s_client -connect 127.0.0.1:%s %s </dev/null 2>&1", hub_port,
		options);
	return shell(command);
}

static void a_wrong_key_is_told_so_once(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};

	make_queues();
	hub_start_with(&hub, WORDS(NULL));
	assert_int_equal(rename("farm1.key", "right.key"), 0);
	scratch_write("farm1.key", 0600,
		"farm1:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n");
	leaf_start_with(&leaf, WORDS(NULL));
	assert_int_equal(daemon_code(&leaf), 77);
	assert_int_equal(count_lines(&leaf, "\n"), 1 + count_lines(&leaf, "event=loop_poll"));
	assert_int_equal(count_lines(&leaf, "level=error event=not_connected"), 1);
	free(expect_line(&hub, "event=refused reason=\"wrong key\""));

	/* An unknown identity is answered in the same way. */
	scratch_write("farm1.key", 0600, "stranger:00112233445566778899aabbccddeeff\n");
	leaf_start_with(&leaf, WORDS(NULL));
	assert_int_equal(daemon_code(&leaf), 77);
	free(expect_line(&hub, "reason=\"unknown identity\""));
	assert_int_equal(rename("right.key", "farm1.key"), 0);
	leaf_start_with(&leaf, WORDS(NULL));
	work_goes_on();
	leave(&hub, &leaf);
}

static void a_key_that_others_can_read_is_refused(void **state)
{
	struct daemon_run leaf = {0};

	assert_int_equal(chmod("hub.keys", 0640), 0);
	assert_int_equal(run_code("hub.log", WORDS("hub", "--listen", "127.0.0.1:0", "--keys",
						     "hub.keys", "--share", "pq:pull")),
		77);
	assert_int_equal(chmod("hub.keys", 0600), 0);
	assert_int_equal(chmod("farm1.key", 0604), 0);
	(void)strcpy(hub_port, "1"); /* no key is asked for */
	leaf_start_with(&leaf, WORDS(NULL));
	assert_int_equal(daemon_code(&leaf), 77);
	assert_int_equal(count_lines(&leaf, "\n"), 1);
	assert_int_equal(count_lines(&leaf, "farm1.key: has mode 0604"), 1);
}

static void others_that_knock_are_named_and_turned_away(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	char *text;

	make_queues();
	hub_start_with(&hub, WORDS("--handshake-timeout", "300ms"));
	leaf_start_with(&leaf, WORDS(NULL));
	free(ask(hub_port, "GET / HTTP/1.0\r\n\r\n"));
	text = expect_line(&hub, "event=refused");
	assert_non_null(strstr(text, "reason=\"it does not speak TLS\" from=127.0.0.1:"));
	free(text);

	free(s_client(""));
	free(expect_line(&hub, "reason=\"it offered no key\""));

	free(s_client("-tls1_3 -psk_identity farm1 -psk 00112233445566778899aabbccddeeff"));
	free(expect_line(&hub, "reason=\"wrong key\""));

	text = ask(hub_port, ""); /* sends nothing, until the hub closes it */
	assert_int_equal(strlen(text), 0);
	free(text);
	free(expect_line(&hub, "event=refused reason=timeout"));
	work_goes_on();
	leave(&hub, &leaf);
}

static void the_handshake_is_a_standards(void **state)
{
	struct daemon_run hub = {0};
	char options[256], *hex = key(), *text;

	make_queues();
	hub_start_with(&hub, WORDS(NULL));
	(void)snprintf(options, sizeof(options), "-tls1_3 -psk_identity farm1 -psk %s", hex);
	text = s_client(options);
	assert_non_null(strstr(text, "TLSv1.3"));
	assert_non_null(strstr(text, "TLS_AES_128_GCM_SHA256"));
	free(text);
	free(hex);
	free(expect_line(&hub, "event=link_up peer=farm1"));
	free(expect_line(&hub, "event=link_down peer=farm1"));
	leave(&hub, NULL);
}

static void many_that_never_speak_keep_nobody_out(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	int fds[200];

	make_queues();
	hub_start_with(&hub, WORDS("--unauthenticated-max", "8", "--connections-max", "16"));
	for (int i = 0; i < 200; i++)
		fds[i] = dial(hub_port);
	free(expect_line(&hub, "event=refused reason=crowded"));
	leaf_start_with(&leaf, WORDS(NULL));
	work_goes_on();
	for (int i = 0; i < 200; i++)
		(void)close(fds[i]);
	leave(&hub, &leaf);
}

static void a_name_is_taken_once(void **state)
{
	struct daemon_run hub = {0};

	make_queues();
	hub_start_with(&hub, WORDS(NULL));
	assert_int_equal(run_code("second.log", WORDS("hub", "--listen", "127.0.0.1:0", "--keys",
							"hub.keys", "--share", "pq:pull")),
		75);
	hub.log = "second.log";
	assert_int_equal(count_lines(&hub, "another daemon of this name"), 1);
	hub.log = "hub.log";
	leave(&hub, NULL);
}

static void a_reload_revokes(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	struct sq_lease task;
	struct sq_stat st;
	struct sq *pq, *hubs;
	pid_t producer;

	make_queues();
	hub_start_with(&hub, WORDS("--redeliver-after", "1h"));
	leaf_start_with(&leaf, WORDS(NULL));
	producer = producer_start(0, 0, 64);
	assert_int_equal(waitpid(producer, NULL, 0), producer);
	while (sq_open(&pq, leaf_queue("pq")) < 0)
		nap_ms(5);
	assert_int_equal(sq_lease(pq, &task, (int64_t)WAIT_S * 1000000000), 0);

	/* A key file that is wrong changes nothing. */
	assert_int_equal(rename("hub.keys", "old.keys"), 0);
	scratch_write("hub.keys", 0600, "what is this?\n");
	assert_int_equal(kill(hub.pid, SIGHUP), 0);
	free(expect_line(&hub, "event=reload_failed"));
	assert_int_equal(count_lines(&hub, "event=link_down"), 0);

	scratch_write("hub.keys", 0600, "farm2:00112233445566778899aabbccddeeff\n");
	assert_int_equal(kill(hub.pid, SIGHUP), 0);
	free(expect_line(&hub, "event=revoked peer=farm1"));
	free(expect_line(
		&leaf, "event=peer_error peer=farm1 detail=\"denied: the key was revoked\""));
	free(expect_line(&hub, "event=link_down peer=farm1"));
	free(expect_line(&hub, "event=refused reason=\"unknown identity\""));
	/* It does not come back, so others have its task at once. */
	assert_int_equal(sq_open(&hubs, hub_queue("pq")), 0);
	for (int64_t end = clock_ms() + WAIT_S * 1000;; nap_ms(5)) {
		assert_int_equal(sq_stat(hubs, &st), 0);
		if (st.leased == 0 && st.depth == 1)
			break;
		assert_true(clock_ms() < end);
	}
	/* The leaf is alive, and does not try to connect all the time. */
	nap_ms(1000);
	assert_int_equal(waitpid(leaf.pid, NULL, WNOHANG), 0);
	assert_int_equal(count_lines(&hub, "event=refused"), 1);
	sq_close(pq);
	sq_close(hubs);
	leave(&hub, &leaf);
}

/* The test is the leaf's hub, through which the bytes go, and can hold them back. */
static int stand_between(struct daemon_run *leaf, int *ret_leaf)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), hub = dial(hub_port);
	char port[sizeof(hub_port)];
	socklen_t len = sizeof(at);

	assert_int_equal(bind(door, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(door, 1), 0);
	assert_int_equal(getsockname(door, (struct sockaddr *)&at, &len), 0);
	(void)strcpy(port, hub_port);
	(void)snprintf(hub_port, sizeof(hub_port), "%u", ntohs(at.sin_port));
	leaf_start_with(leaf, WORDS("--handshake-timeout", "1m"));
	(void)strcpy(hub_port, port);
	*ret_leaf = accept(door, NULL, NULL);
	assert_true(*ret_leaf >= 0);
	(void)close(door);
	return hub;
}

/* What comes first. */
static size_t hear(int fd, char *buf, size_t cap)
{
	ssize_t n = recv(fd, buf, cap, 0);

	assert_true(n > 0);
	return (size_t)n;
}

/*
 * A client that was asked to prove a key before that key was revoked is refused when it proves it.
 */
static void a_reload_revokes_a_key_that_is_being_proved(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};
	char said[4096], answer[4096];
	int to_hub, to_leaf;
	size_t n;

	make_queues();
	hub_start_with(&hub, WORDS("--handshake-timeout", "1m"));
	to_hub = stand_between(&leaf, &to_leaf);
	n = hear(to_leaf, said, sizeof(said));
	assert_int_equal(send(to_hub, said, n, MSG_NOSIGNAL), (ssize_t)n);
	n = hear(to_hub, answer, sizeof(answer));
	scratch_write("hub.keys", 0600, "");
	assert_int_equal(kill(hub.pid, SIGHUP), 0);
	free(expect_line(&hub, "event=reloaded keys=hub.keys count=0"));
	assert_int_equal(send(to_leaf, answer, n, MSG_NOSIGNAL), (ssize_t)n);
	n = hear(to_leaf, said, sizeof(said));
	(void)send(to_hub, said, n, MSG_NOSIGNAL); /* if it is still there */
	free(expect_line(&hub, "event=refused reason=revoked from=127.0.0.1:"));
	assert_int_equal(count_lines(&hub, "event=link_up"), 0);
	assert_int_equal(daemon_stop(&leaf, SIGKILL), -SIGKILL);
	(void)close(to_leaf);
	(void)close(to_hub);
	leave(&hub, NULL);
}

/* A bare identity means the first of its keys: of the file as it was then. */
static void a_reload_revokes_whoever_named_no_key(void **state)
{
	struct daemon_run hub = {0};
	char command[512], *hex = key();

	make_queues();
	hub_start_with(&hub, WORDS("--heartbeat", "1h"));
	(void)snprintf(command, sizeof(command),
		"timeout %d openssl s_client -connect 127.0.0.1:%s -tls1_3 -psk_identity farm1 "
		"-psk %s -quiet -ign_eof </dev/null >/dev/null 2>&1 &",
		WAIT_S, hub_port, hex);
	free(shell(command));
	free(hex);
	free(expect_line(&hub, "event=link_up peer=farm1"));
	assert_int_equal(
		run_code("keygen.log", WORDS("keygen", "--peer", "farm1", "--keys", "hub.keys",
					       "--rotate", "--out", "new.key")),
		0);
	assert_int_equal(kill(hub.pid, SIGHUP), 0);
	free(expect_line(&hub, "event=reloaded keys=hub.keys count=2"));
	assert_int_equal(count_lines(&hub, "event=revoked"), 0);
	assert_int_equal(run_code("keygen.log", WORDS("keygen", "--peer", "farm1", "--keys",
							"hub.keys", "--drop-old")),
		0);
	assert_int_equal(kill(hub.pid, SIGHUP), 0);
	free(expect_line(&hub, "event=reloaded keys=hub.keys count=1"));
	free(expect_line(&hub, "event=revoked peer=farm1"));
	free(expect_line(&hub, "event=link_down peer=farm1"));
	leave(&hub, NULL);
}

/* As the guide says: its line is taken out, and there is no other. */
static void a_reload_revokes_the_last_leaf(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};

	make_queues();
	hub_start_with(&hub, WORDS(NULL));
	leaf_start_with(&leaf, WORDS(NULL));
	free(expect_line(&hub, "event=link_up"));
	free(shell("sed -i '/^farm1:/d' hub.keys"));
	assert_int_equal(kill(hub.pid, SIGHUP), 0);
	free(expect_line(&hub, "event=reloaded keys=hub.keys count=0"));
	free(expect_line(&hub, "event=revoked peer=farm1"));
	free(expect_line(&hub, "event=refused reason=\"unknown identity\""));
	leave(&hub, &leaf);
}

static void a_reload_tells_what_it_changes(void **state)
{
	struct daemon_run hub = {0}, leaf = {0}, all = {.log = "hub.log"};
	struct sq_lease task;
	struct sq *pq;
	pid_t producer;

	make_queues();
	scratch_write("hub.conf", 0600, "heartbeat = 5s\n");
	scratch_write("leaf.conf", 0600, "drain_timeout = 1h\n");
	hub_start_with(&hub, WORDS("--config", "hub.conf"));
	leaf_start_with(&leaf, WORDS("--config", "leaf.conf"));
	assert_int_equal(kill(hub.pid, SIGHUP), 0);
	free(expect_line(&hub, "event=reloaded keys=hub.keys count=1\n"));
	scratch_write("hub.conf", 0600,
		"heartbeat = 6s\nlog_level = debug\nmetrics = 127.0.0.1:0\n"
		"share = xq:pull\nallow = *:pq:pull\nallow = *:cq:push\n");
	assert_int_equal(kill(hub.pid, SIGHUP), 0);
	free(expect_line(&hub, "event=reload_ignored option=heartbeat"));
	free(expect_line(&hub, "event=reload_ignored option=metrics"));
	free(expect_line(
		&hub, "event=reloaded keys=hub.keys count=1 changed=share,allow,log-level\n"));
	assert_int_equal(count_lines(&hub, "event=reload_ignored"), 2);
	assert_int_equal(count_lines(&hub, "event=link_down"), 0);

	/* What was allowed, and is no more, ends the connection; the next one has the rest. */
	free(expect_line(&leaf, "event=link_up"));
	free(expect_line(&all, "event=stream_open peer=farm1 queue=cq"));
	scratch_write("hub.conf", 0600, "share = xq:pull\nallow = *:pq:pull\n");
	assert_int_equal(kill(hub.pid, SIGHUP), 0);
	free(expect_line(&hub, "event=reloaded keys=hub.keys count=1 changed=allow,log-level\n"));
	free(expect_line(&hub, "event=revoked peer=farm1 detail=\"what this key may do was"));
	free(expect_line(&leaf, "event=link_up"));
	free(expect_line(&hub, "event=denied peer=farm1 queue=cq direction=push"));

	/* It holds from now on: no leaf waits for this task. */
	producer = producer_start(0, 0, 64);
	assert_int_equal(waitpid(producer, NULL, 0), producer);
	while (sq_open(&pq, leaf_queue("pq")) < 0)
		nap_ms(5);
	assert_int_equal(sq_lease(pq, &task, (int64_t)WAIT_S * 1000000000), 0);
	scratch_write("leaf.conf", 0600, "drain_timeout = 0\npull = xq\nwindow = 16\n");
	assert_int_equal(kill(leaf.pid, SIGHUP), 0);
	free(expect_line(&leaf, "event=reload_ignored option=pull"));
	free(expect_line(&leaf, "event=reload_ignored option=window"));
	free(expect_line(&leaf, "event=reloaded keys=farm1.key count=1 changed=drain-timeout\n"));
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
	assert_int_equal(count_lines(&leaf, "event=drain_timeout"), 1);
	sq_close(pq);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

/* It has the other one, and goes on. */
static void what_is_not_allowed_is_denied(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};

	make_queues();
	hub_start_with(&hub, WORDS("--allow", "farm1:pq:pull", "--allow", "farm2:cq:push"));
	leaf_start_with(&leaf, WORDS(NULL));
	free(expect_line(&hub, "event=denied peer=farm1 queue=cq direction=push"));
	free(expect_line(&leaf, "detail=\"denied: this key may not do this with this queue\""));
	/* It is asked for again. */
	free(expect_line(&hub, "event=denied peer=farm1 queue=cq direction=push"));
	leave(&hub, &leaf);
	assert_int_equal(count_lines(&leaf, "event=all_denied"), 0);
}

/* A leaf of these words, as well as the usual ones: it is denied all that it asks for, and told so once. */
static void all_denied(struct daemon_run *hub, const char *const *words, const char *hub_says)
{
	struct daemon_run leaf = {0};
	char address[32];
	const char *all[16] = {"leaf", address, "--key", "farm1.key"};
	unsigned n = 4;

	(void)snprintf(address, sizeof(address), "127.0.0.1:%s", hub_port);
	for (; *words; words++)
		all[n++] = *words;
	daemon_start(&leaf, leaf_prefix, "leaf.log", all);
	assert_int_equal(daemon_code(&leaf), 77);
	free(expect_line(hub, hub_says));
	free(expect_line(hub, "event=link_down peer=farm1"));
	assert_int_equal(count_lines(&leaf, "level=error"), 1);
	assert_int_equal(count_lines(&leaf, "level=error event=all_denied peer=farm1 detail="), 1);
	assert_int_equal(count_lines(&leaf, "event=link_up"), 1);
	assert_int_equal(remove("leaf.log"), 0);
}

static void a_key_to_which_nothing_is_open_is_told_so_once(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};

	make_queues();
	hub_start_with(&hub, WORDS("--allow", "farm2:pq:pull", "--allow", "farm1:cq:push"));
	all_denied(&hub, WORDS("--pull", "pq"),
		"level=warning event=denied peer=farm1 queue=pq direction=pull "
		"detail=\"this key may not do this with this queue\"");
	/* What is shared with nobody, or the other way round only, is not for this key either. */
	all_denied(&hub, WORDS("--pull", "xq"),
		"level=warning event=denied peer=farm1 queue=xq direction=pull "
		"detail=\"this queue is not shared in this direction\"");
	all_denied(&hub, WORDS("--push", "pq", "--pull", "cq"),
		"event=denied peer=farm1 queue=cq direction=pull "
		"detail=\"this queue is not shared in this direction\"");
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
	hub_start_with(&hub, WORDS(NULL));
	/* One of three is not shared: the others go on. */
	leaf_start_with(&leaf, WORDS("--pull", "xq"));
	free(expect_line(&hub, "event=denied peer=farm1 queue=xq direction=pull"));
	free(expect_line(&leaf, "detail=\"denied: this queue is not shared in this direction\""));
	work_goes_on();
	leave(&hub, &leaf);
}

/* That is no matter of the key: the queue will be made. */
static void a_queue_that_is_not_there_yet_is_waited_for(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};

	hub_start_with(&hub, WORDS(NULL));
	leaf_start_with(&leaf, WORDS(NULL));
	free(expect_line(&leaf, "detail=\"no_queue: there is no such queue\""));
	free(expect_line(&leaf, "detail=\"no_queue: there is no such queue\""));
	make_queues();
	work_goes_on();
	leave(&hub, &leaf);
}

/* It had its queues, so it goes on: access may be given back. */
static void a_leaf_that_had_its_queues_keeps_asking(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};

	make_queues();
	scratch_write("hub.conf", 0600, "allow = *:pq:pull\nallow = *:cq:push\n");
	hub_start_with(&hub, WORDS("--config", "hub.conf"));
	leaf_start_with(&leaf, WORDS(NULL));
	work_goes_on();
	scratch_write("hub.conf", 0600, "allow = farm2:pq:pull\n");
	assert_int_equal(kill(hub.pid, SIGHUP), 0);
	free(expect_line(&hub, "event=revoked peer=farm1"));
	for (unsigned i = 0; i < 4; i++)
		free(expect_line(&hub, "event=denied peer=farm1"));
	scratch_write("hub.conf", 0600, "allow = *:pq:pull\nallow = *:cq:push\n");
	assert_int_equal(kill(hub.pid, SIGHUP), 0);
	free(expect_line(&hub, "event=reloaded"));
	work_goes_on();
	leave(&hub, &leaf);
	assert_int_equal(count_lines(&leaf, "event=all_denied"), 0);
}

static void the_newer_of_two_with_one_key_stays(void **state)
{
	struct daemon_run hub = {0}, leaf = {0}, other = {0};

	make_queues();
	hub_start_with(&hub, WORDS(NULL));
	leaf_start_with(&leaf, WORDS(NULL));
	free(expect_line(&leaf, "event=link_up"));
	leaf_start_with(&other, WORDS("--name", "other"));
	free(expect_line(&hub, "event=replaced peer=farm1"));
	free(expect_line(&hub, "reason=replaced"));
	free(expect_line(&leaf, "event=peer_error peer=farm1 detail=\"replaced: a newer"));
	assert_int_equal(daemon_stop(&other, SIGKILL), -SIGKILL);
	leave(&hub, &leaf);
}

static void the_numbers_are_served(void **state)
{
	struct daemon_run hub = {0}, leaf = {0}, all;
	char port[8], *text, *line;

	make_queues();
	hub_start_with(&hub, WORDS("--metrics", "127.0.0.1:0"));
	all = (struct daemon_run){.log = hub.log};
	line = expect_line(&all, "event=metrics");
	value_of(line, "port", port, sizeof(port));
	free(line);
	leaf_start_with(&leaf, WORDS(NULL));
	work_goes_on();
	free(ask(hub_port, "GET / HTTP/1.0\r\n\r\n"));
	free(expect_line(&hub, "event=refused"));
	text = ask(port, "GET /metrics HTTP/1.0\r\nHost: here\r\n\r\n");
	assert_non_null(strstr(text, "HTTP/1.0 200 OK\r\n"));
	assert_non_null(strstr(text, "\nsqbridge_link_up{peer=\"farm1\"} 1\n"));
	assert_non_null(strstr(text, "\nsqbridge_messages_sent_total{peer=\"farm1\",queue=\"pq\","
				     "direction=\"pull\"} 100\n"));
	assert_non_null(strstr(text, "\nsqbridge_messages_received_total{peer=\"farm1\","
				     "queue=\"cq\",direction=\"push\"} 100\n"));
	assert_non_null(
		strstr(text, "\nsqbridge_connections_refused_total{reason=\"not_tls\"} 1\n"));
	free(text);
	text = ask(port, "GET /else HTTP/1.0\r\n\r\n");
	assert_non_null(strstr(text, "HTTP/1.0 404 "));
	free(text);
	text = ask(port, "POST /metrics HTTP/1.0\r\n\r\n");
	assert_non_null(strstr(text, "HTTP/1.0 405 "));
	free(text);
	leave(&hub, &leaf);
}

/* What a client of a UNIX socket gets for this. */
static char *ask_socket(const char *path, const char *text)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = WAIT_S};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)strncpy(to.sun_path, path, sizeof(to.sun_path) - 1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return ask_at(fd, text);
}

static void socket_serves(const char *path)
{
	struct stat st;
	char *text;

	/* It is for the daemon's user alone. */
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 077, 0);
	text = ask_socket(path, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
	assert_non_null(strstr(text, "HTTP/1.0 200 OK\r\n"));
	assert_non_null(strstr(text, "\nsqbridge_info{role=\"hub\","));
	free(text);
}

static void the_numbers_are_served_at_a_socket(void **state)
{
	struct daemon_run hub = {0};
	char path[300];
	const char *const second[] = {"hub", "--listen", "127.0.0.1:0", "--keys", "hub.keys",
		"--share", "pq:pull", "--name", "second", "--metrics", path, NULL};
	struct daemon_run other = {.log = "second.log"};

	make_queues();
	(void)snprintf(path, sizeof(path), "%s/hub.sock", scratch_path());
	hub_start_with(&hub, WORDS("--metrics", path));
	assert_int_equal(count_lines(&hub, "event=metrics socket="), 1);
	socket_serves(path);
	/* It is in use, and is not taken away. */
	assert_int_equal(run_code("second.log", second), 69);
	assert_int_equal(count_lines(&other, "metrics' address cannot be listened at: Address"), 1);
	socket_serves(path);
	/* A killed daemon leaves its socket, at which none listens. */
	assert_int_equal(daemon_stop(&hub, SIGKILL), -SIGKILL);
	assert_int_equal(access(path, F_OK), 0);
	hub_start_with(&hub, WORDS("--metrics", path));
	socket_serves(path);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
	assert_int_not_equal(access(path, F_OK), 0);
	/* What is no socket stays. */
	scratch_write("hub.sock", 0600, "a file");
	assert_int_equal(run_code("second.log", second), 69);
	assert_int_equal(access(path, F_OK), 0);
}

static void systemd_is_told(void **state)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "notify"};
	struct timeval limit = {.tv_sec = WAIT_S};
	const char *const wanted[] = {
		"READY=1", "WATCHDOG=1", "RELOADING=1\nMONOTONIC_USEC=", "READY=1", "STOPPING=1"};
	struct daemon_run hub = {0};
	char path[300], text[256];
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	make_queues();
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	(void)snprintf(path, sizeof(path), "%s/notify", scratch_path());
	assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
	assert_int_equal(setenv("WATCHDOG_USEC", "200000", 1), 0);
	hub_start_with(&hub, WORDS(NULL));
	assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
	assert_int_equal(unsetenv("WATCHDOG_USEC"), 0);
	for (unsigned i = 0; i < 5; i++) {
		ssize_t n;

		do {
			n = recv(fd, text, sizeof(text) - 1, 0);
			assert_true(n > 0);
			text[n] = '\0';
		} while (strcmp(text, "WATCHDOG=1") == 0 && i != 1);
		if (strncmp(text, wanted[i], strlen(wanted[i])) != 0)
			fail_msg("%s instead of %s", text, wanted[i]);
		if (i == 1)
			assert_int_equal(kill(hub.pid, SIGHUP), 0);
		if (i == 3)
			assert_int_equal(kill(hub.pid, SIGTERM), 0);
	}
	assert_int_equal(daemon_code(&hub), 0);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DAEMON_TEST(a_wrong_key_is_told_so_once),
		DAEMON_TEST(a_key_that_others_can_read_is_refused),
		DAEMON_TEST(others_that_knock_are_named_and_turned_away),
		DAEMON_TEST(the_handshake_is_a_standards),
		DAEMON_TEST(many_that_never_speak_keep_nobody_out),
		DAEMON_TEST(a_name_is_taken_once),
		DAEMON_TEST(a_reload_revokes),
		DAEMON_TEST(a_reload_revokes_a_key_that_is_being_proved),
		DAEMON_TEST(a_reload_revokes_whoever_named_no_key),
		DAEMON_TEST(a_reload_revokes_the_last_leaf),
		DAEMON_TEST(a_reload_tells_what_it_changes),
		DAEMON_TEST(what_is_not_allowed_is_denied),
		DAEMON_TEST(a_key_to_which_nothing_is_open_is_told_so_once),
		DAEMON_TEST(a_queue_that_is_not_there_yet_is_waited_for),
		DAEMON_TEST(a_leaf_that_had_its_queues_keeps_asking),
		DAEMON_TEST(the_newer_of_two_with_one_key_stays),
		DAEMON_TEST(the_numbers_are_served),
		DAEMON_TEST(the_numbers_are_served_at_a_socket),
		DAEMON_TEST(systemd_is_told),
	};

	return cmocka_run_group_tests_name("doors", tests, NULL, NULL);
}
