/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions: what the admin messages of KA make of them, and their end. See the header.
 */
#include "engine/dti/session.h"

#include <string.h>

#include <rte_common.h>

#include "engine/dti/accept.h"
#include "engine/dti/doorbell.h"
#include "engine/dti/dti.h"
#include "engine/dti/dti_up.h"
#include "engine/tcp/tcp.h"

#define SEG_ASK_AGAIN_US 100000u /* KA may have refused, and have memory again */
#define REAP_PAUSE_US 10000u     /* between two visits of all contexts */

struct session *session_find(struct dti *d, uint32_t number)
{
	for (uint32_t i = 1; i < d->session_n; i++)
		if (d->session[i].state != SESSION_FREE && d->session[i].number == number)
			return &d->session[i];
	return NULL;
}

enum eta_status session_add(struct dti *d, const struct eta_admin_msg *msg)
{
	uint32_t n = msg->session_add.inherited_n;
	struct session *s = NULL;

	if (session_find(d, msg->session) || n > ETA_INHERIT_MAX)
		return ETA_STATUS_INVALID;
	for (uint32_t i = 1; i < d->session_n && !s; i++)
		if (d->session[i].state == SESSION_FREE)
			s = &d->session[i];
	if (!s)
		return ETA_STATUS_QUOTA;
	memset(s, 0, sizeof(*s));
	s->idx = (uint16_t)(s - d->session);
	s->number = msg->session;
	s->state = SESSION_LIVE;
	s->dtis_max = msg->session_add.dtis_max ? msg->session_add.dtis_max : ETA_SESSION_DTIS_MAX;
	s->rcv_bytes_max = msg->session_add.rcv_bytes_max ? msg->session_add.rcv_bytes_max
							  : UINT64_MAX;
	s->uid = msg->session_add.uid;
	s->pid = msg->session_add.pid;
	s->kick_fd = -1;
	s->inherited_n = (uint16_t)n;
	for (uint32_t i = 0; i < n; i++) {
		const struct session *parent = session_find(d, msg->session_add.inherited[i]);

		s->inherited[i] = parent ? parent->idx : 0;
	}
	return ETA_STATUS_OK;
}

/* ---- segments ---- */

static bool area_fits(uint64_t bytes, uint32_t off, uint64_t size)
{
	return off <= bytes && size <= bytes - off;
}

static bool seg_fits(const struct eta_admin_msg *m)
{
	uint64_t bytes = m->seg.bytes;
	const uint64_t half = ETA_DTI_HALF_BYTES;

	if (!m->seg.base || ((uintptr_t)m->seg.base & (ETA_CACHELINE - 1)) != 0)
		return false;
	if (m->seg.kind != ETA_SEG_AL && m->seg.kind != ETA_SEG_EN && m->seg.kind != ETA_SEG_APP)
		return false;
	if (m->seg.dti_n > ETA_SESSION_DTIS_MAX ||
			m->seg.dti_first > ETA_SESSION_DTIS_MAX - m->seg.dti_n)
		return false;
	if (m->seg.chunk_pages > ETA_CHUNK_PAGE(~0u) + 1)
		return false;
	return (m->seg.dti_off % ETA_CACHELINE) == 0 && (m->seg.meta_off % 16) == 0 &&
	       (m->seg.chunk_off % ETA_PAGE_BYTES) == 0 &&
	       area_fits(bytes, m->seg.dti_off, m->seg.dti_n * half) &&
	       area_fits(bytes, m->seg.meta_off,
			       m->seg.chunk_pages * (uint64_t)sizeof(struct eta_chunk_meta)) &&
	       area_fits(bytes, m->seg.chunk_off, m->seg.chunk_pages * (uint64_t)ETA_PAGE_BYTES);
}

static void seg_unmap(struct dti *d, struct dti_seg *g)
{
	for (uint32_t i = 0; i < SEG_MAP_BLOCKS; i++) {
		if (g->map[i] == 0)
			continue;
		d->map[g->map[i]][0] = d->map_free;
		d->map_free = g->map[i];
		g->map[i] = 0;
	}
}

/* Bitmap for the receive pages; pages beyond the end of the last block are marked used. */
static bool seg_map(struct dti *d, struct dti_seg *g)
{
	g->pages = RTE_MIN(g->chunk_pages, SEG_MAP_BLOCKS * SEG_MAP_PAGES);
	g->pages_free = g->pages;
	for (uint32_t i = 0; i * SEG_MAP_PAGES < g->pages; i++) {
		uint32_t n = RTE_MIN(g->pages - i * SEG_MAP_PAGES, SEG_MAP_PAGES);
		uint16_t b = d->map_free;

		if (b == 0)
			return false;
		d->map_free = (uint16_t)d->map[b][0];
		g->map[i] = b;
		memset(d->map[b], 0xff, sizeof(d->map[b]));
		for (uint32_t page = 0; page < n; page++)
			d->map[b][page / 64] &= ~(1ull << (page % 64));
	}
	return true;
}

