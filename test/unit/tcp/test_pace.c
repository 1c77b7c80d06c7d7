/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pacing: the mean rate, the burst, the wheel, who is paced.
 */
#include <string.h>

#include "test/unit/tcp/facts.h"
#include "test/unit/tcp/fake_up.h"

#define MSS 1460u

static struct core *core;
static struct tcp_ctx *ctx;

static void world(bool pacing)
{
	struct tcp_conf conf;

	tcp_conf_default(&conf);
	conf.timestamps = false;
	conf.pacing = pacing;
	conf.isn_key[0] = 1;
	core = fake_new(&conf);
	core->is_silent = true;
	core->burst_bytes = 65536;
	ctx = fake_accepted(core, NULL);
	ctx->snd_wnd = 8u << 20;
	ctx->cwnd = 4u << 20;
}

/* Send 2 MiB for @ms with nobody answering. Return: bytes sent. */
static uint32_t sent_in(uint32_t ms)
{
	fake_write(core, ctx, 2u << 20);
	ctx->rto_us = 100000000; /* silence is no loss here */
	tcp_timer_arm_rtx(&(struct tcp_env)TCP_ENV(&core->stack, core, core->now_us), ctx);
	fake_run(core, ms);
	return ctx->snd_nxt - ctx->snd_una;
}

START_TEST(pace__keeps_the_users_limit)
{
	uint32_t n;

	world(false);
	ctx->pacing_rate_max = 1000000;
	tcp_cc_change(&(struct tcp_env)TCP_ENV(&core->stack, core, core->now_us), ctx);
	ck_assert(ctx->flags2 & TCP_CTX2_PACED);
	n = sent_in(1000);
	ck_assert_uint_gt(n, 970000);
	ck_assert_uint_lt(n, 1000000 + 3 * MSS);
	fake_free(core);
}
END_TEST

START_TEST(pace__high_rate_in_steps_of_a_millisecond)
{
	uint32_t n;

	world(false);
	ctx->pacing_rate_max = 100000000;
	tcp_cc_change(&(struct tcp_env)TCP_ENV(&core->stack, core, core->now_us), ctx);
	n = sent_in(10);
	ck_assert_uint_gt(n, 950000);
	ck_assert_uint_lt(n, 1000000 + 200000); /* a burst and what the wheel may be late */
	fake_free(core);
}
END_TEST

START_TEST(pace__low_rate_two_segments_at_once)
{
	world(false);
	ctx->pacing_rate_max = 14600; /* ten segments a second */
	tcp_cc_change(&(struct tcp_env)TCP_ENV(&core->stack, core, core->now_us), ctx);
	fake_write(core, ctx, 100 * MSS);
	ck_assert_uint_eq(ctx->snd_nxt - ctx->snd_una, 2 * MSS);
	ck_assert_uint_ne(ctx->xmit_at_ms, 0);
	ctx->rto_us = 100000000;
	tcp_timer_arm_rtx(&(struct tcp_env)TCP_ENV(&core->stack, core, core->now_us), ctx);
	fake_run(core, 1000);
	ck_assert_uint_ge(ctx->snd_nxt - ctx->snd_una, 10 * MSS);
	ck_assert_uint_le(ctx->snd_nxt - ctx->snd_una, 12 * MSS);
	fake_free(core);
}
END_TEST

START_TEST(pace__initial_window_leaves_at_once)
{
	world(true);
	ctx->cwnd = 10 * MSS;
	fake_write(core, ctx, 20 * MSS);
	ck_assert_uint_eq(ctx->snd_nxt - ctx->snd_una, 10 * MSS);
	fake_free(core);
}
END_TEST

START_TEST(pace__rate_from_window_and_rtt)
{
	world(true);
	ctx->srtt_us = 100000;
	ctx->cwnd = 100000;
	ctx->ssthresh = 1000000;
	tcp_pace_update(ctx);
	ck_assert_uint_eq(ctx->pacing_rate, 2000000);
	ctx->ssthresh = 100000;
	tcp_pace_update(ctx);
	ck_assert_uint_eq(ctx->pacing_rate, 1200000);
	ctx->pacing_rate_max = 500000;
	tcp_pace_update(ctx);
	ck_assert_uint_eq(ctx->pacing_rate, 500000);
	fake_free(core);
}
END_TEST

START_TEST(pace__off_by_default)
{
	world(false);
	ck_assert(!(ctx->flags2 & TCP_CTX2_PACED));
	ck_assert_uint_eq(sent_in(0), 2u << 20);
	fake_free(core);
}
END_TEST

START_TEST(pace__bbr_is_paced_others_stop_being)
{
	world(false);
	tcp_param(&core->stack, core, ctx, &(struct tcp_param){.cc = TCP_CC_BBR}, core->now_us);
	ck_assert(ctx->flags2 & TCP_CTX2_PACED);
	ck_assert_uint_ne(ctx->pacing_rate, 0);
	tcp_param(&core->stack, core, ctx, &(struct tcp_param){.cc = TCP_CC_CUBIC}, core->now_us);
	ck_assert(!(ctx->flags2 & TCP_CTX2_PACED));
	fake_free(core);
}
END_TEST

START_TEST(pace__does_not_uncork)
{
	world(false);
	ctx->pacing_rate_max = 14600;
	tcp_cc_change(&(struct tcp_env)TCP_ENV(&core->stack, core, core->now_us), ctx);
	ctx->flags |= TCP_CTX_CORK;
	fake_write(core, ctx, 3 * MSS + 100);
	ctx->rto_us = 100000000;
	tcp_timer_arm_rtx(&(struct tcp_env)TCP_ENV(&core->stack, core, core->now_us), ctx);
	fake_run(core, 1000);
	ck_assert_uint_eq(ctx->snd_nxt - ctx->snd_una, 3 * MSS);
	fake_free(core);
}
END_TEST

START_TEST(idle__cwnd_is_kept_if_so_configured)
{
	world(false);
	core->stack.conf.slow_start_after_idle = false;
	core->now_us += 60000000;
	fake_write(core, ctx, 100);
	ck_assert_uint_eq(ctx->cwnd, 4u << 20);
	fake_free(core);
	world(false);
	core->now_us += 60000000;
	fake_write(core, ctx, 100);
	ck_assert_uint_eq(ctx->cwnd, 10 * MSS);
	fake_free(core);
}
END_TEST

/* On a long path a piece is a millisecond's worth, but never less than so many segments (tcp_min_tso_segs). */
START_TEST(piece__has_at_least_so_many_segments)
{
	for (uint8_t segs = 1; segs <= 10; segs += 3) {
		world(false);
		core->stack.conf.min_tso_segs = segs;
		ctx->rtt_min_us = ctx->srtt_us = 100000;
		ctx->cwnd = 40 * MSS;
		core->sent_n = 0;
		fake_write(core, ctx, 20 * MSS);
		ck_assert_uint_eq(core->sent[0].seg.len, segs * MSS);
		ck_assert_uint_eq(core->sent_n, (20 + segs - 1) / segs);
		fake_free(core);
	}
}
END_TEST

FACTS("pace", pace__keeps_the_users_limit, pace__high_rate_in_steps_of_a_millisecond,
		pace__low_rate_two_segments_at_once, pace__initial_window_leaves_at_once,
		pace__rate_from_window_and_rtt, pace__off_by_default,
		pace__bbr_is_paced_others_stop_being, pace__does_not_uncork,
		idle__cwnd_is_kept_if_so_configured, piece__has_at_least_so_many_segments)
