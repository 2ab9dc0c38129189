/* SPDX-License-Identifier: ISC */
#ifndef STEP_TRACE_H
#define STEP_TRACE_H

/*
 * One child under ptrace: run to an instruction, look where it stands, kill it there, or let it go
 * on. The child is a fork of ours, so its addresses are ours.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TRACE_MAX 65536 /* instructions of one operation */

/* The path that an operation takes: the address of the instruction that follows after k of them. */
struct trace_path {
	uint64_t at[TRACE_MAX];
	/* How to come to k quickly: to the hits[k]-th visit of at[anchor[k]], then step. */
	uint32_t anchor[TRACE_MAX];
	uint32_t hits[TRACE_MAX];
	size_t n;         /* after n of them the operation is done */
	size_t from;      /* where `meanwhile` comes; 0 if never */
	uint64_t from_at; /* the instruction there; 0: any */
};

/* In the child: be traced, and stop. The next instruction is the first that counts. */
#define trace_begin() __asm__ volatile("int3" ::: "memory")
void trace_me(void);
/* In the child: the operation is done. */
void trace_end(void);
/* In the child: hand over to the tracer, until it lets us go on. */
void trace_pause(void);

/* trace_await_begin(): the child has come to trace_begin(). Dies if it does not. */
void trace_await_begin(pid_t pid);

/* trace_step(): one instruction. False: it has run into trace_pause(), or ended. */
bool trace_step(pid_t pid);

/* trace_at(): the address of its next instruction. */
uint64_t trace_at(pid_t pid);

/* trace_is_futex(): the next instruction calls the kernel: to sleep, or to wake? */
bool trace_is_futex(pid_t pid);

/* trace_at_end(): is that the first one of trace_end()? */
bool trace_at_end(uint64_t at);

/* trace_advance(): from instruction `from` of the path to `to`. False: it took another path. */
bool trace_advance(pid_t pid, const struct trace_path *path, size_t from, size_t to, bool pure);

/* trace_plan(): fill anchor[] and hits[] of the path, from `from` on. */
void trace_plan(struct trace_path *path, size_t from);

/* trace_in_vdso(): is it where a clock is read, which may take a turn more or less? */
bool trace_in_vdso(uint64_t at);

/* trace_kill(): SIGKILL. Dies unless that is what it died of. */
void trace_kill(pid_t pid);

/* trace_go_on(): until trace_pause(). False: it is gone. */
bool trace_go_on(pid_t pid);

/* trace_let_go(): from trace_pause() to its end. The exit code. */
int trace_let_go(pid_t pid);

/* trace_name(): of the function an address is in, and how far. To a static buffer. */
const char *trace_name(uint64_t at);

/* trace_text(): is it in the program's own code, the library included? Then its offset, too. */
bool trace_text(uint64_t at, size_t *ret_offset);
size_t trace_text_size(void);

#endif
