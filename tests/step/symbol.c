/* SPDX-License-Identifier: ISC */
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crew.h"
#include "trace.h"

/* Which function an address is in, by the program's own symbol table. */

extern const char __executable_start, etext;

static const Elf64_Sym *symbols;
static const char *names;
static size_t count;

static void load(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	const Elf64_Ehdr *elf;
	const Elf64_Shdr *sections;
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st) < 0)
		crew_die("the program cannot read itself");
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	(void)close(fd);
	if (p == MAP_FAILED)
		crew_die("the program cannot map itself");
	elf = p;
	sections = (const Elf64_Shdr *)((const char *)p + elf->e_shoff);
	for (unsigned i = 0; i < elf->e_shnum; i++) {
		if (sections[i].sh_type != SHT_SYMTAB)
			continue;
		symbols = (const Elf64_Sym *)((const char *)p + sections[i].sh_offset);
		count = sections[i].sh_size / sizeof(*symbols);
		names = (const char *)p + sections[sections[i].sh_link].sh_offset;
	}
}

bool trace_text(uint64_t at, size_t *ret_offset)
{
	size_t offset = at - (uint64_t)(uintptr_t)&__executable_start;

	if (offset >= trace_text_size())
		return false;
	*ret_offset = offset;
	return true;
}

size_t trace_text_size(void)
{
	return (size_t)(&etext - &__executable_start);
}

const char *trace_name(uint64_t at)
{
	static char text[128];
	size_t offset;
	Dl_info info;

	if (!symbols)
		load();
	if (trace_text(at, &offset)) {
		for (size_t i = 0; i < count; i++) {
			if (ELF64_ST_TYPE(symbols[i].st_info) != STT_FUNC ||
				offset - symbols[i].st_value >= symbols[i].st_size)
				continue;
			(void)snprintf(text, sizeof(text), "%s+%#zx", names + symbols[i].st_name,
				offset - symbols[i].st_value);
			return text;
		}
		return "a jump to the C library";
	}
	if (at - getauxval(AT_SYSINFO_EHDR) < 16384)
		return "vdso";
	if (dladdr((const void *)(uintptr_t)at, &info) && info.dli_sname) {
		(void)snprintf(text, sizeof(text), "%s (C library)", info.dli_sname);
		return text;
	}
	return "C library";
}
