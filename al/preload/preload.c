/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libc's names for the socket calls: each hands over to al/sock, which decides between ETA and the kernel.
 *
 * Loaded by eta-run through LD_PRELOAD, so these definitions come before libc's. No symbol is looked up: the kernel is called directly.
 *
 * A call that the kernel serves and that may block stays a cancellation point: while other threads exist, cancellation is asynchronous
 * for the length of the system call, as libc does it.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/single_threaded.h>
#include <unistd.h>

#include "al/preload/export.h"
#include "al/sock/api.h"
#include "al/sock/file.h"
#include "al/sock/fork.h"
#include "al/sock/kern.h"
#include "al/sock/root.h"

/* ---- making and naming sockets ---- */

AL_EXPORT int socket(int domain, int type, int protocol)
{
	return (int)al_errno(al_sys_socket(domain, type, protocol));
}

AL_EXPORT int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	return (int)al_errno(al_sys_bind(fd, addr, len));
}

AL_EXPORT int listen(int fd, int backlog)
{
	return (int)al_errno(al_sys_listen(fd, backlog));
}

AL_EXPORT int accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	return (int)AL_CANCEL_POINT(fd, al_sys_accept4(fd, addr, len, 0));
}

AL_EXPORT int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	return (int)AL_CANCEL_POINT(fd, al_sys_accept4(fd, addr, len, flags));
}

AL_EXPORT int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return (int)AL_CANCEL_POINT(fd, al_sys_connect(fd, addr, len));
}

AL_EXPORT int shutdown(int fd, int how)
{
	return (int)al_errno(al_sys_shutdown(fd, how));
}

AL_EXPORT int getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	return (int)al_errno(al_sys_getsockname(fd, addr, len));
}

AL_EXPORT int getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	return (int)al_errno(al_sys_getpeername(fd, addr, len));
}

AL_EXPORT int getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	return (int)al_errno(al_sys_getsockopt(fd, level, name, val, len));
}

AL_EXPORT int setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	return (int)al_errno(al_sys_setsockopt(fd, level, name, val, len));
}

/* ---- numbers ---- */

AL_EXPORT int close(int fd)
{
	return (int)al_errno(al_sys_close(fd));
}

AL_EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
	return (int)al_errno(al_sys_close_range(first, last, (unsigned int)flags));
}

AL_EXPORT void closefrom(int first)
{
	al_sys_close_range(first < 0 ? 0 : (unsigned int)first, UINT_MAX, 0);
}

AL_EXPORT int dup(int fd)
{
	return (int)al_errno(al_sys_dup(fd));
}

AL_EXPORT int dup2(int fd, int to)
{
	return (int)al_errno(al_sys_dup2(fd, to));
}

AL_EXPORT int dup3(int fd, int to, int flags)
{
	return (int)al_errno(al_sys_dup3(fd, to, flags));
}

static int preload_fcntl(int fd, int cmd, long arg)
{
	if (cmd == F_SETLKW || cmd == F_OFD_SETLKW)
		return (int)AL_CANCEL_POINT(fd, al_sys_fcntl(fd, cmd, arg));
	return (int)al_errno(al_sys_fcntl(fd, cmd, arg));
}

/* libc has three names for it; programs built for large files call the second. */
#define FCNTL(name)                                 \
	AL_EXPORT int name(int fd, int cmd, ...);   \
	AL_EXPORT int name(int fd, int cmd, ...)    \
	{                                           \
		va_list args;                       \
		long arg;                           \
                                                    \
		va_start(args, cmd);                \
		arg = va_arg(args, long);           \
		va_end(args);                       \
		return preload_fcntl(fd, cmd, arg); \
	}

FCNTL(fcntl)
FCNTL(fcntl64)
FCNTL(__fcntl)

AL_EXPORT int ioctl(int fd, unsigned long cmd, ...)
{
	va_list args;
	long arg;

	va_start(args, cmd);
	arg = va_arg(args, long);
	va_end(args);
	return (int)al_errno(al_sys_ioctl(fd, cmd, arg));
}

/* ---- bytes ---- */

AL_EXPORT ssize_t read(int fd, void *buf, size_t n)
{
	return AL_CANCEL_POINT(fd, al_sys_read(fd, buf, n));
}

AL_EXPORT ssize_t write(int fd, const void *buf, size_t n)
{
	return AL_CANCEL_POINT(fd, al_sys_write(fd, buf, n));
}

AL_EXPORT ssize_t readv(int fd, const struct iovec *iov, int n)
{
	return AL_CANCEL_POINT(fd, al_sys_readv(fd, iov, n));
}

AL_EXPORT ssize_t writev(int fd, const struct iovec *iov, int n)
{
	return AL_CANCEL_POINT(fd, al_sys_writev(fd, iov, n));
}

AL_EXPORT ssize_t recv(int fd, void *buf, size_t n, int flags)
{
	return AL_CANCEL_POINT(fd, al_sys_recvfrom(fd, buf, n, flags, NULL, NULL));
}

AL_EXPORT ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	return AL_CANCEL_POINT(fd, al_sys_sendto(fd, buf, n, flags, NULL, 0));
}

