/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/net/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/unit/net/net_test.h"

#define SECOND 1000000u

static struct nt_port port[2];
static struct port *ports[2] = {&port[0].port, &port[1].port};
static struct net_stats stats;
static struct route *rt;
static struct net_hop hop;

static void start(uint32_t addrs, uint32_t routes, uint32_t neighs)
{
	struct route_conf conf = {.addrs_max = addrs,
			.routes_max = routes,
			.neighs_max = neighs,
			.port = ports,
			.ports_n = 2};

	if (rt)
		route_destroy(rt);
	memset(&stats, 0, sizeof(stats));
	rt = route_create(&conf, &stats);
	ck_assert_ptr_nonnull(rt);
}

static void setup(void)
{
	nt_eal();
	nt_port_init(&port[0], 0);
	nt_port_init(&port[1], 0);
	port[1].port.mac[5] = 0x11;
	start(8, 64, 16);
}

static void teardown(void)
{
	ck_assert_ptr_null(route_check(rt));
	route_destroy(rt);
	rt = NULL;
}

static enum eta_status set_addr(const char *addr, uint8_t len, uint8_t p, bool del)
{
	struct eta_admin_msg m = {.op = ETA_ADMIN_ADDR_SET};
	struct ip_addr a = nt_addr(addr);

	memcpy(m.addr.addr, a.b, 16);
	m.addr.prefix_len = len;
	m.addr.port = p;
	m.addr.is_del = del;
	m.addr.is_loopback =
			a.b[12] == 127 || ip_addr_equal(&a, &(struct ip_addr){.b = {[15] = 1}});
	return route_admin(rt, &m, 0);
}

struct r {
	const char *dst;
	uint8_t len;
	const char *gw, *src;
	uint8_t port;
	uint32_t metric, mtu;
	bool elsewhere, del;
};

static enum eta_status set_route(struct r r)
{
	struct eta_admin_msg m = {.op = ETA_ADMIN_ROUTE_SET};
	struct ip_addr dst = nt_addr(r.dst), gw = {0}, src = {0};

	if (r.gw)
		gw = nt_addr(r.gw);
	if (r.src)
		src = nt_addr(r.src);
	memcpy(m.route.dst, dst.b, 16);
	memcpy(m.route.gw, gw.b, 16);
	memcpy(m.route.src, src.b, 16);
	m.route.prefix_len = r.len;
	m.route.is_v4 = ip_addr_is_v4(&dst);
	m.route.port = r.port;
	m.route.metric = r.metric;
	m.route.mtu = r.mtu;
	m.route.is_elsewhere = r.elsewhere;
	m.route.is_del = r.del;
	return route_admin(rt, &m, 0);
}

static enum eta_status set_neigh_at(
		const char *addr, uint8_t p, uint8_t mac_last, bool del, uint64_t now_us)
{
	struct eta_admin_msg m = {.op = ETA_ADMIN_NEIGH_SET};
	struct ip_addr a = nt_addr(addr);

	memcpy(m.neigh.addr, a.b, 16);
	m.neigh.mac[5] = mac_last;
	m.neigh.port = p;
	m.neigh.is_del = del;
	return route_admin(rt, &m, now_us);
}

static enum eta_status set_neigh(const char *addr, uint8_t p, uint8_t mac_last)
{
	return set_neigh_at(addr, p, mac_last, false, 0);
}

static enum route_result to(const char *dst)
{
	struct ip_addr a = nt_addr(dst);

	ck_assert_ptr_null(route_check(rt));
	return route_resolve(rt, &a, 0, &hop);
}

static enum route_result to_at(const char *dst, uint64_t now_us)
{
	struct ip_addr a = nt_addr(dst);

	return route_resolve(rt, &a, now_us, &hop);
}

/* The next notice as text: "want 10.0.0.2" etc. */
static int next_notice(const char *addr, uint16_t op, uint64_t now_us)
{
	struct eta_admin_msg m;
	struct ip_addr a;

	if (!route_notice_next(rt, now_us, &m))
		return 0;
	a = nt_addr(addr);
	ck_assert_uint_eq(m.op, op);
	ck_assert_mem_eq(m.neigh.addr, a.b, 16);
	return 1;
}

