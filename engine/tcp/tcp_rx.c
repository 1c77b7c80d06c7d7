/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receiving, the expected case: header prediction.
 *
 * An established connection without trouble receives the next bytes in order, or an ACK for bytes
 * in flight, with the usual option or none. Everything else is asked, question by question, and
 * goes to the slow path, which knows the whole of RFC 9293. What both paths do with an ACK that
 * moves snd_una, and with bytes in order, is here.
 *
 * When is an ACK due? At once for two full segments (a superframe counts as what it holds), for the
 * first segments of a bulk transfer, and where the other side needs it to recover; else it waits
 * delack_ms to ride on data. Until we have sent data in answer to data, nobody knows that this is a
 * dialogue: the first segments, short ones too, are acknowledged with their burst, so that a peer
 * under Nagle's rule that says one thing in two writes is not held up. If the delayed-ACK timer
 * proves that a dialogue is none any more, it is the same again.
 *
 * RFC 9293 3.10.7.4, RFC 1122 4.2.3.2, RFC 5681 4.2, RFC 7323 4.3 and 5; Van Jacobson's header
 * prediction.
 */
#include <string.h>

#include "engine/tcp/tcp_int.h"

#define OPT_TS_BYTES 12
#define TCP_FLAGS_PREDICTED (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK | TCP_URG | TCP_ECE | TCP_CWR)

static inline uint32_t load_be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return __builtin_bswap32(v);
}

/*
 * May this segment take the short way? @ts: receives tsval, tsecr if the connection uses
 * timestamps.
 */
static inline bool is_predicted(
		const struct tcp_ctx *ctx, const struct tcp_seg *seg, uint32_t ts[2])
{
	/* The connection: open, nothing missing in either direction? */
	if (ctx->state != TCP_STATE_ESTABLISHED || ctx->loss_state != TCP_LOSS_OPEN)
		return false;
	if (ctx->ooo_ext | ctx->dupacks |
			(ctx->flags & (TCP_CTX_PERSIST | TCP_CTX_CAREFUL | TCP_CTX_FIN_OOO)))
		return false;
	/* The segment: text or ACK, next in order, inside what we promised? */
	if ((seg->flags & TCP_FLAGS_PREDICTED) != TCP_ACK || seg->seq != ctx->rcv_nxt)
		return false;
	if (seg->len > ctx->rcv_adv - ctx->rcv_nxt)
		return false;
	/* Congestion on the way? */
	if (seg->ecn == ECN_CE)
		return false;
	/* The ACK: for something in flight; or an old one, with text. */
	if (seg->ack - ctx->snd_una > ctx->snd_nxt - ctx->snd_una)
		return false;
	if (seg->len == 0 && seg->ack == ctx->snd_una)
		return false;
	/* The options: timestamps as everybody writes them, not older than the last; or none. */
	if (!(ctx->flags & TCP_CTX_TS))
		return seg->opt_len == 0;
	if (seg->opt_len != OPT_TS_BYTES || load_be32(seg->opt) != 0x0101080au)
		return false;
	ts[0] = load_be32(seg->opt + 4);
	ts[1] = load_be32(seg->opt + 8);
	return seq_ge(ts[0], ctx->ts_recent);
}

/*
 * Nothing came for as long as a retransmission timeout takes: the peer may begin again with a window of one segment, and would wait
 * for each ACK (as Linux). Half of our own timeout, for ours is no better known than its.
 */
static bool after_silence(const struct tcp_env *e, const struct tcp_ctx *ctx)
{
	return e->now_ms - ctx->data_rx_ms > ctx->rto_us / 2000;
}

/*
 * Of a superframe the first half has an ACK of its own, for a while after a hole (RFC 5681 4.2 would want one for every second
 * segment): if the other is lost the sender goes on by this one, instead of waiting for its probe. Without loss one ACK answers
 * all that came at once, as Linux has it (__tcp_ack_snd_check()).
 */
static ETA_COLD void ack_half(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t rest)
{
	if (!seq_gt(ctx->rcv_nxt - rest, ctx->rcv_acked) || ctx->flags & TCP_CTX_FIN_RCVD)
		return;
	ctx->rcv_nxt -= rest;
	tcp_tx_ack(e, ctx);
	ctx->rcv_nxt += rest;
}

