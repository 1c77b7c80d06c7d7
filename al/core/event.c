/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Taking events, and reading the record instead of them.
 *
 * An event is news about a conn for every thread: whoever takes it moves the conn's counters forward and tells the layer above. Counters only
 * move forward and only within the window that the stream's rules allow; anything else is stale or hostile, and the record decides. The
 * record's EN half is read like a sequence lock: its {gen, state, status} word before and after.
 *
 * From a locked ring entries are popped in small batches before any is acted upon, since acting may ring doorbells on the same ring.
 */
#include "al/core/al.h"

#define EVENT_BATCH 16u
#define RECORD_TRIES 8

union event_words {
	struct eta_event ev;
	uint64_t w[4];
};

/* What an event or a record says. */
struct news {
	uint32_t rcv_tail, snd_una, ring_at, snd_limit;
	uint8_t state, status, level;
};

static void levels_raise(struct al_conn *conn, uint8_t level)
{
	level &= ETA_EV_RD_CLOSED | ETA_EV_CLOSED | ETA_EV_URGENT;
	if (level & ~al_get8(&conn->level))
		__atomic_or_fetch(&conn->level, level, __ATOMIC_RELEASE);
}

static void state_advance(struct al_conn *conn, uint8_t state, uint8_t status)
{
	if (state <= al_get8(&conn->state) || state > ETA_DTI_MOVED)
		return;
	if (state == ETA_DTI_CLOSED)
		__atomic_store_n(&conn->status, status, __ATOMIC_RELAXED);
	__atomic_store_n(&conn->state, state, __ATOMIC_RELEASE);
	if (state == ETA_DTI_CLOSED)
		levels_raise(conn, ETA_EV_CLOSED);
}

/* AL owes a doorbell once rcv_head reaches ring_at, unless one told that already. */
static void pay_doorbell(struct al_conn *conn)
{
	uint32_t ring_at = al_get(&conn->ring_at);

	if (!eta_counter_after(ring_at, al_get(&conn->rcv_head)) &&
			eta_counter_after(ring_at, al_get(&conn->told_head)) &&
			al_flag(conn, AL_CONN_HELD))
		al_ring_op(conn, ETA_DB_DATA, 0, 0);
}

/* Believe of @n what can be true. Return: false if some of it can not. */
static bool believe(struct al_conn *conn, const struct news *n)
{
	uint32_t rcv_head = al_get(&conn->rcv_head), rcv_tail = al_get(&conn->rcv_tail);
	uint32_t snd_una = al_get(&conn->snd_una), snd_tail = al_get(&conn->snd_tail);
	bool plausible = true;

	if (ETA_UNLIKELY(al_flag(conn, AL_CONN_SHARED))) {
		rcv_head = eta_load_acquire_u32(&conn->al->rcv_head);
		snd_tail = eta_load_relaxed_u32(&conn->al->snd_tail);
	}
	if (n->rcv_tail != rcv_tail) {
		if (n->rcv_tail - rcv_head > ETA_STREAM_BYTES_MAX)
			plausible = false;
		else if (eta_counter_after(n->rcv_tail, rcv_tail))
			__atomic_store_n(&conn->rcv_tail, n->rcv_tail, __ATOMIC_RELEASE);
	}
	if (n->snd_una != snd_una) {
		if (n->snd_una - snd_una <= snd_tail - snd_una)
			al_put(&conn->snd_una, n->snd_una);
		else
			plausible = false;
	}
	al_put(&conn->snd_limit,
			n->snd_limit <= ETA_STREAM_BYTES_MAX ? n->snd_limit : ETA_STREAM_BYTES_MAX);
	levels_raise(conn, n->level);
	state_advance(conn, n->state, n->status);
	if (n->ring_at != al_get(&conn->ring_at)) {
		bool lowered = eta_counter_after(al_get(&conn->ring_at), n->ring_at);

		al_put(&conn->ring_at, n->ring_at);
		if (lowered && !al_is_single_threaded())
			eta_fence_store_load();
		pay_doorbell(conn);
	}
	return plausible;
}

