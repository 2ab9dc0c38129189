/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "child.h"
#include "damage/chance.h"
#include "scratch.h"
#include "status_page.h"

/* A status page, whatever happens to its writer, and to its bytes. */

#define LINKS   5
#define STREAMS 40

static struct status_name ours;
static char file[STATUS_PATH_MAX];
static struct status_link links[LINKS];
static struct status_stream streams[STREAMS];
static pid_t other; /* a process that is at the page, too; 0: none */

static int enter(void **state)
{
	ours = (struct status_name){.name = "hub"};
	(void)snprintf(ours.prefix, sizeof(ours.prefix), "st%ld", (long)getpid());
	(void)snprintf(file, sizeof(file), "/dev/shm/sqb.%s.hub.status", ours.prefix);
	return 0;
}

static int leave(void **state)
{
	char temporary[STATUS_PATH_MAX + 8];

	/* A test that failed has left it. */
	if (other > 0 && kill(other, SIGKILL) == 0)
		(void)waitpid(other, NULL, 0);
	other = 0;
	(void)snprintf(temporary, sizeof(temporary), "%s.new", file);
	(void)remove(temporary); /* either may be there, or a directory */
	(void)remove(file);
	return 0;
}

/* All its numbers are n. */
static struct status_page page_of(uint64_t n)
{
	struct status_page p = {.head = {.started_s = n,
					.written_ns = n,
					.links = LINKS,
					.streams = STREAMS,
					.role = STATUS_LEAF,
					.state = STATUS_RUNNING,
					.address = "[2001:db8::1%eth0]:5678"},
		.link = links,
		.stream = streams};

	for (int i = 0; i < LINKS; i++) {
		links[i] = (struct status_link){.up = 1, .since_ns = n, .connects = n};
		memset(links[i].peer, 'p', STATUS_PEER_MAX);
		links[i].sent_bytes = n;
	}
	for (uint32_t i = 0; i < STREAMS; i++) {
		streams[i] = (struct status_stream){.link = i % LINKS,
			.direction = STATUS_PULL,
			.queue = "pq",
			.in_flight = n,
			.oldest_ns = n};
		memset(streams[i].local, 'q', STATUS_LOCAL_MAX);
		streams[i].local[64] = '.';
	}
	return p;
}

static bool is_of(const struct status_page *p, uint64_t n)
{
	if (p->head.links != LINKS || p->head.streams != STREAMS || p->head.started_s != n)
		return false;
	for (int i = 0; i < LINKS; i++)
		if (p->link[i].since_ns != n || p->link[i].connects != n ||
			p->link[i].sent_bytes != n)
			return false;
	for (int i = 0; i < STREAMS; i++)
		if (p->stream[i].in_flight != n || p->stream[i].oldest_ns != n)
			return false;
	return true;
}

static void what_is_written_is_read(void **state)
{
	struct status_writer w;
	struct status_page p = page_of(7), got;

	status_writer_init(&w, &ours);
	assert_int_equal(status_page_read(&got, &ours), -ENOENT);
	assert_int_equal(status_page_write(&w, &p, 0600), 0);
	assert_int_equal(status_page_read(&got, &ours), 0);
	assert_true(got.runs);
	assert_true(is_of(&got, 7));
	assert_memory_equal(&got.head, &p.head, sizeof(p.head));
	assert_memory_equal(got.link, links, sizeof(links));
	assert_memory_equal(got.stream, streams, sizeof(streams));
	status_page_free(&got);
	/* And one of nothing but a head. */
	p.head.links = p.head.streams = 0;
	assert_int_equal(status_page_write(&w, &p, 0600), 0);
	assert_int_equal(status_page_read(&got, &ours), 0);
	assert_int_equal(got.head.links, 0);
	status_page_free(&got);
	status_writer_deinit(&w, true);
	assert_int_equal(status_page_read(&got, &ours), -ENOENT);
}

static void a_page_stays_and_says_that_nobody_runs(void **state)
{
	struct status_writer w;
	struct status_page p = page_of(1), got;

	status_writer_init(&w, &ours);
	assert_int_equal(status_page_write(&w, &p, 0600), 0);
	status_writer_deinit(&w, false);
	assert_int_equal(status_page_read(&got, &ours), 0);
	assert_false(got.runs);
	status_page_free(&got);
	/* The next one takes the name. */
	p = page_of(2);
	assert_int_equal(status_page_write(&w, &p, 0600), 0);
	assert_int_equal(status_page_read(&got, &ours), 0);
	assert_true(got.runs);
	assert_true(is_of(&got, 2));
	status_page_free(&got);
	status_writer_deinit(&w, true);
}

