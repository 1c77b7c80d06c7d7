/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Explicit congestion notification: a router marks where it would have dropped.
 *
 * Handshake: the SYN asks with ECE and CWR, the SYN-ACK agrees with ECE alone. A SYN that had to be sent again no longer
 * asks, for there are middleboxes that drop such SYNs. Then new data leaves as ECT(0); what is sent again, probes, and
 * segments without text do not (RFC 3168 6.1.4 to 6.1.6): a mark on them would not be heard, or could be forged.
 *
 * Receiver: text with CE makes each ACK carry ECE until the sender's CWR; DCTCP has its own rule. Sender: ECE is a loss
 * without a retransmission, once a window; the next new segment says CWR, after any reduction.
 *
 * RFC 3168 6.1, RFC 8257 3.2 (by the congestion control's ce()).
 */
#include "engine/tcp/tcp_int.h"

#define CE_QUICK_SEGS 2u /* ACKs at once after a mark, as Linux */

static bool cc_asks(const struct tcp_env *e, const struct tcp_ctx *ctx)
{
	uint8_t cc = ctx->cc_wanted ? ctx->cc_wanted : e->stack->conf.cc;

	return tcp_cc_get(cc)->flags & TCP_CC_ECN;
}

void tcp_ecn_syn(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_txseg *seg)
{
	if (ctx->state == TCP_STATE_SYN_RECEIVED) {
		if (ctx->flags2 & TCP_CTX2_ECN)
			seg->flags |= TCP_ECE;
		return;
	}
	ctx->flags2 &= ~TCP_CTX2_ECN;
	if (ctx->flags & TCP_CTX_SYN_RTX)
		return;
	if (e->stack->conf.ecn != TCP_ECN_ON && !cc_asks(e, ctx))
		return;
	ctx->flags2 |= TCP_CTX2_ECN; /* asked; agreed when the SYN-ACK says so */
	seg->flags |= TCP_ECE | TCP_CWR;
}

void tcp_ecn_agree(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg)
{
	uint8_t both = seg->flags & (TCP_ECE | TCP_CWR);
	bool is_agreed;

	if (seg->flags & TCP_ACK)
		is_agreed = ctx->flags2 & TCP_CTX2_ECN && both == TCP_ECE;
	else /* a SYN that is itself ECT comes from something broken, as Linux judges */
		is_agreed = both == (TCP_ECE | TCP_CWR) &&
			    ((e->stack->conf.ecn != TCP_ECN_OFF && seg->ecn == 0) ||
					    cc_asks(e, ctx));
	ctx->flags2 &= ~TCP_CTX2_ECN;
	ctx->flags2 |= is_agreed ? TCP_CTX2_ECN : 0;
}

void tcp_ecn_tx(struct tcp_ctx *ctx, struct tcp_txseg *seg)
{
	if (ctx->flags2 & TCP_CTX2_ECE_OWED && !(seg->flags & TCP_RST))
		seg->flags |= TCP_ECE;
	if (seg->len == 0 || seg->is_retransmit || ctx->flags & TCP_CTX_PERSIST)
		return;
	seg->ecn = ECN_ECT0;
	if (ctx->flags2 & TCP_CTX2_CWR_OWED)
		seg->flags |= TCP_CWR;
}

void tcp_ecn_rx(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg)
{
	const struct tcp_cc_ops *ops = tcp_cc_get(ctx->cc);
	bool is_ce = seg->ecn == ECN_CE;

	if (seg->len == 0)
		return;
	if (ops->ce) {
		ops->ce(e, ctx, is_ce);
	} else if (seg->flags & TCP_CWR) {
		ctx->flags2 &= ~TCP_CTX2_ECE_OWED;
		/* Its window may be down to this segment. */
		tcp_owe(e, ctx, TCP_CTX_ACK_NOW);
	}
	ctx->flags2 &= ~TCP_CTX2_CE_LAST;
	ctx->flags2 |= is_ce ? TCP_CTX2_CE_LAST : 0;
	tcp_rx_careful(ctx);
	if (!is_ce)
		return;
	ctx->ce_bytes += seg->len;
	TCP_COUNT(e, in_ce);
	if (ops->ce)
		return;
	if (!(ctx->flags2 & TCP_CTX2_ECE_OWED)) {
		/* The sender shall hear of it soon. */
		ctx->flags &= ~TCP_CTX_PINGPONG;
		if (ctx->quick_n < CE_QUICK_SEGS)
			ctx->quick_n = CE_QUICK_SEGS;
	}
	ctx->flags2 |= TCP_CTX2_ECE_OWED;
}

void tcp_ecn_ack(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_ack *a)
{
	ctx->ece_bytes += a->delivered;
	TCP_COUNT(e, delivered_ce);
	/* One that owns cwnd judges for itself. */
	if (tcp_cc_get(ctx->cc)->control)
		a->flags &= ~TCP_ACK_ECE;
}
