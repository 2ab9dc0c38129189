/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <malloc.h>

#include "tls_pair.h"

/*
 * An attacker on the wire: it cuts at every byte, changes every bit, repeats what it overheard. It
 * never gets a byte delivered as data, and never takes more memory than the constants here.
 */

/* What one that has not proved anything can make a server hold: a repeated ClientHello. Measured. */
#define REPLAY_BYTES_MAX ((size_t)64 << 10)

static struct tls_context *farm1;

static int begin(void **state)
{
	int r = pair_begin(state);

	farm1 = r == 0 ? pair_client_context("farm1", 1) : NULL;
	return r;
}

static bool up(const struct side *s)
{
	return tls_state(s->tls) == TLS_UP;
}

/* `from` hears what `to` has to say. What it says to that, to be freed. */
static struct bytes answer(struct side *from, struct side *to)
{
	struct bytes b = {0};

	bytes_add(&b, to->to_peer.data, to->to_peer.len);
	to->to_peer.len = 0;
	side_hear(from, b.data, b.len);
	b.len = 0;
	bytes_add(&b, from->to_peer.data, from->to_peer.len);
	from->to_peer.len = 0;
	return b;
}

/* A handshake in which the bytes of one side come to an end after `cut` of them. */
static void cut_at(bool client, size_t cut, size_t whole)
{
	struct pair p;
	struct side *from, *to;
	size_t moved = 0;

	pair_init(&p, farm1, pair_server_context);
	from = client ? &p.client : &p.server;
	to = client ? &p.server : &p.client;
	side_hear(&p.client, NULL, 0);
	while (from->to_peer.len > 0 || to->to_peer.len > 0) {
		struct bytes b = answer(from, to);

		if (b.len > cut - moved)
			b.len = cut - moved;
		moved += b.len;
		side_hear(to, b.data, b.len);
		bytes_free(&b);
	}
	assert_int_equal(cut == whole, up(to));
	tls_eof(to->tls);
	assert_int_equal(TLS_FAILED, tls_state(to->tls));
	assert_int_equal(TLS_TRUNCATED, tls_reason(to->tls));
	assert_int_equal(0, to->got.len);
	pair_deinit(&p);
}

static void test_cuts(void **state)
{
	size_t client, server;
	struct pair p;

	pair_up(&p);
	client = p.client.all.len;
	server = p.server.all.len;
	pair_deinit(&p);
	print_message("a handshake is %zu bytes and %zu back\n", client, server);
	for (size_t i = 0; i <= client; i++)
		cut_at(true, i, client);
	for (size_t i = 0; i <= server; i++)
		cut_at(false, i, server);
}

/*
 * The version in the head of a record that is not yet enciphered: RFC 8446 says to ignore it. All
 * else is covered by the handshake's transcript.
 */
static bool of_no_meaning(const struct bytes *all, size_t at)
{
	for (size_t i = 0; i + 5 <= all->len;) {
		size_t len = 5 + ((size_t)all->data[i + 3] << 8 | all->data[i + 4]);

		if (at < i + len)
			return all->data[i] == 22 && (at == i + 1 || at == i + 2);
		i += len;
	}
	return false;
}

/* Change one bit of what one side says in a handshake: they are never both up. */
static bool handshake_with_flip(bool client, size_t at, unsigned bit)
{
	struct pair p;
	struct side *from, *to;
	size_t moved = 0;
	bool both, meaningless;

	pair_init(&p, farm1, pair_server_context);
	from = client ? &p.client : &p.server;
	to = client ? &p.server : &p.client;
	side_hear(&p.client, NULL, 0);
	while (from->to_peer.len > 0 || to->to_peer.len > 0) {
		struct bytes b = answer(from, to);

		if (at >= moved && at < moved + b.len)
			b.data[at - moved] ^= (uint8_t)(1U << bit);
		moved += b.len;
		side_hear(to, b.data, b.len);
		bytes_free(&b);
	}
	both = up(&p.client) && up(&p.server);
	meaningless = of_no_meaning(&from->all, at);
	pair_deinit(&p);
	if (both && !meaningless)
		fail_msg("%s byte %zu bit %u: both are up", client ? "client" : "server", at, bit);
	return both;
}

static void test_flips_in_handshake(void **state)
{
	size_t len[2], survived = 0;
	struct pair p;

	pair_up(&p);
	len[0] = p.client.all.len;
	len[1] = p.server.all.len;
	pair_deinit(&p);
	for (int client = 0; client <= 1; client++)
		for (size_t at = 0; at < len[!client]; at++)
			for (unsigned bit = 0; bit < 8; bit++)
				survived += handshake_with_flip(client, at, bit);
	print_message("%zu of %zu flips were of no meaning\n", survived, (len[0] + len[1]) * 8);
}

