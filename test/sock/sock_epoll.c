/* SPDX-License-Identifier: BSD-3-Clause */
/* Facts: epoll, level, edge, one-shot, nested, with pipes, by several threads. */
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>

#include "test/sock/fact.h"

static int epfd;
static struct epoll_event got[16];

static int ctl(int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	return epoll_ctl(epfd, op, fd, &ev);
}

static void fact_wait(const char *name, int timeout_ms)
{
	int n = epoll_wait(epfd, got, 16, timeout_ms);

	if (n < 0)
		fact_ret(name, n);
	else if (n == 0)
		fact(name, "nothing");
	else
		fact(name, "%d of %d %s", n, (int)got[0].data.u64, poll_text((short)got[0].events));
}

static void levels(void)
{
	int fd = peer_dial("echo");
	char buf[8];

	epfd = epoll_create1(EPOLL_CLOEXEC);
	fact_ret("add", ctl(EPOLL_CTL_ADD, fd, EPOLLIN, 1));
	fact_ret("add twice", ctl(EPOLL_CTL_ADD, fd, EPOLLIN, 1));
	fact_wait("idle", 10);
	fact_ret("write", write(fd, "ab", 2));
	fact_wait("level", 2000);
	fact_wait("level again", 10);
	fact_ret("read one", read_all(fd, buf, 1));
	fact_wait("level still", 1000);
	fact_ret("read two", read_all(fd, buf, 1));
	fact_wait("level gone", 10);
	fact_ret("mod to out", ctl(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT, 2));
	fact_wait("out", 1000);
	fact_ret("mod to edge", ctl(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLET, 3));
	fact_ret("write edge", write(fd, "c", 1));
	fact_wait("edge", 2000);
	fact_wait("edge again", 10);
	fact_ret("write edge two", write(fd, "d", 1));
	fact_wait("edge two", 2000);
	fact_ret("mod to oneshot", ctl(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT, 4));
	fact_wait("oneshot", 1000);
	fact_wait("oneshot again", 10);
	fact_ret("rearm", ctl(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT, 5));
	fact_wait("oneshot rearmed", 1000);
	fact_ret("del", ctl(EPOLL_CTL_DEL, fd, 0, 0));
	fact_ret("del twice", ctl(EPOLL_CTL_DEL, fd, 0, 0));
	fact_ret("mod of none", ctl(EPOLL_CTL_MOD, fd, EPOLLIN, 0));
	fact_ret("add exclusive oneshot",
			ctl(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 0));
	fact_ret("add exclusive", ctl(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE, 6));
	fact_ret("mod exclusive", ctl(EPOLL_CTL_MOD, fd, EPOLLIN, 0));
	fact_wait("exclusive", 1000);
	fact_ret("close", close(fd));
	fact_wait("closed", 10);
	fact_ret("add of a closed one", ctl(EPOLL_CTL_ADD, fd, EPOLLIN, 1));
	fact_ret("wait for none", epoll_wait(epfd, got, 0, 0));
	fact_ret("add itself", ctl(EPOLL_CTL_ADD, epfd, EPOLLIN, 1));
	close(epfd);
}

static void ends(void)
{
	int fd = peer_dial("fin");

	epfd = epoll_create1(0);
	poll_one(fd, POLLIN, 2000);
	fact_ret("add", ctl(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP, 1));
	fact_wait("peer's FIN", 1000);
	shutdown(fd, SHUT_WR);
	fact_ret("mod", ctl(EPOLL_CTL_MOD, fd, 0, 1));
	fact_wait("both FINs", 1000);
	close(fd);
	fd = peer_dial("reset");
	fact_ret("add for reset", ctl(EPOLL_CTL_ADD, fd, 0, 2));
	fact_wait("reset", 2000);
	close(fd);
	close(epfd);
}

