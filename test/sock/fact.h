/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the conformance programs share: facts printed one per line ("name: result"), and a peer that does as told.
 *
 * The same program runs on the kernel and on ETA; equal output is conformance. So a fact names what a program can see (values, errno by
 * name), never a port number, a time or a descriptor.
 *
 * The peer (sock_peer) is told by the first line of a connection: echo, hold, fin, reset, data N, dial PORT N, shy PORT MS, late MS TEXT. It always runs
 * on the kernel. SOCK_PEER and SOCK_PORT say where.
 */
#ifndef TEST_SOCK_FACT_H
#define TEST_SOCK_FACT_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline void fact(const char *name, const char *format, ...)
{
	va_list args;

	printf("%s: ", name);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

/* The result of a call: its value, or the name of errno. */
static inline void fact_ret(const char *name, long ret)
{
	if (ret < 0)
		fact(name, "%s", strerrorname_np(errno));
	else
		fact(name, "%ld", ret);
}

static inline void fact_ok(const char *name, bool ok)
{
	fact(name, "%s", ok ? "yes" : "no");
}

static inline int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

static inline socklen_t peer_addr(struct sockaddr_storage *to)
{
	const char *peer = getenv("SOCK_PEER");
	const char *port = getenv("SOCK_PORT");
	struct sockaddr_in *in = (struct sockaddr_in *)to;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;

	memset(to, 0, sizeof(*to));
	if (!peer || !port) {
		fputs("SOCK_PEER and SOCK_PORT must say where sock_peer listens\n", stderr);
		exit(2);
	}
	if (inet_pton(AF_INET, peer, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)atoi(port));
		return sizeof(*in);
	}
	if (inet_pton(AF_INET6, peer, &in6->sin6_addr) != 1)
		exit(2);
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons((uint16_t)atoi(port));
	return sizeof(*in6);
}

static inline int peer_family(void)
{
	struct sockaddr_storage to;

	peer_addr(&to);
	return to.ss_family;
}

/* A connection on which the peer does @command. */
static inline int peer_dial(const char *command)
{
	struct sockaddr_storage to;
	socklen_t len = peer_addr(&to);
	int fd = socket(to.ss_family, SOCK_STREAM, 0);
	char line[128];
	int n = snprintf(line, sizeof(line), "%s\n", command);

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, len) != 0 ||
			send(fd, line, (size_t)n, 0) != n) {
		perror("cannot reach sock_peer");
		exit(2);
	}
	return fd;
}

/* A listener on any port of all our addresses. */
static inline int listen_any(int *port)
{
	struct sockaddr_storage at = {.ss_family = (sa_family_t)peer_family()};
	socklen_t len = at.ss_family == AF_INET ? sizeof(struct sockaddr_in)
						: sizeof(struct sockaddr_in6);
	int fd = socket(at.ss_family, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&at, len) != 0 || listen(fd, 16) != 0) {
		perror("listen");
		exit(2);
	}
	getsockname(fd, (struct sockaddr *)&at, &len);
	*port = ntohs(((struct sockaddr_in *)&at)->sin_port);
	return fd;
}

/* Have the peer connect to our @port @n times. Return: the connection that asked for it. */
static inline int peer_back(int port, int n)
{
	char command[64];

	snprintf(command, sizeof(command), "dial %d %d", port, n);
	return peer_dial(command);
}

static inline const char *poll_text(short revents)
{
	static char text[64];

	snprintf(text, sizeof(text), "%s%s%s%s%s%s", revents & POLLIN ? "IN " : "",
			revents & POLLOUT ? "OUT " : "", revents & POLLRDHUP ? "RDHUP " : "",
			revents & POLLHUP ? "HUP " : "", revents & POLLERR ? "ERR " : "",
			revents & POLLNVAL ? "NVAL " : "");
	return text;
}

static inline short poll_one(int fd, short events, int timeout_ms)
{
	struct pollfd pfd = {.fd = fd, .events = events};

	return poll(&pfd, 1, timeout_ms) > 0 ? pfd.revents : 0;
}

static inline void set_nonblock(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* Read until @n bytes or the end. */
static inline ssize_t read_all(int fd, void *buf, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = read(fd, (char *)buf + done, n - done);

		if (got <= 0)
			return done ? (ssize_t)done : got;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

#endif
