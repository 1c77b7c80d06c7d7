/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reassembly: bytes are copied to their place in a frame buffer, and ranges tell what has come.
 *
 * The headers in front are written when the packet is whole: Ethernet and IP of the first fragment, without IPv4 options (they
 * were judged when each fragment was parsed) and without what stood before an IPv6 fragment header. So the parser sees an ordinary
 * packet, and judges addresses and TCP's checksum over all of it.
 *
 * RFC 791 3.2, RFC 815, RFC 8200 4.5, RFC 5722, RFC 3168 5.3 (ECN of fragments).
 */
#include "engine/net/ip_frag.h"

#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <rte_malloc.h>

#include "engine/net/cksum.h"
#include "engine/net/ip6_ext.h"

#define ETHER_BYTES 14u
#define IPV4_BYTES 20u
#define IPV6_BYTES 40u
#define FRAG_HDR_BYTES 8u
#define IP_BYTES_MAX 65535u
#define V4_MORE 0x2000u
#define V4_OFF 0x1fffu
#define V6_MORE 0x0001u
#define V6_OFF 0xfff8u
#define ECN_NOT_ECT 0x1u /* bits of ecn_seen */
#define ECN_CE 0x8u
#define POOL_N (IP_FRAG_ENTRIES + 16u) /* whole ones may wait for the kernel agent */
#define POOL_ROOM_BYTES (RTE_PKTMBUF_HEADROOM + ETHER_BYTES + IP_FRAG_BYTES_MAX)

static uint32_t load_be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static void store_be16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* ---- life ---- */

struct ip_frag *ip_frag_create(const char *name_seed, int socket_id)
{
	struct ip_frag *frag =
			rte_zmalloc_socket("frag", sizeof(*frag), RTE_CACHE_LINE_SIZE, socket_id);
	char name[RTE_MEMPOOL_NAMESIZE];

	if (!frag)
		return NULL;
	(void)snprintf(name, sizeof(name), "fr_%s", name_seed);
	frag->pool = rte_pktmbuf_pool_create(name, POOL_N, 0, 0, POOL_ROOM_BYTES, socket_id);
	if (!frag->pool) {
		rte_free(frag);
		return NULL;
	}
	return frag;
}

void ip_frag_destroy(struct ip_frag *frag)
{
	if (!frag)
		return;
	for (uint32_t i = 0; i < IP_FRAG_ENTRIES; i++)
		rte_pktmbuf_free(frag->entry[i].m);
	rte_mempool_free(frag->pool);
	rte_free(frag);
}

uint64_t ip_frag_memory_bytes(void)
{
	return sizeof(struct ip_frag) +
	       POOL_N * (uint64_t)(POOL_ROOM_BYTES + sizeof(struct rte_mbuf));
}

/* ---- one fragment ---- */

/* Fills what the families do not share. Return: false = its lengths are impossible. */
static bool parse_v4(const uint8_t *ip, uint32_t left, struct ip_frag_piece *p)
{
	uint32_t hdr_bytes = (ip[0] & 0xfu) * 4, total_bytes = load_be16(ip + 2), v4_be;

	if (total_bytes > left || total_bytes <= hdr_bytes) /* a superframe without its end */
		return false;
	p->is_v4 = true;
	p->id = load_be16(ip + 4);
	p->off = (load_be16(ip + 6) & V4_OFF) * 8;
	p->more = (load_be16(ip + 6) & V4_MORE) != 0;
	p->next = ip[9];
	p->data = ip + hdr_bytes;
	p->len = total_bytes - hdr_bytes;
	memcpy(&v4_be, ip + 12, 4);
	p->tuple.raddr = ip_addr_from_v4(v4_be);
	memcpy(&v4_be, ip + 16, 4);
	p->tuple.laddr = ip_addr_from_v4(v4_be);
	return p->off + p->len + IPV4_BYTES <= IP_BYTES_MAX;
}

