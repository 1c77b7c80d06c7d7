/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands of the kernel agent, and what is said to it.
 *
 * An answer always finds room: commands are taken only while the answer ring has room for all of a burst, and notices leave room to
 * answers. Notices are levels: what finds no room now is said later. SESSION_DEL and SESSION_ORPHAN are answered when nothing
 * refers to the session any more.
 */
#include <string.h>

#include <unistd.h>

#include "engine/core/core.h"
#include "engine/dti/doorbell.h"
#include "engine/dti/dti_up.h"

void admin_done(struct core *core, const struct eta_admin_msg *msg, enum eta_status status)
{
	struct eta_admin_msg done = *msg;

	done.op = ETA_ADMIN_DONE;
	done.status = (uint16_t)status;
	(void)rte_ring_sp_enqueue_elem(core->answers, &done, sizeof(done));
	core->is_answered = true;
	trace(core->trace, core->now_us, TRACE_ADMIN, msg->op, status, msg->session, 0);
}

/* A DTI that only KA speaks of: shared, or its last holder is gone. Return: context, 0 = none. */
static uint32_t named_ctx(struct core *core, const struct eta_admin_msg *msg)
{
	const struct session *s = session_find(&core->dti, msg->session);
	const struct eta_dti_al *al;
	struct eta_dti_en *en;

	if (!s || !session_dti(s, msg->dti.dti, &al, &en))
		return 0;
	return dti_lookup(&core->dti, s->idx, msg->dti.dti, msg->dti.gen, en);
}

static enum eta_status do_share(struct core *core, const struct eta_admin_msg *msg)
{
	uint32_t idx = named_ctx(core, msg);

	if (idx == 0)
		return ETA_STATUS_NOT_FOUND;
	core->dti.ctx[idx].flags |= DTI_CTX_SHARED;
	return ETA_STATUS_OK;
}

static enum eta_status do_close(struct core *core, const struct eta_admin_msg *msg)
{
	uint32_t idx = named_ctx(core, msg);

	if (idx == 0)
		return ETA_STATUS_NOT_FOUND;
	doorbell_close(&core->dti, idx);
	return ETA_STATUS_OK;
}

static void do_hidden(struct core *core, const struct eta_admin_msg *msg)
{
	uint8_t *byte = &core->hidden[msg->hidden.port_be / 8];
	uint8_t bit = (uint8_t)(1u << (msg->hidden.port_be % 8));

	*byte = msg->hidden.is_del ? *byte & (uint8_t)~bit : *byte | bit;
}

/* Return: false = answered later, or already. */
static bool execute(struct core *core, struct eta_admin_msg *msg, enum eta_status *status)
{
	struct dti *d = &core->dti;

	*status = ETA_STATUS_INVALID;
	switch ((enum eta_admin_op)msg->op) {
	case ETA_ADMIN_SESSION_ADD: *status = session_add(d, msg); return true;
	case ETA_ADMIN_SESSION_DEL:
	case ETA_ADMIN_SESSION_ORPHAN:
		*status = session_end(d, msg);
		return *status != ETA_STATUS_OK;
	case ETA_ADMIN_SHARE: *status = do_share(core, msg); return true;
	case ETA_ADMIN_SEG_ADD: *status = session_seg_add(d, msg); return true;
	case ETA_ADMIN_RING_ADD: *status = session_ring_add(d, msg); return true;
	case ETA_ADMIN_LISTEN: *status = accept_listen(d, msg); return true;
	case ETA_ADMIN_BIND: *status = dti_bind_authorise(d, msg); return true;
	case ETA_ADMIN_CLOSE: *status = do_close(core, msg); return true;
	case ETA_ADMIN_ADDR_SET:
	case ETA_ADMIN_ROUTE_SET:
	case ETA_ADMIN_NEIGH_SET:
	case ETA_ADMIN_LINK_SET:
		*status = net_admin(&core->net, msg);
		if (core->mtu_epoch != route_mtu_epoch(core->net.route)) {
			core->mtu_epoch = route_mtu_epoch(core->net.route);
			core_mtu_changed(core);
		}
		return true;
	case ETA_ADMIN_DUMP:
		core_dump(core, msg);
		*status = ETA_STATUS_OK;
		return true;
	case ETA_ADMIN_STOP:
		core->is_stopping = true;
		session_hurry(d);
		*status = ETA_STATUS_OK;
		return true;
	case ETA_ADMIN_HIDDEN_SET:
		do_hidden(core, msg);
		*status = ETA_STATUS_OK;
		return true;
	case ETA_ADMIN_KNOB_SET: *status = core_knob_set(core, msg); return true;
	case ETA_ADMIN_KNOB_GET: *status = core_knob_get(core, msg); return true;
	case ETA_ADMIN_DONE:
	case ETA_ADMIN_NEIGH_WANT:
	case ETA_ADMIN_NEIGH_CONFIRM:
	case ETA_ADMIN_SEG_WANT:
	case ETA_ADMIN_TUPLE_ADD:
	case ETA_ADMIN_TUPLE_DEL:
	case ETA_ADMIN_DTI_DEAD: return true;
	}
	return true;
}

