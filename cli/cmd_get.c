/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "now.h"
#include "parse.h"
#include "report.h"
#include "sq.h"
#include "stop.h"

/*
 * sqctl get. Items are leased, written, and acknowledged only then: if the write fails, or we are
 * killed, the queue still has them. A batch ends when it is full or the queue is empty for the
 * moment, so that no item waits for others to come; and nothing is leased while whoever reads us is
 * not ready.
 */

#define BATCH        512
#define BUFFER_BYTES ((size_t)64 << 10)

const char help_get[] =
	"  -n N            end after N items (all that are there)\n"
	"  --timeout SPAN  wait so long for each item (not at all)\n"
	"  --follow        wait for ever, until the queue is shut down or a signal comes\n"
	"  -0, --null      end each item with a NUL instead of a newline\n"
	"\n"
	"An item leaves the queue once it has been written. What could not be written is given back, and is\n"
	"delivered again out of its order; if sqctl is killed between writing and acknowledging, items are\n"
	"delivered twice. Beware of `sqctl get pq | head -1`: what a pipe has taken has been written. Use -n.\n"
	"\n"
	"  sqctl get -n 1 --timeout 10s pq\n"
	"  sqctl get --follow pq | while read -r n; do echo $((n * n)); done\n"
	"  sqctl get -0 files | xargs -0 ls -l\n"
	"\n"
	"Exit: 0 done (some came, or a signal ended --follow, or whoever read us left), 1 empty, 3 shut down\n"
	"and drained, 64 usage, 66 no such queue, 70 damaged, 74 cannot write, 77 not allowed, 124 timed out:\n"
	"nothing came, or fewer than -n.\n";

struct get {
	struct sq *q;
	const char *queue;
	uint64_t limit; /* 0: none */
	int64_t timeout;
	char delimiter;
	bool follow;

	uint64_t done; /* written and acknowledged */
	uint64_t late; /* written, but the lease had ended */
	int write_error;
	int n; /* leases in hand */
	size_t len;
	struct sq_lease lease[BATCH];
	size_t end[BATCH]; /* of each in the buffer */
	char buffer[BUFFER_BYTES];
};

/*
 * 0 when it would take more, -EIO when nobody reads any more, -EINTR: a signal. timeout as
 * poll()'s.
 */
static int output_wait(struct get *get, int timeout_ms)
{
	struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};

	while (!stop_signal()) {
		int r = poll(&out, 1, timeout_ms);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0 || !(out.revents & POLLERR))
			return 0;
		get->write_error = EPIPE;
		return -EIO;
	}
	return -EINTR;
}

/* Write it all; *ret: how much went out, also on error. 0, -EIO, -EINTR. */
static int output_write(struct get *get, const char *data, size_t len, size_t *ret)
{
	int r = 0;

	*ret = 0;
	while (r == 0 && *ret < len) {
		ssize_t n = write(STDOUT_FILENO, data + *ret, len - *ret);

		if (n >= 0) {
			*ret += (size_t)n;
		} else if (errno == EAGAIN || errno == EINTR) {
			r = output_wait(get, -1);
		} else {
			get->write_error = errno;
			r = -EIO;
		}
	}
	return r;
}

static void settle(struct get *get, const struct sq_lease *lease, bool written)
{
	if (!written)
		(void)sq_nack(get->q, lease); /* stale: then it has been given back already */
	else if (sq_ack(get->q, lease) < 0)
		get->late++;
	else
		get->done++;
}

/* Write what is in hand and settle it. 0, -EIO, -EINTR. */
static int flush(struct get *get)
{
	size_t written;
	int r = output_write(get, get->buffer, get->len, &written);

	for (int i = 0; i < get->n; i++)
		settle(get, &get->lease[i], get->end[i] <= written);
	get->n = 0;
	get->len = 0;
	return r;
}

/* One that the buffer has no room for, from where it lies. */
static int write_large(struct get *get, const struct sq_lease *lease)
{
	size_t written, end = 0;
	int r = output_write(get, lease->data, lease->len, &written);

	if (r == 0)
		r = output_write(get, &get->delimiter, 1, &end);
	settle(get, lease, end == 1);
	return r;
}

static int add(struct get *get, const struct sq_lease *lease)
{
	int r;

	if (get->n == BATCH || lease->len >= BUFFER_BYTES - get->len) {
		r = flush(get);
		if (r < 0) {
			settle(get, lease, false);
			return r;
		}
	}
	if (lease->len >= BUFFER_BYTES)
		return write_large(get, lease);
	memcpy(get->buffer + get->len, lease->data, lease->len);
	get->len += lease->len;
	get->buffer[get->len++] = get->delimiter;
	get->lease[get->n] = *lease;
	get->end[get->n++] = get->len;
	return 0;
}

