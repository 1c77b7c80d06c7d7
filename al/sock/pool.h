/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Objects of one size whose memory never becomes anything else.
 *
 * A thread may look up an object while another frees it: the reader then finds an object of the same type, whose reference count
 * tells that it is not (or no longer) the one meant. No malloc: the program's allocator may be what is calling us.
 *
 * Limits: memory is never given back; POOL_SLABS_MAX slabs.
 */
#ifndef AL_SOCK_POOL_H
#define AL_SOCK_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "al/sock/lock.h"

#define POOL_SLAB_BYTES (64u << 10)
#define POOL_SLABS_MAX 4096u

struct al_pool {
	struct al_lock lock;
	uint32_t object_bytes; /* a multiple of 64 */
	uint32_t slabs_n;
	void *free; /* first word of a free object: the next one */
	uint8_t *slab[POOL_SLABS_MAX];
};

/* Return: an object with unspecified contents, zero when its memory is new; NULL out of memory. */
void *al_pool_get(struct al_pool *pool, uint32_t object_bytes);
void al_pool_put(struct al_pool *pool, void *object);
/* Is @p the start of an object of @pool? */
bool al_pool_owns(const struct al_pool *pool, const void *p);
/* The @idx-th object, used or not; NULL past the end. */
void *al_pool_at(const struct al_pool *pool, uint32_t idx);

#endif
