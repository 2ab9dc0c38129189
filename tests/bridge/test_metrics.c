/* SPDX-License-Identifier: ISC */
#include "scratch.h"

#include "metrics.h"

/* The text that Prometheus reads: families whole, labels escaped, numbers right. */

static char text[1 << 18];

static size_t render(const struct metrics *m)
{
	size_t len = metrics_render(m, text, sizeof(text));

	assert_true(len < sizeof(text));
	assert_int_equal(strlen(text), len);
	return len;
}

static void has(const char *line)
{
	char want[600];

	(void)snprintf(want, sizeof(want), "\n%s\n", line);
	if (!strstr(text, want))
		fail_msg("there is no line: %s\n%s", line, text);
}

static int count(const char *what)
{
	int n = 0;

	for (const char *p = text; (p = strstr(p, what)); p++)
		n++;
	return n;
}

static void test_daemon(void **state)
{
	struct metrics m;

	metrics_init(&m, "hub", "0.1.0");
	m.daemon.value[METRIC_START_TIME] = 1700000000;
	m.daemon.value[METRIC_CONNECTIONS] = 3;
	m.daemon.value[METRIC_REFUSED_WRONG_KEY] = 7;
	m.daemon.value[METRIC_REFUSED_VERSION] = UINT64_MAX;
	m.daemon.value[METRIC_RELOADS_FAILED] = 1;
	render(&m);
	has("sqbridge_info{role=\"hub\",version=\"0.1.0\"} 1");
	has("# TYPE sqbridge_connections gauge");
	has("# HELP sqbridge_connections Connections open now.");
	has("sqbridge_connections 3");
	has("sqbridge_start_time_seconds 1700000000");
	has("# TYPE sqbridge_connections_refused_total counter");
	has("sqbridge_connections_refused_total{reason=\"wrong_key\"} 7");
	has("sqbridge_connections_refused_total{reason=\"no_key\"} 0");
	has("sqbridge_connections_refused_total{reason=\"version\"} 18446744073709551615");
	has("sqbridge_reloads_total{result=\"done\"} 0");
	has("sqbridge_reloads_total{result=\"failed\"} 1");
	assert_int_equal(count("# TYPE sqbridge_connections_refused_total "), 1);
	assert_int_equal(count("\nsqbridge_connections_refused_total{"),
		METRIC_REFUSED_VERSION - METRIC_REFUSED_WRONG_KEY + 1);
	/* Families without samples are named nevertheless. */
	has("# TYPE sqbridge_link_up gauge");
	assert_int_equal(count("\nsqbridge_link_up{"), 0);
}

static void test_sets(void **state)
{
	struct metrics m;
	struct metrics_set link1, link2, stream1, stream2;

	metrics_init(&m, "hub", "0.1.0");
	memset(&link1, 0x5a, sizeof(link1));
	metrics_add(&m, &link1, METRICS_OF_LINK, "farm1", NULL, 0);
	metrics_add(&m, &stream1, METRICS_OF_STREAM, "farm1", "pq", WIRE_PULL);
	metrics_add(&m, &link2, METRICS_OF_LINK, "farm2", NULL, 0);
	metrics_add(&m, &stream2, METRICS_OF_STREAM, "farm2", "cq", WIRE_PUSH);
	link1.value[METRIC_UP] = 1;
	link2.value[METRIC_ROUND_TRIP] = 1234567;
	stream1.value[METRIC_MESSAGES_SENT] = 5;
	stream2.value[METRIC_OLDEST] = 61000000001;
	stream2.value[METRIC_OWED] = 2;
	/* Not of its scope: not shown. */
	stream2.value[METRIC_UP] = 99;
	render(&m);
	has("sqbridge_link_up{peer=\"farm1\"} 1");
	has("sqbridge_link_up{peer=\"farm2\"} 0");
	has("sqbridge_link_round_trip_seconds{peer=\"farm2\"} 0.001234567");
	has("sqbridge_messages_sent_total{peer=\"farm1\",queue=\"pq\",direction=\"pull\"} 5");
	has("sqbridge_messages_sent_total{peer=\"farm2\",queue=\"cq\",direction=\"push\"} 0");
	has("sqbridge_oldest_unsettled_seconds{peer=\"farm2\",queue=\"cq\",direction=\"push\"} "
	    "61.000000001");
	has("sqbridge_owed{peer=\"farm2\",queue=\"cq\",direction=\"push\"} 2");
	assert_int_equal(count(" 99\n"), 0);
	metrics_remove(&m, &link1);
	metrics_remove(&m, &stream2);
	render(&m);
	assert_int_equal(count("peer=\"farm1\"} "), 0);
	assert_int_equal(count("queue=\"cq\""), 0);
	has("sqbridge_link_up{peer=\"farm2\"} 0");
	has("sqbridge_messages_sent_total{peer=\"farm1\",queue=\"pq\",direction=\"pull\"} 5");
}

