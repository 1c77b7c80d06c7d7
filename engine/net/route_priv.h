/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tables of one core, shared between route (prefixes, addresses) and route_neigh (neighbours).
 *
 * Entries live in fixed arrays and are linked by index; ROUTE_NIL ends a list. A bucket chain of
 * routes is kept in ascending order of metric: the first match of a prefix in its chain is the
 * route to use.
 */
#ifndef ENGINE_NET_ROUTE_PRIV_H
#define ENGINE_NET_ROUTE_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/net/route.h"

#define ROUTE_NIL UINT32_MAX
#define ROUTE_PREFIX_V4 96u /* an IPv4 prefix of length n has length 96 + n in mapped form */
#define ROUTE_PREFIX_MAX 128u
#define NEIGH_RETRY_US 1000000u
#define NEIGH_CONFIRM_US 5000000u

struct route_addr {
	struct ip_addr addr;
	uint8_t prefix_len; /* mapped */
	uint8_t port;
	bool is_used;
	bool is_loopback;
};

struct route_entry {
	struct ip_addr dst; /* masked */
	struct ip_addr gw;  /* any = on link */
	struct ip_addr src; /* any = choose */
	uint32_t metric;
	uint32_t mtu;       /* 0 = the port's */
	uint32_t next;      /* of the bucket, or of the free list */
	uint8_t prefix_len; /* mapped */
	uint8_t port;
	bool is_elsewhere;
	bool is_used;
};

enum neigh_state {
	NEIGH_FREE,
	NEIGH_WANTED, /* the kernel is asked; no MAC */
	NEIGH_VALID,
	NEIGH_OLD, /* the kernel forgot it: the MAC serves until the kernel has answered again */
	NEIGH_FAILED,
};

struct route_neigh {
	struct ip_addr addr;
	uint64_t time_us;    /* WANTED, OLD: last asked; FAILED: since */
	uint64_t confirm_us; /* last confirmed to KA */
	uint32_t next;
	uint8_t mac[6];
	uint8_t port;
	uint8_t state;  /* enum neigh_state */
	bool is_queued; /* in the notice ring, which may outlive the entry's use */
	bool owes_want;
	bool owes_confirm;
};

/* The lengths in use of one family, longest first. */
struct route_lens {
	uint32_t n;
	uint8_t len[ROUTE_PREFIX_MAX + 1];
	uint32_t count[ROUTE_PREFIX_MAX + 1]; /* routes of each length */
};

struct route {
	struct route_conf conf;
	struct net_stats *stats;
	uint32_t epoch;
	uint32_t mtu_epoch;
	uint32_t seed; /* of the hashes: neighbours may be hostile */
	uint64_t bytes;

	struct route_addr *addr; /* [conf.addrs_max] */
	uint32_t addr_used_max;  /* entries beyond were never used */
	uint32_t loopback_n;

	struct route_entry *entry; /* [conf.routes_max] */
	uint32_t entry_free;
	uint32_t *route_bucket; /* [route_mask + 1] */
	uint32_t route_mask;
	struct route_lens lens[2]; /* [is_v4] */

	struct route_neigh *neigh; /* [conf.neighs_max] */
	uint32_t neigh_free;
	uint32_t neigh_hand;       /* where the search for one to give way goes on */
	uint32_t neigh_unresolved; /* WANTED and FAILED */
	uint32_t *neigh_bucket;    /* [neigh_mask + 1] */
	uint32_t neigh_mask;

	uint32_t *notice; /* [conf.neighs_max] ring of neighbour indices */
	uint32_t notice_head;
	uint32_t notice_n;
};

/*
 * Find the MAC of @addr on @port, or ask for it. @n_idx: its index. Return: ROUTE_OK,
 * _NEIGH_PENDING or _NEIGH_FAILED.
 */
enum route_result neigh_resolve(struct route *rt, const struct ip_addr *addr, uint8_t port,
		uint64_t now_us, uint32_t *n_idx);
/* As known, without asking. Return: index, or ROUTE_NIL. */
uint32_t neigh_find(const struct route *rt, const struct ip_addr *addr, uint8_t port);
enum eta_status neigh_admin(struct route *rt, const struct eta_admin_msg *msg, uint64_t now_us);
void neigh_init(struct route *rt);
const char *neigh_check(const struct route *rt);

/* Epoch 0 means "never current". */
static inline void route_changed(struct route *rt)
{
	if (++rt->epoch == 0)
		rt->epoch = 1;
}

static inline bool neigh_has_mac(const struct route_neigh *n)
{
	return n->state == NEIGH_VALID || n->state == NEIGH_OLD;
}

#endif
