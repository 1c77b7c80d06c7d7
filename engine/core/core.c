/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * THE LOOP.
 *
 * One turn: receive -> TCP -> events -> doorbells -> timers -> commands -> doorbells again -> output -> events -> transmit. Nothing below
 * core_poll_once() allocates, locks, sleeps, calls the kernel or reads a clock, but for waking sleepers and, in sampled turns, the cycle
 * counter. Every stage is bounded, so a turn is.
 */
#include "engine/core/core.h"

#include <rte_cycles.h>
#include <rte_prefetch.h>

#include "engine/dti/doorbell.h"
#include "engine/dti/dti_up.h"

#define CONFIRM_US 1000000u
#define CONFIRM_TICK_SHIFT \
	20 /* of microseconds: the last neighbour is looked at once in about a second */
#define OWING_LOOK_US 1000u /* AL makes room in a full event queue without telling */
#define SWEEP_LOOK_US 100000u

/* ---- one received frame ---- */

static bool is_hidden(const struct core *core, uint16_t port_be)
{
	return (core->hidden[port_be / 8] >> (port_be % 8)) & 1;
}

/*
 * Do we own what this segment was sent to, so that the kernel has not seen it? The filter outlives a listener while connections of its port go
 * on; a SYN that comes then is answered by nobody but the kernel, and reaches it by us alone.
 */
static enum punt_why why_punt(const struct core *core, const struct ip_pkt *pkt)
{
	if (pkt->verdict != IP_RX_TCP)
		return PUNT_FOREIGN;
	if (!dti_up_port_is_odd(core, pkt->tuple.lport_be) ||
			is_hidden(core, pkt->tuple.lport_be) ||
			dti_listener(&core->dti, &pkt->tuple.laddr, pkt->tuple.lport_be) != 0)
		return PUNT_OWNED;
	return PUNT_FOREIGN;
}

static void punt(struct core *core, struct port *port, struct rte_mbuf *m, const struct ip_pkt *pkt)
{
	enum punt_why why = why_punt(core, pkt);

	trace(core->trace, core->now_us, TRACE_PUNT, port->idx, why, pkt->tuple.lport_be,
			pkt->tuple.rport_be);
	if (port == core->turn_port)
		rte_pktmbuf_free(m);
	else
		punt_frame(&core->net, port, m, why);
}

static bool limit_pass(struct core_limit *l, uint64_t now_us, uint32_t per_s)
{
	if (now_us - l->since_us >= 1000000) {
		l->since_us = now_us;
		l->used = 0;
	}
	if (l->used == per_s)
		return false;
	l->used++;
	return true;
}

/* A SYN for listener @idx. Return: true = done with it; false = left to the kernel's listener. */
static bool rx_syn(
		struct core *core, const struct port *port, const struct ip_pkt *pkt, uint32_t idx)
{
	struct tcp_stack *tcp = &core->tcp;

	if (tcp_rx(tcp, core, &tcp->ctx[idx], &pkt->seg, &pkt->tuple, core->now_us) !=
			TCP_RX_REFUSED)
		return true;
	/* from inside: no kernel is asked, and a RST would be the wrong answer */
	if (port == core->turn_port)
		return true;
	if (tcp_cookies_are_out(tcp, core->now_us) ||
			!limit_pass(&core->fallback, core->now_us, CORE_FALLBACK_PER_S)) {
		core->stats.rx_flood++;
		return true;
	}
	core->stats.rx_fallback++;
	return false;
}

/* While cookies are out, any other segment for listener @idx. Return: as above. */
static bool rx_cookie(struct core *core, const struct ip_pkt *pkt, uint32_t idx)
{
	struct tcp_stack *tcp = &core->tcp;

	if (tcp_rx_cookie(tcp, core, &tcp->ctx[idx], &pkt->seg, &pkt->tuple, core->now_us))
		return true;
	if (limit_pass(&core->bad_cookie, core->now_us, CORE_BAD_COOKIE_PER_S))
		return false;
	core->stats.rx_flood++;
	return true;
}

/*
 * No context. A SYN may find a listener, and an ACK, if it brings back a cookie. All else that comes from outside is the kernel's, whose address it is: we never answer there.
 * What comes from inside has no other to answer it.
 */
