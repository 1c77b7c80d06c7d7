/* SPDX-License-Identifier: BSD-3-Clause */
#include "engine/net/ip_frag.h"

#include <string.h>

#include <arpa/inet.h>

#include "engine/net/ip_rx.h"
#include "test/unit/net/net_test.h"

#define SEG_BYTES 320u /* TCP header and 300 bytes */
#define PAYLOAD 300u

static struct nt_port port;
static struct net_stats stats;
static struct ip_frag *frag;
static struct ip_frag_piece piece;
static uint64_t now_us;
static uint8_t tos;

static void setup(void)
{
	nt_eal();
	nt_port_init(&port, 0);
	memset(&stats, 0, sizeof(stats));
	frag = ip_frag_create("test", 0);
	ck_assert_ptr_nonnull(frag);
	now_us = 1000000;
	tos = 0;
}

static void teardown(void)
{
	ck_assert_ptr_null(ip_frag_check(frag));
	ip_frag_destroy(frag);
}

/* Bytes [@off, @off + @len) of one segment's IP payload as a fragment. @ext: bytes of options in front of the fragment header. */
static struct rte_mbuf *fragment(bool is_v4, uint32_t id, uint32_t off, uint32_t len, bool more)
{
	struct rte_mbuf *whole = nt_tcp_frame(&(struct nt_tcp){.src = is_v4 ? NULL : "fd00::2",
			.dst = is_v4 ? NULL : "fd00::1",
			.seq = 77,
			.len = PAYLOAD});
	uint32_t hdr = is_v4 ? 34 : 54;
	struct rte_mbuf *m = nt_alloc(hdr + (is_v4 ? 0 : 8) + len);
	uint8_t *f = rte_pktmbuf_mtod(m, uint8_t *), *ip = f + 14;

	memcpy(f, rte_pktmbuf_mtod(whole, uint8_t *), hdr);
	if (is_v4) {
		ip[1] = tos;
		ip[2] = (uint8_t)((20 + len) >> 8);
		ip[3] = (uint8_t)(20 + len);
		ip[4] = (uint8_t)(id >> 8);
		ip[5] = (uint8_t)id;
		ip[6] = (uint8_t)((more ? 0x20 : 0) | off >> 11);
		ip[7] = (uint8_t)(off >> 3);
		nt_fix_ip(m);
	} else {
		ip[0] = (uint8_t)(0x60 | tos >> 4);
		ip[1] = (uint8_t)(tos << 4);
		ip[4] = (uint8_t)((8 + len) >> 8);
		ip[5] = (uint8_t)(8 + len);
		ip[6] = 44;
		memcpy(f + hdr,
				(const uint8_t[]){6, 0, (uint8_t)(off >> 8), (uint8_t)(off | more),
						0, 0, (uint8_t)(id >> 8), (uint8_t)id},
				8);
		hdr += 8;
	}
	if (off + len <= SEG_BYTES)
		memcpy(f + hdr, rte_pktmbuf_mtod_offset(whole, uint8_t *, (is_v4 ? 34 : 54) + off),
				len);
	rte_pktmbuf_free(whole);
	return m;
}

static enum ip_frag_kind kind_of(struct rte_mbuf *m)
{
	struct ip_pkt pkt;

	ck_assert_int_eq(ip_rx_parse(&stats, &port.port, m, &pkt), IP_RX_FRAGMENT);
	return ip_frag_parse(m, &pkt, &piece);
}

static uint64_t exits(void)
{
	return stats.frag_kept + stats.frag_whole + stats.frag_dup + stats.frag_drop_overlap +
	       stats.frag_drop_ecn + stats.frag_drop_room + stats.frag_drop_spoilt;
}

/* Gives a fragment, which must be first or later. Return: the whole packet, or NULL. */
static struct rte_mbuf *give(bool is_v4, uint32_t id, uint32_t off, uint32_t len, bool more)
{
	struct rte_mbuf *m = fragment(is_v4, id, off, len, more), *whole;
	uint64_t before = exits();

	ck_assert_int_eq(kind_of(m), off == 0 ? IP_FRAG_FIRST : IP_FRAG_LATER);
	whole = ip_frag_add(frag, &stats, &piece, now_us);
	rte_pktmbuf_free(m);
	ck_assert_uint_eq(exits(), before + 1);
	ck_assert_ptr_null(ip_frag_check(frag));
	return whole;
}

