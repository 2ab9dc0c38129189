/* SPDX-License-Identifier: ISC */
#include "scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>

static char path[256];

int scratch_enter(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(path, sizeof(path), "%s/sqbridge-test.XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(path) && chdir(path) == 0 ? 0 : -1;
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(name);
}

int scratch_leave(void **state)
{
	return chdir("/") == 0 && nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0 ? 0 : -1;
}

const char *scratch_path(void)
{
	return path;
}

void scratch_write(const char *name, mode_t mode, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(close(fd), 0);
}

char *scratch_read(const char *name)
{
	char *text = calloc(1, 1 << 20);
	FILE *f = fopen(name, "re");

	assert_non_null(text);
	assert_non_null(f);
	(void)fread(text, 1, (1 << 20) - 1, f);
	assert_int_equal(fclose(f), 0);
	return text;
}

int scratch_count(void)
{
	DIR *d = opendir(path);
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	assert_int_equal(closedir(d), 0);
	return n - 2;
}
