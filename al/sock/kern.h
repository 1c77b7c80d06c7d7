/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's system calls, as the kernel makes them.
 *
 * The preload library defines read(), poll() and so on itself, so that below it these names no longer mean the kernel. What
 * goes to the kernel goes by these instead: they need no symbol resolution, so they work before any constructor ran, and return
 * -errno, so they leave the program's errno alone.
 *
 * Limits: x86-64 Linux. Names are those of the kernel (kern_ppoll takes the kernel's 8-byte signal set).
 */
#ifndef AL_SOCK_KERN_H
#define AL_SOCK_KERN_H

#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#define KERN_SIGSET_BYTES 8

static inline long kern_call6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline long kern_call3(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline int kern_socket(int domain, int type, int protocol)
{
	return (int)kern_call3(SYS_socket, domain, type, protocol);
}

static inline int kern_close(int fd)
{
	return (int)kern_call3(SYS_close, fd, 0, 0);
}

static inline int kern_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return (int)kern_call3(SYS_connect, fd, (long)addr, (long)len);
}

static inline int kern_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	return (int)kern_call3(SYS_bind, fd, (long)addr, (long)len);
}

static inline int kern_listen(int fd, int backlog)
{
	return (int)kern_call3(SYS_listen, fd, backlog, 0);
}

static inline int kern_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	return (int)kern_call6(SYS_accept4, fd, (long)addr, (long)len, flags, 0, 0);
}

static inline int kern_shutdown(int fd, int how)
{
	return (int)kern_call3(SYS_shutdown, fd, how, 0);
}

static inline int kern_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	return (int)kern_call3(SYS_getsockname, fd, (long)addr, (long)len);
}

static inline int kern_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	return (int)kern_call3(SYS_getpeername, fd, (long)addr, (long)len);
}

static inline int kern_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	return (int)kern_call6(SYS_getsockopt, fd, level, name, (long)val, (long)len, 0);
}

static inline int kern_setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	return (int)kern_call6(SYS_setsockopt, fd, level, name, (long)val, (long)len, 0);
}

static inline ssize_t kern_read(int fd, void *buf, size_t n)
{
	return kern_call3(SYS_read, fd, (long)buf, (long)n);
}

static inline ssize_t kern_write(int fd, const void *buf, size_t n)
{
	return kern_call3(SYS_write, fd, (long)buf, (long)n);
}

static inline ssize_t kern_pread(int fd, void *buf, size_t n, int64_t off)
{
	return kern_call6(SYS_pread64, fd, (long)buf, (long)n, off, 0, 0);
}

static inline ssize_t kern_readv(int fd, const struct iovec *iov, int n)
{
	return kern_call3(SYS_readv, fd, (long)iov, n);
}

static inline ssize_t kern_writev(int fd, const struct iovec *iov, int n)
{
	return kern_call3(SYS_writev, fd, (long)iov, n);
}

static inline ssize_t kern_recvfrom(
		int fd, void *buf, size_t n, int flags, struct sockaddr *addr, socklen_t *len)
{
	return kern_call6(SYS_recvfrom, fd, (long)buf, (long)n, flags, (long)addr, (long)len);
}

static inline ssize_t kern_sendto(int fd, const void *buf, size_t n, int flags,
		const struct sockaddr *addr, socklen_t len)
{
	return kern_call6(SYS_sendto, fd, (long)buf, (long)n, flags, (long)addr, (long)len);
}

static inline ssize_t kern_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return kern_call3(SYS_recvmsg, fd, (long)msg, flags);
}

static inline ssize_t kern_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return kern_call3(SYS_sendmsg, fd, (long)msg, flags);
}

static inline int kern_fcntl(int fd, int cmd, long arg)
{
	return (int)kern_call3(SYS_fcntl, fd, cmd, arg);
}

static inline int kern_ioctl(int fd, unsigned long cmd, long arg)
{
	return (int)kern_call3(SYS_ioctl, fd, (long)cmd, arg);
}

static inline int kern_dup(int fd)
{
	return (int)kern_call3(SYS_dup, fd, 0, 0);
}

