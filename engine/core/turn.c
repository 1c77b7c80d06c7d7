/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traffic to ourselves: a port whose wire is a queue.
 *
 * Where the next hop is our own address the frame goes to this port, the last of the core's list, and is received from it in the
 * next turn of the loop. It offers everything (checksums, segmentation), so a superframe crosses in one piece and nothing is summed. A full
 * queue drops, as a switch would; TCP recovers.
 */
#include <stdio.h>
#include <string.h>

#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "engine/core/core.h"

#define TURN_MTU 16384u
#define TURN_POOL 1024u
#define TURN_ROOM (TURN_MTU + 256u + RTE_PKTMBUF_HEADROOM)

struct turn {
	struct port port; /* must be first */
	struct core *core;
	uint32_t n;
	struct rte_mbuf *frame[CORE_TURN_FRAMES];
};

static struct turn *turn_of(struct port *port)
{
	return (struct turn *)(void *)port;
}

static uint16_t turn_rx(struct port *port, struct rte_mbuf **burst, uint16_t n)
{
	struct turn *t = turn_of(port);

	n = (uint16_t)RTE_MIN(t->n, (uint32_t)n);
	memcpy(burst, t->frame, n * sizeof(*burst));
	t->n -= n;
	memmove(t->frame, t->frame + n, t->n * sizeof(*burst));
	port->stats.rx_frames += n;
	return n;
}

/* What the sender left to the port is done as soon as it is not looked at: mark the frame as verified. */
static void turn_one(struct turn *t, struct rte_mbuf *m)
{
	uint64_t flags = m->ol_flags;

	if (t->n == CORE_TURN_FRAMES || m->nb_segs != 1) {
		t->core->stats.turn_full++;
		rte_pktmbuf_free(m);
		return;
	}
	m->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	if (flags & RTE_MBUF_F_TX_TCP_SEG)
		m->ol_flags |= RTE_MBUF_F_RX_LRO;
	m->port = t->port.idx;
	t->frame[t->n++] = m;
	t->core->stats.turned++;
}

static void turn_tx(struct port *port, struct rte_mbuf **burst, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++)
		turn_one(turn_of(port), burst[i]);
	port->stats.tx_frames += n;
}

static int turn_sleep_fd(struct port *port)
{
	(void)port;
	return -1;
}

static const struct port_ops turn_ops = {
		.rx_burst = turn_rx,
		.tx_burst = turn_tx,
		.sleep_fd = turn_sleep_fd,
};

int turn_init(struct core *core)
{
	struct turn *t = rte_zmalloc_socket("eta_turn", sizeof(*t), ETA_CACHELINE, core->conf->socket_id);
	char name[RTE_MEMPOOL_NAMESIZE];

	if (!t)
		return -1;
	snprintf(name, sizeof(name), "tu_%llx", (unsigned long long)(uintptr_t)t);
	t->core = core;
	t->port.ops = &turn_ops;
	t->port.mtu = TURN_MTU;
	t->port.caps = PORT_CAP_TX_CKSUM | PORT_CAP_LRO;
	t->port.link_up = true;
	memcpy(t->port.mac, "\x02\x00\x00\x00\x00\xfe", 6);
	snprintf(t->port.name, sizeof(t->port.name), "turn");
	t->port.pool = rte_pktmbuf_pool_create(name, TURN_POOL, 0, 0, TURN_ROOM, core->conf->socket_id);
	core->turn_port = &t->port;
	if (!t->port.pool) {
		turn_fini(core);
		return -1;
	}
	core->memory_bytes += sizeof(*t) + (uint64_t)TURN_POOL * (TURN_ROOM + 256u);
	return 0;
}

void turn_fini(struct core *core)
{
	struct turn *t;

	if (!core->turn_port)
		return;
	t = turn_of(core->turn_port);
	rte_pktmbuf_free_bulk(t->frame, t->n);
	rte_mempool_free(t->port.pool);
	rte_free(t);
	core->turn_port = NULL;
}

uint32_t turn_waiting(const struct core *core)
{
	return core->turn_port ? turn_of(core->turn_port)->n : 0;
}
