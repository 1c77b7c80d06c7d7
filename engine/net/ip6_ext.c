/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Walks over extension headers and options, bounded by their number and by the bytes there are.
 *
 * What is legal but wants an answer (an unknown option that asks for one) is left to the kernel, which answers as the rest of
 * the machine does. No source route reaches a connection: RFC 5095 for IPv6, and for IPv4 as Linux does by default
 * (accept_source_route = 0). It is the kernel's all the same: it may be a router, or refuse by an ICMP error. A routing header
 * with nothing left to route says only where a packet has been.
 *
 * Hop-by-hop options stand first or nowhere (RFC 8200 4.1). Limits: AH and ESP are the kernel's.
 */
#include "engine/net/ip6_ext.h"

#include <stdbool.h>

#include <netinet/in.h>

#include <eta/abi.h>

#define UNIT_BYTES 8u
#define OPT_PAD1 0u
#define OPT_ACTION(type) ((type) >> 6) /* of one who does not know it; 0 = skip */
#define FRAG_OFF_OR_MORE 0xfff9u
#define V4_OPT_END 0u
#define V4_OPT_NOP 1u
#define V4_OPT_LSRR 131u
#define V4_OPT_SSRR 137u

/* May each option of this hop-by-hop or destination options header be skipped (RFC 8200 4.2)? */
static bool options_are_skippable(const uint8_t *ext, uint32_t bytes)
{
	uint32_t i = 2;

	while (i < bytes) {
		if (ext[i] == OPT_PAD1) {
			i++;
			continue;
		}
		if (OPT_ACTION(ext[i]) != 0 || i + 2 > bytes)
			return false;
		i += 2u + ext[i + 1];
	}
	return i == bytes;
}

/* Judges one header of type @next, whole in [@bytes]. Return: IP6_EXT_UPPER = pass it. */
static enum ip6_ext_end judge(const uint8_t *ext, uint32_t bytes, uint8_t next, bool is_first)
{
	switch (next) {
	case IPPROTO_FRAGMENT:
		return (((uint32_t)ext[2] << 8 | ext[3]) & FRAG_OFF_OR_MORE) ? IP6_EXT_FRAGMENT
									     : IP6_EXT_UPPER;
	case IPPROTO_ROUTING: return ext[3] != 0 ? IP6_EXT_ROUTED : IP6_EXT_UPPER;
	case IPPROTO_HOPOPTS:
		if (!is_first)
			return IP6_EXT_UNKNOWN;
		break;
	}
	return options_are_skippable(ext, bytes) ? IP6_EXT_UPPER : IP6_EXT_UNKNOWN;
}

static bool is_walked(uint8_t next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS || next == IPPROTO_ROUTING ||
	       next == IPPROTO_FRAGMENT;
}

ETA_COLD struct ip6_ext ip6_ext_walk(const uint8_t *at, uint32_t left, uint8_t next)
{
	struct ip6_ext w = {.next = next, .end = IP6_EXT_UPPER};
	uint32_t n;

	for (n = 0; is_walked(w.next); n++) {
		const uint8_t *ext = at + w.bytes;
		uint32_t bytes = UNIT_BYTES;

		w.end = IP6_EXT_BAD;
		if (n == IP6_EXT_HDRS_MAX || left - w.bytes < UNIT_BYTES)
			return w;
		if (w.next != IPPROTO_FRAGMENT)
			bytes += ext[1] * UNIT_BYTES;
		if (bytes > left - w.bytes)
			return w;
		w.end = (uint8_t)judge(ext, bytes, w.next, n == 0);
		if (w.end != IP6_EXT_UPPER)
			return w;
		w.next = ext[0];
		w.bytes += bytes;
	}
	if (w.next == IPPROTO_NONE || w.next == IPPROTO_AH || w.next == IPPROTO_ESP)
		w.end = IP6_EXT_UNKNOWN;
	return w;
}

ETA_COLD enum ip4_opt_end ip4_opt_walk(const uint8_t *opt, uint32_t bytes)
{
	uint32_t i = 0;

	while (i < bytes && opt[i] != V4_OPT_END) {
		if (opt[i] == V4_OPT_NOP) {
			i++;
			continue;
		}
		if (i + 2 > bytes || opt[i + 1] < 2 || opt[i + 1] > bytes - i)
			return IP4_OPT_BAD;
		if (opt[i] == V4_OPT_LSRR || opt[i] == V4_OPT_SSRR)
			return IP4_OPT_ROUTED;
		i += opt[i + 1];
	}
	return IP4_OPT_SKIP;
}
