/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The core of the adaptation layer: DTIs as this process sees them, without any socket semantics.
 *
 * Above it stand the native interface (eta.h) and the sockets layer (al/sock); below it are shared memory and the control socket. It
 * knows bytes, states and readiness, never file descriptors of the application.
 *
 * An al_conn is this process's handle of one DTI. What it knows comes from events (cheap, when this thread drained them) and else from
 * the record's EN half, which is always right: al_conn_refresh() reads it. So any thread may use any conn at any time; events only
 * save cache misses and wake sleepers.
 *
 * Threads. An al_conn has a send side and a receive side, each guarded by a lock of the caller's level (al/sock holds them; the native
 * interface leaves it to its user). Every thread has an al_thread (its own doorbell ring and event queue), made at its first use; when KA grants no more
 * rings, threads share one under a lock. A process forked from us calls al_after_fork_child() before anything else: it gets a session of its own and
 * reaches the inherited DTIs through owner numbers 1...
 *
 * No malloc after attach, no dlsym, no stdio: arenas by mmap. Everything read from shared memory is checked.
 */
#ifndef AL_CORE_CORE_H
#define AL_CORE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <eta/dti.h>

struct al_conn;
struct al_waiter;

/* What a conn is ready for: bits as poll(2)'s POLLIN, POLLOUT, POLLERR, POLLHUP, POLLRDHUP. */

/* ---- process ---- */

/**
 * al_attach() - Become a session of etad, once per process. @path: control socket, NULL = $ETA_SOCKET or the default.
 * Return: 0 (also when attached already); -ECONNREFUSED/-ENOENT no etad; -EPROTONOSUPPORT other ABI; -EACCES; -ENOMEM.
 * Thread: any; later callers wait for the first.
 */
int al_attach(const char *path);
bool al_is_attached(void);
/* false after etad died or ended; sticky. Reads the heartbeat, asks the control socket only if that is stale. */
bool al_engine_alive(void);
bool al_policy_loopback(void);

/* fork: prepare (parent, takes locks, announces shared conns, obtains the child's attach socket), then in parent and in child. */
void al_before_fork(void);
void al_after_fork_parent(void);
void al_after_fork_child(void);
/* AL's own descriptors (few, high, close-on-exec). close, closefrom and dup2 of the program step over them; al_fd_yield() moves one away from @fd. */
bool al_fd_is_own(int fd);
int al_fd_yield(int fd); /* Return: 0 (also if not ours); -EMFILE */
/* Orderly end of the process: closes (FIN, data drained by the engine) all conns only we hold. */
void al_at_exit(void);

/* ---- conns ---- */

/* A conn on a free DTI. NULL with errno ENOBUFS (quota), ENOMEM. */
struct al_conn *al_conn_open(void);
/* Active open; the conn tells by events. @bound_fd: shadow with an explicit local address, or -1. Return 0 or -errno (-EAFNOSUPPORT: use the kernel). */
int al_conn_connect(
		struct al_conn *conn, const struct sockaddr *remote, socklen_t len, int bound_fd);
/* Master on what @shadow_fd is bound to and listening on. Connections wait in the engine until al_conn_watch() or al_conn_accept(). Return 0 or -errno (-EAFNOSUPPORT: use the kernel). */
int al_conn_listen(struct al_conn *conn, int shadow_fd, uint32_t backlog, bool v6only);
/* Next connection ready on a master in this process, or NULL. The caller owns it. */
struct al_conn *al_conn_accept(struct al_conn *master);
/* Half-close, close (conn is gone for the caller afterwards), reset. al_conn_close() detaches only, where other processes share the conn. */
int al_conn_shut_wr(struct al_conn *conn);
void al_conn_shut_rd(struct al_conn *conn);
void al_conn_close(struct al_conn *conn, bool abort);
/* Will another process hold it (fork, SCM_RIGHTS)? @cookie: SO_COOKIE of the shadow. */
int al_conn_share(struct al_conn *conn, uint64_t cookie);
/* The same for a fork that follows, collected and announced by al_before_fork(). */
int al_conn_share_at_fork(struct al_conn *conn, uint64_t cookie);
bool al_conn_is_shared(const struct al_conn *conn);
/*
 * The conn behind a shadow that came by exec or SCM_RIGHTS, or whose old conn is in state ETA_DTI_MOVED (close that one with al_conn_forget).
 * NULL with errno ENOENT: KA knows no DTI behind this descriptor.
 */
struct al_conn *al_conn_claim(int shadow_fd);
void al_conn_forget(struct al_conn *conn);

/* Copy out at most the iovecs' room. Return bytes; 0 = end of stream; -EAGAIN; -errno (the connection's error, said once as by SO_ERROR). */
ssize_t al_conn_recv(struct al_conn *conn, const struct iovec *iov, int iov_n, bool peek);
/* Copy in as much as the send buffer takes. Return bytes > 0; -EAGAIN (WRITE event will come); -EPIPE; -errno.
 * @how: ETA_DB_MORE (MSG_MORE), ETA_DB_EOR (MSG_EOR; counts if all bytes are taken). */
