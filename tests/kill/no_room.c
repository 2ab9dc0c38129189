/* SPDX-License-Identifier: ISC */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crew.h"
#include "ops/handle.h"
#include "options.h"
#include "spaces.h"

/*
 * Too little memory in /dev/shm: sq_create() says so, at once, and leaves nothing; and if it says
 * that there was enough, then every page of the queue is there for good, though others take all the
 * rest. In a mount namespace with small file systems of our own over /dev/shm, of every size from
 * some pages too small to some pages too large.
 *
 *	--pages 24 --races 10
 */

#define SHM          "/dev/shm"
#define PAGE         4096
#define CREATORS     8
#define ROOM_FOR     3
#define SIZE_LIMIT   (1 << 16) /* bytes that a process may write to a file */
#define MESSAGE_MAX  2000
#define PARTICIPANTS 8
#define ALARM_S      1000

static const struct sq_config config = {.capacity = 16,
	.max_message = MESSAGE_MAX,
	.participants = PARTICIPANTS,
	.lease_time = CREW_SECOND,
	.block_memory = 1 << 15};

/* Takes some time to make, so that there is a race. */
static const struct sq_config large = {
	.capacity = 2048, .small_message = 4096, .max_message = 4096, .participants = PARTICIPANTS};

static void mount_of(uint64_t pages, const char *more)
{
	char options[64];

	(void)snprintf(options, sizeof(options), "size=%" PRIu64 "%s", pages * PAGE, more);
	if (!spaces_mount(SHM, options))
		crew_die("mount: %s", strerror(errno));
}

static void unmount(void)
{
	if (umount2(SHM, MNT_DETACH) < 0)
		crew_die("umount: %s", strerror(errno));
}

static uint64_t pages_free(void)
{
	struct statvfs vfs;

	if (statvfs(SHM, &vfs) < 0)
		crew_die("statvfs: %s", strerror(errno));
	return vfs.f_bfree;
}

static unsigned files(void)
{
	DIR *dir = opendir(SHM);
	const struct dirent *e;
	unsigned n = 0;

	while (dir && (e = readdir(dir)))
		n += e->d_name[0] != '.';
	if (dir)
		(void)closedir(dir);
	return n;
}

/* Another file takes all that is left. */
static void fill_the_rest(void)
{
	int fd = open(SHM "/others", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	static const char page[PAGE];

	if (fd < 0)
		crew_die("open: %s", strerror(errno));
	while (write(fd, page, sizeof(page)) > 0)
		;
	(void)close(fd);
	if (pages_free() != 0)
		crew_die("%" PRIu64 " pages are still free", pages_free());
}

/* Every page is read and written, and the queue works. A missing page would be a SIGBUS. */
static void use_all(const char *name, int handles)
{
	struct sq *h = crew_open(name);

	for (uint64_t i = 0; i < h->ring.g.total; i += PAGE) {
		sqi_u64 *word = (sqi_u64 *)(h->ring.base + i);

		(void)sqi_add(word, 0);
	}
	for (int i = 1; i < handles; i++) {
		struct sq *other = crew_open(name);
		uint64_t n;

		must("sq_count_bind", sq_count_bind(other, (uint64_t)i, &n), 0);
		crew_check_rest(other, ~(uint64_t)0);
		sq_close(other);
	}
	crew_check_rest(h, ~(uint64_t)0);
	sq_close(h);
}

/* In a child, so that a SIGBUS is seen as one. */
static void try_all(const char *name, int handles)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		use_all(name, handles);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		crew_die("waitpid: %s", strerror(errno));
	if (WIFSIGNALED(status))
		crew_die("a queue for which there was room is not all there: signal %d",
			WTERMSIG(status));
	if (status != 0)
		crew_die("use of a queue on a full file system failed");
}

/* With so many pages. Did it fit? */
static bool with_pages(uint64_t pages, uint64_t need)
{
	struct sq *h;
	int r;

	mount_of(pages, "");
	r = sq_create("room", &config);
	if (r == 0) {
		fill_the_rest();
		try_all("room", PARTICIPANTS);
		must("sq_unlink", sq_unlink("room"), 0);
	} else {
		must("sq_create with too little", r, -ENOSPC);
		must("sq_open of nothing", sq_open(&h, "room"), -ENOENT);
		if (files() != 0 || pages_free() != pages)
			crew_die("%u files and %" PRIu64 " pages are left behind", files(),
				pages - pages_free());
	}
	unmount();
	if ((r == 0) != (pages >= need))
		crew_die("a queue of %" PRIu64 " pages, %" PRIu64 " are free: %s", need, pages,
			sq_strerror(r));
	return r == 0;
}

