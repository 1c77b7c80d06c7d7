/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of the network room share: EAL without hugepages, a pool, a port that keeps what
 * is sent, frames in one line, and a checksum computed the slow way.
 */
#ifndef TEST_UNIT_NET_NET_TEST_H
#define TEST_UNIT_NET_NET_TEST_H

#include <stdbool.h>
#include <stdint.h>

#include <check.h>
#include <rte_mbuf.h>

#include "engine/net/addr.h"
#include "engine/net/port.h"

#define NT_SENT_MAX 256u

extern const uint8_t nt_our_mac[6];
extern const uint8_t nt_peer_mac[6];

/* EAL and a pool of 2 KiB and of 64 KiB mbufs, once per process. */
void nt_eal(void);
struct rte_mempool *nt_pool(void);
struct rte_mempool *nt_big_pool(void);

/* An mbuf of the small pool, never NULL; and one of @bytes zero bytes. */
struct rte_mbuf *nt_alloc(uint32_t bytes);

/* A port that keeps what it is told to send. */
struct nt_port {
	struct port port;
	uint32_t sent_n;
	uint32_t bursts;
	struct rte_mbuf *sent[NT_SENT_MAX];
};
void nt_port_init(struct nt_port *p, uint32_t caps);
/* Frees what was sent. */
void nt_port_clear(struct nt_port *p);

/* "10.0.0.1" or "fd00::1" */
struct ip_addr nt_addr(const char *text);

/* A TCP segment to be framed. Zero fields mean: 10.0.0.2:1000 -> 10.0.0.1:80, ACK, window 100. */
struct nt_tcp {
	const char *src, *dst;
	uint16_t sport, dport;
	uint32_t seq, ack;
	uint8_t flags;
	uint8_t tos;
	uint8_t opt[40];
	uint8_t opt_len;
	uint32_t len;       /* payload bytes of nt_byte() */
	uint8_t ip_opt_len; /* IPv4: so many bytes of NOP options */
	const uint8_t *ext; /* IPv6: extension headers, the last one naming TCP */
	uint8_t ext_len, ext_first;
	bool has_vlan;
	uint16_t vlan_tci;
};
struct rte_mbuf *nt_tcp_frame(const struct nt_tcp *t);
/*
 * An ICMP error of @type/@code from 10.0.0.2 (or fd00::2) to us, quoting the first bytes of
 * @quoted's packet.
 */
struct rte_mbuf *nt_icmp_frame(uint8_t type, uint8_t code, uint32_t word,
		const struct rte_mbuf *quoted, uint32_t quote_bytes);

static inline uint8_t nt_byte(uint32_t i)
{
	return (uint8_t)(i * 7 + 3 + (i >> 8));
}

/* Folded sum of @len bytes at @p, odd lengths padded: one 16-bit word after the other. */
uint16_t nt_sum(const uint8_t *p, uint32_t len, uint32_t start);
/* Sum of the pseudo-header and TCP of the one-segment IP packet at @ip. 0xffff = good. */
uint16_t nt_l4_sum(const uint8_t *ip);
/* Recompute the IPv4 header checksum, or the TCP checksum, of a frame without VLAN. */
void nt_fix_ip(struct rte_mbuf *m);
void nt_fix_tcp(struct rte_mbuf *m);
/* All bytes of @m in one buffer. Return: length. */
uint32_t nt_flat(const struct rte_mbuf *m, uint8_t *out, uint32_t out_len);

/*
 * A network of two namespaces for tests with the kernel: this process moves into a fresh one that
 * holds veth "va" (no address), and a child in another holds "vb" with 10.99.0.2/24 and fd99::2/64,
 * knows 10.99.0.1 and fd99::1 to be at va's MAC, and echoes UDP and TCP on port 7; a datagram to
 * port 9 makes it send a frame tagged VLAN 5. Both vanish with the process. Before nt_eal().
 * Return: false when not root.
 */
bool nt_lab(void);
/*
 * A UDP datagram of @len bytes (@text, or nt_byte()) to the peer's port 7; its own checksum is 0, which
 * means none.
 */
#define NT_UDP_PORT 4444
struct rte_mbuf *nt_udp(uint32_t len, const char *text);
extern uint8_t nt_lab_mac_a[6], nt_lab_mac_b[6];

/* main() of a test: one suite, one process. */
int nt_run(Suite *s);

#endif
