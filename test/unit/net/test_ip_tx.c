/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/net/ip_tx.h"

#include <string.h>

#include "engine/net/net.h"
#include "test/unit/net/net_test.h"

#define CAPS_PACKET \
	(PORT_CAP_TX_CKSUM | PORT_CAP_TSO | PORT_CAP_MULTI_SEG | PORT_CAP_EXTBUF | PORT_CAP_TX_SYNC)

static struct nt_port port;
static struct net net;
static struct net_hop hop;
static struct ip_tuple t4, t6;
static uint8_t payload[70000], flat[70000];

static void start(uint32_t caps)
{
	struct net_conf conf = {.port = {&port.port}, .ports_n = 1};
	char err[128];

	nt_port_init(&port, caps);
	ck_assert_int_eq(net_init(&net, &conf, err, sizeof(err)), 0);
}

static void setup(void)
{
	uint32_t i;

	nt_eal();
	hop = (struct net_hop){.mtu = 1500,
			.port = 0,
			.dmac = {2, 0, 0, 0, 0, 2},
			.smac = {2, 0, 0, 0, 0, 1}};
	t4 = (struct ip_tuple){nt_addr("10.0.0.1"), nt_addr("10.0.0.2"), rte_cpu_to_be_16(80),
			rte_cpu_to_be_16(1000)};
	t6 = (struct ip_tuple){nt_addr("fd00::1"), nt_addr("fd00::2"), rte_cpu_to_be_16(80),
			rte_cpu_to_be_16(1000)};
	for (i = 0; i < sizeof(payload); i++)
		payload[i] = nt_byte(i);
}

static void teardown(void)
{
	nt_port_clear(&port);
	net_fini(&net);
	ck_assert_uint_eq(rte_mempool_in_use_count(nt_pool()), 0);
}

static struct tcp_txseg seg(uint32_t len)
{
	return (struct tcp_txseg){.seq = 1000,
			.ack = 2000,
			.wnd = 300,
			.flags = TCP_ACK | TCP_PSH,
			.len = len,
			.mss = 1448,
			.opt_len = 12,
			.opt = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}};
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Checks sent frame @i as an IPv4 segment of @len payload bytes from offset @off of the payload. */
static const uint8_t *check_v4(uint32_t i, uint32_t off, uint32_t len, uint8_t flags)
{
	const uint8_t *ip = flat + 14, *tcp = ip + 20;

	ck_assert_uint_eq(nt_flat(port.sent[i], flat, sizeof(flat)), port.sent[i]->pkt_len);
	ck_assert_uint_eq(port.sent[i]->pkt_len, 14 + 20 + 32 + len);
	ck_assert_mem_eq(flat, ((const uint8_t[]){2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45}),
			15);
	ck_assert_uint_eq(nt_sum(ip, 20, 0), 0xffff);
	ck_assert_uint_eq(ip[2] << 8 | ip[3], (int)(52 + len));
	ck_assert_uint_eq(be32(tcp + 4), 1000 + off);
	ck_assert_uint_eq(be32(tcp + 8), 2000);
	ck_assert_uint_eq(tcp[13], flags);
	ck_assert_mem_eq(tcp + 20, seg(0).opt, 12);
	ck_assert_mem_eq(tcp + 32, payload + off, len);
	return ip;
}

START_TEST(ip_tx_tcp__software_checksum_of_every_length)
{
	uint32_t len;

	start(0);
	for (len = 0; len < 200; len++) {
		struct tcp_txseg s = seg(len);
		struct net_iov iov[2] = {{payload, len / 3}, {payload + len / 3, len - len / 3}};

		ck_assert_int_eq(ip_tx_tcp(&net, &hop, &t4, &s, NULL, iov, 2), (int)len);
		ck_assert_int_eq(ip_tx_tcp(&net, &hop, &t6, &s, NULL, iov, 2), (int)len);
		net_tx_flush(&net);
		ck_assert_uint_eq(port.sent_n, 2);
		ck_assert_uint_eq(nt_l4_sum(check_v4(0, 0, len, TCP_ACK | TCP_PSH)), 0xffff);
		nt_flat(port.sent[1], flat, sizeof(flat));
		ck_assert_uint_eq(nt_l4_sum(flat + 14), 0xffff);
		ck_assert_mem_eq(flat + 14 + 40 + 32, payload, len);
		nt_port_clear(&port);
	}
}
END_TEST

