/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mirrored neighbours, and the two things we ask of the kernel: find one, and keep one fresh.
 *
 * Both are a RTM_NEWNEIGH with NTF_USE, which makes the kernel behave as if it had a packet for that neighbour: an unknown one is solicited,
 * a stale one is probed. The answer comes as a notification like any other change.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include "ka/netlink_tab.h"

#define NETLINK_NUD_VALID \
	(NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)
#define NETLINK_NEIGHS_MAX 65536u

static struct netlink_neigh **netlink_neigh_find(
		struct netlink *nl, uint8_t port, const struct ip_addr *addr)
{
	struct netlink_neigh **at =
			&nl->neigh[netlink_hash(addr, port) & (NETLINK_NEIGH_BUCKETS - 1)];

	while (*at && !((*at)->port == port && ip_addr_equal(&(*at)->addr, addr)))
		at = &(*at)->next;
	return at;
}

static struct netlink_neigh *netlink_neigh_get(
		struct netlink *nl, uint8_t port, const struct ip_addr *addr)
{
	struct netlink_neigh **at = netlink_neigh_find(nl, port, addr);

	if (!*at && nl->neighs_n < NETLINK_NEIGHS_MAX) {
		*at = calloc(1, sizeof(**at));
		if (*at) {
			(*at)->port = port;
			(*at)->addr = *addr;
			(*at)->mark = nl->mark;
			nl->neighs_n++;
		}
	}
	return *at;
}

static void netlink_neigh_tell(struct netlink *nl, struct netlink_neigh *n, bool is_del)
{
	struct eta_admin_msg msg = {.op = ETA_ADMIN_NEIGH_SET};

	memcpy(msg.neigh.addr, n->addr.b, sizeof(msg.neigh.addr));
	memcpy(msg.neigh.mac, n->mac, sizeof(msg.neigh.mac));
	msg.neigh.port = n->port;
	msg.neigh.is_del = is_del;
	n->is_told = !is_del;
	nl->ops->on_change(nl->arg, &msg);
}

static void netlink_neigh_use(struct netlink *nl, uint8_t port, const struct ip_addr *addr)
{
	char buf[128] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	bool is_v4 = ip_addr_is_v4(addr);
	struct ndmsg *ndm;

	nlh->nlmsg_type = RTM_NEWNEIGH;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE;
	ndm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ndm));
	ndm->ndm_family = is_v4 ? AF_INET : AF_INET6;
	ndm->ndm_ifindex = nl->ifindex[port];
	ndm->ndm_flags = NTF_USE;
	mnl_attr_put(nlh, NDA_DST, is_v4 ? 4 : 16, is_v4 ? addr->b + 12 : addr->b);
	nl->asked_n++;
	/* Lost or refused, the engine asks again in a second. */
	(void)mnl_socket_sendto(nl->sock, nlh, nlh->nlmsg_len);
}

void netlink_neigh_want(struct netlink *nl, uint32_t port, const struct ip_addr *addr)
{
	struct netlink_neigh *n;

	if (port >= nl->ports_n || nl->ifindex[port] == 0)
		return;
	n = netlink_neigh_get(nl, (uint8_t)port, addr);
	if (!n)
		return;
	n->is_wanted = true;
	if (n->is_valid)
		netlink_neigh_tell(nl, n, false);
	else
		netlink_neigh_use(nl, (uint8_t)port, addr);
}

void netlink_neigh_confirm(struct netlink *nl, uint32_t port, const struct ip_addr *addr)
{
	struct netlink_neigh *n;

	if (port >= nl->ports_n || nl->ifindex[port] == 0)
		return;
	n = *netlink_neigh_find(nl, (uint8_t)port, addr);
	if (n)
		n->is_wanted = true;
	/* One that is reachable needs nothing; a stale one is asked, so that the kernel itself sees the answer. */
	if (!n || !(n->state & (NUD_REACHABLE | NUD_PERMANENT | NUD_NOARP | NUD_DELAY | NUD_PROBE)))
		netlink_neigh_use(nl, (uint8_t)port, addr);
}

