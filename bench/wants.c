/* SPDX-License-Identifier: ISC */
#include "wants.h"

#define IDLE 1000

#define SPEC(size_, ends_, batch_)                                                                 \
	{                                                                                          \
		.size = (size_), .ends = {ends_, ends_}, .batch = (batch_)                         \
	}

#define LEASE(size_)                                                                               \
	{                                                                                          \
		.size = (size_), .ends = {1, 1}, .batch = 1, .lease = 1                            \
	}

/* Written in a reservation, and read in a lease. */
#define PLACE(size_)                                                                               \
	{                                                                                          \
		.size = (size_), .ends = {1, 1}, .batch = 1, .place = 1, .lease = 1                \
	}

#define RTE  "rte_ring mp/mc"
#define CK   "ck_ring mpmc"
#define COPY "memcpy"
#define SQ   "sq"

/* clang-format off */
const struct want wants[] = {
	{{"48 B, 1x1 / rte_ring MP/MC single", 2, 3, false}, SPEC(48, 1, 1), RTE, SPEC(48, 1, 1)},
	{{"64 B, 1x1 / rte_ring MP/MC single", 1.2, 2, false}, SPEC(64, 1, 1), RTE, SPEC(64, 1, 1)},
	{{"64 B, 1x1 / ck_ring mpmc", 1.2, 2, false}, SPEC(64, 1, 1), CK, SPEC(64, 1, 1)},
	{{"64 B batch 32, 1x1 / rte_ring MP/MC bulk 32", 0.7, 1.2, false},
		SPEC(64, 1, 32), RTE, SPEC(64, 1, 32)},
	{{"8 B, 1x1 / rte_ring MP/MC single", 2, 5, false}, SPEC(8, 1, 1), RTE, SPEC(8, 1, 1)},
	{{"8 B batch 32, 1x1 / rte_ring MP/MC bulk 32", 0.3, 1, false},
		SPEC(8, 1, 32), RTE, SPEC(8, 1, 32)},
	{{"1 KiB, 1x1 / rte_ring MP/MC single", 1, 1.5, false},
		SPEC(1024, 1, 1), RTE, SPEC(1024, 1, 1)},
	{{"1 KiB, 1x1 / ck_ring mpmc", 1, 1.5, false}, SPEC(1024, 1, 1), CK, SPEC(1024, 1, 1)},
	{{"64 B, 2x2 / rte_ring MP/MC single", 1.2, 2, false}, SPEC(64, 2, 1), RTE, SPEC(64, 2, 1)},
	{{"64 B, 4x4 / rte_ring MP/MC single", 1.2, 2, false}, SPEC(64, 4, 1), RTE, SPEC(64, 4, 1)},
	{{"64 B batch 32, 2x2 / rte_ring MP/MC bulk 32", 0.6, 1, false},
		SPEC(64, 2, 32), RTE, SPEC(64, 2, 32)},
	{{"48 B, lease + ack / get", 0.8, 0.95, false}, LEASE(48), SQ, SPEC(48, 1, 1)},
	{{"64 B, lease + ack / get", 0.8, 0.95, false}, LEASE(64), SQ, SPEC(64, 1, 1)},
	{{"16 KiB in place / memcpy through shared memory", 0.7, 1, false},
		PLACE(16384), COPY, SPEC(16384, 1, 1)},
	{{"1 MiB in place / memcpy through shared memory", 0.7, 1, false},
		PLACE(1048576), COPY, SPEC(1048576, 1, 1)},
	{{"64 B, 2x2, 1000 idle participants / 2x2", 0.9, 1, false},
		{.size = 64, .ends = {2, 2}, .batch = 1, .idle = IDLE}, SQ, SPEC(64, 2, 1)},
	{{"64 B, 8x8 / 2x2", 0.5, 0, false}, SPEC(64, 8, 1), SQ, SPEC(64, 2, 1)},
};
/* clang-format on */

const unsigned wants_n = sizeof(wants) / sizeof(wants[0]);
