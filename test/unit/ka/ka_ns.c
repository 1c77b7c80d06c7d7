/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Namespace and EAL for KA's tests.
 */
#include "test/unit/ka/ka_ns.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_eal.h>

bool ka_ns_enter(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0)
		return false;
	ka_ns_run("ip link set lo up");
	return true;
}

void ka_ns_run(const char *format, ...)
{
	char line[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	/* Also called where no test runs, so no ck_assert. */
	if (system(line) != 0) {
		(void)fprintf(stderr, "failed: %s\n", line);
		abort();
	}
}

void ka_eal(void)
{
	char prefix[40];
	char *argv[] = {(char[]){"test"}, (char[]){"--no-pci"}, (char[]){"--no-huge"},
			(char[]){"-m"}, (char[]){"256"}, (char[]){"--no-telemetry"},
			(char[]){"--no-shconf"}, (char[]){"--log-level=error"}, (char[]){"-l"},
			(char[]){"0"}, prefix};

	(void)snprintf(prefix, sizeof(prefix), "--file-prefix=t%d", getpid());
	if (rte_eal_init((int)(sizeof(argv) / sizeof(argv[0])), argv) < 0)
		abort();
	(void)rmdir(rte_eal_get_runtime_dir());
}
