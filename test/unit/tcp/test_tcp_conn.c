/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "test/unit/tcp/facts.h"
#include "test/unit/tcp/fake_up.h"

static struct core *core;

static uint32_t iss_of(const struct ip_tuple *tuple, uint32_t *ts_off)
{
	struct tcp_env e = TCP_ENV(&core->stack, core, core->now_us);

	return tcp_conn_iss(&e, tuple, ts_off);
}

static int bits(uint32_t v)
{
	return __builtin_popcount(v);
}

/* RFC 6528 3: M is a clock of 4 us, F does not change. */
START_TEST(tcp_conn_iss__of_one_tuple_follows_the_clock)
{
	uint32_t last, first_off, off;

	core = fake_new(NULL);
	last = iss_of(&core->tuple, &first_off);
	for (int i = 0; i < 1000; i++) {
		uint32_t now;

		core->now_us += 4000;
		now = iss_of(&core->tuple, &off);
		ck_assert_uint_eq(now - last, 1000);
		ck_assert_uint_eq(off, first_off);
		last = now;
	}
	fake_free(core);
}
END_TEST

/* One bit of any part of the tuple changes half of the number and of the timestamp's offset. */
START_TEST(tcp_conn_iss__of_other_tuples_tells_nothing)
{
	uint32_t base, base_off, off;
	int iss_bits = 0, off_bits = 0, n = 0;

	core = fake_new(NULL);
	base = iss_of(&core->tuple, &base_off);
	for (int i = 0; i < 96; i++) {
		struct ip_tuple t = core->tuple;

		if (i < 32)
			t.raddr.w_be[3] ^= 1u << i;
		else if (i < 64)
			t.laddr.w_be[3] ^= 1u << (i - 32);
		else if (i < 80)
			t.lport_be ^= (uint16_t)(1u << (i - 64));
		else
			t.rport_be ^= (uint16_t)(1u << (i - 80));
		iss_bits += bits(iss_of(&t, &off) ^ base);
		off_bits += bits(off ^ base_off);
		n++;
	}
	/* of n * 32 coin tosses; 10 standard deviations */
	ck_assert_int_gt(iss_bits, n * 16 - 277);
	ck_assert_int_lt(iss_bits, n * 16 + 277);
	ck_assert_int_gt(off_bits, n * 16 - 277);
	ck_assert_int_lt(off_bits, n * 16 + 277);
	fake_free(core);
}
END_TEST

/* Who sees the numbers of ports 1, 2, 3 ... (his own connections) does not see the step to the next. */
START_TEST(tcp_conn_iss__of_neighbouring_ports_has_no_common_step)
{
	uint32_t step[256], off, last;
	int equal = 0;

	core = fake_new(NULL);
	last = iss_of(&core->tuple, &off);
	for (int i = 0; i < 256; i++) {
		core->tuple.rport_be = (uint16_t)(core->tuple.rport_be + 0x100);
		step[i] = iss_of(&core->tuple, &off) - last;
		last += step[i];
		for (int k = 0; k < i; k++)
			equal += step[k] >> 16 == step[i] >> 16;
	}
	ck_assert_int_le(equal, 8); /* 32640 pairs, each 1 in 65536 */
	fake_free(core);
}
END_TEST

START_TEST(tcp_conn_iss__depends_on_the_secret)
{
	uint32_t a, b, off_a, off_b;

	core = fake_new(NULL);
	a = iss_of(&core->tuple, &off_a);
	core->stack.conf.isn_key[1] ^= 1;
	b = iss_of(&core->tuple, &off_b);
	ck_assert_int_ge(bits(a ^ b), 6);
	ck_assert_int_ge(bits(off_a ^ off_b), 6);
	fake_free(core);
}
END_TEST

/* A number and an offset come from one hash: neither gives the other away. */
START_TEST(tcp_conn_iss__is_not_related_to_the_timestamp_offset)
{
	int same = 0, n = 0;

	core = fake_new(NULL);
	for (int i = 0; i < 200; i++) {
		uint32_t off, iss;

		core->tuple.rport_be = (uint16_t)(i * 251);
		iss = iss_of(&core->tuple, &off);
		same += bits(~((iss - (uint32_t)(core->now_us >> 2)) ^ off));
		n += 32;
	}
	ck_assert_int_gt(same, n / 2 - 400);
	ck_assert_int_lt(same, n / 2 + 400);
	fake_free(core);
}
END_TEST

START_TEST(tcp_conn_established__no_data_came_since_now)
{
	struct tcp_ctx_info info;
	struct tcp_ctx *ctx;

	core = fake_new(NULL);
	ctx = fake_ctx(core);
	tcp_connect(&core->stack, core, ctx, &core->tuple, NULL, core->now_us);
	fake_run(core, 300);
	fake_rx_seg(core, ctx,
			(struct tcp_seg){.seq = FAKE_IRS,
					.ack = ctx->iss + 1,
					.flags = TCP_SYN | TCP_ACK,
					.wnd = 1000});
	core->now_us += 20000;
	tcp_ctx_info(&core->stack, ctx, core->now_us, &info);
	ck_assert_uint_eq(info.data_rcvd_ms, 20);
	fake_free(core);
}
END_TEST

FACTS("tcp conn", tcp_conn_established__no_data_came_since_now,
		tcp_conn_iss__of_one_tuple_follows_the_clock,
		tcp_conn_iss__of_other_tuples_tells_nothing,
		tcp_conn_iss__of_neighbouring_ports_has_no_common_step,
		tcp_conn_iss__depends_on_the_secret,
		tcp_conn_iss__is_not_related_to_the_timestamp_offset)
