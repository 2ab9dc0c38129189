/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "crew.h"
#include "step.h"
#include "trace.h"

/* The life of a child: a handle, what the operation needs, the operation, what comes after it. */

static struct me me; /* so that nothing on the stack or heap depends on the operation */

/* The child has this message for good. */
void me_take(struct me *m, const void *data, size_t len)
{
	if (m->report->takes < TAKEN)
		m->report->taken[m->report->takes] = crew_read(data, len);
	m->report->takes++;
}

void child_live(const struct op *op, struct report *report, const char *name, pid_t parent)
{
	child_of(parent);
	me.op = op;
	me.report = report;
	me.name = name;
	me.len = op->size;
	(void)snprintf(me.other, sizeof(me.other), "%s-made", name);
	for (unsigned i = 0; i < 4; i++) {
		/* sq_put_many(): small ones and large ones, unless it is for a group. */
		me.iov[i].iov_base = me.buf[i];
		me.iov[i].iov_len = crew_write(
			me.buf[i], CHILD + i, i == 1 && !op->group ? BLOCK : op->size);
	}
	if (!(op->flags & BARE)) {
		me.h = crew_open(name);
		if (!(op->flags & NO_KEY) && sq_count_bind(me.h, KEY, &report->key_base) < 0)
			crew_die("the child cannot bind its key");
		/* Warm, but nothing taken: it does not fit, or there is nothing. */
		if (!(op->flags & COLD))
			(void)sq_get(me.h, NULL, 0, SQ_NOWAIT);
	}
	if (op->prepare)
		op->prepare(&me);
	trace_me();
	trace_begin();
	report->result = op->run(&me);
	trace_end();
	trace_pause();
	if (op->finish)
		op->finish(&me);
	sq_close(me.h);
	_exit(0);
}