/* Both halves of a range of DTIs are there: enter it. */
static void dseg_pair(struct dti *d, struct session *s, const struct dti_seg *g)
{
	struct session_dseg *ds;

	for (uint32_t i = 0; i <= ETA_SEGS_MAX; i++) {
		const struct dti_seg *o = &d->seg[s->seg[i]];

		if (s->seg[i] == 0 || o->kind == g->kind || o->dti_n != g->dti_n ||
				o->dti_first != g->dti_first ||
				(o->kind != ETA_SEG_AL && o->kind != ETA_SEG_EN))
			continue;
		if (s->dseg_n == SESSION_DSEGS_MAX)
			return;
		ds = &s->dseg[s->dseg_n++];
		ds->first = g->dti_first;
		ds->n = g->dti_n;
		if (g->kind == ETA_SEG_EN) {
			const struct dti_seg *t = o;

			o = g;
			g = t;
		}
		ds->al = (const struct eta_dti_al *)(const void *)(g->base + g->dti_off);
		ds->en = (struct eta_dti_en *)(void *)(o->base + o->dti_off);
		return;
	}
}

enum eta_status session_seg_add(struct dti *d, const struct eta_admin_msg *msg)
{
	struct session *s = session_find(d, msg->session);
	struct dti_seg *g = NULL;

	if (!s)
		return ETA_STATUS_NOT_FOUND;
	if (msg->seg.seg >= ETA_SEGS_MAX || s->seg[msg->seg.seg] != 0 || !seg_fits(msg))
		return ETA_STATUS_INVALID;
	for (uint32_t i = 1; i < d->seg_n && !g; i++)
		if (d->seg[i].kind == 0)
			g = &d->seg[i];
	if (!g)
		return ETA_STATUS_NO_MEMORY;
	memset(g, 0, sizeof(*g));
	g->base = msg->seg.base;
	g->bytes = msg->seg.bytes;
	g->seg = msg->seg.seg;
	g->session = s->idx;
	g->dti_off = msg->seg.dti_off;
	g->dti_first = msg->seg.dti_first;
	g->dti_n = msg->seg.dti_n;
	g->meta_off = msg->seg.meta_off;
	g->chunk_off = msg->seg.chunk_off;
	g->chunk_pages = msg->seg.chunk_pages;
	if (msg->seg.kind == ETA_SEG_EN) {
		if (!seg_map(d, g)) {
			seg_unmap(d, g);
			return ETA_STATUS_NO_MEMORY;
		}
		s->rcv_pages_all += g->pages;
		s->is_seg_wanted = s->is_seg_asked = false;
	}
	g->kind = msg->seg.kind;
	s->seg[g->seg] = (uint16_t)(g - d->seg);
	s->seg_hi = RTE_MAX(s->seg_hi, (uint16_t)(g->seg + 1));
	if (g->dti_n > 0 && g->kind != ETA_SEG_APP)
		dseg_pair(d, s, g);
	return ETA_STATUS_OK;
}

/* ---- receive pages ---- */

#define RCV_LOW_SHARE 4u /* low: less than this share of the pages is free */

/* A free group of 1 << @order pages, aligned, in one word. Return: first bit, or -1. */
static int word_group(uint64_t used, uint32_t order)
{
	uint64_t free = ~used;

	if (order >= ETA_CHUNK_ORDER_MEDIUM) {
		free &= free >> 1;
		free &= free >> 2;
		free &= 0x1111111111111111ull;
	}
	if (order >= ETA_CHUNK_ORDER_LARGE) {
		free &= free >> 4;
		free &= free >> 8;
		free &= 0x0001000100010001ull;
	}
	return free ? __builtin_ctzll(free) : -1;
}

static uint32_t seg_page_alloc(struct dti *d, struct dti_seg *g, uint32_t order)
{
	uint32_t words = (g->pages + 63) / 64;
	uint32_t n = 1u << order;

	for (uint32_t i = 0; i < words; i++) {
		uint32_t w = g->hint + i < words ? g->hint + i : g->hint + i - words;
		uint64_t *word = &d->map[g->map[w / SEG_MAP_WORDS]][w % SEG_MAP_WORDS];
		int bit = word_group(*word, order);

		if (bit < 0)
			continue;
		*word |= ((1ull << n) - 1) << bit;
		g->hint = w;
		g->pages_free -= n;
		return w * 64 + (uint32_t)bit;
	}
	return ETA_CHUNK_NONE;
}

