/* SPDX-License-Identifier: ISC */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "guard.h"
#include "moment.h"
#include "run.h"
#include "scene.h"
#include "watch.h"

/*
 * One case in which participants work in processes of their own while another writes damage into
 * the segment all the time. Real time, some milliseconds; the seed gives the scene and what each
 * does, the machine gives the order.
 */

#define WORK_NS_MIN 1000000
#define WORK_NS_MAX 6000000
#define SPAN_NS_MAX 300000

static noreturn void work(uint64_t seed, unsigned who)
{
	struct chance c = chance_of_seed(seed * (1 + CREW) + who);
	struct player p = {.name = "q", .span_max_ns = SPAN_NS_MAX};

	run_who = who;
	while (!atomic_load(&run->stop)) {
		if (!p.h && player_open(&p) < 0) {
			/* Damage keeps it out: the calls that need no handle remain. */
			(void)player_call(&p, CALL_CHECK, &c);
			(void)player_call(&p, CALL_GC, &c);
			continue;
		}
		if (chance_in(&c, 64)) {
			player_close(&p);
			continue;
		}
		/* A shutdown would be the end of it. */
		enum call which = (enum call)chance_below(&c, CALL_SWEEP);

		if (which != CALL_SHUTDOWN && which != CALL_LIST)
			(void)player_call(&p, which, &c);
	}
	if (p.h)
		player_close(&p);
	exit(0); /* and not _exit(): a sanitizer looks for leaks here */
}

static pid_t hire(uint64_t seed, unsigned who)
{
	pid_t pid = child_fork();

	if (pid < 0)
		watch_broken("fork: no process");
	if (pid == 0)
		work(seed, who);
	return pid;
}

void concurrent_case(uint64_t seed)
{
	struct chance c = chance_of_seed(seed);
	struct sq_config config = scene_config(&c);
	struct scene s;
	pid_t crew[CREW];
	int64_t until;
	bool killed;

	moment_real();
	config.participants += CREW;
	scene_queues(&s, &c, &config);
	scene_play(&s, &c, false, SPAN_NS_MAX);
	atomic_store(&run->stop, false);
	for (unsigned i = 0; i < CREW; i++)
		crew[i] = hire(seed, i + 1);
	until = moment_now() + WORK_NS_MIN + (int64_t)chance_below(&c, WORK_NS_MAX - WORK_NS_MIN);
	while (moment_now() < until) {
		run_change(&s.queue, &c);
		if (s.dead_letters.raw && chance_in(&c, 8))
			run_change(&s.dead_letters, &c);
		if (chance_in(&c, 8))
			aim_mend(&s.queue);
		for (uint64_t n = chance_below(&c, 4) * chance_below(&c, 400); n > 0; n--)
			sqi_pause();
	}
	killed = chance_in(&c, 4);
	if (killed) {
		(void)kill(crew[0], SIGKILL);
		atomic_fetch_add(&run->deaths, 1);
	}
	atomic_store(&run->stop, true);
	for (unsigned i = 0; i < CREW; i++) {
		int status;

		if (waitpid(crew[i], &status, 0) != crew[i])
			watch_broken("waitpid: not our child");
		atomic_store(&run->who[i + 1].call, NULL);
		if (i == 0 && killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
			continue;
		if (status == 0)
			continue;
		if (WIFEXITED(status) && WEXITSTATUS(status) == CASE_FAILED)
			exit(CASE_FAILED); /* it has said why */
		watch_broken("a participant died: status 0x%x", (unsigned)status);
	}
	/* A process that is left looks after the dead in what is left. */
	for (unsigned i = 0; i < PLAYERS; i++) {
		(void)player_call(&s.player[i], CALL_RECOVER, &c);
		(void)player_call(&s.player[i], CALL_STAT, &c);
	}
	scene_end(&s);
}
