/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/dti/place.h"
#include "test/unit/dti/dti_test.h"

static struct two t;
static uint8_t buf[1 << 20];

/* @total bytes from a to b, read only after @patience turns. */
static void transfer(size_t total, int patience)
{
	size_t tx = 0, rx = 0;

	for (size_t i = 0; i < total; i++)
		buf[i] = (uint8_t)(i * 13 + (i >> 9));
	for (int k = 0; k < 4000 && rx < total; k++) {
		uint8_t got[16384];
		size_t n = 0;

		tx += model_send(t.a, buf + tx, total - tx);
		if (k >= patience)
			n = model_recv(t.b, got, sizeof(got));
		for (size_t i = 0; i < n; i++)
			ck_assert_uint_eq(got[i], buf[rx + i]);
		rx += n;
		turn(&t);
	}
	ck_assert_uint_eq(rx, total);
}

START_TEST(tcp_up_place__no_memory_shrinks_the_window_and_loses_nothing)
{
	struct model_conf poor = {.rcv_pages = 16, .rcv_segs_max = 1};

	two_begin(&t, NULL, NULL, &poor, 8);
	two_connect(&t);
	transfer(300000, 20);
	ck_assert_uint_ge(model_ka_notices(t.pair->ka[1], ETA_ADMIN_SEG_WANT), 1);
	two_end(&t);
}
END_TEST

START_TEST(tcp_up_place__another_segment_is_asked_for_and_used)
{
	struct model_conf poor = {.rcv_pages = 16, .rcv_segs_max = 4};

	two_begin(&t, NULL, NULL, &poor, 8);
	two_connect(&t);
	transfer(600000, 20);
	ck_assert_uint_ge(model_ka_notices(t.pair->ka[1], ETA_ADMIN_SEG_WANT), 1);
	ck_assert_uint_gt(
			session_find(&t.pair->core[1]->dti, model_number(t.server))->rcv_pages_all,
			16);
	two_end(&t);
}
END_TEST

START_TEST(session_want_seg__refused_it_asks_again)
{
	struct model_conf poor = {.rcv_pages = 16, .rcv_segs_max = 1};
	struct session *s;

	two_begin(&t, NULL, NULL, &poor, 8);
	two_connect(&t);
	s = session_find(&t.pair->core[1]->dti, model_number(t.server));
	(void)model_send(t.a, buf, sizeof(buf));
	pair_pass(t.pair, 500000);
	ck_assert_uint_ge(model_ka_notices(t.pair->ka[1], ETA_ADMIN_SEG_WANT), 1);
	ck_assert_uint_eq(s->rcv_pages_all, 16);
	model_grant(t.server, 2);
	pair_pass(t.pair, 5000000); /* the peer's probes of the closed window */
	ck_assert_uint_eq(s->rcv_pages_all, 32);
	two_end(&t);
}
END_TEST

START_TEST(session_page_alloc__asks_for_more_before_the_end)
{
	struct model_conf poor = {.rcv_pages = 16, .rcv_segs_max = 4};
	struct session *s;
	struct dti *d;

	two_begin(&t, NULL, NULL, &poor, 8);
	d = &t.pair->core[1]->dti;
	s = session_find(d, model_number(t.server));
	for (int i = 0; i < 12; i++)
		ck_assert_uint_ne(session_page_alloc(d, s, ETA_CHUNK_ORDER_SMALL), ETA_CHUNK_NONE);
	(void)core_poll_once(t.pair->core[1], t.pair->now_us);
	(void)model_ka_poll(t.pair->ka[1]);
	ck_assert_uint_eq(model_ka_notices(t.pair->ka[1], ETA_ADMIN_SEG_WANT), 0);
	ck_assert_uint_ne(session_page_alloc(d, s, ETA_CHUNK_ORDER_SMALL), ETA_CHUNK_NONE);
	/* a quarter is left: in the next turn, not when somebody was refused */
	(void)core_poll_once(t.pair->core[1], t.pair->now_us);
	(void)model_ka_poll(t.pair->ka[1]);
	ck_assert_uint_eq(model_ka_notices(t.pair->ka[1], ETA_ADMIN_SEG_WANT), 1);
	pair_destroy(t.pair);
}
END_TEST

START_TEST(tcp_up_place__the_quota_holds)
{
	struct model_conf poor = {.rcv_bytes_max = 65536};

	two_begin(&t, NULL, NULL, &poor, 8);
	two_connect(&t);
	for (int k = 0; k < 50; k++) {
		(void)model_send(t.a, buf, sizeof(buf));
		turn(&t);
		ck_assert_uint_le(session_find(&t.pair->core[1]->dti, model_number(t.server))
						  ->rcv_pages,
				16);
	}
	two_end(&t);
}
END_TEST

START_TEST(place_consumed__frees_what_was_read)
{
	two_open(&t);
	transfer(500000, 0);
	/* told by a doorbell at the latest when the window asks for it; the rest by the sweep */
	pair_pass(t.pair, 5000000);
	ck_assert_uint_eq(
			session_find(&t.pair->core[1]->dti, model_number(t.server))->rcv_pages, 0);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "chunk_alloc"), pair_stat(t.pair, 1, "chunk_free"));
	two_end(&t);
}
END_TEST

START_TEST(place_sweep__an_idle_connection_keeps_no_page)
{
	two_open(&t);
	check_delivers(&t, "one");
	ck_assert_uint_eq(
			session_find(&t.pair->core[1]->dti, model_number(t.server))->rcv_pages, 1);
	pair_pass(t.pair, 5000000);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "chunk_idle"), 1);
	ck_assert_uint_eq(
			session_find(&t.pair->core[1]->dti, model_number(t.server))->rcv_pages, 0);
	check_delivers(&t, "two");
	two_end(&t);
}
END_TEST

START_TEST(place_sweep__unread_bytes_stay)
{
	char got[8] = "";

	two_open(&t);
	ck_assert_uint_eq(model_send(t.a, "stay", 4), 4);
	pair_pass(t.pair, 10000000);
	ck_assert_uint_eq(model_recv(t.b, got, sizeof(got)), 4);
	ck_assert_str_eq(got, "stay");
	two_end(&t);
}
END_TEST

START_TEST(place_update_ring_at__small_messages_ring_nothing)
{
	uint64_t before;

	two_open(&t);
	check_delivers(&t, "warm");
	before = pair_stat(t.pair, 1, "db_taken");
	for (int i = 0; i < 20; i++)
		check_delivers(&t, "0123456789");
	ck_assert_uint_eq(pair_stat(t.pair, 1, "db_taken"), before);
	two_end(&t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("place");
	TCase *tc = tcase_create("place");

	tcase_set_timeout(tc, 100);
	tcase_add_test(tc, tcp_up_place__no_memory_shrinks_the_window_and_loses_nothing);
	tcase_add_test(tc, tcp_up_place__another_segment_is_asked_for_and_used);
	tcase_add_test(tc, session_want_seg__refused_it_asks_again);
	tcase_add_test(tc, session_page_alloc__asks_for_more_before_the_end);
	tcase_add_test(tc, tcp_up_place__the_quota_holds);
	tcase_add_test(tc, place_consumed__frees_what_was_read);
	tcase_add_test(tc, place_sweep__an_idle_connection_keeps_no_page);
	tcase_add_test(tc, place_sweep__unread_bytes_stay);
	tcase_add_test(tc, place_update_ring_at__small_messages_ring_nothing);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
