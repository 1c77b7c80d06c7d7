/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes to send: walking AL's chunks without trusting them. See the header.
 *
 * The notes of a context form one list: the inline one, then note[snd_more] .. note[snd_last]. Where a note ends is known when its
 * successor has a note; else the meta's next is looked at, for AL may go on in a new chunk before the old one is full.
 */
#include "engine/dti/source.h"

#include <stdbool.h>

#include <rte_common.h>

#include "engine/dti/dti.h"
#include "engine/dti/xlate.h"
#include "engine/tcp/tcp.h"

/* A meta, each word read once. */
struct meta_copy {
	uint32_t next, off, dti;
	uint16_t gen;
	uint8_t order;
};

/* One element of a context's list. */
struct pos {
	uint32_t chunk, off, order;
	uint32_t note; /* 0 = the inline one */
};

static inline void meta_copy(const struct eta_chunk_meta *meta, struct meta_copy *m)
{
	uint32_t word;

	m->next = eta_load_acquire_u32(&meta->next);
	m->off = eta_load_relaxed_u32(&meta->off);
	m->dti = eta_load_relaxed_u32(&meta->dti);
	word = eta_load_relaxed_u32((const uint32_t *)(const void *)&meta->gen);
	m->gen = (uint16_t)word;
	m->order = (uint8_t)(word >> 16);
}

static inline bool meta_read(
		const struct dti *d, const struct session *s, uint32_t chunk, struct meta_copy *m)
{
	const struct dti_seg *g = xlate_seg(d, s, chunk, ETA_SEG_AL);

	if (!g)
		return false;
	meta_copy(xlate_meta_in(g, chunk), m);
	return true;
}

/* Is it a chunk of @c at all? */
static bool meta_fits(const struct dti *d, const struct session *s, const struct dti_ctx *c,
		uint32_t chunk, const struct meta_copy *m)
{
	return m->dti == c->dti && m->gen == c->gen &&
	       xlate_bytes(d, s, chunk, m->order, ETA_SEG_AL) != NULL;
}

static bool meta_matches(const struct dti_ctx *c, const struct pos *p, const struct meta_copy *m)
{
	return m->dti == c->dti && m->gen == c->gen && m->off == p->off && m->order == p->order;
}

static struct pos pos_first(const struct dti_ctx *c)
{
	return (struct pos){.chunk = c->snd_chunk, .off = c->snd_off, .order = c->snd_order};
}

static struct pos pos_note(const struct dti *d, uint32_t note)
{
	const struct dti_note *n = &d->note[note];

	return (struct pos){.chunk = n->chunk, .off = n->off, .order = n->order, .note = note};
}

static uint32_t pos_next(const struct dti *d, const struct dti_ctx *c, const struct pos *p)
{
	return p->note ? d->note[p->note].next : c->snd_more;
}

/* Where @p ends if @next_off begins its successor. */
static uint32_t pos_end(const struct pos *p, bool has_next, uint32_t next_off)
{
	uint32_t size = ETA_CHUNK_BYTES(p->order);

	if (has_next && next_off - p->off < size)
		size = next_off - p->off;
	return p->off + size;
}

static void drop_notes(struct dti *d, struct dti_ctx *c)
{
	while (c->snd_more != 0) {
		uint32_t note = c->snd_more;

		c->snd_more = d->note[note].next;
		d->note[note].next = d->note_free;
		d->note_free = note;
		d->note_free_n++;
		d->session[c->session].note_n--;
	}
	c->snd_last = 0;
}

void source_drop_all(struct dti *d, struct dti_ctx *c)
{
	if (!(c->flags & DTI_CTX_BOUND))
		return;
	drop_notes(d, c);
	c->snd_chunk = ETA_CHUNK_NONE;
}

