/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Facts: when is a socket writable, how much may wait in it, and when is a connection worth accepting? Sizes are the kernel's affair or
 * ours; what is compared is what a program may rely on.
 */
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "test/sock/fact.h"

#define LOWAT_BYTES 16384
#define SEGMENT_BYTES 65536 /* the kernel rounds up to one of its buffers */

/* A connection whose peer reads nothing for @ms, then says so and reads all; we do not wait for it. */
static int lazy_peer(int ms)
{
	char command[32];
	int fd;

	snprintf(command, sizeof(command), "late %d go", ms);
	fd = peer_dial(command);
	set_nonblock(fd);
	return fd;
}

static int ioctl_int(int fd, unsigned long name)
{
	int value = -1;

	ioctl(fd, name, &value);
	return value;
}

/* Write until nothing has been taken for a fifth of a second. Return: bytes taken. */
static long fill(int fd)
{
	static char buf[65536];
	long taken = 0;
	ssize_t n;

	do {
		while ((n = send(fd, buf, sizeof(buf), MSG_NOSIGNAL)) > 0)
			taken += n;
	} while (errno == EAGAIN && poll_one(fd, POLLOUT, 200) != 0);
	fact_ret("full", n);
	return taken;
}

static struct tcp_info info_of(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
	return info;
}

static void full_buffer(void)
{
	static char buf[65536];
	int fd = lazy_peer(1500);
	long before = fill(fd), after = 0;
	struct tcp_info info;
	ssize_t n;

	fact("full, writable", "%s", poll_text(poll_one(fd, POLLOUT, 0)));
	fact_ok("something waits", ioctl_int(fd, SIOCOUTQ) > 0);
	poll_one(fd, POLLIN, 3000);
	fact("peer reads, writable", "%s", poll_text(poll_one(fd, POLLOUT, 2000)));
	n = send(fd, buf, sizeof(buf), MSG_NOSIGNAL);
	fact_ok("and takes something", n > 0);
	for (after = n; after < before / 4 && poll_one(fd, POLLOUT, 2000) == POLLOUT; after += n)
		if ((n = send(fd, buf, sizeof(buf), MSG_NOSIGNAL)) <= 0)
			break;
	fact_ok("and a quarter of what it held", after >= before / 4);
	info = info_of(fd);
	fact_ok("the peer's window held us back", info.tcpi_rwnd_limited > 500000);
	fact_ok("that is a part of the busy time",
			info.tcpi_rwnd_limited + info.tcpi_sndbuf_limited <= info.tcpi_busy_time);
	fact_ok("a delivery rate is known", info.tcpi_delivery_rate > 0);
	close(fd);
}

static void small_buffer(void)
{
	int fd = lazy_peer(1000), size = 32768, got = 0;
	socklen_t len = sizeof(got);
	int waits;

	fact_ret("SO_SNDBUF", setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
	getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &got, &len);
	fact("SO_SNDBUF", "%d", got);
	fill(fd);
	waits = ioctl_int(fd, SIOCOUTQ);
	/* the kernel adds one of its buffers as long as it is below */
	fact_ok("hardly more than SO_SNDBUF waits", waits <= got + SEGMENT_BYTES);
	fact_ok("at least a quarter of it", waits >= got / 4);
	close(fd);
}

static void little_unsent(void)
{
	int fd = lazy_peer(1500), lowat = LOWAT_BYTES;
	int unsent;

	fact_ret("TCP_NOTSENT_LOWAT",
			setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof(lowat)));
	fill(fd);
	unsent = ioctl_int(fd, SIOCOUTQNSD);
	fact_ok("little waits unsent", unsent >= lowat / 2 && unsent < lowat + SEGMENT_BYTES);
	fact("little unsent, writable", "%s", poll_text(poll_one(fd, POLLOUT, 0)));
	poll_one(fd, POLLIN, 3000);
	fact("peer reads, writable", "%s", poll_text(poll_one(fd, POLLOUT, 2000)));
	fact_ok("less than half of the mark is unsent", ioctl_int(fd, SIOCOUTQNSD) < lowat / 2);
	close(fd);
}

/* Half a second's worth, given away at once. The kernel does not pace the first ten segments, which are large on its loopback. */
static void paced(void)
{
	static char buf[2000000];
	unsigned int rate = 4000000;
	int fd = peer_dial("hold");
	int64_t start = now_ms();
	struct tcp_info info;

	fact_ret("SO_MAX_PACING_RATE",
			setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate)));
	info = info_of(fd);
	fact("max_pacing_rate", "%llu", (unsigned long long)info.tcpi_max_pacing_rate);
	fact_ret("write", send(fd, buf, sizeof(buf), MSG_NOSIGNAL));
	while (ioctl_int(fd, SIOCOUTQ) > 0 && now_ms() - start < 5000)
		poll_one(fd, POLLIN, 5);
	fact_ok("takes its time", now_ms() - start >= 200);
	fact_ok("and no more", now_ms() - start < 2000);
	info = info_of(fd);
	fact_ok("pacing_rate is within the limit",
			info.tcpi_pacing_rate <= info.tcpi_max_pacing_rate);
	close(fd);
}

/* The peer connects, and says nothing for a second. */
static void deferred_accept(int defer_s)
{
	int port, value = defer_s;
	int listener = listen_any(&port);
	char command[32], buf[16];
	int teller, fd;

	fact("TCP_DEFER_ACCEPT", "%d", defer_s);
	if (defer_s)
		setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &value, sizeof(value));
	snprintf(command, sizeof(command), "shy %d 1000", port);
	teller = peer_dial(command);
	fact("silent connection", "%s", poll_text(poll_one(listener, POLLIN, 500)));
	fact("after a word", "%s", poll_text(poll_one(listener, POLLIN, 3000)));
	fd = accept(listener, NULL, NULL);
	fact_ok("accepted", fd >= 0);
	if (!defer_s)
		poll_one(fd, POLLIN, 3000);
	fact_ret("its word is there", recv(fd, buf, sizeof(buf), MSG_DONTWAIT));
	close(fd);
	close(teller);
	close(listener);
}

int main(void)
{
	full_buffer();
	small_buffer();
	little_unsent();
	paced();
	deferred_accept(0);
	deferred_accept(4);
	return 0;
}
