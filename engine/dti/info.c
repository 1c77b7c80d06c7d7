/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers to ETA_DB_INFO: what TCP knows of a connection, for TCP_INFO and its like.
 *
 * The answer goes into a record that belongs to the doorbell ring, not to the DTI: who asks pays, and an idle connection keeps no room for
 * statistics. It is computed when asked, so it is as new as the doorbells before it. Everything is counted as Linux counts, so that AL only
 * has to move numbers: segments of the current MSS, times as intervals.
 *
 * Cold: one question is one pass over one context; a session that asks all the time uses up its own doorbell share with it.
 */
#include "engine/dti/info.h"

#include <string.h>

#include <linux/tcp.h>
#include <rte_common.h>

#include "engine/dti/dti.h"
#include "engine/tcp/tcp.h"

#define HDRS_V4_BYTES 40u /* IP and TCP, without options */
#define HDRS_V6_BYTES 60u
#define TS_BYTES 12u                  /* of the timestamps option, which Linux takes off advmss */
#define SSTHRESH_INFINITE 0x7fffffffu /* as Linux tells it */

static uint32_t segs(uint32_t bytes, uint32_t mss)
{
	return mss != 0 ? (bytes + mss - 1) / mss : 0;
}

static uint8_t info_opt(const struct tcp_ctx_info *t)
{
	return (uint8_t)((t->timestamps ? TCPI_OPT_TIMESTAMPS : 0) | (t->sack ? TCPI_OPT_SACK : 0) |
			 (t->wscale ? TCPI_OPT_WSCALE : 0) | (t->ecn ? TCPI_OPT_ECN : 0) |
			 (t->ecn_seen ? TCPI_OPT_ECN_SEEN : 0) |
			 (t->syn_data ? TCPI_OPT_SYN_DATA : 0));
}

static void info_path(struct eta_conn_info *info, const struct tcp_ctx_info *t, bool is_v4)
{
	info->opt = info_opt(t);
	info->snd_wscale = t->wscale ? t->snd_wscale : 0;
	info->rcv_wscale = t->wscale ? t->rcv_wscale : 0;
	info->cc = t->cc_id;
	info->is_app_limited = t->is_app_limited;
	info->fastopen_fail = t->fastopen_fail;
	info->is_pingpong = t->is_pingpong;
	info->snd_mss = t->mss;
	info->rcv_mss = t->rcv_mss;
	info->adv_mss = (uint16_t)(t->mss_adv - (t->timestamps ? TS_BYTES : 0));
	info->pmtu_bytes = t->mss_path != 0 ? (uint16_t)(t->mss_path + (is_v4 ? HDRS_V4_BYTES
									      : HDRS_V6_BYTES))
					    : 0;
	info->rto_us = t->rto_us;
	info->ato_us = t->ato_us;
	info->srtt_us = t->srtt_us;
	info->rttvar_us = t->rttvar_us;
	info->rtt_min_us = t->rtt_min_us;
	info->ts_val = t->ts_val;
}

static void info_flight(struct eta_conn_info *info, const struct tcp_ctx_info *t)
{
	info->ca_state = t->loss_state;
	info->retransmits_n = t->retransmits_n;
	info->probes_n = t->probes_n;
	info->backoff_n = t->retransmits_n;
	info->unacked_segs = segs(t->unacked_bytes, t->mss);
	info->sacked_segs = segs(t->sacked_bytes, t->mss);
	info->lost_segs = segs(t->lost_bytes, t->mss);
	info->retrans_segs = segs(t->rtx_flight_bytes, t->mss);
	info->cwnd_segs = t->mss != 0 ? t->cwnd_bytes / t->mss : 0;
	info->ssthresh_segs = t->ssthresh_bytes == 0 || t->ssthresh_bytes >= INFO_SSTHRESH_BYTES_MAX
					      ? SSTHRESH_INFINITE
					      : t->ssthresh_bytes / RTE_MAX(t->mss, 1u);
	info->reorder_segs = t->reorder_segs;
	info->data_sent_ms = t->data_sent_ms;
	info->data_rcvd_ms = t->data_rcvd_ms;
	info->ack_rcvd_ms = t->ack_rcvd_ms;
	info->snd_wnd_bytes = t->snd_wnd_bytes;
	info->rcv_wnd_bytes = t->rcv_wnd_bytes;
	info->rcv_ssthresh_bytes = RTE_MAX(t->rcv_want_bytes, t->rcv_wnd_bytes);
	info->notsent_bytes = t->notsent_bytes;
	info->rcv_rtt_us = t->rcv_rtt_us;
	info->rcv_space_bytes = RTE_MAX(t->rcv_space_bytes, t->rcv_wnd_bytes);
}

