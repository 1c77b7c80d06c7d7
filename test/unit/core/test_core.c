/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "test/unit/dti/dti_test.h"

static struct two t;

START_TEST(engine_create__an_idle_connection_costs_less_than_834_bytes)
{
	uint64_t small, large;
	struct pair_conf conf = {.engine = {.contexts_max = 4096}};

	t.pair = pair_create(&conf);
	small = engine_memory_bytes(t.pair->engine[0]);
	pair_destroy(t.pair);
	conf.engine.contexts_max = 32768;
	t.pair = pair_create(&conf);
	large = engine_memory_bytes(t.pair->engine[0]);
	pair_destroy(t.pair);
	/*
	 * Context, DTI context and its key in one of the hash tables; the rest is pools that connections share. A cache
	 * line of the context is for TCP_INFO alone.
	 */
	ck_assert_uint_le(sizeof(struct tcp_ctx) + sizeof(struct dti_ctx) + 48, 834);
	ck_assert_uint_le((large - small) / (32768 - 4096), 1064);
}
END_TEST

START_TEST(core_poll_once__turns_local_traffic_round)
{
	struct model_conn *master, *a, *b;
	char got[16] = "";

	two_begin(&t, NULL, NULL, NULL, 8);
	master = model_listen(t.client, "10.0.0.1", 5000, 8, 4);
	turn(&t);
	a = model_connect(t.client, "10.0.0.1", 5000);
	turn(&t);
	b = model_accept(master);
	ck_assert_ptr_nonnull(b);
	ck_assert_uint_eq(model_send(a, "inside", 6), 6);
	turn(&t);
	ck_assert_uint_eq(model_recv(b, got, sizeof(got)), 6);
	ck_assert_str_eq(got, "inside");
	ck_assert_uint_gt(pair_stat(t.pair, 0, "turned"), 4);
	ck_assert_uint_eq(simport_stats(t.pair->wire, 0)->sent, 0);
	two_end(&t);
}
END_TEST

/* More than any burst, batch or table of a switch: nothing is dropped. */
START_TEST(core_poll_once__turns_hundreds_of_frames_in_one_turn_without_loss)
{
	struct pair_conf conf = {.engine = {.contexts_max = 2048}};
	struct model_conf many = {
			.dtis_n = 1024, .rcv_pages = 2048, .doorbell_n = 2048, .event_n = 2048};
	struct model_conn *master, *a[400];
	char got[8];
	int n = 0;

	two_begin(&t, &conf, &many, NULL, 8);
	master = model_listen(t.client, "10.0.0.1", 5000, 512, 400);
	turn(&t);
	for (int i = 0; i < 400; i++)
		a[i] = model_connect(t.client, "10.0.0.1", 5000);
	turn(&t);
	for (int i = 0; i < 400; i++)
		ck_assert_uint_eq(model_send(a[i], "inside", 6), 6);
	turn(&t);
	for (struct model_conn *b = model_accept(master); b; b = model_accept(master))
		n += model_recv(b, got, sizeof(got)) == 6;
	ck_assert_int_eq(n, 400);
	ck_assert_uint_eq(pair_stat(t.pair, 0, "turn_full"), 0);
	ck_assert_uint_eq(pair_stat(t.pair, 0, "TcpRetransSegs"), 0);
	two_end(&t);
}
END_TEST

START_TEST(core_poll_once__never_answers_what_it_does_not_own)
{
	two_begin(&t, NULL, NULL, NULL, 8);
	t.a = model_connect(t.client, "10.0.0.2", 9999);
	(void)core_poll_once(t.pair->core[0], t.pair->now_us);
	simport_set_now(t.pair->wire, ++t.pair->now_us);
	(void)core_poll_once(t.pair->core[1], t.pair->now_us);
	ck_assert_uint_eq(simport_stats(t.pair->wire, 1)->sent, 0);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "rx_no_ctx"), 1);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "punt_up"), 1);
	turn(&t);
	/* the kernel has answered */
	ck_assert_int_eq(model_status(t.a), ETA_STATUS_REFUSED);
	two_end(&t);
}
END_TEST

static void hide(struct two *two, uint16_t port, bool is_del)
{
	struct eta_admin_msg m = {.op = ETA_ADMIN_HIDDEN_SET};

	m.hidden.port_be = htons(port);
	m.hidden.is_del = is_del;
	(void)model_ka_command(two->pair->ka[1], &m);
	turn(two);
}

