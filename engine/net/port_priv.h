/* SPDX-License-Identifier: BSD-3-Clause */
/* The kinds of ports, for port_open(). */
#ifndef ENGINE_NET_PORT_PRIV_H
#define ENGINE_NET_PORT_PRIV_H

#include <stddef.h>

#include "engine/net/port.h"

/*
 * @args: what follows the kind and its colon. The rest as port_open(); the name is filled in by the
 * caller.
 */
struct port *port_dpdk_open(const char *args, int socket_id, char *err, size_t err_len);
struct port *port_packet_open(const char *args, int socket_id, char *err, size_t err_len);

#endif