static void who_may_read_it(void **state)
{
	static const mode_t asked[] = {0, 0600, 0640, 0644, 0777, 0066, 0004};
	struct status_writer w;
	struct status_page p = page_of(1);
	struct stat st;

	status_writer_init(&w, &ours);
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		assert_int_equal(status_page_write(&w, &p, asked[i]), 0);
		assert_int_equal(stat(file, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600 | (asked[i] & 0044));
	}
	status_writer_deinit(&w, true);
}

static void names_of_pages(void **state)
{
	static const char *const none[] = {"sqb.a.hub", "sqb.a.hub.status.new",
		"sqb.a.hub.status.pq.pull", "sqb.a.hub.status.status.pull", "sqb.a.hub.status.",
		"sqb..hub.status", "sqb.a..status", "sqb.a.status", "sqb.a.b.c.status",
		"sq.a.hub.status", "sqb.a.h b.status", "sqb.a.hub.Status", "", "sqb.",
		"sqb.a.123456789012345678901234567890123.status"};
	struct status_name of, *list;
	struct status_writer w;
	struct status_page p = page_of(1);
	size_t n, found = 0;

	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (status_page_name(&of, none[i]))
			fail_msg("%s is taken for a page", none[i]);
	assert_true(status_page_name(&of, "sqb.a-b.12345678901234567890123456789012.status"));
	assert_string_equal(of.prefix, "a-b");
	assert_string_equal(of.name, "12345678901234567890123456789012");
	/* A daemon that is called so. */
	assert_true(status_page_name(&of, "sqb.status.status.status"));
	assert_string_equal(of.name, "status");
	status_writer_init(&w, &ours);
	assert_int_equal(status_page_write(&w, &p, 0600), 0);
	assert_int_equal(status_page_list(&list, &n), 0);
	for (size_t i = 0; i < n; i++)
		found += memcmp(&list[i], &ours, sizeof(ours)) == 0;
	assert_int_equal(found, 1);
	free(list);
	status_writer_deinit(&w, true);
}

/* It has died between any two of its steps: what it was making is there, the last page is as it was. */
static void half_a_page_is_nobodys(void **state)
{
	struct status_page p = page_of(1), got;
	char temporary[STATUS_PATH_MAX + 8];
	struct status_writer w;

	(void)snprintf(temporary, sizeof(temporary), "%s.new", file);
	status_writer_init(&w, &ours);
	assert_int_equal(status_page_write(&w, &p, 0600), 0);
	status_writer_deinit(&w, false);
	scratch_write(temporary, 0600, "sqstatus half a page");
	assert_int_equal(status_page_read(&got, &ours), 0);
	assert_true(is_of(&got, 1));
	assert_false(got.runs);
	status_page_free(&got);
	p = page_of(2);
	assert_int_equal(status_page_write(&w, &p, 0600), 0);
	assert_int_not_equal(access(temporary, F_OK), 0);
	assert_int_equal(status_page_read(&got, &ours), 0);
	assert_true(is_of(&got, 2));
	status_page_free(&got);
	status_writer_deinit(&w, true);
}

/* As when /dev/shm is full: a part of it can be written, and no more. */
static void what_cannot_be_written_leaves_the_last_one(void **state)
{
	struct rlimit before, little;
	struct status_page p = page_of(1), got;
	struct status_writer w;
	int r;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	status_writer_init(&w, &ours);
	assert_int_equal(status_page_write(&w, &p, 0600), 0);
	p = page_of(2);
	little = before;
	little.rlim_cur = sizeof(p.head) + sizeof(links) + 100;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
	r = status_page_write(&w, &p, 0600);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(status_page_read(&got, &ours), 0);
	assert_true(got.runs);
	assert_true(is_of(&got, 1));
	status_page_free(&got);
	status_writer_deinit(&w, true);
}

static pid_t child(void)
{
	pid_t pid = child_fork();

	assert_true(pid >= 0);
	other = pid;
	return pid;
}

static void end(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	other = 0;
}

/* Writes pages as fast as it can. */
static pid_t start_writer(uint64_t first)
{
	struct status_writer w;
	pid_t pid = child();

	if (pid != 0)
		return pid;
	status_writer_init(&w, &ours);
	for (uint64_t n = first;; n++) {
		struct status_page p = page_of(n);

		if (status_page_write(&w, &p, 0600) < 0)
			_exit(2);
	}
}

