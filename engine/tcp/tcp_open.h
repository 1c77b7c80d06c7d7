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

#endif
