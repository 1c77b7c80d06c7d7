/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes in and out: what all the read, write, send and receive calls come down to.
 *
 * A call tries once under the side's lock, and waits without it. A blocking send goes on until all is taken; what was taken counts when it
 * is then interrupted. MSG_WAITALL likewise receives until all is there.
 */
#include "al/sock/sock_io.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>

#include "al/sock/api.h"
#include "al/sock/kern.h"
#include "al/sock/sock.h"
#include "al/sock/sock_wait.h"

#define IO_IOV 64 /* ranges handed to the core at a time */
#define IO_DISCARD_BYTES 4096

#define RECV_FLAGS                                                                             \
	(MSG_PEEK | MSG_DONTWAIT | MSG_WAITALL | MSG_TRUNC | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC | \
			MSG_WAITFORONE | MSG_OOB | MSG_ERRQUEUE | MSG_BATCH)
#define SEND_FLAGS                                                                        \
	(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE | MSG_EOR | MSG_CONFIRM | MSG_DONTROUTE | \
			MSG_OOB | MSG_BATCH | MSG_WAITALL | MSG_ZEROCOPY)
#ifndef MSG_BATCH
#define MSG_BATCH 0x40000
#endif

size_t al_iov_bytes(const struct iovec *iov, int iov_n)
{
	size_t bytes = 0;
	int i;

	for (i = 0; i < iov_n; i++)
		bytes += iov[i].iov_len;
	return bytes;
}

/* The part of @iov from byte @skip on: at most IO_IOV ranges. Return how many. */
static int iov_rest(struct iovec *to, const struct iovec *iov, int iov_n, size_t skip)
{
	int n = 0;
	int i;

	for (i = 0; i < iov_n && n < IO_IOV; i++) {
		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		to[n].iov_base = (uint8_t *)iov[i].iov_base + skip;
		to[n].iov_len = iov[i].iov_len - skip;
		skip = 0;
		n++;
	}
	return n;
}

