/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reproducible chance: a stream of numbers that depends on its seed alone (splitmix64), and the bytes of a stream of data
 * as a function of their offset, so that neither side of a test need keep what it sent.
 */
#ifndef TEST_SIM_RND_H
#define TEST_SIM_RND_H

#include <stdbool.h>
#include <stdint.h>

struct rnd {
	uint64_t state;
};

static inline uint64_t rnd_mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static inline uint64_t rnd_u64(struct rnd *r)
{
	r->state += 0x9e3779b97f4a7c15ull;
	return rnd_mix(r->state);
}

/* 0 .. @n - 1; 0 for @n = 0 */
static inline uint32_t rnd_below(struct rnd *r, uint32_t n)
{
	return (uint32_t)(((rnd_u64(r) >> 32) * n) >> 32);
}

/* @lo .. @hi, both included */
static inline uint32_t rnd_range(struct rnd *r, uint32_t lo, uint32_t hi)
{
	return lo + rnd_below(r, hi - lo + 1);
}

static inline bool rnd_ppm(struct rnd *r, uint32_t ppm)
{
	return ppm != 0 && rnd_below(r, 1000000) < ppm;
}

/* As many small numbers as large ones: a random number of bits, up to @hi. */
static inline uint32_t rnd_log(struct rnd *r, uint32_t hi)
{
	uint32_t bits = 0, v;

	while (bits < 31 && (1u << bits) <= hi)
		bits++;
	bits = rnd_range(r, 0, bits);
	v = (uint32_t)rnd_u64(r) & ((1u << bits) - 1);
	return v > hi ? hi : v;
}

/* When a clock begins: after a second, or shortly before 32 bits of milliseconds or microseconds are full once or twice. */
static inline uint64_t rnd_start_us(struct rnd *r)
{
	uint64_t full = 1ull << 32;
	uint32_t before;

	if (rnd_below(r, 2))
		return 1000000;
	full *= rnd_range(r, 1, 2);
	before = rnd_below(r, 5000);
	return (full - before) * (rnd_below(r, 2) ? 1000 : 1);
}

/* The byte at offset @off of the stream named @key. */
static inline uint8_t content_byte(uint64_t key, uint32_t off)
{
	return (uint8_t)(rnd_mix(key + (off >> 3)) >> ((off & 7) * 8));
}

void content_fill(uint64_t key, uint32_t off, uint8_t *to, uint32_t len);
/* Return: bytes of @data that are right, from the front; @len when all are. */
uint32_t content_match(uint64_t key, uint32_t off, const uint8_t *data, uint32_t len);

#endif
