/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The model of the kernel agent: commands, answers, sessions made of plain memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "engine/core/core.h"
#include "engine/net/cksum.h"
#include "engine/tcp/tcp_seg.h"

#include "test/lib/model_int.h"

void *model_must(void *p)
{
	if (!p) {
		fprintf(stderr, "model: out of memory\n");
		abort();
	}
	return p;
}

static struct ip_addr addr_parse(const char *text)
{
	struct ip_addr a;
	uint32_t v4;

	if (inet_pton(AF_INET, text, &v4) == 1)
		return ip_addr_from_v4(v4);
	if (inet_pton(AF_INET6, text, a.b) != 1) {
		fprintf(stderr, "model: '%s' is no address\n", text);
		abort();
	}
	return a;
}

struct model_ka *model_ka_create(struct core *core)
{
	struct model_ka *ka = model_must(calloc(1, sizeof(*ka)));

	ka->core = core;
	ka->status_room = 1024;
	ka->status = model_must(malloc(ka->status_room * sizeof(*ka->status)));
	return ka;
}

uint64_t model_ka_command(struct model_ka *ka, struct eta_admin_msg *msg)
{
	msg->cookie = ++ka->cookie;
	if (ka->cookie >= ka->status_room) {
		ka->status_room *= 2;
		ka->status = model_must(realloc(ka->status, ka->status_room * sizeof(*ka->status)));
	}
	ka->status[ka->cookie] = -1;
	if (rte_ring_sp_enqueue_elem(core_ring_commands(ka->core), msg, sizeof(*msg)) != 0) {
		fprintf(stderr, "model: command ring is full\n");
		abort();
	}
	return ka->cookie;
}

int model_ka_status(struct model_ka *ka, uint64_t cookie)
{
	return cookie != 0 && cookie <= ka->cookie ? ka->status[cookie] : -1;
}

uint32_t model_ka_notices(const struct model_ka *ka, uint16_t op)
{
	return op < 256 ? ka->notices[op] : 0;
}

void model_ka_addr(struct model_ka *ka, const char *addr, uint8_t prefix_len, uint8_t port)
{
	struct ip_addr a = addr_parse(addr);
	struct eta_admin_msg msg = {.op = ETA_ADMIN_ADDR_SET};
	uint32_t bits = ip_addr_is_v4(&a) ? 96u + prefix_len : prefix_len;

	memcpy(msg.addr.addr, a.b, 16);
	msg.addr.prefix_len = prefix_len;
	msg.addr.port = port;
	(void)model_ka_command(ka, &msg);
	memset(&msg, 0, sizeof(msg));
	msg.op = ETA_ADMIN_ROUTE_SET;
	msg.route.is_v4 = ip_addr_is_v4(&a);
	for (uint32_t i = bits; i < 128; i++)
		a.b[i / 8] &= (uint8_t) ~(0x80u >> (i % 8));
	memcpy(msg.route.dst, a.b, 16);
	msg.route.prefix_len = prefix_len;
	msg.route.port = port;
	(void)model_ka_command(ka, &msg);
}

static void neigh_set(struct model_ka *ka, const struct model_neigh *n)
{
	struct eta_admin_msg msg = {.op = ETA_ADMIN_NEIGH_SET};

	memcpy(msg.neigh.addr, n->addr.b, 16);
	memcpy(msg.neigh.mac, n->mac, 6);
	msg.neigh.port = n->port;
	(void)model_ka_command(ka, &msg);
}

void model_ka_neigh(
		struct model_ka *ka, const char *addr, const uint8_t mac[6], uint8_t port, bool now)
{
	struct model_neigh *n = &ka->neigh[ka->neigh_n++];

	n->addr = addr_parse(addr);
	memcpy(n->mac, mac, 6);
	n->port = port;
	if (now)
		neigh_set(ka, n);
}

static void neigh_wanted(struct model_ka *ka, const struct eta_admin_msg *msg)
{
	for (uint32_t i = 0; i < ka->neigh_n; i++)
		if (memcmp(ka->neigh[i].addr.b, msg->neigh.addr, 16) == 0)
			neigh_set(ka, &ka->neigh[i]);
}

