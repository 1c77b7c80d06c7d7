/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receiving, every case: the steps of RFC 9293 3.10.7.4 in their order, with the hardening of RFC
 * 5961.
 *
 * A segment that is not acceptable, or tries what only an attacker or a lost peer would, is
 * answered by an ACK or not at all; such answers are limited, so that two confused ends do not
 * chase each other and no outsider makes us a reflector. LISTEN, SYN-SENT and TIME-WAIT have rules
 * of their own, elsewhere.
 *
 * Deviations, as Linux: a pure ACK exactly at the right edge of the window is acceptable (a sender
 * that has filled the window has no other sequence number); a segment without timestamps is taken
 * where timestamps were agreed.
 *
 * RFC 9293 3.10.7.4, RFC 5961 3-5, RFC 7323 5.2.
 */
#include "engine/tcp/tcp_open.h"

static uint32_t seg_seq_len(const struct tcp_seg *seg)
{
	return seg->len + !!(seg->flags & TCP_SYN) + !!(seg->flags & TCP_FIN);
}

/* First step: sequence number. */
static bool is_acceptable(const struct tcp_ctx *ctx, const struct tcp_seg *seg)
{
	uint32_t n = seg_seq_len(seg);
	uint32_t end = seg->seq + n;

	if (n == 0)
		return seq_ge(seg->seq, ctx->rcv_nxt) && seq_le(seg->seq, ctx->rcv_adv);
	/* With a shut window the ACK of a probe still counts; its text will be cut off. */
	if (ctx->rcv_adv == ctx->rcv_nxt)
		return seg->seq == ctx->rcv_nxt;
	return seq_lt(seg->seq, ctx->rcv_adv) && seq_gt(end, ctx->rcv_nxt) && n - 1 <= INT32_MAX;
}

/* Answer a segment that is not acceptable. Text deserves it always: our ACK was lost. */
static void answer_unacceptable(
		const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg)
{
	if (seg->flags & TCP_RST)
		return;
	if (seg_seq_len(seg) == 0 || seg->flags & TCP_SYN) {
		if (ctx->oow_last_ms && e->now_ms - ctx->oow_last_ms < TCP_OOW_MS) {
			TCP_COUNT(e, ack_skipped);
			return;
		}
		ctx->oow_last_ms = e->now_ms ? e->now_ms : 1;
	}
	if (seg->len && seq_lt(seg->seq, ctx->rcv_nxt))
		tcp_ooo_dup(e, ctx, seg->seq, seq_min(seg->seq + seg->len, ctx->rcv_nxt));
	tcp_owe(e, ctx, TCP_CTX_ACK_NOW);
}

/* PAWS (RFC 7323 5.2, R1). Return: true = drop. */
static bool is_paws_old(const struct tcp_env *e, const struct tcp_ctx *ctx,
		const struct tcp_seg *seg, const struct tcp_opts *opts)
{
	if (!(ctx->flags & TCP_CTX_TS) || !(opts->has & TCP_OPT_HAS_TS) || seg->flags & TCP_RST)
		return false;
	if (seq_ge(opts->tsval, ctx->ts_recent))
		return false;
	/* After 24 days of silence the clock may have wrapped. */
	return e->now_ms - ctx->ts_recent_ms < TCP_PAWS_MS;
}

/* Second step: RST. Return: freed. */
static bool rx_rst(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg)
{
	if (seg->seq != ctx->rcv_nxt) {
		tcp_tx_challenge(e, ctx);
		return false;
	}
	switch ((enum tcp_state)ctx->state) {
	case TCP_STATE_SYN_RECEIVED:
		if (ctx->flags & TCP_CTX_PASSIVE) {
			TCP_COUNT(e, embryonic_rsts);
			return tcp_conn_end(e, ctx, ETA_STATUS_RESET);
		}
		TCP_COUNT(e, attempt_fails);
		return tcp_conn_end(e, ctx, ETA_STATUS_REFUSED);
	case TCP_STATE_ESTABLISHED:
	case TCP_STATE_FIN_WAIT_1:
	case TCP_STATE_FIN_WAIT_2:
	case TCP_STATE_CLOSE_WAIT:
		TCP_COUNT(e, estab_resets);
		return tcp_conn_end(e, ctx, ETA_STATUS_RESET);
	case TCP_STATE_CLOSING:
	case TCP_STATE_LAST_ACK:
	case TCP_STATE_TIME_WAIT:
	case TCP_STATE_LISTEN:
	case TCP_STATE_SYN_SENT:
	case TCP_STATE_CLOSED:
	case TCP_STATE_UNUSED: break;
	}
	return tcp_conn_end(e, ctx, ETA_STATUS_OK);
}

