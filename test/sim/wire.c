/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An imperfect link: a binary heap of frames ordered by the time they are due.
 */
#include "test/sim/wire.h"

#include <stdlib.h>
#include <string.h>

struct wire_frame {
	uint64_t due_us;
	uint64_t order;
	uint8_t *data;
	uint32_t len;
};

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

	while ((frame = heap_pop(wire)) != NULL) {
		free(frame->data);
		free(frame);
	}
	free(wire->heap);
	wire->heap = NULL;
	wire->cap = 0;
}

void wire_send(struct wire *wire, uint64_t now_us, const void *head, uint32_t len, const void *tail,
		uint32_t tail_len, uint32_t safe)
{
	const struct wire_conf *c = &wire->conf;
	struct rnd *r = &wire->rnd;
	uint32_t copies = rnd_ppm(r, c->dup_ppm) ? 2 : 1;
	uint64_t out_us;

	wire->stats.sent++;
	if (rnd_ppm(r, c->loss_ppm)) {
		wire->stats.lost++;
		return;
	}
	if (!queue_takes(wire, now_us, len + tail_len, &out_us)) {
		wire->stats.overflowed++;
		return;
	}
	wire->stats.duplicated += copies - 1;
	while (copies-- != 0) {
		struct wire_frame *frame = malloc(sizeof(*frame));

		frame->len = len + tail_len;
		frame->data = malloc(frame->len != 0 ? frame->len : 1);
		memcpy(frame->data, head, len);
		if (tail_len != 0)
			memcpy(frame->data + len, tail, tail_len);
		if (frame->len > safe && rnd_ppm(r, c->corrupt_ppm)) {
			frame->data[rnd_range(r, safe, frame->len - 1)] ^=
					(uint8_t)(1u << rnd_below(r, 8));
			wire->stats.corrupted++;
		}
		frame->due_us = out_us + c->delay_us + rnd_below(r, c->jitter_us + 1);
		if (rnd_ppm(r, c->reorder_ppm)) {
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
}

uint8_t *wire_recv(struct wire *wire, uint64_t now_us, uint32_t *len)
{
	struct wire_frame *frame;
	uint8_t *data;

	if (wire_next_us(wire) > now_us)
		return NULL;
	frame = heap_pop(wire);
	data = frame->data;
	*len = frame->len;
	free(frame);
	return data;
}

uint64_t wire_next_us(const struct wire *wire)
{
	return wire->n != 0 ? wire->heap[0]->due_us : UINT64_MAX;
}

/* When the frame has passed the bottleneck; false when the queue before it is full. */
static bool queue_takes(struct wire *wire, uint64_t now_us, uint32_t bytes, uint64_t *out_us)
{
	uint32_t rate = wire->conf.rate_bytes_ms;
	uint64_t start_us = wire->free_us > now_us ? wire->free_us : now_us;

	*out_us = now_us;
	if (rate == 0)
		return true;
	if ((start_us - now_us) * rate / 1000 > wire->conf.queue_bytes_max)
		return false;
	wire->free_us = start_us + (uint64_t)bytes * 1000 / rate;
	*out_us = wire->free_us;
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
