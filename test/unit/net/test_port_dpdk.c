/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/net/port.h"

#include <stdio.h>
#include <string.h>

#include <poll.h>

#include "test/unit/net/net_test.h"

#define WAITS_MAX 3000 /* of 1 ms: the driver has nothing to poll() on */

static char err[256];
static bool is_root;

static struct port *open_or_fail(const char *spec)
{
	struct port *port = port_open(spec, 0, err, sizeof(err));

	ck_assert_msg(port != NULL, "%s", err);
	return port;
}

static struct rte_mbuf *frame_of(struct port *port, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(port->pool);

	ck_assert_ptr_nonnull(m);
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
	memset(rte_pktmbuf_mtod(m, void *), 0x5a, len);
	return m;
}

START_TEST(port_dpdk__ring_loops)
{
	struct port *port = open_or_fail("dpdk:net_ring0");
	struct rte_mbuf *burst[PORT_BURST];
	uint16_t i, n;

	ck_assert_uint_eq(port->mtu, 1500);
	ck_assert(!port->kernel_shared);
	ck_assert_int_eq(port->ops->sleep_fd(port), -1);
	ck_assert_str_eq(port->name, "dpdk:net_ring0");
	for (i = 0; i < 10; i++)
		burst[i] = frame_of(port, 60u + i);
	port->ops->tx_burst(port, burst, 10);
	n = port->ops->rx_burst(port, burst, PORT_BURST);
	ck_assert_uint_eq(n, 10);
	for (i = 0; i < n; i++)
		ck_assert_uint_eq(burst[i]->pkt_len, 60u + i);
	ck_assert_uint_eq(port->stats.tx_frames, 10);
	ck_assert_uint_eq(port->stats.rx_frames, 10);
	ck_assert_uint_eq(port->stats.rx_bytes, 645);
	rte_pktmbuf_free_bulk(burst, n);
	port->ops->close(port);
}
END_TEST

START_TEST(port_dpdk__two_at_a_time_and_again_after_close)
{
	struct port *a = open_or_fail("dpdk:net_ring1"), *b = open_or_fail("dpdk:net_null0");
	struct rte_mbuf *m = frame_of(a, 60), *burst[PORT_BURST];
	uint16_t n;

	a->ops->tx_burst(a, &m, 1);
	n = b->ops->rx_burst(b, burst, 4); /* net_null invents frames */
	ck_assert_uint_eq(n, 4);
	b->ops->tx_burst(b, burst, n);
	ck_assert_uint_eq(b->stats.tx_frames, 4);
	ck_assert_uint_eq(a->ops->rx_burst(a, &m, 1), 1);
	rte_pktmbuf_free(m);
	b->ops->close(b);
	b = open_or_fail("dpdk:net_null0");
	b->ops->close(b);
	a->ops->close(a);
}
END_TEST

START_TEST(port_dpdk__too_long_is_dropped_and_counted)
{
	struct port *port = open_or_fail("dpdk:net_ring2");
	struct rte_mbuf *burst[2] = {frame_of(port, 1500 + 19), frame_of(port, 1514)};

	port->ops->tx_burst(port, burst, 2);
	ck_assert_uint_eq(port->stats.tx_errors, 1);
	ck_assert_uint_eq(port->stats.tx_frames, 1);
	ck_assert_uint_eq(port->ops->rx_burst(port, burst, 2), 1);
	ck_assert_uint_eq(burst[0]->pkt_len, 1514);
	rte_pktmbuf_free(burst[0]);
	port->ops->close(port);
}
END_TEST

START_TEST(port_dpdk__chains_become_one_segment_or_are_dropped)
{
	struct port *port = open_or_fail("dpdk:net_ring3");
	struct rte_mbuf *m = frame_of(port, 100);

	ck_assert_int_eq(rte_pktmbuf_chain(m, frame_of(port, 200)), 0);
	port->ops->tx_burst(port, &m, 1);
	ck_assert_uint_eq(port->ops->rx_burst(port, &m, 1), 1);
	ck_assert_uint_eq(m->nb_segs, 1);
	ck_assert_uint_eq(m->data_len, 300);
	rte_pktmbuf_free(m);
	m = frame_of(port, 1400);
	m->data_off = (uint16_t)(m->buf_len - 1400); /* no room behind */
	ck_assert_int_eq(rte_pktmbuf_chain(m, frame_of(port, 100)), 0);
	port->ops->tx_burst(port, &m, 1);
	ck_assert_uint_eq(port->ops->rx_burst(port, &m, 1), 0);
	ck_assert_uint_eq(port->stats.rx_truncated, 1);
	ck_assert_uint_eq(rte_mempool_in_use_count(port->pool), 0);
	port->ops->close(port);
}
END_TEST

