/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What comes out of an epoll set (see epoll.h).
 *
 * Items are taken from the ready list in small batches: under the set's lock into an array, looked at without it (a look may ring a
 * doorbell), and settled under it again: reported, put back, or dropped. An item that changed meanwhile has another generation and is left alone.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <x86intrin.h>

#include "al/core/core.h"
#include "al/sock/api.h"
#include "al/sock/epoll.h"
#include "al/sock/kern.h"
#include "al/sock/root.h"
#include "al/sock/sock.h"
#include "al/sock/sock_wait.h"

#define BATCH 32
#define KERNEL_EVENTS 256
#define EV_FLAGS (EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE)

/* ---- subscribing ---- */

struct watch_entry {
	struct al_file *target; /* held */
	uint32_t events;
};

static void target_watch(const struct watch_entry *entry, uint32_t depth)
{
	if (entry->target->kind == AL_FILE_EPOLL) {
		if (depth < SET_DEPTH_MAX)
			al_set_join((struct al_set *)entry->target, depth + 1);
	} else {
		struct al_sock *sock = (struct al_sock *)entry->target;

		if (sock->conn && al_sock_is_eta(sock))
			al_conn_watch(sock->conn, AL_WATCH_ALL,
					(entry->events & EPOLLEXCLUSIVE) != 0);
	}
}

/* Items that came since: subscribe thread @slot of the set. With the lock, which is dropped while subscribing. */
static void set_watch_pending(struct al_set *set, uint32_t slot, uint32_t depth)
{
	struct watch_entry batch[BATCH];
	int n;
	int i;

	do {
		uint8_t all = (uint8_t)((1u << set->threads_n) - 1);
		struct al_item **at = &set->pending;

		for (n = 0; *at && n < BATCH;) {
			struct al_item *item = *at;

			if (!(item->watched >> slot & 1)) {
				item->watched |= (uint8_t)(1u << slot);
				if (item->is_live && al_file_hold(item->target))
					batch[n++] = (struct watch_entry){
							item->target, item->events};
			}
			if ((item->watched & all) == all) {
				*at = item->pending_next;
				item->is_pending = false;
			} else {
				at = &item->pending_next;
			}
		}
		if (n == 0)
			break;
		al_lock_drop(&set->lock);
		for (i = 0; i < n; i++) {
			target_watch(&batch[i], depth);
			al_file_put(batch[i].target);
		}
		al_lock_take(&set->lock);
	} while (n == BATCH);
}

/* A thread that has not waited here yet: all items become pending. With the lock. */
static uint32_t set_add_thread(struct al_set *set, uint32_t me)
{
	uint32_t slot = set->threads_n < SET_THREADS ? set->threads_n++ : me % SET_THREADS;
	struct al_item *item;
	uint32_t i;

	set->thread[slot] = me;
	for (i = 0; i < set->buckets_n; i++)
		for (item = set->bucket[i]; item; item = item->hash_next) {
			item->watched &= (uint8_t) ~(1u << slot);
			if (item->is_pending)
				continue;
			item->is_pending = true;
			item->pending_next = set->pending;
			set->pending = item;
		}
	return slot;
}

void al_set_join(struct al_set *set, uint32_t depth)
{
	uint32_t me = al_thread_id();
	uint32_t slot;

	if (set->threads_n > 0 && set->thread[0] == me && !set->pending && depth == 0)
		return;
	al_lock_take(&set->lock);
	for (slot = 0; slot < set->threads_n && set->thread[slot] != me; slot++)
		continue;
	if (slot == set->threads_n)
		slot = set_add_thread(set, me);
	if (set->pending)
		set_watch_pending(set, slot, depth);
	al_lock_drop(&set->lock);
}

/* ---- items ---- */

struct batch_entry {
	struct al_item *item;
	struct al_file *target; /* held */
	uint32_t gen;
	uint32_t ready;
	int fd;
};

static uint32_t target_ready(struct al_file *target, int fd, uint32_t depth)
{
	if (target->kind == AL_FILE_SOCK)
		return al_sock_ready((struct al_sock *)target, fd);
	return depth < SET_DEPTH_MAX ? al_set_ready((struct al_set *)target, fd, depth + 1) : 0;
}

/* Take up to @n items off the head. With the lock. */
static int batch_take(struct al_set *set, struct batch_entry *batch, int n)
{
	int taken = 0;

	while (taken < n && set->ready_head) {
		struct al_item *item = set->ready_head;

		al_item_clear_ready(item);
		if (item->is_disabled || !item->is_live || !al_file_hold(item->target))
			continue;
		batch[taken++] = (struct batch_entry){.item = item,
				.target = item->target,
				.gen = item->gen,
				.fd = item->fd};
	}
	return taken;
}

/* Report what is ready and decide where each item goes. With the lock. Return events stored. */
static int batch_settle(
		struct al_set *set, const struct batch_entry *batch, int n, struct epoll_event *ev)
{
	int out = 0;
	int i;

