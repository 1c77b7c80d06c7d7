/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sending: what may leave now, and in what form.
 *
 * tcp_output() is asked whenever something may have changed: the user queued bytes, an ACK opened a
 * window, a timer fired. It sends retransmissions first, then new bytes as far as the peer's
 * window, cwnd, Nagle's rule and silly-window avoidance allow, in pieces of TSO size; every piece
 * carries the newest ACK, and a pure ACK leaves only if none did. The receive side does not call
 * it: it puts the context on the flush list, so that one burst of segments is answered once.
 *
 * Bytes that the port does not take are not counted as sent; we come back after TCP_RETRY_MS. With
 * nothing in flight and the window shut the persist timer runs; with something in flight, always
 * the retransmission timer.
 *
 * Nagle in Minshall's form: a short segment waits only for an earlier short one, not for full ones
 * in flight, so that a write of 2000 bytes does not wait for a delayed ACK.
 *
 * RFC 9293 3.8.6.2.1 (sender SWS), 3.7.4 (Nagle), RFC 1122 4.2.3.4; draft-minshall-nagle-01.
 */
#include "engine/tcp/tcp_open.h"

/* The longer the path the smaller the pieces: every 512 us of round trip halve what is added to a millisecond's worth. */
#define PIECE_RTT_US 512u
#define PIECE_BYTES_MAX 65536u

/* ---- segments ---- */

/* An ACK has left: nothing is owed. */
static inline void ack_sent(struct tcp_ctx *ctx)
{
	ctx->rcv_acked = ctx->rcv_nxt;
	ctx->flags &= ~(TCP_CTX_ACK_NOW | TCP_CTX_ACK_OWED);
	ctx->flags2 &= ~TCP_CTX2_DSACK_OWED;
	ctx->delack_at_ms = 0;
	if (ctx->quick_n)
		ctx->quick_n--;
}

/* A segment without text that carries an ACK. */
static void tx_ctl(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t seq, uint8_t flags)
{
	struct tcp_txseg seg = {.seq = seq, .ack = ctx->rcv_nxt, .flags = flags};

	seg.wnd = tcp_wnd_select(e, ctx);
	seg.opt_len = tcp_opt_put(e, ctx, seg.opt);
	seg.mss = (uint16_t)(ctx->mss_base - seg.opt_len);
	seg.off = tcp_snd_off(ctx, seq);
	if (ETA_UNLIKELY(ctx->flags2 & TCP_CTX2_ECN))
		tcp_ecn_tx(ctx, &seg);
	TCP_COUNT(e, out_segs);
	ctx->segs_out++;
	(void)tcp_up_send(e->core, ctx, NULL, &seg); /* lost here is lost by the network */
}

/*
 * An ACK is judged by its sequence number before it is read. If the peer has taken back window that
 * we have used, snd_nxt lies outside of it, and two such ends would discard each other's ACKs for
 * ever. Less than a unit of its scale is only rounding.
 */
static uint32_t acceptable_seq(const struct tcp_ctx *ctx)
{
	uint32_t edge = ctx->snd_una + ctx->snd_wnd;

	if (ETA_UNLIKELY(ctx->flags & TCP_CTX_PROBED))
		return ctx->snd_una;
	if (ETA_LIKELY(seq_ge(edge, ctx->snd_nxt)) || ctx->snd_nxt - edge < 1u << ctx->snd_wscale)
		return ctx->snd_nxt;
	return edge;
}

void tcp_tx_ack(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	tx_ctl(e, ctx, acceptable_seq(ctx), TCP_ACK);
	ack_sent(ctx);
}

void tcp_tx_keepalive(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	tx_ctl(e, ctx, ctx->snd_una - 1, TCP_ACK);
	TCP_COUNT(e, keepalive);
}

void tcp_tx_rst(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	tx_ctl(e, ctx, ctx->snd_nxt, TCP_RST | TCP_ACK);
	TCP_COUNT(e, out_rsts);
}

/*
 * xorshift64*: only to blur the challenge limit, so that it cannot be counted out from outside
 * (CVE-2016-5696).
 */
static uint32_t random_below(struct tcp_stack *stack, uint32_t n)
{
	stack->random ^= stack->random >> 12;
	stack->random ^= stack->random << 25;
	stack->random ^= stack->random >> 27;
	return (uint32_t)(((stack->random * 0x2545f4914f6cdd1dull) >> 32) * n >> 32);
}

