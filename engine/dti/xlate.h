/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Address translation: segment of a session + chunk -> the engine's virtual address.
 *
 * The key is the session's own segment number; a number of another session cannot be expressed. Everything that comes out of
 * shared memory passes through here before it becomes an address: segment known and of the right kind, order valid, page aligned to
 * it and the whole chunk inside the chunk area.
 *
 * Limits: registered application memory (ETA_SEG_APP) has no chunks and is not translated.
 */
#ifndef ENGINE_DTI_XLATE_H
#define ENGINE_DTI_XLATE_H

#include <stddef.h>
#include <stdint.h>

#include "engine/dti/dti.h"
#include "engine/dti/session.h"

/* The segment that @chunk names, NULL = none of that kind, or no such page in it. */
static inline const struct dti_seg *xlate_seg(
		const struct dti *d, const struct session *s, uint32_t chunk, uint8_t kind)
{
	const struct dti_seg *g = &d->seg[s->seg[ETA_CHUNK_SEG(chunk)]];

	if ((chunk >> 28) != 0 || g->kind != kind || ETA_CHUNK_PAGE(chunk) >= g->chunk_pages)
		return NULL;
	return g;
}

/* Where the meta of @chunk lies, in the segment that xlate_seg() found for it. */
static inline struct eta_chunk_meta *xlate_meta_in(const struct dti_seg *g, uint32_t chunk)
{
	return (struct eta_chunk_meta *)(void *)(g->base + g->meta_off) + ETA_CHUNK_PAGE(chunk);
}

/* Where its bytes lie there. Return: NULL as xlate_bytes(). */
static inline uint8_t *xlate_bytes_in(const struct dti_seg *g, uint32_t chunk, uint32_t order)
{
	uint32_t page = ETA_CHUNK_PAGE(chunk);

	if (order != ETA_CHUNK_ORDER_SMALL && order != ETA_CHUNK_ORDER_MEDIUM &&
			order != ETA_CHUNK_ORDER_LARGE)
		return NULL;
	if ((page & ((1u << order) - 1)) != 0 || page + (1u << order) > g->chunk_pages)
		return NULL;
	return g->base + g->chunk_off + (uint64_t)page * ETA_PAGE_BYTES;
}

/**
 * xlate_meta() - Where @chunk's meta lies.
 * @kind: ETA_SEG_AL for send chunks (only to be read), ETA_SEG_EN for receive chunks.
 *
 * Return: NULL = no such page in a segment of that kind.   Context: hot.
 */
static inline struct eta_chunk_meta *xlate_meta(
		const struct dti *d, const struct session *s, uint32_t chunk, uint8_t kind)
{
	const struct dti_seg *g = xlate_seg(d, s, chunk, kind);

	return g ? xlate_meta_in(g, chunk) : NULL;
}

/**
 * xlate_bytes() - Where the bytes of @chunk lie.
 *
 * Return: NULL = @order is no order, or the chunk is not aligned to it or not wholly inside.   Context: hot.
 */
static inline uint8_t *xlate_bytes(const struct dti *d, const struct session *s, uint32_t chunk,
		uint32_t order, uint8_t kind)
{
	const struct dti_seg *g = xlate_seg(d, s, chunk, kind);

	return g ? xlate_bytes_in(g, chunk, order) : NULL;
}

#endif
