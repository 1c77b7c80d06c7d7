/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Passive opens: masters, their posted children, and whose a new connection becomes. See the header.
 *
 * A context that a master counts is an embryo (neither WAITING nor UNACCEPTED), WAITING, or UNACCEPTED; each of the three counters changes
 * in count() alone.
 */
#include "engine/dti/accept.h"

#include <string.h>

#include <rte_common.h>

#include "engine/dti/dti.h"
#include "engine/dti/dti_up.h"
#include "engine/dti/post.h"
#include "engine/tcp/tcp.h"

static struct dti_master *master_of(struct dti *d, uint32_t master_idx)
{
	return &d->master[d->ctx[master_idx].master];
}

/* ---- posted children ---- */

bool accept_has_child(const struct dti *d, uint32_t master_idx, uint16_t session)
{
	const struct dti_post *p = post_find(d, &d->master[d->ctx[master_idx].master], session);

	return p && p->n > 0;
}

void accept_post(struct dti *d, uint32_t master_idx, struct session *s, uint32_t first, uint32_t n)
{
	struct dti_post *p = post_get(d, master_of(d, master_idx), s->idx);

	for (uint32_t i = 0; i < n; i++) {
		if (p && post_child(d, p, s, first + i))
			d->stats.child_posted++;
		else
			d->stats.child_refused++;
	}
}

/* ---- who a master counts ---- */

static void count(struct dti *d, const struct dti_ctx *c, int by)
{
	struct dti_master *m = master_of(d, c->master);

	if (c->flags & DTI_CTX_WAITING) {
		m->wait_n += by;
		event_mark(d, c->master, 0);
	} else if (c->flags & DTI_CTX_UNACCEPTED) {
		m->unaccepted_n += by;
	} else {
		m->embryo_n += by;
		d->embryo_n += by;
		*accept_source_n(d, c->master, &c->tuple) += by;
	}
}

static void wait_unlink(struct dti *d, struct dti_master *m, uint32_t idx)
{
	uint32_t prev = 0;
	uint32_t at = m->wait_head;

	while (at != 0 && at != idx) {
		prev = at;
		at = d->ctx[at].accept_next;
	}
	if (at == 0)
		return;
	if (prev != 0)
		d->ctx[prev].accept_next = d->ctx[idx].accept_next;
	else
		m->wait_head = d->ctx[idx].accept_next;
	if (m->wait_tail == idx)
		m->wait_tail = prev;
}

static void wait_enter(struct dti *d, uint32_t idx)
{
	struct dti_ctx *c = &d->ctx[idx];
	struct dti_master *m = master_of(d, c->master);

	c->flags |= DTI_CTX_WAITING;
	c->accept_next = 0;
	c->dead_why = 0;
	c->stage = 0;
	if (m->wait_tail != 0)
		d->ctx[m->wait_tail].accept_next = idx;
	else
		m->wait_head = idx;
	m->wait_tail = idx;
	count(d, c, 1);
	d->stats.accept_waiting++;
	event_accept_all(d, c->master);
}

/* Has the peer, or the network, ended it meanwhile? */
static bool wait_is_dead(const struct dti_ctx *c)
{
	return (c->flags & DTI_CTX_WAITING) && c->dead_why != 0;
}

/* Off the queue, with its bytes. */
static void wait_leave(struct dti *d, uint32_t idx)
{
	struct dti_ctx *c = &d->ctx[idx];

	wait_unlink(d, master_of(d, c->master), idx);
	place_drop_all(d, c);
	c->flags &= ~DTI_CTX_WAITING;
	c->accept_next = 0;
	c->dead_why = 0;
}

void accept_done(struct dti *d, uint32_t idx)
{
	struct dti_ctx *c = &d->ctx[idx];

	if (!(c->flags & DTI_CTX_UNACCEPTED))
		return;
	event_unsubscribe_all(d, idx);
	count(d, c, -1);
	c->flags &= ~DTI_CTX_UNACCEPTED;
	c->master = 0;
}

