/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Acknowledgements: what one tells is gathered first, then everybody draws his conclusions, in an
 * order that matters.
 *
 *     SACK blocks, cumulative ACK  -> the send log: delivered, RTT, RACK         struct tcp_ack
 *     loss                         -> state, what is lost, undo
 *     congestion control           -> cwnd
 *     timer                        -> probe, reordering or retransmission
 *
 * The window that a segment carries is taken before, for output needs it; output itself waits for the
 * flush, so that a burst of ACKs is answered once.
 *
 * RFC 9293 3.10.7.4 fifth step, RFC 5681, RFC 2018, RFC 2883, RFC 5961 5.
 */
#include "engine/tcp/tcp_int.h"

/*
 * The window of an ACK that is not old (RFC 9293 3.10.7.4, fifth step). One that acknowledges anew
 * is as new as can be, even if a segment sent after it has overtaken it: its window belongs to its
 * number, and added to the old window it would promise too much (as Linux).
 */
static void rx_window(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg)
{
	uint32_t wnd = (uint32_t)seg->wnd << ctx->snd_wscale;
	bool is_newer = seq_gt(seg->ack, ctx->snd_una) || seq_lt(ctx->snd_wl1, seg->seq) ||
			(ctx->snd_wl1 == seg->seq && seq_le(ctx->snd_wl2, seg->ack));

	if (!is_newer)
		return;
	ctx->snd_wl1 = seg->seq;
	ctx->snd_wl2 = seg->ack;
	if (wnd > ctx->snd_wnd_max)
		ctx->snd_wnd_max = wnd;
	if (wnd == ctx->snd_wnd)
		return;
	ctx->snd_wnd = wnd;
	if (wnd && ctx->flags & TCP_CTX_PERSIST) {
		/*
		 * The probe's octet was not taken, else it would be acknowledged: it goes again, in
		 * full company.
		 */
		if (ctx->flags & TCP_CTX_PROBED && seg->ack == ctx->snd_una)
			ctx->snd_nxt = ctx->snd_una;
		ctx->flags &= ~(TCP_CTX_PERSIST | TCP_CTX_PROBED);
		ctx->rtx_at_ms = 0;
		ctx->backoff_n = 0;
		ctx->rtx_first_ms = 0;
	}
	if (tcp_tx_pending(ctx))
		tcp_owe(e, ctx, TCP_CTX_OUTPUT);
}

/* RFC 5681 2: nothing but the same ACK and window, while data is out. */
static bool is_classic_dupack(const struct tcp_ctx *ctx, const struct tcp_seg *seg)
{
	return seg->len == 0 && !(seg->flags & (TCP_SYN | TCP_FIN)) && seg->ack == ctx->snd_una &&
	       (uint32_t)seg->wnd << ctx->snd_wscale == ctx->snd_wnd;
}

/* Is the first block a report of what came twice (RFC 2883 4)? */
static bool is_dsack(const struct tcp_opts *opts, uint32_t ack)
{
	const struct tcp_range *b = opts->sack;

	if (!seq_lt(b[0].lo, b[0].hi))
		return false;
	if (seq_le(b[0].hi, ack))
		return true;
	return opts->sack_n > 1 && seq_ge(b[0].lo, b[1].lo) && seq_le(b[0].hi, b[1].hi);
}

static void rx_sack(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_opts *opts,
		struct tcp_ack *a)
{
	uint32_t floor = seq_max(a->ack, ctx->snd_una);
	uint32_t i = 0;

	if (is_dsack(opts, a->ack)) {
		/* Of bytes that were never sent, or long ago, it can be no report. */
		if (seq_le(opts->sack[0].hi, ctx->snd_nxt) &&
				ctx->snd_nxt - opts->sack[0].lo <=
						TCP_SND_BYTES_MAX + ctx->snd_wnd_max)
			tcp_loss_dsack(e, ctx, &opts->sack[0], a);
		else
			TCP_COUNT(e, sack_discard);
		i = 1;
	}
	for (; i < opts->sack_n; i++) {
		uint32_t lo = seq_max(opts->sack[i].lo, floor);
		uint32_t hi = opts->sack[i].hi;

		if (!seq_lt(lo, hi) || seq_gt(hi, ctx->snd_nxt)) {
			TCP_COUNT(e, sack_discard);
			continue;
		}
		if (tcp_sent_log(e, ctx) == NULL) {
			/* Nowhere to note it; still it says that something left the network. */
			a->flags |= TCP_ACK_DUP;
			continue;
		}
		tcp_sent_sacked(e, ctx, lo, hi, a);
	}
}

static void sample_rtt(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_ack *a)
{
	if (a->rtt_us_max) {
		tcp_timer_rtt_sample(e, ctx, a->rtt_us_max);
		if (a->rtt_us < ctx->rtt_min_us)
			ctx->rtt_min_us = a->rtt_us;
	} else if (a->has_tsecr && a->tsecr && a->acked) {
		/* Which copy was it? The echo knows (RFC 7323 4.1), to a millisecond. */
		uint32_t rtt_ms = tcp_ts_now(e, ctx) - a->tsecr;

		if (rtt_ms <= e->stack->conf.rto_us_max / 1000)
			tcp_timer_rtt_sample(e, ctx, rtt_ms * 1000 + 500);
	}
}

