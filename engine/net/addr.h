/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Addresses and tuples, one form for both families.
 *
 * An address is 16 bytes in network order; IPv4 a.b.c.d is ::ffff:a.b.c.d (RFC 4291 2.5.5.2), so that everything above the IP
 * layer handles both families with one code path and asks ip_addr_is_v4() only where the wire differs.
 */
#ifndef ENGINE_NET_ADDR_H
#define ENGINE_NET_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct ip_addr {
	union {
		uint8_t b[16];
		uint32_t w_be[4];
		uint64_t q[2];
	};
};

/* One connection seen from this host. */
struct ip_tuple {
	struct ip_addr laddr;
	struct ip_addr raddr;
	uint16_t lport_be;
	uint16_t rport_be;
};

static inline bool ip_addr_is_v4(const struct ip_addr *a)
{
	return a->q[0] == 0 &&
	       a->w_be[2] == 0xffff0000u; /* 00 00 ff ff in memory, little-endian host */
}

static inline bool ip_addr_equal(const struct ip_addr *a, const struct ip_addr *b)
{
	return ((a->q[0] ^ b->q[0]) | (a->q[1] ^ b->q[1])) == 0;
}

static inline struct ip_addr ip_addr_from_v4(uint32_t v4_be)
{
	struct ip_addr a = {.w_be = {0, 0, 0xffff0000u, v4_be}};

	return a;
}

/* All zero bytes, or ::ffff:0.0.0.0. */
static inline bool ip_addr_is_any(const struct ip_addr *a)
{
	return a->q[0] == 0 && a->w_be[3] == 0 && (a->w_be[2] == 0 || a->w_be[2] == 0xffff0000u);
}

static inline bool ip_tuple_equal(const struct ip_tuple *a, const struct ip_tuple *b)
{
	return ip_addr_equal(&a->laddr, &b->laddr) && ip_addr_equal(&a->raddr, &b->raddr) &&
	       a->lport_be == b->lport_be && a->rport_be == b->rport_be;
}

#endif
