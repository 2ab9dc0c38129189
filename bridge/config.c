/* SPDX-License-Identifier: ISC */
#include "config.h"

#include <bsd/string.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "options.h"
#include "value.h"

__attribute__((format(printf, 3, 4))) static int say(
	char why[static CONFIG_WHY_MAX], int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(why, CONFIG_WHY_MAX, format, args);
	va_end(args);
	return error;
}

static unsigned index_of(const struct option_row *row)
{
	return (unsigned)(row - options);
}

/* What a source has set so far: the line of a file, 1 for a flag; by the table's rows. */
struct seen {
	unsigned line[OPTIONS_MAX];
};

/* The file */

struct file {
	const char *path;
	const char *next; /* the line that the parser reads next */
	unsigned line;    /* of the one it read last */
	enum config_role role;
	struct config *config;
	struct config other; /* what the other role's section would make */
	struct seen seen, other_seen;
	int error;
	char *why;
};

/*
 * The parser's fgets(). It is ours so that the handler knows the line; so that blanks in front of a
 * line do not make it the last one's continuation; and so that none is cut in two.
 */
static char *next_line(char *buf, int cap, void *data)
{
	struct file *f = data;
	const char *line;
	size_t len;

	if (f->error < 0 || !*f->next)
		return NULL;
	f->line++;
	len = strcspn(f->next, "\n");
	line = f->next;
	f->next += len + (f->next[len] == '\n');
	while (len > 0 && (*line == ' ' || *line == '\t')) {
		line++;
		len--;
	}
	if (len + 3 > (size_t)cap && *line != '#' && *line != ';') {
		f->error = say(f->why, -EINVAL, "%s:%u: the line is longer than %d bytes", f->path,
			f->line, cap - 3);
		return NULL;
	}
	if (len + 3 > (size_t)cap)
		len = 0; /* a long comment */
	memcpy(buf, line, len);
	memcpy(buf + len, "\n", 2);
	return buf;
}

static int handle(void *data, const char *section, const char *name, const char *value)
{
	struct file *f = data;
	unsigned roles = CONFIG_HUB | CONFIG_LEAF;
	const struct option_row *row;
	struct config *to = f->config;
	struct seen *seen = &f->seen;
	const char *wrong;

	if (f->error < 0)
		return 0;
	if (strcmp(section, "hub") == 0)
		roles = CONFIG_HUB;
	else if (strcmp(section, "leaf") == 0)
		roles = CONFIG_LEAF;
	else if (*section) {
		f->error = say(f->why, -EINVAL,
			"%s:%u: there is no section [%s]; there are [hub] and [leaf]", f->path,
			f->line, section);
		return 0;
	}
	row = option_find(name, strlen(name), roles);
	if (!row || (row->flags & OPTION_COMMAND_ONLY)) {
		f->error = say(f->why, -EINVAL, "%s:%u: %s: %s", f->path, f->line, name,
			row ? "can be set as a flag only" : "there is no such option");
		return 0;
	}
	if (!(roles & row->roles & f->role)) {
		to = &f->other;
		seen = &f->other_seen;
	}
	if (seen->line[index_of(row)] && !option_is_list(row)) {
		f->error = say(f->why, -EINVAL, "%s:%u: %s: was set in line %u already", f->path,
			f->line, name, seen->line[index_of(row)]);
		return 0;
	}
	seen->line[index_of(row)] = f->line;
	wrong = option_set(to, row, value);
	if (wrong) {
		f->error = say(f->why, -EINVAL, "%s:%u: %s: \"%.64s\" must be %s", f->path, f->line,
			name, value, wrong);
		return 0;
	}
	return 1;
}

/* The whole text, with a zero behind it, to be freed. */
static int slurp(char **ret, const char *path, char why[static CONFIG_WHY_MAX])
{
	size_t cap = CONFIG_FILE_MAX + 2, len = 0;
	char *text = NULL;
	struct stat st;
	ssize_t n;
	int r = 0, fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) < 0) {
		r = say(why, -errno, "%s: %s", path, strerror(errno));
		goto out;
	}
	text = S_ISREG(st.st_mode) ? malloc(cap) : NULL;
	if (!text) {
		r = say(why, -EINVAL, "%s: %s", path,
			S_ISREG(st.st_mode) ? "there is no memory" : "is no regular file");
		goto out;
	}
	do {
		n = read(fd, text + len, cap - 1 - len);
		if (n > 0)
			len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		r = say(why, -errno, "%s: %s", path, strerror(errno));
	else if (len > CONFIG_FILE_MAX)
		r = say(why, -EFBIG, "%s: longer than %d bytes", path, CONFIG_FILE_MAX);
	else if (memchr(text, '\0', len))
		r = say(why, -EINVAL, "%s: is no text: there is a zero byte in it", path);
	else
		text[len] = '\0';
out:
	if (fd >= 0)
		(void)close(fd); /* only read from */
	if (r < 0)
		free(text);
	else
		*ret = text;
	return r;
}

