/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The send log: when each byte in flight left, and what became of it.
 *
 * RACK, tail loss probes, F-RTO, undo and rate samples all ask the same question of a byte: when was
 * it last sent, and was that the first time? A record answers it for a whole transmission, which may
 * be a burst of many segments; where the peer's SACK or our retransmission ends within one, it is
 * split. Records cover [snd_una, snd_nxt) in order and without gap, so that a sequence number names
 * its record, and the sums ctx->sacked_bytes and ctx->lost_bytes give the pipe without a walk:
 *
 *     pipe = snd_nxt - snd_una - sacked_bytes - lost_bytes
 *
 * A flight that left at once needs no log: its time stands in the context. So a request that waits
 * for its answer costs none, and an idle connection has none. Logs come from a pool. When the pool is
 * empty the connection goes on as if it had neither SACK nor RACK, one segment a round trip.
 *
 * When a log is full, neighbours melt into one: first those that need no time any more, then, where that is not
 * enough, those that left within a millisecond, two, four and so on of each other. The later time holds. That makes us
 * slower to deem bytes lost, but of an ACK that ends within such a record we learn no time: it would look like a path
 * much shorter than it is. What still finds no room is not noted: a SACK that is forgotten costs a retransmission.
 *
 * The peer SACKs segments. Of a block that begins or ends within one, only the whole segments count: a
 * part of one is no proof that it arrived (RFC 2018 5.1 speaks of segments; as Linux). So a record knows
 * where its segments end, as long as they are of one size but for the last; else every byte counts.
 *
 * RFC 8985 5.2 (per-segment state), RFC 2018 8, RFC 6675 3.
 */
#include <string.h>

#include "engine/tcp/tcp_int.h"

/* SACK blocks leave so many records for what we send ourselves. */
#define SENT_RESERVE 8u
/* A log that was full is melted down to so many, so that it is not full at once again. */
#define SENT_ROOMY (TCP_SENT_MAX * 3 / 4)
#define REORDER_SEGS_MAX 300u /* as Linux, tcp_max_reordering */
#define MELT_US 1000u
#define MELT_US_MAX 0x80000000u /* differences of times stay below */

static void log_put(struct tcp_stack *stack, struct tcp_ctx *ctx)
{
	stack->log[ctx->sent_log].next = stack->log_free;
	stack->log_free = ctx->sent_log;
	ctx->sent_log = 0;
}

void tcp_sent_clear(struct tcp_stack *stack, struct tcp_ctx *ctx)
{
	if (ctx->sent_log)
		log_put(stack, ctx);
	ctx->sacked_bytes = 0;
	ctx->lost_bytes = 0;
	ctx->flags &= ~(TCP_CTX_RTT_TIMING | TCP_CTX_RTX_ONE);
}

/* Segments of a flight that left at @us32: all of mss? */
static uint16_t seg_bytes_of(const struct tcp_ctx *ctx, uint32_t us32)
{
	return ctx->mixed_us8 == (uint8_t)us32 ? 1 : ctx->mss;
}

struct tcp_log *tcp_sent_log(const struct tcp_env *e, struct tcp_ctx *ctx)
{
	struct tcp_stack *stack = e->stack;
	struct tcp_log *log;

	if (ctx->sent_log)
		return &stack->log[ctx->sent_log];
	if (ctx->snd_una == ctx->snd_nxt || ctx->flags & TCP_CTX_PROBED)
		return NULL;
	if (stack->log_free == 0) {
		TCP_COUNT(e, log_full);
		return NULL;
	}
	ctx->sent_log = stack->log_free;
	log = &stack->log[ctx->sent_log];
	stack->log_free = log->next;
	log->first = 0;
	log->n = 1;
	log->r[0] = (struct tcp_sent){
			.seg_bytes = seg_bytes_of(ctx, ctx->sent_us32),
			.lo = ctx->snd_una,
			.hi = ctx->snd_nxt,
			.us32 = ctx->sent_us32,
			.delivered = (uint32_t)ctx->tx_bytes,
			.delivered_us32 = ctx->sent_us32,
			.first_us32 = ctx->sent_us32,
			.flags = (uint8_t)((ctx->flags & TCP_CTX_RTT_TIMING ? 0 : TCP_SENT_RTX) |
					   (ctx->flags2 & TCP_CTX2_APP_LIMITED
									   ? TCP_SENT_APP_LIMITED
									   : 0)),
	};
	ctx->delivered_us32 = ctx->sent_us32;
	ctx->first_us32 = ctx->sent_us32;
	/* What duplicates said about nobody in particular, the log will hear by SACK. */
	if (ctx->flags & TCP_CTX_SACK)
		ctx->sacked_bytes = 0;
	ctx->lost_bytes = 0;
	ctx->flags &= ~TCP_CTX_RTX_ONE;
	/* Nothing of this flight has been delivered: older news would only confuse (RFC 8985 6.2). */
	ctx->rack_us32 = ctx->sent_us32;
	ctx->rack_end_seq = ctx->snd_una;
	ctx->rack_rtt_us = ctx->srtt_us;
	ctx->rack_fack = ctx->snd_una;
	return log;
}

