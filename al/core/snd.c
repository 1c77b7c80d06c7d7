/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The send stream: AL writes chunks, the engine reads them until the peer has acknowledged.
 *
 * Bytes are copied behind the last ones in the current chunk; a full chunk gets a successor, linked before any counter passes it. Chunks are
 * freed from the front when a new one is needed, so the one just acknowledged is the next one used. Order of chunk by what is under way: a small
 * request costs one page, a bulk sender works in 64 KiB.
 *
 * A conn that other processes hold as well is written under the lock in its record: position and chunk are found anew from the record each
 * time, and everything found there is checked, since a sibling may have written it.
 */
#include <string.h>
#include <sys/param.h>

#include "al/core/al.h"

#define SKEWS 32u              /* of a cache line each: less than half of the smallest chunk */
#define SNDBUF_BYTES_MIN 4096u /* as the engine has it */
#define MEDIUM_ABOVE 4096u     /* bytes to write now ... */
#define LARGE_ABOVE 16384u
#define MEDIUM_QUEUED 8192u /* ... or not acknowledged yet */
#define LARGE_QUEUED 32768u

static bool meta_is_ours(const struct al_conn *conn, const struct eta_chunk_meta *meta)
{
	return eta_load_acquire_u32(&meta->dti) == conn->dti_idx &&
	       __atomic_load_n(&meta->gen, __ATOMIC_RELAXED) == conn->gen;
}

void al_snd_free(struct al_conn *conn, bool drop_idle)
{
	struct al_session *s = al_session_of(conn);
	uint32_t head = eta_load_relaxed_u32(&conn->al->chunk), una = al_get(&conn->snd_una);

	for (uint32_t steps = 0; head != ETA_CHUNK_NONE && steps < ETA_STREAM_CHUNKS_MAX; steps++) {
		struct eta_chunk_meta *meta = al_chunk_meta(s, head, ETA_SEG_AL);
		uint32_t order, end, next;
		bool is_last;

		if (!meta || !meta_is_ours(conn, meta))
			break; /* a sibling's scribble: leave it to the end of the DTI */
		order = __atomic_load_n(&meta->order, __ATOMIC_RELAXED);
		if (order > ETA_CHUNK_ORDER_LARGE)
			break;
		end = eta_load_relaxed_u32(&meta->off) + ETA_CHUNK_BYTES(order);
		next = eta_load_relaxed_u32(&meta->next);
		is_last = next == ETA_CHUNK_NONE;
		if (eta_counter_after(end, una) &&
				!(drop_idle && is_last && una == al_get(&conn->snd_tail)))
			break;
		if (head == conn->snd.chunk) {
			conn->snd.bytes = NULL;
			conn->snd.len_bytes = 0;
		}
		eta_store_release_u32(&conn->al->chunk, next);
		eta_store_release_u32(&meta->dti, ETA_DTI_NONE);
		al_chunk_give(s, head, order);
		head = next;
	}
}

void al_snd_release_all(struct al_conn *conn)
{
	struct al_session *s = al_session_of(conn);
	uint32_t head = eta_load_relaxed_u32(&conn->al->chunk);

	eta_store_release_u32(&conn->al->chunk, ETA_CHUNK_NONE);
	for (uint32_t steps = 0; head != ETA_CHUNK_NONE && steps < ETA_STREAM_CHUNKS_MAX; steps++) {
		struct eta_chunk_meta *meta = al_chunk_meta(s, head, ETA_SEG_AL);
		uint32_t order, chunk = head;

		if (!meta || !meta_is_ours(conn, meta))
			break;
		order = meta->order;
		head = eta_load_relaxed_u32(&meta->next);
		eta_store_release_u32(&meta->dti, ETA_DTI_NONE);
		if (order <= ETA_CHUNK_ORDER_LARGE)
			al_chunk_give(s, chunk, order);
	}
}

static uint32_t order_for(const struct al_conn *conn, size_t left)
{
	uint32_t queued = conn->snd_tail - al_get(&conn->snd_una);

	if (left > LARGE_ABOVE || queued >= LARGE_QUEUED)
		return ETA_CHUNK_ORDER_LARGE;
	return left > MEDIUM_ABOVE || queued >= MEDIUM_QUEUED ? ETA_CHUNK_ORDER_MEDIUM
							      : ETA_CHUNK_ORDER_SMALL;
}