static void master_free(struct dti *d, uint32_t idx)
{
	struct dti_ctx *c = &d->ctx[idx];
	uint32_t i = c->master;

	memset(&d->master[i], 0, sizeof(d->master[i]));
	d->master[i].next = d->master_free;
	d->master_free = i;
	c->flags &= ~DTI_CTX_MASTER;
	c->master = 0;
}

void accept_forget(struct dti *d, uint32_t idx)
{
	struct dti_ctx *c = &d->ctx[idx];

	/* reset before accept(): the application gets it all the same, and the error with it */
	if (c->master == 0 || (c->flags & DTI_CTX_UNACCEPTED) || wait_is_dead(c))
		return;
	if (c->flags & DTI_CTX_MASTER) {
		master_free(d, idx);
		return;
	}
	count(d, c, -1);
	if (c->flags & DTI_CTX_WAITING)
		wait_leave(d, idx);
	c->master = 0;
}

void accept_died(struct dti *d, uint32_t idx, enum eta_status why)
{
	struct dti_ctx *c = &d->ctx[idx];

	/* for reasons of our own it goes at once */
	if ((c->flags & DTI_CTX_WAITING) && why != ETA_STATUS_ABORTED &&
			why != ETA_STATUS_NO_MEMORY)
		c->dead_why = why;
}

/* ---- masters ---- */

static void listen_enter(struct dti *d, uint32_t master, uint16_t lport_be)
{
	uint32_t *head = &d->listen[lport_be % DTI_LISTEN_BUCKETS];

	d->master[master].next = *head;
	*head = master;
}

static void listen_leave(struct dti *d, uint32_t master, uint16_t lport_be)
{
	uint32_t *link = &d->listen[lport_be % DTI_LISTEN_BUCKETS];

	while (*link != 0 && *link != master)
		link = &d->master[*link].next;
	if (*link == master)
		*link = d->master[master].next;
	d->master[master].next = 0;
}

/* The context for LISTEN: claimed by a SUBSCRIBE before, or new. */
static uint32_t listen_ctx(struct dti *d, struct session *s, const struct eta_admin_msg *msg,
		const struct eta_dti_al *al, const struct eta_dti_en *en)
{
	uint32_t word = eta_load_relaxed_u32(ETA_DTI_WORD(en));
	uint32_t idx = dti_lookup(d, s->idx, msg->dti.dti, msg->dti.gen, en);
	uint16_t gen = (uint16_t)eta_load_relaxed_u32((const uint32_t *)(const void *)&al->gen);

	if (idx != 0)
		return idx;
	if ((uint8_t)(word >> 16) != ETA_DTI_FREE || gen != msg->dti.gen || gen == (uint16_t)word ||
			en->ctx != 0 || s->ctx_n >= s->dtis_max)
		return 0;
	idx = dti_up_ctx_alloc(dti_env(d));
	if (idx != 0)
		dti_claim(d, idx, s, msg->dti.dti, msg->dti.gen);
	return idx;
}

enum eta_status accept_listen(struct dti *d, const struct eta_admin_msg *msg)
{
	struct session *s = session_find(d, msg->session);
	const struct eta_dti_al *al;
	struct eta_dti_en *en;
	struct eta_dti_al line1;
	struct tcp_param param;
	struct dti_master *m;
	struct dti_ctx *c;
	uint32_t idx, i;

	if (!s || !session_dti(s, msg->dti.dti, &al, &en))
		return ETA_STATUS_NOT_FOUND;
	idx = listen_ctx(d, s, msg, al, en);
	if (idx == 0)
		return ETA_STATUS_INVALID;
	c = &d->ctx[idx];
	if (c->flags & DTI_CTX_MASTER) {
		master_of(d, idx)->backlog = msg->dti.backlog;
		return ETA_STATUS_OK;
	}
	i = d->master_free;
	if (i == 0 || (c->flags & DTI_CTX_TCP_USED))
		return i == 0 ? ETA_STATUS_NO_MEMORY : ETA_STATUS_INVALID;
	m = &d->master[i];
	d->master_free = m->next;
	*m = (struct dti_master){
			.ctx = idx,
			.backlog = msg->dti.backlog,
			.is_v6only = msg->dti.flags & ETA_BIND_V6ONLY,
	};
	memcpy(c->tuple.laddr.b, msg->dti.laddr, 16);
	c->tuple.lport_be = msg->dti.lport_be;
	c->flags |= DTI_CTX_MASTER | DTI_CTX_TCP_USED;
	c->master = i;
	listen_enter(d, i, c->tuple.lport_be);
	dti_read_param(al, &line1);
	/* decided when it begins to listen, as Linux */
	if (d->tcp->conf.fastopen & TCP_FASTOPEN_ALL)
		m->fastopen_qlen = (uint16_t)RTE_MIN(msg->dti.backlog, (uint32_t)UINT16_MAX);
	dti_apply_param(d, c, &line1, &param);
	tcp_listen(d->tcp, &d->tcp->ctx[idx], &param);
	dti_open(d, idx, ETA_DTI_LISTENING, ETA_STATUS_OK);
	return ETA_STATUS_OK;
}

