/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mirror of the kernel's links, addresses, routes and neighbours, and its forwarding to the engine.
 *
 * One dump at start, then notifications. Lost ones (ENOBUFS) or an interrupted dump: dump again, with mark and sweep. The kernel stays the
 * authority: unknown neighbours are resolved by asking it to (NTF_USE), neighbours in use are kept from going stale in the same way, and a
 * neighbour that it merely collected is asked for again before the engine hears of it.
 *
 * Routes: tables main and local. Of several routes to one prefix the engine learns the one the kernel prefers: local before main, then the lowest
 * metric. Multipath: first hop. Unreachable, blackhole, prohibit, and what leaves by an interface that no port serves: "elsewhere", so that the
 * engine lets the kernel have it. Addresses: those of ports' interfaces, once past duplicate detection; and 127/8 and ::1, marked loopback.
 *
 * Thread: KA. Limits: policy rules other than the three standard ones are not mirrored.
 */
#ifndef KA_NETLINK_H
#define KA_NETLINK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <eta/admin.h>

#include "engine/net/addr.h"
#include "ka/loop.h"

#define NETLINK_PORT_NONE 0xff
#define NETLINK_ROUTE_BUCKETS 4096u
#define NETLINK_NEIGH_BUCKETS 1024u

struct netlink_link;
struct netlink_addr;
struct netlink_route;
struct netlink_neigh;
struct mnl_socket;

struct netlink_ops {
	void (*on_change)(void *arg, const struct
			eta_admin_msg *msg); /* ADDR_SET, ROUTE_SET, NEIGH_SET, LINK_SET, for every core */
};

struct netlink {
	struct loop *loop;
	struct loop_watch watch;
	struct mnl_socket *sock; /* notifications and requests without answer */
	const struct netlink_ops *ops;
	void *arg;
	int ifindex[16]; /* of port i, 0 = none */
	uint32_t ports_n;
	bool has_loopback; /* 127/8 and ::1 are carried */
	struct netlink_link *links;
	struct netlink_addr *addrs;
	struct netlink_route *route[NETLINK_ROUTE_BUCKETS];
	struct netlink_neigh *neigh[NETLINK_NEIGH_BUCKETS];
	uint32_t mark; /* of the present dump */
	uint32_t routes_n, neighs_n;
	uint64_t redumps_n, asked_n;
};

int netlink_init(struct netlink *nl, struct loop *loop, const struct netlink_ops *ops, void *arg);
void netlink_fini(struct netlink *nl);
/* Port @port serves interface @ifindex. Before netlink_start(). */
void netlink_port(struct netlink *nl, uint32_t port, int ifindex);
/* Dump everything and tell. 0 or -errno. */
int netlink_start(struct netlink *nl);
/* Mark, dump, sweep. */
int netlink_redump(struct netlink *nl);

/* The engine needs, or still uses, the neighbour @addr behind port @port. */
void netlink_neigh_want(struct netlink *nl, uint32_t port, const struct ip_addr *addr);
void netlink_neigh_confirm(struct netlink *nl, uint32_t port, const struct ip_addr *addr);

/* Is @addr one the engine may listen on: an address of a port (or loopback, if carried)? */
bool netlink_is_local(const struct netlink *nl, const struct ip_addr *addr);
/* Each mirrored route as the engine knows it, for `etactl show routes`. */
void netlink_each_route(const struct netlink *nl,
		void (*fn)(void *arg, const struct eta_admin_msg *msg, const char *ifname),
		void *arg);

/* Does interface @ifindex have an IPv4 or a global IPv6 address now? 1, 0 or -errno. Stands alone: for choosing a port's mode. */
int netlink_has_addr(int ifindex);

#endif
