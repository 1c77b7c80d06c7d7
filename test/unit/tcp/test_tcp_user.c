/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "test/unit/tcp/facts.h"
#include "test/unit/tcp/fake_up.h"

static struct core *core;
static struct tcp_ctx *ctx;

static void open_new(void)
{
	core = fake_new(NULL);
	ctx = fake_connected(core, NULL);
}

static void close_it(void)
{
	tcp_close(&core->stack, core, ctx, core->now_us);
}

START_TEST(tcp_connect__iss_depends_on_tuple_and_time)
{
	struct core *other = fake_new(NULL);
	struct ip_tuple tuple;
	uint32_t iss, ts_off, ts_off2;
	struct tcp_env e = {.stack = &other->stack, .core = other, .now_us = 4000};

	tuple = other->tuple;
	iss = tcp_conn_iss(&e, &tuple, &ts_off);
	e.now_us = 8000;
	ck_assert_uint_eq(tcp_conn_iss(&e, &tuple, &ts_off2), iss + 1000); /* 4 us a number */
	ck_assert_uint_eq(ts_off, ts_off2);
	tuple.rport_be++;
	ck_assert_uint_ne(tcp_conn_iss(&e, &tuple, &ts_off2), iss + 1000);
	ck_assert_uint_ne(ts_off, ts_off2);
	other->stack.conf.isn_key[0]++;
	tuple.rport_be--;
	ck_assert_uint_ne(tcp_conn_iss(&e, &tuple, &ts_off2), iss + 1000);
	fake_free(other);
}
END_TEST

START_TEST(tcp_connect__offers_all_options)
{
	struct tcp_conf conf;
	struct tcp_opts opts;
	struct tcp_seg seg = {.flags = TCP_SYN};

	tcp_conf_default(&conf);
	core = fake_new(&conf);
	core->rcv_space = 100000;
	ctx = fake_ctx(core);
	tcp_connect(&core->stack, core, ctx, &core->tuple, NULL, core->now_us);
	seg.opt = fake_last(core)->opt;
	seg.opt_len = fake_last(core)->opt_len;
	tcp_opt_parse(&seg, &opts);
	ck_assert_uint_eq(opts.has, 15);
	ck_assert_uint_eq(fake_last(core)->wnd, 65535); /* not scaled in a SYN */
	fake_free(core);
}
END_TEST

/* The user's memory comes later; a window of zero would make the peer wait for it. */
START_TEST(tcp_connect__promises_ten_segments_before_there_is_memory)
{
	core = fake_new(NULL);
	core->rcv_space = 0;
	ctx = fake_ctx(core);
	tcp_connect(&core->stack, core, ctx, &core->tuple, NULL, core->now_us);
	ck_assert_uint_eq(fake_last(core)->wnd, 14600);
	fake_free(core);
}
END_TEST

START_TEST(tcp_connect__peer_without_options_gets_none)
{
	struct tcp_conf conf;

	tcp_conf_default(&conf);
	core = fake_new(&conf);
	ctx = fake_connected(core, &(struct fake_peer){0});
	ck_assert_uint_eq(ctx->flags & (TCP_CTX_TS | TCP_CTX_SACK | TCP_CTX_WSCALE), 0);
	ck_assert_uint_eq(ctx->rcv_wscale, 0);
	ck_assert_uint_eq(ctx->mss, 536);
	fake_write(core, ctx, 10);
	ck_assert_uint_eq(fake_last(core)->opt_len, 0);
	fake_free(core);
}
END_TEST

START_TEST(tcp_connect__timestamps_take_twelve_bytes_of_the_mss)
{
	struct tcp_conf conf;

	tcp_conf_default(&conf);
	core = fake_new(&conf);
	ctx = fake_connected(core, &(struct fake_peer){.timestamps = true, .mss = 1460});
	ck_assert_uint_eq(ctx->mss, 1448);
	fake_free(core);
}
END_TEST