START_TEST(ip_tx_tcp__offload_leaves_the_pseudo_header_sum)
{
	struct tcp_txseg s = seg(100);
	struct net_iov iov = {payload, 100};
	uint16_t field, expect;

	start(PORT_CAP_TX_CKSUM);
	ck_assert_int_eq(ip_tx_tcp(&net, &hop, &t4, &s, NULL, &iov, 1), 100);
	net_tx_flush(&net);
	check_v4(0, 0, 100, TCP_ACK | TCP_PSH);
	memcpy(&field, flat + 34 + 16, 2);
	expect = nt_sum((const uint8_t[]){10, 0, 0, 1, 10, 0, 0, 2, 0, 6, 0, 132}, 12, 0);
	ck_assert_uint_eq(field, expect);
	ck_assert_uint_eq(port.sent[0]->ol_flags, RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV4);
	ck_assert_uint_eq(port.sent[0]->l2_len, 14);
	ck_assert_uint_eq(port.sent[0]->l3_len, 20);
	ck_assert_uint_eq(port.sent[0]->l4_len, 32);
}
END_TEST

START_TEST(ip_tx_tcp__software_segmentation)
{
	struct tcp_txseg s = seg(4000);
	struct net_iov iov[3] = {{payload, 1}, {payload + 1, 2999}, {payload + 3000, 1000}};

	s.flags = TCP_ACK | TCP_PSH | TCP_FIN | TCP_CWR;
	start(0);
	ck_assert_int_eq(ip_tx_tcp(&net, &hop, &t4, &s, NULL, iov, 3), 4000);
	net_tx_flush(&net);
	ck_assert_uint_eq(port.sent_n, 3);
	ck_assert_uint_eq(nt_l4_sum(check_v4(0, 0, 1448, TCP_ACK | TCP_CWR)), 0xffff);
	ck_assert_uint_eq(nt_l4_sum(check_v4(1, 1448, 1448, TCP_ACK)), 0xffff);
	ck_assert_uint_eq(nt_l4_sum(check_v4(2, 2896, 1104, TCP_ACK | TCP_PSH | TCP_FIN)), 0xffff);
	ck_assert_uint_eq(net.stats.tx_segs, 3);
	ck_assert_uint_eq(net.stats.tx_frames, 3);
}
END_TEST

START_TEST(ip_tx_tcp__superframe_points_at_the_payload)
{
	struct tcp_txseg s = seg(60000);
	struct net_iov iov[2] = {{payload, 30000}, {payload + 30000, 30000}};
	uint16_t field;

	start(CAPS_PACKET);
	ck_assert_int_eq(ip_tx_tcp(&net, &hop, &t4, &s, NULL, iov, 2), 60000);
	net_tx_flush(&net);
	ck_assert_uint_eq(port.sent_n, 1);
	ck_assert_uint_eq(port.sent[0]->nb_segs, 3);
	ck_assert_ptr_eq(rte_pktmbuf_mtod(port.sent[0]->next, uint8_t *), payload);
	ck_assert(port.sent[0]->ol_flags & RTE_MBUF_F_TX_TCP_SEG);
	ck_assert_uint_eq(port.sent[0]->tso_segsz, 1448);
	check_v4(0, 0, 60000, TCP_ACK | TCP_PSH);
	memcpy(&field, flat + 34 + 16, 2);
	ck_assert_uint_eq(field, nt_sum((const uint8_t[]){10, 0, 0, 1, 10, 0, 0, 2, 0, 6}, 10,
						 0)); /* no length */
	ck_assert_uint_eq(net.stats.tx_segs, 42);
}
END_TEST

