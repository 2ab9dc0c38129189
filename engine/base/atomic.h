/* SPDX-License-Identifier: ISC */
#ifndef SQI_ATOMIC_H
#define SQI_ATOMIC_H

/*
 * Atomic access to shared memory. Every word that another process may write is read and written
 * through these functions, by any thread of any process. So each access has one documented order,
 * and a test can put a step before each (SQ_STEP). See docs/MEMORY_MODEL.md, "Rules of access".
 *
 *	load_seq, store_seq, cas, add  sequentially consistent: words that decide who owns what,
 *	                               sequence counters, eventcounts
 *	load_acquire                   acquire: what a second look at a word then confirms
 *	store_release                  release: a participant's own words that recovery reads after
 *	                               its death, and what is written to a claimed cell
 *	load_relaxed, store_relaxed    relaxed: payload, hints, statistics; each use says why that
 *	                               is enough
 *
 * On x86 all loads, store_relaxed and store_release are plain moves.
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

/* By an exchange, which acquires as well: no later access of the caller comes before it. */
static inline void sqi_store_seq(sqi_u64 *p, uint64_t v)
{
	SQ_STEP();
	(void)atomic_exchange_explicit(p, v, memory_order_seq_cst);
}

/* Compare and swap. True if *p was `from` and is now `to`; false if it was something else. */
static inline bool sqi_cas(sqi_u64 *p, uint64_t from, uint64_t to)
{
	SQ_STEP();
	return atomic_compare_exchange_strong_explicit(
		p, &from, to, memory_order_seq_cst, memory_order_seq_cst);
}

/* Adds v to *p. Returns the value before. */
static inline uint64_t sqi_add(sqi_u64 *p, uint64_t v)
{
	SQ_STEP();
	return atomic_fetch_add_explicit(p, v, memory_order_seq_cst);
}

/*
 * Raises *p to at least v, compared as positions are: modulo 2^64. Relaxed: the CAS confirms the
 * value that was loaded; and if that is not below v, no later value of *p is.
 */
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

/*
 * Adds 1 to a counter of the caller's own slot. Relaxed: only the slot's tenant writes it, and the
 * others read it for statistics only. The CASes of the slot's id order it after a former tenant's.
 */
static inline void sqi_count(sqi_u64 *p)
{
	sqi_store_relaxed(p, sqi_load_relaxed(p) + 1);
}

/* Asks for the cache line at p, to write to it soon. Any address will do: nothing is accessed. */
static inline void sqi_prefetch_write(const void *p)
{
#if defined(__x86_64__)
	/* gcc makes of its builtin a prefetch to read, unless it is told of the processor. */
	__asm__ __volatile__("prefetchw %0" ::"m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

/* The same, to read from it soon. */
static inline void sqi_prefetch_read(const void *p)
{
	__builtin_prefetch(p, 0);
}

/* Tells the processor that this is a loop that waits for another. */
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
