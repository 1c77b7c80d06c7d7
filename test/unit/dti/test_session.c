/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/unit/dti/dti_test.h"

static struct two t;

static int command(struct eta_admin_msg *msg)
{
	uint64_t cookie = model_ka_command(t.pair->ka[0], msg);

	pair_pass(t.pair, 1000);
	return model_ka_status(t.pair->ka[0], cookie);
}

/* A segment that is right; each test makes one thing wrong. */
static struct eta_admin_msg seg_msg(uint8_t *base)
{
	struct eta_admin_msg m = {.op = ETA_ADMIN_SEG_ADD, .session = model_number(t.client)};

	m.seg.seg = 9;
	m.seg.kind = ETA_SEG_EN;
	m.seg.meta_off = 0;
	m.seg.chunk_off = ETA_PAGE_BYTES;
	m.seg.chunk_pages = 3;
	m.seg.base = base;
	m.seg.bytes = 4 * ETA_PAGE_BYTES;
	return m;
}

START_TEST(session_seg_add__impossible_geometry_is_refused)
{
	uint8_t *base = aligned_alloc(ETA_PAGE_BYTES, 4 * ETA_PAGE_BYTES);
	struct eta_admin_msg m;

	two_open(&t);
	m = seg_msg(base);
	m.seg.chunk_pages = 4;
	ck_assert_int_eq(command(&m), ETA_STATUS_INVALID);
	m = seg_msg(base);
	m.seg.chunk_off = 100;
	ck_assert_int_eq(command(&m), ETA_STATUS_INVALID);
	m = seg_msg(base);
	m.seg.chunk_off = 0xfffff000u;
	ck_assert_int_eq(command(&m), ETA_STATUS_INVALID);
	m = seg_msg(base);
	m.seg.meta_off = 4 * ETA_PAGE_BYTES - 16;
	ck_assert_int_eq(command(&m), ETA_STATUS_INVALID);
	m = seg_msg(base);
	m.seg.dti_n = 1000;
	ck_assert_int_eq(command(&m), ETA_STATUS_INVALID);
	m = seg_msg(base);
	m.seg.kind = 7;
	ck_assert_int_eq(command(&m), ETA_STATUS_INVALID);
	m = seg_msg(base);
	m.seg.seg = 0; /* there is one already */
	ck_assert_int_eq(command(&m), ETA_STATUS_INVALID);
	m = seg_msg(base);
	m.session = 999;
	ck_assert_int_eq(command(&m), ETA_STATUS_NOT_FOUND);
	m = seg_msg(base);
	ck_assert_int_eq(command(&m), ETA_STATUS_OK);
	two_end(&t);
	free(base);
}
END_TEST

START_TEST(session_ring_add__impossible_rings_are_refused)
{
	struct eta_admin_msg m = {.op = ETA_ADMIN_RING_ADD};

	two_open(&t);
	m.session = model_number(t.client);
	m.ring.ring = 1;
	m.ring.seg_en = 1;
	m.ring.doorbell_n = 100; /* not a power of two */
	m.ring.event_n = 64;
	ck_assert_int_eq(command(&m), ETA_STATUS_INVALID);
	m.ring.doorbell_n = 64;
	m.ring.doorbell_off = 0xffffff00u;
	ck_assert_int_eq(command(&m), ETA_STATUS_INVALID);
	m.ring.doorbell_off = 0;
	m.ring.seg_al = 1; /* doorbells in the engine's segment */
	ck_assert_int_eq(command(&m), ETA_STATUS_INVALID);
	m.ring.ring = 999;
	ck_assert_int_eq(command(&m), ETA_STATUS_INVALID);
	two_end(&t);
}
END_TEST

START_TEST(session_add__a_number_twice_is_refused)
{
	struct eta_admin_msg m = {.op = ETA_ADMIN_SESSION_ADD};

	two_open(&t);
	m.session = model_number(t.client);
	ck_assert_int_eq(command(&m), ETA_STATUS_INVALID);
	two_end(&t);
}
END_TEST

