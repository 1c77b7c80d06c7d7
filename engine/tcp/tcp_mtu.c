/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Path MTU discovery without ICMP: segments find out by arriving.
 *
 * Routers that drop large packets in silence (black holes) leave a connection whose small segments pass and whose full ones never
 * do. The search keeps two sizes: mtu_lo is used, mtu_hi may be possible. A probe is a segment of new data of a size between them,
 * sent as the first of several, so that its loss is seen by the SACKs or duplicate ACKs of those behind it; if it alone is
 * lost, its size was the reason, and congestion control hears nothing. What arrives moves mtu_lo up, what does not mtu_hi down,
 * until they meet; after ten minutes the search begins again, since paths change.
 *
 *     off        never
 *     blackhole  begins when the fourth retransmission timeout without progress fires: segments fall to 1024 bytes, and by
 *                half at each further one
 *     always     begins with the connection, at 1024 bytes
 *
 * A probe needs data behind it and room in cwnd and in the peer's window: connections that never fill a pipe never probe.
 * Sizes are as mss_base: payload of a segment without options.
 *
 * RFC 4821, as Linux does it (tcp_mtu_probing = 0, 1, 2; tcp_base_mss, tcp_probe_threshold, tcp_probe_interval). Limits: what the
 * acknowledgement of a probe says is seen when the next new data is about to leave.
 */
#include "engine/tcp/tcp_int.h"

#define MTU_BASE_BYTES 1024u /* of payload, with options */
#define MTU_TIMEOUTS 3u      /* before the one that begins the search (tcp_retries1) */
#define MTU_THRESHOLD_BYTES 8u
#define MTU_INTERVAL_MS 600000u
#define MTU_CWND_SEGS 11u  /* a smaller window shows no loss in time */
#define MTU_BEHIND_SEGS 4u /* data behind a probe: three duplicates, and one */

static uint16_t opt_bytes(const struct tcp_ctx *ctx)
{
	return (uint16_t)(ctx->mss_base - ctx->mss);
}

/* What peer, path and user allow. */
static uint16_t limit(const struct tcp_ctx *ctx)
{
	uint16_t mss = ctx->mss_peer < ctx->mss_path ? ctx->mss_peer : ctx->mss_path;

	if (ctx->mss_user && ctx->mss_user < mss)
		mss = ctx->mss_user;
	return mss < TCP_MSS_MIN ? TCP_MSS_MIN : mss;
}

static void begin(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	ctx->flags |= TCP_CTX_PLPMTUD;
	ctx->mtu_hi = limit(ctx);
	ctx->mtu_lo = (uint16_t)(MTU_BASE_BYTES + opt_bytes(ctx));
	ctx->mtu_probe = 0;
	ctx->mtu_ms = e->now_ms;
	tcp_conn_set_mss(ctx);
}

void tcp_mtu_open(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	if (e->stack->conf.mtu_probing == TCP_MTU_PROBING_ALWAYS)
		begin(e, ctx);
}

uint16_t tcp_mtu_bound(struct tcp_ctx *ctx, uint16_t mss)
{
	if (ctx->mtu_hi > mss)
		ctx->mtu_hi = mss;
	if (ctx->mtu_lo > ctx->mtu_hi)
		ctx->mtu_lo = ctx->mtu_hi;
	return ctx->mtu_lo;
}

void tcp_mtu_timeout(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	uint32_t half = (uint32_t)ctx->mtu_lo / 2;

	/* a probe among what is sent again proves nothing */
	ctx->mtu_probe = 0;
	if (e->stack->conf.mtu_probing == TCP_MTU_PROBING_OFF || ctx->backoff_n < MTU_TIMEOUTS)
		return;
	TCP_COUNT(e, mtu_black_holes);
	if (!(ctx->flags & TCP_CTX_PLPMTUD)) {
		begin(e, ctx);
		return;
	}
	ctx->mtu_lo = (uint16_t)(half < TCP_MSS_MIN ? TCP_MSS_MIN : half);
	tcp_conn_set_mss(ctx);
}

bool tcp_mtu_is_probe(const struct tcp_ctx *ctx, uint32_t seq, uint32_t end)
{
	return ctx->flags & TCP_CTX_PLPMTUD && ctx->mtu_probe && end == ctx->mtu_probe_end &&
	       end - seq == (uint32_t)ctx->mtu_probe - opt_bytes(ctx);
}

/* Nothing to be found between the two. Return: is it time to look again? */
static bool is_time(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	if (ctx->mtu_hi - ctx->mtu_lo >= (int)MTU_THRESHOLD_BYTES)
		return true;
	if (e->now_ms - ctx->mtu_ms < MTU_INTERVAL_MS)
		return false;
	ctx->mtu_ms = e->now_ms;
	ctx->mtu_hi = limit(ctx);
	return ctx->mtu_hi - ctx->mtu_lo >= (int)MTU_THRESHOLD_BYTES;
}

static bool may_leave(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t len, uint32_t room)
{
	if (ctx->flags2 & TCP_CTX2_PACED)
		room = tcp_pace_room(e, ctx, room, len);
	return len <= room;
}

uint32_t tcp_mtu_piece(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t room)
{
	uint32_t len, avail = ctx->snd_tail - ctx->snd_nxt;

	if (!(ctx->flags & TCP_CTX_PLPMTUD))
		return 0;
	if (ctx->mtu_probe && seq_ge(ctx->snd_una, ctx->mtu_probe_end)) {
		TCP_COUNT(e, mtu_successes);
		ctx->mtu_lo = ctx->mtu_probe;
		ctx->mtu_probe = 0;
		tcp_conn_set_mss(ctx);
	}
	if (ctx->mtu_probe) {
		len = (uint32_t)ctx->mtu_probe - opt_bytes(ctx);
		if (ctx->snd_nxt + len != ctx->mtu_probe_end)
			return 0; /* it is out */
		/* announced, but the port was full; it goes now or not at all */
		if (!may_leave(e, ctx, len, room))
			ctx->mtu_probe = 0;
		return ctx->mtu_probe ? len : 0;
	}
	if (ctx->loss_state != TCP_LOSS_OPEN || ctx->sacked_bytes || ctx->dupacks || ctx->ooo_ext ||
			ctx->flags & TCP_CTX_URG_SENT || !is_time(e, ctx))
		return 0;
	len = ((uint32_t)ctx->mtu_lo + ctx->mtu_hi + 1) / 2 - opt_bytes(ctx);
	if (ctx->cwnd < MTU_CWND_SEGS * ctx->mss || avail < len + MTU_BEHIND_SEGS * ctx->mss ||
			ctx->snd_una + ctx->snd_wnd - ctx->snd_nxt <
					len + MTU_BEHIND_SEGS * ctx->mss ||
			!may_leave(e, ctx, len, room))
		return 0;
	TCP_COUNT(e, mtu_probes);
	ctx->mtu_probe = (uint16_t)(len + opt_bytes(ctx));
	ctx->mtu_probe_end = ctx->snd_nxt + len;
	return len;
}

bool tcp_mtu_lost(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	bool is_probe = tcp_mtu_is_probe(ctx, ctx->snd_una, ctx->mtu_probe_end);

	if (!(ctx->flags & TCP_CTX_PLPMTUD) || !ctx->mtu_probe)
		return false;
	is_probe = is_probe && ctx->lost_bytes <= ctx->mtu_probe;
	if (is_probe) {
		TCP_COUNT(e, mtu_fails);
		ctx->mtu_hi = (uint16_t)(ctx->mtu_probe - 1);
	}
	ctx->mtu_probe = 0;
	return is_probe;
}
