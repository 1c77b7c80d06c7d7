/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cache of path MTUs: small sets, looked through one by one.
 *
 * Limits: an IPv4 path below PMTU_V4_BYTES_MIN gets packets of that size, with DF: nothing passes. Linux sends fragments there.
 * A router that does not say the MTU (before RFC 1191) is answered by the least.
 *
 * RFC 1191, RFC 8201.
 */
#include "engine/net/pmtu.h"

#include <stddef.h>

#include <rte_jhash.h>
#include <rte_random.h>

void pmtu_init(struct pmtu *pmtu)
{
	pmtu->seed = (uint32_t)rte_rand();
}

static uint32_t set_of(const struct pmtu *pmtu, const struct ip_addr *dst)
{
	return rte_jhash_32b(dst->w_be, 4, pmtu->seed) & (PMTU_SETS - 1);
}

uint16_t pmtu_find(const struct pmtu *pmtu, const struct ip_addr *dst, uint64_t now_us)
{
	const struct pmtu_entry *set;

	if (pmtu->n == 0)
		return 0;
	set = pmtu->entry[set_of(pmtu, dst)];
	for (uint32_t i = 0; i < PMTU_WAYS; i++)
		if (set[i].bytes != 0 && ip_addr_equal(&set[i].dst, dst))
			return set[i].until_us > now_us ? set[i].bytes : 0;
	return 0;
}

void pmtu_set(struct pmtu *pmtu, const struct ip_addr *dst, uint16_t bytes, uint64_t now_us)
{
	struct pmtu_entry *set = pmtu->entry[set_of(pmtu, dst)], *slot = &set[0];

	for (uint32_t i = 0; i < PMTU_WAYS; i++) {
		struct pmtu_entry *e = &set[i];

		if (e->bytes != 0 && ip_addr_equal(&e->dst, dst)) {
			if (bytes <= e->bytes || e->until_us <= now_us) {
				e->bytes = bytes;
				e->until_us = now_us + PMTU_US;
			}
			return;
		}
		if (slot->bytes != 0 && (e->bytes == 0 || e->until_us < slot->until_us))
			slot = e;
	}
	pmtu->n += slot->bytes == 0;
	*slot = (struct pmtu_entry){.dst = *dst, .until_us = now_us + PMTU_US, .bytes = bytes};
}

uint32_t pmtu_expire(struct pmtu *pmtu, uint64_t now_us)
{
	struct pmtu_entry *e = &pmtu->entry[0][0];
	uint32_t n = 0;

	for (uint32_t i = 0; i < PMTU_SETS * PMTU_WAYS; i++) {
		if (e[i].bytes == 0 || e[i].until_us > now_us)
			continue;
		e[i].bytes = 0;
		n++;
	}
	pmtu->n -= n;
	return n;
}

uint16_t pmtu_clamp(const struct ip_addr *dst, uint16_t bytes)
{
	uint16_t least = ip_addr_is_v4(dst) ? PMTU_V4_BYTES_MIN : PMTU_V6_BYTES_MIN;

	return bytes < least ? least : bytes;
}
