/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/net/port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/net/net.h"
#include "engine/net/port_packet.h"
#include "test/unit/net/net_test.h"

#define SPEC ",big=128,small=512"
#define WAIT_MS 3000

static struct port *port;
static struct net net;
static struct net_hop hop;
static char err[256];

static void start(const char *spec)
{
	struct net_conf conf = {.ports_n = 1};

	port = port_open(spec, 0, err, sizeof(err));
	ck_assert_msg(port != NULL, "%s", err);
	conf.port[0] = port;
	ck_assert_int_eq(net_init(&net, &conf, err, sizeof(err)), 0);
	hop = (struct net_hop){.mtu = port->mtu};
	memcpy(hop.smac, port->mac, 6);
	memcpy(hop.dmac, nt_lab_mac_b, 6);
}

static void stop(void)
{
	struct rte_mempool *small = port->pool;

	net_fini(&net);
	ck_assert_uint_eq(rte_mempool_in_use_count(small), 0);
	port->ops->close(port);
	port = NULL;
}

/* After a failed test only. */
static void teardown(void)
{
	if (!port)
		return;
	net_fini(&net);
	port->ops->close(port);
	port = NULL;
}

/* The next frame that @want accepts; others are freed. NULL after WAIT_MS. */
static struct rte_mbuf *receive(bool (*want)(const struct rte_mbuf *m))
{
	struct pollfd p = {.fd = port->ops->sleep_fd(port), .events = POLLIN};
	struct rte_mbuf *m;

	while (poll(&p, 1, WAIT_MS) > 0) {
		while (port->ops->rx_burst(port, &m, 1) == 1) {
			if (want(m))
				return m;
			rte_pktmbuf_free(m);
		}
	}
	return NULL;
}

static bool is_udp_to_us(const struct rte_mbuf *m)
{
	const uint8_t *f = rte_pktmbuf_mtod(m, const uint8_t *);

	return m->data_len > 42 && f[12] == 8 && f[13] == 0 && f[23] == 17 &&
	       (f[36] << 8 | f[37]) == NT_UDP_PORT;
}

static bool is_tagged(const struct rte_mbuf *m)
{
	return m->data_len > 18 && rte_pktmbuf_mtod(m, const uint8_t *)[12] == 0x81;
}

static bool is_tcp(const struct rte_mbuf *m)
{
	return m->data_len >= 54 && rte_pktmbuf_mtod(m, const uint8_t *)[23] == 6;
}

static void send_one(struct rte_mbuf *m)
{
	net_tx_frame(&net, 0, m);
	net_tx_flush(&net);
}

static void echo_datagram(uint32_t len)
{
	struct rte_mbuf *m;
	uint32_t i;

	send_one(nt_udp(len, NULL));
	m = receive(is_udp_to_us);
	ck_assert_ptr_nonnull(m);
	ck_assert_uint_eq(m->nb_segs, 1);
	ck_assert_uint_ge(m->data_len, 42 + len);
	for (i = 0; i < len; i++)
		ck_assert_uint_eq(rte_pktmbuf_mtod(m, uint8_t *)[42 + i], nt_byte(i));
	/* the peer's kernel left the checksum to hardware that is not there */
	ck_assert_uint_eq(m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK, RTE_MBUF_F_RX_L4_CKSUM_NONE);
	rte_pktmbuf_free(m);
}

START_TEST(port_packet__datagrams_of_64_and_1500_bytes_come_back)
{
	start("packet:va,own" SPEC);
	ck_assert_uint_eq(port->mtu, 1500);
	ck_assert_mem_eq(port->mac, nt_lab_mac_a, 6);
	ck_assert(port->link_up && !port->kernel_shared && port->ifindex > 0);
	echo_datagram(22);
	echo_datagram(1472);
	ck_assert_uint_eq(port->stats.tx_frames, 2);
	stop();
}
END_TEST

/* ---- a client with no more TCP than the kernel at the other end needs ---- */

struct client {
	struct ip_tuple tuple;
	uint32_t snd_nxt, rcv_nxt;
	uint32_t super_n; /* superframes received */
	uint32_t bytes;   /* received in order */
	bool is_good;     /* all bytes were the expected ones */
};