/* HELP, TYPE, then samples: each family once, in one piece, all of them sqbridge's. */
static void test_form(void **state)
{
	struct metrics m;
	struct metrics_set sets[6];
	char family[128] = "", seen[METRICS_N + 1][128];
	int families = 0;

	metrics_init(&m, "leaf", "1");
	for (int i = 0; i < 6; i++)
		metrics_add(&m, &sets[i], i % 2 ? METRICS_OF_LINK : METRICS_OF_STREAM, "p", "q",
			WIRE_PULL);
	assert_int_equal(text[render(&m) - 1], '\n');
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		char name[128], type[16];

		if (strncmp(line, "# HELP ", 7) == 0) {
			assert_int_equal(sscanf(line, "# HELP %127s", family), 1);
			for (int i = 0; i < families; i++)
				assert_string_not_equal(seen[i], family);
			strcpy(seen[families++], family);
			assert_int_equal(line[strlen(line) - 1], '.');
			line = strtok(NULL, "\n");
			assert_int_equal(sscanf(line, "# TYPE %127s %15s", name, type), 2);
			assert_string_equal(name, family);
			/* A counter's name says so, and no other's. */
			assert_int_equal(strcmp(type, "counter") == 0,
				strcmp(name + strlen(name) - strlen("_total"), "_total") == 0);
		} else {
			assert_memory_equal(line, "sqbridge_", 9);
			assert_memory_equal(line, family, strlen(family));
			assert_non_null(strchr(" {", line[strlen(family)]));
		}
	}
	/* One for each metric, but those with a label of their own share theirs; and what runs. */
	assert_int_equal(families, METRICS_N - (METRIC_REFUSED_VERSION - METRIC_REFUSED_WRONG_KEY) -
					   (METRIC_RELOADS_FAILED - METRIC_RELOADS) + 1);
}

static void test_labels(void **state)
{
	struct metrics m;
	struct metrics_set set;
	char peer[200];

	metrics_init(&m, "hub", "0.1.0");
	metrics_add(&m, &set, METRICS_OF_STREAM, "a\"b\\c\nd", "q\"", WIRE_PUSH);
	render(&m);
	has("sqbridge_owed{peer=\"a\\\"b\\\\c\\nd\",queue=\"q\\\"\",direction=\"push\"} 0");
	metrics_remove(&m, &set);
	memset(peer, 'p', sizeof(peer) - 1);
	peer[sizeof(peer) - 1] = '\0';
	metrics_add(&m, &set, METRICS_OF_LINK, peer, NULL, 0);
	render(&m);
	assert_int_equal(strlen(set.peer), KEYS_IDENTITY_MAX);
}

/* Whatever the room, the length is that of the whole, and nothing is written behind it. */
static void test_room(void **state)
{
	struct metrics m;
	struct metrics_set set;
	size_t len;

	metrics_init(&m, "hub", "0.1.0");
	metrics_add(&m, &set, METRICS_OF_STREAM, "farm1", "pq", WIRE_PULL);
	len = render(&m);
	for (size_t cap = 0; cap <= len + 1; cap += cap < 300 || cap > len - 3 ? 1 : 97) {
		char *buf = malloc(cap > 0 ? cap : 1);

		assert_int_equal(metrics_render(&m, buf, cap), len);
		if (cap > 0)
			assert_memory_equal(buf, text, cap <= len ? cap - 1 : len + 1);
		free(buf);
	}
	assert_int_equal(metrics_render(&m, NULL, 0), len);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_daemon),
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
