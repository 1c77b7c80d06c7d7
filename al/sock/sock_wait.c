/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The waiting loop (see sock_wait.h), and the list of sleepers of this process.
 *
 * A sleeper lies in its thread's TLS. A handler may siglongjmp() out of a sleep and leave it listed and armed: the thread's next wait
 * takes it back first; a cancelled thread by its cleanup handler.
 */
#include "al/sock/sock_wait.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sys/single_threaded.h>
#include <x86intrin.h>

#include "al/core/core.h"
#include "al/sock/kern.h"
#include "al/sock/root.h"
#include "al/sock/sock.h"

#define WAIT_NO_ENGINE_NS 100000000ll /* without wake descriptor: look this often */
#define NS_PER_S 1000000000ll
#define NS_PER_MS 1000000ll

static void sleeper_list(struct al_sleeper *sleeper, const void *what)
{
	sleeper->what = what;
	sleeper->waiter = al_this_waiter();
	al_lock_take(&al_sockets.sleepers_lock);
	sleeper->prev = NULL;
	sleeper->next = al_sockets.sleepers;
	if (sleeper->next)
		sleeper->next->prev = sleeper;
	al_sockets.sleepers = sleeper;
	sleeper->is_listed = true;
	__atomic_fetch_add(&al_sockets.sleepers_n, 1, __ATOMIC_SEQ_CST);
	al_lock_drop(&al_sockets.sleepers_lock);
}

static void sleeper_unlist(struct al_sleeper *sleeper)
{
	al_lock_take(&al_sockets.sleepers_lock);
	if (sleeper->is_listed) {
		if (sleeper->prev)
			sleeper->prev->next = sleeper->next;
		else
			al_sockets.sleepers = sleeper->next;
		if (sleeper->next)
			sleeper->next->prev = sleeper->prev;
		sleeper->is_listed = false;
		__atomic_fetch_sub(&al_sockets.sleepers_n, 1, __ATOMIC_SEQ_CST);
	}
	al_lock_drop(&al_sockets.sleepers_lock);
}

static void sleeper_rise(struct al_sleeper *sleeper)
{
	if (sleeper->is_listed)
		sleeper_unlist(sleeper);
	if (sleeper->is_armed) {
		sleeper->is_armed = false;
		al_wait_disarm();
	}
}

/* A thread is cancelled in its sleep. */
static void wait_cancelled(void *arg)
{
	al_tls.inside++;
	sleeper_rise(arg);
	al_tls.inside--;
}

void al_wait_wake(const void *what)
{
	struct al_sleeper *sleeper;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&al_sockets.sleepers_n, __ATOMIC_RELAXED) == 0)
		return;
	al_lock_take(&al_sockets.sleepers_lock);
	for (sleeper = al_sockets.sleepers; sleeper; sleeper = sleeper->next)
		if ((!sleeper->what || sleeper->what == what) && sleeper != &al_tls.sleeper)
			al_wake_thread(sleeper->waiter);
	al_lock_drop(&al_sockets.sleepers_lock);
}

int64_t al_wait_deadline(int64_t ns)
{
	int64_t now;

	if (ns < 0)
		return AL_WAIT_FOREVER;
	if (ns == 0)
		return 0;
	now = al_now_ns();
	return ns < INT64_MAX - now ? now + ns : AL_WAIT_FOREVER;
}

/* ppoll() as a cancellation point, outside AL. */
static int wait_ppoll(struct al_wait *wait, nfds_t n, const struct timespec *ts, uint32_t handled_n)
{
	int rc;

	al_leave();
	if (al_tls.handled_n != handled_n) {
		rc = -EINTR; /* served a moment ago: do not sleep over it */
	} else if (__libc_single_threaded) {
		rc = kern_ppoll(wait->pfd, n, ts, wait->mask);
	} else {
		int type;

		pthread_cleanup_push(wait_cancelled, &al_tls.sleeper);
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
		rc = kern_ppoll(wait->pfd, n, ts, wait->mask);
		pthread_setcanceltype(type, NULL);
		pthread_cleanup_pop(0);
	}
	al_enter();
	return rc;
}