static int from_file(struct config *c, char why[static CONFIG_WHY_MAX])
{
	struct file *f;
	char *text;
	int r = slurp(&text, c->file, why);

	if (r < 0)
		return r;
	f = calloc(1, sizeof(*f));
	if (!f) {
		free(text);
		return say(why, -ENOMEM, "no memory");
	}
	f->path = c->file;
	f->next = text;
	f->role = c->role;
	f->config = c;
	f->why = why;
	r = ini_parse_stream(next_line, f, handle, f);
	if (f->error == 0 && r != 0)
		f->error = say(why, -EINVAL,
			"%s:%d: must be `option = value`, [section], or a comment", c->file, r);
	r = f->error;
	free(f);
	free(text);
	return r;
}

/* The environment */

/* A mistyped name is an error: it would be ignored otherwise. */
static int check_environment(char why[static CONFIG_WHY_MAX])
{
	extern char **environ;

	for (char **p = environ; *p; p++) {
		size_t begin = sizeof("SQBRIDGE_") - 1, len = strcspn(*p, "=");
		const struct option_row *row;
		char name[64] = "";

		if (strncmp(*p, "SQBRIDGE_", begin) != 0)
			continue;
		for (size_t i = begin; i < len && i - begin < sizeof(name) - 1; i++)
			name[i - begin] = (char)tolower((unsigned char)(*p)[i]);
		row = option_find(name, strlen(name), ~0u);
		if (strcmp(name, "config") == 0 && row)
			continue;
		if (!row || (row->flags & OPTION_COMMAND_ONLY))
			return say(why, -EINVAL, "$%.*s: there is no such option",
				len < 64 ? (int)len : 64, *p);
		if (option_is_list(row))
			return say(why, -EINVAL,
				"$%.*s: lists are for the command line and the file", (int)len, *p);
	}
	return 0;
}

static int from_environment(struct config *c, char why[static CONFIG_WHY_MAX])
{
	int r = check_environment(why);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < options_n; i++) {
		const struct option_row *row = &options[i];
		char name[64] = "SQBRIDGE_";
		const char *value, *wrong;

		if (!(row->roles & c->role) || (row->flags & OPTION_COMMAND_ONLY) ||
			option_is_list(row))
			continue;
		(void)strlcat(name, row->name, sizeof(name)); /* ours, and short */
		for (char *p = name; *p; p++)
			*p = (char)(*p == '-' ? '_' : toupper((unsigned char)*p));
		value = getenv(name);
		if (!value || !*value)
			continue;
		wrong = option_set(c, row, value);
		if (wrong)
			return say(why, -EINVAL, "$%s: \"%.64s\" must be %s", name, value, wrong);
	}
	return 0;
}

static void from_credentials(struct config *c)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	char path[PATH_MAX];

	if (*c->keys || !dir || *dir != '/')
		return;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir,
		    c->role == CONFIG_HUB ? "sqbridge.keys" : "sqbridge.key") < sizeof(path) &&
		access(path, F_OK) == 0)
		(void)strlcpy(c->keys, path, sizeof(c->keys)); /* of the same size */
}

/* The flags */

static const char *name_of(enum config_role role)
{
	return role == CONFIG_HUB ? "hub" : role == CONFIG_LEAF ? "leaf" : "keygen";
}

static int no_flag(const struct config *c, const char *word, char why[static CONFIG_WHY_MAX])
{
	return say(why, -EINVAL, "%.64s: there is no such flag; see `sqbridge %s --help`", word,
		name_of(c->role));
}

/*
 * One word of the command line, and the next if it is its value. Only what concerns --config, or all
 * but that: the file comes before the other flags.
 */
