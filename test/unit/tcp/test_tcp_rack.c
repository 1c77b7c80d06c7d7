/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * RACK-TLP, PRR, F-RTO, undo, D-SACK: each feature has a fact here that fails without it. Round trips take 10 ms.
 */
#include <string.h>

#include "test/unit/tcp/facts.h"
#include "test/unit/tcp/fake_up.h"

static struct core *core;
static struct tcp_ctx *ctx;

#define MSS 1460u
#define RTT_US 10000u
#define SEG(i) (1 + (i)*MSS) /* sequence of segment i, relative to ISS */

/* @n segments in flight, a round trip ago; nothing more to send. */
static void flight_of(uint32_t n)
{
	core = fake_new(NULL);
	ctx = fake_accepted(core, &(struct fake_peer){.sack = true, .wscale = true, .mss = 1460});
	ctx->srtt_us = RTT_US;
	ctx->rttvar_us = RTT_US / 4;
	ctx->rtt_min_us = RTT_US;
	ctx->cwnd = 100 * MSS;
	fake_write(core, ctx, n * MSS);
	ck_assert_uint_eq(ctx->snd_nxt - ctx->iss, SEG(n));
	fake_take(core);
	core->now_us += RTT_US;
}

static void sack(uint32_t ack, uint32_t lo, uint32_t hi)
{
	fake_rx_sack(core, ctx, 1, SEG(ack), (const uint32_t[][2]){{SEG(lo), SEG(hi)}}, 1);
	fake_flush(core);
}

static void ack(uint32_t n)
{
	fake_rx(core, ctx, TCP_ACK, 1, SEG(n), 0);
	fake_flush(core);
}

START_TEST(rack__one_sack_is_enough_after_the_reordering_window)
{
	flight_of(4);
	sack(0, 1, 2);
	ck_assert_str_eq(fake_take(core), "");
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_DISORDER);
	/* a quarter of the round trip */
	fake_run(core, 2);
	ck_assert_str_eq(fake_take(core), "");
	fake_run(core, 2);
	ck_assert_str_eq(fake_take(core), "rtx A 1+1460 1; ");
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_RECOVERY);
	fake_free(core);
}
END_TEST

START_TEST(rack__late_arrival_within_the_window_is_no_loss)
{
	flight_of(4);
	sack(0, 1, 2);
	fake_run(core, 1);
	ack(2);
	fake_run(core, 5);
	ck_assert_ptr_null(strstr(fake_take(core), "rtx A 1+"));
	ck_assert_uint_eq(ctx->flags2 & TCP_CTX2_REORDERED, TCP_CTX2_REORDERED);
	fake_free(core);
}
END_TEST

START_TEST(rack__after_reordering_three_sacks_do_not_hurry)
{
	flight_of(8);
	ctx->flags2 |= TCP_CTX2_REORDERED;
	sack(0, 1, 5);
	ck_assert_str_eq(fake_take(core), "");
	fake_run(core, 4);
	ck_assert_ptr_nonnull(strstr(fake_take(core), "rtx A 1+1460 1; "));
	fake_free(core);
}
END_TEST

START_TEST(rack__lost_retransmission_is_sent_again_without_timeout)
{
	flight_of(10);
	sack(0, 1, 5);
	ck_assert_str_eq(fake_take(core), "rtx A 1+1460 1; ");
	/* New data leaves after the retransmission, and arrives; the retransmission does not. */
	core->now_us += 1000;
	fake_write(core, ctx, 4 * MSS);
	fake_take(core);
	core->now_us += RTT_US;
	sack(0, 1, 13);
	ck_assert_int_eq(strncmp(fake_take(core), "rtx A 1+1460 1; ", 16), 0);
	ck_assert_uint_eq(core->stack.stats.timeouts, 0);
	fake_free(core);
}
END_TEST

