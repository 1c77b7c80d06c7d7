/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/unit/tcp/facts.h"
#include "test/unit/tcp/fake_up.h"

static struct core *core;
static struct tcp_ctx *ctx;

static void open_new(void)
{
	core = fake_new(NULL);
	ctx = fake_accepted(core, NULL);
}

static void param(struct tcp_param p)
{
	tcp_param(&core->stack, core, ctx, &p, core->now_us);
}

START_TEST(tcp_write__sends_at_once_with_push)
{
	open_new();
	fake_write(core, ctx, 100);
	ck_assert_str_eq(fake_take(core), "PA 1+100 1; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_write__backwards_or_too_far_is_ignored)
{
	open_new();
	fake_write(core, ctx, 100);
	fake_take(core);
	tcp_write(&core->stack, core, ctx, 50, core->now_us);
	tcp_write(&core->stack, core, ctx, 100 + (9u << 20), core->now_us);
	ck_assert_str_eq(fake_take(core), "");
	ck_assert_uint_eq(ctx->snd_tail - ctx->iss, 101);
	fake_free(core);
}
END_TEST

START_TEST(tcp_write__initial_window_is_ten_segments)
{
	open_new();
	fake_write(core, ctx, 100000);
	ck_assert_uint_eq(ctx->snd_nxt - ctx->snd_una, 14600);
	ck_assert_uint_eq(core->sent_n, 1 + 10);
	fake_free(core);
}
END_TEST

START_TEST(tcp_write__tso_sized_pieces)
{
	open_new();
	core->burst_bytes = 7000;
	fake_write(core, ctx, 14600);
	ck_assert_str_eq(fake_take(core), "PA 1+5840 1; PA 5841+5840 1; PA 11681+2920 1; ");
	ck_assert_uint_eq(fake_last(core)->mss, 1460);
	fake_free(core);
	open_new();
	core->burst_bytes = 65536;
	fake_write(core, ctx, 14600); /* two in flight, if cwnd is smaller */
	ck_assert_str_eq(fake_take(core), "PA 1+7300 1; PA 7301+7300 1; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_write__stops_at_the_peers_window)
{
	open_new();
	fake_rx_wnd(core, ctx, TCP_ACK, 1, 1, 10, 23); /* 2944 bytes */
	fake_take(core);
	fake_write(core, ctx, 10000);
	ck_assert_str_eq(fake_take(core), "A 1+1460 11; A 1461+1460 11; ");
	fake_free(core);
}
END_TEST

START_TEST(nagle__second_small_write_waits)
{
	open_new();
	fake_write(core, ctx, 100);
	fake_take(core);
	fake_write(core, ctx, 100);
	ck_assert_str_eq(fake_take(core), "");
	fake_rx(core, ctx, TCP_ACK, 1, 101, 0);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "acked 100; PA 101+100 1; ");
	fake_free(core);
}
END_TEST

START_TEST(nagle__short_tail_of_a_large_write_does_not_wait)
{
	open_new();
	fake_write(core, ctx, 2000);
	ck_assert_str_eq(fake_take(core), "A 1+1460 1; PA 1461+540 1; ");
	fake_free(core);
}
END_TEST

START_TEST(nagle__nodelay_sends_each)
{
	open_new();
	param((struct tcp_param){.nodelay = true});
	fake_write(core, ctx, 100);
	fake_write(core, ctx, 100);
	ck_assert_str_eq(fake_take(core), "PA 1+100 1; PA 101+100 1; ");
	fake_free(core);
}
END_TEST

START_TEST(nagle__setting_nodelay_pushes)
{
	open_new();
	fake_write(core, ctx, 100);
	fake_write(core, ctx, 100);
	fake_take(core);
	param((struct tcp_param){.nodelay = true});
	ck_assert_str_eq(fake_take(core), "PA 101+100 1; ");
	fake_free(core);
}
END_TEST

START_TEST(nagle__fin_pushes)
{
	open_new();
	fake_write(core, ctx, 100);
	fake_write(core, ctx, 100);
	fake_take(core);
	tcp_shut_wr(&core->stack, core, ctx, core->now_us);
	ck_assert_str_eq(fake_take(core), "FPA 101+100 1; ");
	fake_free(core);
}
END_TEST

START_TEST(cork__holds_until_a_segment_is_full)
{
	open_new();
	param((struct tcp_param){.cork = true, .nodelay = true});
	fake_write(core, ctx, 1000);
	ck_assert_str_eq(fake_take(core), "");
	fake_write(core, ctx, 1000);
	ck_assert_str_eq(fake_take(core), "A 1+1460 1; ");
	fake_free(core);
}
END_TEST

START_TEST(cork__clearing_it_pushes)
{
	open_new();
	param((struct tcp_param){.cork = true});
	fake_write(core, ctx, 1000);
	param((struct tcp_param){.cork = false});
	ck_assert_str_eq(fake_take(core), "PA 1+1000 1; ");
	fake_free(core);
}
END_TEST

START_TEST(cork__no_longer_than_200_ms)
{
	open_new();
	param((struct tcp_param){.cork = true});
	fake_write(core, ctx, 1000);
	fake_run(core, 190);
	ck_assert_str_eq(fake_take(core), "");
	fake_run(core, 20);
	ck_assert_str_eq(fake_take(core), "PA 1+1000 1; ");
	ck_assert(ctx->flags & TCP_CTX_CORK);
	fake_free(core);
}
END_TEST

static void write_more(uint32_t tail)
{
	tcp_write_more(&core->stack, core, ctx, tail, core->now_us);
}

START_TEST(more__holds_a_short_segment_for_the_next_write)
{
	open_new();
	param((struct tcp_param){.nodelay = true});
	write_more(100);
	ck_assert_str_eq(fake_take(core), "");
	fake_write(core, ctx, 100);
	ck_assert_str_eq(fake_take(core), "PA 1+200 1; ");
	fake_write(core, ctx, 100);
	ck_assert_str_eq(fake_take(core), "PA 201+100 1; ");
	write_more(300 + 1500);
	ck_assert_str_eq(fake_take(core), "A 301+1460 1; ");
	fake_free(core);
}
END_TEST

START_TEST(more__no_longer_than_200_ms)
{
	open_new();
	write_more(100);
	fake_run(core, 190);
	ck_assert_str_eq(fake_take(core), "");
	fake_run(core, 20);
	ck_assert_str_eq(fake_take(core), "PA 1+100 1; ");
	fake_free(core);
}
END_TEST

/* In Linux MSG_MORE holds back within the call; any later occasion to send is taken. The user has pushed nothing. */
START_TEST(more__an_ack_ends_the_wait)
{
	open_new();
	param((struct tcp_param){.nodelay = true});
	fake_write(core, ctx, 1000);
	fake_write(core, ctx, 1000);
	fake_take(core);
	write_more(2100);
	ck_assert_str_eq(fake_take(core), "");
	fake_rx(core, ctx, TCP_ACK, 1, 1001, 0);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "acked 1000; A 2001+100 1; ");
	write_more(2200);
	ck_assert_str_eq(fake_take(core), "");
	fake_free(core);
}
END_TEST

/* Somebody else may want to hear of the ACK, too. */
START_TEST(more__an_ack_that_others_hear_ends_the_wait)
{
	open_new();
	param((struct tcp_param){.nodelay = true});
	fake_write(core, ctx, 8 * 1460);
	ck_assert(ctx->flags2 & TCP_CTX2_CWND_USED);
	fake_take(core);
	write_more(8 * 1460 + 100);
	ck_assert_str_eq(fake_take(core), "");
	fake_rx(core, ctx, TCP_ACK, 1, 1461, 0);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "acked 1460; A 11681+100 1; ");
	fake_free(core);
}
END_TEST

START_TEST(more__setting_nodelay_pushes_once)
{
	open_new();
	write_more(100);
	param((struct tcp_param){.nodelay = true});
	ck_assert_str_eq(fake_take(core), "A 1+100 1; ");
	write_more(200);
	ck_assert_str_eq(fake_take(core), "");
	fake_free(core);
}
END_TEST

START_TEST(cork__setting_nodelay_pushes_once)
{
	open_new();
	param((struct tcp_param){.cork = true});
	fake_write(core, ctx, 100);
	param((struct tcp_param){.cork = true, .nodelay = true});
	ck_assert_str_eq(fake_take(core), "PA 1+100 1; ");
	fake_write(core, ctx, 100);
	ck_assert_str_eq(fake_take(core), "");
	ck_assert(ctx->flags & TCP_CTX_CORK);
	fake_free(core);
}
END_TEST

START_TEST(cork__setting_it_pushes_nothing)
{
	open_new();
	param((struct tcp_param){.nodelay = true});
	write_more(100);
	param((struct tcp_param){.cork = true, .nodelay = true});
	ck_assert_str_eq(fake_take(core), "");
	fake_free(core);
}
END_TEST

START_TEST(psh__ends_a_burst_and_what_was_written)
{
	open_new();
	core->burst_bytes = 2 * 1460;
	write_more(2920);
	ck_assert_str_eq(fake_take(core), "PA 1+2920 1; ");
	write_more(2920 + 1460);
	ck_assert_str_eq(fake_take(core), "A 2921+1460 1; ");
	fake_write(core, ctx, 1460);
	ck_assert_str_eq(fake_take(core), "PA 4381+1460 1; ");
	fake_free(core);
}
END_TEST

START_TEST(more__a_fin_ends_it)
{
	open_new();
	write_more(100);
	tcp_shut_wr(&core->stack, core, ctx, core->now_us);
	ck_assert_str_eq(fake_take(core), "FPA 1+100 1; ");
	fake_free(core);
}
END_TEST

START_TEST(urgent__points_behind_the_byte_until_it_is_acked)
{
	open_new();
	fake_write(core, ctx, 5);
	fake_take(core);
	tcp_urgent(ctx, 15);
	fake_write(core, ctx, 10); /* Nagle's rule does not hold it */
	ck_assert_str_eq(fake_take(core), "PAU 6+10 1; ");
	ck_assert_uint_eq(fake_last(core)->urg, 10);
	fake_rx(core, ctx, TCP_ACK, 1, 16, 0);
	fake_take(core);
	fake_write(core, ctx, 10);
	ck_assert_str_eq(fake_take(core), "PA 16+10 1; ");
	ck_assert(!(ctx->flags & TCP_CTX_URG_SENT));
	/* already acknowledged, or farther than anything can be queued */
	tcp_urgent(ctx, 15);
	tcp_urgent(ctx, 1u << 30);
	ck_assert(!(ctx->flags & TCP_CTX_URG_SENT));
	fake_free(core);
}
END_TEST

START_TEST(sws__small_window_is_not_filled)
{
	open_new();
	ctx->flags |= TCP_CTX_PINGPONG; /* no ACK of its own for the request */
	fake_rx_wnd(core, ctx, TCP_ACK, 1, 1, 10,
			4); /* 512 bytes: less than mss and than half of the largest window */
	fake_take(core);
	fake_write(core, ctx, 10000);
	ck_assert_str_eq(fake_take(core), "");
	ck_assert(ctx->flags & TCP_CTX_PERSIST);
	fake_run(core, 50);
	fake_take(core); /* the delayed ACK */
	fake_run(core, 160);
	ck_assert_str_eq(fake_take(core), "A 1+512 11; ");
	ck_assert(!(ctx->flags & TCP_CTX_PERSIST));
	fake_free(core);
}
END_TEST

START_TEST(sws__half_of_the_largest_window_is)
{
	open_new();
	ctx->snd_wnd_max = 1000;
	fake_rx_wnd(core, ctx, TCP_ACK, 1, 1, 10, 4);
	fake_take(core);
	fake_write(core, ctx, 10000);
	ck_assert_str_eq(fake_take(core), "A 1+512 11; ");
	fake_free(core);
}
END_TEST

START_TEST(fin__rides_on_the_last_bytes)
{
	open_new();
	core->send_max = -1;
	fake_write(core, ctx, 100);
	core->send_max = INT32_MAX;
	tcp_shut_wr(&core->stack, core, ctx, core->now_us);
	fake_take(core);
	fake_run(core, 3);
	fake_free(core);
	core = fake_new(NULL);
	ctx = fake_accepted(core, NULL);
	fake_write(core, ctx, 20000);
	tcp_shut_wr(&core->stack, core, ctx, core->now_us);
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK, 1, 14601, 0);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core),
			"acked 14600; A 14601+1460 1; A 16061+1460 1; A 17521+1460 1; FPA 18981+1020 1; ");
	fake_free(core);
}
END_TEST

