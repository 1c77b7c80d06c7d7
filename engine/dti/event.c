/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Events: publishing what a burst has changed. See the header.
 *
 * An ACCEPT that names a child is carried by the child's inline subscription until AL has answered, so several never merge.
 */
#include "engine/dti/event.h"

#include <string.h>

#include <rte_common.h>
#include <rte_prefetch.h>

#include "engine/dti/accept.h"
#include "engine/dti/dti.h"
#include "engine/dti/dti_up.h"
#include "engine/dti/event_sub.h"
#include "engine/tcp/tcp.h"

#define KIB 1024u

/* The first subscription of a context speaks for its master until the application has the child. */
static bool is_accept_carrier(const struct dti_ctx *c)
{
	return (c->flags & DTI_CTX_UNACCEPTED) != 0;
}

/* ---- sending ---- */

/* The number of a DTI of session @owner as @reader knows it. */
static inline uint32_t dti_number(
		const struct dti *d, uint16_t owner, uint16_t reader, uint32_t dti)
{
	const struct session *r = &d->session[reader];

	if (owner == reader)
		return ETA_DTI_MAKE(0, dti);
	for (uint32_t i = 0; i < r->inherited_n; i++)
		if (r->inherited[i] == owner)
			return ETA_DTI_MAKE(i + 1, dti);
	return ETA_DTI_NONE;
}

static void touch(struct dti *d, struct dti_ring *ring);

static inline bool push(struct dti *d, struct dti_ring *ring, const struct eta_event *ev)
{
	/* an event is four words */
	if (!eta_ring_push(&ring->ev, (const uint64_t *)(const void *)ev))
		return false;
	d->stats.ev_sent++;
	touch(d, ring);
	return true;
}

/* The newest state of @c, whose EN half is @en (NULL = not bound), as an event with @flags for @ring. */
static inline void compose(struct dti *d, const struct dti_ctx *c, const struct eta_dti_en *en,
		const struct dti_ring *ring, uint8_t flags, struct eta_event *ev)
{
	uint32_t word;

	*ev = (struct eta_event){0};
	ev->flags = flags;
	if (is_accept_carrier(c)) {
		const struct dti_ctx *m = &d->ctx[c->master];

		ev->flags = ETA_EV_ACCEPT;
		ev->dti = dti_number(d, m->session, ring->session, m->dti);
		ev->gen = m->gen;
		ev->arg = dti_number(d, c->session, ring->session, c->dti);
		ev->arg_gen = c->gen;
		ev->state = ETA_DTI_LISTENING;
		return;
	}
	ev->dti = dti_number(d, c->session, ring->session, c->dti);
	ev->gen = c->gen;
	ev->arg = ETA_DTI_NONE;
	if (!(c->flags & DTI_CTX_BOUND)) {
		ev->flags |= ETA_EV_FREE;
		return;
	}
	if (ETA_UNLIKELY(!en))
		return;
	word = eta_load_relaxed_u32(ETA_DTI_WORD(en));
	ev->rcv_tail = c->rcv_tail;
	ev->snd_una = c->snd_una;
	ev->ring_at = en->ring_at;
	ev->state = (uint8_t)(word >> 16);
	ev->status = (uint8_t)(word >> 24);
	ev->snd_limit = c->snd_limit_kib * KIB;
}

static void owe(struct dti *d, struct dti_ring *ring)
{
	if (ring->is_owing)
		return;
	ring->is_owing = true;
	ring->owing_next = d->owing;
	d->owing = (uint16_t)(ring - d->ring);
}

/* Tell the subscription @ref of @c of @flags, now or later. @en: of @c, NULL = not bound. */
static void tell(struct dti *d, const struct dti_ctx *c, uint32_t ref, const struct eta_dti_en *en,
		uint8_t flags)
{
	struct dti_sub *sub = event_sub_of(d, ref);
	struct dti_ring *ring = &d->ring[event_sub_ring(sub)];
	_Alignas(uint64_t) struct eta_event ev;

	if (ring->is_closed)
		return;
	if (!(sub->ring & DTI_SUB_OWED)) {
		/* what is owed goes first, or the order of a queue would lie */
		if (ring->owed_head == 0 && ring->reply_head == 0) {
			compose(d, c, en, ring, flags, &ev);
			if (push(d, ring, &ev))
				return;
		}
		d->stats.ev_owed++;
		sub->ring |= DTI_SUB_OWED;
		sub->owed_next = 0;
		if (ring->owed_tail != 0)
			event_sub_of(d, ring->owed_tail)->owed_next = ref;
		else
			ring->owed_head = ref;
		ring->owed_tail = ref;
		owe(d, ring);
	}
	sub->pend |= flags;
}

