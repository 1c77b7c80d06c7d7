/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Small scenarios: one flow, and a certain fate for certain segments.
 *
 *     scenario_begin(s, &(struct scenario_conf){.sack = true});
 *     scenario_drop(s, 5, 0);             the first copy of segment 5
 *     scenario_send(s, 20);               20 segments; returns when all are acknowledged
 *     SCENARIO_EXPECT(s, STATS(s).fast_retrans == 1);
 *     scenario_end(s);                    FINs; the world checks what it always checks
 *
 * Segments are named by what they carry: segment n holds bytes [n, n + 1) * SCENARIO_MSS of the stream, copy 0 is its first transmission. So
 * a scenario says what happens to data, whatever else is sent in between. Nothing is left to chance. To be told apart from everything
 * else, the fact must come from counters (tcp_stats, tcp_ctx_info) or from times, not from an exact sequence of frames.
 */
#ifndef TEST_SIM_SCENARIO_H
#define TEST_SIM_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

#include "test/sim/flow.h"

#define SCENARIO_MSS 1000u
#define SCENARIO_SEGS_MAX 4096u
#define SCENARIO_RULES_MAX 16u

struct scenario_conf {
	uint32_t rtt_us;        /* 0 = 40 ms */
	uint32_t rate_bytes_ms; /* 0 = 10000, which puts 0.1 ms between two segments */
	uint32_t queue_bytes;   /* 0 = all that may come */
	uint32_t mark_bytes;    /* ECN threshold, 0 = never */
	uint8_t cc;             /* 0 = CUBIC */
	uint8_t initial_window_segs;
	bool no_sack, no_timestamps;
	bool nagle;
};

enum scenario_act {
	SCENARIO_DROP,
	SCENARIO_DELAY,
	SCENARIO_MARK,
	SCENARIO_COPY,
};

struct scenario_rule {
	enum scenario_act act;
	bool is_ack;  /* of the other direction: seg counts its frames from now on */
	uint32_t seg; /* first */
	uint32_t n;   /* that many */
	uint32_t copy;
	uint32_t us;
};

struct scenario {
	struct flows f;
	struct flow *flow;
	struct scenario_rule rule[SCENARIO_RULES_MAX];
	uint32_t rules_n;
	uint8_t copies[SCENARIO_SEGS_MAX]; /* transmissions of each segment */
	uint64_t acks_n;                   /* frames of side 1 */
	uint32_t segs;                     /* written */
	const char *broken;                /* text of the first expectation that does not hold */
	int broken_line;
};

/* Established; nothing sent yet. */
void scenario_begin(struct scenario *s, const struct scenario_conf *conf, bool verbose);
void scenario_end(struct scenario *s);

void scenario_drop(struct scenario *s, uint32_t seg, uint32_t copy);
/* @n segments from @seg on, first copies. */
void scenario_drop_run(struct scenario *s, uint32_t seg, uint32_t n);
void scenario_delay(struct scenario *s, uint32_t seg, uint32_t copy, uint32_t us);
/* @k segments that were sent later overtake it. */
void scenario_reorder(struct scenario *s, uint32_t seg, uint32_t k);
/* CE, if it is ECN-capable */
void scenario_mark(struct scenario *s, uint32_t seg, uint32_t copy);
/* Arrives twice. */
void scenario_duplicate(struct scenario *s, uint32_t seg);
/* The next @n frames of side 1 but @skip. */
void scenario_drop_acks(struct scenario *s, uint32_t skip, uint32_t n);

/* Write @segs segments. */
void scenario_write(struct scenario *s, uint32_t segs);
void scenario_run_us(struct scenario *s, uint64_t us);
/* Write and wait until all is acknowledged. Return: microseconds that took. */
uint64_t scenario_send(struct scenario *s, uint32_t segs);
/* Until everything written is acknowledged, at most 100 s. Return: microseconds that took. */
uint64_t scenario_drain(struct scenario *s);

struct tcp_ctx *scenario_ctx(struct scenario *s);
struct tcp_ctx_info scenario_info(struct scenario *s);
/* Transmissions of segment @seg. */
uint32_t scenario_copies(const struct scenario *s, uint32_t seg);

/* Counters of the sender, of the receiver. */
#define STATS(s) ((s)->f.w.host[0].st.stats)
#define STATS_RCV(s) ((s)->f.w.host[1].st.stats)

#define SCENARIO_EXPECT(s, cond) scenario_expect((s), (cond), #cond, __LINE__)
void scenario_expect(struct scenario *s, bool holds, const char *text, int line);

#endif
