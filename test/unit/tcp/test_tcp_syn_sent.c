/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SYN-SENT, and the simultaneous open that leads out of it.
 */
#include "test/unit/tcp/facts.h"
#include "test/unit/tcp/fake_up.h"

static struct core *core;
static struct tcp_ctx *ctx;

static void connecting(void)
{
	core = fake_new(NULL);
	ctx = fake_ctx(core);
	tcp_connect(&core->stack, core, ctx, &core->tuple, NULL, core->now_us);
}

START_TEST(syn_sent__syn_ack_connects)
{
	connecting();
	ck_assert_str_eq(fake_take(core), "S 0+0 0; ");
	fake_rx_seg(core, ctx,
			(struct tcp_seg){.seq = FAKE_IRS,
					.ack = ctx->iss + 1,
					.flags = TCP_SYN | TCP_ACK});
	ck_assert_str_eq(fake_take(core), "connected; ");
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "A 1+0 1; ");
	ck_assert_uint_eq(ctx->state, TCP_STATE_ESTABLISHED);
	fake_free(core);
}
END_TEST

START_TEST(syn_sent__handshake_ack_rides_on_data)
{
	connecting();
	fake_rx_seg(core, ctx,
			(struct tcp_seg){.seq = FAKE_IRS,
					.ack = ctx->iss + 1,
					.flags = TCP_SYN | TCP_ACK,
					.wnd = 9000});
	fake_take(core);
	fake_write(core, ctx, 64);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "PA 1+64 1; ");
	fake_free(core);
}
END_TEST

START_TEST(syn_sent__data_written_before_leaves_with_the_ack)
{
	connecting();
	fake_write(core, ctx, 64);
	fake_take(core);
	fake_rx_seg(core, ctx,
			(struct tcp_seg){.seq = FAKE_IRS,
					.ack = ctx->iss + 1,
					.flags = TCP_SYN | TCP_ACK,
					.wnd = 9000});
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "connected; PA 1+64 1; ");
	fake_free(core);
}
END_TEST

START_TEST(syn_sent__syn_ack_with_data_and_fin)
{
	connecting();
	fake_take(core);
	fake_rx_seg(core, ctx,
			(struct tcp_seg){.seq = FAKE_IRS,
					.ack = ctx->iss + 1,
					.len = 50,
					.flags = TCP_SYN | TCP_ACK | TCP_FIN});
	ck_assert_str_eq(fake_take(core), "connected; place 0+50; readable 50; readable 50 fin; ");
	ck_assert_uint_eq(ctx->state, TCP_STATE_CLOSE_WAIT);
	fake_free(core);
}
END_TEST

START_TEST(syn_sent__wrong_ack_is_reset)
{
	connecting();
	fake_take(core);
	fake_rx_seg(core, ctx,
			(struct tcp_seg){
					.seq = 7, .ack = ctx->iss + 2, .flags = TCP_SYN | TCP_ACK});
	ck_assert_str_eq(fake_take(core), "R 2+0 0; ");
	ck_assert_uint_eq(ctx->state, TCP_STATE_SYN_SENT);
	fake_free(core);
}
END_TEST

START_TEST(syn_sent__rst_with_ack_refuses)
{
	connecting();
	fake_take(core);
	ck_assert_int_eq(fake_rx_seg(core, ctx,
					 (struct tcp_seg){.seq = 0,
							 .ack = ctx->iss + 1,
							 .flags = TCP_RST | TCP_ACK}),
			TCP_RX_FREED);
	ck_assert_str_eq(fake_take(core), "closed REFUSED; free; ");
	fake_free(core);
}
END_TEST

START_TEST(syn_sent__rst_without_ack_is_ignored)
{
	connecting();
	fake_take(core);
	fake_rx_seg(core, ctx, (struct tcp_seg){.flags = TCP_RST});
	ck_assert_str_eq(fake_take(core), "");
	ck_assert_uint_eq(ctx->state, TCP_STATE_SYN_SENT);
	fake_free(core);
}
END_TEST