START_TEST(route_resolve__empty_table_has_no_route)
{
	ck_assert_int_eq(to("10.0.0.2"), ROUTE_NONE);
	ck_assert_int_eq(to("fd00::2"), ROUTE_NONE);
	ck_assert_uint_eq(stats.route_none, 2);
}
END_TEST

START_TEST(route_resolve__on_link_and_gateway)
{
	set_route((struct r){.dst = "10.0.0.0", .len = 24});
	set_route((struct r){
			.dst = "0.0.0.0", .len = 0, .gw = "10.0.0.254", .port = 1, .mtu = 1400});
	set_neigh("10.0.0.2", 0, 0x22);
	set_neigh("10.0.0.254", 1, 0x33);
	ck_assert_int_eq(to("10.0.0.2"), ROUTE_OK);
	ck_assert_uint_eq(hop.dmac[5], 0x22);
	ck_assert_uint_eq(hop.port, 0);
	ck_assert_uint_eq(hop.mtu, 1500);
	ck_assert_mem_eq(hop.smac, nt_our_mac, 6);
	ck_assert(route_hop_is_current(&hop, route_epoch(rt)));
	ck_assert_int_eq(to("8.8.8.8"), ROUTE_OK);
	ck_assert_uint_eq(hop.dmac[5], 0x33);
	ck_assert_uint_eq(hop.port, 1);
	ck_assert_uint_eq(hop.mtu, 1400);
	ck_assert_uint_eq(hop.smac[5], 0x11);
}
END_TEST

START_TEST(route_resolve__longest_prefix_wins_in_both_families)
{
	set_route((struct r){.dst = "0.0.0.0", .len = 0, .elsewhere = true});
	set_route((struct r){.dst = "10.0.0.0", .len = 8, .port = 1});
	set_route((struct r){.dst = "10.1.0.0", .len = 16, .port = 0});
	set_route((struct r){.dst = "10.1.1.1", .len = 32, .port = 1});
	set_route((struct r){.dst = "::", .len = 0, .port = 1});
	set_route((struct r){.dst = "fd00::", .len = 8, .port = 0});
	ck_assert_int_eq(to("9.1.1.1"), ROUTE_ELSEWHERE);
	ck_assert_int_eq(to("10.2.1.1"), ROUTE_NEIGH_PENDING);
	ck_assert_uint_eq(hop.port, 1);
	ck_assert_int_eq(to("10.1.1.2"), ROUTE_NEIGH_PENDING);
	ck_assert_uint_eq(hop.port, 0);
	ck_assert_int_eq(to("10.1.1.1"), ROUTE_NEIGH_PENDING);
	ck_assert_uint_eq(hop.port, 1);
	ck_assert_int_eq(to("2001:db8::1"), ROUTE_NEIGH_PENDING);
	ck_assert_uint_eq(hop.port, 1);
	ck_assert_int_eq(to("fd12::1"), ROUTE_NEIGH_PENDING);
	ck_assert_uint_eq(hop.port, 0);
}
END_TEST

START_TEST(route_resolve__v6_default_never_carries_v4)
{
	set_route((struct r){.dst = "::", .len = 0});
	ck_assert_int_eq(to("10.0.0.2"), ROUTE_NONE);
	ck_assert_int_eq(to("fd00::2"), ROUTE_NEIGH_PENDING);
}
END_TEST

