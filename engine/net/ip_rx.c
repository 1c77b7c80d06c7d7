/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Received frame -> verdict: Ethernet, IPv4 or IPv6, TCP.
 *
 * A cursor {at, left} runs through the frame; a header is read only after its length was compared
 * with what is left. Whatever is legal but not ours is the kernel's (FOREIGN); what cannot be legal
 * is dropped.
 *
 * A superframe may be longer than one mbuf can be (64 KiB less headroom): the port then hands its
 * beginning, marked as LRO. It is taken as far as it reaches, without FIN and PSH; the peer sends
 * the rest again.
 *
 * Limits: VLAN tags other than priority tags (VID 0) are foreign. IPv6 jumbograms are dropped.
 *
 * RFC 791 3.1, RFC 8200 4, RFC 6946 (atomic fragments), RFC 1122 3.2.1, RFC 9293 3.1.
 */
#include "engine/net/ip_rx.h"

#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <eta/abi.h>

#include "engine/net/cksum.h"
#include "engine/net/ip6_ext.h"

#define ETHER_BYTES 14u
#define VLAN_BYTES 4u
#define ETHER_TYPE_IPV4 0x0800
#define ETHER_TYPE_IPV6 0x86dd
#define ETHER_TYPE_VLAN 0x8100
#define VLAN_VID_MASK 0x0fff
#define IPV4_BYTES_MIN 20u
#define IPV4_NO_OPTIONS 0x45 /* version, and length of the header */
#define IPV4_FRAGMENT 0x3fff /* MF, or an offset */
#define IPV6_BYTES 40u

/* One frame on its way through the parser. */
struct rx {
	struct net_stats *stats;
	const struct rte_mbuf *m;
	struct ip_pkt *pkt;
	const uint8_t *at; /* next header */
	uint32_t left;     /* bytes from @at to the end of what counts */
	bool is_cut;       /* a superframe without its end */
};

static inline enum ip_verdict leave(struct rx *rx, uint64_t *counter, enum ip_verdict verdict)
{
	(*counter)++;
	rx->pkt->verdict = (uint8_t)verdict;
	return verdict;
}

#define LEAVE(rx, counter, verdict) leave(rx, &(rx)->stats->counter, verdict)

static inline uint16_t load_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t load_be32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return ntohl(v);
}

static inline void advance(struct rx *rx, uint32_t bytes)
{
	rx->at += bytes;
	rx->left -= bytes;
}

/*
 * The port has verified the TCP or UDP checksum, or vouches for bytes whose checksum was never
 * filled in.
 */
static inline bool port_trusts_l4(const struct rte_mbuf *m)
{
	uint64_t f = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;

	return f == RTE_MBUF_F_RX_L4_CKSUM_GOOD || f == RTE_MBUF_F_RX_L4_CKSUM_NONE;
}

/* IP says the packet has @bytes from here on. Return: false when the frame has less. */
static inline bool limit(struct rx *rx, uint32_t bytes)
{
	if (bytes <= rx->left) {
		rx->left = bytes; /* what follows is Ethernet padding */
		return true;
	}
	rx->is_cut = (rx->m->ol_flags & RTE_MBUF_F_RX_LRO) && port_trusts_l4(rx->m);
	return rx->is_cut;
}

/* Options are rare. */
static inline bool v4_cksum_is_good(const uint8_t *ip, uint32_t hdr_bytes)
{
	uint64_t sum = hdr_bytes == IPV4_BYTES_MIN ? cksum_ipv4(ip) : cksum_sum(ip, hdr_bytes);

	return cksum_fold(sum) == 0xffff;
}

static inline bool v4_is_martian(const struct rx *rx)
{
	uint32_t src = ntohl(rx->pkt->tuple.raddr.w_be[3]);
	uint32_t dst = ntohl(rx->pkt->tuple.laddr.w_be[3]);

	return src >> 24 == 0 || src >> 24 == 127 || src >> 28 == 0xe || src == UINT32_MAX ||
	       dst >> 24 == 0 || dst >> 24 == 127;
}

static bool v6_is_martian(const struct rx *rx)
{
	const struct ip_addr *src = &rx->pkt->tuple.raddr, *dst = &rx->pkt->tuple.laddr;

	if (src->b[0] == 0xff || ip_addr_is_v4(src) || ip_addr_is_v4(dst))
		return true;
	/* ::/127 = unspecified and loopback */
	return (src->q[0] == 0 && src->w_be[2] == 0 && ntohl(src->w_be[3]) <= 1) ||
	       (dst->q[0] == 0 && dst->w_be[2] == 0 && ntohl(dst->w_be[3]) <= 1);
}

