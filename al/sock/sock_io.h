/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes through one ETA socket, already entered (sock.h). Results as the kernel's: count or -errno, SIGPIPE included. */
#ifndef AL_SOCK_SOCK_IO_H
#define AL_SOCK_SOCK_IO_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

struct al_sock;

size_t al_iov_bytes(const struct iovec *iov, int iov_n);
ssize_t al_sock_recv(struct al_sock *sock, const struct iovec *iov, int iov_n, int flags);
ssize_t al_sock_send(struct al_sock *sock, const struct iovec *iov, int iov_n, int flags);
/* Wait as a blocking send or receive would. Return 0; -EAGAIN after SO_SNDTIMEO or SO_RCVTIMEO; -EINTR. */
int al_sock_wait_writable(struct al_sock *sock);
int al_sock_wait_readable(struct al_sock *sock);
/* SO_LINGER at the last close: FIN, then wait until all is acknowledged or the time is over. */
void al_sock_linger(struct al_sock *sock);

#endif
