/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What holds output back, and for how long: TCP_INFO's rwnd_limited and sndbuf_limited.
 *
 * Time is taken where the reason changes, and nowhere else: when output stops at the peer's window, when an ACK lets it
 * go on, when the user begins to wait for room while all he could queue is in flight, when he is told that there is some.
 * One reason at a time. A connection without reason pays nothing; ACKs of one that waits for a window leave the shortest
 * path.
 *
 * Limits: milliseconds, as Linux's. A window that opens by a segment that acknowledges nothing counts until the next ACK
 * if all that waited could leave then.
 *
 * Linux's tcp_chrono_start(); RFC 4898 5 (tcpEStatsPerfSndLimTime*) is the idea.
 */
#include "engine/tcp/tcp_int.h"

static void limit_set(struct tcp_ctx *ctx, enum tcp_limit limit, uint32_t now_ms)
{
	if (ctx->limit == limit)
		return;
	ctx->limited_ms[ctx->limit] += now_ms - ctx->limited_at_ms;
	ctx->limited_at_ms = now_ms;
	ctx->limit = (uint8_t)limit;
	ctx->flags2 &= ~TCP_CTX2_RWND_LIMITED;
	ctx->flags2 |= limit == TCP_LIMIT_RWND ? TCP_CTX2_RWND_LIMITED : 0;
}

static bool is_window(const struct tcp_ctx *ctx)
{
	uint32_t avail = ctx->snd_tail - ctx->snd_nxt;
	uint32_t room = tcp_wnd_room(ctx);

	if (ctx->flags & TCP_CTX_PERSIST)
		return true;
	return tcp_tx_pending(ctx) && room < avail && room < ctx->mss &&
	       tcp_loss_pipe(ctx) + ctx->mss <= ctx->cwnd;
}

void tcp_limit_look(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	limit_set(ctx, is_window(ctx) ? TCP_LIMIT_RWND : TCP_LIMIT_NONE, e->now_ms);
}

void tcp_user_waits(struct tcp_ctx *ctx, bool waits, uint64_t now_us)
{
	bool is_all_out = waits && tcp_state_sends(ctx->state) && ctx->snd_tail == ctx->snd_nxt &&
			  !(ctx->flags & TCP_CTX_CWND_LIMITED);

	if (is_all_out && ctx->limit == TCP_LIMIT_NONE)
		limit_set(ctx, TCP_LIMIT_SNDBUF, (uint32_t)(now_us / 1000));
	else if (!is_all_out && ctx->limit == TCP_LIMIT_SNDBUF)
		limit_set(ctx, TCP_LIMIT_NONE, (uint32_t)(now_us / 1000));
}

uint32_t tcp_limit_ms(const struct tcp_ctx *ctx, enum tcp_limit limit, uint32_t now_ms)
{
	uint32_t ms = ctx->limited_ms[limit];

	return ctx->limit == limit && tcp_state_sends(ctx->state) ? ms + now_ms - ctx->limited_at_ms
								  : ms;
}
