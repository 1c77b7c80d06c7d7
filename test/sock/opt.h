/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One option, tried thoroughly, on sockets in every state: what the programs about options share.
 *
 * A trial is {level, name, value, lengths}. Facts: set by each value, what get says afterwards, lengths of 0 to 8 bytes both ways, bad
 * pointers. States: fresh; connected; peer closed; both closed; reset; listening; accepted.
 */
#ifndef TEST_SOCK_OPT_H
#define TEST_SOCK_OPT_H

#include "test/sock/fact.h"

struct opt_trial {
	const char *name;
	int level, opt;
	const int *values;
	int values_n;
	int restore;   /* set last; INT32_MIN: leave it */
	bool is_live;  /* its value changes by itself: get is not compared, but its length */
	bool no_short; /* set by less than an int, or by NULL, is not tried: IP reads 0 */
};

#define OPT_TRIAL(lv, nm, last, ...)                                                        \
	{                                                                                   \
#nm, lv, nm,                                                                \
				(const int[]){__VA_ARGS__ },                                \
						sizeof((int[]){__VA_ARGS__}) / sizeof(int), \
						(last), false, false                        \
	}
#define OPT_KEEP INT32_MIN

static inline void opt_get(const char *what, const struct opt_trial *t, int fd)
{
	unsigned char buf[64];
	socklen_t len = sizeof(int);
	char name[96];
	int value;

	snprintf(name, sizeof(name), "%s get %s", what, t->name);
	memset(buf, 0xee, sizeof(buf));
	if (getsockopt(fd, t->level, t->opt, buf, &len) != 0) {
		fact_ret(name, -1);
		return;
	}
	memcpy(&value, buf, sizeof(value));
	if (t->is_live)
		fact(name, "some value in %u", len);
	else
		fact(name, "%d in %u", value, len);
}

/* Lengths and pointers. */
static inline void opt_lengths(const char *what, const struct opt_trial *t, int fd)
{
	unsigned char buf[16];
	char name[96];

	for (socklen_t want = 0; want <= 8; want += want == 4 ? 4 : 1) {
		socklen_t len = want;
		uint64_t word = 0;

		memset(buf, 0xee, sizeof(buf));
		snprintf(name, sizeof(name), "%s get %s by %u", what, t->name, want);
		if (getsockopt(fd, t->level, t->opt, buf, &len) != 0) {
			fact_ret(name, -1);
			continue;
		}
		memcpy(&word, buf, len < 8 ? len : 8);
		if (t->is_live)
			fact(name, "in %u", len);
		else
			fact(name, "%#llx in %u, then %#x", (unsigned long long)word, len,
					buf[len]);
	}
	for (socklen_t len = 0; len < 4 && !t->no_short; len++) {
		int value = t->values_n ? t->values[0] : 0;

		snprintf(name, sizeof(name), "%s set %s by %u", what, t->name, len);
		fact_ret(name, setsockopt(fd, t->level, t->opt, &value, len));
	}
	if (!t->no_short) {
		snprintf(name, sizeof(name), "%s set %s by NULL", what, t->name);
		fact_ret(name, setsockopt(fd, t->level, t->opt, NULL, sizeof(int)));
	}
	snprintf(name, sizeof(name), "%s get %s by negative", what, t->name);
	{
		socklen_t len = (socklen_t)-1;

		fact_ret(name, getsockopt(fd, t->level, t->opt, buf, &len));
	}
}

static inline void opt_try(const char *what, const struct opt_trial *t, int fd)
{
	char name[96];

	opt_get(what, t, fd);
	for (int i = 0; i < t->values_n; i++) {
		snprintf(name, sizeof(name), "%s set %s to %d", what, t->name, t->values[i]);
		fact_ret(name, setsockopt(fd, t->level, t->opt, &t->values[i], sizeof(int)));
		opt_get(what, t, fd);
	}
	if (t->restore != OPT_KEEP)
		setsockopt(fd, t->level, t->opt, &t->restore, sizeof(int));
}

/* Wait until the peer's end has come. */
static inline void await_end(int fd)
{
	char byte;

	while (recv(fd, &byte, 1, 0) > 0)
		;
}

/* All trials in one state after the other; @lengths: once, where it is cheapest. */
static inline void opt_states(const struct opt_trial *trial, int n)
{
	int port, fd, listener, ask;

	for (int i = 0; i < n; i++) {
		fd = socket(peer_family(), SOCK_STREAM, 0);
		opt_try("fresh", &trial[i], fd);
		close(fd);
		fd = socket(peer_family(), SOCK_STREAM, 0);
		opt_lengths("fresh", &trial[i], fd);
		close(fd);
	}
	for (int i = 0; i < n; i++) {
		fd = peer_dial("echo");
		opt_try("connected", &trial[i], fd);
		opt_lengths("connected", &trial[i], fd);
		close(fd);
	}
	for (int i = 0; i < n; i++) {
		fd = peer_dial("fin");
		await_end(fd);
		opt_try("peer closed", &trial[i], fd);
		shutdown(fd, SHUT_WR);
		poll_one(fd, POLLHUP, 2000);
		opt_get("both closed", &trial[i], fd);
		close(fd);
		fd = peer_dial("reset");
		await_end(fd);
		opt_get("reset", &trial[i], fd);
		close(fd);
	}
	for (int i = 0; i < n; i++) {
		listener = listen_any(&port);
		opt_try("listening", &trial[i], listener);
		if (trial[i].values_n && setsockopt(listener, trial[i].level, trial[i].opt,
							 &trial[i].values[0], sizeof(int)) == 0) {
			ask = peer_back(port, 1);
			fd = accept(listener, NULL, NULL);
			opt_get("accepted", &trial[i], fd);
			close(fd);
			close(ask);
		}
		close(listener);
	}
}

#endif
