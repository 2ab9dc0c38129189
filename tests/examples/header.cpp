/* SPDX-License-Identifier: ISC */
#include "sq.h"

/* sq.h by itself, as C++. */

int header_is_cpp(const struct sq_stat *st);

int header_is_cpp(const struct sq_stat *st)
{
	return st->closed == SQ_OPEN && st->class_[0].count > 0;
}
