/* SPDX-License-Identifier: ISC */
#include "world.h"

/*
 * Small cases in which everything can happen that happens in large ones. Bounds are chosen so that
 * all schedules of a scenario can be gone through in seconds.
 */

#define TURN_WRAP (((uint64_t)1 << SQI_TURN_BITS) - 2)

#define PUT(v)                                                                                     \
	{                                                                                          \
		OP_PUT, v, false                                                                   \
	}
#define PUT_WAIT(v)                                                                                \
	{                                                                                          \
		OP_PUT, v, true                                                                    \
	}
#define PUT_BLOCK(v)                                                                               \
	{                                                                                          \
		OP_PUT_BLOCK, v, false                                                             \
	}
#define RESERVE(v)                                                                                 \
	{                                                                                          \
		OP_RESERVE, v, false                                                               \
	}
#define GET                                                                                        \
	{                                                                                          \
		OP_GET, 0, false                                                                   \
	}
#define GET_WAIT                                                                                   \
	{                                                                                          \
		OP_GET, 0, true                                                                    \
	}
#define LEASE                                                                                      \
	{                                                                                          \
		OP_LEASE, 0, false                                                                 \
	}
#define LEASE_WAIT                                                                                 \
	{                                                                                          \
		OP_LEASE, 0, true                                                                  \
	}
#define ACK                                                                                        \
	{                                                                                          \
		OP_ACK, 0, false                                                                   \
	}
#define NACK                                                                                       \
	{                                                                                          \
		OP_NACK, 0, false                                                                  \
	}
#define TOUCH                                                                                      \
	{                                                                                          \
		OP_TOUCH, 0, false                                                                 \
	}
#define RECOVER                                                                                    \
	{                                                                                          \
		OP_RECOVER, 0, false                                                               \
	}
#define SWEEP                                                                                      \
	{                                                                                          \
		OP_SWEEP, 0, false                                                                 \
	}
#define EXPIRE                                                                                     \
	{                                                                                          \
		OP_EXPIRE, 0, false                                                                \
	}
#define CLOSE                                                                                      \
	{                                                                                          \
		OP_CLOSE, 0, false                                                                 \
	}
#define JOIN                                                                                       \
	{                                                                                          \
		OP_JOIN, 0, false                                                                  \
	}
#define SHUTDOWN                                                                                   \
	{                                                                                          \
		OP_SHUTDOWN, 0, false                                                              \
	}
#define SHUTDOWN_NOW                                                                               \
	{                                                                                          \
		OP_SHUTDOWN_NOW, 0, false                                                          \
	}