static void client_send(struct client *c, uint8_t flags, const uint8_t *data, uint32_t len)
{
	struct tcp_txseg s = {.ack = c->rcv_nxt, .wnd = 65535, .flags = flags, .mss = 1440};
	uint32_t sent = 0;

	if (flags & TCP_SYN) {
		memcpy(s.opt, ((const uint8_t[]){2, 4, 1440 >> 8, 1440 & 255}), 4);
		s.opt_len = 4;
	}
	do {
		uint32_t rest = len - sent;
		const uint8_t *at = data ? data + sent : (const uint8_t *)"";
		struct net_iov iov[2] = {{at, rest / 3}, {at + rest / 3, rest - rest / 3}};
		int32_t n;

		s.seq = c->snd_nxt + sent;
		s.len = rest;
		n = ip_tx_tcp(&net, &hop, &c->tuple, &s, NULL, iov, 2);
		ck_assert_int_ge(n, len > 0); /* by software: a bounded number of segments */
		sent += (uint32_t)n;
	} while (sent < len);
	net_tx_flush(&net);
	c->snd_nxt += len + ((flags & TCP_SYN) ? 1 : 0);
}

/*
 * Takes one segment of the connection; acknowledges what it brings. Return: its flags, 0 = not
 * ours.
 */
static uint8_t client_take(struct client *c, struct rte_mbuf *m)
{
	struct ip_pkt pkt;
	uint32_t i;

	if (ip_rx_parse(&net.stats, port, m, &pkt) != IP_RX_TCP ||
			!ip_tuple_equal(&pkt.tuple, &c->tuple))
		return 0;
	if (pkt.seg.flags & TCP_SYN) {
		c->rcv_nxt = pkt.seg.seq + 1;
		return pkt.seg.flags;
	}
	if (pkt.seg.len == 0 || pkt.seg.seq != c->rcv_nxt)
		return pkt.seg.flags;
	for (i = 0; i < pkt.seg.len; i++)
		c->is_good &= pkt.seg.data[i] == nt_byte(c->bytes + i);
	c->super_n += pkt.seg.segs > 1;
	c->bytes += pkt.seg.len;
	c->rcv_nxt += pkt.seg.len;
	client_send(c, TCP_ACK, NULL, 0);
	return pkt.seg.flags;
}

static void client_run(const char *us, const char *peer, uint16_t sport)
{
	static uint8_t data[60000];
	struct client c = {.tuple = {nt_addr(us), nt_addr(peer), rte_cpu_to_be_16(sport),
					   rte_cpu_to_be_16(7)},
			.snd_nxt = 1000,
			.is_good = true};
	struct pollfd p = {.fd = port->ops->sleep_fd(port), .events = POLLIN};
	struct rte_mbuf *burst[PORT_BURST];
	bool is_open = false;
	uint32_t i, n, idle = 0;

	for (i = 0; i < sizeof(data); i++)
		data[i] = nt_byte(i);
	client_send(&c, TCP_SYN, NULL, 0);
	while (c.bytes < sizeof(data) && idle < 3) {
		idle = poll(&p, 1, WAIT_MS / 3) > 0 ? 0 : idle + 1;
		n = port->ops->rx_burst(port, burst, PORT_BURST);
		for (i = 0; i < n; i++) {
			uint8_t flags = client_take(&c, burst[i]);

			rte_pktmbuf_free(burst[i]);
			if ((flags & TCP_SYN) && !is_open) {
				is_open = true;
				client_send(&c, TCP_ACK, NULL, 0);
				client_send(&c, TCP_ACK | TCP_PSH, data,
						sizeof(data)); /* one superframe */
			}
		}
	}
	ck_assert(is_open);
	ck_assert_uint_eq(c.bytes, sizeof(data));
	ck_assert(c.is_good);
	ck_assert_uint_gt(c.super_n, 0);
	client_send(&c, TCP_RST | TCP_ACK, NULL, 0);
}

START_TEST(port_packet__superframe_of_60_kilobytes_is_echoed_by_the_kernel)
{
	start("packet:va,own" SPEC);
	client_run("10.99.0.1", "10.99.0.2", 5001);
	client_run("fd99::1", "fd99::2", 5002);
	ck_assert_uint_eq(port->stats.tx_errors, 0);
	ck_assert_uint_eq(port->stats.tx_dropped, 0);
	ck_assert_uint_eq(port->stats.rx_truncated, 0);
	ck_assert_uint_gt(net.stats.tx_segs, 84); /* 42 wire segments each */
	ck_assert_uint_eq(net.stats.rx_drop_tcp_cksum, 0);
	stop();
}
END_TEST

START_TEST(port_packet__filled_in_checksums_are_good_too)
{
	start("packet:va" SPEC);
	port->caps = PORT_CAP_MULTI_SEG; /* all by software: the peer's kernel verifies */
	client_run("10.99.0.1", "10.99.0.2", 5003);
	client_run("fd99::1", "fd99::2", 5004);
	stop();
}
END_TEST

