/* SPDX-License-Identifier: ISC */
#include "command.h"
#include "say.h"

/* sqbench bars: all that is required of the queues and the bridge, one after the other. */

int cmd_bars(const struct options *o)
{
	static int (*const all[])(const struct options *) = {
		cmd_peers, cmd_latency, cmd_job, cmd_bridge};
	struct options with_bars = *o;
	int code = EXIT_DONE;

	with_bars.bars = true;
	with_bars.parts |= PART_DELAY;
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]) && code == EXIT_DONE; i++)
		code = all[i](&with_bars);
	return code;
}
