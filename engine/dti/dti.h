/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DTI room of one core: tables and pools that the files of this room share.
 *
 * struct core begins with a struct dti, so that what TCP hands us as its environment is also this (dti_of, dti_env). All memory is taken by
 * dti_init(); afterwards everything is an index into a pool.
 *
 * Depends on tcp.h (calls down) and dti_up.h (asks up).
 */
#ifndef ENGINE_DTI_DTI_H
#define ENGINE_DTI_DTI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <eta/abi.h>

#include "engine/dti/accept.h"
#include "engine/dti/dti_ctx.h"
#include "engine/dti/dti_stats.h"
#include "engine/dti/event.h"
#include "engine/dti/place.h"
#include "engine/dti/post.h"
#include "engine/dti/session.h"
#include "engine/dti/source.h"

struct core;
struct tcp_param;
struct tcp_stack;

#define DTI_LISTEN_BUCKETS 1024u
#define DTI_SOURCES 4096u    /* counters of embryos by source */
#define DTI_CTX_KEPT 16u     /* this share of the contexts is not for embryos */
#define DTI_TOUCHED_MAX 256u /* rings woken together; more are woken in several goes */

struct dti_conf {
	uint32_t contexts_max; /* slots, index 0 included */
	uint32_t embryos_max;
	uint32_t source_pct; /* of a listener's embryos one source may hold; 0 = 50 */
	uint32_t sessions_max;
	uint32_t rcv_bytes_max; /* of one connection; 0 = ETA_STREAM_BYTES_MAX */
	uint32_t snd_bytes_max;
	int socket_id;
};

/* KA has authorised a local address for one use of a DTI (ETA_ADMIN_BIND). Pool; index 0 is never used. */
struct dti_bind {
	uint32_t session; /* index, 0 = unused */
	uint32_t dti;
	uint16_t gen;
	uint16_t lport_be;
	struct ip_addr laddr;
};
#define DTI_BINDS_MAX 1024u

struct dti {
	/* the loop's */
	uint64_t now_us;
	struct tcp_stack *tcp;
	struct dti_ctx *ctx; /* [ctx_n] */
	uint32_t ctx_n;
	uint32_t dirty_head, dirty_tail; /* contexts to publish */
	uint16_t owing; /* list of rings with something owed, through dti_ring.owing_next */
	uint32_t touched_n;
	uint16_t touched[DTI_TOUCHED_MAX]; /* rings with events not yet checked for sleepers */

	/* sessions */
	struct session *session; /* [session_n] */
	uint32_t session_n;
	uint16_t poll_at;  /* a session of the circular list of those with polled rings; 0 = none */
	uint32_t ending_n; /* sessions that session_reap() works on */
	uint32_t dormant_n;  /* rings off the polled list */
	struct dti_seg *seg; /* [seg_n] */
	uint32_t seg_n;
	struct dti_ring *ring; /* [ring_n] */
	uint32_t ring_n;
	uint64_t (*map)[SEG_MAP_WORDS]; /* [map_n] */
	uint32_t map_n;
	uint16_t map_free; /* free blocks: list through word 0 */

	/* pools, each a free list */
	struct dti_note *note;
	uint32_t note_n, note_free, note_free_n;
	struct dti_sub_node *sub;
	uint32_t sub_n, sub_free;
	struct dti_reply *reply;
	uint32_t reply_n, reply_free;
	struct dti_child *child;
	uint32_t child_n, child_free;
	struct dti_post *post;
	uint32_t post_n;
	uint16_t post_free;
	struct dti_master *master;
	uint32_t master_n, master_free;
	uint8_t (*stage)[STAGE_BYTES];
	uint32_t stage_n, stage_free;
	struct dti_bind *bind; /* [DTI_BINDS_MAX] */

	/* listeners by local port: index of dti_master */
	uint32_t listen[DTI_LISTEN_BUCKETS];
	uint32_t visit_head; /* masters that accept_visit() works on */
	uint32_t embryo_n, embryos_max;
	uint32_t source_pct;
	uint32_t source_n[DTI_SOURCES]; /* embryos by master and source, see accept_room.c */

	/* sweep lists: contexts with receive chunks; filled this second, and last second */
	uint32_t sweep_new_head, sweep_new_tail;
	uint32_t sweep_old_head;
	uint64_t sweep_us; /* when the lists were last exchanged */
	uint64_t ring_sweep_us;

	uint32_t rcv_bytes_max, snd_bytes_max;
	bool is_unfinished;     /* a bound was met in this turn: do not sleep */
	bool is_seg_low;        /* a session has just come to want receive memory */
	bool is_take_short;     /* a master is_short */
	uint64_t take_short_us; /* since when, the last time that one became it */
	uint32_t soft_n;        /* errors told by dti_soft_error() */
	struct dti_stats stats;
	uint64_t memory_bytes;
	void *mem[16]; /* for dti_fini */
	uint32_t mem_n;
};