START_TEST(route_admin__lowest_metric_wins_and_the_next_takes_over)
{
	set_route((struct r){.dst = "10.0.0.0", .len = 8, .port = 1, .metric = 200});
	set_route((struct r){.dst = "10.0.0.0", .len = 8, .port = 0, .metric = 100});
	set_route((struct r){
			.dst = "10.0.0.0", .len = 8, .port = 1, .metric = 300, .gw = "10.9.9.9"});
	to("10.0.0.5");
	ck_assert_uint_eq(hop.port, 0);
	ck_assert_int_eq(set_route((struct r){.dst = "10.0.0.0",
					 .len = 8,
					 .port = 0,
					 .metric = 100,
					 .del = true}),
			ETA_STATUS_OK);
	to("10.0.0.5");
	ck_assert_uint_eq(hop.port, 1);
	ck_assert_int_eq(set_route((struct r){.dst = "10.0.0.0",
					 .len = 8,
					 .port = 0,
					 .metric = 100,
					 .del = true}),
			ETA_STATUS_NOT_FOUND);
	ck_assert_int_eq(set_route((struct r){.dst = "10.0.0.0",
					 .len = 8,
					 .port = 1,
					 .metric = 200,
					 .del = true}),
			ETA_STATUS_OK);
	ck_assert_int_eq(to("10.0.0.5"), ROUTE_NEIGH_PENDING);
	ck_assert_int_eq(set_route((struct r){.dst = "10.0.0.0",
					 .len = 8,
					 .port = 1,
					 .metric = 300,
					 .gw = "10.9.9.9",
					 .del = true}),
			ETA_STATUS_OK);
	ck_assert_int_eq(to("10.0.0.5"), ROUTE_NONE);
}
END_TEST

START_TEST(route_admin__replacing_changes_mtu_and_takes_no_room)
{
	uint32_t i;

	start(4, 2, 4);
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(
				set_route((struct r){.dst = "10.0.0.0", .len = 8, .mtu = 1000 + i}),
				ETA_STATUS_OK);
	to("10.0.0.5");
	ck_assert_uint_eq(hop.mtu, 1009);
	ck_assert_int_eq(set_route((struct r){.dst = "11.0.0.0", .len = 8}), ETA_STATUS_OK);
	ck_assert_int_eq(set_route((struct r){.dst = "12.0.0.0", .len = 8}), ETA_STATUS_NO_MEMORY);
	ck_assert_uint_eq(stats.admin_table_full, 1);
}
END_TEST

START_TEST(route_admin__host_bits_of_a_prefix_do_not_matter)
{
	set_route((struct r){.dst = "10.1.2.3", .len = 8});
	ck_assert_int_eq(to("10.200.0.1"), ROUTE_NEIGH_PENDING);
	ck_assert_int_eq(set_route((struct r){.dst = "10.9.9.9", .len = 8, .del = true}),
			ETA_STATUS_OK);
}
END_TEST

START_TEST(route_admin__hostile_fields_are_refused)
{
	struct eta_admin_msg m = {.op = ETA_ADMIN_LINK_SET, .link = {.port = 2, .mtu = 1500}};

	ck_assert_int_eq(set_route((struct r){.dst = "10.0.0.0", .len = 33}), ETA_STATUS_INVALID);
	ck_assert_int_eq(set_route((struct r){.dst = "fd00::", .len = 129}), ETA_STATUS_INVALID);
	ck_assert_int_eq(set_route((struct r){.dst = "10.0.0.0", .len = 8, .port = 2}),
			ETA_STATUS_INVALID);
	ck_assert_int_eq(set_addr("10.0.0.1", 33, 0, false), ETA_STATUS_INVALID);
	ck_assert_int_eq(set_addr("0.0.0.0", 8, 0, false), ETA_STATUS_INVALID);
	ck_assert_int_eq(set_addr("10.0.0.1", 24, 7, false), ETA_STATUS_INVALID);
	ck_assert_int_eq(set_neigh("10.0.0.2", 2, 1), ETA_STATUS_INVALID);
	ck_assert_int_eq(set_neigh("::", 0, 1), ETA_STATUS_INVALID);
	ck_assert_int_eq(route_admin(rt, &m, 0), ETA_STATUS_INVALID);
	m.link.port = 0;
	m.link.mtu = 10;
	ck_assert_int_eq(route_admin(rt, &m, 0), ETA_STATUS_INVALID);
	m.op = ETA_ADMIN_DUMP;
	ck_assert_int_eq(route_admin(rt, &m, 0), ETA_STATUS_INVALID);
}
END_TEST

