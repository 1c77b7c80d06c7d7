/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions and what they hold: numbers, segments, rings, quotas, ports, shared DTIs; and how all of it is released.
 *
 *   STARTING -(engine has it)-> LIVE -(process dead, shares)-> ORPHAN -(last share gone)-> ENDING
 *                                         \-(process dead, nothing shared)----------------------/
 *
 * A forked child's session inherits its parent's: it may ring the DTIs that existed at fork. So a dead parent's session stays (ORPHAN) while it has DTIs
 * announced by SHARE; each ends with its shadow's last reference, wherever that is. ENDING: SESSION_DEL was sent; descriptors and memory go when every
 * core has answered, never earlier. Then, DEAD, only the number is left, until no heir can use it any more.
 *
 * Ports. A binding ties a DTI to what its shadow is bound to. LISTEN watches the shadow by its cookie (a copy held here would keep the kernel listening,
 * and hide the last close); when it is gone the master is closed. BIND keeps a copy until the DTI is done with or shared (a copy would hide that too), so that the kernel gives the
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
struct mem_plan;
struct mem_seg;

#define RES_RINGS_MAX 256u
#define RES_FORKS_MAX 64u /* sockets of FORK not attached yet, per session */
#define RES_SHARE_BUCKETS 4096u
#define RES_SWEEP_MS 100u

enum session_state {
	SESSION_STARTING, /* the engine is being told */
	SESSION_LIVE,
	SESSION_ORPHAN, /* process gone, others hold some of its DTIs */
	SESSION_ENDING, /* SESSION_DEL sent */
	SESSION_DEAD,   /* released; the number is kept while heirs would mistake another for it */
};

/* What a DTI is bound to. */
struct res_binding {
	struct res_binding *next;
	uint32_t dti;
	uint16_t gen;
	uint16_t port_be;
	struct ip_addr addr;
	uint64_t cookie;
	int fd; /* BIND: copy of the shadow, -1 = none */
	bool is_listen;
	bool is_v6only;
	bool is_known; /* the engine has confirmed it */
};

/* A DTI whose last holder KA learns from the kernel: shared by several processes, or a master. */
struct res_share {
	struct res_share *next;     /* in the hash by cookie */
	struct res_share *next_own; /* of the session */
	struct session *session;
	uint64_t cookie;
	uint32_t dti;
	uint16_t gen;
	bool is_shared; /* announced by SHARE: outlives its session's process */
};

struct session {
	struct ka *ka;
	enum session_state state;
	uint32_t number; /* 1 .. sessions_max */
	uint32_t lock_id;
	struct client *client; /* NULL: connection gone */
	pid_t pid;
	uid_t uid;
	struct loop_watch death; /* pidfd */
	int kick_fd[ETA_CORES_MAX];
	int wake_fd[RES_RINGS_MAX];
	uint32_t rings_n;
	struct mem_seg *seg[ETA_SEGS_MAX];
	uint32_t segs_n;
	uint32_t dtis_n;
	uint64_t bytes; /* in segments */
	uint32_t inherited[ETA_INHERIT_MAX];
	uint32_t inherited_n;
	uint32_t heirs_n;  /* sessions that inherited this one, and FORK sockets that may */
	uint32_t forks_n;  /* of these, FORK sockets */
	uint32_t del_left; /* cores that have not answered SESSION_DEL */
	bool is_growing;   /* receive memory is on its way to the engine */
	bool was_refused;  /* receive memory was refused when last asked for: said already */
	struct res_binding *bindings;
	struct res_share *shares;
	uint32_t shares_n; /* with is_shared */
};

struct res {
	struct ka *ka;
	struct session **session; /* [sessions_max + 1] by number */
	uint32_t sessions_max, sessions_n;
	uint32_t number_last;
	uint32_t lock_id_last;
	struct res_share *share[RES_SHARE_BUCKETS];
	struct loop_timer sweep; /* looks after bindings whose DTI is done with */
	uint64_t ended_n, orphaned_n;
};

