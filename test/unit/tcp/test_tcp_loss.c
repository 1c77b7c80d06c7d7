/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "test/unit/tcp/facts.h"
#include "test/unit/tcp/fake_up.h"

static struct core *core;
static struct tcp_ctx *ctx;

#define MSS 1460u
#define RTT_US 10000u
#define SEG(i) (1 + (i)*MSS) /* sequence of segment i, relative to ISS */

/* Ten segments in flight, more to send. */
static void in_flight(bool sack)
{
	core = fake_new(NULL);
	ctx = fake_accepted(core, &(struct fake_peer){.sack = sack, .wscale = true, .mss = 1460});
	ctx->srtt_us = RTT_US;
	ctx->rtt_min_us = RTT_US;
	fake_write(core, ctx, 100 * MSS);
	ck_assert_uint_eq(ctx->snd_nxt - ctx->iss, SEG(10));
	fake_take(core);
	core->now_us += RTT_US;
}

static void dupack(void)
{
	fake_rx(core, ctx, TCP_ACK, 1, ctx->snd_una - ctx->iss, 0);
	fake_flush(core);
}

static void sack(uint32_t ack, uint32_t lo, uint32_t hi)
{
	fake_rx_sack(core, ctx, 1, SEG(ack), (const uint32_t[][2]){{SEG(lo), SEG(hi)}}, 1);
	fake_flush(core);
}

START_TEST(limited_transmit__one_new_segment_per_duplicate)
{
	in_flight(false);
	dupack();
	ck_assert_str_eq(fake_take(core), "A 14601+1460 1; ");
	dupack();
	ck_assert_str_eq(fake_take(core), "A 16061+1460 1; ");
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_DISORDER);
	fake_free(core);
}
END_TEST

START_TEST(newreno__third_duplicate_retransmits)
{
	in_flight(false);
	dupack();
	dupack();
	fake_take(core);
	dupack();
	ck_assert_str_eq(fake_take(core), "rtx A 1+1460 1; ");
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_RECOVERY);
	ck_assert_uint_eq(core->stack.stats.reno_recovery, 1);
	ck_assert_uint_eq(ctx->ssthresh, 10220);     /* 0.7 of ten segments: CUBIC */
	ck_assert_uint_eq(ctx->cwnd, (8 + 1) * MSS); /* PRR: what is in the network, and one */
	fake_free(core);
}
END_TEST

START_TEST(newreno__more_duplicates_let_new_segments_go)
{
	in_flight(false);
	for (int i = 0; i < 3; i++)
		dupack();
	fake_take(core);
	for (int i = 0; i < 6; i++)
		dupack();
	/* flight 12, less 9 duplicates: 3 in the network; cwnd 7 */
	ck_assert_str_eq(fake_take(core),
			"A 17521+1460 1; A 18981+1460 1; A 20441+1460 1; A 21901+1460 1; ");
	fake_free(core);
}
END_TEST

START_TEST(newreno__partial_ack_retransmits_the_next_hole)
{
	in_flight(false);
	for (int i = 0; i < 3; i++)
		dupack();
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK, 1, SEG(4), 0);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "acked 5840; rtx A 5841+1460 1; ");
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_RECOVERY);
	fake_free(core);
}
END_TEST

START_TEST(newreno__full_ack_ends_recovery)
{
	in_flight(false);
	for (int i = 0; i < 3; i++)
		dupack();
	fake_rx(core, ctx, TCP_ACK, 1, ctx->recover - ctx->iss, 0);
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_OPEN);
	ck_assert_uint_ge(ctx->cwnd, 10220);
	ck_assert_uint_lt(ctx->cwnd, 10220 + MSS);
	fake_free(core);
}
END_TEST

