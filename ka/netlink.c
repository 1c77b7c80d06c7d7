/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The mirror's transport, links and addresses.
 */
#include "ka/netlink.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "ka/log.h"
#include "ka/netlink_tab.h"

#define NETLINK_BYTES 65536
#define NETLINK_RCVBUF_BYTES (4 << 20)
#define NETLINK_READS 64 /* datagrams a turn */
#define NETLINK_DUMPS 5  /* tries, while dumps are interrupted by changes */

static const int netlink_groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
		RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NEIGH};

uint8_t netlink_port_of(const struct netlink *nl, int ifindex)
{
	for (uint32_t i = 0; i < nl->ports_n; i++)
		if (nl->ifindex[i] == ifindex && ifindex != 0)
			return (uint8_t)i;
	return NETLINK_PORT_NONE;
}

const struct netlink_link *netlink_link_find(const struct netlink *nl, int ifindex)
{
	for (const struct netlink_link *l = nl->links; l; l = l->next)
		if (l->ifindex == ifindex)
			return l;
	return NULL;
}

bool netlink_attr_addr(const struct nlattr *attr, int family, struct ip_addr *addr)
{
	uint32_t v4_be;

	if (family == AF_INET && mnl_attr_get_payload_len(attr) == sizeof(v4_be)) {
		memcpy(&v4_be, mnl_attr_get_payload(attr), sizeof(v4_be));
		*addr = ip_addr_from_v4(v4_be);
		return true;
	}
	if (family == AF_INET6 && mnl_attr_get_payload_len(attr) == sizeof(addr->b)) {
		memcpy(addr->b, mnl_attr_get_payload(attr), sizeof(addr->b));
		return true;
	}
	return false;
}

uint32_t netlink_hash(const struct ip_addr *addr, uint32_t salt)
{
	uint64_t h = (addr->q[0] * 0x9e3779b97f4a7c15ull) ^ (addr->q[1] * 0xc2b2ae3d27d4eb4full) ^
		     salt;

	h ^= h >> 29;
	h *= 0xbf58476d1ce4e5b9ull;
	return (uint32_t)(h >> 32);
}

/* ---- links ---- */

static void netlink_tell_link(const struct netlink *nl, const struct netlink_link *link)
{
	struct eta_admin_msg msg = {.op = ETA_ADMIN_LINK_SET};

	if (link->port == NETLINK_PORT_NONE)
		return;
	msg.link.port = link->port;
	msg.link.up = link->is_up;
	msg.link.mtu = link->mtu;
	memcpy(msg.link.mac, link->mac, sizeof(msg.link.mac));
	nl->ops->on_change(nl->arg, &msg);
}

static struct netlink_link *netlink_link_get(struct netlink *nl, int ifindex)
{
	struct netlink_link *link = nl->links;

	while (link && link->ifindex != ifindex)
		link = link->next;
	if (link)
		return link;
	link = calloc(1, sizeof(*link));
	if (!link)
		return NULL;
	link->ifindex = ifindex;
	link->port = netlink_port_of(nl, ifindex);
	link->next = nl->links;
	nl->links = link;
	return link;
}

static void netlink_link_gone(struct netlink *nl, int ifindex)
{
	for (struct netlink_link **at = &nl->links; *at; at = &(*at)->next) {
		struct netlink_link *link = *at;

		if (link->ifindex != ifindex)
			continue;
		link->is_up = false;
		netlink_tell_link(nl, link);
		*at = link->next;
		free(link);
		break;
	}
	netlink_route_drop_link(nl, ifindex);
}

static void netlink_on_link(struct netlink *nl, const struct nlmsghdr *nlh)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct netlink_link before, *link;
	const struct nlattr *attr;

	if (nlh->nlmsg_len < MNL_ALIGN(sizeof(*nlh)) + sizeof(*ifi) || ifi->ifi_family != AF_UNSPEC)
		return;
	if (nlh->nlmsg_type == RTM_DELLINK) {
		netlink_link_gone(nl, ifi->ifi_index);
		return;
	}
	link = netlink_link_get(nl, ifi->ifi_index);
	if (!link)
		return;
	before = *link;
	link->mark = nl->mark;
	link->is_up = (ifi->ifi_flags & IFF_UP) && (ifi->ifi_flags & IFF_RUNNING);
	mnl_attr_for_each(attr, nlh, sizeof(*ifi))
	{
		uint16_t len = mnl_attr_get_payload_len(attr);

		if (mnl_attr_get_type(attr) == IFLA_IFNAME && len > 0 && len <= IFNAMSIZ)
			(void)strncpy(link->name, mnl_attr_get_str(attr), IFNAMSIZ - 1);
		else if (mnl_attr_get_type(attr) == IFLA_MTU && len == sizeof(uint32_t))
			link->mtu = mnl_attr_get_u32(attr) > UINT16_MAX
						    ? UINT16_MAX
						    : (uint16_t)mnl_attr_get_u32(attr);
		else if (mnl_attr_get_type(attr) == IFLA_ADDRESS && len == sizeof(link->mac))
			memcpy(link->mac, mnl_attr_get_payload(attr), sizeof(link->mac));
	}
	if (link->is_told && before.is_up == link->is_up && before.mtu == link->mtu &&
			memcmp(before.mac, link->mac, 6) == 0)
		return;
	link->is_told = true;
	netlink_tell_link(nl, link);
	if (before.is_up && !link->is_up && !(ifi->ifi_flags & IFF_UP))
		netlink_route_drop_link(nl, link->ifindex);
}