START_TEST(ip_tx_tcp__superframe_by_copy_without_sync)
{
	struct tcp_txseg s = seg(20000);
	struct net_iov iov = {payload, 20000};

	start(CAPS_PACKET & ~PORT_CAP_TX_SYNC);
	ck_assert_int_eq(ip_tx_tcp(&net, &hop, &t4, &s, NULL, &iov, 1), 20000);
	net_tx_flush(&net);
	ck_assert_uint_eq(port.sent_n, 1);
	memset(payload, 0, 20000); /* the bytes were taken */
	nt_flat(port.sent[0], flat, sizeof(flat));
	ck_assert_uint_eq(flat[66 + 19999], nt_byte(19999));
}
END_TEST

START_TEST(ip_tx_tcp__more_than_a_superframe_is_cut_at_a_multiple_of_mss)
{
	struct tcp_txseg s = seg(66000);
	struct net_iov iov = {payload, 66000};

	start(CAPS_PACKET);
	ck_assert_int_eq(ip_tx_tcp(&net, &hop, &t4, &s, NULL, &iov, 1), 66000);
	net_tx_flush(&net);
	ck_assert_uint_eq(port.sent_n, 2);
	check_v4(0, 0, 45 * 1448, TCP_ACK);
	check_v4(1, 45 * 1448, 66000 - 45 * 1448, TCP_ACK | TCP_PSH);
	ck_assert(!(port.sent[1]->ol_flags & RTE_MBUF_F_TX_TCP_SEG));
}
END_TEST

START_TEST(ip_tx_tcp__params)
{
	struct tcp_txseg s = seg(0);
	struct ip_tx_opt opt = {.dscp = 46, .ttl = 3, .may_fragment = true};

	s.ecn = 2;
	start(0);
	net.ip_id = 7;
	ck_assert_int_eq(ip_tx_tcp(&net, &hop, &t4, &s, &opt, NULL, 0), 0);
	ck_assert_int_eq(ip_tx_tcp(&net, &hop, &t4, &s, &opt, NULL, 0), 0);
	ck_assert_int_eq(ip_tx_tcp(&net, &hop, &t4, &s, NULL, NULL, 0), 0);
	opt.flow_label = 0xabcde;
	ck_assert_int_eq(ip_tx_tcp(&net, &hop, &t6, &s, &opt, NULL, 0), 0);
	net_tx_flush(&net);
	check_v4(0, 0, 0, TCP_ACK | TCP_PSH);
	ck_assert_mem_eq(flat + 14, ((const uint8_t[]){0x45, 46 << 2 | 2, 0, 52, 0, 7, 0, 0, 3, 6}),
			10);
	nt_flat(port.sent[1], flat, sizeof(flat));
	ck_assert_uint_eq(flat[14 + 5], 8);
	nt_flat(port.sent[2], flat, sizeof(flat));
	ck_assert_mem_eq(flat + 14, ((const uint8_t[]){0x45, 2, 0, 52, 0, 0, 0x40, 0, 64, 6}), 10);
	nt_flat(port.sent[3], flat, sizeof(flat));
	ck_assert_mem_eq(flat + 14, ((const uint8_t[]){0x6b, 0xaa, 0xbc, 0xde, 0, 32, 6, 3}), 8);
}
END_TEST

