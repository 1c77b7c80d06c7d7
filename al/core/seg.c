/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segments: mapping what KA hands out, finding records in it.
 *
 * A segment is mapped when it is first met: at attach, when memory or DTIs run out, or when a chunk number names one that another process of the
 * session's family or the engine added. Geometry comes from KA alone; it is checked once here so that the fast paths may add offsets.
 * Segments are never unmapped while the process lives: others may still be reading them.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "al/core/al.h"

static bool area_ok(const struct eta_seg_geom *g, uint64_t off, uint64_t n, uint64_t size,
		uint64_t align)
{
	return !n || (off % align == 0 && off <= g->bytes && n <= (g->bytes - off) / size);
}

static bool geom_ok(const struct eta_seg_geom *g)
{
	const uint64_t half = ETA_DTI_HALF_BYTES;

	if (g->seg >= ETA_SEGS_MAX || g->core >= ETA_CORES_MAX || !g->bytes || g->bytes >> 40)
		return false;
	if (g->kind != ETA_SEG_AL && g->kind != ETA_SEG_EN)
		return false;
	if (g->dti_first > ETA_SESSION_DTIS_MAX || g->dti_n > ETA_SESSION_DTIS_MAX - g->dti_first)
		return false;
	if (g->chunk_pages > 1u << 20 || !area_ok(g, g->dti_off, g->dti_n, half, ETA_CACHELINE))
		return false;
	if (!area_ok(g, g->meta_off, g->chunk_pages, sizeof(struct eta_chunk_meta), 16) ||
			!area_ok(g, g->chunk_off, g->chunk_pages, ETA_PAGE_BYTES, ETA_PAGE_BYTES))
		return false;
	return g->kind != ETA_SEG_AL ||
	       area_ok(g, g->map_off, (g->chunk_pages + 63) / 64, sizeof(uint64_t), 8);
}

int al_seg_install(struct al_session *s, const struct eta_seg_geom *geom, int fd)
{
	struct eta_seg_geom g = *geom;
	int prot = g.kind == ETA_SEG_AL ? PROT_READ | PROT_WRITE : PROT_READ;
	struct al_seg *seg;
	uint8_t *base;

	if (!geom_ok(&g)) {
		sys_close(fd);
		return -EPROTO;
	}
	seg = &s->seg[g.seg];
	if (seg->base) {
		sys_close(fd);
		return 0;
	}
	base = sys_mmap(NULL, g.bytes, prot, MAP_SHARED, fd);
	sys_close(fd);
	if (sys_is_error(base))
		return (int)(long)base;
	seg->meta = (struct eta_chunk_meta *)(base + g.meta_off);
	seg->chunks = base + g.chunk_off;
	seg->map = (uint64_t *)(base + g.map_off);
	seg->chunk_pages = g.chunk_pages;
	seg->dti_first = g.dti_first;
	seg->dti_n = g.dti_n;
	seg->dti_off = g.dti_off;
	seg->bytes = g.bytes;
	seg->kind = g.kind;
	seg->core = g.core;
	if (g.seg >= s->segs_n)
		__atomic_store_n(&s->segs_n, g.seg + 1u, __ATOMIC_RELEASE);
	__atomic_store_n(&seg->base, base, __ATOMIC_RELEASE);
	return 0;
}

struct al_seg *al_seg_find(struct al_session *s, uint32_t n)
{
	struct eta_ctl_seg req = {
			.hdr.type = ETA_CTL_SEG_MAP, .session = s->number, .seg = (uint8_t)n};
	struct eta_ctl_seg_reply rep;
	int fd, ret = 0;

	if (n >= ETA_SEGS_MAX)
		return NULL;
	al_lock_take(&s->map_lock);
	if (!s->seg[n].base) {
		ret = al_ctl_call(&req, sizeof(req), -1, &rep, sizeof(rep), &fd, 1);
		if (!ret && rep.seg.seg != n) {
			sys_close(fd);
			ret = -EPROTO;
		}
		if (!ret)
			ret = al_seg_install(s, &rep.seg, fd);
	}
	al_lock_drop(&s->map_lock);
	return ret ? NULL : &s->seg[n];
}

/* The mapped segment of @kind that has DTI @idx, or NULL. */
static struct al_seg *record_seg(struct al_session *s, uint32_t idx, uint8_t kind)
{
	for (uint32_t n = 0; n < s->segs_n; n++) {
		struct al_seg *seg = &s->seg[n];

		if (__atomic_load_n(&seg->base, __ATOMIC_ACQUIRE) && seg->kind == kind &&
				idx - seg->dti_first < seg->dti_n)
			return seg;
	}
	return NULL;
}

int al_seg_record(struct al_session *s, uint32_t idx, struct eta_dti_al **al,
		const struct eta_dti_en **en, uint8_t *core)
{
	struct al_seg *a = record_seg(s, idx, ETA_SEG_AL), *e = record_seg(s, idx, ETA_SEG_EN);

	/* Segments come in pairs, or were added by another process: ask for those in between. */
	for (uint32_t n = 0; (!a || !e) && n < s->segs_n + 2 && n < ETA_SEGS_MAX; n++) {
		if (s->seg[n].base || !al_seg_find(s, n))
			continue;
		a = record_seg(s, idx, ETA_SEG_AL);
		e = record_seg(s, idx, ETA_SEG_EN);
	}
	if (!a || !e)
		return -ENOENT;
	*al = (struct eta_dti_al *)(a->base + a->dti_off) + (idx - a->dti_first);
	*en = (const struct eta_dti_en *)(e->base + e->dti_off) + (idx - e->dti_first);
	*core = a->core;
	return 0;
}

int al_seg_grow(struct al_session *s, uint8_t what)
{
	struct eta_ctl_seg req = {.hdr.type = ETA_CTL_SEG_GROW, .session = s->number, .grow = what};
	struct eta_ctl_seg_reply rep;
	int fd, ret;

	al_lock_take(&s->map_lock);
	ret = al_ctl_call(&req, sizeof(req), -1, &rep, sizeof(rep), &fd, 1);
	if (!ret)
		ret = al_seg_install(s, &rep.seg, fd);
	if (!ret && what == ETA_GROW_DTIS) {
		if (rep.seg.dti_first < s->conns_n &&
				rep.seg.dti_n <= s->conns_n - rep.seg.dti_first) {
			s->fresh = rep.seg.dti_first;
			s->fresh_end = rep.seg.dti_first + rep.seg.dti_n;
		} else {
			ret = -EPROTO;
		}
	}
	al_lock_drop(&s->map_lock);
	if (!ret && what == ETA_GROW_DTIS && !al_seg_find(s, rep.seg.seg + 1u))
		ret = -ENOMEM;
	return ret;
}
