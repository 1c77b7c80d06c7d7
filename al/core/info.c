/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asking the engine about a conn: for TCP_INFO, and for what else only TCP knows at the moment.
 *
 * The question is a doorbell, so the engine answers after everything rung before it; the answer lies in a record of the ring. One question at
 * a time is on a ring, and who asked waits for it: some microseconds, or a wake-up if the engine sleeps.
 */
#include <string.h>

#include "al/core/al.h"

#define SPINS_PER_LOOK 256u
#define ANSWER_WAIT_S 1u

/* Return 0; -ECONNRESET nobody answers. */
static int await_ticket(const struct eta_conn_info *info, uint32_t ticket)
{
	uint64_t start = al_tsc();

	for (uint32_t spins = 1; eta_load_acquire_u32(&info->ticket) != ticket; spins++) {
		eta_pause();
		if (spins % SPINS_PER_LOOK)
			continue;
		if (!al_engine_alive() || al_tsc() - start > ANSWER_WAIT_S * al_root.tsc_hz)
			return -ECONNRESET;
		sys_give_way(spins / SPINS_PER_LOOK - 1);
	}
	return 0;
}

int al_conn_info(struct al_conn *conn, struct eta_conn_info *info)
{
	struct al_thread *t = al_thread_get();
	struct al_ring *ring = t ? al_ring_of(t, conn->core) : NULL;
	int ret;

	if (!ring || al_is_gone())
		return -ECONNRESET;
	if (!al_flag(conn, AL_CONN_RUNG))
		return -ENOTCONN;
	/* The kernel's answer knows each segment that came before the call: so shall ours. */
	al_wait_turn_begun(ring);
	al_lock_take(&ring->info_lock);
	/* Another number than the last, which is not 0: a record that nobody has written yet. */
	if (++ring->info_ticket == 0)
		ring->info_ticket = 1;
	ret = al_ring_op(conn, ETA_DB_INFO, ring->info_ticket, 0);
	if (!ret)
		ret = await_ticket(&ring->credit->info, ring->info_ticket);
	if (!ret)
		memcpy(info, &ring->credit->info, sizeof(*info));
	al_lock_drop(&ring->info_lock);
	if (ret)
		return ret;
	return info->status == ETA_STATUS_OK && info->gen == conn->gen ? 0 : -ENOTCONN;
}

const struct eta_core_page *al_page(void)
{
	return (const struct eta_core_page *)al_root.pages;
}