START_TEST(tcp_connect__tiny_mss_of_the_peer_has_a_floor)
{
	core = fake_new(NULL);
	ctx = fake_connected(core, &(struct fake_peer){.mss = 1});
	ck_assert_uint_eq(ctx->mss, TCP_MSS_MIN);
	fake_free(core);
}
END_TEST

START_TEST(tcp_close__sends_fin)
{
	open_new();
	close_it();
	ck_assert_str_eq(fake_take(core), "FA 1+0 1; ");
	ck_assert_uint_eq(ctx->state, TCP_STATE_FIN_WAIT_1);
	close_it();
	ck_assert_str_eq(fake_take(core), "");
	fake_free(core);
}
END_TEST

START_TEST(tcp_close__unread_data_resets)
{
	open_new();
	fake_rx(core, ctx, TCP_ACK, 1, 1, 100);
	fake_take(core);
	close_it();
	ck_assert_str_eq(fake_take(core), "RA 1+0 101; closed OK; free; ");
	ck_assert_uint_eq(core->stack.stats.abort_on_close, 1);
	fake_free(core);
}
END_TEST

START_TEST(tcp_close__all_read_does_not_reset)
{
	open_new();
	fake_rx(core, ctx, TCP_ACK | TCP_FIN, 1, 1, 100);
	tcp_read(&core->stack, core, ctx, 100, core->now_us);
	fake_take(core);
	close_it();
	ck_assert_str_eq(fake_take(core), "FA 1+0 102; ");
	ck_assert_uint_eq(ctx->state, TCP_STATE_LAST_ACK);
	fake_free(core);
}
END_TEST

START_TEST(tcp_close__read_in_closing_counts)
{
	open_new();
	fake_rx(core, ctx, TCP_ACK, 1, 1, 100);
	tcp_shut_wr(&core->stack, core, ctx, core->now_us);
	fake_rx(core, ctx, TCP_ACK | TCP_FIN, 101, 1, 0);
	ck_assert_uint_eq(ctx->state, TCP_STATE_CLOSING);
	tcp_read(&core->stack, core, ctx, 100, core->now_us);
	fake_take(core);
	close_it();
	ck_assert_str_eq(fake_take(core), "");
	ck_assert_uint_eq(ctx->state, TCP_STATE_CLOSING);
	fake_free(core);
}
END_TEST

