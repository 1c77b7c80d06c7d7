/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When is enough waited? A window that stays shut, with the user there, gone, or out of patience.
 */
#include "test/unit/tcp/facts.h"
#include "test/unit/tcp/fake_up.h"

static struct core *core;
static struct tcp_ctx *ctx;

/* 5000 bytes wait for a window. */
static void shut_window(void)
{
	core = fake_new(NULL);
	ctx = fake_connected(core, NULL);
	fake_rx_wnd(core, ctx, TCP_ACK, 1, 1, 0, 0);
	fake_write(core, ctx, 5000);
	fake_take(core);
}

/* @ms pass; the peer answers every probe, and keeps its window shut. */
static void answered_for(uint32_t ms)
{
	for (uint32_t seen = core->sent_n; ms && core->freed_n == 0; ms -= 10) {
		fake_run(core, 10);
		if (core->sent_n != seen && core->freed_n == 0)
			fake_rx_wnd(core, ctx, TCP_ACK, 1, 1, 0, 0);
		seen = core->sent_n;
	}
}

START_TEST(persist__an_orphan_ends_when_probes_are_rare)
{
	shut_window();
	tcp_close(&core->stack, core, ctx, core->now_us);
	ctx->rto_us = 200000;
	/* 200 ms doubled until they reach the maximum: as long as Linux waits */
	answered_for(core->stack.conf.rto_us_max / 1000);
	ck_assert_uint_eq(core->freed_n, 0);
	answered_for(core->stack.conf.rto_us_max / 1000 * 3);
	ck_assert_uint_eq(core->freed_n, 1);
	ck_assert_uint_eq(core->stack.stats.abort_on_timeout, 1);
	fake_free(core);
}
END_TEST

START_TEST(persist__an_orphan_whose_window_opens_goes_on)
{
	shut_window();
	tcp_close(&core->stack, core, ctx, core->now_us);
	answered_for(core->stack.conf.rto_us_max / 1000);
	fake_take(core);
	fake_rx_wnd(core, ctx, TCP_ACK, 1, 1, 0, 100);
	fake_flush(core);
	fake_rx_wnd(core, ctx, TCP_ACK, 1, 5002, 0, 100);
	ck_assert_uint_eq(ctx->state, TCP_STATE_FIN_WAIT_2);
	fake_free(core);
}
END_TEST

START_TEST(persist__a_user_waits_as_long_as_the_peer_answers)
{
	shut_window();
	answered_for(core->stack.conf.rto_us_max / 1000 * 10);
	ck_assert_uint_eq(core->closed_n, 0);
	fake_free(core);
}
END_TEST

START_TEST(persist__user_timeout_counts_answered_probes)
{
	shut_window();
	tcp_param(&core->stack, core, ctx, &(struct tcp_param){.user_timeout_ms = 3000},
			core->now_us);
	answered_for(2500);
	ck_assert_uint_eq(core->closed_n, 0);
	answered_for(1000);
	ck_assert_uint_eq(core->closed_n, 1);
	ck_assert_int_eq(core->closed_why, ETA_STATUS_TIMED_OUT);
	fake_free(core);
}
END_TEST

START_TEST(persist__user_timeout_begins_anew_with_each_window)
{
	shut_window();
	tcp_param(&core->stack, core, ctx, &(struct tcp_param){.user_timeout_ms = 3000},
			core->now_us);
	for (uint32_t i = 1; i < 10; i++) {
		answered_for(2000);
		/* room for a little, then shut again */
		fake_rx_wnd(core, ctx, TCP_ACK, 1, ctx->snd_una - ctx->iss, 0, 1);
		fake_flush(core);
		fake_run(core, 250);
		fake_rx_wnd(core, ctx, TCP_ACK, 1, ctx->snd_nxt - ctx->iss, 0, 0);
	}
	ck_assert_uint_eq(core->closed_n, 0);
	fake_free(core);
}
END_TEST

FACTS("tcp timer", persist__an_orphan_ends_when_probes_are_rare,
		persist__an_orphan_whose_window_opens_goes_on,
		persist__a_user_waits_as_long_as_the_peer_answers,
		persist__user_timeout_counts_answered_probes,
		persist__user_timeout_begins_anew_with_each_window)
