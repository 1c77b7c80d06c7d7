/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NewReno: one segment per window of acknowledged bytes, half the flight at a loss. Slow start ends by HyStart++.
 *
 * RFC 5681 3.1 (appropriate byte counting, RFC 3465).
 */
#include "engine/tcp/cc_hystart.h"
#include "engine/tcp/tcp_int.h"

/* In ctx->cc_state. */
struct newreno {
	uint32_t acked; /* bytes towards the next segment of cwnd */
	struct hystart hystart;
};
ETA_STATIC_ASSERT(sizeof(struct newreno) <= TCP_CTX_CC_WORDS * sizeof(uint64_t),
		"cc_state too small");

static struct newreno *state_of(struct tcp_ctx *ctx)
{
	return (struct newreno *)ctx->cc_state;
}

static void newreno_restart(struct tcp_ctx *ctx)
{
	state_of(ctx)->acked = 0;
}

static uint32_t newreno_ssthresh(struct tcp_ctx *ctx, uint32_t flight)
{
	state_of(ctx)->acked = 0;
	return flight / 2;
}

static void newreno_acked(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ack *a)
{
	if (ctx->cwnd < ctx->ssthresh)
		hystart_acked(e, &state_of(ctx)->hystart, ctx, a);
}

static uint32_t newreno_slow_start(struct tcp_ctx *ctx, uint32_t acked)
{
	return hystart_growth(&state_of(ctx)->hystart, ctx, acked);
}

static void newreno_avoid(struct tcp_ctx *ctx, uint32_t acked, uint32_t now_ms)
{
	(void)now_ms;
	tcp_cc_reno_avoid(ctx, &state_of(ctx)->acked, acked);
}

const struct tcp_cc_ops tcp_cc_newreno = {
		.name = "reno", /* as Linux calls it */
		.init = newreno_restart,
		.ssthresh = newreno_ssthresh,
		.avoid = newreno_avoid,
		.restart = newreno_restart,
		.acked = newreno_acked,
		.slow_start = newreno_slow_start,
};
