/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reassembly of TCP segments that came in IP fragments.
 *
 * WHO GETS A FRAGMENT. Only the first fragment has ports, so only the first can be owned. The rule is KA's filter's, in both modes:
 *
 *   first, of ports that ETA owns   the engine's alone: kept here, hidden from the kernel
 *   first, of others                the kernel's alone: untouched, never looked at again
 *   later, of TCP for this host     both get it: here a copy is kept in case the first comes, or came; the kernel has the frame
 *                                   itself, and lets it time out if the first was hidden
 *   anything else                   the kernel's
 *
 * So neither side waits for the other, the kernel never completes what is ours, and a datagram of the kernel's reaches it as the same
 * frames in the same order as without ETA. What it costs: the kernel counts our later fragments as reassembly failures
 * (ReasmTimeout), without an ICMP error, which needs the first (RFC 792; RFC 8200 4.5); and later fragments of the kernel's
 * sit here until they are pushed out or expire. On a shared device the kernel has received its own frames, and handing up frees
 * ours.
 *
 * Bounds: IP_FRAG_ENTRIES packets at a time, the oldest gives way; IP_FRAG_RANGES holes of one; IP_FRAG_V4_US, IP_FRAG_V6_US of
 * life. A packet is put together in one buffer of a pool of our own, so that fragments never take those of a port; one that does not
 * fit is dropped: IP_FRAG_BYTES_MAX is what the largest MTU, and hence the MSS we announce, allows.
 *
 * Overlaps end the packet, for both families (RFC 5722, as Linux): what is left of it is dropped as it comes. A repetition of
 * what is there already is no overlap (RFC 8200 4.5). A first fragment must hold the whole header chain and TCP's 20 bytes, so that no
 * later one can decide about ports or flags (RFC 1858, RFC 3128, RFC 7112).
 *
 * Not by rte_ip_frag: its packets are chains of mbufs where the parser takes one, it takes eight fragments at most, and leaves
 * overlaps to chance.
 */
#ifndef ENGINE_NET_IP_FRAG_H
#define ENGINE_NET_IP_FRAG_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include <eta/abi.h>

#include "engine/net/addr.h"
#include "engine/net/ip_rx.h"
#include "engine/net/net_stats.h"

#define IP_FRAG_ENTRIES 64u
#define IP_FRAG_RANGES 16u
#define IP_FRAG_BYTES_MAX 9216u /* of a packet, headers included */
#define IP_FRAG_V4_US 30000000u /* as Linux (ipfrag_time): identifications are few */
#define IP_FRAG_V6_US 60000000u /* RFC 8200 4.5 */

enum ip_frag_kind {
	IP_FRAG_FIRST, /* tuple is valid, with ports */
	IP_FRAG_LATER, /* tuple without ports */
	IP_FRAG_FOREIGN,
	IP_FRAG_TINY,
	IP_FRAG_BAD,
};

/* What a fragment said. Points into its frame. */
struct ip_frag_piece {
	struct ip_tuple tuple;
	const uint8_t *frame; /* for its MAC addresses */
	const uint8_t *data;  /* [len] of the fragmentable part */
	uint32_t id;
	uint32_t off; /* bytes into the fragmentable part */
	uint32_t len; /* 1 .. */
	uint8_t kind; /* enum ip_frag_kind */
	uint8_t next; /* type of the first header of the fragmentable part */
	uint8_t tos;
	uint8_t ttl;
	bool is_v4;
	bool more;
};

struct ip_frag_range {
	uint32_t lo, hi;
};

/* A packet on its way to be whole. */
struct ip_frag_entry {
	struct ip_addr src, dst;
	uint32_t id;
	uint32_t total; /* bytes, 0 = the last fragment has not come */
	uint64_t born_us;
	struct rte_mbuf *m;
	uint32_t room;    /* of the fragmentable part in @m */
	uint8_t ecn_seen; /* bit per ECN field */
	uint8_t ranges_n;
	bool is_used;
	bool is_spoilt; /* no buffer any more: what is still to come is dropped */
	bool has_first;
	struct ip_frag_range r[IP_FRAG_RANGES]; /* sorted, disjoint, not adjacent */
};

struct ip_frag {
	struct rte_mempool *pool;
	uint32_t used_n;
	struct ip_frag_entry entry[IP_FRAG_ENTRIES];
};

/* @name_seed makes the pool's name unique. Return: an empty table, or NULL.   Context: cold, KA. */
struct ip_frag *ip_frag_create(const char *name_seed, int socket_id);
/* NULL is allowed. */
void ip_frag_destroy(struct ip_frag *frag);
uint64_t ip_frag_memory_bytes(void);

/**
 * ip_frag_parse() - What kind of fragment is this?
 * @m, @pkt: as ip_rx_parse() left them with IP_RX_FRAGMENT.
 *
 * Return: piece->kind.   Context: cold, core.
 */
enum ip_frag_kind ip_frag_parse(
		const struct rte_mbuf *m, const struct ip_pkt *pkt, struct ip_frag_piece *piece);

/**
 * ip_frag_add() - Keep a copy of a first or later fragment.
 * @stats: exactly one frag_* exit counter moves.
 *
 * Return: the packet as one frame, for ip_rx_parse(), if this made it whole: the caller's; else NULL.
 * Context: cold, core.
 */
struct rte_mbuf *ip_frag_add(struct ip_frag *frag, struct net_stats *stats,
		const struct ip_frag_piece *piece, uint64_t now_us);

/* Frees what is too old. Context: cold, core. */
void ip_frag_sweep(struct ip_frag *frag, struct net_stats *stats, uint64_t now_us);

/* Return: NULL, or a sentence naming the broken invariant. */
const char *ip_frag_check(const struct ip_frag *frag);

#endif
