/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Time: four deadlines per context, one entry in the wheel.
 *
 * Arming stores a deadline and touches the wheel only if it is nearer than the entry; moving or
 * stopping one touches nothing else. When the entry comes up we do what is due and enter the
 * context again for the nearest deadline that is left. So a busy connection, whose timers move with
 * every segment, costs the wheel a visit per delayed-ACK time at most.
 *
 *   rtx    retransmission (RFC 6298), SYN and SYN-ACK, or persist (RFC 9293 3.8.6.1); flags2 tells
 *          whether a loss probe or RACK's reordering window ends first (RFC 8985)
 *   delack delayed ACK (RFC 1122 4.2.3.2)
 *   xmit   output that the port refused, or CORK's limit; pacing's place
 *   long   keepalive (RFC 9293 3.8.4), FIN-WAIT-2, TIME-WAIT
 */
#include "engine/tcp/tcp_open.h"

#define BACKOFF_MAX 16u

void tcp_timer_enter(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t at_ms)
{
	wheel_del(&e->stack->wheel, e->stack->ctx, ctx);
	wheel_follow(&e->stack->wheel, e->now_ms);
	ctx->wheel_at_ms = at_ms;
	wheel_add(&e->stack->wheel, e->stack->ctx, ctx);
}

void tcp_timer_rtt_sample(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t rtt_us)
{
	const struct tcp_conf *conf = &e->stack->conf;
	uint32_t var;

	if (rtt_us == 0)
		rtt_us = 1;
	if (rtt_us > conf->rto_us_max)
		rtt_us = conf->rto_us_max;
	if (ctx->rtt_min_us == 0 || rtt_us < ctx->rtt_min_us)
		ctx->rtt_min_us = rtt_us;
	if (ctx->srtt_us == 0) {
		ctx->srtt_us = rtt_us;
		ctx->rttvar_us = rtt_us / 2;
	} else {
		uint32_t srtt = ctx->srtt_us;
		uint32_t delta = rtt_us > srtt ? rtt_us - srtt : srtt - rtt_us;

		ctx->rttvar_us = ctx->rttvar_us - ctx->rttvar_us / 4 + delta / 4;
		ctx->srtt_us = srtt - srtt / 8 + rtt_us / 8;
		if (ctx->srtt_us == 0)
			ctx->srtt_us = 1;
	}
	/*
	 * The minimum bounds the variance term, as in Linux: a delayed ACK after a long RTT is no
	 * loss.
	 */
	var = 4 * ctx->rttvar_us;
	if (var < conf->rto_us_min)
		var = conf->rto_us_min;
	ctx->rto_us = ctx->srtt_us + var;
	if (ctx->rto_us > conf->rto_us_max)
		ctx->rto_us = conf->rto_us_max;
}

/* RTO with backoff. */
static uint64_t rto_us_of(const struct tcp_env *e, const struct tcp_ctx *ctx)
{
	uint64_t rto_us = ctx->rto_us;

	if (ctx->backoff_n) {
		rto_us <<= ctx->backoff_n < BACKOFF_MAX ? ctx->backoff_n : BACKOFF_MAX;
		if (rto_us > e->stack->conf.rto_us_max)
			rto_us = e->stack->conf.rto_us_max;
	}
	return rto_us;
}

static void arm_rto(const struct tcp_env *e, struct tcp_ctx *ctx, uint64_t delay_us)
{
	uint32_t delay_ms = (uint32_t)delay_us / 1000 + 1;

	ctx->flags2 &= ~(TCP_CTX2_TIMER_TLP | TCP_CTX2_TIMER_REO);
	/* Wake up when the user's patience ends, not later. */
	if (ETA_UNLIKELY(ctx->user_timeout_ms && ctx->rtx_first_ms)) {
		uint32_t spent_ms = e->now_ms - ctx->rtx_first_ms;
		uint32_t left_ms = 1;

		if (spent_ms < ctx->user_timeout_ms)
			left_ms = ctx->user_timeout_ms - spent_ms;
		if (delay_ms > left_ms)
			delay_ms = left_ms;
	}
	tcp_timer_arm(e, ctx, &ctx->rtx_at_ms, delay_ms);
}

