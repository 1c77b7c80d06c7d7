/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * socket, bind, listen, shutdown and the two names.
 *
 * bind() is the kernel's altogether: permission, conflicts and port 0 are judged on the shadow, from where KA reads them.
 * listen() is done twice: the shadow listens in the kernel (connections by other interfaces, or after etad died, come there), and a master
 * on ETA. From then on the shadow is non-blocking in the kernel, whatever the program asked: accept() looks at it without waiting in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/param.h>

#include "al/sock/api.h"
#include "al/sock/epoll.h"
#include "al/sock/kern.h"
#include "al/sock/sock.h"
#include "al/sock/sock_wait.h"

int al_sys_socket(int domain, int type, int protocol)
{
	int fd = kern_socket(domain, type, protocol);

	if (fd < 0 || (domain != AF_INET && domain != AF_INET6) ||
			(type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != SOCK_STREAM ||
			(protocol != 0 && protocol != IPPROTO_TCP) || al_sockets.ended)
		return fd;
	al_enter();
	al_sockets_start();
	al_count(AL_COUNT_SOCKETS);
	if (al_sockets_attach() == 0)
		(void)al_sock_make(fd, domain, (type & SOCK_NONBLOCK) != 0);
	else
		al_count(AL_COUNT_FALLBACK_NO_ETAD);
	al_leave();
	return fd;
}

int al_sys_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct al_sock *sock = al_sock_enter_any(fd);
	int ret;

	if (!sock)
		return kern_bind(fd, addr, len);
	ret = al_sock_is_eta(sock) ? -EINVAL : kern_bind(fd, addr, len);
	if (ret == 0)
		sock->is_bound = true;
	al_sock_leave(sock);
	return ret;
}

static uint16_t sock_shadow_port(int fd)
{
	struct sockaddr_in6 name = {0};
	socklen_t len = sizeof(name);

	kern_getsockname(fd, (struct sockaddr *)&name, &len);
	return ntohs(name.sin6_port); /* same place in sockaddr_in */
}

/* May the listening shadow @fd be ETA's? */
static bool sock_listen_wanted(struct al_sock *sock, int fd)
{
	int value = 0;
	socklen_t len = sizeof(value);

	if (!al_policy_allows(&al_sockets.policy, AL_POLICY_LISTEN, sock_shadow_port(fd))) {
		al_sock_to_kernel(sock, AL_COUNT_FALLBACK_POLICY);
		return false;
	}
	if (sock->family == AF_INET6)
		kern_getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, &len);
	sock->is_v6only = value != 0;
	return true;
}

/* Make a master of the listening shadow. With the state lock. */
static void sock_listen_eta(struct al_sock *sock, int fd, int backlog)
{
	struct al_conn *conn = al_conn_open();
	int flags;
	int rc;

	if (!conn) {
		al_sock_to_kernel(sock, AL_COUNT_FALLBACK_QUOTA);
		return;
	}
	al_conn_set_user(conn, sock);
	rc = al_conn_listen(conn, fd, (uint32_t)backlog, sock->is_v6only);
	if (rc) {
		al_conn_set_user(conn, NULL);
		al_conn_close(conn, true);
		al_sock_to_kernel(sock, AL_COUNT_FALLBACK_LISTEN);
		return;
	}
	flags = kern_fcntl(fd, F_GETFL, 0);
	sock->is_nonblock = (flags & O_NONBLOCK) != 0;
	kern_fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	sock->kern_hint = true;
	sock->conn = conn;
	sock->backlog = (uint32_t)backlog;
	__atomic_store_n(&sock->state, AL_SOCK_LISTENING, __ATOMIC_RELEASE);
	al_sock_opt_apply(sock, fd);
	al_count(AL_COUNT_LISTEN_ETA);
	al_epoll_sock_moved(sock);
}

int al_sys_listen(int fd, int backlog)
{
	struct al_sock *sock = al_sock_enter_any(fd);
	int ret;

	if (!sock)
		return kern_listen(fd, backlog);
	al_lock_take(&sock->lock);
	if (sock->state == AL_SOCK_CONNECTING || sock->state == AL_SOCK_OPEN) {
		ret = -EINVAL;
	} else {
		ret = kern_listen(fd, backlog);
		if (ret == 0 && sock->state == AL_SOCK_NEW && sock_listen_wanted(sock, fd))
			sock_listen_eta(sock, fd,
					backlog < 0 || backlog > SOMAXCONN ? SOMAXCONN : backlog);
	}
	al_lock_drop(&sock->lock);
	al_sock_leave(sock);
	return ret;
}

