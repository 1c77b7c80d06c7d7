/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ends of KA's wires: handlers that etad.c connects at start. Their argument is the struct ka, unless said otherwise.
 */
#ifndef KA_ETAD_TELL_H
#define KA_ETAD_TELL_H

#include <stdint.h>

#include "ka/irq.h"
#include "ka/netlink.h"
#include "ka/sockdiag.h"

#define ETAD_TICK_MS 100 /* of the timer that etad_on_tick() serves, with sessions */

extern const struct irq_ops etad_irq_ops;
extern const struct netlink_ops etad_netlink_ops;
extern const struct sockdiag_ops etad_sockdiag_ops;

void etad_on_tap(void *arg, uint32_t events); /* @arg: struct ka_port */
void etad_on_signal(void *arg, uint32_t events);
void etad_on_spoiled(void *arg, uint32_t events);
void etad_on_tick(void *arg);

#endif
