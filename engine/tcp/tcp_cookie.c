/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SYN cookies: a handshake that the peer remembers for us.
 *
 * When no embryo is left, a SYN is answered and forgotten. What the connection will need lies in the first number of our SYN-ACK, which
 * the peer's ACK brings back:
 *
 *     ISS = H(tuple) + IRS + (period << 24) + (H(tuple, period) + (index of the MSS << 21)) mod 2^24
 *
 * H is SipHash under the stack's secret, a period lasts 64 s, and a cookie is good in the period it was made in and the next. 16 numbers of
 * 2^32 are valid for a tuple at a time: less than one blind ACK in 268 million passes. Window scale, SACK and ECN fit nowhere there; if the
 * SYN had timestamps they go into the low 6 bits of ours, which the ACK echoes, else the connection does without. The clock is rounded
 * down for it, so it never runs back by more than those 64 ms and never ahead.
 *
 * A cookie makes one connection: numbers that were used are remembered, as many as fit, so that a repeated ACK of a connection that
 * has ended makes no second one. ACKs are looked at only while cookies are out; what is no cookie is not ours, and goes where any segment
 * without context goes.
 *
 * Limits: the SYN-ACK is not sent again (the peer repeats its SYN); MSS is rounded down to one of eight.
 * RFC 4987 3.6; D. J. Bernstein, "SYN cookies" (1996); options in timestamps as Linux does since 2.6.26.
 */
#include <string.h>

#include "engine/tcp/siphash.h"
#include "engine/tcp/tcp_open.h"

#define PERIOD_US 64000000u
#define AGES 2u      /* periods in which a cookie is good */
#define MAC_BITS 24u /* of the number; the period's low bits are above */
#define MAC_MASK ((1u << MAC_BITS) - 1)
#define PERIOD_MASK 0xffu
#define MSS_SHIFT 21u          /* on top: of numbers that lie close together one is valid */
#define PERIOD_NONE UINT32_MAX /* the half of the number that does not age */

#define TS_BITS_MASK 0x3fu
#define TS_WSCALE_MASK 0x0fu
#define TS_WSCALE_NONE 0x0fu
#define TS_SACK 0x10u
#define TS_ECN 0x20u
#define TS_AGE_MS_MAX (AGES * (PERIOD_US / 1000u))

/* Never more than what the peer said; common paths (Ethernet, PPPoE, tunnels, jumbo) lose nothing. */
static const uint16_t mss_of[] = {TCP_MSS_MIN, 536, 1220, 1300, 1400, 1440, 1460, 8940};
#define MSS_N (sizeof(mss_of) / sizeof(mss_of[0]))

static uint32_t period_of(uint64_t now_us)
{
	return (uint32_t)(now_us / PERIOD_US);
}

/* By length apart from the first numbers' use of the same secret. */
static uint64_t hash(const struct tcp_env *e, const struct ip_tuple *tuple, uint32_t irs,
		uint32_t number)
{
	uint8_t in[44];

	memcpy(in, tuple->laddr.b, 16);
	memcpy(in + 16, tuple->raddr.b, 16);
	memcpy(in + 32, &tuple->lport_be, 2);
	memcpy(in + 34, &tuple->rport_be, 2);
	memcpy(in + 36, &irs, 4);
	memcpy(in + 40, &number, 4);
	return siphash24(e->stack->conf.isn_key, in, sizeof(in));
}

static uint32_t base_of(const struct tcp_env *e, const struct ip_tuple *tuple, uint32_t irs)
{
	return (uint32_t)hash(e, tuple, 0, PERIOD_NONE) + irs;
}

static uint32_t mac_of(const struct tcp_env *e, const struct ip_tuple *tuple, uint32_t period)
{
	return (uint32_t)hash(e, tuple, 0, period);
}

static uint32_t cookie_make(const struct tcp_env *e, const struct ip_tuple *tuple, uint32_t irs,
		uint16_t mss_peer)
{
	uint32_t period = period_of(e->now_us);
	uint32_t i = MSS_N - 1;

	while (i > 0 && mss_of[i] > mss_peer)
		i--;
	return base_of(e, tuple, irs) + (period << MAC_BITS) +
	       ((mac_of(e, tuple, period) + (i << MSS_SHIFT)) & MAC_MASK);
}

/* Return: the peer's MSS, 0 = no cookie of ours, or too old. */
static uint16_t cookie_read(const struct tcp_env *e, const struct ip_tuple *tuple, uint32_t irs,
		uint32_t cookie)
{
	uint32_t v = cookie - base_of(e, tuple, irs);
	uint32_t now = period_of(e->now_us);
	uint32_t age = (now - (v >> MAC_BITS)) & PERIOD_MASK;
	uint32_t i;

	if (age >= AGES)
		return 0;
	i = (v - mac_of(e, tuple, now - age)) & MAC_MASK;
	return i % (1u << MSS_SHIFT) == 0 ? mss_of[i >> MSS_SHIFT] : 0;
}

