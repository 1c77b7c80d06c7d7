/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/unit/tcp/facts.h"
#include "test/unit/tcp/fake_up.h"

static struct core *core;
static struct tcp_ctx *ctx;

#define MSS 1448u /* payload beside timestamps */
#define RTT_US 10000u
#define SEG(i) (1 + (i)*MSS) /* sequence of segment i, relative to ISS */

/* Ten segments in flight, all that there is. Return: the timestamp they bear. */
static uint32_t in_flight(void)
{
	struct tcp_conf conf;
	uint32_t ts;

	tcp_conf_default(&conf);
	conf.tlp = false;
	core = fake_new(&conf);
	ctx = fake_accepted(core, &(struct fake_peer){.timestamps = true,
						  .sack = true,
						  .wscale = true,
						  .mss = 1460});
	ctx->srtt_us = RTT_US;
	ctx->rtt_min_us = RTT_US;
	ck_assert_uint_eq(ctx->mss, MSS);
	fake_write(core, ctx, 10 * MSS);
	ts = (uint32_t)(core->now_us / 1000) + ctx->ts_off;
	core->now_us += RTT_US;
	return ts;
}

/* @ack segments are acknowledged by who echoes @tsecr. */
static void echo(uint32_t ack, uint32_t tsecr)
{
	fake_rx_ts(core, ctx, TCP_ACK, 1, SEG(ack), 0, 2, tsecr);
	fake_flush(core);
}

static void recovery(void)
{
	fake_rx_sack(core, ctx, 1, 1, (const uint32_t[][2]){{SEG(1), SEG(4)}}, 1);
	fake_flush(core);
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_RECOVERY);
	ck_assert_uint_lt(ctx->ssthresh, 10 * MSS);
	core->now_us += 2000;
}

START_TEST(tcp_undo_partial__an_echo_from_before_the_retransmission_restores_cwnd)
{
	uint32_t ts = in_flight();

	recovery();
	echo(4, ts);
	ck_assert_uint_eq(core->stack.stats.partial_undo, 1);
	ck_assert_uint_lt(ctx->loss_state, TCP_LOSS_RECOVERY);
	ck_assert_uint_ge(ctx->cwnd, 10 * MSS);
	ck_assert_uint_eq(ctx->ssthresh, TCP_CWND_BYTES_MAX);
	ck_assert(ctx->flags2 & TCP_CTX2_REORDERED);
	fake_free(core);
}
END_TEST

START_TEST(tcp_undo_partial__an_echo_of_the_retransmission_restores_nothing)
{
	uint32_t ts = in_flight();

	recovery();
	echo(4, ts + RTT_US / 1000);
	ck_assert_uint_eq(core->stack.stats.partial_undo, 0);
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_RECOVERY);
	ck_assert_uint_lt(ctx->ssthresh, 10 * MSS);
	fake_free(core);
}
END_TEST

START_TEST(tcp_undo_recovery__an_echo_from_before_the_retransmission_restores_cwnd)
{
	uint32_t ts = in_flight();

	recovery();
	echo(10, ts);
	ck_assert_uint_eq(core->stack.stats.full_undo, 1);
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_OPEN);
	ck_assert_uint_ge(ctx->cwnd, 10 * MSS);
	fake_free(core);
}
END_TEST

START_TEST(tcp_undo_rto__an_echo_from_before_the_timeout_restores_cwnd)
{
	uint32_t ts = in_flight();

	while (core->stack.stats.timeouts == 0)
		fake_run(core, 1);
	core->now_us += 2000; /* sooner than the path allows for an answer to what was sent again */
	ck_assert_uint_eq(ctx->cwnd, MSS);
	echo(1, ts);
	ck_assert_uint_eq(core->stack.stats.loss_undo, 1);
	ck_assert_uint_eq(ctx->loss_state, TCP_LOSS_OPEN);
	ck_assert_uint_ge(ctx->cwnd, 10 * MSS);
	ck_assert_uint_eq(ctx->backoff_n, 0);
	fake_free(core);
}
END_TEST

FACTS("tcp undo", tcp_undo_partial__an_echo_from_before_the_retransmission_restores_cwnd,
		tcp_undo_partial__an_echo_of_the_retransmission_restores_nothing,
		tcp_undo_recovery__an_echo_from_before_the_retransmission_restores_cwnd,
		tcp_undo_rto__an_echo_from_before_the_timeout_restores_cwnd)
