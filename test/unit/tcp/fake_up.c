/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fake's side of tcp_up.h, and the helpers that write tests short.
 */
#include "test/unit/tcp/fake_up.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t zeroes[65536];

static const struct fake_peer peer_default = {.sack = true, .wscale = true, .mss = 1460};

__attribute__((format(printf, 2, 3))) static void note(struct core *core, const char *format, ...)
{
	va_list ap;
	int n;

	if (core->is_silent)
		return;
	va_start(ap, format);
	n = vsnprintf(core->log + core->log_len, sizeof(core->log) - core->log_len, format, ap);
	va_end(ap);
	if (n > 0 && core->log_len + (size_t)n < sizeof(core->log))
		core->log_len += (size_t)n;
}

const char *fake_take(struct core *core)
{
	memcpy(core->taken, core->log, core->log_len);
	core->taken[core->log_len] = 0;
	core->log_len = 0;
	return core->taken;
}

void fake_check(const struct core *core)
{
	const char *broken = tcp_stack_check(&core->stack);

	if (broken)
		ck_abort_msg("invariant broken: %s", broken);
}

/* ---- tcp_up.h ---- */

uint32_t tcp_up_place(struct core *env, struct tcp_ctx *ctx, uint32_t off, const uint8_t *data,
		uint32_t len)
{
	uint32_t n = len < env->place_max ? len : env->place_max;

	if (env->on_place)
		return env->on_place(env, ctx, off, data, len);
	note(env, "place %u+%u; ", off, len);
	return n;
}

uint32_t tcp_up_rcv_space(struct core *env, struct tcp_ctx *ctx)
{
	return env->on_space ? env->on_space(env, ctx) : env->rcv_space;
}

void tcp_up_readable(struct core *env, struct tcp_ctx *ctx, uint32_t rcv_tail, bool fin)
{
	note(env, "readable %u%s; ", rcv_tail, fin ? " fin" : "");
	if (env->on_readable)
		env->on_readable(env, ctx, rcv_tail, fin);
}

void tcp_up_acked(struct core *env, struct tcp_ctx *ctx, uint32_t snd_una)
{
	note(env, "acked %u; ", snd_una);
	if (env->on_acked)
		env->on_acked(env, ctx, snd_una);
}

void tcp_up_connected(struct core *env, struct tcp_ctx *ctx)
{
	(void)ctx;
	note(env, "connected; ");
}

void tcp_up_urgent(struct core *env, struct tcp_ctx *ctx, uint32_t urg)
{
	(void)ctx;
	note(env, "urgent %u; ", urg);
}

void tcp_up_closed(struct core *env, struct tcp_ctx *ctx, enum eta_status why)
{
	static const char *const names[] = {
#define X(name, err, text) #name,
			ETA_STATUS_TABLE(X)
#undef X
	};

	note(env, "closed %s; ", names[why]);
	env->closed_n++;
	env->closed_why = why;
	if (env->on_closed)
		env->on_closed(env, ctx, why);
}

enum tcp_room tcp_up_room(struct core *env, struct tcp_ctx *master, const struct ip_tuple *tuple)
{
	(void)master;
	(void)tuple;
	return env->room;
}

struct tcp_ctx *tcp_up_embryo(
		struct core *env, struct tcp_ctx *master, const struct ip_tuple *tuple)
{
	struct tcp_ctx *ctx;

	(void)master;
	(void)tuple;
	if (env->refuse_embryo)
		return NULL;
	ctx = fake_ctx(env);
	env->last_embryo = ctx->idx;
	note(env, "embryo; ");
	return ctx;
}

bool tcp_up_accept(struct core *env, struct tcp_ctx *ctx)
{
	(void)ctx;
	note(env, env->refuse_accept ? "no accept; " : "accept; ");
	return !env->refuse_accept;
}

void tcp_up_free(struct core *env, struct tcp_ctx *ctx)
{
	ck_assert_uint_eq(ctx->state, TCP_STATE_UNUSED);
	ck_assert_uint_eq(ctx->wheel_slot, 0);
	ck_assert(!(ctx->flags & (TCP_CTX_LISTED | TCP_CTX_USER)));
	note(env, "free; ");
	env->freed_n++;
	memset(ctx, 0xa5, sizeof(*ctx)); /* nobody may look again */
	memset(ctx, 0, sizeof(*ctx));
}

static const char *flag_names(uint8_t flags)
{
	static char s[8];
	char *p = s;

	for (unsigned int i = 0; i < 6; i++) {
		if (flags & 1u << i)
			*p++ = "FSRPAU"[i];
	}
	*p = 0;
	return s;
}

