/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Received bytes: the receive half of the stream of chunks. See the header.
 *
 * The metas lie in memory that only the engine writes, and are checked all the same: a chunk must be one of ours before its number
 * becomes an address.
 */
#include "engine/dti/place.h"

#include <string.h>

#include <rte_common.h>

#include "engine/dti/dti.h"
#include "engine/dti/xlate.h"
#include "engine/tcp/tcp.h"

#define PLACE_SKEWS 32u /* of a cache line each: less than half of the smallest chunk */
#define SWEEP_US 1000000u
#define BULK_BYTES (32u << 10) /* a connection that holds this much gets large chunks */
#define SOME_BYTES (4u << 10)
#define RING_SHARE 4u /* AL owes a doorbell after a quarter of the buffer */
#define KIB 1024u

/* @bytes: receives where the chunk's bytes lie. */
static inline struct eta_chunk_meta *rcv_chunk(
		const struct dti *d, const struct dti_ctx *c, uint32_t chunk, uint8_t **bytes)
{
	const struct dti_seg *g = xlate_seg(d, &d->session[c->session], chunk, ETA_SEG_EN);
	struct eta_chunk_meta *m;

	if (!g)
		return NULL;
	m = xlate_meta_in(g, chunk);
	if (m->dti != c->dti || m->gen != c->gen)
		return NULL;
	*bytes = xlate_bytes_in(g, chunk, m->order);
	return *bytes ? m : NULL;
}

static struct eta_chunk_meta *rcv_meta(const struct dti *d, const struct dti_ctx *c, uint32_t chunk)
{
	uint8_t *bytes;

	return rcv_chunk(d, c, chunk, &bytes);
}

static void sweep_enter(struct dti *d, struct dti_ctx *c)
{
	uint32_t idx = (uint32_t)(c - d->ctx);

	if (c->flags & DTI_CTX_SWEPT)
		return;
	c->flags |= DTI_CTX_SWEPT;
	c->sweep_next = 0;
	if (d->sweep_new_tail != 0)
		d->ctx[d->sweep_new_tail].sweep_next = idx;
	else
		d->sweep_new_head = idx;
	d->sweep_new_tail = idx;
}

/* ---- the chain ---- */

/* Take a chunk of @order or the next smaller that is to be had. */
static uint32_t chunk_take(struct dti *d, struct session *s, uint32_t *order)
{
	for (;;) {
		uint32_t chunk = session_page_alloc(d, s, *order);

		if (chunk != ETA_CHUNK_NONE || *order == ETA_CHUNK_ORDER_SMALL)
			return chunk;
		*order = *order == ETA_CHUNK_ORDER_LARGE ? ETA_CHUNK_ORDER_MEDIUM
							 : ETA_CHUNK_ORDER_SMALL;
	}
}

/* Append a chunk that covers from @off on. */
static bool chain_append(struct dti *d, struct dti_ctx *c, uint32_t off, uint32_t order)
{
	struct session *s = &d->session[c->session];
	struct eta_dti_en *en = dti_en(d, c);
	uint32_t chunk = en ? chunk_take(d, s, &order) : ETA_CHUNK_NONE;
	struct eta_chunk_meta *meta, *last;

	meta = chunk != ETA_CHUNK_NONE ? xlate_meta(d, s, chunk, ETA_SEG_EN) : NULL;
	if (!meta)
		return false;
	meta->off = off;
	meta->gen = c->gen;
	meta->order = (uint8_t)order;
	eta_store_relaxed_u32(&meta->next, ETA_CHUNK_NONE);
	eta_store_release_u32(&meta->dti, c->dti);
	if (c->rcv_last == ETA_CHUNK_NONE) {
		c->rcv_chunk = c->rcv_cur = chunk;
		eta_store_release_u32(&en->chunk, chunk);
		sweep_enter(d, c);
	} else {
		last = rcv_meta(d, c, c->rcv_last);
		if (last)
			eta_store_release_u32(&last->next, chunk);
	}
	c->rcv_last = chunk;
	return true;
}

