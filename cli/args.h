/* SPDX-License-Identifier: ISC */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * The command line of a command: a table of its options, each with the place that its value goes to,
 * and what is left of the words behind them. --help is main()'s.
 */

struct args_option {
	const char *name; /* --name */
	char letter;      /* -l; 0: it has none */
	int value;        /* no_argument, required_argument, optional_argument */
	/*
	 * Note it. The text is NULL if there is none. NULL, or what is wrong with the text and what is
	 * allowed, as parse.h says it.
	 */
	const char *(*set)(const struct args_option *o, const char *text);
	void *to;          /* for set() */
	uint64_t min, max; /* the same, of numbers; of a span the longest, 0: any */
	unsigned
		*given; /* counted up each time it is met; options may share one; NULL: no matter */
};

/* For set: what `to` points at, and which limits are looked at. */
const char *args_flag(const struct args_option *o, const char *text);   /* bool: true */
const char *args_text(const struct args_option *o, const char *text);   /* const char *: borrowed */
const char *args_count(const struct args_option *o, const char *text);  /* uint64_t; min, max */
const char *args_size(const struct args_option *o, const char *text);   /* uint64_t; min, max */
const char *args_size32(const struct args_option *o, const char *text); /* uint32_t; min, max */
const char *args_span(const struct args_option *o, const char *text);   /* int64_t: nanoseconds */
const char *args_duration(const struct args_option *o, const char *text); /* the same, not 0 */

struct args {
	const char *command;
	int n; /* words that are no options, in order */
	char *const *words;
	/*
	 * The last option that was given without the value that it may have, and the word behind it,
	 * which may have been meant for one: such a value wants a `=`. NULL: none.
	 */
	const char *bare, *behind;
};

/*
 * Note all options, up to the first that is wrong. The table ends with an entry without a name; argv
 * begins with the command's name, and its words are put into another order. EXIT_DONE, or EXIT_USAGE
 * after saying what is wrong.
 */
int args_read(struct args *ret, const struct args_option *options, int argc, char **argv);

/*
 * What to say behind an error about the words, if one of them may have been meant for the value of an
 * option; else "". Static.
 */
const char *args_hint(const struct args *args);

/* The words are names of queues, one at least. EXIT_DONE, or EXIT_USAGE. */
int args_queues(const struct args *args);

/* There is one word, and that is the queue's name. */
int args_queue(const struct args *args, const char **ret);

/* The text for --help of all that take a SPAN. */
#define SPAN_HELP                                                                                  \
	"\n"                                                                                       \
	"SPAN is a number and ns, us, ms, s, m, h or d: 250ms, 1.5s, 2m. Without one of them it is seconds.\n"

#endif
