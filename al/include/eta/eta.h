/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ETA's native interface: TCP connections without sockets.
 *
 * Connections are handles, not file descriptors. Every call returns at once (eta_wait() and the calls that talk to etad excepted: eta_attach,
 * eta_listen, eta_connect with a local address); what happens meanwhile is told by completions, taken in batches with eta_poll(). A program
 * either polls, or sleeps in eta_wait(), or puts eta_fd() into an event loop of its own:
 *
 *     eta_attach(NULL);                                while (eta_wait(-1) >= 0) {
 *     eta_connect(addr, len, NULL, 0, cookie, &conn);          n = eta_poll(done, 64);
 *                                                              for (i = 0; i < n; i++) ... done[i].conn, done[i].what ...
 *                                                      }
 *
 * Threads. Each thread that uses ETA has its own queue of completions; a connection's completions go to the thread that opened or accepted it,
 * and to those that called eta_watch(). One thread at a time may send on a connection, and one receive.
 * Completions are edges: after ETA_READABLE, receive until -EAGAIN; after eta_send() said -EAGAIN, wait for ETA_WRITABLE.
 * Handles carry a generation: using one after eta_close() is answered by -EBADF, also when the memory behind it serves again.
 * fork. A forked child attaches anew; the parent's handles mean nothing to it.
 *
 * Errors are negative errno values. Nothing here sets errno. Limits: x86-64 Linux.
 */
#ifndef ETA_ETA_H
#define ETA_ETA_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ETA_API __attribute__((visibility("default")))

typedef uint64_t eta_conn_t;
#define ETA_CONN_NONE ((eta_conn_t)0)

/* eta_completion.what, several may come in one */
#define ETA_READABLE 0x01u /* bytes have arrived */
#define ETA_WRITABLE \
	0x02u /* there is room again, after eta_send() returned -EAGAIN or less than all */
#define ETA_ACCEPTED 0x04u  /* conn is a new connection of @listener */
#define ETA_CONNECTED 0x08u /* eta_connect() has succeeded */
#define ETA_EOF 0x10u    /* the peer has sent its last byte; there may be some to read before it */
#define ETA_CLOSED 0x20u /* the connection is gone: status. eta_close() is still owed */
#define ETA_URGENT 0x40u /* the peer's urgent pointer moved */

struct eta_completion {
	eta_conn_t conn;
	eta_conn_t listener; /* ETA_ACCEPTED */
	uint64_t cookie; /* of @conn; for ETA_ACCEPTED that of the listener, which @conn has from then on */
	uint32_t what;
	int32_t status; /* ETA_CLOSED: 0 or a negative errno */
};

/* ---- process ---- */

/**
 * eta_attach() - Become a client of etad.
 * @path: its control socket; NULL = $ETA_SOCKET, or /run/eta/etad.sock.
 *
 * Return: 0, also when attached already; -ENOENT, -ECONNREFUSED no etad there; -EACCES not allowed; -EPROTONOSUPPORT etad has another
 *         ABI version; -EDQUOT its quota is reached; -ENOMEM.
 * Thread: any, once per process.
 */
ETA_API int eta_attach(const char *path);

/**
 * eta_detach() - Close all connections (as eta_close) and leave etad.
 * No other thread may be inside ETA, and every handle is void afterwards. eta_attach() may follow.
 */
ETA_API void eta_detach(void);

/* 1 as long as etad serves this process. */
ETA_API int eta_alive(void);

/* ---- opening ---- */

/**
 * eta_listen() - Accept connections on an address.
 * @local: as for bind(2); the kernel judges permission and conflicts, and the port is taken there too. Port 0: eta_info() tells which.
 * @backlog: connections that may wait.
 * @cookie: comes with completions.
 *
 * Return: 0 and *@listener; -EACCES, -EADDRINUSE, -EADDRNOTAVAIL as bind(2); -EAFNOSUPPORT not an address of a port that ETA serves; -ENOTCONN
 *         not attached; -ENOBUFS quota.
 */
ETA_API int eta_listen(const struct sockaddr *local, socklen_t len, int backlog, uint64_t cookie,
		eta_conn_t *listener);

/**
 * eta_accept() - Take a connection that waits, without a completion.
 * Completions ETA_ACCEPTED do this by themselves; a thread that was not told (its queue belongs to another listener's thread) may ask.
 * Return: 0 and *@conn; -EAGAIN none waits; -EINVAL not a listener; -EBADF.
 */
ETA_API int eta_accept(eta_conn_t listener, eta_conn_t *conn);

/**
 * eta_connect() - Open a connection.
 * @local: address to connect from, or NULL: ETA chooses address and port and etad is not asked.
 *
 * Return: 0 and *@conn, its completion ETA_CONNECTED or ETA_CLOSED will come (status -EAFNOSUPPORT: the route is on no port of ETA); -EAFNOSUPPORT
 *         an address that ETA does not carry; -EADDRINUSE and its like for @local; -ENOTCONN not attached; -ENOBUFS.
 */
ETA_API int eta_connect(const struct sockaddr *remote, socklen_t remote_len,
		const struct sockaddr *local, socklen_t local_len, uint64_t cookie,
		eta_conn_t *conn);

/* ---- bytes ---- */

#define ETA_MORE 0x1u /* more follows at once: a short segment may wait for it */
#define ETA_PEEK 0x2u

