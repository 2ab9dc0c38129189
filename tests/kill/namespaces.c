/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "crew.h"
#include "member/upkeep.h"
#include "now.h"
#include "ops/handle.h"
#include "options.h"
#include "spaces.h"

/*
 * Whether a participant lives is told without any pid and without /proc. Shown where a pid tells
 * nothing, or lies:
 *
 *	two pid namespaces on one queue, with the same pids in both: the death of one is found in the
 *	other, and the living are not taken for dead; a whole namespace that ends
 *	a pid that is used again, by a stranger or by another participant, before anybody looked
 *	a mount namespace in which /proc is empty
 *
 *	--times 20
 */

#define MEMBERS      3
#define SPAN_NS      (60 * (int64_t)CREW_SECOND)
#define LOOK_NS      100000
#define NO_RESCUE_MS 50000
#define ALARM_S      1000

enum order { IDLE, LEASE, ACK, RECOVER, DIE };

/* A participant in some namespace, and what it is told to do. */
struct member {
	_Atomic int order; /* set to IDLE when it is done */
	_Atomic int result;
	_Atomic pid_t pid;         /* as it sees itself */
	_Atomic uint32_t attempts; /* of its lease */
	_Atomic bool open;
};

/* A pid namespace: its first process makes members, and nothing else. */
struct space {
	_Atomic int make;      /* number of the member to make, plus one */
	_Atomic pid_t as;      /* with this pid; 0: any */
	_Atomic bool stranger; /* one that does not open the queue */
	_Atomic bool made;
	struct member member[MEMBERS];
};

static struct space *spaces; /* two, shared */

static void be_member(struct member *m, bool stranger)
{
	struct sq *h = stranger ? NULL : crew_open("spaces");
	struct sq_lease lease = {0};

	m->pid = (pid_t)syscall(SYS_getpid);
	m->open = true;
	for (;;) {
		int r = 0, order = m->order;

		switch (order) {
		case IDLE:
			sleep_ns(LOOK_NS);
			continue;
		case LEASE:
			r = sq_lease(h, &lease, SQ_NOWAIT);
			m->attempts = lease.attempts;
			break;
		case ACK:
			r = sq_ack(h, &lease);
			break;
		case RECOVER:
			r = sq_recover(h);
			break;
		default:
			(void)kill((pid_t)syscall(SYS_getpid), SIGKILL);
			break;
		}
		m->result = r;
		m->order = IDLE;
	}
}

/* fork(), but with a pid of our choice if `as` is not 0. */
static pid_t fork_as(pid_t as)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&as, .set_tid_size = 1};

	return as ? (pid_t)syscall(SYS_clone3, &args, sizeof(args)) : fork();
}

/* Process 1. It has no handle itself. */
static void be_first(struct space *s)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int n = s->make;
		pid_t pid;

		/* A dead member's pid is free when it has been waited for. */
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (n == 0) {
			sleep_ns(LOOK_NS);
			continue;
		}
		pid = fork_as(s->as);
		if (pid < 0 && errno == EEXIST)
			continue; /* its former bearer is not quite gone */
		if (pid < 0)
			crew_die("a process with pid %d: %s", (int)s->as, strerror(errno));
		if (pid == 0)
			be_member(&s->member[n - 1], s->stranger);
		s->make = 0;
		s->made = true;
	}
}

/* A new pid namespace. It ends with the process returned. */
static pid_t make_space(struct space *s)
{
	pid_t pid;

	memset(s, 0, sizeof(*s));
	pid = crew_fork();
	if (pid == 0) {
		pid_t first;

		if (!spaces_enter(CLONE_NEWPID))
			crew_die("no namespace: %s", strerror(errno));
		first = fork();
		if (first == 0)
			be_first(s);
		(void)waitpid(first, NULL, 0);
		_exit(0);
	}
	return pid;
}

static void wait_for(const _Atomic bool *flag)
{
	int64_t until = now_ns() + SPAN_NS;

	while (!*flag && !crew_failed() && now_ns() < until)
		sleep_ns(LOOK_NS);
	if (!*flag)
		crew_die("a member does not come");
}

static struct member *make_member(struct space *s, int n, pid_t as, bool stranger)
{
	memset(&s->member[n], 0, sizeof(s->member[n]));
	s->made = false;
	s->as = as;
	s->stranger = stranger;
	s->make = n + 1;
	wait_for(&s->made);
	wait_for(&s->member[n].open);
	return &s->member[n];
}

