/* SPDX-License-Identifier: ISC */
#ifndef BENCH_PIN_H
#define BENCH_PIN_H

/* Which two CPUs are measured on, and staying on one. */

#define PIN_FREE (-1) /* wherever the kernel likes */

/* The first two that this process may run on; both the same if there is one only. Negative errno. */
int pin_choose(int ret_cpus[2]);

/* May this process run there? */
int pin_allowed(int cpu);

/* This process, and its threads and children from now on, run there. Negative errno. */
int pin_to(int cpu);

#endif