/* SYN-RECEIVED: is this the ACK of our SYN? @wnd: in bytes. Return: false = drop. */
static bool rx_ack_syn(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg,
		uint32_t wnd)
{
	if (!seq_gt(seg->ack, ctx->iss) || seq_gt(seg->ack, ctx->snd_nxt)) {
		TCP_COUNT(e, acks_unsent);
		tcp_tx_rst_to(e->stack, e->core, ctx, NULL, seg);
		return false;
	}
	if (ctx->flags & TCP_CTX_PASSIVE && !(ctx->flags & TCP_CTX_USER)) {
		if (ctx->defer_accept_s && tcp_embryo_defer(e, ctx, seg))
			return false;
		/*
		 * No child for it: as if this ACK were lost. The peer's data, or our SYN-ACK, will
		 * bring another.
		 */
		if (!tcp_up_accept(e->core, ctx)) {
			TCP_COUNT(e, reqq_full);
			return false;
		}
		ctx->flags |= TCP_CTX_USER;
		TCP_COUNT(e, passive_opens);
	}
	ctx->snd_wnd = wnd;
	ctx->snd_wnd_max = wnd;
	ctx->snd_wl1 = seg->seq;
	ctx->snd_wl2 = seg->ack;
	tcp_conn_established(e, ctx);
	if (!(ctx->flags & TCP_CTX_PASSIVE))
		tcp_up_connected(e->core, ctx);
	return true;
}

void tcp_rx_urg(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg)
{
	uint32_t up = seg->seq + seg->urg;

	if (!(seg->flags & TCP_URG) || seg->urg == 0 || !tcp_state_receives(ctx->state))
		return;
	if (ctx->flags & TCP_CTX_RD_CLOSED || !seq_gt(up, ctx->rcv_nxt))
		return;
	if (ctx->flags & TCP_CTX_URG_RCVD && seq_gt(ctx->rcv_up, ctx->rcv_nxt) &&
			seq_le(up, ctx->rcv_up))
		return;
	ctx->flags |= TCP_CTX_URG_RCVD;
	ctx->rcv_up = up;
	tcp_up_urgent(e->core, ctx, tcp_rcv_off(ctx, up));
}

/* Bytes at rcv_nxt. Return: how many were taken. */
static uint32_t text_in_order(const struct tcp_env *e, struct tcp_ctx *ctx, const uint8_t *data,
		uint32_t len, uint16_t segs)
{
	bool had_hole = ctx->ooo_ext != 0;
	uint32_t n = tcp_up_place(e->core, ctx, tcp_rcv_off(ctx, ctx->rcv_nxt), data, len);

	if (n < len)
		TCP_COUNT(e, rcv_q_drop);
	if (n > len)
		n = len;
	ctx->rcv_nxt += n;
	ctx->rx_bytes += n;
	tcp_ooo_pull(e, ctx);
	if (n)
		tcp_up_readable(e->core, ctx, tcp_rcv_off(ctx, ctx->rcv_nxt), false);
	if (had_hole || n < len)
		tcp_owe(e, ctx, TCP_CTX_ACK_NOW);
	else
		tcp_rx_ack_policy(e, ctx, n, segs);
	return n;
}

static void text_out_of_order(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t seq,
		const uint8_t *data, uint32_t len)
{
	bool is_new_hole = ctx->ooo_ext == 0;

	(void)tcp_ooo_add(e, ctx, seq, data, len);
	/* Who loses segments will lose ACKs: for a while more of them than needed. */
	if (is_new_hole && ctx->quick_n < TCP_QUICK_SEGS_LOSS)
		ctx->quick_n = TCP_QUICK_SEGS_LOSS;
	/*
	 * Without SACK the sender counts duplicate ACKs one by one. With it one ACK of a burst tells all, unless it is lost:
	 * so each of the first tells what it knows (as Linux).
	 */
	if (ctx->flags & TCP_CTX_SACK && ctx->quick_n <= TCP_QUICK_SEGS)
		tcp_owe(e, ctx, TCP_CTX_ACK_NOW);
	else
		tcp_tx_ack(e, ctx);
}

/* Eighth step: the FIN at rcv_nxt. */
static void rx_fin(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	uint32_t tail = tcp_rcv_off(ctx, ctx->rcv_nxt);

	ctx->rcv_nxt++;
	if (seq_lt(ctx->rcv_adv, ctx->rcv_nxt))
		ctx->rcv_adv = ctx->rcv_nxt;
	ctx->flags |= TCP_CTX_FIN_RCVD;
	ctx->flags &= ~TCP_CTX_FIN_OOO;
	/* Bytes after a FIN are nonsense. */
	tcp_ext_put(e->stack, &ctx->ooo_ext);
	tcp_owe(e, ctx, TCP_CTX_ACK_NOW);
	tcp_up_readable(e->core, ctx, tail, true);
	if (ctx->state == TCP_STATE_ESTABLISHED)
		tcp_conn_set_state(e, ctx, TCP_STATE_CLOSE_WAIT);
	else if (ctx->state == TCP_STATE_FIN_WAIT_1)
		tcp_conn_set_state(e, ctx, TCP_STATE_CLOSING);
	else
		tcp_conn_time_wait(e, ctx);
}

