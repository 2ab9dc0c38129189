/* SPDX-License-Identifier: ISC */
#include "segment/file.h"

#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "segment/name.h"

/* The file behind a queue: there whole or not at all, looked at before it is believed. */

static const struct sq_config tiny = {.capacity = 4, .participants = 4, .max_message = 48};

/* What opening it says. */
static int opens(const char *name)
{
	struct sq *h;
	int r = sq_open(&h, name);

	if (r == 0)
		sq_close(h);
	return r;
}

static const char *path_of(const char *name)
{
	static char path[SQI_PATH_MAX];

	assert_int_equal(sqi_name_path(path, name), 0);
	return path;
}

/*
 * In place of the C library's: the step by which a file of the engine's gets its name. Before that
 * it has all that it is to have.
 */
static mode_t mode_at_link;
static off_t size_at_link;

int link(const char *from, const char *to)
{
	struct stat st;

	if (stat(from, &st) == 0) {
		mode_at_link = st.st_mode & 07777;
		size_at_link = st.st_size;
	}
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* Who is killed before that leaves no queue, and who is killed after it a whole one. */
static void test_named_last(void **state)
{
	struct sq_config config = tiny;
	uint64_t size;

	config.mode = 0640;
	(void)fx_make("a", &config);
	assert_int_equal(sq_size(&config, &size), 0);
	assert_int_equal(mode_at_link, 0640);
	assert_int_equal(size_at_link, size);
}

static void test_create(void **state)
{
	struct sq *h = fx_make("a", &tiny), *other = h;
	struct stat st;
	uint64_t size;

	assert_int_equal(sq_create("a", &tiny), -EEXIST);
	assert_int_equal(sq_create("a", NULL), -EEXIST);
	assert_int_equal(sq_create("b", &(struct sq_config){.flags = 8}), -EINVAL);
	assert_int_equal(sq_open(&other, "b"), -ENOENT);
	assert_ptr_equal(other, h);
	assert_null(sq_check("b"));
	assert_null(sq_check("a"));
	assert_int_equal(stat(path_of("a"), &st), 0);
	assert_int_equal(sq_size(&tiny, &size), 0);
	assert_int_equal(st.st_size, size);
	/* All of it is there, not only promised. */
	assert_true((uint64_t)st.st_blocks * 512 >= size);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_mode & 07777, 0600);
}

/* A file whose memory is not all there is no queue: using it would take memory, or end in SIGBUS. */
static void test_holes(void **state)
{
	struct sq *other = fx_make("a", &(struct sq_config){.capacity = 65536}), *h = other;
	int fd = open(path_of("a"), O_RDWR | O_CLOEXEC);
	const char *why;
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 st.st_size / 2 & -4096, 4096),
		0);
	why = sq_check("a");
	assert_non_null(why);
	assert_non_null(strstr(why, "holes"));
	assert_int_equal(sq_open(&h, "a"), -EPROTO);
	assert_ptr_equal(h, other);
	/* Filled again, it is one. */
	assert_int_equal(posix_fallocate(fd, 0, st.st_size), 0);
	assert_null(sq_check("a"));
	(void)close(fd);
}

/*
 * A name without a prefix is a queue of one's own or of root's: another user that made a queue of
 * that name first could read all that is put there. A name with the prefix said is meant as it
 * stands.
 */
static void test_another_users_queue(void **state)
{
	char *prefix = strdup(getenv("SQ_PREFIX")), name[32], full[64];
	int made, own, chowned, given, by_full_name, by_prefix, removed;

	if (geteuid() != 0) {
		free(prefix);
		skip(); /* only root can give a file away */
	}
	assert_non_null(prefix);
	(void)snprintf(name, sizeof(name), "given%d", (int)getpid());
	(void)snprintf(full, sizeof(full), "root.%s", name);
	/* Not under this test's prefix: nothing is judged before it is gone. */
	assert_int_equal(unsetenv("SQ_PREFIX"), 0);
	made = sq_create(name, &tiny);
	own = opens(name);
	chowned = chown(path_of(name), 65534, 65534);
	given = opens(name);
	by_full_name = opens(full);
	assert_int_equal(setenv("SQ_PREFIX", "root", 1), 0);
	by_prefix = opens(name);
	removed = sq_unlink(name);
	assert_int_equal(setenv("SQ_PREFIX", prefix, 1), 0);
	free(prefix);
	assert_int_equal(made, 0);
	assert_int_equal(own, 0);
	assert_int_equal(chowned, 0);
	assert_int_equal(given, -EPERM);
	assert_int_equal(by_full_name, 0);
	assert_int_equal(by_prefix, 0);
	assert_int_equal(removed, 0);
}