static inline int kern_dup2(int fd, int to)
{
	return (int)kern_call3(SYS_dup2, fd, to, 0);
}

static inline int kern_dup3(int fd, int to, int flags)
{
	return (int)kern_call3(SYS_dup3, fd, to, flags);
}

static inline int kern_close_range(unsigned int first, unsigned int last, unsigned int flags)
{
	return (int)kern_call3(SYS_close_range, (long)first, (long)last, (long)flags);
}

static inline int kern_pipe2(int fds[2], int flags)
{
	return (int)kern_call3(SYS_pipe2, (long)fds, flags, 0);
}

static inline int kern_ppoll(
		struct pollfd *fds, nfds_t n, const struct timespec *ts, const void *mask)
{
	struct timespec copy;

	/* The kernel writes the rest of the time back. */
	if (ts)
		copy = *ts;
	return (int)kern_call6(SYS_ppoll, (long)fds, (long)n, ts ? (long)&copy : 0, (long)mask,
			KERN_SIGSET_BYTES, 0);
}

/* Is it ready now? Return revents, 0 not ready. */
static inline uint32_t kern_poll_now(int fd, uint32_t events)
{
	struct pollfd pfd = {.fd = fd, .events = (short)events};
	struct timespec ts = {0};

	return kern_ppoll(&pfd, 1, &ts, NULL) > 0 ? (uint16_t)pfd.revents : 0;
}

static inline int kern_epoll_create1(int flags)
{
	return (int)kern_call3(SYS_epoll_create1, flags, 0, 0);
}

static inline int kern_epoll_ctl(int epfd, int op, int fd, const struct epoll_event *ev)
{
	return (int)kern_call6(SYS_epoll_ctl, epfd, op, fd, (long)ev, 0, 0);
}

static inline int kern_epoll_pwait2(int epfd, struct epoll_event *ev, int n,
		const struct timespec *ts, const void *mask)
{
	return (int)kern_call6(SYS_epoll_pwait2, epfd, (long)ev, n, (long)ts, (long)mask,
			KERN_SIGSET_BYTES);
}

static inline int kern_epoll_pwait(
		int epfd, struct epoll_event *ev, int n, int timeout_ms, const void *mask)
{
	return (int)kern_call6(SYS_epoll_pwait, epfd, (long)ev, n, timeout_ms, (long)mask,
			KERN_SIGSET_BYTES);
}

static inline int kern_eventfd(unsigned int value, int flags)
{
	return (int)kern_call3(SYS_eventfd2, (long)value, flags, 0);
}

static inline ssize_t kern_sendfile(int out, int in, int64_t *off, size_t n)
{
	return kern_call6(SYS_sendfile, out, in, (long)off, (long)n, 0, 0);
}

static inline ssize_t kern_splice(
		int in, int64_t *in_off, int out, int64_t *out_off, size_t n, unsigned int flags)
{
	return kern_call6(SYS_splice, in, (long)in_off, out, (long)out_off, (long)n, (long)flags);
}

static inline int kern_sigmask(int how, const void *set, void *old)
{
	return (int)kern_call6(
			SYS_rt_sigprocmask, how, (long)set, (long)old, KERN_SIGSET_BYTES, 0, 0);
}

static inline int kern_futex_wait(uint32_t *word, uint32_t value)
{
	return (int)kern_call6(SYS_futex, (long)word, 128 /* FUTEX_WAIT_PRIVATE */, value, 0, 0, 0);
}

static inline int kern_futex_wake(uint32_t *word, int n)
{
	return (int)kern_call6(SYS_futex, (long)word, 129 /* FUTEX_WAKE_PRIVATE */, n, 0, 0, 0);
}

static inline int kern_gettid(void)
{
	return (int)kern_call3(SYS_gettid, 0, 0, 0);
}

static inline int kern_getpid(void)
{
	return (int)kern_call3(SYS_getpid, 0, 0, 0);
}

static inline int kern_tgkill(int pid, int tid, int sig)
{
	return (int)kern_call3(SYS_tgkill, pid, tid, sig);
}

#endif
