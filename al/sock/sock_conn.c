/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * connect and accept.
 *
 * connect() asks the engine first. What ETA does not carry is connected by the kernel on the shadow, with the same arguments, so that a wrong
 * argument fails as the kernel makes it fail. The engine's verdict comes within microseconds of the doorbell; a non-blocking connect waits for
 * that (not for the peer), so that the socket's side is settled and its local port known when EINPROGRESS is returned.
 *
 * accept() serves a listener from two sides: connections of ETA first; the kernel's when there are none, if poll said so or the last look is
 * 50 us old. Each accepted connection of ETA gets a kernel socket as its descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/param.h>
#include <x86intrin.h>

#include "al/sock/api.h"
#include "al/sock/epoll.h"
#include "al/sock/kern.h"
#include "al/sock/sock.h"
#include "al/sock/sock_wait.h"

#define CONNECT_VERDICT_NS 2000000ll /* longest wait for the engine to take the doorbell */

/* ---- connect ---- */

static long connect_ready(struct al_wait *wait, bool kern)
{
	struct al_sock *sock = wait->arg;

	(void)kern;
	return al_sock_refresh(sock, al_sock_fd(sock)) != AL_SOCK_CONNECTING;
}

/* The engine has taken the doorbell, or refused. */
static long connect_taken(struct al_wait *wait, bool kern)
{
	struct al_sock *sock = wait->arg;
	struct sockaddr_storage local;
	struct sockaddr_storage remote;

	if (connect_ready(wait, kern))
		return 1;
	al_conn_addrs(sock->conn, &local, &remote, sock->family);
	return ((struct sockaddr_in *)&local)->sin_port != 0;
}

/* The result of a connect() that is over; in the end state. */
static int connect_result(struct al_sock *sock, int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLOUT};
	int error = 0;
	socklen_t len = sizeof(error);

	if (sock->state == AL_SOCK_KERNEL) {
		if (sock->is_nonblock)
			return -EINPROGRESS;
		kern_ppoll(&pfd, 1, NULL, NULL);
		kern_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
		return -error;
	}
	sock->is_connecting = false;
	if (sock->had_peer)
		return 0;
	error = al_conn_take_error(sock->conn);
	return error ? -error : -ECONNABORTED;
}

int al_sock_connect_wait(struct al_sock *sock, int fd)
{
	struct pollfd pfd[1];
	struct al_wait wait = {
			.arg = sock,
			.what = &sock->file,
			.pfd = pfd,
			.restarts = sock->snd_timeo_ns == 0,
	};
	long rc;

	if (sock->is_nonblock) {
		int64_t until = al_now_ns() + CONNECT_VERDICT_NS;

		do {
			al_poll_events();
			wait.ready = connect_taken;
			rc = connect_taken(&wait, false);
		} while (!rc && al_now_ns() < until);
		return -EINPROGRESS; /* also if it is over already: poll tells */
	}
	wait.ready = connect_ready;
	wait.deadline_ns = al_wait_deadline(sock->snd_timeo_ns ? sock->snd_timeo_ns : -1);
	al_sock_watch(sock, false);
	rc = al_wait(&wait);
	if (rc < 0)
		return (int)rc;
	if (rc == 0)
		return -EINPROGRESS;
	return connect_result(sock, fd);
}

/* connect() on a socket that has one behind it. */
static int connect_again(struct al_sock *sock, int fd)
{
	switch (al_sock_refresh(sock, fd)) {
	case AL_SOCK_CONNECTING:
		if (sock->syn_waits)
			return -EISCONN;
		return sock->is_nonblock ? -EALREADY : al_sock_connect_wait(sock, fd);
	case AL_SOCK_KERNEL: return connect_result(sock, fd);
	case AL_SOCK_OPEN: return sock->is_connecting ? connect_result(sock, fd) : -EISCONN;
	case AL_SOCK_LISTENING:
	case AL_SOCK_NEW: break;
	}
	return -EISCONN;
}

