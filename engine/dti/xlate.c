/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Address translation of chunks: see the header. Every number here may come from a hostile application.
 */
#include "engine/dti/xlate.h"

#include <stddef.h>

#include "engine/dti/dti.h"

static const struct dti_seg *chunk_seg(const struct dti *d, const struct session *s, uint32_t chunk, uint8_t kind)
{
	uint32_t number = ETA_CHUNK_SEG(chunk);
	const struct dti_seg *g;

	if ((chunk >> 28) != 0)
		return NULL;
	g = &d->seg[s->seg[number]];
	if (g->kind != kind || ETA_CHUNK_PAGE(chunk) >= g->chunk_pages)
		return NULL;
	return g;
}

struct eta_chunk_meta *xlate_meta(const struct dti *d, const struct session *s, uint32_t chunk, uint8_t kind)
{
	const struct dti_seg *g = chunk_seg(d, s, chunk, kind);
	struct eta_chunk_meta *meta;

	if (!g)
		return NULL;
	meta = (struct eta_chunk_meta *)(void *)(g->base + g->meta_off);
	return &meta[ETA_CHUNK_PAGE(chunk)];
}

uint8_t *xlate_bytes(const struct dti *d, const struct session *s, uint32_t chunk, uint32_t order, uint8_t kind)
{
	const struct dti_seg *g = chunk_seg(d, s, chunk, kind);
	uint32_t page = ETA_CHUNK_PAGE(chunk);

	if (!g)
		return NULL;
	if (order != ETA_CHUNK_ORDER_SMALL && order != ETA_CHUNK_ORDER_MEDIUM && order != ETA_CHUNK_ORDER_LARGE)
		return NULL;
	if ((page & ((1u << order) - 1)) != 0 || page + (1u << order) > g->chunk_pages)
		return NULL;
	return g->base + g->chunk_off + (uint64_t)page * ETA_PAGE_BYTES;
}
