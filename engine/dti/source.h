/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bytes to send: where in AL's chunks a range of the send stream lies.
 *
 * AL's metas are hostile and may change at any moment. The engine keeps a private copy (a *note*) of the meta of each chunk that holds
 * bytes it has not released. The oldest is inline in the context, so that an idle connection needs none of the pool. Before bytes
 * are touched, the meta is compared with the note; a difference in a chunk with unreleased bytes kills the DTI. Where there is no
 * such byte, the note is only a cursor, and a difference means to seek again from record.chunk.
 *
 * The bytes themselves may change while the port reads them: they are sent as read, with a good checksum.
 *
 * Source: eta/dti.h STREAMS OF CHUNKS.
 */
#ifndef ENGINE_DTI_SOURCE_H
#define ENGINE_DTI_SOURCE_H

#include <stdint.h>

#include "engine/net/ip_tx.h"

struct dti;
struct dti_ctx;

#define SOURCE_RESTARTS_MAX 4u
#define SOURCE_STEPS_MAX 128u /* chunks walked in one call */

/* Private copy of a send chunk's meta. Pool; index 0 is never used. */
struct dti_note {
	uint32_t chunk;
	uint32_t off;
	uint32_t next; /* note of the following chunk; free: next free */
	uint32_t order;
};

/**
 * source_iov() - Pieces of [@off, @off + @len) of the send stream.
 * @iov: [IP_TX_IOVS_MAX] receives them, in order.
 * @iov_n: receives how many.
 *
 * The range lies within [snd_una, snd_tail). Return: bytes covered from the front; fewer than @len: no more now (bound met, the record
 * moved, or the DTI is marked DTI_CTX_KILL).   Context: hot, core.
 */
uint32_t source_iov(struct dti *d, struct dti_ctx *c, uint32_t off, uint32_t len,
		struct net_iov *iov, uint32_t *iov_n);

/* snd_una moved: let go of chunks that hold nothing more. Context: hot. */
void source_acked(struct dti *d, struct dti_ctx *c);
/* Let go of all. */
void source_drop_all(struct dti *d, struct dti_ctx *c);

#endif
