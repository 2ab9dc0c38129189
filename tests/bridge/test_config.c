/* SPDX-License-Identifier: ISC */
#include "scratch.h"

#include "config.h"
#include "options.h"
#include "value.h"

/* Flags, variables and files: what they set, which wins, and what is reported of what is wrong. */

#define N32 "abcdefghijklmnopqrstuvwxyz-_0123"
#define N64 N32 N32

static char why[CONFIG_WHY_MAX];
static struct config c;

static int parse(const char *line)
{
	char words[4096], *argv[512] = {(char *)"sqbridge"};
	int argc = 1;

	assert_true(strlen(line) < sizeof(words));
	strcpy(words, line);
	for (char *p = strtok(words, " "); p; p = strtok(NULL, " "))
		argv[argc++] = p;
	memset(&c, 0x5a, sizeof(c));
	why[0] = '\0';
	return config_parse(&c, argc, argv, why);
}

static void good(const char *line)
{
	if (parse(line) != 0)
		fail_msg("%s: %s", line, why);
}

static void wrong(const char *line, const char *want)
{
	static uint8_t untouched[sizeof(c)];

	memset(untouched, 0x5a, sizeof(untouched));
	if (parse(line) == 0)
		fail_msg("%s: taken, not: %s", line, want);
	if (!strstr(why, want))
		fail_msg("%s: %s, not: %s", line, why, want);
	assert_memory_equal(&c, untouched, sizeof(c));
}

#define HUB  "hub --listen 0.0.0.0:5678 --keys hub.keys --share pq:pull"
#define LEAF "leaf hub.example:5678 --key farm1.key --pull pq"

static void test_issue(void **state)
{
	good("keygen --peer farm1 --keys hub.keys");
	assert_int_equal(c.role, CONFIG_KEYGEN);
	assert_string_equal(c.peer, "farm1");
	assert_string_equal(c.keys, "hub.keys");
	assert_string_equal(c.out, "farm1.key");
	assert_false(c.rotate || c.drop_old);
	good("keygen --peer farm1 --keys=hub.keys --rotate --out x");
	assert_true(c.rotate);
	assert_string_equal(c.out, "x");

	good("hub --listen 0.0.0.0:5678 --keys hub.keys --share pq:pull --share cq:push");
	assert_int_equal(c.role, CONFIG_HUB);
	assert_string_equal(c.address.host, "0.0.0.0");
	assert_int_equal(c.address.port, 5678);
	assert_string_equal(c.keys, "hub.keys");
	assert_string_equal(c.name, "hub");
	assert_int_equal(c.streams, 2);
	assert_string_equal(c.stream[0].queue, "pq");
	assert_string_equal(c.stream[0].local, "pq");
	assert_int_equal(c.stream[0].direction, WIRE_PULL);
	assert_string_equal(c.stream[1].queue, "cq");
	assert_int_equal(c.stream[1].direction, WIRE_PUSH);

	good("leaf hub.example:5678 --key farm1.key --pull pq --push cq");
	assert_int_equal(c.role, CONFIG_LEAF);
	assert_string_equal(c.address.host, "hub.example");
	assert_string_equal(c.keys, "farm1.key");
	assert_string_equal(c.name, "leaf");
	assert_int_equal(c.streams, 2);
	assert_int_equal(c.stream[0].direction, WIRE_PULL);
	assert_int_equal(c.stream[1].direction, WIRE_PUSH);
}

static void test_defaults(void **state)
{
	good(HUB);
	assert_true(c.redeliver_after_ns == 120000000000);
	assert_true(c.heartbeat_ns == 5000000000);
	assert_true(c.handshake_timeout_ns == 5000000000);
	assert_true(c.drain_timeout_ns == 30000000000);
	assert_int_equal(c.window, WIRE_WINDOW_MAX);
	assert_int_equal(c.window_bytes, 16 << 20);
	assert_int_equal(c.connections_max, 1024);
	assert_int_equal(c.unauthenticated_max, 64);
	assert_int_equal(c.log_level, LEVEL_INFO);
	assert_int_equal(c.log_format, LOG_AUTO);
	assert_string_equal(c.metrics.host, "");
	assert_string_equal(c.file, "");
	assert_int_equal(c.allows, 0);
	assert_false(c.check);
	good(LEAF);
	assert_true(c.retry_max_ns == 10000000000);
	assert_int_equal(c.mode, 0600);
}

