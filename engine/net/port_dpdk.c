/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port on any DPDK ethdev.
 *
 * The device is named by its devargs and probed here if EAL has not done so. What it offers is
 * asked, never assumed: checksum offload, TSO and multi-segment transmission become caps only where
 * the device reports them. One receive and one transmit queue.
 *
 * Traps that cost others days: net_af_packet lets a frame above its frame size vanish while
 * counting it as sent, and stalls for seconds, so lengths are compared before transmission; a
 * device may deliver a frame in several segments (net_vhost with TSO), which is made one if it fits
 * its first mbuf, and counted as truncated if not; a device without IPv4 checksum field handling
 * needs the field zero for TSO.
 *
 * Limits: no LRO (it would need 64 KiB receive buffers or chains), no RSS, no receive interrupts:
 * sleep_fd is -1.
 */
#include "engine/net/port_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ip.h>

#include <eta/abi.h>

#define MBUFS_N 8192u
#define MBUF_CACHE_N 256u
#define DESC_N 1024u
#define ETHER_BYTES_MAX 18u /* with a VLAN tag */
#define MTU_DEFAULT 1500u
#define MTU_MAX 9216u                /* jumbo frames; larger rooms would only waste memory */
#define AF_PACKET_OVERHEAD_BYTES 64u /* TPACKET2_HDRLEN, rounded up */
#define AF_PACKET_FRAME_BYTES 2048u  /* its default framesz */
#define TX_TRIES 8u
#define SUPERFRAME_BYTES_MAX 65535u

struct port_dpdk {
	struct port port;
	uint16_t id;     /* ethdev */
	bool prepare;    /* offloads are on: the driver wants tx_prepare */
	bool was_probed; /* by us: removed at close */
};

static inline struct port_dpdk *of(struct port *port)
{
	return (struct port_dpdk *)port;
}

/* ---- frames ---- */

/*
 * One segment, or nothing: several become one where there is room. Return: false when the frame had
 * to be dropped.
 */
static bool one_segment(struct port_dpdk *p, struct rte_mbuf *m)
{
	if (rte_pktmbuf_linearize(m) == 0)
		return true;
	p->port.stats.rx_truncated++;
	rte_pktmbuf_free(m);
	return false;
}

static uint16_t dpdk_rx_burst(struct port *port, struct rte_mbuf **burst, uint16_t n)
{
	struct port_dpdk *p = of(port);
	uint16_t got = rte_eth_rx_burst(p->id, 0, burst, n), i, out = 0;

	for (i = 0; i < got; i++) {
		struct rte_mbuf *m = burst[i];

		if (ETA_UNLIKELY(m->nb_segs > 1) && !one_segment(p, m))
			continue;
		port->stats.rx_bytes += m->pkt_len;
		burst[out++] = m;
	}
	port->stats.rx_frames += out;
	return out;
}

/* Readies a superframe: devices that segment want the IPv4 checksum asked for too. */
static void ready_tso(struct rte_mbuf *m)
{
	struct rte_ipv4_hdr *ip;

	if (!(m->ol_flags & RTE_MBUF_F_TX_IPV4))
		return;
	ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, m->l2_len);
	ip->hdr_checksum = 0;
	m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
}

static bool is_sendable(const struct port *port, struct rte_mbuf *m)
{
	if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) {
		if (!(port->caps & PORT_CAP_TSO) || m->pkt_len > port->tso_bytes_max)
			return false;
		ready_tso(m);
		return true;
	}
	return m->pkt_len <= (uint32_t)port->mtu + ETHER_BYTES_MAX;
}

static void drop_from(struct rte_mbuf **burst, uint16_t from, uint16_t n, uint64_t *counter)
{
	*counter += n - from;
	rte_pktmbuf_free_bulk(burst + from, n - from);
}

