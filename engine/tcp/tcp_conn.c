/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a connection: first numbers, agreement on options, states, the end.
 *
 * Initial sequence numbers and the offset of the timestamp clock come from a keyed hash of the
 * tuple, plus a clock of 4 us per number, so that an outsider learns nothing from one connection
 * about another, while a tuple that is used again goes on upwards. There is one way out:
 * tcp_conn_end(), which tells the user if it has not been told, takes the context off every list,
 * and gives it back.
 *
 * RFC 9293 3.10, RFC 6528, RFC 7323 5.4, RFC 6691.
 */
#include <string.h>

#include "engine/tcp/siphash.h"
#include "engine/tcp/tcp_open.h"

#define ISN_STEP 65537u /* beyond any window that was never scaled up, as Linux */

uint32_t tcp_conn_iss(const struct tcp_env *e, const struct ip_tuple *tuple, uint32_t *ts_off)
{
	uint8_t key[36];
	uint64_t hash;

	/* By field: a struct has padding. */
	memcpy(key, tuple->laddr.b, 16);
	memcpy(key + 16, tuple->raddr.b, 16);
	memcpy(key + 32, &tuple->lport_be, 2);
	memcpy(key + 34, &tuple->rport_be, 2);
	hash = siphash24(e->stack->conf.isn_key, key, sizeof(key));
	*ts_off = (uint32_t)(hash >> 32);
	return (uint32_t)hash + (uint32_t)(e->now_us >> 2);
}

void tcp_conn_init(const struct tcp_env *e, struct tcp_ctx *ctx, const struct ip_tuple *tuple)
{
	const struct tcp_conf *conf = &e->stack->conf;
	uint32_t iss = tcp_conn_iss(e, tuple, &ctx->ts_off);

	if (e->stack->isn_min_valid && e->stack->isn_min_for == ctx->ts_off) {
		e->stack->isn_min_valid = false;
		if (seq_lt(iss, e->stack->isn_min))
			iss = e->stack->isn_min;
	}
	ctx->iss = iss;
	ctx->snd_una = iss;
	ctx->snd_nxt = iss + 1;
	ctx->snd_tail = iss + 1;
	ctx->snd_sml = iss;
	ctx->recover = iss;
	ctx->rto_us = conf->rto_us_initial;
	ctx->rx_last_ms = e->now_ms;
	ctx->tx_last_ms = e->now_ms;
	ctx->data_rx_ms = e->now_ms;
	ctx->rcv_wscale = conf->rcv_wscale;
	ctx->mss_path = tcp_up_mss(e->core, tuple);
	ctx->mss_peer = ip_addr_is_v4(&tuple->raddr) ? TCP_MSS_DEFAULT_V4 : TCP_MSS_DEFAULT_V6;
	ctx->mss_adv = ctx->mss_path;
	if (ctx->mss_user && ctx->mss_user < ctx->mss_adv)
		ctx->mss_adv = ctx->mss_user;
	if (ctx->mss_adv < TCP_MSS_MIN)
		ctx->mss_adv = TCP_MSS_MIN;
	tcp_conn_set_mss(ctx);
}

void tcp_conn_set_mss(struct tcp_ctx *ctx)
{
	uint16_t mss = ctx->mss_peer < ctx->mss_path ? ctx->mss_peer : ctx->mss_path;

	if (ctx->mss_user && ctx->mss_user < mss)
		mss = ctx->mss_user;
	if (mss < TCP_MSS_MIN)
		mss = TCP_MSS_MIN;
	if (ctx->flags & TCP_CTX_PLPMTUD)
		mss = tcp_mtu_bound(ctx, mss);
	ctx->mss_base = mss;
	ctx->mss = (uint16_t)(mss - (ctx->flags & TCP_CTX_TS ? 12 : 0));
	if (ctx->cwnd && ctx->cwnd < ctx->mss) /* a path that has become wider after a timeout */
		ctx->cwnd = ctx->mss;
}

void tcp_conn_agree(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_opts *opts)
{
	if (opts->has & TCP_OPT_HAS_TS && ctx->flags & TCP_CTX_TS) {
		ctx->ts_recent = opts->tsval;
		ctx->ts_recent_ms = e->now_ms;
	} else {
		ctx->flags &= ~TCP_CTX_TS;
	}
	if (opts->has & TCP_OPT_HAS_WSCALE && ctx->flags & TCP_CTX_WSCALE) {
		ctx->snd_wscale = opts->wscale;
	} else {
		ctx->flags &= ~TCP_CTX_WSCALE;
		ctx->snd_wscale = 0;
		ctx->rcv_wscale = 0;
	}
	if (!(opts->has & TCP_OPT_HAS_SACK_PERM))
		ctx->flags &= ~TCP_CTX_SACK;
	if (opts->has & TCP_OPT_HAS_MSS)
		ctx->mss_peer = opts->mss;
	tcp_conn_set_mss(ctx);
}

