/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port: where frames enter and leave the engine, as a burst interface.
 *
 * Two kinds stand behind it, any DPDK ethdev (port_dpdk) and our own AF_PACKET driver (port_packet); tests bring a third. The
 * engine asks what a port offers (caps) and never assumes it.
 *
 * Frames are mbufs with all bytes of one frame in one segment on receive, up to PORT_FRAME_BYTES_MAX (a superframe made by LRO: ol_flags
 * RTE_MBUF_F_RX_LRO and tso_segsz = its segment size). On receive ol_flags tells RX_IP_CKSUM_GOOD / RX_L4_CKSUM_GOOD where the port knows;
 * otherwise IP and TCP verify. On transmit a frame may have several segments if PORT_CAP_MULTI_SEG; TX_TCP_SEG with tso_segsz, l2_len, l3_len, l4_len
 * asks for TSO if PORT_CAP_TSO; TX_TCP_CKSUM (pseudo-header sum in place) if PORT_CAP_TX_CKSUM.
 */
#ifndef ENGINE_NET_PORT_H
#define ENGINE_NET_PORT_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#define PORT_BURST 32
#define PORT_FRAME_BYTES_MAX (65536u + 64u)
#define PORTS_MAX 16

#define PORT_CAP_TX_CKSUM 0x01u /* fills TCP/UDP checksums */
#define PORT_CAP_TSO 0x02u      /* cuts superframes */
#define PORT_CAP_MULTI_SEG 0x04u
#define PORT_CAP_LRO 0x08u    /* may deliver superframes */
#define PORT_CAP_EXTBUF 0x10u /* sends external-buffer mbufs correctly */
#define PORT_CAP_TX_SYNC \
	0x20u /* tx_burst() returns only after the bytes have left the mbufs: they may point into memory of others */

struct port_stats {
	uint64_t rx_frames, rx_bytes, rx_dropped, rx_truncated;
	uint64_t tx_frames, tx_bytes, tx_dropped, tx_errors;
};

struct port {
	const struct port_ops *ops;
	char name[64]; /* as configured: "packet:eth0", "dpdk:net_ring0" */
	uint8_t idx;   /* in the engine's list */
	uint8_t mac[6];
	uint16_t mtu;           /* IP bytes; updated by KA's link messages */
	uint16_t mtu_max;       /* what its buffers can carry: bounds mtu. 0 = any */
	uint32_t caps;          /* PORT_CAP_* */
	uint32_t tso_bytes_max; /* payload + headers of one superframe; 0 without TSO */
	int ifindex; /* kernel interface whose addresses and routes this port serves, 0 = none */
	bool kernel_shared; /* packet: port on a device that the kernel also receives from */
	bool link_up;
	struct port_stats stats;
	struct rte_mempool *pool; /* for frames to send and, DPDK ports, to receive */
};

/* Context: hot, the owning core, unless said otherwise. */
struct port_ops {
	/* Up to @n frames into @burst. Caller owns them. */
	uint16_t (*rx_burst)(struct port *port, struct rte_mbuf **burst, uint16_t n);
	/* Always consumes all @n mbufs: sent, or dropped and counted. */
	void (*tx_burst)(struct port *port, struct rte_mbuf **burst, uint16_t n);
	/* Descriptor that polls readable when a frame waits, -1 = none (then the core does not sleep long). Context: cold. */
	int (*sleep_fd)(struct port *port);
	/* May block no longer than @us waiting for nothing: not provided by most. Frees everything. Context: cold. */
	void (*close)(struct port *port);
	/* Brings port->stats up to date with counters of the device (NULL: they always are). Context: cold, the owning core or KA. */
	void (*stats_update)(struct port *port);
};

/**
 * port_open() - Open a port by its configured name.
 * @spec:  "dpdk:<devargs>", or "packet:<ifname>[,own][,gro|nogro][,big=N][,small=N]" (see port_packet).
 * @socket_id: NUMA node for its pools.
 * @err:   [@err_len] receives one line on failure: what failed, and what to do.
 *
 * EAL must be initialised. Return: port (close by ops->close), or NULL.   Thread: KA, before the engine runs.   Context: cold.
 */
struct port *port_open(const char *spec, int socket_id, char *err, size_t err_len);

#endif