	for (i = 0; i < n; i++) {
		struct al_item *item = batch[i].item;
		uint32_t wanted;

		if (item->set != set || item->gen != batch[i].gen || item->is_disabled)
			continue;
		wanted = batch[i].ready & (item->events | EPOLLERR | EPOLLHUP) &
			 ~(uint32_t)EV_FLAGS;
		if (!wanted)
			continue;
		ev[out].events = wanted;
		ev[out].data.u64 = item->data;
		out++;
		if (item->events & EPOLLONESHOT)
			item->is_disabled = true;
		else if (!(item->events & EPOLLET))
			al_item_set_ready(item);
	}
	return out;
}

/* ETA's side of the set. Return events stored, at most @max. */
static int collect_items(struct al_set *set, struct epoll_event *ev, int max)
{
	struct batch_entry batch[BATCH];
	uint32_t bound = __atomic_load_n(&set->ready_n, __ATOMIC_RELAXED);
	int out = 0;

	while (bound > 0 && out < max) {
		int n = max - out < BATCH ? max - out : BATCH;
		int i;

		if ((uint32_t)n > bound)
			n = (int)bound;
		al_lock_take(&set->lock);
		n = batch_take(set, batch, n);
		al_lock_drop(&set->lock);
		if (n == 0)
			break;
		for (i = 0; i < n; i++)
			batch[i].ready = target_ready(batch[i].target, batch[i].fd, 0);
		al_lock_take(&set->lock);
		out += batch_settle(set, batch, n, ev + out);
		al_lock_drop(&set->lock);
		for (i = 0; i < n; i++)
			al_file_put(batch[i].target);
		bound -= (uint32_t)n;
	}
	return out;
}

/* ---- the kernel's side ---- */

static void kernel_mark(struct al_set *set, struct al_item *item)
{
	if (item->target->kind == AL_FILE_SOCK)
		((struct al_sock *)item->target)->kern_hint = true;
	al_lock_take(&set->lock);
	if (item->set == set && !item->is_disabled)
		al_item_set_ready(item);
	al_lock_drop(&set->lock);
}

/* Return events stored; those of listeners and nested sets only put their items on the list. */
static int collect_kernel(struct al_set *set, int epfd, struct epoll_event *ev, int max)
{
	int n = kern_epoll_pwait(epfd, ev, max, 0, NULL);
	int out = 0;
	int i;

	set->kern_look_tsc = __rdtsc();
	for (i = 0; i < n; i++) {
		struct epoll_event one = ev[i];
		struct al_item *item;
		uint64_t drain;

		if (one.data.u64 == (uintptr_t)set) {
			kern_read(set->kick_fd, &drain, sizeof(drain));
			continue;
		}
		item = al_set_mark(set, one.data.u64);
		if (item)
			kernel_mark(set, item);
		else
			ev[out++] = one;
	}
	return out;
}

/* After the engine's end no event comes any more: put all items on the list once, each tells its error. */
static void set_engine_gone(struct al_set *set)
{
	struct al_item *item;
	uint32_t i;

	al_lock_take(&set->lock);
	for (i = 0; !set->engine_gone && i < set->buckets_n; i++)
		for (item = set->bucket[i]; item; item = item->hash_next)
			if (item->is_live && !item->is_disabled)
				al_item_set_ready(item);
	set->engine_gone = true;
	al_lock_drop(&set->lock);
}

static int collect(struct al_set *set, int epfd, struct epoll_event *ev, int max, bool look)
{
	int n = 0;
	int room;

	if (__atomic_load_n(&set->ready_n, __ATOMIC_RELAXED) == 0 && !set->engine_gone &&
			!al_sock_look_for_engine())
		set_engine_gone(set);
	if (__atomic_load_n(&set->ready_n, __ATOMIC_RELAXED) == 0) {
		if (look)
			n = collect_kernel(set, epfd, ev, max);
		return n < max ? n + collect_items(set, ev + n, max - n) : n;
	}
	look |= set->kernel_n && __rdtsc() - set->kern_look_tsc > AL_KERN_LOOK_CYC;
	if (look && set->kernel_first) {
		room = max > 1 ? max / 2 : 1;
		n = collect_kernel(set, epfd, ev, room);
	}
	if (n < max)
		n += collect_items(set, ev + n, max - n);
	if (look && !set->kernel_first && n < max)
		n += collect_kernel(set, epfd, ev + n, max - n);
	if (look)
		set->kernel_first = !set->kernel_first;
	/* Marks of the kernel's side put items on the list. */
	if (n == 0)
		n = collect_items(set, ev, max);
	return n;
}

