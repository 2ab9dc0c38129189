/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"
#include "command.h"
#include "pages.h"
#include "report.h"
#include "sq.h"
#include "words.h"

/* sqctl bridge. It reads what the daemons write about themselves, and asks them nothing. */

const char help_bridge[] =
	"  -a, --all  the bridges of all prefixes, with their prefix\n"
	"  --json     a JSON object a line: name, state, links and streams; or name, error\n"
	"\n"
	"NAME is what the daemon's --name says (hub, leaf), or PREFIX.NAME. Without it: all of this prefix.\n"
	"\n"
	"A bridge is running, draining, silent (it runs, and has written nothing for ten seconds), killed,\n"
	"or stopped. What is under way when it ends is found again when it starts; one that ends with\n"
	"nothing under way is not shown any more. If there is none at all, and one has left files, it is told\n"
	"how to remove them; BRIDGE.md, \"To clean up\", has the rest.\n"
	"\n"
	"UNSETTLED is what was sent and is not settled, or came and is not settled. OLDEST is for how long.\n"
	"CREDIT is how many messages, and BYTES how much, may follow before more is granted. MOVED was sent,\n"
	"or came; REDELIVERED went back to the queue here, RETURNED to the other side. Counters begin with\n"
	"the process.\n"
	"\n"
	"Exit: 0 each runs; 1 there is none, or one is killed, stopped or silent; 64 usage, 69 no descriptor or\n"
	"memory, 70 a page is damaged or of another version, 74 cannot write, 77 not allowed (with NAME).\n";

static const char *why_not(int error)
{
	switch (error) {
	case -EACCES:
		return "not allowed";
	case -EPROTO:
		return "its status page is of another version";
	case -EBADMSG:
		return "its status page is damaged";
	default:
		return strerrordesc_np(-error);
	}
}

static int code_of(int error)
{
	switch (error) {
	case -EACCES:
		return EXIT_DENIED;
	case -EPROTO:
	case -EBADMSG:
		return EXIT_BROKEN;
	default:
		return EXIT_UNAVAILABLE;
	}
}

static const char *role_of(const struct status_page *page)
{
	return page->head.role == STATUS_HUB ? "hub" : "leaf";
}

static void json_link(const struct status_link *l)
{
	printf("{\"peer\":\"%s\",\"up\":%s,\"since_ns\":%" PRIu64 ",\"reconnects\":%" PRIu64
	       ",\"round_trip_ns\":%" PRIu64 ",\"received_bytes\":%" PRIu64
	       ",\"sent_bytes\":%" PRIu64 "}",
		l->peer, l->up ? "true" : "false", l->since_ns, pages_reconnects(l),
		l->round_trip_ns, l->received_bytes, l->sent_bytes);
}

static void print_json(const struct status_name *of, const struct status_page *page)
{
	const struct status_head *h = &page->head;

	printf("{\"name\":\"%s.%s\",\"role\":\"%s\",\"state\":\"%s\",\"hub\":\"%s\",\"started\":%" PRIu64
	       ",\"age_ns\":%" PRIu64 ",\"left_out\":%u,\"links\":[",
		of->prefix, of->name, role_of(page), pages_state(page), h->address, h->started_s,
		pages_age_ns(page), h->left_out);
	for (uint32_t i = 0; i < h->links; i++) {
		if (i > 0)
			putchar(',');
		json_link(&page->link[i]);
	}
	fputs("],\"streams\":[", stdout);
	for (uint32_t i = 0; i < h->streams; i++) {
		fputs(i > 0 ? ",{" : "{", stdout);
		pages_print_stream(page, &page->stream[i]);
		putchar('}');
	}
	puts("]}");
}

static void print_heading(const struct status_page *page, const char *shown)
{
	uint64_t started_ns = page->head.started_s * 1000000000;
	uint64_t ran = page->head.written_ns > started_ns ? page->head.written_ns - started_ns : 0;
	char age[WORDS_SPAN_MAX], span[WORDS_SPAN_MAX];

	printf("%s: a %s%s%s, ", shown, role_of(page), *page->head.address ? " of " : "",
		page->head.address);
	if (pages_well(page))
		printf("%s for %s\n", pages_state(page), words_span(span, ran));
	else if (page->runs)
		printf("silent; %s ago it was so:\n", words_span(age, pages_age_ns(page)));
	else
		printf("%s; %s ago it was so, and is found again when it starts:\n",
			pages_state(page), words_span(age, pages_age_ns(page)));
}

/* As wide as the longest. */
static int peer_width(const struct status_page *page)
{
	size_t width = strlen("PEER");

	for (uint32_t i = 0; i < page->head.links; i++)
		if (strlen(page->link[i].peer) > width)
			width = strlen(page->link[i].peer);
	return (int)width;
}

static void print_links(const struct status_page *page, int width)
{
	char since[WORDS_SPAN_MAX], trip[WORDS_SPAN_MAX], in[WORDS_SIZE_MAX], out[WORDS_SIZE_MAX];

	printf("  %-*s  LINK  %6s %11s %11s %8s %8s\n", width, "PEER", "SINCE", "ROUND TRIP",
		"RECONNECTS", "RECEIVED", "SENT");
	for (uint32_t i = 0; i < page->head.links; i++) {
		const struct status_link *l = &page->link[i];

		printf("  %-*s  %-4s  %6s %11s %11" PRIu64 " %8s %8s\n", width, l->peer,
			l->up ? "up" : "down", words_span(since, l->since_ns),
			l->round_trip_ns ? words_span(trip, l->round_trip_ns) : "-",
			pages_reconnects(l), words_size(in, l->received_bytes),
			words_size(out, l->sent_bytes));
	}
}