const struct scenario scenarios[] = {
	{"two producers", 2, .ops = {{PUT(1), PUT(2)}, {PUT(3), PUT(4)}}, .bounds = {4, 0, 0}},
	{"producer, consumer", 2, .ops = {{PUT(1), PUT(2)}, {GET, GET}}, .bounds = {4, 0, 0}},
	{"producer, two consumers", 2, .filled = 1,
		.ops = {{PUT(2), PUT(3)}, {GET, GET}, {GET, GET}}, .bounds = {3, 0, 0}},
	{"two producers, consumer", 2, .ops = {{PUT(1)}, {PUT(2)}, {GET, GET, GET}},
		.bounds = {4, 0, 0}},
	{"two producers, consumer, wrap", 2, .turn = TURN_WRAP,
		.ops = {{PUT(1), PUT(2)}, {PUT(3)}, {GET, GET, GET}}, .bounds = {3, 0, 0}},
	{"two producers, consumer, 4 cells", 4, .filled = 2,
		.ops = {{PUT(3), PUT(4)}, {PUT(5)}, {GET, GET, GET}}, .bounds = {3, 0, 0}},
	{"put killed", 2, .ops = {{PUT(1), PUT(2)}, {PUT(3), GET, GET}}, .bounds = {3, 1, 0}},
	{"put killed, recovered", 2, .ops = {{PUT(1), PUT(2)}, {GET, RECOVER, GET}},
		.bounds = {3, 1, 0}},
	{"put stopped", 2, .ops = {{PUT(1), PUT(2)}, {PUT(3), GET, GET}}, .bounds = {3, 0, 1}},
	{"get killed or stopped", 2, .filled = 2, .ops = {{GET, GET}, {GET, PUT(3), GET}},
		.bounds = {2, 1, 1}},
	{"block put, get, killed", 2, .ops = {{PUT_BLOCK(1)}, {GET, GET}, {RECOVER}},
		.bounds = {2, 1, 0}},
	{"block get killed, recovered", 2, .filled = 2, .filled_block = true,
		.ops = {{GET, GET}, {RECOVER, PUT_BLOCK(3)}, {GET}}, .bounds = {2, 1, 0}},
	{"block get stopped", 2, .filled = 1, .filled_block = true,
		.ops = {{GET}, {PUT_BLOCK(2), GET}}, .bounds = {3, 0, 1}},
	{"reserve killed", 2, .ops = {{RESERVE(1)}, {GET, RECOVER}}, .bounds = {3, 1, 0}},
	{"lease, ack, two of them", 2, .filled = 2,
		.ops = {{LEASE, ACK}, {LEASE, ACK}, {PUT(3), GET}}, .bounds = {3, 0, 0}},
	{"lease, ack, killed", 2, .filled = 1,
		.ops = {{LEASE, ACK}, {RECOVER, LEASE, ACK}, {PUT(2)}}, .bounds = {2, 1, 0}},
	{"lease, nack, get", 2, .filled = 1, .ops = {{LEASE, NACK}, {GET, GET}, {PUT(2), PUT(3)}},
		.bounds = {3, 0, 0}},
	{"lease, nack, twice", 2, .filled = 1,
		.ops = {{LEASE, NACK, LEASE, ACK}, {LEASE, NACK, GET}}, .bounds = {3, 0, 0}},
	{"lease of a block, nack, killed", 2, .filled = 1, .filled_block = true,
		.ops = {{LEASE, NACK}, {RECOVER, GET}, {PUT_BLOCK(2)}}, .bounds = {2, 1, 0}},
	{"lease of a block, stopped", 2, .filled = 1, .filled_block = true,
		.ops = {{LEASE, ACK}, {PUT(2), GET, GET}}, .bounds = {3, 0, 1}},
	{"two recoverers of a lease", 2, .filled = 1,
		.ops = {{LEASE, ACK}, {RECOVER}, {RECOVER, GET}}, .bounds = {2, 1, 0}},
	{"two recoverers of a block, one dies", 2, .filled = 1, .filled_block = true,
		.ops = {{GET}, {RECOVER}, {RECOVER, PUT_BLOCK(2), GET}}, .bounds = {1, 2, 0}},
	{"a slot's next tenant", 2, .filled = 1,
		.ops = {{LEASE, CLOSE, JOIN, LEASE, ACK}, {RECOVER, GET}, {PUT(2)}},
		.bounds = {2, 1, 0}},
	{"slow recoverer, next tenant", 2,
		.ops = {{PUT(1)}, {RECOVER}, {RECOVER, CLOSE, JOIN, PUT(2), GET}},
		.bounds = {2, 1, 0}},
	{"overdue", 2, 1000000, .filled = 1, .ops = {{LEASE, ACK}, {EXPIRE, SWEEP, GET}, {PUT(2)}},
		.bounds = {3, 0, 0}},
	{"overdue, touched", 2, 1000000, .filled = 1,
		.ops = {{LEASE, TOUCH, ACK}, {EXPIRE, SWEEP, LEASE, ACK}}, .bounds = {4, 0, 0}},
	{"overdue, two sweepers", 2, 1000000, .filled = 1, .filled_block = true,
		.ops = {{LEASE, NACK}, {EXPIRE, SWEEP}, {SWEEP, GET}}, .bounds = {2, 1, 0}},
	{"overdue, twice", 2, 1000000, .filled = 1, .filled_block = true,
		.ops = {{LEASE, ACK}, {LEASE, ACK}, {EXPIRE, SWEEP, EXPIRE, SWEEP, PUT_BLOCK(2)}},
		.bounds = {2, 0, 0}},
	{"sleep for a message", 2, .ops = {{GET_WAIT}, {PUT(1)}}, .bounds = {4, 0, 0}},
	{"two sleep for messages", 2, .ops = {{GET_WAIT}, {GET_WAIT}, {PUT(1), PUT(2)}},
		.bounds = {3, 0, 0}},
	{"sleep for room", 2, .filled = 2, .ops = {{PUT_WAIT(3)}, {GET, GET}}, .bounds = {4, 0, 0}},
	{"sleep for room, lease and ack", 2, .filled = 2, .ops = {{PUT_WAIT(3)}, {LEASE, ACK}},
		.bounds = {4, 0, 0}},
	{"sleep, and a waker killed", 2, .ops = {{GET_WAIT}, {PUT(1), PUT(2)}, {PUT(3)}},
		.bounds = {2, 1, 0}},
	{"sleep for what the dead have", 2, .filled = 1,
		.ops = {{LEASE, ACK}, {LEASE_WAIT, ACK}, {PUT(2)}}, .bounds = {2, 1, 0}},
	{"shut down, draining", 2, .filled = 1,
		.ops = {{PUT(2), PUT(3)}, {SHUTDOWN}, {GET, GET, GET}}, .bounds = {3, 0, 0}},
	{"shut down, put killed", 2, .ops = {{PUT(1)}, {SHUTDOWN}, {GET, GET}},
		.bounds = {3, 1, 0}},
	{"shut down, put stopped", 2, .ops = {{PUT(1)}, {SHUTDOWN, GET, GET}}, .bounds = {3, 0, 1}},
	{"shut down at once", 2, .filled = 1, .ops = {{PUT(2)}, {SHUTDOWN_NOW}, {GET, GET}},
		.bounds = {3, 0, 0}},
	{"shut down, a lease comes back", 2, .filled = 1,
		.ops = {{LEASE, NACK}, {SHUTDOWN}, {GET_WAIT}}, .bounds = {2, 0, 0}},
	{0},
};
