/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the native interface share. */
#ifndef AL_NATIVE_NATIVE_H
#define AL_NATIVE_NATIVE_H

#include <eta/eta.h>

#include "al/core/al.h"

/* The conn behind a handle, NULL if that use of it is over. */
static inline struct al_conn *native_conn(eta_conn_t handle)
{
	uint32_t idx = ((uint32_t)handle & 0xffffffu) - 1, slot = (uint32_t)handle >> 24;
	struct al_conn *conn;

	if (ETA_UNLIKELY(idx >= al_root.own_conns_n || slot != al_root.own_slot))
		return NULL;
	conn = &al_root.own_conns[idx];
	return ETA_LIKELY(conn->serial == handle >> 32 && al_flag(conn, AL_CONN_HELD)) ? conn
										       : NULL;
}

#endif
