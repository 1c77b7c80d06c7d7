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

static void open_no_sack(void)
{
	core = fake_new(NULL);
	ctx = fake_accepted(core, &(struct fake_peer){.mss = 1460});
}

static void shut(void)
{
	tcp_shut_wr(&core->stack, core, ctx, core->now_us);
	fake_take(core);
}

/* ---- first step: acceptability ---- */

START_TEST(rx_seq__old_segment_is_acked_at_once)
{
	open_new();
	fake_rx(core, ctx, TCP_ACK, 1, 1, 100);
	fake_run(core, 50);
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK, 1, 1, 100);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "A 1+0 101; ");
	fake_free(core);
}
END_TEST

START_TEST(rx_seq__beyond_the_window_is_acked_not_placed)
{
	open_new();
	fake_rx(core, ctx, TCP_ACK, ctx->rcv_adv - ctx->irs, 1, 100);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "A 1+0 1; ");
	fake_free(core);
}
END_TEST

START_TEST(rx_seq__overlap_is_cut_on_the_left)
{
	open_new();
	fake_rx(core, ctx, TCP_ACK, 1, 1, 100);
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK, 51, 1, 100);
	ck_assert_str_eq(fake_take(core), "place 100+50; readable 150; ");
	fake_free(core);
}
END_TEST

START_TEST(rx_seq__excess_is_cut_on_the_right)
{
	open_new();
	ctx->rcv_adv = ctx->rcv_nxt + 60;
	core->rcv_space = 60;
	fake_rx(core, ctx, TCP_ACK | TCP_FIN, 1, 1, 100);
	ck_assert_str_eq(fake_take(core), "place 0+60; readable 60; ");
	/* The FIN was cut off, too. */
	ck_assert_uint_eq(ctx->state, TCP_STATE_ESTABLISHED);
	ck_assert(!(ctx->flags & TCP_CTX_FIN_OOO));
	fake_free(core);
}
END_TEST

START_TEST(rx_seq__shut_window_still_takes_the_ack)
{
	open_new();
	fake_write(core, ctx, 100);
	ctx->rcv_adv = ctx->rcv_nxt;
	core->rcv_space = 0;
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK, 1, 101, 1);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "acked 100; A 101+0 1; ");
	fake_free(core);
}
END_TEST

START_TEST(rx_seq__empty_ack_at_the_right_edge_is_acceptable)
{
	open_new();
	fake_write(core, ctx, 100);
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK, ctx->rcv_adv - ctx->irs, 101, 0);
	ck_assert_str_eq(fake_take(core), "acked 100; ");
	fake_free(core);
}
END_TEST

START_TEST(rx_seq__empty_strays_are_answered_twice_a_second)
{
	open_new();
	for (int i = 0; i < 5; i++) {
		fake_rx(core, ctx, TCP_ACK, 0, 1, 0);
		fake_flush(core);
	}
	ck_assert_str_eq(fake_take(core), "A 1+0 1; ");
	ck_assert_uint_eq(core->stack.stats.ack_skipped, 4);
	core->now_us += 501000;
	fake_rx(core, ctx, TCP_ACK, 0, 1, 0);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "A 1+0 1; ");
	fake_free(core);
}
END_TEST

/* ---- second step: RST ---- */

START_TEST(rx_rst__exact_number_resets)
{
	open_new();
	ck_assert_int_eq(fake_rx(core, ctx, TCP_RST, 1, 0, 0), TCP_RX_FREED);
	ck_assert_str_eq(fake_take(core), "closed RESET; free; ");
	ck_assert_uint_eq(core->stack.stats.estab_resets, 1);
	ck_assert_uint_eq(core->stack.stats.curr_estab, 0);
	fake_free(core);
}
END_TEST

START_TEST(rx_rst__in_window_is_challenged)
{
	open_new();
	ck_assert_int_eq(fake_rx(core, ctx, TCP_RST, 2, 0, 0), TCP_RX_OK);
	ck_assert_str_eq(fake_take(core), "A 1+0 1; ");
	ck_assert_uint_eq(core->stack.stats.challenge_ack, 1);
	fake_free(core);
}
END_TEST

