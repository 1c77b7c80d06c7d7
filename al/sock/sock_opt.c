/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Socket options.
 *
 * The shadow is the memory of options: setsockopt() goes to the kernel first, which judges name, value and permission; getsockopt() asks it. So
 * errors, sizes and read-back values (a doubled SO_SNDBUF) are the kernel's own. What ETA acts on is then copied from the shadow to the
 * parameters of the conn. What ETA cannot do is either harmless (counted by name), or decides for the kernel while that is still possible, or is
 * refused; an option that the table of rules does not know is such a one. Live facts are answered from the conn (sock_info.c).
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
#include "al/sock/sock_opt.h"

#define NS_PER_S 1000000000ll
#define LINGER2_S_MAX 120 /* as Linux */
#define DEFER_S_MAX 255
#define SNDBUF_LOCK 1 /* of SO_BUF_LOCK */
#define RCVBUF_LOCK 2
#define PACE_UNIT 64ull /* of eta_dti_al.pace_64 */

int opt_int(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return kern_getsockopt(fd, level, name, &value, &len) == 0 ? value : 0;
}

/* ---- to the conn ---- */

static void opt_bit(struct eta_dti_al *param, uint16_t bit, bool on)
{
	param->opt = (uint16_t)(on ? param->opt | bit : param->opt & ~bit);
}

/* Is the other side an IPv4 host? Not known for a listener: as IPv6. */
static bool opt_is_v4(struct al_sock *sock)
{
	struct sockaddr_storage local;
	struct sockaddr_storage remote;

	if (sock->family == AF_INET)
		return true;
	if (sock->remote_len)
		return IN6_IS_ADDR_V4MAPPED(&sock->remote.sin6_addr);
	if (!sock->had_peer)
		return false;
	al_conn_addrs(sock->conn, &local, &remote, AF_INET6);
	return IN6_IS_ADDR_V4MAPPED(&((struct sockaddr_in6 *)&remote)->sin6_addr);
}

static void opt_param_so(struct al_sock *sock, struct eta_dti_al *param, int fd, int name)
{
	int value = opt_int(fd, SOL_SOCKET, name);
	uint64_t rate = 0;
	socklen_t len = sizeof(rate);

	switch (name) {
	case SO_KEEPALIVE: opt_bit(param, ETA_OPT_KEEPALIVE, value); break;
	case SO_OOBINLINE: opt_bit(param, ETA_OPT_OOBINLINE, value); break;
	case SO_SNDBUF:
	case SO_SNDBUFFORCE:
		param->sndbuf_bytes = (uint32_t)opt_int(fd, SOL_SOCKET, SO_SNDBUF);
		break;
	case SO_RCVBUF:
	case SO_RCVBUFFORCE:
		param->rcvbuf_bytes = (uint32_t)opt_int(fd, SOL_SOCKET, SO_RCVBUF);
		break;
	case SO_BUF_LOCK: /* a locked buffer keeps its size */
		param->sndbuf_bytes = value & SNDBUF_LOCK
						      ? (uint32_t)opt_int(fd, SOL_SOCKET, SO_SNDBUF)
						      : 0;
		param->rcvbuf_bytes = value & RCVBUF_LOCK
						      ? (uint32_t)opt_int(fd, SOL_SOCKET, SO_RCVBUF)
						      : 0;
		break;
	case SO_LINGER:
		opt_bit(param, ETA_OPT_LINGER0, sock->linger_on && sock->linger_s == 0);
		break;
	case SO_MAX_PACING_RATE:
		kern_getsockopt(fd, SOL_SOCKET, name, &rate, &len);
		param->pace_64 = rate / PACE_UNIT >= UINT32_MAX
						 ? 0
						 : (uint32_t)((rate + PACE_UNIT - 1) / PACE_UNIT);
		break;
	}
}

