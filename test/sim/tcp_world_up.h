/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the two halves of the TCP world: contexts by tuple, and the form of a segment on the simulated wire.
 */
#ifndef TEST_SIM_TCP_WORLD_UP_H
#define TEST_SIM_TCP_WORLD_UP_H

#include <stdint.h>

#include "test/sim/tcp_world.h"

struct world_frame {
	struct ip_tuple tuple; /* as the sender sees it */
	uint32_t seq, ack;
	uint16_t wnd, urg, segs;
	uint8_t flags, opt_len;
	uint8_t opt[TCP_OPT_BYTES_MAX];
};

struct tcp_ctx *world_ctx_take(struct core *host, struct conn *conn);
struct tcp_ctx *world_ctx_find(struct core *host, const struct ip_tuple *tuple);
void world_tuple(const struct world *w, const struct conn *conn, int side, struct ip_tuple *tuple);
/* A segment has been received: how far may the peer's window let us send? */
void world_edge_learn(struct core *host, const struct tcp_ctx *ctx);
void world_trace_segment(const struct world *w, int side, const char *dir,
		const struct world_frame *f, uint32_t len);

#endif