/* Each row of the table: its default is one, its limits are taken, what is beyond is not. */
static void test_table(void **state)
{
	for (unsigned i = 0; i < options_n; i++) {
		const struct option_row *row = &options[i];
		struct config *one = calloc(1, sizeof(*one));
		char low[32], high[32];
		uint64_t v = 0;

		assert_non_null(row->help);
		assert_true(row->offset < sizeof(*one));
		assert_true((row->kind == OPTION_FLAG) == !row->arg);
		assert_ptr_equal(option_find(row->name, strlen(row->name), row->roles), row);
		if (row->by_default && option_set(one, row, row->by_default))
			fail_msg("%s: %s", row->name, row->by_default);
		if (row->kind == OPTION_SPAN) {
			value_span_text(low, sizeof(low), row->min);
			value_span_text(high, sizeof(high), row->max);
			assert_null(value_span(&v, low, row->min, row->max));
			assert_true(v == row->min);
			assert_null(option_set(one, row, high));
			assert_memory_equal((char *)one + row->offset, &row->max, 8);
			(void)snprintf(
				high, sizeof(high), "%lluns", (unsigned long long)row->max + 1);
			assert_non_null(option_set(one, row, high));
			if (row->min > 0) {
				(void)snprintf(low, sizeof(low), "%lluns",
					(unsigned long long)row->min - 1);
				assert_non_null(option_set(one, row, low));
			}
		} else if (row->kind == OPTION_COUNT || row->kind == OPTION_SIZE) {
			(void)snprintf(low, sizeof(low), "%llu", (unsigned long long)row->min);
			(void)snprintf(high, sizeof(high), "%llu", (unsigned long long)row->max);
			assert_null(option_set(one, row, low));
			assert_null(option_set(one, row, high));
			assert_memory_equal((char *)one + row->offset, &row->max, 8);
			(void)snprintf(low, sizeof(low), "%llu", (unsigned long long)row->min - 1);
			(void)snprintf(
				high, sizeof(high), "%llu", (unsigned long long)row->max + 1);
			assert_non_null(option_set(one, row, low));
			assert_non_null(option_set(one, row, high));
			assert_memory_equal((char *)one + row->offset, &row->max, 8);
		} else {
			assert_true(row->min == 0 && row->max == 0);
		}
		free(one);
	}
	/* A name is one thing only, whatever the role. */
	for (unsigned i = 0; i < options_n; i++)
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(options[i].name, options[k].name);
	/* What the wire can say of it. */
	assert_true(
		option_find("heartbeat", 9, CONFIG_HUB)->max / 1000000 <= WIRE_HEARTBEAT_MS_MAX);
	assert_true(option_find("redeliver-after", 15, CONFIG_HUB)->max / 1000000 <=
		    WIRE_REDELIVER_MS_MAX);
}

static void test_spans(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} right[] = {{"50ms", 50000000}, {"3s", 3000000000}, {"1m", 60000000000}, {"0", 0},
		{"0.0", 0}, {"0s", 0}, {"1.5s", 1500000000}, {"0.001ms", 1000}, {"7us", 7000},
		{"8ns", 8}, {"1h", 3600000000000}, {"2d", 172800000000000}, {"007s", 7000000000},
		{"0.5d", 43200000000000}, {"200000d", 17280000000000000000u}, {"5", 5000000000},
		{"1.5", 1500000000}};
	static const char *const bad[] = {"", ".", "5.", "1 s", " 1s", "1s ", "-1s", "+1s", "1x",
		"s", ".5s", "1.s", "1.0001s", "1..5s", "1e3s", "0x1s", "1S", "1min", "nan", "inf",
		"300000d", "18446744073709551616ns", "99999999999999999999s", "1ss"};
	uint64_t v = 0;
	char text[24];

	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		if (value_span(&v, right[i].text, 0, UINT64_MAX) || v != right[i].ns)
			fail_msg("%s: %llu", right[i].text, (unsigned long long)v);
		value_span_text(text, sizeof(text), right[i].ns);
		assert_null(value_span(&v, text, 0, UINT64_MAX));
		assert_true(v == right[i].ns);
	}
	v = 77;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!value_span(&v, bad[i], 0, UINT64_MAX) || v != 77)
			fail_msg("taken: %s", bad[i]);
	assert_string_equal(value_span(&v, "1s", 2000000000, 3600000000000),
		"a span of time from 2s to 1h: a number and us, ms, s, m, h or d; without one, seconds");
}

