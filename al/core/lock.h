/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A one-word lock between the threads of this process: 0 free, 1 held, 2 held and somebody sleeps.
 *
 * No pthread mutex, because a forked child must be able to reset it by a store, and because it has to fit beside the data it guards.
 * In a process that never made a second thread the _mt forms cost a load and a store; libc tells (its flag changes only while one thread
 * exists, so a lock is not taken in one way and dropped in the other).
 */
#ifndef AL_CORE_LOCK_H
#define AL_CORE_LOCK_H

#include <stdbool.h>
#include <sys/single_threaded.h>

#include <eta/abi.h>

#include "al/core/sys.h"

static inline bool al_lock_try(uint32_t *lock)
{
	uint32_t zero = 0;

	return __atomic_compare_exchange_n(
			lock, &zero, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void al_lock_take(uint32_t *lock)
{
	for (int i = 0; i < 100; i++) {
		if (al_lock_try(lock))
			return;
		eta_pause();
	}
	while (__atomic_exchange_n(lock, 2, __ATOMIC_ACQUIRE) != 0)
		sys_futex(lock, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 2, NULL);
}

static inline void al_lock_drop(uint32_t *lock)
{
	if (__atomic_exchange_n(lock, 0, __ATOMIC_RELEASE) == 2)
		sys_futex(lock, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL);
}

static inline bool al_is_single_threaded(void)
{
	return __libc_single_threaded;
}

/* The same for locks of the fast path: plain stores while the process has one thread. */
static inline void al_lock_take_mt(uint32_t *lock)
{
	if (ETA_LIKELY(al_is_single_threaded()))
		eta_store_relaxed_u32(lock, 1);
	else
		al_lock_take(lock);
}

static inline void al_lock_drop_mt(uint32_t *lock)
{
	if (ETA_LIKELY(al_is_single_threaded()))
		eta_store_relaxed_u32(lock, 0);
	else
		al_lock_drop(lock);
}

#endif