/* Whenever it is killed, and whatever it was doing, there is a whole page. */
static void killed_at_any_moment(void **state)
{
	struct chance c = chance_of_seed(1);
	struct status_page got;
	uint64_t last = 0;

	for (int run = 0; run < 100; run++) {
		uint64_t first = (uint64_t)run * 1000000000 + 1;
		unsigned reads = 1 + (unsigned)chance_below(&c, 20);
		pid_t pid = start_writer(first);
		int r;

		/* Until it has begun: the page is that of the run before. */
		while ((r = status_page_read(&got, &ours)) == -ENOENT ||
			(r == 0 && got.head.started_s < first)) {
			if (r == 0)
				status_page_free(&got);
			assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
		}
		for (unsigned i = 0; r == 0 && i < reads; i++) {
			assert_true(got.runs);
			assert_true(got.head.started_s >= last);
			last = got.head.started_s;
			assert_true(is_of(&got, last));
			status_page_free(&got);
			r = status_page_read(&got, &ours);
		}
		assert_int_equal(r, 0);
		status_page_free(&got);
		end(pid);
		assert_int_equal(status_page_read(&got, &ours), 0);
		assert_false(got.runs);
		assert_true(is_of(&got, got.head.started_s));
		last = got.head.started_s;
		status_page_free(&got);
	}
}

static size_t bytes_of(unsigned char *ret, size_t cap)
{
	FILE *f = fopen(file, "re");
	size_t n;

	assert_non_null(f);
	n = fread(ret, 1, cap, f);
	assert_int_equal(fclose(f), 0);
	assert_true(n < cap);
	return n;
}

