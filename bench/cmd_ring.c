/* SPDX-License-Identifier: ISC */
#include <stdlib.h>

#include "command.h"
#include "run.h"
#include "say.h"

/* sqbench ring: what a queue of ours moves, by the ways there are to put and to take. */

static int measure(const struct options *o, size_t size, struct ends ends, unsigned batch,
	int place, int lease)
{
	struct side *s = calloc(1, sizeof(*s));
	int code;

	if (!s)
		return say(EXIT_UNAVAILABLE, "no memory");
	*s = (struct side){.peer = &peer_sq,
		.ends = ends,
		.size = size,
		.batch = batch,
		.place = place,
		.lease = lease,
		.capacity = o->capacity,
		.messages = o->messages,
		.span_ns = o->span_ns};
	run_describe(s, "ring", o);
	code = run_choose_spin(s, o);
	run_describe(s, "ring", o);
	if (code == EXIT_DONE)
		code = run_all(&s, 1, o);
	if (code == EXIT_DONE)
		out_row(&s->row);
	free(s);
	return code;
}

int cmd_ring(const struct options *o)
{
	int code = EXIT_DONE;

	for (unsigned e = 0; e < o->ends_n; e++)
		for (unsigned i = 0; i < o->size.n; i++)
			for (unsigned b = 0; b < o->batch.n; b++)
				for (int way = 0; way < 4 && code == EXIT_DONE; way++) {
					int place = way / 2, lease = way % 2;

					if (!(o->modes & (place ? MODE_PLACE : MODE_COPY)) ||
						!(o->modes & (lease ? MODE_LEASE : MODE_GET)))
						continue;
					/* There are no batches of reservations or leases. */
					if (o->batch.v[b] > 1 && (place || lease))
						continue;
					code = measure(o, o->size.v[i], o->ends[e],
						(unsigned)o->batch.v[b], place, lease);
				}
	return code;
}