static int from_flag(struct config *c, struct seen *seen, char *const **argv, bool only_config,
	char why[static CONFIG_WHY_MAX])
{
	const char *word = *(*argv)++, *value = NULL, *wrong;
	const struct option_row *row;
	size_t len;

	if (word[0] != '-' || !word[1]) {
		row = c->role == CONFIG_LEAF ? option_find("connect", 7, CONFIG_LEAF) : NULL;
		if (!row)
			return say(why, -EINVAL, "\"%.64s\" is not understood", word);
		value = word;
		if (!only_config && seen->line[index_of(row)])
			return say(why, -EINVAL,
				"\"%.64s\" is not understood: the hub was given already", word);
	} else {
		if (strcmp(word, "-h") == 0)
			word = "--help";
		if (word[1] != '-')
			return no_flag(c, word, why);
		len = strcspn(word + 2, "=");
		if (strcmp(word, "--help") == 0) {
			c->help_for = c->role;
			c->role = CONFIG_HELP;
			return 0;
		}
		row = memchr(word + 2, '_', len) ? NULL : option_find(word + 2, len, c->role);
		if (!row)
			return no_flag(c, word, why);
		if (word[2 + len] == '=')
			value = word + 2 + len + 1;
		else if (row->kind != OPTION_FLAG)
			value = *(*argv) ? *(*argv)++ : NULL;
		if (row->kind == OPTION_FLAG && value)
			return say(why, -EINVAL, "--%s: takes no value", row->name);
		if (row->kind != OPTION_FLAG && !value)
			return say(why, -EINVAL, "--%s: wants a value: %s", row->name, row->arg);
	}
	if (only_config != (strcmp(row->name, "config") == 0))
		return 0;
	if (seen->line[index_of(row)]++ && !option_is_list(row))
		return say(why, -EINVAL, "--%s: was given already", row->name);
	wrong = option_set(c, row, value);
	return wrong ? say(why, -EINVAL, "--%s: \"%.64s\" must be %s", row->name, value, wrong) : 0;
}

static int from_flags(
	struct config *c, char *const *argv, bool only_config, char why[static CONFIG_WHY_MAX])
{
	struct seen seen = {0};
	int r = 0;

	while (r == 0 && c->role != CONFIG_HELP && *argv)
		r = from_flag(c, &seen, &argv, only_config, why);
	return r;
}

static int role_of(struct config *c, int argc, char *const argv[], char why[static CONFIG_WHY_MAX])
{
	static const struct {
		const char *word;
		enum config_role role;
	} words[] = {
		{"hub", CONFIG_HUB},
		{"leaf", CONFIG_LEAF},
		{"keygen", CONFIG_KEYGEN},
		{"help", CONFIG_HELP},
		{"--help", CONFIG_HELP},
		{"-h", CONFIG_HELP},
		{"--version", CONFIG_VERSION},
		{"version", CONFIG_VERSION},
	};

	if (argc < 2)
		return say(why, -EINVAL, "what to be? hub, leaf or keygen; see `sqbridge --help`");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(argv[1], words[i].word) == 0) {
			c->role = words[i].role;
			return 0;
		}
	return say(why, -EINVAL, "\"%.64s\": must be hub, leaf or keygen; see `sqbridge --help`",
		argv[1]);
}

/* `sqbridge help hub` is `sqbridge hub --help`. */
static int help_for(struct config *c, int argc, char *const argv[], char why[static CONFIG_WHY_MAX])
{
	struct config about = {0};

	if (argc < 3)
		return 0;
	if (role_of(&about, argc - 1, argv + 1, why) < 0)
		return -EINVAL;
	c->help_for = about.role;
	return 0;
}

static void set_defaults(struct config *c)
{
	for (unsigned i = 0; i < options_n; i++)
		if (options[i].by_default)
			(void)option_set(c, &options[i], options[i].by_default); /* tested */
	(void)strlcpy(c->name, c->role == CONFIG_HUB ? "hub" : "leaf", sizeof(c->name)); /* fits */
}

