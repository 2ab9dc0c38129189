/* SPDX-License-Identifier: ISC */
#include "keys.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct keys {
	size_t size; /* of this memory */
	uint32_t n, max;
	struct key key[];
};

int keys_say(char why[static KEYS_WHY_MAX], int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(why, KEYS_WHY_MAX, format, args);
	va_end(args);
	return error;
}

void *keys_secret_new(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* Neither is needed for correctness: without them the key is still in private memory. */
	(void)madvise(p, size, MADV_DONTDUMP);
	(void)mlock(p, size);
	return p;
}

void keys_secret_free(void *p, size_t size)
{
	if (!p)
		return;
	explicit_bzero(p, size);
	(void)munmap(p, size); /* fails only for what is no mapping */
}

bool keys_identity_ok(const char *identity, size_t len)
{
	if (len < 1 || len > KEYS_IDENTITY_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = identity[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			    (c && strchr("._-@", c))))
			return false;
	}
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool make_id(struct key *k)
{
	static const unsigned char label[] = "sqbridge key id";
	unsigned char md[EVP_MAX_MD_SIZE];

	if (!HMAC(EVP_sha256(), k->bytes, k->len, label, sizeof(label) - 1, md, NULL))
		return false;
	(void)snprintf(k->id, sizeof(k->id), "%02x%02x%02x%02x", md[0], md[1], md[2], md[3]);
	explicit_bzero(md, sizeof(md));
	return true;
}

/* One line that is neither empty nor a comment. What is wrong, or NULL. */
static const char *parse_line(struct key *k, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len), *hex;
	size_t digits;

	if (!colon)
		return "there is no ':' between identity and key";
	if (!keys_identity_ok(line, (size_t)(colon - line)))
		return "an identity is 1 to 64 letters, digits, '.', '_', '-' and '@'";
	hex = colon + 1;
	digits = len - (size_t)(hex - line);
	if (digits % 2 != 0)
		return "the key has an odd number of hexadecimal digits";
	if (digits < 2 * KEYS_BYTES_MIN || digits > 2 * KEYS_BYTES_MAX)
		return "a key is 16 to 64 bytes, which is 32 to 128 hexadecimal digits";
	for (size_t i = 0; i < digits; i += 2) {
		int high = hex_digit(hex[i]), low = hex_digit(hex[i + 1]);

		if (high < 0 || low < 0)
			return "the key has something else than hexadecimal digits in it";
		k->bytes[i / 2] = (uint8_t)(high << 4 | low);
	}
	k->len = (uint8_t)(digits / 2);
	memcpy(k->identity, line, (size_t)(colon - line));
	return NULL;
}

/* Does the newest key go with the others? What is wrong, and the other's line to *ret. */
static const char *compare(const struct keys *keys, uint32_t *ret)
{
	const struct key *k = &keys->key[keys->n];
	uint32_t same = 0;

	for (uint32_t i = 0; i < keys->n; i++) {
		const struct key *o = &keys->key[i];

		*ret = o->line;
		if (o->len == k->len && CRYPTO_memcmp(o->bytes, k->bytes, k->len) == 0)
			return "the same key stands in line";
		if (strcmp(o->identity, k->identity) != 0)
			continue;
		if (strcmp(o->id, k->id) == 0)
			return "make another key: this one has the same id as that in line";
		if (++same == KEYS_PER_IDENTITY)
			return "this identity has two keys already, one of them in line";
	}
	return NULL;
}

static int parse(struct keys *keys, const char *text, size_t len, const char *name,
	char why[static KEYS_WHY_MAX])
{
	const char *end = text + len;

	for (uint32_t line = 1; text < end; line++) {
		const char *eol = memchr(text, '\n', (size_t)(end - text));
		const char *next = eol ? eol + 1 : end, *to = eol ? eol : end;
		const char *wrong;
		struct key *k;
		uint32_t other;

		while (to > text && strchr(" \t\r", to[-1]) && to[-1])
			to--;
		while (text < to && (*text == ' ' || *text == '\t'))
			text++;
		if (text < to && *text != '#') {
			if (keys->n == keys->max)
				return keys_say(why, -EFBIG, "%s: line %u: more than %d keys", name,
					line, KEYS_MAX);
			k = &keys->key[keys->n];
			wrong = parse_line(k, text, (size_t)(to - text));
			if (wrong)
				return keys_say(why, -EINVAL, "%s: line %u: %s", name, line, wrong);
			k->line = line;
			if (!make_id(k))
				return keys_say(why, -ENOMEM, "%s: no memory", name);
			wrong = compare(keys, &other);
			if (wrong)
				return keys_say(why, -EINVAL, "%s: line %u: %s %u", name, line,
					wrong, other);
			keys->n++;
		}
		text = next;
	}
	return 0;
}