static void test_mode_in_spite_of_umask(void **state)
{
	static const uint32_t modes[] = {0600, 0660, 0666, 0640, 0777};
	mode_t old = umask(0077);

	for (int i = 0; i < 5; i++) {
		struct sq_config c = tiny;
		struct stat st;

		c.mode = modes[i];
		(void)fx_make("a", &c);
		assert_int_equal(stat(path_of("a"), &st), 0);
		assert_int_equal(st.st_mode & 07777, modes[i]);
		fx_end(NULL);
	}
	(void)umask(old);
}

static void test_no_room(void **state)
{
	const struct sq_config huge = {.capacity = SQ_CAPACITY_MAX, .small_message = SQ_SMALL_MAX};
	struct sq *h;

	assert_int_equal(sq_create("a", &huge), -ENOSPC);
	assert_int_equal(sq_open(&h, "a"), -ENOENT);
}

#define NOT_PERMITTED 77

static bool say(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	(void)close(fd);
	return done;
}

/* A file system without any limit of its own, which says that it has no blocks at all. */
static bool mount_without_limit(void)
{
	char uid[64], gid[64];
	struct statvfs vfs;

	/* There we are who we are here: files cannot belong to nobody. */
	(void)snprintf(uid, sizeof(uid), "%ld %ld 1", (long)geteuid(), (long)geteuid());
	(void)snprintf(gid, sizeof(gid), "%ld %ld 1", (long)getegid(), (long)getegid());
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && say("/proc/self/setgroups", "deny") &&
	       say("/proc/self/uid_map", uid) && say("/proc/self/gid_map", gid) &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", SQI_DIR, "tmpfs", 0, "size=0") == 0 && statvfs(SQI_DIR, &vfs) == 0 &&
	       vfs.f_blocks == 0;
}

