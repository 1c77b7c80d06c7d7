/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/unit/tcp/facts.h"
#include "test/unit/tcp/fake_up.h"

static struct core *core;
static struct tcp_ctx *master, *ctx;

static void listen_new(void)
{
	core = fake_new(NULL);
	master = fake_listener(core);
}

static enum tcp_verdict syn_with(struct tcp_ctx *to, uint8_t flags, uint32_t seq,
		const struct fake_peer *peer, uint32_t tsval)
{
	uint8_t opt[40];
	uint8_t opt_len = fake_syn_opts(peer, tsval, 0, opt);

	return fake_rx_seg(core, to,
			(struct tcp_seg){.seq = seq,
					.flags = flags,
					.wnd = 1000,
					.opt = opt,
					.opt_len = opt_len});
}

static void embryo(void)
{
	listen_new();
	syn_with(master, TCP_SYN, FAKE_IRS,
			&(struct fake_peer){.sack = true, .wscale = true, .mss = 1400}, 0);
	ctx = &core->ctx[core->last_embryo];
}

START_TEST(tcp_listen_rx__syn_makes_an_embryo)
{
	embryo();
	ck_assert_str_eq(fake_take(core), "embryo; SA 0+0 1; ");
	ck_assert_uint_eq(ctx->state, TCP_STATE_SYN_RECEIVED);
	ck_assert_uint_eq(ctx->mss, 1400);
	ck_assert_uint_eq(ctx->snd_wscale, 7);
	ck_assert_uint_eq(ctx->snd_wnd, 1000);
	fake_free(core);
}
END_TEST

START_TEST(tcp_listen_rx__ack_is_reset)
{
	listen_new();
	fake_rx_seg(core, master, (struct tcp_seg){.seq = 9, .ack = 77, .flags = TCP_ACK});
	ck_assert_str_eq(fake_take(core), "R 77+0 0; ");
	ck_assert(core->sent[0].has_tuple);
	fake_free(core);
}
END_TEST

START_TEST(tcp_listen_rx__rst_is_ignored)
{
	listen_new();
	fake_rx_seg(core, master,
			(struct tcp_seg){.seq = 9, .ack = 77, .flags = TCP_RST | TCP_ACK});
	ck_assert_str_eq(fake_take(core), "");
	fake_free(core);
}
END_TEST

START_TEST(tcp_listen_rx__syn_fin_is_dropped)
{
	listen_new();
	syn_with(master, TCP_SYN | TCP_FIN, 1, &(struct fake_peer){0}, 0);
	ck_assert_str_eq(fake_take(core), "");
	ck_assert_uint_eq(core->stack.stats.listen_drops, 1);
	fake_free(core);
}
END_TEST

START_TEST(tcp_listen_rx__no_context_is_refused)
{
	listen_new();
	core->refuse_embryo = true;
	ck_assert_int_eq(syn_with(master, TCP_SYN, 1, &(struct fake_peer){0}, 0), TCP_RX_REFUSED);
	ck_assert_str_eq(fake_take(core), "");
	ck_assert_uint_eq(core->stack.stats.listen_overflows, 1);
	fake_free(core);
}
END_TEST

START_TEST(tcp_listen_rx__no_mss_option_means_536)
{
	listen_new();
	syn_with(master, TCP_SYN, 1, &(struct fake_peer){0}, 0);
	ck_assert_uint_eq(core->ctx[core->last_embryo].mss, 536);
	fake_free(core);
}
END_TEST

