/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A scripted peer of one connection in the TCP world: for facts that only an exact sequence of segments can show.
 *
 * Side 1 is the TCP under test; the test is its peer, byte by byte, and reads what side 1 puts on the wire. Numbers are
 * relative: seq 0 is the peer's first byte, ack 0 is the first byte of ours. A broken promise of TCP ends the test.
 */
#ifndef TEST_SIM_TCP_PEER_H
#define TEST_SIM_TCP_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "test/sim/tcp_world.h"

#define PEER_ISS 7000u
#define PEER_MSS 1000u
#define PEER_TS_NONE 0u

/* What side 1 has sent since the last look: the last segment, and totals. */
struct peer_out {
	uint32_t n;
	uint32_t bytes;     /* payload of all */
	uint32_t first_seq; /* of the first */
	uint32_t seq, ack, len, wnd;
	uint8_t flags;
	uint32_t tsecr;
};

struct peer {
	struct world w;
	struct conn *conn;
	struct user *user; /* of side 1 */
	struct peer_out out;
};

/* Established from LISTEN. The peer's SYN brings MSS, SACK if @sack, timestamps from @ts unless TS_NONE; no window scale: windows are bytes. */
void peer_established(struct peer *p, uint32_t ts, bool sack, uint16_t wnd);
void peer_done(struct peer *p);
struct tcp_ctx *peer_ctx(struct peer *p);
/* A segment of the peer, and what side 1 answers in the same turn. */
void peer_give(struct peer *p, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t wnd,
		uint32_t len, uint32_t ts);
/* A pure ACK that reports [@lo, @hi) of our bytes. */
void peer_sack(struct peer *p, uint32_t ack, uint16_t wnd, uint32_t lo, uint32_t hi);
/* Time passes in one leap. */
void peer_pass_ms(struct peer *p, uint32_t ms);
/* The user of side 1. */
void peer_write(struct peer *p, uint32_t bytes);
void peer_read(struct peer *p, uint32_t bytes);

#endif
