/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Addresses and routes, and the answer to "where does this packet go".
 *
 * IPv4 lives in the same tables as IPv6, as ::ffff:0:0/96 and longer; the lengths in use are kept
 * per family, so that an IPv6 default route never matches an IPv4 destination.
 *
 * Limits: link-local IPv6 destinations have no scope id here: with several ports the route of
 * lowest metric decides.
 *
 * RFC 1122 3.3.1, RFC 6724 5, RFC 4632 5.1 (longest match).
 */
#include "engine/net/route.h"

#include <string.h>

#include <arpa/inet.h>

#include <rte_common.h>
#include <rte_jhash.h>
#include <rte_malloc.h>
#include <rte_random.h>

#include "engine/net/route_priv.h"

#define MTU_LOCAL 65535u
#define MTU_MIN 68u /* RFC 791 3.2 */

/* ---- life ---- */

static void *take(struct route *rt, size_t n, size_t size)
{
	rt->bytes += n * size;
	return rte_zmalloc_socket("route", n * size, RTE_CACHE_LINE_SIZE, rt->conf.socket_id);
}

struct route *route_create(const struct route_conf *conf, struct net_stats *stats)
{
	struct route *rt = rte_zmalloc_socket(
			"route", sizeof(*rt), RTE_CACHE_LINE_SIZE, conf->socket_id);
	uint32_t i;

	if (!rt)
		return NULL;
	rt->conf = *conf;
	rt->stats = stats;
	rt->epoch = 1;
	rt->seed = (uint32_t)rte_rand();
	rt->bytes = sizeof(*rt);
	rt->route_mask = rte_align32pow2(conf->routes_max) - 1;
	rt->neigh_mask = rte_align32pow2(conf->neighs_max) - 1;
	rt->addr = take(rt, conf->addrs_max, sizeof(*rt->addr));
	rt->entry = take(rt, conf->routes_max, sizeof(*rt->entry));
	rt->route_bucket = take(rt, rt->route_mask + 1, sizeof(*rt->route_bucket));
	rt->neigh = take(rt, conf->neighs_max, sizeof(*rt->neigh));
	rt->neigh_bucket = take(rt, rt->neigh_mask + 1, sizeof(*rt->neigh_bucket));
	rt->notice = take(rt, conf->neighs_max, sizeof(*rt->notice));
	if (!rt->addr || !rt->entry || !rt->route_bucket || !rt->neigh || !rt->neigh_bucket ||
			!rt->notice) {
		route_destroy(rt);
		return NULL;
	}
	for (i = 0; i <= rt->route_mask; i++)
		rt->route_bucket[i] = ROUTE_NIL;
	for (i = 0; i < conf->routes_max; i++)
		rt->entry[i].next = i + 1 < conf->routes_max ? i + 1 : ROUTE_NIL;
	neigh_init(rt);
	return rt;
}

void route_destroy(struct route *rt)
{
	if (!rt)
		return;
	rte_free(rt->addr);
	rte_free(rt->entry);
	rte_free(rt->route_bucket);
	rte_free(rt->neigh);
	rte_free(rt->neigh_bucket);
	rte_free(rt->notice);
	rte_free(rt);
}

uint64_t route_memory_bytes(const struct route *rt)
{
	return rt->bytes;
}

uint32_t route_epoch(const struct route *rt)
{
	return rt->epoch;
}

uint32_t route_mtu_epoch(const struct route *rt)
{
	return rt->mtu_epoch;
}

void route_touch(struct route *rt)
{
	route_changed(rt);
}

/* ---- prefixes ---- */

static struct ip_addr masked(const struct ip_addr *addr, uint32_t prefix_len)
{
	struct ip_addr a = *addr;
	uint32_t i = prefix_len / 8;

	if (i < sizeof(a.b)) {
		a.b[i] &= (uint8_t)(0xff00 >> (prefix_len % 8));
		memset(a.b + i + 1, 0, sizeof(a.b) - i - 1);
	}
	return a;
}

static uint32_t bucket_of(const struct route *rt, const struct ip_addr *prefix, uint32_t prefix_len)
{
	return rte_jhash_32b(prefix->w_be, 4, rt->seed + prefix_len) & rt->route_mask;
}

static bool is_of_prefix(
		const struct route_entry *e, const struct ip_addr *prefix, uint32_t prefix_len)
{
	return e->prefix_len == prefix_len && ip_addr_equal(&e->dst, prefix);
}

