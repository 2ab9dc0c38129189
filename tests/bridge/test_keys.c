/* SPDX-License-Identifier: ISC */
#include "scratch.h"

#include <fcntl.h>
#include <sys/wait.h>

#include "keygen.h"
#include "keys.h"

/* What is a key file and what is not, who may read it, which key is found, what keygen makes of it. */

#define HEX16 "000102030405060708090a0b0c0d0e0f"
#define HEX32 HEX16 "101112131415161718191a1b1c1d1e1f"
#define HEX64 HEX32 "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
#define OTHER "ff0102030405060708090a0b0c0d0e0f"
#define THIRD "ee0102030405060708090a0b0c0d0e0f"
#define N64   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ012345.-_@xy"

static char why[KEYS_WHY_MAX];

static struct keys *parsed(const char *text)
{
	struct keys *keys = NULL;
	int r = keys_parse(&keys, text, strlen(text), "f", why);

	if (r != 0)
		fail_msg("%d: %s", r, why);
	return keys;
}

static void test_parse(void **state)
{
	struct keys *keys = parsed("# the farm\n"
				   "\n"
				   "farm1:" HEX32 "\n"
				   "  \t\r\n"
				   " a.b_c-d@e:" HEX16 " \t\r\n"
				   "  # another\n" N64 ":" HEX64 "\n"
				   "farm1:FF0102030405060708090A0B0C0D0E0F");
	const struct key *k;

	assert_int_equal(keys_count(keys), 4);
	k = keys_at(keys, 0);
	assert_string_equal(k->identity, "farm1");
	assert_int_equal(k->len, 32);
	assert_int_equal(k->line, 3);
	for (uint8_t i = 0; i < 32; i++)
		assert_int_equal(k->bytes[i], i);
	k = keys_at(keys, 1);
	assert_string_equal(k->identity, "a.b_c-d@e");
	assert_int_equal(k->len, 16);
	assert_int_equal(k->line, 5);
	k = keys_at(keys, 2);
	assert_string_equal(k->identity, N64);
	assert_int_equal(k->len, 64);
	assert_int_equal(k->bytes[63], 63);
	k = keys_at(keys, 3);
	assert_int_equal(k->bytes[0], 0xff);
	assert_int_equal(k->bytes[15], 0x0f);
	assert_int_equal(k->line, 8);
	assert_null(keys_at(keys, 4));
	keys_free(keys);
	keys_free(NULL);
	keys = parsed("");
	assert_int_equal(keys_count(keys), 0);
	assert_null(keys_at(keys, 0));
	keys_free(keys);
}

static void test_wrong(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"farm1", "f: line 1: there is no ':'"},
		{"#\n\nfarm1 " HEX16, "f: line 3: there is no ':'"},
		{":" HEX16, "f: line 1: an identity is"},
		{"fa rm:" HEX16, "an identity is"},
		{"fa#rm:" HEX16, "an identity is"},
		{"f\xc3\xa4rm:" HEX16, "an identity is"},
		{"farm :" HEX16, "an identity is"},
		{N64 "z:" HEX16, "an identity is"},
		{"\rfarm1:" HEX16, "an identity is"},
		{"a:" HEX16 "\n\rfarm1:" HEX16, "line 2: an identity is"},
		{"farm1:", "16 to 64 bytes"},
		{"farm1:" HEX16 "0", "an odd number"},
		{"farm1:0001", "16 to 64 bytes"},
		{"farm1:000102030405060708090a0b0c0d0e", "16 to 64 bytes"},
		{"farm1:" HEX64 "00", "16 to 64 bytes"},
		{"farm1: " HEX16 "1", "something else than"},
		{"farm1:0x0102030405060708090a0b0c0d0e0f", "something else than"},
		{"farm1:g00102030405060708090a0b0c0d0e0f", "something else than"},
		{"farm1:" HEX16 ":" HEX16 "0", "something else than"},
		{"farm1:" HEX16 "\nfarm2:" HEX16, "line 2: the same key stands in line 1"},
		{"farm1:" HEX16 "\n\nfarm1:" HEX16, "line 3: the same key stands in line 1"},
		{"farm1:" HEX16 "\nfarm1:" OTHER "\nfarm1:" THIRD,
			"line 3: this identity has two keys already, one of them in line 2"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct keys *keys = (void *)&why;

		why[0] = '\0';
		assert_int_equal(
			keys_parse(&keys, cases[i].text, strlen(cases[i].text), "f", why), -EINVAL);
		if (!strstr(why, cases[i].why))
			fail_msg("%s, not: %s", why, cases[i].why);
		/* What is told does not tell the key. */
		assert_null(strstr(why, "0102030405"));
		assert_ptr_equal(keys, &why);
	}
	/* A zero in the middle is no end. */
	assert_int_equal(keys_parse(&(struct keys *){NULL}, "a:\0" HEX16, 35, "f", why), -EINVAL);
	assert_int_equal(keys_parse(&(struct keys *){NULL}, "\0:" HEX16, 34, "f", why), -EINVAL);
}