/* Is @m the segment, byte for byte, by the parser's word? Frees it. */
static void check_whole(struct rte_mbuf *m)
{
	struct ip_pkt pkt;
	uint32_t i;

	ck_assert_ptr_nonnull(m);
	ck_assert_int_eq(ip_rx_parse(&stats, &port.port, m, &pkt), IP_RX_TCP);
	ck_assert_uint_eq(pkt.seg.seq, 77);
	ck_assert_uint_eq(pkt.seg.len, PAYLOAD);
	for (i = 0; i < PAYLOAD; i++)
		ck_assert_uint_eq(pkt.seg.data[i], nt_byte(i));
	ck_assert_uint_eq(pkt.tuple.lport_be, htons(80));
	rte_pktmbuf_free(m);
}

START_TEST(ip_frag_add__in_order)
{
	bool is_v4 = _i;

	ck_assert_ptr_null(give(is_v4, 1, 0, 104, true));
	ck_assert_uint_eq(frag->used_n, 1);
	ck_assert_ptr_null(give(is_v4, 1, 104, 104, true));
	check_whole(give(is_v4, 1, 208, SEG_BYTES - 208, false));
	ck_assert_uint_eq(frag->used_n, 0);
	ck_assert_uint_eq(stats.frag_kept, 2);
	ck_assert_uint_eq(stats.frag_whole, 1);
}
END_TEST