/* ---- addresses ---- */

static void netlink_tell_addr(
		const struct netlink *nl, const struct netlink_addr *addr, bool is_del)
{
	struct eta_admin_msg msg = {.op = ETA_ADMIN_ADDR_SET};

	if (addr->is_loopback ? !nl->has_loopback : addr->port == NETLINK_PORT_NONE)
		return;
	memcpy(msg.addr.addr, addr->addr.b, sizeof(msg.addr.addr));
	msg.addr.prefix_len = addr->prefix_len;
	msg.addr.port = addr->is_loopback ? 0 : addr->port;
	msg.addr.is_loopback = addr->is_loopback;
	msg.addr.is_del = is_del;
	nl->ops->on_change(nl->arg, &msg);
}

static bool netlink_is_loopback(const struct ip_addr *a)
{
	static const struct ip_addr one6 = {.b = {[15] = 1}};

	return (ip_addr_is_v4(a) && a->b[12] == 127) || ip_addr_equal(a, &one6);
}

static void netlink_addr_unlink(struct netlink *nl, struct netlink_addr **at)
{
	struct netlink_addr *addr = *at;

	*at = addr->next;
	netlink_tell_addr(nl, addr, true);
	free(addr);
}

static struct netlink_addr **netlink_addr_find(struct netlink *nl, const struct netlink_addr *want)
{
	struct netlink_addr **at = &nl->addrs;

	while (*at && !((*at)->ifindex == want->ifindex &&
				      ip_addr_equal(&(*at)->addr, &want->addr) &&
				      (*at)->prefix_len == want->prefix_len))
		at = &(*at)->next;
	return at;
}

static void netlink_on_addr(struct netlink *nl, const struct nlmsghdr *nlh)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct netlink_addr want = {0}, **at;
	const struct nlattr *attr;
	bool has_addr = false, is_local_attr = false;
	uint32_t flags;

	if (nlh->nlmsg_len < MNL_ALIGN(sizeof(*nlh)) + sizeof(*ifa))
		return;
	flags = ifa->ifa_flags;
	mnl_attr_for_each(attr, nlh, sizeof(*ifa))
	{
		uint16_t type = mnl_attr_get_type(attr);

		/* IFA_LOCAL is ours; IFA_ADDRESS is the peer's on point-to-point links. */
		if (type == IFA_LOCAL || (type == IFA_ADDRESS && !is_local_attr)) {
			has_addr |= netlink_attr_addr(attr, ifa->ifa_family, &want.addr);
			is_local_attr |= type == IFA_LOCAL;
		} else if (type == IFA_FLAGS &&
				mnl_attr_get_payload_len(attr) == sizeof(uint32_t)) {
			flags = mnl_attr_get_u32(attr);
		}
	}
	if (!has_addr)
		return;
	want.ifindex = (int)ifa->ifa_index;
	want.prefix_len = ifa->ifa_prefixlen;
	want.port = netlink_port_of(nl, want.ifindex);
	want.is_loopback = netlink_is_loopback(&want.addr);
	at = netlink_addr_find(nl, &want);
	/* Tentative addresses are not ours yet; those that failed detection never are. */
	if (nlh->nlmsg_type == RTM_DELADDR || (flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED))) {
		if (*at)
			netlink_addr_unlink(nl, at);
		return;
	}
	if (*at) {
		(*at)->mark = nl->mark;
		return;
	}
	want.mark = nl->mark;
	*at = malloc(sizeof(want));
	if (!*at)
		return;
	**at = want;
	netlink_tell_addr(nl, *at, false);
}