/*
 * Return: the route of the longest prefix that holds @dst, the lowest metric of its kind; or NULL.
 */
static const struct route_entry *lookup(const struct route *rt, const struct ip_addr *dst)
{
	const struct route_lens *lens = &rt->lens[ip_addr_is_v4(dst)];
	uint32_t l, i;

	for (l = 0; l < lens->n; l++) {
		struct ip_addr prefix = masked(dst, lens->len[l]);

		for (i = rt->route_bucket[bucket_of(rt, &prefix, lens->len[l])]; i != ROUTE_NIL;
				i = rt->entry[i].next)
			if (is_of_prefix(&rt->entry[i], &prefix, lens->len[l]))
				return &rt->entry[i];
	}
	return NULL;
}

/* A length appears or disappears: write the list anew, longest first. */
static void lens_count(struct route_lens *lens, uint32_t prefix_len, int by)
{
	int l;

	lens->count[prefix_len] += (uint32_t)by;
	lens->n = 0;
	for (l = ROUTE_PREFIX_MAX; l >= 0; l--)
		if (lens->count[l] > 0)
			lens->len[lens->n++] = (uint8_t)l;
}

/* ---- admin ---- */

static bool mapped_prefix(const struct ip_addr *addr, bool is_v4, uint8_t len, uint8_t *mapped)
{
	if (is_v4 && len <= 32 && ip_addr_is_v4(addr)) {
		*mapped = (uint8_t)(ROUTE_PREFIX_V4 + len);
		return true;
	}
	*mapped = len;
	return !is_v4 && len <= ROUTE_PREFIX_MAX && !ip_addr_is_v4(addr);
}

static enum eta_status addr_admin(struct route *rt, const struct eta_admin_msg *msg)
{
	struct route_addr *free_slot = NULL;
	struct ip_addr addr;
	uint8_t prefix_len;
	uint32_t i;

	memcpy(addr.b, msg->addr.addr, sizeof(addr.b));
	if (ip_addr_is_any(&addr) ||
			!mapped_prefix(&addr, ip_addr_is_v4(&addr), msg->addr.prefix_len,
					&prefix_len) ||
			(msg->addr.port >= rt->conf.ports_n && !msg->addr.is_loopback))
		return ETA_STATUS_INVALID;
	for (i = 0; i < rt->conf.addrs_max; i++) {
		struct route_addr *a = &rt->addr[i];

		if (!a->is_used && !free_slot)
			free_slot = a;
		if (!a->is_used || a->port != msg->addr.port || !ip_addr_equal(&a->addr, &addr))
			continue;
		rt->loopback_n -= a->is_loopback;
		a->is_used = false;
		free_slot = a;
		route_changed(rt);
		break;
	}
	if (msg->addr.is_del)
		return i < rt->conf.addrs_max ? ETA_STATUS_OK : ETA_STATUS_NOT_FOUND;
	if (!free_slot) {
		rt->stats->admin_table_full++;
		return ETA_STATUS_NO_MEMORY;
	}
	*free_slot = (struct route_addr){.addr = addr,
			.prefix_len = prefix_len,
			.port = msg->addr.port,
			.is_used = true,
			.is_loopback = msg->addr.is_loopback};
	rt->loopback_n += free_slot->is_loopback;
	rt->addr_used_max = RTE_MAX(rt->addr_used_max, (uint32_t)(free_slot - rt->addr) + 1);
	route_changed(rt);
	return ETA_STATUS_OK;
}

static bool is_same_route(const struct route_entry *a, const struct route_entry *b)
{
	return is_of_prefix(a, &b->dst, b->prefix_len) && a->metric == b->metric &&
	       a->port == b->port && a->is_elsewhere == b->is_elsewhere &&
	       ip_addr_equal(&a->gw, &b->gw);
}

/* Puts @e behind those of its bucket with a metric not above its own. */
static enum eta_status entry_add(struct route *rt, const struct route_entry *e, uint32_t *link)
{
	uint32_t idx = rt->entry_free;

	if (idx == ROUTE_NIL) {
		rt->stats->admin_table_full++;
		return ETA_STATUS_NO_MEMORY;
	}
	rt->entry_free = rt->entry[idx].next;
	while (*link != ROUTE_NIL && rt->entry[*link].metric <= e->metric)
		link = &rt->entry[*link].next;
	rt->entry[idx] = *e;
	rt->entry[idx].is_used = true;
	rt->entry[idx].next = *link;
	*link = idx;
	lens_count(&rt->lens[ip_addr_is_v4(&e->dst)], e->prefix_len, 1);
	return ETA_STATUS_OK;
}

