/* SPDX-License-Identifier: ISC */
#include "leftover.h"

#include <bsd/string.h>
#include <bsd/sys/queue.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"
#include "ledger.h"
#include "log.h"

/*
 * A ledger's name says which stream it is of, but not which local queue, and the configuration may
 * have changed. But the queues know their participants by keys that are made of that name: so each
 * queue of this host is asked.
 *
 * Called by hub.c and leaf.c, before they open anything.
 */

#define DIRECTORY    "/dev/shm/"
#define NONCE_DIGITS 16

struct ledger_file {
	STAILQ_ENTRY(ledger_file) entry;
	char file[LEDGER_NAME_MAX + 1];
	char local[CONFIG_LOCAL_MAX + SQ_NAME_MAX + 2]; /* its queue now; "": it is not carried */
	struct leftover_name of;
	uint64_t given_back;
	int error;
};
struct ledger_files {
	const struct daemon *daemon;
	bool undo; /* none of them is carried */
	STAILQ_HEAD(, ledger_file) list;
};

bool leftover_name(struct leftover_name *ret, const char *file, const struct daemon *d)
{
	char begin[LEDGER_NAME_MAX + 1], rest[LEDGER_NAME_MAX + 1], *queue, *direction;
	size_t n = (size_t)snprintf(begin, sizeof(begin), "sqb.%s.%s.", d->prefix, d->config->name);
	struct leftover_name e = {.direction = WIRE_PULL};

	if (strncmp(file, begin, n) != 0 || strlcpy(rest, file + n, sizeof(rest)) >= sizeof(rest))
		return false;
	/* A peer's name may have dots in it, a queue's may not. */
	direction = strrchr(rest, '.');
	if (!direction)
		return false;
	*direction++ = '\0';
	queue = strrchr(rest, '.');
	if (!queue)
		return false;
	*queue++ = '\0';
	if (strcmp(direction, wire_direction_name(WIRE_PUSH)) == 0)
		e.direction = WIRE_PUSH;
	else if (strcmp(direction, wire_direction_name(WIRE_PULL)) != 0)
		return false;
	if (!keys_identity_ok(rest, strlen(rest)) || !wire_name_ok(queue, strlen(queue)))
		return false;
	(void)strlcpy(e.peer, rest, sizeof(e.peer)); /* both are as long, as was just seen */
	(void)strlcpy(e.queue, queue, sizeof(e.queue));
	*ret = e;
	return true;
}

/* The stream that it is of, if that is carried still. */
static const struct config_stream *carried(const struct daemon *d, const struct leftover_name *e)
{
	if (d->hub ? e->direction != WIRE_PULL || !keys_find(d->keys, e->peer, strlen(e->peer))
		   : strcmp(e->peer, d->config->name) != 0)
		return NULL;
	return config_share(d->config, e->queue, e->direction);
}

/* A ledger that was being made: its own name, a dot, and digits. */
static bool half_made(const char *file, const struct daemon *d)
{
	char whole[LEDGER_NAME_MAX + 1];
	const char *dot = strrchr(file, '.');
	struct leftover_name e;

	if (!dot || strlen(dot + 1) != NONCE_DIGITS ||
		strspn(dot + 1, "0123456789abcdef") != NONCE_DIGITS ||
		(size_t)(dot - file) >= sizeof(whole))
		return false;
	(void)snprintf(whole, sizeof(whole), "%.*s", (int)(dot - file), file);
	return leftover_name(&e, whole, d);
}

static void remove_file(const char *file)
{
	char path[sizeof(DIRECTORY) + NAME_MAX];

	(void)snprintf(path, sizeof(path), DIRECTORY "%s", file);
	(void)unlink(path); /* if it fails, it is tried at the next start */
}

