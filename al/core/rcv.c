/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The receive stream: the engine writes chunks, AL reads them.
 *
 * A private cursor remembers the chunk being read. Before bytes are touched the chunk's meta is compared with it: bytes that were announced and
 * not yet told consumed cannot move, so equality means the cursor is right. At the end of a chunk the successor is taken and the old meta
 * compared once more, because a chunk fully consumed may be reused at any moment. Without a cursor the walk begins at the record's oldest chunk and
 * starts over when that moved underneath. All walks are bounded; what does not add up in the end breaks this conn and nothing else.
 */
#include <string.h>

#include "al/core/al.h"

#define SEEK_TRIES 64

static bool meta_matches(const struct al_conn *conn, const struct al_cursor *cur)
{
	const struct eta_chunk_meta *m = cur->meta;

	return eta_load_acquire_u32(&m->dti) == conn->dti_idx &&
	       __atomic_load_n(&m->gen, __ATOMIC_RELAXED) == conn->gen &&
	       eta_load_relaxed_u32(&m->off) == cur->off &&
	       __atomic_load_n(&m->order, __ATOMIC_RELAXED) == cur->order;
}

/* Point @cur at chunk @chunk by what its meta says. Return 0; -EPROTO no such chunk, or another DTI's. */
static int cursor_set(struct al_conn *conn, struct al_cursor *cur, uint32_t chunk)
{
	struct al_session *s = al_session_of(conn);
	struct eta_chunk_meta *meta = al_chunk_meta(s, chunk, ETA_SEG_EN);
	struct al_cursor c = {.chunk = chunk, .meta = meta};

	if (!meta)
		return -EPROTO;
	c.order = __atomic_load_n(&meta->order, __ATOMIC_ACQUIRE);
	c.off = eta_load_relaxed_u32(&meta->off);
	c.bytes = al_chunk_at(s, chunk, c.order, ETA_SEG_EN, &c.meta);
	if (!c.bytes || !meta_matches(conn, &c))
		return -EPROTO;
	c.len_bytes = ETA_CHUNK_BYTES(c.order);
	*cur = c;
	return 0;
}

/* Where the chunk's range ends: its size, or earlier where the successor begins. */
static uint32_t chunk_end(struct al_conn *conn, const struct al_cursor *cur, uint32_t next)
{
	uint32_t end = cur->off + ETA_CHUNK_BYTES(cur->order), off;
	const struct eta_chunk_meta *meta;

	if (next == ETA_CHUNK_NONE)
		return end;
	meta = al_chunk_meta(al_session_of(conn), next, ETA_SEG_EN);
	if (!meta || eta_load_acquire_u32(&meta->dti) != conn->dti_idx)
		return end;
	off = eta_load_relaxed_u32(&meta->off);
	return eta_counter_after(end, off) && !eta_counter_after(cur->off, off) ? off : end;
}

/* Walk from the record's oldest chunk to the one that has stream offset @pos. One try. Return 0, -EAGAIN (it moved), -EPROTO. */
static int seek_once(struct al_conn *conn, uint32_t pos)
{
	uint32_t first = eta_load_acquire_u32(&conn->en->chunk), chunk = first;
	struct al_cursor cur;

	for (uint32_t steps = 0; steps < ETA_STREAM_CHUNKS_MAX; steps++) {
		uint32_t next;
		int ret = chunk == ETA_CHUNK_NONE ? -EPROTO : cursor_set(conn, &cur, chunk);

		if (!ret) {
			next = eta_load_acquire_u32(&cur.meta->next);
			if (!eta_counter_after(cur.off, pos) &&
					eta_counter_after(chunk_end(conn, &cur, next), pos)) {
				if (!meta_matches(conn, &cur))
					return -EAGAIN;
				conn->rcv = cur;
				return 0;
			}
			chunk = next;
		}
		eta_fence_load_load();
		if (eta_load_relaxed_u32(&conn->en->chunk) != first)
			return -EAGAIN;
		if (ret)
			return ret;
	}
	return -EPROTO;
}

/* Make the cursor cover @pos, an announced byte. @end: where its range ends. Return 0 or -EPROTO. */
static int cursor_at(struct al_conn *conn, uint32_t pos, uint32_t *end)
{
	struct al_cursor *cur = &conn->rcv;
	uint32_t next;
	int ret = -EAGAIN;

	for (uint32_t steps = 0; cur->bytes && steps < ETA_STREAM_CHUNKS_MAX; steps++) {
		if (!meta_matches(conn, cur))
			break;
		next = eta_load_acquire_u32(&cur->meta->next);
		*end = chunk_end(conn, cur, next);
		if (ETA_LIKELY(!eta_counter_after(cur->off, pos) && eta_counter_after(*end, pos)))
			return 0;
		eta_fence_load_load();
		if (next == ETA_CHUNK_NONE || !meta_matches(conn, cur) ||
				cursor_set(conn, cur, next))
			break;
	}
	cur->bytes = NULL;
	cur->len_bytes = 0;
	for (int i = 0; i < SEEK_TRIES && ret == -EAGAIN; i++)
		ret = seek_once(conn, pos);
	if (ret)
		return -EPROTO;
	*end = chunk_end(conn, cur, eta_load_acquire_u32(&cur->meta->next));
	return 0;
}

