/* SPDX-License-Identifier: ISC */
#ifndef CLI_WORDS_H
#define CLI_WORDS_H

#include <stdint.h>

/* Numbers as people read them. */

/* What a noun ends with, of so many: "" or "s". */
const char *words_plural(uint64_t n);

/* A span of time, to buf: 2ms, 1.5s, 12m. */
#define WORDS_SPAN_MAX 24
const char *words_span(char buf[static WORDS_SPAN_MAX], uint64_t ns);

/* A number of bytes, to buf: 16M. */
#define WORDS_SIZE_MAX 8
const char *words_size(char buf[static WORDS_SIZE_MAX], uint64_t bytes);

#endif
