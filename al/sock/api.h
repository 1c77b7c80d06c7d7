/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The socket calls as an unmodified program makes them: each decides whether ETA or the kernel serves it.
 *
 * Signature and meaning are those of Linux, results are 0.. or -errno. The preload library gives them libc's names.
 */
#ifndef AL_SOCK_API_H
#define AL_SOCK_API_H

#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

int al_sys_socket(int domain, int type, int protocol);
int al_sys_bind(int fd, const struct sockaddr *addr, socklen_t len);
int al_sys_listen(int fd, int backlog);
int al_sys_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);
int al_sys_connect(int fd, const struct sockaddr *addr, socklen_t len);
int al_sys_shutdown(int fd, int how);
int al_sys_getsockname(int fd, struct sockaddr *addr, socklen_t *len);
int al_sys_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
int al_sys_getsockopt(int fd, int level, int name, void *val, socklen_t *len);
int al_sys_setsockopt(int fd, int level, int name, const void *val, socklen_t len);

int al_sys_close(int fd);
int al_sys_close_range(unsigned int first, unsigned int last, unsigned int flags);
int al_sys_dup(int fd);
int al_sys_dup2(int fd, int to);
int al_sys_dup3(int fd, int to, int flags);
int al_sys_fcntl(int fd, int cmd, long arg);
int al_sys_ioctl(int fd, unsigned long cmd, long arg);

ssize_t al_sys_read(int fd, void *buf, size_t n);
ssize_t al_sys_write(int fd, const void *buf, size_t n);
ssize_t al_sys_readv(int fd, const struct iovec *iov, int iov_n);
ssize_t al_sys_writev(int fd, const struct iovec *iov, int iov_n);
ssize_t al_sys_recvfrom(
		int fd, void *buf, size_t n, int flags, struct sockaddr *addr, socklen_t *len);
ssize_t al_sys_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr,
		socklen_t len);
ssize_t al_sys_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t al_sys_sendmsg(int fd, const struct msghdr *msg, int flags);
int al_sys_recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags, struct timespec *ts);
int al_sys_sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags);
ssize_t al_sys_sendfile(int out, int in, int64_t *off, size_t n);
ssize_t al_sys_splice(
		int in, int64_t *in_off, int out, int64_t *out_off, size_t n, unsigned int flags);

/* @mask: kernel signal set or NULL. @timeout_ns < 0: for ever. */
int al_sys_ppoll(struct pollfd *fds, nfds_t n, int64_t timeout_ns, const void *mask);
/* select: also stores the time left, unless @left is NULL. */
int al_sys_pselect(int n, fd_set *rd, fd_set *wr, fd_set *ex, int64_t timeout_ns, const void *mask,
		int64_t *left_ns);

int al_sys_epoll_create1(int flags);
int al_sys_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev);
int al_sys_epoll_pwait(
		int epfd, struct epoll_event *ev, int n, int64_t timeout_ns, const void *mask);

#endif