void tcp_timer_arm_rtx(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	if (!(ctx->flags & TCP_CTX_PERSIST) && tcp_tlp_arm(e, ctx))
		return;
	arm_rto(e, ctx, rto_us_of(e, ctx));
}

uint32_t tcp_timer_rto_left_us(const struct tcp_env *e, const struct tcp_ctx *ctx)
{
	const struct tcp_log *log = &e->stack->log[ctx->sent_log];
	uint32_t sent_us32 = ctx->sent_log ? log->r[log->first].us32 : ctx->sent_us32;
	uint32_t age_us = (uint32_t)e->now_us - sent_us32;
	uint64_t rto_us = rto_us_of(e, ctx);

	return rto_us > (uint64_t)age_us + 1000 ? (uint32_t)(rto_us - age_us) : 1000;
}

void tcp_timer_arm_rto(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	arm_rto(e, ctx, tcp_timer_rto_left_us(e, ctx));
}

void tcp_timer_restart_rto(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	arm_rto(e, ctx, rto_us_of(e, ctx));
}

void tcp_timer_arm_long(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	if (ctx->state == TCP_STATE_TIME_WAIT)
		tcp_timer_arm(e, ctx, &ctx->long_at_ms, e->stack->conf.time_wait_ms);
	else if (ctx->state == TCP_STATE_FIN_WAIT_2 && ctx->flags & TCP_CTX_RD_CLOSED)
		tcp_timer_arm(e, ctx, &ctx->long_at_ms, ctx->fin_wait2_ms);
	else if (ctx->flags & TCP_CTX_KEEPALIVE)
		tcp_timer_arm(e, ctx, &ctx->long_at_ms, ctx->keep_idle_ms);
	else
		ctx->long_at_ms = 0;
}

static bool is_due(const struct tcp_env *e, uint32_t at_ms)
{
	return at_ms && seq_le(at_ms, e->now_ms);
}

/* How often may the other side be silent? */
static uint32_t retries_of(const struct tcp_env *e, const struct tcp_ctx *ctx)
{
	const struct tcp_conf *conf = &e->stack->conf;

	if (ctx->state == TCP_STATE_SYN_SENT)
		return ctx->syn_retries ? ctx->syn_retries : conf->syn_retries;
	if (ctx->state == TCP_STATE_SYN_RECEIVED)
		return ctx->syn_retries ? ctx->syn_retries : conf->synack_retries;
	return ctx->flags & TCP_CTX_RD_CLOSED ? conf->orphan_retries : conf->data_retries;
}

/* The peer has taken back the window that bytes in flight lie in: as long as it answers it lives (RFC 9293 3.8.6, as Linux). */
static bool is_held_back(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	uint32_t patience_ms = e->stack->conf.rto_us_max / 1000 * 2;

	if (ctx->snd_wnd || !tcp_state_sends(ctx->state) || ctx->flags & TCP_CTX_RD_CLOSED)
		return false;
	if (ctx->user_timeout_ms)
		patience_ms = ctx->user_timeout_ms;
	if (e->now_ms - ctx->rx_last_ms >= patience_ms)
		return false;
	ctx->rtx_first_ms = ctx->rx_last_ms ? ctx->rx_last_ms : 1; /* patience begins anew */
	return true;
}

static bool is_hopeless(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t tries)
{
	if (ctx->rtx_first_ms == 0) {
		uint32_t first_ms = e->now_ms - ctx->rto_us / 1000;

		ctx->rtx_first_ms = first_ms ? first_ms : 1;
	}
	if (ctx->user_timeout_ms)
		return e->now_ms - ctx->rtx_first_ms >= ctx->user_timeout_ms;
	return tries >= retries_of(e, ctx);
}

/*
 * Nobody holds an orphan any more, and a peer that answers each probe could keep it for ever: it ends when
 * probes are as rare as they get (as Linux).
 */
