/* SPDX-License-Identifier: ISC */
#include "hosts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crew.h"
#include "now.h"
#include "pin.h"
#include "relay.h"
#include "say.h"
#include "stop.h"

#define SHM        "/dev/shm"
#define WORDS_MAX  24
#define LIMIT_NS   ((int64_t)60 * 1000000000)
#define CANNOT_RUN 127

/* $SQBRIDGE, or where it is built, or beside us, or somewhere in $PATH. */
static const char *program(void)
{
	static char path[PATH_MAX + 32];
	const char *named = getenv("SQBRIDGE");
	static const char *const places[] = {"/../bridge/sqbridge", "/sqbridge"};
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (named && *named)
		return named;
	for (size_t i = 0; len > 0 && i < sizeof(places) / sizeof(places[0]); i++) {
		char *slash;

		self[len] = '\0';
		slash = strrchr(self, '/');
		(void)snprintf(path, sizeof(path), "%.*s%s", (int)(slash - self), self, places[i]);
		if (access(path, X_OK) == 0)
			return path;
	}
	return "sqbridge";
}

/* Run sqbridge with these words, in the scratch directory, its words into that log. */
static pid_t start(const struct hosts *h, const char *prefix, const char *log, int cpu,
	const char *const *words)
{
	const char *argv[WORDS_MAX] = {"sqbridge"};
	pid_t pid = crew_fork();
	int fd;

	if (pid != 0)
		return pid;
	for (int i = 0; words[i] && i + 2 < WORDS_MAX; i++)
		argv[i + 1] = words[i];
	if (pin_to(cpu) < 0 || chdir(h->scratch) < 0 || setenv("SQ_PREFIX", prefix, 1) < 0)
		_exit(CANNOT_RUN);
	(void)unsetenv("JOURNAL_STREAM");
	(void)unsetenv("SQBRIDGE_CONFIG");
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		_exit(CANNOT_RUN);
	(void)execvp(program(), (char *const *)(void *)argv);
	_exit(CANNOT_RUN);
}

/* Print its last lines, to find out why it failed. */
static int report_log(const struct hosts *h, const char *log, const char *what)
{
	char path[200], line[300] = "", last[300] = "";
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", h->scratch, log);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		(void)snprintf(last, sizeof(last), "%.*s", (int)strcspn(line, "\n"), line);
	if (f)
		(void)fclose(f);
	return say(EXIT_UNAVAILABLE, "%s %s; it said last: %s", program(), what,
		*last ? last : "nothing; is it there? $SQBRIDGE may name it");
}

/* The next line with this text that the log gets, to buf. */
static int expect(
	struct hosts *h, pid_t pid, const char *log, const char *text, char *buf, size_t cap)
{
	int64_t end = now_ns() + LIMIT_NS;
	char path[200];

	(void)snprintf(path, sizeof(path), "%s/%s", h->scratch, log);
	while (!stop_came() && now_ns() < end) {
		int gone = waitpid(pid, NULL, WNOHANG) == pid;
		FILE *f = fopen(path, "re");

		while (f && fseek(f, h->seen, SEEK_SET) == 0 && fgets(buf, (int)cap, f) &&
			strchr(buf, '\n')) {
			h->seen = ftell(f);
			if (strstr(buf, text)) {
				(void)fclose(f);
				return EXIT_DONE;
			}
		}
		if (f)
			(void)fclose(f);
		if (gone)
			return report_log(h, log, "ended");
		sleep_ns(2000000);
	}
	if (stop_came())
		return stop_report();
	return report_log(h, log, "does not get ready");
}

static int keygen(struct hosts *h)
{
	static const char *const words[] = {"keygen", "--peer", "leaf", "--keys", "hub.keys", NULL};
	pid_t pid = start(h, h->hub_prefix, "keygen.log", PIN_FREE, words);
	int status = 0;

	if (pid < 0)
		return say(EXIT_UNAVAILABLE, "cannot fork: %s", strerror(errno));
	(void)waitpid(pid, &status, 0);
	return status == 0 ? EXIT_DONE : report_log(h, "keygen.log", "makes no key");
}

static int start_hub(struct hosts *h, const struct hosts_setup *setup, int *ret_port)
{
	char window[24], line[400];
	const char *const words[] = {"hub", "--listen", "127.0.0.1:0", "--keys", "hub.keys",
		"--share", "pq:pull", "--share", "cq:push", "--window", window, NULL};
	const char *port;
	int code;

	(void)snprintf(window, sizeof(window), "%llu", (unsigned long long)setup->window);
	h->seen = 0;
	h->hub = start(h, h->hub_prefix, "hub.log", setup->hub_cpu, words);
	if (h->hub < 0)
		return say(EXIT_UNAVAILABLE, "cannot fork: %s", strerror(errno));
	code = expect(h, h->hub, "hub.log", "event=listening", line, sizeof(line));
	if (code != EXIT_DONE)
		return code;
	port = strstr(line, " port=");
	*ret_port = port ? atoi(port + 6) : 0;
	return *ret_port > 0 ? EXIT_DONE : report_log(h, "hub.log", "says no port");
}