/* A port shared with the kernel: it has its own copy of everything but what KA's filter hides. */
START_TEST(core_poll_once__hands_up_what_only_the_filter_hides)
{
	two_begin(&t, NULL, NULL, NULL, 8);
	simport_port(t.pair->wire, 1)->kernel_shared = true;
	(void)model_connect(t.client, "10.0.0.2", 9999);
	turn(&t);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "punt_up"), 0);
	hide(&t, 9999, false);
	t.a = model_connect(t.client, "10.0.0.2", 9999);
	turn(&t);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "punt_up"), 1);
	ck_assert_int_eq(model_status(t.a), ETA_STATUS_REFUSED);
	hide(&t, 9999, true);
	(void)model_connect(t.client, "10.0.0.2", 9999);
	turn(&t);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "punt_up"), 1);
	two_end(&t);
}
END_TEST

START_TEST(core_poll_once__an_unresolved_neighbour_delays_and_loses_nothing)
{
	struct pair_conf conf = {.neigh_late = true};

	two_begin(&t, &conf, NULL, NULL, 8);
	two_connect(&t);
	ck_assert_uint_ge(model_ka_notices(t.pair->ka[0], ETA_ADMIN_NEIGH_WANT), 1);
	check_delivers(&t, "resolved");
	two_end(&t);
}
END_TEST

START_TEST(admin_poll__a_failed_neighbour_ends_the_attempt)
{
	struct eta_admin_msg m = {.op = ETA_ADMIN_NEIGH_SET};
	struct ip_addr a = ip_addr_from_v4(htonl(0x0a000063));

	two_begin(&t, NULL, NULL, NULL, 8);
	t.a = model_connect(t.client, "10.0.0.99", 80);
	pair_pass(t.pair, 10000);
	ck_assert_int_eq(model_state(t.a), ETA_DTI_CONNECTING);
	memcpy(m.neigh.addr, a.b, 16);
	m.neigh.is_del = 1;
	(void)model_ka_command(t.pair->ka[0], &m);
	turn(&t);
	ck_assert_int_eq(model_state(t.a), ETA_DTI_CLOSED);
	ck_assert_int_eq(model_status(t.a), ETA_STATUS_UNREACHABLE);
	two_end(&t);
}
END_TEST

START_TEST(dti_up_local__an_authorised_port_is_used_and_told_to_ka)
{
	two_begin(&t, NULL, NULL, NULL, 8);
	t.a = model_connect_from(t.client, "10.0.0.1", 1234, "10.0.0.2", PORT);
	turn(&t);
	ck_assert_int_eq(model_state(t.a), ETA_DTI_OPEN);
	ck_assert_uint_eq(model_en(t.a)->lport_be, htons(1234));
	ck_assert_uint_eq(model_ka_notices(t.pair->ka[0], ETA_ADMIN_TUPLE_ADD), 1);
	model_abort(t.a);
	turn(&t);
	ck_assert_uint_eq(model_ka_notices(t.pair->ka[0], ETA_ADMIN_TUPLE_DEL), 1);
	two_end(&t);
}
END_TEST

START_TEST(dti_up_local__an_unauthorised_local_address_is_denied)
{
	two_begin(&t, NULL, NULL, NULL, 8);
	t.a = model_connect_from(t.client, "10.0.0.1", 1234, "10.0.0.2", PORT);
	t.b = model_connect(t.client, "10.0.0.2", PORT);
	model_al(t.b)->opt = ETA_OPT_LOCAL_BOUND;
	turn(&t);
	ck_assert_int_eq(model_status(t.b), ETA_STATUS_DENIED);
	ck_assert_int_eq(model_state(t.a), ETA_DTI_OPEN);
	two_end(&t);
}
END_TEST

START_TEST(ports_pick__uses_up_the_range_and_says_so)
{
	struct pair_conf conf = {.engine = {.port_lo = 40000, .port_hi = 40007}};
	struct model_conn *c[10];
	int open = 0;

	two_begin(&t, &conf, NULL, NULL, 16);
	for (int i = 0; i < 10; i++)
		c[i] = model_connect(t.client, "10.0.0.2", PORT);
	turn(&t);
	for (int i = 0; i < 10; i++)
		open += model_state(c[i]) == ETA_DTI_OPEN;
	ck_assert_int_eq(open, 8);
	ck_assert_int_eq(model_status(c[9]), ETA_STATUS_ADDR_INVALID);
	ck_assert_uint_eq(pair_stat(t.pair, 0, "ports_used_up"), 2);
	two_end(&t);
}
END_TEST

static int open_n(struct model_conn **c, int n)
{
	int open = 0;

	for (int i = 0; i < n; i++)
		open += model_state(c[i]) == ETA_DTI_OPEN;
	return open;
}

/* The client closes first, so TIME-WAIT is on its side. */
static void close_all(struct model_conn **c, int n)
{
	struct model_conn *b;

	for (int i = 0; i < n; i++)
		model_close(c[i]);
	turn(&t);
	while ((b = model_accept(t.master)) != NULL)
		model_close(b);
	turn(&t);
}

