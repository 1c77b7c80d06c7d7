/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What doorbells ask, beyond moving counters: open, close, subscribe, accept.
 *
 * Source: eta/dti.h OPEN, ACCEPT, CLOSE.
 */
#include "engine/dti/doorbell_op.h"

#include <string.h>

#include <rte_common.h>

#include "engine/dti/doorbell.h"
#include "engine/dti/dti.h"
#include "engine/dti/dti_up.h"
#include "engine/dti/info.h"
#include "engine/tcp/tcp.h"

/* Queue number @number of the session that rang @b. Return: ring index, 0 = no such queue. */
static uint16_t ring_named(const struct dti *d, const struct doorbell *b, uint32_t number)
{
	const struct session *s = &d->session[d->ring[b->ring].session];

	return number < SESSION_RINGS_MAX ? s->ring[number] : 0;
}

static void refuse(struct dti *d, const struct doorbell *b, uint16_t ring, uint8_t status)
{
	d->stats.db_refused++;
	event_reply(d, &d->ring[ring ? ring : b->ring], b->db.dti, b->db.gen, 0,
			(uint8_t)(eta_load_relaxed_u32(ETA_DTI_WORD(b->en)) >> 16), status);
}

/* ---- open ---- */

/* The EN half says that this open failed; AL rings CLOSE, as for any other. */
static void open_failed(struct dti *d, const struct doorbell *b, uint8_t status)
{
	uint16_t ring = ring_named(d, b, b->db.arg0);

	d->stats.db_refused++;
	memset(b->en, 0, offsetof(struct eta_dti_en, gen));
	b->en->chunk = ETA_CHUNK_NONE;
	b->en->ctx = 0;
	b->en->flags = ETA_EV_CLOSED;
	eta_store_release_u32((uint32_t *)(void *)&b->en->gen,
			ETA_DTI_WORD_MAKE(b->db.gen, ETA_DTI_CLOSED, status));
	event_reply(d, &d->ring[ring ? ring : b->ring], b->db.dti, b->db.gen, ETA_EV_CLOSED,
			ETA_DTI_CLOSED, status);
}

/* A local address that KA has authorised for this use of the DTI. */
static bool bind_take(struct dti *d, const struct doorbell *b, struct ip_tuple *tuple)
{
	for (uint32_t i = 1; i < DTI_BINDS_MAX; i++) {
		struct dti_bind *k = &d->bind[i];

		if (k->session != b->session || k->dti != b->dti)
			continue;
		k->session = 0;
		if (k->gen != b->db.gen)
			continue;
		tuple->laddr = k->laddr;
		tuple->lport_be = k->lport_be;
		return true;
	}
	return false;
}

/* A context claimed for @b's DTI, for an open or an early SUBSCRIBE. Return: 0 = refused, @status says why. */
static uint32_t claim(struct dti *d, const struct doorbell *b, uint8_t *status)
{
	struct session *s = &d->session[b->session];
	uint32_t idx;

	*status = ETA_STATUS_QUOTA;
	if (s->ctx_n >= s->dtis_max)
		return 0;
	idx = dti_up_ctx_alloc(dti_env(d));
	*status = ETA_STATUS_NO_MEMORY;
	if (idx != 0)
		dti_claim(d, idx, s, b->dti, b->db.gen);
	return idx;
}

/* May @b open its DTI: is it free, and is the generation the one that AL has just written? */
static bool may_open(struct dti *d, struct doorbell *b)
{
	uint32_t word = eta_load_relaxed_u32(ETA_DTI_WORD(b->en));
	uint16_t gen = (uint16_t)eta_load_relaxed_u32((const uint32_t *)(const void *)&b->al->gen);
	uint32_t old = dti_lookup_hint(d, b->en);
	const struct dti_ctx *c = &d->ctx[old];

	if ((uint8_t)(word >> 16) != ETA_DTI_FREE || b->db.gen != gen || gen == (uint16_t)word)
		return false;
	if (old != 0 && old != b->idx && (c->flags & DTI_CTX_BOUND) && c->session == b->session &&
			c->dti == b->dti)
		dti_unbind(d, old); /* subscribed, never opened, and now another generation */
	return true;
}