void tcp_tx_challenge(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	struct tcp_stack *stack = e->stack;
	uint32_t limit = stack->conf.challenge_per_s;

	if (e->now_ms - stack->challenge_ms >= 1000) {
		stack->challenge_ms = e->now_ms;
		stack->challenge_n = (limit + 1) / 2 + random_below(stack, limit);
	}
	if (stack->challenge_n == 0) {
		TCP_COUNT(e, ack_skipped_challenge);
		return;
	}
	stack->challenge_n--;
	TCP_COUNT(e, challenge_ack);
	tcp_tx_ack(e, ctx);
}

void tcp_tx_rst_to(struct tcp_stack *stack, struct core *core, struct tcp_ctx *ctx,
		const struct ip_tuple *tuple, const struct tcp_seg *seg)
{
	struct tcp_txseg rst = {.flags = TCP_RST, .mss = TCP_MSS_MIN};

	if (seg->flags & TCP_RST)
		return;
	if (seg->flags & TCP_ACK) {
		rst.seq = seg->ack;
	} else {
		rst.flags |= TCP_ACK;
		rst.ack = seg->seq + seg->len + !!(seg->flags & TCP_SYN) + !!(seg->flags & TCP_FIN);
	}
	stack->stats.out_segs++;
	stack->stats.out_rsts++;
	(void)tcp_up_send(core, ctx, tuple, &rst);
}

void tcp_tx_syn(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	struct tcp_txseg seg = {.seq = ctx->iss, .flags = TCP_SYN, .mss = ctx->mss_base};
	uint32_t wnd = ctx->rcv_adv - ctx->rcv_nxt;
	int32_t sent;

	if (ctx->state == TCP_STATE_SYN_RECEIVED) {
		seg.flags |= TCP_ACK;
		seg.ack = ctx->rcv_nxt;
		ack_sent(ctx);
	}
	seg.wnd = (uint16_t)(wnd < UINT16_MAX ? wnd : UINT16_MAX); /* never scaled here */
	seg.opt_len = tcp_opt_put_syn(e, ctx, seg.opt);
	tcp_ecn_syn(e, ctx, &seg);
	if (ETA_UNLIKELY(ctx->flags2 & TCP_CTX2_TFO))
		tcp_tfo_syn_data(e, ctx, &seg);
	TCP_COUNT(e, out_segs);
	ctx->segs_out++;
	if (!(ctx->flags & TCP_CTX_SYN_RTX)) {
		ctx->flags |= TCP_CTX_RTT_TIMING;
		ctx->sent_us32 = (uint32_t)e->now_us;
	}
	tcp_timer_arm_rtx(e, ctx);
	/*
	 * Likely the neighbour is being resolved: a second of waiting for the timer would be felt.
	 */
	sent = tcp_up_send(e->core, ctx, NULL, &seg);
	if (sent < 0) {
		TCP_COUNT(e, send_short);
		tcp_timer_arm(e, ctx, &ctx->xmit_at_ms, TCP_RETRY_MS);
	} else if (sent > 0) {
		ctx->snd_nxt = seq_max(ctx->snd_nxt, ctx->iss + 1 + (uint32_t)sent);
	}
}

static void tx_urg(struct tcp_ctx *ctx, struct tcp_txseg *seg)
{
	uint32_t ahead = ctx->snd_up - seg->seq;

	if (seq_ge(ctx->snd_una, ctx->snd_up))
		ctx->flags &= ~TCP_CTX_URG_SENT;
	if ((int32_t)ahead <= 0)
		return;
	seg->flags |= TCP_URG;
	seg->urg = (uint16_t)(ahead < UINT16_MAX ? ahead : UINT16_MAX);
}

/* What few connections do: urgent data, probes of the path. */
static ETA_COLD void tx_odd(struct tcp_ctx *ctx, struct tcp_txseg *seg)
{
	if (ctx->flags & TCP_CTX_URG_SENT)
		tx_urg(ctx, seg);
	if (!seg->is_retransmit && tcp_mtu_is_probe(ctx, seg->seq, seg->seq + seg->len))
		seg->mss = (uint16_t)seg->len; /* in one piece */
}

/* What ECN and records make of a segment that is about to leave. */
static void tx_marks(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_txseg *seg)
{
	if (ctx->flags2 & TCP_CTX2_ECN)
		tcp_ecn_tx(ctx, seg);
	if (ctx->flags2 & TCP_CTX2_EOR && tcp_eor_is_at(e->stack, ctx, seg->seq + seg->len))
		seg->flags |= TCP_PSH;
}