static void test_sizes_and_counts(void **state)
{
	static const struct {
		const char *text;
		uint64_t v;
	} right[] = {{"0", 0}, {"4096", 4096}, {"64K", 65536}, {"64k", 65536}, {"1M", 1 << 20},
		{"3G", 3ull << 30}, {"010", 10}, {"00", 0}, {"0010k", 10240}};
	static const char *const bad[] = {"", "K", "-1", "+1", " 1", "1 ", "0x10", "1KB", "1KK",
		"1.5M", "1T", "99999999999999999999", "9999999999999999G", "1e3"};
	uint64_t v = 0;
	char text[24];

	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		if (value_size(&v, right[i].text, 0, UINT64_MAX) || v != right[i].v)
			fail_msg("%s: %llu", right[i].text, (unsigned long long)v);
		value_size_text(text, sizeof(text), v);
		assert_null(value_size(&v, text, 0, UINT64_MAX));
		assert_true(v == right[i].v);
	}
	v = 77;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!value_size(&v, bad[i], 0, UINT64_MAX) || v != 77)
			fail_msg("taken: %s", bad[i]);
	assert_string_equal(value_size(&v, "1", 65536, 1 << 30),
		"a number of bytes from 64K to 1G; K, M and G are powers of 1024");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!value_count(&v, bad[i], 0, 1000000) || v != 77)
			fail_msg("taken: %s", bad[i]);
	assert_non_null(value_count(&v, "64K", 0, 1000000));
	assert_null(value_count(&v, "0012", 0, 1000000));
	assert_int_equal(v, 12);
	assert_string_equal(value_count(&v, "0", 1, 9), "a whole number from 1 to 9");
}

static void test_addresses(void **state)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
		bool v6;
	} right[] = {{"0.0.0.0:5678", "0.0.0.0", 5678, false}, {"[::]:1", "::", 1, true},
		{"[2001:db8::1]:65535", "2001:db8::1", 65535, true},
		{"hub-1.example_x:80", "hub-1.example_x", 80, false},
		{"[fe80::1%eth0]:9", "fe80::1%eth0", 9, true},
		{"[::ffff:1.2.3.4]:9", "::ffff:1.2.3.4", 9, true}};
	static const char *const bad[] = {"", ":", "host", "host:", ":5678", "host:65536",
		"host:-1", "host:1x", "host: 1", "ho st:1", "::1:5678", "2001:db8::1:5678", "[::1]",
		"[::1]5678", "[::1:5678", "::1]:5678", "[]:1", "[host]:1", "[12]:1", "host:1:2",
		"/path", "h/x:1", "host:99999999999999999999"};
	struct config_address a = {0};
	char text[CONFIG_HOST_MAX + 10], longest[CONFIG_HOST_MAX + 10];

	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		if (value_address(&a, right[i].text, false))
			fail_msg("refused: %s", right[i].text);
		assert_string_equal(a.host, right[i].host);
		assert_int_equal(a.port, right[i].port);
		assert_int_equal(a.v6, right[i].v6);
		assert_false(a.socket);
		config_address_text(text, sizeof(text), &a);
		assert_string_equal(text, right[i].text);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!value_address(&a, bad[i], true))
			fail_msg("taken: %s", bad[i]);
	assert_non_null(value_address(&a, "host:0", false));
	assert_null(value_address(&a, "host:0", true));
	memset(longest, 'h', CONFIG_HOST_MAX + 1);
	strcpy(longest + CONFIG_HOST_MAX, ":1");
	assert_null(value_address(&a, longest, false));
	strcpy(longest + CONFIG_HOST_MAX, "h:1");
	assert_non_null(value_address(&a, longest, false));

	assert_null(value_metrics(&a, "127.0.0.1:9567"));
	assert_int_equal(a.port, 9567);
	assert_null(value_metrics(&a, "/run/sqbridge/metrics"));
	assert_true(a.socket);
	config_address_text(text, sizeof(text), &a);
	assert_string_equal(text, "/run/sqbridge/metrics");
	memset(longest, '/', sizeof(longest));
	longest[CONFIG_SOCKET_MAX] = '\0';
	assert_null(value_metrics(&a, longest));
	longest[CONFIG_SOCKET_MAX] = '/';
	longest[CONFIG_SOCKET_MAX + 1] = '\0';
	assert_non_null(value_metrics(&a, longest));
	assert_non_null(value_metrics(&a, "run/metrics"));
}