static void entry_del(struct route *rt, uint32_t *link)
{
	uint32_t idx = *link;
	struct route_entry *e = &rt->entry[idx];

	*link = e->next;
	lens_count(&rt->lens[ip_addr_is_v4(&e->dst)], e->prefix_len, -1);
	e->is_used = false;
	e->next = rt->entry_free;
	rt->entry_free = idx;
}

static enum eta_status entry_set(struct route *rt, const struct route_entry *e, bool is_del)
{
	uint32_t *bucket = &rt->route_bucket[bucket_of(rt, &e->dst, e->prefix_len)], *link = bucket;
	enum eta_status status = ETA_STATUS_OK;
	bool has_mtu = e->mtu != 0 || rt->conf.ports_n > 1; /* ports may differ */

	while (*link != ROUTE_NIL && !is_same_route(&rt->entry[*link], e))
		link = &rt->entry[*link].next;
	if (*link == ROUTE_NIL)
		status = is_del ? ETA_STATUS_NOT_FOUND : entry_add(rt, e, bucket);
	else if (is_del) {
		has_mtu |= rt->entry[*link].mtu != 0;
		entry_del(rt, link);
	} else {
		has_mtu |= rt->entry[*link].mtu != 0;
		rt->entry[*link].src = e->src;
		rt->entry[*link].mtu = e->mtu;
	}
	if (status == ETA_STATUS_OK) {
		rt->mtu_epoch += has_mtu;
		route_changed(rt);
	}
	return status;
}

static enum eta_status entry_admin(struct route *rt, const struct eta_admin_msg *msg)
{
	struct route_entry e = {.metric = msg->route.metric,
			.mtu = msg->route.mtu,
			.port = msg->route.port,
			.is_elsewhere = msg->route.is_elsewhere != 0};
	struct ip_addr dst;
	bool is_v4 = msg->route.is_v4 != 0;

	memcpy(dst.b, msg->route.dst, sizeof(dst.b));
	memcpy(e.gw.b, msg->route.gw, sizeof(e.gw.b));
	memcpy(e.src.b, msg->route.src, sizeof(e.src.b));
	/* A default route may come with an all-zero destination. */
	if (is_v4 && msg->route.prefix_len == 0)
		dst = ip_addr_from_v4(0);
	if (!mapped_prefix(&dst, is_v4, msg->route.prefix_len, &e.prefix_len) ||
			(e.port >= rt->conf.ports_n && !e.is_elsewhere))
		return ETA_STATUS_INVALID;
	if (e.is_elsewhere)
		e.port = 0;
	e.dst = masked(&dst, e.prefix_len);
	if (ip_addr_is_any(&e.gw))
		e.gw = (struct ip_addr){0};
	return entry_set(rt, &e, msg->route.is_del != 0);
}

static enum eta_status link_admin(struct route *rt, const struct eta_admin_msg *msg)
{
	struct port *port;
	uint16_t mtu;

	if (msg->link.port >= rt->conf.ports_n || msg->link.mtu < MTU_MIN)
		return ETA_STATUS_INVALID;
	port = rt->conf.port[msg->link.port];
	mtu = port->mtu_max ? RTE_MIN(msg->link.mtu, port->mtu_max) : msg->link.mtu;
	rt->mtu_epoch += mtu != port->mtu;
	port->mtu = mtu;
	port->link_up = msg->link.up != 0;
	memcpy(port->mac, msg->link.mac, sizeof(port->mac));
	route_changed(rt);
	return ETA_STATUS_OK;
}

enum eta_status route_admin(struct route *rt, const struct eta_admin_msg *msg, uint64_t now_us)
{
	switch (msg->op) {
	case ETA_ADMIN_ADDR_SET: return addr_admin(rt, msg);
	case ETA_ADMIN_ROUTE_SET: return entry_admin(rt, msg);
	case ETA_ADMIN_NEIGH_SET: return neigh_admin(rt, msg, now_us);
	case ETA_ADMIN_LINK_SET: return link_admin(rt, msg);
	}
	return ETA_STATUS_INVALID;
}

/* ---- questions ---- */