/* Free the oldest chunk @meta. */
static void chain_pop(struct dti *d, struct dti_ctx *c, struct eta_chunk_meta *meta)
{
	struct session *s = &d->session[c->session];
	struct eta_dti_en *en = dti_en(d, c);
	uint32_t chunk = c->rcv_chunk;
	uint32_t next = meta->next;

	if (chunk == c->rcv_last)
		next = ETA_CHUNK_NONE;
	if (en)
		eta_store_release_u32(&en->chunk, next);
	eta_store_release_u32(&meta->dti, ETA_DTI_NONE);
	session_page_free(d, s, chunk, meta->order);
	if (c->rcv_cur == chunk)
		c->rcv_cur = next;
	c->rcv_chunk = next;
	if (next == ETA_CHUNK_NONE)
		c->rcv_last = c->rcv_cur = ETA_CHUNK_NONE;
}

/* How large should the next chunk be, when @bytes of the stream are to be held? */
static uint32_t order_for(uint32_t bytes, uint32_t want)
{
	if (bytes > BULK_BYTES || want >= 2 * PLACE_RCV_BYTES_FIRST)
		return ETA_CHUNK_ORDER_LARGE;
	return bytes > SOME_BYTES ? ETA_CHUNK_ORDER_MEDIUM : ETA_CHUNK_ORDER_SMALL;
}

/*
 * The first byte of a chain lies some lines into its chunk, different for each DTI: pages that all begin to be used at their start compete for
 * the same few sets of the caches.
 */
static uint32_t chain_skew(const struct dti_ctx *c)
{
	return c->dti % PLACE_SKEWS * ETA_CACHELINE;
}

/* The chain shall reach up to @upto. Return: how far it does. */
static uint32_t chain_extend(struct dti *d, struct dti_ctx *c, uint32_t upto, uint32_t want)
{
	uint32_t end = c->rcv_head; /* no chain: nothing is kept */
	uint32_t off = end - chain_skew(c);

	for (;;) {
		if (c->rcv_last != ETA_CHUNK_NONE) {
			const struct eta_chunk_meta *last = rcv_meta(d, c, c->rcv_last);

			if (!last) {
				dti_kill(d, (uint32_t)(c - d->ctx));
				return c->rcv_head;
			}
			off = end = last->off + ETA_CHUNK_BYTES(last->order);
		}
		if (!eta_counter_after(upto, end))
			return end;
		if (!chain_append(d, c, off, order_for(upto - c->rcv_head, want)))
			return end;
	}
}

/* Copy to [@off, @off + @len), which the chain covers. Return: bytes stored from the front. */
static uint32_t chain_write(
		struct dti *d, struct dti_ctx *c, uint32_t off, const uint8_t *data, uint32_t len)
{
	const struct session *s = &d->session[c->session];
	struct eta_chunk_meta *m = c->rcv_cur != ETA_CHUNK_NONE ? rcv_meta(d, c, c->rcv_cur) : NULL;
	uint32_t chunk = c->rcv_cur;
	uint32_t done = 0;

	if (!m || eta_counter_after(m->off, off)) {
		chunk = c->rcv_chunk;
		m = rcv_meta(d, c, chunk);
	}
	for (uint32_t step = 0; m && done < len && step < ETA_STREAM_CHUNKS_MAX; step++) {
		uint32_t size = ETA_CHUNK_BYTES(m->order);
		uint32_t at = off + done - m->off;

		if (at < size) {
			uint32_t n = RTE_MIN(size - at, len - done);

			memcpy(xlate_bytes(d, s, chunk, m->order, ETA_SEG_EN) + at, data + done, n);
			done += n;
			c->rcv_cur = chunk;
			continue;
		}
		chunk = m->next;
		m = chunk == ETA_CHUNK_NONE ? NULL : rcv_meta(d, c, chunk);
	}
	return done;
}

