/* SPDX-License-Identifier: ISC */
#include "share.h"

#include <string.h>

#include "explore.h"
#include "world.h"

#define WORDS (SEGMENT_MAX / 4)

static struct {
	unsigned char readers, writers; /* a bit for each actor */
	bool loud, loud_now;
} word[SEGMENTS][WORDS];
static enum share_mode mode;
static bool changed;

void share_reset(void)
{
	memset(word, 0, sizeof(word));
	mode = SHARE_OFF;
	changed = false;
}

void share_set_mode(enum share_mode m)
{
	mode = m;
}

/* Named after what they do: see atomic.h. */
static bool is_write(const char *how)
{
	return strcmp(how, "sqi_load_seq") != 0 && strcmp(how, "sqi_load_seq32") != 0 &&
	       strcmp(how, "sqi_load_relaxed") != 0 && strcmp(how, "sqi_load_acquire") != 0;
}

/* Where in which segment. False: nowhere. */
static bool find(const void *address, unsigned *ret_segment, unsigned *ret_word)
{
	for (unsigned i = 0; i < SEGMENTS; i++) {
		const unsigned char *from = world.segment[i].memory, *at = address;

		if (from && at >= from && at < from + SEGMENT_MAX) {
			*ret_segment = i;
			*ret_word = (unsigned)(at - from) / 4;
			return true;
		}
	}
	return false;
}

void share_note(unsigned who, const void *address, const char *how)
{
	unsigned s, w, users;
	unsigned char bit = (unsigned char)(1u << who);

	if (!find(address, &s, &w) || (who == AUDITOR && mode == SHARE_OFF))
		return;
	if (is_write(how) && !(who == AUDITOR && mode == SHARE_READS))
		word[s][w].writers |= bit;
	else
		word[s][w].readers |= bit;
	users = word[s][w].readers | word[s][w].writers;
	if (word[s][w].writers && (users & (users - 1)) && !word[s][w].loud_now) {
		word[s][w].loud_now = true;
		changed = true;
	}
}

bool share_quiet(const void *address)
{
	unsigned s, w;

	/* The bit operations of returned.c do not say where: that bitmap is never quiet. */
	return find(address, &s, &w) && !word[s][w].loud &&
	       !(w * 4 >= world.segment[s].g.bitmap && w * 4 < world.segment[s].g.redeliveries);
}

bool share_changed(void)
{
	return changed;
}

void share_freeze(void)
{
	for (unsigned s = 0; s < SEGMENTS; s++)
		for (unsigned w = 0; w < WORDS; w++)
			word[s][w].loud = word[s][w].loud_now;
	changed = false;
}