static void seg_wanted(struct model_ka *ka, uint32_t session)
{
	for (struct model *m = ka->models; m; m = m->next)
		if (m->number == session && !m->is_dead)
			model_seg_grow(m);
}

/*
 * What the kernel does with a segment for which it has no socket: RST, made of the frame itself (RFC 9293 3.10.7.1). @m is handed down again.
 * Return: false = not answered.
 */
static bool kernel_answer(struct model_ka *ka, struct rte_mbuf *m)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	bool is_v4 = frame[12] == 0x08 && frame[13] == 0x00;
	uint32_t ip_bytes = is_v4 ? 20 : 40;
	uint8_t *ip = frame + 14, *tcp = ip + ip_bytes;
	uint32_t addr_off = is_v4 ? 12 : 8, addr_bytes = is_v4 ? 4 : 16;
	struct ip_addr src, dst;
	uint32_t seq, ack, len;
	uint8_t swap[16], flags;
	uint16_t sum;

	if (m->pkt_len < 14 + ip_bytes + 20 || ip[is_v4 ? 9 : 6] != 6 || (tcp[13] & TCP_RST))
		return false;
	if (memcmp(frame, ka->core->net.port[m->port]->mac, 6) != 0)
		return false; /* somebody else's: a kernel lets it pass by */
	len = (is_v4 ? (uint32_t)(ip[2] << 8 | ip[3]) - ip_bytes : (uint32_t)(ip[4] << 8 | ip[5])) -
	      (tcp[12] >> 4) * 4u;
	flags = tcp[13];
	memcpy(&seq, tcp + 4, 4);
	memcpy(&ack, tcp + 8, 4);
	seq = htonl(ntohl(seq) + len + ((flags & TCP_SYN) != 0) + ((flags & TCP_FIN) != 0));
	memcpy(swap, frame, 6);
	memcpy(frame, frame + 6, 6);
	memcpy(frame + 6, swap, 6);
	memcpy(swap, ip + addr_off, addr_bytes);
	memcpy(ip + addr_off, ip + addr_off + addr_bytes, addr_bytes);
	memcpy(ip + addr_off + addr_bytes, swap, addr_bytes);
	memcpy(swap, tcp, 2);
	memcpy(tcp, tcp + 2, 2);
	memcpy(tcp + 2, swap, 2);
	memset(tcp + 4, 0, 16);
	if (flags & TCP_ACK)
		memcpy(tcp + 4, &ack, 4);
	else
		memcpy(tcp + 8, &seq, 4);
	tcp[12] = 0x50;
	tcp[13] = (uint8_t)(TCP_RST | (flags & TCP_ACK ? 0 : TCP_ACK));
	if (is_v4) {
		ip[2] = 0;
		ip[3] = 40;
		memset(ip + 10, 0, 2);
		sum = (uint16_t)~cksum_fold(cksum_sum(ip, 20));
		memcpy(ip + 10, &sum, 2);
		src = ip_addr_from_v4(0);
		dst = src;
		memcpy(&src.w_be[3], ip + 12, 4);
		memcpy(&dst.w_be[3], ip + 16, 4);
	} else {
		ip[4] = 0;
		ip[5] = 20;
		memcpy(src.b, ip + 8, 16);
		memcpy(dst.b, ip + 24, 16);
	}
	sum = (uint16_t)~cksum_fold(cksum_pseudo(&src, &dst, 6, 20) + cksum_sum(tcp, 20));
	memcpy(tcp + 16, &sum, 2);
	m->data_len = (uint16_t)(14 + ip_bytes + 20);
	m->pkt_len = m->data_len;
	m->ol_flags = 0;
	return rte_ring_sp_enqueue(core_ring_injected(ka->core), m) == 0;
}

