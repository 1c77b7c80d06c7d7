/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes through one ETA socket, already entered (sock.h). Results as the kernel's: count or -errno, SIGPIPE included. */
#ifndef AL_SOCK_SOCK_IO_H
#define AL_SOCK_SOCK_IO_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

struct al_sock;

size_t al_iov_bytes(const struct iovec *iov, int iov_n);
ssize_t al_sock_recv(struct al_sock *sock, const struct iovec *iov, int iov_n, int flags);
ssize_t al_sock_send(struct al_sock *sock, const struct iovec *iov, int iov_n, int flags);
/* The same from byte @done on, which counts in what is returned. */
ssize_t al_sock_send_rest(
		struct al_sock *sock, const struct iovec *iov, int iov_n, size_t done, int flags);
/* MSG_FASTOPEN: connect. Return: 0 then send; 1 the whole call is the kernel's; -errno. */
int al_sock_fastopen_begin(struct al_sock *sock, int fd, const struct sockaddr *addr, socklen_t len,
		int flags);
ssize_t al_sock_fastopen_send(
		struct al_sock *sock, int fd, const struct iovec *iov, int iov_n, int flags);
/* Wait as a blocking send or receive would. Return 0; -EAGAIN after SO_SNDTIMEO or SO_RCVTIMEO; -EINTR. */
int al_sock_wait_writable(struct al_sock *sock);
int al_sock_wait_readable(struct al_sock *sock);
/* SO_LINGER at the last close: FIN, then wait until all is acknowledged or the time is over. */
void al_sock_linger(struct al_sock *sock);

#endif
