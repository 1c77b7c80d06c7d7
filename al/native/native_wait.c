/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The native interface: sleeping, settings, facts.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

#include <eta/eta.h>

#include "al/core/al.h"
#include "al/native/native.h"

/* ---- sleeping ---- */

int eta_fd(void)
{
	int fd = al_wait_arm();

	if (fd >= 0)
		al_wait_disarm();
	return fd;
}

int eta_arm(void)
{
	int fd;

	if (al_events_pending())
		return -EAGAIN;
	fd = al_wait_arm();
	if (fd < 0)
		return fd;
	if (!al_events_pending())
		return 0;
	al_wait_disarm();
	return -EAGAIN;
}

void eta_disarm(void)
{
	al_wait_disarm();
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Armed: sleep for at most @ms, -1 = for ever. Return: as ppoll. */
static int nap(int fd, int ms)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	const struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	return sys_ppoll(&pfd, 1, ms < 0 ? NULL : &ts);
}

int eta_wait(int timeout_ms)
{
	int64_t until = timeout_ms > 0 ? now_ms() + timeout_ms : 0;

	for (;;) {
		int left = timeout_ms, own, fd, ret;

		if (al_events_pending() || (timeout_ms && al_wait_spin_by(al_events_pending)))
			return 1;
		if (timeout_ms > 0) {
			int64_t ms = until - now_ms();

			left = ms > 0 ? (int)ms : 0;
		}
		if (!left)
			return 0;
		fd = al_is_attached() ? al_wait_arm() : -ENOTCONN;
		if (fd < 0)
			return fd;
		ret = 1;
		if (!al_events_pending()) {
			own = al_wait_timeout_ms();
			ret = nap(fd, own >= 0 && (left < 0 || own < left) ? own : left);
		}
		al_wait_disarm();
		if (al_is_gone())
			return -ECONNRESET;
		if (ret == -EINTR && !al_events_pending())
			return -EINTR;
	}
}

int eta_watch(eta_conn_t handle)
{
	struct al_conn *conn = native_conn(handle);

	if (!conn)
		return -EBADF;
	al_conn_watch(conn, AL_EV_ALL, al_flag(conn, AL_CONN_MASTER));
	return 0;
}

int eta_unwatch(eta_conn_t handle)
{
	struct al_conn *conn = native_conn(handle);

	if (!conn)
		return -EBADF;
	al_conn_unwatch(conn);
	return 0;
}

int eta_set_cookie(eta_conn_t handle, uint64_t cookie)
{
	struct al_conn *conn = native_conn(handle);

	if (!conn)
		return -EBADF;
	conn->cookie = cookie;
	return 0;
}

/* ---- settings ---- */

static void opt_set(struct eta_dti_al *al, uint16_t bit, bool on)
{
	al->opt = (uint16_t)(on ? al->opt | bit : al->opt & ~bit);
}

int eta_set(eta_conn_t handle, enum eta_setting setting, uint32_t value)
{
	struct al_conn *conn = native_conn(handle);
	struct eta_dti_al *al;

	if (!conn)
		return -EBADF;
	al = al_conn_param(conn);
	switch (setting) {
	case ETA_SET_NODELAY: opt_set(al, ETA_OPT_NODELAY, value != 0); break;
	case ETA_SET_CORK: opt_set(al, ETA_OPT_CORK, value != 0); break;
	case ETA_SET_KEEPALIVE:
		if (value > UINT16_MAX)
			return -EINVAL;
		opt_set(al, ETA_OPT_KEEPALIVE, value != 0);
		al->keep_idle_s = (uint16_t)value;
		break;
	case ETA_SET_RCVBUF: al->rcvbuf_bytes = value; break;
	case ETA_SET_SNDBUF: al->sndbuf_bytes = value; break;
	case ETA_SET_USER_TIMEOUT_MS: al->user_timeout_ms = value; break;
	case ETA_SET_TOS:
	case ETA_SET_TTL:
		if (value > UINT8_MAX)
			return -EINVAL;
		*(setting == ETA_SET_TOS ? &al->tos : &al->ttl) = (uint8_t)value;
		break;
	default: return -EINVAL;
	}
	al_conn_param_commit(conn);
	return 0;
}

/* ---- facts ---- */

static int family_of(const uint8_t addr[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(addr, mapped, sizeof(mapped)) ? AF_INET6 : AF_INET;
}

static enum eta_state state_of(enum eta_dti_state state)
{
	switch (state) {
	case ETA_DTI_OPEN: return ETA_STATE_OPEN;
	case ETA_DTI_LISTENING: return ETA_STATE_LISTENING;
	case ETA_DTI_FREE:
	case ETA_DTI_CHILD:
	case ETA_DTI_CONNECTING: return ETA_STATE_OPENING;
	case ETA_DTI_CLOSED:
	case ETA_DTI_MOVED: break;
	}
	return ETA_STATE_CLOSED;
}

int eta_info(eta_conn_t handle, struct eta_info *info)
{
	struct al_conn *conn = native_conn(handle);
	socklen_t len = sizeof(info->local);
	struct eta_conn_info now;
	struct eta_dti_en en;

	if (!conn)
		return -EBADF;
	if (info->size != sizeof(*info))
		return -EINVAL;
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	info->state = state_of(al_conn_state(conn));
	info->cookie = conn->cookie;
	memcpy(&en, al_conn_record(conn), sizeof(en));
	if (al_flag(conn, AL_CONN_MASTER)) {
		sys_call3(SYS_getsockname, conn->master.shadow_fd, (long)&info->local, (long)&len);
		return 0;
	}
	if (info->state == ETA_STATE_CLOSED)
		info->error = al_is_gone() ? -ECONNRESET : -eta_status_errno(conn->status);
	if (en.gen != conn->gen)
		return 0; /* the engine has not taken it yet */
	al_conn_addrs(conn, &info->local, &info->remote, family_of(en.raddr));
	info->rcv_queue_bytes = al_conn_rcv_bytes(conn);
	info->snd_queue_bytes = al_conn_snd_bytes(conn);
	info->snd_limit_bytes = en.snd_limit;
	info->mss = en.mss;
	if (al_conn_info(conn, &now) == 0) {
		info->tx_bytes = now.bytes_sent - now.bytes_retrans -
				 (info->snd_queue_bytes > now.notsent_bytes
								 ? info->snd_queue_bytes -
										   now.notsent_bytes
								 : 0);
		info->rx_bytes = now.bytes_rcvd;
		info->srtt_us = now.srtt_us;
		info->rttvar_us = now.rttvar_us;
		info->rto_us = now.rto_us;
		info->cwnd_bytes = now.cwnd_segs * now.snd_mss;
		info->retrans_n = now.retrans_n;
	}
	return 0;
}
