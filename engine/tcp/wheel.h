/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The timing wheel: which contexts to look at, and when.
 *
 * Six levels of 64 slots, tick 1 ms, so that every 32-bit tick has a place; each level has a
 * bitmap, so that idle time costs nothing to skip. A slot is a doubly linked list of context
 * indices through ctx->wheel_next and wheel_prev. One context has one entry, whatever number of
 * deadlines it holds: the entry stands at or before the earliest. Deadlines that move away leave
 * the wheel alone; it finds out at expiry and puts the context back (lazy).
 */
#ifndef ENGINE_TCP_WHEEL_H
#define ENGINE_TCP_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_ctx;

#define WHEEL_LEVELS 6u
#define WHEEL_SLOTS 64u

struct wheel {
	uint32_t now_ms; /* the tick in work: earlier ones are done */
	uint32_t n;      /* entries */
	bool settled;    /* nothing is due at now_ms, and every entry stands on its level */
	uint64_t map[WHEEL_LEVELS];
	uint32_t head[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *wheel, uint32_t now_ms);

/*
 * An empty wheel follows the clock in one step, before the first entry: by wheel_take() alone it would stand still after more than 2^31 ms
 * without any, for then the clock seems to lie behind.
 */
static inline void wheel_follow(struct wheel *wheel, uint32_t now_ms)
{
	if (wheel->n == 0)
		wheel->now_ms = now_ms;
}

/**
 * wheel_add() - Enter @ctx, which must not be in the wheel, at ctx->wheel_at_ms.
 * @table: contexts by index.
 *
 * A time in the past counts as the current tick.
 */
void wheel_add(struct wheel *wheel, struct tcp_ctx *table, struct tcp_ctx *ctx);

/* Remove @ctx; nothing happens if it is not in the wheel. */
void wheel_del(struct wheel *wheel, struct tcp_ctx *table, struct tcp_ctx *ctx);

/**
 * wheel_take() - The next context whose time has come, removed from the wheel.
 * @budget: steps (entries moved down a level or taken) this call may use; counted down.
 *
 * Advances the wheel towards @now_ms as far as needed. Return: context index; 0 = none due, or the
 * budget is used up.
 */
uint32_t wheel_take(struct wheel *wheel, struct tcp_ctx *table, uint32_t now_ms, uint32_t *budget);

/**
 * wheel_next_ms() - A lower bound of the next expiry.
 * @delay_ms: receives milliseconds from wheel->now_ms, 0 = something is due.
 *
 * Return: false if the wheel is empty.
 */
bool wheel_next_ms(const struct wheel *wheel, uint32_t *delay_ms);

#endif
