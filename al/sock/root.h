/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one root object of the sockets layer: everything this process shares between its threads.
 *
 * Statically zero, and zero is its valid empty state, so that it can be used before any constructor ran.
 */
#ifndef AL_SOCK_ROOT_H
#define AL_SOCK_ROOT_H

#include <stdbool.h>
#include <stdint.h>

#include "al/sock/count.h"
#include "al/sock/file.h"
#include "al/sock/lock.h"
#include "al/sock/policy.h"
#include "al/sock/pool.h"
#include "al/sock/signal.h"

struct al_action {
	void *fn;
	uint64_t mask;
	int flags;
};

enum al_log {
	AL_LOG_OFF = 0,
	AL_LOG_ERROR,
	AL_LOG_WARN,
	AL_LOG_INFO,
	AL_LOG_DEBUG,
};

struct al_sockets {
	/* read on every call */
	uint32_t *alive; /* page that fork wipes: 1 in the process that set it up; NULL before set-up */
	uint32_t ended;    /* the process is ending: everything is the kernel's */
	uint32_t started;  /* 0 no, 1 being set up, 2 done */
	uint32_t log;      /* enum al_log */
	uint32_t thread_n; /* thread ids given */
	int64_t attach_retry_ns;

	/* threads that sleep in AL */
	struct al_lock sleepers_lock __attribute__((aligned(64)));
	uint32_t sleepers_n;
	struct al_sleeper *sleepers;

	struct al_policy policy;
	struct al_counts counts;
	struct al_action action[AL_SIGNALS];
	struct al_pool socks;
	struct al_pool sets;
	struct al_pool items;
	struct al_fdtab fdtab;
};

extern struct al_sockets al_sockets;

/* Read the environment, prepare fork. Idempotent; the first entry of any thread does it. */
void al_sockets_start(void);
/* Attach to etad if not yet; tried again at most once a second. Return 0 or -errno. */
int al_sockets_attach(void);
/* The process ends in order: close what we hold. */
void al_sockets_end(void);
/* This thread's number. */
uint32_t al_thread_id(void);
/* CLOCK_MONOTONIC. */
int64_t al_now_ns(void);

#endif
