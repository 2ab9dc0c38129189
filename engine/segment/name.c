/* SPDX-License-Identifier: ISC */
#include "segment/name.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_PREFIX "sq."
#define ALPHABET    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

/*
 * The number of valid characters that s begins with, if the character behind them is `end`; 0 if it
 * is another, or if they are more than SQ_NAME_MAX.
 */
static size_t valid_length(const char *s, char end)
{
	size_t n = strspn(s, ALPHABET);

	return n <= SQ_NAME_MAX && s[n] == end ? n : 0;
}

int sqi_name_check(const char *name)
{
	size_t n;

	if (!name)
		return -EINVAL;
	if (valid_length(name, '\0'))
		return 0;
	n = valid_length(name, '.');
	return n && valid_length(name + n + 1, '\0') ? 0 : -EINVAL;
}

int sqi_name_prefix(char *buf, size_t cap)
{
	const char *env = getenv("SQ_PREFIX");
	char name[SQ_NAME_MAX + 1];
	struct passwd pw, *found = NULL;
	char store[4096];
	int r;

	if (!buf || cap < sizeof(name))
		return -EINVAL;
	if (env && *env) {
		if (!valid_length(env, '\0'))
			return -EINVAL;
		strcpy(buf, env);
		return 0;
	}
	r = getpwuid_r(geteuid(), &pw, store, sizeof(store), &found);
	/* These mean that there is no such user; any other error, that it cannot be told. */
	if (r != 0 && r != ENOENT && r != ESRCH && r != EBADF && r != EPERM)
		return -r;
	if (found && strlen(pw.pw_name) <= SQ_NAME_MAX) {
		strcpy(name, pw.pw_name);
		for (char *p = name; *p; p++)
			if (!strchr(ALPHABET, *p))
				*p = '_';
	} else {
		/* A user without a name, as in a container; or one whose name is too long. */
		(void)snprintf(name, sizeof(name), "uid%lu", (unsigned long)geteuid());
	}
	if (!valid_length(name, '\0'))
		return -EINVAL;
	strcpy(buf, name);
	return 0;
}

int sqi_name_path(char ret[static SQI_PATH_MAX], const char *name)
{
	char prefix[SQ_NAME_MAX + 1];
	int r = sqi_name_check(name);

	if (r < 0)
		return r;
	if (strchr(name, '.')) {
		(void)snprintf(ret, SQI_PATH_MAX, SQI_DIR "/" FILE_PREFIX "%s", name);
		return 0;
	}
	r = sqi_name_prefix(prefix, sizeof(prefix));
	if (r < 0)
		return r;
	(void)snprintf(ret, SQI_PATH_MAX, SQI_DIR "/" FILE_PREFIX "%s.%s", prefix, name);
	return 0;
}

bool sqi_name_of(const char **ret, const char *file)
{
	if (strncmp(file, FILE_PREFIX, strlen(FILE_PREFIX)) != 0)
		return false;
	file += strlen(FILE_PREFIX);
	if (!strchr(file, '.') || sqi_name_check(file) < 0)
		return false;
	*ret = file;
	return true;
}
