/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The event loop: one epoll descriptor, a sorted list of timers.
 */
#include "ka/loop.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t loop_now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int loop_init(struct loop *loop)
{
	memset(loop, 0, sizeof(*loop));
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return loop->epoll_fd < 0 ? -errno : 0;
}

void loop_fini(struct loop *loop)
{
	if (loop->epoll_fd >= 0)
		(void)close(loop->epoll_fd);
	loop->epoll_fd = -1;
}

int loop_add(struct loop *loop, struct loop_watch *watch)
{
	struct epoll_event ev = {.events = watch->events, .data.ptr = watch};

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, watch->fd, &ev) < 0)
		return -errno;
	watch->is_added = true;
	return 0;
}

int loop_change(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = watch};

	if (!watch->is_added || watch->events == events)
		return 0;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, watch->fd, &ev) < 0)
		return -errno;
	watch->events = events;
	return 0;
}

void loop_del(struct loop *loop, struct loop_watch *watch)
{
	if (!watch->is_added)
		return;
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	watch->is_added = false;
	for (int i = loop->batch_at; i < loop->batch_n; i++)
		if (loop->batch[i].data.ptr == watch)
			loop->batch[i].data.ptr = NULL;
}

void loop_timer_arm(struct loop *loop, struct loop_timer *timer, uint32_t in_ms)
{
	struct loop_timer **at = &loop->timers;

	loop_timer_disarm(loop, timer);
	timer->due_ms = loop_now_ms() + in_ms;
	while (*at && (*at)->due_ms <= timer->due_ms)
		at = &(*at)->next;
	timer->next = *at;
	*at = timer;
	timer->is_armed = true;
}

void loop_timer_disarm(struct loop *loop, struct loop_timer *timer)
{
	if (!timer->is_armed)
		return;
	for (struct loop_timer **at = &loop->timers; *at; at = &(*at)->next) {
		if (*at == timer) {
			*at = timer->next;
			break;
		}
	}
	timer->is_armed = false;
}

/* A timer armed by a callback for now is due in the next turn. */
static int loop_run_timers(struct loop *loop)
{
	uint64_t now_ms = loop_now_ms();
	int called_n = 0;

	while (loop->timers && loop->timers->due_ms <= now_ms && called_n < LOOP_BATCH) {
		struct loop_timer *timer = loop->timers;

		loop->timers = timer->next;
		timer->is_armed = false;
		timer->on_due(timer->arg);
		called_n++;
	}
	return called_n;
}

static int loop_wait_ms(const struct loop *loop, int wait_ms)
{
	uint64_t now_ms, in_ms;

	if (!loop->timers)
		return wait_ms;
	now_ms = loop_now_ms();
	in_ms = loop->timers->due_ms > now_ms ? loop->timers->due_ms - now_ms : 0;
	if (wait_ms < 0 || in_ms < (uint64_t)wait_ms)
		return (int)(in_ms > 60000 ? 60000 : in_ms);
	return wait_ms;
}

int loop_turn(struct loop *loop, int wait_ms)
{
	int called_n = 0;

	loop->batch_at = 0;
	loop->batch_n = 0;
	int n = epoll_wait(loop->epoll_fd, loop->batch, LOOP_BATCH, loop_wait_ms(loop, wait_ms));
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	loop->batch_n = n;
	while (loop->batch_at < loop->batch_n) {
		struct epoll_event *ev = &loop->batch[loop->batch_at++];
		struct loop_watch *watch = ev->data.ptr;

		if (!watch)
			continue;
		watch->on_ready(watch->arg, ev->events);
		called_n++;
	}
	return called_n + loop_run_timers(loop);
}

void loop_run(struct loop *loop)
{
	while (!loop->is_stopping)
		if (loop_turn(loop, -1) < 0)
			break;
}
