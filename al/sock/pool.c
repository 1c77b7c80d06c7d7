/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Type-stable object pools: slabs by mmap, a free list through the last word of each object.
 *
 * The link lies in the last word, since the first ones (reference count, kind) are what a late reader looks at.
 */
#include "al/sock/pool.h"

#include <sys/mman.h>

static void **pool_link(const struct al_pool *pool, void *object)
{
	return (void **)(void *)((uint8_t *)object + pool->object_bytes - sizeof(void *));
}

static bool pool_grow(struct al_pool *pool)
{
	uint32_t per_slab = POOL_SLAB_BYTES / pool->object_bytes;
	uint8_t *slab;
	uint32_t i;

	if (pool->slabs_n == POOL_SLABS_MAX)
		return false;
	slab = mmap(NULL, POOL_SLAB_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);
	if (slab == MAP_FAILED)
		return false;
	for (i = per_slab; i-- > 0;) {
		void *object = slab + (size_t)i * pool->object_bytes;

		*pool_link(pool, object) = pool->free;
		pool->free = object;
	}
	pool->slab[pool->slabs_n] = slab;
	__atomic_store_n(&pool->slabs_n, pool->slabs_n + 1, __ATOMIC_RELEASE);
	return true;
}

void *al_pool_get(struct al_pool *pool, uint32_t object_bytes)
{
	void *object = NULL;

	al_lock_take(&pool->lock);
	pool->object_bytes = object_bytes;
	if (pool->free || pool_grow(pool)) {
		object = pool->free;
		pool->free = *pool_link(pool, object);
		*pool_link(pool, object) = NULL;
	}
	al_lock_drop(&pool->lock);
	return object;
}

void al_pool_put(struct al_pool *pool, void *object)
{
	al_lock_take(&pool->lock);
	*pool_link(pool, object) = pool->free;
	pool->free = object;
	al_lock_drop(&pool->lock);
}

bool al_pool_owns(const struct al_pool *pool, const void *p)
{
	uint32_t slabs_n = __atomic_load_n(&pool->slabs_n, __ATOMIC_ACQUIRE);
	uint32_t i;

	for (i = 0; i < slabs_n; i++) {
		size_t off = (uintptr_t)p - (uintptr_t)pool->slab[i];

		if (off < POOL_SLAB_BYTES)
			return off % pool->object_bytes == 0 &&
			       off / pool->object_bytes < POOL_SLAB_BYTES / pool->object_bytes;
	}
	return false;
}

void *al_pool_at(const struct al_pool *pool, uint32_t idx)
{
	uint32_t per_slab = pool->object_bytes ? POOL_SLAB_BYTES / pool->object_bytes : 1;

	if (idx / per_slab >= __atomic_load_n(&pool->slabs_n, __ATOMIC_ACQUIRE))
		return NULL;
	return pool->slab[idx / per_slab] + (size_t)(idx % per_slab) * pool->object_bytes;
}
