/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loss recovery: the states, from the first suspicion to the end of the repair, and back if it was
 * none.
 *
 *     OPEN      nothing unusual
 *     DISORDER  SACKs or duplicates, nothing deemed lost yet; each lets one new segment go (limited
 *               transmit, RFC 3042, which the pipe does by itself)
 *     CWR       cwnd is being reduced for another reason than loss
 *     RECOVERY  something is lost; PRR paces what is sent again
 *     RTO       silence: everything is lost that RACK does not vouch for; slow start from one segment
 *
 * What is lost is RACK's word with SACK; without SACK, or without a send log, DupThresh duplicates and
 * then each partial ACK name the segment at snd_una (RFC 6582), and duplicates count as anonymous
 * SACKed bytes.
 *
 * RFC 5681 3.2, RFC 6582, RFC 6675, RFC 8985.
 */
#include "engine/tcp/tcp_int.h"

void tcp_loss_set_state(const struct tcp_env *e, struct tcp_ctx *ctx, enum tcp_loss_state next)
{
	const struct tcp_cc_ops *ops = tcp_cc_get(ctx->cc);

	if (ops->loss_state)
		ops->loss_state(e, ctx, (uint8_t)next);
	ctx->loss_state = (uint8_t)next;
}

/* Do duplicates count, because nobody names what arrived? */
static bool is_reno(const struct tcp_ctx *ctx)
{
	return !(ctx->flags & TCP_CTX_SACK) || ctx->sent_log == 0;
}

/* A duplicate says that one more segment has left the network. */
static void reno_dup(struct tcp_ctx *ctx, struct tcp_ack *a)
{
	uint32_t flight = ctx->snd_nxt - ctx->snd_una;
	uint32_t most = flight > ctx->mss ? flight - ctx->mss : 0;
	uint32_t before = ctx->sacked_bytes;

	if (ctx->lost_bytes > ctx->mss)
		most = flight - ctx->lost_bytes;
	ctx->sacked_bytes += ctx->mss;
	if (ctx->sacked_bytes > most)
		ctx->sacked_bytes = most > before ? most : before;
	a->delivered += ctx->sacked_bytes - before;
}

static void reno_reset(struct tcp_ctx *ctx)
{
	if (is_reno(ctx))
		ctx->sacked_bytes = 0;
	ctx->dupacks = 0;
}

/* Everything that the peer has not SACKed is lost, except what RACK knows to be young. */
static void lose_all(const struct tcp_env *e, struct tcp_ctx *ctx, bool spare_young)
{
	struct tcp_log *log = tcp_sent_log(e, ctx);
	uint32_t flight = ctx->snd_nxt - ctx->snd_una;
	bool is_reneged;

	if (log == NULL) {
		ctx->sacked_bytes = 0;
		ctx->lost_bytes = flight;
		ctx->flags |= TCP_CTX_RTX_ONE;
		ctx->flags &= ~TCP_CTX_RTT_TIMING;
		return;
	}
	/* The byte at snd_una cannot be SACKed; and what did not help last time is not believed twice. */
	is_reneged = ctx->flags & TCP_CTX_SACK && (log->r[log->first].state == TCP_SENT_SACKED ||
								  (ctx->backoff_n && spare_young));
	if (is_reneged) {
		TCP_COUNT(e, sack_reneging);
		ctx->flags2 |= TCP_CTX2_RENEGED;
	}
	if (is_reneged || !(ctx->flags & TCP_CTX_SACK))
		ctx->sacked_bytes = 0;
	for (uint32_t i = 0; i < log->n; i++) {
		struct tcp_sent *r = &log->r[log->first + i];
		uint32_t age_us = (uint32_t)e->now_us - r->us32;

		if (is_reneged && r->state == TCP_SENT_SACKED)
			r->state = TCP_SENT_OUT;
		if (r->state != TCP_SENT_OUT)
			continue;
		if (i && spare_young && !is_reneged && ctx->flags & TCP_CTX_SACK &&
				age_us < ctx->rack_rtt_us)
			continue;
		tcp_sent_lost(ctx, r, NULL);
	}
}