int32_t tcp_up_send(struct core *env, struct tcp_ctx *ctx, const struct ip_tuple *tuple,
		const struct tcp_txseg *seg)
{
	uint32_t iss = ctx ? ctx->iss : 0;
	uint32_t irs = ctx && seg->flags & TCP_ACK ? ctx->irs : 0;
	int32_t n = (int32_t)seg->len;

	if ((ctx == NULL && tuple == NULL) || seg->opt_len > TCP_OPT_BYTES_MAX ||
			seg->opt_len % 4 || seg->mss == 0)
		ck_abort_msg("a segment that cannot be sent");
	if (env->on_send)
		return env->on_send(env, ctx, seg);
	if (env->send_max < n)
		n = env->send_max;
	note(env, "%s%s %u+%u %u; ", seg->is_retransmit ? "rtx " : "", flag_names(seg->flags),
			seg->seq - iss, seg->len, seg->ack - irs);
	ck_assert_uint_lt(env->sent_n, FAKE_SENT_MAX);
	env->sent[env->sent_n++] = (struct fake_sent){
			.seg = *seg, .ctx_idx = ctx ? ctx->idx : 0, .has_tuple = tuple != NULL};
	return n;
}

uint16_t tcp_up_mss(struct core *env, const struct ip_tuple *tuple)
{
	(void)tuple;
	return env->mss;
}

uint32_t tcp_up_burst_bytes(struct core *env, const struct tcp_ctx *ctx)
{
	(void)ctx;
	return env->burst_bytes;
}

/* ---- helpers ---- */

struct core *fake_new(const struct tcp_conf *conf)
{
	struct core *core = calloc(1, sizeof(*core));
	struct tcp_conf plain;
	struct tcp_mem mem;

	ck_assert_ptr_nonnull(core);
	tcp_conf_default(&plain);
	plain.timestamps = false;
	plain.isn_key[0] = 1;
	plain.isn_key[1] = 2;
	core->now_us = 10000000;
	core->rcv_space = 60000;
	core->mss = 1460;
	core->burst_bytes = 1460;
	core->place_max = UINT32_MAX;
	core->send_max = INT32_MAX;
	core->tuple.laddr = ip_addr_from_v4(0x0100000a);
	core->tuple.raddr = ip_addr_from_v4(0x0200000a);
	core->tuple.lport_be = 0x5000;
	core->tuple.rport_be = 0x1234;
	mem = (struct tcp_mem){.ctx = core->ctx,
			.ctx_n = FAKE_CTX_N,
			.ext = core->ext,
			.ext_n = FAKE_EXT_N,
			.log = core->log_mem,
			.log_n = FAKE_LOG_N};
	tcp_stack_init(&core->stack, &mem, conf ? conf : &plain, core->now_us);
	return core;
}

void fake_free(struct core *core)
{
	fake_check(core);
	free(core);
}

struct tcp_ctx *fake_ctx(struct core *core)
{
	for (uint32_t i = 1; i < FAKE_CTX_N; i++) {
		if (core->ctx[i].idx == 0) {
			core->ctx[i].idx = i;
			return &core->ctx[i];
		}
	}
	ck_abort_msg("out of contexts");
	return NULL;
}

void fake_flush(struct core *core)
{
	tcp_flush(&core->stack, core, core->now_us);
	fake_check(core);
}

void fake_run(struct core *core, uint32_t ms)
{
	uint64_t end_us = core->now_us + (uint64_t)ms * 1000;

	for (;;) {
		uint64_t wait_us = tcp_next_deadline_us(&core->stack, core->now_us);

		if (wait_us > end_us - core->now_us)
			break;
		core->now_us += wait_us;
		tcp_timers(&core->stack, core, core->now_us, 64);
		fake_flush(core);
	}
	core->now_us = end_us;
}

enum tcp_verdict fake_rx_seg(struct core *core, struct tcp_ctx *ctx, struct tcp_seg seg)
{
	enum tcp_verdict verdict;

	if (seg.data == NULL)
		seg.data = zeroes;
	if (seg.segs == 0)
		seg.segs = 1;
	verdict = tcp_rx(&core->stack, core, ctx, &seg, &core->tuple, core->now_us);
	fake_check(core);
	return verdict;
}

enum tcp_verdict fake_rx_wnd(struct core *core, struct tcp_ctx *ctx, uint8_t flags, uint32_t seq,
		uint32_t ack, uint32_t len, uint16_t wnd)
{
	return fake_rx_seg(core, ctx,
			(struct tcp_seg){.seq = ctx->irs + seq,
					.ack = ctx->iss + ack,
					.flags = flags,
					.len = len,
					.wnd = wnd});
}

enum tcp_verdict fake_rx(struct core *core, struct tcp_ctx *ctx, uint8_t flags, uint32_t seq,
		uint32_t ack, uint32_t len)
{
	return fake_rx_wnd(core, ctx, flags, seq, ack, len, 65535);
}

static uint8_t *put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
	return p + 4;
}