START_TEST(route_admin__link_changes_port_and_epoch)
{
	struct eta_admin_msg m = {.op = ETA_ADMIN_LINK_SET,
			.link = {.port = 0, .up = 1, .mtu = 9000, .mac = {2, 9, 9, 9, 9, 9}}};

	set_route((struct r){.dst = "10.0.0.0", .len = 8});
	set_neigh("10.0.0.2", 0, 1);
	ck_assert_int_eq(to("10.0.0.2"), ROUTE_OK);
	ck_assert_int_eq(route_admin(rt, &m, 0), ETA_STATUS_OK);
	ck_assert(!route_hop_is_current(&hop, route_epoch(rt)));
	to("10.0.0.2");
	ck_assert_uint_eq(hop.mtu, 9000);
	ck_assert_uint_eq(hop.smac[1], 9);
	port[0].port.mtu_max = 4000;
	route_admin(rt, &m, 0);
	to("10.0.0.2");
	ck_assert_uint_eq(hop.mtu, 4000);
}
END_TEST

START_TEST(route_is_local__addresses_come_and_go)
{
	struct ip_addr a = nt_addr("10.0.0.1"), b = nt_addr("fd00::1"), lo = nt_addr("127.0.0.9");
	uint32_t epoch = route_epoch(rt);

	ck_assert(!route_is_local(rt, &a) && !route_is_local(rt, &b) && !route_is_local(rt, &lo));
	set_addr("10.0.0.1", 24, 0, false);
	ck_assert_uint_ne(route_epoch(rt), epoch);
	set_addr("fd00::1", 64, 0, false);
	set_addr("127.0.0.1", 8, 0, false);
	ck_assert(route_is_local(rt, &a) && route_is_local(rt, &b) && route_is_local(rt, &lo));
	ck_assert_int_eq(to("10.0.0.1"), ROUTE_LOCAL);
	ck_assert_uint_eq(hop.mtu, 65535);
	set_addr("10.0.0.1", 24, 0, false); /* again: no second entry */
	ck_assert_int_eq(set_addr("10.0.0.1", 24, 0, true), ETA_STATUS_OK);
	ck_assert(!route_is_local(rt, &a));
	ck_assert_int_eq(set_addr("10.0.0.1", 24, 0, true), ETA_STATUS_NOT_FOUND);
	set_addr("127.0.0.1", 8, 0, true);
	ck_assert(!route_is_local(rt, &lo));
}
END_TEST

START_TEST(route_admin__address_table_full)
{
	char text[16];
	uint32_t i;

	for (i = 0; i < 8; i++) {
		snprintf(text, sizeof(text), "10.0.0.%u", i + 1);
		ck_assert_int_eq(set_addr(text, 24, 0, false), ETA_STATUS_OK);
	}
	ck_assert_int_eq(set_addr("10.0.0.9", 24, 0, false), ETA_STATUS_NO_MEMORY);
	ck_assert_int_eq(set_addr("10.0.0.3", 16, 0, false), ETA_STATUS_OK);
	ck_assert_int_eq(set_addr("10.0.0.3", 16, 0, true), ETA_STATUS_OK);
	ck_assert_int_eq(set_addr("10.0.0.9", 24, 0, false), ETA_STATUS_OK);
}
END_TEST

START_TEST(route_resolve__no_unicast_no_route)
{
	set_route((struct r){.dst = "0.0.0.0", .len = 0});
	set_route((struct r){.dst = "::", .len = 0});
	set_addr("10.0.0.1", 24, 0, false);
	ck_assert_int_eq(to("255.255.255.255"), ROUTE_NONE);
	ck_assert_int_eq(to("224.0.0.1"), ROUTE_NONE);
	ck_assert_int_eq(to("0.0.0.0"), ROUTE_NONE);
	ck_assert_int_eq(to("::"), ROUTE_NONE);
	ck_assert_int_eq(to("ff02::1"), ROUTE_NONE);
	ck_assert_int_eq(to("10.0.0.255"), ROUTE_NONE);
	ck_assert_int_eq(to("10.0.1.255"), ROUTE_NEIGH_PENDING);
	ck_assert_int_eq(to("10.0.0.254"), ROUTE_NEIGH_PENDING);
}
END_TEST