static void reply_free(struct dti *d, uint32_t n)
{
	d->reply[n].next = d->reply_free;
	d->reply_free = n;
}

static bool push_reply(struct dti *d, struct dti_ring *ring, const struct dti_reply *r)
{
	_Alignas(uint64_t) struct eta_event ev = {
			.dti = r->dti,
			.gen = r->gen,
			.flags = r->flags,
			.state = r->state,
			.status = r->status,
			.arg = ETA_DTI_NONE,
	};

	return push(d, ring, &ev);
}

void event_reply(struct dti *d, struct dti_ring *ring, uint32_t dti, uint16_t gen, uint8_t flags,
		uint8_t state, uint8_t status)
{
	struct dti_reply r = {
			.dti = dti, .gen = gen, .flags = flags, .state = state, .status = status};
	uint32_t n = d->reply_free;

	if (ring->is_closed || (ring->reply_head == 0 && push_reply(d, ring, &r)))
		return;
	if (n == 0) {
		d->stats.ev_lost++;
		return;
	}
	d->reply_free = d->reply[n].next;
	d->reply[n] = r;
	if (ring->reply_tail != 0)
		d->reply[ring->reply_tail].next = n;
	else
		ring->reply_head = n;
	ring->reply_tail = n;
	owe(d, ring);
}

/* Send what @ring is owed while there is room. Return: true = nothing is left. */
static bool pay(struct dti *d, struct dti_ring *ring)
{
	while (ring->reply_head != 0) {
		uint32_t n = ring->reply_head;

		if (!push_reply(d, ring, &d->reply[n]))
			return false;
		ring->reply_head = d->reply[n].next;
		if (ring->reply_head == 0)
			ring->reply_tail = 0;
		reply_free(d, n);
	}
	while (ring->owed_head != 0) {
		uint32_t ref = ring->owed_head;
		struct dti_sub *sub = event_sub_of(d, ref);
		uint32_t idx = event_sub_ctx(d, ref);
		_Alignas(uint64_t) struct eta_event ev;

		compose(d, &d->ctx[idx], dti_en(d, &d->ctx[idx]), ring, sub->pend, &ev);
		if (!push(d, ring, &ev))
			return false;
		ring->owed_head = sub->owed_next;
		if (ring->owed_head == 0)
			ring->owed_tail = 0;
		sub->ring &= ~DTI_SUB_OWED;
		sub->pend = 0;
		if (!(d->ctx[idx].flags & DTI_CTX_BOUND)) {
			event_subs_end(d, idx, 0, false);
			dti_slot_put(d, idx);
		}
	}
	return true;
}

/* Rings with something owed: did AL make room? */
static void pay_all(struct dti *d)
{
	uint16_t *link = &d->owing;

	while (*link != 0) {
		struct dti_ring *ring = &d->ring[*link];

		if (ring->is_closed || pay(d, ring)) {
			*link = ring->owing_next;
			ring->is_owing = false;
			ring->owing_next = 0;
		} else {
			link = &ring->owing_next;
		}
	}
}

void event_ring_close(struct dti *d, uint16_t idx)
{
	struct dti_ring *ring = &d->ring[idx];

	ring->is_closed = true;
	while (ring->reply_head != 0) {
		uint32_t n = ring->reply_head;

		ring->reply_head = d->reply[n].next;
		reply_free(d, n);
	}
	ring->reply_tail = 0;
	while (ring->owed_head != 0) {
		uint32_t ref = ring->owed_head;
		struct dti_sub *sub = event_sub_of(d, ref);

		ring->owed_head = sub->owed_next;
		sub->ring &= ~DTI_SUB_OWED;
		sub->pend = 0;
	}
	ring->owed_tail = 0;
	pay_all(d);
}

