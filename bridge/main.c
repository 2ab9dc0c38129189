/* SPDX-License-Identifier: ISC */
#include <bsd/stdlib.h>
#include <bsd/string.h>
#include <bsd/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keygen.h"
#include "options.h"
#include "queues.h"
#include "roles.h"
#include "sd.h"
#include "serve.h"

/* sqbridge: start-up, signals, and the end. */

#define EXIT_CANNOT_CREATE 73
#define CHANGED_MAX        256
#define SECOND_NS          ((int64_t)1000000000)

static struct config config, fresh;
static int arguments;
static char **words;

/* The process's own chores. */
static struct chores {
	struct daemon daemon;
	struct loop_timer timer;
	struct serve *serve;
	int64_t every_ns, second_ns; /* the watchdog's half, or a second; when the last one was */
} chores;

static int complain(const char *what, const char *why, int code)
{
	(void)fprintf(stderr, "sqbridge: %s%s%s\n", what, *what ? ": " : "", why);
	return code;
}

/*
 * The standard descriptors must be open: else the next file opened would be number 2, and log lines
 * would be written into it.
 */
static void hold_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		(void)close(fd);
}

static int exit_of(int error)
{
	return error == -EACCES || error == -EPERM || error == -ENOKEY ? EXIT_DENIED : EXIT_USAGE;
}

/* Any fault of the keys has this one exit code. */
static int exit_of_keys(int error)
{
	return error == -ENOMEM ? EXIT_SYSTEM : EXIT_DENIED;
}

static int keygen(void)
{
	char why[KEYS_WHY_MAX] = "";
	struct keygen what = {.keys = config.keys,
		.peer = config.peer,
		.out = config.out,
		.rotate = config.rotate,
		.drop_old = config.drop_old};
	int r = keygen_run(&what, why);

	return r < 0 ? complain("keygen", why, r == -EACCES ? EXIT_DENIED : EXIT_CANNOT_CREATE)
		     : EXIT_SUCCESS;
}

/* A hub may have no keys, when its last leaf was revoked; a leaf needs one. */
static int load_keys(struct keys **ret, const struct config *c, char why[static KEYS_WHY_MAX])
{
	int r = keys_load(ret, c->keys, why);

	if (r == 0 && c->role == CONFIG_LEAF && !keys_at(*ret, 0)) {
		keys_free(*ret);
		r = keys_say(why, -ENOKEY,
			"%.256s: there is no key in it; a leaf's has one line, NAME:KEY, which `sqbridge "
			"keygen --peer NAME` on the hub writes to NAME.key",
			c->keys);
	}
	return r;
}

/* A reload that fails changes nothing. */
static int read_again(struct keys **ret, char why[static CONFIG_WHY_MAX])
{
	int r = config_parse(&fresh, arguments, words, why);

	return r < 0 ? r : load_keys(ret, &fresh, why);
}

static void ignored(const char *option, const char *queue)
{
	log_event(LEVEL_WARNING, "reload_ignored", LOG_STR("option", option),
		LOG_STR("queue", queue), LOG_STR("detail", "it takes a restart"));
}

/* A share whose queue has another name here. */
static void compare_locals(void)
{
	for (uint32_t i = 0; config.role == CONFIG_HUB && i < fresh.streams; i++) {
		const struct config_stream *is = &fresh.stream[i];
		const struct config_stream *was = config_share(&config, is->queue, is->direction);

		if (was && strcmp(was->local, is->local) != 0)
			ignored("share", is->queue);
	}
}

/* *ret: the names of the changed options that take effect. Those that need a restart are logged. */
static void compare(char *ret, size_t cap)
{
	*ret = '\0';
	for (unsigned i = 0; i < options_n; i++) {
		const struct option_row *row = &options[i];

		if (!(row->roles & config.role) || (row->flags & OPTION_COMMAND_ONLY) ||
			option_same(&config, &fresh, row))
			continue;
		if (row->flags & OPTION_LIVE) {
			(void)strlcat(ret, *ret ? "," : "", cap); /* all their names fit */
			(void)strlcat(ret, row->name, cap);
		} else {
			ignored(row->name, NULL);
		}
	}
}

