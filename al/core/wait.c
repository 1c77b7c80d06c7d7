/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waiting: spin while it pays, then arm, look once more, sleep on one descriptor.
 *
 * The descriptor is an epoll set of the thread's own: the wake pipes of its queues, an eventfd by which other threads of the process wake it,
 * and the control socket, whose hang-up is how a sleeper learns within moments that etad died. A spinning thread finds out by the heartbeat:
 * when that is stale it looks at the control socket; a stale heartbeat alone is an engine that lost its CPU.
 *
 * Arming is half of a Dekker exchange with the engine: store armed, fence, look at the queue; it publishes, fences, looks at armed. Each arming
 * has a new number, so that the engine writes one byte per sleep. Threads that share a queue keep it armed while one of them sleeps.
 */
#include <poll.h>

#include "al/core/al.h"

#define SPIN_NS_START 20000u
#define SPIN_NS_MIN 1000u
#define SPIN_NS_MAX 50000u
#define SPINS_PER_CLOCK 16u
#define HEARTBEAT_STALE_MS 200u
#define SWEEP_MS 1000u
#define DRAIN_BYTES 64u
#define READY_N 8
#define SPINS_PER_LOOK 256u
#define TURN_US_MAX \
	1000u /* an engine that has to get up, or is in a long turn, has looked by then */
#define TURN_MS_MAX 1000u /* one that does not get its CPU */

enum epoll_tag {
	TAG_EVENTFD = 0,
	TAG_CTL,
	TAG_RING, /* + index of the ring */
};

/* ---- is anybody there ---- */

static bool heartbeat_fresh(void)
{
	const struct eta_core_page *page = (const struct eta_core_page *)al_root.pages;
	uint64_t beat = eta_load_relaxed_u64(&page->heartbeat_tsc);

	/* Asleep it does not beat; the difference is signed, the beat may be newer than our look at the clock. */
	return (int64_t)(al_tsc() - beat) < (int64_t)(al_root.tsc_hz / 1000 * HEARTBEAT_STALE_MS);
}

bool al_engine_alive(void)
{
	struct pollfd pfd = {.fd = al_root.ctl_fd};
	const struct timespec now = {0};

	if (al_is_gone() || eta_load_acquire_u32(&al_root.state) != AL_ATTACHED)
		return false;
	if (ETA_LIKELY(heartbeat_fresh()))
		return true;
	if (sys_ppoll(&pfd, 1, &now) > 0 && pfd.revents & (POLLHUP | POLLERR | POLLNVAL))
		al_gone();
	return !al_is_gone();
}

/* ---- the descriptor ---- */

