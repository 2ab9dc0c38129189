/* SPDX-License-Identifier: ISC */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "books.h"
#include "link.h"
#include "sq.h"
#include "tally.h"

/*
 * A hub, some leaves, their workers, and a network, all in one thread and out of one seed. The
 * queues are real ones in shared memory; the bridges run their own code; time and the network are
 * made up. A bridge, and a worker, can be killed at any access to shared memory.
 *
 * Who does what: run.c takes turns, faults.c breaks things, net.c carries bytes, bridges.c starts and
 * ends bridges, lives.c kills, hosts.c makes memory and takes it away, workers.c makes, does and
 * collects, calls.c stands between the bridges and their queues, books.c knows what is right, and
 * bounds.c how much anybody may hold.
 */

#define WORKERS_MAX        4
#define MS                 ((int64_t)1000000)
#define HEARTBEAT_MS       200
#define REDELIVER_AFTER_MS 2000
#define LARGE_MAX          40000 /* bytes of a message, in seeds with long ones */
#define IN_CELL_MAX        48
#define SMALLER_MAX        9000
#define NEVER              INT64_MAX

/* What a bridge is doing with shared memory. */
enum op {
	OP_ANY, /* nothing else of these */
	OP_OPEN,
	OP_LEASE,
	OP_PUT,
	OP_ACK,
	OP_NACK,
	OP_TAKE, /* lease by id, to give back */
	OP_LOOK, /* where a message is, where a queue ends */
	OP_LEDGER,
	OPS,
};

/* To be killed at the left-th access from now, of this kind. 0: not. */
struct arm {
	enum op op;
	unsigned long left;
};

/* One direction of a connection: bytes under way, in pieces with a time of arrival. */
struct pipe {
	uint8_t *bytes;
	size_t len, room;
	struct piece {
		size_t end; /* in bytes */
		int64_t at_ns;
	} piece[64];
	unsigned pieces;
};

/* Of two sides: 0 is the leaf's, 1 the hub's. */
struct connection {
	bool there[2];       /* this side thinks so */
	bool cut;            /* nothing goes through any more */
	bool fin[2];         /* this side has closed its end, and the other may hear of it */
	int64_t stall_ns[2]; /* nothing from this side arrives until then */
	struct pipe pipe[2]; /* from this side */
	uint8_t *in[2];      /* arrived, not yet used */
	size_t in_len[2], in_room[2];
	bool news[2];     /* some of it was not looked at */
	int64_t retry_ns; /* the leaf tries again */
	bool revoked;     /* its key is not listed */
};

struct worker {
	struct sq *q[QUEUES];
	struct arm arm;
	bool has;
	struct sq_lease lease;
	unsigned run;     /* in the books */
	uint64_t putting; /* a result: in the call that puts it; 0: none */
	unsigned left;    /* results to be put */
	unsigned busy;    /* turns until it goes on */
	int64_t busy_ns;  /* or until then */
};

/* A bridge: the hub's has a link for each leaf. */
struct bridge {
	unsigned host;
	bool alive, draining;
	int64_t restart_ns, stopped_ns, drain_ns; /* until then */
	int64_t looked_ns[LEAVES_MAX];            /* for queues that have gone */
	uint8_t instance[WIRE_INSTANCE];
	struct link *link[LEAVES_MAX];
	struct arm arm;
	unsigned long steps; /* of its last turn that had any */
	size_t heap;         /* bytes */
	bool late;           /* the hub's patience ended while it was stopped */
	bool taking_up;      /* its lease of life began with what an earlier one had */
};

struct host {
	char prefix[40];
	unsigned role;
	bool gone; /* for ever */
	bool out;  /* its key is revoked for ever */
	struct bridge bridge;
	struct worker worker[WORKERS_MAX];
	unsigned workers;
	unsigned removed[QUEUES]; /* by hand, so often */
	struct sq *q[QUEUES];     /* of those who make and collect here */
	bool hung;
	uint64_t hung_granted;
	int64_t hung_ns;
};

struct sim {
	uint64_t seed;
	uint64_t random; /* from here on all is 0 when a run begins */
	bool verbose;
	int64_t now_ns;
	unsigned leaves, tasks, pace, slow, queues;
	struct host host[HOSTS];
	struct connection net[LEAVES_MAX];
	uint32_t window;
	uint64_t window_bytes;
	size_t max_message;
	unsigned faults; /* left */
	unsigned kinds;  /* of faults, a bit each */
	unsigned hung;   /* the leaf that hangs; 0: none */
	bool hub_lost, cycle;
	char failure[200];
	unsigned long count[TALLIES];
	unsigned long worst_turns; /* after it healed */
	int64_t worst_ns;
	uint64_t digest;
};

extern struct sim sim;

uint64_t sim_random(void);
uint64_t sim_below(uint64_t n);
bool sim_chance(unsigned one_in);
void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sim_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static inline void sim_count(enum tally t)
{
	sim.count[t]++;
}

/* What a host is for. */
enum role { WORKS = 1, MAKES = 2, COLLECTS = 4 };

/* run.c: a whole run of one seed */
void run(uint64_t seed, bool verbose);

/* faults.c */
void fault(void);
void heal(void);
void unhang(void);
void faults_choose(void);

/* hosts.c */
void hosts_make(void);
void hosts_unmake(void);
void hosts_sweep(const char *prefix); /* queues and ledgers whose names begin so */
void hosts_name(char *ret, size_t cap, const struct host *host, enum queue queue);
void hosts_queue(const struct host *host, enum queue queue);
void host_wipe(unsigned i); /* its memory is gone, and another host comes in its place */
void host_vanish(unsigned i);
void host_remake(unsigned i, enum queue queue);
bool host_carries(unsigned leaf, enum queue queue, enum wire_direction direction);

/* lives.c */
enum op life_op(enum op op);      /* returns what it was */
struct bridge *life_bridge(void); /* whose code is run; NULL: nobody's */
/* Call f as this bridge, or worker; it may be killed in it. False: it was. */
bool bridge_run(struct bridge *b, void (*f)(void *), void *arg);
bool worker_run(struct worker *w, void (*f)(void *), void *arg);
void bridge_kill(struct bridge *b);
void life_over(struct bridge *b);  /* it has ended, in whatever way */
void life_forget(const void *who); /* its locks are the kernel's again */
void life_starting(bool starting); /* for the account of deaths */
void life_closing(bool closing);

/* bridges.c */
void bridge_start(struct bridge *b);
void bridge_drain(struct bridge *b);
void bridge_leave(struct bridge *b);
enum queue queue_of(const char *name);
const char *queue_name(enum queue queue);

/* calls.c */
void calls_forget(const struct bridge *b);
void calls_opening(unsigned leaf, bool sending);

/* workers.c */
void workers_turn(unsigned host);
void worker_die(unsigned host, struct worker *w);
void worker_open(unsigned host, struct worker *w);
void workers_close(unsigned host, bool lost);
struct sq *must_open(const struct host *host, enum queue queue);

/* net.c */
void net_connect(unsigned i);
void net_cut(unsigned i);
void net_close(unsigned i, unsigned side); /* this side closes its end */
void net_died(unsigned i, unsigned side);  /* the process at this side is dead */
void net_deliver(unsigned i, unsigned side);
void net_pump(unsigned i, unsigned side);  /* what this side has to say, and what has come for it */
void net_flush(unsigned i, unsigned side); /* what it has to say, now */
struct link *link_of(unsigned i, unsigned side);

/* bounds.c: no bridge holds more than it may; in the end none holds anything */
void check_bounds(void);
bool at_rest(void);
void tell_links(void); /* for debugging */

#endif
