/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands to the cores, their answers, and the wakes between.
 */
#include "ka/irq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

#define IRQ_NONE UINT32_MAX
#define IRQ_OUTSTANDING_MAX (ETA_ADMIN_RING - 2)

struct irq_call {
	struct irq_call *next; /* waiting for room */
	struct eta_admin_msg msg;
	irq_done_fn *done;
	void *arg;
};

static void irq_kick(const struct irq_core *core)
{
	const uint64_t one = 1;

	/* A full counter means that a kick is under way. */
	if (write(core->kick_fd, &one, sizeof(one)) < 0)
		return;
}

/* A table slot for @call; the table doubles when full. */
static int irq_slot_take(struct irq *irq, struct irq_call *call)
{
	if (irq->call_free == IRQ_NONE) {
		uint32_t max = irq->calls_max ? irq->calls_max * 2 : 256;
		struct irq_call **calls = realloc(irq->call, max * sizeof(struct irq_call *));
		uint32_t *next;

		if (!calls)
			return -ENOMEM;
		irq->call = calls;
		next = realloc(irq->call_next, max * sizeof(uint32_t));
		if (!next)
			return -ENOMEM;
		irq->call_next = next;
		for (uint32_t i = irq->calls_max; i < max; i++) {
			irq->call[i] = NULL;
			irq->call_next[i] = i + 1 < max ? i + 1 : IRQ_NONE;
		}
		irq->call_free = irq->calls_max;
		irq->calls_max = max;
	}
	call->msg.cookie = irq->call_free;
	irq->call[irq->call_free] = call;
	irq->call_free = irq->call_next[irq->call_free];
	irq->calls_n++;
	return 0;
}

static struct irq_call *irq_slot_give(struct irq *irq, uint64_t cookie)
{
	struct irq_call *call;

	if (cookie >= irq->calls_max || !irq->call[cookie])
		return NULL;
	call = irq->call[cookie];
	irq->call[cookie] = NULL;
	irq->call_next[cookie] = irq->call_free;
	irq->call_free = (uint32_t)cookie;
	irq->calls_n--;
	return call;
}

/* Move waiting commands into the core's ring as far as answers will find room. */
static void irq_flush(struct irq_core *core)
{
	bool was_sent = false;

	while (core->head && core->outstanding_n < IRQ_OUTSTANDING_MAX) {
		struct irq_call *call = core->head;

		if (rte_ring_enqueue_elem(core->commands, &call->msg, sizeof(call->msg)) != 0)
			break;
		core->head = call->next;
		if (!core->head)
			core->tail = NULL;
		core->outstanding_n++;
		was_sent = true;
	}
	if (was_sent)
		irq_kick(core);
}

int irq_post(struct irq *irq, uint32_t idx, const struct eta_admin_msg *msg, irq_done_fn *done,
		void *arg)
{
	struct irq_core *core = &irq->core[idx];
	struct irq_call *call = calloc(1, sizeof(*call));

	if (!call)
		return -ENOMEM;
	call->msg = *msg;
	call->done = done;
	call->arg = arg;
	if (irq_slot_take(irq, call) < 0) {
		free(call);
		return -ENOMEM;
	}
	if (core->tail)
		core->tail->next = call;
	else
		core->head = call;
	core->tail = call;
	irq_flush(core);
	return 0;
}

void irq_post_all(struct irq *irq, const struct eta_admin_msg *msg)
{
	for (uint32_t i = 0; i < irq->cores_n; i++)
		(void)irq_post(irq, i, msg, NULL, NULL);
}

void irq_stop(struct irq *irq, uint32_t idx)
{
	struct eta_admin_msg msg = {.op = ETA_ADMIN_STOP, .cookie = UINT64_MAX};
	struct irq_core *core = &irq->core[idx];

	if (rte_ring_enqueue_elem(core->commands, &msg, sizeof(msg)) == 0)
		irq_kick(core);
}

uint32_t irq_inject(struct irq *irq, struct rte_mbuf **burst, uint32_t n)
{
	struct irq_core *core = &irq->core[0];
	uint32_t sent = rte_ring_enqueue_burst(core->injected, (void **)burst, n, NULL);

	for (uint32_t i = sent; i < n; i++)
		rte_pktmbuf_free(burst[i]);
	if (sent > 0)
		irq_kick(core);
	return n - sent;
}

uint32_t irq_pending(const struct irq *irq)
{
	return irq->calls_n;
}

static void irq_answer(struct irq *irq, struct irq_core *core, const struct eta_admin_msg *msg)
{
	struct irq_call *call;

	if (msg->op != ETA_ADMIN_DONE) {
		irq->ops->on_notice(irq->arg, core->idx, msg);
		return;
	}
	core->outstanding_n--;
	call = irq_slot_give(irq, msg->cookie);
	if (!call)
		return;
	if (call->done)
		call->done(call->arg, msg);
	free(call);
}

/* Bounded: the loop comes again while the rings hold something, since the notify descriptor is drained first and re-armed when we stop early. */
static void irq_on_notify(void *arg, uint32_t events)
{
	struct irq_core *core = arg;
	struct irq *irq = core->irq;
	struct rte_mbuf *burst[IRQ_BURST];
	struct eta_admin_msg msg;
	const uint64_t one = 1;
	uint64_t drained;
	uint32_t n;

	(void)events;
	if (read(core->watch.fd, &drained, sizeof(drained)) < 0 && errno != EAGAIN)
		return;
	for (uint32_t i = 0; i < ETA_ADMIN_RING; i++) {
		if (rte_ring_dequeue_elem(core->answers, &msg, sizeof(msg)) != 0)
			break;
		irq_answer(irq, core, &msg);
	}
	irq_flush(core);
	for (uint32_t i = 0; i < 8; i++) {
		n = rte_ring_dequeue_burst(core->punted, (void **)burst, IRQ_BURST, NULL);
		if (n == 0)
			break;
		irq->ops->on_punt(irq->arg, burst, n);
	}
	if (!rte_ring_empty(core->punted) || !rte_ring_empty(core->answers)) {
		if (write(core->watch.fd, &one, sizeof(one)) < 0)
			return;
	}
}

int irq_init(struct irq *irq, struct loop *loop, struct engine *engine, uint32_t cores_n,
		const struct irq_ops *ops, void *arg)
{
	*irq = (struct irq){.loop = loop,
			.ops = ops,
			.arg = arg,
			.cores_n = cores_n,
			.call_free = IRQ_NONE};
	for (uint32_t i = 0; i < cores_n; i++) {
		struct core *c = engine_core(engine, i);
		struct irq_core *core = &irq->core[i];
		int rc;

		*core = (struct irq_core){.irq = irq,
				.idx = (uint8_t)i,
				.commands = core_ring_commands(c),
				.answers = core_ring_answers(c),
				.punted = core_ring_punted(c),
				.injected = core_ring_injected(c),
				.kick_fd = core_kick_fd(c)};
		core->watch = (struct loop_watch){.fd = core_notify_fd(c),
				.events = EPOLLIN,
				.on_ready = irq_on_notify,
				.arg = core};
		rc = loop_add(loop, &core->watch);
		if (rc < 0) {
			irq_fini(irq);
			return rc;
		}
	}
	return 0;
}

void irq_fini(struct irq *irq)
{
	for (uint32_t i = 0; i < irq->cores_n; i++)
		loop_del(irq->loop, &irq->core[i].watch);
	for (uint32_t i = 0; i < irq->calls_max; i++)
		free(irq->call[i]);
	free(irq->call);
	free(irq->call_next);
	memset(irq, 0, sizeof(*irq));
}
