/* SPDX-License-Identifier: BSD-3-Clause */
#include "test/unit/tcp/facts.h"
#include "test/unit/tcp/fake_up.h"

static struct core *core;
static struct tcp_ctx *ctx;

static void open_new(void)
{
	core = fake_new(NULL);
	ctx = fake_accepted(core, NULL);
	core->burst_bytes = 64000;
}

static uint32_t queued(void)
{
	return ctx->snd_tail - ctx->iss - 1;
}

static void write_record(uint32_t len)
{
	uint32_t tail = queued() + len;

	tcp_eor(&core->stack, ctx, tail);
	tcp_write(&core->stack, core, ctx, tail, core->now_us);
	fake_check(core);
}

static void ack(uint32_t bytes)
{
	fake_rx(core, ctx, TCP_ACK, 1, 1 + bytes, 0);
	fake_flush(core);
	fake_check(core);
}

/* Something short is in flight: Nagle's rule holds back what is written next. */
static void open_waiting(void)
{
	open_new();
	fake_write(core, ctx, 100);
	ck_assert_str_eq(fake_take(core), "PA 1+100 1; ");
}

START_TEST(tcp_eor__what_follows_is_not_appended)
{
	open_waiting();
	write_record(200);
	ck_assert_str_eq(fake_take(core), "");
	fake_write(core, ctx, 300);
	/* complete, it goes; the last one waits as ever */
	ck_assert_str_eq(fake_take(core), "PA 101+200 1; ");
	ack(300);
	ck_assert_str_eq(fake_take(core), "acked 300; PA 301+300 1; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_eor__each_record_ends_its_segment)
{
	open_new();
	tcp_param(&core->stack, core, ctx, &(struct tcp_param){.cork = true}, core->now_us);
	write_record(2000);
	/* corked, and the last */
	ck_assert_str_eq(fake_take(core), "A 1+1460 1; ");
	write_record(400);
	ck_assert_str_eq(fake_take(core), "PA 1461+540 1; ");
	write_record(400);
	fake_write(core, ctx, 3000);
	ck_assert_str_eq(fake_take(core), "PA 2001+400 1; PA 2401+400 1; PA 2801+2920 1; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_eor__a_record_larger_than_the_window_is_cut_at_segments)
{
	open_new();
	fake_write(core, ctx, 1);
	fake_take(core);
	ack(1);
	fake_take(core);
	ctx->snd_wnd = 3000;
	write_record(4000);
	ck_assert_str_eq(fake_take(core), "PA 2+2920 1; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_eor__a_lost_record_is_sent_again_alone)
{
	open_waiting();
	tcp_param(&core->stack, core, ctx, &(struct tcp_param){.nodelay = true}, core->now_us);
	write_record(400);
	write_record(400);
	fake_write(core, ctx, 4 * 1460);
	ck_assert_str_eq(fake_take(core), "PA 101+400 1; PA 501+400 1; PA 901+5840 1; ");
	fake_rx_sack(core, ctx, 1, 101, (const uint32_t[][2]){{901, 901 + 5840}}, 1);
	fake_flush(core);
	fake_run(core, 2);
	ck_assert_ptr_nonnull(strstr(fake_take(core), "rtx PA 101+400 1; rtx PA 501+400 1; "));
	fake_check(core);
	fake_free(core);
}
END_TEST

/* Without a log the first segment is sent again; it ends where the record does. */
START_TEST(tcp_eor__without_a_log_the_first_record_is_sent_again)
{
	open_new();
	core->stack.log_free = 0;
	core->stack.log_n = 0;
	tcp_param(&core->stack, core, ctx, &(struct tcp_param){.nodelay = true}, core->now_us);
	write_record(400);
	write_record(400);
	fake_take(core);
	fake_run(core, 1100);
	ck_assert_ptr_nonnull(strstr(fake_take(core), "rtx PA 1+400 1; "));
	fake_free(core);
}
END_TEST

START_TEST(tcp_eor__the_probe_repeats_the_last_record_alone)
{
	open_new();
	tcp_param(&core->stack, core, ctx, &(struct tcp_param){.nodelay = true}, core->now_us);
	fake_write(core, ctx, 1);
	core->now_us += 4000;
	ack(1);
	fake_take(core);
	write_record(400);
	write_record(300);
	fake_take(core);
	fake_run(core, 300);
	ck_assert_int_eq(strncmp(fake_take(core), "rtx PA 402+300 1; ", 18), 0);
	fake_free(core);
}
END_TEST

START_TEST(tcp_eor__a_fin_goes_with_the_last_record)
{
	open_waiting();
	write_record(200);
	write_record(200);
	fake_take(core);
	tcp_shut_wr(&core->stack, core, ctx, core->now_us);
	ck_assert_str_eq(fake_take(core), "FPA 301+200 1; ");
	ack(300);
	fake_take(core);
	fake_run(core, 1100);
	ck_assert_ptr_nonnull(strstr(fake_take(core), "rtx FPA 301+200 1; "));
	fake_check(core);
	fake_free(core);
}
END_TEST

START_TEST(tcp_eor__acknowledged_ends_cost_nothing)
{
	uint32_t free_ext;

	open_new();
	free_ext = core->stack.ext_free;
	write_record(200);
	ck_assert(ctx->flags & TCP_CTX_CAREFUL);
	ck_assert_uint_ne(core->stack.ext_free, free_ext);
	ack(200);
	ck_assert_uint_eq(core->stack.ext_free, free_ext);
	ck_assert(!(ctx->flags & TCP_CTX_CAREFUL));
	write_record(200);
	tcp_abort(&core->stack, core, ctx, ETA_STATUS_ABORTED);
	ck_assert_uint_eq(core->stack.ext_free, free_ext);
	fake_free(core);
}
END_TEST

/* Doorbells of another thread come first: the end is one within what is queued. */
START_TEST(tcp_eor__an_end_that_is_told_late_still_counts)
{
	open_waiting();
	fake_write(core, ctx, 700);
	ck_assert_str_eq(fake_take(core), "");
	tcp_eor(&core->stack, ctx, 500);
	tcp_eor(&core->stack, ctx, 300);
	tcp_eor(&core->stack, ctx, 300);
	fake_check(core);
	tcp_write(&core->stack, core, ctx, 800, core->now_us);
	ck_assert_str_eq(fake_take(core), "PA 101+200 1; PA 301+200 1; ");
	fake_free(core);
}
END_TEST

START_TEST(tcp_eor__outside_of_what_may_be_queued_is_ignored)
{
	open_new();
	write_record(100);
	ack(100);
	tcp_eor(&core->stack, ctx, 100);
	tcp_eor(&core->stack, ctx, 50);
	tcp_eor(&core->stack, ctx, 100 + (9u << 20));
	ck_assert(!(ctx->flags2 & TCP_CTX2_EOR));
	tcp_shut_wr(&core->stack, core, ctx, core->now_us);
	tcp_eor(&core->stack, ctx, 200);
	ck_assert(!(ctx->flags2 & TCP_CTX2_EOR));
	fake_free(core);
}
END_TEST

START_TEST(tcp_eor__too_many_ends_are_forgotten_and_counted)
{
	uint32_t ext_free;

	open_waiting();
	/* the window is shut: nothing leaves */
	ctx->snd_wnd = 100;
	for (uint32_t i = 0; i < 130; i++)
		write_record(10);
	ck_assert_uint_eq(core->stack.stats.eor_full, 4);
	fake_check(core);
	fake_free(core);
	/* and so are those for which no extension is left */
	open_new();
	ext_free = core->stack.ext_free;
	core->stack.ext_free = 0;
	tcp_eor(&core->stack, ctx, 100);
	core->stack.ext_free = ext_free;
	ck_assert_uint_eq(core->stack.stats.eor_full, 1);
	ck_assert(!(ctx->flags2 & TCP_CTX2_EOR));
	fake_free(core);
}
END_TEST

FACTS("tcp eor", tcp_eor__what_follows_is_not_appended, tcp_eor__each_record_ends_its_segment,
		tcp_eor__a_record_larger_than_the_window_is_cut_at_segments,
		tcp_eor__a_lost_record_is_sent_again_alone,
		tcp_eor__without_a_log_the_first_record_is_sent_again,
		tcp_eor__the_probe_repeats_the_last_record_alone,
		tcp_eor__a_fin_goes_with_the_last_record, tcp_eor__acknowledged_ends_cost_nothing,
		tcp_eor__an_end_that_is_told_late_still_counts,
		tcp_eor__outside_of_what_may_be_queued_is_ignored,
		tcp_eor__too_many_ends_are_forgotten_and_counted)
