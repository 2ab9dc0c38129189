/* SPDX-License-Identifier: ISC */
#include "sq.h"

/* sq.h by itself, as strict C11. */

int header_is_c(const struct sq_stat *st);

int header_is_c(const struct sq_stat *st)
{
	return st->closed == SQ_OPEN && st->class[0].count > 0;
}