/* As many keys as may be, and one more; a file that is mostly comments. */
static void test_many(void **state)
{
	size_t cap = KEYS_FILE_MAX + 100, n = 0;
	char *text = malloc(cap);
	struct keys *keys = NULL;
	char name[32];

	for (int i = 0; i <= KEYS_MAX; i++)
		n += (size_t)snprintf(text + n, cap - n, "f%d:%032x\n", i, i + 1);
	assert_int_equal(keys_parse(&keys, text, n, "f", why), -EFBIG);
	assert_non_null(strstr(why, "line 4097: more than 4096 keys"));
	n = (size_t)(strstr(text, "f4096:") - text);
	assert_int_equal(keys_parse(&keys, text, n, "f", why), 0);
	assert_int_equal(keys_count(keys), KEYS_MAX);
	for (int i = 0; i < KEYS_MAX; i += 111) {
		(void)snprintf(name, sizeof(name), "f%d", i);
		assert_ptr_equal(keys_find(keys, name, strlen(name)), keys_at(keys, (size_t)i));
	}
	keys_free(keys);
	memset(text, '\n', cap);
	memcpy(text + KEYS_FILE_MAX - 40, "a:" HEX16, 34);
	assert_int_equal(keys_parse(&keys, text, KEYS_FILE_MAX + 1, "f", why), -EFBIG);
	assert_int_equal(keys_parse(&keys, text, KEYS_FILE_MAX, "f", why), 0);
	assert_int_equal(keys_count(keys), 1);
	keys_free(keys);
	free(text);
}

static void test_find(void **state)
{
	struct keys *keys = parsed(
		"farm1:" HEX32 "\nfarm2:" HEX16 "\nfarm1:" OTHER "\nfarm:" THIRD "\n");
	static const char *const none[] = {"", "#", "far", "farm11", "farm3", "farm1#", "FARM1",
		"farm1#0", "farm1#00000000", "farm1##0000000", "farm 1", "#farm1"};
	char name[KEYS_WIRE_MAX + 1], more[KEYS_WIRE_MAX + 8];

	for (size_t i = 0; i < 4; i++) {
		const struct key *k = keys_at(keys, i);
		size_t len;

		keys_wire_name(name, k);
		len = strlen(name);
		assert_int_equal(len, strlen(k->identity) + 9);
		assert_ptr_equal(keys_find(keys, name, len), k);
		/* Exactly this, neither less nor more, nor in capitals. */
		assert_null(keys_find(keys, name, len - 1));
		(void)snprintf(more, sizeof(more), "%s0", name);
		assert_null(keys_find(keys, more, len + 1));
		assert_null(keys_find(keys, more, len + 2));
		name[len - 1] = name[len - 1] == '0' ? '1' : '0';
		assert_null(keys_find(keys, name, len));
	}
	assert_ptr_equal(keys_find(keys, "farm1", 5), keys_at(keys, 0));
	assert_ptr_equal(keys_find(keys, "farm", 4), keys_at(keys, 3));
	assert_ptr_equal(keys_find(keys, "farm2xx", 5), keys_at(keys, 1));
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (keys_find(keys, none[i], strlen(none[i])))
			fail_msg("found: %s", none[i]);
	assert_null(keys_find(keys, "farm1\0", 6));
	/* Another identity's id. */
	(void)snprintf(name, sizeof(name), "farm2#%s", keys_at(keys, 0)->id);
	assert_null(keys_find(keys, name, strlen(name)));
	keys_free(keys);
}

