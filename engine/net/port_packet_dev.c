/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel interface behind a packet port.
 *
 * GRO at our end makes superframes of what a sender without GSO sends, and is the largest single
 * gain (5.6 times). It is on by default on hardware and off on veth. On a device of our own we turn
 * it on where it is off, and off again at close; a daemon that is killed leaves it on. A device
 * that the kernel shares keeps what its administrator set, unless the port's name says "gro".
 *
 * On a shared device the socket filter lets only TCP to this host, ICMP and what may hide TCP pass:
 * the kernel has its own copy of the rest, and a VLAN frame, from which the kernel has removed the
 * tag, cannot be mistaken for one of ours. On a device of our own everything passes, and the tag is
 * put back by the port.
 *
 * packet(7), bpf(4), <linux/ethtool.h>.
 */
#include "engine/net/port_packet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_common.h>

#define BIG_DEFAULT 512u    /* x 64 KiB = 32 MiB */
#define SMALL_DEFAULT 8192u /* x 2 KiB = 18 MiB */
#define BUFS_MIN 128u
#define BUFS_MAX 65536u
#define SOCKET_RCV_BYTES (32 * 1024 * 1024)
#define SOCKET_SND_BYTES (8 * 1024 * 1024)

/* ---- configuration ---- */

static bool number(const char *text, uint32_t *v)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	*v = (uint32_t)n;
	return errno == 0 && end != text && *end == '\0' && n >= BUFS_MIN && n <= BUFS_MAX;
}

static bool option(const char *word, struct packet_conf *conf)
{
	if (strcmp(word, "own") == 0) {
		conf->is_own = true;
		return true;
	}
	if (strcmp(word, "gro") == 0 || strcmp(word, "nogro") == 0) {
		conf->gro = word[0] == 'g' ? PACKET_GRO_ON : PACKET_GRO_KEEP;
		return true;
	}
	if (strncmp(word, "big=", 4) == 0)
		return number(word + 4, &conf->big_n);
	if (strncmp(word, "small=", 6) == 0)
		return number(word + 6, &conf->small_n);
	return false;
}

int packet_conf_parse(const char *args, struct packet_conf *conf, char *err, size_t err_len)
{
	char copy[128], *word, *rest = copy;

	*conf = (struct packet_conf){.big_n = BIG_DEFAULT, .small_n = SMALL_DEFAULT};
	if (strlen(args) >= sizeof(copy)) {
		(void)snprintf(err, err_len, "port 'packet:%s': too long", args);
		return -1;
	}
	memcpy(copy, args, strlen(args) + 1);
	word = strsep(&rest, ",");
	if (word[0] == '\0' || strlen(word) >= sizeof(conf->ifname)) {
		(void)snprintf(err, err_len, "port 'packet:%s': '%s' is no interface name", args,
				word);
		return -1;
	}
	memcpy(conf->ifname, word, strlen(word) + 1);
	while ((word = strsep(&rest, ",")) != NULL) {
		if (option(word, conf))
			continue;
		(void)snprintf(err, err_len,
				"port 'packet:%s': '%s' is not one of own, gro, nogro, big=N, "
				"small=N (N from %u to %u)",
				args, word, BUFS_MIN, BUFS_MAX);
		return -1;
	}
	return 0;
}

/* ---- the interface ---- */

static void request(struct ifreq *ifr, const struct packet_conf *conf)
{
	memset(ifr, 0, sizeof(*ifr));
	memcpy(ifr->ifr_name, conf->ifname, sizeof(conf->ifname));
}

static bool wants_gro(const struct packet_conf *conf)
{
	return conf->gro == PACKET_GRO_ON || (conf->gro == PACKET_GRO_DEFAULT && conf->is_own);
}

static int gro(int fd, const struct packet_conf *conf, uint32_t cmd, uint32_t on)
{
	struct ethtool_value v = {.cmd = cmd, .data = on};
	struct ifreq ifr;

	request(&ifr, conf);
	ifr.ifr_data = (void *)&v;
	if (ioctl(fd, SIOCETHTOOL, &ifr) != 0)
		return -1;
	return (int)v.data;
}

/* Return: the ioctl that failed, or NULL. */
static const char *ask(int fd, const struct packet_conf *conf, struct packet_dev *dev)
{
	struct ifreq ifr;

	request(&ifr, conf);
	if (ioctl(fd, SIOCGIFINDEX, &ifr) != 0)
		return "find";
	dev->ifindex = ifr.ifr_ifindex;
	if (ioctl(fd, SIOCGIFHWADDR, &ifr) != 0)
		return "ask the MAC address of";
	memcpy(dev->mac, ifr.ifr_hwaddr.sa_data, sizeof(dev->mac));
	if (ioctl(fd, SIOCGIFMTU, &ifr) != 0)
		return "ask the MTU of";
	dev->mtu = (uint16_t)RTE_MIN(ifr.ifr_mtu, (int)UINT16_MAX);
	if (ioctl(fd, SIOCGIFFLAGS, &ifr) != 0)
		return "ask the state of";
	dev->is_up = (ifr.ifr_flags & IFF_UP) && (ifr.ifr_flags & IFF_RUNNING);
	return NULL;
}