static int start_leaf(struct hosts *h, const struct hosts_setup *setup, int port)
{
	char window[24], address[32], line[400];
	const char *const words[] = {"leaf", address, "--key", "leaf.key", "--pull", "pq", "--push",
		"cq", "--window", window, NULL};
	int code = EXIT_DONE;

	(void)snprintf(window, sizeof(window), "%llu", (unsigned long long)setup->window);
	(void)snprintf(address, sizeof(address), "127.0.0.1:%d", port);
	h->leaf = start(h, h->leaf_prefix, "leaf.log", setup->leaf_cpu, words);
	if (h->leaf < 0)
		return say(EXIT_UNAVAILABLE, "cannot fork: %s", strerror(errno));
	/* The hub says it, for either queue: a line behind those that were read. */
	for (int i = 0; i < 2 && code == EXIT_DONE; i++)
		code = expect(h, h->leaf, "hub.log", "event=stream_open", line, sizeof(line));
	return code;
}

static int make_queues(struct hosts *h, const struct sq_config *config)
{
	char *const names[] = {h->hub_pq, h->hub_cq, h->leaf_pq, h->leaf_cq};

	for (int i = 0; i < 4; i++) {
		int r;

		(void)snprintf(names[i], HOSTS_NAME_MAX, "%s.%s",
			i < 2 ? h->hub_prefix : h->leaf_prefix, i % 2 ? "cq" : "pq");
		r = sq_create(names[i], config);
		if (r < 0)
			return say(EXIT_UNAVAILABLE, "cannot make a queue: %s", sq_strerror(r));
	}
	return EXIT_DONE;
}

int hosts_open(struct hosts *h, const struct hosts_setup *setup)
{
	const char *tmp = getenv("TMPDIR");
	int port = 0, code;

	memset(h, 0, sizeof(*h));
	(void)snprintf(h->scratch, sizeof(h->scratch), "%s/sqbench.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(h->scratch))
		return say(EXIT_UNAVAILABLE, "no scratch directory: %s", strerror(errno));
	(void)snprintf(h->hub_prefix, sizeof(h->hub_prefix), "sqbench-h%ld", (long)getpid());
	(void)snprintf(h->leaf_prefix, sizeof(h->leaf_prefix), "sqbench-l%ld", (long)getpid());
	code = make_queues(h, &setup->queue);
	if (code == EXIT_DONE)
		code = keygen(h);
	if (code == EXIT_DONE)
		code = start_hub(h, setup, &port);
	if (code == EXIT_DONE && setup->delay_ns > 0)
		code = relay_start(&h->relay, &port, setup->delay_ns);
	if (code == EXIT_DONE)
		code = start_leaf(h, setup, port);
	return code;
}

static void end(pid_t *pid)
{
	if (*pid <= 0)
		return;
	(void)kill(*pid, SIGKILL);
	(void)waitpid(*pid, NULL, 0);
	*pid = 0;
}

/* All in there whose name begins so. */
static void remove_all(const char *directory, const char *begin)
{
	DIR *d = opendir(directory);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (*e->d_name != '.' && strncmp(e->d_name, begin, strlen(begin)) == 0)
			(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		(void)closedir(d);
}

void hosts_close(struct hosts *h)
{
	static const char *const kinds[] = {"sq", "sqb"};
	char begin[64];

	end(&h->leaf);
	end(&h->relay);
	end(&h->hub);
	for (int i = 0; i < 4 && h->hub_prefix[0]; i++) {
		(void)snprintf(begin, sizeof(begin), "%s.%s.", kinds[i / 2],
			i % 2 ? h->leaf_prefix : h->hub_prefix);
		remove_all(SHM, begin);
	}
	if (h->scratch[0]) {
		remove_all(h->scratch, "");
		(void)rmdir(h->scratch);
	}
	memset(h, 0, sizeof(*h));
}

int64_t hosts_cpu_ns(pid_t pid)
{
	char path[64];
	struct dirent *e;
	int64_t ret = 0;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%ld/task", (long)pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		long long ns = 0;
		char stat[330];
		FILE *f;

		(void)snprintf(stat, sizeof(stat), "%s/%s/schedstat", path, e->d_name);
		f = *e->d_name == '.' ? NULL : fopen(stat, "re");
		if (f && fscanf(f, "%lld", &ns) == 1)
			ret += ns;
		if (f)
			(void)fclose(f);
	}
	if (d)
		(void)closedir(d);
	return ret;
}
