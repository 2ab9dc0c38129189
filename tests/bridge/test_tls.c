/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdio.h>

#include <openssl/err.h>

#include "now.h"
#include "tls_pair.h"

/*
 * Which clients are let in and which are not, and what each of them is told; then what goes
 * through.
 */

/* Of processor time. */
static double seconds(void)
{
	return (double)clock_ns(CLOCK_THREAD_CPUTIME_ID) * 1e-9;
}

static void expect_failed(const struct side *s, enum tls_reason reason)
{
	if (tls_state(s->tls) != TLS_FAILED || tls_reason(s->tls) != reason)
		fail_msg("state %d, %s (%s, alert %d), and not: %s", tls_state(s->tls),
			tls_reason_text(tls_reason(s->tls)),
			tls_detail(s->tls) ? tls_detail(s->tls) : "-", tls_alert(s->tls),
			tls_reason_text(reason));
}

static void talk(struct pair *p)
{
	side_write(&p->client, "from the leaf", 13);
	side_write(&p->server, "from the hub", 12);
	pair_run(p, SIZE_MAX);
	assert_int_equal(13, p->server.got.len);
	assert_memory_equal("from the leaf", p->server.got.data, 13);
	assert_int_equal(12, p->client.got.len);
	assert_memory_equal("from the hub", p->client.got.data, 12);
}

static void test_handshake(void **state)
{
	static const size_t steps[] = {SIZE_MAX, 1, 2, 7, 100};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct pair p;

		pair_init(&p, pair_client_context("farm1", 1), pair_server_context);
		p.client.out_cap = p.server.out_cap = i == 2 ? 11 : 4096;
		assert_int_equal(-ENOTCONN, tls_write(p.client.tls, (const uint8_t *)"x", 1));
		assert_int_equal(-ENOTCONN, tls_end(p.client.tls));
		pair_run(&p, steps[i]);
		assert_int_equal(TLS_UP, tls_state(p.client.tls));
		assert_int_equal(TLS_UP, tls_state(p.server.tls));
		assert_string_equal("farm1", tls_identity(p.server.tls));
		assert_string_equal("farm1", tls_identity(p.client.tls));
		talk(&p);
		pair_deinit(&p);
	}
}

/* Each side with a key of its own. */
static void test_two_peers(void **state)
{
	struct pair p;

	pair_init(&p, pair_client_context("farm2", 2), pair_server_context);
	pair_run(&p, SIZE_MAX);
	assert_int_equal(TLS_UP, tls_state(p.server.tls));
	assert_string_equal("farm2", tls_identity(p.server.tls));
	pair_deinit(&p);
}

static void test_refused(void **state)
{
	static const struct {
		const char *identity;
		unsigned key;
		enum tls_reason reason;
	} cases[] = {
		{"farm1", 2, TLS_WRONG_KEY},
		{"farm2", 1, TLS_WRONG_KEY},
		{"nobody", 1, TLS_UNKNOWN_IDENTITY},
		{"farm1 ", 1, TLS_UNKNOWN_IDENTITY},
		{"short", 1, TLS_UNKNOWN_IDENTITY},
	};
	struct bytes said[2] = {{0}, {0}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pair p;
		size_t which = cases[i].reason == TLS_UNKNOWN_IDENTITY;

		pair_init(&p, pair_client_context(cases[i].identity, cases[i].key),
			pair_server_context);
		pair_run(&p, SIZE_MAX);
		expect_failed(&p.server, cases[i].reason);
		expect_failed(&p.client, TLS_KEY_REFUSED);
		assert_int_equal(-EPROTO, tls_write(p.client.tls, (const uint8_t *)"x", 1));
		assert_int_equal(-EPROTO, tls_read(p.server.tls, (uint8_t[1]){0}, 1));
		assert_int_equal(-ENOTCONN, tls_end(p.server.tls));
		bytes_free(&said[which]);
		bytes_add(&said[which], p.server.all.data, p.server.all.len);
		pair_deinit(&p);
	}
	/* What the client hears does not tell which of the two it was. */
	assert_int_equal(said[0].len, said[1].len);
	assert_memory_equal(said[0].data, said[1].data, said[0].len);
	bytes_free(&said[0]);
	bytes_free(&said[1]);
}