START_TEST(route_source__preferred_then_best_of_the_port)
{
	struct ip_addr src, dst = nt_addr("10.2.0.5"), expect;

	set_addr("10.1.0.1", 16, 0, false);
	set_addr("10.2.0.1", 16, 0, false);
	set_addr("10.3.0.1", 16, 1, false);
	set_route((struct r){.dst = "10.2.0.0", .len = 16, .port = 0});
	set_route((struct r){.dst = "10.9.0.0", .len = 16, .port = 1, .src = "10.1.0.1"});
	ck_assert_int_eq(route_source(rt, &dst, &src), ROUTE_OK);
	expect = nt_addr("10.2.0.1");
	ck_assert(ip_addr_equal(&src, &expect));
	dst = nt_addr("10.9.0.1");
	ck_assert_int_eq(route_source(rt, &dst, &src), ROUTE_OK);
	expect = nt_addr("10.1.0.1");
	ck_assert(ip_addr_equal(&src, &expect));
	dst = nt_addr("10.3.0.1");
	ck_assert_int_eq(route_source(rt, &dst, &src), ROUTE_LOCAL);
	ck_assert(ip_addr_equal(&src, &dst));
	dst = nt_addr("11.0.0.1");
	ck_assert_int_eq(route_source(rt, &dst, &src), ROUTE_NONE);
}
END_TEST

START_TEST(route_source__gateway_decides_the_subnet)
{
	struct ip_addr src, dst = nt_addr("8.8.8.8"), expect = nt_addr("192.168.5.1");

	set_addr("10.1.0.1", 16, 0, false);
	set_addr("192.168.5.1", 24, 0, false);
	set_route((struct r){.dst = "0.0.0.0", .len = 0, .port = 0, .gw = "192.168.5.254"});
	ck_assert_int_eq(route_source(rt, &dst, &src), ROUTE_OK);
	ck_assert(ip_addr_equal(&src, &expect));
}
END_TEST

START_TEST(route_source__v6_scope)
{
	struct ip_addr src, dst = nt_addr("2001:db8::9"), expect = nt_addr("2001:db8:1::1");

	set_addr("fe80::1", 64, 0, false);
	set_route((struct r){.dst = "::", .len = 0, .port = 0});
	set_route((struct r){.dst = "fe80::", .len = 64, .port = 0});
	ck_assert_int_eq(route_source(rt, &dst, &src),
			ROUTE_NONE); /* a link-local source is of no use outside */
	set_addr("2001:db8:1::1", 64, 0, false);
	set_addr("10.0.0.1", 24, 0, false);
	ck_assert_int_eq(route_source(rt, &dst, &src), ROUTE_OK);
	ck_assert(ip_addr_equal(&src, &expect));
	dst = nt_addr("fe80::9");
	expect = nt_addr("fe80::1");
	ck_assert_int_eq(route_source(rt, &dst, &src), ROUTE_OK);
	ck_assert(ip_addr_equal(&src, &expect));
}
END_TEST

START_TEST(route_notice_next__a_want_is_told_once_and_again_after_a_second)
{
	set_route((struct r){.dst = "10.0.0.0", .len = 8});
	ck_assert_int_eq(to_at("10.0.0.2", 0), ROUTE_NEIGH_PENDING);
	ck_assert_int_eq(to_at("10.0.0.2", 5), ROUTE_NEIGH_PENDING);
	ck_assert_int_eq(next_notice("10.0.0.2", ETA_ADMIN_NEIGH_WANT, 5), 1);
	ck_assert_int_eq(next_notice("10.0.0.2", ETA_ADMIN_NEIGH_WANT, 5), 0);
	to_at("10.0.0.2", SECOND);
	ck_assert_int_eq(next_notice("10.0.0.2", ETA_ADMIN_NEIGH_WANT, SECOND), 0);
	to_at("10.0.0.2", SECOND + 10);
	ck_assert_int_eq(next_notice("10.0.0.2", ETA_ADMIN_NEIGH_WANT, SECOND + 10), 1);
}
END_TEST

