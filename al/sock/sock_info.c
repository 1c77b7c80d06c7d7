/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What only the connection knows: TCP_INFO and other options whose value is a state, not a setting.
 *
 * The engine is asked each time. The kernel's answer about the shadow gives errors and lengths (struct tcp_info grows with the kernel; a
 * program may ask for any part of it), the engine's numbers replace the rest; what no engine can know stays 0.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/param.h>

#include "al/sock/kern.h"
#include "al/sock/sock.h"
#include "al/sock/sock_opt.h"

/* struct tcp_info of Linux 6.18. Older kernels and headers have less of it, never other things at the same place. */
struct sock_tcp_info {
	struct tcp_info base;
	uint32_t rcv_wnd;
	uint32_t rehash;
	uint16_t total_rto;
	uint16_t total_rto_recoveries;
	uint32_t total_rto_time_ms;
	uint32_t received_ce;
	uint32_t rest[9]; /* accurate ECN */
};
_Static_assert(offsetof(struct sock_tcp_info, rcv_wnd) == 232, "goes on where the headers end");
_Static_assert(sizeof(struct sock_tcp_info) == 288, "larger than any kernel's so far");

#define PACING_NONE UINT64_MAX
#define STATE_CLOSED 7 /* TCP_CLOSE of the kernel */

static void info_state(struct tcp_info *to, const struct eta_conn_info *info)
{
	to->tcpi_state = info->tcp_state;
	to->tcpi_ca_state = info->ca_state;
	to->tcpi_retransmits = info->retransmits_n;
	to->tcpi_probes = info->probes_n;
	to->tcpi_backoff = info->backoff_n;
	to->tcpi_options = info->opt;
	to->tcpi_snd_wscale = info->snd_wscale & 0xf;
	to->tcpi_rcv_wscale = info->rcv_wscale & 0xf;
	to->tcpi_delivery_rate_app_limited = info->is_app_limited & 1;
	to->tcpi_fastopen_client_fail = info->fastopen_fail & 3;
	to->tcpi_rto = info->rto_us;
	to->tcpi_ato = info->ato_us;
	to->tcpi_snd_mss = info->snd_mss;
	to->tcpi_rcv_mss = info->rcv_mss;
	to->tcpi_unacked = info->unacked_segs;
	to->tcpi_sacked = info->sacked_segs;
	to->tcpi_lost = info->lost_segs;
	to->tcpi_retrans = info->retrans_segs;
	to->tcpi_last_data_sent = info->data_sent_ms;
	to->tcpi_last_data_recv = info->data_rcvd_ms;
	to->tcpi_last_ack_recv = info->ack_rcvd_ms;
}

static void info_metrics(struct tcp_info *to, const struct eta_conn_info *info)
{
	to->tcpi_pmtu = info->pmtu_bytes;
	to->tcpi_rcv_ssthresh = info->rcv_ssthresh_bytes;
	to->tcpi_rtt = info->srtt_us;
	to->tcpi_rttvar = info->rttvar_us;
	to->tcpi_min_rtt = info->rtt_min_us;
	to->tcpi_snd_ssthresh = info->ssthresh_segs;
	to->tcpi_snd_cwnd = info->cwnd_segs;
	to->tcpi_advmss = info->adv_mss;
	to->tcpi_reordering = info->reorder_segs;
	to->tcpi_rcv_rtt = info->rcv_rtt_us;
	to->tcpi_rcv_space = info->rcv_space_bytes;
	to->tcpi_notsent_bytes = info->notsent_bytes;
	to->tcpi_snd_wnd = info->snd_wnd_bytes;
	to->tcpi_pacing_rate = info->pacing_rate;
	to->tcpi_max_pacing_rate = info->pacing_rate_max;
	to->tcpi_delivery_rate = info->delivery_rate;
}

