/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One direction of an imperfect link, in virtual time.
 *
 * Frames are opaque bytes. Each gets its fate when it is sent: lost, duplicated, one bit turned, held back so that
 * others overtake it, delayed with jitter (order kept), queued behind a rate with a bounded queue (drop-tail) that may mark instead of
 * drop. All of it from one seeded stream of numbers: equal calls give equal fates. A test that wants one certain fate for one certain frame
 * has a judge, who is asked first.
 */
#ifndef TEST_SIM_WIRE_H
#define TEST_SIM_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "test/sim/rnd.h"

struct wire_conf {
	uint32_t loss_ppm;
	uint32_t dup_ppm;
	uint32_t corrupt_ppm;
	uint32_t reorder_ppm;
	uint32_t delay_us;        /* one way */
	uint32_t jitter_us;       /* 0 .. this is added, order kept */
	uint32_t reorder_us;      /* how long an overtaken frame is held back at most */
	uint32_t rate_bytes_ms;   /* bytes per millisecond, 0 = no bottleneck */
	uint32_t queue_bytes_max; /* in front of the bottleneck; more is lost */
	uint32_t mark_bytes; /* ECN-capable frames behind so many queued bytes get CE, 0 = never */
	uint32_t mark_ppm;   /* and so many at random */
};

struct wire_stats {
	uint64_t sent, lost, duplicated, corrupted, reordered, overflowed, marked;
	uint64_t queue_bytes_peak;
};

/* A frame on its way in. */
struct wire_tx {
	const void *head;
	uint32_t head_len;
	const void *tail; /* follows head; may be empty */
	uint32_t tail_len;
	uint32_t safe;       /* corruption spares the first bytes */
	uint32_t line_bytes; /* what it occupies of the line; 0 = its own length */
	uint32_t ecn_off; /* where in head the ECN field is (one byte, RFC 3168 5), 0 = it has none */
};

/* What a judge decides, on top of chance. */
struct wire_fate {
	bool drop;
	bool mark;         /* CE, if the frame is ECN-capable */
	uint32_t delay_us; /* held back: later frames overtake it */
	uint32_t copies;   /* sent so many times more */
};

struct wire_frame;

struct wire {
	struct wire_conf conf;
	struct wire_stats stats;
	struct rnd rnd;
	struct wire_frame **heap; /* by due_us, then order of sending */
	uint32_t n, cap;
	uint64_t order;
	uint64_t last_us; /* latest delivery of an orderly frame */
	uint64_t free_ns; /* the bottleneck is busy until then */
	/* @n: number of the frame on this wire, from 0. NULL = chance alone. */
	void (*judge)(void *arg, uint64_t n, const struct wire_tx *tx, struct wire_fate *fate);
	void *judge_arg;
};

void wire_init(struct wire *wire, const struct wire_conf *conf, uint64_t seed);
void wire_fini(struct wire *wire);
void wire_send(struct wire *wire, uint64_t now_us, const struct wire_tx *tx);
/* The next frame that is due: its bytes, to be given back by wire_free(). NULL = none. */
uint8_t *wire_recv(struct wire *wire, uint64_t now_us, uint32_t *len);
void wire_free(uint8_t *data);
/* Bytes that wait in front of the bottleneck. */
uint32_t wire_queue_bytes(const struct wire *wire, uint64_t now_us);
/* UINT64_MAX = nothing on the way */
uint64_t wire_next_us(const struct wire *wire);

#endif