static void test_queues(void **state)
{
	static const char *const bad[] = {"", "p.q", "p/q", "pq=", "=pq", "pq=a.b.c", "pq=.a",
		"pq=a.", "pq=a=b", "p q", N64 "x", "pq=" N64 "x", "pq=" N64 "x.a", "pq:"};
	static const char *const bad_share[] = {"", "pq", "pq:", "pq:both", "pq:pull:", ":pull",
		"pq:Pull", "p.q:pull", "pq=:pull", "pq=a:b:pull", "pq:pull=a"};
	static const char *const bad_allow[] = {"", "farm1", "farm1:pq", "farm1:pq:", "farm1:pq:x",
		":pq:pull", "farm1::pull", "**:pq:pull", "f#:pq:pull", "farm1:p.q:pull",
		"farm1:pq=a:pull", "farm1:pq:pull:", "*:*:pull", N64 "x:pq:pull"};
	struct config_stream s = {.direction = WIRE_PUSH};
	struct config_allow a;
	char name[CONFIG_NAME_MAX + 1];

	assert_null(value_stream(&s, "pq"));
	assert_string_equal(s.local, "pq");
	assert_int_equal(s.direction, WIRE_PUSH);
	assert_null(value_stream(&s, N64 "=" N64 "." N64));
	assert_string_equal(s.queue, N64);
	assert_string_equal(s.local, N64 "." N64);
	assert_int_equal(strlen(s.local), CONFIG_LOCAL_MAX);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!value_stream(&s, bad[i]))
			fail_msg("taken: %s", bad[i]);
	assert_null(value_share(&s, "pq=alice.tasks:push"));
	assert_string_equal(s.queue, "pq");
	assert_string_equal(s.local, "alice.tasks");
	assert_int_equal(s.direction, WIRE_PUSH);
	for (size_t i = 0; i < sizeof(bad_share) / sizeof(bad_share[0]); i++)
		if (!value_share(&s, bad_share[i]))
			fail_msg("taken: %s", bad_share[i]);
	assert_null(value_allow(&a, "farm.1@x:pq:push"));
	assert_string_equal(a.identity, "farm.1@x");
	assert_int_equal(a.direction, WIRE_PUSH);
	assert_null(value_allow(&a, "*:pq:pull"));
	for (size_t i = 0; i < sizeof(bad_allow) / sizeof(bad_allow[0]); i++)
		if (!value_allow(&a, bad_allow[i]))
			fail_msg("taken: %s", bad_allow[i]);
	assert_null(value_name(name, N32));
	assert_non_null(value_name(name, N32 "x"));
	assert_non_null(value_name(name, ""));
	assert_non_null(value_name(name, "a.b"));
}

static void test_flags(void **state)
{
	good(HUB
		" --log-level=debug --log-format journal --heartbeat=250ms --window 7 "
		"--window-bytes 1M --redeliver-after 2m --name b2 --metrics [::1]:0 "
		"--connections-max 65536 --unauthenticated-max 1 --drain-timeout 0 --check-config");
	assert_int_equal(c.log_level, LEVEL_DEBUG);
	assert_int_equal(c.log_format, LOG_JOURNAL);
	assert_int_equal(c.heartbeat_ns, 250000000);
	assert_int_equal(c.window, 7);
	assert_int_equal(c.window_bytes, 1 << 20);
	assert_true(c.redeliver_after_ns == 120000000000);
	assert_string_equal(c.name, "b2");
	assert_string_equal(c.metrics.host, "::1");
	assert_int_equal(c.connections_max, 65536);
	assert_int_equal(c.drain_timeout_ns, 0);
	assert_true(c.check);
	good("hub --listen [::]:0 --keys k --share pq:pull --share pq:push");
	assert_int_equal(c.address.port, 0);
	good("leaf --pull pq --key k --connect [::1]:1");
	good("leaf --pull pq=here --key k h:1 --push cq=there.cq");
	assert_string_equal(c.stream[0].local, "here");
	assert_string_equal(c.stream[1].local, "there.cq");

	wrong(HUB " --window 0", "--window: \"0\" must be a whole number from 1 to 65536");
	good(HUB " --heartbeat=5");
	assert_int_equal(c.heartbeat_ns, 5000000000);
	wrong(HUB " --heartbeat=2h", "--heartbeat: \"2h\" must be a span of time from 100ms to 1h");
	wrong(HUB " --heartbeat", "--heartbeat: wants a value: SPAN");
	wrong(HUB " --heartbeat=", "--heartbeat: \"\" must be a span");
	wrong(HUB " --heartbeat 1s --heartbeat 1s", "--heartbeat: was given already");
	wrong(HUB " --heart 1s", "--heart: there is no such flag; see `sqbridge hub --help`");
	wrong(HUB " --log_level info", "there is no such flag");
	wrong(HUB " --pull pq", "--pull: there is no such flag");
	wrong(LEAF " --share pq:pull", "--share: there is no such flag");
	wrong(LEAF " --keys k", "--keys: there is no such flag; see `sqbridge leaf --help`");
	wrong(HUB " --key k", "--key: there is no such flag");
	wrong(HUB " -x", "-x: there is no such flag");
	wrong(HUB " --", "--: there is no such flag");
	wrong(HUB " extra", "\"extra\" is not understood");
	wrong(LEAF " more:1", "\"more:1\" is not understood: the hub was given already");
	wrong("leaf host --key k --pull pq", "--connect: \"host\" must be an address such as");
	wrong("leaf host:0 --key k --pull pq", "--connect: \"host:0\" must be an address such as");
	wrong(HUB " --check-config=yes", "--check-config: takes no value");
	wrong(HUB " --log-level loud", "must be error, warning, notice, info or debug");
	wrong(HUB " --log-format xml", "must be auto, plain or journal");
	wrong("", "hub, leaf or keygen");
	wrong("spoke", "\"spoke\": must be hub, leaf or keygen");
	wrong("keygen --peer f#1 --keys k", "--peer: \"f#1\" must be an identity");
	wrong("keygen --peer f1 --keys k --config x", "there is no such flag");
}

