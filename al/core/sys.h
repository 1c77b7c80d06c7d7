/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * System calls without libc.
 *
 * AL runs below a preload library that overrides libc's close, read, poll, socket and their kin. Whatever AL itself asks of the kernel goes
 * straight there, so that an override never meets itself. Every function returns what the kernel returns: >= 0, or -errno.
 *
 * Limits: x86-64.
 */
#ifndef AL_CORE_SYS_H
#define AL_CORE_SYS_H

#include <linux/futex.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

struct pollfd;

static inline long sys_call6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline long sys_call3(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline int sys_close(int fd)
{
	return (int)sys_call3(SYS_close, fd, 0, 0);
}

static inline long sys_read(int fd, void *buf, size_t len)
{
	return sys_call3(SYS_read, fd, (long)buf, (long)len);
}

static inline long sys_write(int fd, const void *buf, size_t len)
{
	return sys_call3(SYS_write, fd, (long)buf, (long)len);
}

static inline int sys_fcntl(int fd, int cmd, long arg)
{
	return (int)sys_call3(SYS_fcntl, fd, cmd, arg);
}

static inline int sys_socket(int family, int type, int protocol)
{
	return (int)sys_call3(SYS_socket, family, type, protocol);
}

static inline int sys_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return (int)sys_call3(SYS_connect, fd, (long)addr, (long)len);
}

static inline int sys_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	return (int)sys_call3(SYS_bind, fd, (long)addr, (long)len);
}

static inline int sys_listen(int fd, int backlog)
{
	return (int)sys_call3(SYS_listen, fd, backlog, 0);
}

static inline int sys_setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	return (int)sys_call6(SYS_setsockopt, fd, level, name, (long)val, (long)len, 0);
}

static inline long sys_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return sys_call3(SYS_sendmsg, fd, (long)msg, flags);
}

static inline long sys_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return sys_call3(SYS_recvmsg, fd, (long)msg, flags);
}

static inline int sys_ppoll(struct pollfd *fds, unsigned int n, const struct timespec *timeout)
{
	struct timespec left = timeout ? *timeout : (struct timespec){0};

	return (int)sys_call6(SYS_ppoll, (long)fds, (long)n, timeout ? (long)&left : 0, 0, 0, 0);
}

static inline int sys_epoll_create1(int flags)
{
	return (int)sys_call3(SYS_epoll_create1, flags, 0, 0);
}

static inline int sys_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	return (int)sys_call6(SYS_epoll_ctl, epfd, op, fd, (long)ev, 0, 0);
}

static inline int sys_epoll_wait(int epfd, struct epoll_event *ev, int n, int timeout_ms)
{
	return (int)sys_call6(SYS_epoll_pwait, epfd, (long)ev, n, timeout_ms, 0, 0);
}

static inline int sys_eventfd2(unsigned int value, int flags)
{
	return (int)sys_call3(SYS_eventfd2, (long)value, flags, 0);
}

static inline int sys_membarrier(int cmd)
{
	return (int)sys_call3(SYS_membarrier, cmd, 0, 0);
}

static inline void *sys_mmap(void *addr, size_t len, int prot, int flags, int fd)
{
	return (void *)sys_call6(SYS_mmap, (long)addr, (long)len, prot, flags, fd, 0);
}

/* Did sys_mmap() fail? */
static inline int sys_is_error(const void *p)
{
	return (unsigned long)p >= (unsigned long)-4095L;
}

static inline int sys_munmap(void *addr, size_t len)
{
	return (int)sys_call3(SYS_munmap, (long)addr, (long)len, 0);
}

static inline int sys_getrlimit(int which, struct rlimit *lim)
{
	return (int)sys_call6(SYS_prlimit64, 0, which, 0, (long)lim, 0, 0);
}

/*
 * To whoever else wants this CPU, while waiting for him, for the @n-th time (from 0): first to threads of our priority, then by a sleep to
 * any, for a real-time thread yields to no thread below it, and the engine may be one.
 */
static inline void sys_give_way(uint32_t n)
{
	const struct timespec moment = {.tv_nsec = 20000};

	if (n < 8)
		sys_call3(SYS_sched_yield, 0, 0, 0);
	else
		sys_call3(SYS_nanosleep, (long)&moment, 0, 0);
}

/* @op: FUTEX_WAIT or FUTEX_WAKE, with FUTEX_PRIVATE_FLAG where only this process uses @word. */
static inline int sys_futex(uint32_t *word, int op, uint32_t val, const struct timespec *timeout)
{
	return (int)sys_call6(SYS_futex, (long)word, op, (long)val, (long)timeout, 0, 0);
}

#endif
