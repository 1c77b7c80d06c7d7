/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Facts: fast open of a client, after a first connection has brought the cookie. What happens without one depends on who was here before:
 * the unit tests have it.
 */
#include <sys/time.h>

#include "test/sock/fact.h"

static struct sockaddr_storage to;
static socklen_t to_len;

static int fresh(bool nonblock)
{
	int fd = socket(to.ss_family, SOCK_STREAM, 0);
	struct timeval limit = {.tv_sec = 3};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (nonblock)
		set_nonblock(fd);
	return fd;
}

static ssize_t send_to(int fd, const char *text, size_t len, int flags)
{
	return sendto(fd, text, len, MSG_NOSIGNAL | flags, (struct sockaddr *)&to, to_len);
}

static bool syn_data(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
	return info.tcpi_options & TCPI_OPT_SYN_DATA;
}

static void echo_fact(const char *what, int fd, size_t n)
{
	char buf[4096], text[64];

	fcntl(fd, F_SETFL, 0);
	snprintf(text, sizeof(text), "%s comes back", what);
	fact_ret(text, read_all(fd, buf, n));
	snprintf(text, sizeof(text), "%s rode on the SYN", what);
	fact_ok(text, syn_data(fd));
}

static void first(void)
{
	int fd = fresh(false);
	char buf[8];

	if (send_to(fd, "echo\nfirst", 10, MSG_FASTOPEN) != 10 || read_all(fd, buf, 5) != 5) {
		perror("cannot reach sock_peer by fast open");
		exit(2);
	}
	close(fd);
}

static void blocking(void)
{
	static char much[4000] = "echo\n";
	int fd = fresh(false);
	struct iovec iov[3] = {{(char[]){"echo\n"}, 5}, {(char[]){"ab"}, 2}, {(char[]){"cd"}, 2}};
	struct msghdr msg = {
			.msg_name = &to, .msg_namelen = to_len, .msg_iov = iov, .msg_iovlen = 3};

	fact_ret("blocking", send_to(fd, "echo\nhello", 10, MSG_FASTOPEN));
	echo_fact("blocking", fd, 5);
	fact_ret("again", send_to(fd, "x", 1, MSG_FASTOPEN));
	close(fd);
	fd = fresh(false);
	fact_ret("blocking, much", send_to(fd, much, sizeof(much), MSG_FASTOPEN));
	echo_fact("blocking, much", fd, sizeof(much) - 5);
	close(fd);
	fd = fresh(false);
	fact_ret("sendmsg", sendmsg(fd, &msg, MSG_FASTOPEN));
	echo_fact("sendmsg", fd, 4);
	close(fd);
	fd = fresh(false);
	fact_ret("blocking, nothing", send_to(fd, "", 0, MSG_FASTOPEN));
	fact_ret("blocking, nothing, connected", send(fd, "x", 1, MSG_NOSIGNAL));
	close(fd);
}

static void nonblocking(void)
{
	static char much[2000] = "echo\n";
	struct sockaddr unspec = {.sa_family = AF_UNSPEC};
	int fd = fresh(true);
	ssize_t n;

	fact_ret("AF_UNSPEC", sendto(fd, "x", 1, MSG_FASTOPEN, &unspec, sizeof(unspec)));
	fact_ret("no address", sendto(fd, "x", 1, MSG_FASTOPEN, NULL, 0));
	close(fd);
	fd = fresh(true);
	n = send_to(fd, much, sizeof(much), MSG_FASTOPEN);
	fact_ret("as much as the SYN takes", n);
	fact("connects", "%s", poll_text(poll_one(fd, POLLOUT, 2000)));
	fact_ret("the rest", n > 0 ? send_to(fd, much + n, sizeof(much) - (size_t)n, 0) : 0);
	echo_fact("all", fd, sizeof(much) - 5);
	close(fd);
	fd = fresh(true);
	fact_ret("nothing", send_to(fd, "", 0, MSG_FASTOPEN));
	fact("connects", "%s", poll_text(poll_one(fd, POLLOUT, 2000)));
	fact_ret("once more", send_to(fd, "echo\n", 5, MSG_FASTOPEN));
	fact_ret("and once more", send_to(fd, "x", 1, MSG_FASTOPEN));
	close(fd);
	fd = fresh(false);
	fact_ret("MSG_DONTWAIT", send_to(fd, "echo\nhello", 10, MSG_FASTOPEN | MSG_DONTWAIT));
	echo_fact("MSG_DONTWAIT", fd, 5);
	close(fd);
}

static void deferred(bool nonblock)
{
	int fd = fresh(nonblock), on = 1, value = -1;
	socklen_t len = sizeof(value);
	char c;

	fact("non-blocking", "%d", nonblock);
	fact_ret("TCP_FASTOPEN_CONNECT",
			setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on)));
	getsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &value, &len);
	fact("TCP_FASTOPEN_CONNECT", "%d", value);
	fact_ret("connect", connect(fd, (struct sockaddr *)&to, to_len));
	/* a second connect() that may wait would, on the kernel, for a SYN that it does not send */
	set_nonblock(fd);
	fact_ret("connect again", connect(fd, (struct sockaddr *)&to, to_len));
	fcntl(fd, F_SETFL, nonblock ? O_NONBLOCK : 0);
	fact_ret("TCP_FASTOPEN_CONNECT too late",
			setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on)));
	fact("writable", "%s", poll_text(poll_one(fd, POLLIN | POLLOUT, 0)));
	fact_ret("nothing to read", recv(fd, &c, 1, MSG_DONTWAIT));
	fact_ret("write", send(fd, "echo\nhello", 10, MSG_NOSIGNAL));
	fact("connects", "%s", poll_text(poll_one(fd, POLLOUT, 2000)));
	poll_one(fd, POLLIN, 2000);
	echo_fact("deferred", fd, 5);
	close(fd);
	/* nobody has written */
	fd = fresh(nonblock);
	setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on));
	fact_ret("connect, and no more", connect(fd, (struct sockaddr *)&to, to_len));
	close(fd);
}

static void without_cookie(void)
{
	int fd = fresh(false), on = 1, value = -1;
	socklen_t len = sizeof(value);

	fact_ret("TCP_FASTOPEN_NO_COOKIE",
			setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &on, sizeof(on)));
	getsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &value, &len);
	fact("TCP_FASTOPEN_NO_COOKIE", "%d", value);
	fact_ret("without cookie", send_to(fd, "echo\nhello", 10, MSG_FASTOPEN));
	/* the peer wants one: its data leaves again */
	echo_fact("without cookie", fd, 5);
	close(fd);
}

int main(void)
{
	to_len = peer_addr(&to);
	first();
	blocking();
	nonblocking();
	deferred(false);
	deferred(true);
	without_cookie();
	return 0;
}
