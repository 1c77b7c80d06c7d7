/* SPDX-License-Identifier: BSD-3-Clause */
/* Facts: socket options on fresh, connected, listening and accepted sockets. */
#include <sys/time.h>

#include "test/sock/fact.h"

static const struct {
	const char *name;
	int level, opt, value;
} ints[] = {
		{"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR, 1},
		{"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE, 1},
		{"SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, 50000},
		{"SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 50000},
		{"SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, 1},
		{"SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE, 1},
		{"SO_TYPE", SOL_SOCKET, SO_TYPE, -1},
		{"SO_PROTOCOL", SOL_SOCKET, SO_PROTOCOL, -1},
		{"SO_ACCEPTCONN", SOL_SOCKET, SO_ACCEPTCONN, -1},
		{"SO_ERROR", SOL_SOCKET, SO_ERROR, -1},
		{"SO_PRIORITY", SOL_SOCKET, SO_PRIORITY, 3},
		{"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY, 1},
		{"TCP_CORK", IPPROTO_TCP, TCP_CORK, 0},
		{"TCP_QUICKACK", IPPROTO_TCP, TCP_QUICKACK, 1},
		{"TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 100},
		{"TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, 10},
		{"TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, 5},
		{"TCP_KEEPCNT bad", IPPROTO_TCP, TCP_KEEPCNT, 100000},
		{"TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, 30000},
		{"TCP_LINGER2", IPPROTO_TCP, TCP_LINGER2, 20},
		{"TCP_SYNCNT", IPPROTO_TCP, TCP_SYNCNT, 4},
		{"TCP_NOTSENT_LOWAT", IPPROTO_TCP, TCP_NOTSENT_LOWAT, 16384},
		{"TCP unknown", IPPROTO_TCP, 9999, 1},
		{"SOL unknown", 9999, 1, 1},
};

static void sweep(const char *what, int fd)
{
	char name[64];

	for (size_t i = 0; i < sizeof(ints) / sizeof(*ints); i++) {
		int value = -1;
		socklen_t len = sizeof(value);

		if (ints[i].value >= 0) {
			snprintf(name, sizeof(name), "%s set %s", what, ints[i].name);
			fact_ret(name, setsockopt(fd, ints[i].level, ints[i].opt, &ints[i].value,
						       sizeof(int)));
		}
		snprintf(name, sizeof(name), "%s get %s", what, ints[i].name);
		if (getsockopt(fd, ints[i].level, ints[i].opt, &value, &len) != 0)
			fact_ret(name, -1);
		else
			fact(name, "%d in %u", value, len);
	}
}

static void structs(const char *what, int fd)
{
	struct timeval tv = {5, 250000};
	struct linger linger = {1, 7};
	socklen_t len = sizeof(tv);
	char name[64];

	snprintf(name, sizeof(name), "%s SO_RCVTIMEO", what);
	fact_ret(name, setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)));
	getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len);
	fact(name, "%ld %ld in %u", (long)tv.tv_sec, (long)tv.tv_usec, len);
	snprintf(name, sizeof(name), "%s SO_LINGER", what);
	fact_ret(name, setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	len = sizeof(linger);
	getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len);
	fact(name, "%d %d in %u", linger.l_onoff, linger.l_linger, len);
	linger.l_onoff = 0;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	snprintf(name, sizeof(name), "%s too small", what);
	fact_ret(name, setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &tv, 1));
}

static void info(int fd)
{
	struct tcp_info ti;
	socklen_t len = sizeof(ti);
	char cc[16] = "";
	int mss = 0;

	memset(&ti, 0, sizeof(ti));
	fact_ret("TCP_INFO", getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len));
	fact("TCP_INFO state", "%d", ti.tcpi_state);
	fact_ok("TCP_INFO mss", ti.tcpi_snd_mss >= 500 && ti.tcpi_snd_mss <= 65483);
	fact_ok("TCP_INFO rtt", ti.tcpi_rtt > 0 && ti.tcpi_rtt < 1000000);
	fact_ok("TCP_INFO cwnd", ti.tcpi_snd_cwnd >= 2);
	fact_ok("TCP_INFO rto", ti.tcpi_rto >= 1000);
	len = 8;
	fact_ret("TCP_INFO cut", getsockopt(fd, IPPROTO_TCP, TCP_INFO, &ti, &len));
	fact("TCP_INFO cut length", "%u", len);
	len = sizeof(cc);
	fact_ret("TCP_CONGESTION", getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, cc, &len));
	fact("TCP_CONGESTION length", "%u", len);
	fact_ok("TCP_CONGESTION has a name", cc[0] != '\0');
	fact_ret("TCP_CONGESTION bad", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "nonsense", 8));
	len = sizeof(mss);
	fact_ret("TCP_MAXSEG", getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, &len));
	fact_ok("TCP_MAXSEG is plausible", mss >= 500 && mss <= 65483);
}

static void inherited(int listener, int port)
{
	struct timeval tv;
	socklen_t len = sizeof(int);
	int value = 0;
	int ask = peer_back(port, 1);
	int fd = accept(listener, NULL, NULL);

	getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len);
	fact("accepted TCP_NODELAY", "%d", value);
	getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &len);
	fact("accepted SO_KEEPALIVE", "%d", value);
	getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, &len);
	fact("accepted TCP_KEEPIDLE", "%d", value);
	getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len);
	fact("accepted SO_ACCEPTCONN", "%d", value);
	len = sizeof(tv);
	getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, &len);
	fact("accepted SO_RCVTIMEO", "%ld", (long)tv.tv_sec);
	close(fd);
	close(ask);
}

int main(void)
{
	int fd = socket(peer_family(), SOCK_STREAM, 0);
	int port;

	sweep("fresh", fd);
	structs("fresh", fd);
	close(fd);
	fd = peer_dial("echo");
	info(fd);
	sweep("connected", fd);
	structs("connected", fd);
	close(fd);
	fd = listen_any(&port);
	sweep("listening", fd);
	structs("listening", fd);
	inherited(fd, port);
	close(fd);
	return 0;
}
