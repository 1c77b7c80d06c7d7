/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What engine, kernel, port and clock tell KA, and what it does about it.
 */
#include "ka/etad_tell.h"

#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "ka/etad.h"

#define ETAD_IDLE_TICK_MS 1000

/* ---- what the engine tells ---- */

static void etad_on_tuple(struct ka *ka, const struct eta_admin_msg *msg, bool is_del)
{
	struct ip_tuple tuple;

	memset(&tuple, 0, sizeof(tuple));
	memcpy(tuple.laddr.b, msg->tuple.laddr, 16);
	memcpy(tuple.raddr.b, msg->tuple.raddr, 16);
	tuple.lport_be = msg->tuple.lport_be;
	tuple.rport_be = msg->tuple.rport_be;
	if (own_tuple(&ka->own, &tuple, is_del) < 0 &&
			log_limit_pass(&ka->limit_dti, loop_now_ms()))
		log_warn("filter full: the kernel may reset connections of bound ports");
}

static void etad_on_notice(void *arg, uint32_t core, const struct eta_admin_msg *msg)
{
	struct ka *ka = arg;
	struct session *session;
	struct ip_addr addr;

	switch ((enum eta_admin_op)msg->op) {
	case ETA_ADMIN_NEIGH_WANT:
	case ETA_ADMIN_NEIGH_CONFIRM:
		memcpy(addr.b, msg->neigh.addr, sizeof(addr.b));
		if (msg->op == ETA_ADMIN_NEIGH_WANT)
			netlink_neigh_want(&ka->netlink, msg->neigh.port, &addr);
		else
			netlink_neigh_confirm(&ka->netlink, msg->neigh.port, &addr);
		break;
	case ETA_ADMIN_SEG_WANT:
		session = res_session_find(&ka->res, msg->session);
		if (session)
			res_session_want_receive(session, (uint8_t)core);
		break;
	case ETA_ADMIN_TUPLE_ADD: etad_on_tuple(ka, msg, false); break;
	case ETA_ADMIN_TUPLE_DEL: etad_on_tuple(ka, msg, true); break;
	case ETA_ADMIN_DTI_DEAD:
		ka->stats.dtis_dead++;
		if (log_limit_pass(&ka->limit_dti, loop_now_ms()))
			log_warn("dti dead session=%u dti=%u reason=\"%s\"", msg->session,
					msg->dti.dti, eta_status_text(msg->status));
		break;
	default: break; /* commands do not come from there */
	}
}

static void etad_on_punt(void *arg, struct rte_mbuf **burst, uint32_t n)
{
	except_punt(arg, burst, n);
}

const struct irq_ops etad_irq_ops = {.on_notice = etad_on_notice, .on_punt = etad_on_punt};

/* ---- what the kernel tells ---- */

static void etad_on_change(void *arg, const struct eta_admin_msg *msg)
{
	struct ka *ka = arg;
	struct ip_addr addr;

	if (msg->op == ETA_ADMIN_ADDR_SET && !msg->addr.is_loopback) {
		memcpy(addr.b, msg->addr.addr, sizeof(addr.b));
		own_local(&ka->own, msg->addr.port, &addr, msg->addr.is_del);
	}
	irq_post_all(&ka->irq, msg);
}

const struct netlink_ops etad_netlink_ops = {.on_change = etad_on_change};

static void etad_on_gone(void *arg, uint64_t cookie)
{
	struct ka *ka = arg;

	res_cookie_gone(&ka->res, cookie);
}

/* Looks through the descriptors of attached processes: only after lost notices. */
static bool etad_is_held(void *arg, uint64_t cookie)
{
	struct ka *ka = arg;

	for (uint32_t i = 1; i <= ka->res.sessions_max; i++) {
		const struct session *s = ka->res.session[i];

		if (s && (s->state == SESSION_LIVE || s->state == SESSION_STARTING) &&
				sockdiag_pid_holds(s->pid, s->death.fd, cookie))
			return true;
	}
	return false;
}

const struct sockdiag_ops etad_sockdiag_ops = {.on_gone = etad_on_gone, .is_held = etad_is_held};

void etad_on_tap(void *arg, uint32_t events)
{
	struct ka_port *port = arg;

	(void)events;
	except_tap_ready(port->ka, port->idx);
}

void etad_on_signal(void *arg, uint32_t events)
{
	struct ka *ka = arg;
	struct signalfd_siginfo info;

	(void)events;
	if (read(ka->signals.fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		etad_ask_stop(ka);
}

/* An application spoiled its memory: its connections go, shared or not. */
void etad_on_spoiled(void *arg, uint32_t events)
{
	struct ka *ka = arg;
	uint64_t n;

	(void)events;
	if (read(ka->spoiled.fd, &n, sizeof(n)) < 0)
		return;
	for (uint32_t i = 1; i <= ka->res.sessions_max; i++) {
		struct session *s = ka->res.session[i];
		bool is_spoiled = false;

		for (uint32_t k = 0; s && k < s->segs_n; k++)
			is_spoiled |= __atomic_load_n(&s->seg[k]->spoiled, __ATOMIC_ACQUIRE) != 0;
		if (!is_spoiled || s->state == SESSION_ENDING)
			continue;
		ka->stats.spoiled++;
		if (log_limit_pass(&ka->limit_spoil, loop_now_ms()))
			log_warn("session spoiled its memory session=%u pid=%d", s->number, s->pid);
		res_share_drop_all(s);
		res_session_end(s, false, "spoiled its memory");
	}
}

/* Runnable threads of the machine, as a hint for those that consider spinning. */
void etad_on_tick(void *arg)
{
	struct ka *ka = arg;
	uint32_t runnable, ours = 1;

	if (ka->res.sessions_n > 0) {
		/* We ourselves are awake, and so are some cores. */
		for (uint32_t i = 0; i < ka->irq.cores_n; i++)
			ours += eta_load_relaxed_u32(&ka->core_page[i]->asleep) == 0;
		runnable = load_runnable(&ka->load, loop_now_ms(), ours);
		for (uint32_t i = 0; i < ka->irq.cores_n; i++)
			eta_store_relaxed_u32(&ka->core_page[i]->runnable, runnable);
		sysctl_look(ka);
	}
	loop_timer_arm(&ka->loop, &ka->tick,
			ka->res.sessions_n > 0 ? ETAD_TICK_MS : ETAD_IDLE_TICK_MS);
}
