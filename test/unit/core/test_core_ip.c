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
	uint16_t mtu; /* a router drops what is larger, and says so; 0 = none */
	bool is_mute; /* ... does not say so */
	uint32_t too_big_n;
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

/* An ICMP error of @type and @code about @frame, which @side sent, from the router beside it. */
static void send_icmp(int side, const uint8_t *frame, uint8_t type, uint8_t code, uint32_t word)
{
	bool is_v4 = frame[12] == 0x08;
	uint32_t hdr = ETHER + (is_v4 ? 20 : 40), quote = is_v4 ? 28 : 60, len = 8 + quote;
	uint8_t out[256] = {0}, *ip = out + ETHER, *icmp = out + hdr;
	struct ip_addr src = {0}, dst = {0};
	uint64_t sum = 0;
	uint16_t field;

	memcpy(out, frame + 6, 6);
	memcpy(out + 6, frame, 6);
	memcpy(out + 12, frame + 12, 2);
	if (is_v4) {
		ip[0] = 0x45;
		put16(ip + 2, 20 + len);
		ip[8] = 64;
		ip[9] = IPPROTO_ICMP;
		memcpy(ip + 12, frame + ETHER + 16,
				4); /* as if from the peer: a router's address needs no route here */
		memcpy(ip + 16, frame + ETHER + 12, 4);
		fix_ipv4(ip);
	} else {
		ip[0] = 0x60;
		put16(ip + 4, len);
		ip[6] = IPPROTO_ICMPV6;
		ip[7] = 64;
		memcpy(ip + 8, frame + ETHER + 24, 16);
		memcpy(ip + 24, frame + ETHER + 8, 16);
		memcpy(src.b, ip + 8, 16);
		memcpy(dst.b, ip + 24, 16);
		sum = cksum_pseudo(&src, &dst, IPPROTO_ICMPV6, len);
	}
	icmp[0] = type;
	icmp[1] = code;
	put16(icmp + 4, word >> 16);
	put16(icmp + 6, word & 0xffff);
	memcpy(icmp + 8, frame + ETHER, quote);
	field = (uint16_t)~cksum_fold(sum + cksum_sum(icmp, len));
	memcpy(icmp + 2, &field, 2);
	simport_inject(t.pair->wire, 1 - side, out, hdr + len);
}

