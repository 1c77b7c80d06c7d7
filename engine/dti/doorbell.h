/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Doorbells: AL's wishes, taken from its rings and turned into calls of TCP.
 *
 * Sessions are served by deficit round robin, then their rings in turn, so that one that rings without end costs another
 * nothing but its share. Entries are taken up to DOORBELL_BATCH at a time and looked at in four passes, each prefetching for the
 * next: entry -> EN half (which context?) -> context -> bytes to send -> act. An entry is copied once; what it says is compared with what the
 * engine knows; a counter that does not fit is looked up in the AL half; what does not fit there kills the DTI.
 *
 * Source: eta/dti.h DOORBELL, OPEN, CLOSE.
 */
#ifndef ENGINE_DTI_DOORBELL_H
#define ENGINE_DTI_DOORBELL_H

#include <stdbool.h>
#include <stdint.h>

struct dti;
struct dti_ring;
struct session;

#define DOORBELL_BATCH 16u   /* entries looked at together */
#define DOORBELL_QUANTUM 64  /* entries of one session per round */
#define DOORBELL_BUDGET 256u /* entries of one call */

/* Take and act on what is there, within DOORBELL_BUDGET. Return: entries taken. Context: hot, core. */
uint32_t doorbell_drain(struct dti *d);

/* Take everything that rings of @s hold, at most one lap each: before they go. Context: cold. */
void doorbell_drain_session(struct dti *d, struct session *s);

/* Take idle rings off the polled list (once per DOORBELL_IDLE_US). Return: rings taken off. Context: core, now and then. */
uint32_t doorbell_sweep_idle(struct dti *d);
/* The session was kicked: poll all its rings again. */
void doorbell_kick(struct dti *d, struct session *s);
/* Is there an entry in any polled ring? For the last look before sleep. */
int doorbell_ready(const struct dti *d);

#define DOORBELL_IDLE_US 100000u /* a ring without entries for this long may leave the list */

/* Put ring @r on the polled list; take it off (@is_dormant: AL is told to kick). */
void doorbell_poll(struct dti *d, struct dti_ring *r);
void doorbell_unpoll(struct dti *d, struct dti_ring *r, bool is_dormant);

/* CLOSE and ABORT of a bound context, whoever asks. May free the slot. */
void doorbell_close(struct dti *d, uint32_t idx);
void doorbell_abort(struct dti *d, uint32_t idx);

#endif
