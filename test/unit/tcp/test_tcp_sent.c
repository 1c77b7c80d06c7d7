/* SPDX-License-Identifier: BSD-3-Clause */
/* What of a flight does a SACK block name? */
#include "test/unit/tcp/facts.h"
#include "test/unit/tcp/fake_up.h"

static struct core *core;
static struct tcp_ctx *ctx;

#define MSS 1460u
#define SEG(i) (1 + (i)*MSS) /* sequence of segment i, relative to ISS */

static void opened(void)
{
	core = fake_new(NULL);
	ctx = fake_accepted(core, &(struct fake_peer){.sack = true, .wscale = true, .mss = 1460});
}

static void sack(uint32_t lo, uint32_t hi)
{
	fake_rx_sack(core, ctx, 1, 1, (const uint32_t[][2]){{lo, hi}}, 1);
	fake_flush(core);
}

static void closed(void)
{
	fake_check(core);
	fake_free(core);
}

START_TEST(tcp_sent_sacked__part_of_a_segment_is_no_proof)
{
	opened();
	fake_write(core, ctx, 10 * MSS);
	core->now_us += 10000;
	sack(SEG(10) - 1, SEG(10));
	sack(SEG(3), SEG(4) - 1);
	sack(SEG(5) + 1, SEG(6));
	ck_assert_uint_eq(ctx->sacked_bytes, 0);
	ck_assert_uint_eq(ctx->dupacks, 0);
	/* two whole ones and parts at both ends */
	sack(SEG(5) - 10, SEG(7) + 10);
	ck_assert_uint_eq(ctx->sacked_bytes, 2 * MSS);
	closed();
}
END_TEST

START_TEST(tcp_sent_sacked__the_short_segment_of_a_burst_counts)
{
	opened();
	fake_write(core, ctx, 2 * MSS + 100);
	sack(SEG(2), SEG(2) + 100);
	ck_assert_uint_eq(ctx->sacked_bytes, 100);
	closed();
}
END_TEST

START_TEST(tcp_sent_sacked__of_small_segments_sent_together_every_byte_counts)
{
	opened();
	ctx->flags |= TCP_CTX_NODELAY;
	for (int i = 0; i < 4; i++)
		fake_write(core, ctx, 100);
	sack(101, 301);
	ck_assert_uint_eq(ctx->sacked_bytes, 200);
	core->now_us += 1000;
	/* in the log, too */
	for (int i = 0; i < 4; i++)
		fake_write(core, ctx, 100);
	sack(501, 601);
	ck_assert_uint_eq(ctx->sacked_bytes, 300);
	closed();
}
END_TEST

FACTS("tcp sent", tcp_sent_sacked__part_of_a_segment_is_no_proof,
		tcp_sent_sacked__the_short_segment_of_a_burst_counts,
		tcp_sent_sacked__of_small_segments_sent_together_every_byte_counts)
