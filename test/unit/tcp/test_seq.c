/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/tcp/seq.h"

#include "test/unit/tcp/facts.h"

START_TEST(seq_lt__across_zero)
{
	ck_assert(seq_lt(0xfffffff0u, 0x10u));
	ck_assert(!seq_lt(0x10u, 0xfffffff0u));
	ck_assert(!seq_lt(7, 7));
}
END_TEST

START_TEST(seq_le__equal_is_true)
{
	ck_assert(seq_le(7, 7));
	ck_assert(seq_ge(7, 7));
	ck_assert(!seq_gt(7, 7));
}
END_TEST

START_TEST(seq_max__across_zero)
{
	ck_assert_uint_eq(seq_max(0xfffffff0u, 0x10u), 0x10u);
	ck_assert_uint_eq(seq_min(0xfffffff0u, 0x10u), 0xfffffff0u);
}
END_TEST

START_TEST(seq_in__half_open)
{
	ck_assert(seq_in(0xffffffffu, 0xffffffffu, 1));
	ck_assert(seq_in(0, 0xffffffffu, 1));
	ck_assert(!seq_in(1, 0xffffffffu, 1));
	ck_assert(!seq_in(5, 5, 5));
}
END_TEST

FACTS("seq", seq_lt__across_zero, seq_le__equal_is_true, seq_max__across_zero, seq_in__half_open)
