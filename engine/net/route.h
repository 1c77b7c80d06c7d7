/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where a packet goes next: this core's mirror of the kernel's addresses, routes, neighbours and
 * links.
 *
 * KA sends what netlink says as admin messages; each core keeps its own copy. A route is found by
 * its longest prefix: one hash table keyed by {prefix, length} over the unified 16-byte form,
 * probed from the longest length in use to the shortest. A host has a handful of lengths and a
 * connection asks once per change of the tables (see epoch), so this beats DIR-24-8 tables of 64
 * MiB per family and core. Routes of the same prefix form a list ordered by metric; the lowest
 * wins, and the next takes over when it goes.
 *
 * Any change raises epoch. A context keeps the struct net_hop it resolved, by value, and uses it
 * while route_hop_is_current().
 *
 * A neighbour that is not known is WANTED: a level that stays until the core has told KA
 * (route_notice_next), asked again each second while packets want it. Unresolved neighbours hold at
 * most half of the table, and give way when it is full: a scan of a /64 cannot push out the ones
 * that answer.
 *
 * Memory is sized at init. Chosen by limits in struct net_conf.   RFC 1122 3.3, RFC 6724 5, RFC
 * 4861 7.2.
 */
#ifndef ENGINE_NET_ROUTE_H
#define ENGINE_NET_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <eta/abi.h>
#include <eta/admin.h>

#include "engine/net/addr.h"
#include "engine/net/net_stats.h"
#include "engine/net/port.h"

struct route; /* the tables of one core */

/* How to reach a destination. A value: copy it into the context. */
struct net_hop {
	uint32_t epoch; /* 0: never current (not resolved, or a one-time reply) */
	uint32_t neigh; /* neighbour index for route_confirm(), UINT32_MAX = none */
	uint16_t mtu;   /* IP bytes: min(route, port) */
	uint8_t port;   /* index */
	uint8_t pad;
	uint8_t dmac[6];
	uint8_t smac[6];
};
ETA_ASSERT_SIZE(struct net_hop, 24);

enum route_result {
	ROUTE_OK,            /* @hop is complete */
	ROUTE_LOCAL,         /* our own address: turn around inside; hop->mtu = 65535, no MACs */
	ROUTE_ELSEWHERE,     /* the kernel reaches it through an interface without port */
	ROUTE_NONE,          /* no route (counted) */
	ROUTE_NEIGH_PENDING, /* the kernel is asked; hop->port and hop->mtu are valid */
	ROUTE_NEIGH_FAILED,  /* the next hop does not answer; asked anew after a second */
};

struct route_conf {
	uint32_t addrs_max; /* local addresses */
	uint32_t routes_max;
	uint32_t neighs_max;
	int socket_id;
	struct port *const *port; /* [ports_n] for mac, mtu, link state; must outlive the table */
	uint32_t ports_n;
};

/* Return: tables without any address or route, or NULL.   Context: cold, KA. */
struct route *route_create(const struct route_conf *conf, struct net_stats *stats);
void route_destroy(struct route *rt);
uint64_t route_memory_bytes(const struct route *rt);

/**
 * route_admin() - Apply one ADDR_SET, ROUTE_SET, NEIGH_SET or LINK_SET.
 *
 * Every field is checked. Setting what exists replaces it; deleting what does not exist is
 * ETA_STATUS_NOT_FOUND. A route is identified by {prefix, length, metric, port, gateway}. LINK_SET
 * updates mtu, mac and link_up of the port itself. IPv4 prefixes come in mapped form with
 * prefix_len 0..32.
 *
 * Return: ETA_STATUS_OK, _INVALID, _NOT_FOUND, or _NO_MEMORY when a table is full.   Context: cold,
 * core.
 */
enum eta_status route_admin(struct route *rt, const struct eta_admin_msg *msg, uint64_t now_us);

/**
 * route_resolve() - Next hop towards @dst.
 * @hop: filled as the result says; hop->epoch is current only with ROUTE_OK and ROUTE_LOCAL.
 *
 * Broadcast, multicast and unspecified destinations are ROUTE_NONE.  Context: core; about 100 ns.
 */
enum route_result route_resolve(
		struct route *rt, const struct ip_addr *dst, uint64_t now_us, struct net_hop *hop);

/**
 * route_resolve_reply() - Next hop for an answer to a frame that came by @port from @smac, without
 * asking for neighbours.
 *
 * As route_resolve(), but where the neighbour is unknown and the route leads out of @port, the
 * answer goes back to @smac: a flood of SYNs with forged sources resolves nothing. Such a hop has
 * epoch 0: not to be kept.
 */
enum route_result route_resolve_reply(struct route *rt, const struct ip_addr *dst, uint8_t port,
		const uint8_t smac[6], uint64_t now_us, struct net_hop *hop);

/*
 * Largest IP packet towards @dst as route and port say, without asking for neighbours; 0 = not by a port. The epoch is
 * raised by what may have changed that for anybody. Context: cold, core.
 */
uint16_t route_mtu(const struct route *rt, const struct ip_addr *dst);
uint32_t route_mtu_epoch(const struct route *rt);
/* Every hop is to be resolved anew. */
void route_touch(struct route *rt);

/* Is the tables' state still the one @hop was resolved from? */
uint32_t route_epoch(const struct route *rt);
static inline bool route_hop_is_current(const struct net_hop *hop, uint32_t epoch)
{
	return hop->epoch == epoch;
}

/*
 * Is @addr one of our addresses, on any port (loopback addresses included)? Context: hot, core.
 */
bool route_is_local(const struct route *rt, const struct ip_addr *addr);

/**
 * route_source() - Source address for a connection to @dst.
 * @src: the route's preferred source; else, of the addresses of the route's port with @dst's family
 *       and scope, the one with the longest prefix in common with @dst (RFC 6724 5, rules 2 and 8).
 *       A local @dst is its own source.
 *
 * Return: as route_resolve() without asking for neighbours; ROUTE_NONE also when the port has no
 * fitting address.
 */
enum route_result route_source(
		const struct route *rt, const struct ip_addr *dst, struct ip_addr *src);

/*
 * @hop's neighbour has just acknowledged something: KA is told at most every 5 s, and confirms it
 * to the kernel. Context: hot.
 */
void route_confirm(struct route *rt, const struct net_hop *hop, uint64_t now_us);

/**
 * route_notice_next() - Next message owed to KA (NEIGH_WANT or NEIGH_CONFIRM).
 *
 * Call when the answer ring has room: what is taken is considered told. Return: false when nothing
 * is owed.  Context: core.
 */
bool route_notice_next(struct route *rt, uint64_t now_us, struct eta_admin_msg *msg);

/* Return: NULL, or a sentence naming the broken invariant. For tests, simulation and fuzzing. */
const char *route_check(const struct route *rt);

#endif
