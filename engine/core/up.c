/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What TCP and the DTI room ask of the core: slots, the context table, next hops, output.
 *
 * Next hops are remembered per destination, not per context: a host talks to few neighbours with many connections, and a context stays
 * small. A segment that meets an unresolved neighbour is not sent; TCP tries again every 2 ms. One that has no way at all ends
 * a connection attempt; TCP may not be called from here, so the context is noted for the end of the stage.
 */
#include <string.h>

#include <arpa/inet.h>

#include "engine/core/core.h"
#include "engine/dti/dti_up.h"

#define MSS_UNKNOWN_V4 536u /* RFC 9293 3.7.1 */
#define MSS_UNKNOWN_V6 1220u

/* ---- slots and table ---- */

uint32_t dti_up_ctx_alloc(struct core *env)
{
	uint32_t idx;

	if (env->ctx_free_n == 0) {
		env->stats.ctx_full++;
		return 0;
	}
	idx = env->ctx_free[--env->ctx_free_n];
	memset(&env->tcp.ctx[idx], 0, sizeof(env->tcp.ctx[idx]));
	memset(&env->dti.ctx[idx], 0, sizeof(env->dti.ctx[idx]));
	env->tcp.ctx[idx].idx = idx;
	env->dti.ctx[idx].rcv_chunk = env->dti.ctx[idx].rcv_last = ETA_CHUNK_NONE;
	return idx;
}

uint32_t dti_up_ctx_left(const struct core *env)
{
	return env->ctx_free_n;
}

void dti_up_ctx_free(struct core *env, uint32_t idx)
{
	memset(&env->dti.ctx[idx], 0, sizeof(env->dti.ctx[idx]));
	env->ctx_free[env->ctx_free_n++] = idx;
	trace(env->trace, env->now_us, TRACE_FREE, idx, 0, 0, 0);
}

bool dti_up_ctx_hash(struct core *env, uint32_t idx)
{
	struct dti_ctx *c = &env->dti.ctx[idx];

	if (ctable_add(&env->ctable, &c->tuple, idx) != 0)
		return false;
	c->flags |= DTI_CTX_HASHED;
	trace(env->trace, env->now_us, TRACE_OPEN, idx, c->session, c->dti, c->gen);
	return true;
}

void dti_up_ctx_unhash(struct core *env, uint32_t idx)
{
	struct dti_ctx *c = &env->dti.ctx[idx];

	if (!(c->flags & DTI_CTX_HASHED))
		return;
	c->flags &= ~DTI_CTX_HASHED;
	ctable_del(&env->ctable, &c->tuple);
}

/* ---- next hops ---- */

static inline uint32_t hop_slot(const struct ip_addr *dst)
{
	uint64_t h = (dst->q[0] * 0x9e3779b97f4a7c15ull) ^ (dst->q[1] * 0xc2b2ae3d27d4eb4full);

	return (uint32_t)(h >> 40) & (CORE_HOPS - 1);
}

static ETA_COLD struct core_hop *hop_resolve(
		struct core *core, struct core_hop *h, const struct ip_addr *dst)
{
	const struct port *port;

	h->dst = *dst;
	h->confirm_us = 0;
	h->result = (uint8_t)route_resolve(core->net.route, dst, core->now_us, &h->hop);
	if (h->result != ROUTE_LOCAL) {
		uint16_t path = pmtu_find(core->net.pmtu, dst, core->now_us);

		if (path != 0 && path < h->hop.mtu)
			h->hop.mtu = path;
		return h;
	}
	/* Without turnaround: out of the first port, to ourselves; its wire brings it back (a looped port) or nobody does. */
	port = core->turn_port ? core->turn_port : core->net.port[0];
	if (!port) {
		h->result = ROUTE_NONE;
		return h;
	}
	h->hop.port = port->idx;
	h->hop.mtu = port->mtu;
	memcpy(h->hop.dmac, port->mac, 6);
	memcpy(h->hop.smac, port->mac, 6);
	return h;
}

static inline struct core_hop *hop_of(struct core *core, const struct ip_addr *dst)
{
	struct core_hop *h = &core->hop[hop_slot(dst)];

	if (ETA_LIKELY(ip_addr_equal(&h->dst, dst) &&
			    route_hop_is_current(&h->hop, route_epoch(core->net.route))))
		return h;
	return hop_resolve(core, h, dst);
}

struct core_hop *core_hop(struct core *core, const struct ip_addr *dst)
{
	return hop_of(core, dst);
}

/* What cannot be remembered here meets the same answer at its next try. */
static void failed_add(struct core *core, uint32_t idx)
{
	if (core->failed_n < CORE_FAILED)
		core->failed[core->failed_n++] = idx;
}

void core_fail_unreachable(struct core *core)
{
	uint32_t n = core->failed_n;

	core->failed_n = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t idx = core->failed[i];
		struct tcp_ctx *ctx = &core->tcp.ctx[idx];

		if (core->dti.ctx[idx].flags & DTI_CTX_HASHED)
			(void)tcp_icmp_error(&core->tcp, core, ctx, ETA_STATUS_UNREACHABLE, false,
					core->now_us);
	}
}

/* ---- active opens ---- */

enum eta_status dti_up_local(struct core *env, struct ip_tuple *tuple, uint16_t session)
{
	bool is_given = !ip_addr_is_any(&tuple->laddr);
	enum route_result r;
	struct ip_addr src;