START_TEST(syn_sent__simultaneous_open)
{
	connecting();
	fake_take(core);
	fake_rx_seg(core, ctx, (struct tcp_seg){.seq = FAKE_IRS, .flags = TCP_SYN, .wnd = 500});
	ck_assert_str_eq(fake_take(core), "SA 0+0 1; ");
	ck_assert_uint_eq(ctx->state, TCP_STATE_SYN_RECEIVED);
	fake_rx_seg(core, ctx,
			(struct tcp_seg){.seq = FAKE_IRS,
					.ack = ctx->iss + 1,
					.flags = TCP_SYN | TCP_ACK,
					.wnd = 500});
	ck_assert_str_eq(fake_take(core), "connected; ");
	ck_assert_uint_eq(ctx->state, TCP_STATE_ESTABLISHED);
	fake_free(core);
}
END_TEST

START_TEST(syn_sent__window_of_a_crossing_syn_ack_is_not_scaled)
{
	uint8_t opt[40];
	uint8_t opt_len =
			fake_syn_opts(&(struct fake_peer){.wscale = true, .mss = 1460}, 0, 0, opt);

	connecting();
	fake_rx_seg(core, ctx,
			(struct tcp_seg){.seq = FAKE_IRS,
					.flags = TCP_SYN,
					.wnd = 500,
					.opt = opt,
					.opt_len = opt_len});
	fake_rx_seg(core, ctx,
			(struct tcp_seg){.seq = FAKE_IRS,
					.ack = ctx->iss + 1,
					.flags = TCP_SYN | TCP_ACK,
					.wnd = 500,
					.opt = opt,
					.opt_len = opt_len});
	ck_assert_uint_eq(ctx->state, TCP_STATE_ESTABLISHED);
	ck_assert_uint_eq(ctx->snd_wscale, 7);
	ck_assert_uint_eq(ctx->snd_wnd, 500);
	fake_free(core);
}
END_TEST

START_TEST(syn_sent__retries_then_times_out)
{
	connecting();
	fake_take(core);
	fake_run(core, 1005);
	ck_assert_str_eq(fake_take(core), "S 0+0 0; ");
	fake_run(core, 62100);
	ck_assert_str_eq(fake_take(core), "S 0+0 0; S 0+0 0; S 0+0 0; S 0+0 0; S 0+0 0; ");
	fake_run(core, 65000);
	ck_assert_str_eq(fake_take(core), "closed TIMED_OUT; free; ");
	ck_assert_uint_eq(core->stack.stats.attempt_fails, 1);
	fake_free(core);
}
END_TEST

START_TEST(syn_sent__syncnt_limits_the_syns)
{
	core = fake_new(NULL);
	ctx = fake_ctx(core);
	tcp_connect(&core->stack, core, ctx, &core->tuple, &(struct tcp_param){.syn_retries = 1},
			core->now_us);
	fake_run(core, 10000);
	ck_assert_str_eq(fake_take(core), "S 0+0 0; S 0+0 0; closed TIMED_OUT; free; ");
	fake_free(core);
}
END_TEST

/* RFC 9293 figure 8, with text in both SYNs: it comes again after the handshake. */
START_TEST(syn_sent__simultaneous_open_with_data)
{
	connecting();
	fake_take(core);
	fake_rx_seg(core, ctx,
			(struct tcp_seg){.seq = FAKE_IRS, .flags = TCP_SYN, .wnd = 500, .len = 10});
	ck_assert_str_eq(fake_take(core), "SA 0+0 1; ");
	fake_rx_seg(core, ctx,
			(struct tcp_seg){.seq = FAKE_IRS,
					.ack = ctx->iss + 1,
					.flags = TCP_SYN | TCP_ACK,
					.wnd = 500,
					.len = 10});
	ck_assert_str_eq(fake_take(core), "connected; place 0+10; readable 10; ");
	fake_free(core);
}
END_TEST

