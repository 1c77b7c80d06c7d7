/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Doorbells: from ring entries to calls of TCP. See the header.
 */
#include "engine/dti/doorbell.h"

#include <string.h>

#include <rte_common.h>
#include <rte_prefetch.h>

#include "engine/dti/doorbell_op.h"
#include "engine/dti/dti.h"
#include "engine/dti/dti_up.h"
#include "engine/tcp/tcp.h"

/* ---- which rings to look at ---- */

/* Sessions with polled rings form a circle through poll_next; d->poll_at is the one whose turn it is. */
static void session_poll(struct dti *d, struct session *s)
{
	if (s->poll_next != 0)
		return;
	if (d->poll_at == 0) {
		s->poll_next = s->idx;
		d->poll_at = s->idx;
		return;
	}
	s->poll_next = d->session[d->poll_at].poll_next;
	d->session[d->poll_at].poll_next = s->idx;
}

static void session_unpoll(struct dti *d, struct session *s)
{
	uint16_t prev = s->poll_next;

	if (prev == 0)
		return;
	while (d->session[prev].poll_next != s->idx)
		prev = d->session[prev].poll_next;
	d->session[prev].poll_next = s->poll_next;
	if (d->poll_at == s->idx)
		d->poll_at = prev == s->idx ? 0 : prev;
	s->poll_next = 0;
}

static struct eta_doorbell_credit *credit_of(const struct dti_ring *r)
{
	return (struct eta_doorbell_credit *)(void *)r->db.credit;
}

void doorbell_poll(struct dti *d, struct dti_ring *r)
{
	struct session *s = &d->session[r->session];

	if (r->is_polled)
		return;
	r->is_polled = true;
	r->used_us = d->now_us;
	eta_store_release_u32(&credit_of(r)->polled, 1);
	s->ring_polled_n++;
	session_poll(d, s);
}

void doorbell_unpoll(struct dti *d, struct dti_ring *r, bool is_dormant)
{
	struct session *s = &d->session[r->session];

	if (r->is_dormant && !is_dormant) {
		r->is_dormant = false;
		d->dormant_n--;
	}
	if (!r->is_polled)
		return;
	r->is_polled = false;
	eta_store_relaxed_u32(&credit_of(r)->nap, ++r->nap);
	eta_store_release_u32(&credit_of(r)->polled, 0);
	if (--s->ring_polled_n == 0)
		session_unpoll(d, s);
	if (is_dormant) {
		r->is_dormant = true;
		d->dormant_n++;
	}
}

void doorbell_kick(struct dti *d, struct session *s)
{
	for (uint16_t i = s->ring_first; i != 0; i = d->ring[i].next) {
		struct dti_ring *r = &d->ring[i];

		if (!r->is_dormant)
			continue;
		r->is_dormant = false;
		d->dormant_n--;
		d->stats.ring_kicked++;
		d->is_unfinished = true; /* drained in the next turn */
		doorbell_poll(d, r);
	}
}

uint32_t doorbell_sweep_idle(struct dti *d)
{
	uint32_t n = 0;

	if (d->now_us - d->ring_sweep_us < DOORBELL_IDLE_US)
		return 0;
	d->ring_sweep_us = d->now_us;
	for (uint32_t i = 1; i < d->ring_n; i++) {
		struct dti_ring *r = &d->ring[i];

		if (r->session == 0 || !r->is_polled || d->session[r->session].kick_fd < 0 ||
				d->now_us - r->used_us < DOORBELL_IDLE_US || eta_ring_ready(&r->db))
			continue;
		doorbell_unpoll(d, r, true);
		n++;
	}
	if (n == 0)
		return 0;
	d->stats.ring_dormant += n;
	/* polled = 0; fence; look once more (dti.h, SLEEPING) */
	dti_up_barrier(dti_env(d));
	for (uint32_t i = 1; i < d->ring_n; i++) {
		struct dti_ring *r = &d->ring[i];

		if (r->is_dormant && eta_ring_ready(&r->db)) {
			r->is_dormant = false;
			d->dormant_n--;
			doorbell_poll(d, r);
		}
	}
	return n;
}

