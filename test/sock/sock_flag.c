/* SPDX-License-Identifier: BSD-3-Clause */
/* Facts: flags of send and receive, what is readable and unsent, TCP_INQ, SO_RCVLOWAT, TCP_NOTSENT_LOWAT, TCP_CORK, MSG_EOR. */
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <linux/sockios.h>

#include "test/sock/fact.h"

#ifndef TCP_CM_INQ
#define TCP_CM_INQ TCP_INQ
#endif

/* Until @n bytes are readable. */
static void await_bytes(int fd, int n)
{
	int there = 0;

	for (int i = 0; i < 400 && there < n; i++) {
		ioctl(fd, FIONREAD, &there);
		if (there < n)
			poll(NULL, 0, 5);
	}
	fact("readable", "%d", there);
}

static int echoed(const char *text)
{
	int fd = peer_dial("echo");

	if (send(fd, text, strlen(text), 0) != (ssize_t)strlen(text))
		fact("send", "fails");
	await_bytes(fd, (int)strlen(text));
	return fd;
}

static void receive(void)
{
	char buf[64] = "";
	int fd = echoed("0123456789"), n = -1;

	fact_ret("peek", recv(fd, buf, 4, MSG_PEEK));
	fact("peek", "%.4s", buf);
	fact_ret("peek and trunc", recv(fd, buf, 4, MSG_PEEK | MSG_TRUNC));
	fact_ret("peek and trunc, much", recv(fd, buf, 64, MSG_PEEK | MSG_TRUNC));
	fact_ret("peek and trunc, NULL", recv(fd, NULL, 64, MSG_PEEK | MSG_TRUNC));
	fact_ret("trunc", recv(fd, NULL, 3, MSG_TRUNC));
	fact_ret("after trunc", recv(fd, buf, 2, 0));
	fact("after trunc", "%.2s", buf);
	fact_ret("errqueue", recv(fd, buf, 2, MSG_ERRQUEUE));
	fact_ret("oob", recv(fd, buf, 1, MSG_OOB));
	fact_ret("unknown flag", recv(fd, buf, 1, 0x80000 | MSG_DONTWAIT));
	ioctl(fd, FIONREAD, &n);
	fact("left", "%d", n);
	fact_ret("waitall without waiting", recv(fd, buf, 64, MSG_WAITALL | MSG_DONTWAIT));
	fact_ret("peek at nothing", recv(fd, buf, 4, MSG_PEEK | MSG_DONTWAIT));
	fact_ret("trunc at nothing", recv(fd, buf, 4, MSG_TRUNC | MSG_DONTWAIT));
	fact_ret("peek and trunc at nothing",
			recv(fd, buf, 4, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT));
	shutdown(fd, SHUT_WR);
	poll_one(fd, POLLRDHUP, 2000);
	fact_ret("peek and trunc at the end", recv(fd, buf, 4, MSG_PEEK | MSG_TRUNC));
	close(fd);
}

static void sending(void)
{
	static const struct {
		const char *name;
		int flag;
	} flags[] = {{"MSG_EOR", MSG_EOR}, {"MSG_MORE", MSG_MORE}, {"MSG_ZEROCOPY", MSG_ZEROCOPY},
			{"MSG_CONFIRM", MSG_CONFIRM}, {"MSG_DONTROUTE", MSG_DONTROUTE},
			{"MSG_FASTOPEN", MSG_FASTOPEN}, {"MSG_NOSIGNAL", MSG_NOSIGNAL},
			{"MSG_PROXY", MSG_PROXY}, {"MSG_WAITALL", MSG_WAITALL},
			{"unknown", 0x80000}};
	char text[64], buf[64];
	int fd = peer_dial("echo"), sent = 0;

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		ssize_t n = send(fd, "x", 1, flags[i].flag);

		snprintf(text, sizeof(text), "send %s", flags[i].name);
		fact_ret(text, n);
		sent += n > 0 ? (int)n : 0;
	}
	fact_ret("all come back", read_all(fd, buf, (size_t)sent));
	shutdown(fd, SHUT_WR);
	fact_ret("send after shutdown", send(fd, "x", 1, MSG_NOSIGNAL));
	fact_ret("MSG_MORE after shutdown", send(fd, "x", 1, MSG_NOSIGNAL | MSG_MORE));
	close(fd);
}

