/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Facts of receiving that only a scripted peer can ask about: each was a mutant that no other test noticed.
 */
#include <check.h>

#include "engine/tcp/seq.h"
#include "test/sim/tcp_peer.h"

#define MSS PEER_MSS
#define TS_NONE PEER_TS_NONE

static struct peer p;

START_TEST(tcp_rx__ack_of_unsent_bytes_is_not_believed)
{
	peer_established(&p, TS_NONE, false, 60000);
	peer_write(&p, 100);
	peer_give(&p, TCP_ACK, 0, 101, 60000, 50, TS_NONE);
	ck_assert_uint_eq(p.user->snd_una, 0);
	ck_assert_uint_eq(p.user->rcv_tail, 0);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_rx__old_timestamp_in_order_is_dropped)
{
	peer_established(&p, 1000, false, 60000);
	peer_give(&p, TCP_ACK, 0, 0, 60000, 50, 1010);
	ck_assert_uint_eq(p.user->rcv_tail, 50);
	peer_give(&p, TCP_ACK, 50, 0, 60000, 50, 1009);
	ck_assert_uint_eq(p.user->rcv_tail, 50);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_rx__ack_echoes_timestamp_of_first_unacknowledged)
{
	peer_established(&p, 1000, false, 60000);
	peer_give(&p, TCP_ACK, 0, 0, 60000, 50, 1001);
	while (p.out.n != 0) /* quick ACKs at the start */
		peer_give(&p, TCP_ACK, p.user->rcv_tail, 0, 60000, 50, 1001);
	peer_give(&p, TCP_ACK, p.user->rcv_tail, 0, 60000, 50, 1099);
	peer_pass_ms(&p, 100);
	ck_assert_uint_eq(p.out.n, 1);
	ck_assert_uint_eq(p.out.tsecr, 1001);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_rx__every_second_full_segment_is_acknowledged)
{
	uint32_t i, acks = 0;

	peer_established(&p, TS_NONE, false, 60000);
	for (i = 0; i < 60; i++) {
		peer_give(&p, TCP_ACK, p.user->rcv_tail, 0, 60000, MSS, TS_NONE);
		acks += p.out.n;
		if (i >= 40)
			ck_assert_uint_le(
					p.user->rcv_tail -
							(p.user->adv_edge != 0 ? peer_ctx(&p)->rcv_acked -
													PEER_ISS -
													1
									       : 0),
					MSS);
		peer_read(&p, p.user->rcv_tail - p.user->rcv_head);
		acks += p.out.n;
	}
	ck_assert_uint_ge(acks, 30);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_rx__text_that_opens_the_window_lets_bytes_go)
{
	peer_established(&p, TS_NONE, false, 2 * MSS);
	peer_write(&p, 4 * MSS);
	ck_assert_uint_eq(p.out.bytes, 2 * MSS);
	peer_give(&p, TCP_ACK, 0, 0, 4 * MSS, 10, TS_NONE);
	ck_assert_uint_eq(p.out.bytes, 2 * MSS);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_rx__rst_inside_window_but_not_next_is_challenged)
{
	peer_established(&p, TS_NONE, false, 60000);
	peer_give(&p, TCP_RST, 1, 0, 0, 0, TS_NONE);
	ck_assert(!p.user->is_closed);
	ck_assert_uint_eq(p.out.n, 1);
	ck_assert_uint_eq(p.out.flags, TCP_ACK);
	peer_give(&p, TCP_RST, 0, 0, 0, 0, TS_NONE);
	ck_assert(p.user->is_closed);
	ck_assert_uint_eq(p.user->why, ETA_STATUS_RESET);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_rx__refused_window_probe_goes_again_with_the_rest)
{
	peer_established(&p, TS_NONE, false, MSS);
	peer_write(&p, 3 * MSS);
	peer_give(&p, TCP_ACK, 0, MSS, 0, 0, TS_NONE);
	ck_assert_uint_eq(p.out.n, 0);
	peer_pass_ms(&p, 1500);
	ck_assert_uint_eq(p.out.len, 1);
	ck_assert_uint_eq(p.out.seq, MSS);
	peer_give(&p, TCP_ACK, 0, MSS, 2 * MSS, 0, TS_NONE);
	ck_assert_uint_eq(p.out.first_seq, MSS);
	ck_assert_uint_eq(p.out.bytes, 2 * MSS);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_rx__pure_window_update_lets_bytes_go)
{
	peer_established(&p, TS_NONE, false, MSS);
	peer_write(&p, 3 * MSS);
	peer_give(&p, TCP_ACK, 0, MSS, 0, 0, TS_NONE);
	peer_give(&p, TCP_ACK, 0, MSS, 2 * MSS, 0, TS_NONE);
	ck_assert_uint_eq(p.out.bytes, 2 * MSS);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_rx__window_of_an_overtaken_ack_is_taken_with_its_number)
{
	peer_established(&p, PEER_TS_NONE, true, 2000);
	peer_write(&p, 1000);
	ck_assert_uint_eq(p.out.bytes, 1000);
	/* Sent behind 100 bytes that are on their way. */
	peer_give(&p, TCP_ACK, 100, 0, 2000, 10, PEER_TS_NONE);
	peer_give(&p, TCP_ACK, 0, 1000, 1000, 0, PEER_TS_NONE);
	peer_write(&p, 3000);
	ck_assert_uint_eq(p.out.bytes, 1000);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_rx__fin_ahead_of_its_text_is_taken_with_it)
{
	peer_established(&p, PEER_TS_NONE, true, 2000);
	peer_give(&p, TCP_ACK | TCP_FIN, 100, 0, 2000, 0, PEER_TS_NONE);
	ck_assert(!p.user->rx_fin);
	peer_give(&p, TCP_ACK, 0, 0, 2000, 100, PEER_TS_NONE);
	ck_assert(p.user->rx_fin);
	ck_assert_uint_eq(p.out.ack, 101);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_rx__fin_amid_text_that_is_held_is_none)
{
	peer_established(&p, PEER_TS_NONE, true, 2000);
	peer_give(&p, TCP_ACK, 100, 0, 2000, 100, PEER_TS_NONE);
	peer_give(&p, TCP_ACK | TCP_FIN, 150, 0, 2000, 0, PEER_TS_NONE);
	peer_give(&p, TCP_ACK, 0, 0, 2000, 100, PEER_TS_NONE);
	ck_assert(!p.user->rx_fin);
	ck_assert_uint_eq(p.out.ack, 200);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_rx__ack_older_than_any_window_is_challenged)
{
	uint32_t i;

	peer_established(&p, TS_NONE, false, 2 * MSS);
	for (i = 0; i < 8; i++) {
		peer_write(&p, MSS);
		peer_give(&p, TCP_ACK, 0, (i + 1) * MSS, 2 * MSS, 0, TS_NONE);
	}
	peer_give(&p, TCP_ACK, 0, 5 * MSS, 2 * MSS, 30, TS_NONE);
	ck_assert_uint_eq(p.user->rcv_tail, 0);
	peer_give(&p, TCP_ACK, 0, 7 * MSS, 2 * MSS, 30, TS_NONE);
	ck_assert_uint_eq(p.user->rcv_tail, 30);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_rx__text_for_a_closed_reader_is_reset)
{
	peer_established(&p, TS_NONE, false, 60000);
	world_close(&p.w, p.conn, 1);
	peer_give(&p, TCP_ACK, 0, 1, 60000, 30, TS_NONE);
	ck_assert_uint_eq(p.out.flags & TCP_RST, TCP_RST);
	ck_assert(p.user->is_freed);
	peer_done(&p);
}
END_TEST

