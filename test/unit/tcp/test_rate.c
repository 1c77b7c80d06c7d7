/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Delivery rate: the longer of two times, no sample below the minimum RTT, bubbles.
 */
#include "test/unit/tcp/cc_path.h"
#include "test/unit/tcp/facts.h"

static struct tcp_stack stack;
static struct tcp_env e = {.stack = &stack};
static struct tcp_ctx ctx;

static void begin(void)
{
	ctx = (struct tcp_ctx){
			.mss = 1000, .cwnd = 10000, .rtt_min_us = 10000, .flags2 = TCP_CTX2_PACED};
	ctx.first_us32 = 1000;
	ctx.delivered_us32 = 1000;
}

/* 1000 bytes that left at @us32, first_us32 being @first_us32. */
static struct tcp_sent sent(uint32_t us32, uint32_t first_us32)
{
	return (struct tcp_sent){.us32 = us32,
			.delivered = (uint32_t)ctx.tx_bytes,
			.delivered_us32 = ctx.delivered_us32,
			.first_us32 = first_us32};
}

static struct tcp_ack acked(const struct tcp_sent *r, uint32_t bytes, uint64_t now_us)
{
	struct tcp_ack a = {.delivered = bytes};

	e.now_us = now_us;
	tcp_rate_delivered(&ctx, r, &a);
	ctx.tx_bytes += bytes;
	tcp_rate_ack(&e, &ctx, &a);
	return a;
}

START_TEST(rate__ack_time_when_acks_are_slower)
{
	struct tcp_ack a;
	struct tcp_sent r;

	begin();
	r = sent(6000, 1000); /* sending took 5 ms */
	a = acked(&r, 3000, 21000);
	ck_assert_uint_eq(a.rate_bytes, 3000);
	ck_assert_uint_eq(a.rate_us, 20000);
}
END_TEST

START_TEST(rate__send_time_when_acks_are_compressed)
{
	struct tcp_ack a;
	struct tcp_sent r;

	begin();
	r = sent(41000, 1000); /* sending took 40 ms */
	ctx.delivered_us32 = 40000;
	r.delivered_us32 = 40000;
	a = acked(&r, 3000, 52000);
	ck_assert_uint_eq(a.rate_us, 40000);
}
END_TEST

START_TEST(rate__too_short_is_no_sample)
{
	struct tcp_ack a;
	struct tcp_sent r;

	begin();
	r = sent(1000, 1000);
	a = acked(&r, 1000, 10999);
	ck_assert_uint_eq(a.rate_us, 0);
}
END_TEST

START_TEST(rate__newest_record_decides)
{
	struct tcp_ack a = {.delivered = 2000};
	struct tcp_sent older, newer;

	begin();
	older = sent(2000, 1000);
	newer = sent(9000, 2000);
	newer.delivered = 500;
	tcp_rate_delivered(&ctx, &newer, &a);
	tcp_rate_delivered(&ctx, &older, &a);
	ck_assert_uint_eq(a.rate_prior, 500);
	ck_assert_uint_eq(ctx.first_us32, 9000);
}
END_TEST

START_TEST(rate__bubble_ends_when_it_is_delivered)
{
	struct tcp_sent r;

	begin();
	ctx.snd_nxt = 3000;
	ctx.snd_tail = 3000;
	tcp_rate_check_limit(&ctx);
	ck_assert(ctx.flags2 & TCP_CTX2_APP_LIMITED);
	ck_assert_uint_eq(ctx.app_limited, 3000);
	r = sent(2000, 1000);
	acked(&r, 3000, 30000);
	ck_assert(ctx.flags2 & TCP_CTX2_APP_LIMITED);
	acked(&r, 1000, 31000);
	ck_assert(!(ctx.flags2 & TCP_CTX2_APP_LIMITED));
}
END_TEST

START_TEST(rate__full_window_or_queue_is_no_bubble)
{
	begin();
	ctx.snd_nxt = 9500;
	ctx.snd_tail = 9500;
	tcp_rate_check_limit(&ctx);
	ck_assert(!(ctx.flags2 & TCP_CTX2_APP_LIMITED));
	ctx.snd_nxt = 3000; /* more waits to be sent */
	tcp_rate_check_limit(&ctx);
	ck_assert(!(ctx.flags2 & TCP_CTX2_APP_LIMITED));
	ctx.snd_tail = 3000; /* a loss waits */
	ctx.lost_bytes = 1000;
	tcp_rate_check_limit(&ctx);
	ck_assert(!(ctx.flags2 & TCP_CTX2_APP_LIMITED));
}
END_TEST

START_TEST(rate__a_better_one_of_the_user_or_any_of_the_path_is_kept)
{
	struct tcp_sent r;

	begin();
	r = sent(1000, 1000);
	acked(&r, 3000, 31000); /* 100 bytes/ms */
	ck_assert_uint_eq(ctx.rate_bytes, 3000);
	ck_assert_uint_eq(ctx.rate_us, 30000);
	ck_assert(!ctx.rate_app_limited);
	r = sent(31000, 31000);
	r.flags = TCP_SENT_APP_LIMITED;
	acked(&r, 1000, 51000); /* 50, because the user had no more */
	ck_assert_uint_eq(ctx.rate_bytes, 3000);
	r = sent(51000, 51000);
	r.flags = TCP_SENT_APP_LIMITED;
	acked(&r, 4000, 71000); /* 200, in spite of it */
	ck_assert_uint_eq(ctx.rate_bytes, 4000);
	ck_assert(ctx.rate_app_limited);
	r = sent(71000, 71000);
	acked(&r, 1000, 171000); /* 10 is what the path does now */
	ck_assert_uint_eq(ctx.rate_bytes, 1000);
	ck_assert_uint_eq(ctx.rate_us, 100000);
	ck_assert(!ctx.rate_app_limited);
}
END_TEST

FACTS("rate", rate__a_better_one_of_the_user_or_any_of_the_path_is_kept,
		rate__ack_time_when_acks_are_slower, rate__send_time_when_acks_are_compressed,
		rate__too_short_is_no_sample, rate__newest_record_decides,
		rate__bubble_ends_when_it_is_delivered, rate__full_window_or_queue_is_no_bubble)