static int compare(const void *a, const void *b)
{
	return *(const double *)a < *(const double *)b ? -1
						       : *(const double *)a > *(const double *)b;
}

/* Nor does the time it takes. */
static void test_refused_time(void **state)
{
	enum { ROUNDS = 300 };
	struct tls_context *clients[2] = {
		pair_client_context("farm1", 2), pair_client_context("farm9", 2)};
	static double took[2][ROUNDS];
	double ratio;

	for (int i = 0; i < 2 * ROUNDS; i++) {
		struct pair p;
		double began;

		pair_init(&p, clients[i % 2], pair_server_context);
		side_hear(&p.client, NULL, 0);
		began = seconds();
		side_hear(&p.server, p.client.to_peer.data, p.client.to_peer.len);
		took[i % 2][i / 2] = seconds() - began;
		assert_int_equal(TLS_FAILED, tls_state(p.server.tls));
		pair_deinit(&p);
	}
	for (int i = 0; i < 2; i++)
		qsort(took[i], ROUNDS, sizeof(double), compare);
	ratio = took[0][ROUNDS / 2] / took[1][ROUNDS / 2];
	print_message("wrong key %.1f us, unknown identity %.1f us\n", took[0][ROUNDS / 2] * 1e6,
		took[1][ROUNDS / 2] * 1e6);
	assert_true((ratio > 0.67 && ratio < 1.5) || !time_is_judged());
}

/* Identities that are no C strings, or too long for one. */
static void test_odd_identities(void **state)
{
	char longest[TLS_IDENTITY_MAX + 2];
	struct tls_context *none = NULL;
	uint8_t key[32];
	struct pair p;

	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	pair_key(key, 1);
	assert_int_equal(-EINVAL, tls_context_client(&none, longest, key, sizeof(key)));
	assert_int_equal(-EINVAL, tls_context_client(&none, "", key, sizeof(key)));
	assert_int_equal(-EINVAL, tls_context_client(&none, "a", key, TLS_KEY_MIN - 1));
	assert_int_equal(-EINVAL, tls_context_client(&none, "a", key, TLS_KEY_MAX + 1));
	assert_null(none);
	longest[TLS_IDENTITY_MAX] = 0;
	pair_init(&p, pair_client_context(longest, 1), pair_server_context);
	pair_run(&p, SIZE_MAX);
	expect_failed(&p.server, TLS_UNKNOWN_IDENTITY);
	assert_string_equal(longest, tls_identity(p.server.tls));
	pair_deinit(&p);
}

/* A client of plain OpenSSL against our server. */
static void plain_client(SSL_CTX *ctx, int psk, enum tls_reason reason)
{
	struct pair p;

	pair_init(&p, NULL, pair_server_context);
	side_plain(&p.client, ctx, false, psk);
	pair_run(&p, SIZE_MAX);
	expect_failed(&p.server, reason);
	assert_false(p.client.up);
	pair_deinit(&p);
}