static bool parse_v6(const uint8_t *ip, uint32_t left, struct ip_frag_piece *p)
{
	uint32_t bytes = load_be16(ip + 4);
	const uint8_t *fh;
	struct ip6_ext ext;

	if (bytes > left - IPV6_BYTES)
		return false;
	ext = ip6_ext_walk(ip + IPV6_BYTES, bytes, ip[6]);
	if (ext.end != IP6_EXT_FRAGMENT || bytes - ext.bytes <= FRAG_HDR_BYTES)
		return false;
	fh = ip + IPV6_BYTES + ext.bytes;
	memcpy(&p->id, fh + 4, 4);
	p->off = load_be16(fh + 2) & V6_OFF;
	p->more = (load_be16(fh + 2) & V6_MORE) != 0;
	p->next = fh[0];
	p->data = fh + FRAG_HDR_BYTES;
	p->len = bytes - ext.bytes - FRAG_HDR_BYTES;
	memcpy(p->tuple.raddr.b, ip + 8, 16);
	memcpy(p->tuple.laddr.b, ip + 24, 16);
	return p->off + p->len <= IP_BYTES_MAX;
}

/* Ports of a first fragment, if it has the whole chain and a TCP header. */
static enum ip_frag_kind find_ports(struct ip_frag_piece *p)
{
	struct ip6_ext ext = {.next = p->next, .end = IP6_EXT_UPPER};

	if (!p->is_v4)
		ext = ip6_ext_walk(p->data, p->len, p->next);
	if (ext.end == IP6_EXT_BAD)
		return IP_FRAG_TINY;
	if (ext.end != IP6_EXT_UPPER || ext.next != IPPROTO_TCP)
		return IP_FRAG_FOREIGN;
	if (p->len - ext.bytes < TCP_HDR_BYTES)
		return IP_FRAG_TINY;
	memcpy(&p->tuple.rport_be, p->data + ext.bytes, 2);
	memcpy(&p->tuple.lport_be, p->data + ext.bytes + 2, 2);
	return IP_FRAG_FIRST;
}

enum ip_frag_kind ip_frag_parse(
		const struct rte_mbuf *m, const struct ip_pkt *pkt, struct ip_frag_piece *piece)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t left = m->data_len - pkt->l3_off;
	const uint8_t *ip = frame + pkt->l3_off;
	bool ok;

	memset(piece, 0, sizeof(*piece));
	piece->frame = frame;
	piece->tos = pkt->tos;
	piece->ttl = pkt->ttl;
	ok = pkt->is_v4 ? parse_v4(ip, left, piece) : parse_v6(ip, left, piece);
	if (!ok || (piece->more && piece->len % 8 != 0))
		piece->kind = IP_FRAG_BAD;
	else if (piece->next != IPPROTO_TCP && (piece->is_v4 || piece->next != IPPROTO_DSTOPTS))
		piece->kind = IP_FRAG_FOREIGN;
	else if (piece->off != 0)
		piece->kind = IP_FRAG_LATER;
	else
		piece->kind = (uint8_t)find_ports(piece);
	return (enum ip_frag_kind)piece->kind;
}

/* ---- the table ---- */

static uint32_t hdr_bytes(const struct ip_frag_entry *e)
{
	return ip_addr_is_v4(&e->src) ? IPV4_BYTES : IPV6_BYTES;
}

static bool is_old(const struct ip_frag_entry *e, uint64_t now_us)
{
	return now_us - e->born_us >= (ip_addr_is_v4(&e->src) ? IP_FRAG_V4_US : IP_FRAG_V6_US);
}

/* Nothing of the packet is of use any more; its entry stays to recognise what is still to come. */
static void spoil(struct ip_frag_entry *e)
{
	rte_pktmbuf_free(e->m);
	e->m = NULL;
	e->is_spoilt = true;
}

static void entry_free(struct ip_frag *frag, struct ip_frag_entry *e)
{
	spoil(e);
	e->is_used = false;
	frag->used_n--;
}

void ip_frag_sweep(struct ip_frag *frag, struct net_stats *stats, uint64_t now_us)
{
	for (uint32_t i = 0; i < IP_FRAG_ENTRIES; i++) {
		if (!frag->entry[i].is_used || !is_old(&frag->entry[i], now_us))
			continue;
		stats->frag_expired++;
		entry_free(frag, &frag->entry[i]);
	}
}

