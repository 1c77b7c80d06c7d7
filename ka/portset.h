/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The configured ports, each with what KA puts around it: lock, TAP, TCX.
 *
 * Mode. A packet: device with addresses is shared: the kernel keeps it, TCX withholds what ETA owns, the TAP gives back what the engine does not know. All
 * else is TAP mode: the TAP carries the port's MAC and is the machine's interface; where the driver sits on a kernel device (packet:, iface=), a
 * TCX program that drops everything keeps the kernel from answering on that device as well.
 */
#ifndef KA_PORTSET_H
#define KA_PORTSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ka;
struct ka_port;

void portset_clear(struct ka_port *port, struct ka *ka, uint32_t idx);
/* May this process open ports at all? */
bool portset_has_caps(void);
/* What can be said before EAL takes a second to start: interfaces, other etads. 0 or -errno with one line. */
int portset_check(struct ka *ka, char *err, size_t err_len);
/* Open all. 0 or -errno with one line; portset_close() undoes what was done. */
int portset_open(struct ka *ka, char *err, size_t err_len);
void portset_close(struct ka *ka);

#endif
