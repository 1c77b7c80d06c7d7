/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bulk flows: the loop of virtual time, and users who only send or only read.
 */
#include "test/sim/flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RX_BUDGET 64u
#define EXTS 65u

static void opens_run(struct flows *f);
static uint64_t next_open_us(const struct flows *f);
static void sender_turn(struct flows *f, struct flow *flow);
static void reader_turn(struct flows *f, struct flow *flow);
static void leftovers_check(struct world *w, int side);

void flows_conf(struct world_conf *conf, const struct wire_conf *wire)
{
	int side;

	memset(conf, 0, sizeof(*conf));
	for (side = 0; side < 2; side++) {
		tcp_conf_default(&conf->tcp[side]);
		conf->tcp[side].time_wait_ms = 2000;
		conf->tcp[side].isn_key[0] = 17 + (uint64_t)side;
		conf->wire[side] = *wire;
	}
	/* ACKs come back on a line of their own, wide enough. */
	conf->wire[1].rate_bytes_ms = 0;
	conf->wire[1].loss_ppm = 0;
	conf->mss = 1460;
	conf->burst_bytes = 10 * 1460;
	conf->ctx_n = FLOWS_MAX + 2;
	conf->ext_n = EXTS;
	conf->log_n = FLOWS_MAX + 1;
	conf->start_us = 1000000;
	conf->phantom = true;
}

void flows_init(struct flows *f, const struct world_conf *conf, uint64_t seed, bool verbose)
{
	memset(f, 0, sizeof(*f));
	if (world_init(&f->w, conf, seed, verbose) != 0) {
		fprintf(stderr, "out of memory\n");
		abort();
	}
	world_listen(&f->w, NULL);
}

void flows_fini(struct flows *f)
{
	world_fini(&f->w);
}

struct flow *flow_add(
		struct flows *f, uint64_t bytes, uint64_t open_us, const struct tcp_param *param)
{
	struct flow *flow = &f->flow[f->n++];

	flow->conn = world_conn_add(&f->w);
	world_user_init(&flow->conn->user[0], 0, FLOW_BUF_BYTES, 1 << 16);
	world_user_init(&flow->conn->user[1], 0, FLOW_BUF_BYTES, FLOW_BUF_BYTES);
	flow->open_us = open_us;
	flow->left = flow->total = bytes;
	if (param != NULL)
		flow->param = *param;
	return flow;
}

void flows_run(struct flows *f, uint64_t until_us)
{
	struct world *w = &f->w;
	uint64_t next_us;
	uint32_t i, n;
	int side;

	while (!w->failed) {
		opens_run(f);
		n = 0;
		for (side = 0; side < 2; side++)
			n += world_rx(w, side, RX_BUDGET);
		for (i = 0; i < f->n; i++) {
			if (f->flow[i].conn->user[0].poked)
				sender_turn(f, &f->flow[i]);
			if (f->flow[i].conn->user[1].poked)
				reader_turn(f, &f->flow[i]);
		}
		for (side = 0; side < 2; side++)
			world_timers_and_flush(w, side);
		for (i = 0; i < f->n; i++)
			world_check_conn(w, f->flow[i].conn);
		if (f->watch != NULL)
			f->watch(f, f->watch_arg);
		if (n != 0)
			continue;
		next_us = world_next_us(w);
		if (next_open_us(f) < next_us)
			next_us = next_open_us(f);
		if (next_us > until_us) {
			if (next_us == UINT64_MAX && !flows_all_done(f))
				world_fail(w, "deadlock: nothing is due, but flows are not done");
			if (until_us != UINT64_MAX)
				w->now_us = until_us;
			return;
		}
		if (next_us == UINT64_MAX)
			return;
		if (next_us > w->now_us)
			w->now_us = next_us;
	}
}

bool flows_all_done(const struct flows *f)
{
	uint32_t i;
	int side;

	for (i = 0; i < f->n; i++) {
		if (f->flow[i].is_held || f->flow[i].stays_open)
			continue;
		for (side = 0; side < 2; side++) {
			const struct user *u = &f->flow[i].conn->user[side];

			if (!u->is_known || !u->is_closed || u->ctx_idx != 0)
				return false;
		}
	}
	return true;
}

