/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ECN: who agrees to it, which segments may be marked, what a mark brings about at either end.
 */
#include <string.h>

#include "test/unit/tcp/facts.h"
#include "test/unit/tcp/fake_up.h"

#define MSS 1460u
#define BOTH (TCP_ECE | TCP_CWR)

static struct core *core;
static struct tcp_ctx *ctx;

static void world(enum tcp_ecn ecn)
{
	struct tcp_conf conf;

	tcp_conf_default(&conf);
	conf.timestamps = false;
	conf.cc = TCP_CC_NEWRENO;
	conf.ecn = (uint8_t)ecn;
	core = fake_new(&conf);
}

/* A handshake by the peer's SYN, @flags beside SYN, in @ecn. Return: what the SYN-ACK had beside SYN and ACK. */
static uint8_t passive(enum tcp_ecn conf, uint8_t flags, uint8_t ecn)
{
	uint8_t opt[40];
	uint8_t opt_len = fake_syn_opts(
			&(struct fake_peer){.sack = true, .wscale = true, .mss = MSS}, 0, 0, opt);
	struct tcp_ctx *master;
	uint8_t answer;

	world(conf);
	master = fake_listener(core);
	fake_rx_seg(core, master,
			(struct tcp_seg){.seq = FAKE_IRS,
					.flags = (uint8_t)(TCP_SYN | flags),
					.ecn = ecn,
					.wnd = 65535,
					.opt = opt,
					.opt_len = opt_len});
	ctx = &core->ctx[core->last_embryo];
	answer = fake_last(core)->flags & (uint8_t) ~(TCP_SYN | TCP_ACK);
	ck_assert_uint_eq(fake_last(core)->ecn, 0);
	fake_rx(core, ctx, TCP_ACK, 1, 1, 0);
	ck_assert_uint_eq(ctx->state, TCP_STATE_ESTABLISHED);
	fake_take(core);
	return answer;
}

static bool is_ecn(void)
{
	return ctx->flags2 & TCP_CTX2_ECN;
}

static void agreed(void)
{
	ck_assert_uint_eq(passive(TCP_ECN_ACCEPT, BOTH, 0), TCP_ECE);
	ck_assert(is_ecn());
}

START_TEST(tcp_ecn_agree__accepts_by_default)
{
	agreed();
	fake_free(core);
}
END_TEST

START_TEST(tcp_ecn_agree__not_when_off)
{
	ck_assert_uint_eq(passive(TCP_ECN_OFF, BOTH, 0), 0);
	ck_assert(!is_ecn());
	fake_free(core);
}
END_TEST

START_TEST(tcp_ecn_agree__not_unasked)
{
	ck_assert_uint_eq(passive(TCP_ECN_ON, 0, 0), 0);
	ck_assert(!is_ecn());
	fake_free(core);
	ck_assert_uint_eq(passive(TCP_ECN_ON, TCP_ECE, 0), 0);
	ck_assert(!is_ecn());
	fake_free(core);
}
END_TEST

START_TEST(tcp_ecn_agree__not_with_a_marked_syn)
{
	ck_assert_uint_eq(passive(TCP_ECN_ACCEPT, BOTH, 2), 0);
	ck_assert(!is_ecn());
	fake_free(core);
}
END_TEST

static void active(enum tcp_ecn conf)
{
	world(conf);
	ctx = fake_ctx(core);
	tcp_connect(&core->stack, core, ctx, &core->tuple, NULL, core->now_us);
}

static void syn_ack(uint8_t flags)
{
	fake_rx_seg(core, ctx,
			(struct tcp_seg){.seq = FAKE_IRS,
					.ack = ctx->iss + 1,
					.flags = (uint8_t)(TCP_SYN | TCP_ACK | flags),
					.wnd = 65535});
	ck_assert_uint_eq(ctx->state, TCP_STATE_ESTABLISHED);
}

START_TEST(tcp_ecn_syn__asks_only_when_on)
{
	active(TCP_ECN_ACCEPT);
	ck_assert_uint_eq(fake_last(core)->flags, TCP_SYN);
	syn_ack(TCP_ECE); /* unasked */
	ck_assert(!is_ecn());
	fake_free(core);
	active(TCP_ECN_ON);
	ck_assert_uint_eq(fake_last(core)->flags, TCP_SYN | BOTH);
	syn_ack(TCP_ECE);
	ck_assert(is_ecn());
	fake_free(core);
}
END_TEST

START_TEST(tcp_ecn_syn__refused_or_mirrored)
{
	active(TCP_ECN_ON);
	syn_ack(0);
	ck_assert(!is_ecn());
	fake_free(core);
	active(TCP_ECN_ON);
	syn_ack(BOTH); /* someone reflects bits that it does not know */
	ck_assert(!is_ecn());
	fake_free(core);
}
END_TEST

START_TEST(tcp_ecn_syn__again_without)
{
	active(TCP_ECN_ON);
	fake_run(core, 1500);
	ck_assert_uint_eq(core->sent_n, 2);
	ck_assert_uint_eq(fake_last(core)->flags, TCP_SYN);
	syn_ack(TCP_ECE);
	ck_assert(!is_ecn());
	fake_free(core);
}
END_TEST