void tcp_conn_set_param(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_param *param)
{
	const struct tcp_conf *conf = &e->stack->conf;
	const struct tcp_param none = {0};

	if (param == NULL)
		param = &none;
	ctx->flags &= ~(TCP_CTX_NODELAY | TCP_CTX_CORK | TCP_CTX_KEEPALIVE | TCP_CTX_QUICKACK);
	ctx->flags |= (param->nodelay ? TCP_CTX_NODELAY : 0) | (param->cork ? TCP_CTX_CORK : 0) |
		      (param->keepalive ? TCP_CTX_KEEPALIVE : 0) |
		      (param->quickack ? TCP_CTX_QUICKACK : 0);
	ctx->keep_idle_ms = param->keep_idle_ms ? param->keep_idle_ms : conf->keep_idle_ms;
	ctx->keep_intvl_ms = param->keep_intvl_ms ? param->keep_intvl_ms : conf->keep_intvl_ms;
	ctx->keep_probes = param->keep_probes ? param->keep_probes : conf->keep_probes;
	ctx->fin_wait2_ms = param->fin_wait2_ms ? param->fin_wait2_ms : conf->fin_wait2_ms;
	ctx->user_timeout_ms = param->user_timeout_ms;
	if (!tcp_state_sends(ctx->state))
		ctx->mss_user = param->maxseg; /* decides at open, as with Linux */
	ctx->cc_wanted = param->cc;
	ctx->notsent_lowat = param->notsent_lowat ? param->notsent_lowat : conf->notsent_lowat;
	ctx->pacing_rate_max = param->pacing_rate_max;
	ctx->fastopen_qlen = param->fastopen_qlen;
	ctx->syn_retries = param->syn_retries;
	ctx->flags2 &= ~TCP_CTX2_TFO_NO_COOKIE;
	ctx->flags2 |= param->fastopen_no_cookie ? TCP_CTX2_TFO_NO_COOKIE : 0;
	ctx->defer_accept_s = param->defer_accept_s < UINT8_MAX ? (uint8_t)param->defer_accept_s
								: UINT8_MAX;
	if (param->delack) {
		ctx->flags |= TCP_CTX_PINGPONG;
		ctx->quick_n = 0;
	} else if (param->quickack) {
		ctx->flags &= ~TCP_CTX_PINGPONG;
	}
}

static bool is_estab(uint8_t state)
{
	return state == TCP_STATE_ESTABLISHED || state == TCP_STATE_CLOSE_WAIT;
}

void tcp_conn_set_state(const struct tcp_env *e, struct tcp_ctx *ctx, enum tcp_state state)
{
	e->stack->stats.curr_estab += (uint64_t)is_estab((uint8_t)state) - is_estab(ctx->state);
	ctx->state = (uint8_t)state;
}

static void syn_rtt(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	if (ctx->flags & TCP_CTX_RTT_TIMING) {
		tcp_timer_rtt_sample(e, ctx, (uint32_t)e->now_us - ctx->sent_us32);
		ctx->flags &= ~TCP_CTX_RTT_TIMING;
	} else {
		ctx->rto_us = 3 * e->stack->conf.rto_us_initial; /* RFC 6298 5.7 */
	}
}

void tcp_conn_established(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	ctx->snd_una = ctx->iss + 1;
	/* Fast open: what is timed left after our SYN, and is timed still. */
	if (!(ctx->flags & TCP_CTX_PASSIVE) || ctx->snd_nxt == ctx->snd_una)
		syn_rtt(e, ctx);
	ctx->rtx_at_ms = 0;
	ctx->xmit_at_ms = 0;
	ctx->backoff_n = 0;
	ctx->rtx_first_ms = 0;
	ctx->oow_last_ms = 0;
	if (ctx->data_segs_in == 0)
		ctx->data_rx_ms = e->now_ms; /* idle since now, as Linux */
	if (ETA_UNLIKELY(ctx->flags2 & (TCP_CTX2_TFO | TCP_CTX2_TFO_OPT)))
		tcp_tfo_settle(e, ctx);
	if (ctx->snd_nxt != ctx->snd_una)
		tcp_timer_arm_rtx(e, ctx); /* bytes that left before the handshake was complete */
	ctx->rcv_mss = ctx->mss_adv < TCP_MSS_DEFAULT_V4 ? ctx->mss_adv : TCP_MSS_DEFAULT_V4;
	ctx->quick_n = TCP_QUICK_SEGS;
	ctx->busy_at_ms = e->now_ms;
	tcp_mtu_open(e, ctx);
	tcp_cc_open(e, ctx);
	tcp_conn_set_state(e, ctx,
			ctx->flags & TCP_CTX_FIN_QUEUED ? TCP_STATE_FIN_WAIT_1
							: TCP_STATE_ESTABLISHED);
	tcp_timer_arm_long(e, ctx);
	if (tcp_tx_pending(ctx))
		tcp_owe(e, ctx, TCP_CTX_OUTPUT);
}

