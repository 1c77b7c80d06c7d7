/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NewReno's congestion avoidance: one segment per window of acknowledged bytes, half the flight at
 * a loss. RFC 5681 3.1 (appropriate byte counting, RFC 3465).
 */
#include "engine/tcp/tcp_int.h"

/* In ctx->cc_state. */
struct newreno {
	uint32_t acked; /* bytes towards the next segment of cwnd */
};

static struct newreno *state_of(struct tcp_ctx *ctx)
{
	return (struct newreno *)ctx->cc_state;
}

static void newreno_init(struct tcp_ctx *ctx)
{
	state_of(ctx)->acked = 0;
}

static uint32_t newreno_ssthresh(struct tcp_ctx *ctx, uint32_t flight)
{
	state_of(ctx)->acked = 0;
	return flight / 2;
}

static void newreno_avoid(struct tcp_ctx *ctx, uint32_t acked, uint32_t now_ms)
{
	struct newreno *s = state_of(ctx);

	(void)now_ms;
	s->acked += acked;
	if (s->acked < ctx->cwnd)
		return;
	s->acked -= ctx->cwnd;
	if (s->acked > ctx->cwnd)
		s->acked = ctx->cwnd;
	ctx->cwnd += ctx->mss;
}

const struct tcp_cc_ops tcp_cc_newreno = {
		.name = "reno", /* as Linux calls it */
		.init = newreno_init,
		.ssthresh = newreno_ssthresh,
		.avoid = newreno_avoid,
		.restart = newreno_init,
};
