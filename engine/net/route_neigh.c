/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Neighbours: the part of the tables that packets can fill.
 *
 *         resolve                KA: mac              KA: del
 *   FREE ---------> WANTED --------------> VALID -----------> OLD ---- KA: mac --> VALID
 *                     | KA: failed                             | KA: del
 *                     v                                        v
 *                   FAILED -- 1 s, resolve --> WANTED        FAILED
 *
 * OLD keeps a connection going while the kernel, which collects stale entries, looks again. What KA
 * must be told is a level in the entry, and the entry stands at most once in the ring of notices;
 * so the ring, as long as the table, cannot overflow.
 *
 * RFC 4861 7.3.3 (reachability confirmation by upper layers), RFC 6583 (neighbour cache
 * exhaustion).
 */
#include "engine/net/route.h"

#include <string.h>

#include <rte_jhash.h>

#include "engine/net/route_priv.h"

#define HAND_STEPS 16u /* entries looked at when searching for one to give way */

static uint32_t bucket_of(const struct route *rt, const struct ip_addr *addr, uint8_t port)
{
	return rte_jhash_32b(addr->w_be, 4, rt->seed + port) & rt->neigh_mask;
}

void neigh_init(struct route *rt)
{
	uint32_t i;

	for (i = 0; i <= rt->neigh_mask; i++)
		rt->neigh_bucket[i] = ROUTE_NIL;
	for (i = 0; i < rt->conf.neighs_max; i++)
		rt->neigh[i].next = i + 1 < rt->conf.neighs_max ? i + 1 : ROUTE_NIL;
	rt->neigh_free = 0;
}

uint32_t neigh_find(const struct route *rt, const struct ip_addr *addr, uint8_t port)
{
	uint32_t i = rt->neigh_bucket[bucket_of(rt, addr, port)];

	while (i != ROUTE_NIL &&
			!(rt->neigh[i].port == port && ip_addr_equal(&rt->neigh[i].addr, addr)))
		i = rt->neigh[i].next;
	return i;
}

static bool is_unresolved(const struct route_neigh *n)
{
	return n->state == NEIGH_WANTED || n->state == NEIGH_FAILED;
}

static void set_state(struct route *rt, struct route_neigh *n, enum neigh_state state)
{
	rt->neigh_unresolved -= is_unresolved(n);
	n->state = (uint8_t)state;
	rt->neigh_unresolved += is_unresolved(n);
}

static void owe(struct route *rt, struct route_neigh *n)
{
	if (n->is_queued)
		return;
	n->is_queued = true;
	rt->notice[(rt->notice_head + rt->notice_n) % rt->conf.neighs_max] =
			(uint32_t)(n - rt->neigh);
	rt->notice_n++;
}

static void want(struct route *rt, struct route_neigh *n, uint64_t now_us)
{
	n->time_us = now_us;
	n->owes_want = true;
	owe(rt, n);
}

static void unlink_free(struct route *rt, uint32_t idx)
{
	struct route_neigh *n = &rt->neigh[idx];
	uint32_t *link = &rt->neigh_bucket[bucket_of(rt, &n->addr, n->port)];

	while (*link != idx)
		link = &rt->neigh[*link].next;
	*link = n->next;
	set_state(rt, n, NEIGH_FREE);
	n->owes_want = false;
	n->owes_confirm = false;
	n->next = rt->neigh_free;
	rt->neigh_free = idx;
}

/*
 * Frees an unresolved entry that has had its second, or any unresolved one if @hard. Return:
 * whether one was freed.
 */
static bool make_room(struct route *rt, uint64_t now_us, bool hard)
{
	uint32_t steps = hard ? rt->conf.neighs_max : RTE_MIN(HAND_STEPS, rt->conf.neighs_max);

	for (; steps > 0; steps--) {
		uint32_t idx = rt->neigh_hand;
		struct route_neigh *n = &rt->neigh[idx];

		rt->neigh_hand = (idx + 1) % rt->conf.neighs_max;
		if (is_unresolved(n) && (hard || now_us - n->time_us >= NEIGH_RETRY_US)) {
			unlink_free(rt, idx);
			return true;
		}
	}
	return false;
}