static bool narrow(void *arg, int side, const uint8_t *frame, uint32_t len)
{
	bool is_v4 = frame[12] == 0x08;

	(void)arg;
	if (path.mtu == 0 || side != 0 || len - ETHER <= path.mtu)
		return true;
	path.too_big_n++;
	if (!path.is_mute)
		send_icmp(side, frame, is_v4 ? 3 : 2, is_v4 ? 4 : 0, path.mtu);
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
	check_stream(300000, 20);
	/* more than there are buffers */
	ck_assert_uint_ge(path.cut_n, 150);
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

static uint16_t mss_of(const struct model_conn *c)
{
	return model_en(c)->mss;
}

/* MSS as the engine has it now, of the @i-th connection of side 0 that is established. */
static uint16_t mss_now(uint32_t i)
{
	struct core *core = t.pair->core[0];

	for (uint32_t idx = 1; idx < core->dti.ctx_n; idx++)
		if (core->tcp.ctx[idx].state == TCP_STATE_ESTABLISHED && i-- == 0)
			return core->tcp.ctx[idx].mss_base;
	return 0;
}

START_TEST(icmp__a_narrow_path_is_learned)
{
	bool is_v4 = _i;

	open_by(is_v4);
	ck_assert_uint_gt(mss_of(t.a), 1300);
	path.mtu = 1300;
	simport_set_tap(t.pair->wire, narrow, NULL);
	check_stream(300000, 40);
	ck_assert_uint_eq(mss_now(0), 1300 - (is_v4 ? 40 : 60));
	ck_assert_uint_ge(path.too_big_n, 1);
	ck_assert_uint_le(path.too_big_n, 12); /* the first window, and no more */
	ck_assert_uint_eq(pair_stat(t.pair, 0, "icmp_mtu"), 1);
	ck_assert_uint_eq(pair_stat(t.pair, 0, "TcpExtTCPTimeouts"), 0);
	two_end(&t);
}
END_TEST

START_TEST(icmp__other_connections_profit_and_it_is_forgotten)
{
	struct model_conn *other;

	open_by(true);
	other = model_connect(t.client, "10.0.0.2", PORT);
	turn(&t);
	ck_assert_uint_eq(model_state(other), ETA_DTI_OPEN);
	path.mtu = 1300;
	simport_set_tap(t.pair->wire, narrow, NULL);
	check_stream(30000, 40);
	ck_assert_uint_eq(mss_now(0), 1260);
	ck_assert_uint_eq(mss_now(1), 1260);
	path.mtu = 0;
	pair_pass(t.pair, PMTU_US + 3000000);
	ck_assert_uint_eq(mss_now(0), 1460);
	ck_assert_uint_eq(mss_now(1), 1460);
	two_end(&t);
}
END_TEST

/* What ICMP says of @seq beside a segment in flight, or of a size that is not to be. */
static bool forge(void *arg, int side, const uint8_t *frame, uint32_t len)
{
	uint8_t copy[2048];
	const uint32_t *word = arg;

	if (side != 0 || len < 500 || path.too_big_n++ > 0)
		return true;
	memcpy(copy, frame, len);
	copy[ETHER + 20 + 4] ^= (uint8_t)word[1]; /* sequence number */
	send_icmp(side, copy, 3, 4, word[0]);
	return true;
}

START_TEST(icmp__only_what_is_in_flight_is_believed)
{
	static uint32_t beside[] = {1000, 0x40}, larger[] = {1500, 0}, tiny[] = {68, 0};

	open_by(true);
	simport_set_tap(t.pair->wire, forge, beside);
	check_stream(3000, 10);
	ck_assert_uint_eq(mss_now(0), 1460);
	ck_assert_uint_eq(pair_stat(t.pair, 0, "TcpExtOutOfWindowIcmps"), 1);
	path.too_big_n = 0;
	simport_set_tap(t.pair->wire, forge, larger);
	check_stream(3000, 10);
	ck_assert_uint_eq(mss_now(0), 1460);
	ck_assert_uint_eq(pair_stat(t.pair, 0, "icmp_mtu_ignored"), 1);
	path.too_big_n = 0;
	simport_set_tap(t.pair->wire, forge, tiny);
	check_stream(3000, 10);
	ck_assert_uint_eq(mss_now(0), 552 - 40);
	two_end(&t);
}
END_TEST

static void link_mtu(uint16_t mtu)
{
	struct eta_admin_msg m = {.op = ETA_ADMIN_LINK_SET};

	m.link.mtu = mtu;
	m.link.up = 1;
	memcpy(m.link.mac, (const uint8_t[]){2, 0, 0, 0, 0, 1}, 6);
	(void)model_ka_command(t.pair->ka[0], &m);
}

static void route_mtu_set(uint32_t mtu)
{
	struct eta_admin_msg m = {.op = ETA_ADMIN_ROUTE_SET};
	struct ip_addr net = ip_addr_from_v4(htonl(0x0a000000));

	memcpy(m.route.dst, net.b, 16);
	m.route.prefix_len = 24;
	m.route.is_v4 = 1;
	m.route.mtu = mtu;
	(void)model_ka_command(t.pair->ka[0], &m);
}

START_TEST(route__link_and_route_mtu_reach_live_connections)
{
	open_by(true);
	link_mtu(1400);
	turn(&t);
	ck_assert_uint_eq(mss_now(0), 1360);
	route_mtu_set(1300);
	turn(&t);
	ck_assert_uint_eq(mss_now(0), 1260);
	check_stream(50000, 10);
	link_mtu(1500);
	turn(&t);
	ck_assert_uint_eq(mss_now(0), 1260);
	route_mtu_set(0);
	turn(&t);
	ck_assert_uint_eq(mss_now(0), 1460);
	check_stream(50000, 10);
	ck_assert_uint_eq(pair_stat(t.pair, 0, "tx_too_long"), 0);
	two_end(&t);
}
END_TEST

START_TEST(route__segments_in_flight_shrink_with_the_link)
{
	open_by(true);
	path.mtu = 1400;
	path.is_mute = true;
	simport_set_tap(t.pair->wire, narrow, NULL);
	for (uint32_t i = 0; i < 20; i++)
		(void)model_send(t.a,
				"twelve bytes twelve bytes twelve bytes twelve bytes twelve bytes twelve bytes "
				"twelve bytes twelve bytes twelve bytes twelve bytes ",
				125);
	(void)pair_pass(t.pair, 100);
	ck_assert_uint_ge(path.too_big_n, 1); /* lost, and nobody says so */
	link_mtu(1400);
	turn(&t);
	ck_assert(model_is_acked(t.a));
	ck_assert_uint_eq(pair_stat(t.pair, 0, "TcpExtTCPTimeouts"), 0);
	two_end(&t);
}
END_TEST

static bool refuse(void *arg, int side, const uint8_t *frame, uint32_t len)
{
	const uint8_t *type_code = arg;

	(void)len;
	if (side == 0 && (frame[12] == 0x08 || frame[12] == 0x86) && path.too_big_n++ == 0)
		send_icmp(side, frame, type_code[0], type_code[1], 0);
	return side != 0;
}

START_TEST(icmp__ends_an_attempt_as_linux_does)
{
	static uint8_t table[][4] = {
			{1, 3, 0, ETA_STATUS_NET_UNREACHABLE},
			{1, 3, 1, ETA_STATUS_UNREACHABLE},
			{1, 3, 2, ETA_STATUS_NO_PROTOCOL},
			{1, 3, 3, ETA_STATUS_REFUSED},
			{1, 3, 7, ETA_STATUS_HOST_DOWN},
			{1, 3, 13, ETA_STATUS_UNREACHABLE},
			{1, 11, 0, ETA_STATUS_UNREACHABLE},
			{1, 12, 0, ETA_STATUS_PROTOCOL},
			{0, 1, 0, ETA_STATUS_NET_UNREACHABLE},
			{0, 1, 1, ETA_STATUS_DENIED},
			{0, 1, 3, ETA_STATUS_UNREACHABLE},
			{0, 1, 4, ETA_STATUS_REFUSED},
			{0, 3, 0, ETA_STATUS_UNREACHABLE},
			{0, 4, 0, ETA_STATUS_PROTOCOL},
	};
	struct model_conn *c;

	open_by(true);
	for (uint32_t i = 0; i < RTE_DIM(table); i++) {
		path.too_big_n = 0;
		simport_set_tap(t.pair->wire, refuse, &table[i][1]);
		c = model_connect(t.client, table[i][0] ? "10.0.0.2" : "fd00::2", 7777);
		turn(&t);
		ck_assert_int_eq(model_status(c), table[i][3]);
	}
	two_end(&t);
}
END_TEST

START_TEST(icmp__established_is_told_and_goes_on)
{
	static uint8_t net[] = {3, 0};

	open_by(true);
	ck_assert_uint_eq(model_en(t.a)->soft_status & 0xff, ETA_STATUS_OK);
	simport_set_tap(t.pair->wire, refuse, net);
	ck_assert_uint_eq(model_send(t.a, "x", 1), 1);
	turn(&t);
	ck_assert_int_eq(model_state(t.a), ETA_DTI_OPEN);
	ck_assert_uint_eq(model_en(t.a)->soft_status & 0xff, ETA_STATUS_NET_UNREACHABLE);
	ck_assert_uint_eq(model_en(t.a)->soft_una, model_en(t.a)->snd_una);
	simport_set_tap(t.pair->wire, NULL, NULL);
	pair_pass(t.pair, 2000000);
	ck_assert(model_is_acked(t.a));
	ck_assert_uint_ne(model_en(t.a)->soft_una, model_en(t.a)->snd_una);
	two_end(&t);
}
END_TEST

/* IP header fields of the last frame of each side. */
static struct seen {
	uint8_t tos, ttl;
	uint32_t label;
} seen[2];

static bool look(void *arg, int side, const uint8_t *frame, uint32_t len)
{
	const uint8_t *ip = frame + ETHER;

	(void)arg;
	(void)len;
	if (ip[0] >> 4 == 4)
		seen[side] = (struct seen){.tos = ip[1], .ttl = ip[8]};
	else
		seen[side] = (struct seen){.tos = (uint8_t)(ip[0] << 4 | ip[1] >> 4),
				.ttl = ip[7],
				.label = (ip[1] & 15u) << 16 | (uint32_t)ip[2] << 8 | ip[3]};
	return true;
}

START_TEST(tx__what_the_socket_chose_reaches_the_wire)
{
	struct eta_doorbell db;
	uint32_t label;
	bool is_v4 = _i;

	open_by(is_v4);
	simport_set_tap(t.pair->wire, look, NULL);
	check_stream(10, 2);
	ck_assert_uint_eq(seen[0].tos, 0);
	ck_assert_uint_eq(seen[0].ttl, 64);
	label = seen[0].label;
	ck_assert_int_eq(label != 0, !is_v4);
	model_al(t.a)->tos = 0xb8 | 3; /* EF; ECN is not the application's to choose */
	model_al(t.a)->ttl = 9;
	model_al(t.a)->param_seq++;
	db = db_of(t.a, ETA_DB_PARAM);
	ck_assert(model_ring(t.client, &db));
	turn(&t);
	check_stream(5000, 5);
	ck_assert_uint_eq(seen[0].tos, 0xb8);
	ck_assert_uint_eq(seen[0].ttl, 9);
	ck_assert_uint_eq(seen[0].label, label); /* of the connection, RFC 6437 */
	ck_assert_uint_eq(seen[1].tos, 0);       /* and not the peer's: nothing is reflected */
	ck_assert_uint_eq(seen[1].ttl, 64);
	two_end(&t);
}
END_TEST

START_TEST(tx__a_listener_answers_by_its_own_choice)
{
	struct eta_doorbell db;

	open_by(true);
	model_al(t.master)->tos = 0x28;
	model_al(t.master)->ttl = 17;
	model_al(t.master)->param_seq++;
	db = db_of(t.master, ETA_DB_PARAM);
	ck_assert(model_ring(t.server, &db));
	turn(&t);
	simport_set_tap(t.pair->wire, look, NULL);
	(void)model_connect(t.client, "10.0.0.2", PORT);
	pair_pass(t.pair, 100);
	ck_assert_uint_eq(seen[1].tos, 0x28);
	ck_assert_uint_eq(seen[1].ttl, 17);
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
	tc = tcase_create("icmp");
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, icmp__a_narrow_path_is_learned, 0, 2);
	tcase_add_test(tc, icmp__other_connections_profit_and_it_is_forgotten);
	tcase_add_test(tc, icmp__only_what_is_in_flight_is_believed);
	tcase_add_test(tc, route__link_and_route_mtu_reach_live_connections);
	tcase_add_test(tc, route__segments_in_flight_shrink_with_the_link);
	tcase_add_test(tc, icmp__ends_an_attempt_as_linux_does);
	tcase_add_test(tc, icmp__established_is_told_and_goes_on);
	suite_add_tcase(suite, tc);
	tc = tcase_create("tx");
	tcase_add_loop_test(tc, tx__what_the_socket_chose_reaches_the_wire, 0, 2);
	tcase_add_test(tc, tx__a_listener_answers_by_its_own_choice);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
