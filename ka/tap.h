/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The raw packet path: a TAP device per port, by /dev/net/tun with virtio-net headers.
 *
 * Full mode: the TAP carries the port's MAC and is the machine's interface; frames go both ways with checksum and segmentation left to whoever can.
 * Re-injection mode (kernel-shared ports): the kernel keeps its own interface; the TAP only hands it the frames that TCX withheld and that the
 * engine did not want. It has no address and no IPv6 address generation; what the kernel sends out of it (nothing, normally) is dropped.
 * The device is never persistent: it goes when etad goes.
 */
#ifndef KA_TAP_H
#define KA_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <net/if.h>

#include <rte_mbuf.h>

struct tap {
	int fd;
	char name[IFNAMSIZ];
	int ifindex;
	bool is_reinject;
	uint64_t tx_frames, rx_frames; /* tx: to the kernel */
	uint64_t tx_errors, rx_errors;
};

struct tap_conf {
	const char *name; /* may hold %d */
	uint8_t mac[6];
	uint16_t mtu;
	bool is_reinject;
	bool offload_cksum, offload_tso; /* the port takes partial checksums, superframes */
};

/* 0 or -errno with one line in @err. */
int tap_open(struct tap *tap, const struct tap_conf *conf, char *err, size_t err_len);
void tap_close(struct tap *tap);
/* Give one frame to the kernel. Does not free @m. 0 or -errno (counted). */
int tap_write(struct tap *tap, struct rte_mbuf *m);
/*
 * Take one frame from the kernel as an mbuf of @pool (one segment), for a port with @port_caps.
 * Return: mbuf; NULL with errno EAGAIN: none is there; ENOBUFS: no mbuf; else the frame was refused, counted and dropped.
 */
struct rte_mbuf *tap_read(struct tap *tap, struct rte_mempool *pool, uint32_t port_caps);

#endif
