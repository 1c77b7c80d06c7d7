/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/net/cksum.h"

#include <string.h>

#include "test/unit/net/net_test.h"

static uint8_t src[70000], dst[70000];

static void fill(void)
{
	uint32_t i;

	for (i = 0; i < sizeof(src); i++)
		src[i] = (uint8_t)(nt_byte(i) | (i % 5 ? 0 : 0xff));
}

START_TEST(cksum_sum__every_length_and_start_equals_naive)
{
	uint32_t start, len;

	fill();
	for (start = 0; start < 9; start++)
		for (len = 0; len < 300; len++)
			ck_assert_uint_eq(cksum_fold(cksum_sum(src + start, len)),
					nt_sum(src + start, len, 0));
}
END_TEST

START_TEST(cksum_sum__largest_packet_of_ones)
{
	memset(src, 0xff, sizeof(src));
	ck_assert_uint_eq(cksum_fold(cksum_sum(src, 65535)), nt_sum(src, 65535, 0));
	ck_assert_uint_eq(cksum_fold(cksum_sum(src, 65534)), 0xffff);
}
END_TEST

START_TEST(cksum_copy__copies_exactly_and_sums)
{
	uint32_t start, len;

	fill();
	for (start = 0; start < 5; start++) {
		for (len = 0; len < 200; len++) {
			memset(dst, 0xa5, 256);
			ck_assert_uint_eq(cksum_fold(cksum_copy(dst + 8, src + start, len)),
					nt_sum(src + start, len, 0));
			ck_assert_mem_eq(dst + 8, src + start, len);
			ck_assert_uint_eq(dst[7], 0xa5);
			ck_assert_uint_eq(dst[8 + len], 0xa5);
		}
	}
}
END_TEST

START_TEST(cksum_add__odd_pieces_join)
{
	uint32_t a, b;

	fill();
	for (a = 0; a < 70; a++) {
		for (b = 0; b < 70; b++) {
			uint64_t sum = cksum_add(cksum_add(0, cksum_sum(src, a), 0),
					cksum_sum(src + a, b), a);

			sum = cksum_add(sum, cksum_sum(src + a + b, 33), a + b);
			ck_assert_uint_eq(cksum_fold(sum), nt_sum(src, a + b + 33, 0));
		}
	}
}
END_TEST

START_TEST(cksum_fold__never_overflows)
{
	ck_assert_uint_eq(cksum_fold(0), 0);
	ck_assert_uint_eq(cksum_fold(UINT64_MAX), 0xffff);
	ck_assert_uint_eq(cksum_fold(0x10000), 1);
	ck_assert_uint_eq(cksum_fold(0xffffffff00000001ull), 1);
}
END_TEST

START_TEST(cksum_pseudo__both_families)
{
	struct ip_addr a = nt_addr("10.1.2.3"), b = nt_addr("10.4.5.6");
	uint8_t v4[12] = {10, 1, 2, 3, 10, 4, 5, 6, 0, 6, 0x12, 0x34}, v6[40] = {0};

	ck_assert_uint_eq(cksum_fold(cksum_pseudo(&a, &b, 6, 0x1234)), nt_sum(v4, sizeof(v4), 0));
	a = nt_addr("fd00:1:2:3:4:5:6:7");
	b = nt_addr("2001:db8::9");
	memcpy(v6, a.b, 16);
	memcpy(v6 + 16, b.b, 16);
	v6[33] = 1; /* 0x11234 */
	v6[34] = 0x12;
	v6[35] = 0x34;
	v6[39] = 6;
	ck_assert_uint_eq(cksum_fold(cksum_pseudo(&a, &b, 6, 0x11234)), nt_sum(v6, sizeof(v6), 0));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net/cksum");
	TCase *tc = tcase_create("cksum");

	tcase_add_test(tc, cksum_sum__every_length_and_start_equals_naive);
	tcase_add_test(tc, cksum_sum__largest_packet_of_ones);
	tcase_add_test(tc, cksum_copy__copies_exactly_and_sums);
	tcase_add_test(tc, cksum_add__odd_pieces_join);
	tcase_add_test(tc, cksum_fold__never_overflows);
	tcase_add_test(tc, cksum_pseudo__both_families);
	suite_add_tcase(s, tc);
	return nt_run(s);
}