/* One record of data, each bit of it; no byte comes through, and the reason is told. */
static void test_flips_in_data(void **state)
{
	static const char text[] = "a message that nobody may change";

	for (int client = 0; client <= 1; client++) {
		size_t bytes = sizeof(text) + TLS_OVERHEAD;

		for (size_t at = 0; at < bytes * 8; at++) {
			struct pair p;
			struct side *from, *to;

			pair_up(&p);
			from = client ? &p.client : &p.server;
			to = client ? &p.server : &p.client;
			side_write(from, text, sizeof(text));
			assert_int_equal(bytes, from->to_peer.len);
			from->to_peer.data[at / 8] ^= (uint8_t)(1U << at % 8);
			side_hear(to, from->to_peer.data, from->to_peer.len);
			/* Made longer, it is waited for; then the end comes. */
			if (up(to) && (at / 8 == 3 || at / 8 == 4))
				tls_eof(to->tls);
			assert_int_equal(TLS_FAILED, tls_state(to->tls));
			assert_true(tls_reason(to->tls) == TLS_DAMAGED ||
				    tls_reason(to->tls) == TLS_TRUNCATED ||
				    tls_reason(to->tls) == TLS_PROTOCOL);
			assert_int_equal(0, to->got.len);
			pair_deinit(&p);
		}
	}
}

/* What one session said, said again to another. */
static void test_replay(void **state)
{
	static const size_t steps[] = {SIZE_MAX, 1};
	struct pair old, p;

	pair_up(&old);
	side_write(&old.client, "pay once", 8);
	side_write(&old.server, "paid", 4);
	for (size_t i = 0; i < 2; i++) {
		size_t step = steps[i] < old.client.all.len ? steps[i] : old.client.all.len;

		pair_init(&p, farm1, pair_server_context);
		for (size_t at = 0; at < old.client.all.len; at += step)
			side_hear(&p.server, old.client.all.data + at, step);
		assert_int_equal(TLS_FAILED, tls_state(p.server.tls));
		assert_int_equal(0, p.server.got.len);
		side_hear(&p.client, NULL, 0);
		side_hear(&p.client, old.server.all.data, old.server.all.len);
		assert_int_equal(TLS_FAILED, tls_state(p.client.tls));
		assert_int_equal(0, p.client.got.len);
		pair_deinit(&p);
	}
	pair_deinit(&old);
}

/* A record twice, left out, before its turn, sent back to who said it, or from another session. */
static void test_records_out_of_place(void **state)
{
	for (int which = 0; which < 6; which++) {
		const size_t size = 5 + TLS_OVERHEAD;
		struct pair p, other;
		struct bytes b = {0};
		size_t got;

		pair_up(&p);
		pair_up(&other);
		side_write(&p.client, "first", 5);
		side_write(&p.client, "secnd", 5);
		side_write(&other.client, "third", 5);
		switch (which) {
		case 0: /* as it should be, so that the others prove something */
			bytes_add(&b, p.client.to_peer.data, 2 * size);
			break;
		case 1:
			bytes_add(&b, p.client.to_peer.data, size);
			bytes_add(&b, p.client.to_peer.data, size);
			break;
		case 2:
			bytes_add(&b, p.client.to_peer.data + size, size);
			break;
		case 3:
			bytes_add(&b, p.client.to_peer.data + size, size);
			bytes_add(&b, p.client.to_peer.data, size);
			break;
		case 4:
			bytes_add(&b, other.client.to_peer.data, size);
			break;
		default:
			bytes_add(&b, p.client.to_peer.data, size);
		}
		got = which == 0 ? 10 : which == 1 ? 5 : 0;
		if (which < 5) {
			side_hear(&p.server, b.data, b.len);
			assert_int_equal(got, p.server.got.len);
			assert_int_equal(which == 0 ? TLS_UP : TLS_FAILED, tls_state(p.server.tls));
		} else {
			side_hear(&p.client, b.data, b.len);
			assert_int_equal(0, p.client.got.len);
			assert_int_equal(TLS_FAILED, tls_state(p.client.tls));
		}
		if (which > 0)
			assert_int_equal(
				TLS_DAMAGED, tls_reason(which < 5 ? p.server.tls : p.client.tls));
		bytes_free(&b);
		pair_deinit(&p);
		pair_deinit(&other);
	}
}