/* Is this for ETA to try? Odd arguments are not: the kernel knows their errors. */
static bool connect_wanted(struct al_sock *sock, const struct sockaddr *addr, socklen_t len)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)addr;
	const struct sockaddr_in *in = (const struct sockaddr_in *)addr;
	uint32_t v4;

	if (!addr || addr->sa_family != sock->family)
		return false;
	if (sock->family == AF_INET) {
		if (len < sizeof(*in))
			return false;
		v4 = ntohl(in->sin_addr.s_addr);
		return v4 != INADDR_ANY && v4 != INADDR_BROADCAST && !IN_MULTICAST(v4) &&
		       in->sin_port != 0;
	}
	return len >= sizeof(*in6) && !IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr) &&
	       !IN6_IS_ADDR_MULTICAST(&in6->sin6_addr) &&
	       !(sock->is_v6only && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) && in6->sin6_port != 0;
}

static void connect_read_v6only(struct al_sock *sock, int fd)
{
	int value = 0;
	socklen_t len = sizeof(value);

	if (sock->family == AF_INET6)
		kern_getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, &len);
	sock->is_v6only = value != 0;
}

/* Begin an active open. Return 0 begun; -EAFNOSUPPORT or another error: the kernel's. With the state lock. */
static int connect_begin(struct al_sock *sock, int fd, const struct sockaddr *addr, socklen_t len,
		bool fastopen)
{
	struct al_conn *old = sock->conn;
	struct al_conn *conn = al_conn_open();
	int rc;

	if (!conn) {
		al_sock_to_kernel(sock, AL_COUNT_FALLBACK_QUOTA);
		return -EAFNOSUPPORT;
	}
	al_lock_take(&sock->rcv_lock);
	al_lock_take(&sock->snd_lock);
	sock->conn = conn;
	sock->snd_shut = false;
	sock->rcv_shut = false;
	al_lock_drop(&sock->snd_lock);
	al_lock_drop(&sock->rcv_lock);
	if (old) {
		al_conn_set_user(old, NULL);
		al_conn_close(old, true);
	}
	al_conn_set_user(conn, sock);
	memset(sock->watch_thread, 0, sizeof(sock->watch_thread));
	sock->watch_thread[0] = al_thread_id();
	memcpy(&sock->remote, addr, MIN(len, sizeof(sock->remote)));
	sock->remote_len = MIN(len, sizeof(sock->remote));
	al_sock_opt_apply(sock, fd);
	if (fastopen)
		al_conn_param(conn)->opt |= ETA_OPT_FASTOPEN;
	rc = al_conn_connect(conn, addr, len, sock->is_bound ? fd : -1);
	if (rc) {
		al_sock_to_kernel(sock, AL_COUNT_FALLBACK_CONNECT);
		return rc;
	}
	sock->is_connecting = true;
	sock->syn_waits = fastopen && al_conn_syn_bytes(conn) != 0;
	__atomic_store_n(&sock->state, AL_SOCK_CONNECTING, __ATOMIC_RELEASE);
	al_count(AL_COUNT_CONNECT_ETA);
	al_epoll_sock_moved(sock);
	return 0;
}

/* AF_UNSPEC: dissolve the association. */
static void connect_dissolve(struct al_sock *sock)
{
	struct al_conn *conn = sock->conn;

	al_lock_take(&sock->rcv_lock);
	al_lock_take(&sock->snd_lock);
	sock->conn = NULL;
	sock->is_connecting = false;
	sock->syn_waits = false;
	sock->had_peer = false;
	__atomic_store_n(&sock->state, AL_SOCK_NEW, __ATOMIC_RELEASE);
	al_lock_drop(&sock->snd_lock);
	al_lock_drop(&sock->rcv_lock);
	al_conn_set_user(conn, NULL);
	al_conn_close(conn, true);
	al_epoll_sock_moved(sock);
	al_wait_wake(&sock->file);
}

