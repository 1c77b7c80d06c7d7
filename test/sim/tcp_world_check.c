/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every simulation holds TCP to while it sends: the user's bytes, the peer's window, its own congestion window, and the bounds of the
 * retransmission timeout.
 *
 * The windows have three allowances. One byte beyond the peer's window is a probe (RFC 9293 3.8.6.1). Three segments beyond cwnd are those of
 * limited transmit (RFC 3042) and the tail loss probe (RFC 8985 7.3), and a cwnd that has just shrunk is judged at the next new byte. In
 * recovery cwnd counts what is in the network, which the outside cannot see.
 *
 * cwnd never exceeds the largest initial window and the bytes acknowledged since, however they were cut into ACKs (RFC 3465 2.1): slow start
 * adds at most what was acknowledged, and everything else grows slower.
 */
#include "engine/tcp/seq.h"
#include "engine/tcp/tcp_int.h"
#include "test/sim/tcp_world_up.h"

#define CWND_SLACK_SEGS \
	20u /* minima of cwnd in segments; in recovery it follows the pipe, which is an estimate */
#define RTO_SLACK_US 2000u /* ticks */

static void rto_check(struct core *host, const struct tcp_ctx *ctx, struct user *u,
		const struct tcp_txseg *seg);
static void cwnd_check(struct core *host, const struct tcp_ctx *ctx, struct user *u);

void world_send_check(struct core *host, const struct tcp_ctx *ctx, struct user *u,
		const struct tcp_txseg *seg)
{
	struct world *w = host->world;
	uint32_t end = seg->seq + seg->len;
	unsigned int no = host->conn_of[ctx->idx] - 1;
	const struct user *peer;

	rto_check(host, ctx, u, seg);
	if (seg->len == 0)
		return;
	if (seq_lt(seg->off, u->snd_una) || seq_gt(seg->off + seg->len, u->snd_tail)) {
		world_fail(w, "%c conn %u: sends bytes %u..%u of %u..%u", 'A' + host->side, no,
				seg->off, seg->off + seg->len, u->snd_una, u->snd_tail);
		return;
	}
	if (tcp_snd_off(ctx, seg->seq) != seg->off)
		world_fail(w, "%c conn %u: stream offset %u at seq %u", 'A' + host->side, no,
				seg->off, seg->seq);
	peer = &w->conn[no].user[1 - host->side];
	/* Judged by what the peer has put on the wire; one byte more is a window probe. */
	if (peer->adv_valid && seq_gt(end, peer->adv_edge + 1))
		world_fail(w, "%c conn %u: sends %u bytes past the window that the peer ever offered",
				'A' + host->side, no, end - peer->adv_edge);
	if (u->snd_edge_valid && seq_gt(end, u->snd_edge + 1))
		world_fail(w, "%c conn %u: sends %u bytes past the peer's window", 'A' + host->side,
				no, end - u->snd_edge);
	/* As it is now: a window that shrank holds for new bytes. */
	if (!seg->is_retransmit && seq_gt(end, ctx->snd_una + ctx->snd_wnd + 1))
		world_fail(w, "%c conn %u: sends %u new bytes past the window as it is now",
				'A' + host->side, no, end - ctx->snd_una - ctx->snd_wnd);
	if (seg->is_retransmit || ctx->loss_state != TCP_LOSS_OPEN || !u->snd_edge_valid)
		return;
	if (end - ctx->snd_una - ctx->sacked_bytes > ctx->cwnd + 3u * ctx->mss_base)
		world_fail(w, "%c conn %u: %u bytes in flight, cwnd %u", 'A' + host->side, no,
				end - ctx->snd_una - ctx->sacked_bytes, ctx->cwnd);
}

void world_advert_check(struct core *host, const struct tcp_ctx *ctx, struct user *u,
		const struct tcp_txseg *seg)
{
	uint32_t scale = (seg->flags & TCP_SYN) ? 0 : ctx->rcv_wscale;
	uint32_t edge = seg->ack + ((uint32_t)seg->wnd << scale);

	if (!(seg->flags & TCP_ACK) || ctx->irs == 0)
		return;
	if (u->adv_valid && seq_lt(edge + (1u << ctx->rcv_wscale), u->adv_edge))
		world_fail(host->world, "%c: the window's edge moves %u back", 'A' + host->side,
				u->adv_edge - edge);
	if (!u->adv_valid || seq_gt(edge, u->adv_edge))
		u->adv_edge = edge;
	u->adv_valid = true;
}