/* Set the inline note from record.chunk; @m receives its meta. Return: false = not now, or killed. */
static bool seek(struct dti *d, struct dti_ctx *c, struct meta_copy *m)
{
	const struct session *s = &d->session[c->session];
	const struct eta_dti_al *al = dti_al(d, c);

	for (uint32_t i = 0; al && i < SOURCE_RESTARTS_MAX; i++) {
		uint32_t chunk = eta_load_acquire_u32(&al->chunk);
		bool is_read = chunk != ETA_CHUNK_NONE && meta_read(d, s, chunk, m);

		eta_fence_load_load();
		if (eta_load_relaxed_u32(&al->chunk) != chunk) {
			d->stats.chunk_restart++;
			continue;
		}
		/* the record stood still: what it names must be right, for bytes are announced */
		if (!is_read || !meta_fits(d, s, c, chunk, m) ||
				eta_counter_after(m->off, c->snd_una)) {
			dti_kill(d, (uint32_t)(c - d->ctx));
			return false;
		}
		c->snd_chunk = chunk;
		c->snd_off = m->off;
		c->snd_order = m->order;
		return true;
	}
	d->stats.chunk_restart++;
	return false;
}

/* Append a note of @chunk, the successor of the last. Return: false = no room. */
static bool append(struct dti *d, struct dti_ctx *c, uint32_t chunk, const struct meta_copy *m)
{
	struct session *s = &d->session[c->session];
	uint32_t note = d->note_free;

	/* one session never takes more than half of what is left to all */
	if (note == 0 || s->note_n > d->note_free_n) {
		d->stats.note_none++;
		return false;
	}
	d->note_free = d->note[note].next;
	d->note_free_n--;
	s->note_n++;
	d->note[note] = (struct dti_note){.chunk = chunk, .off = m->off, .order = m->order};
	if (c->snd_last != 0)
		d->note[c->snd_last].next = note;
	else
		c->snd_more = note;
	c->snd_last = note;
	return true;
}

/* The successor of @p, whose meta says @next, is needed. Return: false = stop here (short, or killed). */
static bool follow(struct dti *d, struct dti_ctx *c, struct pos *p, uint32_t next)
{
	const struct session *s = &d->session[c->session];
	uint32_t note = pos_next(d, c, p);
	struct meta_copy m;

	if (note != 0) {
		*p = pos_note(d, note);
		return true;
	}
	/* announced bytes lie beyond, so the successor was linked before; a hole is for descriptors, which are not taken */
	if (next == ETA_CHUNK_NONE || !meta_read(d, s, next, &m) || !meta_fits(d, s, c, next, &m) ||
			m.off - p->off - 1 >= ETA_CHUNK_BYTES(p->order)) {
		dti_kill(d, (uint32_t)(c - d->ctx));
		return false;
	}
	/* a drained inline note is only a cursor: it moves on instead of being kept */
	if (p->note == 0 && !eta_counter_after(m.off, c->snd_una)) {
		c->snd_chunk = next;
		c->snd_off = m.off;
		c->snd_order = m.order;
		*p = pos_first(c);
		return true;
	}
	if (!append(d, c, next, &m))
		return false;
	*p = pos_note(d, c->snd_last);
	return true;
}

/* Make the inline note, the only one, right for bytes from snd_una on; @m receives its meta. */
static inline bool anchor(struct dti *d, struct dti_ctx *c, struct meta_copy *m)
{
	struct pos p;

	if (c->snd_chunk == ETA_CHUNK_NONE)
		return seek(d, c, m);
	p = pos_first(c);
	if (ETA_UNLIKELY(!meta_read(d, &d->session[c->session], p.chunk, m) ||
			    !meta_matches(c, &p, m))) {
		const struct tcp_ctx *t = &d->tcp->ctx[c - d->ctx];

		/* a mere cursor: AL has dropped the drained chunk; but bytes that were sent and not acknowledged cannot move */
		if (eta_counter_after(tcp_snd_off(t, t->snd_nxt), c->snd_una)) {
			dti_kill(d, (uint32_t)(c - d->ctx));
			return false;
		}
		c->snd_chunk = ETA_CHUNK_NONE;
		return seek(d, c, m);
	}
	return true;
}

/*
 * Where the bytes at @p end, and where they go on: from the successor's note, else as the meta @m says now. A successor that
 * makes no sense yet does not shorten: whoever needs bytes beyond will judge it.
 */
