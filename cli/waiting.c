/* SPDX-License-Identifier: ISC */
#include "waiting.h"

#include "now.h"
#include "report.h"

#define SAY_NS INT64_C(1000000000)

void waiting_on(struct waiting *w, const char *queue, enum waiting_for what)
{
	int64_t now = now_ns();

	if (!w->since_ns)
		w->since_ns = now;
	if (w->quiet || now - w->since_ns < SAY_NS || atomic_exchange(w->said, true))
		return;
	(void)report(EXIT_DONE,
		what == WAITING_ROOM ? "%s is full, waiting for room" : "%s is empty, waiting",
		queue);
}

void waiting_over(struct waiting *w)
{
	w->since_ns = 0;
}
