/* SPDX-License-Identifier: ISC */
#ifndef STEP_HOOK_H
#define STEP_HOOK_H

/* Included before everything else when the engine's sources are compiled for steps.c. */

void step(void);
#define SQ_STEP() step()

#endif
