/* SPDX-License-Identifier: ISC */
#include "crew.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "leftovers.h"
#include "now.h"
#include "options.h"

#define CHILDREN_MAX 2048

static struct {
	const char *name;
	char seed_text[24]; /* empty: it takes none */
	char prefix[SQ_NAME_MAX + 1];
	pid_t parent;
	atomic_bool *failed;
	_Atomic pid_t children[CHILDREN_MAX]; /* of the parent, to end them with it */
} crew;

/* Children inherit this; it is for the parent alone. Safe in a signal handler. */
static void end_children(void)
{
	if (getpid() != crew.parent)
		return;
	for (int i = 0; i < CHILDREN_MAX; i++) {
		pid_t pid = crew.children[i];

		if (pid > 0 && kill(pid, SIGKILL) == 0)
			(void)waitpid(pid, NULL, 0);
		crew.children[i] = 0;
	}
}

static void clean_up(void)
{
	end_children();
	if (getpid() == crew.parent)
		(void)leftovers_remove(crew.prefix);
}

static void hung(int signo)
{
	static const char text[] = ": FAILED: ended by its alarm, or from outside\n";

	(void)!write(STDERR_FILENO, crew.name, strlen(crew.name));
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	/*
	 * Listing a directory is not safe in a handler; but what is left to lose is only the
	 * tidiness.
	 */
	clean_up();
	_exit(1);
}

void crew_init(const char *name, uint64_t seed, unsigned alarm_s)
{
	crew.name = name;
	if (option_is_taken("--seed"))
		(void)snprintf(crew.seed_text, sizeof(crew.seed_text), "%" PRIu64, seed);
	crew.parent = getpid();
	(void)snprintf(crew.prefix, sizeof(crew.prefix), "test-%s-%ld", name, (long)crew.parent);
	(void)setenv("SQ_PREFIX", crew.prefix, 1);
	crew.failed = crew_share(sizeof(*crew.failed));
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	(void)signal(SIGALRM, hung);
	(void)signal(SIGTERM, hung);
	(void)signal(SIGINT, hung);
	(void)alarm(alarm_s);
	(void)atexit(clean_up);
}

void crew_die(const char *format, ...)
{
	va_list args;
	char text[512];

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	(void)fprintf(stderr, "%s: FAILED: %s (pid %ld%s%s)\n", crew.name, text, (long)getpid(),
		crew.seed_text[0] ? "; replay with --seed " : "", crew.seed_text);
	*crew.failed = true;
	if (getpid() != crew.parent)
		_exit(1);
	exit(1);
}

bool crew_failed(void)
{
	return *crew.failed;
}

void must(const char *call, ssize_t r, ssize_t expected)
{
	if (r != expected)
		crew_die("%s returned %zd (%s), not %zd", call, r,
			r < 0 ? sq_strerror((int)r) : "no error", expected);
}

void must_succeed(const char *call, ssize_t r)
{
	if (r < 0)
		crew_die("%s: %s", call, sq_strerror((int)r));
}

int crew_finish(const char *format, ...)
{
	va_list args;
	int left;

	(void)leftovers_remove(crew.prefix);
	left = leftovers_remove(crew.prefix);
	if (left != 0)
		crew_die("%d objects of ours stay in /dev/shm", left);
	if (crew_failed())
		crew_die("a child failed");
	(void)printf("%s: ", crew.name);
	va_start(args, format);
	(void)vprintf(format, args);
	va_end(args);
	(void)printf("%s%s\n", crew.seed_text[0] ? "; seed " : "", crew.seed_text);
	return 0;
}

pid_t crew_fork(void)
{
	pid_t pid = child_fork();

	if (pid < 0)
		crew_die("fork: %s", strerror(errno));
	if (pid == 0) {
		(void)signal(SIGTERM, SIG_DFL);
		(void)signal(SIGINT, SIG_DFL);
		return 0;
	}
	crew_adopt(pid);
	return pid;
}

void crew_adopt(pid_t pid)
{
	for (int i = 0; getpid() == crew.parent && i < CHILDREN_MAX; i++) {
		if (!crew.children[i]) {
			crew.children[i] = pid;
			return;
		}
	}
}

int crew_wait(pid_t pid)
{
	int status = 0;
	pid_t r;

	/* Not for ever: if one has failed, the others may never end. */
	while ((r = waitpid(pid, &status, WNOHANG)) == 0 || (r < 0 && errno == EINTR)) {
		if (crew_failed())
			crew_die("a child failed");
		sleep_ns(CREW_MS / 10);
	}
	if (r < 0)
		crew_die("waitpid: %s", strerror(errno));
	for (int i = 0; i < CHILDREN_MAX; i++)
		if (crew.children[i] == pid)
			crew.children[i] = 0;
	return status;
}

void crew_kill(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	(void)crew_wait(pid);
}

void crew_stop(pid_t pid)
{
	int status;

	if (kill(pid, SIGSTOP) < 0 || waitpid(pid, &status, WUNTRACED) != pid ||
		!WIFSTOPPED(status))
		crew_die("a child ended by itself");
}

void *crew_share(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return p;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

void crew_sort(int64_t *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_size);
}
