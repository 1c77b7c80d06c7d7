/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The raw packet path between an engine core and KA: two rings of mbuf pointers, single producer
 * and single consumer each.
 */
#include "engine/net/punt.h"

#include <errno.h>
#include <stdio.h>

#include <eta/abi.h>

#include "engine/net/ip_tx.h"
#include "engine/net/net.h"

#define ETHER_BYTES_MAX 18u /* with a VLAN tag */

static struct rte_ring *ring_create(const char *what, const char *seed, uint32_t n, int socket_id)
{
	char name[RTE_RING_NAMESIZE];

	(void)snprintf(name, sizeof(name), "%s_%s", what, seed);
	return rte_ring_create(name, n, socket_id, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

int punt_init(struct punt *punt, uint32_t ring_n, int socket_id, const char *name_seed)
{
	punt->up = ring_create("up", name_seed, ring_n, socket_id);
	punt->down = ring_create("dn", name_seed, ring_n, socket_id);
	if (punt->up && punt->down)
		return 0;
	punt_fini(punt);
	return -ENOMEM;
}

static void ring_destroy(struct rte_ring *ring)
{
	void *m;

	if (!ring)
		return;
	while (rte_ring_dequeue(ring, &m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(ring);
}

void punt_fini(struct punt *punt)
{
	ring_destroy(punt->up);
	ring_destroy(punt->down);
	punt->up = NULL;
	punt->down = NULL;
}

void punt_frame(struct net *net, struct port *port, struct rte_mbuf *m, enum punt_why why)
{
	if (port->kernel_shared && why == PUNT_FOREIGN) {
		net->stats.punt_kernel_has_it++;
		rte_pktmbuf_free(m);
		return;
	}
	m->port = port->idx;
	if (rte_ring_enqueue(net->punt.up, m) != 0) {
		net->stats.punt_drop_full++;
		rte_pktmbuf_free(m);
		return;
	}
	net->stats.punt_up++;
	net->up_pending = true;
}

bool punt_was_up(struct net *net)
{
	bool was = net->up_pending;

	net->up_pending = false;
	return was;
}

/*
 * May the port carry this frame? Superframes were checked against its capabilities by vnet_to_tx().
 */
static bool fits(const struct port *port, const struct rte_mbuf *m)
{
	if (m->nb_segs > 1 && !(port->caps & PORT_CAP_MULTI_SEG))
		return false;
	return (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) || m->pkt_len <= port->mtu + ETHER_BYTES_MAX;
}

uint32_t punt_down(struct net *net)
{
	void *burst[PUNT_DOWN_BURST];
	uint32_t n = rte_ring_dequeue_burst(net->punt.down, burst, PUNT_DOWN_BURST, NULL), i;

	for (i = 0; i < n; i++) {
		struct rte_mbuf *m = burst[i];

		if (m->port >= net->ports_n || !fits(net->port[m->port], m)) {
			net->stats.punt_drop_port++;
			rte_pktmbuf_free(m);
			continue;
		}
		net->stats.punt_down++;
		net_tx_frame(net, (uint8_t)m->port, m);
	}
	return n;
}