START_TEST(tcp_listen_rx__children_inherit_parameters)
{
	core = fake_new(NULL);
	master = fake_ctx(core);
	tcp_listen(&core->stack, master,
			&(struct tcp_param){.nodelay = true,
					.keepalive = true,
					.keep_idle_ms = 5000,
					.user_timeout_ms = 7000,
					.cc = TCP_CC_NEWRENO,
					.maxseg = 900});
	syn_with(master, TCP_SYN, 1, &(struct fake_peer){.mss = 1460}, 0);
	ctx = &core->ctx[core->last_embryo];
	ck_assert(ctx->flags & TCP_CTX_NODELAY);
	ck_assert(ctx->flags & TCP_CTX_KEEPALIVE);
	ck_assert_uint_eq(ctx->keep_idle_ms, 5000);
	ck_assert_uint_eq(ctx->user_timeout_ms, 7000);
	ck_assert_uint_eq(ctx->mss, 900);
	fake_rx(core, ctx, TCP_ACK, 1, 1, 0);
	ck_assert_uint_eq(ctx->cc, TCP_CC_NEWRENO);
	fake_free(core);
}
END_TEST

START_TEST(syn_received__ack_accepts)
{
	embryo();
	fake_take(core);
	ck_assert_int_eq(fake_rx(core, ctx, TCP_ACK, 1, 1, 0), TCP_RX_OK);
	ck_assert_str_eq(fake_take(core), "accept; ");
	ck_assert_uint_eq(ctx->state, TCP_STATE_ESTABLISHED);
	ck_assert_uint_eq(core->stack.stats.passive_opens, 1);
	ck_assert_uint_eq(core->stack.stats.curr_estab, 1);
	fake_free(core);
}
END_TEST

START_TEST(syn_received__ack_with_data_delivers_after_accept)
{
	embryo();
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK | TCP_PSH, 1, 1, 100);
	ck_assert_str_eq(fake_take(core), "accept; place 0+100; readable 100; ");
	fake_free(core);
}
END_TEST

START_TEST(syn_received__no_child_keeps_the_embryo)
{
	embryo();
	core->refuse_accept = true;
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK | TCP_PSH, 1, 1, 100);
	ck_assert_str_eq(fake_take(core), "no accept; ");
	ck_assert_uint_eq(ctx->state, TCP_STATE_SYN_RECEIVED);
	core->refuse_accept = false;
	fake_rx(core, ctx, TCP_ACK | TCP_PSH, 1, 1, 100);
	ck_assert_str_eq(fake_take(core), "accept; place 0+100; readable 100; ");
	fake_free(core);
}
END_TEST

START_TEST(syn_received__wrong_ack_is_reset)
{
	embryo();
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK, 1, 2, 0);
	ck_assert_str_eq(fake_take(core), "R 2+0 0; ");
	ck_assert_uint_eq(ctx->state, TCP_STATE_SYN_RECEIVED);
	fake_rx(core, ctx, TCP_ACK, 1, 0, 0);
	ck_assert_str_eq(fake_take(core), "R 0+0 0; ");
	fake_free(core);
}
END_TEST

START_TEST(syn_received__rst_frees_the_embryo_without_telling)
{
	embryo();
	fake_take(core);
	ck_assert_int_eq(fake_rx(core, ctx, TCP_RST, 1, 0, 0), TCP_RX_FREED);
	ck_assert_str_eq(fake_take(core), "free; ");
	fake_free(core);
}
END_TEST

START_TEST(syn_received__repeated_syn_repeats_the_syn_ack)
{
	embryo();
	fake_take(core);
	syn_with(ctx, TCP_SYN, FAKE_IRS, &(struct fake_peer){.mss = 1400}, 0);
	ck_assert_str_eq(fake_take(core), "SA 0+0 1; ");
	fake_free(core);
}
END_TEST

START_TEST(syn_received__syn_ack_is_sent_again_and_given_up)
{
	embryo();
	fake_take(core);
	fake_run(core, 1005);
	ck_assert_str_eq(fake_take(core), "SA 0+0 1; ");
	fake_run(core, 100000);
	ck_assert_str_eq(fake_take(core), "SA 0+0 1; SA 0+0 1; SA 0+0 1; SA 0+0 1; free; ");
	fake_free(core);
}
END_TEST