/* The id of a key as others can compute it: openssl mac -digest SHA256 -macopt hexkey:... HMAC */
static void test_id(void **state)
{
	struct keys *keys = parsed("a:" HEX16 "\nb:" HEX32 "\nc:" HEX64 "\n");
	static const char *const ids[] = {"884a273d", "cad4da8e", "f958c533"};

	for (size_t i = 0; i < 3; i++)
		assert_string_equal(keys_at(keys, i)->id, ids[i]);
	keys_free(keys);
}

static int load(const char *path)
{
	struct keys *keys = NULL;
	int r;

	why[0] = '\0';
	r = keys_load(&keys, path, why);
	if (r == 0)
		keys_free(keys);
	else
		assert_null(keys);
	return r;
}

static void test_modes(void **state)
{
	for (mode_t mode = 0; mode < 0100; mode++) {
		char chmod_it[] = "chmod 600 k";

		scratch_write("k", 0400 | mode, "a:" HEX16 "\n");
		if (mode == 0) {
			assert_int_equal(load("k"), 0);
			continue;
		}
		assert_int_equal(load("k"), -EACCES);
		assert_non_null(strstr(why, chmod_it));
	}
	scratch_write("k", 0644, "a:" HEX16 "\n");
	assert_int_equal(load("k"), -EACCES);
	assert_non_null(strstr(why, "k: has mode 0644"));
	scratch_write("k", 0600, "a:" HEX16 "\n");
	assert_int_equal(load("k"), 0);
	/* The link's own mode says nothing. */
	assert_int_equal(symlink("k", "link"), 0);
	assert_int_equal(load("link"), 0);
	assert_int_equal(chmod("k", 0640), 0);
	assert_int_equal(load("link"), -EACCES);
}

static void test_no_file(void **state)
{
	char *text = NULL;
	size_t len = 0;

	assert_int_equal(load("none"), -ENOENT);
	assert_non_null(strstr(why, "none: No such file"));
	assert_int_equal(load("."), -EACCES);
	assert_non_null(strstr(why, "no regular file"));
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(load("fifo"), -EACCES);
	assert_int_equal(load("/dev/null"), -EACCES);
	assert_int_equal(symlink("none", "dangling"), 0);
	assert_int_equal(load("dangling"), -ENOENT);
	scratch_write("big", 0600, "#");
	assert_int_equal(truncate("big", KEYS_FILE_MAX + 1), 0);
	assert_int_equal(load("big"), -EFBIG);
	assert_int_equal(keys_read(&text, &len, "big", why), -EFBIG);
	assert_int_equal(truncate("big", KEYS_FILE_MAX), 0);
	assert_int_equal(keys_read(&text, &len, "big", why), 0);
	assert_int_equal(len, KEYS_FILE_MAX);
	keys_secret_free(text, KEYS_FILE_MAX + 1);
	scratch_write("bad", 0600, "a:zz");
	assert_int_equal(load("bad"), -EINVAL);
	assert_non_null(strstr(why, "bad: line 1"));
}

