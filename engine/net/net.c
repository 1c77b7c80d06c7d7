/* SPDX-License-Identifier: BSD-3-Clause */
/* Building and dismantling the network of one core. */
#include "engine/net/net.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_malloc.h>
#include <rte_random.h>

#define ADDRS_DEFAULT 64u
#define ROUTES_DEFAULT 4096u
#define NEIGHS_DEFAULT 1024u
#define PUNT_RING_DEFAULT 256u

/* The count of net->ext starts at one that nobody gives back, so this is never called. */
static void ext_free(void *addr, void *opaque)
{
	(void)addr;
	(void)opaque;
}

static uint32_t or_default(uint32_t v, uint32_t def)
{
	return v ? v : def;
}

int net_init(struct net *net, const struct net_conf *conf, char *err, size_t err_len)
{
	struct route_conf rc = {
			.addrs_max = or_default(conf->addrs_max, ADDRS_DEFAULT),
			.routes_max = or_default(conf->routes_max, ROUTES_DEFAULT),
			.neighs_max = or_default(conf->neighs_max, NEIGHS_DEFAULT),
			.socket_id = conf->socket_id,
			.port = net->port,
			.ports_n = conf->ports_n,
	};
	char seed[24];
	uint32_t i;

	memset(net, 0, sizeof(*net));
	if (conf->ports_n > PORTS_MAX) {
		(void)snprintf(err, err_len, "%u ports: at most %d are supported", conf->ports_n,
				PORTS_MAX);
		return -EINVAL;
	}
	net->ports_n = conf->ports_n;
	net->hash_seed = (uint32_t)rte_rand();
	net->ext.free_cb = ext_free;
	rte_mbuf_ext_refcnt_set(&net->ext, 1);
	for (i = 0; i < conf->ports_n; i++) {
		net->port[i] = conf->port[i];
		net->port[i]->idx = (uint8_t)i;
		net->tx[i].port = conf->port[i];
	}
	/* Two engines may live in one process: the address tells them apart. */
	(void)snprintf(seed, sizeof(seed), "%u_%llx", conf->core_idx,
			(unsigned long long)(uintptr_t)net);
	if (punt_init(&net->punt, or_default(conf->punt_ring_n, PUNT_RING_DEFAULT), conf->socket_id,
			    seed) != 0) {
		(void)snprintf(err, err_len,
				"no memory for punt rings: core=%u entries=%u (power of two)",
				conf->core_idx, or_default(conf->punt_ring_n, PUNT_RING_DEFAULT));
		return -ENOMEM;
	}
	net->route = route_create(&rc, &net->stats);
	net->frag = ip_frag_create(seed, conf->socket_id);
	net->pmtu = rte_zmalloc_socket(
			"pmtu", sizeof(*net->pmtu), RTE_CACHE_LINE_SIZE, conf->socket_id);
	if (!net->route || !net->frag || !net->pmtu) {
		(void)snprintf(err, err_len,
				"no memory for tables of core %u (addrs=%u routes=%u neighs=%u)",
				conf->core_idx, rc.addrs_max, rc.routes_max, rc.neighs_max);
		net_fini(net);
		return -ENOMEM;
	}
	pmtu_init(net->pmtu);
	return 0;
}

void net_fini(struct net *net)
{
	uint32_t i;

	for (i = 0; i < net->ports_n; i++) {
		rte_pktmbuf_free_bulk(net->tx[i].frame, net->tx[i].n);
		net->tx[i].n = 0;
	}
	punt_fini(&net->punt);
	ip_frag_destroy(net->frag);
	net->frag = NULL;
	rte_free(net->pmtu);
	net->pmtu = NULL;
	route_destroy(net->route);
	net->route = NULL;
}

uint64_t net_memory_bytes(const struct net *net)
{
	return sizeof(*net) + ip_frag_memory_bytes() + sizeof(*net->pmtu) +
	       route_memory_bytes(net->route) +
	       rte_ring_get_memsize(rte_ring_get_size(net->punt.up)) +
	       rte_ring_get_memsize(rte_ring_get_size(net->punt.down));
}
