/* SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "now.h"
#include "rng.h"

/*
 * A switch with bad weather, for kernels without netem: joins interfaces of its network namespace,
 * and loses, delays and reorders what comes from, and goes to, each of them.
 *
 *	cable SEED INTERFACE...
 *
 * Each line of its standard input is the weather of one interface from now on, in both directions:
 *
 *	INTERFACE LOSS_PERCENT DELAY_MS JITTER_MS REORDER_PERCENT
 *
 * and is answered with a line. As netem has it: a frame is delayed by DELAY, and up to JITTER more or
 * less, and overtakes others by that; one to be reordered is not delayed at all. It ends with its
 * standard input. What is under way is bounded: what goes beyond is lost, as in any switch.
 */

#define PORTS_MAX   8
#define FRAME_MAX   (sizeof(struct virtio_net_hdr) + 65536 + 256)
#define UNDER_WAY   4096
#define BUFFER_SIZE (8 << 20)

struct frame {
	TAILQ_ENTRY(frame) at;
	int64_t due_ns;
	unsigned to;
	size_t len;
	uint8_t bytes[];
};

static struct port {
	char name[IF_NAMESIZE];
	int fd;
	unsigned loss, reorder; /* percent */
	int64_t delay_ns, jitter_ns;
} ports[PORTS_MAX];
static unsigned ports_n;

/* Which port an address belongs to: the last on which a frame came from it. */
static struct {
	uint8_t address[ETH_ALEN];
	unsigned port;
} known[PORTS_MAX];
static unsigned known_n;

static TAILQ_HEAD(frames, frame) under_way = TAILQ_HEAD_INITIALIZER(under_way); /* by due_ns */
static unsigned under_way_n;
static uint64_t chance_state;

static uint64_t chance_below(uint64_t n)
{
	return rng_shift(&chance_state) % n;
}

