/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/net/ip_rx.h"

#include <string.h>

#include "test/unit/net/net_test.h"

static struct nt_port port;
static struct net_stats stats;
static struct ip_pkt pkt;

static void setup(void)
{
	nt_eal();
	nt_port_init(&port, 0);
	memset(&stats, 0, sizeof(stats));
}

/* Parses and frees @m; asserts that exactly one counter moved. */
static enum ip_verdict parse(struct rte_mbuf *m)
{
	const uint64_t *c = (const uint64_t *)&stats;
	enum ip_verdict v;
	uint64_t sum = 0;
	uint32_t i;

	memset(&stats, 0, sizeof(stats));
	memset(&pkt, 0xee, sizeof(pkt));
	v = ip_rx_parse(&stats, &port.port, m, &pkt);
	for (i = 0; i < NET_STATS_N; i++)
		sum += c[i];
	ck_assert_uint_eq(sum, 1);
	ck_assert_uint_eq(pkt.verdict, v);
	rte_pktmbuf_free(m);
	return v;
}

static struct rte_mbuf *frame(void)
{
	return nt_tcp_frame(&(struct nt_tcp){.len = 10});
}

static uint8_t *at(struct rte_mbuf *m, uint32_t off)
{
	return rte_pktmbuf_mtod_offset(m, uint8_t *, off);
}

START_TEST(ip_rx_parse__v4_segment)
{
	struct rte_mbuf *m = nt_tcp_frame(&(struct nt_tcp){.seq = 0x01020304,
			.ack = 0x05060708,
			.flags = TCP_PSH | TCP_ACK,
			.tos = 0x2b,
			.opt = {1, 1, 1, 0},
			.opt_len = 4,
			.len = 10});
	struct ip_addr a = nt_addr("10.0.0.2"), l = nt_addr("10.0.0.1");

	rte_mbuf_refcnt_update(m, 1);
	ck_assert_int_eq(parse(m), IP_RX_TCP);
	ck_assert(ip_addr_equal(&pkt.tuple.raddr, &a) && ip_addr_equal(&pkt.tuple.laddr, &l));
	ck_assert_uint_eq(rte_be_to_cpu_16(pkt.tuple.rport_be), 1000);
	ck_assert_uint_eq(rte_be_to_cpu_16(pkt.tuple.lport_be), 80);
	ck_assert_uint_eq(pkt.seg.seq, 0x01020304);
	ck_assert_uint_eq(pkt.seg.ack, 0x05060708);
	ck_assert_uint_eq(pkt.seg.flags, TCP_PSH | TCP_ACK);
	ck_assert_uint_eq(pkt.seg.wnd, 100);
	ck_assert_uint_eq(pkt.seg.ecn, 3);
	ck_assert_uint_eq(pkt.seg.opt_len, 4);
	ck_assert_uint_eq(pkt.seg.len, 10);
	ck_assert_uint_eq(pkt.seg.data[9], nt_byte(9));
	ck_assert_uint_eq(pkt.seg.segs, 1);
	ck_assert_uint_eq(pkt.ttl, 61);
	ck_assert_uint_eq(pkt.tos, 0x2b);
	ck_assert(pkt.is_v4);
	ck_assert_uint_eq(pkt.l3_off, 14);
	ck_assert_uint_eq(pkt.l4_off, 34);
	ck_assert_mem_eq(pkt.smac, nt_peer_mac, 6);
	rte_pktmbuf_free(m);
}
END_TEST

START_TEST(ip_rx_parse__v6_segment)
{
	struct ip_addr a = nt_addr("fd00::2");

	ck_assert_int_eq(parse(nt_tcp_frame(&(struct nt_tcp){
					 .src = "fd00::2", .dst = "fd00::1", .tos = 2, .len = 7})),
			IP_RX_TCP);
	ck_assert(!pkt.is_v4 && ip_addr_equal(&pkt.tuple.raddr, &a));
	ck_assert_uint_eq(pkt.seg.len, 7);
	ck_assert_uint_eq(pkt.seg.ecn, 2);
	ck_assert_uint_eq(pkt.l4_off, 54);
}
END_TEST

