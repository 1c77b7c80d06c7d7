/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CUBIC: after a loss cwnd returns quickly to where it was, lingers there, then probes beyond;
 * growth depends on time, not on RTT.
 *
 *     W_cubic(t) = C (t - K)^3 + W_max        K = cbrt((W_max - cwnd_epoch) / C)
 *
 * An epoch begins with the first growth after a loss or a pause. Acknowledged bytes are collected
 * and the curve is evaluated at most once a millisecond, so that its divisions cost nothing per
 * ACK. Windows are bytes, times milliseconds; C = 0.4 segments/s^3, beta = 0.7. In the
 * Reno-friendly region w_est, what NewReno with the same beta would have, is followed if larger.
 *
 * Slow start ends by HyStart++. What a reduction changes is kept until the next, so that one that proves spurious can be
 * undone (RFC 9438 4.9.1).
 *
 * Limits: |t - K| is taken as at most 60 s.   RFC 9438.
 */
#include "engine/tcp/cc_hystart.h"
#include "engine/tcp/tcp_int.h"

#define T_MS_MAX 60000

/* In ctx->cc_state. */
struct cubic {
	uint32_t w_max; /* bytes */
	uint32_t w_est; /* bytes */
	/* W_max of this epoch: the larger of w_max and the cwnd it began with */
	uint32_t origin;
	uint32_t cwnd_prior; /* before the last reduction */
	uint32_t k_ms;
	uint32_t epoch_ms; /* 0 = no epoch yet */
	uint32_t last_ms;  /* curve evaluated */
	uint32_t acked;    /* bytes since */
	/* before the last reduction */
	uint32_t prior_w_max;
	uint32_t prior_w_est;
	uint32_t prior_origin;
	uint32_t prior_k_ms;
	uint32_t prior_epoch_ms;
	struct hystart hystart;
};
ETA_STATIC_ASSERT(
		sizeof(struct cubic) <= TCP_CTX_CC_WORDS * sizeof(uint64_t), "cc_state too small");

static struct cubic *state_of(struct tcp_ctx *ctx)
{
	return (struct cubic *)ctx->cc_state;
}

static uint32_t cbrt_u64(uint64_t x)
{
	uint64_t y = 0;

	for (int s = 63; s >= 0; s -= 3) {
		uint64_t b;

		y *= 2;
		b = 3 * y * (y + 1) + 1;
		if (x >> s >= b) {
			x -= b << s;
			y++;
		}
	}
	return (uint32_t)y;
}

static void cubic_restart(struct tcp_ctx *ctx)
{
	struct cubic *s = state_of(ctx);

	s->epoch_ms = 0;
	s->acked = 0;
}

static uint32_t cubic_ssthresh(struct tcp_ctx *ctx, uint32_t flight)
{
	struct cubic *s = state_of(ctx);

	(void)flight;
	s->prior_w_max = s->w_max;
	s->prior_w_est = s->w_est;
	s->prior_origin = s->origin;
	s->prior_k_ms = s->k_ms;
	s->prior_epoch_ms = s->epoch_ms;
	/* Fast convergence: a loss below the last maximum means that a newcomer needs room. */
	s->w_max = ctx->cwnd < s->w_max ? (uint32_t)((uint64_t)ctx->cwnd * 17 / 20) : ctx->cwnd;
	s->cwnd_prior = ctx->cwnd;
	s->epoch_ms = 0;
	s->acked = 0;
	return (uint32_t)((uint64_t)ctx->cwnd * 7 / 10);
}

static uint32_t cubic_undo_cwnd(struct tcp_ctx *ctx)
{
	struct cubic *s = state_of(ctx);

	s->w_max = s->prior_w_max;
	s->w_est = s->prior_w_est;
	s->origin = s->prior_origin;
	s->k_ms = s->prior_k_ms;
	s->epoch_ms = s->prior_epoch_ms;
	return ctx->cwnd > ctx->prior_cwnd ? ctx->cwnd : ctx->prior_cwnd;
}

static void cubic_acked(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ack *a)
{
	if (ctx->cwnd < ctx->ssthresh)
		hystart_acked(e, &state_of(ctx)->hystart, ctx, a);
}

static uint32_t cubic_slow_start(struct tcp_ctx *ctx, uint32_t acked)
{
	return hystart_growth(&state_of(ctx)->hystart, ctx, acked);
}

static void epoch_begin(struct tcp_ctx *ctx, struct cubic *s, uint32_t now_ms)
{
	s->epoch_ms = now_ms ? now_ms : 1;
	s->last_ms = now_ms;
	s->w_est = ctx->cwnd;
	s->k_ms = 0;
	s->origin = ctx->cwnd;
	if (s->w_max > ctx->cwnd) {
		/* (W_max - cwnd) / (C mss), in seconds cubed; times 10^9 for milliseconds. */
		s->k_ms = cbrt_u64((uint64_t)(s->w_max - ctx->cwnd) * 2500000000ull / ctx->mss);
		s->origin = s->w_max;
	}
}

/* W_cubic at @t_ms of the epoch. */
static uint32_t curve(const struct tcp_ctx *ctx, const struct cubic *s, uint32_t t_ms)
{
	int64_t d = (int64_t)t_ms - s->k_ms;
	int64_t w;

	if (d > T_MS_MAX)
		d = T_MS_MAX;
	if (d < -T_MS_MAX)
		d = -T_MS_MAX;
	w = d * d * d / 1000000 * ctx->mss * 4 / 10000 + s->origin;
	if (w < 0)
		return 0;
	return w < TCP_CWND_BYTES_MAX ? (uint32_t)w : TCP_CWND_BYTES_MAX;
}

static void cubic_avoid(struct tcp_ctx *ctx, uint32_t acked, uint32_t now_ms)
{
	struct cubic *s = state_of(ctx);
	uint32_t target, acc;
	uint64_t friendly;

	s->acked += acked;
	if (s->epoch_ms == 0)
		epoch_begin(ctx, s, now_ms);
	else if (now_ms == s->last_ms)
		return;
	s->last_ms = now_ms;
	friendly = (uint64_t)ctx->mss * s->acked;
	acc = s->acked < ctx->cwnd ? s->acked : ctx->cwnd;
	s->acked = 0;
	/*
	 * alpha = 3 (1 - beta) / (1 + beta) = 9 / 17 until the old window is reached again, then 1
	 */
	if (s->w_est < s->cwnd_prior)
		friendly = friendly * 9 / 17;
	friendly = s->w_est + friendly / ctx->cwnd;
	s->w_est = friendly < TCP_CWND_BYTES_MAX ? (uint32_t)friendly : TCP_CWND_BYTES_MAX;
	target = curve(ctx, s, now_ms - s->epoch_ms + ctx->srtt_us / 1000);
	if (target > ctx->cwnd + ctx->cwnd / 2)
		target = ctx->cwnd + ctx->cwnd / 2;
	if (target > ctx->cwnd)
		ctx->cwnd += (uint32_t)((uint64_t)(target - ctx->cwnd) * acc / ctx->cwnd);
	if (ctx->cwnd < s->w_est)
		ctx->cwnd = s->w_est;
}

const struct tcp_cc_ops tcp_cc_cubic = {
		.name = "cubic",
		.init = cubic_restart,
		.ssthresh = cubic_ssthresh,
		.avoid = cubic_avoid,
		.restart = cubic_restart,
		.acked = cubic_acked,
		.slow_start = cubic_slow_start,
		.undo_cwnd = cubic_undo_cwnd,
};
