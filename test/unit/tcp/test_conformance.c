/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an RFC asks for and the tests of no file show: the rest of doc/tcp-conformance.md, by RFC.
 */
#include <string.h>

#include "test/unit/tcp/facts.h"
#include "test/unit/tcp/fake_up.h"

static struct core *core;
static struct tcp_ctx *ctx;

static void open_new(void)
{
	core = fake_new(NULL);
	ctx = fake_accepted(core, NULL);
}

/* With timestamps. */
static void open_ts(void)
{
	struct tcp_conf conf;

	tcp_conf_default(&conf);
	core = fake_new(&conf);
	ctx = fake_accepted(core, &(struct fake_peer){.timestamps = true, .mss = 1460});
}

static struct tcp_opts opts_of(const struct tcp_txseg *sent)
{
	struct tcp_seg seg = {.opt = sent->opt, .opt_len = sent->opt_len, .flags = sent->flags};
	struct tcp_opts opts;

	tcp_opt_parse(&seg, &opts);
	return opts;
}

/* Active open, whose SYN is answered after @ms. */
static void connected_after(uint32_t ms)
{
	core = fake_new(NULL);
	ctx = fake_ctx(core);
	tcp_connect(&core->stack, core, ctx, &core->tuple, NULL, core->now_us);
	fake_run(core, ms);
	fake_rx(core, ctx, TCP_SYN | TCP_ACK, 0, 1, 0);
	ck_assert_uint_eq(ctx->state, TCP_STATE_ESTABLISHED);
	fake_flush(core);
	fake_take(core);
}

/* Ten segments fill the window, which is then taken back. */
static void window_taken_back(void)
{
	open_new();
	core->stack.conf.tlp = false;
	fake_write(core, ctx, 20 * 1460);
	fake_rx_wnd(core, ctx, TCP_ACK, 1, 1, 0, 0);
	fake_flush(core);
	ck_assert_uint_eq(ctx->snd_wnd, 0);
	fake_take(core);
}

/* ---- RFC 9293 ---- */

START_TEST(rfc9293__window_is_an_unsigned_number)
{
	core = fake_new(NULL);
	ctx = fake_accepted(core, &(struct fake_peer){.mss = 1460});
	ctx->cwnd = 1u << 20;
	fake_write(core, ctx, 200000);
	fake_flush(core);
	ck_assert_uint_gt(ctx->snd_nxt - ctx->snd_una, 65535 - 1460);
	ck_assert_uint_le(ctx->snd_nxt - ctx->snd_una, 65535);
	fake_free(core);
}
END_TEST

START_TEST(rfc9293__ipv6_peer_without_mss_option_gets_1220)
{
	core = fake_new(NULL);
	core->tuple.laddr.b[0] = 0xfd;
	core->tuple.raddr.b[0] = 0xfd;
	ctx = fake_accepted(core, &(struct fake_peer){0});
	ck_assert_uint_eq(ctx->mss, 1220);
	fake_free(core);
}
END_TEST

START_TEST(rfc9293__rst_with_text_resets)
{
	open_new();
	fake_rx(core, ctx, TCP_RST | TCP_ACK, 1, 1, 20);
	ck_assert_uint_eq(core->closed_n, 1);
	ck_assert_int_eq(core->closed_why, ETA_STATUS_RESET);
	ck_assert_ptr_null(strstr(fake_take(core), "place"));
	fake_free(core);
}
END_TEST

/* What the user does not read fills the window. */
static void shut_our_window(void)
{
	open_new();
	core->rcv_space = 0;
	fake_rx(core, ctx, TCP_ACK, 1, 1, ctx->rcv_adv - ctx->rcv_nxt);
	fake_flush(core);
	ck_assert_uint_eq(ctx->rcv_adv, ctx->rcv_nxt);
	fake_take(core);
}

