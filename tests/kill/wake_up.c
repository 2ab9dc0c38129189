/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crew.h"
#include "now.h"
#include "options.h"
#include "rng.h"

/*
 * Is every sleeper woken? Two processes play a ball to and fro over two queues, with pauses that
 * put each throw near the moment in which the other falls asleep. A wake-up that is lost costs a
 * tick, 10 ms or more: so it cannot be hidden by the tick that repairs it. Scheduling is
 * late too, now and then, on a busy machine more often: so the two play over pipes by turns, and as many
 * throws may be late as come late over those, three times over, and a few.
 *
 *	--throws 40000 --seed N
 *
 * With TESTS_ANY_TIME late throws are only counted: each must come, and as what it was.
 */

#define LATE_NS      (9 * CREW_MS)
#define LATE_ONE_OF  2000
#define LATE_ANYWAY  10
#define LATE_TIMES   3
#define SLICE        500  /* throws */
#define PAUSE_NS_MAX 8000 /* twice as long as a waiter looks before it sleeps */
#define ALARM_S      600

static void spin(int64_t ns)
{
	int64_t until = now_ns() + ns;

	while (now_ns() < until)
		;
}

/* How the ball goes: over a queue, or the control's pipe. */
struct way {
	struct sq *queue;
	int out, in;
};

static int pipes[2][2]; /* to, fro */

static void throw(const struct way *w, uint64_t ball)
{
	if (w->queue ? sq_put(w->queue, &ball, sizeof(ball), SQ_FOREVER) < 0
		     : write(w->out, &ball, sizeof(ball)) != sizeof(ball))
		crew_die("throw %" PRIu64 " failed", ball);
}

static void catch (const struct way *w, uint64_t expected)
{
	uint64_t ball;

	if ((w->queue ? sq_get(w->queue, &ball, sizeof(ball), SQ_FOREVER)
		      : read(w->in, &ball, sizeof(ball))) != sizeof(ball) ||
		ball != expected)
		crew_die("throw %" PRIu64 " did not come as such", expected);
}

/* By turns, so that both see the same machine. */
static bool by_queue(uint64_t throw)
{
	return throw / SLICE % 2 == 0;
}

static void throw_back(uint64_t throws, uint64_t random)
{
	struct way to[2] = {{.in = pipes[0][0]}, {.queue = crew_open("to")}};
	struct way fro[2] = {{.out = pipes[1][1]}, {.queue = crew_open("fro")}};

	for (uint64_t i = 0; i < 2 * throws; i++) {
		catch (&to[by_queue(i)], i);
		spin((int64_t)(rng_next(&random) >> 32) % PAUSE_NS_MAX);
		throw(&fro[by_queue(i)], i);
	}
	sq_close(to[1].queue);
	sq_close(fro[1].queue);
}

/* How many throws came back late, over pipes [0] and queues [1]; and how long all over queues took. */
static void play(uint64_t throws, uint64_t *random, uint64_t late[2], int64_t *ret_ns)
{
	struct way to[2] = {{.out = pipes[0][1]}, {.queue = crew_open("to")}};
	struct way fro[2] = {{.in = pipes[1][0]}, {.queue = crew_open("fro")}};

	*ret_ns = 0;
	for (uint64_t i = 0; i < 2 * throws; i++) {
		int64_t began, took;

		spin((int64_t)(rng_next(random) >> 32) % PAUSE_NS_MAX);
		began = now_ns();
		throw(&to[by_queue(i)], i);
		catch (&fro[by_queue(i)], i);
		took = now_ns() - began;
		late[by_queue(i)] += took > LATE_NS;
		*ret_ns += by_queue(i) ? took : 0;
	}
	sq_close(to[1].queue);
	sq_close(fro[1].queue);
}

int main(int argc, char **argv)
{
	uint64_t seed = option_number(argc, argv, "--seed", (uint64_t)now_ns()),
		 random = rng_mix(seed);
	uint64_t throws = option_number(argc, argv, "--throws", 40000), late[2] = {0};
	struct sq_config config = {.capacity = 2};
	int64_t took;
	pid_t pid;

	options_end(argc, argv);
	crew_init("wake_up", seed, ALARM_S);
	crew_queue("to", &config);
	crew_queue("fro", &config);
	throws = (throws + SLICE - 1) / SLICE * SLICE;
	if (pipe2(pipes[0], O_CLOEXEC) < 0 || pipe2(pipes[1], O_CLOEXEC) < 0)
		crew_die("pipe2: %s", strerror(errno));
	pid = crew_fork();
	if (pid == 0) {
		throw_back(throws, seed);
		exit(0);
	}
	play(throws, &random, late, &took);
	if (crew_wait(pid))
		crew_die("the other one failed");
	if (time_is_judged() && late[1] > LATE_TIMES * late[0] + throws / LATE_ONE_OF + LATE_ANYWAY)
		crew_die("%" PRIu64 " of %" PRIu64 " throws took more than 9 ms, %" PRIu64
			 " of as many over pipes: wake-ups are lost",
			late[1], throws, late[0]);
	return crew_finish("%" PRIu64 " throws passed, 0 failed: %" PRIu64
			   " took more than 9 ms, %" PRIu64 " over pipes; %.1f us there and back",
		throws, late[1], late[0], (double)took / 1000 / (double)throws);
}
