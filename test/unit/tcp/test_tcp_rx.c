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

static void open_ts(void)
{
	struct tcp_conf conf;

	tcp_conf_default(&conf);
	core = fake_new(&conf);
	ctx = fake_accepted(core, &(struct fake_peer){.timestamps = true,
						  .sack = true,
						  .wscale = true,
						  .mss = 1460});
}

START_TEST(tcp_rx__in_order_takes_the_fast_path)
{
	open_new();
	fake_rx(core, ctx, TCP_ACK, 1, 1, 64);
	ck_assert_str_eq(fake_take(core), "place 0+64; readable 64; ");
	ck_assert_uint_eq(core->stack.stats.hp_hits, 1);
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx__request_and_response_are_two_segments)
{
	open_new();
	for (uint32_t i = 0; i < 5; i++) {
		fake_rx(core, ctx, TCP_ACK | TCP_PSH, 1 + 64 * i, 1 + 64 * i, 64);
		fake_flush(core);
		fake_run(core, 3);
		fake_write(core, ctx, 64);
		fake_flush(core);
	}
	fake_take(core);
	/* the SYN-ACK, the ACK of the first request (a dialogue begins with an answer), one for each request */
	ck_assert_uint_eq(core->sent_n, 1 + 1 + 5);
	ck_assert_uint_eq(core->stack.stats.hp_hits, 5);
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx__second_full_segment_is_acked_at_once)
{
	open_new();
	ctx->quick_n = 0;
	ctx->rcv_mss = 1460;
	fake_rx(core, ctx, TCP_ACK, 1, 1, 1460);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "place 0+1460; readable 1460; ");
	fake_rx(core, ctx, TCP_ACK, 1461, 1, 1460);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "place 1460+1460; readable 2920; A 1+0 2921; ");
	fake_free(core);
}
END_TEST

/* Four segments at rcv_nxt that the port has put together. */
static void rx_superframe(void)
{
	fake_rx_seg(core, ctx,
			(struct tcp_seg){.seq = ctx->rcv_nxt,
					.ack = ctx->snd_una,
					.flags = TCP_ACK,
					.len = 5840,
					.segs = 4,
					.wnd = 100});
	fake_flush(core);
}

START_TEST(tcp_rx__superframe_counts_as_its_segments)
{
	open_new();
	ctx->quick_n = 0;
	fake_rx_seg(core, ctx,
			(struct tcp_seg){.seq = ctx->rcv_nxt,
					.ack = ctx->snd_una,
					.flags = TCP_ACK,
					.len = 14600,
					.segs = 10,
					.wnd = 100});
	ck_assert_uint_eq(ctx->rcv_mss, 1460);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "place 0+14600; readable 14600; A 1+0 14601; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx__superframe_is_acked_twice_while_segments_are_lost)
{
	open_new();
	/* a hole, filled; its ACKs were three */
	fake_rx(core, ctx, TCP_ACK, 1461, 1, 1460);
	fake_rx(core, ctx, TCP_ACK, 1, 1, 1460);
	fake_flush(core);
	fake_take(core);
	rx_superframe();
	ck_assert_str_eq(fake_take(core),
			"place 2920+5840; readable 8760; A 1+0 5841; A 1+0 8761; ");
	fake_free(core);
}
END_TEST

/* Nothing was lost: the first segments are acknowledged at once, but those of a superframe together. */
START_TEST(tcp_rx__superframe_at_the_start_is_acked_once)
{
	open_new();
	rx_superframe();
	ck_assert_str_eq(fake_take(core), "place 0+5840; readable 5840; A 1+0 5841; ");
	fake_free(core);
}
END_TEST

/* As a peer does after its timeout, whose window is one segment: it would wait for the delayed ACK each time. */
START_TEST(tcp_rx__after_silence_full_segments_are_acked_at_once)
{
	open_new();
	fake_rx(core, ctx, TCP_ACK, 1, 1, 1460);
	fake_flush(core);
	ctx->quick_n = 0;
	fake_run(core, 50);
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK, 1461, 1, 1460);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "place 1460+1460; readable 2920; ");
	fake_run(core, ctx->rto_us / 1000);
	ck_assert_str_eq(fake_take(core), "A 1+0 2921; ");
	ctx->quick_n = 0;
	fake_rx(core, ctx, TCP_ACK, 2921, 1, 1460);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "place 2920+1460; readable 4380; A 1+0 4381; ");
	fake_rx(core, ctx, TCP_ACK, 4381, 1, 1460);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "place 4380+1460; readable 5840; A 1+0 5841; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx__bulk_start_is_acked_quickly)
{
	open_new();
	fake_rx(core, ctx, TCP_ACK, 1, 1, 1460);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "place 0+1460; readable 1460; A 1+0 1461; ");
	fake_free(core);
}
END_TEST

