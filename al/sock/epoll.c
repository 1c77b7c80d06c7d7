/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is in an epoll set: epoll_create, epoll_ctl, and sockets that come, change sides and go (see epoll.h).
 *
 * Lock order: watch_lock of the target, then lock of the set. Where one begins at the set, a reference to the target is taken first and both
 * locks are taken again in order.
 */
#include "al/sock/epoll.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>

#include "al/core/core.h"
#include "al/sock/api.h"
#include "al/sock/fork.h"
#include "al/sock/kern.h"
#include "al/sock/root.h"
#include "al/sock/sock.h"
#include "al/sock/sock_wait.h"

#define EXCLUSIVE_ALLOWED \
	(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE)

/* ---- sets ---- */

int al_sys_epoll_create1(int flags)
{
	int fd = kern_epoll_create1(flags);
	struct al_set *set;

	if (fd < 0 || al_sockets.ended)
		return fd;
	al_enter();
	set = al_pool_get(&al_sockets.sets, (sizeof(*set) + 63) / 64 * 64);
	if (set) {
		memset((uint8_t *)set + sizeof(set->file.refs), 0,
				sizeof(*set) - sizeof(set->file.refs));
		set->file.kind = AL_FILE_EPOLL;
		set->fd = fd;
		set->kick_fd = -1;
		set->bucket = set->inline_bucket;
		set->buckets_n = SET_BUCKETS;
		__atomic_store_n(&set->file.refs, 1, __ATOMIC_RELEASE);
		if (al_fdtab_set(&al_sockets.fdtab, fd, &set->file) != 0) {
			__atomic_store_n(&set->file.refs, 0, __ATOMIC_RELEASE);
			al_pool_put(&al_sockets.sets, set);
		}
	}
	al_leave();
	return fd;
}

struct al_set *al_set_enter(int epfd)
{
	struct al_file *file = al_fdtab_peek(&al_sockets.fdtab, epfd);

	if (!file || file->kind != AL_FILE_EPOLL || al_sockets.ended)
		return NULL;
	if (__builtin_expect(al_sockets.alive && !*al_sockets.alive, 0)) {
		al_fork_raw();
		return NULL;
	}
	al_enter();
	file = al_fdtab_get(&al_sockets.fdtab, epfd);
	if (file && file->kind == AL_FILE_EPOLL)
		return (struct al_set *)file;
	if (file)
		al_file_put(file);
	al_leave();
	return NULL;
}

void al_set_leave(struct al_set *set)
{
	al_file_put(&set->file);
	al_leave();
}

static int set_fd(struct al_set *set)
{
	if (al_fdtab_peek(&al_sockets.fdtab, set->fd) != &set->file)
		set->fd = al_fdtab_next(&al_sockets.fdtab, 0, &set->file);
	return set->fd;
}

static struct al_item **set_bucket(struct al_set *set, int fd)
{
	return &set->bucket[(uint32_t)fd & (set->buckets_n - 1)];
}

static struct al_item *set_find(struct al_set *set, int fd, const struct al_file *target)
{
	struct al_item *item;

	for (item = *set_bucket(set, fd); item; item = item->hash_next)
		if (item->fd == fd && item->target == target)
			return item;
	return NULL;
}

/* Twice as many buckets, if memory can be had. */
static void set_grow(struct al_set *set)
{
	uint32_t n = set->buckets_n * 4;
	struct al_item **old = set->bucket;
	uint32_t old_n = set->buckets_n;
	struct al_item **bucket;
	uint32_t i;

	bucket = mmap(NULL, n * sizeof(*bucket), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bucket == MAP_FAILED)
		return;
	set->bucket = bucket;
	set->buckets_n = n;
	for (i = 0; i < old_n; i++) {
		struct al_item *item = old[i];

		while (item) {
			struct al_item *next = item->hash_next;
			struct al_item **to = set_bucket(set, item->fd);

			item->hash_next = *to;
			*to = item;
			item = next;
		}
	}
	if (old != set->inline_bucket)
		munmap(old, old_n * sizeof(*old));
}

