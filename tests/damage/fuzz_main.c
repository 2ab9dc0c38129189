/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "moment.h"
#include "options.h"

/*
 * A fuzz target without libFuzzer: the inputs to begin with, and changes of them, from seeds. And
 * the writer of a corpus for where there is one.
 *
 *	NAME [--seed N] [--cases N]
 *	NAME --corpus DIRECTORY
 */

#define CORPUS  64
#define ALARM_S 300 /* for one input */

static unsigned long long seed;

static void say_seed(int sig)
{
	(void)dprintf(STDERR_FILENO, "seed %llu: signal %d\n", seed, sig);
	(void)signal(sig, SIG_DFL);
	(void)raise(sig);
}

/* A sanitizer calls this by its name. */
void __asan_on_error(void);

void __asan_on_error(void)
{
	(void)dprintf(STDERR_FILENO, "seed %llu:\n", seed);
}

/* Bytes and stretches changed, taken out, or cut off. */
static size_t mutate(unsigned char *input, size_t len, struct chance *c)
{
	for (uint64_t n = chance_below(c, 8); n > 0 && len > 0; n--) {
		size_t at = chance_below(c, len), some = 1 + chance_below(c, 8);

		some = some < len - at ? some : len - at;
		switch (chance_below(c, 6)) {
		case 0:
			input[at] ^= (unsigned char)(1 << chance_below(c, 8));
			break;
		case 1:
			memset(input + at, chance_in(c, 2) ? 0xff : 0, some);
			break;
		case 2:
			memmove(input + at, input + at + some, len - at - some);
			len -= some;
			break;
		case 3:
			len = chance_in(c, 8) ? at : len;
			break;
		default:
			input[at] = (unsigned char)chance_bytes(c, 1);
			break;
		}
	}
	return len;
}

static int write_corpus(const char *directory)
{
	static unsigned char input[FUZZ_INPUT_MAX];

	for (unsigned i = 0; i < CORPUS; i++) {
		struct chance c = chance_of_seed(i);
		size_t len = fuzz_seed(input, &c);
		char path[4096];
		int fd;

		(void)snprintf(path, sizeof(path), "%s/%02u", directory, i);
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (fd < 0 || write(fd, input, len) != (ssize_t)len || close(fd) < 0) {
			perror(path);
			return 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	unsigned long long first = option_number(argc, argv, "--seed", 1);
	unsigned long long cases = option_number(argc, argv, "--cases", 2000);
	const char *corpus = option_text(argc, argv, "--corpus", NULL);
	const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	int64_t began = moment_truly();

	options_end(argc, argv);
	if (corpus)
		return write_corpus(corpus);
	(void)signal(SIGABRT, say_seed);
	(void)signal(SIGALRM, say_seed);
	for (seed = first; seed < first + cases; seed++) {
		struct chance c = chance_of_seed(seed);
		unsigned char room[FUZZ_INPUT_MAX], *input;
		size_t len = mutate(room, fuzz_seed(room, &c), &c);

		/* Of its own size, so that reading beyond it is seen too. */
		input = malloc(len + 1);
		if (!input)
			abort();
		memcpy(input, room, len);
		(void)alarm(ALARM_S);
		(void)LLVMFuzzerTestOneInput(input, len);
		free(input);
	}
	(void)alarm(0);
	(void)printf("%s: %llu inputs passed from seed %llu, %.1f s\n", name, cases, first,
		(double)(moment_truly() - began) / 1e9);
	return 0;
}
