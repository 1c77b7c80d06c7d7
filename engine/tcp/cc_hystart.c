/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HyStart++.
 *
 * Slow start doubles cwnd until something is lost, by then twice too much. The queue that it builds can be seen before:
 * the smallest RTT of a round is larger than that of the round before. Then cwnd grows four times slower (CSS,
 * conservative slow start). If within five rounds the RTT proves to be no larger than when CSS began, it was jitter, and
 * slow start goes on; else congestion avoidance begins where we are.
 *
 * Only the first slow start is watched (ssthresh still unlimited); later ones have an ssthresh that says where to stop.
 * In any, one ACK enlarges cwnd by L = 8 segments at most, unless pacing keeps the burst away. Deviation: an ACK for a
 * superframe counts up to 64 KiB, because receivers that merge segments send few ACKs, and with 8 segments for each slow
 * start would be linear; what leaves at once is bounded by the same superframe.
 *
 * RFC 9406; L as RFC 3465.
 */
#include "engine/tcp/cc_hystart.h"

#include "engine/tcp/tcp_int.h"

#define HYSTART_RTT_US_MIN 4000u  /* MIN_RTT_THRESH */
#define HYSTART_RTT_US_MAX 16000u /* MAX_RTT_THRESH */
#define HYSTART_RTT_DIVISOR 8u    /* MIN_RTT_DIVISOR */
#define HYSTART_SAMPLES 8u        /* N_RTT_SAMPLE */
#define HYSTART_CSS_DIVISOR 4u    /* CSS_GROWTH_DIVISOR */
#define HYSTART_CSS_ROUNDS 5u     /* CSS_ROUNDS */
#define HYSTART_L_SEGS 8u         /* L */
#define HYSTART_L_BYTES 65536u

static uint32_t rtt_thresh_us(const struct hystart *h)
{
	uint32_t us = h->last_rtt_us / HYSTART_RTT_DIVISOR;

	if (us < HYSTART_RTT_US_MIN)
		return HYSTART_RTT_US_MIN;
	return us < HYSTART_RTT_US_MAX ? us : HYSTART_RTT_US_MAX;
}

/* The round is over at @ack. */
static void next_round(struct hystart *h, struct tcp_ctx *ctx)
{
	if (h->css_rtt_us && ++h->css_rounds_n >= HYSTART_CSS_ROUNDS) {
		ctx->ssthresh = ctx->cwnd;
		return;
	}
	h->last_rtt_us = h->rtt_us;
	h->rtt_us = 0;
	h->samples_n = 0;
	h->window_end = ctx->snd_nxt;
	h->has_round = true;
}

void hystart_acked(const struct tcp_env *e, struct hystart *h, struct tcp_ctx *ctx,
		const struct tcp_ack *a)
{
	if (ctx->ssthresh != TCP_CWND_BYTES_MAX)
		return;
	if (a->rtt_us) {
		if (h->rtt_us == 0 || a->rtt_us < h->rtt_us)
			h->rtt_us = a->rtt_us;
		if (h->samples_n < HYSTART_SAMPLES)
			h->samples_n++;
	}
	if (h->samples_n == HYSTART_SAMPLES && h->css_rtt_us && h->rtt_us < h->css_rtt_us) {
		h->css_rtt_us = 0; /* it was not the queue */
		h->css_rounds_n = 0;
	} else if (h->samples_n == HYSTART_SAMPLES && h->css_rtt_us == 0 && h->last_rtt_us &&
			h->rtt_us >= h->last_rtt_us + rtt_thresh_us(h)) {
		h->css_rtt_us = h->rtt_us;
		TCP_COUNT(e, hystart_delay);
	}
	if (!h->has_round || seq_ge(a->ack, h->window_end))
		next_round(h, ctx);
}

uint32_t hystart_growth(const struct hystart *h, const struct tcp_ctx *ctx, uint32_t acked)
{
	uint32_t limit = HYSTART_L_SEGS * ctx->mss;

	if (limit < HYSTART_L_BYTES)
		limit = HYSTART_L_BYTES;
	if (acked > limit && !(ctx->flags2 & TCP_CTX2_PACED))
		acked = limit;
	if (h->css_rtt_us && ctx->ssthresh == TCP_CWND_BYTES_MAX)
		acked /= HYSTART_CSS_DIVISOR;
	return acked;
}
