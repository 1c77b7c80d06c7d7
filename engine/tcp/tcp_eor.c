/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ends of records: bytes of two writes that no segment may carry together (MSG_EOR).
 *
 * TCP knows no records, but a user may want the last byte of one to end its segment, for example because the time at which it is
 * acknowledged is told by the byte. The ends that are not acknowledged yet lie in an extension, sorted; output cuts at them, whether it sends for
 * the first time or again. A record that something follows is complete: Nagle's rule and a cork do not hold its short last segment back.
 * While there are ends, segments take the slow path, which drops those that were acknowledged; with the last of them the extension goes
 * back. So a connection that does not ask for records pays nothing, and one that is idle keeps none.
 *
 * Limits: TCP_EOR_MAX ends at a time; one that finds no room, or no extension, is forgotten (counted): bytes then flow together as if it
 * had not been asked for. FIN is no byte: it goes with the last record.
 *
 * Linux, TCP_SKB_CB(skb)->eor.
 */
#include <string.h>

#include "engine/tcp/tcp_int.h"

#define TCP_EOR_MAX 126u

/* What an extension looks like when it keeps ends of records. */
struct tcp_eor {
	uint32_t n;
	uint32_t pad0;
	uint32_t seq[TCP_EOR_MAX]; /* byte after the last of a record; ascending */
};
ETA_ASSERT_SIZE(struct tcp_eor, sizeof(struct tcp_ext));

static struct tcp_eor *eor_of(const struct tcp_stack *stack, const struct tcp_ctx *ctx)
{
	return (struct tcp_eor *)(void *)&stack->ext[ctx->eor_ext];
}

void tcp_eor_clear(struct tcp_stack *stack, struct tcp_ctx *ctx)
{
	uint32_t idx = ctx->eor_ext;

	tcp_ext_put(stack, &idx);
	ctx->eor_ext = 0;
	ctx->flags2 &= ~TCP_CTX2_EOR;
	tcp_rx_careful(ctx);
}

/* Return: false = no extension. */
static bool eor_begin(struct tcp_stack *stack, struct tcp_ctx *ctx)
{
	uint32_t idx = tcp_ext_get(stack);

	if (idx > UINT16_MAX)
		tcp_ext_put(stack, &idx);
	if (idx == 0)
		return false;
	ctx->eor_ext = (uint16_t)idx;
	ctx->flags2 |= TCP_CTX2_EOR;
	ctx->flags |= TCP_CTX_CAREFUL;
	return true;
}

void tcp_eor(struct tcp_stack *stack, struct tcp_ctx *ctx, uint32_t snd_off)
{
	uint32_t seq = ctx->iss + 1 + snd_off;
	uint32_t ahead = seq - ctx->snd_una;
	struct tcp_eor *eor;
	uint32_t i;

	if (!tcp_may_write(ctx) || ahead == 0 || ahead > TCP_SND_BYTES_MAX + 1)
		return;
	if (!(ctx->flags2 & TCP_CTX2_EOR) && !eor_begin(stack, ctx)) {
		stack->stats.eor_full++;
		return;
	}
	eor = eor_of(stack, ctx);
	/* Nearly always the last one: doorbells of several threads may come in another order. */
	for (i = eor->n; i && seq_gt(eor->seq[i - 1], seq); i--)
		;
	if (i && eor->seq[i - 1] == seq)
		return;
	if (eor->n == TCP_EOR_MAX) {
		stack->stats.eor_full++;
		return;
	}
	memmove(&eor->seq[i + 1], &eor->seq[i], (eor->n - i) * sizeof(eor->seq[0]));
	eor->seq[i] = seq;
	eor->n++;
}

void tcp_eor_acked(struct tcp_stack *stack, struct tcp_ctx *ctx)
{
	struct tcp_eor *eor = eor_of(stack, ctx);
	uint32_t i = 0;

	while (i < eor->n && seq_le(eor->seq[i], ctx->snd_una))
		i++;
	if (i == eor->n) {
		tcp_eor_clear(stack, ctx);
		return;
	}
	eor->n -= i;
	memmove(&eor->seq[0], &eor->seq[i], eor->n * sizeof(eor->seq[0]));
}

uint32_t tcp_eor_first(
		const struct tcp_stack *stack, const struct tcp_ctx *ctx, uint32_t lo, uint32_t hi)
{
	const struct tcp_eor *eor = eor_of(stack, ctx);
	uint32_t end = seq_min(hi, ctx->snd_tail);

	for (uint32_t i = 0; i < eor->n && seq_lt(eor->seq[i], end); i++)
		if (seq_gt(eor->seq[i], lo))
			return eor->seq[i];
	return hi;
}

uint32_t tcp_eor_last(
		const struct tcp_stack *stack, const struct tcp_ctx *ctx, uint32_t lo, uint32_t hi)
{
	uint32_t at = lo, next = tcp_eor_first(stack, ctx, lo, hi);

	while (next != hi) {
		at = next;
		next = tcp_eor_first(stack, ctx, at, hi);
	}
	return at;
}

bool tcp_eor_is_at(const struct tcp_stack *stack, const struct tcp_ctx *ctx, uint32_t seq)
{
	const struct tcp_eor *eor = eor_of(stack, ctx);

	for (uint32_t i = 0; i < eor->n && seq_le(eor->seq[i], seq); i++)
		if (eor->seq[i] == seq)
			return true;
	return false;
}

const char *tcp_eor_check(const struct tcp_stack *stack, const struct tcp_ctx *ctx)
{
	const struct tcp_eor *eor = eor_of(stack, ctx);

	if (!(ctx->flags2 & TCP_CTX2_EOR))
		return ctx->eor_ext ? "without records there is no extension for them" : NULL;
	if (ctx->eor_ext == 0 || ctx->eor_ext >= stack->ext_n)
		return "eor_ext is an extension";
	if (!(ctx->flags & TCP_CTX_CAREFUL))
		return "ends of records are dropped by the slow path";
	if (eor->n == 0 || eor->n > TCP_EOR_MAX)
		return "an extension keeps ends of records";
	for (uint32_t i = 0; i < eor->n; i++)
		if (!seq_gt(eor->seq[i], i ? eor->seq[i - 1] : ctx->snd_una))
			return "ends of records are ascending, beyond snd_una";
	return NULL;
}
