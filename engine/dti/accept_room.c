/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who gets an embryo, and who does not.
 *
 * Three things run out: places in a listener's backlog, embryos of the core, contexts. Handshakes that do not finish are answered by cookies; an
 * application that does not accept is not helped by them, so there SYNs are dropped. The last contexts are not for embryos.
 *
 * One source, a host or an IPv6 subnet of 64 bits, may hold only a share of a listener's embryos. Who holds how many is counted in a table
 * of fixed size by a keyed hash of listener and source, so that nobody can aim at the counter of another; where two meet they share
 * one, which errs towards cookies.
 *
 * RFC 4987 3; DESIGN 7, per-host limits.
 */
#include <rte_common.h>

#include "engine/dti/accept.h"
#include "engine/dti/dti.h"
#include "engine/dti/dti_up.h"
#include "engine/tcp/tcp.h"

uint32_t *accept_source_n(struct dti *d, uint32_t master, const struct ip_tuple *tuple)
{
	const uint64_t *key = d->tcp->conf.isn_key;
	uint64_t lo = ip_addr_is_v4(&tuple->raddr) ? tuple->raddr.q[1] : 0;
	__extension__ unsigned __int128 p;

	p = (unsigned __int128)(tuple->raddr.q[0] ^ key[0] ^ master) * (lo ^ (key[1] | 1));
	return &d->source_n[((uint64_t)p ^ (uint64_t)(p >> 64)) % DTI_SOURCES];
}

/* How many embryos of a listener one source may hold. */
static uint32_t source_max(const struct dti *d, const struct dti_master *m)
{
	uint64_t all = RTE_MIN((uint64_t)m->backlog + 1, d->embryos_max);

	return RTE_MAX((uint32_t)(all * d->source_pct / 100), 1u);
}

enum tcp_room tcp_up_room(struct core *env, struct tcp_ctx *master, const struct ip_tuple *tuple)
{
	struct dti *d = dti_of(env);
	const struct dti_master *m = &d->master[d->ctx[master->idx].master];
	uint32_t queued = m->wait_n + m->unaccepted_n;

	if (m->is_closing || queued > m->backlog)
		return TCP_ROOM_NONE;
	/* Handshakes that do not finish, or an application that does not accept? A cookie helps with the former. */
	if (m->embryo_n + queued > m->backlog)
		return queued > m->embryo_n ? TCP_ROOM_NONE : TCP_ROOM_FULL;
	/* The last contexts are for those who have shown that they exist. */
	if (d->embryo_n >= d->embryos_max || dti_up_ctx_left(env) <= d->ctx_n / DTI_CTX_KEPT)
		return TCP_ROOM_FULL;
	if (*accept_source_n(d, master->idx, tuple) >= source_max(d, m))
		return TCP_ROOM_SOURCE;
	return TCP_ROOM_EMBRYO;
}
