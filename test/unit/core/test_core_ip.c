/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The IP layer seen from above: connections whose packets come in fragments, or meet a path that is too narrow.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "engine/net/cksum.h"
#include "test/unit/dti/dti_test.h"

#define ETHER 14u
#define CUT 200u /* bytes of IP payload in a fragment, a multiple of 8 */

static struct two t;
static struct path {
	bool cuts;    /* the path cuts what side 0 sends into fragments */
	bool reverse; /* ... and the last comes first */
	uint32_t cut_n;
} path;

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void fix_ipv4(uint8_t *ip)
{
	uint16_t sum;

	put16(ip + 10, 0);
	sum = (uint16_t)~cksum_fold(cksum_sum(ip, 20));
	memcpy(ip + 10, &sum, 2);
}

/* One fragment of @frame: IP payload bytes [@off, @off + @len). */
static void send_piece(const uint8_t *frame, uint32_t off, uint32_t len, bool more)
{
	bool is_v4 = frame[12] == 0x08;
	uint32_t hdr = ETHER + (is_v4 ? 20 : 40), ext = is_v4 ? 0 : 8;
	uint8_t out[2048], *ip = out + ETHER;

	memcpy(out, frame, hdr);
	memcpy(out + hdr + ext, frame + hdr + off, len);
	if (is_v4) {
		put16(ip + 2, 20 + len);
		put16(ip + 4, path.cut_n);
		put16(ip + 6, off / 8 | (more ? 0x2000 : 0));
		fix_ipv4(ip);
	} else {
		put16(ip + 4, len + 8);
		memcpy(out + hdr, (const uint8_t[]){ip[6], 0, 0, 0, 1, 2, 3, (uint8_t)path.cut_n},
				8);
		put16(out + hdr + 2, off | more);
		ip[6] = IPPROTO_FRAGMENT;
	}
	simport_inject(t.pair->wire, 0, out, hdr + ext + len);
}

static bool cut(void *arg, int side, const uint8_t *frame, uint32_t len)
{
	uint32_t l4 = len - ETHER - (frame[12] == 0x08 ? 20 : 40);
	uint32_t pieces = (l4 + CUT - 1) / CUT;

	(void)arg;
	if (!path.cuts || side != 0 || l4 <= CUT)
		return true;
	path.cut_n++;
	for (uint32_t i = 0; i < pieces; i++) {
		uint32_t k = path.reverse ? pieces - 1 - i : i;

		send_piece(frame, k * CUT, k == pieces - 1 ? l4 - k * CUT : CUT, k != pieces - 1);
	}
	return false;
}

/* Connected, by @is_v4's family. */
static void open_by(bool is_v4)
{
	struct model_conn *master;

	memset(&path, 0, sizeof(path));
	two_begin(&t, NULL, NULL, NULL, 8);
	if (is_v4) {
		two_connect(&t);
		return;
	}
	master = model_listen(t.server, "fd00::2", 81, 8, 8);
	turn(&t);
	t.a = model_connect(t.client, "fd00::2", 81);
	turn(&t);
	t.b = model_accept(master);
	ck_assert_ptr_nonnull(t.b);
}

/* @n bytes from a to b, all of them and in order, within @turns. */
static void check_stream(uint32_t n, uint32_t turns)
{
	uint8_t buf[4096];
	uint32_t sent = 0, got = 0;

	for (uint32_t i = 0; i < turns && got < n; i++) {
		while (sent < n) {
			uint32_t m = RTE_MIN(n - sent, (uint32_t)sizeof(buf));

			for (uint32_t k = 0; k < m; k++)
				buf[k] = (uint8_t)((sent + k) * 31 + ((sent + k) >> 8));
			m = (uint32_t)model_send(t.a, buf, m);
			if (m == 0)
				break;
			sent += m;
		}
		turn(&t);
		for (;;) {
			uint32_t m = (uint32_t)model_recv(t.b, buf, sizeof(buf));

			if (m == 0)
				break;
			for (uint32_t k = 0; k < m; k++)
				ck_assert_uint_eq(buf[k],
						(uint8_t)((got + k) * 31 + ((got + k) >> 8)));
			got += m;
		}
	}
	ck_assert_uint_eq(got, n);
}

START_TEST(rx_fragment__a_stream_in_fragments_arrives)
{
	open_by(_i & 1);
	path.cuts = true;
	path.reverse = _i & 2;
	simport_set_tap(t.pair->wire, cut, NULL);
	check_stream(100000, 20);
	ck_assert_uint_ge(path.cut_n, 60);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "frag_whole"), path.cut_n);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "TcpRetransSegs"), 0);
	/* a tail that waits for a delayed ACK is probed */
	ck_assert_uint_eq(pair_stat(t.pair, 0, "TcpRetransSegs"),
			pair_stat(t.pair, 0, "TcpExtTCPLossProbes"));
	two_end(&t);
}
END_TEST

/* A packet of @pieces fragments, of TCP to @port of side 1. */
static void send_fragments(uint16_t port, uint8_t proto, uint32_t pieces)
{
	uint8_t frame[ETHER + 20 + 3 * CUT] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0, 0x45};
	uint8_t *ip = frame + ETHER;

	ip[8] = 64;
	ip[9] = proto;
	memcpy(ip + 12, (const uint8_t[]){10, 0, 0, 1, 10, 0, 0, 2}, 8);
	put16(ip + 20, 1234);
	put16(ip + 22, port);
	ip[32] = 0x50;
	path.cut_n++;
	for (uint32_t i = 0; i < pieces; i++)
		send_piece(frame, i * CUT, CUT, i != pieces - 1);
	turn(&t);
}

/* Frames that side 1 handed to its kernel by this. */
static uint64_t punted(uint16_t port, uint8_t proto, uint32_t pieces)
{
	uint64_t before = pair_stat(t.pair, 1, "punt_up");

	send_fragments(port, proto, pieces);
	return pair_stat(t.pair, 1, "punt_up") - before;
}

START_TEST(rx_fragment__the_kernels_fragments_reach_it)
{
	open_by(true);
	/* another's port: all of them; not of TCP: all of them */
	ck_assert_uint_eq(punted(22, IPPROTO_TCP, 3), 3);
	ck_assert_uint_eq(punted(PORT, IPPROTO_UDP, 3), 3);
	/* ours: never the first, without which the kernel completes nothing */
	ck_assert_uint_eq(punted(PORT, IPPROTO_TCP, 3), 2);
	/* a device that the kernel has too: its copies are enough */
	simport_port(t.pair->wire, 1)->kernel_shared = true;
	ck_assert_uint_eq(punted(22, IPPROTO_TCP, 3), 0);
	two_end(&t);
}
END_TEST

START_TEST(rx_fragment__incomplete_packets_expire)
{
	open_by(true);
	send_fragments(22, IPPROTO_TCP, 3); /* the later ones wait in vain */
	ck_assert_uint_eq(t.pair->core[1]->net.frag->used_n, 1);
	pair_pass(t.pair, IP_FRAG_V4_US + 2000000);
	ck_assert_uint_eq(t.pair->core[1]->net.frag->used_n, 0);
	ck_assert_uint_eq(pair_stat(t.pair, 1, "frag_expired"), 1);
	two_end(&t);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core ip");
	TCase *tc = tcase_create("frag");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, rx_fragment__a_stream_in_fragments_arrives, 0, 4);
	tcase_add_test(tc, rx_fragment__the_kernels_fragments_reach_it);
	tcase_add_test(tc, rx_fragment__incomplete_packets_expire);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
