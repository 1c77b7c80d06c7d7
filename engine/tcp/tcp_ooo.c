/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Out-of-order reassembly.
 *
 * Bytes that arrive ahead of rcv_nxt are stored at their place in the receive stream at once; here
 * we only remember which they are, as ranges in an extension. Whatever cannot be stored or
 * remembered counts as never received: it is not reported by SACK and the peer sends it again. A
 * range that rcv_nxt reaches is delivered and leaves.
 *
 * RFC 9293 3.10.7.4 (text processing), RFC 2018 4 (which block is reported first).
 */
#include "engine/tcp/tcp_int.h"

static void note_recent(struct tcp_ext *ext, uint32_t seq)
{
	const struct tcp_range *r = tcp_range_find(ext, seq);
	uint32_t i;

	/* Entries that name the same range as the new first one only take up room. */
	for (i = 0; i < TCP_RECENT_MAX - 1; i++) {
		if (r && seq_in(ext->recent[i], r->lo, r->hi))
			break;
	}
	for (; i > 0; i--)
		ext->recent[i] = ext->recent[i - 1];
	ext->recent[0] = seq;
}

void tcp_ooo_dup(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t lo, uint32_t hi)
{
	if (!(ctx->flags & TCP_CTX_SACK) || !seq_lt(lo, hi))
		return;
	if (seq_lt(lo, ctx->rcv_nxt))
		TCP_COUNT(e, dsack_old_sent);
	else
		TCP_COUNT(e, dsack_ofo_sent);
	/* Reports of one burst that touch are one. */
	if (ctx->flags2 & TCP_CTX2_DSACK_OWED && seq_le(lo, ctx->dsack.hi) &&
			seq_ge(hi, ctx->dsack.lo)) {
		lo = seq_min(lo, ctx->dsack.lo);
		hi = seq_max(hi, ctx->dsack.hi);
	}
	ctx->dsack = (struct tcp_range){lo, hi};
	ctx->flags2 |= TCP_CTX2_DSACK_OWED;
}

uint32_t tcp_ooo_add(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t seq,
		const uint8_t *data, uint32_t len)
{
	const struct tcp_range *dup;
	struct tcp_ext *ext;
	uint32_t stored;

	if (ctx->ooo_ext == 0) {
		ctx->ooo_ext = tcp_ext_get(e->stack);
		if (ctx->ooo_ext == 0) {
			TCP_COUNT(e, ofo_drop);
			return 0;
		}
	}
	ext = &e->stack->ext[ctx->ooo_ext];
	dup = tcp_range_find(ext, seq);
	if (dup)
		tcp_ooo_dup(e, ctx, seq, seq_min(dup->hi, seq + len));
	stored = tcp_up_place(e->core, ctx, tcp_rcv_off(ctx, seq), data, len);
	if (stored > len)
		stored = len;
	if (stored == 0 || !tcp_range_add(ext, seq, seq + stored)) {
		TCP_COUNT(e, ofo_drop);
		if (ext->n == 0)
			tcp_ext_put(e->stack, &ctx->ooo_ext);
		return 0;
	}
	note_recent(ext, seq);
	ctx->ooo_n++;
	TCP_COUNT(e, ofo_queue);
	return stored;
}

void tcp_ooo_pull(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	struct tcp_ext *ext;

	if (ctx->ooo_ext == 0)
		return;
	ext = &e->stack->ext[ctx->ooo_ext];
	/* Ranges are not adjacent: at most one begins at or before rcv_nxt and ends after it. */
	tcp_range_trim(ext, ctx->rcv_nxt);
	if (ext->n && ext->r[0].lo == ctx->rcv_nxt) {
		ctx->rx_bytes += ext->r[0].hi - ctx->rcv_nxt;
		ctx->rcv_nxt = ext->r[0].hi;
		tcp_range_trim(ext, ctx->rcv_nxt);
		TCP_COUNT(e, ofo_merge);
	}
	if (ext->n == 0)
		tcp_ext_put(e->stack, &ctx->ooo_ext);
}

static bool is_listed(const struct tcp_range *blocks, uint32_t n, const struct tcp_range *r)
{
	for (uint32_t i = 0; i < n; i++) {
		if (blocks[i].lo == r->lo)
			return true;
	}
	return false;
}

uint32_t tcp_ooo_blocks(const struct tcp_stack *stack, const struct tcp_ctx *ctx,
		struct tcp_range *blocks, uint32_t max)
{
	const struct tcp_ext *ext = &stack->ext[ctx->ooo_ext];
	uint32_t n = 0;

	for (uint32_t i = 0; i < TCP_RECENT_MAX && n < max; i++) {
		const struct tcp_range *r = tcp_range_find(ext, ext->recent[i]);

		if (r && !is_listed(blocks, n, r))
			blocks[n++] = *r;
	}
	for (uint32_t i = 0; i < ext->n && n < max; i++) {
		if (!is_listed(blocks, n, &ext->r[i]))
			blocks[n++] = ext->r[i];
	}
	return n;
}
