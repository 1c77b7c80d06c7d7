/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The life of a conn: a DTI is taken, opened, used, closed, waited for, and taken again.
 *
 * DTIs come from those that were free before (first in, first out, so that a generation is long forgotten when it comes again), then from those
 * never used, then from KA. A closed one is a zombie until the engine says FREE with the generation of that use; its send memory goes back
 * only then. A DTI that was never opened goes back at once.
 */
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

#include "al/core/al.h"

#define REAP_N 64u
#define SPINS_PER_LOOK 1024u
#define TAKEN_WAIT_S 1u /* for the engine to take a CONNECT; it does so in its next loop */

/* ---- taking and giving back ---- */

void al_conn_reap(struct al_conn *conn)
{
	uint32_t word = eta_load_acquire_u32(ETA_DTI_WORD(conn->en));

	if (conn->list != AL_LIST_ZOMBIE || (uint16_t)word != conn->gen ||
			(word >> 16 & 0xff) != ETA_DTI_FREE)
		return;
	al_snd_release_all(conn);
	al_list_remove(conn);
	al_list_add(conn, AL_LIST_FREE);
}

static void reap_some(uint32_t n)
{
	uint32_t next;

	for (uint32_t ref = al_root.zombies.first; ref != AL_IDX_NONE && n; ref = next, n--) {
		struct al_conn *conn = al_conn_at(ref);

		next = conn->next;
		al_conn_reap(conn);
	}
}

/* dti_lock held. */
static struct al_conn *take_known(struct al_session *s)
{
	struct al_conn *conn;

	if (al_root.free_list.first == AL_IDX_NONE)
		reap_some(s->fresh < s->fresh_end ? REAP_N : UINT32_MAX);
	conn = al_conn_at(al_root.free_list.first);
	if (conn) {
		al_list_remove(conn);
		return conn;
	}
	if (s->fresh >= s->fresh_end)
		return NULL;
	conn = &s->conns[s->fresh];
	conn->dti_idx = s->fresh++;
	conn->slot = al_root.own_slot;
	return conn;
}

static void conn_init(struct al_conn *conn)
{
	struct eta_dti_al *al = conn->al;

	conn->gen++;
	conn->serial++;
	conn->snd_tail = conn->snd_una = conn->snd_limit = 0;
	conn->rcv_head = conn->rcv_tail = conn->ring_at = conn->told_head = 0;
	conn->flags = AL_CONN_HELD;
	conn->state = ETA_DTI_FREE;
	conn->status = conn->level = 0;
	conn->list = AL_LIST_NONE;
	conn->snd_busy = 0;
	memset(&conn->snd, 0, sizeof(conn->snd));
	memset(&conn->rcv, 0, sizeof(conn->rcv));
	conn->snd.chunk = conn->rcv.chunk = ETA_CHUNK_NONE;
	conn->user = NULL;
	conn->rings = 0;
	conn->prev = conn->next = AL_IDX_NONE;
	conn->cookie = 0;
	memset(al, 0, sizeof(*al));
	al->chunk = al->sq_chunk = al->rq_chunk = ETA_CHUNK_NONE;
	al->gen = conn->gen;
}

struct al_conn *al_conn_take(void)
{
	struct al_session *s = &al_root.session[al_root.own_slot];
	struct al_conn *conn;
	int ret = 0;

	al_lock_take(&al_root.dti_lock);
	conn = take_known(s);
	while (!conn && !ret) {
		ret = al_seg_grow(s, ETA_GROW_DTIS);
		conn = take_known(s);
	}
	al_lock_drop(&al_root.dti_lock);
	if (!conn) {
		errno = ENOBUFS;
		return NULL;
	}
	if (!conn->al && al_seg_record(s, conn->dti_idx, &conn->al, &conn->en, &conn->core)) {
		errno = ENOMEM; /* that DTI is lost: KA did not tell where it lies */
		return NULL;
	}
	conn_init(conn);
	return conn;
}

void al_conn_untake(struct al_conn *conn)
{
	conn->flags = 0; /* the generation is used up: an early SUBSCRIBE may have named it */
	al_lock_take(&al_root.dti_lock);
	al_list_add(conn, AL_LIST_FREE);
	al_lock_drop(&al_root.dti_lock);
}

struct al_conn *al_conn_open(void)
{
	/* A thread first: it attaches a forked child. */
	if (al_is_gone() || al_get(&al_root.is_ending) || !al_thread_get()) {
		errno = ENOBUFS;
		return NULL;
	}
	return al_conn_take();
}