/* The entry of @p's packet: as it is, or a new one, for which the oldest may have to go. */
static struct ip_frag_entry *entry_get(struct ip_frag *frag, struct net_stats *stats,
		const struct ip_frag_piece *p, uint64_t now_us)
{
	struct ip_frag_entry *e, *slot = frag->entry;

	ip_frag_sweep(frag, stats, now_us);
	for (e = frag->entry; e < frag->entry + IP_FRAG_ENTRIES; e++) {
		if (!e->is_used) {
			slot = e;
			continue;
		}
		if (e->id == p->id && ip_addr_equal(&e->src, &p->tuple.raddr) &&
				ip_addr_equal(&e->dst, &p->tuple.laddr))
			return e;
		if (slot->is_used && e->born_us < slot->born_us)
			slot = e;
	}
	if (slot->is_used) {
		stats->frag_evicted++;
		entry_free(frag, slot);
	}
	*slot = (struct ip_frag_entry){.src = p->tuple.raddr,
			.dst = p->tuple.laddr,
			.id = p->id,
			.born_us = now_us,
			.is_used = true};
	frag->used_n++;
	return slot;
}

/* A buffer for a new entry. Return: false = none. */
static bool entry_begin(struct ip_frag *frag, struct ip_frag_entry *e)
{
	e->m = rte_pktmbuf_alloc(frag->pool);
	if (!e->m)
		return false;
	e->room = IP_FRAG_BYTES_MAX - hdr_bytes(e);
	return true;
}

enum range_end {
	RANGE_ADDED,
	RANGE_DUP,
	RANGE_OVERLAP,
	RANGE_FULL,
};

static enum range_end range_add(struct ip_frag_entry *e, uint32_t lo, uint32_t hi)
{
	struct ip_frag_range *r = e->r;
	uint32_t i;

	for (i = 0; i < e->ranges_n && r[i].hi < lo; i++)
		;
	if (i < e->ranges_n && r[i].lo <= lo && hi <= r[i].hi)
		return RANGE_DUP;
	if (i < e->ranges_n && r[i].hi == lo) { /* behind this one */
		if (i + 1u < e->ranges_n && r[i + 1].lo < hi)
			return RANGE_OVERLAP;
		r[i].hi = hi;
		if (i + 1u < e->ranges_n && r[i + 1].lo == hi) {
			r[i].hi = r[i + 1].hi;
			e->ranges_n--;
			memmove(r + i + 1, r + i + 2, (e->ranges_n - i - 1) * sizeof(*r));
		}
		return RANGE_ADDED;
	}
	if (i < e->ranges_n && r[i].lo < hi)
		return RANGE_OVERLAP;
	if (i < e->ranges_n && r[i].lo == hi) { /* in front of it */
		r[i].lo = lo;
		return RANGE_ADDED;
	}
	if (e->ranges_n == IP_FRAG_RANGES)
		return RANGE_FULL;
	memmove(r + i + 1, r + i, (e->ranges_n - i) * sizeof(*r));
	r[i] = (struct ip_frag_range){lo, hi};
	e->ranges_n++;
	return RANGE_ADDED;
}

/* Does @p contradict where the packet ends? */
static bool end_is_wrong(const struct ip_frag_entry *e, const struct ip_frag_piece *p)
{
	uint32_t end = p->off + p->len;

	if (p->more)
		return e->total != 0 && end > e->total;
	if (e->total != 0)
		return end != e->total;
	return e->ranges_n > 0 && e->r[e->ranges_n - 1].hi > end;
}

/* ---- putting together ---- */

/* Headers of the first fragment. The lengths and the IPv4 checksum follow in entry_finish(). */
static void write_headers(struct ip_frag_entry *e, const struct ip_frag_piece *p)
{
	uint8_t *frame = rte_pktmbuf_mtod(e->m, uint8_t *), *ip = frame + ETHER_BYTES;

	memcpy(frame, p->frame, 12);
	memset(ip, 0, hdr_bytes(e));
	if (p->is_v4) {
		store_be16(frame + 12, 0x0800);
		ip[0] = 0x45;
		ip[1] = p->tos;
		ip[8] = p->ttl;
		ip[9] = p->next;
		memcpy(ip + 12, &e->src.w_be[3], 4);
		memcpy(ip + 16, &e->dst.w_be[3], 4);
		return;
	}
	store_be16(frame + 12, 0x86dd);
	ip[0] = (uint8_t)(0x60 | p->tos >> 4);
	ip[1] = (uint8_t)(p->tos << 4);
	ip[6] = p->next;
	ip[7] = p->ttl;
	memcpy(ip + 8, e->src.b, 16);
	memcpy(ip + 24, e->dst.b, 16);
}