START_TEST(syn_received__data_on_the_syn_is_not_taken_nor_acknowledged)
{
	listen_new();
	fake_rx_seg(core, master, (struct tcp_seg){.seq = FAKE_IRS, .flags = TCP_SYN, .len = 100});
	ck_assert_str_eq(fake_take(core), "embryo; SA 0+0 1; ");
	ctx = &core->ctx[core->last_embryo];
	fake_rx(core, ctx, TCP_ACK | TCP_PSH, 1, 1, 100);
	ck_assert_str_eq(fake_take(core), "accept; place 0+100; readable 100; ");
	fake_free(core);
}
END_TEST

START_TEST(syn_received__fin_with_the_ack_closes_after_accept)
{
	embryo();
	fake_take(core);
	fake_rx(core, ctx, TCP_ACK | TCP_FIN, 1, 1, 0);
	ck_assert_str_eq(fake_take(core), "accept; readable 0 fin; ");
	ck_assert_uint_eq(ctx->state, TCP_STATE_CLOSE_WAIT);
	fake_free(core);
}
END_TEST

START_TEST(syn_received__fin_without_ack_is_dropped)
{
	embryo();
	fake_take(core);
	fake_rx(core, ctx, TCP_FIN, 1, 0, 0);
	ck_assert_str_eq(fake_take(core), "");
	ck_assert_uint_eq(ctx->state, TCP_STATE_SYN_RECEIVED);
	ck_assert_uint_eq(core->stack.stats.no_ack_flag, 1);
	fake_free(core);
}
END_TEST

static void listen_param(const struct tcp_param *param)
{
	core = fake_new(NULL);
	master = fake_ctx(core);
	tcp_listen(&core->stack, master, param);
	syn_with(master, TCP_SYN, FAKE_IRS, &(struct fake_peer){.mss = 1400}, 0);
	ctx = &core->ctx[core->last_embryo];
	fake_take(core);
}

