/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BBR on a path of 10 Mbit/s and 40 ms: BDP 50 segments.
 */
#include "test/unit/tcp/cc_path.h"
#include "test/unit/tcp/facts.h"

#define BDP 50000u

static struct path p;

START_TEST(bbr__startup_fills_the_pipe)
{
	path_init(&p, TCP_CC_BBR);
	ck_assert(p.ctx.flags2 & TCP_CTX2_PACED);
	path_run(&p, 1000);
	/* A second is 25 round trips: the rate is found, the queue of STARTUP is gone. */
	ck_assert_uint_gt(p.ctx.tx_bytes, 800000);
	ck_assert_uint_gt(p.ctx.pacing_rate, p.link_rate * 7 / 10);
	ck_assert_uint_lt(p.ctx.pacing_rate, p.link_rate * 13 / 10);
}
END_TEST

START_TEST(bbr__steady_state_is_full_rate_and_short_queue)
{
	uint64_t bytes;

	path_init(&p, TCP_CC_BBR);
	path_run(&p, 2000);
	bytes = p.ctx.tx_bytes;
	p.queue_bytes_max = 0;
	path_run(&p, 5000);
	ck_assert_uint_gt(p.ctx.tx_bytes - bytes, p.link_rate * 5 * 95 / 100);
	/* A quarter more for one RTT is all that stands in the queue. */
	ck_assert_uint_lt(p.queue_bytes_max, BDP / 2);
	ck_assert_uint_le(p.ctx.cwnd, 3 * BDP);
}
END_TEST

START_TEST(bbr__probes_for_the_rtt_after_ten_seconds)
{
	path_init(&p, TCP_CC_BBR);
	path_run(&p, 2000);
	p.rtt_us = 45000; /* the old minimum is not seen again */
	path_run(&p, 7000);
	p.flight_min = UINT32_MAX;
	path_run(&p, 5000);
	ck_assert_uint_le(p.flight_min, 4 * PATH_MSS);
	/* And afterwards goes on as before. */
	path_run(&p, 500);
	ck_assert_uint_gt(p.ctx.cwnd, BDP);
}
END_TEST

START_TEST(bbr__follows_a_faster_link)
{
	uint64_t bytes;

	path_init(&p, TCP_CC_BBR);
	path_run(&p, 2000);
	p.link_rate *= 2;
	path_run(&p, 4000);
	bytes = p.ctx.tx_bytes;
	path_run(&p, 1000);
	ck_assert_uint_gt(p.ctx.tx_bytes - bytes, p.link_rate * 9 / 10);
}
END_TEST

START_TEST(bbr__follows_a_slower_link)
{
	path_init(&p, TCP_CC_BBR);
	path_run(&p, 2000);
	p.link_rate /= 2;
	path_run(&p, 4000);
	ck_assert_uint_lt(p.ctx.pacing_rate, p.link_rate * 14 / 10);
	ck_assert_uint_gt(p.ctx.pacing_rate, p.link_rate * 6 / 10);
}
END_TEST

START_TEST(bbr__a_slow_user_does_not_lower_the_estimate)
{
	path_init(&p, TCP_CC_BBR);
	path_run(&p, 2000);
	p.app_rate = p.link_rate / 10;
	path_run(&p, 300); /* within the filter's ten rounds all would be forgotten but for the mark */
	path_run(&p, 3000);
	ck_assert_uint_gt(p.ctx.pacing_rate, p.link_rate / 2);
}
END_TEST

START_TEST(bbr__loss_is_no_reason_to_slow_down)
{
	uint64_t rate;

	path_init(&p, TCP_CC_BBR);
	path_run(&p, 2000);
	rate = p.ctx.pacing_rate;
	tcp_cc_reduce(&p.ctx);
	p.ctx.loss_state = TCP_LOSS_RECOVERY;
	path_run(&p, 40);
	/* Conservation: no more leaves than arrives. */
	ck_assert_uint_le(p.ctx.cwnd, 2 * BDP + PATH_MSS);
	p.ctx.loss_state = TCP_LOSS_OPEN;
	path_run(&p, 200);
	ck_assert_uint_gt(p.ctx.pacing_rate, rate / 2);
	ck_assert_uint_gt(p.ctx.cwnd, BDP);
}
END_TEST

START_TEST(bbr__timeout_restores_the_window)
{
	uint32_t cwnd;

	path_init(&p, TCP_CC_BBR);
	path_run(&p, 2000);
	cwnd = p.ctx.cwnd;
	tcp_cc_reduce(&p.ctx);
	tcp_cc_get(p.ctx.cc)->loss_state(&p.e, &p.ctx, TCP_LOSS_RTO);
	p.ctx.loss_state = TCP_LOSS_RTO;
	p.ctx.cwnd = PATH_MSS;
	p.ctx.loss_state = TCP_LOSS_OPEN;
	path_run(&p, 50);
	ck_assert_uint_ge(p.ctx.cwnd, cwnd * 9 / 10);
}
END_TEST

START_TEST(bbr__merged_acks_get_room)
{
	uint64_t bytes;

	path_init(&p, TCP_CC_BBR);
	path_run(&p, 2000);
	bytes = p.ctx.tx_bytes;
	/* A receiver that is silent for 30 of every 40 ms. */
	for (int i = 0; i < 100; i++) {
		uint64_t until_us = p.e.now_us + 30000;

		for (uint32_t k = 0; k < PATH_FLIGHT_MAX; k++) {
			if (p.seg[k].ack_us > p.e.now_us && p.seg[k].ack_us < until_us)
				p.seg[k].ack_us = until_us;
		}
		path_run(&p, 40);
	}
	ck_assert_uint_gt(p.ctx.tx_bytes - bytes, p.link_rate * 4 * 85 / 100);
}
END_TEST

FACTS("cc bbr", bbr__startup_fills_the_pipe, bbr__steady_state_is_full_rate_and_short_queue,
		bbr__probes_for_the_rtt_after_ten_seconds, bbr__follows_a_faster_link,
		bbr__follows_a_slower_link, bbr__a_slow_user_does_not_lower_the_estimate,
		bbr__loss_is_no_reason_to_slow_down, bbr__timeout_restores_the_window,
		bbr__merged_acks_get_room)