static void connect_go(struct dti *d, struct doorbell *b, const struct eta_dti_al *line1)
{
	struct dti_ctx *c = &d->ctx[b->idx];
	struct tcp_param param;
	uint16_t syn_bytes;
	uint8_t status;

	memcpy(c->tuple.raddr.b, line1->raddr, 16);
	c->tuple.rport_be = line1->rport_be;
	if (line1->opt & ETA_OPT_LOCAL_BOUND)
		status = bind_take(d, b, &c->tuple) ? ETA_STATUS_OK : ETA_STATUS_DENIED;
	else
		status = ETA_STATUS_OK;
	if (status == ETA_STATUS_OK)
		status = (uint8_t)dti_up_local(dti_env(d), &c->tuple, b->session);
	if (status == ETA_STATUS_OK && !dti_up_ctx_hash(dti_env(d), b->idx))
		status = ETA_STATUS_ADDR_IN_USE;
	dti_apply_param(d, c, line1, &param);
	if (status != ETA_STATUS_OK) {
		dti_open(d, b->idx, ETA_DTI_CLOSED, status);
		b->en->flags |= ETA_EV_CLOSED;
		event_mark(d, b->idx, ETA_EV_CLOSED);
		return;
	}
	c->flags |= DTI_CTX_TCP_USED;
	if (dti_up_port_is_odd(dti_env(d), c->tuple.lport_be)) {
		c->flags |= DTI_CTX_TUPLE | DTI_CTX_NOTICE;
		event_mark(d, b->idx, 0);
	}
	syn_bytes = param.fastopen ? tcp_fastopen_bytes(d->tcp, dti_env(d), &c->tuple, &param,
						     d->now_us)
				   : 0;
	param.fastopen_wait = b->db.snd_tail == 0 && syn_bytes;
	b->en->syn_bytes = syn_bytes;
	dti_open(d, b->idx, ETA_DTI_CONNECTING, ETA_STATUS_OK);
	tcp_connect(d->tcp, dti_env(d), &d->tcp->ctx[b->idx], &c->tuple, &param, d->now_us);
	/* bytes queued before the handshake */
	if ((c->flags & DTI_CTX_TCP_USED) && (b->db.snd_tail | b->db.rcv_head) != 0)
		(void)doorbell_counters(d, b, 0);
}

void doorbell_connect(struct dti *d, struct doorbell *b)
{
	uint16_t ring = ring_named(d, b, b->db.arg0);
	struct eta_dti_al line1;
	uint8_t status;

	if (ETA_DTI_OWNER(b->db.dti) != 0 || !may_open(d, b)) {
		d->stats.db_unknown++;
		return;
	}
	dti_read_param(b->al, &line1);
	if (ring == 0) {
		open_failed(d, b, ETA_STATUS_BAD_DESCRIPTOR);
		return;
	}
	if (b->idx == 0)
		b->idx = claim(d, b, &status);
	if (b->idx == 0) {
		open_failed(d, b, status);
		return;
	}
	if (!event_subscribe(d, b->idx, ring, b->db.arg1))
		refuse(d, b, ring, ETA_STATUS_QUOTA);
	if (b->db.op & ETA_DB_WANT_WRITE)
		d->ctx[b->idx].flags |= DTI_CTX_WANT_WRITE;
	connect_go(d, b, &line1);
}

/*
 * A subscriber is told at once what stands already: what came before it had no event to it, and when AL looked at the record after ringing, this
 * doorbell may not have been taken yet.
 */
static void tell_level(struct dti *d, const struct doorbell *b)
{
	const struct dti_ctx *c = &d->ctx[b->idx];
	uint8_t ev;

	if ((uint16_t)eta_load_relaxed_u32(ETA_DTI_WORD(b->en)) != c->gen)
		return; /* not opened yet */
	ev = (uint8_t)(eta_load_relaxed_u32(&b->en->flags) &
			(ETA_EV_RD_CLOSED | ETA_EV_CLOSED | ETA_EV_URGENT));
	if (c->flags & DTI_CTX_MASTER)
		ev = d->master[c->master].wait_n != 0 ? ETA_EV_ACCEPT : 0;
	else if (c->rcv_tail != c->rcv_head)
		ev |= ETA_EV_READ;
	if (ev != 0)
		event_mark(d, b->idx, ev);
}

