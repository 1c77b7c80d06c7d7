/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Received frame -> verdict.
 *
 * One function reads a frame once, checks every length before it uses it, and says what the frame
 * is. It decides by the bytes alone; whether the segment belongs to a context is the caller's
 * question. The caller prefetches rte_pktmbuf_mtod() of frames ahead (two lines: headers lie in the
 * first 128 bytes).
 *
 * RFC 791, RFC 8200, RFC 9293 3.1, RFC 1122 3.2.1, RFC 5722.
 */
#ifndef ENGINE_NET_IP_RX_H
#define ENGINE_NET_IP_RX_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "engine/net/addr.h"
#include "engine/net/icmp_rx.h"
#include "engine/net/net_stats.h"
#include "engine/net/port.h"
#include "engine/tcp/tcp_seg.h"

/* Each has its exit: the caller still owns the mbuf in all of them. */
enum ip_verdict {
	IP_RX_TCP,      /* pkt->tuple and pkt->seg are valid, checksums good */
	IP_RX_ICMP_ERR, /* pkt->icmp is valid: use it, and punt the frame too */
	IP_RX_FRAGMENT, /* for ip_frag_parse() */
	IP_RX_FOREIGN,  /* not for the engine: punt */
	IP_RX_DROP,     /* malformed: free */
};

/*
 * What a frame said. Fields below "TCP" are valid by verdict only; pointers point into the frame.
 */
struct ip_pkt {
	struct ip_tuple tuple; /* laddr = destination, raddr = source; ports and promise: TCP only */
	uint8_t verdict;       /* enum ip_verdict */
	uint8_t proto;         /* of the upper layer; 0 where not reached */
	uint8_t ttl;           /* or hop limit */
	uint8_t tos;           /* DSCP + ECN */
	bool is_v4;
	uint16_t l3_off; /* from the start of the frame */
	uint16_t l4_off;
	uint32_t l4_len; /* IP payload bytes behind extension headers */
	uint8_t smac[6]; /* who sent it: for route_resolve_reply() */
	union {
		struct tcp_seg seg;   /* IP_RX_TCP */
		struct icmp_err icmp; /* IP_RX_ICMP_ERR */
	};
};

/**
 * ip_rx_parse() - Parse and verify one received frame.
 * @stats: exactly one rx_* counter is incremented.
 * @port:  where it came from: its mac is compared with the destination.
 * @m:     one segment. Never consumed, never written.
 * @pkt:   filled up to what the verdict promises.
 *
 * TCP means: unicast to @port's MAC, unicast addresses that are not martian, a whole TCP header and
 * both checksums good (as the port says in ol_flags, else verified here). Not checked: that the
 * destination is an address of ours.
 *
 * Return: pkt->verdict.   Context: hot, core.   Source: RFC 1122 3.2.1, 4.2.2.7.
 */
enum ip_verdict ip_rx_parse(struct net_stats *stats, const struct port *port,
		const struct rte_mbuf *m, struct ip_pkt *pkt);
/* The same for what ip_frag_add() has made whole. Context: cold, core. */
enum ip_verdict ip_rx_parse_whole(struct net_stats *stats, const struct port *port,
		const struct rte_mbuf *m, struct ip_pkt *pkt);

#endif