START_TEST(fin__alone)
{
	open_new();
	tcp_shut_wr(&core->stack, core, ctx, core->now_us);
	tcp_shut_wr(&core->stack, core, ctx, core->now_us);
	ck_assert_str_eq(fake_take(core), "FA 1+0 1; ");
	fake_free(core);
}
END_TEST

START_TEST(port_full__bytes_are_not_counted_as_sent)
{
	open_new();
	core->send_max = 60;
	fake_write(core, ctx, 100);
	ck_assert_uint_eq(ctx->snd_nxt - ctx->snd_una, 60);
	core->send_max = INT32_MAX;
	fake_take(core);
	fake_run(core, 3);
	ck_assert_str_eq(fake_take(core), "PA 61+40 1; ");
	fake_free(core);
}
END_TEST

START_TEST(port_full__nothing_taken_tries_again)
{
	open_new();
	core->send_max = -1;
	fake_write(core, ctx, 100);
	ck_assert_uint_eq(ctx->snd_nxt, ctx->snd_una);
	core->send_max = INT32_MAX;
	fake_take(core);
	fake_run(core, 3);
	ck_assert_str_eq(fake_take(core), "PA 1+100 1; ");
	fake_free(core);
}
END_TEST

START_TEST(idle__cwnd_is_halved_for_each_rto_of_silence)
{
	open_new();
	ctx->cwnd = 100000;
	core->now_us += 250000;
	fake_write(core, ctx, 10);
	ck_assert_uint_eq(ctx->cwnd, 50000);
	fake_free(core);
}
END_TEST

