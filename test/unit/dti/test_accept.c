/* SPDX-License-Identifier: BSD-3-Clause */
#include <arpa/inet.h>

#include "engine/core/core.h"
#include "engine/dti/dti_up.h"
#include "test/unit/dti/dti_test.h"

static struct two t;
static struct model *worker; /* forked from the server */
static struct model_conn *shared;

/* The server's master, and the same one in a forked worker; @mine and @its children. */
static void workers_begin(uint32_t mine, uint32_t its)
{
	struct model_conf forked = {0};

	two_begin(&t, NULL, NULL, NULL, mine);
	forked.parent = t.server;
	worker = pair_attach(t.pair, 1, &forked);
	shared = model_listen_share(worker, t.master, its);
	turn(&t);
}

static void connect_and_say(const char *text)
{
	t.a = model_connect(t.client, "10.0.0.2", PORT);
	turn(&t);
	ck_assert_uint_eq(model_send(t.a, text, strlen(text)), strlen(text));
	turn(&t);
}

static void check_heard(struct model_conn *c, const char *text)
{
	char got[64] = "";

	ck_assert_ptr_nonnull(c);
	turn(&t);
	ck_assert_uint_eq(model_recv(c, got, sizeof(got)), strlen(text));
	ck_assert_str_eq(got, text);
}

START_TEST(tcp_up_accept__no_child_waits_for_one)
{
	two_begin(&t, NULL, NULL, NULL, 0);
	t.a = model_connect(t.client, "10.0.0.2", PORT);
	turn(&t);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "accept_no_child"), 1);
	ck_assert_uint_eq(model_en(t.master)->accept_n, 1);
	ck_assert_uint_ge(model_events(t.master, ETA_EV_ACCEPT), 1);
	model_post_children(t.master, 1);
	turn(&t);
	ck_assert_ptr_null(model_accept(t.master)); /* rings TAKE */
	turn(&t); /* no ACK was lost: nobody waits for a retransmission */
	t.b = model_accept(t.master);
	ck_assert_ptr_nonnull(t.b);
	turn(&t);
	check_delivers(&t, "late");
	two_end(&t);
}
END_TEST

START_TEST(tcp_up_accept__contended_waits_for_whoever_takes)
{
	struct model_conn *c;

	workers_begin(4, 4);
	connect_and_say("early bytes");
	ck_assert_uint_eq(model_en(t.master)->accept_n, 1);
	ck_assert_uint_ge(model_events(t.master, ETA_EV_ACCEPT), 1);
	ck_assert_uint_ge(model_events(shared, ETA_EV_ACCEPT), 1);
	ck_assert_ptr_null(model_accept(shared)); /* rings TAKE */
	turn(&t);
	c = model_accept(shared);
	check_heard(c, "early bytes");
	ck_assert_uint_eq(model_en(t.master)->accept_n, 0);
	ck_assert_ptr_null(model_accept(t.master));
	two_end(&t);
}
END_TEST

START_TEST(tcp_up_accept__more_early_bytes_than_the_stage_holds_arrive_all_the_same)
{
	static uint8_t buf[32768];
	struct model_conn *c;
	size_t n = 0;

	workers_begin(4, 4);
	t.a = model_connect(t.client, "10.0.0.2", PORT);
	turn(&t);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 7 + (i >> 8));
	ck_assert_uint_eq(model_send(t.a, buf, sizeof(buf)), sizeof(buf));
	turn(&t);
	(void)model_accept(shared);
	turn(&t);
	c = model_accept(shared);
	ck_assert_ptr_nonnull(c);
	for (int k = 0; k < 100 && n < sizeof(buf); k++) {
		uint8_t got[4096];
		size_t g = model_recv(c, got, sizeof(got));

		for (size_t i = 0; i < g; i++)
			ck_assert_uint_eq(got[i], buf[n + i]);
		n += g;
		turn(&t);
	}
	ck_assert_uint_eq(n, sizeof(buf));
	two_end(&t);
}
END_TEST

#define EARLY_BYTES 3000u
#define EARLY_CONNS 6u

