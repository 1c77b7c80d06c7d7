/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The DTI room: memory, and the life of the tie between a context and a DTI.
 *
 * claim -> open -> ... -> unbind. The EN half remembers the context's index; it is believed only if that context names the same
 * session, DTI and generation, so a wrong word there can at most hide a DTI.
 */
#include "engine/dti/dti.h"

#include <errno.h>
#include <string.h>

#include <rte_malloc.h>

#include "engine/dti/dti_up.h"
#include "engine/tcp/tcp.h"

#define SND_BYTES_FIRST (256u << 10) /* send buffer before cwnd has grown */
#define KIB 1024u

static void *take(struct dti *d, uint64_t n, uint64_t size, int socket_id)
{
	void *p = rte_zmalloc_socket("eta_dti", n * size, ETA_CACHELINE, socket_id);

	if (!p)
		return NULL;
	d->mem[d->mem_n++] = p;
	d->memory_bytes += n * size;
	return p;
}

static void init_lists(struct dti *d)
{
	for (uint32_t i = d->note_n - 1; i >= 1; i--) {
		d->note[i].next = d->note_free;
		d->note_free = i;
	}
	d->note_free_n = d->note_n - 1;
	for (uint32_t i = d->sub_n - 1; i >= 1; i--) {
		d->sub[i].next = d->sub_free;
		d->sub_free = i;
	}
	for (uint32_t i = d->reply_n - 1; i >= 1; i--) {
		d->reply[i].next = d->reply_free;
		d->reply_free = i;
	}
	for (uint32_t i = d->child_n - 1; i >= 1; i--) {
		d->child[i].next = d->child_free;
		d->child_free = i;
	}
	for (uint32_t i = d->post_n - 1; i >= 1; i--) {
		d->post[i].next = d->post_free;
		d->post_free = (uint16_t)i;
	}
	for (uint32_t i = d->master_n - 1; i >= 1; i--) {
		d->master[i].next = d->master_free;
		d->master_free = i;
	}
	for (uint32_t i = d->stage_n - 1; i >= 1; i--) {
		memcpy(d->stage[i], &d->stage_free, sizeof(d->stage_free));
		d->stage_free = i;
	}
	for (uint32_t i = d->map_n - 1; i >= 1; i--) {
		d->map[i][0] = d->map_free;
		d->map_free = (uint16_t)i;
	}
}

int dti_init(struct dti *d, const struct dti_conf *conf)
{
	int sock = conf->socket_id;

	memset(d, 0, sizeof(*d));
	d->ctx_n = conf->contexts_max;
	d->embryos_max = conf->embryos_max;
	d->source_pct = conf->source_pct ? conf->source_pct : 50;
	d->session_n = RTE_MIN(conf->sessions_max + 1, 4000u);
	d->seg_n = 8 * d->session_n + 256;
	d->ring_n = 3 * d->session_n + 256;
	d->map_n = 4 * d->session_n + 256;
	d->post_n = 2 * d->session_n + 256;
	d->note_n = RTE_MAX(d->ctx_n, 8192u);
	d->sub_n = d->ctx_n / 2 + 2048;
	d->reply_n = 1024;
	d->child_n = d->ctx_n + 2048;
	d->master_n = RTE_MIN(d->ctx_n, 4096u) + 1;
	d->stage_n = 257;
	d->rcv_bytes_max = conf->rcv_bytes_max ? RTE_MIN(conf->rcv_bytes_max, ETA_STREAM_BYTES_MAX)
					       : ETA_STREAM_BYTES_MAX;
	d->snd_bytes_max = conf->snd_bytes_max ? RTE_MIN(conf->snd_bytes_max, ETA_STREAM_BYTES_MAX)
					       : ETA_STREAM_BYTES_MAX;
	d->ctx = take(d, d->ctx_n, sizeof(*d->ctx), sock);
	d->session = take(d, d->session_n, sizeof(*d->session), sock);
	d->seg = take(d, d->seg_n, sizeof(*d->seg), sock);
	d->ring = take(d, d->ring_n, sizeof(*d->ring), sock);
	d->map = take(d, d->map_n, sizeof(*d->map), sock);
	d->note = take(d, d->note_n, sizeof(*d->note), sock);
	d->sub = take(d, d->sub_n, sizeof(*d->sub), sock);
	d->reply = take(d, d->reply_n, sizeof(*d->reply), sock);
	d->child = take(d, d->child_n, sizeof(*d->child), sock);
	d->post = take(d, d->post_n, sizeof(*d->post), sock);
	d->master = take(d, d->master_n, sizeof(*d->master), sock);
	d->stage = take(d, d->stage_n, sizeof(*d->stage), sock);
	d->bind = take(d, DTI_BINDS_MAX, sizeof(*d->bind), sock);
	if (d->mem_n != 13) {
		dti_fini(d);
		return -ENOMEM;
	}
	init_lists(d);
	return 0;
}

