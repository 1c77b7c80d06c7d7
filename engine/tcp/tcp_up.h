/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The seam of TCP: everything that the state machine asks of the world.
 *
 * TCP (engine/tcp) does no I/O, reads no clock, allocates nothing and knows neither mbufs nor shared memory. It is handed a context, a
 * segment or a request, and the time; it answers through the functions below. The engine implements them in engine/dti (bytes and
 * events) and engine/core (contexts, output); unit tests implement them by a fake that logs.
 *
 * @env is the engine core, opaque to TCP (struct core in the engine, the fake's own struct in tests). @ctx is the context concerned; its
 * index (ctx->idx) is the same in every per-context table of the core.
 *
 * Stream offsets: byte 0 of each direction is the first byte after SYN; off = seq - iss - 1 (send), seq - irs - 1 (receive).
 */
#ifndef ENGINE_TCP_TCP_UP_H
#define ENGINE_TCP_TCP_UP_H

#include <stdbool.h>
#include <stdint.h>

#include <eta/status.h>

#include "engine/net/addr.h"
#include "engine/tcp/tcp_seg.h"

struct core;
struct tcp_ctx;

/* ---- bytes (engine/dti) ---- */

/**
 * tcp_up_place() - Store received bytes at their place in the receive stream.
 * @off: stream offset of @data[0]; may lie ahead of rcv_nxt (out of order), never more than the advertised window allows.
 *
 * Return: bytes stored, from the front; fewer than @len when memory is short (the rest counts as never received).
 */
uint32_t tcp_up_place(struct core *env, struct tcp_ctx *ctx, uint32_t off, const uint8_t *data,
		uint32_t len);

/*
 * Bytes the receive side may promise beyond rcv_nxt now: what memory and SO_RCVBUF allow, less bytes AL has not consumed. Before there is
 * a user (an embryo; index 0: a cookie, no context at all) what a new connection begins with.
 */
uint32_t tcp_up_rcv_space(struct core *env, struct tcp_ctx *ctx);

/* ---- events (engine/dti) ---- */

/* rcv_nxt advanced: bytes up to stream offset @rcv_tail are readable; @fin = the peer's FIN stands there. */
void tcp_up_readable(struct core *env, struct tcp_ctx *ctx, uint32_t rcv_tail, bool fin);
/* snd_una advanced to stream offset @snd_una. */
void tcp_up_acked(struct core *env, struct tcp_ctx *ctx, uint32_t snd_una);
/* An active open completed. */
void tcp_up_connected(struct core *env, struct tcp_ctx *ctx);
/* The peer's urgent pointer: the byte before stream offset @urg is urgent. */
void tcp_up_urgent(struct core *env, struct tcp_ctx *ctx, uint32_t urg);
/* The connection is gone for its user: reset, refused, timed out, or closed on both sides (ETA_STATUS_OK). Said once. */
void tcp_up_closed(struct core *env, struct tcp_ctx *ctx, enum eta_status why);

/* ---- contexts (engine/core, engine/dti) ---- */

/* What a SYN to a listener may hope for. */
enum tcp_room {
	TCP_ROOM_EMBRYO, /* tcp_up_embryo() finds a place, if the tuple is not taken */
	TCP_ROOM_SOURCE, /* no embryo: its source has its share of them */
	TCP_ROOM_FULL,   /* no embryo is left, but a finished handshake would find a place */
	TCP_ROOM_NONE,   /* the accept queue is full, or the listener is closing */
};
enum tcp_room tcp_up_room(struct core *env, struct tcp_ctx *master, const struct ip_tuple *tuple);
/* A context for an embryo of @master (copies nothing), whatever tcp_up_room() says. NULL: table full, or tuple taken. */
struct tcp_ctx *tcp_up_embryo(
		struct core *env, struct tcp_ctx *master, const struct ip_tuple *tuple);
/**
 * tcp_up_accept() - The handshake of embryo @ctx is complete: bind it to a child DTI.
 *
 * Return: true bound, or waiting for who accepts (ACCEPT event raised); false the listener is closing: TCP ignores this ACK and keeps the embryo.
 */
bool tcp_up_accept(struct core *env, struct tcp_ctx *ctx);
/* TCP needs @ctx no longer: unhash and free it. Not to be touched afterwards. */
void tcp_up_free(struct core *env, struct tcp_ctx *ctx);

/* ---- output (engine/core with engine/net) ---- */

/**
 * tcp_up_send() - Send a segment of @ctx, or of no context.
 * @ctx: NULL for a reply without context (RST), then @tuple says where to.
 *
 * Cuts @seg into wire segments of seg->mss payload bytes (TSO, or copies). Return: payload bytes handed to the port; less than seg->len, or
 * -1 for an empty segment that could not go (no mbuf, neighbour unresolved): TCP treats it as lost by the network, except that
 * bytes not handed over are not counted as sent.
 */
int32_t tcp_up_send(struct core *env, struct tcp_ctx *ctx, const struct ip_tuple *tuple,
		const struct tcp_txseg *seg);
/* Largest TCP payload of one wire segment to @tuple's remote without options: path MTU - IP - TCP header. */
uint16_t tcp_up_mss(struct core *env, const struct ip_tuple *tuple);
/* Largest payload that one tcp_up_send() should carry (TSO size or a multiple of mss for software segmentation). */
uint32_t tcp_up_burst_bytes(struct core *env, const struct tcp_ctx *ctx);

#endif