/* What MSG_MORE and TCP_CORK hold back is let go in time, and by what follows. */
static void holding(void)
{
	int fd = peer_dial("echo"), on = 1, off = 0, n = 0;
	char buf[16];
	int64_t start;

	poll(NULL, 0, 80); /* an ACK of the command would let it go */
	send(fd, "a", 1, MSG_MORE);
	poll(NULL, 0, 50);
	ioctl(fd, FIONREAD, &n);
	fact("MSG_MORE holds", "%d", n);
	send(fd, "b", 1, 0);
	fact_ret("the rest brings both", read_all(fd, buf, 2));
	setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
	send(fd, "c", 1, 0);
	poll(NULL, 0, 50);
	ioctl(fd, FIONREAD, &n);
	fact("TCP_CORK holds", "%d", n);
	ioctl(fd, SIOCOUTQNSD, &n);
	fact("TCP_CORK not sent", "%d", n);
	ioctl(fd, SIOCOUTQ, &n);
	fact("TCP_CORK queued", "%d", n);
	setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
	fact_ret("uncorked", read_all(fd, buf, 1));
	setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
	send(fd, "d", 1, 0);
	start = now_ms();
	fact_ret("TCP_CORK lets go by itself", read_all(fd, buf, 1));
	start = now_ms() - start;
	fact("... after 200 ms", "%s",
			start >= 150 && start < 600 ? "yes"
			: start < 150               ? "no, before"
						    : "no, later");
	close(fd);
}

/* Nothing is sent, whatever the flags: but may one send? */
static void nothing_once(const char *what, int fd, int flags)
{
	struct iovec iov[4] = {{0}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 4};
	char text[64];

	snprintf(text, sizeof(text), "nothing, %s", what);
	fact_ret(text, sendmsg(fd, &msg, flags | MSG_NOSIGNAL));
	msg.msg_iovlen = 0;
	fact_ret(text, sendmsg(fd, &msg, flags | MSG_NOSIGNAL));
	fact_ret(text, send(fd, NULL, 0, flags | MSG_NOSIGNAL));
}

static void nothing(void)
{
	int fd = peer_dial("echo"), port, listener = listen_any(&port);
	struct sockaddr_storage to;
	socklen_t len = peer_addr(&to);
	char c;

	nothing_once("plain", fd, 0);
	nothing_once("MSG_EOR", fd, MSG_EOR);
	nothing_once("MSG_MORE", fd, MSG_MORE);
	nothing_once("MSG_ZEROCOPY", fd, MSG_ZEROCOPY);
	nothing_once("MSG_OOB", fd, MSG_OOB);
	fact_ret("nothing, write", write(fd, NULL, 0));
	fact_ret("nothing, writev", writev(fd, NULL, 0));
	fact_ret("nothing came back", recv(fd, &c, 1, MSG_DONTWAIT));
	shutdown(fd, SHUT_WR);
	nothing_once("after shutdown", fd, 0);
	close(fd);
	fd = peer_dial("reset");
	poll_one(fd, POLLHUP, 2000);
	nothing_once("after a reset", fd, 0);
	close(fd);
	nothing_once("listening", listener, 0);
	close(listener);
	fd = socket(peer_family(), SOCK_STREAM, 0);
	nothing_once("fresh", fd, 0);
	set_nonblock(fd);
	connect(fd, (struct sockaddr *)&to, len);
	poll_one(fd, POLLOUT, 2000);
	nothing_once("connected", fd, 0);
	close(fd);
}

static unsigned int data_segs(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
	return info.tcpi_data_segs_out;
}

