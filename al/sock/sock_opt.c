/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Socket options.
 *
 * The shadow is the memory of options: setsockopt() goes to the kernel first, which judges name, value and permission; getsockopt() asks it. So
 * errors, sizes and read-back values (a doubled SO_SNDBUF) are the kernel's own. What ETA acts on is then copied from the shadow to the
 * parameters of the conn. What ETA cannot do is either harmless (counted by name), or decides for the kernel while that is still possible, or is
 * refused. Only live facts are answered from the conn: SO_ERROR, TCP_INFO, the negotiated MSS.
 *
 * Accepted sockets inherit what was set on the listener: each option has a bit, and those are set again on the new shadow.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <string.h>
#include <sys/param.h>
#include <sys/time.h>

#include "al/sock/api.h"
#include "al/sock/kern.h"
#include "al/sock/sock.h"

#define NS_PER_S 1000000000ll

enum opt_act {
	OPT_SHADOW, /* harmless to ETA: the shadow keeps it */
	OPT_PARAM,  /* copied to the conn's parameters */
	OPT_OWN,    /* AL itself acts on it */
	OPT_KERNEL, /* only the kernel does this: an undecided socket is the kernel's */
	OPT_REFUSE, /* as OPT_KERNEL; refused once the socket is ETA's */
};

static const struct opt_rule {
	int level;
	int name;
	enum opt_act act;
} opt_rule[] = {
		{SOL_SOCKET, SO_REUSEADDR, OPT_OWN},
		{SOL_SOCKET, SO_REUSEPORT, OPT_OWN},
		{SOL_SOCKET, SO_KEEPALIVE, OPT_PARAM},
		{SOL_SOCKET, SO_OOBINLINE, OPT_PARAM},
		{SOL_SOCKET, SO_SNDBUF, OPT_PARAM},
		{SOL_SOCKET, SO_RCVBUF, OPT_PARAM},
		{SOL_SOCKET, SO_SNDBUFFORCE, OPT_PARAM},
		{SOL_SOCKET, SO_RCVBUFFORCE, OPT_PARAM},
		{SOL_SOCKET, SO_LINGER, OPT_PARAM},
		{SOL_SOCKET, SO_RCVTIMEO, OPT_OWN},
		{SOL_SOCKET, SO_SNDTIMEO, OPT_OWN},
		{SOL_SOCKET, SO_RCVLOWAT, OPT_OWN},
		{SOL_SOCKET, SO_BROADCAST, OPT_OWN},
		{SOL_SOCKET, SO_PRIORITY, OPT_SHADOW},
		{SOL_SOCKET, SO_INCOMING_CPU, OPT_SHADOW},
		{SOL_SOCKET, SO_BUSY_POLL, OPT_SHADOW},
		{SOL_SOCKET, SO_MAX_PACING_RATE, OPT_SHADOW},
		{SOL_SOCKET, SO_BINDTODEVICE, OPT_KERNEL},
		{SOL_SOCKET, SO_MARK, OPT_KERNEL},
		{SOL_SOCKET, SO_ATTACH_FILTER, OPT_KERNEL},
		{SOL_SOCKET, SO_ATTACH_BPF, OPT_KERNEL},
		{SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, OPT_KERNEL},
		{SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, OPT_KERNEL},
		{SOL_SOCKET, SO_ZEROCOPY, OPT_REFUSE},
		{SOL_SOCKET, SO_TIMESTAMPING, OPT_KERNEL},
		{IPPROTO_TCP, TCP_NODELAY, OPT_PARAM},
		{IPPROTO_TCP, TCP_CORK, OPT_PARAM},
		{IPPROTO_TCP, TCP_QUICKACK, OPT_PARAM},
		{IPPROTO_TCP, TCP_KEEPIDLE, OPT_PARAM},
		{IPPROTO_TCP, TCP_KEEPINTVL, OPT_PARAM},
		{IPPROTO_TCP, TCP_KEEPCNT, OPT_PARAM},
		{IPPROTO_TCP, TCP_USER_TIMEOUT, OPT_PARAM},
		{IPPROTO_TCP, TCP_LINGER2, OPT_PARAM},
		{IPPROTO_TCP, TCP_MAXSEG, OPT_PARAM},
		{IPPROTO_TCP, TCP_NOTSENT_LOWAT, OPT_PARAM},
		{IPPROTO_TCP, TCP_CONGESTION, OPT_OWN},
		{IPPROTO_TCP, TCP_DEFER_ACCEPT, OPT_SHADOW},
		{IPPROTO_TCP, TCP_FASTOPEN, OPT_SHADOW},
		{IPPROTO_TCP, TCP_FASTOPEN_CONNECT, OPT_KERNEL},
		{IPPROTO_TCP, TCP_SYNCNT, OPT_SHADOW},
		{IPPROTO_TCP, TCP_WINDOW_CLAMP, OPT_SHADOW},
		{IPPROTO_TCP, TCP_MD5SIG, OPT_KERNEL},
		{IPPROTO_TCP, TCP_MD5SIG_EXT, OPT_KERNEL},
		{IPPROTO_TCP, TCP_REPAIR, OPT_KERNEL},
		{IPPROTO_TCP, TCP_ULP, OPT_REFUSE},
		{IPPROTO_TCP, TCP_SAVE_SYN, OPT_KERNEL},
		{IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, OPT_REFUSE},
		{IPPROTO_IP, IP_TOS, OPT_PARAM},
		{IPPROTO_IP, IP_TTL, OPT_PARAM},
		{IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, OPT_OWN},
		{IPPROTO_IP, IP_TRANSPARENT, OPT_KERNEL},
		{IPPROTO_IP, IP_FREEBIND, OPT_KERNEL},
		{IPPROTO_IP, IP_OPTIONS, OPT_KERNEL},
		{IPPROTO_IP, IP_MINTTL, OPT_KERNEL},
		{IPPROTO_IPV6, IPV6_V6ONLY, OPT_OWN},
		{IPPROTO_IPV6, IPV6_TCLASS, OPT_PARAM},
		{IPPROTO_IPV6, IPV6_UNICAST_HOPS, OPT_PARAM},
};