/* struct core begins with its struct dti. */
static inline struct dti *dti_of(struct core *env)
{
	return (struct dti *)(void *)env;
}

static inline struct core *dti_env(struct dti *d)
{
	return (struct core *)(void *)d;
}

/* Return: 0, or -ENOMEM with nothing held.   Context: cold, KA. */
ETA_MUST_CHECK int dti_init(struct dti *d, const struct dti_conf *conf);
void dti_fini(struct dti *d);

/**
 * dti_bind_authorise() - Remember ETA_ADMIN_BIND until the DTI's CONNECT.
 */
enum eta_status dti_bind_authorise(struct dti *d, const struct eta_admin_msg *msg);

/* Context @idx bound to {session, dti, gen}; 0 = none. The EN half's own word is only a hint: the context must agree. Context: hot. */
static inline uint32_t dti_lookup(const struct dti *d, uint16_t session, uint32_t dti, uint16_t gen,
		const struct eta_dti_en *en)
{
	uint32_t idx = eta_load_relaxed_u32(&en->ctx);
	const struct dti_ctx *c;

	if (idx == 0 || idx >= d->ctx_n)
		return 0;
	c = &d->ctx[idx];
	if (!(c->flags & DTI_CTX_BOUND) || c->session != session || c->dti != dti || c->gen != gen)
		return 0;
	return idx;
}

/* The index the EN half names, in range, not yet judged: for prefetching. */
static inline uint32_t dti_lookup_hint(const struct dti *d, const struct eta_dti_en *en)
{
	uint32_t idx = eta_load_relaxed_u32(&en->ctx);

	return idx < d->ctx_n ? idx : 0;
}

/* Does the EN half say that the bound @c is open, or was? */
bool dti_is_open(const struct dti *d, const struct dti_ctx *c);

/* Bind context @idx to a DTI of @s. The EN half still says FREE (SUBSCRIBE comes before LISTEN). */
void dti_claim(struct dti *d, uint32_t idx, struct session *s, uint32_t dti, uint16_t gen);
/* Open the claimed DTI: the EN half gets addresses, zeroed counters and, last, {gen, state, status}. */
void dti_open(struct dti *d, uint32_t idx, uint8_t state, uint8_t status);
/* ICMP said @why of a connection that goes on. */
void dti_soft_error(struct dti *d, uint32_t idx, enum eta_status why);
/* Read the parameters of line 1 of the AL half, once; @line1 receives a private copy (line 0 of it stays zero). */
void dti_read_param(const struct eta_dti_al *al, struct eta_dti_al *line1);
/* Apply what concerns this room (buffers, TOS, TTL); fill @param for TCP. */
void dti_apply_param(struct dti *d, struct dti_ctx *c, const struct eta_dti_al *line1,
		struct tcp_param *param);
/* What AL may keep unacknowledged now. Return: true if it grew. */
bool dti_update_snd_limit(struct dti *d, uint32_t idx);
/* The DTI of @idx is free: memory goes, the EN half says FREE, subscribers are told. */
void dti_unbind(struct dti *d, uint32_t idx);
/* EN half and AL half of a bound context. */
static inline struct eta_dti_en *dti_en(const struct dti *d, const struct dti_ctx *c)
{
	const struct eta_dti_al *al;
	struct eta_dti_en *en = NULL;

	if (!(c->flags & DTI_CTX_BOUND) || !session_dti(&d->session[c->session], c->dti, &al, &en))
		return NULL;
	return en;
}

static inline const struct eta_dti_al *dti_al(const struct dti *d, const struct dti_ctx *c)
{
	const struct eta_dti_al *al = NULL;
	struct eta_dti_en *en;

	if (!(c->flags & DTI_CTX_BOUND) || !session_dti(&d->session[c->session], c->dti, &al, &en))
		return NULL;
	return al;
}

/* Change state and status in the EN half (gen stays), release. */
void dti_set_state(struct dti *d, const struct dti_ctx *c, uint8_t state, uint8_t status);

/* Mark the DTI of @idx as hostile: it is aborted at the next publish. Safe anywhere. */
void dti_kill(struct dti *d, uint32_t idx);
/* Free the slot of @idx if nothing uses it any more. */
void dti_slot_put(struct dti *d, uint32_t idx);

/* Every invariant of the room. Return: NULL, or a static sentence. For tests, simulation and fuzzing. */
const char *dti_check(const struct dti *d);

/* The listener for @laddr:@lport_be: exact, then any of the family, then any of both. Return: context index, 0 = none. Context: hot. */
uint32_t dti_listener(const struct dti *d, const struct ip_addr *laddr, uint16_t lport_be);

#endif
