/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_SD_H
#define BRIDGE_SD_H

#include <stdint.h>

/*
 * What a service tells systemd, without its library: datagrams to $NOTIFY_SOCKET. main.c calls it.
 * Where there is nobody to tell, nothing happens.
 */

/* sd_notify(): "READY=1", ... 0, -errno, or 0 without a socket. */
int sd_notify(const char *state);

/* sd_reloading(): the form that needs the time. */
int sd_reloading(void);

/* How often WATCHDOG=1 is due at the latest; 0: never. */
int64_t sd_watchdog_ns(void);

#endif