/* More is asked for before what there is ends: KA and the application take their time. */
static void look_low(struct dti *d, struct session *s)
{
	if (!s->is_seg_asked && s->rcv_pages_all - s->rcv_pages < s->rcv_pages_all / RCV_LOW_SHARE)
		session_want_seg(d, s);
}

void session_want_seg(struct dti *d, struct session *s)
{
	if ((uint64_t)s->rcv_pages_all * ETA_PAGE_BYTES >= s->rcv_bytes_max)
		return; /* it has what it may use */
	d->is_seg_low |= !s->is_seg_wanted;
	s->is_seg_wanted = true;
}

bool session_seg_is_due(const struct dti *d, const struct session *s)
{
	return s->is_seg_wanted && s->state != SESSION_FREE &&
	       (!s->is_seg_asked || d->now_us - s->seg_asked_us >= SEG_ASK_AGAIN_US);
}

void session_seg_asked(const struct dti *d, struct session *s)
{
	/* whoever is still short will want again */
	s->is_seg_wanted = false;
	s->is_seg_asked = true;
	s->seg_asked_us = d->now_us;
}

uint32_t session_page_alloc(struct dti *d, struct session *s, uint32_t order)
{
	uint32_t n = 1u << order;

	if ((uint64_t)(s->rcv_pages + n) * ETA_PAGE_BYTES > s->rcv_bytes_max)
		return ETA_CHUNK_NONE;
	for (uint32_t k = 0; k < s->seg_hi; k++) {
		uint32_t i = s->en_at + k < s->seg_hi ? s->en_at + k : s->en_at + k - s->seg_hi;
		struct dti_seg *g = &d->seg[s->seg[i]];
		uint32_t page;

		if (g->kind != ETA_SEG_EN || g->pages_free < n)
			continue;
		page = seg_page_alloc(d, g, order);
		if (page == ETA_CHUNK_NONE)
			continue;
		s->en_at = (uint16_t)i;
		s->rcv_pages += n;
		d->stats.chunk_alloc++;
		look_low(d, s);
		return ETA_CHUNK_MAKE(i, page);
	}
	return ETA_CHUNK_NONE;
}

void session_page_free(struct dti *d, struct session *s, uint32_t chunk, uint32_t order)
{
	struct dti_seg *g = &d->seg[s->seg[ETA_CHUNK_SEG(chunk)]];
	uint32_t page = ETA_CHUNK_PAGE(chunk);
	uint64_t bits = ((1ull << (1u << order)) - 1) << (page % 64);
	uint32_t w = page / 64;
	uint64_t *word;

	if (g->kind != ETA_SEG_EN || page + (1u << order) > g->pages)
		return;
	word = &d->map[g->map[w / SEG_MAP_WORDS]][w % SEG_MAP_WORDS];
	if ((*word & bits) != bits)
		return;
	*word &= ~bits;
	g->hint = w;
	g->pages_free += 1u << order;
	s->rcv_pages -= 1u << order;
	d->stats.chunk_free++;
}

uint64_t session_rcv_free_bytes(const struct session *s)
{
	uint64_t in_segs = (uint64_t)(s->rcv_pages_all - s->rcv_pages) * ETA_PAGE_BYTES;
	uint64_t used = (uint64_t)s->rcv_pages * ETA_PAGE_BYTES;
	uint64_t in_quota = s->rcv_bytes_max > used ? s->rcv_bytes_max - used : 0;

	return RTE_MIN(in_segs, in_quota);
}

/* ---- rings ---- */

static const struct dti_seg *ring_area(const struct dti *d, const struct session *s, uint8_t seg,
		uint8_t kind, uint32_t off, uint64_t size)
{
	const struct dti_seg *g = &d->seg[s->seg[seg]];

	return g->kind == kind && (off % ETA_CACHELINE) == 0 && area_fits(g->bytes, off, size)
			       ? g
			       : NULL;
}

static bool entries_ok(uint32_t n)
{
	return n >= ETA_RING_ENTRIES_MIN && n <= ETA_RING_ENTRIES_MAX && (n & (n - 1)) == 0;
}