uint32_t model_ka_poll(struct model_ka *ka)
{
	struct rte_ring *punted = core_ring_punted(ka->core);
	struct eta_admin_msg msg;
	struct rte_mbuf *frame;
	uint32_t n = 0;

	while (rte_ring_sc_dequeue(punted, (void **)&frame) == 0) {
		n++;
		if (!kernel_answer(ka, frame))
			rte_pktmbuf_free(frame);
	}
	while (rte_ring_sc_dequeue_elem(core_ring_answers(ka->core), &msg, sizeof(msg)) == 0) {
		n++;
		if (msg.op < 256)
			ka->notices[msg.op]++;
		if (msg.op == ETA_ADMIN_DONE && msg.cookie <= ka->cookie)
			ka->status[msg.cookie] = (int16_t)msg.status;
		else if (msg.op == ETA_ADMIN_NEIGH_WANT)
			neigh_wanted(ka, &msg);
		else if (msg.op == ETA_ADMIN_SEG_WANT)
			seg_wanted(ka, msg.session);
	}
	return n;
}

/* ---- sessions ---- */

static uint32_t lay(uint64_t *at, uint64_t bytes, uint64_t align)
{
	uint64_t off = (*at + align - 1) / align * align;

	*at = off + bytes;
	return (uint32_t)off;
}

/* Zeroed, and paid for only where it is touched; behind it lies a page that nobody may touch. */
static uint8_t *seg_map(uint64_t bytes)
{
	uint8_t *p = mmap(NULL, bytes + ETA_PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);

	if (p == MAP_FAILED || mprotect(p, bytes, PROT_READ | PROT_WRITE) != 0)
		p = NULL;
	return model_must(p);
}

static void seg_add(struct model *m, struct model_seg *g, uint64_t bytes)
{
	struct eta_admin_msg msg = {.op = ETA_ADMIN_SEG_ADD, .session = m->number};

	g->bytes = (bytes + ETA_PAGE_BYTES - 1) / ETA_PAGE_BYTES * ETA_PAGE_BYTES;
	g->base = seg_map(g->bytes);
	msg.seg.seg = (uint8_t)(g - m->seg);
	msg.seg.kind = g->kind;
	msg.seg.dti_off = g->dti_off;
	msg.seg.dti_n = g->dti_n;
	msg.seg.meta_off = g->meta_off;
	msg.seg.chunk_off = g->chunk_off;
	msg.seg.chunk_pages = g->chunk_pages;
	msg.seg.base = g->base;
	msg.seg.bytes = g->bytes;
	(void)model_ka_command(m->ka, &msg);
}

static void seg_build(struct model *m, uint8_t kind, bool is_first)
{
	struct model_seg *g = &m->seg[m->seg_n++];
	bool is_al = kind == ETA_SEG_AL;
	uint64_t at = 0;

	g->kind = kind;
	g->dti_n = is_first ? m->conf.dtis_n : 0;
	g->chunk_pages = is_al ? m->conf.snd_pages : m->conf.rcv_pages;
	g->dti_off = lay(&at, g->dti_n * (uint64_t)ETA_DTI_HALF_BYTES, 64);
	if (is_first && is_al)
		g->doorbell_off = lay(&at, m->conf.doorbell_n * 32ull, 64);
	if (is_first && !is_al)
		g->event_off = lay(&at, m->conf.event_n * 32ull, 64);
	g->credit_off = lay(&at, sizeof(struct eta_doorbell_credit), 64);
	g->meta_off = lay(&at, g->chunk_pages * sizeof(struct eta_chunk_meta), 64);
	g->chunk_off = lay(&at, g->chunk_pages * (uint64_t)ETA_PAGE_BYTES, ETA_PAGE_BYTES);
	seg_add(m, g, at);
}

void model_seg_grow(struct model *m)
{
	if (m->rcv_segs_n >= m->conf.rcv_segs_max || m->seg_n == MODEL_SEGS_MAX)
		return;
	m->rcv_segs_n++;
	seg_build(m, ETA_SEG_EN, false);
}

static void attach_session(struct model *m)
{
	struct eta_admin_msg msg = {.op = ETA_ADMIN_SESSION_ADD, .session = m->number};

	msg.session_add.dtis_max = m->conf.dtis_n;
	msg.session_add.rcv_bytes_max = (uint32_t)m->conf.rcv_bytes_max;
	msg.session_add.inherited_n = m->inherited_n;
	for (uint32_t i = 0; i < m->inherited_n; i++)
		msg.session_add.inherited[i] = m->inherited[i]->number;
	(void)model_ka_command(m->ka, &msg);
}

