/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Masters and their children.
 *
 * A process that accepts posts DTIs of its own on the master; the engine binds the first of them to the next connection and says so by an
 * event. The children hang off the master in the order they were posted, and the record of the first tells whether it is a connection
 * already: so accept() in one thread does not depend on which thread took the event. Several processes on one master: a connection for
 * which nobody was armed waits unbound, and TAKE asks for it.
 *
 * Who only listens posts nothing and subscribes to nothing: that begins with the first wait or accept(). A parent that listens and leaves
 * accept() to those it forks would else be given the connections that come before they are up, and never look.
 *
 * How many are posted follows use: it doubles, up to a bound, whenever half of them are gone at once.
 */
#include <string.h>

#include "al/core/al.h"

#define CHILD_RUN_MAX 256u /* of one doorbell */
#define POSTED_START \
	128u /* a burst of handshakes finds this many before accept() comes to run; short, their ACKs are lost */
#define TAKE_SPINS 20000u /* some tens of microseconds: the engine answers TAKE in its next loop */

/* ---- the list of children; dti_lock held ---- */

static void posted_add(struct al_conn *master, struct al_conn *child)
{
	struct al_conn *last = al_conn_at(master->master.posted_last);

	child->next = AL_IDX_NONE;
	child->list = AL_LIST_POSTED;
	child->master_idx = al_conn_ref(master);
	if (last)
		last->next = al_conn_ref(child);
	else
		master->master.posted_first = al_conn_ref(child);
	master->master.posted_last = al_conn_ref(child);
	master->master.posted_n++;
}

static void posted_remove(struct al_conn *master, struct al_conn *before, struct al_conn *child)
{
	if (before)
		before->next = child->next;
	else
		master->master.posted_first = child->next;
	if (master->master.posted_last == al_conn_ref(child))
		master->master.posted_last = before ? al_conn_ref(before) : AL_IDX_NONE;
	child->next = AL_IDX_NONE;
	child->list = AL_LIST_NONE;
	master->master.posted_n--;
}

static bool is_bound(const struct al_conn *child)
{
	uint32_t word = eta_load_acquire_u32(ETA_DTI_WORD(child->en));
	uint32_t state = word >> 16 & 0xff;

	return (uint16_t)word == child->gen && (state == ETA_DTI_OPEN || state == ETA_DTI_CLOSED);
}

/* The first child that is a connection. The engine binds in order, so beyond the head only an event makes us look. */
static struct al_conn *bound_find(struct al_conn *master, struct al_conn **before)
{
	struct al_conn *child = al_conn_at(master->master.posted_first);

	*before = NULL;
	if (!child)
		return NULL;
	if (is_bound(child))
		return child;
	if (!master->master.due_n)
		return NULL;
	for (uint32_t i = 0; child && i < AL_CHILDREN_MAX; i++) {
		if (is_bound(child))
			return child;
		*before = child;
		child = al_conn_at(child->next);
	}
	master->master.due_n = 0;
	return NULL;
}

/* ---- posting ---- */

/* A connection begins with its listener's parameters. */
static void params_inherit(struct al_conn *child, const struct al_conn *master)
{
	const size_t line1 = offsetof(struct eta_dti_al, raddr);

	memcpy((uint8_t *)child->al + line1, (const uint8_t *)master->al + line1,
			sizeof(*child->al) - line1);
	memset(child->al->raddr, 0, sizeof(child->al->raddr));
	child->al->opt &= (uint16_t)~ETA_OPT_LOCAL_BOUND;
}

static void ring_children(struct al_conn *master, uint32_t first, uint32_t n)
{
	if (n)
		al_ring_op(master, ETA_DB_CHILD, first, n);
}

void al_master_post(struct al_conn *master)
{
	uint32_t first = 0, run = 0;

	while (al_get(&master->master.posted_n) < master->master.posted_max) {
		struct al_conn *child = al_conn_take();

		if (!child)
			break;
		params_inherit(child, master);
		child->flags = AL_CONN_RUNG;
		child->state = ETA_DTI_CHILD;
		al_lock_take(&al_root.dti_lock);
		posted_add(master, child);
		al_lock_drop(&al_root.dti_lock);
		if (run && (child->dti_idx != first + run || run == CHILD_RUN_MAX)) {
			ring_children(master, first, run);
			run = 0;
		}
		if (!run)
			first = child->dti_idx;
		run++;
	}
	ring_children(master, first, run);
}