START_TEST(accept_take__without_memory_the_rest_waits_on)
{
	struct model_conf poor = {.rcv_pages = 4, .rcv_segs_max = 1};
	struct model_conn *c[EARLY_CONNS], *child;
	uint8_t buf[EARLY_BYTES], got[EARLY_BYTES];
	uint32_t accepted = 0;

	two_begin(&t, NULL, NULL, &poor, 0);
	for (uint32_t i = 0; i < EARLY_CONNS; i++) {
		memset(buf, (int)('a' + i), sizeof(buf));
		c[i] = model_connect(t.client, "10.0.0.2", PORT);
		turn(&t);
		ck_assert_uint_eq(model_send(c[i], buf, sizeof(buf)), sizeof(buf));
		turn(&t);
		ck_assert(model_is_acked(c[i]));
	}
	model_post_children(t.master, EARLY_CONNS);
	turn(&t);
	(void)model_accept(t.master); /* rings TAKE for all of them */
	pair_pass(t.pair, ACCEPT_RETRY_US / 2);
	/* nobody is told to take what there is no memory for */
	ck_assert_uint_eq(model_en(t.master)->accept_n, 0);
	for (uint32_t k = 0; k < 200 && accepted < EARLY_CONNS; k++) {
		child = model_accept(t.master);
		turn(&t);
		if (!child)
			continue;
		ck_assert_uint_eq(model_recv(child, got, sizeof(got)), sizeof(got));
		for (uint32_t i = 0; i < sizeof(got); i++)
			ck_assert_uint_eq(got[i], 'a' + accepted);
		accepted++;
	}
	ck_assert_uint_eq(accepted, EARLY_CONNS);
	for (uint32_t i = 0; i < EARLY_CONNS; i++)
		ck_assert_int_eq(model_state(c[i]), ETA_DTI_OPEN);
	ck_assert_uint_ge(pair_stat(t.pair, 1, "accept_short"), 1);
	two_end(&t);
}
END_TEST

START_TEST(tcp_up_accept__an_armed_worker_comes_first)
{
	workers_begin(4, 4);
	for (int i = 0; i < 3; i++) {
		model_arm(worker);
		connect_and_say("x");
		ck_assert_ptr_nonnull(model_accept(shared));
		model_disarm(worker);
		turn(&t);
	}
	model_arm(t.server);
	connect_and_say("y");
	ck_assert_ptr_nonnull(model_accept(t.master));
	two_end(&t);
}
END_TEST

START_TEST(accept_rebind__a_dead_worker_s_connection_goes_to_another_with_its_bytes)
{
	workers_begin(4, 4);
	model_arm(worker);
	connect_and_say("survives");
	ck_assert_uint_eq(pair_stat(t.pair, 1, "accept_bound"), 1);
	model_die(worker, false);
	turn(&t);
	ck_assert(model_is_gone(worker));
	ck_assert_uint_eq(pair_stat(t.pair, 1, "accept_rebound"), 1);
	check_heard(model_accept(t.master), "survives");
	two_end(&t);
}
END_TEST

START_TEST(accept_rebind__without_another_child_it_waits)
{
	workers_begin(0, 4);
	model_arm(worker);
	connect_and_say("patient");
	model_die(worker, false);
	turn(&t);
	ck_assert(model_is_gone(worker));
	pair_pass(t.pair, 500000);
	model_post_children(t.master, 1);
	turn(&t);
	(void)model_accept(t.master);
	turn(&t);
	check_heard(model_accept(t.master), "patient");
	two_end(&t);
}
END_TEST

START_TEST(accept_done__an_accepted_connection_dies_with_its_worker)
{
	workers_begin(4, 4);
	model_arm(worker);
	connect_and_say("mine");
	ck_assert_ptr_nonnull(model_accept(shared));
	model_die(worker, false);
	turn(&t);
	ck_assert_int_eq(model_status(t.a), ETA_STATUS_RESET);
	ck_assert_ptr_null(model_accept(t.master));
	two_end(&t);
}
END_TEST

START_TEST(accept_withdraw__unsubscribing_gives_unaccepted_connections_away)
{
	struct eta_doorbell db;

	workers_begin(4, 4);
	model_arm(worker);
	model_hold_events(worker, true);
	connect_and_say("handed on");
	db = db_of(shared, ETA_DB_UNSUBSCRIBE);
	ck_assert(model_ring(worker, &db));
	turn(&t);
	check_heard(model_accept(t.master), "handed on");
	two_end(&t);
}
END_TEST

