/* SPDX-License-Identifier: BSD-3-Clause */
/* Facts: shutdown in each direction, close with and without unread data, SO_LINGER, threads blocked meanwhile. */
#include <pthread.h>
#include <signal.h>

#include "test/sock/fact.h"

static void write_side(void)
{
	char buf[16];
	int fd = peer_dial("echo");

	fact_ret("write", write(fd, "abc", 3));
	fact_ret("shutdown WR", shutdown(fd, SHUT_WR));
	fact_ret("write after it", send(fd, "x", 1, MSG_NOSIGNAL));
	fact_ret("read the echo", read_all(fd, buf, 3));
	fact_ret("read the end", read(fd, buf, 1));
	fact_ret("shutdown when both ended", shutdown(fd, SHUT_WR));
	close(fd);
}

static void read_side(void)
{
	char buf[16];
	int fd = peer_dial("hold");

	fact_ret("shutdown RD", shutdown(fd, SHUT_RD));
	fact_ret("read after it", read(fd, buf, 1));
	fact("poll after it", "%s", poll_text(poll_one(fd, POLLIN | POLLOUT | POLLRDHUP, 100)));
	fact_ret("write still works", write(fd, "x", 1));
	fact_ret("bad direction", shutdown(fd, 7));
	close(fd);
}

static void *blocked_read(void *arg)
{
	char c;

	return (void *)(intptr_t)read(*(int *)arg, &c, 1);
}

static void other_thread(void)
{
	int fd = peer_dial("hold");
	pthread_t thread;
	void *ret;
	struct timespec ts = {.tv_nsec = 50000000};

	pthread_create(&thread, NULL, blocked_read, &fd);
	nanosleep(&ts, NULL);
	fact_ret("shutdown RDWR", shutdown(fd, SHUT_RDWR));
	pthread_join(thread, &ret);
	fact("blocked read returns", "%ld", (long)(intptr_t)ret);
	close(fd);
}

static void linger(void)
{
	struct linger on = {1, 2};
	int64_t start;
	int fd = peer_dial("hold");

	fact_ret("SO_LINGER", setsockopt(fd, SOL_SOCKET, SO_LINGER, &on, sizeof(on)));
	fact_ret("write", write(fd, "x", 1));
	start = now_ms();
	fact_ret("close", close(fd));
	fact_ok("without waiting, all was taken", now_ms() - start < 1500);
}

static void listener(void)
{
	int port;
	int fd = listen_any(&port);
	struct sockaddr_storage me;
	socklen_t len = sizeof(me);

	fact("poll of a listener", "%s", poll_text(poll_one(fd, POLLIN | POLLOUT, 0)));
	fact_ret("shutdown of a listener", shutdown(fd, SHUT_RDWR));
	fact_ret("accept after it", accept(fd, NULL, NULL));
	fact_ret("getsockname after it", getsockname(fd, (struct sockaddr *)&me, &len));
	close(fd);
}

int main(void)
{
	write_side();
	read_side();
	other_thread();
	linger();
	listener();
	return 0;
}
