/* SPDX-License-Identifier: BSD-3-Clause */
/* libc's names for poll, select and epoll, and the fortified and double-underscore variants of all calls. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "al/preload/export.h"
#include "al/sock/api.h"

#define NS_PER_S 1000000000ll
#define NS_PER_MS 1000000ll

/* Return: nanoseconds, -1 for ever, -2 invalid. */
static int64_t timespec_ns(const struct timespec *ts)
{
	if (!ts)
		return -1;
	if (ts->tv_sec < 0 || ts->tv_nsec < 0 || ts->tv_nsec >= NS_PER_S)
		return -2;
	return ts->tv_sec > INT64_MAX / NS_PER_S - 1 ? -1 : ts->tv_sec * NS_PER_S + ts->tv_nsec;
}

static int64_t ms_ns(int ms)
{
	return ms < 0 ? -1 : ms * NS_PER_MS;
}

AL_EXPORT int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	return (int)AL_CANCEL_POINT(-1, al_sys_ppoll(fds, n, ms_ns(timeout_ms), NULL));
}

AL_EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *ts, const sigset_t *mask)
{
	int64_t ns = timespec_ns(ts);

	if (ns == -2)
		return (int)al_errno(-EINVAL);
	return (int)AL_CANCEL_POINT(-1, al_sys_ppoll(fds, n, ns, mask));
}

AL_EXPORT int select(int n, fd_set *rd, fd_set *wr, fd_set *ex, struct timeval *tv)
{
	int64_t ns = -1;
	int64_t left = 0;
	int ret;

	if (tv) {
		if (tv->tv_sec < 0 || tv->tv_usec < 0)
			return (int)al_errno(-EINVAL);
		if (tv->tv_sec < INT64_MAX / NS_PER_S - 1)
			ns = tv->tv_sec * NS_PER_S + tv->tv_usec * 1000ll;
	}
	ret = (int)AL_CANCEL_POINT(-1, al_sys_pselect(n, rd, wr, ex, ns, NULL, &left));
	if (tv && ns >= 0) {
		tv->tv_sec = left / NS_PER_S;
		tv->tv_usec = left % NS_PER_S / 1000;
	}
	return ret;
}

AL_EXPORT int pselect(int n, fd_set *rd, fd_set *wr, fd_set *ex, const struct timespec *ts,
		const sigset_t *mask)
{
	int64_t ns = timespec_ns(ts);

	if (ns == -2)
		return (int)al_errno(-EINVAL);
	return (int)AL_CANCEL_POINT(-1, al_sys_pselect(n, rd, wr, ex, ns, mask, NULL));
}

AL_EXPORT int epoll_create(int size)
{
	return (int)al_errno(size <= 0 ? -EINVAL : al_sys_epoll_create1(0));
}

AL_EXPORT int epoll_create1(int flags)
{
	return (int)al_errno(al_sys_epoll_create1(flags));
}

AL_EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	return (int)al_errno(al_sys_epoll_ctl(epfd, op, fd, ev));
}

AL_EXPORT int epoll_wait(int epfd, struct epoll_event *ev, int n, int timeout_ms)
{
	return (int)AL_CANCEL_POINT(-1, al_sys_epoll_pwait(epfd, ev, n, ms_ns(timeout_ms), NULL));
}

AL_EXPORT int epoll_pwait(
		int epfd, struct epoll_event *ev, int n, int timeout_ms, const sigset_t *mask)
{
	return (int)AL_CANCEL_POINT(-1, al_sys_epoll_pwait(epfd, ev, n, ms_ns(timeout_ms), mask));
}

AL_EXPORT int epoll_pwait2(int epfd, struct epoll_event *ev, int n, const struct timespec *ts,
		const sigset_t *mask)
{
	int64_t ns = timespec_ns(ts);

	if (ns == -2)
		return (int)al_errno(-EINVAL);
	return (int)AL_CANCEL_POINT(-1, al_sys_epoll_pwait(epfd, ev, n, ns, mask));
}

/* ---- fortified: the size of the object is known, and must hold ---- */

AL_EXPORT ssize_t __read_chk(int fd, void *buf, size_t n, size_t room)
{
	if (n > room)
		abort();
	return read(fd, buf, n);
}

AL_EXPORT ssize_t __recv_chk(int fd, void *buf, size_t n, size_t room, int flags)
{
	if (n > room)
		abort();
	return recv(fd, buf, n, flags);
}

AL_EXPORT ssize_t __recvfrom_chk(int fd, void *buf, size_t n, size_t room, int flags,
		struct sockaddr *addr, socklen_t *len)
{
	if (n > room)
		abort();
	return recvfrom(fd, buf, n, flags, addr, len);
}

AL_EXPORT int __poll_chk(struct pollfd *fds, nfds_t n, int timeout_ms, size_t room)
{
	if (n > room / sizeof(*fds))
		abort();
	return poll(fds, n, timeout_ms);
}

AL_EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *ts,
		const sigset_t *mask, size_t room)
{
	if (n > room / sizeof(*fds))
		abort();
	return ppoll(fds, n, ts, mask);
}

/* ---- libc's other names of the same functions ---- */

#define ALIAS(name, ret, args, call) \
	AL_EXPORT ret name args;     \
	AL_EXPORT ret name args      \
	{                            \
		return call;         \
	}

ALIAS(__read, ssize_t, (int fd, void *buf, size_t n), read(fd, buf, n))
ALIAS(__write, ssize_t, (int fd, const void *buf, size_t n), write(fd, buf, n))
ALIAS(__close, int, (int fd), close(fd))
ALIAS(__connect, int, (int fd, const struct sockaddr *addr, socklen_t len), connect(fd, addr, len))
ALIAS(__send, ssize_t, (int fd, const void *buf, size_t n, int flags), send(fd, buf, n, flags))
ALIAS(__poll, int, (struct pollfd * fds, nfds_t n, int timeout_ms), poll(fds, n, timeout_ms))
ALIAS(__select, int, (int n, fd_set *rd, fd_set *wr, fd_set *ex, struct timeval *tv),
		select(n, rd, wr, ex, tv))
ALIAS(__dup2, int, (int fd, int to), dup2(fd, to))
