/* SPDX-License-Identifier: ISC */
#include "state.h"

const char *state_of(const struct sq_stat *st)
{
	if (st->closed == SQ_OPEN)
		return "open";
	return st->closed == SQ_DRAINING && st->depth + st->leased > 0 ? "draining" : "shut down";
}
