/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BBR: send at the rate that the path delivers, and keep no more in flight than that rate needs.
 *
 * Two measurements make the model of the path: the largest delivery rate of the last rounds, and the smallest RTT of the
 * last ten seconds. Their product is the BDP. Neither can be seen while the other is probed for, hence phases:
 *
 *   STARTUP    doubles the rate each round, until three rounds bring less than a quarter more
 *   DRAIN      takes the queue away that this has made
 *   PROBE_BW   a cycle of eight phases of an RTT: a quarter more, a quarter less, six times the same
 *   PROBE_RTT  four segments in flight for 200 ms, if no RTT as small as the minimum was seen for ten seconds
 *
 * pacing_rate is the estimated rate times a gain; cwnd bounds what is in flight to a gain times BDP, plus what ACKs that
 * come in lumps withhold (extra_acked). Loss changes the model not at all; in the first round of a recovery as much is
 * sent as is delivered. ECN marks are not heeded (version 1).
 *
 * Rates are kept in units of 16 bytes/s: 32 bits of them reach 68 GB/s. Gains are of 256.
 *
 * draft-cardwell-iccrg-bbr-congestion-control-00, draft-cheng-iccrg-delivery-rate-estimation-00; aggregation as Linux.
 * Limits: no detection of policers (lt_bw).
 */
#include "engine/tcp/tcp_int.h"

#define GAIN_ONE 256u
#define GAIN_HIGH 739u   /* 2 / ln 2: doubles each round */
#define GAIN_DRAIN 88u   /* its inverse */
#define GAIN_CWND 512u   /* PROBE_BW: room for delayed and merged ACKs */
#define GAIN_UP 320u     /* 1.25 */
#define GAIN_DOWN 192u   /* 0.75 */
#define GAIN_MARGIN 253u /* one percent below the estimate, so that no queue remains */
#define CYCLE_PHASES 8u
#define BW_UNIT 16u
#define BW_SLOTS 6u
#define BW_SLOT_ROUNDS 2u /* the filter spans 11 to 12 rounds */
#define FULL_BW_ROUNDS 3u
#define CWND_SEGS_MIN 4u
#define RTT_WINDOW_MS 10000u
#define PROBE_RTT_MS 200u
#define EXTRA_ROUNDS 5u      /* per slot of extra_acked */
#define EXTRA_US_MAX 100000u /* largest extra_acked, as time at the estimated rate */
#define EXTRA_EPOCH_BYTES (1u << 30)
#define RTT_US_FIRST 1000u /* before the first sample */

enum bbr_mode {
	BBR_STARTUP = 0,
	BBR_DRAIN = 1,
	BBR_PROBE_BW = 2,
	BBR_PROBE_RTT = 3,
};

#define BBR_FULL_BW 0x01u      /* the pipe was filled once */
#define BBR_ROUND_START 0x02u  /* this ACK begins a round */
#define BBR_CONSERVE 0x04u     /* packet conservation: the first round of a recovery */
#define BBR_IDLE_RESTART 0x08u /* the first bytes after a pause */
#define BBR_ROUND_DONE 0x10u   /* PROBE_RTT: a round with little in flight has passed */
#define BBR_HAS_RTT 0x20u      /* pacing_rate stands on a measured RTT */
#define BBR_PROBE_DONE 0x40u   /* PROBE_RTT: probe_done_ms is valid */

/* In ctx->cc_state. All zero: STARTUP. */
struct bbr {
	uint32_t bw[BW_SLOTS]; /* largest rate of BW_SLOT_ROUNDS rounds each */
	uint32_t bw_slot_n;    /* round_n / BW_SLOT_ROUNDS of the newest of them */
	uint32_t round_n;
	uint32_t round_end; /* the round ends when what was sent at this tcp_delivered() arrives */
	uint32_t rtt_us;    /* RTprop, 0 = none */
	uint32_t rtt_ms;    /* when it was seen */
	uint32_t probe_done_ms;  /* PROBE_RTT */
	uint32_t cycle_us32;     /* this phase of PROBE_BW began */
	uint32_t full_bw;        /* at the last round that brought more */
	uint32_t prior_cwnd;     /* before recovery or PROBE_RTT */
	uint32_t extra_acked[2]; /* bytes */
	uint32_t epoch_us32;     /* aggregation is measured from here, */
	uint32_t epoch_acked;    /* these bytes since */
	uint16_t pacing_gain;
	uint16_t cwnd_gain;
	uint8_t flags; /* BBR_* */
	uint8_t mode;  /* enum bbr_mode */
	uint8_t full_bw_n;
	uint8_t cycle_idx;
	uint8_t loss_prev; /* ctx->loss_state at the last ACK */
	uint8_t extra_rounds_n;
	uint8_t extra_idx;
};
ETA_STATIC_ASSERT(sizeof(struct bbr) <= TCP_CTX_CC_WORDS * sizeof(uint64_t), "cc_state too small");