static void reload(struct daemon *d)
{
	char why[CONFIG_WHY_MAX] = "", changed[CHANGED_MAX];
	struct keys *keys = NULL;

	if (read_again(&keys, why) < 0) {
		d->metrics.daemon.value[METRIC_RELOADS_FAILED]++;
		log_event(LEVEL_ERROR, "reload_failed", LOG_STR("detail", why));
		return;
	}
	compare(changed, sizeof(changed));
	compare_locals();
	option_reload(&config, &fresh);
	log_setup(config.log_level, config.log_format);
	d->metrics.daemon.value[METRIC_RELOADS]++;
	log_event(LEVEL_NOTICE, "reloaded", LOG_STR("keys", config.keys),
		LOG_U64("count", keys_count(keys)), LOG_STR("changed", *changed ? changed : NULL));
	if (d->hub)
		hub_reload(d, keys);
	else
		leaf_reload(d, keys);
}

static void caught(void *ctx, int number)
{
	struct daemon *d = ctx;

	if (number == SIGHUP) {
		(void)sd_reloading();
		reload(d);
		(void)sd_notify("READY=1");
	} else {
		(void)sd_notify("STOPPING=1");
		daemon_drain(d);
	}
}

/*
 * Once a second. The watchdog is told from within the loop, because it is the loop that it watches.
 */
static void chore(void *ctx)
{
	struct chores *c = ctx;
	int64_t now_ns = loop_now_ns(c->daemon.loop);

	(void)sd_notify("WATCHDOG=1");
	if (now_ns - c->second_ns >= SECOND_NS) {
		c->second_ns = now_ns;
		log_tick();
		status_write(&c->daemon);
		queues_look(&c->daemon);
	}
	loop_timer_set(c->daemon.loop, &c->timer, c->every_ns, chore, c);
}

static void begin_chores(struct loop *loop)
{
	int64_t watchdog = sd_watchdog_ns() / 2;

	chores.every_ns = watchdog > 0 && watchdog < SECOND_NS ? watchdog : SECOND_NS;
	loop_timer_set(loop, &chores.timer, chores.every_ns, chore, &chores);
	setproctitle("%s %s", chores.daemon.hub ? "hub" : "leaf", config.name);
	status_write(&chores.daemon);
	(void)sd_notify("READY=1");
}

static int open_metrics(struct loop *loop)
{
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);
	char port[8] = "";
	unsigned tries = 0;
	int r;

	if (!*config.metrics.host)
		return 0;
	do
		r = serve_open(&chores.serve, loop, &config.metrics, counts_text, &chores.daemon);
	while (daemon_again(r, &tries));
	if (r < 0)
		return r;
	if (config.metrics.socket)
		log_event(LEVEL_NOTICE, "metrics", LOG_STR("socket", config.metrics.host));
	else if (getsockname(serve_fd(chores.serve), (struct sockaddr *)&at, &len) == 0 &&
		 getnameinfo((struct sockaddr *)&at, len, NULL, 0, port, sizeof(port),
			 NI_NUMERICSERV) == 0)
		log_event(LEVEL_NOTICE, "metrics", LOG_STR("address", config.metrics.host),
			LOG_STR("port", port));
	return 0;
}

/* Each leaf takes a descriptor, and two more for each queue. */
static void raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit); /* not allowed: the limit stays as it is */
}

