/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where connections begin, and where their tuples are used again: LISTEN, SYN-SENT, TIME-WAIT.
 *
 * A SYN makes an embryo; where no embryo is left, or its source has its share of them, it gets a cookie and is forgotten. Its text is not
 * taken, except by fast open: there is no buffer before there is a user, and the peer sends it again because our SYN-ACK
 * does not acknowledge it.
 *
 * TIME-WAIT answers what may be a retransmitted FIN, ignores resets (RFC 1337), and gives way to a
 * SYN that is certainly newer, by timestamp or sequence number (RFC 6191); the embryo that follows
 * begins above the old connection's numbers.
 *
 * RFC 9293 3.10.7.2, 3.10.7.3, 3.10.7.4.
 */
#include "engine/tcp/tcp_open.h"

/* Options, windows and first numbers from the peer's SYN. */
void tcp_take_syn(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg)
{
	struct tcp_opts opts;
	uint32_t promised = ctx->rcv_adv - ctx->rcv_nxt;

	tcp_opt_parse(seg, &opts);
	ctx->irs = seg->seq;
	ctx->rcv_nxt = seg->seq + 1;
	ctx->rcv_adv = ctx->rcv_nxt + promised;
	ctx->rcv_acked = ctx->rcv_nxt;
	ctx->rcv_head = ctx->rcv_nxt;
	ctx->snd_wnd = seg->wnd; /* never scaled in a SYN */
	ctx->snd_wnd_max = seg->wnd;
	ctx->snd_wl1 = seg->seq;
	ctx->snd_wl2 = seg->flags & TCP_ACK ? seg->ack : ctx->iss;
	ctx->rx_last_ms = e->now_ms;
	ctx->segs_in++;
	tcp_conn_agree(e, ctx, &opts);
	tcp_ecn_agree(e, ctx, seg);
}

void tcp_embryo_init(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ctx *master,
		const struct ip_tuple *tuple)
{
	const struct tcp_conf *conf = &e->stack->conf;

	ctx->flags = TCP_CTX_PASSIVE | (conf->timestamps ? TCP_CTX_TS : 0) |
		     (conf->sack ? TCP_CTX_SACK : 0) | TCP_CTX_WSCALE;
	ctx->flags |= master->flags &
		      (TCP_CTX_NODELAY | TCP_CTX_CORK | TCP_CTX_KEEPALIVE | TCP_CTX_QUICKACK);
	ctx->keep_idle_ms = master->keep_idle_ms;
	ctx->keep_intvl_ms = master->keep_intvl_ms;
	ctx->keep_probes = master->keep_probes;
	ctx->fin_wait2_ms = master->fin_wait2_ms;
	ctx->user_timeout_ms = master->user_timeout_ms;
	ctx->mss_user = master->mss_user;
	ctx->cc_wanted = master->cc_wanted;
	ctx->notsent_lowat = master->notsent_lowat;
	ctx->pacing_rate_max = master->pacing_rate_max;
	ctx->syn_retries = master->syn_retries;
	ctx->defer_accept_s = master->defer_accept_s;
	ctx->master_idx = master->idx;
	tcp_conn_init(e, ctx, tuple);
	tcp_wnd_first(e, ctx);
}

/* Nothing is kept of this SYN. @count: why. */
static enum tcp_verdict no_embryo(const struct tcp_env *e, const struct tcp_ctx *master,
		const struct tcp_seg *seg, const struct ip_tuple *tuple, uint64_t *count)
{
	if (!e->stack->conf.syn_cookies) {
		TCP_COUNT(e, reqq_drop);
		return TCP_RX_REFUSED;
	}
	(*count)++;
	tcp_cookie_send(e, master, seg, tuple);
	return TCP_RX_OK;
}

enum tcp_verdict tcp_listen_rx(const struct tcp_env *e, struct tcp_ctx *master,
		const struct tcp_seg *seg, const struct ip_tuple *tuple)
{
	struct tcp_ctx *ctx;

	if (seg->flags & TCP_RST || tuple == NULL) {
		TCP_COUNT(e, in_errs);
		return TCP_RX_OK;
	}
	if (seg->flags & TCP_ACK) {
		TCP_COUNT(e, acks_unsent);
		tcp_tx_rst_to(e->stack, e->core, NULL, tuple, seg);
		return TCP_RX_OK;
	}
	if (!(seg->flags & TCP_SYN) || seg->flags & TCP_FIN) {
		TCP_COUNT(e, listen_drops);
		return TCP_RX_OK;
	}
	switch (tcp_up_room(e->core, master, tuple)) {
	case TCP_ROOM_EMBRYO: break;
	case TCP_ROOM_SOURCE: return no_embryo(e, master, seg, tuple, &e->stack->stats.reqq_source);
	case TCP_ROOM_FULL: return no_embryo(e, master, seg, tuple, &e->stack->stats.reqq_cookies);
	case TCP_ROOM_NONE: TCP_COUNT(e, listen_overflows); return TCP_RX_OK;
	}
	ctx = tcp_up_embryo(e->core, master, tuple);
	if (ctx == NULL) {
		TCP_COUNT(e, listen_overflows);
		return TCP_RX_REFUSED;
	}
	tcp_embryo_init(e, ctx, master, tuple);
	tcp_take_syn(e, ctx, seg);
	/* An earlier copy of this SYN may have been answered by a cookie, and both answers be under way. */
	if (ETA_UNLIKELY(tcp_cookies_are_out(e->stack, e->now_us)))
		tcp_cookie_fill(e, ctx, tuple);
	tcp_conn_set_state(e, ctx, TCP_STATE_SYN_RECEIVED);
	if (master->fastopen_qlen && e->stack->conf.fastopen & TCP_FASTOPEN_SERVER)
		tcp_tfo_syn(e, master, ctx, seg, tuple);
	tcp_tx_syn(e, ctx);
	return TCP_RX_OK;
}

