/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waiting: for ETA sockets and kernel descriptors together.
 *
 * The one loop behind every call that blocks: drain events, look; spin while that pays, with a look at the kernel's descriptors at most
 * every 50 us; arm, look once more, sleep in ppoll() on the kernel's descriptors and the wake descriptor. While asleep the thread is not
 * "inside" (signal.h): handlers run at once, and may jump out. Cancellation acts there, too.
 */
#ifndef AL_SOCK_SOCK_WAIT_H
#define AL_SOCK_SOCK_WAIT_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#define AL_WAIT_FOREVER INT64_MAX

struct al_wait {
	/*
	 * Is it over? Called after events were drained, without locks. @kern: pfd[] has just been polled and something is ready there.
	 * Return 0 to go on waiting; anything else ends the wait and is its result.
	 */
	long (*ready)(struct al_wait *wait, bool kern);
	void *arg;
	const void *what;   /* file waited for, NULL: several */
	struct pollfd *pfd; /* kernel descriptors: pfd_n, and room for one more */
	nfds_t pfd_n;
	bool asleep_only;    /* nothing is expected of the kernel: poll it only while asleep */
	int64_t deadline_ns; /* on CLOCK_MONOTONIC; AL_WAIT_FOREVER; 0 = only look */
	const void *mask;    /* kernel signal set while asleep, NULL: unchanged */
	bool restarts;       /* after a handler with SA_RESTART */
};

/* Return: what ready() returned; 0 time is up; -EINTR. */
long al_wait(struct al_wait *wait);
/* Something that events do not tell happened to @what: let its waiters look again. */
void al_wait_wake(const void *what);
/* The deadline of a relative time; @ns < 0: none. */
int64_t al_wait_deadline(int64_t ns);

#endif