START_TEST(port_dpdk__full_device_drops_and_counts)
{
	struct port *port = open_or_fail("dpdk:net_ring4");
	struct rte_mbuf *burst[PORT_BURST];
	uint32_t i, j, got = 0, n;

	for (i = 0; i < 64; i++) {
		for (j = 0; j < PORT_BURST; j++)
			burst[j] = frame_of(port, 60);
		port->ops->tx_burst(port, burst, PORT_BURST);
	}
	ck_assert_uint_gt(port->stats.tx_dropped, 0);
	ck_assert_uint_eq(port->stats.tx_dropped + port->stats.tx_frames, 64 * PORT_BURST);
	while ((n = port->ops->rx_burst(port, burst, PORT_BURST)) > 0) {
		got += n;
		rte_pktmbuf_free_bulk(burst, n);
	}
	ck_assert_uint_eq(got, port->stats.tx_frames);
	ck_assert_uint_eq(rte_mempool_in_use_count(port->pool), 0);
	port->ops->close(port);
}
END_TEST

START_TEST(port_dpdk__af_packet_shares_its_device_and_echoes)
{
	uint32_t waits_n = 0;
	bool is_back = false;
	struct rte_mbuf *m;
	struct port *port;

	if (!is_root)
		return;
	port = open_or_fail("dpdk:net_af_packet0,iface=va");
	ck_assert(port->kernel_shared && port->ifindex > 0);
	ck_assert_uint_eq(port->mtu, 1500);
	ck_assert_mem_eq(port->mac, nt_lab_mac_a, 6);
	ck_assert(!(port->caps & (PORT_CAP_TX_CKSUM | PORT_CAP_TSO)));
	m = nt_udp(22, NULL);
	port->ops->tx_burst(port, &m, 1);
	while (!is_back && waits_n++ < WAITS_MAX && poll(NULL, 0, 1) == 0) {
		while (port->ops->rx_burst(port, &m, 1) == 1) {
			const uint8_t *f = rte_pktmbuf_mtod(m, const uint8_t *);

			is_back |= m->data_len >= 64 && (f[36] << 8 | f[37]) == NT_UDP_PORT &&
				   f[42 + 21] == nt_byte(21);
			rte_pktmbuf_free(m);
		}
	}
	ck_assert(is_back);
	port->ops->stats_update(port);
	port->ops->close(port);
}
END_TEST

START_TEST(port_open__unknown_device_is_one_clear_line)
{
	ck_assert_ptr_null(port_open("dpdk:net_nosuch0", 0, err, sizeof(err)));
	ck_assert_ptr_nonnull(strstr(err, "net_nosuch0"));
	ck_assert_ptr_null(port_open("dpdk:", 0, err, sizeof(err)));
	ck_assert_ptr_nonnull(strstr(err, "no device name"));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net/port_dpdk");
	TCase *tc = tcase_create("port_dpdk");

	is_root = nt_lab();
	if (!is_root)
		printf("not root: the test on a kernel interface is left out\n");
	nt_eal();
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, port_dpdk__ring_loops);
	tcase_add_test(tc, port_dpdk__two_at_a_time_and_again_after_close);
	tcase_add_test(tc, port_dpdk__too_long_is_dropped_and_counted);
	tcase_add_test(tc, port_dpdk__chains_become_one_segment_or_are_dropped);
	tcase_add_test(tc, port_dpdk__full_device_drops_and_counts);
	tcase_add_test(tc, port_dpdk__af_packet_shares_its_device_and_echoes);
	tcase_add_test(tc, port_open__unknown_device_is_one_clear_line);
	suite_add_tcase(s, tc);
	return nt_run(s);
}