START_TEST(tcp_ecn_syn__the_peers_second_without)
{
	struct tcp_ctx *master;
	struct tcp_seg syn = {.seq = FAKE_IRS, .flags = TCP_SYN | BOTH, .wnd = 65535};

	world(TCP_ECN_ACCEPT);
	master = fake_listener(core);
	fake_rx_seg(core, master, syn);
	ctx = &core->ctx[core->last_embryo];
	ck_assert_uint_eq(fake_last(core)->flags, TCP_SYN | TCP_ACK | TCP_ECE);
	syn.flags = TCP_SYN;
	fake_rx_seg(core, ctx, syn);
	ck_assert_uint_eq(core->sent_n, 2);
	ck_assert_uint_eq(fake_last(core)->flags, TCP_SYN | TCP_ACK);
	ck_assert(!is_ecn());
	fake_free(core);
}
END_TEST

/* ---- what leaves ---- */

START_TEST(tcp_ecn_tx__new_text_is_ect)
{
	agreed();
	fake_write(core, ctx, 100);
	ck_assert_uint_eq(fake_last(core)->ecn, ECN_ECT0);
	fake_run(core, 250);
	ck_assert(fake_last(core)->is_retransmit);
	ck_assert_uint_eq(fake_last(core)->ecn, 0);
	fake_free(core);
}
END_TEST

START_TEST(tcp_ecn_tx__nothing_without_agreement)
{
	passive(TCP_ECN_ON, 0, 0);
	fake_write(core, ctx, 100);
	ck_assert_uint_eq(fake_last(core)->ecn, 0);
	fake_free(core);
}
END_TEST

START_TEST(tcp_ecn_tx__ack_fin_and_probe_are_not)
{
	agreed();
	fake_rx(core, ctx, TCP_ACK, 1, 1, 2 * MSS);
	fake_flush(core);
	ck_assert_uint_eq(fake_last(core)->len, 0);
	ck_assert_uint_eq(fake_last(core)->ecn, 0);
	fake_rx_wnd(core, ctx, TCP_ACK, 1 + 2 * MSS, 1, 1, 0); /* the window shuts */
	fake_write(core, ctx, 100);
	fake_run(core, 1500);
	ck_assert_uint_eq(fake_last(core)->len, 1);
	ck_assert_uint_eq(fake_last(core)->ecn, 0);
	fake_free(core);
}
END_TEST

/* ---- receiver ---- */

static void text(uint32_t seq, uint8_t flags, uint8_t ecn)
{
	fake_rx_seg(core, ctx,
			(struct tcp_seg){.seq = ctx->irs + seq,
					.ack = ctx->snd_nxt,
					.flags = (uint8_t)(TCP_ACK | flags),
					.wnd = 65535,
					.ecn = ecn,
					.len = 100});
	fake_run(core, 100);
}

START_TEST(tcp_ecn_rx__echoes_until_cwr)
{
	agreed();
	text(1, 0, 2);
	ck_assert_uint_eq(fake_last(core)->flags, TCP_ACK);
	text(101, 0, 3);
	ck_assert_uint_eq(fake_last(core)->flags, TCP_ACK | TCP_ECE);
	text(201, 0, 2);
	text(301, 0, 2);
	ck_assert_uint_eq(fake_last(core)->flags, TCP_ACK | TCP_ECE);
	ck_assert_uint_eq(fake_last(core)->ack, ctx->irs + 401);
	text(401, TCP_CWR, 2);
	ck_assert_uint_eq(fake_last(core)->flags, TCP_ACK);
	text(501, 0, 2);
	ck_assert_uint_eq(fake_last(core)->flags, TCP_ACK);
	ck_assert_uint_eq(ctx->ce_bytes, 100);
	ck_assert_uint_eq(core->stack.stats.in_ce, 1);
	fake_free(core);
}
END_TEST

START_TEST(tcp_ecn_rx__cwr_that_is_marked_again)
{
	agreed();
	text(1, 0, 3);
	text(101, TCP_CWR, 3);
	ck_assert_uint_eq(fake_last(core)->flags, TCP_ACK | TCP_ECE);
	fake_free(core);
}
END_TEST

START_TEST(tcp_ecn_rx__text_carries_the_echo)
{
	agreed();
	text(1, 0, 3);
	fake_write(core, ctx, 50);
	ck_assert_uint_eq(fake_last(core)->flags & TCP_ECE, TCP_ECE);
	fake_free(core);
}
END_TEST

START_TEST(tcp_ecn_rx__the_first_mark_is_told_at_once)
{
	agreed();
	ctx->quick_n = 0;
	ctx->flags |= TCP_CTX_PINGPONG;
	fake_rx_seg(core, ctx,
			(struct tcp_seg){.seq = ctx->irs + 1,
					.ack = ctx->snd_nxt,
					.flags = TCP_ACK,
					.wnd = 65535,
					.ecn = 3,
					.len = 100});
	fake_flush(core);
	ck_assert_uint_eq(fake_last(core)->flags, TCP_ACK | TCP_ECE);
	fake_free(core);
}
END_TEST

