/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/net/net.h"

#include <errno.h>
#include <string.h>

#include "test/unit/net/net_test.h"

static struct nt_port port;
static struct net net, other;
static char err[128];

static void setup(void)
{
	nt_eal();
	nt_port_init(&port, 0);
}

START_TEST(net_init__two_in_one_process)
{
	struct net_conf conf = {.port = {&port.port}, .ports_n = 1};

	ck_assert_int_eq(net_init(&net, &conf, err, sizeof(err)), 0);
	ck_assert_int_eq(net_init(&other, &conf, err, sizeof(err)), 0);
	ck_assert_uint_gt(net_memory_bytes(&net), sizeof(net));
	net_fini(&net);
	net_fini(&other);
}
END_TEST

START_TEST(net_init__refuses_with_a_reason)
{
	struct net_conf conf = {.ports_n = PORTS_MAX + 1};

	ck_assert_int_eq(net_init(&net, &conf, err, sizeof(err)), -EINVAL);
	ck_assert_ptr_nonnull(strstr(err, "17 ports"));
	conf = (struct net_conf){.punt_ring_n = 100}; /* no power of two */
	ck_assert_int_eq(net_init(&net, &conf, err, sizeof(err)), -ENOMEM);
	ck_assert_ptr_nonnull(strstr(err, "100"));
	conf = (struct net_conf){.routes_max = 1u << 30};
	ck_assert_int_eq(net_init(&net, &conf, err, sizeof(err)), -ENOMEM);
	ck_assert_ptr_nonnull(strstr(err, "routes"));
}
END_TEST

START_TEST(net_fini__frees_frames_that_wait)
{
	struct net_conf conf = {.port = {&port.port}, .ports_n = 1};

	ck_assert_int_eq(net_init(&net, &conf, err, sizeof(err)), 0);
	net_tx_frame(&net, 0, nt_tcp_frame(&(struct nt_tcp){.len = 1}));
	net_fini(&net);
	ck_assert_uint_eq(port.sent_n, 0);
	ck_assert_uint_eq(rte_mempool_in_use_count(nt_pool()), 0);
}
END_TEST

START_TEST(net_stat_name__in_order_and_ends)
{
	ck_assert_str_eq(net_stat_name(0), "rx_tcp");
	ck_assert_str_eq(net_stat_name(NET_STATS_N - 1), "punt_drop_port");
	ck_assert_ptr_null(net_stat_name(NET_STATS_N));
	ck_assert_ptr_nonnull(net_stat_text(0));
	ck_assert_ptr_null(net_stat_text(NET_STATS_N));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net/net");
	TCase *tc = tcase_create("net");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, net_init__two_in_one_process);
	tcase_add_test(tc, net_init__refuses_with_a_reason);
	tcase_add_test(tc, net_fini__frees_frames_that_wait);
	tcase_add_test(tc, net_stat_name__in_order_and_ends);
	suite_add_tcase(s, tc);
	return nt_run(s);
}
