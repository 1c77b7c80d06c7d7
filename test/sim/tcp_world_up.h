/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the two halves of the TCP world: contexts by tuple, and the form of a segment on the simulated wire.
 */
#ifndef TEST_SIM_TCP_WORLD_UP_H
#define TEST_SIM_TCP_WORLD_UP_H

#include <stdint.h>

#include "test/sim/tcp_world.h"

#define WORLD_PAYLOAD_BYTES_MAX 65536u

/* Where phantom payload pretends to be; never read. */
extern const uint8_t world_phantom[WORLD_PAYLOAD_BYTES_MAX];

struct world_frame {
	struct ip_tuple tuple; /* as the sender sees it */
	uint32_t seq, ack;
	uint16_t wnd, urg, segs;
	uint8_t flags, opt_len;
	uint8_t opt[TCP_OPT_BYTES_MAX];
	uint8_t ecn;
	uint16_t icmp_mss; /* not a segment but a router's "too big" that quotes seq; 0 = a segment */
	uint32_t phantom_len; /* payload that is not there */
	uint64_t phantom_off; /* and its stream offset */
};

struct tcp_ctx *world_ctx_take(struct core *host, struct conn *conn);
struct tcp_ctx *world_ctx_find(struct core *host, const struct ip_tuple *tuple);
/* A router says "too big" and quotes @seq: believed as the core does it. */
void world_too_big(struct core *host, struct tcp_ctx *ctx, uint32_t seq, uint16_t mss);
void world_tuple(const struct world *w, const struct conn *conn, int side, struct ip_tuple *tuple);
void world_placed_set(struct user *u, uint32_t off, uint32_t len, uint8_t to);
struct user *world_ctx_user(struct core *host, const struct tcp_ctx *ctx);
/* Does TCP keep to the user's bytes, the peer's window, its own congestion window and the retransmission timeout's bounds? */
void world_send_check(struct core *host, const struct tcp_ctx *ctx, struct user *u,
		const struct tcp_txseg *seg);
/* ... and has left, the first @done bytes of it. */
void world_sent_note(struct core *host, struct user *u, const struct tcp_txseg *seg, uint32_t done);
/* The right edge of the window we offer never moves left (but for what scaling rounds off). */
void world_advert_check(struct core *host, const struct tcp_ctx *ctx, struct user *u,
		const struct tcp_txseg *seg);
/* Between turns: does the window grow by what was acknowledged, and is the timer within bounds? */
void world_ctx_check(struct core *host, const struct tcp_ctx *ctx, struct user *u);
/* A segment has been received: how far may the peer's window let us send? */
void world_edge_learn(struct core *host, const struct tcp_ctx *ctx);
void world_trace_segment(const struct world *w, int side, const char *dir,
		const struct world_frame *f, uint32_t len);

#endif