static void test_modes(void **state)
{
	static const char *const bad[] = {
		"0", "", "0640", "0700", "066", "00660", "1660", "rw", "0660 "};
	static const struct {
		const char *text;
		uint32_t mode;
	} right[] = {{"0600", 0600}, {"660", 0660}, {"0666", 0666}, {"606", 0606}};
	uint32_t mode = 1;

	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		assert_null(value_mode(&mode, right[i].text));
		assert_int_equal(mode, right[i].mode);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (!value_mode(&mode, bad[i]))
			fail_msg("\"%s\" was taken", bad[i]);
	assert_int_equal(mode, 0606);
	good(LEAF " --mode 0660");
	assert_int_equal(c.mode, 0660);
	wrong(LEAF " --mode 0644", "--mode: \"0644\" must be 0600, 0660 for its group too");
	wrong(HUB " --mode 0660", "--mode: there is no such flag");
}

static void test_help(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to;

	good("--help");
	assert_int_equal(c.role, CONFIG_HELP);
	assert_int_equal(c.help_for, 0);
	good("-h");
	good("hub --help");
	assert_int_equal(c.help_for, CONFIG_HUB);
	good("leaf -h");
	assert_int_equal(c.help_for, CONFIG_LEAF);
	good("keygen --help");
	assert_int_equal(c.help_for, CONFIG_KEYGEN);
	good("help leaf");
	assert_int_equal(c.role, CONFIG_HELP);
	assert_int_equal(c.help_for, CONFIG_LEAF);
	wrong("help leave", "\"leave\": must be hub, leaf or keygen");
	good("--version");
	assert_int_equal(c.role, CONFIG_VERSION);
	good("version");
	assert_int_equal(c.role, CONFIG_VERSION);

	to = open_memstream(&text, &len);
	config_help(to, CONFIG_HUB);
	assert_int_equal(fclose(to), 0);
	for (unsigned i = 0; i < options_n; i++) {
		char flag[64];

		(void)snprintf(flag, sizeof(flag), "  --%s%s", options[i].name,
			options[i].arg ? " " : "\n");
		assert_int_equal(!!strstr(text, flag), !!(options[i].roles & CONFIG_HUB));
	}
	assert_non_null(strstr(text, "default 5s, from 100ms to 1h"));
	assert_non_null(strstr(text, "default 16M, from 64K to 1G"));
	assert_non_null(strstr(text, "default 1024, from 1 to 65536"));
	free(text);
	to = open_memstream(&text, &len);
	config_help(to, 0);
	assert_int_equal(fclose(to), 0);
	assert_non_null(strstr(text, "sqbridge keygen --peer"));
	free(text);
}

