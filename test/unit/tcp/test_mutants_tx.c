/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Facts of sending, loss and timers that only a scripted peer can ask about: each was a mutant that no other test noticed.
 */
#include <check.h>

#include "engine/tcp/seq.h"
#include "test/sim/tcp_peer.h"

#define MSS PEER_MSS
#define TS_NONE PEER_TS_NONE

static struct peer p;

/* A pure ACK. */
static void ack(uint32_t upto, uint16_t wnd)
{
	peer_give(&p, TCP_ACK, p.user->rcv_tail, upto, wnd, 0, TS_NONE);
}

static void cc_choose(uint8_t cc)
{
	struct tcp_param param = {.cc = cc};

	tcp_param(&p.w.host[1].st, &p.w.host[1], peer_ctx(&p), &param, p.w.now_us);
}

START_TEST(tcp_output__short_segment_waits_for_the_earlier_one)
{
	peer_established(&p, TS_NONE, false, 60000);
	peer_write(&p, 100);
	ck_assert_uint_eq(p.out.bytes, 100);
	peer_write(&p, 100);
	ck_assert_uint_eq(p.out.n, 0);
	ack(100, 60000);
	ck_assert_uint_eq(p.out.bytes, 100);
	peer_done(&p);
}
END_TEST

/* cwnd after ten segments were acknowledged in steps of @step bytes. */
static uint32_t cwnd_after(uint8_t cc, uint32_t step)
{
	uint32_t upto, cwnd;

	peer_established(&p, TS_NONE, true, 60000);
	cc_choose(cc);
	peer_write(&p, 50 * MSS);
	for (upto = step; upto <= 10 * MSS; upto += step)
		ack(upto, 60000);
	cwnd = peer_ctx(&p)->cwnd;
	peer_done(&p);
	return cwnd;
}

START_TEST(tcp_cc_acked__ack_division_gains_nothing)
{
	uint8_t cc;

	for (cc = 1; cc < TCP_CC_N; cc++)
		ck_assert_uint_le(cwnd_after(cc, 10), cwnd_after(cc, 2 * MSS) + MSS);
}
END_TEST

START_TEST(tcp_output__a_sliver_of_window_is_not_used)
{
	peer_established(&p, TS_NONE, false, 60000);
	ack(0, 100);
	peer_write(&p, 2 * MSS);
	ck_assert_uint_eq(p.out.n, 0);
	ack(0, 2 * MSS);
	ck_assert_uint_eq(p.out.bytes, 2 * MSS);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_timer_rtt_sample__not_of_a_segment_sent_twice)
{
	uint32_t srtt_us;

	peer_established(&p, TS_NONE, false, 60000);
	srtt_us = peer_ctx(&p)->srtt_us;
	peer_write(&p, 100);
	peer_pass_ms(&p, 1100);
	ck_assert_uint_eq(p.out.bytes, 100);
	peer_pass_ms(&p, 150);
	ack(100, 60000);
	ck_assert_uint_eq(peer_ctx(&p)->srtt_us, srtt_us);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_timer_rtt_sample__variance_widens_the_timeout)
{
	uint32_t i, sent = 0;

	peer_established(&p, TS_NONE, false, 60000);
	for (i = 0; i < 24; i++) {
		peer_write(&p, 100);
		sent += 100;
		peer_pass_ms(&p, i & 1 ? 180 : 20);
		ack(sent, 60000);
	}
	ck_assert_uint_ge(peer_ctx(&p)->rttvar_us, 60000);
	ck_assert_uint_ge(peer_ctx(&p)->rto_us, peer_ctx(&p)->srtt_us + 240000);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_timers__retransmissions_back_off_and_give_up)
{
	uint32_t i, n = 0;

	peer_established(&p, TS_NONE, false, 60000);
	peer_write(&p, 100);
	for (i = 0; i < 100; i++) {
		peer_pass_ms(&p, 100);
		n += p.out.n;
	}
	ck_assert_uint_ge(n, 3);
	ck_assert_uint_le(n, 7);
	for (i = 0; i < 1300 && !p.user->is_closed; i++)
		peer_pass_ms(&p, 1000);
	ck_assert(p.user->is_closed);
	ck_assert_uint_eq(p.user->why, ETA_STATUS_TIMED_OUT);
	ck_assert(p.user->is_freed);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_loss_rto__one_segment_then_slow_start)
{
	peer_established(&p, TS_NONE, false, 60000);
	peer_write(&p, 6 * MSS);
	ck_assert_uint_eq(p.out.bytes, 6 * MSS);
	peer_pass_ms(&p, 1100);
	ck_assert_uint_eq(p.out.bytes, MSS);
	ck_assert_uint_eq(p.out.seq, 0);
	ck_assert_uint_eq(peer_ctx(&p)->cwnd, MSS);
	ack(MSS, 60000);
	ck_assert_uint_eq(p.out.first_seq, MSS);
	ck_assert_uint_eq(p.out.bytes, 2 * MSS);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_loss_dupack__third_reduces_the_window)
{
	uint32_t before;

	peer_established(&p, TS_NONE, false, 60000);
	cc_choose(TCP_CC_NEWRENO);
	peer_write(&p, 10 * MSS);
	before = peer_ctx(&p)->cwnd;
	ack(0, 60000);
	ack(0, 60000);
	ck_assert_uint_eq(p.out.n, 0);
	ack(0, 60000);
	ck_assert_uint_eq(p.out.first_seq, 0);
	ck_assert_uint_eq(peer_ctx(&p)->ssthresh, 5 * MSS);
	/* six are in the network, and one is sent again (RFC 6937) */
	ck_assert_uint_eq(peer_ctx(&p)->cwnd, 7 * MSS);
	ck_assert_uint_eq(before, 10 * MSS);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_loss_acked__partial_ack_repairs_the_next_hole_at_once)
{
	int i;

	peer_established(&p, TS_NONE, false, 60000);
	peer_write(&p, 10 * MSS);
	for (i = 0; i < 3; i++)
		ack(0, 60000);
	ck_assert_uint_eq(p.out.first_seq, 0);
	ack(2 * MSS, 60000);
	ck_assert_uint_ge(p.out.n, 1);
	ck_assert_uint_eq(p.out.first_seq, 2 * MSS);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_tx_range__nothing_is_timed_across_a_retransmission)
{
	uint32_t srtt_us;
	int i;

	peer_established(&p, TS_NONE, false, 60000);
	cc_choose(TCP_CC_NEWRENO);
	peer_write(&p, 10 * MSS);
	for (i = 0; i < 3; i++)
		ack(0, 60000);
	ck_assert_uint_eq(p.out.first_seq, 0);
	srtt_us = peer_ctx(&p)->srtt_us;
	peer_pass_ms(&p, 50);
	ack(MSS, 60000);
	ck_assert_uint_eq(peer_ctx(&p)->srtt_us, srtt_us);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_loss_sack__one_segment_ahead_is_no_loss)
{
	peer_established(&p, TS_NONE, true, 60000);
	/* a path with a round trip, so that the reordering window is no empty one */
	peer_ctx(&p)->srtt_us = 10000;
	peer_ctx(&p)->rtt_min_us = 10000;
	peer_write(&p, 6 * MSS);
	peer_pass_ms(&p, 10);
	peer_sack(&p, 0, 60000, 2 * MSS, 3 * MSS);
	ck_assert_uint_eq(p.out.n, 0);
	peer_sack(&p, 0, 60000, 2 * MSS, 4 * MSS);
	ck_assert_uint_eq(p.out.n, 0);
	peer_sack(&p, 0, 60000, 2 * MSS, 5 * MSS);
	ck_assert_uint_ge(p.out.bytes, MSS);
	ck_assert_uint_eq(p.out.first_seq, 0);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_loss_sack__bytes_never_sent_are_not_believed)
{
	peer_established(&p, TS_NONE, true, 60000);
	peer_write(&p, 2 * MSS);
	peer_sack(&p, 0, 60000, MSS, 3 * MSS);
	ck_assert_uint_eq(peer_ctx(&p)->sacked_bytes, 0);
	peer_done(&p);
}
END_TEST

