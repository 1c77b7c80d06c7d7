/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine as a library: what etad and the simulator call.
 *
 * An engine is some ports and one core object per engine lcore. A core shares nothing with another; it is driven by whoever calls
 * core_poll_once() with the time: a pinned thread in etad (core_run), a test in virtual time. The clock, the ports and the shared memory
 * come in from outside; nothing here is global, so several engines live in one process.
 *
 * Life: engine_create -> admin messages (addresses, routes, sessions) -> core_run / core_poll_once -> ADMIN_STOP -> engine_destroy.
 */
#ifndef ENGINE_CORE_ENGINE_H
#define ENGINE_CORE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <eta/admin.h>
#include <eta/dti.h>

struct port;
struct core;
struct core_stats;
struct engine;

enum engine_idle {
	ENGINE_IDLE_POLL,     /* never sleep */
	ENGINE_IDLE_ADAPTIVE, /* pause, then sleep on ports, kicks and the next timer */
};

struct engine_conf {
	uint32_t cores_n;
	int lcore_cpu[ETA_CORES_MAX]; /* CPU of each core, -1 = not pinned */
	int socket_id;
	uint32_t contexts_max; /* per core, rounded up to a power of two */
	uint32_t embryos_max;  /* of those, in SYN-RECEIVED */
	uint32_t sessions_max; /* attached processes */
	uint32_t mbufs_n;      /* frames in flight per core */
	enum engine_idle idle;
	uint32_t idle_spin_us; /* adaptive: poll this long without work before sleeping */
	bool local_turnaround; /* traffic to our own address stays inside; false: sent out of the port */
	bool loopback;         /* carry 127.0.0.0/8 and ::1 between attached programs */
	uint16_t port_lo, port_hi; /* ephemeral ports that KA reserved, host order */
	uint8_t isn_key[16];
	uint8_t fastopen;         /* bits: 1 client, 2 server (RFC 7413) */
	uint8_t fastopen_key[16]; /* secret of its cookies */
	bool syn_cookies_off; /* drop a SYN that finds no embryo, do not answer it by a cookie */
	uint32_t embryos_src_pct; /* of a listener's embryos one source may hold; 0 = 50 */
	uint8_t cc_default;       /* as eta_dti_al.cc */
	uint8_t ecn;              /* 0 = default, else 1 + enum tcp_ecn */
	bool pacing;              /* every connection */
	bool idle_keeps_cwnd;     /* no slow start after idle time */
	uint32_t rcv_bytes_max;   /* per-connection receive window limit */
	uint32_t snd_bytes_max;
	uint32_t delack_us, rto_us_min, msl_ms; /* 0 = default */
	uint64_t tsc_hz;
	struct port *port
			[16]; /* opened by the caller (port_open), closed by the caller after engine_destroy */
	uint32_t ports_n;
};

/**
 * engine_create() - Build the cores and all their tables.
 * @core_page: [cores_n] pages shared with AL; the engine writes its lines only. Caller's memory, outlives the engine.
 * @err: [@err_len] one line on failure.
 *
 * All memory of the packet path is taken here. Return: engine, or NULL.   Context: cold, KA.
 */
struct engine *engine_create(const struct engine_conf *conf, struct eta_core_page *const *core_page,
		char *err, size_t err_len);
void engine_destroy(struct engine *engine);
struct core *engine_core(struct engine *engine, uint32_t idx);
/* Bytes taken at create, for the start-up message. */
uint64_t engine_memory_bytes(const struct engine *engine);

/**
 * core_poll_once() - One turn of the loop.
 * @now_us: monotonic time, never decreasing.
 *
 * Return: amount of work done (frames + doorbells + timers + commands); 0 = idle.   Context: hot, core.
 */
uint32_t core_poll_once(struct core *core, uint64_t now_us);
/* When the next timer is due; UINT64_MAX = none. For sleeping and for virtual time. */
uint64_t core_next_deadline_us(const struct core *core);
/* Loop until ADMIN_STOP, with TSC time, sleeping as configured. Context: the lcore's thread. */
void core_run(struct core *core);
/* Verify every invariant of every context, DTI and list. Return: NULL, or a static sentence naming the broken one. For sim and fuzz. */
const char *core_check(const struct core *core);

/* The rings towards KA (admin.h). Elements of the first two: struct eta_admin_msg by value; of the others: struct rte_mbuf *. */
struct rte_ring *core_ring_commands(struct core *core); /* KA produces */
struct rte_ring *core_ring_answers(struct core *core);  /* KA consumes */
struct rte_ring *core_ring_punted(
		struct core *core); /* KA consumes and frees; mbuf->port = engine port index */
struct rte_ring *core_ring_injected(
		struct core *core); /* KA produces; mbuf->port = engine port to send on */
/* Descriptors: write 8 bytes (eventfd) after producing a command or frame for a sleeping core; poll for answers and punted frames. */
int core_kick_fd(const struct core *core);
int core_notify_fd(const struct core *core);

/* Counters. Each is a u64 written by the core alone, readable at any time by KA (relaxed). @i from 0 until NULL. */
const char *core_stat_name(uint32_t i);
uint64_t core_stat_value(const struct core *core, uint32_t i);

#endif