/*
 * Does @seg continue what the first segment behind a cookie began? IRS is part of the number, so its distance shows. Where that first one
 * was lost, or found no room, the ones behind it shall not be taken for a stranger's: the peer repeats them in order.
 */
static bool is_later(
		const struct tcp_env *e, const struct ip_tuple *tuple, const struct tcp_seg *seg)
{
	/* an IRS one before @seg */
	uint32_t base = base_of(e, tuple, seg->seq - 1) - (seg->ack - 1);
	uint32_t now = period_of(e->now_us);

	for (uint32_t age = 0; age < AGES; age++) {
		uint32_t mac = mac_of(e, tuple, now - age);

		for (uint32_t i = 0; i < MSS_N; i++) {
			uint32_t ahead = base + ((now - age) << MAC_BITS) +
					 ((mac + (i << MSS_SHIFT)) & MAC_MASK);

			if (ahead - 1 < UINT16_MAX)
				return true;
		}
	}
	return false;
}

/* ---- SYN ---- */

/* Our timestamp that says what was agreed: now or up to 64 ms ago. */
static uint32_t ts_encode(const struct tcp_env *e, const struct tcp_ctx *ctx)
{
	uint32_t bits = ctx->flags & TCP_CTX_WSCALE ? ctx->snd_wscale : TS_WSCALE_NONE;
	uint32_t now = tcp_ts_now(e, ctx);
	uint32_t ts;

	if (ctx->flags & TCP_CTX_SACK)
		bits |= TS_SACK;
	if (ctx->flags2 & TCP_CTX2_ECN)
		bits |= TS_ECN;
	ts = (now & ~TS_BITS_MASK) | bits;
	return seq_gt(ts, now) ? ts - (TS_BITS_MASK + 1) : ts;
}

void tcp_cookie_fill(const struct tcp_env *e, struct tcp_ctx *ctx, const struct ip_tuple *tuple)
{
	uint32_t iss = cookie_make(e, tuple, ctx->irs, ctx->mss_peer);

	ctx->iss = iss;
	ctx->snd_una = iss;
	ctx->snd_nxt = iss + 1;
	ctx->snd_tail = iss + 1;
	ctx->snd_sml = iss;
	ctx->recover = iss;
	ctx->snd_wl2 = iss;
	if (ctx->flags & TCP_CTX_TS)
		return;
	ctx->flags &= ~(TCP_CTX_WSCALE | TCP_CTX_SACK);
	ctx->flags2 &= ~TCP_CTX2_ECN;
	ctx->snd_wscale = 0;
	ctx->rcv_wscale = 0;
}

void tcp_cookie_send(const struct tcp_env *e, const struct tcp_ctx *master,
		const struct tcp_seg *seg, const struct ip_tuple *tuple)
{
	struct tcp_txseg synack = {.flags = TCP_SYN | TCP_ACK, .mss = TCP_MSS_MIN};
	struct tcp_ctx ctx;

	memset(&ctx, 0, sizeof(ctx));
	tcp_embryo_init(e, &ctx, master, tuple);
	tcp_take_syn(e, &ctx, seg);
	tcp_cookie_fill(e, &ctx, tuple);
	if (ctx.flags & TCP_CTX_TS)
		ctx.ts_off += ts_encode(e, &ctx) - tcp_ts_now(e, &ctx);
	if (ctx.flags2 & TCP_CTX2_ECN)
		synack.flags |= TCP_ECE;
	synack.seq = ctx.iss;
	synack.ack = ctx.rcv_nxt;
	synack.wnd = (uint16_t)(ctx.rcv_adv - ctx.rcv_nxt);
	synack.opt_len = tcp_opt_put_syn(e, &ctx, synack.opt);
	e->stack->cookie_until_us = e->now_us + AGES * (uint64_t)PERIOD_US;
	TCP_COUNT(e, cookies_sent);
	TCP_COUNT(e, out_segs);
	(void)tcp_up_send(e->core, NULL, tuple, &synack);
}

/* ---- ACK ---- */

