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
 * Where the congestion control wants it (TCP_CC_PACED), every flight has a log. Others have none of a flight that left at
 * once: all of it is delivered over the time since, and samples are taken only where something besides the user limits it.
 * That is for TCP_INFO, which is told the last sample that was not the user's, or a better one that was, as Linux does.
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

/* Of bytes without record: they left at once. */
static bool sample_flight(struct tcp_ctx *ctx, struct tcp_ack *a)
{
	if (a->rtt_us == 0 || ctx->flags2 & TCP_CTX2_PACED)
		return false;
	if (ctx->rate_sent_us32 != ctx->sent_us32)
		ctx->rate_flight_bytes = 0;
	ctx->rate_sent_us32 = ctx->sent_us32;
	ctx->rate_flight_bytes += a->delivered;
	a->rate_bytes = ctx->rate_flight_bytes;
	a->rate_us = a->rtt_us;
	a->rate_app_limited = ctx->flags2 & TCP_CTX2_APP_LIMITED;
	return true;
}

static void sample_log(const struct tcp_env *e, const struct tcp_ctx *ctx, struct tcp_ack *a)
{
	uint32_t ack_us = (uint32_t)e->now_us - a->rate_prior_us32;

	if (ack_us > a->rate_us)
		a->rate_us = ack_us;
	a->rate_bytes = tcp_delivered(ctx) - a->rate_prior;
}

/* For TCP_INFO. */
static void note(struct tcp_ctx *ctx, const struct tcp_ack *a)
{
	if (a->rate_app_limited && (uint64_t)a->rate_bytes * ctx->rate_us <
						   (uint64_t)ctx->rate_bytes * a->rate_us)
		return;
	ctx->rate_bytes = a->rate_bytes;
	ctx->rate_us = a->rate_us;
	ctx->rate_app_limited = a->rate_app_limited;
}

void tcp_rate_ack(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_ack *a)
{
	bool is_sample = a->delivered != 0;

	if (a->delivered)
		ctx->delivered_us32 = (uint32_t)e->now_us;
	if (ctx->flags2 & TCP_CTX2_APP_LIMITED && seq_gt(tcp_delivered(ctx), ctx->app_limited))
		ctx->flags2 &= ~TCP_CTX2_APP_LIMITED;
	if (is_sample && a->has_rate)
		sample_log(e, ctx, a);
	else if (is_sample)
		is_sample = sample_flight(ctx, a);
	if (!is_sample || a->rate_us < ctx->rtt_min_us)
		a->rate_us = 0;
	else
		note(ctx, a);
	if (!(ctx->flags2 & TCP_CTX2_PACED))
		tcp_rate_check_limit(ctx);
}
