/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * struct virtio_net_hdr <-> mbuf flags.
 *
 * The kernel's partial checksum of a superframe has the length in the pseudo-header sum, DPDK's has
 * not: both conversions towards and from TX_TCP_SEG correct the field.
 *
 * Limits: csum requests are understood for TCP and UDP; for others the sum is filled in here.
 * OASIS virtio 1.2, 5.1.6.
 */
#include "engine/net/vnet.h"

#include <string.h>

#include <arpa/inet.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>

#include "engine/net/cksum.h"
#include "engine/net/port.h"

#define ETHER_BYTES 14u
#define CSUM_OFFSET_TCP 16u
#define CSUM_OFFSET_UDP 6u
#define TCP_CWR_FLAG 0x80u

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

static uint16_t load_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

void vnet_to_rx(const struct virtio_net_hdr *hdr, struct rte_mbuf *m)
{
	if (hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
	else if (hdr->flags & VIRTIO_NET_HDR_F_DATA_VALID)
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	if (hdr->gso_type != VIRTIO_NET_HDR_GSO_NONE) {
		m->ol_flags |= RTE_MBUF_F_RX_LRO;
		m->tso_segsz = hdr->gso_size;
		/* An aggregate exists only of segments whose checksums somebody has verified. */
		if (!(hdr->flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)))
			m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	}
}

/* Adds @len to the checksum field at @field, or takes it away. */
static void field_len(uint8_t *field, uint32_t len, bool take)
{
	uint16_t v, w = htons((uint16_t)len);

	memcpy(&v, field, 2);
	v = cksum_fold((uint64_t)v + (take ? (uint16_t)~w : w));
	memcpy(field, &v, 2);
}

void vnet_from_tx(struct rte_mbuf *m, struct virtio_net_hdr *hdr)
{
	uint64_t l4 = m->ol_flags & RTE_MBUF_F_TX_L4_MASK;
	uint32_t l4_off = (uint32_t)m->l2_len + m->l3_len;

	memset(hdr, 0, sizeof(*hdr));
	if (l4 != RTE_MBUF_F_TX_TCP_CKSUM && l4 != RTE_MBUF_F_TX_UDP_CKSUM &&
			!(m->ol_flags & RTE_MBUF_F_TX_TCP_SEG))
		return;
	hdr->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr->csum_start = (uint16_t)l4_off;
	hdr->csum_offset = l4 == RTE_MBUF_F_TX_UDP_CKSUM ? CSUM_OFFSET_UDP : CSUM_OFFSET_TCP;
	if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) {
		uint8_t *tcp = rte_pktmbuf_mtod_offset(m, uint8_t *, l4_off);

		hdr->gso_type = m->ol_flags & RTE_MBUF_F_TX_IPV4 ? VIRTIO_NET_HDR_GSO_TCPV4
								 : VIRTIO_NET_HDR_GSO_TCPV6;
		if (tcp[13] & TCP_CWR_FLAG)
			hdr->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
		hdr->gso_size = m->tso_segsz;
		hdr->hdr_len = (uint16_t)(l4_off + m->l4_len);
		field_len(tcp + CSUM_OFFSET_TCP, m->pkt_len - l4_off, false);
	}
}

/* Where the upper layer of a frame begins; both lengths 0 before. Return: its protocol, or 0. */
static uint8_t find_l4(const uint8_t *f, uint32_t len, uint32_t *l2_bytes, uint32_t *l3_bytes)
{
	uint32_t at = ETHER_BYTES;
	uint8_t proto = 0;
	uint16_t type;

	if (len < ETHER_BYTES + 4)
		return 0;
	type = load_be16(f + 12);
	if (type == 0x8100) {
		type = load_be16(f + 16);
		at += 4;
	}
	*l2_bytes = at;
	if (type == 0x0800 && len >= at + 20) {
		*l3_bytes = (f[at] & 0xfu) * 4;
		proto = f[at + 9];
	} else if (type == 0x86dd && len >= at + 40) {
		*l3_bytes = 40;
		proto = f[at + 6];
	}
	if (*l3_bytes < 20 || len < at + *l3_bytes + (proto == IPPROTO_TCP ? 20 : 8))
		return 0;
	return proto;
}