static void ring_add(struct model *m)
{
	struct eta_admin_msg msg = {.op = ETA_ADMIN_RING_ADD, .session = m->number};
	struct model_seg *al = &m->seg[0], *en = &m->seg[1];

	msg.ring.ring = 0;
	msg.ring.seg_al = 0;
	msg.ring.seg_en = 1;
	msg.ring.doorbell_n = m->conf.doorbell_n;
	msg.ring.doorbell_off = al->doorbell_off;
	msg.ring.doorbell_credit_off = en->credit_off;
	msg.ring.event_n = m->conf.event_n;
	msg.ring.event_off = en->event_off;
	msg.ring.event_credit_off = al->credit_off;
	msg.ring.wake_fd = m->wake[1];
	msg.ring.kick_fd = m->kick_fd;
	m->cookie = model_ka_command(m->ka, &msg);
	m->db.slots = (struct eta_ring_slot *)(void *)(al->base + al->doorbell_off);
	m->db.credit = (const struct eta_ring_credit *)(const void *)(en->base + en->credit_off);
	m->db.n = m->conf.doorbell_n;
	m->db_credit = (const struct eta_doorbell_credit *)(const void *)m->db.credit;
	m->ev.slots = (const struct eta_ring_slot *)(const void *)(en->base + en->event_off);
	m->ev.credit = (struct eta_ring_credit *)(void *)(al->base + al->credit_off);
	m->ev.n = m->conf.event_n;
	m->ev_credit = m->ev.credit;
}

static uint32_t or_default(uint32_t v, uint32_t def)
{
	return v ? v : def;
}

static void conf_fill(struct model_conf *conf)
{
	conf->dtis_n = or_default(conf->dtis_n, 256);
	conf->snd_pages = or_default(conf->snd_pages, 1024);
	conf->rcv_pages = or_default(conf->rcv_pages, 1024);
	conf->rcv_segs_max = or_default(conf->rcv_segs_max, 4);
	conf->doorbell_n = or_default(conf->doorbell_n, 256);
	conf->event_n = or_default(conf->event_n, 256);
}

struct model *model_attach(struct model_ka *ka, const struct model_conf *conf)
{
	struct model *m = model_must(calloc(1, sizeof(*m)));
	struct eta_dti_al *al;

	m->ka = ka;
	m->conf = *conf;
	conf_fill(&m->conf);
	m->number = ++ka->session;
	m->next = ka->models;
	ka->models = m;
	m->kick_fd = conf->has_kick ? eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) : -1;
	if (pipe2(m->wake, O_NONBLOCK | O_CLOEXEC) != 0)
		abort();
	for (const struct model *p = conf->parent; p && m->inherited_n < 15; p = p->conf.parent)
		m->inherited[m->inherited_n++] = p;
	m->page_used = model_must(calloc(m->conf.snd_pages, 1));
	m->free_dti = model_must(calloc(m->conf.dtis_n, sizeof(*m->free_dti)));
	m->by_dti = model_must(calloc(m->conf.dtis_n, sizeof(*m->by_dti)));
	m->free_n = m->conf.dtis_n;
	attach_session(m);
	seg_build(m, ETA_SEG_AL, true);
	m->rcv_segs_n = 1;
	seg_build(m, ETA_SEG_EN, true);
	al = (struct eta_dti_al *)(void *)(m->seg[0].base + m->seg[0].dti_off);
	for (uint32_t i = 0; i < m->conf.dtis_n; i++) {
		m->free_dti[i] = i;
		al[i].chunk = ETA_CHUNK_NONE;
	}
	ring_add(m);
	return m;
}

void model_grant(struct model *m, uint32_t rcv_segs_max)
{
	m->conf.rcv_segs_max = rcv_segs_max;
}

bool model_is_attached(struct model *m)
{
	return model_ka_status(m->ka, m->cookie) == ETA_STATUS_OK;
}

void model_die(struct model *m, bool orderly)
{
	struct eta_admin_msg msg = {.op = ETA_ADMIN_SESSION_DEL, .session = m->number};

	if (m->is_dead)
		return;
	m->is_dead = true;
	msg.session_add.orderly = orderly;
	m->die_cookie = model_ka_command(m->ka, &msg);
}

