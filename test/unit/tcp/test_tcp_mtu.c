/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "test/unit/tcp/facts.h"
#include "test/unit/tcp/fake_up.h"

#define MSS 1460u
#define BASE 1024u

static struct core *core;
static struct tcp_ctx *ctx;

static void begin(uint8_t probing)
{
	struct tcp_conf conf;

	tcp_conf_default(&conf);
	conf.timestamps = false;
	conf.mtu_probing = probing;
	core = fake_new(&conf);
	core->burst_bytes = 16 * MSS;
	ctx = fake_accepted(core, &(struct fake_peer){.sack = true, .wscale = true, .mss = MSS});
	fake_write(core, ctx, 1000 * MSS);
	fake_take(core);
}

static void ack_to(uint32_t seq)
{
	fake_rx(core, ctx, TCP_ACK, 1, seq - ctx->iss, 0);
	fake_flush(core);
}

static void timeouts(uint32_t n)
{
	while (ctx->timeouts_n < n)
		fake_run(core, 10);
}

/* Everything arrives until a probe is out. Return: its payload. */
static uint32_t run_to_probe(void)
{
	for (uint32_t i = 0; i < 40 && ctx->mtu_probe == 0; i++)
		ack_to(ctx->snd_nxt);
	ck_assert_uint_ne(ctx->mtu_probe, 0);
	return ctx->mtu_probe;
}

START_TEST(off__never_shrinks)
{
	begin(TCP_MTU_PROBING_OFF);
	timeouts(8);
	ck_assert_uint_eq(ctx->mss, MSS);
	ck_assert_uint_eq(core->stack.stats.mtu_black_holes, 0);
	fake_free(core);
}
END_TEST

START_TEST(blackhole__fourth_timeout_falls_to_base)
{
	begin(TCP_MTU_PROBING_BLACKHOLE);
	ck_assert_uint_eq(ctx->mss, MSS);
	timeouts(3);
	ck_assert_uint_eq(ctx->mss, MSS);
	fake_take(core);
	timeouts(4);
	ck_assert_uint_eq(ctx->mss, BASE);
	ck_assert_str_eq(fake_take(core), "rtx A 1+1024 1; ");
	timeouts(5);
	ck_assert_uint_eq(ctx->mss, BASE / 2);
	timeouts(14);
	ck_assert_uint_eq(ctx->mss, 64); /* and not below */
	fake_free(core);
}
END_TEST

START_TEST(blackhole__an_acknowledgement_in_between_starts_the_count_anew)
{
	begin(TCP_MTU_PROBING_BLACKHOLE);
	timeouts(3);
	ack_to(ctx->snd_una + MSS);
	timeouts(6);
	ck_assert_uint_eq(ctx->mss, MSS);
	timeouts(7);
	ck_assert_uint_eq(ctx->mss, BASE);
	fake_free(core);
}
END_TEST

START_TEST(always__begins_at_base)
{
	begin(TCP_MTU_PROBING_ALWAYS);
	ck_assert_uint_eq(ctx->mss, BASE);
	ck_assert_uint_eq(ctx->mss_adv, MSS); /* the peer may send what it likes */
	ck_assert_uint_eq(ctx->mtu_hi, MSS);
	fake_free(core);
}
END_TEST

START_TEST(probe__leaves_in_one_piece_with_data_behind)
{
	uint32_t probe;

	begin(TCP_MTU_PROBING_ALWAYS);
	probe = run_to_probe();
	ck_assert_uint_eq(probe, (BASE + MSS + 1) / 2);
	for (uint32_t i = 0, n = 0; i < core->sent_n; i++) {
		const struct tcp_txseg *seg = &core->sent[i].seg;

		if (seg->flags & TCP_SYN)
			continue;
		ck_assert_uint_eq(seg->mss, seg->len == probe ? probe : BASE);
		n += seg->len == probe;
		ck_assert_uint_eq(n, seg->seq + seg->len >= ctx->mtu_probe_end);
	}
	ck_assert_uint_ge(ctx->snd_nxt - ctx->mtu_probe_end, 3 * BASE);
	fake_free(core);
}
END_TEST

START_TEST(probe__arrives_and_the_next_is_larger)
{
	uint32_t probe;

	begin(TCP_MTU_PROBING_ALWAYS);
	probe = run_to_probe();
	ack_to(ctx->mtu_probe_end);
	ck_assert_uint_eq(core->stack.stats.mtu_successes, 1);
	ck_assert_uint_eq(ctx->mss, probe);
	for (uint32_t i = 0; i < 12; i++) {
		fake_write(core, ctx, 100 * MSS);
		for (uint32_t k = 0; k < 8; k++)
			ack_to(ctx->snd_nxt);
		fake_take(core);
	}
	/* the search ends near the top, and rests */
	ck_assert_uint_lt(ctx->mtu_hi - ctx->mtu_lo, 8);
	ck_assert_uint_gt(ctx->mss, MSS - 8);
	fake_free(core);
}
END_TEST

/* SACK of all behind the probe, in three steps. */
static void lose_probe(uint32_t from)
{
	ack_to(from);
	for (uint32_t i = 1; i <= 3; i++) {
		uint32_t lo = ctx->mtu_probe_end ? ctx->mtu_probe_end : from;

		core->now_us += 1000; /* RACK tells a segment from its retransmission by time */
		fake_rx_sack(core, ctx, 1, from - ctx->iss,
				(const uint32_t[][2]){{lo - ctx->iss, lo - ctx->iss + i * BASE}},
				1);
		fake_flush(core);
	}
}

