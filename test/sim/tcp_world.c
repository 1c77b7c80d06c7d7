/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The world around two TCP stacks: contexts, wires and the users' calls. What TCP calls up is in tcp_world_up.c.
 */
#include "test/sim/tcp_world.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tcp/seq.h"
#include "test/sim/tcp_world_up.h"

static int host_init(struct world *w, int side);
static void segment_rx(struct core *host, const uint8_t *data, uint32_t len);
static void icmp_rx(struct core *host, const struct ip_tuple *tuple, const struct world_frame *f);

int world_init(struct world *w, const struct world_conf *conf, uint64_t seed, bool verbose)
{
	int side;

	memset(w, 0, sizeof(*w));
	w->conf = *conf;
	w->rnd.state = seed ^ 0x77f1d;
	w->verbose = verbose;
	w->now_us = conf->start_us;
	for (side = 0; side < 2; side++) {
		if (host_init(w, side) != 0)
			return -1;
		wire_init(&w->wire[side], &conf->wire[side], seed * 2 + (uint64_t)side);
	}
	return 0;
}

static int host_init(struct world *w, int side)
{
	struct core *host = &w->host[side];
	struct tcp_mem mem;

	host->world = w;
	host->side = side;
	host->ctx_n = w->conf.ctx_n;
	host->ctx = aligned_alloc(ETA_CACHELINE, w->conf.ctx_n * sizeof(*host->ctx));
	host->ext = aligned_alloc(ETA_CACHELINE, w->conf.ext_n * sizeof(*host->ext));
	host->conn_of = calloc(w->conf.ctx_n, sizeof(*host->conn_of));
	host->log = aligned_alloc(ETA_CACHELINE, w->conf.log_n * sizeof(*host->log));
	if (host->ctx == NULL || host->ext == NULL || host->log == NULL || host->conn_of == NULL)
		return -1;
	memset(host->ctx, 0, w->conf.ctx_n * sizeof(*host->ctx));
	memset(host->ext, 0, w->conf.ext_n * sizeof(*host->ext));
	mem = (struct tcp_mem){.ctx = host->ctx,
			.ctx_n = w->conf.ctx_n,
			.ext = host->ext,
			.ext_n = w->conf.ext_n,
			.log = host->log,
			.log_n = w->conf.log_n};
	tcp_stack_init(&host->st, &mem, &w->conf.tcp[side], w->now_us);
	return 0;
}

void world_fini(struct world *w)
{
	uint32_t i;
	int side;

	for (side = 0; side < 2; side++) {
		wire_fini(&w->wire[side]);
		free(w->host[side].ctx);
		free(w->host[side].ext);
		free(w->host[side].log);
		free(w->host[side].conn_of);
		for (i = 0; i < w->conn_n; i++) {
			free(w->conn[i].user[side].placed);
			free(w->conn[i].user[side].sent);
		}
	}
}

void world_fail(struct world *w, const char *fmt, ...)
{
	va_list ap;

	if (w->failed)
		return;
	w->failed = true;
	va_start(ap, fmt);
	vsnprintf(w->why, sizeof(w->why), fmt, ap);
	va_end(ap);
	world_trace(w, "BROKEN: %s", w->why);
}

