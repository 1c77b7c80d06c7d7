/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mirrored routes: of several to one prefix, the engine knows the one that the kernel would take.
 *
 * Kept in buckets by prefix. A change is applied to the list and then the prefix is published again: the best route is told, and if that is another than
 * the one told before, the old one is withdrawn after it, so that the engine never lacks a route in between.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/rtnetlink.h>

#include "ka/netlink_tab.h"

static uint32_t netlink_route_bucket(const struct ip_addr *dst, uint8_t prefix_len, bool is_v4)
{
	return netlink_hash(dst, prefix_len * 2u + is_v4) & (NETLINK_ROUTE_BUCKETS - 1);
}

static bool netlink_same_prefix(const struct netlink_route *a, const struct netlink_route *b)
{
	return a->prefix_len == b->prefix_len && a->is_v4 == b->is_v4 &&
	       ip_addr_equal(&a->dst, &b->dst);
}

static void netlink_route_msg(const struct netlink_route *r, bool is_del, struct eta_admin_msg *msg)
{
	*msg = (struct eta_admin_msg){.op = ETA_ADMIN_ROUTE_SET};
	memcpy(msg->route.dst, r->dst.b, 16);
	memcpy(msg->route.gw, r->gw.b, 16);
	memcpy(msg->route.src, r->src.b, 16);
	msg->route.prefix_len = r->prefix_len;
	msg->route.is_v4 = r->is_v4;
	msg->route.port = r->is_elsewhere ? 0 : r->port;
	msg->route.is_del = is_del;
	msg->route.is_elsewhere = r->is_elsewhere;
	msg->route.metric = r->metric;
	msg->route.mtu = r->mtu;
}

static void netlink_route_tell(struct netlink *nl, const struct netlink_route *r, bool is_del)
{
	struct eta_admin_msg msg;

	netlink_route_msg(r, is_del, &msg);
	nl->ops->on_change(nl->arg, &msg);
}

/* Two routes that the engine cannot tell apart: setting the one has replaced the other. */
static bool netlink_route_is_twin(const struct netlink_route *a, const struct netlink_route *b)
{
	return a->metric == b->metric &&
	       (a->is_elsewhere ? 0 : a->port) == (b->is_elsewhere ? 0 : b->port) &&
	       ip_addr_equal(&a->gw, &b->gw);
}

static void netlink_route_withdraw(struct netlink *nl, const struct netlink_route *old,
		const struct netlink_route *best)
{
	if (!best || !netlink_route_is_twin(old, best))
		netlink_route_tell(nl, old, true);
}

static bool netlink_route_better(const struct netlink_route *a, const struct netlink_route *b)
{
	if (a->is_local_table != b->is_local_table)
		return a->is_local_table;
	if (a->metric != b->metric)
		return a->metric < b->metric;
	/* fe80::/64 is on every interface. */
	return !a->is_elsewhere && b->is_elsewhere;
}

/* Make what the engine knows of @like's prefix true again. Return: the route it knows now. */
static const struct netlink_route *netlink_route_publish(
		struct netlink *nl, uint32_t bucket, const struct netlink_route *like)
{
	struct netlink_route *best = NULL, *told = NULL;

	for (struct netlink_route *r = nl->route[bucket]; r; r = r->next) {
		if (!netlink_same_prefix(r, like) || r->tos != 0)
			continue;
		if (r->is_told)
			told = r;
		if (!best || netlink_route_better(r, best))
			best = r;
	}
	if (best == told)
		return best;
	if (best) {
		netlink_route_tell(nl, best, false);
		best->is_told = true;
	}
	if (told) {
		netlink_route_withdraw(nl, told, best);
		told->is_told = false;
	}
	return best;
}

static void netlink_route_remove(struct netlink *nl, struct netlink_route **at, uint32_t bucket)
{
	struct netlink_route *r = *at;
	struct netlink_route gone = *r;

	*at = r->next;
	free(r);
	nl->routes_n--;
	if (gone.is_told)
		netlink_route_withdraw(nl, &gone, netlink_route_publish(nl, bucket, &gone));
}

/* First hop of RTA_MULTIPATH. */
static void netlink_route_nexthop(const struct nlattr *attr, int family, struct netlink_route *r)
{
	const struct rtnexthop *nh = mnl_attr_get_payload(attr);

	if (mnl_attr_get_payload_len(attr) < sizeof(*nh) ||
			nh->rtnh_len > mnl_attr_get_payload_len(attr) || nh->rtnh_len < sizeof(*nh))
		return;
	r->ifindex = nh->rtnh_ifindex;
	mnl_attr_for_each_payload((const struct nlattr *)(nh + 1), nh->rtnh_len - sizeof(*nh))
	{
		if (mnl_attr_get_type(attr) == RTA_GATEWAY)
			(void)netlink_attr_addr(attr, family, &r->gw);
	}
}

