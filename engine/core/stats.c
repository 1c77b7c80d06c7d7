/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters of a core under one numbering: loop, stages, DTI room, TCP, network.
 *
 * Cycles of the stages are counted in one turn of 64 (picked at random), those of turns without work apart: their share tells how busy the core is.
 */
#include <stddef.h>

#include <rte_cycles.h>

#include "engine/core/core.h"

#define FIELD(name)                                      \
	{                                                \
#name, offsetof(struct core_stats, name) \
	}

static const struct {
	const char *name;
	size_t off;
} own[] = {
		FIELD(loops),
		FIELD(loops_idle),
		FIELD(sleeps),
		FIELD(rx_no_ctx),
		FIELD(rx_fallback),
		FIELD(rx_flood),
		FIELD(rx_not_local),
		FIELD(turned),
		FIELD(turn_full),
		FIELD(tx_no_hop),
		FIELD(tx_pending),
		FIELD(tx_no_bytes),
		FIELD(open_not_carried),
		FIELD(ctx_full),
		FIELD(ports_used_up),
		{"cyc_rx", offsetof(struct core_stats, cyc[CORE_STAGE_RX])},
		{"cyc_events", offsetof(struct core_stats, cyc[CORE_STAGE_EVENTS])},
		{"cyc_doorbells", offsetof(struct core_stats, cyc[CORE_STAGE_DOORBELLS])},
		{"cyc_timers", offsetof(struct core_stats, cyc[CORE_STAGE_TIMERS])},
		{"cyc_admin", offsetof(struct core_stats, cyc[CORE_STAGE_ADMIN])},
		{"cyc_output", offsetof(struct core_stats, cyc[CORE_STAGE_OUTPUT])},
		{"cyc_tx", offsetof(struct core_stats, cyc[CORE_STAGE_TX])},
};

#define OWN_N (sizeof(own) / sizeof(own[0]))

uint64_t core_stage_end(struct core *core, enum core_stage stage, uint64_t since_cyc)
{
	uint64_t now_cyc;

	if (ETA_LIKELY(!core->is_sampled))
		return 0;
	now_cyc = rte_rdtsc();
	core->stats.cyc[stage] += now_cyc - since_cyc;
	return now_cyc;
}

const char *core_stat_name(uint32_t i)
{
	if (i < OWN_N)
		return own[i].name;
	i -= OWN_N;
	if (i < DTI_STATS_N)
		return dti_stat_name(i);
	i -= DTI_STATS_N;
	if (i < NET_STATS_N)
		return net_stat_name(i);
	return tcp_stats_name(i - (uint32_t)NET_STATS_N);
}

/* @i-th counter of a struct that is nothing but counters. */
static uint64_t counter(const void *stats, uint32_t i)
{
	return eta_load_relaxed_u64((const uint64_t *)stats + i);
}

uint64_t core_stat_value(const struct core *core, uint32_t i)
{
	if (i < OWN_N)
		return counter(&core->stats, (uint32_t)(own[i].off / sizeof(uint64_t)));
	i -= OWN_N;
	if (i < DTI_STATS_N)
		return counter(&core->dti.stats, i);
	i -= DTI_STATS_N;
	if (i < NET_STATS_N)
		return counter(&core->net.stats, i);
	return tcp_stats_value(&core->tcp.stats, i - (uint32_t)NET_STATS_N);
}