static void add(struct ledger_files *all, const char *file)
{
	const struct daemon *d = all->daemon;
	const struct config_stream *s;
	struct leftover_name of;
	struct ledger_file *l;

	if (half_made(file, d))
		remove_file(file);
	if (!leftover_name(&of, file, d))
		return;
	l = calloc(1, sizeof(*l));
	if (!l)
		return; /* no memory: it is left for the next start */
	l->of = of;
	(void)strlcpy(l->file, file, sizeof(l->file)); /* leftover_name() has seen that it fits */
	s = all->undo ? NULL : carried(d, &of);
	if (s)
		daemon_local(l->local, sizeof(l->local), d, s);
	STAILQ_INSERT_TAIL(&all->list, l, entry);
}

/* A queue of this host: which of the streams does it know? */
static int visit(const char *name, void *data)
{
	struct ledger_files *all = data;
	struct ledger_file *l;
	struct sq *q;

	if (sq_open(&q, name) < 0)
		return 0; /* of another user, or none */
	STAILQ_FOREACH(l, &all->list, entry)
	{
		struct end_setup setup = {.prefix = all->daemon->prefix,
			.name = all->daemon->config->name,
			.peer = l->of.peer,
			.queue = l->of.queue,
			.local = name,
			.direction = l->of.direction};
		uint32_t n = 0;
		int r = strcmp(l->local, name) == 0 ? 0 : end_retire(&n, q, &setup);

		l->given_back += n;
		if (r < 0)
			l->error = r;
	}
	sq_close(q);
	return 0;
}

/* `made`: by this process, for a start that was refused. Then there is nothing to tell. */
static void finish(const struct ledger_file *l, bool made)
{
	if (l->error) {
		log_event(LEVEL_ERROR, "ledger_left", LOG_STR("file", l->file), LOG_ERR(l->error));
		return;
	}
	if (!*l->local) {
		remove_file(l->file);
		if (made && l->given_back == 0)
			return;
		log_event(LEVEL_NOTICE, "ledger_removed", LOG_STR("file", l->file),
			LOG_U64("given_back", l->given_back));
	} else if (l->given_back > 0) {
		log_event(LEVEL_NOTICE, "ledger_moved", LOG_STR("file", l->file),
			LOG_U64("given_back", l->given_back));
	}
}

static void gather(struct ledger_files *all)
{
	const struct dirent *e;
	DIR *dir = opendir(DIRECTORY);

	while (dir && (e = readdir(dir)))
		add(all, e->d_name);
	if (dir)
		(void)closedir(dir);
}

static void clear(struct ledger_files *all)
{
	struct ledger_file *l;

	if (STAILQ_EMPTY(&all->list))
		return;
	(void)sq_list("*", visit, all); /* what cannot be listed is asked next time */
	while ((l = STAILQ_FIRST(&all->list))) {
		STAILQ_REMOVE_HEAD(&all->list, entry);
		finish(l, all->undo);
		free(l);
	}
}

void leftover_clear(struct daemon *d)
{
	struct ledger_files all = {.daemon = d, .list = STAILQ_HEAD_INITIALIZER(all.list)};

	gather(&all);
	clear(&all);
}

static bool is_empty(const struct ledger_file *l)
{
	struct ledger *ledger;
	bool empty;

	if (ledger_open(&ledger, l->file, 1) < 0)
		return false;
	empty = ledger_count(ledger) == 0;
	ledger_close(ledger);
	return empty;
}

/* Is something under way? Then all stays as it is, and is forgotten here. */
static bool drop_used(struct ledger_files *all)
{
	struct ledger_file *l;
	bool used = false;

	STAILQ_FOREACH(l, &all->list, entry)
	{
		used |= !is_empty(l);
	}
	while (used && (l = STAILQ_FIRST(&all->list))) {
		STAILQ_REMOVE_HEAD(&all->list, entry);
		free(l);
	}
	return used;
}

void leftover_undo(struct daemon *d)
{
	struct ledger_files all = {
		.daemon = d, .undo = true, .list = STAILQ_HEAD_INITIALIZER(all.list)};
	char path[sizeof(DIRECTORY) + NAME_MAX];

	gather(&all);
	if (drop_used(&all))
		return;
	clear(&all);
	daemon_instance(path, sizeof(path), d);
	(void)unlink(path);
}