START_TEST(accept_unlisten__resets_what_nobody_accepted_and_frees_children)
{
	two_begin(&t, NULL, NULL, NULL, 4);
	t.a = model_connect(t.client, "10.0.0.2", PORT);
	turn(&t);
	ck_assert_int_eq(model_state(t.a), ETA_DTI_OPEN);
	model_close(t.master);
	turn(&t);
	ck_assert(model_is_free(t.master));
	ck_assert_int_eq(model_status(t.a), ETA_STATUS_RESET);
	ck_assert_int_eq(dti_listener(&t.pair->core[1]->dti,
					 &t.pair->core[0]->dti.ctx[1].tuple.raddr, htons(PORT)),
			0);
	t.a = model_connect(t.client, "10.0.0.2", PORT);
	turn(&t);
	ck_assert_int_eq(model_status(t.a), ETA_STATUS_REFUSED);
	two_end(&t);
}
END_TEST

/* As Linux: accept() hands it out, what it has brought can be read, then the error. */
START_TEST(accept_died__reset_before_accept_is_accepted_with_its_bytes)
{
	two_begin(&t, NULL, NULL, NULL, 0);
	connect_and_say("last words");
	model_abort(t.a);
	turn(&t);
	ck_assert_uint_eq(model_en(t.master)->accept_n, 1);
	model_post_children(t.master, 1);
	turn(&t);
	(void)model_accept(t.master); /* rings TAKE */
	turn(&t);
	t.b = model_accept(t.master);
	check_heard(t.b, "last words");
	ck_assert_int_eq(model_state(t.b), ETA_DTI_CLOSED);
	ck_assert_int_eq(model_status(t.b), ETA_STATUS_RESET);
	ck_assert_uint_eq(model_en(t.master)->accept_n, 0);
	model_close(t.b);
	turn(&t);
	ck_assert(model_is_free(t.b));
	two_end(&t);
}
END_TEST

/* Its slot comes back when its listener goes, and with those that live. */
START_TEST(accept_died__who_was_reset_goes_with_the_listener)
{
	struct model_conn *lives;
	uint32_t left;

	two_begin(&t, NULL, NULL, NULL, 0);
	left = dti_up_ctx_left(dti_env(&t.pair->core[1]->dti));
	connect_and_say("one");
	model_abort(t.a);
	turn(&t);
	lives = model_connect(t.client, "10.0.0.2", PORT);
	turn(&t);
	ck_assert_uint_eq(model_en(t.master)->accept_n, 2);
	ck_assert_uint_eq(dti_up_ctx_left(dti_env(&t.pair->core[1]->dti)), left - 2);
	model_close(t.master);
	turn(&t);
	ck_assert(model_is_free(t.master));
	ck_assert_int_eq(model_status(lives), ETA_STATUS_RESET);
	ck_assert_uint_eq(dti_up_ctx_left(dti_env(&t.pair->core[1]->dti)), left + 1);
	two_end(&t);
}
END_TEST

/* @backlog, and @n connections that are opened at once. */
static void crowd_begin(uint32_t backlog, struct model_conn **c, int n)
{
	memset(&t, 0, sizeof(t));
	t.pair = pair_create(NULL);
	t.client = pair_attach(t.pair, 0, NULL);
	t.server = pair_attach(t.pair, 1, NULL);
	t.master = model_listen(t.server, "10.0.0.2", PORT, backlog, 32);
	turn(&t);
	for (int i = 0; i < n; i++)
		c[i] = model_connect(t.client, "10.0.0.2", PORT);
	turn(&t);
}

static uint32_t open_n(struct model_conn **c, int n)
{
	uint32_t open = 0;

	for (int i = 0; i < n; i++)
		open += model_state(c[i]) == ETA_DTI_OPEN;
	return open;
}

START_TEST(tcp_up_room__a_full_accept_queue_drops_syns)
{
	struct model_conn *c[4], *more;

	crowd_begin(3, c, 2);
	more = model_connect(t.client, "10.0.0.2", PORT);
	turn(&t);
	c[2] = more;
	c[3] = model_connect(t.client, "10.0.0.2", PORT);
	turn(&t);
	ck_assert_uint_eq(open_n(c, 4), 4); /* backlog + 1, as Linux */
	more = model_connect(t.client, "10.0.0.2", PORT);
	turn(&t);
	ck_assert_int_eq(model_state(more), ETA_DTI_CONNECTING);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "TcpExtListenOverflows"), 1);
	ck_assert_ptr_nonnull(model_accept(t.master));
	pair_pass(t.pair, 1100000); /* the SYN comes again */
	ck_assert_int_eq(model_state(more), ETA_DTI_OPEN);
	two_end(&t);
}
END_TEST

