/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP segment -> frames.
 *
 * Given a resolved hop, the tuple and the header fields, the output builds Ethernet + IP + TCP
 * headers and takes the payload from up to IP_TX_IOVS_MAX pieces of shared memory. Three ways,
 * chosen by what the port offers:
 *
 *   superframe  PORT_CAP_TSO and more than one mss: one frame, cut by the port
 *   by address  PORT_CAP_TX_SYNC (with checksum offload and multi-segment): the frame points at the
 *               bytes in place; they are read when the batch is flushed, in the same turn of the
 *               loop. No copy: 3.5 times the rate of superframes
 *   by copy     else: one pass copies and sums
 *
 * Software segmentation repeats the options, advances seq, keeps FIN and PSH for the last piece and
 * CWR for the first.
 *
 * Frames wait in a batch per port until net_tx_flush(), or until the batch is full. There is no
 * timer.
 *
 * RFC 9293 3.1, RFC 1071, RFC 6864 (IPv4 ID: atomic datagrams), RFC 6437 (flow label), RFC 1191
 * (DF).
 */
#ifndef ENGINE_NET_IP_TX_H
#define ENGINE_NET_IP_TX_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "engine/net/addr.h"
#include "engine/net/net_stats.h"
#include "engine/net/port.h"
#include "engine/net/route.h"
#include "engine/tcp/tcp_seg.h"

#define NET_TX_BATCH 64u        /* frames of one port's batch */
#define IP_TX_IOVS_MAX 20u      /* pieces of payload: 64 KiB in 4 KiB chunks, unaligned, and room */
#define IP_TX_SOFT_SEGS_MAX 32u /* wire segments of one call by software segmentation */

struct net;

/* Frames of one port that wait for the end of the turn. */
struct net_tx {
	struct port *port;
	uint32_t n;
	struct rte_mbuf *frame[NET_TX_BATCH];
};

/* A piece of payload. In memory that another side may write at any moment: read once. */
struct net_iov {
	const uint8_t *base;
	uint32_t len;
};

/* What a socket chose for its packets. */
struct ip_tx_opt {
	uint8_t dscp;        /* 0 .. 63; ECN comes from the segment */
	uint8_t ttl;         /* 0 = 64 */
	bool may_fragment;   /* IPv4: leave DF clear (IP_PMTUDISC_DONT) */
	uint32_t flow_label; /* IPv6, 20 bits; 0 = hash of the tuple */
};

/**
 * ip_tx_tcp() - Build and queue the frames of one segment.
 * @hop:  ROUTE_OK, or the turn-around of a test: smac, dmac, port, mtu are used.
 * @seg:  header fields; seg->len payload bytes (seg->off is not looked at); seg->mss payload bytes
 *        per wire segment, > 0 when len > 0.
 * @opt:  NULL = all default.
 * @iov:  [@iov_n] pieces, @iov_n <= IP_TX_IOVS_MAX, together at least seg->len bytes.
 *
 * Never blocks. Frames are queued; nothing of @iov may move before net_tx_flush(). Bytes that
 * another side changes meanwhile arrive as what was read, with a good checksum.
 *
 * Return: payload bytes queued: seg->len; less when buffers end or the call's bounds are met (the
 *         rest is the caller's to send later; FIN and PSH then were not sent); 0 for an empty
 *         segment that was queued; -1 when nothing was queued.
 * Context: hot, core.
 */
int32_t ip_tx_tcp(struct net *net, const struct net_hop *hop, const struct ip_tuple *tuple,
		const struct tcp_txseg *seg, const struct ip_tx_opt *opt, const struct net_iov *iov,
		uint32_t iov_n);

/*
 * Queue a ready frame (punted down by KA, or made by the caller). Always consumes @m. Context: hot.
 */
void net_tx_frame(struct net *net, uint8_t port, struct rte_mbuf *m);

/* Hand every waiting frame to its port: at the end of the turn. Context: hot. */
void net_tx_flush(struct net *net);

/* TCP payload bytes of one wire segment over @hop, without options. */
static inline uint16_t ip_tx_mss(const struct net_hop *hop, const struct ip_addr *dst)
{
	uint16_t hdrs_bytes = ip_addr_is_v4(dst) ? 40 : 60;

	return hop->mtu > hdrs_bytes ? hop->mtu - hdrs_bytes : 0;
}

/**
 * ip_tx_burst_bytes() - Payload one ip_tx_tcp() should carry at most: a multiple of @mss.
 * @mss: payload bytes per wire segment, options already subtracted; > 0.
 */
uint32_t ip_tx_burst_bytes(const struct net *net, uint8_t port, uint16_t mss);

#endif
