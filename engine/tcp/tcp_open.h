/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How connections begin, among the files of TCP that know about it: listener, cookies. Nobody else includes it.
 */
#ifndef ENGINE_TCP_TCP_OPEN_H
#define ENGINE_TCP_TCP_OPEN_H

#include "engine/tcp/tcp_int.h"

/* ---- listener (tcp_listen.c) ---- */

/* A context in the place of an embryo of @master: inherits, has first numbers and a window. No I/O. */
void tcp_embryo_init(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ctx *master,
		const struct ip_tuple *tuple);
/* Options, windows and first numbers from the peer's SYN. */
void tcp_take_syn(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg);

/*
 * TCP_DEFER_ACCEPT: the ACK of our SYN without data tells nothing that the user wants to know. Return: true = as if it had not come; its
 * embryo waits. At the end of the time our SYN-ACK goes out once more, and then any ACK will do.
 */
bool tcp_embryo_defer(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg);
/* The retransmission timer of an embryo: does it wait for data rather than for an ACK? Then it is armed again. */
bool tcp_embryo_waits(const struct tcp_env *e, struct tcp_ctx *ctx);

/* ---- cookies (tcp_cookie.c) ---- */

/*
 * Make the first number of @ctx, which has taken its SYN, a cookie, and agree on no more than a cookie can remember. The number is
 * the same for the same SYN as long as its cookie is valid.
 */
void tcp_cookie_fill(const struct tcp_env *e, struct tcp_ctx *ctx, const struct ip_tuple *tuple);
/* Answer a SYN without keeping anything of it. */
void tcp_cookie_send(const struct tcp_env *e, const struct tcp_ctx *master,
		const struct tcp_seg *seg, const struct ip_tuple *tuple);

/* ---- fast open (tcp_tfo.c) ---- */

/* The option of a SYN or SYN-ACK. Return: bytes. */
uint8_t tcp_tfo_opt_put(const struct tcp_ctx *ctx, uint8_t *opt);
/* ESTABLISHED, or the end. */
void tcp_tfo_settle(const struct tcp_env *e, struct tcp_ctx *ctx);
/* A SYN of a listener that does fast open, before its SYN-ACK: may get a user, and its data. */
void tcp_tfo_syn(const struct tcp_env *e, struct tcp_ctx *master, struct tcp_ctx *ctx,
		const struct tcp_seg *seg, const struct ip_tuple *tuple);
/* Before the SYN of an active open. With SYN_DUE set afterwards it waits for tcp_write(). */
void tcp_tfo_connect(const struct tcp_env *e, struct tcp_ctx *ctx, const struct ip_tuple *tuple);
/* @seg, our SYN, is about to leave: data for it. */
void tcp_tfo_syn_data(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_txseg *seg);
/* An acceptable SYN-ACK has come: what of our data did it take, and does it bring a cookie? */
void tcp_tfo_syn_ack(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg);

#endif