/* Time until an embryo need wait for data no longer; its numbers were chosen at tx_last_ms. */
static uint32_t defer_left_ms(const struct tcp_env *e, const struct tcp_ctx *ctx)
{
	uint32_t all_ms = ctx->defer_accept_s * 1000u;
	uint32_t age_ms = e->now_ms - ctx->tx_last_ms;

	return age_ms < all_ms ? all_ms - age_ms : 0;
}

bool tcp_embryo_defer(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg)
{
	if (seg->len || seg->flags & TCP_FIN || defer_left_ms(e, ctx) == 0)
		return false;
	TCP_COUNT(e, defer_accept);
	ctx->flags2 |= TCP_CTX2_DEFERRED;
	return true;
}

bool tcp_embryo_waits(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	uint32_t left_ms = ctx->flags2 & TCP_CTX2_DEFERRED ? defer_left_ms(e, ctx) : 0;

	if (left_ms)
		tcp_timer_arm(e, ctx, &ctx->rtx_at_ms, left_ms);
	return left_ms != 0;
}

enum tcp_verdict tcp_syn_sent_rx(
		const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg)
{
	bool has_ack = seg->flags & TCP_ACK;

	if (has_ack && (!seq_gt(seg->ack, ctx->iss) || seq_gt(seg->ack, ctx->snd_nxt))) {
		TCP_COUNT(e, acks_unsent);
		tcp_tx_rst_to(e->stack, e->core, ctx, NULL, seg);
		return TCP_RX_OK;
	}
	if (seg->flags & TCP_RST) {
		if (!has_ack) {
			TCP_COUNT(e, in_errs);
			return TCP_RX_OK;
		}
		TCP_COUNT(e, attempt_fails);
		tcp_conn_end(e, ctx, ETA_STATUS_REFUSED);
		return TCP_RX_FREED;
	}
	if (!(seg->flags & TCP_SYN)) {
		TCP_COUNT(e, in_errs);
		return TCP_RX_OK;
	}
	tcp_take_syn(e, ctx, seg);
	if (!has_ack) {
		/* Simultaneous open. Their text comes again. */
		tcp_conn_set_state(e, ctx, TCP_STATE_SYN_RECEIVED);
		ctx->backoff_n = 0;
		tcp_tx_syn(e, ctx);
		return TCP_RX_OK;
	}
	if (ETA_UNLIKELY(ctx->flags2 & (TCP_CTX2_TFO | TCP_CTX2_TFO_OPT)))
		tcp_tfo_syn_ack(e, ctx, seg);
	tcp_conn_established(e, ctx);
	tcp_owe(e, ctx, TCP_CTX_ACK_NOW);
	tcp_up_connected(e->core, ctx);
	if (ETA_UNLIKELY(seg->ack != ctx->snd_una)) {
		/* the data of our SYN */
		ctx->tx_bytes += seg->ack - ctx->snd_una;
		ctx->snd_una = seg->ack;
		ctx->rtx_at_ms = 0;
		tcp_up_acked(e->core, ctx, tcp_snd_off(ctx, seg->ack));
	}
	tcp_rx_urg(e, ctx, seg);
	if (tcp_rx_text(e, ctx, seg, seg->seq + 1))
		return TCP_RX_FREED;
	return TCP_RX_OK;
}

/* Is this SYN newer than everything the old connection can have sent? */
static bool is_new_life(
		const struct tcp_ctx *ctx, const struct tcp_seg *seg, const struct tcp_opts *opts)
{
	if (ctx->flags & TCP_CTX_TS && opts->has & TCP_OPT_HAS_TS && opts->tsval != ctx->ts_recent)
		return seq_gt(opts->tsval, ctx->ts_recent);
	return seq_gt(seg->seq, ctx->rcv_nxt);
}

enum tcp_verdict tcp_time_wait_rx(
		const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg)
{
	struct tcp_opts opts;

	if (seg->flags & TCP_RST) {
		TCP_COUNT(e, tw_ignored);
		return TCP_RX_OK;
	}
	tcp_opt_parse(seg, &opts);
	if ((seg->flags & (TCP_SYN | TCP_ACK | TCP_FIN)) == TCP_SYN &&
			is_new_life(ctx, seg, &opts)) {
		(void)tcp_conn_recycle(e, ctx);
		return TCP_RX_AGAIN;
	}
	/* An ACK in its place needs no answer. */
	if (!(seg->flags & (TCP_SYN | TCP_FIN)) && seg->len == 0 && seg->seq == ctx->rcv_nxt) {
		TCP_COUNT(e, tw_ignored);
		return TCP_RX_OK;
	}
	/* The last ACK was lost: the peer waits in LAST-ACK, and so do we, from now. */
	if (seg->flags & TCP_FIN && seg->seq + seg->len + 1 == ctx->rcv_nxt)
		tcp_timer_arm_long(e, ctx);
	else
		TCP_COUNT(e, old_segs);
	tcp_tx_challenge(e, ctx);
	return TCP_RX_OK;
}
