/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What must be true of the DTI room between two turns. For tests, simulation and fuzzing: slow, complete.
 */
#include <string.h>

#include "engine/dti/dti.h"
#include "engine/dti/xlate.h"

static const char *check_receive(const struct dti *d, const struct dti_ctx *c, uint64_t *pages)
{
	const struct session *s = &d->session[c->session];
	uint32_t chunk = c->rcv_chunk;
	uint32_t end = 0;

	if (c->rcv_head != c->rcv_tail && chunk == ETA_CHUNK_NONE && !(c->flags & DTI_CTX_CLOSING))
		return "unread bytes lie in no chunk";
	for (uint32_t n = 0; chunk != ETA_CHUNK_NONE; n++) {
		const struct eta_chunk_meta *m = xlate_meta(d, s, chunk, ETA_SEG_EN);

		if (!m || n >= ETA_STREAM_CHUNKS_MAX)
			return "receive chain leads nowhere";
		if (m->dti != c->dti || m->gen != c->gen)
			return "receive chunk is not its DTI's";
		if (n == 0 && eta_counter_after(m->off, c->rcv_head))
			return "oldest receive chunk begins behind rcv_head";
		if (n > 0 && m->off != end)
			return "receive chain has a gap";
		end = m->off + ETA_CHUNK_BYTES(m->order);
		*pages += 1u << m->order;
		if (m->next == ETA_CHUNK_NONE && chunk != c->rcv_last)
			return "receive chain ends elsewhere than at rcv_last";
		chunk = m->next;
	}
	if (c->rcv_chunk != ETA_CHUNK_NONE && eta_counter_after(c->rcv_tail, end))
		return "rcv_tail lies behind the receive chain";
	return NULL;
}

static const char *check_send(const struct dti *d, const struct dti_ctx *c, uint32_t *notes)
{
	uint32_t note = c->snd_more;
	uint32_t off = c->snd_off;
	uint32_t last = 0;

	if (eta_counter_after(c->snd_una, c->snd_tail))
		return "snd_una is ahead of snd_tail";
	for (uint32_t n = 0; note != 0; n++) {
		if (note >= d->note_n || n > ETA_STREAM_CHUNKS_MAX)
			return "list of send notes leads nowhere";
		if (!eta_counter_after(d->note[note].off, off))
			return "send notes are out of order";
		off = d->note[note].off;
		last = note;
		note = d->note[note].next;
		(*notes)++;
	}
	if (last != c->snd_last)
		return "list of send notes ends elsewhere than at snd_last";
	return NULL;
}

static const char *check_ctx(const struct dti *d, uint32_t idx, uint64_t *pages, uint32_t *notes)
{
	const struct dti_ctx *c = &d->ctx[idx];
	const struct eta_dti_en *en = dti_en(d, c);
	const char *wrong;

	if ((c->flags & DTI_CTX_BOUND) && !en)
		return "bound context without DTI record";
	if (en && en->ctx != idx)
		return "EN half names another context";
	if ((c->flags & DTI_CTX_WAITING) && (c->flags & DTI_CTX_BOUND))
		return "context both waits and is bound";
	if ((c->flags & (DTI_CTX_WAITING | DTI_CTX_TCP_USED)) == DTI_CTX_WAITING &&
			c->dead_why == 0)
		return "context waits without connection";
	if ((c->flags & DTI_CTX_MASTER) && d->master[c->master].ctx != idx)
		return "master record names another context";
	if (eta_counter_after(c->rcv_head, c->rcv_tail))
		return "rcv_head is ahead of rcv_tail";
	if (!en || (c->flags & DTI_CTX_MASTER))
		return NULL;
	wrong = check_receive(d, c, pages);
	return wrong ? wrong : check_send(d, c, notes);
}

static const char *check_masters(const struct dti *d)
{
	uint32_t embryos = 0, sources = 0;

	for (uint32_t i = 1; i < d->master_n; i++) {
		const struct dti_master *m = &d->master[i];
		uint32_t embryo_n = 0, wait_n = 0, unaccepted_n = 0;

		if (m->ctx == 0)
			continue;
		for (uint32_t k = 1; k < d->ctx_n; k++) {
			const struct dti_ctx *c = &d->ctx[k];

			if (c->master != m->ctx || (c->flags & DTI_CTX_MASTER) || c->flags == 0)
				continue;
			wait_n += (c->flags & DTI_CTX_WAITING) != 0;
			unaccepted_n += (c->flags & DTI_CTX_UNACCEPTED) != 0;
			embryo_n += (c->flags & (DTI_CTX_WAITING | DTI_CTX_UNACCEPTED)) == 0;
		}
		if (embryo_n != m->embryo_n || wait_n != m->wait_n ||
				unaccepted_n != m->unaccepted_n)
			return "a master counts its connections wrongly";
		embryos += embryo_n;
	}
	for (uint32_t i = 0; i < DTI_SOURCES; i++)
		sources += d->source_n[i];
	return embryos == d->embryo_n && sources == embryos ? NULL : "embryos are counted wrongly";
}

const char *dti_check(const struct dti *d)
{
	for (uint32_t i = 1; i < d->session_n; i++) {
		const struct session *s = &d->session[i];
		uint64_t pages = 0;
		uint32_t notes = 0, n = 0;

		if (s->state == SESSION_FREE)
			continue;
		for (uint32_t k = 1; k < d->ctx_n; k++) {
			const char *wrong;

			if (d->ctx[k].session != i)
				continue;
			n++;
			wrong = check_ctx(d, k, &pages, &notes);
			if (wrong)
				return wrong;
		}
		if (n != s->ctx_n)
			return "a session counts its contexts wrongly";
		if (pages != s->rcv_pages)
			return "receive pages leaked, or used twice";
		if (notes != s->note_n)
			return "send notes leaked";
	}
	return check_masters(d);
}
