/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Epoll sets that hold ETA sockets beside kernel descriptors.
 *
 * The descriptor of a set is a real epoll instance of the kernel: kernel descriptors are registered there with the program's own data, so a set
 * without ETA sockets is the kernel's affair alone. ETA sockets are items of the struct al_set beside it. A listener and a nested set have two sides:
 * they are items here and are registered in the kernel too, there with the address of the item as data (an address of our private
 * memory, which no program's data can be), so that what the kernel says of them comes back to the item.
 *
 * Readiness: the conn's events put an item on the ready list; epoll_wait() takes items from its head and looks at the socket itself, so a
 * stale entry costs a look and never a false event. Level-triggered items go back to the tail while ready; edge-triggered ones
 * leave; one-shot ones are disabled until EPOLL_CTL_MOD. Kernel and ETA take turns at coming first.
 *
 * Threads: every thread that waits on a set subscribes to all its conns (the engine tells each of them); the ready list is shared under
 * the set's lock. A thread that drains an event of a set where others sleep wakes them.
 *
 * Limits: after fork, EPOLL_CTL_ADD of ETA sockets in one process is not seen in the other (kernel descriptors are shared, as always).
 */
#ifndef AL_SOCK_EPOLL_H
#define AL_SOCK_EPOLL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "al/sock/file.h"
#include "al/sock/lock.h"

#define SET_THREADS 8u /* threads of a set that are remembered; more work, with more subscribing */
#define SET_BUCKETS 16u
#define SET_DEPTH_MAX 5u /* nesting the kernel allows */

struct al_sock;

enum al_item_kernel {
	AL_ITEM_NONE = 0, /* not registered in the kernel */
	AL_ITEM_USER,     /* with the program's data: an undecided socket */
	AL_ITEM_MARK,     /* with our address as data: listener, nested set */
};

struct al_item {
	struct al_set *set;     /* NULL: free */
	struct al_file *target; /* no reference: the item goes before the file */
	struct al_item *target_next, *target_prev;
	struct al_item *hash_next;
	struct al_item *ready_next, *ready_prev;
	struct al_item *pending_next;
	uint64_t data;
	uint32_t events;
	int fd;
	uint32_t gen;     /* raised at each use of this memory */
	uint8_t kernel;   /* enum al_item_kernel */
	uint8_t watched;  /* bit per thread of the set that has subscribed */
	bool is_ready;    /* on the ready list */
	bool is_pending;  /* on the pending list */
	bool is_disabled; /* EPOLLONESHOT has fired */
	bool is_live;     /* an ETA socket, listener or set: looked at here */
	void *link;       /* of the pool */
};

struct al_set {
	struct al_file file;
	struct al_lock lock;
	int fd; /* one of its numbers */
	uint32_t items_n;
	uint32_t live_n;   /* items looked at here: 0 = the kernel's affair */
	uint32_t kernel_n; /* descriptors ever registered in the kernel: 0 = no need to look there */
	uint32_t buckets_n;
	struct al_item **bucket;
	struct al_item *inline_bucket[SET_BUCKETS];
	struct al_item *ready_head, *ready_tail;
	uint32_t ready_n;
	struct al_item *pending; /* items that some thread of the set has yet to subscribe to */
	uint32_t threads_n;
	uint32_t thread[SET_THREADS];
	uint32_t sleepers_n;
	uint32_t kernel_sleepers_n; /* threads inside the kernel's epoll_wait: while live_n was 0 */
	int kick_fd;                /* eventfd that gets those out, -1 none yet */
	bool kernel_first;
	bool engine_gone; /* all items have been told of its end */
	uint64_t kern_look_tsc;
	void *link;
};

/* @file became ready, perhaps. Return: is this thread one that waits for it? */
bool al_epoll_file_ready(struct al_file *file);
/* The last number of @file is closed: it leaves all sets. */
void al_epoll_file_gone(struct al_file *file);
/* @sock became ETA's, or the kernel's. */
void al_epoll_sock_moved(struct al_sock *sock);
void al_set_free(struct al_set *set);
void al_set_forget_threads(struct al_set *set);

/* For poll() and nested sets: is something ready? May ask the kernel. */
uint32_t al_set_ready(struct al_set *set, int fd, uint32_t depth);
/* This thread is going to wait on @set: subscribe to what it has not yet. */
void al_set_join(struct al_set *set, uint32_t depth);

/* ---- between epoll.c (what is in a set) and epoll_wait.c (what comes out) ---- */
struct al_set *al_set_enter(int epfd);
void al_set_leave(struct al_set *set);
/* The item whose address the kernel gave back, or NULL: the program's data. */
struct al_item *al_set_mark(struct al_set *set, uint64_t data);
void al_item_set_ready(struct al_item *item);   /* with the set's lock */
void al_item_clear_ready(struct al_item *item); /* with the set's lock */

#endif
