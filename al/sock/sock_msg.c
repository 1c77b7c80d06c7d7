/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The many names of reading and writing, by al_sock_recv() and al_sock_send().
 *
 * On a TCP socket the kernel gives back no address, and no control data but TCP_CM_INQ: lengths become 0.
 */
#include <errno.h>
#include <limits.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>

#include "al/sock/api.h"
#include "al/sock/kern.h"
#include "al/sock/sock.h"
#include "al/sock/sock_io.h"
#include "al/sock/sock_opt.h"

#ifndef IOV_MAX
#define IOV_MAX 1024
#endif
#define MMSG_MAX 1024u

static ssize_t msg_recv_one(int fd, struct al_sock *sock, void *buf, size_t n, int flags)
{
	struct iovec iov = {.iov_base = buf, .iov_len = n > SSIZE_MAX ? SSIZE_MAX : n};

	if (sock->state == AL_SOCK_LISTENING)
		return kern_recvfrom(fd, buf, n, flags | MSG_DONTWAIT, NULL, NULL);
	return al_sock_recv(sock, &iov, 1, flags);
}

static ssize_t msg_send_one(int fd, struct al_sock *sock, const void *buf, size_t n, int flags)
{
	struct iovec iov = {.iov_len = n > SSIZE_MAX ? SSIZE_MAX : n};

	memcpy(&iov.iov_base, &buf, sizeof(buf));
	if (sock->state == AL_SOCK_LISTENING)
		return kern_sendto(fd, buf, n, flags | MSG_DONTWAIT, NULL, 0);
	return al_sock_send(sock, &iov, 1, flags);
}

ssize_t al_sys_read(int fd, void *buf, size_t n)
{
	struct al_sock *sock = al_sock_enter(fd);
	ssize_t ret;

	if (!sock)
		return kern_read(fd, buf, n);
	ret = msg_recv_one(fd, sock, buf, n, 0);
	al_sock_leave(sock);
	return ret;
}

ssize_t al_sys_write(int fd, const void *buf, size_t n)
{
	struct al_sock *sock = al_sock_enter(fd);
	ssize_t ret;

	if (!sock)
		return kern_write(fd, buf, n);
	ret = msg_send_one(fd, sock, buf, n, 0);
	al_sock_leave(sock);
	return ret;
}

ssize_t al_sys_readv(int fd, const struct iovec *iov, int iov_n)
{
	struct al_sock *sock = al_sock_enter(fd);
	ssize_t ret;

	if (!sock)
		return kern_readv(fd, iov, iov_n);
	if (sock->state == AL_SOCK_LISTENING)
		ret = kern_readv(fd, iov, iov_n);
	else if (iov_n < 0 || iov_n > IOV_MAX)
		ret = -EINVAL;
	else
		ret = al_sock_recv(sock, iov, iov_n, 0);
	al_sock_leave(sock);
	return ret;
}

ssize_t al_sys_writev(int fd, const struct iovec *iov, int iov_n)
{
	struct al_sock *sock = al_sock_enter(fd);
	ssize_t ret;

	if (!sock)
		return kern_writev(fd, iov, iov_n);
	if (sock->state == AL_SOCK_LISTENING)
		ret = kern_writev(fd, iov, iov_n);
	else if (iov_n < 0 || iov_n > IOV_MAX)
		ret = -EINVAL;
	else
		ret = al_sock_send(sock, iov, iov_n, 0);
	al_sock_leave(sock);
	return ret;
}

ssize_t al_sys_recvfrom(
		int fd, void *buf, size_t n, int flags, struct sockaddr *addr, socklen_t *len)
{
	struct al_sock *sock = al_sock_enter(fd);
	ssize_t ret;

	if (!sock)
		return kern_recvfrom(fd, buf, n, flags, addr, len);
	ret = msg_recv_one(fd, sock, buf, n, flags);
	if (ret >= 0 && addr && len)
		*len = 0;
	al_sock_leave(sock);
	return ret;
}

