/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/net/pmtu.h"

#include <string.h>

#include <rte_byteorder.h>

#include "test/unit/net/net_test.h"

static struct pmtu pmtu;
static struct ip_addr a, b;

static void setup(void)
{
	nt_eal();
	memset(&pmtu, 0, sizeof(pmtu));
	pmtu_init(&pmtu);
	a = nt_addr("10.0.0.1");
	b = nt_addr("fd00::1");
}

START_TEST(pmtu_find__what_was_set)
{
	ck_assert_uint_eq(pmtu_find(&pmtu, &a, 5), 0);
	pmtu_set(&pmtu, &a, 1400, 5);
	pmtu_set(&pmtu, &b, 1280, 5);
	ck_assert_uint_eq(pmtu_find(&pmtu, &a, 6), 1400);
	ck_assert_uint_eq(pmtu_find(&pmtu, &b, 6), 1280);
	ck_assert_uint_eq(pmtu.n, 2);
}
END_TEST

START_TEST(pmtu_set__only_lowers)
{
	pmtu_set(&pmtu, &a, 1400, 5);
	pmtu_set(&pmtu, &a, 1450, 6);
	ck_assert_uint_eq(pmtu_find(&pmtu, &a, 7), 1400);
	pmtu_set(&pmtu, &a, 1300, 8);
	ck_assert_uint_eq(pmtu_find(&pmtu, &a, 9), 1300);
	ck_assert_uint_eq(pmtu.n, 1);
}
END_TEST

START_TEST(pmtu_expire__after_ten_minutes)
{
	pmtu_set(&pmtu, &a, 1400, 5);
	pmtu_set(&pmtu, &b, 1300, 1000);
	pmtu_set(&pmtu, &a, 1400, 2000); /* renewed */
	ck_assert_uint_eq(pmtu_expire(&pmtu, 999 + PMTU_US), 0);
	ck_assert_uint_eq(pmtu_find(&pmtu, &b, 999 + PMTU_US), 1300);
	ck_assert_uint_eq(pmtu_find(&pmtu, &b, 1000 + PMTU_US), 0);
	ck_assert_uint_eq(pmtu_expire(&pmtu, 1000 + PMTU_US), 1);
	ck_assert_uint_eq(pmtu.n, 1);
	ck_assert_uint_eq(pmtu_find(&pmtu, &a, 1999 + PMTU_US), 1400);
	/* what is over may be larger the next time */
	pmtu_set(&pmtu, &a, 1450, 2000 + PMTU_US);
	ck_assert_uint_eq(pmtu_find(&pmtu, &a, 2001 + PMTU_US), 1450);
}
END_TEST

START_TEST(pmtu_set__a_full_set_loses_the_oldest)
{
	uint32_t n = PMTU_SETS * PMTU_WAYS * 8, found = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct ip_addr dst = ip_addr_from_v4(rte_cpu_to_be_32(0x0b000000 + i));

		pmtu_set(&pmtu, &dst, 1000, i);
		ck_assert_uint_eq(pmtu_find(&pmtu, &dst, i), 1000);
	}
	ck_assert_uint_eq(pmtu.n, PMTU_SETS * PMTU_WAYS);
	for (uint32_t i = 0; i < n / 2; i++) {
		struct ip_addr dst = ip_addr_from_v4(rte_cpu_to_be_32(0x0b000000 + i));

		found += pmtu_find(&pmtu, &dst, n) != 0;
	}
	ck_assert_uint_lt(found, PMTU_SETS * PMTU_WAYS / 8);
}
END_TEST

START_TEST(pmtu_clamp__least_of_the_family)
{
	ck_assert_uint_eq(pmtu_clamp(&a, 0), 552);
	ck_assert_uint_eq(pmtu_clamp(&a, 551), 552);
	ck_assert_uint_eq(pmtu_clamp(&a, 553), 553);
	ck_assert_uint_eq(pmtu_clamp(&b, 1279), 1280);
	ck_assert_uint_eq(pmtu_clamp(&b, 1281), 1281);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net/pmtu");
	TCase *tc = tcase_create("pmtu");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, pmtu_find__what_was_set);
	tcase_add_test(tc, pmtu_set__only_lowers);
	tcase_add_test(tc, pmtu_expire__after_ten_minutes);
	tcase_add_test(tc, pmtu_set__a_full_set_loses_the_oldest);
	tcase_add_test(tc, pmtu_clamp__least_of_the_family);
	suite_add_tcase(s, tc);
	return nt_run(s);
}