/* As systemd gives them to a service that is not root: root's, 0440 by the access list's mask. */
static void test_credentials(void **state)
{
	char path[512];
	bool root = geteuid() == 0;

	scratch_write("sqbridge.keys", 0440, "a:" HEX16 "\n");
	(void)snprintf(path, sizeof(path), "%s/sqbridge.keys", scratch_path());
	(void)unsetenv("CREDENTIALS_DIRECTORY");
	assert_int_equal(load(path), -EACCES);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", scratch_path(), 1), 0);
	assert_int_equal(load(path), root ? 0 : -EACCES);
	assert_int_equal(chmod(path, 0400), 0);
	assert_int_equal(load(path), 0);
	for (mode_t mode = 1; mode < 0100; mode++) {
		assert_int_equal(chmod(path, 0400 | mode), 0);
		assert_int_equal(load(path), mode == 040 && root ? 0 : -EACCES);
	}
	/* Directly there, and not beside it or below. */
	assert_int_equal(chmod(path, 0440), 0);
	assert_int_equal(load("sqbridge.keys"), -EACCES);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "/", 1), 0);
	assert_int_equal(load(path), -EACCES);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "", 1), 0);
	assert_int_equal(load(path), -EACCES);
	(void)snprintf(path, sizeof(path), "%s/", scratch_path());
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", path, 1), 0);
	(void)snprintf(path, sizeof(path), "%s/sqbridge.keys", scratch_path());
	assert_int_equal(load(path), root ? 0 : -EACCES);
	(void)snprintf(path, sizeof(path), "%s/../%s/sqbridge.keys", scratch_path(),
		strrchr(scratch_path(), '/') + 1);
	assert_int_equal(load(path), -EACCES);
	(void)unsetenv("CREDENTIALS_DIRECTORY");
}

