/* SPDX-License-Identifier: BSD-3-Clause */
/* What the definitions of libc's names share: visibility, errno, cancellation. */
#ifndef AL_PRELOAD_EXPORT_H
#define AL_PRELOAD_EXPORT_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/single_threaded.h>

#include "al/sock/file.h"
#include "al/sock/root.h"

#define AL_EXPORT __attribute__((visibility("default"))) extern

/* -errno to errno. */
static inline long al_errno(long ret)
{
	if (__builtin_expect(ret < 0, 0)) {
		errno = (int)-ret;
		return -1;
	}
	return ret;
}

/* The kernel serves @fd and others may cancel us: be cancellable inside the system call. */
static inline bool al_cancel_begin(int fd, int *type)
{
	if (__libc_single_threaded || al_fdtab_peek(&al_sockets.fdtab, fd))
		return false;
	return pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, type) == 0;
}

#define AL_CANCEL_POINT(fd, call)                                               \
	__extension__({                                                         \
		int al_cancel_type;                                             \
		bool al_cancel_on = al_cancel_begin(fd, &al_cancel_type);       \
		long al_cancel_ret = (call);                                    \
		if (al_cancel_on)                                               \
			pthread_setcanceltype(al_cancel_type, &al_cancel_type); \
		al_errno(al_cancel_ret);                                        \
	})

#endif