/* There is none just now. -EAGAIN if we do not wait. */
static int wait_for_one(struct get *get, struct sq_lease *ret)
{
	int64_t deadline = now_ns(), left = get->timeout;
	int r;

	if (!get->follow && left == 0)
		return -EAGAIN;
	deadline += left < INT64_MAX - deadline ? left : INT64_MAX - deadline;
	for (;;) {
		r = sq_lease(get->q, ret, get->follow || left > STOP_LOOK_NS ? STOP_LOOK_NS : left);
		if (r != -ETIMEDOUT)
			return r;
		/* A reader that leaves must not have to wait for an item to be missed. */
		r = output_wait(get, 0);
		if (r < 0)
			return r;
		if (get->follow)
			continue;
		left = deadline - now_ns();
		if (left <= 0)
			return -ETIMEDOUT;
	}
}

/*
 * 0: as many as were asked for. Else why no more: -EIO and -EINTR are the output's, the others the
 * queue's.
 */
static int run(struct get *get)
{
	int r, f;

	do {
		struct sq_lease lease;

		r = get->n == 0 ? output_wait(get, -1) : 0;
		if (r == 0)
			r = sq_lease(get->q, &lease, SQ_NOWAIT);
		if (r == -EAGAIN) {
			r = flush(get);
			if (r == 0)
				r = wait_for_one(get, &lease);
		}
		if (r == 0)
			r = add(get, &lease);
		if (r == 0 && stop_signal())
			r = -EINTR;
	} while (r == 0 &&
		 (get->limit == 0 || get->done + get->late + (uint64_t)get->n < get->limit));
	f = flush(get);
	return f < 0 ? f : r;
}

static int report_end(struct get *get, int error)
{
	switch (-error) {
	case 0:
		return EXIT_DONE;
	case EAGAIN:
		if (get->done > 0)
			return EXIT_DONE;
		return report(EXIT_EMPTY, "%s is empty; wait with `--timeout 10s` or `--follow`",
			get->queue);
	case ETIMEDOUT:
		if (get->done > 0 && get->limit == 0)
			return EXIT_DONE;
		return report(EXIT_TIMED_OUT,
			"timed out waiting for %s: %" PRIu64
			" item%s came; wait with a longer --timeout, or --follow",
			get->queue, get->done, get->done == 1 ? "" : "s");
	case EPIPE:
		return report(EXIT_DRAINED,
			"%s is shut down and drained: no more will come; to go on, `sqctl rm %s` and make another",
			get->queue, get->queue);
	case EIO:
		if (get->write_error == EPIPE)
			return EXIT_DONE; /* whoever read us has had enough */
		return report(EXIT_IO,
			"cannot write: %s; %" PRIu64
			" item%s had been written, the rest is still in %s: make room "
			"and go on",
			strerrordesc_np(get->write_error), get->done, get->done == 1 ? "" : "s",
			get->queue);
	case EINTR:
		return get->follow
			       ? EXIT_DONE
			       : report(128 + stop_signal(), "ended by signal %d", stop_signal());
	default:
		return report_queue(get->queue, error);
	}
}

static int read_options(struct get *get, int argc, char **argv)
{
	static const struct option options[] = {
		{"number", required_argument, NULL, 'n'},
		{"timeout", required_argument, NULL, 't'},
		{"follow", no_argument, NULL, 'f'},
		{"null", no_argument, NULL, '0'},
		{0},
	};
	bool timeout = false;
	int option;

	opterr = 0;
	optind = 0;
	while ((option = getopt_long(argc, argv, ":n:0", options, NULL)) != -1) {
		const char *wrong = NULL;

		if (option == 'n')
			wrong = parse_count(&get->limit, optarg, 1, UINT64_MAX);
		else if (option == 't')
			wrong = parse_span(&get->timeout, optarg);
		else if (option == 'f')
			get->follow = true;
		else if (option == '0')
			get->delimiter = '\0';
		else
			return report_option("get", argv, option);
		timeout = timeout || option == 't';
		if (wrong)
			return report_usage("get", "%s '%s' %s", option == 'n' ? "-n" : "--timeout",
				optarg, wrong);
	}
	if (timeout && get->follow)
		return report_usage("get", "--follow waits for ever: leave it or --timeout away");
	if (optind == argc)
		return report_usage("get", "the name of a queue is missing; `sqctl ls` lists them");
	if (argc - optind > 1)
		return report_usage("get", "one queue at a time");
	get->queue = argv[optind];
	return EXIT_DONE;
}

int cmd_get(int argc, char **argv)
{
	static struct get get = {.delimiter = '\n'};
	int r, code = read_options(&get, argc, argv);

	if (code != EXIT_DONE)
		return code;
	r = sq_open(&get.q, get.queue);
	if (r < 0)
		return report_queue(get.queue, r);
	stop_catch();
	r = run(&get);
	sq_close(get.q);
	code = report_end(&get, r);
	if (get.late > 0)
		(void)report(code,
			"%" PRIu64
			" item%s written after the lease had ended, and given to another too; make the queue "
			"with a longer --lease-time",
			get.late, get.late == 1 ? " was" : "s were");
	if (code != EXIT_DONE)
		stop_die();
	return code;
}
