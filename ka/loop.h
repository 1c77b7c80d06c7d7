/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * KA's event loop: descriptors by epoll, and a few timers.
 *
 * KA is one thread. Everything it does starts here as a callback that returns quickly and never blocks. A watch and a timer are the caller's memory and
 * may be deleted from within any callback, their own included: a batch entry whose watch is gone is skipped.
 *
 * Limits: at most LOOP_BATCH events a turn, so that a flood on one descriptor does not starve the timers.
 */
#ifndef KA_LOOP_H
#define KA_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include <eta/abi.h>

#define LOOP_BATCH 64

struct loop_watch {
	int fd;
	uint32_t events;                              /* EPOLL*, level triggered */
	void (*on_ready)(void *arg, uint32_t events); /* EPOLL* that hold */
	void *arg;
	bool is_added; /* the loop's */
};

struct loop_timer {
	uint64_t due_ms; /* CLOCK_MONOTONIC */
	void (*on_due)(void *arg);
	void *arg;
	struct loop_timer *next; /* the loop's: sorted list */
	bool is_armed;
};

struct loop {
	int epoll_fd;
	bool is_stopping;
	struct loop_timer *timers;
	struct epoll_event batch[LOOP_BATCH];
	int batch_n, batch_at;
};

uint64_t loop_now_ms(void);
/* 0 or -errno. */
int loop_init(struct loop *loop);
void loop_fini(struct loop *loop);
/* Watch @watch->fd. 0 or -errno. */
int loop_add(struct loop *loop, struct loop_watch *watch);
int loop_change(struct loop *loop, struct loop_watch *watch, uint32_t events);
/* Before the descriptor is closed. Harmless if not added. */
void loop_del(struct loop *loop, struct loop_watch *watch);
void loop_timer_arm(struct loop *loop, struct loop_timer *timer, uint32_t in_ms);
void loop_timer_disarm(struct loop *loop, struct loop_timer *timer);
/* One turn: wait at most @wait_ms (-1 = for ever), call what is ready and due. Return: callbacks made, or -errno. */
int loop_turn(struct loop *loop, int wait_ms);
/* Turn until loop->is_stopping. */
void loop_run(struct loop *loop);

#endif