/* Return: 0 begun by ETA; 1 for the kernel to do. With the state lock. */
static int connect_locked(struct al_sock *sock, int fd, const struct sockaddr *addr, socklen_t len,
		bool fastopen)
{
	connect_read_v6only(sock, fd);
	if (!connect_wanted(sock, addr, len))
		return 1;
	if (!al_policy_allows(&al_sockets.policy, AL_POLICY_CONNECT,
			    ntohs(((const struct sockaddr_in *)addr)->sin_port))) {
		al_sock_to_kernel(sock, AL_COUNT_FALLBACK_POLICY);
		return 1;
	}
	if (!al_engine_alive()) {
		al_sock_to_kernel(sock, AL_COUNT_FALLBACK_NO_ETAD);
		return 1;
	}
	return connect_begin(sock, fd, addr, len, fastopen) ? 1 : 0;
}

/* A new association: nothing is in the way. */
static bool connect_is_first(const struct al_sock *sock)
{
	return sock->state == AL_SOCK_NEW ||
	       (sock->state == AL_SOCK_OPEN && !sock->had_peer && !sock->is_connecting);
}

static int connect_sock(struct al_sock *sock, int fd, const struct sockaddr *addr, socklen_t len)
{
	int rc = 1;

	al_sock_refresh(sock, fd);
	if (addr && len >= sizeof(addr->sa_family) && addr->sa_family == AF_UNSPEC &&
			(sock->state == AL_SOCK_OPEN || sock->state == AL_SOCK_CONNECTING)) {
		al_lock_take(&sock->lock);
		connect_dissolve(sock);
		al_lock_drop(&sock->lock);
		return 0;
	}
	if (!connect_is_first(sock))
		return connect_again(sock, fd);
	al_lock_take(&sock->lock);
	if (connect_is_first(sock))
		rc = connect_locked(sock, fd, addr, len, sock->fastopen_connect);
	al_lock_drop(&sock->lock);
	if (rc == 0)
		return sock->syn_waits ? 0 : al_sock_connect_wait(sock, fd);
	rc = kern_connect(fd, addr, len);
	if ((rc == 0 || rc == -EINPROGRESS) && sock->state == AL_SOCK_NEW)
		al_sock_to_kernel(sock, AL_COUNT_FALLBACK_CONNECT);
	return rc;
}

int al_sock_connect_fastopen(
		struct al_sock *sock, int fd, const struct sockaddr *addr, socklen_t len)
{
	int rc = 1;

	if (!connect_is_first(sock))
		return sock->syn_waits && sock->state == AL_SOCK_CONNECTING
				       ? 0
				       : connect_again(sock, fd);
	al_lock_take(&sock->lock);
	if (connect_is_first(sock))
		rc = connect_locked(sock, fd, addr, len, true);
	al_lock_drop(&sock->lock);
	if (rc && sock->state == AL_SOCK_NEW)
		al_sock_to_kernel(sock, AL_COUNT_FALLBACK_FLAG);
	return rc;
}

int al_sys_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct al_sock *sock = al_sock_enter_any(fd);
	int ret;

	if (!sock)
		return kern_connect(fd, addr, len);
	ret = connect_sock(sock, fd, addr, len);
	al_sock_leave(sock);
	return ret;
}

/* ---- accept ---- */

struct accept_call {
	struct al_sock *sock;
	struct pollfd *pfd;
	struct sockaddr *addr;
	socklen_t *len;
	int fd;
	int flags;
};

