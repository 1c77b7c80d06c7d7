/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The wire of the simulator: two heaps of frames in flight, ordered by arrival. See the header.
 */
#include "test/lib/simport.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

#include <rte_mempool.h>

#include "engine/net/net.h"

#define PPM 1000000u
#define MTU_DEFAULT 1500u
#define POOL_DEFAULT 4096u
#define POOL_CACHE_MAX 256u /* as real ports */
#define POOL_SUPER_DEFAULT 640u
#define QUEUE_DEFAULT 1000u
#define ETHER_BYTES 14u
#define SUPER_BYTES 65535u

struct frame {
	uint64_t at_us; /* arrival */
	uint64_t seq;   /* order among equals */
	uint64_t ol_flags;
	uint16_t segsz;
	uint32_t len;
	uint8_t data[];
};

struct heap {
	struct frame **f;
	uint32_t n, room;
};

struct side {
	struct port port; /* must be first */
	struct simport_wire *wire;
	int idx;
	struct simport_fate fate; /* of what it sends */
	struct simport_stats stats;
	struct heap in;         /* frames on their way to it */
	uint64_t busy_until_us; /* bottleneck of what it sends */
	uint64_t last_at_us;    /* jitter does not overtake */
};

struct simport_wire {
	struct side side[2];
	uint64_t now_us;
	uint64_t rnd;
	uint64_t seq;
	uint32_t flags;
	simport_tap tap;
	void *tap_arg;
};

static void *must(void *p)
{
	if (!p) {
		fprintf(stderr, "simport: out of memory\n");
		abort();
	}
	return p;
}