START_TEST(newreno__echoes_after_recovery_start_no_new_one)
{
	in_flight(false);
	for (int i = 0; i < 3; i++)
		dupack();
	fake_rx(core, ctx, TCP_ACK, 1, ctx->recover - ctx->iss, 0);
	fake_flush(core);
	for (int i = 0; i < 4; i++)
		dupack();
	ck_assert_uint_lt(ctx->loss_state, TCP_LOSS_RECOVERY);
	ck_assert_uint_eq(ctx->recoveries_n, 1);
	fake_free(core);
}
END_TEST

START_TEST(dupack__data_or_window_change_does_not_count)
{
	in_flight(false);
	for (uint32_t i = 0; i < 4; i++)
		fake_rx(core, ctx, TCP_ACK, 1 + 10 * i, 1, 10);
	for (uint32_t i = 0; i < 4; i++)
		fake_rx_wnd(core, ctx, TCP_ACK, 41, 1, 0, (uint16_t)(1000 + i));
	ck_assert_uint_eq(ctx->dupacks, 0);
	fake_free(core);
}
END_TEST

START_TEST(sack__three_segments_above_mean_loss)
{
	in_flight(true);
	sack(0, 1, 4);
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_RECOVERY);
	ck_assert_int_eq(strncmp(fake_take(core), "rtx A 1+1460 1; ", 16), 0);
	ck_assert_uint_eq(core->stack.stats.sack_recovery, 1);
	fake_free(core);
}
END_TEST

START_TEST(sack__two_segments_above_do_not)
{
	in_flight(true);
	sack(0, 1, 3);
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_DISORDER);
	ck_assert_str_eq(fake_take(core), "A 14601+1460 1; A 16061+1460 1; ");
	fake_free(core);
}
END_TEST

START_TEST(sack__only_the_holes_are_sent_again)
{
	in_flight(true);
	fake_rx_sack(core, ctx, 1, 1, (const uint32_t[][2]){{SEG(6), SEG(10)}, {SEG(3), SEG(5)}},
			2);
	fake_flush(core);
	/* lost: 0, 1, 2, 5; six delivered, so PRR lets six go */
	ck_assert_str_eq(fake_take(core),
			"rtx A 1+1460 1; rtx A 1461+1460 1; rtx A 2921+1460 1; rtx A 7301+1460 1; "
			"A 14601+1460 1; A 16061+1460 1; ");
	fake_free(core);
}
END_TEST

START_TEST(sack__pipe_never_exceeds_cwnd_in_recovery)
{
	in_flight(true);
	sack(0, 3, 7);
	ck_assert_uint_le(tcp_loss_pipe(ctx), ctx->cwnd);
	sack(0, 3, 9);
	ck_assert_uint_le(tcp_loss_pipe(ctx), ctx->cwnd);
	fake_free(core);
}
END_TEST

START_TEST(sack__hole_sent_once_per_recovery)
{
	in_flight(true);
	sack(0, 1, 4);
	fake_take(core);
	sack(0, 1, 6);
	sack(0, 1, 8);
	ck_assert_ptr_null(strstr(fake_take(core), "rtx"));
	fake_free(core);
}
END_TEST

START_TEST(sack__recovery_ends_at_recover)
{
	in_flight(true);
	sack(0, 1, 10);
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_RECOVERY);
	fake_rx(core, ctx, TCP_ACK, 1, ctx->recover - ctx->iss, 0);
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_OPEN);
	ck_assert_uint_eq(ctx->sacked_bytes, 0);
	fake_free(core);
}
END_TEST

START_TEST(sack__block_beyond_snd_nxt_is_discarded)
{
	in_flight(true);
	fake_rx_sack(core, ctx, 1, 1, (const uint32_t[][2]){{SEG(1), SEG(11)}}, 1);
	ck_assert_uint_eq(ctx->sacked_bytes, 0);
	ck_assert_uint_eq(core->stack.stats.sack_discard, 1);
	fake_free(core);
}
END_TEST

START_TEST(sack__reversed_block_is_discarded)
{
	in_flight(true);
	fake_rx_sack(core, ctx, 1, 1, (const uint32_t[][2]){{SEG(3), SEG(2)}}, 1);
	ck_assert_uint_eq(ctx->sacked_bytes, 0);
	fake_free(core);
}
END_TEST

