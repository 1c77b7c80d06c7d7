/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * poll and select over ETA sockets and kernel descriptors in one call.
 *
 * The entries are split once: those of ETA are looked at here, the rest (and the kernel's side of listeners and epoll sets) are copied to an array
 * that the kernel polls. An array without ETA sockets goes to the kernel as it is. select() is poll() with bit sets around it.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "al/core/core.h"
#include "al/sock/api.h"
#include "al/sock/epoll.h"
#include "al/sock/fork.h"
#include "al/sock/kern.h"
#include "al/sock/sock.h"
#include "al/sock/sock_wait.h"

#define POLL_INLINE 64u
#define SELECT_FDS_MAX (1u << 20)

/* One entry that is ours. */
struct poll_own {
	struct al_file *file; /* held */
	uint32_t idx;         /* in the program's array */
	uint32_t kern;        /* in ours, UINT32_MAX none */
};

struct poll_call {
	struct pollfd *fds; /* the program's */
	nfds_t n;
	struct pollfd *kern; /* the kernel's part, and one more */
	uint32_t *kern_idx;  /* where each stands in fds */
	nfds_t kern_n;
	struct poll_own *own;
	uint32_t own_n;
};

static bool poll_has_own(const struct pollfd *fds, nfds_t n)
{
	nfds_t i;

	for (i = 0; i < n; i++) {
		const struct al_file *file = al_fdtab_peek(&al_sockets.fdtab, fds[i].fd);

		if (!file)
			continue;
		if (file->kind == AL_FILE_SOCK && al_sock_is_eta((const struct al_sock *)file))
			return true;
		if (file->kind == AL_FILE_EPOLL && ((const struct al_set *)file)->live_n > 0)
			return true;
	}
	return false;
}

/* @idx: entry that takes the result, UINT32_MAX: none, it is the other side of one of ours. */
static void poll_add_kernel(struct poll_call *call, int fd, uint32_t idx, short events)
{
	call->kern[call->kern_n].fd = fd;
	call->kern[call->kern_n].events = events;
	call->kern[call->kern_n].revents = 0;
	call->kern_idx[call->kern_n] = idx;
	call->kern_n++;
}

/* Split the entries; references are taken. */
static void poll_split(struct poll_call *call)
{
	uint32_t i;

	for (i = 0; i < call->n; i++) {
		struct al_file *file = NULL;
		struct poll_own *own;
		bool both;

		call->fds[i].revents = 0;
		if (call->fds[i].fd < 0)
			continue;
		if (al_fdtab_peek(&al_sockets.fdtab, call->fds[i].fd))
			file = al_fdtab_get(&al_sockets.fdtab, call->fds[i].fd);
		if (file && file->kind == AL_FILE_SOCK && !al_sock_is_eta((struct al_sock *)file)) {
			al_file_put(file);
			file = NULL;
		}
		if (!file) {
			poll_add_kernel(call, call->fds[i].fd, i, call->fds[i].events);
			continue;
		}
		own = &call->own[call->own_n++];
		*own = (struct poll_own){.file = file, .idx = i, .kern = UINT32_MAX};
		both = file->kind == AL_FILE_EPOLL ||
		       ((struct al_sock *)file)->state == AL_SOCK_LISTENING;
		if (both) {
			own->kern = (uint32_t)call->kern_n;
			poll_add_kernel(call, call->fds[i].fd, UINT32_MAX, POLLIN);
		}
	}
}

static void poll_watch(struct poll_call *call)
{
	uint32_t i;

	for (i = 0; i < call->own_n; i++) {
		if (call->own[i].file->kind == AL_FILE_SOCK)
			al_sock_watch((struct al_sock *)call->own[i].file, false);
		else
			al_set_join((struct al_set *)call->own[i].file, 0);
	}
}

/* Count, and fill revents of, all entries. */
static long poll_ready(struct al_wait *wait, bool kern)
{
	struct poll_call *call = wait->arg;
	long ready = 0;
	uint32_t i;

	for (i = 0; i < call->own_n; i++) {
		struct poll_own *own = &call->own[i];
		struct pollfd *pfd = &call->fds[own->idx];
		uint32_t bits;

		if (own->file->kind == AL_FILE_SOCK) {
			struct al_sock *sock = (struct al_sock *)own->file;

			if (own->kern != UINT32_MAX && kern && call->kern[own->kern].revents)
				sock->kern_hint = true;
			bits = al_sock_ready(sock, pfd->fd);
		} else {
			bits = al_set_ready((struct al_set *)own->file, pfd->fd, 0);
		}
		bits &= (uint16_t)pfd->events | POLLERR | POLLHUP | POLLNVAL;
		pfd->revents = (short)bits;
		ready += bits != 0;
	}
	for (i = 0; kern && i < call->kern_n; i++) {
		if (call->kern_idx[i] == UINT32_MAX)
			continue;
		call->fds[call->kern_idx[i]].revents = call->kern[i].revents;
		ready += call->kern[i].revents != 0;
	}
	return ready;
}

static long poll_run(struct poll_call *call, int64_t timeout_ns, const void *mask)
{
	struct al_wait wait = {
			.ready = poll_ready,
			.arg = call,
			.pfd = call->kern,
			.deadline_ns = al_wait_deadline(timeout_ns),
			.mask = mask,
	};
	uint32_t i;
	long ret;

	poll_split(call);
	wait.pfd_n = call->kern_n;
	if (call->own_n == 1)
		wait.what = call->own[0].file;
	poll_watch(call);
	ret = al_wait(&wait);
	/* What is ready on ETA now does not hide what is in the kernel. */
	if (ret > 0 && call->kern_n > 0) {
		const struct timespec none = {0};

		if (kern_ppoll(call->kern, call->kern_n, &none, NULL) > 0)
			ret = poll_ready(&wait, true);
	}
	for (i = 0; i < call->own_n; i++)
		al_file_put(call->own[i].file);
	return ret;
}

int al_sys_ppoll(struct pollfd *fds, nfds_t n, int64_t timeout_ns, const void *mask)
{
	struct pollfd kern[POLL_INLINE + 1];
	uint32_t kern_idx[POLL_INLINE];
	struct poll_own own[POLL_INLINE];
	struct poll_call call = {
			.fds = fds, .n = n, .kern = kern, .kern_idx = kern_idx, .own = own};
	uint8_t *memory = NULL;
	size_t bytes = 0;
	long ret;

	if (al_sockets.ended || !poll_has_own(fds, n) || (al_sockets.alive && !*al_sockets.alive)) {
		struct timespec ts = {.tv_sec = timeout_ns / 1000000000,
				.tv_nsec = timeout_ns % 1000000000};

		return kern_ppoll(fds, n, timeout_ns < 0 ? NULL : &ts, mask);
	}
	al_enter();
	if (n > POLL_INLINE) {
		bytes = (n + 1) * (sizeof(*kern) + sizeof(*kern_idx) + sizeof(*own));
		memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
				0);
		if (memory == MAP_FAILED) {
			al_leave();
			return -ENOMEM;
		}
		call.own = (struct poll_own *)(void *)memory;
		call.kern = (struct pollfd *)(void *)(call.own + n + 1);
		call.kern_idx = (uint32_t *)(void *)(call.kern + n + 1);
	}
	ret = poll_run(&call, timeout_ns, mask);
	if (memory)
		munmap(memory, bytes);
	al_leave();
	return (int)ret;
}