static bool is_mergeable(const struct tcp_sent *a, const struct tcp_sent *b, uint32_t within_us)
{
	uint32_t apart_us = b->us32 - a->us32;

	if (a->state != b->state)
		return false;
	if (a->state != TCP_SENT_OUT)
		return true;
	if ((a->flags ^ b->flags) & ~(TCP_SENT_MELTED | TCP_SENT_UNTIMED))
		return false;
	return (seq_lt(b->us32, a->us32) ? -apart_us : apart_us) <= within_us;
}

/* @b is added to its left neighbour @a. */
static void merge(struct tcp_sent *a, const struct tcp_sent *b)
{
	uint8_t flags = (uint8_t)((a->flags & ~TCP_SENT_UNTIMED) | b->flags);

	if (a->seg_bytes != b->seg_bytes || (b->lo - a->lo) % a->seg_bytes)
		a->seg_bytes = 1;
	if (a->us32 != b->us32)
		flags |= TCP_SENT_MELTED;
	if (seq_gt(b->us32, a->us32)) {
		a->us32 = b->us32;
		a->delivered = b->delivered;
		a->delivered_us32 = b->delivered_us32;
		a->first_us32 = b->first_us32;
	} else if (a->us32 != b->us32) {
		flags |= TCP_SENT_UNTIMED;
	}
	a->flags = flags;
	a->hi = b->hi;
}

/* Melt neighbours into one, if they left within @within_us or their time does not matter any more. */
static void compact(struct tcp_log *log, uint32_t within_us)
{
	struct tcp_sent *r = log->r;
	uint16_t n = 0;

	for (uint16_t i = 0; i < log->n; i++) {
		const struct tcp_sent *from = &log->r[log->first + i];

		if (n && is_mergeable(&r[n - 1], from, within_us))
			merge(&r[n - 1], from);
		else
			r[n++] = *from;
	}
	log->first = 0;
	log->n = n;
}

/* No more than @most records, whatever it costs in exactness; by as little as will do. */
static void make_room(struct tcp_log *log, uint32_t most)
{
	compact(log, 0);
	for (uint32_t within_us = MELT_US; log->n > most && within_us < MELT_US_MAX; within_us *= 2)
		compact(log, within_us);
}

/* Room for @n more records behind the last? May move records. */
static bool has_room(struct tcp_log *log, uint32_t n)
{
	if (log->first + log->n + n <= TCP_SENT_MAX)
		return true;
	if (log->first) {
		memmove(&log->r[0], &log->r[log->first], log->n * sizeof(log->r[0]));
		log->first = 0;
	}
	if (log->n + n <= TCP_SENT_MAX)
		return true;
	make_room(log, SENT_ROOMY);
	return log->n + n <= TCP_SENT_MAX;
}