START_TEST(rack__dsack_widens_the_window_once_a_round)
{
	flight_of(4);
	ack(2);
	fake_rx_sack(core, ctx, 1, SEG(2), (const uint32_t[][2]){{SEG(0), SEG(1)}}, 1);
	ck_assert_uint_eq(ctx->rack_reo_mult, 2);
	fake_rx_sack(core, ctx, 1, SEG(2), (const uint32_t[][2]){{SEG(1), SEG(2)}}, 1);
	ck_assert_uint_eq(ctx->rack_reo_mult, 2);
	fake_free(core);
}
END_TEST

START_TEST(tlp__last_segment_again_after_two_round_trips)
{
	flight_of(3);
	fake_run(core, 8);
	ck_assert_str_eq(fake_take(core), "");
	fake_run(core, 8);
	ck_assert_str_eq(fake_take(core), "rtx PA 2921+1460 1; ");
	ck_assert_uint_eq(core->stack.stats.loss_probes, 1);
	/* One probe, then the timeout. */
	fake_run(core, 100);
	ck_assert_str_eq(fake_take(core), "");
	fake_free(core);
}
END_TEST

START_TEST(tlp__a_short_last_segment_is_the_last_segment)
{
	flight_of(2);
	ack(2);
	ctx->flags |= TCP_CTX_NODELAY;
	fake_write(core, ctx, 2 * MSS + 500);
	fake_take(core);
	fake_run(core, 35);
	ck_assert_str_eq(fake_take(core), "rtx PA 5841+500 1; ");
	fake_free(core);
}
END_TEST

START_TEST(tlp__the_fin_rides_on_the_last_segment)
{
	flight_of(2);
	ack(2);
	fake_take(core);
	core->burst_bytes = 65536;
	ctx->snd_wnd = 0; /* nothing leaves before the FIN is queued */
	fake_write(core, ctx, 2 * MSS);
	ctx->snd_wnd = 100 * MSS;
	tcp_shut_wr(&core->stack, core, ctx, core->now_us);
	ck_assert_str_eq(fake_take(core), "FPA 2921+2920 1; ");
	fake_run(core, 35);
	ck_assert_str_eq(fake_take(core), "rtx FPA 4381+1460 1; ");
	fake_free(core);
}
END_TEST

START_TEST(tlp__gives_the_timeout_its_full_time)
{
	flight_of(3);
	ctx->rto_us = 200000;
	fake_run(core, 60); /* the probe, after 22 ms */
	ck_assert_str_eq(fake_take(core), "rtx PA 2921+1460 1; ");
	/* 200 ms after the probe, not after the segments before it */
	fake_run(core, 150);
	ck_assert_str_eq(fake_take(core), "");
	fake_run(core, 20);
	ck_assert_ptr_nonnull(strstr(fake_take(core), "rtx A 1+1460 1; "));
	fake_free(core);
}
END_TEST

START_TEST(tlp__prefers_new_data)
{
	flight_of(3);
	ctx->cwnd = 3 * MSS;
	fake_write(core, ctx, 2 * MSS);
	ck_assert_str_eq(fake_take(core), "");
	fake_run(core, 16);
	ck_assert_str_eq(fake_take(core), "A 4381+1460 1; ");
	fake_free(core);
}
END_TEST

START_TEST(tlp__sack_of_the_probe_reveals_the_lost_tail)
{
	flight_of(5);
	ack(2);
	fake_take(core);
	fake_run(core, 25);
	ck_assert_str_eq(fake_take(core), "rtx PA 5841+1460 1; ");
	core->now_us += RTT_US;
	sack(2, 4, 5);
	fake_run(core, 15);
	ck_assert_str_eq(fake_take(core), "rtx A 2921+1460 1; ");
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_RECOVERY);
	ck_assert_uint_eq(core->stack.stats.timeouts, 0);
	fake_free(core);
}
END_TEST

