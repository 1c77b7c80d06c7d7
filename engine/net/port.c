/* SPDX-License-Identifier: BSD-3-Clause */
/* From the configured name of a port to the port. */
#include "engine/net/port.h"

#include <stdio.h>
#include <string.h>

#include "engine/net/port_priv.h"

struct port *port_open(const char *spec, int socket_id, char *err, size_t err_len)
{
	struct port *port = NULL;

	if (strncmp(spec, "dpdk:", 5) == 0)
		port = port_dpdk_open(spec + 5, socket_id, err, err_len);
	else if (strncmp(spec, "packet:", 7) == 0)
		port = port_packet_open(spec + 7, socket_id, err, err_len);
	else
		(void)snprintf(err, err_len,
				"port '%s': write packet:<interface> or dpdk:<device arguments>",
				spec);
	if (port)
		(void)snprintf(port->name, sizeof(port->name), "%s", spec);
	return port;
}