/* snd_una moves to a->ack: what was delivered, and how long it took. */
static inline void advance(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_ack *a)
{
	uint32_t acked = a->ack - ctx->snd_una;
	uint32_t fin = ctx->flags & TCP_CTX_FIN_SENT && a->ack == ctx->snd_tail + 1;

	a->acked = acked;
	a->flags |= TCP_ACK_UNA;
	if (ETA_LIKELY(ctx->sent_log == 0)) {
		a->delivered += acked;
		if (ctx->flags & TCP_CTX_RTT_TIMING) {
			uint32_t age_us = (uint32_t)e->now_us - ctx->sent_us32;

			a->rtt_us = age_us ? age_us : 1;
			a->rtt_us_max = a->rtt_us;
			a->flags |= TCP_ACK_ORIG;
		} else {
			a->flags |= TCP_ACK_RTX;
		}
		if (ETA_UNLIKELY(ctx->sacked_bytes | ctx->lost_bytes)) {
			ctx->lost_bytes -= acked < ctx->lost_bytes ? acked : ctx->lost_bytes;
			tcp_sent_reno_acked(ctx, a);
		}
	} else {
		tcp_sent_acked(e, ctx, a);
	}
	ctx->tx_bytes += acked - fin;
	if (acked > fin && a->ack == ctx->snd_nxt && !tcp_tx_pending(ctx))
		ctx->busy_ms += e->now_ms - ctx->busy_at_ms;
	ctx->snd_una = a->ack;
	ctx->backoff_n = 0;
	ctx->rtx_first_ms = 0;
	ctx->flags &= ~(TCP_CTX_PERSIST | TCP_CTX_PROBED);
	if (acked > fin)
		tcp_up_acked(e->core, ctx, tcp_snd_off(ctx, a->ack - fin));
}

static inline void arm(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ack *a)
{
	if (ctx->snd_una == ctx->snd_nxt)
		ctx->rtx_at_ms = 0;
	else if (!(a->flags & TCP_ACK_TIMER))
		tcp_timer_arm_rtx(e, ctx);
}

/*
 * cwnd was not what limited us. In slow start it grows all the same up to twice what was in flight in the last window, so that a
 * sender that pauses at a window just full, or nearly, is not held back by it later (Linux, tcp_is_cwnd_limited() with
 * max_packets_out; RFC 7661 4.3: a cwnd of which half is in use is validated).
 */
static ETA_COLD void grow_used(
		const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ack *a)
{
	uint32_t flight = ctx->snd_nxt - a->prior_una;
	uint32_t segs = (flight + ctx->mss - 1) / ctx->mss;

	if (segs > UINT16_MAX)
		segs = UINT16_MAX;
	if (segs > ctx->used_segs) {
		ctx->used_segs = (uint16_t)segs;
		ctx->cwnd_lim_seq = ctx->snd_nxt;
	}
	if (ctx->cwnd < ctx->ssthresh && ctx->cwnd < 2ull * ctx->used_segs * ctx->mss)
		tcp_cc_acked(e, ctx, a->delivered);
	if (seq_ge(ctx->snd_una, ctx->cwnd_lim_seq))
		ctx->flags2 &= ~TCP_CTX2_CWND_USED;
}

static inline void grow(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ack *a)
{
	if (ctx->flags & TCP_CTX_CWND_LIMITED) {
		tcp_cc_acked(e, ctx, a->delivered);
		if (seq_ge(ctx->snd_una, ctx->cwnd_lim_seq))
			ctx->flags &= ~TCP_CTX_CWND_LIMITED;
	} else if (ctx->flags2 & TCP_CTX2_CWND_USED) {
		grow_used(e, ctx, a);
	}
}

/*
 * The same where the send log, ECN, pacing, congestion control or a window that holds output back want to hear of the ACK:
 * apart, so that the usual one needs no struct tcp_ack in memory.
 */
static __attribute__((noinline)) void ack_heard(
		const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t ack)
{
	struct tcp_ack a = {.ack = ack, .prior_una = ctx->snd_una, .prior_fack = ctx->snd_una};

	a.prior_pipe = tcp_loss_pipe(ctx);
	advance(e, ctx, &a);
	if (ctx->flags2 & TCP_CTX2_RWND_LIMITED)
		tcp_limit_look(e, ctx);
	if (a.rtt_us_max)
		sample_rtt(e, ctx, &a);
	tcp_cc_ack(e, ctx, &a);
	if (!tcp_cc_control(e, ctx, &a))
		grow(e, ctx, &a);
	if (ctx->flags2 & TCP_CTX2_PACED)
		tcp_pace_update(ctx);
	arm(e, ctx, &a);
	if (tcp_tx_pending(ctx)) {
		ctx->flags2 |= TCP_CTX2_MORE_OVER;
		tcp_owe(e, ctx, TCP_CTX_OUTPUT);
	}
}

