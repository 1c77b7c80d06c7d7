/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every shared header stands on: the ABI version, the cache line, layout assertions and memory ordering.
 *
 * The engine, the kernel agent (KA) and the adaptation layer (AL) are three programs that meet only in shared memory and
 * on a control socket, as a driver and a card meet across PCIe. Whatever they share is plain fixed-width integers in
 * little-endian x86 order; a shared line has exactly one writing side, named by a tag where it is declared:
 *
 *   [EN] the engine core that owns the object     [AL] the application process(es) that hold it     [KA] the kernel agent
 *
 * The tag is enforced by the MMU, not by good manners: memory written by [EN] or [KA] is mapped read-only in AL, and the
 * engine never stores to memory tagged [AL]. A reader loads a word once into a local and judges the copy.
 *
 * Limits: x86-64 Linux. C11, and clean when included from C++.
 */
#ifndef ETA_ABI_H
#define ETA_ABI_H

#include <stddef.h>
#include <stdint.h>

/* Raised by any change to a shared layout, message or protocol. Unequal major (high 16 bits): attach is refused. */
#define ETA_ABI_VERSION 0x00020000u
#define ETA_ABI_MAJOR(v) ((uint32_t)(v) >> 16)

#define ETA_CACHELINE 64
#define ETA_PAGE_BYTES 4096u
#define ETA_CORES_MAX 16 /* engine cores of one etad */

#ifdef __cplusplus
#define ETA_STATIC_ASSERT(cond, text) static_assert(cond, text)
#else
#define ETA_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#endif

/* The size of a shared type is part of the ABI. */
#define ETA_ASSERT_SIZE(type, bytes) \
	ETA_STATIC_ASSERT(sizeof(type) == (bytes), #type " changed size")
/* @field starts cache line @line of @type. */
#define ETA_ASSERT_LINE(type, field, line) \
	ETA_STATIC_ASSERT(offsetof(type, field) == (line)*ETA_CACHELINE, #type "." #field " moved")
#define ETA_ASSERT_OFFSET(type, field, bytes) \
	ETA_STATIC_ASSERT(offsetof(type, field) == (bytes), #type "." #field " moved")

#define ETA_MUST_CHECK __attribute__((warn_unused_result))
#define ETA_HOT __attribute__((hot))
#define ETA_COLD __attribute__((cold, noinline))
#define ETA_LIKELY(x) __builtin_expect(!!(x), 1)
#define ETA_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Single-copy atomic accesses to words that the other side may change at any moment. */
static inline uint32_t eta_load_relaxed_u32(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline uint32_t eta_load_acquire_u32(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline uint64_t eta_load_acquire_u64(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline uint64_t eta_load_relaxed_u64(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline void eta_store_relaxed_u32(uint32_t *p, uint32_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELAXED);
}

static inline void eta_store_release_u32(uint32_t *p, uint32_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline void eta_store_relaxed_u64(uint64_t *p, uint64_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELAXED);
}

static inline void eta_store_release_u64(uint64_t *p, uint64_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

/* Orders an earlier store before a later load: only where one of the two sides sleeps (see dti.h, "Sleeping"). */
static inline void eta_fence_store_load(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Orders earlier loads before later loads; free on x86, keeps the compiler honest. Second half of a seqlock read. */
static inline void eta_fence_load_load(void)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
}

static inline void eta_pause(void)
{
	__builtin_ia32_pause();
}

/*
 * Cumulative counters run modulo 2^32 and are compared by signed difference, so they stay comparable while the two are
 * less than 2 GiB apart (a stream holds 8 MiB at most; a counter farther off than the rules allow is stale, not judged).
 */
static inline int eta_counter_after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

#endif
