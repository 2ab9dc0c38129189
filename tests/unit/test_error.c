/* SPDX-License-Identifier: ISC */
#include "fixture.h"

#include <limits.h>
#include <stdio.h>

/* Words for results. */

static void test_ours(void **state)
{
	static const int errors[] = {EAGAIN, ETIMEDOUT, EPIPE, EMSGSIZE, ESTALE, ENOENT, EEXIST,
		EACCES, EPROTO, EBADMSG, EBADF, EUSERS, EBUSY, ENOSPC, EINVAL};
	const size_t n = sizeof(errors) / sizeof(errors[0]);

	assert_string_equal(sq_strerror(0), "done");
	for (size_t i = 0; i < n; i++) {
		const char *text = sq_strerror(-errors[i]);

		/* Ours, not the kernel's, which speaks of files and sockets. */
		assert_string_not_equal(text, strerror(errors[i]));
		assert_ptr_equal(sq_strerror(errors[i]), text);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(text, sq_strerror(-errors[k]));
	}
}

static void test_others(void **state)
{
	assert_string_equal(sq_strerror(-ENOMEM), "Cannot allocate memory");
	assert_string_equal(sq_strerror(-99999), "an unknown error");
	assert_string_equal(sq_strerror(INT_MAX), "an unknown error");
	assert_string_equal(sq_strerror(INT_MIN), "an unknown error");
}

static void test_version(void **state)
{
	char text[32];

	assert_string_equal(sq_version(), SQ_VERSION);
	(void)snprintf(text, sizeof(text), "%d.%d.%d", SQ_VERSION_MAJOR, SQ_VERSION_MINOR,
		SQ_VERSION_PATCH);
	assert_string_equal(SQ_VERSION, text);
	assert_string_equal(SQ_VERSION, BUILD_VERSION); /* what libsq.pc and libsq.so.N say */
	assert_int_equal(SQ_VERSION_NUMBER / 1000000, SQ_VERSION_MAJOR);
	assert_int_equal(SQ_VERSION_NUMBER / 1000 % 1000, SQ_VERSION_MINOR);
	assert_int_equal(SQ_VERSION_NUMBER % 1000, SQ_VERSION_PATCH);
}

static const struct CMUnitTest tests[] = {TEST(test_ours), TEST(test_others), TEST(test_version)};

FX_MAIN(tests)
