/* SPDX-License-Identifier: ISC */
#include "pin.h"

#include <errno.h>
#include <sched.h>

int pin_choose(int ret_cpus[2])
{
	int found = 0, cpus[2] = {0};
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return -errno;
	for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
		if (CPU_ISSET((size_t)cpu, &set))
			cpus[found++] = cpu;
	if (found == 0)
		return -ENODEV;
	ret_cpus[0] = cpus[0];
	ret_cpus[1] = found == 2 ? cpus[1] : cpus[0];
	return 0;
}

int pin_allowed(int cpu)
{
	cpu_set_t set;

	return cpu >= 0 && cpu < CPU_SETSIZE && sched_getaffinity(0, sizeof(set), &set) == 0 &&
	       CPU_ISSET((size_t)cpu, &set);
}

int pin_to(int cpu)
{
	cpu_set_t set;

	if (cpu == PIN_FREE)
		return 0;
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0;
}
