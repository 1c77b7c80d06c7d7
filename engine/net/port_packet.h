/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel interface behind a packet port: everything that is set once at open and put back at
 * close.
 */
#ifndef ENGINE_NET_PORT_PACKET_H
#define ENGINE_NET_PORT_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/net/port.h"

/* From the port's name: packet:<ifname>[,own][,gro|nogro][,big=N][,small=N] */
enum packet_gro {
	PACKET_GRO_DEFAULT, /* on if the device is our own, else as it is */
	PACKET_GRO_ON,
	PACKET_GRO_KEEP,
};

struct packet_conf {
	char ifname[16];
	bool is_own; /* "own": the kernel does not use the device (TAP mode) */
	enum packet_gro gro;
	uint32_t big_n;   /* receive buffers of 64 KiB */
	uint32_t small_n; /* transmit buffers of 2 KiB */
};

struct packet_dev {
	int ifindex;
	uint8_t mac[6];
	uint16_t mtu;
	bool is_up;
	bool gro_changed; /* by us: off again at close */
};

/* Return: 0, or -1 with @err said. */
int packet_conf_parse(const char *args, struct packet_conf *conf, char *err, size_t err_len);
/* Ask the kernel about the interface; turn GRO on if wanted. Return: 0, or -1 with @err said. */
int packet_dev_open(
		const struct packet_conf *conf, struct packet_dev *dev, char *err, size_t err_len);
/* Put GRO back. */
void packet_dev_close(const struct packet_conf *conf, const struct packet_dev *dev);
/*
 * A socket that receives what the port wants and sends with virtio_net_hdr. Return: descriptor, or
 * -1 with @err said.
 */
int packet_socket_open(const struct packet_conf *conf, const struct packet_dev *dev, char *err,
		size_t err_len);

#endif
