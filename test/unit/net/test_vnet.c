/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/net/vnet.h"

#include <string.h>

#include "engine/net/port.h"
#include "test/unit/net/net_test.h"

#define CAPS_ALL (PORT_CAP_TX_CKSUM | PORT_CAP_TSO | PORT_CAP_MULTI_SEG)

static struct virtio_net_hdr hdr;

static void setup(void)
{
	nt_eal();
	memset(&hdr, 0xee, sizeof(hdr));
}

static void teardown(void)
{
	ck_assert_uint_eq(rte_mempool_in_use_count(nt_pool()), 0);
}

static struct rte_mbuf *frame(bool v6, uint32_t len)
{
	return nt_tcp_frame(&(struct nt_tcp){
			.src = v6 ? "fd00::2" : NULL, .dst = v6 ? "fd00::1" : NULL, .len = len});
}

/* What the kernel leaves in the checksum field: the pseudo-header sum of @len bytes. */
static void make_partial(struct rte_mbuf *m, uint32_t len)
{
	uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, 14);
	uint8_t tail[4] = {0, 6, (uint8_t)(len >> 8), (uint8_t)len};
	bool v4 = ip[0] >> 4 == 4;
	uint16_t sum = nt_sum(tail, 4, nt_sum(ip + (v4 ? 12 : 8), v4 ? 8 : 32, 0));

	memcpy(ip + (v4 ? 20 : 40) + 16, &sum, 2);
}

static uint16_t field(struct rte_mbuf *m, uint32_t l4_off)
{
	uint16_t v;

	memcpy(&v, rte_pktmbuf_mtod_offset(m, uint8_t *, l4_off + 16), 2);
	return v;
}

START_TEST(vnet_to_rx__flags)
{
	struct rte_mbuf *m = frame(false, 10);

	hdr = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM};
	vnet_to_rx(&hdr, m);
	ck_assert_uint_eq(m->ol_flags, RTE_MBUF_F_RX_L4_CKSUM_NONE);
	m->ol_flags = 0;
	hdr.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	vnet_to_rx(&hdr, m);
	ck_assert_uint_eq(m->ol_flags, RTE_MBUF_F_RX_L4_CKSUM_GOOD);
	m->ol_flags = 0;
	hdr = (struct virtio_net_hdr){0};
	vnet_to_rx(&hdr, m);
	ck_assert_uint_eq(m->ol_flags, 0);
	hdr = (struct virtio_net_hdr){.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 1448};
	vnet_to_rx(&hdr, m);
	ck_assert_uint_eq(m->ol_flags, RTE_MBUF_F_RX_LRO | RTE_MBUF_F_RX_L4_CKSUM_GOOD);
	ck_assert_uint_eq(m->tso_segsz, 1448);
	rte_pktmbuf_free(m);
}
END_TEST

START_TEST(vnet_from_tx__plain_and_partial)
{
	struct rte_mbuf *m = frame(false, 10);

	vnet_from_tx(m, &hdr);
	ck_assert_mem_eq(&hdr, (const uint8_t[10]){0}, 10);
	m->ol_flags = RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV4;
	m->l2_len = 14;
	m->l3_len = 20;
	m->l4_len = 20;
	vnet_from_tx(m, &hdr);
	ck_assert_uint_eq(hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	ck_assert_uint_eq(hdr.csum_start, 34);
	ck_assert_uint_eq(hdr.csum_offset, 16);
	ck_assert_uint_eq(hdr.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	rte_pktmbuf_free(m);
}
END_TEST

START_TEST(vnet_to_tx__superframe_round_trip_keeps_the_kernels_sum)
{
	int v6;

	for (v6 = 0; v6 < 2; v6++) {
		struct rte_mbuf *m = frame(v6, 9000);
		uint32_t l4_off = v6 ? 54 : 34;
		struct virtio_net_hdr in = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				.csum_start = (uint16_t)l4_off,
				.csum_offset = 16,
				.gso_size = 1448,
				.hdr_len = (uint16_t)(l4_off + 20),
				.gso_type = v6 ? VIRTIO_NET_HDR_GSO_TCPV6
					       : VIRTIO_NET_HDR_GSO_TCPV4};
		uint16_t kernel, without;

		make_partial(m, 0);
		without = field(m, l4_off);
		make_partial(m, 9020);
		kernel = field(m, l4_off);
		ck_assert(vnet_to_tx(&in, CAPS_ALL, m));
		ck_assert_uint_eq(field(m, l4_off), without);
		ck_assert(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG);
		ck_assert_uint_eq(m->tso_segsz, 1448);
		ck_assert_uint_eq(m->l4_len, 20);
		vnet_from_tx(m, &hdr);
		ck_assert_mem_eq(&hdr, &in, sizeof(in));
		ck_assert_uint_eq(field(m, l4_off), kernel);
		rte_pktmbuf_free(m);
	}
}
END_TEST

START_TEST(vnet_to_tx__fills_in_where_the_port_cannot)
{
	int v6;

	for (v6 = 0; v6 < 2; v6++) {
		struct rte_mbuf *m = frame(v6, 11);

		hdr = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				.csum_start = v6 ? 54 : 34,
				.csum_offset = 16};
		make_partial(m, 31);
		ck_assert(vnet_to_tx(&hdr, 0, m));
		ck_assert_uint_eq(m->ol_flags, 0);
		ck_assert_uint_eq(nt_l4_sum(rte_pktmbuf_mtod_offset(m, uint8_t *, 14)), 0xffff);
		rte_pktmbuf_free(m);
	}
}
END_TEST

