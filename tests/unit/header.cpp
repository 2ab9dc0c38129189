// SPDX-License-Identifier: ISC
//
// sq.h in C++, with the library as it is installed: its names are not mangled, and its types are complete.
#include "sq.h"

#include <cstring>

int main()
{
	struct sq_config config = {};
	struct sq_stat stat = {};
	uint64_t size = 0;

	if (stat.class_[SQ_CLASSES_MAX - 1].free != 0 ||
		std::strcmp(sq_version(), SQ_VERSION) != 0)
		return 1;
	return sq_size(&config, &size) == 0 && size > 0 ? 0 : 1;
}
