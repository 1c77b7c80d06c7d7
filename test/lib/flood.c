/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames of a SYN flood. See the header.
 */
#include "test/lib/flood.h"

#include <string.h>

#include <arpa/inet.h>

#define SOURCE_NET 0xc6120000u /* 198.18.0.0/15 */
#define SOURCE_HOSTS 0x1ffffu
#define SOURCE_NET6 "\x20\x01\x00\x02\x00\x00" /* 2001:2::/48 */
#define SOURCE_NET6_BYTES 6u
#define IP 14u
#define IP4_HDR_BYTES 20u
#define IP6_HDR_BYTES 40u
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

static uint32_t tcp_at(const struct flood *f)
{
	return IP + (f->is_v6 ? IP6_HDR_BYTES : IP4_HDR_BYTES);
}

/* The IP header. @a: random. Return: sum of both addresses. */
static uint32_t put_ip4(const struct flood *f, uint8_t *ip, uint32_t tcp_bytes, uint64_t a)
{
	uint32_t src_be = f->one_source_be ? f->one_source_be
					   : htonl(SOURCE_NET | ((uint32_t)a & SOURCE_HOSTS));
	uint16_t total_be = htons((uint16_t)(IP4_HDR_BYTES + tcp_bytes));

	memset(ip, 0, IP4_HDR_BYTES);
	ip[0] = 0x45;
	memcpy(ip + 2, &total_be, 2);
	ip[8] = 64;
	ip[9] = 6;
	memcpy(ip + 12, &src_be, 4);
	memcpy(ip + 16, &f->dst_be, 4);
	put_sum(ip + 10, sum(ip, IP4_HDR_BYTES, 0));
	return sum(ip + 12, 8, 0);
}

static uint32_t put_ip6(const struct flood *f, uint8_t *ip, uint32_t tcp_bytes, uint64_t a)
{
	uint16_t len_be = htons((uint16_t)tcp_bytes);

	memset(ip, 0, IP6_HDR_BYTES);
	ip[0] = 0x60;
	memcpy(ip + 4, &len_be, 2);
	ip[6] = 6;
	ip[7] = 64;
	memcpy(ip + 8, SOURCE_NET6, SOURCE_NET6_BYTES);
	memset(ip + 14, 0, 10);
	memcpy(ip + 14, &a, 8); /* another subnet each */
	memcpy(ip + 24, f->dst6, 16);
	return sum(ip + 8, 32, 0);
}

/* Everything but the TCP flags and options, which are there. */
static uint32_t finish(struct flood *f, uint8_t *frame, uint32_t tcp_bytes)
{
	uint64_t a = next(f), b = next(f);
	uint16_t sport_be = htons((uint16_t)(1024 + (a >> 32) % 60000));
	uint8_t *tcp = frame + tcp_at(f);
	uint32_t addrs;

	memcpy(frame, f->dmac, 6);
	memcpy(frame + 6, f->smac, 6);
	memcpy(frame + 12, f->is_v6 ? "\x86\xdd" : "\x08\x00", 2);
	addrs = f->is_v6 ? put_ip6(f, frame + IP, tcp_bytes, a)
			 : put_ip4(f, frame + IP, tcp_bytes, a);
	memcpy(tcp, &sport_be, 2);
	memcpy(tcp + 2, &f->port_be, 2);
	memcpy(tcp + 4, &b, 8); /* numbers */
	tcp[12] = (uint8_t)(tcp_bytes / 4 << 4);
	tcp[14] = 0xfa; /* window */
	tcp[15] = 0xf0;
	memset(tcp + 16, 0, 4);
	put_sum(tcp + 16, sum(tcp, tcp_bytes, addrs + 6 + tcp_bytes));
	return tcp_at(f) + tcp_bytes;
}

uint32_t flood_syn(struct flood *f, uint8_t *frame)
{
	static const uint8_t opt[20] = {
			2, 4, 5, 180, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7};

	frame[tcp_at(f) + 13] = 0x02;
	memcpy(frame + tcp_at(f) + 20, opt, sizeof(opt));
	return finish(f, frame, SYN_HDR_BYTES);
}

uint32_t flood_ack(struct flood *f, uint8_t *frame)
{
	frame[tcp_at(f) + 13] = 0x10;
	return finish(f, frame, ACK_HDR_BYTES);
}

/* Is the source, or the destination, one of ours? */
static bool is_ours(const uint8_t *frame, uint32_t len, bool is_dst)
{
	uint32_t addr_be;

	if (len >= IP + IP6_HDR_BYTES && frame[12] == 0x86 && frame[13] == 0xdd)
		return memcmp(frame + IP + (is_dst ? 24 : 8), SOURCE_NET6, SOURCE_NET6_BYTES) == 0;
	if (len < IP + IP4_HDR_BYTES || frame[12] != 8 || frame[13] != 0)
		return false;
	memcpy(&addr_be, frame + IP + (is_dst ? 16 : 12), 4);
	return (ntohl(addr_be) & ~SOURCE_HOSTS) == SOURCE_NET;
}

bool flood_is_syn(const uint8_t *frame, uint32_t len)
{
	return is_ours(frame, len, false);
}

bool flood_is_answer(const uint8_t *frame, uint32_t len)
{
	return is_ours(frame, len, true);
}
