/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A TAP device through /dev/net/tun.
 */
#include "ka/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/virtio_net.h>

#include "engine/net/port.h"
#include "engine/net/vnet.h"

#define TAP_SEGS_MAX 8
#define TAP_MSG_BYTES 8192
#define TAP_GSO_BYTES_MAX 65000u /* a superframe must fit the one mbuf that takes it */

#ifndef IFLA_GSO_IPV4_MAX_SIZE
#define IFLA_GSO_IPV4_MAX_SIZE 63
#endif

static int __attribute__((format(printf, 4, 5)))
tap_fail(int rc, char *err, size_t err_len, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(err, err_len, format, args);
	va_end(args);
	return rc;
}

/* One value into /proc/sys/net/<family>/conf/<tap>/<key>. These belong to the device and go with it. */
static void tap_sysctl(
		const struct tap *tap, const char *family, const char *key, const char *value)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, tap->name, key);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return; /* a kernel without that family: nothing to say to it */
	if (write(fd, value, strlen(value)) < 0) {
		(void)close(fd);
		return;
	}
	(void)close(fd);
}

/*
 * Re-injected frames come from elsewhere than the route back leads: loose source check. No address, so no address generation, no router
 * advertisements, no answers to ARP.
 */
static void tap_sysctls(const struct tap *tap)
{
	tap_sysctl(tap, "ipv6", "accept_ra", "0");
	if (!tap->is_reinject)
		return;
	tap_sysctl(tap, "ipv4", "rp_filter", "2");
	tap_sysctl(tap, "ipv4", "arp_ignore", "8");
	tap_sysctl(tap, "ipv6", "addr_gen_mode", "1");
	tap_sysctl(tap, "ipv6", "accept_dad", "0");
}

/* One request, one acknowledgement. @buf: the request, TAP_MSG_BYTES large. 0 or -1. */
static int tap_netlink(char *buf)
{
	struct mnl_socket *sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	struct nlmsghdr *nlh = (struct nlmsghdr *)buf;
	ssize_t n = -1;
	int rc = -1;

	if (!sock)
		return -1;
	nlh->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	if (mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) == 0 &&
			mnl_socket_sendto(sock, nlh, nlh->nlmsg_len) > 0)
		n = mnl_socket_recvfrom(sock, buf, TAP_MSG_BYTES);
	if (n > 0)
		rc = mnl_cb_run(buf, (size_t)n, 0, 0, NULL, NULL) < 0 ? -1 : 0;
	(void)mnl_socket_close(sock);
	return rc;
}

/* 0, or -1: then the kernel may make superframes that are too large. */
static int tap_limit_gso(const char *name)
{
	char buf[TAP_MSG_BYTES] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *ifi;

	nlh->nlmsg_type = RTM_NEWLINK;
	ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_index = (int)if_nametoindex(name);
	mnl_attr_put_u32(nlh, IFLA_GSO_MAX_SIZE, TAP_GSO_BYTES_MAX);
	mnl_attr_put_u32(nlh, IFLA_GSO_IPV4_MAX_SIZE, TAP_GSO_BYTES_MAX);
	return tap_netlink(buf);
}

/*
 * The loose source check passes nothing on a device without any IPv4 address. One of the loopback net with scope host satisfies it: nobody
 * routes by it, nobody chooses it as a source.
 */
static int tap_give_address(const struct tap *tap)
{
	static const uint8_t addr[4] = {127, 255, 255, 254};
	char buf[TAP_MSG_BYTES] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifaddrmsg *ifa;

	nlh->nlmsg_type = RTM_NEWADDR;
	nlh->nlmsg_flags = NLM_F_CREATE | NLM_F_REPLACE;
	ifa = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifa));
	ifa->ifa_family = AF_INET;
	ifa->ifa_prefixlen = 32;
	ifa->ifa_scope = RT_SCOPE_HOST;
	ifa->ifa_index = if_nametoindex(tap->name);
	mnl_attr_put(nlh, IFA_LOCAL, sizeof(addr), addr);
	return tap_netlink(buf);
}

static int tap_configure(struct tap *tap, const struct tap_conf *conf, char *err, size_t err_len)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr;
	int rc = 0;

	if (sock < 0)
		return tap_fail(-errno, err, err_len, "TAP %s: socket: %s", tap->name,
				strerror(errno));
	memset(&ifr, 0, sizeof(ifr));
	memcpy(ifr.ifr_name, tap->name, IFNAMSIZ);
	ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(ifr.ifr_hwaddr.sa_data, conf->mac, 6);
	if (ioctl(sock, SIOCSIFHWADDR, &ifr) < 0)
		rc = tap_fail(-errno, err, err_len, "TAP %s: set MAC: %s", tap->name,
				strerror(errno));
	memset(&ifr.ifr_ifru, 0, sizeof(ifr.ifr_ifru));
	ifr.ifr_mtu = conf->mtu;
	if (rc == 0 && ioctl(sock, SIOCSIFMTU, &ifr) < 0)
		rc = tap_fail(-errno, err, err_len, "TAP %s: set MTU %u: %s", tap->name, conf->mtu,
				strerror(errno));
	tap_sysctls(tap);
	if (rc == 0 && tap->is_reinject && tap_give_address(tap) < 0)
		rc = tap_fail(-EIO, err, err_len, "TAP %s: cannot give it an address", tap->name);
	memset(&ifr.ifr_ifru, 0, sizeof(ifr.ifr_ifru));
	if (rc == 0 && ioctl(sock, SIOCGIFFLAGS, &ifr) == 0) {
		ifr.ifr_flags |= IFF_UP | IFF_RUNNING;
		if (ioctl(sock, SIOCSIFFLAGS, &ifr) < 0)
			rc = tap_fail(-errno, err, err_len, "TAP %s: set up: %s", tap->name,
					strerror(errno));
	}
	(void)close(sock);
	return rc;
}

