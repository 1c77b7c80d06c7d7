/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "test/unit/tcp/facts.h"
#include "test/unit/tcp/fake_up.h"

static struct core *core;
static struct tcp_ctx *master, *ctx;
static uint32_t iss; /* of the last cookie */

static const struct fake_peer peer_full = {
		.timestamps = true, .sack = true, .wscale = true, .mss = 1400};
static const struct fake_peer peer_plain = {.sack = true, .wscale = true, .mss = 1400};

static void flooded(void)
{
	struct tcp_conf conf;

	tcp_conf_default(&conf);
	conf.isn_key[0] = 7;
	conf.isn_key[1] = 8;
	core = fake_new(&conf);
	master = fake_listener(core);
	core->room = TCP_ROOM_FULL;
}

static enum tcp_verdict syn(const struct fake_peer *peer, uint32_t seq)
{
	uint8_t opt[40];
	uint8_t opt_len = fake_syn_opts(peer, 77, 0, opt);
	enum tcp_verdict verdict;

	verdict = fake_rx_seg(core, master,
			(struct tcp_seg){.seq = seq,
					.flags = TCP_SYN,
					.wnd = 1000,
					.opt = opt,
					.opt_len = opt_len});
	if (core->sent_n > 0)
		iss = fake_last(core)->seq;
	return verdict;
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The timestamp in the last segment sent; our SYN-ACKs carry it behind MSS and SACK-permitted. */
static uint32_t ts_sent(void)
{
	const struct tcp_txseg *seg = fake_last(core);

	ck_assert_uint_ge(seg->opt_len, 16);
	ck_assert_uint_eq(seg->opt[6], 8);
	return be32(seg->opt + 8);
}

static bool ack(uint32_t seq, uint32_t ack_, uint32_t len, bool has_ts, uint32_t tsecr)
{
	static const uint8_t data[2000];
	uint8_t opt[12] = {1, 1, 8, 10, 0, 0, 0, 78};
	struct tcp_seg seg = {.seq = seq,
			.ack = ack_,
			.flags = TCP_ACK,
			.wnd = 500,
			.opt = opt,
			.opt_len = has_ts ? 12 : 0,
			.data = data,
			.len = len,
			.segs = 1};
	bool is_ours;

	for (int i = 0; i < 4; i++)
		opt[8 + i] = (uint8_t)(tsecr >> (24 - 8 * i));
	is_ours = tcp_rx_cookie(&core->stack, core, master, &seg, &core->tuple, core->now_us);
	fake_check(core);
	ctx = &core->ctx[core->last_embryo];
	return is_ours;
}

START_TEST(tcp_cookie_send__keeps_nothing)
{
	flooded();
	ck_assert_int_eq(syn(&peer_full, FAKE_IRS), TCP_RX_OK);
	fake_take(core);
	ck_assert_uint_eq(core->sent[0].ctx_idx, 0);
	ck_assert(core->sent[0].has_tuple);
	ck_assert_uint_eq(fake_last(core)->flags, TCP_SYN | TCP_ACK);
	ck_assert_uint_eq(fake_last(core)->ack, FAKE_IRS + 1);
	ck_assert_uint_eq(fake_last(core)->wnd, 60000);
	ck_assert_uint_eq(core->stack.stats.cookies_sent, 1);
	ck_assert_uint_eq(core->stack.stats.reqq_cookies, 1);
	ck_assert_uint_eq(core->last_embryo, 0);
	fake_free(core);
}
END_TEST

START_TEST(tcp_cookie_send__off_is_refused)
{
	flooded();
	core->stack.conf.syn_cookies = false;
	ck_assert_int_eq(syn(&peer_full, FAKE_IRS), TCP_RX_REFUSED);
	ck_assert_str_eq(fake_take(core), "");
	ck_assert_uint_eq(core->stack.stats.reqq_drop, 1);
	fake_free(core);
}
END_TEST

START_TEST(tcp_cookie_send__a_source_with_its_share_gets_one)
{
	flooded();
	core->room = TCP_ROOM_SOURCE;
	syn(&peer_full, FAKE_IRS);
	ck_assert_uint_eq(core->stack.stats.reqq_source, 1);
	ck_assert_uint_eq(core->stack.stats.cookies_sent, 1);
	fake_free(core);
}
END_TEST

START_TEST(tcp_cookie_send__a_full_accept_queue_is_silent)
{
	flooded();
	core->room = TCP_ROOM_NONE;
	ck_assert_int_eq(syn(&peer_full, FAKE_IRS), TCP_RX_OK);
	ck_assert_str_eq(fake_take(core), "");
	ck_assert_uint_eq(core->stack.stats.listen_overflows, 1);
	fake_free(core);
}
END_TEST

START_TEST(tcp_cookie_send__the_same_syn_gets_the_same_number)
{
	uint32_t first;

	flooded();
	syn(&peer_full, FAKE_IRS);
	first = iss;
	core->now_us += 3000000;
	syn(&peer_full, FAKE_IRS);
	ck_assert_uint_eq(iss, first);
	syn(&peer_full, FAKE_IRS + 1);
	ck_assert_uint_ne(iss, first);
	fake_free(core);
}
END_TEST

/* Room again, and the first answer still under way: both say the same. */
START_TEST(tcp_cookie_fill__an_embryo_after_a_cookie_continues_it)
{
	uint32_t first;

	flooded();
	syn(&peer_plain, FAKE_IRS);
	first = iss;
	core->room = TCP_ROOM_EMBRYO;
	syn(&peer_plain, FAKE_IRS);
	ctx = &core->ctx[core->last_embryo];
	ck_assert_uint_eq(ctx->iss, first);
	ck_assert_uint_eq(ctx->flags & (TCP_CTX_WSCALE | TCP_CTX_SACK), 0);
	fake_rx(core, ctx, TCP_ACK, 1, 1, 0);
	ck_assert_uint_eq(ctx->state, TCP_STATE_ESTABLISHED);
	fake_free(core);
}
END_TEST

START_TEST(tcp_cookie_fill__without_pressure_first_numbers_are_no_cookies)
{
	uint32_t off;

	flooded();
	core->room = TCP_ROOM_EMBRYO;
	syn(&peer_plain, FAKE_IRS);
	ctx = &core->ctx[core->last_embryo];
	ck_assert_uint_eq(ctx->iss,
			tcp_conn_iss(&(struct tcp_env)TCP_ENV(&core->stack, core, core->now_us),
					&core->tuple, &off));
	ck_assert(ctx->flags & TCP_CTX_SACK);
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx_cookie__an_ack_establishes)
{
	flooded();
	syn(&peer_full, FAKE_IRS);
	fake_take(core);
	ck_assert(ack(FAKE_IRS + 1, iss + 1, 0, true, ts_sent()));
	ck_assert_str_eq(fake_take(core), "embryo; accept; ");
	ck_assert_uint_eq(ctx->state, TCP_STATE_ESTABLISHED);
	ck_assert_uint_eq(ctx->snd_una, iss + 1);
	ck_assert_uint_eq(ctx->rcv_nxt, FAKE_IRS + 1);
	ck_assert_uint_eq(core->stack.stats.cookies_recv, 1);
	ck_assert_uint_eq(core->stack.stats.passive_opens, 1);
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx_cookie__timestamps_remember_the_options)
{
	flooded();
	syn(&peer_full, FAKE_IRS);
	ack(FAKE_IRS + 1, iss + 1, 0, true, ts_sent());
	ck_assert_uint_eq(ctx->flags & (TCP_CTX_TS | TCP_CTX_SACK | TCP_CTX_WSCALE),
			TCP_CTX_TS | TCP_CTX_SACK | TCP_CTX_WSCALE);
	ck_assert_uint_eq(ctx->snd_wscale, 7);
	ck_assert_uint_eq(ctx->rcv_wscale, core->stack.conf.rcv_wscale);
	ck_assert_uint_eq(ctx->snd_wnd, 500u << 7);
	ck_assert_uint_eq(ctx->mss_base, 1400);
	ck_assert_uint_eq(ctx->ts_recent, 78);
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx_cookie__what_the_syn_did_not_say_is_not_agreed)
{
	flooded();
	syn(&(struct fake_peer){.timestamps = true, .mss = 1460}, FAKE_IRS);
	ack(FAKE_IRS + 1, iss + 1, 0, true, be32(fake_last(core)->opt + 8));
	ck_assert_uint_eq(ctx->flags & (TCP_CTX_TS | TCP_CTX_SACK | TCP_CTX_WSCALE), TCP_CTX_TS);
	ck_assert_uint_eq(ctx->snd_wscale, 0);
	ck_assert_uint_eq(ctx->rcv_wscale, 0);
	ck_assert_uint_eq(ctx->snd_wnd, 500);
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx_cookie__without_timestamps_only_the_mss_survives)
{
	flooded();
	syn(&peer_plain, FAKE_IRS);
	ck_assert_uint_eq(fake_last(core)->opt_len, 4);
	ack(FAKE_IRS + 1, iss + 1, 0, false, 0);
	ck_assert_uint_eq(ctx->flags & (TCP_CTX_TS | TCP_CTX_SACK | TCP_CTX_WSCALE), 0);
	ck_assert_uint_eq(ctx->mss, 1400);
	ck_assert_uint_eq(ctx->snd_wnd, 500);
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx_cookie__mss_is_never_more_than_the_peer_said)
{
	static const uint16_t said[] = {100, 536, 1000, 1239, 1379, 1459, 1460, 9000};
	static const uint16_t want[] = {64, 536, 536, 1220, 1300, 1440, 1460, 1460};

	for (unsigned int i = 0; i < 8; i++) {
		flooded();
		syn(&(struct fake_peer){.mss = said[i]}, FAKE_IRS);
		ck_assert(ack(FAKE_IRS + 1, iss + 1, 0, false, 0));
		ck_assert_uint_eq(ctx->mss, want[i]);
		fake_free(core);
	}
}
END_TEST

START_TEST(tcp_rx_cookie__our_timestamp_never_runs_ahead_nor_far_back)
{
	for (unsigned int i = 0; i < 300; i++) {
		uint32_t now, off;

		flooded();
		core->now_us += i * 1000;
		syn(&peer_full, FAKE_IRS);
		(void)tcp_conn_iss(&(struct tcp_env)TCP_ENV(&core->stack, core, core->now_us),
				&core->tuple, &off);
		now = (uint32_t)(core->now_us / 1000) + off;
		ck_assert_uint_le(now - ts_sent(), 127);
		fake_free(core);
	}
}
END_TEST

START_TEST(tcp_rx_cookie__data_with_the_ack_is_delivered)
{
	flooded();
	syn(&peer_full, FAKE_IRS);
	fake_take(core);
	ck_assert(ack(FAKE_IRS + 1, iss + 1, 100, true, ts_sent()));
	ck_assert_str_eq(fake_take(core), "embryo; accept; place 0+100; readable 100; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx_cookie__a_wrong_number_is_not_ours)
{
	flooded();
	syn(&peer_full, FAKE_IRS);
	fake_take(core);
	ck_assert(!ack(FAKE_IRS + 1, iss + 1 + 4096, 0, true, ts_sent()));
	ck_assert(!ack(FAKE_IRS - 10, iss + 1, 0, true, ts_sent()));
	ck_assert(!ack(FAKE_IRS + 70000, iss + 1, 0, true, ts_sent()));
	ck_assert_str_eq(fake_take(core), "");
	ck_assert_uint_eq(core->stack.stats.cookies_failed, 3);
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx_cookie__another_tuple_s_number_is_not_ours)
{
	flooded();
	syn(&peer_full, FAKE_IRS);
	core->tuple.rport_be++;
	ck_assert(!ack(FAKE_IRS + 1, iss + 1, 0, true, ts_sent()));
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx_cookie__a_blind_ack_has_no_chance)
{
	flooded();
	syn(&peer_full, FAKE_IRS);
	for (uint32_t i = 0; i < 100000; i++)
		(void)ack(FAKE_IRS + 1, iss + 1 + 8 + i * 40503u, 0, true, ts_sent());
	ck_assert_uint_eq(core->stack.stats.cookies_recv, 0);
	ck_assert_uint_gt(core->stack.stats.cookies_failed, 99900);
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx_cookie__good_for_this_period_and_the_next)
{
	flooded();
	core->now_us = 64000000 * 10 + 1;
	syn(&peer_plain, FAKE_IRS);
	core->now_us = 64000000 * 11 + 63000000;
	ck_assert(ack(FAKE_IRS + 1, iss + 1, 0, false, 0));
	fake_free(core);

	flooded();
	core->now_us = 64000000 * 10 + 1;
	syn(&peer_plain, FAKE_IRS);
	core->now_us = 64000000 * 12 + 1;
	core->stack.cookie_until_us = UINT64_MAX; /* others are out */
	ck_assert(!ack(FAKE_IRS + 1, iss + 1, 0, false, 0));
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx_cookie__looked_for_only_while_some_are_out)
{
	flooded();
	ck_assert(!tcp_cookies_are_out(&core->stack, core->now_us));
	ck_assert(!ack(FAKE_IRS + 1, 9, 0, false, 0));
	ck_assert_uint_eq(core->stack.stats.cookies_failed, 0);
	syn(&peer_plain, FAKE_IRS);
	ck_assert(tcp_cookies_are_out(&core->stack, core->now_us + 127999999));
	ck_assert(!tcp_cookies_are_out(&core->stack, core->now_us + 128000000));
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx_cookie__never_twice)
{
	uint32_t ts;

	flooded();
	syn(&peer_full, FAKE_IRS);
	ts = ts_sent();
	ck_assert(ack(FAKE_IRS + 1, iss + 1, 0, true, ts));
	tcp_abort(&core->stack, core, ctx, ETA_STATUS_ABORTED);
	fake_take(core);
	ck_assert(!ack(FAKE_IRS + 1, iss + 1, 0, true, ts));
	ck_assert_str_eq(fake_take(core), "");
	ck_assert_uint_eq(core->stack.stats.cookies_failed, 1);
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx_cookie__an_old_timestamp_is_not_ours)
{
	flooded();
	syn(&peer_full, FAKE_IRS);
	ck_assert(!ack(FAKE_IRS + 1, iss + 1, 0, true, ts_sent() - 200000));
	ck_assert(!ack(FAKE_IRS + 1, iss + 1, 0, true, ts_sent() + 1000));
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx_cookie__no_room_drops_it_and_later_data_finds_it)
{
	flooded();
	syn(&peer_full, FAKE_IRS);
	fake_take(core);
	core->room = TCP_ROOM_NONE;
	ck_assert(ack(FAKE_IRS + 1, iss + 1, 0, true, ts_sent()));
	ck_assert_str_eq(fake_take(core), "");
	ck_assert_uint_eq(core->stack.stats.listen_overflows, 1);
	core->room = TCP_ROOM_FULL;
	core->refuse_embryo = true;
	ck_assert(ack(FAKE_IRS + 1, iss + 1, 0, true, ts_sent()));
	ck_assert_uint_eq(core->stack.stats.listen_overflows, 2);
	core->refuse_embryo = false;
	ck_assert(ack(FAKE_IRS + 1, iss + 1, 10, true, ts_sent()));
	ck_assert_str_eq(fake_take(core), "embryo; accept; place 0+10; readable 10; ");
	fake_free(core);
}
END_TEST

/* The first segment was lost or found no room: those behind it wait for it, nobody resets the peer. */
START_TEST(tcp_rx_cookie__segments_ahead_of_the_first_are_dropped_in_silence)
{
	flooded();
	syn(&peer_full, FAKE_IRS);
	fake_take(core);
	ck_assert(ack(FAKE_IRS + 2, iss + 1, 10, true, ts_sent()));
	ck_assert(ack(FAKE_IRS + 1 + 60000, iss + 1, 10, true, ts_sent()));
	ck_assert_str_eq(fake_take(core), "");
	ck_assert_uint_eq(core->stack.stats.listen_drops, 2);
	ck_assert_uint_eq(core->stack.stats.cookies_failed, 0);
	ck_assert(ack(FAKE_IRS + 1, iss + 1, 1, true, ts_sent()));
	ck_assert_str_eq(fake_take(core), "embryo; accept; place 0+1; readable 1; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx_cookie__a_closing_listener_keeps_nothing)
{
	flooded();
	syn(&peer_full, FAKE_IRS);
	core->refuse_accept = true;
	fake_take(core);
	ck_assert(ack(FAKE_IRS + 1, iss + 1, 0, true, ts_sent()));
	ck_assert_str_eq(fake_take(core), "embryo; no accept; free; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_rx_cookie__syn_and_rst_are_not_looked_at)
{
	struct tcp_seg seg = {.seq = FAKE_IRS + 1, .flags = TCP_ACK | TCP_RST, .segs = 1};

	flooded();
	syn(&peer_plain, FAKE_IRS);
	seg.ack = iss + 1;
	ck_assert(!tcp_rx_cookie(&core->stack, core, master, &seg, &core->tuple, core->now_us));
	seg.flags = TCP_ACK | TCP_SYN;
	ck_assert(!tcp_rx_cookie(&core->stack, core, master, &seg, &core->tuple, core->now_us));
	ck_assert_uint_eq(core->stack.stats.cookies_failed, 0);
	fake_free(core);
}
END_TEST

FACTS("tcp cookie", tcp_cookie_send__keeps_nothing, tcp_cookie_send__off_is_refused,
		tcp_cookie_send__a_source_with_its_share_gets_one,
		tcp_cookie_send__a_full_accept_queue_is_silent,
		tcp_cookie_send__the_same_syn_gets_the_same_number,
		tcp_cookie_fill__an_embryo_after_a_cookie_continues_it,
		tcp_cookie_fill__without_pressure_first_numbers_are_no_cookies,
		tcp_rx_cookie__an_ack_establishes, tcp_rx_cookie__timestamps_remember_the_options,
		tcp_rx_cookie__what_the_syn_did_not_say_is_not_agreed,
		tcp_rx_cookie__without_timestamps_only_the_mss_survives,
		tcp_rx_cookie__mss_is_never_more_than_the_peer_said,
		tcp_rx_cookie__our_timestamp_never_runs_ahead_nor_far_back,
		tcp_rx_cookie__data_with_the_ack_is_delivered,
		tcp_rx_cookie__a_wrong_number_is_not_ours,
		tcp_rx_cookie__another_tuple_s_number_is_not_ours,
		tcp_rx_cookie__a_blind_ack_has_no_chance,
		tcp_rx_cookie__good_for_this_period_and_the_next,
		tcp_rx_cookie__looked_for_only_while_some_are_out, tcp_rx_cookie__never_twice,
		tcp_rx_cookie__an_old_timestamp_is_not_ours,
		tcp_rx_cookie__no_room_drops_it_and_later_data_finds_it,
		tcp_rx_cookie__segments_ahead_of_the_first_are_dropped_in_silence,
		tcp_rx_cookie__a_closing_listener_keeps_nothing,
		tcp_rx_cookie__syn_and_rst_are_not_looked_at)