/*
 * The first byte of a chain lies some lines into its chunk, different for each DTI: pages that all begin to be used at their start compete for
 * the same few sets of the caches.
 */
static uint32_t chain_skew(const struct al_conn *conn, uint32_t order)
{
	return order == ETA_CHUNK_ORDER_SMALL ? (conn->dti_idx + SKEWS / 2) % SKEWS * ETA_CACHELINE
					      : 0;
}

/* Make a chunk for the bytes from snd_tail on. Return 0; -EAGAIN no memory now. */
static ETA_COLD int chunk_append(struct al_conn *conn, size_t left)
{
	struct al_session *s = al_session_of(conn);
	uint32_t order = order_for(conn, left), chunk;
	struct al_cursor *cur = &conn->snd;
	struct eta_chunk_meta *meta;
	uint8_t *bytes;

	al_snd_free(conn, false);
	chunk = al_chunk_take(s, &order);
	if (chunk == ETA_CHUNK_NONE)
		return -EAGAIN;
	bytes = al_chunk_at(s, chunk, order, ETA_SEG_AL, &meta);
	if (!bytes)
		return -EAGAIN;
	meta->next = ETA_CHUNK_NONE;
	meta->off = cur->bytes ? conn->snd_tail : conn->snd_tail - chain_skew(conn, order);
	meta->gen = conn->gen;
	meta->order = (uint8_t)order;
	eta_store_release_u32(&meta->dti, conn->dti_idx);
	if (cur->bytes)
		eta_store_release_u32(&cur->meta->next, chunk);
	else
		eta_store_release_u32(&conn->al->chunk, chunk);
	*cur = (struct al_cursor){.bytes = bytes,
			.meta = meta,
			.chunk = chunk,
			.off = meta->off,
			.order = order,
			.len_bytes = ETA_CHUNK_BYTES(order)};
	al_sweep_watch(conn);
	return 0;
}

/* Copy up to @room bytes behind snd_tail. Return: bytes copied. */
static uint32_t copy_in(struct al_conn *conn, const struct iovec *iov, int iov_n, uint32_t room)
{
	struct al_cursor *cur = &conn->snd;
	uint32_t done = 0;

	for (int i = 0; i < iov_n && done < room; i++) {
		const uint8_t *from = iov[i].iov_base;
		size_t left = iov[i].iov_len;

		while (left && done < room) {
			uint32_t at = conn->snd_tail - cur->off, space, n;

			space = cur->bytes ? cur->len_bytes - at : 0;
			if (ETA_UNLIKELY(!space)) {
				if (chunk_append(conn, left))
					return done;
				continue;
			}
			n = left < space ? (uint32_t)left : space;
			n = n < room - done ? n : room - done;
			memcpy(cur->bytes + at, from, n);
			conn->snd_tail += n;
			from += n;
			left -= n;
			done += n;
		}
	}
	return done;
}

/* A shared conn: take position and last chunk from the record. Return 0 or -EPROTO. */
static int rederive(struct al_conn *conn)
{
	struct al_session *s = al_session_of(conn);
	uint32_t tail = eta_load_acquire_u32(&conn->al->snd_tail);
	uint32_t chunk = eta_load_acquire_u32(&conn->al->chunk);

	conn->snd_tail = tail;
	al_conn_refresh(conn);
	if (tail - al_get(&conn->snd_una) > ETA_STREAM_BYTES_MAX)
		return -EPROTO;
	conn->snd.bytes = NULL;
	conn->snd.len_bytes = 0;
	for (uint32_t steps = 0; chunk != ETA_CHUNK_NONE && steps < ETA_STREAM_CHUNKS_MAX;
			steps++) {
		struct eta_chunk_meta *meta = al_chunk_meta(s, chunk, ETA_SEG_AL);
		uint32_t order, off, next;
		uint8_t *bytes;

		if (!meta || !meta_is_ours(conn, meta))
			return -EPROTO;
		order = __atomic_load_n(&meta->order, __ATOMIC_RELAXED);
		off = eta_load_relaxed_u32(&meta->off);
		next = eta_load_acquire_u32(&meta->next);
		if (next != ETA_CHUNK_NONE) {
			chunk = next;
			continue;
		}
		bytes = al_chunk_at(s, chunk, order, ETA_SEG_AL, &meta);
		if (!bytes || tail - off > ETA_CHUNK_BYTES(order))
			return -EPROTO;
		conn->snd = (struct al_cursor){.bytes = bytes,
				.meta = meta,
				.chunk = chunk,
				.off = off,
				.order = order,
				.len_bytes = ETA_CHUNK_BYTES(order)};
		return 0;
	}
	return chunk == ETA_CHUNK_NONE ? 0 : -EPROTO;
}

