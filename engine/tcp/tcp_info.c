/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Looking at contexts: numbers for people, and the invariants for tests.
 */
#include "engine/tcp/tcp_int.h"

/* Bytes of the send log that were sent again and are still on their way. */
static uint32_t rtx_flight(const struct tcp_stack *stack, const struct tcp_ctx *ctx)
{
	const struct tcp_log *log;
	uint32_t bytes = 0;

	if (ctx->sent_log == 0 || ctx->sent_log >= stack->log_n)
		return 0;
	log = &stack->log[ctx->sent_log];
	for (uint32_t i = 0; i < log->n && log->first + i < TCP_SENT_MAX; i++) {
		const struct tcp_sent *r = &log->r[log->first + i];

		if (r->state == TCP_SENT_OUT && r->flags & TCP_SENT_RTX)
			bytes += r->hi - r->lo;
	}
	return bytes;
}

/*
 * What was sent again stays lost until it arrives (Linux: lost_out counts it beside retrans_out). Before recovery
 * begins, what is sent again is a probe, which says nothing of the kind.
 */
static void info_lost(
		const struct tcp_stack *stack, const struct tcp_ctx *ctx, struct tcp_ctx_info *info)
{
	info->rtx_flight_bytes = rtx_flight(stack, ctx);
	info->lost_bytes = ctx->lost_bytes;
	if (ctx->loss_state >= TCP_LOSS_RECOVERY)
		info->lost_bytes += info->rtx_flight_bytes;
}

/* Beyond what is taken for granted only what was seen. */
static uint32_t reorder_segs(const struct tcp_stack *stack, const struct tcp_ctx *ctx)
{
	uint32_t segs = ctx->state != TCP_STATE_LISTEN ? ctx->reorder_segs : 0;

	return segs > stack->conf.reorder_segs ? segs : stack->conf.reorder_segs;
}

/* What no sample was taken of are short flights of the user's: the path delivers at least a segment each round trip. */
static void info_rate(const struct tcp_ctx *ctx, struct tcp_ctx_info *info)
{
	info->rate_bytes = ctx->rate_bytes;
	info->rate_us = ctx->rate_us;
	info->is_app_limited = ctx->rate_app_limited;
	if (ctx->rate_us == 0) {
		info->rate_bytes = ctx->mss;
		info->rate_us = ctx->tx_bytes ? ctx->srtt_us : 0;
		info->is_app_limited = true;
	}
}

static void info_queues(const struct tcp_ctx *ctx, struct tcp_ctx_info *info)
{
	uint32_t fin_sent = !!(ctx->flags & TCP_CTX_FIN_SENT);
	uint32_t fin_rcvd = !!(ctx->flags & TCP_CTX_FIN_RCVD);

	/* Before the handshake is complete sequence space still holds a SYN. */
	if (ctx->state == TCP_STATE_SYN_SENT || ctx->state == TCP_STATE_SYN_RECEIVED ||
			ctx->state == TCP_STATE_LISTEN || ctx->irs == ctx->rcv_nxt) {
		info->notsent_bytes = ctx->snd_tail - ctx->snd_nxt;
		info->snd_queue_bytes = info->notsent_bytes;
		return;
	}
	info->notsent_bytes = ctx->snd_tail + fin_sent - ctx->snd_nxt;
	if (seq_gt(ctx->snd_tail, ctx->snd_una))
		info->snd_queue_bytes = ctx->snd_tail - ctx->snd_una;
	info->rcv_queue_bytes = ctx->rcv_nxt - fin_rcvd - ctx->rcv_head;
	info->acked_seqs = ctx->tx_bytes + !(ctx->flags & TCP_CTX_PASSIVE) + tcp_fin_is_acked(ctx);
	info->rcvd_seqs = ctx->rx_bytes + fin_rcvd;
	info->sent_bytes = ctx->tx_bytes + ctx->retrans_bytes + info->snd_queue_bytes -
			   info->notsent_bytes;
}