bool al_conn_refresh(struct al_conn *conn)
{
	const struct eta_dti_en *en = conn->en;
	const uint32_t rcv_tail = al_get(&conn->rcv_tail), snd_una = al_get(&conn->snd_una);
	const uint32_t limit = al_get(&conn->snd_limit);
	const uint8_t state = al_get8(&conn->state), level = al_get8(&conn->level);
	struct news n;

	for (int i = 0; i < RECORD_TRIES; i++) {
		uint32_t word = eta_load_acquire_u32(ETA_DTI_WORD(en));
		uint32_t flags;

		if ((uint16_t)word != conn->gen)
			return false; /* the engine has not taken the open yet */
		n.rcv_tail = eta_load_acquire_u32(&en->rcv_tail);
		n.snd_una = eta_load_relaxed_u32(&en->snd_una);
		n.ring_at = eta_load_relaxed_u32(&en->ring_at);
		n.snd_limit = eta_load_relaxed_u32(&en->snd_limit);
		flags = eta_load_acquire_u32(&en->flags);
		if (flags & ETA_EV_RD_CLOSED) /* the FIN stands at a tail no older than the flag */
			n.rcv_tail = eta_load_acquire_u32(&en->rcv_tail);
		if (flags & ETA_EV_URGENT)
			al_put(&conn->urg, eta_load_relaxed_u32(&en->urg));
		eta_fence_load_load();
		if (eta_load_relaxed_u32(ETA_DTI_WORD(en)) != word)
			continue;
		n.state = (uint8_t)(word >> 16);
		n.status = (uint8_t)(word >> 24);
		n.level = (uint8_t)flags;
		believe(conn, &n);
		break;
	}
	return al_get(&conn->rcv_tail) != rcv_tail || al_get(&conn->snd_una) != snd_una ||
	       al_get(&conn->snd_limit) != limit || al_get8(&conn->state) != state ||
	       al_get8(&conn->level) != level;
}

/* The conn of another session that we inherited. */
static ETA_COLD struct al_conn *conn_inherited(uint32_t dti)
{
	uint32_t owner = ETA_DTI_OWNER(dti), idx = ETA_DTI_INDEX(dti);
	struct al_session *s;

	if (!owner || owner > ETA_INHERIT_MAX || al_root.slot_of_owner[owner] >= AL_SLOTS_MAX)
		return NULL;
	s = &al_root.session[al_root.slot_of_owner[owner]];
	return idx < s->conns_n ? &s->conns[idx] : NULL;
}

static inline struct al_conn *conn_of(uint32_t dti, uint16_t gen)
{
	struct al_conn *conn;

	if (ETA_LIKELY(dti < al_root.own_conns_n)) {
		conn = &al_root.own_conns[dti];
	} else {
		conn = conn_inherited(dti);
		if (!conn)
			return NULL;
	}
	return ETA_LIKELY(conn->al != NULL && conn->gen == gen) ? conn : NULL;
}

static ETA_COLD void reap(struct al_conn *conn)
{
	al_lock_take(&al_root.dti_lock);
	al_conn_reap(conn);
	al_lock_drop(&al_root.dti_lock);
}

/* The engine's CPU has written the bytes at @pos: have them come while other events are taken. Only a hint; the address may be any. */
static inline void hint_bytes(const struct al_conn *conn, uint32_t pos)
{
	uintptr_t at = (uintptr_t)conn->rcv.bytes + (pos - conn->rcv.off);

	__builtin_prefetch((const void *)at);
	__builtin_prefetch((const void *)(at + ETA_CACHELINE));
}

/*
 * The usual event: bytes came on an open conn of ours alone, maybe some of ours were acknowledged, and nothing else is new. Return: was it that?
 */
static inline bool believe_short(struct al_conn *conn, const struct eta_event *ev)
{
	uint32_t rcv_head = al_get(&conn->rcv_head), rcv_tail = al_get(&conn->rcv_tail);
	uint32_t snd_una = al_get(&conn->snd_una);

	if (ETA_UNLIKELY(ev->flags != ETA_EV_READ || ev->state != al_get8(&conn->state) ||
			    al_get(&conn->flags) & (AL_CONN_SHARED | AL_CONN_MASTER)))
		return false;
	if (ETA_UNLIKELY(ev->rcv_tail - rcv_head > ETA_STREAM_BYTES_MAX ||
			    ev->rcv_tail - rcv_tail > ETA_STREAM_BYTES_MAX ||
			    ev->snd_una - snd_una > conn->snd_tail - snd_una ||
			    eta_counter_after(al_get(&conn->ring_at), ev->ring_at) ||
			    !eta_counter_after(ev->ring_at, rcv_head) ||
			    ev->snd_limit > ETA_STREAM_BYTES_MAX))
		return false;
	al_put(&conn->snd_una, ev->snd_una);
	al_put(&conn->snd_limit, ev->snd_limit);
	al_put(&conn->ring_at, ev->ring_at);
	__atomic_store_n(&conn->rcv_tail, ev->rcv_tail, __ATOMIC_RELEASE);
	hint_bytes(conn, rcv_head);
	return true;
}

static void dispatch_slow(struct al_ring *ring, struct al_conn *conn, const struct eta_event *ev);