void tcp_rx_ack_policy(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t len, uint16_t segs)
{
	bool is_full;

	/*
	 * How large are the peer's segments? Never smaller than a default, so that dialogues of
	 * small ones stay quiet.
	 */
	if (ETA_UNLIKELY(len > (uint32_t)ctx->rcv_mss * segs)) {
		uint32_t mss = segs > 1 ? len / segs : len;

		ctx->rcv_mss = (uint16_t)(mss < ctx->mss_adv ? mss : ctx->mss_adv);
	}
	is_full = len >= ctx->rcv_mss;
	if (ctx->rcv_nxt - ctx->rcv_acked >= 2u * ctx->rcv_mss || ctx->flags & TCP_CTX_QUICKACK ||
			(ctx->quick_n && (is_full || !(ctx->flags & TCP_CTX_PINGPONG)))) {
		if (ETA_UNLIKELY(ctx->quick_n > TCP_QUICK_SEGS && len > 3u * ctx->rcv_mss))
			ack_half(e, ctx, len / 2);
		tcp_owe(e, ctx, TCP_CTX_ACK_NOW);
		return;
	}
	if (is_full && after_silence(e, ctx)) {
		ctx->quick_n = TCP_QUICK_SEGS;
		tcp_owe(e, ctx, TCP_CTX_ACK_NOW);
		return;
	}
	ctx->flags |= TCP_CTX_ACK_OWED;
	if (ctx->delack_at_ms == 0)
		tcp_timer_arm(e, ctx, &ctx->delack_at_ms, e->stack->conf.delack_ms);
}

static enum tcp_verdict rx_fast(const struct tcp_env *e, struct tcp_ctx *ctx,
		const struct tcp_seg *seg, const uint32_t ts[2])
{
	/*
	 * Only a segment that begins at or before Last.ACK.sent may move TS.Recent (RFC 7323 4.3).
	 */
	if (ctx->flags & TCP_CTX_TS && seg->seq == ctx->rcv_acked) {
		ctx->ts_recent = ts[0];
		ctx->ts_recent_ms = e->now_ms;
	}
	ctx->rx_last_ms = e->now_ms;
	ctx->segs_in += seg->segs;
	ctx->snd_wnd = (uint32_t)seg->wnd << ctx->snd_wscale;
	ctx->snd_wl1 = seg->seq;
	ctx->snd_wl2 = seg->ack;
	if (ETA_UNLIKELY(ctx->snd_wnd > ctx->snd_wnd_max))
		ctx->snd_wnd_max = ctx->snd_wnd;
	if (seg->ack != ctx->snd_una)
		tcp_ack_fast(e, ctx, seg->ack);
	else if (ETA_UNLIKELY(tcp_tx_pending(ctx)))
		tcp_owe(e, ctx, TCP_CTX_OUTPUT); /* the window may have moved */
	if (seg->len == 0) {
		TCP_COUNT(e, hp_acks);
		return TCP_RX_OK;
	}
	TCP_COUNT(e, hp_hits);
	ctx->data_segs_in += seg->segs;
	if (ETA_UNLIKELY(tcp_up_place(e->core, ctx, tcp_rcv_off(ctx, seg->seq), seg->data,
					 seg->len) < seg->len)) {
		/*
		 * Short of memory: take the bytes again on the careful path, which counts what is
		 * lost.
		 */
		(void)tcp_rx_text(e, ctx, seg, seg->seq);
		ctx->data_rx_ms = e->now_ms;
		return TCP_RX_OK;
	}
	ctx->rcv_nxt += seg->len;
	ctx->rx_bytes += seg->len;
	tcp_up_readable(e->core, ctx, tcp_rcv_off(ctx, ctx->rcv_nxt), false);
	tcp_rx_ack_policy(e, ctx, seg->len, seg->segs);
	ctx->data_rx_ms = e->now_ms;
	return TCP_RX_OK;
}

enum tcp_verdict tcp_rx(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx,
		const struct tcp_seg *seg, const struct ip_tuple *tuple, uint64_t now_us)
{
	struct tcp_env e = TCP_ENV(stack, env, now_us);
	uint32_t ts[2];

	stack->stats.in_segs += seg->segs;
	if (ETA_LIKELY(is_predicted(ctx, seg, ts)))
		return rx_fast(&e, ctx, seg, ts);
	return tcp_rx_slow(&e, ctx, seg, tuple);
}
