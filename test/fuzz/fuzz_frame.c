/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames from the wire: any bytes through the parser, and what it takes for TCP through a stack with a listener and connections.
 *
 * The input is a list of frames {how, length, bytes}. `how` says whether checksums and the destination MAC are made right first, whether the port
 * vouches for them, and whether it is a superframe. Sequence numbers count from what the connection expects, else random ones would never be
 * in the window. Each frame lies in memory of its own size, so that a sanitizer sees a byte read behind it.
 *
 * Holds when what the parser returns lies inside the frame, exactly one counter moves, and TCP keeps its invariants.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "engine/net/cksum.h"
#include "engine/net/ip_rx.h"
#include "test/fuzz/fuzz.h"
#include "test/sim/tcp_world.h"
#include "test/sim/tcp_world_up.h"

#define CONNS 3u
#define FRAMES_MAX 64u

#define HOW_FIX 0x01u   /* make checksums right */
#define HOW_MAC 0x02u   /* address it to us */
#define HOW_TRUST 0x04u /* the port vouches for checksums */
#define HOW_LRO 0x08u
#define HOW_RELATIVE 0x10u

static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1};

static void world_make(struct world *w);
static void frame_run(struct world *w, struct port *port, struct fuzz_in *in);
static void frame_fix(uint8_t *frame, uint32_t len);
static void tcp_check_fix(
		uint8_t *l4, uint32_t len, const struct ip_addr *src, const struct ip_addr *dst);
static void segment_give(struct world *w, struct ip_pkt *pkt, uint8_t how);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world w;
	struct fuzz_in in = {data, size};
	struct port port;
	uint32_t i;

	memset(&port, 0, sizeof(port));
	memcpy(port.mac, our_mac, 6);
	port.mtu = 1500;
	world_make(&w);
	for (i = 0; i < FRAMES_MAX && in.left != 0; i++)
		frame_run(&w, &port, &in);
	world_fini(&w);
	return 0;
}

static void world_make(struct world *w)
{
	struct world_conf conf;
	uint32_t i;
	int side;

	memset(&conf, 0, sizeof(conf));
	for (side = 0; side < 2; side++) {
		tcp_conf_default(&conf.tcp[side]);
		conf.wire[side].loss_ppm = 1000000;
	}
	conf.mss = 1460;
	conf.burst_bytes = 16 * 1460;
	conf.ctx_n = CONNS + 3;
	conf.ext_n = 4;
	conf.start_us = 5000000;
	conf.hostile_peer = true;
	fuzz_require(world_init(w, &conf, 1, false) == 0, "memory");
	world_listen(w, NULL);
	for (i = 0; i < CONNS; i++) {
		struct conn *conn = world_conn_add(w);

		world_user_init(&conn->user[1], 0, 4096, 65536);
		if (i == 2)
			world_connect(w, conn, 1, NULL);
	}
}

static void frame_run(struct world *w, struct port *port, struct fuzz_in *in)
{
	uint8_t how = fuzz_u8(in), *buf;
	uint32_t len = fuzz_u16(in);
	uint64_t moved = 0, *counter;
	struct net_stats stats;
	struct rte_mbuf m;
	struct ip_pkt pkt;
	uint32_t i;

	if (len > in->left)
		len = (uint32_t)in->left;
	buf = malloc(len != 0 ? len : 1);
	fuzz_bytes(in, buf, len);
	if ((how & HOW_MAC) && len >= 6)
		memcpy(buf, our_mac, 6);
	if (how & HOW_FIX)
		frame_fix(buf, len);
	memset(&m, 0, sizeof(m));
	m.buf_addr = buf;
	m.buf_len = (uint16_t)len;
	m.data_len = (uint16_t)len;
	m.pkt_len = len;
	m.nb_segs = 1;
	if (how & HOW_TRUST)
		m.ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	if (how & HOW_LRO) {
		m.ol_flags |= RTE_MBUF_F_RX_LRO;
		m.tso_segsz = (uint16_t)(how * 7u);
	}
	memset(&stats, 0, sizeof(stats));
	memset(&pkt, 0, sizeof(pkt));
	ip_rx_parse(&stats, port, &m, &pkt);
	for (i = 0, counter = (uint64_t *)&stats; i < NET_STATS_N; i++)
		moved += counter[i];
	fuzz_require(moved == 1, "one counter for one frame");
	if (pkt.verdict == IP_RX_TCP) {
		fuzz_require(pkt.seg.opt_len <= TCP_OPT_BYTES_MAX && pkt.seg.segs >= 1,
				"segment's header");
		fuzz_require(pkt.seg.opt_len == 0 ||
						(pkt.seg.opt >= buf &&
								pkt.seg.opt + pkt.seg.opt_len <=
										buf + len),
				"options inside");
		fuzz_require(pkt.seg.len == 0 || (pkt.seg.data >= buf &&
								 pkt.seg.data + pkt.seg.len <=
										 buf + len),
				"payload inside");
		segment_give(w, &pkt, how);
	}
	free(buf);
}