static uint32_t commands(struct core *core)
{
	struct eta_admin_msg msg;
	enum eta_status status;
	uint32_t n = 0;

	while (n < ETA_ADMIN_BURST && rte_ring_free_count(core->answers) > 2 * ETA_ADMIN_BURST &&
			rte_ring_sc_dequeue_elem(core->commands, &msg, sizeof(msg)) == 0) {
		if (execute(core, &msg, &status))
			admin_done(core, &msg, status);
		n++;
	}
	return n;
}

static void endings(struct core *core)
{
	struct session *s;

	if (core->dti.ending_n == 0 || rte_ring_free_count(core->answers) <= ETA_ADMIN_BURST)
		return;
	s = session_reap(&core->dti, CORE_REAP_SLICE);
	if (s) {
		struct eta_admin_msg msg = {
				.op = s->del_op, .session = s->number, .cookie = s->del_cookie};

		session_forget(&core->dti, s);
		admin_done(core, &msg, ETA_STATUS_OK);
	}
}

static void notices(struct core *core)
{
	struct dti *d = &core->dti;
	struct eta_admin_msg msg;

	while (rte_ring_free_count(core->answers) > CORE_NOTICE_ROOM &&
			route_notice_next(core->net.route, core->now_us, &msg))
		(void)dti_up_notice(core, &msg);
	if (ETA_UNLIKELY(core->now_us >= core->net_look_us))
		core_net_look(core);
	/* sessions that want memory: looked for now and then, not each turn, unless one has just become low */
	if ((core->stats.loops % 64) != 0 && !d->is_seg_low)
		return;
	d->is_seg_low = false;
	for (uint32_t i = 1; i < d->session_n; i++) {
		struct session *s = &d->session[i];

		if (!session_seg_is_due(d, s))
			continue;
		msg = (struct eta_admin_msg){.op = ETA_ADMIN_SEG_WANT, .session = s->number};
		if (dti_up_notice(core, &msg))
			session_seg_asked(d, s);
	}
}

uint32_t admin_poll(struct core *core)
{
	uint32_t n = commands(core);

	n += punt_down(&core->net);
	endings(core);
	if (core->dti.visit_head != 0)
		n += accept_visit(&core->dti, CORE_REAP_SLICE) > 0;
	if (core->dti.is_take_short)
		accept_retry(&core->dti);
	n += place_sweep(&core->dti, CORE_SWEEP_BUDGET);
	if (core->dti.ring_n > 0 && core->now_us - core->dti.ring_sweep_us >= DOORBELL_IDLE_US)
		(void)doorbell_sweep_idle(&core->dti);
	if (core->dti.dormant_n > 0 && core->now_us - core->kick_look_us >= CORE_KICK_LOOK_US)
		idle_look_kicks(core);
	notices(core);
	if (core->is_stopping && rte_ring_empty(core->commands) && core->dti.ending_n == 0)
		core->is_stopped = true;
	return n;
}

void admin_notify(struct core *core)
{
	const uint64_t one = 1;

	if (punt_was_up(&core->net))
		core->is_answered = true;
	if (!core->is_answered)
		return;
	core->is_answered = false;
	/* a full eventfd says it already */
	if (write(core->notify_fd, &one, sizeof(one)) < 0)
		return;
}
