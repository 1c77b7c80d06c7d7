/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SipHash-2-4, from the paper's description: four words of state, two rounds per 8 bytes of
 * message, four to finish. Limits: little-endian host.
 */
#include "engine/tcp/siphash.h"

#include <string.h>

struct sip_state {
	uint64_t v[4];
};

static inline uint64_t sip_rotl(uint64_t x, unsigned int bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void sip_round(struct sip_state *s)
{
	s->v[0] += s->v[1];
	s->v[2] += s->v[3];
	s->v[1] = sip_rotl(s->v[1], 13) ^ s->v[0];
	s->v[3] = sip_rotl(s->v[3], 16) ^ s->v[2];
	s->v[0] = sip_rotl(s->v[0], 32);
	s->v[2] += s->v[1];
	s->v[0] += s->v[3];
	s->v[1] = sip_rotl(s->v[1], 17) ^ s->v[2];
	s->v[3] = sip_rotl(s->v[3], 21) ^ s->v[0];
	s->v[2] = sip_rotl(s->v[2], 32);
}

static inline void sip_word(struct sip_state *s, uint64_t m)
{
	s->v[3] ^= m;
	sip_round(s);
	sip_round(s);
	s->v[0] ^= m;
}

uint64_t siphash24(const uint64_t key[2], const void *data, size_t len)
{
	struct sip_state s = {{key[0] ^ 0x736f6d6570736575ull, key[1] ^ 0x646f72616e646f6dull,
			key[0] ^ 0x6c7967656e657261ull, key[1] ^ 0x7465646279746573ull}};
	const uint8_t *p = data;
	uint64_t last = (uint64_t)len << 56;
	size_t left = len;

	for (; left >= 8; left -= 8, p += 8) {
		uint64_t m;

		memcpy(&m, p, 8);
		sip_word(&s, m);
	}
	for (size_t i = 0; i < left; i++)
		last |= (uint64_t)p[i] << (8 * i);
	sip_word(&s, last);
	s.v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(&s);
	return s.v[0] ^ s.v[1] ^ s.v[2] ^ s.v[3];
}
