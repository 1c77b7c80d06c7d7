/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The lists that a conn may be on: free, zombie, sweep. Linked by reference number, so that a stray value can be caught; all under dti_lock.
 */
#include "al/core/al.h"

struct al_conn *al_conn_at(uint32_t ref)
{
	struct al_session *s;

	if (ref == AL_IDX_NONE || ref >> 24 >= AL_SLOTS_MAX)
		return NULL;
	s = &al_root.session[ref >> 24];
	return ETA_DTI_INDEX(ref) < s->conns_n ? &s->conns[ETA_DTI_INDEX(ref)] : NULL;
}

static struct al_list_head *head_of(uint8_t list)
{
	switch (list) {
	case AL_LIST_FREE: return &al_root.free_list;
	case AL_LIST_ZOMBIE: return &al_root.zombies;
	case AL_LIST_SWEEP: return &al_root.sweep_list;
	}
	return NULL;
}

void al_list_add(struct al_conn *conn, enum al_list list)
{
	struct al_list_head *head = head_of((uint8_t)list);
	struct al_conn *last;

	if (!head)
		return;
	last = al_conn_at(head->last);
	conn->list = (uint8_t)list;
	conn->next = AL_IDX_NONE;
	conn->prev = head->last;
	if (last)
		last->next = al_conn_ref(conn);
	else
		head->first = al_conn_ref(conn);
	head->last = al_conn_ref(conn);
	head->n++;
}

void al_list_remove(struct al_conn *conn)
{
	struct al_list_head *head = head_of(conn->list);
	struct al_conn *prev = al_conn_at(conn->prev), *next = al_conn_at(conn->next);

	if (!head)
		return;
	if (prev)
		prev->next = conn->next;
	else
		head->first = conn->next;
	if (next)
		next->prev = conn->prev;
	else
		head->last = conn->prev;
	conn->prev = conn->next = AL_IDX_NONE;
	conn->list = AL_LIST_NONE;
	head->n--;
}

void al_sweep_watch(struct al_conn *conn)
{
	if (conn->list == AL_LIST_SWEEP)
		return;
	al_lock_take(&al_root.dti_lock);
	if (conn->list == AL_LIST_NONE)
		al_list_add(conn, AL_LIST_SWEEP);
	al_lock_drop(&al_root.dti_lock);
}