/* One bit of it, or its length, is another. */
static void no_damage_goes_unseen(void **state)
{
	static _Alignas(8) unsigned char whole[1 << 16], bytes[1 << 16];
	struct status_page p = page_of(0x0123456789abcdef), got;
	struct status_writer w;
	size_t len;

	p.head.links = 2;
	p.head.streams = 2;
	status_writer_init(&w, &ours);
	assert_int_equal(status_page_write(&w, &p, 0600), 0);
	status_writer_deinit(&w, false);
	len = bytes_of(whole, sizeof(whole));
	memcpy(bytes, whole, len);
	assert_int_equal(status_page_check(&got, bytes, len), 0);
	for (size_t bit = 0; bit < len * 8; bit++) {
		bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
		if (status_page_check(&got, bytes, len) == 0)
			fail_msg("bit %zu is another, and nobody sees it", bit);
		bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
	for (size_t n = 0; n < len + 1000; n++)
		if (n != len && status_page_check(&got, bytes, n) == 0)
			fail_msg("%zu bytes of %zu", n, len);
	assert_int_equal(status_page_check(&got, bytes, len), 0);
}

static bool text_is(const char *text, size_t max, const char *letters)
{
	return strnlen(text, max + 1) <= max && strspn(text, letters) == strlen(text);
}

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

/* What the printing of a page relies upon. */
static void assert_sound(const struct status_page *p)
{
	assert_true((size_t)p->head.links + p->head.streams <= STATUS_RECORDS_MAX);
	assert_true(p->head.role == STATUS_HUB || p->head.role == STATUS_LEAF);
	assert_in_range(p->head.state, STATUS_RUNNING, STATUS_STOPPED);
	assert_true(text_is(p->head.address, STATUS_ADDRESS_MAX, LETTERS ".:%[]"));
	for (uint32_t i = 0; i < p->head.links; i++)
		assert_true(text_is(p->link[i].peer, STATUS_PEER_MAX, LETTERS ".@"));
	for (uint32_t i = 0; i < p->head.streams; i++) {
		assert_true(p->stream[i].link < p->head.links);
		assert_in_range(p->stream[i].direction, STATUS_PULL, STATUS_PUSH);
		assert_true(text_is(p->stream[i].queue, STATUS_QUEUE_MAX, LETTERS));
		assert_true(text_is(p->stream[i].local, STATUS_LOCAL_MAX, LETTERS "."));
	}
}

/* A few bytes of it, anywhere, to anything; or to what is likely to be taken for good. */
static void damage(struct chance *c, void *bytes, size_t len)
{
	static const unsigned char likely[] = {
		0, 1, 2, 3, 4, 0x7f, 0x80, 0xff, 'a', '"', '\\', '\n'};
	unsigned char *b = bytes;

	for (uint64_t n = 1 + chance_below(c, 4); n > 0; n--) {
		size_t at = chance_below(c, len), run = 1 + chance_below(c, 80);
		unsigned char v = chance_below(c, 2) ? likely[chance_below(c, sizeof(likely))]
						     : (unsigned char)chance_below(c, 256);

		memset(b + at, v, run < len - at ? run : len - at);
	}
}

/* The sum is right, whatever else is not, as an attacker would make it. */
static void whatever_it_says_is_checked(void **state)
{
	struct chance c = chance_of_seed(2);
	unsigned good = 0, bad = 0;
	struct status_writer w;

	status_writer_init(&w, &ours);
	for (int i = 0; i < 6000; i++) {
		struct status_page p = page_of(5), got;
		uint64_t where = chance_below(&c, 3);
		int r;

		if (where == 0) {
			damage(&c, &p.head.started_s,
				sizeof(p.head) - offsetof(struct status_head, started_s));
			p.head.links = LINKS;
			p.head.streams = STREAMS;
		} else if (where == 1) {
			damage(&c, links, sizeof(links));
		} else {
			damage(&c, streams, sizeof(streams));
		}
		assert_int_equal(status_page_write(&w, &p, 0600), 0);
		r = status_page_read(&got, &ours);
		if (r == 0) {
			assert_sound(&got);
			status_page_free(&got);
			good++;
		} else {
			assert_int_equal(r, -EBADMSG);
			bad++;
		}
	}
	status_writer_deinit(&w, true);
	/* Otherwise the test has shown nothing. */
	assert_true(good > 300);
	assert_true(bad > 300);
}

/* Another process writes into the page, cuts the file and makes it longer, while it is read. */
static pid_t start_vandal(void)
{
	struct chance c = chance_of_seed(3);
	unsigned char some[64];
	pid_t pid = child();

	if (pid != 0)
		return pid;
	for (;;) {
		int fd = open(file, O_RDWR | O_CLOEXEC);

		for (int i = 0; fd >= 0 && i < 10; i++) {
			size_t len = chance_below(&c, sizeof(some));
			off_t at = (off_t)chance_below(&c, 13000);

			memset(some, (int)chance_below(&c, 256), sizeof(some));
			if (chance_below(&c, 4) == 0)
				(void)!ftruncate(fd, at);
			else
				(void)!pwrite(fd, some, len, at);
		}
		if (fd >= 0)
			(void)close(fd);
	}
}

static void damaged_under_the_reader(void **state)
{
	unsigned good = 0, bad = 0;
	struct status_writer w;
	pid_t pid;

	status_writer_init(&w, &ours);
	pid = start_vandal();
	/* To both kinds of it, however the two take turns. */
	while (good < 100 || bad < 1500) {
		struct status_page p = page_of(9), got;
		int r;

		assert_int_equal(status_page_write(&w, &p, 0600), 0);
		do {
			r = status_page_read(&got, &ours);
			if (r == 0) {
				assert_sound(&got);
				assert_true(got.runs);
				status_page_free(&got);
				good++;
			} else {
				assert_true(r == -EBADMSG || r == -EPROTO);
				bad++;
			}
		} while (r == 0);
	}
	end(pid);
	status_writer_deinit(&w, true);
}

static void what_is_no_page(void **state)
{
	struct status_page got;

	scratch_write(file, 0600, "");
	assert_int_equal(status_page_read(&got, &ours), -EPROTO);
	assert_int_equal(truncate(file, sizeof(struct status_head)), 0);
	assert_int_equal(status_page_read(&got, &ours), -EPROTO);
	assert_int_equal(truncate(file, (off_t)1 << 40), 0);
	assert_int_equal(status_page_read(&got, &ours), -EBADMSG);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(mkfifo(file, 0600), 0);
	assert_int_equal(status_page_read(&got, &ours), -EPROTO);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(symlink("/dev/zero", file), 0);
	assert_int_equal(status_page_read(&got, &ours), -EPROTO);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(mkdir(file, 0700), 0);
	assert_int_equal(status_page_read(&got, &ours), -EPROTO);
}

/* Of another version: it cannot be read, and that is not called damage. */
static void another_version(void **state)
{
	static _Alignas(8) unsigned char bytes[1 << 16];
	struct status_page p = page_of(1), got;
	struct status_writer w;
	uint32_t version = STATUS_VERSION + 1;
	size_t len;

	status_writer_init(&w, &ours);
	assert_int_equal(status_page_write(&w, &p, 0600), 0);
	len = bytes_of(bytes, sizeof(bytes));
	memcpy(bytes + offsetof(struct status_head, version), &version, sizeof(version));
	assert_int_equal(status_page_check(&got, bytes, len), -EPROTO);
	status_writer_deinit(&w, true);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, enter, leave)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(what_is_written_is_read),
		TEST(a_page_stays_and_says_that_nobody_runs),
		TEST(who_may_read_it),
		TEST(names_of_pages),
		TEST(half_a_page_is_nobodys),
		TEST(what_cannot_be_written_leaves_the_last_one),
		TEST(killed_at_any_moment),
		TEST(no_damage_goes_unseen),
		TEST(whatever_it_says_is_checked),
		TEST(damaged_under_the_reader),
		TEST(what_is_no_page),
		TEST(another_version),
	};

	return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
