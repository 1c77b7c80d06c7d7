/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>

#include "engine/core/core.h"
#include "test/unit/dti/dti_test.h"

#define LO 40000u
#define HI 49999u

static struct pair *pair;

static uint16_t pick(int side, uint32_t raddr, uint16_t rport)
{
	struct ip_tuple t = {.laddr = ip_addr_from_v4(inet_addr("10.0.0.1")),
			.raddr = ip_addr_from_v4(htonl(raddr)),
			.rport_be = htons(rport)};

	ck_assert(ports_pick(pair->core[side], &t));
	return ntohs(t.lport_be);
}

START_TEST(ports_pick__stays_in_the_range)
{
	pair = pair_create(NULL);
	for (uint32_t i = 0; i < 2000; i++) {
		uint16_t port = pick(0, 0x0a000100u + i, 80);

		ck_assert_uint_ge(port, LO);
		ck_assert_uint_le(port, HI);
	}
	pair_destroy(pair);
}
END_TEST

/* RFC 6056 3.3.4: a port of one destination is used again as late as possible. */
START_TEST(ports_pick__one_destination_uses_the_whole_range_before_it_repeats)
{
	static bool used[HI - LO + 1];

	pair = pair_create(NULL);
	memset(used, 0, sizeof(used));
	for (uint32_t i = 0; i <= HI - LO; i++) {
		uint16_t port = pick(0, 0x0a000002u, 80);

		ck_assert(!used[port - LO]);
		used[port - LO] = true;
	}
	pair_destroy(pair);
}
END_TEST

/* Who sees our ports towards himself does not know those towards others. */
START_TEST(ports_pick__other_destinations_begin_elsewhere)
{
	uint32_t near = 0;
	uint16_t mine;

	pair = pair_create(NULL);
	mine = pick(0, 0x0a000002u, 80);
	for (uint32_t i = 0; i < 1000; i++) {
		uint16_t other = pick(0, 0x0a010000u + i, 80);

		near += (uint16_t)(other - mine + 100u) <= 200u;
	}
	ck_assert_uint_le(near, 60); /* 1000 of 201 in 10000: 20 expected */
	near = 0;
	for (uint16_t i = 1; i <= 1000; i++) {
		uint16_t other = pick(0, 0x0a000002u, (uint16_t)(80 + i));

		near += (uint16_t)(other - mine + 100u) <= 200u;
	}
	ck_assert_uint_le(near, 60);
	pair_destroy(pair);
}
END_TEST

START_TEST(ports_pick__depends_on_the_secret)
{
	uint32_t same = 0;

	pair = pair_create(NULL);
	for (uint32_t i = 0; i < 100; i++)
		same += pick(0, 0x0a010000u + i, 80) == pick(1, 0x0a010000u + i, 80);
	ck_assert_uint_le(same, 2);
	pair_destroy(pair);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ports");
	TCase *tc = tcase_create("ports");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, ports_pick__stays_in_the_range);
	tcase_add_test(tc, ports_pick__one_destination_uses_the_whole_range_before_it_repeats);
	tcase_add_test(tc, ports_pick__other_destinations_begin_elsewhere);
	tcase_add_test(tc, ports_pick__depends_on_the_secret);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
