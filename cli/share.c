/* SPDX-License-Identifier: ISC */
#include "share.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "now.h"
#include "output.h"

#define SPAN_NS      INT64_C(500000)   /* what a reader takes in twice this time may lie unread */
#define MEASURE_NS   INT64_C(10000000) /* what it takes is counted over this time, or longer */
#define PAUSE_NS     INT64_C(20000)    /* between two looks, at first; each is twice as long */
#define PAUSE_MAX_NS INT64_C(5000000)

void share_init(struct share *ret)
{
	struct stat st;

	*ret = (struct share){
		.on = fstat(STDOUT_FILENO, &st) == 0 && S_ISFIFO(st.st_mode),
		.at_once = 1,
		.from_ns = now_ns(),
	};
}

void share_wrote(struct share *share, int items, size_t bytes)
{
	share->items += items;
	share->bytes += (int64_t)bytes;
}

/* Of so much in that time, what comes on SPAN_NS. */
static int in_span(int64_t n, int64_t time_ns)
{
	n = n / (time_ns / SPAN_NS);
	return n < INT32_MAX ? (int)n : INT32_MAX;
}

static void measure(struct share *share)
{
	int64_t now = now_ns(), time_ns = now - share->from_ns;

	if (time_ns < MEASURE_NS)
		return;
	share->at_once = in_span(share->items, time_ns);
	if (share->at_once < 1)
		share->at_once = 1;
	share->unread_max = in_span(share->bytes, time_ns);
	share->items = share->bytes = 0;
	share->from_ns = now;
}

/* There is no event for an empty pipe: poll() reports room. */
int share_wait(struct share *share)
{
	int64_t pause_ns = PAUSE_NS;
	int unread, r = 0;

	if (!share->on)
		return 0;
	while (r == 0 && ioctl(STDOUT_FILENO, FIONREAD, &unread) == 0 &&
		unread > share->unread_max) {
		r = output_pause(pause_ns);
		if (pause_ns < PAUSE_MAX_NS)
			pause_ns *= 2;
	}
	measure(share);
	return r;
}
