/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What TCP_INFO tells of the path and of what holds output back, in situations whose answer is known.
 */
#include "test/unit/tcp/facts.h"
#include "test/unit/tcp/fake_up.h"

static struct core *core;
static struct tcp_ctx *ctx;

static void begin(void)
{
	core = fake_new(NULL);
	ctx = fake_connected(core, NULL);
}

static struct tcp_ctx_info look(void)
{
	struct tcp_ctx_info info;

	tcp_ctx_info(&core->stack, ctx, core->now_us, &info);
	return info;
}

static uint64_t rate_of(const struct tcp_ctx_info *info)
{
	return info->rate_us ? (uint64_t)info->rate_bytes * 1000000 / info->rate_us : 0;
}

static void pass(uint32_t ms)
{
	core->now_us += ms * 1000ull;
}

/* ---- delivery rate ---- */

START_TEST(tcp_ctx_info__rate_of_a_window_in_a_round_trip)
{
	struct tcp_ctx_info info;

	begin();
	info = look();
	ck_assert_uint_eq(rate_of(&info), 0);
	ck_assert(info.is_app_limited);
	fake_write(core, ctx, 100000);
	pass(100);
	fake_rx(core, ctx, TCP_ACK, 1, 14601, 0);
	info = look();
	ck_assert_uint_eq(rate_of(&info), 146000);
	ck_assert(!info.is_app_limited);
	/* twice as much in the next */
	fake_flush(core);
	pass(100);
	fake_rx(core, ctx, TCP_ACK, 1, 43801, 0);
	info = look();
	ck_assert_uint_eq(rate_of(&info), 292000);
	fake_free(core);
}
END_TEST

START_TEST(tcp_ctx_info__rate_counts_all_acks_of_a_flight)
{
	struct tcp_ctx_info info;

	begin();
	fake_write(core, ctx, 100000);
	pass(100);
	fake_rx(core, ctx, TCP_ACK, 1, 7301, 0);
	info = look();
	ck_assert_uint_eq(rate_of(&info), 73000);
	/* what leaves now has a log, and so has the rest of the first flight: sent as it was */
	fake_flush(core);
	fake_rx(core, ctx, TCP_ACK, 1, 14601, 0);
	info = look();
	ck_assert_uint_eq(info.rate_us, 100000);
	fake_free(core);
}
END_TEST

START_TEST(tcp_ctx_info__short_flights_are_a_segment_each_round_trip)
{
	struct tcp_ctx_info info;

	begin();
	for (uint32_t i = 0; i < 5; i++) {
		fake_write(core, ctx, 100);
		pass(50);
		fake_rx(core, ctx, TCP_ACK, 1, 101 + 100 * i, 0);
	}
	info = look();
	ck_assert_uint_eq(info.rate_bytes, ctx->mss);
	ck_assert_uint_eq(info.rate_us, ctx->srtt_us);
	ck_assert_uint_gt(info.rate_us, 0);
	ck_assert(info.is_app_limited);
	fake_free(core);
}
END_TEST

/* ---- the peer's window ---- */

START_TEST(tcp_ctx_info__a_closed_window_holds_back_until_it_opens)
{
	begin();
	fake_rx_wnd(core, ctx, TCP_ACK, 1, 1, 100, 0);
	fake_write(core, ctx, 1000);
	pass(50);
	ck_assert_uint_eq(look().rwnd_limited_ms, 50);
	ck_assert_uint_eq(look().busy_ms, 50);
	fake_rx_wnd(core, ctx, TCP_ACK, 101, 1, 0, 100);
	fake_flush(core);
	pass(30);
	ck_assert_uint_eq(look().rwnd_limited_ms, 50);
	ck_assert_uint_eq(look().busy_ms, 80);
	ck_assert_uint_eq(look().sndbuf_limited_ms, 0);
	fake_free(core);
}
END_TEST

START_TEST(tcp_ctx_info__a_small_window_holds_back_while_more_waits)
{
	core = fake_new(NULL);
	ctx = fake_connected(core, &(struct fake_peer){.mss = 1460, .sack = true});
	fake_rx_wnd(core, ctx, TCP_ACK, 1, 1, 100, 2920);
	fake_write(core, ctx, 10000);
	pass(20);
	ck_assert_uint_eq(look().unacked_bytes, 2920);
	ck_assert_uint_eq(look().rwnd_limited_ms, 20);
	/* the ACK moves the window on, and fills it again */
	fake_rx_wnd(core, ctx, TCP_ACK, 101, 2921, 0, 2920);
	fake_flush(core);
	pass(20);
	ck_assert_uint_eq(look().rwnd_limited_ms, 40);
	/* wide enough for all */
	fake_rx_wnd(core, ctx, TCP_ACK, 101, 5841, 0, 65535);
	fake_flush(core);
	pass(20);
	ck_assert_uint_eq(look().rwnd_limited_ms, 40);
	ck_assert_uint_eq(look().notsent_bytes, 0);
	fake_free(core);
}
END_TEST

