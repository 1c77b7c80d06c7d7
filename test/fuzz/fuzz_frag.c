/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IP fragments: any of them, in any order, through parser and reassembly.
 *
 * The input is a list of fragments {how, id, offset, length} of a few packets. What a byte of a packet is depends on packet and offset
 * alone, so that two fragments never disagree about one, and whatever is put together can be checked without a model. `how` chooses
 * family, more-fragments, whether the first bytes are a TCP header, the header that is named, options or extension headers before it,
 * ECN, and whether a few bytes of the frame are spoilt behind the checksums' back. Now and then time passes.
 *
 * Holds when exactly one counter moves at each exit, a whole packet has the bytes that its fragments had and is one frame, the table
 * keeps its invariants, and no buffer is lost.
 */
#include <stdlib.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "engine/net/cksum.h"
#include "engine/net/ip_frag.h"
#include "engine/net/ip_rx.h"
#include "test/fuzz/fuzz.h"
#include "test/lib/pair.h"

#define STEPS_MAX 256u
#define FRAME_BYTES_MAX 2048u

#define HOW_V6 0x01u
#define HOW_MORE 0x02u
#define HOW_NOISE 0x04u /* spoil bytes */
#define HOW_ODD 0x08u   /* another upper layer, or options */
#define HOW_TIME 0x10u
#define HOW_CUT 0x20u /* the frame ends early */

static struct ip_frag *frag;
static struct net_stats stats;
static struct port port;
static bool was_noisy; /* this input: what was spoilt may stand in any packet, or name another */
static const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	pair_eal_init();
	frag = ip_frag_create("fuzz", 0);
	fuzz_require(frag != NULL, "memory");
	memcpy(port.mac, our_mac, 6);
	port.mtu = 1500;
	return 0;
}

