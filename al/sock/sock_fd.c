/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Numbers: close, dup, fcntl, ioctl.
 *
 * AL's own descriptors are invisible to the program: closing one fails with EBADF and leaves it open, close_range() steps over it, dup2()
 * onto its number makes it move away first.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include "al/core/core.h"
#include "al/sock/api.h"
#include "al/sock/epoll.h"
#include "al/sock/kern.h"
#include "al/sock/sock.h"
#include "al/sock/sock_io.h"
#include "al/sock/sock_opt.h"

#define FD_LIMIT_MAX (1u << 20)

static bool fd_is_own(int fd)
{
	return al_sockets.started && al_fd_is_own(fd);
}

static void fd_linger(struct al_file *file)
{
	struct al_sock *sock = (struct al_sock *)file;

	if (file->kind == AL_FILE_SOCK && sock->linger_on && sock->linger_s > 0 &&
			__atomic_load_n(&file->refs, __ATOMIC_RELAXED) == 1 &&
			al_sock_is_eta(sock) && !al_conn_is_shared(sock->conn))
		al_sock_linger(sock);
}

/* An alias is about to lose its number: what refers to the number must find another. */
static void fd_cookie(struct al_file *file)
{
	if (file->kind == AL_FILE_SOCK && __atomic_load_n(&file->refs, __ATOMIC_RELAXED) > 1)
		(void)al_sock_cookie((struct al_sock *)file);
}

int al_sys_close(int fd)
{
	struct al_file *file;
	int ret;

	if (!al_fdtab_peek(&al_sockets.fdtab, fd))
		return fd_is_own(fd) ? -EBADF : kern_close(fd);
	al_enter();
	file = al_fdtab_take(&al_sockets.fdtab, fd);
	if (file) {
		fd_cookie(file);
		fd_linger(file);
		if (__atomic_load_n(&file->refs, __ATOMIC_ACQUIRE) == 1)
			al_epoll_file_gone(file);
	}
	ret = kern_close(fd);
	if (file)
		al_file_put(file);
	al_leave();
	return ret;
}

/* One past the highest number that a descriptor can have. */
static unsigned int fd_limit(void)
{
	struct rlimit limit;

	if (kern_call6(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&limit, 0, 0) != 0 ||
			limit.rlim_max > FD_LIMIT_MAX)
		return FD_LIMIT_MAX;
	return (unsigned int)limit.rlim_max;
}

int al_sys_close_range(unsigned int first, unsigned int last, unsigned int flags)
{
	unsigned int limit;
	unsigned int at;
	int ret = 0;
	int fd;

	if (!al_sockets.started || first > last || (flags & CLOSE_RANGE_CLOEXEC) ||
			(flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)))
		return kern_close_range(first, last, flags);
	fd = first <= INT32_MAX ? al_fdtab_next(&al_sockets.fdtab, (int)first, NULL) : -1;
	while (fd >= 0 && (unsigned int)fd <= last) {
		al_sys_close(fd);
		fd = al_fdtab_next(&al_sockets.fdtab, fd + 1, NULL);
	}
	limit = fd_limit();
	for (at = first; at <= last && at < limit; at++) {
		if (!al_fd_is_own((int)at))
			continue;
		if (at > first)
			ret = kern_close_range(first, at - 1, flags);
		first = at + 1;
	}
	return first <= last ? kern_close_range(first, last, flags) : ret;
}

/* @to has become a copy of @fd in the kernel: in the table, too. */
static int fd_copied(int fd, int to)
{
	struct al_file *file;

	al_enter();
	file = al_fdtab_get(&al_sockets.fdtab, fd);
	if (file && al_fdtab_set(&al_sockets.fdtab, to, file) != 0)
		al_file_put(file);
	al_leave();
	return to;
}

int al_sys_dup(int fd)
{
	int to = fd_is_own(fd) ? -EBADF : kern_dup(fd);

	return to >= 0 && al_fdtab_peek(&al_sockets.fdtab, fd) ? fd_copied(fd, to) : to;
}

/* Make the number @to free for the program, if it is ours or names a file of ours. */
static int fd_make_way(int fd, int to, struct al_file **replaced)
{
	*replaced = NULL;
	if (fd_is_own(fd))
		return -EBADF;
	if (fd_is_own(to)) {
		int rc = al_fd_yield(to);

		if (rc)
			return rc;
	}
	*replaced = al_fdtab_take(&al_sockets.fdtab, to);
	if (*replaced) {
		fd_cookie(*replaced);
		if (__atomic_load_n(&(*replaced)->refs, __ATOMIC_ACQUIRE) == 1)
			al_epoll_file_gone(*replaced);
	}
	return 0;
}