/* Why nothing can be sent on a conn that is not OPEN, or was shut. */
static ETA_COLD ssize_t refuse(struct al_conn *conn)
{
	int err;

	if (al_is_gone())
		return -ECONNRESET;
	if (al_get8(&conn->state) < ETA_DTI_OPEN)
		al_conn_refresh(conn);
	if (al_flag(conn, AL_CONN_SHUT_WR | AL_CONN_BROKEN))
		return -EPIPE;
	if (al_get8(&conn->state) == ETA_DTI_CLOSED) {
		err = al_conn_take_error(conn);
		return err ? -err : -EPIPE;
	}
	return al_get8(&conn->state) == ETA_DTI_LISTENING ? -ENOTCONN : -EAGAIN;
}

static void want_write(struct al_conn *conn)
{
	if (al_flag(conn, AL_CONN_WANT_WRITE))
		return;
	al_flag_set(conn, AL_CONN_WANT_WRITE);
	al_ring_op(conn, ETA_DB_DATA | ETA_DB_WANT_WRITE, 0, 0);
}

uint32_t al_conn_notsent_bytes(struct al_conn *conn)
{
	/* snd_nxt counts a FIN that was sent */
	int32_t notsent = (int32_t)(eta_load_relaxed_u32(&conn->al->snd_tail) -
				    eta_load_relaxed_u32(&conn->en->snd_nxt));

	return notsent > 0 ? (uint32_t)notsent : 0;
}

/*
 * TCP_NOTSENT_LOWAT: what may be queued before that much waits to be sent. SO_SNDBUF counts from the call on, also for what is written before
 * the engine has heard of it, which has the same least size and rounds down.
 */
static ETA_COLD uint32_t room_chosen(struct al_conn *conn, uint32_t room)
{
	uint32_t lowat = eta_load_relaxed_u32(&conn->al->notsent_lowat);
	uint32_t sndbuf = eta_load_relaxed_u32(&conn->al->sndbuf_bytes);
	uint32_t used = conn->snd_tail - al_get(&conn->snd_una);
	uint32_t notsent;

	if (lowat == 0 && al_get(&conn->snd_limit) <= MAX(sndbuf, SNDBUF_BYTES_MIN)) {
		al_flag_clear(conn, AL_CONN_ROOM_CHOSEN); /* it has heard */
		return room;
	}
	if (sndbuf) {
		sndbuf = MAX(sndbuf, SNDBUF_BYTES_MIN);
		room = used < sndbuf ? MIN(room, sndbuf - used) : 0;
	}
	if (lowat == 0)
		return room;
	notsent = al_conn_notsent_bytes(conn);
	if (notsent >= lowat)
		return 0;
	return lowat - notsent < room ? lowat - notsent : room;
}

/* Bytes of room, not asking the record if what we know suffices for @want. */
static uint32_t room_for(struct al_conn *conn, size_t want)
{
	uint32_t limit = al_get(&conn->snd_limit), used = conn->snd_tail - al_get(&conn->snd_una);

	if (ETA_UNLIKELY(used + want > limit)) {
		al_conn_refresh(conn);
		limit = al_get(&conn->snd_limit);
		used = conn->snd_tail - al_get(&conn->snd_una);
	}
	if (used >= limit)
		return 0;
	if (ETA_UNLIKELY(al_flag(conn, AL_CONN_ROOM_CHOSEN)))
		return room_chosen(conn, limit - used);
	return limit - used;
}

/* snd_busy held. */
static ssize_t send_held(
		struct al_conn *conn, const struct iovec *iov, int iov_n, uint32_t op, bool urgent)
{
	size_t want = 0;
	uint32_t room, done;