/* Return: the frame, which the entry no longer has. */
static struct rte_mbuf *entry_finish(struct ip_frag *frag, struct ip_frag_entry *e)
{
	uint8_t *ip = rte_pktmbuf_mtod_offset(e->m, uint8_t *, ETHER_BYTES);
	bool is_v4 = ip_addr_is_v4(&e->src);
	struct rte_mbuf *m = e->m;
	uint16_t sum;

	if (e->ecn_seen & ECN_CE)
		ip[1] |= is_v4 ? 0x03 : 0x30;
	if (is_v4) {
		store_be16(ip + 2, IPV4_BYTES + e->total);
		sum = (uint16_t)~cksum_fold(cksum_ipv4(ip));
		memcpy(ip + 10, &sum, 2);
	} else {
		store_be16(ip + 4, e->total);
	}
	m->data_len = (uint16_t)(ETHER_BYTES + hdr_bytes(e) + e->total);
	m->pkt_len = m->data_len;
	e->m = NULL;
	entry_free(frag, e);
	return m;
}

static struct rte_mbuf *drop(struct ip_frag_entry *e, uint64_t *counter)
{
	(*counter)++;
	spoil(e);
	return NULL;
}

struct rte_mbuf *ip_frag_add(struct ip_frag *frag, struct net_stats *stats,
		const struct ip_frag_piece *p, uint64_t now_us)
{
	struct ip_frag_entry *e = entry_get(frag, stats, p, now_us);

	if (e->is_spoilt)
		return drop(e, &stats->frag_drop_spoilt);
	if (!e->m && !entry_begin(frag, e))
		return drop(e, &stats->frag_drop_room);
	if (p->off + p->len > e->room)
		return drop(e, &stats->frag_drop_room);
	if (end_is_wrong(e, p))
		return drop(e, &stats->frag_drop_overlap);
	switch (range_add(e, p->off, p->off + p->len)) {
	case RANGE_ADDED: break;
	case RANGE_DUP: stats->frag_dup++; return NULL;
	case RANGE_OVERLAP: return drop(e, &stats->frag_drop_overlap);
	case RANGE_FULL: return drop(e, &stats->frag_drop_room);
	}
	e->ecn_seen |= (uint8_t)(1u << (p->tos & 3));
	if ((e->ecn_seen & ECN_CE) && (e->ecn_seen & ECN_NOT_ECT))
		return drop(e, &stats->frag_drop_ecn);
	if (!p->more)
		e->total = p->off + p->len;
	memcpy(rte_pktmbuf_mtod_offset(e->m, uint8_t *, ETHER_BYTES + hdr_bytes(e) + p->off),
			p->data, p->len);
	if (p->kind == IP_FRAG_FIRST) {
		e->has_first = true;
		write_headers(e, p);
	}
	if (e->has_first && e->ranges_n == 1 && e->r[0].lo == 0 && e->r[0].hi == e->total) {
		stats->frag_whole++;
		return entry_finish(frag, e);
	}
	stats->frag_kept++;
	return NULL;
}

const char *ip_frag_check(const struct ip_frag *frag)
{
	uint32_t used = 0;

	for (const struct ip_frag_entry *e = frag->entry; e < frag->entry + IP_FRAG_ENTRIES; e++) {
		if (!e->is_used) {
			if (e->m)
				return "an unused reassembly entry holds a buffer";
			continue;
		}
		used++;
		if (e->is_spoilt && e->m)
			return "a spoilt reassembly entry holds a buffer";
		for (uint32_t i = 0; e->m && i < e->ranges_n; i++) {
			if (e->r[i].lo >= e->r[i].hi || e->r[i].hi > e->room)
				return "a range of a reassembly is empty or outside of its buffer";
			if (i > 0 && e->r[i].lo <= e->r[i - 1].hi)
				return "ranges of a reassembly touch or are out of order";
		}
	}
	return used == frag->used_n ? NULL : "reassembly entries are counted wrong";
}
