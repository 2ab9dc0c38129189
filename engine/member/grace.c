/* SPDX-License-Identifier: ISC */
#include "member/grace.h"

#include "base/clock.h"

/*
 * A durable participant's leases outlive it for its grace. Called by recovery.c, by join.c and, to look
 * only, by stat.c; by any number of participants at once. The steps G1, G2 and G4 are those of
 * docs/MEMORY_MODEL.md, "Graces"; G0 and G3 are in join.c. Each is a CAS from a value that does not
 * come again, so it is made once, and only as long as it is due.
 */

/*
 * Ends a lap for a durable participant: its leases and its slot are kept, for the next participant
 * with its key, and the moment of its death is noted. Does nothing if another recoverer has done
 * this since the lap began.
 */
void sqi_grace_keep(struct sqi_slot *slot, const struct sqi_dead *d)
{
	uint64_t kept = sqi_durable_kept(d->durable, d->id), died;

	if (d->durable == kept || sqi_load_seq(&slot->id) != d->id ||
		sqi_load_seq(&slot->durable) != d->durable)
		return;
	/* G1. An earlier moment, of another death, is overwritten; a later one stays. */
	do
		died = sqi_load_seq(&slot->died);
	while (died < d->seen_ns && !sqi_cas(&slot->died, died, d->seen_ns));
	(void)sqi_cas(&slot->durable, d->durable, kept); /* G2 */
}

/* The nanoseconds that are left of the grace of this slot's tenant, which is kept. */
uint64_t sqi_grace_left(const struct sqi_slot *slot)
{
	uint64_t grace = sqi_load_seq(&slot->grace), died = sqi_load_seq(&slot->died), now, elapsed;

	if (grace == SQI_GRACE_FOREVER)
		return SQI_GRACE_FOREVER;
	now = (uint64_t)sqi_now_ns();
	/* A moment in the future comes from another time namespace's clock, or is damage. */
	elapsed = now > died ? now - died : 0;
	return grace > elapsed ? grace - elapsed : 0;
}

/*
 * The tenant *id of this slot is kept. If its grace is over it is condemned, and so is *id: no
 * successor can take the slot with the leases any more. False if the grace is not over, or if the
 * slot's id has changed.
 */
bool sqi_grace_end(struct sqi_slot *slot, uint64_t *id)
{
	/* G4. */
	if (sqi_grace_left(slot) > 0 || !sqi_cas(&slot->id, *id, *id | SQI_CONDEMNED))
		return false;
	*id |= SQI_CONDEMNED;
	return true;
}
