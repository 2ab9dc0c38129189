/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "segment/layout.h"
#include "segment/name.h"
#include "reaper.h"
#include "sq.h"

/*
 * What may stand in a queue's place in /dev/shm and is none, or is none of this build: each is
 * refused with a documented error by every call that takes a name, and by sqctl; nothing is
 * followed, mapped or removed that was not meant.
 *
 *	damage_files SQCTL
 */

#define NOBODY  65534
#define ALARM_S 600

static const struct sq_config config = {
	.capacity = 4, .participants = 4, .max_message = 1000, .block_memory = 1};
static const char *sqctl;
static char prefix[32], path[SQI_PATH_MAX], other[SQI_PATH_MAX];
static unsigned checks, failures;

static void failed(const char *what, const char *call, int r)
{
	(void)printf("FAILED: %s: %s: %d\n", what, call, r);
	failures++;
}

static void expect(const char *what, const char *call, int r, int want)
{
	checks++;
	if (r != want)
		failed(what, call, r);
}

/* Change the head of a queue's file; with `whole` so that its fingerprint is right again. */
static void change(void (*f)(struct sqi_head *head), bool whole)
{
	_Alignas(struct sqi_head) unsigned char page[SQI_PAGE];
	struct sqi_head *head = (struct sqi_head *)(void *)page;
	struct sqi_geometry g;
	int fd;

	if (sq_create("a", &config) < 0)
		abort();
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || pread(fd, page, sizeof(page), 0) != sizeof(page))
		abort();
	f(head);
	/* As a build that has these limits would write it. */
	memset(&g, 0, sizeof(g));
	if (whole) {
		(void)sqi_geometry_init(&g, &head->in);
		g.in = head->in;
		head->fingerprint = sqi_fingerprint(&g);
	}
	if (pwrite(fd, page, sizeof(page), 0) != sizeof(page))
		abort();
	(void)close(fd);
}

static void resize(int64_t by)
{
	struct stat st;

	if (sq_create("a", &config) < 0 || stat(path, &st) < 0 ||
		truncate(path, st.st_size + by) < 0)
		abort();
}

static void file_of(size_t len, unsigned char byte)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	for (size_t i = 0; i < len; i++)
		if (write(fd, &byte, 1) != 1)
			abort();
	if (fd < 0 || close(fd) < 0)
		abort();
}

#define CHANGE(name, whole, ...)                                                                   \
	static void name##_in(struct sqi_head *head)                                               \
	{                                                                                          \
		__VA_ARGS__;                                                                       \
	}                                                                                          \
	static void name(void)                                                                     \
	{                                                                                          \
		change(name##_in, whole);                                                          \
	}
CHANGE(magic, false, memcpy(head->magic, "sq-rinG\n", 8))
CHANGE(older, false, head->version = 0)
CHANGE(newer, false, head->version = SQI_LAYOUT_VERSION + 1)
CHANGE(head_size, false, head->head_size += 64)
CHANGE(fingerprint, false, head->fingerprint ^= 1)
CHANGE(total_more, true, head->total += SQI_PAGE)
CHANGE(total_none, true, head->total = 0)
CHANGE(no_participants, true, head->in.participants = 0)
CHANGE(participants, true, head->in.participants = UINT32_MAX)
CHANGE(capacity_none, true, head->in.capacity_log2 = 0)
CHANGE(capacity_shift, true, head->in.capacity_log2 = 64)
CHANGE(capacity_most, true, head->in.capacity_log2 = 30)
CHANGE(small_odd, true, head->in.small = 3)
CHANGE(small_most, true, head->in.small = UINT32_MAX)
CHANGE(message_none, true, head->in.max_message = 0)
CHANGE(message_most, true, head->in.max_message = UINT64_MAX)
CHANGE(blocks_most, true, head->in.block_memory = UINT64_MAX)
CHANGE(lease_most, true, head->in.lease_ns = UINT64_MAX)
CHANGE(flags, true, head->in.flags = 0x80)
CHANGE(blocks_min, true, head->in.blocks_min = 9)
CHANGE(name_long, true, memset(head->in.dead_letter, 'a', sizeof(head->in.dead_letter));
	head->in.max_attempts = 1)
CHANGE(name_path, true, strcpy(head->in.dead_letter, "../../etc.d"); head->in.max_attempts = 1)
CHANGE(another_layout, true, head->in.capacity_log2 = 10)

static void empty(void)
{
	file_of(0, 0);
}

static void one_byte(void)
{
	file_of(1, 's');
}

static void zeros(void)
{
	file_of(SQI_PAGE, 0);
}

static void ones(void)
{
	file_of(SQI_PAGE, 0xff);
}

static void no_page(void)
{
	if (sq_create("a", &config) < 0 || truncate(path, SQI_PAGE - 1) < 0)
		abort();
}

static void one_page(void)
{
	if (sq_create("a", &config) < 0 || truncate(path, SQI_PAGE) < 0)
		abort();
}

static void byte_short(void)
{
	resize(-1);
}

static void page_short(void)
{
	resize(-SQI_PAGE);
}

static void byte_longer(void)
{
	resize(1);
}

static void much_longer(void)
{
	resize((int64_t)1 << 42); /* a hole: it takes no memory */
}

static void directory(void)
{
	if (mkdir(path, 0700) < 0)
		abort();
}

static void to_queue(void)
{
	if (symlink(other, path) < 0)
		abort();
}

static void to_nowhere(void)
{
	if (symlink("/dev/shm/sq.damage-nowhere.a", path) < 0)
		abort();
}

static void to_itself(void)
{
	if (symlink(path, path) < 0)
		abort();
}

static void to_device(void)
{
	if (symlink("/dev/zero", path) < 0)
		abort();
}

static void fifo(void)
{
	if (mkfifo(path, 0600) < 0)
		abort();
}

static void a_socket(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path))
		abort();
	memcpy(address.sun_path, path, strlen(path));
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		abort();
	(void)close(fd);
}