void dti_fini(struct dti *d)
{
	while (d->mem_n > 0)
		rte_free(d->mem[--d->mem_n]);
}

enum eta_status dti_bind_authorise(struct dti *d, const struct eta_admin_msg *msg)
{
	const struct session *s = session_find(d, msg->session);
	struct dti_bind *b = NULL;

	if (!s)
		return ETA_STATUS_NOT_FOUND;
	for (uint32_t i = 1; i < DTI_BINDS_MAX; i++) {
		if (d->bind[i].session == s->idx && d->bind[i].dti == msg->dti.dti) {
			b = &d->bind[i];
			break;
		}
		if (!b && d->bind[i].session == 0)
			b = &d->bind[i];
	}
	if (!b)
		return ETA_STATUS_NO_MEMORY;
	b->session = s->idx;
	b->dti = msg->dti.dti;
	b->gen = msg->dti.gen;
	b->lport_be = msg->dti.lport_be;
	memcpy(b->laddr.b, msg->dti.laddr, 16);
	return ETA_STATUS_OK;
}

static void word_store(struct eta_dti_en *en, uint16_t gen, uint8_t state, uint8_t status)
{
	uint32_t *word = (uint32_t *)(void *)&en->gen;

	eta_store_release_u32(word, ETA_DTI_WORD_MAKE(gen, state, status));
}

void dti_set_state(struct dti *d, const struct dti_ctx *c, uint8_t state, uint8_t status)
{
	struct eta_dti_en *en = dti_en(d, c);

	if (en)
		word_store(en, c->gen, state, status);
}

bool dti_is_open(const struct dti *d, const struct dti_ctx *c)
{
	const struct eta_dti_en *en = dti_en(d, c);
	uint32_t word = en ? eta_load_relaxed_u32(ETA_DTI_WORD(en)) : 0;

	return en && (uint16_t)word == c->gen && (uint8_t)(word >> 16) != ETA_DTI_FREE;
}

void dti_claim(struct dti *d, uint32_t idx, struct session *s, uint32_t dti, uint16_t gen)
{
	struct dti_ctx *c = &d->ctx[idx];
	struct eta_dti_en *en;

	c->session = s->idx;
	c->dti = dti;
	c->gen = gen;
	c->flags |= DTI_CTX_BOUND;
	c->rcv_chunk = c->rcv_last = c->rcv_cur = ETA_CHUNK_NONE;
	c->snd_chunk = ETA_CHUNK_NONE;
	s->ctx_n++;
	en = dti_en(d, c);
	if (en)
		eta_store_relaxed_u32(&en->ctx, idx);
}