static void opt_param_tcp(struct eta_dti_al *param, int fd, int name)
{
	int value = opt_int(fd, IPPROTO_TCP, name);

	switch (name) {
	case TCP_NODELAY: opt_bit(param, ETA_OPT_NODELAY, value); break;
	case TCP_CORK: opt_bit(param, ETA_OPT_CORK, value); break;
	case TCP_KEEPIDLE: param->keep_idle_s = (uint16_t)value; break;
	case TCP_KEEPINTVL: param->keep_intvl_s = (uint16_t)value; break;
	case TCP_KEEPCNT: param->keep_probes = (uint8_t)value; break;
	case TCP_USER_TIMEOUT: param->user_timeout_ms = (uint32_t)value; break;
	case TCP_LINGER2:
		param->linger2_s = value > 0 ? (uint16_t)MIN(value, LINGER2_S_MAX) : 1;
		break;
	case TCP_MAXSEG: param->maxseg = (uint16_t)value; break;
	case TCP_NOTSENT_LOWAT: param->notsent_lowat = (uint32_t)value; break;
	case TCP_WINDOW_CLAMP: param->window_clamp = (uint32_t)value; break;
	case TCP_SYNCNT: param->syn_retries = (uint8_t)value; break;
	case TCP_DEFER_ACCEPT: param->defer_accept_s = (uint8_t)MIN(value, DEFER_S_MAX); break;
	case TCP_FASTOPEN: param->fastopen_qlen = (uint16_t)MIN(value, UINT16_MAX); break;
	case TCP_FASTOPEN_NO_COOKIE: opt_bit(param, ETA_OPT_FASTOPEN_NO_COOKIE, value); break;
	case TCP_QUICKACK:
		opt_bit(param, ETA_OPT_QUICKACK, value);
		opt_bit(param, ETA_OPT_DELACK, !value);
		break;
	}
}

