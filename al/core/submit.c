/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ringing doorbells.
 *
 * A doorbell is never put off: on a full ring AL waits until the engine has taken some, which it does in every loop. Afterwards two words tell
 * whether anybody is looking: the core may sleep, or may have taken an idle ring off its list. Where the process is registered for
 * membarrier the engine makes the barrier and a compiler fence does here.
 *
 * A core that was kicked takes its time to get up, and every doorbell meanwhile would cost a system call. So each sleep and each nap of a ring has a
 * number, and who has kicked for that number leaves it at that: the kick lies in the eventfd until that very sleep is over. Threads that share
 * a ring may each see a number for the first time; then they kick twice.
 */
#include "al/core/al.h"

#define SPINS_PER_LOOK 1024u

ETA_COLD void al_ring_rouse(struct al_ring *ring)
{
	uint32_t polled = eta_load_acquire_u32(&ring->credit->polled);
	uint32_t nap = eta_load_relaxed_u32(&ring->credit->nap);
	uint32_t asleep = eta_load_relaxed_u32(&ring->page->asleep);
	const uint64_t one = 1;
	bool is_new;

	/* Noted after the kick, so that another thread never relies on one that is still to come. */
	is_new = (asleep && asleep != al_get(&ring->kicked_asleep)) ||
		 (!polled && nap != al_get(&ring->kicked_nap));
	if (!is_new || ring->kick_fd < 0)
		return;
	sys_write(ring->kick_fd, &one, sizeof(one));
	if (asleep)
		al_put(&ring->kicked_asleep, asleep);
	if (!polled)
		al_put(&ring->kicked_nap, nap);
}

/* The ring is full: until there is room, or nobody is there to make any. */
static ETA_COLD void push_waiting(struct al_ring *ring, const uint64_t w[4])
{
	for (uint32_t spins = 1; !eta_ring_push(&ring->db, w); spins++) {
		if (spins % SPINS_PER_LOOK == 1) {
			al_ring_look(ring);
			if (!al_engine_alive())
				return;
			sys_give_way(spins / SPINS_PER_LOOK);
		}
		eta_pause();
	}
}

void al_ring_push(struct al_ring *ring, const uint64_t w[4])
{
	bool locked = al_ring_is_locked(ring);

	if (locked)
		al_lock_take(&ring->lock);
	if (ETA_UNLIKELY(!eta_ring_push(&ring->db, w)))
		push_waiting(ring, w);
	if (locked)
		al_lock_drop(&ring->lock);
	al_ring_look(ring);
}

static void push_op(struct al_ring *ring, struct al_conn *conn, uint32_t op, uint32_t arg0,
		uint32_t arg1)
{
	uint32_t rcv_head = al_get(&conn->rcv_head);
	const uint64_t w[4] = {
			al_dti_number(conn) | (uint64_t)conn->gen << 32 |
					(uint64_t)(op & 0xffu) << 48,
			al_pair(conn->snd_tail, rcv_head),
			al_pair(arg0, arg1),
	};

	al_put(&conn->told_head, rcv_head);
	al_ring_push(ring, w);
}

int al_ring_op(struct al_conn *conn, uint32_t op, uint32_t arg0, uint32_t arg1)
{
	struct al_thread *t = al_thread_get();
	struct al_ring *ring = t ? al_ring_of(t, conn->core) : NULL;

	if (ETA_UNLIKELY(!ring))
		return -ECONNRESET;
	push_op(ring, conn, op, arg0, arg1);
	return 0;
}

int al_ring_queue_op(struct al_conn *conn, uint32_t op, uint32_t mask)
{
	struct al_thread *t = al_thread_get();
	struct al_ring *ring = t ? al_ring_of(t, conn->core) : NULL;

	if (!ring)
		return -ECONNRESET;
	if (op == ETA_DB_UNSUBSCRIBE)
		__atomic_and_fetch(&conn->rings, ~(1ull << ring->idx), __ATOMIC_RELAXED);
	else
		__atomic_or_fetch(&conn->rings, 1ull << ring->idx, __ATOMIC_RELAXED);
	push_op(ring, conn, op, ring->number, mask);
	return 0;
}
