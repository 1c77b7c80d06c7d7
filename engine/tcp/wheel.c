/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Hierarchical timing wheel; the idea is told in the header.
 *
 * An entry at time t stands on the level of the highest bit in which t differs from the wheel's
 * time, 6 bits to a level, in slot (t >> 6 level) & 63. So the current slot of level 0 holds what
 * is due, and that of every other level is empty: when the wheel's time enters a slot above level
 * 0, its entries move down. The top level has two bits only, and times beyond the wrap of the clock
 * are in it.
 *
 * Life: an entry moves at most five times before it expires. Limits: 32-bit ticks, distances below
 * 2^31.
 *
 * Varghese, Lauck, "Hashed and hierarchical timing wheels" (1987).
 */
#include "engine/tcp/wheel.h"

#include <string.h>

#include "engine/tcp/ctx.h"
#include "engine/tcp/seq.h"

#define LEVEL_BITS 6u
#define SLOT_MASK (WHEEL_SLOTS - 1)

void wheel_init(struct wheel *wheel, uint32_t now_ms)
{
	memset(wheel, 0, sizeof(*wheel));
	wheel->now_ms = now_ms;
}

static unsigned int slot_current(const struct wheel *wheel, unsigned int level)
{
	return (wheel->now_ms >> (level * LEVEL_BITS)) & SLOT_MASK;
}

void wheel_add(struct wheel *wheel, struct tcp_ctx *table, struct tcp_ctx *ctx)
{
	uint32_t at = seq_lt(ctx->wheel_at_ms, wheel->now_ms) ? wheel->now_ms : ctx->wheel_at_ms;
	uint32_t diff = at ^ wheel->now_ms;
	unsigned int level = diff ? (31u - (unsigned int)__builtin_clz(diff)) / LEVEL_BITS : 0;
	unsigned int slot = (at >> (level * LEVEL_BITS)) & SLOT_MASK;
	uint32_t *head = &wheel->head[level][slot];

	if (diff == 0)
		wheel->settled = false;
	ctx->wheel_at_ms = at;
	ctx->wheel_slot = (uint16_t)(level * WHEEL_SLOTS + slot + 1);
	ctx->wheel_prev = 0;
	ctx->wheel_next = *head;
	if (*head)
		table[*head].wheel_prev = ctx->idx;
	*head = ctx->idx;
	wheel->map[level] |= 1ull << slot;
	wheel->n++;
}

void wheel_del(struct wheel *wheel, struct tcp_ctx *table, struct tcp_ctx *ctx)
{
	unsigned int level = (ctx->wheel_slot - 1u) / WHEEL_SLOTS;
	unsigned int slot = (ctx->wheel_slot - 1u) % WHEEL_SLOTS;

	if (ctx->wheel_slot == 0)
		return;
	if (ctx->wheel_prev)
		table[ctx->wheel_prev].wheel_next = ctx->wheel_next;
	else
		wheel->head[level][slot] = ctx->wheel_next;
	if (ctx->wheel_next)
		table[ctx->wheel_next].wheel_prev = ctx->wheel_prev;
	if (wheel->head[level][slot] == 0)
		wheel->map[level] &= ~(1ull << slot);
	ctx->wheel_slot = 0;
	ctx->wheel_next = 0;
	ctx->wheel_prev = 0;
	wheel->n--;
}

/*
 * Ticks until the wheel's time enters the next occupied slot of @level after the current one;
 * UINT32_MAX = level empty.
 */
static uint32_t level_distance(const struct wheel *wheel, unsigned int level)
{
	unsigned int shift = level * LEVEL_BITS;
	unsigned int cur = slot_current(wheel, level);
	uint64_t map = wheel->map[level];
	unsigned int ahead;

	if (map == 0)
		return UINT32_MAX;
	/* Rotate so that the slot after the current one is bit 0. */
	if (cur != SLOT_MASK)
		map = map >> (cur + 1) | map << (SLOT_MASK - cur);
	ahead = (unsigned int)__builtin_ctzll(map) + 1;
	return (((wheel->now_ms >> shift) + ahead) << shift) - wheel->now_ms;
}

static uint32_t distance(const struct wheel *wheel)
{
	uint32_t best = UINT32_MAX;

	for (unsigned int level = 0; level < WHEEL_LEVELS; level++) {
		uint32_t d = level_distance(wheel, level);

		if (d < best)
			best = d;
	}
	return best;
}

bool wheel_next_ms(const struct wheel *wheel, uint32_t *delay_ms)
{
	*delay_ms = 0;
	if (wheel->n == 0)
		return false;
	for (unsigned int level = 0; level < WHEEL_LEVELS; level++) {
		if (wheel->head[level][slot_current(wheel, level)])
			return true;
	}
	*delay_ms = distance(wheel);
	return true;
}

/*
 * Move the entries of the slots just entered down. Return: false if the budget did not suffice;
 * call again.
 */
static bool cascade(struct wheel *wheel, struct tcp_ctx *table, uint32_t *budget)
{
	for (unsigned int level = WHEEL_LEVELS - 1; level > 0; level--) {
		uint32_t *head = &wheel->head[level][slot_current(wheel, level)];

		while (*head) {
			struct tcp_ctx *ctx = &table[*head];

			if (*budget == 0)
				return false;
			(*budget)--;
			wheel_del(wheel, table, ctx);
			wheel_add(wheel, table, ctx);
		}
	}
	return true;
}

uint32_t wheel_take(struct wheel *wheel, struct tcp_ctx *table, uint32_t now_ms, uint32_t *budget)
{
	if (ETA_LIKELY(wheel->settled && now_ms == wheel->now_ms))
		return 0;
	for (;;) {
		uint32_t left = now_ms - wheel->now_ms;
		uint32_t due, step;

		if (!cascade(wheel, table, budget))
			return 0;
		due = wheel->head[0][slot_current(wheel, 0)];
		if (due) {
			if (*budget == 0)
				return 0;
			(*budget)--;
			wheel_del(wheel, table, &table[due]);
			return due;
		}
		if ((int32_t)left <= 0) {
			wheel->settled = true;
			return 0;
		}
		wheel->settled = false;
		/*
		 * Each step but the last stops at an occupied slot, which costs budget: the loop is
		 * bounded by it.
		 */
		step = distance(wheel);
		wheel->now_ms += step < left ? step : left;
	}
}