/* Copy one option's value, as the shadow @fd has it now. */
static void opt_param(struct al_sock *sock, struct eta_dti_al *param, int fd, int level, int name)
{
	int value;

	if (level == SOL_SOCKET) {
		opt_param_so(sock, param, fd, name);
	} else if (level == IPPROTO_TCP) {
		opt_param_tcp(param, fd, name);
	} else if ((level == IPPROTO_IP && name == IP_TOS) ||
			(level == IPPROTO_IPV6 && name == IPV6_TCLASS)) {
		if ((level == IPPROTO_IP) == opt_is_v4(sock))
			param->tos = (uint8_t)opt_int(fd, level, name);
	} else if ((level == IPPROTO_IP) == opt_is_v4(sock)) {
		value = opt_int(fd, level, name);
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

/* The machine's TCP_NOTSENT_LOWAT, for who has none of his own; 0 = no limit. A connection keeps what it begins with. */
static uint32_t opt_lowat(void)
{
	const struct eta_core_page *page = al_page();

	return page ? eta_load_relaxed_u32(&page->notsent_lowat) : 0;
}

void al_sock_opt_apply(struct al_sock *sock, int fd)
{
	struct eta_dti_al *param;

	if (!sock->inherit && !sock->linger_on && !sock->cc && !opt_lowat())
		return;
	param = al_conn_param(sock->conn);
	if (!param)
		return;
	param->cc = sock->cc;
	param->notsent_lowat = opt_lowat();
	for (uint32_t i = 0; i < OPT_HERITABLE; i++) {
		const struct opt_rule *rule = opt_rule_at(i);

		if (rule->act == OPT_PARAM && (sock->inherit >> i & 1))
			opt_param(sock, param, fd, rule->level, rule->name);
	}
	al_conn_param_commit(sock->conn);
}

/* Set on @fd what @from_fd has. */
static void opt_copy(const struct opt_rule *rule, int from_fd, int fd)
{
	union {
		struct linger linger;
		struct timeval tv;
		uint64_t rate;
		int i;
	} value;
	socklen_t len = sizeof(value);
	int name = rule->name;

	if (rule->level == IPPROTO_TCP && name == TCP_FASTOPEN)
		return; /* of listeners alone */
	if (rule->level == SOL_SOCKET && name == SO_SNDBUFFORCE)
		name = SO_SNDBUF;
	else if (rule->level == SOL_SOCKET && name == SO_RCVBUFFORCE)
		name = SO_RCVBUF;
	if (kern_getsockopt(from_fd, rule->level, name, &value, &len) != 0)
		return;
	/* The kernel doubles what it is told. */
	if (rule->level == SOL_SOCKET && (name == SO_SNDBUF || name == SO_RCVBUF))
		value.i /= 2;
	kern_setsockopt(fd, rule->level, rule->name, &value, len);
}

void al_sock_opt_inherit(struct al_sock *from, int from_fd, struct al_sock *to, int fd)
{
	to->rcv_timeo_ns = from->rcv_timeo_ns;
	to->snd_timeo_ns = from->snd_timeo_ns;
	to->rcv_lowat = from->rcv_lowat;
	to->linger_on = from->linger_on;
	to->linger_s = from->linger_s;
	to->inherit = from->inherit;
	to->of_bind = from->of_bind;
	to->tells_inq = from->tells_inq;
	to->cc = from->cc;
	if (!from->inherit && !from->cc && !opt_lowat())
		return;
	for (uint32_t i = 0; i < OPT_HERITABLE; i++)
		if (from->inherit >> i & 1)
			opt_copy(opt_rule_at(i), from_fd, fd);
	al_sock_opt_apply(to, fd);
}

/* ---- setsockopt ---- */

/* AL's own copy of what it acts on; after the kernel has accepted the value. */
static void opt_own(struct al_sock *sock, int fd, int level, int name)
{
	struct linger linger = {0};
	struct timeval tv = {0};
	socklen_t len = sizeof(tv);

	uint8_t of_bind = opt_rule_of_bind(level, name);

	if (of_bind)
		sock->of_bind = (uint8_t)(opt_int(fd, level, name) ? sock->of_bind | of_bind
								   : sock->of_bind & ~of_bind);
	if (level == IPPROTO_TCP && name == TCP_FASTOPEN_CONNECT)
		sock->fastopen_connect = opt_int(fd, level, name) != 0;
	if (level == IPPROTO_TCP && name == TCP_INQ)
		sock->tells_inq = opt_int(fd, level, name) != 0;
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

/*
 * Congestion control is chosen by name. While a socket is undecided both sides must have it, since either may come to carry it; afterwards
 * only the engine is asked (and a listener's shadow told, whatever it makes of it).
 */
static int opt_congestion(struct al_sock *sock, int fd, const char *name, socklen_t len)
{
	struct eta_dti_al *param;
	uint8_t cc;
	int ret;

	ret = kern_setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, len);
	if (!name || (int)len < 1)
		return ret;
	cc = opt_cc_find(name, MIN(len, ETA_CC_NAME_BYTES - 1));
	if (!al_sock_is_eta(sock)) {
		if (ret == 0 && cc == 0) {
			al_count_option(IPPROTO_TCP, TCP_CONGESTION);
			al_sock_to_kernel(sock, AL_COUNT_FALLBACK_OPTION);
		}
		if (ret == 0)
			sock->cc = cc;
		return ret;
	}
	if (cc == 0) {
		al_count(AL_COUNT_REFUSED_OPTION);
		return -ENOENT;
	}
	al_lock_take(&sock->snd_lock);
	param = al_conn_param(sock->conn);
	if (param) {
		param->cc = cc;
		al_conn_param_commit(sock->conn);
	}
	sock->cc = cc;
	al_lock_drop(&sock->snd_lock);
	return 0;
}

/*
 * What only the kernel does. The shadow judges; a value that changes nothing changes nothing here either. On a socket of ETA's the shadow gets
 * its old value back, so that it never tells of what does not happen.
 */
static int opt_kernel(struct al_sock *sock, const struct opt_rule *rule, int fd, int level,
		int name, const void *val, socklen_t len)
{
	bool decided = al_sock_is_eta(sock);
	bool is_other_family = level == IPPROTO_IPV6 && sock->family == AF_INET;
	uint64_t was = 0, is = 0;
	socklen_t was_len = sizeof(was), is_len = sizeof(is);
	bool has_value = kern_getsockopt(fd, level, name, &was, &was_len) == 0 && was_len > 0;
	int ret;

	/* It could not be taken back from a shadow that the kernel serves. */
	if (sock->state == AL_SOCK_LISTENING && !has_value && !is_other_family) {
		al_count(AL_COUNT_REFUSED_OPTION);
		return rule ? -rule->error : -ENOPROTOOPT;
	}
	ret = kern_setsockopt(fd, level, name, val, len);
	if (ret)
		return ret;
	if (has_value && kern_getsockopt(fd, level, name, &is, &is_len) == 0 && is_len == was_len &&
			(is == was || (rule && is < 32 && rule->harmless >> is & 1)))
		return 0;
	al_count_option(level, name);
	if (!decided) {
		al_sock_to_kernel(sock, AL_COUNT_FALLBACK_OPTION);
		return 0;
	}
	if (has_value)
		kern_setsockopt(fd, level, name, &was, was_len);
	al_count(AL_COUNT_REFUSED_OPTION);
	return rule ? -rule->error : -ENOPROTOOPT;
}

/* Options that the kernel refuses on a connected socket; the shadow is none. */
static int opt_state_error(
		struct al_sock *sock, int level, int name, const void *val, socklen_t len)
{
	int value;

	if (sock->state == AL_SOCK_CONNECTING && level == IPPROTO_TCP &&
			(name == TCP_FASTOPEN_CONNECT || name == TCP_FASTOPEN_NO_COOKIE))
		return -EINVAL;
	if (sock->state != AL_SOCK_OPEN || al_conn_state(sock->conn) == ETA_DTI_CLOSED)
		return 0;
	if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY)
		return sock->family == AF_INET6 ? -EINVAL : 0;
	if (level != IPPROTO_TCP || !val || len < sizeof(value))
		return 0;
	memcpy(&value, val, sizeof(value));
	if (name == TCP_QUEUE_SEQ)
		return -EPERM;
	if (name == TCP_FASTOPEN || name == TCP_FASTOPEN_CONNECT ||
			name == TCP_FASTOPEN_NO_COOKIE || (name == TCP_WINDOW_CLAMP && value == 0))
		return -EINVAL;
	return 0;
}

static int opt_set(
		struct al_sock *sock, int fd, int level, int name, const void *val, socklen_t len)
{
	const struct opt_rule *rule = opt_rule_find(level, name);
	enum opt_act act = rule ? opt_rule_act(rule) : OPT_KERNEL;
	int ret;

	if (level == IPPROTO_TCP && name == TCP_CONGESTION)
		return opt_congestion(sock, fd, val, len);
	ret = opt_state_error(sock, level, name, val, len);
	if (ret)
		return ret;
	if (act == OPT_KERNEL)
		return opt_kernel(sock, rule, fd, level, name, val, len);
	ret = kern_setsockopt(fd, level, name, val, len);
	if (ret)
		return ret;
	if (opt_rule_bit(rule) < OPT_HERITABLE && !opt_rule_of_bind(level, name))
		sock->inherit |= 1ull << opt_rule_bit(rule);
	if (act == OPT_SHADOW) {
		al_count_option(level, name);
		return 0;
	}
	opt_own(sock, fd, level, name);
	if (act == OPT_PARAM && al_sock_is_eta(sock))
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

int al_sys_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	struct al_sock *sock = al_sock_enter(fd);
	int ret;

	if (!sock)
		return kern_getsockopt(fd, level, name, val, len);
	if (!opt_get_live(sock, fd, level, name, val, len, &ret))
		ret = kern_getsockopt(fd, level, name, val, len);
	al_sock_leave(sock);
	return ret;
}