static void netlink_link_addr_sweep(struct netlink *nl)
{
	struct netlink_addr **at = &nl->addrs;
	bool again = true;

	while (*at) {
		if ((*at)->mark != nl->mark)
			netlink_addr_unlink(nl, at);
		else
			at = &(*at)->next;
	}
	while (again) {
		again = false;
		for (struct netlink_link *link = nl->links; link && !again; link = link->next) {
			again = link->mark != nl->mark;
			if (again)
				netlink_link_gone(nl, link->ifindex);
		}
	}
}

bool netlink_is_local(const struct netlink *nl, const struct ip_addr *addr)
{
	for (const struct netlink_addr *a = nl->addrs; a; a = a->next)
		if (ip_addr_equal(&a->addr, addr) &&
				(a->is_loopback ? nl->has_loopback : a->port != NETLINK_PORT_NONE))
			return true;
	return nl->has_loopback && netlink_is_loopback(addr);
}

/* ---- transport ---- */

static int netlink_on_msg(const struct nlmsghdr *nlh, void *arg)
{
	struct netlink *nl = arg;

	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK: netlink_on_link(nl, nlh); break;
	case RTM_NEWADDR:
	case RTM_DELADDR: netlink_on_addr(nl, nlh); break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE: netlink_on_route(nl, nlh); break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH: netlink_on_neigh(nl, nlh); break;
	default: break; /* answers to our requests */
	}
	return MNL_CB_OK;
}

/* Answers to requests without dump (NTF_USE): errors come here and say that the entry is there already, or that the link is down. */
static int netlink_on_error(const struct nlmsghdr *nlh, void *arg)
{
	(void)nlh;
	(void)arg;
	return MNL_CB_OK;
}

static void netlink_on_ready(void *arg, uint32_t events)
{
	struct netlink *nl = arg;
	mnl_cb_t control[NLMSG_MIN_TYPE] = {[NLMSG_ERROR] = netlink_on_error};
	char buf[NETLINK_BYTES] __attribute__((aligned(8)));

	(void)events;
	for (int i = 0; i < NETLINK_READS; i++) {
		ssize_t n = recv(nl->watch.fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n < 0 && errno == ENOBUFS) {
			log_warn("netlink lost=1 action=redump");
			(void)netlink_redump(nl);
			continue;
		}
		if (n <= 0)
			return;
		(void)mnl_cb_run2(
				buf, (size_t)n, 0, 0, netlink_on_msg, nl, control, NLMSG_MIN_TYPE);
	}
}

/* One dump on a socket of its own. Return: 0; -EINTR changed under way; -errno. */
static int netlink_dump(struct netlink *nl, struct mnl_socket *sock, uint16_t type, uint8_t family,
		uint32_t seq)
{
	char buf[NETLINK_BYTES] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	unsigned int portid = mnl_socket_get_portid(sock);
	struct rtgenmsg *gen;
	bool was_interrupted = false;
	int rc = MNL_CB_OK;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = seq;
	/* The kernel wants the whole header of each type; all begin with the family. */
	gen = mnl_nlmsg_put_extra_header(nlh, type == RTM_GETLINK   ? sizeof(struct ifinfomsg)
					      : type == RTM_GETADDR ? sizeof(struct ifaddrmsg)
								    : sizeof(struct rtmsg));
	gen->rtgen_family = family;
	if (mnl_socket_sendto(sock, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	while (rc > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(sock, buf, sizeof(buf));

		if (n < 0)
			return -errno;
		rc = mnl_cb_run(buf, (size_t)n, seq, portid, netlink_on_msg, nl);
		if (rc < 0 && errno == EINTR) {
			was_interrupted =
					true; /* libmnl's word for NLM_F_DUMP_INTR; the rest is of no use */
			rc = MNL_CB_STOP;
		}
	}
	if (was_interrupted)
		return -EINTR;
	/* A kernel without IPv6 refuses its dumps. */
	return rc < 0 && errno != EOPNOTSUPP && errno != EAFNOSUPPORT ? -errno : 0;
}

static int netlink_dump_all(struct netlink *nl)
{
	static const struct {
		uint16_t type;
		uint8_t family;
	} dumps[] = {{RTM_GETLINK, AF_UNSPEC}, {RTM_GETADDR, AF_INET}, {RTM_GETADDR, AF_INET6},
			{RTM_GETROUTE, AF_INET}, {RTM_GETROUTE, AF_INET6}, {RTM_GETNEIGH, AF_INET},
			{RTM_GETNEIGH, AF_INET6}};
	const struct timeval limit = {.tv_sec = 2};
	int rc = 0;

	for (uint32_t i = 0; i < sizeof(dumps) / sizeof(dumps[0]) && rc == 0; i++) {
		struct mnl_socket *sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);

		if (!sock)
			return -errno;
		(void)setsockopt(mnl_socket_get_fd(sock), SOL_SOCKET, SO_RCVTIMEO, &limit,
				sizeof(limit));
		rc = mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0
				     ? -errno
				     : netlink_dump(nl, sock, dumps[i].type, dumps[i].family,
						       i + 1);
		(void)mnl_socket_close(sock);
	}
	return rc;
}

int netlink_redump(struct netlink *nl)
{
	int rc = -EINTR;

	for (int i = 0; i < NETLINK_DUMPS && rc == -EINTR; i++) {
		nl->mark++;
		rc = netlink_dump_all(nl);
	}
	nl->redumps_n++;
	if (rc < 0)
		return rc;
	netlink_route_sweep(nl);
	netlink_link_addr_sweep(nl);
	netlink_neigh_sweep(nl);
	return 0;
}

int netlink_init(struct netlink *nl, struct loop *loop, const struct netlink_ops *ops, void *arg)
{
	const int rcvbuf = NETLINK_RCVBUF_BYTES;
	int rc = 0;

	memset(nl, 0, sizeof(*nl));
	nl->loop = loop;
	nl->ops = ops;
	nl->arg = arg;
	nl->sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!nl->sock)
		return -errno;
	(void)setsockopt(mnl_socket_get_fd(nl->sock), SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf,
			sizeof(rcvbuf));
	if (mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0)
		rc = -errno;
	for (size_t i = 0; i < sizeof(netlink_groups) / sizeof(netlink_groups[0]) && rc == 0; i++)
		if (mnl_socket_setsockopt(nl->sock, NETLINK_ADD_MEMBERSHIP,
				    (void *)(uintptr_t)&netlink_groups[i], sizeof(int)) < 0)
			rc = -errno;
	if (rc < 0)
		netlink_fini(nl);
	return rc;
}