/* ---- items ---- */

struct al_item *al_set_mark(struct al_set *set, uint64_t data)
{
	struct al_item *item = (struct al_item *)(uintptr_t)data;

	if (!al_pool_owns(&al_sockets.items, item))
		return NULL;
	return item->set == set ? item : NULL;
}

void al_item_set_ready(struct al_item *item)
{
	struct al_set *set = item->set;

	if (item->is_ready)
		return;
	item->is_ready = true;
	item->ready_next = NULL;
	item->ready_prev = set->ready_tail;
	if (set->ready_tail)
		set->ready_tail->ready_next = item;
	else
		set->ready_head = item;
	set->ready_tail = item;
	__atomic_store_n(&set->ready_n, set->ready_n + 1, __ATOMIC_RELAXED);
}

void al_item_clear_ready(struct al_item *item)
{
	struct al_set *set = item->set;

	if (!item->is_ready)
		return;
	item->is_ready = false;
	if (item->ready_prev)
		item->ready_prev->ready_next = item->ready_next;
	else
		set->ready_head = item->ready_next;
	if (item->ready_next)
		item->ready_next->ready_prev = item->ready_prev;
	else
		set->ready_tail = item->ready_prev;
	__atomic_store_n(&set->ready_n, set->ready_n - 1, __ATOMIC_RELAXED);
}

/* Register or change the item in the kernel's instance, where it has a side there. */
static int item_kernel(struct al_item *item, int epfd, int op)
{
	struct epoll_event ev = {.events = item->events};

	if (item->kernel == AL_ITEM_NONE)
		return 0;
	if (item->kernel == AL_ITEM_MARK) {
		ev.data.u64 = (uintptr_t)item;
		ev.events &= ~(uint32_t)EPOLLOUT;
	} else {
		ev.data.u64 = item->data;
	}
	return kern_epoll_ctl(epfd, op, item->fd, &ev);
}

/* What the item is now: who looks at it. */
static void item_classify(struct al_item *item)
{
	struct al_sock *sock = (struct al_sock *)item->target;

	item->is_live = true;
	if (item->target->kind == AL_FILE_EPOLL) {
		item->kernel = AL_ITEM_MARK;
		return;
	}
	switch ((enum al_sock_state)sock->state) {
	case AL_SOCK_NEW:
	case AL_SOCK_KERNEL:
		item->kernel = AL_ITEM_USER;
		item->is_live = false;
		break;
	case AL_SOCK_LISTENING: item->kernel = AL_ITEM_MARK; break;
	case AL_SOCK_CONNECTING:
	case AL_SOCK_OPEN: item->kernel = AL_ITEM_NONE; break;
	}
}

/* With both locks. */
static void item_link(struct al_item *item)
{
	struct al_set *set = item->set;
	struct al_file *target = item->target;
	struct al_item **bucket;

	if (set->items_n >= set->buckets_n * 2)
		set_grow(set);
	bucket = set_bucket(set, item->fd);
	item->hash_next = *bucket;
	*bucket = item;
	set->items_n++;
	if (item->is_live)
		__atomic_store_n(&set->live_n, set->live_n + 1, __ATOMIC_SEQ_CST);
	if (item->kernel != AL_ITEM_NONE)
		set->kernel_n++;
	item->target_prev = NULL;
	item->target_next = target->watchers;
	if (item->target_next)
		item->target_next->target_prev = item;
	__atomic_store_n(&target->watchers, item, __ATOMIC_RELEASE);
	if (set->threads_n > 0) {
		item->is_pending = true;
		item->pending_next = set->pending;
		set->pending = item;
	}
}

