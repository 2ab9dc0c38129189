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
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ops/handle.h"

#define CHILDREN_MAX 2048

static struct {
	const char *name;
	uint64_t seed;
	char prefix[SQ_NAME_MAX + 1];
	pid_t parent;
	atomic_bool *failed;
	_Atomic pid_t children[CHILDREN_MAX]; /* of the parent, to end them with it */
} crew;

static int remove_one(const char *name, void *data)
{
	(void)sq_unlink(name);
	++*(int *)data;
	return 0;
}

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
	int removed = 0;

	end_children();
	if (getpid() == crew.parent)
		(void)sq_list(crew.prefix, remove_one, &removed);
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
	crew.seed = seed;
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
	(void)fprintf(stderr, "%s: FAILED: %s (pid %ld; replay with --seed %" PRIu64 ")\n",
		crew.name, text, (long)getpid(), crew.seed);
	*crew.failed = true;
	if (getpid() != crew.parent)
		_exit(1);
	exit(1);
}

bool crew_failed(void)
{
	return *crew.failed;
}

int crew_finish(const char *format, ...)
{
	va_list args;
	int left = 0;

	(void)sq_list(crew.prefix, remove_one, &left);
	left = 0;
	if (sq_list(crew.prefix, remove_one, &left) < 0 || left > 0)
		crew_die("%d objects of ours stay in /dev/shm", left);
	if (crew_failed())
		crew_die("a child failed");
	(void)printf("%s: ", crew.name);
	va_start(args, format);
	(void)vprintf(format, args);
	va_end(args);
	(void)printf("; seed %" PRIu64 "\n", crew.seed);
	return 0;
}

pid_t crew_fork(void)
{
	pid_t parent = getpid(), pid;

	(void)fflush(NULL);
	pid = fork();
	if (pid < 0)
		crew_die("fork: %s", strerror(errno));
	if (pid == 0) {
		(void)signal(SIGTERM, SIG_DFL);
		(void)signal(SIGINT, SIG_DFL);
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
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
		crew_sleep(CREW_MS / 10);
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

void *crew_share(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return p;
}

int64_t crew_now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * CREW_SECOND + ts.tv_nsec;
}

void crew_sleep(int64_t ns)
{
	struct timespec ts = {.tv_sec = ns / CREW_SECOND, .tv_nsec = ns % CREW_SECOND};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
		;
}

uint64_t crew_random(uint64_t *state)
{
	uint64_t x = *state ? *state : 0x9e3779b97f4a7c15;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1d;
}

/* The finalizer of splitmix64 (Vigna). */
uint64_t crew_mix(uint64_t v)
{
	v += 0x9e3779b97f4a7c15;
	v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9;
	v = (v ^ v >> 27) * 0x94d049bb133111eb;
	return v ^ v >> 31;
}

/* The last one counts. */
const char *crew_option(int argc, char **argv, const char *option, const char *fallback)
{
	size_t n = strlen(option);
	const char *found = fallback;

	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], option, n) != 0)
			continue;
		if (argv[i][n] == '=')
			found = argv[i] + n + 1;
		else if (!argv[i][n] && i + 1 < argc)
			found = argv[i + 1];
	}
	return found;
}

uint64_t crew_number(int argc, char **argv, const char *option, uint64_t fallback)
{
	const char *text = crew_option(argc, argv, option, NULL);

	return text ? strtoull(text, NULL, 0) : fallback;
}

bool crew_flag(int argc, char **argv, const char *option)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], option) == 0)
			return true;
	return false;
}