static void dpdk_tx_burst(struct port *port, struct rte_mbuf **burst, uint16_t n)
{
	struct port_dpdk *p = of(port);
	uint16_t i, ok = 0, sent = 0, tries;
	uint64_t bytes = 0;

	for (i = 0; i < n; i++) {
		if (ETA_LIKELY(is_sendable(port, burst[i]))) {
			burst[ok++] = burst[i];
			continue;
		}
		port->stats.tx_errors++;
		rte_pktmbuf_free(burst[i]);
	}
	if (p->prepare) {
		uint16_t ready = rte_eth_tx_prepare(p->id, 0, burst, ok);

		if (ETA_UNLIKELY(ready < ok)) {
			drop_from(burst, ready, ok, &port->stats.tx_errors);
			ok = ready;
		}
	}
	for (i = 0; i < ok; i++)
		bytes += burst[i]->pkt_len;
	for (tries = 0; sent < ok && tries < TX_TRIES; tries++)
		sent += rte_eth_tx_burst(p->id, 0, burst + sent, ok - sent);
	if (ETA_UNLIKELY(sent < ok)) {
		for (i = sent; i < ok; i++)
			bytes -= burst[i]->pkt_len;
		drop_from(burst, sent, ok, &port->stats.tx_dropped);
	}
	port->stats.tx_frames += sent;
	port->stats.tx_bytes += bytes;
}

static int dpdk_sleep_fd(struct port *port)
{
	(void)port;
	return -1;
}

static void dpdk_stats_update(struct port *port)
{
	struct rte_eth_stats st;
	struct rte_eth_link link;

	if (rte_eth_stats_get(of(port)->id, &st) == 0)
		port->stats.rx_dropped = st.imissed + st.rx_nombuf;
	if (port->ifindex == 0 && rte_eth_link_get_nowait(of(port)->id, &link) == 0)
		port->link_up = link.link_status == RTE_ETH_LINK_UP;
}

static void dpdk_close(struct port *port)
{
	struct port_dpdk *p = of(port);
	struct rte_eth_dev_info info = {0};

	if (rte_eth_dev_is_valid_port(p->id)) {
		rte_eth_dev_info_get(p->id, &info);
		rte_eth_dev_stop(p->id);
		rte_eth_dev_close(p->id);
		if (p->was_probed && info.device)
			rte_dev_remove(info.device);
	}
	rte_mempool_free(port->pool);
	free(p);
}

static const struct port_ops dpdk_ops = {
		.rx_burst = dpdk_rx_burst,
		.tx_burst = dpdk_tx_burst,
		.sleep_fd = dpdk_sleep_fd,
		.close = dpdk_close,
		.stats_update = dpdk_stats_update,
};

/* ---- opening ---- */

/* Finds the device, probing it if need be. Return: 0, or -1 with @err said. */
static int find_device(struct port_dpdk *p, const char *args, char *err, size_t err_len)
{
	char name[RTE_ETH_NAME_MAX_LEN];
	int rc;

	if (strcspn(args, ",") >= sizeof(name) || args[0] == '\0') {
		(void)snprintf(err, err_len, "port 'dpdk:%s': no device name, or one too long",
				args);
		return -1;
	}
	(void)snprintf(name, strcspn(args, ",") + 1, "%s", args);
	if (rte_eth_dev_get_port_by_name(name, &p->id) == 0)
		return 0;
	rc = rte_dev_probe(args);
	if (rc != 0) {
		(void)snprintf(err, err_len,
				"port 'dpdk:%s': cannot be probed: %s; "
				"check driver name, arguments and interface",
				args, strerror(-rc));
		return -1;
	}
	p->was_probed = true;
	if (rte_eth_dev_get_port_by_name(name, &p->id) == 0)
		return 0;
	(void)snprintf(err, err_len, "port 'dpdk:%s': probed, but it is no Ethernet device", args);
	return -1;
}