/* MSG_FASTOPEN connects, too. Return: false = the kernel does it. */
static bool msg_fastopen(int fd, const struct msghdr *msg, int flags, ssize_t *ret)
{
	struct al_sock *sock = al_sock_enter_any(fd);
	int rc;

	if (!sock)
		return false;
	if (msg->msg_iovlen > IOV_MAX || msg->msg_controllen > 0) {
		if (sock->state == AL_SOCK_NEW)
			al_sock_to_kernel(sock, AL_COUNT_FALLBACK_FLAG);
		al_sock_leave(sock);
		return false;
	}
	rc = al_sock_fastopen_begin(sock, fd, msg->msg_name, msg->msg_namelen, flags);
	*ret = rc == 0 ? al_sock_fastopen_send(sock, fd, msg->msg_iov, (int)msg->msg_iovlen, flags)
		       : rc;
	al_sock_leave(sock);
	return rc <= 0;
}

ssize_t al_sys_sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *addr,
		socklen_t len)
{
	struct iovec iov = {.iov_len = n > SSIZE_MAX ? SSIZE_MAX : n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_namelen = len};
	struct al_sock *sock;
	ssize_t ret;

	if (flags & MSG_FASTOPEN) {
		memcpy(&iov.iov_base, &buf, sizeof(buf));
		memcpy(&msg.msg_name, &addr, sizeof(addr));
		if (msg_fastopen(fd, &msg, flags, &ret))
			return ret;
	}
	sock = al_sock_enter(fd);
	if (!sock)
		return kern_sendto(fd, buf, n, flags, addr, len);
	ret = msg_send_one(fd, sock, buf, n, flags);
	al_sock_leave(sock);
	return ret;
}

/* TCP_CM_INQ, cut as the kernel cuts it. */
static void msg_put_inq(struct al_sock *sock, struct msghdr *msg)
{
	struct cmsghdr head = {.cmsg_level = IPPROTO_TCP,
			.cmsg_type = TCP_CM_INQ,
			.cmsg_len = CMSG_LEN(sizeof(int))};
	size_t room = msg->msg_control ? msg->msg_controllen : 0;
	int inq = opt_inq(sock);

	msg->msg_controllen = 0;
	if (room < sizeof(head)) {
		msg->msg_flags |= MSG_CTRUNC;
		return;
	}
	if (room < head.cmsg_len) {
		msg->msg_flags |= MSG_CTRUNC;
		head.cmsg_len = room;
	}
	memcpy(msg->msg_control, &head, sizeof(head));
	memcpy((uint8_t *)msg->msg_control + CMSG_LEN(0), &inq, head.cmsg_len - CMSG_LEN(0));
	msg->msg_controllen = CMSG_SPACE(sizeof(int)) < room ? CMSG_SPACE(sizeof(int)) : room;
}

static ssize_t msg_recv(int fd, struct al_sock *sock, struct msghdr *msg, int flags)
{
	ssize_t ret;

	if (sock->state == AL_SOCK_LISTENING)
		return kern_recvmsg(fd, msg, flags | MSG_DONTWAIT);
	if (msg->msg_iovlen > IOV_MAX)
		return -EMSGSIZE;
	ret = al_sock_recv(sock, msg->msg_iov, (int)msg->msg_iovlen, flags);
	if (ret >= 0) {
		msg->msg_namelen = 0;
		msg->msg_flags = flags & MSG_CMSG_CLOEXEC;
		if (sock->tells_inq && !(flags & MSG_ERRQUEUE))
			msg_put_inq(sock, msg);
		else
			msg->msg_controllen = 0;
	}
	return ret;
}