/* ---- connecting ---- */

/* The remote in wire form. Return 0; -EAFNOSUPPORT: for the kernel. */
static int remote_fill(struct eta_dti_al *al, const struct sockaddr *remote, socklen_t len)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)remote;
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)(const void *)remote;
	uint32_t v4;

	if (len >= sizeof(*in6) && remote->sa_family == AF_INET6) {
		memcpy(al->raddr, &in6->sin6_addr, 16);
		al->rport_be = in6->sin6_port;
		al->scope_id = in6->sin6_scope_id;
	} else if (len >= sizeof(*in4) && remote->sa_family == AF_INET) {
		memcpy(al->raddr, mapped, sizeof(mapped));
		memcpy(al->raddr + 12, &in4->sin_addr, 4);
		al->rport_be = in4->sin_port;
	} else {
		return -EAFNOSUPPORT;
	}
	if (memcmp(al->raddr, mapped, sizeof(mapped)) == 0) {
		memcpy(&v4, al->raddr + 12, 4);
		v4 = ntohl(v4);
		if (!v4 || v4 >> 28 >= 0xe || (v4 >> 24 == 127 && !al_policy_loopback()))
			return -EAFNOSUPPORT;
	} else if (al->raddr[0] == 0xff ||
			IN6_IS_ADDR_UNSPECIFIED((const struct in6_addr *)(const void *)al->raddr) ||
			(IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)(const void *)al->raddr) &&
					!al_policy_loopback())) {
		return -EAFNOSUPPORT;
	}
	return al->rport_be ? 0 : -EAFNOSUPPORT;
}

static int bind_local(struct al_conn *conn, int fd)
{
	struct eta_ctl_dti req = {
			.hdr.type = ETA_CTL_BIND, .dti = al_dti_number(conn), .gen = conn->gen};
	struct eta_ctl_dti_reply rep;
	int ret = al_ctl_call(&req, sizeof(req), fd, &rep, sizeof(rep), NULL, 0);

	if (!ret)
		conn->al->opt |= ETA_OPT_LOCAL_BOUND;
	return ret;
}

/* KA looks at settings that it cannot watch; its answer means that the engine has them. */
static int ask_settings(void)
{
	struct eta_ctl_hdr req = {.type = ETA_CTL_PING}, rep;

	return al_ctl_call(&req, sizeof(req), -1, &rep, sizeof(rep), NULL, 0);
}

int al_conn_connect_start(
		struct al_conn *conn, const struct sockaddr *remote, socklen_t len, int bound_fd)
{
	int ret = remote_fill(conn->al, remote, len);

	if (!ret && bound_fd >= 0)
		ret = bind_local(conn, bound_fd);
	else if (!ret && (al_root.policy & ETA_POLICY_PING))
		ret = ask_settings();
	if (ret)
		return ret;
	al_flag_set(conn, AL_CONN_RUNG);
	conn->state = ETA_DTI_CONNECTING;
	return al_ring_queue_op(conn, ETA_DB_CONNECT, AL_EV_ALL);
}

/* Until the engine has taken the open of @conn: its record shows our generation. Return 0; -ECONNRESET it does not come. */
static int await_taken(struct al_conn *conn)
{
	uint64_t start = al_tsc();

	for (uint32_t spins = 1;
			(uint16_t)eta_load_acquire_u32(ETA_DTI_WORD(conn->en)) != conn->gen;
			spins++) {
		eta_pause();
		if (spins % SPINS_PER_LOOK)
			continue;
		if (!al_engine_alive() || al_tsc() - start > TAKEN_WAIT_S * al_root.tsc_hz)
			return -ECONNRESET;
		sys_give_way(spins / SPINS_PER_LOOK - 1);
	}
	return 0;
}

int al_conn_connect(
		struct al_conn *conn, const struct sockaddr *remote, socklen_t len, int bound_fd)
{
	int ret = al_conn_connect_start(conn, remote, len, bound_fd);

	if (!ret)
		ret = await_taken(conn);
	if (ret)
		return ret;
	al_conn_refresh(conn);
	/* The route is on no port of ETA: the engine says so at once. */
	if (al_get8(&conn->state) == ETA_DTI_CLOSED && conn->status == ETA_STATUS_NOT_CARRIED) {
		al_flag_set(conn, AL_CONN_ERR_TAKEN);
		return -EAFNOSUPPORT;
	}
	return 0;
}

/* ---- closing ---- */