/* Two corked sends, the first with @flag: how many segments, and does the first wait for the second? */
static void records(const char *what, int flag)
{
	int fd = peer_dial("echo"), on = 1, off = 0, n = -1;
	char text[64], buf[256] = "";
	unsigned int before;

	poll(NULL, 0, 80); /* the command is acknowledged */
	before = data_segs(fd);
	setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
	snprintf(text, sizeof(text), "%s, alone", what);
	fact_ret(text, send(fd, buf, 100, flag));
	poll(NULL, 0, 20);
	ioctl(fd, SIOCOUTQNSD, &n);
	fact(text, "%d not sent", n);
	snprintf(text, sizeof(text), "%s, something follows", what);
	fact_ret(text, send(fd, buf, 50, 0));
	poll(NULL, 0, 20);
	ioctl(fd, SIOCOUTQNSD, &n);
	fact(text, "%d not sent", n);
	setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof(off));
	fact_ret(text, read_all(fd, buf, 150));
	fact(text, "%u segments", data_segs(fd) - before);
	close(fd);
}

static void queues(void)
{
	int fd = peer_dial("hold"), n = -1, port;
	int listener = listen_any(&port);

	for (int i = 0; i < 200 && n != 0; i++) {
		ioctl(fd, SIOCOUTQ, &n);
		poll(NULL, 0, 5);
	}
	fact("SIOCOUTQ", "%d", n);
	fact_ret("SIOCOUTQNSD", ioctl(fd, SIOCOUTQNSD, &n));
	fact("SIOCOUTQNSD", "%d", n);
	fact_ret("SIOCINQ", ioctl(fd, SIOCINQ, &n));
	fact("SIOCINQ", "%d", n);
	fact_ret("SIOCATMARK", ioctl(fd, SIOCATMARK, &n));
	fact("SIOCATMARK", "%d", n);
	fact_ret("listening SIOCINQ", ioctl(listener, SIOCINQ, &n));
	fact_ret("listening SIOCOUTQ", ioctl(listener, SIOCOUTQ, &n));
	fact_ret("listening SIOCOUTQNSD", ioctl(listener, SIOCOUTQNSD, &n));
	fact_ret("unknown ioctl", ioctl(fd, 0x1234, &n));
	close(listener);
	close(fd);
	fd = socket(peer_family(), SOCK_STREAM, 0);
	fact_ret("fresh SIOCINQ", ioctl(fd, SIOCINQ, &n));
	fact_ret("fresh SIOCOUTQ", ioctl(fd, SIOCOUTQ, &n));
	close(fd);
	fd = peer_dial("fin");
	poll_one(fd, POLLRDHUP, 2000);
	fact_ret("SIOCINQ at the end", ioctl(fd, SIOCINQ, &n));
	fact("SIOCINQ at the end", "%d", n);
	close(fd);
}

/* One recvmsg() with room for @room bytes of control data. */
static void inq_once(const char *what, int fd, size_t bytes, size_t room, int flags)
{
	_Alignas(struct cmsghdr) char control[128];
	char buf[64];
	struct iovec iov = {.iov_base = buf, .iov_len = bytes};
	struct msghdr msg = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = room ? control : NULL,
			.msg_controllen = room};
	struct cmsghdr *cmsg;
	int value = -1;

	memset(control, 0xee, sizeof(control));
	fact_ret(what, recvmsg(fd, &msg, flags));
	cmsg = room >= sizeof(*cmsg) && msg.msg_controllen >= sizeof(*cmsg)
			       ? (struct cmsghdr *)(void *)control
			       : NULL;
	if (!cmsg) {
		fact(what, "no control, %zu, flags %#x", (size_t)msg.msg_controllen, msg.msg_flags);
		return;
	}
	memcpy(&value, CMSG_DATA(cmsg), sizeof(value));
	fact(what, "level %d type %d len %zu of %zu: %d, flags %#x", cmsg->cmsg_level,
			cmsg->cmsg_type, (size_t)cmsg->cmsg_len, (size_t)msg.msg_controllen,
			cmsg->cmsg_len >= CMSG_LEN(4) ? value : 0, msg.msg_flags);
}