static int fd_dup_onto(int fd, int to, int flags, bool is_dup3)
{
	struct al_file *replaced;
	int ret;

	if (!al_sockets.started)
		return is_dup3 ? kern_dup3(fd, to, flags) : kern_dup2(fd, to);
	/* Errors leave @to as it is. */
	if (fd == to || kern_fcntl(fd, F_GETFD, 0) < 0 || (flags & ~O_CLOEXEC) || to < 0)
		return is_dup3 ? kern_dup3(fd, to, flags) : kern_dup2(fd, to);
	al_enter();
	ret = fd_make_way(fd, to, &replaced);
	if (ret == 0)
		ret = is_dup3 ? kern_dup3(fd, to, flags) : kern_dup2(fd, to);
	if (ret >= 0 && al_fdtab_peek(&al_sockets.fdtab, fd))
		fd_copied(fd, to);
	if (replaced)
		al_file_put(replaced);
	al_leave();
	return ret;
}

int al_sys_dup2(int fd, int to)
{
	return fd_dup_onto(fd, to, 0, false);
}

int al_sys_dup3(int fd, int to, int flags)
{
	return fd_dup_onto(fd, to, flags, true);
}

int al_sys_fcntl(int fd, int cmd, long arg)
{
	struct al_sock *sock;
	int ret;

	if (!al_fdtab_peek(&al_sockets.fdtab, fd))
		return fd_is_own(fd) ? -EBADF : kern_fcntl(fd, cmd, arg);
	if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC) {
		ret = kern_fcntl(fd, cmd, arg);
		return ret >= 0 ? fd_copied(fd, ret) : ret;
	}
	sock = al_sock_enter_any(fd);
	if (!sock)
		return kern_fcntl(fd, cmd, arg);
	if (cmd == F_SETFL) {
		bool listens = sock->state == AL_SOCK_LISTENING;

		ret = kern_fcntl(fd, cmd, listens ? arg | O_NONBLOCK : arg);
		if (ret == 0)
			sock->is_nonblock = (arg & O_NONBLOCK) != 0;
	} else {
		ret = kern_fcntl(fd, cmd, arg);
		if (cmd == F_GETFL && ret >= 0 && sock->state == AL_SOCK_LISTENING &&
				!sock->is_nonblock)
			ret &= ~O_NONBLOCK;
	}
	al_sock_leave(sock);
	return ret;
}

/*
 * What arrived before the call counts, also if the engine has not come to it: the kernel's stack runs in the interrupt. So look again
 * after it had its turn, before saying that there is nothing.
 */
static uint32_t rcv_bytes_now(struct al_sock *sock)
{
	uint32_t bytes;

	al_poll_events();
	bytes = al_conn_rcv_bytes(sock->conn);
	if (bytes || sock->state != AL_SOCK_OPEN ||
			al_conn_ready(sock->conn) & (POLLRDHUP | POLLHUP | POLLERR))
		return bytes;
	al_wait_turn(sock->conn);
	al_poll_events();
	return al_conn_rcv_bytes(sock->conn);
}

static int ioctl_eta(struct al_sock *sock, int fd, unsigned long cmd, long arg)
{
	int *answer = (int *)(uintptr_t)arg;

	switch (cmd) {
	case FIONREAD: /* = SIOCINQ */
		if (sock->state == AL_SOCK_LISTENING)
			return -EINVAL;
		*answer = (int)rcv_bytes_now(sock);
		return 0;
	case SIOCOUTQ: /* = TIOCOUTQ */
		if (sock->state == AL_SOCK_LISTENING)
			return -EINVAL;
		al_poll_events();
		*answer = (int)al_conn_snd_bytes(sock->conn);
		return 0;
	case SIOCOUTQNSD:
		if (sock->state == AL_SOCK_LISTENING)
			return -EINVAL;
		*answer = opt_notsent(sock);
		return 0;
	case SIOCATMARK:
		*answer = sock->state == AL_SOCK_OPEN && al_conn_at_mark(sock->conn);
		return 0;
	default: return kern_ioctl(fd, cmd, arg);
	}
}

int al_sys_ioctl(int fd, unsigned long cmd, long arg)
{
	struct al_sock *sock = al_sock_enter_any(fd);
	int ret;

	if (!sock)
		return kern_ioctl(fd, cmd, arg);
	if (cmd == FIONBIO) {
		int on = *(int *)(uintptr_t)arg;
		int real = on || sock->state == AL_SOCK_LISTENING;

		ret = kern_ioctl(fd, cmd, (long)&real);
		if (ret == 0)
			sock->is_nonblock = on != 0;
	} else if (al_sock_is_eta(sock)) {
		ret = ioctl_eta(sock, fd, cmd, arg);
	} else {
		ret = kern_ioctl(fd, cmd, arg);
	}
	al_sock_leave(sock);
	return ret;
}
