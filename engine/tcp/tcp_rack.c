/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * RACK-TLP: loss by time, and a probe when the tail is silent.
 *
 * RACK deems bytes lost when something that left later has been delivered, and longer ago than a
 * round trip plus a reordering window. The window is zero as long as this path was never seen to
 * reorder and DupThresh segments say that it is a loss; else a quarter of the minimum RTT, which grows
 * by D-SACKs (our retransmissions were not needed) up to the smoothed RTT, and shrinks again after
 * recoveries without one. What is too young to be judged is looked at again when its time is up: the
 * retransmission timer stands for that, too.
 *
 * TLP: when the last segments of a flight are lost nobody sends the ACKs that would tell. After two
 * round trips of silence one segment, new or the last one again, provokes an ACK: either all is well,
 * or its SACK makes RACK see the hole. A loss that the probe itself repaired is still a sign of
 * congestion (RFC 8985 7.4).
 *
 * One deadline, ctx->rtx_at_ms, serves probe, reordering and retransmission: flags2 says which.
 *
 * RFC 8985; times in microseconds modulo 2^32, the wheel's millisecond rounds timeouts up.
 */
#include "engine/tcp/tcp_int.h"

#define REO_PERSIST 16u /* recoveries (RFC 8985 6.2 step 4) */
#define PTO_MIN_US 2000u

/* Was (@us32, @end) sent after (@us32_b, @end_b)? */
static bool is_later(uint32_t us32, uint32_t end, uint32_t us32_b, uint32_t end_b)
{
	return us32 == us32_b ? seq_gt(end, end_b) : seq_gt(us32, us32_b);
}

void tcp_rack_advance(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_sent *r,
		uint32_t end, struct tcp_ack *a)
{
	uint32_t rtt_us = (uint32_t)e->now_us - r->us32;

	/* Sooner than the path allows: that was the ACK of the original (step 2). */
	if (r->flags & TCP_SENT_RTX && rtt_us < ctx->rtt_min_us)
		return;
	ctx->rack_rtt_us = rtt_us;
	a->flags |= TCP_ACK_RACK;
	if (is_later(r->us32, end, ctx->rack_us32, ctx->rack_end_seq)) {
		ctx->rack_us32 = r->us32;
		ctx->rack_end_seq = end;
	}
}

void tcp_rack_dsack(struct tcp_ctx *ctx)
{
	uint32_t mult = ctx->rack_reo_mult ? ctx->rack_reo_mult : 1;

	if (ctx->flags2 & TCP_CTX2_DSACK && seq_lt(ctx->snd_una, ctx->rack_round_seq))
		return;
	ctx->flags2 |= TCP_CTX2_DSACK;
	ctx->rack_round_seq = ctx->snd_nxt;
	ctx->rack_reo_mult = (uint8_t)(mult < UINT8_MAX ? mult + 1 : mult);
	ctx->rack_reo_persist = REO_PERSIST;
}

void tcp_rack_recovered(struct tcp_ctx *ctx)
{
	if (ctx->rack_reo_persist && --ctx->rack_reo_persist == 0)
		ctx->rack_reo_mult = 1;
}

/* Step 4: how much later may an older segment arrive than a newer one? */
static uint32_t reo_wnd_us(const struct tcp_env *e, const struct tcp_ctx *ctx)
{
	uint32_t mult = ctx->rack_reo_mult ? ctx->rack_reo_mult : 1;
	uint32_t thresh = e->stack->conf.reorder_segs;
	uint64_t wnd_us;

	if (!(ctx->flags2 & TCP_CTX2_REORDERED)) {
		if (ctx->loss_state >= TCP_LOSS_RECOVERY || ctx->dupacks >= thresh ||
				ctx->sacked_bytes > (thresh - 1) * ctx->mss)
			return 0;
	}
	wnd_us = (uint64_t)ctx->rtt_min_us / 4 * mult;
	return wnd_us < ctx->srtt_us ? (uint32_t)wnd_us : ctx->srtt_us;
}

uint32_t tcp_rack_detect(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_ack *a)
{
	struct tcp_log *log = &e->stack->log[ctx->sent_log];
	uint32_t allowed_us = ctx->rack_rtt_us + reo_wnd_us(e, ctx);
	uint32_t wait_us = 0;

	for (uint32_t i = 0; i < log->n; i++) {
		struct tcp_sent *r = &log->r[log->first + i];
		uint32_t age_us = (uint32_t)e->now_us - r->us32;

		if (r->state != TCP_SENT_OUT)
			continue;
		if (!is_later(ctx->rack_us32, ctx->rack_end_seq, r->us32, r->hi)) {
			/* Part of the newest delivered burst: what lies before its end left before it. */
			if (r->us32 != ctx->rack_us32 || !seq_lt(r->lo, ctx->rack_end_seq))
				continue;
		}
		if (age_us >= allowed_us)
			tcp_sent_lost(ctx, r, a);
		else if (allowed_us - age_us > wait_us)
			wait_us = allowed_us - age_us;
	}
	return wait_us;
}

void tcp_rack_arm(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t wait_us)
{
	uint32_t wait_ms = (wait_us + 999) / 1000;

	ctx->flags2 &= ~TCP_CTX2_TIMER_TLP;
	ctx->flags2 |= TCP_CTX2_TIMER_REO;
	tcp_timer_arm(e, ctx, &ctx->rtx_at_ms, wait_ms ? wait_ms : 1);
}

