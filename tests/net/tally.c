/* SPDX-License-Identifier: ISC */
#include "tally.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

static_assert(offsetof(struct tally, seen) == TALLY_HEAD, "farm.py knows it");

/* What its head says may be off by the one that was in hand: the bytes are right. */
static void sum(struct tally *tally, uint64_t numbers)
{
	uint64_t distinct = 0, extra = 0;

	for (uint64_t i = 0; i < numbers; i++) {
		uint8_t n = tally->seen[i];

		distinct += n > 0;
		extra += n > 1 ? n - 1u : 0;
	}
	tally->extra = extra;
	tally->distinct = distinct;
}

int tally_open(struct tally **ret, const char *path, uint64_t numbers)
{
	size_t bytes = TALLY_HEAD + numbers;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), e = 0;
	struct tally *tally;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) < 0)
		e = -errno;
	tally = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (tally == MAP_FAILED && e == 0)
		e = -errno;
	(void)close(fd);
	if (e < 0)
		return e;
	tally->numbers = numbers;
	sum(tally, numbers);
	*ret = tally;
	return 0;
}

bool tally_in_hand(const struct tally *tally, uint64_t *ret_id)
{
	*ret_id = tally->hand_id - 1;
	return tally->hand_id != 0;
}

/* The hand is filled before the count and emptied after the ack; its id last. */
void tally_count(struct tally *tally, uint64_t id, bool good, uint64_t number)
{
	uint8_t before;

	if (!good || number >= tally->numbers) {
		tally->wrong++;
		return;
	}
	before = tally->seen[number];
	if (tally->hand_id == id + 1) {
		if (before != tally->hand_before)
			return; /* the collector before counted it, and died before it acknowledged it */
	} else {
		tally->hand_before = before;
		tally->hand_id = id + 1;
	}
	if (before == UINT8_MAX)
		return;
	tally->seen[number] = (uint8_t)(before + 1);
	if (before == 0)
		tally->distinct++;
	else
		tally->extra++;
}

void tally_acked(struct tally *tally)
{
	tally->hand_id = 0;
}
