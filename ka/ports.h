/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ephemeral ports that the engine gives to outgoing connections.
 *
 * The kernel chooses its own from net.ipv4.ip_local_port_range; ETA's default range, 61000-65535, begins where the kernel's default ends. Nothing of the
 * host's configuration is changed (ip_local_reserved_ports would survive a kill -9), and where the ranges do not overlap nothing is
 * held either: a kernel program that binds a port of our range explicitly may have it, because the engine owns only tuples it has a context for and hands
 * the rest back. Where the ranges do overlap the kernel might choose our tuple by itself; there KA binds the ports of the overlap, which takes them out
 * of the kernel's choice until etad is gone, at about 4 KB a port; ports already bound are left and counted.
 */
#ifndef KA_PORTS_H
#define KA_PORTS_H

#include <stddef.h>
#include <stdint.h>

struct ports {
	uint16_t lo, hi; /* engine's range, host order */
	int *held;       /* [held_n] bound sockets */
	uint32_t held_n;
	uint32_t taken_n; /* ports of the range that the kernel has bound */
};

/**
 * ports_take() - Look at the kernel's range and sockets, hold the overlap.
 *
 * Return: 0; -EADDRINUSE more than half of the range is taken by others; -errno. One line in @err.
 */
int ports_take(struct ports *ports, uint16_t lo, uint16_t hi, char *err, size_t err_len);
void ports_release(struct ports *ports);

#endif
