/* SPDX-License-Identifier: ISC */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "out.h"
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

static bool is_built(const char *begin)
{
	for (unsigned i = 0; peers[i]; i++)
		if (strncmp(peers[i]->name, begin, strlen(begin)) == 0)
			return true;
	return false;
}

void peers_note_missing(void)
{
	static const struct {
		const char *begin, *packages;
	} optional[] = {{"rte_ring", "libdpdk-dev"}, {"ck_ring", "libck-dev"},
		{"boost", "libboost-dev g++"}, {"zmq", "libzmq3-dev"}};
	char names[64] = "", packages[96] = "";
	static bool told;

	if (told)
		return;
	told = true;
	for (size_t i = 0; i < sizeof(optional) / sizeof(optional[0]); i++) {
		if (is_built(optional[i].begin))
			continue;
		(void)snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			*names ? ", " : "", optional[i].begin);
		(void)snprintf(packages + strlen(packages), sizeof(packages) - strlen(packages),
			" %s", optional[i].packages);
	}
	if (*names)
		out_note("Not built in, so not compared: %s. Debian has them in%s; then\n"
			 "  `meson setup --reconfigure build && ninja -C build`.",
			names, packages);
}
