/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What all congestion controls have in common: how far slow start goes for a sender that does not fill its window.
 */
#include "test/unit/tcp/facts.h"
#include "test/unit/tcp/fake_up.h"

#define MSS 1460u
#define SEG(i) (1 + (i)*MSS) /* sequence of segment i, relative to ISS */

static struct core *core;
static struct tcp_ctx *ctx;

static void open_new(void)
{
	core = fake_new(NULL);
	ctx = fake_accepted(core, NULL);
	ck_assert_uint_eq(ctx->cwnd, 10 * MSS);
}

static void ack(uint32_t n)
{
	core->now_us += 5000;
	fake_rx(core, ctx, TCP_ACK, 1, SEG(n), 0);
	fake_flush(core);
}

START_TEST(slow_start__exactly_full_window_doubles)
{
	open_new();
	fake_write(core, ctx, 10 * MSS);
	for (uint32_t n = 2; n <= 10; n += 2) {
		ack(n);
		ck_assert_uint_eq(ctx->cwnd, (10 + n) * MSS);
	}
	fake_free(core);
}
END_TEST

START_TEST(slow_start__grows_to_twice_what_was_in_flight)
{
	open_new();
	fake_write(core, ctx, 9 * MSS);
	for (uint32_t n = 2; n <= 8; n += 2) {
		ack(n);
		ck_assert_uint_eq(ctx->cwnd, (10 + n) * MSS);
	}
	ack(9);
	ck_assert_uint_eq(ctx->cwnd, 18 * MSS);
	fake_free(core);
}
END_TEST

START_TEST(slow_start__little_more_than_half_in_flight_grows_little)
{
	open_new();
	fake_write(core, ctx, 6 * MSS);
	for (uint32_t n = 2; n <= 6; n += 2) {
		ack(n);
		ck_assert_uint_eq(ctx->cwnd, 12 * MSS);
	}
	/* what was in flight is twice as much as that only once */
	fake_write(core, ctx, 6 * MSS);
	ack(12);
	ck_assert_uint_eq(ctx->cwnd, 12 * MSS);
	ck_assert_uint_eq(ctx->flags2 & TCP_CTX2_CWND_USED, 0);
	fake_free(core);
}
END_TEST

/* Each window is judged by itself: what was in flight in an earlier one allows nothing later. */
START_TEST(slow_start__use_is_forgotten_with_its_window)
{
	open_new();
	fake_write(core, ctx, 10 * MSS);
	ack(10);
	ck_assert_uint_eq(ctx->cwnd, 20 * MSS);
	ctx->cwnd = 12 * MSS; /* as after a pause */
	fake_write(core, ctx, 3 * MSS);
	ack(13);
	ck_assert_uint_eq(ctx->cwnd, 12 * MSS);
	fake_free(core);
}
END_TEST

START_TEST(avoidance__window_that_is_not_full_does_not_grow)
{
	open_new();
	ctx->ssthresh = 10 * MSS;
	fake_write(core, ctx, 9 * MSS);
	for (uint32_t i = 0; i < 100; i++) {
		ack(9 * (i + 1));
		fake_write(core, ctx, 9 * MSS);
	}
	ck_assert_uint_eq(ctx->cwnd, 10 * MSS);
	fake_free(core);
}
END_TEST

FACTS("tcp cc", slow_start__exactly_full_window_doubles,
		slow_start__grows_to_twice_what_was_in_flight,
		slow_start__little_more_than_half_in_flight_grows_little,
		slow_start__use_is_forgotten_with_its_window,
		avoidance__window_that_is_not_full_does_not_grow)
