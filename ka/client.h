/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One connection of the control socket: reads requests, checks them, answers each once and in order.
 *
 *   NEW --ATTACH--> BUSY --engine has it--> SESSION --request--> BUSY --> SESSION ... --process ends--> gone
 *   NEW --ADMIN/PING--> NEW
 *
 * While a request waits for the engine (BUSY) the client is not read, which is all the back-pressure there is. Replies that the socket does not take are
 * queued with their descriptors; more than ETA_CTL_UNREAD_MAX of them drop the client. A malformed message drops a client too: AL and KA of one ABI
 * do not send any. End of file drops a client that is no session; a session's end is its process's death (pidfd), since a forked child may hold the same
 * socket, or the process may have closed it by mistake.
 *
 * Who is asking: for connections to the path SO_PEERPIDFD (SO_PEERCRED + pidfd_open on kernels before 6.5); for sockets made by FORK, whose SO_PEERCRED
 * would name etad, the credentials and pidfd that the kernel attaches to the ATTACH message.
 */
#ifndef KA_CLIENT_H
#define KA_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <eta/ctl.h>

#include "ka/loop.h"

struct ka;
struct mem_seg;
struct session;
struct eta_admin_msg;

#define CLIENT_READ_BURST 16 /* messages a turn */

struct client_reply {
	struct client_reply *next;
	uint32_t len_bytes;
	uint8_t fds_n;
	int fd[ETA_CTL_FDS_MAX]; /* ours, dup'ed */
	uint8_t bytes[];
};

struct client {
	struct ka *ka;
	struct loop_watch watch;
	struct client *prev, *next;
	struct session *session;     /* NULL: not attached */
	struct session *fork_parent; /* this socket was made by FORK of that session */
	int pidfd;                   /* of the peer, -1 = not known yet (fork_parent) */
	pid_t pid;
	uid_t uid;
	gid_t gid;
	bool is_busy;     /* a request waits for the engine */
	bool is_dropped;  /* free when nothing is pending */
	uint32_t pending; /* engine answers that will name this client */
	uint32_t held;    /* callers on the stack that go on using it */
	struct client_reply *out, **out_tail;
	uint32_t out_n;
	/* the request that is being served */
	struct eta_ctl_hdr req;
	uint8_t worst;             /* enum eta_status of its commands: the first that is not OK */
	struct mem_seg *seg;       /* SEG_GROW: the reply's */
	struct eta_ring_geom ring; /* ATTACH, RING_ADD */
	int wake_fd;               /* read end, until the reply has gone; -1 = none */
	uint32_t dti;              /* LISTEN, BIND: in the space of @owner */
	uint16_t gen;
	struct session *owner;
	/* ADMIN's answer */
	char *text;
	size_t text_len, text_at;
};

/* Takes @fd. @parent: socket of a FORK, else NULL. NULL: no memory, @fd is closed. */
struct client *client_create(struct ka *ka, int fd, struct session *parent);
/* Close the connection; its session, if any, is left to the caller. Frees now or when the last engine answer is in. */
void client_drop(struct client *client);
/* Keep @client's memory though it may be dropped; release may free it. */
void client_hold(struct client *client);
void client_release(struct client *client);
/* Send a command on behalf of the request being served: its answer counts. */
void client_post(struct client *client, uint32_t core, const struct eta_admin_msg *msg);
/* Send a message now or queue it. @fds: [@fds_n], stay the caller's. -EPIPE: dropped (too many unread, or peer gone): do not use @client again. */
int client_send(struct client *client, const void *msg, size_t len_bytes, const int *fds,
		size_t fds_n);
/* Answer the request being served with only a header. */
void client_answer(struct client *client, enum eta_status status);
/* Hand over the text of ADMIN (malloc'ed, becomes the client's). */
void client_answer_text(struct client *client, char *text, size_t len_bytes);

/* Requests about DTIs, in client_dti.c. @fd: the shadow, stays the caller's. */
void client_on_bind(struct client *client, const struct eta_ctl_dti *msg, int fd, bool is_listen);
void client_end_bind(struct client *client);
void client_on_share(struct client *client, const struct eta_ctl_share *msg);
void client_on_claim(struct client *client, int fd);

#endif