static void test_plain_clients(void **state)
{
	SSL_CTX *ctx;

	/* One that believes in certificates. */
	plain_client(plain_context(false, TLS1_3_VERSION, TLS1_3_VERSION), -1, TLS_NO_KEY);
	ctx = plain_context(false, TLS1_2_VERSION, TLS1_3_VERSION);
	plain_certificate(ctx, 0);
	plain_client(ctx, -1, TLS_NO_KEY);
	assert_int_equal(0, pair_finds);
	/* Old ones. */
	plain_client(plain_context(false, TLS1_2_VERSION, TLS1_2_VERSION), -1, TLS_VERSION);
	plain_client(plain_context(false, TLS1_VERSION, TLS1_2_VERSION), -1, TLS_VERSION);
	/* The right key for another cipher, and for groups that we do not have. */
	ctx = plain_context(false, TLS1_3_VERSION, TLS1_3_VERSION);
	assert_true(SSL_CTX_set_ciphersuites(ctx, "TLS_CHACHA20_POLY1305_SHA256"));
	plain_client(ctx, -1, TLS_NO_CIPHER);
	ctx = plain_context(false, TLS1_3_VERSION, TLS1_3_VERSION);
	assert_true(SSL_CTX_set1_groups_list(ctx, "P-521"));
	plain_client(ctx, 1, TLS_NO_CIPHER);
	/* And one without (EC)DHE: then a stolen key would open all that was ever recorded. */
	ctx = plain_context(false, TLS1_3_VERSION, TLS1_3_VERSION);
	(void)SSL_CTX_set_options(ctx, SSL_OP_ALLOW_NO_DHE_KEX);
	assert_true(SSL_CTX_set1_groups_list(ctx, "P-521"));
	plain_client(ctx, 1, TLS_NO_CIPHER);
	plain_client(plain_context(false, TLS1_3_VERSION, TLS1_3_VERSION), 2, TLS_WRONG_KEY);
}

/* A good one, also by way of another group and a hello that must be repeated. */
static void test_plain_good_client(void **state)
{
	for (int retry = 0; retry <= 1; retry++) {
		SSL_CTX *ctx = plain_context(false, TLS1_3_VERSION, TLS1_3_VERSION);
		struct pair p;

		if (retry)
			assert_true(SSL_CTX_set1_groups_list(ctx, "P-521:P-256"));
		pair_init(&p, NULL, pair_server_context);
		side_plain(&p.client, ctx, false, 1);
		pair_run(&p, SIZE_MAX);
		assert_int_equal(TLS_UP, tls_state(p.server.tls));
		assert_true(p.client.up && !p.client.over);
		assert_false(SSL_SESSION_has_ticket(SSL_get_session(p.client.ssl)));
		side_write(&p.server, "hello", 5);
		pair_run(&p, SIZE_MAX);
		assert_int_equal(5, p.client.got.len);
		/* TLS 1.3 knows no renegotiation. */
		assert_int_not_equal(1, SSL_renegotiate(p.client.ssl));
		ERR_clear_error();
		pair_deinit(&p);
	}
}

/* What is sent before the handshake is done is never data. */
static void test_early_data(void **state)
{
	SSL_CTX *ctx = plain_context(false, TLS1_3_VERSION, TLS1_3_VERSION);
	struct pair p;
	size_t n = 0;

	pair_init(&p, NULL, pair_server_context);
	side_plain(&p.client, ctx, false, 1);
	assert_int_equal(1, SSL_write_early_data(p.client.ssl, "too early", 9, &n));
	assert_int_equal(9, n);
	pair_run(&p, SIZE_MAX);
	assert_int_equal(0, p.server.got.len);
	assert_int_not_equal(SSL_EARLY_DATA_ACCEPTED, SSL_get_early_data_status(p.client.ssl));
	pair_deinit(&p);
}

/* Our client against servers that do not prove that they have the key. */
static void plain_server(SSL_CTX *ctx, int psk, enum tls_reason reason)
{
	struct pair p;

	pair_init(&p, pair_client_context("farm1", 1), NULL);
	side_plain(&p.server, ctx, true, psk);
	pair_run(&p, SIZE_MAX);
	expect_failed(&p.client, reason);
	assert_int_equal(0, p.client.got.len);
	pair_deinit(&p);
}