static void rx_no_ctx(
		struct core *core, struct port *port, struct rte_mbuf *m, const struct ip_pkt *pkt)
{
	bool is_syn = (pkt->seg.flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN;
	uint32_t idx = 0;

	if (!route_is_local(core->net.route, &pkt->tuple.laddr)) {
		core->stats.rx_not_local++;
		punt(core, port, m, pkt);
		return;
	}
	if (is_syn || tcp_cookies_are_out(&core->tcp, core->now_us))
		idx = dti_listener(&core->dti, &pkt->tuple.laddr, pkt->tuple.lport_be);
	if (idx != 0 && (is_syn ? rx_syn(core, port, pkt, idx) : rx_cookie(core, pkt, idx))) {
		rte_pktmbuf_free(m);
		return;
	}
	core->stats.rx_no_ctx++;
	if (port == core->turn_port)
		tcp_rx_no_ctx(&core->tcp, core, &pkt->tuple, &pkt->seg);
	punt(core, port, m, pkt);
}

/* The neighbour has delivered an acknowledgement: it is alive. */
static inline void confirm(struct core *core, const struct ip_addr *raddr)
{
	uint32_t tick = (uint32_t)(core->now_us >> CONFIRM_TICK_SHIFT);
	struct core_hop *h;

	if (core->confirm_tick == tick && ip_addr_equal(&core->confirm_addr, raddr))
		return;
	core->confirm_tick = tick;
	core->confirm_addr = *raddr;
	h = core_hop(core, raddr);
	if (h->result != ROUTE_OK || core->now_us - h->confirm_us < CONFIRM_US)
		return;
	h->confirm_us = core->now_us;
	route_confirm(core->net.route, &h->hop, core->now_us);
}

/*
 * @idx is what the burst's lookup said; an earlier segment of the burst may have changed it. Return: @m is left to the caller, who
 * frees those of the burst together.
 */
static inline bool rx_tcp(struct core *core, struct port *port, struct rte_mbuf *m,
		const struct ip_pkt *pkt, uint32_t idx)
{
	const struct dti_ctx *c = &core->dti.ctx[idx];
	enum tcp_verdict verdict;
	bool is_left = false;

	if (idx == 0 || !(c->flags & DTI_CTX_HASHED) || !ip_tuple_equal(&c->tuple, &pkt->tuple))
		idx = ctable_find(&core->ctable, &pkt->tuple);
	trace(core->trace, core->now_us, TRACE_RX, idx, pkt->seg.seq, pkt->seg.len, pkt->seg.flags);
	core->reply_to.port = port->idx;
	core->reply_to.smac = pkt->smac;
	if (idx == 0) {
		rx_no_ctx(core, port, m, pkt);
	} else {
		verdict = tcp_rx(&core->tcp, core, &core->tcp.ctx[idx], &pkt->seg, &pkt->tuple,
				core->now_us);
		if (verdict == TCP_RX_OK && (pkt->seg.flags & TCP_ACK))
			confirm(core, &pkt->tuple.raddr);
		if (verdict == TCP_RX_AGAIN)
			rx_no_ctx(core, port, m, pkt);
		else
			is_left = true;
	}
	core->reply_to.smac = NULL;
	return is_left;
}

/* A fragment: whose it is, see ip_frag.h. */
static ETA_COLD void rx_fragment(
		struct core *core, struct port *port, struct rte_mbuf *m, const struct ip_pkt *pkt)
{
	struct net_stats *stats = &core->net.stats;
	struct ip_frag_piece piece;
	struct ip_pkt first = {.verdict = IP_RX_TCP};
	enum ip_frag_kind kind = ip_frag_parse(m, pkt, &piece);
	struct ip_pkt whole_pkt;
	struct rte_mbuf *whole;