static inline uint16_t wire_segs(const struct rte_mbuf *m, uint32_t len)
{
	uint32_t n;

	if (!(m->ol_flags & RTE_MBUF_F_RX_LRO) || m->tso_segsz == 0)
		return 1;
	n = (len + m->tso_segsz - 1) / m->tso_segsz;
	return n == 0 ? 1 : (uint16_t)RTE_MIN(n, (uint32_t)UINT16_MAX);
}

static inline enum ip_verdict parse_tcp(struct rx *rx)
{
	struct ip_pkt *pkt = rx->pkt;
	struct tcp_seg *seg = &pkt->seg;
	const uint8_t *tcp = rx->at;
	uint32_t hdr_bytes;

	if (ETA_UNLIKELY(pkt->is_v4 ? v4_is_martian(rx) : v6_is_martian(rx)))
		return LEAVE(rx, rx_drop_martian, IP_RX_DROP);
	if (ETA_UNLIKELY(rx->left < TCP_HDR_BYTES))
		return LEAVE(rx, rx_drop_tcp_hdr, IP_RX_DROP);
	hdr_bytes = (tcp[12] >> 4) * 4u;
	if (ETA_UNLIKELY(hdr_bytes < TCP_HDR_BYTES || hdr_bytes > rx->left))
		return LEAVE(rx, rx_drop_tcp_hdr, IP_RX_DROP);
	if (!port_trusts_l4(rx->m)) {
		uint64_t sum = cksum_pseudo(
				&pkt->tuple.raddr, &pkt->tuple.laddr, IPPROTO_TCP, rx->left);

		if (ETA_UNLIKELY(cksum_fold(sum + cksum_sum(tcp, rx->left)) != 0xffff))
			return LEAVE(rx, rx_drop_tcp_cksum, IP_RX_DROP);
	}

	memcpy(&pkt->tuple.rport_be, tcp, 2);
	memcpy(&pkt->tuple.lport_be, tcp + 2, 2);
	seg->seq = load_be32(tcp + 4);
	seg->ack = load_be32(tcp + 8);
	seg->flags = tcp[13];
	seg->wnd = load_be16(tcp + 14);
	seg->urg = load_be16(tcp + 18);
	seg->ecn = pkt->tos & 3;
	seg->opt_len = (uint8_t)(hdr_bytes - TCP_HDR_BYTES);
	seg->opt = tcp + TCP_HDR_BYTES;
	seg->data = tcp + hdr_bytes;
	seg->len = rx->left - hdr_bytes;
	seg->segs = wire_segs(rx->m, seg->len);
	if (ETA_UNLIKELY(rx->is_cut))
		seg->flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	return LEAVE(rx, rx_tcp, IP_RX_TCP);
}

static enum ip_verdict parse_icmp(struct rx *rx)
{
	struct ip_pkt *pkt = rx->pkt;

	switch (icmp_rx_parse(rx->at, rx->left, pkt->is_v4, &pkt->tuple.raddr, &pkt->tuple.laddr,
			&pkt->icmp)) {
	case 1: return LEAVE(rx, rx_icmp_err, IP_RX_ICMP_ERR);
	case 0: return LEAVE(rx, rx_foreign_proto, IP_RX_FOREIGN);
	}
	return LEAVE(rx, rx_drop_icmp, IP_RX_DROP);
}

