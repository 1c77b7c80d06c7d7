/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AL's own descriptors, kept out of the way of the program they live in.
 *
 * A program believes that the lowest free descriptor is its next one, closes "all from 3 on" and dup2()s onto numbers it fancies. So ours lie
 * high (below the soft limit, or below 65536 where that is larger: the kernel's table grows with the highest number), are close-on-exec, and
 * are known here by the place that keeps their number, so that one can be moved when the program wants its number.
 */
#include <fcntl.h>
#include <sys/resource.h>

#include "al/core/al.h"

#define AL_FD_CEILING 65536u
#define AL_FD_BELOW 256u

static int high_fd(int fd)
{
	struct rlimit lim;
	unsigned long soft = 1024;
	int got;

	if (sys_getrlimit(RLIMIT_NOFILE, &lim) == 0)
		soft = lim.rlim_cur < AL_FD_CEILING ? lim.rlim_cur : AL_FD_CEILING;
	got = -EMFILE;
	if (soft > 2 * AL_FD_BELOW)
		got = sys_fcntl(fd, F_DUPFD_CLOEXEC, (long)(soft - AL_FD_BELOW));
	if (got < 0)
		got = sys_fcntl(fd, F_DUPFD_CLOEXEC, (long)(soft / 2));
	return got;
}

/* No descriptor of ours is below al_root.fd_floor: most questions end there, without the lock. */
static void floor_to(int fd)
{
	if (!al_root.fd_floor || fd < al_root.fd_floor)
		__atomic_store_n(&al_root.fd_floor, fd, __ATOMIC_RELEASE);
}

static bool below_floor(int fd)
{
	int floor = __atomic_load_n(&al_root.fd_floor, __ATOMIC_ACQUIRE);

	return !floor || fd < floor;
}

int al_fd_keep(int fd, int *home)
{
	int got, i = -1;

	if (fd < 0)
		return fd;
	got = high_fd(fd);
	if (got >= 0)
		sys_close(fd);
	else
		got = fd; /* crowded: it stays where it is */
	sys_fcntl(got, F_SETFD, FD_CLOEXEC);
	al_lock_take(&al_root.fd_lock);
	for (uint32_t k = 0; k < AL_FDS_MAX; k++) {
		if (!al_root.fd[k].home) {
			i = (int)k;
			break;
		}
	}
	if (i >= 0) {
		floor_to(got);
		*home = got;
		al_root.fd[i].home = home;
		if ((uint32_t)i >= al_root.fds_n)
			al_root.fds_n = (uint32_t)i + 1;
	}
	al_lock_drop(&al_root.fd_lock);
	if (i >= 0)
		return got;
	sys_close(got);
	*home = -1;
	return -EMFILE;
}

void al_fd_drop(int *home)
{
	int fd = -1;

	al_lock_take(&al_root.fd_lock);
	for (uint32_t k = 0; k < al_root.fds_n; k++) {
		if (al_root.fd[k].home != home)
			continue;
		al_root.fd[k].home = NULL;
		fd = *home;
		*home = -1;
		break;
	}
	al_lock_drop(&al_root.fd_lock);
	if (fd >= 0)
		sys_close(fd);
}

/* In a forked child: close the parent's, except the one it is to attach by. */
void al_fds_forget_all(void)
{
	al_root.fd_lock = 0;
	for (uint32_t k = 0; k < al_root.fds_n; k++) {
		int *home = al_root.fd[k].home;

		if (!home || home == &al_root.fork_fd)
			continue;
		sys_close(*home);
		*home = -1;
		al_root.fd[k].home = NULL;
	}
}

static struct al_kept_fd *kept(int fd)
{
	for (uint32_t k = 0; k < al_root.fds_n; k++)
		if (al_root.fd[k].home && *al_root.fd[k].home == fd)
			return &al_root.fd[k];
	return NULL;
}

bool al_fd_is_own(int fd)
{
	bool own;

	if (below_floor(fd))
		return false;
	al_lock_take(&al_root.fd_lock);
	own = kept(fd) != NULL;
	al_lock_drop(&al_root.fd_lock);
	return own;
}

int al_fd_yield(int fd)
{
	struct al_kept_fd *entry;
	int got = 0;

	if (below_floor(fd))
		return 0;
	al_lock_take(&al_root.fd_lock);
	entry = kept(fd);
	if (entry) {
		got = high_fd(fd);
		if (got >= 0) {
			floor_to(got);
			*entry->home = got;
			sys_close(fd);
		}
	}
	al_lock_drop(&al_root.fd_lock);
	return got < 0 ? got : 0;
}