int doorbell_ready(const struct dti *d)
{
	uint16_t at = d->poll_at;

	if (at == 0)
		return 0;
	do {
		const struct session *s = &d->session[at];

		for (uint16_t i = s->ring_first; i != 0; i = d->ring[i].next)
			if (d->ring[i].is_polled && eta_ring_ready(&d->ring[i].db))
				return 1;
		at = s->poll_next;
	} while (at != d->poll_at);
	return 0;
}

/* ---- one entry ---- */

/* Whose DTI does @db speak of? First pass: bring its EN half nearer. */
static inline void resolve(
		struct dti *d, const struct session *ringer, uint32_t ring_idx, struct doorbell *b)
{
	const struct session *s = ringer;
	uint32_t owner = ETA_DTI_OWNER(b->db.dti);

	b->en = NULL;
	b->idx = 0;
	b->ring = (uint16_t)ring_idx;
	if (ETA_UNLIKELY(owner != 0))
		s = &d->session[owner <= ringer->inherited_n ? ringer->inherited[owner - 1] : 0];
	b->session = s->idx;
	b->dti = ETA_DTI_INDEX(b->db.dti);
	if (b->session == 0 || !session_dti(s, b->dti, &b->al, &b->en)) {
		b->en = NULL;
		return;
	}
	rte_prefetch0(b->en);
}

/* Second pass: which context? */
static void find_ctx(struct dti *d, struct doorbell *b)
{
	if (!b->en)
		return;
	b->idx = dti_lookup_hint(d, b->en);
	rte_prefetch0(&d->ctx[b->idx]);
	rte_prefetch0(&d->tcp->ctx[b->idx]);
	rte_prefetch0((const char *)&d->tcp->ctx[b->idx] + ETA_CACHELINE);
}

/*
 * Third pass: where does what AL has written since begin? The bytes come from another CPU's cache. Only a hint: nothing is checked, so that the
 * address is a number and may be any.
 */
static inline void find_bytes(
		const struct dti *d, const struct session *ringer, const struct dti_ctx *c)
{
	const struct dti_seg *g = &d->seg[ringer->seg[ETA_CHUNK_SEG(c->snd_chunk)]];
	uintptr_t at = (uintptr_t)g->base + g->chunk_off +
		       (uint64_t)ETA_CHUNK_PAGE(c->snd_chunk) * ETA_PAGE_BYTES +
		       (c->snd_tail - c->snd_off);

	rte_prefetch0((const void *)at);
	rte_prefetch0((const void *)(at + ETA_CACHELINE));
}

static bool tail_fits(const struct dti_ctx *c, uint32_t tail)
{
	return tail - c->snd_tail <= ETA_STREAM_BYTES_MAX &&
	       tail - c->snd_una <= ETA_STREAM_BYTES_MAX &&
	       (!(c->flags & DTI_CTX_SHUT) || tail == c->snd_tail);
}

static bool head_fits(const struct dti_ctx *c, uint32_t head)
{
	return head - c->rcv_head <= c->rcv_tail - c->rcv_head;
}

/*
 * A word on the newest bytes: more follows, or a record ends. Where, TCP has to know before it sends what follows; doorbells of several
 * rings may come in another order, then it is within what is queued.
 */
static ETA_COLD void write_how(
		struct dti *d, const struct doorbell *b, bool is_written, unsigned int how)
{
	struct tcp_ctx *t = &d->tcp->ctx[b->idx];
	uint32_t tail = d->ctx[b->idx].snd_tail;

	if (how & ETA_DB_EOR)
		tcp_eor(d->tcp, t, b->db.snd_tail);
	if (is_written && how & ETA_DB_MORE)
		tcp_write_more(d->tcp, dti_env(d), t, tail, d->now_us);
	else if (is_written)
		tcp_write(d->tcp, dti_env(d), t, tail, d->now_us);
}

