/* SPDX-License-Identifier: ISC */
#include "keygen.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* identity, colon, digits, new line, zero */
#define LINE_MAX_LEN (KEYS_IDENTITY_MAX + 1 + 2 * KEYGEN_BYTES + 2)
/* The hub's file and one more line. */
#define TEXT_MAX (KEYS_FILE_MAX + 1 + LINE_MAX_LEN)

static int write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* The line of a new key. */
static int make_line(char ret[static LINE_MAX_LEN], const char *peer)
{
	unsigned char bytes[KEYGEN_BYTES];
	int n;

	if (RAND_priv_bytes(bytes, sizeof(bytes)) != 1)
		return -EIO;
	n = snprintf(ret, LINE_MAX_LEN, "%s:", peer);
	for (size_t i = 0; i < sizeof(bytes); i++)
		n += snprintf(ret + n, LINE_MAX_LEN - (size_t)n, "%02x", bytes[i]);
	(void)snprintf(ret + n, LINE_MAX_LEN - (size_t)n, "\n");
	explicit_bzero(bytes, sizeof(bytes));
	return 0;
}

/* The peer's file: ours alone, and new. */
static int write_out(const char *path, const char *line, char why[static KEYS_WHY_MAX])
{
	int r, fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 && errno == EEXIST)
		return keys_say(why, -EEXIST,
			"%s: is there already; remove it if it was carried over, or choose "
			"another with --out",
			path);
	if (fd < 0)
		return keys_say(why, -errno, "%s: %s", path, strerror(errno));
	r = write_all(fd, line, strlen(line));
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r < 0) {
		(void)unlink(path); /* the first error is the one to tell */
		return keys_say(why, r, "%s: %s", path, strerror(-r));
	}
	return 0;
}

/* The hub's file, whole or not at all. */
static int replace(
	int dir, const char *path, const char *text, size_t len, char why[static KEYS_WHY_MAX])
{
	char temp[PATH_MAX];
	int fd, r;

	if ((size_t)snprintf(temp, sizeof(temp), "%s.XXXXXX", path) >= sizeof(temp))
		return keys_say(why, -ENAMETOOLONG, "%s: the name is too long", path);
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		return keys_say(why, -errno, "%s: %s", temp, strerror(errno));
	r = write_all(fd, text, len);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(temp, path) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlink(temp); /* the first error is the one to tell */
		return keys_say(why, r, "%s: %s", path, strerror(-r));
	}
	/* The file is replaced already; this only makes the rename survive a power failure. */
	(void)fsync(dir);
	return 0;
}

/* May the peer get or lose a key? *ret: the line to leave out, or 0. */
static int check(const struct keygen *what, const struct keys *keys, uint32_t *ret,
	char why[static KEYS_WHY_MAX])
{
	const struct key *k;
	uint32_t n = 0;

	*ret = 0;
	for (size_t i = 0; (k = keys_at(keys, i)); i++) {
		if (strcmp(k->identity, what->peer) != 0)
			continue;
		if (n++ == 0 && what->drop_old)
			*ret = k->line;
	}
	if (what->drop_old)
		return n == 2 ? 0
			      : keys_say(why, -ENOENT,
					"%s: %s has %s, so there is no older one to drop",
					what->keys, what->peer, n ? "one key" : "no key");
	if (n == 2)
		return keys_say(why, -EEXIST,
			"%s: %s has two keys; drop the older one first, with --drop-old",
			what->keys, what->peer);
	if (n == 1 && !what->rotate)
		return keys_say(why, -EEXIST,
			"%s: %s has a key; --rotate gives it a second one, to change over to",
			what->keys, what->peer);
	if (n == 0 && what->rotate)
		return keys_say(why, -ENOENT,
			"%s: %s has no key; leave --rotate away to make its first", what->keys,
			what->peer);
	return 0;
}

/* The text without line `out`, and with `line` at its end. */
static size_t edit(char *to, const char *text, size_t len, uint32_t out, const char *line)
{
	const char *end = text + len;
	size_t n = 0;

	for (uint32_t i = 1; text < end; i++) {
		const char *eol = memchr(text, '\n', (size_t)(end - text));
		size_t size = eol ? (size_t)(eol + 1 - text) : (size_t)(end - text);

		if (i != out) {
			memcpy(to + n, text, size);
			n += size;
		}
		text += size;
	}
	if (n > 0 && to[n - 1] != '\n')
		to[n++] = '\n';
	memcpy(to + n, line, strlen(line));
	return n + strlen(line);
}

/* With the directory locked. */
static int change(const struct keygen *what, int dir, char why[static KEYS_WHY_MAX])
{
	char *text = NULL, *to = NULL, line[LINE_MAX_LEN] = "";
	struct keys *keys = NULL;
	size_t len = 0;
	struct stat st;
	uint32_t out;
	int r;

	if (lstat(what->keys, &st) == 0) {
		if (S_ISLNK(st.st_mode))
			return keys_say(why, -ELOOP,
				"%s: is a symbolic link; name the file that it leads to",
				what->keys);
		r = keys_read(&text, &len, what->keys, why);
		if (r < 0)
			return r;
	} else if (errno != ENOENT) {
		return keys_say(why, -errno, "%s: %s", what->keys, strerror(errno));
	}
	r = keys_parse(&keys, text ? text : "", len, what->keys, why);
	if (r < 0)
		goto out;
	r = check(what, keys, &out, why);
	if (r < 0)
		goto out;
	to = keys_secret_new(TEXT_MAX);
	if (!to || (!what->drop_old && make_line(line, what->peer) < 0)) {
		r = keys_say(why, -EIO, "no memory, or no random numbers, for a key");
		goto out;
	}
	if (!what->drop_old) {
		r = write_out(what->out, line, why);
		if (r < 0)
			goto out;
	}
	len = edit(to, text ? text : "", len, out, line);
	keys_free(keys);
	keys = NULL;
	/*
	 * Check that what is to be written can be read again: its size, and how many keys there
	 * are.
	 */
	r = keys_parse(&keys, to, len, what->keys, why);
	if (r == 0)
		r = replace(dir, what->keys, to, len, why);
	if (r < 0 && !what->drop_old)
		(void)unlink(what->out); /* the hub has not got that key */
out:
	explicit_bzero(line, sizeof(line));
	keys_free(keys);
	keys_secret_free(to, TEXT_MAX);
	keys_secret_free(text, KEYS_FILE_MAX + 1);
	return r;
}

int keygen_run(const struct keygen *what, char why[static KEYS_WHY_MAX])
{
	char *copy;
	int dir, r;

	if (!keys_identity_ok(what->peer, strlen(what->peer)))
		return keys_say(why, -EINVAL,
			"an identity is 1 to 64 letters, digits, '.', '_', '-' and '@'");
	copy = strdup(what->keys);
	if (!copy)
		return keys_say(why, -ENOMEM, "no memory");
	dir = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		r = keys_say(why, -errno, "%s: %s", what->keys, strerror(errno));
	} else if (flock(dir, LOCK_EX) < 0) {
		r = keys_say(why, -errno, "%s: cannot be locked: %s", what->keys, strerror(errno));
	} else {
		r = change(what, dir, why);
	}
	free(copy);
	if (dir >= 0)
		(void)close(dir); /* only read from */
	return r;
}