/* What our timestamp says was agreed. Return: false = it is not one that we can have sent. */
static bool ts_decode(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_opts *opts)
{
	uint32_t bits = opts->tsecr & TS_BITS_MASK;
	uint32_t wscale = bits & TS_WSCALE_MASK;

	if (!(opts->has & TCP_OPT_HAS_TS)) {
		ctx->flags &= ~(TCP_CTX_TS | TCP_CTX_WSCALE | TCP_CTX_SACK);
		ctx->rcv_wscale = 0;
		return true;
	}
	if (tcp_ts_now(e, ctx) - opts->tsecr > TS_AGE_MS_MAX || !(ctx->flags & TCP_CTX_TS))
		return false;
	ctx->ts_recent = opts->tsval;
	ctx->ts_recent_ms = e->now_ms;
	if (!(bits & TS_SACK))
		ctx->flags &= ~TCP_CTX_SACK;
	if (bits & TS_ECN)
		ctx->flags2 |= TCP_CTX2_ECN;
	if (wscale == TS_WSCALE_NONE) {
		ctx->flags &= ~TCP_CTX_WSCALE;
		ctx->rcv_wscale = 0;
	} else {
		ctx->snd_wscale = (uint8_t)wscale;
	}
	return true;
}

/* The place that remembers this use of a cookie, and by what. */
static uint64_t *seen_place(const struct tcp_env *e, const struct tcp_seg *seg,
		const struct ip_tuple *tuple, uint64_t *mark)
{
	*mark = hash(e, tuple, seg->seq, seg->ack) | 1;
	return &e->stack->cookie_seen[*mark >> 32 & (TCP_COOKIES_SEEN - 1)];
}

/* As if the SYN and our SYN-ACK were known, in SYN-RECEIVED. Return: false = no cookie. */
static bool recall(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ctx *master,
		const struct tcp_seg *seg, const struct ip_tuple *tuple)
{
	struct tcp_opts opts;
	uint32_t promised;
	uint16_t mss = cookie_read(e, tuple, seg->seq - 1, seg->ack - 1);

	if (mss == 0)
		return false;
	tcp_opt_parse(seg, &opts);
	tcp_embryo_init(e, ctx, master, tuple);
	if (!ts_decode(e, ctx, &opts))
		return false;
	promised = ctx->rcv_adv - ctx->rcv_nxt;
	ctx->irs = seg->seq - 1;
	ctx->rcv_nxt = seg->seq;
	ctx->rcv_adv = ctx->rcv_nxt + promised;
	ctx->rcv_acked = ctx->rcv_nxt;
	ctx->rcv_head = ctx->rcv_nxt;
	ctx->iss = seg->ack - 1;
	ctx->snd_una = ctx->iss;
	ctx->snd_nxt = seg->ack;
	ctx->snd_tail = seg->ack;
	ctx->snd_sml = ctx->iss;
	ctx->recover = ctx->iss;
	ctx->snd_wl1 = ctx->irs;
	ctx->snd_wl2 = ctx->iss;
	ctx->mss_peer = mss;
	ctx->defer_accept_s = 0; /* there is no embryo that could wait */
	tcp_conn_set_mss(ctx);
	return true;
}

bool tcp_rx_cookie(struct tcp_stack *stack, struct core *env, struct tcp_ctx *master,
		const struct tcp_seg *seg, const struct ip_tuple *tuple, uint64_t now_us)
{
	struct tcp_env e = TCP_ENV(stack, env, now_us);
	struct tcp_ctx known, *ctx;
	uint64_t *seen, mark;
	uint32_t idx;

	if ((seg->flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_ACK ||
			!tcp_cookies_are_out(stack, now_us))
		return false;
	memset(&known, 0, sizeof(known));
	seen = seen_place(&e, seg, tuple, &mark);
	if (!recall(&e, &known, master, seg, tuple) || *seen == mark) {
		if (*seen != mark && is_later(&e, tuple, seg)) {
			stack->stats.listen_drops++;
			return true;
		}
		stack->stats.cookies_failed++;
		return false;
	}
	stack->stats.in_segs += seg->segs;
	ctx = NULL;
	if (tcp_up_room(env, master, tuple) != TCP_ROOM_NONE)
		ctx = tcp_up_embryo(env, master, tuple);
	if (ctx == NULL) {
		stack->stats.listen_overflows++;
		return true;
	}
	stack->stats.cookies_recv++;
	*seen = mark;
	idx = ctx->idx;
	*ctx = known;
	ctx->idx = idx;
	tcp_conn_set_state(&e, ctx, TCP_STATE_SYN_RECEIVED);
	if (tcp_rx_slow(&e, ctx, seg, tuple) == TCP_RX_OK && ctx->state == TCP_STATE_SYN_RECEIVED)
		(void)tcp_conn_end(&e, ctx, ETA_STATUS_OK); /* the listener is closing */
	return true;
}
