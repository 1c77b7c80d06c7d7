/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of the counters, for those who print them. */
#include "engine/net/net_stats.h"

#include <stddef.h>

static const char *const names[] = {
#define X(name, text) #name,
		NET_STATS_TABLE(X)
#undef X
};

static const char *const texts[] = {
#define X(name, text) text,
		NET_STATS_TABLE(X)
#undef X
};

const char *net_stat_name(uint32_t i)
{
	return i < NET_STATS_N ? names[i] : NULL;
}

const char *net_stat_text(uint32_t i)
{
	return i < NET_STATS_N ? texts[i] : NULL;
}