/* What pacing and ECN note of a segment that has left. */
static void sent_marks(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_txseg *seg,
		uint32_t sent)
{
	if (ctx->flags2 & TCP_CTX2_PACED)
		tcp_pace_sent(e, ctx, sent);
	if (seg->flags & TCP_CWR)
		ctx->flags2 &= ~TCP_CTX2_CWR_OWED;
}

uint32_t tcp_tx_range(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t seq, uint32_t end,
		bool is_retransmit)
{
	bool fin = (ctx->flags & TCP_CTX_FIN_QUEUED) && seq_gt(end, ctx->snd_tail);
	uint32_t len = (fin ? ctx->snd_tail : end) - seq;
	struct tcp_txseg seg;
	uint32_t segs = 1;
	int32_t sent;

	seg.seq = seq;
	seg.ack = ctx->rcv_nxt;
	seg.wnd = tcp_wnd_select(e, ctx);
	seg.urg = 0;
	seg.flags = TCP_ACK;
	seg.ecn = 0;
	seg.opt_len = tcp_opt_put(e, ctx, seg.opt);
	seg.off = tcp_snd_off(ctx, seq);
	seg.len = len;
	seg.mss = (uint16_t)(ctx->mss_base - seg.opt_len);
	seg.is_retransmit = is_retransmit;
	if (fin)
		seg.flags |= TCP_FIN;
	/*
	 * What the user has ended by a write, and a burst, which the receiver's GRO need not hold back
	 * then.
	 */
	if ((len > seg.mss && !is_retransmit) ||
			(len && seq + len == ctx->snd_tail &&
					(fin || !(ctx->flags & TCP_CTX_MORE))))
		seg.flags |= TCP_PSH;
	if (ETA_UNLIKELY(ctx->flags & (TCP_CTX_URG_SENT | TCP_CTX_PLPMTUD)))
		tx_odd(ctx, &seg);
	if (ETA_UNLIKELY(ctx->flags2 & (TCP_CTX2_ECN | TCP_CTX2_EOR)))
		tx_marks(e, ctx, &seg);
	sent = tcp_up_send(e->core, ctx, NULL, &seg);
	if (len == 0)
		sent = 0; /* a lone FIN that could not go: lost by the network */
	else if (sent <= 0)
		return 0;
	else if ((uint32_t)sent > len)
		sent = (int32_t)len;
	ack_sent(ctx);
	if (ETA_UNLIKELY(ctx->flags2 & (TCP_CTX2_PACED | TCP_CTX2_CWR_OWED)))
		sent_marks(e, ctx, &seg, (uint32_t)sent);
	if (len > seg.mss) {
		segs = (len + seg.mss - 1) / seg.mss;
		/* SACK blocks took room: segments end elsewhere than at multiples of mss */
		if (ETA_UNLIKELY(seg.mss != ctx->mss))
			ctx->mixed_us8 = (uint8_t)e->now_us;
	}
	e->stack->stats.out_segs += segs;
	ctx->segs_out += segs;
	ctx->data_segs_out += len ? segs : 0;
	if (is_retransmit) {
		e->stack->stats.retrans_segs += segs;
		ctx->retrans_n += segs;
		ctx->retrans_bytes += (uint32_t)sent;
		if (ctx->sent_log == 0)
			ctx->flags &= ~TCP_CTX_RTT_TIMING; /* Karn */
	}
	return (uint32_t)sent + (fin && (uint32_t)sent == len);
}

/* ---- output ---- */

/* All that is queued fits: may the short last segment go, too? */
static uint32_t with_tail(const struct tcp_ctx *ctx, uint32_t len)
{
	uint32_t flight = ctx->snd_nxt - ctx->snd_una;
	uint32_t hold = ctx->flags & (TCP_CTX_CORK | TCP_CTX_MORE);
	uint32_t tail;

	if (ctx->flags & (TCP_CTX_FIN_QUEUED | TCP_CTX_URG_SENT))
		return len;
	if (ETA_UNLIKELY(hold == TCP_CTX_MORE && ctx->flags2 & TCP_CTX2_MORE_OVER))
		hold = 0;
	if (!hold && ctx->flags & TCP_CTX_NODELAY)
		return len;
	tail = len < ctx->mss ? len : len % ctx->mss;
	/* Is a short segment in flight? */
	if (hold || ctx->snd_sml - ctx->snd_una - 1 < flight)
		return len - tail;
	return len;
}