uint32_t al_set_ready(struct al_set *set, int fd, uint32_t depth)
{
	struct batch_entry batch[BATCH];
	uint32_t ready = 0;
	int n;
	int i;

	if (set->pending)
		al_set_join(set, depth);
	if (set->kernel_n && kern_poll_now(fd, POLLIN))
		return POLLIN | POLLRDNORM;
	/* As kernel epoll's own poll: drop what is not ready, keep the rest for epoll_wait(). */
	while (!ready) {
		al_lock_take(&set->lock);
		n = batch_take(set, batch, BATCH);
		al_lock_drop(&set->lock);
		if (n == 0)
			break;
		for (i = 0; i < n; i++)
			batch[i].ready = target_ready(batch[i].target, batch[i].fd, depth);
		al_lock_take(&set->lock);
		for (i = 0; i < n; i++) {
			struct al_item *item = batch[i].item;

			if (item->set != set || item->gen != batch[i].gen ||
					!(batch[i].ready & (item->events | EPOLLERR | EPOLLHUP)))
				continue;
			al_item_set_ready(item);
			ready = POLLIN | POLLRDNORM;
		}
		al_lock_drop(&set->lock);
		for (i = 0; i < n; i++)
			al_file_put(batch[i].target);
	}
	return ready;
}

/* ---- epoll_wait ---- */

struct epoll_call {
	struct al_set *set;
	struct epoll_event *ev;
	int epfd;
	int max;
};

static long epoll_ready(struct al_wait *wait, bool kern)
{
	struct epoll_call *call = wait->arg;

	if (call->set->pending)
		al_set_join(call->set, 0);
	wait->asleep_only = call->set->kernel_n == 0;
	return collect(call->set, call->epfd, call->ev, call->max, kern);
}

/* No ETA socket in the set: the kernel waits. Return as epoll_wait; -EAGAIN: that has changed. */
static int epoll_pure(struct epoll_call *call, int64_t deadline_ns, const void *mask)
{
	struct al_set *set = call->set;
	struct timespec ts;
	int64_t left = 0;
	int n;

	if (deadline_ns != AL_WAIT_FOREVER && deadline_ns != 0) {
		left = deadline_ns - al_now_ns();
		left = left > 0 ? left : 0;
	}
	ts = (struct timespec){.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
	__atomic_fetch_add(&set->kernel_sleepers_n, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&set->live_n, __ATOMIC_SEQ_CST) > 0) {
		n = -EAGAIN;
	} else {
		uint32_t depth = al_tls.inside;

		al_leave();
		n = kern_epoll_pwait2(call->epfd, call->ev, call->max,
				deadline_ns == AL_WAIT_FOREVER ? NULL : &ts, mask);
		al_enter();
		al_tls.inside = depth;
	}
	__atomic_fetch_sub(&set->kernel_sleepers_n, 1, __ATOMIC_SEQ_CST);
	if (n > 0 && set->kick_fd >= 0) {
		uint64_t drain;
		int i;
		int out = 0;

		for (i = 0; i < n; i++) {
			if (call->ev[i].data.u64 == (uintptr_t)set)
				kern_read(set->kick_fd, &drain, sizeof(drain));
			else
				call->ev[out++] = call->ev[i];
		}
		n = out > 0 ? out : -EAGAIN;
	}
	return n;
}

static int epoll_mixed(struct epoll_call *call, int64_t deadline_ns, const void *mask)
{
	struct al_set *set = call->set;
	struct pollfd pfd[2] = {{.fd = call->epfd, .events = POLLIN}};
	struct al_wait wait = {
			.ready = epoll_ready,
			.arg = call,
			.what = &set->file,
			.pfd = pfd,
			.pfd_n = 1, /* even if the kernel has nothing yet: something may be added while we sleep */
			.deadline_ns = deadline_ns,
			.mask = mask,
	};
	long n;

	al_set_join(set, 0);
	/* The common case: something is there. */
	al_poll_events();
	n = collect(set, call->epfd, call->ev, call->max, deadline_ns == 0 && set->kernel_n);
	if (n > 0 || deadline_ns == 0)
		return (int)n;
	__atomic_fetch_add(&set->sleepers_n, 1, __ATOMIC_SEQ_CST);
	n = al_wait(&wait);
	__atomic_fetch_sub(&set->sleepers_n, 1, __ATOMIC_SEQ_CST);
	return (int)n;
}

int al_sys_epoll_pwait(
		int epfd, struct epoll_event *ev, int n, int64_t timeout_ns, const void *mask)
{
	struct al_set *set = al_set_enter(epfd);
	struct epoll_call call = {.set = set, .ev = ev, .epfd = epfd, .max = n};
	int64_t deadline_ns;
	int ret = -EAGAIN;

	if (!set || n <= 0) {
		struct timespec ts = {.tv_sec = timeout_ns / 1000000000,
				.tv_nsec = timeout_ns % 1000000000};

		if (set)
			al_set_leave(set);
		return kern_epoll_pwait2(epfd, ev, n, timeout_ns < 0 ? NULL : &ts, mask);
	}
	if (n > KERNEL_EVENTS)
		call.max = KERNEL_EVENTS;
	deadline_ns = al_wait_deadline(timeout_ns);
	while (ret == -EAGAIN) {
		if (__atomic_load_n(&set->live_n, __ATOMIC_ACQUIRE) == 0) {
			call.max = n;
			ret = epoll_pure(&call, deadline_ns, mask);
		} else {
			ret = epoll_mixed(&call, deadline_ns, mask);
		}
	}
	al_set_leave(set);
	return ret;
}