START_TEST(rx_rst__outside_the_window_is_silent)
{
	open_new();
	fake_rx(core, ctx, TCP_RST, 0, 0, 0);
	fake_rx(core, ctx, TCP_RST, 100000000, 0, 0);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "");
	ck_assert_uint_eq(ctx->state, TCP_STATE_ESTABLISHED);
	fake_free(core);
}
END_TEST

START_TEST(rx_rst__challenges_are_limited)
{
	struct tcp_conf conf;

	tcp_conf_default(&conf);
	conf.challenge_per_s = 10;
	core = fake_new(&conf);
	ctx = fake_accepted(core, NULL);
	for (int i = 0; i < 100; i++)
		fake_rx(core, ctx, TCP_RST, 2, 0, 0);
	ck_assert_uint_ge(core->stack.stats.challenge_ack, 5);
	ck_assert_uint_le(core->stack.stats.challenge_ack, 15);
	ck_assert_uint_eq(core->stack.stats.challenge_ack + core->stack.stats.ack_skipped_challenge,
			100);
	core->now_us += 1001000;
	fake_take(core);
	fake_rx(core, ctx, TCP_RST, 2, 0, 0);
	ck_assert_str_ne(fake_take(core), "");
	fake_free(core);
}
END_TEST

START_TEST(rx_rst__last_ack_ends_quietly)
{
	open_new();
	fake_rx(core, ctx, TCP_ACK | TCP_FIN, 1, 1, 0);
	shut();
	fake_rx(core, ctx, TCP_RST, 2, 0, 0);
	ck_assert_str_eq(fake_take(core), "closed OK; free; ");
	fake_free(core);
}
END_TEST

/* ---- fourth step: SYN ---- */

START_TEST(rx_syn__established_is_challenged)
{
	open_new();
	fake_rx(core, ctx, TCP_SYN, 1, 0, 0);
	ck_assert_str_eq(fake_take(core), "A 1+0 1; ");
	fake_rx(core, ctx, TCP_SYN, 500000000, 0, 0);
	ck_assert_str_eq(fake_take(core), "A 1+0 1; ");
	ck_assert_uint_eq(core->stack.stats.syn_challenge, 2);
	fake_free(core);
}
END_TEST

/* ---- fifth step: ACK ---- */

START_TEST(rx_ack__missing_flag_is_dropped)
{
	open_new();
	fake_rx(core, ctx, 0, 1, 0, 100);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "");
	fake_free(core);
}
END_TEST

START_TEST(rx_ack__of_unsent_data_is_challenged_and_dropped)
{
	open_new();
	fake_rx(core, ctx, TCP_ACK, 1, 2, 100);
	ck_assert_str_eq(fake_take(core), "A 1+0 1; ");
	ck_assert_uint_eq(core->stack.stats.acks_unsent, 1);
	fake_free(core);
}
END_TEST

START_TEST(rx_ack__old_ack_still_delivers_text)
{
	open_new();
	fake_write(core, ctx, 100);
	fake_rx(core, ctx, TCP_ACK, 1, 101, 0);
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK, 1, 51, 10);
	ck_assert_str_eq(fake_take(core), "place 0+10; readable 10; ");
	ck_assert_uint_eq(ctx->snd_una - ctx->iss, 101);
	fake_free(core);
}
END_TEST

START_TEST(rx_ack__older_than_any_window_is_challenged)
{
	open_new();
	fake_rx(core, ctx, TCP_ACK, 1, 1u - 9000000, 100);
	ck_assert_str_eq(fake_take(core), "A 1+0 1; ");
	ck_assert_uint_eq(core->stack.stats.acks_too_old, 1);
	fake_free(core);
}
END_TEST

START_TEST(rx_window__old_segment_does_not_move_it)
{
	open_new();
	fake_rx_wnd(core, ctx, TCP_ACK, 1, 1, 100, 200);
	fake_rx_wnd(core, ctx, TCP_ACK, 101, 1, 100, 300);
	/* Overlaps, and begins before the newest: its window is older. */
	fake_rx_wnd(core, ctx, TCP_ACK, 51, 1, 160, 10);
	ck_assert_uint_eq(ctx->snd_wnd, 300u << 7);
	fake_free(core);
}
END_TEST