START_TEST(route_notice_next__an_answer_that_comes_first_cancels_the_want)
{
	set_route((struct r){.dst = "10.0.0.0", .len = 8});
	to("10.0.0.2");
	set_neigh("10.0.0.2", 0, 9);
	ck_assert_int_eq(next_notice("10.0.0.2", ETA_ADMIN_NEIGH_WANT, 0), 0);
	ck_assert_int_eq(to("10.0.0.2"), ROUTE_OK);
}
END_TEST

START_TEST(route_resolve__failed_neighbour_says_so_for_a_second)
{
	set_route((struct r){.dst = "10.0.0.0", .len = 8});
	to_at("10.0.0.2", 0);
	ck_assert_int_eq(set_neigh_at("10.0.0.2", 0, 0, true, 100), ETA_STATUS_OK);
	ck_assert_int_eq(to_at("10.0.0.2", 200), ROUTE_NEIGH_FAILED);
	ck_assert_int_eq(to_at("10.0.0.2", 100 + SECOND), ROUTE_NEIGH_PENDING);
	ck_assert_int_eq(next_notice("10.0.0.2", ETA_ADMIN_NEIGH_WANT, 100 + SECOND), 1);
	ck_assert_int_eq(set_neigh_at("10.0.0.7", 0, 0, true, 0), ETA_STATUS_NOT_FOUND);
}
END_TEST

START_TEST(route_resolve__forgotten_neighbour_serves_until_the_kernel_has_looked)
{
	uint32_t epoch;

	set_route((struct r){.dst = "10.0.0.0", .len = 8});
	set_neigh("10.0.0.2", 0, 9);
	ck_assert_int_eq(to_at("10.0.0.2", 5 * SECOND), ROUTE_OK);
	epoch = route_epoch(rt);
	set_neigh_at("10.0.0.2", 0, 0, true, 5 * SECOND);
	ck_assert_uint_ne(route_epoch(rt), epoch);
	ck_assert_int_eq(to_at("10.0.0.2", 5 * SECOND), ROUTE_OK);
	ck_assert_uint_eq(hop.dmac[5], 9);
	ck_assert_int_eq(next_notice("10.0.0.2", ETA_ADMIN_NEIGH_WANT, 5 * SECOND), 1);
	set_neigh_at("10.0.0.2", 0, 0, true, 6 * SECOND);
	ck_assert_int_eq(to_at("10.0.0.2", 6 * SECOND), ROUTE_NEIGH_FAILED);
	set_neigh_at("10.0.0.2", 0, 8, false, 6 * SECOND);
	ck_assert_int_eq(to_at("10.0.0.2", 6 * SECOND), ROUTE_OK);
	ck_assert_uint_eq(hop.dmac[5], 8);
}
END_TEST

START_TEST(route_admin__same_mac_again_keeps_the_epoch)
{
	uint32_t epoch;

	set_neigh("10.0.0.2", 0, 9);
	epoch = route_epoch(rt);
	set_neigh("10.0.0.2", 0, 9);
	ck_assert_uint_eq(route_epoch(rt), epoch);
	set_neigh("10.0.0.2", 0, 8);
	ck_assert_uint_ne(route_epoch(rt), epoch);
	set_neigh("10.0.0.2", 1, 7); /* another link, another neighbour */
	set_route((struct r){.dst = "10.0.0.0", .len = 8});
	to("10.0.0.2");
	ck_assert_uint_eq(hop.dmac[5], 8);
}
END_TEST

START_TEST(route_resolve__a_scan_of_the_link_pushes_out_no_one_that_answers)
{
	char text[16];
	uint32_t i, wants = 0;
	struct eta_admin_msg m;

	set_route((struct r){.dst = "10.0.0.0", .len = 8});
	for (i = 0; i < 8; i++) {
		snprintf(text, sizeof(text), "10.0.1.%u", i);
		set_neigh(text, 0, (uint8_t)i);
	}
	for (i = 1; i < 200; i++) {
		snprintf(text, sizeof(text), "10.0.2.%u", i);
		ck_assert_int_eq(to_at(text, 10), ROUTE_NEIGH_PENDING);
	}
	while (route_notice_next(rt, 10, &m))
		wants++;
	ck_assert_uint_eq(wants, 8);
	ck_assert_uint_eq(stats.neigh_table_full, 199 - 8);
	for (i = 0; i < 8; i++) {
		snprintf(text, sizeof(text), "10.0.1.%u", i);
		ck_assert_int_eq(to(text), ROUTE_OK);
	}
	ck_assert_int_eq(to_at("10.0.3.1", 10 + SECOND),
			ROUTE_NEIGH_PENDING); /* their second is over */
	ck_assert_int_eq(next_notice("10.0.3.1", ETA_ADMIN_NEIGH_WANT, 10 + SECOND), 1);
	ck_assert_int_eq(set_neigh("10.0.4.1", 0, 1),
			ETA_STATUS_OK); /* the kernel's knowledge beats a wish */
	ck_assert_ptr_null(route_check(rt));
}
END_TEST

