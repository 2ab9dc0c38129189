/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ends.h"
#include "tls_end.h"

/*
 * The security is a standard's and not ours: the openssl program talks to our server as a client and
 * to our client as a server, over loopback, with loop and tls as they are joined in the daemon.
 */

#define KEY_HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static struct tls_context *server_context, *client_context;
static struct tls_end end;
static char heard[4096];
static size_t heard_n;
static int ups, overs;
static bool echoes;

static size_t find(void *ctx, const char *identity, uint8_t key[TLS_KEY_MAX])
{
	if (strcmp(identity, "farm1") != 0)
		return 0;
	for (uint8_t i = 0; i < 32; i++)
		key[i] = i;
	return 32;
}

static void up(struct tls_end *e)
{
	ups++;
}

static void plain(struct tls_end *e, const uint8_t *data, size_t len)
{
	size_t room = sizeof(heard) - 1 - heard_n;

	memcpy(heard + heard_n, data, len < room ? len : room);
	heard_n += len < room ? len : room;
	heard[heard_n] = 0;
	if (echoes)
		(void)tls_end_write(e, data, len);
}

static void over(struct tls_end *e)
{
	overs++;
	if (e->conn)
		tls_end_close(e);
}

static const struct tls_end_ops ops = {up, plain, NULL, over};

static void accepted(void *ctx, struct loop_conn *conn, int error)
{
	assert_non_null(conn);
	assert_int_equal(0, tls_end_start(&end, ends_the_loop, conn, server_context, &ops));
}

static int begin(void **state)
{
	uint8_t key[TLS_KEY_MAX];

	heard_n = 0;
	ups = overs = 0;
	echoes = false;
	end = (struct tls_end){0};
	(void)signal(SIGPIPE, SIG_IGN);
	return ends_begin(state) < 0 || tls_context_server(&server_context, find, NULL) < 0 ||
			       tls_context_client(
				       &client_context, "farm1", key, find(NULL, "farm1", key)) < 0
		       ? -1
		       : 0;
}

static int finish(void **state)
{
	ends_loop_free();
	tls_end_deinit(&end);
	tls_context_free(server_context);
	tls_context_free(client_context);
	return ends_end(state);
}

/* The openssl program, with pipes for what it reads and says. */
struct program {
	pid_t pid;
	int in, out;
	char said[16384];
	size_t said_n;
};

static struct program program_run(const char *const argv[])
{
	struct program p = {0};
	int in[2], out[2];

	assert_int_equal(0, pipe2(in, O_CLOEXEC));
	assert_int_equal(0, pipe2(out, O_CLOEXEC));
	p.pid = fork();
	assert_true(p.pid >= 0);
	if (p.pid == 0) {
		(void)dup2(in[0], 0);
		(void)dup2(out[1], 1);
		(void)dup2(out[1], 2);
		execvp(argv[0], (char **)(uintptr_t)argv); /* it does not write there */
		_exit(127);
	}
	(void)close(in[0]);
	(void)close(out[1]);
	p.in = in[1];
	p.out = out[0];
	(void)fcntl(p.out, F_SETFL, O_NONBLOCK);
	return p;
}

/* Has it said this? Turns the loop meanwhile. */
static bool says(struct program *p, const char *text)
{
	ssize_t n = read(p->out, p->said + p->said_n, sizeof(p->said) - 1 - p->said_n);

	if (n > 0)
		p->said_n += (size_t)n;
	p->said[p->said_n] = 0;
	return strstr(p->said, text);
}

static bool silent(const struct program *p)
{
	struct pollfd pfd = {.fd = p->out, .events = POLLIN};

	return poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLHUP) && !(pfd.revents & POLLIN);
}

/* To its end. */
static int program_end(struct program *p)
{
	if (p->in >= 0)
		(void)close(p->in);
	p->in = -1;
	ENDS_UNTIL((says(p, "\1"), silent(p)));
	(void)close(p->out);
	return ends_child_status(p->pid);
}

static struct program s_client(const char *port, const char *const more[])
{
	const char *argv[24] = {"openssl", "s_client", "-connect", port};
	size_t n = 4;

	while (*more)
		argv[n++] = *more++;
	return program_run(argv);
}

static void listen_at(char port[32])
{
	struct sockaddr_in any = ends_any();
	struct loop_listener *li = NULL;

	ends_loop(NULL);
	assert_int_equal(0, loop_listen(ends_the_loop, (const struct sockaddr *)&any, sizeof(any),
				    8, accepted, NULL, &li));
	any = ends_address(li);
	(void)snprintf(port, 32, "127.0.0.1:%d", ntohs(any.sin_port));
}

