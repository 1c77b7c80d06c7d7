/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The odd peer's books, and how it behaves when it does.
 */
#include "test/sim/odd_peer.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "engine/tcp/seq.h"
#include "test/sim/tcp_world_up.h"

#define STACK_STREAM_BYTES (1u << 20)
#define RX_BUDGET 8u
#define VARIANT_KEY 0x9e3779b97f4a7c15ull

static void rx_segment(struct odd_peer *p, const struct world_frame *f, uint32_t len);
static void rx_options(struct odd_peer *p, const struct world_frame *f);
static void rx_text(struct odd_peer *p, uint32_t seq, uint32_t len);
static void books_note(struct odd_peer *p, const struct odd_seg *seg);
static void placed_judge(
		struct world *w, struct user *u, uint32_t off, const uint8_t *data, uint32_t len);

static uint64_t key_of(const struct odd_peer *p, uint32_t variant)
{
	return p->user->key_rx + variant * VARIANT_KEY;
}

void odd_peer_init(struct odd_peer *p, struct world *w, struct conn *conn, uint64_t seed)
{
	static const uint16_t mss[] = {1460, 1460, 536, 88, 1, 65535};
	struct rnd *r = &p->rnd;

	memset(p, 0, sizeof(*p));
	p->w = w;
	p->conn = conn;
	p->user = &conn->user[1];
	r->state = seed ^ 0x0dd;
	p->iss = rnd_below(r, 2) ? (uint32_t)rnd_u64(r) : 0u - rnd_below(r, 60000);
	p->snd_nxt = p->snd_acked = p->snd_edge = p->iss;
	p->total = rnd_log(r, ODD_STREAM_BYTES);
	p->got_n = STACK_STREAM_BYTES;
	p->got = calloc(1, p->got_n);
	p->wnd = 500 + rnd_log(r, 200000);
	p->loss_ppm = rnd_below(r, 2) ? rnd_log(r, 300000) : 0;
	p->ts = rnd_below(r, 3) != 0;
	p->sack = rnd_below(r, 3) != 0;
	p->wscale = rnd_below(r, 3) != 0;
	p->snd_wscale = p->wscale ? (uint8_t)rnd_below(r, 15) : 0;
	p->mss = mss[rnd_below(r, 6)];
	p->snd_mss = (uint16_t)rnd_range(r, 1, 1400);
	p->ts_max = rnd_below(r, 2) ? (uint32_t)rnd_u64(r) : 0u - rnd_below(r, 100);
	if (p->ts_max == 0)
		p->ts_max = 1;
	w->placed = placed_judge;
	w->caller = p;
}

void odd_peer_fini(struct odd_peer *p)
{
	free(p->got);
	p->got = NULL;
}

uint32_t odd_off(const struct odd_peer *p, uint32_t seq)
{
	return seq - p->iss - 1;
}

/* ---- segments ---- */

void odd_opt_ts(const struct odd_peer *p, struct odd_seg *seg, uint32_t tsval)
{
	uint32_t be[2] = {htonl(tsval), htonl(p->ts_recent)};

	if (!p->ts || seg->opt_len + 12u > sizeof(seg->opt))
		return;
	memcpy(seg->opt + seg->opt_len, "\1\1\10\12", 4);
	memcpy(seg->opt + seg->opt_len + 4, be, 8);
	seg->opt_len = (uint8_t)(seg->opt_len + 12);
}

void odd_opt_sack(struct odd_seg *seg, const uint32_t (*block)[2], uint32_t n)
{
	uint32_t room = (uint32_t)(sizeof(seg->opt) - seg->opt_len), i;
	uint8_t *at = seg->opt + seg->opt_len;

	if (room < 12 || n == 0)
		return;
	if (n > (room - 4) / 8)
		n = (room - 4) / 8;
	memcpy(at, "\1\1\5", 3);
	at[3] = (uint8_t)(2 + 8 * n);
	for (i = 0; i < n; i++) {
		uint32_t be[2] = {htonl(block[i][0]), htonl(block[i][1])};

		memcpy(at + 4 + 8 * i, be, 8);
	}
	seg->opt_len = (uint8_t)(seg->opt_len + 4 + 8 * n);
}