/* A FIN in the middle of what we hold already contradicts its sender: it is not one. */
static bool holds_beyond(const struct tcp_stack *stack, const struct tcp_ctx *ctx, uint32_t seq)
{
	const struct tcp_ext *ext = &stack->ext[ctx->ooo_ext];

	return ctx->ooo_ext && seq_gt(ext->r[ext->n - 1].hi, seq);
}

bool tcp_rx_text(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg,
		uint32_t seq)
{
	uint32_t len = seg->len;
	const uint8_t *data = seg->data;
	uint32_t fin_seq = seq + len;
	bool fin = seg->flags & TCP_FIN;
	bool is_early;

	if (!tcp_state_receives(ctx->state) || (len == 0 && !fin))
		return false;
	if (ctx->flags & TCP_CTX_RD_CLOSED && len && seq_gt(seq + len, ctx->rcv_nxt)) {
		/*
		 * Nobody will read it: say so, or the peer believes that it arrived (RFC 2525
		 * 2.17).
		 */
		TCP_COUNT(e, abort_on_data);
		tcp_tx_rst_to(e->stack, e->core, ctx, NULL, seg);
		return tcp_conn_end(e, ctx, ETA_STATUS_RESET);
	}
	/* Cut what we have, and what we did not promise. */
	if (seq_lt(seq, ctx->rcv_nxt)) {
		uint32_t old = ctx->rcv_nxt - seq;

		if (old > len)
			old = len;
		tcp_ooo_dup(e, ctx, seq, seq + old);
		seq += old;
		data += old;
		len -= old;
		tcp_owe(e, ctx, TCP_CTX_ACK_NOW);
	}
	if (seq_gt(seq + len, ctx->rcv_adv)) {
		len = seq_lt(seq, ctx->rcv_adv) ? ctx->rcv_adv - seq : 0;
		fin = false;
		tcp_owe(e, ctx, TCP_CTX_ACK_NOW);
	}
	/* No byte beyond a FIN that we know of. */
	if (ctx->flags & TCP_CTX_FIN_OOO && seq_gt(seq + len, ctx->rcv_fin))
		len = seq_lt(seq, ctx->rcv_fin) ? ctx->rcv_fin - seq : 0;
	if (fin && seq_ge(fin_seq, ctx->rcv_nxt) && !(ctx->flags & TCP_CTX_FIN_OOO) &&
			!holds_beyond(e->stack, ctx, fin_seq)) {
		ctx->flags |= TCP_CTX_FIN_OOO;
		ctx->rcv_fin = fin_seq;
	}
	is_early = len && seq != ctx->rcv_nxt;
	if (is_early)
		text_out_of_order(e, ctx, seq, data, len);
	else if (len)
		(void)text_in_order(e, ctx, data, len, seg->segs);
	if (ctx->flags & TCP_CTX_FIN_OOO) {
		if (seq_ge(ctx->rcv_nxt, ctx->rcv_fin))
			rx_fin(e, ctx);
		else if (!is_early) /* else that is said already */
			tcp_owe(e, ctx, TCP_CTX_ACK_NOW);
	}
	return false;
}

/*
 * A SYN in a synchronized state, or one that belongs to the handshake. Return: true = go on, @copy
 * is the segment without it.
 */
static bool rx_syn(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg,
		struct tcp_seg *copy)
{
	if (ctx->state == TCP_STATE_SYN_RECEIVED && seg->seq == ctx->irs) {
		/* Simultaneous open: their SYN-ACK crosses ours (RFC 9293 figure 8). */
		if (seg->flags & TCP_ACK) {
			*copy = *seg;
			copy->seq++;
			/* never scaled in a SYN */
			copy->wnd = (uint16_t)(copy->wnd >> ctx->snd_wscale);
			copy->flags &= (uint8_t)~TCP_SYN;
			return true;
		}
		/* Our SYN-ACK was lost. */
		if (ctx->oow_last_ms == 0 || e->now_ms - ctx->oow_last_ms >= TCP_OOW_MS) {
			ctx->oow_last_ms = e->now_ms ? e->now_ms : 1;
			ctx->flags |= TCP_CTX_SYN_RTX;
			ctx->flags &= ~TCP_CTX_RTT_TIMING;
			/* ... or this is a second attempt without ECN (RFC 3168 6.1.1.1). */
			if (!(seg->flags & TCP_ECE))
				ctx->flags2 &= ~TCP_CTX2_ECN;
			tcp_tx_syn(e, ctx);
		}
		return false;
	}
	TCP_COUNT(e, syn_challenge);
	tcp_tx_challenge(e, ctx);
	return false;
}

