/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rows for `etactl show connections`: at most DUMP_SLICE contexts are looked at for one command, so that a dump of a large table does
 * not hold up the loop; KA asks again from where it stopped.
 */
#include <string.h>

#include "engine/core/core.h"

#define DUMP_SLICE 4096u

static void row_fill(const struct core *core, uint32_t idx, struct eta_ctx_row *row)
{
	const struct dti_ctx *c = &core->dti.ctx[idx];
	struct tcp_ctx_info info;

	memset(row, 0, sizeof(*row));
	tcp_ctx_info(&core->tcp, &core->tcp.ctx[idx], core->now_us, &info);
	memcpy(row->laddr, c->tuple.laddr.b, 16);
	memcpy(row->raddr, c->tuple.raddr.b, 16);
	row->lport_be = c->tuple.lport_be;
	row->rport_be = c->tuple.rport_be;
	row->tcp_state = info.state;
	row->has_dti = (c->flags & DTI_CTX_BOUND) != 0;
	row->mss = info.mss;
	row->session = core->dti.session[c->session].number;
	row->dti = c->dti;
	row->ctx_idx = idx;
	row->rcv_queue_bytes = info.rcv_queue_bytes;
	row->snd_queue_bytes = info.snd_queue_bytes;
	row->cwnd_bytes = info.cwnd_bytes;
	row->ssthresh_bytes = info.ssthresh_bytes;
	row->srtt_us = info.srtt_us;
	row->rttvar_us = info.rttvar_us;
	row->rto_us = info.rto_us;
	row->snd_wnd_bytes = info.snd_wnd_bytes;
	row->rcv_wnd_bytes = info.rcv_wnd_bytes;
	row->retrans_n = info.retrans_n;
	row->retrans_bytes = info.retrans_bytes;
	row->unacked_bytes = info.unacked_bytes;
	row->tx_bytes = info.tx_bytes;
	row->rx_bytes = info.rx_bytes;
	if (info.cc)
		strncpy(row->cc, info.cc, sizeof(row->cc) - 1);
}

void core_dump(struct core *core, struct eta_admin_msg *msg)
{
	uint32_t idx = msg->dump.first > 0 ? msg->dump.first : 1;
	uint32_t n = 0;

	for (uint32_t seen = 0; idx < core->dti.ctx_n && n < msg->dump.n && seen < DUMP_SLICE;
			idx++, seen++)
		if (core->dti.ctx[idx].flags & DTI_CTX_TCP_USED)
			row_fill(core, idx, &msg->dump.rows[n++]);
	msg->dump.first = idx < core->dti.ctx_n ? idx : UINT32_MAX;
	msg->dump.n = n;
}
