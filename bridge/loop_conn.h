/* SPDX-License-Identifier: ISC */
#ifndef BRIDGE_LOOP_CONN_H
#define BRIDGE_LOOP_CONN_H

#include "loop_in.h"

/*
 * A connection, as loop_conn.c, loop_receive.c and loop_listen.c see it. No other file includes
 * this.
 */

/* Bytes that came and were not taken yet. */
struct held {
	struct buffers *from;
	uint32_t off, len;
	uint16_t id;
};

/* Until it is there; then freed. */
struct connect {
	struct sockaddr_storage addr;
	socklen_t len;
	struct loop_timer timer;
	bool sent, timed_out, cancelled;
};

struct loop_conn {
	struct thing thing;              /* first */
	const struct loop_conn_ops *ops; /* NULL: accepted, not yet started */
	void *ctx;
	int fd;
	bool shut, cancelled, finished;
	struct connect *connect;

	/* Receiving. held: a ring of held_max places, held_n of them used from held_first. */
	bool receiving, armed, armed_window, armed_multishot;
	bool paused, resumed, starving, ended, ended_told;
	int ended_error;
	struct buffers window; /* head NULL: young */
	struct held *held, held_young;
	unsigned held_max, held_first, held_n;
	TAILQ_ENTRY(loop_conn) starve;

	/* Sending. */
	bool sending, send_armed;
	const uint8_t *send_data;
	size_t send_left;
};

/* loop_conn.c: NULL: the error to *ret_error; the descriptor remains the caller's. */
struct loop_conn *loop_conn_new(struct loop *l, int fd, int *ret_error);

/* loop_receive.c */
bool loop_receive_flush(struct loop *l, struct loop_conn *c);
void loop_receive_complete(struct loop *l, struct loop_conn *c, int res, unsigned flags);
void loop_receive_resume(struct loop_conn *c);
void loop_receive_drop(struct loop_conn *c);

#endif