#define OPT_RULES (sizeof(opt_rule) / sizeof(*opt_rule))
_Static_assert(OPT_RULES <= 64, "one bit each in al_sock.inherit");
#ifndef TCP_CA_NAME_MAX
#define TCP_CA_NAME_MAX 16
#endif

static const struct opt_rule *opt_find(int level, int name)
{
	size_t i;

	for (i = 0; i < OPT_RULES; i++)
		if (opt_rule[i].level == level && opt_rule[i].name == name)
			return &opt_rule[i];
	return NULL;
}

static int opt_int(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return kern_getsockopt(fd, level, name, &value, &len) == 0 ? value : 0;
}

/* Matters to bind() alone: an accepted socket need not have it. */
static bool opt_is_of_bind(const struct opt_rule *rule)
{
	return (rule->level == SOL_SOCKET &&
			       (rule->name == SO_REUSEADDR || rule->name == SO_REUSEPORT)) ||
	       (rule->level == IPPROTO_IP && rule->name == IP_BIND_ADDRESS_NO_PORT);
}

/* ---- to the conn ---- */

static void opt_bit(struct eta_dti_al *param, uint16_t bit, bool on)
{
	param->opt = (uint16_t)(on ? param->opt | bit : param->opt & ~bit);
}

/* Copy one option's value, as the shadow @fd has it now. */
static void opt_param(struct al_sock *sock, struct eta_dti_al *param, int fd, int level, int name)
{
	int value = opt_int(fd, level, name);

	if (level == SOL_SOCKET) {
		switch (name) {
		case SO_KEEPALIVE: opt_bit(param, ETA_OPT_KEEPALIVE, value); break;
		case SO_OOBINLINE: opt_bit(param, ETA_OPT_OOBINLINE, value); break;
		case SO_SNDBUF:
		case SO_SNDBUFFORCE:
			param->sndbuf_bytes = (uint32_t)opt_int(fd, level, SO_SNDBUF);
			break;
		case SO_RCVBUF:
		case SO_RCVBUFFORCE:
			param->rcvbuf_bytes = (uint32_t)opt_int(fd, level, SO_RCVBUF);
			break;
		case SO_LINGER:
			opt_bit(param, ETA_OPT_LINGER0, sock->linger_on && sock->linger_s == 0);
			break;
		}
	} else if (level == IPPROTO_TCP) {
		switch (name) {
		case TCP_NODELAY: opt_bit(param, ETA_OPT_NODELAY, value); break;
		case TCP_CORK: opt_bit(param, ETA_OPT_CORK, value); break;
		case TCP_QUICKACK: opt_bit(param, ETA_OPT_QUICKACK, value); break;
		case TCP_KEEPIDLE: param->keep_idle_s = (uint16_t)value; break;
		case TCP_KEEPINTVL: param->keep_intvl_s = (uint16_t)value; break;
		case TCP_KEEPCNT: param->keep_probes = (uint8_t)value; break;
		case TCP_USER_TIMEOUT: param->user_timeout_ms = (uint32_t)value; break;
		case TCP_LINGER2:
			param->linger2_s = value > 0 ? (uint16_t)MIN(value, 60) : 1;
			break;
		case TCP_MAXSEG: param->maxseg = (uint16_t)value; break;
		case TCP_NOTSENT_LOWAT: param->notsent_lowat = (uint32_t)value; break;
		}
	} else if ((level == IPPROTO_IP && name == IP_TOS) ||
			(level == IPPROTO_IPV6 && name == IPV6_TCLASS)) {
		param->tos = (uint8_t)value;
	} else if ((level == IPPROTO_IP && name == IP_TTL) ||
			(level == IPPROTO_IPV6 && name == IPV6_UNICAST_HOPS)) {
		param->ttl = value > 0 ? (uint8_t)value : 0;
	}
}