void event_tell_freed(struct dti *d, uint32_t idx)
{
	const struct dti_ctx *c = &d->ctx[idx];

	for (uint32_t ref = idx; ref != 0; ref = event_sub_next(d, ref)) {
		const struct dti_sub *sub = event_sub_of(d, ref);

		if (sub->ring != 0 && ((sub->mask & ETA_EV_FREE) || (sub->ring & DTI_SUB_OWED)))
			tell(d, c, ref, dti_en(d, c), ETA_EV_FREE);
	}
	event_subs_end(d, idx, 0, false);
}

void event_accept(struct dti *d, uint32_t child_idx, uint16_t ring)
{
	struct dti_ctx *c = &d->ctx[child_idx];

	c->sub = (struct dti_sub){.ring = ring, .mask = ETA_EV_ACCEPT};
	tell(d, c, child_idx, dti_en(d, c), ETA_EV_ACCEPT);
}

void event_accept_all(struct dti *d, uint32_t master_idx)
{
	event_mark(d, master_idx, ETA_EV_ACCEPT);
}

/* ---- sleepers ---- */

/* One fence, then look who sleeps. */
static void wake_touched(struct dti *d)
{
	if (d->touched_n == 0)
		return;
	eta_fence_store_load();
	for (uint32_t i = 0; i < d->touched_n; i++) {
		struct dti_ring *ring = &d->ring[d->touched[i]];
		uint32_t armed = eta_load_relaxed_u32(&ring->ev.credit->armed);

		ring->is_touched = false;
		if (armed == 0 || armed == ring->armed_woken)
			continue;
		ring->armed_woken = armed;
		d->stats.wakes++;
		if (ring->wake_fd >= 0)
			dti_up_wake(dti_env(d), ring->wake_fd);
	}
	d->touched_n = 0;
}

static void touch(struct dti *d, struct dti_ring *ring)
{
	if (ring->is_touched)
		return;
	if (d->touched_n == DTI_TOUCHED_MAX)
		wake_touched(d);
	ring->is_touched = true;
	d->touched[d->touched_n++] = (uint16_t)(ring - d->ring);
}

/* ---- the end of a burst ---- */

void event_mark(struct dti *d, uint32_t idx, uint8_t ev)
{
	struct dti_ctx *c = &d->ctx[idx];

	c->ev |= ev;
	if (c->flags & DTI_CTX_DIRTY)
		return;
	c->flags |= DTI_CTX_DIRTY;
	c->dirty_next = 0;
	if (d->dirty_tail != 0)
		d->ctx[d->dirty_tail].dirty_next = idx;
	else
		d->dirty_head = idx;
	d->dirty_tail = idx;
}

/* The port of @c is, or was, outside of the range that KA's filter knows. Return: false = KA cannot be told now. */
static bool tell_ka(struct dti *d, struct dti_ctx *c)
{
	struct eta_admin_msg msg = {
			.op = c->flags & DTI_CTX_TCP_USED ? ETA_ADMIN_TUPLE_ADD
							  : ETA_ADMIN_TUPLE_DEL,
			.session = d->session[c->session].number,
	};

	memcpy(msg.tuple.laddr, c->tuple.laddr.b, 16);
	memcpy(msg.tuple.raddr, c->tuple.raddr.b, 16);
	msg.tuple.lport_be = c->tuple.lport_be;
	msg.tuple.rport_be = c->tuple.rport_be;
	if (!dti_up_notice(dti_env(d), &msg))
		return false;
	c->flags &= ~DTI_CTX_NOTICE;
	return true;
}

