/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/lib/model_int.h"
#include "test/unit/dti/dti_test.h"

static struct two t;

START_TEST(doorbell_drain__unknown_dti_is_counted_and_ignored)
{
	struct eta_doorbell db = {.dti = ETA_DTI_MAKE(0, 99999), .op = ETA_DB_DATA};

	two_open(&t);
	ck_assert(model_ring(t.client, &db));
	db = db_of(t.a, ETA_DB_CLOSE);
	db.gen++;
	ck_assert(model_ring(t.client, &db));
	db = db_of(t.a, ETA_DB_CLOSE);
	db.dti = ETA_DTI_MAKE(3, 0); /* no such owner */
	ck_assert(model_ring(t.client, &db));
	turn(&t);
	ck_assert_uint_eq(pair_stat(t.pair, 0, "db_unknown"), 3);
	ck_assert_uint_eq(pair_stat(t.pair, 0, "dti_killed"), 0);
	check_delivers(&t, "alive");
	two_end(&t);
}
END_TEST

START_TEST(doorbell_drain__undefined_op_kills_its_dti_alone)
{
	struct eta_doorbell db;
	struct model_conn *a2;

	two_open(&t);
	a2 = t.a;
	two_connect(&t);
	db = db_of(a2, 0x3f);
	ck_assert(model_ring(t.client, &db));
	turn(&t);
	ck_assert_int_eq(model_state(a2), ETA_DTI_CLOSED);
	ck_assert_int_eq(model_status(a2), ETA_STATUS_BAD_DESCRIPTOR);
	ck_assert_uint_eq(model_ka_notices(t.pair->ka[0], ETA_ADMIN_DTI_DEAD), 1);
	check_delivers(&t, "the other lives");
	two_end(&t);
}
END_TEST

START_TEST(doorbell_counters__stale_tail_reads_the_record)
{
	struct eta_doorbell db;

	two_open(&t);
	check_delivers(&t, "hello");
	db = db_of(t.a, ETA_DB_DATA);
	db.snd_tail = 2; /* an older entry of another ring */
	ck_assert(model_ring(t.client, &db));
	turn(&t);
	ck_assert_uint_eq(pair_stat(t.pair, 0, "db_stale"), 1);
	ck_assert_uint_eq(pair_stat(t.pair, 0, "dti_killed"), 0);
	check_delivers(&t, "again");
	two_end(&t);
}
END_TEST

START_TEST(info_answer__by_ticket_into_the_ring_that_asked)
{
	const struct eta_conn_info *info;
	struct eta_doorbell db;

	two_open(&t);
	info = &t.client->db_credit->info;
	check_delivers(&t, "hello");
	db = db_of(t.a, ETA_DB_INFO);
	db.arg0 = 77;
	ck_assert(model_ring(t.client, &db));
	turn(&t);
	ck_assert_uint_eq(info->ticket, 77);
	ck_assert_uint_eq(info->status, ETA_STATUS_OK);
	ck_assert_uint_eq(info->gen, db.gen);
	ck_assert_uint_eq(info->tcp_state, 1);
	ck_assert_uint_eq(info->bytes_sent, 5);
	ck_assert_uint_eq(info->cwnd_segs, 10);
	ck_assert_uint_eq(info->ssthresh_segs, 0x7fffffff);
	db.gen++; /* who asks about what is not there gets an answer, too */
	db.arg0 = 78;
	ck_assert(model_ring(t.client, &db));
	turn(&t);
	ck_assert_uint_eq(info->ticket, 78);
	ck_assert_uint_eq(info->status, ETA_STATUS_NOT_FOUND);
	ck_assert_uint_eq(info->bytes_sent, 0);
	ck_assert_uint_eq(pair_stat(t.pair, 0, "info_answers"), 2);
	ck_assert_uint_eq(pair_stat(t.pair, 0, "dti_killed"), 0);
	two_end(&t);
}
END_TEST

/* Milliseconds that the connection waited for room in its send buffer. */
static uint64_t sndbuf_limited_ms(void)
{
	const struct eta_conn_info *info = &t.client->db_credit->info;
	struct eta_doorbell db = db_of(t.a, ETA_DB_INFO);

	db.arg0 = info->ticket + 1;
	ck_assert(model_ring(t.client, &db));
	pair_pass(t.pair, 1000);
	ck_assert_uint_eq(info->ticket, db.arg0);
	ck_assert_uint_eq(info->rwnd_limited_us, 0);
	return info->sndbuf_limited_us / 1000;
}

