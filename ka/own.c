/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counting and draining of what the filters hold.
 */
#include "ka/own.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "ka/etad.h"

static int own_filter_listen(
		struct ka *ka, const struct ip_addr *addr, uint16_t port_be, bool is_del)
{
	int rc = 0;

	for (uint32_t i = 0; i < ka->ports_n; i++) {
		int one = ka->port[i].is_shared
					  ? tcx_listen_set(&ka->port[i].tcx, addr, port_be, is_del)
					  : 0;

		rc = rc == 0 ? one : rc;
	}
	return rc;
}

/* The engine hands up what the filter hides and nobody here answers. */
static void own_tell(struct own *own, uint16_t port_be, bool is_del)
{
	struct eta_admin_msg msg = {.op = ETA_ADMIN_HIDDEN_SET};

	for (const struct own_listen *l = own->listens; l && is_del; l = l->next)
		if (l->port_be == port_be)
			return; /* by another address still */
	msg.hidden.port_be = port_be;
	msg.hidden.is_del = is_del;
	irq_post_all(&own->ka->irq, &msg);
}

static struct own_listen **own_find(struct own *own, const struct ip_addr *addr, uint16_t port_be)
{
	struct own_listen **at = &own->listens;

	while (*at && !((*at)->port_be == port_be && ip_addr_equal(&(*at)->addr, addr)))
		at = &(*at)->next;
	return at;
}

static int own_add_one(struct own *own, const struct ip_addr *addr, uint16_t port_be)
{
	struct own_listen **at = own_find(own, addr, port_be);
	int rc;

	if (*at) {
		(*at)->refs_n++;
		(*at)->is_draining = false;
		return 0;
	}
	rc = own_filter_listen(own->ka, addr, port_be, false);
	if (rc == 0) {
		*at = calloc(1, sizeof(**at));
		rc = *at ? 0 : -ENOMEM;
	}
	if (rc < 0) {
		(void)own_filter_listen(own->ka, addr, port_be, true);
		return rc;
	}
	(*at)->addr = *addr;
	(*at)->port_be = port_be;
	(*at)->refs_n = 1;
	own_tell(own, port_be, false);
	return 0;
}

static void own_del_one(struct own *own, const struct ip_addr *addr, uint16_t port_be)
{
	struct own_listen *l = *own_find(own, addr, port_be);

	if (!l || l->refs_n == 0 || --l->refs_n > 0)
		return;
	l->is_draining = true;
	l->is_old = false;
	if (!own->drain.is_armed && !own->is_dumping)
		loop_timer_arm(&own->ka->loop, &own->drain, 0);
}

/* :: without v6only stands for 0.0.0.0 too. */
static bool own_is_dual(const struct ip_addr *addr, bool v6only)
{
	return !v6only && addr->q[0] == 0 && addr->q[1] == 0;
}

int own_listen_add(struct own *own, const struct ip_addr *addr, uint16_t port_be, bool v6only)
{
	const struct ip_addr any4 = ip_addr_from_v4(0);
	int rc = own_add_one(own, addr, port_be);

	if (rc == 0 && own_is_dual(addr, v6only)) {
		rc = own_add_one(own, &any4, port_be);
		if (rc < 0)
			own_del_one(own, addr, port_be);
	}
	return rc;
}

void own_listen_del(struct own *own, const struct ip_addr *addr, uint16_t port_be, bool v6only)
{
	const struct ip_addr any4 = ip_addr_from_v4(0);

	own_del_one(own, addr, port_be);
	if (own_is_dual(addr, v6only))
		own_del_one(own, &any4, port_be);
}

int own_tuple(struct own *own, const struct ip_tuple *tuple, bool is_del)
{
	int rc = 0;

	for (uint32_t i = 0; i < own->ka->ports_n; i++) {
		struct ka_port *port = &own->ka->port[i];
		int one = port->is_shared ? tcx_tuple_set(&port->tcx, tuple, is_del) : 0;

		rc = rc == 0 ? one : rc;
	}
	return rc;
}

