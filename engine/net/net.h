/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The network of one engine core: ports, parsing, tables, output, punting. The one header that the
 * rooms above include.
 *
 * A turn of the loop, as the core uses it:
 *
 *     net->now_us = now_us;
 *     for each port: n = net_rx_burst(net, p, burst); prefetch; ip_rx_parse() each;
 *             IP_RX_TCP -> context lookup (none: RFC 9293 CLOSED rules or punt_frame()); else
 *             punt_frame() or free
 *     punt_down(net);
 *     ... TCP, doorbells, timers, output by ip_tx_tcp() ...
 *     while (answer ring has room && route_notice_next(net->route, now_us, &msg)) enqueue;
 *     net_tx_flush(net);
 *
 * Life: net_init (takes all memory) -> turns -> net_fini. Ports belong to the caller and are closed
 * by him afterwards.
 */
#ifndef ENGINE_NET_NET_H
#define ENGINE_NET_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include <eta/abi.h>
#include <eta/admin.h>

#include "engine/net/addr.h"
#include "engine/net/icmp_rx.h"
#include "engine/net/ip_frag.h"
#include "engine/net/ip_rx.h"
#include "engine/net/ip_tx.h"
#include "engine/net/net_stats.h"
#include "engine/net/pmtu.h"
#include "engine/net/port.h"
#include "engine/net/punt.h"
#include "engine/net/route.h"

struct net_conf {
	struct port *port[PORTS_MAX]; /* port[i]->idx is set to i by net_init */
	uint32_t ports_n;
	uint32_t core_idx; /* names rings */
	int socket_id;
	uint32_t addrs_max;   /* 0 = 64 */
	uint32_t routes_max;  /* 0 = 4096 */
	uint32_t neighs_max;  /* 0 = 1024 */
	uint32_t punt_ring_n; /* 0 = 256; power of two */
};

/* Public to the core: it reads and sets now_us; the rest it uses through functions. */
struct net {
	uint64_t now_us; /* set by the core each turn */
	uint32_t ports_n;
	uint16_t ip_id;     /* IPv4 identification of packets without DF */
	bool up_pending;    /* punted since punt_was_up() */
	uint32_t hash_seed; /* flow labels */
	struct port *port[PORTS_MAX];
	struct route *route;
	struct ip_frag *frag;
	struct pmtu *pmtu;
	struct punt punt;
	struct rte_mbuf_ext_shared_info
			ext; /* of frames that point at payload in place: never reaches 0 */
	struct net_stats stats;
	struct net_tx tx[PORTS_MAX];
};

/**
 * net_init() - Build the network of one core.
 * @err: [@err_len] one line on failure.
 *
 * Return: 0, or a negative errno with nothing held.   Context: cold, KA.
 */
ETA_MUST_CHECK int net_init(
		struct net *net, const struct net_conf *conf, char *err, size_t err_len);
/* Waiting frames are freed, not sent. */
void net_fini(struct net *net);
uint64_t net_memory_bytes(const struct net *net);

/* Apply an ADDR_SET, ROUTE_SET, NEIGH_SET or LINK_SET (route_admin()). */
static inline enum eta_status net_admin(struct net *net, const struct eta_admin_msg *msg)
{
	return route_admin(net->route, msg, net->now_us);
}

/* Up to PORT_BURST frames of port @idx, owned by the caller. */
static inline uint16_t net_rx_burst(struct net *net, uint32_t idx, struct rte_mbuf **burst)
{
	struct port *port = net->port[idx];

	return port->ops->rx_burst(port, burst, PORT_BURST);
}

#endif
