/* SPDX-License-Identifier: ISC */
#include "letters.h"

#include <errno.h>

const char *letters_why(const struct sq_stat *st)
{
	struct sq_stat to;
	int r = sq_look(st->dead_letter, &to);

	if (r == -ENOENT)
		return "missing";
	if (r < 0)
		return sq_strerror(r);
	if (to.closed != SQ_OPEN)
		return "shut down";
	if (to.depth + to.leased + to.undelivered >= to.capacity)
		return "full";
	if (to.max_message < st->max_message)
		return "made for shorter messages";
	return "about to take them";
}