/* With both locks. The memory is the caller's to free. */
static void item_unlink(struct al_item *item)
{
	struct al_set *set = item->set;
	struct al_item **at;

	al_item_clear_ready(item);
	for (at = set_bucket(set, item->fd); *at != item; at = &(*at)->hash_next)
		continue;
	*at = item->hash_next;
	if (item->is_pending) {
		for (at = &set->pending; *at != item; at = &(*at)->pending_next)
			continue;
		*at = item->pending_next;
		item->is_pending = false;
	}
	set->items_n--;
	if (item->is_live)
		set->live_n--;
	if (item->target_prev)
		item->target_prev->target_next = item->target_next;
	else
		__atomic_store_n(&item->target->watchers, item->target_next, __ATOMIC_RELEASE);
	if (item->target_next)
		item->target_next->target_prev = item->target_prev;
	item->set = NULL;
	item->gen++;
}

/* ---- readiness from below ---- */

static bool file_ready(struct al_file *file, uint32_t depth)
{
	struct al_item *item;
	bool mine = false;
	uint32_t me = al_thread_id();

	al_lock_take(&file->watch_lock);
	for (item = file->watchers; item; item = item->target_next) {
		struct al_set *set = item->set;
		uint32_t i;
		bool sleeps;

		if (!item->is_live)
			continue;
		al_lock_take(&set->lock);
		if (!item->is_disabled)
			al_item_set_ready(item);
		for (i = 0; i < set->threads_n; i++)
			mine |= set->thread[i] == me;
		sleeps = set->sleepers_n > 0;
		al_lock_drop(&set->lock);
		if (sleeps)
			al_wait_wake(&set->file);
		if (depth < SET_DEPTH_MAX && __atomic_load_n(&set->file.watchers, __ATOMIC_ACQUIRE))
			mine |= file_ready(&set->file, depth + 1);
	}
	al_lock_drop(&file->watch_lock);
	return mine;
}

bool al_epoll_file_ready(struct al_file *file)
{
	return file_ready(file, 0);
}

void al_epoll_file_gone(struct al_file *file)
{
	struct al_item *item;

	if (!__atomic_load_n(&file->watchers, __ATOMIC_ACQUIRE))
		return;
	al_lock_take(&file->watch_lock);
	while ((item = file->watchers) != NULL) {
		struct al_set *set = item->set;

		al_lock_take(&set->lock);
		item_unlink(item);
		al_lock_drop(&set->lock);
		al_pool_put(&al_sockets.items, item);
	}
	al_lock_drop(&file->watch_lock);
}

void al_epoll_sock_moved(struct al_sock *sock)
{
	struct al_item *item;

	if (!__atomic_load_n(&sock->file.watchers, __ATOMIC_ACQUIRE))
		return;
	al_lock_take(&sock->file.watch_lock);
	for (item = sock->file.watchers; item; item = item->target_next) {
		struct al_set *set = item->set;
		struct al_item before;
		int epfd;

		al_lock_take(&set->lock);
		before = *item;
		epfd = set_fd(set);
		if (item->is_live)
			set->live_n--;
		item_classify(item);
		if (item->is_live)
			__atomic_store_n(&set->live_n, set->live_n + 1, __ATOMIC_SEQ_CST);
		if (before.kernel != AL_ITEM_NONE && item->kernel == AL_ITEM_NONE) {
			kern_epoll_ctl(epfd, EPOLL_CTL_DEL, item->fd, NULL);
		} else if (before.kernel == AL_ITEM_NONE && item->kernel != AL_ITEM_NONE) {
			set->kernel_n++;
			item_kernel(item, epfd, EPOLL_CTL_ADD);
		} else if (before.kernel != item->kernel) {
			/* Not by MOD, which EPOLLEXCLUSIVE forbids. */
			kern_epoll_ctl(epfd, EPOLL_CTL_DEL, item->fd, NULL);
			item_kernel(item, epfd, EPOLL_CTL_ADD);
		}
		if (item->is_live) {
			if (set->threads_n > 0 && !item->is_pending) {
				item->watched = 0;
				item->is_pending = true;
				item->pending_next = set->pending;
				set->pending = item;
			}
			al_item_set_ready(item);
		} else {
			al_item_clear_ready(item);
		}
		al_lock_drop(&set->lock);
	}
	al_lock_drop(&sock->file.watch_lock);
}

