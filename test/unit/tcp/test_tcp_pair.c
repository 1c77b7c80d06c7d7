/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two stacks back to back over a bad wire, in virtual time, without DPDK: whatever is lost, doubled, delayed, short of memory or refused
 * by the port, every byte arrives once and in order in both directions, and both ends close.
 *
 * One seed decides everything; a failure prints it:  PAIR_SEED=17
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test/unit/tcp/fake_up.h"

#define WIRE_MAX 4096u
#define STREAM_MAX (1u << 18)
#define EMBRYO_SLACK 65535u /* a SYN-ACK may promise more than there is */

/* ck_assert() reports to its parent process even if all is well: too slow for every byte. */
#define MUST(p, cond)                                                                            \
	do {                                                                                     \
		if (!(cond))                                                                     \
			ck_abort_msg("seed %lu: not true: %s", (unsigned long)(p)->seed, #cond); \
	} while (0)

struct packet {
	uint64_t at_us;
	uint32_t order;
	struct tcp_txseg seg;
	uint32_t segs;
	int to;
};

struct end {
	struct core *core;
	struct pair *pair;
	int side;
	uint32_t ctx_idx; /* the connection, 0 = none (yet, or any more) */
	uint32_t master_idx;
	uint32_t total; /* bytes to send */
	uint32_t written;
	uint32_t acked;
	uint32_t rcv_tail;
	uint32_t rcv_head;
	uint32_t buf_bytes; /* receive buffer */
	bool fin_seen, shut, closed, was_open;
	enum eta_status why;
	uint8_t *have; /* [STREAM_MAX] stored bytes */
};

struct pair {
	uint64_t seed, rng;
	uint64_t now_us;
	struct end end[2];
	struct packet wire[WIRE_MAX];
	uint32_t wire_n;
	uint32_t order;
	/* how bad */
	uint32_t mark_permille, loss_permille, dup_permille, reorder_permille, place_permille,
			send_permille;
	uint32_t delay_us;
	bool superframes;
	uint64_t link_free_us[2];
};

static uint32_t rnd(struct pair *p, uint32_t n)
{
	p->rng ^= p->rng >> 12;
	p->rng ^= p->rng << 25;
	p->rng ^= p->rng >> 27;
	return (uint32_t)((p->rng * 0x2545f4914f6cdd1dull) >> 32) % n;
}

static bool chance(struct pair *p, uint32_t permille)
{
	return rnd(p, 1000) < permille;
}

static uint8_t pattern(int from, uint32_t off)
{
	uint32_t x = off * 2654435761u + (uint32_t)from * 97;

	return (uint8_t)(x >> 13 ^ x);
}

static uint32_t on_place(struct core *core, struct tcp_ctx *ctx, uint32_t off, const uint8_t *data,
		uint32_t len)
{
	struct end *end = core->arg;

	MUST(end->pair, off - end->rcv_head + len <= end->buf_bytes + EMBRYO_SLACK);
	MUST(end->pair, ctx->idx == end->ctx_idx);
	if (chance(end->pair, end->pair->place_permille))
		len = rnd(end->pair, len + 1);
	for (uint32_t i = 0; i < len; i++) {
		MUST(end->pair, data[i] == pattern(!end->side, off + i));
		end->have[off + i] = 1;
	}
	return len;
}

static uint32_t on_space(struct core *core, struct tcp_ctx *ctx)
{
	struct end *end = core->arg;
	uint32_t used;

	if (ctx->idx != end->ctx_idx)
		return end->buf_bytes;
	used = end->rcv_tail - end->rcv_head;
	return used < end->buf_bytes ? end->buf_bytes - used : 0;
}

static void on_readable(struct core *core, struct tcp_ctx *ctx, uint32_t tail, bool fin)
{
	struct end *end = core->arg;

	(void)ctx;
	MUST(end->pair, !end->fin_seen);
	for (; end->rcv_tail != tail; end->rcv_tail++)
		MUST(end->pair, end->have[end->rcv_tail]); /* announced: was it stored? */
	end->fin_seen = fin;
}

static void on_acked(struct core *core, struct tcp_ctx *ctx, uint32_t una)
{
	struct end *end = core->arg;

	(void)ctx;
	MUST(end->pair, una > end->acked && una <= end->written);
	end->acked = una;
}

static void on_closed(struct core *core, struct tcp_ctx *ctx, enum eta_status why)
{
	struct end *end = core->arg;

	if (ctx->idx == end->master_idx)
		return;
	MUST(end->pair, !end->closed);
	end->closed = true;
	end->why = why;
}

static void wire_put(struct pair *p, struct end *from, const struct tcp_txseg *seg, uint32_t segs)
{
	uint64_t at_us = p->now_us + p->delay_us;
	bool is_marked = chance(p, p->mark_permille);

	if (chance(p, p->loss_permille) || p->wire_n == WIRE_MAX)
		return;
	if (chance(p, p->reorder_permille))
		at_us += rnd(p, 3 * p->delay_us + 100);
	else if (at_us < p->link_free_us[from->side])
		at_us = p->link_free_us[from->side];
	p->link_free_us[from->side] = at_us + 1;
	p->wire[p->wire_n++] = (struct packet){.at_us = at_us,
			.order = p->order++,
			.seg = *seg,
			.segs = segs,
			.to = !from->side};
	MUST(p, seg->ecn == 0 || (seg->ecn == ECN_ECT0 && seg->len && !seg->is_retransmit));
	if (is_marked && seg->ecn)
		p->wire[p->wire_n - 1].seg.ecn = ECN_CE;
}

static int32_t on_send(struct core *core, struct tcp_ctx *ctx, const struct tcp_txseg *seg)
{
	struct end *end = core->arg;
	struct pair *p = end->pair;
	uint32_t len = seg->len;
	uint32_t step = p->superframes && chance(p, 500) ? 65000u / seg->mss * seg->mss : seg->mss;

	(void)ctx;
	if (chance(p, p->send_permille)) {
		if (len == 0 || chance(p, 500))
			return -1;
		len = rnd(p, len);
		if (len == 0)
			return -1; /* nothing taken, nothing on the wire */
	}
	MUST(p, len == 0 || seg->off + len <= end->written);
	for (uint32_t done = 0; done < len || done == 0;) {
		struct tcp_txseg one = *seg;
		int copies = chance(p, p->dup_permille) ? 2 : 1;

		one.seq += done;
		one.off += done;
		one.len = len - done < step ? len - done : step;
		if (done + one.len < seg->len)
			one.flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
		while (copies--)
			wire_put(p, end, &one, (one.len + seg->mss - 1) / seg->mss);
		done += one.len;
		if (one.len == 0)
			break;
	}
	return (int32_t)len;
}

static void deliver(struct pair *p, struct end *to, const struct packet *packet)
{
	static uint8_t data[65536];
	struct core *core = to->core;
	struct tcp_seg seg = {.seq = packet->seg.seq,
			.ack = packet->seg.ack,
			.wnd = packet->seg.wnd,
			.urg = packet->seg.urg,
			.flags = packet->seg.flags,
			.opt = packet->seg.opt,
			.opt_len = packet->seg.opt_len,
			.data = data,
			.len = packet->seg.len,
			.ecn = packet->seg.ecn,
			.segs = (uint16_t)(packet->segs ? packet->segs : 1)};
	uint32_t idx = to->ctx_idx ? to->ctx_idx : to->master_idx;
	enum tcp_verdict verdict;

	for (uint32_t i = 0; i < seg.len; i++)
		data[i] = pattern(!to->side, packet->seg.off + i);
	if (idx == 0) {
		tcp_rx_no_ctx(&core->stack, core, &core->tuple, &seg);
		return;
	}
	verdict = tcp_rx(&core->stack, core, &core->ctx[idx], &seg, &core->tuple, p->now_us);
	if (to->ctx_idx == 0 && core->last_embryo)
		to->ctx_idx = core->last_embryo;
	if (verdict != TCP_RX_OK || (to->ctx_idx && core->ctx[to->ctx_idx].idx == 0)) {
		to->ctx_idx = 0;
		core->last_embryo = 0;
	}
}

static struct tcp_ctx *conn(struct end *end)
{
	return end->ctx_idx && !end->closed ? &end->core->ctx[end->ctx_idx] : NULL;
}

/* What the application does now and then. */
static void user(struct pair *p, struct end *end)
{
	struct tcp_ctx *ctx = conn(end);
	struct core *core = end->core;

	if (ctx == NULL || ctx->state == TCP_STATE_SYN_RECEIVED || ctx->state == TCP_STATE_LISTEN)
		return;
	end->was_open = end->was_open || ctx->state != TCP_STATE_SYN_SENT;
	if (end->written < end->total && chance(p, 700) && end->written - end->acked < 300000) {
		uint32_t left = end->total - end->written;
		uint32_t most = chance(p, 500) ? 100 : 40000;
		uint32_t n = 1 + rnd(p, left < most ? left : most);

		end->written += n;
		tcp_write(&core->stack, core, ctx, end->written, p->now_us);
	}
	if (end->rcv_tail != end->rcv_head && chance(p, 600)) {
		uint32_t most = end->rcv_tail - end->rcv_head;

		end->rcv_head += chance(p, 700) ? most : 1 + rnd(p, most);
		tcp_read(&core->stack, core, ctx, end->rcv_head, p->now_us);
	}
	if (end->written == end->total && !end->shut) {
		end->shut = true;
		tcp_shut_wr(&core->stack, core, ctx, p->now_us);
	}
	if (end->fin_seen && end->shut && end->rcv_head == end->rcv_tail && conn(end))
		tcp_close(&core->stack, core, conn(end), p->now_us);
}

static void check_ends(struct pair *p, const char *when)
{
	for (int i = 0; i < 2; i++) {
		const char *broken = tcp_stack_check(&p->end[i].core->stack);

		if (broken)
			ck_abort_msg("seed %lu, side %d, %s: %s", (unsigned long)p->seed, i, when,
					broken);
	}
}

static void step_end(struct pair *p, struct end *end)
{
	struct core *core = end->core;

	core->now_us = p->now_us;
	for (uint32_t i = 0; i < p->wire_n;) {
		struct packet packet = p->wire[i];

		if (packet.to != end->side || packet.at_us > p->now_us) {
			i++;
			continue;
		}
		/* The oldest of those that are due first: keep the array in order of sending. */
		memmove(&p->wire[i], &p->wire[i + 1], (p->wire_n - i - 1) * sizeof(p->wire[0]));
		p->wire_n--;
		deliver(p, end, &packet);
	}
	user(p, end);
	tcp_timers(&core->stack, core, p->now_us, 32);
	if (end->ctx_idx && core->ctx[end->ctx_idx].idx == 0)
		end->ctx_idx = 0;
	tcp_flush(&core->stack, core, p->now_us);
}

static uint64_t next_us(struct pair *p)
{
	uint64_t best = p->now_us + 20000;

	for (uint32_t i = 0; i < p->wire_n; i++) {
		if (p->wire[i].at_us < best)
			best = p->wire[i].at_us;
	}
	for (int i = 0; i < 2; i++) {
		uint64_t d = tcp_next_deadline_us(&p->end[i].core->stack, p->now_us);

		if (d < best - p->now_us)
			best = p->now_us + d;
	}
	/* Bounded steps: at least 20 us. */
	return best < p->now_us + 20 ? p->now_us + 20 : best;
}

static void end_init(struct pair *p, int side)
{
	struct end *end = &p->end[side];
	struct tcp_conf conf;

	tcp_conf_default(&conf);
	conf.isn_key[0] = p->seed;
	conf.isn_key[1] = (uint64_t)side;
	conf.time_wait_ms = 60000; /* longer than the last ACK can be lost */
	conf.data_retries = 40;
	conf.orphan_retries = 40;
	conf.syn_retries = 20;
	conf.synack_retries = 20;
	conf.rto_us_max = 2000000;
	conf.timestamps = chance(p, 700);
	conf.sack = chance(p, 700);
	conf.cc = (uint8_t)(1 + rnd(p, TCP_CC_N - 1));
	conf.ecn = (uint8_t)rnd(p, 3);
	conf.pacing = chance(p, 200);
	end->core = fake_new(&conf);
	/* Another numbering: sequence numbers that wrap during the transfer are the rule. */
	end->core->is_silent = true;
	end->core->arg = end;
	end->core->on_place = on_place;
	end->core->on_space = on_space;
	end->core->on_send = on_send;
	end->core->on_readable = on_readable;
	end->core->on_acked = on_acked;
	end->core->on_closed = on_closed;
	end->core->mss = chance(p, 500) ? 1460 : (uint16_t)(100 + rnd(p, 8860));
	end->core->burst_bytes = chance(p, 500) ? 1460 : 65000;
	end->pair = p;
	end->side = side;
	end->total = chance(p, 100) ? 0 : 1 + rnd(p, chance(p, 800) ? 60000 : STREAM_MAX - 1);
	end->buf_bytes = chance(p, 300) ? 500 + rnd(p, 5000) : 20000 + rnd(p, 400000);
	end->have = calloc(1, STREAM_MAX);
	ck_assert_ptr_nonnull(end->have);
}

static bool is_done(const struct pair *p)
{
	return p->end[0].closed && p->end[1].closed;
}

static void pair_run(uint64_t seed)
{
	struct pair *p = calloc(1, sizeof(*p));
	bool both_connect;
	uint64_t end_us;

	ck_assert_ptr_nonnull(p);
	p->seed = seed;
	p->rng = seed * 0x9e3779b97f4a7c15ull + 1;
	rnd(p, 2);
	p->now_us = 10000000;
	p->loss_permille = chance(p, 300) ? 0 : rnd(p, 150);
	p->mark_permille = chance(p, 500) ? 0 : rnd(p, 300);
	p->dup_permille = chance(p, 500) ? 0 : rnd(p, 100);
	p->reorder_permille = chance(p, 500) ? 0 : rnd(p, 200);
	p->place_permille = chance(p, 800) ? 0 : rnd(p, 200);
	p->send_permille = chance(p, 800) ? 0 : rnd(p, 200);
	p->delay_us = 20 + rnd(p, chance(p, 500) ? 200 : 50000);
	p->superframes = chance(p, 500);
	end_init(p, 0);
	end_init(p, 1);
	both_connect = chance(p, 200);
	for (int i = 0; i < 2; i++) {
		struct end *end = &p->end[i];
		struct tcp_ctx *ctx = fake_ctx(end->core);
		struct tcp_param param = {.nodelay = chance(p, 500)};

		param.quickack = chance(p, 200);
		if (i == 0 || both_connect) {
			end->ctx_idx = ctx->idx;
			tcp_connect(&end->core->stack, end->core, ctx, &end->core->tuple, &param,
					p->now_us);
		} else {
			end->master_idx = ctx->idx;
			tcp_listen(&end->core->stack, ctx, &param);
		}
	}
	for (end_us = p->now_us + 3600ull * 1000000; p->now_us < end_us && !is_done(p);) {
		step_end(p, &p->end[0]);
		step_end(p, &p->end[1]);
		check_ends(p, "step");
		p->now_us = next_us(p);
	}
	for (int i = 0; i < 2; i++) {
		struct end *end = &p->end[i];
		struct end *peer = &p->end[!i];

		ck_assert_msg(end->closed,
				"seed %lu: side %d never closed (state %u, %u of %u received)",
				(unsigned long)seed, i,
				end->ctx_idx ? end->core->ctx[end->ctx_idx].state : 0,
				end->rcv_tail, peer->total);
		ck_assert_msg(end->why == ETA_STATUS_OK, "seed %lu: side %d ended by %s",
				(unsigned long)seed, i, eta_status_text(end->why));
		ck_assert_msg(end->rcv_tail == peer->total, "seed %lu: %u of %u bytes",
				(unsigned long)seed, end->rcv_tail, peer->total);
		MUST(p, end->acked == end->total);
	}
	/* Nothing is left behind, but the listener. */
	for (int i = 0; i < 2; i++) {
		struct end *end = &p->end[i];

		end->core->now_us = p->now_us;
		fake_run(end->core, 200000);
		for (uint32_t k = 1; k < FAKE_CTX_N; k++)
			ck_assert_msg(end->core->ctx[k].idx == 0 || k == end->master_idx,
					"seed %lu: side %d keeps a context in state %u",
					(unsigned long)seed, i, end->core->ctx[k].state);
		ck_assert_uint_eq(end->core->stack.stats.curr_estab, 0);
		free(end->have);
		fake_free(end->core);
	}
	free(p);
}

static uint64_t seed_first(void)
{
	const char *s = getenv("PAIR_SEED");

	return s ? strtoull(s, NULL, 0) : 0;
}

#define CASES 4 /* in parallel with the rest of the suite; PAIR_SEEDS for more seeds per case */
#define SEEDS_PER_CASE 60

static uint64_t seeds_per_case(void)
{
	const char *s = getenv("PAIR_SEEDS");

	return s ? strtoull(s, NULL, 0) : SEEDS_PER_CASE;
}

START_TEST(pair__all_bytes_both_ways)
{
	if (seed_first()) {
		if (_i == 0)
			pair_run(seed_first());
		return;
	}
	for (uint64_t i = 0; i < seeds_per_case(); i++)
		pair_run((uint64_t)_i * seeds_per_case() + i + 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tcp pair");
	TCase *tc = tcase_create("pair");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 600);
	tcase_add_loop_test(tc, pair__all_bytes_both_ways, 0, CASES);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