static void info_times(const struct tcp_ctx *ctx, uint32_t now_ms, struct tcp_ctx_info *info)
{
	info->data_sent_ms = now_ms - ctx->tx_last_ms;
	info->data_rcvd_ms = now_ms - ctx->data_rx_ms;
	info->ack_rcvd_ms = now_ms - ctx->rx_last_ms;
	info->ts_val = now_ms + ctx->ts_off;
	info->busy_ms = ctx->busy_ms;
	if (tcp_state_sends(ctx->state) && info->snd_queue_bytes)
		info->busy_ms += now_ms - ctx->busy_at_ms;
	info->rwnd_limited_ms = tcp_limit_ms(ctx, TCP_LIMIT_RWND, now_ms);
	info->sndbuf_limited_ms = tcp_limit_ms(ctx, TCP_LIMIT_SNDBUF, now_ms);
	info->rto_recovery_ms = ctx->rto_recovery_ms;
}

void tcp_ctx_info(const struct tcp_stack *stack, const struct tcp_ctx *ctx, uint64_t now_us,
		struct tcp_ctx_info *info)
{
	*info = (struct tcp_ctx_info){
			.state = ctx->state == TCP_STATE_UNUSED ? TCP_STATE_CLOSED : ctx->state,
			.loss_state = ctx->loss_state,
			.retransmits_n = ctx->backoff_n,
			.probes_n = ctx->probes_n,
			.snd_wscale = ctx->snd_wscale,
			.rcv_wscale = ctx->rcv_wscale,
			.cc_id = ctx->cc,
			.timestamps = ctx->flags & TCP_CTX_TS,
			.sack = ctx->flags & TCP_CTX_SACK,
			.wscale = ctx->flags & TCP_CTX_WSCALE,
			.ecn = ctx->flags2 & TCP_CTX2_ECN,
			.ecn_seen = ctx->ce_bytes != 0,
			.syn_data = ctx->flags2 & TCP_CTX2_SYN_DATA,
			.is_pingpong = ctx->flags & TCP_CTX_PINGPONG,
			.mss = ctx->mss,
			.mss_adv = ctx->mss_adv,
			.mss_path = ctx->mss_path,
			.rcv_mss = ctx->rcv_mss,
			.cwnd_bytes = ctx->cwnd,
			.ssthresh_bytes = ctx->ssthresh,
			.srtt_us = ctx->srtt_us,
			.rttvar_us = ctx->rttvar_us,
			.rtt_min_us = ctx->rtt_min_us,
			.rto_us = ctx->rto_us,
			.ato_us = stack->conf.delack_ms * 1000,
			.snd_wnd_bytes = ctx->snd_wnd,
			.rcv_wnd_bytes = ctx->rcv_adv - ctx->rcv_nxt,
			.unacked_bytes = ctx->snd_nxt - ctx->snd_una,
			.sacked_bytes = ctx->sacked_bytes,
			.reorder_segs = reorder_segs(stack, ctx),
			.rto_recoveries_n = ctx->rto_recoveries_n,
			.fastopen_fail = ctx->fastopen_fail,
			.retrans_n = ctx->retrans_n,
			.retrans_bytes = ctx->retrans_bytes,
			.timeouts_n = ctx->timeouts_n,
			.ooo_n = ctx->ooo_n,
			.dsack_n = ctx->dsack_n,
			.reorder_n = ctx->reorder_n,
			.segs_in = ctx->segs_in,
			.segs_out = ctx->segs_out,
			.data_segs_in = ctx->data_segs_in,
			.data_segs_out = ctx->data_segs_out,
			.rcv_rtt_us = ctx->rcv_rtt_us,
			.rcv_want_bytes = ctx->rcv_want_bytes,
			.rcv_space_bytes = ctx->drs_bytes,
			.ce_bytes = ctx->ce_bytes,
			.ece_bytes = ctx->ece_bytes,
			.tx_bytes = ctx->tx_bytes,
			.rx_bytes = ctx->rx_bytes,
			.pacing_rate = ctx->pacing_rate,
			.pacing_rate_max = ctx->pacing_rate_max,
			.cc = tcp_cc_get(ctx->cc)->name,
	};
	info_lost(stack, ctx, info);
	info_rate(ctx, info);
	info_queues(ctx, info);
	info_times(ctx, (uint32_t)(now_us / 1000), info);
}

