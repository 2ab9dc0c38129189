/* SPDX-License-Identifier: ISC */
#include <bsd/string.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "loop_in.h"

/* Which driver: io_uring, and epoll where that is denied or missing, or where SQ_LOOP wants it. */

static int have(
	struct loop *l, const struct driver *driver, const struct loop_config *config, char *why)
{
	unsigned young = config->young_buffers ? config->young_buffers : LOOP_YOUNG_BUFFERS;
	int r = driver->open(l, config, why);

	if (r < 0)
		return r;
	l->driver = driver;
	r = loop_buffers_init(l, &l->young, young, LOOP_YOUNG_BYTES);
	if (r == 0)
		return 0;
	if (r == -EINVAL)
		r = -ENOTSUP; /* buffer rings are of 5.19, what else we need no later than 6.1 */
	loop_explain(r, why);
	driver->close(l);
	l->driver = NULL;
	return r;
}

/*
 * Is this error permanent, and the same for every process here? A lack of memory or descriptors is
 * not.
 */
static bool denied(int error)
{
	return error == -EPERM || error == -EACCES || error == -ENOSYS || error == -ENOTSUP;
}

bool loop_wish_ok(void)
{
	const char *wish = getenv("SQ_LOOP");

	return !wish || !*wish || strcmp(wish, "poll") == 0 || strcmp(wish, "uring") == 0;
}

int loop_choose(struct loop *l, const struct loop_config *config, char *why)
{
	const char *wish = getenv("SQ_LOOP");
	char other[LOOP_WHY_MAX] = "";
	int r;

	if (!wish)
		wish = "";
	if (!loop_wish_ok()) {
		(void)strlcpy(why, LOOP_WISH_WHY, LOOP_WHY_MAX);
		return -EINVAL;
	}
	if (strcmp(wish, "poll") == 0) {
		(void)strlcpy(why, "SQ_LOOP=poll", LOOP_WHY_MAX);
	} else {
		r = have(l, &loop_uring_driver, config, why);
		if (r == 0 || *wish || !denied(r))
			return r;
		l->stats = (struct loop_stats){0};
	}
	r = have(l, &loop_epoll_driver, config, other);
	if (r < 0)
		(void)strlcpy(why, other, LOOP_WHY_MAX);
	return r;
}
