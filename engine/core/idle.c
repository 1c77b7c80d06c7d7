/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Going to sleep without missing anything.
 *
 * All that may end a sleep is in one epoll set: frames (the ports' descriptors, level-triggered), kicks of sessions and of KA (eventfds,
 * edge-triggered and never read, so that nobody can steal a kick), and time. Before sleeping the core says so (core_page.asleep), makes
 * every CPU see it (membarrier), and looks at everything once more: whoever stores second sees the other (dti.h, SLEEPING).
 *
 * A port without a descriptor is looked at every IDLE_NAP_US.
 */
#include <errno.h>
#include <stdio.h>

#include <linux/membarrier.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "engine/core/core.h"
#include "engine/dti/doorbell.h"
#include "engine/dti/dti_up.h"

#define IDLE_EVENTS 32
#define IDLE_NAP_US 50u        /* between two looks at a port without descriptor */
#define IDLE_SLEEP_US 1000000u /* a heartbeat at least once a second */
#define KEY_PORT (1ull << 32)
#define KEY_CORE (2ull << 32)
#define KEY_SESSION (3ull << 32)

static int watch(struct core *core, int fd, uint32_t events, uint64_t key)
{
	struct epoll_event ev = {.events = events, .data = {.u64 = key}};

	return epoll_ctl(core->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

int idle_init(struct core *core, char *err, size_t err_len)
{
	core->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (core->epoll_fd < 0 || watch(core, core->kick_fd, EPOLLIN | EPOLLET, KEY_CORE) != 0) {
		snprintf(err, err_len, "core %u: no epoll set", core->idx);
		return -errno;
	}
	for (uint32_t p = 0; p < core->net.ports_n; p++) {
		struct port *port = core->net.port[p];
		int fd = port->ops->sleep_fd(port);

		if (fd >= 0 && watch(core, fd, EPOLLIN, KEY_PORT | p) == 0)
			continue;
		if (port != core->turn_port)
			core->is_napping = true;
	}
	return 0;
}

void idle_fini(struct core *core)
{
	if (core->epoll_fd >= 0)
		(void)close(core->epoll_fd);
	core->epoll_fd = -1;
}

void dti_up_kick_fd(struct core *env, uint16_t session, int kick_fd, bool is_add)
{
	if (is_add)
		(void)watch(env, kick_fd, EPOLLIN | EPOLLET, KEY_SESSION | session);
	else
		(void)epoll_ctl(env->epoll_fd, EPOLL_CTL_DEL, kick_fd, NULL);
}

void dti_up_wake(struct core *env, int wake_fd)
{
	(void)env;
	/* a full pipe wakes as well */
	if (write(wake_fd, "", 1) < 0)
		return;
}

void dti_up_barrier(struct core *env)
{
	(void)env;
	eta_fence_store_load();
	(void)syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0);
}

static void take_events(struct core *core, const struct epoll_event *ev, int n)
{
	for (int i = 0; i < n; i++) {
		uint32_t low = (uint32_t)ev[i].data.u64;

		if (ev[i].data.u64 >> 32 == KEY_SESSION >> 32 && low < core->dti.session_n)
			doorbell_kick(&core->dti, &core->dti.session[low]);
	}
}

void idle_look_kicks(struct core *core)
{
	struct epoll_event ev[IDLE_EVENTS];

	core->kick_look_us = core->now_us;
	take_events(core, ev, epoll_wait(core->epoll_fd, ev, IDLE_EVENTS, 0));
}

/* Is there anything that the announcement of our sleep came too late for? */
static bool is_work(struct core *core)
{
	return doorbell_ready(&core->dti) || !rte_ring_empty(core->commands) ||
	       !rte_ring_empty(core->net.punt.down);
}

static struct timespec until(const struct core *core, uint64_t now_us)
{
	uint64_t at_us = core_next_deadline_us(core);
	uint64_t us = at_us > now_us ? at_us - now_us : 0;
	uint64_t max_us = core->is_napping ? IDLE_NAP_US : IDLE_SLEEP_US;

	us = us < max_us ? us : max_us;
	return (struct timespec){
			.tv_sec = (time_t)(us / 1000000u), .tv_nsec = (long)(us % 1000000u) * 1000};
}

void idle_sleep(struct core *core, uint64_t now_us)
{
	struct epoll_event ev[IDLE_EVENTS];
	struct timespec ts = until(core, now_us);

	if (ts.tv_sec == 0 && ts.tv_nsec == 0)
		return;
	/* a turn comes before each sleep, so the number is new: who has kicked for it need not again */
	eta_store_release_u32(&core->page->asleep, (uint32_t)core->stats.loops << 1 | 1);
	dti_up_barrier(core);
	if (!is_work(core)) {
		core->stats.sleeps++;
		trace(core->trace, now_us, TRACE_SLEEP, (uint32_t)(ts.tv_nsec / 1000000), 0, 0, 0);
		take_events(core, ev, epoll_pwait2(core->epoll_fd, ev, IDLE_EVENTS, &ts, NULL));
	}
	eta_store_release_u32(&core->page->asleep, 0);
}