static const char *check_send(const struct tcp_stack *stack, const struct tcp_ctx *ctx)
{
	uint32_t fin = !!(ctx->flags & TCP_CTX_FIN_SENT);
	uint32_t flight = ctx->snd_nxt - ctx->snd_una;

	if (!seq_le(ctx->snd_una, ctx->snd_nxt))
		return "snd_una <= snd_nxt";
	if (!seq_le(ctx->snd_nxt, ctx->snd_tail + fin))
		return "snd_nxt <= snd_tail + FIN";
	if (fin && !(ctx->flags & TCP_CTX_FIN_QUEUED))
		return "a FIN that was sent was queued";
	if (fin && ctx->snd_nxt != ctx->snd_tail + 1)
		return "snd_nxt counts the FIN that was sent";
	if (ctx->flags & TCP_CTX_PROBED && (flight != 1 || !(ctx->flags & TCP_CTX_PERSIST)))
		return "a probe is one octet, under the persist timer";
	if (ctx->flags & TCP_CTX_PERSIST && !(ctx->flags & TCP_CTX_PROBED) && flight)
		return "nothing in flight under the persist timer";
	if (flight && ctx->state != TCP_STATE_TIME_WAIT && ctx->rtx_at_ms == 0)
		return "bytes in flight have a timer";
	if (tcp_state_sends(ctx->state) && tcp_tx_pending(ctx) && !flight && !ctx->rtx_at_ms &&
			!ctx->xmit_at_ms && !(ctx->flags & TCP_CTX_LISTED))
		return "bytes that wait have a timer";
	if (ctx->sent_log >= stack->log_n && ctx->sent_log)
		return "sent_log is a log";
	if (ctx->sacked_bytes > flight)
		return "sacked_bytes <= in flight";
	return NULL;
}

static const char *check_loss(const struct tcp_stack *stack, const struct tcp_ctx *ctx)
{
	uint32_t flight = ctx->snd_nxt - ctx->snd_una;
	const char *broken;

	if (ctx->cwnd < ctx->mss && tcp_state_sends(ctx->state) && ctx->mss == ctx->mss_base)
		return "cwnd >= mss";
	if (ctx->state == TCP_STATE_TIME_WAIT)
		return ctx->sent_log ? "TIME-WAIT has nothing in flight" : NULL;
	if (ctx->sacked_bytes + ctx->lost_bytes > flight)
		return "what is SACKed or lost is in flight";
	if (ctx->loss_state == TCP_LOSS_OPEN && ctx->sacked_bytes | ctx->lost_bytes)
		return "without trouble nothing is SACKed or lost";
	if (ctx->loss_state >= TCP_LOSS_RECOVERY && !seq_gt(ctx->recover, ctx->snd_una))
		return "recovery ends when recover is acknowledged";
	if (flight == 0 && ctx->sent_log)
		return "a log is for bytes in flight";
	if (ctx->flags2 & TCP_CTX2_TLP && !(ctx->flags & TCP_CTX_CAREFUL))
		return "the answer to a probe takes the slow path";
	broken = tcp_eor_check(stack, ctx);
	return broken ? broken : tcp_sent_check(stack, ctx);
}

static const char *check_receive(const struct tcp_stack *stack, const struct tcp_ctx *ctx)
{
	const struct tcp_ext *ext = ctx->ooo_ext ? &stack->ext[ctx->ooo_ext] : NULL;

	if (!seq_le(ctx->rcv_nxt, ctx->rcv_adv))
		return "rcv_nxt <= rcv_adv";
	if (!seq_le(ctx->rcv_acked, ctx->rcv_nxt))
		return "rcv_acked <= rcv_nxt";
	if (!seq_le(ctx->rcv_head, ctx->rcv_nxt))
		return "rcv_head <= rcv_nxt";
	if ((ctx->flags & (TCP_CTX_ACK_OWED | TCP_CTX_ACK_NOW)) == TCP_CTX_ACK_OWED &&
			ctx->delack_at_ms == 0)
		return "an owed ACK has a timer";
	if (ext == NULL)
		return NULL;
	if (!tcp_range_is_sound(ext) || ext->n == 0)
		return "out-of-order ranges are sorted and disjoint";
	if (!seq_gt(ext->r[0].lo, ctx->rcv_nxt) || seq_gt(ext->r[ext->n - 1].hi, ctx->rcv_adv))
		return "out-of-order ranges lie beyond rcv_nxt, in the window";
	return NULL;
}

