/* SPDX-License-Identifier: ISC */
#ifndef TESTS_MODEL_SHARE_H
#define TESTS_MODEL_SHARE_H

#include <stdbool.h>

/*
 * Which words need a choice before each access, and which do not: a word that nobody ever writes,
 * or that only one participant ever uses, can be read or written a moment earlier or later without
 * anybody noticing. Such an access is quiet: it is made in one go with the step before it.
 *
 * That is found out, not assumed. A search begins with the words known to be shared so far; if it
 * comes upon one more, it begins anew. In the last search there is none, and then none is missed:
 * take a shortest run of all single steps, in which a word that was taken for quiet is used by two,
 * with a write among them. Up to its last access all quiet ones can be moved, one by one, to just
 * behind the step before them, for nobody else uses their words so far. What results is a run of
 * the search, so the search has seen that access too. The same moving turns every run of single
 * steps, with its kills and stops, into one of the search that ends in the same state, but for the
 * words of the dead that nobody ever reads. The checker counts as one who reads: so what recovery
 * or the final check looks at is not quiet.
 */

enum share_mode {
	SHARE_OFF,   /* accesses outside any participant: not noted */
	SHARE_READS, /* of the checker at the end: no access follows it */
	SHARE_ALL,
};

void share_reset(void);

/* For the auditor's accesses. */
void share_set_mode(enum share_mode mode);

/* This participant, or the auditor, is about to make this access. */
void share_note(unsigned who, const void *address, const char *how);

/* Is that access quiet in this search? */
bool share_quiet(const void *address);

/* Has this search come upon a word that is shared after all? Then begin anew, with this known. */
bool share_changed(void);
void share_freeze(void);

#endif
