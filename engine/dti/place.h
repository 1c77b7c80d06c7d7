/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Received bytes: straight from the frame to their place in the receive stream.
 *
 * A stream is a chain of chunks of the session's EN segments. Bytes that arrive out of order are written where they belong; TCP knows
 * which ranges are there. The chain always reaches to the farthest byte written and has no gaps. A chunk is freed when AL has
 * told that all of it is consumed. Chunks begin small and grow with what a connection holds, so that an idle or interactive one
 * costs a page and a bulk one few links. The last freed page is the first reused: it is still in the cache.
 *
 * A connection that waits for a child (accept.h) has no session: its first STAGE_BYTES bytes are kept in a buffer of the engine.
 *
 * Memory may be promised several times over (every window in full needs more than there is); when it ends, bytes inside the
 * window are not stored and the peer sends them again.
 */
#ifndef ENGINE_DTI_PLACE_H
#define ENGINE_DTI_PLACE_H

#include <stdbool.h>
#include <stdint.h>

struct dti;
struct eta_dti_en;
struct dti_ctx;
struct session;

#define STAGE_BYTES 4096u
#define PLACE_RCV_BYTES_FIRST (64u << 10) /* receive buffer before anything was measured */

/* AL has consumed up to @rcv_head (validated): free what lies before. Context: hot. */
void place_consumed(struct dti *d, struct dti_ctx *c, uint32_t rcv_head);
/* Free every receive chunk (or the stage) of @c. */
void place_drop_all(struct dti *d, struct dti_ctx *c);
/* The buffer limit that applies to @c now, in bytes. */
uint32_t place_limit_bytes(const struct dti *d, uint32_t ctx_idx);
/* ring_at for the present rcv_head and limit; never moves back. */
void place_update_ring_at(struct dti *d, uint32_t ctx_idx, struct eta_dti_en *en);

/**
 * place_move() - Copy the bytes of a connection that changes its owner.
 * @from: copy of the context as it was: bound to the old session, or WAITING with a stage.
 * @to:   the context as it shall be: claimed for the new session with an empty chain, or WAITING.
 *
 * Only for connections whose rcv_head is 0. The caller frees what @from holds. Return: false = no memory there.
 */
bool place_move(struct dti *d, struct dti_ctx *from, struct dti_ctx *to);

/* Has @s memory for what the WAITING context @idx holds, so that place_move() will not fail for want of it? */
bool place_fits(const struct dti *d, uint32_t idx, const struct session *s);

/* Drained chunks of connections idle for a second go. @budget: contexts looked at. Call each turn. Return: contexts looked at. */
uint32_t place_sweep(struct dti *d, uint32_t budget);

#endif