static void test_plain_servers(void **state)
{
	SSL_CTX *ctx = plain_context(true, TLS1_3_VERSION, TLS1_3_VERSION);

	plain_certificate(ctx, 0);
	plain_server(ctx, -1, TLS_KEY_UNUSED);
	ctx = plain_context(true, TLS1_3_VERSION, TLS1_3_VERSION);
	plain_certificate(ctx, 0);
	plain_server(ctx, 2, TLS_KEY_REFUSED);
	ctx = plain_context(true, TLS1_2_VERSION, TLS1_2_VERSION);
	plain_certificate(ctx, 0);
	plain_server(ctx, -1, TLS_VERSION);
	/* A certificate that is more than we listen to. */
	ctx = plain_context(true, TLS1_3_VERSION, TLS1_3_VERSION);
	plain_certificate(ctx, 2 * HANDSHAKE_BYTES_MAX);
	plain_server(ctx, -1, TLS_TOO_LONG);
	ctx = plain_context(true, TLS1_3_VERSION, TLS1_3_VERSION);
	assert_true(SSL_CTX_set_ciphersuites(ctx, "TLS_AES_256_GCM_SHA384"));
	plain_certificate(ctx, 0);
	plain_server(ctx, -1, TLS_KEY_REFUSED); /* handshake failure is all that it says */
}

static void test_plain_good_server(void **state)
{
	struct pair p;

	pair_init(&p, pair_client_context("farm1", 1), NULL);
	side_plain(&p.server, plain_context(true, TLS1_3_VERSION, TLS1_3_VERSION), true, 1);
	pair_run(&p, SIZE_MAX);
	assert_int_equal(TLS_UP, tls_state(p.client.tls));
	assert_true(p.server.up);
	side_write(&p.client, "hello", 5);
	pair_run(&p, SIZE_MAX);
	assert_int_equal(5, p.server.got.len);
	pair_deinit(&p);
}

static void hear_junk(bool server, const char *text, size_t len, enum tls_reason reason)
{
	for (size_t step = 1; step <= len; step += len - 1) {
		struct pair p;

		pair_init(&p, pair_client_context("farm1", 1), pair_server_context);
		if (!server)
			side_hear(&p.client, NULL, 0);
		for (size_t i = 0; i + step <= len; i += step)
			side_hear(server ? &p.server : &p.client, (const uint8_t *)text + i, step);
		expect_failed(server ? &p.server : &p.client, reason);
		pair_deinit(&p);
	}
}