/* Large frames of the kernel's go whole, with what they are to be cut by. */
static int plug_in(struct port *port, const char *name)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int one = 1, size = BUFFER_SIZE;

	(void)snprintf(port->name, sizeof(port->name), "%s", name);
	at.sll_ifindex = (int)if_nametoindex(name);
	port->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (at.sll_ifindex == 0 || port->fd < 0 ||
		setsockopt(port->fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) < 0 ||
		setsockopt(port->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) < 0 ||
		bind(port->fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return -errno;
	/* As much as we may have. */
	if (setsockopt(port->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(port->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return 0;
}

/* What the weather does to a frame here: false, or so much later. */
static bool pass(const struct port *port, int64_t *due_ns)
{
	if (chance_below(100) < port->loss)
		return false;
	if (port->delay_ns > 0 && chance_below(100) >= port->reorder)
		*due_ns += port->delay_ns - port->jitter_ns +
			   (int64_t)chance_below((uint64_t)port->jitter_ns * 2 + 1);
	return true;
}

static void put_out(unsigned to, const uint8_t *bytes, size_t len)
{
	/* Down, or full: lost. */
	(void)!write(ports[to].fd, bytes, len);
}

static void send_on(unsigned from, unsigned to, const uint8_t *bytes, size_t len)
{
	int64_t now = now_ns(), due = now;
	struct frame *f, *before;

	if (!pass(&ports[from], &due) || !pass(&ports[to], &due))
		return;
	if (due == now) {
		put_out(to, bytes, len);
		return;
	}
	if (under_way_n == UNDER_WAY || !(f = malloc(sizeof(*f) + len)))
		return;
	f->due_ns = due;
	f->to = to;
	f->len = len;
	memcpy(f->bytes, bytes, len);
	before = TAILQ_LAST(&under_way, frames);
	while (before && before->due_ns > due)
		before = TAILQ_PREV(before, frames, at);
	if (before)
		TAILQ_INSERT_AFTER(&under_way, before, f, at);
	else
		TAILQ_INSERT_HEAD(&under_way, f, at);
	under_way_n++;
}

static unsigned port_of(const uint8_t *address)
{
	for (unsigned i = 0; i < known_n; i++)
		if (memcmp(known[i].address, address, ETH_ALEN) == 0)
			return known[i].port;
	return PORTS_MAX;
}

static void remember(const uint8_t *address, unsigned port)
{
	if (port_of(address) != PORTS_MAX || known_n == PORTS_MAX)
		return;
	memcpy(known[known_n].address, address, ETH_ALEN);
	known[known_n++].port = port;
}

static void take_in(unsigned from)
{
	static uint8_t bytes[FRAME_MAX];
	ssize_t n;

	for (int i = 0; i < 64; i++) { /* the others want their turn */
		const struct ethhdr *head = (const struct ethhdr *)(bytes +
								    sizeof(struct virtio_net_hdr));
		unsigned to;

		n = read(ports[from].fd, bytes, sizeof(bytes));
		if (n < (ssize_t)(sizeof(struct virtio_net_hdr) + sizeof(*head)))
			return;
		remember(head->h_source, from);
		to = port_of(head->h_dest);
		for (unsigned p = 0; p < ports_n; p++)
			if (p != from && (to == p || to == PORTS_MAX))
				send_on(from, p, bytes, (size_t)n);
	}
}

static void deliver(void)
{
	int64_t now = now_ns();
	struct frame *f;

	while ((f = TAILQ_FIRST(&under_way)) && f->due_ns <= now) {
		TAILQ_REMOVE(&under_way, f, at);
		under_way_n--;
		put_out(f->to, f->bytes, f->len);
		free(f);
	}
}

/* A line comes whole: a person, or a program, writes one and waits for the answer. */
static bool weather(void)
{
	unsigned loss, delay, jitter, reorder;
	char line[256], name[IF_NAMESIZE];
	ssize_t n = read(STDIN_FILENO, line, sizeof(line) - 1);

	if (n <= 0)
		return false;
	line[n] = '\0';
	if (sscanf(line, "%15s %u %u %u %u", name, &loss, &delay, &jitter, &reorder) != 5 ||
		jitter > delay)
		return false;
	for (unsigned p = 0; p < ports_n; p++)
		if (strcmp(ports[p].name, name) == 0) {
			ports[p].loss = loss;
			ports[p].delay_ns = (int64_t)delay * 1000000;
			ports[p].jitter_ns = (int64_t)jitter * 1000000;
			ports[p].reorder = reorder;
			return puts("done") >= 0 && fflush(stdout) == 0;
		}
	return false;
}

int main(int argc, char **argv)
{
	struct pollfd fds[PORTS_MAX + 1];

	if (argc < 4 || argc - 2 > PORTS_MAX) {
		(void)fputs("usage: cable SEED INTERFACE INTERFACE...\n", stderr);
		return EX_USAGE;
	}
	chance_state = strtoull(argv[1], NULL, 10) * 2 + 1;
	for (int i = 2; i < argc; i++) {
		int e = plug_in(&ports[ports_n], argv[i]);

		if (e < 0) {
			(void)fprintf(stderr, "cable: %s: %s\n", argv[i], strerror(-e));
			return EX_OSERR;
		}
		fds[ports_n] = (struct pollfd){.fd = ports[ports_n].fd, .events = POLLIN};
		ports_n++;
	}
	fds[ports_n] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
	(void)puts("ready");
	(void)fflush(stdout);
	for (;;) {
		struct frame *next = TAILQ_FIRST(&under_way);
		struct timespec wait = {0}, *until = NULL;

		if (next) {
			int64_t ns = next->due_ns - now_ns();

			if (ns > 0)
				wait = (struct timespec){ns / 1000000000, ns % 1000000000};
			until = &wait;
		}
		if (ppoll(fds, ports_n + 1, until, NULL) < 0 && errno != EINTR)
			return EX_OSERR;
		for (unsigned p = 0; p < ports_n; p++) {
			int e;
			socklen_t len = sizeof(e);

			if (fds[p].revents & POLLERR) /* its link went down: read once, and gone */
				(void)getsockopt(fds[p].fd, SOL_SOCKET, SO_ERROR, &e, &len);
			if (fds[p].revents & POLLIN)
				take_in(p);
		}
		if (fds[ports_n].revents & (POLLIN | POLLHUP) && !weather())
			return 0;
		deliver();
	}
}
