/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters by number, for whoever prints them all.
 */
#include "engine/tcp/tcp_stats.h"

#include <stddef.h>

static const char *const names[] = {
#define X(field, name) name,
		TCP_STATS_TABLE(X)
#undef X
};

static const size_t offsets[] = {
#define X(field, name) offsetof(struct tcp_stats, field),
		TCP_STATS_TABLE(X)
#undef X
};

#define STATS_N (sizeof(names) / sizeof(names[0]))

const char *tcp_stats_name(unsigned int i)
{
	return i < STATS_N ? names[i] : NULL;
}

uint64_t tcp_stats_value(const struct tcp_stats *stats, unsigned int i)
{
	return i < STATS_N ? *(const uint64_t *)((const char *)stats + offsets[i]) : 0;
}