START_TEST(publish_bound__time_that_al_waits_for_room_is_told)
{
	static const char data[8192];
	struct simport_fate slow = {.delay_us = 100000};
	struct eta_doorbell db;

	two_open(&t);
	simport_set_fate(t.pair->wire, 0, &slow);
	model_al(t.a)->sndbuf_bytes = sizeof(data);
	db = db_of(t.a, ETA_DB_PARAM);
	ck_assert(model_ring(t.client, &db));
	pair_pass(t.pair, 1000);
	ck_assert_uint_eq(model_send(t.a, data, sizeof(data)), sizeof(data));
	pair_pass(t.pair, 20000); /* nobody waits */
	ck_assert_uint_eq(sndbuf_limited_ms(), 0);
	ck_assert_uint_eq(model_send(t.a, data, 1), 0);
	pair_pass(t.pair, 40000);
	ck_assert_uint_ge(sndbuf_limited_ms(), 40);
	ck_assert_uint_le(sndbuf_limited_ms(), 45);
	pair_pass(t.pair, 200000); /* there is room when 100 ms are over */
	ck_assert_uint_gt(model_events(t.a, ETA_EV_WRITE), 0);
	ck_assert_uint_ge(sndbuf_limited_ms(), 75);
	ck_assert_uint_le(sndbuf_limited_ms(), 85);
	two_end(&t);
}
END_TEST

/* "abc" under @flag does not leave by itself; then "d" is sent. */
static void send_held_back(uint8_t flag)
{
	struct eta_doorbell db = db_of(t.a, ETA_DB_DATA | flag);
	char got[8];

	db.snd_tail += 3;
	ck_assert(model_ring(
			t.client, &db)); /* taken before the plain one, which brings nothing new */
	ck_assert_uint_eq(model_send(t.a, "abc", 3), 3);
	turn(&t);
	ck_assert_uint_eq(model_recv(t.b, got, sizeof(got)), 0);
	ck_assert_uint_eq(model_send(t.a, "d", 1), 1);
	turn(&t);
}

START_TEST(doorbell_drain__more_holds_the_bytes_back)
{
	char got[8] = "";

	two_open(&t);
	send_held_back(ETA_DB_MORE);
	ck_assert_uint_eq(model_recv(t.b, got, sizeof(got)), 4);
	ck_assert_str_eq(got, "abcd");
	two_end(&t);
}
END_TEST

START_TEST(doorbell_drain__a_record_ends_its_segment)
{
	struct eta_doorbell db;
	char got[8] = "";

	two_open(&t);
	model_al(t.a)->opt = ETA_OPT_CORK;
	db = db_of(t.a, ETA_DB_PARAM);
	ck_assert(model_ring(t.client, &db));
	send_held_back(ETA_DB_EOR);
	ck_assert_uint_eq(model_recv(t.b, got, sizeof(got)), 3);
	/* beyond what is queued: it is none */
	db = db_of(t.a, ETA_DB_DATA | ETA_DB_EOR);
	db.snd_tail += 16u << 20;
	ck_assert(model_ring(t.client, &db));
	ck_assert_uint_eq(model_send(t.a, "e", 1), 1);
	turn(&t);
	ck_assert_uint_eq(pair_stat(t.pair, 0, "dti_killed"), 0);
	two_end(&t);
}
END_TEST

START_TEST(doorbell_drain__urgent_is_told_to_the_peer)
{
	struct eta_doorbell db;

	two_open(&t);
	model_al(t.a)->opt = ETA_OPT_CORK;
	db = db_of(t.a, ETA_DB_PARAM);
	ck_assert(model_ring(t.client, &db));
	ck_assert_uint_eq(model_send(t.a, "urgent", 6), 6);
	turn(&t);
	model_al(t.a)->opt = 0;
	model_al(t.a)->snd_urg = model_al(t.a)->snd_tail;
	model_al(t.a)->wants |= ETA_WANT_URG;
	db = db_of(t.a, ETA_DB_PARAM);
	ck_assert(model_ring(t.client, &db));
	turn(&t);
	ck_assert_uint_ne(model_en(t.b)->flags & ETA_EV_URGENT, 0);
	ck_assert_uint_eq(model_en(t.b)->urg, 6);
	two_end(&t);
}
END_TEST

START_TEST(doorbell_counters__the_record_follows_at_once)
{
	uint8_t buf[64] = {0};
	struct eta_doorbell db;
	uint32_t ring_at;

	two_open(&t);
	ck_assert_uint_eq(model_send(t.a, buf, 64), 64);
	turn(&t);
	ring_at = model_en(t.b)->ring_at;
	ck_assert_uint_eq(model_recv(t.b, buf, 64), 64);
	ck_assert_uint_eq(model_send(t.b, buf, 64), 64);
	db = db_of(t.b, ETA_DB_DATA);
	ck_assert(model_ring(t.server, &db));
	ck_assert_uint_eq(model_en(t.b)->snd_nxt, 0);
	core_poll_once(t.pair->core[1], t.pair->now_us); /* no acknowledgement yet */
	ck_assert_uint_eq(model_en(t.b)->ring_at, ring_at + 64);
	ck_assert_uint_eq(model_en(t.b)->snd_nxt, 64);
	two_end(&t);
}
END_TEST