void dti_open(struct dti *d, uint32_t idx, uint8_t state, uint8_t status)
{
	struct dti_ctx *c = &d->ctx[idx];
	struct eta_dti_en *en = dti_en(d, c);

	if (!en)
		return;
	eta_store_relaxed_u32(&en->rcv_tail, c->rcv_tail);
	eta_store_relaxed_u32(&en->snd_una, c->snd_una);
	eta_store_relaxed_u32(&en->chunk, c->rcv_chunk);
	en->flags = 0;
	en->urg = 0;
	en->sq_head = 0;
	en->rq_head = 0;
	en->soft_status = 0;
	en->soft_una = 0;
	en->accept_n = 0;
	en->param_seen = 0;
	en->snd_nxt = 0;
	en->ring_at = 0;
	dti_update_snd_limit(d, idx);
	place_update_ring_at(d, idx, en);
	memcpy(en->laddr, c->tuple.laddr.b, 16);
	memcpy(en->raddr, c->tuple.raddr.b, 16);
	en->lport_be = c->tuple.lport_be;
	en->rport_be = c->tuple.rport_be;
	event_write_mss(d, idx);
	d->stats.dti_opened++;
	word_store(en, c->gen, state, status);
}

void dti_soft_error(struct dti *d, uint32_t idx, enum eta_status why)
{
	struct dti_ctx *c = &d->ctx[idx];
	struct eta_dti_en *en = dti_en(d, c);

	if (!en)
		return;
	eta_store_relaxed_u32(&en->soft_una, c->snd_una);
	eta_store_release_u32(&en->soft_status, ++d->soft_n << 8 | (uint32_t)why);
}

void dti_unbind(struct dti *d, uint32_t idx)
{
	struct dti_ctx *c = &d->ctx[idx];
	struct eta_dti_en *en = dti_en(d, c);

	if (!(c->flags & DTI_CTX_BOUND))
		return;
	source_drop_all(d, c);
	place_drop_all(d, c);
	c->flags &= ~(DTI_CTX_BOUND | DTI_CTX_CLOSING | DTI_CTX_WANT_WRITE | DTI_CTX_UNACCEPTED);
	c->ev = 0;
	d->stats.dti_freed++;
	if (en) {
		eta_store_relaxed_u32(&en->ctx, 0);
		word_store(en, c->gen, ETA_DTI_FREE, ETA_STATUS_OK);
	}
	event_tell_freed(d, idx);
	event_mark(d, idx, 0); /* the slot goes at a safe moment */
}

void dti_read_param(const struct eta_dti_al *al, struct eta_dti_al *line1)
{
	const uint64_t *from = (const uint64_t *)(const void *)al;
	uint64_t *to = (uint64_t *)(void *)line1;

	memset(line1, 0, sizeof(*line1));
	for (uint32_t i = 8; i < 16; i++)
		to[i] = eta_load_relaxed_u64(&from[i]);
}

static uint16_t kib(uint32_t bytes, uint32_t max)
{
	if (bytes == 0)
		return 0;
	bytes = RTE_MIN(RTE_MAX(bytes, 4 * KIB), max);
	return (uint16_t)(bytes / KIB);
}

/* TCP_WINDOW_CLAMP: a window is never larger than the memory for it. */
static uint16_t clamp_kib(uint16_t rcvbuf_kib, uint32_t clamp_bytes)
{
	uint32_t clamp = RTE_MIN(RTE_MAX(clamp_bytes / KIB, 1u), (uint32_t)UINT16_MAX);

	return rcvbuf_kib != 0 && rcvbuf_kib < clamp ? rcvbuf_kib : (uint16_t)clamp;
}

void dti_apply_param(struct dti *d, struct dti_ctx *c, const struct eta_dti_al *line1,
		struct tcp_param *param)
{
	c->rcvbuf_kib = kib(line1->rcvbuf_bytes, d->rcv_bytes_max);
	if (line1->window_clamp != 0)
		c->rcvbuf_kib = clamp_kib(c->rcvbuf_kib, line1->window_clamp);
	c->sndbuf_kib = kib(line1->sndbuf_bytes, d->snd_bytes_max);
	c->tos = line1->tos;
	c->ttl = line1->ttl;
	memset(param, 0, sizeof(*param));
	param->nodelay = line1->opt & ETA_OPT_NODELAY;
	param->cork = line1->opt & ETA_OPT_CORK;
	param->keepalive = line1->opt & ETA_OPT_KEEPALIVE;
	param->quickack = line1->opt & ETA_OPT_QUICKACK;
	param->cc = line1->cc;
	param->keep_probes = line1->keep_probes;
	param->maxseg = line1->maxseg;
	param->keep_idle_ms = line1->keep_idle_s * 1000u;
	param->keep_intvl_ms = line1->keep_intvl_s * 1000u;
	param->user_timeout_ms = line1->user_timeout_ms;
	param->fin_wait2_ms = line1->linger2_s * 1000u;
	param->delack = line1->opt & ETA_OPT_DELACK;
	param->fastopen = line1->opt & ETA_OPT_FASTOPEN;
	param->fastopen_no_cookie = line1->opt & ETA_OPT_FASTOPEN_NO_COOKIE;
	param->fastopen_qlen = line1->fastopen_qlen;
	if (param->fastopen_qlen == 0 && c->flags & DTI_CTX_MASTER)
		param->fastopen_qlen = d->master[c->master].fastopen_qlen;
	param->defer_accept_s = line1->defer_accept_s;
	param->syn_retries = line1->syn_retries;
	param->notsent_lowat = line1->notsent_lowat;
	param->pacing_rate_max = line1->pace_64 * 64ull;
}

