/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "loop_in.h"

/*
 * Memory that the driver picks from when bytes have come, and not before. A buffer is either free
 * (the driver's) or with a connection (ours).
 */

enum {
	GROUPS_MAX = 65536, /* the kernel's: 16 bits */
	GROUP_WORDS = GROUPS_MAX / 64,
};

static int group_take(struct loop *l)
{
	if (!l->groups)
		l->groups = calloc(GROUP_WORDS, sizeof(*l->groups));
	if (!l->groups)
		return -ENOMEM;
	for (int i = 0; i < GROUP_WORDS; i++)
		if (~l->groups[i]) {
			int bit = __builtin_ctzll(~l->groups[i]);

			l->groups[i] |= (uint64_t)1 << bit;
			return i * 64 + bit;
		}
	return -ENOSPC;
}

static void group_give(struct loop *l, uint16_t group)
{
	l->groups[group / 64] &= ~((uint64_t)1 << group % 64);
}

uint8_t *loop_buffers_at(const struct buffers *b, uint16_t id)
{
	return b->memory + (size_t)id * b->size;
}

void loop_buffers_give(struct loop *l, struct buffers *b, uint16_t id)
{
	l->driver->buffers_give(b, id);
	b->free++;
}

int loop_buffers_init(struct loop *l, struct buffers *b, unsigned n, unsigned size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t head = ((size_t)n * l->driver->head_bytes + page - 1) & ~(page - 1);
	struct buffers new = {.size = size, .n = (uint16_t)n};
	void *map;
	int group, r;

	if (n == 0 || n > LOOP_WINDOW_BUFFERS_MAX || (n & (n - 1)) || size == 0 ||
		size > LOOP_WINDOW_BYTES_MAX)
		return -EINVAL;
	group = group_take(l);
	if (group < 0)
		return group;
	new.group = (uint16_t)group;
	new.mapped = head + (size_t)n *size;
	map = mmap(NULL, new.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED) {
		r = -ENOMEM;
		goto fail_group;
	}
	new.head = map;
	new.memory = (uint8_t *)map + head;
	r = l->driver->buffers_open(l, &new);
	if (r < 0)
		goto fail_map;
	for (unsigned i = 0; i < n; i++)
		loop_buffers_give(l, &new, (uint16_t)i);
	*b = new;
	return 0;
fail_map:
	(void)munmap(map, new.mapped);
fail_group:
	group_give(l, (uint16_t)group);
	return r;
}

void loop_buffers_deinit(struct loop *l, struct buffers *b)
{
	if (!b->head)
		return;
	l->driver->buffers_close(l, b); /* no request for it is in flight */
	(void)munmap(b->head, b->mapped);
	group_give(l, b->group);
	*b = (struct buffers){0};
}
