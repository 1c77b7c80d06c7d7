/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the benchmark's work needs of a stack: connections by number, bytes, events. Two programs implement it, one with ETA's native interface
 * and one with sockets and epoll, and everything else is the same source, so that the comparison is of stacks and not of programs.
 *
 * A connection belongs to the thread that opened or accepted it. Readable is reported until io_recv() has said -EAGAIN, at least once.
 */
#ifndef TEST_BENCH_IO_H
#define TEST_BENCH_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define IO_READABLE 1u
#define IO_WRITABLE 2u
#define IO_ACCEPTED 4u
#define IO_CONNECTED 8u
#define IO_CLOSED 16u

struct io_event {
	uint64_t conn;
	uint32_t cookie; /* of the connection; IO_ACCEPTED: not set yet, the receiver calls io_set_cookie() */
	uint32_t what;
	int error; /* IO_CLOSED: 0 or -errno */
};

extern const char *const io_name;

/* Once per process, then once per thread. Return 0 or -errno. */
int io_start(const char *path);
int io_thread_start(void);
int io_listen(const struct sockaddr *addr, socklen_t len, int backlog);
int io_connect(const struct sockaddr *addr, socklen_t len, uint32_t cookie, uint64_t *conn);
void io_set_cookie(uint64_t conn, uint32_t cookie);
ssize_t io_send(uint64_t conn, const void *bytes, size_t len); /* -EAGAIN: IO_WRITABLE follows */
ssize_t io_recv(uint64_t conn, void *bytes, size_t len);       /* 0: end of stream */
void io_close(uint64_t conn);
/* @timeout_ms 0: only look. Return events or -errno. */
int io_poll(struct io_event *ev, int n, int timeout_ms);

#endif