static ETA_COLD ssize_t broken(struct al_conn *conn)
{
	al_flag_set(conn, AL_CONN_BROKEN);
	return -ECONNRESET;
}

/* Copy out @n announced bytes from stream offset @pos. Return 0 or -EPROTO. */
static int copy_out(struct al_conn *conn, uint32_t pos, uint8_t *to, uint32_t n)
{
	while (n) {
		uint32_t end, part;

		if (ETA_UNLIKELY(cursor_at(conn, pos, &end)))
			return -EPROTO;
		part = end - pos < n ? end - pos : n;
		memcpy(to, conn->rcv.bytes + (pos - conn->rcv.off), part);
		to += part;
		pos += part;
		n -= part;
	}
	return 0;
}

/* rcv_head moves to @head: published, and told where it is owed. */
static void consume_to(struct al_conn *conn, uint32_t head)
{
	uint32_t ring_at;

	al_put(&conn->rcv_head, head);
	eta_store_release_u32(&conn->al->rcv_head, head);
	if (ETA_UNLIKELY(!al_is_single_threaded()))
		eta_fence_store_load(); /* another thread may be storing a lowered ring_at */
	ring_at = al_get(&conn->ring_at);
	if (ETA_UNLIKELY(!eta_counter_after(ring_at, head) &&
			    eta_counter_after(ring_at, al_get(&conn->told_head))))
		al_ring_op(conn, ETA_DB_DATA, 0, 0);
}

/* Nothing to read: why. */
static ETA_COLD ssize_t nothing(struct al_conn *conn)
{
	uint8_t level = al_get8(&conn->level);
	int err;

	if (al_flag(conn, AL_CONN_SHUT_RD))
		return 0;
	if (level & ETA_EV_CLOSED || al_flag(conn, AL_CONN_BROKEN) || al_is_gone()) {
		err = al_conn_take_error(conn);
		return -err;
	}
	if (level & ETA_EV_RD_CLOSED)
		return 0;
	return -EAGAIN;
}

static bool urgent_inline(const struct al_conn *conn)
{
	return (__atomic_load_n(&conn->al->opt, __ATOMIC_RELAXED) & ETA_OPT_OOBINLINE) != 0;
}

/* Bytes readable in one go: up to the end or the urgent byte. *skip: 1 = an urgent byte stands first and is not one of them. */
static uint32_t readable(const struct al_conn *conn, uint32_t *skip)
{
	uint32_t head = al_get(&conn->rcv_head);
	uint32_t avail = __atomic_load_n(&conn->rcv_tail, __ATOMIC_ACQUIRE) - head;
	uint32_t mark;

	*skip = 0;
	if (ETA_LIKELY(!(al_get8(&conn->level) & ETA_EV_URGENT)) || urgent_inline(conn))
		return avail;
	mark = al_get(&conn->urg) - 1;
	if (eta_counter_after(head, mark) || !eta_counter_after(head + avail, mark))
		return avail;
	if (mark != head)
		return mark - head;
	*skip = 1;
	return avail - 1;
}

bool al_rcv_is_ready(const struct al_conn *conn)
{
	uint32_t skip;

	return readable(conn, &skip) != 0;
}

static ssize_t recv_held(struct al_conn *conn, const struct iovec *iov, int iov_n, bool peek)
{
	uint32_t skip, avail = readable(conn, &skip), pos;
	ssize_t done = 0;

	if (ETA_UNLIKELY(!avail)) {
		if (al_conn_refresh(conn))
			avail = readable(conn, &skip);
		if (skip && !avail && !peek)
			consume_to(conn, al_get(&conn->rcv_head) + 1);
		if (!avail)
			return nothing(conn);
	}
	pos = al_get(&conn->rcv_head) + skip;
	for (int i = 0; i < iov_n && avail; i++) {
		uint32_t n = iov[i].iov_len < avail ? (uint32_t)iov[i].iov_len : avail;

		if (ETA_UNLIKELY(copy_out(conn, pos, iov[i].iov_base, n)))
			return broken(conn);
		pos += n;
		avail -= n;
		done += n;
	}
	if (!peek && done)
		consume_to(conn, pos);
	return done;
}

static ETA_COLD ssize_t recv_shared(
		struct al_conn *conn, const struct iovec *iov, int iov_n, bool peek)
{
	ssize_t ret = al_record_lock(conn, &conn->al->rcv_lock);

