/* SPDX-License-Identifier: ISC */
#include "guard.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROOM_WIDE   ((size_t)1 << 36) /* 64 GiB: as far as a number of 32 bits leads among blocks */
#define ROOM_NARROW ((size_t)1 << 20) /* where address space is rationed */
#define MAPS_MAX    256
#define PAGE        ((size_t)4096)

/* The names the linker gives to what is wrapped, and to what it stands for. */
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t at);
int __real_munmap(void *addr, size_t len);
void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t at);
void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t at);
int __wrap_munmap(void *addr, size_t len);

static struct guarded {
	unsigned char *base; /* NULL: an unused entry */
	size_t len, room;
} maps[MAPS_MAX];

static size_t pages(size_t len)
{
	return (len + PAGE - 1) / PAGE * PAGE;
}

static unsigned char *reserve(size_t len, size_t room)
{
	void *p = __real_mmap(NULL, pages(len) + 2 * room, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t at)
{
	size_t room = ROOM_WIDE;
	unsigned char *all;
	int i = 0;

	if (addr || fd < 0 || !(flags & MAP_SHARED))
		return __real_mmap(addr, len, prot, flags, fd, at);
	while (i < MAPS_MAX && maps[i].base)
		i++;
	all = reserve(len, room);
	if (!all) {
		room = ROOM_NARROW;
		all = reserve(len, room);
	}
	if (i == MAPS_MAX || !all)
		abort();
	if (__real_mmap(all + room, len, prot, flags | MAP_FIXED, fd, at) == MAP_FAILED) {
		(void)__real_munmap(all, pages(len) + 2 * room);
		return MAP_FAILED;
	}
	maps[i] = (struct guarded){.base = all + room, .len = len, .room = room};
	return all + room;
}

void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t at)
{
	return __wrap_mmap(addr, len, prot, flags, fd, at);
}

int __wrap_munmap(void *addr, size_t len)
{
	for (int i = 0; i < MAPS_MAX; i++) {
		struct guarded *m = &maps[i];

		if (addr && m->base == addr) {
			unsigned char *all = m->base - m->room;

			m->base = NULL;
			return __real_munmap(all, pages(m->len) + 2 * m->room);
		}
	}
	return __real_munmap(addr, len);
}

unsigned guard_mappings(void)
{
	unsigned n = 0;

	for (int i = 0; i < MAPS_MAX; i++)
		n += maps[i].base != NULL;
	return n;
}

void *guard_buffer(size_t len)
{
	static unsigned char *end;

	if (len > GUARD_BUFFER_MAX)
		abort();
	if (!end) {
		unsigned char *all = reserve(GUARD_BUFFER_MAX, PAGE);

		if (!all || mprotect(all + PAGE, GUARD_BUFFER_MAX, PROT_READ | PROT_WRITE) < 0)
			abort();
		end = all + PAGE + GUARD_BUFFER_MAX;
	}
	return end - len;
}

void *guard_map_file(const char *path, size_t len)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *p;

	if (fd < 0)
		return NULL;
	p = __real_mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)close(fd);
	return p == MAP_FAILED ? NULL : p;
}

void guard_unmap_file(void *base, size_t len)
{
	if (base)
		(void)__real_munmap(base, len);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

#ifdef SANITIZED
/* A sanitizer says more than we could. It is to end the process, as a fault would. */
const char *__ubsan_default_options(void);

const char *__ubsan_default_options(void)
{
	return "halt_on_error=1:print_stacktrace=1";
}

void guard_install(void)
{
}
#else
static void fault(int sig, siginfo_t *info, void *context)
{
	const unsigned char *at = info->si_addr;

	(void)context;
	(void)dprintf(STDERR_FILENO, "fault (signal %d) at %p\n", sig, (const void *)at);
	for (int i = 0; i < MAPS_MAX; i++) {
		const struct guarded *m = &maps[i];

		if (m->base && at >= m->base - m->room && at < m->base + m->len + m->room)
			(void)dprintf(STDERR_FILENO, "that is byte %td of a segment of %zu bytes\n",
				at - m->base, m->len);
	}
	/* SA_RESETHAND: back at that instruction, it ends us. */
}

void guard_install(void)
{
	static unsigned char stack[65536];
	stack_t alt = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {
		.sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND};

	(void)sigaltstack(&alt, NULL);
	(void)sigaction(SIGSEGV, &action, NULL);
	(void)sigaction(SIGBUS, &action, NULL);
}
#endif
