/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One direction of an imperfect link, in virtual time.
 *
 * Frames are opaque bytes. Each gets its fate when it is sent: lost, duplicated, one bit turned, held back so that
 * others overtake it, delayed with jitter (order kept), queued behind a rate with a bounded queue. All of it from one seeded stream of numbers:
 * equal calls give equal fates.
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
};

struct wire_stats {
	uint64_t sent, lost, duplicated, corrupted, reordered, overflowed;
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
	uint64_t free_us; /* the bottleneck is busy until then */
};

void wire_init(struct wire *wire, const struct wire_conf *conf, uint64_t seed);
void wire_fini(struct wire *wire);
/* Frame of @len bytes at @head, then @tail_len at @tail (may be 0). Corruption spares the first @safe bytes. */
void wire_send(struct wire *wire, uint64_t now_us, const void *head, uint32_t len, const void *tail,
		uint32_t tail_len, uint32_t safe);
/* The next frame that is due: its bytes, malloc'ed, the caller's to free. NULL = none. */
uint8_t *wire_recv(struct wire *wire, uint64_t now_us, uint32_t *len);
/* UINT64_MAX = nothing on the way */
uint64_t wire_next_us(const struct wire *wire);

#endif
