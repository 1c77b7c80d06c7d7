/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scripted peer.
 */
#include "test/sim/tcp_peer.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/sim/tcp_world_up.h"

static void look(struct peer *p);
static void flush(struct peer *p);
static void segment(struct peer *p, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t wnd,
		const uint8_t *opt, uint8_t opt_len, uint32_t len);
static uint8_t ts_put(uint8_t *opt, uint32_t ts);

void peer_established(struct peer *p, uint32_t ts, bool sack, uint16_t wnd)
{
	uint8_t syn[20] = {2, 4, PEER_MSS >> 8, PEER_MSS & 0xff}, n = 4, opt[12];
	struct world_conf conf;
	int side;

	memset(&conf, 0, sizeof(conf));
	for (side = 0; side < 2; side++)
		tcp_conf_default(&conf.tcp[side]);
	conf.mss = PEER_MSS;
	conf.burst_bytes = 16 * PEER_MSS;
	conf.ctx_n = 4;
	conf.ext_n = 4;
	conf.log_n = 4;
	conf.start_us = 5000000;
	conf.hostile_peer = true;
	if (world_init(&p->w, &conf, 1, getenv("TEST_TRACE") != NULL) != 0)
		abort();
	world_listen(&p->w, NULL);
	p->conn = world_conn_add(&p->w);
	p->user = &p->conn->user[1];
	world_user_init(p->user, 0, 1 << 20, 65536);
	if (sack) {
		memcpy(syn + n, "\1\1\4\2", 4);
		n = (uint8_t)(n + 4);
	}
	n = (uint8_t)(n + ts_put(syn + n, ts));
	segment(p, TCP_SYN, PEER_ISS, 0, wnd, syn, n, 0);
	look(p);
	segment(p, TCP_ACK, PEER_ISS + 1, peer_ctx(p)->iss + 1, wnd, opt, ts_put(opt, ts), 0);
	flush(p);
	if (!p->user->is_open)
		world_fail(&p->w, "the handshake does not complete");
}

void peer_done(struct peer *p)
{
	if (p->w.failed) {
		fprintf(stderr, "%s\n", p->w.why);
		abort();
	}
	world_fini(&p->w);
}

struct tcp_ctx *peer_ctx(struct peer *p)
{
	return &p->w.host[1].ctx[p->user->ctx_idx];
}

void peer_give(struct peer *p, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t wnd,
		uint32_t len, uint32_t ts)
{
	uint8_t opt[12];
	uint8_t opt_len = ts_put(opt, ts);

	segment(p, flags, PEER_ISS + 1 + seq, peer_ctx(p)->iss + 1 + ack, wnd, opt, opt_len, len);
	flush(p);
}

void peer_sack(struct peer *p, uint32_t ack, uint16_t wnd, uint32_t lo, uint32_t hi)
{
	uint32_t first = peer_ctx(p)->iss + 1;
	uint32_t be[2] = {htonl(first + lo), htonl(first + hi)};
	uint8_t opt[12] = {1, 1, 5, 10};

	memcpy(opt + 4, be, 8);
	segment(p, TCP_ACK, PEER_ISS + 1 + p->user->rcv_tail, first + ack, wnd, opt, 12, 0);
	flush(p);
}

void peer_pass_ms(struct peer *p, uint32_t ms)
{
	p->w.now_us += ms * 1000ull;
	flush(p);
}

void peer_write(struct peer *p, uint32_t bytes)
{
	world_write(&p->w, p->conn, 1, bytes);
	look(p);
}

void peer_read(struct peer *p, uint32_t bytes)
{
	world_read(&p->w, p->conn, 1, bytes);
	flush(p);
}

static void look(struct peer *p)
{
	struct world_frame f;
	uint32_t len;
	uint8_t *data;

	memset(&p->out, 0, sizeof(p->out));
	while ((data = wire_recv(&p->w.wire[1], p->w.now_us, &len)) != NULL) {
		struct peer_out *o = &p->out;

		memcpy(&f, data, sizeof(f));
		o->seq = f.seq - peer_ctx(p)->iss - 1;
		if (o->n++ == 0)
			o->first_seq = o->seq;
		o->ack = f.ack - PEER_ISS - 1;
		o->len = len - (uint32_t)sizeof(f);
		o->bytes += o->len;
		o->wnd = f.wnd;
		o->flags = f.flags;
		if (f.opt_len >= 12 && f.opt[0] == 1 && f.opt[2] == 8) {
			memcpy(&o->tsecr, f.opt + 8, 4);
			o->tsecr = ntohl(o->tsecr);
		}
		wire_free(data);
	}
}

static void flush(struct peer *p)
{
	world_timers_and_flush(&p->w, 1);
	look(p);
	world_check_conn(&p->w, p->conn);
	if (p->w.failed)
		peer_done(p);
}

static void segment(struct peer *p, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t wnd,
		const uint8_t *opt, uint8_t opt_len, uint32_t len)
{
	static const uint8_t body[65536];
	struct tcp_seg seg = {.seq = seq,
			.ack = ack,
			.wnd = wnd,
			.flags = flags,
			.opt = opt,
			.opt_len = opt_len,
			.data = body,
			.len = len,
			.segs = 1};
	struct core *host = &p->w.host[1];
	struct ip_tuple tuple;
	struct tcp_ctx *to = p->user->ctx_idx != 0 ? peer_ctx(p) : &host->ctx[host->listener];

	world_tuple(&p->w, p->conn, 1, &tuple);
	if (tcp_rx(&host->st, host, to, &seg, &tuple, p->w.now_us) == TCP_RX_OK &&
			p->user->ctx_idx != 0)
		world_edge_learn(host, peer_ctx(p));
}

static uint8_t ts_put(uint8_t *opt, uint32_t ts)
{
	uint32_t be = htonl(ts);

	if (ts == PEER_TS_NONE)
		return 0;
	memcpy(opt, "\1\1\10\12\0\0\0\0\0\0\0\0", 12);
	memcpy(opt + 4, &be, 4);
	return 12;
}