/* ---- zero window ---- */

static void shut_window(void)
{
	open_new();
	fake_rx_wnd(core, ctx, TCP_ACK, 1, 1, 10, 0);
	fake_run(core, 50);
	fake_take(core);
	fake_write(core, ctx, 5000);
	ck_assert_str_eq(fake_take(core), "");
}

START_TEST(persist__probes_with_one_octet_and_backs_off)
{
	shut_window();
	fake_run(core, 210);
	ck_assert_str_eq(fake_take(core), "A 1+1 11; ");
	fake_run(core, 390);
	ck_assert_str_eq(fake_take(core), "");
	fake_run(core, 30);
	ck_assert_str_eq(fake_take(core), "rtx A 1+1 11; ");
	ck_assert_uint_eq(ctx->cwnd, 14600);
	fake_free(core);
}
END_TEST

START_TEST(persist__answers_keep_it_alive)
{
	shut_window();
	for (int i = 0; i < 100; i++) {
		fake_run(core, 60000);
		fake_rx_wnd(core, ctx, TCP_ACK, 11, 1, 0, 0);
	}
	ck_assert_uint_eq(ctx->state, TCP_STATE_ESTABLISHED);
	ck_assert_uint_eq(ctx->dupacks, 0);
	fake_free(core);
}
END_TEST

