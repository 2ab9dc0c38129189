/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdlib.h>

#include "loop_uring.h"

/* Making the ring: with the best flags that the kernel knows, one step less after each -EINVAL. */

static int setup(struct loop *l, const struct loop_config *config)
{
	/* From the best down. Flags of 6.1, 6.0, 5.18 and 5.5. */
	static const unsigned steps[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL,
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SUBMIT_ALL,
		IORING_SETUP_SUBMIT_ALL,
		0,
	};
	unsigned masked = 0, submissions, completions;
	int r = -EINVAL;

	if (config->mask & LOOP_NO_DEFER)
		masked |= IORING_SETUP_DEFER_TASKRUN;
	if (config->mask & LOOP_NO_SINGLE)
		masked |= IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER;
	if (config->mask & LOOP_NO_SUBMIT_ALL)
		masked |= IORING_SETUP_SUBMIT_ALL;
	submissions = config->submissions ? config->submissions : LOOP_SUBMISSIONS;
	completions = config->completions ? config->completions : LOOP_COMPLETIONS;
	if (completions < 4 * submissions && !config->completions)
		completions = 4 * submissions;
	for (size_t i = 0; r == -EINVAL && i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct io_uring_params p = {
			.flags = steps[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
			.cq_entries = completions,
		};

		if (steps[i] & masked)
			continue;
		r = io_uring_queue_init_params(submissions, &l->uring->ring, &p);
		if (r < 0) {
			l->uring->ring.ring_fd = -1;
			continue;
		}
		l->stats.single = (p.flags & IORING_SETUP_SINGLE_ISSUER) != 0;
		l->stats.defer = (p.flags & IORING_SETUP_DEFER_TASKRUN) != 0;
		if (!(p.features & IORING_FEAT_EXT_ARG) || !(p.features & IORING_FEAT_NODROP))
			r = -ENOTSUP;
	}
	return r < 0 ? r : 0;
}

static int ask(struct loop *l, const struct loop_config *config)
{
	/* liburing's own function for this does not return the error. */
	size_t bytes = sizeof(struct io_uring_probe) + 256 * sizeof(struct io_uring_probe_op);
	struct io_uring_probe *probe = calloc(1, bytes);
	int r;

	if (!probe)
		return -ENOMEM;
	r = io_uring_register_probe(&l->uring->ring, probe, 256);
	if (r < 0)
		goto out;
	l->stats.futex = probe->last_op >= URING_OP_FUTEX_WAIT &&
			 (probe->ops[URING_OP_FUTEX_WAIT].flags & IO_URING_OP_SUPPORTED) &&
			 !(config->mask & LOOP_NO_FUTEX);
	l->stats.multishot = !(config->mask & LOOP_NO_MULTISHOT); /* 6.0: no probe tells */
	r = 0;
out:
	free(probe);
	return r;
}

int loop_uring_setup(struct loop *l, const struct loop_config *config, char *why)
{
	int r = setup(l, config);

	if (r == 0)
		r = ask(l, config);
	if (r == -EINVAL)
		r = -ENOTSUP; /* none of the steps was low enough */
	if (r < 0)
		loop_explain(r, why);
	return r;
}
