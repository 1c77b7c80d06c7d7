/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * TCP options: read what the peer wrote, write ours.
 *
 * The reader is given at most 40 bytes that it may read, and trusts none of them: every option has
 * to fit in what is left, and each turn consumes at least one byte. It knows nothing of state; who
 * may use which option is decided by the caller.
 *
 * RFC 9293 3.2, RFC 7323, RFC 2018, RFC 7413.
 */
#include <string.h>

#include "engine/tcp/tcp_open.h"

#define OPT_END 0u
#define OPT_NOP 1u
#define OPT_MSS 2u
#define OPT_WSCALE 3u
#define OPT_SACK_PERM 4u
#define OPT_SACK 5u
#define OPT_TS 8u
#define OPT_FASTOPEN 34u
#define OPT_EXP 254u

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint8_t *put_u32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
	return p + 4;
}

static void parse_sack(const uint8_t *p, uint32_t len, struct tcp_opts *opts)
{
	uint32_t n = (len - 2) / 8;

	if ((len - 2) % 8)
		return;
	if (n > TCP_SACK_BLOCKS)
		n = TCP_SACK_BLOCKS;
	for (uint32_t i = 0; i < n; i++)
		opts->sack[i] = (struct tcp_range){get_u32(p + 2 + 8 * i), get_u32(p + 6 + 8 * i)};
	opts->sack_n = (uint8_t)n;
}

/* A request, or a cookie of 4 to 16 bytes, an even number, behind @head bytes. */
static void parse_fastopen(const uint8_t *p, uint32_t len, uint32_t head, struct tcp_opts *opts)
{
	len -= head;
	if (len % 2 || (len && len < 4) || len > TCP_FASTOPEN_BYTES_MAX)
		return;
	memcpy(opts->fastopen, p + head, len);
	opts->fastopen_len = (uint8_t)len;
	opts->fastopen_is_exp = head != 2;
	opts->has |= TCP_OPT_HAS_FASTOPEN;
}

/*
 * One option of @len bytes at @p, its kind and length included. A length that is wrong for its
 * kind: ignored.
 */
static void parse_one(const uint8_t *p, uint32_t len, bool is_syn, struct tcp_opts *opts)
{
	switch (p[0]) {
	case OPT_MSS:
		if (len == 4 && is_syn) {
			opts->mss = (uint16_t)(p[2] << 8 | p[3]);
			opts->has |= TCP_OPT_HAS_MSS;
		}
		break;
	case OPT_WSCALE:
		if (len == 3 && is_syn) {
			opts->wscale = p[2] > TCP_WSCALE_MAX ? TCP_WSCALE_MAX : p[2];
			opts->has |= TCP_OPT_HAS_WSCALE;
		}
		break;
	case OPT_SACK_PERM:
		if (len == 2 && is_syn)
			opts->has |= TCP_OPT_HAS_SACK_PERM;
		break;
	case OPT_SACK:
		if (!is_syn)
			parse_sack(p, len, opts);
		break;
	case OPT_FASTOPEN:
		if (is_syn)
			parse_fastopen(p, len, 2, opts);
		break;
	case OPT_EXP:
		if (is_syn && len >= 4 && (p[2] << 8 | p[3]) == TCP_FASTOPEN_EXID)
			parse_fastopen(p, len, 4, opts);
		break;
	case OPT_TS:
		if (len == 10) {
			opts->tsval = get_u32(p + 2);
			opts->tsecr = get_u32(p + 6);
			opts->has |= TCP_OPT_HAS_TS;
		}
		break;
	}
}

void tcp_opt_parse(const struct tcp_seg *seg, struct tcp_opts *opts)
{
	uint32_t left = seg->opt_len > TCP_OPT_BYTES_MAX ? TCP_OPT_BYTES_MAX : seg->opt_len;
	bool is_syn = seg->flags & TCP_SYN;
	const uint8_t *p = seg->opt;

	opts->has = 0;
	opts->sack_n = 0;
	while (left) {
		uint32_t len = 1;

		if (p[0] == OPT_END)
			return;
		if (p[0] != OPT_NOP) {
			if (left < 2 || p[1] < 2 || p[1] > left)
				return;
			len = p[1];
			parse_one(p, len, is_syn, opts);
		}
		p += len;
		left -= len;
	}
}

uint8_t tcp_opt_put_syn(const struct tcp_env *e, const struct tcp_ctx *ctx, uint8_t *opt)
{
	uint8_t *p = opt;

	*p++ = OPT_MSS;
	*p++ = 4;
	*p++ = (uint8_t)(ctx->mss_adv >> 8);
	*p++ = (uint8_t)ctx->mss_adv;
	if (ctx->flags & TCP_CTX_TS) {
		*p++ = ctx->flags & TCP_CTX_SACK ? OPT_SACK_PERM : OPT_NOP;
		*p++ = ctx->flags & TCP_CTX_SACK ? 2 : OPT_NOP;
		*p++ = OPT_TS;
		*p++ = 10;
		p = put_u32(p, tcp_ts_now(e, ctx));
		p = put_u32(p, ctx->ts_recent);
	} else if (ctx->flags & TCP_CTX_SACK) {
		*p++ = OPT_NOP;
		*p++ = OPT_NOP;
		*p++ = OPT_SACK_PERM;
		*p++ = 2;
	}
	if (ctx->flags & TCP_CTX_WSCALE) {
		*p++ = OPT_NOP;
		*p++ = OPT_WSCALE;
		*p++ = 3;
		*p++ = ctx->rcv_wscale;
	}
	if (ctx->flags2 & TCP_CTX2_TFO_OPT)
		p += tcp_tfo_opt_put(ctx, p);
	return (uint8_t)(p - opt);
}

uint8_t tcp_opt_put(const struct tcp_env *e, const struct tcp_ctx *ctx, uint8_t *opt)
{
	struct tcp_range blocks[TCP_SACK_BLOCKS];
	uint8_t *p = opt;
	uint32_t n;

	if (ctx->flags & TCP_CTX_TS) {
		*p++ = OPT_NOP;
		*p++ = OPT_NOP;
		*p++ = OPT_TS;
		*p++ = 10;
		p = put_u32(p, tcp_ts_now(e, ctx));
		p = put_u32(p, ctx->ts_recent);
	}
	if (ETA_LIKELY(ctx->ooo_ext == 0 && !(ctx->flags2 & TCP_CTX2_DSACK_OWED)) ||
			!(ctx->flags & TCP_CTX_SACK))
		return (uint8_t)(p - opt);
	n = 0;
	if (ctx->flags2 & TCP_CTX2_DSACK_OWED)
		blocks[n++] = ctx->dsack;
	if (ctx->ooo_ext)
		n += tcp_ooo_blocks(
				e->stack, ctx, blocks + n, (ctx->flags & TCP_CTX_TS ? 3 : 4) - n);
	if (n == 0)
		return (uint8_t)(p - opt);
	*p++ = OPT_NOP;
	*p++ = OPT_NOP;
	*p++ = OPT_SACK;
	*p++ = (uint8_t)(2 + 8 * n);
	for (uint32_t i = 0; i < n; i++) {
		p = put_u32(p, blocks[i].lo);
		p = put_u32(p, blocks[i].hi);
	}
	return (uint8_t)(p - opt);
}