START_TEST(route_resolve__the_unresolved_hold_half_of_the_table)
{
	char text[16];
	uint32_t i;

	set_route((struct r){.dst = "10.0.0.0", .len = 8});
	for (i = 1; i < 100; i++) {
		snprintf(text, sizeof(text), "10.0.2.%u", i);
		to_at(text, 10);
	}
	ck_assert_uint_eq(stats.neigh_table_full, 99 - 8);
}
END_TEST

START_TEST(route_resolve_reply__floods_resolve_nothing)
{
	struct ip_addr a = nt_addr("10.0.0.2");
	struct eta_admin_msg m;

	set_route((struct r){.dst = "10.0.0.0", .len = 8, .port = 0});
	ck_assert_int_eq(route_resolve_reply(rt, &a, 0, nt_peer_mac, 0, &hop), ROUTE_OK);
	ck_assert_mem_eq(hop.dmac, nt_peer_mac, 6);
	ck_assert(!route_hop_is_current(&hop, route_epoch(rt)));
	ck_assert(!route_notice_next(rt, 0, &m));
	ck_assert_int_eq(route_resolve_reply(rt, &a, 1, nt_peer_mac, 0, &hop),
			ROUTE_NEIGH_PENDING); /* asymmetric: ask */
	set_neigh("10.0.0.2", 0, 0x77);
	ck_assert_int_eq(route_resolve_reply(rt, &a, 0, nt_peer_mac, 0, &hop), ROUTE_OK);
	ck_assert_uint_eq(hop.dmac[5], 0x77); /* what the kernel knows wins */
	ck_assert(route_hop_is_current(&hop, route_epoch(rt)));
}
END_TEST

START_TEST(route_confirm__at_most_every_five_seconds)
{
	set_route((struct r){.dst = "10.0.0.0", .len = 8});
	set_neigh("10.0.0.2", 0, 9);
	to("10.0.0.2");
	route_confirm(rt, &hop, 4 * SECOND);
	ck_assert_int_eq(next_notice("10.0.0.2", ETA_ADMIN_NEIGH_CONFIRM, 4 * SECOND), 0);
	route_confirm(rt, &hop, 6 * SECOND);
	route_confirm(rt, &hop, 6 * SECOND);
	ck_assert_int_eq(next_notice("10.0.0.2", ETA_ADMIN_NEIGH_CONFIRM, 6 * SECOND), 1);
	route_confirm(rt, &hop, 7 * SECOND);
	ck_assert_int_eq(next_notice("10.0.0.2", ETA_ADMIN_NEIGH_CONFIRM, 7 * SECOND), 0);
	hop.neigh = UINT32_MAX;
	route_confirm(rt, &hop, 70 * SECOND);
	ck_assert_int_eq(next_notice("10.0.0.2", ETA_ADMIN_NEIGH_CONFIRM, 70 * SECOND), 0);
}
END_TEST