static inline void dispatch(struct al_ring *ring, const struct eta_event *ev)
{
	struct al_conn *conn = conn_of(ev->dti, ev->gen);

	if (ETA_UNLIKELY(!conn))
		return;
	if (ETA_UNLIKELY(!believe_short(conn, ev)))
		dispatch_slow(ring, conn, ev);
	else if (ETA_LIKELY(al_root.on_ready && al_flag(conn, AL_CONN_HELD)))
		al_root.on_ready(conn, conn->user, ETA_EV_READ);
}

static ETA_COLD void dispatch_slow(
		struct al_ring *ring, struct al_conn *conn, const struct eta_event *ev)
{
	struct news n;

	if (ETA_UNLIKELY(!ev->flags && ev->status == ETA_STATUS_QUOTA)) {
		__atomic_and_fetch(&conn->rings, ~(1ull << ring->idx), __ATOMIC_RELAXED);
		return;
	}
	if (ETA_UNLIKELY(ev->flags & ETA_EV_FREE) && !al_flag(conn, AL_CONN_HELD)) {
		reap(conn);
		return;
	}
	if (ETA_UNLIKELY(al_flag(conn, AL_CONN_MASTER))) {
		state_advance(conn, ev->state, ev->status);
		if (ev->flags & ETA_EV_ACCEPT)
			al_accept_event(conn, ev->arg, ev->arg_gen);
	} else {
		n = (struct news){.rcv_tail = ev->rcv_tail,
				.snd_una = ev->snd_una,
				.ring_at = ev->ring_at,
				.snd_limit = ev->snd_limit,
				.state = ev->state,
				.status = ev->status,
				.level = ev->flags & (ETA_EV_RD_CLOSED | ETA_EV_CLOSED)};
		if (ev->flags & ETA_EV_WRITE)
			al_flag_clear(conn, AL_CONN_WANT_WRITE);
		if (ETA_UNLIKELY(!believe(conn, &n) || (ev->flags & ETA_EV_URGENT)))
			al_conn_refresh(conn);
	}
	if (al_root.on_ready && al_flag(conn, AL_CONN_HELD))
		al_root.on_ready(conn, conn->user, ev->flags);
}

/* A ring that several threads drain: a batch under the lock, acted upon after it. */
static ETA_COLD uint32_t drain_locked(struct al_ring *ring, uint32_t max)
{
	union event_words batch[EVENT_BATCH];
	uint32_t taken = 0;

	while (taken < max) {
		uint32_t n = 0, want = max - taken < EVENT_BATCH ? max - taken : EVENT_BATCH;

		if (!eta_ring_ready(&ring->ev))
			break;
		al_lock_take(&ring->lock);
		while (n < want && eta_ring_pop(&ring->ev, batch[n].w))
			n++;
		al_lock_drop(&ring->lock);
		for (uint32_t i = 0; i < n; i++)
			dispatch(ring, &batch[i].ev);
		taken += n;
		if (n < want)
			break;
	}
	return taken;
}

uint32_t al_ring_drain(struct al_ring *ring, uint32_t max)
{
	union event_words u;
	uint32_t taken = 0;

	if (ETA_UNLIKELY(al_ring_is_locked(ring)))
		return drain_locked(ring, max);
	while (taken < max && eta_ring_pop(&ring->ev, u.w)) {
		taken++;
		dispatch(ring, &u.ev);
	}
	ring->events_n += taken;
	return taken;
}

uint32_t al_poll_events_max(uint32_t max)
{
	struct al_thread *t = al_thread_get();
	uint32_t taken = 0;

	if (ETA_UNLIKELY(!t))
		return 0;
	if (ETA_LIKELY(t->rings_n == 1 && t->ring[0]))
		return al_ring_drain(t->ring[0], max);
	for (uint32_t core = 0; core < al_root.cores_n && taken < max; core++)
		if (t->ring[core])
			taken += al_ring_drain(t->ring[core], max - taken);
	return taken;
}

uint32_t al_poll_events(void)
{
	return al_poll_events_max(UINT32_MAX);
}

bool al_events_pending(void)
{
	const struct al_thread *t = al_thread_get();

	if (ETA_LIKELY(t && t->rings_n == 1 && t->ring[0]))
		return eta_ring_ready(&t->ring[0]->ev);
	for (uint32_t core = 0; t && core < al_root.cores_n; core++)
		if (t->ring[core] && eta_ring_ready(&t->ring[core]->ev))
			return true;
	return false;
}

void al_set_on_ready(void (*on_ready)(struct al_conn *conn, void *user, uint32_t event_flags))
{
	al_root.on_ready = on_ready;
}