static void kill_now(struct dti *d, uint32_t idx)
{
	struct dti_ctx *c = &d->ctx[idx];
	struct eta_admin_msg msg = {
			.op = ETA_ADMIN_DTI_DEAD, .session = d->session[c->session].number};
	struct eta_dti_en *en;

	c->flags &= ~DTI_CTX_KILL;
	d->stats.dti_killed++;
	msg.dti.dti = c->dti;
	msg.dti.gen = c->gen;
	(void)dti_up_notice(dti_env(d), &msg); /* only for the log */
	/* a listener goes when its embryos are gone, in slices */
	if (c->flags & DTI_CTX_MASTER)
		accept_unlisten(d, idx);
	else if (c->flags & DTI_CTX_TCP_USED)
		tcp_abort(d->tcp, dti_env(d), &d->tcp->ctx[idx], ETA_STATUS_BAD_DESCRIPTOR);
	en = dti_en(d, c);
	if (!en)
		return;
	dti_set_state(d, c, ETA_DTI_CLOSED, ETA_STATUS_BAD_DESCRIPTOR);
	en->flags |= ETA_EV_CLOSED;
	event_mark(d, idx, ETA_EV_CLOSED);
}

/* Room for AL that waits for it: half as much as is taken, a third of the buffer, or everything acknowledged. As sk_stream_is_writeable(). */
static bool has_room(const struct dti_ctx *c)
{
	uint32_t limit = c->snd_limit_kib * KIB;
	uint32_t used = c->snd_tail - c->snd_una;

	return used == 0 || (used < limit && limit - used >= used / 2);
}

/* May dti_update_snd_limit() have something to do? */
static inline bool snd_limit_moves(const struct dti_ctx *c, const struct tcp_ctx *t)
{
	if (c->sndbuf_kib != 0)
		return c->sndbuf_kib != c->snd_limit_kib;
	return tcp_snd_want_bytes(t) / KIB > c->snd_limit_kib;
}

static void publish_bound(struct dti *d, uint32_t idx)
{
	struct dti_ctx *c = &d->ctx[idx];
	const struct tcp_ctx *t = &d->tcp->ctx[idx];
	struct eta_dti_en *en = dti_en(d, c);
	uint8_t ev = c->ev;

	c->ev = 0;
	if (ETA_UNLIKELY(!en))
		return;
	if (!(c->flags & DTI_CTX_MASTER)) {
		if (ETA_UNLIKELY(snd_limit_moves(c, t)))
			dti_update_snd_limit(d, idx);
		place_update_ring_at(d, idx, en);
		eta_store_relaxed_u32(&en->snd_nxt, tcp_snd_off(t, t->snd_nxt));
		eta_store_release_u32(&en->snd_una, c->snd_una);
		eta_store_release_u32(&en->rcv_tail, c->rcv_tail);
		if (c->flags & DTI_CTX_WANT_WRITE) {
			bool waits = !has_room(c) || !tcp_notsent_is_low(t);

			tcp_user_waits(&d->tcp->ctx[idx], waits, d->now_us);
			if (!waits) {
				c->flags &= ~DTI_CTX_WANT_WRITE;
				ev |= ETA_EV_WRITE;
			}
		}
	} else {
		eta_store_release_u32(&en->accept_n, accept_takeable_n(d, c->master));
	}
	if (ev != 0 && !is_accept_carrier(c)) {
		for (uint32_t ref = idx; ref != 0; ref = event_sub_next(d, ref)) {
			const struct dti_sub *sub = event_sub_of(d, ref);

			if (sub->ring != 0 && (ev & sub->mask))
				tell(d, c, ref, en, ev & sub->mask);
		}
	}
	/* nothing is left to send, or TCP is done with its user: bytes rung after the FIN are no stream */
	if ((c->flags & DTI_CTX_CLOSING) &&
			(c->snd_una == c->snd_tail || !(c->flags & DTI_CTX_TCP_USED) ||
					!(t->flags & TCP_CTX_USER)))
		dti_unbind(d, idx);
}

/* Return: false = something is owed to KA: keep it on the list. */
static bool publish_one(struct dti *d, uint32_t idx)
{
	struct dti_ctx *c = &d->ctx[idx];
	bool is_done = true;

	c->flags &= ~DTI_CTX_DIRTY;
	if (ETA_UNLIKELY(c->flags & (DTI_CTX_KILL | DTI_CTX_NOTICE))) {
		if (c->flags & DTI_CTX_KILL)
			kill_now(d, idx);
		if (c->flags & DTI_CTX_NOTICE)
			is_done = tell_ka(d, c);
	}
	if (c->flags & DTI_CTX_BOUND)
		publish_bound(d, idx);
	/* the last user of a slot frees it */
	if (is_done && !(c->flags & (DTI_CTX_DIRTY | DTI_CTX_BOUND)))
		dti_slot_put(d, idx);
	return is_done;
}