	first.tuple = piece.tuple;
	if (kind == IP_FRAG_BAD || kind == IP_FRAG_TINY) {
		*(kind == IP_FRAG_BAD ? &stats->frag_drop_bad : &stats->frag_drop_tiny) += 1;
		rte_pktmbuf_free(m);
		return;
	}
	if (kind == IP_FRAG_FOREIGN || !route_is_local(core->net.route, &piece.tuple.laddr) ||
			(kind == IP_FRAG_FIRST && why_punt(core, &first) != PUNT_OWNED)) {
		stats->frag_foreign++;
		punt(core, port, m, pkt);
		return;
	}
	whole = ip_frag_add(core->net.frag, stats, &piece, core->now_us);
	if (kind == IP_FRAG_FIRST)
		rte_pktmbuf_free(m);
	else
		punt(core, port, m, pkt);
	if (!whole)
		return;
	if (ip_rx_parse_whole(stats, port, whole, &whole_pkt) != IP_RX_TCP ||
			rx_tcp(core, port, whole, &whole_pkt, 0))
		rte_pktmbuf_free(whole);
}

/* ---- a burst ---- */

/* Free @n frames of one segment each, those of one pool at once: half of what rte_pktmbuf_free_bulk() does is for chains. */
static inline void free_frames(struct rte_mbuf **m, uint32_t n)
{
	uint32_t whole_n = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct rte_mbuf *whole = rte_pktmbuf_prefree_seg(m[i]);

		if (ETA_UNLIKELY(!whole))
			continue;
		if (ETA_UNLIKELY(whole_n > 0 && m[0]->pool != whole->pool)) {
			rte_mempool_put_bulk(m[0]->pool, (void **)m, whole_n);
			whole_n = 0;
		}
		m[whole_n++] = whole;
	}
	if (whole_n > 0)
		rte_mempool_put_bulk(m[0]->pool, (void **)m, whole_n);
}

static uint32_t rx_port(struct core *core, uint32_t p)
{
	struct port *port = core->net.port[p];
	const struct ip_tuple *tuple[PORT_BURST];
	struct rte_mbuf *m[PORT_BURST];
	struct ip_pkt pkt[PORT_BURST];
	uint32_t idx[PORT_BURST];
	uint32_t at[PORT_BURST];
	uint32_t n = net_rx_burst(&core->net, p, m);
	uint32_t tcp_n = 0, left_n = 0;

	for (uint32_t i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(m[i], const char *));
	for (uint32_t i = 0; i < n; i++) {
		if (ip_rx_parse(&core->net.stats, port, m[i], &pkt[i]) != IP_RX_TCP)
			continue;
		tuple[tcp_n] = &pkt[i].tuple;
		at[i] = tcp_n++;
	}
	if (tcp_n > 0)
		ctable_find_bulk(&core->ctable, tuple, tcp_n, idx);
	for (uint32_t i = 0; i < tcp_n; i++) {
		rte_prefetch0(&core->tcp.ctx[idx[i]]);
		rte_prefetch0(&core->dti.ctx[idx[i]]);
	}
	for (uint32_t i = 0; i < n; i++) {
		switch ((enum ip_verdict)pkt[i].verdict) {
		case IP_RX_TCP:
			/* its place in the array has been passed */
			if (rx_tcp(core, port, m[i], &pkt[i], idx[at[i]]))
				m[left_n++] = m[i];
			break;
		case IP_RX_ICMP_ERR:
			core_rx_icmp(core, &pkt[i].icmp);
			punt(core, port, m[i], &pkt[i]);
			break;
		case IP_RX_FRAGMENT: rx_fragment(core, port, m[i], &pkt[i]); break;
		case IP_RX_FOREIGN: punt(core, port, m[i], &pkt[i]); break;
		case IP_RX_DROP: rte_pktmbuf_free(m[i]); break;
		}
	}
	if (left_n > 0)
		free_frames(m, left_n);
	return n;
}

static uint32_t rx_all(struct core *core)
{
	uint32_t n = 0;

	for (uint32_t p = 0; p < core->net.ports_n; p++)
		n += rx_port(core, p);
	return n;
}

static void begin(struct core *core, uint64_t now_us)
{
	core->now_us = now_us;
	core->net.now_us = now_us;
	core->dti.now_us = now_us;
	core->dti.is_unfinished = false;
	/* nothing is in the wheel yet, and engine_create() did not know what time it is */
	if (ETA_UNLIKELY(core->stats.loops == 0))
		wheel_init(&core->tcp.wheel, (uint32_t)(now_us / 1000));
	/* at random: work comes in beats of some turns, and a fixed step would fall in with them */
	core->is_sampled = core->stats.loops++ == core->sample_at;
	if (ETA_UNLIKELY(core->is_sampled)) {
		core->sample_rand = core->sample_rand * 1664525u + 1013904223u;
		core->sample_at = core->stats.loops + (core->sample_rand >> 8) % 127u;
	}
	core->page->loops = core->stats.loops;
}