/*
 * A piece for the port: about a millisecond's worth at the rate of the connection, so that a long
 * path sees no needless bursts, and more the shorter the path is; as Linux (tcp_tso_autosize()).
 */
static uint32_t piece_bytes(const struct tcp_env *e, const struct tcp_ctx *ctx, uint32_t burst)
{
	uint32_t shift = ctx->rtt_min_us / PIECE_RTT_US;
	uint32_t bytes_min = e->stack->conf.min_tso_segs * ctx->mss;
	uint64_t bytes;

	if (ETA_LIKELY(shift == 0) || ctx->srtt_us == 0)
		return burst;
	/* twice cwnd in a round trip in slow start, 1.2 times later */
	bytes = (uint64_t)ctx->cwnd * (ctx->cwnd < ctx->ssthresh / 2 ? 2000 : 1200) / ctx->srtt_us;
	if (shift < 16)
		bytes += PIECE_BYTES_MAX >> shift;
	if (bytes < bytes_min)
		bytes = bytes_min;
	return bytes < burst ? (uint32_t)bytes : burst;
}

#define ODD_WHOLE 0x80000000u /* just so many, in one segment */

/* More than a segment is queued on a connection with urgent data, a CWR to be said or probes: what may leave of @room? */
static ETA_COLD uint32_t odd_room(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t room)
{
	/* a probe does not cross the end of a record */
	uint32_t probe = ctx->flags2 & TCP_CTX2_EOR ? 0 : tcp_mtu_piece(e, ctx, room);

	if (probe)
		return probe | ODD_WHOLE;
	/* pointer and CWR stand for one segment: they must not be repeated */
	if (room > ctx->mss && (ctx->flags & TCP_CTX_URG_SENT || ctx->flags2 & TCP_CTX2_CWR_OWED))
		return ctx->mss;
	return room;
}

/* New bytes of @len that belong to the same record as the first. */
static uint32_t first_record(const struct tcp_env *e, const struct tcp_ctx *ctx, uint32_t len)
{
	if (!(ctx->flags2 & TCP_CTX2_EOR))
		return len;
	return tcp_eor_first(e->stack, ctx, ctx->snd_nxt, ctx->snd_nxt + len) - ctx->snd_nxt;
}

/* More than half of cwnd is in use, or would be: is it what limits us, or may it become that (see grow_used())? */
static ETA_COLD void note_use(struct tcp_ctx *ctx, uint32_t avail, uint32_t wroom, uint32_t croom)
{
	if (croom < avail && croom < wroom + ctx->mss) {
		ctx->flags |= TCP_CTX_CWND_LIMITED;
		ctx->cwnd_lim_seq = ctx->snd_nxt + (wroom < croom ? wroom : croom);
	} else if (!(ctx->flags2 & TCP_CTX2_CWND_USED) && ctx->cwnd < ctx->ssthresh) {
		ctx->flags2 |= TCP_CTX2_CWND_USED;
		ctx->used_segs = 0;
	}
}

/* Of @avail new bytes, what may leave in one piece now? */
static uint32_t sendable_part(
		const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t pipe, uint32_t avail)
{
	uint32_t wroom = tcp_wnd_room(ctx);
	uint32_t croom = ctx->cwnd > pipe ? ctx->cwnd - pipe : 0;
	uint32_t room = wroom < croom ? wroom : croom;
	uint32_t mss = ctx->mss;
	uint32_t burst;

	if (avail == 0)
		return 0;
	if (ETA_UNLIKELY(pipe + 2 * avail > croom))
		note_use(ctx, avail, wroom, croom);
	if (avail > mss) {
		burst = piece_bytes(e, ctx, tcp_up_burst_bytes(e->core, ctx));
		/* Two pieces in flight: the ACK of the one lets the next go while the other is under way (as Linux). */
		if (burst > ctx->cwnd / 2)
			burst = ctx->cwnd / 2;
		if (burst < mss)
			burst = mss;
		if (room > burst)
			room = burst;
		if (ETA_UNLIKELY(ctx->flags & (TCP_CTX_URG_SENT | TCP_CTX_PLPMTUD) ||
				    ctx->flags2 & TCP_CTX2_CWR_OWED)) {
			uint32_t odd = odd_room(e, ctx, room);

			if (odd & ODD_WHOLE)
				return odd & ~ODD_WHOLE;
			room = odd;
		}
	}
	if (ETA_UNLIKELY(ctx->flags2 & (TCP_CTX2_PACED | TCP_CTX2_EOR))) {
		uint32_t record = first_record(e, ctx, avail);

		if (ctx->flags2 & TCP_CTX2_PACED)
			room = tcp_pace_room(e, ctx, room, record < mss ? record : mss);
		if (record < avail && record <= room)
			return record;
		avail = record;
	}
	if (avail <= room)
		return with_tail(ctx, avail);
	if (room >= mss)
		return room == mss ? mss : room - room % mss;
	/*
	 * Less than a segment, with more to come. Half of the largest window is worth sending; a
	 * cwnd remainder is not.
	 */
	if (room == wroom && room && room >= ctx->snd_wnd_max / 2)
		return room;
	return 0;
}