START_TEST(ports_pick__a_tuple_in_time_wait_serves_again_after_a_second)
{
	struct pair_conf conf = {.engine = {.port_lo = 40000, .port_hi = 40007}};
	struct model_conn *c[8];

	two_begin(&t, &conf, NULL, NULL, 32);
	for (int i = 0; i < 4; i++)
		c[i] = model_connect(t.client, "10.0.0.2", PORT);
	turn(&t);
	close_all(c, 4);
	pair_pass(t.pair, 1500000);
	/* four ports are free: they come first */
	for (int i = 0; i < 4; i++)
		c[i] = model_connect(t.client, "10.0.0.2", PORT);
	turn(&t);
	ck_assert_int_eq(open_n(c, 4), 4);
	ck_assert_uint_eq(pair_stat(t.pair, 0, "TcpExtTWRecycled"), 0);
	for (int i = 4; i < 8; i++)
		c[i] = model_connect(t.client, "10.0.0.2", PORT);
	turn(&t);
	ck_assert_int_eq(open_n(c, 8), 8);
	ck_assert_uint_eq(pair_stat(t.pair, 0, "TcpExtTWRecycled"), 4);
	close_all(c, 8);
	/* too early */
	c[0] = model_connect(t.client, "10.0.0.2", PORT);
	turn(&t);
	ck_assert_int_eq(model_status(c[0]), ETA_STATUS_ADDR_INVALID);
	two_end(&t);
}
END_TEST

START_TEST(dti_up_ctx_alloc__a_full_table_refuses_and_recovers)
{
	struct pair_conf conf = {.engine = {.contexts_max = 64}};
	struct model_conn *c[80];
	int refused = 0;

	two_begin(&t, &conf, NULL, NULL, 128);
	for (int i = 0; i < 80; i++)
		c[i] = model_connect(t.client, "10.0.0.2", 81);
	(void)core_poll_once(t.pair->core[0], t.pair->now_us);
	turn(&t);
	for (int i = 0; i < 80; i++)
		refused += model_status(c[i]) == ETA_STATUS_NO_MEMORY;
	ck_assert_int_ge(refused, 16);
	for (int i = 0; i < 80; i++)
		model_close(c[i]);
	turn(&t);
	for (int i = 0; i < 80; i++)
		ck_assert(model_is_free(c[i]));
	two_connect(&t);
	two_end(&t);
}
END_TEST

START_TEST(core_dump__rows_of_connections)
{
	struct eta_admin_msg m = {.op = ETA_ADMIN_DUMP};
	struct eta_ctx_row row[8];

	two_open(&t);
	m.dump.rows = row;
	m.dump.n = 8;
	(void)model_ka_command(t.pair->ka[0], &m);
	turn(&t);
	ck_assert_int_eq(row[0].tcp_state, TCP_STATE_ESTABLISHED);
	ck_assert_uint_eq(row[0].rport_be, htons(PORT));
	ck_assert_uint_eq(row[0].session, model_number(t.client));
	two_end(&t);
}
END_TEST

/* Return: the command's status. */
static int set_knob(struct two *two, uint32_t id, uint32_t value)
{
	struct eta_admin_msg m = {.op = ETA_ADMIN_KNOB_SET, .knob = {.id = id, .value = value}};
	uint64_t cookie = model_ka_command(two->pair->ka[0], &m);

	turn(two);
	return model_ka_status(two->pair->ka[0], cookie);
}

START_TEST(core_knob_set__the_next_connection_has_it)
{
	two_open(&t);
	ck_assert_int_eq(set_knob(&t, ETA_KNOB_TIMESTAMPS, 0), ETA_STATUS_OK);
	ck_assert_int_eq(set_knob(&t, ETA_KNOB_RCV_WSCALE, 5), ETA_STATUS_OK);
	/* one that is there keeps what it has */
	check_delivers(&t, "as before");
	two_connect(&t);
	ck_assert(!t.pair->core[0]->tcp.conf.timestamps);
	ck_assert_uint_eq(t.pair->core[0]->tcp.conf.rcv_wscale, 5);
	check_delivers(&t, "without");
	two_end(&t);
}
END_TEST

