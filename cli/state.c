/* SPDX-License-Identifier: ISC */
#include "state.h"

const char *state_of(const struct sq_stat *st)
{
	if (!st->closed)
		return "open";
	return st->closed == 1 && st->depth + st->leased > 0 ? "draining" : "shut down";
}
