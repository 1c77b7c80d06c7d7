/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/net/icmp_rx.h"

#include <string.h>

#include "test/unit/net/net_test.h"

static struct icmp_err err;
static struct rte_mbuf *ours4, *ours6;

static void setup(void)
{
	nt_eal();
	ours4 = nt_tcp_frame(&(struct nt_tcp){.src = "10.0.0.1",
			.dst = "9.9.9.9",
			.sport = 80,
			.dport = 5000,
			.seq = 0xdeadbeef});
	ours6 = nt_tcp_frame(&(struct nt_tcp){.src = "fd00::1",
			.dst = "2001:db8::9",
			.sport = 80,
			.dport = 5000,
			.seq = 0xdeadbeef});
}

static void teardown(void)
{
	rte_pktmbuf_free(ours4);
	rte_pktmbuf_free(ours6);
}

/* Parses the ICMP part of @m and frees it. */
static int parse_len(struct rte_mbuf *m, uint32_t cut)
{
	const uint8_t *ip = rte_pktmbuf_mtod_offset(m, const uint8_t *, 14);
	bool is_v4 = ip[0] >> 4 == 4;
	uint32_t hdr = is_v4 ? 20 : 40;
	struct ip_addr src = nt_addr(is_v4 ? "10.0.0.2" : "fd00::2"),
		       dst = nt_addr(is_v4 ? "10.0.0.1" : "fd00::1");
	int rc;

	memset(&err, 0xee, sizeof(err));
	rc = icmp_rx_parse(ip + hdr, m->data_len - 14 - hdr - cut, is_v4, &src, &dst, &err);
	rte_pktmbuf_free(m);
	return rc;
}

static int parse(struct rte_mbuf *m)
{
	return parse_len(m, 0);
}

START_TEST(icmp_rx_parse__v4_frag_needed)
{
	struct ip_addr r = nt_addr("9.9.9.9"), l = nt_addr("10.0.0.1");

	ck_assert_int_eq(parse(nt_icmp_frame(3, 4, 1400, ours4, 28)), 1);
	ck_assert_uint_eq(err.kind, ICMP_FRAG_NEEDED);
	ck_assert_uint_eq(err.mtu, 1400);
	ck_assert_uint_eq(err.seq, 0xdeadbeef);
	ck_assert(ip_addr_equal(&err.tuple.laddr, &l) && ip_addr_equal(&err.tuple.raddr, &r));
	ck_assert_uint_eq(rte_be_to_cpu_16(err.tuple.lport_be), 80);
	ck_assert_uint_eq(rte_be_to_cpu_16(err.tuple.rport_be), 5000);
}
END_TEST

START_TEST(icmp_rx_parse__v6_packet_too_big_is_clamped)
{
	ck_assert_int_eq(parse(nt_icmp_frame(2, 0, 1280, ours6, 60)), 1);
	ck_assert_uint_eq(err.kind, ICMP_FRAG_NEEDED);
	ck_assert_uint_eq(err.mtu, 1280);
	ck_assert_uint_eq(err.seq, 0xdeadbeef);
	ck_assert_int_eq(parse(nt_icmp_frame(2, 0, 0x10001, ours6, 60)), 1);
	ck_assert_uint_eq(err.mtu, 65535);
}
END_TEST

START_TEST(icmp_rx_parse__kinds)
{
	static const struct {
		uint8_t v6, type, code, kind;
	} table[] = {
			{0, 3, 0, ICMP_UNREACH_SOFT},
			{0, 3, 1, ICMP_UNREACH_SOFT},
			{0, 3, 2, ICMP_UNREACH_HARD},
			{0, 3, 3, ICMP_UNREACH_HARD},
			{0, 3, 5, ICMP_UNREACH_SOFT},
			{0, 3, 13, ICMP_UNREACH_HARD},
			{0, 11, 0, ICMP_TIME_EXCEEDED},
			{0, 12, 0, ICMP_PARAM_PROBLEM},
			{1, 1, 0, ICMP_UNREACH_SOFT},
			{1, 1, 1, ICMP_UNREACH_HARD},
			{1, 1, 3, ICMP_UNREACH_SOFT},
			{1, 1, 4, ICMP_UNREACH_HARD},
			{1, 3, 0, ICMP_TIME_EXCEEDED},
			{1, 4, 0, ICMP_PARAM_PROBLEM},
	};
	uint32_t i;

	for (i = 0; i < RTE_DIM(table); i++) {
		ck_assert_int_eq(parse(nt_icmp_frame(table[i].type, table[i].code, 9,
						 table[i].v6 ? ours6 : ours4, 60)),
				1);
		ck_assert_uint_eq(err.kind, table[i].kind);
		ck_assert_uint_eq(err.mtu, 0);
	}
}
END_TEST

