/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Subscriptions as the files of event.h share them.
 *
 * A subscription is named by a reference: the inline one by its context, others by their node (dti_ctx.h). The owed-list of a ring links
 * references.
 */
#ifndef ENGINE_DTI_EVENT_SUB_H
#define ENGINE_DTI_EVENT_SUB_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/dti/dti.h"

static inline struct dti_sub *event_sub_of(struct dti *d, uint32_t ref)
{
	return ref & DTI_SUB_NODE ? &d->sub[ref & ~DTI_SUB_NODE].sub : &d->ctx[ref].sub;
}

static inline uint32_t event_sub_ctx(const struct dti *d, uint32_t ref)
{
	return ref & DTI_SUB_NODE ? d->sub[ref & ~DTI_SUB_NODE].ctx : ref;
}

/* Walk: the inline one, then the nodes; unused ones (ring 0) are met too. */
static inline uint32_t event_sub_next(const struct dti *d, uint32_t ref)
{
	uint32_t node = ref & DTI_SUB_NODE ? d->sub[ref & ~DTI_SUB_NODE].next
					   : d->ctx[ref].sub_more;

	return node ? node | DTI_SUB_NODE : 0;
}

static inline uint16_t event_sub_ring(const struct dti_sub *sub)
{
	return sub->ring & DTI_SUB_RING_MASK;
}

/* End those of @ring (0 = all) that are not owed anything, or all of them if @and_owed. */
void event_subs_end(struct dti *d, uint32_t idx, uint16_t ring, bool and_owed);

#endif