/* The segment at snd_una is lost. */
static void lose_first(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_ack *a)
{
	struct tcp_log *log = tcp_sent_log(e, ctx);
	uint32_t flight = ctx->snd_nxt - ctx->snd_una;
	uint32_t len = flight < ctx->mss ? flight : ctx->mss;
	struct tcp_sent *r;

	if (log == NULL) {
		ctx->flags |= TCP_CTX_RTX_ONE;
		/* what a smaller MTU lost stays lost */
		if (ctx->lost_bytes < len)
			ctx->lost_bytes = len;
		if (ctx->lost_bytes + ctx->sacked_bytes > flight)
			ctx->sacked_bytes = flight - ctx->lost_bytes;
		a->lost += len;
		return;
	}
	(void)tcp_sent_cut(e, ctx, ctx->snd_una + len);
	r = &log->r[log->first];
	if (r->state == TCP_SENT_OUT &&
			r->hi - r->lo + ctx->lost_bytes + ctx->sacked_bytes <= flight)
		tcp_sent_lost(ctx, r, a);
}

/* What does this ACK say about losses? */
static void identify(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_ack *a)
{
	uint32_t wait_us;

	if (is_reno(ctx)) {
		uint32_t enough = e->stack->conf.reorder_segs;

		/* RFC 6582 3.2 step 2: these duplicates may be echoes of what we sent again before. */
		bool is_partial = a->flags & TCP_ACK_UNA && seq_lt(ctx->snd_una, ctx->recover);

		if (ctx->loss_state == TCP_LOSS_RTO) {
			/* Everything is lost already; without a log nothing has noted it. */
			if (is_partial && ctx->sent_log == 0)
				lose_all(e, ctx, false);
		} else if (ctx->loss_state == TCP_LOSS_RECOVERY
						? is_partial
						: ctx->dupacks >= enough &&
								  seq_gt(ctx->snd_una,
										  ctx->recover)) {
			lose_first(e, ctx, a);
		}
		return;
	}
	wait_us = tcp_rack_detect(e, ctx, a);
	if (wait_us) {
		tcp_rack_arm(e, ctx, wait_us);
		a->flags |= TCP_ACK_TIMER;
	}
}

void tcp_loss_dsack(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_range *dup,
		struct tcp_ack *a)
{
	TCP_COUNT(e, dsack_recv);
	ctx->dsack_n++;
	a->flags |= TCP_ACK_DSACK;
	if (ctx->flags2 & TCP_CTX2_TLP && ctx->flags2 & TCP_CTX2_TLP_RTX &&
			dup->hi == ctx->tlp_end_seq)
		a->flags |= TCP_ACK_DSACK_TLP;
	else
		tcp_rack_dsack(ctx);
	if (seq_le(dup->hi, a->prior_una))
		tcp_undo_excuse(ctx, dup);
}

/* ---- states ---- */

void tcp_loss_keep_open(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	enum tcp_loss_state next = TCP_LOSS_OPEN;

	if (ctx->sacked_bytes || ctx->lost_bytes ||
			(ctx->loss_state != TCP_LOSS_OPEN && tcp_sent_any_again(e, ctx)))
		next = TCP_LOSS_DISORDER;
	if (ctx->loss_state == next)
		return;
	if (ctx->loss_state >= TCP_LOSS_RECOVERY)
		tcp_cc_get(ctx->cc)->restart(ctx);
	tcp_loss_set_state(e, ctx, next);
}

void tcp_loss_cwr(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	ctx->prior_ssthresh = 0;
	if (ctx->loss_state >= TCP_LOSS_CWR)
		return;
	ctx->flags2 &= ~TCP_CTX2_UNDO;
	tcp_prr_begin(e, ctx);
	ctx->prior_ssthresh = 0;
	tcp_loss_set_state(e, ctx, TCP_LOSS_CWR);
	ctx->flags2 |= TCP_CTX2_CWR_OWED;
}

/* What is lost was too large: it is sent again without blaming congestion. */
static void begin_resend(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	/* The new beginning is no faster than the path was before (Linux, tcp_current_ssthresh()). */
	if (ctx->loss_state != TCP_LOSS_CWR && ctx->loss_state != TCP_LOSS_RECOVERY &&
			ctx->ssthresh < ctx->cwnd - ctx->cwnd / 4)
		ctx->ssthresh = ctx->cwnd - ctx->cwnd / 4;
	ctx->prior_ssthresh = 0;
	ctx->flags2 &= ~(TCP_CTX2_UNDO | TCP_CTX2_FRTO | TCP_CTX2_FRTO_NEW);
	if (ctx->loss_state != TCP_LOSS_RTO)
		tcp_loss_set_state(e, ctx, TCP_LOSS_RTO);
	ctx->recover = ctx->snd_nxt;
	tcp_owe(e, ctx, TCP_CTX_OUTPUT);
}