	for (int i = 0; i < iov_n; i++)
		want += iov[i].iov_len;
	if (ETA_UNLIKELY(!want))
		return 0;
	room = room_for(conn, want);
	done = room ? copy_in(conn, iov, iov_n, room) : 0;
	if (ETA_UNLIKELY(!done)) {
		want_write(conn);
		return -EAGAIN;
	}
	if (ETA_UNLIKELY(done < want))
		op &= ~ETA_DB_EOR; /* the record ends with a later call */
	if (ETA_UNLIKELY(urgent)) {
		eta_store_relaxed_u32(&conn->al->snd_urg, conn->snd_tail);
		__atomic_or_fetch(&conn->al->wants, ETA_WANT_URG, __ATOMIC_RELEASE);
		op = ETA_DB_PARAM | (op & ETA_DB_EOR);
	}
	eta_store_release_u32(&conn->al->snd_tail, conn->snd_tail);
	if (ETA_UNLIKELY(al_ring_op(conn, op, 0, 0)))
		return -ECONNRESET;
	return (ssize_t)done;
}

static ETA_COLD ssize_t send_shared(
		struct al_conn *conn, const struct iovec *iov, int iov_n, uint32_t op, bool urgent)
{
	ssize_t ret = al_record_lock(conn, &conn->al->snd_lock);

	if (ret)
		return ret;
	if (rederive(conn)) {
		al_flag_set(conn, AL_CONN_BROKEN);
		ret = -EPIPE;
	} else if (eta_load_relaxed_u32(&conn->al->wants) & (ETA_WANT_SHUT_WR | ETA_WANT_ABORT)) {
		ret = -EPIPE;
	} else {
		ret = send_held(conn, iov, iov_n, op, urgent);
	}
	al_record_unlock(&conn->al->snd_lock);
	return ret;
}

static inline ssize_t send_any(
		struct al_conn *conn, const struct iovec *iov, int iov_n, uint32_t op, bool urgent)
{
	ssize_t ret;

	if (ETA_UNLIKELY(al_get8(&conn->state) != ETA_DTI_OPEN ||
			    al_flag(conn, AL_CONN_SHUT_WR | AL_CONN_BROKEN) || al_is_gone())) {
		ret = refuse(conn);
		if (ret != -EAGAIN || al_get8(&conn->state) != ETA_DTI_OPEN)
			return ret;
	}
	al_lock_take_mt(&conn->snd_busy);
	if (ETA_UNLIKELY(al_flag(conn, AL_CONN_SHARED)))
		ret = send_shared(conn, iov, iov_n, op, urgent);
	else
		ret = send_held(conn, iov, iov_n, op, urgent);
	al_lock_drop_mt(&conn->snd_busy);
	return ret;
}

/*
 * The short way: an open conn of ours alone, a few bytes, room for them in the window and in the current chunk. Return: bytes; 0 = the long way.
 */
static inline ssize_t send_short(struct al_conn *conn, const struct iovec *iov, uint32_t op)
{
	uint32_t tail = conn->snd_tail, at = tail - conn->snd.off;
	size_t len = iov->iov_len;

	if (ETA_UNLIKELY(al_get8(&conn->state) != ETA_DTI_OPEN ||
			    al_get(&conn->flags) & AL_CONN_SND_SLOW || al_is_gone()))
		return 0;
	if (ETA_UNLIKELY(len > ETA_STREAM_BYTES_MAX || len + at > conn->snd.len_bytes ||
			    tail - al_get(&conn->snd_una) + len > al_get(&conn->snd_limit)))
		return 0;
	memcpy(conn->snd.bytes + at, iov->iov_base, len);
	conn->snd_tail = tail + (uint32_t)len;
	eta_store_release_u32(&conn->al->snd_tail, conn->snd_tail);
	return ETA_LIKELY(al_ring_data(conn, op) == 0) ? (ssize_t)len : -ECONNRESET;
}

/* With other threads about, the sweep may be at the same conn. */
static ssize_t send_short_mt(struct al_conn *conn, const struct iovec *iov, uint32_t op)
{
	ssize_t ret;

	if (!al_lock_try(&conn->snd_busy))
		return 0;
	ret = send_short(conn, iov, op);
	al_lock_drop(&conn->snd_busy);
	return ret;
}

