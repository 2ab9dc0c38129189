/* SPDX-License-Identifier: ISC */
/*
 * A producer: puts the numbers below COUNT, each exactly once, however often it is killed.
 *
 *	cc -o producer producer.c $(pkg-config --cflags --libs libsq)
 *	./producer pq 1 1000
 *
 * The queue counts what was put under a key. A producer that is started again with the same key is
 * told how many of its messages went in, also if it was killed in the middle of sq_put(), and goes on
 * with the next. Two producers at one time have different keys.
 *
 * Exit code: 0 all are in the queue; 1 an error; 2 usage.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <sq.h>

static int fail(const char *queue, int error)
{
	(void)fprintf(stderr, "producer: %s: %s\n", queue, sq_strerror(error));
	return 1;
}

/* Digits and nothing else: strtoull() takes -5 for a very large number. */
static bool number(uint64_t *ret, const char *text)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	return isdigit((unsigned char)*text) && *end == '\0' && errno == 0;
}

int main(int argc, char **argv)
{
	uint64_t key, count, done = 0;
	struct sq *q;
	int r;

	if (argc != 4 || !number(&key, argv[2]) || !number(&count, argv[3]) || key == 0) {
		(void)fprintf(stderr, "usage: producer QUEUE KEY COUNT\n");
		return 2;
	}
	r = sq_open(&q, argv[1]);
	if (r < 0)
		return fail(argv[1], r);
	r = sq_count_bind(q, key, &done); /* -EBUSY: the one before lives */
	while (r == 0 && done < count) {
		char text[24];
		int len = snprintf(text, sizeof(text), "%" PRIu64, done);

		r = sq_put(q, text, (size_t)len, SQ_FOREVER); /* waits while the queue is full */
		if (r == 0)
			done++;
	}
	sq_close(q);
	return r < 0 ? fail(argv[1], r) : 0;
}
