/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What stands between the IP header and TCP: IPv6 extension headers, IPv4 options.
 *
 * Numbers in, numbers out: neither function keeps a pointer, so that the cursor of a caller may live in registers. Both are cold:
 * TCP comes without either, but for tests and attacks.
 *
 * RFC 8200 4, RFC 5095 (routing type 0), RFC 6946 (atomic fragments), RFC 7045, RFC 791 3.1, RFC 1122 3.2.1.8.
 */
#ifndef ENGINE_NET_IP6_EXT_H
#define ENGINE_NET_IP6_EXT_H

#include <stdint.h>

#define IP6_EXT_HDRS_MAX 8u /* looked at; KA's filter walks as many */

enum ip6_ext_end {
	IP6_EXT_UPPER,    /* next names the upper layer, which stands at bytes */
	IP6_EXT_FRAGMENT, /* at bytes stands the fragment header of a real fragment */
	IP6_EXT_UNKNOWN,  /* legal, but another's to judge: the kernel's */
	IP6_EXT_ROUTED,   /* a source route that does not end here */
	IP6_EXT_BAD,      /* cut short, or too many */
};

struct ip6_ext {
	uint32_t bytes; /* walked */
	uint8_t next;   /* type of what stands there */
	uint8_t end;    /* enum ip6_ext_end */
};

/**
 * ip6_ext_walk() - Pass the extension headers of a packet.
 * @at: [@left] what follows the IPv6 header, or a fragment header. @next: its type.
 *
 * An atomic fragment's header is passed, and so are routing headers that have nothing left to route.
 * Context: cold, core.
 */
struct ip6_ext ip6_ext_walk(const uint8_t *at, uint32_t left, uint8_t next);

enum ip4_opt_end {
	IP4_OPT_SKIP, /* harmless: look behind them */
	IP4_OPT_ROUTED,
	IP4_OPT_BAD,
};

/* The options of an IPv4 header, [@bytes]. Context: cold, core. */
enum ip4_opt_end ip4_opt_walk(const uint8_t *opt, uint32_t bytes);

#endif
