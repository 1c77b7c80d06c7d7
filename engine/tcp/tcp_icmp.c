/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What ICMP and the route tell a connection: that the peer cannot be reached, or that segments are too large.
 *
 * Anybody can send an ICMP error; one is credible that quotes a segment in flight. Before the connection is established it ends
 * the attempt, with the reason it gives. Afterwards it may be forged, or pass: it is remembered, and becomes the reason if the
 * connection times out before anything else is acknowledged (RFC 1122 4.2.3.9, RFC 5927 5.2; Linux, sk_err_soft).
 *
 * When segments become smaller, what is in flight may be too large to arrive: if any of it can be, all of it is sent again at once,
 * without blaming congestion (RFC 1191 6.5).
 */
#include "engine/tcp/tcp_int.h"

bool tcp_icmp_is_credible(const struct tcp_ctx *ctx, uint32_t seq)
{
	return ctx->state != TCP_STATE_UNUSED && ctx->state != TCP_STATE_LISTEN &&
	       ctx->state != TCP_STATE_TIME_WAIT && seq_in(seq, ctx->snd_una, ctx->snd_nxt);
}

bool tcp_icmp_error(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx,
		enum eta_status why, bool ends_embryo, uint64_t now_us)
{
	struct tcp_env e = TCP_ENV(stack, env, now_us);

	switch ((enum tcp_state)ctx->state) {
	case TCP_STATE_SYN_SENT: TCP_COUNT(&e, attempt_fails); return tcp_conn_end(&e, ctx, why);
	case TCP_STATE_SYN_RECEIVED:
		if (!(ctx->flags & TCP_CTX_PASSIVE)) {
			TCP_COUNT(&e, attempt_fails);
			return tcp_conn_end(&e, ctx, why);
		}
		if (!ends_embryo)
			return false;
		TCP_COUNT(&e, listen_drops);
		return tcp_conn_end(&e, ctx, why);
	case TCP_STATE_ESTABLISHED:
	case TCP_STATE_FIN_WAIT_1:
	case TCP_STATE_FIN_WAIT_2:
	case TCP_STATE_CLOSE_WAIT:
	case TCP_STATE_CLOSING:
	case TCP_STATE_LAST_ACK:
		ctx->err_soft = (uint8_t)why;
		ctx->err_una = ctx->snd_una;
		return false;
	case TCP_STATE_UNUSED:
	case TCP_STATE_LISTEN:
	case TCP_STATE_TIME_WAIT:
	case TCP_STATE_CLOSED: break;
	}
	return false;
}

enum eta_status tcp_icmp_timed_out(const struct tcp_ctx *ctx)
{
	if (ctx->err_soft == ETA_STATUS_OK || ctx->err_una != ctx->snd_una)
		return ETA_STATUS_TIMED_OUT;
	return (enum eta_status)ctx->err_soft;
}

void tcp_mss_changed(struct tcp_stack *stack, struct core *env, struct tcp_ctx *ctx, uint16_t mss,
		uint64_t now_us)
{
	struct tcp_env e = TCP_ENV(stack, env, now_us);
	uint16_t was = ctx->mss;

	if (mss < TCP_MSS_MIN)
		mss = TCP_MSS_MIN;
	if (ctx->state == TCP_STATE_UNUSED || ctx->state == TCP_STATE_LISTEN ||
			mss == ctx->mss_path)
		return;
	ctx->mss_path = mss;
	tcp_conn_set_mss(ctx);
	if (ctx->mss < was && tcp_state_sends(ctx->state) && ctx->snd_nxt - ctx->snd_una > ctx->mss)
		tcp_loss_resend(&e, ctx);
}
