/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Traffic to ourselves: a port whose wire is a queue.
 *
 * Where the next hop is our own address the frame goes to this port, the last of the core's list, and is received from it in the
 * next turn of the loop. It offers checksums and a large MTU, so bulk crosses in large pieces and nothing is summed.
 *
 * The queue has a place for every buffer that can be in it, so the bound is the pool: when that is empty, TCP is told that the segment was not
 * sent and tries again, and nothing is lost. A small frame moves to a small buffer, of which there are many: hundreds of
 * connections may say something in one turn, and their acknowledgements shall not hold the buffers that bulk needs. Only when
 * the small ones are used up does it stay where it is.
 */
#include <stdio.h>
#include <string.h>

#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "engine/core/core.h"

#define TURN_MTU 16384u
#define TURN_POOL 1024u
#define TURN_ROOM (TURN_MTU + 256u + RTE_PKTMBUF_HEADROOM)
#define TURN_SMALL_POOL 4095u
#define TURN_SMALL_BYTES 512u /* headers, options and a short message */
#define TURN_SMALL_ROOM (TURN_SMALL_BYTES + RTE_PKTMBUF_HEADROOM)

struct turn {
	struct port port; /* must be first */
	struct core *core;
	struct rte_mempool *small;
	uint32_t head, tail; /* cumulative: received, queued */
	struct rte_mbuf *frame[CORE_TURN_FRAMES];
};
ETA_STATIC_ASSERT(TURN_POOL + TURN_SMALL_POOL <= CORE_TURN_FRAMES, "a place for every buffer");
ETA_STATIC_ASSERT((CORE_TURN_FRAMES & (CORE_TURN_FRAMES - 1)) == 0, "places are counted modulo");

static struct turn *turn_of(struct port *port)
{
	return (struct turn *)(void *)port;
}

static uint16_t turn_rx(struct port *port, struct rte_mbuf **burst, uint16_t n)
{
	struct turn *t = turn_of(port);

	n = (uint16_t)RTE_MIN(t->tail - t->head, (uint32_t)n);
	for (uint16_t i = 0; i < n; i++)
		burst[i] = t->frame[t->head++ % CORE_TURN_FRAMES];
	port->stats.rx_frames += n;
	return n;
}

/* The same frame in a buffer of its size, if there is one. */
static struct rte_mbuf *turn_shrink(struct turn *t, struct rte_mbuf *m)
{
	struct rte_mbuf *small;

	if (m->pkt_len > TURN_SMALL_BYTES)
		return m;
	small = rte_pktmbuf_alloc(t->small);
	if (!small)
		return m;
	memcpy(rte_pktmbuf_mtod(small, void *), rte_pktmbuf_mtod(m, const void *), m->pkt_len);
	small->data_len = (uint16_t)m->pkt_len;
	small->pkt_len = m->pkt_len;
	small->ol_flags = m->ol_flags;
	rte_pktmbuf_free(m);
	return small;
}

/* What the sender left to the port is done as soon as it is not looked at: mark the frame as verified. */
static void turn_one(struct turn *t, struct rte_mbuf *m)
{
	uint64_t flags = m->ol_flags;

	if (t->tail - t->head == CORE_TURN_FRAMES || m->nb_segs != 1) {
		t->core->stats.turn_full++;
		rte_pktmbuf_free(m);
		return;
	}
	m = turn_shrink(t, m);
	m->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
	if (flags & RTE_MBUF_F_TX_TCP_SEG)
		m->ol_flags |= RTE_MBUF_F_RX_LRO;
	m->port = t->port.idx;
	t->frame[t->tail++ % CORE_TURN_FRAMES] = m;
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
	struct turn *t = rte_zmalloc_socket(
			"eta_turn", sizeof(*t), ETA_CACHELINE, core->conf->socket_id);
	char name[RTE_MEMPOOL_NAMESIZE];

	if (!t)
		return -1;
	t->core = core;
	t->port.ops = &turn_ops;
	t->port.mtu = TURN_MTU;
	t->port.caps = PORT_CAP_TX_CKSUM | PORT_CAP_LRO;
	t->port.link_up = true;
	memcpy(t->port.mac, "\x02\x00\x00\x00\x00\xfe", 6);
	snprintf(t->port.name, sizeof(t->port.name), "turn");
	snprintf(name, sizeof(name), "tu_%llx", (unsigned long long)(uintptr_t)t);
	t->port.pool = rte_pktmbuf_pool_create(
			name, TURN_POOL, 0, 0, TURN_ROOM, core->conf->socket_id);
	snprintf(name, sizeof(name), "ts_%llx", (unsigned long long)(uintptr_t)t);
	t->small = rte_pktmbuf_pool_create(
			name, TURN_SMALL_POOL, 0, 0, TURN_SMALL_ROOM, core->conf->socket_id);
	core->turn_port = &t->port;
	if (!t->port.pool || !t->small) {
		turn_fini(core);
		return -1;
	}
	core->memory_bytes += sizeof(*t) + (uint64_t)TURN_POOL * (TURN_ROOM + 256u) +
			      (uint64_t)TURN_SMALL_POOL * (TURN_SMALL_ROOM + 256u);
	return 0;
}

void turn_fini(struct core *core)
{
	struct turn *t;

	if (!core->turn_port)
		return;
	t = turn_of(core->turn_port);
	while (t->head != t->tail)
		rte_pktmbuf_free(t->frame[t->head++ % CORE_TURN_FRAMES]);
	rte_mempool_free(t->port.pool);
	rte_mempool_free(t->small);
	rte_free(t);
	core->turn_port = NULL;
}

uint32_t turn_waiting(const struct core *core)
{
	const struct turn *t = core->turn_port ? turn_of(core->turn_port) : NULL;

	return t ? t->tail - t->head : 0;
}
