/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Starting DPDK's environment without its noise, with hugepages or without.
 *
 * EAL talks much, also when all is well, and its message for a machine without hugepages misleads; so its words are caught, and only if it fails the
 * last of them becomes part of our one line. Hugepages are judged by trying to reserve them, not by reading counters.
 */
#ifndef KA_EAL_H
#define KA_EAL_H

#include <stdbool.h>
#include <stddef.h>

#include "ka/conf.h"

/**
 * eal_start() - Initialise EAL.
 * @main_cpu: CPU of the calling thread.
 * @is_huge:  receives what was chosen.
 *
 * Once per process. Return: 0; -errno with one line in @err.
 */
int eal_start(const struct conf *conf, int main_cpu, bool *is_huge, char *err, size_t err_len);
void eal_stop(void);

#endif