static void subscribe(struct dti *d, const struct doorbell *b)
{
	uint16_t ring = ring_named(d, b, b->db.arg0);

	if (ring == 0)
		dti_kill(d, b->idx);
	else if (!event_subscribe(d, b->idx, ring, b->db.arg1))
		refuse(d, b, ring, ETA_STATUS_QUOTA);
	else
		tell_level(d, b);
}

void doorbell_without_ctx(struct dti *d, struct doorbell *b, unsigned int op)
{
	uint32_t word = eta_load_relaxed_u32(ETA_DTI_WORD(b->en));
	uint8_t status;

	if (op == ETA_DB_SUBSCRIBE && may_open(d, b)) {
		b->idx = claim(d, b, &status);
		if (b->idx == 0)
			refuse(d, b, ring_named(d, b, b->db.arg0), status);
		else
			subscribe(d, b);
		return;
	}
	if (op == ETA_DB_INFO) {
		info_answer(d, b);
		return;
	}
	/* an open that failed for want of a context: nothing but the record knows of it */
	if ((op == ETA_DB_CLOSE || op == ETA_DB_ABORT) && (uint16_t)word == b->db.gen &&
			(uint8_t)(word >> 16) == ETA_DTI_CLOSED && b->en->ctx == 0) {
		eta_store_release_u32((uint32_t *)(void *)&b->en->gen,
				ETA_DTI_WORD_MAKE(b->db.gen, ETA_DTI_FREE, ETA_STATUS_OK));
		event_reply(d, &d->ring[b->ring], b->db.dti, b->db.gen, ETA_EV_FREE, ETA_DTI_FREE,
				ETA_STATUS_OK);
		return;
	}
	d->stats.db_unknown++;
}

/* ---- masters ---- */

static void unsubscribe(struct dti *d, const struct doorbell *b)
{
	struct session *s = &d->session[d->ring[b->ring].session];
	uint16_t ring = ring_named(d, b, b->db.arg0);

	if (ring == 0) {
		dti_kill(d, b->idx);
		return;
	}
	event_unsubscribe(d, b->idx, ring);
	if ((d->ctx[b->idx].flags & DTI_CTX_MASTER) && !event_has_subscriber(d, b->idx, s->idx))
		accept_withdraw(d, b->idx, s);
}

void doorbell_master(struct dti *d, struct doorbell *b, unsigned int op)
{
	struct session *s = &d->session[d->ring[b->ring].session];

	if (!(d->ctx[b->idx].flags & DTI_CTX_MASTER)) {
		/* CHILD for a DTI that does not listen (any more): refused, not judged */
		d->stats.child_refused++;
		return;
	}
	switch ((enum eta_doorbell_op)op) {
	case ETA_DB_CHILD:
		if (b->db.arg1 == 0 || b->db.arg1 > ACCEPT_CHILDREN_MAX)
			dti_kill(d, b->idx);
		else
			accept_post(d, b->idx, s, b->db.arg0, b->db.arg1);
		return;
	case ETA_DB_TAKE: accept_take(d, b->idx, s, b->ring, b->db.arg0); return;
	case ETA_DB_SUBSCRIBE: subscribe(d, b); return;
	case ETA_DB_UNSUBSCRIBE: unsubscribe(d, b); return;
	case ETA_DB_DETACH: doorbell_op(d, b, op); return;
	case ETA_DB_CLOSE:
	case ETA_DB_ABORT: doorbell_close(d, b->idx); return;
	case ETA_DB_PARAM: doorbell_op(d, b, op); return;
	case ETA_DB_INFO: info_answer(d, b); return;
	case ETA_DB_DATA:
	case ETA_DB_CONNECT:
	case ETA_DB_ACCEPTED:
	case ETA_DB_SHUT_WR:
	case ETA_DB_OP_N: return;
	}
}

/* ---- connections ---- */

void doorbell_close(struct dti *d, uint32_t idx)
{
	struct dti_ctx *c = &d->ctx[idx];

	if (c->flags & DTI_CTX_CLOSING)
		return;
	accept_done(d, idx);
	if (c->flags & DTI_CTX_MASTER) {
		accept_unlisten(d, idx);
		dti_unbind(d, idx);
		return;
	}
	c->flags |= DTI_CTX_CLOSING;
	if (c->flags & DTI_CTX_TCP_USED)
		tcp_close(d->tcp, dti_env(d), &d->tcp->ctx[idx], d->now_us);
	/* nothing will be read: what arrived, or still arrives, is answered by RST */
	place_drop_all(d, c);
	event_mark(d, idx, 0);
}

