/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A SYN flood: frames with SYNs of sources that do not exist, 198.18.0.0/15 (RFC 2544) or 2001:2::/48 (RFC 5180), as an attacker would make them.
 *
 * Every frame is another source, port and number, from one seed; checksums are right, options are those of a usual client.
 */
#ifndef TEST_LIB_FLOOD_H
#define TEST_LIB_FLOOD_H

#include <stdbool.h>
#include <stdint.h>

#define FLOOD_FRAME_BYTES 74u /* Ethernet 14, IPv4 20, TCP 20 + 20 of options */
#define FLOOD_FRAME_MAX 94u   /* the same with IPv6 */

struct flood {
	uint64_t random; /* the seed, not 0 */
	uint8_t dmac[6], smac[6];
	uint32_t dst_be; /* IPv4 */
	bool is_v6;
	uint8_t dst6[16];
	uint16_t port_be;
	uint32_t one_source_be; /* not 0: all SYNs from there; IPv4 */
};

/* @frame: [FLOOD_FRAME_BYTES], IPv6 [FLOOD_FRAME_MAX]. Return: bytes. */
uint32_t flood_syn(struct flood *f, uint8_t *frame);
/* The same with an ACK of no connection instead of a SYN, without options. Return: bytes. */
uint32_t flood_ack(struct flood *f, uint8_t *frame);
/* Is this frame one of them? */
bool flood_is_syn(const uint8_t *frame, uint32_t len);
/* ... or an answer to one? */
bool flood_is_answer(const uint8_t *frame, uint32_t len);

#endif