static void test_s_client(void **state)
{
	static const char *const args[] = {
		"-psk", KEY_HEX, "-psk_identity", "farm1", "-tls1_3", NULL};
	struct program p;
	char port[32];

	echoes = true;
	listen_at(port);
	p = s_client(port, args);
	assert_int_equal(21, write(p.in, "there and back again\n", 21));
	ENDS_UNTIL(ups == 1 && says(&p, "there and back again"));
	assert_string_equal("there and back again\n", heard);
	assert_true(says(&p, "TLS_AES_128_GCM_SHA256"));
	assert_true(says(&p, "Reused, TLSv1.3"));
	assert_string_equal("farm1", tls_identity(end.tls));
	/* A new key each way: K is s_client's command for it, and k without an answer. */
	assert_int_equal(2, write(p.in, "K\n", 2));
	ENDS_UNTIL(says(&p, "KEYUPDATE"));
	assert_int_equal(11, write(p.in, "after that\n", 11));
	ENDS_UNTIL(says(&p, "after that"));
	assert_int_equal(2, write(p.in, "Q\n", 2));
	assert_int_equal(0, program_end(&p));
	ENDS_UNTIL(overs == 1 && !end.conn);
	/* s_client says close_notify. */
	assert_int_equal(TLS_CLOSED, tls_state(end.tls));
}

static void refused(const char *const args[], enum tls_reason reason, const char *text)
{
	struct program p;
	char port[32];

	listen_at(port);
	p = s_client(port, args);
	ENDS_UNTIL(overs == 1 && !end.conn);
	assert_int_equal(0, ups);
	assert_int_equal(TLS_FAILED, tls_state(end.tls));
	if (tls_reason(end.tls) != reason)
		fail_msg("%s", tls_reason_text(tls_reason(end.tls)));
	assert_int_not_equal(0, program_end(&p));
	assert_non_null(strstr(p.said, text));
}

static void test_s_client_wrong_key(void **state)
{
	static const char *const args[] = {
		"-psk", "00010203040506070809", "-psk_identity", "farm1", "-tls1_3", NULL};

	refused(args, TLS_WRONG_KEY, "illegal parameter");
}

static void test_s_client_unknown(void **state)
{
	static const char *const args[] = {
		"-psk", KEY_HEX, "-psk_identity", "farm9", "-tls1_3", NULL};

	refused(args, TLS_UNKNOWN_IDENTITY, "illegal parameter");
}

static void test_s_client_no_key(void **state)
{
	static const char *const args[] = {"-tls1_3", NULL};

	refused(args, TLS_NO_KEY, "handshake failure");
}

static void test_s_client_old(void **state)
{
	static const char *const args[] = {
		"-psk", KEY_HEX, "-psk_identity", "farm1", "-tls1_2", NULL};

	refused(args, TLS_VERSION, "protocol version");
}

static void s_server(const char *key, bool cut)
{
	const char *const argv[] = {"openssl", "s_server", "-accept", "127.0.0.1:0", "-psk", key,
		"-psk_identity", "farm1", "-nocert", "-tls1_3", "-naccept", "1", NULL};
	struct program p = program_run(argv);
	struct sockaddr_in to = ends_any();
	bool right = strcmp(key, KEY_HEX) == 0;
	const char *at;

	ends_loop(NULL);
	ENDS_UNTIL(says(&p, "ACCEPT 127.0.0.1:") && strchr(strstr(p.said, "ACCEPT"), '\n'));
	at = strstr(p.said, "ACCEPT 127.0.0.1:") + strlen("ACCEPT 127.0.0.1:");
	to.sin_port = htons((uint16_t)atoi(at));
	assert_int_equal(0, tls_end_connect(&end, ends_the_loop, (const struct sockaddr *)&to,
				    sizeof(to), client_context, &ops));
	ENDS_UNTIL(ups == 1 || overs == 1);
	assert_int_equal(right, ups);
	if (right) {
		assert_int_equal(9, tls_end_write(&end, "from here", 9));
		tls_end_flush(&end);
		ENDS_UNTIL(says(&p, "from here"));
		assert_int_equal(11, write(p.in, "from there\n", 11));
		ENDS_UNTIL(heard_n >= 11);
		assert_string_equal("from there\n", heard);
		/* At a q s_server closes the socket and says nothing; close_notify it answers. */
		if (cut)
			assert_int_equal(2, write(p.in, "q\n", 2));
		else
			assert_int_equal(0, tls_end(end.tls));
		tls_end_flush(&end);
	} else {
		assert_int_equal(TLS_KEY_REFUSED, tls_reason(end.tls));
	}
	ENDS_UNTIL(overs == 1 && !end.conn);
	(void)program_end(&p);
	if (right) {
		assert_int_equal(cut ? TLS_FAILED : TLS_CLOSED, tls_state(end.tls));
		assert_int_equal(cut ? TLS_TRUNCATED : TLS_OK, tls_reason(end.tls));
	}
}

static void test_s_server(void **state)
{
	s_server(KEY_HEX, false);
}

static void test_s_server_that_cuts(void **state)
{
	s_server(KEY_HEX, true);
}

static void test_s_server_wrong_key(void **state)
{
	s_server("aabbccddeeff00112233", false);
}

#define INTEROP(f) cmocka_unit_test_setup_teardown(f, begin, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		INTEROP(test_s_client),
		INTEROP(test_s_client_wrong_key),
		INTEROP(test_s_client_unknown),
		INTEROP(test_s_client_no_key),
		INTEROP(test_s_client_old),
		INTEROP(test_s_server),
		INTEROP(test_s_server_that_cuts),
		INTEROP(test_s_server_wrong_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
