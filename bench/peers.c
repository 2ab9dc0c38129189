/* SPDX-License-Identifier: ISC */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "out.h"
#include "peer.h"
#include "say.h"

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

static const struct {
	const char *begin, *packages;
} optional[] = {{"rte_ring", "libdpdk-dev"}, {"ck_ring", "libck-dev"},
	{"boost", "libboost-dev g++"}, {"zmq", "libzmq3-dev"}};

static const unsigned optional_n = sizeof(optional) / sizeof(optional[0]);

#define HOW_TO_BUILD "`meson setup --reconfigure build && ninja -C build`"

static bool is_built(const char *begin)
{
	for (unsigned i = 0; peers[i]; i++)
		if (strncmp(peers[i]->name, begin, strlen(begin)) == 0)
			return true;
	return false;
}

void peers_note_missing(void)
{
	char names[64] = "", packages[96] = "";
	static bool told;

	if (told)
		return;
	told = true;
	for (unsigned i = 0; i < optional_n; i++) {
		if (is_built(optional[i].begin))
			continue;
		(void)snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			*names ? ", " : "", optional[i].begin);
		(void)snprintf(packages + strlen(packages), sizeof(packages) - strlen(packages),
			" %s", optional[i].packages);
	}
	if (*names)
		out_note("Not built in, so not compared: %s. Debian has them in%s; then\n"
			 "  " HOW_TO_BUILD ".",
			names, packages);
}

/* One word of --peer, of that length: does it begin one of the names? */
static int check_word(const char *command, const char *word, size_t len, const char *const *names)
{
	char all[300] = "";

	for (unsigned i = 0; names[i]; i++)
		if (len > 0 && strncmp(names[i], word, len) == 0)
			return EXIT_DONE;
	for (unsigned i = 0; i < optional_n; i++) {
		size_t least = strlen(optional[i].begin);

		if (len > 0 && strncmp(optional[i].begin, word, len < least ? len : least) == 0 &&
			!is_built(optional[i].begin))
			return say(EXIT_UNAVAILABLE,
				"--peer %.*s: not built in; Debian has it in %s; then " HOW_TO_BUILD,
				(int)len, word, optional[i].packages);
	}
	for (unsigned i = 0; names[i]; i++)
		(void)snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? "; " : "",
			names[i]);
	return say_usage(command, "--peer '%.*s' begins none of: %s", (int)len, word, all);
}

int peers_check_named(const struct options *o, const char *command, const char *const *names)
{
	const char *at = o->peer;
	int code = EXIT_DONE;

	while (at && code == EXIT_DONE) {
		size_t len = strcspn(at, ",");

		code = check_word(command, at, len, names);
		at = at[len] ? at + len + 1 : NULL;
	}
	return code;
}