static int sock_shutdown(struct al_sock *sock, int how)
{
	int ret = 0;

	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return -EINVAL;
	if (sock->state != AL_SOCK_OPEN || al_conn_state(sock->conn) != ETA_DTI_OPEN)
		return -ENOTCONN;
	if (how != SHUT_RD && !sock->snd_shut) {
		al_lock_take(&sock->snd_lock);
		sock->snd_shut = true;
		ret = al_conn_shut_wr(sock->conn);
		al_lock_drop(&sock->snd_lock);
	}
	if (how != SHUT_WR && !sock->rcv_shut) {
		sock->rcv_shut = true;
		al_conn_shut_rd(sock->conn);
	}
	al_epoll_file_ready(&sock->file);
	al_wait_wake(&sock->file);
	return ret;
}

/* shutdown() of a listener or of a connect() in progress ends it: as the kernel, which then allows another connect() or listen(). */
static int sock_shutdown_unopened(struct al_sock *sock, int fd, int how)
{
	struct al_conn *conn;
	int flags;

	if (sock->state == AL_SOCK_LISTENING && how == SHUT_WR)
		return 0;
	conn = sock->conn;
	if (sock->state == AL_SOCK_LISTENING) {
		kern_shutdown(fd, how);
		flags = kern_fcntl(fd, F_GETFL, 0);
		if (!sock->is_nonblock)
			kern_fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
	}
	al_lock_take(&sock->rcv_lock);
	al_lock_take(&sock->snd_lock);
	sock->conn = NULL;
	sock->is_connecting = false;
	__atomic_store_n(&sock->state, AL_SOCK_NEW, __ATOMIC_RELEASE);
	al_lock_drop(&sock->snd_lock);
	al_lock_drop(&sock->rcv_lock);
	al_conn_set_user(conn, NULL);
	al_conn_close(conn, true);
	al_epoll_sock_moved(sock);
	al_wait_wake(&sock->file);
	return 0;
}

int al_sys_shutdown(int fd, int how)
{
	struct al_sock *sock = al_sock_enter(fd);
	int ret;

	if (!sock)
		return kern_shutdown(fd, how);
	al_sock_refresh(sock, fd);
	if (how < SHUT_RD || how > SHUT_RDWR) {
		ret = -EINVAL;
	} else if (sock->state == AL_SOCK_LISTENING || sock->state == AL_SOCK_CONNECTING) {
		al_lock_take(&sock->lock);
		ret = sock_shutdown_unopened(sock, fd, how);
		al_lock_drop(&sock->lock);
	} else {
		ret = sock_shutdown(sock, how);
	}
	al_sock_leave(sock);
	return ret;
}

static int sock_name(struct al_sock *sock, bool remote_name, struct sockaddr *addr, socklen_t *len)
{
	struct sockaddr_storage local;
	struct sockaddr_storage remote;
	socklen_t real = sock->family == AF_INET6 ? sizeof(struct sockaddr_in6)
						  : sizeof(struct sockaddr_in);

	if (!addr || !len)
		return -EFAULT;
	if ((int)*len < 0)
		return -EINVAL;
	al_conn_addrs(sock->conn, &local, &remote, sock->family);
	memcpy(addr, remote_name ? &remote : &local, MIN(*len, real));
	*len = real;
	return 0;
}

int al_sys_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct al_sock *sock = al_sock_enter(fd);
	int ret;

	if (!sock)
		return kern_getsockname(fd, addr, len);
	if (sock->state == AL_SOCK_LISTENING)
		ret = kern_getsockname(fd, addr, len);
	else
		ret = sock_name(sock, false, addr, len);
	al_sock_leave(sock);
	return ret;
}

int al_sys_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	struct al_sock *sock = al_sock_enter(fd);
	int ret;

	if (!sock)
		return kern_getpeername(fd, addr, len);
	if (al_sock_refresh(sock, fd) == AL_SOCK_KERNEL)
		ret = kern_getpeername(fd, addr, len);
	else if (sock->state == AL_SOCK_OPEN && al_conn_state(sock->conn) == ETA_DTI_OPEN)
		ret = sock_name(sock, true, addr, len);
	else
		ret = -ENOTCONN;
	al_sock_leave(sock);
	return ret;
}