ssize_t al_conn_send(struct al_conn *conn, const struct iovec *iov, int iov_n, unsigned int how)
{
	uint32_t op = ETA_DB_DATA | how;
	ssize_t ret = 0;

	if (ETA_LIKELY(iov_n == 1 && iov->iov_len))
		ret = ETA_LIKELY(al_is_single_threaded()) ? send_short(conn, iov, op)
							  : send_short_mt(conn, iov, op);
	return ETA_LIKELY(ret != 0) ? ret : send_any(conn, iov, iov_n, op, false);
}

uint32_t al_conn_syn_bytes(struct al_conn *conn)
{
	return al_get8(&conn->state) == ETA_DTI_CONNECTING && conn->snd_tail == 0
			       ? __atomic_load_n(&conn->en->syn_bytes, __ATOMIC_RELAXED)
			       : 0;
}

ssize_t al_conn_send_syn(struct al_conn *conn, const struct iovec *iov, int iov_n)
{
	ssize_t ret;

	if (al_is_gone())
		return -ECONNRESET;
	al_lock_take_mt(&conn->snd_busy);
	if (al_flag(conn, AL_CONN_SHARED))
		ret = send_shared(conn, iov, iov_n, ETA_DB_DATA, false);
	else
		ret = send_held(conn, iov, iov_n, ETA_DB_DATA, false);
	al_lock_drop_mt(&conn->snd_busy);
	return ret;
}

void al_conn_syn_go(struct al_conn *conn)
{
	conn->al->opt &= (uint16_t)~ETA_OPT_FASTOPEN;
	al_conn_param_commit(conn);
}

ssize_t al_conn_send_urgent(
		struct al_conn *conn, const struct iovec *iov, int iov_n, unsigned int how)
{
	return send_any(conn, iov, iov_n, ETA_DB_DATA | how, true);
}

/* As tcp_notsent_is_low() of the engine, which is asked to tell when it changes. */
static ETA_COLD bool is_low(struct al_conn *conn)
{
	uint32_t lowat = eta_load_relaxed_u32(&conn->al->notsent_lowat);

	return lowat == 0 || (uint64_t)al_conn_notsent_bytes(conn) * 2 < lowat;
}

bool al_snd_has_room(struct al_conn *conn)
{
	uint32_t limit = al_get(&conn->snd_limit);
	uint32_t used = al_get(&conn->snd_tail) - al_get(&conn->snd_una);

	if (ETA_UNLIKELY(al_flag(conn, AL_CONN_SHARED)))
		used = eta_load_relaxed_u32(&conn->al->snd_tail) - al_get(&conn->snd_una);
	if (ETA_UNLIKELY(al_flag(conn, AL_CONN_ROOM_CHOSEN)) && !is_low(conn))
		return false;
	/* As Linux's sk_stream_is_writeable(), and as the engine's has_room(). */
	return limit && (!used || (used < limit && limit - used >= used / 2));
}

void al_snd_want_room(struct al_conn *conn)
{
	want_write(conn);
}

uint32_t al_conn_snd_bytes(struct al_conn *conn)
{
	al_conn_refresh(conn);
	return eta_load_relaxed_u32(&conn->al->snd_tail) - al_get(&conn->snd_una);
}

int al_conn_shut_wr(struct al_conn *conn)
{
	int ret = 0;

	if (al_flag(conn, AL_CONN_SHUT_WR))
		return 0;
	if (!al_flag(conn, AL_CONN_RUNG))
		return -ENOTCONN;
	al_lock_take_mt(&conn->snd_busy);
	if (al_flag(conn, AL_CONN_SHARED)) {
		ret = al_record_lock(conn, &conn->al->snd_lock);
		if (!ret)
			conn->snd_tail = eta_load_acquire_u32(&conn->al->snd_tail);
	}
	if (!ret) {
		al_flag_set(conn, AL_CONN_SHUT_WR);
		eta_store_relaxed_u32(&conn->al->shut_at, conn->snd_tail);
		__atomic_or_fetch(&conn->al->wants, ETA_WANT_SHUT_WR, __ATOMIC_RELEASE);
		ret = al_ring_op(conn, ETA_DB_SHUT_WR, conn->snd_tail, 0);
		if (al_flag(conn, AL_CONN_SHARED))
			al_record_unlock(&conn->al->snd_lock);
	}
	al_lock_drop_mt(&conn->snd_busy);
	return ret;
}
