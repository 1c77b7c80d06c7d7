/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions and what they hold: numbers, segments, rings, quotas, ports, shared DTIs; and how all of it is released.
 *
 *   FREE -> STARTING -(engine has it)-> LIVE -(process dead, heirs)-> ORPHAN -(last heir gone)-> ENDING -(engine let go)-> FREE
 *                                         \-(process dead, no heirs)------------------------------/
 *
 * A forked child's session inherits its parent's: it may ring the DTIs that existed at fork. So a dead parent's memory stays until the last heir is
 * gone (ORPHAN), and only those of its DTIs are closed that it did not announce by SHARE; the announced ones end with their shadow's last reference.
 * ENDING: SESSION_DEL was sent; descriptors and memory go when every core has answered, never earlier.
 *
 * Ports. A binding ties a DTI to what its shadow is bound to. LISTEN watches the shadow by its cookie (a copy held here would keep the kernel listening,
 * and hide the last close); when it is gone the master is closed. BIND keeps a copy until the DTI is done with or shared, so that the kernel gives the
 * port to nobody else. A binding also ends when the EN half of its DTI says so.
 */
#ifndef KA_RES_H
#define KA_RES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <eta/admin.h>
#include <eta/ctl.h>

#include "engine/net/addr.h"
#include "ka/loop.h"

struct ka;
struct client;
struct mem_seg;

#define RES_RINGS_MAX 256u

enum session_state {
	SESSION_FREE,
	SESSION_STARTING,
	SESSION_LIVE,
	SESSION_ORPHAN,
	SESSION_ENDING,
};

/* What a DTI is bound to. */
struct res_binding {
	struct res_binding *next;
	uint32_t dti;
	uint16_t gen;
	uint16_t port_be;
	struct ip_addr addr;
	uint64_t cookie;
	int fd;          /* BIND: copy of the shadow, -1 = none */
	bool is_listen;
	bool is_v6only;
	bool is_known;   /* the engine has confirmed it */
};

/* A DTI that several processes hold. */
struct res_share {
	struct res_share *next;  /* in the hash by cookie */
	struct res_share *next_own; /* of the session */
	uint64_t cookie;
	uint32_t session;
	uint32_t dti;
	uint16_t gen;
};

struct session {
	struct ka *ka;
	enum session_state state;
	uint32_t number; /* 1 .. sessions_max */
	struct client *client;
	pid_t pid;
	uid_t uid;
	struct loop_watch death; /* pidfd */
	int kick_fd;
	int wake_fd[RES_RINGS_MAX];
	uint32_t rings_n;
	struct mem_seg *seg[ETA_SEGS_MAX];
	uint32_t segs_n;
	uint32_t dtis_n;
	uint64_t bytes; /* in segments */
	uint32_t inherited[ETA_INHERIT_MAX];
	uint32_t inherited_n;
	uint32_t heirs_n; /* sessions that inherited this one */
	uint32_t del_left; /* cores that have not answered SESSION_DEL */
	struct res_binding *bindings;
	struct res_share *shares;
};

struct res {
	struct ka *ka;
	struct session **session; /* [sessions_max + 1] by number */
	uint32_t sessions_max, sessions_n;
	uint32_t next_number;
	struct res_share **share; /* [RES_SHARE_BUCKETS] by cookie */
	struct loop_timer sweep;  /* looks after bindings whose DTI is done with */
	uint64_t ended_n, killed_n;
};

int res_init(struct res *res, struct ka *ka, uint32_t sessions_max);
void res_fini(struct res *res);

/* ---- sessions ---- */

/**
 * session_create() - A session for the process behind @client, with its first segments and ring; nothing told to the engine yet.
 * @status: why not.
 *
 * Return: session in STARTING, or NULL.
 */
struct session *session_create(struct res *res, struct client *client, enum eta_status *status);
/* Live session, or one that @asker inherited; NULL: not for @asker. */
struct session *session_reachable(struct res *res, const struct session *asker, uint32_t number);
/* Session behind DTI number @dti as @asker writes it; NULL: no such owner or index. */
struct session *session_of_dti(struct res *res, struct session *asker, uint32_t dti);
/* The process is dead, or misbehaved: release everything of it. @orderly: FIN, else RST. */
void session_end(struct session *session, bool orderly, const char *why);
/* Add a segment: created, counted, told to the engine. NULL with @status. */
struct mem_seg *session_grow(struct session *session, uint8_t kind, uint8_t core, uint32_t dtis_n, uint32_t rings_n, enum eta_status *status);
/* Place ring number rings_n for @core, with a wake pipe; read end in @wake_fd. Tells the engine through @client's request. */
enum eta_status session_ring_add(struct session *session, uint8_t core, struct eta_ring_geom *geom, int *wake_fd);
/* EN half of DTI @idx, etad's mapping; NULL: no such. */
const struct eta_dti_en *session_dti_en(const struct session *session, uint32_t idx);
uint8_t session_dti_core(const struct session *session, uint32_t idx);

/* ---- bindings and shares ---- */

struct res_binding *res_bind(struct session *session, const struct res_binding *want);
void res_unbind(struct session *session, struct res_binding *binding);
/* Release what the DTI's record says is done with. */
void res_sweep(struct session *session);
enum eta_status res_share(struct session *owner, uint64_t cookie, uint32_t dti_idx, uint16_t gen);
const struct res_share *res_share_find(const struct res *res, uint64_t cookie);
/* sockdiag says that the last reference of @cookie is gone. */
void res_cookie_gone(struct res *res, uint64_t cookie);

#endif
