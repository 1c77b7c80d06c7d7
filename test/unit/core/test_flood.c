/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a SYN flood does to those who have nothing to do with it, and what an engine keeps of it.
 */
#include <arpa/inet.h>

#include "test/lib/flood.h"
#include "test/unit/dti/dti_test.h"

#define FLOOD_PER_S 100000u
#define BULK_BYTES (8u << 20)

static struct two t;
static struct flood flood;
static uint64_t flood_from_us; /* 0 = no flood */
static uint64_t flood_n;       /* SYNs sent */
static bool is_ack_flood;
static uint64_t answered_n;
static uint64_t bulk_sent, bulk_got;

/* Answers to sources that do not exist go nowhere. */
static bool tap(void *arg, int side, const uint8_t *frame, uint32_t len)
{
	(void)arg;
	if (side != 1 || !flood_is_answer(frame, len))
		return true;
	answered_n++;
	return false;
}

static void send_flood(struct pair *pair)
{
	uint8_t frame[FLOOD_FRAME_MAX];
	uint64_t due;

	if (flood_from_us == 0)
		return;
	due = (pair->now_us - flood_from_us) * FLOOD_PER_S / 1000000u;
	for (; flood_n < due; flood_n++) {
		uint32_t len = is_ack_flood ? flood_ack(&flood, frame) : flood_syn(&flood, frame);

		simport_inject(pair->wire, 0, frame, len);
	}
}

/* The transfer goes on, and the flood with it. */
static void step(struct pair *pair)
{
	static uint8_t buf[16384];
	size_t n;

	send_flood(pair);
	if (!t.a || !t.b)
		return;
	while (bulk_sent < BULK_BYTES && (n = model_send(t.a, buf, sizeof(buf))) > 0)
		bulk_sent += n;
	while ((n = model_recv(t.b, buf, sizeof(buf))) > 0)
		bulk_got += n;
}

static bool bulk_done(struct pair *pair)
{
	(void)pair;
	return bulk_got >= BULK_BYTES;
}

/* In small steps, so that the flood is even. */
static void pass(uint64_t us)
{
	uint64_t end = t.pair->now_us + us;

	while (t.pair->now_us < end && !pair_wrong(t.pair))
		pair_step(t.pair, 200);
}

static void default_route(void)
{
	struct eta_admin_msg m = {.op = ETA_ADMIN_ROUTE_SET};
	struct ip_addr any = ip_addr_from_v4(0), gw = ip_addr_from_v4(inet_addr("10.0.0.1"));

	memcpy(m.route.dst, any.b, 16);
	memcpy(m.route.src, any.b, 16);
	memcpy(m.route.gw, gw.b, 16);
	m.route.is_v4 = 1;
	(void)model_ka_command(t.pair->ka[1], &m);
	turn(&t);
}

/* 1 Gbit/s and 200 us each way, as in a rack. */
static void begin_with(uint32_t contexts)
{
	struct pair_conf conf = {
			.engine = {.contexts_max = contexts, .embryos_max = 512},
			.wire = {.pool_n = 4096,
					.fate = {{.rate_bps = 1000000000, .delay_us = 200},
							{.rate_bps = 1000000000, .delay_us = 200}}},
			.no_check = true,
	};
	struct model_conf many = {.dtis_n = 512, .rcv_pages = 4096, .snd_pages = 4096};

	two_begin(&t, &conf, &many, &many, 256);
	flood = (struct flood){
			.random = 1, .dst_be = inet_addr("10.0.0.2"), .port_be = htons(PORT)};
	memcpy(flood.dmac, simport_port(t.pair->wire, 1)->mac, 6);
	memcpy(flood.smac, simport_port(t.pair->wire, 0)->mac, 6);
	default_route();
	simport_set_tap(t.pair->wire, tap, NULL);
	flood_from_us = flood_n = answered_n = bulk_sent = bulk_got = 0;
	is_ack_flood = false;
	t.pair->step = step;
}

static void begin(void)
{
	begin_with(1024);
}

