/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What routers have said about the MTU of paths: per destination, for ten minutes.
 *
 * One core's cache, of fixed size: sets of PMTU_WAYS entries by a hash of the address, in which the one nearest to its end gives
 * way. An entry only ever lowers what the route says, and vanishes by itself, so that a wider path is found again (RFC 1191 6.3, RFC 8201 5.3).
 * Whoever puts something in has validated the message (RFC 5927) and clamped the number.
 */
#ifndef ENGINE_NET_PMTU_H
#define ENGINE_NET_PMTU_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/net/addr.h"

#define PMTU_SETS 256u /* power of two */
#define PMTU_WAYS 4u
#define PMTU_US 600000000u /* as Linux (mtu_expires) */
#define PMTU_V4_BYTES_MIN \
	552u /* as Linux (min_pmtu): less is a lie, or a path that no longer exists */
#define PMTU_V6_BYTES_MIN 1280u /* RFC 8200 5 */

struct pmtu_entry {
	struct ip_addr dst;
	uint64_t until_us;
	uint16_t bytes; /* 0 = unused */
};

struct pmtu {
	uint32_t seed;
	uint32_t n;
	struct pmtu_entry entry[PMTU_SETS][PMTU_WAYS];
};

/* @pmtu is zeroed memory. Context: cold, KA. */
void pmtu_init(struct pmtu *pmtu);
/* Return: IP bytes of a packet to @dst at most, 0 = nothing known.   Context: cold, core. */
uint16_t pmtu_find(const struct pmtu *pmtu, const struct ip_addr *dst, uint64_t now_us);
/* A router said @bytes. A larger number than known is ignored, the same renews it. Context: cold, core. */
void pmtu_set(struct pmtu *pmtu, const struct ip_addr *dst, uint16_t bytes, uint64_t now_us);
/* Forget what is old. Return: how many.   Context: cold, core. */
uint32_t pmtu_expire(struct pmtu *pmtu, uint64_t now_us);

/* @bytes, but not below the least that the family of @dst allows. 0, from an old router, is that. */
uint16_t pmtu_clamp(const struct ip_addr *dst, uint16_t bytes);

#endif
