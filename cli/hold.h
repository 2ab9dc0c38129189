/* SPDX-License-Identifier: ISC */
#ifndef CLI_HOLD_H
#define CLI_HOLD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "args.h"
#include "names.h"
#include "sq.h"

/*
 * A queue that is used for long: waited for until it is made, and checked regularly, for its name
 * may be removed, or given to another queue, while we have it open. Then others would not find what
 * we put there, nor we what they put.
 */

#define HOLD_LOOK_NS INT64_C(100000000) /* between two looks at the name */

struct hold {
	const char *queue; /* as it was typed */
	char name[NAMES_MAX];
	struct sq *q;
	dev_t device;
	ino_t inode;
	int64_t next_look_ns;
};

/*
 * Open the queue, which may take wait_ns to be there (0: not at all; SQ_FOREVER). nap() sleeps some
 * HOLD_LOOK_NS and tells whether to give it up. quiet: do not say that it waits. EXIT_DONE, or the exit code after having said why
 * not; -EINTR: given up.
 */
int hold_open(struct hold *ret, const char *queue, int64_t wait_ns, bool quiet, bool (*nap)(void *),
	void *data);

/* Is the queue of that name another one now, or none? */
bool hold_gone(struct hold *hold);

/* Say that it was, and that there is another or none. */
void hold_report_gone(const char *queue, int64_t wait_ns);

/* NULL handles are allowed: it was never opened. */
void hold_close(struct hold *hold);

/* For nap(), of those who end by stop.h. */
bool hold_nap(void *unused);

/* The text for --help, and the option, an int64_t: without a value it is for ever. As args.h's. */
#define HOLD_HELP                                                                                  \
	"  --wait[=SPAN]   wait for a queue that is not there, or not any more (for ever)\n"
const char *hold_set_wait(const struct args_option *o, const char *text);

#endif