START_TEST(ip_frag_add__every_order)
{
	static const uint8_t order[6][3] = {
			{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
	static const uint32_t off[4] = {0, 24, 160, SEG_BYTES};
	struct rte_mbuf *m = NULL;

	for (uint32_t i = 0; i < 6; i++) {
		for (uint32_t j = 0; j < 3; j++) {
			uint32_t k = order[i][j];

			m = give(true, 1, off[k], off[k + 1] - off[k], k < 2);
			ck_assert_int_eq(m != NULL, j == 2);
		}
		check_whole(m);
	}
	ck_assert_uint_eq(frag->used_n, 0);
}
END_TEST

START_TEST(ip_frag_add__packets_are_told_apart_by_id_and_family)
{
	ck_assert_ptr_null(give(true, 1, 0, 160, true));
	ck_assert_ptr_null(give(true, 2, 160, 160, false));
	ck_assert_ptr_null(give(false, 1, 160, 160, false));
	ck_assert_uint_eq(frag->used_n, 3);
	check_whole(give(false, 1, 0, 160, true));
	check_whole(give(true, 2, 0, 160, true));
	check_whole(give(true, 1, 160, 160, false));
}
END_TEST

START_TEST(ip_frag_add__repetition_is_no_overlap)
{
	ck_assert_ptr_null(give(true, 1, 0, 160, true));
	ck_assert_ptr_null(give(true, 1, 0, 160, true));
	ck_assert_uint_eq(stats.frag_dup, 1);
	check_whole(give(true, 1, 160, 160, false));
}
END_TEST

START_TEST(ip_frag_add__overlap_spoils_the_packet)
{
	bool is_v4 = _i;

	ck_assert_ptr_null(give(is_v4, 1, 0, 160, true));
	ck_assert_ptr_null(give(is_v4, 1, 152, 160, true));
	ck_assert_uint_eq(stats.frag_drop_overlap, 1);
	ck_assert_ptr_null(give(is_v4, 1, 160, 160, false));
	ck_assert_ptr_null(give(is_v4, 1, 0, 160, true));
	ck_assert_uint_eq(stats.frag_drop_spoilt, 2);
	ck_assert_uint_eq(rte_mempool_in_use_count(frag->pool), 0);
	/* the other way: what comes covers what is there */
	ck_assert_ptr_null(give(is_v4, 2, 160, 8, true));
	ck_assert_ptr_null(give(is_v4, 2, 152, 24, true));
	ck_assert_uint_eq(stats.frag_drop_overlap, 2);
	/* behind one, into the next */
	ck_assert_ptr_null(give(is_v4, 3, 0, 80, true));
	ck_assert_ptr_null(give(is_v4, 3, 160, 80, true));
	ck_assert_ptr_null(give(is_v4, 3, 80, 88, true));
	ck_assert_uint_eq(stats.frag_drop_overlap, 3);
}
END_TEST

START_TEST(ip_frag_add__two_ends_spoil_the_packet)
{
	ck_assert_ptr_null(give(true, 1, 160, 160, false));
	ck_assert_ptr_null(give(true, 1, 320, 8, true)); /* beyond the end */
	ck_assert_uint_eq(stats.frag_drop_overlap, 1);
	ck_assert_ptr_null(give(true, 2, 160, 160, false));
	ck_assert_ptr_null(give(true, 2, 400, 8, false)); /* another end */
	ck_assert_uint_eq(stats.frag_drop_overlap, 2);
	ck_assert_ptr_null(give(true, 3, 320, 8, true));
	ck_assert_ptr_null(give(true, 3, 160, 80, false)); /* an end before what is there */
	ck_assert_uint_eq(stats.frag_drop_overlap, 3);
}
END_TEST

START_TEST(ip_frag_add__later_fragments_alone_are_never_whole)
{
	ck_assert_ptr_null(give(true, 1, 8, 152, true));
	ck_assert_ptr_null(give(true, 1, 160, 160, false));
	/* RFC 3128: the bytes of ports and flags come by the first, or not at all */
	ck_assert_ptr_null(give(true, 1, 0, 24, true));
	ck_assert_uint_eq(stats.frag_drop_overlap, 1);
	ck_assert_uint_eq(stats.frag_whole, 0);
}
END_TEST

START_TEST(ip_frag_add__ce_of_one_is_ce_of_all)
{
	struct rte_mbuf *m;
	struct ip_pkt pkt;

	tos = 0x2a; /* ECT(0), and a DSCP that stays */
	ck_assert_ptr_null(give(_i, 1, 0, 160, true));
	tos = 3;
	m = give(_i, 1, 160, 160, false);
	ck_assert_ptr_nonnull(m);
	ck_assert_int_eq(ip_rx_parse(&stats, &port.port, m, &pkt), IP_RX_TCP);
	ck_assert_uint_eq(pkt.seg.ecn, 3);
	ck_assert_uint_eq(pkt.tos, 0x2b);
	rte_pktmbuf_free(m);
	tos = 0;
	ck_assert_ptr_null(give(_i, 2, 0, 160, true));
	tos = 3;
	ck_assert_ptr_null(give(_i, 2, 160, 160, false));
	ck_assert_uint_eq(stats.frag_drop_ecn, 1);
}
END_TEST

START_TEST(ip_frag_add__too_long_is_dropped)
{
	ck_assert_ptr_null(give(true, 1, IP_FRAG_BYTES_MAX - 20 - 8, 8, false));
	ck_assert_uint_eq(stats.frag_kept, 1);
	ck_assert_ptr_null(give(true, 2, IP_FRAG_BYTES_MAX - 24, 8, false));
	ck_assert_uint_eq(stats.frag_drop_room, 1);
	ck_assert_ptr_null(give(true, 2, 0, 160, true));
	ck_assert_uint_eq(stats.frag_drop_spoilt, 1);
}
END_TEST

START_TEST(ip_frag_add__holes_are_bounded)
{
	for (uint32_t i = 0; i < IP_FRAG_RANGES; i++)
		ck_assert_ptr_null(give(true, 1, 8 + i * 16, 8, true));
	ck_assert_uint_eq(stats.frag_kept, IP_FRAG_RANGES);
	ck_assert_ptr_null(give(true, 1, 8 + IP_FRAG_RANGES * 16, 8, true));
	ck_assert_uint_eq(stats.frag_drop_room, 1);
}
END_TEST

START_TEST(ip_frag_add__the_oldest_gives_way)
{
	uint32_t i;

	for (i = 0; i < IP_FRAG_ENTRIES; i++, now_us++)
		ck_assert_ptr_null(give(true, 100 + i, 0, 160, true));
	ck_assert_ptr_null(give(true, 1, 0, 160, true));
	ck_assert_uint_eq(stats.frag_evicted, 1);
	ck_assert_uint_eq(frag->used_n, IP_FRAG_ENTRIES);
	check_whole(give(true, 101, 160, 160, false)); /* the second oldest is there */
	ck_assert_ptr_null(give(true, 100, 160, 160, false));
}
END_TEST

START_TEST(ip_frag_sweep__time)
{
	ck_assert_ptr_null(give(true, 1, 0, 160, true));
	ck_assert_ptr_null(give(false, 1, 0, 160, true));
	now_us += IP_FRAG_V4_US - 1;
	ip_frag_sweep(frag, &stats, now_us);
	ck_assert_uint_eq(frag->used_n, 2);
	ip_frag_sweep(frag, &stats, now_us + 1);
	ck_assert_uint_eq(frag->used_n, 1);
	ck_assert_uint_eq(stats.frag_expired, 1);
	now_us += IP_FRAG_V6_US - IP_FRAG_V4_US + 1;
	ck_assert_ptr_null(give(false, 1, 160, 160, false)); /* its first is gone */
	ck_assert_uint_eq(stats.frag_expired, 2);
	ck_assert_uint_eq(rte_mempool_in_use_count(frag->pool), 1);
}
END_TEST

START_TEST(ip_frag_parse__tiny_first)
{
	struct rte_mbuf *m = fragment(true, 1, 0, 16, true);

	ck_assert_int_eq(kind_of(m), IP_FRAG_TINY);
	rte_pktmbuf_free(m);
	m = fragment(false, 1, 0, 16, true);
	ck_assert_int_eq(kind_of(m), IP_FRAG_TINY);
	*rte_pktmbuf_mtod_offset(m, uint8_t *, 54) =
			60; /* destination options that go on in the next */
	*rte_pktmbuf_mtod_offset(m, uint8_t *, 63) = 9;
	ck_assert_int_eq(kind_of(m), IP_FRAG_TINY);
	rte_pktmbuf_free(m);
}
END_TEST

START_TEST(ip_frag_parse__impossible_lengths)
{
	struct rte_mbuf *m = fragment(true, 1, 0, 100, true); /* not a multiple of 8 */

	ck_assert_int_eq(kind_of(m), IP_FRAG_BAD);
	rte_pktmbuf_free(m);
	m = fragment(true, 1, 65528, 8, false); /* beyond 65535 */
	ck_assert_int_eq(kind_of(m), IP_FRAG_BAD);
	rte_pktmbuf_free(m);
	m = fragment(false, 1, 65528, 8, false);
	ck_assert_int_eq(kind_of(m), IP_FRAG_BAD);
	rte_pktmbuf_free(m);
	m = fragment(false, 1, 8, 0, false);
	ck_assert_int_eq(kind_of(m), IP_FRAG_BAD);
	rte_pktmbuf_free(m);
}
END_TEST

START_TEST(ip_frag_parse__others_are_foreign)
{
	struct rte_mbuf *m = fragment(true, 1, 0, 160, true);

	*rte_pktmbuf_mtod_offset(m, uint8_t *, 23) = 17;
	nt_fix_ip(m);
	ck_assert_int_eq(kind_of(m), IP_FRAG_FOREIGN);
	rte_pktmbuf_free(m);
	m = fragment(false, 1, 0, 160, true);
	*rte_pktmbuf_mtod_offset(m, uint8_t *, 54) = 17;
	ck_assert_int_eq(kind_of(m), IP_FRAG_FOREIGN);
	rte_pktmbuf_free(m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net/ip_frag");
	TCase *tc = tcase_create("ip_frag");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, ip_frag_add__in_order, 0, 2);
	tcase_add_test(tc, ip_frag_add__every_order);
	tcase_add_test(tc, ip_frag_add__packets_are_told_apart_by_id_and_family);
	tcase_add_test(tc, ip_frag_add__repetition_is_no_overlap);
	tcase_add_loop_test(tc, ip_frag_add__overlap_spoils_the_packet, 0, 2);
	tcase_add_test(tc, ip_frag_add__two_ends_spoil_the_packet);
	tcase_add_test(tc, ip_frag_add__later_fragments_alone_are_never_whole);
	tcase_add_loop_test(tc, ip_frag_add__ce_of_one_is_ce_of_all, 0, 2);
	tcase_add_test(tc, ip_frag_add__too_long_is_dropped);
	tcase_add_test(tc, ip_frag_add__holes_are_bounded);
	tcase_add_test(tc, ip_frag_add__the_oldest_gives_way);
	tcase_add_test(tc, ip_frag_sweep__time);
	tcase_add_test(tc, ip_frag_parse__tiny_first);
	tcase_add_test(tc, ip_frag_parse__impossible_lengths);
	tcase_add_test(tc, ip_frag_parse__others_are_foreign);
	suite_add_tcase(s, tc);
	return nt_run(s);
}
