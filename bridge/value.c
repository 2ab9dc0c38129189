/* SPDX-License-Identifier: ISC */
#include "value.h"

#include <bsd/libutil.h>
#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static char allowed[160];

static const struct unit {
	const char *name;
	uint64_t ns;
} units[] = {
	{"d", 86400000000000},
	{"h", 3600000000000},
	{"m", 60000000000},
	{"s", 1000000000},
	{"ms", 1000000},
	{"us", 1000},
	{"ns", 1},
};
#define UNITS     (sizeof(units) / sizeof(units[0]))
#define SECOND_NS 1000000000u

void value_span_text(char *buf, size_t cap, uint64_t ns)
{
	size_t i = 0;

	if (ns == 0) {
		(void)snprintf(buf, cap, "0s");
		return;
	}
	while (ns % units[i].ns != 0)
		i++;
	(void)snprintf(buf, cap, "%" PRIu64 "%s", ns / units[i].ns, units[i].name);
}

void value_size_text(char *buf, size_t cap, uint64_t bytes)
{
	static const char suffix[] = " KMGT";
	size_t i = 0;

	while (bytes > 0 && bytes % 1024 == 0 && i < sizeof(suffix) - 2) {
		bytes /= 1024;
		i++;
	}
	(void)snprintf(buf, cap, "%" PRIu64 "%.*s", bytes, i > 0, suffix + i);
}

/* Digits alone: strtonum() and expand_number() also take blanks, signs, octal and the like. */
static bool is_digits(const char *text, size_t len)
{
	return len > 0 && len < 20 && strspn(text, "0123456789") >= len;
}

const char *value_count(uint64_t *ret, const char *text, uint64_t min, uint64_t max)
{
	const char *wrong = NULL;
	long long v = 0;

	if (is_digits(text, strlen(text)))
		v = strtonum(text, (long long)min, (long long)max, &wrong);
	else
		wrong = "none";
	if (!wrong) {
		*ret = (uint64_t)v;
		return NULL;
	}
	(void)snprintf(
		allowed, sizeof(allowed), "a whole number from %" PRIu64 " to %" PRIu64, min, max);
	return allowed;
}

const char *value_size(uint64_t *ret, const char *text, uint64_t min, uint64_t max)
{
	size_t digits = strspn(text, "0123456789");
	char low[24], high[24];
	uint64_t v = 0;

	/* A zero in front would make it octal. */
	while (digits > 1 && *text == '0') {
		text++;
		digits--;
	}
	if (is_digits(text, digits) && digits < 16 &&
		(!text[digits] || (strchr("kKmMgG", text[digits]) && !text[digits + 1])) &&
		expand_number(text, &v) == 0 && v >= min && v <= max) {
		*ret = v;
		return NULL;
	}
	value_size_text(low, sizeof(low), min);
	value_size_text(high, sizeof(high), max);
	(void)snprintf(allowed, sizeof(allowed),
		"a number of bytes from %s to %s; K, M and G are powers of 1024", low, high);
	return allowed;
}

/*
 * Exact, unlike a double: digits, perhaps a point and up to three more digits, and perhaps a unit; else
 * it is seconds, as it is for sqctl.
 */
static bool span(uint64_t *ret, const char *text)
{
	size_t whole = strspn(text, "0123456789"), part = 0, i = 0;
	uint64_t ns, fraction = 0, scale = 1, unit_ns;
	const char *unit = text + whole;

	if (!is_digits(text, whole))
		return false;
	if (*unit == '.') {
		part = strspn(unit + 1, "0123456789");
		if (part < 1 || part > 3)
			return false;
		for (size_t k = 0; k < part; k++, scale *= 10)
			fraction = fraction * 10 + (uint64_t)(unit[1 + k] - '0');
		unit += 1 + part;
	}
	while (i < UNITS && strcmp(unit, units[i].name) != 0)
		i++;
	ns = strtoull(text, NULL, 10);
	if (i == UNITS && *unit)
		return false;
	unit_ns = i == UNITS ? SECOND_NS : units[i].ns;
	if (__builtin_mul_overflow(ns, unit_ns, &ns) ||
		__builtin_add_overflow(ns, fraction * unit_ns / scale, &ns))
		return false;
	*ret = ns;
	return true;
}

const char *value_span(uint64_t *ret, const char *text, uint64_t min, uint64_t max)
{
	char low[24], high[24];
	uint64_t v;

	if (span(&v, text) && v >= min && v <= max) {
		*ret = v;
		return NULL;
	}
	value_span_text(low, sizeof(low), min);
	value_span_text(high, sizeof(high), max);
	(void)snprintf(allowed, sizeof(allowed),
		"a span of time from %s to %s: a number and us, ms, s, m, h or d; without one, seconds",
		low, high);
	return allowed;
}