static void inq(void)
{
	int fd = echoed("0123456789"), on = 1, off = 0;

	inq_once("without TCP_INQ", fd, 1, 64, 0);
	fact_ret("TCP_INQ", setsockopt(fd, IPPROTO_TCP, TCP_INQ, &on, sizeof(on)));
	inq_once("TCP_INQ", fd, 1, 64, 0);
	inq_once("TCP_INQ peeks", fd, 1, 64, MSG_PEEK);
	inq_once("TCP_INQ exact room", fd, 1, CMSG_SPACE(sizeof(int)), 0);
	inq_once("TCP_INQ just room", fd, 1, CMSG_LEN(sizeof(int)), 0);
	inq_once("TCP_INQ short room", fd, 1, CMSG_LEN(sizeof(int)) - 2, 0);
	inq_once("TCP_INQ no room", fd, 1, 0, 0);
	inq_once("TCP_INQ all", fd, 60, 64, 0);
	inq_once("TCP_INQ nothing", fd, 60, 64, MSG_DONTWAIT);
	shutdown(fd, SHUT_WR);
	poll_one(fd, POLLRDHUP, 2000);
	inq_once("TCP_INQ end", fd, 60, 64, 0);
	setsockopt(fd, IPPROTO_TCP, TCP_INQ, &off, sizeof(off));
	inq_once("TCP_INQ off", fd, 60, 64, 0);
	close(fd);
}

/* SO_RCVLOWAT holds a blocking call and poll back, not one that does not wait. */
static void rcvlowat(void)
{
	struct timeval tv = {0, 300000};
	int fd = echoed("01234"), low = 10;
	char buf[64];

	fact_ret("SO_RCVLOWAT", setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low)));
	fact("poll below", "%s", poll_text(poll_one(fd, POLLIN, 50)));
	fact_ret("peek below", recv(fd, buf, 64, MSG_PEEK | MSG_DONTWAIT));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	fact_ret("blocking, 3 wanted", recv(fd, buf, 3, 0));
	fact_ret("blocking, time runs out", recv(fd, buf, 64, 0));
	fact_ret("nothing is left", recv(fd, buf, 64, MSG_DONTWAIT));
	send(fd, "0123456789ab", 12, 0);
	await_bytes(fd, 12);
	fact("poll above", "%s", poll_text(poll_one(fd, POLLIN, 1000)));
	fact_ret("blocking, enough", recv(fd, buf, 64, 0));
	send(fd, "xyz", 3, 0);
	await_bytes(fd, 3);
	shutdown(fd, SHUT_WR);
	fact("poll below at the end", "%s", poll_text(poll_one(fd, POLLIN, 2000)));
	fact_ret("blocking at the end", recv(fd, buf, 64, 0));
	close(fd);
}

/* Nobody reads: what is not sent is bounded by TCP_NOTSENT_LOWAT, and poll says so. */
static void notsent(void)
{
	static char buf[65536];
	int fd = peer_dial("late 1500 x"), low = 20000, unsent = 0;
	long total = 0;
	ssize_t n;

	fact_ret("TCP_NOTSENT_LOWAT",
			setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof(low)));
	set_nonblock(fd);
	for (int i = 0; i < 4000 && total < 64000000; i++) {
		n = send(fd, buf, sizeof(buf), 0);
		if (n > 0) {
			total += n;
			continue;
		}
		if (poll_one(fd, POLLOUT, 200) == 0)
			break;
	}
	ioctl(fd, SIOCOUTQNSD, &unsent);
	fact_ok("their window was filled", total > 20000);
	fact_ok("little is unsent", unsent > 0 && unsent < low + 70000);
	fact("not writable", "%s", poll_text(poll_one(fd, POLLOUT, 0)));
	fact_ok("writable when they read", poll_one(fd, POLLOUT, 5000) & POLLOUT);
	ioctl(fd, SIOCOUTQNSD, &unsent);
	fact_ok("less than half is unsent", unsent < low / 2);
	close(fd);
}

int main(void)
{
	receive();
	sending();
	nothing();
	holding();
	records("without MSG_EOR", 0);
	records("MSG_EOR", MSG_EOR);
	records("MSG_EOR and MSG_MORE", MSG_EOR | MSG_MORE);
	queues();
	inq();
	rcvlowat();
	notsent();
	return 0;
}
