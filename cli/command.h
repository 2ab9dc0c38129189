/* SPDX-License-Identifier: ISC */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

/*
 * The commands of sqctl: one entry in the table in command.c, one file each. A command gets its
 * arguments with its own name first and returns an exit code; it never exits.
 */

struct command {
	const char *name;
	const char *arguments; /* for the usage line */
	const char *summary;   /* one line */
	const char *help;      /* what --help adds: options and examples, lines ending in \n */
	int (*run)(int argc, char **argv);
};

/* The table, ended by an entry without a name. */
extern const struct command commands[];

/* The command of that name, or NULL. */
const struct command *command_find(const char *name);

/* Say that there is none of that name, and which may have been meant. Returns the exit code. */
int command_report_unknown(const char *name);

/* Print how it is used, to stdout. */
void command_help(const struct command *command);

int cmd_bridge(int argc, char **argv);
int cmd_collect(int argc, char **argv);
int cmd_create(int argc, char **argv);
int cmd_gc(int argc, char **argv);
int cmd_get(int argc, char **argv);
int cmd_help(int argc, char **argv);
int cmd_local(int argc, char **argv);
int cmd_ls(int argc, char **argv);
int cmd_produce(int argc, char **argv);
int cmd_put(int argc, char **argv);
int cmd_rm(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_work(int argc, char **argv);

extern const char help_bridge[], help_collect[], help_create[], help_gc[], help_get[], help_help[],
	help_local[], help_ls[], help_produce[], help_put[], help_rm[], help_stat[], help_work[];

#endif
