/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Opening ports and what belongs to them.
 */
#include "ka/portset.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <net/if.h>

#include "ka/etad.h"

#define PORTSET_CAP_NET_ADMIN 12
#define PORTSET_CAP_NET_RAW 13

static int __attribute__((format(printf, 4, 5)))
portset_fail(int rc, char *err, size_t err_len, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(err, err_len, format, args);
	va_end(args);
	return rc;
}

void portset_clear(struct ka_port *port, struct ka *ka, uint32_t idx)
{
	memset(port, 0, sizeof(*port));
	port->ka = ka;
	port->idx = (uint8_t)idx;
	port->lock_fd = -1;
	port->tap.fd = -1;
	port->tap_watch.fd = -1;
	port->tcx = (struct tcx){.listen_fd = -1,
			.local_fd = -1,
			.tuple_fd = -1,
			.prog_fd = -1,
			.link_fd = -1};
}

/* The kernel device under a port: packet:NAME[,...], or iface=NAME among the arguments of a dpdk: port. False: none. */
static bool portset_device(const char *spec, char *name, size_t len)
{
	const char *at = strncmp(spec, "packet:", 7) == 0 ? spec + 7 : strstr(spec, ",iface=");
	size_t n;

	if (!at)
		return false;
	if (*at == ',')
		at += strlen(",iface=");
	n = strcspn(at, ",");
	if (n == 0 || n >= len)
		return false;
	memcpy(name, at, n);
	name[n] = '\0';
	return true;
}

bool portset_has_caps(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	unsigned long long caps = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, "CapEff:", 7) == 0)
			caps = strtoull(line + 7, NULL, 16);
	if (file)
		(void)fclose(file);
	return (caps >> PORTSET_CAP_NET_ADMIN & 1) && (caps >> PORTSET_CAP_NET_RAW & 1);
}

/* One etad per device: an abstract socket name, which belongs to the network namespace and goes with us. */
static int portset_lock(struct ka_port *port, const char *key, char *err, size_t err_len)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int n = snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1, "eta-port/%.90s", key);
	int rc;

	port->lock_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (port->lock_fd < 0 || n < 0)
		return portset_fail(
				-errno, err, err_len, "port %s: lock: %s", key, strerror(errno));
	if (bind(port->lock_fd, (struct sockaddr *)&addr,
			    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) ==
			0)
		return 0;
	rc = -errno;
	return portset_fail(rc, err, err_len,
			rc == -EADDRINUSE ? "port %s is taken by another etad"
					  : "port %s: lock: %s",
			key, strerror(-rc));
}

