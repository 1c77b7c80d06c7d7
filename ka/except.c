/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames between the engine and the kernel's TAP devices.
 */
#include "ka/except.h"

#include <errno.h>

#include "ka/etad.h"

/* Frames taken from one TAP in one turn of KA's loop. */
#define EXCEPT_TAP_BURST 64

void except_punt(struct ka *ka, struct rte_mbuf **burst, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct rte_mbuf *m = burst[i];

		if (m->port >= ka->ports_n || !ka->port[m->port].has_tap)
			ka->except.bad_port++;
		else if (tap_write(&ka->port[m->port].tap, m) < 0)
			ka->except.tap_errors++;
		else
			ka->except.to_kernel++;
		rte_pktmbuf_free(m);
	}
}

/* What the kernel says on a re-injection TAP has no way to go; reading it keeps the queue empty. */
static void except_tap_drain(struct ka_port *port, struct rte_mempool *pool)
{
	for (uint32_t i = 0; i < EXCEPT_TAP_BURST; i++) {
		struct rte_mbuf *m = tap_read(&port->tap, pool, 0);

		if (m)
			rte_pktmbuf_free(m);
		else if (errno == EAGAIN || errno == ENOBUFS)
			break;
	}
}

void except_tap_ready(struct ka *ka, uint32_t idx)
{
	struct ka_port *port = &ka->port[idx];
	struct rte_mbuf *burst[EXCEPT_TAP_BURST];
	uint32_t n = 0;

	if (port->is_shared) {
		except_tap_drain(port, ka->inject_pool);
		return;
	}
	for (uint32_t i = 0; i < EXCEPT_TAP_BURST; i++) {
		struct rte_mbuf *m = tap_read(&port->tap, ka->inject_pool, port->port->caps);

		if (m) {
			m->port = (uint16_t)idx;
			burst[n++] = m;
		} else if (errno == EAGAIN || errno == ENOBUFS) {
			break;
		}
	}
	if (n == 0)
		return;
	ka->except.from_kernel += n;
	ka->except.inject_full += irq_inject(&ka->irq, burst, n);
}
