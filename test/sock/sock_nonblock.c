/* SPDX-License-Identifier: BSD-3-Clause */
/* Facts: non-blocking connect, send and accept; timeouts; signals. */
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include "test/sock/fact.h"

static int so_error(int fd)
{
	int value = -1;
	socklen_t len = sizeof(value);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len);
	return value;
}

static void connects(void)
{
	struct sockaddr_storage to;
	socklen_t len = peer_addr(&to);
	int fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);

	fact_ret("connect", connect(fd, (struct sockaddr *)&to, len));
	fact("poll connected", "%s", poll_text(poll_one(fd, POLLIN | POLLOUT, 2000)));
	fact("SO_ERROR", "%d", so_error(fd));
	fact_ret("connect to finish", connect(fd, (struct sockaddr *)&to, len));
	fact_ret("connect once more", connect(fd, (struct sockaddr *)&to, len));
	fact_ret("recv of nothing", recv(fd, &len, 1, 0));
	close(fd);
	fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	((struct sockaddr_in *)&to)->sin_port = htons(1);
	fact_ret("connect refused", connect(fd, (struct sockaddr *)&to, len));
	fact("poll refused", "%s", poll_text(poll_one(fd, POLLIN | POLLOUT, 2000)));
	fact("SO_ERROR refused", "%s", strerrorname_np(so_error(fd)));
	fact("SO_ERROR taken", "%d", so_error(fd));
	close(fd);
}

static void full(void)
{
	static char buf[65536];
	int fd = peer_dial("late 300 x");
	long total = 0;
	ssize_t n;

	set_nonblock(fd);
	while ((n = write(fd, buf, sizeof(buf))) > 0)
		total += n;
	fact_ret("write when full", n);
	fact_ok("took something", total > 10000);
	fact("poll when full", "%s", poll_text(poll_one(fd, POLLOUT, 0)));
	fact("poll when the peer reads", "%s", poll_text(poll_one(fd, POLLOUT, 5000)));
	fact_ok("write goes on", write(fd, buf, 1000) > 0);
	close(fd);
}

static void timeouts(void)
{
	struct timeval tv = {.tv_usec = 100000};
	int fd = peer_dial("hold");
	int64_t start = now_ms();
	char c;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	fact_ret("recv with SO_RCVTIMEO", recv(fd, &c, 1, 0));
	fact_ok("took its time", now_ms() - start >= 95 && now_ms() - start < 1500);
	start = now_ms();
	fact("poll with timeout", "%s", poll_text(poll_one(fd, POLLIN, 100)));
	fact_ok("took its time, too", now_ms() - start >= 95 && now_ms() - start < 1500);
	close(fd);
}

static void accept_timeout(void)
{
	struct timeval tv = {.tv_usec = 100000};
	int port;
	int fd = listen_any(&port);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	fact_ret("accept with SO_RCVTIMEO", accept(fd, NULL, NULL));
	close(fd);
}

static volatile int alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

static void set_alarm(int flags, int ms)
{
	struct sigaction act = {.sa_handler = on_alarm, .sa_flags = flags};
	struct itimerval it = {.it_value.tv_usec = ms * 1000};

	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
}

static void signals(void)
{
	int fd = peer_dial("late 300 x");
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	char c;

	set_alarm(0, 50);
	fact_ret("recv and a signal", recv(fd, &c, 1, 0));
	set_alarm(SA_RESTART, 50);
	fact_ret("poll and a signal", poll(&pfd, 1, 1000));
	set_alarm(SA_RESTART, 50);
	fact_ret("recv and SA_RESTART", recv(fd, &c, 1, 0));
	fact("handlers", "%d", alarms);
	close(fd);
}

static void ioctls(void)
{
	int fd = peer_dial("hold");
	int on = 1;
	char c;

	fact_ret("FIONBIO", ioctl(fd, FIONBIO, &on));
	fact_ok("O_NONBLOCK", fcntl(fd, F_GETFL) & O_NONBLOCK);
	fact_ret("recv", recv(fd, &c, 1, 0));
	on = 0;
	fact_ret("FIONBIO off", ioctl(fd, FIONBIO, &on));
	fact_ok("no O_NONBLOCK", !(fcntl(fd, F_GETFL) & O_NONBLOCK));
	close(fd);
}

int main(void)
{
	connects();
	full();
	timeouts();
	accept_timeout();
	signals();
	ioctls();
	return 0;
}