	if (ret)
		return ret;
	al_put(&conn->rcv_head, eta_load_acquire_u32(&conn->al->rcv_head));
	al_conn_refresh(conn);
	if (al_get(&conn->rcv_tail) - al_get(&conn->rcv_head) > ETA_STREAM_BYTES_MAX)
		ret = broken(conn);
	else
		ret = recv_held(conn, iov, iov_n, peek);
	al_record_unlock(&conn->al->rcv_lock);
	return ret;
}

/*
 * The short way: everything there is fits the buffer and lies in the cursor's chunk, which has no successor yet. Return: bytes; 0 = the long way.
 */
static inline ssize_t recv_short(struct al_conn *conn, const struct iovec *iov)
{
	uint32_t head = al_get(&conn->rcv_head), at = head - conn->rcv.off;
	uint32_t n = __atomic_load_n(&conn->rcv_tail, __ATOMIC_ACQUIRE) - head;

	if (ETA_UNLIKELY(!n || n > iov->iov_len || al_get(&conn->flags) & AL_CONN_RCV_SLOW ||
			    al_get8(&conn->level) & ETA_EV_URGENT))
		return 0;
	if (ETA_UNLIKELY((uint64_t)at + n > conn->rcv.len_bytes ||
			    !meta_matches(conn, &conn->rcv) ||
			    eta_load_relaxed_u32(&conn->rcv.meta->next) != ETA_CHUNK_NONE))
		return 0;
	memcpy(iov->iov_base, conn->rcv.bytes + at, n);
	consume_to(conn, head + n);
	return n;
}

ssize_t al_conn_recv(struct al_conn *conn, const struct iovec *iov, int iov_n, bool peek)
{
	ssize_t ret = ETA_LIKELY(iov_n == 1 && !peek) ? recv_short(conn, iov) : 0;

	if (ETA_LIKELY(ret != 0))
		return ret;
	if (ETA_UNLIKELY(al_get8(&conn->state) < ETA_DTI_OPEN || al_flag(conn, AL_CONN_BROKEN))) {
		al_conn_refresh(conn);
		if (al_get8(&conn->state) < ETA_DTI_OPEN && !al_is_gone())
			return -EAGAIN;
	}
	if (ETA_UNLIKELY(al_flag(conn, AL_CONN_SHARED)))
		return recv_shared(conn, iov, iov_n, peek);
	return recv_held(conn, iov, iov_n, peek);
}

int al_conn_loan(struct al_conn *conn, struct iovec *iov, int iov_n)
{
	uint32_t skip, avail = readable(conn, &skip), pos, end;
	int n = 0;

	if (!avail && al_conn_refresh(conn))
		avail = readable(conn, &skip);
	if (skip)
		consume_to(conn, al_get(&conn->rcv_head) + 1);
	if (!avail) {
		ssize_t why = nothing(conn);

		return why == -EAGAIN ? 0 : why ? (int)why : -ENODATA;
	}
	pos = al_get(&conn->rcv_head);
	/* The cursor may move on while ranges are out: going back to it costs a walk, and bytes not consumed do not move. */
	while (n < iov_n && avail) {
		uint32_t part;

		if (cursor_at(conn, pos, &end))
			return (int)broken(conn);
		part = end - pos < avail ? end - pos : avail;
		iov[n++] = (struct iovec){.iov_base = conn->rcv.bytes + (pos - conn->rcv.off),
				.iov_len = part};
		pos += part;
		avail -= part;
	}
	return n;
}

void al_conn_consume(struct al_conn *conn, uint32_t bytes)
{
	uint32_t head = al_get(&conn->rcv_head), avail = al_get(&conn->rcv_tail) - head;

	if (bytes)
		consume_to(conn, head + (bytes < avail ? bytes : avail));
}

uint32_t al_conn_rcv_bytes(struct al_conn *conn)
{
	uint32_t skip;

	al_conn_refresh(conn);
	return readable(conn, &skip);
}

ssize_t al_conn_recv_urgent(struct al_conn *conn, uint8_t *byte, bool peek)
{
	uint32_t mark, tail;

	al_conn_refresh(conn);
	if (!(al_get8(&conn->level) & ETA_EV_URGENT) || al_flag(conn, AL_CONN_URG_READ))
		return -EINVAL;
	mark = al_get(&conn->urg) - 1;
	tail = al_get(&conn->rcv_tail);
	if (!eta_counter_after(tail, mark))
		return -EAGAIN;
	if (eta_counter_after(al_get(&conn->rcv_head), mark))
		return -EINVAL; /* stepped over */
	if (copy_out(conn, mark, byte, 1))
		return broken(conn);
	if (!peek)
		al_flag_set(conn, AL_CONN_URG_READ);
	return 1;
}

bool al_conn_at_mark(struct al_conn *conn)
{
	al_conn_refresh(conn);
	return al_get8(&conn->level) & ETA_EV_URGENT &&
	       al_get(&conn->rcv_head) == al_get(&conn->urg) - 1;
}
