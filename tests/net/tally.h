/* SPDX-License-Identifier: ISC */
#ifndef TESTS_NET_TALLY_H
#define TESTS_NET_TALLY_H

/*
 * How often each number has come, in a file that is mapped, so that it outlives its only writer,
 * the collector, and other processes can read how far that is. farm.py reads the head's first five
 * words.
 *
 * Invariant: whatever instruction the collector is killed at, each message that it acknowledged has
 * been counted once, and one that it did not acknowledge will be, when it comes again.
 */

#include <stdbool.h>
#include <stdint.h>

#define TALLY_HEAD 64 /* bytes, before a byte for each number */

struct tally {
	_Atomic uint64_t numbers;  /* that are to come: 0 to this, exclusive */
	_Atomic uint64_t distinct; /* of them, that have come */
	_Atomic uint64_t extra;    /* messages whose number had come before */
	_Atomic uint64_t wrong;    /* messages that are no result, or of another number */
	_Atomic uint64_t hand_id;  /* of the message in its hand, plus 1; or 0 */
	_Atomic uint64_t hand_before;
	uint64_t reserved[2];
	_Atomic uint8_t seen[];
};

/* Made if it is not there. 0, or a negative errno. */
int tally_open(struct tally **ret, const char *path, uint64_t numbers);

/*
 * The message that the collector before us had in hand when it died, if any: it may have been
 * acknowledged, or come again.
 */
bool tally_in_hand(const struct tally *tally, uint64_t *ret_id);

/* Before a message is acknowledged, and after. `id`: as of its lease. */
void tally_count(struct tally *tally, uint64_t id, bool good, uint64_t number);
void tally_acked(struct tally *tally);

#endif
