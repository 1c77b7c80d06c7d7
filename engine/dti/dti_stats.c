/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names of the DTI room's counters.
 */
#include "engine/dti/dti_stats.h"

#include <stddef.h>

const char *dti_stat_name(uint32_t i)
{
	static const char *const names[] = {
#define X(name, text) #name,
			DTI_STATS_TABLE(X)
#undef X
	};

	return i < DTI_STATS_N ? names[i] : NULL;
}

const char *dti_stat_text(uint32_t i)
{
	static const char *const texts[] = {
#define X(name, text) text,
			DTI_STATS_TABLE(X)
#undef X
	};

	return i < DTI_STATS_N ? texts[i] : NULL;
}