START_TEST(syn_sent__simultaneous_open_completed_by_an_ack)
{
	connecting();
	fake_rx_seg(core, ctx, (struct tcp_seg){.seq = FAKE_IRS, .flags = TCP_SYN, .wnd = 500});
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK, 1, 1, 0);
	ck_assert_str_eq(fake_take(core), "connected; ");
	ck_assert_uint_eq(ctx->state, TCP_STATE_ESTABLISHED);
	fake_free(core);
}
END_TEST

START_TEST(syn_sent__rst_after_a_crossing_syn_refuses)
{
	connecting();
	fake_rx_seg(core, ctx, (struct tcp_seg){.seq = FAKE_IRS, .flags = TCP_SYN, .wnd = 500});
	fake_take(core);
	ck_assert_int_eq(fake_rx(core, ctx, TCP_RST, 1, 0, 0), TCP_RX_FREED);
	ck_assert_str_eq(fake_take(core), "closed REFUSED; free; ");
	fake_free(core);
}
END_TEST

START_TEST(syn_sent__close_after_a_crossing_syn_sends_fin_when_established)
{
	connecting();
	fake_rx_seg(core, ctx, (struct tcp_seg){.seq = FAKE_IRS, .flags = TCP_SYN, .wnd = 500});
	tcp_close(&core->stack, core, ctx, core->now_us);
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK, 1, 1, 0);
	ck_assert_uint_eq(ctx->state, TCP_STATE_FIN_WAIT_1);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "connected; FA 1+0 1; ");
	fake_free(core);
}
END_TEST

START_TEST(syn_sent__fin_alone_is_dropped)
{
	connecting();
	fake_take(core);
	fake_rx_seg(core, ctx, (struct tcp_seg){.seq = FAKE_IRS, .flags = TCP_FIN});
	ck_assert_str_eq(fake_take(core), "");
	ck_assert_uint_eq(ctx->state, TCP_STATE_SYN_SENT);
	fake_free(core);
}
END_TEST

START_TEST(syn_sent__port_full_tries_again_soon)
{
	core = fake_new(NULL);
	ctx = fake_ctx(core);
	core->send_max = -1;
	tcp_connect(&core->stack, core, ctx, &core->tuple, NULL, core->now_us);
	core->send_max = INT32_MAX;
	fake_take(core);
	fake_run(core, 3);
	ck_assert_str_eq(fake_take(core), "S 0+0 0; ");
	fake_free(core);
}
END_TEST

START_TEST(syn_sent__close_just_ends)
{
	connecting();
	fake_take(core);
	tcp_close(&core->stack, core, ctx, core->now_us);
	ck_assert_str_eq(fake_take(core), "closed OK; free; ");
	fake_free(core);
}
END_TEST

FACTS("tcp syn sent", syn_sent__syncnt_limits_the_syns, syn_sent__simultaneous_open_with_data,
		syn_sent__simultaneous_open_completed_by_an_ack,
		syn_sent__rst_after_a_crossing_syn_refuses,
		syn_sent__close_after_a_crossing_syn_sends_fin_when_established,
		syn_sent__fin_alone_is_dropped, syn_sent__syn_ack_connects,
		syn_sent__handshake_ack_rides_on_data,
		syn_sent__data_written_before_leaves_with_the_ack,
		syn_sent__syn_ack_with_data_and_fin, syn_sent__wrong_ack_is_reset,
		syn_sent__rst_with_ack_refuses, syn_sent__rst_without_ack_is_ignored,
		syn_sent__simultaneous_open, syn_sent__window_of_a_crossing_syn_ack_is_not_scaled,
		syn_sent__retries_then_times_out, syn_sent__port_full_tries_again_soon,
		syn_sent__close_just_ends)