enum tcp_verdict fake_rx_sack(struct core *core, struct tcp_ctx *ctx, uint32_t seq, uint32_t ack,
		const uint32_t (*blocks)[2], uint32_t n)
{
	uint8_t opt[40] = {1, 1, 5, (uint8_t)(2 + 8 * n)};
	uint8_t *p = opt + 4;

	for (uint32_t i = 0; i < n && i < TCP_SACK_BLOCKS; i++) {
		p = put32(p, ctx->iss + blocks[i][0]);
		p = put32(p, ctx->iss + blocks[i][1]);
	}
	return fake_rx_seg(core, ctx,
			(struct tcp_seg){.seq = ctx->irs + seq,
					.ack = ctx->iss + ack,
					.flags = TCP_ACK,
					.wnd = 65535,
					.opt = opt,
					.opt_len = (uint8_t)(p - opt)});
}

enum tcp_verdict fake_rx_ts(struct core *core, struct tcp_ctx *ctx, uint8_t flags, uint32_t seq,
		uint32_t ack, uint32_t len, uint32_t tsval, uint32_t tsecr)
{
	uint8_t opt[12] = {1, 1, 8, 10};

	put32(opt + 4, tsval);
	put32(opt + 8, tsecr);
	return fake_rx_seg(core, ctx,
			(struct tcp_seg){.seq = ctx->irs + seq,
					.ack = ctx->iss + ack,
					.flags = flags,
					.len = len,
					.wnd = 65535,
					.opt = opt,
					.opt_len = 12});
}

uint8_t fake_syn_opts(const struct fake_peer *peer, uint32_t tsval, uint32_t tsecr, uint8_t *opt)
{
	uint8_t *p = opt;

	if (peer->mss) {
		*p++ = 2;
		*p++ = 4;
		*p++ = (uint8_t)(peer->mss >> 8);
		*p++ = (uint8_t)peer->mss;
	}
	if (peer->sack) {
		*p++ = 4;
		*p++ = 2;
	}
	if (peer->wscale) {
		*p++ = 3;
		*p++ = 3;
		*p++ = 7;
	}
	if (peer->timestamps) {
		*p++ = 8;
		*p++ = 10;
		p = put32(p, tsval);
		p = put32(p, tsecr);
	}
	while ((p - opt) % 4)
		*p++ = 1;
	return (uint8_t)(p - opt);
}

struct tcp_ctx *fake_listener(struct core *core)
{
	struct tcp_ctx *ctx = fake_ctx(core);

	tcp_listen(&core->stack, ctx, NULL);
	return ctx;
}

struct tcp_ctx *fake_accepted(struct core *core, const struct fake_peer *peer)
{
	struct tcp_ctx *master = fake_listener(core);
	struct tcp_ctx *ctx;
	uint8_t opt[40];
	uint8_t opt_len = fake_syn_opts(peer ? peer : &peer_default, 1, 0, opt);

	fake_rx_seg(core, master,
			(struct tcp_seg){.seq = FAKE_IRS,
					.flags = TCP_SYN,
					.wnd = 65535,
					.opt = opt,
					.opt_len = opt_len});
	ctx = &core->ctx[core->last_embryo];
	if (peer && peer->timestamps)
		fake_rx_ts(core, ctx, TCP_ACK, 1, 1, 0, 1, 0);
	else
		fake_rx(core, ctx, TCP_ACK, 1, 1, 0);
	ck_assert_uint_eq(ctx->state, TCP_STATE_ESTABLISHED);
	fake_flush(core);
	fake_take(core);
	return ctx;
}

struct tcp_ctx *fake_connected(struct core *core, const struct fake_peer *peer)
{
	struct tcp_ctx *ctx = fake_ctx(core);
	uint8_t opt[40];
	uint8_t opt_len = fake_syn_opts(peer ? peer : &peer_default, 1, 0, opt);

	tcp_connect(&core->stack, core, ctx, &core->tuple, NULL, core->now_us);
	fake_rx_seg(core, ctx,
			(struct tcp_seg){.seq = FAKE_IRS,
					.ack = ctx->iss + 1,
					.flags = TCP_SYN | TCP_ACK,
					.wnd = 65535,
					.opt = opt,
					.opt_len = opt_len});
	ck_assert_uint_eq(ctx->state, TCP_STATE_ESTABLISHED);
	fake_flush(core);
	fake_take(core);
	return ctx;
}

const struct tcp_txseg *fake_last(const struct core *core)
{
	ck_assert_uint_gt(core->sent_n, 0);
	return &core->sent[core->sent_n - 1].seg;
}

void fake_write(struct core *core, struct tcp_ctx *ctx, uint32_t len)
{
	tcp_write(&core->stack, core, ctx, tcp_snd_off(ctx, ctx->snd_tail) + len, core->now_us);
	fake_check(core);
}