/* Behind the IP headers of an unfragmented packet. */
static inline enum ip_verdict parse_upper(struct rx *rx, uint8_t proto)
{
	struct ip_pkt *pkt = rx->pkt;

	pkt->proto = proto;
	pkt->l4_off = (uint16_t)(rx->at - rte_pktmbuf_mtod(rx->m, const uint8_t *));
	pkt->l4_len = rx->left;
	if (ETA_LIKELY(proto == IPPROTO_TCP))
		return parse_tcp(rx);
	if (proto == (pkt->is_v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return parse_icmp(rx);
	return LEAVE(rx, rx_foreign_proto, IP_RX_FOREIGN);
}

/* Options, which are looked at first, or a fragment. Return: is that the verdict, then in @pkt? Not given the cursor, which stays in registers. */
static ETA_COLD bool v4_is_odd(
		struct net_stats *stats, struct ip_pkt *pkt, const uint8_t *ip, uint32_t hdr_bytes)
{
	struct rx rx = {.stats = stats, .pkt = pkt};

	switch (ip4_opt_walk(ip + IPV4_BYTES_MIN, hdr_bytes - IPV4_BYTES_MIN)) {
	case IP4_OPT_BAD: LEAVE(&rx, rx_drop_ip_hdr, IP_RX_DROP); return true;
	case IP4_OPT_ROUTED: LEAVE(&rx, rx_routed, IP_RX_FOREIGN); return true;
	case IP4_OPT_SKIP: break;
	}
	if (load_be16(ip + 6) & IPV4_FRAGMENT)
		LEAVE(&rx, rx_fragment, IP_RX_FRAGMENT);
	return load_be16(ip + 6) & IPV4_FRAGMENT;
}

static inline enum ip_verdict parse_v4(struct rx *rx)
{
	const uint8_t *ip = rx->at;
	uint32_t hdr_bytes = IPV4_BYTES_MIN, total_bytes, v4_be;
	uint64_t cksum_flags = rx->m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;

	if (ETA_UNLIKELY(rx->left < IPV4_BYTES_MIN))
		return LEAVE(rx, rx_drop_runt, IP_RX_DROP);
	if (ETA_UNLIKELY(ip[0] != IPV4_NO_OPTIONS)) {
		hdr_bytes = (ip[0] & 0xfu) * 4;
		if (ip[0] >> 4 != 4 || hdr_bytes < IPV4_BYTES_MIN)
			return LEAVE(rx, rx_drop_ip_hdr, IP_RX_DROP);
	}
	total_bytes = load_be16(ip + 2);
	if (ETA_UNLIKELY(total_bytes < hdr_bytes))
		return LEAVE(rx, rx_drop_ip_hdr, IP_RX_DROP);
	if (ETA_UNLIKELY(!limit(rx, total_bytes) || hdr_bytes > rx->left))
		return LEAVE(rx, rx_drop_ip_len, IP_RX_DROP);
	if (cksum_flags != RTE_MBUF_F_RX_IP_CKSUM_GOOD &&
			ETA_UNLIKELY(!v4_cksum_is_good(ip, hdr_bytes)))
		return LEAVE(rx, rx_drop_ip_cksum, IP_RX_DROP);

	rx->pkt->is_v4 = true;
	rx->pkt->tos = ip[1];
	rx->pkt->ttl = ip[8];
	memcpy(&v4_be, ip + 12, 4);
	rx->pkt->tuple.raddr = ip_addr_from_v4(v4_be);
	memcpy(&v4_be, ip + 16, 4);
	rx->pkt->tuple.laddr = ip_addr_from_v4(v4_be);
	if (ETA_UNLIKELY((load_be16(ip + 6) & IPV4_FRAGMENT) | (hdr_bytes ^ IPV4_BYTES_MIN)) &&
			v4_is_odd(rx->stats, rx->pkt, ip, hdr_bytes))
		return (enum ip_verdict)rx->pkt->verdict;
	if (ETA_UNLIKELY(ip[16] >= 0xe0)) /* multicast, broadcast */
		return LEAVE(rx, rx_foreign_proto, IP_RX_FOREIGN);
	advance(rx, hdr_bytes);
	return parse_upper(rx, ip[9]);
}

/* Extension headers that do not end in an upper layer. */
static inline enum ip_verdict leave_ext(struct rx *rx, const struct ip6_ext *ext)
{
	switch ((enum ip6_ext_end)ext->end) {
	case IP6_EXT_FRAGMENT: return LEAVE(rx, rx_fragment, IP_RX_FRAGMENT);
	case IP6_EXT_UNKNOWN: return LEAVE(rx, rx_ext_unknown, IP_RX_FOREIGN);
	case IP6_EXT_ROUTED: return LEAVE(rx, rx_routed, IP_RX_FOREIGN);
	case IP6_EXT_UPPER: /* not here */
	case IP6_EXT_BAD: break;
	}
	return LEAVE(rx, rx_drop_ext, IP_RX_DROP);
}

static inline enum ip_verdict parse_v6(struct rx *rx)
{
	const uint8_t *ip = rx->at;
	uint8_t next;

	if (ETA_UNLIKELY(rx->left < IPV6_BYTES))
		return LEAVE(rx, rx_drop_runt, IP_RX_DROP);
	if (ETA_UNLIKELY(ip[0] >> 4 != 6))
		return LEAVE(rx, rx_drop_ip_hdr, IP_RX_DROP);
	advance(rx, IPV6_BYTES);
	if (ETA_UNLIKELY(!limit(rx, load_be16(ip + 4))))
		return LEAVE(rx, rx_drop_ip_len, IP_RX_DROP);

	rx->pkt->is_v4 = false;
	rx->pkt->tos = (uint8_t)(load_be16(ip) >> 4);
	rx->pkt->ttl = ip[7];
	memcpy(rx->pkt->tuple.raddr.b, ip + 8, 16);
	memcpy(rx->pkt->tuple.laddr.b, ip + 24, 16);
	if (ETA_UNLIKELY(rx->pkt->tuple.laddr.b[0] == 0xff))
		return LEAVE(rx, rx_foreign_proto, IP_RX_FOREIGN);
	next = ip[6];
	if (ETA_UNLIKELY(next != IPPROTO_TCP)) {
		struct ip6_ext ext = ip6_ext_walk(rx->at, rx->left, next);

		if (ext.end != IP6_EXT_UPPER)
			return leave_ext(rx, &ext);
		advance(rx, ext.bytes);
		next = ext.next;
	}
	return parse_upper(rx, next);
}

/*
 * Passes the Ethernet header and a priority tag. Return: the EtherType, 0 = a VLAN that is not
 * ours, or cut short.
 */
static inline uint16_t pass_ether(struct rx *rx)
{
	uint16_t type = load_be16(rx->at + 12);

	advance(rx, ETHER_BYTES);
	if (ETA_UNLIKELY(type == ETHER_TYPE_VLAN)) {
		if (rx->left < VLAN_BYTES || (load_be16(rx->at) & VLAN_VID_MASK) != 0)
			return 0;
		type = load_be16(rx->at + 2);
		advance(rx, VLAN_BYTES);
	}
	if ((rx->m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) &&
			(rx->m->vlan_tci & VLAN_VID_MASK) != 0)
		return 0;
	return type;
}

static __rte_always_inline enum ip_verdict parse(struct net_stats *stats, const struct port *port,
		const struct rte_mbuf *m, struct ip_pkt *pkt)
{
	struct rx rx = {.stats = stats, .m = m, .pkt = pkt, .left = m->data_len};
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	uint16_t type;

	rx.at = frame;
	pkt->proto = 0;
	if (ETA_UNLIKELY(m->nb_segs != 1))
		return LEAVE(&rx, rx_drop_chained, IP_RX_DROP);
	if (ETA_UNLIKELY(rx.left < ETHER_BYTES))
		return LEAVE(&rx, rx_drop_runt, IP_RX_DROP);
	memcpy(pkt->smac, frame + 6, 6);
	type = pass_ether(&rx);
	pkt->l3_off = (uint16_t)(rx.at - frame);
	if (ETA_UNLIKELY(type != ETHER_TYPE_IPV4 && type != ETHER_TYPE_IPV6))
		return LEAVE(&rx, rx_foreign_ether, IP_RX_FOREIGN);
	if (ETA_UNLIKELY(memcmp(frame, port->mac, 6) != 0)) {
		if (frame[0] & 1) /* group address: never TCP */
			return LEAVE(&rx, rx_foreign_proto, IP_RX_FOREIGN);
		return LEAVE(&rx, rx_foreign_mac, IP_RX_FOREIGN);
	}
	return type == ETHER_TYPE_IPV4 ? parse_v4(&rx) : parse_v6(&rx);
}

/* All in one, so that the cursor lives in registers; and with one caller, so that it becomes part of the receive loop. */
__attribute__((flatten)) enum ip_verdict ip_rx_parse(struct net_stats *stats,
		const struct port *port, const struct rte_mbuf *m, struct ip_pkt *pkt)
{
	return parse(stats, port, m, pkt);
}

ETA_COLD enum ip_verdict ip_rx_parse_whole(struct net_stats *stats, const struct port *port,
		const struct rte_mbuf *m, struct ip_pkt *pkt)
{
	return parse(stats, port, m, pkt);
}
