/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Time, latency in buckets, memory by /proc, and a mapped file of counts. See the header.
 */
#include "test/bench/gauge.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define TALLY_LINE 64u /* bytes */

double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

void hist_add(struct hist *h, double seconds)
{
	uint64_t ns = seconds > 0 ? (uint64_t)(seconds * 1e9) : 0;
	uint32_t top, at;

	if (ns < 32)
		ns = 32;
	top = 63u - (uint32_t)__builtin_clzll(ns);
	at = (top - 5) * 32 + (uint32_t)(ns >> (top - 5)) - 32;
	h->n[at < HIST_BUCKETS ? at : HIST_BUCKETS - 1]++;
}

double hist_at_us(const struct hist *h, double share)
{
	uint64_t total = 0, seen = 0;

	for (uint32_t i = 0; i < HIST_BUCKETS; i++)
		total += h->n[i];
	for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
		seen += h->n[i];
		if (total && (double)seen >= share * (double)total)
			return (double)(32 + i % 32) * (double)(1ull << (i / 32)) * 1e-3;
	}
	return 0;
}

long resident_kib(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	char line[128];
	long kib = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "Rss:", 4) || !strncmp(line, "Shared_Hugetlb:", 15) ||
				!strncmp(line, "Private_Hugetlb:", 16))
			kib += strtol(strchr(line, ':') + 1, NULL, 10);
	if (f)
		fclose(f);
	return kib;
}

long available_kib(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128];
	long kib = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "MemFree:", 8))
			kib = strtol(line + 8, NULL, 10);
	if (f)
		fclose(f);
	return kib;
}

struct tally *tally_open(const char *path)
{
	void *at;
	int fd;

	if (!path) {
		/* each caller its own: threads shall not meet on a line that nobody reads */
		at = aligned_alloc(TALLY_LINE, TALLY_LINE);
		if (!at)
			exit(2);
		return memset(at, 0, TALLY_LINE);
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(struct tally))) {
		perror(path);
		exit(2);
	}
	at = mmap(NULL, sizeof(struct tally), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (at == MAP_FAILED) {
		perror(path);
		exit(2);
	}
	return at;
}
