/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Send chunks: page runs of the AL segments, claimed by bitmap.
 *
 * The bitmap lies in the segment because forked siblings allocate from the same one: a run is claimed by one compare-exchange on its 64-bit
 * word, so no process can leave it half claimed. Before it stands a small stack per thread and order (last in, first out: the next
 * chunk is the one still in cache). Memory short: acknowledged chunks of all conns are swept, then KA is asked for a segment, then a
 * smaller chunk is tried.
 *
 * A sibling can scribble the bitmap: then two connections of the same family share a page. It cannot make AL leave the segment.
 */
#include "al/core/al.h"

#define SWEEP_N 4096u /* conns looked at in one go */
#define GROW_AGAIN_MS \
	100u /* after a refusal: memory may have come back, and asking costs a round trip to KA */

static const uint8_t order_of[AL_ORDERS_N] = {
		ETA_CHUNK_ORDER_SMALL, ETA_CHUNK_ORDER_MEDIUM, ETA_CHUNK_ORDER_LARGE};

/* Claim an aligned run of 1 << @order zero bits in @word. Return: its first bit, or -1. */
static int claim(uint64_t *word, uint32_t order, uint32_t bits)
{
	uint64_t run = (1ull << (1u << order)) - 1;
	uint64_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);

	for (uint32_t at = 0; at + (1u << order) <= bits;) {
		if (seen & (run << at)) {
			at += 1u << order;
			continue;
		}
		if (__atomic_compare_exchange_n(word, &seen, seen | (run << at), false,
				    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return (int)at;
	}
	return -1;
}

static uint32_t take_from(const struct al_seg *seg, uint32_t n, uint32_t order)
{
	for (uint32_t w = 0; w * 64 < seg->chunk_pages; w++) {
		uint32_t left = seg->chunk_pages - w * 64;
		int bit = claim(&seg->map[w], order, left < 64 ? left : 64);

		if (bit >= 0)
			return ETA_CHUNK_MAKE(n, w * 64 + (uint32_t)bit);
	}
	return ETA_CHUNK_NONE;
}

static uint32_t take_any(struct al_session *s, uint32_t order)
{
	uint32_t segs_n = __atomic_load_n(&s->segs_n, __ATOMIC_ACQUIRE);
	uint32_t first = al_get(&s->alloc_seg);

	for (uint32_t k = 0; k < segs_n; k++) {
		uint32_t n = first + k < segs_n ? first + k : first + k - segs_n;
		const struct al_seg *seg = &s->seg[n & 0xffu];
		uint32_t chunk;

		if (!__atomic_load_n(&seg->base, __ATOMIC_ACQUIRE) || seg->kind != ETA_SEG_AL)
			continue;
		chunk = take_from(seg, n, order);
		if (chunk != ETA_CHUNK_NONE) {
			al_put(&s->alloc_seg, n);
			return chunk;
		}
	}
	return ETA_CHUNK_NONE;
}

static uint32_t cache_take(struct al_thread *t, uint32_t i)
{
	return t && t->cache_n[i] ? t->cache[i][--t->cache_n[i]] : ETA_CHUNK_NONE;
}

static uint32_t take(struct al_session *s, uint32_t i)
{
	uint32_t chunk = s->owner == 0 ? cache_take(al_self, i) : ETA_CHUNK_NONE;

	return chunk != ETA_CHUNK_NONE ? chunk : take_any(s, order_of[i]);
}

static bool may_grow(const struct al_session *s)
{
	return !s->grow_refused_tsc ||
	       al_tsc() - s->grow_refused_tsc > al_root.tsc_hz / 1000 * GROW_AGAIN_MS;
}

uint32_t al_chunk_take(struct al_session *s, uint32_t *order)
{
	uint32_t top = *order == ETA_CHUNK_ORDER_LARGE    ? 2
		       : *order == ETA_CHUNK_ORDER_MEDIUM ? 1
							  : 0;
	uint32_t chunk = take(s, top);

	*order = order_of[top];
	if (ETA_LIKELY(chunk != ETA_CHUNK_NONE))
		return chunk;
	al_sweep();
	chunk = take(s, top);
	if (chunk == ETA_CHUNK_NONE && may_grow(s)) {
		if (al_seg_grow(s, ETA_GROW_SEND) == 0) {
			s->grow_refused_tsc = 0;
			chunk = take(s, top);
		} else {
			s->grow_refused_tsc = al_tsc() | 1;
		}
	}
	for (uint32_t i = top; chunk == ETA_CHUNK_NONE && i-- > 0;) {
		*order = order_of[i];
		chunk = take(s, i);
	}
	return chunk;
}

static void give_back(struct al_session *s, uint32_t chunk, uint32_t order)
{
	struct al_seg *seg = al_seg(s, ETA_CHUNK_SEG(chunk));
	uint32_t page = ETA_CHUNK_PAGE(chunk);

	if (seg && page < seg->chunk_pages)
		__atomic_and_fetch(&seg->map[page / 64],
				~(((1ull << (1u << order)) - 1) << (page % 64)), __ATOMIC_RELEASE);
}

void al_chunk_give(struct al_session *s, uint32_t chunk, uint32_t order)
{
	struct al_thread *t = al_self;
	uint32_t i = order == ETA_CHUNK_ORDER_LARGE ? 2 : order == ETA_CHUNK_ORDER_MEDIUM ? 1 : 0;

	if (s->owner == 0 && t && t->cache_n[i] < AL_CACHE_N)
		t->cache[i][t->cache_n[i]++] = chunk;
	else
		give_back(s, chunk, order);
}

void al_cache_flush(struct al_thread *t)
{
	struct al_session *s = &al_root.session[al_root.own_slot];

	for (uint32_t i = 0; i < AL_ORDERS_N; i++)
		while (t->cache_n[i])
			give_back(s, t->cache[i][--t->cache_n[i]], order_of[i]);
}

void al_sweep(void)
{
	uint32_t ref, next, left = SWEEP_N;

	al_root.swept_tsc = al_tsc();
	al_lock_take(&al_root.dti_lock);
	for (ref = al_root.sweep_list.first; ref != AL_IDX_NONE && left; ref = next, left--) {
		struct al_conn *conn = al_conn_at(ref);

		next = conn->next;
		if (!al_lock_try(&conn->snd_busy))
			continue;
		/* Shared conns are freed by whoever sends on them: their lock may be held elsewhere. */
		if (!al_flag(conn, AL_CONN_SHARED) && !al_flag(conn, AL_CONN_MASTER)) {
			al_conn_refresh(conn);
			al_snd_free(conn, true);
			if (eta_load_relaxed_u32(&conn->al->chunk) == ETA_CHUNK_NONE)
				al_list_remove(conn);
		}
		al_lock_drop(&conn->snd_busy);
	}
	al_lock_drop(&al_root.dti_lock);
}
