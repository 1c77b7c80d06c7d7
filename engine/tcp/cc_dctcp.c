/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DCTCP: as much less as there was congestion.
 *
 * A switch marks (CE) what finds more than a few segments in its queue. The receiver tells exactly which bytes were
 * marked: when the mark begins or ends it acknowledges at once what came before, with the old ECE. The sender estimates
 * the marked fraction,
 *
 *     alpha = (1 - g) alpha + g M,   g = 1/16,  once a window,
 *
 * and an ECE reduces cwnd by alpha/2 instead of one half, once a window. A loss is a loss: half, as NewReno, which also
 * is what remains where the peer does not know ECN.
 *
 * For networks under one administration: it is not fair to others (RFC 8257 5).
 *
 * RFC 8257.
 */
#include "engine/tcp/tcp_int.h"

#define ALPHA_SHIFT 10u
#define ALPHA_MAX (1u << ALPHA_SHIFT)
#define G_SHIFT 4u /* g = 1/16 */

/* In ctx->cc_state. */
struct dctcp {
	uint32_t acked;        /* bytes towards the next segment of cwnd */
	uint32_t alpha;        /* DCTCP.Alpha, of ALPHA_MAX */
	uint32_t window_end;   /* seq, DCTCP.WindowEnd */
	uint32_t bytes;        /* DCTCP.BytesAcked */
	uint32_t bytes_marked; /* DCTCP.BytesMarked */
	bool has_window;
};
ETA_STATIC_ASSERT(
		sizeof(struct dctcp) <= TCP_CTX_CC_WORDS * sizeof(uint64_t), "cc_state too small");

static struct dctcp *state_of(struct tcp_ctx *ctx)
{
	return (struct dctcp *)ctx->cc_state;
}

static void dctcp_init(struct tcp_ctx *ctx)
{
	state_of(ctx)->alpha = ALPHA_MAX; /* until we know better */
}

static void dctcp_restart(struct tcp_ctx *ctx)
{
	state_of(ctx)->acked = 0;
}

static uint32_t dctcp_ssthresh(struct tcp_ctx *ctx, uint32_t flight)
{
	struct dctcp *s = state_of(ctx);

	s->acked = 0;
	if (!(ctx->flags2 & TCP_CTX2_ECN))
		return flight / 2;
	return ctx->cwnd - (uint32_t)((uint64_t)ctx->cwnd * s->alpha >> (ALPHA_SHIFT + 1));
}

/* The sum of a window is in. */
static void update_alpha(struct dctcp *s)
{
	uint32_t less = s->alpha >> G_SHIFT;

	/* Rounding must not keep the last of it alive. */
	s->alpha -= less ? less : s->alpha;
	if (s->bytes_marked)
		s->alpha += (uint32_t)(((uint64_t)s->bytes_marked << (ALPHA_SHIFT - G_SHIFT)) /
				       s->bytes);
	if (s->alpha > ALPHA_MAX)
		s->alpha = ALPHA_MAX;
	s->bytes = 0;
	s->bytes_marked = 0;
}

static void dctcp_acked(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ack *a)
{
	struct dctcp *s = state_of(ctx);

	(void)e;
	s->bytes += a->delivered;
	if (a->flags & TCP_ACK_ECE)
		s->bytes_marked += a->delivered;
	if (s->has_window && !seq_gt(a->ack, s->window_end))
		return;
	if (s->has_window && s->bytes)
		update_alpha(s);
	s->window_end = ctx->snd_nxt;
	s->has_window = true;
}

static void dctcp_avoid(struct tcp_ctx *ctx, uint32_t acked, uint32_t now_ms)
{
	(void)now_ms;
	tcp_cc_reno_avoid(ctx, &state_of(ctx)->acked, acked);
}

static void dctcp_loss_state(const struct tcp_env *e, struct tcp_ctx *ctx, uint8_t next)
{
	uint32_t half = ctx->prior_cwnd / 2;

	(void)e;
	/* Something was lost: the marks do not excuse it (RFC 8257 3.5). */
	if (next < TCP_LOSS_RECOVERY || ctx->loss_state >= TCP_LOSS_RECOVERY)
		return;
	if (ctx->ssthresh > half)
		ctx->ssthresh = half > 2u * ctx->mss ? half : 2u * ctx->mss;
}

/* The receiver's half (RFC 8257 3.2). */
static void dctcp_ce(const struct tcp_env *e, struct tcp_ctx *ctx, bool is_ce)
{
	if (is_ce == !!(ctx->flags2 & TCP_CTX2_CE_LAST))
		return;
	if (ctx->rcv_acked != ctx->rcv_nxt)
		tcp_tx_ack(e, ctx); /* with the old ECE */
	ctx->flags2 &= ~TCP_CTX2_ECE_OWED;
	ctx->flags2 |= is_ce ? TCP_CTX2_ECE_OWED : 0;
}

const struct tcp_cc_ops tcp_cc_dctcp = {
		.name = "dctcp",
		.flags = TCP_CC_ECN | TCP_CC_EVERY_ACK,
		.init = dctcp_init,
		.ssthresh = dctcp_ssthresh,
		.avoid = dctcp_avoid,
		.restart = dctcp_restart,
		.acked = dctcp_acked,
		.loss_state = dctcp_loss_state,
		.ce = dctcp_ce,
};
