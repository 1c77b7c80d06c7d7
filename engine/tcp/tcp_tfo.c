/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP Fast Open: data in the SYN, for those who have been here before.
 *
 * Server. A SYN that asks for a cookie gets one, a keyed hash of both addresses, in our SYN-ACK. A SYN that brings its cookie and data becomes a
 * connection with its user at once, in SYN-RECEIVED: the data is readable and acknowledged, and what the user answers leaves before
 * the handshake is complete. A listener has at most fastopen_qlen of those pending, so that stolen cookies cannot fill its queue; beyond
 * that, or with a cookie that is none of ours, the SYN is an ordinary one and its data comes again.
 *
 * Client. Cookies are remembered by destination in a table of fixed size, where a newer one displaces an older. With a cookie, or where
 * user or machine do without, what the user writes first leaves in the SYN; else the SYN asks for one. What the SYN-ACK does not acknowledge is sent again as if it had
 * never left. A SYN with data that is not answered is repeated without data and without cookie, and for an hour the destination is
 * not tried again: some networks drop what they do not know.
 *
 * Until ESTABLISHED the cookie to be sent lies in the words of the congestion control, which does not use them yet.
 *
 * A host that Linux and ETA share, or hosts behind one name, give the same cookies, if they have the same key: the hash, and what of a SYN it
 * covers, are Linux's. So is the answer to the experimental form of the option, which old clients send.
 *
 * Limits: cookies of ours have 8 bytes; one key; a client knows option 34 alone; a pending connection that is reset makes room at once.
 * RFC 7413, RFC 6994 (experimental options).
 */
#include <string.h>

#include "engine/tcp/siphash.h"
#include "engine/tcp/tcp_open.h"

#define OPT_NOP 1u
#define OPT_FASTOPEN 34u
#define OPT_EXP 254u
#define COOKIE_BYTES 8u
#define OFF_US 3600000000ull /* a destination that did not answer is not tried again for so long */

/* The cookie that a SYN or SYN-ACK carries. */
struct tfo_syn {
	uint8_t cookie[TCP_FASTOPEN_BYTES_MAX];
	uint32_t len;
	uint32_t is_exp; /* the option's form */
};
ETA_STATIC_ASSERT(sizeof(struct tfo_syn) <= sizeof(((struct tcp_ctx *)0)->cc_state),
		"lies in cc_state");

static struct tfo_syn *syn_of(struct tcp_ctx *ctx)
{
	return (struct tfo_syn *)(void *)ctx->cc_state;
}

uint8_t tcp_tfo_opt_put(const struct tcp_ctx *ctx, uint8_t *opt)
{
	const struct tfo_syn *syn = (const struct tfo_syn *)(const void *)ctx->cc_state;
	uint8_t *p = opt;

	/* repeated: without, see above */
	if (!(ctx->flags & TCP_CTX_PASSIVE) && ctx->flags & TCP_CTX_SYN_RTX)
		return 0;
	if (syn->is_exp) {
		*p++ = OPT_EXP;
		*p++ = (uint8_t)(4 + syn->len);
		*p++ = TCP_FASTOPEN_EXID >> 8;
		*p++ = TCP_FASTOPEN_EXID & 0xff;
	} else {
		*p++ = OPT_FASTOPEN;
		*p++ = (uint8_t)(2 + syn->len);
	}
	memcpy(p, syn->cookie, syn->len);
	p += syn->len;
	while ((p - opt) % 4)
		*p++ = OPT_NOP;
	return (uint8_t)(p - opt);
}

void tcp_tfo_settle(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	struct tcp_ctx *master = &e->stack->ctx[ctx->master_idx];

	/* The listener may have gone, and another have come to its place: then that one errs towards ordinary handshakes. */
	if (ctx->flags2 & TCP_CTX2_TFO && ctx->flags & TCP_CTX_PASSIVE &&
			master->state == TCP_STATE_LISTEN && master->fastopen_n)
		master->fastopen_n--;
	ctx->flags2 &= ~(TCP_CTX2_TFO | TCP_CTX2_TFO_OPT | TCP_CTX2_SYN_DUE);
}

/* ---- server ---- */

static void cookie_make(
		const struct tcp_env *e, const struct ip_tuple *tuple, uint8_t cookie[COOKIE_BYTES])
{
	/* addresses as the SYN has them, source first; IPv4's are the last 4 bytes of ours */
	const uint32_t len = ip_addr_is_v4(&tuple->raddr) ? 4 : 16;
	uint8_t in[32];
	uint64_t hash;

	memcpy(in, tuple->raddr.b + 16 - len, len);
	memcpy(in + len, tuple->laddr.b + 16 - len, len);
	hash = siphash24(e->stack->conf.fastopen_key, in, 2 * len);
	memcpy(cookie, &hash, COOKIE_BYTES);
}

