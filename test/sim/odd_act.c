/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the odd peer does when it does not behave: a function an act, drawn by number.
 *
 * An act may say anything on the wire. What it must not do is make the connection's honest end impossible by itself: no FIN beyond the
 * stream, no reset at the next number without saying so in the books, no timestamp so far in the future that its own later ones are old.
 */
#include <string.h>

#include "engine/tcp/seq.h"
#include "test/sim/odd_peer.h"
#include "test/sim/tcp_world_up.h"

#define SPLITS_MAX 60u
#define FLOOD_MAX 200u
#define TINY_MAX 150u

/* Any number near what the stack cares about. */
static uint32_t near(struct odd_peer *p)
{
	const uint32_t base[] = {p->snd_nxt, p->snd_acked, p->snd_edge, p->rcv_nxt, p->stack_max,
			p->iss, p->irs, p->edge_max};
	uint32_t of = base[rnd_below(&p->rnd, 8)], by = rnd_log(&p->rnd, 70000);

	return rnd_below(&p->rnd, 2) ? of + by : of - by;
}

static void shrink(struct odd_peer *p)
{
	struct odd_seg seg = odd_seg(p);

	p->wnd = rnd_below(&p->rnd, 3) == 0 ? 0 : rnd_below(&p->rnd, p->wnd + 1);
	seg.wnd = (uint16_t)((p->wnd >> p->snd_wscale) & 0xffff);
	odd_send(p, &seg);
	if (rnd_below(&p->rnd, 2))
		p->wnd = 500 + rnd_log(&p->rnd, 200000);
}

static void renege(struct odd_peer *p)
{
	struct odd_seg seg = odd_seg(p);
	uint32_t off = p->rcv_nxt - p->irs - 1;

	odd_opt_sack_honest(p, &seg);
	odd_send(p, &seg);
	if (off < p->got_n)
		memset(p->got + off, 0, p->got_n - off);
	seg = odd_seg(p);
	odd_send(p, &seg);
}

static void ack_future(struct odd_peer *p)
{
	struct odd_seg seg = odd_seg(p);

	seg.ack = p->stack_max + 1 + rnd_log(&p->rnd, 1u << 30);
	odd_send(p, &seg);
}

static void ack_old(struct odd_peer *p)
{
	struct odd_seg seg = odd_seg(p);

	seg.ack = p->rcv_nxt - 1 - rnd_log(&p->rnd, 1u << 30);
	odd_send(p, &seg);
}

static void ack_split(struct odd_peer *p)
{
	struct odd_seg seg = odd_seg(p);
	uint32_t from = p->ack_max, n = p->rcv_nxt - from, step, i;

	if (!seq_lt(from, p->rcv_nxt))
		return;
	step = n / SPLITS_MAX + 1;
	for (i = step; i < n; i += step) {
		seg.ack = from + i;
		odd_send(p, &seg);
	}
}

static void ack_optimistic(struct odd_peer *p)
{
	struct odd_seg seg;
	uint32_t off = p->rcv_nxt - p->irs - 1, n = p->stack_max - p->rcv_nxt;

	if (!seq_gt(p->stack_max, p->rcv_nxt))
		return;
	n = rnd_range(&p->rnd, 1, n);
	if (off + n <= p->got_n)
		memset(p->got + off, 1, n);
	p->rcv_nxt += n;
	seg = odd_seg(p);
	odd_send(p, &seg);
}

static void ack_flood(struct odd_peer *p)
{
	struct odd_seg seg = odd_seg(p);
	uint32_t n = rnd_log(&p->rnd, FLOOD_MAX);

	odd_opt_sack_honest(p, &seg);
	while (n-- != 0)
		odd_send(p, &seg);
}

/* Text at [@seq, @seq + @len) in some variant: of the stream, or so far beyond the window that nobody may take it. */
static void text(struct odd_peer *p, uint32_t seq, uint32_t len)
{
	struct odd_seg seg = odd_seg(p);
	int64_t room = p->total - (int64_t)(int32_t)odd_off(p, seq);

	if (room < (int64_t)len && !seq_gt(seq, p->snd_edge + 2 * ODD_STREAM_BYTES))
		len = room > 0 ? (uint32_t)room : 0;
	if (len == 0)
		return;
	seg.seq = seq;
	seg.len = len;
	p->variant = (uint8_t)rnd_below(&p->rnd, ODD_VARIANTS);
	odd_send(p, &seg);
	p->variant = 0;
}