/* MTU of the kernel interface behind the device, 0 = none. */
static uint16_t kernel_mtu(unsigned int if_index)
{
	struct ifreq ifr = {0};
	int fd, rc;

	if (if_index == 0 || !if_indextoname(if_index, ifr.ifr_name))
		return 0;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return 0;
	rc = ioctl(fd, SIOCGIFMTU, &ifr);
	close(fd);
	return rc == 0 && ifr.ifr_mtu > 0 ? (uint16_t)RTE_MIN(ifr.ifr_mtu, (int)UINT16_MAX) : 0;
}

static bool is_af_packet(const struct rte_eth_dev_info *info)
{
	return info->driver_name && strstr(info->driver_name, "af_packet") != NULL;
}

static uint16_t pick_mtu(
		const struct port_dpdk *p, const struct rte_eth_dev_info *info, const char *args)
{
	uint16_t mtu = kernel_mtu(info->if_index), dev_mtu;
	const char *framesz;
	unsigned long frame_bytes = AF_PACKET_FRAME_BYTES;

	if (mtu == 0)
		mtu = rte_eth_dev_get_mtu(p->id, &dev_mtu) == 0 && dev_mtu > 0 ? dev_mtu
									       : MTU_DEFAULT;
	if (is_af_packet(info)) {
		framesz = strstr(args, "framesz=");
		if (framesz)
			frame_bytes = strtoul(framesz + 8, NULL, 10);
		if (frame_bytes > AF_PACKET_OVERHEAD_BYTES + ETHER_BYTES_MAX)
			mtu = (uint16_t)RTE_MIN((unsigned long)mtu,
					frame_bytes - AF_PACKET_OVERHEAD_BYTES - ETHER_BYTES_MAX);
	}
	return RTE_MIN(mtu, (uint16_t)MTU_MAX);
}

/* Caps from what the device reports; the same bits are then switched on. */
static uint64_t pick_tx_offloads(
		struct port_dpdk *p, const struct rte_eth_dev_info *info, uint32_t room_bytes)
{
	uint64_t want = 0, have = info->tx_offload_capa;
	uint32_t segs_max = info->tx_desc_lim.nb_seg_max;

	if (have & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) {
		want |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
		p->port.caps |= PORT_CAP_MULTI_SEG;
	}
	if (have & RTE_ETH_TX_OFFLOAD_TCP_CKSUM && have & RTE_ETH_TX_OFFLOAD_UDP_CKSUM) {
		want |= RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM |
			(have & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);
		p->port.caps |= PORT_CAP_TX_CKSUM;
	}
	if (have & RTE_ETH_TX_OFFLOAD_TCP_TSO && p->port.caps & PORT_CAP_MULTI_SEG &&
			p->port.caps & PORT_CAP_TX_CKSUM) {
		want |= RTE_ETH_TX_OFFLOAD_TCP_TSO;
		p->port.caps |= PORT_CAP_TSO;
		p->port.tso_bytes_max = SUPERFRAME_BYTES_MAX;
		if (segs_max > 1 && segs_max < UINT16_MAX)
			p->port.tso_bytes_max =
					RTE_MIN(SUPERFRAME_BYTES_MAX, (segs_max - 1) * room_bytes);
	}
	return want;
}

static int make_pool(
		struct port_dpdk *p, int socket_id, uint16_t room_bytes, char *err, size_t err_len)
{
	char name[RTE_MEMPOOL_NAMESIZE];

	(void)snprintf(name, sizeof(name), "dpdk%u", p->id);
	p->port.pool = rte_pktmbuf_pool_create(name, MBUFS_N, MBUF_CACHE_N, 0,
			RTE_PKTMBUF_HEADROOM + room_bytes, socket_id);
	if (p->port.pool)
		return 0;
	(void)snprintf(err, err_len,
			"no memory for %u frame buffers of %u bytes (%s): give EAL more", MBUFS_N,
			room_bytes, rte_strerror(rte_errno));
	return -1;
}

