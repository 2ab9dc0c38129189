/* SPDX-License-Identifier: ISC */
#include "daemons.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "child.h"
#include "now.h"
#include "sq.h"

#define WORDS_MAX 64
#define TAIL      700 /* bytes of a log: cmocka shows no more than a thousand */
#define SHM       "/dev/shm"

char hub_prefix[32], leaf_prefix[32], hub_port[8];

void nap_ms(unsigned ms)
{
	sleep_ns((int64_t)ms * 1000000);
}

int64_t clock_ms(void)
{
	return now_ns() / 1000000;
}

/* All of these prefixes: queues, ledgers, instances. */
static unsigned remove_all(void)
{
	char sq_hub[48], sqb_hub[48], sq_leaf[48], sqb_leaf[48];
	const char *const begins[] = {sq_hub, sqb_hub, sq_leaf, sqb_leaf};
	DIR *d = opendir(SHM);
	struct dirent *e;
	unsigned n = 0;

	(void)snprintf(sq_hub, sizeof(sq_hub), "sq.%s.", hub_prefix);
	(void)snprintf(sqb_hub, sizeof(sqb_hub), "sqb.%s.", hub_prefix);
	(void)snprintf(sq_leaf, sizeof(sq_leaf), "sq.%s.", leaf_prefix);
	(void)snprintf(sqb_leaf, sizeof(sqb_leaf), "sqb.%s.", leaf_prefix);
	assert_non_null(d);
	while ((e = readdir(d)))
		for (unsigned i = 0; i < 4; i++)
			if (strncmp(e->d_name, begins[i], strlen(begins[i])) == 0) {
				char path[300];

				(void)snprintf(path, sizeof(path), SHM "/%s", e->d_name);
				n += unlink(path) == 0;
			}
	(void)closedir(d);
	return n;
}

int daemons_enter(void **state)
{
	if (scratch_enter(state) != 0)
		return -1;
	(void)signal(SIGPIPE, SIG_IGN);
	(void)snprintf(hub_prefix, sizeof(hub_prefix), "dh%ld", (long)getpid());
	(void)snprintf(leaf_prefix, sizeof(leaf_prefix), "dl%ld", (long)getpid());
	(void)strcpy(hub_port, "0");
	(void)remove_all();
	return run_code("keygen.log", WORDS("keygen", "--peer", "farm1", "--keys", "hub.keys"));
}

int daemons_leave(void **state)
{
	(void)remove_all();
	(void)sq_sweep(); /* of a leaf that was killed while it made a queue */
	return scratch_leave(state);
}

static pid_t child(void)
{
	pid_t pid = child_fork();

	assert_true(pid >= 0);
	return pid;
}

void daemon_start(
	struct daemon_run *run, const char *prefix, const char *log, const char *const *words)
{
	const char *argv[WORDS_MAX] = {"sqbridge"};
	int fd;

	for (int i = 0; words[i]; i++) {
		assert_true(i + 2 < WORDS_MAX);
		argv[i + 1] = words[i];
	}
	run->prefix = prefix;
	run->log = log;
	run->pid = child();
	if (run->pid != 0)
		return;
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0 ||
		setenv("SQ_PREFIX", prefix, 1) < 0)
		_exit(126);
	(void)unsetenv("JOURNAL_STREAM");
	if (run->before && run->before(run->before_arg) != 0)
		_exit(125);
	(void)execv(getenv("SQBRIDGE"), (char *const *)(void *)argv);
	_exit(127);
}

static int code_of(pid_t pid)
{
	int status;

	for (int64_t end = clock_ms() + WAIT_S * 1000;;) {
		pid_t r = waitpid(pid, &status, WNOHANG);

		assert_true(r >= 0);
		if (r == pid)
			return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
		if (clock_ms() > end) {
			(void)kill(pid, SIGKILL);
			(void)waitpid(pid, &status, 0);
			fail_msg("the process did not end");
		}
		nap_ms(2);
	}
}

