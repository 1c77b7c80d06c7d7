/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fork and its relatives.
 *
 * fork() and what libc builds on it come through pthread_atfork(): the parent tells the core which conns will be shared, takes every lock (in
 * lock order, so the child inherits no half-made list) and lets both sides go on. A child keeps sockets and epoll sets, but no
 * thread of it is told of anything yet: each set is joined anew by the first thread that waits on it.
 *
 * vfork() is fork() with the parent waiting until the child has called exec or exit: the child of a real one would write our tables in the
 * parent's memory. A child made by a raw clone is recognised by a page that fork wipes; its sockets are the kernel's from then on, and counted.
 */
#ifndef AL_SOCK_FORK_H
#define AL_SOCK_FORK_H

#include <sys/types.h>

void al_fork_register(void);
/* This process is a child that no handler was told of. */
void al_fork_raw(void);
pid_t al_sys_vfork(void);

#endif
