/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the benchmark's program reads off itself: time, latency, memory, and counts that others may read while it runs.
 */
#ifndef TEST_BENCH_GAUGE_H
#define TEST_BENCH_GAUGE_H

#include <stdint.h>

#define HIST_BUCKETS 4096u /* 32 to an octave, from 32 ns */

struct hist {
	uint64_t n[HIST_BUCKETS];
};

/* Since the program began. The one who writes is the program's thread; a reader may be late by one update, not wrong. */
struct tally {
	uint64_t bytes; /* received and verified by the server side */
	uint64_t done;  /* requests answered */
};

double now_s(void);
void hist_add(struct hist *h, double seconds);
double hist_at_us(const struct hist *h, double share);
/* KiB of memory that the process has, huge pages too; that the machine has left. */
long resident_kib(void);
long available_kib(void);
/* @path: a new file, or one of that size; NULL = nobody reads. Ends the program if that cannot be. */
struct tally *tally_open(const char *path);

#endif
