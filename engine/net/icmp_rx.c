/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP errors about segments we sent: parsing, without belief.
 *
 * The checksum covers the whole message, the quote at least the IP header and the first 8 bytes of
 * TCP (ports and sequence number). A quote of something else, or too short to tell, is the kernel's
 * affair.
 *
 * RFC 792, RFC 4443 3, RFC 1191 4, RFC 5927.
 */
#include "engine/net/icmp_rx.h"

#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <eta/abi.h>

#include "engine/net/cksum.h"

/* Not from <netinet/ip_icmp.h>: its names are those of our kinds. */
#define V4_UNREACH 3
#define V4_UNREACH_PROTOCOL 2
#define V4_UNREACH_PORT 3
#define V4_UNREACH_FRAG 4
#define V4_UNREACH_NET_PROHIBITED 9
#define V4_UNREACH_HOST_PROHIBITED 10
#define V4_UNREACH_FILTERED 13
#define V4_TIME_EXCEEDED 11
#define V4_PARAM_PROBLEM 12
#define V4_UNREACH_CODES 16u
#define V6_UNREACH 1
#define V6_UNREACH_NO_ROUTE 0
#define V6_UNREACH_SCOPE 2
#define V6_UNREACH_ADDR 3
#define V6_TOO_BIG 2
#define V6_TIME_EXCEEDED 3
#define V6_PARAM_PROBLEM 4

#define ICMP_HDR_BYTES 8u
#define QUOTE_TCP_BYTES 8u

/* Return: enum icmp_kind, or -1 when the type is no error about a packet of ours. */
static int kind_v4(uint8_t type, uint8_t code)
{
	switch (type) {
	case V4_UNREACH:
		if (code == V4_UNREACH_FRAG)
			return ICMP_FRAG_NEEDED;
		if (code >= V4_UNREACH_CODES)
			return -1;
		if (code == V4_UNREACH_PROTOCOL || code == V4_UNREACH_PORT ||
				code == V4_UNREACH_NET_PROHIBITED ||
				code == V4_UNREACH_HOST_PROHIBITED || code == V4_UNREACH_FILTERED)
			return ICMP_UNREACH_HARD;
		return ICMP_UNREACH_SOFT;
	case V4_TIME_EXCEEDED: return ICMP_TIME_EXCEEDED;
	case V4_PARAM_PROBLEM: return ICMP_PARAM_PROBLEM;
	default: return -1;
	}
}

static int kind_v6(uint8_t type, uint8_t code)
{
	switch (type) {
	case V6_UNREACH:
		if (code == V6_UNREACH_NO_ROUTE || code == V6_UNREACH_SCOPE ||
				code == V6_UNREACH_ADDR)
			return ICMP_UNREACH_SOFT;
		return ICMP_UNREACH_HARD;
	case V6_TOO_BIG: return ICMP_FRAG_NEEDED;
	case V6_TIME_EXCEEDED: return ICMP_TIME_EXCEEDED;
	case V6_PARAM_PROBLEM: return ICMP_PARAM_PROBLEM;
	default: return -1;
	}
}

static uint16_t load_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t load_be32(const uint8_t *p)
{
	return (uint32_t)load_be16(p) << 16 | load_be16(p + 2);
}

static uint16_t router_mtu(const uint8_t *icmp, bool is_v4)
{
	uint32_t mtu = is_v4 ? load_be16(icmp + 6) : load_be32(icmp + 4);

	return mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)mtu;
}

/* Finds TCP in the quoted packet. Return: its first byte, addresses in @t; or NULL. */
static const uint8_t *quote_v4(const uint8_t *q, uint32_t len, struct ip_tuple *t)
{
	uint32_t hdr_bytes, v4_be;

	if (len < 20 || q[0] >> 4 != 4)
		return NULL;
	hdr_bytes = (q[0] & 0xfu) * 4;
	if (hdr_bytes < 20 || len < hdr_bytes + QUOTE_TCP_BYTES || q[9] != IPPROTO_TCP)
		return NULL;
	if (load_be16(q + 6) & 0x1fff) /* not the first fragment: no TCP header inside */
		return NULL;
	memcpy(&v4_be, q + 12, 4);
	t->laddr = ip_addr_from_v4(v4_be);
	memcpy(&v4_be, q + 16, 4);
	t->raddr = ip_addr_from_v4(v4_be);
	return q + hdr_bytes;
}

/* The engine sends no extension headers, hence TCP follows at once. */
static const uint8_t *quote_v6(const uint8_t *q, uint32_t len, struct ip_tuple *t)
{
	if (len < 40 + QUOTE_TCP_BYTES || q[0] >> 4 != 6 || q[6] != IPPROTO_TCP)
		return NULL;
	memcpy(t->laddr.b, q + 8, 16);
	memcpy(t->raddr.b, q + 24, 16);
	if (ip_addr_is_v4(&t->laddr) || ip_addr_is_v4(&t->raddr))
		return NULL;
	return q + 40;
}