static void overlap(struct odd_peer *p)
{
	uint32_t n = rnd_range(&p->rnd, 1, 6), back;

	while (n-- != 0) {
		back = rnd_log(&p->rnd, 3000);
		if (rnd_below(&p->rnd, 2))
			text(p, p->snd_acked - back, rnd_range(&p->rnd, 1, 1400));
		else
			text(p, p->snd_acked + back, rnd_range(&p->rnd, 1, 1400));
	}
}

static void out_of_window(struct odd_peer *p)
{
	uint32_t off = rnd_log(&p->rnd, 1u << 20);

	text(p, p->snd_edge - 700 + off, rnd_range(&p->rnd, 1, 1400));
	off = rnd_log(&p->rnd, 1u << 20);
	text(p, p->snd_acked - 1400 - off, rnd_range(&p->rnd, 1, 1400));
}

static void tiny(struct odd_peer *p)
{
	uint32_t n = rnd_log(&p->rnd, TINY_MAX), gap = rnd_below(&p->rnd, 3), at = gap, i;

	for (i = 0; i < n; i++, at += 1 + gap)
		text(p, p->snd_acked + at, 1);
}

static void syn(struct odd_peer *p)
{
	struct odd_seg seg = odd_seg(p);

	seg.flags = (uint8_t)(TCP_SYN | (rnd_below(&p->rnd, 2) ? TCP_ACK : 0));
	seg.seq = rnd_below(&p->rnd, 2) ? p->iss : near(p);
	odd_send(p, &seg);
}

static void fin(struct odd_peer *p)
{
	struct odd_seg seg = odd_seg(p);
	uint32_t off = odd_off(p, p->snd_acked);

	if (off > p->total)
		return;
	if (rnd_below(&p->rnd, 2))
		off += rnd_log(&p->rnd, p->total - off);
	seg.flags |= TCP_FIN;
	seg.seq = p->iss + 1 + off;
	odd_send(p, &seg);
	if (rnd_below(&p->rnd, 2))
		odd_send(p, &seg);
}

static void rst(struct odd_peer *p)
{
	struct odd_seg seg = odd_seg(p);

	seg.flags = (uint8_t)(TCP_RST | (rnd_below(&p->rnd, 2) ? TCP_ACK : 0));
	seg.seq = near(p);
	/* Exactly the next number ends the connection: rarely. */
	if (seg.seq == p->snd_acked && rnd_below(&p->rnd, 50) != 0)
		seg.seq++;
	odd_send(p, &seg);
}

static void deaf(struct odd_peer *p)
{
	struct odd_seg seg;

	p->deaf_us = p->w->now_us + rnd_log(&p->rnd, 20000000);
	seg = odd_seg(p);
	odd_send(p, &seg);
}

static void ts(struct odd_peer *p)
{
	struct odd_seg seg = odd_seg(p);
	uint32_t by = rnd_log(&p->rnd, 1u << 24);

	seg.opt_len = 0;
	if (rnd_below(&p->rnd, 3) == 0)
		p->ts_max += by;
	odd_opt_ts(p, &seg, rnd_below(&p->rnd, 2) ? p->ts_max : p->ts_max - by);
	if (rnd_below(&p->rnd, 2) && p->ts) /* an echo of nothing */
		seg.opt[8] ^= (uint8_t)rnd_u64(&p->rnd);
	odd_send(p, &seg);
}

static void sack(struct odd_peer *p)
{
	uint32_t n = rnd_range(&p->rnd, 1, 40), block[4][2], i, k;
	struct odd_seg seg;

	while (n-- != 0) {
		k = rnd_range(&p->rnd, 1, 4);
		for (i = 0; i < k; i++) {
			block[i]
			     [0] = rnd_below(&p->rnd, 3) == 0
						   ? near(p)
						   : p->rcv_nxt + rnd_log(&p->rnd,
										  p->stack_max - p->rcv_nxt);
			block[i][1] = rnd_below(&p->rnd, 4) == 0
						      ? near(p)
						      : block[i][0] + rnd_log(&p->rnd, 3000);
		}
		seg = odd_seg(p);
		odd_opt_sack(&seg, (const uint32_t(*)[2])block, k);
		odd_send(p, &seg);
	}
}

