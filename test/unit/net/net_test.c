/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/unit/net/net_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <unistd.h>

#include <rte_eal.h>

const uint8_t nt_our_mac[6] = {2, 0, 0, 0, 0, 1};
const uint8_t nt_peer_mac[6] = {2, 0, 0, 0, 0, 2};

static struct rte_mempool *pool, *big_pool;

void nt_eal(void)
{
	char prefix[32];
	char *argv[] = {(char[]){"test"}, (char[]){"--no-pci"}, (char[]){"--no-huge"},
			(char[]){"-m"}, (char[]){"256"}, (char[]){"--no-telemetry"},
			(char[]){"--no-shconf"}, (char[]){"--log-level=error"}, (char[]){"-l"},
			(char[]){"0"}, prefix};

	if (pool)
		return;
	snprintf(prefix, sizeof(prefix), "--file-prefix=t%d", getpid());
	if (rte_eal_init((int)RTE_DIM(argv), argv) < 0) {
		fprintf(stderr, "EAL does not start\n");
		exit(1);
	}
	pool = rte_pktmbuf_pool_create("nt", 4095, 64, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	big_pool = rte_pktmbuf_pool_create("ntbig", 127, 0, 0, UINT16_MAX, 0);
	if (!pool || !big_pool) {
		fprintf(stderr, "no memory for the tests' pools\n");
		exit(1);
	}
}

struct rte_mempool *nt_pool(void)
{
	return pool;
}

struct rte_mempool *nt_big_pool(void)
{
	return big_pool;
}

struct rte_mbuf *nt_alloc(uint32_t bytes)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	if (!m)
		abort();
	m->data_len = (uint16_t)bytes;
	m->pkt_len = bytes;
	memset(rte_pktmbuf_mtod(m, void *), 0, bytes);
	return m;
}

static uint16_t rx_none(struct port *port, struct rte_mbuf **burst, uint16_t n)
{
	(void)port;
	(void)burst;
	(void)n;
	return 0;
}

static void tx_keep(struct port *port, struct rte_mbuf **burst, uint16_t n)
{
	struct nt_port *p = (struct nt_port *)port;
	uint16_t i;

	ck_assert_uint_le(p->sent_n + n, NT_SENT_MAX);
	for (i = 0; i < n; i++)
		p->sent[p->sent_n++] = burst[i];
	p->bursts++;
}

static const struct port_ops keep_ops = {.rx_burst = rx_none, .tx_burst = tx_keep};

void nt_port_init(struct nt_port *p, uint32_t caps)
{
	memset(p, 0, sizeof(*p));
	p->port.ops = &keep_ops;
	p->port.mtu = 1500;
	p->port.caps = caps;
	p->port.link_up = true;
	p->port.pool = pool;
	p->port.tso_bytes_max = caps & PORT_CAP_TSO ? 65535 : 0;
	memcpy(p->port.mac, nt_our_mac, 6);
}

void nt_port_clear(struct nt_port *p)
{
	rte_pktmbuf_free_bulk(p->sent, p->sent_n);
	p->sent_n = 0;
	p->bursts = 0;
}

struct ip_addr nt_addr(const char *text)
{
	struct ip_addr a;
	uint32_t v4_be;

	if (inet_pton(AF_INET, text, &v4_be) == 1)
		return ip_addr_from_v4(v4_be);
	ck_assert_int_eq(inet_pton(AF_INET6, text, a.b), 1);
	return a;
}

