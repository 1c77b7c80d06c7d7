/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP against a hostile peer: segments whose numbers lie near what matters (rcv_nxt, the window's edges, snd_una, snd_nxt), any flags, any
 * options, mixed with the user's calls and the passing of time.
 *
 * Holds when no invariant of TCP breaks and no promise of tcp_up.h: nothing is placed outside the window, nothing readable that was not
 * placed, nothing acknowledged that was not sent, each context closed once and freed once.
 */
#include <arpa/inet.h>

#include "engine/tcp/seq.h"
#include "test/fuzz/fuzz.h"
#include "test/sim/tcp_world.h"
#include "test/sim/tcp_world_up.h"

#define CONNS 6u /* the first four come to the listener, the others connect */
#define OPS_MAX 400u

static void world_make(struct world *w, struct fuzz_in *in);
static void op_run(struct world *w, struct fuzz_in *in);
static void icmp_give(struct world *w, struct tcp_ctx *ctx, struct fuzz_in *in);
static void segment_give(struct world *w, struct conn *conn, struct fuzz_in *in);
static uint32_t number_near(const struct tcp_ctx *ctx, uint8_t how, int16_t delta, int is_ack);
static uint8_t options_make(struct fuzz_in *in, const struct tcp_ctx *ctx, uint8_t *opt);
static void checks(struct world *w);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world w;
	struct fuzz_in in = {data, size};
	uint32_t i;

	world_make(&w, &in);
	for (i = 0; i < OPS_MAX && in.left != 0; i++) {
		op_run(&w, &in);
		checks(&w);
	}
	for (i = 0; i < CONNS; i++)
		world_abort(&w, &w.conn[i], 1);
	w.now_us += 300000000;
	world_timers_and_flush(&w, 1);
	checks(&w);
	world_fini(&w);
	return 0;
}

static void world_make(struct world *w, struct fuzz_in *in)
{
	struct world_conf conf;
	uint8_t how = fuzz_u8(in);
	uint32_t i;
	int side;

	memset(&conf, 0, sizeof(conf));
	for (side = 0; side < 2; side++) {
		tcp_conf_default(&conf.tcp[side]);
		conf.tcp[side].timestamps = (how & 1) == 0;
		conf.tcp[side].sack = (how & 2) == 0;
		conf.tcp[side].cc = (how & 4) ? TCP_CC_NEWRENO : TCP_CC_CUBIC;
		conf.wire[side].loss_ppm = 1000000;
	}
	conf.mss = (how & 8) ? 1460 : 88;
	conf.burst_bytes = 16 * conf.mss;
	conf.ctx_n = CONNS + 3;
	conf.ext_n = (how & 16) ? 2 : 16;
	conf.log_n = conf.ext_n;
	conf.start_us = (how & 32) ? (1ull << 32) - 1000000 : 5000000;
	conf.isn_near_wrap = (how & 64) != 0;
	conf.place_short_ppm = (how & 128) ? 100000 : 0;
	conf.hostile_peer = true;
	fuzz_require(world_init(w, &conf, how, getenv("FUZZ_TRACE") != NULL) == 0, "memory");
	world_listen(w, NULL);
	for (i = 0; i < CONNS; i++) {
		struct conn *conn = world_conn_add(w);

		world_user_init(&conn->user[1], 0, 65536, i & 1 ? 3000 : 65536);
		if (i >= 4)
			world_connect(w, conn, 1, NULL);
	}
}

static void op_run(struct world *w, struct fuzz_in *in)
{
	uint8_t op = fuzz_u8(in);
	struct conn *conn = &w->conn[(op >> 4) % CONNS];
	struct user *u = &conn->user[1];
	uint32_t n;

	switch (op & 15) {
	case 0:
		n = fuzz_u16(in);
		if (!u->shut && !u->closed_by_us &&
				n <= u->snd_buf_bytes - (u->snd_tail - u->snd_una))
			world_write(w, conn, 1, n);
		break;
	case 1:
		n = fuzz_u16(in);
		if (n <= u->rcv_tail - u->rcv_head)
			world_read(w, conn, 1, n);
		break;
	case 2: world_shut(w, conn, 1); break;
	case 3:
		if (fuzz_u8(in) & 1)
			world_close(w, conn, 1);
		else if (fuzz_u8(in) == 7)
			world_abort(w, conn, 1);
		break;
	case 4:
		w->now_us += 1ull << (fuzz_u8(in) & 31);
		world_timers_and_flush(w, 1);
		break;
	case 5:
		if (u->ctx_idx != 0)
			icmp_give(w, &w->host[1].ctx[u->ctx_idx], in);
		break;
	default: segment_give(w, conn, in); break;
	}
}