static void ring_close(struct al_conn *conn, bool abort)
{
	uint32_t wants = abort ? ETA_WANT_ABORT : ETA_WANT_CLOSE;

	if (al_flag(conn, AL_CONN_SHARED)) {
		al_ring_op(conn, ETA_DB_DETACH, 0, 0);
		return;
	}
	if (!al_flag(conn, AL_CONN_SHUT_WR)) {
		eta_store_relaxed_u32(&conn->al->shut_at, conn->snd_tail);
		wants |= ETA_WANT_SHUT_WR;
	}
	__atomic_or_fetch(&conn->al->wants, wants, __ATOMIC_RELEASE);
	al_ring_op(conn, abort ? ETA_DB_ABORT : ETA_DB_CLOSE, 0, 0);
}

void al_conn_forget(struct al_conn *conn)
{
	conn->user = NULL;
	al_flag_clear(conn, AL_CONN_HELD);
	al_lock_take(&al_root.dti_lock);
	al_list_remove(conn);
	if (conn->slot == al_root.own_slot && al_flag(conn, AL_CONN_RUNG))
		al_list_add(conn, AL_LIST_ZOMBIE);
	al_lock_drop(&al_root.dti_lock);
}

void al_conn_close(struct al_conn *conn, bool abort)
{
	bool mine = eta_load_acquire_u32(&al_root.state) == AL_ATTACHED && !al_is_gone();

	if (mine && !al_flag(conn, AL_CONN_RUNG) && conn->slot == al_root.own_slot) {
		al_conn_untake(conn);
		return;
	}
	al_lock_take_mt(&conn->snd_busy); /* the sweep may be at it */
	if (al_flag(conn, AL_CONN_MASTER))
		al_master_close(conn);
	if (mine && al_flag(conn, AL_CONN_RUNG))
		ring_close(conn, abort);
	al_lock_drop_mt(&conn->snd_busy);
	al_conn_forget(conn);
}

void al_conn_shut_rd(struct al_conn *conn)
{
	al_flag_set(conn, AL_CONN_SHUT_RD);
}

/* ---- telling ---- */

static uint32_t ready_bits(struct al_conn *conn)
{
	uint8_t level = al_get8(&conn->level), state = al_get8(&conn->state);
	uint32_t bits = 0;

	if (al_flag(conn, AL_CONN_MASTER))
		return al_master_ready(conn) ? POLLIN : 0;
	if (al_rcv_is_ready(conn))
		bits |= POLLIN | POLLRDNORM;
	if (level & ETA_EV_RD_CLOSED || al_flag(conn, AL_CONN_SHUT_RD))
		bits |= POLLIN | POLLRDNORM | POLLRDHUP;
	if (level & ETA_EV_URGENT && !al_flag(conn, AL_CONN_URG_READ) &&
			eta_counter_after(al_get(&conn->urg), al_get(&conn->rcv_head)))
		bits |= POLLPRI;
	if (state == ETA_DTI_OPEN && (al_flag(conn, AL_CONN_SHUT_WR) || al_snd_has_room(conn)))
		bits |= POLLOUT | POLLWRNORM;
	if (bits & POLLRDHUP && al_flag(conn, AL_CONN_SHUT_WR))
		bits |= POLLHUP;
	if (level & ETA_EV_CLOSED || al_flag(conn, AL_CONN_BROKEN)) {
		bits |= POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLRDHUP | POLLHUP;
		if ((conn->status || al_flag(conn, AL_CONN_BROKEN)) &&
				!al_flag(conn, AL_CONN_ERR_TAKEN))
			bits |= POLLERR;
	}
	return bits;
}

uint32_t al_conn_ready(struct al_conn *conn)
{
	uint32_t bits;

	if (ETA_UNLIKELY(al_is_gone()))
		return POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLRDHUP | POLLHUP | POLLERR;
	if (!conn->en)
		return 0;
	bits = ready_bits(conn);
	if (!(bits & POLLIN) && al_conn_refresh(conn))
		bits = ready_bits(conn);
	if (!(bits & POLLOUT) && al_get8(&conn->state) == ETA_DTI_OPEN) {
		al_conn_refresh(conn);
		bits = ready_bits(conn);
		if (!(bits & POLLOUT))
			al_snd_want_room(conn);
	}
	return bits;
}