START_TEST(tlp__loss_that_the_probe_repaired_reduces_cwnd)
{
	flight_of(3);
	fake_run(core, 16);
	core->now_us += RTT_US;
	fake_write(core, ctx, MSS);
	ack(4);
	ck_assert_uint_eq(core->stack.stats.loss_probe_recovery, 1);
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_OPEN);
	ck_assert_uint_eq(ctx->cwnd, 70 * MSS);
	fake_free(core);
}
END_TEST

START_TEST(tlp__dsack_of_the_probe_means_no_loss)
{
	flight_of(3);
	fake_run(core, 16);
	core->now_us += RTT_US;
	fake_rx_sack(core, ctx, 1, SEG(3), (const uint32_t[][2]){{SEG(2), SEG(3)}}, 1);
	ck_assert_uint_eq(core->stack.stats.loss_probe_recovery, 0);
	ck_assert_uint_eq(ctx->cwnd, 100 * MSS);
	ck_assert_uint_eq(ctx->flags & TCP_CTX_CAREFUL, 0);
	fake_free(core);
}
END_TEST

START_TEST(tlp__alone_waits_for_a_delayed_ack)
{
	flight_of(1);
	fake_run(core, 150);
	ck_assert_str_eq(fake_take(core), "");
	fake_free(core);
}
END_TEST

START_TEST(prr__sends_in_proportion_to_what_arrives)
{
	uint32_t out = 0;

	flight_of(20);
	ctx->cwnd = 20 * MSS;
	fake_write(core, ctx, 100 * MSS);
	fake_take(core);
	for (uint32_t i = 2; i <= 20; i++) {
		const char *sent;

		sack(0, 1, i);
		for (sent = fake_take(core); (sent = strstr(sent, "A ")) != NULL; sent += 2)
			out++;
	}
	/* 19 delivered; 0.7 of them, the first segment again included, and two of limited transmit */
	ck_assert_uint_ge(out, 13);
	ck_assert_uint_le(out, 16);
	ck_assert_uint_le(tcp_loss_pipe(ctx), 14 * MSS);
	fake_free(core);
}
END_TEST

START_TEST(frto__original_arrives_after_the_timeout)
{
	flight_of(10);
	core->stack.conf.tlp = false;
	tcp_timer_arm_rtx(&(struct tcp_env)TCP_ENV(&core->stack, core, core->now_us), ctx);
	fake_run(core, 250);
	ck_assert_str_eq(fake_take(core), "rtx A 1+1460 1; ");
	ck_assert_uint_eq(ctx->cwnd, MSS);
	fake_write(core, ctx, 10 * MSS);
	/* The delayed ACK of the original, then of what was sent once only. */
	ack(1);
	ck_assert_str_eq(fake_take(core), "acked 1460; A 14601+1460 1; A 16061+1460 1; ");
	ack(4);
	ck_assert_uint_eq(core->stack.stats.spurious_rtos, 1);
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_OPEN);
	ck_assert_uint_ge(ctx->cwnd, 100 * MSS);
	ck_assert_ptr_null(strstr(fake_take(core), "rtx"));
	fake_free(core);
}
END_TEST

START_TEST(undo__dsack_for_every_retransmission_restores_cwnd)
{
	flight_of(10);
	sack(0, 1, 5);
	ck_assert_str_eq(fake_take(core), "rtx A 1+1460 1; ");
	ck_assert_uint_lt(ctx->cwnd, 100 * MSS);
	/* The original had only been late: the retransmission is the second to come. */
	core->now_us += RTT_US / 10;
	ack(6);
	core->now_us += RTT_US;
	fake_rx_sack(core, ctx, 1, SEG(10), (const uint32_t[][2]){{SEG(0), SEG(1)}}, 1);
	ck_assert_uint_eq(ctx->cwnd, 100 * MSS);
	ck_assert_uint_eq(core->stack.stats.dsack_undo + core->stack.stats.full_undo, 1);
	fake_free(core);
}
END_TEST