bool model_is_gone(struct model *m)
{
	return m->is_dead && model_ka_status(m->ka, m->die_cookie) == ETA_STATUS_OK;
}

uint32_t model_number(const struct model *m)
{
	return m->number;
}

static void model_free(struct model *m)
{
	struct model_conn *c = m->conns;

	while (c) {
		struct model_conn *next = c->next;

		while (c->first) {
			struct model_chunk *k = c->first;

			c->first = k->next;
			free(k);
		}
		free(c);
		c = next;
	}
	for (uint32_t i = 0; i < m->seg_n; i++)
		munmap(m->seg[i].base, m->seg[i].bytes + ETA_PAGE_BYTES);
	(void)close(m->wake[0]);
	(void)close(m->wake[1]);
	if (m->kick_fd >= 0)
		(void)close(m->kick_fd);
	free(m->page_used);
	free(m->free_dti);
	free(m->by_dti);
	free(m);
}

/* The engine is not turned any more, so what it still refers to does not matter; but it must not have kick descriptors of ours. */
void model_ka_destroy(struct model_ka *ka)
{
	while (ka->models) {
		struct model *m = ka->models;

		ka->models = m->next;
		model_free(m);
	}
	free(ka->status);
	free(ka);
}

/* ---- opens that need the kernel agent ---- */

static struct model_conn *conn_take(struct model *m)
{
	uint32_t dti;

	if (m->free_n == 0)
		return NULL;
	dti = m->free_dti[m->free_head];
	m->free_head = (m->free_head + 1) % m->conf.dtis_n;
	m->free_n--;
	return model_conn_new(m, m, dti);
}

static void param_remote(struct model_conn *c, const char *raddr, uint16_t rport)
{
	struct ip_addr a = addr_parse(raddr);

	memcpy(c->al->raddr, a.b, 16);
	c->al->rport_be = htons(rport);
}

struct model_conn *model_connect(struct model *m, const char *raddr, uint16_t rport)
{
	struct model_conn *c = conn_take(m);

	if (!c)
		return NULL;
	param_remote(c, raddr, rport);
	model_ring_op(c, ETA_DB_CONNECT, 0, MODEL_MASK);
	return c;
}

struct model_conn *model_connect_from(struct model *m, const char *laddr, uint16_t lport,
		const char *raddr, uint16_t rport)
{
	struct eta_admin_msg msg = {.op = ETA_ADMIN_BIND, .session = m->number};
	struct model_conn *c = conn_take(m);
	struct ip_addr a = addr_parse(laddr);

	if (!c)
		return NULL;
	param_remote(c, raddr, rport);
	c->al->opt = ETA_OPT_LOCAL_BOUND;
	msg.dti.dti = c->dti;
	msg.dti.gen = c->gen;
	msg.dti.lport_be = htons(lport);
	memcpy(msg.dti.laddr, a.b, 16);
	c->cookie = model_ka_command(m->ka, &msg);
	c->is_connect_pending = true;
	return c;
}

struct model_conn *model_listen(struct model *m, const char *laddr, uint16_t lport,
		uint32_t backlog, uint32_t children)
{
	struct eta_admin_msg msg = {.op = ETA_ADMIN_LISTEN, .session = m->number};
	struct model_conn *c = conn_take(m);
	struct ip_addr a = addr_parse(laddr);

	if (!c)
		return NULL;
	c->is_master = true;
	c->children_owed = children;
	model_ring_op(c, ETA_DB_SUBSCRIBE, 0, MODEL_MASK);
	msg.dti.dti = c->dti;
	msg.dti.gen = c->gen;
	msg.dti.lport_be = htons(lport);
	msg.dti.backlog = backlog;
	memcpy(msg.dti.laddr, a.b, 16);
	c->cookie = model_ka_command(m->ka, &msg);
	return c;
}

struct model_conn *model_listen_share(struct model *m, struct model_conn *master, uint32_t children)
{
	struct model_conn *c = model_conn_new(m, master->owner, master->dti);

	c->is_master = true;
	c->children_owed = children;
	model_ring_op(c, ETA_DB_SUBSCRIBE, 0, MODEL_MASK);
	return c;
}

void model_post_children(struct model_conn *master, uint32_t n)
{
	master->children_owed += n;
}