static void opt_commit(struct al_sock *sock, int fd, int level, int name)
{
	struct eta_dti_al *param;

	al_lock_take(&sock->snd_lock);
	param = al_conn_param(sock->conn);
	if (param) {
		opt_param(sock, param, fd, level, name);
		al_conn_param_commit(sock->conn);
	}
	al_lock_drop(&sock->snd_lock);
}

void al_sock_opt_apply(struct al_sock *sock, int fd)
{
	struct eta_dti_al *param;
	size_t i;

	if (!sock->inherit && !sock->linger_on)
		return;
	param = al_conn_param(sock->conn);
	if (!param)
		return;
	for (i = 0; i < OPT_RULES; i++)
		if (opt_rule[i].act == OPT_PARAM && (sock->inherit >> i & 1))
			if (opt_int(fd, opt_rule[i].level, opt_rule[i].name) != 0 ||
					opt_rule[i].name == SO_LINGER)
				opt_param(sock, param, fd, opt_rule[i].level, opt_rule[i].name);
	al_conn_param_commit(sock->conn);
}

void al_sock_opt_inherit(struct al_sock *from, int from_fd, struct al_sock *to, int fd)
{
	socklen_t len;
	size_t i;

	to->rcv_timeo_ns = from->rcv_timeo_ns;
	to->snd_timeo_ns = from->snd_timeo_ns;
	to->rcv_lowat = from->rcv_lowat;
	to->linger_on = from->linger_on;
	to->linger_s = from->linger_s;
	to->inherit = from->inherit;
	if (!from->inherit)
		return;
	for (i = 0; i < OPT_RULES; i++) {
		union {
			struct linger linger;
			struct timeval tv;
			int i;
		} value;

		if (!(from->inherit >> i & 1) ||
				(opt_rule[i].act != OPT_PARAM && opt_rule[i].act != OPT_OWN))
			continue;
		if (opt_rule[i].level == IPPROTO_TCP && opt_rule[i].name == TCP_CONGESTION)
			continue;
		len = sizeof(value);
		if (kern_getsockopt(from_fd, opt_rule[i].level, opt_rule[i].name, &value, &len) ==
				0) {
			/* The kernel doubles what it is told. */
			if (opt_rule[i].level == SOL_SOCKET &&
					(opt_rule[i].name == SO_SNDBUF ||
							opt_rule[i].name == SO_RCVBUF))
				value.i /= 2;
			kern_setsockopt(fd, opt_rule[i].level, opt_rule[i].name, &value, len);
		}
	}
	al_sock_opt_apply(to, fd);
}

