/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The raw packet path: frames the engine does not own go to the kernel, the kernel's frames go to
 * the port.
 *
 * Up: a ring of mbufs that KA empties into the port's TAP (mbuf->port = engine port index). On a
 * port that shares its device with the kernel, the kernel has received its own copy of everything
 * but what KA's filter hides from it: only the hidden ones travel (PUNT_OWNED). Down: a ring of
 * mbufs from KA, sent as they are. A full ring drops and counts; a slow kernel never slows the
 * engine. The up ring is small against the ports' buffers, so that punted frames cannot starve
 * reception.
 *
 * A frame up carries what the port knew of it: RTE_MBUF_F_RX_L4_CKSUM_NONE = checksum not filled in
 * but the bytes are good; RTE_MBUF_F_RX_LRO + tso_segsz = superframe. vnet.h turns both into a
 * virtio_net_hdr for the TAP, and back.
 */
#ifndef ENGINE_NET_PUNT_H
#define ENGINE_NET_PUNT_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "engine/net/net_stats.h"
#include "engine/net/port.h"

struct net;

enum punt_why {
	PUNT_FOREIGN, /* not ours: the kernel has its copy if it shares the device */
	PUNT_OWNED,   /* hidden from the kernel by our filter: always handed up */
};

#define PUNT_DOWN_BURST 32u

struct punt {
	struct rte_ring *up;   /* engine -> KA, single producer, single consumer */
	struct rte_ring *down; /* KA -> engine */
};

/* @name_seed makes ring names unique in the process. Return: 0, or -ENOMEM.   Context: cold. */
int punt_init(struct punt *punt, uint32_t ring_n, int socket_id, const char *name_seed);
/* Frees what the rings still hold. */
void punt_fini(struct punt *punt);

/* Always consumes @m; counts one punt_* counter. Context: hot, core. */
void punt_frame(struct net *net, struct port *port, struct rte_mbuf *m, enum punt_why why);

/*
 * Has a frame been handed up since the last call? The core then notifies KA once per turn. Context:
 * hot, core.
 */
bool punt_was_up(struct net *net);

/*
 * Move at most PUNT_DOWN_BURST injected frames to their ports' batches. Return: frames taken.
 * Context: hot, core.
 */
uint32_t punt_down(struct net *net);

#endif
