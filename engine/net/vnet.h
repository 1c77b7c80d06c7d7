/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a frame carries besides its bytes, in the kernel's words: struct virtio_net_hdr <-> mbuf
 * flags.
 *
 * AF_PACKET sockets with PACKET_VNET_HDR and TAP devices with IFF_VNET_HDR put this header before
 * each frame: unfilled checksum and segment size. Four directions: a header read from the kernel
 * describes a frame received from the wire (vnet_to_rx) or one the kernel wants sent (vnet_to_tx);
 * a header to be written describes a frame we send (vnet_from_tx) or one we received and hand on
 * (vnet_from_rx).
 */
#ifndef ENGINE_NET_VNET_H
#define ENGINE_NET_VNET_H

#include <stdbool.h>

#include <linux/virtio_net.h>
#include <rte_mbuf.h>

/*
 * @hdr came with the received frame @m: set RX_LRO + tso_segsz, and RX_L4_CKSUM_GOOD or _NONE.
 * Context: hot.
 */
void vnet_to_rx(const struct virtio_net_hdr *hdr, struct rte_mbuf *m);
/*
 * Describe @m, which has TX flags and lengths set, to the kernel; corrects the partial checksum of
 * a superframe. Context: hot.
 */
void vnet_from_tx(struct rte_mbuf *m, struct virtio_net_hdr *hdr);
/* Describe @m, received with RX flags (one segment), to a TAP. Context: KA. */
void vnet_from_rx(const struct rte_mbuf *m, struct virtio_net_hdr *hdr);
/**
 * vnet_to_tx() - A frame from a TAP, to be sent by a port with @caps (PORT_CAP_*).
 *
 * Sets the TX flags; where the port lacks checksum offload fills the checksum in. Return: false
 * when the header is impossible or the frame is a superframe that the port cannot cut (open the TAP
 * without TUN_F_TSO* for such a port): caller drops and counts.
 */
bool vnet_to_tx(const struct virtio_net_hdr *hdr, uint32_t caps, struct rte_mbuf *m);

#endif