/* The first ranges beyond rcv_nxt. */
void odd_opt_sack_honest(const struct odd_peer *p, struct odd_seg *seg)
{
	uint32_t block[4][2], n = 0, lo, hi, first = p->irs + 1, end = p->stack_max - first;

	if (!p->sack)
		return;
	for (lo = p->rcv_nxt - first; lo < end && lo < p->got_n && n < 4; lo = hi) {
		const uint8_t *at = memchr(p->got + lo, 1, (end < p->got_n ? end : p->got_n) - lo);

		if (at == NULL)
			break;
		lo = (uint32_t)(at - p->got);
		for (hi = lo; hi < end && hi < p->got_n && p->got[hi] != 0; hi++)
			;
		block[n][0] = first + lo;
		block[n++][1] = first + hi;
	}
	odd_opt_sack(seg, block, n);
}

static uint16_t window_field(const struct odd_peer *p)
{
	uint32_t wnd = p->w->now_us < p->deaf_us ? 0 : p->wnd >> p->snd_wscale;

	return (uint16_t)(wnd > UINT16_MAX ? UINT16_MAX : wnd);
}

struct odd_seg odd_seg(const struct odd_peer *p)
{
	struct odd_seg seg = {.flags = TCP_ACK,
			.seq = p->snd_nxt,
			.ack = p->rcv_nxt,
			.wnd = window_field(p)};

	odd_opt_ts(p, &seg, p->ts_max);
	return seg;
}

void odd_send(struct odd_peer *p, const struct odd_seg *seg)
{
	static uint8_t body[2048];
	uint32_t off = odd_off(p, seg->seq + !!(seg->flags & TCP_SYN));
	struct world_frame f = {.seq = seg->seq,
			.ack = seg->ack,
			.wnd = seg->wnd,
			.urg = seg->urg,
			.segs = 1,
			.flags = seg->flags,
			.ecn = seg->ecn,
			.opt_len = seg->opt_len};
	struct wire_tx tx = {.head = &f, .head_len = sizeof(f), .tail = body, .tail_len = seg->len};

	odd_peer_listen(p);
	if (seg->len > sizeof(body)) {
		world_fail(p->w, "the odd peer's segments are short");
		return;
	}
	books_note(p, seg);
	content_fill(key_of(p, p->variant), off, body, seg->len);
	memcpy(f.opt, seg->opt, seg->opt_len);
	world_tuple(p->w, p->conn, 0, &f.tuple);
	tx.safe = (uint32_t)sizeof(f) + seg->len;
	p->segs_n++;
	wire_send(&p->w->wire[0], p->w->now_us, &tx);
	(void)world_rx(p->w, 1, RX_BUDGET);
	odd_peer_listen(p);
}

/* What may the stack believe now that it could not before? */
static void books_note(struct odd_peer *p, const struct odd_seg *seg)
{
	uint32_t off = odd_off(p, seg->seq + !!(seg->flags & TCP_SYN)), i, edge;
	uint32_t end = seg->seq + seg->len + !!(seg->flags & (TCP_SYN | TCP_FIN));

	for (i = 0; i < seg->len; i++)
		if (off + i < ODD_STREAM_BYTES)
			p->variants[off + i] |= (uint8_t)(1u << p->variant);
	if ((seg->flags & TCP_FIN) && off + seg->len <= ODD_STREAM_BYTES)
		p->fin_at[off + seg->len] = true;
	if ((seg->flags & TCP_RST) && seq_ge(seg->seq, p->snd_acked))
		p->may_reset |= seq_le(seg->seq, p->snd_nxt + ODD_STREAM_BYTES);
	/* Would the stack look at it at all? What it got without telling us is more than snd_acked. */
	if (p->irs_valid && !(seg->flags & TCP_SYN) && !seq_ge(end, p->snd_acked))
		return;
	if (!(seg->flags & TCP_ACK) || !p->irs_valid || seq_gt(seg->ack, p->stack_max))
		return;
	if (seq_gt(seg->ack, p->ack_max))
		p->ack_max = seg->ack;
	edge = seg->ack + ((uint32_t)seg->wnd << ((seg->flags & TCP_SYN) ? 0 : p->snd_wscale));
	if (seq_gt(edge, p->edge_max))
		p->edge_max = edge;
}

