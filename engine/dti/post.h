/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Posted children: DTIs that sessions have given a master for connections to come.
 *
 * A session posts them by CHILD doorbells; they are taken in the order they were posted. While posted, a child's EN half says CHILD.
 *
 * Source: eta/dti.h ACCEPT.
 */
#ifndef ENGINE_DTI_POST_H
#define ENGINE_DTI_POST_H

#include <stdbool.h>
#include <stdint.h>

struct dti;
struct dti_master;
struct session;

#define POST_CHILDREN_MAX 4096u /* of one session on one master */

/* A posted child. Pool; index 0 is never used. */
struct dti_child {
	uint32_t dti;
	uint32_t next;
	uint16_t gen;
	uint16_t pad;
};

/* The children that one session has posted on one master. Pool; index 0 is never used. */
struct dti_post {
	uint16_t session;
	uint16_t next; /* of the same master; free: next free */
	uint32_t n;
	uint32_t head, tail;
};

/* The queue of @session at @m, NULL = it has posted nothing. */
struct dti_post *post_find(const struct dti *d, const struct dti_master *m, uint16_t session);
/* The same, made if need be; NULL = no queue is left. */
struct dti_post *post_get(struct dti *d, struct dti_master *m, uint16_t session);
/* Post DTI @dti of @s. Its EN half says CHILD from now on, so it cannot be opened or posted again. Return: false = refused. */
bool post_child(struct dti *d, struct dti_post *p, const struct session *s, uint32_t dti);
/* Take the first of @p, which has one. */
struct dti_child post_pop(struct dti *d, struct dti_post *p);
/* The children of @session (0 = of all) at @m become FREE. */
void post_free_all(struct dti *d, struct dti_master *m, uint16_t session);
/* What the EN half of a DTI that is bound to no context says of itself. */
void post_child_word(const struct session *s, uint32_t dti, uint16_t gen, uint8_t state);

#endif