ETA_COLD int icmp_rx_parse(const uint8_t *icmp, uint32_t len, bool is_v4, const struct ip_addr *src,
		const struct ip_addr *dst, struct icmp_err *err)
{
	const uint8_t *tcp;
	uint64_t sum = 0;
	int kind;

	if (len < ICMP_HDR_BYTES)
		return -1;
	kind = is_v4 ? kind_v4(icmp[0], icmp[1]) : kind_v6(icmp[0], icmp[1]);
	if (kind < 0)
		return 0;
	if (!is_v4)
		sum = cksum_pseudo(src, dst, IPPROTO_ICMPV6, len);
	if (cksum_fold(sum + cksum_sum(icmp, len)) != 0xffff)
		return -1;

	*err = (struct icmp_err){.kind = (uint8_t)kind, .type = icmp[0], .code = icmp[1]};
	if (is_v4)
		tcp = quote_v4(icmp + ICMP_HDR_BYTES, len - ICMP_HDR_BYTES, &err->tuple);
	else
		tcp = quote_v6(icmp + ICMP_HDR_BYTES, len - ICMP_HDR_BYTES, &err->tuple);
	if (!tcp || !ip_addr_equal(&err->tuple.laddr, dst))
		return 0;
	memcpy(&err->tuple.lport_be, tcp, 2);
	memcpy(&err->tuple.rport_be, tcp + 2, 2);
	err->seq = load_be32(tcp + 4);
	if (kind == ICMP_FRAG_NEEDED)
		err->mtu = router_mtu(icmp, is_v4);
	return 1;
}

/* By code of destination unreachable (RFC 792, RFC 1122 3.2.2.1, RFC 1812 5.2.7.1). */
static const uint8_t v4_unreach_status[] = {
		ETA_STATUS_NET_UNREACHABLE, /* 0 network */
		ETA_STATUS_UNREACHABLE,     /* 1 host */
		ETA_STATUS_NO_PROTOCOL,     /* 2 protocol */
		ETA_STATUS_REFUSED,         /* 3 port */
		ETA_STATUS_OK,              /* 4 fragmentation needed: no error */
		ETA_STATUS_ROUTE_FAILED,    /* 5 source route */
		ETA_STATUS_NET_UNREACHABLE, /* 6 network unknown */
		ETA_STATUS_HOST_DOWN,       /* 7 host unknown */
		ETA_STATUS_NO_NETWORK,      /* 8 source host isolated */
		ETA_STATUS_NET_UNREACHABLE, /* 9 network prohibited */
		ETA_STATUS_UNREACHABLE,     /* 10 host prohibited */
		ETA_STATUS_NET_UNREACHABLE, /* 11 network, for this TOS */
		ETA_STATUS_UNREACHABLE,     /* 12 host, for this TOS */
		ETA_STATUS_UNREACHABLE,     /* 13 filtered */
		ETA_STATUS_UNREACHABLE,     /* 14 precedence violation */
		ETA_STATUS_UNREACHABLE,     /* 15 precedence cutoff */
};

/* RFC 4443 3.1, RFC 6554 3.1 */
static const uint8_t v6_unreach_status[] = {
		ETA_STATUS_NET_UNREACHABLE, /* 0 no route */
		ETA_STATUS_DENIED,          /* 1 prohibited */
		ETA_STATUS_UNREACHABLE,     /* 2 beyond scope */
		ETA_STATUS_UNREACHABLE,     /* 3 address */
		ETA_STATUS_REFUSED,         /* 4 port */
		ETA_STATUS_DENIED,          /* 5 policy */
		ETA_STATUS_DENIED,          /* 6 reject route */
};

enum eta_status icmp_rx_status(const struct icmp_err *err)
{
	switch ((enum icmp_kind)err->kind) {
	case ICMP_FRAG_NEEDED: return ETA_STATUS_OK;
	case ICMP_TIME_EXCEEDED: return ETA_STATUS_UNREACHABLE;
	case ICMP_PARAM_PROBLEM: return ETA_STATUS_PROTOCOL;
	case ICMP_UNREACH_SOFT:
	case ICMP_UNREACH_HARD: break;
	}
	if (ip_addr_is_v4(&err->tuple.raddr))
		return err->code < sizeof(v4_unreach_status)
				       ? (enum eta_status)v4_unreach_status[err->code]
				       : ETA_STATUS_PROTOCOL;
	return err->code < sizeof(v6_unreach_status) ? (enum eta_status)v6_unreach_status[err->code]
						     : ETA_STATUS_PROTOCOL;
}
