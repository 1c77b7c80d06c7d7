/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/unit/dti/dti_test.h"

static struct two t;

/* Queue @n bytes without the model: chunk 1000 of the client's send area holds them, its meta as given. */
static struct eta_chunk_meta *hostile_begin(uint32_t n)
{
	struct eta_chunk_meta *m;

	two_open(&t);
	m = model_snd_meta(t.client, 1000);
	*m = (struct eta_chunk_meta){
			.next = ETA_CHUNK_NONE,
			.dti = ETA_DTI_INDEX(model_dti(t.a)),
			.gen = model_gen(t.a),
			.order = ETA_CHUNK_ORDER_SMALL,
	};
	model_al(t.a)->chunk = 1000;
	model_al(t.a)->snd_tail = n;
	return m;
}

static void hostile_ring(void)
{
	struct eta_doorbell db = db_of(t.a, ETA_DB_DATA);

	ck_assert(model_ring(t.client, &db));
	turn(&t);
}

static void hostile_end(void)
{
	ck_assert_int_eq(model_state(t.a), ETA_DTI_CLOSED);
	ck_assert_int_eq(model_status(t.a), ETA_STATUS_BAD_DESCRIPTOR);
	ck_assert_uint_eq(pair_stat(t.pair, 0, "dti_killed"), 1);
	pair_destroy(t.pair);
}

START_TEST(source_iov__a_right_chunk_is_sent)
{
	(void)hostile_begin(100);
	hostile_ring();
	ck_assert_uint_eq(model_readable(t.b), 100);
	pair_destroy(t.pair);
}
END_TEST

START_TEST(source_iov__foreign_dti_kills)
{
	hostile_begin(100)->dti++;
	hostile_ring();
	hostile_end();
}
END_TEST

START_TEST(source_iov__wrong_gen_kills)
{
	hostile_begin(100)->gen++;
	hostile_ring();
	hostile_end();
}
END_TEST

START_TEST(source_iov__undefined_order_kills)
{
	hostile_begin(100)->order = 13;
	hostile_ring();
	hostile_end();
}
END_TEST

START_TEST(source_iov__unaligned_chunk_kills)
{
	struct eta_chunk_meta *m = hostile_begin(100);

	m[1] = *m;
	m[1].order = ETA_CHUNK_ORDER_LARGE;
	model_al(t.a)->chunk = 1001;
	hostile_ring();
	hostile_end();
}
END_TEST

START_TEST(source_iov__chunk_outside_the_segment_kills)
{
	(void)hostile_begin(100);
	model_al(t.a)->chunk = ETA_CHUNK_MAKE(0, 0xfffff);
	hostile_ring();
	hostile_end();
}
END_TEST

START_TEST(source_iov__chunk_in_the_engine_s_own_segment_kills)
{
	(void)hostile_begin(100);
	model_al(t.a)->chunk = ETA_CHUNK_MAKE(1, 0);
	hostile_ring();
	hostile_end();
}
END_TEST

START_TEST(source_iov__no_chunk_for_announced_bytes_kills)
{
	(void)hostile_begin(100);
	model_al(t.a)->chunk = ETA_CHUNK_NONE;
	hostile_ring();
	hostile_end();
}
END_TEST

START_TEST(source_iov__chunk_behind_the_bytes_kills)
{
	hostile_begin(100)->off = 50;
	hostile_ring();
	hostile_end();
}
END_TEST

START_TEST(source_iov__missing_successor_kills)
{
	(void)hostile_begin(5000);
	hostile_ring();
	ck_assert_uint_eq(model_readable(t.b), 4096);
	hostile_end();
}
END_TEST

START_TEST(source_iov__successor_that_is_itself_kills)
{
	hostile_begin(100000)->next = 1000;
	hostile_ring();
	hostile_end();
}
END_TEST

START_TEST(source_iov__a_hole_kills)
{
	struct eta_chunk_meta *m = hostile_begin(9000);

	m->next = 1001;
	m[1] = *m;
	m[1].off = 5000;
	hostile_ring();
	hostile_end();
}
END_TEST

START_TEST(source_iov__successor_may_begin_early)
{
	struct eta_chunk_meta *m = hostile_begin(200);

	m->next = 1001;
	m[1] = *m;
	m[1].next = ETA_CHUNK_NONE;
	m[1].off = 100;
	hostile_ring();
	ck_assert_uint_eq(model_readable(t.b), 200);
	pair_destroy(t.pair);
}
END_TEST

static bool lose(void *arg, int side, const uint8_t *frame, uint32_t len)
{
	(void)arg;
	(void)frame;
	return side != 0 || len < 100;
}

START_TEST(source_iov__unacknowledged_bytes_must_not_move)
{
	struct eta_chunk_meta *m = hostile_begin(1000);

	simport_set_tap(t.pair->wire, lose, NULL);
	hostile_ring();
	ck_assert_uint_eq(pair_stat(t.pair, 0, "dti_killed"), 0);
	m->off = 1; /* and now the retransmission */
	pair_pass(t.pair, 3000000);
	hostile_end();
}
END_TEST

START_TEST(source_iov__a_drained_chunk_may_go)
{
	struct eta_chunk_meta *m = hostile_begin(100);

	hostile_ring();
	ck_assert_uint_eq(model_en(t.a)->snd_una, 100);
	m[5] = *m;
	m[5].off = 100;
	model_al(t.a)->chunk = 1005;
	m->dti = ETA_DTI_NONE;
	model_al(t.a)->snd_tail = 200;
	hostile_ring();
	ck_assert_uint_eq(model_readable(t.b), 200);
	ck_assert_uint_eq(pair_stat(t.pair, 0, "dti_killed"), 0);
	pair_destroy(t.pair);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("source");
	TCase *tc = tcase_create("source");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, source_iov__a_right_chunk_is_sent);
	tcase_add_test(tc, source_iov__foreign_dti_kills);
	tcase_add_test(tc, source_iov__wrong_gen_kills);
	tcase_add_test(tc, source_iov__undefined_order_kills);
	tcase_add_test(tc, source_iov__unaligned_chunk_kills);
	tcase_add_test(tc, source_iov__chunk_outside_the_segment_kills);
	tcase_add_test(tc, source_iov__chunk_in_the_engine_s_own_segment_kills);
	tcase_add_test(tc, source_iov__no_chunk_for_announced_bytes_kills);
	tcase_add_test(tc, source_iov__chunk_behind_the_bytes_kills);
	tcase_add_test(tc, source_iov__missing_successor_kills);
	tcase_add_test(tc, source_iov__successor_that_is_itself_kills);
	tcase_add_test(tc, source_iov__a_hole_kills);
	tcase_add_test(tc, source_iov__successor_may_begin_early);
	tcase_add_test(tc, source_iov__unacknowledged_bytes_must_not_move);
	tcase_add_test(tc, source_iov__a_drained_chunk_may_go);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
