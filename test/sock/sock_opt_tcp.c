/* SPDX-License-Identifier: BSD-3-Clause */
/* Facts: TCP's options, each in every state. */
#include "test/sock/opt.h"

static const struct opt_trial trial[] = {
		OPT_TRIAL(IPPROTO_TCP, TCP_NODELAY, 0, 1, 0, 7, -1),
		OPT_TRIAL(IPPROTO_TCP, TCP_CORK, 0, 1, 0, 5),
		OPT_TRIAL(IPPROTO_TCP, TCP_KEEPIDLE, 7200, 100, 1, 32767, 0, 32768, -1),
		OPT_TRIAL(IPPROTO_TCP, TCP_KEEPINTVL, 75, 10, 1, 32767, 0, 32768, -1),
		OPT_TRIAL(IPPROTO_TCP, TCP_KEEPCNT, 9, 5, 1, 127, 0, 128, -1),
		OPT_TRIAL(IPPROTO_TCP, TCP_SYNCNT, OPT_KEEP, 4, 127, 0, 128, -1),
		OPT_TRIAL(IPPROTO_TCP, TCP_LINGER2, 60, 20, 120, 121, 100000, 0, -1),
		OPT_TRIAL(IPPROTO_TCP, TCP_USER_TIMEOUT, 0, 30000, 0, 2147483647, -1),
		OPT_TRIAL(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 0, 16384, 0, -1, 1),
		OPT_TRIAL(IPPROTO_TCP, TCP_THIN_DUPACK, 0, 1, 2, -1),
		OPT_TRIAL(IPPROTO_TCP, TCP_INQ, 0, 1, 2, -1, 0),
		OPT_TRIAL(IPPROTO_TCP, TCP_FASTOPEN, OPT_KEEP, 16, 0, -1),
		OPT_TRIAL(IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, OPT_KEEP, 1, 0, 2, -1),
		OPT_TRIAL(IPPROTO_TCP, TCP_ULP, OPT_KEEP, 1),
		{"TCP_TIMESTAMP", IPPROTO_TCP, TCP_TIMESTAMP, (const int[]){5}, 1, OPT_KEEP, true,
				false},
		OPT_TRIAL(IPPROTO_TCP, TCP_QUEUE_SEQ, OPT_KEEP, 5),
		{"TCP unknown", IPPROTO_TCP, 9999, (const int[]){1}, 1, OPT_KEEP, false, false},
		{"SOL unknown", 9999, 1, (const int[]){1}, 1, OPT_KEEP, false, false},
};

/* The seconds that a number of retransmissions takes are told, not the seconds asked for. */
static void defer_accept(void)
{
	static const int ask_s[] = {0, 1, 2, 3, 4, 7, 8, 15, 30, 60, 120, 200, -1};
	int fd = socket(peer_family(), SOCK_STREAM, 0);
	socklen_t len = sizeof(int);
	char name[64];

	for (size_t i = 0; i < sizeof(ask_s) / sizeof(*ask_s); i++) {
		int value = -7;

		snprintf(name, sizeof(name), "TCP_DEFER_ACCEPT %d", ask_s[i]);
		fact_ret(name, setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &ask_s[i],
					       sizeof(int)));
		getsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &value, &len);
		fact(name, "%d", value);
	}
	close(fd);
}

static int maxseg_of(int fd)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &value, &len) == 0 ? value : -errno;
}