static struct bbr *state_of(struct tcp_ctx *ctx)
{
	return (struct bbr *)ctx->cc_state;
}

static uint32_t cwnd_min(const struct tcp_ctx *ctx)
{
	return CWND_SEGS_MIN * ctx->mss;
}

/* BtlBw. */
static uint32_t bw_max(const struct bbr *s)
{
	uint32_t best = s->bw[0];

	for (uint32_t i = 1; i < BW_SLOTS; i++) {
		if (s->bw[i] > best)
			best = s->bw[i];
	}
	return best;
}

static uint64_t bytes_per_s(const struct bbr *s)
{
	return (uint64_t)bw_max(s) * BW_UNIT;
}

/* @gain times BDP, bytes; the initial window before there is a model. */
static uint32_t bdp(const struct bbr *s, const struct tcp_ctx *ctx, uint32_t gain)
{
	uint64_t bytes;

	if (s->rtt_us == 0)
		return 10u * ctx->mss;
	bytes = (bytes_per_s(s) * s->rtt_us / 1000000) * gain / GAIN_ONE;
	return bytes < TCP_CWND_BYTES_MAX ? (uint32_t)bytes : TCP_CWND_BYTES_MAX;
}

/* What bursts add to the BDP: three of them are under way at any time (sender, path, receiver). */
static uint32_t with_quanta(const struct bbr *s, const struct tcp_ctx *ctx, uint32_t bytes)
{
	uint64_t quantum = ctx->pacing_rate / 1000; /* a millisecond's worth */

	if (quantum > 65536)
		quantum = 65536;
	if (quantum < 2u * ctx->mss)
		quantum = 2u * ctx->mss;
	bytes += 3 * (uint32_t)quantum;
	if (s->mode == BBR_PROBE_BW && s->cycle_idx == 0)
		bytes += 2u * ctx->mss;
	return bytes;
}

static void set_pacing(struct tcp_ctx *ctx, const struct bbr *s, uint32_t gain)
{
	uint64_t rate = bytes_per_s(s) * gain / GAIN_ONE * GAIN_MARGIN / 256;

	if (s->flags & BBR_FULL_BW || rate > ctx->pacing_rate)
		tcp_pace_set(ctx, rate);
}

/* Before there is a rate: the window in one RTT, times the gain. */
static void set_pacing_first(struct tcp_ctx *ctx)
{
	uint32_t rtt_us = ctx->srtt_us ? ctx->srtt_us : RTT_US_FIRST;

	if (ctx->srtt_us)
		state_of(ctx)->flags |= BBR_HAS_RTT;
	tcp_pace_set(ctx, (uint64_t)ctx->cwnd * 1000000 / rtt_us * GAIN_HIGH / GAIN_ONE);
}

static void set_gains(struct bbr *s)
{
	static const uint16_t cycle[CYCLE_PHASES] = {GAIN_UP, GAIN_DOWN, GAIN_ONE, GAIN_ONE,
			GAIN_ONE, GAIN_ONE, GAIN_ONE, GAIN_ONE};

	switch ((enum bbr_mode)s->mode) {
	case BBR_STARTUP:
		s->pacing_gain = GAIN_HIGH;
		s->cwnd_gain = GAIN_HIGH;
		break;
	case BBR_DRAIN:
		s->pacing_gain = GAIN_DRAIN;
		s->cwnd_gain = GAIN_HIGH;
		break;
	case BBR_PROBE_BW:
		s->pacing_gain = cycle[s->cycle_idx];
		s->cwnd_gain = GAIN_CWND;
		break;
	case BBR_PROBE_RTT:
		s->pacing_gain = GAIN_ONE;
		s->cwnd_gain = GAIN_ONE;
		break;
	}
}

static void bbr_init(struct tcp_ctx *ctx)
{
	struct bbr *s = state_of(ctx);

	s->loss_prev = ctx->loss_state;
	s->round_end = tcp_delivered(ctx);
	s->prior_cwnd = ctx->cwnd;
	ctx->ssthresh = TCP_CWND_BYTES_MAX;
	set_gains(s);
	set_pacing_first(ctx);
}