int daemon_code(struct daemon_run *run)
{
	int code = code_of(run->pid);

	run->pid = 0;
	return code;
}

int daemon_stop(struct daemon_run *run, int signal_number)
{
	assert_int_equal(kill(run->pid, signal_number), 0);
	return daemon_code(run);
}

int run_code(const char *log, const char *const *words)
{
	struct daemon_run run = {0};

	daemon_start(&run, hub_prefix, log, words);
	return daemon_code(&run);
}

static void start_with(struct daemon_run *run, const char *prefix, const char *log,
	const char *const *first, const char *const *more)
{
	const char *words[WORDS_MAX];
	int n = 0;

	for (; *first; first++)
		words[n++] = *first;
	for (; *more && n + 1 < WORDS_MAX; more++)
		words[n++] = *more;
	words[n] = NULL;
	daemon_start(run, prefix, log, words);
}

long moment_of(const char *line)
{
	unsigned h, m, s, ms;
	const char *at = strchr(line, 'T');

	assert_non_null(at);
	assert_int_equal(sscanf(at, "T%u:%u:%u.%uZ", &h, &m, &s, &ms), 4);
	return ((long)h * 3600 + (long)m * 60 + (long)s) * 1000 + (long)ms;
}

long ms_between(long from, long to)
{
	return to < from ? to + 24 * 3600 * 1000 - from : to - from;
}

void hub_start_with(struct daemon_run *hub, const char *const *more)
{
	char address[32], *line;

	(void)snprintf(address, sizeof(address), "127.0.0.1:%s", hub_port);
	start_with(hub, hub_prefix, "hub.log",
		WORDS("hub", "--listen", address, "--keys", "hub.keys", "--share", "pq:pull",
			"--share", "cq:push"),
		more);
	line = expect_line(hub, "event=listening");
	value_of(line, "port", hub_port, sizeof(hub_port));
	hub->listened_ms = moment_of(line);
	free(line);
}

void leaf_start_with(struct daemon_run *leaf, const char *const *more)
{
	char address[32];

	(void)snprintf(address, sizeof(address), "127.0.0.1:%s", hub_port);
	start_with(leaf, leaf_prefix, "leaf.log",
		WORDS("leaf", address, "--key", "farm1.key", "--pull", "pq", "--push", "cq",
			"--retry-max", "300ms"),
		more);
}

char *expect_line(struct daemon_run *run, const char *text)
{
	size_t len;
	char *log;

	for (int64_t end = clock_ms() + WAIT_S * 1000; clock_ms() < end; nap_ms(5)) {
		FILE *f = fopen(run->log, "re");
		char *line = NULL;
		size_t cap = 0;

		if (!f)
			continue;
		assert_int_equal(fseek(f, run->seen, SEEK_SET), 0);
		while (getline(&line, &cap, f) > 0 && strchr(line, '\n'))
			if (strstr(line, text)) {
				run->seen = ftell(f);
				(void)fclose(f);
				return line;
			}
		free(line);
		(void)fclose(f);
	}
	log = scratch_read(run->log);
	len = strlen(log);
	fail_msg("%s has no line with \"%s\":\n%s", run->log, text,
		log + (len > TAIL ? len - TAIL : 0));
	return NULL;
}

unsigned count_lines(const struct daemon_run *run, const char *text)
{
	char *all = scratch_read(run->log), *at = all;
	unsigned n = 0;

	while ((at = strstr(at, text))) {
		n++;
		at += strlen(text);
	}
	free(all);
	return n;
}

void value_of(const char *line, const char *key, char *buf, size_t cap)
{
	char word[64];
	const char *at;

	(void)snprintf(word, sizeof(word), " %s=", key);
	at = strstr(line, word);
	assert_non_null(at);
	at += strlen(word);
	(void)snprintf(buf, cap, "%.*s", (int)strcspn(at, " \n"), at);
}

const char *hub_queue(const char *queue)
{
	static char name[100];

	(void)snprintf(name, sizeof(name), "%s.%s", hub_prefix, queue);
	return name;
}