START_TEST(probe__its_loss_is_not_congestion)
{
	uint32_t probe, cwnd, start;

	begin(TCP_MTU_PROBING_ALWAYS);
	probe = run_to_probe();
	start = ctx->mtu_probe_end - probe;
	ack_to(start);
	cwnd = ctx->cwnd;
	fake_take(core);
	lose_probe(start);
	ck_assert_uint_eq(core->stack.stats.mtu_fails, 1);
	ck_assert_uint_eq(core->stack.stats.sack_recovery, 0);
	ck_assert_uint_ge(ctx->cwnd, cwnd);
	ck_assert_uint_eq(ctx->mtu_hi, probe - 1);
	ck_assert_uint_eq(ctx->mss, BASE);
	ck_assert_ptr_nonnull(
			strstr(fake_take(core), "+1024 1; ")); /* sent again, in small pieces */
	fake_free(core);
}
END_TEST

START_TEST(probe__loss_of_another_is_congestion)
{
	uint32_t cwnd, una;

	begin(TCP_MTU_PROBING_ALWAYS);
	for (uint32_t i = 0; i < 40 && ctx->mtu_probe == 0; i++)
		ack_to(ctx->snd_nxt - BASE);
	una = ctx->snd_una;
	ck_assert_uint_lt(una, ctx->mtu_probe_end - ctx->mtu_probe);
	cwnd = ctx->cwnd;
	lose_probe(una);
	ck_assert_uint_eq(core->stack.stats.mtu_fails, 0);
	ck_assert_uint_lt(ctx->cwnd, cwnd);
	ck_assert_uint_eq(ctx->mtu_probe, 0); /* proves nothing */
	fake_free(core);
}
END_TEST

START_TEST(probe__none_without_data_behind_it)
{
	struct tcp_conf conf;

	tcp_conf_default(&conf);
	conf.timestamps = false;
	conf.mtu_probing = TCP_MTU_PROBING_ALWAYS;
	core = fake_new(&conf);
	ctx = fake_accepted(core, &(struct fake_peer){.sack = true, .wscale = true, .mss = MSS});
	for (uint32_t i = 0; i < 60; i++) {
		fake_write(core, ctx, 3 * BASE);
		ack_to(ctx->snd_nxt);
		fake_take(core);
	}
	ck_assert_uint_eq(core->stack.stats.mtu_probes, 0);
	fake_free(core);
}
END_TEST

START_TEST(probe__goes_again_when_the_port_was_full)
{
	uint32_t end;

	begin(TCP_MTU_PROBING_ALWAYS);
	for (uint32_t i = 0; i < 40 && ctx->mtu_probe == 0; i++) {
		core->send_max = 0;
		ack_to(ctx->snd_nxt);
		core->send_max = INT32_MAX;
		if (ctx->mtu_probe == 0)
			fake_run(core, 5);
	}
	ck_assert_uint_ne(ctx->mtu_probe, 0);
	end = ctx->mtu_probe_end;
	ck_assert_uint_eq(ctx->snd_nxt + ctx->mtu_probe, end);
	fake_run(core, 5);
	ck_assert_uint_eq(ctx->mtu_probe_end, end);
	ck_assert_uint_gt(ctx->snd_nxt, end);
	ck_assert_uint_eq(core->stack.stats.mtu_probes, 1);
	fake_free(core);
}
END_TEST

START_TEST(path__bounds_the_search)
{
	begin(TCP_MTU_PROBING_ALWAYS);
	tcp_mss_changed(&core->stack, core, ctx, 1200, core->now_us);
	ck_assert_uint_eq(ctx->mtu_hi, 1200);
	ck_assert_uint_eq(ctx->mss, BASE);
	tcp_mss_changed(&core->stack, core, ctx, 900, core->now_us);
	ck_assert_uint_eq(ctx->mss, 900);
	fake_free(core);
}
END_TEST

START_TEST(search__begins_again_after_ten_minutes)
{
	begin(TCP_MTU_PROBING_ALWAYS);
	tcp_mss_changed(&core->stack, core, ctx, BASE + 4, core->now_us);
	for (uint32_t i = 0; i < 3; i++) {
		ack_to(ctx->snd_nxt);
		fake_take(core);
	}
	ck_assert_uint_eq(core->stack.stats.mtu_probes, 0);
	tcp_mss_changed(&core->stack, core, ctx, MSS, core->now_us);
	core->now_us += 599000000;
	ack_to(ctx->snd_nxt);
	ck_assert_uint_eq(core->stack.stats.mtu_probes, 0);
	core->now_us += 2000000;
	for (uint32_t i = 0; i < 4 && ctx->mtu_probe == 0; i++) {
		ack_to(ctx->snd_nxt);
		fake_take(core);
	}
	ck_assert_uint_eq(core->stack.stats.mtu_probes, 1);
	fake_free(core);
}
END_TEST

FACTS("tcp mtu", off__never_shrinks, blackhole__fourth_timeout_falls_to_base,
		blackhole__an_acknowledgement_in_between_starts_the_count_anew,
		always__begins_at_base, probe__leaves_in_one_piece_with_data_behind,
		probe__arrives_and_the_next_is_larger, probe__its_loss_is_not_congestion,
		probe__loss_of_another_is_congestion, probe__none_without_data_behind_it,
		probe__goes_again_when_the_port_was_full, path__bounds_the_search,
		search__begins_again_after_ten_minutes)
