/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The exception agent: frames that the engine hands up go to the kernel, the kernel's frames go to the engine.
 *
 * On a TAP-mode port every punted frame is the kernel's: ARP, ICMP, DNS, ssh. On a kernel-shared port the kernel has its own copy of everything that TCX
 * let pass; the engine hands up only what TCX withheld (PUNT_OWNED), and that is given back by the TAP, so that nothing is answered twice.
 */
#ifndef KA_EXCEPT_H
#define KA_EXCEPT_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

struct ka;

struct except_stats {
	uint64_t to_kernel;   /* frames handed to the kernel */
	uint64_t from_kernel; /* frames the kernel sent by a TAP */
	uint64_t tap_errors;
	uint64_t inject_full; /* no room towards the engine */
	uint64_t bad_port;
};

/* Punted frames of any port. Consumes all. */
void except_punt(struct ka *ka, struct rte_mbuf **burst, uint32_t n);
/* Port @port's TAP is readable. */
void except_tap_ready(struct ka *ka, uint32_t port);

#endif