static void icmp_give(struct world *w, struct tcp_ctx *ctx, struct fuzz_in *in)
{
	struct core *host = &w->host[1];
	bool is_size = fuzz_u8(in) & 1;
	uint16_t mss;

	if (!tcp_icmp_is_credible(ctx, ctx->snd_una + fuzz_u8(in)))
		return;
	mss = fuzz_u16(in);
	if (mss > w->conf.mss) /* the wire of this world carries no more */
		mss = (uint16_t)w->conf.mss;
	if (is_size)
		tcp_mss_changed(&host->st, host, ctx, mss, w->now_us);
	else
		tcp_icmp_error(&host->st, host, ctx, ETA_STATUS_UNREACHABLE, fuzz_u8(in) & 1,
				w->now_us);
}

static void segment_give(struct world *w, struct conn *conn, struct fuzz_in *in)
{
	static const uint8_t body[65536];
	struct core *host = &w->host[1];
	uint32_t idx = conn->user[1].ctx_idx;
	struct tcp_ctx *ctx = idx != 0 ? &host->ctx[idx] : &host->ctx[host->listener];
	uint8_t how = fuzz_u8(in), opt[TCP_OPT_BYTES_MAX];
	struct ip_tuple tuple;
	struct tcp_seg seg;

	memset(&seg, 0, sizeof(seg));
	seg.flags = fuzz_u8(in);
	if (how & 0x80)
		seg.flags = TCP_ACK | (seg.flags & TCP_PSH); /* mostly the ordinary */
	seg.seq = number_near(ctx, how & 3, (int16_t)fuzz_u16(in), 0);
	seg.ack = number_near(ctx, (how >> 2) & 3, (how & 0x40) ? (int16_t)fuzz_u16(in) : 0, 1);
	seg.wnd = (how & 0x20) ? fuzz_u16(in) : 4096;
	seg.urg = (seg.flags & TCP_URG) ? fuzz_u16(in) : 0;
	seg.len = (how & 0x10) ? fuzz_u16(in) % 20000 : 0;
	seg.opt_len = options_make(in, ctx, opt);
	seg.opt = opt;
	seg.data = body;
	seg.segs = (uint16_t)(1 + seg.len / 1460);
	world_tuple(w, conn, 1, &tuple);
	world_trace(w, "rx flags %02x seq %u ack %u wnd %u len %u opt %u", seg.flags, seg.seq,
			seg.ack, seg.wnd, seg.len, seg.opt_len);
	if (idx == 0 && tcp_rx_cookie(&host->st, host, ctx, &seg, &tuple, w->now_us))
		return;
	if (tcp_rx(&host->st, host, ctx, &seg, &tuple, w->now_us) == TCP_RX_AGAIN)
		fuzz_require(conn->user[1].ctx_idx == 0, "AGAIN means that the context was freed");
	else if (idx != 0 && conn->user[1].ctx_idx == idx)
		world_edge_learn(host, ctx);
}

static uint32_t number_near(const struct tcp_ctx *ctx, uint8_t how, int16_t delta, int is_ack)
{
	if (ctx->state == TCP_STATE_LISTEN)
		return 1000u + (uint32_t)delta;
	switch (how) {
	case 0: return is_ack ? ctx->snd_nxt : ctx->rcv_nxt;
	case 1: return (is_ack ? ctx->snd_nxt : ctx->rcv_nxt) + (uint32_t)delta;
	case 2: return (is_ack ? ctx->snd_una : ctx->rcv_adv) + (uint32_t)delta;
	default: return (is_ack ? ctx->snd_una : ctx->irs) + (uint32_t)delta * 40000u;
	}
}

/* None; the usual; a SACK block near what is in flight; or any bytes at all. */
static uint8_t options_make(struct fuzz_in *in, const struct tcp_ctx *ctx, uint8_t *opt)
{
	static const uint8_t syn[] = {
			2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7};
	uint8_t kind = fuzz_u8(in), len, i, n;
	uint32_t v;

	switch (kind & 3) {
	case 0: return 0;
	case 1: memcpy(opt, syn, sizeof(syn)); return sizeof(syn);
	case 2:
		n = (uint8_t)(1 + ((kind >> 2) & 3));
		opt[0] = opt[1] = 1;
		opt[2] = 5;
		opt[3] = (uint8_t)(2 + 8 * n);
		for (i = 0; i < n && i < 4; i++) {
			v = htonl(ctx->snd_una + fuzz_u16(in));
			memcpy(opt + 4 + 8 * i, &v, 4);
			v = htonl(ctx->snd_una + fuzz_u16(in));
			memcpy(opt + 8 + 8 * i, &v, 4);
		}
		return (uint8_t)(4 + 8 * n);
	default:
		len = (uint8_t)(fuzz_u8(in) % (TCP_OPT_BYTES_MAX + 1));
		fuzz_bytes(in, opt, len);
		return len;
	}
}

static void checks(struct world *w)
{
	uint32_t i;

	for (i = 0; i < CONNS; i++)
		world_check_conn(w, &w->conn[i]);
	world_check_stacks(w);
	fuzz_require(!w->failed, w->why);
}