static void answer_cookie(struct tcp_ctx *ctx, const uint8_t cookie[COOKIE_BYTES], bool is_exp)
{
	memcpy(syn_of(ctx)->cookie, cookie, COOKIE_BYTES);
	syn_of(ctx)->len = COOKIE_BYTES;
	syn_of(ctx)->is_exp = is_exp;
	ctx->flags2 |= TCP_CTX2_TFO_OPT;
}

/* The embryo has a user, who has the data of the SYN. */
static void take_data(const struct tcp_env *e, struct tcp_ctx *master, struct tcp_ctx *ctx,
		const struct tcp_seg *seg)
{
	uint32_t room = ctx->rcv_adv - ctx->rcv_nxt;
	uint32_t len = seg->len < room ? seg->len : room;

	ctx->flags |= TCP_CTX_USER;
	ctx->flags2 |= TCP_CTX2_TFO;
	ctx->snd_una = ctx->iss + 1; /* of the stream; that our SYN is out the state says */
	master->fastopen_n++;
	TCP_COUNT(e, passive_opens);
	TCP_COUNT(e, fastopen_passive);
	tcp_cc_open(e, ctx);
	if (len)
		len = tcp_up_place(e->core, ctx, 0, seg->data, len);
	if (len == 0)
		return;
	ctx->flags2 |= TCP_CTX2_SYN_DATA;
	ctx->rcv_nxt += len;
	ctx->rx_bytes += len;
	tcp_up_readable(e->core, ctx, len, false);
}

void tcp_tfo_syn(const struct tcp_env *e, struct tcp_ctx *master, struct tcp_ctx *ctx,
		const struct tcp_seg *seg, const struct ip_tuple *tuple)
{
	uint8_t cookie[COOKIE_BYTES];
	struct tcp_opts opts;
	bool has_opt, is_good;

	tcp_opt_parse(seg, &opts);
	has_opt = opts.has & TCP_OPT_HAS_FASTOPEN;
	is_good = (has_opt || seg->len) &&
		  (master->flags2 & TCP_CTX2_TFO_NO_COOKIE ||
				  e->stack->conf.fastopen & TCP_FASTOPEN_COOKIELESS);
	if (!has_opt && !is_good)
		return;
	cookie_make(e, tuple, cookie);
	if (has_opt && opts.fastopen_len == 0)
		TCP_COUNT(e, fastopen_cookie_reqd);
	else if (opts.fastopen_len == COOKIE_BYTES &&
			memcmp(opts.fastopen, cookie, COOKIE_BYTES) == 0)
		is_good = true;
	if (is_good && master->fastopen_n >= master->fastopen_qlen) {
		TCP_COUNT(e, fastopen_overflow);
	} else if (is_good && tcp_up_accept(e->core, ctx)) {
		take_data(e, master, ctx, seg);
	} else if (has_opt) {
		if (opts.fastopen_len)
			TCP_COUNT(e, fastopen_passive_fail);
		answer_cookie(ctx, cookie, opts.fastopen_is_exp);
	}
}

/* ---- client ---- */

static struct tcp_tfo *entry_of(const struct tcp_env *e, const struct ip_addr *raddr)
{
	uint64_t hash = siphash24(e->stack->conf.isn_key, raddr->b, 16);

	return &e->stack->tfo[hash & (TCP_TFO_N - 1)];
}

/* What @ctx may still write of: its destination's, if no other has displaced it. */
static struct tcp_tfo *entry_again(const struct tcp_env *e, const struct tcp_ctx *ctx)
{
	struct tcp_tfo *t = &e->stack->tfo[ctx->fastopen.slot];

	return t->gen == ctx->fastopen.gen && t->gen != 0 ? t : NULL;
}

static bool goes_without_cookie(const struct tcp_stack *stack, bool user_says_so)
{
	return user_says_so || stack->conf.fastopen & TCP_FASTOPEN_CLIENT_COOKIELESS;
}

