/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "test/unit/tcp/facts.h"
#include "test/unit/tcp/fake_up.h"

static struct core *core;
static struct tcp_ctx *master, *ctx;
static uint8_t cookie[16];
static uint8_t cookie_len;

static void begin(uint16_t qlen)
{
	struct tcp_conf conf;

	tcp_conf_default(&conf);
	conf.timestamps = false;
	conf.fastopen = TCP_FASTOPEN_CLIENT | TCP_FASTOPEN_SERVER;
	conf.fastopen_key[0] = 3;
	core = fake_new(&conf);
	master = fake_ctx(core);
	tcp_listen(&core->stack, master, &(struct tcp_param){.fastopen_qlen = qlen});
	cookie_len = 0;
}

/* The option in the last segment sent. Return: false = none; else cookie[] has it. */
static bool has_cookie(void)
{
	const struct tcp_txseg *seg = fake_last(core);

	for (uint32_t i = 0; i < seg->opt_len && seg->opt[i] != 0;) {
		if (seg->opt[i] == 1) {
			i++;
			continue;
		}
		if (seg->opt[i] == 34) {
			cookie_len = (uint8_t)(seg->opt[i + 1] - 2);
			memcpy(cookie, &seg->opt[i + 2], cookie_len);
			return true;
		}
		i += seg->opt[i + 1];
	}
	return false;
}

/* With MSS and, if @has_opt, a fast open option of what cookie[] holds. */
static void rx(struct tcp_ctx *to, uint8_t flags, uint32_t ack, uint32_t len, bool has_opt)
{
	uint8_t opt[40] = {2, 4, 5, 180};
	uint8_t n = 4;

	if (has_opt) {
		opt[n++] = 34;
		opt[n++] = (uint8_t)(2 + cookie_len);
		memcpy(opt + n, cookie, cookie_len);
		n = (uint8_t)(n + cookie_len);
		while (n % 4)
			opt[n++] = 1;
	}
	fake_rx_seg(core, to,
			(struct tcp_seg){.seq = FAKE_IRS,
					.ack = ack,
					.flags = flags,
					.wnd = 5000,
					.len = len,
					.opt = opt,
					.opt_len = n});
	ctx = &core->ctx[core->last_embryo];
}

/* Ask for a cookie, forget the embryo. */
static void learn_cookie(void)
{
	rx(master, TCP_SYN, 0, 0, true);
	ck_assert(has_cookie());
	tcp_abort(&core->stack, core, ctx, ETA_STATUS_ABORTED);
	fake_take(core);
}

static void opened(void)
{
	begin(2);
	learn_cookie();
	rx(master, TCP_SYN, 0, 100, true);
}

/* ---- server ---- */

