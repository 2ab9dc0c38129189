/* SPDX-License-Identifier: ISC */
#include "steps.h"

#include <assert.h>

#define ACCESSES_MAX 10000 /* of a call: else it has no end */

long countdown;
void (*then)(void);
jmp_buf killed;

void step(void)
{
	if (countdown > 0 && --countdown == 0)
		then();
}

void kill_here(void)
{
	longjmp(killed, 1);
}

bool at_step(long k, void (*event)(void), void (*f)(void))
{
	bool reached;

	assert(k > 0 && k <= ACCESSES_MAX);
	countdown = k;
	then = event;
	f();
	reached = countdown == 0;
	countdown = 0;
	return reached;
}

bool dies_at_step(long k, void (*f)(void))
{
	countdown = k;
	then = kill_here;
	if (setjmp(killed))
		return true;
	f();
	countdown = 0;
	return false;
}
