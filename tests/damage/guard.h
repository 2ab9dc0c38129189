/* SPDX-License-Identifier: ISC */
#ifndef GUARD_H
#define GUARD_H

/*
 * Memory with nothing beside it. The engine's mmap() and munmap() are wrapped by the linker
 * (--wrap): each mapping of a segment lies in the middle of a wide stretch that nobody may touch.
 * So a step outside the mapping is a fault, in any build, also if it is a wide one.
 */

#include <stddef.h>

/* guard_install(): a fault says where it was, before the process dies of it. */
void guard_install(void);

/* guard_mappings(): how many segments the engine has mapped now. */
unsigned guard_mappings(void);

/* guard_buffer(): len bytes (at most GUARD_BUFFER_MAX) that end where memory ends. */
#define GUARD_BUFFER_MAX ((size_t)1 << 18)
void *guard_buffer(size_t len);

/* guard_map_file(): the test's own view of a file, without guards. NULL if that fails. */
void *guard_map_file(const char *path, size_t len);
void guard_unmap_file(void *base, size_t len);

#endif
