/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Congestion control: what all algorithms have in common, and the table of them.
 *
 * cwnd and ssthresh are bytes. Slow start counts acknowledged bytes, the algorithm's own limit in
 * mind; beyond ssthresh the algorithm decides. cwnd grows only while it was what limited the sender,
 * else it would promise a capacity nobody has tested (RFC 7661's concern). An algorithm with
 * control() owns cwnd and hears of losses only. Algorithms are chosen by number, so that a context
 * holds no pointer.
 *
 * RFC 5681, RFC 6928, RFC 3465, RFC 2861.
 */
#include <string.h>

#include "engine/tcp/tcp_int.h"

static const struct tcp_cc_ops *const table[TCP_CC_N] = {
		[TCP_CC_DEFAULT] = &tcp_cc_cubic,
		[TCP_CC_NEWRENO] = &tcp_cc_newreno,
		[TCP_CC_CUBIC] = &tcp_cc_cubic,
		[TCP_CC_DCTCP] = &tcp_cc_dctcp,
		[TCP_CC_BBR] = &tcp_cc_bbr,
};

const struct tcp_cc_ops *tcp_cc_get(uint8_t cc)
{
	return table[cc < TCP_CC_N ? cc : TCP_CC_DEFAULT];
}

const char *tcp_cc_name(uint8_t cc)
{
	return cc != TCP_CC_DEFAULT && cc < TCP_CC_N ? table[cc]->name : NULL;
}

void tcp_cc_set(struct tcp_ctx *ctx, uint8_t cc)
{
	ctx->cc = cc < TCP_CC_N && cc != TCP_CC_DEFAULT ? cc : TCP_CC_CUBIC;
	memset(ctx->cc_state, 0, sizeof(ctx->cc_state));
	tcp_cc_get(ctx->cc)->init(ctx);
}

static uint32_t initial_window(const struct tcp_env *e, const struct tcp_ctx *ctx)
{
	uint32_t segs = e->stack->conf.initial_window_segs;
	uint32_t bytes = segs * ctx->mss;
	uint32_t limit = segs * 1460u;

	if (limit < 2u * ctx->mss)
		limit = 2u * ctx->mss;
	return bytes < limit ? bytes : limit;
}

void tcp_cc_open(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	ctx->ssthresh = TCP_CWND_BYTES_MAX;
	/* A lost SYN is a sign of congestion (RFC 5681 3.1); the first loss may be chance. */
	ctx->cwnd = ctx->retrans_n > 1 ? ctx->mss : initial_window(e, ctx);
	ctx->prior_cwnd = ctx->cwnd;
	ctx->prior_ssthresh = ctx->ssthresh;
	tcp_cc_set(ctx, ctx->cc_wanted ? ctx->cc_wanted : e->stack->conf.cc);
	tcp_pace_open(e, ctx);
}

void tcp_cc_change(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	uint8_t cc = ctx->cc_wanted ? ctx->cc_wanted : e->stack->conf.cc;

	if (cc < TCP_CC_N && cc != ctx->cc) {
		ctx->pacing_rate = 0;
		tcp_cc_set(ctx, cc);
	}
	tcp_pace_open(e, ctx);
}

void tcp_cc_ack(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_ack *a)
{
	const struct tcp_cc_ops *ops = tcp_cc_get(ctx->cc);

	tcp_rate_ack(e, ctx, a);
	if (ops->acked && (ctx->cwnd < ctx->ssthresh || ops->flags & TCP_CC_EVERY_ACK))
		ops->acked(e, ctx, a);
}

bool tcp_cc_control(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_ack *a)
{
	const struct tcp_cc_ops *ops = tcp_cc_get(ctx->cc);

	if (ops->control == NULL)
		return false;
	ops->control(e, ctx, a);
	return true;
}

static uint32_t slow_start(struct tcp_ctx *ctx, uint32_t acked)
{
	const struct tcp_cc_ops *ops = tcp_cc_get(ctx->cc);
	uint32_t room = ctx->ssthresh - ctx->cwnd;
	uint32_t grow = ops->slow_start ? ops->slow_start(ctx, acked) : acked;

	if (grow < room) {
		ctx->cwnd += grow;
		return 0;
	}
	ctx->cwnd += room;
	return grow - room;
}

void tcp_cc_acked(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t acked)
{
	if (ctx->cwnd < ctx->ssthresh)
		acked = slow_start(ctx, acked);
	if (acked)
		tcp_cc_get(ctx->cc)->avoid(ctx, acked, e->now_ms);
	if (ctx->cwnd > TCP_CWND_BYTES_MAX)
		ctx->cwnd = TCP_CWND_BYTES_MAX;
}

void tcp_cc_reno_avoid(struct tcp_ctx *ctx, uint32_t *sum, uint32_t acked)
{
	*sum += acked;
	if (*sum < ctx->cwnd)
		return;
	*sum -= ctx->cwnd;
	if (*sum > ctx->cwnd)
		*sum = ctx->cwnd;
	ctx->cwnd += ctx->mss;
}

/*
 * Outstanding bytes are what cwnd let go, at most: in a long recovery snd_nxt runs far ahead of
 * snd_una, over bytes that SACK holds, and half of that may be many times what the path can carry.
 */
void tcp_cc_reduce(struct tcp_ctx *ctx)
{
	uint32_t flight = ctx->snd_nxt - ctx->snd_una;
	uint32_t ssthresh =
			tcp_cc_get(ctx->cc)->ssthresh(ctx, flight < ctx->cwnd ? flight : ctx->cwnd);

	ctx->prior_cwnd = ctx->cwnd;
	ctx->prior_ssthresh = ctx->ssthresh;
	ctx->ssthresh = ssthresh < 2u * ctx->mss ? 2u * ctx->mss : ssthresh;
	/* The peer shall hear of any reduction (RFC 3168 6.1.2). */
	ctx->flags2 |= ctx->flags2 & TCP_CTX2_ECN ? TCP_CTX2_CWR_OWED : 0;
}

void tcp_cc_rto(struct tcp_ctx *ctx)
{
	ctx->cwnd = tcp_loss_pipe(ctx) + ctx->mss;
	tcp_cc_get(ctx->cc)->restart(ctx);
	/* The repair itself is limited by cwnd from its first byte. */
	ctx->flags |= TCP_CTX_CWND_LIMITED;
	ctx->cwnd_lim_seq = ctx->snd_nxt;
}

/* Return: the algorithm has its own idea of a pause. */
static bool paced_idle(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	const struct tcp_cc_ops *ops = tcp_cc_get(ctx->cc);

	tcp_pace_idle(e, ctx);
	if (ops->control == NULL)
		return false;
	ops->restart(ctx);
	return true;
}

static ETA_COLD void idle_slow(
		const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t idle_ms, uint32_t rto_ms)
{
	uint32_t floor = initial_window(e, ctx);

	if (ctx->flags2 & TCP_CTX2_PACED && paced_idle(e, ctx))
		return;
	if (idle_ms < rto_ms || ctx->cwnd <= floor || !e->stack->conf.slow_start_after_idle)
		return;
	/*
	 * Remember the capacity as ssthresh, halve cwnd for each RTO of silence (RFC 2861, as
	 * Linux).
	 */
	if (ctx->ssthresh < ctx->cwnd - ctx->cwnd / 4)
		ctx->ssthresh = ctx->cwnd - ctx->cwnd / 4;
	for (; idle_ms >= rto_ms && ctx->cwnd > floor; idle_ms -= rto_ms)
		ctx->cwnd /= 2;
	if (ctx->cwnd < floor)
		ctx->cwnd = floor;
	tcp_cc_get(ctx->cc)->restart(ctx);
}

void tcp_cc_idle(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	uint32_t idle_ms = e->now_ms - ctx->tx_last_ms;
	uint32_t rto_ms = ctx->rto_us / 1000 + 1;

	if (ETA_UNLIKELY(idle_ms >= rto_ms || ctx->flags2 & TCP_CTX2_PACED))
		idle_slow(e, ctx, idle_ms, rto_ms);
}