	(void)session; /* its quota of contexts bounds its ports too */
	if (tuple->rport_be == 0 || ip_addr_is_any(&tuple->raddr)) {
		env->stats.open_not_carried++;
		return ETA_STATUS_NOT_CARRIED;
	}
	r = route_source(env->net.route, &tuple->raddr, &src);
	/* to ourselves: only where a program of ours listens */
	if (r == ROUTE_LOCAL && dti_listener(&env->dti, &tuple->raddr, tuple->rport_be) != 0)
		r = ROUTE_OK;
	if (r != ROUTE_OK && r != ROUTE_NEIGH_PENDING && r != ROUTE_NEIGH_FAILED) {
		env->stats.open_not_carried++;
		return ETA_STATUS_NOT_CARRIED;
	}
	if (!is_given)
		tuple->laddr = src;
	else if (!route_is_local(env->net.route, &tuple->laddr))
		return ETA_STATUS_ADDR_INVALID;
	if (ip_addr_is_v4(&tuple->laddr) != ip_addr_is_v4(&tuple->raddr))
		return ETA_STATUS_ADDR_INVALID;
	if (tuple->lport_be != 0)
		return ports_is_free(env, tuple) ? ETA_STATUS_OK : ETA_STATUS_ADDR_IN_USE;
	return ports_pick(env, tuple) ? ETA_STATUS_OK : ETA_STATUS_ADDR_INVALID;
}

bool dti_up_port_is_odd(const struct core *env, uint16_t port_be)
{
	uint16_t port = ntohs(port_be);

	return port < env->port_lo || port > env->port_hi;
}

bool dti_up_notice(struct core *env, const struct eta_admin_msg *msg)
{
	if (rte_ring_free_count(env->answers) < CORE_NOTICE_ROOM ||
			rte_ring_sp_enqueue_elem(
					env->answers, (void *)(uintptr_t)msg, sizeof(*msg)) != 0)
		return false;
	env->is_answered = true;
	return true;
}

/* ---- output ---- */

/* A SYN-ACK, or a RST without context: it may go back where the frame came from. */
static bool reply_hop(struct core *core, const struct ip_addr *dst, struct net_hop *hop)
{
	enum route_result r;

	if (!core->reply_to.smac)
		return false;
	r = route_resolve_reply(core->net.route, dst, core->reply_to.port, core->reply_to.smac,
			core->now_us, hop);
	return r == ROUTE_OK;
}

/* Where does a segment to @dst go? Return: NULL = nowhere now, counted. */
static const struct net_hop *out_hop(struct core *core, const struct tcp_ctx *ctx,
		const struct ip_addr *dst, struct net_hop *once)
{
	const struct core_hop *h;

	if ((!ctx || ctx->state == TCP_STATE_SYN_RECEIVED) && core->reply_to.smac &&
			core->reply_to.port < core->net.ports_n &&
			core->net.port[core->reply_to.port] != core->turn_port &&
			reply_hop(core, dst, once))
		return once;
	h = hop_of(core, dst);
	if (h->result == ROUTE_OK || h->result == ROUTE_LOCAL)
		return &h->hop;
	if (h->result == ROUTE_NEIGH_PENDING) {
		core->stats.tx_pending++;
	} else {
		core->stats.tx_no_hop++;
		if (ctx)
			failed_add(core, ctx->idx);
	}
	return NULL;
}

int32_t tcp_up_send(struct core *env, struct tcp_ctx *ctx, const struct ip_tuple *tuple,
		const struct tcp_txseg *seg)
{
	struct net_iov iov[IP_TX_IOVS_MAX];
	struct ip_tx_opt opt = {0};
	const struct net_hop *hop;
	struct dti_ctx *c = NULL;
	struct net_hop once;
	struct tcp_txseg part;
	uint32_t iov_n = 0;
	uint32_t got;

	if (ctx) {
		c = &env->dti.ctx[ctx->idx];
		tuple = &c->tuple;
		opt.dscp = c->tos >> 2;
		opt.ttl = c->ttl;
	}
	hop = out_hop(env, ctx, &tuple->raddr, &once);
	if (!hop)
		return -1;
	trace(env->trace, env->now_us, TRACE_TX, ctx ? ctx->idx : 0, seg->seq, seg->len,
			seg->flags);
	if (seg->len == 0)
		return ip_tx_tcp(&env->net, hop, tuple, seg, &opt, iov, 0);
	got = c ? source_iov(&env->dti, c, seg->off, seg->len, iov, &iov_n) : 0;
	if (got == 0) {
		env->stats.tx_no_bytes++;
		env->dti.is_unfinished = true;
		/* nobody is left to link the chunks that are missing: these bytes will never come */
		if (c && env->dti.session[c->session].state == SESSION_DYING)
			dti_kill(&env->dti, ctx->idx);
		return -1;
	}
	if (got == seg->len)
		return ip_tx_tcp(&env->net, hop, tuple, seg, &opt, iov, iov_n);
	part = *seg;
	part.len = got;
	part.flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	return ip_tx_tcp(&env->net, hop, tuple, &part, &opt, iov, iov_n);
}

uint16_t tcp_up_mss(struct core *env, const struct ip_tuple *tuple)
{
	const struct core_hop *h = core_hop(env, &tuple->raddr);

	if (h->result == ROUTE_OK || h->result == ROUTE_LOCAL || h->result == ROUTE_NEIGH_PENDING)
		return ip_tx_mss(&h->hop, &tuple->raddr);
	return ip_addr_is_v4(&tuple->raddr) ? MSS_UNKNOWN_V4 : MSS_UNKNOWN_V6;
}

uint32_t tcp_up_burst_bytes(struct core *env, const struct tcp_ctx *ctx)
{
	const struct core_hop *h = core_hop(env, &env->dti.ctx[ctx->idx].tuple.raddr);

	if ((h->result != ROUTE_OK && h->result != ROUTE_LOCAL) || ctx->mss == 0)
		return ctx->mss;
	return ip_tx_burst_bytes(&env->net, h->hop.port, ctx->mss);
}