static void maxseg(void)
{
	static const int values[] = {1000, 88, 87, 32767, 32768, 0, -1};
	int fd = socket(peer_family(), SOCK_STREAM, 0);
	int value = 800, port, listener, ask;
	struct sockaddr_storage to;
	socklen_t len = peer_addr(&to);
	char name[64];

	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		snprintf(name, sizeof(name), "TCP_MAXSEG %d", values[i]);
		fact_ret(name, setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &values[i], sizeof(int)));
		fact(name, "%d", maxseg_of(fd));
	}
	fact_ret("TCP_MAXSEG before connect",
			setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &value, sizeof(value)));
	fact_ret("connect", connect(fd, (struct sockaddr *)&to, len));
	fact("TCP_MAXSEG connected", "%d", maxseg_of(fd));
	value = 500;
	fact_ret("TCP_MAXSEG after connect",
			setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &value, sizeof(value)));
	fact("TCP_MAXSEG does not change", "%d", maxseg_of(fd));
	close(fd);
	fd = peer_dial("echo");
	fact_ok("TCP_MAXSEG of the path", maxseg_of(fd) >= 1200);
	close(fd);
	listener = listen_any(&port);
	value = 700;
	setsockopt(listener, IPPROTO_TCP, TCP_MAXSEG, &value, sizeof(value));
	fact("TCP_MAXSEG listening", "%d", maxseg_of(listener));
	ask = peer_back(port, 1);
	fd = accept(listener, NULL, NULL);
	fact("TCP_MAXSEG accepted", "%d", maxseg_of(fd));
	close(fd);
	close(ask);
	close(listener);
}

static const char *cc_of(int fd)
{
	static char name[17];
	socklen_t len = 16;

	memset(name, 0, sizeof(name));
	return getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) == 0
			       ? name
			       : strerrorname_np(errno);
}

static void cc_set(const char *what, int fd, const char *name, socklen_t len)
{
	char text[96];

	snprintf(text, sizeof(text), "%s TCP_CONGESTION \"%s\" in %u", what, name, len);
	fact_ret(text, setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, len));
}

static void congestion(const char *what, int fd)
{
	char buf[32], text[64];

	fact_ok("it has a name", cc_of(fd)[0] != '\0');
	cc_set(what, fd, "reno", 4);
	fact(what, "%s", cc_of(fd));
	cc_set(what, fd, "cubic", 6);
	fact(what, "%s", cc_of(fd));
	cc_set(what, fd, "cubic", 16);
	cc_set(what, fd, "nonsense", 8);
	cc_set(what, fd, "cub", 3);
	cc_set(what, fd, "", 1);
	cc_set(what, fd, "reno", 0);
	cc_set(what, fd, "cubic with a name beyond all", 28);
	fact(what, "%s", cc_of(fd));
	for (socklen_t want = 0; want <= 20; want += 4) {
		socklen_t len = want;

		memset(buf, 'x', sizeof(buf));
		snprintf(text, sizeof(text), "%s TCP_CONGESTION by %u", what, want);
		fact_ret(text, getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, buf, &len));
		fact(text, "%.*s in %u", (int)strnlen(buf, len), buf, len);
	}
}

static void congestion_states(void)
{
	struct sockaddr_storage to;
	socklen_t len = peer_addr(&to);
	int fd = socket(peer_family(), SOCK_STREAM, 0);
	int port, listener, ask;

	congestion("fresh", fd);
	cc_set("fresh", fd, "reno", 4);
	fact_ret("connect with reno", connect(fd, (struct sockaddr *)&to, len));
	fact("connected with", "%s", cc_of(fd));
	congestion("connected", fd);
	close(fd);
	listener = listen_any(&port);
	congestion("listening", listener);
	cc_set("listening", listener, "reno", 4);
	ask = peer_back(port, 1);
	fd = accept(listener, NULL, NULL);
	fact("accepted with", "%s", cc_of(fd));
	close(fd);
	close(ask);
	close(listener);
}

static void quickack(void)
{
	int fd = socket(peer_family(), SOCK_STREAM, 0);
	socklen_t len = sizeof(int);
	int value = -1, zero = 0, one = 1;

	getsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &value, &len);
	fact("TCP_QUICKACK fresh", "%d", value);
	close(fd);
	fd = peer_dial("hold");
	getsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &value, &len);
	fact("TCP_QUICKACK of one who speaks first", "%d", value);
	fact_ret("TCP_QUICKACK 0", setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &zero, sizeof(int)));
	getsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &value, &len);
	fact("TCP_QUICKACK 0", "%d", value);
	fact_ret("TCP_QUICKACK 1", setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(int)));
	getsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &value, &len);
	fact("TCP_QUICKACK 1", "%d", value);
	close(fd);
}

int main(void)
{
	opt_states(trial, sizeof(trial) / sizeof(*trial));
	defer_accept();
	maxseg();
	congestion_states();
	quickack();
	return 0;
}
