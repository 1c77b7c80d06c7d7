/* SPDX-License-Identifier: BSD-3-Clause */
/* Sockets in the states that tests need, on the double of the core. */
#ifndef TEST_UNIT_AL_SOCK_HELP_H
#define TEST_UNIT_AL_SOCK_HELP_H

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "al/sock/api.h"
#include "al/sock/epoll.h"
#include "al/sock/sock.h"
#include "test/unit/al/fake_core.h"

static const struct sockaddr_in help_peer = {.sin_family = AF_INET,
		.sin_port = 0x5000 /* 80 */,
		.sin_addr.s_addr = 0x0200000a /* 10.0.0.2 */};

static inline struct al_sock *help_sock(int fd)
{
	return (struct al_sock *)al_fdtab_peek(&al_sockets.fdtab, fd);
}

/* A non-blocking connect in progress. */
static inline int help_connecting(void)
{
	int fd = al_sys_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	ck_assert_int_eq(al_sys_connect(fd, (const struct sockaddr *)&help_peer, sizeof(help_peer)),
			-EINPROGRESS);
	return fd;
}

static inline int help_open(struct al_conn **conn)
{
	int fd = help_connecting();

	*conn = fake.last;
	fake_connected(*conn);
	al_poll_events();
	ck_assert_int_eq(al_sock_refresh(help_sock(fd), fd), AL_SOCK_OPEN);
	return fd;
}

static inline void help_block(int fd)
{
	ck_assert_int_eq(al_sys_fcntl(fd, F_SETFL, al_sys_fcntl(fd, F_GETFL, 0) & ~O_NONBLOCK), 0);
}

static inline int help_listening(struct al_conn **master)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = al_sys_socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(al_sys_bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	ck_assert_int_eq(al_sys_listen(fd, 8), 0);
	*master = fake.last;
	return fd;
}

/* A connection that comes to the shadow by the kernel. */
static inline int help_kernel_client(int listener)
{
	struct sockaddr_in to;
	socklen_t len = sizeof(to);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&to, &len), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static inline int help_connect(int fd)
{
	return al_sys_connect(fd, (const struct sockaddr *)&help_peer, sizeof(help_peer));
}

static inline int help_so_error(int fd)
{
	int value = -1;
	socklen_t len = sizeof(value);

	ck_assert_int_eq(al_sys_getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len), 0);
	return value;
}

static inline short help_poll_one(int fd, short events, int64_t timeout_ns)
{
	struct pollfd pfd = {.fd = fd, .events = events};

	return al_sys_ppoll(&pfd, 1, timeout_ns, NULL) > 0 ? pfd.revents : 0;
}

#endif