START_TEST(doorbell_counters__impossible_record_kills)
{
	struct eta_doorbell db;

	two_open(&t);
	model_al(t.a)->snd_tail = ETA_STREAM_BYTES_MAX + 1;
	db = db_of(t.a, ETA_DB_DATA);
	ck_assert(model_ring(t.client, &db));
	turn(&t);
	ck_assert_int_eq(model_status(t.a), ETA_STATUS_BAD_DESCRIPTOR);
	two_end(&t);
}
END_TEST

START_TEST(doorbell_counters__consuming_more_than_received_kills)
{
	struct eta_doorbell db;

	two_open(&t);
	model_al(t.a)->rcv_head = 1;
	db = db_of(t.a, ETA_DB_DATA);
	ck_assert(model_ring(t.client, &db));
	turn(&t);
	ck_assert_int_eq(model_status(t.a), ETA_STATUS_BAD_DESCRIPTOR);
	two_end(&t);
}
END_TEST

START_TEST(doorbell_drain__a_full_ring_is_taken_whole)
{
	struct eta_doorbell db;
	uint32_t n = 0;

	two_open(&t);
	db = db_of(t.a, ETA_DB_DATA);
	while (model_ring(t.client, &db))
		n++;
	ck_assert_uint_ge(n, 192); /* 256 entries, credit once per quarter lap */
	turn(&t);
	ck_assert(model_ring(t.client, &db));
	check_delivers(&t, "after the flood");
	two_end(&t);
}
END_TEST

START_TEST(doorbell_drain__a_flood_leaves_others_their_share)
{
	struct eta_doorbell db;
	uint64_t before;
	struct model_conf big = {.doorbell_n = 4096};
	struct model *flooder;

	two_open(&t);
	flooder = pair_attach(t.pair, 0, &big);
	db = (struct eta_doorbell){.dti = 7, .gen = 9};
	while (model_ring(flooder, &db))
		;
	ck_assert_uint_eq(model_send(t.a, "x", 1), 1);
	before = pair_stat(t.pair, 0, "db_unknown");
	(void)core_poll_once(t.pair->core[0], t.pair->now_us);
	/* the flood got no more than its share, the other was served */
	ck_assert_uint_le(pair_stat(t.pair, 0, "db_unknown") - before, 256);
	ck_assert_uint_eq(pair_stat(t.pair, 0, "TcpOutSegs") >= 3, 1);
	turn(&t);
	ck_assert_uint_eq(model_readable(t.b), 1);
	two_end(&t);
}
END_TEST

START_TEST(doorbell_op__shut_wr_elsewhere_than_at_the_tail_kills)
{
	struct eta_doorbell db;

	two_open(&t);
	db = db_of(t.a, ETA_DB_SHUT_WR);
	db.arg0 = 1000;
	ck_assert(model_ring(t.client, &db));
	turn(&t);
	ck_assert_int_eq(model_status(t.a), ETA_STATUS_BAD_DESCRIPTOR);
	two_end(&t);
}
END_TEST

START_TEST(doorbell_op__writing_after_shut_wr_kills)
{
	struct eta_doorbell db;

	two_open(&t);
	model_shut_wr(t.a);
	turn(&t);
	model_al(t.a)->snd_tail = 1;
	db = db_of(t.a, ETA_DB_DATA);
	ck_assert(model_ring(t.client, &db));
	turn(&t);
	ck_assert_int_eq(model_status(t.a), ETA_STATUS_BAD_DESCRIPTOR);
	two_end(&t);
}
END_TEST

START_TEST(doorbell_connect__with_the_old_gen_is_ignored)
{
	struct eta_doorbell db;

	two_open(&t);
	db = db_of(t.a, ETA_DB_CONNECT);
	ck_assert(model_ring(t.client, &db));
	turn(&t);
	ck_assert_uint_eq(pair_stat(t.pair, 0, "db_unknown"), 1);
	check_delivers(&t, "undisturbed");
	two_end(&t);
}
END_TEST

START_TEST(doorbell_connect__nobody_listens_is_refused)
{
	struct model_conn *c;

	two_open(&t);
	c = model_connect(t.client, "10.0.0.2", 81);
	turn(&t);
	ck_assert_int_eq(model_state(c), ETA_DTI_CLOSED);
	ck_assert_int_eq(model_status(c), ETA_STATUS_REFUSED);
	ck_assert_uint_eq(model_events(c, ETA_EV_CLOSED), 1);
	model_close(c);
	turn(&t);
	ck_assert(model_is_free(c));
	two_end(&t);
}
END_TEST