/* ---- select ---- */

#define SELECT_IN (POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR)
#define SELECT_OUT (POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR)
#define SELECT_EX (POLLPRI)

static bool bit_of(const fd_set *set, int fd)
{
	return set && (((const uint64_t *)(const void *)set)[fd / 64] >> (fd % 64) & 1);
}

static void bit_put(fd_set *set, int fd, bool on)
{
	uint64_t *word = &((uint64_t *)(void *)set)[fd / 64];

	*word = on ? *word | 1ull << (fd % 64) : *word & ~(1ull << (fd % 64));
}

static bool select_has_own(int n, const fd_set *rd, const fd_set *wr, const fd_set *ex)
{
	int fd = al_fdtab_next(&al_sockets.fdtab, 0, NULL);

	while (fd >= 0 && fd < n) {
		struct pollfd pfd = {.fd = fd};

		if ((bit_of(rd, fd) || bit_of(wr, fd) || bit_of(ex, fd)) && poll_has_own(&pfd, 1))
			return true;
		fd = al_fdtab_next(&al_sockets.fdtab, fd + 1, NULL);
	}
	return false;
}

static int select_kernel(int n, fd_set *rd, fd_set *wr, fd_set *ex, int64_t timeout_ns,
		const void *mask, int64_t *left_ns)
{
	struct timespec ts = {
			.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
	struct {
		const void *mask;
		size_t bytes;
	} pack = {mask, KERN_SIGSET_BYTES};
	int ret = (int)kern_call6(SYS_pselect6, n, (long)rd, (long)wr, (long)ex,
			timeout_ns < 0 ? 0 : (long)&ts, (long)&pack);

	if (left_ns)
		*left_ns = ts.tv_sec * 1000000000ll + ts.tv_nsec;
	return ret;
}

/* Bit sets from the results. Return the number of bits. */
static int select_store(const struct pollfd *fds, nfds_t n, fd_set *rd, fd_set *wr, fd_set *ex)
{
	int bits = 0;
	nfds_t i;

	for (i = 0; i < n; i++) {
		int fd = fds[i].fd;
		bool in = bit_of(rd, fd) && (fds[i].revents & SELECT_IN);
		bool out = bit_of(wr, fd) && (fds[i].revents & SELECT_OUT);
		bool pri = bit_of(ex, fd) && (fds[i].revents & SELECT_EX);

		if (rd)
			bit_put(rd, fd, in);
		if (wr)
			bit_put(wr, fd, out);
		if (ex)
			bit_put(ex, fd, pri);
		bits += in + out + pri;
	}
	return bits;
}

static nfds_t select_gather(
		struct pollfd *fds, int n, const fd_set *rd, const fd_set *wr, const fd_set *ex)
{
	nfds_t used = 0;
	int fd;

	for (fd = 0; fd < n; fd++) {
		short events = (short)((bit_of(rd, fd) ? SELECT_IN & ~(POLLHUP | POLLERR) : 0) |
				       (bit_of(wr, fd) ? SELECT_OUT & ~POLLERR : 0) |
				       (bit_of(ex, fd) ? SELECT_EX : 0));

		if (!events)
			continue;
		fds[used++] = (struct pollfd){.fd = fd, .events = events};
	}
	return used;
}

static int select_run(struct pollfd *fds, int n, fd_set *rd, fd_set *wr, fd_set *ex,
		int64_t timeout_ns, const void *mask)
{
	nfds_t used = select_gather(fds, n, rd, wr, ex);
	int ret = al_sys_ppoll(fds, used, timeout_ns, mask);
	nfds_t i;

	for (i = 0; ret > 0 && i < used; i++)
		if (fds[i].revents & POLLNVAL)
			return -EBADF;
	if (ret < 0)
		return ret;
	if (ret == 0)
		for (i = 0; i < used; i++)
			fds[i].revents = 0;
	return select_store(fds, used, rd, wr, ex);
}

int al_sys_pselect(int n, fd_set *rd, fd_set *wr, fd_set *ex, int64_t timeout_ns, const void *mask,
		int64_t *left_ns)
{
	struct pollfd inline_fds[POLL_INLINE];
	struct pollfd *fds = inline_fds;
	size_t bytes = 0;
	int64_t end_ns;
	int ret;

	if (n <= 0 || n > (int)SELECT_FDS_MAX || al_sockets.ended || !select_has_own(n, rd, wr, ex))
		return select_kernel(n, rd, wr, ex, timeout_ns, mask, left_ns);
	end_ns = timeout_ns > 0 ? al_now_ns() + timeout_ns : 0;
	if (n > (int)POLL_INLINE) {
		bytes = (size_t)n * sizeof(*fds);
		fds = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (fds == MAP_FAILED)
			return -ENOMEM;
	}
	ret = select_run(fds, n, rd, wr, ex, timeout_ns, mask);
	if (bytes)
		munmap(fds, bytes);
	if (left_ns) {
		int64_t now = al_now_ns();

		*left_ns = end_ns > now ? end_ns - now : 0;
	}
	return ret;
}
