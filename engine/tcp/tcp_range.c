/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ranges of sequence space, and the pool they live in.
 *
 * Both directions need the same thing: the receiver which bytes beyond rcv_nxt it holds, the sender
 * which bytes beyond snd_una the peer holds. An extension keeps at most TCP_RANGES_MAX ranges,
 * sorted, disjoint, not adjacent. When all are taken the farthest gives way to a nearer one: the
 * nearest are those that unblock delivery, and forgetting a range is always safe (the bytes are
 * sent again). Extensions are taken at the first hole and given back with the last, so that an idle
 * connection has none.
 *
 * Limits: linear search; n is small, and most insertions hit the last or the first range.
 */
#include <string.h>

#include "engine/tcp/tcp_int.h"

bool tcp_range_add(struct tcp_ext *ext, uint32_t lo, uint32_t hi)
{
	uint32_t n = ext->n;
	uint32_t i = n;
	uint32_t j;

	/*
	 * i: the first range that ends at or after lo; j: the first that begins after hi. [i, j)
	 * melt into one.
	 */
	while (i > 0 && seq_ge(ext->r[i - 1].hi, lo))
		i--;
	for (j = i; j < n && seq_le(ext->r[j].lo, hi); j++)
		;
	if (i == j) {
		if (n == TCP_RANGES_MAX) {
			if (i == n)
				return false;
			n--;
		}
		memmove(&ext->r[i + 1], &ext->r[i], (n - i) * sizeof(ext->r[0]));
		ext->r[i] = (struct tcp_range){lo, hi};
		ext->n = n + 1;
		return true;
	}
	ext->r[i].lo = seq_min(ext->r[i].lo, lo);
	ext->r[i].hi = seq_max(ext->r[j - 1].hi, hi);
	memmove(&ext->r[i + 1], &ext->r[j], (n - j) * sizeof(ext->r[0]));
	ext->n = n - (j - i - 1);
	return true;
}

void tcp_range_trim(struct tcp_ext *ext, uint32_t seq)
{
	uint32_t i = 0;

	while (i < ext->n && seq_le(ext->r[i].hi, seq))
		i++;
	if (i) {
		ext->n -= i;
		memmove(&ext->r[0], &ext->r[i], ext->n * sizeof(ext->r[0]));
	}
	if (ext->n && seq_lt(ext->r[0].lo, seq))
		ext->r[0].lo = seq;
}

uint32_t tcp_range_bytes(const struct tcp_ext *ext, uint32_t seq)
{
	uint32_t bytes = 0;

	for (uint32_t i = 0; i < ext->n && seq_lt(ext->r[i].lo, seq); i++)
		bytes += seq_min(ext->r[i].hi, seq) - ext->r[i].lo;
	return bytes;
}

const struct tcp_range *tcp_range_find(const struct tcp_ext *ext, uint32_t seq)
{
	for (uint32_t i = 0; i < ext->n; i++) {
		if (seq_in(seq, ext->r[i].lo, ext->r[i].hi))
			return &ext->r[i];
	}
	return NULL;
}

bool tcp_range_is_sound(const struct tcp_ext *ext)
{
	if (ext->n > TCP_RANGES_MAX)
		return false;
	for (uint32_t i = 0; i < ext->n; i++) {
		if (!seq_lt(ext->r[i].lo, ext->r[i].hi))
			return false;
		if (i && !seq_lt(ext->r[i - 1].hi, ext->r[i].lo))
			return false;
	}
	return true;
}

uint32_t tcp_ext_get(struct tcp_stack *stack)
{
	uint32_t idx = stack->ext_free;

	if (idx == 0) {
		stack->stats.ext_full++;
		return 0;
	}
	stack->ext_free = stack->ext[idx].n;
	stack->ext[idx].n = 0;
	memset(stack->ext[idx].recent, 0, sizeof(stack->ext[idx].recent));
	return idx;
}

void tcp_ext_put(struct tcp_stack *stack, uint32_t *idx)
{
	if (*idx == 0)
		return;
	stack->ext[*idx].n = stack->ext_free;
	stack->ext_free = *idx;
	*idx = 0;
}