static void say_closed(const struct tcp_env *e, struct tcp_ctx *ctx, enum eta_status why)
{
	if (!(ctx->flags & TCP_CTX_USER))
		return;
	ctx->flags &= ~TCP_CTX_USER;
	tcp_up_closed(e->core, ctx, why);
}

void tcp_conn_time_wait(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	tcp_conn_set_state(e, ctx, TCP_STATE_TIME_WAIT);
	TCP_COUNT(e, time_waited);
	ctx->rtx_at_ms = 0;
	ctx->delack_at_ms = 0;
	ctx->xmit_at_ms = 0;
	ctx->loss_state = TCP_LOSS_OPEN;
	if (ctx->flags2 & TCP_CTX2_EOR)
		tcp_eor_clear(e->stack, ctx);
	ctx->flags &= ~(TCP_CTX_PERSIST | TCP_CTX_PROBED | TCP_CTX_ACK_OWED | TCP_CTX_OUTPUT |
			TCP_CTX_CAREFUL);
	tcp_sent_clear(e->stack, ctx);
	ctx->dupacks = 0;
	tcp_ext_put(e->stack, &ctx->ooo_ext);
	tcp_timer_arm_long(e, ctx);
	say_closed(e, ctx, ETA_STATUS_OK);
}

bool tcp_conn_fin_acked(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	if (ctx->state == TCP_STATE_FIN_WAIT_1) {
		tcp_conn_set_state(e, ctx, TCP_STATE_FIN_WAIT_2);
		tcp_timer_arm_long(e, ctx);
	} else if (ctx->state == TCP_STATE_CLOSING) {
		tcp_conn_time_wait(e, ctx);
	} else if (ctx->state == TCP_STATE_LAST_ACK) {
		return tcp_conn_end(e, ctx, ETA_STATUS_OK);
	}
	return false;
}

bool tcp_conn_end(const struct tcp_env *e, struct tcp_ctx *ctx, enum eta_status why)
{
	if (ctx->state == TCP_STATE_SYN_SENT && why == ETA_STATUS_TIMED_OUT)
		TCP_COUNT(e, attempt_fails);
	wheel_del(&e->stack->wheel, e->stack->ctx, ctx);
	tcp_flush_del(e->stack, ctx);
	tcp_sent_clear(e->stack, ctx);
	tcp_ext_put(e->stack, &ctx->ooo_ext);
	if (ETA_UNLIKELY(ctx->flags2 & TCP_CTX2_EOR))
		tcp_eor_clear(e->stack, ctx);
	ctx->rtx_at_ms = 0;
	ctx->delack_at_ms = 0;
	ctx->xmit_at_ms = 0;
	ctx->long_at_ms = 0;
	if (ETA_UNLIKELY(ctx->flags2 & TCP_CTX2_TFO))
		tcp_tfo_settle(e, ctx);
	tcp_conn_set_state(e, ctx, TCP_STATE_CLOSED);
	say_closed(e, ctx, why);
	ctx->state = TCP_STATE_UNUSED;
	tcp_up_free(e->core, ctx);
	return true;
}

bool tcp_conn_recycle(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	TCP_COUNT(e, tw_recycled);
	e->stack->isn_min = ctx->snd_nxt + ISN_STEP;
	e->stack->isn_min_for = ctx->ts_off;
	e->stack->isn_min_valid = true;
	return tcp_conn_end(e, ctx, ETA_STATUS_OK);
}

bool tcp_conn_reset(const struct tcp_env *e, struct tcp_ctx *ctx, enum eta_status why)
{
	tcp_tx_rst(e, ctx);
	return tcp_conn_end(e, ctx, why);
}
