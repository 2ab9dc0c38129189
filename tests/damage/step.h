/* SPDX-License-Identifier: ISC */
#ifndef STEP_H
#define STEP_H

/*
 * Included before all else when the engine is compiled for damage_steps: something of ours happens
 * between any two accesses to shared words.
 */

void damage_step(void);
#define SQ_STEP() damage_step()

#endif
