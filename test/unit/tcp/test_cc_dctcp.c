/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DCTCP: alpha, what an ECE and what a loss costs, and the receiver's exact echo.
 */
#include "test/unit/tcp/cc_path.h"
#include "test/unit/tcp/facts.h"
#include "test/unit/tcp/fake_up.h"

static struct path p;

static uint32_t alpha(void)
{
	return ((const uint32_t *)p.ctx.cc_state)[1];
}

/* A window of ten segments, @marked of them with ECE. */
static void window_of(uint32_t marked)
{
	for (uint32_t i = 0; i < 10; i++) {
		struct tcp_ack a = {.flags = i < marked ? TCP_ACK_ECE : 0,
				.ack = p.ctx.snd_una + PATH_MSS,
				.delivered = PATH_MSS};

		p.ctx.snd_una = a.ack;
		p.ctx.snd_nxt = a.ack + 9 * PATH_MSS;
		tcp_cc_ack(&p.e, &p.ctx, &a);
	}
}

static void begin(void)
{
	path_init(&p, TCP_CC_DCTCP);
	p.ctx.flags2 |= TCP_CTX2_ECN;
	p.ctx.cwnd = 10 * PATH_MSS;
	p.ctx.ssthresh = p.ctx.cwnd;
}

START_TEST(alpha__begins_at_one)
{
	begin();
	ck_assert_uint_eq(alpha(), 1024);
	tcp_cc_reduce(&p.ctx);
	ck_assert_uint_eq(p.ctx.ssthresh, 5 * PATH_MSS);
}
END_TEST

START_TEST(alpha__fades_without_marks)
{
	begin();
	for (int i = 0; i < 200; i++)
		window_of(0);
	ck_assert_uint_eq(alpha(), 0);
	tcp_cc_reduce(&p.ctx);
	ck_assert_uint_eq(p.ctx.ssthresh, p.ctx.cwnd);
}
END_TEST

START_TEST(alpha__settles_at_the_marked_fraction)
{
	begin();
	for (int i = 0; i < 200; i++)
		window_of(3);
	ck_assert_uint_gt(alpha(), 1024 * 26 / 100);
	ck_assert_uint_lt(alpha(), 1024 * 34 / 100);
	p.ctx.cwnd = 100 * PATH_MSS;
	tcp_cc_reduce(&p.ctx);
	ck_assert_uint_gt(p.ctx.ssthresh, 80 * PATH_MSS);
	ck_assert_uint_lt(p.ctx.ssthresh, 90 * PATH_MSS);
}
END_TEST

START_TEST(loss__halves_whatever_alpha_is)
{
	begin();
	for (int i = 0; i < 200; i++)
		window_of(0);
	p.ctx.cwnd = 100 * PATH_MSS;
	tcp_cc_reduce(&p.ctx);
	tcp_cc_get(p.ctx.cc)->loss_state(&p.e, &p.ctx, TCP_LOSS_RECOVERY);
	ck_assert_uint_eq(p.ctx.ssthresh, 50 * PATH_MSS);
}
END_TEST

START_TEST(without_ecn__is_newreno)
{
	begin();
	p.ctx.flags2 &= ~TCP_CTX2_ECN;
	for (int i = 0; i < 200; i++)
		window_of(0);
	p.ctx.cwnd = 20 * PATH_MSS;
	p.ctx.snd_nxt = p.ctx.snd_una + 20 * PATH_MSS;
	tcp_cc_reduce(&p.ctx);
	ck_assert_uint_eq(p.ctx.ssthresh, 10 * PATH_MSS);
}
END_TEST

/* ---- receiver ---- */

static struct core *core;
static struct tcp_ctx *ctx;

static void receiver(void)
{
	struct tcp_conf conf;
	uint8_t opt[40];
	uint8_t opt_len = fake_syn_opts(
			&(struct fake_peer){.sack = true, .wscale = true, .mss = 1460}, 0, 0, opt);
	struct tcp_ctx *master;

	tcp_conf_default(&conf);
	conf.timestamps = false;
	conf.cc = TCP_CC_DCTCP;
	conf.ecn = TCP_ECN_OFF; /* DCTCP asks all the same */
	core = fake_new(&conf);
	master = fake_listener(core);
	fake_rx_seg(core, master,
			(struct tcp_seg){.seq = FAKE_IRS,
					.flags = TCP_SYN | TCP_ECE | TCP_CWR,
					.wnd = 65535,
					.opt = opt,
					.opt_len = opt_len});
	ctx = &core->ctx[core->last_embryo];
	ck_assert_uint_eq(fake_last(core)->flags, TCP_SYN | TCP_ACK | TCP_ECE);
	fake_rx(core, ctx, TCP_ACK, 1, 1, 0);
	ck_assert_uint_eq(ctx->state, TCP_STATE_ESTABLISHED);
	ctx->quick_n = 0;
	ctx->flags |= TCP_CTX_PINGPONG;
	fake_take(core);
}

static void text(uint32_t seq, uint8_t ecn)
{
	fake_rx_seg(core, ctx,
			(struct tcp_seg){.seq = ctx->irs + seq,
					.ack = ctx->snd_nxt,
					.flags = TCP_ACK,
					.wnd = 65535,
					.ecn = ecn,
					.len = 100});
}

START_TEST(echo__old_state_first_then_the_new)
{
	receiver();
	text(1, 2);
	ck_assert_str_eq(fake_take(core), "place 0+100; readable 100; ");
	text(101, 3); /* the first byte with CE: what came before had none */
	ck_assert_str_eq(fake_take(core), "A 1+0 101; place 100+100; readable 200; ");
	ck_assert_uint_eq(fake_last(core)->flags, TCP_ACK);
	text(201, 3);
	text(301, 2); /* the mark ends */
	ck_assert_ptr_nonnull(strstr(fake_take(core), "A 1+0 301; place 300+100"));
	ck_assert_uint_eq(fake_last(core)->flags, TCP_ACK | TCP_ECE);
	fake_run(core, 100); /* the delayed ACK */
	ck_assert_uint_eq(fake_last(core)->flags, TCP_ACK);
	ck_assert_uint_eq(ctx->ce_bytes, 200);
	fake_free(core);
}
END_TEST

START_TEST(echo__cwr_does_not_end_it)
{
	receiver();
	text(1, 3);
	fake_run(core, 100);
	ck_assert_uint_eq(fake_last(core)->flags, TCP_ACK | TCP_ECE);
	fake_rx_seg(core, ctx,
			(struct tcp_seg){.seq = ctx->irs + 101,
					.ack = ctx->snd_nxt,
					.flags = TCP_ACK | TCP_CWR,
					.wnd = 65535,
					.ecn = 3,
					.len = 100});
	fake_run(core, 100);
	ck_assert_uint_eq(fake_last(core)->flags, TCP_ACK | TCP_ECE);
	fake_free(core);
}
END_TEST

FACTS("cc dctcp", alpha__begins_at_one, alpha__fades_without_marks,
		alpha__settles_at_the_marked_fraction, loss__halves_whatever_alpha_is,
		without_ecn__is_newreno, echo__old_state_first_then_the_new,
		echo__cwr_does_not_end_it)