/* One of the bytes that were sent for this place? */
static void placed_judge(
		struct world *w, struct user *u, uint32_t off, const uint8_t *data, uint32_t len)
{
	const struct odd_peer *p = w->caller;
	uint32_t i, v;

	if (u != p->user || off + (uint64_t)len > ODD_STREAM_BYTES) {
		world_fail(w, "bytes placed at %u that the peer never sent", off);
		return;
	}
	for (i = 0; i < len; i++) {
		for (v = 0; v < ODD_VARIANTS; v++)
			if ((p->variants[off + i] & 1u << v) &&
					content_byte(key_of(p, v), off + i) == data[i])
				break;
		if (v == ODD_VARIANTS) {
			world_fail(w, "a byte placed at %u that the peer did not send for it",
					off + i);
			return;
		}
	}
}

/* ---- receiving ---- */

void odd_peer_listen(struct odd_peer *p)
{
	struct world_frame f;
	uint32_t len;
	uint8_t *data;

	while ((data = wire_recv(&p->w->wire[1], p->w->now_us, &len)) != NULL) {
		memcpy(&f, data, sizeof(f));
		wire_free(data);
		rx_segment(p, &f, len - (uint32_t)sizeof(f));
	}
}

static void rx_segment(struct odd_peer *p, const struct world_frame *f, uint32_t len)
{
	uint32_t end = f->seq + len + !!(f->flags & TCP_FIN), edge;

	world_trace_segment(p->w, 0, "rx", f, len);
	if (f->flags & TCP_RST)
		return;
	if (f->flags & TCP_SYN) {
		if (p->irs_valid && f->seq != p->irs)
			world_fail(p->w, "the stack has two first sequence numbers");
		p->irs = f->seq;
		if (!p->irs_valid)
			p->stack_max = p->rcv_nxt = p->ack_max = p->edge_max = f->seq + 1;
		p->irs_valid = true;
		p->stack_opens |= !(f->flags & TCP_ACK);
	} else if (!p->irs_valid) {
		world_fail(p->w, "the stack speaks before its SYN");
		return;
	}
	rx_options(p, f);
	if (len != 0 && seq_gt(f->seq + len, p->edge_max + 1))
		world_fail(p->w, "%u bytes beyond every window that the peer gave",
				f->seq + len - p->edge_max);
	if (!(f->flags & TCP_SYN) && seq_gt(end, p->stack_max))
		p->stack_max = end;
	if (f->flags & TCP_FIN) {
		if (p->stack_fin_valid && p->stack_fin != end - 1)
			world_fail(p->w, "the stack's FIN has moved");
		p->stack_fin_valid = true;
		p->stack_fin = end - 1;
	}
	if (f->flags & TCP_ACK) {
		if (seq_gt(f->ack, p->snd_acked))
			p->snd_acked = f->ack;
		edge = f->ack + ((uint32_t)f->wnd << ((f->flags & TCP_SYN) ? 0 : p->rcv_wscale));
		if (seq_gt(edge, p->snd_edge))
			p->snd_edge = edge;
	}
	if (!rnd_ppm(&p->rnd, p->loss_ppm) && !(f->flags & TCP_SYN))
		rx_text(p, f->seq, len);
}

static void rx_text(struct odd_peer *p, uint32_t seq, uint32_t len)
{
	uint32_t off = seq - p->irs - 1, i;

	if (off >= p->got_n || len > p->got_n - off)
		return;
	for (i = 0; i < len; i++)
		p->got[off + i] = 1;
	off = p->rcv_nxt - p->irs - 1;
	while (off < p->got_n && p->got[off] != 0 && seq_lt(p->rcv_nxt, p->stack_max)) {
		off++;
		p->rcv_nxt++;
	}
	if (p->stack_fin_valid && p->rcv_nxt == p->stack_fin)
		p->rcv_nxt++;
}

