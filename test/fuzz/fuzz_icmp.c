/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP errors: any message through the parser, and what is credible to connections with data in flight and to the path cache.
 *
 * The input is a list of steps {how, ...}: a message of type, code, MTU word and a quote that may name a connection and a sequence
 * number near what is in flight; a write; an acknowledgement; or time. Messages lie in memory of their own size.
 *
 * Holds when TCP keeps its invariants, an established connection lives on, no segment size falls below what the family allows,
 * and the cache forgets.
 */
#include <stdlib.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "engine/net/cksum.h"
#include "engine/net/icmp_rx.h"
#include "engine/net/pmtu.h"
#include "test/fuzz/fuzz.h"
#include "test/sim/tcp_world.h"
#include "test/sim/tcp_world_up.h"

#define CONNS 4u
#define STEPS_MAX 128u
#define MESSAGE_BYTES_MAX 600u

#define HOW_V6 0x01u
#define HOW_FIX 0x02u   /* make the checksum right */
#define HOW_QUOTE 0x04u /* quote a connection, not noise */
#define HOW_SEQ 0x08u   /* ... and something near what is in flight */

static struct pmtu pmtu;

static void world_make(struct world *w, uint8_t how)
{
	struct world_conf conf;

	memset(&conf, 0, sizeof(conf));
	for (int side = 0; side < 2; side++) {
		tcp_conf_default(&conf.tcp[side]);
		conf.tcp[side].mtu_probing = how % 3;
		conf.wire[side].loss_ppm = how & 4 ? 1000000 : 0;
	}
	conf.mss = 1460;
	conf.burst_bytes = 16 * 1460;
	conf.ctx_n = CONNS + 3;
	conf.ext_n = 8;
	conf.start_us = 5000000;
	conf.hostile_peer = true;
	fuzz_require(world_init(w, &conf, 1, false) == 0, "memory");
	world_listen(w, NULL);
	for (uint32_t i = 0; i < CONNS; i++) {
		struct conn *conn = world_conn_add(w);

		world_user_init(&conn->user[1], 0, 65536, 65536);
		world_connect(w, conn, 1, NULL);
	}
}

/* The peer of @conn, as far as it takes: its SYN-ACK, or an acknowledgement of @ahead bytes. */
static void peer_answers(struct world *w, struct conn *conn, uint32_t ahead)
{
	struct core *host = &w->host[1];
	uint32_t idx = conn->user[1].ctx_idx;
	struct tcp_seg seg = {.flags = TCP_ACK, .wnd = 60000, .segs = 1};
	struct tcp_ctx *ctx = &host->ctx[idx];
	struct ip_tuple tuple;

	if (idx == 0)
		return;
	world_tuple(w, conn, 1, &tuple);
	if (ctx->state == TCP_STATE_SYN_SENT) {
		seg.flags |= TCP_SYN;
		seg.seq = 1000;
		seg.ack = ctx->snd_nxt;
	} else {
		seg.seq = ctx->rcv_nxt;
		seg.ack = ctx->snd_una + (ahead <= ctx->snd_nxt - ctx->snd_una ? ahead : 0);
	}
	if (tcp_rx(&host->st, host, ctx, &seg, &tuple, w->now_us) == TCP_RX_OK &&
			conn->user[1].ctx_idx == idx)
		world_edge_learn(host, ctx);
}

static void error_give(struct world *w, struct conn *conn, const struct icmp_err *e)
{
	struct core *host = &w->host[1];
	uint32_t idx = conn->user[1].ctx_idx;
	struct tcp_ctx *ctx = &host->ctx[idx];
	uint16_t bytes = pmtu_clamp(&e->tuple.raddr, e->mtu);
	uint8_t state = ctx->state;
	bool freed;

	if (idx == 0 || !tcp_icmp_is_credible(ctx, e->seq))
		return;
	fuzz_require(e->seq - ctx->snd_una < ctx->snd_nxt - ctx->snd_una, "in flight");
	if (e->kind == ICMP_FRAG_NEEDED) {
		fuzz_require(bytes >= (ip_addr_is_v4(&e->tuple.raddr) ? 552 : 1280), "least MTU");
		pmtu_set(&pmtu, &e->tuple.raddr, bytes, w->now_us);
		fuzz_require(pmtu_find(&pmtu, &e->tuple.raddr, w->now_us) <= bytes,
				"the cache knows");
		tcp_mss_changed(&host->st, host, ctx, bytes - 60, w->now_us);
		return;
	}
	freed = tcp_icmp_error(&host->st, host, ctx, icmp_rx_status(e), e->code & 1, w->now_us);
	fuzz_require(!freed || state == TCP_STATE_SYN_SENT, "only an attempt ends");
}

