/* SPDX-License-Identifier: BSD-3-Clause */
/* fork, vfork and raw clones (see fork.h). */
#include "al/sock/fork.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "al/core/core.h"
#include "al/sock/epoll.h"
#include "al/sock/kern.h"
#include "al/sock/sock.h"

#define VFORK_FD_MIN 500

static void fork_socks_lock(void)
{
	struct al_sock *sock;
	uint32_t i;

	for (i = 0; (sock = al_pool_at(&al_sockets.socks, i)) != NULL; i++)
		al_lock_take(&sock->lock);
	for (i = 0; (sock = al_pool_at(&al_sockets.socks, i)) != NULL; i++)
		al_lock_take(&sock->rcv_lock);
	for (i = 0; (sock = al_pool_at(&al_sockets.socks, i)) != NULL; i++)
		al_lock_take(&sock->snd_lock);
	for (i = 0; (sock = al_pool_at(&al_sockets.socks, i)) != NULL; i++)
		al_lock_take(&sock->file.watch_lock);
}

static void fork_socks_unlock(void)
{
	struct al_sock *sock;
	uint32_t i;

	for (i = 0; (sock = al_pool_at(&al_sockets.socks, i)) != NULL; i++) {
		al_lock_drop(&sock->file.watch_lock);
		al_lock_drop(&sock->snd_lock);
		al_lock_drop(&sock->rcv_lock);
		al_lock_drop(&sock->lock);
	}
}

static void fork_sets_lock(void)
{
	struct al_set *set;
	uint32_t i;

	for (i = 0; (set = al_pool_at(&al_sockets.sets, i)) != NULL; i++)
		al_lock_take(&set->file.watch_lock);
	for (i = 0; (set = al_pool_at(&al_sockets.sets, i)) != NULL; i++)
		al_lock_take(&set->lock);
}

static void fork_sets_unlock(void)
{
	struct al_set *set;
	uint32_t i;

	for (i = 0; (set = al_pool_at(&al_sockets.sets, i)) != NULL; i++) {
		al_lock_drop(&set->lock);
		al_lock_drop(&set->file.watch_lock);
	}
}

static void fork_prepare(void)
{
	struct al_sock *sock;
	uint32_t i;

	al_enter();
	for (i = 0; (sock = al_pool_at(&al_sockets.socks, i)) != NULL; i++)
		if (__atomic_load_n(&sock->file.refs, __ATOMIC_ACQUIRE) && sock->conn &&
				!al_conn_is_shared(sock->conn))
			al_conn_share_at_fork(sock->conn, al_sock_cookie(sock));
	/* The pools first: they must not grow under the walks. */
	al_lock_take(&al_sockets.socks.lock);
	al_lock_take(&al_sockets.sets.lock);
	al_lock_take(&al_sockets.items.lock);
	fork_socks_lock();
	fork_sets_lock();
	al_lock_take(&al_sockets.sleepers_lock);
	if (al_is_attached())
		al_before_fork();
}

static void fork_release(void)
{
	al_lock_drop(&al_sockets.sleepers_lock);
	fork_sets_unlock();
	fork_socks_unlock();
	al_lock_drop(&al_sockets.items.lock);
	al_lock_drop(&al_sockets.sets.lock);
	al_lock_drop(&al_sockets.socks.lock);
	al_leave();
}

static void fork_parent(void)
{
	if (al_is_attached())
		al_after_fork_parent();
	fork_release();
}

/* The threads of the parent are not here: nobody sleeps, nobody watches. */
static void fork_forget_threads(void)
{
	struct al_sock *sock;
	struct al_set *set;
	uint32_t i;

	al_sockets.sleepers = NULL;
	al_sockets.sleepers_n = 0;
	memset(&al_tls.sleeper, 0, sizeof(al_tls.sleeper));
	al_tls.thread_id = 0;
	for (i = 0; (sock = al_pool_at(&al_sockets.socks, i)) != NULL; i++) {
		memset(sock->watch_thread, 0, sizeof(sock->watch_thread));
		sock->sleepers_n = 0;
	}
	for (i = 0; (set = al_pool_at(&al_sockets.sets, i)) != NULL; i++)
		al_set_forget_threads(set);
	memset(&al_sockets.counts, 0, sizeof(al_sockets.counts));
}

static void fork_child(void)
{
	if (al_sockets.alive)
		*al_sockets.alive = 1;
	if (al_is_attached())
		al_after_fork_child();
	fork_forget_threads();
	fork_release();
}

void al_fork_register(void)
{
	pthread_atfork(fork_prepare, fork_parent, fork_child);
}

/* Locks may be held by threads that are not here, so nothing is taken: the table is emptied, the rest is never looked at again. */
void al_fork_raw(void)
{
	int fd = -1;

	*al_sockets.alive = 1;
	while ((fd = al_fdtab_next(&al_sockets.fdtab, fd + 1, NULL)) >= 0)
		(void)al_fdtab_take(&al_sockets.fdtab, fd);
	al_sockets.ended = 1;
	al_count(AL_COUNT_FORK_RAW);
}

pid_t al_sys_vfork(void)
{
	int ends[2];
	char byte;
	int high;
	pid_t pid;
	int saved;

	if (kern_pipe2(ends, O_CLOEXEC) < 0)
		return fork();
	high = kern_fcntl(ends[1], F_DUPFD_CLOEXEC, VFORK_FD_MIN);
	if (high >= 0) {
		kern_close(ends[1]);
		ends[1] = high;
	}
	pid = fork();
	if (pid == 0) {
		kern_close(ends[0]);
		return 0;
	}
	saved = errno;
	kern_close(ends[1]);
	while (pid > 0 && kern_read(ends[0], &byte, 1) == -EINTR)
		continue;
	kern_close(ends[0]);
	errno = saved;
	return pid;
}
