/* SPDX-License-Identifier: ISC */
#ifndef TESTS_MODEL_SWITCH_H
#define TESTS_MODEL_SWITCH_H

#include <stddef.h>

/*
 * Coroutines in one thread, on stacks at fixed addresses. A suspended one is nothing but its stack
 * from the stack pointer up: its registers lie there too. So copying those bytes away and back is
 * all it takes to keep a moment and return to it. Bytes below the stack pointer are dead.
 */

#define SWITCH_MAX 4

/* Make coroutine `who` begin anew, in body(who), when it is next switched to. */
void switch_begin(unsigned who, void (*body)(unsigned who));

/* From the scheduler to a coroutine, until that calls switch_back() or its body returns. */
void switch_to(unsigned who);

/* From the coroutine that runs to the scheduler. */
void switch_back(void);

/* Who runs: a coroutine's number, or -1 in the scheduler. */
int switch_self(void);

/* The live bytes of a suspended coroutine's stack; *ret_size is a multiple of eight. */
void *switch_stack(unsigned who, size_t *ret_size);

/* Put the stack pointer back to where `size` bytes are live, before they are copied back. */
void *switch_set_size(unsigned who, size_t size);

#endif
