/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trace: what the core did last, as points of four integers in a ring.
 *
 * Off by default: a point then costs one predictable branch. Dumped by whoever holds the core (test, KA through etactl).
 */
#ifndef ENGINE_CORE_TRACE_H
#define ENGINE_CORE_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include <eta/abi.h>

#define TRACE_POINTS 4096u /* power of two */

/*      name        a            b             c */
#define TRACE_TABLE(X)                                         \
	X(RX, "segment received: context, seq, length, flags") \
	X(TX, "segment sent: context, seq, length, flags")     \
	X(PUNT, "frame punted: port, reason, lport, rport")    \
	X(OPEN, "context opened: context, session, dti, gen")  \
	X(CLOSED, "connection gone: context, status")          \
	X(FREE, "context freed: context")                      \
	X(ADMIN, "command: op, status, session")               \
	X(SLEEP, "asleep until: milliseconds")

enum trace_what {
#define X(name, text) TRACE_##name,
	TRACE_TABLE(X)
#undef X
	TRACE_N
};

struct trace_point {
	uint64_t now_us;
	uint32_t what;
	uint32_t v[4];
};

struct trace {
	bool is_on;
	uint32_t n; /* points ever written */
	struct trace_point point[TRACE_POINTS];
};

void trace_put(struct trace *t, uint64_t now_us, enum trace_what what, uint32_t a, uint32_t b,
		uint32_t c, uint32_t e);
const char *trace_text(uint32_t what);

static inline void trace(struct trace *t, uint64_t now_us, enum trace_what what, uint32_t a,
		uint32_t b, uint32_t c, uint32_t e)
{
	if (ETA_UNLIKELY(t->is_on))
		trace_put(t, now_us, what, a, b, c, e);
}

#endif