void tcp_loss_enter_recovery(const struct tcp_env *e, struct tcp_ctx *ctx, bool by_ece)
{
	/* A reduction under way is one; but not if its window has passed, or for what a timeout lost. */
	bool reduces = (ctx->loss_state != TCP_LOSS_CWR && ctx->loss_state != TCP_LOSS_RECOVERY) ||
		       seq_ge(ctx->snd_una, ctx->recover);

	if (ETA_UNLIKELY(ctx->flags & TCP_CTX_PLPMTUD) && tcp_mtu_lost(e, ctx) && reduces &&
			!by_ece) {
		begin_resend(e, ctx);
		return;
	}
	if (reduces)
		tcp_prr_begin(e, ctx);
	if (by_ece || !reduces)
		ctx->prior_ssthresh = 0;
	tcp_undo_begin(e, ctx);
	tcp_loss_set_state(e, ctx, TCP_LOSS_RECOVERY);
	if (ctx->flags2 & TCP_CTX2_ECN && reduces)
		ctx->flags2 |= TCP_CTX2_CWR_OWED;
	ctx->flags &= ~TCP_CTX_CWND_LIMITED;
	ctx->recoveries_n++;
	if (is_reno(ctx))
		TCP_COUNT(e, reno_recovery);
	else
		TCP_COUNT(e, sack_recovery);
}

/* F-RTO (RFC 5682 3.1). Return: is everything decided? */
static bool frto_ack(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ack *a)
{
	if (a->flags & TCP_ACK_ORIG && tcp_undo_rto(e, ctx, a, true))
		return true;
	if (seq_gt(ctx->snd_nxt, ctx->recover)) {
		/* Step 3a: what was sent beyond brought only duplicates: the loss was real. */
		if (a->flags & (TCP_ACK_SACKED | TCP_ACK_DUP))
			ctx->flags2 &= ~TCP_CTX2_FRTO;
	} else if (a->flags & TCP_ACK_UNA && seq_lt(ctx->snd_una, ctx->recover)) {
		/* Step 2b: rather something new than something again, if there is something. */
		ctx->recover = ctx->snd_nxt;
		if (tcp_tx_pending(ctx) && seq_gt(ctx->snd_una + ctx->snd_wnd, ctx->snd_nxt)) {
			ctx->flags2 |= TCP_CTX2_FRTO_NEW;
			return true;
		}
		ctx->flags2 &= ~TCP_CTX2_FRTO;
	}
	return false;
}

static void rto_ack(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ack *a)
{
	bool recovered = seq_ge(ctx->snd_una, ctx->recover);

	if (!(a->flags & TCP_ACK_UNA && tcp_undo_rto(e, ctx, a, false)) &&
			ctx->flags2 & TCP_CTX2_FRTO && frto_ack(e, ctx, a))
		return;
	if (recovered && ctx->loss_state == TCP_LOSS_RTO)
		tcp_undo_recovery(e, ctx, a);
}

/* The reduction ends, if one is under way. */
static void passed_recover(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ack *a)
{
	if (ctx->loss_state == TCP_LOSS_RECOVERY) {
		reno_reset(ctx);
		if (!tcp_undo_may(ctx, a))
			tcp_prr_end(ctx);
		tcp_undo_recovery(e, ctx, a);
	} else if (ctx->loss_state == TCP_LOSS_CWR && ctx->snd_una != ctx->recover) {
		/* Something beyond is acknowledged: the peer has seen CWR. */
		tcp_prr_end(ctx);
		tcp_loss_set_state(e, ctx, TCP_LOSS_OPEN);
		tcp_cc_get(ctx->cc)->restart(ctx);
	}
}

