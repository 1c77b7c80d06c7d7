/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What went to the kernel, and why: "never worse than absent" is silent, not invisible.
 *
 * One counter per reason and one per socket option that ETA does not act on; told on stderr at exit with ETA_LOG=info.
 */
#ifndef AL_SOCK_COUNT_H
#define AL_SOCK_COUNT_H

#include <stdint.h>

#define AL_COUNT_TABLE(X)                                                           \
	X(SOCKETS, "sockets made")                                                  \
	X(LISTEN_ETA, "listeners on ETA")                                           \
	X(CONNECT_ETA, "connects on ETA")                                           \
	X(ACCEPT_ETA, "accepted on ETA")                                            \
	X(ACCEPT_KERNEL, "accepted by the kernel on a listener of ETA")             \
	X(FALLBACK_NO_ETAD, "to kernel: no etad")                                   \
	X(FALLBACK_POLICY, "to kernel: --only or --not")                            \
	X(FALLBACK_LISTEN, "to kernel: listen not carried")                         \
	X(FALLBACK_CONNECT, "to kernel: connect not carried")                       \
	X(FALLBACK_QUOTA, "to kernel: out of DTIs or memory")                       \
	X(FALLBACK_OPTION, "to kernel: socket option")                              \
	X(FALLBACK_FLAG, "to kernel: flag of send or recv")                         \
	X(REFUSED_FLAG, "refused: flag ETA does not do")                            \
	X(REFUSED_OPTION, "refused: option ETA does not do")                        \
	X(RIGHTS, "descriptors passed by SCM_RIGHTS, not carried over")             \
	X(FORK_RAW, "forks behind our back: sockets of the child are the kernel's") \
	X(SLEEPS, "sleeps")

enum al_count {
#define X(name, text) AL_COUNT_##name,
	AL_COUNT_TABLE(X)
#undef X
	AL_COUNT_N
};

#define AL_COUNT_OPTIONS 64

struct al_counts {
	uint64_t n[AL_COUNT_N];
	struct {
		uint32_t key; /* level << 16 | name, 0 = unused */
		uint32_t n;
	} option[AL_COUNT_OPTIONS];
};

void al_count(enum al_count what);
/* An option applied to the shadow only. */
void al_count_option(int level, int name);
/* Tell all counters that are not zero, if the log level asks for it. */
void al_count_report(void);

#endif
