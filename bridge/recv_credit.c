/* SPDX-License-Identifier: ISC */
#include "recv_impl.h"

/*
 * How many messages are wanted.
 *
 * Of a push: what may be held for want of room. Of a pull: as many as the workers here will begin
 * before others could come, and no more: what waits here could be done elsewhere. That is what was
 * done in a round trip and a half; and, while somebody sleeps for want of a task, more each time,
 * for a rate of nothing would stay one.
 */

#define MEASURE_NS 5000000
#define LEAD_NS    2000000 /* at least: the loop's own turns, and wake-ups */
#define BOOST_MAX  1024
#define RECENT_NS  ((int64_t)1000000000) /* a worker that did a task since is soon free */

static void measure(struct receiver *r, int64_t now_ns)
{
	int64_t span = now_ns - r->measured_ns;

	if (span < MEASURE_NS)
		return;
	if (r->measured_ns)
		r->rate = r->rate / 2 + (double)(r->done - r->done_before) / (double)span / 2;
	r->done_before = r->done;
	r->measured_ns = now_ns;
}

static uint64_t wanted(struct receiver *r, int64_t now_ns, int64_t rtt_ns)
{
	int64_t lead = rtt_ns + rtt_ns / 2;
	uint64_t coming = r->granted > r->received ? r->granted - r->received : 0, n;

	if (lead < LEAD_NS)
		lead = LEAD_NS;
	n = (uint64_t)(r->rate * (double)lead);
	/*
	 * Clear what was noted before this connection: that worker may be busy since, and one that
	 * still sleeps notes it again.
	 */
	if (r->granted_bytes == 0)
		(void)sq_wanted(r->q);
	/* A worker sleeps though all that was granted has come: grant more. */
	if (r->waiting == 0 && coming == 0 && sq_wanted(r->q) == 1)
		r->boost = r->boost == 0 ? 1 : r->boost < BOOST_MAX ? r->boost * 2 : BOOST_MAX;
	else if (r->waiting > 0 && r->boost > 0)
		r->boost /= 2;
	n += r->boost;
	return n == 0 && r->done_ns && now_ns - r->done_ns < RECENT_NS ? 1 : n;
}

/* Of a pull: how far beyond R. */
static uint64_t pull_room(struct receiver *r, int64_t now_ns, int64_t rtt_ns)
{
	uint64_t waiting = r->waiting + (r->received - r->scanned_at), want, room;

	measure(r, now_ns);
	want = wanted(r, now_ns, rtt_ns);
	want = want > waiting ? want - waiting : 0;
	room = r->window - r->owed_count;
	return want < room ? want : room;
}

bool receiver_credit(struct receiver *r, int64_t now_ns, int64_t rtt_ns, bool stop,
	uint64_t *ret_sequence, uint64_t *ret_bytes)
{
	uint64_t room = 0, sequence, bytes = r->put_bytes + r->window_bytes;
	bool news;

	if (!stop)
		room = r->ledger ? pull_room(r, now_ns, rtt_ns) : r->window;
	sequence = r->received + room;
	/* A grant is never taken back. */
	if (sequence < r->granted)
		sequence = r->granted;
	/* While much of the last grant is left no small one is sent: it would gain nothing. */
	news = sequence > r->granted &&
	       (r->granted <= r->received + room / 2 || r->granted <= r->received);
	news |= r->granted_bytes == 0 || bytes - r->granted_bytes > r->window_bytes / 4;
	if (!news)
		return false;
	r->granted = sequence;
	r->granted_bytes = bytes;
	*ret_sequence = sequence;
	*ret_bytes = bytes;
	return true;
}

void receiver_credit_left(const struct receiver *r, uint64_t *ret_messages, uint64_t *ret_bytes)
{
	uint64_t received = r->received + r->held_count;

	*ret_messages = r->granted > received ? r->granted - received : 0;
	*ret_bytes = r->granted_bytes > r->put_bytes ? r->granted_bytes - r->put_bytes : 0;
}