static void alert(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_ack *a)
{
	bool is_dup = is_reno(ctx) && a->flags & TCP_ACK_DUP;

	if (seq_ge(ctx->snd_una, ctx->recover))
		passed_recover(e, ctx, a);
	if (ctx->loss_state == TCP_LOSS_RECOVERY) {
		if (!(a->flags & TCP_ACK_UNA)) {
			if (is_dup)
				reno_dup(ctx, a);
		} else if (tcp_undo_partial(e, ctx, a)) {
			return;
		}
		if (tcp_undo_dsack(e, ctx))
			tcp_loss_keep_open(e, ctx);
		identify(e, ctx, a);
		if (ctx->loss_state == TCP_LOSS_RECOVERY || ctx->lost_bytes == 0)
			return;
		tcp_loss_enter_recovery(e, ctx, a->flags & TCP_ACK_ECE);
		return;
	}
	if (ctx->loss_state == TCP_LOSS_RTO) {
		rto_ack(e, ctx, a);
		if (ctx->flags2 & TCP_CTX2_FRTO_NEW)
			return;
		identify(e, ctx, a);
		if (ctx->loss_state != TCP_LOSS_OPEN && !(a->flags & TCP_ACK_LOST_RTX))
			return;
	} else {
		if (is_reno(ctx) && a->flags & TCP_ACK_UNA)
			reno_reset(ctx);
		if (is_dup)
			reno_dup(ctx, a);
		if (ctx->loss_state <= TCP_LOSS_DISORDER)
			(void)tcp_undo_dsack(e, ctx);
		identify(e, ctx, a);
	}
	if (ctx->lost_bytes == 0) {
		if (a->flags & TCP_ACK_ECE)
			tcp_loss_cwr(e, ctx);
		if (ctx->loss_state != TCP_LOSS_CWR)
			tcp_loss_keep_open(e, ctx);
		return;
	}
	if (ctx->loss_state != TCP_LOSS_RECOVERY)
		tcp_loss_enter_recovery(e, ctx, a->flags & TCP_ACK_ECE);
}

void tcp_loss_ack(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_ack *a)
{
	if (a->flags & (TCP_ACK_SACKED | TCP_ACK_DUP)) {
		if (ctx->dupacks < UINT8_MAX)
			ctx->dupacks++;
	} else if (a->flags & TCP_ACK_UNA) {
		ctx->dupacks = 0;
	}
	if (ctx->flags2 & TCP_CTX2_TLP)
		tcp_tlp_ack(e, ctx, a);
	if (ctx->loss_state != TCP_LOSS_OPEN || ctx->sacked_bytes || ctx->dupacks ||
			a->flags & (TCP_ACK_DSACK | TCP_ACK_ECE))
		alert(e, ctx, a);
}

/* ---- timeout ---- */

void tcp_loss_rto(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	bool is_new = ctx->loss_state < TCP_LOSS_RECOVERY;

	TCP_COUNT(e, timeouts);
	ctx->timeouts_n++;
	if (ctx->rto_at_ms == 0) {
		ctx->rto_recoveries_n++;
		ctx->rto_at_ms = (e->now_ms - 1) | 1; /* never 0, never ahead */
	}
	lose_all(e, ctx, true);
	if (ctx->loss_state <= TCP_LOSS_DISORDER || seq_ge(ctx->snd_una, ctx->recover) ||
			(ctx->loss_state == TCP_LOSS_RTO && ctx->backoff_n == 0)) {
		tcp_cc_reduce(ctx);
		tcp_undo_begin(e, ctx);
	}
	tcp_cc_rto(ctx);
	tcp_loss_set_state(e, ctx, TCP_LOSS_RTO);
	tcp_tlp_end(ctx);
	ctx->dupacks = 0;
	ctx->recover = ctx->snd_nxt;
	ctx->flags2 &= ~(TCP_CTX2_FRTO | TCP_CTX2_FRTO_NEW);
	if (is_new || ctx->backoff_n)
		ctx->flags2 |= TCP_CTX2_FRTO;
	if (ctx->flags2 & TCP_CTX2_ECN)
		ctx->flags2 |= TCP_CTX2_CWR_OWED;
	if (ctx->backoff_n < UINT8_MAX)
		ctx->backoff_n++;
	tcp_timer_arm_rtx(e, ctx);
	tcp_output(e, ctx);
}

void tcp_loss_resend(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	if (ctx->snd_una == ctx->snd_nxt || ctx->flags & TCP_CTX_PROBED)
		return;
	lose_all(e, ctx, false);
	begin_resend(e, ctx);
}