static uint8_t byte_of(uint32_t id, uint32_t off)
{
	static const uint8_t tcp[20] = {4, 210, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10};

	return off < sizeof(tcp) ? tcp[off] : (uint8_t)(off * 31 + (off >> 8) + id * 7);
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* Return: bytes of the frame. */
static uint32_t frame_make(
		uint8_t *f, uint8_t how, uint32_t id, uint32_t off, uint32_t len, uint8_t odd)
{
	uint32_t hdr = 14, ext = (how & HOW_ODD) && (odd & 1) ? 8 : 0;
	uint8_t *ip = f + 14, next = (how & HOW_ODD) && (odd & 2) ? 60 : 6;

	memset(f, 0, 128);
	memcpy(f, our_mac, 6);
	put16(f + 12, how & HOW_V6 ? 0x86dd : 0x0800);
	if (how & HOW_V6) {
		hdr += 40 + ext + 8;
		put16(ip, 0x6000 | (odd & 0x30));
		put16(ip + 4, ext + 8 + len);
		ip[6] = ext ? 60 : 44;
		ip[8] = ip[24] = 0xfd;
		ip[23] = 2;
		ip[39] = 1;
		if (ext)
			memcpy(ip + 40, (const uint8_t[]){44, 0, 1, 4}, 4);
		memcpy(ip + 40 + ext, (const uint8_t[]){next, 0, 0, 0, 0, 0, 0, (uint8_t)id}, 8);
		put16(ip + 42 + ext, off | !!(how & HOW_MORE));
	} else {
		hdr += 20 + ext;
		ip[0] = (uint8_t)(0x45 + ext / 4);
		ip[1] = odd >> 4 & 3;
		put16(ip + 2, 20 + ext + len);
		put16(ip + 4, id);
		put16(ip + 6, off / 8 | (how & HOW_MORE ? 0x2000 : 0));
		ip[8] = 64;
		ip[9] = next;
		memcpy(ip + 12, (const uint8_t[]){10, 0, 0, 2, 10, 0, 0, 1}, 8);
		memset(ip + 20, 1, ext);
	}
	for (uint32_t i = 0; i < len; i++)
		f[hdr + i] = byte_of(id, off + i);
	return hdr + len;
}

static uint64_t exits(void)
{
	return stats.frag_kept + stats.frag_whole + stats.frag_dup + stats.frag_drop_overlap +
	       stats.frag_drop_ecn + stats.frag_drop_room + stats.frag_drop_spoilt;
}

static void whole_check(struct rte_mbuf *m, const struct ip_frag_piece *p)
{
	uint32_t hdr = 14 + (p->is_v4 ? 20 : 40), i;
	uint32_t id = p->is_v4 ? p->id : ntohl(p->id);
	const uint8_t *f = rte_pktmbuf_mtod(m, const uint8_t *);
	struct ip_pkt pkt;

	fuzz_require(m->nb_segs == 1 && m->data_len == m->pkt_len && m->data_len > hdr,
			"a whole packet is one frame");
	for (i = hdr; i < m->data_len; i++)
		fuzz_require(f[i] == byte_of(id, i - hdr), "a byte is where its fragment put it");
	i = (uint32_t)ip_rx_parse(&stats, &port, m, &pkt);
	/* by its length; its checksum is not good, unless by chance */
	fuzz_require(stats.rx_drop_ip_hdr + stats.rx_drop_ip_len + stats.rx_drop_ip_cksum +
									stats.rx_drop_runt ==
							0 &&
					i != IP_RX_FRAGMENT,
			"its headers are good");
}

static void fragment_run(struct fuzz_in *in, uint64_t *now_us)
{
	uint8_t how = fuzz_u8(in), odd = how & (HOW_ODD | HOW_V6) ? fuzz_u8(in) : 0,
		built[FRAME_BYTES_MAX + 128];
	uint32_t id = fuzz_u8(in), off = how & 0x80 ? fuzz_u16(in) : fuzz_u8(in);
	uint32_t len = fuzz_u8(in) * (how & 0x40 ? 8u : 1u), n;
	struct ip_frag_piece piece;
	struct rte_mbuf m, *whole;
	enum ip_frag_kind kind;
	struct ip_pkt pkt;
	uint64_t before;
	uint16_t sum;

	id %= 80; /* more than there is room for */
	off = off * 8 & 0xfff8;
	was_noisy |= (how & HOW_NOISE) != 0;
	n = frame_make(built, how, id, off, len, odd);
	for (uint32_t i = 0; how & HOW_NOISE && i < 3; i++) {
		uint8_t *at = &built[fuzz_u8(in) % RTE_MIN(n, 80u)];

		*at ^= fuzz_u8(in);
	}
	if (!(how & HOW_V6) && n >= 34 && (built[14] & 15u) * 4 + 14 <= n) {
		put16(built + 24, 0);
		sum = (uint16_t)~cksum_fold(cksum_sum(built + 14, (built[14] & 15u) * 4));
		memcpy(built + 24, &sum, 2);
	}
	if (how & HOW_CUT)
		n -= RTE_MIN(n, (uint32_t)fuzz_u8(in));
	if (how & HOW_TIME)
		*now_us += fuzz_u8(in) * 1000000ull;
	/* memory of its own size: a sanitizer sees what is read behind it */
	memset(&m, 0, sizeof(m));
	m.buf_addr = malloc(n ? n : 1);
	memcpy(m.buf_addr, built, n);
	m.buf_len = m.data_len = (uint16_t)n;
	m.pkt_len = n;
	m.nb_segs = 1;
	if (odd & 0x80)
		m.ol_flags = RTE_MBUF_F_RX_LRO |
			     RTE_MBUF_F_RX_L4_CKSUM_GOOD; /* may say more than it has */
	memset(&stats, 0, sizeof(stats));
	if (ip_rx_parse(&stats, &port, &m, &pkt) == IP_RX_FRAGMENT) {
		kind = ip_frag_parse(&m, &pkt, &piece);
		if (kind == IP_FRAG_FIRST || kind == IP_FRAG_LATER) {
			before = exits();
			whole = ip_frag_add(frag, &stats, &piece, *now_us);
			fuzz_require(exits() == before + 1, "one counter for one fragment");
			if (whole && !was_noisy)
				whole_check(whole, &piece);
			rte_pktmbuf_free(whole);
		}
	}
	free(m.buf_addr);
	fuzz_require(ip_frag_check(frag) == NULL, "invariants of the table");
	fuzz_require(rte_mempool_in_use_count(frag->pool) <= frag->used_n,
			"a buffer for each packet");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	uint64_t now_us = 1000000;

	was_noisy = false;
	for (uint32_t i = 0; i < STEPS_MAX && in.left != 0; i++)
		fragment_run(&in, &now_us);
	ip_frag_sweep(frag, &stats, now_us + IP_FRAG_V6_US);
	fuzz_require(frag->used_n == 0, "everything expires");
	fuzz_require(rte_mempool_in_use_count(frag->pool) == 0, "no buffer is lost");
	return 0;
}