void tcp_rack_timeout(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	uint32_t pipe = tcp_loss_pipe(ctx);
	struct tcp_ack a = {.ack = ctx->snd_una, .prior_una = ctx->snd_una, .prior_pipe = pipe};
	uint32_t wait_us;

	if (ctx->sent_log == 0) {
		tcp_timer_arm_rto(e, ctx);
		return;
	}
	wait_us = tcp_rack_detect(e, ctx, &a);
	if (a.lost) {
		if (ctx->loss_state < TCP_LOSS_RECOVERY)
			tcp_loss_enter_recovery(e, ctx, false);
		if (ctx->loss_state == TCP_LOSS_RECOVERY)
			tcp_prr_ack(ctx, &a, ctx->mss);
		tcp_output(e, ctx);
	}
	if (wait_us)
		tcp_rack_arm(e, ctx, wait_us);
	else if (ctx->flags2 & TCP_CTX2_TIMER_REO || ctx->rtx_at_ms == 0)
		tcp_timer_arm_rto(e, ctx);
}

/* ---- TLP ---- */

bool tcp_tlp_arm(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	uint32_t flight = ctx->snd_nxt - ctx->snd_una;
	uint64_t pto_us = 2ull * ctx->srtt_us;
	uint32_t rto_us;

	if (!(ctx->flags & TCP_CTX_SACK) || ctx->srtt_us == 0 || ctx->backoff_n ||
			!e->stack->conf.tlp)
		return false;
	if (ctx->loss_state != TCP_LOSS_OPEN && ctx->loss_state != TCP_LOSS_CWR)
		return false;
	/* Alone, its ACK may be delayed (RFC 8985 7.2). */
	pto_us += flight <= ctx->mss ? e->stack->conf.rto_us_min : PTO_MIN_US;
	rto_us = tcp_timer_rto_left_us(e, ctx);
	if (pto_us > rto_us)
		pto_us = rto_us;
	ctx->flags2 &= ~TCP_CTX2_TIMER_REO;
	ctx->flags2 |= TCP_CTX2_TIMER_TLP;
	tcp_timer_arm(e, ctx, &ctx->rtx_at_ms, (uint32_t)pto_us / 1000 + 1);
	return true;
}

/* Where does the last segment of @r begin? The FIN rides on it. */
static uint32_t last_segment(const struct tcp_ctx *ctx, const struct tcp_sent *r)
{
	uint32_t fin = ctx->flags & TCP_CTX_FIN_SENT && r->hi == ctx->snd_tail + 1;
	uint32_t len = r->hi - r->lo - fin;

	if (len <= r->seg_bytes && len <= ctx->mss)
		return r->lo;
	if (r->seg_bytes == 1 || r->seg_bytes > ctx->mss)
		return len > ctx->mss ? r->hi - fin - ctx->mss : r->lo;
	return r->lo + (len - 1) / r->seg_bytes * r->seg_bytes;
}

/* The last segment again. Return: was it sent? */
static bool probe_again(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	struct tcp_log *log = tcp_sent_log(e, ctx);
	struct tcp_sent *r;
	uint32_t lo;

	if (log == NULL)
		return false;
	r = &log->r[log->first + log->n - 1];
	lo = last_segment(ctx, r);
	if (ctx->flags2 & TCP_CTX2_EOR)
		lo = tcp_eor_last(e->stack, ctx, lo, r->hi);
	if (r->state != TCP_SENT_OUT || !tcp_sent_cut(e, ctx, lo))
		return false;
	if (tcp_tx_range(e, ctx, lo, ctx->snd_nxt, true) == 0)
		return false;
	tcp_sent_again(e, ctx, &log->r[log->first + log->n - 1]);
	ctx->flags2 |= TCP_CTX2_TLP_RTX;
	return true;
}

void tcp_tlp_timeout(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	ctx->flags2 &= ~TCP_CTX2_TIMER_TLP;
	/* One probe at a time. */
	if (!(ctx->flags2 & TCP_CTX2_TLP)) {
		ctx->flags2 &= ~TCP_CTX2_TLP_RTX;
		if (tcp_tx_probe_new(e, ctx) || probe_again(e, ctx)) {
			TCP_COUNT(e, loss_probes);
			ctx->flags2 |= TCP_CTX2_TLP;
			ctx->flags |= TCP_CTX_CAREFUL;
			ctx->tlp_end_seq = ctx->snd_nxt;
			/* Its answer has the time of a timeout (RFC 8985 7.3). */
			tcp_timer_restart_rto(e, ctx);
			return;
		}
	}
	tcp_timer_arm_rto(e, ctx);
}

void tcp_tlp_end(struct tcp_ctx *ctx)
{
	ctx->flags2 &= ~(TCP_CTX2_TLP | TCP_CTX2_TLP_RTX);
	tcp_rx_careful(ctx);
}

void tcp_tlp_ack(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ack *a)
{
	if (seq_lt(a->ack, ctx->tlp_end_seq))
		return;
	if (!(ctx->flags2 & TCP_CTX2_TLP_RTX) || a->flags & TCP_ACK_DSACK_TLP) {
		tcp_tlp_end(ctx);
	} else if (seq_gt(a->ack, ctx->tlp_end_seq)) {
		/* More is acknowledged and no D-SACK came: the probe repaired a loss. */
		TCP_COUNT(e, loss_probe_recovery);
		tcp_tlp_end(ctx);
		if (ctx->loss_state < TCP_LOSS_CWR) {
			tcp_prr_begin(e, ctx);
			tcp_loss_set_state(e, ctx, TCP_LOSS_CWR);
			tcp_prr_end(ctx);
			tcp_loss_keep_open(e, ctx);
		}
	} else if (!(a->flags & (TCP_ACK_UNA | TCP_ACK_WND | TCP_ACK_SACKED))) {
		/* A plain duplicate: original and probe both arrived. */
		tcp_tlp_end(ctx);
	}
}
