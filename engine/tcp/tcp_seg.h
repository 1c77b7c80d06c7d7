/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A TCP segment between IP and TCP, without mbuf: what arrived, and what shall leave. All numbers in host order.
 */
#ifndef ENGINE_TCP_TCP_SEG_H
#define ENGINE_TCP_TCP_SEG_H

#include <stdbool.h>
#include <stdint.h>

#define TCP_FIN 0x01u
#define TCP_SYN 0x02u
#define TCP_RST 0x04u
#define TCP_PSH 0x08u
#define TCP_ACK 0x10u
#define TCP_URG 0x20u
#define TCP_ECE 0x40u
#define TCP_CWR 0x80u

#define TCP_HDR_BYTES 20u
#define TCP_OPT_BYTES_MAX 40u

/* Received. Lengths were checked against the frame: opt[0..opt_len) and data[0..len) may be read. Checksum is good. */
struct tcp_seg {
	uint32_t seq;
	uint32_t ack;
	uint16_t wnd; /* unscaled, as on the wire */
	uint16_t urg;
	uint8_t flags;   /* TCP_* */
	uint8_t ecn;     /* IP ECN field, 3 = CE */
	uint8_t opt_len; /* 0 .. 40 */
	const uint8_t *opt;
	const uint8_t *data;
	uint32_t len;  /* payload bytes; a superframe may hold many segments' worth */
	uint16_t segs; /* wire segments it stands for, >= 1 */
};

/* To be sent. Payload is [off, off + len) of the send stream; the output asks the DTI for the bytes. */
struct tcp_txseg {
	uint32_t seq;
	uint32_t ack;
	uint16_t wnd; /* already scaled, as on the wire */
	uint16_t urg;
	uint8_t flags;
	uint8_t ecn;     /* IP ECN field to send with */
	uint8_t opt_len; /* multiple of 4 */
	uint8_t opt[TCP_OPT_BYTES_MAX];
	uint32_t off; /* stream offset of the first payload byte */
	uint32_t len; /* payload bytes, may exceed mss: the output cuts (TSO or software), options repeated */
	uint16_t mss; /* payload bytes of one wire segment */
	bool is_retransmit;
};

#endif
