/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When is the last reference to a shadow socket gone, wherever it was?
 *
 * Fork, exec and SCM_RIGHTS spread a shadow over processes that KA does not know; only the kernel sees its last close. It multicasts the
 * cookie of every destroyed TCP and UDP socket of the namespace (sock_diag destroy groups). KA joins while at least one cookie is watched,
 * so a machine that opens thousands of kernel connections a second does not wake us for nothing.
 *
 * Lost notices (ENOBUFS): reconcile. A watched cookie is alive if a dump of all sockets has it, or an attached process holds it (unbound sockets are in
 * no dump; looked at by pidfd_getfd). A cookie found in neither is reported gone.
 */
#ifndef KA_SOCKDIAG_H
#define KA_SOCKDIAG_H

#include <stdbool.h>
#include <stdint.h>

#include "ka/loop.h"

struct sockdiag_watch; /* one cookie */

struct sockdiag_ops {
	/* The last reference to @cookie is gone. The watch is already removed. */
	void (*on_gone)(void *arg, uint64_t cookie);
	/* Does a process we know hold @cookie? Only asked while reconciling. */
	bool (*is_held)(void *arg, uint64_t cookie);
};

struct sockdiag {
	struct loop *loop;
	struct loop_watch watch;
	const struct sockdiag_ops *ops;
	void *arg;
	struct sockdiag_watch **bucket; /* [buckets_n] */
	uint32_t buckets_n;
	uint32_t watched_n;
	bool is_joined;
	uint64_t gone_n, lost_n; /* notices that mattered; ENOBUFS */
};

int sockdiag_init(
		struct sockdiag *sd, struct loop *loop, const struct sockdiag_ops *ops, void *arg);
void sockdiag_fini(struct sockdiag *sd);
/* Counted: as many unwatch as watch. 0; -errno. When it returns, the watch is on. */
int sockdiag_watch(struct sockdiag *sd, uint64_t cookie);
void sockdiag_unwatch(struct sockdiag *sd, uint64_t cookie);
/* After lost notices; exposed for the test. */
void sockdiag_reconcile(struct sockdiag *sd);

/* Does process @pid hold a socket with @cookie? Looks at each of its descriptors. */
bool sockdiag_pid_holds(int pid, int pidfd, uint64_t cookie);

/**
 * sockdiag_bound_ports() - Which local TCP ports are bound in this namespace?
 * @bitmap: [65536 / 8], set bits are added.
 *
 * Return: 0 or -errno.
 */
int sockdiag_bound_ports(uint8_t *bitmap);

#endif