START_TEST(rx_window__older_ack_of_the_same_number_does_not_move_it)
{
	open_new();
	fake_write(core, ctx, 2920);
	fake_rx_wnd(core, ctx, TCP_ACK, 1, 1461, 0, 300);
	fake_rx_wnd(core, ctx, TCP_ACK, 1, 2921, 0, 301);
	ctx->snd_una -= 1460; /* as if the newest ACK had not been taken, so that an older one is still a candidate */
	ctx->rtx_at_ms = ctx->rtx_at_ms ? ctx->rtx_at_ms : ctx->wheel_at_ms;
	fake_rx_wnd(core, ctx, TCP_ACK, 1, 1461, 0, 5);
	ck_assert_uint_eq(ctx->snd_wnd, 301u << 7);
	fake_free(core);
}
END_TEST

/* ---- seventh step: text ---- */

START_TEST(rx_text__out_of_order_is_placed_and_acked)
{
	open_new();
	fake_rx(core, ctx, TCP_ACK, 101, 1, 100);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "place 100+100; A 1+0 1; ");
	ck_assert_uint_eq(fake_last(core)->opt_len, 12); /* one SACK block */
	fake_rx(core, ctx, TCP_ACK, 1, 1, 100);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "place 0+100; readable 200; A 1+0 201; ");
	ck_assert_uint_eq(fake_last(core)->opt_len, 0);
	ck_assert_uint_eq(ctx->ooo_ext, 0);
	fake_free(core);
}
END_TEST

START_TEST(rx_text__newest_block_is_reported_first)
{
	struct tcp_seg seg = {.flags = TCP_ACK};
	struct tcp_opts opts;

	open_new();
	fake_rx(core, ctx, TCP_ACK, 501, 1, 100);
	fake_rx(core, ctx, TCP_ACK, 101, 1, 100);
	fake_rx(core, ctx, TCP_ACK, 301, 1, 100);
	fake_flush(core);
	seg.opt = fake_last(core)->opt;
	seg.opt_len = fake_last(core)->opt_len;
	tcp_opt_parse(&seg, &opts);
	ck_assert_uint_eq(opts.sack_n, 3);
	ck_assert_uint_eq(opts.sack[0].lo - ctx->irs, 301);
	ck_assert_uint_eq(opts.sack[1].lo - ctx->irs, 101);
	ck_assert_uint_eq(opts.sack[2].lo - ctx->irs, 501);
	fake_free(core);
}
END_TEST

START_TEST(rx_text__without_sack_each_gap_is_a_duplicate_ack)
{
	open_no_sack();
	fake_rx(core, ctx, TCP_ACK, 101, 1, 100);
	fake_rx(core, ctx, TCP_ACK, 201, 1, 100);
	ck_assert_str_eq(fake_take(core), "place 100+100; A 1+0 1; place 200+100; A 1+0 1; ");
	fake_free(core);
}
END_TEST

START_TEST(rx_text__no_extension_drops_the_gap)
{
	open_new();
	core->stack.ext_free = 0;
	core->stack.ext_n = 0;
	fake_rx(core, ctx, TCP_ACK, 101, 1, 100);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "A 1+0 1; ");
	ck_assert_uint_eq(core->stack.stats.ofo_drop, 1);
	fake_free(core);
}
END_TEST

START_TEST(rx_text__short_memory_out_of_order_reports_what_is_there)
{
	open_new();
	core->place_max = 30;
	fake_rx(core, ctx, TCP_ACK, 101, 1, 100);
	ck_assert_uint_eq(core->ext[ctx->ooo_ext].r[0].hi - core->ext[ctx->ooo_ext].r[0].lo, 30);
	core->place_max = 0;
	fake_rx(core, ctx, TCP_ACK, 301, 1, 100);
	ck_assert_uint_eq(core->ext[ctx->ooo_ext].n, 1);
	fake_free(core);
}
END_TEST

START_TEST(rx_urg__pointer_is_told_once)
{
	struct tcp_seg seg = {.flags = TCP_ACK | TCP_URG, .len = 100, .urg = 50};

	open_new();
	seg.seq = ctx->rcv_nxt;
	seg.ack = ctx->snd_una;
	fake_rx_seg(core, ctx, seg);
	ck_assert_str_eq(fake_take(core), "urgent 50; place 0+100; readable 100; ");
	fake_rx_seg(core, ctx, seg);
	ck_assert_str_eq(fake_take(core), "");
	fake_free(core);
}
END_TEST