static void netlink_route_metrics(const struct nlattr *nest, struct netlink_route *r)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest) if (mnl_attr_get_type(attr) == RTAX_MTU &&
						 mnl_attr_get_payload_len(attr) == sizeof(uint32_t))
			r->mtu = mnl_attr_get_u32(attr);
}

/* Gateway of the other family (IPv4 by IPv6 next hop). */
static void netlink_route_via(const struct nlattr *attr, struct netlink_route *r)
{
	const struct rtvia *via = mnl_attr_get_payload(attr);
	uint32_t v4_be;

	if (mnl_attr_get_payload_len(attr) >= sizeof(*via) + 16 && via->rtvia_family == AF_INET6) {
		memcpy(r->gw.b, via->rtvia_addr, 16);
	} else if (mnl_attr_get_payload_len(attr) >= sizeof(*via) + 4 &&
			via->rtvia_family == AF_INET) {
		memcpy(&v4_be, via->rtvia_addr, sizeof(v4_be));
		r->gw = ip_addr_from_v4(v4_be);
	}
}

static uint32_t netlink_route_attrs(
		const struct nlmsghdr *nlh, const struct rtmsg *rtm, struct netlink_route *r)
{
	uint32_t table = rtm->rtm_table;
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(*rtm))
	{
		bool is_u32 = mnl_attr_get_payload_len(attr) == sizeof(uint32_t);

		switch (mnl_attr_get_type(attr)) {
		case RTA_DST: (void)netlink_attr_addr(attr, rtm->rtm_family, &r->dst); break;
		case RTA_GATEWAY: (void)netlink_attr_addr(attr, rtm->rtm_family, &r->gw); break;
		case RTA_PREFSRC: (void)netlink_attr_addr(attr, rtm->rtm_family, &r->src); break;
		case RTA_OIF: r->ifindex = is_u32 ? (int)mnl_attr_get_u32(attr) : 0; break;
		case RTA_PRIORITY: r->metric = is_u32 ? mnl_attr_get_u32(attr) : 0; break;
		case RTA_TABLE: table = is_u32 ? mnl_attr_get_u32(attr) : table; break;
		case RTA_METRICS: netlink_route_metrics(attr, r); break;
		case RTA_VIA: netlink_route_via(attr, r); break;
		case RTA_MULTIPATH: netlink_route_nexthop(attr, rtm->rtm_family, r); break;
		default: break;
		}
	}
	return table;
}

/* Fill @r from @nlh. False: not a route that the mirror keeps. */
static bool netlink_route_parse(
		const struct netlink *nl, const struct nlmsghdr *nlh, struct netlink_route *r)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct ip_addr any4 = ip_addr_from_v4(0);
	uint32_t table;

	if (nlh->nlmsg_len < MNL_ALIGN(sizeof(*nlh)) + sizeof(*rtm) ||
			(rtm->rtm_flags & RTM_F_CLONED))
		return false;
	if (rtm->rtm_family != AF_INET && rtm->rtm_family != AF_INET6)
		return false;
	memset(r, 0, sizeof(*r));
	r->is_v4 = rtm->rtm_family == AF_INET;
	r->prefix_len = rtm->rtm_dst_len;
	r->tos = rtm->rtm_tos;
	if (r->is_v4)
		r->dst = r->gw = r->src = any4;
	table = netlink_route_attrs(nlh, rtm, r);
	if (table != RT_TABLE_MAIN && table != RT_TABLE_LOCAL)
		return false;
	r->is_local_table = table == RT_TABLE_LOCAL;
	r->port = netlink_port_of(nl, r->ifindex);
	switch (rtm->rtm_type) {
	case RTN_UNICAST: r->is_elsewhere = r->port == NETLINK_PORT_NONE; break;
	case RTN_UNREACHABLE:
	case RTN_BLACKHOLE:
	case RTN_PROHIBIT:
	case RTN_THROW: r->is_elsewhere = true; break;
	case RTN_LOCAL:
		/* The engine's own addresses reach it as addresses; the others are the kernel's. */
		if (r->port != NETLINK_PORT_NONE || (nl->has_loopback && r->ifindex == 1))
			return false;
		r->is_elsewhere = true;
		break;
	default: return false; /* broadcast, multicast, anycast: no TCP there */
	}
	/* ff00::/8 */
	return r->is_v4 || r->dst.b[0] != 0xff;
}