/* Another user's file is refused, closed or not. Only root can make one here. */
static void test_owner(void **state)
{
	int status;
	pid_t pid;

	scratch_write("k", 0600, "a:" HEX16 "\n");
	if (geteuid() != 0)
		return;
	assert_int_equal(chown("k", 12345, (gid_t)-1), 0);
	assert_int_equal(load("k"), -EACCES);
	assert_non_null(strstr(why, "belongs to user 12345"));
	assert_non_null(strstr(why, "chown 0 k"));
	/* It is that user's own, and root's would be as good. */
	assert_int_equal(chmod(".", 0755), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(setuid(12345) == 0 ? -load("k") : 99);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Keygen */

static int keygen(const char *peer, bool rotate, bool drop_old)
{
	char out[128];
	struct keygen what = {.peer = peer,
		.keys = "hub.keys",
		.out = out,
		.rotate = rotate,
		.drop_old = drop_old};

	(void)snprintf(out, sizeof(out), "%s.key", peer);
	why[0] = '\0';
	return keygen_run(&what, why);
}

static mode_t mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(stat(name, &st), 0);
	return st.st_mode & 07777;
}

static void test_keygen(void **state)
{
	struct keys *hub = NULL, *leaf = NULL;
	char name[KEYS_WIRE_MAX + 1];
	const struct key *k;

	(void)umask(0);
	assert_int_equal(keygen("farm1", false, false), 0);
	(void)umask(022);
	assert_int_equal(mode_of("hub.keys"), 0600);
	assert_int_equal(mode_of("farm1.key"), 0600);
	assert_int_equal(keygen("farm2", false, false), 0);
	assert_int_equal(scratch_count(), 3);
	assert_int_equal(keys_load(&hub, "hub.keys", why), 0);
	assert_int_equal(keys_count(hub), 2);
	for (int i = 1; i <= 2; i++) {
		char path[32];

		(void)snprintf(path, sizeof(path), "farm%d.key", i);
		assert_int_equal(keys_load(&leaf, path, why), 0);
		assert_int_equal(keys_count(leaf), 1);
		keys_wire_name(name, keys_at(leaf, 0));
		k = keys_find(hub, name, strlen(name));
		assert_non_null(k);
		assert_int_equal(k->len, KEYGEN_BYTES);
		assert_memory_equal(k->bytes, keys_at(leaf, 0)->bytes, KEYGEN_BYTES);
		keys_free(leaf);
	}
	assert_memory_not_equal(keys_at(hub, 0)->bytes, keys_at(hub, 1)->bytes, KEYGEN_BYTES);
	keys_free(hub);
}

static void test_keygen_keeps(void **state)
{
	static const char before[] = "# mine\n\n old:" HEX16 "  \n# last, without an end";
	char *text;

	scratch_write("hub.keys", 0400, before);
	assert_int_equal(keygen("farm1", false, false), 0);
	text = scratch_read("hub.keys");
	assert_memory_equal(text, before, strlen(before));
	assert_memory_equal(text + strlen(before), "\nfarm1:", 7);
	assert_int_equal(strlen(text), strlen(before) + 7 + 64 + 1);
	free(text);
}

static void test_rotate(void **state)
{
	char *one, *two, *three, *key;

	scratch_write("hub.keys", 0600, "# before\nother:" HEX16 "\n");
	assert_int_equal(keygen("farm1", true, false), -ENOENT);
	assert_non_null(strstr(why, "has no key; leave --rotate away"));
	assert_int_equal(keygen("farm1", false, true), -ENOENT);
	assert_int_equal(keygen("farm1", false, false), 0);
	one = scratch_read("hub.keys");
	assert_int_equal(keygen("farm1", false, true), -ENOENT);
	assert_non_null(strstr(why, "has one key"));
	assert_int_equal(unlink("farm1.key"), 0);
	assert_int_equal(keygen("farm1", false, false), -EEXIST);
	assert_non_null(strstr(why, "--rotate"));
	assert_int_equal(access("farm1.key", F_OK), -1);
	assert_int_equal(keygen("farm1", true, false), 0);
	two = scratch_read("hub.keys");
	assert_memory_equal(two, one, strlen(one));
	key = scratch_read("farm1.key");
	assert_string_equal(two + strlen(one), key);
	/* A third is refused either way. */
	assert_int_equal(unlink("farm1.key"), 0);
	assert_int_equal(keygen("farm1", true, false), -EEXIST);
	assert_non_null(strstr(why, "--drop-old"));
	assert_int_equal(keygen("farm1", false, false), -EEXIST);
	assert_int_equal(access("farm1.key", F_OK), -1);
	/* The older goes, the newer stays, and so do the others. */
	assert_int_equal(keygen("farm1", false, true), 0);
	three = scratch_read("hub.keys");
	assert_memory_equal(three, "# before\nother:" HEX16 "\n", 48);
	assert_string_equal(three + 48, key);
	assert_int_equal(scratch_count(), 1);
	free(one);
	free(two);
	free(three);
	free(key);
}

/* Whatever is wrong, both files are as they were. */
static void test_keygen_refuses(void **state)
{
	char *text;

	assert_int_equal(keygen("no good", false, false), -EINVAL);
	assert_int_equal(keygen("", false, false), -EINVAL);
	assert_int_equal(scratch_count(), 0);
	scratch_write("farm1.key", 0600, "mine");
	assert_int_equal(keygen("farm1", false, false), -EEXIST);
	assert_non_null(strstr(why, "farm1.key: is there already"));
	assert_int_equal(scratch_count(), 1);
	text = scratch_read("farm1.key");
	assert_string_equal(text, "mine");
	free(text);
	assert_int_equal(unlink("farm1.key"), 0);
	assert_int_equal(symlink("elsewhere", "farm1.key"), 0);
	assert_int_equal(keygen("farm1", false, false), -EEXIST);
	assert_int_equal(access("elsewhere", F_OK), -1);
	assert_int_equal(unlink("farm1.key"), 0);

	scratch_write("hub.keys", 0644, "a:" HEX16 "\n");
	assert_int_equal(keygen("farm1", false, false), -EACCES);
	assert_int_equal(chmod("hub.keys", 0600), 0);
	assert_int_equal(rename("hub.keys", "real.keys"), 0);
	assert_int_equal(symlink("real.keys", "hub.keys"), 0);
	assert_int_equal(keygen("farm1", false, false), -ELOOP);
	assert_int_equal(unlink("hub.keys"), 0);
	scratch_write("hub.keys", 0600, "a:nonsense\n");
	assert_int_equal(keygen("farm1", false, false), -EINVAL);
	text = scratch_read("hub.keys");
	assert_string_equal(text, "a:nonsense\n");
	free(text);
	assert_int_equal(scratch_count(), 2);
	/* No room for one more: the peer's file goes again. */
	text = malloc(KEYS_FILE_MAX + 1);
	memset(text, '#', KEYS_FILE_MAX);
	text[KEYS_FILE_MAX] = '\0';
	scratch_write("hub.keys", 0600, text);
	free(text);
	assert_int_equal(keygen("farm1", false, false), -EFBIG);
	assert_int_equal(scratch_count(), 2);
}

/* Many at once: each finds its place. */
static void test_keygen_together(void **state)
{
	enum { N = 24 };
	struct keys *keys = NULL;
	int status, failed = 0;
	char peer[16];

	for (int i = 0; i < N; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			(void)snprintf(peer, sizeof(peer), "farm%d", i);
			_exit(keygen(peer, false, false) ? 1 : 0);
		}
	}
	for (int i = 0; i < N; i++) {
		assert_true(wait(&status) > 0);
		failed += status != 0;
	}
	assert_int_equal(failed, 0);
	assert_int_equal(keys_load(&keys, "hub.keys", why), 0);
	assert_int_equal(keys_count(keys), N);
	assert_int_equal(scratch_count(), N + 1);
	keys_free(keys);
}

