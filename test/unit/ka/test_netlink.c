/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * netlink.c: the mirror, against a real kernel in a namespace of its own. What is told is kept as lines of text.
 */
#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <net/if.h>

#include "ka/netlink.h"
#include "test/unit/ka/ka_ns.h"

static struct loop loop;
static struct netlink nl;
static char told[16384];

static void addr_text(char *to, size_t len, const uint8_t b[16])
{
	struct ip_addr a;

	memcpy(a.b, b, 16);
	(void)inet_ntop(ip_addr_is_v4(&a) ? AF_INET : AF_INET6,
			ip_addr_is_v4(&a) ? (void *)&a.w_be[3] : (void *)a.b, to, (socklen_t)len);
}

static void on_change(void *arg, const struct eta_admin_msg *m)
{
	char a[64], g[64], line[256] = "";

	(void)arg;
	if (m->op == ETA_ADMIN_ADDR_SET) {
		addr_text(a, sizeof(a), m->addr.addr);
		(void)snprintf(line, sizeof(line), "%caddr %s/%u port=%u%s\n",
				m->addr.is_del ? '-' : '+', a, m->addr.prefix_len, m->addr.port,
				m->addr.is_loopback ? " lo" : "");
	} else if (m->op == ETA_ADMIN_ROUTE_SET) {
		addr_text(a, sizeof(a), m->route.dst);
		addr_text(g, sizeof(g), m->route.gw);
		(void)snprintf(line, sizeof(line), "%croute %s/%u via %s metric=%u mtu=%u%s\n",
				m->route.is_del ? '-' : '+', a, m->route.prefix_len, g,
				m->route.metric, m->route.mtu,
				m->route.is_elsewhere ? " elsewhere" : "");
	} else if (m->op == ETA_ADMIN_NEIGH_SET) {
		addr_text(a, sizeof(a), m->neigh.addr);
		(void)snprintf(line, sizeof(line), "%cneigh %s %02x:%02x\n",
				m->neigh.is_del ? '-' : '+', a, m->neigh.mac[0], m->neigh.mac[5]);
	} else if (m->op == ETA_ADMIN_LINK_SET) {
		(void)snprintf(line, sizeof(line), "link port=%u up=%u mtu=%u\n", m->link.port,
				m->link.up, m->link.mtu);
	}
	strncat(told, line, sizeof(told) - strlen(told) - 1);
}

static const struct netlink_ops ops = {.on_change = on_change};

/* va is port 0's interface; vb its peer, in the same namespace; vc is nobody's. */
static void setup(void)
{
	ck_assert(ka_ns_enter());
	ka_ns_run("ip link add va type veth peer name vb");
	ka_ns_run("ip link set va address 02:00:00:00:00:0a; ip link set vb address 02:00:00:00:00:0b");
	ka_ns_run("sysctl -qw net.ipv6.conf.va.accept_dad=0 net.ipv6.conf.va.addr_gen_mode=1");
	ka_ns_run("ip link set va up; ip link set vb up; ip addr add 10.1.1.1/24 dev va");
	ck_assert_int_eq(loop_init(&loop), 0);
	ck_assert_int_eq(netlink_init(&nl, &loop, &ops, NULL), 0);
	netlink_port(&nl, 0, (int)if_nametoindex("va"));
	told[0] = '\0';
	ck_assert_int_eq(netlink_start(&nl), 0);
}

static void teardown(void)
{
	netlink_fini(&nl);
	loop_fini(&loop);
}

/* Turn until @line was told, at most two seconds. */
static void expect(const char *line)
{
	for (int i = 0; i < 100 && !strstr(told, line); i++)
		ck_assert_int_ge(loop_turn(&loop, 20), 0);
	ck_assert_msg(strstr(told, line) != NULL, "'%s' is not in:\n%s", line, told);
}

static void expect_not(const char *line)
{
	for (int i = 0; i < 5; i++)
		ck_assert_int_ge(loop_turn(&loop, 10), 0);
	ck_assert_msg(strstr(told, line) == NULL, "'%s' is in:\n%s", line, told);
}

static struct ip_addr v4(const char *text)
{
	uint32_t a;

	ck_assert_int_eq(inet_pton(AF_INET, text, &a), 1);
	return ip_addr_from_v4(a);
}

