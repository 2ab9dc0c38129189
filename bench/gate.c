/* SPDX-License-Identifier: ISC */
#include "gate.h"

#include <stdatomic.h>
#include <sys/mman.h>

#include "crew.h"

struct gate *gate_new(unsigned processes)
{
	struct gate *gate = crew_memory(sizeof(*gate));
	pthread_barrierattr_t shared;

	if (!gate)
		return NULL;
	/* None of these can fail with these arguments. */
	(void)pthread_barrierattr_init(&shared);
	(void)pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	(void)pthread_barrier_init(&gate->barrier, &shared, processes);
	(void)pthread_barrierattr_destroy(&shared);
	return gate;
}

struct gate *gate_free(struct gate *gate)
{
	if (gate)
		(void)munmap(gate, sizeof(*gate));
	return NULL;
}

void gate_pass(struct gate *gate)
{
	(void)pthread_barrier_wait(&gate->barrier);
}

int gate_last(struct gate *gate)
{
	return atomic_fetch_sub(&gate->producing, 1) == 1;
}