START_TEST(undo__reneged_sacks_are_sent_again)
{
	flight_of(6);
	sack(0, 2, 4);
	fake_take(core);
	ack(2); /* stands at what was SACKed */
	core->stack.conf.tlp = false;
	fake_run(core, 600);
	ck_assert_uint_ge(core->stack.stats.sack_reneging, 1);
	ck_assert_ptr_nonnull(strstr(fake_take(core), "rtx A 2921+1460 1; "));
	fake_free(core);
}
END_TEST

START_TEST(dsack__old_bytes_are_reported)
{
	const struct tcp_txseg *seg;

	flight_of(1);
	fake_rx(core, ctx, TCP_ACK, 1, 1, 100);
	fake_flush(core);
	fake_rx(core, ctx, TCP_ACK, 51, 1, 50);
	fake_flush(core);
	seg = fake_last(core);
	ck_assert_uint_eq(seg->opt_len, 12);
	ck_assert_uint_eq(seg->opt[2], 5);
	ck_assert_uint_eq(seg->opt[3], 10);
	ck_assert_uint_eq((uint32_t)seg->opt[6] << 8 | seg->opt[7], (uint16_t)(FAKE_IRS + 51));
	ck_assert_uint_eq((uint32_t)seg->opt[10] << 8 | seg->opt[11], (uint16_t)(FAKE_IRS + 101));
	/* once */
	fake_rx(core, ctx, TCP_ACK, 101, 1, 5000);
	fake_flush(core);
	ck_assert_uint_eq(fake_last(core)->opt_len, 0);
	fake_free(core);
}
END_TEST

START_TEST(dsack__out_of_order_bytes_come_twice)
{
	const struct tcp_txseg *seg;

	flight_of(1);
	fake_rx(core, ctx, TCP_ACK, 201, 1, 100);
	fake_flush(core);
	fake_rx(core, ctx, TCP_ACK, 201, 1, 50);
	fake_flush(core);
	seg = fake_last(core);
	/* the report, and the range it lies in */
	ck_assert_uint_eq(seg->opt[3], 18);
	ck_assert_uint_eq((uint32_t)seg->opt[10] << 8 | seg->opt[11], (uint16_t)(FAKE_IRS + 251));
	ck_assert_uint_eq(core->stack.stats.dsack_ofo_sent, 1);
	fake_free(core);
}
END_TEST

START_TEST(tcp_ack__fin_is_no_byte_of_the_stream)
{
	flight_of(2);
	tcp_shut_wr(&core->stack, core, ctx, core->now_us);
	fake_rx(core, ctx, TCP_ACK, 1, SEG(2) + 1, 0);
	ck_assert_uint_eq(ctx->tx_bytes, 2 * MSS);
	fake_free(core);
}
END_TEST

START_TEST(sent_log__a_flight_that_left_at_once_has_none)
{
	flight_of(5);
	ck_assert_uint_eq(ctx->sent_log, 0);
	ack(2);
	ck_assert_uint_eq(ctx->sent_log, 0);
	fake_write(core, ctx, 10);
	ck_assert_uint_ne(ctx->sent_log, 0);
	fake_rx(core, ctx, TCP_ACK, 1, SEG(5) + 10, 0);
	ck_assert_uint_eq(ctx->sent_log, 0);
	fake_free(core);
}
END_TEST

START_TEST(sent_log__full_of_holes_goes_on)
{
	flight_of(1);
	ack(1);
	ctx->flags |= TCP_CTX_NODELAY;
	ctx->cwnd = 2000 * MSS;
	ctx->snd_wnd = 2000 * MSS;
	for (uint32_t i = 0; i < 600; i++) {
		fake_write(core, ctx, 100);
		core->now_us += 7;
	}
	/* every second segment */
	for (uint32_t i = 1; i < 600; i += 2) {
		uint32_t lo = SEG(1) + 100 * i;

		fake_rx_sack(core, ctx, 1, SEG(1), (const uint32_t[][2]){{lo, lo + 100}}, 1);
	}
	ck_assert_uint_gt(core->stack.stats.sack_discard, 0);
	core->now_us += RTT_US;
	fake_rx(core, ctx, TCP_ACK, 1, SEG(1) + 60000, 0);
	ck_assert_uint_eq(ctx->sent_log, 0);
	ck_assert_uint_eq(ctx->snd_una, ctx->snd_nxt);
	fake_free(core);
}
END_TEST

