/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mirror's tables, private to the netlink files: what one parsed message becomes.
 *
 * Each entry carries the mark of the dump that last saw it; a redump sweeps what it did not see.
 */
#ifndef KA_NETLINK_TAB_H
#define KA_NETLINK_TAB_H

#include <stdbool.h>
#include <stdint.h>

#include <net/if.h>

#include <libmnl/libmnl.h>

#include "ka/netlink.h"

struct netlink_link {
	struct netlink_link *next;
	int ifindex;
	char name[IFNAMSIZ];
	uint8_t mac[6];
	uint16_t mtu;
	bool is_up, is_told;
	uint8_t port; /* NETLINK_PORT_NONE: no port serves it */
	uint32_t mark;
};

struct netlink_addr {
	struct netlink_addr *next;
	int ifindex;
	struct ip_addr addr;
	uint8_t prefix_len; /* v4: 0..32 */
	uint8_t port;
	bool is_loopback;
	uint32_t mark;
};

/* A prefix, with every route to it that the kernel has. */
struct netlink_route {
	struct netlink_route *next; /* in the bucket, whatever the prefix */
	struct ip_addr dst, gw, src;
	uint8_t prefix_len; /* v4: 0..32 */
	bool is_v4;
	bool is_local_table;
	bool is_told; /* the engine has this one */
	bool is_elsewhere;
	uint8_t port;
	uint8_t tos;
	uint32_t metric, mtu;
	int ifindex;
	uint32_t mark;
};

struct netlink_neigh {
	struct netlink_neigh *next;
	struct ip_addr addr;
	uint8_t mac[6];
	uint8_t port;
	bool is_valid;  /* the kernel has a MAC for it */
	bool is_told;   /* the engine has this MAC */
	bool is_wanted; /* the engine asked for it, or uses it */
	uint16_t state; /* NUD_* */
	uint32_t mark;
};

uint8_t netlink_port_of(const struct netlink *nl, int ifindex);
const struct netlink_link *netlink_link_find(const struct netlink *nl, int ifindex);
/* Address attribute of @family in the unified form; false: not 4 or 16 bytes long as it should. */
bool netlink_attr_addr(const struct nlattr *attr, int family, struct ip_addr *addr);
uint32_t netlink_hash(const struct ip_addr *addr, uint32_t salt);

void netlink_on_route(struct netlink *nl, const struct nlmsghdr *nlh);
void netlink_route_sweep(struct netlink *nl);
/* Routes through this interface go with it: the kernel does not say so one by one. */
void netlink_route_drop_link(struct netlink *nl, int ifindex);
void netlink_route_free(struct netlink *nl);

void netlink_on_neigh(struct netlink *nl, const struct nlmsghdr *nlh);
void netlink_neigh_sweep(struct netlink *nl);
void netlink_neigh_free(struct netlink *nl);

#endif
