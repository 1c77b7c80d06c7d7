/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * etad: the kernel agent's root object, its start and its end.
 *
 * Start, each step undone by the ones before it on failure: configuration -> EAL -> control socket taken -> ports -> engine -> TAP, TCX, netlink -> cores
 * running -> ready. End (SIGTERM, SIGINT, `etactl stop`): tell clients, end sessions orderly, stop the cores, everything removed in reverse. After kill -9
 * the kernel removes all of it, since everything we made hangs on descriptors (TAP not persistent, TCX link not pinned), but for the socket's path, which
 * the next etad replaces.
 */
#ifndef KA_ETAD_H
#define KA_ETAD_H

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/core/engine.h"
#include "engine/net/port.h"
#include "ka/client.h"
#include "ka/conf.h"
#include "ka/except.h"
#include "ka/irq.h"
#include "ka/load.h"
#include "ka/log.h"
#include "ka/loop.h"
#include "ka/mem.h"
#include "ka/netlink.h"
#include "ka/own.h"
#include "ka/ports.h"
#include "ka/portset.h"
#include "ka/res.h"
#include "ka/server.h"
#include "ka/sockdiag.h"
#include "ka/sysctl.h"
#include "ka/tap.h"
#include "ka/tcx.h"

struct ka_port {
	struct ka *ka;
	struct port *port;
	struct tap tap;
	struct tcx tcx;
	struct loop_watch tap_watch;
	bool has_tap, has_tcx;
	bool is_shared; /* the kernel goes on using the device */
	int ifindex;    /* whose addresses and routes it serves */
	int lock_fd;    /* one etad per device */
	uint8_t idx;
};

struct ka_core {
	pthread_t thread;
	struct core *core;
	int cpu; /* -1 = not pinned */
	bool is_running;
};

struct ka_stats {
	uint64_t clients, clients_refused,
			clients_dropped; /* accepted; over the limit; malformed or not reading */
	uint64_t requests;
	uint64_t attached, abi_refused;
	uint64_t listens, binds, not_carried, foreign_netns;
	uint64_t seg_wants, spoiled;
	uint64_t dtis_dead; /* hostile or broken DTIs killed by the engine */
};

struct ka {
	struct conf conf;
	struct loop loop;
	struct server server;
	struct res res;
	struct mem mem;
	struct irq irq;
	struct netlink netlink;
	struct sockdiag sockdiag;
	struct sysctl sysctl;
	struct ports ports;
	struct own own;
	struct ka_port port[CONF_PORTS_MAX];
	uint32_t ports_n;
	struct ka_core core[ETA_CORES_MAX];
	uint32_t cores_n;
	struct engine *engine;
	uint8_t *core_pages; /* [cores_n] pages of ETA_PAGE_BYTES */
	struct eta_core_page *core_page[ETA_CORES_MAX];
	int core_pages_fd; /* read-only */
	struct load load;
	struct rte_mempool *inject_pool;
	struct client *clients;
	struct except_stats except;
	struct ka_stats stats;
	struct eta_ctx_row *show_rows; /* [SHOW_ROWS] */
	bool is_showing;               /* a dump for etactl is under way */
	struct loop_watch signals, spoiled;
	struct loop_timer tick;
	uint64_t netns_cookie;
	uint32_t epoch;
	cpu_set_t cpus_allowed, cpus_ka;
	char log_level[CONF_TEXT_MAX];
	bool is_conf_bad; /* why the start failed */
	bool is_eal_up;
	bool is_huge;
	bool is_ending;
	struct log_limit limit_client, limit_netns, limit_dti, limit_spoil;
};

struct etad_args {
	const char *config; /* NULL: the default path, or none if that does not exist */
	const char *socket; /* NULL: as configured */
	const char *log_level;
};

/**
 * etad_start() - From configuration to ready.
 * @ka:  zeroed.
 * @err: [@err_len] one line.
 *
 * Return: 0; a negative errno, everything undone.
 */
int etad_start(struct ka *ka, const struct etad_args *args, char *err, size_t err_len);
/* Until told to end. */
void etad_run(struct ka *ka);
void etad_stop(struct ka *ka);

/* Ends KA's loop. */
void etad_ask_stop(struct ka *ka);

#endif
