/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Start and end of the sockets layer in a process.
 *
 * Start is lazy and happens at the first TCP socket; until then the layer is a table of zeroes. Attaching is tried again at most once a
 * second, so a program that was started before etad takes its later sockets to ETA.
 */
#include "al/sock/root.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "al/core/core.h"
#include "al/sock/fork.h"
#include "al/sock/kern.h"
#include "al/sock/sock.h"

#define ROOT_RETRY_NS 1000000000ll

struct al_sockets al_sockets;

int64_t al_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

uint32_t al_thread_id(void)
{
	if (al_tls.thread_id == 0)
		al_tls.thread_id = __atomic_add_fetch(&al_sockets.thread_n, 1, __ATOMIC_RELAXED);
	return al_tls.thread_id;
}

static void root_log_level(void)
{
	static const char *const name[] = {"off", "error", "warn", "info", "debug"};
	const char *level = getenv("ETA_LOG");
	uint32_t i;

	for (i = 0; level && i < sizeof(name) / sizeof(*name); i++)
		if (strcmp(level, name[i]) == 0)
			al_sockets.log = i;
}

static void root_say(const char *text)
{
	if (al_sockets.log >= AL_LOG_ERROR)
		kern_write(2, text, strlen(text));
}

static void root_policy(void)
{
	const char *only = getenv("ETA_ONLY");
	const char *not = getenv("ETA_NOT");
	int bad = 0;

	if (only && *only)
		bad |= al_policy_parse(&al_sockets.policy, only, false);
	if (not &&*not )
		bad |= al_policy_parse(&al_sockets.policy, not, true);
	if (bad)
		root_say("eta: a rule of --only or --not is not understood and matches nothing\n");
}

void al_sockets_start(void)
{
	uint32_t none = 0;
	uint32_t *page;

	if (__atomic_load_n(&al_sockets.started, __ATOMIC_ACQUIRE) == 2)
		return;
	if (!__atomic_compare_exchange_n(&al_sockets.started, &none, 1, false, __ATOMIC_ACQUIRE,
			    __ATOMIC_ACQUIRE)) {
		while (__atomic_load_n(&al_sockets.started, __ATOMIC_ACQUIRE) != 2)
			__builtin_ia32_pause();
		return;
	}
	root_log_level();
	root_policy();
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page != MAP_FAILED && madvise(page, 4096, MADV_WIPEONFORK) == 0) {
		*page = 1;
		__atomic_store_n(&al_sockets.alive, page, __ATOMIC_RELEASE);
	}
	al_fork_register();
	al_set_on_ready(al_sock_on_ready);
	__atomic_store_n(&al_sockets.started, 2, __ATOMIC_RELEASE);
}

int al_sockets_attach(void)
{
	int64_t now;
	int rc;

	if (al_is_attached())
		return al_engine_alive() ? 0 : -ECONNREFUSED;
	now = al_now_ns();
	if (now < __atomic_load_n(&al_sockets.attach_retry_ns, __ATOMIC_RELAXED))
		return -ECONNREFUSED;
	rc = al_attach(NULL);
	if (rc) {
		__atomic_store_n(&al_sockets.attach_retry_ns, al_now_ns() + ROOT_RETRY_NS,
				__ATOMIC_RELAXED);
		if (rc == -EPROTONOSUPPORT)
			root_say("eta: etad speaks another ABI version; using the kernel\n");
	}
	return rc;
}

void al_sockets_end(void)
{
	if (__atomic_exchange_n(&al_sockets.ended, 1, __ATOMIC_ACQ_REL))
		return;
	if (__atomic_load_n(&al_sockets.started, __ATOMIC_ACQUIRE) != 2)
		return;
	al_count_report();
	if (al_is_attached()) {
		al_enter();
		al_at_exit();
		al_tls.inside--;
	}
}
