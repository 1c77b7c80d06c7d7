/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The native interface over al/core: handles in, completions out.
 *
 * A handle is (use count, slot, DTI index): a look-up is a bounds check and a comparison, and a handle of an earlier use fails it. Events become
 * completions while eta_poll() drains its thread's queue, at most one per event, so the caller's array bounds the batch and nothing is
 * kept in between.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <eta/eta.h>

#include "al/core/al.h"
#include "al/native/native.h"

/* The array that eta_poll() of this thread is filling. */
struct filling {
	struct eta_completion *done;
	int n, max;
};
static __thread struct filling filling __attribute__((tls_model("initial-exec")));

static eta_conn_t handle_of(const struct al_conn *conn)
{
	return (uint64_t)conn->serial << 32 | (uint32_t)conn->slot << 24 | (conn->dti_idx + 1);
}

/* ---- completions ---- */

static ETA_COLD uint32_t what_slow(struct al_conn *conn, uint32_t flags)
{
	uint8_t level = al_get8(&conn->level);
	uint32_t what = 0;

	if (flags & ETA_EV_READ)
		what |= ETA_READABLE;
	if (ETA_UNLIKELY(al_flag(conn, AL_CONN_OPENING))) {
		if (al_get8(&conn->state) >= ETA_DTI_OPEN) {
			al_flag_clear(conn, AL_CONN_OPENING);
			if (al_get8(&conn->state) == ETA_DTI_OPEN || !conn->status)
				what |= ETA_CONNECTED;
		}
	} else if (flags & ETA_EV_WRITE) {
		what |= ETA_WRITABLE;
	}
	if (flags & ETA_EV_URGENT)
		what |= ETA_URGENT;
	if (ETA_UNLIKELY(level & ETA_EV_RD_CLOSED) && !al_flag(conn, AL_CONN_EOF_TOLD)) {
		al_flag_set(conn, AL_CONN_EOF_TOLD);
		what |= ETA_EOF | ETA_READABLE;
	}
	if (ETA_UNLIKELY(level & ETA_EV_CLOSED) && !al_flag(conn, AL_CONN_CLOSED_TOLD)) {
		al_flag_set(conn, AL_CONN_CLOSED_TOLD);
		what |= ETA_CLOSED;
	}
	return what;
}

static inline uint32_t what_of(struct al_conn *conn, uint32_t flags)
{
	if (ETA_LIKELY(flags == ETA_EV_READ && !al_get8(&conn->level) &&
			    !al_flag(conn, AL_CONN_OPENING)))
		return ETA_READABLE;
	return what_slow(conn, flags);
}

static void on_ready(struct al_conn *conn, void *user, uint32_t flags)
{
	struct filling *f = &filling;
	struct eta_completion *c;
	struct al_conn *child;

	(void)user;
	if (ETA_UNLIKELY(f->n >= f->max))
		return; /* only events outside eta_poll(): there are none */
	c = &f->done[f->n];
	if (ETA_UNLIKELY(al_flag(conn, AL_CONN_MASTER))) {
		child = flags & ETA_EV_ACCEPT ? al_conn_accept(conn) : NULL;
		if (!child)
			return;
		child->cookie = conn->cookie;
		*c = (struct eta_completion){.conn = handle_of(child),
				.listener = handle_of(conn),
				.cookie = conn->cookie,
				.what = ETA_ACCEPTED};
		/* Bytes that came before we accepted have no event of their own to this queue. */
		if (al_rcv_is_ready(child))
			c->what |= ETA_READABLE;
		c->what |= what_of(child, 0);
		f->n++;
		return;
	}
	c->what = what_of(conn, flags);
	if (!c->what)
		return;
	c->conn = handle_of(conn);
	c->listener = ETA_CONN_NONE;
	c->cookie = conn->cookie;
	c->status = c->what & ETA_CLOSED ? -eta_status_errno(conn->status) : 0;
	f->n++;
}

static int not_served(void)
{
	if (!al_is_attached())
		return -ENOTCONN;
	return al_is_gone() ? -ECONNRESET : 0;
}

int eta_poll(struct eta_completion *done, int done_n)
{
	struct filling *f = &filling;

	if (ETA_UNLIKELY(!al_self && not_served()))
		return not_served();
	f->done = done;
	f->n = 0;
	f->max = done_n;
	while (f->n < done_n)
		if (!al_poll_events_max((uint32_t)(done_n - f->n)))
			break;
	f->max = 0;
	return ETA_LIKELY(f->n) ? f->n : al_is_gone() ? -ECONNRESET : 0;
}

/* ---- process ---- */

int eta_attach(const char *path)
{
	int ret = al_attach(path);

	if (!ret)
		al_set_on_ready(on_ready);
	return ret;
}

void eta_detach(void)
{
	al_detach();
}

int eta_alive(void)
{
	return al_engine_alive();
}

/* ---- opening ---- */

/* A kernel socket bound to @addr: how the kernel judges an address and keeps others off it. Return: fd or -errno. */
static int shadow(const struct sockaddr *addr, socklen_t len)
{
	const int one = 1;
	int fd, ret;

	if (len < sizeof(addr->sa_family) ||
			(addr->sa_family != AF_INET && addr->sa_family != AF_INET6))
		return -EAFNOSUPPORT;
	fd = sys_socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	if (fd < 0)
		return fd;
	sys_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	ret = sys_bind(fd, addr, len);
	if (ret) {
		sys_close(fd);
		return ret;
	}
	return fd;
}