static uint32_t end_now(const struct dti *d, const struct dti_ctx *c, const struct pos *p,
		const struct meta_copy *m)
{
	const struct session *s = &d->session[c->session];
	uint32_t note = pos_next(d, c, p);
	struct meta_copy next;

	if (note != 0)
		return pos_end(p, true, d->note[note].off);
	if (m->next == ETA_CHUNK_NONE || !meta_read(d, s, m->next, &next) || next.dti != c->dti ||
			next.gen != c->gen || next.off == p->off)
		return pos_end(p, false, 0);
	return pos_end(p, true, next.off);
}

/* The usual: one chunk, and all of the range in it. The checks of the walk below, without it. */
static inline bool is_in_one(const struct dti *d, const struct dti_ctx *c, uint32_t off,
		uint32_t len, struct net_iov *iov)
{
	const struct dti_seg *g = xlate_seg(d, &d->session[c->session], c->snd_chunk, ETA_SEG_AL);
	const struct pos p = pos_first(c);
	uint32_t at = off - p.off, size = ETA_CHUNK_BYTES(p.order);
	struct meta_copy m;
	const uint8_t *bytes;

	if (c->snd_more != 0 || !g)
		return false;
	meta_copy(xlate_meta_in(g, p.chunk), &m);
	if (!meta_matches(c, &p, &m) || m.next != ETA_CHUNK_NONE || at >= size || len > size - at)
		return false;
	bytes = xlate_bytes_in(g, p.chunk, p.order);
	if (!bytes)
		return false;
	iov->base = bytes + at;
	iov->len = len;
	return true;
}

uint32_t source_iov(struct dti *d, struct dti_ctx *c, uint32_t off, uint32_t len,
		struct net_iov *iov, uint32_t *iov_n)
{
	const struct session *s = &d->session[c->session];
	bool is_read = false; /* m is p's meta */
	uint32_t done = 0;
	struct meta_copy m;
	struct pos p;

	*iov_n = 0;
	if (!(c->flags & DTI_CTX_BOUND) || (c->flags & DTI_CTX_KILL) || len == 0)
		return 0;
	if (ETA_LIKELY(is_in_one(d, c, off, len, iov))) {
		*iov_n = 1;
		return len;
	}
	/* the announced bytes may lie in a chunk that was never noted: a cursor without bytes of its own is checked first */
	if (c->snd_more == 0 || c->snd_chunk == ETA_CHUNK_NONE) {
		if (!anchor(d, c, &m))
			return 0;
		is_read = true;
	}
	p = pos_first(c);
	if (c->snd_last != 0 && !eta_counter_after(d->note[c->snd_last].off, off)) {
		p = pos_note(d, c->snd_last);
		is_read = false;
	}
	for (uint32_t step = 0; step < SOURCE_STEPS_MAX && done < len && *iov_n < IP_TX_IOVS_MAX;
			step++) {
		uint32_t end, n;

		if (!is_read && (!meta_read(d, s, p.chunk, &m) || !meta_matches(c, &p, &m))) {
			dti_kill(d, (uint32_t)(c - d->ctx));
			break;
		}
		is_read = false;
		end = end_now(d, c, &p, &m);
		if (!eta_counter_after(end, off + done)) {
			if (!follow(d, c, &p, m.next))
				break;
			continue;
		}
		n = RTE_MIN(end - (off + done), len - done);
		iov[*iov_n].base = xlate_bytes(d, s, p.chunk, p.order, ETA_SEG_AL) +
				   (off + done - p.off);
		iov[*iov_n].len = n;
		(*iov_n)++;
		done += n;
	}
	return done;
}

void source_acked(struct dti *d, struct dti_ctx *c)
{
	while (c->snd_more != 0) {
		uint32_t note = c->snd_more;
		struct dti_note *n = &d->note[note];

		/* the inline chunk ends where the next begins */
		if (eta_counter_after(n->off, c->snd_una))
			break;
		c->snd_chunk = n->chunk;
		c->snd_off = n->off;
		c->snd_order = (uint8_t)n->order;
		c->snd_more = n->next;
		if (c->snd_last == note)
			c->snd_last = 0;
		n->next = d->note_free;
		d->note_free = note;
		d->note_free_n++;
		d->session[c->session].note_n--;
	}
}
