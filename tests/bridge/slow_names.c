/* SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * getaddrinfo() for the daemon under test, instead of the C library's. A name is answered when a file
 * of that name is there, in the working directory: with the address of the loopback; two.example with
 * another one before it, where nobody listens; none.example with an error. Numbers are answered at
 * once.
 */

int getaddrinfo(const char *restrict node, const char *restrict service,
	const struct addrinfo *restrict hints, struct addrinfo **restrict ret);
void freeaddrinfo(struct addrinfo *list);

struct one {
	struct addrinfo info; /* first */
	struct sockaddr_in to;
};

static struct addrinfo *make(uint32_t address, const char *port, struct addrinfo *next)
{
	struct one *o = calloc(1, sizeof(*o));

	if (!o)
		abort();
	o->to = (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(port)),
		.sin_addr.s_addr = htonl(address)};
	o->info = (struct addrinfo){.ai_family = AF_INET,
		.ai_socktype = SOCK_STREAM,
		.ai_addr = (struct sockaddr *)&o->to,
		.ai_addrlen = sizeof(o->to),
		.ai_next = next};
	return &o->info;
}

int getaddrinfo(const char *restrict node, const char *restrict service,
	const struct addrinfo *restrict hints, struct addrinfo **restrict ret)
{
	struct in_addr number;

	if (inet_aton(node, &number)) {
		*ret = make(ntohl(number.s_addr), service, NULL);
		return 0;
	}
	if (hints->ai_flags & AI_NUMERICHOST)
		return EAI_NONAME;
	while (access(node, F_OK) != 0)
		(void)usleep(5000);
	if (strcmp(node, "none.example") == 0)
		return EAI_NONAME;
	*ret = make(INADDR_LOOPBACK, service, NULL);
	if (strcmp(node, "two.example") == 0)
		*ret = make(INADDR_LOOPBACK + 1, "1", *ret);
	return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
	while (list) {
		struct addrinfo *next = list->ai_next;

		free(list);
		list = next;
	}
}