/*
 * What is freed is gone, as a process that looks at its own memory can see: the bytes of a key that
 * was loaded from a file stand nowhere any more.
 */
static int sightings(const uint8_t *mask, size_t len)
{
	static uint8_t chunk[1 << 16];
	FILE *maps = fopen("/proc/self/maps", "re");
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC), n = 0;
	unsigned long from, to;
	char line[512], perms[5];

	assert_non_null(maps);
	assert_true(mem >= 0);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %4s", &from, &to, perms) != 3 || perms[0] != 'r' ||
			perms[1] != 'w' || to - from > 64 << 20 || strstr(line, "[v"))
			continue;
		for (unsigned long at = from; at < to; at += sizeof(chunk) - len) {
			ssize_t got = pread(mem, chunk, sizeof(chunk), (off_t)at);

			/* This memory itself shows what is read into it. */
			if (got <= 0 || (at < (unsigned long)chunk + sizeof(chunk) &&
						at + sizeof(chunk) > (unsigned long)chunk))
				continue;
			for (ssize_t i = 0; i + (ssize_t)len <= got; i++) {
				size_t k = 0;

				while (k < len && (chunk[i + (ssize_t)k] ^ 0xa5) == mask[k])
					k++;
				n += k == len;
			}
		}
	}
	(void)fclose(maps);
	(void)close(mem);
	return n;
}

static void test_cleared(void **state)
{
	struct keys *keys = NULL;
	uint8_t mask[KEYGEN_BYTES];

	assert_int_equal(keygen("farm1", false, false), 0);
	assert_int_equal(keys_load(&keys, "hub.keys", why), 0);
	/* Kept in another form, or this copy would be found. */
	for (size_t i = 0; i < sizeof(mask); i++)
		mask[i] = keys_at(keys, 0)->bytes[i] ^ 0xa5;
	assert_true(sightings(mask, sizeof(mask)) >= 1);
	keys_free(keys);
	assert_int_equal(sightings(mask, sizeof(mask)), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_id),
		SCRATCH_TEST(test_modes),
		SCRATCH_TEST(test_no_file),
		SCRATCH_TEST(test_credentials),
		SCRATCH_TEST(test_owner),
		SCRATCH_TEST(test_keygen),
		SCRATCH_TEST(test_keygen_keeps),
		SCRATCH_TEST(test_rotate),
		SCRATCH_TEST(test_keygen_refuses),
		SCRATCH_TEST(test_keygen_together),
		SCRATCH_TEST(test_cleared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