START_TEST(core_knob_set__refuses_what_is_none)
{
	struct tcp_conf before;

	two_begin(&t, NULL, NULL, NULL, 8);
	before = t.pair->core[0]->tcp.conf;
	ck_assert_int_eq(set_knob(&t, ETA_KNOB_N, 1), ETA_STATUS_INVALID);
	ck_assert_int_eq(set_knob(&t, UINT32_MAX, 1), ETA_STATUS_INVALID);
	ck_assert_int_eq(set_knob(&t, ETA_KNOB_SACK, 2), ETA_STATUS_INVALID);
	ck_assert_int_eq(set_knob(&t, ETA_KNOB_SYN_RETRIES, 256), ETA_STATUS_INVALID);
	ck_assert_mem_eq(&before, &t.pair->core[0]->tcp.conf, sizeof(before));
	/* what fits its field but is out of range is brought into it */
	ck_assert_int_eq(set_knob(&t, ETA_KNOB_RCV_WSCALE, 200), ETA_STATUS_OK);
	ck_assert_uint_eq(t.pair->core[0]->tcp.conf.rcv_wscale, 14);
	two_end(&t);
}
END_TEST

START_TEST(core_stat_name__every_name_once)
{
	for (uint32_t i = 0; core_stat_name(i); i++)
		for (uint32_t k = 0; k < i; k++)
			ck_assert_str_ne(core_stat_name(i), core_stat_name(k));
}
END_TEST

/* ---- asleep, in real time ---- */

static void *run(void *arg)
{
	core_run(arg);
	return NULL;
}

static uint64_t ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Until it is asleep, but not in the sleep @before. Return: the number of that sleep; 0 in vain. */
static uint32_t wait_asleep(const struct eta_core_page *page, uint32_t before)
{
	uint64_t end = ms() + 5000;
	uint32_t number;

	while ((number = eta_load_acquire_u32(&page->asleep)) == 0 || number == before)
		if (ms() > end)
			return 0;
		else
			(void)sched_yield();
	return number;
}

/* Here the port has no descriptor, so the core takes short naps; a command and a doorbell are answered all the same. */
START_TEST(core_run__sleeps_and_wakes_for_commands_and_stops)
{
	struct pair_conf conf = {.engine = {.idle = ENGINE_IDLE_ADAPTIVE, .idle_spin_us = 10}};
	struct eta_admin_msg m = {.op = ETA_ADMIN_STOP};
	const uint64_t one = 1;
	uint64_t cookie, end;
	pthread_t thread;
	uint32_t number;

	two_begin(&t, &conf, NULL, NULL, 8);
	ck_assert_int_eq(pthread_create(&thread, NULL, run, t.pair->core[0]), 0);
	number = wait_asleep(t.pair->page[0], 0);
	ck_assert_uint_ne(number, 0);
	ck_assert_uint_ne(
			wait_asleep(t.pair->page[0], number), 0); /* each has a number of its own */
	cookie = model_ka_command(t.pair->ka[0], &m);
	ck_assert_int_eq(write(core_kick_fd(t.pair->core[0]), &one, sizeof(one)), sizeof(one));
	end = ms() + 5000;
	while (model_ka_status(t.pair->ka[0], cookie) < 0 && ms() < end)
		(void)model_ka_poll(t.pair->ka[0]);
	ck_assert_int_eq(model_ka_status(t.pair->ka[0], cookie), ETA_STATUS_OK);
	(void)pthread_join(thread, NULL);
	ck_assert_uint_gt(pair_stat(t.pair, 0, "sleeps"), 0);
	pair_destroy(t.pair);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("core");
	TCase *tc = tcase_create("core");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, engine_create__an_idle_connection_costs_less_than_834_bytes);
	tcase_add_test(tc, core_poll_once__turns_local_traffic_round);
	tcase_add_test(tc, core_poll_once__turns_hundreds_of_frames_in_one_turn_without_loss);
	tcase_add_test(tc, core_poll_once__never_answers_what_it_does_not_own);
	tcase_add_test(tc, core_poll_once__hands_up_what_only_the_filter_hides);
	tcase_add_test(tc, core_poll_once__an_unresolved_neighbour_delays_and_loses_nothing);
	tcase_add_test(tc, admin_poll__a_failed_neighbour_ends_the_attempt);
	tcase_add_test(tc, dti_up_local__an_authorised_port_is_used_and_told_to_ka);
	tcase_add_test(tc, dti_up_local__an_unauthorised_local_address_is_denied);
	tcase_add_test(tc, ports_pick__uses_up_the_range_and_says_so);
	tcase_add_test(tc, ports_pick__a_tuple_in_time_wait_serves_again_after_a_second);
	tcase_add_test(tc, dti_up_ctx_alloc__a_full_table_refuses_and_recovers);
	tcase_add_test(tc, core_dump__rows_of_connections);
	tcase_add_test(tc, core_knob_set__the_next_connection_has_it);
	tcase_add_test(tc, core_knob_set__refuses_what_is_none);
	tcase_add_test(tc, core_stat_name__every_name_once);
	tcase_add_test(tc, core_run__sleeps_and_wakes_for_commands_and_stops);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
