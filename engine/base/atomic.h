/* SPDX-License-Identifier: ISC */
#ifndef SQI_ATOMIC_H
#define SQI_ATOMIC_H

/*
 * Every access to memory that another process may write goes through these, so that a test can put
 * a step between any two of them (SQ_STEP) and so that each has one documented order:
 *
 *	look, cas, add, swap  sequentially consistent: words that decide who owns what, wake words
 *	watch                 acquire: what a second look at the word is to confirm
 *	peek, poke            relaxed: payload, hints, one's own counters; each use says why
 *	post                  release: one's own words that are read after one's death
 *
 * On x86 look, peek, poke and post are plain moves.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#ifndef SQ_STEP
#define SQ_STEP() ((void)0)
#endif

typedef _Atomic uint64_t sqi_u64;
typedef _Atomic uint32_t sqi_u32;

_Static_assert(sizeof(sqi_u64) == 8 && sizeof(sqi_u32) == 4, "atomics have no hidden parts");
_Static_assert(
	ATOMIC_LLONG_LOCK_FREE == 2, "a lock in a word would not be shared between processes");

static inline uint64_t sqi_load_seq(const sqi_u64 *p)
{
	SQ_STEP();
	return atomic_load_explicit((sqi_u64 *)p, memory_order_seq_cst);
}

static inline uint64_t sqi_load_relaxed(const sqi_u64 *p)
{
	SQ_STEP();
	return atomic_load_explicit((sqi_u64 *)p, memory_order_relaxed);
}

static inline uint64_t sqi_load_acquire(const sqi_u64 *p)
{
	SQ_STEP();
	return atomic_load_explicit((sqi_u64 *)p, memory_order_acquire);
}

static inline void sqi_store_relaxed(sqi_u64 *p, uint64_t v)
{
	SQ_STEP();
	atomic_store_explicit(p, v, memory_order_relaxed);
}

static inline void sqi_store_release(sqi_u64 *p, uint64_t v)
{
	SQ_STEP();
	atomic_store_explicit(p, v, memory_order_release);
}

static inline void sqi_store_seq(sqi_u64 *p, uint64_t v)
{
	SQ_STEP();
	(void)atomic_exchange_explicit(p, v, memory_order_seq_cst);
}

/* True if *p was `from` and is now `to`. */
static inline bool sqi_cas(sqi_u64 *p, uint64_t from, uint64_t to)
{
	SQ_STEP();
	return atomic_compare_exchange_strong_explicit(
		p, &from, to, memory_order_seq_cst, memory_order_seq_cst);
}

static inline uint64_t sqi_add(sqi_u64 *p, uint64_t v)
{
	SQ_STEP();
	return atomic_fetch_add_explicit(p, v, memory_order_seq_cst);
}

/* Raise *p to at least v, as positions are compared: modulo 2^64. */
static inline void sqi_raise(sqi_u64 *p, uint64_t v)
{
	uint64_t old = sqi_load_relaxed(p);

	while ((int64_t)(v - old) > 0 && !sqi_cas(p, old, v))
		old = sqi_load_relaxed(p);
}

static inline uint32_t sqi_load_seq32(const sqi_u32 *p)
{
	SQ_STEP();
	return atomic_load_explicit((sqi_u32 *)p, memory_order_seq_cst);
}

static inline bool sqi_cas32(sqi_u32 *p, uint32_t from, uint32_t to)
{
	SQ_STEP();
	return atomic_compare_exchange_strong_explicit(
		p, &from, to, memory_order_seq_cst, memory_order_seq_cst);
}

static inline uint32_t sqi_add32(sqi_u32 *p, uint32_t v)
{
	SQ_STEP();
	return atomic_fetch_add_explicit(p, v, memory_order_seq_cst);
}

/* One's own counter: nobody else writes it while one lives. */
static inline void sqi_count(sqi_u64 *p)
{
	sqi_store_relaxed(p, sqi_load_relaxed(p) + 1);
}

static inline void sqi_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("isb" ::: "memory");
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

#endif