static void visit_enter(struct dti *d, uint32_t master)
{
	struct dti_master *m = &d->master[master];

	m->visit_at = 1;
	if (m->is_visited)
		return;
	m->is_visited = true;
	m->visit_next = d->visit_head;
	d->visit_head = master;
}

/* Nobody will accept what waits. */
static void wait_drop_all(struct dti *d, struct dti_master *m)
{
	while (m->wait_head != 0) {
		uint32_t idx = m->wait_head;
		struct dti_ctx *c = &d->ctx[idx];

		if (!wait_is_dead(c)) {
			tcp_abort(d->tcp, dti_env(d), &d->tcp->ctx[idx], ETA_STATUS_ABORTED);
			continue;
		}
		count(d, c, -1);
		wait_leave(d, idx);
		c->master = 0;
		event_mark(d, idx, 0); /* its slot goes at a safe moment */
	}
}

void accept_unlisten(struct dti *d, uint32_t master_idx)
{
	struct dti_ctx *c = &d->ctx[master_idx];
	struct dti_master *m = master_of(d, master_idx);

	if (!(c->flags & DTI_CTX_MASTER) || m->is_closing)
		return;
	m->is_closing = true;
	listen_leave(d, c->master, c->tuple.lport_be);
	post_free_all(d, m, 0);
	wait_drop_all(d, m);
	visit_enter(d, c->master);
}

void accept_withdraw(struct dti *d, uint32_t master_idx, struct session *s)
{
	struct dti_master *m = master_of(d, master_idx);

	post_free_all(d, m, s->idx);
	if (!m->is_closing && s->state == SESSION_LIVE)
		visit_enter(d, d->ctx[master_idx].master);
}

/* Context @idx while master @m closes, or after a session withdrew from it. */
static void visit_one(struct dti *d, struct dti_master *m, uint32_t idx)
{
	struct dti_ctx *c = &d->ctx[idx];

	if (c->master != m->ctx || (c->flags & DTI_CTX_MASTER))
		return;
	if (m->is_closing) {
		if (c->flags & DTI_CTX_UNACCEPTED) {
			accept_done(d, idx);
			c->flags |= DTI_CTX_CLOSING;
		}
		if (c->flags & DTI_CTX_TCP_USED)
			tcp_abort(d->tcp, dti_env(d), &d->tcp->ctx[idx], ETA_STATUS_ABORTED);
		dti_unbind(d, idx);
		return;
	}
	if ((c->flags & DTI_CTX_UNACCEPTED) && !event_has_subscriber(d, m->ctx, c->session))
		accept_rebind(d, idx);
}

uint32_t accept_visit(struct dti *d, uint32_t slice)
{
	uint32_t i = d->visit_head;
	struct dti_master *m = &d->master[i];
	uint32_t n = 0;

	if (i == 0)
		return 0;
	for (; n < slice && m->visit_at < d->ctx_n; n++, m->visit_at++)
		visit_one(d, m, m->visit_at);
	if (m->visit_at < d->ctx_n)
		return n;
	d->visit_head = m->visit_next;
	m->is_visited = false;
	m->visit_next = 0;
	if (m->is_closing)
		tcp_abort(d->tcp, dti_env(d), &d->tcp->ctx[m->ctx], ETA_STATUS_OK);
	return n;
}

