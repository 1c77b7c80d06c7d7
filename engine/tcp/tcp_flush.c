/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The flush list: who has output to do at the end of a burst.
 *
 * Receiving sends nothing by itself: it puts the context here, so that a burst of segments is answered once, and by data if there is
 * any. A context is on the list at most once. What output leaves to be done goes to the next turn.
 *
 * RFC 9293 3.10.7.4 (MUST-58, MUST-59): process all that has come, acknowledge once.
 */
#include "engine/tcp/tcp_int.h"

void tcp_flush_add(struct tcp_stack *stack, struct tcp_ctx *ctx)
{
	ctx->flags |= TCP_CTX_LISTED;
	ctx->flush_next = 0;
	ctx->flush_prev = stack->flush_tail;
	if (stack->flush_tail)
		stack->ctx[stack->flush_tail].flush_next = ctx->idx;
	else
		stack->flush_head = ctx->idx;
	stack->flush_tail = ctx->idx;
	stack->flush_n++;
}

void tcp_flush_del(struct tcp_stack *stack, struct tcp_ctx *ctx)
{
	if (!(ctx->flags & TCP_CTX_LISTED))
		return;
	if (ctx->flush_prev)
		stack->ctx[ctx->flush_prev].flush_next = ctx->flush_next;
	else
		stack->flush_head = ctx->flush_next;
	if (ctx->flush_next)
		stack->ctx[ctx->flush_next].flush_prev = ctx->flush_prev;
	else
		stack->flush_tail = ctx->flush_prev;
	ctx->flags &= ~TCP_CTX_LISTED;
	ctx->flush_next = 0;
	ctx->flush_prev = 0;
	stack->flush_n--;
}

bool tcp_flush(struct tcp_stack *stack, struct core *env, uint64_t now_us)
{
	struct tcp_env e = TCP_ENV(stack, env, now_us);

	/* Only those that are here now: output may put a context back for the next turn. */
	for (uint32_t n = stack->flush_n; n && stack->flush_head; n--) {
		struct tcp_ctx *ctx = &stack->ctx[stack->flush_head];

		tcp_flush_del(stack, ctx);
		tcp_output(&e, ctx);
	}
	return stack->flush_n != 0;
}
