/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A lock between the threads of one process: one word, futex underneath.
 *
 * Nothing sleeps while it holds one, and no signal handler of the program runs while its thread does (signal.h), so none of
 * them can be met by its own holder. fork() takes them all (fork.h).
 *
 * Order: socket state, socket receive, socket send, watchers of a file, set, sleepers. A lock may be skipped, never
 * taken against the order.
 */
#ifndef AL_SOCK_LOCK_H
#define AL_SOCK_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "al/sock/kern.h"

#define AL_LOCK_SPINS 200

struct al_lock {
	uint32_t word; /* 0 free, 1 taken, 2 taken and waited for */
};

static inline bool al_lock_try(struct al_lock *lock)
{
	uint32_t free = 0;

	return __atomic_compare_exchange_n(
			&lock->word, &free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void al_lock_take(struct al_lock *lock)
{
	int i;

	for (i = 0; i < AL_LOCK_SPINS; i++) {
		if (al_lock_try(lock))
			return;
		__builtin_ia32_pause();
	}
	while (__atomic_exchange_n(&lock->word, 2, __ATOMIC_ACQUIRE) != 0)
		kern_futex_wait(&lock->word, 2);
}

static inline void al_lock_drop(struct al_lock *lock)
{
	if (__atomic_exchange_n(&lock->word, 0, __ATOMIC_RELEASE) == 2)
		kern_futex_wake(&lock->word, 1);
}

#endif
