/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The socket object: from descriptor to conn, its life, and what it is ready for (see sock.h).
 */
#include "al/sock/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <x86intrin.h>

#include "al/sock/epoll.h"
#include "al/sock/fork.h"
#include "al/sock/kern.h"
#include "al/sock/sock_wait.h"

/* ---- from a number to the object ---- */

struct al_sock *al_sock_enter_any(int fd)
{
	struct al_file *file = al_fdtab_peek(&al_sockets.fdtab, fd);

	if (!file || file->kind != AL_FILE_SOCK || al_sockets.ended)
		return NULL;
	if (__builtin_expect(al_sockets.alive && !*al_sockets.alive, 0)) {
		al_fork_raw();
		return NULL;
	}
	al_enter();
	file = al_fdtab_get(&al_sockets.fdtab, fd);
	if (file && file->kind == AL_FILE_SOCK) {
		struct al_sock *sock = (struct al_sock *)file;

		if (sock->state != AL_SOCK_KERNEL)
			return sock;
		al_file_put(file);
		file = al_fdtab_take(&al_sockets.fdtab, fd);
	}
	if (file)
		al_file_put(file);
	al_leave();
	return NULL;
}

struct al_sock *al_sock_enter(int fd)
{
	struct al_file *file = al_fdtab_peek(&al_sockets.fdtab, fd);
	struct al_sock *sock;

	if (__builtin_expect(!file, 1))
		return NULL;
	sock = al_sock_enter_any(fd);
	if (sock && !al_sock_is_eta(sock)) {
		al_sock_leave(sock);
		sock = NULL;
	}
	return sock;
}

void al_sock_leave(struct al_sock *sock)
{
	al_file_put(&sock->file);
	al_leave();
}

