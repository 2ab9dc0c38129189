/* SPDX-License-Identifier: ISC */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sq.h"

#define WORDS_MAX 64
#define HANG_S    240 /* no process of ours takes so long: the test ends instead of hanging */

static struct outcome last;
static int program = -1; /* sqctl, for those who may not walk the path to it */

void run_init(void)
{
	char prefix[32];

	assert_non_null(getenv("SQCTL"));
	program = open(getenv("SQCTL"), O_PATH | O_CLOEXEC);
	assert_true(program >= 0);
	(void)snprintf(prefix, sizeof(prefix), "cli%ld", (long)getpid());
	assert_int_equal(setenv("SQ_PREFIX", prefix, 1), 0);
	/*
	 * Then no other user's queues are seen or swept. Where this is not permitted there is the
	 * prefix.
	 */
	if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		(void)mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=1g,mode=1777");
	(void)signal(SIGPIPE, SIG_IGN);
}

const char *run_path(const char *queue)
{
	static char path[256];

	(void)snprintf(path, sizeof(path), "/dev/shm/sq.%s.%s", getenv("SQ_PREFIX"), queue);
	return path;
}

static int remove_queue(const char *name, void *data)
{
	char path[256];

	(void)data;
	(void)snprintf(path, sizeof(path), "/dev/shm/sq.%s", name);
	return remove(path); /* a test may have made a directory of it */
}

int run_clean(void **state)
{
	(void)state;
	return sq_list(NULL, remove_queue, NULL);
}

static int file_with(const void *data, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(len ? write(fd, data, len) : 0, len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void become(const struct start *how, const struct run *run, const char *const *words)
{
	const char *argv[WORDS_MAX] = {"sqctl"};

	for (int i = 0; words[i]; i++) {
		if (i + 2 >= WORDS_MAX)
			_exit(126);
		argv[i + 1] = words[i];
	}
	if (dup2(run->in, STDIN_FILENO) < 0 || dup2(run->out, STDOUT_FILENO) < 0 ||
		dup2(run->err, STDERR_FILENO) < 0)
		_exit(126);
	/* As a shell leaves it: sqctl has to see to it itself. */
	(void)signal(SIGPIPE, SIG_DFL);
	/* The suite itself may be in the background, where these are ignored. */
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGHUP, SIG_DFL);
	(void)signal(SIGTERM, SIG_DFL);
	(void)alarm(HANG_S);
	if (how->child)
		how->child();
	(void)execv(getenv("SQCTL"), (char *const *)(void *)argv);
	/* Another user may not enter the directory of the checkout: root's home, say. */
	if (errno == EACCES)
		(void)execveat(program, "", (char *const *)(void *)argv, environ, AT_EMPTY_PATH);
	_exit(127);
}

struct run run_start(const struct start *how, const char *const *words)
{
	struct run run = {.in = how->in, .out = how->out};

	if (how->in <= 0)
		run.in = file_with(how->input,
			how->input_len || !how->input ? how->input_len : strlen(how->input));
	if (how->out <= 0)
		run.out = file_with(NULL, 0);
	run.err = file_with(NULL, 0);
	/* Several processes may speak at once: each write must find the end for itself. */
	assert_int_equal(fcntl(run.err, F_SETFL, O_APPEND), 0);
	run.pid = fork();
	assert_true(run.pid >= 0);
	if (run.pid == 0)
		become(how, &run, words);
	if (how->in <= 0)
		assert_int_equal(close(run.in), 0);
	run.in = -1;
	if (how->out > 0)
		run.out = -1;
	return run;
}

static char *content(int fd, size_t *ret_len)
{
	off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
	char *text = malloc((size_t)size + 1);

	assert_non_null(text);
	assert_true(size >= 0);
	if (fd >= 0) {
		assert_int_equal(pread(fd, text, (size_t)size, 0), size);
		assert_int_equal(close(fd), 0);
	}
	text[size] = '\0';
	*ret_len = (size_t)size;
	return text;
}

struct outcome run_end(const struct run *run)
{
	size_t unused;
	int status;

	while (waitpid(run->pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	free(last.out);
	free(last.err);
	last.code = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
	last.out = content(run->out, &last.out_len);
	last.err = content(run->err, &unused);
	return last;
}

struct outcome run_whole(const struct start *how, const char *const *words)
{
	struct run run = run_start(how, words);

	return run_end(&run);
}

static bool has(const char *text, const char *part)
{
	return part ? strstr(text, part) != NULL : *text == '\0';
}

void expect(struct outcome o, int code, const char *out, const char *err)
{
	if (o.code == code && has(o.out, out) && has(o.err, err))
		return;
	print_error(
		"exit %d, wanted %d\nstdout: %.2000s\nwanted: %.2000s\nstderr: %.2000s\nwanted: %.2000s\n",
		o.code, code, o.out, out ? out : "(nothing)", o.err, err ? err : "(nothing)");
	fail();
}
