/* SPDX-License-Identifier: ISC */
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "calls.h"
#include "guard.h"
#include "segment/layout.h"
#include "moment.h"
#include "segment/name.h"
#include "reaper.h"
#include "scene.h"
#include "watch.h"

/*
 * Any file in a queue's place: is it refused, and if not, does it do no harm to who uses it?
 *
 *	input: flags, n, n bytes that decide on calls, and then the file's first bytes
 *
 * Behind the first bytes the file is that of a real queue, or zeros. An input may have its
 * fingerprint and total put right, or nothing of what lies behind the first checks would be seen.
 */

#define MEND      1 /* fingerprint and total are made to fit */
#define CLAIMED   2 /* the file is as long as it says */
#define BLANK     4 /* zeros behind the first bytes */
#define FILE_MAX  ((size_t)1 << 20)
#define CALLS_MAX 24
#define START_NS  ((int64_t)1000000000000)

static char path[SQI_PATH_MAX], prefix[32];
static unsigned char *whole; /* the file of a real queue, FILE_MAX bytes of room */
static size_t whole_len;

static void forget_file(void)
{
	(void)unlink(path);
}

static void begin(void)
{
	static const struct sq_config config = {.capacity = 8,
		.participants = 4,
		.max_message = 1000,
		.lease_time = 1000000,
		.block_memory = 1};
	struct sq *h;
	int fd;

	(void)snprintf(prefix, sizeof(prefix), "fuzzo%ld", (long)getpid());
	(void)setenv("SQ_PREFIX", prefix, 1);
	reaper_start(prefix);
	guard_install();
	whole = calloc(1, FILE_MAX);
	if (!whole || sqi_name_path(path, "q") < 0 || sq_create("q", &config) < 0 ||
		sq_open(&h, "q") < 0)
		abort();
	/* With something in it: a leased message, one that waits, and a large one. */
	for (int i = 0; i < 3; i++)
		if (sq_put(h, prefix, sizeof(prefix), SQ_NOWAIT) < 0 ||
			sq_put(h, whole, 900, SQ_NOWAIT) < 0)
			abort();
	for (int i = 0; i < 2; i++) {
		struct sq_lease lease;

		if (sq_lease(h, &lease, SQ_NOWAIT) < 0 || (i == 0 && sq_nack(h, &lease) < 0))
			abort();
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		abort();
	whole_len = (size_t)read(fd, whole, FILE_MAX);
	(void)close(fd);
	sq_close(h);
	forget_file();
}

/* Of a head with inputs that could be: what should be in it, too. */
static void mend(unsigned char *file, size_t *len, bool claimed)
{
	struct sqi_head head;
	struct sqi_geometry g;

	memcpy(&head, file, sizeof(head));
	if (sqi_geometry_init(&g, &head.in) < 0)
		return;
	head.fingerprint = sqi_fingerprint(&g);
	head.total = g.total;
	memcpy(file, &head, sizeof(head));
	if (claimed && g.total <= FILE_MAX)
		*len = g.total;
}

static void write_file(const unsigned char *file, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, file, len) != (ssize_t)len)
		abort();
	(void)close(fd);
}

/* Two who use it, as long as there are bytes to decide on what. */
static void use(struct chance *c)
{
	struct player p[2];

	for (int i = 0; i < 2; i++) {
		p[i] = (struct player){.name = "q", .alone = true, .span_max_ns = 30000000};
		(void)player_open(&p[i]);
	}
	for (int n = 0; p[0].h && n < CALLS_MAX && !chance_dry(c); n++)
		(void)player_call(
			&p[chance_below(c, 2)], (enum call)chance_below(c, CALL_SWEEP), c);
	for (int i = 0; i < 2; i++)
		if (p[i].h)
			player_close(&p[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static unsigned char *file;
	unsigned flags;
	struct chance c;
	size_t calls, len;

	if (!whole)
		begin();
	if (!file)
		file = calloc(1, FILE_MAX);
	if (!file || size < 2 || size > FUZZ_INPUT_MAX)
		return 0;
	flags = data[0];
	calls = data[1] < size - 2 ? data[1] : size - 2;
	c = chance_of_bytes(data + 2, calls);
	data += 2 + calls;
	size -= 2 + calls;
	memcpy(file, whole, whole_len);
	len = flags & BLANK ? size : whole_len;
	if (flags & BLANK)
		memset(file + size, 0, FILE_MAX - size);
	else
		memset(file + whole_len, 0, FILE_MAX - whole_len);
	memcpy(file, data, size);
	if (flags & MEND)
		mend(file, &len, flags & CLAIMED);
	moment_virtual(START_NS);
	write_file(file, len);
	use(&c);
	moment_real();
	forget_file();
	if (guard_mappings() != 0)
		watch_broken("%u mappings are left", guard_mappings());
	return 0;
}

/* A real description, or another's of some configuration, and some calls. */
size_t fuzz_seed(unsigned char *ret, struct chance *c)
{
	struct sqi_head head;
	size_t calls = chance_below(c, 80);

	if (!whole)
		begin();
	memcpy(&head, whole, sizeof(head));
	if (chance_in(c, 2)) {
		struct sq_config config = scene_config(c);

		config.max_attempts = 0;
		config.dead_letter = NULL;
		if (sqi_inputs_init(&head.in, &config) < 0)
			abort();
	}
	ret[0] = (unsigned char)(chance_in(c, 4) ? chance_below(c, 8) : MEND | CLAIMED);
	ret[1] = (unsigned char)calls;
	for (size_t i = 0; i < calls; i++)
		ret[2 + i] = (unsigned char)chance_bytes(c, 1);
	memcpy(ret + 2 + calls, &head, sizeof(head));
	return 2 + calls + sizeof(head);
}