START_TEST(ip_rx_parse__ethernet_padding_is_no_payload)
{
	struct rte_mbuf *m = nt_tcp_frame(&(struct nt_tcp){.len = 0});

	m->data_len += 6;
	m->pkt_len += 6;
	memset(at(m, m->data_len - 6u), 0x55, 6);
	ck_assert_int_eq(parse(m), IP_RX_TCP);
	ck_assert_uint_eq(pkt.seg.len, 0);
}
END_TEST

START_TEST(ip_rx_parse__v4_options_are_skipped)
{
	ck_assert_int_eq(parse(nt_tcp_frame(&(struct nt_tcp){.ip_opt_len = 40, .len = 3})),
			IP_RX_TCP);
	ck_assert_uint_eq(pkt.seg.len, 3);
	ck_assert_uint_eq(pkt.l4_off, 14 + 60);
}
END_TEST

START_TEST(ip_rx_parse__any_flipped_bit_of_ip_header_and_segment_is_refused)
{
	struct rte_mbuf *m;
	uint32_t bit;

	for (bit = 0; bit < 50 * 8; bit++) {
		m = frame();
		*at(m, 14 + bit / 8) ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_eq(parse(m), IP_RX_DROP);
	}
}
END_TEST

START_TEST(ip_rx_parse__v6_flipped_bits_are_never_taken_as_tcp)
{
	struct rte_mbuf *m;
	uint32_t bit;

	for (bit = 0; bit < 60 * 8; bit++) {
		if (bit / 8 < 4 || bit / 8 == 7) /* covered by no checksum */
			continue;
		m = nt_tcp_frame(&(struct nt_tcp){.src = "fd00::2", .dst = "fd00::1"});
		*at(m, 14 + bit / 8) ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_ne(parse(m), IP_RX_TCP);
	}
}
END_TEST

START_TEST(ip_rx_parse__every_truncation_is_bounded)
{
	uint8_t copy[128];
	uint32_t len, total, cut;
	int v6;

	for (v6 = 0; v6 < 2; v6++) {
		struct rte_mbuf *m = nt_tcp_frame(&(struct nt_tcp){.src = v6 ? "fd00::2" : NULL,
				.dst = v6 ? "fd00::1" : NULL,
				.opt = {1, 1, 1, 1},
				.opt_len = 4,
				.len = 10});

		total = m->data_len;
		memcpy(copy, at(m, 0), total);
		rte_pktmbuf_free(m);
		for (len = 0; len < total; len++) {
			m = nt_alloc(0);
			cut = m->buf_len -
			      len; /* ends where the buffer ends: a read beyond is seen by ASan */
			m->data_off = (uint16_t)cut;
			m->data_len = (uint16_t)len;
			m->pkt_len = len;
			memcpy(at(m, 0), copy, len);
			ck_assert_int_eq(parse(m), IP_RX_DROP);
		}
	}
}
END_TEST

START_TEST(ip_rx_parse__port_that_knows_is_believed)
{
	struct rte_mbuf *m = frame();

	*at(m, 50) ^= 1;
	m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	ck_assert_int_eq(parse(m), IP_RX_TCP);
	m = frame();
	*at(m, 50) ^= 1;
	m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE; /* never filled in, bytes vouched for */
	ck_assert_int_eq(parse(m), IP_RX_TCP);
	m = frame();
	*at(m, 50) ^= 1;
	m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_BAD;
	ck_assert_int_eq(parse(m), IP_RX_DROP);
	ck_assert_uint_eq(stats.rx_drop_tcp_cksum, 1);
	m = frame();
	*at(m, 24) ^= 1;
	m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	ck_assert_int_eq(parse(m), IP_RX_TCP);
}
END_TEST

START_TEST(ip_rx_parse__bad_v4_headers)
{
	struct rte_mbuf *m = frame();

	*at(m, 14) = 0x44; /* 16 bytes */
	nt_fix_ip(m);
	ck_assert_int_eq(parse(m), IP_RX_DROP);
	ck_assert_uint_eq(stats.rx_drop_ip_hdr, 1);
	m = frame();
	*at(m, 16) = 0xff; /* longer than the frame */
	nt_fix_ip(m);
	ck_assert_int_eq(parse(m), IP_RX_DROP);
	ck_assert_uint_eq(stats.rx_drop_ip_len, 1);
	m = frame();
	*at(m, 17) = 19; /* shorter than its header */
	nt_fix_ip(m);
	ck_assert_int_eq(parse(m), IP_RX_DROP);
	ck_assert_uint_eq(stats.rx_drop_ip_hdr, 1);
	m = frame();
	*at(m, 24) ^= 0x40;
	ck_assert_int_eq(parse(m), IP_RX_DROP);
	ck_assert_uint_eq(stats.rx_drop_ip_cksum, 1);
}
END_TEST