static void ring_enter(struct dti *d, struct session *s, struct dti_ring *r)
{
	uint16_t idx = (uint16_t)(r - d->ring);

	r->next = s->ring_first;
	s->ring_first = idx;
	s->ring_n++;
	s->ring[r->number] = idx;
	doorbell_poll(d, r);
}

enum eta_status session_ring_add(struct dti *d, const struct eta_admin_msg *msg)
{
	struct session *s = session_find(d, msg->session);
	const struct dti_seg *db, *db_credit, *ev, *ev_credit;
	struct dti_ring *r = NULL;

	if (!s)
		return ETA_STATUS_NOT_FOUND;
	if (s->state != SESSION_LIVE || msg->ring.ring >= SESSION_RINGS_MAX ||
			s->ring[msg->ring.ring] != 0 || !entries_ok(msg->ring.doorbell_n) ||
			!entries_ok(msg->ring.event_n))
		return ETA_STATUS_INVALID;
	db = ring_area(d, s, msg->ring.seg_al, ETA_SEG_AL, msg->ring.doorbell_off,
			msg->ring.doorbell_n * (uint64_t)sizeof(struct eta_ring_slot));
	ev = ring_area(d, s, msg->ring.seg_en, ETA_SEG_EN, msg->ring.event_off,
			msg->ring.event_n * (uint64_t)sizeof(struct eta_ring_slot));
	db_credit = ring_area(d, s, msg->ring.seg_en, ETA_SEG_EN, msg->ring.doorbell_credit_off,
			sizeof(struct eta_doorbell_credit));
	ev_credit = ring_area(d, s, msg->ring.seg_al, ETA_SEG_AL, msg->ring.event_credit_off,
			ETA_CACHELINE);
	if (!db || !ev || !db_credit || !ev_credit)
		return ETA_STATUS_INVALID;
	for (uint32_t i = 1; i < d->ring_n && !r; i++)
		if (d->ring[i].session == 0)
			r = &d->ring[i];
	if (!r)
		return ETA_STATUS_QUOTA;
	memset(r, 0, sizeof(*r));
	r->db.slots = (const struct eta_ring_slot *)(const void *)(db->base +
								   msg->ring.doorbell_off);
	r->db.credit = (struct eta_ring_credit *)(void *)(db_credit->base +
							  msg->ring.doorbell_credit_off);
	r->db.n = msg->ring.doorbell_n;
	r->ev.slots = (struct eta_ring_slot *)(void *)(ev->base + msg->ring.event_off);
	r->ev.credit = (const struct eta_ring_credit *)(const void *)(ev_credit->base +
								      msg->ring.event_credit_off);
	r->ev.n = msg->ring.event_n;
	r->session = s->idx;
	r->number = msg->ring.ring;
	r->wake_fd = msg->ring.wake_fd;
	if (s->kick_fd < 0 && msg->ring.kick_fd >= 0) {
		s->kick_fd = msg->ring.kick_fd;
		dti_up_kick_fd(dti_env(d), s->idx, s->kick_fd, true);
	}
	ring_enter(d, s, r);
	return ETA_STATUS_OK;
}

/* ---- the end ---- */

/* All doorbells are taken; nothing is rung or told any more. The records stay until no subscription names them. */
static void rings_close(struct dti *d, struct session *s)
{
	doorbell_drain_session(d, s);
	for (uint16_t i = s->ring_first; i != 0; i = d->ring[i].next) {
		doorbell_unpoll(d, &d->ring[i], false);
		event_ring_close(d, i);
	}
	if (s->kick_fd >= 0) {
		dti_up_kick_fd(dti_env(d), s->idx, s->kick_fd, false);
		s->kick_fd = -1;
	}
}

static void rings_forget(struct dti *d, struct session *s)
{
	uint16_t i = s->ring_first;

	while (i != 0) {
		uint16_t next = d->ring[i].next;

		memset(&d->ring[i], 0, sizeof(d->ring[i]));
		i = next;
	}
	s->ring_first = 0;
	s->ring_n = 0;
	memset(s->ring, 0, sizeof(s->ring));
}

enum eta_status session_end(struct dti *d, const struct eta_admin_msg *msg)
{
	struct session *s = session_find(d, msg->session);
	bool is_orphan = msg->op == ETA_ADMIN_SESSION_ORPHAN;