static void ecn(struct odd_peer *p)
{
	struct odd_seg seg = odd_seg(p);
	uint32_t n = rnd_log(&p->rnd, 20);

	while (n-- != 0) {
		seg.flags = (uint8_t)(TCP_ACK | (rnd_u64(&p->rnd) & (TCP_ECE | TCP_CWR)));
		seg.ecn = (uint8_t)rnd_below(&p->rnd, 4);
		odd_send(p, &seg);
	}
}

static void options(struct odd_peer *p)
{
	struct odd_seg seg = odd_seg(p);
	uint32_t i;

	seg.opt_len = (uint8_t)(4 * rnd_range(&p->rnd, 1, 10));
	for (i = 0; i < seg.opt_len; i++)
		seg.opt[i] = (uint8_t)(rnd_below(&p->rnd, 3) == 0 ? rnd_u64(&p->rnd)
								  : rnd_below(&p->rnd, 11));
	/* No well-formed timestamp by accident: it would be from the far future. */
	for (i = 0; i + 1u < seg.opt_len; i++)
		if (seg.opt[i] == 8 && seg.opt[i + 1] == 10)
			seg.opt[i + 1] = 9;
	odd_send(p, &seg);
}

static void urg(struct odd_peer *p)
{
	struct odd_seg seg = odd_seg(p);

	seg.flags |= TCP_URG;
	seg.urg = (uint16_t)rnd_log(&p->rnd, UINT16_MAX);
	odd_send(p, &seg);
}

static void flags(struct odd_peer *p)
{
	struct odd_seg seg = odd_seg(p);

	seg.flags = (uint8_t)rnd_u64(&p->rnd);
	if (seg.flags & (TCP_RST | TCP_FIN) || rnd_below(&p->rnd, 2)) {
		seg.flags &= (uint8_t)~TCP_FIN;
		seg.seq = near(p);
	}
	if ((seg.flags & TCP_RST) && seg.seq == p->snd_acked)
		seg.seq++;
	odd_send(p, &seg);
}

static void icmp(struct odd_peer *p)
{
	struct core *host = &p->w->host[1];
	uint32_t seq = rnd_below(&p->rnd, 2) ? near(p) : p->ack_max;

	if (p->user->ctx_idx != 0)
		world_too_big(host, &host->ctx[p->user->ctx_idx], seq,
				(uint16_t)rnd_log(&p->rnd, 3000));
}

static const struct {
	const char *name;
	void (*act)(struct odd_peer *p);
} acts[ODD_ACTS_N] = {
		[ODD_SHRINK] = {"shrink", shrink},
		[ODD_RENEGE] = {"renege", renege},
		[ODD_ACK_FUTURE] = {"ack-future", ack_future},
		[ODD_ACK_OLD] = {"ack-old", ack_old},
		[ODD_ACK_SPLIT] = {"ack-split", ack_split},
		[ODD_ACK_OPTIMISTIC] = {"ack-optimistic", ack_optimistic},
		[ODD_ACK_FLOOD] = {"ack-flood", ack_flood},
		[ODD_OVERLAP] = {"overlap", overlap},
		[ODD_OUT_OF_WINDOW] = {"out-of-window", out_of_window},
		[ODD_TINY] = {"tiny", tiny},
		[ODD_SYN] = {"syn", syn},
		[ODD_FIN] = {"fin", fin},
		[ODD_RST] = {"rst", rst},
		[ODD_DEAF] = {"deaf", deaf},
		[ODD_TS] = {"ts", ts},
		[ODD_SACK] = {"sack", sack},
		[ODD_ECN] = {"ecn", ecn},
		[ODD_OPTIONS] = {"options", options},
		[ODD_URG] = {"urg", urg},
		[ODD_FLAGS] = {"flags", flags},
		[ODD_ICMP] = {"icmp", icmp},
};

const char *odd_act_name(uint32_t act)
{
	return acts[act].name;
}

void odd_peer_act(struct odd_peer *p)
{
	uint32_t act = rnd_below(&p->rnd, ODD_ACTS_N);

	if (!(p->mask & 1u << act) || !p->irs_valid)
		return;
	p->acts_n[act]++;
	world_trace(p->w, "  odd: %s", acts[act].name);
	odd_peer_listen(p);
	acts[act].act(p);
}