static void replenish(struct al_conn *master)
{
	uint32_t max = master->master.posted_max, n = al_get(&master->master.posted_n);
	uint32_t due_n = al_get(&master->master.due_n);

	/* those that are connections already, though accept() has not come to them, take no other */
	n = n > due_n ? n - due_n : 0;
	if (n < max / 2 && max < AL_CHILDREN_MAX)
		master->master.posted_max = 2 * max;
	if (n <= max - max / 4)
		al_master_post(master);
}

/* ---- listening and accepting ---- */

int al_conn_listen(struct al_conn *conn, int shadow_fd, uint32_t backlog, bool v6only)
{
	struct eta_ctl_dti req = {.hdr.type = ETA_CTL_LISTEN,
			.dti = al_dti_number(conn),
			.gen = conn->gen,
			.backlog = backlog,
			.flags = v6only ? ETA_BIND_V6ONLY : 0};
	struct eta_ctl_dti_reply rep;
	int ret;

	al_flag_set(conn, AL_CONN_MASTER);
	conn->master.posted_first = conn->master.posted_last = AL_IDX_NONE;
	conn->master.posted_n = conn->master.due_n = 0;
	conn->master.posted_max = backlog < POSTED_START ? (backlog ? backlog : 1) : POSTED_START;
	conn->master.shadow_fd = -1;
	ret = al_ctl_call(&req, sizeof(req), shadow_fd, &rep, sizeof(rep), NULL, 0);
	if (ret) {
		al_flag_clear(conn, AL_CONN_MASTER);
		conn->snd.bytes = conn->rcv.bytes = NULL;
		return ret;
	}
	al_flag_set(conn, AL_CONN_RUNG);
	conn->state = ETA_DTI_LISTENING;
	return 0;
}

void al_accept_event(struct al_conn *master, uint32_t arg, uint16_t arg_gen)
{
	(void)arg_gen; /* the child's record says it */
	if (arg != ETA_DTI_NONE)
		__atomic_add_fetch(&master->master.due_n, 1, __ATOMIC_RELAXED);
}

static struct al_conn *accept_bound(struct al_conn *master)
{
	struct al_conn *child, *before;

	al_lock_take(&al_root.dti_lock);
	child = bound_find(master, &before);
	if (child) {
		posted_remove(master, before, child);
		if (master->master.due_n)
			master->master.due_n--;
	}
	al_lock_drop(&al_root.dti_lock);
	return child;
}

static uint32_t unbound_n(const struct al_conn *master)
{
	return eta_load_relaxed_u32(&master->en->accept_n);
}

bool al_master_ready(struct al_conn *master)
{
	struct al_conn *before;
	bool ready;

	al_lock_take(&al_root.dti_lock);
	ready = bound_find(master, &before) != NULL;
	al_lock_drop(&al_root.dti_lock);
	return ready || unbound_n(master) != 0;
}

/* Connections that wait unbound: ask for one, and look for some moments whether we got it. */
static struct al_conn *accept_unbound(struct al_conn *master)
{
	struct al_conn *child = NULL;

	if (al_ring_op(master, ETA_DB_TAKE, 1, 0))
		return NULL;
	for (uint32_t i = 0; i < TAKE_SPINS && !child && unbound_n(master); i++) {
		eta_pause();
		if (i % 64 == 63)
			child = accept_bound(master);
	}
	return child ? child : accept_bound(master);
}

struct al_conn *al_conn_accept(struct al_conn *master)
{
	struct al_conn *child;

	if (!al_flag(master, AL_CONN_MASTER) || al_is_gone())
		return NULL;
	if (ETA_UNLIKELY(!master->master.posted_n)) {
		/* the first time, inherited by fork, or memory was short */
		al_conn_watch(master, AL_EV_ALL, al_flag(master, AL_CONN_EXCLUSIVE));
		al_master_post(master);
	}
	child = accept_bound(master);
	if (!child && ETA_UNLIKELY(unbound_n(master)))
		child = accept_unbound(master);
	if (!child)
		return NULL;
	al_flag_set(child, AL_CONN_HELD);
	al_conn_refresh(child);
	al_ring_queue_op(child, ETA_DB_ACCEPTED, AL_EV_ALL);
	replenish(master);
	return child;
}

/* ---- the end ---- */

void al_master_close(struct al_conn *master)
{
	struct al_conn *child;

	al_lock_take(&al_root.dti_lock);
	while ((child = al_conn_at(master->master.posted_first)) != NULL) {
		posted_remove(master, NULL, child);
		if (child->slot == al_root.own_slot)
			al_list_add(child, AL_LIST_ZOMBIE);
	}
	al_lock_drop(&al_root.dti_lock);
}

void al_master_forget(struct al_conn *master)
{
	master->master.posted_first = master->master.posted_last = AL_IDX_NONE;
	master->master.posted_n = master->master.due_n = 0;
}
