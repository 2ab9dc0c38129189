/* SPDX-License-Identifier: ISC */
#include "ends.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "now.h"

enum {
	ENDS_MAX = 65536,
	ECHO_BYTES = 65536,
};

struct loop *ends_the_loop;
struct end *ends_accepted;
int ends_accepts, ends_accept_errors, ends_accept_error;

static struct end **ends;
static size_t ends_n;
static int descriptors;
static void (*accept_hook)(struct end *e);

int ends_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	if (!d)
		return -1;
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

void ends_child_failed(const char *what, const char *file, int line)
{
	(void)fprintf(stderr, "%s:%d: in a child: %s\n", file, line, what);
	_exit(1);
}

int ends_child_status(pid_t pid)
{
	int status = -1;

	assert_int_equal(pid, waitpid(pid, &status, 0));
	return status;
}

int ends_begin(void **state)
{
	(void)state;
	descriptors = ends_descriptors();
	ends = calloc(ENDS_MAX, sizeof(struct end *));
	ends_n = 0;
	ends_accepted = NULL;
	ends_accepts = ends_accept_errors = ends_accept_error = 0;
	return ends ? 0 : -1;
}

void ends_loop_free(void)
{
	loop_free(ends_the_loop);
	ends_the_loop = NULL;
}

int ends_end(void **state)
{
	int bad = 0;

	(void)state;
	ends_loop_free();
	for (size_t i = 0; i < ends_n; i++) {
		if (ends[i]->conn || ends[i]->closed > 1)
			bad++; /* each that was begun is closed, once */
		free(ends[i]->in);
		free(ends[i]->out);
		free(ends[i]);
	}
	free(ends);
	if (bad)
		print_error("%d ends were not closed once\n", bad);
	if (ends_descriptors() != descriptors) {
		print_error("%d descriptors, before %d\n", ends_descriptors(), descriptors);
		bad++;
	}
	return bad ? -1 : 0;
}

bool ends_uring(void)
{
	const char *wish = getenv("SQ_LOOP");

	return !wish || strcmp(wish, "poll") != 0;
}

struct loop *ends_loop(const struct loop_config *config)
{
	char why[LOOP_WHY_MAX] = "";
	int r = loop_new(&ends_the_loop, config, why);

	if (r < 0 || ends_uring() != !*why)
		fail_msg("%d: %s", r, why);
	return ends_the_loop;
}

struct end *end_new(void)
{
	struct end *e = calloc(1, sizeof(*e));

	assert_non_null(e);
	assert_true(ends_n < ENDS_MAX);
	e->loop = ends_the_loop;
	e->take = SIZE_MAX;
	ends[ends_n++] = e;
	return e;
}

static void connected(void *ctx, int error)
{
	struct end *e = ctx;

	e->connected++;
	e->connected_error = error;
}

static void keep(struct end *e, const uint8_t *data, size_t len)
{
	if (e->in_len + len > e->in_cap) {
		e->in_cap = (e->in_len + len) * 2;
		e->in = realloc(e->in, e->in_cap);
		assert_non_null(e->in);
	}
	if (len > 0)
		memcpy(e->in + e->in_len, data, len);
	e->in_len += len;
}

static size_t received(void *ctx, const uint8_t *data, size_t len)
{
	struct end *e = ctx;
	size_t n = len < e->take ? len : e->take;

	assert_true(len > 0);
	assert_non_null(e->conn);
	if (e->echo) {
		if (loop_conn_sending(e->conn))
			return 0;
		if (!e->out)
			e->out = malloc(ECHO_BYTES);
		assert_non_null(e->out);
		n = n < ECHO_BYTES ? n : ECHO_BYTES;
		if (n > 0) {
			memcpy(e->out, data, n);
			assert_int_equal(0, loop_conn_send(e->conn, e->out, n));
		}
	}
	keep(e, data, n);
	if (e->on_received)
		e->on_received(e);
	return n;
}

static void ended(void *ctx, int error)
{
	struct end *e = ctx;

	e->ended++;
	e->ended_error = error;
}

static void sent(void *ctx, int error)
{
	struct end *e = ctx;

	e->sent++;
	e->sent_error = error;
	if (e->echo)
		loop_conn_resume(e->conn);
	if (e->on_sent)
		e->on_sent(e);
}

static void closed(void *ctx)
{
	struct end *e = ctx;

	e->closed++;
	e->conn = NULL;
}

const struct loop_conn_ops end_ops = {connected, received, ended, sent, closed};

void ends_accept(void *ctx, struct loop_conn *conn, int error)
{
	struct end *e;

	(void)ctx;
	if (!conn) {
		ends_accept_errors++;
		ends_accept_error = error;
		return;
	}
	e = end_new();
	e->conn = conn;
	ends_accepted = e;
	ends_accepts++;
	loop_conn_start(conn, &end_ops, e);
	if (accept_hook)
		accept_hook(e);
}

struct sockaddr_in ends_any(void)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

struct loop_listener *ends_listen(int backlog, void (*on_accept)(struct end *e))
{
	struct sockaddr_in any = ends_any();
	struct loop_listener *li = NULL;

	accept_hook = on_accept;
	assert_int_equal(0, loop_listen(ends_the_loop, (const struct sockaddr *)&any, sizeof(any),
				    backlog, ends_accept, NULL, &li));
	return li;
}

struct sockaddr_in ends_address(const struct loop_listener *li)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	assert_int_equal(0, getsockname(loop_listener_fd(li), (struct sockaddr *)&a, &len));
	return a;
}

struct end *ends_connect(const struct sockaddr_in *to)
{
	struct end *e = end_new();

	assert_int_equal(0, loop_connect(ends_the_loop, (const struct sockaddr *)to, sizeof(*to),
				    30000 * MS, &end_ops, e, &e->conn));
	return e;
}

void ends_pair(struct loop_listener *li, struct end **ret_client, struct end **ret_server)
{
	struct sockaddr_in to = ends_address(li);
	int before = ends_accepts;
	struct end *e = ends_connect(&to);

	ENDS_UNTIL(e->connected && ends_accepts > before);
	assert_int_equal(0, e->connected_error);
	*ret_client = e;
	*ret_server = ends_accepted;
}

void ends_idle(int turns)
{
	while (turns-- > 0)
		assert_int_equal(0, loop_turn(ends_the_loop, 2 * MS));
}

void ends_asleep(void)
{
	struct loop_stats stats;
	uint64_t before;

	ends_idle(5);
	loop_stats(ends_the_loop, &stats);
	before = stats.turns;
	for (int64_t until = now_ns() + 100 * MS; now_ns() < until;)
		assert_int_equal(0, loop_turn(ends_the_loop, 20 * MS));
	loop_stats(ends_the_loop, &stats);
	assert_true(stats.turns <= before + 10);
}

int ends_plain(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(0, connect(fd, (const struct sockaddr *)to, sizeof(*to)));
	return fd;
}

static uint8_t byte_at(unsigned seed, size_t i)
{
	uint64_t x = (i + 1) * 0x9e3779b97f4a7c15 + seed * 0xd1b54a32d192ed03;

	return (uint8_t)(x >> 56 ^ x >> 29);
}

void ends_fill(uint8_t *buf, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = byte_at(seed, i);
}

bool ends_same(const uint8_t *buf, size_t len, unsigned seed, size_t from)
{
	for (size_t i = 0; i < len; i++)
		if (buf[i] != byte_at(seed, from + i))
			return false;
	return true;
}
