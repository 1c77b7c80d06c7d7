/* SPDX-License-Identifier: BSD-3-Clause */
#include <poll.h>

#include "test/unit/dti/dti_test.h"

static struct two t;

static int woken(struct model *m)
{
	struct pollfd p = {.fd = model_wake_fd(m), .events = POLLIN};

	return poll(&p, 1, 0);
}

START_TEST(event_publish__full_queue_is_owed_and_nothing_is_lost)
{
	struct model_conf small = {.event_n = 64, .dtis_n = 256};
	struct model_conn *c[150];

	two_begin(&t, NULL, &small, NULL, 200);
	model_hold_events(t.client, true);
	for (int i = 0; i < 150; i++) {
		c[i] = model_connect(t.client, "10.0.0.2", i % 3 == 0 ? 81 : PORT);
		if (i % 40 == 39)
			turn(&t);
	}
	pair_pass(t.pair, 50000);
	ck_assert_uint_gt(pair_stat(t.pair, 0, "ev_owed"), 0);
	model_hold_events(t.client, false);
	pair_pass(t.pair, 50000);
	for (int i = 0; i < 150; i++) {
		if (i % 3 == 0)
			ck_assert_uint_ge(model_events(c[i], ETA_EV_CLOSED), 1);
		else if (model_state(c[i]) == ETA_DTI_OPEN)
			ck_assert_uint_ge(model_events(c[i], ETA_EV_WRITE), 1);
	}
	two_end(&t);
}
END_TEST

START_TEST(event_publish__many_accepts_in_a_full_queue_do_not_merge)
{
	struct model_conf small = {.event_n = 64, .dtis_n = 256};
	int n = 0;

	two_begin(&t, NULL, NULL, &small, 200);
	model_hold_events(t.server, true);
	for (int i = 0; i < 60; i++)
		ck_assert_ptr_nonnull(model_connect(t.client, "10.0.0.2", PORT));
	pair_pass(t.pair, 20000);
	for (int i = 0; i < 60; i++)
		ck_assert_ptr_nonnull(model_connect(t.client, "10.0.0.2", PORT));
	pair_pass(t.pair, 20000);
	model_hold_events(t.server, false);
	for (int i = 0; i < 100; i++) {
		pair_pass(t.pair, 20000);
		while (model_accept(t.master))
			n++;
	}
	ck_assert_int_eq(n, 120);
	two_end(&t);
}
END_TEST

START_TEST(event_wake__once_for_an_arming)
{
	two_open(&t);
	model_arm(t.server);
	ck_assert_int_eq(woken(t.server), 0);
	model_hold_events(t.server, true);
	for (int i = 0; i < 5; i++) {
		ck_assert_uint_eq(model_send(t.a, "x", 1), 1);
		turn(&t);
	}
	ck_assert_int_eq(woken(t.server), 1);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "wakes"), 1);
	model_disarm(t.server);
	ck_assert_int_eq(woken(t.server), 0);
	model_arm(t.server);
	ck_assert_uint_eq(model_send(t.a, "x", 1), 1);
	turn(&t);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "wakes"), 2);
	two_end(&t);
}
END_TEST

START_TEST(event_wake__nobody_sleeps_nobody_is_woken)
{
	two_open(&t);
	check_delivers(&t, "x");
	ck_assert_uint_eq(pair_stat(t.pair, 1, "wakes"), 0);
	two_end(&t);
}
END_TEST

START_TEST(event_publish__write_event_when_room_was_asked_for)
{
	static uint8_t buf[1 << 20];
	uint32_t used, room;
	size_t sent;

	two_open(&t);
	sent = model_send(t.a, buf, sizeof(buf));
	ck_assert_uint_gt(sent, 0);
	ck_assert_uint_lt(sent, sizeof(buf));
	ck_assert_uint_eq(model_send(t.a, buf, 1), 0);
	ck_assert_uint_eq(model_events(t.a, ETA_EV_WRITE), 1); /* connected */
	for (int i = 0; i < 200 && model_events(t.a, ETA_EV_WRITE) < 2; i++) {
		(void)model_recv(t.b, buf, sizeof(buf));
		turn(&t);
		used = model_al(t.a)->snd_tail - model_en(t.a)->snd_una;
		room = model_en(t.a)->snd_limit - used;
		/* half as much as is taken, and not before */
		ck_assert_uint_eq(model_events(t.a, ETA_EV_WRITE),
				used == 0 || room >= used / 2 ? 2 : 1);
	}
	ck_assert_uint_eq(model_events(t.a, ETA_EV_WRITE), 2);
	two_end(&t);
}
END_TEST

START_TEST(event_subscribe__an_unknown_queue_kills)
{
	struct eta_doorbell db;

	two_open(&t);
	db = db_of(t.a, ETA_DB_SUBSCRIBE);
	db.arg0 = 77;
	ck_assert(model_ring(t.client, &db));
	turn(&t);
	ck_assert_int_eq(model_status(t.a), ETA_STATUS_BAD_DESCRIPTOR);
	two_end(&t);
}
END_TEST

START_TEST(event_unsubscribe__is_told_no_more)
{
	struct eta_doorbell db;
	uint32_t before;

	two_open(&t);
	check_delivers(&t, "one");
	before = model_events(t.b, ETA_EV_READ);
	db = db_of(t.b, ETA_DB_UNSUBSCRIBE);
	ck_assert(model_ring(t.server, &db));
	turn(&t);
	check_delivers(&t, "two");
	ck_assert_uint_eq(model_events(t.b, ETA_EV_READ), before);
	db = db_of(t.b, ETA_DB_SUBSCRIBE);
	db.arg1 = ETA_EV_READ;
	ck_assert(model_ring(t.server, &db));
	turn(&t);
	check_delivers(&t, "three");
	ck_assert_uint_gt(model_events(t.b, ETA_EV_READ), before);
	two_end(&t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("event");
	TCase *tc = tcase_create("event");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, event_publish__full_queue_is_owed_and_nothing_is_lost);
	tcase_add_test(tc, event_publish__many_accepts_in_a_full_queue_do_not_merge);
	tcase_add_test(tc, event_wake__once_for_an_arming);
	tcase_add_test(tc, event_wake__nobody_sleeps_nobody_is_woken);
	tcase_add_test(tc, event_publish__write_event_when_room_was_asked_for);
	tcase_add_test(tc, event_subscribe__an_unknown_queue_kills);
	tcase_add_test(tc, event_unsubscribe__is_told_no_more);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
