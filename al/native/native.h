/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of the native interface share. */
#ifndef AL_NATIVE_NATIVE_H
#define AL_NATIVE_NATIVE_H

#include <eta/eta.h>

struct al_conn;

/* The conn behind a handle, NULL if that use of it is over. */
struct al_conn *native_conn(eta_conn_t handle);

#endif