/*
 * Return: a fresh entry in no state, linked; or ROUTE_NIL. @by_kernel: may push out unresolved
 * ones.
 */
static uint32_t neigh_add(struct route *rt, const struct ip_addr *addr, uint8_t port,
		uint64_t now_us, bool by_kernel)
{
	bool is_full = rt->neigh_free == ROUTE_NIL;
	uint32_t idx, *bucket;
	struct route_neigh *n;

	if (!by_kernel && rt->neigh_unresolved >= (rt->conf.neighs_max + 1) / 2)
		is_full = true;
	if (is_full && !make_room(rt, now_us, by_kernel))
		return ROUTE_NIL;
	idx = rt->neigh_free;
	n = &rt->neigh[idx];
	rt->neigh_free = n->next;
	bucket = &rt->neigh_bucket[bucket_of(rt, addr, port)];
	n->addr = *addr;
	n->port = port;
	n->confirm_us = now_us;
	n->next = *bucket;
	*bucket = idx;
	return idx;
}

enum route_result neigh_resolve(struct route *rt, const struct ip_addr *addr, uint8_t port,
		uint64_t now_us, uint32_t *n_idx)
{
	uint32_t idx = neigh_find(rt, addr, port);
	struct route_neigh *n;

	if (idx == ROUTE_NIL) {
		idx = neigh_add(rt, addr, port, now_us, false);
		*n_idx = idx;
		if (idx == ROUTE_NIL) {
			rt->stats->neigh_table_full++;
			return ROUTE_NEIGH_PENDING;
		}
		set_state(rt, &rt->neigh[idx], NEIGH_WANTED);
		want(rt, &rt->neigh[idx], now_us);
		return ROUTE_NEIGH_PENDING;
	}
	*n_idx = idx;
	n = &rt->neigh[idx];
	if (n->state == NEIGH_VALID)
		return ROUTE_OK;
	if (now_us - n->time_us < NEIGH_RETRY_US) {
		if (n->state == NEIGH_FAILED)
			return ROUTE_NEIGH_FAILED;
	} else {
		if (n->state == NEIGH_FAILED)
			set_state(rt, n, NEIGH_WANTED);
		want(rt, n, now_us);
	}
	return n->state == NEIGH_OLD ? ROUTE_OK : ROUTE_NEIGH_PENDING;
}

/* The kernel has lost or given up @idx. */
static void neigh_del(struct route *rt, uint32_t idx, uint64_t now_us)
{
	struct route_neigh *n = &rt->neigh[idx];

	switch ((enum neigh_state)n->state) {
	case NEIGH_VALID:
		set_state(rt, n, NEIGH_OLD);
		/* Whoever uses it resolves again, because the epoch moved, and thereby asks. */
		n->time_us = now_us - NEIGH_RETRY_US;
		route_changed(rt);
		break;
	case NEIGH_OLD:
		route_changed(rt);
		set_state(rt, n, NEIGH_FAILED);
		n->time_us = now_us;
		break;
	case NEIGH_WANTED:
	case NEIGH_FAILED:
		set_state(rt, n, NEIGH_FAILED);
		n->time_us = now_us;
		break;
	case NEIGH_FREE: break;
	}
	n->owes_want = false;
	n->owes_confirm = false;
}

enum eta_status neigh_admin(struct route *rt, const struct eta_admin_msg *msg, uint64_t now_us)
{
	struct route_neigh *n;
	struct ip_addr addr;
	uint32_t idx;

