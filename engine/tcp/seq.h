/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sequence numbers and millisecond ticks: 32 bits, modulo 2^32, compared by signed difference (RFC
 * 9293 3.4).
 *
 * Two values are comparable while they are less than 2^31 apart: windows are at most 8 MiB,
 * deadlines at most 24 days.
 */
#ifndef ENGINE_TCP_SEQ_H
#define ENGINE_TCP_SEQ_H

#include <stdbool.h>
#include <stdint.h>

static inline bool seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool seq_le(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

static inline bool seq_gt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static inline bool seq_ge(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) >= 0;
}

static inline uint32_t seq_max(uint32_t a, uint32_t b)
{
	return seq_gt(a, b) ? a : b;
}

static inline uint32_t seq_min(uint32_t a, uint32_t b)
{
	return seq_lt(a, b) ? a : b;
}

/* lo <= seq < hi, for any hi - lo below 2^32 */
static inline bool seq_in(uint32_t seq, uint32_t lo, uint32_t hi)
{
	return seq - lo < hi - lo;
}

#endif
