/* SPDX-License-Identifier: ISC */
#ifndef SOAK_H
#define SOAK_H

/*
 * The long stress: what its processes share. soak.c conducts, worker.c is whoever it starts and
 * kills, look.c watches the segments while they run, books.c keeps account of every value.
 *
 *	plain   no lease time; lives as long as the test
 *	timed   a short lease time, and letters that die; lives as long as the test
 *	brief   made anew in each period, of another shape each time, and shut down at the end of half
 *	        of them, in the middle of everything
 *	dead    the dead letters of `timed`
 *
 * A value is queue << 56 | identity << 40 | number. Each seat has two identities: one whose puts are
 * counted by the queue, durably, so that it is known after any death which of them went in, and
 * one without: what it had in hand when it died may have gone in, and may not.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "crew.h"

enum soak_queue { SOAK_PLAIN, SOAK_TIMED, SOAK_BRIEF, SOAK_DEAD };
enum soak_role { SOAK_BOUND, SOAK_UNBOUND, SOAK_GETTER, SOAK_LEASER, SOAK_LOOKER, SOAK_UNDERTAKER };

#define SOAK_QUEUES      3 /* that values are put to */
#define SOAK_ALL_QUEUES  4
#define SOAK_SEATS       60
#define SOAK_IDENTITIES  (2 * SOAK_SEATS)
#define SOAK_BATCH       8
#define SOAK_HANDS       3
#define SOAK_SIZE_MAX    4096
#define SOAK_VALUES_MAX  32768 /* of each identity in a queue in a period; then it is silent */
#define SOAK_PARTY       (SOAK_SEATS + 20)
#define SOAK_LEASE_NS    (15 * CREW_MS)
#define SOAK_ATTEMPTS    3 /* then dead */
#define SOAK_NUMBER_BITS 40
#define SOAK_QUEUE_SHIFT 56

/* What became of a value. */
struct soak_value {
	_Atomic uint8_t done;         /* times that somebody worked on it */
	_Atomic uint8_t settled;      /* sq_get() returned it, or sq_ack() 0 */
	_Atomic uint8_t first;        /* leases that said attempts 1 */
	_Atomic uint8_t late;         /* leases that said more; gets out of its producer's order */
	_Atomic uint8_t given_back;   /* sq_nack() was about to be called, or the holder closed */
	_Atomic uint8_t stale;        /* leases of it that had ended before they were settled */
	_Atomic uint8_t redo;         /* of those: after the work */
	_Atomic uint8_t died_in_hand; /* leasers killed with it in hand */
	_Atomic uint8_t taken_along;  /* getters killed with all of it in their buffer */
	_Atomic uint8_t buried;       /* it came as a dead letter */
	_Atomic uint8_t perhaps; /* it was being put by one who was killed, and nobody counts */
};

/* An identity's numbers in a queue. */
struct soak_line {
	_Alignas(64) _Atomic uint64_t put; /* the next number: all before are put, or perhaps */
	_Atomic uint64_t in_flight;
	uint64_t base; /* at the beginning of the period */
};

/* What a worker shows of itself; read after its death. */
struct soak_seat {
	_Alignas(64) _Atomic bool calling; /* in a call that may take a message */
	_Atomic bool leave;                /* it is asked to */
	_Atomic uint64_t hand[SOAK_HANDS]; /* leased: value plus one */
	enum soak_role role;
	enum soak_queue queue;
	/*
	 * What it gets is copied here. So if it is killed just after it took a message, we know
	 * which.
	 */
	_Alignas(64) unsigned char buffer[SOAK_BATCH * SOAK_SIZE_MAX];
};

struct soak {
	uint64_t seed;
	_Atomic bool enough;     /* this period's work is over */
	_Atomic bool silence;    /* producers pause */
	_Atomic unsigned strike; /* a bit for each queue whose consumers pause */
	_Atomic bool shy;        /* nobody calls sq_recover() or sq_gc() */
	_Atomic bool look_on;    /* the watchers of long-lived segments go on */
	_Atomic bool look_here;  /* and those of `brief` */
	_Atomic uint64_t opens;  /* rounds in which the conductor has opened every queue */
	_Atomic uint64_t lives;
	_Atomic uint64_t moved;                  /* messages that left, by workers */
	_Atomic uint64_t passes, words, changes; /* seen by the watchers */
	_Atomic uint64_t oddities;               /* recover, sweep, gc ... calls made */
	struct soak_seat seat[SOAK_SEATS];
	struct soak_line line[SOAK_QUEUES][SOAK_IDENTITIES];
	struct soak_value value[SOAK_QUEUES][SOAK_IDENTITIES][SOAK_VALUES_MAX + 1];
};

extern const char *const soak_names[SOAK_ALL_QUEUES];

static inline uint64_t soak_value_of(enum soak_queue q, unsigned identity, uint64_t number)
{
	return (uint64_t)q << SOAK_QUEUE_SHIFT | (uint64_t)identity << SOAK_NUMBER_BITS | number;
}

/* books.c */

/* soak_value(): what became of it. Dies if there is no such value in this period. */
struct soak_value *soak_value(struct soak *s, uint64_t value);

/* soak_account(): this worker was killed, and waited for: what it had in hand may be missing. */
void soak_account(struct soak *s, unsigned seat);

/* soak_open_books(), soak_close_books(): around a period. Nobody moves. */
struct soak_result {
	uint64_t put, lost, twice, buried, taken_along, redelivered, overdue, reclaimed, revoked,
		left;
};
void soak_open_books(struct soak *s, struct sq *const h[SOAK_ALL_QUEUES]);
void soak_close_books(struct soak *s, struct sq *const h[SOAK_ALL_QUEUES], bool brief_is_shut,
	struct soak_result *ret);

/* worker.c: be this seat's worker, until it is asked to leave. */
void soak_work(struct soak *s, unsigned seat);

/* look.c: watch these queues until *on is false. In a process of its own, which only reads. */
void soak_look(struct soak *s, const enum soak_queue *queues, unsigned n, const _Atomic bool *on);

#endif
