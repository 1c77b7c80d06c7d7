/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * HyStart++: by hand, round by round, and on a path whose queue never overflows.
 */
#include "engine/tcp/cc_hystart.h"
#include "test/unit/tcp/cc_path.h"
#include "test/unit/tcp/facts.h"

static struct path p;
static struct hystart h;

static void begin(void)
{
	path_init(&p, TCP_CC_NEWRENO);
	memset(&h, 0, sizeof(h));
}

/* A round of ten segments with this RTT. */
static void round_of(uint32_t rtt_us)
{
	uint32_t una = p.ctx.snd_una;

	for (uint32_t i = 1; i <= 10; i++) {
		struct tcp_ack a = {
				.ack = una + i * PATH_MSS, .delivered = PATH_MSS, .rtt_us = rtt_us};

		p.ctx.snd_una = a.ack;
		p.ctx.snd_nxt = a.ack + 10 * PATH_MSS;
		hystart_acked(&p.e, &h, &p.ctx, &a);
	}
}

START_TEST(hystart__constant_rtt_goes_on)
{
	begin();
	for (int i = 0; i < 20; i++)
		round_of(40000);
	ck_assert_uint_eq(h.css_rtt_us, 0);
	ck_assert_uint_eq(p.ctx.ssthresh, TCP_CWND_BYTES_MAX);
	ck_assert_uint_eq(hystart_growth(&h, &p.ctx, 4000), 4000);
}
END_TEST

START_TEST(hystart__a_quarter_in_css)
{
	begin();
	round_of(40000);
	round_of(40000);
	round_of(45000); /* an eighth of 40 ms */
	ck_assert_uint_eq(h.css_rtt_us, 45000);
	ck_assert_uint_eq(hystart_growth(&h, &p.ctx, 4000), 1000);
	ck_assert_uint_eq(p.stack.stats.hystart_delay, 1);
}
END_TEST

START_TEST(hystart__small_increase_is_jitter)
{
	begin();
	round_of(40000);
	round_of(44900);
	ck_assert_uint_eq(h.css_rtt_us, 0);
	memset(&h, 0, sizeof(h));
	round_of(1000);
	round_of(4900); /* less than 4 ms more */
	ck_assert_uint_eq(h.css_rtt_us, 0);
}
END_TEST

START_TEST(hystart__large_rtt_needs_no_more_than_16_ms)
{
	begin();
	round_of(400000);
	round_of(417000);
	ck_assert_uint_eq(h.css_rtt_us, 417000);
}
END_TEST

START_TEST(hystart__five_rounds_end_slow_start)
{
	begin();
	round_of(40000);
	round_of(50000);
	for (int i = 0; i < 4; i++)
		round_of(50000);
	ck_assert_uint_eq(p.ctx.ssthresh, TCP_CWND_BYTES_MAX);
	round_of(50000);
	ck_assert_uint_eq(p.ctx.ssthresh, p.ctx.cwnd);
}
END_TEST

START_TEST(hystart__falling_rtt_resumes)
{
	begin();
	round_of(40000);
	round_of(50000);
	ck_assert_uint_ne(h.css_rtt_us, 0);
	round_of(41000);
	ck_assert_uint_eq(h.css_rtt_us, 0);
	ck_assert_uint_eq(hystart_growth(&h, &p.ctx, 4000), 4000);
}
END_TEST

START_TEST(hystart__fewer_than_eight_samples_decide_nothing)
{
	begin();
	round_of(40000);
	for (uint32_t i = 1; i <= 7; i++) {
		struct tcp_ack a = {.ack = p.ctx.snd_una + 1000, .rtt_us = 90000};

		p.ctx.snd_una = a.ack;
		hystart_acked(&p.e, &h, &p.ctx, &a);
	}
	ck_assert_uint_eq(h.css_rtt_us, 0);
}
END_TEST

START_TEST(hystart__one_ack_is_limited_unless_paced)
{
	begin();
	ck_assert_uint_eq(hystart_growth(&h, &p.ctx, 1000000), 65536);
	p.ctx.mss = 9000;
	ck_assert_uint_eq(hystart_growth(&h, &p.ctx, 1000000), 72000);
	p.ctx.flags2 |= TCP_CTX2_PACED;
	ck_assert_uint_eq(hystart_growth(&h, &p.ctx, 1000000), 1000000);
}
END_TEST

START_TEST(hystart__later_slow_starts_are_not_watched)
{
	begin();
	p.ctx.ssthresh = 1000000;
	round_of(40000);
	round_of(90000);
	ck_assert_uint_eq(h.css_rtt_us, 0);
}
END_TEST

/* BDP is 50 segments. The queue takes all: without the brake slow start would go on for ever. */
static void ends_slow_start(uint8_t cc)
{
	path_init(&p, cc);
	path_run(&p, 1500);
	ck_assert_uint_ne(p.ssthresh_first, 0);
	ck_assert_uint_gt(p.ssthresh_first, 50 * PATH_MSS);
	ck_assert_uint_lt(p.ssthresh_first, 600 * PATH_MSS);
}

START_TEST(hystart__brakes_newreno)
{
	ends_slow_start(TCP_CC_NEWRENO);
}
END_TEST

START_TEST(hystart__brakes_cubic)
{
	ends_slow_start(TCP_CC_CUBIC);
}
END_TEST

START_TEST(cubic__undo_restores_the_curve)
{
	uint32_t cwnd, before[5];
	const uint32_t *s = (const uint32_t *)p.ctx.cc_state;

	path_init(&p, TCP_CC_CUBIC);
	path_run(&p, 3000);
	memcpy(before, s, sizeof(before));
	cwnd = p.ctx.cwnd;
	tcp_cc_reduce(&p.ctx);
	p.ctx.cwnd = p.ctx.ssthresh;
	ck_assert_uint_ne(s[0], before[0]);
	ck_assert_uint_eq(tcp_cc_get(p.ctx.cc)->undo_cwnd(&p.ctx), cwnd);
	ck_assert_uint_eq(s[0], before[0]);
}
END_TEST

FACTS("hystart", hystart__constant_rtt_goes_on, hystart__a_quarter_in_css,
		hystart__small_increase_is_jitter, hystart__large_rtt_needs_no_more_than_16_ms,
		hystart__five_rounds_end_slow_start, hystart__falling_rtt_resumes,
		hystart__fewer_than_eight_samples_decide_nothing,
		hystart__one_ack_is_limited_unless_paced,
		hystart__later_slow_starts_are_not_watched, hystart__brakes_newreno,
		hystart__brakes_cubic, cubic__undo_restores_the_curve)