START_TEST(doorbell_connect__where_no_port_leads_is_left_to_the_kernel)
{
	struct model_conn *c, *own;

	two_open(&t);
	c = model_connect(t.client, "192.0.2.1", 80);
	own = model_connect(
			t.client, "10.0.0.1", 80); /* our own address, and no listener of ours */
	turn(&t);
	ck_assert_int_eq(model_status(c), ETA_STATUS_NOT_CARRIED);
	ck_assert_int_eq(model_status(own), ETA_STATUS_NOT_CARRIED);
	two_end(&t);
}
END_TEST

START_TEST(doorbell_connect__more_than_the_quota_is_refused)
{
	struct model_conf few = {.dtis_n = 4};
	struct model_conn *c[4];

	two_begin(&t, NULL, &few, NULL, 8);
	for (int i = 0; i < 4; i++)
		c[i] = model_connect(t.client, "10.0.0.2", PORT);
	turn(&t);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(model_state(c[i]), ETA_DTI_OPEN);
	ck_assert_ptr_null(model_connect(t.client, "10.0.0.2", PORT));
	two_end(&t);
}
END_TEST

START_TEST(doorbell_close__free_as_soon_as_acknowledged_and_reused)
{
	two_open(&t);
	for (int i = 0; i < 600; i++) {
		struct model_conn *c = t.a, *s = t.b;

		model_close(c);
		turn(&t);
		ck_assert(model_is_free(c)); /* TIME-WAIT lives in the engine alone */
		model_close(s);
		turn(&t);
		ck_assert(model_is_free(s));
		model_release(c);
		model_release(s);
		model_post_children(t.master, 1);
		turn(&t);
		two_connect(&t);
	}
	two_end(&t);
}
END_TEST

START_TEST(doorbell_close__unread_bytes_reset_the_peer)
{
	two_open(&t);
	ck_assert_uint_eq(model_send(t.a, "unread", 6), 6);
	turn(&t);
	model_close(t.b);
	turn(&t);
	ck_assert_int_eq(model_status(t.a), ETA_STATUS_RESET);
	two_end(&t);
}
END_TEST

START_TEST(doorbell_sweep_idle__a_kick_brings_the_ring_back)
{
	struct model_conf kick = {.has_kick = true};

	two_begin(&t, NULL, &kick, NULL, 8);
	two_connect(&t);
	pair_pass(t.pair, 400000);
	ck_assert_uint_ge(pair_stat(t.pair, 0, "ring_dormant"), 1);
	check_delivers(&t, "awake");
	ck_assert_uint_ge(pair_stat(t.pair, 0, "ring_kicked"), 1);
	two_end(&t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("doorbell");
	TCase *tc = tcase_create("doorbell");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, doorbell_drain__unknown_dti_is_counted_and_ignored);
	tcase_add_test(tc, doorbell_drain__undefined_op_kills_its_dti_alone);
	tcase_add_test(tc, info_answer__by_ticket_into_the_ring_that_asked);
	tcase_add_test(tc, publish_bound__time_that_al_waits_for_room_is_told);
	tcase_add_test(tc, doorbell_counters__stale_tail_reads_the_record);
	tcase_add_test(tc, doorbell_drain__more_holds_the_bytes_back);
	tcase_add_test(tc, doorbell_drain__a_record_ends_its_segment);
	tcase_add_test(tc, doorbell_drain__urgent_is_told_to_the_peer);
	tcase_add_test(tc, doorbell_counters__the_record_follows_at_once);
	tcase_add_test(tc, doorbell_counters__impossible_record_kills);
	tcase_add_test(tc, doorbell_counters__consuming_more_than_received_kills);
	tcase_add_test(tc, doorbell_drain__a_full_ring_is_taken_whole);
	tcase_add_test(tc, doorbell_drain__a_flood_leaves_others_their_share);
	tcase_add_test(tc, doorbell_op__shut_wr_elsewhere_than_at_the_tail_kills);
	tcase_add_test(tc, doorbell_op__writing_after_shut_wr_kills);
	tcase_add_test(tc, doorbell_connect__with_the_old_gen_is_ignored);
	tcase_add_test(tc, doorbell_connect__nobody_listens_is_refused);
	tcase_add_test(tc, doorbell_connect__where_no_port_leads_is_left_to_the_kernel);
	tcase_add_test(tc, doorbell_connect__more_than_the_quota_is_refused);
	tcase_add_test(tc, doorbell_close__free_as_soon_as_acknowledged_and_reused);
	tcase_add_test(tc, doorbell_close__unread_bytes_reset_the_peer);
	tcase_add_test(tc, doorbell_sweep_idle__a_kick_brings_the_ring_back);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
