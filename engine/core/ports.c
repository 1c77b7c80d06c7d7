/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Local ports of active opens.
 *
 * RFC 6056 3.3.4 (double-hash port selection): a keyed hash of the other side gives the start, a counter in a small table chosen by another
 * hash gives the step, so that ports are hard to guess and are reused as late as possible. A port is taken if the whole tuple is. A tuple in
 * TIME-WAIT that may be used again (tcp_reuse()) is a second choice: when no port is free, or none of PORT_LOOK that were looked at, so that
 * opening many connections in a row to one server neither runs out of ports nor walks the whole range each time.
 */
#include <string.h>

#include <arpa/inet.h>

#include "engine/core/core.h"
#include "engine/tcp/siphash.h"

#define PORT_STEPS 64u
#define PORT_LOOK 256u

bool ports_is_free(struct core *core, const struct ip_tuple *tuple)
{
	uint32_t idx = ctable_find(&core->ctable, tuple);

	return idx == 0 || tcp_reuse(&core->tcp, core, &core->tcp.ctx[idx], core->now_us);
}

bool ports_pick(struct core *core, struct ip_tuple *tuple)
{
	struct {
		struct ip_addr laddr, raddr;
		uint64_t rport_be;
	} in = {.laddr = tuple->laddr, .raddr = tuple->raddr, .rport_be = tuple->rport_be};
	uint64_t h = siphash24(core->port_key, &in, sizeof(in));
	uint32_t n = (uint32_t)core->port_hi - core->port_lo + 1u;
	uint32_t *step = &core->port_step[(h >> 48) % PORT_STEPS];
	uint16_t second_be = 0;

	for (uint32_t i = 0, looked = 0; i < n && (looked < PORT_LOOK || second_be == 0); i++) {
		uint32_t port = core->port_lo + ((uint32_t)h + *step) % n;
		uint32_t idx;

		(*step)++;
		if (port % core->conf->cores_n != core->idx)
			continue;
		looked++;
		tuple->lport_be = htons((uint16_t)port);
		if (dti_listener(&core->dti, &tuple->laddr, tuple->lport_be) != 0)
			continue;
		idx = ctable_find(&core->ctable, tuple);
		if (idx == 0)
			return true;
		if (second_be == 0 && tcp_is_reusable(&core->tcp.ctx[idx], core->now_us))
			second_be = tuple->lport_be;
	}
	tuple->lport_be = second_be;
	if (second_be != 0 && ports_is_free(core, tuple))
		return true;
	core->stats.ports_used_up++;
	return false;
}