static int parse(struct config *c, int argc, char *const argv[], char why[static CONFIG_WHY_MAX])
{
	const char *file = getenv("SQBRIDGE_CONFIG");
	int r = role_of(c, argc, argv, why);

	if (r == 0 && c->role == CONFIG_HELP)
		return help_for(c, argc, argv, why);
	if (r < 0 || c->role == CONFIG_VERSION)
		return r;
	set_defaults(c);
	r = from_flags(c, argv + 2, true, why);
	if (r < 0 || c->role == CONFIG_HELP)
		return r;
	if (c->role != CONFIG_KEYGEN) {
		if (!*c->file && file && *file && value_path(c->file, file))
			return say(why, -EINVAL, "$SQBRIDGE_CONFIG: must be the name of a file");
		if (*c->file)
			r = from_file(c, why);
	}
	if (r == 0)
		r = from_environment(c, why);
	if (r == 0)
		r = from_flags(c, argv + 2, false, why);
	if (r < 0)
		return r;
	if (c->role == CONFIG_KEYGEN) {
		if (*c->peer && !*c->out)
			(void)snprintf(c->out, sizeof(c->out), "%s.key", c->peer);
	} else {
		from_credentials(c);
	}
	return config_check(c, why);
}

int config_parse(struct config *ret, int argc, char *const argv[], char why[static CONFIG_WHY_MAX])
{
	struct config *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return say(why, -ENOMEM, "no memory");
	r = parse(c, argc, argv, why);
	if (r == 0)
		*ret = *c;
	free(c);
	return r;
}

/* What fits together */

static int check_streams(const struct config *c, char why[static CONFIG_WHY_MAX])
{
	for (uint32_t i = 0; i < c->streams; i++)
		for (uint32_t k = 0; k < i; k++) {
			const struct config_stream *a = &c->stream[k], *b = &c->stream[i];
			bool queue = strcmp(a->queue, b->queue) == 0;
			bool local = strcmp(a->local, b->local) == 0;

			if (queue && a->direction == b->direction)
				return say(why, -EINVAL, "queue %s: named twice to %s", b->queue,
					wire_direction_name(b->direction));
			/* Its messages would go round the two streams for ever. */
			if (c->role == CONFIG_LEAF && (queue || local) &&
				a->direction != b->direction)
				return say(why, -EINVAL,
					"queue %s: a leaf either pulls or pushes it, not both",
					queue ? b->queue : b->local);
			if (local && a->direction == b->direction)
				return say(why, -EINVAL, "queue %s: two names for it to %s",
					b->local, wire_direction_name(b->direction));
		}
	return 0;
}

static int check_hub(const struct config *c, char why[static CONFIG_WHY_MAX])
{
	if (!*c->address.host)
		return say(why, -EINVAL, "where to listen? --listen 0.0.0.0:5678");
	if (!*c->keys)
		return say(why, -ENOKEY,
			"whose keys? --keys FILE, made by `sqbridge keygen --peer NAME --keys FILE`");
	if (c->streams == 0)
		return say(why, -EINVAL, "what to share? --share QUEUE:pull or QUEUE:push");
	for (uint32_t i = 0; i < c->allows; i++)
		if (!config_share(c, c->allow[i].queue, c->allow[i].direction))
			return say(why, -EINVAL, "allow %s:%s:%s: that is not shared",
				c->allow[i].identity, c->allow[i].queue,
				wire_direction_name(c->allow[i].direction));
	if (c->unauthenticated_max > c->connections_max)
		return say(why, -EINVAL,
			"unauthenticated-max (%" PRIu64
			") must not be above connections-max (%" PRIu64 ")",
			c->unauthenticated_max, c->connections_max);
	return 0;
}

static int check_leaf(const struct config *c, char why[static CONFIG_WHY_MAX])
{
	if (!*c->address.host)
		return say(why, -EINVAL, "which hub? sqbridge leaf HOST:PORT");
	if (!*c->keys)
		return say(why, -ENOKEY,
			"which key? --key FILE, made by `sqbridge keygen --peer NAME --keys FILE` on the hub");
	if (c->streams == 0)
		return say(why, -EINVAL, "which queues? --pull QUEUE, --push QUEUE");
	return 0;
}

static int check_keygen(const struct config *c, char why[static CONFIG_WHY_MAX])
{
	if (!*c->peer)
		return say(why, -EINVAL, "for whom? --peer NAME");
	if (!*c->keys)
		return say(why, -EINVAL, "to which file? --keys FILE, the hub's");
	if (*c->peer == '.')
		return say(why, -EINVAL,
			"peer %s: must not begin with a dot: its key's file would be hidden",
			c->peer);
	if (c->rotate && c->drop_old)
		return say(why, -EINVAL,
			"--rotate and --drop-old: first the one, and when the peer has its new key, "
			"the other");
	return 0;
}