uint16_t nt_sum(const uint8_t *p, uint32_t len, uint32_t start)
{
	uint32_t i, sum = start;

	for (i = 0; i < len; i++) {
		sum += i & 1 ? (uint32_t)p[i] << 8 : p[i]; /* little-endian words in memory order */
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

uint16_t nt_l4_sum(const uint8_t *ip)
{
	uint32_t len, hdr;
	uint16_t sum;
	uint8_t tail[4] = {0, 6, 0, 0};

	if (ip[0] >> 4 == 4) {
		hdr = (ip[0] & 15u) * 4;
		len = (uint32_t)(ip[2] << 8 | ip[3]) - hdr;
		sum = nt_sum(ip + 12, 8, 0);
	} else {
		hdr = 40;
		len = (uint32_t)(ip[4] << 8 | ip[5]);
		sum = nt_sum(ip + 8, 32, 0);
	}
	tail[2] = (uint8_t)(len >> 8);
	tail[3] = (uint8_t)len;
	return nt_sum(ip + hdr, len, nt_sum(tail, 4, sum));
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

void nt_fix_ip(struct rte_mbuf *m)
{
	uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, 14);
	uint16_t sum;

	put16(ip + 10, 0);
	sum = (uint16_t)~nt_sum(ip, (ip[0] & 15u) * 4, 0);
	memcpy(ip + 10, &sum, 2);
}

void nt_fix_tcp(struct rte_mbuf *m)
{
	uint8_t *ip = rte_pktmbuf_mtod_offset(m, uint8_t *, 14),
		*tcp = ip + (ip[0] >> 4 == 4 ? (ip[0] & 15) * 4 : 40);
	uint16_t sum;

	put16(tcp + 16, 0);
	sum = (uint16_t)~nt_l4_sum(ip);
	memcpy(tcp + 16, &sum, 2);
}

static uint8_t *put_ether(struct rte_mbuf *m, bool is_v4, const struct nt_tcp *t)
{
	uint8_t *f = rte_pktmbuf_mtod(m, uint8_t *);

	memcpy(f, nt_our_mac, 6);
	memcpy(f + 6, nt_peer_mac, 6);
	f += 12;
	if (t->has_vlan) {
		put16(f, 0x8100);
		put16(f + 2, t->vlan_tci);
		f += 4;
	}
	put16(f, is_v4 ? 0x0800 : 0x86dd);
	return f + 2;
}

static uint8_t *put_v4(uint8_t *ip, const struct nt_tcp *t, const struct ip_addr *src,
		const struct ip_addr *dst, uint32_t l4_len)
{
	uint32_t hdr = 20u + t->ip_opt_len;
	uint16_t sum;

	memset(ip, 0, 20);
	ip[0] = (uint8_t)(0x40 | hdr / 4);
	ip[1] = t->tos;
	put16(ip + 2, hdr + l4_len);
	ip[8] = 61;
	ip[9] = 6;
	memcpy(ip + 12, &src->w_be[3], 4);
	memcpy(ip + 16, &dst->w_be[3], 4);
	memset(ip + 20, 1, t->ip_opt_len);
	sum = (uint16_t)~nt_sum(ip, hdr, 0);
	memcpy(ip + 10, &sum, 2);
	return ip + hdr;
}

static uint8_t *put_v6(uint8_t *ip, const struct nt_tcp *t, const struct ip_addr *src,
		const struct ip_addr *dst, uint32_t l4_len)
{
	put32(ip, 6u << 28 | (uint32_t)t->tos << 20);
	put16(ip + 4, l4_len + t->ext_len);
	ip[6] = t->ext_len ? t->ext_first : 6;
	ip[7] = 61;
	memcpy(ip + 8, src->b, 16);
	memcpy(ip + 24, dst->b, 16);
	if (t->ext_len)
		memcpy(ip + 40, t->ext, t->ext_len);
	return ip + 40 + t->ext_len;
}

static uint16_t pseudo(
		const struct ip_addr *src, const struct ip_addr *dst, uint8_t proto, uint32_t len)
{
	uint8_t tail[8] = {0, 0, 0, 0, 0, 0, 0, proto};
	uint32_t skip = ip_addr_is_v4(src) ? 12 : 0;

	put32(tail, len);
	return nt_sum(tail, 8,
			nt_sum(src->b + skip, 16 - skip, nt_sum(dst->b + skip, 16 - skip, 0)));
}

struct rte_mbuf *nt_tcp_frame(const struct nt_tcp *t)
{
	struct ip_addr src = nt_addr(t->src ? t->src : "10.0.0.2"),
		       dst = nt_addr(t->dst ? t->dst : "10.0.0.1");
	bool is_v4 = ip_addr_is_v4(&dst);
	uint32_t l4_len = 20u + t->opt_len + t->len, i;
	struct rte_mbuf *m = rte_pktmbuf_alloc(l4_len > 1500 ? big_pool : pool);
	uint8_t *ip, *tcp;
	uint16_t sum;

	ck_assert_ptr_nonnull(m);
	m->data_off = l4_len > 1500 ? 16 : m->data_off;
	ip = put_ether(m, is_v4, t);
	tcp = is_v4 ? put_v4(ip, t, &src, &dst, l4_len) : put_v6(ip, t, &src, &dst, l4_len);
	memset(tcp, 0, 20);
	put16(tcp, t->sport ? t->sport : 1000);
	put16(tcp + 2, t->dport ? t->dport : 80);
	put32(tcp + 4, t->seq);
	put32(tcp + 8, t->ack);
	tcp[12] = (uint8_t)((20 + t->opt_len) / 4 << 4);
	tcp[13] = t->flags ? t->flags : 0x10;
	put16(tcp + 14, 100);
	memcpy(tcp + 20, t->opt, t->opt_len);
	for (i = 0; i < t->len; i++)
		tcp[20 + t->opt_len + i] = nt_byte(i);
	sum = (uint16_t)~nt_sum(tcp, l4_len, pseudo(&src, &dst, 6, l4_len));
	memcpy(tcp + 16, &sum, 2);
	m->data_len = (uint16_t)(tcp + l4_len - rte_pktmbuf_mtod(m, uint8_t *));
	m->pkt_len = m->data_len;
	return m;
}

struct rte_mbuf *nt_icmp_frame(uint8_t type, uint8_t code, uint32_t word,
		const struct rte_mbuf *quoted, uint32_t quote_bytes)
{
	const uint8_t *q = rte_pktmbuf_mtod_offset(quoted, const uint8_t *, 14);
	bool is_v4 = q[0] >> 4 == 4;
	const struct nt_tcp t = {.tos = 0};
	struct ip_addr src = nt_addr(is_v4 ? "10.0.0.2" : "fd00::2"),
		       dst = nt_addr(is_v4 ? "10.0.0.1" : "fd00::1");
	struct rte_mbuf *m = nt_alloc(0);
	uint32_t len = 8 + quote_bytes;
	uint8_t *ip, *icmp;
	uint16_t sum;

	ip = put_ether(m, is_v4, &t);
	icmp = is_v4 ? put_v4(ip, &t, &src, &dst, len) : put_v6(ip, &t, &src, &dst, len);
	icmp[0] = type;
	icmp[1] = code;
	put16(icmp + 2, 0);
	put32(icmp + 4, word);
	memcpy(icmp + 8, q, quote_bytes);
	sum = (uint16_t)~nt_sum(icmp, len, is_v4 ? 0 : pseudo(&src, &dst, 58, len));
	memcpy(icmp + 2, &sum, 2);
	m->data_len = (uint16_t)(icmp + len - rte_pktmbuf_mtod(m, uint8_t *));
	m->pkt_len = m->data_len;
	ip[is_v4 ? 9 : 6] = is_v4 ? 1 : 58;
	if (is_v4)
		nt_fix_ip(m);
	return m;
}

uint32_t nt_flat(const struct rte_mbuf *m, uint8_t *out, uint32_t out_len)
{
	uint32_t n = 0;

	for (; m; m = m->next) {
		ck_assert_uint_le(n + m->data_len, out_len);
		memcpy(out + n, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);
		n += m->data_len;
	}
	return n;
}

int nt_run(Suite *s)
{
	SRunner *sr = srunner_create(s);
	int failed;

	srunner_set_fork_status(sr, CK_NOFORK); /* EAL does not survive a fork */
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
