/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One socket of the program: a kernel socket (the shadow, which is the descriptor) and, once it is ETA's, a conn.
 *
 * A TCP socket begins undecided (NEW): only the shadow exists, every call goes to the kernel. connect() and listen() decide. What ETA carries gets a
 * conn; what it does not becomes KERNEL, leaves the descriptor table and costs nothing any more.
 *
 *    NEW --listen--> LISTENING (conn is a master, the shadow listens too)
 *    NEW --connect--> CONNECTING --> OPEN;   CONNECTING --failed--> NEW (conn kept until the next connect)
 *    NEW, CONNECTING --not carried--> KERNEL;   accept --> OPEN
 *
 * Options are set on the shadow first: the kernel judges them, and getsockopt() asks it. Those that ETA acts on are then copied to the conn.
 *
 * Threads: state changes under lock; the receive and the send side of the conn under rcv_lock and snd_lock; nobody sleeps with any of them.
 */
#ifndef AL_SOCK_SOCK_H
#define AL_SOCK_SOCK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "al/core/core.h"
#include "al/sock/file.h"
#include "al/sock/root.h"

enum al_sock_state {
	AL_SOCK_NEW = 0,
	AL_SOCK_CONNECTING,
	AL_SOCK_OPEN,
	AL_SOCK_LISTENING,
	AL_SOCK_KERNEL,
};

/* Rarely looked at: a look at the kernel's side of a listener while there is nothing from ETA. 50 us at 2 GHz. */
#define AL_KERN_LOOK_CYC 100000u

#define AL_WATCH_ALL                                                                     \
	(ETA_EV_READ | ETA_EV_WRITE | ETA_EV_ACCEPT | ETA_EV_RD_CLOSED | ETA_EV_CLOSED | \
			ETA_EV_URGENT)

#define AL_SOCK_REUSEADDR 0x1u
#define AL_SOCK_REUSEPORT 0x2u
#define AL_SOCK_BIND_NO_PORT 0x4u

struct al_sock {
	struct al_file file;
	struct al_conn *conn; /* NULL while NEW; never replaced but under all three locks */
	struct al_lock lock;
	struct al_lock rcv_lock;
	struct al_lock snd_lock;
	uint8_t state;      /* enum al_sock_state */
	bool is_nonblock;   /* O_NONBLOCK as the program set it */
	bool is_connecting; /* connect() has not told its result yet (SS_CONNECTING) */
	bool is_bound;      /* by bind() */
	bool is_v6only;
	bool rcv_shut;
	bool snd_shut;
	bool kern_hint; /* the kernel said that our shadow listener has a connection */
	bool had_peer;  /* was OPEN at least once */
	uint8_t family; /* AF_INET, AF_INET6 */
	uint8_t linger_on;
	uint8_t cc;      /* TCP_CONGESTION: index in eta_core_page.cc_name, 0 = not set */
	uint8_t of_bind; /* AL_SOCK_REUSEADDR ...: options that matter to bind() alone, as set */
	bool tells_inq;  /* TCP_INQ: recvmsg() tells how much is left */
	bool fastopen_connect; /* TCP_FASTOPEN_CONNECT: connect() leaves the SYN to the first bytes if a cookie is known */
	bool syn_waits; /* CONNECTING, and that is so */
	int fd; /* one of its numbers, for calls on the shadow that come from elsewhere; may be closed: see al_sock_fd() */
	uint32_t linger_s;
	uint32_t rcv_lowat; /* 0 = 1 */
	uint32_t sleepers_n;
	uint32_t watch_thread[2]; /* threads that watch the conn, the last one first */
	uint64_t inherit;         /* options that were set: bits of the table in sock_opt_rule.c */
	uint32_t backlog;
	int64_t rcv_timeo_ns; /* 0 = none */
	int64_t snd_timeo_ns;
	uint64_t cookie; /* SO_COOKIE, 0 = not asked yet */
	uint64_t kern_look_tsc;
	struct sockaddr_in6 remote; /* of the connect() in progress; or sockaddr_in */
	socklen_t remote_len;
	void *link; /* of the pool */
};

static inline bool al_sock_is_eta(const struct al_sock *sock)
{
	uint8_t state = __atomic_load_n(&sock->state, __ATOMIC_ACQUIRE);

	return state == AL_SOCK_CONNECTING || state == AL_SOCK_OPEN || state == AL_SOCK_LISTENING;
}

/*
 * Enter AL for @fd if it is a socket that ETA carries (or, _any: that it might), else return NULL having entered nothing. After use:
 * al_sock_leave().
 */
struct al_sock *al_sock_enter(int fd);
struct al_sock *al_sock_enter_any(int fd);
void al_sock_leave(struct al_sock *sock);

/* A new socket object for the kernel socket @fd, entered in the table. NULL: out of memory, or the table is full: stay with the kernel. */
struct al_sock *al_sock_make(int fd, int family, bool is_nonblock);
/* The last reference is gone. */
void al_sock_free(struct al_sock *sock);
/* Give the socket to the kernel for good; its numbers leave the table as they are met. */
void al_sock_to_kernel(struct al_sock *sock, enum al_count why);
/* A number that names @sock now, -1 none. */
int al_sock_fd(struct al_sock *sock);
uint64_t al_sock_cookie(struct al_sock *sock);
/* Bring a CONNECTING socket up to date with its conn. Return the state. */
enum al_sock_state al_sock_refresh(struct al_sock *sock, int fd);
/* What poll(2) would say; may ask the kernel about a listener's shadow @fd. */
uint32_t al_sock_ready(struct al_sock *sock, int fd);
/* Does the engine still live? Asked on the way to "nothing there", so that a program that only spins learns of its end; at most every 50 us, else taken for granted. */
bool al_sock_look_for_engine(void);
/* Have this thread told of what happens to @sock. */
void al_sock_watch(struct al_sock *sock, bool exclusive);
/* The conn's user callback. */
void al_sock_on_ready(struct al_conn *conn, void *user, uint32_t event_flags);

/* connect() for MSG_FASTOPEN, without waiting. Return: 0 begun, or connected; 1 the kernel's; -errno. */
int al_sock_connect_fastopen(
		struct al_sock *sock, int fd, const struct sockaddr *addr, socklen_t len);
/* Wait, if the socket does, for the end of the connect() in progress. Return: its result. */
int al_sock_connect_wait(struct al_sock *sock, int fd);

/* Parameters of the conn from the options of the shadow @fd, when a socket becomes ETA's. */
void al_sock_opt_apply(struct al_sock *sock, int fd);
/* Options set on the listener @from are those of the accepted @fd, too. */
void al_sock_opt_inherit(struct al_sock *from, int from_fd, struct al_sock *to, int fd);

#endif