const char *value_address(struct config_address *ret, const char *text, bool any_port)
{
	static const char hosts[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    ".-_";
	static const char numbers[] = "abcdefABCDEF0123456789:.";
	struct config_address a = {.v6 = *text == '['};
	const char *host = text + a.v6, *colon;
	const char *wrong = any_port ? "an address such as 0.0.0.0:5678, [::]:5678 or host:5678, "
				       "with a port to 65535"
				     : "an address such as host:5678, 192.0.2.1:5678 or "
				       "[2001:db8::1]:5678, with a port from 1 to 65535";
	uint64_t port;
	size_t len;

	len = a.v6 ? strcspn(host, "]%") : strcspn(host, ":");
	if (a.v6 && host[len] == '%')
		len += strcspn(host + len, "]"); /* an interface, as of fe80::1%eth0 */
	colon = host + len + a.v6;
	if (len < 1 || len > CONFIG_HOST_MAX || (a.v6 && host[len] != ']') || *colon != ':' ||
		value_count(&port, colon + 1, any_port ? 0 : 1, UINT16_MAX))
		return wrong;
	if (a.v6 ? strspn(host, numbers) < strcspn(host, "]%") || !memchr(host, ':', len)
		 : strspn(host, hosts) != len)
		return wrong;
	memcpy(a.host, host, len);
	a.port = (uint16_t)port;
	*ret = a;
	return NULL;
}

const char *value_metrics(struct config_address *ret, const char *text)
{
	size_t len = strlen(text);

	if (*text != '/')
		return value_address(ret, text, true) ? "an address such as 127.0.0.1:9567, or the "
							"path of a socket, beginning with /"
						      : NULL;
	if (len > CONFIG_SOCKET_MAX)
		return "a path of at most 107 bytes";
	*ret = (struct config_address){.socket = true};
	memcpy(ret->host, text, len);
	return NULL;
}

static bool is_local(const char *text, size_t len)
{
	const char *dot = memchr(text, '.', len);
	size_t prefix = dot ? (size_t)(dot - text) : 0;

	if (!dot)
		return wire_name_ok(text, len);
	return wire_name_ok(text, prefix) && wire_name_ok(dot + 1, len - prefix - 1);
}

static bool stream(struct config_stream *ret, const char *text, size_t len)
{
	const char *equals = memchr(text, '=', len), *local = equals ? equals + 1 : text;
	size_t name = equals ? (size_t)(equals - text) : len;
	size_t local_len = len - (size_t)(local - text);
	struct config_stream s = {.direction = ret->direction};

	if (!wire_name_ok(text, name) || !is_local(local, local_len))
		return false;
	memcpy(s.queue, text, name);
	memcpy(s.local, local, local_len);
	*ret = s;
	return true;
}

static bool direction(enum wire_direction *ret, const char *text)
{
	if (strcmp(text, "pull") == 0)
		*ret = WIRE_PULL;
	else if (strcmp(text, "push") == 0)
		*ret = WIRE_PUSH;
	else
		return false;
	return true;
}

const char *value_stream(struct config_stream *ret, const char *text)
{
	return stream(ret, text, strlen(text)) ? NULL
					       : "QUEUE, or QUEUE=LOCAL if it has another name "
						 "here; names are letters, digits, '-' and '_', at "
						 "most 64";
}

const char *value_share(struct config_stream *ret, const char *text)
{
	size_t len = strcspn(text, ":");
	struct config_stream s = {0};

	if (text[len] != ':' || !direction(&s.direction, text + len + 1) || !stream(&s, text, len))
		return "QUEUE:pull or QUEUE:push, or QUEUE=LOCAL:pull if it has another name here";
	*ret = s;
	return NULL;
}

const char *value_allow(struct config_allow *ret, const char *text)
{
	size_t who = strcspn(text, ":"), what;
	struct config_allow a = {0};
	const char *queue = text + who + 1;

	if (text[who] != ':' || !(keys_identity_ok(text, who) || (who == 1 && *text == '*')))
		goto wrong;
	what = strcspn(queue, ":");
	if (queue[what] != ':' || !wire_name_ok(queue, what) ||
		!direction(&a.direction, queue + what + 1))
		goto wrong;
	memcpy(a.identity, text, who);
	memcpy(a.queue, queue, what);
	*ret = a;
	return NULL;
wrong:
	return "IDENTITY:QUEUE:pull or IDENTITY:QUEUE:push, or * for every identity";
}

const char *value_path(char ret[static PATH_MAX], const char *text)
{
	if (!*text || strlen(text) >= PATH_MAX)
		return "the name of a file";
	(void)strlcpy(ret, text, PATH_MAX);
	return NULL;
}

const char *value_name(char ret[static CONFIG_NAME_MAX + 1], const char *text)
{
	size_t len = strlen(text);

	if (len > CONFIG_NAME_MAX || !wire_name_ok(text, len))
		return "a name of letters, digits, '-' and '_', at most 32";
	memcpy(ret, text, len + 1);
	return NULL;
}

const char *value_identity(char ret[static KEYS_IDENTITY_MAX + 1], const char *text)
{
	size_t len = strlen(text);

	if (!keys_identity_ok(text, len))
		return "an identity of letters, digits, '.', '_', '-' and '@', at most 64";
	memcpy(ret, text, len + 1);
	return NULL;
}

const char *value_level(enum log_level *ret, const char *text)
{
	for (unsigned i = 0; i < LOG_LEVELS; i++)
		if (strcmp(text, log_level_name(i)) == 0) {
			*ret = i;
			return NULL;
		}
	return "error, warning, notice, info or debug";
}

const char *value_format(enum log_format *ret, const char *text)
{
	for (unsigned i = 0; i < LOG_FORMATS; i++)
		if (strcmp(text, log_format_name(i)) == 0) {
			*ret = i;
			return NULL;
		}
	return "auto, plain or journal";
}

/* To use a queue is to read and write it, and its owner must be able to. */
const char *value_mode(uint32_t *ret, const char *text)
{
	static const struct {
		const char *text;
		uint32_t mode;
	} modes[] = {{"600", 0600}, {"606", 0606}, {"660", 0660}, {"666", 0666}};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(text + (*text == '0'), modes[i].text) == 0) {
			*ret = modes[i].mode;
			return NULL;
		}
	return "0600, 0660 for its group too, 0666 for all, or 0606";
}