START_TEST(sack__dsack_is_no_loss)
{
	in_flight(true);
	fake_rx(core, ctx, TCP_ACK, 1, SEG(5), 0);
	for (int i = 0; i < 4; i++)
		fake_rx_sack(core, ctx, 1, SEG(5), (const uint32_t[][2]){{SEG(1), SEG(2)}}, 1);
	ck_assert_uint_eq(core->stack.stats.dsack_recv, 4);
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_OPEN);
	fake_free(core);
}
END_TEST

START_TEST(sack__without_logs_duplicates_still_count)
{
	in_flight(true);
	core->stack.log_free = 0;
	core->stack.log_n = 0;
	for (uint32_t i = 2; i < 5; i++)
		sack(0, 1, i);
	ck_assert_ptr_nonnull(strstr(fake_take(core), "rtx A 1+1460 1; "));
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_RECOVERY);
	fake_free(core);
}
END_TEST

START_TEST(rack__delivered_retransmission_proves_older_losses)
{
	in_flight(true);
	/* 0 lost, 1..6 arrived, 7..9 lost: nothing above them to tell. */
	ctx->snd_tail = ctx->snd_nxt;
	sack(0, 1, 7);
	ck_assert_str_eq(fake_take(core), "rtx A 1+1460 1; ");
	core->now_us += RTT_US;
	/* What left after them has come. */
	fake_rx(core, ctx, TCP_ACK, 1, SEG(7), 0);
	fake_flush(core);
	ck_assert_ptr_nonnull(strstr(fake_take(core), "rtx A 10221+1460 1; rtx A 11681+1460 1; "));
	fake_free(core);
}
END_TEST

START_TEST(rto__everything_again_in_slow_start)
{
	in_flight(true);
	core->stack.conf.tlp = false;
	tcp_timer_arm_rtx(&(struct tcp_env)TCP_ENV(&core->stack, core, core->now_us), ctx);
	fake_run(core, 250);
	ck_assert_str_eq(fake_take(core), "rtx A 1+1460 1; ");
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_RTO);
	ck_assert_uint_eq(ctx->cwnd, MSS);
	ck_assert_uint_eq(ctx->ssthresh, 10220);
	fake_rx(core, ctx, TCP_ACK, 1, SEG(1), 0);
	fake_flush(core);
	/* F-RTO: something new first, which would show that the timeout was none. */
	ck_assert_str_eq(fake_take(core), "acked 1460; A 14601+1460 1; A 16061+1460 1; ");
	sack(1, 10, 11);
	ck_assert_str_eq(fake_take(core), "rtx A 1461+1460 1; ");
	fake_free(core);
}
END_TEST

START_TEST(rto__sacked_bytes_are_not_sent_again)
{
	in_flight(true);
	core->stack.conf.tlp = false;
	tcp_timer_arm_rtx(&(struct tcp_env)TCP_ENV(&core->stack, core, core->now_us), ctx);
	sack(0, 1, 2);
	fake_run(core, 250);
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK, 1, SEG(2), 0);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "acked 2920; rtx A 2921+1460 1; rtx A 4381+1460 1; ");
	fake_free(core);
}
END_TEST

START_TEST(rto__backs_off_and_keeps_ssthresh)
{
	in_flight(true);
	core->stack.conf.tlp = false;
	tcp_timer_arm_rtx(&(struct tcp_env)TCP_ENV(&core->stack, core, core->now_us), ctx);
	fake_run(core, 250);
	fake_take(core);
	fake_run(core, 350);
	ck_assert_str_eq(fake_take(core), "");
	fake_run(core, 100);
	ck_assert_str_eq(fake_take(core), "rtx A 1+1460 1; ");
	ck_assert_uint_eq(ctx->backoff_n, 2);
	ck_assert_uint_eq(ctx->ssthresh, 10220);
	fake_free(core);
}
END_TEST

