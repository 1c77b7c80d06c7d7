/* SPDX-License-Identifier: BSD-3-Clause */
/* Facts: poll and select over sockets and pipes together. */
#include <pthread.h>
#include <signal.h>
#include <sys/select.h>

#include "test/sock/fact.h"

static void polls(void)
{
	int fd = peer_dial("echo");
	int ends[2];
	struct pollfd pfd[3];
	char c;

	if (pipe(ends) != 0)
		return;
	pfd[0] = (struct pollfd){.fd = fd, .events = POLLIN};
	pfd[1] = (struct pollfd){.fd = ends[0], .events = POLLIN};
	pfd[2] = (struct pollfd){.fd = -1, .events = POLLIN};
	fact_ret("nothing", poll(pfd, 3, 20));
	fact_ret("pipe", write(ends[1], "p", 1));
	fact_ret("poll", poll(pfd, 3, 1000));
	fact("socket", "%s", poll_text(pfd[0].revents));
	fact("pipe side", "%s", poll_text(pfd[1].revents));
	fact_ret("socket too", write(fd, "s", 1));
	pfd[1].fd = -1;
	fact_ret("poll the socket", poll(pfd, 3, 2000));
	pfd[1].fd = ends[0];
	fact_ret("poll both", poll(pfd, 3, 1000));
	fact_ret("read", read(fd, &c, 1));
	fact_ret("poll one left", poll(pfd, 3, 1000));
	pfd[2].fd = 9999;
	fact_ret("poll with a bad one", poll(pfd, 3, 1000));
	fact("bad one", "%s", poll_text(pfd[2].revents));
	fact_ret("poll none", poll(NULL, 0, 10));
	close(fd);
	close(ends[0]);
	close(ends[1]);
}

static void selects(void)
{
	int fd = peer_dial("echo");
	struct timeval tv = {5, 0};
	struct timeval none = {0, 10000};
	fd_set rd;
	fd_set wr;
	char c;

	FD_ZERO(&rd);
	FD_ZERO(&wr);
	FD_SET(fd, &rd);
	FD_SET(fd, &wr);
	fact_ret("select", select(fd + 1, &rd, &wr, NULL, &tv));
	fact("select bits", "%d %d", FD_ISSET(fd, &rd) != 0, FD_ISSET(fd, &wr) != 0);
	fact_ok("time is left", tv.tv_sec >= 4);
	fact_ret("write", write(fd, "s", 1));
	FD_ZERO(&rd);
	FD_SET(fd, &rd);
	fact_ret("select read", select(fd + 1, &rd, NULL, NULL, &tv));
	fact_ret("read", read(fd, &c, 1));
	FD_ZERO(&rd);
	FD_SET(fd, &rd);
	fact_ret("select timeout", select(fd + 1, &rd, NULL, NULL, &none));
	fact("select cleared", "%d", FD_ISSET(fd, &rd) != 0);
	fact("no time is left", "%ld %ld", (long)none.tv_sec, (long)none.tv_usec);
	close(fd);
}

static void on_usr1(int sig)
{
	(void)sig;
}

static void masks(void)
{
	struct sigaction act = {.sa_handler = on_usr1};
	struct timespec ts = {2, 0};
	struct pollfd pfd;
	int fd = peer_dial("hold");
	sigset_t blocked;
	sigset_t before;
	fd_set rd;

	sigaction(SIGUSR1, &act, NULL);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	raise(SIGUSR1);
	pfd = (struct pollfd){.fd = fd, .events = POLLIN};
	fact_ret("ppoll lets the signal in", ppoll(&pfd, 1, &ts, &before));
	raise(SIGUSR1);
	FD_ZERO(&rd);
	FD_SET(fd, &rd);
	fact_ret("pselect lets the signal in", pselect(fd + 1, &rd, NULL, NULL, &ts, &before));
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(fd);
}

static void listeners(void)
{
	struct pollfd pfd[2];
	int port[2];
	int ask;
	int a;

	for (int i = 0; i < 2; i++)
		pfd[i] = (struct pollfd){.fd = listen_any(&port[i]), .events = POLLIN};
	ask = peer_back(port[1], 1);
	fact_ret("poll listeners", poll(pfd, 2, 2000));
	fact("which", "%d %d", pfd[0].revents, pfd[1].revents);
	a = accept(pfd[1].fd, NULL, NULL);
	fact_ok("accept", a >= 0);
	fact_ret("poll again", poll(pfd, 2, 20));
	close(a);
	close(ask);
	close(pfd[0].fd);
	close(pfd[1].fd);
}

int main(void)
{
	polls();
	selects();
	masks();
	listeners();
	return 0;
}
