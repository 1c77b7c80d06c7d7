/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bulk flows in the TCP world: side 0 sends, side 1 reads at once.
 *
 * For questions about the path and about congestion control, where applications shall not be in the way. Payload is a phantom, so a flow may
 * be many gigabytes long. A flow opens at its time, keeps its send buffer full until all its bytes are written, then says FIN; side 1
 * answers with its own. One that is endless is for measuring, and is torn down with the world.
 *
 * Life: flows_init -> flow_add ... -> flows_run, again and again -> flows_check_end (if all flows have an end) -> flows_fini.
 */
#ifndef TEST_SIM_FLOW_H
#define TEST_SIM_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "test/sim/tcp_world.h"

#define FLOWS_MAX 16u
#define FLOW_ENDLESS UINT64_MAX
#define FLOW_BUF_BYTES (4u << 20) /* both buffers */

struct flow {
	struct conn *conn;
	uint64_t open_us;
	uint64_t left; /* bytes not yet written */
	uint64_t total;
	struct tcp_param param;
	bool is_opened;
	bool stays_open; /* no FIN when all is written: more may be added to left */
	bool is_held;    /* the sender writes nothing, and does not end, until this is cleared */
};

struct flows {
	struct world w;
	struct flow flow[FLOWS_MAX];
	uint32_t n;
	/* After each step. NULL = nothing. */
	void (*watch)(struct flows *f, void *arg);
	void *watch_arg;
};

/* A world without chance but that of @wire: both directions the same delay, the bottleneck only towards side 1. */
void flows_conf(struct world_conf *conf, const struct wire_conf *wire);
void flows_init(struct flows *f, const struct world_conf *conf, uint64_t seed, bool verbose);
void flows_fini(struct flows *f);
/* @param: NULL = defaults. */
struct flow *flow_add(
		struct flows *f, uint64_t bytes, uint64_t open_us, const struct tcp_param *param);
/* Until virtual time @until_us, all flows have ended, or something is broken (w.failed). A deadlock is. */
void flows_run(struct flows *f, uint64_t until_us);
bool flows_all_done(const struct flows *f);
/* Every byte arrived, every end was clean, and nothing is left over. */
void flows_check_end(struct flows *f);
/* The sender's context, NULL = none. */
struct tcp_ctx *flow_ctx(struct flows *f, const struct flow *flow);
/* Bytes that side 1 has read. */
uint64_t flow_rcvd(const struct flow *flow);

#endif
