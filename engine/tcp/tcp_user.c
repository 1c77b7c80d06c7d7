/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The user's calls: open, send, receive, close, abort (RFC 9293 3.10.1 to 3.10.5).
 *
 * Counters come from doorbells that dti has validated; here a wrong one is ignored rather than
 * believed, since it would be sequence space.
 */
#include "engine/tcp/tcp_open.h"

void tcp_connect(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx,
		const struct ip_tuple *tuple, const struct tcp_param *param, uint64_t now_us)
{
	struct tcp_env e = TCP_ENV(stack, env, now_us);

	ctx->flags = TCP_CTX_USER | TCP_CTX_WSCALE | (stack->conf.timestamps ? TCP_CTX_TS : 0) |
		     (stack->conf.sack ? TCP_CTX_SACK : 0);
	tcp_conn_set_param(&e, ctx, param);
	tcp_conn_init(&e, ctx, tuple);
	tcp_wnd_first(&e, ctx);
	tcp_conn_set_state(&e, ctx, TCP_STATE_SYN_SENT);
	TCP_COUNT(&e, active_opens);
	if (param && param->fastopen && stack->conf.fastopen & TCP_FASTOPEN_CLIENT)
		tcp_tfo_connect(&e, ctx, tuple);
	/* What the user writes comes at once, or else the SYN goes without; unless he has said that it will come. */
	if (ctx->flags2 & TCP_CTX2_SYN_DUE && param->fastopen_wait)
		return;
	if (ctx->flags2 & TCP_CTX2_SYN_DUE)
		tcp_timer_arm(&e, ctx, &ctx->xmit_at_ms, TCP_RETRY_MS);
	else
		tcp_tx_syn(&e, ctx);
}

bool tcp_is_reusable(const struct tcp_ctx *ctx, uint64_t now_us)
{
	return ctx->state == TCP_STATE_TIME_WAIT && ctx->flags & TCP_CTX_TS &&
	       (uint32_t)(now_us / 1000) - ctx->ts_recent_ms > TCP_REUSE_MS;
}

bool tcp_reuse(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx, uint64_t now_us)
{
	struct tcp_env e = TCP_ENV(stack, env, now_us);

	return tcp_is_reusable(ctx, now_us) && tcp_conn_recycle(&e, ctx);
}

void tcp_listen(struct tcp_stack *stack, struct tcp_ctx *ctx, const struct tcp_param *param)
{
	struct tcp_env e = {.stack = stack};

	ctx->flags = TCP_CTX_USER;
	tcp_conn_set_param(&e, ctx, param);
	tcp_conn_set_state(&e, ctx, TCP_STATE_LISTEN);
}

static inline void write_to(
		const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t snd_tail, uint32_t more)
{
	uint32_t tail = ctx->iss + 1 + snd_tail;

	if (!tcp_may_write(ctx) || seq_lt(tail, ctx->snd_tail) ||
			tail - ctx->snd_una > TCP_SND_BYTES_MAX + 1)
		return;
	if (ctx->snd_tail == ctx->snd_una)
		ctx->busy_at_ms = e->now_ms;
	if (ETA_UNLIKELY(ctx->flags2 & TCP_CTX2_PACED))
		tcp_rate_check_limit(ctx);
	ctx->snd_tail = tail;
	ctx->flags = (ctx->flags & ~TCP_CTX_MORE) | more;
	if (tcp_may_send(ctx))
		tcp_output(e, ctx);
	else if (ETA_UNLIKELY(ctx->flags2 & TCP_CTX2_SYN_DUE))
		tcp_tx_syn(e, ctx);
}

void tcp_write(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx, uint32_t snd_tail,
		uint64_t now_us)
{
	struct tcp_env e = TCP_ENV(stack, env, now_us);

	write_to(&e, ctx, snd_tail, 0);
}

