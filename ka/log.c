/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Log lines of KA: rte_log type eta.ka with the program's name and the level in front.
 */
#include "ka/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <rte_log.h>

#include <eta/abi.h>

#define LOG_LINE_BYTES 512

RTE_LOG_REGISTER(log_type, eta.ka, INFO)

static const struct {
	const char *name;
	uint32_t rte_level;
} log_levels[] = {
		[LOG_LEVEL_ERROR] = {"error", RTE_LOG_ERR},
		[LOG_LEVEL_WARN] = {"warn", RTE_LOG_WARNING},
		[LOG_LEVEL_INFO] = {"info", RTE_LOG_INFO},
		[LOG_LEVEL_DEBUG] = {"debug", RTE_LOG_DEBUG},
};

void log_say(enum log_level level, const char *format, ...)
{
	char line[LOG_LINE_BYTES];
	va_list args;

	if (!rte_log_can_log((uint32_t)log_type, log_levels[level].rte_level))
		return;
	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	(void)rte_log(log_levels[level].rte_level, (uint32_t)log_type, "etad: %s: %s\n",
			log_levels[level].name, line);
}

bool log_limit_pass(struct log_limit *limit, uint64_t now_ms)
{
	if (now_ms - limit->since_ms >= LOG_LIMIT_MS) {
		if (limit->left_out_n > 0)
			log_warn("log left_out_n=%u", limit->left_out_n);
		limit->since_ms = now_ms;
		limit->said_n = 0;
		limit->left_out_n = 0;
	}
	if (limit->said_n >= LOG_LIMIT_BURST) {
		limit->left_out_n++;
		return false;
	}
	limit->said_n++;
	return true;
}

int log_level_set(const char *name)
{
	for (size_t i = 0; i < sizeof(log_levels) / sizeof(log_levels[0]); i++) {
		if (strcmp(name, log_levels[i].name) == 0) {
			(void)rte_log_set_level_pattern("eta.*", log_levels[i].rte_level);
			return 0;
		}
	}
	return -EINVAL;
}
