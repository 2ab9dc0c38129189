/* SPDX-License-Identifier: ISC */
#include <stddef.h>

#include "peer.h"

/* The queues that are built here. Which, the build has found out. */

const struct peer *const peers[] = {
	&peer_sq,
#ifdef HAVE_DPDK
	&peer_rte_mp,
	&peer_rte_sp,
#endif
#ifdef HAVE_CK
	&peer_ck_mpmc,
	&peer_ck_spsc,
#endif
#ifdef HAVE_BOOST
	&peer_boost,
#endif
	&peer_memcpy,
	&peer_mq,
	&peer_pipe,
	&peer_seqpacket,
#ifdef HAVE_ZMQ
	&peer_zmq_ipc,
	&peer_zmq_tcp,
#endif
	NULL,
};
