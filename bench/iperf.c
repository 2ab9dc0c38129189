/* SPDX-License-Identifier: ISC */
#include "iperf.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crew.h"
#include "pin.h"
#include "say.h"
#include "stop.h"
#include "tcp.h"

#define ANSWER_MAX (64 << 10)

bool iperf_there(void)
{
	return system("command -v iperf3 >/dev/null") == 0;
}

/* Its standard output; its other talk goes nowhere. */
static FILE *start(pid_t *ret_pid, int cpu, const char *const *words)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return NULL;
	*ret_pid = crew_fork();
	if (*ret_pid == 0) {
		int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

		if (pin_to(cpu) == 0 && dup2(ends[1], STDOUT_FILENO) >= 0 &&
			dup2(nowhere, STDERR_FILENO) >= 0)
			(void)execvp("iperf3", (char *const *)(void *)words);
		_exit(127);
	}
	(void)close(ends[1]);
	return fdopen(ends[0], "r");
}

static double bits_of(const char *answer)
{
	const char *at = strstr(answer, "\"sum_received\"");

	at = at ? strstr(at, "\"bits_per_second\":") : NULL;
	return at ? strtod(at + strlen("\"bits_per_second\":"), NULL) : 0;
}

int iperf_run(const int cpus[2], size_t size, double *ret)
{
	char port[16], length[24], line[200], *answer = calloc(1, ANSWER_MAX);
	const char *const serve[] = {"iperf3", "-s", "-1", "-p", port, "--forceflush", NULL};
	const char *const ask[] = {
		"iperf3", "-c", "127.0.0.1", "-p", port, "-t", "1", "-l", length, "-J", NULL};
	int number, fd = tcp_listen(&number);
	pid_t server = 0, client = 0;
	FILE *from, *said;

	if (fd < 0 || !answer)
		return say(EXIT_UNAVAILABLE, "iperf3: no port or no memory");
	(void)close(fd); /* free a moment ago */
	(void)snprintf(port, sizeof(port), "%d", number);
	(void)snprintf(length, sizeof(length), "%zu", size);
	said = start(&server, cpus[1], serve);
	while (said && fgets(line, sizeof(line), said) && !strstr(line, "listening"))
		;
	from = start(&client, cpus[0], ask);
	if (from) {
		(void)fread(answer, 1, ANSWER_MAX - 1, from);
		(void)fclose(from);
	}
	if (server > 0) {
		(void)kill(server, SIGKILL);
		(void)waitpid(server, NULL, 0);
	}
	if (client > 0)
		(void)waitpid(client, NULL, 0);
	if (said)
		(void)fclose(said);
	*ret = bits_of(answer) / 8;
	free(answer);
	if (stop_came())
		return stop_report();
	return *ret > 0 ? EXIT_DONE : say(EXIT_UNAVAILABLE, "iperf3 gave no figure");
}