static void test_not_tls(void **state)
{
	static const char get[] = "GET / HTTP/1.1\r\nHost: hub\r\n\r\n";
	static const char ssh[] = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n";
	static const char answer[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
	static const char zeros[64];
	static const char too_long[] = "\x16\x03\x01\x40\x00 and so on";
	static const char no_hello[] = "\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00";
	static const char cut_hello[] = "\x16\x03\x01\x00\x05\x01\x00\x02\x01\x00";
	static const char empty[] = "\x16\x03\x01\x00\x00\x16\x03\x01\x00\x00";

	hear_junk(true, get, sizeof(get) - 1, TLS_NOT_TLS);
	hear_junk(true, ssh, sizeof(ssh) - 1, TLS_NOT_TLS);
	hear_junk(true, zeros, sizeof(zeros), TLS_NOT_TLS);
	hear_junk(true, too_long, sizeof(too_long) - 1, TLS_TOO_LONG);
	hear_junk(true, no_hello, sizeof(no_hello) - 1, TLS_PROTOCOL);
	hear_junk(true, cut_hello, sizeof(cut_hello) - 1, TLS_PROTOCOL);
	hear_junk(true, empty, sizeof(empty) - 1, TLS_PROTOCOL);
	hear_junk(false, answer, sizeof(answer) - 1, TLS_NOT_TLS);
	hear_junk(false, ssh, sizeof(ssh) - 1, TLS_NOT_TLS);
}

/* The end, said and not said. */
static void test_end(void **state)
{
	uint8_t out[TLS_OUT_HANDSHAKE], in[100];
	struct pair p;
	ssize_t n;

	pair_up(&p);
	side_write(&p.client, "the last", 8);
	tls_lend(p.client.tls, out, 1);
	assert_int_equal(-ENOBUFS, tls_end(p.client.tls));
	tls_lend(p.client.tls, out, sizeof(out));
	assert_int_equal(0, tls_end(p.client.tls));
	assert_int_equal(0, tls_end(p.client.tls));
	bytes_add(&p.client.to_peer, out, tls_pending_out(p.client.tls));
	assert_int_equal(-EPIPE, tls_write(p.client.tls, (const uint8_t *)"x", 1));
	pair_run(&p, SIZE_MAX);
	assert_int_equal(8, p.server.got.len);
	assert_int_equal(TLS_CLOSED, tls_state(p.server.tls));
	tls_eof(p.server.tls);
	assert_int_equal(TLS_CLOSED, tls_state(p.server.tls));
	assert_int_equal(0, tls_read(p.server.tls, in, sizeof(in)));
	/* The other direction is open still. */
	side_write(&p.server, "answer", 6);
	pair_run(&p, SIZE_MAX);
	assert_int_equal(6, p.client.got.len);
	tls_eof(p.client.tls);
	expect_failed(&p.client, TLS_TRUNCATED);
	n = tls_read(p.client.tls, in, sizeof(in));
	assert_int_equal(-EPROTO, n);
	pair_deinit(&p);
}

/* What it can be fed and lent in pieces, and gives back. */
static void test_lending(void **state)
{
	static uint8_t data[40000], out[TLS_OUT_BYTES(2)], plain[40000];
	struct pair p;
	size_t left;

	pair_up(&p);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 31 >> 3);
	assert_int_equal(-EAGAIN, tls_write(p.client.tls, data, sizeof(data)));
	tls_lend(p.client.tls, out, TLS_OUT_ROOM + TLS_OVERHEAD);
	assert_int_equal(0, tls_room(p.client.tls));
	tls_lend(p.client.tls, out, TLS_OUT_ROOM + TLS_OVERHEAD + 1);
	assert_int_equal(1, tls_write(p.client.tls, data, sizeof(data)));
	bytes_add(&p.client.to_peer, out, tls_pending_out(p.client.tls));
	tls_lend(p.client.tls, out, sizeof(out));
	assert_int_equal(2 * TLS_RECORD_MAX, tls_room(p.client.tls));
	assert_int_equal(2 * TLS_RECORD_MAX, tls_write(p.client.tls, data + 1, sizeof(data)));
	assert_int_equal(2 * (TLS_RECORD_MAX + TLS_OVERHEAD), tls_pending_out(p.client.tls));
	assert_int_equal(0, tls_room(p.client.tls));
	bytes_add(&p.client.to_peer, out, tls_pending_out(p.client.tls));
	/* Only what is asked for is taken out of what was fed. */
	tls_feed(p.server.tls, p.client.to_peer.data, p.client.to_peer.len);
	assert_int_equal(10, tls_read(p.server.tls, plain, 10));
	left = tls_unfeed(p.server.tls);
	assert_true(left > TLS_RECORD_MAX && left < p.client.to_peer.len);
	bytes_drop(&p.client.to_peer, p.client.to_peer.len - left);
	tls_feed(p.server.tls, p.client.to_peer.data, p.client.to_peer.len);
	assert_int_equal(2 * TLS_RECORD_MAX + 1 - 10,
		tls_read(p.server.tls, plain + 10, sizeof(plain) - 10));
	assert_memory_equal(data, plain, 2 * TLS_RECORD_MAX + 1);
	assert_int_equal(-EAGAIN, tls_read(p.server.tls, plain, sizeof(plain)));
	assert_int_equal(0, tls_unfeed(p.server.tls));
	p.client.to_peer.len = 0;
	pair_deinit(&p);
}

/* Is there a record of this size in what was said? */
static size_t count_records(const struct bytes *b, size_t from, size_t size)
{
	size_t n = 0;

	for (size_t i = from; i + 5 <= b->len;) {
		size_t len = 5 + ((size_t)b->data[i + 3] << 8 | b->data[i + 4]);

		n += len == size;
		i += len;
	}
	return n;
}