START_TEST(tcp_tfo_syn__a_request_is_answered_by_a_cookie)
{
	begin(1);
	rx(master, TCP_SYN, 0, 100, true);
	ck_assert_str_eq(fake_take(core), "embryo; SA 0+0 1; ");
	ck_assert(has_cookie());
	ck_assert_uint_eq(cookie_len, 8);
	ck_assert_uint_eq(core->stack.stats.fastopen_cookie_reqd, 1);
	/* repeated with the SYN-ACK */
	fake_run(core, 1100);
	ck_assert(has_cookie());
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_syn__a_cookie_is_of_one_host)
{
	uint8_t first[16];

	begin(1);
	learn_cookie();
	memcpy(first, cookie, 8);
	cookie_len = 0;
	core->tuple.rport_be++;
	learn_cookie();
	ck_assert_mem_eq(first, cookie, 8);
	cookie_len = 0;
	core->tuple.raddr.b[15]++;
	learn_cookie();
	ck_assert_mem_ne(first, cookie, 8);
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_syn__data_is_delivered_and_acknowledged_at_once)
{
	opened();
	ck_assert_str_eq(
			fake_take(core), "embryo; accept; place 0+100; readable 100; SA 0+0 101; ");
	ck_assert(!has_cookie());
	ck_assert_uint_eq(ctx->state, TCP_STATE_SYN_RECEIVED);
	ck_assert_uint_eq(core->stack.stats.fastopen_passive, 1);
	ck_assert_uint_eq(core->stack.stats.passive_opens, 1);
	ck_assert_uint_eq(master->fastopen_n, 1);
	fake_rx(core, ctx, TCP_ACK, 101, 1, 0);
	ck_assert_str_eq(fake_take(core), ""); /* accepted once */
	ck_assert_uint_eq(ctx->state, TCP_STATE_ESTABLISHED);
	ck_assert_uint_eq(master->fastopen_n, 0);
	fake_rx(core, ctx, TCP_ACK, 101, 1, 10);
	ck_assert_str_eq(fake_take(core), "place 100+10; readable 110; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_syn__the_answer_leaves_before_the_handshake_is_complete)
{
	opened();
	fake_take(core);
	fake_write(core, ctx, 50);
	ck_assert_str_eq(fake_take(core), "PA 1+50 101; ");
	fake_rx(core, ctx, TCP_ACK, 101, 51, 0);
	ck_assert_str_eq(fake_take(core), "acked 50; ");
	ck_assert_uint_eq(ctx->state, TCP_STATE_ESTABLISHED);
	ck_assert_uint_eq(ctx->snd_una, ctx->snd_nxt);
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_syn__a_lost_answer_is_sent_again)
{
	opened();
	fake_write(core, ctx, 50);
	fake_rx(core, ctx, TCP_ACK, 101, 1, 0);
	fake_take(core);
	ck_assert_uint_eq(ctx->state, TCP_STATE_ESTABLISHED);
	fake_run(core, 5000);
	ck_assert_ptr_nonnull(strstr(fake_take(core), "rtx PA 1+50 101; "));
	fake_free(core);
}
END_TEST

/* The ACK of our SYN says nothing of how long the bytes that left after it take. */
START_TEST(tcp_conn_established__does_not_time_the_answer_by_the_ack_of_the_syn)
{
	opened();
	core->now_us += 5000;
	fake_write(core, ctx, 50);
	core->now_us += 1000;
	fake_rx(core, ctx, TCP_ACK, 101, 1, 0);
	ck_assert_uint_eq(ctx->srtt_us, 0);
	core->now_us += 6000;
	fake_rx(core, ctx, TCP_ACK, 101, 51, 0);
	ck_assert_uint_eq(ctx->srtt_us, 7000);
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_syn__read_and_closed_before_the_handshake_is_complete)
{
	opened();
	fake_take(core);
	tcp_read(&core->stack, core, ctx, 100, core->now_us);
	fake_write(core, ctx, 50);
	tcp_close(&core->stack, core, ctx, core->now_us);
	ck_assert_str_eq(fake_take(core), "PA 1+50 101; FA 51+0 101; ");
	fake_rx(core, ctx, TCP_ACK, 101, 52, 0);
	ck_assert_str_eq(fake_take(core), "acked 50; ");
	ck_assert_uint_eq(ctx->state, TCP_STATE_FIN_WAIT_2);
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_syn__closed_unread_is_reset)
{
	opened();
	fake_take(core);
	tcp_close(&core->stack, core, ctx, core->now_us);
	ck_assert_str_eq(fake_take(core), "RA 1+0 101; closed OK; free; ");
	ck_assert_uint_eq(master->fastopen_n, 0);
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_syn__a_wrong_cookie_makes_an_ordinary_embryo_and_a_new_cookie)
{
	begin(1);
	memset(cookie, 1, 8);
	cookie_len = 8;
	rx(master, TCP_SYN, 0, 100, true);
	ck_assert_str_eq(fake_take(core), "embryo; SA 0+0 1; ");
	ck_assert(has_cookie());
	ck_assert_uint_eq(cookie_len, 8);
	ck_assert_uint_eq(core->stack.stats.fastopen_passive_fail, 1);
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_syn__no_more_than_qlen_are_pending)
{
	opened();
	core->tuple.rport_be++;
	rx(master, TCP_SYN, 0, 100, true);
	core->tuple.rport_be++;
	fake_take(core);
	rx(master, TCP_SYN, 0, 100, true);
	ck_assert_str_eq(fake_take(core), "embryo; SA 0+0 1; ");
	ck_assert_uint_eq(core->stack.stats.fastopen_overflow, 1);
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_syn__a_reset_is_told_and_makes_room)
{
	opened();
	fake_take(core);
	ck_assert_int_eq(fake_rx(core, ctx, TCP_RST, 101, 0, 0), TCP_RX_FREED);
	ck_assert_str_eq(fake_take(core), "closed RESET; free; ");
	ck_assert_uint_eq(master->fastopen_n, 0);
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_syn__a_peer_that_stays_silent_is_given_up)
{
	opened();
	fake_take(core);
	fake_run(core, 100000);
	ck_assert_ptr_nonnull(strstr(fake_take(core), "SA 0+0 101; closed TIMED_OUT; free; "));
	ck_assert_uint_eq(master->fastopen_n, 0);
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_syn__off_means_not_at_all)
{
	begin(0);
	rx(master, TCP_SYN, 0, 0, true);
	ck_assert(!has_cookie());
	fake_free(core);
	begin(1);
	core->stack.conf.fastopen = TCP_FASTOPEN_CLIENT;
	rx(master, TCP_SYN, 0, 0, true);
	ck_assert(!has_cookie());
	fake_free(core);
}
END_TEST

/* In the experimental form: a SYN with @n bytes of cookie[]. */
static void rx_exp(uint8_t n, uint32_t len)
{
	uint8_t opt[40] = {2, 4, 5, 180, 254, (uint8_t)(4 + n), 0xf9, 0x89};

	memcpy(opt + 8, cookie, n);
	fake_rx_seg(core, master,
			(struct tcp_seg){.seq = FAKE_IRS,
					.flags = TCP_SYN,
					.wnd = 5000,
					.len = len,
					.opt = opt,
					.opt_len = (uint8_t)(8 + n)});
	ctx = &core->ctx[core->last_embryo];
}

START_TEST(tcp_tfo_syn__cookies_are_those_of_linux)
{
	/* of packetdrill's collection, which has it from Linux */
	const uint8_t linux_cookie[8] = {0x30, 0x21, 0xb9, 0xd8, 0x89, 0x01, 0x7e, 0xeb};

	begin(1);
	core->stack.conf.fastopen_key[0] = 0xb2b2b2b2a1a1a1a1ull;
	core->stack.conf.fastopen_key[1] = 0xd4d4d4d4c3c3c3c3ull;
	core->tuple.laddr = ip_addr_from_v4(0x0100a8c0); /* 192.168.0.1 */
	core->tuple.raddr = ip_addr_from_v4(0x010200c0); /* 192.0.2.1 */
	rx(master, TCP_SYN, 0, 0, true);
	ck_assert(has_cookie());
	ck_assert_mem_eq(cookie, linux_cookie, 8);
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_syn__an_experimental_request_is_answered_in_its_form)
{
	const struct tcp_txseg *seg;

	begin(1);
	rx(master, TCP_SYN, 0, 0, true);
	ck_assert(has_cookie());
	tcp_abort(&core->stack, core, ctx, ETA_STATUS_ABORTED);
	rx_exp(0, 0);
	seg = fake_last(core);
	ck_assert_uint_eq(seg->opt_len, 16);
	ck_assert_mem_eq(seg->opt + 4, "\xfe\x0c\xf9\x89", 4);
	ck_assert_mem_eq(seg->opt + 8, cookie, 8);
	tcp_abort(&core->stack, core, ctx, ETA_STATUS_ABORTED);
	fake_take(core);
	rx_exp(8, 100);
	ck_assert_str_eq(
			fake_take(core), "embryo; accept; place 0+100; readable 100; SA 0+0 101; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_syn__a_cookie_without_data_opens_for_writing)
{
	begin(1);
	learn_cookie();
	rx(master, TCP_SYN, 0, 0, true);
	ck_assert_str_eq(fake_take(core), "embryo; accept; SA 0+0 1; ");
	fake_write(core, ctx, 50);
	ck_assert_str_eq(fake_take(core), "PA 1+50 1; ");
	ck_assert_uint_eq(ctx->flags2 & TCP_CTX2_SYN_DATA, 0);
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_syn__without_cookies_data_is_enough)
{
	begin(1);
	rx(master, TCP_SYN, 0, 100, false);
	ck_assert_str_eq(fake_take(core), "embryo; SA 0+0 1; ");
	core->stack.conf.fastopen |= TCP_FASTOPEN_COOKIELESS;
	core->tuple.rport_be++;
	rx(master, TCP_SYN, 0, 0, false);
	ck_assert_str_eq(fake_take(core), "embryo; SA 0+0 1; ");
	core->tuple.rport_be++;
	rx(master, TCP_SYN, 0, 100, false);
	ck_assert_str_eq(
			fake_take(core), "embryo; accept; place 0+100; readable 100; SA 0+0 101; ");
	ck_assert_uint_ne(ctx->flags2 & TCP_CTX2_SYN_DATA, 0);
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_syn__no_child_for_it_means_ask_again)
{
	begin(1);
	learn_cookie();
	core->refuse_accept = true;
	rx(master, TCP_SYN, 0, 100, true);
	ck_assert(has_cookie());
	ck_assert_uint_eq(master->fastopen_n, 0);
	fake_free(core);
}
END_TEST

/* ---- client ---- */

static void connect_tfo(void)
{
	ctx = fake_ctx(core);
	tcp_connect(&core->stack, core, ctx, &core->tuple, &(struct tcp_param){.fastopen = true},
			core->now_us);
}

/* A first connection, which learns a cookie of 6 bytes. */
static void knows_cookie(void)
{
	struct tcp_ctx *first;

	begin(0);
	connect_tfo();
	first = ctx;
	ck_assert_str_eq(fake_take(core), "S 0+0 0; ");
	ck_assert(has_cookie());
	ck_assert_uint_eq(cookie_len, 0);
	memcpy(cookie, "abcdef", 6);
	cookie_len = 6;
	rx(first, TCP_SYN | TCP_ACK, first->iss + 1, 0, true);
	ck_assert_uint_eq(first->state, TCP_STATE_ESTABLISHED);
	ck_assert_uint_eq(first->fastopen_fail, TCP_FASTOPEN_FAIL_NO_COOKIE);
	tcp_abort(&core->stack, core, first, ETA_STATUS_ABORTED);
	fake_take(core);
}

START_TEST(tcp_tfo_connect__the_syn_waits_for_data_and_takes_it_along)
{
	knows_cookie();
	connect_tfo();
	ck_assert_str_eq(fake_take(core), "");
	fake_write(core, ctx, 100);
	ck_assert_str_eq(fake_take(core), "S 0+100 0; ");
	ck_assert(has_cookie());
	ck_assert_uint_eq(cookie_len, 6);
	ck_assert_mem_eq(cookie, "abcdef", 6);
	rx(ctx, TCP_SYN | TCP_ACK, ctx->iss + 101, 0, false);
	ck_assert_str_eq(fake_take(core), "connected; acked 100; ");
	ck_assert_uint_eq(core->stack.stats.fastopen_active, 1);
	ck_assert_uint_eq(ctx->fastopen_fail, TCP_FASTOPEN_FAIL_NONE);
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_connect__no_more_than_a_segment_rides)
{
	struct tcp_ctx *c;

	knows_cookie();
	connect_tfo();
	c = ctx;
	fake_write(core, c, 5000);
	ck_assert_str_eq(fake_take(core), "S 0+1440 0; "); /* 1460 less 20 of options */
	rx(c, TCP_SYN | TCP_ACK, c->iss + 1441, 0, false);
	ck_assert_str_eq(fake_take(core), "connected; acked 1440; ");
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "A 1441+1460 1; A 2901+1460 1; PA 4361+640 1; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_syn_ack__what_was_not_taken_leaves_again)
{
	struct tcp_ctx *c;

	knows_cookie();
	connect_tfo();
	c = ctx;
	fake_write(core, c, 100);
	fake_take(core);
	rx(c, TCP_SYN | TCP_ACK, c->iss + 1, 0, false);
	ck_assert_str_eq(fake_take(core), "connected; ");
	fake_flush(core);
	ck_assert_str_eq(fake_take(core), "PA 1+100 1; ");
	ck_assert_uint_eq(core->stack.stats.fastopen_active_fail, 1);
	ck_assert_uint_eq(c->fastopen_fail, TCP_FASTOPEN_FAIL_NOT_ACKED);
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_syn_ack__more_than_was_sent_is_reset)
{
	struct tcp_ctx *c;

	knows_cookie();
	connect_tfo();
	c = ctx;
	fake_write(core, c, 100);
	fake_take(core);
	rx(c, TCP_SYN | TCP_ACK, c->iss + 102, 0, false);
	ck_assert_str_eq(fake_take(core), "R 102+0 0; ");
	rx(c, TCP_SYN | TCP_ACK, c->iss, 0, false);
	ck_assert_str_eq(fake_take(core), "R 0+0 0; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_connect__without_a_write_the_syn_leaves_soon)
{
	knows_cookie();
	connect_tfo();
	fake_run(core, 3);
	ck_assert_str_eq(fake_take(core), "S 0+0 0; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_syn_data__a_lost_syn_is_repeated_plainly_and_remembered)
{
	struct tcp_ctx *c;

	knows_cookie();
	connect_tfo();
	c = ctx;
	fake_write(core, c, 100);
	fake_take(core);
	fake_run(core, 1100);
	ck_assert_str_eq(fake_take(core), "S 0+0 0; ");
	ck_assert(!has_cookie());
	ck_assert_uint_eq(core->stack.stats.fastopen_active_fail, 1);
	ck_assert_uint_eq(c->fastopen_fail, TCP_FASTOPEN_FAIL_SYN_RTX);
	/* late, the answer to the first */
	rx(c, TCP_SYN | TCP_ACK, c->iss + 101, 0, false);
	ck_assert_str_eq(fake_take(core), "connected; acked 100; ");
	core->tuple.lport_be++;
	connect_tfo();
	ck_assert_str_eq(fake_take(core), "S 0+0 0; ");
	ck_assert(!has_cookie());
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_connect__another_destination_has_its_own_cookie)
{
	knows_cookie();
	core->tuple.raddr.b[15]++;
	connect_tfo();
	ck_assert_str_eq(fake_take(core), "S 0+0 0; ");
	ck_assert(has_cookie());
	ck_assert_uint_eq(cookie_len, 0);
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_connect__only_where_it_is_asked_for)
{
	knows_cookie();
	ctx = fake_ctx(core);
	tcp_connect(&core->stack, core, ctx, &core->tuple, NULL, core->now_us);
	ck_assert_str_eq(fake_take(core), "S 0+0 0; ");
	ck_assert(!has_cookie());
	core->stack.conf.fastopen = TCP_FASTOPEN_SERVER;
	connect_tfo();
	ck_assert_str_eq(fake_take(core), "S 0+0 0; ");
	ck_assert(!has_cookie());
	fake_free(core);
}
END_TEST

static uint16_t syn_bytes(struct tcp_param p)
{
	return tcp_fastopen_bytes(&core->stack, core, &core->tuple, &p, core->now_us);
}

START_TEST(tcp_fastopen_bytes__what_the_syn_would_take)
{
	begin(0);
	ck_assert_uint_eq(syn_bytes((struct tcp_param){0}), 0);
	ck_assert_uint_eq(syn_bytes((struct tcp_param){.fastopen_no_cookie = true}), 536 - 40);
	fake_free(core);
	knows_cookie();
	ck_assert_uint_eq(syn_bytes((struct tcp_param){0}), 1460 - 40);
	ck_assert_uint_eq(syn_bytes((struct tcp_param){.maxseg = 500}), 500 - 40);
	core->mss = 1000;
	ck_assert_uint_eq(syn_bytes((struct tcp_param){0}), 1000 - 40);
	core->tuple.raddr.b[15]++;
	ck_assert_uint_eq(syn_bytes((struct tcp_param){0}), 0);
	core->tuple.raddr.b[15]--;
	core->stack.conf.fastopen = TCP_FASTOPEN_SERVER;
	ck_assert_uint_eq(syn_bytes((struct tcp_param){0}), 0);
	fake_free(core);
}
END_TEST

static void connect_waiting(void)
{
	ctx = fake_ctx(core);
	tcp_connect(&core->stack, core, ctx, &core->tuple,
			&(struct tcp_param){.fastopen = true, .fastopen_wait = true}, core->now_us);
}

START_TEST(tcp_tfo_connect__the_syn_waits_as_long_as_the_user_wants)
{
	struct tcp_ctx *c;

	knows_cookie();
	connect_waiting();
	c = ctx;
	fake_run(core, 5000);
	ck_assert_str_eq(fake_take(core), "");
	fake_check(core);
	/* other parameters do not let it go */
	tcp_param(&core->stack, core, ctx, &(struct tcp_param){.fastopen = true, .nodelay = true},
			core->now_us);
	ck_assert_str_eq(fake_take(core), "");
	fake_write(core, ctx, 100);
	ck_assert_str_eq(fake_take(core), "S 0+100 0; ");
	ck_assert(has_cookie());
	rx(c, TCP_SYN | TCP_ACK, c->iss + 101, 0, false);
	ck_assert(c->flags2 & TCP_CTX2_SYN_DATA);
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_connect__or_until_he_wants_no_more)
{
	knows_cookie();
	connect_waiting();
	tcp_param(&core->stack, core, ctx, &(struct tcp_param){0}, core->now_us);
	ck_assert_str_eq(fake_take(core), "S 0+0 0; ");
	ck_assert(has_cookie());
	ck_assert_uint_eq(cookie_len, 6);
	fake_check(core);
	fake_free(core);
	knows_cookie();
	connect_waiting();
	tcp_close(&core->stack, core, ctx, core->now_us);
	ck_assert_str_eq(fake_take(core), "closed OK; free; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_tfo_connect__without_cookie_where_the_user_says_so)
{
	/* or the machine does */
	for (uint8_t all = 0; all <= 1; all++) {
		begin(0);
		core->stack.conf.fastopen |= all ? TCP_FASTOPEN_CLIENT_COOKIELESS : 0;
		ctx = fake_ctx(core);
		tcp_connect(&core->stack, core, ctx, &core->tuple,
				&(struct tcp_param){.fastopen = true, .fastopen_no_cookie = !all},
				core->now_us);
		ck_assert_str_eq(fake_take(core), "");
		fake_write(core, ctx, 100);
		ck_assert_str_eq(fake_take(core), "S 0+100 0; ");
		ck_assert(!has_cookie());
		ck_assert_uint_eq(syn_bytes((struct tcp_param){.fastopen_no_cookie = !all}),
				536 - 40);
		rx(ctx, TCP_SYN | TCP_ACK, ctx->iss + 101, 0, false);
		ck_assert_str_eq(fake_take(core), "connected; acked 100; ");
		fake_free(core);
	}
}
END_TEST

START_TEST(tcp_tfo_syn__without_cookie_where_the_listener_says_so)
{
	begin(1);
	/* not before it says so */
	fake_rx(core, master, TCP_SYN, 0, 0, 50);
	ck_assert_str_eq(fake_take(core), "embryo; SA 0+0 1; ");
	fake_free(core);
	begin(1);
	tcp_listen(&core->stack, master,
			&(struct tcp_param){.fastopen_qlen = 1, .fastopen_no_cookie = true});
	fake_rx(core, master, TCP_SYN, 0, 0, 50);
	ck_assert_ptr_nonnull(strstr(fake_take(core), "readable 50; "));
	ck_assert_uint_eq(core->stack.stats.fastopen_passive, 1);
	/* the queue is as long as it is */
	core->tuple.rport_be++;
	fake_rx(core, master, TCP_SYN, 0, 0, 50);
	ck_assert_ptr_null(strstr(fake_take(core), "readable"));
	ck_assert_uint_eq(core->stack.stats.fastopen_overflow, 1);
	fake_free(core);
}
END_TEST

FACTS("tcp tfo", tcp_fastopen_bytes__what_the_syn_would_take,
		tcp_tfo_connect__the_syn_waits_as_long_as_the_user_wants,
		tcp_tfo_connect__or_until_he_wants_no_more,
		tcp_tfo_connect__without_cookie_where_the_user_says_so,
		tcp_tfo_syn__without_cookie_where_the_listener_says_so,
		tcp_tfo_syn__a_request_is_answered_by_a_cookie,
		tcp_tfo_syn__a_cookie_is_of_one_host,
		tcp_tfo_syn__data_is_delivered_and_acknowledged_at_once,
		tcp_tfo_syn__the_answer_leaves_before_the_handshake_is_complete,
		tcp_tfo_syn__a_lost_answer_is_sent_again,
		tcp_conn_established__does_not_time_the_answer_by_the_ack_of_the_syn,
		tcp_tfo_syn__read_and_closed_before_the_handshake_is_complete,
		tcp_tfo_syn__closed_unread_is_reset,
		tcp_tfo_syn__a_wrong_cookie_makes_an_ordinary_embryo_and_a_new_cookie,
		tcp_tfo_syn__no_more_than_qlen_are_pending,
		tcp_tfo_syn__a_reset_is_told_and_makes_room,
		tcp_tfo_syn__a_peer_that_stays_silent_is_given_up,
		tcp_tfo_syn__cookies_are_those_of_linux,
		tcp_tfo_syn__an_experimental_request_is_answered_in_its_form,
		tcp_tfo_syn__a_cookie_without_data_opens_for_writing,
		tcp_tfo_syn__without_cookies_data_is_enough,
		tcp_tfo_syn__no_child_for_it_means_ask_again, tcp_tfo_syn__off_means_not_at_all,
		tcp_tfo_connect__the_syn_waits_for_data_and_takes_it_along,
		tcp_tfo_connect__no_more_than_a_segment_rides,
		tcp_tfo_syn_ack__what_was_not_taken_leaves_again,
		tcp_tfo_syn_ack__more_than_was_sent_is_reset,
		tcp_tfo_connect__without_a_write_the_syn_leaves_soon,
		tcp_tfo_syn_data__a_lost_syn_is_repeated_plainly_and_remembered,
		tcp_tfo_connect__another_destination_has_its_own_cookie,
		tcp_tfo_connect__only_where_it_is_asked_for)
