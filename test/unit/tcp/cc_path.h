/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A path for congestion controls without a connection around them: a link of some rate and delay with a queue, on which
 * a sender that is nothing but cwnd, pacing_rate and a send log sends segments, and hears of each by a struct tcp_ack.
 * Virtual time, steps of 50 us.
 */
#ifndef TEST_UNIT_TCP_CC_PATH_H
#define TEST_UNIT_TCP_CC_PATH_H

#include <string.h>

#include "engine/tcp/tcp_int.h"

#define PATH_MSS 1000u
#define PATH_FLIGHT_MAX 8192u

struct path_seg {
	struct tcp_sent sent;
	uint64_t ack_us; /* when its ACK arrives */
	bool is_marked;
};

struct path {
	struct tcp_stack stack;
	struct tcp_ctx ctx;
	struct tcp_env e;
	uint64_t link_rate; /* bytes/s */
	uint32_t rtt_us;
	uint32_t mark_bytes; /* queue beyond which segments are marked, 0 = never */
	uint64_t app_rate;   /* bytes/s that the user offers, 0 = as much as may be sent */
	uint64_t app_bytes;  /* offered so far */
	uint64_t link_free_us;
	uint64_t next_us; /* pacing */
	uint32_t queue_bytes_max, flight_min;
	uint32_t rtt_us_last;
	uint32_t ssthresh_first;              /* where slow start ended, 0 = not yet */
	struct path_seg seg[PATH_FLIGHT_MAX]; /* ring by segment number */
};

static inline void path_init(struct path *p, uint8_t cc)
{
	memset(p, 0, sizeof(*p));
	tcp_conf_default(&p->stack.conf);
	p->e.stack = &p->stack;
	p->e.now_us = 10000000;
	p->e.now_ms = 10000;
	p->ctx.mss = PATH_MSS;
	p->ctx.snd_una = 1;
	p->ctx.snd_nxt = 1;
	p->ctx.cc_wanted = cc;
	p->ctx.delivered_us32 = 10000000;
	p->ctx.first_us32 = 10000000;
	p->link_rate = 1250000; /* 10 Mbit/s */
	p->rtt_us = 40000;
	p->flight_min = UINT32_MAX;
	p->ctx.srtt_us = p->rtt_us;
	p->ctx.rtt_min_us = p->rtt_us;
	tcp_cc_open(&p->e, &p->ctx);
	p->next_us = p->e.now_us;
}

static inline void path_send(struct path *p)
{
	struct tcp_ctx *ctx = &p->ctx;

	while (ctx->snd_nxt - ctx->snd_una + PATH_MSS <= ctx->cwnd && p->next_us <= p->e.now_us) {
		struct path_seg *s = &p->seg[ctx->snd_nxt / PATH_MSS % PATH_FLIGHT_MAX];
		uint64_t at_us = p->e.now_us + p->rtt_us / 2, queue;

		if (p->app_rate && p->app_bytes < PATH_MSS)
			break;
		p->app_bytes -= p->app_rate ? PATH_MSS : 0;
		if (ctx->snd_una == ctx->snd_nxt) {
			ctx->first_us32 = (uint32_t)p->e.now_us;
			ctx->delivered_us32 = (uint32_t)p->e.now_us;
		}
		if (p->link_free_us < at_us)
			p->link_free_us = at_us;
		queue = (p->link_free_us - at_us) * p->link_rate / 1000000;
		if (queue > p->queue_bytes_max)
			p->queue_bytes_max = (uint32_t)queue;
		p->link_free_us += PATH_MSS * 1000000ull / p->link_rate;
		*s = (struct path_seg){.ack_us = p->link_free_us + p->rtt_us / 2,
				.is_marked = p->mark_bytes && queue > p->mark_bytes};
		s->sent = (struct tcp_sent){.lo = ctx->snd_nxt,
				.hi = ctx->snd_nxt + PATH_MSS,
				.us32 = (uint32_t)p->e.now_us,
				.delivered = tcp_delivered(ctx),
				.delivered_us32 = ctx->delivered_us32,
				.first_us32 = ctx->first_us32,
				.flags = ctx->flags2 & TCP_CTX2_APP_LIMITED ? TCP_SENT_APP_LIMITED
									    : 0};
		ctx->snd_nxt += PATH_MSS;
		if (ctx->flags2 & TCP_CTX2_PACED)
			p->next_us = (p->next_us > p->e.now_us ? p->next_us : p->e.now_us) +
				     PATH_MSS * 1000000ull / ctx->pacing_rate;
	}
}

/* The ACK of the segment at snd_una. */
static inline void path_ack(struct path *p, const struct path_seg *s)
{
	struct tcp_ctx *ctx = &p->ctx;
	struct tcp_ack a = {.flags = TCP_ACK_UNA | (s->is_marked ? TCP_ACK_ECE : 0),
			.ack = s->sent.hi,
			.prior_una = ctx->snd_una,
			.prior_pipe = ctx->snd_nxt - ctx->snd_una,
			.acked = PATH_MSS,
			.delivered = PATH_MSS,
			.rtt_us = (uint32_t)p->e.now_us - s->sent.us32};
	bool is_limited = a.prior_pipe + PATH_MSS > ctx->cwnd;

	p->rtt_us_last = a.rtt_us;
	tcp_rate_delivered(ctx, &s->sent, &a);
	ctx->tx_bytes += PATH_MSS;
	ctx->snd_una = s->sent.hi;
	tcp_timer_rtt_sample(&p->e, ctx, a.rtt_us);
	if (p->app_rate && p->app_bytes < PATH_MSS && a.prior_pipe < ctx->cwnd)
		tcp_rate_limit(ctx);
	tcp_cc_ack(&p->e, ctx, &a);
	if (!tcp_cc_control(&p->e, ctx, &a) && is_limited)
		tcp_cc_acked(&p->e, ctx, a.delivered);
	if (p->ssthresh_first == 0 && ctx->ssthresh != TCP_CWND_BYTES_MAX)
		p->ssthresh_first = ctx->ssthresh;
}

static inline void path_run(struct path *p, uint32_t ms)
{
	uint64_t end_us = p->e.now_us + ms * 1000ull;

	for (; p->e.now_us < end_us; p->e.now_us += 50) {
		p->e.now_ms = (uint32_t)(p->e.now_us / 1000);
		p->app_bytes += p->app_rate * 50 / 1000000;
		while (p->ctx.snd_una != p->ctx.snd_nxt) {
			const struct path_seg *s =
					&p->seg[p->ctx.snd_una / PATH_MSS % PATH_FLIGHT_MAX];

			if (s->ack_us > p->e.now_us)
				break;
			path_ack(p, s);
		}
		path_send(p);
		if (p->ctx.snd_nxt - p->ctx.snd_una < p->flight_min)
			p->flight_min = p->ctx.snd_nxt - p->ctx.snd_una;
	}
}

#endif