static void test_rekey(void **state)
{
	uint8_t data[1000] = {1, 2, 3};
	enum { KEY_UPDATE = 27 };
	struct pair p;
	size_t c, s;

	pair_up(&p);
	c = p.client.all.len;
	s = p.server.all.len;
	/* One of them by records: the other answers by a new key of its own. */
	tls_set_rekey(p.client.tls, 10, INT64_MAX);
	for (int i = 0; i < 100; i++) {
		side_write(&p.client, data, sizeof(data));
		pair_run(&p, SIZE_MAX);
		side_write(&p.server, data, sizeof(data));
		pair_run(&p, SIZE_MAX);
	}
	assert_int_equal(10, tls_rekeys(p.client.tls));
	assert_int_equal(0, tls_rekeys(p.server.tls));
	assert_int_equal(10, count_records(&p.client.all, c, KEY_UPDATE));
	assert_int_equal(10, count_records(&p.server.all, s, KEY_UPDATE));
	/* Both, and by time. */
	tls_set_rekey(p.client.tls, UINT64_MAX, 0);
	tls_set_rekey(p.server.tls, UINT64_MAX, 0);
	for (int i = 0; i < 100; i++) {
		side_write(&p.client, data, sizeof(data));
		side_write(&p.server, data, sizeof(data));
		pair_run(&p, i % 2 ? SIZE_MAX : 13);
	}
	assert_int_equal(110, tls_rekeys(p.client.tls));
	assert_int_equal(100, tls_rekeys(p.server.tls));
	assert_int_equal(200 * sizeof(data), p.client.got.len);
	assert_int_equal(200 * sizeof(data), p.server.got.len);
	assert_int_equal(TLS_UP, tls_state(p.client.tls));
	assert_int_equal(TLS_UP, tls_state(p.server.tls));
	pair_deinit(&p);
}

/* A gigabyte: how fast, on one core that does both sides. */
static void test_throughput(void **state)
{
	enum { RECORDS = 4, ROUNDS = (1 << 30) / (RECORDS * TLS_RECORD_MAX) };
	static uint8_t data[RECORDS * TLS_RECORD_MAX], plain[RECORDS * TLS_RECORD_MAX];
	static uint8_t out[TLS_OUT_BYTES(RECORDS)];
	double write = 0, read = 0, t0, t1, t2;
	struct pair p;

	pair_up(&p);
	for (int i = 0; i < ROUNDS; i++) {
		ssize_t n;

		memcpy(data, &i, sizeof(i));
		tls_lend(p.client.tls, out, sizeof(out));
		t0 = seconds();
		n = tls_write(p.client.tls, data, sizeof(data));
		t1 = seconds();
		assert_int_equal(sizeof(data), n);
		tls_feed(p.server.tls, out, tls_pending_out(p.client.tls));
		n = tls_read(p.server.tls, plain, sizeof(plain));
		t2 = seconds();
		assert_int_equal(sizeof(data), n);
		assert_int_equal(-EAGAIN, tls_read(p.server.tls, data, 1));
		assert_memory_equal(&i, plain, sizeof(i));
		write += t1 - t0;
		read += t2 - t1;
	}
	print_message(
		"1 GiB, by processor time: writing %.0f MB/s, reading %.0f MB/s, both %.0f MB/s\n",
		1073.7 / write, 1073.7 / read, 1073.7 / (write + read));
	pair_deinit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TLS_TEST(test_handshake),
		TLS_TEST(test_two_peers),
		TLS_TEST(test_refused),
		TLS_TEST(test_refused_time),
		TLS_TEST(test_odd_identities),
		TLS_TEST(test_plain_clients),
		TLS_TEST(test_plain_good_client),
		TLS_TEST(test_early_data),
		TLS_TEST(test_plain_servers),
		TLS_TEST(test_plain_good_server),
		TLS_TEST(test_not_tls),
		TLS_TEST(test_end),
		TLS_TEST(test_lending),
		TLS_TEST(test_rekey),
		TLS_TEST(test_throughput),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
