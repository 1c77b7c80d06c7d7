/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keeping the kernel out of ETA's connections on an interface that it goes on using.
 *
 * A SCHED_CLS program on the interface's TCX ingress hook, which lies behind the AF_PACKET taps, drops what ETA owns: TCP to a listening {address, port},
 * to the ephemeral range on a local address, or of an exact tuple. Everything else passes to the next program (TCX_NEXT). The link is a descriptor, never
 * pinned: with etad, killed or not, it vanishes and the kernel has all its traffic again.
 *
 * The engine punts what it has no context for, and such a frame returns to the kernel by the TAP; so dropping too much costs time, never a
 * connection, while dropping too little lets the kernel reset one. Tables are therefore filled before the engine is told, and emptied after.
 *
 * Conservative cases. VLAN-tagged frames, frames not for this host, other protocols, truncated headers: pass. IPv4 options are skipped. First fragments
 * are judged by their ports, later ones pass (without the first the kernel never completes the datagram). IPv6: up to TCX_EXT_MAX extension headers
 * are walked, a fragment header included.
 *
 * The program is assembled by hand (no compiler at run time, no libbpf): tcx.c has the assembler's two dozen lines and the listing with comments.
 */
#ifndef KA_TCX_H
#define KA_TCX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/net/addr.h"

#define TCX_EXT_MAX 8 /* as many as the engine walks */
#define TCX_LISTEN_MAX 4096
#define TCX_LOCAL_MAX 1024
#define TCX_TUPLE_MAX 65536

#define TCX_NEXT (-1)
#define TCX_DROP 2

enum tcx_mode {
	TCX_OWNED, /* drop what ETA owns */
	TCX_ALL,   /* drop everything: the TAP is the interface */
};

struct tcx_listen_key {
	struct ip_addr addr; /* any: ::ffff:0.0.0.0 or :: */
	uint16_t port_be;
	uint16_t pad;
};

struct tcx {
	int listen_fd, local_fd, tuple_fd; /* maps */
	int prog_fd, link_fd;
};

/**
 * tcx_load() - Create the maps and load the program.
 * @port_lo, @port_hi: ephemeral range, host order, inclusive.
 *
 * Return: 0; -errno with one line in @err.
 */
int tcx_load(struct tcx *tcx, enum tcx_mode mode, uint16_t port_lo, uint16_t port_hi, char *err,
		size_t err_len);
/* 0; -errno (-EINVAL on kernels before 6.6). */
int tcx_attach(struct tcx *tcx, int ifindex);
void tcx_close(struct tcx *tcx);

/* Each 0 or -errno; deleting what is not there is 0. */
int tcx_listen_set(struct tcx *tcx, const struct ip_addr *addr, uint16_t port_be, bool is_del);
int tcx_local_set(struct tcx *tcx, const struct ip_addr *addr, bool is_del);
int tcx_tuple_set(struct tcx *tcx, const struct ip_tuple *tuple, bool is_del);

#endif
