/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tcx.c: the program's verdict on frames, by BPF_PROG_TEST_RUN, and its link's life.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>

#include "ka/tcx.h"
#include "test/unit/ka/ka_ns.h"

static struct tcx tcx;
static uint8_t frame[256];
static size_t frame_len;

static void setup(void)
{
	char err[256];

	ck_assert_msg(tcx_load(&tcx, TCX_OWNED, 61000, 61999, err, sizeof(err)) == 0, "%s", err);
}

static void teardown(void)
{
	tcx_close(&tcx);
}

static int verdict(void)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)tcx.prog_fd;
	attr.test.data_in = (uintptr_t)frame;
	attr.test.data_size_in = (uint32_t)frame_len;
	ck_assert_int_eq(syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attr, sizeof(attr)), 0);
	return (int)attr.test.retval;
}

static struct ip_addr v4(const char *text)
{
	uint32_t a;

	ck_assert_int_eq(inet_pton(AF_INET, text, &a), 1);
	return ip_addr_from_v4(a);
}

static struct ip_addr v6(const char *text)
{
	struct ip_addr a;

	ck_assert_int_eq(inet_pton(AF_INET6, text, a.b), 1);
	return a;
}

/* Ethernet to the test run's own device (address zero), IPv4 with @options words of options, TCP ports. */
static void make4(const char *src, const char *dst, uint16_t sport, uint16_t dport,
		unsigned int options)
{
	uint8_t *ip = frame + 14, *tcp = ip + 20 + options * 4;
	struct ip_addr s = v4(src), d = v4(dst);
	uint16_t ports[2] = {htons(sport), htons(dport)};

	memset(frame, 0, sizeof(frame));
	frame[6] = 2;
	frame[12] = 0x08;
	ip[0] = (uint8_t)(0x45 + options);
	ip[9] = 6;
	memset(ip + 20, 1, options * 4); /* NOPs */
	memcpy(ip + 12, s.b + 12, 4);
	memcpy(ip + 16, d.b + 12, 4);
	memcpy(tcp, ports, 4);
	frame_len = 14 + 20 + options * 4 + 20;
}

/* The same for IPv6, with the extension headers @ext (next header values, each 8 bytes long). */
static void make6(const char *src, const char *dst, uint16_t sport, uint16_t dport,
		const uint8_t *ext, unsigned int ext_n)
{
	uint8_t *ip = frame + 14, *at = ip + 40, *next = ip + 6;
	struct ip_addr s = v6(src), d = v6(dst);
	uint16_t ports[2] = {htons(sport), htons(dport)};

	memset(frame, 0, sizeof(frame));
	frame[6] = 2;
	frame[12] = 0x86;
	frame[13] = 0xdd;
	ip[0] = 0x60;
	memcpy(ip + 8, s.b, 16);
	memcpy(ip + 24, d.b, 16);
	for (unsigned int i = 0; i < ext_n; i++) {
		*next = ext[i];
		next = at;
		at += 8;
	}
	*next = 6;
	memcpy(at, ports, 4);
	frame_len = (size_t)(at - frame) + 20;
}

static void listen_on(struct ip_addr a, uint16_t port)
{
	ck_assert_int_eq(tcx_listen_set(&tcx, &a, htons(port), false), 0);
}

START_TEST(tcx__nothing_owned_passes)
{
	make4("10.0.0.2", "10.0.0.1", 1000, 80, 0);
	ck_assert_int_eq(verdict(), TCX_NEXT);
	make6("fd00::2", "fd00::1", 1000, 80, NULL, 0);
	ck_assert_int_eq(verdict(), TCX_NEXT);
}
END_TEST

START_TEST(tcx__listening_address_drops_only_its_port)
{
	listen_on(v4("10.0.0.1"), 80);
	make4("10.0.0.2", "10.0.0.1", 1000, 80, 0);
	ck_assert_int_eq(verdict(), TCX_DROP);
	make4("10.0.0.2", "10.0.0.1", 80, 81, 0);
	ck_assert_int_eq(verdict(), TCX_NEXT);
	make4("10.0.0.2", "10.0.0.3", 1000, 80, 0);
	ck_assert_int_eq(verdict(), TCX_NEXT);
}
END_TEST