void tcp_tfo_connect(const struct tcp_env *e, struct tcp_ctx *ctx, const struct ip_tuple *tuple)
{
	struct tcp_tfo *t = entry_of(e, &tuple->raddr);

	if (t->gen == 0 || !ip_addr_equal(&t->raddr, &tuple->raddr)) {
		uint16_t gen = (uint16_t)(t->gen + 1);

		*t = (struct tcp_tfo){.raddr = tuple->raddr, .gen = gen ? gen : 1};
	}
	ctx->fastopen.slot = (uint16_t)(t - e->stack->tfo);
	ctx->fastopen.gen = t->gen;
	if (t->off_until_us > e->now_us)
		return;
	if (!goes_without_cookie(e->stack, ctx->flags2 & TCP_CTX2_TFO_NO_COOKIE)) {
		ctx->flags2 |= TCP_CTX2_TFO_OPT;
		if (t->len == 0) {
			ctx->fastopen_fail = TCP_FASTOPEN_FAIL_NO_COOKIE;
			return;
		}
		memcpy(syn_of(ctx)->cookie, t->cookie, t->len);
		syn_of(ctx)->len = t->len;
	}
	ctx->flags2 |= TCP_CTX2_TFO | TCP_CTX2_SYN_DUE;
	if (t->mss)
		ctx->mss_peer = t->mss;
	tcp_conn_set_mss(ctx);
}

uint16_t tcp_fastopen_bytes(const struct tcp_stack *stack, struct core *env,
		const struct ip_tuple *tuple, const struct tcp_param *param, uint64_t now_us)
{
	const struct tcp_env e = {.stack = (struct tcp_stack *)(uintptr_t)stack, .now_us = now_us};
	const struct tcp_tfo *t = entry_of(&e, &tuple->raddr);
	bool is_known = t->gen != 0 && ip_addr_equal(&t->raddr, &tuple->raddr);
	uint16_t mss = ip_addr_is_v4(&tuple->raddr) ? TCP_MSS_DEFAULT_V4 : TCP_MSS_DEFAULT_V6;
	uint16_t mss_path = tcp_up_mss(env, tuple);

	if (!(stack->conf.fastopen & TCP_FASTOPEN_CLIENT))
		return 0;
	if (is_known && t->off_until_us > now_us)
		return 0;
	if (!goes_without_cookie(stack, param->fastopen_no_cookie) && (!is_known || t->len == 0))
		return 0;
	if (is_known && t->mss)
		mss = t->mss;
	if (param->maxseg && param->maxseg < mss)
		mss = param->maxseg;
	if (mss > mss_path)
		mss = mss_path;
	return mss > TCP_OPT_BYTES_MAX ? (uint16_t)(mss - TCP_OPT_BYTES_MAX) : 0;
}

void tcp_tfo_syn_data(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_txseg *seg)
{
	uint32_t avail = ctx->snd_tail - (ctx->iss + 1);
	uint32_t room = ctx->mss_base - seg->opt_len;
	struct tcp_tfo *t;

	if (ctx->flags2 & TCP_CTX2_SYN_DUE)
		ctx->xmit_at_ms = 0; /* it need not leave without */
	ctx->flags2 &= ~TCP_CTX2_SYN_DUE;
	if (ctx->state != TCP_STATE_SYN_SENT)
		return;
	if (!(ctx->flags & TCP_CTX_SYN_RTX)) {
		seg->len = avail < room ? avail : room;
		return;
	}
	t = entry_again(e, ctx);
	if (ctx->snd_nxt == ctx->iss + 1 || !t || t->off_until_us > e->now_us)
		return;
	TCP_COUNT(e, fastopen_active_fail);
	ctx->fastopen_fail = TCP_FASTOPEN_FAIL_SYN_RTX;
	t->len = 0;
	t->off_until_us = e->now_us + OFF_US;
}

void tcp_tfo_syn_ack(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_seg *seg)
{
	struct tcp_tfo *t = entry_again(e, ctx);
	struct tcp_opts opts;

	if (ctx->snd_nxt != ctx->iss + 1) {
		if (seg->ack != ctx->iss + 1) {
			TCP_COUNT(e, fastopen_active);
			ctx->flags2 |= TCP_CTX2_SYN_DATA;
		} else if (!(ctx->flags & TCP_CTX_SYN_RTX)) {
			TCP_COUNT(e, fastopen_active_fail);
			ctx->fastopen_fail = TCP_FASTOPEN_FAIL_NOT_ACKED;
		}
	}
	/* What the peer did not take was never sent. */
	ctx->snd_nxt = seg->ack;
	if (!t || ctx->flags & TCP_CTX_SYN_RTX)
		return;
	tcp_opt_parse(seg, &opts);
	if (!(opts.has & TCP_OPT_HAS_FASTOPEN) || opts.fastopen_is_exp || opts.fastopen_len == 0)
		return;
	memcpy(t->cookie, opts.fastopen, opts.fastopen_len);
	t->len = opts.fastopen_len;
	t->mss = ctx->mss_peer;
}
