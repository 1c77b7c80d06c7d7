/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loss: what the network has lost, how we know, and in which order it is sent again.
 *
 * One model serves SACK, no SACK, and the retransmission timeout. Of [snd_una, snd_nxt) some bytes
 * are SACKed (ranges in an extension), those before lost_edge that are not are lost, and of these
 * the ones before high_rxt were sent again:
 *
 *     snd_una        high_rxt            lost_edge          snd_nxt
 *        |--- sent again --|--- to be sent again --|--- in flight ---|
 *
 *     pipe = unSACKed - lost + sent again
 *
 * With SACK, lost_edge is where RFC 6675's IsLost() ends. Without it, duplicate ACKs count as
 * anonymous SACKed bytes (they lower the pipe, as RFC 6582's window inflation does), and only the
 * segment at snd_una is ever known to be lost: RTX_ONE asks for it at the start of recovery and at
 * each partial ACK. At a timeout everything unSACKed is lost. A scoreboard that contradicts the
 * cumulative ACK (reneging), or survived a timeout in vain, is forgotten.
 *
 * In the OPEN state one or two duplicate ACKs lower the pipe, which is limited transmit.
 *
 * RFC 5681 3.2, RFC 6582, RFC 6675, RFC 3042, RFC 2018 8. Limits: a retransmission that is lost
 * again waits for the timeout.
 */
#include "engine/tcp/tcp_int.h"

static const struct tcp_ext *scoreboard(const struct tcp_stack *stack, const struct tcp_ctx *ctx)
{
	return ctx->sack_ext ? &stack->ext[ctx->sack_ext] : NULL;
}

/* UnSACKed bytes of [snd_una, @seq). */
static uint32_t unsacked_before(
		const struct tcp_stack *stack, const struct tcp_ctx *ctx, uint32_t seq)
{
	const struct tcp_ext *ext = scoreboard(stack, ctx);
	uint32_t bytes = seq - ctx->snd_una;

	return ext ? bytes - tcp_range_bytes(ext, seq) : bytes;
}

uint32_t tcp_loss_pipe(const struct tcp_stack *stack, const struct tcp_ctx *ctx)
{
	uint32_t flight = ctx->snd_nxt - ctx->snd_una;

	if (ETA_LIKELY(ctx->loss_state == TCP_LOSS_OPEN))
		return flight - ctx->sacked_bytes;
	return flight - ctx->sacked_bytes - unsacked_before(stack, ctx, ctx->lost_edge) +
	       unsacked_before(stack, ctx, ctx->high_rxt);
}

void tcp_loss_clear(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	tcp_ext_put(e->stack, &ctx->sack_ext);
	ctx->sacked_bytes = 0;
	ctx->dupacks = 0;
}

/*
 * IsLost(): more than two segments, or two ranges, SACKed above. Bytes below the returned edge are
 * lost if unSACKed.
 */
static uint32_t find_lost_edge(const struct tcp_ctx *ctx, const struct tcp_ext *ext)
{
	uint32_t limit = (TCP_DUP_THRESH - 1) * ctx->mss;
	uint32_t bytes = 0;

	for (uint32_t i = ext->n; i > 0; i--) {
		bytes += ext->r[i - 1].hi - ext->r[i - 1].lo;
		if (bytes > limit || ext->n - i + 1 >= TCP_DUP_THRESH)
			return ext->r[i - 1].lo;
	}
	return ctx->snd_una;
}

static void update_lost_edge(const struct tcp_stack *stack, struct tcp_ctx *ctx)
{
	const struct tcp_ext *ext = scoreboard(stack, ctx);

	/*
	 * After a timeout everything before recover is lost; what is beyond gets its own recovery.
	 */
	if (ext && ctx->loss_state != TCP_LOSS_RTO)
		ctx->lost_edge = seq_max(ctx->lost_edge, find_lost_edge(ctx, ext));
}

bool tcp_loss_sack(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_opts *opts,
		uint32_t ack)
{
	uint32_t before = ctx->sacked_bytes;
	struct tcp_ext *ext;

	for (uint32_t i = 0; i < opts->sack_n; i++) {
		uint32_t lo = opts->sack[i].lo;
		uint32_t hi = opts->sack[i].hi;

		if (i == 0 && seq_lt(lo, hi) && seq_le(hi, ack)) {
			TCP_COUNT(e, dsack_recv); /* RFC 2883: a duplicate arrived */
			continue;
		}
		lo = seq_max(lo, seq_max(ack, ctx->snd_una));
		if (!seq_lt(lo, hi) || seq_gt(hi, ctx->snd_nxt)) {
			TCP_COUNT(e, sack_discard);
			continue;
		}
		if (ctx->sack_ext == 0)
			ctx->sack_ext = tcp_ext_get(e->stack);
		if (ctx->sack_ext == 0)
			/* nowhere to note it; still it says that something left the network */
			return true;
		(void)tcp_range_add(&e->stack->ext[ctx->sack_ext], lo, hi); /* no room: forgotten */
	}
	if (ctx->sack_ext == 0)
		return false;
	ext = &e->stack->ext[ctx->sack_ext];
	ctx->sacked_bytes = tcp_range_bytes(ext, ctx->snd_nxt);
	return ctx->sacked_bytes > before;
}

static void enter_recovery(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	ctx->loss_state = TCP_LOSS_RECOVERY;
	ctx->recover = ctx->snd_nxt;
	ctx->high_rxt = ctx->snd_una;
	ctx->flags |= TCP_CTX_RTX_ONE;
	ctx->flags &= ~(TCP_CTX_RESCUED | TCP_CTX_RTT_TIMING);
	ctx->recoveries_n++;
	tcp_cc_loss(e, ctx);
	if (ctx->flags & TCP_CTX_SACK)
		TCP_COUNT(e, sack_recovery);
	else
		TCP_COUNT(e, reno_recovery);
}

void tcp_loss_dupack(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	uint32_t flight = ctx->snd_nxt - ctx->snd_una;

	if (ctx->dupacks < UINT8_MAX)
		ctx->dupacks++;
	if (ctx->loss_state == TCP_LOSS_RTO)
		return;
	if (ctx->loss_state == TCP_LOSS_OPEN) {
		/* In this state nothing keeps them up to date. */
		ctx->lost_edge = ctx->snd_una;
		ctx->high_rxt = ctx->snd_una;
	}
	if (ctx->flags & TCP_CTX_SACK) {
		update_lost_edge(e->stack, ctx);
	} else {
		ctx->sacked_bytes += ctx->mss;
		if (ctx->sacked_bytes + ctx->mss > flight)
			ctx->sacked_bytes = flight > ctx->mss ? flight - ctx->mss : 0;
		/*
		 * RFC 6582 3.2, step 2: these duplicates may be echoes of what we sent again
		 * before.
		 */
		if (ctx->recover - ctx->snd_una <= flight && ctx->loss_state == TCP_LOSS_OPEN)
			return;
	}
	if (ctx->loss_state == TCP_LOSS_OPEN &&
			(ctx->dupacks >= TCP_DUP_THRESH || seq_gt(ctx->lost_edge, ctx->snd_una)))
		enter_recovery(e, ctx);
}

static void leave(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	ctx->loss_state = TCP_LOSS_OPEN;
	ctx->flags &= ~TCP_CTX_RTX_ONE;
	ctx->high_rxt = ctx->snd_una;
	ctx->lost_edge = ctx->snd_una;
	tcp_cc_get(ctx->cc)->restart(ctx);
	if (!(ctx->flags & TCP_CTX_SACK))
		ctx->sacked_bytes = 0;
	(void)e;
}

bool tcp_loss_acked(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t acked)
{
	uint8_t was = ctx->loss_state;

	ctx->dupacks = 0;
	if (ctx->sack_ext) {
		struct tcp_ext *ext = &e->stack->ext[ctx->sack_ext];

		tcp_range_trim(ext, ctx->snd_una);
		ctx->sacked_bytes = tcp_range_bytes(ext, ctx->snd_nxt);
		if (ext->n == 0)
			tcp_ext_put(e->stack, &ctx->sack_ext);
	} else {
		/*
		 * The ACK fills one hole of a segment; the rest of it was counted by duplicate ACKs
		 * already.
		 */
		uint32_t known = acked > ctx->mss ? acked - ctx->mss : 0;
		uint32_t flight = ctx->snd_nxt - ctx->snd_una;

		ctx->sacked_bytes -= known < ctx->sacked_bytes ? known : ctx->sacked_bytes;
		if (ctx->loss_state == TCP_LOSS_OPEN || ctx->sacked_bytes > flight)
			ctx->sacked_bytes = 0;
	}
	ctx->high_rxt = seq_max(ctx->high_rxt, ctx->snd_una);
	ctx->lost_edge = seq_max(ctx->lost_edge, ctx->snd_una);
	if (was == TCP_LOSS_OPEN)
		return true;
	if (seq_ge(ctx->snd_una, ctx->recover)) {
		leave(e, ctx);
		return was == TCP_LOSS_RTO;
	}
	if (was == TCP_LOSS_RECOVERY && !(ctx->flags & TCP_CTX_SACK))
		ctx->flags |= TCP_CTX_RTX_ONE;
	update_lost_edge(e->stack, ctx);
	return was == TCP_LOSS_RTO;
}

void tcp_loss_rto(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	const struct tcp_ext *ext = scoreboard(e->stack, ctx);

	TCP_COUNT(e, timeouts);
	ctx->timeouts_n++;
	/*
	 * The byte at snd_una cannot be SACKed; and what did not help last time is not believed
	 * twice.
	 */
	if (!(ctx->flags & TCP_CTX_SACK) || ctx->backoff_n || (ext && ext->r[0].lo == ctx->snd_una))
		tcp_loss_clear(e, ctx);
	tcp_cc_rto(e, ctx, ctx->loss_state != TCP_LOSS_RTO);
	ctx->loss_state = TCP_LOSS_RTO;
	ctx->dupacks = 0;
	ctx->recover = ctx->snd_nxt;
	ctx->high_rxt = ctx->snd_una;
	ctx->lost_edge = ctx->snd_nxt;
	ctx->flags |= TCP_CTX_RTX_ONE;
	ctx->flags &= ~TCP_CTX_RTT_TIMING;
	if (ctx->backoff_n < UINT8_MAX)
		ctx->backoff_n++;
	tcp_timer_arm_rtx(e, ctx);
	tcp_output(e, ctx);
}

/* The first unSACKed bytes at or after @seq, before @edge. Return: false if there are none. */
static bool next_hole(
		const struct tcp_ext *ext, uint32_t seq, uint32_t edge, struct tcp_range *hole)
{
	hole->lo = seq;
	hole->hi = edge;
	for (uint32_t i = 0; ext && i < ext->n; i++) {
		if (seq_le(ext->r[i].hi, hole->lo))
			continue;
		if (seq_gt(ext->r[i].lo, hole->lo)) {
			hole->hi = seq_min(edge, ext->r[i].lo);
			break;
		}
		hole->lo = ext->r[i].hi;
	}
	return seq_lt(hole->lo, hole->hi);
}

/*
 * How much of @hole to send in one piece if @room bytes of cwnd are free: whole segments, or the
 * end of the hole.
 */
static uint32_t piece_of(const struct tcp_env *e, const struct tcp_ctx *ctx,
		const struct tcp_range *hole, uint32_t room)
{
	uint32_t len = hole->hi - hole->lo;
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

/* One segment at snd_una, whatever cwnd says. Return: false if the port is full. */
static bool output_first(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t *pipe)
{
	struct tcp_range hole;
	uint32_t n, len;

	if (!next_hole(scoreboard(e->stack, ctx), ctx->snd_una, ctx->snd_nxt, &hole) ||
			hole.lo != ctx->snd_una) {
		ctx->flags &= ~TCP_CTX_RTX_ONE;
		return true;
	}
	len = hole.hi - hole.lo;
	if (len > ctx->mss)
		len = ctx->mss;
	n = tcp_tx_range(e, ctx, hole.lo, hole.lo + len, true);
	if (n == 0)
		return false;
	ctx->flags &= ~TCP_CTX_RTX_ONE;
	if (ctx->loss_state == TCP_LOSS_RTO)
		TCP_COUNT(e, slow_start_retrans);
	else
		TCP_COUNT(e, fast_retrans);
	/* Without SACK this segment was never taken out of the pipe. */
	if (ctx->flags & TCP_CTX_SACK || ctx->loss_state == TCP_LOSS_RTO) {
		if (seq_gt(hole.lo + n, ctx->lost_edge))
			ctx->lost_edge = hole.lo + n;
		ctx->high_rxt = seq_max(ctx->high_rxt, hole.lo + n);
		*pipe = tcp_loss_pipe(e->stack, ctx);
	}
	return true;
}

bool tcp_loss_output(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t *pipe)
{
	if (ctx->flags & TCP_CTX_RTX_ONE && !output_first(e, ctx, pipe))
		return false;
	for (uint32_t i = 0; i < TCP_OUTPUT_SENDS; i++) {
		struct tcp_range hole;
		uint32_t len, n;

		if (!next_hole(scoreboard(e->stack, ctx), ctx->high_rxt, ctx->lost_edge, &hole))
			return true;
		len = piece_of(e, ctx, &hole, ctx->cwnd > *pipe ? ctx->cwnd - *pipe : 0);
		if (len == 0)
			return true;
		n = tcp_tx_range(e, ctx, hole.lo, hole.lo + len, true);
		ctx->high_rxt = hole.lo + n;
		*pipe += n;
		if (ctx->loss_state == TCP_LOSS_RTO)
			TCP_COUNT(e, slow_start_retrans);
		else
			TCP_COUNT(e, fast_retrans);
		if (n < len)
			return false;
	}
	tcp_owe(e, ctx, TCP_CTX_OUTPUT);
	return true;
}

void tcp_loss_output_idle(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	const struct tcp_ext *ext = scoreboard(e->stack, ctx);
	uint32_t pipe = tcp_loss_pipe(e->stack, ctx);
	struct tcp_range hole;
	uint32_t len, n;

	if (ext == NULL || ext->n == 0)
		return;
	/* Rule 3: holes below the highest SACK, although not yet deemed lost. */
	while (pipe + ctx->mss <= ctx->cwnd &&
			next_hole(ext, ctx->high_rxt, ext->r[ext->n - 1].lo, &hole)) {
		len = hole.hi - hole.lo < ctx->mss ? hole.hi - hole.lo : ctx->mss;
		n = tcp_tx_range(e, ctx, hole.lo, hole.lo + len, true);
		ctx->high_rxt = hole.lo + n;
		if (n < len)
			return;
		TCP_COUNT(e, fast_retrans);
		pipe += n;
	}
	/* Rule 4: once, the last segment, so that its SACK tells what became of the rest. */
	if (ctx->flags & TCP_CTX_RESCUED || pipe + ctx->mss > ctx->cwnd)
		return;
	if (!next_hole(ext, ext->r[ext->n - 1].hi, ctx->snd_nxt, &hole))
		return;
	ctx->flags |= TCP_CTX_RESCUED;
	len = hole.hi - hole.lo < ctx->mss ? hole.hi - hole.lo : ctx->mss;
	(void)tcp_tx_range(e, ctx, hole.hi - len, hole.hi, true);
	TCP_COUNT(e, fast_retrans);
}
