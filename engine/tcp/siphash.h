/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SipHash-2-4: a keyed hash that an outsider cannot predict, for initial sequence numbers and
 * timestamp offsets. Reference: Aumasson, Bernstein, "SipHash: a fast short-input PRF" (2012).
 */
#ifndef ENGINE_TCP_SIPHASH_H
#define ENGINE_TCP_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/**
 * siphash24() - Hash @len bytes at @data under @key.
 *
 * Return: 64-bit hash; bytes are taken in little-endian order as in the paper's test vectors.
 */
uint64_t siphash24(const uint64_t key[2], const void *data, size_t len);

#endif
