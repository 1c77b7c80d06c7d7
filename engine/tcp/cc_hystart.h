/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HyStart++: leave slow start when the delay grows, before the queue overflows. Part of the state of the algorithms
 * that use it.
 */
#ifndef ENGINE_TCP_CC_HYSTART_H
#define ENGINE_TCP_CC_HYSTART_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_ack;
struct tcp_ctx;
struct tcp_env;

/* All zero: before the first round. Times in microseconds, 0 = none yet. */
struct hystart {
	uint32_t window_end;  /* seq; the round ends when it is acknowledged */
	uint32_t last_rtt_us; /* lastRoundMinRTT */
	uint32_t rtt_us;      /* currentRoundMinRTT */
	uint32_t css_rtt_us;  /* cssBaselineMinRtt; 0 = standard slow start, else CSS */
	uint8_t samples_n;    /* rttSampleCount, ends at HYSTART_SAMPLES */
	uint8_t css_rounds_n; /* rounds in CSS, the first may be partial */
	bool has_round;
};

/* An ACK in slow start: follow the rounds; set ssthresh where slow start is over. */
void hystart_acked(const struct tcp_env *e, struct hystart *h, struct tcp_ctx *ctx,
		const struct tcp_ack *a);
/* Return: by how much @acked bytes may enlarge cwnd. */
uint32_t hystart_growth(const struct hystart *h, const struct tcp_ctx *ctx, uint32_t acked);

#endif
