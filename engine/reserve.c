/* SPDX-License-Identifier: ISC */
#include "sq.h"

#include <errno.h>
#include <stdlib.h>

#include "call.h"
#include "ops/put.h"
#include "segment/closed.h"

/*
 * The public calls for reservations. The caller writes a large message to a block of the queue, and
 * a small one to memory of the handle, because no cell may be held while it writes; then the
 * message is put. See sq.h. Each call works on the caller's own handle; any number of participants
 * may be in it at once.
 */

int sq_reserve(struct sq *h, size_t len, void **ret)
{
	int r = sqi_handle_check(h, SQ_NOWAIT);
	uint64_t cap;

	if (r < 0)
		return r;
	if (!ret)
		return -EINVAL;
	if (h->reservation)
		return -EBUSY;
	if (len > h->ring.g.in.max_message)
		return -EMSGSIZE;
	if (sqi_load_seq(&h->ring.head->closed))
		return sqi_closed_error(h->ring.head);
	if (len <= h->ring.small) {
		if (!h->buffer)
			h->buffer = malloc(h->ring.small);
		if (!h->buffer)
			return -ENOMEM;
		h->reservation = SQI_RESERVED_SMALL;
		*ret = h->buffer;
	} else {
		r = sqi_block_get(&h->ring, len, &h->reserved);
		sqi_note_operation(h);
		if (r < 0)
			return r;
		h->reservation = SQI_RESERVED_BLOCK;
		*ret = sqi_block_data(&h->ring, h->reserved.index, &cap);
	}
	h->reserved_cap = len;
	return 0;
}

int sq_commit(struct sq *h, size_t len, int64_t timeout)
{
	struct sqi_message m = {.len = len};
	int r = sqi_handle_check(h, timeout);
	uint64_t cap;

	if (r < 0)
		return r;
	if (!h->reservation)
		return -EINVAL;
	if (len > h->reserved_cap)
		return -EMSGSIZE;
	if (h->reservation == SQI_RESERVED_SMALL) {
		m.data = h->buffer;
	} else if (len <= h->ring.small) {
		m.data = sqi_block_data(&h->ring, h->reserved.index, &cap);
	} else {
		m.block = h->reserved;
		m.block.len = len;
	}
	r = sqi_call(h, &h->producing, timeout, sqi_attempt_put, &m);
	if (r < 0)
		return r;
	if (m.data)
		sq_abort(h); /* the message was copied to the cell: free the block */
	h->reservation = SQI_RESERVED_NONE;
	return 0;
}

void sq_abort(struct sq *h)
{
	if (!h || h->file.forked)
		return;
	if (h->reservation == SQI_RESERVED_BLOCK)
		sqi_block_free(&h->ring, &h->reserved);
	h->reservation = SQI_RESERVED_NONE;
}
