/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "test/unit/tcp/facts.h"
#include "test/unit/tcp/fake_up.h"

static struct tcp_opts parse(uint8_t flags, const uint8_t *opt, uint8_t len)
{
	struct tcp_seg seg = {.flags = flags, .opt = opt, .opt_len = len};
	struct tcp_opts opts;

	memset(&opts, 0xff, sizeof(opts));
	tcp_opt_parse(&seg, &opts);
	return opts;
}

#define PARSE(flags, ...) \
	parse(flags, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

START_TEST(tcp_opt_parse__all_of_a_syn)
{
	struct tcp_opts o = PARSE(
			TCP_SYN, 2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9, 1, 3, 3, 7);

	ck_assert_uint_eq(o.has, TCP_OPT_HAS_MSS | TCP_OPT_HAS_SACK_PERM | TCP_OPT_HAS_TS |
						 TCP_OPT_HAS_WSCALE);
	ck_assert_uint_eq(o.mss, 1460);
	ck_assert_uint_eq(o.tsval, 7);
	ck_assert_uint_eq(o.tsecr, 9);
	ck_assert_uint_eq(o.wscale, 7);
}
END_TEST

START_TEST(tcp_opt_parse__syn_options_only_in_syn)
{
	ck_assert_uint_eq(PARSE(TCP_ACK, 2, 4, 5, 180, 4, 2, 3, 3, 7).has, 0);
}
END_TEST

START_TEST(tcp_opt_parse__wscale_at_most_14)
{
	ck_assert_uint_eq(PARSE(TCP_SYN, 3, 3, 200, 0).wscale, 14);
}
END_TEST

START_TEST(tcp_opt_parse__sack_blocks)
{
	struct tcp_opts o = PARSE(TCP_ACK, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4);

	ck_assert_uint_eq(o.sack_n, 2);
	ck_assert_uint_eq(o.sack[0].lo, 1);
	ck_assert_uint_eq(o.sack[1].hi, 4);
}
END_TEST

START_TEST(tcp_opt_parse__sack_of_odd_length_is_ignored)
{
	ck_assert_uint_eq(PARSE(TCP_ACK, 5, 11, 0, 0, 0, 1, 0, 0, 0, 2, 9).sack_n, 0);
}
END_TEST

START_TEST(tcp_opt_parse__length_zero_ends_the_reading)
{
	ck_assert_uint_eq(PARSE(TCP_SYN, 99, 0, 4, 2).has, 0);
}
END_TEST

START_TEST(tcp_opt_parse__length_beyond_the_end_ends_the_reading)
{
	ck_assert_uint_eq(PARSE(TCP_SYN, 4, 2, 8, 10, 0, 0).has, TCP_OPT_HAS_SACK_PERM);
	ck_assert_uint_eq(PARSE(TCP_SYN, 8).has, 0);
	ck_assert_uint_eq(PARSE(TCP_SYN, 8, 10, 0, 0, 0, 1, 0, 0, 0).has, 0); /* one byte short */
}
END_TEST

START_TEST(tcp_opt_parse__unknown_is_skipped)
{
	ck_assert_uint_eq(PARSE(TCP_SYN, 253, 5, 1, 2, 3, 4, 2, 1).has, TCP_OPT_HAS_SACK_PERM);
}
END_TEST

START_TEST(tcp_opt_parse__end_of_list_ends)
{
	ck_assert_uint_eq(PARSE(TCP_SYN, 0, 4, 2, 0).has, 0);
}
END_TEST

START_TEST(tcp_opt_put_syn__reads_back)
{
	struct core *core = fake_new(NULL);
	struct tcp_env e = TCP_ENV(&core->stack, core, core->now_us);
	struct tcp_ctx ctx = {.flags = TCP_CTX_TS | TCP_CTX_SACK | TCP_CTX_WSCALE,
			.mss_adv = 1400,
			.rcv_wscale = 7,
			.ts_off = 5,
			.ts_recent = 77};
	uint8_t opt[40];
	uint8_t len = tcp_opt_put_syn(&e, &ctx, opt);
	struct tcp_opts o = parse(TCP_SYN, opt, len);

	ck_assert_uint_eq(len, 20);
	ck_assert_uint_eq(o.has, 15);
	ck_assert_uint_eq(o.mss, 1400);
	ck_assert_uint_eq(o.wscale, 7);
	ck_assert_uint_eq(o.tsval, 10005);
	ck_assert_uint_eq(o.tsecr, 77);
	fake_free(core);
}
END_TEST

START_TEST(tcp_opt_put_syn__only_what_was_agreed)
{
	struct core *core = fake_new(NULL);
	struct tcp_env e = TCP_ENV(&core->stack, core, core->now_us);
	struct tcp_ctx ctx = {.mss_adv = 1400};
	uint8_t opt[40];

	ck_assert_uint_eq(tcp_opt_put_syn(&e, &ctx, opt), 4);
	ctx.flags = TCP_CTX_SACK;
	ck_assert_uint_eq(tcp_opt_put_syn(&e, &ctx, opt), 8);
	ck_assert_uint_eq(parse(TCP_SYN, opt, 8).has, TCP_OPT_HAS_MSS | TCP_OPT_HAS_SACK_PERM);
	fake_free(core);
}
END_TEST

START_TEST(tcp_opt_put__three_blocks_beside_timestamps)
{
	struct core *core = fake_new(NULL);
	struct tcp_env e = TCP_ENV(&core->stack, core, core->now_us);
	struct tcp_ctx ctx = {.flags = TCP_CTX_TS | TCP_CTX_SACK};
	uint8_t opt[40];

	ctx.ooo_ext = tcp_ext_get(&core->stack);
	for (uint32_t i = 0; i < 6; i++)
		tcp_range_add(&core->ext[ctx.ooo_ext], 100 * i + 100, 100 * i + 150);
	ck_assert_uint_eq(tcp_opt_put(&e, &ctx, opt), 40);
	ck_assert_uint_eq(parse(TCP_ACK, opt, 40).sack_n, 3);
	ctx.flags = TCP_CTX_SACK;
	ck_assert_uint_eq(tcp_opt_put(&e, &ctx, opt), 36);
	ck_assert_uint_eq(parse(TCP_ACK, opt, 36).sack_n, 4);
	ctx.flags = 0;
	ck_assert_uint_eq(tcp_opt_put(&e, &ctx, opt), 0);
	tcp_ext_put(&core->stack, &ctx.ooo_ext);
	fake_free(core);
}
END_TEST

FACTS("tcp opt", tcp_opt_parse__all_of_a_syn, tcp_opt_parse__syn_options_only_in_syn,
		tcp_opt_parse__wscale_at_most_14, tcp_opt_parse__sack_blocks,
		tcp_opt_parse__sack_of_odd_length_is_ignored,
		tcp_opt_parse__length_zero_ends_the_reading,
		tcp_opt_parse__length_beyond_the_end_ends_the_reading,
		tcp_opt_parse__unknown_is_skipped, tcp_opt_parse__end_of_list_ends,
		tcp_opt_put_syn__reads_back, tcp_opt_put_syn__only_what_was_agreed,
		tcp_opt_put__three_blocks_beside_timestamps)
