/* SPDX-License-Identifier: ISC */
#include "scratch.h"

#include <fcntl.h>

#include "log.h"

/* What a line looks like whatever is in it, and how many of a kind there are. */

#define WALL   (1700000000123456789u)
#define SECOND 1000000000u

static char lines[400][LOG_LINE_MAX + 1];
static int n;
static uint64_t steady;
static int fail_with;

static long fake_write(const char *line, unsigned long len, void *data)
{
	if (fail_with) {
		errno = fail_with == EINTR ? EINTR : EPIPE;
		if (fail_with == EINTR)
			fail_with = 0;
		return -1;
	}
	assert_true(n < 400 && len <= LOG_LINE_MAX);
	/* One line, whole. */
	assert_ptr_equal(memchr(line, '\n', len), line + len - 1);
	memcpy(lines[n], line, len);
	lines[n++][len - 1] = '\0';
	return (long)len;
}

static uint64_t fake_wall(void *data)
{
	return WALL;
}

static uint64_t fake_steady(void *data)
{
	return steady;
}

static int begin(void **state)
{
	static const struct log_world world = {fake_write, fake_wall, fake_steady, NULL};

	n = 0;
	fail_with = 0;
	steady = 50 * (uint64_t)SECOND;
	log_fake(&world);
	log_setup(LEVEL_INFO, LOG_PLAIN);
	return 0;
}

static int leave(void **state)
{
	log_fake(NULL);
	return 0;
}

#define HEAD "ts=2023-11-14T22:13:20.123Z level=info event="

static void test_line(void **state)
{
	log_event(LEVEL_INFO, "link_up", LOG_STR("peer", "farm1"), LOG_U64("streams", 3),
		LOG_I64("shift", -5), LOG_ERR(-ECONNRESET), LOG_STR("absent", NULL),
		LOG_TEXT("name", "pqrst", 2), LOG_U64("most", UINT64_MAX));
	assert_int_equal(n, 1);
	assert_string_equal(lines[0],
		HEAD "link_up peer=farm1 streams=3 shift=-5 error=\"Connection reset by peer\" "
		     "name=pq most=18446744073709551615");
}

static void test_journal(void **state)
{
	static const enum log_level levels[] = {
		LEVEL_ERROR, LEVEL_WARNING, LEVEL_NOTICE, LEVEL_INFO, LEVEL_DEBUG};

	log_setup(LEVEL_DEBUG, LOG_JOURNAL);
	for (unsigned i = 0; i < LOG_LEVELS; i++) {
		char want[64];

		log_event(levels[i], "x", LOG_U64("i", i));
		(void)snprintf(want, sizeof(want), "<%u>event=x i=%u", i + 3, i);
		assert_string_equal(lines[i], want);
	}
}

static void test_levels(void **state)
{
	static const char *const names[] = {"error", "warning", "notice", "info", "debug"};

	for (unsigned set = 0; set < LOG_LEVELS; set++) {
		log_setup(set, LOG_PLAIN);
		n = 0;
		for (unsigned i = 0; i < LOG_LEVELS; i++) {
			assert_int_equal(log_enabled(i), i <= set);
			log_event(i, names[i], LOG_U64("i", i));
			assert_string_equal(log_level_name(i), names[i]);
		}
		assert_int_equal(n, set + 1);
		assert_non_null(strstr(lines[set], names[set]));
		steady += 2 * (uint64_t)SECOND;
	}
	assert_string_equal(log_level_name(LOG_LEVELS), "?");
}