START_TEST(persist__silence_times_out)
{
	shut_window();
	fake_run(core, 3000000);
	ck_assert_uint_eq(core->closed_n, 1);
	ck_assert_int_eq(core->closed_why, ETA_STATUS_TIMED_OUT);
	fake_free(core);
}
END_TEST

START_TEST(persist__opening_sends_at_once_from_the_probed_octet)
{
	shut_window();
	fake_run(core, 250);
	fake_take(core);
	fake_rx_wnd(core, ctx, TCP_ACK, 11, 1, 0, 100);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core),
			"A 1+1460 11; A 1461+1460 11; A 2921+1460 11; PA 4381+620 11; ");
	fake_free(core);
}
END_TEST

START_TEST(persist__probe_that_was_taken_is_not_sent_again)
{
	shut_window();
	fake_run(core, 250);
	fake_take(core);
	fake_rx_wnd(core, ctx, TCP_ACK, 11, 2, 0, 100);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core),
			"acked 1; A 2+1460 11; A 1462+1460 11; A 2922+1460 11; PA 4382+619 11; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_tx_ack__stays_inside_a_window_that_shrank)
{
	open_new();
	core->stack.conf.tlp = false;
	fake_write(core, ctx, 14600);
	fake_rx_wnd(core, ctx, TCP_ACK, 1, 1, 10, 10);
	fake_take(core);
	fake_run(core, 50);
	ck_assert_str_eq(fake_take(core), "A 1281+0 11; ");
	fake_free(core);
}
END_TEST