START_TEST(session_end__death_resets_peers_and_leaves_nothing)
{
	two_open(&t);
	ck_assert_uint_eq(model_send(t.b, "unread by the dead", 18), 18);
	turn(&t);
	model_die(t.client, false);
	turn(&t);
	ck_assert(model_is_gone(t.client));
	ck_assert_int_eq(model_status(t.b), ETA_STATUS_RESET);
	ck_assert_ptr_null(session_find(&t.pair->core[0]->dti, model_number(t.client)));
	for (uint32_t i = 1; i < t.pair->core[0]->dti.seg_n; i++)
		ck_assert_uint_eq(t.pair->core[0]->dti.seg[i].kind, 0);
	two_end(&t);
}
END_TEST

START_TEST(session_end__orderly_delivers_everything_first)
{
	static uint8_t buf[200000];
	size_t n = 0, sent;

	two_open(&t);
	sent = model_send(t.a, buf, sizeof(buf));
	model_die(t.client, true);
	turn(&t);
	ck_assert(!model_is_gone(t.client)); /* its bytes are still needed */
	for (int k = 0; k < 200; k++) {
		uint8_t got[16384];

		n += model_recv(t.b, got, sizeof(got));
		turn(&t);
	}
	ck_assert_uint_eq(n, sent);
	ck_assert(model_is_eof(t.b));
	ck_assert(model_is_gone(t.client));
	two_end(&t);
}
END_TEST

/* The peer reads nothing, and never will: a core that stops does not wait for it. */
START_TEST(session_hurry__stop_resets_what_lingers)
{
	static uint8_t buf[200000];
	struct eta_admin_msg stop = {.op = ETA_ADMIN_STOP};

	two_open(&t);
	(void)model_send(t.a, buf, sizeof(buf));
	model_die(t.client, true);
	pair_pass(t.pair, 10000000);
	ck_assert(!model_is_gone(t.client));
	(void)model_ka_command(t.pair->ka[0], &stop);
	turn(&t);
	ck_assert(model_is_gone(t.client));
	ck_assert(t.pair->core[0]->is_stopped);
	ck_assert_int_eq(model_status(t.b), ETA_STATUS_RESET);
	two_end(&t);
}
END_TEST

START_TEST(session_end__many_deaths_leak_nothing)
{
	uint32_t free_before, notes_before;

	two_begin(&t, NULL, NULL, NULL, 8);
	free_before = t.pair->core[0]->ctx_free_n;
	notes_before = t.pair->core[0]->dti.note_free_n;
	t.pair->no_check = true;
	for (int i = 0; i < 300; i++) {
		struct model_conf small = {.dtis_n = 8, .snd_pages = 16, .rcv_pages = 16};
		struct model *m = pair_attach(t.pair, 0, &small);
		struct model_conn *c = model_connect(m, "10.0.0.2", PORT);
		struct model_conn *b;

		pair_pass(t.pair, 1000);
		(void)model_send(c, "doomed", 6);
		model_die(m, false);
		pair_pass(t.pair, 1000);
		ck_assert(model_is_gone(m));
		t.pair->model_n[0]--;
		b = model_accept(t.master);
		ck_assert_ptr_nonnull(b);
		model_close(b);
		model_post_children(t.master, 1);
		pair_pass(t.pair, 1000);
		model_release(b);
	}
	ck_assert_uint_eq(t.pair->core[0]->ctx_free_n, free_before);
	ck_assert_uint_eq(t.pair->core[0]->dti.note_free_n, notes_before);
	ck_assert_ptr_null(core_check(t.pair->core[0]));
	ck_assert_ptr_null(core_check(t.pair->core[1]));
	two_end(&t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("session");
	TCase *tc = tcase_create("session");

	tcase_set_timeout(tc, 100);
	tcase_add_test(tc, session_seg_add__impossible_geometry_is_refused);
	tcase_add_test(tc, session_ring_add__impossible_rings_are_refused);
	tcase_add_test(tc, session_add__a_number_twice_is_refused);
	tcase_add_test(tc, session_end__death_resets_peers_and_leaves_nothing);
	tcase_add_test(tc, session_end__orderly_delivers_everything_first);
	tcase_add_test(tc, session_hurry__stop_resets_what_lingers);
	tcase_add_test(tc, session_end__many_deaths_leak_nothing);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
