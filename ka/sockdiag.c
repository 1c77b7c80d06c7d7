/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sock_diag: destroyed sockets as they go, and dumps of those that are there.
 */
#include "ka/sockdiag.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#define SOCKDIAG_BUCKETS 4096u
#define SOCKDIAG_BYTES 32768
#define SOCKDIAG_RCVBUF_BYTES (4 << 20)
#define SOCKDIAG_READS 64 /* datagrams a turn */

struct sockdiag_watch {
	struct sockdiag_watch *next;
	uint64_t cookie;
	uint32_t refs_n;
	uint32_t seen; /* reconciling: found alive */
};

static const int sockdiag_groups[] = {SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET_UDP_DESTROY,
		SKNLGRP_INET6_TCP_DESTROY, SKNLGRP_INET6_UDP_DESTROY};

static struct sockdiag_watch **sockdiag_find(struct sockdiag *sd, uint64_t cookie)
{
	uint64_t mixed = cookie * 0x9e3779b97f4a7c15ull;
	struct sockdiag_watch **at = &sd->bucket[(mixed >> 40) & (sd->buckets_n - 1)];

	while (*at && (*at)->cookie != cookie)
		at = &(*at)->next;
	return at;
}

static int sockdiag_join(struct sockdiag *sd, bool join)
{
	int opt = join ? NETLINK_ADD_MEMBERSHIP : NETLINK_DROP_MEMBERSHIP;

	for (size_t i = 0; i < sizeof(sockdiag_groups) / sizeof(sockdiag_groups[0]); i++)
		if (setsockopt(sd->watch.fd, SOL_NETLINK, opt, &sockdiag_groups[i], sizeof(int)) <
						0 &&
				join)
			return -errno;
	sd->is_joined = join;
	return 0;
}

int sockdiag_watch(struct sockdiag *sd, uint64_t cookie)
{
	struct sockdiag_watch **at = sockdiag_find(sd, cookie);
	struct sockdiag_watch *w = *at;
	int rc;

	if (w) {
		w->refs_n++;
		return 0;
	}
	if (!sd->is_joined) {
		rc = sockdiag_join(sd, true);
		if (rc < 0)
			return rc;
	}
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->cookie = cookie;
	w->refs_n = 1;
	*at = w;
	sd->watched_n++;
	return 0;
}

static void sockdiag_remove(struct sockdiag *sd, struct sockdiag_watch **at)
{
	struct sockdiag_watch *w = *at;

	*at = w->next;
	free(w);
	if (--sd->watched_n == 0)
		(void)sockdiag_join(sd, false);
}

void sockdiag_unwatch(struct sockdiag *sd, uint64_t cookie)
{
	struct sockdiag_watch **at = sockdiag_find(sd, cookie);

	if (*at && --(*at)->refs_n == 0)
		sockdiag_remove(sd, at);
}

static uint64_t sockdiag_cookie(const struct inet_diag_msg *msg)
{
	return (uint64_t)msg->id.idiag_cookie[1] << 32 | msg->id.idiag_cookie[0];
}

static void sockdiag_on_destroyed(struct sockdiag *sd, uint64_t cookie)
{
	struct sockdiag_watch **at = sockdiag_find(sd, cookie);

	if (!*at)
		return;
	sockdiag_remove(sd, at);
	sd->gone_n++;
	sd->ops->on_gone(sd->arg, cookie);
}

