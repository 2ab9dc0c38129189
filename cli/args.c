/* SPDX-License-Identifier: ISC */
#include "args.h"

#include <stdio.h>
#include <string.h>

#include "parse.h"
#include "report.h"

#define OPTIONS_MAX 32

const char *args_flag(const struct args_option *o, const char *text)
{
	(void)text;
	*(bool *)o->to = true;
	return NULL;
}

const char *args_text(const struct args_option *o, const char *text)
{
	*(const char **)o->to = text;
	return NULL;
}

const char *args_count(const struct args_option *o, const char *text)
{
	return parse_count(o->to, text, o->min, o->max);
}

const char *args_size(const struct args_option *o, const char *text)
{
	return parse_size(o->to, text, o->min, o->max);
}

const char *args_size32(const struct args_option *o, const char *text)
{
	uint64_t v;
	const char *wrong = parse_size(&v, text, o->min, o->max);

	if (!wrong)
		*(uint32_t *)o->to = (uint32_t)v;
	return wrong;
}

const char *args_span(const struct args_option *o, const char *text)
{
	return parse_span_to(o->to, text, o->max ? (int64_t)o->max : PARSE_SPAN_MAX);
}

const char *args_duration(const struct args_option *o, const char *text)
{
	return parse_duration(o->to, text);
}

/* What getopt_long() found wrong: it returned '?' or ':'. */
static int report_option(const char *command, char *const *argv, int option)
{
	const char *word = argv[optind - 1];
	bool is_long = strncmp(word, "--", 2) == 0;

	if (option == ':' && is_long)
		return report_usage(command, "%s needs a value", word);
	if (option == ':')
		return report_usage(command, "-%c needs a value", optopt);
	if (is_long && optopt)
		return report_usage(command, "%s: this option takes no value", word);
	if (is_long)
		return report_usage(command, "no such option: %s", word);
	return report_usage(command, "no such option: -%c", optopt);
}

static int note(const char *command, const struct args_option *o)
{
	const char *wrong = o->set(o, optarg);

	if (o->given)
		++*o->given;
	if (!wrong)
		return EXIT_DONE;
	if (o->letter)
		return report_usage(command, "-%c '%s' %s", o->letter, optarg, wrong);
	return report_usage(command, "--%s '%s' %s", o->name, optarg, wrong);
}

int args_read(struct args *ret, const struct args_option *options, int argc, char **argv)
{
	/* A value is the option's place in the table, above all letters. */
	enum { FIRST = 256 };
	struct option longs[OPTIONS_MAX + 1] = {0};
	char letters[2 * OPTIONS_MAX + 2] = ":"; /* the first: tell a missing value apart */
	int option, code = EXIT_DONE;
	const char *bare = NULL, *behind = NULL;

	for (int i = 0, at = 1; options[i].name; i++) {
		longs[i] = (struct option){options[i].name, options[i].value, NULL, FIRST + i};
		if (options[i].letter)
			letters[at++] = options[i].letter;
		if (options[i].letter && options[i].value == required_argument)
			letters[at++] = ':';
	}
	opterr = 0;
	optind = 0; /* glibc: start over, in another argv */
	while (code == EXIT_DONE &&
		(option = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		int i = option - FIRST;

		if (option == '?' || option == ':')
			return report_option(argv[0], argv, option);
		if (i < 0)
			for (i = 0; options[i].letter != option;)
				i++;
		code = note(argv[0], &options[i]);
		if (options[i].value == optional_argument && !optarg && optind < argc) {
			bare = options[i].name;
			behind = argv[optind];
		}
	}
	*ret = (struct args){.command = argv[0],
		.n = argc - optind,
		.words = argv + optind,
		.bare = bare,
		.behind = behind};
	return code;
}

const char *args_hint(const struct args *args)
{
	static char text[160];

	for (int i = 0; args->bare && i < args->n; i++)
		if (args->words[i] == args->behind) {
			(void)snprintf(text, sizeof(text),
				"; if '%.32s' is the value of --%s, write --%s=%.32s", args->behind,
				args->bare, args->bare, args->behind);
			return text;
		}
	return "";
}

int args_queues(const struct args *args)
{
	if (args->n > 0)
		return EXIT_DONE;
	return report_usage(args->command, "the name of a queue is missing; `sqctl ls` lists them");
}

int args_queue(const struct args *args, const char **ret)
{
	int code = args_queues(args);

	if (code == EXIT_DONE && args->n > 1)
		code = report_usage(args->command, "one queue at a time%s", args_hint(args));
	if (code == EXIT_DONE)
		*ret = args->words[0];
	return code;
}
