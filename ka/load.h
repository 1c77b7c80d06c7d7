/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many threads of this machine want a CPU: the hint by which applications decide whether spinning would take one from another.
 *
 * /proc/loadavg counts the runnable threads of an instant, and the instants of a timer are those at which kernel threads wake for a moment: with
 * nothing but one program and one engine it was seen to say anything from 1 to 9. So the count is believed only if threads did wait for a CPU
 * since the last look, which /proc/pressure/cpu tells as a sum of time; a kernel without it leaves the count alone.
 */
#ifndef KA_LOAD_H
#define KA_LOAD_H

#include <stdint.h>

struct load {
	int loadavg_fd;     /* -1 = none: nobody is said to want a CPU */
	int pressure_fd;    /* -1 = none */
	uint64_t waited_us; /* sum of the last look */
	uint64_t looked_ms;
};

/**
 * load_open() - Begin to look.
 * @loadavg, @pressure: files in the formats of /proc/loadavg and /proc/pressure/cpu. One that cannot be opened is done without.
 */
void load_open(struct load *load, const char *loadavg, const char *pressure);

void load_close(struct load *load);

/**
 * load_runnable() - Threads that want a CPU.
 * @now_ms: a clock that only goes forward.
 * @ours: those of etad itself that are awake: they are in the count and not meant.
 *
 * Return: threads beside @ours; 0 also if since the last look threads waited for a CPU during less than an eighth of the time.
 */
uint32_t load_runnable(struct load *load, uint64_t now_ms, uint32_t ours);

#endif