/* Did the kernel's descriptors end the sleep, and not only our wake descriptor behind them? */
static bool is_kernel_ready(const struct al_wait *wait)
{
	for (nfds_t i = 0; i < wait->pfd_n; i++)
		if (wait->pfd[i].revents)
			return true;
	return false;
}

/* Return: as ready(); 0 = woken or a slice of time is over; -EINTR. */
static long wait_sleep(struct al_wait *wait)
{
	struct al_sleeper *sleeper = &al_tls.sleeper;
	struct timespec ts;
	int64_t left = INT64_MAX;
	nfds_t n = wait->pfd_n;
	uint32_t handled_n = al_tls.handled_n;
	long ret;
	int fd;
	int rc;

	fd = al_wait_arm();
	sleeper->is_armed = fd >= 0;
	sleeper_list(sleeper, wait->what);
	al_poll_events();
	ret = wait->ready(wait, false);
	/* A handler that ran since the last look is what the caller may be waiting for. */
	if (ret || al_tls.sig_pending) {
		sleeper_rise(sleeper);
		return ret;
	}
	if (fd >= 0) {
		int slice_ms = al_wait_timeout_ms();

		wait->pfd[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
		if (slice_ms >= 0)
			left = slice_ms * NS_PER_MS;
	} else {
		left = WAIT_NO_ENGINE_NS;
	}
	if (wait->deadline_ns != AL_WAIT_FOREVER) {
		int64_t now = al_now_ns();

		if (wait->deadline_ns - now < left)
			left = wait->deadline_ns > now ? wait->deadline_ns - now : 0;
	}
	ts = (struct timespec){.tv_sec = left / NS_PER_S, .tv_nsec = left % NS_PER_S};
	al_count(AL_COUNT_SLEEPS);
	rc = wait_ppoll(wait, n, left == INT64_MAX ? NULL : &ts, handled_n);
	sleeper_rise(sleeper);
	if (rc == -EINTR)
		return rc;
	if (rc > 0 && is_kernel_ready(wait)) {
		al_poll_events();
		ret = wait->ready(wait, true);
		if (ret)
			return ret;
	}
	return al_tls.handled_n != handled_n ? -EINTR : 0;
}

/* Did a handler run that ends this call? Serves a deferred one first. */
static bool wait_interrupted(
		const struct al_wait *wait, uint32_t *handled_n, uint32_t *norestart_n, bool eintr)
{
	bool ends;

	if (al_tls.sig_pending) {
		uint32_t depth = al_tls.inside;

		al_tls.inside = 1;
		al_leave();
		al_tls.inside = depth;
	}
	if (!wait->restarts)
		return eintr || al_tls.handled_n != *handled_n;
	ends = al_tls.norestart_n != *norestart_n;
	*handled_n = al_tls.handled_n;
	*norestart_n = al_tls.norestart_n;
	return ends;
}

long al_wait(struct al_wait *wait)
{
	uint32_t handled_n = al_tls.handled_n;
	uint32_t norestart_n = al_tls.norestart_n;
	uint64_t looked_tsc = 0;
	long ret;

	sleeper_rise(&al_tls.sleeper);
	for (;;) {
		bool eintr = false;
		uint64_t now_tsc;

		al_poll_events();
		ret = wait->ready(wait, false);
		if (ret)
			return ret;
		now_tsc = __rdtsc();
		if (wait->pfd_n && !wait->asleep_only && now_tsc - looked_tsc > AL_KERN_LOOK_CYC) {
			const struct timespec none = {0};

			looked_tsc = now_tsc;
			if (kern_ppoll(wait->pfd, wait->pfd_n, &none, NULL) > 0) {
				ret = wait->ready(wait, true);
				if (ret)
					return ret;
			}
		}
		if (wait->deadline_ns != AL_WAIT_FOREVER &&
				(wait->deadline_ns == 0 || al_now_ns() >= wait->deadline_ns))
			return 0;
		if (!al_tls.sig_pending && !al_wait_spin()) {
			ret = wait_sleep(wait);
			if (ret && ret != -EINTR)
				return ret;
			eintr = ret == -EINTR;
		}
		if (wait_interrupted(wait, &handled_n, &norestart_n, eintr))
			return -EINTR;
	}
}
