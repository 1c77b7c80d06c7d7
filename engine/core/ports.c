/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Local ports of active opens.
 *
 * RFC 6056 3.3.4 (double-hash port selection): a keyed hash of the other side gives the start, a counter in a small table chosen by another
 * hash gives the step, so that ports are hard to guess and are reused as late as possible. A port is taken if the whole tuple is.
 */
#include <string.h>

#include <arpa/inet.h>

#include "engine/core/core.h"
#include "engine/tcp/siphash.h"

#define PORT_STEPS 64u

bool ports_pick(struct core *core, struct ip_tuple *tuple)
{
	struct {
		struct ip_addr laddr, raddr;
		uint64_t rport_be;
	} in = {.laddr = tuple->laddr, .raddr = tuple->raddr, .rport_be = tuple->rport_be};
	uint64_t h = siphash24(core->port_key, &in, sizeof(in));
	uint32_t n = (uint32_t)core->port_hi - core->port_lo + 1u;
	uint32_t *step = &core->port_step[(h >> 48) % PORT_STEPS];

	for (uint32_t i = 0; i < n; i++) {
		uint32_t port = core->port_lo + ((uint32_t)h + *step) % n;

		(*step)++;
		if (port % core->conf->cores_n != core->idx)
			continue;
		tuple->lport_be = htons((uint16_t)port);
		if (ctable_find(&core->ctable, tuple) == 0 &&
				dti_listener(&core->dti, &tuple->laddr, tuple->lport_be) == 0)
			return true;
	}
	core->stats.ports_used_up++;
	return false;
}