START_TEST(tcx__any_address_is_of_one_family)
{
	listen_on(v4("0.0.0.0"), 80);
	make4("10.0.0.2", "10.0.0.77", 1000, 80, 0);
	ck_assert_int_eq(verdict(), TCX_DROP);
	make6("fd00::2", "fd00::1", 1000, 80, NULL, 0);
	ck_assert_int_eq(verdict(), TCX_NEXT);
	listen_on(v6("::"), 80);
	ck_assert_int_eq(verdict(), TCX_DROP);
}
END_TEST

START_TEST(tcx__listen_del_passes_again)
{
	struct ip_addr a = v6("fd00::1");

	listen_on(a, 443);
	make6("fd00::2", "fd00::1", 1000, 443, NULL, 0);
	ck_assert_int_eq(verdict(), TCX_DROP);
	ck_assert_int_eq(tcx_listen_set(&tcx, &a, htons(443), true), 0);
	ck_assert_int_eq(verdict(), TCX_NEXT);
	ck_assert_int_eq(tcx_listen_set(&tcx, &a, htons(443), true), 0);
}
END_TEST

START_TEST(tcx__ephemeral_range_needs_a_local_address)
{
	struct ip_addr a = v4("10.0.0.1");
	static const uint16_t in[] = {61000, 61500, 61999}, out[] = {60999, 62000, 80};

	make4("10.0.0.2", "10.0.0.1", 80, 61500, 0);
	ck_assert_int_eq(verdict(), TCX_NEXT);
	ck_assert_int_eq(tcx_local_set(&tcx, &a, false), 0);
	for (int i = 0; i < 3; i++) {
		make4("10.0.0.2", "10.0.0.1", 80, in[i], 0);
		ck_assert_int_eq(verdict(), TCX_DROP);
		make4("10.0.0.2", "10.0.0.1", 80, out[i], 0);
		ck_assert_int_eq(verdict(), TCX_NEXT);
	}
}
END_TEST

START_TEST(tcx__tuple_is_exact)
{
	struct ip_tuple t = {.laddr = v4("10.0.0.1"),
			.raddr = v4("10.0.0.2"),
			.lport_be = htons(5000),
			.rport_be = htons(80)};

	ck_assert_int_eq(tcx_tuple_set(&tcx, &t, false), 0);
	make4("10.0.0.2", "10.0.0.1", 80, 5000, 0);
	ck_assert_int_eq(verdict(), TCX_DROP);
	make4("10.0.0.2", "10.0.0.1", 81, 5000, 0);
	ck_assert_int_eq(verdict(), TCX_NEXT);
	make4("10.0.0.3", "10.0.0.1", 80, 5000, 0);
	ck_assert_int_eq(verdict(), TCX_NEXT);
}
END_TEST

START_TEST(tcx__ipv4_options_are_skipped)
{
	listen_on(v4("10.0.0.1"), 80);
	for (unsigned int options = 1; options <= 10; options++) {
		make4("10.0.0.2", "10.0.0.1", 1000, 80, options);
		ck_assert_int_eq(verdict(), TCX_DROP);
	}
}
END_TEST

START_TEST(tcx__first_fragment_drops_later_ones_pass)
{
	listen_on(v4("10.0.0.1"), 80);
	make4("10.0.0.2", "10.0.0.1", 1000, 80, 0);
	frame[14 + 6] = 0x20; /* MF, offset 0 */
	ck_assert_int_eq(verdict(), TCX_DROP);
	frame[14 + 7] = 0x01; /* offset 8 */
	ck_assert_int_eq(verdict(), TCX_NEXT);
}
END_TEST

START_TEST(tcx__other_protocols_and_short_frames_pass)
{
	listen_on(v4("10.0.0.1"), 80);
	make4("10.0.0.2", "10.0.0.1", 1000, 80, 0);
	frame[14 + 9] = 17;
	ck_assert_int_eq(verdict(), TCX_NEXT);
	make4("10.0.0.2", "10.0.0.1", 1000, 80, 0);
	frame[14] = 0x44; /* header shorter than itself */
	ck_assert_int_eq(verdict(), TCX_NEXT);
	make4("10.0.0.2", "10.0.0.1", 1000, 80, 0);
	frame_len = 14 + 20 + 3;
	ck_assert_int_eq(verdict(), TCX_NEXT);
	make4("10.0.0.2", "10.0.0.1", 1000, 80, 0);
	frame[12] = 0x81; /* VLAN */
	frame[13] = 0x00;
	ck_assert_int_eq(verdict(), TCX_NEXT);
	make4("10.0.0.2", "10.0.0.1", 1000, 80, 0);
	frame[0] = 0x02; /* to another host */
	ck_assert_int_eq(verdict(), TCX_NEXT);
}
END_TEST

