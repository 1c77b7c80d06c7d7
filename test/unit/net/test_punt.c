/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/net/punt.h"

#include <string.h>

#include "engine/net/net.h"
#include "test/unit/net/net_test.h"

static struct nt_port port[2];
static struct net net;

static void setup(void)
{
	struct net_conf conf = {
			.port = {&port[0].port, &port[1].port}, .ports_n = 2, .punt_ring_n = 8};
	char err[128];

	nt_eal();
	nt_port_init(&port[0], 0);
	nt_port_init(&port[1], PORT_CAP_MULTI_SEG);
	ck_assert_int_eq(net_init(&net, &conf, err, sizeof(err)), 0);
}

static void teardown(void)
{
	nt_port_clear(&port[0]);
	nt_port_clear(&port[1]);
	net_fini(&net);
	ck_assert_uint_eq(rte_mempool_in_use_count(nt_pool()), 0);
}

static struct rte_mbuf *frame(void)
{
	return nt_tcp_frame(&(struct nt_tcp){.len = 10});
}

START_TEST(punt_frame__goes_up_with_its_port)
{
	void *m;

	ck_assert(!punt_was_up(&net));
	punt_frame(&net, &port[1].port, frame(), PUNT_FOREIGN);
	ck_assert(punt_was_up(&net));
	ck_assert(!punt_was_up(&net));
	ck_assert_int_eq(rte_ring_dequeue(net.punt.up, &m), 0);
	ck_assert_uint_eq(((struct rte_mbuf *)m)->port, 1);
	ck_assert_uint_eq(net.stats.punt_up, 1);
	rte_pktmbuf_free(m);
}
END_TEST

START_TEST(punt_frame__shared_device_needs_only_what_is_hidden)
{
	void *m;

	port[0].port.kernel_shared = true;
	punt_frame(&net, &port[0].port, frame(), PUNT_FOREIGN);
	ck_assert_uint_eq(net.stats.punt_kernel_has_it, 1);
	ck_assert_int_ne(rte_ring_dequeue(net.punt.up, &m), 0);
	punt_frame(&net, &port[0].port, frame(), PUNT_OWNED);
	ck_assert_uint_eq(net.stats.punt_up, 1);
	ck_assert_uint_eq(rte_ring_count(net.punt.up), 1); /* freed by net_fini */
}
END_TEST

START_TEST(punt_frame__full_ring_drops_and_counts)
{
	uint32_t i;

	for (i = 0; i < 20; i++)
		punt_frame(&net, &port[0].port, frame(), PUNT_FOREIGN);
	ck_assert_uint_eq(net.stats.punt_up, 7);
	ck_assert_uint_eq(net.stats.punt_drop_full, 13);
	ck_assert_uint_eq(rte_mempool_in_use_count(nt_pool()), 7);
}
END_TEST

static void inject(struct rte_mbuf *m, uint16_t p)
{
	m->port = p;
	ck_assert_int_eq(rte_ring_enqueue(net.punt.down, m), 0);
}

START_TEST(punt_down__sends_by_the_port_named)
{
	inject(frame(), 1);
	inject(frame(), 0);
	ck_assert_uint_eq(punt_down(&net), 2);
	net_tx_flush(&net);
	ck_assert_uint_eq(port[0].sent_n, 1);
	ck_assert_uint_eq(port[1].sent_n, 1);
	ck_assert_uint_eq(net.stats.punt_down, 2);
	ck_assert_uint_eq(punt_down(&net), 0);
}
END_TEST

START_TEST(punt_down__refuses_what_the_port_cannot_carry)
{
	struct rte_mbuf *m;

	inject(frame(), 2);
	inject(nt_tcp_frame(&(struct nt_tcp){.len = 1480}), 0); /* 1520 bytes of IP */
	m = frame();
	ck_assert_int_eq(rte_pktmbuf_chain(m, nt_alloc(0)), 0);
	inject(m, 0);
	ck_assert_uint_eq(punt_down(&net), 3);
	ck_assert_uint_eq(net.stats.punt_drop_port, 3);
	m = frame();
	ck_assert_int_eq(rte_pktmbuf_chain(m, nt_alloc(0)), 0);
	inject(m, 1);
	ck_assert_uint_eq(punt_down(&net), 1);
	ck_assert_uint_eq(net.stats.punt_down, 1);
	net_tx_flush(&net);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net/punt");
	TCase *tc = tcase_create("punt");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, punt_frame__goes_up_with_its_port);
	tcase_add_test(tc, punt_frame__shared_device_needs_only_what_is_hidden);
	tcase_add_test(tc, punt_frame__full_ring_drops_and_counts);
	tcase_add_test(tc, punt_down__sends_by_the_port_named);
	tcase_add_test(tc, punt_down__refuses_what_the_port_cannot_carry);
	suite_add_tcase(s, tc);
	return nt_run(s);
}