START_TEST(vnet_to_tx__fills_in_over_segments)
{
	struct rte_mbuf *m = frame(false, 11), *tail = nt_alloc(8);

	make_partial(m, 31);
	memcpy(rte_pktmbuf_mtod(tail, uint8_t *), rte_pktmbuf_mtod_offset(m, uint8_t *, 57),
			8); /* after 3 payload bytes: odd */
	m->data_len -= 8;
	m->pkt_len -= 8;
	ck_assert_int_eq(rte_pktmbuf_chain(m, tail), 0);
	hdr = (struct virtio_net_hdr){
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
	ck_assert(vnet_to_tx(&hdr, 0, m));
	ck_assert_int_eq(rte_pktmbuf_linearize(m), 0);
	ck_assert_uint_eq(nt_l4_sum(rte_pktmbuf_mtod_offset(m, uint8_t *, 14)), 0xffff);
	rte_pktmbuf_free(m);
}
END_TEST

START_TEST(vnet_to_tx__impossible_headers_are_refused)
{
	struct rte_mbuf *m = frame(false, 11);

	hdr = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.csum_start = 60000,
			.csum_offset = 16};
	ck_assert(!vnet_to_tx(&hdr, CAPS_ALL, m));
	hdr = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.csum_start = 34,
			.csum_offset = 60000};
	ck_assert(!vnet_to_tx(&hdr, 0, m));
	hdr = (struct virtio_net_hdr){.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 1448};
	ck_assert(!vnet_to_tx(&hdr, CAPS_ALL, m)); /* superframe without partial checksum */
	hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr.csum_start = 34;
	hdr.csum_offset = 16;
	ck_assert(!vnet_to_tx(&hdr, PORT_CAP_TX_CKSUM, m)); /* port cannot cut */
	hdr.gso_size = 0;
	ck_assert(!vnet_to_tx(&hdr, CAPS_ALL, m));
	hdr.gso_size = 1448;
	hdr.gso_type = VIRTIO_NET_HDR_GSO_UDP;
	ck_assert(!vnet_to_tx(&hdr, CAPS_ALL, m));
	hdr.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	*rte_pktmbuf_mtod_offset(m, uint8_t *, 46) =
			0xf0; /* header of 60 bytes in a frame that has 31 */
	ck_assert(!vnet_to_tx(&hdr, CAPS_ALL, m));
	rte_pktmbuf_free(m);
}
END_TEST

START_TEST(vnet_from_rx__tells_a_tap_what_the_port_knew)
{
	struct rte_mbuf *m = frame(false, 10);

	vnet_from_rx(m, &hdr);
	ck_assert_mem_eq(&hdr, (const uint8_t[10]){0}, 10);
	m->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE;
	vnet_from_rx(m, &hdr);
	ck_assert_uint_eq(hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	ck_assert_uint_eq(hdr.csum_start, 34);
	ck_assert_uint_eq(hdr.csum_offset, 16);
	rte_pktmbuf_free(m);
	m = frame(true, 9000);
	m->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_LRO;
	m->tso_segsz = 1428;
	vnet_from_rx(m, &hdr);
	ck_assert_uint_eq(hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV6);
	ck_assert_uint_eq(hdr.gso_size, 1428);
	ck_assert_uint_eq(hdr.hdr_len, 74);
	ck_assert_uint_eq(hdr.csum_start, 54);
	rte_pktmbuf_free(m);
	m = nt_tcp_frame(&(struct nt_tcp){.has_vlan = true, .vlan_tci = 5});
	m->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE;
	vnet_from_rx(m, &hdr);
	ck_assert_uint_eq(hdr.csum_start, 38);
	rte_pktmbuf_free(m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net/vnet");
	TCase *tc = tcase_create("vnet");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, vnet_to_rx__flags);
	tcase_add_test(tc, vnet_from_tx__plain_and_partial);
	tcase_add_test(tc, vnet_to_tx__superframe_round_trip_keeps_the_kernels_sum);
	tcase_add_test(tc, vnet_to_tx__fills_in_where_the_port_cannot);
	tcase_add_test(tc, vnet_to_tx__fills_in_over_segments);
	tcase_add_test(tc, vnet_to_tx__impossible_headers_are_refused);
	tcase_add_test(tc, vnet_from_rx__tells_a_tap_what_the_port_knew);
	suite_add_tcase(s, tc);
	return nt_run(s);
}