ssize_t al_conn_send(struct al_conn *conn, const struct iovec *iov, int iov_n, unsigned int how);

/* Fast open: bytes that the SYN of a conn that connects waits for; 0 = it has left. Send them: at most so many, @iov cut accordingly; or let it go without. */
uint32_t al_conn_syn_bytes(struct al_conn *conn);
ssize_t al_conn_send_syn(struct al_conn *conn, const struct iovec *iov, int iov_n);
void al_conn_syn_go(struct al_conn *conn);

/* Urgent data (MSG_OOB). send: the last byte is urgent. recv: 1, -EINVAL none or read already or inline, -EAGAIN announced but not here yet. */
ssize_t al_conn_send_urgent(
		struct al_conn *conn, const struct iovec *iov, int iov_n, unsigned int how);
ssize_t al_conn_recv_urgent(struct al_conn *conn, uint8_t *byte, bool peek);
bool al_conn_at_mark(struct al_conn *conn); /* SIOCATMARK */
/* Zero-copy receive: ranges of readable bytes, valid until consumed. Return ranges; 0 none readable; -ENODATA end of
 * stream; -errno. Then give back from the front. */
int al_conn_loan(struct al_conn *conn, struct iovec *iov, int iov_n);
void al_conn_consume(struct al_conn *conn, uint32_t bytes);

/* A conn that is not ready to write asks the engine for ETA_EV_WRITE by itself, once per time it is full. */
uint32_t al_conn_ready(struct
		al_conn *conn); /* POLL* bits, from what is known; refreshes the record if nothing is known to be ready */
uint32_t al_conn_rcv_bytes(struct al_conn *conn); /* FIONREAD */
uint32_t al_conn_snd_bytes(struct al_conn *conn); /* SIOCOUTQ */
int al_conn_take_error(struct al_conn *conn);     /* SO_ERROR: positive errno, cleared */
/* The same of a living connection: what ICMP said since something was last acknowledged. */
int al_conn_take_soft_error(struct al_conn *conn);
enum eta_dti_state al_conn_state(struct al_conn *conn);
void al_conn_addrs(struct al_conn *conn, struct sockaddr_storage *local,
		struct sockaddr_storage *remote, int family);
uint32_t al_conn_notsent_bytes(
		struct al_conn *conn); /* queued and not sent, as far as the record knows */
const struct eta_dti_en *al_conn_record(struct al_conn *conn); /* hostile memory */
/* Ask the engine what TCP knows of @conn now. Waits for the answer. Return 0; -ENOTCONN it knows no such connection; -ECONNRESET it is gone. */
int al_conn_info(struct al_conn *conn, struct eta_conn_info *info);
/* What TCP of this etad can be asked for (features, congestion controls), once attached; read-only memory. */
const struct eta_core_page *al_page(void);
/* Change parameters: edit the returned AL half (line 1), then commit. */
struct eta_dti_al *al_conn_param(struct al_conn *conn);
void al_conn_param_commit(struct al_conn *conn);
void al_conn_set_user(struct al_conn *conn, void *user);
void *al_conn_user(struct al_conn *conn);

/* ---- waiting ---- */

/* Called, from al_poll_events() of whichever thread drains, for each conn whose readiness may have changed. Set once at start by the upper layer. */
void al_set_on_ready(void (*on_ready)(struct al_conn *conn, void *user, uint32_t event_flags));
/* Drain events of the calling thread's queue. Return events taken. */
uint32_t al_poll_events(void);
/* Is there an event to take? */
bool al_events_pending(void);
/* Route events of @conn to the calling thread's queue as well (@exclusive: EPOLLEXCLUSIVE, listeners of workers); or no more. */
void al_conn_watch(struct al_conn *conn, uint32_t ev_mask, bool exclusive);
void al_conn_unwatch(struct al_conn *conn);
/*
 * Sleeping: arm, look once more at everything you wait for, then poll the descriptor (readable = woken) together with whatever else, then disarm.
 * al_wait_spin() polls events for as long as spinning pays; true = an event came.
 */
int al_wait_arm(void); /* returns the descriptor to poll, or -errno (engine gone) */
void al_wait_disarm(void);
/* How long to sleep at most before disarming and arming again (AL wants to look after its memory); -1 = no limit. Call when armed. */
int al_wait_timeout_ms(void);
bool al_wait_spin(void);
/*
 * Let the engine take in what has come to its port until now, for a question whose answer would be "nothing": a sleeping one is woken. Some
 * microseconds, bounded by a fraction of a millisecond.
 */
void al_wait_turn(const struct al_conn *conn);
/* Wake another thread of this process that sleeps in its own wait (its conn became ready by our draining, or was closed). */
void al_wake_thread(struct al_waiter *waiter);
struct al_waiter *al_this_waiter(void);

#endif