/* ---- epoll_ctl ---- */

/* Threads that sleep on @set must look again: a new item, or one changed. */
static void set_stir(struct al_set *set)
{
	uint64_t one = 1;

	if (__atomic_load_n(&set->kernel_sleepers_n, __ATOMIC_SEQ_CST) > 0) {
		al_lock_take(&set->lock);
		if (set->kick_fd < 0) {
			struct epoll_event ev = {.events = EPOLLIN};
			int fd = kern_eventfd(0, 0x80800 /* EFD_CLOEXEC | EFD_NONBLOCK */);
			int high = fd >= 0 ? kern_fcntl(fd, 1030 /* F_DUPFD_CLOEXEC */, 500) : -1;

			if (high >= 0) {
				kern_close(fd);
				fd = high;
			}
			ev.data.u64 = (uintptr_t)set;
			if (fd >= 0 && kern_epoll_ctl(set_fd(set), EPOLL_CTL_ADD, fd, &ev) == 0)
				set->kick_fd = fd;
			else if (fd >= 0)
				kern_close(fd);
		}
		al_lock_drop(&set->lock);
		if (set->kick_fd >= 0)
			kern_write(set->kick_fd, &one, sizeof(one));
	}
	if (__atomic_load_n(&set->sleepers_n, __ATOMIC_SEQ_CST) > 0)
		al_wait_wake(&set->file);
	/* Who waits on a set around this one subscribes when it looks in here. */
	if (__atomic_load_n(&set->file.watchers, __ATOMIC_ACQUIRE))
		al_epoll_file_ready(&set->file);
}

static int ctl_add(struct al_set *set, int epfd, int fd, struct al_file *target,
		const struct epoll_event *ev)
{
	struct al_item *item = al_pool_get(&al_sockets.items, (sizeof(*item) + 63) / 64 * 64);
	uint32_t gen;
	int ret = 0;

	if (!item)
		return -ENOMEM;
	al_lock_take(&target->watch_lock);
	al_lock_take(&set->lock);
	if (set_find(set, fd, target)) {
		ret = -EEXIST;
	} else {
		gen = item->gen;
		memset(item, 0, sizeof(*item));
		item->gen = gen + 1;
		item->set = set;
		item->target = target;
		item->fd = fd;
		item->events = ev->events;
		item->data = ev->data.u64;
		item_classify(item);
		ret = item_kernel(item, epfd, EPOLL_CTL_ADD);
		if (ret == 0) {
			item_link(item);
			if (item->is_live)
				al_item_set_ready(
						item); /* the level now: looked at by the next wait */
		} else {
			item->set = NULL;
		}
	}
	al_lock_drop(&set->lock);
	al_lock_drop(&target->watch_lock);
	if (ret)
		al_pool_put(&al_sockets.items, item);
	else
		set_stir(set);
	return ret;
}

static int ctl_mod(struct al_set *set, int epfd, int fd, struct al_file *target,
		const struct epoll_event *ev)
{
	struct al_item *item;
	int ret = -ENOENT;

	al_lock_take(&target->watch_lock);
	al_lock_take(&set->lock);
	item = set_find(set, fd, target);
	if (item && ((item->events | ev->events) & EPOLLEXCLUSIVE)) {
		ret = -EINVAL;
	} else if (item) {
		item->events = ev->events;
		item->data = ev->data.u64;
		item->is_disabled = false;
		ret = item_kernel(item, epfd, EPOLL_CTL_MOD);
		if (item->is_live)
			al_item_set_ready(item);
	}
	al_lock_drop(&set->lock);
	al_lock_drop(&target->watch_lock);
	if (ret == 0)
		set_stir(set);
	return ret;
}