START_TEST(rfc9293__rst_into_a_shut_window_resets)
{
	shut_our_window();
	fake_rx(core, ctx, TCP_RST, ctx->rcv_nxt - ctx->irs, 1, 0);
	ck_assert_uint_eq(core->closed_n, 1);
	fake_free(core);
}
END_TEST

START_TEST(rfc9293__urgent_pointer_into_a_shut_window_is_told)
{
	uint32_t off;

	shut_our_window();
	off = ctx->rcv_nxt - ctx->irs;
	fake_rx_seg(core, ctx,
			(struct tcp_seg){.seq = ctx->rcv_nxt,
					.ack = ctx->snd_nxt,
					.flags = TCP_ACK | TCP_URG,
					.urg = 5,
					.len = 5,
					.wnd = 65535});
	ck_assert_ptr_nonnull(strstr(fake_take(core), "urgent "));
	ck_assert_uint_eq(ctx->rcv_nxt - ctx->irs, off);
	fake_free(core);
}
END_TEST

START_TEST(rfc9293__nothing_new_into_a_window_that_was_taken_back)
{
	window_taken_back();
	fake_run(core, 250);
	/* Old bytes may go again, even beyond the edge. */
	ck_assert_str_eq(fake_take(core), "rtx A 1+1460 1; ");
	fake_write(core, ctx, 1460);
	fake_run(core, 5000);
	ck_assert_uint_eq(ctx->snd_nxt - ctx->iss, 14601);
	fake_free(core);
}
END_TEST

START_TEST(rfc9293__a_window_that_was_taken_back_does_not_end_the_connection)
{
	window_taken_back();
	for (int i = 0; i < 100; i++) {
		fake_run(core, 60000);
		fake_rx_wnd(core, ctx, TCP_ACK, 1, 1, 0, 0);
	}
	ck_assert_uint_eq(ctx->state, TCP_STATE_ESTABLISHED);
	/* Its silence does. */
	fake_run(core, 400000);
	ck_assert_uint_eq(core->closed_n, 1);
	ck_assert_int_eq(core->closed_why, ETA_STATUS_TIMED_OUT);
	fake_free(core);
}
END_TEST

START_TEST(rfc9293__user_timeout_is_the_patience_with_a_window_that_was_taken_back)
{
	window_taken_back();
	tcp_param(&core->stack, core, ctx, &(struct tcp_param){.user_timeout_ms = 30000},
			core->now_us);
	for (int i = 0; i < 30; i++) {
		fake_run(core, 20000);
		fake_rx_wnd(core, ctx, TCP_ACK, 1, 1, 0, 0);
	}
	ck_assert_uint_eq(ctx->state, TCP_STATE_ESTABLISHED);
	fake_run(core, 200000);
	ck_assert_int_eq(core->closed_why, ETA_STATUS_TIMED_OUT);
	fake_free(core);
}
END_TEST

START_TEST(rfc9293__keepalive_begins_after_two_hours)
{
	open_new();
	tcp_param(&core->stack, core, ctx, &(struct tcp_param){.keepalive = true}, core->now_us);
	fake_run(core, 7200000 - 10);
	ck_assert_uint_eq(core->stack.stats.keepalive, 0);
	fake_run(core, 20);
	ck_assert_uint_eq(core->stack.stats.keepalive, 1);
	fake_free(core);
}
END_TEST

/* ---- RFC 5681 ---- */

START_TEST(rfc5681__two_lost_syns_begin_with_one_segment)
{
	connected_after(3500);
	ck_assert_uint_eq(ctx->retrans_n, 2);
	ck_assert_uint_eq(ctx->cwnd, ctx->mss);
	fake_free(core);
}
END_TEST

START_TEST(rfc5681__filling_a_hole_is_acknowledged_at_once)
{
	open_new();
	fake_rx(core, ctx, TCP_ACK, 11, 1, 10);
	fake_flush(core);
	fake_rx(core, ctx, TCP_ACK, 31, 1, 10);
	fake_flush(core);
	ctx->quick_n = 0;
	ctx->flags |= TCP_CTX_PINGPONG;
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK, 1, 1, 10);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "place 0+10; readable 20; A 1+0 21; ");
	fake_free(core);
}
END_TEST