START_TEST(tcp_ecn_rx__nothing_without_agreement)
{
	passive(TCP_ECN_OFF, BOTH, 0);
	text(1, 0, 3);
	ck_assert_uint_eq(fake_last(core)->flags, TCP_ACK);
	fake_free(core);
}
END_TEST

/* ---- sender ---- */

static uint32_t cwr_sent(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < core->sent_n; i++) {
		const struct tcp_txseg *seg = &core->sent[i].seg;

		if (!(seg->flags & TCP_CWR))
			continue;
		n++;
		ck_assert_uint_eq(seg->ecn, ECN_ECT0);
		ck_assert_uint_le(seg->len, MSS); /* never repeated by segmentation */
	}
	return n;
}

static void ack(uint32_t segs, uint8_t flags)
{
	fake_rx(core, ctx, (uint8_t)(TCP_ACK | flags), 1, 1 + segs * MSS, 0);
	fake_flush(core);
}

START_TEST(tcp_ecn_ack__one_reduction_and_one_cwr_a_window)
{
	uint32_t ssthresh;

	agreed();
	core->burst_bytes = 65536;
	fake_write(core, ctx, 100 * MSS);
	ck_assert_uint_eq(ctx->snd_nxt - ctx->snd_una, 10 * MSS);
	ack(1, TCP_ECE);
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_CWR);
	ssthresh = ctx->ssthresh;
	ck_assert_uint_lt(ssthresh, 6 * MSS);
	for (uint32_t i = 2; i <= 10; i++)
		ack(i, TCP_ECE);
	ck_assert_uint_eq(ctx->ssthresh, ssthresh);
	ck_assert_uint_le(ctx->cwnd, 6 * MSS);
	ck_assert_uint_eq(cwr_sent(), 1);
	ack(11, 0);
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_OPEN);
	ack(12, TCP_ECE); /* another window */
	ck_assert_uint_lt(ctx->ssthresh, ssthresh);
	ack(13, 0);
	ack(14, 0);
	ck_assert_uint_eq(cwr_sent(), 2);
	ck_assert_uint_eq(ctx->retrans_n, 0);
	ck_assert_uint_eq(core->stack.stats.delivered_ce, 11);
	fake_free(core);
}
END_TEST

START_TEST(tcp_ecn_ack__nothing_without_agreement)
{
	passive(TCP_ECN_OFF, BOTH, 0);
	fake_write(core, ctx, 20 * MSS);
	ack(1, TCP_ECE);
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_OPEN);
	ck_assert_uint_eq(ctx->ssthresh, TCP_CWND_BYTES_MAX);
	fake_free(core);
}
END_TEST

START_TEST(tcp_ecn_ack__loss_says_cwr_too)
{
	agreed();
	fake_write(core, ctx, 30 * MSS);
	fake_rx_sack(core, ctx, 1, 1, (const uint32_t[][2]){{1 + MSS, 1 + 10 * MSS}}, 1);
	fake_flush(core);
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_RECOVERY);
	for (uint32_t i = 0; i < core->sent_n; i++)
		ck_assert(!core->sent[i].seg.is_retransmit || core->sent[i].seg.ecn == 0);
	ack(10, 0);
	ck_assert_uint_eq(cwr_sent(), 1);
	fake_free(core);
}
END_TEST

START_TEST(tcp_ecn_ack__bbr_keeps_its_window)
{
	uint32_t cwnd;

	agreed();
	tcp_param(&core->stack, core, ctx, &(struct tcp_param){.cc = TCP_CC_BBR}, core->now_us);
	fake_write(core, ctx, 30 * MSS);
	cwnd = ctx->cwnd;
	core->now_us += 20000;
	ack(1, TCP_ECE);
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_OPEN);
	ck_assert_uint_ge(ctx->cwnd, cwnd);
	ck_assert_uint_eq(core->stack.stats.delivered_ce, 1);
	fake_free(core);
}
END_TEST

FACTS("ecn", tcp_ecn_agree__accepts_by_default, tcp_ecn_agree__not_when_off,
		tcp_ecn_agree__not_unasked, tcp_ecn_agree__not_with_a_marked_syn,
		tcp_ecn_syn__asks_only_when_on, tcp_ecn_syn__refused_or_mirrored,
		tcp_ecn_syn__again_without, tcp_ecn_syn__the_peers_second_without,
		tcp_ecn_tx__new_text_is_ect, tcp_ecn_tx__nothing_without_agreement,
		tcp_ecn_tx__ack_fin_and_probe_are_not, tcp_ecn_rx__echoes_until_cwr,
		tcp_ecn_rx__cwr_that_is_marked_again, tcp_ecn_rx__text_carries_the_echo,
		tcp_ecn_rx__the_first_mark_is_told_at_once, tcp_ecn_rx__nothing_without_agreement,
		tcp_ecn_ack__one_reduction_and_one_cwr_a_window,
		tcp_ecn_ack__nothing_without_agreement, tcp_ecn_ack__loss_says_cwr_too,
		tcp_ecn_ack__bbr_keeps_its_window)
