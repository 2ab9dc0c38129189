/* SPDX-License-Identifier: ISC */
#ifndef TESTS_SIM_CALLS_H
#define TESTS_SIM_CALLS_H

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

#include "sq.h"

/* What the bridge's sources call, compiled for the simulator, instead of what they name. */

int sim_open(struct sq **ret, const char *name);
int sim_open_durable(struct sq **ret, const char *name, uint64_t key, int64_t grace);
void sim_sq_close(struct sq *q);
int sim_bind(struct sq *q, uint64_t key, uint64_t *ret);
int sim_held(struct sq *q, struct sq_lease *ret, int n);
int sim_last_put(struct sq *q, uint64_t *ret);
int sim_lease(struct sq *q, struct sq_lease *ret, int64_t timeout);
int sim_lease_id(struct sq *q, uint64_t id, struct sq_lease *ret);
int sim_ack(struct sq *q, const struct sq_lease *lease);
int sim_nack(struct sq *q, const struct sq_lease *lease);
int sim_return(struct sq *q, const struct sq_lease *lease);
int sim_put(struct sq *q, const void *data, size_t len, int64_t timeout);
int sim_reserve(struct sq *q, size_t len, void **ret);
int sim_commit(struct sq *q, size_t len, int64_t timeout);
int sim_find(struct sq *q, uint64_t id);
int sim_mark(struct sq *q, uint64_t *ret);
int sim_passed(struct sq *q, uint64_t mark);
int sim_digest(const void *data, size_t len, unsigned char *ret, unsigned *ret_len,
	const EVP_MD *type, ENGINE *engine);
void *sim_malloc(size_t n);
void *sim_calloc(size_t n, size_t size);
void *sim_reallocarray(void *p, size_t n, size_t size);
void sim_free(void *p);

#endif