static void print_streams(const struct status_page *page, int width)
{
	char oldest[WORDS_SPAN_MAX], bytes[WORDS_SIZE_MAX];
	int queue = (int)strlen("QUEUE");

	for (uint32_t i = 0; i < page->head.streams; i++)
		if ((int)strlen(page->stream[i].queue) > queue)
			queue = (int)strlen(page->stream[i].queue);
	printf("  %-*s  %-*s  WAY   %9s %7s %8s %6s %10s %10s %11s %8s  HERE\n", width, "PEER",
		queue, "QUEUE", "UNSETTLED", "OLDEST", "CREDIT", "BYTES", "MOVED", "SETTLED",
		"REDELIVERED", "RETURNED");
	for (uint32_t i = 0; i < page->head.streams; i++) {
		const struct status_stream *s = &page->stream[i];
		uint64_t unsettled = s->in_flight + s->owed;

		printf("  %-*s  %-*s  %s  %9" PRIu64 " %7s %8" PRIu64 " %6s %10" PRIu64
		       " %10" PRIu64 " %11" PRIu64 " %8" PRIu64 "  %s%s\n",
			width, page->link[s->link].peer, queue, s->queue, pages_direction(s),
			unsettled, unsettled ? words_span(oldest, s->oldest_ns) : "-", s->credit,
			words_size(bytes, s->credit_bytes), s->sent + s->received, s->settled,
			s->redelivered, s->returned, s->missing ? "no queue " : "", s->local);
	}
}

static void print_text(const struct status_page *page, const char *shown)
{
	int width = peer_width(page);

	print_heading(page, shown);
	if (page->head.links > 0)
		print_links(page, width);
	else
		puts("  no leaf has been there yet");
	if (page->head.streams > 0)
		print_streams(page, width);
	if (page->head.left_out > 0)
		printf("  and %u more\n", page->head.left_out);
}

struct look {
	bool all, json, first;
};

/* One bridge. Its exit code. */
static int show(struct look *look, const struct status_name *of)
{
	char full[sizeof(*of) + 1];
	const char *shown = full;
	struct status_page page;
	int r = status_page_read(&page, of), code;

	(void)snprintf(full, sizeof(full), "%s.%s", of->prefix, of->name);
	if (!look->all)
		shown += strlen(of->prefix) + 1;
	if (!look->json && !look->first)
		putchar('\n');
	look->first = false;
	if (r < 0 && look->json)
		printf("{\"name\":\"%s\",\"error\":\"%s\"}\n", full, why_not(r));
	else if (r < 0)
		printf("%s: %s\n", shown, why_not(r));
	if (r < 0)
		return code_of(r);
	if (look->json)
		print_json(of, &page);
	else
		print_text(&page, shown);
	code = pages_well(&page) ? EXIT_DONE : EXIT_EMPTY;
	status_page_free(&page);
	return code;
}

static void report_left(const char *prefix, const char *name)
{
	(void)report(EXIT_DONE,
		"%s.%s has left files, of which its next start knows what has arrived; if there is to be "
		"none: rm /dev/shm/sqb.%s.%s /dev/shm/sqb.%s.%s.*",
		prefix, name, prefix, name, prefix, name);
}

static int report_none(bool all, const char *prefix, const char *name)
{
	if (name)
		(void)report(EXIT_EMPTY,
			"no bridge %s.%s: it does not run, and has left nothing under way; `sqctl bridge -a` lists "
			"all",
			prefix, name);
	else
		(void)report(EXIT_EMPTY,
			"there is no bridge%s; `sqbridge --help` tells how to start one",
			all ? "" : " of this prefix (`sqctl bridge -a` lists all)");
	pages_left(all ? NULL : prefix, name, report_left);
	return EXIT_EMPTY;
}

/* The one that was asked for, or all. */
static int show_named(struct look *look, const char *prefix, const char *name)
{
	struct status_name *names = NULL;
	int code = EXIT_DONE, r;
	bool any = false;
	size_t n = 0;

	r = status_page_list(&names, &n);
	if (r < 0)
		return report(r == -EACCES ? EXIT_DENIED : EXIT_UNAVAILABLE,
			"cannot list /dev/shm: %s", strerrordesc_np(-r));
	for (size_t i = 0; i < n; i++) {
		if ((!look->all && strcmp(names[i].prefix, prefix) != 0) ||
			(name && strcmp(names[i].name, name) != 0))
			continue;
		any = true;
		r = show(look, &names[i]);
		/*
		 * A bridge of which the page may not be read is an error only if it was asked for
		 * by name.
		 */
		if (code == EXIT_DONE && (name || r != EXIT_DENIED))
			code = r;
	}
	free(names);
	if (!any)
		return report_none(look->all, prefix, name);
	return code;
}

int cmd_bridge(int argc, char **argv)
{
	struct look look = {.first = true};
	const struct args_option options[] = {
		{"all", 'a', no_argument, args_flag, .to = &look.all},
		{"json", 0, no_argument, args_flag, .to = &look.json},
		{0},
	};
	char prefix[NAMES_MAX];
	const char *name;
	struct args args;
	char *dot;
	int code = args_read(&args, options, argc, argv);

	if (code != EXIT_DONE)
		return code;
	if (args.n > 1)
		return report_usage("bridge", "one name at a time");
	name = args.n > 0 ? args.words[0] : NULL;
	if (name && look.all)
		return report_usage("bridge", "a name, or --all");
	/* Names of bridges are made as those of queues are. */
	if (names_full(prefix, name ? name : "any") < 0)
		return report_queue(name ? name : "", -EINVAL);
	dot = strchr(prefix, '.');
	*dot = '\0';
	return show_named(&look, prefix, name ? dot + 1 : NULL);
}