void vnet_from_rx(const struct rte_mbuf *m, struct virtio_net_hdr *hdr)
{
	const uint8_t *f = rte_pktmbuf_mtod(m, const uint8_t *);
	uint64_t sum_state = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
	bool is_super = (m->ol_flags & RTE_MBUF_F_RX_LRO) && m->tso_segsz > 0;
	uint32_t l2_bytes = 0, l3_bytes = 0;
	uint8_t proto;

	memset(hdr, 0, sizeof(*hdr));
	if (sum_state == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
		hdr->flags = VIRTIO_NET_HDR_F_DATA_VALID;
	if (sum_state != RTE_MBUF_F_RX_L4_CKSUM_NONE && !is_super)
		return;
	proto = find_l4(f, m->data_len, &l2_bytes, &l3_bytes);
	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP)
		return;
	hdr->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr->csum_start = (uint16_t)(l2_bytes + l3_bytes);
	hdr->csum_offset = proto == IPPROTO_TCP ? CSUM_OFFSET_TCP : CSUM_OFFSET_UDP;
	if (!is_super)
		return;
	hdr->gso_size = m->tso_segsz;
	if (proto == IPPROTO_UDP) {
		hdr->gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
		hdr->hdr_len = (uint16_t)(l2_bytes + l3_bytes + 8);
		return;
	}
	hdr->gso_type = l3_bytes == 40 && f[l2_bytes] >> 4 == 6 ? VIRTIO_NET_HDR_GSO_TCPV6
								: VIRTIO_NET_HDR_GSO_TCPV4;
	if (f[l2_bytes + l3_bytes + 13] & TCP_CWR_FLAG)
		hdr->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	hdr->hdr_len = (uint16_t)(l2_bytes + l3_bytes + (f[l2_bytes + l3_bytes + 12] >> 4) * 4);
}

/*
 * Computes the sum the kernel left out. Return: false when the offsets lie outside of the first
 * segment.
 */
static bool fill_in(const struct virtio_net_hdr *hdr, struct rte_mbuf *m)
{
	uint32_t start = hdr->csum_start, off = start + hdr->csum_offset;
	const struct rte_mbuf *s;
	uint64_t sum;
	uint32_t done;
	uint16_t field;

	if (start >= m->data_len || off + 2 > m->data_len)
		return false;
	done = m->data_len - start;
	sum = cksum_sum(rte_pktmbuf_mtod_offset(m, uint8_t *, start), done);
	for (s = m->next; s; s = s->next) {
		sum = cksum_add(sum, cksum_sum(rte_pktmbuf_mtod(s, const uint8_t *), s->data_len),
				done);
		done += s->data_len;
	}
	field = (uint16_t)~cksum_fold(sum);
	if (field == 0 && hdr->csum_offset == CSUM_OFFSET_UDP)
		field = 0xffff; /* RFC 768: 0 would mean "none" */
	memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, off), &field, 2);
	return true;
}

/* Asks the port to cut a TCP superframe. */
static bool ask_tso(const struct virtio_net_hdr *hdr, struct rte_mbuf *m, uint8_t proto)
{
	uint32_t l4_off = (uint32_t)m->l2_len + m->l3_len;
	uint8_t *tcp = rte_pktmbuf_mtod_offset(m, uint8_t *, l4_off);
	uint8_t type = hdr->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;

	if ((type != VIRTIO_NET_HDR_GSO_TCPV4 && type != VIRTIO_NET_HDR_GSO_TCPV6) ||
			proto != IPPROTO_TCP || hdr->gso_size == 0)
		return false;
	m->l4_len = (uint64_t)(tcp[12] >> 4) * 4;
	if (m->l4_len < 20 || l4_off + m->l4_len > m->data_len)
		return false;
	m->tso_segsz = hdr->gso_size;
	m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	field_len(tcp + CSUM_OFFSET_TCP, m->pkt_len - l4_off, true);
	return true;
}

bool vnet_to_tx(const struct virtio_net_hdr *hdr, uint32_t caps, struct rte_mbuf *m)
{
	uint32_t l2_bytes = 0, l3_bytes = 0;
	uint8_t proto;

	if (hdr->gso_type != VIRTIO_NET_HDR_GSO_NONE && !(caps & PORT_CAP_TSO))
		return false;
	if (!(hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return hdr->gso_type == VIRTIO_NET_HDR_GSO_NONE;
	proto = find_l4(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &l2_bytes, &l3_bytes);
	if (l2_bytes + l3_bytes != hdr->csum_start ||
			(proto != IPPROTO_TCP && proto != IPPROTO_UDP) ||
			!(caps & PORT_CAP_TX_CKSUM))
		return hdr->gso_type == VIRTIO_NET_HDR_GSO_NONE && fill_in(hdr, m);
	m->l2_len = l2_bytes;
	m->l3_len = l3_bytes;
	m->ol_flags |= l3_bytes == 40 && rte_pktmbuf_mtod(m, uint8_t *)[l2_bytes] >> 4 == 6
				       ? RTE_MBUF_F_TX_IPV6
				       : RTE_MBUF_F_TX_IPV4;
	m->ol_flags |= proto == IPPROTO_TCP ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM;
	return hdr->gso_type == VIRTIO_NET_HDR_GSO_NONE || ask_tso(hdr, m, proto);
}