static bool is_v4_loopback(const struct ip_addr *addr)
{
	return ip_addr_is_v4(addr) && addr->b[12] == 127;
}

bool route_is_local(const struct route *rt, const struct ip_addr *addr)
{
	uint32_t i;

	if (is_v4_loopback(addr))
		return rt->loopback_n > 0;
	for (i = 0; i < rt->addr_used_max; i++)
		if (rt->addr[i].is_used && ip_addr_equal(&rt->addr[i].addr, addr))
			return true;
	return false;
}

/* Multicast, limited broadcast, unspecified: no connection goes there. */
static bool is_unicast(const struct ip_addr *addr)
{
	if (ip_addr_is_any(addr))
		return false;
	return ip_addr_is_v4(addr) ? addr->b[12] < 0xe0 : addr->b[0] != 0xff;
}

/* The broadcast address of one of our subnets (RFC 922); /31 and /32 have none (RFC 3021). */
static bool is_subnet_broadcast(const struct route *rt, const struct ip_addr *dst)
{
	uint32_t i;

	for (i = 0; ip_addr_is_v4(dst) && i < rt->addr_used_max; i++) {
		const struct route_addr *a = &rt->addr[i];
		uint32_t host;

		if (!a->is_used || !ip_addr_is_v4(&a->addr) ||
				a->prefix_len > ROUTE_PREFIX_V4 + 30 ||
				a->prefix_len == ROUTE_PREFIX_V4)
			continue;
		host = UINT32_MAX >> (a->prefix_len - ROUTE_PREFIX_V4);
		if ((ntohl(dst->w_be[3]) | host) == (ntohl(a->addr.w_be[3]) | host) &&
				(ntohl(dst->w_be[3]) & host) == host)
			return true;
	}
	return false;
}

/* All but the neighbour. */
static enum route_result find(
		const struct route *rt, const struct ip_addr *dst, const struct route_entry **e)
{
	*e = NULL;
	if (!is_unicast(dst))
		return ROUTE_NONE;
	if (route_is_local(rt, dst))
		return ROUTE_LOCAL;
	*e = lookup(rt, dst);
	if (!*e || (!(*e)->is_elsewhere && is_subnet_broadcast(rt, dst)))
		return ROUTE_NONE;
	return (*e)->is_elsewhere ? ROUTE_ELSEWHERE : ROUTE_OK;
}

static void hop_init(struct net_hop *hop)
{
	*hop = (struct net_hop){.neigh = UINT32_MAX};
}

static void hop_port(const struct route *rt, const struct route_entry *e, struct net_hop *hop)
{
	const struct port *port = rt->conf.port[e->port];

	hop->port = e->port;
	hop->mtu = e->mtu >= MTU_MIN ? (uint16_t)RTE_MIN(e->mtu, (uint32_t)port->mtu) : port->mtu;
	memcpy(hop->smac, port->mac, sizeof(hop->smac));
}

/* Counts and completes answers that need no neighbour. Return: whether @result is one. */
static bool is_final(struct route *rt, enum route_result result, struct net_hop *hop)
{
	if (result == ROUTE_OK)
		return false;
	if (result == ROUTE_LOCAL) {
		hop->mtu = MTU_LOCAL;
		hop->epoch = rt->epoch;
	} else if (result == ROUTE_ELSEWHERE) {
		rt->stats->route_elsewhere++;
	} else {
		rt->stats->route_none++;
	}
	return true;
}

static void hop_neigh(const struct route *rt, uint32_t n_idx, struct net_hop *hop)
{
	memcpy(hop->dmac, rt->neigh[n_idx].mac, sizeof(hop->dmac));
	hop->neigh = n_idx;
	hop->epoch = rt->epoch;
}

enum route_result route_resolve(
		struct route *rt, const struct ip_addr *dst, uint64_t now_us, struct net_hop *hop)
{
	const struct route_entry *e;
	enum route_result result = find(rt, dst, &e);
	uint32_t n_idx;

	hop_init(hop);
	if (is_final(rt, result, hop))
		return result;
	hop_port(rt, e, hop);
	result = neigh_resolve(rt, ip_addr_is_any(&e->gw) ? dst : &e->gw, e->port, now_us, &n_idx);
	if (result == ROUTE_OK)
		hop_neigh(rt, n_idx, hop);
	else
		rt->stats->neigh_pending++;
	return result;
}

