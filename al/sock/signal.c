/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Deferral of signal handlers (see signal.h).
 *
 * The table holds what the program installed; the kernel holds our wrapper with the program's flags and mask. A reader in the wrapper may meet a
 * writer in another thread: flags are stored before the function, and a handler replaced at that very moment may run once
 * more, as it may in the kernel.
 */
#include "al/sock/signal.h"

#include <errno.h>
#include <string.h>

#include "al/sock/kern.h"
#include "al/sock/root.h"

__thread struct al_tls al_tls;

extern int __sigaction(int sig, const struct sigaction *act, struct sigaction *old);

static bool signal_is_synchronous(int sig)
{
	return sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL ||
	       sig == SIGTRAP || sig == SIGSYS || sig == SIGABRT;
}

/* Run the program's handler. */
static void signal_call(int sig, siginfo_t *info, void *context)
{
	struct al_action *action = &al_sockets.action[sig];
	int flags = __atomic_load_n(&action->flags, __ATOMIC_ACQUIRE);
	void *fn = __atomic_load_n(&action->fn, __ATOMIC_ACQUIRE);

	if (flags & (int)SA_RESETHAND)
		__atomic_store_n(&action->fn, (void *)SIG_DFL, __ATOMIC_RELEASE);
	al_tls.handled_n++;
	if (!(flags & SA_RESTART))
		al_tls.norestart_n++;
	if (fn == (void *)SIG_DFL || fn == (void *)SIG_IGN)
		return;
	if (flags & SA_SIGINFO)
		((void (*)(int, siginfo_t *, void *))fn)(sig, info, context);
	else
		((void (*)(int))fn)(sig);
}

static void signal_wrapper(int sig, siginfo_t *info, void *context)
{
	struct al_tls *tls = &al_tls;
	ucontext_t *uc = context;
	int saved = errno;
	uint64_t all;

	if (tls->inside == 0 || signal_is_synchronous(sig) || tls->sig_pending) {
		signal_call(sig, info, context);
		return;
	}
	tls->sig = sig;
	tls->info = *info;
	memcpy(&tls->context, uc, sizeof(*uc) - sizeof(uc->__fpregs_mem) - sizeof(uc->__ssp));
	tls->context.uc_mcontext.fpregs = NULL;
	memcpy(&tls->sig_mask, &uc->uc_sigmask, sizeof(tls->sig_mask));
	all = ~((1ull << (SIGSEGV - 1)) | (1ull << (SIGBUS - 1)) | (1ull << (SIGFPE - 1)) |
			(1ull << (SIGILL - 1)) | (1ull << (SIGTRAP - 1)) | (1ull << (SIGSYS - 1)) |
			(1ull << (SIGABRT - 1)));
	memcpy(&uc->uc_sigmask, &all, sizeof(all));
	__atomic_store_n(&tls->sig_pending, 1, __ATOMIC_RELEASE);
	errno = saved;
}

/* Serve the noted signal; called with inside == 0 and no lock held. */
void al_signal_run(void)
{
	struct al_tls *tls = &al_tls;
	siginfo_t info = tls->info;
	ucontext_t context = tls->context;
	uint64_t mask = tls->sig_mask;
	uint64_t during;
	int saved = errno;
	int sig = tls->sig;

	memcpy(&during, &al_sockets.action[sig].mask, sizeof(during));
	during |= mask;
	if (!(al_sockets.action[sig].flags & SA_NODEFER))
		during |= 1ull << (sig - 1);
	tls->sig_pending = 0;
	kern_sigmask(SIG_SETMASK, &during, NULL);
	signal_call(sig, &info, &context);
	kern_sigmask(SIG_SETMASK, &mask, NULL);
	errno = saved;
}

static void *signal_function(const struct sigaction *act)
{
	if (act->sa_flags & SA_SIGINFO)
		return (void *)act->sa_sigaction;
	return (void *)act->sa_handler;
}

int al_sys_sigaction(int sig, const struct sigaction *act, struct sigaction *old)
{
	struct al_action *action;
	struct al_action before;
	struct sigaction wrapped;
	struct sigaction real_old;

	if (sig < 1 || sig >= AL_SIGNALS || sig == SIGKILL || sig == SIGSTOP)
		return __sigaction(sig, act, old) ? -errno : 0;
	action = &al_sockets.action[sig];
	before = *action;
	if (act) {
		wrapped = *act;
		if (signal_function(act) != (void *)SIG_DFL &&
				signal_function(act) != (void *)SIG_IGN) {
			wrapped.sa_sigaction = signal_wrapper;
			wrapped.sa_flags |= SA_SIGINFO;
			__atomic_store_n(&action->flags, act->sa_flags, __ATOMIC_RELEASE);
			memcpy(&action->mask, &act->sa_mask, sizeof(action->mask));
			__atomic_store_n(&action->fn, signal_function(act), __ATOMIC_RELEASE);
		}
	}
	if (__sigaction(sig, act ? &wrapped : NULL, &real_old)) {
		*action = before;
		return -errno;
	}
	if (old) {
		*old = real_old;
		if ((real_old.sa_flags & SA_SIGINFO) && real_old.sa_sigaction == signal_wrapper) {
			old->sa_flags = before.flags |
					(real_old.sa_flags & ~(SA_SIGINFO | SA_RESTART));
			if (before.flags & SA_SIGINFO)
				old->sa_sigaction = (void (*)(int, siginfo_t *, void *))before.fn;
			else
				old->sa_handler = (void (*)(int))before.fn;
		}
	}
	return 0;
}