static void end(void)
{
	ck_assert_ptr_null(core_check(t.pair->core[1]));
	two_end(&t);
}

/* Time that the transfer takes, with or without a flood. */
static uint64_t bulk_us(bool is_flooded)
{
	uint64_t start_us;

	begin();
	two_connect(&t);
	if (is_flooded) {
		flood_from_us = t.pair->now_us;
		pass(100000); /* the embryos are used up */
		bulk_sent = bulk_got = 0;
	}
	start_us = t.pair->now_us;
	ck_assert(pair_run(t.pair, bulk_done, 20000000));
	start_us = t.pair->now_us - start_us;
	if (is_flooded)
		ck_assert_uint_gt(pair_stat(t.pair, 1, "TcpExtSyncookiesSent"), 1000);
	end();
	return start_us;
}

START_TEST(flood__an_established_transfer_keeps_its_rate)
{
	uint64_t quiet_us = bulk_us(false);
	uint64_t flooded_us = bulk_us(true);

	/* 100 000 SYNs are 59 Mbit/s of the wire's 1000 in the same direction */
	ck_assert_uint_le(flooded_us * 80, quiet_us * 100);
}
END_TEST

START_TEST(flood__new_connections_come_in_by_cookies)
{
	struct model_conn *c[64];
	uint32_t open = 0, heard = 0;
	char got[8];

	begin();
	flood_from_us = t.pair->now_us;
	pass(100000);
	for (int i = 0; i < 64; i++) {
		c[i] = model_connect(t.client, "10.0.0.2", PORT);
		pass(5000);
		model_send(c[i], "hello", 5);
		t.b = model_accept(t.master);
		open += t.b != NULL;
		pass(5000);
		heard += t.b && model_recv(t.b, got, sizeof(got)) == 5;
		t.b = NULL;
	}
	ck_assert_uint_eq(open, 64);
	ck_assert_uint_eq(heard, 64);
	ck_assert_uint_ge(pair_stat(t.pair, 1, "TcpExtSyncookiesRecv"), 60);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "TcpExtSyncookiesFailed"), 0);
	end();
}
END_TEST

START_TEST(flood__keeps_no_more_than_the_embryos)
{
	uint64_t punted;

	begin();
	punted = pair_stat(t.pair, 1, "punt_up");
	flood_from_us = t.pair->now_us;
	for (int i = 0; i < 20; i++) {
		pass(50000);
		ck_assert_uint_le(
				t.pair->core[1]->dti.embryo_n, 65); /* the listener's backlog + 1 */
		ck_assert_uint_ge(t.pair->core[1]->ctx_free_n, 1023 - 1 - 65);
		ck_assert_ptr_null(core_check(t.pair->core[1]));
	}
	ck_assert_uint_ge(flood_n, FLOOD_PER_S * 9 / 10);
	/* nobody is answered twice, nearly everybody once, and the kernel hears nothing of it */
	ck_assert_uint_ge(answered_n, flood_n * 99 / 100);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "punt_up"), punted);
	/* over; embryos time out */
	flood_from_us = 0;
	pair_pass(t.pair, 200000000);
	ck_assert_uint_eq(t.pair->core[1]->dti.embryo_n, 0);
	end();
}
END_TEST

START_TEST(flood__of_ipv6_is_answered_by_cookies)
{
	struct eta_admin_msg m = {.op = ETA_ADMIN_ROUTE_SET};
	struct model_conn *master;

	begin();
	ck_assert_int_eq(inet_pton(AF_INET6, "fd00::1", m.route.gw), 1);
	(void)model_ka_command(t.pair->ka[1], &m);
	master = model_listen(t.server, "fd00::2", PORT, 16, 64);
	turn(&t);
	flood.is_v6 = true;
	ck_assert_int_eq(inet_pton(AF_INET6, "fd00::2", flood.dst6), 1);
	flood_from_us = t.pair->now_us;
	pass(200000);
	ck_assert_ptr_nonnull(model_connect(t.client, "fd00::2", PORT));
	pass(20000);
	ck_assert_ptr_nonnull(model_accept(master));
	ck_assert_uint_le(t.pair->core[1]->dti.embryo_n, 65);
	ck_assert_uint_ge(answered_n, flood_n * 99 / 100 - FLOOD_PER_S / 1000);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "TcpExtTCPReqQSourceFull"), 0);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "TcpExtSyncookiesRecv"), 1);
	end();
}
END_TEST

