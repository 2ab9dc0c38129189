/* SPDX-License-Identifier: ISC */
#include <sq.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * A program outside this tree: a message through a queue, by the library that it was linked with.
 */

static int failed(const char *what, int r)
{
	(void)fprintf(stderr, "FAILED: %s: %s\n", what, sq_strerror(r));
	return 1;
}

static int pass_one(void)
{
	char buf[8] = "";
	struct sq *q;
	ssize_t n;
	int r;

	r = sq_open(&q, "one");
	if (r < 0)
		return failed("sq_open", r);
	r = sq_put(q, "7", 1, SQ_NOWAIT);
	n = sq_get(q, buf, sizeof(buf), SQ_NOWAIT);
	sq_close(q);
	if (r < 0 || n != 1 || buf[0] != '7')
		return failed("a put and a get", r < 0 ? r : (int)n);
	return 0;
}

int main(void)
{
	char prefix[32];
	int r, result;

	(void)snprintf(prefix, sizeof(prefix), "consumer%d", (int)getpid());
	(void)setenv("SQ_PREFIX", prefix, 1);
	if (strcmp(sq_version(), SQ_VERSION) != 0)
		return failed("the header is of another version", 0);
	r = sq_create("one", NULL);
	if (r < 0)
		return failed("sq_create", r);
	result = pass_one();
	(void)sq_unlink("one");
	if (result == 0)
		(void)printf("libsq %s\n", sq_version());
	return result;
}