int portset_check(struct ka *ka, char *err, size_t err_len)
{
	for (int64_t i = 0; i < ka->conf.ports_n; i++) {
		const struct conf_port *conf = &ka->conf.port[i];
		char device[IFNAMSIZ];
		int rc;

		if (!portset_device(conf->name, device, sizeof(device))) {
			if (strncmp(conf->name, "packet:", 7) == 0)
				return portset_fail(-EINVAL, err, err_len,
						"port %s: no interface name of 1 to 15 characters",
						conf->name);
			(void)snprintf(device, sizeof(device), "%.15s", conf->name);
		} else if (if_nametoindex(device) == 0) {
			return portset_fail(-ENODEV, err, err_len,
					"port %s: there is no interface '%s' (see: ip link)",
					conf->name, device);
		}
		if (conf->mode == CONF_PORT_SHARED && strncmp(conf->name, "packet:", 7) != 0)
			return portset_fail(-EINVAL, err, err_len,
					"port %s: mode shared is for packet: ports only",
					conf->name);
		rc = portset_lock(&ka->port[i], device, err, err_len);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int portset_open_tap(
		struct ka_port *port, const struct conf_port *conf, char *err, size_t err_len)
{
	static const uint8_t none[6];
	struct tap_conf tc = {.name = conf->tap,
			.mtu = port->port->mtu ? port->port->mtu : 1500,
			.is_reinject = port->is_shared,
			.offload_cksum = (port->port->caps & PORT_CAP_TX_CKSUM) != 0,
			.offload_tso = (port->port->caps & PORT_CAP_TSO) != 0};
	int rc;

	/* Loops have no address of their own: a local one. */
	if (memcmp(port->port->mac, none, sizeof(none)) == 0) {
		if (getrandom(port->port->mac, sizeof(port->port->mac), 0) !=
				(ssize_t)sizeof(port->port->mac))
			return portset_fail(-EIO, err, err_len, "getrandom: %s", strerror(errno));
		port->port->mac[0] = (uint8_t)((port->port->mac[0] & 0xfc) | 0x02);
	}
	memcpy(tc.mac, port->port->mac, sizeof(tc.mac));
	rc = tap_open(&port->tap, &tc, err, err_len);
	port->has_tap = rc == 0;
	return rc;
}

static int portset_open_tcx(struct ka_port *port, int ifindex, char *err, size_t err_len)
{
	const struct ports *range = &port->ka->ports;
	int rc = tcx_load(&port->tcx, port->is_shared ? TCX_OWNED : TCX_ALL, range->lo, range->hi,
			err, err_len);

	if (rc < 0)
		return rc;
	rc = tcx_attach(&port->tcx, ifindex);
	if (rc < 0)
		return portset_fail(rc, err, err_len, "port %s: TCX attach: %s (needs Linux 6.6)",
				port->port->name, strerror(-rc));
	port->has_tcx = true;
	return 0;
}

static bool portset_is_shared(const struct conf_port *conf, int ifindex)
{
	switch ((enum conf_port_mode)conf->mode) {
	case CONF_PORT_SHARED: return true;
	case CONF_PORT_TAP: return false;
	case CONF_PORT_AUTO: break;
	}
	return strncmp(conf->name, "packet:", 7) == 0 && netlink_has_addr(ifindex) == 1;
}

static int portset_open_one(struct ka *ka, uint32_t idx, char *err, size_t err_len)
{
	const struct conf_port *conf = &ka->conf.port[idx];
	struct ka_port *port = &ka->port[idx];
	char device[IFNAMSIZ], spec[CONF_TEXT_MAX + sizeof(",own")];
	int ifindex = portset_device(conf->name, device, sizeof(device))
				      ? (int)if_nametoindex(device)
				      : 0;
	int rc;

	port->is_shared = portset_is_shared(conf, ifindex);
	/* In TAP mode the driver takes all frames, not only what the engine may own. */
	(void)snprintf(spec, sizeof(spec), "%s%s", conf->name,
			!port->is_shared && strncmp(conf->name, "packet:", 7) == 0 &&
							!strstr(conf->name, ",own")
					? ",own"
					: "");
	port->port = port_open(spec, SOCKET_ID_ANY, err, err_len);
	if (!port->port)
		return -ENODEV;
	ka->ports_n = idx + 1;
	port->port->idx = (uint8_t)idx;
	port->port->kernel_shared = port->is_shared;
	rc = portset_open_tap(port, conf, err, err_len);
	if (rc == 0 && ifindex != 0)
		rc = portset_open_tcx(port, ifindex, err, err_len);
	if (rc < 0)
		return rc;
	port->ifindex = port->is_shared ? ifindex : port->tap.ifindex;
	port->port->ifindex = port->ifindex;
	log_info("port name=%s mode=%s tap=%s mtu_bytes=%u caps=%#x", port->port->name,
			port->is_shared ? "shared" : "tap", port->tap.name, port->port->mtu,
			port->port->caps);
	return 0;
}

int portset_open(struct ka *ka, char *err, size_t err_len)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < (uint32_t)ka->conf.ports_n; i++)
		rc = portset_open_one(ka, i, err, err_len);
	return rc;
}

void portset_close(struct ka *ka)
{
	for (uint32_t i = 0; i < CONF_PORTS_MAX; i++) {
		struct ka_port *port = &ka->port[i];

		if (port->tap_watch.fd >= 0)
			loop_del(&ka->loop, &port->tap_watch);
		if (port->has_tap)
			tap_close(&port->tap);
		/* The port first: while it lives its device is not the kernel's. */
		if (port->port)
			port->port->ops->close(port->port);
		tcx_close(&port->tcx);
		if (port->lock_fd >= 0)
			(void)close(port->lock_fd);
		portset_clear(port, ka, i);
	}
	ka->ports_n = 0;
}
