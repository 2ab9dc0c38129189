/* SPDX-License-Identifier: ISC */
#ifndef TESTS_BRIDGE_SCRATCH_H
#define TESTS_BRIDGE_SCRATCH_H

/*
 * What the tests share that write files: cmocka with what it needs, and a directory of this process,
 * made and entered before each test, removed with all that is in it after it.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>

int scratch_enter(void **state);
int scratch_leave(void **state);
#define SCRATCH_TEST(f) cmocka_unit_test_setup_teardown(f, scratch_enter, scratch_leave)

/* The directory's full name. */
const char *scratch_path(void);

void scratch_write(const char *name, mode_t mode, const char *text);

/* To be freed. */
char *scratch_read(const char *name);

/* How many files there are in the directory. */
int scratch_count(void);

#endif