/* ---- receive window ---- */

START_TEST(window__is_what_the_user_gives_scaled)
{
	open_new();
	core->rcv_space = 128000;
	fake_write(core, ctx, 1);
	ck_assert_uint_eq(fake_last(core)->wnd, 1000);
	ck_assert_uint_eq(ctx->rcv_adv - ctx->rcv_nxt, 128000);
	fake_free(core);
}
END_TEST

START_TEST(window__never_shrinks)
{
	uint32_t edge;

	open_new();
	edge = ctx->rcv_adv;
	core->rcv_space = 0;
	fake_write(core, ctx, 1);
	ck_assert_uint_eq(ctx->rcv_adv, edge);
	ck_assert_uint_eq(fake_last(core)->wnd, (edge - ctx->rcv_nxt) >> 7);
	fake_free(core);
}
END_TEST

START_TEST(window__edge_moves_by_a_segment_or_not_at_all)
{
	uint32_t edge;

	open_new();
	edge = ctx->rcv_adv;
	core->rcv_space = edge - ctx->rcv_nxt + 1400;
	fake_write(core, ctx, 1);
	ck_assert_uint_eq(ctx->rcv_adv, edge);
	core->rcv_space = edge - ctx->rcv_nxt + 1600;
	tcp_param(&core->stack, core, ctx, &(struct tcp_param){.nodelay = true}, core->now_us);
	fake_write(core, ctx, 1);
	ck_assert_uint_gt(ctx->rcv_adv, edge + 1400);
	fake_free(core);
}
END_TEST

START_TEST(window__update_only_when_it_is_worth_it)
{
	open_new();
	for (uint32_t i = 0; i < 41; i++)
		fake_rx(core, ctx, TCP_ACK, 1 + 1460 * i, 1, 1460);
	core->rcv_space = 0;
	fake_flush(core);
	fake_take(core);
	ck_assert(ctx->rcv_adv - ctx->rcv_nxt < 1460);
	core->rcv_space = 1000;
	tcp_read(&core->stack, core, ctx, 1000, core->now_us);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "");
	core->rcv_space = 2000;
	tcp_read(&core->stack, core, ctx, 2000, core->now_us);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "A 1+0 59861; ");
	fake_free(core);
}
END_TEST

START_TEST(window__small_reads_of_an_open_window_are_silent)
{
	open_new();
	ctx->flags |= TCP_CTX_PINGPONG;
	for (uint32_t i = 0; i < 16; i++) {
		fake_rx(core, ctx, TCP_ACK | TCP_PSH, 1 + 64 * i, 1, 64);
		tcp_read(&core->stack, core, ctx, 64 + 64 * i, core->now_us);
	}
	fake_take(core);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "");
	fake_free(core);
}
END_TEST

START_TEST(window__drs_asks_for_twice_the_bytes_of_a_round_trip)
{
	open_new();
	core->rcv_space = 1u << 20;
	tcp_read(&core->stack, core, ctx, 0, core->now_us);
	for (uint32_t i = 0; i < 40; i++)
		fake_rx(core, ctx, TCP_ACK, 1 + 1460 * i, 1, 1460);
	core->now_us += 2000;
	tcp_read(&core->stack, core, ctx, 58400, core->now_us);
	ck_assert_uint_eq(tcp_rcv_want_bytes(ctx), 2 * 58400 + 16 * 1460);
	fake_free(core);
}
END_TEST