void event_publish(struct dti *d)
{
	uint32_t again = 0;

	if (d->owing != 0)
		pay_all(d);
	while (d->dirty_head != 0) {
		uint32_t idx = d->dirty_head;

		d->dirty_head = d->ctx[idx].dirty_next;
		if (d->dirty_head == 0)
			d->dirty_tail = 0;
		else
			rte_prefetch0(&d->ctx[d->dirty_head]);
		if (publish_one(d, idx))
			continue;
		if (!(d->ctx[idx].flags & DTI_CTX_DIRTY)) {
			d->ctx[idx].flags |= DTI_CTX_DIRTY;
			d->ctx[idx].dirty_next = again;
			again = idx;
		}
	}
	while (again != 0) {
		uint32_t idx = again;

		again = d->ctx[idx].dirty_next;
		d->ctx[idx].flags &= ~DTI_CTX_DIRTY;
		event_mark(d, idx, 0);
		d->is_unfinished = true;
	}
	wake_touched(d);
}

/* ---- what TCP tells ---- */

void tcp_up_readable(struct core *env, struct tcp_ctx *ctx, uint32_t rcv_tail, bool fin)
{
	struct dti *d = dti_of(env);
	struct dti_ctx *c = &d->ctx[ctx->idx];
	uint8_t ev = rcv_tail != c->rcv_tail ? ETA_EV_READ : 0;

	c->rcv_tail = rcv_tail;
	if (!(c->flags & DTI_CTX_BOUND))
		return;
	if (fin) {
		struct eta_dti_en *en = dti_en(d, c);

		if (en)
			en->flags |= ETA_EV_RD_CLOSED;
		ev |= ETA_EV_RD_CLOSED;
	}
	event_mark(d, ctx->idx, ev);
}

void tcp_up_acked(struct core *env, struct tcp_ctx *ctx, uint32_t snd_una)
{
	struct dti *d = dti_of(env);
	struct dti_ctx *c = &d->ctx[ctx->idx];

	if (!(c->flags & DTI_CTX_BOUND))
		return;
	if (eta_counter_after(snd_una, c->snd_tail))
		snd_una = c->snd_tail;
	c->snd_una = snd_una;
	source_acked(d, c);
	event_mark(d, ctx->idx, 0);
}

void tcp_up_connected(struct core *env, struct tcp_ctx *ctx)
{
	struct dti *d = dti_of(env);
	struct dti_ctx *c = &d->ctx[ctx->idx];

	if (!(c->flags & DTI_CTX_BOUND))
		return;
	event_write_mss(d, ctx->idx);
	dti_set_state(d, c, ETA_DTI_OPEN, ETA_STATUS_OK);
	event_mark(d, ctx->idx, ETA_EV_WRITE);
}

void tcp_up_urgent(struct core *env, struct tcp_ctx *ctx, uint32_t urg)
{
	struct dti *d = dti_of(env);
	struct dti_ctx *c = &d->ctx[ctx->idx];
	struct eta_dti_en *en = dti_en(d, c);

	if (!en)
		return;
	eta_store_relaxed_u32(&en->urg, urg);
	en->flags |= ETA_EV_URGENT;
	event_mark(d, ctx->idx, ETA_EV_URGENT);
}

void tcp_up_closed(struct core *env, struct tcp_ctx *ctx, enum eta_status why)
{
	struct dti *d = dti_of(env);
	struct dti_ctx *c = &d->ctx[ctx->idx];
	struct eta_dti_en *en = dti_en(d, c);

	if (!en) {
		accept_died(d, ctx->idx, why);
		return;
	}
	event_write_mss(d, ctx->idx);
	dti_set_state(d, c, ETA_DTI_CLOSED, (uint8_t)why);
	en->flags |= ETA_EV_CLOSED;
	event_mark(d, ctx->idx, ETA_EV_CLOSED);
}

void event_write_mss(struct dti *d, uint32_t idx)
{
	struct eta_dti_en *en = dti_en(d, &d->ctx[idx]);

	if (en)
		en->mss = d->tcp->ctx[idx].mss;
}
