/* SPDX-License-Identifier: ISC */
#ifndef STATUS_PAGE_H
#define STATUS_PAGE_H

/*
 * What a daemon shows of itself to whoever looks: a file in shared memory beside its instance and
 * its ledgers, sqb.PREFIX.NAME.status. The daemon writes it (status.c), sqctl reads it. This is the
 * one part of the bridge that others include, and it includes nothing but the C library: so it is
 * built where the rest of the bridge is not.
 *
 * Invariant: a page is never changed. A newer one is made whole under another name and then takes
 * the name from it. So there is no moment, whatever is killed, at which a reader finds half of
 * one, and readers need no lock, no order of accesses and no second try. And nothing is mapped: a full
 * /dev/shm is an error of write(), a file cut short is an error of read(), and neither is a SIGBUS.
 *
 * The daemon has a lock on the page that bears the name. It is there before the name is, so nobody
 * else can be first; the kernel drops it when the process is gone. Whoever may read the page can
 * ask for it, and so knows whether the daemon runs: no pid is needed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define STATUS_VERSION 1

/* Limits. Bytes of text are counted without the terminating zero. */
#define STATUS_PREFIX_MAX  64
#define STATUS_NAME_MAX    32
#define STATUS_PEER_MAX    64
#define STATUS_QUEUE_MAX   64
#define STATUS_LOCAL_MAX   129   /* PREFIX.QUEUE */
#define STATUS_ADDRESS_MAX 263   /* HOST:PORT */
#define STATUS_RECORDS_MAX 16384 /* links and streams of a page; what is beyond is counted */

enum status_role { STATUS_HUB = 1, STATUS_LEAF };
enum status_state {
	STATUS_RUNNING = 1,
	STATUS_DRAINING,
	STATUS_STOPPED, /* the last page of one that ended and left something under way */
};
enum status_direction { STATUS_PULL = 1, STATUS_PUSH };

/* The bytes of a page: a head, then its links, then its streams. Spans of time were so at `written`. */
struct status_head {
	char magic[8];
	uint32_t version;
	uint32_t left_out;   /* links and streams for which there was no room */
	uint64_t sum;        /* of all that follows */
	uint64_t started_s;  /* since 1970 */
	uint64_t written_ns; /* since 1970 */
	uint32_t links, streams;
	uint32_t role, state;
	char address[STATUS_ADDRESS_MAX + 1]; /* a leaf: its hub's; a hub: "" */
};
struct status_link {
	char peer[STATUS_PEER_MAX + 8]; /* the leaf's identity, on either side */
	uint32_t up;
	uint32_t unused;
	uint64_t since_ns; /* for how long it has been up, or down */
	uint64_t connects; /* times that it came up */
	uint64_t round_trip_ns;
	uint64_t received_bytes, sent_bytes;
};
struct status_stream {
	uint32_t link; /* which */
	uint32_t direction;
	uint32_t missing; /* there is no local queue */
	uint32_t sends;   /* this end sends, the other receives */
	char queue[STATUS_QUEUE_MAX + 8];
	char local[STATUS_LOCAL_MAX + 7]; /* PREFIX.QUEUE here; "": not carried any more */
	uint64_t in_flight, owed;
	uint64_t credit, credit_bytes; /* what may be sent, or come, before more is granted */
	uint64_t sent, received, settled, redelivered, returned;
	uint64_t oldest_ns; /* for how long the oldest in flight, or owed, has been the oldest */
};

struct status_page {
	struct status_head head;
	struct status_link *link;
	struct status_stream *stream;
	bool runs; /* by status_page_read(): the daemon is alive */
};

/* Whose page it is. */
struct status_name {
	char prefix[STATUS_PREFIX_MAX + 1];
	char name[STATUS_NAME_MAX + 1];
};

/* status_page_name(): is this the name of a page's file, and whose? */
bool status_page_name(struct status_name *ret, const char *file);

/* status_page_list(): whose pages there are, sorted; to be freed. -EACCES, -ENOMEM, ... of scandir(). */
int status_page_list(struct status_name **ret, size_t *ret_n);

/*
 * status_page_read(): a copy, checked: texts end and are of the letters that such names have, indices
 * are within their arrays. To be given to status_page_free().
 *
 *	-ENOENT   there is none
 *	-EACCES   it may not be read by this user
 *	-EPROTO   it is not a page, or of another version
 *	-EBADMSG  it is damaged
 *	-ENOMEM, -EMFILE, -ENFILE
 */
int status_page_read(struct status_page *ret, const struct status_name *of);
void status_page_free(struct status_page *page);

/*
 * status_page_check(): the same for bytes in memory, which the page then points into. They are aligned
 * to 8 bytes. -EPROTO, -EBADMSG.
 */
int status_page_check(struct status_page *ret, void *bytes, size_t len);

/* The daemon's side: one for each name at a time, which the lock on its instance sees to. */
#define STATUS_PATH_MAX 160
struct status_writer {
	char path[STATUS_PATH_MAX], temporary[STATUS_PATH_MAX];
	int fd; /* the page that bears the name; -1: none yet */
};
void status_writer_init(struct status_writer *w, const struct status_name *of);

/*
 * status_page_write(): this is the page from now on. Magic, version and sum of its head are filled
 * in. `mode`: who may read it; the owner may in any case. On an error the last one stays.
 */
int status_page_write(struct status_writer *w, struct status_page *page, mode_t mode);

/* status_writer_deinit(): the page stays, as that of one that does not run; or is removed. */
void status_writer_deinit(struct status_writer *w, bool remove);

#endif