START_TEST(tcp_ctx_info__cwnd_is_not_the_window)
{
	begin();
	fake_write(core, ctx, 100000);
	pass(20);
	ck_assert_uint_gt(look().notsent_bytes, 0);
	ck_assert_uint_eq(look().rwnd_limited_ms, 0);
	tcp_user_waits(ctx, true, core->now_us);
	pass(20);
	ck_assert_uint_eq(look().sndbuf_limited_ms, 0);
	fake_free(core);
}
END_TEST

/* When both are full it is cwnd (as Linux): a wider window would let nothing go. */
START_TEST(tcp_ctx_info__a_window_of_just_cwnd_does_not_hold_back)
{
	core = fake_new(NULL);
	ctx = fake_connected(core, &(struct fake_peer){.mss = 1460, .sack = true});
	fake_rx_wnd(core, ctx, TCP_ACK, 1, 1, 100, 14600);
	fake_write(core, ctx, 100000);
	pass(20);
	ck_assert_uint_eq(look().unacked_bytes, 14600);
	ck_assert_uint_eq(look().rwnd_limited_ms, 0);
	fake_free(core);
}
END_TEST

/* ---- the send buffer ---- */

START_TEST(tcp_ctx_info__a_full_buffer_holds_back_what_is_all_in_flight)
{
	begin();
	fake_write(core, ctx, 5000);
	tcp_user_waits(ctx, true, core->now_us);
	pass(30);
	tcp_user_waits(ctx, true, core->now_us); /* still */
	pass(10);
	ck_assert_uint_eq(look().sndbuf_limited_ms, 40);
	tcp_user_waits(ctx, false, core->now_us);
	pass(10);
	ck_assert_uint_eq(look().sndbuf_limited_ms, 40);
	ck_assert_uint_eq(look().rwnd_limited_ms, 0);
	fake_free(core);
}
END_TEST

/* ---- timeouts ---- */

START_TEST(tcp_ctx_info__a_series_of_timeouts_is_one_recovery)
{
	struct tcp_ctx_info info;
	uint64_t began_us;

	begin();
	fake_write(core, ctx, 1000);
	began_us = core->now_us;
	while (look().timeouts_n < 3)
		fake_run(core, 10);
	info = look();
	ck_assert_uint_eq(info.rto_recoveries_n, 1);
	ck_assert_uint_eq(info.rto_recovery_ms, 0); /* it runs */
	fake_rx(core, ctx, TCP_ACK, 1, 1001, 0);
	info = look();
	ck_assert_uint_gt(info.rto_recovery_ms, 100);
	ck_assert_uint_lt(info.rto_recovery_ms, (core->now_us - began_us) / 1000);
	fake_write(core, ctx, 1000);
	while (look().timeouts_n < 4)
		fake_run(core, 10);
	ck_assert_uint_eq(look().rto_recoveries_n, 2);
	fake_free(core);
}
END_TEST

/* Late, the ACK of what was sent first comes in the very millisecond of the timeout. */
START_TEST(tcp_ctx_info__a_series_of_timeouts_may_take_no_time)
{
	for (uint32_t parity = 0; parity < 2; parity++) {
		begin();
		pass(parity);
		fake_write(core, ctx, 1000);
		while (look().timeouts_n == 0)
			fake_run(core, 1);
		fake_rx(core, ctx, TCP_ACK, 1, 1001, 0);
		ck_assert_uint_eq(look().rto_recoveries_n, 1);
		ck_assert_uint_le(look().rto_recovery_ms, 1);
		fake_free(core);
	}
}
END_TEST

FACTS("tcp limit", tcp_ctx_info__rate_of_a_window_in_a_round_trip,
		tcp_ctx_info__rate_counts_all_acks_of_a_flight,
		tcp_ctx_info__short_flights_are_a_segment_each_round_trip,
		tcp_ctx_info__a_closed_window_holds_back_until_it_opens,
		tcp_ctx_info__a_small_window_holds_back_while_more_waits,
		tcp_ctx_info__cwnd_is_not_the_window,
		tcp_ctx_info__a_full_buffer_holds_back_what_is_all_in_flight,
		tcp_ctx_info__a_series_of_timeouts_is_one_recovery,
		tcp_ctx_info__a_series_of_timeouts_may_take_no_time,
		tcp_ctx_info__a_window_of_just_cwnd_does_not_hold_back)
