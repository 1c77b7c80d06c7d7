/* SPDX-License-Identifier: BSD-3-Clause */
/* The benchmark's stack on ETA's native interface. */
#include <errno.h>

#include <eta/eta.h>

#include "test/bench/io.h"

#define BATCH 64

const char *const io_name = "eta";

int io_start(const char *path)
{
	return eta_attach(path);
}

int io_thread_start(void)
{
	return 0;
}

int io_listen(const struct sockaddr *addr, socklen_t len, int backlog)
{
	eta_conn_t listener;

	return eta_listen(addr, len, backlog, 0, &listener);
}

int io_connect(const struct sockaddr *addr, socklen_t len, uint32_t cookie, uint64_t *conn)
{
	int ret = eta_connect(addr, len, NULL, 0, cookie, conn);

	if (!ret)
		eta_set(*conn, ETA_SET_NODELAY, 1);
	return ret;
}

void io_set_cookie(uint64_t conn, uint32_t cookie)
{
	eta_set_cookie(conn, cookie);
}

ssize_t io_send(uint64_t conn, const void *bytes, size_t len)
{
	return eta_send(conn, bytes, len, 0);
}

ssize_t io_recv(uint64_t conn, void *bytes, size_t len)
{
	return eta_recv(conn, bytes, len, 0);
}

void io_close(uint64_t conn)
{
	eta_close(conn);
}

int io_poll(struct io_event *ev, int n, int timeout_ms)
{
	struct eta_completion done[BATCH];
	int got = eta_poll(done, n < BATCH ? n : BATCH);

	if (got == 0 && timeout_ms) {
		int ret = eta_wait(timeout_ms);

		if (ret < 0)
			return ret == -EINTR ? 0 : ret;
		got = eta_poll(done, n < BATCH ? n : BATCH);
	}
	for (int i = 0; i < got; i++) {
		uint32_t what = done[i].what;

		ev[i].conn = done[i].conn;
		ev[i].cookie = (uint32_t)done[i].cookie;
		ev[i].error = done[i].status;
		ev[i].what = (what & (ETA_READABLE | ETA_EOF) ? IO_READABLE : 0) |
			     (what & ETA_WRITABLE ? IO_WRITABLE : 0) |
			     (what & ETA_ACCEPTED ? IO_ACCEPTED : 0) |
			     (what & ETA_CONNECTED ? IO_CONNECTED : 0) |
			     (what & ETA_CLOSED ? IO_CLOSED : 0);
		if (what & ETA_ACCEPTED)
			eta_set(done[i].conn, ETA_SET_NODELAY, 1);
	}
	return got;
}
