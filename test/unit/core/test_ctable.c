/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "engine/core/ctable.h"
#include "test/unit/dti/dti_test.h"

static const uint64_t key[2] = {0x0123456789abcdefull, 0xfedcba9876543210ull};

static struct ip_tuple tuple_of(uint32_t i, bool is_v6)
{
	struct ip_tuple t = {.lport_be = 0x5000, .rport_be = (uint16_t)i};

	t.laddr = ip_addr_from_v4(0x0100000a);
	t.raddr = ip_addr_from_v4(0x0200000a + (i >> 16 << 24));
	if (is_v6) {
		t.laddr.b[0] = t.raddr.b[0] = 0xfd;
		t.raddr.b[15] = (uint8_t)(i >> 16);
	}
	return t;
}

START_TEST(ctable_find__both_families)
{
	struct ctable t;

	ck_assert_int_eq(ctable_init(&t, 4096, key, -1), 0);
	for (uint32_t i = 1; i < 2000; i++) {
		struct ip_tuple tuple = tuple_of(i, i & 1);

		ck_assert_int_eq(ctable_add(&t, &tuple, i), 0);
		ck_assert_int_eq(ctable_add(&t, &tuple, i + 1), -EEXIST);
	}
	for (uint32_t i = 1; i < 2000; i++) {
		struct ip_tuple tuple = tuple_of(i, i & 1);

		ck_assert_uint_eq(ctable_find(&t, &tuple), i);
		tuple = tuple_of(i, !(i & 1));
		ck_assert_uint_eq(ctable_find(&t, &tuple), 0);
	}
	ctable_fini(&t);
}
END_TEST

START_TEST(ctable_del__is_found_no_more)
{
	struct ip_tuple a = tuple_of(1, false), b = tuple_of(2, true);
	struct ctable t;

	ck_assert_int_eq(ctable_init(&t, 64, key, -1), 0);
	ck_assert_int_eq(ctable_add(&t, &a, 5), 0);
	ck_assert_int_eq(ctable_add(&t, &b, 6), 0);
	ctable_del(&t, &a);
	ctable_del(&t, &a);
	ck_assert_uint_eq(ctable_find(&t, &a), 0);
	ck_assert_uint_eq(ctable_find(&t, &b), 6);
	ctable_fini(&t);
}
END_TEST

START_TEST(ctable_add__holds_as_many_as_promised)
{
	struct ctable t;

	ck_assert_int_eq(ctable_init(&t, 8192, key, -1), 0);
	for (uint32_t i = 1; i < 8192; i++) {
		struct ip_tuple tuple = tuple_of(i, false);

		ck_assert_int_eq(ctable_add(&t, &tuple, i), 0);
	}
	ctable_fini(&t);
}
END_TEST

START_TEST(ctable_find_bulk__mixed_burst)
{
	struct ip_tuple tuple[CTABLE_BURST];
	const struct ip_tuple *at[CTABLE_BURST];
	uint32_t idx[CTABLE_BURST];
	struct ctable t;

	ck_assert_int_eq(ctable_init(&t, 256, key, -1), 0);
	for (uint32_t i = 0; i < CTABLE_BURST; i++) {
		tuple[i] = tuple_of(i, i % 3 == 0);
		at[i] = &tuple[i];
		if (i % 4 != 0)
			ck_assert_int_eq(ctable_add(&t, &tuple[i], i), 0);
	}
	ctable_find_bulk(&t, at, CTABLE_BURST, idx);
	for (uint32_t i = 0; i < CTABLE_BURST; i++)
		ck_assert_uint_eq(idx[i], i % 4 != 0 ? i : 0);
	ctable_fini(&t);
}
END_TEST

START_TEST(ctable_find_bulk__follows_what_changed_since)
{
	for (int is_v6 = 0; is_v6 < 2; is_v6++) {
		struct ip_tuple tuple = tuple_of(1, is_v6);
		const struct ip_tuple *at = &tuple;
		struct ctable t;
		uint32_t idx;

		ck_assert_int_eq(ctable_init(&t, 64, key, -1), 0);
		ck_assert_int_eq(ctable_add(&t, &tuple, 5), 0);
		for (int again = 0; again < 2; again++) {
			ctable_find_bulk(&t, &at, 1, &idx);
			ck_assert_uint_eq(idx, 5);
		}
		ctable_del(&t, &tuple);
		ctable_find_bulk(&t, &at, 1, &idx);
		ck_assert_uint_eq(idx, 0);
		ck_assert_int_eq(ctable_add(&t, &tuple, 6), 0);
		ctable_find_bulk(&t, &at, 1, &idx);
		ck_assert_uint_eq(idx, 6);
		ctable_fini(&t);
	}
}
END_TEST

/* Far more tuples than hints: they drive each other out, and are found all the same. */
START_TEST(ctable_find_bulk__hints_are_shared)
{
	struct ctable t;

	ck_assert_int_eq(ctable_init(&t, 1024, key, -1), 0);
	t.hint_mask = 3;
	for (uint32_t i = 1; i < 1024; i++) {
		struct ip_tuple tuple = tuple_of(i, i % 5 == 0);

		ck_assert_int_eq(ctable_add(&t, &tuple, i), 0);
	}
	for (uint32_t from = 1; from < 1024; from++) {
		struct ip_tuple tuple[CTABLE_BURST];
		const struct ip_tuple *at[CTABLE_BURST];
		uint32_t idx[CTABLE_BURST];
		uint32_t n = 1 + from % CTABLE_BURST;

		for (uint32_t i = 0; i < n; i++) {
			tuple[i] = tuple_of((from + i * 7) % 1024, (from + i * 7) % 1024 % 5 == 0);
			at[i] = &tuple[i];
		}
		ctable_find_bulk(&t, at, n, idx);
		for (uint32_t i = 0; i < n; i++)
			ck_assert_uint_eq(idx[i], (from + i * 7) % 1024);
	}
	ctable_fini(&t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ctable");
	TCase *tc = tcase_create("ctable");

	tcase_add_test(tc, ctable_find__both_families);
	tcase_add_test(tc, ctable_del__is_found_no_more);
	tcase_add_test(tc, ctable_add__holds_as_many_as_promised);
	tcase_add_test(tc, ctable_find_bulk__mixed_burst);
	tcase_add_test(tc, ctable_find_bulk__follows_what_changed_since);
	tcase_add_test(tc, ctable_find_bulk__hints_are_shared);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