static int tell(struct member *m, enum order order)
{
	int64_t until = now_ns() + SPAN_NS;

	m->order = order;
	if (order == DIE)
		return 0;
	while (m->order != IDLE && !crew_failed() && now_ns() < until)
		sleep_ns(LOOK_NS);
	if (m->order != IDLE)
		crew_die("a member does not obey");
	return m->result;
}

/* Of this many dead: the death is over in a moment, but not at once. */
static void await_dead(struct sq *h, int n)
{
	int64_t until = now_ns() + SPAN_NS;
	int found = 0;

	while (found < n && now_ns() < until) {
		int r = sq_recover(h);

		if (r < 0)
			crew_die("sq_recover: %s", sq_strerror(r));
		found += r;
		sleep_ns(LOOK_NS);
	}
	if (found != n)
		crew_die("%d were found dead, not %d", found, n);
}

static struct sq *begin(int messages)
{
	struct sq_config config = {.capacity = 8, .max_message = 1000, .participants = 8};
	struct sq *h;

	crew_queue("spaces", &config);
	h = crew_open("spaces");
	for (int i = 0; i < messages; i++)
		must("sq_put", sq_put(h, "task", 4, SQ_NOWAIT), 0);
	return h;
}

/* Leases what came back, so many, and acks it. */
static void take_again(struct sq *h, int n)
{
	struct sq_lease lease;

	for (int i = 0; i < n; i++) {
		must("sq_lease of what came back", sq_lease(h, &lease, SQ_NOWAIT), 0);
		if (lease.attempts < 2)
			crew_die("a lease that came back says attempts %u", lease.attempts);
		must("sq_ack", sq_ack(h, &lease), 0);
	}
	must("sq_lease of more", sq_lease(h, &lease, SQ_NOWAIT), -EAGAIN);
}

static void two_spaces(void)
{
	struct sq *h = begin(4);
	pid_t space[2];
	struct member *a, *b, *c, *d;

	for (int i = 0; i < 2; i++)
		space[i] = make_space(&spaces[i]);
	a = make_member(&spaces[0], 0, 0, false);
	b = make_member(&spaces[1], 0, 0, false);
	if (a->pid != b->pid || a->pid == 0)
		crew_die("their pids are %d and %d", (int)a->pid, (int)b->pid);
	must("sq_lease in one", tell(a, LEASE), 0);
	must("sq_lease in the other", tell(b, LEASE), 0);

	/* No participant is dead, seen from any namespace. */
	must("sq_recover outside", sq_recover(h), 0);
	must("sq_recover in one", tell(a, RECOVER), 0);
	must("sq_recover in the other", tell(b, RECOVER), 0);

	/* One dies: the other finds it, and takes its message over. */
	c = make_member(&spaces[1], 1, 0, false);
	must("sq_lease of a third", tell(c, LEASE), 0);
	(void)tell(a, DIE);
	for (int i = 0;; i++) {
		int r = tell(b, RECOVER);

		if (r == 1)
			break;
		if (r != 0 || i > SPAN_NS / CREW_MS)
			crew_die("sq_recover in the other namespace: %d", r);
		sleep_ns(CREW_MS);
	}
	d = make_member(&spaces[1], 2, 0, false);
	must("sq_lease of what came back", tell(d, LEASE), 0);
	if (d->attempts != 2)
		crew_die("attempts %u of what came back", d->attempts);
	must("sq_ack of who has the dead one's pid", tell(b, ACK), 0);

	/* A whole namespace ends. */
	must("sq_lease", tell(b, LEASE), 0);
	crew_kill(space[1]);
	await_dead(h, 3);
	take_again(h, 3);
	crew_kill(space[0]);
	must("sq_recover", sq_recover(h), 0);
	crew_check_rest(h, 4);
	sq_close(h);
}