int res_init(struct res *res, struct ka *ka, uint32_t sessions_max);
void res_fini(struct res *res);

/* ---- sessions (session.c, session_mem.c) ---- */

/**
 * res_session_create() - A session for the process behind @client, which asked ATTACH: number, first segments and ring, all told to the engine.
 * @geom:   receives ring 0's place. @wake_fd: read end of its wake pipe.
 * @status: why not.
 *
 * Return: session in STARTING, bound to @client, whose pending answers say when the engine has it; or NULL.
 */
struct session *res_session_create(struct res *res, struct client *client,
		struct eta_ring_geom *geom, int *wake_fd, enum eta_status *status);
/* The process is dead or misbehaved: release all of it, but for what it shares. @orderly: FIN, else RST. Drops its client. */
void res_session_end(struct session *session, bool orderly, const char *why);
/* An heir or FORK socket lets go. */
void res_session_unref(struct session *session);
/* Session @number, not dead; NULL: none. */
struct session *res_session_find(const struct res *res, uint32_t number);
struct session *res_session_of_pid(const struct res *res, pid_t pid);
bool res_session_lock_is_live(const struct res *res, uint32_t lock_id);
/* Session @number if @asker is it or inherited it. */
struct session *res_session_reachable(
		const struct res *res, struct session *asker, uint32_t number);
/* Session behind DTI number @dti as @asker writes it; NULL: no such owner or index. */
struct session *res_session_of_dti(const struct res *res, struct session *asker, uint32_t dti);
/* Post a command about @session to @core; its answer counts as @client's, unless NULL. */
void res_session_post(struct session *session, struct client *client, uint32_t core,
		const struct eta_admin_msg *msg);
/* Two segments of one plan: AL, then EN. Returns the AL one, NULL with @status. */
struct mem_seg *res_session_pair(struct session *session, struct client *client,
		struct mem_plan *plan, enum eta_status *status);
/* More memory for sending. The answer counts as @client's. NULL with @status. */
struct mem_seg *res_session_grow_send(struct session *session, struct client *client, uint8_t core,
		enum eta_status *status);
/* A pair of segments with DTI records; returns the AL one, its twin has the next number. */
struct mem_seg *res_session_grow_dtis(struct session *session, struct client *client, uint8_t core,
		enum eta_status *status);
/* The engine needs receive memory. */
void res_session_want_receive(struct session *session, uint8_t core);
/* Another ring. */
enum eta_status res_session_ring_add(struct session *session, struct client *client, uint8_t core,
		struct eta_ring_geom *geom, int *wake_fd);
/* EN half of DTI @idx, etad's mapping; NULL: no such. @core: whose it is. */
const struct eta_dti_en *res_session_dti_en(
		const struct session *session, uint32_t idx, uint8_t *core);
/* Post a message about DTI @dti of @session to its core; the answer counts as @client's, unless NULL. */
void res_session_post_dti(struct session *session, struct client *client, uint16_t op, uint32_t dti,
		uint16_t gen);
/* All shares of an orphan are gone. */
void res_session_orphan_done(struct session *session);

/* ---- bindings and shares (res.c) ---- */

struct res_binding *res_binding_find(const struct session *session, uint32_t dti, uint16_t gen);
/* Copy @want, take ownership of its fd on success. NULL: no memory, or no room in the filter. */
struct res_binding *res_bind(struct session *session, const struct res_binding *want);
void res_unbind(struct session *session, struct res_binding *binding);
/* Tie cookie to DTI. @is_shared: SHARE. */
enum eta_status res_share(
		struct session *owner, uint64_t cookie, uint32_t dti, uint16_t gen, bool is_shared);
void res_share_drop_all(struct session *session);
const struct res_share *res_share_find(const struct res *res, uint64_t cookie);
/* sockdiag says that the last reference of @cookie is gone. */
void res_cookie_gone(struct res *res, uint64_t cookie);

#endif
