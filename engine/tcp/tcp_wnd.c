/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The receive window: how much we promise, when we say so, and how large the buffer should become.
 *
 * The user behind tcp_up_rcv_space() knows memory; we only decide when its growth becomes a
 * promise. The right edge never moves left, and moves right by steps worth a segment (silly window
 * avoidance). An edge that the wire cannot express (window scale) is rounded down; rcv_adv keeps
 * the largest edge the peer may have seen, and everything before it is accepted.
 *
 * Buffer size (dynamic right-sizing): twice what the user consumes in one round trip, plus room for
 * the initial window of segments, so that the window is never what limits a sender that grows.
 *
 * RFC 9293 3.8.6.2.2, RFC 7323 2.4, Fisk and Feng, "Dynamic right-sizing in TCP" (2001).
 */
#include "engine/tcp/tcp_int.h"

#define DRS_RTT_US_MIN 1000u
#define WND_FIRST_MIN 14600u

static inline uint32_t space_of(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	uint32_t max = (uint32_t)UINT16_MAX << ctx->rcv_wscale;
	uint32_t space;

	/* The user is gone, or will read no more: nothing beyond what was promised. */
	if (!tcp_state_receives(ctx->state) || !(ctx->flags & TCP_CTX_USER))
		return 0;
	space = tcp_up_rcv_space(e->core, ctx);
	return space < max ? space : max;
}

void tcp_wnd_first(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	uint32_t space = tcp_up_rcv_space(e->core, ctx);

	if (space < WND_FIRST_MIN)
		space = WND_FIRST_MIN;
	/* rcv_nxt is 0 until their SYN comes; a SYN's window is not scaled */
	ctx->rcv_adv = space < UINT16_MAX ? space : UINT16_MAX;
}

uint16_t tcp_wnd_select(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	uint32_t promised = ctx->rcv_adv - ctx->rcv_nxt;
	uint32_t space = space_of(e, ctx);
	uint32_t field;

	if (space > promised) {
		uint32_t half = (space + (ctx->rcv_nxt - ctx->rcv_head)) / 2;
		uint32_t step = half < ctx->mss_adv ? half : ctx->mss_adv;

		if (space - promised >= step)
			promised = space;
	}
	field = promised >> ctx->rcv_wscale;
	if (field > UINT16_MAX)
		field = UINT16_MAX;
	ctx->rcv_adv = seq_max(ctx->rcv_adv, ctx->rcv_nxt + (field << ctx->rcv_wscale));
	if (ETA_UNLIKELY(field == 0)) {
		if (!(ctx->flags & TCP_CTX_ZERO_WND))
			TCP_COUNT(e, to_zero_window);
		ctx->flags |= TCP_CTX_ZERO_WND;
	} else if (ETA_UNLIKELY(ctx->flags & TCP_CTX_ZERO_WND)) {
		TCP_COUNT(e, from_zero_window);
		ctx->flags &= ~TCP_CTX_ZERO_WND;
	}
	return (uint16_t)field;
}

bool tcp_wnd_update_due(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	uint32_t promised = ctx->rcv_adv - ctx->rcv_nxt;
	uint32_t space, size, step;

	if (ctx->flags & TCP_CTX_FIN_RCVD)
		return false;
	space = space_of(e, ctx);
	if (space <= promised)
		return false;
	size = space + (ctx->rcv_nxt - ctx->rcv_head);
	/*
	 * A peer that may hardly send waits for any worthwhile opening; otherwise ACKs of data
	 * carry the window in time.
	 */
	if (promised < ctx->mss_adv) {
		step = size / 2 < ctx->mss_adv ? size / 2 : ctx->mss_adv;
		return space - promised >= step;
	}
	step = 2u * ctx->mss_adv;
	if (space - promised < step)
		return false;
	return space - promised >= size / 4 || promised <= size / 8 || size <= 4 * step;
}

/*
 * Without data of our own in flight there is no RTT; one window's worth of data takes at least that
 * long to come.
 */
static void measure_rtt(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	uint32_t now_us32 = (uint32_t)e->now_us;
	uint32_t took_us = now_us32 - ctx->rcv_rtt_us32;

	if (seq_lt(ctx->rcv_nxt, ctx->rcv_rtt_seq))
		return;
	if (ctx->rcv_rtt_us == 0 || took_us < ctx->rcv_rtt_us)
		ctx->rcv_rtt_us = took_us ? took_us : 1;
	ctx->rcv_rtt_seq = ctx->rcv_adv;
	ctx->rcv_rtt_us32 = now_us32;
}

void tcp_wnd_drs(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	uint32_t now_us32 = (uint32_t)e->now_us;
	uint32_t rtt_us = ctx->rcv_rtt_us ? ctx->rcv_rtt_us : ctx->srtt_us;
	uint32_t bytes;

	if (!(ctx->flags & TCP_CTX_DRS_SEEN)) {
		ctx->flags |= TCP_CTX_DRS_SEEN;
		ctx->drs_head = ctx->rcv_head;
		ctx->drs_start_us32 = now_us32;
		ctx->rcv_rtt_seq = ctx->rcv_adv;
		ctx->rcv_rtt_us32 = now_us32;
		return;
	}
	measure_rtt(e, ctx);
	if (rtt_us < DRS_RTT_US_MIN)
		rtt_us = DRS_RTT_US_MIN;
	if (now_us32 - ctx->drs_start_us32 < rtt_us)
		return;
	bytes = ctx->rcv_head - ctx->drs_head;
	ctx->drs_head = ctx->rcv_head;
	ctx->drs_start_us32 = now_us32;
	if (bytes <= ctx->drs_bytes)
		return;
	ctx->drs_bytes = bytes;
	bytes = 2 * bytes + TCP_QUICK_SEGS * ctx->mss_adv;
	if (bytes > ctx->rcv_want_bytes)
		ctx->rcv_want_bytes = bytes;
}