void tcp_write_more(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx,
		uint32_t snd_tail, uint64_t now_us)
{
	struct tcp_env e = TCP_ENV(stack, env, now_us);

	ctx->flags2 &= ~TCP_CTX2_MORE_OVER;
	write_to(&e, ctx, snd_tail, TCP_CTX_MORE);
}

void tcp_urgent(struct tcp_ctx *ctx, uint32_t snd_up)
{
	uint32_t up = ctx->iss + 1 + snd_up;
	uint32_t ahead = up - ctx->snd_una;

	if (!tcp_may_write(ctx) || ahead == 0 || ahead > TCP_SND_BYTES_MAX + 1)
		return;
	if (ctx->flags & TCP_CTX_URG_SENT && seq_le(up, ctx->snd_up))
		return;
	ctx->flags |= TCP_CTX_URG_SENT;
	ctx->snd_up = up;
}

/* Return: should the peer perhaps hear of it? */
static inline bool read_to(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t rcv_head)
{
	uint32_t head = ctx->irs + 1 + rcv_head;
	uint32_t fin = !!(ctx->flags & TCP_CTX_FIN_RCVD);

	if (!tcp_state_receives(ctx->state) && !tcp_may_send(ctx) &&
			ctx->state != TCP_STATE_CLOSE_WAIT && ctx->state != TCP_STATE_CLOSING &&
			ctx->state != TCP_STATE_LAST_ACK)
		return false;
	if (seq_lt(head, ctx->rcv_head) || seq_gt(head, ctx->rcv_nxt - fin))
		return false;
	ctx->rcv_head = head;
	if (fin)
		return false;
	tcp_wnd_drs(e, ctx);
	return true;
}

void tcp_read(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx, uint32_t rcv_head,
		uint64_t now_us)
{
	struct tcp_env e = TCP_ENV(stack, env, now_us);

	if (read_to(&e, ctx, rcv_head) && tcp_wnd_update_due(&e, ctx))
		tcp_owe(&e, ctx, TCP_CTX_ACK_NOW);
}

void tcp_read_write(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx,
		uint32_t rcv_head, uint32_t snd_tail, uint64_t now_us)
{
	struct tcp_env e = TCP_ENV(stack, env, now_us);
	bool is_read = read_to(&e, ctx, rcv_head);
	uint32_t segs_out = ctx->segs_out;

	write_to(&e, ctx, snd_tail, 0);
	/* a segment that has just left bore the window */
	if (is_read && ctx->segs_out == segs_out && tcp_wnd_update_due(&e, ctx))
		tcp_owe(&e, ctx, TCP_CTX_ACK_NOW);
}

static void queue_fin(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	if (!tcp_may_write(ctx))
		return;
	ctx->flags |= TCP_CTX_FIN_QUEUED;
	if (ctx->state == TCP_STATE_ESTABLISHED)
		tcp_conn_set_state(e, ctx, TCP_STATE_FIN_WAIT_1);
	else if (ctx->state == TCP_STATE_CLOSE_WAIT)
		tcp_conn_set_state(e, ctx, TCP_STATE_LAST_ACK);
	if (tcp_may_send(ctx))
		tcp_output(e, ctx);
}

void tcp_shut_wr(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx, uint64_t now_us)
{
	struct tcp_env e = TCP_ENV(stack, env, now_us);

	queue_fin(&e, ctx);
}