/* New bytes that may leave in one piece now. */
static inline uint32_t sendable(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t pipe)
{
	uint32_t avail = ctx->snd_tail - ctx->snd_nxt;

	/* In a dialogue: is all of it one segment, and hardly any of cwnd in use? */
	if (ETA_LIKELY(avail <= ctx->mss && 2 * (pipe + avail) <= ctx->cwnd &&
			    avail <= tcp_wnd_room(ctx) &&
			    !(ctx->flags2 & (TCP_CTX2_PACED | TCP_CTX2_EOR))))
		return with_tail(ctx, avail);
	return sendable_part(e, ctx, pipe, avail);
}

/* [snd_nxt, snd_nxt + n) was handed over. */
static inline void new_sent(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t n)
{
	ctx->snd_nxt += n;
	ctx->tx_last_ms = e->now_ms;
	tcp_sent_add(e, ctx, ctx->snd_nxt - n, ctx->snd_nxt);
	if (ETA_UNLIKELY(ctx->flags2 & TCP_CTX2_PACED))
		tcp_rate_sent(e, ctx);
	/* An answer makes it a dialogue; what is said before the peer has said anything does not. */
	if (e->now_ms - ctx->rx_last_ms < e->stack->conf.delack_ms && ctx->rcv_nxt != ctx->irs + 1)
		ctx->flags |= TCP_CTX_PINGPONG;
	if (ETA_UNLIKELY(ctx->loss_state == TCP_LOSS_CWR || ctx->loss_state == TCP_LOSS_RECOVERY))
		ctx->prr_out += n;
	/* A probe waits for silence after the last byte (RFC 8985 7.2). */
	if (ctx->rtx_at_ms == 0 || ctx->flags & TCP_CTX_PERSIST ||
			ctx->flags2 & TCP_CTX2_TIMER_TLP) {
		if (ctx->flags & TCP_CTX_PERSIST) {
			ctx->flags &= ~TCP_CTX_PERSIST;
			ctx->backoff_n = 0;
			ctx->rtx_first_ms = 0;
		}
		tcp_timer_arm_rtx(e, ctx);
	}
}

static void port_full(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	TCP_COUNT(e, send_short);
	tcp_timer_arm(e, ctx, &ctx->xmit_at_ms, TCP_RETRY_MS);
}

/* Bytes or a FIN wait with nothing in flight: some timer must bring us back. */
static void wait_for_room(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	uint32_t avail = ctx->snd_tail - ctx->snd_nxt;
	uint32_t wroom = tcp_wnd_room(ctx);

	if (ctx->rtx_at_ms || ctx->xmit_at_ms)
		return;
	if (wroom < avail && wroom < ctx->mss) {
		ctx->flags |= TCP_CTX_PERSIST;
		ctx->probes_n = 0;
		tcp_timer_arm_rtx(e, ctx);
	} else {
		tcp_timer_arm(e, ctx, &ctx->xmit_at_ms, TCP_CORK_MS);
	}
}