START_TEST(syn_received__syncnt_limits_the_syn_acks)
{
	listen_param(&(struct tcp_param){.syn_retries = 2});
	fake_run(core, 100000);
	ck_assert_str_eq(fake_take(core), "SA 0+0 1; SA 0+0 1; free; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_embryo_defer__accepts_when_data_comes)
{
	listen_param(&(struct tcp_param){.defer_accept_s = 5});
	fake_rx(core, ctx, TCP_ACK, 1, 1, 0);
	fake_run(core, 4000);
	ck_assert_str_eq(fake_take(core), ""); /* nor is the SYN-ACK sent again */
	ck_assert_uint_eq(ctx->state, TCP_STATE_SYN_RECEIVED);
	ck_assert_uint_eq(core->stack.stats.defer_accept, 1);
	fake_rx(core, ctx, TCP_ACK | TCP_PSH, 1, 1, 10);
	ck_assert_str_eq(fake_take(core), "accept; place 0+10; readable 10; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_embryo_defer__a_fin_is_data_enough)
{
	listen_param(&(struct tcp_param){.defer_accept_s = 5});
	fake_rx(core, ctx, TCP_ACK | TCP_FIN, 1, 1, 0);
	ck_assert_str_eq(fake_take(core), "accept; readable 0 fin; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_embryo_defer__at_the_end_of_the_time_any_ack_will_do)
{
	listen_param(&(struct tcp_param){.defer_accept_s = 5});
	fake_rx(core, ctx, TCP_ACK, 1, 1, 0);
	fake_take(core);
	fake_run(core, 5010);
	ck_assert_str_eq(fake_take(core), "SA 0+0 1; ");
	fake_rx(core, ctx, TCP_ACK, 1, 1, 0);
	ck_assert_str_eq(fake_take(core), "accept; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_embryo_defer__a_peer_that_never_acks_is_asked_as_usual)
{
	listen_param(&(struct tcp_param){.defer_accept_s = 5});
	fake_run(core, 3500);
	ck_assert_str_eq(fake_take(core), "SA 0+0 1; SA 0+0 1; ");
	fake_free(core);
}
END_TEST

/* ---- TIME-WAIT ---- */

static void time_wait(const struct fake_peer *peer)
{
	struct tcp_conf conf;

	tcp_conf_default(&conf);
	conf.timestamps = peer && peer->timestamps;
	core = fake_new(&conf);
	ctx = fake_connected(core, peer);
	tcp_shut_wr(&core->stack, core, ctx, core->now_us);
	if (peer && peer->timestamps)
		fake_rx_ts(core, ctx, TCP_ACK | TCP_FIN, 1, 2, 0, 100, 0);
	else
		fake_rx(core, ctx, TCP_ACK | TCP_FIN, 1, 2, 0);
	fake_flush(core);
	ck_assert_uint_eq(ctx->state, TCP_STATE_TIME_WAIT);
	fake_take(core);
}

START_TEST(time_wait__ends_after_a_minute)
{
	time_wait(NULL);
	fake_run(core, 59900);
	ck_assert_str_eq(fake_take(core), "");
	fake_run(core, 200);
	ck_assert_str_eq(fake_take(core), "free; ");
	fake_free(core);
}
END_TEST

START_TEST(time_wait__repeated_fin_is_acked_and_starts_again)
{
	time_wait(NULL);
	fake_run(core, 50000);
	fake_rx(core, ctx, TCP_ACK | TCP_FIN, 1, 2, 0);
	ck_assert_str_eq(fake_take(core), "A 2+0 2; ");
	fake_run(core, 50000);
	ck_assert_str_eq(fake_take(core), "");
	fake_run(core, 11000);
	ck_assert_str_eq(fake_take(core), "free; ");
	fake_free(core);
}
END_TEST

START_TEST(time_wait__rst_is_ignored)
{
	time_wait(NULL);
	ck_assert_int_eq(fake_rx(core, ctx, TCP_RST, 2, 0, 0), TCP_RX_OK);
	ck_assert_uint_eq(ctx->state, TCP_STATE_TIME_WAIT);
	ck_assert_str_eq(fake_take(core), "");
	fake_free(core);
}
END_TEST

START_TEST(time_wait__newer_syn_takes_over_above_the_old_numbers)
{
	uint32_t snd_nxt;

	time_wait(NULL);
	snd_nxt = ctx->snd_nxt;
	master = fake_listener(core);
	ck_assert_int_eq(
			syn_with(ctx, TCP_SYN, FAKE_IRS + 100, &(struct fake_peer){.mss = 1460}, 0),
			TCP_RX_AGAIN);
	ck_assert_str_eq(fake_take(core), "free; ");
	syn_with(master, TCP_SYN, FAKE_IRS + 100, &(struct fake_peer){.mss = 1460}, 0);
	ck_assert_int_ge((int32_t)(core->ctx[core->last_embryo].iss - snd_nxt), 65537);
	fake_free(core);
}
END_TEST

START_TEST(time_wait__newer_syn_with_fin_does_not_take_over)
{
	time_wait(NULL);
	ck_assert_int_eq(syn_with(ctx, TCP_SYN | TCP_FIN, FAKE_IRS + 100,
					 &(struct fake_peer){.mss = 1460}, 0),
			TCP_RX_OK);
	ck_assert_uint_eq(ctx->state, TCP_STATE_TIME_WAIT);
	fake_free(core);
}
END_TEST

START_TEST(time_wait__older_syn_is_answered_by_ack)
{
	time_wait(NULL);
	ck_assert_int_eq(
			syn_with(ctx, TCP_SYN, FAKE_IRS - 100, &(struct fake_peer){.mss = 1460}, 0),
			TCP_RX_OK);
	ck_assert_str_eq(fake_take(core), "A 2+0 2; ");
	fake_free(core);
}
END_TEST

START_TEST(time_wait__older_number_with_newer_timestamp_takes_over)
{
	struct fake_peer peer = {.timestamps = true, .mss = 1460};

	time_wait(&peer);
	ck_assert_int_eq(syn_with(ctx, TCP_SYN, FAKE_IRS - 100, &peer, 101), TCP_RX_AGAIN);
	fake_free(core);
}
END_TEST

START_TEST(time_wait__newer_number_with_older_timestamp_does_not)
{
	struct fake_peer peer = {.timestamps = true, .mss = 1460};

	time_wait(&peer);
	ck_assert_int_eq(syn_with(ctx, TCP_SYN, FAKE_IRS + 100, &peer, 99), TCP_RX_OK);
	fake_free(core);
}
END_TEST

START_TEST(time_wait__an_active_open_takes_over_after_a_second)
{
	const struct fake_peer peer = {.timestamps = true, .mss = 1460};
	struct tcp_ctx *next;
	uint32_t snd_nxt;

	time_wait(&peer);
	snd_nxt = ctx->snd_nxt +
		  100000000; /* it has sent more than the clock of first numbers has moved */
	ctx->snd_nxt = snd_nxt;
	core->now_us += 900000;
	ck_assert(!tcp_reuse(&core->stack, core, ctx, core->now_us));
	ck_assert_uint_eq(ctx->state, TCP_STATE_TIME_WAIT);
	core->now_us += 200000;
	ck_assert(tcp_reuse(&core->stack, core, ctx, core->now_us));
	ck_assert_str_eq(fake_take(core), "free; ");
	next = fake_ctx(core);
	tcp_connect(&core->stack, core, next, &core->tuple, NULL, core->now_us);
	ck_assert_uint_eq(next->iss, snd_nxt + 65537);
	fake_free(core);
}
END_TEST

START_TEST(time_wait__without_timestamps_no_active_open_takes_over)
{
	time_wait(NULL);
	core->now_us += 30000000;
	ck_assert(!tcp_reuse(&core->stack, core, ctx, core->now_us));
	fake_free(core);
}
END_TEST

FACTS("tcp listen", syn_received__data_on_the_syn_is_not_taken_nor_acknowledged,
		syn_received__fin_with_the_ack_closes_after_accept,
		syn_received__fin_without_ack_is_dropped, syn_received__syncnt_limits_the_syn_acks,
		tcp_embryo_defer__accepts_when_data_comes, tcp_embryo_defer__a_fin_is_data_enough,
		tcp_embryo_defer__at_the_end_of_the_time_any_ack_will_do,
		tcp_embryo_defer__a_peer_that_never_acks_is_asked_as_usual,
		time_wait__newer_syn_with_fin_does_not_take_over,
		time_wait__an_active_open_takes_over_after_a_second,
		time_wait__without_timestamps_no_active_open_takes_over,
		tcp_listen_rx__syn_makes_an_embryo, tcp_listen_rx__ack_is_reset,
		tcp_listen_rx__rst_is_ignored, tcp_listen_rx__syn_fin_is_dropped,
		tcp_listen_rx__no_context_is_refused, tcp_listen_rx__no_mss_option_means_536,
		tcp_listen_rx__children_inherit_parameters, syn_received__ack_accepts,
		syn_received__ack_with_data_delivers_after_accept,
		syn_received__no_child_keeps_the_embryo, syn_received__wrong_ack_is_reset,
		syn_received__rst_frees_the_embryo_without_telling,
		syn_received__repeated_syn_repeats_the_syn_ack,
		syn_received__syn_ack_is_sent_again_and_given_up, time_wait__ends_after_a_minute,
		time_wait__repeated_fin_is_acked_and_starts_again, time_wait__rst_is_ignored,
		time_wait__newer_syn_takes_over_above_the_old_numbers,
		time_wait__older_syn_is_answered_by_ack,
		time_wait__older_number_with_newer_timestamp_takes_over,
		time_wait__newer_number_with_older_timestamp_does_not)
