/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Internet checksum, and the copy that computes it on the way.
 *
 * A sum is carried as an unfolded 64-bit number of 16-bit words in memory order (RFC 1071 2(B):
 * byte order does not matter). Pieces of odd length are joined by cksum_add().
 *
 * RFC 1071, RFC 1624.
 */
#ifndef ENGINE_NET_CKSUM_H
#define ENGINE_NET_CKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>

#include "engine/net/addr.h"

/* Sum of @len bytes at any address. Context: hot. */
uint64_t cksum_sum(const void *data, size_t len);
/*
 * Copy [@src, @src + @len) to @dst, no overlap, and sum what was copied: each byte of @src is read
 * once. Context: hot.
 */
uint64_t cksum_copy(void *dst, const void *src, size_t len);

/* Eight more bytes, with end-around carry. */
static inline uint64_t cksum_word(uint64_t sum, const void *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	sum += word;
	return sum + (sum < word);
}

/* A sum with end-around carry, made small enough to be added to others. */
static inline uint64_t cksum_small(uint64_t sum)
{
	return (sum & 0xffffffffu) + (sum >> 32);
}

/* Sum of an IPv4 header without options. */
static inline uint64_t cksum_ipv4(const void *ip)
{
	uint32_t last;

	memcpy(&last, (const uint8_t *)ip + 16, sizeof(last));
	return cksum_small(cksum_word(cksum_word(0, ip), (const uint8_t *)ip + 8)) + last;
}

/* 16 bits, not complemented. */
static inline uint16_t cksum_fold(uint64_t sum)
{
	uint32_t half;

	/* Added to itself turned around: the upper half is upper + lower + carry. */
	sum += sum << 32 | sum >> 32;
	half = (uint32_t)(sum >> 32);
	half += half << 16 | half >> 16;
	return (uint16_t)(half >> 16);
}

/* @sum covers @off bytes; append the sum @piece of bytes that begin there. */
static inline uint64_t cksum_add(uint64_t sum, uint64_t piece, size_t off)
{
	uint16_t p = cksum_fold(piece);

	return sum + ((off & 1) ? (uint16_t)((p << 8) | (p >> 8)) : p);
}

/*
 * Pseudo-header of an upper-layer packet of @len bytes (RFC 9293 3.1, RFC 8200 8.1); both addresses
 * of one family.
 */
static inline uint64_t cksum_pseudo(
		const struct ip_addr *src, const struct ip_addr *dst, uint8_t proto, uint32_t len)
{
	uint64_t sum = cksum_word(cksum_word(0, &src->q[0]), &src->q[1]);

	/* Not by asking for the family: ffff and zeros of the mapped form add nothing. */
	sum = cksum_word(cksum_word(sum, &dst->q[0]), &dst->q[1]);
	return cksum_small(sum) + htons(proto) + htonl(len);
}

/* The same where the family is known to be IPv4. */
static inline uint64_t cksum_pseudo_v4(
		const struct ip_addr *src, const struct ip_addr *dst, uint8_t proto, uint32_t len)
{
	return (uint64_t)src->w_be[3] + dst->w_be[3] + htons(proto) + htonl(len);
}

#endif