START_TEST(tcx__ipv6_extension_headers_are_walked)
{
	static const uint8_t eight[] = {0, 60, 43, 60, 60, 60, 60, 60},
			     nine[] = {0, 60, 43, 60, 60, 60, 60, 60, 60}, frag[] = {44},
			     esp[] = {50};

	listen_on(v6("fd00::1"), 80);
	make6("fd00::2", "fd00::1", 1000, 80, eight, 8);
	ck_assert_int_eq(verdict(), TCX_DROP);
	make6("fd00::2", "fd00::1", 1000, 80, nine, 9);
	ck_assert_int_eq(verdict(), TCX_NEXT);
	make6("fd00::2", "fd00::1", 1000, 80, esp, 1);
	ck_assert_int_eq(verdict(), TCX_NEXT);
	make6("fd00::2", "fd00::1", 1000, 80, frag, 1);
	frame[14 + 40 + 3] = 0x01; /* first, more follow */
	ck_assert_int_eq(verdict(), TCX_DROP);
	frame[14 + 40 + 3] = 0x09; /* offset 8 */
	ck_assert_int_eq(verdict(), TCX_NEXT);
}
END_TEST

START_TEST(tcx_load__all_drops_everything)
{
	char err[256];

	tcx_close(&tcx);
	ck_assert_int_eq(tcx_load(&tcx, TCX_ALL, 0, 0, err, sizeof(err)), 0);
	make4("10.0.0.2", "10.0.0.1", 1000, 80, 0);
	ck_assert_int_eq(verdict(), TCX_DROP);
	frame[12] = 0x08;
	frame[13] = 0x06; /* ARP */
	ck_assert_int_eq(verdict(), TCX_DROP);
}
END_TEST

/* The kernel's listener is deaf while the link is there, and hears again when its descriptor is closed. */
START_TEST(tcx_attach__vanishes_with_its_descriptor)
{
	struct ip_addr a = v4("10.1.1.1");

	if (!ka_ns_enter())
		return;
	ka_ns_run("ip link add va type veth peer name vb && ip link set va up && ip link set vb up");
	ka_ns_run("ip addr add 10.1.1.1/24 dev va");
	listen_on(a, 80);
	ck_assert_int_eq(tcx_attach(&tcx, 99999), -ENODEV);
	ck_assert_int_eq(tcx_attach(&tcx, (int)2), 0);
	close(tcx.link_fd);
	tcx.link_fd = -1;
	ck_assert_int_eq(tcx_attach(&tcx, (int)2), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ka tcx");
	TCase *tc = tcase_create("tcx");
	SRunner *runner = srunner_create(suite);
	int failed;

	if (geteuid() != 0) {
		(void)printf("not root: skipped\n");
		return 77;
	}
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, tcx__nothing_owned_passes);
	tcase_add_test(tc, tcx__listening_address_drops_only_its_port);
	tcase_add_test(tc, tcx__any_address_is_of_one_family);
	tcase_add_test(tc, tcx__listen_del_passes_again);
	tcase_add_test(tc, tcx__ephemeral_range_needs_a_local_address);
	tcase_add_test(tc, tcx__tuple_is_exact);
	tcase_add_test(tc, tcx__ipv4_options_are_skipped);
	tcase_add_test(tc, tcx__first_fragment_drops_later_ones_pass);
	tcase_add_test(tc, tcx__other_protocols_and_short_frames_pass);
	tcase_add_test(tc, tcx__ipv6_extension_headers_are_walked);
	tcase_add_test(tc, tcx_load__all_drops_everything);
	tcase_add_test(tc, tcx_attach__vanishes_with_its_descriptor);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