START_TEST(netlink_start__tells_what_is_there)
{
	expect("link port=0 up=1 mtu=1500\n");
	expect("+addr 10.1.1.1/24 port=0\n");
	expect("+route 10.1.1.0/24 via 0.0.0.0 metric=0 mtu=0\n");
	expect_not("127.0.0.1/8 port");
	ck_assert_int_eq(netlink_has_addr((int)if_nametoindex("va")), 1);
	ck_assert_int_eq(netlink_has_addr((int)if_nametoindex("vb")), 0);
}
END_TEST

START_TEST(netlink_on_addr__follows_changes)
{
	struct ip_addr a = v4("10.1.1.5");

	ck_assert(!netlink_is_local(&nl, &a));
	ka_ns_run("ip addr add 10.1.1.5/24 dev va; ip addr add fd01::1/64 dev va nodad; ip addr add 10.7.7.7/24 dev vb");
	expect("+addr 10.1.1.5/24 port=0\n");
	expect("+addr fd01::1/64 port=0\n");
	expect("+route fd01::/64 via :: metric=256");
	/* Of an interface that no port serves: the kernel's. */
	expect("+route 10.7.7.7/32 via 0.0.0.0 metric=0 mtu=0 elsewhere\n");
	expect_not("+addr 10.7.7.7");
	ck_assert(netlink_is_local(&nl, &a));
	ka_ns_run("ip addr del 10.1.1.5/24 dev va");
	expect("-addr 10.1.1.5/24 port=0\n");
	ck_assert(!netlink_is_local(&nl, &a));
}
END_TEST

START_TEST(netlink_on_route__best_of_a_prefix)
{
	ka_ns_run("ip route add 10.9.0.0/16 via 10.1.1.2 metric 50");
	expect("+route 10.9.0.0/16 via 10.1.1.2 metric=50 mtu=0\n");
	ka_ns_run("ip route add 10.9.0.0/16 via 10.1.1.3 metric 60");
	expect_not("+route 10.9.0.0/16 via 10.1.1.3");
	ka_ns_run("ip route add 10.9.0.0/16 via 10.1.1.4 metric 40");
	expect("+route 10.9.0.0/16 via 10.1.1.4 metric=40 mtu=0\n");
	expect("-route 10.9.0.0/16 via 10.1.1.2 metric=50 mtu=0\n");
	told[0] = '\0';
	ka_ns_run("ip route del 10.9.0.0/16 via 10.1.1.4 metric 40");
	expect("+route 10.9.0.0/16 via 10.1.1.2 metric=50 mtu=0\n");
	expect("-route 10.9.0.0/16 via 10.1.1.4 metric=40 mtu=0\n");
}
END_TEST

START_TEST(netlink_on_route__kinds)
{
	ka_ns_run("ip route add unreachable 10.10.0.0/16");
	expect("+route 10.10.0.0/16 via 0.0.0.0 metric=0 mtu=0 elsewhere\n");
	ka_ns_run("ip route add 10.11.0.0/16 nexthop via 10.1.1.8 nexthop via 10.1.1.9");
	expect("+route 10.11.0.0/16 via 10.1.1.8 metric=0");
	ka_ns_run("ip route add 10.12.0.0/16 via 10.1.1.2 mtu 1400");
	expect("+route 10.12.0.0/16 via 10.1.1.2 metric=0 mtu=1400\n");
	ka_ns_run("ip route replace 10.12.0.0/16 via 10.1.1.3");
	expect("+route 10.12.0.0/16 via 10.1.1.3 metric=0 mtu=0\n");
	expect("-route 10.12.0.0/16 via 10.1.1.2 metric=0 mtu=1400\n");
	ka_ns_run("ip route add 10.13.0.0/16 via 10.1.1.2 table 77");
	expect_not("10.13.0.0");
	ka_ns_run("ip route add default via 10.1.1.254");
	expect("+route 0.0.0.0/0 via 10.1.1.254");
}
END_TEST

START_TEST(netlink_on_link__down_takes_routes_along)
{
	ka_ns_run("ip route add 10.9.0.0/16 via 10.1.1.2");
	expect("+route 10.9.0.0/16");
	ka_ns_run("ip link set va mtu 1400");
	expect("link port=0 up=1 mtu=1400\n");
	ka_ns_run("ip link set va down");
	expect("link port=0 up=0 mtu=1400\n");
	expect("-route 10.9.0.0/16");
	ka_ns_run("ip link del va");
	expect("-addr 10.1.1.1/24");
}
END_TEST