void al_file_put(struct al_file *file)
{
	if (__atomic_sub_fetch(&file->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	al_enter();
	if (file->kind == AL_FILE_SOCK)
		al_sock_free((struct al_sock *)file);
	else
		al_set_free((struct al_set *)file);
	al_leave();
}

/* ---- life ---- */

struct al_sock *al_sock_make(int fd, int family, bool is_nonblock)
{
	struct al_sock *sock;

	sock = al_pool_get(&al_sockets.socks, (sizeof(*sock) + 63) / 64 * 64);
	if (!sock)
		return NULL;
	memset((uint8_t *)sock + sizeof(sock->file.refs), 0,
			sizeof(*sock) - sizeof(sock->file.refs));
	sock->file.kind = AL_FILE_SOCK;
	sock->family = (uint8_t)family;
	sock->fd = fd;
	sock->is_nonblock = is_nonblock;
	__atomic_store_n(&sock->file.refs, 1, __ATOMIC_RELEASE);
	if (al_fdtab_set(&al_sockets.fdtab, fd, &sock->file) != 0) {
		__atomic_store_n(&sock->file.refs, 0, __ATOMIC_RELEASE);
		al_pool_put(&al_sockets.socks, sock);
		return NULL;
	}
	return sock;
}

void al_sock_free(struct al_sock *sock)
{
	struct al_conn *conn = sock->conn;

	al_epoll_file_gone(&sock->file);
	if (conn) {
		bool abort = sock->linger_on && sock->linger_s == 0 && sock->state == AL_SOCK_OPEN;

		sock->conn = NULL;
		al_conn_set_user(conn, NULL);
		al_conn_close(conn, abort);
	}
	al_pool_put(&al_sockets.socks, sock);
}

void al_sock_to_kernel(struct al_sock *sock, enum al_count why)
{
	struct al_conn *conn;

	al_count(why);
	al_lock_take(&sock->rcv_lock);
	al_lock_take(&sock->snd_lock);
	conn = sock->conn;
	sock->conn = NULL;
	__atomic_store_n(&sock->state, AL_SOCK_KERNEL, __ATOMIC_RELEASE);
	al_lock_drop(&sock->snd_lock);
	al_lock_drop(&sock->rcv_lock);
	if (conn) {
		al_conn_set_user(conn, NULL);
		al_conn_close(conn, true);
	}
	al_epoll_sock_moved(sock);
	al_wait_wake(&sock->file);
}

int al_sock_fd(struct al_sock *sock)
{
	if (al_fdtab_peek(&al_sockets.fdtab, sock->fd) != &sock->file)
		sock->fd = al_fdtab_next(&al_sockets.fdtab, 0, &sock->file);
	return sock->fd;
}

uint64_t al_sock_cookie(struct al_sock *sock)
{
	socklen_t len = sizeof(sock->cookie);

	if (!sock->cookie)
		kern_getsockopt(al_sock_fd(sock), SOL_SOCKET, SO_COOKIE, &sock->cookie, &len);
	return sock->cookie;
}

/* ---- state ---- */

/* The engine does not carry this after all: connect the shadow, as connect() would have done. */
static void sock_connect_kernel(struct al_sock *sock, int fd)
{
	int flags;

	al_sock_to_kernel(sock, AL_COUNT_FALLBACK_CONNECT);
	flags = kern_fcntl(fd, F_GETFL, 0);
	if (!(flags & O_NONBLOCK))
		kern_fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	kern_connect(fd, (struct sockaddr *)&sock->remote, sock->remote_len);
	if (!(flags & O_NONBLOCK))
		kern_fcntl(fd, F_SETFL, flags);
}

enum al_sock_state al_sock_refresh(struct al_sock *sock, int fd)
{
	if (__builtin_expect(sock->state != AL_SOCK_CONNECTING, 1))
		return sock->state;
	al_lock_take(&sock->lock);
	if (sock->state == AL_SOCK_CONNECTING) {
		switch (al_conn_state(sock->conn)) {
		case ETA_DTI_OPEN:
			sock->had_peer = true;
			__atomic_store_n(&sock->state, AL_SOCK_OPEN, __ATOMIC_RELEASE);
			break;
		case ETA_DTI_CLOSED:
			if (eta_status_errno(al_conn_record(sock->conn)->status) == EAFNOSUPPORT)
				sock_connect_kernel(sock, fd);
			else
				__atomic_store_n(&sock->state, AL_SOCK_OPEN, __ATOMIC_RELEASE);
			break;
		case ETA_DTI_FREE:
		case ETA_DTI_CHILD:
		case ETA_DTI_CONNECTING:
		case ETA_DTI_LISTENING:
		case ETA_DTI_MOVED:
			if (!al_engine_alive())
				__atomic_store_n(&sock->state, AL_SOCK_OPEN, __ATOMIC_RELEASE);
			break;
		}
	}
	al_lock_drop(&sock->lock);
	return sock->state;
}

uint32_t al_sock_ready(struct al_sock *sock, int fd)
{
	struct al_conn *conn = sock->conn;
	uint32_t ready;

	switch (al_sock_refresh(sock, fd)) {
	case AL_SOCK_NEW:
	case AL_SOCK_KERNEL: return kern_poll_now(fd, ~0u);
	case AL_SOCK_LISTENING:
		ready = al_engine_alive() ? al_conn_ready(conn) & (POLLIN | POLLRDNORM) : 0;
		if (!ready && __atomic_load_n(&sock->kern_hint, __ATOMIC_RELAXED)) {
			ready = kern_poll_now(fd, POLLIN | POLLRDNORM);
			sock->kern_hint = ready != 0;
		}
		return ready ? ready | POLLIN | POLLRDNORM : 0;
	case AL_SOCK_CONNECTING: return sock->syn_waits ? POLLOUT | POLLWRNORM : 0;
	case AL_SOCK_OPEN: break;
	}
	ready = al_conn_ready(conn);
	if (sock->rcv_lowat > 1 && (ready & POLLIN) && !(ready & (POLLRDHUP | POLLHUP | POLLERR)) &&
			al_conn_rcv_bytes(conn) < sock->rcv_lowat)
		ready &= ~(uint32_t)POLLIN;
	if (sock->rcv_shut)
		ready |= POLLIN | POLLRDHUP;
	if (sock->snd_shut && sock->rcv_shut)
		ready |= POLLHUP;
	if (sock->snd_shut)
		ready |= POLLOUT;
	if (ready & POLLIN)
		ready |= POLLRDNORM;
	if (ready & POLLOUT)
		ready |= POLLWRNORM;
	return ready;
}

bool al_sock_look_for_engine(void)
{
	uint64_t now = __rdtsc();

	if (now - al_tls.engine_look_tsc < AL_KERN_LOOK_CYC)
		return true;
	al_tls.engine_look_tsc = now;
	return al_engine_alive(); /* what it finds out sticks, and all conns tell it */
}

void al_sock_watch(struct al_sock *sock, bool exclusive)
{
	uint32_t me = al_thread_id();

	if (sock->watch_thread[0] == me || !sock->conn)
		return;
	if (sock->watch_thread[1] != me)
		al_conn_watch(sock->conn, AL_WATCH_ALL, exclusive);
	sock->watch_thread[1] = sock->watch_thread[0];
	sock->watch_thread[0] = me;
}

void al_sock_on_ready(struct al_conn *conn, void *user, uint32_t event_flags)
{
	struct al_sock *sock = user;
	uint32_t me;
	bool wanted;

	(void)event_flags;
	if (!sock)
		return;
	me = al_thread_id();
	wanted = sock->watch_thread[0] == me || sock->watch_thread[1] == me;
	if (__atomic_load_n(&sock->file.watchers, __ATOMIC_ACQUIRE))
		wanted |= al_epoll_file_ready(&sock->file);
	if (__atomic_load_n(&sock->sleepers_n, __ATOMIC_RELAXED))
		al_wait_wake(&sock->file);
	/* Another thread has taken the socket over: stop waking this one for it. */
	if (!wanted && sock->watch_thread[0] != 0)
		al_conn_unwatch(conn);
}
