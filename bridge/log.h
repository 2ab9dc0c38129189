/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_LOG_H
#define BRIDGE_LOG_H

/*
 * One line of logfmt for each event: `ts=... level=info event=link_up peer=farm1 streams=3`, to
 * standard error; under the journal, which keeps time and level itself, `<6>event=link_up ...`. All
 * of the daemon calls it, from its one thread.
 *
 * A kind of event, that is its name, is written LOG_BURST times a second at most; what was held
 * back is counted, and told before the next line of that kind or by log_tick(). So a peer that
 * connects a thousand times a second does not fill the disk.
 *
 * Invariant: one write() for each line, never more than LOG_LINE_MAX bytes, always one line: values
 * are escaped. There is no way to log bytes: neither payload nor keys get in by mistake.
 */

#include <stdbool.h>
#include <stdint.h>

#define LOG_LINE_MAX  2048 /* bytes of a line, with its end */
#define LOG_VALUE_MAX 400  /* bytes of a value, escaped; what is beyond is "..." */
#define LOG_BURST     10   /* lines of a kind in LOG_SPAN_MS */
#define LOG_SPAN_MS   1000
#define LOG_KINDS_MAX 128 /* kinds that are told apart; all others are one kind */

enum log_level {
	LEVEL_ERROR,
	LEVEL_WARNING,
	LEVEL_NOTICE,
	LEVEL_INFO,
	LEVEL_DEBUG,
};
#define LOG_LEVELS 5

enum log_format {
	LOG_AUTO,    /* the journal if standard error is its stream, else plain */
	LOG_PLAIN,   /* with time and level */
	LOG_JOURNAL, /* with the journal's prefix */
};
#define LOG_FORMATS 3

struct log_field {
	const char *key; /* NULL: the end */
	enum { LOG_KIND_STRING, LOG_KIND_UNSIGNED, LOG_KIND_SIGNED, LOG_KIND_ERROR } kind;
	const char *string;
	uint64_t number;
	uint32_t len; /* of string; UINT32_MAX: up to its zero */
};

/* clang-format off */
#define LOG_STR(k, v)      (struct log_field){(k), LOG_KIND_STRING, (v), 0, UINT32_MAX}
#define LOG_TEXT(k, v, n)  (struct log_field){(k), LOG_KIND_STRING, (v), 0, (n)}
#define LOG_U64(k, v)      (struct log_field){(k), LOG_KIND_UNSIGNED, NULL, (v), 0}
#define LOG_I64(k, v)      (struct log_field){(k), LOG_KIND_SIGNED, NULL, (uint64_t)(int64_t)(v), 0}
#define LOG_ERR(v)         (struct log_field){"error", LOG_KIND_ERROR, NULL, (uint64_t)(int64_t)(v), 0}
#define LOG_END            (struct log_field){0}
/* clang-format on */

/*
 * log_event(LEVEL_INFO, "link_up", LOG_STR("peer", peer), LOG_U64("streams", 3)): at least one
 * field. Names of events and keys are words of ours: letters, digits and `_`, and live for ever.
 * LOG_TEXT takes what is not terminated; LOG_ERR a negative errno. A NULL string is left out.
 */
#define log_event(level, event, ...)                                                               \
	log_write((level), (event), (const struct log_field[]){__VA_ARGS__, LOG_END})

void log_write(enum log_level level, const char *event, const struct log_field *fields);

/* Tells what was held back, of the kinds whose second is over. The loop calls it once a second. */
void log_tick(void);

/* Before anything is logged: by default LEVEL_INFO, LOG_AUTO, to standard error. */
void log_setup(enum log_level level, enum log_format format);

/* Is this level written? For what it would take time to find out. */
bool log_enabled(enum log_level level);

/* Lines held back, and lines that standard error did not take, since the start. */
uint64_t log_suppressed(void);
uint64_t log_lost(void);

const char *log_level_name(enum log_level level);
const char *log_format_name(enum log_format format);

/*
 * For tests: where lines go and what the time is (ns; wall: since 1970, steady: for the rate). NULL
 * is the real thing again. Forgets all rates.
 */
struct log_world {
	long (*write)(const char *line, unsigned long len, void *data);
	uint64_t (*wall)(void *data);
	uint64_t (*steady)(void *data);
	void *data;
};
void log_fake(const struct log_world *world);

#endif