/* ---- RFC 6298 ---- */

START_TEST(rfc6298__first_timeout_is_a_second)
{
	core = fake_new(NULL);
	ctx = fake_ctx(core);
	tcp_connect(&core->stack, core, ctx, &core->tuple, NULL, core->now_us);
	fake_run(core, 999);
	ck_assert_uint_eq(core->sent_n, 1);
	fake_run(core, 3);
	ck_assert_uint_eq(core->sent_n, 2);
	fake_free(core);
}
END_TEST

START_TEST(rfc6298__after_a_lost_syn_the_timeout_is_three_seconds)
{
	connected_after(1100);
	ck_assert_uint_eq(ctx->srtt_us, 0); /* Karn */
	ck_assert_uint_eq(ctx->rto_us, 3000000);
	fake_free(core);
}
END_TEST

/* ---- RFC 7323 ---- */

START_TEST(rfc7323__every_segment_has_timestamps_once_agreed)
{
	open_ts();
	fake_write(core, ctx, 100);
	ck_assert(opts_of(fake_last(core)).has & TCP_OPT_HAS_TS);
	fake_rx_ts(core, ctx, TCP_ACK, 11, 101, 10, 2, 0);
	fake_flush(core);
	ck_assert_uint_eq(fake_last(core)->len, 0);
	ck_assert(opts_of(fake_last(core)).has & TCP_OPT_HAS_TS);
	tcp_shut_wr(&core->stack, core, ctx, core->now_us);
	ck_assert(fake_last(core)->flags & TCP_FIN);
	ck_assert(opts_of(fake_last(core)).has & TCP_OPT_HAS_TS);
	tcp_abort(&core->stack, core, ctx, ETA_STATUS_RESET);
	ck_assert(fake_last(core)->flags & TCP_RST);
	ck_assert(opts_of(fake_last(core)).has & TCP_OPT_HAS_TS);
	fake_free(core);
}
END_TEST

START_TEST(rfc7323__an_old_timestamp_does_not_save_from_rst)
{
	open_ts();
	fake_rx_ts(core, ctx, TCP_ACK, 1, 1, 10, 1000, 0);
	fake_rx_ts(core, ctx, TCP_RST, 11, 1, 0, 5, 0);
	ck_assert_uint_eq(core->closed_n, 1);
	fake_free(core);
}
END_TEST

START_TEST(rfc7323__a_segment_without_timestamps_is_taken)
{
	open_ts();
	fake_rx(core, ctx, TCP_ACK, 1, 1, 10);
	ck_assert_uint_eq(ctx->rcv_nxt - ctx->irs, 11);
	fake_free(core);
}
END_TEST

FACTS("conformance", rfc9293__window_is_an_unsigned_number,
		rfc9293__ipv6_peer_without_mss_option_gets_1220, rfc9293__rst_with_text_resets,
		rfc9293__rst_into_a_shut_window_resets,
		rfc9293__urgent_pointer_into_a_shut_window_is_told,
		rfc9293__nothing_new_into_a_window_that_was_taken_back,
		rfc9293__a_window_that_was_taken_back_does_not_end_the_connection,
		rfc9293__user_timeout_is_the_patience_with_a_window_that_was_taken_back,
		rfc9293__keepalive_begins_after_two_hours,
		rfc5681__two_lost_syns_begin_with_one_segment,
		rfc5681__filling_a_hole_is_acknowledged_at_once, rfc6298__first_timeout_is_a_second,
		rfc6298__after_a_lost_syn_the_timeout_is_three_seconds,
		rfc7323__every_segment_has_timestamps_once_agreed,
		rfc7323__an_old_timestamp_does_not_save_from_rst,
		rfc7323__a_segment_without_timestamps_is_taken)