void netlink_port(struct netlink *nl, uint32_t port, int ifindex)
{
	nl->ifindex[port] = ifindex;
	if (port >= nl->ports_n)
		nl->ports_n = port + 1;
}

int netlink_start(struct netlink *nl)
{
	int rc;

	nl->watch = (struct loop_watch){.fd = mnl_socket_get_fd(nl->sock),
			.events = EPOLLIN,
			.on_ready = netlink_on_ready,
			.arg = nl};
	/* Joined before the dump: what changes meanwhile is told again after it. */
	rc = netlink_redump(nl);
	return rc < 0 ? rc : loop_add(nl->loop, &nl->watch);
}

void netlink_fini(struct netlink *nl)
{
	if (!nl->sock)
		return;
	loop_del(nl->loop, &nl->watch);
	while (nl->links) {
		struct netlink_link *link = nl->links;

		nl->links = link->next;
		free(link);
	}
	while (nl->addrs) {
		struct netlink_addr *addr = nl->addrs;

		nl->addrs = addr->next;
		free(addr);
	}
	netlink_route_free(nl);
	netlink_neigh_free(nl);
	(void)mnl_socket_close(nl->sock);
	nl->sock = NULL;
}

/* ---- has an interface addresses? ---- */

struct netlink_has {
	int ifindex;
	int found;
};

static int netlink_on_has(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct netlink_has *has = arg;

	if (nlh->nlmsg_type == RTM_NEWADDR && (int)ifa->ifa_index == has->ifindex &&
			(ifa->ifa_family == AF_INET ||
					(ifa->ifa_family == AF_INET6 &&
							ifa->ifa_scope != RT_SCOPE_LINK)))
		has->found = 1;
	return MNL_CB_OK;
}

int netlink_has_addr(int ifindex)
{
	char buf[NETLINK_BYTES] __attribute__((aligned(8)));
	struct mnl_socket *sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	struct netlink_has has = {.ifindex = ifindex};
	struct nlmsghdr *nlh;
	int rc = MNL_CB_OK;

	if (!sock)
		return -errno;
	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = RTM_GETADDR;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	(void)mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifaddrmsg));
	if (mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0 ||
			mnl_socket_sendto(sock, nlh, nlh->nlmsg_len) < 0)
		rc = -errno;
	while (rc > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(sock, buf, sizeof(buf));

		rc = n < 0 ? -1 : mnl_cb_run(buf, (size_t)n, 0, 0, netlink_on_has, &has);
	}
	(void)mnl_socket_close(sock);
	return rc < 0 ? -EIO : has.found;
}
