/* SPDX-License-Identifier: ISC */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aim.h"
#include "calls.h"
#include "guard.h"
#include "member/join.h"
#include "moment.h"
#include "segment/name.h"
#include "watch.h"

/*
 * A segment in plain memory of just its size, so that a sanitizer sees a step of one byte beside
 * it. Participants as sq_open() makes them, but for the mapping.
 *
 *	input: bytes that decide on a configuration and then, until they are used up, on calls, on
 *	changes of {offset, value}, and on changes aimed at words
 */

#define HANDLES  3
#define STEPS    160
#define START_NS ((int64_t)1000000000000)

static int fds[HANDLES]; /* of one file, which stands for the object: locks are taken on it */
static struct stat st;

static void begin(void)
{
	char path[SQI_PATH_MAX];

	(void)snprintf(path, sizeof(path), "/dev/shm/sq.fuzzs%ld.q", (long)getpid());
	for (int i = 0; i < HANDLES; i++) {
		fds[i] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fds[i] < 0)
			abort();
	}
	(void)unlink(path);
	if (fstat(fds[0], &st) < 0)
		abort();
	guard_install();
}

/* The ends of the memory are those of the segment. */
static unsigned char *segment(const struct sqi_geometry *g, uint64_t position)
{
	void *base;
	struct sqi_head *head;

	if (posix_memalign(&base, SQI_PAGE, g->total) != 0)
		abort();
	memset(base, 0, g->total);
	head = base;
	memcpy(head->magic, SQI_MAGIC, sizeof(head->magic));
	head->version = SQI_LAYOUT_VERSION;
	head->head_size = sizeof(*head);
	head->in = g->in;
	head->total = g->total;
	head->fingerprint = sqi_fingerprint(g);
	for (uint64_t i = 0; i < g->capacity; i++) {
		uint64_t p = position + i;
		struct sqi_cell *c = (struct sqi_cell *)((unsigned char *)base + g->cells +
							 (p & (g->capacity - 1)) * g->cell_size);

		sqi_store_relaxed(&c->word, sqi_word(SQI_FREE, 0, 0, p >> g->in.capacity_log2));
	}
	sqi_store_relaxed(&head->tail, position);
	sqi_store_relaxed(&head->front, position);
	return base;
}

static void enter(struct player *p, const struct victim *v, int fd)
{
	struct sq *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		abort();
	h->ring.g = v->g;
	h->ring.base = v->raw;
	h->file.fd = fd;
	h->file.dev = st.st_dev;
	h->file.ino = st.st_ino;
	r = sqi_handle_init(h, 0, 0);
	if (r < 0 && r != -EBADMSG && r != -EUSERS)
		watch_broken("joining: %d", r);
	if (r < 0) {
		free(h);
		h = NULL;
	}
	*p = (struct player){.name = "q", .h = h, .alone = true, .span_max_ns = 30000000};
}

/* Dead or alive. */
static void leave(struct player *p, bool dead)
{
	struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
	struct sq *h = p->h;

	p->h = NULL;
	if (!h)
		return;
	if (!dead)
		sqi_leave(&h->member);
	if (fcntl(h->file.fd, F_OFD_SETLK, &all) < 0)
		abort();
	sqi_copies_deinit(&h->copies);
	free(h->buffer);
	free(h);
}

static void change(const struct victim *v, struct chance *c)
{
	size_t len = (size_t)1 << chance_below(c, 4), at = chance_bytes(c, 3) % (v->g.total - 7);
	uint64_t value = chance_bytes(c, (unsigned)len);

	memcpy(v->raw + at, &value, len);
}

static void play(const struct victim *v, struct chance *c)
{
	struct player p[HANDLES];

	for (int i = 0; i < HANDLES; i++)
		enter(&p[i], v, fds[i]);
	for (int n = 0; n < STEPS && !chance_dry(c); n++) {
		int i = (int)chance_below(c, HANDLES);

		switch (chance_below(c, 8)) {
		case 0:
			change(v, c);
			break;
		case 1:
			(void)aim(v, c);
			break;
		case 2:
			if (chance_in(c, 4))
				leave(&p[i], chance_in(c, 2));
			moment_pass((int64_t)chance_below(c, 100) * 1000000);
			break;
		default:
			if (!p[i].h)
				enter(&p[i], v, fds[i]);
			if (p[i].h)
				(void)player_call(
					&p[i], (enum call)chance_below(c, CALLS_ON_A_HANDLE), c);
			break;
		}
	}
	for (int i = 0; i < HANDLES; i++)
		leave(&p[i], false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct chance c = chance_of_bytes(data, size);
	struct victim v = {.name = "q"};
	struct sq_config config;
	struct sqi_inputs in;

	if (st.st_ino == 0)
		begin();
	config = scene_config(&c);
	/* There is no second queue here. */
	config.max_attempts = 0;
	config.dead_letter = NULL;
	if (sqi_inputs_init(&in, &config) < 0 || sqi_geometry_init(&v.g, &in) < 0)
		abort();
	v.raw = segment(&v.g, chance_in(&c, 4) ? chance_u64(&c) : 0);
	moment_virtual(START_NS);
	play(&v, &c);
	moment_real();
	free(v.raw);
	return 0;
}

/* All bytes are decisions, so any will do. */
size_t fuzz_seed(unsigned char *ret, struct chance *c)
{
	size_t len = 16 + chance_below(c, 1024);

	for (size_t i = 0; i < len; i++)
		ret[i] = (unsigned char)chance_bytes(c, 1);
	return len;
}
