/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The benchmark's stack on plain sockets and epoll, for the kernel, and unchanged for eta-run.
 *
 * Level-triggered for reading; writability is asked for only after a send did not fit. A connecting socket is watched for writing first.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "test/bench/io.h"

#define BATCH 64
#define FDS_MAX 65536
#define COOKIE_LISTENER 0xffffffffu

enum fd_state {
	FD_OPEN = 0,
	FD_CONNECTING,
	FD_WANTS_WRITE,
};

const char *const io_name = "sock";

static struct {
	uint32_t cookie;
	uint8_t state;
} table[FDS_MAX];
static __thread int epfd = -1;

int io_start(const char *path)
{
	(void)path;
	return 0;
}

int io_thread_start(void)
{
	epfd = epoll_create1(EPOLL_CLOEXEC);
	return epfd < 0 ? -errno : 0;
}

static int watch(int op, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	return epoll_ctl(epfd, op, fd, &ev) ? -errno : 0;
}

static int give_up(int fd)
{
	int err = -errno;

	close(fd);
	return err;
}

int io_listen(const struct sockaddr *addr, socklen_t len, int backlog)
{
	const int one = 1;
	int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd >= FDS_MAX || bind(fd, addr, len) || listen(fd, backlog))
		return give_up(fd);
	table[fd].cookie = COOKIE_LISTENER;
	table[fd].state = FD_OPEN;
	return watch(EPOLL_CTL_ADD, fd, EPOLLIN);
}

int io_connect(const struct sockaddr *addr, socklen_t len, uint32_t cookie, uint64_t *conn)
{
	int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const int one = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fd >= FDS_MAX || (connect(fd, addr, len) && errno != EINPROGRESS))
		return give_up(fd);
	table[fd].cookie = cookie;
	table[fd].state = FD_CONNECTING;
	*conn = (uint64_t)fd;
	return watch(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT);
}

void io_set_cookie(uint64_t conn, uint32_t cookie)
{
	table[conn].cookie = cookie;
}

ssize_t io_send(uint64_t conn, const void *bytes, size_t len)
{
	ssize_t n = send((int)conn, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n >= 0)
		return n;
	if (errno == EAGAIN && table[conn].state == FD_OPEN) {
		table[conn].state = FD_WANTS_WRITE;
		watch(EPOLL_CTL_MOD, (int)conn, EPOLLIN | EPOLLOUT);
		return -EAGAIN;
	}
	return -errno;
}

ssize_t io_recv(uint64_t conn, void *bytes, size_t len)
{
	ssize_t n = recv((int)conn, bytes, len, MSG_DONTWAIT);

	return n < 0 ? -errno : n;
}

void io_close(uint64_t conn)
{
	close((int)conn);
}

static uint32_t translate(int fd, uint32_t events, int *error)
{
	socklen_t len = sizeof(*error);
	uint32_t what = 0;

	*error = 0;
	if (events & (EPOLLERR | EPOLLHUP)) {
		getsockopt(fd, SOL_SOCKET, SO_ERROR, error, &len);
		*error = -*error;
		if (*error)
			return IO_CLOSED;
	}
	if (events & EPOLLOUT && table[fd].state != FD_OPEN) {
		what |= table[fd].state == FD_CONNECTING ? IO_CONNECTED : IO_WRITABLE;
		table[fd].state = FD_OPEN;
		watch(EPOLL_CTL_MOD, fd, EPOLLIN);
	}
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))
		what |= IO_READABLE;
	return what;
}

/* Return: the new connection, or -1. */
static int accept_one(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	const int one = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fd >= FDS_MAX) {
		close(fd);
		return -1;
	}
	table[fd].state = FD_OPEN;
	watch(EPOLL_CTL_ADD, fd, EPOLLIN);
	return fd;
}

int io_poll(struct io_event *ev, int n, int timeout_ms)
{
	struct epoll_event got[BATCH];
	int count = epoll_wait(epfd, got, n < BATCH ? n : BATCH, timeout_ms), out = 0;

	if (count < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < count; i++) {
		int fd = got[i].data.fd;

		if (table[fd].cookie == COOKIE_LISTENER) {
			fd = accept_one(fd);
			if (fd < 0)
				continue;
			ev[out] = (struct io_event){.conn = (uint64_t)fd, .what = IO_ACCEPTED};
		} else {
			ev[out] = (struct io_event){
					.conn = (uint64_t)fd, .cookie = table[fd].cookie};
			ev[out].what = translate(fd, got[i].events, &ev[out].error);
		}
		out++;
	}
	return out;
}