static inline void move_tcp(struct dti *d, const struct doorbell *b, bool is_read, bool is_written,
		unsigned int how)
{
	const struct dti_ctx *c = &d->ctx[b->idx];
	struct tcp_ctx *t = &d->tcp->ctx[b->idx];

	if (is_read && is_written && !how) {
		tcp_read_write(d->tcp, dti_env(d), t, c->rcv_head, c->snd_tail, d->now_us);
		return;
	}
	if (is_read)
		tcp_read(d->tcp, dti_env(d), t, c->rcv_head, d->now_us);
	if (ETA_UNLIKELY(how))
		write_how(d, b, is_written, how);
	else if (is_written)
		tcp_write(d->tcp, dti_env(d), t, c->snd_tail, d->now_us);
}

bool doorbell_counters(struct dti *d, const struct doorbell *b, unsigned int how)
{
	struct dti_ctx *c = &d->ctx[b->idx];
	uint32_t tail = b->db.snd_tail, head = b->db.rcv_head;
	bool is_read, is_written;

	if (ETA_UNLIKELY(!tail_fits(c, tail) || !head_fits(c, head))) {
		d->stats.db_stale++;
		tail = eta_load_acquire_u32(&b->al->snd_tail);
		head = eta_load_acquire_u32(&b->al->rcv_head);
		if (!tail_fits(c, tail) || !head_fits(c, head)) {
			dti_kill(d, b->idx);
			return false;
		}
	}
	is_read = head != c->rcv_head;
	is_written = tail != c->snd_tail;
	if (is_read)
		place_consumed(d, c, head);
	c->snd_tail = tail;
	if (ETA_UNLIKELY((c->flags & (DTI_CTX_TCP_USED | DTI_CTX_CLOSING)) != DTI_CTX_TCP_USED))
		event_mark(d, b->idx, 0);
	if (c->flags & DTI_CTX_TCP_USED)
		move_tcp(d, b, is_read, is_written, how);
	/* what AL has moved itself is no event: its record follows at once */
	if (is_read)
		place_update_ring_at(d, b->idx, b->en);
	if (is_written)
		eta_store_relaxed_u32(&b->en->snd_nxt,
				tcp_snd_off(&d->tcp->ctx[b->idx], d->tcp->ctx[b->idx].snd_nxt));
	return !(c->flags & DTI_CTX_KILL);
}

/* AL writes urgent bytes with PARAM: TCP has to know where they end before it sends them. */
static void take_urgent(struct dti *d, const struct doorbell *b)
{
	const struct dti_ctx *c = &d->ctx[b->idx];
	uint32_t urg;

	if (!(c->flags & DTI_CTX_TCP_USED) || !(eta_load_acquire_u32(&b->al->wants) & ETA_WANT_URG))
		return;
	urg = eta_load_relaxed_u32(&b->al->snd_urg);
	if (urg - c->snd_una <= b->db.snd_tail - c->snd_una)
		tcp_urgent(&d->tcp->ctx[b->idx], urg);
}