START_TEST(flood__of_acks_reaches_the_kernel_by_the_limit_only)
{
	uint64_t punted;

	begin();
	flood_from_us = t.pair->now_us;
	pass(50000);
	is_ack_flood = true;
	punted = pair_stat(t.pair, 1, "punt_up");
	pass(2000000);
	ck_assert_uint_ge(pair_stat(t.pair, 1, "TcpExtSyncookiesFailed"), 2 * FLOOD_PER_S * 9 / 10);
	ck_assert_uint_le(pair_stat(t.pair, 1, "punt_up") - punted, 3 * CORE_BAD_COOKIE_PER_S);
	ck_assert_uint_ge(pair_stat(t.pair, 1, "rx_flood"), FLOOD_PER_S);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "TcpExtSyncookiesRecv"), 0);
	end();
}
END_TEST

/* One host that exists, or pretends to be one: others find embryos all the same. */
START_TEST(tcp_up_room__one_source_holds_half_of_the_embryos)
{
	begin();
	flood.one_source_be = inet_addr("198.18.0.1");
	flood_from_us = t.pair->now_us;
	pass(20000);
	ck_assert_uint_eq(t.pair->core[1]->dti.embryo_n, 32);
	ck_assert_uint_gt(pair_stat(t.pair, 1, "TcpExtTCPReqQSourceFull"), 1000);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "TcpExtTCPReqQFullDoCookies"), 0);
	flood.one_source_be = inet_addr("198.18.0.2");
	pass(20000);
	ck_assert_uint_eq(t.pair->core[1]->dti.embryo_n, 64);
	ck_assert_ptr_null(core_check(t.pair->core[1]));
	end();
}
END_TEST

START_TEST(tcp_up_room__the_last_contexts_are_not_for_embryos)
{
	begin_with(64);
	flood_from_us = t.pair->now_us;
	pass(50000);
	ck_assert_uint_eq(t.pair->core[1]->ctx_free_n, 64 / DTI_CTX_KEPT);
	/* but for those who come by cookies, and for our own opens */
	t.a = model_connect(t.client, "10.0.0.2", PORT);
	pass(5000);
	ck_assert_ptr_nonnull(model_accept(t.master));
	t.a = NULL;
	ck_assert_uint_eq(t.pair->core[1]->ctx_free_n, 64 / DTI_CTX_KEPT - 1);
	end();
}
END_TEST

/* Without cookies and without contexts the shadow listener of the kernel gets a few. */
START_TEST(rx_no_ctx__a_full_table_leaves_some_syns_to_the_kernel)
{
	begin();
	t.pair->core[1]->tcp.conf.syn_cookies = false;
	flood_from_us = t.pair->now_us;
	pass(900000);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "rx_fallback"), CORE_FALLBACK_PER_S);
	ck_assert_uint_gt(pair_stat(t.pair, 1, "TcpExtTCPReqQFullDrop"), 80000);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "TcpExtSyncookiesSent"), 0);
	end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("flood");
	TCase *tc = tcase_create("flood");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, flood__an_established_transfer_keeps_its_rate);
	tcase_add_test(tc, flood__new_connections_come_in_by_cookies);
	tcase_add_test(tc, flood__keeps_no_more_than_the_embryos);
	tcase_add_test(tc, flood__of_ipv6_is_answered_by_cookies);
	tcase_add_test(tc, flood__of_acks_reaches_the_kernel_by_the_limit_only);
	tcase_add_test(tc, tcp_up_room__one_source_holds_half_of_the_embryos);
	tcase_add_test(tc, tcp_up_room__the_last_contexts_are_not_for_embryos);
	tcase_add_test(tc, rx_no_ctx__a_full_table_leaves_some_syns_to_the_kernel);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
