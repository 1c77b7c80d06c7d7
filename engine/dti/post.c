/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Posted children: per master and session a queue of DTIs. See the header.
 */
#include "engine/dti/post.h"

#include <string.h>

#include "engine/dti/dti.h"

struct dti_post *post_find(const struct dti *d, const struct dti_master *m, uint16_t session)
{
	for (uint16_t i = m->post; i != 0; i = d->post[i].next)
		if (d->post[i].session == session)
			return &d->post[i];
	return NULL;
}

struct dti_post *post_get(struct dti *d, struct dti_master *m, uint16_t session)
{
	struct dti_post *p = post_find(d, m, session);
	uint16_t i = d->post_free;

	if (p || i == 0)
		return p;
	p = &d->post[i];
	d->post_free = p->next;
	*p = (struct dti_post){.session = session, .next = m->post};
	m->post = i;
	return p;
}

void post_child_word(const struct session *s, uint32_t dti, uint16_t gen, uint8_t state)
{
	const struct eta_dti_al *al;
	struct eta_dti_en *en;

	if (!session_dti(s, dti, &al, &en))
		return;
	eta_store_relaxed_u32(&en->ctx, 0);
	eta_store_release_u32(
			(uint32_t *)(void *)&en->gen, ETA_DTI_WORD_MAKE(gen, state, ETA_STATUS_OK));
}

bool post_child(struct dti *d, struct dti_post *p, const struct session *s, uint32_t dti)
{
	const struct eta_dti_al *al;
	struct eta_dti_en *en;
	uint32_t i = d->child_free;
	uint32_t word;
	uint16_t gen;

	if (i == 0 || p->n >= POST_CHILDREN_MAX || !session_dti(s, dti, &al, &en))
		return false;
	word = eta_load_relaxed_u32(ETA_DTI_WORD(en));
	gen = (uint16_t)eta_load_relaxed_u32((const uint32_t *)(const void *)&al->gen);
	if ((uint8_t)(word >> 16) != ETA_DTI_FREE || en->ctx != 0 || gen == (uint16_t)word)
		return false;
	d->child_free = d->child[i].next;
	d->child[i] = (struct dti_child){.dti = dti, .gen = gen};
	if (p->n++ > 0)
		d->child[p->tail].next = i;
	else
		p->head = i;
	p->tail = i;
	post_child_word(s, dti, gen, ETA_DTI_CHILD);
	return true;
}

struct dti_child post_pop(struct dti *d, struct dti_post *p)
{
	uint32_t i = p->head;
	struct dti_child child = d->child[i];

	p->head = child.next;
	if (--p->n == 0)
		p->tail = 0;
	d->child[i].next = d->child_free;
	d->child_free = i;
	return child;
}

void post_free_all(struct dti *d, struct dti_master *m, uint16_t session)
{
	uint16_t *link = &m->post;

	while (*link != 0) {
		uint16_t i = *link;
		struct dti_post *p = &d->post[i];

		if (session != 0 && p->session != session) {
			link = &p->next;
			continue;
		}
		while (p->n > 0) {
			struct dti_child child = post_pop(d, p);

			post_child_word(&d->session[p->session], child.dti, child.gen,
					ETA_DTI_FREE);
		}
		*link = p->next;
		memset(p, 0, sizeof(*p));
		p->next = d->post_free;
		d->post_free = i;
	}
}