int packet_dev_open(
		const struct packet_conf *conf, struct packet_dev *dev, char *err, size_t err_len)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const char *failed = "open a socket for";

	memset(dev, 0, sizeof(*dev));
	if (fd >= 0)
		failed = ask(fd, conf, dev);
	if (failed) {
		(void)snprintf(err, err_len, "port 'packet:%s': cannot %s the interface: %s",
				conf->ifname, failed, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	if (wants_gro(conf) && gro(fd, conf, ETHTOOL_GGRO, 0) == 0)
		dev->gro_changed = gro(fd, conf, ETHTOOL_SGRO, 1) >= 0;
	close(fd);
	return 0;
}

void packet_dev_close(const struct packet_conf *conf, const struct packet_dev *dev)
{
	int fd;

	if (!dev->gro_changed)
		return;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)gro(fd, conf, ETHTOOL_SGRO, 0);
	close(fd);
}

/* ---- the socket ---- */

#define ACCEPT 0xffffffffu
#define J(code, k, jt, jf) BPF_JUMP(BPF_JMP | (code) | BPF_K, k, jt, jf)
#define LOAD(size, k) BPF_STMT(BPF_LD | (size) | BPF_ABS, (uint32_t)(k))

static int set_filter(int fd, bool is_own)
{
	/* jump distances count from the next instruction; 18 = accept, 19 = drop */
	struct sock_filter shared[] = {
			/*  0 */ LOAD(BPF_W, SKF_AD_OFF + SKF_AD_PKTTYPE),
			/*  1 */ J(BPF_JEQ, PACKET_HOST, 0, 17),
			/*  2 */ LOAD(BPF_H, SKF_AD_OFF + SKF_AD_VLAN_TAG),
			/*  3 */ J(BPF_JSET, 0x0fff, 15, 0),
			/*  4 */ LOAD(BPF_H, 12),
			/*  5 */ J(BPF_JEQ, ETH_P_IP, 0, 3),
			/*  6 */ LOAD(BPF_B, 23),
			/*  7 */ J(BPF_JEQ, IPPROTO_TCP, 10, 0),
			/*  8 */ J(BPF_JEQ, IPPROTO_ICMP, 9, 10),
			/*  9 */ J(BPF_JEQ, ETH_P_IPV6, 0, 9),
			/* 10 */ LOAD(BPF_B, 20),
			/* 11 */ J(BPF_JEQ, IPPROTO_TCP, 6, 0),
			/* 12 */ J(BPF_JEQ, IPPROTO_ICMPV6, 5, 0),
			/* 13 */ J(BPF_JEQ, IPPROTO_HOPOPTS, 4, 0),
			/* 14 */ J(BPF_JEQ, IPPROTO_ROUTING, 3, 0),
			/* 15 */ J(BPF_JEQ, IPPROTO_FRAGMENT, 2, 0),
			/* 16 */ J(BPF_JEQ, IPPROTO_DSTOPTS, 1, 0),
			/* 17 */ J(BPF_JA, 1, 0, 0),
			/* 18 */ BPF_STMT(BPF_RET | BPF_K, ACCEPT),
			/* 19 */ BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog prog = {.len = RTE_DIM(shared), .filter = shared};

	return is_own ? 0 : setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog));
}

static int set_int(int fd, int level, int name, int v)
{
	return setsockopt(fd, level, name, &v, sizeof(v));
}

/* What the privileged form refuses, the plain one may grant in part. */
static void set_buffers(int fd)
{
	if (set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_RCV_BYTES) != 0)
		(void)set_int(fd, SOL_SOCKET, SO_RCVBUF, SOCKET_RCV_BYTES);
	if (set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_SND_BYTES) != 0)
		(void)set_int(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_SND_BYTES);
}

/* A device of our own must deliver what the kernel behind the TAP listens to: all groups. */
static int set_promiscuous(int fd, int ifindex)
{
	struct packet_mreq req = {.mr_ifindex = ifindex, .mr_type = PACKET_MR_PROMISC};

	return setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &req, sizeof(req));
}

/*
 * Everything is set before the socket is bound: not one frame comes unfiltered. Return: what
 * failed, or NULL.
 */
static const char *set_up(int fd, const struct packet_conf *conf, const struct packet_dev *dev)
{
	struct sockaddr_ll sll = {.sll_family = AF_PACKET,
			.sll_protocol = htons(ETH_P_ALL),
			.sll_ifindex = dev->ifindex};

	if (set_int(fd, SOL_PACKET, PACKET_VNET_HDR, 1) != 0)
		return "PACKET_VNET_HDR";
	if (set_int(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1) != 0)
		return "PACKET_IGNORE_OUTGOING (Linux 4.20 or newer)";
	if (set_filter(fd, conf->is_own) != 0)
		return "SO_ATTACH_FILTER";
	if (conf->is_own && set_int(fd, SOL_PACKET, PACKET_AUXDATA, 1) != 0)
		return "PACKET_AUXDATA";
	if (conf->is_own && set_promiscuous(fd, dev->ifindex) != 0)
		return "PACKET_ADD_MEMBERSHIP";
	set_buffers(fd);
	if (bind(fd, (struct sockaddr *)&sll, sizeof(sll)) != 0)
		return "bind";
	return NULL;
}

int packet_socket_open(const struct packet_conf *conf, const struct packet_dev *dev, char *err,
		size_t err_len)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const char *failed;

	if (fd < 0) {
		(void)snprintf(err, err_len,
				"port 'packet:%s': cannot open a packet socket: %s; "
				"run as root or with CAP_NET_RAW",
				conf->ifname, strerror(errno));
		return -1;
	}
	failed = set_up(fd, conf, dev);
	if (!failed)
		return fd;
	(void)snprintf(err, err_len, "port 'packet:%s': %s failed: %s", conf->ifname, failed,
			strerror(errno));
	close(fd);
	return -1;
}