/* Two small writes of a peer under Nagle's rule: the second waits for our ACK of the first. */
START_TEST(tcp_rx__first_small_segments_are_acked_with_their_burst)
{
	open_new();
	fake_rx(core, ctx, TCP_ACK, 1, 1, 10);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "place 0+10; readable 10; A 1+0 11; ");
	fake_rx(core, ctx, TCP_ACK, 11, 1, 10);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "place 10+10; readable 20; A 1+0 21; ");
	/* an answer in the same turn carries it */
	fake_rx(core, ctx, TCP_ACK, 21, 1, 10);
	fake_write(core, ctx, 5);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "place 20+10; readable 30; PA 1+5 31; ");
	/* and makes it a dialogue */
	fake_rx(core, ctx, TCP_ACK, 31, 6, 10);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "acked 5; place 30+10; readable 40; ");
	fake_free(core);
}
END_TEST

/* Sending first, as a client or a server with a greeting, is no answer. */
START_TEST(tcp_rx__who_speaks_first_acks_the_first_answer_at_once)
{
	open_new();
	fake_write(core, ctx, 5);
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK, 1, 6, 10);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "acked 5; place 0+10; readable 10; A 6+0 11; ");
	fake_free(core);
}
END_TEST

/* A quick start has an end. */
START_TEST(tcp_rx__after_sixteen_acks_small_segments_wait)
{
	open_new();
	for (uint32_t i = 0; i < 16; i++) {
		fake_rx(core, ctx, TCP_ACK, 1 + 10 * i, 1, 10);
		fake_flush(core);
	}
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK, 161, 1, 10);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "place 160+10; readable 170; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx__lone_segment_is_acked_by_the_timer)
{
	open_new();
	ctx->flags |= TCP_CTX_PINGPONG;
	fake_rx(core, ctx, TCP_ACK, 1, 1, 64);
	fake_run(core, 38);
	ck_assert_str_eq(fake_take(core), "place 0+64; readable 64; ");
	fake_run(core, 4);
	ck_assert_str_eq(fake_take(core), "A 1+0 65; ");
	ck_assert_uint_eq(core->stack.stats.delayed_acks, 1);
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx__after_the_timer_small_segments_are_acked_quickly)
{
	open_new();
	ctx->flags |= TCP_CTX_PINGPONG;
	fake_rx(core, ctx, TCP_ACK, 1, 1, 64);
	fake_run(core, 50);
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK, 65, 1, 64);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "place 64+64; readable 128; A 1+0 129; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx__quickack_option_acks_each)
{
	open_new();
	tcp_param(&core->stack, core, ctx, &(struct tcp_param){.quickack = true}, core->now_us);
	fake_rx(core, ctx, TCP_ACK, 1, 1, 64);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "place 0+64; readable 64; A 1+0 65; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx__one_burst_one_ack)
{
	open_new();
	for (uint32_t i = 0; i < 8; i++)
		fake_rx(core, ctx, TCP_ACK, 1 + 1460 * i, 1, 1460);
	fake_take(core);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "A 1+0 11681; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx__ack_frees_bytes_and_stops_the_timer)
{
	open_new();
	fake_write(core, ctx, 100);
	fake_take(core);
	ck_assert_uint_ne(ctx->rtx_at_ms, 0);
	fake_rx(core, ctx, TCP_ACK, 1, 101, 0);
	ck_assert_str_eq(fake_take(core), "acked 100; ");
	ck_assert_uint_eq(ctx->rtx_at_ms, 0);
	ck_assert_uint_eq(core->stack.stats.hp_acks, 1);
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx__partial_ack_keeps_the_timer)
{
	open_new();
	fake_write(core, ctx, 2920);
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK, 1, 1461, 0);
	ck_assert_str_eq(fake_take(core), "acked 1460; ");
	ck_assert_uint_ne(ctx->rtx_at_ms, 0);
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx__rtt_is_measured)
{
	open_new();
	ctx->srtt_us = 0;
	fake_write(core, ctx, 100);
	core->now_us += 7777;
	fake_rx(core, ctx, TCP_ACK, 1, 101, 0);
	ck_assert_uint_eq(ctx->srtt_us, 7777);
	ck_assert_uint_eq(ctx->rto_us, 7777 + 200000);
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx__timestamps_stay_on_the_fast_path)
{
	open_ts();
	fake_rx_ts(core, ctx, TCP_ACK, 1, 1, 64, 5, 0);
	ck_assert_uint_eq(core->stack.stats.hp_hits, 1);
	ck_assert_uint_eq(ctx->ts_recent, 5);
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx__ts_recent_is_that_of_the_first_unacked_segment)
{
	open_ts();
	fake_rx_ts(core, ctx, TCP_ACK, 1, 1, 64, 5, 0);
	fake_rx_ts(core, ctx, TCP_ACK, 65, 1, 64, 6, 0);
	ck_assert_uint_eq(ctx->ts_recent, 5); /* Last.ACK.sent is still 1 (RFC 7323 4.3) */
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx__paws_drops_and_acks)
{
	open_ts();
	fake_rx_ts(core, ctx, TCP_ACK, 1, 1, 64, 50, 0);
	fake_run(core, 50);
	fake_take(core);
	fake_rx_ts(core, ctx, TCP_ACK, 65, 1, 64, 49, 0);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "A 1+0 65; ");
	ck_assert_uint_eq(core->stack.stats.paws_estab, 1);
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx__paws_forgets_after_24_days)
{
	open_ts();
	fake_rx_ts(core, ctx, TCP_ACK, 1, 1, 64, 50, 0);
	fake_run(core, 50);
	core->now_us += 25ull * 86400 * 1000000;
	fake_take(core);
	fake_rx_ts(core, ctx, TCP_ACK, 65, 1, 64, 49, 0);
	ck_assert_str_eq(fake_take(core), "place 64+64; readable 128; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx__memory_short_takes_what_fits)
{
	open_new();
	core->place_max = 40;
	fake_rx(core, ctx, TCP_ACK, 1, 1, 64);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "place 0+64; place 0+64; readable 40; A 1+0 41; ");
	ck_assert_uint_eq(core->stack.stats.rcv_q_drop, 1);
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx__window_field_is_scaled)
{
	open_new();
	fake_rx_wnd(core, ctx, TCP_ACK, 1, 1, 10, 300);
	ck_assert_uint_eq(ctx->snd_wnd, 300u << 7);
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx__window_that_comes_with_data_lets_ours_go)
{
	open_new();
	fake_rx_wnd(core, ctx, TCP_ACK, 1, 1, 0, 23); /* two full segments and a bit */
	fake_write(core, ctx, 4 * 1460);
	fake_flush(core);
	ck_assert_uint_eq(ctx->snd_nxt - ctx->snd_una, 2 * 1460);
	ctx->flags |= TCP_CTX_PINGPONG; /* the ACK alone would wait */
	ctx->quick_n = 0;
	fake_rx_wnd(core, ctx, TCP_ACK, 1, 1, 10, 300);
	ck_assert_uint_eq(core->stack.stats.hp_hits, 1);
	fake_flush(core);
	ck_assert_uint_eq(ctx->snd_nxt, ctx->snd_tail);
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx__across_sequence_zero)
{
	core = fake_new(NULL);
	ctx = fake_accepted(core, NULL);
	/* Move the connection to the end of the number space. */
	ctx->irs = 0xffffffd0u;
	ctx->rcv_nxt = ctx->irs + 1;
	ctx->rcv_acked = ctx->rcv_nxt;
	ctx->rcv_head = ctx->rcv_nxt;
	ctx->rcv_adv = ctx->rcv_nxt + 60000;
	fake_rx(core, ctx, TCP_ACK, 1, 1, 100);
	ck_assert_str_eq(fake_take(core), "place 0+100; readable 100; ");
	ck_assert_uint_eq(ctx->rcv_nxt, 53);
	fake_free(core);
}
END_TEST

FACTS("tcp rx", tcp_rx__in_order_takes_the_fast_path, tcp_rx__request_and_response_are_two_segments,
		tcp_rx__second_full_segment_is_acked_at_once,
		tcp_rx__superframe_counts_as_its_segments,
		tcp_rx__superframe_is_acked_twice_while_segments_are_lost,
		tcp_rx__superframe_at_the_start_is_acked_once,
		tcp_rx__after_silence_full_segments_are_acked_at_once,
		tcp_rx__bulk_start_is_acked_quickly,
		tcp_rx__first_small_segments_are_acked_with_their_burst,
		tcp_rx__who_speaks_first_acks_the_first_answer_at_once,
		tcp_rx__after_sixteen_acks_small_segments_wait,
		tcp_rx__lone_segment_is_acked_by_the_timer,
		tcp_rx__after_the_timer_small_segments_are_acked_quickly,
		tcp_rx__quickack_option_acks_each, tcp_rx__one_burst_one_ack,
		tcp_rx__ack_frees_bytes_and_stops_the_timer, tcp_rx__partial_ack_keeps_the_timer,
		tcp_rx__rtt_is_measured, tcp_rx__timestamps_stay_on_the_fast_path,
		tcp_rx__ts_recent_is_that_of_the_first_unacked_segment, tcp_rx__paws_drops_and_acks,
		tcp_rx__paws_forgets_after_24_days, tcp_rx__memory_short_takes_what_fits,
		tcp_rx__window_field_is_scaled, tcp_rx__window_that_comes_with_data_lets_ours_go,
		tcp_rx__across_sequence_zero)
