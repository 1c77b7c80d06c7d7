/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "engine/tcp/tcp_int.h"
#include "test/unit/tcp/facts.h"

static struct tcp_ext ext;

static void set(const uint32_t (*r)[2], uint32_t n)
{
	memset(&ext, 0, sizeof(ext));
	for (uint32_t i = 0; i < n; i++)
		ck_assert(tcp_range_add(&ext, r[i][0], r[i][1]));
}

static void expect(const uint32_t (*r)[2], uint32_t n)
{
	ck_assert(tcp_range_is_sound(&ext));
	ck_assert_uint_eq(ext.n, n);
	for (uint32_t i = 0; i < n; i++) {
		ck_assert_uint_eq(ext.r[i].lo, r[i][0]);
		ck_assert_uint_eq(ext.r[i].hi, r[i][1]);
	}
}

START_TEST(tcp_range_add__keeps_order)
{
	set((const uint32_t[][2]){{50, 60}, {10, 20}, {30, 40}}, 3);
	expect((const uint32_t[][2]){{10, 20}, {30, 40}, {50, 60}}, 3);
}
END_TEST

START_TEST(tcp_range_add__adjacent_melt)
{
	set((const uint32_t[][2]){{10, 20}, {30, 40}, {20, 30}}, 3);
	expect((const uint32_t[][2]){{10, 40}}, 1);
}
END_TEST

START_TEST(tcp_range_add__swallows_several)
{
	set((const uint32_t[][2]){{10, 20}, {30, 40}, {50, 60}, {70, 80}, {15, 65}}, 5);
	expect((const uint32_t[][2]){{10, 65}, {70, 80}}, 2);
}
END_TEST

START_TEST(tcp_range_add__contained_changes_nothing)
{
	set((const uint32_t[][2]){{10, 100}, {20, 30}}, 2);
	expect((const uint32_t[][2]){{10, 100}}, 1);
}
END_TEST

START_TEST(tcp_range_add__across_zero)
{
	set((const uint32_t[][2]){{0xfffffff0u, 0xfffffff8u}, {8, 16}, {0xfffffff8u, 8}}, 3);
	expect((const uint32_t[][2]){{0xfffffff0u, 16}}, 1);
}
END_TEST

static void fill(void)
{
	memset(&ext, 0, sizeof(ext));
	for (uint32_t i = 0; i < TCP_RANGES_MAX; i++)
		ck_assert(tcp_range_add(&ext, 1000 + 20 * i, 1010 + 20 * i));
}

START_TEST(tcp_range_add__full_refuses_the_farthest)
{
	fill();
	ck_assert(!tcp_range_add(&ext, 100000, 100010));
	ck_assert_uint_eq(ext.n, TCP_RANGES_MAX);
}
END_TEST

START_TEST(tcp_range_add__full_drops_the_farthest_for_a_nearer)
{
	fill();
	ck_assert(tcp_range_add(&ext, 500, 510));
	ck_assert(tcp_range_is_sound(&ext));
	ck_assert_uint_eq(ext.n, TCP_RANGES_MAX);
	ck_assert_uint_eq(ext.r[0].lo, 500);
	ck_assert_uint_eq(ext.r[TCP_RANGES_MAX - 1].lo, 1000 + 20 * (TCP_RANGES_MAX - 2));
}
END_TEST

START_TEST(tcp_range_trim__cuts_through_a_range)
{
	set((const uint32_t[][2]){{10, 20}, {30, 40}, {50, 60}}, 3);
	tcp_range_trim(&ext, 35);
	expect((const uint32_t[][2]){{35, 40}, {50, 60}}, 2);
	tcp_range_trim(&ext, 40);
	expect((const uint32_t[][2]){{50, 60}}, 1);
}
END_TEST

START_TEST(tcp_range_bytes__counts_before_a_point)
{
	set((const uint32_t[][2]){{10, 20}, {30, 40}}, 2);
	ck_assert_uint_eq(tcp_range_bytes(&ext, 5), 0);
	ck_assert_uint_eq(tcp_range_bytes(&ext, 35), 15);
	ck_assert_uint_eq(tcp_range_bytes(&ext, 100), 20);
}
END_TEST

START_TEST(tcp_range_find__half_open)
{
	set((const uint32_t[][2]){{10, 20}}, 1);
	ck_assert_ptr_nonnull(tcp_range_find(&ext, 10));
	ck_assert_ptr_null(tcp_range_find(&ext, 20));
}
END_TEST

START_TEST(tcp_ext_get__exhausts_and_comes_back)
{
	static struct tcp_ext pool[4];
	static struct tcp_ctx ctx[2];
	static struct tcp_stack stack;
	struct tcp_conf conf;
	uint32_t a, b, c;

	tcp_conf_default(&conf);
	tcp_stack_init(&stack, &(struct tcp_mem){.ctx = ctx, .ctx_n = 2, .ext = pool, .ext_n = 4},
			&conf, 0);
	a = tcp_ext_get(&stack);
	b = tcp_ext_get(&stack);
	c = tcp_ext_get(&stack);
	ck_assert(a && b && c && a != b && b != c && a != c);
	ck_assert_uint_eq(tcp_ext_get(&stack), 0);
	ck_assert_uint_eq(stack.stats.ext_full, 1);
	tcp_ext_put(&stack, &b);
	ck_assert_uint_eq(b, 0);
	tcp_ext_put(&stack, &b);
	ck_assert_uint_ne(tcp_ext_get(&stack), 0);
}
END_TEST

FACTS("tcp range", tcp_range_add__keeps_order, tcp_range_add__adjacent_melt,
		tcp_range_add__swallows_several, tcp_range_add__contained_changes_nothing,
		tcp_range_add__across_zero, tcp_range_add__full_refuses_the_farthest,
		tcp_range_add__full_drops_the_farthest_for_a_nearer,
		tcp_range_trim__cuts_through_a_range, tcp_range_bytes__counts_before_a_point,
		tcp_range_find__half_open, tcp_ext_get__exhausts_and_comes_back)