const char *leaf_queue(const char *queue)
{
	static char name[100];

	(void)snprintf(name, sizeof(name), "%s.%s", leaf_prefix, queue);
	return name;
}

/* In a child: a daemon may not have made it yet. */
static struct sq *open_when_there(const char *name)
{
	struct sq *q;

	while (sq_open(&q, name) < 0)
		nap_ms(5);
	return q;
}

/* A task is its number, and as many bytes of it as it takes. */
static void write_task(uint8_t *buf, uint32_t number, size_t size)
{
	memset(buf, (int)(number % 251), size);
	memcpy(buf, &number, sizeof(number));
}

static bool task_is_whole(const uint8_t *buf, size_t size)
{
	uint32_t number;

	memcpy(&number, buf, sizeof(number));
	for (size_t i = sizeof(number); i < size; i++)
		if (buf[i] != number % 251)
			return false;
	return true;
}

pid_t worker_start(void)
{
	struct sq_lease task;
	struct sq *pq, *cq;
	pid_t pid = child();

	if (pid != 0)
		return pid;
	pq = open_when_there(leaf_queue("pq"));
	cq = open_when_there(leaf_queue("cq"));
	for (;;) {
		if (sq_lease(pq, &task, SQ_FOREVER) < 0)
			_exit(1);
		if (!task_is_whole(task.data, task.len))
			_exit(2);
		if (sq_put(cq, task.data, task.len, SQ_FOREVER) < 0 || sq_ack(pq, &task) < 0)
			_exit(3);
	}
}

void worker_stop(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(code_of(pid), -SIGKILL);
}

pid_t producer_start(uint32_t first, uint32_t last, size_t size)
{
	pid_t pid = child();
	uint8_t *buf;
	struct sq *pq;

	if (pid != 0)
		return pid;
	pq = open_when_there(hub_queue("pq"));
	buf = malloc(size);
	for (uint32_t i = first; buf && i <= last; i++) {
		write_task(buf, i, size);
		if (sq_put(pq, buf, size, SQ_FOREVER) < 0)
			_exit(1);
	}
	_exit(0);
}

void collect(uint32_t n, size_t size)
{
	uint8_t *seen = calloc(n, 1), *buf = malloc(size);
	struct sq *cq;

	assert_non_null(seen);
	assert_non_null(buf);
	assert_int_equal(sq_open(&cq, hub_queue("cq")), 0);
	for (uint32_t i = 0; i < n; i++) {
		ssize_t len = sq_get(cq, buf, size, (int64_t)WAIT_S * 1000000000);
		uint32_t number;

		if (len != (ssize_t)size)
			fail_msg("after %u results: %s", i, sq_strerror((int)len));
		assert_true(task_is_whole(buf, size));
		memcpy(&number, buf, sizeof(number));
		assert_in_range(number, 0, n - 1);
		if (seen[number]++)
			fail_msg("%u came twice", number);
	}
	nap_ms(50); /* one too many would come now */
	assert_int_equal(sq_get(cq, buf, size, SQ_NOWAIT), -EAGAIN);
	sq_close(cq);
	free(seen);
	free(buf);
}

int dial(const char *port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(port)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval limit = {.tv_sec = WAIT_S};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

char *ask_at(int fd, const char *text)
{
	size_t len = 0, cap = 1 << 20;
	char *all = calloc(1, cap);
	ssize_t n;

	assert_non_null(all);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	while (len < cap - 1 && (n = recv(fd, all + len, cap - 1 - len, 0)) > 0)
		len += (size_t)n;
	(void)close(fd);
	return all;
}

char *ask(const char *port, const char *text)
{
	return ask_at(dial(port), text);
}

char *shell(const char *command)
{
	size_t len = 0, cap = 1 << 16, n;
	char *all = calloc(1, cap);
	FILE *f = popen(command, "re");

	assert_non_null(all);
	assert_non_null(f);
	while ((n = fread(all + len, 1, cap - 1 - len, f)) > 0)
		len += n;
	(void)pclose(f);
	return all;
}