static void test_fits_together(void **state)
{
	char line[4096];
	size_t n;

	wrong("hub --keys k --share pq:pull", "where to listen?");
	wrong("hub --listen a:1 --share pq:pull", "whose keys?");
	wrong("hub --listen a:1 --keys k", "what to share?");
	wrong("leaf --key k --pull pq", "which hub?");
	wrong("leaf a:1 --pull pq", "which key?");
	wrong("leaf a:1 --key k", "which queues?");
	wrong("keygen --keys k", "for whom?");
	wrong("keygen --peer a", "to which file?");
	wrong("keygen --peer a --keys k --rotate --drop-old", "--rotate and --drop-old");
	wrong(HUB " --share pq:pull", "queue pq: named twice to pull");
	wrong(HUB " --share xq=pq:pull", "queue pq: two names for it to pull");
	wrong(LEAF " --push pq", "queue pq: a leaf either pulls or pushes it");
	wrong(LEAF " --push pq=other", "queue pq: a leaf either pulls or pushes it");
	wrong(LEAF " --push other=pq", "queue pq: a leaf either pulls or pushes it");
	wrong(LEAF " --pull pq", "queue pq: named twice to pull");
	wrong(LEAF " --pull pq=other", "queue pq: named twice to pull");
	wrong(LEAF " --pull xq=pq", "queue pq: two names for it to pull");
	wrong(HUB " --allow farm1:pq:push", "allow farm1:pq:push: that is not shared");
	wrong(HUB " --allow farm1:cq:pull", "allow farm1:cq:pull: that is not shared");
	wrong(HUB " --connections-max 9 --unauthenticated-max 10", "must not be above");
	good(HUB " --connections-max 10 --unauthenticated-max 10");

	n = (size_t)snprintf(line, sizeof(line), "leaf a:1 --key k");
	for (int i = 0; i < CONFIG_STREAMS_MAX; i++)
		n += (size_t)snprintf(line + n, sizeof(line) - n, " --pull q%d", i);
	good(line);
	assert_int_equal(c.streams, 64);
	(void)snprintf(line + n, sizeof(line) - n, " --pull one-more");
	wrong(line, "--pull: \"one-more\" must be one of at most 64");
}

static void test_allow(void **state)
{
	good(HUB " --share cq:push");
	assert_ptr_equal(config_allows(&c, "anyone", "pq", WIRE_PULL), &c.stream[0]);
	assert_ptr_equal(config_allows(&c, "anyone", "cq", WIRE_PUSH), &c.stream[1]);
	assert_null(config_allows(&c, "anyone", "pq", WIRE_PUSH));
	assert_null(config_allows(&c, "anyone", "cq", WIRE_PULL));
	assert_null(config_allows(&c, "anyone", "p", WIRE_PULL));
	/* With one of them, nothing else is. */
	good(HUB " --share cq:push --allow farm1:pq:pull --allow *:cq:push");
	assert_ptr_equal(config_allows(&c, "farm1", "pq", WIRE_PULL), &c.stream[0]);
	assert_null(config_allows(&c, "farm2", "pq", WIRE_PULL));
	assert_null(config_allows(&c, "farm", "pq", WIRE_PULL));
	assert_null(config_allows(&c, "*", "pq", WIRE_PULL));
	assert_null(config_allows(&c, "farm1", "pq", WIRE_PUSH));
	assert_ptr_equal(config_allows(&c, "farm2", "cq", WIRE_PUSH), &c.stream[1]);
	/* Neither the other direction of that queue nor another queue in that direction. */
	good(HUB " --share pq:push --share xq:pull --allow farm1:pq:pull --allow farm2:xq:pull "
		 "--allow farm3:pq:push");
	for (int who = 1; who <= 3; who++) {
		char name[8];

		(void)snprintf(name, sizeof(name), "farm%d", who);
		assert_int_equal(!!config_allows(&c, name, "pq", WIRE_PULL), who == 1);
		assert_int_equal(!!config_allows(&c, name, "xq", WIRE_PULL), who == 2);
		assert_int_equal(!!config_allows(&c, name, "pq", WIRE_PUSH), who == 3);
		assert_null(config_allows(&c, name, "xq", WIRE_PUSH));
	}
	good(HUB);
	assert_ptr_equal(config_share(&c, "pq", WIRE_PULL), &c.stream[0]);
	assert_null(config_share(&c, "pq", WIRE_PUSH));
}