uint32_t core_poll_once(struct core *core, uint64_t now_us)
{
	struct dti *d = &core->dti;
	uint32_t work = 0;
	uint64_t cyc;

	begin(core, now_us);
	cyc = core->is_sampled ? rte_rdtsc() : 0;

	work += rx_all(core);
	cyc = core_stage_end(core, CORE_STAGE_RX, cyc);
	event_publish(d);
	cyc = core_stage_end(core, CORE_STAGE_EVENTS, cyc);
	work += doorbell_drain(d);
	cyc = core_stage_end(core, CORE_STAGE_DOORBELLS, cyc);
	work += tcp_timers(&core->tcp, core, now_us, CORE_TIMER_BUDGET);
	cyc = core_stage_end(core, CORE_STAGE_TIMERS, cyc);
	work += admin_poll(core);
	cyc = core_stage_end(core, CORE_STAGE_ADMIN, cyc);
	if (tcp_flush(&core->tcp, core, now_us))
		d->is_unfinished = true;
	if (core->failed_n > 0)
		core_fail_unreachable(core);
	cyc = core_stage_end(core, CORE_STAGE_OUTPUT, cyc);
	event_publish(d);
	cyc = core_stage_end(core, CORE_STAGE_EVENTS, cyc);
	net_tx_flush(&core->net);
	(void)core_stage_end(core, CORE_STAGE_TX, cyc);
	admin_notify(core);

	core->stats.loops_idle += work == 0;
	return work + d->is_unfinished;
}

uint64_t core_next_deadline_us(const struct core *core)
{
	const struct dti *d = &core->dti;
	uint64_t in_us = tcp_next_deadline_us(&core->tcp, core->now_us);

	if (d->is_unfinished || turn_waiting(core) > 0 || core->mtu_left > 0 ||
			d->visit_head != 0 || d->dirty_head != 0)
		return core->now_us;
	if (d->ending_n > 0)
		in_us = RTE_MIN(in_us, session_reap_in_us(d));
	if (d->owing != 0)
		in_us = RTE_MIN(in_us, (uint64_t)OWING_LOOK_US);
	if (d->is_take_short)
		in_us = RTE_MIN(in_us, (uint64_t)ACCEPT_RETRY_US);
	if (core->net.frag->used_n > 0 || core->net.pmtu->n > 0)
		in_us = RTE_MIN(in_us, core->net_look_us > core->now_us
						       ? core->net_look_us - core->now_us
						       : 0);
	if (d->sweep_new_head != 0 || d->sweep_old_head != 0)
		in_us = RTE_MIN(in_us, (uint64_t)SWEEP_LOOK_US);
	return in_us == UINT64_MAX ? UINT64_MAX : core->now_us + in_us;
}

void core_run(struct core *core)
{
	const uint64_t hz = core->conf->tsc_hz ? core->conf->tsc_hz : rte_get_tsc_hz();
	uint64_t idle_since_us = 0;
	bool is_idle = false;

	while (!core->is_stopped) {
		uint64_t tsc = rte_rdtsc();
		uint64_t now_us = (uint64_t)((unsigned __int128)tsc * 1000000u / hz);

		core->page->heartbeat_tsc = tsc;
		if (core_poll_once(core, now_us) > 0) {
			is_idle = false;
			continue;
		}
		if (!is_idle) {
			is_idle = true;
			idle_since_us = now_us;
		}
		rte_pause();
		if (core->conf->idle == ENGINE_IDLE_ADAPTIVE &&
				now_us - idle_since_us >= core->conf->idle_spin_us) {
			idle_sleep(core, now_us);
			is_idle = false;
		}
	}
}

const char *core_check(const struct core *core)
{
	const char *wrong = dti_check(&core->dti);
	uint32_t used = 0;

	for (uint32_t i = 1; i < core->dti.ctx_n && !wrong; i++) {
		const struct dti_ctx *c = &core->dti.ctx[i];

		used += c->flags != 0 || c->session != 0;
		if (c->flags & DTI_CTX_TCP_USED)
			wrong = tcp_ctx_check(&core->tcp, &core->tcp.ctx[i]);
		if (!wrong && (c->flags & DTI_CTX_HASHED) &&
				ctable_find(&core->ctable, &c->tuple) != i)
			wrong = "context is not found by its tuple";
	}
	if (!wrong && used + core->ctx_free_n != core->dti.ctx_n - 1)
		wrong = "a context slot leaked, or is free and used";
	if (!wrong)
		wrong = tcp_stack_check(&core->tcp);
	if (!wrong)
		wrong = route_check(core->net.route);
	if (!wrong)
		wrong = ip_frag_check(core->net.frag);
	return wrong;
}
