/* SPDX-License-Identifier: ISC */
#include "fixture.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "segment/name.h"

/* Which names are names, and what file they stand for. */

#define N64 "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

static void test_valid(void **state)
{
	static const char *const good[] = {
		"a", "pq", "-", "_", "0", "A-b_9", "x.y", "tmp-1.pq", N64, N64 "." N64};

	assert_int_equal(strlen(N64), SQ_NAME_MAX);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (sqi_name_check(good[i]) != 0)
			fail_msg("refused: %s", good[i]);
}

static void test_invalid(void **state)
{
	static const char *const bad[] = {"", ".", "a.", ".a", "a..b", "a.b.c", "a/b", "/a", "..",
		"../a", "a b", " a", "a\n", "\xc3\xa9", "a.b/c", "a.b.", "a,b", "a:b", "a~",
		N64 "x", N64 "x.a", "a." N64 "x", N64 "." N64 "x"};

	assert_int_equal(sqi_name_check(NULL), -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char path[SQI_PATH_MAX];

		if (sqi_name_check(bad[i]) != -EINVAL)
			fail_msg("allowed: %s", bad[i]);
		assert_int_equal(sqi_name_path(path, bad[i]), -EINVAL);
		assert_int_equal(sq_create(bad[i], NULL), -EINVAL);
		assert_int_equal(sq_unlink(bad[i]), -EINVAL);
	}
}

static void test_path(void **state)
{
	char path[SQI_PATH_MAX];

	(void)setenv("SQ_PREFIX", "me", 1);
	assert_int_equal(sqi_name_path(path, "pq"), 0);
	assert_string_equal(path, "/dev/shm/sq.me.pq");
	assert_int_equal(sqi_name_path(path, "you.pq"), 0);
	assert_string_equal(path, "/dev/shm/sq.you.pq");
	(void)setenv("SQ_PREFIX", N64, 1);
	assert_int_equal(sqi_name_path(path, N64), 0);
	assert_string_equal(path, "/dev/shm/sq." N64 "." N64);
	assert_true(strlen(path) < SQI_PATH_MAX);
}

static void test_prefix(void **state)
{
	char buf[SQ_NAME_MAX + 1], path[SQI_PATH_MAX];

	(void)setenv("SQ_PREFIX", "team_1", 1);
	assert_int_equal(sq_prefix(buf, sizeof(buf)), 0);
	assert_string_equal(buf, "team_1");
	assert_int_equal(sq_prefix(buf, sizeof(buf) - 1), -EINVAL);
	assert_int_equal(sq_prefix(NULL, sizeof(buf)), -EINVAL);
	(void)setenv("SQ_PREFIX", "no.dots", 1);
	strcpy(buf, "untouched");
	assert_int_equal(sq_prefix(buf, sizeof(buf)), -EINVAL);
	assert_string_equal(buf, "untouched");
	assert_int_equal(sqi_name_path(path, "pq"), -EINVAL);
	/* A name that says its prefix does not ask the environment. */
	assert_int_equal(sqi_name_path(path, "you.pq"), 0);
	(void)setenv("SQ_PREFIX", N64 "x", 1);
	assert_int_equal(sq_prefix(buf, sizeof(buf)), -EINVAL);
	(void)setenv("SQ_PREFIX", "../x", 1);
	assert_int_equal(sq_prefix(buf, sizeof(buf)), -EINVAL);
}

static void test_prefix_of_the_user(void **state)
{
	const struct passwd *pw = getpwuid(geteuid());
	char buf[SQ_NAME_MAX + 1], want[64];

	if (pw)
		(void)snprintf(want, sizeof(want), "%.63s", pw->pw_name);
	else
		(void)snprintf(want, sizeof(want), "uid%lu", (unsigned long)geteuid());
	(void)unsetenv("SQ_PREFIX");
	assert_int_equal(sq_prefix(buf, sizeof(buf)), 0);
	assert_string_equal(buf, want);
	(void)setenv("SQ_PREFIX", "", 1);
	assert_int_equal(sq_prefix(buf, sizeof(buf)), 0);
	assert_string_equal(buf, want);
}

static void test_name_of_file(void **state)
{
	const char *name = NULL;

	assert_true(sqi_name_of(&name, "sq.me.pq"));
	assert_string_equal(name, "me.pq");
	name = NULL;
	assert_false(sqi_name_of(&name, "sq.pq"));
	assert_false(sqi_name_of(&name, "sq.tmp-0123456789abcdef"));
	assert_false(sqi_name_of(&name, "sq.a.b.c"));
	assert_false(sqi_name_of(&name, "sem.a.b"));
	assert_false(sqi_name_of(&name, "sq."));
	assert_false(sqi_name_of(&name, "sqXa.b"));
	assert_false(sqi_name_of(&name, "sq..b"));
	assert_null(name);
}

static const struct CMUnitTest tests[] = {
	TEST(test_valid),
	TEST(test_invalid),
	TEST(test_path),
	TEST(test_prefix),
	TEST(test_prefix_of_the_user),
	TEST(test_name_of_file),
};

FX_MAIN(tests)