/* ---- connections ---- */

struct tcp_ctx *tcp_up_embryo(
		struct core *env, struct tcp_ctx *master, const struct ip_tuple *tuple)
{
	struct dti *d = dti_of(env);
	struct dti_ctx *c;
	uint32_t idx;

	idx = dti_up_ctx_alloc(env);
	if (idx == 0)
		return NULL;
	c = &d->ctx[idx];
	c->tuple = *tuple;
	c->flags = DTI_CTX_TCP_USED;
	c->tos = d->ctx[master->idx].tos;
	c->ttl = d->ctx[master->idx].ttl;
	if (!dti_up_ctx_hash(env, idx)) {
		c->flags = 0;
		dti_slot_put(d, idx);
		return NULL;
	}
	c->master = master->idx;
	count(d, c, 1);
	return &d->tcp->ctx[idx];
}

/* Bind @idx, which its master does not count at the moment, to a child of @ring's session, which has one. */
static void bind_child(struct dti *d, uint32_t idx, uint16_t ring)
{
	struct dti_ctx *c = &d->ctx[idx];
	struct dti_master *m = master_of(d, c->master);
	struct session *s = &d->session[d->ring[ring].session];
	struct dti_post *p = post_find(d, m, s->idx);
	struct dti_child child;

	if (!p || p->n == 0)
		return;
	child = post_pop(d, p);
	c->flags |= DTI_CTX_UNACCEPTED;
	count(d, c, 1);
	m->turn = ring;
	dti_claim(d, idx, s, child.dti, child.gen);
}

/* @dead_why: what has ended it while it waited, OK = it lives. */
static void open_child(struct dti *d, uint32_t idx, uint16_t ring, uint32_t dead_why)
{
	struct eta_dti_en *en = dti_en(d, &d->ctx[idx]);

	dti_open(d, idx, ETA_DTI_OPEN, ETA_STATUS_OK);
	if (en && (d->tcp->ctx[idx].flags & TCP_CTX_FIN_RCVD))
		en->flags |= ETA_EV_RD_CLOSED;
	if (ETA_UNLIKELY(en && dead_why != ETA_STATUS_OK)) {
		dti_set_state(d, &d->ctx[idx], ETA_DTI_CLOSED, (uint8_t)dead_why);
		en->flags |= ETA_EV_CLOSED;
	}
	event_accept(d, idx, ring);
	d->stats.accept_bound++;
}

/* No memory for its bytes: reset it, the child becomes FREE. */
static void drop_child(struct dti *d, uint32_t idx)
{
	accept_done(d, idx);
	d->ctx[idx].flags |= DTI_CTX_CLOSING;
	tcp_abort(d->tcp, dti_env(d), &d->tcp->ctx[idx], ETA_STATUS_NO_MEMORY);
}

bool tcp_up_accept(struct core *env, struct tcp_ctx *ctx)
{
	struct dti *d = dti_of(env);
	struct dti_ctx *c = &d->ctx[ctx->idx];
	struct dti_master *m = master_of(d, c->master);
	bool is_contended;
	uint16_t ring;

	if (m->is_closing)
		return false;
	ring = event_subscriber(d, c->master, &is_contended);
	d->stats.accept_no_child += ring == 0 && !is_contended;
	count(d, c, -1);
	if (ring == 0 || is_contended) {
		wait_enter(d, ctx->idx);
		return true;
	}
	bind_child(d, ctx->idx, ring);
	open_child(d, ctx->idx, ring, ETA_STATUS_OK);
	return true;
}

uint32_t accept_takeable_n(const struct dti *d, uint32_t master)
{
	return d->master[master].is_short ? 0 : d->master[master].wait_n;
}

/* There is no memory for what waits at @m: nobody shall look for it until there may be some. */
static void take_short(struct dti *d, struct dti_master *m, struct session *s)
{
	session_want_seg(d, s);
	d->stats.accept_short++;
	m->is_short = true;
	event_mark(d, m->ctx, 0);
	d->is_take_short = true;
	d->take_short_us = d->now_us;
}

