/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Proportional rate reduction: how cwnd gets from where it was to ssthresh during one round trip.
 *
 * As long as more is in the network than ssthresh allows, ssthresh / prior_cwnd of a byte is sent for
 * each that is delivered; below ssthresh it is at least one for one, and one segment more while ACKs
 * show progress without new loss, until ssthresh is reached. cwnd is recomputed from the pipe on each
 * ACK, so that who was silent for a while does not burst.
 *
 * Bytes. A reduction is begun by whoever has the reason: loss, ECN, or a loss that a probe repaired.
 *
 * RFC 6937 with the slow-start bound of draft-ietf-tcpm-prr-rfc6937bis.
 */
#include "engine/tcp/tcp_int.h"

void tcp_prr_begin(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	ctx->recover = ctx->snd_nxt;
	tcp_tlp_end(ctx);
	ctx->prr_delivered = 0;
	ctx->prr_out = 0;
	tcp_cc_reduce(ctx);
	(void)e;
}

void tcp_prr_ack(struct tcp_ctx *ctx, const struct tcp_ack *a, uint32_t floor)
{
	uint32_t pipe = tcp_loss_pipe(ctx);
	uint32_t send;

	if ((a->delivered == 0 && floor == 0) || ctx->prior_cwnd == 0 ||
			tcp_cc_get(ctx->cc)->control)
		return;
	ctx->prr_delivered += a->delivered;
	if (pipe > ctx->ssthresh) {
		uint64_t share = (uint64_t)ctx->ssthresh * ctx->prr_delivered + ctx->prior_cwnd - 1;
		uint32_t allowed = (uint32_t)(share / ctx->prior_cwnd);

		send = allowed > ctx->prr_out ? allowed - ctx->prr_out : 0;
	} else {
		send = ctx->prr_delivered > ctx->prr_out ? ctx->prr_delivered - ctx->prr_out : 0;
		if (send < a->delivered)
			send = a->delivered;
		if (a->flags & TCP_ACK_UNA && a->lost == 0)
			send += ctx->mss;
		if (send > ctx->ssthresh - pipe)
			send = ctx->ssthresh - pipe;
	}
	/* The first retransmission is not to wait. */
	if (ctx->prr_out == 0)
		floor = ctx->mss;
	if (send < floor)
		send = floor;
	ctx->cwnd = pipe + send;
	if (ctx->cwnd < ctx->mss)
		ctx->cwnd = ctx->mss;
}

void tcp_prr_end(struct tcp_ctx *ctx)
{
	if (tcp_cc_get(ctx->cc)->control)
		return;
	/* A recovery that follows a path's new MTU has reduced nothing: ssthresh may be boundless. */
	if ((ctx->loss_state == TCP_LOSS_CWR || ctx->flags2 & TCP_CTX2_UNDO) &&
			ctx->ssthresh < TCP_CWND_BYTES_MAX)
		ctx->cwnd = ctx->ssthresh;
}