AL_EXPORT ssize_t recvfrom(
		int fd, void *buf, size_t n, int flags, struct sockaddr *addr, socklen_t *len)
{
	return AL_CANCEL_POINT(fd, al_sys_recvfrom(fd, buf, n, flags, addr, len));
}

AL_EXPORT ssize_t sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr,
		socklen_t len)
{
	return AL_CANCEL_POINT(fd, al_sys_sendto(fd, buf, n, flags, addr, len));
}

AL_EXPORT ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	return AL_CANCEL_POINT(fd, al_sys_recvmsg(fd, msg, flags));
}

AL_EXPORT ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return AL_CANCEL_POINT(fd, al_sys_sendmsg(fd, msg, flags));
}

AL_EXPORT int recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags, struct timespec *ts)
{
	return (int)AL_CANCEL_POINT(fd, al_sys_recvmmsg(fd, msgs, n, flags, ts));
}

AL_EXPORT int sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags)
{
	return (int)AL_CANCEL_POINT(fd, al_sys_sendmmsg(fd, msgs, n, flags));
}

AL_EXPORT ssize_t sendfile(int out, int in, off_t *off, size_t n)
{
	return al_errno(al_sys_sendfile(out, in, (int64_t *)off, n));
}

AL_EXPORT ssize_t sendfile64(int out, int in, off64_t *off, size_t n)
{
	return al_errno(al_sys_sendfile(out, in, (int64_t *)off, n));
}

AL_EXPORT ssize_t splice(
		int in, off64_t *in_off, int out, off64_t *out_off, size_t n, unsigned int flags)
{
	return AL_CANCEL_POINT(in,
			al_sys_splice(in, (int64_t *)in_off, out, (int64_t *)out_off, n, flags));
}

/* ---- process ---- */

AL_EXPORT int sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	return (int)al_errno(al_sys_sigaction(sig, act, old));
}

static sighandler_t preload_signal(int sig, sighandler_t handler, int flags)
{
	struct sigaction act = {.sa_handler = handler, .sa_flags = flags};
	struct sigaction old;

	if (flags & SA_RESTART)
		sigaddset(&act.sa_mask, sig);
	if (al_errno(al_sys_sigaction(sig, &act, &old)))
		return SIG_ERR;
	return old.sa_handler;
}

AL_EXPORT sighandler_t signal(int sig, sighandler_t handler)
{
	return preload_signal(sig, handler, SA_RESTART);
}

AL_EXPORT sighandler_t bsd_signal(int sig, sighandler_t handler)
{
	return preload_signal(sig, handler, SA_RESTART);
}

AL_EXPORT sighandler_t ssignal(int sig, sighandler_t handler)
{
	return preload_signal(sig, handler, SA_RESTART);
}

AL_EXPORT sighandler_t sysv_signal(int sig, sighandler_t handler)
{
	return preload_signal(sig, handler, (int)(SA_RESETHAND | SA_NODEFER));
}

AL_EXPORT sighandler_t __sysv_signal(int sig, sighandler_t handler)
{
	return preload_signal(sig, handler, (int)(SA_RESETHAND | SA_NODEFER));
}

AL_EXPORT int siginterrupt(int sig, int interrupts)
{
	struct sigaction act;

	if (al_errno(al_sys_sigaction(sig, NULL, &act)))
		return -1;
	act.sa_flags = interrupts ? act.sa_flags & ~SA_RESTART : act.sa_flags | SA_RESTART;
	return (int)al_errno(al_sys_sigaction(sig, &act, NULL));
}

/* A function like any other here: the child has its own copy of the stack. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
AL_EXPORT pid_t vfork(void)
{
	return al_sys_vfork();
}
#pragma GCC diagnostic pop

AL_EXPORT void _exit(int status)
{
	al_sockets_end();
	for (;;)
		kern_call3(SYS_exit_group, status, 0, 0);
}

AL_EXPORT void _Exit(int status)
{
	_exit(status);
}

/* Ways past libc's wrappers. io_uring cannot know ETA sockets: programs fall back to epoll when it is not there. */
AL_EXPORT long syscall(long number, ...)
{
	va_list args;
	long a[6];
	int i;

	va_start(args, number);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	switch (number) {
	case SYS_io_uring_setup: return al_errno(-ENOSYS);
	case SYS_close: return al_errno(al_sys_close((int)a[0]));
	case SYS_close_range:
		return al_errno(al_sys_close_range(
				(unsigned int)a[0], (unsigned int)a[1], (unsigned int)a[2]));
	case SYS_accept4:
		return al_errno(al_sys_accept4(
				(int)a[0], (struct sockaddr *)a[1], (socklen_t *)a[2], (int)a[3]));
	case SYS_read: return al_errno(al_sys_read((int)a[0], (void *)a[1], (size_t)a[2]));
	case SYS_write: return al_errno(al_sys_write((int)a[0], (void *)a[1], (size_t)a[2]));
	default: return al_errno(kern_call6(number, a[0], a[1], a[2], a[3], a[4], a[5]));
	}
}

/* ---- life ---- */

__attribute__((constructor)) static void preload_start(void)
{
	al_enter();
	al_sockets_start();
	al_leave();
}

__attribute__((destructor)) static void preload_end(void)
{
	al_sockets_end();
}
