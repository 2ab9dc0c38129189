/* SPDX-License-Identifier: ISC */
#ifndef SQI_REMOVAL_H
#define SQI_REMOVAL_H

/* The removal of a queue. See removal.c. */

#include "member/member.h"

/* Has the file lost its name? Then all are told. */
void sqi_check_name(struct sqi_member *m);
/* For an opener: is the queue there to stay? */
int sqi_check_present(struct sqi_member *m);
/* For a collector: decides that the queue goes; and removes what was decided to go. */
bool sqi_remove_if(struct sqi_member *m, bool (*is_abandoned)(const struct sqi_member *m));
int sqi_finish_removal(struct sqi_member *m, const char *name);

#endif
