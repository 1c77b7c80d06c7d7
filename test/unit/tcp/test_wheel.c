/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/tcp/wheel.h"

#include <string.h>

#include "engine/tcp/ctx.h"
#include "test/unit/tcp/facts.h"

#define N 400u

static struct wheel wheel;
static struct tcp_ctx table[N + 1];

static void start(uint32_t now_ms)
{
	memset(table, 0, sizeof(table));
	for (uint32_t i = 1; i <= N; i++)
		table[i].idx = i;
	wheel_init(&wheel, now_ms);
}

static void add(uint32_t idx, uint32_t at_ms)
{
	table[idx].wheel_at_ms = at_ms;
	wheel_add(&wheel, table, &table[idx]);
}

static uint32_t take(uint32_t now_ms)
{
	uint32_t budget = 1000;

	return wheel_take(&wheel, table, now_ms, &budget);
}

START_TEST(wheel_take__not_before_its_time)
{
	start(100);
	add(1, 105);
	ck_assert_uint_eq(take(104), 0);
	ck_assert_uint_eq(take(105), 1);
	ck_assert_uint_eq(take(200), 0);
	ck_assert_uint_eq(wheel.n, 0);
}
END_TEST

START_TEST(wheel_take__in_order_of_time)
{
	start(0xffffff00u);
	add(1, 0xffffff00u + 70000);
	add(2, 0xffffff00u + 3);
	add(3, 0xffffff00u + 300);
	ck_assert_uint_eq(take(0xffffff00u + 100000), 2);
	ck_assert_uint_eq(take(0xffffff00u + 100000), 3);
	ck_assert_uint_eq(take(0xffffff00u + 100000), 1);
}
END_TEST

START_TEST(wheel_follow__empty_wheel_after_most_of_all_ticks)
{
	const uint32_t now_ms = 100 + 0x90000000u;

	start(100);
	ck_assert_uint_eq(take(100), 0);
	wheel_follow(&wheel, now_ms);
	add(1, now_ms + 5);
	ck_assert_uint_eq(take(now_ms + 4), 0);
	ck_assert_uint_eq(take(now_ms + 5), 1);
}
END_TEST

START_TEST(wheel_follow__not_past_an_entry)
{
	start(100);
	add(1, 105);
	wheel_follow(&wheel, 200);
	ck_assert_uint_eq(wheel.now_ms, 100);
	ck_assert_uint_eq(take(200), 1);
}
END_TEST

START_TEST(wheel_take__exact_at_every_level)
{
	static const uint32_t delays[] = {1, 63, 64, 65, 4095, 4096, 262143, 262144, 16777216,
			1073741824, 2000000000};

	for (unsigned int i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
		uint32_t now = 0xfff00fffu * (i + 1);

		start(now);
		add(1, now + delays[i]);
		ck_assert_uint_eq(take(now + delays[i] - 1), 0);
		ck_assert_uint_eq(take(now + delays[i]), 1);
	}
}
END_TEST

START_TEST(wheel_take__past_time_is_due_now)
{
	start(1000);
	add(1, 500);
	ck_assert_uint_eq(take(1000), 1);
}
END_TEST

START_TEST(wheel_take__budget_stops_and_resumes)
{
	uint32_t budget = 3, got = 0;

	start(0);
	for (uint32_t i = 1; i <= 10; i++)
		add(i, 100);
	while (wheel_take(&wheel, table, 200, &budget))
		got++;
	ck_assert_uint_eq(budget, 0);
	ck_assert_uint_eq(got, 0); /* three moved down a level */
	while (take(200))
		got++;
	ck_assert_uint_eq(got, 10);
}
END_TEST

START_TEST(wheel_del__middle_of_a_slot)
{
	start(0);
	add(1, 5);
	add(2, 5);
	add(3, 5);
	wheel_del(&wheel, table, &table[2]);
	wheel_del(&wheel, table, &table[2]);
	ck_assert_uint_eq(take(5), 3);
	ck_assert_uint_eq(take(5), 1);
	ck_assert_uint_eq(take(5), 0);
}
END_TEST

START_TEST(wheel_next_ms__lower_bound_that_converges)
{
	uint32_t delay;

	start(1000);
	ck_assert(!wheel_next_ms(&wheel, &delay));
	add(1, 1000 + 5000);
	for (int steps = 0; steps < 10; steps++) {
		ck_assert(wheel_next_ms(&wheel, &delay));
		ck_assert_uint_le(wheel.now_ms + delay, 6000);
		if (take(wheel.now_ms + delay))
			break;
	}
	ck_assert_uint_eq(wheel.now_ms, 6000);
	ck_assert_uint_eq(wheel.n, 0);
}
END_TEST

START_TEST(wheel_next_ms__zero_when_due)
{
	uint32_t delay = 9;

	start(1000);
	add(1, 1000);
	ck_assert(wheel_next_ms(&wheel, &delay));
	ck_assert_uint_eq(delay, 0);
}
END_TEST

/* Against the obvious implementation. */
START_TEST(wheel_take__random_entries_expire_exactly)
{
	uint32_t now = 0xfffffe00u, rng = 12345, left = N, idx;

	start(now);
	for (uint32_t i = 1; i <= N; i++) {
		rng = rng * 1664525 + 1013904223;
		add(i, now + 1 + (rng >> 8) % (i % 3 ? 300 : 300000));
	}
	while (left) {
		rng = rng * 1664525 + 1013904223;
		now += 1 + (rng >> 16) % 900;
		while ((idx = take(now)) != 0) {
			ck_assert_int_le((int32_t)(table[idx].wheel_at_ms - now), 0);
			left--;
		}
		for (uint32_t i = 1; i <= N; i++)
			ck_assert(table[i].wheel_slot == 0 ||
					(int32_t)(table[i].wheel_at_ms - now) > 0);
	}
}
END_TEST

FACTS("wheel", wheel_follow__empty_wheel_after_most_of_all_ticks, wheel_follow__not_past_an_entry,
		wheel_take__not_before_its_time, wheel_take__in_order_of_time,
		wheel_take__exact_at_every_level, wheel_take__past_time_is_due_now,
		wheel_take__budget_stops_and_resumes, wheel_del__middle_of_a_slot,
		wheel_next_ms__lower_bound_that_converges, wheel_next_ms__zero_when_due,
		wheel_take__random_entries_expire_exactly)
