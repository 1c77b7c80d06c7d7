/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Signal handlers and AL in one thread.
 *
 * A handler that uses a socket while its thread is inside AL would meet AL's own locks and half-made lists. So handlers are installed behind
 * a wrapper of ours: while the thread is inside (al_tls.inside > 0) the wrapper notes the signal, holds all others back until the note is
 * served, and returns; al_leave() runs the handler, at a point where no lock is held. Where AL sleeps it is not inside, so handlers run at
 * once there, as in the kernel's own wait. Synchronous signals (SIGSEGV...) are never deferred.
 *
 * The wrapper also learns what the kernel would know: whether the handler asked for SA_RESTART (al_tls.norestart_n).
 *
 * Limits: a deferred handler sees a copy of the interrupted context without FPU state, and runs on the ordinary stack.
 */
#ifndef AL_SOCK_SIGNAL_H
#define AL_SOCK_SIGNAL_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ucontext.h>

#define AL_SIGNALS 65

/* One waiting thread, in the list of sleepers (sock_wait.h). */
struct al_sleeper {
	struct al_sleeper *next;
	struct al_sleeper *prev;
	const void *what; /* file slept on, NULL: several */
	struct al_waiter *waiter;
	bool is_listed;
	bool is_armed;
};

struct al_tls {
	uint32_t inside;      /* depth of AL calls of this thread */
	uint32_t sig_pending; /* a deferred signal is noted */
	uint32_t handled_n;   /* handlers of the program that ran in this thread */
	uint32_t norestart_n; /* of these, without SA_RESTART */
	uint32_t thread_id;   /* ours, never 0 once given, never used twice */
	int sig;
	uint64_t engine_look_tsc; /* last look whether the engine lives */
	uint64_t sig_mask;        /* to be restored after the deferred handler */
	struct al_sleeper sleeper;
	siginfo_t info;
	ucontext_t context;
};

extern __thread struct al_tls al_tls __attribute__((tls_model("initial-exec")));

void al_signal_run(void);

static inline void al_enter(void)
{
	al_tls.inside++;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* Leave AL; the handler of a signal that came meanwhile runs here. */
static inline void al_leave(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	al_tls.inside--;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (__builtin_expect(al_tls.sig_pending, 0) && al_tls.inside == 0)
		al_signal_run();
}

/* sigaction() as the program sees it. Return 0 or -errno. */
int al_sys_sigaction(int sig, const struct sigaction *act, struct sigaction *old);

#endif