static void save_cwnd(struct tcp_ctx *ctx, struct bbr *s)
{
	if (s->loss_prev < TCP_LOSS_RECOVERY && s->mode != BBR_PROBE_RTT)
		s->prior_cwnd = ctx->cwnd;
	else if (s->prior_cwnd < ctx->cwnd)
		s->prior_cwnd = ctx->cwnd;
}

static uint32_t bbr_ssthresh(struct tcp_ctx *ctx, uint32_t flight)
{
	(void)flight;
	save_cwnd(ctx, state_of(ctx));
	return ctx->ssthresh;
}

/* control() owns cwnd: nobody asks. */
static void bbr_avoid(struct tcp_ctx *ctx, uint32_t acked, uint32_t now_ms)
{
	(void)ctx;
	(void)acked;
	(void)now_ms;
}

static void bbr_restart(struct tcp_ctx *ctx)
{
	struct bbr *s = state_of(ctx);

	/* Silence because the user had nothing to say: go on at the estimated rate, no probing. */
	if (ctx->snd_una != ctx->snd_nxt || !(ctx->flags2 & TCP_CTX2_APP_LIMITED))
		return;
	s->flags |= BBR_IDLE_RESTART;
	if (s->mode == BBR_PROBE_BW)
		set_pacing(ctx, s, GAIN_ONE);
}

static uint32_t bbr_undo_cwnd(struct tcp_ctx *ctx)
{
	struct bbr *s = state_of(ctx);

	/* Growth that seemed to end may only have been stopped by it. */
	s->full_bw = 0;
	s->full_bw_n = 0;
	return ctx->cwnd;
}

static void bbr_loss_state(const struct tcp_env *e, struct tcp_ctx *ctx, uint8_t next)
{
	struct bbr *s = state_of(ctx);

	(void)e;
	if (next != TCP_LOSS_RTO)
		return;
	s->loss_prev = TCP_LOSS_RTO;
	s->full_bw = 0;
	s->flags |= BBR_ROUND_START; /* a timeout ends the round */
}

/* ---- the model ---- */

static void update_round(struct tcp_ctx *ctx, struct bbr *s, const struct tcp_ack *a)
{
	if (a->rate_us == 0)
		return;
	s->flags &= (uint8_t)~BBR_ROUND_START;
	if (seq_lt(a->rate_prior, s->round_end))
		return;
	s->round_end = tcp_delivered(ctx);
	s->round_n++;
	s->flags |= BBR_ROUND_START;
	s->flags &= (uint8_t)~BBR_CONSERVE;
}

static void update_bw(struct bbr *s, const struct tcp_ack *a)
{
	uint32_t slot_n = s->round_n / BW_SLOT_ROUNDS;
	uint64_t bw;

	if (a->rate_us == 0)
		return;
	bw = (uint64_t)a->rate_bytes * (1000000 / BW_UNIT) / a->rate_us;
	if (bw > UINT32_MAX)
		bw = UINT32_MAX;
	/* The application's pace is no news of the path, unless it is faster than we believed. */
	if (a->rate_app_limited && bw < bw_max(s))
		return;
	/* Only news lets the old expire. */
	if (slot_n - s->bw_slot_n > BW_SLOTS)
		s->bw_slot_n = slot_n - BW_SLOTS;
	while (s->bw_slot_n != slot_n)
		s->bw[++s->bw_slot_n % BW_SLOTS] = 0;
	if (bw > s->bw[slot_n % BW_SLOTS])
		s->bw[slot_n % BW_SLOTS] = (uint32_t)bw;
}

/* How much more than the rate explains is acknowledged at once? */
static void update_extra(const struct tcp_env *e, struct tcp_ctx *ctx, struct bbr *s,
		const struct tcp_ack *a)
{
	uint32_t now_us32 = (uint32_t)e->now_us;
	uint64_t expected, extra;

	if (a->rate_us == 0 || a->delivered == 0)
		return;
	if (s->flags & BBR_ROUND_START &&
			++s->extra_rounds_n >= (s->flags & BBR_FULL_BW ? EXTRA_ROUNDS : 1)) {
		s->extra_rounds_n = 0;
		s->extra_idx ^= 1;
		s->extra_acked[s->extra_idx] = 0;
	}
	expected = bytes_per_s(s) * (now_us32 - s->epoch_us32) / 1000000;
	if (s->epoch_acked <= expected || s->epoch_acked > EXTRA_EPOCH_BYTES ||
			s->flags & BBR_IDLE_RESTART) {
		s->epoch_acked = 0;
		s->epoch_us32 = now_us32;
		expected = 0;
	}
	s->epoch_acked += a->delivered;
	extra = s->epoch_acked - expected;
	if (s->epoch_acked < expected)
		extra = 0;
	if (extra > ctx->cwnd)
		extra = ctx->cwnd;
	if (extra > s->extra_acked[s->extra_idx])
		s->extra_acked[s->extra_idx] = (uint32_t)extra;
}

