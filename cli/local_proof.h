/* SPDX-License-Identifier: ISC */
#ifndef CLI_LOCAL_PROOF_H
#define CLI_LOCAL_PROOF_H

#include "local.h"

#define LOCAL_CLAIMS 9 /* what must be true */

/* What a run has come to. */
struct local_proof {
	uint64_t made;      /* by our producers, as their books say */
	uint64_t put;       /* as the queue says */
	uint64_t foreign;   /* tasks that processes outside the run put */
	uint64_t done;      /* results put by our workers, as the queue says */
	uint64_t alien;     /* results that processes outside the run put */
	uint64_t collected; /* as the collector counted */
	uint64_t wrong, refused;
	uint64_t twice;            /* done again, known one by one */
	uint64_t lost, duplicated; /* by the counts alone */
	u128 sum_made, sum_collected, sum_twice;
	struct sq_stat pq, cq;
	double seconds, rate; /* rate: results a second */
	const char *untrue[LOCAL_CLAIMS];
	unsigned untrue_count; /* 0: it is proven */
};

/* After the run. Notes in the suspects how often each was done. 0, or an exit code after it was reported. */
int local_proof(struct local *l, struct local_proof *ret);

#endif