	memcpy(addr.b, msg->neigh.addr, sizeof(addr.b));
	if (msg->neigh.port >= rt->conf.ports_n || ip_addr_is_any(&addr))
		return ETA_STATUS_INVALID;
	idx = neigh_find(rt, &addr, msg->neigh.port);
	if (msg->neigh.is_del) {
		if (idx == ROUTE_NIL)
			return ETA_STATUS_NOT_FOUND;
		neigh_del(rt, idx, now_us);
		return ETA_STATUS_OK;
	}
	if (idx == ROUTE_NIL)
		idx = neigh_add(rt, &addr, msg->neigh.port, now_us, true);
	if (idx == ROUTE_NIL) {
		rt->stats->admin_table_full++;
		return ETA_STATUS_NO_MEMORY;
	}
	n = &rt->neigh[idx];
	/*
	 * A context that waits, or holds the old MAC, must look again; one with the same MAC need
	 * not.
	 */
	if (n->state != NEIGH_VALID || memcmp(n->mac, msg->neigh.mac, sizeof(n->mac)) != 0)
		route_changed(rt);
	memcpy(n->mac, msg->neigh.mac, sizeof(n->mac));
	set_state(rt, n, NEIGH_VALID);
	n->owes_want = false;
	return ETA_STATUS_OK;
}

void route_confirm(struct route *rt, const struct net_hop *hop, uint64_t now_us)
{
	struct route_neigh *n;

	if (hop->neigh >= rt->conf.neighs_max)
		return;
	n = &rt->neigh[hop->neigh];
	if (n->state != NEIGH_VALID || now_us - n->confirm_us < NEIGH_CONFIRM_US)
		return;
	n->confirm_us = now_us;
	n->owes_confirm = true;
	owe(rt, n);
}

bool route_notice_next(struct route *rt, uint64_t now_us, struct eta_admin_msg *msg)
{
	while (rt->notice_n > 0) {
		struct route_neigh *n = &rt->neigh[rt->notice[rt->notice_head]];
		bool is_want = n->owes_want;

		rt->notice_head = (rt->notice_head + 1) % rt->conf.neighs_max;
		rt->notice_n--;
		n->is_queued = false;
		if (!n->owes_want && !n->owes_confirm)
			continue; /* answered, or given up, before it was told */
		n->owes_want = false;
		n->owes_confirm = false;
		if (is_want)
			n->time_us = now_us;
		*msg = (struct eta_admin_msg){
				.op = is_want ? ETA_ADMIN_NEIGH_WANT : ETA_ADMIN_NEIGH_CONFIRM};
		memcpy(msg->neigh.addr, n->addr.b, sizeof(msg->neigh.addr));
		memcpy(msg->neigh.mac, n->mac, sizeof(msg->neigh.mac));
		msg->neigh.port = n->port;
		return true;
	}
	return false;
}

const char *neigh_check(const struct route *rt)
{
	uint32_t i, linked = 0, free_n = 0, queued = 0, unresolved = 0;

	for (i = 0; i <= rt->neigh_mask; i++) {
		uint32_t j;

		for (j = rt->neigh_bucket[i]; j != ROUTE_NIL; j = rt->neigh[j].next) {
			if (rt->neigh[j].state == NEIGH_FREE)
				return "a free neighbour is in the hash table";
			if (++linked > rt->conf.neighs_max)
				return "the neighbours' hash chains have a cycle";
		}
	}
	for (i = rt->neigh_free; i != ROUTE_NIL; i = rt->neigh[i].next)
		if (++free_n > rt->conf.neighs_max)
			return "the neighbours' free list has a cycle";
	for (i = 0; i < rt->conf.neighs_max; i++) {
		queued += rt->neigh[i].is_queued;
		unresolved += is_unresolved(&rt->neigh[i]);
		if ((rt->neigh[i].owes_want || rt->neigh[i].owes_confirm) &&
				!rt->neigh[i].is_queued)
			return "a neighbour owes a notice and is not in the ring";
	}
	if (linked + free_n != rt->conf.neighs_max)
		return "a neighbour is neither free nor in the hash table";
	if (queued != rt->notice_n)
		return "the notice ring and the neighbours disagree";
	return unresolved == rt->neigh_unresolved ? NULL
						  : "the count of unresolved neighbours is wrong";
}
