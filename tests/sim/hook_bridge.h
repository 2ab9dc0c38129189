/* SPDX-License-Identifier: ISC */
#ifndef TESTS_SIM_HOOK_BRIDGE_H
#define TESTS_SIM_HOOK_BRIDGE_H

/*
 * The same for the bridge's sources. What they do with queues goes by way of calls.c, and their
 * memory is counted.
 */

#include <stdlib.h>

#include "calls.h"
#include "hook.h"

#define sq_open           sim_open
#define sq_open_durable   sim_open_durable
#define sq_close          sim_sq_close
#define sq_count_bind     sim_bind
#define sq_held           sim_held
#define sq_last_put       sim_last_put
#define sq_lease(q, l, t) sim_lease(q, l, t) /* and not the type */
#define sq_lease_id       sim_lease_id
#define sq_ack            sim_ack
#define sq_nack           sim_nack
#define sq_return         sim_return
#define sq_put            sim_put
#define sq_reserve        sim_reserve
#define sq_commit         sim_commit
#define sq_find           sim_find
#define sq_mark           sim_mark
#define sq_passed         sim_passed
#define EVP_Digest        sim_digest

#define malloc(n)             sim_malloc(n)
#define calloc(n, size)       sim_calloc(n, size)
#define reallocarray(p, n, s) sim_reallocarray(p, n, s)
#define free(p)               sim_free(p)

#endif
