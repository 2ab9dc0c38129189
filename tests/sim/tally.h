/* SPDX-License-Identifier: ISC */
#ifndef TESTS_SIM_TALLY_H
#define TESTS_SIM_TALLY_H

/*
 * What happened in the runs, counted where it took effect. The second word: 1, it must have happened
 * in a whole run, or the run has shown nothing about it; 0, for information.
 */
#define TALLY(X)                                                                                   \
	X(TASKS, 1, "tasks made")                                                                  \
	X(MADE_AT_LEAF, 1, "of these, at a leaf")                                                  \
	X(RESULTS, 1, "results put")                                                               \
	X(COLLECTED_AT_LEAF, 1, "results collected at a leaf")                                     \
	X(IN_BATCH, 1, "frames of messages")                                                       \
	X(IN_PARTS, 1, "frames that are a part of a message")                                      \
	X(HELD, 1, "looks that saw a bridge hold messages for want of room")                       \
	X(BYTES, 1, "bytes carried")                                                               \
	X(STEPS, 1, "shared accesses")                                                             \
	X(CONNECTIONS, 1, "connections")                                                           \
	X(CUT, 1, "cut connections")                                                               \
	X(CUT_IN_FRAME, 1, "ends with a frame that had come in part")                              \
	X(CUT_IN_MESSAGES, 1, "of these, one of messages")                                         \
	X(CUT_IN_PART, 1, "of these, a part of a long message")                                    \
	X(HALF_LEAF, 1, "half-open: the leaf alone thought it was up, and heard silence")          \
	X(HALF_HUB, 1, "half-open: the hub alone thought it was up, and heard silence")            \
	X(REPLACED, 1, "half-open: the leaf came again before the hub noticed")                    \
	X(STALLED, 1, "one direction stood still, the other did not")                              \
	X(PARTITIONED, 1, "partitions")                                                            \
	X(PARTITIONED_LONG, 1, "partitions past the hub's patience")                               \
	X(KILLED_LEAF, 1, "leaf's bridge killed between accesses")                                 \
	X(KILLED_HUB, 1, "hub's bridge killed between accesses")                                   \
	X(KILLED_IN_TURN, 1, "killed at an access, in a turn")                                     \
	X(KILLED_IN_START, 1, "killed at an access, at its start")                                 \
	X(KILLED_IN_RECOVERY, 1, "of these, with leases or debts to take up")                      \
	X(KILLED_IN_DRAIN, 1, "killed while it drained")                                           \
	X(KILLED_IN_CLOSE, 0, "killed while it closed a connection")                               \
	X(KILLED_HUB_AT, 1, "of all killed at an access, the hub's")                               \
	X(KILL_OPEN, 1, "... opening a queue")                                                     \
	X(KILL_LEASE, 1, "... leasing")                                                            \
	X(KILL_PUT, 1, "... putting")                                                              \
	X(KILL_ACK, 1, "... acknowledging")                                                        \
	X(KILL_NACK, 1, "... redelivering, giving a lease back")                                   \
	X(KILL_TAKE, 1, "... taking a message back from the workers")                              \
	X(KILL_LOOK, 1, "... looking whether it is done")                                          \
	X(KILL_ADD, 1, "... entering in a ledger")                                                 \
	X(KILL_CLEAR, 1, "... clearing an entry")                                                  \
	X(KILL_EPOCH, 1, "... writing an epoch")                                                   \
	X(KILL_ENTERED, 1, "... writing how far it has entered")                                   \
	X(KILL_INSTANCE, 1, "... writing the peer's instance")                                     \
	X(STOPPED, 1, "bridges stopped, and continued")                                            \
	X(STOPPED_PAST, 1,                                                                         \
		"of these, leaves given up meanwhile, that came back with their old state")        \
	X(WIPED, 1, "hosts whose memory went, and that came anew")                                 \
	X(VANISHED, 1, "hosts gone for ever")                                                      \
	X(VANISHED_WITH, 1, "of these, with messages in flight")                                   \
	X(HUB_LOST, 1, "hubs that came back without memory")                                       \
	X(HUB_LOST_OWED, 1, "leaves that went on with what they had of it")                        \
	X(REMADE_PULL, 1, "leaf's queues of a pull made anew")                                     \
	X(REMADE_PUSH, 1, "leaf's queues of a push made anew")                                     \
	X(REMADE_HUB, 1, "hub's queues made anew")                                                 \
	X(NOTICED, 1, "of these, noticed by a bridge that had it open")                            \
	X(DRAINED_LEAF, 1, "leaves drained and left")                                              \
	X(LEFT_CLEAN, 1, "of these, connected, with nothing of theirs left at the hub")            \
	X(DRAINED_HUB, 1, "hubs drained and left")                                                 \
	X(DRAIN_TIMEOUT, 1, "drains ended by their time")                                          \
	X(RECALLED, 1, "frames of tasks that a leaf took back from its workers and gave back")     \
	X(REVOKED, 1, "keys revoked, and listed again")                                            \
	X(REVOKED_EVER, 1, "keys revoked for ever")                                                \
	X(WORKER_DIED, 1, "workers dead")                                                          \
	X(WORKER_AT, 1, "of these, at an access")                                                  \
	X(WORKER_BETWEEN, 1, "of these, after a result and before the acknowledgement")            \
	X(WORKER_NACK, 1, "leases given up by a worker")                                           \
	X(HUNG, 1, "leaves whose workers all hung while the others went on")                       \
	X(GIVEN_UP, 1, "times the hub's patience ended with messages in flight")                   \
	X(RESUMED_OWED, 1, "pulls resumed with debts")                                             \
	X(STALE, 1, "leaves told that their epoch has gone")                                       \
	X(RENUMBERED, 1, "pushes numbered anew")                                                   \
	X(SETTLED, 1, "hub's leases settled, each seen to have its results")                       \
	X(TWICE, 1, "tasks done again, as the contract allows")                                    \
	X(AGAIN, 1, "results collected again, for the host that had them vanished")                \
	X(WAIVED, 0, "tasks lost with memory")                                                     \
	X(TURNS, 0, "turns")                                                                       \
	X(CALM, 1, "seeds without a fault")

enum tally {
#define X(name, must, text) T_##name,
	TALLY(X)
#undef X
		TALLIES,
};

#endif