static void frame_fix(uint8_t *frame, uint32_t len)
{
	struct ip_addr src, dst;
	uint8_t *ip = frame + 14;
	uint32_t hl, total;
	uint32_t v4;
	uint16_t sum;

	if (len < 14 + 20)
		return;
	if (frame[12] == 0x08 && frame[13] == 0) {
		hl = (ip[0] & 15u) * 4;
		total = (uint32_t)ip[2] << 8 | ip[3];
		if (hl < 20 || hl > len - 14 || total > len - 14 || total < hl)
			return;
		ip[10] = ip[11] = 0;
		sum = (uint16_t)~cksum_fold(cksum_sum(ip, hl));
		memcpy(ip + 10, &sum, 2);
		memcpy(&v4, ip + 12, 4);
		src = ip_addr_from_v4(v4);
		memcpy(&v4, ip + 16, 4);
		dst = ip_addr_from_v4(v4);
		if (ip[9] == IPPROTO_TCP)
			tcp_check_fix(ip + hl, total - hl, &src, &dst);
	} else if (frame[12] == 0x86 && frame[13] == 0xdd && len >= 14 + 40) {
		total = (uint32_t)ip[4] << 8 | ip[5];
		if (total > len - 54 || ip[6] != IPPROTO_TCP)
			return;
		memcpy(src.b, ip + 8, 16);
		memcpy(dst.b, ip + 24, 16);
		tcp_check_fix(ip + 40, total, &src, &dst);
	}
}

static void tcp_check_fix(
		uint8_t *l4, uint32_t len, const struct ip_addr *src, const struct ip_addr *dst)
{
	uint16_t sum;

	if (len < 20)
		return;
	l4[16] = l4[17] = 0;
	sum = (uint16_t)~cksum_fold(cksum_pseudo(src, dst, IPPROTO_TCP, len) + cksum_sum(l4, len));
	memcpy(l4 + 16, &sum, 2);
}

static void segment_give(struct world *w, struct ip_pkt *pkt, uint8_t how)
{
	struct core *host = &w->host[1];
	struct conn *conn = &w->conn[ntohs(pkt->tuple.rport_be) % CONNS];
	uint32_t idx = conn->user[1].ctx_idx, i;
	struct tcp_ctx *ctx = idx != 0 ? &host->ctx[idx] : &host->ctx[host->listener];
	struct ip_tuple tuple;

	world_tuple(w, conn, 1, &tuple);
	if (idx != 0 && (how & HOW_RELATIVE)) {
		pkt->seg.seq += ctx->rcv_nxt;
		pkt->seg.ack += ctx->snd_una;
	}
	if (pkt->seg.len > 60000)
		pkt->seg.len = 60000;
	if (tcp_rx(&host->st, host, ctx, &pkt->seg, &tuple, w->now_us) == TCP_RX_OK && idx != 0 &&
			conn->user[1].ctx_idx == idx)
		world_edge_learn(host, ctx);
	w->now_us += 1000;
	world_timers_and_flush(w, 1);
	for (i = 0; i < CONNS; i++)
		world_check_conn(w, &w->conn[i]);
	fuzz_require(!w->failed, w->why);
}