START_TEST(ip_tx_tcp__flow_label_is_of_the_connection)
{
	struct tcp_txseg s = seg(0);
	struct ip_tuple other = t6;
	uint8_t first[4];

	start(0);
	other.rport_be = 77;
	ip_tx_tcp(&net, &hop, &t6, &s, NULL, NULL, 0);
	ip_tx_tcp(&net, &hop, &t6, &s, NULL, NULL, 0);
	ip_tx_tcp(&net, &hop, &other, &s, NULL, NULL, 0);
	net_tx_flush(&net);
	memcpy(first, rte_pktmbuf_mtod_offset(port.sent[0], uint8_t *, 14), 4);
	ck_assert_uint_ne(be32(first) & 0xfffff, 0);
	ck_assert_mem_eq(rte_pktmbuf_mtod_offset(port.sent[1], uint8_t *, 14), first, 4);
	ck_assert_mem_ne(rte_pktmbuf_mtod_offset(port.sent[2], uint8_t *, 14), first, 4);
}
END_TEST

START_TEST(ip_tx_tcp__urgent_pointer_moves_with_the_pieces)
{
	struct tcp_txseg s = seg(3000);
	struct net_iov iov = {payload, 3000};

	s.flags = TCP_ACK | TCP_URG;
	s.urg = 2000;
	start(0);
	ck_assert_int_eq(ip_tx_tcp(&net, &hop, &t4, &s, NULL, &iov, 1), 3000);
	net_tx_flush(&net);
	check_v4(0, 0, 1448, TCP_ACK | TCP_URG);
	ck_assert_uint_eq(flat[34 + 18] << 8 | flat[34 + 19], 2000);
	check_v4(1, 1448, 1448, TCP_ACK | TCP_URG);
	ck_assert_uint_eq(flat[34 + 18] << 8 | flat[34 + 19], 552);
	check_v4(2, 2896, 104, TCP_ACK);
}
END_TEST

START_TEST(ip_tx_tcp__larger_than_the_path_is_refused)
{
	struct tcp_txseg s = seg(1448);
	struct net_iov iov = {payload, 1448};

	start(0);
	hop.mtu = 1499;
	ck_assert_int_eq(ip_tx_tcp(&net, &hop, &t4, &s, NULL, &iov, 1), -1);
	ck_assert_uint_eq(net.stats.tx_too_long, 1);
	hop.mtu = 1500;
	ck_assert_int_eq(ip_tx_tcp(&net, &hop, &t4, &s, NULL, &iov, 1), 1448);
	s.mss = 0;
	ck_assert_int_eq(ip_tx_tcp(&net, &hop, &t4, &s, NULL, &iov, 1), -1);
}
END_TEST

START_TEST(ip_tx_tcp__pool_empty_sends_what_it_can)
{
	struct rte_mbuf *all[4095];
	struct tcp_txseg s = seg(14480);
	struct net_iov iov = {payload, 14480};
	uint32_t n = 0;

	start(0);
	while (n < RTE_DIM(all) && (all[n] = rte_pktmbuf_alloc(nt_pool())) != NULL)
		n++;
	ck_assert_int_eq(ip_tx_tcp(&net, &hop, &t4, &s, NULL, &iov, 1), -1);
	ck_assert_uint_eq(net.stats.tx_no_mbuf, 1);
	rte_pktmbuf_free(all[--n]);
	rte_pktmbuf_free(all[--n]);
	ck_assert_int_eq(ip_tx_tcp(&net, &hop, &t4, &s, NULL, &iov, 1), 2 * 1448);
	net_tx_flush(&net);
	check_v4(1, 1448, 1448, TCP_ACK); /* PSH goes with the last byte, which stayed here */
	nt_port_clear(&port);
	port.port.caps = CAPS_PACKET; /* a superframe of two pieces needs three buffers */
	port.port.tso_bytes_max = 65535;
	ck_assert_int_eq(
			ip_tx_tcp(&net, &hop, &t4, &s, NULL,
					(struct net_iov[]){{payload, 5000}, {payload + 5000, 9480}},
					2),
			-1);
	rte_pktmbuf_free(all[--n]);
	ck_assert_int_eq(
			ip_tx_tcp(&net, &hop, &t4, &s, NULL,
					(struct net_iov[]){{payload, 5000}, {payload + 5000, 9480}},
					2),
			14480);
	rte_pktmbuf_free_bulk(all, n);
	net_tx_flush(&net);
}
END_TEST

