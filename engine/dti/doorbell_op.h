/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between taking doorbells and doing what they ask: the entry in the engine's own words. Private to the room.
 */
#ifndef ENGINE_DTI_DOORBELL_OP_H
#define ENGINE_DTI_DOORBELL_OP_H

#include <stdbool.h>
#include <stdint.h>

#include <eta/dti.h>

struct dti;

/* One entry, copied, and what was found out about it. */
struct doorbell {
	struct eta_doorbell db;
	const struct eta_dti_al *al;
	struct eta_dti_en *en; /* NULL = no such DTI */
	uint32_t dti;          /* index in the space of session */
	uint32_t idx;          /* context, 0 = none bound */
	uint16_t session;      /* that owns the DTI; 0 = none */
	uint16_t ring;         /* it came by */
};

/* The counters of @b, of an open DTI; @how: ETA_DB_MORE, ETA_DB_EOR. Return: false = the DTI is being killed. Context: hot. */
bool doorbell_counters(struct dti *d, const struct doorbell *b, unsigned int how);
/* CONNECT. */
void doorbell_connect(struct dti *d, struct doorbell *b);
/* @op on a DTI that no context is bound to: SUBSCRIBE before LISTEN, CLOSE of a failed open. */
void doorbell_without_ctx(struct dti *d, struct doorbell *b, unsigned int op);
/* @op on a master, or CHILD. */
void doorbell_master(struct dti *d, struct doorbell *b, unsigned int op);
/* Any other @op but DATA on a bound DTI. */
void doorbell_op(struct dti *d, struct doorbell *b, unsigned int op);

#endif