	if (!s)
		return ETA_STATUS_NOT_FOUND;
	if (s->state == SESSION_DYING || s->is_ending || (is_orphan && s->state != SESSION_LIVE))
		return ETA_STATUS_INVALID;
	if (s->state == SESSION_LIVE)
		rings_close(d, s);
	s->state = is_orphan ? SESSION_ORPHAN : SESSION_DYING;
	s->is_orderly = is_orphan || msg->session_add.orderly != 0;
	s->is_ending = true;
	s->is_reaped = false;
	s->reap_at = 1;
	s->reap_us = d->now_us;
	s->del_cookie = msg->cookie;
	s->del_op = msg->op;
	d->ending_n++;
	for (uint32_t i = 1; i < DTI_BINDS_MAX; i++)
		if (d->bind[i].session == s->idx)
			d->bind[i].session = 0;
	return ETA_STATUS_OK;
}

void session_hurry(struct dti *d)
{
	for (uint32_t i = 1; i < d->session_n; i++) {
		struct session *s = &d->session[i];

		if (!s->is_ending)
			continue;
		s->is_orderly = false;
		s->is_reaped = false;
		s->reap_at = 1;
	}
}

/* Subscriptions that lead to rings of @s end. */
static void reap_subs(struct dti *d, struct session *s, uint32_t idx)
{
	for (uint16_t r = s->ring_first; r != 0; r = d->ring[r].next)
		event_unsubscribe(d, idx, r);
}

/* What ends with @s at context @idx. */
static void reap_ctx(struct dti *d, struct session *s, uint32_t idx)
{
	struct dti_ctx *c = &d->ctx[idx];

	if ((c->flags & DTI_CTX_UNACCEPTED) && c->session == s->idx) {
		accept_rebind(d, idx);
		return;
	}
	if (c->flags & DTI_CTX_MASTER)
		accept_withdraw(d, idx, s);
	reap_subs(d, s, idx);
	if (!(c->flags & DTI_CTX_BOUND)) {
		if (c->session != 0)
			event_mark(d, idx, 0); /* it was kept for what was owed */
		return;
	}
	if (c->session != s->idx)
		return;
	if (s->state == SESSION_ORPHAN && (c->flags & DTI_CTX_SHARED))
		return;
	if (s->is_orderly)
		doorbell_close(d, idx);
	else
		doorbell_abort(d, idx);
}

static bool reap_is_done(const struct session *s)
{
	return s->is_reaped && (s->state == SESSION_ORPHAN || s->ctx_n == 0);
}

struct session *session_reap(struct dti *d, uint32_t slice)
{
	for (uint32_t i = 1; i < d->session_n && d->ending_n > 0; i++) {
		struct session *s = &d->session[i];

		if (!s->is_ending)
			continue;
		if (reap_is_done(s))
			return s;
		if (s->reap_at >= d->ctx_n) {
			/* some linger (FIN not acknowledged): visit again after a while */
			s->is_reaped = true;
			if (!reap_is_done(s) && d->now_us - s->reap_us >= REAP_PAUSE_US) {
				s->reap_us = d->now_us;
				s->reap_at = 1;
			}
			continue;
		}
		for (; slice > 0 && s->reap_at < d->ctx_n; slice--, s->reap_at++)
			if (d->ctx[s->reap_at].flags != 0 || d->ctx[s->reap_at].session != 0)
				reap_ctx(d, s, s->reap_at);
		if (s->reap_at >= d->ctx_n)
			s->is_reaped = true;
	}
	return NULL;
}

uint64_t session_reap_in_us(const struct dti *d)
{
	uint64_t in_us = UINT64_MAX;

	for (uint32_t i = 1; i < d->session_n && d->ending_n > 0; i++) {
		const struct session *s = &d->session[i];
		uint64_t waited_us = d->now_us - s->reap_us;

		if (!s->is_ending)
			continue;
		if (reap_is_done(s) || s->reap_at < d->ctx_n || waited_us >= REAP_PAUSE_US)
			return 0;
		in_us = RTE_MIN(in_us, REAP_PAUSE_US - waited_us);
	}
	return in_us;
}

void session_forget(struct dti *d, struct session *s)
{
	s->is_ending = false;
	d->ending_n--;
	rings_forget(d, s);
	if (s->state != SESSION_DYING)
		return;
	for (uint32_t i = 0; i <= ETA_SEGS_MAX; i++) {
		struct dti_seg *g = &d->seg[s->seg[i]];

		if (s->seg[i] == 0)
			continue;
		seg_unmap(d, g);
		memset(g, 0, sizeof(*g));
	}
	for (uint32_t i = 1; i < d->session_n; i++)
		for (uint32_t k = 0; k < d->session[i].inherited_n; k++)
			if (d->session[i].inherited[k] == s->idx)
				d->session[i].inherited[k] = 0;
	memset(s, 0, sizeof(*s));
}