static uint32_t extra_cwnd(const struct bbr *s)
{
	uint32_t extra = s->extra_acked[0] > s->extra_acked[1] ? s->extra_acked[0]
							       : s->extra_acked[1];
	uint64_t limit = bytes_per_s(s) * EXTRA_US_MAX / 1000000;

	if (!(s->flags & BBR_FULL_BW))
		return 0;
	return extra < limit ? extra : (uint32_t)limit;
}

static void enter_probe_bw(const struct tcp_env *e, struct bbr *s, const struct tcp_ctx *ctx)
{
	/* Anywhere but at the "less": flows that began together shall not probe together. */
	uint32_t r = (uint32_t)(e->now_us * 2654435761u >> 16 ^ ctx->iss) % (CYCLE_PHASES - 1);

	s->mode = BBR_PROBE_BW;
	s->cycle_idx = (uint8_t)(r ? r + 1 : 0);
	s->cycle_us32 = (uint32_t)e->now_us;
}

static void update_cycle(const struct tcp_env *e, struct tcp_ctx *ctx, struct bbr *s,
		const struct tcp_ack *a)
{
	bool is_over = (uint32_t)e->now_us - s->cycle_us32 > s->rtt_us;

	if (s->mode != BBR_PROBE_BW)
		return;
	if (s->pacing_gain > GAIN_ONE) /* until the extra is really in flight, or lost */
		is_over = is_over && (a->lost || a->prior_pipe >= bdp(s, ctx, s->pacing_gain));
	else if (s->pacing_gain < GAIN_ONE) /* until the queue is gone */
		is_over = is_over || a->prior_pipe <= bdp(s, ctx, GAIN_ONE);
	if (!is_over)
		return;
	s->cycle_idx = (uint8_t)((s->cycle_idx + 1) % CYCLE_PHASES);
	s->cycle_us32 = (uint32_t)e->now_us;
}

static void check_full_pipe(struct bbr *s, const struct tcp_ack *a)
{
	uint32_t bw = bw_max(s);

	if (s->flags & BBR_FULL_BW || !(s->flags & BBR_ROUND_START) || a->rate_app_limited)
		return;
	if (bw >= s->full_bw + s->full_bw / 4) {
		s->full_bw = bw;
		s->full_bw_n = 0;
		return;
	}
	if (++s->full_bw_n >= FULL_BW_ROUNDS)
		s->flags |= BBR_FULL_BW;
}

static void check_drain(const struct tcp_env *e, struct tcp_ctx *ctx, struct bbr *s)
{
	if (s->mode == BBR_STARTUP && s->flags & BBR_FULL_BW)
		s->mode = BBR_DRAIN;
	if (s->mode == BBR_DRAIN && tcp_loss_pipe(ctx) <= bdp(s, ctx, GAIN_ONE))
		enter_probe_bw(e, s, ctx);
}

static void probe_rtt(const struct tcp_env *e, struct tcp_ctx *ctx, struct bbr *s)
{
	/* Whatever the rate is now, it is our doing. */
	tcp_rate_limit(ctx);
	if (!(s->flags & BBR_PROBE_DONE)) {
		if (tcp_loss_pipe(ctx) > cwnd_min(ctx))
			return;
		s->probe_done_ms = e->now_ms + PROBE_RTT_MS;
		s->flags |= BBR_PROBE_DONE;
		s->flags &= (uint8_t)~BBR_ROUND_DONE;
		s->round_end = tcp_delivered(ctx);
		return;
	}
	if (s->flags & BBR_ROUND_START)
		s->flags |= BBR_ROUND_DONE;
	if (!(s->flags & BBR_ROUND_DONE) || seq_lt(e->now_ms, s->probe_done_ms))
		return;
	s->rtt_ms = e->now_ms;
	s->flags &= (uint8_t) ~(BBR_PROBE_DONE | BBR_ROUND_DONE);
	if (ctx->cwnd < s->prior_cwnd)
		ctx->cwnd = s->prior_cwnd;
	if (s->flags & BBR_FULL_BW)
		enter_probe_bw(e, s, ctx);
	else
		s->mode = BBR_STARTUP;
}