int config_check(const struct config *c, char why[static CONFIG_WHY_MAX])
{
	int r;

	switch (c->role) {
	case CONFIG_HUB:
		r = check_hub(c, why);
		break;
	case CONFIG_LEAF:
		r = check_leaf(c, why);
		break;
	case CONFIG_KEYGEN:
		return check_keygen(c, why);
	default:
		return 0;
	}
	return r < 0 ? r : check_streams(c, why);
}

const struct config_stream *config_share(
	const struct config *c, const char *queue, enum wire_direction direction)
{
	for (uint32_t i = 0; i < c->streams; i++)
		if (c->stream[i].direction == direction && strcmp(c->stream[i].queue, queue) == 0)
			return &c->stream[i];
	return NULL;
}

const struct config_stream *config_allows(const struct config *c, const char *identity,
	const char *queue, enum wire_direction direction)
{
	const struct config_stream *share = config_share(c, queue, direction);

	if (c->allows == 0)
		return share;
	for (uint32_t i = 0; i < c->allows; i++) {
		const struct config_allow *a = &c->allow[i];

		if (a->direction == direction && strcmp(a->queue, queue) == 0 &&
			(strcmp(a->identity, identity) == 0 || strcmp(a->identity, "*") == 0))
			return share;
	}
	return NULL;
}

void config_address_text(char *buf, size_t cap, const struct config_address *a)
{
	if (a->socket)
		(void)snprintf(buf, cap, "%s", a->host);
	else
		(void)snprintf(buf, cap, a->v6 ? "[%s]:%u" : "%s:%u", a->host, a->port);
}

static void help_row(FILE *to, const struct option_row *row)
{
	char low[24], high[24];

	(void)fprintf(to, "  --%s%s%s\n      %s", row->name, row->arg ? " " : "",
		row->arg ? row->arg : "", row->help);
	if (row->by_default) {
		(void)fprintf(to, "; default %s", row->by_default);
		if (row->kind == OPTION_SPAN) {
			value_span_text(low, sizeof(low), row->min);
			value_span_text(high, sizeof(high), row->max);
			(void)fprintf(to, ", from %s to %s", low, high);
		} else if (row->kind == OPTION_SIZE) {
			value_size_text(low, sizeof(low), row->min);
			value_size_text(high, sizeof(high), row->max);
			(void)fprintf(to, ", from %s to %s", low, high);
		} else if (row->kind == OPTION_COUNT) {
			(void)fprintf(to, ", from %" PRIu64 " to %" PRIu64, row->min, row->max);
		}
	}
	(void)fprintf(to, "\n");
}

/* A failure to print is ignored: there is no reader then. */
void config_help(FILE *to, enum config_role role)
{
	static const char usage[] =
		"sqbridge hub --listen ADDRESS:PORT --keys FILE --share QUEUE:pull|push... [OPTION...]\n"
		"sqbridge leaf HOST:PORT --key FILE --pull QUEUE... --push QUEUE... [OPTION...]\n"
		"sqbridge keygen --peer IDENTITY --keys FILE [--out FILE] [--rotate | --drop-old]\n"
		"sqbridge hub|leaf|keygen --help, or sqbridge help hub|leaf|keygen\n"
		"sqbridge --version\n";

	if (role != CONFIG_HUB && role != CONFIG_LEAF && role != CONFIG_KEYGEN) {
		(void)fprintf(to, "Carries queues between hosts.\n\n%s", usage);
		return;
	}
	(void)fprintf(to, "sqbridge %s: its options\n", name_of(role));
	for (unsigned i = 0; i < options_n; i++)
		if (options[i].roles & role)
			help_row(to, &options[i]);
	if (role != CONFIG_KEYGEN)
		(void)fprintf(to,
			"SPAN is a number and ns, us, ms, s, m, h or d: 250ms, 1.5s, 2m; without one of them it "
			"is\nseconds. SIZE is a number, perhaps with K, M or G behind it (powers of 1024).\n"
			"Each of them but the last two may also stand in the file, as `log_level = info`, "
			"in\nsections [hub] and [leaf] or before them; and, the lists excepted, in the "
			"environment,\nas SQBRIDGE_LOG_LEVEL.\n");
}
