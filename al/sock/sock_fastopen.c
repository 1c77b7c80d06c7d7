/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fast open of a client: MSG_FASTOPEN, which connects and sends in one call.
 *
 * The engine keeps the cookies. An open that asks for fast open is answered by how many bytes its SYN may take along: then the SYN waits for
 * them, and they are sent like any others. With none, the SYN has left, and asks for a cookie. So a call that does not wait says how much
 * the SYN took, or EINPROGRESS, and then nothing was taken; as Linux. With TCP_FASTOPEN_CONNECT it is connect() that returns while the SYN waits
 * (sock_conn.c), and the first send that lets it go (sock_io.c).
 *
 * Whether the machine wants fast open at all (net.ipv4.tcp_fastopen) the kernel says, by what it thinks of TCP_FASTOPEN_CONNECT on the shadow.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>

#include "al/sock/kern.h"
#include "al/sock/sock.h"
#include "al/sock/sock_io.h"
#include "al/sock/sock_opt.h"

static bool fastopen_is_allowed(int fd)
{
	int on = 1, off = 0;
	int ret;

	if (opt_int(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT))
		return true;
	ret = kern_setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on));
	if (ret == 0)
		kern_setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &off, sizeof(off));
	return ret != -EOPNOTSUPP;
}

int al_sock_fastopen_begin(
		struct al_sock *sock, int fd, const struct sockaddr *addr, socklen_t len, int flags)
{
	const struct eta_core_page *page = al_page();
	bool blocks = !sock->is_nonblock && !(flags & MSG_DONTWAIT);
	enum al_sock_state state = al_sock_refresh(sock, fd);

	if (state == AL_SOCK_NEW && (!page || !(page->features & ETA_FEATURE_FASTOPEN))) {
		al_sock_to_kernel(sock, AL_COUNT_FALLBACK_FLAG);
		return 1;
	}
	if (state == AL_SOCK_LISTENING || state == AL_SOCK_KERNEL)
		return 1;
	if (!fastopen_is_allowed(fd) ||
			(addr && len >= sizeof(addr->sa_family) && addr->sa_family == AF_UNSPEC))
		return -EOPNOTSUPP;
	if (state == AL_SOCK_CONNECTING && !sock->syn_waits && !blocks)
		return -EALREADY;
	return al_sock_connect_fastopen(sock, fd, addr, len);
}

ssize_t al_sock_fastopen_send(
		struct al_sock *sock, int fd, const struct iovec *iov, int iov_n, int flags)
{
	bool blocks = !sock->is_nonblock && !(flags & MSG_DONTWAIT);
	size_t done = 0;
	ssize_t n;

	flags &= ~MSG_FASTOPEN;
	if (sock->state == AL_SOCK_OPEN)
		return al_sock_send(sock, iov, iov_n, flags);
	if (sock->syn_waits) {
		n = al_sock_send(sock, iov, iov_n, flags | MSG_DONTWAIT);
		if (n < 0 && n != -EAGAIN && n != -EINPROGRESS)
			return n;
		done = n > 0 ? (size_t)n : 0;
	}
	if (!blocks)
		return done ? (ssize_t)done : -EINPROGRESS;
	n = al_sock_connect_wait(sock, fd);
	if (n < 0)
		return n;
	if (done && done == al_iov_bytes(iov, iov_n))
		return (ssize_t)done;
	return al_sock_send_rest(sock, iov, iov_n, done, flags);
}