void own_local(struct own *own, uint32_t port, const struct ip_addr *addr, bool is_del)
{
	if (port < own->ka->ports_n && own->ka->port[port].is_shared)
		(void)tcx_local_set(&own->ka->port[port].tcx, addr, is_del);
}

/* ---- draining ---- */

static void own_dump_end(struct own *own)
{
	struct own_listen **at = &own->listens;
	bool is_left = false;

	own->is_dumping = false;
	while (*at) {
		struct own_listen *l = *at;
		bool is_used = (own->ports_used[l->port_be / 8] >> (l->port_be % 8)) & 1;

		if (l->is_draining && l->is_old && !is_used && !own->is_failed) {
			(void)own_filter_listen(own->ka, &l->addr, l->port_be, true);
			*at = l->next;
			own_tell(own, l->port_be, true);
			free(l);
			continue;
		}
		is_left |= l->is_draining;
		at = &l->next;
	}
	if (is_left)
		loop_timer_arm(&own->ka->loop, &own->drain, OWN_DRAIN_MS);
}

static void own_dump_done(void *arg, const struct eta_admin_msg *answer);

static void own_dump_ask(struct own *own, uint32_t first)
{
	struct eta_admin_msg msg = {.op = ETA_ADMIN_DUMP};

	msg.dump.rows = own->rows;
	msg.dump.first = first;
	msg.dump.n = OWN_ROWS;
	if (irq_post(&own->ka->irq, own->dump_core, &msg, own_dump_done, own) < 0) {
		own->is_failed = true;
		own_dump_end(own);
	}
}

static void own_dump_done(void *arg, const struct eta_admin_msg *answer)
{
	struct own *own = arg;

	if (answer->status != ETA_STATUS_OK)
		own->is_failed = true;
	for (uint32_t i = 0; answer->status == ETA_STATUS_OK && i < answer->dump.n && i < OWN_ROWS;
			i++) {
		/* A reset from the kernel does no harm to these; a listener that is not ours to drain has its own entry. */
		if (own->rows[i].tcp_state == TCP_TIME_WAIT || own->rows[i].tcp_state == TCP_LISTEN)
			continue;
		own->ports_used[own->rows[i].lport_be / 8] |=
				(uint8_t)(1u << (own->rows[i].lport_be % 8));
	}
	if (answer->status == ETA_STATUS_OK && answer->dump.first != UINT32_MAX)
		own_dump_ask(own, answer->dump.first);
	else if (++own->dump_core < own->ka->irq.cores_n)
		own_dump_ask(own, 0);
	else
		own_dump_end(own);
}

static void own_on_drain(void *arg)
{
	struct own *own = arg;

	if (own->ka->is_ending)
		return;
	memset(own->ports_used, 0, 65536 / 8);
	for (struct own_listen *l = own->listens; l; l = l->next)
		l->is_old = l->is_draining;
	own->is_dumping = true;
	own->is_failed = false;
	own->dump_core = 0;
	own_dump_ask(own, 0);
}

int own_init(struct own *own, struct ka *ka)
{
	memset(own, 0, sizeof(*own));
	own->ka = ka;
	own->rows = calloc(OWN_ROWS, sizeof(struct eta_ctx_row));
	own->ports_used = calloc(1, 65536 / 8);
	own->drain = (struct loop_timer){.on_due = own_on_drain, .arg = own};
	return own->rows && own->ports_used ? 0 : -ENOMEM;
}

void own_fini(struct own *own)
{
	if (!own->ka)
		return;
	loop_timer_disarm(&own->ka->loop, &own->drain);
	while (own->listens) {
		struct own_listen *l = own->listens;

		own->listens = l->next;
		free(l);
	}
	free(own->rows);
	free(own->ports_used);
	memset(own, 0, sizeof(*own));
}