/*
 * There is room, and the kernel refuses all the same, half-way: nothing is left. What it refuses by
 * is this process's limit of a file's size.
 */
static void refused_half_way(uint64_t need)
{
	const struct rlimit limit = {SIZE_LIMIT, SIZE_LIMIT};
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		mount_of(need * 2, "");
		(void)signal(SIGXFSZ, SIG_IGN);
		if (need * PAGE <= SIZE_LIMIT || setrlimit(RLIMIT_FSIZE, &limit) < 0)
			crew_die("no limit: %s", strerror(errno));
		must("sq_create above the limit", sq_create("room", &config), -EFBIG);
		if (files() != 0 || pages_free() != need * 2)
			crew_die("%u files and %" PRIu64 " pages are left behind", files(),
				need * 2 - pages_free());
		unmount();
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		crew_die("the test with a limit failed");
}

/*
 * All look for room at once, and find it; but there is not enough for all. How many were made;
 * those that had begun in vain have left nothing.
 */
static unsigned race(uint64_t need, _Atomic uint64_t *gate)
{
	pid_t pid[CREATORS];
	unsigned made = 0;

	*gate = 0;
	mount_of(need * ROOM_FOR + need / 2, "");
	for (int i = 0; i < CREATORS; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			char name[24];
			int r;

			(void)snprintf(name, sizeof(name), "room%d", i);
			++*gate;
			while (*gate < CREATORS)
				(void)sched_yield();
			r = sq_create(name, &large);
			if (r != 0 && r != -ENOSPC)
				crew_die("sq_create in a race: %s", sq_strerror(r));
			_exit(r == 0);
		}
	}
	for (int i = 0; i < CREATORS; i++) {
		int status;

		if (waitpid(pid[i], &status, 0) != pid[i] || !WIFEXITED(status))
			crew_die("a creator ended by a signal");
		pid[i] = WEXITSTATUS(status);
		made += pid[i] == 1;
	}
	if (made > ROOM_FOR || files() != made ||
		pages_free() != need * ROOM_FOR + need / 2 - made * need)
		crew_die("%u were made, %u files are there, %" PRIu64 " pages are free", made,
			files(), pages_free());
	fill_the_rest();
	for (int i = 0; i < CREATORS; i++) {
		char name[24];

		(void)snprintf(name, sizeof(name), "room%d", i);
		if (pid[i] == 1)
			try_all(name, 1);
	}
	unmount();
	return made;
}

static void be_inside(uint64_t around, uint64_t races, _Atomic uint64_t *ret)
{
	uint64_t total, need;

	if (!spaces_enter(CLONE_NEWNS))
		crew_die("no namespace: %s", strerror(errno));
	must("sq_size", sq_size(&config, &total), 0);
	need = (total + PAGE - 1) / PAGE;
	for (uint64_t pages = need > around ? need - around : 1; pages <= need + around; pages++)
		ret[with_pages(pages, need)]++;
	/* No page, and no room for a name. */
	ret[with_pages(1, need)]++;
	mount_of(need * 2, ",nr_inodes=1");
	must("sq_create without inodes", sq_create("room", &config), -ENOSPC);
	unmount();
	ret[0]++;
	refused_half_way(need);
	ret[0]++;
	must("sq_size", sq_size(&large, &total), 0);
	for (uint64_t i = 0; i < races; i++)
		ret[2] += race((total + PAGE - 1) / PAGE, &ret[3]);
	_exit(0);
}

int main(int argc, char **argv)
{
	uint64_t around = option_number(argc, argv, "--pages", 24);
	uint64_t races = option_number(argc, argv, "--races", 10);
	_Atomic uint64_t *n;
	pid_t pid;

	options_end(argc, argv);
	crew_init("no_room", 0, ALARM_S);
	if (!spaces_permitted(CLONE_NEWNS)) {
		(void)printf("no_room: nobody may mount here: nothing was shown\n");
		return SPACES_NONE;
	}
	n = crew_share(4 * sizeof(*n));
	pid = crew_fork();
	if (pid == 0)
		be_inside(around, races, n);
	if (crew_wait(pid) != 0)
		crew_die("the test in its own namespace failed");
	return crew_finish(
		"%" PRIu64 " sizes passed, 0 failed: %" PRIu64 " with too little room, %" PRIu64
		" with enough, used to the last page; of %" PRIu64 " races of %d for room for %d "
		"%" PRIu64 " queues",
		n[0] + n[1], n[0], n[1], races, CREATORS, ROOM_FOR, n[2]);
}
