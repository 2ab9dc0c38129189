/* SPDX-License-Identifier: ISC */
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS 1000000u

/* A pipe without a reader or a halted terminal must not stop the daemon. */
static long real_write(const char *line, unsigned long len, void *data)
{
	struct pollfd to = {.fd = STDERR_FILENO, .events = POLLOUT};

	if (poll(&to, 1, 0) == 0) {
		errno = EAGAIN;
		return -1;
	}
	return write(STDERR_FILENO, line, len);
}

static uint64_t now(clockid_t clock)
{
	struct timespec t = {0};

	(void)clock_gettime(clock, &t); /* fails only for a clock that there is not */
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t real_wall(void *data)
{
	return now(CLOCK_REALTIME);
}

static uint64_t real_steady(void *data)
{
	return now(CLOCK_MONOTONIC);
}

static const struct log_world real = {real_write, real_wall, real_steady, NULL};

/* How often each kind came in the second that began at `since`. The last one is all others. */
struct rate {
	const char *event;
	enum log_level level; /* of what was held back, the most urgent */
	uint64_t since_ms;
	uint32_t lines, held;
};

static struct {
	struct log_world world;
	enum log_level level;
	bool journal, ready;
	uint64_t suppressed, lost;
	struct rate rates[LOG_KINDS_MAX + 1];
	uint32_t kinds;
} lg = {.level = LEVEL_INFO, .world = {real_write, real_wall, real_steady, NULL}};

/* As systemd.exec(5) asks: $JOURNAL_STREAM counts only if it names our standard error. */
static bool is_journal(void)
{
	const char *env = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return env && sscanf(env, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_setup(enum log_level level, enum log_format format)
{
	lg.level = level;
	lg.journal = format == LOG_JOURNAL || (format == LOG_AUTO && is_journal());
	lg.ready = true;
}

void log_fake(const struct log_world *world)
{
	lg.world = world ? *world : real;
	memset(lg.rates, 0, sizeof(lg.rates));
	lg.kinds = 0;
	lg.suppressed = 0;
	lg.lost = 0;
}

bool log_enabled(enum log_level level)
{
	return level <= lg.level;
}

uint64_t log_suppressed(void)
{
	return lg.suppressed;
}

uint64_t log_lost(void)
{
	return lg.lost;
}

const char *log_level_name(enum log_level level)
{
	static const char *const names[LOG_LEVELS] = {
		"error", "warning", "notice", "info", "debug"};

	return (unsigned)level < LOG_LEVELS ? names[level] : "?";
}

const char *log_format_name(enum log_format format)
{
	static const char *const names[LOG_FORMATS] = {"auto", "plain", "journal"};

	return (unsigned)format < LOG_FORMATS ? names[format] : "?";
}

/* A line that grows, and stops growing with room left for its end. */
struct line {
	char text[LOG_LINE_MAX];
	size_t len;
};

static void add(struct line *l, const char *text, size_t len)
{
	size_t room = sizeof(l->text) - 1 - l->len;

	if (len > room)
		len = room;
	memcpy(l->text + l->len, text, len);
	l->len += len;
}

static void add_word(struct line *l, const char *text)
{
	add(l, text, strlen(text));
}

static bool is_plain(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("._-:/@#+,%[]", c));
}

static size_t escape(char to[static 4], unsigned char c)
{
	static const char digits[] = "0123456789abcdef";

	if (c >= ' ' && c < 0x7f && c != '"' && c != '\\') {
		to[0] = (char)c;
		return 1;
	}
	to[0] = '\\';
	switch (c) {
	case '"':
	case '\\':
		to[1] = (char)c;
		return 2;
	case '\n':
		to[1] = 'n';
		return 2;
	case '\r':
		to[1] = 'r';
		return 2;
	case '\t':
		to[1] = 't';
		return 2;
	default:
		to[1] = 'x';
		to[2] = digits[c >> 4];
		to[3] = digits[c & 15];
		return 4;
	}
}

static void add_value(struct line *l, const char *text, size_t len)
{
	bool quote = len == 0;
	size_t used = 0;

	for (size_t i = 0; i < len && !quote; i++)
		quote = i > LOG_VALUE_MAX || !is_plain((unsigned char)text[i]);
	if (quote)
		add(l, "\"", 1);
	for (size_t i = 0; i < len; i++) {
		char one[4];
		size_t n = escape(one, (unsigned char)text[i]);

		if (used + n > LOG_VALUE_MAX) {
			add(l, "...", 3);
			break;
		}
		add(l, one, n);
		used += n;
	}
	if (quote)
		add(l, "\"", 1);
}

static void add_field(struct line *l, const struct log_field *f)
{
	char number[24];
	const char *text = f->string;
	size_t len;

	switch (f->kind) {
	case LOG_KIND_UNSIGNED:
		(void)snprintf(number, sizeof(number), "%" PRIu64, f->number);
		text = number;
		break;
	case LOG_KIND_SIGNED:
		(void)snprintf(number, sizeof(number), "%" PRId64, (int64_t)f->number);
		text = number;
		break;
	case LOG_KIND_ERROR:
		text = strerror((int)-(int64_t)f->number);
		break;
	case LOG_KIND_STRING:
		break;
	}
	if (!text)
		return;
	len = f->kind == LOG_KIND_STRING && f->len != UINT32_MAX ? f->len : strlen(text);
	/* A field that does not fit in whole is left out: half a value would be misleading. */
	if (sizeof(l->text) - l->len < strlen(f->key) + LOG_VALUE_MAX + 10)
		return;
	add_word(l, " ");
	add_word(l, f->key);
	add_word(l, "=");
	add_value(l, text, len);
}

static void add_head(struct line *l, enum log_level level, const char *event)
{
	/* LEVEL_ERROR is syslog's 3, LEVEL_DEBUG its 7. */
	char head[64];

	if (lg.journal) {
		(void)snprintf(head, sizeof(head), "<%u>event=", (unsigned)level + 3);
	} else {
		uint64_t ms = lg.world.wall(lg.world.data) / NS_PER_MS;
		time_t seconds = (time_t)(ms / 1000);
		struct tm tm = {0};
		char date[32];

		(void)gmtime_r(&seconds, &tm);
		(void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
		(void)snprintf(head, sizeof(head), "ts=%s.%03uZ level=%s event=", date,
			(unsigned)(ms % 1000), log_level_name(level));
	}
	add_word(l, head);
	add_word(l, event);
}

static void put(enum log_level level, const char *event, const struct log_field *fields)
{
	struct line l = {.len = 0};
	long n;

	if (!lg.ready)
		log_setup(lg.level, LOG_AUTO);
	add_head(&l, level, event);
	for (; fields->key; fields++)
		add_field(&l, fields);
	l.text[l.len++] = '\n';
	do
		n = lg.world.write(l.text, l.len, lg.world.data);
	while (n < 0 && errno == EINTR);
	/* A failure is only counted: a log that is full or gone must not stop the daemon. */
	if (n < 0 || (size_t)n < l.len)
		lg.lost++;
}

static struct rate *rate_of(const char *event)
{
	for (uint32_t i = 0; i < lg.kinds; i++)
		if (strcmp(lg.rates[i].event, event) == 0)
			return &lg.rates[i];
	if (lg.kinds == LOG_KINDS_MAX) {
		lg.rates[LOG_KINDS_MAX].event = "others";
		return &lg.rates[LOG_KINDS_MAX];
	}
	lg.rates[lg.kinds].event = event;
	return &lg.rates[lg.kinds++];
}

static void tell_held(struct rate *r, uint64_t now_ms)
{
	uint32_t held = r->held;

	if (held == 0)
		return;
	r->held = 0;
	put(r->level, "suppressed",
		(const struct log_field[]){LOG_STR("kind", r->event), LOG_U64("count", held),
			LOG_U64("span_ms", now_ms - r->since_ms), LOG_END});
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
	struct rate *r;
	uint64_t now_ms;

	if (!log_enabled(level))
		return;
	now_ms = lg.world.steady(lg.world.data) / NS_PER_MS;
	r = rate_of(event);
	if (r->lines == 0 || now_ms - r->since_ms >= LOG_SPAN_MS) {
		tell_held(r, now_ms);
		r->since_ms = now_ms;
		r->lines = 0;
	}
	if (r->lines == LOG_BURST) {
		if (r->held == 0 || level < r->level)
			r->level = level;
		r->held++;
		lg.suppressed++;
		return;
	}
	r->lines++;
	put(level, event, fields);
}

void log_tick(void)
{
	uint64_t now_ms = lg.world.steady(lg.world.data) / NS_PER_MS;

	for (uint32_t i = 0; i <= LOG_KINDS_MAX; i++) {
		struct rate *r = &lg.rates[i];

		if (r->held > 0 && now_ms - r->since_ms >= LOG_SPAN_MS)
			tell_held(r, now_ms);
	}
}