enum route_result route_resolve_reply(struct route *rt, const struct ip_addr *dst, uint8_t port,
		const uint8_t smac[6], uint64_t now_us, struct net_hop *hop)
{
	const struct route_entry *e;
	enum route_result result = find(rt, dst, &e);
	uint32_t n_idx;

	hop_init(hop);
	if (is_final(rt, result, hop))
		return result;
	if (e->port != port)
		return route_resolve(rt, dst, now_us, hop);
	hop_port(rt, e, hop);
	n_idx = neigh_find(rt, ip_addr_is_any(&e->gw) ? dst : &e->gw, e->port);
	if (n_idx != ROUTE_NIL && neigh_has_mac(&rt->neigh[n_idx]))
		hop_neigh(rt, n_idx, hop);
	else
		memcpy(hop->dmac, smac, sizeof(hop->dmac));
	return ROUTE_OK;
}

uint16_t route_mtu(const struct route *rt, const struct ip_addr *dst)
{
	const struct route_entry *e;
	struct net_hop hop;

	if (find(rt, dst, &e) != ROUTE_OK)
		return 0;
	hop_port(rt, e, &hop);
	return hop.mtu;
}

/* ---- source address ---- */

static uint32_t common_bits(const struct ip_addr *a, const struct ip_addr *b)
{
	uint32_t i;

	for (i = 0; i < 16; i++)
		if (a->b[i] != b->b[i])
			return i * 8 + (uint32_t)__builtin_clz((uint32_t)(a->b[i] ^ b->b[i])) - 24;
	return 128;
}

static bool is_link_local(const struct ip_addr *a)
{
	if (ip_addr_is_v4(a))
		return a->b[12] == 169 && a->b[13] == 254;
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

enum route_result route_source(
		const struct route *rt, const struct ip_addr *dst, struct ip_addr *src)
{
	const struct route_entry *e;
	enum route_result result = find(rt, dst, &e);
	int best = -1;
	uint32_t i;

	if (result == ROUTE_LOCAL)
		*src = *dst;
	if (result != ROUTE_OK)
		return result;
	if (!ip_addr_is_any(&e->src)) {
		*src = e->src;
		return ROUTE_OK;
	}
	for (i = 0; i < rt->addr_used_max; i++) {
		const struct route_addr *a = &rt->addr[i];
		const struct ip_addr *towards =
				ip_addr_is_v4(dst) && !ip_addr_is_any(&e->gw) ? &e->gw : dst;
		int score;

		if (!a->is_used || a->is_loopback || a->port != e->port ||
				ip_addr_is_v4(&a->addr) != ip_addr_is_v4(dst))
			continue;
		/*
		 * RFC 6724 rule 2: the scope that fits; then rule 8. IPv4: the subnet of the
		 * gateway, as the kernel does.
		 */
		score = (is_link_local(&a->addr) == is_link_local(dst) ? 256 : 0) +
			(int)RTE_MIN(common_bits(&a->addr, towards), (uint32_t)a->prefix_len);
		if (!ip_addr_is_v4(dst) && is_link_local(&a->addr) && !is_link_local(dst))
			continue;
		if (score > best) {
			best = score;
			*src = a->addr;
		}
	}
	return best >= 0 ? ROUTE_OK : ROUTE_NONE;
}

/* ---- invariants ---- */

const char *route_check(const struct route *rt)
{
	uint32_t i, linked = 0, free_n = 0, counted = 0;

	for (i = 0; i <= rt->route_mask; i++) {
		uint32_t j, metric = 0;

		for (j = rt->route_bucket[i]; j != ROUTE_NIL; j = rt->entry[j].next) {
			if (!rt->entry[j].is_used)
				return "a free route is in the hash table";
			if (rt->entry[j].metric < metric)
				return "a chain of routes is not in order of metric";
			metric = rt->entry[j].metric;
			if (++linked > rt->conf.routes_max)
				return "the routes' hash chains have a cycle";
		}
	}
	for (i = rt->entry_free; i != ROUTE_NIL; i = rt->entry[i].next)
		if (++free_n > rt->conf.routes_max)
			return "the routes' free list has a cycle";
	if (linked + free_n != rt->conf.routes_max)
		return "a route is neither free nor in the hash table";
	for (i = 0; i <= ROUTE_PREFIX_MAX; i++)
		counted += rt->lens[0].count[i] + rt->lens[1].count[i];
	if (counted != linked)
		return "the prefix lengths in use are counted wrong";
	return neigh_check(rt);
}