START_TEST(rto__ack_of_new_data_ends_the_backoff)
{
	in_flight(true);
	fake_run(core, 700);
	fake_rx(core, ctx, TCP_ACK, 1, SEG(1), 0);
	ck_assert_uint_eq(ctx->backoff_n, 0);
	fake_free(core);
}
END_TEST

START_TEST(rto__reneged_scoreboard_is_forgotten)
{
	in_flight(true);
	core->stack.conf.tlp = false;
	tcp_timer_arm_rtx(&(struct tcp_env)TCP_ENV(&core->stack, core, core->now_us), ctx);
	sack(0, 1, 2);
	fake_rx(core, ctx, TCP_ACK, 1, SEG(1), 0); /* snd_una stands at what was SACKed */
	fake_run(core, 250);
	ck_assert_uint_eq(ctx->sacked_bytes, 0);
	ck_assert_ptr_nonnull(strstr(fake_take(core), "rtx A 1461+1460 1; "));
	fake_free(core);
}
END_TEST

START_TEST(rto__gives_up_after_fifteen)
{
	in_flight(true);
	fake_run(core, 1500000);
	ck_assert_uint_eq(core->closed_n, 1);
	ck_assert_int_eq(core->closed_why, ETA_STATUS_TIMED_OUT);
	ck_assert_uint_eq(core->stack.stats.timeouts, 15);
	fake_free(core);
}
END_TEST

START_TEST(rto__karn_no_sample_from_a_retransmission)
{
	uint32_t srtt;

	in_flight(true);
	srtt = ctx->srtt_us;
	fake_run(core, 250);
	core->now_us += 30000;
	fake_rx(core, ctx, TCP_ACK, 1, SEG(1), 0);
	ck_assert_uint_eq(ctx->srtt_us, srtt);
	fake_free(core);
}
END_TEST

/* All that is in flight stands in the context: what of it was sent twice measures nothing. */
START_TEST(rtt__without_log_no_sample_across_a_fast_retransmit)
{
	uint32_t srtt;

	core = fake_new(NULL);
	ctx = fake_accepted(core, &(struct fake_peer){.mss = 1460});
	core->stack.log_free = 0;
	core->stack.log_n = 0;
	fake_write(core, ctx, 4 * MSS);
	core->now_us += RTT_US;
	srtt = ctx->srtt_us;
	for (int i = 0; i < 3; i++)
		dupack();
	ck_assert_ptr_nonnull(strstr(fake_take(core), "rtx A 1+1460 1; "));
	core->now_us += 300 * RTT_US;
	fake_rx(core, ctx, TCP_ACK, 1, SEG(4), 0);
	ck_assert_uint_eq(ctx->srtt_us, srtt);
	fake_free(core);
}
END_TEST

START_TEST(rtt__no_sample_of_a_window_probe)
{
	uint32_t srtt;

	core = fake_new(NULL);
	ctx = fake_accepted(core, NULL);
	fake_write(core, ctx, 100);
	core->now_us += RTT_US;
	fake_rx_wnd(core, ctx, TCP_ACK, 1, 101, 0, 0);
	srtt = ctx->srtt_us;
	core->now_us += 9000000; /* the last flight is long ago */
	fake_write(core, ctx, 100);
	fake_run(core, 250);
	ck_assert(ctx->flags & TCP_CTX_PROBED);
	fake_rx_wnd(core, ctx, TCP_ACK, 1, 102, 0, 100);
	ck_assert_uint_eq(ctx->srtt_us, srtt);
	fake_free(core);
}
END_TEST

START_TEST(rto__waits_for_what_was_sent_again_without_log)
{
	in_flight(false);
	ctx->rto_us = 200000;
	core->stack.log_free = 0;
	core->stack.log_n = 0;
	fake_run(core, 150);
	dupack();
	dupack();
	fake_take(core);
	dupack();
	ck_assert_str_eq(fake_take(core), "rtx A 1+1460 1; ");
	fake_run(core, 190);
	ck_assert_uint_eq(core->stack.stats.timeouts, 0);
	fake_run(core, 30);
	ck_assert_uint_eq(core->stack.stats.timeouts, 1);
	fake_free(core);
}
END_TEST

