/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Internet checksum, and the copy that computes it on the way.
 *
 * 32-bit words are added into 64-bit lanes, which cannot overflow below 16 GiB; folding gives the
 * sum of the 16-bit words, because 2^16 = 1 modulo 2^16 - 1. With AVX2 eight words a step, else two.
 * Each byte is read once: the source may change under us, the sum matches the copy.
 *
 * RFC 1071.
 */
#include "engine/net/cksum.h"

#include <string.h>

#ifdef __AVX2__
#include <immintrin.h>

#define BLOCK_BYTES 64u
#define BLOCKS_BYTES_MIN 128u /* below, the lanes' beginning and end cost more than they save */

struct lanes {
	__m256i a, b;
};

static inline void lanes_init(struct lanes *l)
{
	l->a = _mm256_setzero_si256();
	l->b = _mm256_setzero_si256();
}

/* Adds BLOCK_BYTES bytes of @src and, if @dst, stores them. */
static inline void lanes_block(struct lanes *l, uint8_t *dst, const uint8_t *src)
{
	const __m256i low = _mm256_set1_epi64x(0xffffffff);
	__m256i x = _mm256_loadu_si256((const __m256i *)(const void *)src);
	__m256i y = _mm256_loadu_si256((const __m256i *)(const void *)(src + 32));

	if (dst) {
		_mm256_storeu_si256((__m256i *)(void *)dst, x);
		_mm256_storeu_si256((__m256i *)(void *)(dst + 32), y);
	}
	l->a = _mm256_add_epi64(l->a, _mm256_and_si256(x, low));
	l->b = _mm256_add_epi64(l->b, _mm256_srli_epi64(x, 32));
	l->a = _mm256_add_epi64(l->a, _mm256_and_si256(y, low));
	l->b = _mm256_add_epi64(l->b, _mm256_srli_epi64(y, 32));
}

static inline uint64_t lanes_sum(const struct lanes *l)
{
	uint64_t v[4];

	_mm256_storeu_si256((__m256i *)(void *)v, _mm256_add_epi64(l->a, l->b));
	return v[0] + v[1] + v[2] + v[3];
}

#else

#define BLOCK_BYTES 8u
#define BLOCKS_BYTES_MIN 64u

struct lanes {
	uint64_t a, b;
};

static inline void lanes_init(struct lanes *l)
{
	l->a = 0;
	l->b = 0;
}

static inline void lanes_block(struct lanes *l, uint8_t *dst, const uint8_t *src)
{
	uint64_t x;

	memcpy(&x, src, sizeof(x));
	if (dst)
		memcpy(dst, &x, sizeof(x));
	l->a += x & 0xffffffff;
	l->b += x >> 32;
}

static inline uint64_t lanes_sum(const struct lanes *l)
{
	return l->a + l->b;
}

#endif

#define QUAD_BYTES 32u

/* Eight bytes, read once. */
static inline uint64_t sum_word(uint64_t sum, uint8_t *dst, const uint8_t *src)
{
	uint64_t word;

	memcpy(&word, src, sizeof(word));
	if (dst)
		memcpy(dst, &word, sizeof(word));
	return cksum_word(sum, &word);
}

#ifdef __x86_64__

struct quad {
	uint8_t b[QUAD_BYTES];
};

/* QUAD_BYTES more, with end-around carry: the compiler does not find the chain of adc. */
static inline uint64_t sum_quad(uint64_t sum, const uint8_t *src)
{
	__asm__("add (%1), %0\n\t"
		"adc 8(%1), %0\n\t"
		"adc 16(%1), %0\n\t"
		"adc 24(%1), %0\n\t"
		"adc $0, %0"
			: "+&r"(sum)
			: "r"(src), "m"(*(const struct quad *)(const void *)src)
			: "cc");
	return sum;
}

static inline uint64_t copy_quad(uint64_t sum, uint8_t *dst, const uint8_t *src)
{
	uint64_t a, b, c, d;

	memcpy(&a, src, 8);
	memcpy(&b, src + 8, 8);
	memcpy(&c, src + 16, 8);
	memcpy(&d, src + 24, 8);
	__asm__("add %1, %0\n\t"
		"adc %2, %0\n\t"
		"adc %3, %0\n\t"
		"adc %4, %0\n\t"
		"adc $0, %0"
			: "+&r"(sum)
			: "r"(a), "r"(b), "r"(c), "r"(d)
			: "cc");
	memcpy(dst, &a, 8);
	memcpy(dst + 8, &b, 8);
	memcpy(dst + 16, &c, 8);
	memcpy(dst + 24, &d, 8);
	return sum;
}

#else

static inline uint64_t sum_quad(uint64_t sum, const uint8_t *src)
{
	for (uint32_t i = 0; i < QUAD_BYTES; i += 8)
		sum = sum_word(sum, NULL, src + i);
	return sum;
}

static inline uint64_t copy_quad(uint64_t sum, uint8_t *dst, const uint8_t *src)
{
	for (uint32_t i = 0; i < QUAD_BYTES; i += 8)
		sum = sum_word(sum, dst + i, src + i);
	return sum;
}

#endif

/* Sums few bytes, in registers: headers end here, and must not wait for memory. */
static inline uint64_t sum_tail(uint8_t *dst, const uint8_t *src, size_t len)
{
	uint64_t sum = 0;
	uint32_t w;
	uint16_t h;

	for (; len >= QUAD_BYTES; len -= QUAD_BYTES, src += QUAD_BYTES) {
		sum = dst ? copy_quad(sum, dst, src) : sum_quad(sum, src);
		if (dst)
			dst += QUAD_BYTES;
	}
	/* three turns at most */
#pragma GCC unroll 1
	for (; len >= 8; len -= 8, src += 8) {
		sum = sum_word(sum, dst, src);
		if (dst)
			dst += 8;
	}
	sum = cksum_small(sum);
	if (len & 4) {
		memcpy(&w, src, 4);
		if (dst)
			memcpy(dst, &w, 4);
		sum += w;
	}
	if (len & 2) {
		memcpy(&h, src + (len & 4), 2);
		if (dst)
			memcpy(dst + (len & 4), &h, 2);
		sum += h;
	}
	if (len & 1) {
		uint8_t last = src[len - 1];

		if (dst)
			dst[len - 1] = last;
		sum += last;
	}
	return sum;
}

static inline uint64_t sum_blocks(uint8_t *dst, const uint8_t *src, size_t len)
{
	struct lanes l;

	if (len < BLOCKS_BYTES_MIN)
		return sum_tail(dst, src, len);
	lanes_init(&l);
	for (; len >= BLOCK_BYTES; len -= BLOCK_BYTES) {
		lanes_block(&l, dst, src);
		src += BLOCK_BYTES;
		if (dst)
			dst += BLOCK_BYTES;
	}
	return lanes_sum(&l) + sum_tail(dst, src, len);
}

uint64_t cksum_sum(const void *data, size_t len)
{
	return sum_blocks(NULL, data, len);
}

uint64_t cksum_copy(void *dst, const void *src, size_t len)
{
	return sum_blocks(dst, src, len);
}
