/* SPDX-License-Identifier: ISC */
#ifndef REAPER_H
#define REAPER_H

/*
 * reaper_start(): a process that does nothing until this one and its children are gone, however they
 * ended, and then removes what is left in /dev/shm under this prefix. So a test that crashes, as it
 * should when the engine is broken, leaves nothing behind.
 */
void reaper_start(const char *prefix);

#endif