/* Something is in flight already. Apart, so that the usual case needs no room on the stack. */
static __attribute__((noinline)) void add_behind(
		const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t lo, uint32_t hi)
{
	uint32_t now_us32 = (uint32_t)e->now_us;
	struct tcp_sent *last;
	struct tcp_log *log;

	/* The same burst as all that is in flight? */
	if (ctx->sent_log == 0 && ctx->flags & TCP_CTX_RTT_TIMING && ctx->sent_us32 == now_us32) {
		if ((lo - ctx->snd_una) % ctx->mss)
			ctx->mixed_us8 = (uint8_t)now_us32;
		return;
	}
	/* The log begins with what was in flight before. */
	ctx->snd_nxt = lo;
	log = tcp_sent_log(e, ctx);
	ctx->snd_nxt = hi;
	if (log == NULL) {
		ctx->sent_us32 = now_us32;
		ctx->flags &= ~TCP_CTX_RTT_TIMING;
		return;
	}
	last = &log->r[log->first + log->n - 1];
	if ((last->us32 == now_us32 && last->state == TCP_SENT_OUT &&
			    !(last->flags & TCP_SENT_RTX)) ||
			!has_room(log, 1)) {
		/* The same burst; or no room, and nothing but a later time to be had. */
		last = &log->r[log->first + log->n - 1];
		if (last->state == TCP_SENT_OUT) {
			if (last->seg_bytes != seg_bytes_of(ctx, now_us32) ||
					(lo - last->lo) % last->seg_bytes)
				last->seg_bytes = 1;
			if (last->us32 != now_us32)
				last->flags |= TCP_SENT_MELTED;
			last->flags &= (uint8_t)~TCP_SENT_UNTIMED;
			last->hi = hi;
			last->us32 = now_us32;
			return;
		}
		tcp_sent_clear(e->stack, ctx);
		ctx->sent_us32 = now_us32;
		return;
	}
	log->r[log->first + log->n++] = (struct tcp_sent){
			.seg_bytes = seg_bytes_of(ctx, now_us32),
			.lo = lo,
			.hi = hi,
			.us32 = now_us32,
			.delivered = tcp_delivered(ctx),
			.delivered_us32 = ctx->delivered_us32,
			.first_us32 = ctx->first_us32,
			.flags = ctx->flags2 & TCP_CTX2_APP_LIMITED ? TCP_SENT_APP_LIMITED : 0,
	};
}

void tcp_sent_add(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t lo, uint32_t hi)
{
	if (ETA_UNLIKELY(lo != ctx->snd_una)) {
		add_behind(e, ctx, lo, hi);
		return;
	}
	ctx->sent_us32 = (uint32_t)e->now_us;
	ctx->flags |= TCP_CTX_RTT_TIMING;
}

/* Cut record @i at @seq, which lies inside it, in two. Return: false if there is no room. */
static bool split(struct tcp_log *log, uint32_t i, uint32_t seq)
{
	struct tcp_sent *r = &log->r[log->first + i];

	if (log->first + log->n == TCP_SENT_MAX)
		return false;
	memmove(r + 1, r, (log->n - i) * sizeof(*r));
	log->n++;
	if ((seq - r[0].lo) % r[0].seg_bytes)
		r[1].seg_bytes = 1;
	r[0].hi = seq;
	r[1].lo = seq;
	if (r->flags & TCP_SENT_MELTED)
		r->flags |= TCP_SENT_UNTIMED;
	return true;
}