static void same_pid(bool stranger)
{
	struct sq *h = begin(2);
	pid_t space = make_space(&spaces[0]), pid;
	struct member *a = make_member(&spaces[0], 0, 0, false), *b;
	int64_t until = now_ns() + SPAN_NS;
	struct sq_stat st;

	pid = a->pid;
	/*
	 * No call shall find the dead one in passing, neither an open nor the first use of a
	 * handle.
	 */
	sqi_store_relaxed(&h->ring.head->upkeep_ms, sqi_upkeep_at(sqi_now_ms(), NO_RESCUE_MS));
	must("sq_lease", tell(a, LEASE), 0);
	(void)tell(a, DIE);
	while (!sqi_is_dead(&h->member, sqi_load_seq(&sqi_slot(&h->ring, 1)->id)) &&
		now_ns() < until)
		sleep_ns(LOOK_NS);
	b = make_member(&spaces[0], 1, pid, stranger);
	if (b->pid != pid)
		crew_die("the pid is %d, not %d again", (int)b->pid, (int)pid);
	must("sq_stat", sq_stat(h, &st), 0);
	if (st.participants != (stranger ? 1 : 2) || st.leased != 1)
		crew_die("%u participants, %" PRIu64 " leases", st.participants, st.leased);
	if (!stranger)
		must("sq_lease by the new one", tell(b, LEASE), 0);
	if (!stranger &&
		(b->attempts != 1 || sqi_load_relaxed(&sqi_slot(&h->ring, 1)->pid) !=
					     sqi_load_relaxed(&sqi_slot(&h->ring, 2)->pid)))
		crew_die("the slots of both do not show the same pid");
	must("sq_recover", sq_recover(h), 1);
	must("sq_stat", sq_stat(h, &st), 0);
	if (st.back != 1 || st.leased != !stranger || st.reclaimed != 1)
		crew_die("%" PRIu64 " back, %" PRIu64 " leased, %" PRIu64 " reclaimed", st.back,
			st.leased, st.reclaimed);
	if (!stranger)
		must("sq_ack by the new one", tell(b, ACK), 0);
	(void)tell(b, DIE);
	if (!stranger)
		await_dead(h, 1);
	crew_kill(space);
	while (sq_get(h, &(char[8]){0}, 8, SQ_NOWAIT) >= 0)
		;
	crew_check_rest(h, 2);
	sq_close(h);
}

/* In a namespace of its own: everything there is to do with death, without a /proc. */
static void be_without_proc(void)
{
	struct sq_lease lease;
	struct sq *h;

	if (!spaces_enter(CLONE_NEWNS) || !spaces_mount("/proc", "size=4k"))
		crew_die("/proc cannot be hidden: %s", strerror(errno));
	if (access("/proc/self", F_OK) == 0)
		crew_die("/proc is still there");
	h = begin(1);
	for (unsigned i = 0; i < 2; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			struct sq *own = crew_open("spaces");

			must("sq_put by the parent's handle", sq_put(h, "x", 1, SQ_NOWAIT), -EBADF);
			must("sq_recover", sq_recover(own), 0);
			must("sq_lease", sq_lease(own, &lease, SQ_NOWAIT), 0);
			(void)raise(SIGKILL);
		}
		if (waitpid(pid, NULL, 0) != pid)
			crew_die("waitpid: %s", strerror(errno));
		if (i == 1)
			must("sq_recover", sq_recover(h), 1);
		/* Else it is found by who waits. */
		must("sq_lease", sq_lease(h, &lease, i == 0 ? SQ_FOREVER : SQ_NOWAIT), 0);
		if (lease.attempts != 2 + 2 * i)
			crew_die("attempts %u", lease.attempts);
		must("settling", i == 0 ? sq_nack(h, &lease) : sq_ack(h, &lease), 0);
	}
	must("sq_recover at the end", sq_recover(h), 0);
	crew_check_rest(h, 1);
	sq_close(h);
	_exit(0);
}

int main(int argc, char **argv)
{
	uint64_t times = option_number(argc, argv, "--times", 20);

	options_end(argc, argv);
	crew_init("namespaces", 0, ALARM_S);
	if (!spaces_permitted(CLONE_NEWPID | CLONE_NEWNS)) {
		(void)printf("namespaces: nobody may make namespaces here: nothing was shown\n");
		return SPACES_NONE;
	}
	spaces = crew_share(2 * sizeof(*spaces));
	for (uint64_t i = 0; i < times; i++) {
		pid_t pid;

		two_spaces();
		same_pid(true);
		same_pid(false);
		pid = crew_fork();
		if (pid == 0)
			be_without_proc();
		if (crew_wait(pid) != 0)
			crew_die("without /proc: failed");
	}
	return crew_finish(
		"4 kinds passed, 0 failed: two pid namespaces, a pid used again by a stranger "
		"and by a participant, no /proc, %" PRIu64 " times each",
		times);
}