START_TEST(rto__fin_is_sent_again)
{
	core = fake_new(NULL);
	ctx = fake_accepted(core, NULL);
	tcp_shut_wr(&core->stack, core, ctx, core->now_us);
	fake_take(core);
	fake_run(core, 250);
	ck_assert_str_eq(fake_take(core), "rtx FA 1+0 1; ");
	fake_free(core);
}
END_TEST

START_TEST(user_timeout__ends_before_the_retries)
{
	in_flight(true);
	tcp_param(&core->stack, core, ctx, &(struct tcp_param){.user_timeout_ms = 1000},
			core->now_us);
	fake_run(core, 990);
	ck_assert_uint_eq(core->closed_n, 0);
	fake_run(core, 30);
	ck_assert_uint_eq(core->closed_n, 1);
	ck_assert_int_eq(core->closed_why, ETA_STATUS_TIMED_OUT);
	fake_free(core);
}
END_TEST

START_TEST(icmp_too_big__shrinks_and_sends_again)
{
	in_flight(true);
	ck_assert(!tcp_icmp_is_credible(ctx, ctx->snd_una - 1)); /* not in flight: forged */
	ck_assert(!tcp_icmp_is_credible(ctx, ctx->snd_nxt));
	ck_assert(tcp_icmp_is_credible(ctx, ctx->snd_una));
	tcp_mss_changed(&core->stack, core, ctx, 1000, core->now_us);
	fake_flush(core);
	ck_assert_uint_eq(ctx->mss, 1000);
	ck_assert_int_eq(strncmp(fake_take(core), "rtx A 1+1000 1; ", 16), 0);
	ck_assert_uint_eq(ctx->cwnd, 14600);
	fake_free(core);
}
END_TEST

START_TEST(icmp_too_big__short_flight_is_left_alone)
{
	/* what is in flight fits the smaller segment, so it arrived or was lost for another reason */
	core = fake_new(NULL);
	ctx = fake_accepted(core, &(struct fake_peer){.sack = true, .mss = 1460});
	fake_write(core, ctx, 500);
	fake_take(core);
	tcp_mss_changed(&core->stack, core, ctx, 1000, core->now_us);
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "");
	tcp_mss_changed(&core->stack, core, ctx, 1200, core->now_us);
	ck_assert_uint_eq(ctx->mss, 1200); /* the path has become wider again */
	fake_free(core);
}
END_TEST

static bool icmp(enum eta_status why, bool ends_embryo)
{
	return tcp_icmp_error(&core->stack, core, ctx, why, ends_embryo, core->now_us);
}

START_TEST(icmp_error__ends_an_attempt_by_its_reason)
{
	core = fake_new(NULL);
	ctx = fake_ctx(core);
	tcp_connect(&core->stack, core, ctx, &core->tuple, NULL, core->now_us);
	fake_take(core);
	ck_assert(icmp(ETA_STATUS_REFUSED, false));
	ck_assert_str_eq(fake_take(core), "closed REFUSED; free; ");
	fake_free(core);
}
END_TEST

START_TEST(icmp_error__is_the_reason_of_a_timeout)
{
	in_flight(true);
	ck_assert(!icmp(ETA_STATUS_NET_UNREACHABLE, true));
	ck_assert(!icmp(ETA_STATUS_UNREACHABLE, true));
	ck_assert_uint_eq(core->closed_n, 0);
	fake_run(core, 2000000);
	ck_assert_uint_eq(core->closed_n, 1);
	ck_assert_int_eq(core->closed_why, ETA_STATUS_UNREACHABLE);
	fake_free(core);
}
END_TEST