/**
 * eta_send() - Queue a copy of bytes.
 * @flags: 0 or ETA_MORE.
 *
 * Return: bytes queued, > 0 and perhaps less than @len; 0 for @len 0; -EAGAIN no room (ETA_WRITABLE follows), or not connected yet
 *         (ETA_CONNECTED follows); -EPIPE after eta_shutdown() or the end of the connection; its error once; -EBADF.
 */
ETA_API ssize_t eta_send(eta_conn_t conn, const void *bytes, size_t len, unsigned int flags);
ETA_API ssize_t eta_sendv(eta_conn_t conn, const struct iovec *iov, int iov_n, unsigned int flags);

/**
 * eta_recv() - Copy received bytes out.
 * @flags: 0 or ETA_PEEK.
 *
 * Return: bytes; 0 end of stream; -EAGAIN none now; the connection's error once, then 0; -EBADF.
 */
ETA_API ssize_t eta_recv(eta_conn_t conn, void *bytes, size_t len, unsigned int flags);

/**
 * eta_recv_loan() - See received bytes where they lie.
 * @iov: [@iov_n] receives ranges, in stream order, read-only, valid until eta_recv_return().
 *
 * Return: ranges; 0 nothing to read now; -ENODATA end of stream; the connection's error; -EBADF.
 */
ETA_API int eta_recv_loan(eta_conn_t conn, struct iovec *iov, int iov_n);
/* Give @len bytes back, from the front of what was or could have been lent. Return: 0, -EBADF. */
ETA_API int eta_recv_return(eta_conn_t conn, size_t len);

/* ---- closing ---- */

/* No more bytes from us: FIN after what is queued. Return: 0, -EBADF. */
ETA_API int eta_shutdown(eta_conn_t conn);
/* We are done with it: queued bytes are still delivered, unread or later ones are answered by a reset. The handle is void. Return: 0, -EBADF. */
ETA_API int eta_close(eta_conn_t conn);
/* Reset it. The handle is void. Return: 0, -EBADF. */
ETA_API int eta_abort(eta_conn_t conn);

/* ---- completions ---- */

/**
 * eta_poll() - Take completions of the calling thread.
 * @done: [@done_n].
 * Return: how many, 0 none; -ENOTCONN not attached; -ECONNRESET etad is gone, and all connections with it.
 */
ETA_API int eta_poll(struct eta_completion *done, int done_n);

/**
 * eta_wait() - Until eta_poll() would find something, or @timeout_ms (-1 = for ever).
 * Spins a little where that pays, then sleeps.
 * Return: 1; 0 time is up; -EINTR a signal; -ENOTCONN, -ECONNRESET as eta_poll().
 */
ETA_API int eta_wait(int timeout_ms);

/**
 * eta_fd() - A descriptor that becomes readable when the armed thread has completions, for poll(2), epoll(7) and their like.
 * Each thread has its own. To sleep: eta_arm(); if it returns 0 poll the descriptor; then eta_disarm() and eta_poll().
 * Return: the descriptor (ETA's: do not close or read it) or -errno.
 */
ETA_API int eta_fd(void);
/* Return: 0 armed, sleep now; -EAGAIN completions are there, not armed; -errno. */
ETA_API int eta_arm(void);
ETA_API void eta_disarm(void);

/* Completions of @conn (a listener: its new connections, shared out) come to the calling thread as well. Return: 0, -EBADF. */
ETA_API int eta_watch(eta_conn_t conn);
ETA_API int eta_unwatch(eta_conn_t conn);
ETA_API int eta_set_cookie(eta_conn_t conn, uint64_t cookie);

/* ---- settings and facts ---- */

enum eta_setting {
	ETA_SET_NODELAY =
			1, /* 0, 1: send short segments at once. 1 unless set: ETA_MORE says better what belongs together */
	ETA_SET_CORK,            /* 0, 1 */
	ETA_SET_KEEPALIVE,       /* 0 = off, else idle time in s before the first probe */
	ETA_SET_RCVBUF,          /* bytes, 0 = automatic */
	ETA_SET_SNDBUF,          /* bytes, 0 = automatic */
	ETA_SET_USER_TIMEOUT_MS, /* RFC 5482, 0 = default */
	ETA_SET_TOS,             /* DSCP and ECN bits */
	ETA_SET_TTL,             /* 0 = default */
};

/* Connections begin with what was set on their listener. Return: 0; -EINVAL no such setting or value; -EBADF. */
ETA_API int eta_set(eta_conn_t conn, enum eta_setting setting, uint32_t value);

enum eta_state {
	ETA_STATE_OPENING = 1,
	ETA_STATE_OPEN,
	ETA_STATE_LISTENING,
	ETA_STATE_CLOSED,
};

struct eta_info {
	size_t size; /* sizeof(struct eta_info), set by the caller: later versions append */
	enum eta_state state;
	int error;                             /* negative errno, why closed */
	struct sockaddr_storage local, remote; /* AF_INET for IPv4, mapped or not */
	uint64_t cookie;
	uint64_t tx_bytes, rx_bytes;
	uint32_t rcv_queue_bytes; /* received, not read */
	uint32_t snd_queue_bytes; /* queued, not acknowledged */
	uint32_t snd_limit_bytes;
	uint32_t mss, srtt_us, rttvar_us, rto_us, cwnd_bytes, retrans_n;
};

/* What is known of a connection; measured values are as fresh as its last change of state or eta_set(). Return: 0; -EBADF; -EINVAL size. */
ETA_API int eta_info(eta_conn_t conn, struct eta_info *info);

#ifdef __cplusplus
}
#endif

#endif