/* Index of the record with @seq in it, log->n = none. */
static uint32_t find(const struct tcp_log *log, uint32_t seq)
{
	const struct tcp_sent *r = &log->r[log->first];
	uint32_t lo = 0, hi = log->n;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (seq_gt(r[mid].hi, seq))
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

struct tcp_sent *tcp_sent_at(const struct tcp_env *e, const struct tcp_ctx *ctx, uint32_t seq)
{
	struct tcp_log *log = &e->stack->log[ctx->sent_log];
	uint32_t i = find(log, seq);

	return i < log->n ? &log->r[log->first + i] : NULL;
}

bool tcp_sent_cut(const struct tcp_env *e, const struct tcp_ctx *ctx, uint32_t seq)
{
	struct tcp_log *log = &e->stack->log[ctx->sent_log];
	uint32_t i;

	if (seq == ctx->snd_nxt)
		return true;
	if (!has_room(log, 1))
		return false;
	i = find(log, seq);
	return log->r[log->first + i].lo == seq || split(log, i, seq);
}

/* A segment was passed by so many bytes: only to be told, as Linux tells it (tcp_check_sack_reordering()). */
static ETA_COLD void note_degree(struct tcp_ctx *ctx, uint32_t bytes)
{
	uint32_t segs = (bytes + ctx->mss - 1) / ctx->mss;

	if (segs > REORDER_SEGS_MAX)
		segs = REORDER_SEGS_MAX;
	if (segs > ctx->reorder_segs)
		ctx->reorder_segs = (uint16_t)segs;
}

/* Of bytes that have just been delivered, what do we learn about the path? */
static void learn(const struct tcp_env *e, struct tcp_ctx *ctx, const struct tcp_sent *r,
		uint32_t end, struct tcp_ack *a)
{
	uint32_t age_us = (uint32_t)e->now_us - r->us32;
	bool is_timed = !(r->flags & TCP_SENT_MELTED) ||
			(end == r->hi && !(r->flags & TCP_SENT_UNTIMED));

	if (r->flags & TCP_SENT_RTX) {
		a->flags |= TCP_ACK_RTX;
	} else {
		if (is_timed) {
			a->rtt_us = age_us ? age_us : 1;
			if (a->rtt_us_max == 0)
				a->rtt_us_max = a->rtt_us;
		}
		if (seq_le(end, ctx->recover))
			a->flags |= TCP_ACK_ORIG;
		/* It was passed by what was sent later (RFC 8985 6.2 step 3). */
		if (seq_lt(end, a->prior_fack)) {
			ctx->flags2 |= TCP_CTX2_REORDERED;
			ctx->reorder_n++;
			note_degree(ctx, a->prior_fack - r->lo);
		}
	}
	if (seq_gt(end, ctx->rack_fack))
		ctx->rack_fack = end;
	if (!is_timed)
		return;
	tcp_rack_advance(e, ctx, r, end, a);
	tcp_rate_delivered(ctx, r, a);
}

void tcp_sent_acked(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_ack *a)
{
	struct tcp_log *log = &e->stack->log[ctx->sent_log];
	const bool sack = ctx->flags & TCP_CTX_SACK;

	while (log->n) {
		struct tcp_sent *r = &log->r[log->first];
		uint32_t end = seq_min(r->hi, a->ack);
		uint32_t n = end - r->lo;

		if (!seq_lt(r->lo, a->ack))
			break;
		if (r->state == TCP_SENT_SACKED) {
			ctx->sacked_bytes -= n;
		} else {
			if (r->state == TCP_SENT_LOST)
				ctx->lost_bytes -= n;
			a->delivered += n;
			learn(e, ctx, r, end, a);
		}
		if (end != r->hi) {
			if (n % r->seg_bytes)
				r->seg_bytes = 1;
			r->lo = end;
			break;
		}
		log->first++;
		log->n--;
	}
	/* Without SACK the duplicates of before have told most of this already. */
	if (!sack && ctx->sacked_bytes)
		tcp_sent_reno_acked(ctx, a);
	if (log->n == 0) {
		log_put(e->stack, ctx);
		ctx->lost_bytes = 0;
		ctx->sacked_bytes = 0;
	}
}

void tcp_sent_reno_acked(struct tcp_ctx *ctx, struct tcp_ack *a)
{
	uint32_t acked = a->ack - ctx->snd_una;
	uint32_t known = acked > ctx->mss ? acked - ctx->mss : 0;
	uint32_t left = ctx->snd_nxt - a->ack;

	if (known > ctx->sacked_bytes)
		known = ctx->sacked_bytes;
	ctx->sacked_bytes -= known;
	a->delivered -= known < a->delivered ? known : a->delivered;
	if (ctx->sacked_bytes + ctx->lost_bytes > left)
		ctx->sacked_bytes = left > ctx->lost_bytes ? left - ctx->lost_bytes : 0;
}

void tcp_sent_sacked(const struct tcp_env *e, struct tcp_ctx *ctx, uint32_t lo, uint32_t hi,
		struct tcp_ack *a)
{
	struct tcp_log *log = &e->stack->log[ctx->sent_log];
	uint32_t i, end;

	if (log->n + SENT_RESERVE > TCP_SENT_MAX)
		make_room(log, SENT_ROOMY);
	if (log->n + SENT_RESERVE > TCP_SENT_MAX || !has_room(log, 2)) {
		TCP_COUNT(e, sack_discard);
		return;
	}
	i = find(log, lo);
	if (log->r[log->first + i].state != TCP_SENT_SACKED && log->r[log->first + i].lo != lo) {
		const struct tcp_sent *r = &log->r[log->first + i];
		uint32_t n = lo - r->lo + r->seg_bytes - 1;

		/* from the first segment that begins in the block */
		n -= n % r->seg_bytes;
		if (n < r->hi - r->lo)
			(void)split(log, i, r->lo + n);
		i++;
	}
	for (; i < log->n; i++) {
		struct tcp_sent *r = &log->r[log->first + i];

		if (!seq_lt(r->lo, hi))
			break;
		if (r->state == TCP_SENT_SACKED)
			continue;
		if (seq_gt(r->hi, hi)) {
			/* to the last one that ends in it */
			uint32_t n = hi - r->lo;

			n -= n % r->seg_bytes;
			if (n == 0)
				break;
			(void)split(log, i, r->lo + n);
		}
		end = r->hi;
		if (r->state == TCP_SENT_LOST)
			ctx->lost_bytes -= end - r->lo;
		r->state = TCP_SENT_SACKED;
		ctx->sacked_bytes += end - r->lo;
		a->delivered += end - r->lo;
		a->flags |= TCP_ACK_SACKED;
		learn(e, ctx, r, end, a);
	}
	if (log->n > TCP_SENT_MAX / 2)
		compact(log, 0);
}

void tcp_sent_lost(struct tcp_ctx *ctx, struct tcp_sent *r, struct tcp_ack *a)
{
	r->state = TCP_SENT_LOST;
	ctx->lost_bytes += r->hi - r->lo;
	if (a)
		a->lost += r->hi - r->lo;
	if (a && r->flags & TCP_SENT_RTX)
		a->flags |= TCP_ACK_LOST_RTX;
}

void tcp_sent_again(const struct tcp_env *e, struct tcp_ctx *ctx, struct tcp_sent *r)
{
	if (r->state == TCP_SENT_LOST)
		ctx->lost_bytes -= r->hi - r->lo;
	r->state = TCP_SENT_OUT;
	r->flags = TCP_SENT_RTX | (ctx->flags2 & TCP_CTX2_APP_LIMITED ? TCP_SENT_APP_LIMITED : 0);
	r->us32 = (uint32_t)e->now_us;
	if (r->seg_bytes != 1)
		r->seg_bytes = seg_bytes_of(ctx, r->us32);
	r->delivered = tcp_delivered(ctx);
	r->delivered_us32 = ctx->delivered_us32;
	r->first_us32 = ctx->first_us32;
}

bool tcp_sent_any_again(const struct tcp_env *e, const struct tcp_ctx *ctx)
{
	const struct tcp_log *log = &e->stack->log[ctx->sent_log];

	if (ctx->sent_log == 0)
		return ctx->snd_una != ctx->snd_nxt && !(ctx->flags & TCP_CTX_RTT_TIMING);
	for (uint32_t i = 0; i < log->n; i++) {
		const struct tcp_sent *r = &log->r[log->first + i];

		if (r->flags & TCP_SENT_RTX && (i == 0 || r->state == TCP_SENT_OUT))
			return true;
	}
	return false;
}

const char *tcp_sent_check(const struct tcp_stack *stack, const struct tcp_ctx *ctx)
{
	const struct tcp_log *log = &stack->log[ctx->sent_log];
	uint32_t seq = ctx->snd_una, sacked = 0, lost = 0;

	if (ctx->sent_log == 0)
		return NULL;
	if (log->n == 0 || log->first + log->n > TCP_SENT_MAX)
		return "a log has records";
	for (uint32_t i = 0; i < log->n; i++) {
		const struct tcp_sent *r = &log->r[log->first + i];

		if (r->lo != seq || !seq_lt(r->lo, r->hi))
			return "records cover what is in flight without gap";
		if (r->seg_bytes == 0)
			return "a record knows the size of its segments";
		sacked += r->state == TCP_SENT_SACKED ? r->hi - r->lo : 0;
		lost += r->state == TCP_SENT_LOST ? r->hi - r->lo : 0;
		seq = r->hi;
	}
	if (seq != ctx->snd_nxt)
		return "the last record ends at snd_nxt";
	if (ctx->flags & TCP_CTX_SACK && sacked != ctx->sacked_bytes)
		return "sacked_bytes is the sum of the records";
	if (lost != ctx->lost_bytes)
		return "lost_bytes is the sum of the records";
	return NULL;
}
