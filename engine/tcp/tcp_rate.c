/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Delivery rate: how many bytes does the path deliver in what time?
 *
 * Each record of the send log notes how much had been delivered when it left, and when. Its ACK closes the sample: what
 * was delivered since, over the longer of the time that it took to send that much and to have it acknowledged, so that
 * neither a burst of ACKs nor a burst of ours looks like bandwidth. A sample that is shorter than the smallest RTT is none.
 *
 * A sender that pauses measures its user, not the path. When bytes are queued, or an ACK comes, while all that was queued
 * has been sent and cwnd has room, what is in flight ends a bubble: samples of what is sent until it has been delivered
 * say so.
 *
 * Only where the congestion control wants it (TCP_CC_PACED); the flight of others needs no log as long as it left at once.
 *
 * draft-cheng-iccrg-delivery-rate-estimation-00 3. Times in microseconds modulo 2^32.
 */
#include "engine/tcp/tcp_int.h"

void tcp_rate_limit(struct tcp_ctx *ctx)
{
	ctx->app_limited = tcp_delivered(ctx) + tcp_loss_pipe(ctx);
	ctx->flags2 |= TCP_CTX2_APP_LIMITED;
}

void tcp_rate_check_limit(struct tcp_ctx *ctx)
{
	if (ctx->snd_tail == ctx->snd_nxt && ctx->lost_bytes == 0 &&
			tcp_loss_pipe(ctx) + ctx->mss <= ctx->cwnd)
		tcp_rate_limit(ctx);
}

void tcp_rate_sent(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	/* Even a flight that left at once needs a record, for its ACKs will be several. */
	if (tcp_cc_get(ctx->cc)->flags & TCP_CC_PACED)
		(void)tcp_sent_log(e, ctx);
}

void tcp_rate_delivered(struct tcp_ctx *ctx, const struct tcp_sent *r, struct tcp_ack *a)
{
	/* The newest of what was delivered decides; records come in the order of sequence. */
	if (a->has_rate && seq_lt(r->us32, a->rate_sent_us32))
		return;
	a->has_rate = true;
	a->rate_sent_us32 = r->us32;
	a->rate_prior_us32 = r->delivered_us32;
	a->rate_prior = r->delivered;
	a->rate_us = r->us32 - r->first_us32;
	a->rate_app_limited = r->flags & TCP_SENT_APP_LIMITED;
	a->rate_rtx = r->flags & TCP_SENT_RTX;
	ctx->first_us32 = r->us32;
}

void tcp_rate_ack(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_ack *a)
{
	uint32_t ack_us;

	if (a->delivered)
		ctx->delivered_us32 = (uint32_t)e->now_us;
	if (ctx->flags2 & TCP_CTX2_APP_LIMITED && seq_gt(tcp_delivered(ctx), ctx->app_limited))
		ctx->flags2 &= ~TCP_CTX2_APP_LIMITED;
	if (!a->has_rate || a->delivered == 0) {
		a->rate_us = 0;
		return;
	}
	ack_us = (uint32_t)e->now_us - a->rate_prior_us32;
	if (ack_us > a->rate_us)
		a->rate_us = ack_us;
	a->rate_bytes = tcp_delivered(ctx) - a->rate_prior;
	if (a->rate_us < ctx->rtt_min_us)
		a->rate_us = 0;
}
