/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames of a SYN flood. See the header.
 */
#include "test/lib/flood.h"

#include <string.h>

#include <arpa/inet.h>

#define SOURCE_NET 0xc6120000u /* 198.18.0.0/15 */
#define SOURCE_HOSTS 0x1ffffu
#define IP 14u
#define TCP 34u
#define SYN_HDR_BYTES 40u
#define ACK_HDR_BYTES 20u

/* splitmix64 */
static uint64_t next(struct flood *f)
{
	uint64_t z = (f->random += 0x9e3779b97f4a7c15ull);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static uint32_t sum(const uint8_t *p, uint32_t len, uint32_t acc)
{
	for (uint32_t i = 0; i + 1 < len; i += 2)
		acc += (uint32_t)p[i] << 8 | p[i + 1];
	return acc;
}

static void put_sum(uint8_t *at, uint32_t acc)
{
	while (acc >> 16)
		acc = (acc & 0xffffu) + (acc >> 16);
	at[0] = (uint8_t)(~acc >> 8);
	at[1] = (uint8_t)~acc;
}

/* Everything but the TCP flags and options, which are there. */
static void finish(struct flood *f, uint8_t *frame, uint32_t tcp_bytes)
{
	uint64_t a = next(f), b = next(f);
	uint32_t src_be = f->one_source_be ? f->one_source_be
					   : htonl(SOURCE_NET | ((uint32_t)a & SOURCE_HOSTS));
	uint16_t sport_be = htons((uint16_t)(1024 + (a >> 32) % 60000));
	uint16_t total_be = htons((uint16_t)(20 + tcp_bytes));

	memcpy(frame, f->dmac, 6);
	memcpy(frame + 6, f->smac, 6);
	memcpy(frame + 12, "\x08\x00", 2);
	memset(frame + IP, 0, 20);
	frame[IP] = 0x45;
	memcpy(frame + IP + 2, &total_be, 2);
	frame[IP + 8] = 64;
	frame[IP + 9] = 6;
	memcpy(frame + IP + 12, &src_be, 4);
	memcpy(frame + IP + 16, &f->dst_be, 4);
	put_sum(frame + IP + 10, sum(frame + IP, 20, 0));
	memcpy(frame + TCP, &sport_be, 2);
	memcpy(frame + TCP + 2, &f->port_be, 2);
	memcpy(frame + TCP + 4, &b, 8); /* numbers */
	frame[TCP + 12] = (uint8_t)(tcp_bytes / 4 << 4);
	frame[TCP + 14] = 0xfa; /* window */
	frame[TCP + 15] = 0xf0;
	memset(frame + TCP + 16, 0, 4);
	put_sum(frame + TCP + 16,
			sum(frame + TCP, tcp_bytes, sum(frame + IP + 12, 8, 6 + tcp_bytes)));
}

void flood_syn(struct flood *f, uint8_t *frame)
{
	static const uint8_t opt[20] = {
			2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7};

	frame[TCP + 13] = 0x02;
	memcpy(frame + TCP + 20, opt, sizeof(opt));
	finish(f, frame, SYN_HDR_BYTES);
}

uint32_t flood_ack(struct flood *f, uint8_t *frame)
{
	frame[TCP + 13] = 0x10;
	finish(f, frame, ACK_HDR_BYTES);
	return TCP + ACK_HDR_BYTES;
}

static bool is_source(const uint8_t *frame, uint32_t len, uint32_t at)
{
	uint32_t addr_be;

	if (len < TCP || frame[12] != 8 || frame[13] != 0)
		return false;
	memcpy(&addr_be, frame + at, 4);
	return (ntohl(addr_be) & ~SOURCE_HOSTS) == SOURCE_NET;
}

bool flood_is_syn(const uint8_t *frame, uint32_t len)
{
	return is_source(frame, len, IP + 12);
}

bool flood_is_answer(const uint8_t *frame, uint32_t len)
{
	return is_source(frame, len, IP + 16);
}