/* @n segments in flight, one every 100 us. */
static void flight_of_bursts(uint32_t n)
{
	core = fake_new(NULL);
	ctx = fake_accepted(core, &(struct fake_peer){.sack = true, .wscale = true, .mss = 1460});
	ctx->snd_wnd = ctx->snd_wnd_max = 1 << 22;
	ctx->srtt_us = ctx->rtt_min_us = 4 * RTT_US;
	ctx->cwnd = 1 << 22;
	for (uint32_t i = 0; i < n; i++) {
		fake_write(core, ctx, MSS);
		core->now_us += 100;
	}
	fake_take(core);
}

/* A full log melts; the times that are left are true: an RTT too short would be believed for long. */
START_TEST(sent_log__full_gives_no_rtt_shorter_than_the_path)
{
	flight_of_bursts(600);
	ck_assert_uint_ne(ctx->sent_log, 0);
	core->now_us += 4 * RTT_US;
	for (uint32_t i = 1; i <= 600; i++)
		fake_rx(core, ctx, TCP_ACK, 1, SEG(i), 0);
	ck_assert_uint_ge(ctx->rtt_min_us, 4 * RTT_US);
	fake_free(core);
}
END_TEST

/* Once the log melted into one record by the first SACK that found it more than half full. */
START_TEST(sent_log__half_full_keeps_its_times)
{
	flight_of_bursts(200);
	core->now_us += 4 * RTT_US;
	fake_rx_sack(core, ctx, 1, 1, (const uint32_t[][2]){{SEG(1), SEG(2)}}, 1);
	fake_rx_sack(core, ctx, 1, 1, (const uint32_t[][2]){{SEG(1), SEG(3)}}, 1);
	ck_assert_uint_gt(core->stack.log[ctx->sent_log].n, 190);
	ck_assert_uint_ge(ctx->rtt_min_us, 4 * RTT_US);
	fake_free(core);
}
END_TEST

FACTS("tcp rack", rack__one_sack_is_enough_after_the_reordering_window,
		rack__late_arrival_within_the_window_is_no_loss,
		rack__after_reordering_three_sacks_do_not_hurry,
		rack__lost_retransmission_is_sent_again_without_timeout,
		rack__dsack_widens_the_window_once_a_round,
		tlp__last_segment_again_after_two_round_trips,
		tlp__a_short_last_segment_is_the_last_segment,
		tlp__the_fin_rides_on_the_last_segment, tlp__gives_the_timeout_its_full_time,
		tlp__prefers_new_data, tlp__sack_of_the_probe_reveals_the_lost_tail,
		tlp__loss_that_the_probe_repaired_reduces_cwnd,
		tlp__dsack_of_the_probe_means_no_loss, tlp__alone_waits_for_a_delayed_ack,
		prr__sends_in_proportion_to_what_arrives, frto__original_arrives_after_the_timeout,
		undo__dsack_for_every_retransmission_restores_cwnd,
		undo__reneged_sacks_are_sent_again, dsack__old_bytes_are_reported,
		dsack__out_of_order_bytes_come_twice, sent_log__a_flight_that_left_at_once_has_none,
		sent_log__full_of_holes_goes_on, sent_log__full_gives_no_rtt_shorter_than_the_path,
		sent_log__half_full_keeps_its_times, tcp_ack__fin_is_no_byte_of_the_stream)