/* Fourth pass: act. */
static void act(struct dti *d, struct doorbell *b)
{
	unsigned int op = b->db.op & ETA_DB_OP_MASK;
	struct dti_ctx *c;

	if (b->en)
		b->idx = dti_lookup(d, b->session, b->dti, b->db.gen, b->en);
	if (!b->en || op >= ETA_DB_OP_N) {
		d->stats.db_unknown += b->en == NULL;
		d->stats.db_bad_op += b->en != NULL;
		if (b->idx != 0)
			dti_kill(d, b->idx);
		return;
	}
	if (op == ETA_DB_CONNECT) {
		doorbell_connect(d, b);
		return;
	}
	if (b->idx == 0) {
		doorbell_without_ctx(d, b, op);
		return;
	}
	c = &d->ctx[b->idx];
	if (op == ETA_DB_CHILD || (c->flags & DTI_CTX_MASTER)) {
		doorbell_master(d, b, op);
		return;
	}
	if (c->flags & DTI_CTX_UNACCEPTED) {
		if (op != ETA_DB_ACCEPTED && b->db.snd_tail == 0 && b->db.rcv_head == 0 &&
				op == ETA_DB_DATA)
			return;
		accept_done(d, b->idx);
	}
	/* a claimed DTI that is not open yet has no counters */
	if ((c->flags & DTI_CTX_TCP_USED) || dti_is_open(d, c)) {
		if (ETA_UNLIKELY(op == ETA_DB_PARAM))
			take_urgent(d, b);
		if (!doorbell_counters(d, b, b->db.op & (ETA_DB_MORE | ETA_DB_EOR)))
			return;
		if (b->db.op & ETA_DB_WANT_WRITE) {
			c->flags |= DTI_CTX_WANT_WRITE;
			event_mark(d, b->idx, 0);
		}
	}
	if (op != ETA_DB_DATA)
		doorbell_op(d, b, op);
}

/* ---- rounds ---- */

static uint32_t ring_drain(struct dti *d, struct dti_ring *r, uint32_t max)
{
	const struct session *ringer = &d->session[r->session];
	const uint32_t ring_idx = (uint32_t)(r - d->ring);
	struct doorbell batch[DOORBELL_BATCH];
	uint32_t n = 0;

	while (n < RTE_MIN(max, DOORBELL_BATCH)) {
		uint64_t w[4];

		if (!eta_ring_pop(&r->db, w))
			break;
		memcpy(&batch[n].db, w, sizeof(w));
		resolve(d, ringer, ring_idx, &batch[n]);
		n++;
	}
	if (n == 0)
		return 0;
	r->used_us = d->now_us;
	d->stats.db_taken += n;
	for (uint32_t i = 0; i < n; i++)
		find_ctx(d, &batch[i]);
	for (uint32_t i = 0; i < n; i++)
		find_bytes(d, ringer, &d->ctx[batch[i].idx]);
	for (uint32_t i = 0; i < n; i++)
		act(d, &batch[i]);
	return n;
}

/* One session's turn: its rings in rotation, until its share is used up or they are empty. */
static uint32_t session_drain(struct dti *d, struct session *s)
{
	uint16_t i = s->ring_at != 0 ? s->ring_at : s->ring_first;
	uint32_t n = 0;

	s->deficit = DOORBELL_QUANTUM;
	for (uint32_t k = 0; k < s->ring_n && s->deficit > 0 && i != 0; k++) {
		struct dti_ring *r = &d->ring[i];

		while (r->is_polled && s->deficit > 0) {
			uint32_t got = ring_drain(d, r, (uint32_t)s->deficit);

			if (got == 0)
				break;
			s->deficit -= (int32_t)got;
			n += got;
		}
		i = r->next != 0 ? r->next : s->ring_first;
	}
	s->ring_at = i;
	return n;
}

uint32_t doorbell_drain(struct dti *d)
{
	uint16_t first = d->poll_at;
	uint32_t n = 0;

	if (first == 0)
		return 0;
	do {
		struct session *s = &d->session[d->poll_at];
		uint32_t got = session_drain(d, s);

		if (got >= DOORBELL_QUANTUM)
			d->is_unfinished = true;
		n += got;
		if (d->poll_at == 0)
			return n;
		d->poll_at = d->session[d->poll_at].poll_next;
	} while (d->poll_at != first && n < DOORBELL_BUDGET);
	return n;
}

void doorbell_drain_session(struct dti *d, struct session *s)
{
	for (uint16_t i = s->ring_first; i != 0; i = d->ring[i].next) {
		uint32_t left = d->ring[i].db.n;

		while (left > 0) {
			uint32_t got = ring_drain(d, &d->ring[i], left);

			if (got == 0)
				break;
			left -= got;
		}
	}
}
