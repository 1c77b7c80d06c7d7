/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/tcp/siphash.h"

#include "test/unit/tcp/facts.h"

static uint64_t hash_of(size_t len)
{
	const uint64_t key[2] = {0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull};
	uint8_t data[64];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)i;
	return siphash24(key, data, len);
}

/* Vectors of the paper's reference implementation: key 00..0f, message 00, 01, ... */
START_TEST(siphash24__empty_message)
{
	ck_assert_uint_eq(hash_of(0), 0x726fdb47dd0e0e31ull);
}
END_TEST

START_TEST(siphash24__seven_bytes_only_a_tail)
{
	ck_assert_uint_eq(hash_of(7), 0xab0200f58b01d137ull);
}
END_TEST

START_TEST(siphash24__eight_bytes_one_word)
{
	ck_assert_uint_eq(hash_of(8), 0x93f5f5799a932462ull);
}
END_TEST

START_TEST(siphash24__fifteen_bytes_of_the_paper)
{
	ck_assert_uint_eq(hash_of(15), 0xa129ca6149be45e5ull);
}
END_TEST

FACTS("siphash", siphash24__empty_message, siphash24__seven_bytes_only_a_tail,
		siphash24__eight_bytes_one_word, siphash24__fifteen_bytes_of_the_paper)