START_TEST(icmp_error__is_forgotten_by_an_acknowledgement)
{
	in_flight(true);
	ck_assert(!icmp(ETA_STATUS_NET_UNREACHABLE, true));
	fake_rx(core, ctx, TCP_ACK, 1, SEG(1), 0);
	fake_take(core);
	fake_run(core, 2000000);
	ck_assert_uint_eq(core->closed_n, 1);
	ck_assert_int_eq(core->closed_why, ETA_STATUS_TIMED_OUT);
	fake_free(core);
}
END_TEST

/* A user who never fills the window, and never pauses either, has tested no capacity (RFC 7661 4.3, RFC 9293 3.8.2). */
START_TEST(cwnd__grows_only_as_far_as_it_is_used)
{
	uint32_t cwnd;

	core = fake_new(NULL);
	ctx = fake_accepted(core, NULL);
	cwnd = ctx->cwnd;
	for (uint32_t i = 1; i <= 200; i++) {
		fake_write(core, ctx, 1460);
		core->now_us += 10000;
		fake_rx(core, ctx, TCP_ACK, 1, 1 + i * 1460, 0);
		fake_flush(core);
	}
	ck_assert_uint_eq(ctx->cwnd, cwnd);
	/* One who fills it gets more, once: then it is unused again. */
	fake_write(core, ctx, cwnd + 1460);
	core->now_us += 10000;
	fake_rx(core, ctx, TCP_ACK, 1, 1 + 200 * 1460 + cwnd, 0);
	fake_flush(core);
	ck_assert_uint_eq(ctx->cwnd, 2 * cwnd);
	core->now_us += 10000;
	fake_rx(core, ctx, TCP_ACK, 1, 1 + 201 * 1460 + cwnd, 0);
	for (uint32_t i = 1; i <= 50; i++) {
		fake_write(core, ctx, 1460);
		core->now_us += 10000;
		fake_rx(core, ctx, TCP_ACK, 1, 1 + (201 + i) * 1460 + cwnd, 0);
		fake_flush(core);
	}
	ck_assert_uint_eq(ctx->cwnd, 2 * cwnd);
	fake_free(core);
}
END_TEST

FACTS("tcp loss", limited_transmit__one_new_segment_per_duplicate,
		newreno__third_duplicate_retransmits, newreno__more_duplicates_let_new_segments_go,
		newreno__partial_ack_retransmits_the_next_hole, newreno__full_ack_ends_recovery,
		newreno__echoes_after_recovery_start_no_new_one,
		dupack__data_or_window_change_does_not_count, sack__three_segments_above_mean_loss,
		sack__two_segments_above_do_not, sack__only_the_holes_are_sent_again,
		sack__pipe_never_exceeds_cwnd_in_recovery, sack__hole_sent_once_per_recovery,
		sack__recovery_ends_at_recover, sack__block_beyond_snd_nxt_is_discarded,
		sack__reversed_block_is_discarded, sack__dsack_is_no_loss,
		sack__without_logs_duplicates_still_count,
		rack__delivered_retransmission_proves_older_losses,
		rto__everything_again_in_slow_start, rto__sacked_bytes_are_not_sent_again,
		rto__backs_off_and_keeps_ssthresh, rto__ack_of_new_data_ends_the_backoff,
		rto__reneged_scoreboard_is_forgotten, rto__gives_up_after_fifteen,
		rto__karn_no_sample_from_a_retransmission,
		rto__waits_for_what_was_sent_again_without_log,
		rtt__without_log_no_sample_across_a_fast_retransmit,
		rtt__no_sample_of_a_window_probe, rto__fin_is_sent_again,
		user_timeout__ends_before_the_retries, icmp_too_big__shrinks_and_sends_again,
		icmp_too_big__short_flight_is_left_alone, icmp_error__ends_an_attempt_by_its_reason,
		icmp_error__is_the_reason_of_a_timeout,
		icmp_error__is_forgotten_by_an_acknowledgement,
		cwnd__grows_only_as_far_as_it_is_used)
