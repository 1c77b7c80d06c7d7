/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The seam of the DTI room: what it asks of the core above it. Implemented in engine/core; unit tests bring their own.
 */
#ifndef ENGINE_DTI_DTI_UP_H
#define ENGINE_DTI_DTI_UP_H

#include <stdbool.h>
#include <stdint.h>

#include <eta/admin.h>
#include <eta/status.h>

#include "engine/net/addr.h"

struct core;

/* A free context slot, zeroed, idx set; 0 = table full. It is in use while dti_ctx.flags says so. */
uint32_t dti_up_ctx_alloc(struct core *env);
/* Free slots. */
uint32_t dti_up_ctx_left(const struct core *env);
/* Nothing needs slot @idx any more. */
void dti_up_ctx_free(struct core *env, uint32_t idx);
/* Enter or remove dti_ctx[@idx].tuple in the context table. Return: false = taken, or table full. */
bool dti_up_ctx_hash(struct core *env, uint32_t idx);
void dti_up_ctx_unhash(struct core *env, uint32_t idx);

/**
 * dti_up_local() - Choose the local side of an active open.
 * @tuple: raddr, rport_be set. laddr and lport_be: authorised by KA if nonzero, else chosen here.
 * @session: index, for its quota of ports.
 *
 * Return: OK @tuple is complete and free; NOT_CARRIED the kernel should do it; NET_UNREACHABLE, ADDR_IN_USE, ADDR_INVALID.
 */
enum eta_status dti_up_local(struct core *env, struct ip_tuple *tuple, uint16_t session);
/* Is @port_be outside of the range that KA's filter hides from the kernel anyway? */
bool dti_up_port_is_odd(const struct core *env, uint16_t port_be);

/* A notice to KA. Return: false = no room now, try again. */
bool dti_up_notice(struct core *env, const struct eta_admin_msg *msg);

/* Write one byte to a wake pipe (does not block). Virtual so that tests can watch. */
void dti_up_wake(struct core *env, int wake_fd);
/* Watch, or no longer watch, a session's kick descriptor. */
void dti_up_kick_fd(struct core *env, uint16_t session, int kick_fd, bool is_add);
/* Full barrier on every CPU that runs AL: membarrier(GLOBAL_EXPEDITED). */
void dti_up_barrier(struct core *env);

#endif
