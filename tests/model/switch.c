/* SPDX-License-Identifier: ISC */
#include "switch.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/*
 * The switch itself: save the registers that a function must keep on the stack we leave, and take
 * those of the other from its stack. setjmp() would do, but hides the stack pointer from us.
 */

#define STACK_BYTES ((size_t)64 << 10)

void model_switch(void **save, void *load);

#if defined(__x86_64__)
#define SAVED_WORDS 7 /* six registers and the return address, which lies last */
#define RETURN_WORD 6
__asm__(".text\n"
	".globl model_switch\n"
	".type model_switch,@function\n"
	"model_switch:\n"
	"	pushq %rbp\n"
	"	pushq %rbx\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq %rsi, %rsp\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	ret\n"
	".size model_switch, .-model_switch\n");
#elif defined(__aarch64__)
#define SAVED_WORDS 20 /* x19 to x30, d8 to d15 */
#define RETURN_WORD 11
__asm__(".text\n"
	".globl model_switch\n"
	".type model_switch,%function\n"
	"model_switch:\n"
	"	sub sp, sp, #160\n"
	"	stp x19, x20, [sp, #0]\n"
	"	stp x21, x22, [sp, #16]\n"
	"	stp x23, x24, [sp, #32]\n"
	"	stp x25, x26, [sp, #48]\n"
	"	stp x27, x28, [sp, #64]\n"
	"	stp x29, x30, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]\n"
	"	stp d10, d11, [sp, #112]\n"
	"	stp d12, d13, [sp, #128]\n"
	"	stp d14, d15, [sp, #144]\n"
	"	mov x9, sp\n"
	"	str x9, [x0]\n"
	"	mov sp, x1\n"
	"	ldp x19, x20, [sp, #0]\n"
	"	ldp x21, x22, [sp, #16]\n"
	"	ldp x23, x24, [sp, #32]\n"
	"	ldp x25, x26, [sp, #48]\n"
	"	ldp x27, x28, [sp, #64]\n"
	"	ldp x29, x30, [sp, #80]\n"
	"	ldp d8, d9, [sp, #96]\n"
	"	ldp d10, d11, [sp, #112]\n"
	"	ldp d12, d13, [sp, #128]\n"
	"	ldp d14, d15, [sp, #144]\n"
	"	add sp, sp, #160\n"
	"	ret\n"
	".size model_switch, .-model_switch\n");
#else
#error "model_switch() is to be written for this machine"
#endif

static struct {
	unsigned char *stack;
	void *sp;
	void (*body)(unsigned);
} co[SWITCH_MAX];
static void *scheduler;
static int self = -1;

int switch_self(void)
{
	return self;
}

static void enter(void)
{
	co[self].body((unsigned)self);
	switch_back();
	abort(); /* one that has ended is not switched to */
}

void switch_begin(unsigned who, void (*body)(unsigned who))
{
	void **sp;

	if (!co[who].stack) {
		co[who].stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (co[who].stack == MAP_FAILED)
			abort();
	}
	co[who].body = body;
	/* At the entry of a function x86 has the stack 8 off a multiple of 16; others on one. */
	sp = (void **)(co[who].stack + STACK_BYTES) - 4 - SAVED_WORDS;
#if defined(__x86_64__)
	sp -= ((uintptr_t)(sp + RETURN_WORD) & 15) / 8;
#endif
	memset(sp, 0, (size_t)(co[who].stack + STACK_BYTES - (unsigned char *)sp));
	sp[RETURN_WORD] = (void *)(uintptr_t)enter;
	co[who].sp = sp;
}

void switch_to(unsigned who)
{
	self = (int)who;
	model_switch(&scheduler, co[who].sp);
	self = -1;
}

void switch_back(void)
{
	model_switch(&co[self].sp, scheduler);
}

void *switch_stack(unsigned who, size_t *ret_size)
{
	*ret_size = (size_t)(co[who].stack + STACK_BYTES - (unsigned char *)co[who].sp);
	return co[who].sp;
}

void *switch_set_size(unsigned who, size_t size)
{
	co[who].sp = co[who].stack + STACK_BYTES - size;
	return co[who].sp;
}