void world_trace(const struct world *w, const char *fmt, ...)
{
	va_list ap;

	if (!w->verbose)
		return;
	printf("%10.3f ms ", (double)(w->now_us - w->conf.start_us) / 1000);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

struct conn *world_conn_add(struct world *w)
{
	struct conn *conn = &w->conn[w->conn_n++];

	conn->port = (uint16_t)(WORLD_PORT_FIRST + w->conn_n - 1);
	return conn;
}

void world_user_init(
		struct user *u, uint32_t tx_total, uint32_t snd_buf_bytes, uint32_t rcv_cap_bytes)
{
	u->tx_total = tx_total;
	u->snd_buf_bytes = snd_buf_bytes;
	u->rcv_cap_bytes = rcv_cap_bytes;
	u->placed = calloc(1, rcv_cap_bytes);
	u->sent = malloc(WORLD_SENT_N * sizeof(*u->sent));
}

void world_connect(struct world *w, struct conn *conn, int side, const struct tcp_param *param)
{
	struct core *host = &w->host[side];
	struct tcp_ctx *ctx = world_ctx_take(host, conn);
	struct ip_tuple tuple;

	if (ctx == NULL) {
		world_fail(w, "the world has too few contexts for its scenario");
		return;
	}
	world_trace(w, "%c conn %u connect", 'A' + side, (unsigned int)(conn - w->conn));
	conn->user[side].is_known = true;
	world_tuple(w, conn, side, &tuple);
	tcp_connect(&host->st, host, ctx, &tuple, param, w->now_us);
}

void world_listen(struct world *w, const struct tcp_param *param)
{
	struct core *host = &w->host[1];

	host->listener = 1;
	host->conn_of[1] = UINT32_MAX;
	host->ctx[1].idx = 1;
	tcp_listen(&host->st, &host->ctx[1], param);
}

uint32_t world_rx(struct world *w, int side, uint32_t budget)
{
	struct core *host = &w->host[side];
	uint32_t n, len;
	uint8_t *data;

	for (n = 0; n < budget && !w->failed; n++) {
		data = wire_recv(&w->wire[1 - side], w->now_us, &len);
		if (data == NULL)
			break;
		segment_rx(host, data, len);
		wire_free(data);
	}
	return n;
}

static void segment_rx(struct core *host, const uint8_t *data, uint32_t len)
{
	struct world *w = host->world;
	struct world_frame f;
	struct tcp_seg seg;
	struct tcp_ctx *ctx;
	struct ip_tuple tuple;
	enum tcp_verdict verdict;
	int tries;

	memcpy(&f, data, sizeof(f));
	tuple.laddr = f.tuple.raddr;
	tuple.raddr = f.tuple.laddr;
	tuple.lport_be = f.tuple.rport_be;
	tuple.rport_be = f.tuple.lport_be;
	if (f.icmp_mss != 0) {
		icmp_rx(host, &tuple, &f);
		return;
	}
	seg = (struct tcp_seg){.seq = f.seq,
			.ack = f.ack,
			.wnd = f.wnd,
			.urg = f.urg,
			.flags = f.flags,
			.opt_len = f.opt_len,
			.opt = data + offsetof(struct world_frame, opt),
			.data = data + sizeof(f),
			.len = len - (uint32_t)sizeof(f),
			.ecn = f.ecn,
			.segs = f.segs};
	if (w->conf.phantom) {
		seg.data = world_phantom;
		seg.len = f.phantom_len;
		host->rx_off64 = f.phantom_off;
	}
	world_trace_segment(w, host->side, "rx", &f, seg.len);
	for (tries = 0; tries < 3; tries++) {
		ctx = world_ctx_find(host, &tuple);
		if (ctx == NULL && host->listener != 0 &&
				ntohs(tuple.lport_be) == WORLD_PORT_SERVER)
			ctx = &host->ctx[host->listener];
		if (ctx == NULL) {
			tcp_rx_no_ctx(&host->st, host, &tuple, &seg);
			return;
		}
		if (ctx->state == TCP_STATE_LISTEN &&
				tcp_rx_cookie(&host->st, host, ctx, &seg, &tuple, w->now_us)) {
			ctx = world_ctx_find(host, &tuple);
			if (ctx != NULL)
				world_edge_learn(host, ctx);
			return;
		}
		verdict = tcp_rx(&host->st, host, ctx, &seg, &tuple, w->now_us);
		if (verdict != TCP_RX_FREED && verdict != TCP_RX_AGAIN)
			world_edge_learn(host, ctx);
		if (verdict != TCP_RX_AGAIN)
			return;
	}
	world_fail(w, "tcp_rx said AGAIN three times for one segment");
}

static void icmp_rx(struct core *host, const struct ip_tuple *tuple, const struct world_frame *f)
{
	struct tcp_ctx *ctx = world_ctx_find(host, tuple);

	if (ctx != NULL)
		world_too_big(host, ctx, f->seq, f->icmp_mss);
}

void world_timers_and_flush(struct world *w, int side)
{
	struct core *host = &w->host[side];
	uint32_t i;

	for (i = 0; i < 100 && tcp_timers(&host->st, host, w->now_us, 64) == 64; i++)
		;
	for (i = 0; i < 1000 && tcp_flush(&host->st, host, w->now_us); i++)
		;
	if (i == 1000)
		world_fail(w, "tcp_flush does not come to an end");
}

uint64_t world_next_us(struct world *w)
{
	uint64_t next_us = UINT64_MAX;
	int side;

	for (side = 0; side < 2; side++) {
		uint64_t wire_us = wire_next_us(&w->wire[side]);
		uint64_t delay_us = tcp_next_deadline_us(&w->host[side].st, w->now_us);

		if (wire_us < next_us)
			next_us = wire_us;
		if (delay_us != UINT64_MAX && w->now_us + delay_us < next_us)
			next_us = w->now_us + delay_us;
	}
	return next_us;
}

void world_check_conn(struct world *w, struct conn *conn)
{
	int side;

	for (side = 0; side < 2; side++) {
		struct user *u = &conn->user[side];
		struct core *host = &w->host[side];
		const char *why;

		if (u->ctx_idx == 0)
			continue;
		why = tcp_ctx_check(&host->st, &host->ctx[u->ctx_idx]);
		if (why != NULL)
			world_fail(w, "%c conn %u: tcp_ctx_check: %s", 'A' + side,
					(unsigned int)(conn - w->conn), why);
		world_ctx_check(host, &host->ctx[u->ctx_idx], u);
		if (u->is_open && !u->is_closed && u->snd_tail - u->snd_una > u->snd_buf_bytes)
			world_fail(w, "%c conn %u: acknowledged moved back", 'A' + side,
					(unsigned int)(conn - w->conn));
	}
}

void world_check_stacks(struct world *w)
{
	int side;

	for (side = 0; side < 2; side++) {
		const char *why = tcp_stack_check(&w->host[side].st);

		if (why != NULL)
			world_fail(w, "%c: tcp_stack_check: %s", 'A' + side, why);
	}
}

/* ---- the user's calls ---- */

static struct tcp_ctx *user_ctx(struct world *w, struct conn *conn, int side)
{
	struct user *u = &conn->user[side];

	return u->is_known && !u->is_closed && u->ctx_idx != 0 ? &w->host[side].ctx[u->ctx_idx]
							       : NULL;
}

void world_write(struct world *w, struct conn *conn, int side, uint32_t bytes)
{
	struct core *host = &w->host[side];
	struct tcp_ctx *ctx = user_ctx(w, conn, side);

	if (ctx == NULL)
		return;
	conn->user[side].snd_tail += bytes;
	world_trace(w, "%c conn %u write %u to %u", 'A' + side, (unsigned int)(conn - w->conn),
			bytes, conn->user[side].snd_tail);
	tcp_write(&host->st, host, ctx, conn->user[side].snd_tail, w->now_us);
}

void world_read(struct world *w, struct conn *conn, int side, uint32_t bytes)
{
	struct core *host = &w->host[side];
	struct user *u = &conn->user[side];
	struct tcp_ctx *ctx = user_ctx(w, conn, side);

	world_placed_set(u, u->rcv_head, bytes, 0);
	u->rcv_head += bytes;
	world_trace(w, "%c conn %u read %u to %u", 'A' + side, (unsigned int)(conn - w->conn),
			bytes, u->rcv_head);
	if (ctx != NULL)
		tcp_read(&host->st, host, ctx, u->rcv_head, w->now_us);
}

void world_shut(struct world *w, struct conn *conn, int side)
{
	struct core *host = &w->host[side];
	struct tcp_ctx *ctx = user_ctx(w, conn, side);

	conn->user[side].shut = true;
	if (ctx == NULL)
		return;
	world_trace(w, "%c conn %u shut", 'A' + side, (unsigned int)(conn - w->conn));
	tcp_shut_wr(&host->st, host, ctx, w->now_us);
}

void world_close(struct world *w, struct conn *conn, int side)
{
	struct core *host = &w->host[side];
	struct tcp_ctx *ctx = user_ctx(w, conn, side);

	conn->user[side].closed_by_us = true;
	if (ctx == NULL)
		return;
	world_trace(w, "%c conn %u close", 'A' + side, (unsigned int)(conn - w->conn));
	tcp_close(&host->st, host, ctx, w->now_us);
}

void world_abort(struct world *w, struct conn *conn, int side)
{
	struct core *host = &w->host[side];
	struct user *u = &conn->user[side];
	struct tcp_ctx *ctx = user_ctx(w, conn, side);

	u->aborted = true;
	if (ctx == NULL)
		return;
	world_trace(w, "%c conn %u abort", 'A' + side, (unsigned int)(conn - w->conn));
	tcp_abort(&host->st, host, ctx, ETA_STATUS_ABORTED);
	if (!u->is_closed || !u->is_freed)
		world_fail(w, "tcp_abort returned before closed and free were said");
}