static void netlink_neigh_update(
		struct netlink *nl, struct netlink_neigh *n, uint16_t state, const uint8_t *mac)
{
	bool is_new_mac = mac && (!n->is_told || memcmp(n->mac, mac, sizeof(n->mac)) != 0);

	n->mark = nl->mark;
	n->state = state;
	if ((state & NETLINK_NUD_VALID) && mac) {
		n->is_valid = true;
		memcpy(n->mac, mac, sizeof(n->mac));
		if (is_new_mac)
			netlink_neigh_tell(nl, n, false);
	} else if (state & NUD_FAILED) {
		n->is_valid = false;
		/* Wanted or known: the engine has something waiting, or would go on sending to nobody. */
		if (n->is_told || n->is_wanted)
			netlink_neigh_tell(nl, n, true);
	}
}

static void netlink_neigh_remove(struct netlink *nl, struct netlink_neigh **at)
{
	struct netlink_neigh *n = *at;

	/* Collected by the kernel though the engine uses it: keep the MAC, ask again; a failure will be told. */
	if (n->is_wanted && n->is_told) {
		n->is_valid = false;
		n->is_wanted = false; /* once; the engine's next confirmation sets it again */
		n->state = NUD_NONE;
		n->mark = nl->mark;
		netlink_neigh_use(nl, n->port, &n->addr);
		return;
	}
	*at = n->next;
	nl->neighs_n--;
	if (n->is_told)
		netlink_neigh_tell(nl, n, true);
	free(n);
}

void netlink_on_neigh(struct netlink *nl, const struct nlmsghdr *nlh)
{
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(nlh);
	struct netlink_neigh *n, **at;
	const uint8_t *mac = NULL;
	const struct nlattr *attr;
	struct ip_addr addr;
	bool has_addr = false;
	uint8_t port;

	if (nlh->nlmsg_len < MNL_ALIGN(sizeof(*nlh)) + sizeof(*ndm) ||
			(ndm->ndm_family != AF_INET && ndm->ndm_family != AF_INET6))
		return;
	port = netlink_port_of(nl, ndm->ndm_ifindex);
	if (port == NETLINK_PORT_NONE)
		return;
	mnl_attr_for_each(attr, nlh, sizeof(*ndm))
	{
		if (mnl_attr_get_type(attr) == NDA_DST)
			has_addr = netlink_attr_addr(attr, ndm->ndm_family, &addr);
		else if (mnl_attr_get_type(attr) == NDA_LLADDR &&
				mnl_attr_get_payload_len(attr) == 6)
			mac = mnl_attr_get_payload(attr);
	}
	/* Multicast "neighbours" (NUD_NOARP) are computed by whoever needs them. */
	if (!has_addr || (ip_addr_is_v4(&addr) ? addr.b[12] >= 224 : addr.b[0] == 0xff))
		return;
	if (nlh->nlmsg_type == RTM_DELNEIGH) {
		at = netlink_neigh_find(nl, port, &addr);
		if (*at)
			netlink_neigh_remove(nl, at);
		return;
	}
	n = netlink_neigh_get(nl, port, &addr);
	if (n)
		netlink_neigh_update(nl, n, ndm->ndm_state, mac);
}

void netlink_neigh_sweep(struct netlink *nl)
{
	for (uint32_t b = 0; b < NETLINK_NEIGH_BUCKETS; b++) {
		struct netlink_neigh **at = &nl->neigh[b];

		while (*at) {
			struct netlink_neigh *n = *at;

			if (n->mark != nl->mark)
				netlink_neigh_remove(nl, at);
			if (*at == n)
				at = &n->next;
		}
	}
}

void netlink_neigh_free(struct netlink *nl)
{
	for (uint32_t b = 0; b < NETLINK_NEIGH_BUCKETS; b++) {
		while (nl->neigh[b]) {
			struct netlink_neigh *n = nl->neigh[b];

			nl->neigh[b] = n->next;
			free(n);
		}
	}
}
