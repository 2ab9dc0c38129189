/* SPDX-License-Identifier: ISC */
#include "names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

int names_full(char ret[static NAMES_MAX], const char *queue)
{
	/*
	 * A dead-letter queue is named by the same rule, and sq_size() checks it without touching
	 * anything.
	 */
	const struct sq_config probe = {.max_attempts = 1, .dead_letter = queue};
	char prefix[SQ_NAME_MAX + 1];
	uint64_t size;
	int r = sq_size(&probe, &size);

	if (r < 0)
		return r;
	if (strchr(queue, '.')) {
		(void)snprintf(ret, NAMES_MAX, "%s", queue);
		return 0;
	}
	r = sq_prefix(prefix, sizeof(prefix));
	if (r < 0)
		return r;
	(void)snprintf(ret, NAMES_MAX, "%s.%s", prefix, queue);
	return 0;
}

int names_check(int n, char *const *queues)
{
	char full[NAMES_MAX];

	for (int i = 0; i < n; i++) {
		int r = names_full(full, queues[i]);

		if (r < 0)
			return report_queue(queues[i], r);
	}
	return EXIT_DONE;
}

static int gather(const char *name, void *data)
{
	struct names *names = data;
	char **grown = realloc(names->name, (names->n + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	names->name = grown;
	grown[names->n] = strdup(name);
	if (!grown[names->n])
		return -ENOMEM;
	names->n++;
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int names_list(struct names *ret, const char *prefix)
{
	struct names names = {0};
	int r = sq_list(prefix, gather, &names);

	if (r < 0) {
		names_free(&names);
		if (r == -EINVAL)
			return report_queue("", r);
		if (r == -EACCES)
			return report(
				EXIT_DENIED, "not allowed to list /dev/shm: see `ls -ld /dev/shm`");
		return report(EXIT_UNAVAILABLE,
			"cannot list /dev/shm: %s; mount a tmpfs there, or raise `ulimit -a`",
			strerrordesc_np(-r));
	}
	if (names.n > 0)
		qsort(names.name, names.n, sizeof(names.name[0]), by_name);
	*ret = names;
	return EXIT_DONE;
}

void names_free(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->name[i]);
	free(names->name);
	*names = (struct names){0};
}

static int same(const char *name, void *data)
{
	return strcmp(name, data) == 0;
}

bool names_taken(const char *full)
{
	return sq_list("*", same, (void *)full) > 0;
}