/* ---- eighth step: FIN, and the states after it ---- */

START_TEST(rx_fin__with_text)
{
	open_new();
	fake_rx(core, ctx, TCP_ACK | TCP_FIN, 1, 1, 100);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core),
			"place 0+100; readable 100; readable 100 fin; A 1+0 102; ");
	ck_assert_uint_eq(ctx->state, TCP_STATE_CLOSE_WAIT);
	fake_free(core);
}
END_TEST

START_TEST(rx_fin__out_of_order_waits_for_the_hole)
{
	open_new();
	fake_rx(core, ctx, TCP_ACK | TCP_FIN, 101, 1, 50);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "place 100+50; A 1+0 1; ");
	ck_assert_uint_eq(ctx->state, TCP_STATE_ESTABLISHED);
	fake_rx(core, ctx, TCP_ACK, 1, 1, 100);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core),
			"place 0+100; readable 150; readable 150 fin; A 1+0 152; ");
	fake_free(core);
}
END_TEST

START_TEST(rx_fin__text_after_it_is_cut)
{
	open_new();
	fake_rx(core, ctx, TCP_ACK | TCP_FIN, 101, 1, 50);
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK, 141, 1, 100);
	ck_assert_str_eq(fake_take(core), "place 140+10; A 1+0 1; ");
	fake_free(core);
}
END_TEST

START_TEST(rx_fin__into_a_shut_window)
{
	open_new();
	ctx->rcv_adv = ctx->rcv_nxt;
	core->rcv_space = 0;
	fake_rx(core, ctx, TCP_ACK | TCP_FIN, 1, 1, 0);
	ck_assert_str_eq(fake_take(core), "readable 0 fin; ");
	fake_free(core);
}
END_TEST

START_TEST(rx_fin__repeated_in_close_wait_is_acked)
{
	open_new();
	fake_rx(core, ctx, TCP_ACK | TCP_FIN, 1, 1, 0);
	fake_flush(core);
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK | TCP_FIN, 1, 1, 0);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "A 1+0 2; ");
	ck_assert_uint_eq(ctx->state, TCP_STATE_CLOSE_WAIT);
	fake_free(core);
}
END_TEST

START_TEST(fin_wait_1__ack_of_fin)
{
	open_new();
	shut();
	ck_assert_uint_eq(ctx->state, TCP_STATE_FIN_WAIT_1);
	fake_rx(core, ctx, TCP_ACK, 1, 2, 0);
	ck_assert_uint_eq(ctx->state, TCP_STATE_FIN_WAIT_2);
	ck_assert_str_eq(fake_take(core), "");
	fake_free(core);
}
END_TEST

START_TEST(fin_wait_2__half_closed_still_receives)
{
	open_new();
	shut();
	fake_rx(core, ctx, TCP_ACK, 1, 2, 0);
	fake_rx(core, ctx, TCP_ACK, 1, 2, 100);
	ck_assert_str_eq(fake_take(core), "place 0+100; readable 100; ");
	fake_free(core);
}
END_TEST

START_TEST(fin_wait_2__fin_leads_to_time_wait)
{
	open_new();
	shut();
	fake_rx(core, ctx, TCP_ACK, 1, 2, 0);
	fake_rx(core, ctx, TCP_ACK | TCP_FIN, 1, 2, 0);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "readable 0 fin; closed OK; A 2+0 2; ");
	ck_assert_uint_eq(ctx->state, TCP_STATE_TIME_WAIT);
	fake_free(core);
}
END_TEST

START_TEST(fin_wait_1__fin_and_ack_together)
{
	open_new();
	shut();
	fake_rx(core, ctx, TCP_ACK | TCP_FIN, 1, 2, 0);
	ck_assert_uint_eq(ctx->state, TCP_STATE_TIME_WAIT);
	fake_free(core);
}
END_TEST