void accept_retry(struct dti *d)
{
	if (d->now_us - d->take_short_us < ACCEPT_RETRY_US)
		return;
	d->is_take_short = false;
	for (uint32_t i = 1; i < d->master_n; i++) {
		if (!d->master[i].is_short)
			continue;
		d->master[i].is_short = false;
		event_accept_all(d, d->master[i].ctx);
	}
}

void accept_take(struct dti *d, uint32_t master_idx, struct session *s, uint16_t ring, uint32_t n)
{
	struct dti_master *m = master_of(d, master_idx);

	while (n-- > 0 && m->wait_head != 0 && accept_has_child(d, master_idx, s->idx)) {
		uint32_t idx = m->wait_head;
		struct dti_ctx *c = &d->ctx[idx];
		struct dti_ctx from = *c;

		if (!place_fits(d, idx, s)) {
			take_short(d, m, s);
			return;
		}
		wait_unlink(d, m, idx);
		count(d, c, -1);
		c->flags &= ~DTI_CTX_WAITING;
		c->dead_why = 0;
		bind_child(d, idx, ring);
		if (!place_move(d, &from, c)) {
			place_drop_all(d, &from);
			drop_child(d, idx);
			continue;
		}
		place_drop_all(d, &from);
		open_child(d, idx, ring, from.dead_why);
	}
}

/* Take @idx out of its child DTI, which becomes FREE; its bytes stay with @from. */
static void unbind_child(struct dti *d, uint32_t idx, struct dti_ctx *from)
{
	struct dti_ctx *c = &d->ctx[idx];

	event_unsubscribe_all(d, idx);
	count(d, c, -1);
	*from = *c;
	c->flags &= ~(DTI_CTX_BOUND | DTI_CTX_UNACCEPTED | DTI_CTX_WANT_WRITE | DTI_CTX_ACTIVE);
	d->session[c->session].ctx_n--;
	c->session = 0;
	c->snd_chunk = 0;
	c->snd_limit_kib = 0;
	c->rcv_chunk = c->rcv_last = ETA_CHUNK_NONE;
	c->stage = 0;
	c->ev = 0;
}

void accept_rebind(struct dti *d, uint32_t idx)
{
	struct dti_ctx *c = &d->ctx[idx];
	uint32_t master_idx = c->master;
	bool is_contended, is_moved;
	struct dti_ctx from;
	uint16_t ring;

	if (!(c->flags & DTI_CTX_TCP_USED)) {
		accept_done(d, idx);
		dti_unbind(d, idx);
		return;
	}
	ring = event_subscriber(d, master_idx, &is_contended);
	unbind_child(d, idx, &from);
	if (ring != 0 && !is_contended) {
		bind_child(d, idx, ring);
		is_moved = place_move(d, &from, c);
		if (is_moved)
			open_child(d, idx, ring, ETA_STATUS_OK);
	} else {
		wait_enter(d, idx);
		is_moved = place_move(d, &from, c);
	}
	place_drop_all(d, &from);
	post_child_word(&d->session[from.session], from.dti, from.gen, ETA_DTI_FREE);
	d->stats.accept_rebound++;
	if (is_moved)
		return;
	if (c->flags & DTI_CTX_UNACCEPTED)
		drop_child(d, idx);
	else
		tcp_abort(d->tcp, dti_env(d), &d->tcp->ctx[idx], ETA_STATUS_NO_MEMORY);
}

void tcp_up_free(struct core *env, struct tcp_ctx *ctx)
{
	struct dti *d = dti_of(env);
	uint32_t idx = ctx->idx;
	struct dti_ctx *c = &d->ctx[idx];

	dti_up_ctx_unhash(env, idx);
	accept_forget(d, idx);
	c->flags &= ~DTI_CTX_TCP_USED;
	if (c->flags & DTI_CTX_TUPLE) {
		c->flags = (uint16_t)((c->flags & ~DTI_CTX_TUPLE) | DTI_CTX_NOTICE);
		/* an ADD that was never told needs no DEL: KA ignores what it does not know */
	}
	/* a bound one may be waiting to be FREE; the slot of any goes at a safe moment */
	event_mark(d, idx, 0);
}