static const char *check_timers(const struct tcp_ctx *ctx)
{
	const uint32_t at_ms[] = {
			ctx->rtx_at_ms, ctx->delack_at_ms, ctx->xmit_at_ms, ctx->long_at_ms};

	for (unsigned int i = 0; i < sizeof(at_ms) / sizeof(at_ms[0]); i++) {
		if (at_ms[i] && (ctx->wheel_slot == 0 || seq_lt(at_ms[i], ctx->wheel_at_ms)))
			return "the wheel knows the earliest deadline";
	}
	if (ctx->flags & (TCP_CTX_ACK_NOW | TCP_CTX_OUTPUT) && !(ctx->flags & TCP_CTX_LISTED))
		return "who owes output is on the flush list";
	return NULL;
}

const char *tcp_ctx_check(const struct tcp_stack *stack, const struct tcp_ctx *ctx)
{
	const char *broken;

	if (ctx->state >= TCP_STATES_N)
		return "state is one of RFC 9293's";
	if (ctx->state == TCP_STATE_UNUSED) {
		if (ctx->wheel_slot || ctx->sent_log || ctx->ooo_ext || ctx->flags & TCP_CTX_LISTED)
			return "an unused context is on no list";
		return NULL;
	}
	broken = check_timers(ctx);
	if (broken || ctx->state == TCP_STATE_LISTEN)
		return broken;
	if (ctx->state == TCP_STATE_SYN_SENT || ctx->state == TCP_STATE_SYN_RECEIVED)
		return ctx->rtx_at_ms || ctx->flags2 & TCP_CTX2_SYN_DUE ? NULL
									: "a handshake has a timer";
	if (ctx->state == TCP_STATE_TIME_WAIT &&
			(ctx->long_at_ms == 0 || ctx->flags & TCP_CTX_USER))
		return "TIME-WAIT has a timer and no user";
	broken = check_send(stack, ctx);
	if (broken == NULL)
		broken = check_loss(stack, ctx);
	if (broken == NULL)
		broken = check_receive(stack, ctx);
	return broken;
}

const char *tcp_stack_check(const struct tcp_stack *stack)
{
	uint32_t in_wheel = 0, listed = 0, exts = 0, logs = 0, n = 0;

	for (uint32_t i = 1; i < stack->ctx_n; i++) {
		const struct tcp_ctx *ctx = &stack->ctx[i];
		const char *broken = tcp_ctx_check(stack, ctx);

		if (broken)
			return broken;
		in_wheel += ctx->wheel_slot != 0;
		listed += !!(ctx->flags & TCP_CTX_LISTED);
		exts += ctx->ooo_ext != 0;
		exts += ctx->state != TCP_STATE_UNUSED && ctx->flags2 & TCP_CTX2_EOR;
		logs += ctx->sent_log != 0;
	}
	for (uint32_t i = stack->ext_free; i; i = stack->ext[i].n) {
		if (i >= stack->ext_n || ++n >= stack->ext_n)
			return "the list of free extensions is sound";
	}
	if (stack->ext_n && exts + n != stack->ext_n - 1)
		return "each extension is free or has one owner";
	n = 0;
	for (uint32_t i = stack->log_free; i; i = stack->log[i].next) {
		if (i >= stack->log_n || ++n >= stack->log_n)
			return "the list of free logs is sound";
	}
	if (stack->log_n && logs + n != stack->log_n - 1)
		return "each log is free or has one owner";
	if (in_wheel != stack->wheel.n)
		return "the wheel counts its entries";
	if (listed != stack->flush_n)
		return "the flush list counts its entries";
	return NULL;
}