/* splitmix64 */
static uint64_t rnd(struct simport_wire *w)
{
	uint64_t z = (w->rnd += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* Always draws, so that one chance more or less does not shift all others. */
static bool happens(struct simport_wire *w, uint32_t ppm)
{
	return rnd(w) % PPM < ppm;
}

/* ---- frames in flight ---- */

static bool is_before(const struct frame *a, const struct frame *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void heap_push(struct heap *h, struct frame *f)
{
	uint32_t i = h->n++;

	if (h->n > h->room) {
		h->room = h->room ? 2 * h->room : 256;
		h->f = must(realloc(h->f, h->room * sizeof(*h->f)));
	}
	for (; i > 0 && is_before(f, h->f[(i - 1) / 2]); i = (i - 1) / 2)
		h->f[i] = h->f[(i - 1) / 2];
	h->f[i] = f;
}

static struct frame *heap_pop(struct heap *h)
{
	struct frame *top = h->f[0];
	struct frame *last = h->f[--h->n];
	uint32_t i = 0;

	for (;;) {
		uint32_t k = 2 * i + 1;

		if (k >= h->n)
			break;
		if (k + 1 < h->n && is_before(h->f[k + 1], h->f[k]))
			k++;
		if (!is_before(h->f[k], last))
			break;
		h->f[i] = h->f[k];
		i = k;
	}
	h->f[i] = last;
	return top;
}

/* ---- fate ---- */

static uint64_t arrival(struct side *s, uint32_t len, bool *dropped)
{
	struct simport_wire *w = s->wire;
	const struct simport_fate *fate = &s->fate;
	uint64_t at = w->now_us;

	*dropped = false;
	if (fate->rate_bps != 0) {
		uint64_t frame_us = ((uint64_t)len * 8 * 1000000u + fate->rate_bps - 1) /
				    fate->rate_bps;
		uint64_t start = s->busy_until_us > at ? s->busy_until_us : at;
		uint32_t queue = fate->queue_frames ? fate->queue_frames : QUEUE_DEFAULT;

		if (start - at > (frame_us + 1) * queue) {
			*dropped = true;
			return 0;
		}
		s->busy_until_us = start + frame_us;
		at = s->busy_until_us;
	}
	at += fate->delay_us;
	if (fate->jitter_us != 0) {
		at += rnd(w) % fate->jitter_us;
		if (at < s->last_at_us)
			at = s->last_at_us;
		s->last_at_us = at;
	}
	if (happens(w, fate->reorder_ppm)) {
		s->stats.reordered++;
		at += fate->reorder_us ? rnd(w) % fate->reorder_us : 0;
	}
	return at;
}

static void fly(struct side *s, const struct frame *from, bool corrupt)
{
	struct simport_wire *w = s->wire;
	struct frame *f = must(malloc(sizeof(*f) + from->len));
	bool dropped;

	memcpy(f, from, sizeof(*f) + from->len);
	f->at_us = arrival(s, f->len, &dropped);
	f->seq = w->seq++;
	if (dropped) {
		s->stats.queue_drops++;
		free(f);
		return;
	}
	if (corrupt) {
		uint64_t bit = rnd(w) % (f->len * 8ull);

		f->data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		s->stats.corrupted++;
	}
	heap_push(&w->side[1 - s->idx].in, f);
}

static void send_one(struct side *s, struct frame *f)
{
	struct simport_wire *w = s->wire;
	bool lost = happens(w, s->fate.loss_ppm);
	bool dup = happens(w, s->fate.dup_ppm);
	bool corrupt = happens(w, s->fate.corrupt_ppm);

	s->stats.sent++;
	if (w->tap && !w->tap(w->tap_arg, s->idx, f->data, f->len))
		lost = true;
	if (lost) {
		s->stats.lost++;
		return;
	}
	fly(s, f, corrupt);
	if (dup) {
		s->stats.duplicated++;
		fly(s, f, false);
	}
}

/* ---- the port ---- */

static void sim_tx(struct port *port, struct rte_mbuf **burst, uint16_t n)
{
	struct side *s = (struct side *)(void *)port;

	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = burst[i];
		uint32_t len = rte_pktmbuf_pkt_len(m);
		struct frame *f = must(malloc(sizeof(*f) + len));
		uint32_t at = 0;

		memset(f, 0, sizeof(*f));
		f->len = len;
		for (const struct rte_mbuf *seg = m; seg; seg = seg->next) {
			memcpy(f->data + at, rte_pktmbuf_mtod(seg, const void *), seg->data_len);
			at += seg->data_len;
		}
		if (m->ol_flags & RTE_MBUF_F_TX_TCP_CKSUM)
			f->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
		if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) {
			f->ol_flags |= RTE_MBUF_F_RX_LRO;
			f->segsz = m->tso_segsz;
		} else if (len > ETHER_BYTES + (uint32_t)port->mtu) {
			fprintf(stderr, "simport: frame of %u bytes exceeds the MTU\n", len);
			abort();
		}
		port->stats.tx_frames++;
		port->stats.tx_bytes += len;
		send_one(s, f);
		free(f);
		rte_pktmbuf_free(m);
	}
}

static uint16_t sim_rx(struct port *port, struct rte_mbuf **burst, uint16_t n)
{
	struct side *s = (struct side *)(void *)port;
	uint16_t got = 0;

	while (got < n && s->in.n > 0 && s->in.f[0]->at_us <= s->wire->now_us) {
		struct frame *f = heap_pop(&s->in);
		struct rte_mbuf *m = rte_pktmbuf_alloc(port->pool);
		char *to = m ? rte_pktmbuf_append(m, (uint16_t)f->len) : NULL;

		if (!to) {
			port->stats.rx_dropped++;
			rte_pktmbuf_free(m);
			free(f);
			continue;
		}
		memcpy(to, f->data, f->len);
		m->ol_flags = f->ol_flags;
		m->tso_segsz = f->segsz;
		m->port = port->idx;
		port->stats.rx_frames++;
		port->stats.rx_bytes += f->len;
		s->wire->side[1 - s->idx].stats.delivered++;
		burst[got++] = m;
		free(f);
	}
	return got;
}

static int sim_sleep_fd(struct port *port)
{
	(void)port;
	return -1;
}

static void sim_close(struct port *port)
{
	(void)port;
}

static const struct port_ops sim_ops = {
		.rx_burst = sim_rx,
		.tx_burst = sim_tx,
		.sleep_fd = sim_sleep_fd,
		.close = sim_close,
};

static uint32_t caps_of(uint32_t flags)
{
	uint32_t caps = 0;

	if (flags & SIMPORT_SUPER)
		caps |= PORT_CAP_TX_CKSUM | PORT_CAP_TSO | PORT_CAP_LRO | PORT_CAP_MULTI_SEG;
	if (flags & SIMPORT_SYNC)
		caps |= PORT_CAP_TX_CKSUM | PORT_CAP_TX_SYNC | PORT_CAP_MULTI_SEG | PORT_CAP_EXTBUF;
	return caps;
}

static void side_init(struct simport_wire *w, int idx, const struct simport_conf *conf)
{
	struct side *s = &w->side[idx];
	bool is_super = (conf->flags & SIMPORT_SUPER) != 0;
	uint16_t mtu = conf->mtu ? conf->mtu : MTU_DEFAULT;
	uint32_t room = is_super ? SUPER_BYTES - RTE_PKTMBUF_HEADROOM : ETHER_BYTES + mtu + 64u;
	uint32_t n = conf->pool_n ? conf->pool_n : (is_super ? POOL_SUPER_DEFAULT : POOL_DEFAULT);
	char name[RTE_MEMPOOL_NAMESIZE];

	s->wire = w;
	s->idx = idx;
	s->fate = conf->fate[idx];
	s->port.ops = &sim_ops;
	s->port.mtu = mtu;
	s->port.caps = caps_of(conf->flags);
	s->port.tso_bytes_max = is_super ? SUPER_BYTES - RTE_PKTMBUF_HEADROOM : 0;
	s->port.link_up = true;
	memcpy(s->port.mac, "\x02\x00\x00\x00\x00", 5);
	s->port.mac[5] = (uint8_t)(idx + 1);
	snprintf(s->port.name, sizeof(s->port.name), "sim%d", idx);
	snprintf(name, sizeof(name), "sw%d_%llx", idx, (unsigned long long)(uintptr_t)w);
	s->port.pool = must(rte_pktmbuf_pool_create(name, n,
			n / 16 < POOL_CACHE_MAX ? n / 16 : POOL_CACHE_MAX, 0,
			(uint16_t)(room + RTE_PKTMBUF_HEADROOM), -1));
}

struct simport_wire *simport_create(const struct simport_conf *conf)
{
	struct simport_wire *w = must(calloc(1, sizeof(*w)));

	w->rnd = conf->seed;
	w->flags = conf->flags;
	for (int i = 0; i < 2; i++) {
		if (conf->flags != 0 && conf->fate[i].corrupt_ppm != 0) {
			fprintf(stderr, "simport: corruption needs ports without checksum offload\n");
			abort();
		}
		side_init(w, i, conf);
	}
	return w;
}

void simport_destroy(struct simport_wire *wire)
{
	if (!wire)
		return;
	for (int i = 0; i < 2; i++) {
		struct side *s = &wire->side[i];

		while (s->in.n > 0)
			free(heap_pop(&s->in));
		free(s->in.f);
		rte_mempool_free(s->port.pool);
	}
	free(wire);
}

struct port *simport_port(struct simport_wire *wire, int side)
{
	return &wire->side[side].port;
}

void simport_set_now(struct simport_wire *wire, uint64_t now_us)
{
	wire->now_us = now_us;
}

uint64_t simport_next_us(const struct simport_wire *wire)
{
	uint64_t at = UINT64_MAX;

	for (int i = 0; i < 2; i++)
		if (wire->side[i].in.n > 0 && wire->side[i].in.f[0]->at_us < at)
			at = wire->side[i].in.f[0]->at_us;
	return at;
}

void simport_set_fate(struct simport_wire *wire, int side, const struct simport_fate *fate)
{
	wire->side[side].fate = *fate;
}

void simport_set_tap(struct simport_wire *wire, simport_tap tap, void *arg)
{
	wire->tap = tap;
	wire->tap_arg = arg;
}

void simport_inject(struct simport_wire *wire, int side, const void *frame, uint32_t len)
{
	struct frame *f = must(calloc(1, sizeof(*f) + len));

	f->len = len;
	memcpy(f->data, frame, len);
	fly(&wire->side[side], f, false);
	free(f);
}

const struct simport_stats *simport_stats(const struct simport_wire *wire, int side)
{
	return &wire->side[side].stats;
}