static void message_run(struct world *w, struct conn *conn, uint8_t how, struct fuzz_in *in)
{
	uint32_t len = fuzz_u8(in), quote = how & HOW_V6 ? 40 : 20, seq;
	uint32_t idx = conn->user[1].ctx_idx;
	bool is_v4 = !(how & HOW_V6);
	struct ip_addr src, dst;
	struct icmp_err e;
	uint64_t sum = 0;
	uint16_t field;
	uint8_t *m;
	int rc;

	memset(&src, 0xfd, sizeof(src));
	memset(&dst, 0xfc, sizeof(dst));
	if (is_v4) {
		src = ip_addr_from_v4(0x0200000a);
		dst = ip_addr_from_v4(0x0100000a);
	}
	m = malloc(len ? len : 1);
	fuzz_bytes(in, m, len);
	if ((how & HOW_QUOTE) && len >= 8 + quote + 8) {
		if (is_v4) {
			m[8] = 0x45;
			m[8 + 6] = m[8 + 7] = 0;
			m[8 + 9] = IPPROTO_TCP;
			memcpy(m + 8 + 12, &dst.w_be[3], 4);
		} else {
			m[8] = 0x60;
			m[8 + 6] = IPPROTO_TCP;
			memcpy(m + 8 + 8, dst.b, 16);
		}
		if (how & HOW_SEQ && idx != 0) {
			seq = htonl(w->host[1].ctx[idx].snd_una + m[8 + quote + 7] - 8);
			memcpy(m + 8 + quote + 4, &seq, 4);
		}
	}
	if ((how & HOW_FIX) && len >= 4) {
		m[2] = m[3] = 0;
		if (!is_v4)
			sum = cksum_pseudo(&src, &dst, IPPROTO_ICMPV6, len);
		field = (uint16_t)~cksum_fold(sum + cksum_sum(m, len));
		memcpy(m + 2, &field, 2);
	}
	rc = icmp_rx_parse(m, len, is_v4, &src, &dst, &e);
	fuzz_require(rc >= -1 && rc <= 1, "verdict");
	if (rc == 1) {
		fuzz_require(ip_addr_equal(&e.tuple.laddr, &dst), "about a packet of ours");
		fuzz_require(e.mtu == 0 || e.kind == ICMP_FRAG_NEEDED, "MTU");
		fuzz_require(icmp_rx_status(&e) < ETA_STATUS_N, "status");
		error_give(w, conn, &e);
	}
	free(m);
}

static void step_run(struct world *w, struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in);
	struct conn *conn = &w->conn[how >> 4 & (CONNS - 1)];
	struct user *u = &conn->user[1];
	uint32_t n;

	switch (how >> 6) {
	case 0:
	case 1: message_run(w, conn, how, in); break;
	case 2:
		n = fuzz_u16(in);
		if (how & 1)
			peer_answers(w, conn, n);
		else if (u->ctx_idx != 0 && n <= u->snd_buf_bytes - (u->snd_tail - u->snd_una))
			world_write(w, conn, 1, n);
		break;
	case 3:
		w->now_us += 1ull << (fuzz_u8(in) & 29);
		(void)pmtu_expire(&pmtu, w->now_us);
		break;
	}
	world_timers_and_flush(w, 1);
	for (uint32_t i = 0; i < CONNS; i++)
		world_check_conn(w, &w->conn[i]);
	fuzz_require(!w->failed, w->why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world w;
	struct fuzz_in in = {data, size};

	memset(&pmtu, 0, sizeof(pmtu));
	world_make(&w, fuzz_u8(&in));
	for (uint32_t i = 0; i < STEPS_MAX && in.left != 0; i++)
		step_run(&w, &in);
	(void)pmtu_expire(&pmtu, w.now_us + PMTU_US);
	fuzz_require(pmtu.n == 0, "the cache forgets");
	world_fini(&w);
	return 0;
}