static void connecting(void)
{
	struct sockaddr_storage to;
	socklen_t len = peer_addr(&to);
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);

	epfd = epoll_create1(0);
	fact_ret("add fresh", ctl(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT, 1));
	fact_wait("fresh", 10);
	fact_ret("connect", connect(fd, (struct sockaddr *)&to, len));
	fact_wait("connected", 2000);
	fact_ret("send", send(fd, "echo\nxyz", 8, 0));
	fact_ret("mod", ctl(EPOLL_CTL_MOD, fd, EPOLLIN, 2));
	fact_wait("answered", 2000);
	close(fd);
	close(epfd);
}

static void mixed(void)
{
	int fd = peer_dial("echo");
	int pipes[2];
	int seen[3] = {0};

	epfd = epoll_create(1);
	if (pipe(pipes) != 0)
		return;
	fact_ret("add socket", ctl(EPOLL_CTL_ADD, fd, EPOLLIN, 1));
	fact_ret("add pipe", ctl(EPOLL_CTL_ADD, pipes[0], EPOLLIN, 2));
	fact_ret("write pipe", write(pipes[1], "p", 1));
	fact_wait("pipe", 1000);
	fact_ret("write socket", write(fd, "s", 1));
	poll_one(fd, POLLIN, 2000);
	for (int i = 0; i < 2000; i++) {
		int n = epoll_wait(epfd, got, 1, 1000);

		if (n == 1)
			seen[got[0].data.u64 % 3]++;
	}
	fact_ok("socket not starved", seen[1] > 100);
	fact_ok("pipe not starved", seen[2] > 100 || seen[2] > 2);
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
	close(epfd);
}

static void nested(void)
{
	int fd = peer_dial("echo");
	int inner = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = 8};
	struct pollfd pfd = {.fd = inner, .events = POLLIN};

	epfd = epoll_create1(0);
	fact_ret("nest", ctl(EPOLL_CTL_ADD, inner, EPOLLIN, 9));
	fact_ret("add inside", epoll_ctl(inner, EPOLL_CTL_ADD, fd, &ev));
	fact_wait("quiet", 10);
	fact_ret("write", write(fd, "n", 1));
	fact_wait("outer", 2000);
	fact_ret("poll of the inner", poll(&pfd, 1, 1000));
	fact_ret("inner", epoll_wait(inner, got, 16, 1000));
	fact("inner data", "%d", (int)got[0].data.u64);
	close(fd);
	fact_wait("outer after close", 10);
	close(inner);
	close(epfd);
}

static void *wait_in_thread(void *arg)
{
	struct epoll_event ev;

	(void)arg;
	return (void *)(intptr_t)epoll_wait(epfd, &ev, 1, 5000);
}

static void threads(void)
{
	int fd = peer_dial("echo");
	pthread_t thread;
	struct timespec ts = {.tv_nsec = 50000000};
	void *ret;

	epfd = epoll_create1(0);
	pthread_create(&thread, NULL, wait_in_thread, NULL);
	nanosleep(&ts, NULL);
	fact_ret("add while another waits", ctl(EPOLL_CTL_ADD, fd, EPOLLIN, 1));
	nanosleep(&ts, NULL);
	fact_ret("write", write(fd, "t", 1));
	pthread_join(thread, &ret);
	fact("the other thread got", "%ld", (long)(intptr_t)ret);
	close(fd);
	close(epfd);
}

static void listener(void)
{
	int port;
	int fd = listen_any(&port);
	int ask;
	int a;

	epfd = epoll_create1(0);
	set_nonblock(fd);
	fact_ret("add listener", ctl(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, 1));
	ask = peer_back(port, 1);
	fact_wait("listener", 2000);
	a = accept(fd, NULL, NULL);
	fact_ok("accept", a >= 0);
	fact_ret("accept of none", accept(fd, NULL, NULL));
	fact_wait("listener quiet", 10);
	close(a);
	close(ask);
	close(fd);
	close(epfd);
}

int main(void)
{
	levels();
	ends();
	connecting();
	mixed();
	nested();
	threads();
	listener();
	return 0;
}
