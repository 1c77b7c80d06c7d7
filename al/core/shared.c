/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conns that several processes hold: the lock in the record, and how they come to be shared.
 *
 * The lock is one word, 0 or the holder's lock_id with a bit for sleepers. Who waits for long asks KA whether the holder still lives, and takes
 * the lock from the dead by compare-exchange: under it only monotone counters change, each by one store, so there is nothing to repair.
 * Sharing is announced to KA (the kernel's cookie of the shadow socket) before another process can hold the shadow: at once for one that is
 * sent, in batches for a fork.
 */
#include "al/core/al.h"

#define LOCK_WAITERS 0x80000000u
#define LOCK_SPINS 200u
#define LOCK_ASK_MS 100

/* Does KA say that nobody alive has @lock_id? */
static bool holder_is_dead(uint32_t lock_id)
{
	struct eta_ctl_ping req = {.hdr.type = ETA_CTL_PING, .lock_id = lock_id};
	struct eta_ctl_hdr rep;

	return al_ctl_call(&req, sizeof(req), -1, &rep, sizeof(rep), NULL, 0) == -ENOENT;
}

int al_record_lock(struct al_conn *conn, uint32_t *word)
{
	const struct timespec ask = {.tv_nsec = LOCK_ASK_MS * 1000000L};
	uint32_t mine, seen;

	(void)conn;
	if (!al_thread_get())
		return -ECONNRESET; /* also: a forked child gets its lock_id here */
	mine = al_root.lock_id;
	for (uint32_t i = 0;; i++) {
		seen = 0;
		if (__atomic_compare_exchange_n(word, &seen,
				    i > LOCK_SPINS ? mine | LOCK_WAITERS : mine, false,
				    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return 0;
		if (i < LOCK_SPINS) {
			eta_pause();
			continue;
		}
		if (!(seen & LOCK_WAITERS) &&
				!__atomic_compare_exchange_n(word, &seen, seen | LOCK_WAITERS,
						false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			continue;
		if (sys_futex(word, FUTEX_WAIT, seen | LOCK_WAITERS, &ask) != -ETIMEDOUT)
			continue;
		if (al_is_gone())
			return -ECONNRESET;
		seen |= LOCK_WAITERS;
		if (holder_is_dead(seen & ~LOCK_WAITERS) &&
				__atomic_compare_exchange_n(word, &seen, mine | LOCK_WAITERS, false,
						__ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			return 0;
	}
}

void al_record_unlock(uint32_t *word)
{
	uint32_t was = __atomic_exchange_n(word, 0, __ATOMIC_RELEASE);

	if (was & LOCK_WAITERS)
		sys_futex(word, FUTEX_WAKE, 1, NULL);
}

bool al_conn_is_shared(const struct al_conn *conn)
{
	return al_flag(conn, AL_CONN_SHARED);
}

/* Send what is collected. Return 0 or -errno. */
static int share_flush(void)
{
	struct eta_ctl_hdr rep;
	uint32_t n = al_root.share_n;

	if (!n)
		return 0;
	al_root.share.hdr.type = ETA_CTL_SHARE;
	al_root.share.n = n;
	al_root.share_n = 0;
	return al_ctl_call(&al_root.share,
			offsetof(struct eta_ctl_share, item) +
					n * sizeof(struct eta_ctl_share_item),
			-1, &rep, sizeof(rep), NULL, 0);
}

static int share_add(struct al_conn *conn, uint64_t cookie, bool now)
{
	int ret = 0;

	if (al_flag(conn, AL_CONN_SHARED))
		return 0;
	al_lock_take(&al_root.fd_lock);
	al_root.share.item[al_root.share_n++] = (struct eta_ctl_share_item){
			.cookie = cookie, .dti = al_dti_number(conn), .gen = conn->gen};
	if (now || al_root.share_n == ETA_CTL_SHARE_MAX)
		ret = share_flush();
	al_lock_drop(&al_root.fd_lock);
	if (ret)
		return ret;
	/* From here on every access is by the record. What we know privately is in it already. */
	al_flag_set(conn, AL_CONN_SHARED);
	return 0;
}

int al_conn_share(struct al_conn *conn, uint64_t cookie)
{
	return share_add(conn, cookie, true);
}

int al_conn_share_at_fork(struct al_conn *conn, uint64_t cookie)
{
	return share_add(conn, cookie, false);
}

int al_share_flush(void)
{
	int ret;

	al_lock_take(&al_root.fd_lock);
	ret = share_flush();
	al_lock_drop(&al_root.fd_lock);
	return ret;
}

struct al_conn *al_conn_claim(int shadow_fd)
{
	struct eta_ctl_hdr req = {.type = ETA_CTL_CLAIM};
	struct al_session *s = &al_root.session[al_root.own_slot];
	struct eta_ctl_claim_reply rep;
	struct al_conn *conn = NULL;
	int fds[2], ret;

	errno = ENOENT;
	if (!al_thread_get() ||
			al_ctl_call(&req, sizeof(req), shadow_fd, &rep, sizeof(rep), fds, 2))
		return NULL;
	al_lock_take(&s->map_lock);
	ret = al_seg_install(s, &rep.al, fds[0]);
	if (ret)
		sys_close(fds[1]);
	else
		ret = al_seg_install(s, &rep.en, fds[1]);
	al_lock_drop(&s->map_lock);
	if (ret || ETA_DTI_OWNER(rep.dti) || rep.dti >= s->conns_n)
		return NULL;
	conn = &s->conns[rep.dti];
	if (al_flag(conn, AL_CONN_HELD) ||
			al_seg_record(s, rep.dti, &conn->al, &conn->en, &conn->core))
		return NULL;
	conn->dti_idx = rep.dti;
	conn->slot = al_root.own_slot;
	conn->gen = rep.gen;
	conn->serial++;
	conn->flags = AL_CONN_HELD | AL_CONN_RUNG | AL_CONN_SHARED;
	conn->snd.chunk = conn->rcv.chunk = ETA_CHUNK_NONE;
	conn->prev = conn->next = AL_IDX_NONE;
	conn->snd_tail = eta_load_acquire_u32(&conn->al->snd_tail);
	conn->snd_una = eta_load_acquire_u32(&conn->en->snd_una);
	conn->rcv_head = conn->rcv_tail = eta_load_acquire_u32(&conn->al->rcv_head);
	al_conn_refresh(conn);
	return conn;
}