void flows_check_end(struct flows *f)
{
	struct world *w = &f->w;
	uint32_t i;
	int side;

	if (!flows_all_done(f))
		world_fail(w, "flows have not ended");
	world_check_stacks(w);
	for (i = 0; i < f->n; i++) {
		const struct user *u = &f->flow[i].conn->user[1];

		if (u->rcv_tail64 != f->flow[i].total || !u->rx_fin || u->why != ETA_STATUS_OK)
			world_fail(w, "flow %u: %llu of %llu bytes arrived, FIN %d, closed: %s", i,
					(unsigned long long)u->rcv_tail64,
					(unsigned long long)f->flow[i].total, u->rx_fin,
					eta_status_text(u->why));
	}
	for (side = 0; side < 2; side++)
		leftovers_check(w, side);
}

static void leftovers_check(struct world *w, int side)
{
	const struct core *host = &w->host[side];
	uint32_t n = 0, logs = 0, i;

	for (i = host->st.ext_free; i != 0 && n < w->conf.ext_n; i = host->ext[i].n)
		n++;
	for (i = host->st.log_free; i != 0 && logs < w->conf.log_n; i = host->log[i].next)
		logs++;
	if (logs != w->conf.log_n - 1)
		world_fail(w, "%c: %u of %u send logs are free in the end", 'A' + side, logs,
				w->conf.log_n - 1);
	if (host->ctx_used != 0 || host->st.flush_n != 0 || host->st.wheel.n != 0 ||
			n != w->conf.ext_n - 1)
		world_fail(w, "%c: left over: %u contexts, %u on the flush list, %u in the wheel, %u of %u extensions free",
				'A' + side, host->ctx_used, host->st.flush_n, host->st.wheel.n, n,
				w->conf.ext_n - 1);
}

struct tcp_ctx *flow_ctx(struct flows *f, const struct flow *flow)
{
	uint32_t idx = flow->conn->user[0].ctx_idx;

	return idx != 0 ? &f->w.host[0].ctx[idx] : NULL;
}

uint64_t flow_rcvd(const struct flow *flow)
{
	return flow->conn->user[1].rcv_tail64;
}

static void opens_run(struct flows *f)
{
	uint32_t i;

	for (i = 0; i < f->n; i++) {
		struct flow *flow = &f->flow[i];

		if (flow->is_opened || flow->open_us > f->w.now_us)
			continue;
		flow->is_opened = true;
		world_connect(&f->w, flow->conn, 0, &flow->param);
	}
}

static uint64_t next_open_us(const struct flows *f)
{
	uint64_t next_us = UINT64_MAX;
	uint32_t i;

	for (i = 0; i < f->n; i++)
		if (!f->flow[i].is_opened && f->flow[i].open_us < next_us)
			next_us = f->flow[i].open_us;
	return next_us;
}

static void sender_turn(struct flows *f, struct flow *flow)
{
	struct user *u = &flow->conn->user[0];
	uint32_t room = u->snd_buf_bytes - (u->snd_tail - u->snd_una);

	u->poked = false;
	if (!u->is_open || u->is_closed || flow->is_held)
		return;
	if (room > flow->left)
		room = (uint32_t)flow->left;
	if (room != 0 && flow->left != FLOW_ENDLESS)
		flow->left -= room;
	if (room != 0)
		world_write(&f->w, flow->conn, 0, room);
	if (flow->left == 0 && !u->shut && !flow->stays_open)
		world_shut(&f->w, flow->conn, 0);
	if (u->rx_fin && !u->closed_by_us)
		world_close(&f->w, flow->conn, 0);
}

static void reader_turn(struct flows *f, struct flow *flow)
{
	struct user *u = &flow->conn->user[1];

	u->poked = false;
	if (u->rcv_tail != u->rcv_head)
		world_read(&f->w, flow->conn, 1, u->rcv_tail - u->rcv_head);
	if (u->rx_fin && !u->closed_by_us)
		world_close(&f->w, flow->conn, 1);
}