void world_edge_learn(struct core *host, const struct tcp_ctx *ctx)
{
	struct user *u = world_ctx_user(host, ctx);
	uint32_t edge = ctx->snd_una + ctx->snd_wnd;

	if (u == NULL || ctx->state == TCP_STATE_LISTEN)
		return;
	if (!u->snd_edge_valid || seq_gt(edge, u->snd_edge))
		u->snd_edge = edge;
	u->snd_edge_valid = ctx->state != TCP_STATE_SYN_SENT;
}

/* When the byte at @seq was sent last; 0 = so long ago that nobody knows. */
static uint64_t sent_us(const struct user *u, uint32_t seq)
{
	uint32_t i;

	for (i = 0; i < WORLD_SENT_N && i < u->sent_n; i++) {
		const struct world_sent *s = &u->sent[(u->sent_n - 1 - i) % WORLD_SENT_N];

		if (seq_in(seq, s->seq, s->end))
			return s->us;
	}
	return 0;
}

/* A timeout that has just fired: not before the minimum has passed since the segment at snd_una was sent last (RFC 6298 2.4). */
static void rto_check(struct core *host, const struct tcp_ctx *ctx, struct user *u,
		const struct tcp_txseg *seg)
{
	struct world *w = host->world;
	uint64_t last_us = sent_us(u, ctx->snd_una);
	bool is_timeout = ctx->timeouts_n != u->timeouts_n;

	if (seg->flags & (TCP_SYN | TCP_RST))
		return;
	if (is_timeout && last_us != 0 && w->now_us - last_us < host->st.conf.rto_us_min)
		world_fail(w, "%c: a timeout %llu us after the segment at snd_una was sent",
				'A' + host->side, (unsigned long long)(w->now_us - last_us));
	u->timeouts_n = ctx->timeouts_n;
}

void world_sent_note(struct core *host, struct user *u, const struct tcp_txseg *seg, uint32_t done)
{
	bool fin = done == seg->len && seg->flags & TCP_FIN;
	uint32_t end = seg->seq + done + fin;

	if (end != seg->seq && !(seg->flags & (TCP_SYN | TCP_RST)))
		u->sent[u->sent_n++ % WORLD_SENT_N] =
				(struct world_sent){seg->seq, end, host->world->now_us};
}

void world_ctx_check(struct core *host, const struct tcp_ctx *ctx, struct user *u)
{
	uint32_t left_ms = ctx->rtx_at_ms - (uint32_t)(host->world->now_us / 1000);

	if (!tcp_state_sends(ctx->state)) {
		u->cwnd_limit = 0;
		return;
	}
	cwnd_check(host, ctx, u);
	if (ctx->rtx_at_ms != 0 && (int32_t)left_ms > 0 &&
			left_ms > (host->st.conf.rto_us_max + RTO_SLACK_US) / 1000)
		world_fail(host->world, "%c: the retransmission timer fires in %u ms only",
				'A' + host->side, left_ms);
}

static void cwnd_check(struct core *host, const struct tcp_ctx *ctx, struct user *u)
{
	if (u->cwnd_limit == 0) {
		u->cwnd_limit = host->st.conf.initial_window_segs * (uint64_t)ctx->mss_base;
		u->cwnd_una = ctx->iss + 1;
	}
	u->cwnd_limit += ctx->snd_una - u->cwnd_una;
	u->cwnd_una = ctx->snd_una;
	/* A model of the path, not the bytes acknowledged, says how large cwnd may be. */
	if (tcp_cc_get(ctx->cc)->control)
		return;
	if (ctx->cwnd > u->cwnd_limit + CWND_SLACK_SEGS * (uint64_t)ctx->mss_base)
		world_fail(host->world,
				"%c: cwnd %u (%s, mss %u) after %llu bytes were acknowledged",
				'A' + host->side, ctx->cwnd, tcp_cc_get(ctx->cc)->name,
				ctx->mss_base, (unsigned long long)u->cwnd_limit);
}