START_TEST(tcp_read__beyond_what_was_readable_is_ignored)
{
	open_new();
	fake_rx(core, ctx, TCP_ACK, 1, 1, 100);
	tcp_read(&core->stack, core, ctx, 101, core->now_us);
	ck_assert_uint_eq(ctx->rcv_head - ctx->irs, 1);
	tcp_read(&core->stack, core, ctx, 100, core->now_us);
	ck_assert_uint_eq(ctx->rcv_head - ctx->irs, 101);
	fake_free(core);
}
END_TEST

/* The peer has filled the window; then there is room again. */
static void fill_window(void)
{
	open_new();
	for (uint32_t i = 0; i < 41; i++)
		fake_rx(core, ctx, TCP_ACK, 1 + 1460 * i, 1, 1460);
	core->rcv_space = 0;
	fake_flush(core);
	fake_take(core);
	core->rcv_space = 60000;
}

START_TEST(tcp_read_write__one_segment_tells_of_both)
{
	fill_window();
	tcp_read_write(&core->stack, core, ctx, 58400, 10, core->now_us);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "PA 1+10 59861; ");
	ck_assert_uint_eq(fake_last(core)->wnd, 60000 >> 7);
	ck_assert_uint_eq(ctx->rcv_head - ctx->irs, 58401);
	fake_free(core);
}
END_TEST

START_TEST(tcp_read_write__window_is_told_when_nothing_else_leaves)
{
	fill_window();
	fake_write(core, ctx, 10);
	ctx->rcv_adv = ctx->rcv_nxt; /* as if it had not told */
	fake_take(core);
	tcp_read_write(&core->stack, core, ctx, 58400, 20, core->now_us); /* Nagle holds it */
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "A 11+0 59861; ");
	ck_assert_uint_eq(fake_last(core)->wnd, 60000 >> 7);
	fake_free(core);
}
END_TEST

FACTS("tcp tx", tcp_write__sends_at_once_with_push, tcp_write__backwards_or_too_far_is_ignored,
		tcp_write__initial_window_is_ten_segments, tcp_write__tso_sized_pieces,
		tcp_write__stops_at_the_peers_window, nagle__second_small_write_waits,
		nagle__short_tail_of_a_large_write_does_not_wait, nagle__nodelay_sends_each,
		nagle__setting_nodelay_pushes, nagle__fin_pushes,
		cork__holds_until_a_segment_is_full, cork__clearing_it_pushes,
		cork__no_longer_than_200_ms, more__holds_a_short_segment_for_the_next_write,
		more__no_longer_than_200_ms, more__an_ack_ends_the_wait,
		more__an_ack_that_others_hear_ends_the_wait, more__setting_nodelay_pushes_once,
		cork__setting_nodelay_pushes_once, cork__setting_it_pushes_nothing,
		psh__ends_a_burst_and_what_was_written, more__a_fin_ends_it,
		urgent__points_behind_the_byte_until_it_is_acked, sws__small_window_is_not_filled,
		sws__half_of_the_largest_window_is, fin__rides_on_the_last_bytes, fin__alone,
		port_full__bytes_are_not_counted_as_sent, port_full__nothing_taken_tries_again,
		idle__cwnd_is_halved_for_each_rto_of_silence,
		persist__probes_with_one_octet_and_backs_off, persist__answers_keep_it_alive,
		persist__silence_times_out, persist__opening_sends_at_once_from_the_probed_octet,
		persist__probe_that_was_taken_is_not_sent_again,
		tcp_tx_ack__stays_inside_a_window_that_shrank,
		window__is_what_the_user_gives_scaled, window__never_shrinks,
		window__edge_moves_by_a_segment_or_not_at_all,
		window__update_only_when_it_is_worth_it,
		window__small_reads_of_an_open_window_are_silent,
		window__drs_asks_for_twice_the_bytes_of_a_round_trip,
		tcp_read__beyond_what_was_readable_is_ignored,
		tcp_read_write__one_segment_tells_of_both,
		tcp_read_write__window_is_told_when_nothing_else_leaves)