int tap_open(struct tap *tap, const struct tap_conf *conf, char *err, size_t err_len)
{
	const int hdr_bytes = sizeof(struct virtio_net_hdr);
	unsigned long offload =
			(conf->offload_cksum ? TUN_F_CSUM : 0) |
			(conf->offload_cksum && conf->offload_tso
							? TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN
							: 0);
	struct ifreq ifr;
	int rc;

	memset(tap, 0, sizeof(*tap));
	tap->is_reinject = conf->is_reinject;
	tap->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (tap->fd < 0)
		return tap_fail(-errno, err, err_len,
				"open /dev/net/tun: %s (is the tun driver there, are we root?)",
				strerror(errno));
	memset(&ifr, 0, sizeof(ifr));
	(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", conf->name);
	ifr.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	if (ioctl(tap->fd, TUNSETIFF, &ifr) < 0) {
		rc = -errno;
		(void)tap_fail(rc, err, err_len,
				rc == -EBUSY || rc == -EEXIST || rc == -EINVAL
						? "TAP %s: %s (does an interface of that name exist?)"
						: "TAP %s: %s (needs CAP_NET_ADMIN)",
				conf->name, strerror(-rc));
		goto fail;
	}
	memcpy(tap->name, ifr.ifr_name, IFNAMSIZ);
	tap->name[IFNAMSIZ - 1] = '\0';
	if (tap_limit_gso(tap->name) < 0)
		offload &= TUN_F_CSUM;
	if (ioctl(tap->fd, TUNSETVNETHDRSZ, &hdr_bytes) < 0 ||
			ioctl(tap->fd, TUNSETOFFLOAD, offload) < 0) {
		rc = tap_fail(-errno, err, err_len, "TAP %s: offloads: %s", tap->name,
				strerror(errno));
		goto fail;
	}
	rc = tap_configure(tap, conf, err, err_len);
	if (rc < 0)
		goto fail;
	tap->ifindex = (int)if_nametoindex(tap->name);
	return 0;
fail:
	tap_close(tap);
	return rc;
}

void tap_close(struct tap *tap)
{
	if (tap->fd >= 0)
		(void)close(tap->fd);
	tap->fd = -1;
}

int tap_write(struct tap *tap, struct rte_mbuf *m)
{
	struct iovec iov[TAP_SEGS_MAX + 1];
	struct virtio_net_hdr hdr;
	struct rte_mbuf *seg = m;
	int n = 1;

	vnet_from_rx(m, &hdr);
	iov[0] = (struct iovec){.iov_base = &hdr, .iov_len = sizeof(hdr)};
	while (seg && n <= TAP_SEGS_MAX) {
		iov[n++] = (struct iovec){.iov_base = rte_pktmbuf_mtod(seg, void *),
				.iov_len = seg->data_len};
		seg = seg->next;
	}
	if (seg || writev(tap->fd, iov, n) < 0) {
		tap->tx_errors++;
		return seg ? -EMSGSIZE : -errno;
	}
	tap->tx_frames++;
	return 0;
}

struct rte_mbuf *tap_read(struct tap *tap, struct rte_mempool *pool, uint32_t port_caps)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	struct virtio_net_hdr hdr;
	struct iovec iov[2] = {{.iov_base = &hdr, .iov_len = sizeof(hdr)}};
	ssize_t n;

	if (!m) {
		errno = ENOBUFS;
		return NULL;
	}
	iov[1] = (struct iovec){.iov_base = rte_pktmbuf_mtod(m, void *),
			.iov_len = rte_pktmbuf_tailroom(m)};
	n = readv(tap->fd, iov, 2);
	if (n <= (ssize_t)sizeof(hdr)) {
		int saved = n < 0 ? errno : EINVAL;

		rte_pktmbuf_free(m);
		errno = saved;
		return NULL;
	}
	m->data_len = (uint16_t)(n - (ssize_t)sizeof(hdr));
	m->pkt_len = m->data_len;
	if (!vnet_to_tx(&hdr, port_caps, m)) {
		tap->rx_errors++;
		rte_pktmbuf_free(m);
		errno = EINVAL;
		return NULL;
	}
	tap->rx_frames++;
	return m;
}