void doorbell_abort(struct dti *d, uint32_t idx)
{
	struct dti_ctx *c = &d->ctx[idx];

	if (c->flags & DTI_CTX_MASTER) {
		doorbell_close(d, idx);
		return;
	}
	accept_done(d, idx);
	c->flags |= DTI_CTX_CLOSING;
	if (c->flags & DTI_CTX_TCP_USED)
		tcp_abort(d->tcp, dti_env(d), &d->tcp->ctx[idx], ETA_STATUS_ABORTED);
	event_mark(d, idx, 0);
}

static void shut_wr(struct dti *d, const struct doorbell *b)
{
	struct dti_ctx *c = &d->ctx[b->idx];

	if (c->flags & DTI_CTX_SHUT)
		return;
	if (b->db.arg0 != c->snd_tail) {
		uint32_t wants = eta_load_acquire_u32(&b->al->wants);
		uint32_t at = eta_load_relaxed_u32(&b->al->shut_at);

		if (!(wants & ETA_WANT_SHUT_WR) || at != c->snd_tail) {
			dti_kill(d, b->idx);
			return;
		}
	}
	c->flags |= DTI_CTX_SHUT;
	if (c->flags & DTI_CTX_TCP_USED)
		tcp_shut_wr(d->tcp, dti_env(d), &d->tcp->ctx[b->idx], d->now_us);
}

static void param_change(struct dti *d, const struct doorbell *b)
{
	uint32_t seq = eta_load_acquire_u32(&b->al->param_seq);
	struct dti_ctx *c = &d->ctx[b->idx];
	struct tcp_param param;
	struct eta_dti_al line1;

	dti_read_param(b->al, &line1);
	dti_apply_param(d, c, &line1, &param);
	if (c->flags & DTI_CTX_TCP_USED)
		tcp_param(d->tcp, dti_env(d), &d->tcp->ctx[b->idx], &param, d->now_us);
	event_write_mss(d, b->idx);
	eta_store_release_u32(&b->en->param_seen, seq);
	event_mark(d, b->idx, 0);
}

/* LINGER0 of the record decides what CLOSE means. */
static void close_or_abort(struct dti *d, const struct doorbell *b)
{
	struct eta_dti_al line1;

	dti_read_param(b->al, &line1);
	if (line1.opt & ETA_OPT_LINGER0)
		doorbell_abort(d, b->idx);
	else
		doorbell_close(d, b->idx);
}

static void detach(struct dti *d, const struct doorbell *b)
{
	const struct session *s = &d->session[d->ring[b->ring].session];

	for (uint16_t r = s->ring_first; r != 0; r = d->ring[r].next)
		event_unsubscribe(d, b->idx, r);
	if ((d->ctx[b->idx].flags & DTI_CTX_MASTER))
		accept_withdraw(d, b->idx, &d->session[s->idx]);
}

void doorbell_op(struct dti *d, struct doorbell *b, unsigned int op)
{
	switch ((enum eta_doorbell_op)op) {
	case ETA_DB_ACCEPTED:
		subscribe(d, b);
		param_change(d, b);
		return;
	case ETA_DB_SHUT_WR: shut_wr(d, b); return;
	case ETA_DB_CLOSE: close_or_abort(d, b); return;
	case ETA_DB_ABORT: doorbell_abort(d, b->idx); return;
	case ETA_DB_PARAM: param_change(d, b); return;
	case ETA_DB_INFO: info_answer(d, b); return;
	case ETA_DB_SUBSCRIBE: subscribe(d, b); return;
	case ETA_DB_UNSUBSCRIBE: unsubscribe(d, b); return;
	case ETA_DB_DETACH: detach(d, b); return;
	case ETA_DB_TAKE: /* of a DTI that does not listen (any more) */
	case ETA_DB_DATA:
	case ETA_DB_CONNECT:
	case ETA_DB_CHILD:
	case ETA_DB_OP_N: return;
	}
}