START_TEST(ip_rx_parse__fragments_are_punted)
{
	struct rte_mbuf *m = frame();

	*at(m, 20) = 0x20; /* MF */
	nt_fix_ip(m);
	ck_assert_int_eq(parse(m), IP_RX_FRAGMENT);
	m = frame();
	*at(m, 21) = 1; /* offset 8 */
	nt_fix_ip(m);
	ck_assert_int_eq(parse(m), IP_RX_FRAGMENT);
	m = frame();
	*at(m, 20) = 0x40; /* DF */
	nt_fix_ip(m);
	ck_assert_int_eq(parse(m), IP_RX_TCP);
}
END_TEST

START_TEST(ip_rx_parse__martians)
{
	static const char *const bad_src[] = {
			"0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255"};
	static const char *const bad_src6[] = {"::1", "::", "ff02::1", "::ffff:10.0.0.2"};
	uint32_t i;

	for (i = 0; i < 4; i++) {
		ck_assert_int_eq(parse(nt_tcp_frame(&(struct nt_tcp){.src = bad_src[i]})),
				IP_RX_DROP);
		ck_assert_uint_eq(stats.rx_drop_martian, 1);
	}
	ck_assert_int_eq(parse(nt_tcp_frame(&(struct nt_tcp){.dst = "127.0.0.1"})), IP_RX_DROP);
	for (i = 0; i < 4; i++) {
		/* the checksum need not be good: martians are judged first */
		ck_assert_int_eq(parse(nt_tcp_frame(&(struct nt_tcp){
						 .src = bad_src6[i], .dst = "fd00::1"})),
				IP_RX_DROP);
		ck_assert_uint_eq(stats.rx_drop_martian, 1);
	}
}
END_TEST

START_TEST(ip_rx_parse__mapped_address_on_the_wire_is_refused)
{
	struct rte_mbuf *m = nt_tcp_frame(&(struct nt_tcp){.src = "fd00::2", .dst = "fd00::1"});
	struct ip_addr mapped = nt_addr("10.0.0.1");

	memcpy(at(m, 14 + 24), mapped.b, 16);
	nt_fix_tcp(m);
	ck_assert_int_eq(parse(m), IP_RX_DROP);
	ck_assert_uint_eq(stats.rx_drop_martian, 1);
}
END_TEST

START_TEST(ip_rx_parse__foreign_frames)
{
	struct rte_mbuf *m = frame();

	*at(m, 5) ^= 4;
	ck_assert_int_eq(parse(m), IP_RX_FOREIGN);
	ck_assert_uint_eq(stats.rx_foreign_mac, 1);
	m = frame();
	memset(at(m, 0), 0xff, 6);
	ck_assert_int_eq(parse(m), IP_RX_FOREIGN);
	ck_assert_uint_eq(stats.rx_foreign_proto, 1);
	m = frame();
	*at(m, 13) = 6; /* ARP */
	ck_assert_int_eq(parse(m), IP_RX_FOREIGN);
	ck_assert_uint_eq(stats.rx_foreign_ether, 1);
	m = frame();
	*at(m, 23) = 17; /* UDP */
	nt_fix_ip(m);
	ck_assert_int_eq(parse(m), IP_RX_FOREIGN);
	ck_assert_uint_eq(stats.rx_foreign_proto, 1);
	ck_assert_int_eq(parse(nt_tcp_frame(&(struct nt_tcp){.dst = "224.0.0.5"})), IP_RX_FOREIGN);
	ck_assert_int_eq(parse(nt_tcp_frame(&(struct nt_tcp){.src = "fd00::2", .dst = "ff02::1"})),
			IP_RX_FOREIGN);
}
END_TEST