/* Fill side 1's receive buffer, which nobody reads. */
static void buffer_fill(void)
{
	uint32_t room;

	while ((room = peer_ctx(&p)->rcv_adv - peer_ctx(&p)->rcv_nxt) != 0)
		peer_give(&p, TCP_ACK, p.user->rcv_tail, 0, 60000, room < MSS ? room : MSS,
				TS_NONE);
	peer_pass_ms(&p, 100);
}

START_TEST(tcp_wnd_select__a_sliver_of_room_is_not_offered)
{
	peer_established(&p, TS_NONE, false, 60000);
	buffer_fill();
	peer_read(&p, 10);
	ck_assert_uint_eq(p.out.n, 0);
	peer_give(&p, TCP_ACK, p.user->rcv_tail, 0, 60000, 1, TS_NONE);
	ck_assert_uint_eq(p.out.n, 1);
	ck_assert_uint_eq(p.out.wnd, 0);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_read__reopens_a_shut_window_at_once)
{
	peer_established(&p, TS_NONE, false, 60000);
	buffer_fill();
	peer_read(&p, 2 * MSS);
	ck_assert_uint_eq(p.out.n, 1);
	ck_assert_uint_ge(p.out.wnd, MSS);
	peer_done(&p);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tcp mutants tx");
	TCase *tc = tcase_create("tx, loss, timers");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, tcp_cc_acked__ack_division_gains_nothing);
	tcase_add_test(tc, tcp_output__short_segment_waits_for_the_earlier_one);
	tcase_add_test(tc, tcp_output__a_sliver_of_window_is_not_used);
	tcase_add_test(tc, tcp_timer_rtt_sample__not_of_a_segment_sent_twice);
	tcase_add_test(tc, tcp_timer_rtt_sample__variance_widens_the_timeout);
	tcase_add_test(tc, tcp_timers__retransmissions_back_off_and_give_up);
	tcase_add_test(tc, tcp_loss_rto__one_segment_then_slow_start);
	tcase_add_test(tc, tcp_loss_dupack__third_reduces_the_window);
	tcase_add_test(tc, tcp_loss_acked__partial_ack_repairs_the_next_hole_at_once);
	tcase_add_test(tc, tcp_tx_range__nothing_is_timed_across_a_retransmission);
	tcase_add_test(tc, tcp_loss_sack__one_segment_ahead_is_no_loss);
	tcase_add_test(tc, tcp_loss_sack__bytes_never_sent_are_not_believed);
	tcase_add_test(tc, tcp_wnd_select__a_sliver_of_room_is_not_offered);
	tcase_add_test(tc, tcp_read__reopens_a_shut_window_at_once);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