static long io_readable(struct al_wait *wait, bool kern)
{
	struct al_sock *sock = wait->arg;
	enum al_sock_state state = al_sock_refresh(sock, sock->fd);

	(void)kern;
	if (state == AL_SOCK_CONNECTING)
		return 0;
	return state != AL_SOCK_OPEN ||
	       (al_sock_ready(sock, -1) & (POLLIN | POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

static long io_writable(struct al_wait *wait, bool kern)
{
	struct al_sock *sock = wait->arg;
	enum al_sock_state state = al_sock_refresh(sock, sock->fd);

	(void)kern;
	if (state == AL_SOCK_CONNECTING)
		return 0;
	return state != AL_SOCK_OPEN ||
	       (al_sock_ready(sock, -1) & (POLLOUT | POLLHUP | POLLERR)) != 0;
}

/* Return: 1 look again, -EAGAIN time is up, -EINTR. */
static long io_wait(struct al_sock *sock, long (*ready)(struct al_wait *, bool), int64_t timeo_ns,
		int64_t *deadline_ns)
{
	struct pollfd pfd[1];
	struct al_wait wait = {
			.ready = ready,
			.arg = sock,
			.what = &sock->file,
			.pfd = pfd,
			.restarts = timeo_ns == 0,
	};
	long rc;

	if (*deadline_ns == 0)
		*deadline_ns = al_wait_deadline(timeo_ns ? timeo_ns : -1);
	wait.deadline_ns = *deadline_ns;
	al_sock_watch(sock, false);
	__atomic_fetch_add(&sock->sleepers_n, 1, __ATOMIC_SEQ_CST);
	rc = al_wait(&wait);
	__atomic_fetch_sub(&sock->sleepers_n, 1, __ATOMIC_SEQ_CST);
	if (rc == 0)
		return -EAGAIN;
	return rc < 0 ? rc : 1;
}

/* ---- receive ---- */

static ssize_t recv_discard(struct al_sock *sock, size_t bytes)
{
	uint8_t waste[IO_DISCARD_BYTES];
	struct iovec iov = {.iov_base = waste};
	size_t done = 0;
	ssize_t n;

	do {
		iov.iov_len = bytes - done < sizeof(waste) ? bytes - done : sizeof(waste);
		n = al_conn_recv(sock->conn, &iov, 1, false);
		if (n > 0)
			done += (size_t)n;
	} while (n > 0 && done < bytes);
	return done ? (ssize_t)done : n;
}

/* MSG_TRUNC: nothing is copied; with MSG_PEEK nothing is taken either. */
static ssize_t recv_trunc(struct al_sock *sock, size_t bytes, int flags)
{
	uint32_t there = al_conn_rcv_bytes(sock->conn);
	uint8_t byte;
	struct iovec one = {.iov_base = &byte, .iov_len = 1};

	if (!(flags & MSG_PEEK))
		return recv_discard(sock, bytes);
	if (there == 0) /* why? */
		return al_conn_recv(sock->conn, &one, 1, true);
	return (ssize_t)(there < bytes ? there : bytes);
}

/* One try. @target: bytes without which a blocking call that takes nothing waits. */
static ssize_t recv_once(struct al_sock *sock, const struct iovec *iov, int iov_n, size_t done,
		size_t want, size_t target, int flags)
{
	struct iovec part[IO_IOV];
	ssize_t n;

	al_lock_take(&sock->rcv_lock);
	if (sock->state == AL_SOCK_CONNECTING)
		n = -EAGAIN;
	else if (sock->state != AL_SOCK_OPEN)
		n = -ENOTCONN;
	else if ((flags & MSG_PEEK) && target > 1 && al_conn_rcv_bytes(sock->conn) < target &&
			!(al_conn_ready(sock->conn) & (POLLRDHUP | POLLHUP | POLLERR)))
		n = -EAGAIN;
	else if (flags & MSG_TRUNC)
		n = recv_trunc(sock, want - done, flags);
	else if (done == 0 && iov_n <= IO_IOV)
		n = al_conn_recv(sock->conn, iov, iov_n, (flags & MSG_PEEK) != 0);
	else
		n = al_conn_recv(sock->conn, part, iov_rest(part, iov, iov_n, done),
				(flags & MSG_PEEK) != 0);
	if (n == -EAGAIN && sock->rcv_shut)
		n = 0;
	al_lock_drop(&sock->rcv_lock);
	if (n == 0 && !sock->had_peer && !sock->rcv_shut)
		n = -ENOTCONN;
	return n;
}

static ssize_t recv_urgent(struct al_sock *sock, const struct iovec *iov, int iov_n, int flags)
{
	uint8_t byte;
	ssize_t n;

	if (sock->state != AL_SOCK_OPEN)
		return -EINVAL;
	al_lock_take(&sock->rcv_lock);
	n = al_conn_recv_urgent(sock->conn, &byte, (flags & MSG_PEEK) != 0);
	al_lock_drop(&sock->rcv_lock);
	if (n == 1 && iov_n > 0 && iov[0].iov_len > 0)
		*(uint8_t *)iov[0].iov_base = byte;
	return n;
}

/* Bytes that end a blocking call: all with MSG_WAITALL, else SO_RCVLOWAT. */
static size_t recv_target(const struct al_sock *sock, size_t want, int flags, bool blocks)
{
	if (!blocks)
		return 1;
	if (flags & MSG_WAITALL)
		return want;
	if (sock->rcv_lowat <= 1)
		return 1;
	return sock->rcv_lowat < want ? sock->rcv_lowat : want;
}

ssize_t al_sock_recv(struct al_sock *sock, const struct iovec *iov, int iov_n, int flags)
{
	size_t want = al_iov_bytes(iov, iov_n);
	bool blocks = !sock->is_nonblock && !(flags & MSG_DONTWAIT);
	size_t target = recv_target(sock, want, flags, blocks);
	int64_t deadline_ns = 0;
	size_t done = 0;
	ssize_t n;

	if (flags & ~RECV_FLAGS)
		al_count(AL_COUNT_REFUSED_FLAG);
	if (flags & MSG_ERRQUEUE)
		return -EAGAIN;
	if (flags & MSG_OOB)
		return recv_urgent(sock, iov, iov_n, flags);
	if (want == 0)
		return 0;
	for (;;) {
		n = recv_once(sock, iov, iov_n, done, want, target, flags);
		if (n > 0) {
			done += (size_t)n;
			if ((flags & MSG_PEEK) || done >= target || !blocks)
				return (ssize_t)done;
			continue;
		}
		if (n != -EAGAIN)
			return done ? (ssize_t)done : n;
		al_poll_events();
		al_sock_refresh(sock, sock->fd);
		if (!blocks) {
			al_sock_look_for_engine();
			n = recv_once(sock, iov, iov_n, done, want, target, flags);
			return n > 0 ? n + (ssize_t)done : (done ? (ssize_t)done : n);
		}
		n = io_wait(sock, io_readable, sock->rcv_timeo_ns, &deadline_ns);
		if (n < 0)
			return done ? (ssize_t)done : n;
		if (sock->state == AL_SOCK_KERNEL)
			return kern_readv(al_sock_fd(sock), iov, iov_n);
	}
}

/* ---- send ---- */

/* @is_last: the call has no bytes beyond these. */
static inline unsigned int send_how(int flags, bool is_last)
{
	if (!is_last)
		return ETA_DB_MORE;
	return (flags & MSG_MORE ? ETA_DB_MORE : 0) | (flags & MSG_EOR ? ETA_DB_EOR : 0);
}

/* The first bytes of a fast open, as many as the SYN takes along; without any it goes at once. */
static ssize_t send_syn(struct al_sock *sock, const struct iovec *iov, int iov_n)
{
	uint32_t room = al_conn_syn_bytes(sock->conn);
	struct iovec part[IO_IOV];
	int n = iov_rest(part, iov, iov_n, 0);
	ssize_t ret = -EAGAIN;

	if (n == 0 && room) {
		al_conn_syn_go(sock->conn);
		ret = -EINPROGRESS;
	}
	for (int i = 0; i < n; i++) {
		if (part[i].iov_len >= room) {
			part[i].iov_len = room;
			n = i + 1;
		}
		room -= (uint32_t)part[i].iov_len;
	}
	if (n && al_iov_bytes(part, n))
		ret = al_conn_send_syn(sock->conn, part, n);
	if (ret != -EAGAIN || al_conn_syn_bytes(sock->conn) == 0)
		sock->syn_waits = false;
	return ret;
}

static ssize_t send_once(struct al_sock *sock, const struct iovec *iov, int iov_n, size_t done,
		size_t want, int flags)
{
	struct iovec part[IO_IOV];
	const struct iovec *at = iov;
	int at_n = iov_n;
	unsigned int how;
	ssize_t n;

	if (done || iov_n > IO_IOV) {
		at_n = iov_rest(part, iov, iov_n, done);
		at = part;
	}
	how = send_how(flags, al_iov_bytes(at, at_n) == want - done);
	al_lock_take(&sock->snd_lock);
	if (sock->state == AL_SOCK_CONNECTING)
		n = sock->syn_waits ? send_syn(sock, at, at_n) : -EAGAIN;
	else if (sock->state != AL_SOCK_OPEN || sock->snd_shut)
		n = -EPIPE;
	else if (flags & MSG_OOB)
		n = al_conn_send_urgent(sock->conn, at, at_n, how);
	else
		n = al_conn_send(sock->conn, at, at_n, how);
	al_lock_drop(&sock->snd_lock);
	return n;
}

static ssize_t send_kernel(struct al_sock *sock, const struct iovec *iov, int iov_n, int flags)
{
	struct msghdr msg = {.msg_iovlen = (size_t)iov_n};

	memcpy(&msg.msg_iov, &iov, sizeof(iov));
	return kern_sendmsg(al_sock_fd(sock), &msg, flags);
}

static ssize_t send_failed(ssize_t error, int flags)
{
	if (error == -EPIPE && !(flags & MSG_NOSIGNAL))
		kern_tgkill(kern_getpid(), kern_gettid(), SIGPIPE);
	return error;
}

ssize_t al_sock_send(struct al_sock *sock, const struct iovec *iov, int iov_n, int flags)
{
	/* Elsewhere it has been dealt with. */
	if (flags & MSG_FASTOPEN)
		return -EISCONN;
	return al_sock_send_rest(sock, iov, iov_n, 0, flags);
}

ssize_t al_sock_send_rest(
		struct al_sock *sock, const struct iovec *iov, int iov_n, size_t done, int flags)
{
	size_t want = al_iov_bytes(iov, iov_n);
	bool blocks = !sock->is_nonblock && !(flags & MSG_DONTWAIT);
	int64_t deadline_ns = 0;
	bool drained = false;
	ssize_t n;

	if (flags & ~SEND_FLAGS)
		al_count(AL_COUNT_REFUSED_FLAG);
	/* MSG_ZEROCOPY without SO_ZEROCOPY, which we refuse, is nothing: as with Linux. */

	/* A reset that has come is an error now, not with the next call. */
	if (ETA_UNLIKELY(al_events_pending()))
		al_poll_events();
	for (;;) {
		n = send_once(sock, iov, iov_n, done, want, flags);
		if (n > 0) {
			done += (size_t)n;
			drained = false;
			if (done >= want)
				return (ssize_t)done;
			continue;
		}
		if (n == 0) /* nothing was to be sent, and it might have been */
			return 0;
		if (n != -EAGAIN)
			return done ? (ssize_t)done : send_failed(n, flags);
		/* what the SYN takes is an answer of its own */
		if (done && !blocks && sock->state == AL_SOCK_CONNECTING)
			return (ssize_t)done;
		if (!drained) {
			drained = true;
			al_poll_events();
			al_sock_look_for_engine();
			al_sock_refresh(sock, sock->fd);
			continue;
		}
		if (!blocks)
			return done ? (ssize_t)done : -EAGAIN;
		n = io_wait(sock, io_writable, sock->snd_timeo_ns, &deadline_ns);
		if (n < 0)
			return done ? (ssize_t)done : n;
		if (sock->state == AL_SOCK_KERNEL)
			return send_kernel(sock, iov, iov_n, flags);
	}
}

int al_sock_wait_writable(struct al_sock *sock)
{
	int64_t deadline_ns = 0;
	long rc = io_wait(sock, io_writable, sock->snd_timeo_ns, &deadline_ns);

	return rc < 0 ? (int)rc : 0;
}

int al_sock_wait_readable(struct al_sock *sock)
{
	int64_t deadline_ns = 0;
	long rc = io_wait(sock, io_readable, sock->rcv_timeo_ns, &deadline_ns);

	return rc < 0 ? (int)rc : 0;
}

/* ---- SO_LINGER ---- */

static long io_drained(struct al_wait *wait, bool kern)
{
	struct al_sock *sock = wait->arg;

	(void)kern;
	return al_conn_state(sock->conn) != ETA_DTI_OPEN || al_conn_snd_bytes(sock->conn) == 0 ||
	       !al_engine_alive();
}

void al_sock_linger(struct al_sock *sock)
{
	struct pollfd pfd[1];
	struct al_wait wait = {
			.ready = io_drained,
			.arg = sock,
			.what = &sock->file,
			.pfd = pfd,
			.deadline_ns = al_wait_deadline(sock->linger_s * 1000000000ll),
	};

	if (sock->state != AL_SOCK_OPEN)
		return;
	if (!sock->snd_shut) {
		al_lock_take(&sock->snd_lock);
		sock->snd_shut = true;
		al_conn_shut_wr(sock->conn);
		al_lock_drop(&sock->snd_lock);
	}
	al_sock_watch(sock, false);
	al_wait(&wait);
}