static int epoll_add(struct al_thread *t, int fd, uint64_t tag)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP, .data.u64 = tag};

	return sys_epoll_ctl(t->waiter.epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

static ETA_COLD int epoll_make(struct al_thread *t)
{
	int fd;

	if (t->waiter.epoll_fd < 0) {
		fd = al_fd_keep(sys_epoll_create1(EPOLL_CLOEXEC), &t->waiter.epoll_fd);
		if (fd < 0)
			return fd;
	}
	if (t->waiter.event_fd < 0) {
		fd = al_fd_keep(sys_eventfd2(0, 04000 | 02000000),
				&t->waiter.event_fd); /* NONBLOCK, CLOEXEC */
		if (fd < 0)
			return fd;
		epoll_add(t, t->waiter.event_fd, TAG_EVENTFD);
	}
	if (!t->ctl_watched) {
		epoll_add(t, al_root.ctl_fd, TAG_CTL);
		t->ctl_watched = 1;
	}
	for (uint32_t core = 0; core < ETA_CORES_MAX; core++) {
		struct al_ring *ring = t->ring[core];

		if (!ring || t->epoll_rings >> ring->idx & 1)
			continue;
		epoll_add(t, ring->wake_fd, TAG_RING + ring->idx);
		t->epoll_rings |= 1ull << ring->idx;
	}
	return 0;
}

/* ---- arming ---- */

static void ring_arm(struct al_ring *ring)
{
	if (++ring->arm_seq == 0)
		ring->arm_seq = 1;
	eta_store_relaxed_u32(&ring->ev.credit->armed, ring->arm_seq);
}

static void rings_arm(struct al_thread *t)
{
	for (uint32_t core = 0; core < al_root.cores_n; core++) {
		struct al_ring *ring = t->ring[core];

		if (!ring)
			continue;
		if (ring->is_shared)
			al_lock_take_mt(&ring->lock);
		eta_ring_publish_credit(&ring->ev);
		ring->sleepers_n++;
		ring_arm(ring);
		if (ring->is_shared)
			al_lock_drop_mt(&ring->lock);
	}
}

static void rings_disarm(struct al_thread *t)
{
	for (uint32_t core = 0; core < al_root.cores_n; core++) {
		struct al_ring *ring = t->ring[core];

		if (!ring)
			continue;
		if (ring->is_shared)
			al_lock_take_mt(&ring->lock);
		ring->sleepers_n--;
		eta_store_relaxed_u32(&ring->ev.credit->armed, 0);
		if (ring->is_shared)
			al_lock_drop_mt(&ring->lock);
	}
}

/* After the pipes were drained: others still sleep on a queue of ours, it stays armed. */
static void rings_rearm(struct al_thread *t)
{
	for (uint32_t core = 0; core < al_root.cores_n; core++) {
		struct al_ring *ring = t->ring[core];

		if (!ring || !ring->is_shared)
			continue;
		al_lock_take_mt(&ring->lock);
		if (ring->sleepers_n)
			ring_arm(ring);
		al_lock_drop_mt(&ring->lock);
	}
	eta_fence_store_load();
}

static bool sweep_is_due(void)
{
	return al_root.sweep_list.n &&
	       al_tsc() - al_root.swept_tsc > al_root.tsc_hz / 1000 * SWEEP_MS;
}

int al_wait_arm(void)
{
	struct al_thread *t = al_thread_get();
	int ret;

	if (!t || !al_engine_alive())
		return -ECONNRESET;
	if (t->is_armed)
		return t->waiter.epoll_fd;
	ret = epoll_make(t);
	if (ret)
		return ret;
	if (ETA_UNLIKELY(sweep_is_due()))
		al_sweep();
	t->is_armed = true;
	eta_store_relaxed_u32(&t->waiter.asleep, 1);
	rings_arm(t);
	eta_fence_store_load();
	return t->waiter.epoll_fd;
}

static void drain(int fd)
{
	uint8_t buf[DRAIN_BYTES];

	while (sys_read(fd, buf, sizeof(buf)) == (long)sizeof(buf))
		;
}

void al_wait_disarm(void)
{
	struct al_thread *t = al_self;
	struct epoll_event ev[READY_N];
	int n;

	if (!t || !t->is_armed)
		return;
	t->is_armed = false;
	rings_disarm(t);
	eta_store_relaxed_u32(&t->waiter.asleep, 0);
	n = sys_epoll_wait(t->waiter.epoll_fd, ev, READY_N, 0);
	for (int i = 0; i < n; i++) {
		uint64_t tag = ev[i].data.u64;

		if (tag == TAG_CTL)
			al_ctl_notices();
		else if (tag == TAG_EVENTFD)
			drain(t->waiter.event_fd);
		else if (tag - TAG_RING < AL_RINGS_MAX)
			drain(al_root.ring[tag - TAG_RING].wake_fd);
	}
	al_put(&t->waiter.poked, 0);
	rings_rearm(t);
}

int al_wait_timeout_ms(void)
{
	return al_root.sweep_list.n ? (int)SWEEP_MS : -1;
}

/* ---- spinning ---- */

/*
 * Would spinning keep the CPU from a thread that we wait for? KA's count is a hint; the engine's cores are not in it. A process confined to few
 * CPUs is taken to have one for itself: if that is wrong spinning does not pay, and ends by that.
 */
static bool cpus_are_short(void)
{
	const struct eta_core_page *page = (const struct eta_core_page *)al_root.pages;
	uint32_t ours = al_root.cpus_n > al_root.cores_n ? al_root.cpus_n - al_root.cores_n : 1;

	return eta_load_relaxed_u32(&page->runnable) > ours;
}

static void spin_learn(struct al_thread *t, bool hit)
{
	if (hit) {
		t->spin_ns = t->spin_ns * 2 < SPIN_NS_MAX ? t->spin_ns * 2 : SPIN_NS_MAX;
		t->spin_missed_n = 0;
	} else if (t->spin_ns > SPIN_NS_MIN) {
		t->spin_ns = t->spin_ns / 2;
	} else if (++t->spin_missed_n % 64 == 0) {
		t->spin_ns = SPIN_NS_START; /* times change: try again */
	}
}

static bool take_events(void)
{
	return al_poll_events() != 0;
}

bool al_wait_spin_by(bool (*look)(void))
{
	struct al_thread *t = al_thread_get();
	uint64_t start, budget;

	if (!t || al_is_gone())
		return false;
	if (look())
		return true;
	if (cpus_are_short())
		return false;
	if (!t->spin_ns)
		t->spin_ns = SPIN_NS_START;
	budget = t->spin_ns * (al_root.tsc_hz / 1000000) / 1000;
	start = al_tsc();
	for (uint32_t i = 1;; i++) {
		if (look() || al_get(&t->waiter.poked)) {
			spin_learn(t, true);
			return true;
		}
		if (i % SPINS_PER_CLOCK == 0 && al_tsc() - start > budget)
			break;
		eta_pause();
	}
	spin_learn(t, false);
	return false;
}

bool al_wait_spin(void)
{
	return al_wait_spin_by(take_events);
}

/* Until the engine has begun @turns turns since, or @us_max are over. Return: it has. */
static bool wait_turns(const struct al_ring *ring, uint32_t turns, uint32_t us_max)
{
	const struct eta_core_page *page = ring->page;
	uint64_t loops = eta_load_relaxed_u64(&page->loops), start = al_tsc();
	uint64_t budget = al_root.tsc_hz / 1000000 * us_max;

	for (uint32_t spins = 1; eta_load_relaxed_u64(&page->loops) - loops < turns; spins++) {
		eta_pause();
		if (spins % SPINS_PER_LOOK)
			continue;
		if (al_tsc() - start > budget)
			return false;
		sys_give_way(spins / SPINS_PER_LOOK - 1);
	}
	return true;
}

void al_wait_turn(const struct al_conn *conn)
{
	struct al_thread *t = al_thread_get();
	struct al_ring *ring = t ? al_ring_of(t, conn->core) : NULL;

	if (!ring || al_is_gone())
		return;
	al_ring_look(ring);
	/* the turn under way may have looked at its port already; what the next one finds is told when that is over */
	(void)wait_turns(ring, 2, TURN_US_MAX);
}

void al_wait_turn_begun(const struct al_ring *ring)
{
	/* one that sleeps looks at its port before it looks at doorbells */
	for (uint32_t ms = 0; ms < TURN_MS_MAX && al_engine_alive(); ms++)
		if (eta_load_relaxed_u32(&ring->page->asleep) || wait_turns(ring, 1, 1000))
			return;
}

/* ---- waking each other ---- */

struct al_waiter *al_this_waiter(void)
{
	struct al_thread *t = al_thread_get();

	return t ? &t->waiter : NULL;
}

void al_wake_thread(struct al_waiter *waiter)
{
	const uint64_t one = 1;

	if (!waiter)
		return;
	al_put(&waiter->poked, 1);
	eta_fence_store_load();
	if (eta_load_relaxed_u32(&waiter->asleep) && waiter->event_fd >= 0)
		sys_write(waiter->event_fd, &one, sizeof(one));
}