START_TEST(ip_rx_parse__vlan_is_foreign_and_priority_tag_is_not)
{
	struct rte_mbuf *m;

	ck_assert_int_eq(parse(nt_tcp_frame(&(struct nt_tcp){.has_vlan = true, .vlan_tci = 5})),
			IP_RX_FOREIGN);
	ck_assert_int_eq(parse(nt_tcp_frame(&(struct nt_tcp){
					 .has_vlan = true, .vlan_tci = 0xe000, .len = 4})),
			IP_RX_TCP);
	ck_assert_uint_eq(pkt.l3_off, 18);
	ck_assert_uint_eq(pkt.seg.len, 4);
	m = frame();
	m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	m->vlan_tci = 5;
	ck_assert_int_eq(parse(m), IP_RX_FOREIGN);
}
END_TEST

START_TEST(ip_rx_parse__tcp_header_length)
{
	struct rte_mbuf *m = frame();

	*at(m, 46) = 0x40;
	nt_fix_tcp(m);
	ck_assert_int_eq(parse(m), IP_RX_DROP);
	ck_assert_uint_eq(stats.rx_drop_tcp_hdr, 1);
	m = frame(); /* 10 bytes of payload: an offset of 8 words is 2 bytes too many */
	*at(m, 46) = 0x80;
	nt_fix_tcp(m);
	ck_assert_int_eq(parse(m), IP_RX_DROP);
	ck_assert_uint_eq(stats.rx_drop_tcp_hdr, 1);
	m = frame();
	*at(m, 46) = 0x70;
	nt_fix_tcp(m);
	ck_assert_int_eq(parse(m), IP_RX_TCP);
	ck_assert_uint_eq(pkt.seg.opt_len, 8);
	ck_assert_uint_eq(pkt.seg.len, 2);
}
END_TEST

static enum ip_verdict parse_ext(uint8_t first, const uint8_t *ext, uint8_t len)
{
	return parse(nt_tcp_frame(&(struct nt_tcp){.src = "fd00::2",
			.dst = "fd00::1",
			.ext_first = first,
			.ext = ext,
			.ext_len = len,
			.len = 5}));
}

START_TEST(ip_rx_parse__v6_extension_headers)
{
	const uint8_t pad[8] = {6, 0, 1, 4, 0, 0, 0, 0}; /* PadN */
	const uint8_t two[16] = {60, 0, 1, 4, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0};
	const uint8_t unknown[8] = {6, 0, 0x9e, 4, 0, 0, 0, 0}; /* "discard if unknown" */
	const uint8_t overrun[8] = {6, 0, 1, 9, 0, 0, 0, 0};
	const uint8_t routed[8] = {6, 0, 0, 1, 0, 0, 0, 0}; /* segments left 1 */
	const uint8_t arrived[8] = {6, 0, 0, 0, 0, 0, 0, 0};
	const uint8_t fragment[8] = {6, 0, 0, 1, 0, 0, 0, 9}; /* M */
	const uint8_t atomic[8] = {6, 0, 0, 0, 0, 0, 0, 9};
	const uint8_t too_long[8] = {6, 20, 1, 4, 0, 0, 0, 0};

	ck_assert_int_eq(parse_ext(0, pad, 8), IP_RX_TCP);
	ck_assert_uint_eq(pkt.seg.len, 5);
	ck_assert_int_eq(parse_ext(0, two, 16), IP_RX_TCP);
	ck_assert_int_eq(parse_ext(60, unknown, 8), IP_RX_FOREIGN);
	ck_assert_uint_eq(stats.rx_ext_unknown, 1);
	ck_assert_int_eq(parse_ext(60, overrun, 8), IP_RX_FOREIGN);
	ck_assert_int_eq(parse_ext(43, routed, 8), IP_RX_FOREIGN);
	ck_assert_int_eq(parse_ext(43, arrived, 8), IP_RX_TCP);
	ck_assert_int_eq(parse_ext(44, fragment, 8), IP_RX_FRAGMENT);
	ck_assert_int_eq(parse_ext(44, atomic, 8), IP_RX_TCP);
	ck_assert_int_eq(parse_ext(0, too_long, 8), IP_RX_DROP);
	ck_assert_uint_eq(stats.rx_drop_ext, 1);
	ck_assert_int_eq(parse_ext(51, pad, 8), IP_RX_FOREIGN);
}
END_TEST