/* Connections that may be pending with data of their SYN, of the server's only listener. */
static uint32_t fastopen_qlen(void)
{
	const struct tcp_stack *tcp = &t.pair->core[1]->tcp;

	for (uint32_t i = 1; i < tcp->ctx_n; i++)
		if (tcp->ctx[i].state == TCP_STATE_LISTEN)
			return tcp->ctx[i].fastopen_qlen;
	return UINT32_MAX;
}

START_TEST(accept_listen__fast_open_of_every_listener_is_limited_by_its_backlog)
{
	struct pair_conf conf = {.engine.fastopen = TCP_FASTOPEN_SERVER};

	for (int all = 0; all < 2; all++) {
		conf.engine.fastopen |= all ? TCP_FASTOPEN_ALL : 0;
		memset(&t, 0, sizeof(t));
		t.pair = pair_create(&conf);
		t.client = pair_attach(t.pair, 0, NULL);
		t.server = pair_attach(t.pair, 1, NULL);
		t.master = model_listen(t.server, "10.0.0.2", PORT, 7, 1);
		turn(&t);
		ck_assert_uint_eq(fastopen_qlen(), all ? 7 : 0);
		two_end(&t);
	}
}
END_TEST

/* Two embryos are one source's share of four; the others' handshakes are the peers' to remember. */
START_TEST(tcp_rx_cookie__connects_who_found_no_embryo_with_its_bytes)
{
	struct model_conn *c[12];
	char got[16] = "";
	uint32_t n = 0;

	crowd_begin(3, c, 12);
	ck_assert_uint_eq(open_n(c, 12), 12);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "TcpExtSyncookiesSent"), 10);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "TcpExtSyncookiesRecv"), 2);
	for (int i = 0; i < 12; i++)
		ck_assert_uint_eq(model_send(c[i], "early", 5), 5);
	for (int k = 0; k < 20; k++) {
		pair_pass(t.pair, 500000);
		while ((t.b = model_accept(t.master)) != NULL) {
			turn(&t);
			n += model_recv(t.b, got, sizeof(got)) == 5;
			ck_assert_str_eq(got, "early");
		}
	}
	ck_assert_uint_eq(n, 12);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "TcpExtSyncookiesRecv"), 10);
	two_end(&t);
}
END_TEST

START_TEST(accept_post__what_is_not_free_is_refused)
{
	struct eta_doorbell db;

	two_open(&t);
	db = db_of(t.master, ETA_DB_CHILD);
	db.arg0 = ETA_DTI_INDEX(model_dti(t.b)); /* in use */
	db.arg1 = 1;
	ck_assert(model_ring(t.server, &db));
	turn(&t);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "child_refused"), 1);
	check_delivers(&t, "undisturbed");
	db.arg0 = 0x00fffff0; /* nowhere */
	db.arg1 = 256;
	ck_assert(model_ring(t.server, &db));
	turn(&t);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "child_refused"), 257);
	two_end(&t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("accept");
	TCase *tc = tcase_create("accept");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, tcp_up_accept__no_child_waits_for_one);
	tcase_add_test(tc, tcp_up_accept__contended_waits_for_whoever_takes);
	tcase_add_test(tc,
			tcp_up_accept__more_early_bytes_than_the_stage_holds_arrive_all_the_same);
	tcase_add_test(tc, accept_take__without_memory_the_rest_waits_on);
	tcase_add_test(tc, tcp_up_accept__an_armed_worker_comes_first);
	tcase_add_test(tc,
			accept_rebind__a_dead_worker_s_connection_goes_to_another_with_its_bytes);
	tcase_add_test(tc, accept_rebind__without_another_child_it_waits);
	tcase_add_test(tc, accept_done__an_accepted_connection_dies_with_its_worker);
	tcase_add_test(tc, accept_withdraw__unsubscribing_gives_unaccepted_connections_away);
	tcase_add_test(tc, accept_died__reset_before_accept_is_accepted_with_its_bytes);
	tcase_add_test(tc, accept_died__who_was_reset_goes_with_the_listener);
	tcase_add_test(tc, accept_unlisten__resets_what_nobody_accepted_and_frees_children);
	tcase_add_test(tc, tcp_up_room__a_full_accept_queue_drops_syns);
	tcase_add_test(tc, accept_listen__fast_open_of_every_listener_is_limited_by_its_backlog);
	tcase_add_test(tc, tcp_rx_cookie__connects_who_found_no_embryo_with_its_bytes);
	tcase_add_test(tc, accept_post__what_is_not_free_is_refused);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
