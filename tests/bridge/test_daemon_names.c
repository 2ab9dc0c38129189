/* SPDX-License-Identifier: ISC */
#include <signal.h>

#include "daemons.h"
#include "sq.h"

/* A hub by its name, while the name server takes its time: see slow_names.c. */

static void start(struct daemon_run *leaf, const char *name)
{
	char address[64];

	(void)snprintf(address, sizeof(address), "%s:%s", name, hub_port);
	daemon_start(leaf, leaf_prefix, "leaf.log",
		WORDS("leaf", address, "--key", "farm1.key", "--pull", "pq", "--push", "cq",
			"--retry-max", "300ms", "--metrics", "127.0.0.1:0"));
}

static void start_hub(struct daemon_run *hub)
{
	assert_int_equal(sq_create(hub_queue("pq"), NULL), 0);
	assert_int_equal(sq_create(hub_queue("cq"), NULL), 0);
	hub_start_with(hub, WORDS(NULL));
}

static void metrics_are_there(struct daemon_run *leaf)
{
	char port[8], *text, *line = expect_line(leaf, "event=metrics");

	value_of(line, "port", port, sizeof(port));
	free(line);
	text = ask(port, "GET /metrics HTTP/1.0\r\n\r\n");
	assert_non_null(strstr(text, "\nsqbridge_link_up{peer=\"farm1\"} 0\n"));
	free(text);
}

/* If the hub waited for the name, this would not be answered before the file is there. */
static void all_goes_on_while_a_name_is_asked_for(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};

	start_hub(&hub);
	start(&leaf, "hub.example");
	metrics_are_there(&leaf);
	assert_int_equal(kill(leaf.pid, SIGHUP), 0);
	free(expect_line(&leaf, "event=reloaded"));
	scratch_write("hub.example", 0600, "");
	free(expect_line(&leaf, "event=link_up"));
	free(expect_line(&hub,
		"event=link_up")); /* written before it is killed, so that it can be counted */
	/* It is asked for anew, for the hub may be elsewhere. */
	assert_int_equal(remove("hub.example"), 0);
	assert_int_equal(daemon_stop(&hub, SIGKILL), -SIGKILL);
	free(expect_line(&leaf, "event=link_down"));
	hub_start_with(&hub, WORDS(NULL));
	nap_ms(500);
	assert_int_equal(count_lines(&hub, "event=link_up"), 1);
	scratch_write("hub.example", 0600, "");
	free(expect_line(&leaf, "event=link_up"));
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

static void it_leaves_while_a_name_is_asked_for(void **state)
{
	struct daemon_run leaf = {0};

	(void)strcpy(hub_port, "1");
	start(&leaf, "hub.example");
	free(expect_line(&leaf, "event=metrics"));
	nap_ms(50);
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
	assert_int_equal(count_lines(&leaf, "not_connected"), 0);
}

static void each_address_of_a_name_is_tried(void **state)
{
	struct daemon_run hub = {0}, leaf = {0};

	start_hub(&hub);
	scratch_write("two.example", 0600, "");
	start(&leaf, "two.example");
	free(expect_line(&leaf, "event=not_connected reason=unreached"));
	free(expect_line(&leaf, "event=link_up"));
	assert_int_equal(count_lines(&leaf, "event=not_connected"), 1);
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
	assert_int_equal(daemon_stop(&hub, SIGTERM), 0);
}

static void a_name_that_there_is_not_is_asked_for_again(void **state)
{
	struct daemon_run leaf = {0};

	(void)strcpy(hub_port, "1");
	scratch_write("none.example", 0600, "");
	start(&leaf, "none.example");
	for (int i = 0; i < 3; i++)
		free(expect_line(&leaf, "event=not_connected reason=name detail=\"Name or"));
	assert_int_equal(daemon_stop(&leaf, SIGTERM), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DAEMON_TEST(all_goes_on_while_a_name_is_asked_for),
		DAEMON_TEST(it_leaves_while_a_name_is_asked_for),
		DAEMON_TEST(each_address_of_a_name_is_tried),
		DAEMON_TEST(a_name_that_there_is_not_is_asked_for_again),
	};

	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
