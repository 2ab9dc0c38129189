/* SPDX-License-Identifier: ISC */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sq.h"
#include "words.h"

#define SHOWN_MAX 40 /* bytes of a wrong task in an error message */

/* In one piece: others write to the same terminal. */
int report(int code, const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	fprintf(stderr, "sqctl: %s\n", text ? text : format);
	free(text);
	return code;
}

int report_usage(const char *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "sqctl %s: ", command);
	vfprintf(stderr, format, args);
	fprintf(stderr, "; see `sqctl help %s`\n", command);
	va_end(args);
	return EXIT_USAGE;
}

static int report_name(const char *queue)
{
	char prefix[SQ_NAME_MAX + 1];

	if (sq_prefix(prefix, sizeof(prefix)) < 0 && !strchr(queue, '.'))
		return report(EXIT_USAGE,
			"SQ_PREFIX is '%s', which is no prefix: set it to letters, digits, - and _, up to %d of "
			"them, or unset it",
			getenv("SQ_PREFIX") ? getenv("SQ_PREFIX") : "", SQ_NAME_MAX);
	return report(EXIT_USAGE,
		"'%s' is no queue name: use letters, digits, - and _, up to %d of them, and perhaps a prefix "
		"of the same kind with a dot",
		queue, SQ_NAME_MAX);
}

const char *report_operand(const char *queue)
{
	static char text[SQ_NAME_MAX * 2 + 8];

	if (*queue != '-')
		return queue;
	(void)snprintf(text, sizeof(text), "-- %s", queue);
	return text;
}

int report_queue(const char *queue, int error)
{
	char prefix[SQ_NAME_MAX + 1];
	const char *why;

	switch (-error) {
	case ENOENT:
		return report(EXIT_NO_QUEUE,
			"no such queue: %s; make it with `sqctl create %s`, list with `sqctl ls`",
			queue, report_operand(queue));
	case EINVAL:
		return report_name(queue);
	case EIDRM:
		return report(EXIT_NO_QUEUE, "%s was removed; make it again with `sqctl create %s`",
			queue, report_operand(queue));
	case EPERM:
		return report(EXIT_DENIED,
			"%s is another user's queue; say its whole name, with the prefix that `sqctl ls -a` "
			"shows, if that is the one you mean",
			queue);
	case EROFS:
		return report(EXIT_UNAVAILABLE,
			"%s cannot be changed: /dev/shm is mounted read-only; `sqctl stat` and `sqctl ls` "
			"still tell of it",
			queue);
	case EACCES:
		return report(EXIT_DENIED,
			"not allowed to use %s: ask its owner, who can make it with `sqctl create --mode 0660`",
			queue);
	case EPROTO:
		why = sq_check(queue);
		return report(EXIT_BROKEN, "%s cannot be used: %s; remove it with `sqctl rm %s`",
			queue, why ? why : "it changed just now", report_operand(queue));
	case EUSERS:
		return report(EXIT_UNAVAILABLE,
			"%s has as many participants as it has room for; end some, or make it again with more "
			"`--participants`",
			queue);
	case EAGAIN:
	case ENOSPC:
		return report(EXIT_FULL, "%s is full; try again, or wait with `--timeout`", queue);
	case ETIMEDOUT:
		return report(EXIT_TIMED_OUT,
			"timed out waiting for %s; wait longer with `--timeout`", queue);
	case EPIPE:
		return report(EXIT_DRAINED, "%s is shut down; make another to go on", queue);
	case EBADMSG:
		return report(EXIT_BROKEN,
			"the memory of %s has been damaged; save what `sqctl get %s` still gives, then "
			"`sqctl rm %s`",
			queue, report_operand(queue), report_operand(queue));
	case EMFILE:
	case ENFILE:
		return report(EXIT_UNAVAILABLE,
			"%s: too many open files; raise the limit with `ulimit -n`", queue);
	case ENOMEM:
		return report(EXIT_UNAVAILABLE,
			"%s: no memory for it; free some, or use a smaller queue", queue);
	default:
		if (sq_prefix(prefix, sizeof(prefix)) == error && !strchr(queue, '.'))
			return report(EXIT_UNAVAILABLE,
				"%s: cannot tell your login name, which its name begins with (%s); set "
				"SQ_PREFIX, or say the whole name",
				queue, sq_strerror(error));
		return report(EXIT_BROKEN, "%s: %s", queue, sq_strerror(error));
	}
}

int report_refused(int code, const void *task, size_t len, const char *why, const char *fate)
{
	int n = len < SHOWN_MAX ? (int)len : SHOWN_MAX;
	char shown[SHOWN_MAX + 1];

	for (int i = 0; i < n; i++) {
		unsigned char c = ((const unsigned char *)task)[i];

		shown[i] = c < ' ' || c > '~' ? '?' : (char)c;
	}
	shown[n] = '\0';
	return report(
		code, "the task '%s'%s %s; %s", shown, len > SHOWN_MAX ? "..." : "", why, fate);
}

int report_stopped(int signal_number, uint64_t done, uint64_t wanted)
{
	return report(128 + signal_number,
		"ended by signal %d, after %" PRIu64 " of %" PRIu64 " items", signal_number, done,
		wanted);
}

void report_total(
	const char *did, uint64_t n, const char *where, const char *queue, int64_t span_ns)
{
	double seconds = (double)span_ns / 1e9;

	(void)report(EXIT_DONE, "%s %" PRIu64 " item%s%s%s in %.1f s, %.1f/s", did, n,
		words_plural(n), where, queue, seconds, seconds > 0 ? (double)n / seconds : 0);
}
