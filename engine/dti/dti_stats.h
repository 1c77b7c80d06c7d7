/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters of the DTI room. Written by the owning core alone, readable by KA at any time (aligned 64-bit words).
 */
#ifndef ENGINE_DTI_DTI_STATS_H
#define ENGINE_DTI_DTI_STATS_H

#include <stdint.h>

/*            name                  what it counts */
#define DTI_STATS_TABLE(X)                                                                 \
	X(db_taken, "doorbells taken")                                                     \
	X(db_unknown, "doorbells with a wrong DTI or generation")                          \
	X(db_stale, "doorbells with counters outside the window: record read instead")     \
	X(db_bad_op, "doorbells with an operation that no version defines")                \
	X(db_refused, "operations refused by quota or for want of memory")                 \
	X(dti_opened, "DTIs opened")                                                       \
	X(dti_freed, "DTIs freed")                                                         \
	X(dti_killed, "DTIs killed: impossible record, chunk or argument")                 \
	X(chunk_restart, "walks of send chunks restarted or put off: the record moved")    \
	X(note_none, "sends cut short: no room for another chunk's copy")                  \
	X(place_bytes, "bytes placed")                                                     \
	X(place_no_memory, "segments cut short: no receive memory")                        \
	X(place_unbound, "segments cut short: connection has no DTI yet")                  \
	X(chunk_alloc, "receive chunks taken")                                             \
	X(chunk_free, "receive chunks given back")                                         \
	X(chunk_idle, "drained receive chunks dropped from idle connections")              \
	X(ev_sent, "events sent")                                                          \
	X(ev_owed, "events put off: queue full")                                           \
	X(ev_lost, "refusals not told: queue full and no room to remember")                \
	X(wakes, "threads woken")                                                          \
	X(info_answers, "questions about a connection answered (TCP_INFO)")                \
	X(child_posted, "child DTIs posted")                                               \
	X(child_refused, "child DTIs refused: not free, or no room")                       \
	X(accept_bound, "connections bound to a child")                                    \
	X(accept_waiting, "connections that had to wait for a child")                      \
	X(accept_no_child, "handshakes done before a child was posted: they wait")         \
	X(accept_short, "TAKE doorbells not served for want of memory")                    \
	X(accept_rebound, "connections moved from a dead or withdrawn session to another") \
	X(ring_dormant, "idle doorbell rings taken off the polled list")                   \
	X(ring_kicked, "idle doorbell rings put back by a kick")

struct dti_stats {
#define X(name, text) uint64_t name;
	DTI_STATS_TABLE(X)
#undef X
};

#define DTI_STATS_N (sizeof(struct dti_stats) / sizeof(uint64_t))

/* Name or text of counter @i in declaration order; NULL past the end. Context: cold. */
const char *dti_stat_name(uint32_t i);
const char *dti_stat_text(uint32_t i);

#endif