static bool netlink_route_same(const struct netlink_route *a, const struct netlink_route *b)
{
	return netlink_same_prefix(a, b) && a->is_local_table == b->is_local_table &&
	       a->metric == b->metric && a->tos == b->tos && a->ifindex == b->ifindex &&
	       ip_addr_equal(&a->gw, &b->gw);
}

void netlink_on_route(struct netlink *nl, const struct nlmsghdr *nlh)
{
	struct netlink_route want, **at;
	uint32_t bucket;

	if (!netlink_route_parse(nl, nlh, &want))
		return;
	bucket = netlink_route_bucket(&want.dst, want.prefix_len, want.is_v4);
	if (nlh->nlmsg_type == RTM_NEWROUTE && (nlh->nlmsg_flags & NLM_F_REPLACE)) {
		/* Replaces the one of the same prefix, metric and TOS, whatever its next hop. */
		for (at = &nl->route[bucket]; *at;) {
			if (netlink_same_prefix(*at, &want) && (*at)->metric == want.metric &&
					(*at)->tos == want.tos &&
					(*at)->is_local_table == want.is_local_table &&
					!netlink_route_same(*at, &want))
				netlink_route_remove(nl, at, bucket);
			else
				at = &(*at)->next;
		}
	}
	for (at = &nl->route[bucket]; *at && !netlink_route_same(*at, &want);)
		at = &(*at)->next;
	if (nlh->nlmsg_type == RTM_DELROUTE) {
		if (*at)
			netlink_route_remove(nl, at, bucket);
		return;
	}
	want.mark = nl->mark;
	if (*at) {
		(*at)->mark = nl->mark;
		if ((*at)->mtu == want.mtu && ip_addr_equal(&(*at)->src, &want.src) &&
				(*at)->is_elsewhere == want.is_elsewhere)
			return;
		want.next = (*at)->next;
		want.is_told = (*at)->is_told;
		**at = want;
		if (want.is_told)
			netlink_route_tell(nl, *at, false);
		return;
	}
	*at = malloc(sizeof(want));
	if (!*at)
		return;
	want.next = NULL;
	**at = want;
	nl->routes_n++;
	(void)netlink_route_publish(nl, bucket, *at);
}

static void netlink_route_remove_if(struct netlink *nl,
		bool (*test)(const struct netlink *nl, const struct netlink_route *r, int arg),
		int arg)
{
	for (uint32_t b = 0; b < NETLINK_ROUTE_BUCKETS; b++) {
		struct netlink_route **at = &nl->route[b];

		while (*at) {
			if (test(nl, *at, arg))
				netlink_route_remove(nl, at, b);
			else
				at = &(*at)->next;
		}
	}
}

static bool netlink_route_is_unmarked(
		const struct netlink *nl, const struct netlink_route *r, int arg)
{
	(void)arg;
	return r->mark != nl->mark;
}

static bool netlink_route_is_through(
		const struct netlink *nl, const struct netlink_route *r, int ifindex)
{
	(void)nl;
	return r->ifindex == ifindex && !r->is_local_table;
}

void netlink_route_sweep(struct netlink *nl)
{
	netlink_route_remove_if(nl, netlink_route_is_unmarked, 0);
}

void netlink_route_drop_link(struct netlink *nl, int ifindex)
{
	netlink_route_remove_if(nl, netlink_route_is_through, ifindex);
}

void netlink_route_free(struct netlink *nl)
{
	for (uint32_t b = 0; b < NETLINK_ROUTE_BUCKETS; b++) {
		while (nl->route[b]) {
			struct netlink_route *r = nl->route[b];

			nl->route[b] = r->next;
			free(r);
		}
	}
}

void netlink_each_route(const struct netlink *nl,
		void (*fn)(void *arg, const struct eta_admin_msg *msg, const char *ifname),
		void *arg)
{
	for (uint32_t b = 0; b < NETLINK_ROUTE_BUCKETS; b++) {
		for (const struct netlink_route *r = nl->route[b]; r; r = r->next) {
			const struct netlink_link *link = netlink_link_find(nl, r->ifindex);
			struct eta_admin_msg msg;

			if (!r->is_told)
				continue;
			netlink_route_msg(r, false, &msg);
			fn(arg, &msg, link ? link->name : "-");
		}
	}
}
