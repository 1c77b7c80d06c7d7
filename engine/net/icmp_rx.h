/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ICMP errors about segments we sent.
 *
 * Anybody can send one, so it is only a hint: here the message is checked to be whole and to quote
 * the beginning of a TCP segment; TCP believes it only if the quoted sequence number is in flight
 * on that very tuple (RFC 5927 4.1). ICMP of every other kind is the kernel's.
 *
 * RFC 792, RFC 4443, RFC 1191, RFC 8201, RFC 5927.
 */
#ifndef ENGINE_NET_ICMP_RX_H
#define ENGINE_NET_ICMP_RX_H

#include <stdbool.h>
#include <stdint.h>

#include <eta/status.h>

#include "engine/net/addr.h"

enum icmp_kind {
	ICMP_FRAG_NEEDED,   /* v4 3/4, v6 2; mtu is set, 0 = an old router did not say */
	ICMP_UNREACH_SOFT,  /* network, host, no route (RFC 1122 4.2.3.9) */
	ICMP_UNREACH_HARD,  /* protocol, port, prohibited; soft once synchronised */
	ICMP_TIME_EXCEEDED, /* soft */
	ICMP_PARAM_PROBLEM, /* hard before synchronised */
};

struct icmp_err {
	struct ip_tuple tuple; /* of the quoted segment as we sent it: laddr is ours */
	uint32_t seq; /* of the quoted segment: must be in [snd_una, snd_nxt) to be believed */
	uint16_t mtu; /* ICMP_FRAG_NEEDED, else 0. Clamped to 65535 */
	uint8_t kind; /* enum icmp_kind */
	uint8_t type, code; /* as on the wire */
};

/**
 * icmp_rx_parse() - Read an ICMP error.
 * @icmp: [@len] the ICMP message, checksum not yet verified. @is_v4 chooses ICMP or ICMPv6.
 * @src:  source of the packet, @dst its destination (ICMPv6 checksum; the quoted source must equal
 *        @dst).
 *
 * Return: 1 @err is valid; 0 not an error about TCP (the kernel's); -1 malformed or bad checksum.
 * Context: core.
 */
int icmp_rx_parse(const uint8_t *icmp, uint32_t len, bool is_v4, const struct ip_addr *src,
		const struct ip_addr *dst, struct icmp_err *err);

/* What an application is told, as Linux (icmp_err_convert, icmpv6_err_convert). Context: cold. */
enum eta_status icmp_rx_status(const struct icmp_err *err);

#endif