/* Copy to [@off, @off + @len) if all of it lies in the chunk that took the last bytes. */
static inline bool chunk_write(const struct dti *d, const struct dti_ctx *c, uint32_t off,
		const uint8_t *data, uint32_t len)
{
	const struct eta_chunk_meta *m;
	uint32_t at, size;
	uint8_t *bytes;

	/* ETA_CHUNK_NONE lies in no segment */
	m = rcv_chunk(d, c, c->rcv_cur, &bytes);
	if (!m)
		return false;
	at = off - m->off;
	size = ETA_CHUNK_BYTES(m->order);
	if (at >= size || len > size - at)
		return false;
	memcpy(bytes + at, data, len);
	return true;
}

/* ---- for TCP ---- */

static uint32_t stage_write(
		struct dti *d, struct dti_ctx *c, uint32_t off, const uint8_t *data, uint32_t len)
{
	if (c->stage == 0) {
		if (d->stage_free == 0)
			return 0;
		c->stage = d->stage_free;
		memcpy(&d->stage_free, d->stage[c->stage], sizeof(d->stage_free));
	}
	if (off >= STAGE_BYTES)
		return 0;
	len = RTE_MIN(len, STAGE_BYTES - off);
	memcpy(d->stage[c->stage] + off, data, len);
	return len;
}

/* AL's word on what it has consumed, if it is possible. */
static void reclaim(struct dti *d, struct dti_ctx *c)
{
	const struct eta_dti_al *al = dti_al(d, c);
	uint32_t head;

	if (!al)
		return;
	head = eta_load_acquire_u32(&al->rcv_head);
	if (head != c->rcv_head && head - c->rcv_head <= c->rcv_tail - c->rcv_head)
		place_consumed(d, c, head);
}

uint32_t tcp_up_place(struct core *env, struct tcp_ctx *ctx, uint32_t off, const uint8_t *data,
		uint32_t len)
{
	struct dti *d = dti_of(env);
	struct dti_ctx *c = &d->ctx[ctx->idx];
	uint32_t want = tcp_rcv_want_bytes(ctx);
	uint32_t end, n;

	if (c->flags & DTI_CTX_WAITING) {
		n = stage_write(d, c, off, data, len);
		if (n < len)
			d->stats.place_unbound++;
		return n;
	}
	if (!(c->flags & DTI_CTX_BOUND) || (c->flags & (DTI_CTX_CLOSING | DTI_CTX_KILL)) ||
			off + len - c->rcv_head > ETA_STREAM_BYTES_MAX)
		return 0;
	c->flags |= DTI_CTX_ACTIVE;
	if (ETA_LIKELY(chunk_write(d, c, off, data, len))) {
		d->stats.place_bytes += len;
		return len;
	}
	end = chain_extend(d, c, off + len, want);
	if (eta_counter_after(off + len, end)) {
		reclaim(d, c);
		end = chain_extend(d, c, off + len, want);
		if (eta_counter_after(off + len, end)) {
			session_want_seg(d, &d->session[c->session]);
			d->stats.place_no_memory++;
			if (!eta_counter_after(end, off))
				return 0;
			len = end - off;
		}
	}
	n = chain_write(d, c, off, data, len);
	d->stats.place_bytes += n;
	return n;
}

static inline uint32_t limit_bytes(const struct dti *d, uint32_t ctx_idx)
{
	const struct dti_ctx *c = &d->ctx[ctx_idx];

	if (c->rcvbuf_kib != 0)
		return c->rcvbuf_kib * KIB;
	return RTE_MIN(RTE_MAX(PLACE_RCV_BYTES_FIRST, tcp_rcv_want_bytes(&d->tcp->ctx[ctx_idx])),
			d->rcv_bytes_max);
}

uint32_t place_limit_bytes(const struct dti *d, uint32_t ctx_idx)
{
	return limit_bytes(d, ctx_idx);
}