bool dti_update_snd_limit(struct dti *d, uint32_t idx)
{
	struct dti_ctx *c = &d->ctx[idx];
	uint32_t bytes = c->sndbuf_kib * KIB;
	struct eta_dti_en *en;
	uint16_t limit_kib;

	if (bytes == 0) {
		bytes = RTE_MAX(SND_BYTES_FIRST, tcp_snd_want_bytes(&d->tcp->ctx[idx]));
		bytes = RTE_MIN(bytes, d->snd_bytes_max);
	}
	limit_kib = (uint16_t)(bytes / KIB);
	if (limit_kib <= c->snd_limit_kib && c->snd_limit_kib != 0 && c->sndbuf_kib == 0)
		return false;
	if (limit_kib == c->snd_limit_kib)
		return false;
	c->snd_limit_kib = limit_kib;
	en = dti_en(d, c);
	if (en)
		eta_store_relaxed_u32(&en->snd_limit, limit_kib * KIB);
	return true;
}

void dti_kill(struct dti *d, uint32_t idx)
{
	struct dti_ctx *c = &d->ctx[idx];

	if (!(c->flags & DTI_CTX_BOUND) || (c->flags & DTI_CTX_KILL))
		return;
	c->flags |= DTI_CTX_KILL;
	event_mark(d, idx, 0);
}

void dti_slot_put(struct dti *d, uint32_t idx)
{
	struct dti_ctx *c = &d->ctx[idx];

	if (c->flags & (DTI_CTX_BOUND | DTI_CTX_DIRTY))
		return;
	if (c->session != 0 && c->sub.ring == 0 && c->sub_more == 0) {
		d->session[c->session].ctx_n--;
		c->session = 0;
	}
	if (c->session != 0 || (c->flags & (DTI_CTX_TCP_USED | DTI_CTX_NOTICE | DTI_CTX_MASTER |
							   DTI_CTX_SWEPT | DTI_CTX_WAITING)))
		return;
	dti_up_ctx_free(dti_env(d), idx);
}

uint32_t dti_listener(const struct dti *d, const struct ip_addr *laddr, uint16_t lport_be)
{
	uint32_t m = d->listen[lport_be % DTI_LISTEN_BUCKETS];
	bool is_v4 = ip_addr_is_v4(laddr);
	uint32_t best = 0;
	int best_score = 0;

	for (; m != 0; m = d->master[m].next) {
		const struct dti_master *ms = &d->master[m];
		const struct ip_tuple *t = &d->ctx[ms->ctx].tuple;
		int score = 0;

		if (t->lport_be != lport_be || ms->is_closing)
			continue;
		if (ip_addr_equal(&t->laddr, laddr))
			score = 3;
		else if (ip_addr_is_any(&t->laddr) && ip_addr_is_v4(&t->laddr) == is_v4)
			score = 2;
		else if (ip_addr_is_any(&t->laddr) && is_v4 && !ms->is_v6only)
			score = 1;
		if (score > best_score) {
			best_score = score;
			best = ms->ctx;
		}
	}
	return best;
}