START_TEST(port_packet__shared_device_gets_tcp_and_nothing_else)
{
	struct rte_mbuf *m;

	start("packet:va" SPEC);
	ck_assert(port->kernel_shared);
	send_one(nt_udp(22, NULL)); /* its echo is the kernel's */
	send_one(nt_udp(3, "tag")); /* and so is a tagged frame */
	client_run("10.99.0.1", "10.99.0.2", 5005);
	while (port->ops->rx_burst(port, &m, 1) == 1) {
		ck_assert(is_tcp(m));
		rte_pktmbuf_free(m);
	}
	ck_assert_uint_eq(net.stats.rx_foreign_proto + net.stats.rx_foreign_ether +
					  net.stats.rx_foreign_mac,
			0);
	stop();
}
END_TEST

START_TEST(port_packet__own_device_gets_tags_back)
{
	struct rte_mbuf *m;
	struct ip_pkt pkt;

	start("packet:va,own" SPEC);
	send_one(nt_udp(3, "tag"));
	m = receive(is_tagged);
	ck_assert_ptr_nonnull(m);
	ck_assert_uint_eq(m->data_len, 64);
	ck_assert_mem_eq(rte_pktmbuf_mtod(m, uint8_t *), nt_lab_mac_a, 6);
	ck_assert_mem_eq(rte_pktmbuf_mtod(m, uint8_t *) + 6, nt_lab_mac_b, 6);
	ck_assert_mem_eq(rte_pktmbuf_mtod(m, uint8_t *) + 12,
			((const uint8_t[]){0x81, 0, 0, 5, 8, 0, 0x45}), 7);
	ck_assert_int_eq(ip_rx_parse(&net.stats, port, m, &pkt), IP_RX_FOREIGN);
	rte_pktmbuf_free(m);
	stop();
}
END_TEST

START_TEST(port_packet__what_is_too_long_is_counted_and_the_rest_sent)
{
	start("packet:va,own" SPEC);
	net_tx_frame(&net, 0, nt_udp(1600, NULL));
	net_tx_frame(&net, 0, nt_udp(22, NULL));
	net_tx_flush(&net);
	ck_assert_uint_eq(port->stats.tx_errors, 1);
	ck_assert_uint_eq(port->stats.tx_frames, 1);
	rte_pktmbuf_free(receive(is_udp_to_us));
	stop();
}
END_TEST

/* As the kernel's own stack on a shared device does: another sender beneath the port's tap. */
static void send_beside(struct rte_mbuf *m)
{
	struct sockaddr_ll sll = {
			.sll_family = AF_PACKET, .sll_ifindex = port->ifindex, .sll_halen = 6};
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	ck_assert_int_eq(sendto(fd, rte_pktmbuf_mtod(m, void *), m->data_len, 0,
					 (struct sockaddr *)&sll, sizeof(sll)),
			m->data_len);
	close(fd);
	rte_pktmbuf_free(m);
}

START_TEST(port_packet__frames_sent_by_the_kernel_are_not_received)
{
	uint32_t i;
	struct rte_mbuf *m;

	start("packet:va,own" SPEC);
	for (i = 0; i < 10; i++)
		send_beside(nt_udp(22, NULL));
	send_one(nt_udp(22, NULL));
	m = receive(is_udp_to_us);
	ck_assert_ptr_nonnull(m);
	ck_assert_uint_eq(port->stats.rx_frames, 1); /* nothing came before the first echo */
	do {
		ck_assert_mem_eq(rte_pktmbuf_mtod(m, uint8_t *) + 6, nt_lab_mac_b, 6);
		rte_pktmbuf_free(m);
	} while (port->ops->rx_burst(port, &m, 1) == 1);
	stop();
}
END_TEST

static uint32_t gro_is_on(void)
{
	struct ethtool_value v = {.cmd = ETHTOOL_GGRO};
	struct ifreq ifr = {.ifr_name = "va", .ifr_data = (void *)&v};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	ck_assert_int_eq(ioctl(fd, SIOCETHTOOL, &ifr), 0);
	close(fd);
	return v.data;
}

START_TEST(port_packet__gro_is_on_while_open_if_wanted_and_put_back)
{
	ck_assert_uint_eq(gro_is_on(), 0);
	start("packet:va" SPEC); /* the kernel's device */
	ck_assert_uint_eq(gro_is_on(), 0);
	stop();
	start("packet:va,own,nogro" SPEC);
	ck_assert_uint_eq(gro_is_on(), 0);
	stop();
	start("packet:va,own" SPEC);
	ck_assert_uint_eq(gro_is_on(), 1);
	stop();
	ck_assert_uint_eq(gro_is_on(), 0);
	start("packet:va,gro" SPEC);
	ck_assert_uint_eq(gro_is_on(), 1);
	stop();
	ck_assert_uint_eq(gro_is_on(), 0);
}
END_TEST