static void test_file(void **state)
{
	scratch_write("hub.conf", 0644,
		"\xef\xbb\xbf# the hub\n"
		"log_level = warning ; for both\n"
		"   heartbeat=2s\r\n"
		"\n"
		"[hub]\n"
		"listen = [::]:5678\n"
		"keys: /etc/sqbridge/hub.keys\n"
		"share = pq:pull\n"
		"share = cq:push\n"
		"  share = xq=alice.xq:pull\n"
		"allow = farm1:pq:pull\n"
		"redeliver-after = 90s\n"
		"[leaf]\n"
		"redeliver_after = 10s\n"
		"connect = hub.example:5678\n"
		"key = farm1.key\n"
		"pull = pq\n");
	good("hub --config hub.conf");
	assert_string_equal(c.file, "hub.conf");
	assert_string_equal(c.address.host, "::");
	assert_string_equal(c.keys, "/etc/sqbridge/hub.keys");
	assert_int_equal(c.log_level, LEVEL_WARNING);
	assert_true(c.heartbeat_ns == 2000000000);
	assert_true(c.redeliver_after_ns == 90000000000);
	assert_int_equal(c.streams, 3);
	assert_string_equal(c.stream[2].local, "alice.xq");
	assert_int_equal(c.allows, 1);
	good("leaf --config=hub.conf");
	assert_string_equal(c.address.host, "hub.example");
	assert_string_equal(c.keys, "farm1.key");
	assert_true(c.redeliver_after_ns == 10000000000);
	assert_true(c.heartbeat_ns == 2000000000);
	assert_int_equal(c.streams, 1);
	/* Flags win, and lists add up. */
	good("leaf other:1 --config hub.conf --heartbeat 3s --push cq");
	assert_string_equal(c.address.host, "other");
	assert_true(c.heartbeat_ns == 3000000000);
	assert_int_equal(c.streams, 2);
	assert_int_equal(setenv("SQBRIDGE_CONFIG", "hub.conf", 1), 0);
	good("hub");
	assert_string_equal(c.file, "hub.conf");
	good("leaf");
	wrong("hub --config none.conf", "none.conf: No such file");
	assert_int_equal(unsetenv("SQBRIDGE_CONFIG"), 0);
	/* Options of the other role alone, before any section, are passed over. */
	scratch_write("both.conf", 0644,
		"listen = a:1\nkeys = k\nshare = pq:pull\nconnect = b:2\n"
		"key = l\npull = pq\n");
	good("hub --config both.conf");
	assert_string_equal(c.address.host, "a");
	assert_int_equal(c.streams, 1);
	good("leaf --config both.conf");
	assert_string_equal(c.address.host, "b");
	assert_string_equal(c.keys, "l");
}

static void test_wrong_files(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"nonsense\n", "f.conf:1: must be `option = value`"},
		{"\n\nnonsense", "f.conf:3: must be `option = value`"},
		{"[hub\n", "f.conf:1: must be"},
		{"[spoke]\nlisten = a:1\n", "f.conf:2: there is no section [spoke]"},
		{"loglevel = info\n", "f.conf:1: loglevel: there is no such option"},
		{"[hub]\npull = pq\n", "f.conf:2: pull: there is no such option"},
		{"[leaf]\nshare = pq:pull\n", "f.conf:2: share: there is no such option"},
		{"config = x\n", "f.conf:1: config: can be set as a flag only"},
		{"check-config = 1\n", "f.conf:1: check-config: can be set as a flag only"},
		{"peer = x\n", "f.conf:1: peer: there is no such option"},
		{"window = 0\n", "f.conf:1: window: \"0\" must be a whole number from 1 to 65536"},
		{"# 1\n[hub]\n\n  window =\n", "f.conf:4: window: \"\" must be"},
		{"[leaf]\nwindow = x\n", "f.conf:2: window: \"x\" must be"},
		{"connect = x\n", "f.conf:1: connect: \"x\" must be"},
		{"window = 1\n# and\nwindow = 2\n", "f.conf:3: window: was set in line 1 already"},
		{"window = 1\n[hub]\nwindow = 2\n", "f.conf:3: window: was set in line 1 already"},
		{"[leaf]\nretry-max=1s\nretry_max=1s\n", "f.conf:3: retry_max: was set in line 2"},
		{"share = pq:pull\nshare = pq\n", "f.conf:2: share: \"pq\" must be QUEUE:pull"},
		{"name = a\n b = c\n", "f.conf:2: b: there is no such option"},
		{"window = 1\n7\n", "f.conf:2: must be"},
		{"bad1 = 1\nbad2 = 2\n", "f.conf:1: bad1"},
	};
	char text[400];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		scratch_write("f.conf", 0644, cases[i].text);
		wrong(HUB " --config f.conf", cases[i].why);
	}
	/* A line that the parser would cut in two. */
	memset(text, 'x', sizeof(text));
	(void)snprintf(text, sizeof(text), "\n\nname = %0300d\n", 1);
	scratch_write("f.conf", 0644, text);
	wrong(HUB " --config f.conf", "f.conf:3: the line is longer than");
	text[2] = '#';
	scratch_write("f.conf", 0644, text);
	good(HUB " --config f.conf");
	assert_int_equal(truncate("f.conf", 1000), 0);
	wrong(HUB " --config f.conf", "f.conf: is no text");
	assert_int_equal(truncate("f.conf", CONFIG_FILE_MAX + 1), 0);
	assert_int_equal(parse(HUB " --config f.conf"), -EFBIG);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	wrong(HUB " --config fifo", "no regular file");
	wrong(HUB " --config .", "no regular file");
	wrong(HUB " --config f.conf --config f.conf", "--config: was given already");
}