void tcp_ack_fast(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t ack)
{
	struct tcp_ack a = {.ack = ack, .prior_una = ctx->snd_una, .prior_fack = ctx->snd_una};

	if (ETA_UNLIKELY(ctx->flags2 & (TCP_CTX2_PACED | TCP_CTX2_ECN | TCP_CTX2_CWND_USED |
						       TCP_CTX2_RWND_LIMITED)) ||
			ctx->flags & TCP_CTX_CWND_LIMITED || ctx->sent_log) {
		ack_heard(e, ctx, ack);
		return;
	}
	advance(e, ctx, &a);
	if (a.rtt_us_max)
		sample_rtt(e, ctx, &a);
	arm(e, ctx, &a);
	if (tcp_tx_pending(ctx)) {
		ctx->flags2 |= TCP_CTX2_MORE_OVER;
		tcp_owe(e, ctx, TCP_CTX_OUTPUT);
	}
}

static void conclude(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_ack *a)
{
	uint32_t lost = ctx->lost_bytes;

	if (ctx->rto_at_ms && a->flags & TCP_ACK_UNA) {
		ctx->rto_recovery_ms += e->now_ms - ctx->rto_at_ms;
		ctx->rto_at_ms = 0;
	}
	if (ctx->flags2 & TCP_CTX2_RWND_LIMITED)
		tcp_limit_look(e, ctx);
	sample_rtt(e, ctx, a);
	if (a->flags & TCP_ACK_ECE)
		tcp_ecn_ack(e, ctx, a);
	tcp_cc_ack(e, ctx, a);
	tcp_loss_ack(e, ctx, a);
	if (tcp_cc_control(e, ctx, a))
		; /* cwnd is decided */
	else if (ctx->loss_state == TCP_LOSS_CWR || ctx->loss_state == TCP_LOSS_RECOVERY)
		/* Without SACK each partial ACK sends one segment again (RFC 6582 3.2 step 3). */
		tcp_prr_ack(ctx, a, !(ctx->flags & TCP_CTX_SACK) && a->lost ? ctx->mss : 0);
	else if (a->flags & TCP_ACK_UNA)
		grow(e, ctx, a);
	if (ctx->flags2 & TCP_CTX2_PACED)
		tcp_pace_update(ctx);
	if (a->flags & TCP_ACK_UNA)
		arm(e, ctx, a);
	if (ctx->flags2 & TCP_CTX2_EOR)
		tcp_eor_acked(e->stack, ctx);
	ctx->flags2 |= TCP_CTX2_MORE_OVER;
	if (tcp_tx_pending(ctx) || ctx->lost_bytes || lost)
		tcp_owe(e, ctx, TCP_CTX_OUTPUT);
}

bool tcp_ack_rx(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg,
		const struct tcp_opts *opts)
{
	struct tcp_ack a = {.ack = seg->ack,
			.prior_una = ctx->snd_una,
			.prior_fack = ctx->sent_log ? ctx->rack_fack : ctx->snd_una,
			.prior_pipe = tcp_loss_pipe(ctx),
			.tsecr = opts->tsecr,
			.has_tsecr = opts->has & TCP_OPT_HAS_TS};
	bool in_flight = ctx->snd_una != ctx->snd_nxt && !(ctx->flags & TCP_CTX_PERSIST);
	bool is_classic;

	if (seg->flags & TCP_ECE && ctx->flags2 & TCP_CTX2_ECN)
		a.flags |= TCP_ACK_ECE;
	if (seq_gt(seg->ack, ctx->snd_nxt)) {
		TCP_COUNT(e, acks_unsent);
		tcp_tx_challenge(e, ctx);
		return false;
	}
	if (seq_lt(seg->ack, ctx->snd_una)) {
		/* Older than any ACK the peer can have sent by now (RFC 5961 5.2)? */
		if (ctx->snd_una - seg->ack > ctx->snd_wnd_max) {
			TCP_COUNT(e, acks_too_old);
			tcp_tx_challenge(e, ctx);
			return false;
		}
		/* Its SACK blocks may still be news. */
		if (opts->sack_n && in_flight && ctx->flags & TCP_CTX_SACK) {
			rx_sack(e, ctx, opts, &a);
			conclude(e, ctx, &a);
		}
		return true;
	}
	is_classic = in_flight && is_classic_dupack(ctx, seg);
	if (seg->len || !is_classic_dupack(ctx, seg))
		a.flags |= TCP_ACK_WND;
	rx_window(e, ctx, seg);
	if (seg->len == 0)
		TCP_COUNT(e, pure_acks);
	if (!(ctx->flags & TCP_CTX_SACK))
		a.flags |= is_classic ? TCP_ACK_DUP : 0;
	else if (opts->sack_n && (in_flight || ctx->flags2 & TCP_CTX2_UNDO))
		rx_sack(e, ctx, opts, &a);
	if (seg->ack != ctx->snd_una) {
		advance(e, ctx, &a);
	} else if (!in_flight && !(a.flags & TCP_ACK_DSACK)) {
		if (ctx->flags2 & TCP_CTX2_RWND_LIMITED)
			tcp_limit_look(e, ctx);
		return true;
	}
	conclude(e, ctx, &a);
	return true;
}