uint32_t tcp_up_rcv_space(struct core *env, struct tcp_ctx *ctx)
{
	struct dti *d = dti_of(env);
	struct dti_ctx *c = &d->ctx[ctx->idx];
	uint32_t unread, limit, space;
	struct session *s;
	uint64_t room;

	if (c->flags & DTI_CTX_WAITING)
		return c->rcv_tail < STAGE_BYTES ? STAGE_BYTES - c->rcv_tail : 0;
	if (!(c->flags & DTI_CTX_BOUND))
		return PLACE_RCV_BYTES_FIRST;
	limit = limit_bytes(d, ctx->idx);
	/* while SYN-SENT there is no receive stream yet */
	unread = ctx->state == TCP_STATE_SYN_SENT ? 0 : tcp_rcv_tail_off(ctx) - c->rcv_head;
	space = limit > unread ? limit - unread : 0;
	s = &d->session[c->session];
	room = session_rcv_free_bytes(s);
	if (room < (uint64_t)s->rcv_pages_all * (ETA_PAGE_BYTES / 4)) {
		session_want_seg(d, s);
		/* what is left is promised no more than once to everybody */
		if (space > room / 2 + ETA_PAGE_BYTES)
			space = (uint32_t)(room / 2 + ETA_PAGE_BYTES);
	}
	return space;
}

/* ---- for the reader ---- */

/* Free the chunks that are read through. */
static __attribute__((noinline)) void chain_shorten(
		struct dti *d, struct dti_ctx *c, uint32_t rcv_head)
{
	while (c->rcv_chunk != ETA_CHUNK_NONE) {
		struct eta_chunk_meta *m = rcv_meta(d, c, c->rcv_chunk);

		if (!m) {
			dti_kill(d, (uint32_t)(c - d->ctx));
			return;
		}
		if (eta_counter_after(m->off + ETA_CHUNK_BYTES(m->order), rcv_head))
			return;
		chain_pop(d, c, m);
	}
}

void place_consumed(struct dti *d, struct dti_ctx *c, uint32_t rcv_head)
{
	const struct eta_chunk_meta *m;
	uint8_t *bytes;

	c->rcv_head = rcv_head;
	if (c->rcv_chunk == ETA_CHUNK_NONE)
		return;
	m = rcv_chunk(d, c, c->rcv_chunk, &bytes);
	if (m && eta_counter_after(m->off + ETA_CHUNK_BYTES(m->order), rcv_head))
		return;
	chain_shorten(d, c, rcv_head);
}

void place_drop_all(struct dti *d, struct dti_ctx *c)
{
	if (c->flags & DTI_CTX_WAITING) {
		if (c->stage != 0) {
			memcpy(d->stage[c->stage], &d->stage_free, sizeof(d->stage_free));
			d->stage_free = c->stage;
			c->stage = 0;
		}
		return;
	}
	if (!(c->flags & DTI_CTX_BOUND))
		return;
	for (uint32_t i = 0; c->rcv_chunk != ETA_CHUNK_NONE && i < ETA_STREAM_CHUNKS_MAX; i++) {
		struct eta_chunk_meta *m = rcv_meta(d, c, c->rcv_chunk);

		if (!m)
			break;
		chain_pop(d, c, m);
	}
	c->rcv_chunk = c->rcv_last = c->rcv_cur = ETA_CHUNK_NONE;
}

void place_update_ring_at(struct dti *d, uint32_t ctx_idx, struct eta_dti_en *en)
{
	const struct dti_ctx *c = &d->ctx[ctx_idx];
	uint32_t at = c->rcv_head + RTE_MAX(limit_bytes(d, ctx_idx) / RING_SHARE, 1u);

	if (eta_counter_after(at, en->ring_at))
		eta_store_release_u32(&en->ring_at, at);
}

/* ---- moving ---- */

/* Copy what @from holds, chunk by chunk, into the new chain of @c. */
static bool move_copy(struct dti *d, struct dti_ctx *c, const struct dti_ctx *from)
{
	uint32_t chunk = from->rcv_chunk;

	for (uint32_t i = 0; chunk != ETA_CHUNK_NONE && i < ETA_STREAM_CHUNKS_MAX; i++) {
		const struct eta_chunk_meta *m = rcv_meta(d, from, chunk);
		uint32_t size;

		if (!m)
			return false;
		size = ETA_CHUNK_BYTES(m->order);
		if (!eta_counter_after(chain_extend(d, c, m->off + size, size), m->off + size - 1))
			return false;
		chain_write(d, c, m->off,
				xlate_bytes(d, &d->session[from->session], chunk, m->order,
						ETA_SEG_EN),
				size);
		chunk = m->next;
	}
	return true;
}

