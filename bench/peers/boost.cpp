/* SPDX-License-Identifier: ISC */
#include <boost/interprocess/ipc/message_queue.hpp>

#include <cstdio>
#include <exception>
#include <new>
#include <unistd.h>

#include "loops.h"

/* Boost.Interprocess: a mutex, two conditions and a heap of messages in shared memory. */

using boost::interprocess::message_queue;

namespace
{

int wrong(const char *what, const std::exception &e)
{
	return say(EXIT_BROKEN, "boost: %s: %s", what, e.what());
}

message_queue *queue_of(peer_queue *q)
{
	return static_cast<message_queue *>(q->memory);
}

void name_of(char *buf, size_t cap, const peer_queue *q)
{
	(void)std::snprintf(buf, cap, "sqbench-boost-%ld-%u", long(getpid()), q->number);
}

int queue_open(peer_queue *q)
{
	char name[64];

	name_of(name, sizeof(name), q);
	try {
		q->memory = new message_queue(
			boost::interprocess::create_only, name, q->capacity, q->size);
	} catch (const std::exception &e) {
		return wrong("open", e);
	}
	(void)message_queue::remove(name); /* children inherit the mapping */
	(void)std::snprintf(q->setup, sizeof(q->setup), "capacity %lu", (unsigned long)q->capacity);
	return EXIT_DONE;
}

void queue_close(peer_queue *q)
{
	delete queue_of(q);
}

/* Waits itself if its user does not. */
template <bool waits> int put(peer_queue *q, void *message)
{
	try {
		if (!waits)
			return queue_of(q)->try_send(message, q->size, 0);
		queue_of(q)->send(message, q->size, 0);
		return 1;
	} catch (const std::exception &e) {
		return -wrong("send", e);
	}
}

template <bool waits> int get(peer_queue *q, void *message)
{
	message_queue::size_type got;
	unsigned priority;

	try {
		if (!waits)
			return queue_of(q)->try_receive(message, q->size, got, priority);
		queue_of(q)->receive(message, q->size, got, priority);
		return 1;
	} catch (const std::exception &e) {
		return -wrong("receive", e);
	}
}

int produce(work *w)
{
	return w->spin.pauses < 0 ? loops_produce(w, put<true>) : loops_produce(w, put<false>);
}

int consume(work *w)
{
	return w->spin.pauses < 0 ? loops_consume(w, get<true>) : loops_consume(w, get<false>);
}

int ask(work *there, work *back, uint32_t *ret_ns, unsigned trips, int64_t rest_ns)
{
	if (there->spin.pauses < 0)
		return loops_ask(there, back, ret_ns, trips, rest_ns, put<true>, get<true>);
	return loops_ask(there, back, ret_ns, trips, rest_ns, put<false>, get<false>);
}

int answer(work *there, work *back, unsigned trips)
{
	if (there->spin.pauses < 0)
		return loops_answer(there, back, trips, put<true>, get<true>);
	return loops_answer(there, back, trips, put<false>, get<false>);
}

} // namespace

extern "C" const peer peer_boost = {
	"boost message_queue",
	PEER_SPINS | PEER_OWN,
	0,
	0,
	queue_open,
	nullptr,
	produce,
	consume,
	ask,
	answer,
	queue_close,
};