static void test_environment(void **state)
{
	assert_int_equal(setenv("SQBRIDGE_LISTEN", "a:1", 1), 0);
	assert_int_equal(setenv("SQBRIDGE_KEYS", "from-env", 1), 0);
	assert_int_equal(setenv("SQBRIDGE_REDELIVER_AFTER", "7s", 1), 0);
	assert_int_equal(setenv("SQBRIDGE_KEY", "", 1), 0);
	scratch_write("f.conf", 0644, "redeliver_after = 8s\nkeys = from-file\nheartbeat = 9s\n");
	good("hub --share pq:pull --config f.conf");
	assert_string_equal(c.keys, "from-env");
	assert_true(c.redeliver_after_ns == 7000000000);
	assert_true(c.heartbeat_ns == 9000000000);
	good("hub --share pq:pull --config f.conf --keys from-flag");
	assert_string_equal(c.keys, "from-flag");
	assert_int_equal(setenv("SQBRIDGE_HEARTBEAT", "soon", 1), 0);
	wrong(HUB, "$SQBRIDGE_HEARTBEAT: \"soon\" must be a span");
	good("keygen --peer a");
	assert_int_equal(unsetenv("SQBRIDGE_HEARTBEAT"), 0);
	assert_int_equal(unsetenv("SQBRIDGE_LISTEN"), 0);
	assert_int_equal(unsetenv("SQBRIDGE_KEYS"), 0);
	assert_int_equal(unsetenv("SQBRIDGE_REDELIVER_AFTER"), 0);
	assert_int_equal(setenv("SQBRIDGE_SHARE", "pq:pull", 1), 0);
	wrong(HUB, "$SQBRIDGE_SHARE: lists are for the command line and the file");
	assert_int_equal(unsetenv("SQBRIDGE_SHARE"), 0);
	assert_int_equal(setenv("SQBRIDGE_HEARTBEATS", "1s", 1), 0);
	wrong(HUB, "$SQBRIDGE_HEARTBEATS: there is no such option");
	assert_int_equal(unsetenv("SQBRIDGE_HEARTBEATS"), 0);
}

static void test_credentials(void **state)
{
	char path[512];

	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", scratch_path(), 1), 0);
	wrong("hub --listen a:1 --share pq:pull", "whose keys?");
	scratch_write("sqbridge.key", 0400, "");
	wrong("hub --listen a:1 --share pq:pull", "whose keys?");
	scratch_write("sqbridge.keys", 0400, "");
	(void)snprintf(path, sizeof(path), "%s/sqbridge.keys", scratch_path());
	good("hub --listen a:1 --share pq:pull");
	assert_string_equal(c.keys, path);
	good("hub --listen a:1 --share pq:pull --keys mine");
	assert_string_equal(c.keys, "mine");
	path[strlen(path) - 1] = '\0';
	good("leaf a:1 --pull pq");
	assert_string_equal(c.keys, path);
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_issue),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_spans),
		cmocka_unit_test(test_sizes_and_counts),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_queues),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_fits_together),
		cmocka_unit_test(test_allow),
		SCRATCH_TEST(test_file),
		SCRATCH_TEST(test_wrong_files),
		SCRATCH_TEST(test_environment),
		SCRATCH_TEST(test_credentials),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
