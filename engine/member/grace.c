/* SPDX-License-Identifier: ISC */
#include "member/grace.h"

#include "base/clock.h"

/*
 * A durable participant's leases outlive it for its grace. The steps G1 to G4 are those of
 * docs/MEMORY_MODEL.md, "Graces". Called by reclaim.c and join.c, any number of participants at once.
 */

/*
 * G1, G2. The leases of a durable one stay, and with them its slot, for whoever comes with its key;
 * and it is noted when it died, unless another has done that since our lap began.
 */
void sqi_grace_keep(struct sqi_slot *slot, const struct sqi_dead *d)
{
	uint64_t kept = sqi_durable_kept(d->durable, d->id), died;

	if (d->durable == kept || sqi_load_seq(&slot->id) != d->id ||
		sqi_load_seq(&slot->durable) != d->durable)
		return;
	do
		died = sqi_load_seq(&slot->died);
	while (died < d->seen_ns && !sqi_cas(&slot->died, died, d->seen_ns));
	(void)sqi_cas(&slot->durable, d->durable, kept);
}

/* What is left of the grace of the tenant of this slot, which is kept. */
uint64_t sqi_grace_left(const struct sqi_slot *slot)
{
	uint64_t grace = sqi_load_seq(&slot->grace), died = sqi_load_seq(&slot->died), now, gone;

	if (grace == SQI_GRACE_FOREVER)
		return SQI_GRACE_FOREVER;
	now = (uint64_t)sqi_now_ns();
	gone = now > died ? now - died : 0; /* else of a clock that is ahead of ours, or damaged */
	return grace > gone ? grace - gone : 0;
}

/*
 * G4. The tenant of this slot is kept: if its grace is over, it is now a dead one like any other,
 * and nobody can move in. False: it is not, or another was faster.
 */
bool sqi_grace_end(struct sqi_slot *slot, uint64_t *id)
{
	if (sqi_grace_left(slot) > 0 || !sqi_cas(&slot->id, *id, *id | SQI_CONDEMNED))
		return false;
	*id |= SQI_CONDEMNED;
	return true;
}