/* ---- sending again ---- */

static void count_again(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t n)
{
	if (ctx->loss_state == TCP_LOSS_RTO)
		TCP_COUNT(e, slow_start_retrans);
	else
		TCP_COUNT(e, fast_retrans);
	ctx->prr_out += n;
}

/* Without a log: one segment at snd_una. Return: false if the port is full. */
static bool output_first(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t *pipe)
{
	uint32_t flight = ctx->snd_nxt - ctx->snd_una;
	uint32_t len = flight < ctx->mss ? flight : ctx->mss;
	uint32_t n;

	if (ctx->flags2 & TCP_CTX2_EOR)
		len = tcp_eor_first(e->stack, ctx, ctx->snd_una, ctx->snd_una + len) - ctx->snd_una;
	n = tcp_tx_range(e, ctx, ctx->snd_una, ctx->snd_una + len, true);
	if (n == 0)
		return false;
	ctx->flags &= ~TCP_CTX_RTX_ONE;
	ctx->lost_bytes -= n < ctx->lost_bytes ? n : ctx->lost_bytes;
	ctx->sent_us32 = (uint32_t)e->now_us;
	tcp_timer_arm_rto(e, ctx);
	count_again(e, ctx, n);
	tcp_undo_sent_again(e, ctx, n);
	*pipe = tcp_loss_pipe(ctx);
	return true;
}

/*
 * How much of a lost record of @len bytes to send in one piece if @room bytes of cwnd are free: whole
 * segments, or all.
 */
static uint32_t piece_of(
		const struct tcp_env *e, const struct tcp_ctx *ctx, uint32_t len, uint32_t room)
{
	uint32_t mss = ctx->mss;
	uint32_t burst;

	if (len <= mss)
		return room >= len ? len : 0;
	burst = tcp_up_burst_bytes(e->core, ctx);
	if (room > burst)
		room = burst < mss ? mss : burst;
	if (len <= room)
		return len;
	return room < mss ? 0 : room - room % mss;
}

bool tcp_loss_output(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t *pipe)
{
	struct tcp_log *log = &e->stack->log[ctx->sent_log];
	uint32_t i = 0;

	if (ctx->sent_log == 0)
		return !(ctx->flags & TCP_CTX_RTX_ONE) || output_first(e, ctx, pipe);
	for (uint32_t sends = 0; ctx->lost_bytes; sends++) {
		uint32_t room = ctx->cwnd > *pipe ? ctx->cwnd - *pipe : 0;
		struct tcp_sent *r;
		uint32_t len, n, lo;

		while (i < log->n && log->r[log->first + i].state != TCP_SENT_LOST)
			i++;
		if (i == log->n)
			return true;
		r = &log->r[log->first + i];
		len = r->hi - r->lo;
		if (ETA_UNLIKELY(ctx->flags2 & TCP_CTX2_EOR))
			len = tcp_eor_first(e->stack, ctx, r->lo, r->hi) - r->lo;
		if (ETA_UNLIKELY(ctx->flags2 & TCP_CTX2_PACED))
			room = tcp_pace_room(e, ctx, room, len < ctx->mss ? len : ctx->mss);
		len = piece_of(e, ctx, len, room);
		if (len == 0)
			return true;
		if (sends == TCP_OUTPUT_SENDS) {
			tcp_owe(e, ctx, TCP_CTX_OUTPUT);
			return true;
		}
		lo = r->lo;
		n = tcp_tx_range(e, ctx, lo, lo + len, true);
		if (n == 0)
			return false;
		/* No room for another record: the rest of this one counts as sent, and is judged by its age. */
		(void)tcp_sent_cut(e, ctx, lo + n);
		tcp_sent_again(e, ctx, tcp_sent_at(e, ctx, lo));
		/* The timer waits for this one now (RFC 8985 7, Linux). */
		if (lo == ctx->snd_una && !(ctx->flags2 & TCP_CTX2_TIMER_REO))
			tcp_timer_arm_rto(e, ctx);
		*pipe += n;
		count_again(e, ctx, n);
		tcp_undo_sent_again(e, ctx, n);
		if (n < len)
			return false;
		i = 0;
	}
	return true;
}