START_TEST(ip_rx_parse__source_routes_are_refused)
{
	static const uint8_t lsrr[] = {131, 7, 4, 10, 0, 0, 9, 0};
	static const uint8_t ssrr[] = {1, 137, 7, 4, 10, 0, 0, 9};
	static const uint8_t rr[] = {7, 7, 4, 0, 0, 0, 0, 0};
	static const uint8_t long_opt[] = {7, 9, 4, 0, 0, 0, 0, 0};
	static const uint8_t short_opt[] = {1, 1, 1, 7, 1, 0, 0, 0};
	static const uint8_t behind_end[] = {0, 131, 7, 4, 0, 0, 0, 0};
	static const struct {
		const uint8_t *opt;
		enum ip_verdict verdict;
	} table[] = {
			{lsrr, IP_RX_FOREIGN},
			{ssrr, IP_RX_FOREIGN},
			{rr, IP_RX_TCP},
			{long_opt, IP_RX_DROP},
			{short_opt, IP_RX_DROP},
			{behind_end, IP_RX_TCP},
	};
	static const uint8_t type0[] = {6, 0, 0, 1, 0, 0, 0, 0};

	for (uint32_t i = 0; i < RTE_DIM(table); i++) {
		struct rte_mbuf *m = nt_tcp_frame(&(struct nt_tcp){.ip_opt_len = 8, .len = 3});

		memcpy(at(m, 34), table[i].opt, 8);
		nt_fix_ip(m);
		ck_assert_int_eq(parse(m), table[i].verdict);
		ck_assert_uint_eq(stats.rx_routed, table[i].verdict == IP_RX_FOREIGN);
		ck_assert_uint_eq(stats.rx_drop_ip_hdr, table[i].verdict == IP_RX_DROP);
	}
	ck_assert_int_eq(parse_ext(43, type0, 8), IP_RX_FOREIGN);
	ck_assert_uint_eq(stats.rx_routed, 1);
}
END_TEST

START_TEST(ip_rx_parse__fragments_with_options_are_fragments)
{
	struct rte_mbuf *m = nt_tcp_frame(&(struct nt_tcp){.ip_opt_len = 8, .len = 4});

	*at(m, 20) = 0x20;
	nt_fix_ip(m);
	ck_assert_int_eq(parse(m), IP_RX_FRAGMENT);
}
END_TEST

START_TEST(ip_rx_parse__hop_by_hop_stands_first)
{
	static const uint8_t second[] = {0, 0, 1, 4, 0, 0, 0, 0, 6, 0, 1, 4, 0, 0, 0, 0};

	ck_assert_int_eq(parse_ext(60, second, 16), IP_RX_FOREIGN);
	ck_assert_uint_eq(stats.rx_ext_unknown, 1);
}
END_TEST

START_TEST(ip_rx_parse__v6_extension_walk_is_bounded)
{
	uint8_t ext[80];
	uint32_t i;

	for (i = 0; i < 10; i++)
		memcpy(ext + i * 8, (const uint8_t[]){i == 9 ? 6 : 60, 0, 1, 4, 0, 0, 0, 0}, 8);
	ck_assert_int_eq(parse_ext(60, ext, 80), IP_RX_DROP);
	ck_assert_uint_eq(stats.rx_drop_ext, 1);
	ck_assert_int_eq(parse_ext(60, ext + 16, 64), IP_RX_TCP);
}
END_TEST

START_TEST(ip_rx_parse__superframe_counts_wire_segments)
{
	struct rte_mbuf *m =
			nt_tcp_frame(&(struct nt_tcp){.len = 60000, .flags = TCP_ACK | TCP_FIN});

	m->ol_flags |= RTE_MBUF_F_RX_LRO;
	m->tso_segsz = 1448;
	ck_assert_int_eq(parse(m), IP_RX_TCP); /* checksum verified in software, over all of it */
	ck_assert_uint_eq(pkt.seg.len, 60000);
	ck_assert_uint_eq(pkt.seg.segs, 42);
	ck_assert_uint_eq(pkt.seg.flags, TCP_ACK | TCP_FIN);
}
END_TEST