static bool is_worn_out(const struct tcp_env *e, const struct tcp_ctx *ctx)
{
	return ctx->flags & TCP_CTX_RD_CLOSED && ctx->backoff_n >= e->stack->conf.orphan_retries &&
	       rto_us_of(e, ctx) >= e->stack->conf.rto_us_max;
}

static bool fire_persist(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	/*
	 * An ACK since the last probe proves that the peer lives, however long its window stays
	 * shut (RFC 9293 3.8.6.1). A user who set a time does not care why his bytes wait (RFC 5482 3).
	 */
	if (ctx->backoff_n && seq_ge(ctx->rx_last_ms, ctx->tx_last_ms)) {
		ctx->probes_n = 0;
		if (ctx->user_timeout_ms == 0)
			ctx->rtx_first_ms = 0;
	}
	if (is_hopeless(e, ctx, ctx->probes_n) || is_worn_out(e, ctx)) {
		TCP_COUNT(e, abort_on_timeout);
		return tcp_conn_end(e, ctx, tcp_icmp_timed_out(ctx));
	}
	ctx->probes_n++;
	tcp_tx_window_probe(e, ctx);
	return false;
}

static bool fire_rtx(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	ctx->rtx_at_ms = 0;
	if (ctx->flags & TCP_CTX_PERSIST)
		return fire_persist(e, ctx);
	if (ctx->flags2 & (TCP_CTX2_TIMER_TLP | TCP_CTX2_TIMER_REO) &&
			ctx->snd_una != ctx->snd_nxt) {
		if (ctx->flags2 & TCP_CTX2_TIMER_REO)
			tcp_rack_timeout(e, ctx);
		else
			tcp_tlp_timeout(e, ctx);
		return false;
	}
	if (ctx->state == TCP_STATE_SYN_RECEIVED && tcp_embryo_waits(e, ctx))
		return false;
	if (is_hopeless(e, ctx, ctx->backoff_n) && !is_held_back(e, ctx)) {
		TCP_COUNT(e, abort_on_timeout);
		return tcp_conn_end(e, ctx, tcp_icmp_timed_out(ctx));
	}
	if (ctx->state == TCP_STATE_SYN_SENT || ctx->state == TCP_STATE_SYN_RECEIVED) {
		ctx->backoff_n++;
		ctx->flags |= TCP_CTX_SYN_RTX;
		ctx->flags &= ~TCP_CTX_RTT_TIMING;
		ctx->retrans_n++;
		TCP_COUNT(e, retrans_segs);
		TCP_COUNT(e, timeouts);
		tcp_tx_syn(e, ctx);
		return false;
	}
	if (ctx->snd_una != ctx->snd_nxt) {
		tcp_mtu_timeout(e, ctx);
		tcp_loss_rto(e, ctx);
	}
	return false;
}

static void fire_delack(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	ctx->delack_at_ms = 0;
	if (!(ctx->flags & TCP_CTX_ACK_OWED))
		return;
	/* No answer came for it to ride on: this is not a dialogue. */
	ctx->flags &= ~TCP_CTX_PINGPONG;
	TCP_COUNT(e, delayed_acks);
	tcp_tx_ack(e, ctx);
}

static void fire_xmit(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	/* Pacing wants to go on: no reason to end what CORK holds back. */
	bool is_paced = ctx->flags2 & TCP_CTX2_PACED && ctx->snd_una != ctx->snd_nxt;
	uint32_t cork = is_paced ? 0 : ctx->flags & (TCP_CTX_CORK | TCP_CTX_MORE);

	ctx->xmit_at_ms = 0;
	if (ctx->state == TCP_STATE_SYN_SENT || ctx->state == TCP_STATE_SYN_RECEIVED) {
		tcp_tx_syn(e, ctx);
		return;
	}
	ctx->flags &= ~cork;
	tcp_output(e, ctx);
	ctx->flags |= cork & TCP_CTX_CORK;
}

