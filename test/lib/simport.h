/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A wire for tests: two struct ports joined in virtual time, with seeded misfortune.
 *
 * A frame that one side transmits is copied into the wire and arrives at the other side when virtual time has passed its delay. On
 * the way it may be lost, duplicated, corrupted (one bit), delayed so that others overtake it, or stand in a queue behind a
 * bottleneck. Everything is decided by one generator from one seed, so a run is repeated exactly by its seed.
 *
 *     wire = simport_create(&conf);
 *     a = simport_port(wire, 0);  b = simport_port(wire, 1);     give them to two engines
 *     for (;;) { simport_set_now(wire, now_us); core_poll_once(...) both; now_us = min(simport_next_us(wire), deadlines) }
 *
 * With SIMPORT_SUPER the ports have TSO, checksum offload and LRO, like a packet: port between two machines: superframes cross in one piece.
 * Corruption is then refused (nobody would notice).
 *
 * Needs EAL. Threads: one.
 */
#ifndef TEST_LIB_SIMPORT_H
#define TEST_LIB_SIMPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/net/port.h"

struct simport_wire;

#define SIMPORT_SUPER 0x1u /* TSO, checksum offload, LRO */
#define SIMPORT_SYNC 0x2u  /* payload in place (PORT_CAP_TX_SYNC | MULTI_SEG | TX_CKSUM) */

/* Of each direction; per million frames. */
struct simport_fate {
	uint32_t loss_ppm;
	uint32_t dup_ppm;
	uint32_t corrupt_ppm;
	uint32_t reorder_ppm; /* delayed by up to reorder_us more */
	uint32_t reorder_us;
	uint32_t delay_us;     /* of every frame */
	uint32_t jitter_us;    /* added, uniform, without overtaking */
	uint64_t rate_bps;     /* bottleneck, 0 = none */
	uint32_t queue_frames; /* before the bottleneck, tail drop; 0 = 1000 */
};

struct simport_conf {
	uint64_t seed;
	uint32_t flags;              /* SIMPORT_* */
	uint16_t mtu;                /* 0 = 1500 */
	uint32_t pool_n;             /* mbufs of each side, 0 = 4096 */
	struct simport_fate fate[2]; /* [0]: from side 0 to side 1 */
};

struct simport_stats {
	uint64_t sent, delivered, lost, duplicated, corrupted, reordered, queue_drops;
};

/* Called for each frame put on the wire, before its fate is decided. Return: false = lose it. For directed tests and captures. */
typedef bool (*simport_tap)(void *arg, int side, const uint8_t *frame, uint32_t len);

/* Return: wire; aborts the test when memory is short. */
struct simport_wire *simport_create(const struct simport_conf *conf);
void simport_destroy(struct simport_wire *wire);
/* Side 0 has MAC 02:00:00:00:00:01, side 1 has :02. */
struct port *simport_port(struct simport_wire *wire, int side);
void simport_set_now(struct simport_wire *wire, uint64_t now_us);
/* When the next frame arrives; UINT64_MAX = nothing is on the wire. */
uint64_t simport_next_us(const struct simport_wire *wire);
/* Change the fate of frames sent from now on. */
void simport_set_fate(struct simport_wire *wire, int side, const struct simport_fate *fate);
void simport_set_tap(struct simport_wire *wire, simport_tap tap, void *arg);
/* Put a frame of the test's own making on the wire, as if @side had sent it. */
void simport_inject(struct simport_wire *wire, int side, const void *frame, uint32_t len);
/* Of frames sent by @side. */
const struct simport_stats *simport_stats(const struct simport_wire *wire, int side);

#endif
