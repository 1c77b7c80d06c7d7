/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An imperfect link: a binary heap of frames ordered by the time they are due.
 */
#include "test/sim/wire.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define ECN_CE 3u /* RFC 3168 5; 1 and 2 are the two ECT codepoints */

struct wire_frame {
	uint64_t due_us;
	uint64_t order;
	uint32_t len;
	uint8_t data[];
};

static void frame_put(struct wire *wire, const struct wire_tx *tx, const struct wire_fate *fate,
		uint64_t out_us);
static bool frame_before(const struct wire_frame *a, const struct wire_frame *b);
static void heap_push(struct wire *wire, struct wire_frame *frame);
static struct wire_frame *heap_pop(struct wire *wire);
static bool queue_takes(struct wire *wire, uint64_t now_us, uint32_t bytes, uint64_t *out_us);

void wire_init(struct wire *wire, const struct wire_conf *conf, uint64_t seed)
{
	memset(wire, 0, sizeof(*wire));
	wire->conf = *conf;
	wire->rnd.state = seed;
}

void wire_fini(struct wire *wire)
{
	struct wire_frame *frame;

	while ((frame = heap_pop(wire)) != NULL)
		free(frame);
	free(wire->heap);
	wire->heap = NULL;
	wire->cap = 0;
}

void wire_send(struct wire *wire, uint64_t now_us, const struct wire_tx *tx)
{
	const struct wire_conf *c = &wire->conf;
	struct rnd *r = &wire->rnd;
	struct wire_fate fate = {.copies = rnd_ppm(r, c->dup_ppm)};
	uint32_t bytes = tx->line_bytes != 0 ? tx->line_bytes : tx->head_len + tx->tail_len;
	uint64_t out_us;

	fate.drop = rnd_ppm(r, c->loss_ppm);
	if (wire->judge != NULL)
		wire->judge(wire->judge_arg, wire->stats.sent, tx, &fate);
	wire->stats.sent++;
	if (fate.drop) {
		wire->stats.lost++;
		return;
	}
	fate.mark |= rnd_ppm(r, c->mark_ppm);
	fate.mark |= c->mark_bytes != 0 && wire_queue_bytes(wire, now_us) > c->mark_bytes;
	if (!queue_takes(wire, now_us, bytes, &out_us)) {
		wire->stats.overflowed++;
		return;
	}
	wire->stats.duplicated += fate.copies;
	do
		frame_put(wire, tx, &fate, out_us);
	while (fate.copies-- != 0);
}

static void frame_put(struct wire *wire, const struct wire_tx *tx, const struct wire_fate *fate,
		uint64_t out_us)
{
	const struct wire_conf *c = &wire->conf;
	struct rnd *r = &wire->rnd;
	uint32_t len = tx->head_len + tx->tail_len;
	struct wire_frame *frame = malloc(sizeof(*frame) + len);

	frame->len = len;
	memcpy(frame->data, tx->head, tx->head_len);
	if (tx->tail_len != 0)
		memcpy(frame->data + tx->head_len, tx->tail, tx->tail_len);
	if (fate->mark && tx->ecn_off != 0 && (frame->data[tx->ecn_off] & ECN_CE) != 0) {
		frame->data[tx->ecn_off] |= ECN_CE;
		wire->stats.marked++;
	}
	if (len > tx->safe && rnd_ppm(r, c->corrupt_ppm)) {
		uint8_t *at = &frame->data[rnd_range(r, tx->safe, len - 1)];

		*at ^= (uint8_t)(1u << rnd_below(r, 8));
		wire->stats.corrupted++;
	}
	frame->due_us = out_us + c->delay_us + rnd_below(r, c->jitter_us + 1) + fate->delay_us;
	if (fate->delay_us != 0 || rnd_ppm(r, c->reorder_ppm)) {
		frame->due_us += rnd_below(r, c->reorder_us + 1);
		wire->stats.reordered++;
	} else {
		if (frame->due_us < wire->last_us)
			frame->due_us = wire->last_us;
		wire->last_us = frame->due_us;
	}
	frame->order = wire->order++;
	heap_push(wire, frame);
}

uint8_t *wire_recv(struct wire *wire, uint64_t now_us, uint32_t *len)
{
	struct wire_frame *frame;

	if (wire_next_us(wire) > now_us)
		return NULL;
	frame = heap_pop(wire);
	*len = frame->len;
	return frame->data;
}

void wire_free(uint8_t *data)
{
	free(data - offsetof(struct wire_frame, data));
}

uint32_t wire_queue_bytes(const struct wire *wire, uint64_t now_us)
{
	uint64_t now_ns = now_us * 1000;

	if (wire->free_ns <= now_ns)
		return 0;
	return (uint32_t)((wire->free_ns - now_ns) * wire->conf.rate_bytes_ms / 1000000);
}

uint64_t wire_next_us(const struct wire *wire)
{
	return wire->n != 0 ? wire->heap[0]->due_us : UINT64_MAX;
}

/* When the frame has passed the bottleneck; false when the queue before it is full. */
static bool queue_takes(struct wire *wire, uint64_t now_us, uint32_t bytes, uint64_t *out_us)
{
	uint32_t rate = wire->conf.rate_bytes_ms, queued = wire_queue_bytes(wire, now_us);

	*out_us = now_us;
	if (rate == 0)
		return true;
	if (queued > wire->conf.queue_bytes_max)
		return false;
	if (queued > wire->stats.queue_bytes_peak)
		wire->stats.queue_bytes_peak = queued;
	if (wire->free_ns < now_us * 1000)
		wire->free_ns = now_us * 1000;
	wire->free_ns += (uint64_t)bytes * 1000000 / rate;
	*out_us = wire->free_ns / 1000;
	return true;
}

static bool frame_before(const struct wire_frame *a, const struct wire_frame *b)
{
	return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static void heap_push(struct wire *wire, struct wire_frame *frame)
{
	uint32_t i = wire->n++;

	if (wire->n > wire->cap) {
		wire->cap = wire->cap != 0 ? 2 * wire->cap : 64;
		wire->heap = realloc(wire->heap, wire->cap * sizeof(*wire->heap));
	}
	while (i != 0 && frame_before(frame, wire->heap[(i - 1) / 2])) {
		wire->heap[i] = wire->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	wire->heap[i] = frame;
}

static struct wire_frame *heap_pop(struct wire *wire)
{
	struct wire_frame *top, *last;
	uint32_t i = 0, child;

	if (wire->n == 0)
		return NULL;
	top = wire->heap[0];
	last = wire->heap[--wire->n];
	for (;;) {
		child = 2 * i + 1;
		if (child >= wire->n)
			break;
		if (child + 1 < wire->n && frame_before(wire->heap[child + 1], wire->heap[child]))
			child++;
		if (!frame_before(wire->heap[child], last))
			break;
		wire->heap[i] = wire->heap[child];
		i = child;
	}
	wire->heap[i] = last;
	return top;
}