START_TEST(port_packet__pool_empty_receives_later)
{
	struct rte_mbuf *held[256], *m;
	struct pollfd p = {.events = POLLIN};
	uint32_t n = 0, i;
	uint16_t got;

	start("packet:va,own,big=128,small=512");
	p.fd = port->ops->sleep_fd(port);
	for (i = 0; i < 200; i++)
		send_one(nt_udp(22, NULL));
	do {
		ck_assert_int_eq(poll(&p, 1, WAIT_MS), 1);
		got = port->ops->rx_burst(port, held + n, PORT_BURST);
		n += got;
	} while (got > 0 && n < RTE_DIM(held) - PORT_BURST);
	ck_assert_uint_eq(n, 128); /* all buffers are with us: the rest waits in the kernel */
	rte_pktmbuf_free_bulk(held, n);
	m = receive(is_udp_to_us);
	ck_assert_ptr_nonnull(m);
	rte_pktmbuf_free(m);
	stop();
}
END_TEST

START_TEST(port_packet__interface_down_is_no_disaster)
{
	struct rte_mbuf *m;

	start("packet:va,own" SPEC);
	ck_assert_int_eq(system("ip link set va down"), 0);
	send_one(nt_udp(22, NULL));
	ck_assert_uint_eq(port->stats.tx_dropped + port->stats.tx_errors, 1);
	/* ENETDOWN comes before all that waits */
	ck_assert_uint_eq(port->ops->rx_burst(port, &m, 1), 0);
	/* what the peer's kernel said of its own accord while va was up, an MLD report for instance */
	while (port->ops->rx_burst(port, &m, 1) == 1)
		rte_pktmbuf_free(m);
	ck_assert_int_eq(system("ip link set va up"), 0);
	send_one(nt_udp(22, NULL));
	m = receive(is_udp_to_us);
	ck_assert_ptr_nonnull(m);
	rte_pktmbuf_free(m);
	stop();
}
END_TEST

START_TEST(port_open__failure_names_what_is_wrong)
{
	static const struct {
		const char *spec, *word;
	} table[] = {
			{"eth0", "packet:<interface>"},
			{"packet:nosuch0", "nosuch0"},
			{"packet:", "no interface name"},
			{"packet:an-interface-name-too-long", "no interface name"},
			{"packet:va,fast", "'fast'"},
			{"packet:va,big=1", "'big=1'"},
			{"packet:va,big=x", "'big=x'"},
			{"packet:va,small=99999999999999999999", "small="},
			{"packet:va,big=60000", "big=N"},
	};
	uint32_t i;

	for (i = 0; i < RTE_DIM(table); i++) {
		err[0] = '\0';
		ck_assert_ptr_null(port_open(table[i].spec, 0, err, sizeof(err)));
		ck_assert_msg(strstr(err, table[i].word) != NULL, "%s: %s", table[i].spec, err);
	}
	ck_assert_uint_eq(gro_is_on(), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net/port_packet");
	TCase *tc = tcase_create("port_packet");

	if (!nt_lab()) {
		printf("skipped: needs root for network namespaces\n");
		return 77;
	}
	nt_eal();
	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, port_packet__datagrams_of_64_and_1500_bytes_come_back);
	tcase_add_test(tc, port_packet__superframe_of_60_kilobytes_is_echoed_by_the_kernel);
	tcase_add_test(tc, port_packet__filled_in_checksums_are_good_too);
	tcase_add_test(tc, port_packet__shared_device_gets_tcp_and_nothing_else);
	tcase_add_test(tc, port_packet__own_device_gets_tags_back);
	tcase_add_test(tc, port_packet__what_is_too_long_is_counted_and_the_rest_sent);
	tcase_add_test(tc, port_packet__frames_sent_by_the_kernel_are_not_received);
	tcase_add_test(tc, port_packet__gro_is_on_while_open_if_wanted_and_put_back);
	tcase_add_test(tc, port_packet__pool_empty_receives_later);
	tcase_add_test(tc, port_packet__interface_down_is_no_disaster);
	tcase_add_test(tc, port_open__failure_names_what_is_wrong);
	suite_add_tcase(s, tc);
	return nt_run(s);
}
