/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Threads and their rings.
 *
 * A thread gets its own doorbell ring and event queue at its first use of AL: one that an ended thread left, else a new one from KA, else a
 * share of the first ring of the core, which is the only one that is locked. An ended thread gives its rings and its cached memory back; events that
 * still lie in them are taken by whoever gets the ring next, and records tell the truth meanwhile.
 *
 * Everything here is cold except the two inlines in front of it.
 */
#include <pthread.h>
#include <string.h>

#include "al/core/al.h"

__thread struct al_thread *al_self __attribute__((tls_model("initial-exec")));

static void thread_end(void *arg)
{
	struct al_thread *t = arg;

	if (t != al_self)
		return; /* a child of fork: not its thread */
	al_cache_flush(t);
	al_self = NULL;
	if (t->waiter.epoll_fd >= 0)
		al_fd_drop(&t->waiter.epoll_fd);
	if (t->waiter.event_fd >= 0)
		al_fd_drop(&t->waiter.event_fd);
	al_lock_take(&al_root.thread_lock);
	for (uint32_t core = 0; core < ETA_CORES_MAX; core++)
		if (t->ring[core])
			t->ring[core]->threads_n--;
	t->used = 0;
	al_lock_drop(&al_root.thread_lock);
}

static struct al_thread *slot_take(void)
{
	struct al_thread *t = NULL;

	al_lock_take(&al_root.thread_lock);
	if (!al_root.has_thread_key)
		al_root.has_thread_key = pthread_key_create(&al_root.thread_key, thread_end) == 0;
	for (uint32_t i = 0; i < AL_THREADS_MAX; i++) {
		if (al_root.threads[i].used)
			continue;
		t = &al_root.threads[i];
		break;
	}
	if (t) {
		memset(t, 0, sizeof(*t));
		t->used = 1;
		t->waiter.epoll_fd = t->waiter.event_fd = -1;
	}
	al_lock_drop(&al_root.thread_lock);
	return t;
}

struct al_thread *al_thread_make(void)
{
	struct al_thread *t;

	if (al_is_gone())
		return NULL;
	if (eta_load_acquire_u32(&al_root.state) == AL_FORKED && al_attach(NULL))
		return NULL;
	if (eta_load_acquire_u32(&al_root.state) != AL_ATTACHED)
		return NULL;
	if (al_self)
		return al_self;
	t = slot_take();
	if (!t)
		return NULL;
	if (!al_ring_make(t, 0)) {
		t->used = 0;
		return NULL;
	}
	al_self = t;
	if (al_root.has_thread_key)
		pthread_setspecific(al_root.thread_key, t);
	return t;
}

static bool ring_geom_ok(
		const struct eta_ring_geom *g, const struct al_seg *al, const struct al_seg *en)
{
	if (!al || !en || al->kind != ETA_SEG_AL || en->kind != ETA_SEG_EN ||
			g->core >= ETA_CORES_MAX)
		return false;
	if (g->doorbell_n < ETA_RING_ENTRIES_MIN || g->doorbell_n > ETA_RING_ENTRIES_MAX ||
			g->event_n < ETA_RING_ENTRIES_MIN || g->event_n > ETA_RING_ENTRIES_MAX)
		return false;
	if ((g->doorbell_n & (g->doorbell_n - 1)) || (g->event_n & (g->event_n - 1)))
		return false;
	if ((g->doorbell_off | g->event_off | g->doorbell_credit_off | g->event_credit_off) % 32)
		return false;
	return g->doorbell_off + (uint64_t)g->doorbell_n * sizeof(struct eta_ring_slot) <=
			       al->bytes &&
	       g->event_off + (uint64_t)g->event_n * sizeof(struct eta_ring_slot) <= en->bytes &&
	       g->doorbell_credit_off + sizeof(struct eta_doorbell_credit) <= en->bytes &&
	       g->event_credit_off + sizeof(struct eta_ring_credit) <= al->bytes;
}

/* A ring made of what KA says; descriptors are consumed. NULL: nonsense, or no room in our table. */
struct al_ring *al_ring_install(const struct eta_ring_geom *g, int wake_fd, int kick_fd)
{
	struct al_session *s = &al_root.session[al_root.own_slot];
	struct al_seg *al = al_seg(s, g->seg_al), *en = al_seg(s, g->seg_en);
	struct al_ring *ring = &al_root.ring[al_root.rings_n];

	if (al_root.rings_n >= AL_RINGS_MAX || !ring_geom_ok(g, al, en)) {
		sys_close(wake_fd);
		sys_close(kick_fd);
		return NULL;
	}
	memset(ring, 0, sizeof(*ring));
	ring->db = (struct eta_ring_producer){
			.slots = (struct eta_ring_slot *)(al->base + g->doorbell_off),
			.credit = (const struct eta_ring_credit *)(en->base +
								   g->doorbell_credit_off),
			.n = g->doorbell_n};
	ring->ev = (struct eta_ring_consumer){
			.slots = (const struct eta_ring_slot *)(en->base + g->event_off),
			.credit = (struct eta_ring_credit *)(al->base + g->event_credit_off),
			.n = g->event_n};
	ring->credit = (const struct eta_doorbell_credit *)(en->base + g->doorbell_credit_off);
	ring->page = (const struct eta_core_page *)(al_root.pages +
						    (size_t)(g->core < al_root.cores_n ? g->core
										       : 0) *
								    al_root.pages_stride);
	ring->core = g->core;
	ring->idx = (uint8_t)al_root.rings_n;
	ring->number = g->ring;
	ring->used = true;
	ring->kicked_nap = UINT32_MAX;
	ring->is_shared = true;
	for (uint32_t i = 0; i < al_root.rings_n; i++)
		if (al_root.ring[i].core == g->core)
			ring->is_shared = false;
	al_fd_keep(wake_fd, &ring->wake_fd);
	al_fd_keep(kick_fd, &ring->kick_fd);
	al_root.rings_n++;
	return ring;
}

static struct al_ring *ring_add(uint8_t core)
{
	struct eta_ctl_ring req = {.hdr.type = ETA_CTL_RING_ADD, .core = core};
	struct eta_ctl_ring_reply rep;
	int fds[2];

	if (al_root.rings_n >= AL_RINGS_MAX ||
			al_ctl_call(&req, sizeof(req), -1, &rep, sizeof(rep), fds, 2))
		return NULL;
	return al_ring_install(&rep.ring, fds[0], fds[1]);
}

/* A ring of @core that a thread may have: one that nobody has; else (@shared) the locked one. */
static struct al_ring *ring_find(uint8_t core, bool shared)
{
	for (uint32_t i = 0; i < al_root.rings_n; i++) {
		struct al_ring *ring = &al_root.ring[i];

		if (ring->core == core && (!ring->threads_n || (shared && ring->is_shared)))
			return ring;
	}
	return NULL;
}

struct al_ring *al_ring_make(struct al_thread *t, uint8_t core)
{
	struct al_ring *ring;

	if (core >= ETA_CORES_MAX)
		return NULL;
	al_lock_take(&al_root.thread_lock);
	ring = ring_find(core, false);
	if (!ring && !(al_root.rings_refused & 1u << core)) {
		ring = ring_add(core);
		if (!ring)
			al_root.rings_refused |= 1u << core;
	}
	if (!ring)
		ring = ring_find(core, true);
	if (ring) {
		ring->threads_n++;
		t->ring[core] = ring;
		t->rings_n++;
	}
	al_lock_drop(&al_root.thread_lock);
	return ring;
}