/* Give the connection a descriptor. Return it or -errno. */
static long accept_eta(struct accept_call *call, struct al_conn *conn)
{
	struct al_sock *listener = call->sock;
	struct sockaddr_storage local;
	struct sockaddr_storage remote;
	struct al_sock *sock;
	socklen_t real = listener->family == AF_INET6 ? sizeof(struct sockaddr_in6)
						      : sizeof(struct sockaddr_in);
	int fd = kern_socket(listener->family, SOCK_STREAM | call->flags, IPPROTO_TCP);

	if (fd < 0) {
		al_conn_close(conn, true);
		return fd;
	}
	sock = al_sock_make(fd, listener->family, (call->flags & SOCK_NONBLOCK) != 0);
	if (!sock) {
		al_conn_close(conn, true);
		kern_close(fd);
		return -ENOBUFS;
	}
	sock->had_peer = true;
	sock->is_v6only = listener->is_v6only;
	sock->watch_thread[0] = al_thread_id();
	sock->conn = conn;
	al_conn_set_user(conn, sock);
	__atomic_store_n(&sock->state, AL_SOCK_OPEN, __ATOMIC_RELEASE);
	al_sock_opt_inherit(listener, call->fd, sock, fd);
	if (call->addr && call->len) {
		al_conn_addrs(conn, &local, &remote, listener->family);
		memcpy(call->addr, &remote, MIN(*call->len, real));
		*call->len = real;
	}
	al_count(AL_COUNT_ACCEPT_ETA);
	return fd;
}

static long accept_kernel(struct accept_call *call)
{
	struct al_sock *sock = call->sock;
	int fd;

	sock->kern_look_tsc = __rdtsc();
	fd = kern_accept4(call->fd, call->addr, call->len, call->flags);
	if (fd >= 0)
		al_count(AL_COUNT_ACCEPT_KERNEL);
	else
		sock->kern_hint = false;
	return fd;
}

/* Return: fd + 1, -errno, 0 = nothing. */
static long accept_ready(struct al_wait *wait, bool kern)
{
	struct accept_call *call = wait->arg;
	struct al_sock *sock = call->sock;
	struct al_conn *conn = NULL;
	long fd = -EAGAIN;

	if (sock->state != AL_SOCK_LISTENING)
		return -EINVAL;
	al_lock_take(&sock->rcv_lock);
	if (sock->conn)
		conn = al_conn_accept(sock->conn);
	al_lock_drop(&sock->rcv_lock);
	if (conn)
		fd = accept_eta(call, conn);
	else if (kern || sock->kern_hint)
		fd = accept_kernel(call);
	if (fd == -EAGAIN)
		return 0;
	return fd >= 0 ? fd + 1 : fd;
}

static int accept_sock(struct accept_call *call)
{
	struct al_sock *sock = call->sock;
	struct pollfd pfd[2] = {{.fd = call->fd, .events = POLLIN}};
	struct al_wait wait = {
			.ready = accept_ready,
			.arg = call,
			.what = &sock->file,
			.pfd = pfd,
			.pfd_n = 1,
			.restarts = sock->rcv_timeo_ns == 0,
	};
	long ret;

	if (call->len && (int)*call->len < 0)
		return -EINVAL;
	if (sock->is_nonblock) {
		/* An epoll set that holds the listener says when the kernel's side has something. */
		uint64_t every_cyc =
				sock->file.watchers ? 100 * AL_KERN_LOOK_CYC : AL_KERN_LOOK_CYC;
		bool look = __rdtsc() - sock->kern_look_tsc > every_cyc;

		al_poll_events();
		ret = accept_ready(&wait, look);
	} else {
		wait.deadline_ns = al_wait_deadline(sock->rcv_timeo_ns ? sock->rcv_timeo_ns : -1);
		al_sock_watch(sock, true);
		ret = al_wait(&wait);
	}
	if (ret == 0)
		return -EAGAIN;
	return (int)(ret > 0 ? ret - 1 : ret);
}

int al_sys_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	struct al_sock *sock = al_sock_enter(fd);
	struct accept_call call = {
			.sock = sock, .addr = addr, .len = len, .fd = fd, .flags = flags};
	int ret;

	if (!sock)
		return kern_accept4(fd, addr, len, flags);
	if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
		ret = -EINVAL;
	else if (sock->state != AL_SOCK_LISTENING)
		ret = -EINVAL;
	else
		ret = accept_sock(&call);
	al_sock_leave(sock);
	return ret;
}