START_TEST(tcp_close__listener_just_ends)
{
	core = fake_new(NULL);
	ctx = fake_listener(core);
	close_it();
	ck_assert_str_eq(fake_take(core), "closed OK; free; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_write__after_fin_is_ignored)
{
	open_new();
	tcp_shut_wr(&core->stack, core, ctx, core->now_us);
	fake_take(core);
	fake_write(core, ctx, 100);
	ck_assert_str_eq(fake_take(core), "");
	ck_assert_uint_eq(ctx->snd_tail - ctx->iss, 1);
	fake_free(core);
}
END_TEST

START_TEST(tcp_abort__resets_and_tells_why)
{
	open_new();
	tcp_abort(&core->stack, core, ctx, ETA_STATUS_BAD_DESCRIPTOR);
	ck_assert_str_eq(fake_take(core), "RA 1+0 1; closed BAD_DESCRIPTOR; free; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_abort__time_wait_is_silent)
{
	open_new();
	tcp_shut_wr(&core->stack, core, ctx, core->now_us);
	fake_rx(core, ctx, TCP_ACK | TCP_FIN, 1, 2, 0);
	fake_take(core);
	tcp_abort(&core->stack, core, ctx, ETA_STATUS_ABORTED);
	ck_assert_str_eq(fake_take(core), "free; ");
	fake_free(core);
}
END_TEST

START_TEST(fin_wait_2__orphan_ends_after_its_time)
{
	open_new();
	close_it();
	fake_rx(core, ctx, TCP_ACK, 1, 2, 0);
	fake_take(core);
	fake_run(core, 59900);
	ck_assert_str_eq(fake_take(core), "");
	fake_run(core, 200);
	ck_assert_str_eq(fake_take(core), "closed OK; free; ");
	ck_assert_uint_eq(core->stack.stats.abort_on_linger, 1);
	fake_free(core);
}
END_TEST

START_TEST(fin_wait_2__half_closed_waits_for_ever)
{
	open_new();
	tcp_shut_wr(&core->stack, core, ctx, core->now_us);
	fake_rx(core, ctx, TCP_ACK, 1, 2, 0);
	fake_run(core, 3600000);
	ck_assert_uint_eq(ctx->state, TCP_STATE_FIN_WAIT_2);
	fake_free(core);
}
END_TEST

static void keepalive(void)
{
	open_new();
	tcp_param(&core->stack, core, ctx,
			&(struct tcp_param){.keepalive = true,
					.keep_idle_ms = 10000,
					.keep_intvl_ms = 1000,
					.keep_probes = 3},
			core->now_us);
	fake_take(core);
}

START_TEST(keepalive__probes_an_idle_connection)
{
	keepalive();
	fake_run(core, 9990);
	ck_assert_str_eq(fake_take(core), "");
	fake_run(core, 20);
	ck_assert_str_eq(fake_take(core), "A 0+0 1; ");
	fake_free(core);
}
END_TEST

START_TEST(keepalive__silence_resets)
{
	keepalive();
	fake_run(core, 13500);
	ck_assert_str_eq(fake_take(core),
			"A 0+0 1; A 0+0 1; A 0+0 1; RA 1+0 1; closed TIMED_OUT; free; ");
	fake_free(core);
}
END_TEST

START_TEST(keepalive__an_answer_starts_again)
{
	keepalive();
	fake_run(core, 12500);
	fake_rx(core, ctx, TCP_ACK, 1, 1, 0);
	fake_take(core);
	fake_run(core, 9000);
	ck_assert_str_eq(fake_take(core), "");
	fake_run(core, 1500);
	ck_assert_str_eq(fake_take(core), "A 0+0 1; ");
	ck_assert_uint_eq(ctx->probes_n, 1);
	fake_free(core);
}
END_TEST

START_TEST(keepalive__off_by_default)
{
	open_new();
	fake_run(core, 86400000);
	ck_assert_str_eq(fake_take(core), "");
	ck_assert_uint_eq(ctx->wheel_slot, 0); /* idle is free */
	fake_free(core);
}
END_TEST

START_TEST(tcp_next_deadline_us__is_the_delayed_ack)
{
	open_new();
	fake_run(core, 2000); /* the entry of the SYN's timer finds out that it is not needed */
	ctx->flags |= TCP_CTX_PINGPONG;
	ck_assert_uint_eq(tcp_next_deadline_us(&core->stack, core->now_us), UINT64_MAX);
	fake_rx(core, ctx, TCP_ACK, 1, 1, 10);
	ck_assert_uint_le(tcp_next_deadline_us(&core->stack, core->now_us), 40000);
	ck_assert_uint_gt(tcp_next_deadline_us(&core->stack, core->now_us), 0);
	fake_free(core);
}
END_TEST

START_TEST(tcp_ctx_info__counts_queues)
{
	struct tcp_ctx_info info;

	open_new();
	fake_rx(core, ctx, TCP_ACK, 1, 1, 100);
	fake_write(core, ctx, 20000);
	tcp_ctx_info(&core->stack, ctx, core->now_us, &info);
	ck_assert_uint_eq(info.rcv_queue_bytes, 100);
	ck_assert_uint_eq(info.snd_queue_bytes, 20000);
	ck_assert_uint_eq(info.unacked_bytes, 14600);
	ck_assert_uint_eq(info.notsent_bytes, 5400);
	ck_assert_uint_eq(info.state, TCP_STATE_ESTABLISHED);
	ck_assert_str_eq(info.cc, "cubic");
	fake_free(core);
}
END_TEST

START_TEST(tcp_ctx_info__counts_what_linux_counts)
{
	struct tcp_ctx_info info;

	open_new();
	fake_rx(core, ctx, TCP_ACK, 1, 1, 100);
	fake_rx(core, ctx, TCP_ACK, 101, 1, 0);
	fake_write(core, ctx, 20000);
	core->now_us += 7000;
	tcp_ctx_info(&core->stack, ctx, core->now_us, &info);
	ck_assert_uint_eq(info.data_segs_in, 1);
	ck_assert_uint_eq(info.data_segs_out, 10);
	ck_assert_uint_eq(info.sent_bytes, 14600);
	ck_assert_uint_eq(info.busy_ms, 7);
	ck_assert_uint_eq(info.data_sent_ms, 7);
	ck_assert_uint_eq(info.data_rcvd_ms, 7);
	ck_assert_uint_eq(info.rcvd_seqs, 100);
	fake_rx(core, ctx, TCP_ACK, 101, 14601, 0);
	fake_flush(core);
	fake_rx(core, ctx, TCP_ACK, 101, 20001, 0);
	core->now_us += 5000;
	tcp_ctx_info(&core->stack, ctx, core->now_us, &info);
	ck_assert_uint_eq(info.acked_seqs, 20001); /* our SYN */
	ck_assert_uint_eq(info.busy_ms, 7);        /* idle since */
	ck_assert_uint_eq(info.data_sent_ms, 5);
	ck_assert_uint_eq(info.ack_rcvd_ms, 5);
	fake_rx(core, ctx, TCP_ACK | TCP_FIN, 101, 20001, 0);
	tcp_ctx_info(&core->stack, ctx, core->now_us, &info);
	ck_assert_uint_eq(info.rcvd_seqs, 101);
	fake_free(core);
}
END_TEST

/* tcpi_reordering */
START_TEST(tcp_ctx_info__tells_how_far_a_segment_was_passed)
{
	struct tcp_ctx_info info;

	open_new();
	fake_write(core, ctx, 14600);
	tcp_ctx_info(&core->stack, ctx, core->now_us, &info);
	ck_assert_uint_eq(info.reorder_segs, 3);
	core->now_us += 10000;
	fake_rx_sack(core, ctx, 1, 1, (const uint32_t[][2]){{11681, 13141}}, 1);
	fake_rx_sack(core, ctx, 1, 1, (const uint32_t[][2]){{4381, 5841}, {11681, 13141}}, 2);
	tcp_ctx_info(&core->stack, ctx, core->now_us, &info);
	ck_assert_uint_eq(info.reorder_segs, 6);
	fake_rx(core, ctx, TCP_ACK, 1, 4381, 0);
	tcp_ctx_info(&core->stack, ctx, core->now_us, &info);
	ck_assert_uint_eq(info.reorder_segs, 9); /* from the first on */
	fake_free(core);
}
END_TEST

/* As Linux's lost_out: until it arrives. A probe is sent again, and nothing is lost. */
START_TEST(tcp_ctx_info__what_was_sent_again_is_lost_still)
{
	struct tcp_ctx_info info;

	open_new();
	fake_write(core, ctx, 14600);
	core->now_us += 10000;
	fake_rx_sack(core, ctx, 1, 1, (const uint32_t[][2]){{1461, 5841}}, 1);
	fake_flush(core);
	tcp_ctx_info(&core->stack, ctx, core->now_us, &info);
	ck_assert_uint_eq(info.loss_state, TCP_LOSS_RECOVERY);
	ck_assert_uint_eq(info.rtx_flight_bytes, 1460);
	ck_assert_uint_eq(info.lost_bytes, 1460);
	fake_rx(core, ctx, TCP_ACK, 1, 14601, 0);
	tcp_ctx_info(&core->stack, ctx, core->now_us, &info);
	ck_assert_uint_eq(info.lost_bytes, 0);
	fake_write(core, ctx, 1460);
	for (uint32_t i = 0; i < 400 && !(ctx->flags2 & TCP_CTX2_TLP); i++)
		fake_run(core, 1);
	tcp_ctx_info(&core->stack, ctx, core->now_us, &info);
	ck_assert_uint_eq(info.rtx_flight_bytes, 1460);
	ck_assert_uint_eq(info.lost_bytes, 0);
	fake_free(core);
}
END_TEST

/* TCP_SYNCNT, TCP_MAXSEG, TCP_NOTSENT_LOWAT */
START_TEST(tcp_param__maxseg_is_for_connections_to_come)
{
	uint16_t mss;

	open_new();
	mss = ctx->mss;
	tcp_param(&core->stack, core, ctx, &(struct tcp_param){.maxseg = 500}, core->now_us);
	ck_assert_uint_eq(ctx->mss, mss);
	fake_free(core);
}
END_TEST

START_TEST(tcp_notsent_is_low__half_of_the_mark)
{
	open_new();
	ck_assert(tcp_notsent_is_low(ctx));
	tcp_param(&core->stack, core, ctx, &(struct tcp_param){.notsent_lowat = 10800},
			core->now_us);
	fake_write(core, ctx, 14600 + 5400); /* ten segments leave */
	ck_assert(!tcp_notsent_is_low(ctx));
	tcp_param(&core->stack, core, ctx, &(struct tcp_param){.notsent_lowat = 10802},
			core->now_us);
	ck_assert(tcp_notsent_is_low(ctx));
	fake_free(core);
}
END_TEST

START_TEST(tcp_ctx_check__sees_a_broken_context)
{
	open_new();
	ctx->snd_nxt += 5;
	ck_assert_ptr_nonnull(tcp_ctx_check(&core->stack, ctx));
	ctx->snd_nxt -= 5;
	ck_assert_ptr_null(tcp_ctx_check(&core->stack, ctx));
	fake_free(core);
}
END_TEST

START_TEST(tcp_stats__names_as_linux)
{
	struct tcp_stats stats = {.active_opens = 7, .reqq_full = 9};
	unsigned int n = 0;

	while (tcp_stats_name(n))
		n++;
	ck_assert_uint_eq(n, sizeof(stats) / sizeof(uint64_t));
	ck_assert_str_eq(tcp_stats_name(0), "TcpActiveOpens");
	ck_assert_uint_eq(tcp_stats_value(&stats, 0), 7);
	ck_assert_uint_eq(tcp_stats_value(&stats, n - 1), 9);
	ck_assert_uint_eq(tcp_stats_value(&stats, n), 0);
}
END_TEST

/* ---- congestion control ---- */

START_TEST(cc__slow_start_doubles)
{
	open_new();
	fake_write(core, ctx, 100000);
	fake_rx(core, ctx, TCP_ACK, 1, 14601, 0);
	ck_assert_uint_eq(ctx->cwnd, 29200);
	fake_free(core);
}
END_TEST

START_TEST(cc__no_growth_when_the_user_is_the_limit)
{
	open_new();
	for (uint32_t i = 0; i < 20; i++) {
		fake_write(core, ctx, 1000);
		fake_rx(core, ctx, TCP_ACK, 1, 1 + 1000 * (i + 1), 0);
	}
	ck_assert_uint_eq(ctx->cwnd, 14600);
	fake_free(core);
}
END_TEST

START_TEST(cc_newreno__one_segment_per_window)
{
	struct tcp_ctx c = {.mss = 1000, .cwnd = 10000};

	tcp_cc_set(&c, TCP_CC_NEWRENO);
	for (int i = 0; i < 9; i++)
		tcp_cc_newreno.avoid(&c, 1000, 0);
	ck_assert_uint_eq(c.cwnd, 10000);
	tcp_cc_newreno.avoid(&c, 1000, 0);
	ck_assert_uint_eq(c.cwnd, 11000);
	ck_assert_uint_eq(tcp_cc_newreno.ssthresh(&c, 8000), 4000);
}
END_TEST

START_TEST(cc_cubic__returns_to_w_max_at_k)
{
	struct tcp_ctx c = {.mss = 1000, .cwnd = 1000000, .srtt_us = 100000};
	uint32_t t_ms = 5000;

	tcp_cc_set(&c, TCP_CC_CUBIC);
	c.cwnd = tcp_cc_cubic.ssthresh(&c, 0);
	ck_assert_uint_eq(c.cwnd, 700000);
	/* K = cbrt(300 / 0.4) = 9.09 s */
	for (; t_ms < 5000 + 9000; t_ms += 10)
		tcp_cc_cubic.avoid(&c, c.cwnd / 10, t_ms);
	ck_assert_uint_gt(c.cwnd, 950000);
	ck_assert_uint_le(c.cwnd, 1020000);
	for (; t_ms < 5000 + 18000; t_ms += 10)
		tcp_cc_cubic.avoid(&c, c.cwnd / 10, t_ms);
	ck_assert_uint_gt(c.cwnd, 1200000);
}
END_TEST

START_TEST(cc_cubic__fast_convergence)
{
	struct tcp_ctx c = {.mss = 1000, .cwnd = 1000000};
	uint32_t *w_max = (uint32_t *)c.cc_state;

	tcp_cc_set(&c, TCP_CC_CUBIC);
	tcp_cc_cubic.ssthresh(&c, 0);
	ck_assert_uint_eq(*w_max, 1000000);
	c.cwnd = 800000;
	tcp_cc_cubic.ssthresh(&c, 0);
	ck_assert_uint_eq(*w_max, 680000);
}
END_TEST

START_TEST(cc_cubic__is_friendly_to_reno_at_small_rtt)
{
	struct tcp_ctx c = {.mss = 1000, .cwnd = 20000, .srtt_us = 1000};
	uint32_t t_ms = 100;

	tcp_cc_set(&c, TCP_CC_CUBIC);
	c.cwnd = tcp_cc_cubic.ssthresh(&c, 0);
	for (int i = 0; i < 20; i++)
		tcp_cc_cubic.avoid(&c, c.cwnd, t_ms++);
	/* 0.53 segments per RTT up to the old 20, which takes 11.3 RTTs, then one per RTT. */
	ck_assert_uint_gt(c.cwnd, 27000);
	ck_assert_uint_lt(c.cwnd, 30000);
}
END_TEST

FACTS("tcp user", tcp_connect__iss_depends_on_tuple_and_time, tcp_connect__offers_all_options,
		tcp_connect__promises_ten_segments_before_there_is_memory,
		tcp_connect__peer_without_options_gets_none,
		tcp_connect__timestamps_take_twelve_bytes_of_the_mss,
		tcp_connect__tiny_mss_of_the_peer_has_a_floor, tcp_close__sends_fin,
		tcp_close__unread_data_resets, tcp_close__all_read_does_not_reset,
		tcp_close__read_in_closing_counts, tcp_close__listener_just_ends,
		tcp_write__after_fin_is_ignored, tcp_abort__resets_and_tells_why,
		tcp_abort__time_wait_is_silent, fin_wait_2__orphan_ends_after_its_time,
		fin_wait_2__half_closed_waits_for_ever, keepalive__probes_an_idle_connection,
		keepalive__silence_resets, keepalive__an_answer_starts_again,
		keepalive__off_by_default, tcp_next_deadline_us__is_the_delayed_ack,
		tcp_ctx_info__counts_queues, tcp_ctx_info__counts_what_linux_counts,
		tcp_ctx_info__tells_how_far_a_segment_was_passed,
		tcp_ctx_info__what_was_sent_again_is_lost_still,
		tcp_param__maxseg_is_for_connections_to_come, tcp_notsent_is_low__half_of_the_mark,
		tcp_ctx_check__sees_a_broken_context, tcp_stats__names_as_linux,
		cc__slow_start_doubles, cc__no_growth_when_the_user_is_the_limit,
		cc_newreno__one_segment_per_window, cc_cubic__returns_to_w_max_at_k,
		cc_cubic__fast_convergence, cc_cubic__is_friendly_to_reno_at_small_rtt)