static bool move_to_stage(struct dti *d, struct dti_ctx *c, const struct dti_ctx *from)
{
	const struct eta_chunk_meta *m;
	uint32_t n;

	c->stage = 0;
	if (from->rcv_tail > STAGE_BYTES)
		return false;
	if (from->rcv_chunk == ETA_CHUNK_NONE)
		return true;
	m = rcv_meta(d, from, from->rcv_chunk);
	if (!m || m->off != 0)
		return false;
	n = RTE_MIN(ETA_CHUNK_BYTES(m->order), STAGE_BYTES);
	return stage_write(d, c, 0,
			       xlate_bytes(d, &d->session[from->session], from->rcv_chunk, m->order,
					       ETA_SEG_EN),
			       n) == n;
}

/* Bytes of the stage of @from, which is context @idx, that count. */
static uint32_t stage_used(const struct dti *d, const struct dti_ctx *from, uint32_t idx)
{
	const struct tcp_ctx *t = &d->tcp->ctx[idx];

	if (from->stage == 0)
		return 0;
	/* out-of-order bytes may lie anywhere behind those in order */
	return t->ooo_ext != 0 ? STAGE_BYTES : RTE_MIN(tcp_rcv_tail_off(t), STAGE_BYTES);
}

bool place_fits(const struct dti *d, uint32_t idx, const struct session *s)
{
	uint32_t n = stage_used(d, &d->ctx[idx], idx);
	uint32_t skew = (PLACE_SKEWS - 1) *
			ETA_CACHELINE; /* which DTI it will be is not known yet */

	return n == 0 || session_rcv_free_bytes(s) >= RTE_ALIGN_CEIL(n + skew, ETA_PAGE_BYTES);
}

bool place_move(struct dti *d, struct dti_ctx *from, struct dti_ctx *c)
{
	if (c->flags & DTI_CTX_WAITING)
		return move_to_stage(d, c, from);
	if (from->flags & DTI_CTX_WAITING) {
		uint32_t n = stage_used(d, from, (uint32_t)(c - d->ctx));

		if (n == 0)
			return true;
		return !eta_counter_after(n, chain_extend(d, c, n, 0)) &&
		       chain_write(d, c, 0, d->stage[from->stage], n) == n;
	}
	return move_copy(d, c, from);
}

/* ---- idle connections ---- */

static void sweep_one(struct dti *d, uint32_t idx)
{
	struct dti_ctx *c = &d->ctx[idx];

	c->flags &= ~DTI_CTX_SWEPT;
	if (!(c->flags & DTI_CTX_BOUND) || c->rcv_chunk == ETA_CHUNK_NONE) {
		dti_slot_put(d, idx);
		return;
	}
	if (!(c->flags & DTI_CTX_ACTIVE)) {
		reclaim(d, c);
		/* a drained chain: its last chunk is partly used, or holds bytes out of order */
		if (c->rcv_head == c->rcv_tail && d->tcp->ctx[idx].ooo_ext == 0) {
			d->stats.chunk_idle++;
			place_drop_all(d, c);
			return;
		}
	}
	c->flags &= ~DTI_CTX_ACTIVE;
	if (c->rcv_chunk != ETA_CHUNK_NONE)
		sweep_enter(d, c);
}

uint32_t place_sweep(struct dti *d, uint32_t budget)
{
	uint32_t n = 0;

	if (d->sweep_old_head == 0 && d->sweep_new_head != 0 &&
			d->now_us - d->sweep_us >= SWEEP_US) {
		d->sweep_us = d->now_us;
		d->sweep_old_head = d->sweep_new_head;
		d->sweep_new_head = d->sweep_new_tail = 0;
	}
	while (d->sweep_old_head != 0 && n < budget) {
		uint32_t idx = d->sweep_old_head;

		d->sweep_old_head = d->ctx[idx].sweep_next;
		sweep_one(d, idx);
		n++;
	}
	return n;
}