START_TEST(tcp_rx__new_life_begins_beyond_the_old_window)
{
	uint32_t snd_nxt;

	peer_established(&p, TS_NONE, false, 60000);
	world_shut(&p.w, p.conn, 1);
	peer_give(&p, TCP_ACK | TCP_FIN, 0, 1, 60000, 0, TS_NONE);
	ck_assert_uint_eq(peer_ctx(&p)->state, TCP_STATE_TIME_WAIT);
	snd_nxt = peer_ctx(&p)->snd_nxt;
	peer_give(&p, TCP_SYN, 100000, 0, 60000, 0, TS_NONE);
	ck_assert(p.user->is_freed);
	ck_assert(p.w.host[1].st.isn_min_valid);
	ck_assert_uint_ge(p.w.host[1].st.isn_min - snd_nxt, 65537);
	peer_done(&p);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tcp mutants");
	TCase *tc = tcase_create("tcp_rx");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, tcp_rx__ack_of_unsent_bytes_is_not_believed);
	tcase_add_test(tc, tcp_rx__old_timestamp_in_order_is_dropped);
	tcase_add_test(tc, tcp_rx__ack_echoes_timestamp_of_first_unacknowledged);
	tcase_add_test(tc, tcp_rx__every_second_full_segment_is_acknowledged);
	tcase_add_test(tc, tcp_rx__text_that_opens_the_window_lets_bytes_go);
	tcase_add_test(tc, tcp_rx__rst_inside_window_but_not_next_is_challenged);
	tcase_add_test(tc, tcp_rx__refused_window_probe_goes_again_with_the_rest);
	tcase_add_test(tc, tcp_rx__pure_window_update_lets_bytes_go);
	tcase_add_test(tc, tcp_rx__window_of_an_overtaken_ack_is_taken_with_its_number);
	tcase_add_test(tc, tcp_rx__fin_ahead_of_its_text_is_taken_with_it);
	tcase_add_test(tc, tcp_rx__fin_amid_text_that_is_held_is_none);
	tcase_add_test(tc, tcp_rx__ack_older_than_any_window_is_challenged);
	tcase_add_test(tc, tcp_rx__text_for_a_closed_reader_is_reset);
	tcase_add_test(tc, tcp_rx__new_life_begins_beyond_the_old_window);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