int keys_parse(struct keys **ret, const char *text, size_t len, const char *name,
	char why[static KEYS_WHY_MAX])
{
	struct keys *keys;
	size_t lines = 1, size;
	int r;

	if (len > KEYS_FILE_MAX)
		return keys_say(why, -EFBIG, "%s: more than %d bytes", name, KEYS_FILE_MAX);
	for (size_t i = 0; i < len && lines < KEYS_MAX; i++)
		lines += text[i] == '\n';
	size = sizeof(*keys) + lines * sizeof(keys->key[0]);
	keys = keys_secret_new(size);
	if (!keys)
		return keys_say(why, -ENOMEM, "%s: no memory", name);
	keys->size = size;
	keys->max = (uint32_t)lines;
	r = parse(keys, text, len, name, why);
	if (r < 0) {
		keys_free(keys);
		return r;
	}
	*ret = keys;
	return 0;
}

void keys_free(struct keys *keys)
{
	if (keys)
		keys_secret_free(keys, keys->size);
}

/* Is this file one directly in $CREDENTIALS_DIRECTORY? */
static bool is_credential(const char *path)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	size_t n = dir ? strlen(dir) : 0;

	while (n > 1 && dir[n - 1] == '/')
		n--;
	return n > 0 && *dir == '/' && strncmp(path, dir, n) == 0 && path[n] == '/' &&
	       path[n + 1] != '.' && !strchr(path + n + 1, '/');
}

static int check_file(const struct stat *st, const char *path, char why[static KEYS_WHY_MAX])
{
	mode_t open_to = st->st_mode & 077;

	if (!S_ISREG(st->st_mode))
		return keys_say(why, -EACCES, "%s: is no regular file; keys are kept in one", path);
	if (st->st_uid != geteuid() && st->st_uid != 0)
		return keys_say(why, -EACCES,
			"%s: belongs to user %u, who could change it; give it to user %u: chown %u "
			"%s",
			path, st->st_uid, geteuid(), geteuid(), path);
	if (open_to == 040 && st->st_uid == 0 && is_credential(path))
		return 0;
	if (open_to)
		return keys_say(why, -EACCES,
			"%s: has mode %04o: others could read or change the keys; chmod 600 %s, "
			"and make new keys if others may have seen these",
			path, st->st_mode & 07777, path);
	return 0;
}

int keys_read(char **ret, size_t *ret_len, const char *path, char why[static KEYS_WHY_MAX])
{
	size_t size = KEYS_FILE_MAX + 1, len = 0;
	char *text = NULL;
	struct stat st;
	/* Without O_NONBLOCK the opening of a pipe would wait for its other end. */
	int r = 0, fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 && errno == ENOENT) {
		r = keys_say(why, -errno,
			"%s: %s; `sqbridge keygen --peer NAME --keys FILE` on the hub makes the hub's FILE and a "
			"leaf's NAME.key",
			path, strerror(errno));
		goto out;
	}
	if (fd < 0 || fstat(fd, &st) < 0) {
		r = keys_say(why, -errno, "%s: %s", path, strerror(errno));
		goto out;
	}
	r = check_file(&st, path, why);
	if (r < 0)
		goto out;
	text = keys_secret_new(size);
	if (!text) {
		r = keys_say(why, -ENOMEM, "%s: no memory", path);
		goto out;
	}
	while (len < size) {
		ssize_t n = read(fd, text + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			r = keys_say(why, -errno, "%s: %s", path, strerror(errno));
			goto out;
		}
		if (n == 0)
			break;
		len += (size_t)n;
	}
	if (len == size) {
		r = keys_say(why, -EFBIG, "%s: more than %d bytes", path, KEYS_FILE_MAX);
		goto out;
	}
	*ret = text;
	*ret_len = len;
	text = NULL;
out:
	keys_secret_free(text, size);
	if (fd >= 0)
		(void)close(fd); /* only read from */
	return r;
}

int keys_load(struct keys **ret, const char *path, char why[static KEYS_WHY_MAX])
{
	size_t len;
	char *text;
	int r = keys_read(&text, &len, path, why);

	if (r < 0)
		return r;
	r = keys_parse(ret, text, len, path, why);
	keys_secret_free(text, KEYS_FILE_MAX + 1);
	return r;
}

size_t keys_count(const struct keys *keys)
{
	return keys->n;
}

const struct key *keys_at(const struct keys *keys, size_t i)
{
	return i < keys->n ? &keys->key[i] : NULL;
}

const struct key *keys_find(const struct keys *keys, const char *name, size_t len)
{
	char identity[KEYS_IDENTITY_MAX + 1] = {0}, id[KEYS_ID] = {0};
	const char *hash = memchr(name, '#', len);
	size_t identity_len = hash ? (size_t)(hash - name) : len;
	const struct key *found = NULL;

	if (!keys_identity_ok(name, identity_len) || (hash && len - identity_len != 1 + sizeof(id)))
		return NULL;
	memcpy(identity, name, identity_len);
	if (hash)
		memcpy(id, hash + 1, sizeof(id));
	for (uint32_t i = 0; i < keys->n; i++) {
		const struct key *k = &keys->key[i];
		int differs = CRYPTO_memcmp(k->identity, identity, sizeof(identity));

		differs |= hash ? CRYPTO_memcmp(k->id, id, sizeof(id)) : 0;
		if (!differs && !found)
			found = k;
	}
	return found;
}

void keys_wire_name(char ret[static KEYS_WIRE_MAX + 1], const struct key *key)
{
	(void)snprintf(ret, KEYS_WIRE_MAX + 1, "%s#%s", key->identity, key->id);
}
