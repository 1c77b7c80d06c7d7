/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Taking the ephemeral range from the kernel where the two overlap.
 */
#include "ka/ports.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ka/log.h"
#include "ka/sockdiag.h"

static int ports_kernel_range(unsigned int *lo, unsigned int *hi)
{
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	char line[64], *end;

	if (!file)
		return -errno;
	if (!fgets(line, sizeof(line), file))
		line[0] = '\0';
	(void)fclose(file);
	*lo = (unsigned int)strtoul(line, &end, 10);
	*hi = (unsigned int)strtoul(end, &end, 10);
	return *lo > 0 && *hi >= *lo && *hi <= 65535 ? 0 : -EINVAL;
}

/* A dual-stack socket bound to @port: the kernel gives it to nobody any more. fd or -errno. */
static int ports_hold(uint16_t port)
{
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	const int off = 0;
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd >= 0) {
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
		rc = bind(fd, (struct sockaddr *)&a6, sizeof(a6));
	} else {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd < 0)
			return -errno;
		rc = bind(fd, (struct sockaddr *)&a4, sizeof(a4));
	}
	if (rc < 0) {
		rc = -errno;
		(void)close(fd);
		return rc;
	}
	return fd;
}

static int ports_hold_overlap(
		struct ports *ports, unsigned int lo, unsigned int hi, char *err, size_t err_len)
{
	ports->held = calloc(hi - lo + 1, sizeof(int));
	if (!ports->held)
		return -ENOMEM;
	for (unsigned int p = lo; p <= hi; p++) {
		int fd = ports_hold((uint16_t)p);

		if (fd >= 0) {
			ports->held[ports->held_n++] = fd;
		} else if (fd != -EADDRINUSE) {
			(void)snprintf(err, err_len,
					"ephemeral ports %u-%u: %s after %u of them; choose a range outside "
					"net.ipv4.ip_local_port_range (tcp.ephemeral_lo, tcp.ephemeral_hi)",
					lo, hi, strerror(-fd), ports->held_n);
			return fd;
		}
	}
	log_warn("ephemeral held_ports=%u reason=\"range overlaps net.ipv4.ip_local_port_range\"",
			ports->held_n);
	return 0;
}

int ports_take(struct ports *ports, uint16_t lo, uint16_t hi, char *err, size_t err_len)
{
	static const uint32_t bitmap_bytes = 65536 / 8;
	unsigned int klo = 0, khi = 0;
	uint8_t *bound;
	int rc;

	*ports = (struct ports){.lo = lo, .hi = hi};
	bound = calloc(1, bitmap_bytes);
	if (!bound)
		return -ENOMEM;
	rc = sockdiag_bound_ports(bound);
	for (unsigned int p = lo; rc == 0 && p <= hi; p++)
		ports->taken_n += (bound[p / 8] >> (p % 8)) & 1;
	free(bound);
	if (rc < 0) {
		(void)snprintf(err, err_len, "ephemeral ports: sock_diag: %s", strerror(-rc));
		return rc;
	}
	if (ports->taken_n > (hi - lo + 1u) / 2) {
		(void)snprintf(err, err_len,
				"ephemeral ports %u-%u: %u of them are in use by the kernel; choose others "
				"(tcp.ephemeral_lo, tcp.ephemeral_hi)",
				lo, hi, ports->taken_n);
		return -EADDRINUSE;
	}
	if (ports_kernel_range(&klo, &khi) == 0 && klo <= hi && khi >= lo)
		rc = ports_hold_overlap(
				ports, klo > lo ? klo : lo, khi < hi ? khi : hi, err, err_len);
	if (rc < 0)
		ports_release(ports);
	return rc;
}

void ports_release(struct ports *ports)
{
	for (uint32_t i = 0; i < ports->held_n; i++)
		(void)close(ports->held[i]);
	free(ports->held);
	ports->held = NULL;
	ports->held_n = 0;
}