static void rx_options(struct odd_peer *p, const struct world_frame *f)
{
	uint32_t i = 0, n, has_ts = 0, has_sack = 0, has_wscale = 0;

	while (i < f->opt_len && f->opt[i] != 0) {
		n = f->opt[i] == 1 ? 1 : f->opt[i + 1];
		if (n == 0 || i + n > f->opt_len) {
			world_fail(p->w, "the stack sends malformed options");
			return;
		}
		if (f->opt[i] == 8) {
			memcpy(&p->ts_recent, f->opt + i + 2, 4);
			p->ts_recent = ntohl(p->ts_recent);
			has_ts = 1;
		} else if (f->opt[i] == 3) {
			p->rcv_wscale = f->opt[i + 2];
			has_wscale = 1;
		} else if (f->opt[i] == 4) {
			has_sack = 1;
		}
		i += n;
	}
	if (!(f->flags & TCP_SYN))
		return;
	p->ts &= has_ts != 0;
	p->sack &= has_sack != 0;
	if (!has_wscale)
		p->snd_wscale = p->rcv_wscale = 0;
}

/* ---- behaving ---- */

static struct odd_seg syn_seg(const struct odd_peer *p)
{
	struct odd_seg seg = {.flags = TCP_SYN, .seq = p->iss};

	seg.wnd = (uint16_t)(p->wnd > UINT16_MAX ? UINT16_MAX : p->wnd);
	memcpy(seg.opt, (uint8_t[]){2, 4, (uint8_t)(p->mss >> 8), (uint8_t)p->mss}, 4);
	seg.opt_len = 4;
	if (p->wscale) {
		memcpy(seg.opt + seg.opt_len, (uint8_t[]){1, 3, 3, p->snd_wscale}, 4);
		seg.opt_len = (uint8_t)(seg.opt_len + 4);
	}
	if (p->sack) {
		memcpy(seg.opt + seg.opt_len, "\1\1\4\2", 4);
		seg.opt_len = (uint8_t)(seg.opt_len + 4);
	}
	odd_opt_ts(p, &seg, p->ts_max);
	return seg;
}

void odd_peer_open(struct odd_peer *p)
{
	struct odd_seg seg = syn_seg(p);

	odd_peer_listen(p);
	if (p->stack_opens) {
		seg.flags |= TCP_ACK;
		seg.ack = p->rcv_nxt;
	}
	p->snd_nxt = p->iss + 1;
	odd_send(p, &seg);
	if (!p->stack_opens && p->irs_valid) {
		seg = odd_seg(p);
		odd_send(p, &seg);
	}
}

bool odd_peer_is_open(const struct odd_peer *p)
{
	return p->user->is_open;
}

/* From what the stack has acknowledged on, as far as its window goes. */
void odd_peer_behave(struct odd_peer *p, uint32_t segs)
{
	struct odd_seg seg;
	uint32_t off, end = p->iss + 1 + p->total, i;

	odd_peer_listen(p);
	p->snd_nxt = seq_gt(p->snd_acked, p->iss) ? p->snd_acked : p->iss + 1;
	seg = odd_seg(p);
	odd_opt_sack_honest(p, &seg);
	odd_send(p, &seg);
	p->snd_nxt = seq_gt(p->snd_acked, p->snd_nxt) ? p->snd_acked : p->snd_nxt;
	for (i = 0; i < segs && seq_le(p->snd_nxt, end); i++) {
		seg = odd_seg(p);
		off = odd_off(p, p->snd_nxt);
		seg.len = p->total - off < p->snd_mss ? p->total - off : p->snd_mss;
		if (seq_gt(seg.seq + seg.len, p->snd_edge))
			seg.len = seq_gt(p->snd_edge, seg.seq) ? p->snd_edge - seg.seq : 0;
		if (seg.len == 0 && i == 0 && off < p->total)
			seg.len = 1; /* a probe */
		if (off + seg.len == p->total)
			seg.flags |= TCP_FIN;
		if (seg.len == 0 && !(seg.flags & TCP_FIN))
			break;
		p->snd_nxt += seg.len;
		odd_send(p, &seg);
		if (seg.flags & TCP_FIN)
			break;
	}
}