START_TEST(icmp_rx_parse__other_types_are_the_kernels)
{
	ck_assert_int_eq(parse(nt_icmp_frame(0, 0, 0, ours4, 28)), 0);
	ck_assert_int_eq(parse(nt_icmp_frame(5, 0, 0, ours4, 28)), 0);
	ck_assert_int_eq(parse(nt_icmp_frame(136, 0, 0, ours6, 60)), 0);
}
END_TEST

START_TEST(icmp_rx_parse__every_flipped_bit_is_seen)
{
	uint32_t bit;

	for (bit = 16; bit < 36 * 8; bit++) { /* behind type and code, which decide what it is */
		struct rte_mbuf *m = nt_icmp_frame(3, 4, 1400, ours4, 28);

		*rte_pktmbuf_mtod_offset(m, uint8_t *, 34 + bit / 8) ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_eq(parse(m), -1);
	}
}
END_TEST

START_TEST(icmp_rx_parse__short_quote_is_left_alone)
{
	uint32_t n;

	for (n = 0; n < 28; n++)
		ck_assert_int_eq(parse(nt_icmp_frame(3, 4, 1400, ours4, n)), 0);
	for (n = 0; n < 48; n++)
		ck_assert_int_eq(parse(nt_icmp_frame(2, 0, 1400, ours6, n)), 0);
	ck_assert_int_eq(parse(nt_icmp_frame(2, 0, 1400, ours6, 48)), 1);
	ck_assert_int_eq(parse_len(nt_icmp_frame(3, 4, 1400, ours4, 0), 1), -1);
}
END_TEST

START_TEST(icmp_rx_parse__quote_of_anothers_segment_is_left_alone)
{
	struct rte_mbuf *m = nt_tcp_frame(&(struct nt_tcp){.src = "10.0.0.3", .dst = "9.9.9.9"});

	ck_assert_int_eq(parse(nt_icmp_frame(3, 4, 1400, m, 28)), 0);
	*rte_pktmbuf_mtod_offset(m, uint8_t *, 29) = 1; /* 10.0.0.1 */
	ck_assert_int_eq(parse(nt_icmp_frame(3, 4, 1400, m, 28)), 1);
	*rte_pktmbuf_mtod_offset(m, uint8_t *, 23) = 17; /* UDP */
	ck_assert_int_eq(parse(nt_icmp_frame(3, 4, 1400, m, 28)), 0);
	*rte_pktmbuf_mtod_offset(m, uint8_t *, 23) = 6;
	*rte_pktmbuf_mtod_offset(m, uint8_t *, 21) = 9; /* a later fragment */
	ck_assert_int_eq(parse(nt_icmp_frame(3, 4, 1400, m, 28)), 0);
	rte_pktmbuf_free(m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net/icmp_rx");
	TCase *tc = tcase_create("icmp_rx_parse");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, icmp_rx_parse__v4_frag_needed);
	tcase_add_test(tc, icmp_rx_parse__v6_packet_too_big_is_clamped);
	tcase_add_test(tc, icmp_rx_parse__kinds);
	tcase_add_test(tc, icmp_rx_parse__other_types_are_the_kernels);
	tcase_add_test(tc, icmp_rx_parse__every_flipped_bit_is_seen);
	tcase_add_test(tc, icmp_rx_parse__short_quote_is_left_alone);
	tcase_add_test(tc, icmp_rx_parse__quote_of_anothers_segment_is_left_alone);
	suite_add_tcase(s, tc);
	return nt_run(s);
}