START_TEST(ip_tx_tcp__bounded_by_segments_of_one_call)
{
	struct tcp_txseg s = seg(60000);
	struct net_iov iov = {payload, 60000};

	s.mss = 100;
	start(0);
	ck_assert_int_eq(ip_tx_tcp(&net, &hop, &t4, &s, NULL, &iov, 1),
			100 * (int)IP_TX_SOFT_SEGS_MAX);
	ck_assert_uint_eq(ip_tx_burst_bytes(&net, 0, 100), 100 * IP_TX_SOFT_SEGS_MAX);
	net_tx_flush(&net);
}
END_TEST

START_TEST(ip_tx_tcp__payload_pieces_that_end_early_are_no_overrun)
{
	struct tcp_txseg s = seg(200);
	struct net_iov iov = {payload, 100};

	start(0);
	ck_assert_int_eq(ip_tx_tcp(&net, &hop, &t4, &s, NULL, &iov, 1), -1);
}
END_TEST

START_TEST(net_tx_flush__batch_that_is_full_goes_at_once)
{
	struct tcp_txseg s = seg(0);
	uint32_t i;

	start(0);
	for (i = 0; i < NET_TX_BATCH - 1; i++)
		ip_tx_tcp(&net, &hop, &t4, &s, NULL, NULL, 0);
	ck_assert_uint_eq(port.sent_n, 0);
	ip_tx_tcp(&net, &hop, &t4, &s, NULL, NULL, 0);
	ck_assert_uint_eq(port.sent_n, NET_TX_BATCH);
	net_tx_flush(&net);
	ck_assert_uint_eq(port.bursts, 1);
}
END_TEST

START_TEST(ip_tx_burst_bytes__multiple_of_mss_within_a_superframe)
{
	start(CAPS_PACKET);
	ck_assert_uint_eq(ip_tx_burst_bytes(&net, 0, 1448), 45 * 1448);
	ck_assert_uint_eq(ip_tx_burst_bytes(&net, 0, 8948), 7 * 8948);
	ck_assert_uint_eq(ip_tx_mss(&hop, &t4.raddr), 1460);
	ck_assert_uint_eq(ip_tx_mss(&hop, &t6.raddr), 1440);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net/ip_tx");
	TCase *tc = tcase_create("ip_tx");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, ip_tx_tcp__software_checksum_of_every_length);
	tcase_add_test(tc, ip_tx_tcp__offload_leaves_the_pseudo_header_sum);
	tcase_add_test(tc, ip_tx_tcp__software_segmentation);
	tcase_add_test(tc, ip_tx_tcp__superframe_points_at_the_payload);
	tcase_add_test(tc, ip_tx_tcp__superframe_by_copy_without_sync);
	tcase_add_test(tc, ip_tx_tcp__more_than_a_superframe_is_cut_at_a_multiple_of_mss);
	tcase_add_test(tc, ip_tx_tcp__params);
	tcase_add_test(tc, ip_tx_tcp__flow_label_is_of_the_connection);
	tcase_add_test(tc, ip_tx_tcp__urgent_pointer_moves_with_the_pieces);
	tcase_add_test(tc, ip_tx_tcp__larger_than_the_path_is_refused);
	tcase_add_test(tc, ip_tx_tcp__pool_empty_sends_what_it_can);
	tcase_add_test(tc, ip_tx_tcp__bounded_by_segments_of_one_call);
	tcase_add_test(tc, ip_tx_tcp__payload_pieces_that_end_early_are_no_overrun);
	tcase_add_test(tc, net_tx_flush__batch_that_is_full_goes_at_once);
	tcase_add_test(tc, ip_tx_burst_bytes__multiple_of_mss_within_a_superframe);
	suite_add_tcase(s, tc);
	return nt_run(s);
}
