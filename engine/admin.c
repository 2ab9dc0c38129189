/* SPDX-License-Identifier: ISC */
#include "sq.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "segment/closed.h"
#include "segment/file.h"
#include "segment/name.h"

/*
 * The public calls on queues as files: made, removed, listed, checked. They need no handle, and no
 * slot. See sq.h. Any number of processes may be in them at once.
 */

#define DEFAULT_MODE 0600

int sq_prefix(char *buf, size_t cap)
{
	return sqi_name_prefix(buf, cap);
}

int sq_size(const struct sq_config *config, uint64_t *ret)
{
	struct sqi_inputs in;
	struct sqi_geometry g;
	int r;

	if (!ret)
		return -EINVAL;
	r = sqi_inputs_init(&in, config);
	if (r == 0)
		r = sqi_geometry_init(&g, &in);
	if (r == 0)
		*ret = g.total;
	return r;
}

/*
 * Writes the full name of the dead-letter queue into the inputs, for all who will use it: a name
 * without a prefix gets the prefix of the queue itself.
 */
static void name_dead_letters(struct sqi_inputs *in, const char *path)
{
	const char *full = strrchr(path, '/') + 1;
	char name[sizeof(in->dead_letter)] = {0};

	if (strchr(in->dead_letter, '.') || !sqi_name_of(&full, full))
		return;
	(void)snprintf(name, sizeof(name), "%.*s.%.*s", (int)strcspn(full, "."), full, SQ_NAME_MAX,
		in->dead_letter);
	memcpy(in->dead_letter, name, sizeof(name));
}

/*
 * Returns -EMSGSIZE if the dead-letter queue exists and cannot take the longest message. It need
 * not exist yet.
 */
static int check_dead_letters(const struct sqi_inputs *in)
{
	struct sqi_geometry g;
	struct stat st;
	int fd;

	if (sqi_file_open_readonly(&fd, &g, &st, in->dead_letter) < 0)
		return 0;
	(void)close(fd);
	return g.in.max_message < in->max_message ? -EMSGSIZE : 0;
}

int sq_create(const char *name, const struct sq_config *config)
{
	char path[SQI_PATH_MAX], other[SQI_PATH_MAX];
	struct sqi_inputs in;
	struct sqi_geometry g;
	int r = sqi_name_path(path, name);

	if (r == 0)
		r = sqi_inputs_init(&in, config);
	if (r == 0)
		r = sqi_geometry_init(&g, &in);
	if (r < 0)
		return r;
	if (in.max_attempts) {
		name_dead_letters(&in, path);
		g.in = in;
		if (sqi_name_path(other, in.dead_letter) < 0 || strcmp(path, other) == 0)
			return -EINVAL;
		r = check_dead_letters(&in);
		if (r < 0)
			return r;
	}
	if (access(path, F_OK) == 0)
		return -EEXIST;
	return sqi_file_make(path, &g, config && config->mode ? config->mode : DEFAULT_MODE);
}

/*
 * Tells those who have the queue open that it was removed. If the memory for this is missing, they
 * notice by themselves at their next look at the file.
 */
static void tell_users(int fd)
{
	void *base = mmap(NULL, SQI_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED)
		return;
	sqi_note_removed(base);
	(void)munmap(base, SQI_PAGE);
}

int sq_unlink(const char *name)
{
	char path[SQI_PATH_MAX];
	struct sqi_geometry g;
	const char *why;
	struct stat st;
	int fd = -1, r = sqi_name_path(path, name);

	if (r < 0)
		return r;
	if (sqi_file_open(&fd, &g, &st, &why, name) == -EPERM)
		return -EPERM;
	if (unlink(path) < 0) {
		/* EPERM: another user's file, in a sticky directory. */
		r = errno == EISDIR ? -EPROTO : errno == EPERM ? -EACCES : -errno;
	} else if (fd >= 0) {
		tell_users(fd);
	}
	if (fd >= 0)
		(void)close(fd);
	return r;
}

const char *sq_check(const char *name)
{
	struct sqi_geometry g;
	const char *why = NULL;
	struct stat st;
	int fd = -1;

	if (sqi_file_open(&fd, &g, &st, &why, name) == 0)
		(void)close(fd);
	return why;
}

int sq_list(const char *prefix, int (*f)(const char *name, void *data), void *data)
{
	char own[SQ_NAME_MAX + 1];
	const struct dirent *entry;
	DIR *dir;
	int r = 0;

	if (!f)
		return -EINVAL;
	if (!prefix) {
		r = sq_prefix(own, sizeof(own));
		if (r < 0)
			return r;
		prefix = own;
	}
	dir = opendir(SQI_DIR);
	if (!dir)
		return -errno;
	while (r == 0 && (entry = readdir(dir))) {
		const char *name;

		if (!sqi_name_of(&name, entry->d_name))
			continue;
		if (strcmp(prefix, "*") != 0 &&
			(strncmp(name, prefix, strlen(prefix)) != 0 || name[strlen(prefix)] != '.'))
			continue;
		r = f(name, data);
	}
	(void)closedir(dir);
	return r;
}

int sq_sweep(void)
{
	DIR *dir = opendir(SQI_DIR);
	const struct dirent *entry;
	int removed = 0;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		const char *queue;
		int fd;

		if (strncmp(entry->d_name, SQI_FILE_TEMPORARY, strlen(SQI_FILE_TEMPORARY)) != 0 ||
			sqi_name_of(&queue, entry->d_name))
			continue;
		fd = openat(
			dirfd(dir), entry->d_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (fd < 0)
			continue; /* gone, or not this user's to remove */
		if (sqi_file_lock(fd) == 0 && unlinkat(dirfd(dir), entry->d_name, 0) == 0)
			removed++;
		(void)close(fd);
	}
	(void)closedir(dir);
	return removed;
}