/* Return: true if the turn's bound was met. */
static bool send_new(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t pipe)
{
	if (ctx->snd_una == ctx->snd_nxt)
		tcp_cc_idle(e, ctx);
	for (uint32_t i = 0; i < TCP_OUTPUT_SENDS; i++) {
		uint32_t len = sendable(e, ctx, pipe);
		bool fin = len == ctx->snd_tail - ctx->snd_nxt && ctx->flags & TCP_CTX_FIN_QUEUED;
		uint32_t n;

		if (len + fin == 0)
			break;
		n = tcp_tx_range(e, ctx, ctx->snd_nxt, ctx->snd_nxt + len + fin, false);
		if (n)
			new_sent(e, ctx, n);
		if (n < len + fin) {
			port_full(e, ctx);
			return false;
		}
		if (!(ctx->flags & TCP_CTX_NODELAY) && (len < ctx->mss || len % ctx->mss))
			ctx->snd_sml = ctx->snd_nxt;
		pipe += n;
		if (fin) {
			ctx->flags |= TCP_CTX_FIN_SENT;
			return false;
		}
		if (ctx->snd_nxt == ctx->snd_tail)
			return false;
		if (i == TCP_OUTPUT_SENDS - 1)
			return true;
	}
	if (ctx->snd_una == ctx->snd_nxt)
		wait_for_room(e, ctx);
	if (tcp_wnd_room(ctx) < ctx->mss || ctx->limit)
		tcp_limit_look(e, ctx);
	return false;
}

/* What is lost, then what is new. Return: false if the port is full. */
static bool output_data(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	uint32_t pipe = tcp_loss_pipe(ctx);
	bool prefers_new = false;

	if (ETA_UNLIKELY(ctx->flags2 & TCP_CTX2_FRTO_NEW)) {
		/* RFC 5682 2.1 step 2b: does the network still deliver what was sent once? */
		ctx->flags2 &= ~TCP_CTX2_FRTO_NEW;
		prefers_new = true;
	}
	if (ETA_UNLIKELY(ctx->lost_bytes) && !prefers_new && !tcp_loss_output(e, ctx, &pipe))
		return false;
	if (tcp_tx_pending(ctx) && !(ctx->flags & TCP_CTX_PROBED) && send_new(e, ctx, pipe))
		tcp_owe(e, ctx, TCP_CTX_OUTPUT);
	if (ETA_UNLIKELY(prefers_new) && seq_le(ctx->snd_nxt, ctx->recover)) {
		/* Nothing new could go. */
		ctx->flags2 &= ~TCP_CTX2_FRTO;
		pipe = tcp_loss_pipe(ctx);
		return tcp_loss_output(e, ctx, &pipe);
	}
	return true;
}

void tcp_output(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	ctx->flags &= ~TCP_CTX_OUTPUT;
	if (tcp_may_send(ctx) && !output_data(e, ctx))
		port_full(e, ctx);
	if (ctx->flags & TCP_CTX_ACK_NOW)
		tcp_tx_ack(e, ctx);
}

bool tcp_tx_probe_new(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	uint32_t avail = ctx->snd_tail - ctx->snd_nxt;
	uint32_t room = tcp_wnd_room(ctx);
	uint32_t len = avail < ctx->mss ? avail : ctx->mss;
	uint32_t n;

	len = first_record(e, ctx, len);
	if (!tcp_state_sends(ctx->state) || ctx->flags & TCP_CTX_FIN_SENT || len == 0 || room < len)
		return false;
	n = tcp_tx_range(e, ctx, ctx->snd_nxt, ctx->snd_nxt + len, false);
	if (n)
		new_sent(e, ctx, n);
	return n != 0;
}

void tcp_tx_window_probe(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	uint32_t wroom = tcp_wnd_room(ctx);
	uint32_t avail = ctx->snd_tail - ctx->snd_nxt;

	TCP_COUNT(e, win_probe);
	if (ctx->flags & TCP_CTX_PROBED) {
		tcp_tx_range(e, ctx, ctx->snd_una, ctx->snd_nxt, true);
		ctx->tx_last_ms = e->now_ms;
	} else if (wroom) {
		/*
		 * Not shut, just silly: enough of waiting for more (the override timeout of sender
		 * SWS).
		 */
		uint32_t len = avail < wroom ? avail : wroom;
		uint32_t n;

		len = first_record(e, ctx, len);
		n = tcp_tx_range(e, ctx, ctx->snd_nxt, ctx->snd_nxt + len, false);
		if (n) {
			new_sent(e, ctx, n);
			return;
		}
	} else if (tcp_tx_range(e, ctx, ctx->snd_nxt, ctx->snd_nxt + 1, false)) {
		ctx->snd_nxt++;
		ctx->flags |= TCP_CTX_PROBED;
		ctx->flags &= ~TCP_CTX_RTT_TIMING; /* sent_us32 is the last flight's */
		ctx->tx_last_ms = e->now_ms;
	}
	if (ctx->backoff_n < UINT8_MAX)
		ctx->backoff_n++;
	tcp_timer_arm_rtx(e, ctx);
}
