/* SPDX-License-Identifier: ISC */
#ifndef CLI_INHERITED_H
#define CLI_INHERITED_H

/*
 * What a process has from the one that started it, and a command relies on: signals, timers,
 * descriptors and the umask. Called by main() before anything else.
 *
 *	SIGCHLD       default: ignored, children would be waited for in vain
 *	SIGPIPE,      ignored: the reader may leave, and files have limits. The write fails then,
 *	SIGXFSZ       and the command loses nothing
 *	SIGINT, SIGTERM, SIGHUP, SIGALRM
 *	              as they are: nohup, and a shell's background jobs, ignore some of them for us
 *	blocked       none: one that stays blocked cannot ask us to end, nor can our own timer
 *	timers        those that repeat, or count our CPU time, are the other program's own ticks,
 *	              and would kill us: off. One that goes off once is a time limit that was set
 *	              for us: it stays, and asks to end (see stop.h)
 *	0, 1, 2       open: if one were closed, a queue would be opened in its place, and items be
 *	              written over its memory. Using what takes its place is an error
 *	umask         077: nobody else may use what we make, unless --mode says so
 *
 * EXIT_DONE, or an exit code after it was reported.
 */
int inherited_init(void);

#endif