START_TEST(closing__simultaneous_close)
{
	open_new();
	shut();
	fake_rx(core, ctx, TCP_ACK | TCP_FIN, 1, 1, 0);
	ck_assert_uint_eq(ctx->state, TCP_STATE_CLOSING);
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK, 2, 2, 0);
	ck_assert_uint_eq(ctx->state, TCP_STATE_TIME_WAIT);
	ck_assert_str_eq(fake_take(core), "closed OK; ");
	fake_free(core);
}
END_TEST

START_TEST(last_ack__ack_of_fin_frees)
{
	open_new();
	fake_rx(core, ctx, TCP_ACK | TCP_FIN, 1, 1, 0);
	shut();
	ck_assert_uint_eq(ctx->state, TCP_STATE_LAST_ACK);
	ck_assert_int_eq(fake_rx(core, ctx, TCP_ACK, 2, 2, 0), TCP_RX_FREED);
	ck_assert_str_eq(fake_take(core), "closed OK; free; ");
	fake_free(core);
}
END_TEST

START_TEST(closed_by_user__new_data_is_reset)
{
	open_new();
	tcp_close(&core->stack, core, ctx, core->now_us);
	fake_take(core);
	ck_assert_int_eq(fake_rx(core, ctx, TCP_ACK, 1, 2, 10), TCP_RX_FREED);
	/* at the number that the peer waits for, whatever of ours is lost */
	ck_assert_str_eq(fake_take(core), "R 2+0 0; closed RESET; free; ");
	ck_assert_uint_eq(core->stack.stats.abort_on_data, 1);
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx_no_ctx__as_rfc_9293_3_10_7_1)
{
	struct tcp_seg seg = {.seq = 100, .ack = 200, .flags = TCP_ACK, .len = 10, .segs = 1};

	core = fake_new(NULL);
	tcp_rx_no_ctx(&core->stack, core, &core->tuple, &seg);
	ck_assert_str_eq(fake_take(core), "R 200+0 0; ");
	seg.flags = TCP_SYN | TCP_FIN;
	tcp_rx_no_ctx(&core->stack, core, &core->tuple, &seg);
	ck_assert_str_eq(fake_take(core), "RA 0+0 112; ");
	seg.flags = TCP_RST;
	tcp_rx_no_ctx(&core->stack, core, &core->tuple, &seg);
	ck_assert_str_eq(fake_take(core), "");
	fake_free(core);
}
END_TEST

FACTS("tcp rx slow", rx_seq__old_segment_is_acked_at_once,
		rx_seq__beyond_the_window_is_acked_not_placed, rx_seq__overlap_is_cut_on_the_left,
		rx_seq__excess_is_cut_on_the_right, rx_seq__shut_window_still_takes_the_ack,
		rx_seq__empty_ack_at_the_right_edge_is_acceptable,
		rx_seq__empty_strays_are_answered_twice_a_second, rx_rst__exact_number_resets,
		rx_rst__in_window_is_challenged, rx_rst__outside_the_window_is_silent,
		rx_rst__challenges_are_limited, rx_rst__last_ack_ends_quietly,
		rx_syn__established_is_challenged, rx_ack__missing_flag_is_dropped,
		rx_ack__of_unsent_data_is_challenged_and_dropped,
		rx_ack__old_ack_still_delivers_text, rx_ack__older_than_any_window_is_challenged,
		rx_window__old_segment_does_not_move_it,
		rx_window__older_ack_of_the_same_number_does_not_move_it,
		rx_text__out_of_order_is_placed_and_acked, rx_text__newest_block_is_reported_first,
		rx_text__without_sack_each_gap_is_a_duplicate_ack,
		rx_text__no_extension_drops_the_gap,
		rx_text__short_memory_out_of_order_reports_what_is_there,
		rx_urg__pointer_is_told_once, rx_fin__with_text,
		rx_fin__out_of_order_waits_for_the_hole, rx_fin__text_after_it_is_cut,
		rx_fin__into_a_shut_window, rx_fin__repeated_in_close_wait_is_acked,
		fin_wait_1__ack_of_fin, fin_wait_2__half_closed_still_receives,
		fin_wait_2__fin_leads_to_time_wait, fin_wait_1__fin_and_ack_together,
		closing__simultaneous_close, last_ack__ack_of_fin_frees,
		closed_by_user__new_data_is_reset, tcp_rx_no_ctx__as_rfc_9293_3_10_7_1)