static bool fire_keepalive(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	uint32_t idle_ms = e->now_ms - ctx->rx_last_ms;
	bool is_dead = ctx->user_timeout_ms ? idle_ms >= ctx->user_timeout_ms && ctx->probes_n
					    : ctx->probes_n >= ctx->keep_probes;

	if (idle_ms < ctx->keep_idle_ms) {
		ctx->probes_n = 0;
		tcp_timer_arm(e, ctx, &ctx->long_at_ms, ctx->keep_idle_ms - idle_ms);
		return false;
	}
	/* Data in flight or waiting asks the same question by itself. */
	if (ctx->snd_una != ctx->snd_nxt || tcp_tx_pending(ctx)) {
		tcp_timer_arm(e, ctx, &ctx->long_at_ms, ctx->keep_idle_ms);
		return false;
	}
	if (is_dead) {
		TCP_COUNT(e, abort_on_timeout);
		return tcp_conn_reset(e, ctx, tcp_icmp_timed_out(ctx));
	}
	ctx->probes_n++;
	tcp_tx_keepalive(e, ctx);
	tcp_timer_arm(e, ctx, &ctx->long_at_ms, ctx->keep_intvl_ms);
	return false;
}

static bool fire_long(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	ctx->long_at_ms = 0;
	if (ctx->state == TCP_STATE_TIME_WAIT)
		return tcp_conn_end(e, ctx, ETA_STATUS_OK);
	if (ctx->state == TCP_STATE_FIN_WAIT_2 && ctx->flags & TCP_CTX_RD_CLOSED) {
		TCP_COUNT(e, abort_on_linger);
		return tcp_conn_end(e, ctx, ETA_STATUS_OK);
	}
	if (ctx->flags & TCP_CTX_KEEPALIVE && ctx->state != TCP_STATE_SYN_SENT &&
			ctx->state != TCP_STATE_SYN_RECEIVED)
		return fire_keepalive(e, ctx);
	return false;
}

static void enter_earliest(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	const uint32_t at_ms[] = {
			ctx->rtx_at_ms, ctx->delack_at_ms, ctx->xmit_at_ms, ctx->long_at_ms};
	uint32_t best = 0;

	for (unsigned int i = 0; i < sizeof(at_ms) / sizeof(at_ms[0]); i++) {
		if (at_ms[i] && (best == 0 || seq_lt(at_ms[i], best)))
			best = at_ms[i];
	}
	if (best && (ctx->wheel_slot == 0 || seq_lt(best, ctx->wheel_at_ms)))
		tcp_timer_enter(e, ctx, best);
}

static void fire(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	if (is_due(e, ctx->delack_at_ms))
		fire_delack(e, ctx);
	if (is_due(e, ctx->xmit_at_ms))
		fire_xmit(e, ctx);
	if (is_due(e, ctx->rtx_at_ms) && fire_rtx(e, ctx))
		return;
	if (is_due(e, ctx->long_at_ms) && fire_long(e, ctx))
		return;
	enter_earliest(e, ctx);
}

uint32_t tcp_timers(struct tcp_stack *stack, struct core *env, uint64_t now_us, uint32_t budget)
{
	struct tcp_env e = TCP_ENV(stack, env, now_us);
	uint32_t left = budget;
	uint32_t idx;

	while ((idx = wheel_take(&stack->wheel, stack->ctx, e.now_ms, &left)) != 0)
		fire(&e, &stack->ctx[idx]);
	return budget - left;
}

uint64_t tcp_next_deadline_us(const struct tcp_stack *stack, uint64_t now_us)
{
	uint32_t now_ms = (uint32_t)(now_us / 1000);
	uint32_t delay_ms;
	int32_t left_ms;

	if (stack->flush_n)
		return 0;
	if (!wheel_next_ms(&stack->wheel, &delay_ms))
		return UINT64_MAX;
	left_ms = (int32_t)(stack->wheel.now_ms + delay_ms - now_ms);
	return left_ms <= 0 ? 0 : (uint64_t)left_ms * 1000 - now_us % 1000;
}
