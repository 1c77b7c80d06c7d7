/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trace points.
 */
#include "engine/core/trace.h"

#include <stddef.h>

void trace_put(struct trace *t, uint64_t now_us, enum trace_what what, uint32_t a, uint32_t b,
		uint32_t c, uint32_t e)
{
	struct trace_point *p = &t->point[t->n++ & (TRACE_POINTS - 1)];

	p->now_us = now_us;
	p->what = what;
	p->v[0] = a;
	p->v[1] = b;
	p->v[2] = c;
	p->v[3] = e;
}

const char *trace_text(uint32_t what)
{
	static const char *const texts[] = {
#define X(name, text) text,
			TRACE_TABLE(X)
#undef X
	};

	return what < TRACE_N ? texts[what] : NULL;
}