static struct al_conn *open_with(uint64_t cookie, int *err)
{
	struct al_conn *conn;

	*err = not_served();
	if (*err)
		return NULL;
	conn = al_conn_open();
	if (!conn) {
		*err = -ENOBUFS;
		return NULL;
	}
	conn->cookie = cookie;
	al_conn_param(conn)->opt = ETA_OPT_NODELAY;
	return conn;
}

int eta_listen(const struct sockaddr *local, socklen_t len, int backlog, uint64_t cookie,
		eta_conn_t *listener)
{
	struct al_conn *conn;
	int fd, ret;

	conn = open_with(cookie, &ret);
	if (!conn)
		return ret;
	fd = shadow(local, len);
	ret = fd < 0 ? fd : sys_listen(fd, backlog);
	if (!ret)
		ret = al_conn_listen(conn, fd, backlog > 0 ? (uint32_t)backlog : 1, false);
	if (ret) {
		if (fd >= 0)
			sys_close(fd);
		al_conn_close(conn, true);
		return ret;
	}
	al_fd_keep(fd, &conn->master.shadow_fd);
	al_conn_watch(conn, AL_EV_ALL, false);
	*listener = handle_of(conn);
	return 0;
}

int eta_accept(eta_conn_t listener, eta_conn_t *out)
{
	struct al_conn *master = native_conn(listener), *child;

	if (!master)
		return -EBADF;
	if (!al_flag(master, AL_CONN_MASTER))
		return -EINVAL;
	child = al_conn_accept(master);
	if (!child)
		return -EAGAIN;
	child->cookie = master->cookie;
	*out = handle_of(child);
	return 0;
}

int eta_connect(const struct sockaddr *remote, socklen_t remote_len, const struct sockaddr *local,
		socklen_t local_len, uint64_t cookie, eta_conn_t *out)
{
	struct al_conn *conn;
	int fd = -1, ret;

	conn = open_with(cookie, &ret);
	if (!conn)
		return ret;
	if (local)
		fd = ret = shadow(local, local_len);
	if (ret >= 0) {
		al_flag_set(conn, AL_CONN_OPENING);
		ret = al_conn_connect_start(conn, remote, remote_len, fd);
	}
	if (fd >= 0)
		sys_close(fd); /* KA keeps its own */
	if (ret) {
		al_conn_close(conn, true);
		return ret;
	}
	*out = handle_of(conn);
	return 0;
}

/* ---- bytes ---- */

static inline unsigned int native_how(unsigned int flags)
{
	return flags & ETA_MORE ? ETA_DB_MORE : 0;
}

ssize_t eta_sendv(eta_conn_t handle, const struct iovec *iov, int iov_n, unsigned int flags)
{
	struct al_conn *conn = native_conn(handle);

	return ETA_LIKELY(conn != NULL) ? al_conn_send(conn, iov, iov_n, native_how(flags))
					: -EBADF;
}

ssize_t eta_send(eta_conn_t handle, const void *bytes, size_t len, unsigned int flags)
{
	const struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
	struct al_conn *conn = native_conn(handle);

	return ETA_LIKELY(conn != NULL) ? al_conn_send(conn, &iov, 1, native_how(flags)) : -EBADF;
}

ssize_t eta_recv(eta_conn_t handle, void *bytes, size_t len, unsigned int flags)
{
	const struct iovec iov = {.iov_base = bytes, .iov_len = len};
	struct al_conn *conn = native_conn(handle);

	return ETA_LIKELY(conn != NULL) ? al_conn_recv(conn, &iov, 1, (flags & ETA_PEEK) != 0)
					: -EBADF;
}

int eta_recv_loan(eta_conn_t handle, struct iovec *iov, int iov_n)
{
	struct al_conn *conn = native_conn(handle);

	return conn ? al_conn_loan(conn, iov, iov_n) : -EBADF;
}

int eta_recv_return(eta_conn_t handle, size_t len)
{
	struct al_conn *conn = native_conn(handle);

	if (!conn)
		return -EBADF;
	al_conn_consume(conn, len < ETA_STREAM_BYTES_MAX ? (uint32_t)len : ETA_STREAM_BYTES_MAX);
	return 0;
}

/* ---- closing ---- */

int eta_shutdown(eta_conn_t handle)
{
	struct al_conn *conn = native_conn(handle);

	return conn ? al_conn_shut_wr(conn) : -EBADF;
}

static int close_with(eta_conn_t handle, bool abort)
{
	struct al_conn *conn = native_conn(handle);

	if (!conn)
		return -EBADF;
	if (al_flag(conn, AL_CONN_MASTER))
		al_fd_drop(&conn->master.shadow_fd);
	al_conn_close(conn, abort);
	return 0;
}

int eta_close(eta_conn_t handle)
{
	return close_with(handle, false);
}

int eta_abort(eta_conn_t handle)
{
	return close_with(handle, true);
}