static int ctl_del(struct al_set *set, int epfd, int fd, struct al_file *target)
{
	struct al_item *item;

	al_lock_take(&target->watch_lock);
	al_lock_take(&set->lock);
	item = set_find(set, fd, target);
	if (item) {
		if (item->kernel != AL_ITEM_NONE)
			kern_epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL);
		item_unlink(item);
	}
	al_lock_drop(&set->lock);
	al_lock_drop(&target->watch_lock);
	if (!item)
		return -ENOENT;
	al_pool_put(&al_sockets.items, item);
	return 0;
}

static int ctl_file(struct al_set *set, int epfd, int op, int fd, struct al_file *target,
		const struct epoll_event *ev)
{
	if (target == &set->file)
		return -EINVAL;
	if (op != EPOLL_CTL_DEL && !ev)
		return -EFAULT;
	if (op == EPOLL_CTL_ADD && (ev->events & EPOLLEXCLUSIVE) &&
			((ev->events & ~(uint32_t)EXCLUSIVE_ALLOWED) ||
					target->kind == AL_FILE_EPOLL))
		return -EINVAL;
	switch (op) {
	case EPOLL_CTL_ADD: return ctl_add(set, epfd, fd, target, ev);
	case EPOLL_CTL_MOD: return ctl_mod(set, epfd, fd, target, ev);
	case EPOLL_CTL_DEL: return ctl_del(set, epfd, fd, target);
	default: return -EINVAL;
	}
}

int al_sys_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	struct al_set *set = al_set_enter(epfd);
	struct al_file *target;
	int ret;

	if (!set)
		return kern_epoll_ctl(epfd, op, fd, ev);
	target = al_fdtab_get(&al_sockets.fdtab, fd);
	if (target && target->kind == AL_FILE_SOCK &&
			((struct al_sock *)target)->state == AL_SOCK_KERNEL && !target->watchers) {
		al_file_put(target);
		target = NULL;
	}
	if (target) {
		ret = ctl_file(set, epfd, op, fd, target, ev);
		al_file_put(target);
	} else if (al_sockets.started && al_fd_is_own(fd)) {
		ret = -EBADF;
	} else {
		ret = kern_epoll_ctl(epfd, op, fd, ev);
		if (ret == 0 && op == EPOLL_CTL_ADD)
			__atomic_fetch_add(&set->kernel_n, 1, __ATOMIC_RELAXED);
	}
	al_set_leave(set);
	return ret;
}

/* ---- the end ---- */

void al_set_forget_threads(struct al_set *set)
{
	struct al_item *item;

	set->threads_n = 0;
	set->sleepers_n = 0;
	set->kernel_sleepers_n = 0;
	while ((item = set->pending) != NULL) {
		set->pending = item->pending_next;
		item->is_pending = false;
	}
}

static struct al_item *set_any(struct al_set *set)
{
	uint32_t i;

	for (i = 0; i < set->buckets_n; i++)
		if (set->bucket[i])
			return set->bucket[i];
	return NULL;
}

void al_set_free(struct al_set *set)
{
	struct al_item *item;

	al_epoll_file_gone(&set->file);
	for (;;) {
		struct al_file *target = NULL;

		al_lock_take(&set->lock);
		item = set_any(set);
		if (item && al_file_hold(item->target))
			target = item->target;
		al_lock_drop(&set->lock);
		if (!item)
			break;
		if (!target)
			continue; /* its last close is taking the item out */
		al_lock_take(&target->watch_lock);
		al_lock_take(&set->lock);
		if (item->set == set && item->target == target)
			item_unlink(item);
		else
			item = NULL;
		al_lock_drop(&set->lock);
		al_lock_drop(&target->watch_lock);
		if (item)
			al_pool_put(&al_sockets.items, item);
		al_file_put(target);
	}
	if (set->kick_fd >= 0)
		kern_close(set->kick_fd);
	if (set->bucket != set->inline_bucket)
		munmap(set->bucket, set->buckets_n * sizeof(*set->bucket));
	al_pool_put(&al_sockets.sets, set);
}