/* Steps of the synchronized states and SYN-RECEIVED. */
static enum tcp_verdict rx_synchronized(
		const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg)
{
	/* The window of a SYN is never scaled (RFC 7323 2.2). */
	uint32_t wnd = (uint32_t)seg->wnd << (seg->flags & TCP_SYN ? 0 : ctx->snd_wscale);
	struct tcp_opts opts;
	struct tcp_seg copy;

	tcp_opt_parse(seg, &opts);
	/*
	 * A SYN is judged before its sequence number: RFC 5961 4.2 wants the same answer either
	 * way.
	 */
	if (seg->flags & TCP_SYN && !(seg->flags & TCP_RST)) {
		if (!rx_syn(e, ctx, seg, &copy))
			return TCP_RX_OK;
		seg = &copy;
	}
	if (is_paws_old(e, ctx, seg, &opts)) {
		TCP_COUNT(e, paws_estab);
		answer_unacceptable(e, ctx, seg);
		return TCP_RX_OK;
	}
	if (!is_acceptable(ctx, seg)) {
		TCP_COUNT(e, old_segs);
		answer_unacceptable(e, ctx, seg);
		return TCP_RX_OK;
	}
	if (seg->flags & TCP_RST)
		return rx_rst(e, ctx, seg) ? TCP_RX_FREED : TCP_RX_OK;
	if (!(seg->flags & TCP_ACK)) {
		TCP_COUNT(e, no_ack_flag);
		return TCP_RX_OK;
	}
	if (opts.has & TCP_OPT_HAS_TS && ctx->flags & TCP_CTX_TS &&
			seq_le(seg->seq, ctx->rcv_acked) && seq_ge(opts.tsval, ctx->ts_recent)) {
		ctx->ts_recent = opts.tsval;
		ctx->ts_recent_ms = e->now_ms;
	}
	ctx->rx_last_ms = e->now_ms;
	ctx->segs_in += seg->segs;
	if (seg->len)
		ctx->data_segs_in += seg->segs;
	if (ctx->state == TCP_STATE_SYN_RECEIVED) {
		if (!rx_ack_syn(e, ctx, seg, wnd))
			return TCP_RX_OK;
		/* Bytes left before the handshake was complete, and it acknowledges them, too. */
		if (ETA_UNLIKELY(seg->ack != ctx->snd_una) && !tcp_ack_rx(e, ctx, seg, &opts))
			return TCP_RX_OK;
	} else if (!tcp_ack_rx(e, ctx, seg, &opts)) {
		return TCP_RX_OK;
	}
	if (tcp_fin_is_acked(ctx) && tcp_conn_fin_acked(e, ctx))
		return TCP_RX_FREED;
	if (ctx->flags2 & TCP_CTX2_ECN)
		tcp_ecn_rx(e, ctx, seg);
	tcp_rx_urg(e, ctx, seg);
	if (tcp_rx_text(e, ctx, seg, seg->seq))
		return TCP_RX_FREED;
	if (seg->len)
		ctx->data_rx_ms = e->now_ms;
	return TCP_RX_OK;
}

enum tcp_verdict tcp_rx_slow(const struct tcp_env *e, struct tcp_ctx *ctx,
		const struct tcp_seg *seg, const struct ip_tuple *tuple)
{
	switch ((enum tcp_state)ctx->state) {
	case TCP_STATE_LISTEN: return tcp_listen_rx(e, ctx, seg, tuple);
	case TCP_STATE_SYN_SENT: return tcp_syn_sent_rx(e, ctx, seg);
	case TCP_STATE_TIME_WAIT: return tcp_time_wait_rx(e, ctx, seg);
	case TCP_STATE_SYN_RECEIVED:
	case TCP_STATE_ESTABLISHED:
	case TCP_STATE_FIN_WAIT_1:
	case TCP_STATE_FIN_WAIT_2:
	case TCP_STATE_CLOSE_WAIT:
	case TCP_STATE_CLOSING:
	case TCP_STATE_LAST_ACK: return rx_synchronized(e, ctx, seg);
	case TCP_STATE_UNUSED:
	case TCP_STATE_CLOSED: break;
	}
	TCP_COUNT(e, in_errs);
	return TCP_RX_OK;
}