int al_conn_take_error(struct al_conn *conn)
{
	int err = 0;

	if (al_get8(&conn->level) & ETA_EV_CLOSED)
		err = eta_status_errno(conn->status);
	else if (al_flag(conn, AL_CONN_BROKEN) || al_is_gone())
		err = ECONNRESET;
	if (!err || al_flag(conn, AL_CONN_ERR_TAKEN))
		return 0;
	al_flag_set(conn, AL_CONN_ERR_TAKEN);
	return err;
}

int al_conn_take_soft_error(struct al_conn *conn)
{
	uint32_t word;

	if (!conn->en || al_get8(&conn->level) & ETA_EV_CLOSED)
		return 0;
	word = eta_load_acquire_u32(&conn->en->soft_status);
	if ((word & 0xff) == 0 || word == conn->soft_taken ||
			eta_load_relaxed_u32(&conn->en->soft_una) !=
					eta_load_relaxed_u32(&conn->en->snd_una))
		return 0;
	conn->soft_taken = word;
	return eta_status_errno(word & 0xff);
}

enum eta_dti_state al_conn_state(struct al_conn *conn)
{
	al_conn_refresh(conn);
	return al_is_gone() ? ETA_DTI_CLOSED : (enum eta_dti_state)al_get8(&conn->state);
}

static void addr_fill(struct sockaddr_storage *out, const uint8_t addr[16], uint16_t port_be,
		uint32_t scope, int family)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
	struct sockaddr_in *in4 = (struct sockaddr_in *)out;

	memset(out, 0, sizeof(*out));
	out->ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		memcpy(&in4->sin_addr, addr + 12, 4);
		in4->sin_port = port_be;
	} else {
		memcpy(&in6->sin6_addr, addr, 16);
		in6->sin6_port = port_be;
		in6->sin6_scope_id = IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) ? scope : 0;
	}
}

void al_conn_addrs(struct al_conn *conn, struct sockaddr_storage *local,
		struct sockaddr_storage *remote, int family)
{
	struct eta_dti_en en;

	memcpy(&en, conn->en, sizeof(en));
	addr_fill(local, en.laddr, en.lport_be, conn->al->scope_id, family);
	addr_fill(remote, en.raddr, en.rport_be, conn->al->scope_id, family);
}

const struct eta_dti_en *al_conn_record(struct al_conn *conn)
{
	return conn->en;
}

struct eta_dti_al *al_conn_param(struct al_conn *conn)
{
	return conn->al;
}

void al_conn_param_commit(struct al_conn *conn)
{
	if (conn->al->notsent_lowat || conn->al->sndbuf_bytes)
		al_flag_set(conn, AL_CONN_ROOM_CHOSEN);
	else
		al_flag_clear(conn, AL_CONN_ROOM_CHOSEN);
	eta_store_release_u32(&conn->al->param_seq, conn->al->param_seq + 1);
	if (al_flag(conn, AL_CONN_RUNG))
		al_ring_op(conn, ETA_DB_PARAM, 0, 0);
}

void al_conn_set_user(struct al_conn *conn, void *user)
{
	conn->user = user;
}

void *al_conn_user(struct al_conn *conn)
{
	return conn->user;
}

/* ---- subscriptions ---- */

void al_conn_watch(struct al_conn *conn, uint32_t ev_mask, bool exclusive)
{
	struct al_thread *t = al_thread_get();
	struct al_ring *ring = t ? al_ring_of(t, conn->core) : NULL;

	(void)ev_mask; /* a subscription is to everything: masks would have to be kept per thread */
	if (!ring || !al_flag(conn, AL_CONN_RUNG))
		return;
	if (__atomic_load_n(&conn->rings, __ATOMIC_RELAXED) >> ring->idx & 1 &&
			al_flag(conn, AL_CONN_EXCLUSIVE) == exclusive)
		return;
	if (exclusive)
		al_flag_set(conn, AL_CONN_EXCLUSIVE);
	al_ring_queue_op(conn, ETA_DB_SUBSCRIBE, AL_EV_ALL | (exclusive ? ETA_SUB_EXCLUSIVE : 0));
	if (al_flag(conn, AL_CONN_MASTER))
		al_master_post(conn);
}

void al_conn_unwatch(struct al_conn *conn)
{
	struct al_thread *t = al_thread_get();
	struct al_ring *ring = t ? al_ring_of(t, conn->core) : NULL;

	if (!ring || (ring->is_shared && ring->threads_n > 1))
		return;
	if (__atomic_load_n(&conn->rings, __ATOMIC_RELAXED) >> ring->idx & 1)
		al_ring_queue_op(conn, ETA_DB_UNSUBSCRIBE, 0);
}