static void info_totals(struct tcp_info *to, const struct eta_conn_info *info)
{
	to->tcpi_total_retrans = info->retrans_n;
	to->tcpi_bytes_acked = info->bytes_acked;
	to->tcpi_bytes_received = info->bytes_rcvd;
	to->tcpi_bytes_sent = info->bytes_sent;
	to->tcpi_bytes_retrans = info->bytes_retrans;
	to->tcpi_segs_out = info->segs_out;
	to->tcpi_segs_in = info->segs_in;
	to->tcpi_data_segs_out = info->data_segs_out;
	to->tcpi_data_segs_in = info->data_segs_in;
	to->tcpi_busy_time = info->busy_us;
	to->tcpi_rwnd_limited = info->rwnd_limited_us;
	to->tcpi_sndbuf_limited = info->sndbuf_limited_us;
	to->tcpi_delivered = info->delivered_segs;
	to->tcpi_delivered_ce = info->delivered_ce_segs;
	to->tcpi_dsack_dups = info->dsack_n;
	to->tcpi_reord_seen = info->reorder_n;
	to->tcpi_rcv_ooopack = info->ooo_n;
}

/* @val holds @len bytes of what the kernel says about the shadow. */
static void info_replace(struct al_sock *sock, void *val, socklen_t len)
{
	struct eta_conn_info info;
	struct sock_tcp_info to;
	size_t known = MIN(sizeof(to), len);

	if (al_conn_info(sock->conn, &info) != 0)
		info = (struct eta_conn_info){.tcp_state = STATE_CLOSED,
				.pacing_rate = PACING_NONE,
				.pacing_rate_max = PACING_NONE};
	if (sock->state == AL_SOCK_LISTENING) {
		/* The shadow listens as well: both queues are the program's. */
		memset(&to, 0, sizeof(to));
		memcpy(&to, val, known);
		to.base.tcpi_unacked += info.unacked_segs;
		memcpy(val, &to, known);
		return;
	}
	memset(&to, 0, sizeof(to));
	info_state(&to.base, &info);
	info_metrics(&to.base, &info);
	info_totals(&to.base, &info);
	to.rcv_wnd = info.rcv_wnd_bytes;
	to.rehash = info.rehash_n;
	to.total_rto = info.rto_n;
	to.total_rto_recoveries = info.rto_recoveries_n;
	to.total_rto_time_ms = info.rto_recovery_ms;
	to.received_ce = info.rcvd_ce_segs;
	memset(val, 0, len);
	memcpy(val, &to, known);
}

static int info_get(struct al_sock *sock, int fd, void *val, socklen_t *len)
{
	int ret = kern_getsockopt(fd, IPPROTO_TCP, TCP_INFO, val, len);

	if (ret == 0)
		info_replace(sock, val, *len);
	return ret;
}

int opt_answer(void *val, socklen_t *len, const void *fact, socklen_t bytes)
{
	if (!val || !len)
		return -EFAULT;
	if ((int)*len < 0)
		return -EINVAL;
	*len = MIN(*len, bytes);
	memcpy(val, fact, *len);
	return 0;
}

static int opt_answer_int(void *val, socklen_t *len, uint32_t fact)
{
	return opt_answer(val, len, &fact, sizeof(fact));
}

/* IP says a small value as one byte to who has no room for an int. */
static int opt_answer_small(int level, void *val, socklen_t *len, uint8_t fact)
{
	if (level == IPPROTO_IP && len && *len > 0 && *len < sizeof(int))
		return opt_answer(val, len, &fact, sizeof(fact));
	return opt_answer_int(val, len, fact);
}

/* ---- congestion control ---- */

uint8_t opt_cc_find(const char *name, socklen_t len)
{
	const struct eta_core_page *page = al_page();
	size_t bytes = strnlen(name, len);

	for (uint8_t i = 1; page && i < ETA_CC_MAX; i++)
		if (bytes && bytes < ETA_CC_NAME_BYTES && page->cc_name[i][bytes] == '\0' &&
				memcmp(page->cc_name[i], name, bytes) == 0)
			return i;
	return 0;
}

static int cc_get(struct al_sock *sock, void *val, socklen_t *len)
{
	const struct eta_core_page *page = al_page();
	uint32_t cc = sock->cc ? sock->cc : page->cc_default;

	return opt_answer(val, len, page->cc_name[cc % ETA_CC_MAX], ETA_CC_NAME_BYTES);
}

/* ---- one by one ---- */

/* The answer of a question, or what stands for it when there is nobody to ask. */
static uint32_t ask(struct al_sock *sock, int name)
{
	struct eta_conn_info info;

	if (al_conn_info(sock->conn, &info) != 0)
		return 0;
	switch (name) {
	case TCP_QUICKACK: return !info.is_pingpong;
	case TCP_TIMESTAMP: return info.ts_val;
	case SIOCOUTQNSD: return info.notsent_bytes;
	case IP_MTU: return info.pmtu_bytes;
	}
	return 0;
}

