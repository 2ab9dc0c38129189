/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_VALUE_H
#define BRIDGE_VALUE_H

/*
 * Words of flags, variables and files to values. Pure; config.c calls them. Each returns NULL, or
 * what is allowed, to be printed behind "must be": static until the next call. Outputs are written
 * only with NULL.
 */

#include "config.h"

const char *value_count(uint64_t *ret, const char *text, uint64_t min, uint64_t max);

/* A number with an optional unit: 64K, 1M, 2G (powers of 1024). */
const char *value_size(uint64_t *ret, const char *text, uint64_t min, uint64_t max);

/* A span of time: 50ms, 1.5s, 3m, 1h, 2d; nanoseconds. Without a unit it is seconds. */
const char *value_span(uint64_t *ret, const char *text, uint64_t min, uint64_t max);

/* HOST:PORT or [V6]:PORT. Port 0 only with `any_port`. */
const char *value_address(struct config_address *ret, const char *text, bool any_port);

/* The same, or the absolute path of a unix socket. */
const char *value_metrics(struct config_address *ret, const char *text);

/* QUEUE or QUEUE=LOCAL. The direction is the caller's. */
const char *value_stream(struct config_stream *ret, const char *text);

/* QUEUE:pull or QUEUE:push, QUEUE=LOCAL:pull */
const char *value_share(struct config_stream *ret, const char *text);

/* IDENTITY:QUEUE:pull, or * for the identity. */
const char *value_allow(struct config_allow *ret, const char *text);

const char *value_path(char ret[static PATH_MAX], const char *text);
const char *value_name(char ret[static CONFIG_NAME_MAX + 1], const char *text);
const char *value_identity(char ret[static KEYS_IDENTITY_MAX + 1], const char *text);
const char *value_level(enum log_level *ret, const char *text);
const char *value_format(enum log_format *ret, const char *text);
const char *value_mode(uint32_t *ret, const char *text);

/* A span in the largest unit that it is a whole number of, to buf. */
void value_span_text(char *buf, size_t cap, uint64_t ns);
void value_size_text(char *buf, size_t cap, uint64_t bytes);

#endif