static void info_totals(struct eta_conn_info *info, const struct tcp_ctx_info *t)
{
	uint32_t once = t->data_segs_out - RTE_MIN(t->data_segs_out, t->retrans_n);
	uint32_t is_open = t->segs_in != 0;

	info->pacing_rate = t->pacing_rate != 0 ? t->pacing_rate : UINT64_MAX;
	info->pacing_rate_max = t->pacing_rate_max != 0 ? t->pacing_rate_max : UINT64_MAX;
	info->bytes_acked = t->acked_seqs;
	info->bytes_rcvd = t->rcvd_seqs;
	info->bytes_sent = t->sent_bytes;
	info->bytes_retrans = t->retrans_bytes;
	info->delivery_rate = t->rate_us ? (uint64_t)t->rate_bytes * 1000000 / t->rate_us : 0;
	info->busy_us = t->busy_ms * 1000;
	info->rwnd_limited_us = t->rwnd_limited_ms * 1000ull;
	info->sndbuf_limited_us = t->sndbuf_limited_ms * 1000ull;
	info->segs_out = t->segs_out;
	info->segs_in = t->segs_in;
	info->data_segs_out = t->data_segs_out;
	info->data_segs_in = t->data_segs_in;
	info->retrans_n = t->retrans_n;
	/* the SYN, and what was sent and is not outstanding */
	info->delivered_segs = is_open + once - RTE_MIN(once, info->unacked_segs) +
			       RTE_MIN(info->sacked_segs, info->unacked_segs);
	info->delivered_ce_segs = segs(t->ece_bytes, t->mss);
	info->rcvd_ce_segs = segs(t->ce_bytes, t->mss);
	info->dsack_n = t->dsack_n;
	info->reorder_n = t->reorder_n;
	info->ooo_n = t->ooo_n;
	info->rto_recovery_ms = t->rto_recovery_ms;
	info->rto_recoveries_n = t->rto_recoveries_n;
	info->rto_n = (uint16_t)RTE_MIN(t->timeouts_n, (uint32_t)UINT16_MAX);
}

static void info_listener(struct eta_conn_info *info, const struct dti_master *m)
{
	info->tcp_state = TCP_STATE_LISTEN;
	info->unacked_segs = m->wait_n + m->unaccepted_n;
	info->sacked_segs = m->backlog;
	info->pacing_rate = UINT64_MAX;
	info->pacing_rate_max = UINT64_MAX;
}

void info_answer(struct dti *d, const struct doorbell *b)
{
	const struct dti_ring *r = &d->ring[b->ring];
	struct eta_conn_info *to = &((struct eta_doorbell_credit *)(void *)r->db.credit)->info;
	struct eta_conn_info info;
	struct tcp_ctx_info t;
	const struct dti_ctx *c;

	memset(&info, 0, sizeof(info));
	info.ticket = eta_load_relaxed_u32(&to->ticket);
	info.dti = b->db.dti;
	info.gen = b->db.gen;
	info.status = ETA_STATUS_NOT_FOUND;
	if (b->idx != 0) {
		c = &d->ctx[b->idx];
		info.status = ETA_STATUS_OK;
		tcp_ctx_info(d->tcp, &d->tcp->ctx[b->idx], d->now_us, &t);
		/* TIME-WAIT is the engine's affair alone, as it is the kernel's */
		info.tcp_state = t.state == TCP_STATE_TIME_WAIT ? TCP_STATE_CLOSED : t.state;
		if (c->flags & DTI_CTX_MASTER) {
			info_listener(&info, &d->master[c->master]);
		} else {
			info_path(&info, &t, ip_addr_is_v4(&c->tuple.raddr));
			info_flight(&info, &t);
			info_totals(&info, &t);
		}
	}
	*to = info;
	eta_store_release_u32(&to->ticket, b->db.arg0);
	d->stats.info_answers++;
}
