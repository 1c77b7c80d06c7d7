/* SPDX-License-Identifier: BSD-3-Clause */
/* Facts: options of the socket level, each in every state. */
#include <sys/time.h>

#include "test/sock/opt.h"

static const struct opt_trial trial[] = {
		OPT_TRIAL(SOL_SOCKET, SO_REUSEADDR, 0, 1, 0, 5),
		OPT_TRIAL(SOL_SOCKET, SO_REUSEPORT, 0, 1, 0),
		OPT_TRIAL(SOL_SOCKET, SO_KEEPALIVE, 0, 1, 0, 9),
		OPT_TRIAL(SOL_SOCKET, SO_OOBINLINE, 0, 1, 0),
		OPT_TRIAL(SOL_SOCKET, SO_BROADCAST, 0, 1, 0),
		OPT_TRIAL(SOL_SOCKET, SO_RCVLOWAT, 1, 5, 0, -1),
		OPT_TRIAL(SOL_SOCKET, SO_SNDLOWAT, OPT_KEEP, 5),
		OPT_TRIAL(SOL_SOCKET, SO_PRIORITY, 0, 3, 6),
		{"SO_INCOMING_CPU", SOL_SOCKET, SO_INCOMING_CPU, NULL, 0, OPT_KEEP, true, false},
		OPT_TRIAL(SOL_SOCKET, SO_BUSY_POLL, 0, 0, -1),
		OPT_TRIAL(SOL_SOCKET, SO_TIMESTAMP, 0, 0),
		OPT_TRIAL(SOL_SOCKET, SO_ZEROCOPY, 0, 0, -1, 2),
		OPT_TRIAL(SOL_SOCKET, SO_MARK, OPT_KEEP, 0),
		OPT_TRIAL(SOL_SOCKET, SO_DONTROUTE, 0, 0),
		OPT_TRIAL(SOL_SOCKET, SO_TYPE, OPT_KEEP, 1),
		OPT_TRIAL(SOL_SOCKET, SO_PROTOCOL, OPT_KEEP, 6),
		OPT_TRIAL(SOL_SOCKET, SO_DOMAIN, OPT_KEEP, 2),
		OPT_TRIAL(SOL_SOCKET, SO_ACCEPTCONN, OPT_KEEP, 1),
		OPT_TRIAL(SOL_SOCKET, SO_SELECT_ERR_QUEUE, 0, 1),
		{"SO_MAX_PACING_RATE 0", SOL_SOCKET, SO_MAX_PACING_RATE, (const int[]){-1}, 1,
				OPT_KEEP, false, false},
		{"SO_PEEK_OFF off", SOL_SOCKET, SO_PEEK_OFF, (const int[]){-1}, 1, OPT_KEEP, false,
				false},
		{"SO unknown", SOL_SOCKET, 9999, (const int[]){1}, 1, OPT_KEEP, false, false},
};

static void linger(const char *what, int fd)
{
	static const struct linger values[] = {{1, 7}, {1, 0}, {0, 3}, {1, -1}, {5, 70000}, {0, 0}};
	struct linger now;
	socklen_t len;
	char name[64];

	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		snprintf(name, sizeof(name), "%s SO_LINGER %d %d", what, values[i].l_onoff,
				values[i].l_linger);
		fact_ret(name, setsockopt(fd, SOL_SOCKET, SO_LINGER, &values[i], sizeof(now)));
		len = sizeof(now);
		memset(&now, 0xee, sizeof(now));
		getsockopt(fd, SOL_SOCKET, SO_LINGER, &now, &len);
		fact(name, "%d %d in %u", now.l_onoff, now.l_linger, len);
	}
	fact_ret("SO_LINGER short", setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, 4));
}