static void test_escapes(void **state)
{
	static const struct {
		const char *value, *want;
	} cases[] = {
		{"", "\"\""},
		{"a b", "\"a b\""},
		{"a=b", "\"a=b\""},
		{"say \"no\"", "\"say \\\"no\\\"\""},
		{"back\\slash", "\"back\\\\slash\""},
		{"two\nlines\r\tevent=forged", "\"two\\nlines\\r\\tevent=forged\""},
		{"\x1b[31m\x7f", "\"\\x1b[31m\\x7f\""},
		{"\xc3\xa4\xff", "\"\\xc3\\xa4\\xff\""},
		{"[::1]:80", "[::1]:80"},
		{"a.b_c-d@e#f/g+h,i%j", "a.b_c-d@e#f/g+h,i%j"},
		{"'", "\"'\""},
		{"{}", "\"{}\""},
	};
	char want[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		n = 0;
		steady += 2 * (uint64_t)SECOND;
		log_event(LEVEL_INFO, "x", LOG_STR("v", cases[i].value));
		(void)snprintf(want, sizeof(want), HEAD "x v=%s", cases[i].want);
		assert_string_equal(lines[0], want);
	}
	/* Every byte, zero too. */
	for (int byte = 0; byte < 256; byte++) {
		char value[3] = {'a', (char)byte, 'b'};
		const char *end;

		n = 0;
		steady += 2 * (uint64_t)SECOND;
		log_event(LEVEL_INFO, "x", LOG_TEXT("v", value, 3));
		assert_int_equal(n, 1);
		for (const char *p = lines[0]; *p; p++)
			assert_in_range(*p, ' ', '~');
		end = lines[0] + strlen(lines[0]) - 1;
		assert_int_equal(*end == '"' ? end[-1] : *end, 'b');
	}
}

/* However much comes, a line has its length, and its end. */
static void test_long(void **state)
{
	static char big[5000], nasty[5000];

	memset(big, 'y', sizeof(big) - 1);
	memset(nasty, '\x01', sizeof(nasty) - 1);
	log_event(LEVEL_INFO, "x", LOG_STR("v", big), LOG_U64("after", 1));
	assert_int_equal(
		strlen(lines[0]), strlen(HEAD "x v=\"") + LOG_VALUE_MAX + 3 + strlen("\" after=1"));
	assert_non_null(strstr(lines[0], "yyy...\" after=1"));
	log_event(LEVEL_INFO, "x", LOG_STR("v", nasty), LOG_U64("after", 1));
	assert_non_null(strstr(lines[1], "\\x01...\" after=1"));
	for (size_t len = 0; len < sizeof(big); len += 7) {
		struct log_field f[16];
		int quotes = 0;

		n = 0;
		steady += 2 * (uint64_t)SECOND;
		for (int i = 0; i < 15; i++)
			f[i] = LOG_TEXT("v", i % 2 ? big : nasty, (uint32_t)len);
		f[15] = LOG_END;
		log_write(LEVEL_INFO, "x", f);
		assert_int_equal(n, 1);
		assert_true(strlen(lines[0]) < LOG_LINE_MAX);
		/* No field is cut in the middle. */
		for (const char *p = lines[0]; *p; p++)
			quotes += *p == '"';
		assert_int_equal(quotes % 2, 0);
	}
	/* A value at its limit is whole. */
	n = 0;
	steady += 2 * (uint64_t)SECOND;
	log_event(LEVEL_INFO, "x", LOG_TEXT("v", big, LOG_VALUE_MAX));
	assert_null(strstr(lines[0], "..."));
}

static void test_rate(void **state)
{
	for (int i = 0; i < 1000; i++)
		log_event(LEVEL_INFO, "knock", LOG_U64("i", (uint64_t)i));
	assert_int_equal(n, LOG_BURST);
	assert_int_equal(log_suppressed(), 1000 - LOG_BURST);
	/* Others are not held up by it. */
	log_event(LEVEL_INFO, "other", LOG_U64("i", 1));
	assert_int_equal(n, LOG_BURST + 1);
	/* Within the second nothing; with the next, how many there were. */
	steady += SECOND - 1000000;
	log_tick();
	log_event(LEVEL_WARNING, "knock", LOG_U64("i", 1000));
	assert_int_equal(n, LOG_BURST + 1);
	steady += 1000000;
	log_event(LEVEL_INFO, "knock", LOG_U64("i", 1001));
	assert_int_equal(n, LOG_BURST + 3);
	assert_string_equal(lines[LOG_BURST + 1],
		"ts=2023-11-14T22:13:20.123Z level=warning event=suppressed kind=knock count=991 "
		"span_ms=1000");
	assert_string_equal(lines[LOG_BURST + 2], HEAD "knock i=1001");
	/* Not told twice. */
	steady += 2 * (uint64_t)SECOND;
	log_tick();
	assert_int_equal(n, LOG_BURST + 3);
	/* Nor left untold if that kind never comes again. */
	for (int i = 0; i < 12; i++)
		log_event(LEVEL_INFO, "knock", LOG_U64("i", 1));
	assert_int_equal(n, 2 * LOG_BURST + 3);
	steady += 2 * (uint64_t)SECOND;
	log_tick();
	assert_int_equal(n, 2 * LOG_BURST + 4);
	assert_non_null(strstr(lines[n - 1], "kind=knock count=2 span_ms=2000"));
	log_tick();
	assert_int_equal(n, 2 * LOG_BURST + 4);
	/* What is not written at this level counts for nothing. */
	for (int i = 0; i < 100; i++)
		log_event(LEVEL_DEBUG, "quiet", LOG_U64("i", 1));
	log_event(LEVEL_INFO, "quiet", LOG_U64("i", 1));
	assert_int_equal(n, 2 * LOG_BURST + 5);
}