/* A plain list beside the tables: the answer must always be the same. */
START_TEST(route_resolve__random_changes_agree_with_a_plain_list)
{
	struct {
		uint32_t dst, len, metric, port, used;
	} list[40] = {0};
	unsigned int seed = 4711;
	uint32_t step, i;

	start(4, 40, 16);
	for (step = 0; step < 20000; step++) {
		uint32_t k = (uint32_t)rand_r(&seed) % 40, best = 40, dst, mask;
		char text[20];

		if (!list[k].used) {
			list[k].len = (uint32_t)rand_r(&seed) % 5 * 8;
			mask = list[k].len ? UINT32_MAX << (32 - list[k].len) : 0;
			list[k].dst = (10u << 24 | ((uint32_t)rand_r(&seed) & 0x010101)) & mask;
			list[k].metric = k; /* unique: the order of equals is not in question */
			list[k].port = (uint32_t)rand_r(&seed) & 1;
		}
		list[k].used = !list[k].used;
		snprintf(text, sizeof(text), "%u.%u.%u.%u", list[k].dst >> 24,
				list[k].dst >> 16 & 255, list[k].dst >> 8 & 255, list[k].dst & 255);
		ck_assert_int_eq(set_route((struct r){.dst = text,
						 .len = (uint8_t)list[k].len,
						 .metric = list[k].metric,
						 .port = (uint8_t)list[k].port,
						 .gw = "1.1.1.1",
						 .del = !list[k].used}),
				ETA_STATUS_OK);
		dst = 10u << 24 | ((uint32_t)rand_r(&seed) & 0x010101);
		for (i = 0; i < 40; i++) {
			if (!list[i].used ||
					(list[i].len && (dst ^ list[i].dst) >> (32 - list[i].len)))
				continue;
			if (best == 40 || list[i].len > list[best].len)
				best = i; /* ascending metric: the first of a length is its best */
		}
		snprintf(text, sizeof(text), "%u.%u.%u.%u", dst >> 24, dst >> 16 & 255,
				dst >> 8 & 255, dst & 255);
		if (best == 40) {
			ck_assert_int_eq(to_at(text, 0), ROUTE_NONE);
			continue;
		}
		ck_assert_int_eq(to_at(text, 0), ROUTE_NEIGH_PENDING);
		ck_assert_uint_eq(hop.port, list[best].port);
		if (step % 100 == 0)
			ck_assert_ptr_null(route_check(rt));
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net/route");
	TCase *tc = tcase_create("route");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, route_resolve__empty_table_has_no_route);
	tcase_add_test(tc, route_resolve__on_link_and_gateway);
	tcase_add_test(tc, route_resolve__longest_prefix_wins_in_both_families);
	tcase_add_test(tc, route_resolve__v6_default_never_carries_v4);
	tcase_add_test(tc, route_admin__lowest_metric_wins_and_the_next_takes_over);
	tcase_add_test(tc, route_admin__replacing_changes_mtu_and_takes_no_room);
	tcase_add_test(tc, route_admin__host_bits_of_a_prefix_do_not_matter);
	tcase_add_test(tc, route_admin__hostile_fields_are_refused);
	tcase_add_test(tc, route_admin__link_changes_port_and_epoch);
	tcase_add_test(tc, route_is_local__addresses_come_and_go);
	tcase_add_test(tc, route_admin__address_table_full);
	tcase_add_test(tc, route_resolve__no_unicast_no_route);
	tcase_add_test(tc, route_source__preferred_then_best_of_the_port);
	tcase_add_test(tc, route_source__gateway_decides_the_subnet);
	tcase_add_test(tc, route_source__v6_scope);
	tcase_add_test(tc, route_notice_next__a_want_is_told_once_and_again_after_a_second);
	tcase_add_test(tc, route_notice_next__an_answer_that_comes_first_cancels_the_want);
	tcase_add_test(tc, route_resolve__failed_neighbour_says_so_for_a_second);
	tcase_add_test(tc, route_resolve__forgotten_neighbour_serves_until_the_kernel_has_looked);
	tcase_add_test(tc, route_admin__same_mac_again_keeps_the_epoch);
	tcase_add_test(tc, route_resolve__a_scan_of_the_link_pushes_out_no_one_that_answers);
	tcase_add_test(tc, route_resolve__the_unresolved_hold_half_of_the_table);
	tcase_add_test(tc, route_resolve_reply__floods_resolve_nothing);
	tcase_add_test(tc, route_confirm__at_most_every_five_seconds);
	tcase_add_test(tc, route_resolve__random_changes_agree_with_a_plain_list);
	suite_add_tcase(s, tc);
	return nt_run(s);
}