static void timeouts(const char *what, int fd)
{
	static const struct timeval values[] = {{5, 250000}, {0, 1}, {0, 0}, {-1, 0}, {1, 1000000}};
	static const int opts[] = {SO_RCVTIMEO, SO_SNDTIMEO};
	struct timeval now;
	socklen_t len;
	char name[64];

	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
			snprintf(name, sizeof(name), "%s timeout %zu %ld %ld", what, k,
					(long)values[i].tv_sec, (long)values[i].tv_usec);
			fact_ret(name, setsockopt(fd, SOL_SOCKET, opts[k], &values[i],
						       sizeof(now)));
			len = sizeof(now);
			getsockopt(fd, SOL_SOCKET, opts[k], &now, &len);
			fact(name, "%ld %ld in %u", (long)now.tv_sec, (long)now.tv_usec, len);
		}
	now = (struct timeval){0, 0};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &now, sizeof(now));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &now, sizeof(now));
}

/* SO_ERROR tells once. */
static void error(void)
{
	int fd = peer_dial("reset"), value = -1;
	socklen_t len = sizeof(value);

	fact_ok("reset comes", poll_one(fd, POLLIN, 2000) & POLLERR);
	fact_ret("SO_ERROR", getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len));
	fact("SO_ERROR", "%s", value ? strerrorname_np(value) : "none");
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len);
	fact("SO_ERROR again", "%d", value);
	fact_ret("read after SO_ERROR", read(fd, &value, 1));
	len = 2;
	value = -1;
	fact_ret("SO_ERROR short", getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len));
	fact("SO_ERROR short", "%d in %u", (short)value, len);
	fact_ret("SO_ERROR set", setsockopt(fd, SOL_SOCKET, SO_ERROR, &value, 4));
	close(fd);
}

/* Doubled, bounded below; before that, what grows by itself. */
static void buffers(const char *what, int fd)
{
	static const int values[] = {50000, 1, 0, 4608, 100000};
	static const int opts[] = {SO_SNDBUF, SO_RCVBUF};
	char name[64];

	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
			int value = -1;
			socklen_t len = sizeof(value);

			getsockopt(fd, SOL_SOCKET, opts[k], &value, &len);
			if (i == 0) {
				snprintf(name, sizeof(name), "%s buffer %zu before", what, k);
				fact_ok(name, value >= 16384 && len == 4);
			}
			snprintf(name, sizeof(name), "%s buffer %zu set %d", what, k, values[i]);
			fact_ret(name, setsockopt(fd, SOL_SOCKET, opts[k], &values[i],
						       sizeof(int)));
			getsockopt(fd, SOL_SOCKET, opts[k], &value, &len);
			fact(name, "%d", value);
		}
}

static void buffers_inherited(void)
{
	int port, listener = listen_any(&port), ask, fd, value = 70000;
	socklen_t len = sizeof(value);

	setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &value, sizeof(value));
	setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &value, sizeof(value));
	ask = peer_back(port, 1);
	fd = accept(listener, NULL, NULL);
	getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, &len);
	fact("accepted SO_SNDBUF", "%d", value);
	getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, &len);
	fact("accepted SO_RCVBUF", "%d", value);
	close(fd);
	close(ask);
	close(listener);
}

static void peername(const char *what, int fd)
{
	struct sockaddr_storage at;
	char name[64];

	for (socklen_t want = 0; want <= 32; want += 8) {
		socklen_t len = want;

		memset(&at, 0, sizeof(at));
		snprintf(name, sizeof(name), "%s SO_PEERNAME by %u", what, want);
		fact_ret(name, getsockopt(fd, SOL_SOCKET, SO_PEERNAME, &at, &len));
		fact(name, "%d in %u", at.ss_family, len);
	}
}

int main(void)
{
	int fd = socket(peer_family(), SOCK_STREAM, 0);

	linger("fresh", fd);
	timeouts("fresh", fd);
	peername("fresh", fd);
	buffers("fresh", fd);
	close(fd);
	fd = peer_dial("echo");
	linger("connected", fd);
	timeouts("connected", fd);
	peername("connected", fd);
	buffers("connected", fd);
	close(fd);
	error();
	buffers_inherited();
	opt_states(trial, sizeof(trial) / sizeof(*trial));
	return 0;
}