static int start(struct loop *loop, struct keys *keys, const char **ret_why, int *ret_code)
{
	struct daemon *d = &chores.daemon;
	int r = daemon_init(d, loop, &config, ret_why);

	d->keys = keys;
	*ret_code = r == -EBUSY    ? EXIT_BUSY
		    : r == -EPERM  ? EXIT_DENIED
		    : r == -EINVAL ? EXIT_USAGE
				   : EXIT_SYSTEM;
	if (r == 0) {
		r = open_metrics(loop);
		*ret_why = "the metrics' address cannot be listened at";
	}
	if (r == 0)
		r = d->hub ? hub_start(d, ret_why, ret_code) : leaf_start(d, ret_why, ret_code);
	return r;
}

/* What the command line and its files ask for; and the keys, which a daemon would not start without. */
static int check(void)
{
	char why[KEYS_WHY_MAX] = "";
	struct keys *keys = NULL;
	int r = load_keys(&keys, &config, why);

	char prefix[SQ_NAME_MAX + 1];

	if (r < 0)
		return complain("", why, exit_of_keys(r));
	keys_free(keys);
	if (sq_prefix(prefix, sizeof(prefix)) < 0)
		return complain("", DAEMON_PREFIX_WHY, EXIT_USAGE);
	if (!loop_wish_ok())
		return complain("loop", LOOP_WISH_WHY, EXIT_USAGE);
	return EXIT_SUCCESS;
}

/* For some errors `why`, or a line of the log, is clearer than the name of the error. */
static void tell_end(const char *reason, int error)
{
	bool said = error == -EBUSY || error == -EPERM || error == -EIO || error == -EINVAL;

	(void)fprintf(stderr, "sqbridge: %s: %s%s%s\n", config.name, reason, said ? "" : ": ",
		said ? "" : strerror(-error));
}

static int serve(void)
{
	char why[LOOP_WHY_MAX] = "", keys_why[KEYS_WHY_MAX] = "";
	const char *reason = "signals";
	struct keys *keys = NULL;
	struct loop *loop = NULL;
	sigset_t set;
	int r, code = EXIT_SYSTEM;

	r = load_keys(&keys, &config, keys_why);
	if (r < 0)
		return complain("", keys_why, exit_of_keys(r));
	r = loop_new(&loop, NULL, why);
	if (r < 0) {
		keys_free(keys);
		return complain("loop", why, r == -EINVAL ? EXIT_USAGE : EXIT_SYSTEM);
	}
	if (*why)
		log_event(LEVEL_NOTICE, "loop_poll", LOG_STR("reason", why));
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	r = loop_signals(loop, &set, caught, &chores.daemon);
	if (r < 0)
		keys_free(keys);
	else
		r = start(loop, keys, &reason, &code);
	chores.daemon.refused = r < 0;
	if (r == 0) {
		begin_chores(loop);
		r = loop_run(loop);
		reason = "the loop";
		code = r == 0 ? chores.daemon.exit_code : EXIT_SYSTEM;
	}
	if (r < 0)
		tell_end(reason, r);
	serve_close(chores.serve);
	daemon_still(&chores.daemon);
	loop_free(loop);
	daemon_deinit(&chores.daemon);
	log_tick();
	return code;
}

int main(int argc, char **argv)
{
	extern char **environ;
	char why[CONFIG_WHY_MAX] = "";
	int r;

	hold_standard_descriptors();
	(void)signal(SIGPIPE, SIG_IGN);
	(void)umask(077);
	setproctitle_init(argc, argv, environ);
	arguments = argc;
	words = argv;
	r = config_parse(&config, argc, argv, why);
	if (r < 0)
		return complain("", why, exit_of(r));
	if (config.role == CONFIG_HELP) {
		config_help(stdout, config.help_for);
		return EXIT_SUCCESS;
	}
	if (config.role == CONFIG_VERSION) {
		printf("sqbridge %s\n", sq_version());
		return EXIT_SUCCESS;
	}
	if (config.check)
		return check();
	if (config.role == CONFIG_KEYGEN)
		return keygen();
	closefrom(STDERR_FILENO + 1);
	raise_descriptors();
	log_setup(config.log_level, config.log_format);
	return serve();
}
