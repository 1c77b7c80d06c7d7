/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pacing: spread what cwnd allows over the round trip.
 *
 * pacing_us32 is the time at which all that was sent will have been sent at pacing_rate. It may lie ahead of the clock by
 * one burst, a millisecond's worth or two segments, because the wheel turns in milliseconds and a segment is the least
 * that can be sent; beyond, output waits on xmit_at_ms until the debt is paid. It may lie behind the clock by a
 * millisecond, which is what the wheel may be late: so the mean rate holds, and a pause earns nothing.
 *
 * The rate is the congestion control's own (TCP_CC_PACED), or the window in one round trip, times 2 in slow start and
 * 1.2 later so that pacing does not itself become the limit. Then the initial window leaves at once, for there is no
 * measurement yet. The user's limit (SO_MAX_PACING_RATE) bounds either, and is one from the first byte.
 *
 * draft-cardwell-iccrg-bbr-congestion-control-00 4.2; factors as Linux. Rates in bytes/s.
 */
#include "engine/tcp/tcp_int.h"

#define PACE_US 1000u /* burst, and lateness of the wheel */
#define US_PER_S 1000000u
#define PACE_WAIT_US_MAX 1000000u
#define PACE_DEBT_NS_MAX 60000000000ull /* of one burst: differences of pacing_us32 stay small */
#define PACE_STALE_MS 300000u

void tcp_pace_set(struct tcp_ctx *ctx, uint64_t rate)
{
	if (ctx->pacing_rate_max && (rate == 0 || rate > ctx->pacing_rate_max))
		rate = ctx->pacing_rate_max;
	ctx->pacing_rate = rate;
}

void tcp_pace_open(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	bool was_paced = ctx->flags2 & TCP_CTX2_PACED;

	ctx->flags2 &= ~TCP_CTX2_PACED;
	if (!e->stack->conf.pacing && ctx->pacing_rate_max == 0 &&
			!(tcp_cc_get(ctx->cc)->flags & TCP_CC_PACED))
		return;
	ctx->flags2 |= TCP_CTX2_PACED;
	if (!was_paced) {
		ctx->pacing_us32 = (uint32_t)e->now_us;
		ctx->pacing_ns = 0;
	}
	tcp_pace_set(ctx, ctx->pacing_rate);
}

void tcp_pace_update(struct tcp_ctx *ctx)
{
	uint64_t rate;

	if (ctx->srtt_us == 0 || tcp_cc_get(ctx->cc)->flags & TCP_CC_PACED)
		return;
	rate = (uint64_t)ctx->cwnd * US_PER_S / ctx->srtt_us;
	/* Linux's halves: cwnd shall not outrun what the last rounds of slow start need. */
	rate = ctx->cwnd < ctx->ssthresh / 2 ? 2 * rate : rate + rate / 5;
	tcp_pace_set(ctx, rate ? rate : 1);
}

void tcp_pace_sent(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t bytes)
{
	uint32_t earliest = (uint32_t)e->now_us - PACE_US;
	uint64_t ns;

	if (ctx->pacing_rate == 0) {
		ctx->pacing_us32 = (uint32_t)e->now_us;
		return;
	}
	if (seq_lt(ctx->pacing_us32, earliest)) {
		ctx->pacing_us32 = earliest;
		ctx->pacing_ns = 0;
	}
	ns = (uint64_t)bytes * (1000ull * US_PER_S) / ctx->pacing_rate + ctx->pacing_ns;
	if (ns > PACE_DEBT_NS_MAX)
		ns = PACE_DEBT_NS_MAX;
	ctx->pacing_us32 += (uint32_t)(ns / 1000);
	ctx->pacing_ns = (uint32_t)(ns % 1000);
}

void tcp_pace_idle(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	/* Any debt is paid by then; and later the difference of the times would overflow. */
	if (e->now_ms - ctx->tx_last_ms >= PACE_STALE_MS)
		ctx->pacing_us32 = (uint32_t)e->now_us - PACE_US;
}

/* Bytes that may leave now. */
static uint64_t budget(const struct tcp_env *e, const struct tcp_ctx *ctx)
{
	int32_t debt_us = (int32_t)(ctx->pacing_us32 - (uint32_t)e->now_us);
	uint64_t burst = ctx->pacing_rate * PACE_US / US_PER_S;
	uint64_t debt;

	if (burst < 2u * ctx->mss)
		burst = 2u * ctx->mss;
	if (debt_us <= 0) {
		uint32_t late_us = debt_us < -(int32_t)PACE_US ? PACE_US : (uint32_t)-debt_us;

		return burst + ctx->pacing_rate * late_us / US_PER_S;
	}
	debt = ctx->pacing_rate * (uint32_t)debt_us / US_PER_S;
	return burst > debt ? burst - debt : 0;
}

uint32_t tcp_pace_room(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t room, uint32_t need)
{
	uint64_t may;
	uint32_t wait_us;

	if (ctx->pacing_rate == 0)
		return room;
	may = budget(e, ctx);
	if (may >= room)
		return room;
	if (may >= need)
		return (uint32_t)may;
	wait_us = ctx->pacing_us32 - (uint32_t)e->now_us;
	if ((int32_t)wait_us <= 0)
		wait_us = 1;
	if (wait_us > PACE_WAIT_US_MAX)
		wait_us = PACE_WAIT_US_MAX;
	if (ctx->xmit_at_ms == 0)
		tcp_timer_arm(e, ctx, &ctx->xmit_at_ms, (wait_us + 999) / 1000);
	return 0;
}