void tcp_close(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx, uint64_t now_us)
{
	struct tcp_env e = TCP_ENV(stack, env, now_us);
	uint32_t fin = !!(ctx->flags & TCP_CTX_FIN_RCVD);

	switch ((enum tcp_state)ctx->state) {
	case TCP_STATE_UNUSED:
	case TCP_STATE_CLOSED:
	case TCP_STATE_TIME_WAIT: return;
	case TCP_STATE_LISTEN:
	case TCP_STATE_SYN_SENT: tcp_conn_end(&e, ctx, ETA_STATUS_OK); return;
	case TCP_STATE_SYN_RECEIVED:
	case TCP_STATE_ESTABLISHED:
	case TCP_STATE_FIN_WAIT_1:
	case TCP_STATE_FIN_WAIT_2:
	case TCP_STATE_CLOSE_WAIT:
	case TCP_STATE_CLOSING:
	case TCP_STATE_LAST_ACK: break;
	}
	if (ctx->flags & TCP_CTX_RD_CLOSED)
		return;
	if ((ctx->state != TCP_STATE_SYN_RECEIVED || ctx->flags2 & TCP_CTX2_TFO) &&
			ctx->rcv_head != ctx->rcv_nxt - fin) {
		TCP_COUNT(&e, abort_on_close);
		tcp_conn_reset(&e, ctx, ETA_STATUS_OK);
		return;
	}
	ctx->flags |= TCP_CTX_RD_CLOSED;
	if (ctx->state == TCP_STATE_FIN_WAIT_2)
		tcp_timer_arm_long(&e, ctx);
	queue_fin(&e, ctx);
}

void tcp_abort(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx, enum eta_status why)
{
	/*
	 * The time is needed by nothing that is left to do but the timestamp of the RST: the last
	 * known will do.
	 */
	struct tcp_env e = {.stack = stack, .core = env, .now_ms = stack->wheel.now_ms};

	switch ((enum tcp_state)ctx->state) {
	case TCP_STATE_UNUSED:
	case TCP_STATE_CLOSED: return;
	case TCP_STATE_SYN_RECEIVED:
	case TCP_STATE_ESTABLISHED:
	case TCP_STATE_FIN_WAIT_1:
	case TCP_STATE_FIN_WAIT_2:
	case TCP_STATE_CLOSE_WAIT: tcp_tx_rst(&e, ctx); break;
	case TCP_STATE_LISTEN:
	case TCP_STATE_SYN_SENT:
	case TCP_STATE_CLOSING:
	case TCP_STATE_LAST_ACK:
	case TCP_STATE_TIME_WAIT: break;
	}
	tcp_conn_end(&e, ctx, why);
}

void tcp_param(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx,
		const struct tcp_param *param, uint64_t now_us)
{
	struct tcp_env e = TCP_ENV(stack, env, now_us);
	uint32_t corked = ctx->flags & TCP_CTX_CORK;

	tcp_conn_set_param(&e, ctx, param);
	if (ctx->flags2 & TCP_CTX2_SYN_DUE && !param->fastopen)
		tcp_tx_syn(&e, ctx);
	if (!tcp_state_sends(ctx->state) && ctx->state != TCP_STATE_FIN_WAIT_2)
		return;
	tcp_conn_set_mss(ctx);
	tcp_cc_change(&e, ctx);
	tcp_timer_arm_long(&e, ctx);
	if (ctx->flags & TCP_CTX_QUICKACK && ctx->flags & TCP_CTX_ACK_OWED)
		tcp_owe(&e, ctx, TCP_CTX_ACK_NOW);
	if (!tcp_tx_pending(ctx))
		return;
	/*
	 * Uncorking, and TCP_NODELAY whenever it is set, push the short segment once, as Linux, under
	 * Nagle's rule and a cork that stays.
	 */
	if (!(ctx->flags & TCP_CTX_CORK) || (ctx->flags & TCP_CTX_NODELAY && corked)) {
		corked &= ctx->flags;
		ctx->snd_sml = ctx->snd_una;
		ctx->flags2 |= TCP_CTX2_MORE_OVER;
		ctx->flags &= ~TCP_CTX_CORK;
		ctx->xmit_at_ms = 0; /* the cork's; what else it is for output arms again */
	} else {
		corked = 0;
	}
	tcp_output(&e, ctx);
	ctx->flags |= corked;
}

void tcp_rx_no_ctx(struct tcp_stack *stack, struct core *env, const struct ip_tuple *tuple,
		const struct tcp_seg *seg)
{
	stack->stats.in_segs += seg->segs;
	tcp_tx_rst_to(stack, env, NULL, tuple, seg);
}