/* Return: 0, or a negative errno of the step named in @step. */
static int configure(struct port_dpdk *p, const struct rte_eth_dev_info *info, int socket_id,
		uint32_t room_bytes, const char **step)
{
	struct rte_eth_conf conf = {0};
	uint16_t rx_n = DESC_N, tx_n = DESC_N;
	int rc;

	conf.rxmode.offloads = info->rx_offload_capa &
			       (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM);
	conf.txmode.offloads = pick_tx_offloads(p, info, room_bytes);
	p->prepare = (p->port.caps & PORT_CAP_TX_CKSUM) != 0;
	conf.rxmode.mtu = RTE_MIN(p->port.mtu_max, info->max_mtu ? info->max_mtu : p->port.mtu_max);
	*step = "configure";
	rc = rte_eth_dev_configure(p->id, 1, 1, &conf);
	/* some drivers carry jumbo frames and refuse the setting */
	if (rc < 0 && conf.rxmode.mtu != MTU_DEFAULT) {
		conf.rxmode.mtu = MTU_DEFAULT;
		rc = rte_eth_dev_configure(p->id, 1, 1, &conf);
	}
	if (rc < 0)
		return rc;
	*step = "queue sizes";
	rc = rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &rx_n, &tx_n);
	if (rc < 0)
		return rc;
	*step = "receive queue";
	rc = rte_eth_rx_queue_setup(p->id, 0, rx_n, (unsigned int)socket_id, NULL, p->port.pool);
	if (rc < 0)
		return rc;
	*step = "transmit queue";
	rc = rte_eth_tx_queue_setup(p->id, 0, tx_n, (unsigned int)socket_id, NULL);
	if (rc < 0)
		return rc;
	*step = "start";
	return rte_eth_dev_start(p->id);
}

/*
 * The kernel behind the TAP joins groups (IPv6 neighbour discovery) that the device must not filter
 * out.
 */
static void open_filters(uint16_t id)
{
	if (rte_eth_allmulticast_enable(id) != 0)
		(void)rte_eth_promiscuous_enable(id);
}

static int start_device(
		struct port_dpdk *p, const char *args, int socket_id, char *err, size_t err_len)
{
	struct rte_eth_dev_info info;
	struct rte_ether_addr mac;
	struct rte_eth_link link;
	const char *step = "info";
	uint16_t room_bytes;
	int rc = rte_eth_dev_info_get(p->id, &info);

	if (rc == 0) {
		p->port.mtu_max = pick_mtu(p, &info, args);
		p->port.mtu = p->port.mtu_max;
		p->port.ifindex = (int)info.if_index;
		p->port.kernel_shared = is_af_packet(&info);
		room_bytes = (uint16_t)RTE_MAX(
				2048u, RTE_ALIGN_CEIL(p->port.mtu_max + ETHER_BYTES_MAX, 64u));
		if (make_pool(p, socket_id, room_bytes, err, err_len) != 0)
			return -1;
		rc = configure(p, &info, socket_id, room_bytes, &step);
	}
	if (rc < 0) {
		(void)snprintf(err, err_len, "port 'dpdk:%s': %s failed: %s", args, step,
				strerror(-rc));
		return -1;
	}
	open_filters(p->id);
	if (rte_eth_macaddr_get(p->id, &mac) == 0)
		memcpy(p->port.mac, mac.addr_bytes, sizeof(p->port.mac));
	p->port.link_up = rte_eth_link_get_nowait(p->id, &link) != 0 ||
			  link.link_status == RTE_ETH_LINK_UP;
	return 0;
}

struct port *port_dpdk_open(const char *args, int socket_id, char *err, size_t err_len)
{
	struct port_dpdk *p = calloc(1, sizeof(*p));

	if (!p) {
		(void)snprintf(err, err_len, "port 'dpdk:%s': out of memory", args);
		return NULL;
	}
	p->port.ops = &dpdk_ops;
	p->id = RTE_MAX_ETHPORTS;
	if (find_device(p, args, err, err_len) == 0 &&
			start_device(p, args, socket_id, err, err_len) == 0)
		return &p->port;
	dpdk_close(&p->port);
	return NULL;
}