START_TEST(ip_rx_parse__cut_superframe_gives_what_it_has)
{
	struct rte_mbuf *m = nt_tcp_frame(
			&(struct nt_tcp){.len = 60000, .flags = TCP_ACK | TCP_FIN | TCP_PSH});

	m->ol_flags |= RTE_MBUF_F_RX_LRO | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	m->tso_segsz = 1448;
	m->data_len -= 20;
	m->pkt_len -= 20;
	ck_assert_int_eq(parse(m), IP_RX_TCP);
	ck_assert_uint_eq(pkt.seg.len, 59980);
	ck_assert_uint_eq(pkt.seg.flags, TCP_ACK);
	m = nt_tcp_frame(&(struct nt_tcp){.len = 1000}); /* not so an ordinary frame */
	m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	m->data_len -= 20;
	m->pkt_len -= 20;
	ck_assert_int_eq(parse(m), IP_RX_DROP);
}
END_TEST

START_TEST(ip_rx_parse__chained_frame_is_dropped)
{
	struct rte_mbuf *m = frame(), *tail = nt_alloc(0);

	ck_assert_int_eq(rte_pktmbuf_chain(m, tail), 0);
	ck_assert_int_eq(parse(m), IP_RX_DROP);
	ck_assert_uint_eq(stats.rx_drop_chained, 1);
}
END_TEST

START_TEST(ip_rx_parse__icmp_error_about_tcp)
{
	struct rte_mbuf *ours = nt_tcp_frame(&(struct nt_tcp){
			.src = "10.0.0.1", .dst = "9.9.9.9", .sport = 80, .dport = 5, .seq = 77});

	ck_assert_int_eq(parse(nt_icmp_frame(3, 4, 1400, ours, 28)), IP_RX_ICMP_ERR);
	ck_assert_uint_eq(pkt.icmp.kind, ICMP_FRAG_NEEDED);
	ck_assert_uint_eq(pkt.icmp.mtu, 1400);
	ck_assert_uint_eq(pkt.icmp.seq, 77);
	ck_assert_int_eq(parse(nt_icmp_frame(8, 0, 1400, ours, 28)), IP_RX_FOREIGN); /* echo */
	rte_pktmbuf_free(ours);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net/ip_rx");
	TCase *tc = tcase_create("ip_rx_parse");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, ip_rx_parse__v4_segment);
	tcase_add_test(tc, ip_rx_parse__v6_segment);
	tcase_add_test(tc, ip_rx_parse__ethernet_padding_is_no_payload);
	tcase_add_test(tc, ip_rx_parse__v4_options_are_skipped);
	tcase_add_test(tc, ip_rx_parse__any_flipped_bit_of_ip_header_and_segment_is_refused);
	tcase_add_test(tc, ip_rx_parse__v6_flipped_bits_are_never_taken_as_tcp);
	tcase_add_test(tc, ip_rx_parse__every_truncation_is_bounded);
	tcase_add_test(tc, ip_rx_parse__port_that_knows_is_believed);
	tcase_add_test(tc, ip_rx_parse__bad_v4_headers);
	tcase_add_test(tc, ip_rx_parse__fragments_are_punted);
	tcase_add_test(tc, ip_rx_parse__martians);
	tcase_add_test(tc, ip_rx_parse__mapped_address_on_the_wire_is_refused);
	tcase_add_test(tc, ip_rx_parse__foreign_frames);
	tcase_add_test(tc, ip_rx_parse__vlan_is_foreign_and_priority_tag_is_not);
	tcase_add_test(tc, ip_rx_parse__tcp_header_length);
	tcase_add_test(tc, ip_rx_parse__v6_extension_headers);
	tcase_add_test(tc, ip_rx_parse__source_routes_are_refused);
	tcase_add_test(tc, ip_rx_parse__fragments_with_options_are_fragments);
	tcase_add_test(tc, ip_rx_parse__hop_by_hop_stands_first);
	tcase_add_test(tc, ip_rx_parse__v6_extension_walk_is_bounded);
	tcase_add_test(tc, ip_rx_parse__superframe_counts_wire_segments);
	tcase_add_test(tc, ip_rx_parse__cut_superframe_gives_what_it_has);
	tcase_add_test(tc, ip_rx_parse__chained_frame_is_dropped);
	tcase_add_test(tc, ip_rx_parse__icmp_error_about_tcp);
	suite_add_tcase(s, tc);
	return nt_run(s);
}