START_TEST(netlink_neigh__set_changes_fails_goes)
{
	ka_ns_run("ip neigh add 10.1.1.2 lladdr 02:11:22:33:44:55 dev va nud reachable");
	expect("+neigh 10.1.1.2 02:55\n");
	ka_ns_run("ip neigh replace 10.1.1.2 lladdr 02:11:22:33:44:66 dev va nud reachable");
	expect("+neigh 10.1.1.2 02:66\n");
	ka_ns_run("ip neigh del 10.1.1.2 dev va");
	expect("-neigh 10.1.1.2");
}
END_TEST

/* Nobody answers on vb: the kernel asks, and gives up. */
START_TEST(netlink_neigh_want__the_kernel_resolves)
{
	struct ip_addr a = v4("10.1.1.77"), known = v4("10.1.1.2");

	ka_ns_run("sysctl -qw net.ipv4.neigh.va.retrans_time_ms=20 net.ipv4.neigh.va.mcast_solicit=1");
	netlink_neigh_want(&nl, 0, &a);
	expect("-neigh 10.1.1.77");
	ka_ns_run("ip neigh add 10.1.1.2 lladdr 02:11:22:33:44:55 dev va nud stale");
	expect("+neigh 10.1.1.2 02:55\n");
	told[0] = '\0';
	netlink_neigh_want(&nl, 0, &known);
	ck_assert_str_eq(told, "+neigh 10.1.1.2 02:55\n");
}
END_TEST

/* Gone from the kernel's table though in use: the engine keeps the MAC until the kernel has asked in vain. */
START_TEST(netlink_neigh__collected_in_use_is_asked_again)
{
	struct ip_addr a = v4("10.1.1.2");
	uint64_t asked_n;

	ka_ns_run("sysctl -qw net.ipv4.neigh.va.retrans_time_ms=100 net.ipv4.neigh.va.mcast_solicit=3");
	ka_ns_run("ip neigh add 10.1.1.2 lladdr 02:11:22:33:44:55 dev va nud reachable");
	expect("+neigh 10.1.1.2 02:55\n");
	netlink_neigh_confirm(&nl, 0, &a);
	asked_n = nl.asked_n;
	/* The loop does not turn: only the dump tells that it is gone, as when the kernel collects it. */
	ka_ns_run("ip neigh del 10.1.1.2 dev va");
	ck_assert_int_eq(netlink_redump(&nl), 0);
	ck_assert_ptr_null(strstr(told, "-neigh"));
	ck_assert_uint_eq(nl.asked_n, asked_n + 1);
	expect("-neigh 10.1.1.2");
}
END_TEST

START_TEST(netlink_redump__finds_what_notices_did_not_tell)
{
	ka_ns_run("ip route add 10.9.0.0/16 via 10.1.1.2; ip addr add 10.1.1.9/24 dev va");
	expect("+route 10.9.0.0/16");
	expect("+addr 10.1.1.9/24");
	/* The loop does not turn: as if notices were lost. */
	ka_ns_run("ip route del 10.9.0.0/16; ip addr del 10.1.1.9/24 dev va; ip route add 10.8.0.0/16 via 10.1.1.2");
	told[0] = '\0';
	ck_assert_int_eq(netlink_redump(&nl), 0);
	ck_assert_ptr_nonnull(strstr(told, "-route 10.9.0.0/16"));
	ck_assert_ptr_nonnull(strstr(told, "-addr 10.1.1.9/24"));
	ck_assert_ptr_nonnull(strstr(told, "+route 10.8.0.0/16"));
	ck_assert_ptr_null(strstr(told, "10.1.1.0/24"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ka netlink");
	TCase *tc = tcase_create("netlink");
	SRunner *runner = srunner_create(suite);
	int failed;

	if (geteuid() != 0) {
		(void)printf("not root: skipped\n");
		return 77;
	}
	tcase_set_timeout(tc, 20);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, netlink_start__tells_what_is_there);
	tcase_add_test(tc, netlink_on_addr__follows_changes);
	tcase_add_test(tc, netlink_on_route__best_of_a_prefix);
	tcase_add_test(tc, netlink_on_route__kinds);
	tcase_add_test(tc, netlink_on_link__down_takes_routes_along);
	tcase_add_test(tc, netlink_neigh__set_changes_fails_goes);
	tcase_add_test(tc, netlink_neigh_want__the_kernel_resolves);
	tcase_add_test(tc, netlink_neigh__collected_in_use_is_asked_again);
	tcase_add_test(tc, netlink_redump__finds_what_notices_did_not_tell);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
