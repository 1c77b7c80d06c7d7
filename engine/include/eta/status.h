/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Why something ended: the one-byte status that events, DTI records and control replies carry, and the one table that turns
 * it into an errno. If you add one, add it to ETA_STATUS_TABLE and nowhere else.
 */
#ifndef ETA_STATUS_H
#define ETA_STATUS_H

#include <errno.h>

/*            name              errno            what a person reads */
#define ETA_STATUS_TABLE(X)                                                            \
	X(OK, 0, "success")                                                            \
	X(REFUSED, ECONNREFUSED, "peer refused the connection")                        \
	X(RESET, ECONNRESET, "connection reset by peer")                               \
	X(TIMED_OUT, ETIMEDOUT, "no answer from the peer")                             \
	X(UNREACHABLE, EHOSTUNREACH, "no route or no neighbour")                       \
	X(NET_UNREACHABLE, ENETUNREACH, "network unreachable")                         \
	X(ADDR_IN_USE, EADDRINUSE, "address and port are taken")                       \
	X(ADDR_INVALID, EADDRNOTAVAIL, "not an address of this host, or no free port") \
	X(NO_MEMORY, ENOBUFS, "out of ETA memory")                                     \
	X(ABORTED, ECONNABORTED, "connection aborted")                                 \
	X(BAD_DESCRIPTOR, EINVAL, "the engine refused a doorbell or descriptor")       \
	X(NOT_CARRIED, EAFNOSUPPORT, "ETA does not carry this; use the kernel")        \
	X(ENGINE_GONE, ECONNRESET, "etad is gone")                                     \
	X(DENIED, EACCES, "refused by policy")                                         \
	X(ABI_MISMATCH, EPROTONOSUPPORT,                                               \
			"ABI versions differ; install matching etad and libeta_al")    \
	X(QUOTA, EDQUOT, "session quota reached")                                      \
	X(NOT_FOUND, ENOENT, "no such object")                                         \
	X(INVALID, EINVAL, "invalid argument")                                         \
	X(NO_PROTOCOL, ENOPROTOOPT, "the peer has no TCP")                             \
	X(PROTOCOL, EPROTO, "a router could not read our packet")                      \
	X(HOST_DOWN, EHOSTDOWN, "host unknown to its network")                         \
	X(NO_NETWORK, ENONET, "host isolated")                                         \
	X(ROUTE_FAILED, EOPNOTSUPP, "source route failed")

enum eta_status {
#define X(name, err, text) ETA_STATUS_##name,
	ETA_STATUS_TABLE(X)
#undef X
	ETA_STATUS_N
};

/* Return: a positive errno; EPROTO for a value no version defines. */
static inline int eta_status_errno(unsigned int status)
{
	switch (status) {
#define X(name, err, text) \
	case ETA_STATUS_##name: return err;
		ETA_STATUS_TABLE(X)
#undef X
	}
	return EPROTO;
}

static inline const char *eta_status_text(unsigned int status)
{
	switch (status) {
#define X(name, err, text) \
	case ETA_STATUS_##name: return text;
		ETA_STATUS_TABLE(X)
#undef X
	}
	return "unknown status";
}

#endif
