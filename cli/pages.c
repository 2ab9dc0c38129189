/* SPDX-License-Identifier: ISC */
#include "pages.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "words.h"

#define SECOND_NS ((uint64_t)1000000000)
#define SILENT_NS (10 * SECOND_NS) /* it writes one a second */

uint64_t pages_age_ns(const struct status_page *page)
{
	struct timespec ts = {0};
	uint64_t now_ns;

	(void)clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail with this clock */
	now_ns = (uint64_t)ts.tv_sec * SECOND_NS + (uint64_t)ts.tv_nsec;
	return now_ns > page->head.written_ns ? now_ns - page->head.written_ns : 0;
}

const char *pages_state(const struct status_page *page)
{
	if (!page->runs)
		return page->head.state == STATUS_STOPPED ? "stopped" : "killed";
	if (pages_age_ns(page) > SILENT_NS)
		return "silent";
	return page->head.state == STATUS_RUNNING ? "running" : "draining";
}

bool pages_well(const struct status_page *page)
{
	return page->runs && pages_age_ns(page) <= SILENT_NS;
}

uint64_t pages_reconnects(const struct status_link *l)
{
	return l->connects ? l->connects - 1 : 0;
}

const char *pages_direction(const struct status_stream *s)
{
	return s->direction == STATUS_PULL ? "pull" : "push";
}

/* Texts of a page have no character that JSON would want escaped: that was checked when it was read. */
void pages_print_stream(const struct status_page *page, const struct status_stream *s)
{
	printf("\"peer\":\"%s\",\"queue\":\"%s\",\"local\":\"%s\",\"direction\":\"%s\",\"sends\":%s,"
	       "\"missing\":%s",
		page->link[s->link].peer, s->queue, s->local, pages_direction(s),
		s->sends ? "true" : "false", s->missing ? "true" : "false");
	printf(",\"in_flight\":%" PRIu64 ",\"owed\":%" PRIu64 ",\"oldest_unsettled_ns\":%" PRIu64
	       ",\"credit\":%" PRIu64 ",\"credit_bytes\":%" PRIu64,
		s->in_flight, s->owed, s->oldest_ns, s->credit, s->credit_bytes);
	printf(",\"sent\":%" PRIu64 ",\"received\":%" PRIu64 ",\"settled\":%" PRIu64
	       ",\"redelivered\":%" PRIu64 ",\"returned\":%" PRIu64,
		s->sent, s->received, s->settled, s->redelivered, s->returned);
}

static void carrier_json(const struct status_name *of, const struct status_page *page,
	const struct status_stream *s, bool first)
{
	const struct status_link *l = &page->link[s->link];

	printf("%s{\"bridge\":\"%s.%s\",\"state\":\"%s\",\"up\":%s,\"reconnects\":%" PRIu64 ",",
		first ? "" : ",", of->prefix, of->name, pages_state(page), l->up ? "true" : "false",
		pages_reconnects(l));
	pages_print_stream(page, s);
	printf(",\"age_ns\":%" PRIu64 "}", pages_age_ns(page));
}

static void carrier_text(
	const struct status_name *of, const struct status_page *page, const struct status_stream *s)
{
	char oldest[WORDS_SPAN_MAX], bytes[WORDS_SIZE_MAX];
	uint64_t unsettled = s->in_flight + s->owed;

	printf("%-17s bridge %s.%s, %s of %s: ", "carried", of->prefix, of->name,
		pages_direction(s), page->link[s->link].peer);
	if (!page->runs)
		printf("%s %s ago", pages_state(page), words_span(oldest, pages_age_ns(page)));
	else
		printf("%s", page->link[s->link].up ? "up" : "down");
	printf(", %" PRIu64 " %s", unsettled, s->sends ? "in flight" : "owed");
	if (unsettled > 0)
		printf(" (the oldest for %s)", words_span(oldest, s->oldest_ns));
	printf(", credit %" PRIu64 " and %s, %" PRIu64 " settled, %" PRIu64 " redelivered, %" PRIu64
	       " reconnects\n",
		s->credit, words_size(bytes, s->credit_bytes), s->settled, s->redelivered,
		pages_reconnects(&page->link[s->link]));
}

void pages_print_carriers(const char *full, bool json)
{
	struct status_name *names = NULL;
	struct status_page page;
	bool first = true;
	size_t n = 0;

	if (json)
		fputs(",\"bridges\":[", stdout);
	/* Pages that may not be read, or are damaged, are left out; `sqctl bridge` reports them. */
	(void)status_page_list(&names, &n);
	for (size_t i = 0; i < n; i++) {
		if (status_page_read(&page, &names[i]) < 0)
			continue;
		for (uint32_t k = 0; k < page.head.streams; k++) {
			const struct status_stream *s = &page.stream[k];

			if (strcmp(s->local, full) != 0)
				continue;
			if (json)
				carrier_json(&names[i], &page, s, first);
			else
				carrier_text(&names[i], &page, s);
			first = false;
		}
		status_page_free(&page);
	}
	free(names);
	if (json)
		putchar(']');
}

/* sqb.PREFIX.NAME, the instance of a daemon: whose? Its other files have one more dot. */
static bool instance_name(struct status_name *ret, const char *file)
{
	char page[STATUS_PATH_MAX];

	return strlen(file) < sizeof(page) - sizeof(".status") &&
	       snprintf(page, sizeof(page), "%s.status", file) > 0 && status_page_name(ret, page);
}

/* A daemon that runs has a lock on it. One that may not be opened is somebody else's to remove. */
static bool may_be_removed(const char *file)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char path[STATUS_PATH_MAX];
	bool idle = false;
	int fd;

	(void)snprintf(path, sizeof(path), "/dev/shm/%s", file);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd >= 0)
		idle = fcntl(fd, F_OFD_GETLK, &all) == 0 && all.l_type == F_UNLCK;
	(void)snprintf(path, sizeof(path), "/dev/shm/%s.status", file);
	idle = idle && access(path, F_OK) < 0;
	if (fd >= 0)
		(void)close(fd);
	return idle;
}

void pages_left(
	const char *prefix, const char *name, void (*report)(const char *prefix, const char *name))
{
	DIR *dir = opendir("/dev/shm");
	const struct dirent *e;
	struct status_name of;

	while (dir && (e = readdir(dir))) {
		if (!instance_name(&of, e->d_name) || (prefix && strcmp(of.prefix, prefix) != 0) ||
			(name && strcmp(of.name, name) != 0) || !may_be_removed(e->d_name))
			continue;
		report(of.prefix, of.name);
	}
	if (dir)
		(void)closedir(dir);
}