/* ---- setsockopt ---- */

/* AL's own copy of what it acts on; after the kernel has accepted the value. */
static void opt_own(struct al_sock *sock, int fd, int level, int name)
{
	struct linger linger = {0};
	struct timeval tv = {0};
	socklen_t len = sizeof(tv);

	if (level != SOL_SOCKET)
		return;
	if (name == SO_RCVTIMEO || name == SO_SNDTIMEO) {
		kern_getsockopt(fd, level, name, &tv, &len);
		*(name == SO_RCVTIMEO ? &sock->rcv_timeo_ns : &sock->snd_timeo_ns) =
				tv.tv_sec * NS_PER_S + tv.tv_usec * 1000ll;
	} else if (name == SO_RCVLOWAT) {
		sock->rcv_lowat = (uint32_t)opt_int(fd, level, name);
	} else if (name == SO_LINGER) {
		len = sizeof(linger);
		kern_getsockopt(fd, level, name, &linger, &len);
		sock->linger_on = linger.l_onoff != 0;
		sock->linger_s = (uint32_t)linger.l_linger;
	}
}

/* Congestion control by name; the engine's own is the only one so far that can be asked for. */
static bool opt_congestion_known(const void *val, socklen_t len)
{
	return (len >= 5 && memcmp(val, "cubic", 5) == 0);
}

/* Before the kernel is asked. Return 0 go on, 1 go on with the kernel's socket, -errno. */
static int opt_before(
		struct al_sock *sock, const struct opt_rule *rule, const void *val, socklen_t len)
{
	bool decided = al_sock_is_eta(sock);

	if (rule->act == OPT_OWN && rule->level == IPPROTO_TCP && rule->name == TCP_CONGESTION &&
			(!val || !opt_congestion_known(val, len))) {
		if (decided) {
			al_count(AL_COUNT_REFUSED_OPTION);
			return -ENOENT;
		}
		al_count_option(rule->level, rule->name);
		al_sock_to_kernel(sock, AL_COUNT_FALLBACK_OPTION);
		return 1;
	}
	if (rule->act != OPT_KERNEL && rule->act != OPT_REFUSE)
		return 0;
	al_count_option(rule->level, rule->name);
	if (!decided) {
		if (rule->act == OPT_REFUSE)
			return 0;
		al_sock_to_kernel(sock, AL_COUNT_FALLBACK_OPTION);
		return 1;
	}
	al_count(AL_COUNT_REFUSED_OPTION);
	return rule->act == OPT_REFUSE ? -EOPNOTSUPP : -ENOPROTOOPT;
}

static int opt_set(
		struct al_sock *sock, int fd, int level, int name, const void *val, socklen_t len)
{
	const struct opt_rule *rule = opt_find(level, name);
	int ret;

	if (rule) {
		ret = opt_before(sock, rule, val, len);
		if (ret < 0)
			return ret;
		if (ret > 0)
			return kern_setsockopt(fd, level, name, val, len);
	}
	ret = kern_setsockopt(fd, level, name, val, len);
	if (ret)
		return ret;
	if (!rule || rule->act == OPT_SHADOW) {
		al_count_option(level, name);
		return 0;
	}
	if (!opt_is_of_bind(rule))
		sock->inherit |= 1ull << (rule - opt_rule);
	opt_own(sock, fd, level, name);
	if (rule->act == OPT_PARAM && al_sock_is_eta(sock))
		opt_commit(sock, fd, level, name);
	return 0;
}

int al_sys_setsockopt(int fd, int level, int name, const void *val, socklen_t len)
{
	struct al_sock *sock = al_sock_enter_any(fd);
	int ret;

	if (!sock)
		return kern_setsockopt(fd, level, name, val, len);
	ret = opt_set(sock, fd, level, name, val, len);
	al_sock_leave(sock);
	return ret;
}

/* ---- getsockopt ---- */

static int opt_answer(void *val, socklen_t *len, const void *fact, socklen_t bytes)
{
	if (!val || !len)
		return -EFAULT;
	if ((int)*len < 0)
		return -EINVAL;
	*len = MIN(*len, bytes);
	memcpy(val, fact, *len);
	return 0;
}

