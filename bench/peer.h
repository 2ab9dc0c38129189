/* SPDX-License-Identifier: ISC */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stddef.h>
#include <stdint.h>

#include "spin.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A queue between processes, ours or another, as sqbench sees it. An adapter is one file in peers/
 * with one `struct peer`; it is built where its library is installed, and listed in peers.c.
 *
 * The parent opens the queue, in memory that it shares with its children; each child joins it. Then
 * producers put and consumers get, as loops.h has it: an adapter's loops are those, with its own
 * calls put in their place by the compiler. Errors are said where they are found and are exit codes.
 */

struct gate;

enum {
	PEER_ONE_EACH = 1, /* one producer and one consumer only */
	PEER_SPINS = 2,    /* its calls return at once: its users choose how to wait */
	PEER_BATCH = 4,    /* several messages by one call */
	PEER_PLACE = 8,    /* written in its own memory */
	PEER_LEASE = 16,   /* read in its own memory, acknowledged then */
	PEER_OWN = 32,     /* can also wait by itself */
	PEER_THREADS = 64, /* has threads of its own */
};

/* A queue that is measured. Each process has a copy of this; `memory` is shared. */
struct peer_queue {
	const struct peer *peer;
	size_t size;       /* of each message */
	uint64_t capacity; /* messages */
	unsigned producers, consumers;
	unsigned number; /* which of several in one run */
	unsigned idle;   /* participants that do nothing */
	int place;       /* messages will be written in place */
	void *memory;    /* the adapter's, shared */
	void *end;       /* the adapter's, of this process */
	char setup[128]; /* how it was made; for the table */
};

/* What one process does in one phase of a run. */
struct work {
	struct peer_queue *queue;
	struct gate *gate;
	struct spin spin;
	unsigned batch;
	int place, lease;
	uint64_t first, messages; /* a producer's: values from first on */
	int64_t ends_ns;          /* it ends then, with fewer messages; 0: with all of them */
	unsigned looks;
	uint64_t count, sum; /* a consumer's: what it got */
	void *buf;           /* room for a batch of messages, of this process alone */
};

struct peer {
	const char *name;
	unsigned can;
	size_t size_max;        /* 0: any */
	size_t size_max_shared; /* the same with more than one producer or consumer */
	int (*open)(struct peer_queue *queue);
	int (*join)(struct peer_queue *queue, int producing); /* or NULL */
	int (*produce)(struct work *work);
	int (*consume)(struct work *work);
	/* A message there on one queue and back on another, trips times: the asking and the answering end. */
	int (*ask)(struct work *there, struct work *back, uint32_t *ret_ns, unsigned trips,
		int64_t rest_ns);
	int (*answer)(struct work *there, struct work *back, unsigned trips);
	void (*close)(
		struct peer_queue *queue); /* by the parent, when all children are gone; or NULL */
};

/* All that are built, ours first, ended by NULL. */
extern const struct peer *const peers[];

/* Says which are not, and how they are to be had; once. */
void peers_note_missing(void);

/* Does each word of --peer begin one of these names, NULL at their end? An exit code, said. */
struct options;
int peers_check_named(const struct options *options, const char *command, const char *const *names);

extern const struct peer peer_sq, peer_rte_mp, peer_rte_sp, peer_ck_mpmc, peer_ck_spsc, peer_boost,
	peer_memcpy, peer_mq, peer_pipe, peer_seqpacket, peer_zmq_ipc, peer_zmq_tcp;

#ifdef __cplusplus
}
#endif

#endif