int opt_notsent(struct al_sock *sock)
{
	return (int)ask(sock, SIOCOUTQNSD);
}

int opt_inq(struct al_sock *sock)
{
	uint32_t bytes = al_conn_rcv_bytes(sock->conn);

	if (bytes == 0 && al_conn_ready(sock->conn) & POLLRDHUP)
		return 1;
	return (int)MIN(bytes, (uint32_t)INT32_MAX);
}

static int tcp_get(struct al_sock *sock, int fd, int name, void *val, socklen_t *len, int *ret)
{
	bool is_open = sock->state == AL_SOCK_OPEN;

	switch (name) {
	case TCP_INFO: *ret = info_get(sock, fd, val, len); return 1;
	case TCP_CONGESTION: *ret = cc_get(sock, val, len); return 1;
	case TCP_CC_INFO: /* none of the engine's tells more than TCP_INFO */
		*ret = opt_answer(val, len, "", 0);
		return 1;
	case TCP_ZEROCOPY_RECEIVE: *ret = -EOPNOTSUPP; return 1;
	case TCP_MAXSEG:
		if (!is_open || al_conn_state(sock->conn) != ETA_DTI_OPEN)
			return 0;
		*ret = opt_answer_int(val, len, al_conn_record(sock->conn)->mss);
		return 1;
	case TCP_QUICKACK:
	case TCP_TIMESTAMP:
		if (!is_open)
			return 0;
		*ret = opt_answer_int(val, len, ask(sock, name));
		return 1;
	}
	return 0;
}

static int so_get(struct al_sock *sock, int fd, int name, void *val, socklen_t *len, int *ret)
{
	struct sockaddr_storage local;
	struct sockaddr_storage remote;
	int error;

	switch (name) {
	case SO_ERROR:
		al_poll_events();
		if (al_sock_refresh(sock, fd) == AL_SOCK_KERNEL)
			return 0;
		error = sock->state == AL_SOCK_OPEN ? al_conn_take_error(sock->conn) : 0;
		if (error == 0 && sock->state == AL_SOCK_OPEN)
			error = al_conn_take_soft_error(sock->conn);
		*ret = opt_answer_int(val, len, (uint32_t)error);
		return 1;
	case SO_SNDBUF: /* grows by itself as long as nobody has set it */
		if (sock->state != AL_SOCK_OPEN || al_conn_param(sock->conn)->sndbuf_bytes)
			return 0;
		*ret = opt_answer_int(val, len,
				MAX((uint32_t)opt_int(fd, SOL_SOCKET, SO_SNDBUF),
						al_conn_record(sock->conn)->snd_limit));
		return 1;
	case SO_PEERNAME:
		if (sock->state != AL_SOCK_OPEN || al_conn_state(sock->conn) != ETA_DTI_OPEN)
			return 0;
		al_conn_addrs(sock->conn, &local, &remote, sock->family);
		if (len && *len > (sock->family == AF_INET ? sizeof(struct sockaddr_in)
							   : sizeof(struct sockaddr_in6)))
			*ret = -EINVAL;
		else
			*ret = opt_answer(val, len, &remote, sizeof(remote));
		return 1;
	}
	return 0;
}

int opt_get_live(struct al_sock *sock, int fd, int level, int name, void *val, socklen_t *len,
		int *ret)
{
	uint8_t of_bind = opt_rule_of_bind(level, name);

	if (of_bind && sock->state == AL_SOCK_OPEN) {
		*ret = opt_answer_small(level, val, len, (sock->of_bind & of_bind) != 0);
		return 1;
	}
	if (level == IPPROTO_TCP)
		return tcp_get(sock, fd, name, val, len, ret);
	if (level == SOL_SOCKET)
		return so_get(sock, fd, name, val, len, ret);
	if (sock->state == AL_SOCK_OPEN &&
			((level == IPPROTO_IP && name == IP_MTU) ||
					(level == IPPROTO_IPV6 && name == IPV6_MTU))) {
		*ret = opt_answer_int(val, len, ask(sock, IP_MTU));
		return 1;
	}
	return 0;
}