static void opt_tcp_info(struct al_sock *sock, struct tcp_info *info)
{
	const struct eta_dti_en *en = al_conn_record(sock->conn);

	memset(info, 0, sizeof(*info));
	info->tcpi_state = en->tcp_state;
	info->tcpi_ca_state = en->ca_state;
	info->tcpi_options = en->opt_flags;
	info->tcpi_snd_wscale = en->snd_wscale & 0xf;
	info->tcpi_rcv_wscale = en->rcv_wscale & 0xf;
	info->tcpi_rto = en->rto_us;
	info->tcpi_ato = 40000;
	info->tcpi_snd_mss = en->mss;
	info->tcpi_rcv_mss = en->mss;
	info->tcpi_advmss = en->mss;
	info->tcpi_unacked = en->mss ? (en->unacked_bytes + en->mss - 1) / en->mss : 0;
	info->tcpi_sacked = en->sacked_n;
	info->tcpi_lost = en->lost_n;
	info->tcpi_pmtu = en->pmtu_bytes;
	info->tcpi_rtt = en->srtt_us;
	info->tcpi_rttvar = en->rttvar_us;
	info->tcpi_snd_ssthresh = en->mss ? en->ssthresh_bytes / en->mss : 0;
	info->tcpi_snd_cwnd = en->mss ? en->cwnd_bytes / en->mss : 0;
	info->tcpi_reordering = en->reorder_n;
	info->tcpi_total_retrans = en->retrans_n;
	info->tcpi_bytes_retrans = en->retrans_bytes;
	info->tcpi_bytes_acked =
			en->tx_bytes > en->unacked_bytes ? en->tx_bytes - en->unacked_bytes : 0;
	info->tcpi_bytes_sent = en->tx_bytes;
	info->tcpi_bytes_received = en->rx_bytes;
	info->tcpi_snd_wnd = en->snd_wnd_bytes;
	info->tcpi_rcv_space = en->rcv_wnd_bytes;
	info->tcpi_notsent_bytes =
			al_conn_snd_bytes(sock->conn) > en->unacked_bytes
					? al_conn_snd_bytes(sock->conn) - en->unacked_bytes
					: 0;
}

/* The engine refreshes the measured half of the record when asked. */
static void opt_refresh_record(struct al_sock *sock)
{
	al_lock_take(&sock->snd_lock);
	if (al_conn_param(sock->conn))
		al_conn_param_commit(sock->conn);
	al_lock_drop(&sock->snd_lock);
}

static int opt_get_live(
		struct al_sock *sock, int fd, int level, int name, void *val, socklen_t *len)
{
	struct tcp_info info;
	int value;

	if (level == SOL_SOCKET && name == SO_ERROR) {
		al_poll_events();
		if (al_sock_refresh(sock, fd) == AL_SOCK_KERNEL)
			return kern_getsockopt(fd, level, name, val, len);
		value = sock->state == AL_SOCK_OPEN ? al_conn_take_error(sock->conn) : 0;
		return opt_answer(val, len, &value, sizeof(value));
	}
	if (level == IPPROTO_TCP && name == TCP_INFO && sock->state == AL_SOCK_OPEN) {
		opt_refresh_record(sock);
		opt_tcp_info(sock, &info);
		return opt_answer(val, len, &info, sizeof(info));
	}
	if (level == IPPROTO_TCP && name == TCP_MAXSEG && sock->state == AL_SOCK_OPEN &&
			al_conn_record(sock->conn)->mss) {
		value = al_conn_record(sock->conn)->mss;
		return opt_answer(val, len, &value, sizeof(value));
	}
	if (level == IPPROTO_TCP && name == TCP_CONGESTION)
		return opt_answer(val, len, "cubic\0\0\0\0\0\0\0\0\0\0", TCP_CA_NAME_MAX);
	return kern_getsockopt(fd, level, name, val, len);
}

int al_sys_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	struct al_sock *sock = al_sock_enter(fd);
	int ret;

	if (!sock)
		return kern_getsockopt(fd, level, name, val, len);
	ret = opt_get_live(sock, fd, level, name, val, len);
	al_sock_leave(sock);
	return ret;
}
