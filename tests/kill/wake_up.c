/* SPDX-License-Identifier: ISC */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crew.h"

/*
 * Is every sleeper woken? Two processes play a ball to and fro over two queues, with pauses that
 * put each throw near the moment in which the other falls asleep. A wake-up that is lost costs a
 * rescue tick, 10 ms or more: so it cannot be hidden by the tick that repairs it. Scheduling is
 * late too, now and then, so a few are allowed.
 *
 *	--throws 40000 --seed N
 */

#define LATE_NS      (9 * CREW_MS)
#define LATE_ONE_OF  2000
#define LATE_ANYWAY  10
#define PAUSE_NS_MAX 8000 /* twice as long as a waiter looks before it sleeps */
#define ALARM_S      120

static void spin(int64_t ns)
{
	int64_t until = crew_now() + ns;

	while (crew_now() < until)
		;
}

static void throw_back(uint64_t throws, uint64_t random)
{
	struct sq *to = crew_open("to"), *fro = crew_open("fro");
	uint64_t ball;

	for (uint64_t i = 0; i < throws; i++) {
		if (sq_get(to, &ball, sizeof(ball), SQ_FOREVER) != sizeof(ball) || ball != i)
			crew_die("throw %" PRIu64 " came as %" PRIu64, i, ball);
		spin((int64_t)(crew_random(&random) >> 32) % PAUSE_NS_MAX);
		if (sq_put(fro, &ball, sizeof(ball), SQ_FOREVER) < 0)
			crew_die("a put failed");
	}
	sq_close(to);
	sq_close(fro);
}

/* How many throws came back late. */
static uint64_t play(uint64_t throws, uint64_t *random)
{
	struct sq *to = crew_open("to"), *fro = crew_open("fro");
	uint64_t ball, late = 0;

	for (uint64_t i = 0; i < throws; i++) {
		int64_t began;

		spin((int64_t)(crew_random(random) >> 32) % PAUSE_NS_MAX);
		began = crew_now();
		if (sq_put(to, &i, sizeof(i), SQ_FOREVER) < 0)
			crew_die("a put failed");
		if (sq_get(fro, &ball, sizeof(ball), SQ_FOREVER) != sizeof(ball) || ball != i)
			crew_die("throw %" PRIu64 " came back as %" PRIu64, i, ball);
		late += crew_now() - began > LATE_NS;
	}
	sq_close(to);
	sq_close(fro);
	return late;
}

int main(int argc, char **argv)
{
	uint64_t seed = crew_number(argc, argv, "--seed", (uint64_t)crew_now()),
		 random = crew_mix(seed);
	uint64_t throws = crew_number(argc, argv, "--throws", 40000), late;
	struct sq_config config = {.capacity = 2};
	int64_t began;
	double each_us;
	pid_t pid;

	crew_init("wake_up", seed, ALARM_S);
	crew_queue("to", &config);
	crew_queue("fro", &config);
	pid = crew_fork();
	if (pid == 0) {
		throw_back(throws, seed);
		exit(0);
	}
	began = crew_now();
	late = play(throws, &random);
	each_us = (double)(crew_now() - began) / 1000 / (double)throws;
	if (crew_wait(pid))
		crew_die("the other one failed");
	if (late > throws / LATE_ONE_OF + LATE_ANYWAY)
		crew_die("%" PRIu64 " of %" PRIu64 " throws took more than 9 ms: wake-ups are lost",
			late, throws);
	return crew_finish("%" PRIu64 " throws passed, 0 failed: %" PRIu64
			   " took more than 9 ms, %.1f us each",
		throws, late, each_us);
}
