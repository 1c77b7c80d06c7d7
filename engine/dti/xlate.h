/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Address translation: segment of a session + chunk -> the engine's virtual address.
 *
 * The key is the session's own segment number; a number of another session cannot be expressed. Everything that comes out of
 * shared memory passes through here before it becomes an address: segment known and of the right kind, order valid, page aligned to
 * it and the whole chunk inside the chunk area.
 *
 * Limits: registered application memory (ETA_SEG_APP) has no chunks and is not translated.
 */
#ifndef ENGINE_DTI_XLATE_H
#define ENGINE_DTI_XLATE_H

#include <stdint.h>

#include "engine/dti/session.h"


/**
 * xlate_meta() - Where @chunk's meta lies.
 * @kind: ETA_SEG_AL for send chunks (only to be read), ETA_SEG_EN for receive chunks.
 *
 * Return: NULL = no such page in a segment of that kind.   Context: hot.
 */
struct eta_chunk_meta *xlate_meta(const struct dti *d, const struct session *s, uint32_t chunk, uint8_t kind);

/**
 * xlate_bytes() - Where the bytes of @chunk lie.
 *
 * Return: NULL = @order is no order, or the chunk is not aligned to it or not wholly inside.   Context: hot.
 */
uint8_t *xlate_bytes(const struct dti *d, const struct session *s, uint32_t chunk, uint32_t order, uint8_t kind);

#endif
