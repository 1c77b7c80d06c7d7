/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Undo: a reduction that proves wrong is taken back.
 *
 * Every reduction remembers what it took, and counts what has been sent again since. It was wrong if
 * all retransmissions are reported as duplicates (RFC 2883, 3708), if an ACK echoes a timestamp from
 * before the first of them (RFC 3522, 4015), or if after a timeout bytes are acknowledged that were
 * sent once only (F-RTO decides that, RFC 5682). cwnd and ssthresh return to where they were, and what
 * was deemed lost is in flight again.
 *
 * RFC 3708, RFC 4015; timestamps are milliseconds, so that the echo must be truly older.
 */
#include "engine/tcp/tcp_int.h"

void tcp_undo_begin(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	const struct tcp_log *log = &e->stack->log[ctx->sent_log];
	uint32_t again = 0;

	for (uint32_t i = 0; ctx->sent_log && i < log->n; i++) {
		const struct tcp_sent *r = &log->r[log->first + i];

		if (r->flags & TCP_SENT_RTX && r->state == TCP_SENT_OUT)
			again++;
	}
	ctx->flags2 |= TCP_CTX2_UNDO;
	ctx->undo_una = ctx->snd_una;
	ctx->undo_rtx_n = again;
	if (again == 0)
		ctx->flags2 &= ~TCP_CTX2_UNDO_RTX;
}

/* Was the ACK sent before our first retransmission could arrive? */
static bool is_original_echo(const struct tcp_ctx *ctx, const struct tcp_ack *a)
{
	return ctx->flags2 & TCP_CTX2_UNDO_RTX && a->has_tsecr && a->tsecr &&
	       ctx->flags & TCP_CTX_TS && seq_lt(a->tsecr, ctx->undo_ts);
}

bool tcp_undo_may(const struct tcp_ctx *ctx, const struct tcp_ack *a)
{
	if (!(ctx->flags2 & TCP_CTX2_UNDO))
		return false;
	if (ctx->flags2 & TCP_CTX2_UNDO_RTX && ctx->undo_rtx_n == 0)
		return true;
	return is_original_echo(ctx, a);
}

/* Nothing was lost, after all. */
static void unmark_lost(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	struct tcp_log *log = &e->stack->log[ctx->sent_log];

	ctx->lost_bytes = 0;
	ctx->flags &= ~TCP_CTX_RTX_ONE;
	for (uint32_t i = 0; ctx->sent_log && i < log->n; i++) {
		if (log->r[log->first + i].state == TCP_SENT_LOST)
			log->r[log->first + i].state = TCP_SENT_OUT;
	}
}

static void undo(const struct tcp_env *e, struct tcp_ctx *ctx, bool unmark)
{
	const struct tcp_cc_ops *ops = tcp_cc_get(ctx->cc);

	if (unmark)
		unmark_lost(e, ctx);
	if (ctx->prior_ssthresh) {
		if (ops->undo_cwnd)
			ctx->cwnd = ops->undo_cwnd(ctx);
		else if (ctx->cwnd < ctx->prior_cwnd)
			ctx->cwnd = ctx->prior_cwnd;
		if (ctx->ssthresh < ctx->prior_ssthresh)
			ctx->ssthresh = ctx->prior_ssthresh;
		ctx->flags2 &= ~TCP_CTX2_CWR_OWED;
	}
	ctx->flags2 &= ~TCP_CTX2_UNDO;
}

void tcp_undo_recovery(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ack *a)
{
	if (tcp_undo_may(ctx, a)) {
		if (ctx->loss_state == TCP_LOSS_RTO)
			TCP_COUNT(e, loss_undo);
		else
			TCP_COUNT(e, full_undo);
		undo(e, ctx, false);
	} else {
		tcp_rack_recovered(ctx);
	}
	tcp_loss_set_state(e, ctx, TCP_LOSS_OPEN);
	tcp_cc_get(ctx->cc)->restart(ctx);
	ctx->flags2 &= ~(TCP_CTX2_RENEGED | TCP_CTX2_FRTO);
}

/* Return: is everything decided? */
bool tcp_undo_partial(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ack *a)
{
	const struct tcp_log *log = &e->stack->log[ctx->sent_log];

	if (!(ctx->flags2 & TCP_CTX2_UNDO) || !is_original_echo(ctx, a))
		return false;
	ctx->flags2 |= TCP_CTX2_REORDERED;
	for (uint32_t i = 0; ctx->sent_log && i < log->n; i++) {
		const struct tcp_sent *r = &log->r[log->first + i];

		/* Retransmissions are on their way: wait for what they tell. */
		if (r->flags & TCP_SENT_RTX && r->state == TCP_SENT_OUT)
			return true;
	}
	TCP_COUNT(e, partial_undo);
	undo(e, ctx, true);
	tcp_loss_keep_open(e, ctx);
	return false;
}

bool tcp_undo_dsack(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	if (!(ctx->flags2 & TCP_CTX2_UNDO) || !(ctx->flags2 & TCP_CTX2_UNDO_RTX) || ctx->undo_rtx_n)
		return false;
	TCP_COUNT(e, dsack_undo);
	undo(e, ctx, false);
	return true;
}

bool tcp_undo_rto(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ack *a, bool frto)
{
	if (!frto && !tcp_undo_may(ctx, a))
		return false;
	undo(e, ctx, true);
	if (frto)
		TCP_COUNT(e, spurious_rtos);
	else
		TCP_COUNT(e, loss_undo);
	ctx->backoff_n = 0;
	if (frto || ctx->flags & TCP_CTX_SACK) {
		tcp_loss_set_state(e, ctx, TCP_LOSS_OPEN);
		ctx->flags2 &= ~(TCP_CTX2_RENEGED | TCP_CTX2_FRTO);
	}
	return true;
}

void tcp_undo_excuse(struct tcp_ctx *ctx, const struct tcp_range *dup)
{
	uint32_t segs = (dup->hi - dup->lo + ctx->mss - 1) / ctx->mss;

	if (ctx->flags2 & TCP_CTX2_UNDO && seq_gt(dup->hi, ctx->undo_una))
		ctx->undo_rtx_n -= segs < ctx->undo_rtx_n ? segs : ctx->undo_rtx_n;
}

void tcp_undo_sent_again(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t n)
{
	if (!(ctx->flags2 & TCP_CTX2_UNDO_RTX)) {
		ctx->flags2 |= TCP_CTX2_UNDO_RTX;
		ctx->undo_ts = tcp_ts_now(e, ctx);
		ctx->undo_rtx_n = 0;
	}
	ctx->undo_rtx_n += (n + ctx->mss - 1) / ctx->mss;
}