static void update_rtt(const struct tcp_env *e, struct tcp_ctx *ctx, struct bbr *s,
		const struct tcp_ack *a)
{
	bool is_expired = s->rtt_us && e->now_ms - s->rtt_ms > RTT_WINDOW_MS;

	if (a->rtt_us && (s->rtt_us == 0 || a->rtt_us <= s->rtt_us || is_expired)) {
		s->rtt_us = a->rtt_us;
		s->rtt_ms = e->now_ms;
	}
	if (is_expired && !(s->flags & BBR_IDLE_RESTART) && s->mode != BBR_PROBE_RTT) {
		save_cwnd(ctx, s);
		s->mode = BBR_PROBE_RTT;
		s->flags &= (uint8_t)~BBR_PROBE_DONE;
	}
	if (s->mode == BBR_PROBE_RTT)
		probe_rtt(e, ctx, s);
	if (a->delivered)
		s->flags &= (uint8_t)~BBR_IDLE_RESTART;
}

/* ---- what is made of it ---- */

/* Recovery begins, ends, or loses. Return: cwnd is decided. */
static bool recover_cwnd(struct tcp_ctx *ctx, struct bbr *s, const struct tcp_ack *a)
{
	uint8_t prev = s->loss_prev;

	s->loss_prev = ctx->loss_state;
	if (a->lost)
		ctx->cwnd = ctx->cwnd > a->lost + ctx->mss ? ctx->cwnd - a->lost : ctx->mss;
	if (ctx->loss_state == TCP_LOSS_RECOVERY && prev != TCP_LOSS_RECOVERY) {
		s->flags |= BBR_CONSERVE;
		s->round_end = tcp_delivered(ctx);
		ctx->cwnd = tcp_loss_pipe(ctx) + a->delivered;
	} else if (prev >= TCP_LOSS_RECOVERY && ctx->loss_state < TCP_LOSS_RECOVERY) {
		s->flags &= (uint8_t)~BBR_CONSERVE;
		if (ctx->cwnd < s->prior_cwnd)
			ctx->cwnd = s->prior_cwnd;
	}
	if (!(s->flags & BBR_CONSERVE))
		return false;
	if (ctx->cwnd < tcp_loss_pipe(ctx) + a->delivered)
		ctx->cwnd = tcp_loss_pipe(ctx) + a->delivered;
	return true;
}

static void set_cwnd(struct tcp_ctx *ctx, struct bbr *s, const struct tcp_ack *a)
{
	uint32_t target = with_quanta(s, ctx, bdp(s, ctx, s->cwnd_gain) + extra_cwnd(s));

	if (a->delivered && !recover_cwnd(ctx, s, a)) {
		if (s->flags & BBR_FULL_BW)
			ctx->cwnd = ctx->cwnd + a->delivered < target ? ctx->cwnd + a->delivered
								      : target;
		else if (ctx->cwnd < target)
			ctx->cwnd += a->delivered;
	}
	if (ctx->cwnd < cwnd_min(ctx))
		ctx->cwnd = cwnd_min(ctx);
	if (s->mode == BBR_PROBE_RTT && ctx->cwnd > cwnd_min(ctx))
		ctx->cwnd = cwnd_min(ctx);
}

static void bbr_control(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ack *a)
{
	struct bbr *s = state_of(ctx);

	update_round(ctx, s, a);
	update_bw(s, a);
	update_extra(e, ctx, s, a);
	update_cycle(e, ctx, s, a);
	check_full_pipe(s, a);
	check_drain(e, ctx, s);
	update_rtt(e, ctx, s, a);
	set_gains(s);
	if (!(s->flags & BBR_HAS_RTT) && ctx->srtt_us)
		set_pacing_first(ctx);
	set_pacing(ctx, s, s->pacing_gain);
	set_cwnd(ctx, s, a);
}

const struct tcp_cc_ops tcp_cc_bbr = {
		.name = "bbr",
		.flags = TCP_CC_PACED,
		.init = bbr_init,
		.ssthresh = bbr_ssthresh,
		.avoid = bbr_avoid,
		.restart = bbr_restart,
		.control = bbr_control,
		.undo_cwnd = bbr_undo_cwnd,
		.loss_state = bbr_loss_state,
};
