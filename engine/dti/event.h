/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Events: what AL is told, by whom it is told, and the wake-up of those who sleep.
 *
 * During a burst contexts only note what happened (event_mark). At its end event_publish() writes the EN half of each once and then
 * sends one event per subscriber. A queue that is full gets the newest state later: the subscription goes on the ring's
 * owed-list. After the last event one fence, then every touched ring whose consumer is armed gets one byte in its wake pipe.
 *
 * Exclusive subscribers share the ACCEPT events of a master in rotation, armed ones first.
 *
 * Source: eta/dti.h EVENT, SLEEPING.
 */
#ifndef ENGINE_DTI_EVENT_H
#define ENGINE_DTI_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include <eta/dti.h>

#include "engine/dti/dti_ctx.h"

struct dti;
struct dti_ring;
struct session;

/* A further subscription. Pool; index 0 is never used. */
struct dti_sub_node {
	struct dti_sub sub;
	uint32_t next; /* of the same context; free: next free */
	uint32_t ctx;
};
ETA_ASSERT_SIZE(struct dti_sub_node, 16);

/* An event that speaks of no context: a refusal, owed to a full queue. */
struct dti_reply {
	uint32_t dti; /* as the receiver knows it */
	uint16_t gen;
	uint8_t flags, state, status;
	uint32_t next;
};

/* @ev (ETA_EV_*) happened to context @idx; 0 = only the EN half is out of date. Context: hot. */
void event_mark(struct dti *d, uint32_t idx, uint8_t ev);

/* Write EN halves, send events, wake sleepers; kills, frees and notices that waited for a safe moment happen here too. Context: hot. */
void event_publish(struct dti *d);

/* The DTI of @idx was unbound: event FREE, then its subscriptions end (those that are owed something, once it is sent). */
void event_tell_freed(struct dti *d, uint32_t idx);

/* Event for a DTI without context. Context: core. */
void event_reply(struct dti *d, struct dti_ring *ring, uint32_t dti, uint16_t gen, uint8_t flags,
		uint8_t state, uint8_t status);

/**
 * event_subscribe() - Add or change the subscription of @ring to context @idx; event_unsubscribe() ends it.
 * @mask: ETA_EV_* | ETA_SUB_EXCLUSIVE.
 *
 * Return: true; false = no room (quota).
 */
bool event_subscribe(struct dti *d, uint32_t idx, uint16_t ring, uint32_t mask);
void event_unsubscribe(struct dti *d, uint32_t idx, uint16_t ring);
void event_unsubscribe_all(struct dti *d, uint32_t idx);
/* Does a ring of @session subscribe to master @idx? */
bool event_has_subscriber(struct dti *d, uint32_t idx, uint16_t session);
/**
 * event_subscriber() - Who gets the next connection of master @idx?
 * @is_contended: set if several sessions subscribe and none of their threads waits.
 *
 * Rings whose session has posted no child do not count. Return: ring; 0 = none.
 */
uint16_t event_subscriber(struct dti *d, uint32_t idx, bool *is_contended);

/* Everything owed to @ring is forgotten, and nothing is sent on it any more. */
void event_ring_close(struct dti *d, uint16_t ring);

/* ACCEPT of its master on queue @ring, naming child context @child_idx. */
void event_accept(struct dti *d, uint32_t child_idx, uint16_t ring);
/* ACCEPT with arg ETA_DTI_NONE for every subscriber. */
void event_accept_all(struct dti *d, uint32_t master_idx);

/* Is the consumer of @ring asleep, or about to be, and not woken yet? */
bool event_ring_armed(const struct dti_ring *ring);

/* Tell AL the MSS of now (line 1 of the EN half). Context: cold. */
void event_write_mss(struct dti *d, uint32_t idx);

#endif
