/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * EAL's arguments, chosen from the configuration and the machine.
 */
#include "ka/eal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>

#ifndef MFD_HUGE_2MB
#define MFD_HUGE_2MB (21u << 26)
#endif

#define EAL_ARGS_MAX 16

/* Can @mib of 2 MiB pages be had? A mapping reserves them without touching. */
static bool eal_huge_works(int64_t mib)
{
	size_t bytes = (size_t)mib << 20;
	int fd = memfd_create("eta-try", MFD_CLOEXEC | MFD_HUGETLB | MFD_HUGE_2MB);
	void *p = MAP_FAILED;

	if (fd < 0)
		return false;
	if (ftruncate(fd, (off_t)bytes) == 0)
		p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED)
		(void)munmap(p, bytes);
	(void)close(fd);
	return p != MAP_FAILED;
}

/* "dpdk:0000:00:03.0": a PCI address, "domain:bus:device.function" or without domain. */
static bool eal_is_pci(const char *name)
{
	unsigned int a, b, c, d;
	int n = 0;

	if (strncmp(name, "dpdk:", 5) != 0)
		return false;
	return (sscanf(name + 5, "%4x:%2x:%2x.%1u%n", &a, &b, &c, &d, &n) == 4 && n > 0) ||
	       (sscanf(name + 5, "%2x:%2x.%1u%n", &b, &c, &d, &n) == 3 && n > 0);
}

/* The last thing that EAL said, in one line. */
static const char *eal_last_words(char *said)
{
	char *line;

	for (size_t len = strlen(said); len > 0 && said[len - 1] == '\n'; len--)
		said[len - 1] = '\0';
	line = strrchr(said, '\n');
	return line ? line + 1 : said;
}

/* rte_eal_init() with its words in @said. */
static int eal_init_quietly(int argc, char **argv, char **said)
{
	size_t said_len = 0;
	FILE *stream = open_memstream(said, &said_len);
	int rc;

	if (!stream)
		return -errno;
	(void)rte_openlog_stream(stream);
	rc = rte_eal_init(argc, argv) < 0 ? -rte_errno : 0;
	(void)rte_openlog_stream(stderr);
	(void)fclose(stream);
	return rc;
}

int eal_start(const struct conf *conf, int main_cpu, bool *is_huge, char *err, size_t err_len)
{
	char lcores[32], prefix[40], mib[24];
	char args[][24] = {"etad", "--no-telemetry", "--log-level=*:error", "--no-pci",
			"--in-memory", "--no-huge", "--no-shconf", "-m"};
	enum {
		PROGRAM,
		NO_TELEMETRY,
		LOG_LEVEL,
		NO_PCI,
		IN_MEMORY,
		NO_HUGE,
		NO_SHCONF,
		MIB
	};
	char *argv[EAL_ARGS_MAX] = {args[PROGRAM], args[NO_TELEMETRY], args[LOG_LEVEL]};
	char *said = NULL;
	bool has_pci = false;
	int argc = 3, rc;

	*is_huge = conf->hugepages != CONF_HUGE_NO && eal_huge_works(conf->eal_mib);
	if (conf->hugepages == CONF_HUGE_YES && !*is_huge) {
		(void)snprintf(err, err_len,
				"memory.hugepages = \"yes\", but %lld MiB of 2 MiB pages are not to be had; run scripts/setup or "
				"set vm.nr_hugepages",
				(long long)conf->eal_mib);
		return -ENOMEM;
	}
	for (int64_t i = 0; i < conf->ports_n; i++)
		has_pci |= eal_is_pci(conf->port[i].name);
	(void)snprintf(lcores, sizeof(lcores), "--lcores=0@%d", main_cpu);
	(void)snprintf(prefix, sizeof(prefix), "--file-prefix=eta-%d", getpid());
	(void)snprintf(mib, sizeof(mib), "%lld", (long long)conf->eal_mib);
	argv[argc++] = lcores;
	if (!has_pci)
		argv[argc++] = args[NO_PCI];
	if (*is_huge) {
		argv[argc++] = args[IN_MEMORY];
	} else {
		argv[argc++] = args[NO_HUGE];
		argv[argc++] = args[NO_SHCONF];
		argv[argc++] = prefix;
		argv[argc++] = args[MIB];
		argv[argc++] = mib;
	}
	rc = eal_init_quietly(argc, argv, &said);
	if (rc < 0)
		(void)snprintf(err, err_len, "DPDK does not start: %s (hugepages=%s)",
				said && *said ? eal_last_words(said) : strerror(-rc),
				*is_huge ? "yes" : "no");
	free(said);
	/* Without shared configuration its directory stays empty; it need not outlive us. */
	if (rc == 0)
		(void)rmdir(rte_eal_get_runtime_dir());
	return rc;
}

void eal_stop(void)
{
	(void)rte_eal_cleanup();
}