/* sqctl says something and ends by itself, with this code. */
static void command(const char *what, const char *verb, const char *name, int want)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		int fd = open("/dev/null", O_RDWR);

		(void)dup2(fd, STDIN_FILENO);
		(void)dup2(fd, STDOUT_FILENO);
		(void)dup2(fd, STDERR_FILENO);
		(void)execl(sqctl, sqctl, verb, name, (char *)NULL);
		_exit(127);
	}
	checks++;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
		WEXITSTATUS(status) != want)
		failed(what, verb, pid < 0 ? -1 : status);
}

static int seen(const char *name, void *data)
{
	size_t n = strlen(name);

	*(int *)data += n > 2 && strcmp(name + n - 2, ".a") == 0;
	return 0;
}

/* Whatever it is: refused by all, listed as what has a queue's name, and removed by unlink. */
static void refused(const char *what, void (*make)(void))
{
	struct sq *untouched = (struct sq *)(void *)path, *h = untouched;
	struct stat st;
	int n = 0, r;

	make();
	checks += 3;
	if (!sq_check("a"))
		failed(what, "check", 0);
	expect(what, "open", sq_open(&h, "a"), -EPROTO);
	if (h != untouched)
		failed(what, "open wrote its result", 0);
	expect(what, "gc", sq_gc("a"), -EPROTO);
	expect(what, "create", sq_create("a", &config), -EEXIST);
	expect(what, "list", sq_list(NULL, seen, &n), 0);
	expect(what, "listed", n, 1);
	command(what, "stat", "a", 70);
	command(what, "gc", "a", 70);
	command(what, "put", "a", 70);
	command(what, "get", "a", 70);
	if (lstat(path, &st) < 0) {
		failed(what, "it was removed", 0);
		return;
	}
	r = sq_unlink("a");
	if (S_ISDIR(st.st_mode)) {
		checks++;
		if (r != -EPROTO)
			failed(what, "unlink", r);
		(void)rmdir(path);
	} else {
		expect(what, "unlink", r, 0);
	}
	expect(what, "gone", sq_open(&h, "a"), -ENOENT);
}

/* Not ours to read: as somebody else, for root may do all. */
static void forbidden(void)
{
	struct sq *h;
	int status = -1;
	pid_t pid;

	if (sq_create("a", &config) < 0 || chmod(path, 0) < 0)
		abort();
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (geteuid() == 0 && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
			_exit(1);
		_exit(sq_open(&h, "a") == -EACCES && sq_gc("a") == -EACCES && !sq_check("a") ? 0
											     : 2);
	}
	checks += 3;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		failed("mode 0", "open, gc or check", status);
	expect("mode 0", "unlink", sq_unlink("a"), 0);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*make)(void);
	} kinds[] = {
#define KIND(f) {#f, f}
		KIND(magic),
		KIND(older),
		KIND(newer),
		KIND(head_size),
		KIND(fingerprint),
		KIND(total_more),
		KIND(total_none),
		KIND(no_participants),
		KIND(participants),
		KIND(capacity_none),
		KIND(capacity_shift),
		KIND(capacity_most),
		KIND(small_odd),
		KIND(small_most),
		KIND(message_none),
		KIND(message_most),
		KIND(blocks_most),
		KIND(lease_most),
		KIND(flags),
		KIND(blocks_min),
		KIND(name_long),
		KIND(name_path),
		KIND(another_layout),
		KIND(empty),
		KIND(one_byte),
		KIND(zeros),
		KIND(ones),
		KIND(no_page),
		KIND(one_page),
		KIND(byte_short),
		KIND(page_short),
		KIND(byte_longer),
		KIND(much_longer),
		KIND(directory),
		KIND(to_queue),
		KIND(to_nowhere),
		KIND(to_itself),
		KIND(to_device),
		KIND(fifo),
		KIND(a_socket),
	};
	const size_t n = sizeof(kinds) / sizeof(kinds[0]);

	if (argc < 2) {
		(void)fprintf(stderr, "usage: %s SQCTL\n", argv[0]);
		return 64;
	}
	sqctl = argv[1];
	(void)alarm(ALARM_S);
	(void)snprintf(prefix, sizeof(prefix), "files%ld", (long)getpid());
	(void)setenv("SQ_PREFIX", prefix, 1);
	reaper_start(prefix);
	if (sqi_name_path(path, "a") < 0 || sqi_name_path(other, "b") < 0 ||
		sq_create("b", &config) < 0)
		abort();
	for (size_t i = 0; i < n; i++)
		refused(kinds[i].name, kinds[i].make);
	forbidden();
	/* Through none of them was the other queue reached. */
	expect("the other queue", "check", sq_check("b") != NULL, 0);
	expect("the other queue", "unlink", sq_unlink("b"), 0);
	(void)unlink(path);
	if (failures)
		(void)printf("damage_files: %u failures\n", failures);
	else
		(void)printf("damage_files: %zu kinds of files, %u checks passed\n", n + 1, checks);
	return failures ? 1 : 0;
}
