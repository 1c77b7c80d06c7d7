/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who is told of a context: rings that subscribed, and which of them a new connection is for. See event.h.
 */
#include "engine/dti/event_sub.h"

#include <string.h>

#include "engine/dti/accept.h"
#include "engine/dti/event.h"

bool event_subscribe(struct dti *d, uint32_t idx, uint16_t ring, uint32_t mask)
{
	struct dti_ctx *c = &d->ctx[idx];
	uint16_t word = (uint16_t)(ring | (mask & ETA_SUB_EXCLUSIVE ? DTI_SUB_EXCLUSIVE : 0));
	uint32_t n = 0;
	uint32_t node;

	for (uint32_t ref = idx; ref != 0; ref = event_sub_next(d, ref), n++) {
		struct dti_sub *sub = event_sub_of(d, ref);

		if (event_sub_ring(sub) != ring)
			continue;
		sub->ring = (uint16_t)(word | (sub->ring & DTI_SUB_OWED));
		sub->mask = (uint8_t)mask;
		return true;
	}
	if (c->sub.ring == 0) {
		c->sub = (struct dti_sub){.ring = word, .mask = (uint8_t)mask};
		return true;
	}
	node = d->sub_free;
	if (node == 0 || n >= ETA_SUBS_MAX)
		return false;
	d->sub_free = d->sub[node].next;
	d->sub[node] = (struct dti_sub_node){
			.sub = {.ring = word, .mask = (uint8_t)mask},
			.next = c->sub_more,
			.ctx = idx,
	};
	c->sub_more = node;
	return true;
}

/* Take @ref off the owed-list of its ring. */
static void owed_unlink(struct dti *d, uint32_t ref)
{
	struct dti_sub *sub = event_sub_of(d, ref);
	struct dti_ring *ring = &d->ring[event_sub_ring(sub)];
	uint32_t prev = 0;

	if (!(sub->ring & DTI_SUB_OWED))
		return;
	for (uint32_t at = ring->owed_head; at != 0 && at != ref;
			at = event_sub_of(d, at)->owed_next)
		prev = at;
	if (prev != 0)
		event_sub_of(d, prev)->owed_next = sub->owed_next;
	else
		ring->owed_head = sub->owed_next;
	if (ring->owed_tail == ref)
		ring->owed_tail = prev;
	sub->ring &= ~DTI_SUB_OWED;
	sub->pend = 0;
}

/* End the subscription @ref, which @prev (a node, 0 = the context) precedes among the nodes. */
static void sub_end(struct dti *d, uint32_t idx, uint32_t ref, uint32_t prev)
{
	uint32_t node = ref & ~DTI_SUB_NODE;

	owed_unlink(d, ref);
	if (!(ref & DTI_SUB_NODE)) {
		memset(&d->ctx[idx].sub, 0, sizeof(d->ctx[idx].sub));
		return;
	}
	if (prev != 0)
		d->sub[prev].next = d->sub[node].next;
	else
		d->ctx[idx].sub_more = d->sub[node].next;
	d->sub[node].next = d->sub_free;
	d->sub_free = node;
}

void event_subs_end(struct dti *d, uint32_t idx, uint16_t ring, bool and_owed)
{
	struct dti_ctx *c = &d->ctx[idx];
	uint32_t prev = 0;
	uint32_t node = c->sub_more;

	if (c->sub.ring != 0 && (ring == 0 || event_sub_ring(&c->sub) == ring) &&
			(and_owed || !(c->sub.ring & DTI_SUB_OWED)))
		sub_end(d, idx, idx, 0);
	while (node != 0) {
		uint32_t next = d->sub[node].next;
		const struct dti_sub *sub = &d->sub[node].sub;

		if ((ring == 0 || event_sub_ring(sub) == ring) &&
				(and_owed || !(sub->ring & DTI_SUB_OWED)))
			sub_end(d, idx, node | DTI_SUB_NODE, prev);
		else
			prev = node;
		node = next;
	}
}

void event_unsubscribe(struct dti *d, uint32_t idx, uint16_t ring)
{
	event_subs_end(d, idx, ring, true);
}

void event_unsubscribe_all(struct dti *d, uint32_t idx)
{
	event_subs_end(d, idx, 0, true);
}

bool event_ring_armed(const struct dti_ring *ring)
{
	uint32_t armed = eta_load_relaxed_u32(&ring->ev.credit->armed);

	return armed != 0 && armed != ring->armed_woken;
}

bool event_has_subscriber(struct dti *d, uint32_t idx, uint16_t session)
{
	for (uint32_t ref = idx; ref != 0; ref = event_sub_next(d, ref)) {
		const struct dti_sub *sub = event_sub_of(d, ref);
		const struct dti_ring *ring = &d->ring[event_sub_ring(sub)];

		if (sub->ring != 0 && (sub->mask & ETA_EV_ACCEPT) && ring->session == session &&
				!ring->is_closed)
			return true;
	}
	return false;
}

uint16_t event_subscriber(struct dti *d, uint32_t idx, bool *is_contended)
{
	uint16_t turn = d->master[d->ctx[idx].master].turn;
	uint16_t session = 0; /* that subscribes */
	bool is_past = false; /* behind the one that had the last turn: its turn now */
	bool is_many = false;
	uint16_t best = 0;
	int best_score = -1;

	for (uint32_t ref = idx; ref != 0; ref = event_sub_next(d, ref)) {
		const struct dti_sub *sub = event_sub_of(d, ref);
		uint16_t r = event_sub_ring(sub);
		const struct dti_ring *ring = &d->ring[r];
		int score = is_past ? 1 : 0;

		is_past = is_past || r == turn;
		if (r == 0 || ring->is_closed || !(sub->mask & ETA_EV_ACCEPT))
			continue;
		is_many = is_many || (session != 0 && session != ring->session);
		session = ring->session;
		if (!accept_has_child(d, idx, session))
			continue;
		score += event_ring_armed(ring) ? 2 : 0;
		if (score > best_score) {
			best_score = score;
			best = r;
		}
	}
	*is_contended = is_many && best_score < 2;
	return best;
}