/* More kinds than there is room for share one rate. */
static void test_kinds(void **state)
{
	static char names[LOG_KINDS_MAX + 30][16];

	for (int i = 0; i < LOG_KINDS_MAX + 30; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "kind_%d", i);
		log_event(LEVEL_INFO, names[i], LOG_U64("i", 1));
	}
	assert_int_equal(n, LOG_KINDS_MAX + LOG_BURST);
	steady += 2 * (uint64_t)SECOND;
	log_tick();
	assert_int_equal(n, LOG_KINDS_MAX + LOG_BURST + 1);
	assert_non_null(strstr(lines[n - 1], "kind=others count=20"));
}

static void test_lost(void **state)
{
	fail_with = EINTR;
	log_event(LEVEL_INFO, "x", LOG_U64("i", 1));
	assert_int_equal(n, 1);
	assert_int_equal(log_lost(), 0);
	fail_with = EPIPE;
	log_event(LEVEL_INFO, "x", LOG_U64("i", 2));
	assert_int_equal(n, 1);
	assert_int_equal(log_lost(), 1);
}

/* Standard error itself; and that it is the journal's is believed only of the stream named. */
static void test_real(void **state)
{
	int saved = dup(STDERR_FILENO), fd;
	struct stat st;
	char env[64], *text;

	log_fake(NULL);
	fd = open("err", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && dup2(fd, STDERR_FILENO) == STDERR_FILENO);
	assert_int_equal(fstat(fd, &st), 0);
	(void)snprintf(env, sizeof(env), "%llu:%llu", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", env, 1), 0);
	log_setup(LEVEL_INFO, LOG_AUTO);
	log_event(LEVEL_INFO, "one", LOG_U64("i", 1));
	log_setup(LEVEL_INFO, LOG_PLAIN);
	log_event(LEVEL_INFO, "two", LOG_U64("i", 1));
	(void)snprintf(env, sizeof(env), "%llu:%llu", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino + 1);
	assert_int_equal(setenv("JOURNAL_STREAM", env, 1), 0);
	log_setup(LEVEL_INFO, LOG_AUTO);
	log_event(LEVEL_INFO, "three", LOG_U64("i", 1));
	assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	(void)close(saved);
	(void)close(fd);
	text = scratch_read("err");
	assert_memory_equal(text, "<6>event=one i=1\nts=20", 22);
	assert_non_null(strstr(text, "Z level=info event=two i=1\nts=20"));
	assert_non_null(strstr(text, "Z level=info event=three i=1\n"));
	free(text);
}

/* A full pipe without a reader: the daemon goes on, and counts what was lost. */
static void test_halted(void **state)
{
	char full[4096] = {0};
	int saved = dup(STDERR_FILENO), ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
	while (write(ends[1], full, sizeof(full)) > 0)
		continue;
	assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
	log_fake(NULL);
	log_setup(LEVEL_INFO, LOG_PLAIN);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	(void)alarm(60);
	log_event(LEVEL_INFO, "one", LOG_U64("i", 1));
	(void)alarm(0);
	assert_int_equal(read(ends[0], full, sizeof(full)), sizeof(full));
	log_event(LEVEL_INFO, "two", LOG_U64("i", 1));
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(log_lost(), 1);
	(void)close(saved);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

#define LOG_TEST(f) cmocka_unit_test_setup_teardown(f, begin, leave)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		LOG_TEST(test_line),
		LOG_TEST(test_journal),
		LOG_TEST(test_levels),
		LOG_TEST(test_escapes),
		LOG_TEST(test_long),
		LOG_TEST(test_rate),
		LOG_TEST(test_kinds),
		LOG_TEST(test_lost),
		SCRATCH_TEST(test_real),
		SCRATCH_TEST(test_halted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