/* Calls @fn for each inet_diag_msg in @len bytes. Return: 1 = end of a dump was there; 0; -errno from the kernel. */
static int sockdiag_parse(const void *buf, ssize_t len,
		void (*fn)(void *arg, const struct inet_diag_msg *msg), void *arg)
{
	const struct nlmsghdr *nlh = buf;

	while (NLMSG_OK(nlh, (unsigned int)len)) {
		if (nlh->nlmsg_type == NLMSG_DONE)
			return 1;
		if (nlh->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = NLMSG_DATA(nlh);

			return nlh->nlmsg_len >= NLMSG_LENGTH(sizeof(*e)) && e->error ? e->error
										      : 1;
		}
		if (nlh->nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
			fn(arg, NLMSG_DATA(nlh));
		nlh = NLMSG_NEXT(nlh, len);
	}
	return 0;
}

static void sockdiag_each_destroyed(void *arg, const struct inet_diag_msg *msg)
{
	sockdiag_on_destroyed(arg, sockdiag_cookie(msg));
}

static void sockdiag_on_ready(void *arg, uint32_t events)
{
	struct sockdiag *sd = arg;
	char buf[SOCKDIAG_BYTES] __attribute__((aligned(8)));

	(void)events;
	for (int i = 0; i < SOCKDIAG_READS; i++) {
		ssize_t n = recv(sd->watch.fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n < 0 && errno == ENOBUFS) {
			sd->lost_n++;
			sockdiag_reconcile(sd);
			continue;
		}
		if (n <= 0)
			return;
		(void)sockdiag_parse(buf, n, sockdiag_each_destroyed, sd);
	}
}

int sockdiag_init(struct sockdiag *sd, struct loop *loop, const struct sockdiag_ops *ops, void *arg)
{
	const struct sockaddr_nl any = {.nl_family = AF_NETLINK};
	const int rcvbuf = SOCKDIAG_RCVBUF_BYTES;
	int rc;

	*sd = (struct sockdiag){.loop = loop,
			.ops = ops,
			.arg = arg,
			.buckets_n = SOCKDIAG_BUCKETS,
			.watch.fd = -1};
	sd->bucket = calloc(sd->buckets_n, sizeof(struct sockdiag_watch *));
	if (!sd->bucket)
		return -ENOMEM;
	sd->watch = (struct loop_watch){
			.events = EPOLLIN, .on_ready = sockdiag_on_ready, .arg = sd};
	sd->watch.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	rc = sd->watch.fd < 0 ? -errno : 0;
	if (rc == 0) {
		(void)setsockopt(sd->watch.fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf, sizeof(rcvbuf));
		/* Without a port id of its own a socket counts as the sender, the kernel, and is told nothing. */
		rc = bind(sd->watch.fd, (const struct sockaddr *)&any, sizeof(any)) < 0 ? -errno
											: 0;
	}
	if (rc == 0)
		rc = loop_add(loop, &sd->watch);
	if (rc < 0)
		sockdiag_fini(sd);
	return rc;
}

void sockdiag_fini(struct sockdiag *sd)
{
	if (!sd->bucket)
		return;
	loop_del(sd->loop, &sd->watch);
	for (uint32_t i = 0; i < sd->buckets_n; i++) {
		while (sd->bucket[i]) {
			struct sockdiag_watch *w = sd->bucket[i];

			sd->bucket[i] = w->next;
			free(w);
		}
	}
	free(sd->bucket);
	sd->bucket = NULL;
	if (sd->watch.fd >= 0)
		(void)close(sd->watch.fd);
	sd->watch.fd = -1;
}

/* One dump of all sockets of a family and protocol, synchronous. */
static int sockdiag_dump(int fd, uint8_t family, uint8_t protocol,
		void (*fn)(void *arg, const struct inet_diag_msg *msg), void *arg)
{
	struct {
		struct nlmsghdr nlh;
		struct inet_diag_req_v2 req;
	} ask = {.nlh = {.nlmsg_len = sizeof(ask),
				 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
				 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
			.req = {.sdiag_family = family,
					.sdiag_protocol = protocol,
					.idiag_states = ~0u}};
	char buf[SOCKDIAG_BYTES] __attribute__((aligned(8)));
	int rc = 0;

	if (send(fd, &ask, sizeof(ask), 0) < 0)
		return -errno;
	while (rc == 0) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n < 0)
			return -errno;
		rc = sockdiag_parse(buf, n, fn, arg);
	}
	/* A family that this kernel does not have holds no socket either. */
	return rc < 0 && rc != -ENOENT && rc != -EOPNOTSUPP ? rc : 0;
}

static int sockdiag_dump_all(
		bool udp, void (*fn)(void *arg, const struct inet_diag_msg *msg), void *arg)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	const struct timeval limit = {.tv_sec = 2};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	int rc = 0;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	for (int i = 0; i < 2 && rc == 0; i++) {
		rc = sockdiag_dump(fd, families[i], IPPROTO_TCP, fn, arg);
		if (rc == 0 && udp)
			rc = sockdiag_dump(fd, families[i], IPPROTO_UDP, fn, arg);
	}
	(void)close(fd);
	return rc;
}

static void sockdiag_each_alive(void *arg, const struct inet_diag_msg *msg)
{
	struct sockdiag_watch *w = *sockdiag_find(arg, sockdiag_cookie(msg));

	if (w)
		w->seen = 1;
}

void sockdiag_reconcile(struct sockdiag *sd)
{
	for (uint32_t i = 0; i < sd->buckets_n; i++)
		for (struct sockdiag_watch *w = sd->bucket[i]; w; w = w->next)
			w->seen = 0;
	if (sockdiag_dump_all(true, sockdiag_each_alive, sd) < 0)
		return; /* nothing may be concluded; the next loss asks again */
	for (uint32_t i = 0; i < sd->buckets_n; i++) {
		struct sockdiag_watch *w = sd->bucket[i];

		while (w) {
			uint64_t cookie = w->cookie;
			bool is_alive = w->seen || sd->ops->is_held(sd->arg, cookie);

			w = w->next;
			/* The callback may remove other watches of this chain: begin it again. */
			if (!is_alive) {
				sockdiag_on_destroyed(sd, cookie);
				w = sd->bucket[i];
			}
		}
	}
}

bool sockdiag_pid_holds(int pid, int pidfd, uint64_t cookie)
{
	char path[40];
	struct dirent *entry;
	bool is_held = false;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && !is_held && (entry = readdir(dir)) != NULL) {
		int fd = (int)syscall(
				SYS_pidfd_getfd, pidfd, (int)strtol(entry->d_name, NULL, 10), 0);
		uint64_t has = 0;
		socklen_t len = sizeof(has);

		if (fd < 0)
			continue;
		is_held = getsockopt(fd, SOL_SOCKET, SO_COOKIE, &has, &len) == 0 && has == cookie;
		(void)close(fd);
	}
	if (dir)
		(void)closedir(dir);
	return is_held;
}

static void sockdiag_each_port(void *arg, const struct inet_diag_msg *msg)
{
	uint8_t *bitmap = arg;
	uint16_t port = ntohs(msg->id.idiag_sport);

	/* TIME-WAIT and request sockets hold no port against a new connection to somewhere else. */
	if (msg->idiag_state == 6 || msg->idiag_state == 12)
		return;
	bitmap[port / 8] |= (uint8_t)(1u << (port % 8));
}

int sockdiag_bound_ports(uint8_t *bitmap)
{
	return sockdiag_dump_all(false, sockdiag_each_port, bitmap);
}
