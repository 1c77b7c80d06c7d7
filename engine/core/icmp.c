/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the network says about itself: ICMP errors, and how large packets may be.
 *
 * An error is believed if it quotes a segment that is in flight on a connection of ours (RFC 5927 4.1); then it is TCP's, and what it says of
 * the path MTU is every connection's to that destination. The size that a connection may use is the smallest of port, route and
 * path cache. Contexts keep it as their MSS, so a change of any of the three is brought to all of them by a walk over the table, a
 * slice in each turn: ICMP, the end of a cache entry, and KA's word of links and routes start it. A walk that is wanted while one is
 * under way begins its count anew from where it is, so each context is visited after the last change.
 *
 * RFC 1191, RFC 8201, RFC 5927, RFC 1122 4.2.3.9.
 */
#include "engine/core/core.h"

#define WALK_SLICE 256u

/* IP and TCP headers without options. */
static uint16_t hdrs_bytes(const struct ip_addr *dst)
{
	return ip_addr_is_v4(dst) ? 40 : 60;
}

void core_mtu_changed(struct core *core)
{
	core->mtu_left = core->dti.ctx_n;
	core->net_look_us = core->now_us;
}

static void mtu_walk(struct core *core)
{
	for (uint32_t i = 0; i < WALK_SLICE && core->mtu_left > 0; i++, core->mtu_left--) {
		uint32_t idx = core->mtu_at = (core->mtu_at + 1) % core->dti.ctx_n;
		const struct dti_ctx *c = &core->dti.ctx[idx];
		uint16_t mtu, path;

		if (!(c->flags & DTI_CTX_HASHED))
			continue;
		mtu = route_mtu(core->net.route, &c->tuple.raddr);
		path = pmtu_find(core->net.pmtu, &c->tuple.raddr, core->now_us);
		if (path != 0 && path < mtu)
			mtu = path;
		if (mtu > hdrs_bytes(&c->tuple.raddr))
			tcp_mss_changed(&core->tcp, core, &core->tcp.ctx[idx],
					mtu - hdrs_bytes(&c->tuple.raddr), core->now_us);
	}
}

ETA_COLD void core_net_look(struct core *core)
{
	if (core->net.frag->used_n > 0)
		ip_frag_sweep(core->net.frag, &core->net.stats, core->now_us);
	if (core->net.pmtu->n > 0 && pmtu_expire(core->net.pmtu, core->now_us) > 0) {
		route_touch(core->net.route); /* hops were remembered with what is forgotten now */
		core_mtu_changed(core);
	}
	mtu_walk(core);
	core->net_look_us = core->now_us + (core->mtu_left > 0 ? 0 : CORE_NET_LOOK_US);
}

static void too_big(struct core *core, struct tcp_ctx *ctx, const struct icmp_err *e)
{
	struct core_hop *h = core_hop(core, &e->tuple.raddr);
	uint16_t bytes = pmtu_clamp(&e->tuple.raddr, e->mtu);

	if (h->result != ROUTE_OK || bytes >= h->hop.mtu) {
		core->net.stats.icmp_mtu_ignored++;
		return;
	}
	core->net.stats.icmp_mtu++;
	pmtu_set(core->net.pmtu, &e->tuple.raddr, bytes, core->now_us);
	h->hop.mtu = bytes;
	tcp_mss_changed(&core->tcp, core, ctx, bytes - hdrs_bytes(&e->tuple.raddr), core->now_us);
	core_mtu_changed(core);
}

/* Linux's choice: IPv4 network or host unreachable, or expired on the way; IPv6 what is final. */
static bool ends_embryo(const struct icmp_err *e)
{
	if (ip_addr_is_v4(&e->tuple.raddr))
		return e->kind == ICMP_TIME_EXCEEDED ||
		       (e->kind == ICMP_UNREACH_SOFT && e->code <= 1);
	return e->kind == ICMP_UNREACH_HARD || e->kind == ICMP_PARAM_PROBLEM;
}

ETA_COLD void core_rx_icmp(struct core *core, const struct icmp_err *e)
{
	uint32_t idx = ctable_find(&core->ctable, &e->tuple);
	struct tcp_ctx *ctx = &core->tcp.ctx[idx];
	enum eta_status why = icmp_rx_status(e);

	if (idx == 0) {
		core->net.stats.icmp_no_ctx++;
	} else if (!tcp_icmp_is_credible(ctx, e->seq)) {
		core->tcp.stats.icmp_out_of_window++;
	} else if (e->kind == ICMP_FRAG_NEEDED) {
		too_big(core, ctx, e);
	} else if (!tcp_icmp_error(&core->tcp, core, ctx, why, ends_embryo(e), core->now_us)) {
		core->net.stats.icmp_error++;
		dti_soft_error(&core->dti, idx, why);
	} else {
		core->net.stats.icmp_error++;
	}
}
