/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What KA says to the operator: one line, words then key=value, units in the key.
 *
 * A front to rte_log type eta.ka, so that `--log-level`, `etactl log` and DPDK's own pattern syntax all reach it. A line that a remote or an
 * application can cause goes through a struct log_limit: at most LOG_LIMIT_BURST in LOG_LIMIT_MS, and the next line says how many were left out.
 */
#ifndef KA_LOG_H
#define KA_LOG_H

#include <stdbool.h>
#include <stdint.h>

#define LOG_LIMIT_BURST 5u
#define LOG_LIMIT_MS 10000u

enum log_level {
	LOG_LEVEL_ERROR, /* we lost something */
	LOG_LEVEL_WARN,  /* we degraded */
	LOG_LEVEL_INFO,  /* a life event */
	LOG_LEVEL_DEBUG, /* control plane only */
};

struct log_limit {
	uint64_t since_ms; /* start of the present interval */
	uint32_t said_n;
	uint32_t left_out_n;
};

void log_say(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* May a line be said now? Counts it either way; says what was left out when an interval ends. */
bool log_limit_pass(struct log_limit *limit, uint64_t now_ms);

#define log_error(...) log_say(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_say(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_say(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_say(LOG_LEVEL_DEBUG, __VA_ARGS__)

/**
 * log_level_set() - Choose what is said by etad and the engine.
 * @name: "error", "warn", "info", "debug".
 *
 * Return: 0; -EINVAL no such level.
 */
int log_level_set(const char *name);

#endif
