/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sendfile and splice with an ETA socket at one end: by copy.
 *
 * Nothing read from the other end may be lost. A file is read at an offset, which is advanced only by what the socket took. Towards a
 * pipe, bytes are peeked, written, and consumed by what the pipe took. From a pipe only as much is read as the socket has room for.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "al/sock/api.h"
#include "al/sock/kern.h"
#include "al/sock/sock.h"
#include "al/sock/sock_io.h"

#define COPY_BYTES (32u << 10)

/* One piece of the file. Return bytes the socket took, 0 end of file, -errno. */
static ssize_t copy_file_piece(struct al_sock *sock, int in, int64_t off, size_t n)
{
	uint8_t buf[COPY_BYTES];
	struct iovec iov = {.iov_base = buf};
	ssize_t got = kern_pread(in, buf, n < sizeof(buf) ? n : sizeof(buf), off);

	if (got <= 0)
		return got;
	iov.iov_len = (size_t)got;
	return al_sock_send(sock, &iov, 1, 0);
}

ssize_t al_sys_sendfile(int out, int in, int64_t *off, size_t n)
{
	struct al_sock *sock = al_sock_enter(out);
	int64_t at;
	size_t done = 0;
	ssize_t ret = 0;

	if (!sock)
		return kern_sendfile(out, in, off, n);
	at = off ? *off : kern_call3(SYS_lseek, in, 0, SEEK_CUR);
	if (at < 0)
		ret = off ? -EINVAL : at;
	while (ret >= 0 && done < n) {
		ret = copy_file_piece(sock, in, at, n - done);
		if (ret <= 0)
			break;
		at += ret;
		done += (size_t)ret;
	}
	if (done > 0) {
		if (off)
			*off = at;
		else
			kern_call3(SYS_lseek, in, at, SEEK_SET);
	}
	al_sock_leave(sock);
	return done ? (ssize_t)done : ret;
}

/* Socket to pipe. */
static ssize_t splice_out(struct al_sock *sock, int out, size_t n, unsigned int flags)
{
	uint8_t buf[COPY_BYTES];
	struct iovec iov = {.iov_base = buf, .iov_len = n < sizeof(buf) ? n : sizeof(buf)};
	struct pollfd pfd = {.fd = out, .events = POLLOUT};
	int pipe_flags = kern_fcntl(out, F_GETFL, 0);
	ssize_t got;
	ssize_t put;

	if (!(flags & SPLICE_F_NONBLOCK) && !(pipe_flags & O_NONBLOCK))
		kern_ppoll(&pfd, 1, NULL, NULL);
	else if (!kern_poll_now(out, POLLOUT))
		return -EAGAIN;
	got = al_sock_recv(
			sock, &iov, 1, MSG_PEEK | (flags & SPLICE_F_NONBLOCK ? MSG_DONTWAIT : 0));
	if (got <= 0)
		return got;
	/* A pipe that is ready takes at least one page without blocking. */
	if (got > 4096)
		got = 4096;
	put = kern_write(out, buf, (size_t)got);
	if (put > 0) {
		iov.iov_len = (size_t)put;
		put = al_sock_recv(sock, &iov, 1, MSG_DONTWAIT);
	}
	return put;
}

/* Pipe to socket. */
static ssize_t splice_in(struct al_sock *sock, int in, size_t n, unsigned int flags)
{
	uint8_t buf[COPY_BYTES];
	struct iovec iov = {.iov_base = buf};
	bool blocks = !sock->is_nonblock && !(flags & SPLICE_F_NONBLOCK);
	const struct eta_dti_en *en = al_conn_record(sock->conn);
	uint32_t queued;
	uint32_t limit;
	uint32_t room;
	ssize_t got;

	while (!(al_sock_ready(sock, -1) & (POLLOUT | POLLERR | POLLHUP))) {
		int rc = blocks ? al_sock_wait_writable(sock) : -EAGAIN;

		if (rc)
			return rc;
	}
	queued = al_conn_snd_bytes(sock->conn);
	limit = eta_load_relaxed_u32(&en->snd_limit);
	room = limit > queued ? limit - queued : 1;
	if (n > room)
		n = room;
	if (!blocks && !kern_poll_now(in, POLLIN))
		return -EAGAIN;
	got = kern_read(in, buf, n < sizeof(buf) ? n : sizeof(buf));
	if (got <= 0)
		return got;
	for (iov.iov_len = (size_t)got; iov.iov_len > 0;) {
		ssize_t put = al_sock_send(sock, &iov, 1, flags & SPLICE_F_MORE ? MSG_MORE : 0);

		if (put > 0) {
			iov.iov_base = (uint8_t *)iov.iov_base + put;
			iov.iov_len -= (size_t)put;
		} else if (put == -EAGAIN) {
			al_sock_wait_writable(sock); /* read from the pipe already: must go out */
		} else if (put != -EINTR) {
			return put;
		}
	}
	return got;
}

ssize_t al_sys_splice(
		int in, int64_t *in_off, int out, int64_t *out_off, size_t n, unsigned int flags)
{
	struct al_sock *from = al_sock_enter(in);
	struct al_sock *to;
	ssize_t ret;

	if (from) {
		if (in_off || out_off)
			ret = -ESPIPE;
		else
			ret = splice_out(from, out, n, flags);
		al_sock_leave(from);
		return ret;
	}
	to = al_sock_enter(out);
	if (!to)
		return kern_splice(in, in_off, out, out_off, n, flags);
	if (in_off || out_off)
		ret = -ESPIPE;
	else
		ret = splice_in(to, in, n, flags);
	al_sock_leave(to);
	return ret;
}