static ssize_t msg_send(int fd, struct al_sock *sock, const struct msghdr *msg, int flags)
{
	if (sock->state == AL_SOCK_LISTENING)
		return kern_sendmsg(fd, msg, flags | MSG_DONTWAIT);
	if (msg->msg_iovlen > IOV_MAX)
		return -EMSGSIZE;
	if (msg->msg_control && msg->msg_controllen > 0) {
		al_count(AL_COUNT_REFUSED_FLAG);
		return -EINVAL;
	}
	return al_sock_send(sock, msg->msg_iov, (int)msg->msg_iovlen, flags);
}

/* Does @msg carry one of our sockets away? The receiver gets the shadow alone. */
static void msg_count_rights(const struct msghdr *msg)
{
	struct cmsghdr *cmsg;

	if (!msg || !msg->msg_control || msg->msg_controllen < sizeof(struct cmsghdr))
		return;
	for (cmsg = CMSG_FIRSTHDR(msg); cmsg;
			cmsg = CMSG_NXTHDR((struct msghdr *)(uintptr_t)msg, cmsg)) {
		size_t i;

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS ||
				cmsg->cmsg_len < CMSG_LEN(0))
			continue;
		for (i = 0; i < (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			struct al_sock *sock;
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
			sock = al_sock_enter(fd);
			if (!sock)
				continue;
			al_count(AL_COUNT_RIGHTS);
			al_conn_share(sock->conn, al_sock_cookie(sock));
			al_sock_leave(sock);
		}
	}
}

ssize_t al_sys_recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct al_sock *sock = al_sock_enter(fd);
	ssize_t ret;

	if (!sock)
		return kern_recvmsg(fd, msg, flags);
	ret = msg_recv(fd, sock, msg, flags);
	al_sock_leave(sock);
	return ret;
}

ssize_t al_sys_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct al_sock *sock;
	ssize_t ret;

	if (flags & MSG_FASTOPEN && msg && msg_fastopen(fd, msg, flags, &ret))
		return ret;
	sock = al_sock_enter(fd);
	if (!sock) {
		if (al_sockets.started)
			msg_count_rights(msg);
		return kern_sendmsg(fd, msg, flags);
	}
	ret = msg_send(fd, sock, msg, flags);
	al_sock_leave(sock);
	return ret;
}

int al_sys_recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags, struct timespec *ts)
{
	struct al_sock *sock = al_sock_enter(fd);
	int64_t until_ns = 0;
	ssize_t ret = 0;
	unsigned int i;

	if (!sock)
		return (int)kern_call6(SYS_recvmmsg, fd, (long)msgs, n, flags, (long)ts, 0);
	if (ts)
		until_ns = al_now_ns() + ts->tv_sec * 1000000000ll + ts->tv_nsec;
	for (i = 0; i < n && i < MMSG_MAX; i++) {
		ret = msg_recv(fd, sock, &msgs[i].msg_hdr, flags & ~MSG_WAITFORONE);
		if (ret < 0)
			break;
		msgs[i].msg_len = (unsigned int)ret;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (ret == 0 || (ts && al_now_ns() >= until_ns)) {
			i++;
			break;
		}
	}
	al_sock_leave(sock);
	return i > 0 ? (int)i : (int)ret;
}

int al_sys_sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags)
{
	struct al_sock *sock = al_sock_enter(fd);
	ssize_t ret = 0;
	unsigned int i;

	if (!sock)
		return (int)kern_call6(SYS_sendmmsg, fd, (long)msgs, n, flags, 0, 0);
	for (i = 0; i < n && i < MMSG_MAX; i++) {
		ret = msg_send(fd, sock, &msgs[i].msg_hdr, flags);
		if (ret < 0)
			break;
		msgs[i].msg_len = (unsigned int)ret;
		if ((size_t)ret < al_iov_bytes(msgs[i].msg_hdr.msg_iov,
						  (int)msgs[i].msg_hdr.msg_iovlen)) {
			i++;
			break;
		}
	}
	al_sock_leave(sock);
	return i > 0 ? (int)i : (int)ret;
}