/* Plain text to one that is up: a new hello, an alert, a handshake message, data. */
static void test_plain_text_when_up(void **state)
{
	static const uint8_t alert[] = {21, 3, 3, 0, 2, 1, 0};
	static const uint8_t data[] = {23, 3, 3, 0, 2, 'h', 'i'};
	static const uint8_t tiny[] = {23, 3, 3, 0, 0};
	static const uint8_t huge[] = {23, 3, 3, 0xff, 0xff, 0};
	struct pair p, fresh;

	pair_init(&fresh, farm1, pair_server_context);
	side_hear(&fresh.client, NULL, 0);
	for (int which = 0; which < 5; which++) {
		const struct {
			const uint8_t *data;
			size_t len;
		} cases[] = {
			{fresh.client.all.data, fresh.client.all.len},
			{alert, sizeof(alert)},
			{data, sizeof(data)},
			{tiny, sizeof(tiny)},
			{huge, sizeof(huge)},
		};

		pair_up(&p);
		side_hear(&p.server, cases[which].data, cases[which].len);
		assert_int_equal(TLS_FAILED, tls_state(p.server.tls));
		assert_int_equal(0, p.server.got.len);
		pair_deinit(&p);
	}
	pair_deinit(&fresh);
}

static size_t hello_bytes(const struct pair *p)
{
	const uint8_t *head = p->client.all.data;

	return 5 + ((size_t)head[3] << 8 | head[4]);
}

/* A sanitizer's, of which mallinfo2() knows nothing. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OTHER_ALLOCATOR
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OTHER_ALLOCATOR
#endif
#endif

static size_t used(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/*
 * Memory before a peer is authenticated: nothing but a struct for one that connects or sends slowly;
 * what one record takes for one that sends almost all of it; and the most for a peer without a key:
 * by a ClientHello that it has overheard.
 */
static void test_young_memory(void **state)
{
	enum { N = 16 };
	struct pair old, p[N];
	size_t before, silent, slow, replayed, hello;

	pair_up(&old);
	hello = hello_bytes(&old);
	/* Once before, for what OpenSSL keeps for itself. */
	pair_init(&p[0], NULL, pair_server_context);
	side_hear(&p[0].server, old.client.all.data, hello);
	pair_deinit(&p[0]);
	before = used();
	for (int i = 0; i < N; i++)
		assert_int_equal(0, tls_new(&p[i].server.tls, pair_server_context));
	silent = (used() - before) / N;
	for (int i = 0; i < N; i++) {
		struct tls *t = p[i].server.tls;

		for (size_t k = 0; k < hello - 1; k++) {
			tls_feed(t, old.client.all.data + k, 1);
			assert_int_equal(-EAGAIN, tls_read(t, NULL, 0));
		}
	}
	slow = (used() - before) / N;
	for (int i = 0; i < N; i++) {
		static uint8_t out[TLS_OUT_HANDSHAKE];
		struct tls *t = p[i].server.tls;

		tls_lend(t, out, sizeof(out));
		tls_feed(t, old.client.all.data + hello - 1, 1);
		assert_int_equal(-EAGAIN, tls_read(t, NULL, 0));
		assert_true(tls_pending_out(t) > 0);
		tls_lend(t, NULL, 0);
		(void)tls_unfeed(t);
	}
	replayed = (used() - before) / N;
	for (int i = 0; i < N; i++)
		tls_free(p[i].server.tls);
	print_message("before the key is proved: silent %zu bytes, slow %zu, repeating %zu\n",
		silent, slow, replayed);
	pair_deinit(&old);
#ifndef OTHER_ALLOCATOR
	assert_true(silent > 0 && silent <= TLS_YOUNG_BYTES + 64);
	assert_true(slow <= silent + 1024);
	assert_true(replayed > slow && replayed <= REPLAY_BYTES_MAX);
#endif
}

/* After a repeated hello, records that mean nothing, for ever: to the limit and no further. */
static void test_handshake_limit(void **state)
{
	static const uint8_t nothing[] = {20, 3, 3, 0, 1, 1};
	struct pair old, p;
	size_t heard = 0, hello;

	pair_up(&old);
	hello = hello_bytes(&old);
	pair_init(&p, NULL, pair_server_context);
	side_hear(&p.server, old.client.all.data, hello);
	assert_int_equal(TLS_HANDSHAKING, tls_state(p.server.tls));
	while (tls_state(p.server.tls) == TLS_HANDSHAKING) {
		side_hear(&p.server, nothing, sizeof(nothing));
		heard += sizeof(nothing);
		assert_true(hello + heard <= HANDSHAKE_BYTES_MAX + sizeof(nothing));
	}
	assert_int_equal(TLS_FAILED, tls_state(p.server.tls));
	pair_deinit(&p);
	pair_deinit(&old);
}

#define ATTACK(f) cmocka_unit_test_setup_teardown(f, begin, pair_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ATTACK(test_cuts),
		ATTACK(test_flips_in_handshake),
		ATTACK(test_flips_in_data),
		ATTACK(test_replay),
		ATTACK(test_records_out_of_place),
		ATTACK(test_plain_text_when_up),
		ATTACK(test_young_memory),
		ATTACK(test_handshake_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
