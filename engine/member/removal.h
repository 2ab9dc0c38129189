/* SPDX-License-Identifier: ISC */
#ifndef SQI_REMOVAL_H
#define SQI_REMOVAL_H

/* The removal of a queue. See removal.c. */

#include "member/member.h"

void sqi_check_name(struct sqi_member *m);
int sqi_check_present(struct sqi_member *m);
bool sqi_remove_if(struct sqi_member *m, bool (*is_abandoned)(const struct sqi_member *m));
int sqi_finish_removal(struct sqi_member *m, const char *name);

#endif