/* Cause: a file system without a limit was taken for one without room. */
static void test_no_limit(void **state)
{
	int status, r;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (!mount_without_limit())
			_exit(NOT_PERMITTED);
		r = sq_create("a", &tiny);
		if (r < 0)
			(void)fprintf(stderr, "in a child: %s\n", sq_strerror(r));
		_exit(r < 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NOT_PERMITTED) {
		print_message("nobody may mount here\n");
		return;
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_name_of_another_file(void **state)
{
	struct sq *h = fx_make("a", &tiny);
	uint64_t dev = h->file.dev, ino = h->file.ino;

	assert_true(sqi_file_is("a", dev, ino));
	assert_false(sqi_file_is("a", dev, ino + 1));
	assert_false(sqi_file_is("a", dev + 1, ino));
	assert_false(sqi_file_is("b", dev, ino));
	assert_int_equal(sq_unlink("a"), 0);
	assert_false(sqi_file_is("a", dev, ino));
	(void)fx_make("a", &tiny);
	assert_false(sqi_file_is("a", dev, ino));
}

static void test_unlink_while_open(void **state)
{
	struct sq *h = fx_make("a", &tiny), *other;

	fx_put(h, 1);
	assert_int_equal(sq_unlink("a"), 0);
	assert_int_equal(sq_unlink("a"), -ENOENT);
	assert_int_equal(sq_open(&other, "a"), -ENOENT);
	/* What is in it can be had still, and then nothing. */
	fx_get(h, 1);
	assert_int_equal(sq_put(h, "x", 1, SQ_FOREVER), -EIDRM);
	assert_int_equal(sq_get(h, NULL, 0, SQ_FOREVER), -EIDRM);
	assert_int_equal(fx_stat(h).removed, 1);
	assert_int_equal(sq_join(h, SQ_FOREVER), 0);
	assert_int_equal(sq_shutdown(h, true), 0);
	assert_int_equal(sq_get(h, NULL, 0, SQ_FOREVER), -EPIPE);
}

/* Change some bytes of the file, and see what is said of it. */
static void says(off_t at, const void *bytes, size_t n, off_t size, const char *word)
{
	struct sq *h = NULL;
	const char *why;
	uint64_t whole;
	int fd;

	assert_int_equal(sq_create("a", &tiny), 0);
	assert_int_equal(sq_size(&tiny, &whole), 0);
	fd = open(path_of("a"), O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	if (n)
		assert_int_equal(pwrite(fd, bytes, n, at), (ssize_t)n);
	if (size >= 0)
		assert_int_equal(ftruncate(fd, size), 0);
	(void)close(fd);
	why = sq_check("a");
	assert_int_equal(sq_open(&h, "a"), -EPROTO);
	assert_int_equal(sq_gc("a"), -EPROTO);
	assert_null(h);
	assert_int_equal(sq_unlink("a"), 0);
	assert_non_null(why);
	if (!strstr(why, word))
		fail_msg("\"%s\" does not say \"%s\"", why, word);
}

static void test_foreign_files(void **state)
{
	uint32_t version = SQI_LAYOUT_VERSION + 1;
	uint64_t size;

	assert_int_equal(sq_size(&tiny, &size), 0);
	says(0, "x", 1, -1, "magic");
	says(8, &version, 4, -1, "newer");
	says(33, "x", 1, -1, "d");
	says(16, "x", 1, -1, "does not match");
	says(0, NULL, 0, 0, "short");
	says(0, NULL, 0, 4095, "short");
	says(0, NULL, 0, 4096, "truncated");
	says(0, NULL, 0, (off_t)size - 1, "truncated");
	says(0, NULL, 0, (off_t)size + 1, "longer");
}

/* Every byte of the description counts. */
static void test_every_byte_of_the_description(void **state)
{
	struct sqi_geometry g;
	unsigned char head[SQI_PAGE];
	struct sq *h = fx_make("a", &tiny);

	memcpy(head, h->ring.base, sizeof(head));
	assert_null(sqi_head_check(&g, head, h->ring.g.total));
	for (size_t i = 0; i < offsetof(struct sqi_head, in) + sizeof(struct sqi_inputs); i++)
		for (int bit = 0; bit < 8; bit++) {
			head[i] ^= (unsigned char)(1 << bit);
			assert_non_null(sqi_head_check(&g, head, h->ring.g.total));
			head[i] ^= (unsigned char)(1 << bit);
		}
}

static void test_not_a_file(void **state)
{
	const char *path = path_of("a");
	struct sq *h = NULL;
	const char *why;

	(void)fx_make("b", &tiny);
	for (int i = 0; i < 3; i++) {
		char target[SQI_PATH_MAX];

		switch (i) {
		case 0:
			strcpy(target, path_of("b"));
			path = path_of("a");
			assert_int_equal(symlink(target, path), 0);
			break;
		case 1:
			assert_int_equal(mkdir(path, 0700), 0);
			break;
		default:
			assert_int_equal(mkfifo(path, 0600), 0);
			break;
		}
		why = sq_check("a");
		assert_int_equal(sq_open(&h, "a"), -EPROTO);
		assert_int_equal(sq_create("a", &tiny), -EEXIST);
		assert_int_equal(i == 1 ? rmdir(path) : unlink(path), 0);
		assert_non_null(why);
		assert_string_equal(why, "not a file of shared memory");
		assert_null(h);
	}
}

/* A symlink to nowhere is no room for a queue either, and is not followed. */
static void test_dangling_symlink(void **state)
{
	const char *path = path_of("a");

	assert_int_equal(symlink("/dev/shm/sq.unit-nowhere", path), 0);
	assert_int_equal(sq_create("a", &tiny), -EEXIST);
	assert_int_equal(access("/dev/shm/sq.unit-nowhere", F_OK), -1);
	assert_int_equal(unlink(path), 0);
}

static int temporary(char *path, size_t cap)
{
	int fd;

	(void)snprintf(path, cap, "/dev/shm/sq.tmp-%08lx%08x", (unsigned long)getpid(), 0xdeadu);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

static void test_sweep(void **state)
{
	struct flock lock = {.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = (off_t)SQI_LOCK_BASE,
		.l_len = 1};
	char path[64];
	int fd = temporary(path, sizeof(path));

	/* Its maker lives. */
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	(void)sq_sweep();
	assert_int_equal(access(path, F_OK), 0);
	/* And is gone. Somebody else's sweep may have come first. */
	(void)close(fd);
	assert_true(sq_sweep() >= 0);
	assert_int_equal(access(path, F_OK), -1);
}

/* Cause: a prefix may begin like the name of a temporary file. */
static void test_sweep_spares_queues(void **state)
{
	char prefix[SQ_NAME_MAX + 1];
	struct sq *h;

	(void)snprintf(prefix, sizeof(prefix), "tmp-%ld", (long)getpid());
	(void)setenv("SQ_PREFIX", prefix, 1);
	assert_int_equal(sq_create("pq", &tiny), 0);
	(void)sq_sweep();
	assert_int_equal(sq_open(&h, "pq"), 0);
	sq_close(h);
	assert_int_equal(sq_unlink("pq"), 0);
}

struct seen {
	unsigned a, b, others, calls;
	char last[2 * SQ_NAME_MAX + 2];
};

static int note(const char *name, void *data)
{
	struct seen *seen = data;
	const char *dot = strchr(name, '.');

	seen->calls++;
	seen->a += strcmp(dot, ".a") == 0;
	seen->b += strcmp(dot, ".b") == 0;
	strcpy(seen->last, name);
	return 0;
}

static int stop(const char *name, void *data)
{
	(void)name;
	(*(int *)data)++;
	return -77;
}

static void test_list(void **state)
{
	char prefix[SQ_NAME_MAX + 1], foreign[SQI_PATH_MAX];
	struct seen own = {0}, all = {0}, none = {0};
	int calls = 0, fd;

	assert_int_equal(sq_prefix(prefix, sizeof(prefix)), 0);
	(void)fx_make("a", &tiny);
	(void)fx_make("b", &tiny);
	(void)snprintf(foreign, sizeof(foreign), "/dev/shm/sem.%s.a", prefix);
	fd = open(foreign, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(sq_list(NULL, note, &own), 0);
	assert_int_equal(sq_list("*", note, &all), 0);
	prefix[strlen(prefix) - 1] = '\0';
	assert_int_equal(sq_list(prefix, note, &none), 0);
	assert_int_equal(unlink(foreign), 0);
	assert_int_equal(own.calls, 2);
	assert_int_equal(own.a, 1);
	assert_int_equal(own.b, 1);
	assert_true(all.calls >= 2 && all.a >= 1 && all.b >= 1);
	assert_int_equal(sq_list(NULL, stop, &calls), -77);
	assert_int_equal(calls, 1);
	assert_int_equal(sq_list(NULL, NULL, NULL), -EINVAL);
	/* A name it gives is a name one can open. */
	assert_null(sq_check(own.last));
}

static void test_damaged_head_while_open(void **state)
{
	struct sq *h = fx_make("a", &tiny), *other;

	/*
	 * The description is not read again: handles that are open go on, and no new one can be
	 * opened.
	 */
	memset(h->ring.base, 0xff, offsetof(struct sqi_head, closed));
	for (uint64_t i = 0; i < 20; i++) {
		fx_put(h, i);
		fx_get(h, i);
	}
	assert_int_equal(sq_open(&other, "a"), -EPROTO);
	assert_int_equal(fx_stat(h).capacity, 4);
}

static const struct CMUnitTest tests[] = {
	TEST(test_named_last),
	TEST(test_create),
	TEST(test_holes),
	TEST(test_another_users_queue),
	TEST(test_mode_in_spite_of_umask),
	TEST(test_no_room),
	TEST(test_no_limit),
	TEST(test_name_of_another_file),
	TEST(test_unlink_while_open),
	TEST(test_foreign_files),
	TEST(test_every_byte_of_the_description),
	TEST(test_not_a_file),
	TEST(test_dangling_symlink),
	TEST(test_sweep),
	TEST(test_sweep_spares_queues),
	TEST(test_list),
	TEST(test_damaged_head_while_open),
};

FX_MAIN(tests)
